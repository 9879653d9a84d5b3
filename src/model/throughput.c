#include "model/throughput.h"

#include <string.h>

#include "base/assert.h"
#include "base/digest.h"
#include "model/name.h"

static void hash_u64(struct digest_stream *stream, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    digest_stream_update(stream, slice_make((const char *)bytes, sizeof(bytes)));
}

static void hash_text(struct digest_stream *stream, struct slice text)
{
    hash_u64(stream, text.len);
    digest_stream_update(stream, text);
}

static void hash_variant(struct digest_stream *stream, const struct job_variant *variant)
{
    hash_u64(stream, (uint64_t)variant->runtime);
    hash_u64(stream, variant->accelerators);
    hash_text(stream, variant->accelerator);
    hash_text(stream, variant->image);
    hash_text(stream, variant->setup);
    hash_text(stream, variant->run);
    hash_u64(stream, variant->env_count);
    for (uint32_t i = 0; i < variant->env_count; i++) {
        hash_text(stream, variant->envs[i].key);
        hash_text(stream, variant->envs[i].value);
    }
}

struct id workload_of(struct tenant_id tenant, const struct job_spec *spec)
{
    struct id id = {{0}};
    struct digest_stream stream;
    if (spec->workload.len == 0 && spec->variant_count < 2)
        return id;
    enum err err = digest_stream_init(&stream);
    ASSERT(err == ERR_OK);
    digest_stream_update(&stream, slice_make((const char *)tenant.id.bytes, sizeof(id.bytes)));
    hash_u64(&stream, spec->num_nodes);
    hash_u64(&stream, spec->cpu_milli);
    hash_text(&stream, spec->workload);
    for (uint32_t v = 0; spec->workload.len == 0 && v < spec->variant_count; v++)
        hash_variant(&stream, &spec->variants[v]);
    struct digest digest = digest_stream_finish(&stream);
    digest_stream_deinit(&stream);
    memcpy(id.bytes, digest.bytes, sizeof(id.bytes));
    return id;
}

uint64_t throughput_rate(const struct throughput_kind *kind)
{
    if (kind->over.ms < THROUGHPUT_LEAST.ms)
        return 0;
    unsigned __int128 rate = (unsigned __int128)kind->units * 1000000000 / (uint64_t)kind->over.ms;
    return rate > THROUGHPUT_UNITS_MAX ? THROUGHPUT_UNITS_MAX : (uint64_t)rate;
}

void throughput_add(struct throughput_kind *kind, uint64_t units, struct span_ms over)
{
    ASSERT(over.ms >= 0);
    if (over.ms > THROUGHPUT_WINDOW.ms) { /* at most a window's worth at once */
        units = (uint64_t)((unsigned __int128)units * (uint64_t)THROUGHPUT_WINDOW.ms /
                           (uint64_t)over.ms);
        over = THROUGHPUT_WINDOW;
    }
    kind->units += units < THROUGHPUT_UNITS_MAX / 4 ? units : THROUGHPUT_UNITS_MAX / 4;
    kind->over.ms += over.ms;
    if (kind->over.ms > THROUGHPUT_WINDOW.ms || kind->units > THROUGHPUT_UNITS_MAX / 2) {
        kind->units /= 2;
        kind->over.ms /= 2;
    }
}

int throughput_kind_compare(const struct throughput_kind *a, const struct throughput_kind *b)
{
    if (a->runtime != b->runtime)
        return a->runtime < b->runtime ? -1 : 1;
    if (a->devices != b->devices)
        return a->devices < b->devices ? -1 : 1;
    return slice_compare(a->accelerator, b->accelerator);
}

static enum err kind_check(const struct throughput_kind *kind, struct fault *fault)
{
    if ((unsigned)kind->runtime >= RUNTIME_COUNT_)
        return fault_set(fault, ERR_INVALID, "runtime", "is not known");
    if (kind->devices > JOB_ACCELERATORS_MAX)
        return fault_set(fault, ERR_INVALID, "devices", "are more than %d", JOB_ACCELERATORS_MAX);
    if (kind->units > THROUGHPUT_UNITS_MAX)
        return fault_set(fault, ERR_INVALID, "units", "are out of range");
    if (kind->over.ms < 0 || kind->over.ms > 2 * THROUGHPUT_WINDOW.ms)
        return fault_set(fault, ERR_INVALID, "over", "is out of range");
    if (kind->accelerator.len == 0)
        return ERR_OK;
    return text_line_check(kind->accelerator, 47, "accelerator", fault);
}

enum err throughput_check(const struct throughput *throughput, struct fault *fault)
{
    if (id_is_none(throughput->workload) || id_is_none(throughput->tenant.id))
        return fault_set(fault, ERR_INVALID, "workload", "a workload of a tenant");
    if (throughput->kind_count > THROUGHPUT_KINDS_MAX)
        return fault_set(fault, ERR_INVALID, "kinds", "are more than %d", THROUGHPUT_KINDS_MAX);
    if (throughput->nodes < 1 || throughput->nodes > JOB_NODES_MAX || throughput->cpu_milli < 1 ||
        throughput->cpu_milli > JOB_CPU_MILLI_MAX)
        return fault_set(fault, ERR_INVALID, "nodes", "nodes or cores are out of range");
    for (uint32_t i = 0; i < throughput->kind_count; i++) {
        enum err err = kind_check(&throughput->kinds[i], fault);
        if (err != ERR_OK)
            return err;
        if (i > 0 && throughput_kind_compare(&throughput->kinds[i - 1], &throughput->kinds[i]) >= 0)
            return fault_set(fault, ERR_INVALID, "kinds", "are unique and sorted");
    }
    if (throughput->name.len == 0)
        return ERR_OK;
    return text_line_check(throughput->name, WORKLOAD_NAME_MAX, "name", fault);
}
