/* What was measured of a workload, to JSON and back. */
#include "model/words.h"
#include "wire/doc_parts.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const THROUGHPUT_KEYS[] = {"workload", "tenant",    "name",
                                              "nodes",    "cpu_milli", "kinds"};
static const char *const KIND_KEYS[] = {"runtime", "devices",   "accelerator",      "units",
                                        "ms",      "fruitless", "units_per_s_micro"};

static void read_kind(struct value_reader *outer, struct json_value value,
                      struct throughput_kind *out)
{
    struct throughput_kind kind = {.accelerator = {"", 0}};
    struct value_reader reader;
    unsigned runtime = 0;
    uint64_t ms = 0, shown;

    value_begin(&reader, value, KIND_KEYS, COUNT(KIND_KEYS), outer->arena, outer->fault);
    value_need_choice(&reader, "runtime", RUNTIME_WORDS, RUNTIME_COUNT_, &runtime);
    value_opt_u32(&reader, "devices", 0, JOB_ACCELERATORS_MAX, &kind.devices);
    value_opt_string(&reader, "accelerator", NAME_MAX, &kind.accelerator);
    value_opt_u64(&reader, "units", 0, THROUGHPUT_UNITS_MAX, &kind.units);
    value_opt_u64(&reader, "ms", 0, 2 * (uint64_t)THROUGHPUT_WINDOW.ms, &ms);
    value_opt_u32(&reader, "fruitless", 0, UINT32_MAX, &kind.fruitless);
    value_opt_u64(&reader, "units_per_s_micro", 0, UINT64_MAX, &shown); /* follows from both */
    kind.runtime = (enum runtime)runtime;
    kind.over = SPAN_MS((int64_t)ms);
    value_fail(outer, reader.err);
    if (outer->err == ERR_OK)
        *out = kind;
}

enum err doc_decode_throughput(struct json_value value, struct arena *arena, struct throughput *out,
                               struct fault *fault)
{
    struct throughput made = {.name = {"", 0}};
    struct value_reader reader;
    struct json_value list;

    value_begin(&reader, value, THROUGHPUT_KEYS, COUNT(THROUGHPUT_KEYS), arena, fault);
    value_need_id(&reader, "workload", ID_PREFIX_WORKLOAD, &made.workload);
    value_need_id(&reader, "tenant", ID_PREFIX_TENANT, &made.tenant.id);
    value_opt_string(&reader, "name", WORKLOAD_NAME_MAX, &made.name);
    value_opt_u32(&reader, "nodes", 1, JOB_NODES_MAX, &made.nodes);
    value_opt_u32(&reader, "cpu_milli", 1, JOB_CPU_MILLI_MAX, &made.cpu_milli);
    value_opt_array(&reader, "kinds", THROUGHPUT_KINDS_MAX, &list);
    struct throughput_kind *kinds = value_room(&reader, json_count(list), sizeof(*kinds));
    struct json_iterator it = json_iterate(list);
    while (reader.err == ERR_OK && json_next(&it))
        read_kind(&reader, it.value, &kinds[it.index]);
    made.kinds = kinds;
    made.kind_count = (uint32_t)json_count(list);
    if (reader.err != ERR_OK)
        return reader.err;
    enum err err = value_locate(value, throughput_check(&made, fault), fault);
    if (err == ERR_OK)
        *out = made;
    return err;
}

void doc_encode_throughput(const struct throughput *throughput, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_id(writer, "workload", throughput->workload, ID_PREFIX_WORKLOAD);
    json_put_id(writer, "tenant", throughput->tenant.id, ID_PREFIX_TENANT);
    value_put_text(writer, "name", throughput->name);
    json_put_u64(writer, "nodes", throughput->nodes);
    json_put_u64(writer, "cpu_milli", throughput->cpu_milli);
    json_key(writer, "kinds");
    json_begin_array(writer);
    for (uint32_t i = 0; i < throughput->kind_count; i++) {
        const struct throughput_kind *kind = &throughput->kinds[i];
        json_begin_object(writer);
        json_put_text(writer, "runtime", runtime_name(kind->runtime));
        json_put_u64(writer, "devices", kind->devices);
        value_put_text(writer, "accelerator", kind->accelerator);
        json_put_u64(writer, "units", kind->units);
        json_put_i64(writer, "ms", kind->over.ms);
        json_put_u64(writer, "fruitless", kind->fruitless);
        json_put_u64(writer, "units_per_s_micro", throughput_rate(kind));
        json_end_object(writer);
    }
    json_end_array(writer);
    json_end_object(writer);
}
