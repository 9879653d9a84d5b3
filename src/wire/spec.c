/* Reading a job. The order: members into the struct, defaults, then the rules of model/job_spec.c,
 * whose faults are traced back to the place in the source. */
#include "wire/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/words.h"
#include "wire/doc.h"
#include "wire/value.h"

/* What the variants share unless they say otherwise. */
struct common {
    struct slice image, setup, run;
    struct text_pair *envs; /* sorted, unique */
    uint32_t env_count;
};

struct decoder {
    const struct catalogue *catalogue; /* may be NULL */
    struct arena *arena;
    struct fault *fault;
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const SPEC_KEYS[] = {
    "name",           "resources",   "num_nodes", "run",      "envs",       "variants",
    "setup",          "image",       "workdir",   "array",    "checkpoint", "outputs",
    "datasets",       "file_mounts", "placement", "priority", "contact",    "time_limit",
    "expected",       "deadline",    "budget",    "retries",  "retry",      "inputs",
    "shared_folders", "workload",
};
static const char *const INPUT_KEYS[] = {"path",       "artifact",     "dataset",
                                         "size_bytes", "jurisdiction", "homes"};
static const char *const RESOURCE_KEYS[] = {"cpus",    "memory",       "scratch", "pids",
                                            "runtime", "accelerators", "any_of",  "image"};
static const char *const ANY_OF_KEYS[] = {"accelerators", "runtime", "image"};
static const char *const VARIANT_KEYS[] = {"runtime", "accelerators", "image",
                                           "setup",   "run",          "envs"};
static const char *const ARRAY_KEYS[] = {"count", "parallel"};
static const char *const CHECKPOINT_KEYS[] = {"dir", "signal", "grace", "every", "same_world_size"};
static const char *const PLACEMENT_KEYS[] = {"regions",        "sites", "avoid_sites",
                                             "jurisdictions",  "role",  "provenance",
                                             "round_trip_max", "near"};
/* Classes of failure from FAILURE_OUT_OF_MEMORY on, in their order; `retries` is of those before.
 */
static const char *const RETRY_KEYS[] = {"out_of_memory", "time_limit", "preempted",
                                         "node_lost",     "site_lost",  "bad_environment",
                                         "refused",       "not_started"};
_Static_assert(COUNT(RETRY_KEYS) == FAILURE_CLASS_COUNT_ - FAILURE_OUT_OF_MEMORY,
               "every class that a spec may name");
static const char *const CONTACT_KEYS[] = {"policy", "lease"};

void spec_defaults(struct job_spec *out)
{
    *out = (struct job_spec){
        .num_nodes = 1,
        .cpu_milli = JOB_CPU_MILLI_DEFAULT,
        .mem_bytes = JOB_MEM_BYTES_DEFAULT,
        .scratch_bytes = JOB_SCRATCH_BYTES_DEFAULT,
        .pids_max = JOB_PIDS_DEFAULT,
        .array_count = 1,
        .checkpoint.grace = JOB_GRACE_DEFAULT,
        .priority = PRIORITY_STANDARD,
    };
}

static int compare_pairs(const void *a, const void *b)
{
    const struct text_pair *left = a, *right = b;
    return slice_compare(left->key, right->key);
}

/* {NAME: value, ...}, sorted by key. Keys of one object are unique by the reader of the format. */
static enum err decode_pairs(const struct decoder *decoder, struct json_value value,
                             uint32_t count_max, size_t len_max, struct text_pair **out,
                             uint32_t *out_count)
{
    struct json_iterator it;
    struct text_pair *pairs;
    enum err err = json_to_object(value, &value, decoder->fault);
    size_t count = json_count(value);

    if (err != ERR_OK || count == 0)
        return err;
    if (count > count_max)
        return json_refuse(value, decoder->fault, ERR_LIMIT, "at most %u entries, not %zu",
                           count_max, count);
    pairs = arena_array(decoder->arena, count, sizeof(*pairs));
    if (pairs == NULL)
        return fault_set(decoder->fault, ERR_NO_MEMORY, NULL, "no memory for the entries");
    it = json_iterate(value);
    while (err == ERR_OK && json_next(&it)) {
        struct text_pair *pair = &pairs[it.index];
        if (json_is_null(it.value))
            return json_refuse(it.value, decoder->fault, ERR_INVALID,
                               "has no value; write \"\" for an empty one");
        err = value_copy(decoder->arena, it.key, &pair->key, decoder->fault);
        if (err == ERR_OK)
            err = value_text(it.value, len_max, decoder->arena, &pair->value, decoder->fault);
    }
    if (err != ERR_OK)
        return err;
    if (count > 1)
        qsort(pairs, count, sizeof(*pairs), compare_pairs);
    *out = pairs;
    *out_count = (uint32_t)count;
    return ERR_OK;
}

/* Two sorted lists into one; `own` wins. */
static enum err merge_envs(const struct decoder *decoder, const struct common *common,
                           const struct text_pair *own, uint32_t own_count,
                           struct job_variant *variant)
{
    uint32_t i = 0, j = 0, count = 0;
    struct text_pair *merged;

    if (own_count == 0 || common->env_count == 0) {
        variant->envs = own_count == 0 ? common->envs : own;
        variant->env_count = own_count == 0 ? common->env_count : own_count;
        return ERR_OK;
    }
    merged = arena_array(decoder->arena, (size_t)own_count + common->env_count, sizeof(*merged));
    if (merged == NULL)
        return fault_set(decoder->fault, ERR_NO_MEMORY, NULL, "no memory for the variables");
    while (i < own_count || j < common->env_count) {
        int order = i == own_count           ? 1
                    : j == common->env_count ? -1
                                             : slice_compare(own[i].key, common->envs[j].key);
        if (order == 0)
            j++;
        merged[count++] = order <= 0 ? own[i++] : common->envs[j++];
    }
    variant->envs = merged;
    variant->env_count = count;
    return ERR_OK;
}

/* The runtime: said, or the catalogue's for the model, or cpu where no accelerators are asked. */
static void decode_runtime(const struct decoder *decoder, struct value_reader *reader,
                           struct job_variant *variant)
{
    struct json_value value = value_member(reader, "accelerators");
    struct json_value said = value_member(reader, "runtime");
    const struct accelerator *row = NULL;
    unsigned runtime = RUNTIME_CPU;

    if (!json_is_missing(value))
        value_fail(reader, value_accelerators(value, JOB_ACCELERATORS_MAX, decoder->arena,
                                              &variant->accelerator, &variant->accelerators,
                                              decoder->fault));
    if (reader->err == ERR_OK && decoder->catalogue != NULL && variant->accelerator.len > 0) {
        struct fault unknown;
        enum err err =
            catalogue_resolve(decoder->catalogue, variant->accelerator, NULL, &row, &unknown);
        if (err != ERR_OK)
            value_fail(reader,
                       json_refuse(value, decoder->fault, ERR_INVALID, "%s", unknown.message));
        else
            value_fail(reader, value_copy(decoder->arena, row->model, &variant->accelerator,
                                          decoder->fault));
    }
    if (!json_is_missing(said)) /* without one there may be no object to look into */
        value_opt_choice(reader, "runtime", RUNTIME_WORDS, RUNTIME_COUNT_, &runtime);
    if (reader->err != ERR_OK)
        return;
    if (json_is_missing(said) && row != NULL)
        runtime = row->runtime;
    else if (json_is_missing(said) && variant->accelerators > 0)
        reader->err = json_refuse(value, decoder->fault, ERR_INVALID,
                                  "say the runtime beside it, such as runtime: cuda");
    else if (row != NULL && runtime != row->runtime && runtime != RUNTIME_OPENCL)
        reader->err =
            json_refuse(said, decoder->fault, ERR_INVALID, "'%.*s' runs %s, not %s",
                        SLICE_ARG(row->model), runtime_name(row->runtime), RUNTIME_WORDS[runtime]);
    variant->runtime = (enum runtime)runtime;
}

static enum err decode_variant(const struct decoder *decoder, struct json_value value,
                               const char *const keys[], size_t key_count,
                               const struct common *common, struct job_variant *out)
{
    struct value_reader reader;
    struct text_pair *envs = NULL;
    struct json_value member;
    uint32_t env_count = 0;

    value_begin(&reader, value, keys, key_count, decoder->arena, decoder->fault);
    *out = (struct job_variant){.image = common->image, .setup = common->setup, .run = common->run};
    decode_runtime(decoder, &reader, out);
    value_opt_string(&reader, "image", JOB_IMAGE_MAX, &out->image);
    if (keys == VARIANT_KEYS) {
        value_opt_string(&reader, "setup", JOB_SCRIPT_BYTES_MAX, &out->setup);
        value_opt_string(&reader, "run", JOB_SCRIPT_BYTES_MAX, &out->run);
        member = value_member(&reader, "envs");
        if (!json_is_missing(member))
            value_fail(&reader, decode_pairs(decoder, member, JOB_ENVS_MAX, JOB_ENV_BYTES_MAX,
                                             &envs, &env_count));
    }
    if (reader.err != ERR_OK)
        return reader.err;
    return merge_envs(decoder, common, envs, env_count, out);
}

static void decode_variant_list(const struct decoder *decoder, struct value_reader *reader,
                                const char *name, const char *const keys[], size_t key_count,
                                const struct common *common, struct job_spec *out)
{
    struct json_value list;
    struct json_iterator it;
    struct job_variant *variants;

    value_opt_array(reader, name, JOB_VARIANTS_MAX, &list);
    variants = value_room(reader, json_count(list), sizeof(*variants));
    if (reader->err == ERR_OK && variants == NULL) {
        value_refuse(reader, name, ERR_INVALID, "must have at least one entry");
        return;
    }
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it))
        reader->err =
            decode_variant(decoder, it.value, keys, key_count, common, &variants[it.index]);
    out->variants = variants;
    out->variant_count = (uint32_t)json_count(list);
}

/* One variant from resources.accelerators (or none at all: cpu). */
static void decode_single(const struct decoder *decoder, struct value_reader *resources,
                          const struct common *common, struct job_spec *out)
{
    struct job_variant *variant = value_room(resources, 1, sizeof(*variant));

    if (variant == NULL)
        return;
    *variant =
        (struct job_variant){.image = common->image, .setup = common->setup, .run = common->run};
    decode_runtime(decoder, resources, variant);
    if (resources->err == ERR_OK)
        resources->err = merge_envs(decoder, common, NULL, 0, variant);
    out->variants = variant;
    out->variant_count = 1;
}

static void decode_quantities(struct value_reader *resources, struct job_spec *out)
{
    uint64_t milli = out->cpu_milli;

    value_opt_cpus(resources, "cpus", JOB_CPU_MILLI_MAX, &milli);
    value_opt_size(resources, "memory", &out->mem_bytes);
    value_opt_size(resources, "scratch", &out->scratch_bytes);
    value_opt_u32(resources, "pids", 1, JOB_PIDS_MAX, &out->pids_max);
    out->cpu_milli = (uint32_t)milli;
}

/* resources and variants: what is asked for, and in which shapes. */
static void decode_shapes(const struct decoder *decoder, struct value_reader *reader,
                          struct common *common, struct job_spec *out)
{
    struct json_value resources = value_member(reader, "resources");
    bool has_variants = !json_is_missing(value_member(reader, "variants"));
    struct value_reader inner = {.object = {0}, .arena = decoder->arena, .fault = decoder->fault};
    bool has_any_of, has_own;

    if (reader->err != ERR_OK)
        return;
    if (!json_is_missing(resources)) {
        value_begin(&inner, resources, RESOURCE_KEYS, COUNT(RESOURCE_KEYS), decoder->arena,
                    decoder->fault);
        value_opt_string(&inner, "image", JOB_IMAGE_MAX, &common->image);
        decode_quantities(&inner, out);
    }
    has_any_of = !json_is_missing(value_member(&inner, "any_of"));
    has_own = !json_is_missing(value_member(&inner, "accelerators")) ||
              !json_is_missing(value_member(&inner, "runtime"));
    if (has_any_of && (has_own || has_variants))
        value_refuse(&inner, "any_of", ERR_INVALID,
                     "cannot stand beside variants or resources.accelerators; list all of them in "
                     "one place");
    else if (has_variants && has_own)
        value_refuse(&inner,
                     json_is_missing(value_member(&inner, "accelerators")) ? "runtime"
                                                                           : "accelerators",
                     ERR_INVALID, "cannot stand beside variants; say it in each of them");
    else if (has_any_of)
        decode_variant_list(decoder, &inner, "any_of", ANY_OF_KEYS, COUNT(ANY_OF_KEYS), common,
                            out);
    else if (!has_variants)
        decode_single(decoder, &inner, common, out);
    value_fail(reader, inner.err);
    if (has_variants)
        decode_variant_list(decoder, reader, "variants", VARIANT_KEYS, COUNT(VARIANT_KEYS), common,
                            out);
}

static void decode_array(struct value_reader *reader, struct job_spec *out)
{
    struct json_value value = value_member(reader, "array");
    struct value_reader inner;

    if (json_is_missing(value))
        return;
    if (json_type_of(value) == JSON_INTEGER) {
        value_opt_u32(reader, "array", 1, JOB_ARRAY_MAX, &out->array_count);
        return;
    }
    value_begin(&inner, value, ARRAY_KEYS, COUNT(ARRAY_KEYS), reader->arena, reader->fault);
    value_opt_u32(&inner, "count", 1, JOB_ARRAY_MAX, &out->array_count);
    value_opt_u32(&inner, "parallel", 1, JOB_ARRAY_MAX, &out->array_parallel_max);
    value_fail(reader, inner.err);
}

static void decode_signal(struct value_reader *reader, int32_t *out)
{
    struct json_value value = value_member(reader, "signal");
    struct slice text = {"", 0};
    uint64_t number;

    if (json_is_missing(value))
        return;
    reader->err = value_text(value, 16, reader->arena, &text, reader->fault);
    if (reader->err != ERR_OK || signal_parse(text, out) == ERR_OK)
        return;
    if (slice_parse_u64(text, &number) == ERR_OK && number <= 64 &&
        signal_word((int32_t)number) != NULL)
        *out = (int32_t)number;
    else
        reader->err = json_refuse(value, reader->fault, ERR_INVALID,
                                  "must be one of HUP, INT, USR1, USR2, TERM");
}

static void decode_checkpoint(struct value_reader *reader, struct job_spec *out)
{
    struct json_value value = value_member(reader, "checkpoint");
    struct job_checkpoint *checkpoint = &out->checkpoint;
    struct value_reader inner;

    checkpoint->grace = job_spec_default_grace(out);
    if (json_is_missing(value))
        return;
    value_begin(&inner, value, CHECKPOINT_KEYS, COUNT(CHECKPOINT_KEYS), reader->arena,
                reader->fault);
    value_opt_string(&inner, "dir", PATH_MAX_BYTES, &checkpoint->dir);
    decode_signal(&inner, &checkpoint->signal);
    if (inner.err == ERR_OK) /* no grace at all is a choice that may be made */
        inner.err = json_opt_span(value, "grace", &checkpoint->grace, reader->fault);
    value_opt_span(&inner, "every", &checkpoint->every);
    value_opt_bool(&inner, "same_world_size", &checkpoint->same_world_size);
    value_fail(reader, inner.err);
}

static void decode_placement(struct value_reader *reader, struct job_spec *out)
{
    struct json_value value = value_member(reader, "placement");
    struct job_placement *placement = &out->placement;
    unsigned role = ROLE_ANY, provenance = PROVENANCE_ANY;
    struct value_reader inner;

    if (json_is_missing(value))
        return;
    value_begin(&inner, value, PLACEMENT_KEYS, COUNT(PLACEMENT_KEYS), reader->arena, reader->fault);
    value_opt_list(&inner, "regions", JOB_PLACES_MAX, NAME_MAX, &placement->regions);
    value_opt_list(&inner, "sites", JOB_PLACES_MAX, NAME_MAX, &placement->sites);
    value_opt_list(&inner, "avoid_sites", JOB_PLACES_MAX, NAME_MAX, &placement->avoid_sites);
    value_opt_list(&inner, "jurisdictions", JOB_PLACES_MAX, NAME_MAX, &placement->jurisdictions);
    value_opt_choice(&inner, "role", REGION_ROLE_WORDS, ROLE_COUNT_, &role);
    value_opt_choice(&inner, "provenance", PROVENANCE_WORDS, PROVENANCE_COUNT_, &provenance);
    value_opt_span(&inner, "round_trip_max", &placement->round_trip_max);
    value_opt_string(&inner, "near", NAME_MAX, &placement->near);
    placement->role = (enum region_role)role;
    placement->provenance = (enum provenance)provenance;
    value_fail(reader, inner.err);
}

static void decode_contact(struct value_reader *reader, struct job_spec *out)
{
    struct json_value value = value_member(reader, "contact");
    struct value_reader inner;
    unsigned policy = CONTACT_STRICT;

    if (json_is_missing(value))
        return;
    if (json_type_of(value) == JSON_STRING) {
        value_opt_choice(reader, "contact", CONTACT_WORDS, CONTACT_COUNT_, &policy);
    } else {
        value_begin(&inner, value, CONTACT_KEYS, COUNT(CONTACT_KEYS), reader->arena, reader->fault);
        value_need_choice(&inner, "policy", CONTACT_WORDS, CONTACT_COUNT_, &policy);
        value_opt_span(&inner, "lease", &out->lease);
        value_fail(reader, inner.err);
    }
    out->contact = (enum contact_policy)policy;
}

static void decode_retry(struct value_reader *reader, struct job_spec *out)
{
    struct json_value value = value_member(reader, "retry");
    struct value_reader inner;

    if (json_is_missing(value))
        return;
    value_begin(&inner, value, RETRY_KEYS, COUNT(RETRY_KEYS), reader->arena, reader->fault);
    for (unsigned i = 0; i < COUNT(RETRY_KEYS); i++) {
        unsigned failure = FAILURE_OUT_OF_MEMORY + i;
        uint32_t budget = 0, most = failure_rule((enum failure_class)failure)->budget_max;
        if (json_is_missing(value_member(&inner, RETRY_KEYS[i])))
            continue;
        value_opt_u32(&inner, RETRY_KEYS[i], 0, most, &budget);
        out->retry_named |= UINT32_C(1) << failure;
        out->retry_max[failure] = (uint8_t)budget;
    }
    value_fail(reader, inner.err);
}

static void decode_terms(struct value_reader *reader, struct job_spec *out)
{
    unsigned priority = PRIORITY_STANDARD;
    struct maybe_money budget = {0};

    value_opt_choice(reader, "priority", PRIORITY_WORDS, PRIORITY_COUNT_, &priority);
    value_opt_span(reader, "time_limit", &out->time_limit);
    value_opt_span(reader, "expected", &out->expected);
    value_opt_string(reader, "workload", JOB_NAME_MAX, &out->workload);
    value_opt_wall(reader, "deadline", &out->deadline);
    value_opt_maybe_money(reader, "budget", &budget);
    if (budget.has && budget.value.micros <= 0)
        value_refuse(reader, "budget", ERR_INVALID,
                     "must be more than zero; leave it out for no limit");
    value_opt_u32(reader, "retries", 0, JOB_RETRIES_MAX, &out->retries_max);
    decode_retry(reader, out);
    out->priority = (enum priority_class)priority;
    out->budget = budget.value;
}

static void decode_inputs(struct value_reader *reader, struct job_spec *out)
{
    struct json_value list;
    value_opt_array(reader, "inputs", JOB_INPUTS_MAX, &list);
    struct job_input *inputs = value_room(reader, json_count(list), sizeof(*inputs));
    struct json_iterator it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it)) {
        struct job_input *input = &inputs[it.index];
        struct value_reader inner;
        *input = (struct job_input){.dataset = {"", 0}, .jurisdiction = {"", 0}};
        value_begin(&inner, it.value, INPUT_KEYS, COUNT(INPUT_KEYS), reader->arena, reader->fault);
        value_need_string(&inner, "path", PATH_MAX_BYTES, &input->path);
        value_need_id(&inner, "artifact", ID_PREFIX_ARTIFACT, &input->artifact);
        value_opt_string(&inner, "dataset", NAME_MAX, &input->dataset);
        value_opt_u64(&inner, "size_bytes", 0, INT64_MAX, &input->size_bytes);
        value_opt_string(&inner, "jurisdiction", NAME_MAX, &input->jurisdiction);
        value_opt_list(&inner, "homes", JOB_INPUT_HOMES_MAX, NAME_MAX, &input->homes);
        value_fail(reader, inner.err);
    }
    out->inputs = inputs;
    out->input_count = (uint32_t)json_count(list);
}

static void decode_files(const struct decoder *decoder, struct value_reader *reader,
                         struct job_spec *out)
{
    struct json_value mounts = value_member(reader, "file_mounts");
    struct text_pair *pairs = NULL;

    value_opt_string(reader, "workdir", JOB_WORKDIR_MAX, &out->workdir);
    value_opt_list(reader, "outputs", JOB_PLACES_MAX, PATH_MAX_BYTES, &out->outputs);
    value_opt_list(reader, "datasets", JOB_DATASETS_MAX, NAME_MAX, &out->datasets);
    value_opt_list(reader, "shared_folders", JOB_SHARED_FOLDERS_MAX, PATH_MAX_BYTES,
                   &out->shared_folders);
    if (!json_is_missing(mounts) && reader->err == ERR_OK)
        reader->err =
            decode_pairs(decoder, mounts, JOB_MOUNTS_MAX, NAME_MAX, &pairs, &out->mount_count);
    out->mounts = pairs;
    decode_inputs(reader, out);
}

/* The rules name fields as the canonical form has them; what the user wrote may stand elsewhere. */
static enum err trace_fault(struct json_value root, enum err err, struct fault *fault)
{
    struct json_value resources = json_object_get(root, "resources");
    char index[16];
    struct slice path;
    unsigned variant = 0;
    size_t at = 0;

    if (err == ERR_OK || fault == NULL)
        return err;
    path = slice_of(fault->field);
    if (!slice_has_prefix(path, SLICE_LITERAL("variants[")) ||
        !json_is_missing(json_object_get(root, "variants")))
        return value_locate(root, err, fault);
    variant = (unsigned)(path.data[sizeof("variants[") - 1] - '0'); /* JOB_VARIANTS_MAX < 10 */
    at = sizeof("variants[0]") - 1;
    if (at < path.len && path.data[at] == '.')
        at++;
    memmove(fault->field, fault->field + at, path.len - at + 1);
    path = slice_of(fault->field);
    if (path.len == 0 || slice_has_prefix(path, SLICE_LITERAL("accelerators")) ||
        slice_has_prefix(path, SLICE_LITERAL("runtime")) ||
        (slice_is(path, "image") && json_is_missing(json_object_get(root, "image")))) {
        snprintf(index, sizeof(index), "any_of[%u]", variant);
        if (!json_is_missing(json_object_get(resources, "any_of")))
            fault_prefix(fault, index);
        fault_prefix(fault, "resources");
    }
    return value_locate(root, err, fault);
}

enum err spec_decode_with_catalogue(struct json_value value, const struct catalogue *catalogue,
                                    struct arena *arena, struct job_spec *out, struct fault *fault)
{
    struct decoder decoder = {.catalogue = catalogue, .arena = arena, .fault = fault};
    struct common common = {.image = {"", 0}, .setup = {"", 0}, .run = {"", 0}};
    struct value_reader reader;
    struct json_value envs;
    struct job_spec spec;
    enum err err;

    spec_defaults(&spec);
    value_begin(&reader, value, SPEC_KEYS, COUNT(SPEC_KEYS), arena, fault);
    value_need_string(&reader, "name", JOB_NAME_MAX, &spec.name);
    value_opt_u32(&reader, "num_nodes", 1, JOB_NODES_MAX, &spec.num_nodes);
    value_opt_string(&reader, "image", JOB_IMAGE_MAX, &common.image);
    value_opt_string(&reader, "setup", JOB_SCRIPT_BYTES_MAX, &common.setup);
    value_opt_string(&reader, "run", JOB_SCRIPT_BYTES_MAX, &common.run);
    envs = value_member(&reader, "envs");
    if (!json_is_missing(envs))
        value_fail(&reader, decode_pairs(&decoder, envs, JOB_ENVS_MAX, JOB_ENV_BYTES_MAX,
                                         &common.envs, &common.env_count));
    decode_shapes(&decoder, &reader, &common, &spec);
    decode_array(&reader, &spec);
    decode_files(&decoder, &reader, &spec);
    decode_terms(&reader, &spec);
    decode_checkpoint(&reader, &spec);
    decode_placement(&reader, &spec);
    decode_contact(&reader, &spec);
    if (reader.err != ERR_OK)
        return reader.err;
    err = trace_fault(value, job_spec_check(&spec, fault), fault);
    if (err == ERR_OK)
        *out = spec;
    return err;
}

enum err spec_decode(struct json_value value, struct arena *arena, struct job_spec *out,
                     struct fault *fault)
{
    return spec_decode_with_catalogue(value, NULL, arena, out, fault);
}

/* The texts of a spec may all have to be escaped. */
static const struct json_limits SPEC_LIMITS = {
    .bytes = (size_t)8 * JOB_TEXT_BYTES_MAX, .depth = 8, .values = 16384};

enum err spec_parse(struct slice json, struct arena *arena, struct job_spec *out,
                    struct fault *fault)
{
    struct json_document *document = NULL;
    enum err err = json_parse(json, &SPEC_LIMITS, &document, fault);

    if (err == ERR_OK)
        err = spec_decode(json_root(document), arena, out, fault);
    json_document_destroy(document);
    return err;
}
