/* A job in canonical JSON: what spec_decode reads, with defaults left out. */
#include "model/words.h"
#include "wire/doc.h"
#include "wire/spec.h"
#include "wire/value.h"

static void encode_resources(const struct job_spec *spec, struct json_writer *writer)
{
    json_key(writer, "resources");
    json_begin_object(writer);
    value_put_cpus(writer, "cpus", spec->cpu_milli);
    value_put_size(writer, "memory", spec->mem_bytes);
    if (spec->scratch_bytes != JOB_SCRATCH_BYTES_DEFAULT)
        value_put_size(writer, "scratch", spec->scratch_bytes);
    if (spec->pids_max != JOB_PIDS_DEFAULT)
        json_put_u64(writer, "pids", spec->pids_max);
    json_end_object(writer);
}

static void encode_pairs(struct json_writer *writer, const char *name,
                         const struct text_pair *pairs, uint32_t count)
{
    if (count == 0)
        return;
    json_key(writer, name);
    json_begin_object(writer);
    for (uint32_t i = 0; i < count; i++) {
        json_key_slice(writer, pairs[i].key);
        json_string(writer, pairs[i].value);
    }
    json_end_object(writer);
}

static void encode_variant(const struct job_variant *variant, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_text(writer, "runtime", runtime_name(variant->runtime));
    value_put_accelerators(writer, variant->accelerator, variant->accelerators);
    value_put_text(writer, "image", variant->image);
    value_put_text(writer, "setup", variant->setup);
    json_put_string(writer, "run", variant->run);
    encode_pairs(writer, "envs", variant->envs, variant->env_count);
    json_end_object(writer);
}

static void encode_array(const struct job_spec *spec, struct json_writer *writer)
{
    if (spec->array_count == 1 && spec->array_parallel_max == 0)
        return;
    json_key(writer, "array");
    json_begin_object(writer);
    json_put_u64(writer, "count", spec->array_count);
    if (spec->array_parallel_max != 0)
        json_put_u64(writer, "parallel", spec->array_parallel_max);
    json_end_object(writer);
}

static void encode_checkpoint(const struct job_spec *spec, struct json_writer *writer)
{
    const struct job_checkpoint *checkpoint = &spec->checkpoint;
    struct span_ms usual = job_spec_default_grace(spec);

    if (checkpoint->dir.len == 0 && checkpoint->grace.ms == usual.ms)
        return;
    json_key(writer, "checkpoint");
    json_begin_object(writer);
    value_put_text(writer, "dir", checkpoint->dir);
    if (checkpoint->signal != 0)
        json_put_text(writer, "signal", signal_word(checkpoint->signal));
    if (checkpoint->grace.ms != usual.ms)
        json_put_span(writer, "grace", checkpoint->grace);
    value_put_span(writer, "every", checkpoint->every);
    value_put_flag(writer, "same_world_size", checkpoint->same_world_size);
    json_end_object(writer);
}

static void encode_placement(const struct job_placement *placement, struct json_writer *writer)
{
    bool is_empty = placement->regions.count == 0 && placement->sites.count == 0 &&
                    placement->avoid_sites.count == 0 && placement->jurisdictions.count == 0 &&
                    placement->role == ROLE_ANY && placement->provenance == PROVENANCE_ANY &&
                    placement->round_trip_max.ms == 0 && placement->near.len == 0;

    if (is_empty)
        return;
    json_key(writer, "placement");
    json_begin_object(writer);
    value_put_list(writer, "regions", &placement->regions);
    value_put_list(writer, "sites", &placement->sites);
    value_put_list(writer, "avoid_sites", &placement->avoid_sites);
    value_put_list(writer, "jurisdictions", &placement->jurisdictions);
    if (placement->role != ROLE_ANY)
        json_put_text(writer, "role", role_name(placement->role));
    if (placement->provenance != PROVENANCE_ANY)
        json_put_text(writer, "provenance", provenance_name(placement->provenance));
    value_put_span(writer, "round_trip_max", placement->round_trip_max);
    value_put_text(writer, "near", placement->near);
    json_end_object(writer);
}

static void encode_inputs(const struct job_spec *spec, struct json_writer *writer)
{
    if (spec->input_count == 0)
        return;
    json_key(writer, "inputs");
    json_begin_array(writer);
    for (uint32_t i = 0; i < spec->input_count; i++) {
        const struct job_input *input = &spec->inputs[i];
        json_begin_object(writer);
        json_put_string(writer, "path", input->path);
        json_put_id(writer, "artifact", input->artifact, ID_PREFIX_ARTIFACT);
        value_put_text(writer, "dataset", input->dataset);
        if (input->size_bytes != 0)
            json_put_u64(writer, "size_bytes", input->size_bytes);
        value_put_text(writer, "jurisdiction", input->jurisdiction);
        value_put_list(writer, "homes", &input->homes);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void encode_retry(const struct job_spec *spec, struct json_writer *writer)
{
    if (spec->retry_named == 0)
        return;
    json_key(writer, "retry");
    json_begin_object(writer);
    for (unsigned i = FAILURE_OUT_OF_MEMORY; i < FAILURE_CLASS_COUNT_; i++)
        if ((spec->retry_named >> i & 1) != 0)
            json_put_u64(writer, failure_name((enum failure_class)i), spec->retry_max[i]);
    json_end_object(writer);
}

static bool is_same_retry(const struct job_spec *a, const struct job_spec *b)
{
    for (unsigned i = FAILURE_OUT_OF_MEMORY; i < FAILURE_CLASS_COUNT_; i++)
        if ((a->retry_named >> i & 1) != 0 && a->retry_max[i] != b->retry_max[i])
            return false;
    return a->retry_named == b->retry_named && a->retries_max == b->retries_max;
}

static void encode_terms(const struct job_spec *spec, struct json_writer *writer)
{
    if (spec->priority != PRIORITY_STANDARD)
        json_put_text(writer, "priority", priority_name(spec->priority));
    if (spec->contact != CONTACT_STRICT) {
        json_key(writer, "contact");
        json_begin_object(writer);
        json_put_text(writer, "policy", contact_name(spec->contact));
        value_put_span(writer, "lease", spec->lease);
        json_end_object(writer);
    }
    value_put_text(writer, "workload", spec->workload);
    value_put_span(writer, "time_limit", spec->time_limit);
    value_put_span(writer, "expected", spec->expected);
    value_put_wall(writer, "deadline", spec->deadline);
    if (spec->budget.micros != 0)
        json_put_money(writer, "budget", spec->budget);
    if (spec->retries_max != 0)
        json_put_u64(writer, "retries", spec->retries_max);
    encode_retry(spec, writer);
}

void spec_encode(const struct job_spec *spec, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_string(writer, "name", spec->name);
    encode_resources(spec, writer);
    if (spec->num_nodes != 1)
        json_put_u64(writer, "num_nodes", spec->num_nodes);
    json_key(writer, "variants");
    json_begin_array(writer);
    for (uint32_t i = 0; i < spec->variant_count; i++)
        encode_variant(&spec->variants[i], writer);
    json_end_array(writer);
    encode_array(spec, writer);
    value_put_text(writer, "workdir", spec->workdir);
    encode_pairs(writer, "file_mounts", spec->mounts, spec->mount_count);
    value_put_list(writer, "datasets", &spec->datasets);
    encode_inputs(spec, writer);
    value_put_list(writer, "outputs", &spec->outputs);
    value_put_list(writer, "shared_folders", &spec->shared_folders);
    encode_checkpoint(spec, writer);
    encode_placement(&spec->placement, writer);
    encode_terms(spec, writer);
    json_end_object(writer);
}

enum err spec_encode_bytes(const struct job_spec *spec, struct buffer *out)
{
    struct json_writer writer;

    json_writer_init(&writer, out);
    spec_encode(spec, &writer);
    return json_writer_finish(&writer);
}

static bool is_same_pairs(const struct text_pair *a, uint32_t a_count, const struct text_pair *b,
                          uint32_t b_count)
{
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++)
        if (!slice_is_equal(a[i].key, b[i].key) || !slice_is_equal(a[i].value, b[i].value))
            return false;
    return true;
}

static bool is_same_list(const struct text_list *a, const struct text_list *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!slice_is_equal(a->items[i], b->items[i]))
            return false;
    return true;
}

static bool is_same_inputs(const struct job_spec *a, const struct job_spec *b)
{
    if (a->input_count != b->input_count)
        return false;
    for (uint32_t i = 0; i < a->input_count; i++) {
        const struct job_input *x = &a->inputs[i], *y = &b->inputs[i];
        if (!slice_is_equal(x->path, y->path) || !id_is_equal(x->artifact, y->artifact) ||
            !slice_is_equal(x->dataset, y->dataset) || x->size_bytes != y->size_bytes ||
            !slice_is_equal(x->jurisdiction, y->jurisdiction) ||
            !is_same_list(&x->homes, &y->homes))
            return false;
    }
    return true;
}

static bool is_same_variant(const struct job_variant *a, const struct job_variant *b)
{
    return a->runtime == b->runtime && slice_is_equal(a->accelerator, b->accelerator) &&
           a->accelerators == b->accelerators && slice_is_equal(a->image, b->image) &&
           slice_is_equal(a->setup, b->setup) && slice_is_equal(a->run, b->run) &&
           is_same_pairs(a->envs, a->env_count, b->envs, b->env_count);
}

static bool is_same_checkpoint(const struct job_checkpoint *a, const struct job_checkpoint *b)
{
    return slice_is_equal(a->dir, b->dir) && a->signal == b->signal && a->grace.ms == b->grace.ms &&
           a->every.ms == b->every.ms && a->same_world_size == b->same_world_size;
}

static bool is_same_placement(const struct job_placement *a, const struct job_placement *b)
{
    return is_same_list(&a->regions, &b->regions) && is_same_list(&a->sites, &b->sites) &&
           is_same_list(&a->avoid_sites, &b->avoid_sites) &&
           is_same_list(&a->jurisdictions, &b->jurisdictions) && a->role == b->role &&
           a->provenance == b->provenance && a->round_trip_max.ms == b->round_trip_max.ms &&
           slice_is_equal(a->near, b->near);
}

bool spec_is_equal(const struct job_spec *a, const struct job_spec *b)
{
    if (a->variant_count != b->variant_count)
        return false;
    for (uint32_t i = 0; i < a->variant_count; i++)
        if (!is_same_variant(&a->variants[i], &b->variants[i]))
            return false;
    return slice_is_equal(a->name, b->name) && slice_is_equal(a->workload, b->workload) &&
           a->num_nodes == b->num_nodes && a->cpu_milli == b->cpu_milli &&
           a->mem_bytes == b->mem_bytes && a->scratch_bytes == b->scratch_bytes &&
           a->pids_max == b->pids_max && a->array_count == b->array_count &&
           a->array_parallel_max == b->array_parallel_max &&
           slice_is_equal(a->workdir, b->workdir) &&
           is_same_pairs(a->mounts, a->mount_count, b->mounts, b->mount_count) &&
           is_same_list(&a->datasets, &b->datasets) && is_same_inputs(a, b) &&
           is_same_list(&a->outputs, &b->outputs) &&
           is_same_list(&a->shared_folders, &b->shared_folders) &&
           is_same_checkpoint(&a->checkpoint, &b->checkpoint) &&
           is_same_placement(&a->placement, &b->placement) && a->priority == b->priority &&
           a->contact == b->contact && a->lease.ms == b->lease.ms &&
           a->time_limit.ms == b->time_limit.ms && a->expected.ms == b->expected.ms &&
           a->deadline.us == b->deadline.us && a->budget.micros == b->budget.micros &&
           is_same_retry(a, b);
}
