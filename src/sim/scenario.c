#include "sim/scenario.h"

#include "place/place_age.h"
#include "wire/value.h"

static const char *const KNOWLEDGE[SCENARIO_KNOWLEDGE_COUNT_] = {
    [SCENARIO_KNOWN] = "known", [SCENARIO_GUESS] = "guess", [SCENARIO_NONE] = "none"};
static const char *const FORMATS[TRACE_FORMAT_COUNT_] = {"philly", "gaia",  "gavel",
                                                         "swf",    "openb", "history"};
static const char *const CHANGES[] = {[REPLAY_FAIL] = "fail",
                                      [REPLAY_REPAIR] = "repair",
                                      [REPLAY_OWNER] = "owner",
                                      [REPLAY_GROW] = "grow"};

static void read_workload(struct value_reader *outer, struct json_value value, struct scenario *out)
{
    static const char *const KEYS[] = {
        "format",    "file",           "jobs",          "press",          "load",
        "run_times", "devices_a_node", "cpus_a_device", "device_as_cpus", "runtime"};
    struct value_reader reader;
    struct slice runtime = {0};
    unsigned format = 0, knowledge = SCENARIO_KNOWN;
    uint64_t limit = 0, cpu_milli = out->cpu_milli_per_device;
    bool has = false;
    int64_t press = 1000000;
    value_begin(&reader, value, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), outer->arena, outer->fault);
    value_need_choice(&reader, "format", FORMATS, TRACE_FORMAT_COUNT_, &format);
    value_need_string(&reader, "file", SCENARIO_PATH_MAX, &out->trace);
    value_opt_u64(&reader, "jobs", 1, TRACE_JOBS_MAX, &limit);
    value_opt_decimal(&reader, "press", 6, &has, &press);
    value_opt_u32(&reader, "load", 1, 1000, &out->load_percent);
    value_opt_choice(&reader, "run_times", KNOWLEDGE, SCENARIO_KNOWLEDGE_COUNT_, &knowledge);
    value_opt_u32(&reader, "devices_a_node", 1, JOB_ACCELERATORS_MAX, &out->node_devices);
    value_opt_cpus(&reader, "cpus_a_device", JOB_CPU_MILLI_MAX / JOB_ACCELERATORS_MAX, &cpu_milli);
    value_opt_u32(&reader, "device_as_cpus", 1, 256, &out->devices_as_cpus);
    value_opt_string(&reader, "runtime", SCENARIO_PATH_MAX, &runtime);
    if (reader.err == ERR_OK && press <= 0)
        value_refuse(&reader, "press", ERR_INVALID, "must be above 0");
    if (reader.err == ERR_OK && runtime.len > 0 && runtime_parse(runtime, &out->runtime) != ERR_OK)
        value_refuse(&reader, "runtime", ERR_INVALID, "is no runtime that is known");
    out->format = (enum trace_format)format;
    out->knowledge = (enum scenario_knowledge)knowledge;
    out->limit = (size_t)limit;
    out->press = (double)press / 1e6;
    out->cpu_milli_per_device = (uint32_t)cpu_milli;
    value_fail(outer, reader.err);
}

static void read_change(struct value_reader *outer, struct json_value value,
                        struct scenario_change *out)
{
    static const char *const KEYS[] = {"at", "what", "site", "nodes"};
    struct value_reader reader;
    struct span_ms at = {0};
    unsigned kind = 0;
    value_begin(&reader, value, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), outer->arena, outer->fault);
    value_opt_span(&reader, "at", &at);
    value_need_choice(&reader, "what", CHANGES, sizeof(CHANGES) / sizeof(CHANGES[0]), &kind);
    value_need_string(&reader, "site", SCENARIO_PATH_MAX, &out->site);
    value_opt_u32(&reader, "nodes", 0, SITE_NODES_MAX, &out->change.nodes);
    out->change.at_ms = at.ms;
    out->change.kind = (enum replay_change_kind)kind;
    value_fail(outer, reader.err);
}

static void read_failures(struct value_reader *outer, struct json_value value, struct scenario *out)
{
    static const char *const KEYS[] = {"every", "repair"};
    struct value_reader reader;
    if (json_is_missing(value) || json_is_null(value))
        return;
    value_begin(&reader, value, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), outer->arena, outer->fault);
    value_opt_span(&reader, "every", &out->fails_every);
    value_opt_span(&reader, "repair", &out->repair);
    if (reader.err == ERR_OK && (out->fails_every.ms == 0 || out->repair.ms == 0))
        value_refuse(&reader, "every", ERR_INVALID, "and repair are both wanted");
    value_fail(outer, reader.err);
}

enum err scenario_decode(struct json_value value, struct arena *arena, struct scenario *out,
                         struct fault *fault)
{
    static const char *const KEYS[] = {"name",    "topology", "catalogue", "workload", "stretch",
                                       "start",   "bucket",   "end",       "prices",   "carbon",
                                       "changes", "failures", "seed"};
    struct value_reader reader;
    struct json_value changes;
    struct scenario made = {.press = 1,
                            .node_devices = 8,
                            .cpu_milli_per_device = 1000,
                            .runtime = RUNTIME_CUDA,
                            .start = {INT64_C(1767225600000000)}}; /* 2026-01-01 */
    value_begin(&reader, value, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), arena, fault);
    value_opt_string(&reader, "name", JOB_NAME_MAX, &made.name);
    value_need_string(&reader, "topology", SCENARIO_PATH_MAX, &made.topology);
    value_opt_string(&reader, "catalogue", SCENARIO_PATH_MAX, &made.catalogue);
    value_opt_u32(&reader, "stretch", 0, PLACE_STRETCH_MAX, &made.stretch);
    value_opt_wall(&reader, "start", &made.start);
    value_opt_span(&reader, "bucket", &made.bucket);
    value_opt_span(&reader, "end", &made.end);
    value_opt_string(&reader, "prices", SCENARIO_PATH_MAX, &made.prices);
    value_opt_string(&reader, "carbon", SCENARIO_PATH_MAX, &made.carbon);
    value_opt_u64(&reader, "seed", 0, UINT64_MAX, &made.seed);
    if (reader.err == ERR_OK && json_is_missing(value_member(&reader, "workload")))
        value_refuse(&reader, "workload", ERR_INVALID, "is missing");
    if (reader.err == ERR_OK)
        read_workload(&reader, value_member(&reader, "workload"), &made);
    if (reader.err == ERR_OK)
        read_failures(&reader, value_member(&reader, "failures"), &made);
    value_opt_array(&reader, "changes", SCENARIO_CHANGES_MAX, &changes);
    if (reader.err == ERR_OK) {
        made.changes = value_room(&reader, json_count(changes), sizeof(*made.changes));
        struct json_iterator it = json_iterate(changes);
        while (reader.err == ERR_OK && json_next(&it))
            read_change(&reader, it.value, &made.changes[made.change_count++]);
    }
    if (reader.err == ERR_OK)
        *out = made;
    return reader.err;
}
