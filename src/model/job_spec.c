/* The rules of a job_spec that need no knowledge of the network. Faults name the field as the
 * canonical JSON does (docs/formats/job.md). */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "model/job.h"
#include "model/name.h"
#include "model/words.h"

/* Puts "path[index]" before the fault's field; returns `err`. */
static enum err at_index(struct fault *fault, const char *path, uint32_t index, enum err err)
{
    char prefix[FAULT_FIELD_MAX];

    snprintf(prefix, sizeof(prefix), "%s[%u]", path, index);
    fault_prefix(fault, prefix);
    return err;
}

static enum err at_key(struct fault *fault, const char *path, struct slice key, enum err err)
{
    char prefix[FAULT_FIELD_MAX];

    snprintf(prefix, sizeof(prefix), "%s.%.*s", path, key.len > 80 ? 80 : (int)key.len,
             key.len == 0 ? "" : key.data);
    fault_prefix(fault, prefix);
    return err;
}

static bool has_nul(struct slice text)
{
    return text.len > 0 && memchr(text.data, '\0', text.len) != NULL;
}

static enum err check_span(struct span_ms span, struct span_ms min, struct span_ms max,
                           const char *field, struct fault *fault)
{
    char low[TIME_TEXT_MAX], high[TIME_TEXT_MAX];

    if (span.ms >= min.ms && span.ms <= max.ms)
        return ERR_OK;
    span_format(min, low);
    span_format(max, high);
    return fault_set(fault, span.ms > max.ms ? ERR_LIMIT : ERR_INVALID, field,
                     "must be between %s and %s", low, high);
}

static enum err check_range(uint64_t value, uint64_t min, uint64_t max, const char *field,
                            struct fault *fault)
{
    if (value >= min && value <= max)
        return ERR_OK;
    return fault_set(fault, value > max ? ERR_LIMIT : ERR_INVALID, field,
                     "must be between %llu and %llu", (unsigned long long)min,
                     (unsigned long long)max);
}

static enum err check_size(uint64_t bytes, uint64_t min, uint64_t max, const char *field,
                           struct fault *fault)
{
    char low[UNITS_TEXT_MAX], high[UNITS_TEXT_MAX];

    if (bytes >= min && bytes <= max)
        return ERR_OK;
    units_format_bytes(min, low);
    units_format_bytes(max, high);
    return fault_set(fault, bytes > max ? ERR_LIMIT : ERR_INVALID, field,
                     "must be between %s and %s", low, high);
}

static enum err check_env_name(struct slice name, struct fault *fault)
{
    if (name.len == 0 || name.len > JOB_ENV_NAME_MAX)
        return fault_set(fault, ERR_INVALID, NULL,
                         "the name of an environment variable has 1 to %d characters",
                         JOB_ENV_NAME_MAX);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && !(i > 0 && c >= '0' && c <= '9'))
            return fault_set(fault, ERR_INVALID, NULL,
                             "the name of an environment variable has letters, digits and '_', and "
                             "does not begin with a digit");
    }
    if (slice_has_prefix(name, SLICE_LITERAL("LQ_")))
        return fault_set(fault, ERR_INVALID, NULL,
                         "names that begin with LQ_ are set by the network");
    return ERR_OK;
}

static enum err check_envs(const struct job_variant *variant, struct fault *fault)
{
    size_t bytes = 0;

    if (variant->env_count > JOB_ENVS_MAX)
        return fault_set(fault, ERR_LIMIT, "envs", "at most %d variables, not %u", JOB_ENVS_MAX,
                         variant->env_count);
    for (uint32_t i = 0; i < variant->env_count; i++) {
        const struct text_pair *env = &variant->envs[i];
        enum err err = check_env_name(env->key, fault);
        if (err == ERR_OK && has_nul(env->value))
            err = fault_set(fault, ERR_INVALID, NULL, "must not contain a NUL character");
        if (err == ERR_OK && i > 0 && slice_compare(variant->envs[i - 1].key, env->key) >= 0)
            err = fault_set(fault, ERR_INVALID, NULL, "variables are sorted and unique");
        if (err != ERR_OK)
            return at_key(fault, "envs", env->key, err);
        bytes += env->key.len + env->value.len + 2;
        if (env->value.len > JOB_ENV_BYTES_MAX || bytes > JOB_ENV_BYTES_MAX)
            return fault_set(fault, ERR_LIMIT, "envs", "all variables together pass %d bytes",
                             JOB_ENV_BYTES_MAX);
    }
    return ERR_OK;
}

static enum err check_script(struct slice script, const char *field, struct fault *fault)
{
    if (script.len > JOB_SCRIPT_BYTES_MAX)
        return fault_set(fault, ERR_LIMIT, field, "at most %d bytes, not %zu", JOB_SCRIPT_BYTES_MAX,
                         script.len);
    if (has_nul(script))
        return fault_set(fault, ERR_INVALID, field, "must not contain a NUL character");
    if (!slice_is_utf8(script))
        return fault_set(fault, ERR_INVALID, field, "is not valid UTF-8");
    return ERR_OK;
}

static bool is_blank(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != ' ' && text.data[i] != '\t' && text.data[i] != '\n' &&
            text.data[i] != '\r')
            return false;
    return true;
}

/* What podman and crun take for an image reference; no leading dash, so never an option. */
static enum err check_image(struct slice image, struct fault *fault)
{
    if (image.len > JOB_IMAGE_MAX)
        return fault_set(fault, ERR_LIMIT, "image", "at most %d bytes", JOB_IMAGE_MAX);
    for (size_t i = 0; i < image.len; i++) {
        char c = image.data[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (i == 0 || c == '\0' || !strchr("._-/:@+", c)))
            return fault_set(
                fault, ERR_INVALID, "image",
                "an image reference has letters, digits and . _ - / : @ + , and begins "
                "with a letter or digit");
    }
    return ERR_OK;
}

static enum err check_variant(const struct job_variant *variant, struct fault *fault)
{
    enum err err;

    if ((unsigned)variant->runtime >= RUNTIME_COUNT_)
        return fault_set(fault, ERR_INVALID, "runtime", "is no runtime");
    if (variant->runtime == RUNTIME_CPU &&
        (variant->accelerators > 0 || variant->accelerator.len > 0))
        return fault_set(fault, ERR_INVALID, "accelerators", "runtime cpu has no accelerators");
    if (variant->runtime != RUNTIME_CPU && variant->accelerators == 0)
        return fault_set(fault, ERR_INVALID, "accelerators",
                         "a runtime other than cpu needs accelerators: say how many a node");
    if (variant->runtime != RUNTIME_CPU) {
        err = check_range(variant->accelerators, 1, JOB_ACCELERATORS_MAX, "accelerators", fault);
        if (err != ERR_OK)
            return err;
    }
    if (variant->accelerator.len > 0 &&
        (err = text_line_check(variant->accelerator, 47, "accelerators", fault)) != ERR_OK)
        return err;
    if (is_blank(variant->run))
        return fault_set(fault, ERR_INVALID, "run", "a job needs something to run");
    if ((err = check_image(variant->image, fault)) != ERR_OK ||
        (err = check_script(variant->setup, "setup", fault)) != ERR_OK ||
        (err = check_script(variant->run, "run", fault)) != ERR_OK)
        return err;
    return check_envs(variant, fault);
}

static size_t variant_bytes(const struct job_variant *variant)
{
    size_t bytes = variant->run.len + variant->setup.len;

    for (uint32_t i = 0; i < variant->env_count; i++)
        bytes += variant->envs[i].key.len + variant->envs[i].value.len;
    return bytes;
}

static enum err check_variants(const struct job_spec *spec, struct fault *fault)
{
    size_t bytes = 0;

    if (spec->variant_count == 0)
        return fault_set(fault, ERR_INVALID, "variants", "a job has at least one variant");
    if (spec->variant_count > JOB_VARIANTS_MAX)
        return fault_set(fault, ERR_LIMIT, "variants", "at most %d, not %u", JOB_VARIANTS_MAX,
                         spec->variant_count);
    for (uint32_t i = 0; i < spec->variant_count; i++) {
        const struct job_variant *variant = &spec->variants[i];
        enum err err = check_variant(variant, fault);
        if (err != ERR_OK)
            return at_index(fault, "variants", i, err);
        bytes += variant_bytes(variant);
        if (bytes > JOB_TEXT_BYTES_MAX)
            return fault_set(fault, ERR_LIMIT, "variants",
                             "scripts and variables of all variants together pass %d bytes",
                             JOB_TEXT_BYTES_MAX);
        for (uint32_t j = 0; j < i; j++) {
            if (spec->variants[j].runtime != variant->runtime ||
                !name_is_equal_caseless(spec->variants[j].accelerator, variant->accelerator))
                continue;
            err = fault_set(fault, ERR_INVALID, NULL,
                            "is for the same runtime and accelerator as variants[%u]", j);
            return at_index(fault, "variants", i, err);
        }
    }
    return ERR_OK;
}

static enum err check_resources(const struct job_spec *spec, struct fault *fault)
{
    enum err err;

    if ((err = text_line_check(spec->name, JOB_NAME_MAX, "name", fault)) != ERR_OK ||
        (err = check_range(spec->num_nodes, 1, JOB_NODES_MAX, "num_nodes", fault)) != ERR_OK ||
        (err = check_range(spec->pids_max, 1, JOB_PIDS_MAX, "resources.pids", fault)) != ERR_OK ||
        (err = check_size(spec->mem_bytes, JOB_MEM_BYTES_MIN, JOB_MEM_BYTES_MAX, "resources.memory",
                          fault)) != ERR_OK ||
        (err = check_size(spec->scratch_bytes, 0, JOB_SCRATCH_BYTES_MAX, "resources.scratch",
                          fault)) != ERR_OK ||
        (err = check_range(spec->array_count, 1, JOB_ARRAY_MAX, "array.count", fault)) != ERR_OK ||
        (err = check_range(spec->array_parallel_max, 0, JOB_ARRAY_MAX, "array.parallel", fault)) !=
            ERR_OK)
        return err;
    if (spec->cpu_milli == 0 || spec->cpu_milli > JOB_CPU_MILLI_MAX)
        return fault_set(fault, spec->cpu_milli == 0 ? ERR_INVALID : ERR_LIMIT, "resources.cpus",
                         "must be more than 0 and at most %d", JOB_CPU_MILLI_MAX / 1000);
    return ERR_OK;
}

/* Is `inner` the folder `outer` or something below it? */
static bool is_below(struct slice inner, struct slice outer)
{
    return slice_has_prefix(inner, outer) &&
           (inner.len == outer.len || inner.data[outer.len] == '/');
}

static bool is_apart(struct slice a, struct slice b)
{
    return !is_below(a, b) && !is_below(b, a);
}

/* A checkpoint replaces what stands in its folder, and mounts replace what stands in theirs. */
static enum err check_mount(const struct job_spec *spec, uint32_t index, struct fault *fault)
{
    const struct text_pair *mount = &spec->mounts[index];
    enum err err = path_check(mount->key, NULL, fault);
    if (err == ERR_OK)
        err = name_check(mount->value, NULL, fault);
    if (err != ERR_OK)
        return err;
    for (uint32_t j = 0; j < index; j++)
        if (!is_apart(mount->key, spec->mounts[j].key))
            return fault_set(fault, ERR_INVALID, NULL,
                             "lies inside another mount, or has one inside");
    if (spec->checkpoint.dir.len > 0 && !is_apart(mount->key, spec->checkpoint.dir))
        return fault_set(fault, ERR_INVALID, NULL,
                         "lies inside the checkpoint's folder, or has it inside");
    if (spec->datasets.count > 0 && !is_apart(mount->key, SLICE_LITERAL(JOB_DATASETS_DIR)))
        return fault_set(fault, ERR_INVALID, NULL,
                         "lies where `datasets` are put (" JOB_DATASETS_DIR "/)");
    return ERR_OK;
}

static enum err check_input(const struct job_input *input, struct fault *fault)
{
    enum err err = path_check(input->path, "path", fault);
    if (err == ERR_OK && input->dataset.len > 0)
        err = name_check(input->dataset, "dataset", fault);
    if (err == ERR_OK && input->jurisdiction.len > 0)
        err = jurisdiction_check(input->jurisdiction, "jurisdiction", fault);
    if (err == ERR_OK && input->size_bytes > INT64_MAX)
        err = fault_set(fault, ERR_LIMIT, "size_bytes", "at most 2^63 - 1");
    return err;
}

static enum err check_inputs(const struct job_spec *spec, struct fault *fault)
{
    if (spec->input_count > JOB_INPUTS_MAX)
        return fault_set(fault, ERR_LIMIT, "inputs", "at most %d", JOB_INPUTS_MAX);
    for (uint32_t i = 0; i < spec->input_count; i++) {
        enum err err = check_input(&spec->inputs[i], fault);
        if (err != ERR_OK)
            return at_index(fault, "inputs", i, err);
    }
    return ERR_OK;
}

uint64_t job_spec_disk_bytes(const struct job_spec *spec)
{
    uint64_t sum = spec->scratch_bytes != 0 ? spec->scratch_bytes : JOB_SCRATCH_BYTES_DEFAULT;
    for (uint32_t i = 0; i < spec->input_count; i++)
        if (__builtin_add_overflow(sum, spec->inputs[i].size_bytes, &sum))
            return UINT64_MAX;
    return sum;
}

static enum err check_files(const struct job_spec *spec, struct fault *fault)
{
    enum err err;

    if (spec->workdir.len > 0 &&
        (err = text_line_check(spec->workdir, JOB_WORKDIR_MAX, "workdir", fault)) != ERR_OK)
        return err;
    if (spec->mount_count > JOB_MOUNTS_MAX)
        return fault_set(fault, ERR_LIMIT, "file_mounts", "at most %d", JOB_MOUNTS_MAX);
    for (uint32_t i = 0; i < spec->mount_count; i++)
        if ((err = check_mount(spec, i, fault)) != ERR_OK)
            return at_key(fault, "file_mounts", spec->mounts[i].key, err);
    if (spec->outputs.count > JOB_PLACES_MAX)
        return fault_set(fault, ERR_LIMIT, "outputs", "at most %d", JOB_PLACES_MAX);
    for (uint32_t i = 0; i < spec->outputs.count; i++)
        if ((err = path_check(spec->outputs.items[i], NULL, fault)) != ERR_OK)
            return at_index(fault, "outputs", i, err);
    if (spec->shared_folders.count > JOB_SHARED_FOLDERS_MAX)
        return fault_set(fault, ERR_LIMIT, "shared_folders", "at most %d", JOB_SHARED_FOLDERS_MAX);
    for (uint32_t i = 0; i < spec->shared_folders.count; i++)
        if ((err = shared_folder_check(spec->shared_folders.items[i], NULL, fault)) != ERR_OK)
            return at_index(fault, "shared_folders", i, err);
    return ERR_OK;
}

static enum err check_checkpoint(const struct job_spec *spec, struct fault *fault)
{
    const struct job_checkpoint *checkpoint = &spec->checkpoint;
    enum err err;

    if (checkpoint->dir.len > 0) {
        if ((err = path_check(checkpoint->dir, "checkpoint.dir", fault)) != ERR_OK)
            return err;
    } else if (checkpoint->signal != 0 || checkpoint->every.ms != 0 ||
               checkpoint->same_world_size) {
        return fault_set(fault, ERR_INVALID, "checkpoint.dir",
                         "say in which folder the checkpoints are");
    }
    if (checkpoint->signal != 0 && signal_word(checkpoint->signal) == NULL)
        return fault_set(fault, ERR_INVALID, "checkpoint.signal",
                         "must be one of HUP, INT, USR1, USR2, TERM");
    if ((err = check_span(checkpoint->grace, SPAN_MS(0), JOB_GRACE_MAX, "checkpoint.grace",
                          fault)) != ERR_OK)
        return err;
    if (checkpoint->every.ms != 0 && (err = check_span(checkpoint->every, SPAN_S(1), JOB_SPAN_MAX,
                                                       "checkpoint.every", fault)) != ERR_OK)
        return err;
    if (spec->time_limit.ms != 0 && checkpoint->grace.ms > spec->time_limit.ms)
        return fault_set(fault, ERR_INVALID, "checkpoint.grace",
                         "must not be longer than time_limit");
    return ERR_OK;
}

typedef enum err item_check(struct slice item, const char *field, struct fault *fault);

static enum err check_list(const struct text_list *list, uint32_t count_max, const char *path,
                           struct fault *fault, item_check *check)
{
    if (list->count > count_max)
        return fault_set(fault, ERR_LIMIT, path, "at most %u entries, not %u", count_max,
                         list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        enum err err = check(list->items[i], NULL, fault);
        if (err != ERR_OK)
            return at_index(fault, path, i, err);
        for (uint32_t j = 0; j < i; j++)
            if (slice_is_equal(list->items[j], list->items[i]))
                return at_index(fault, path, i,
                                fault_set(fault, ERR_INVALID, NULL, "stands here twice"));
    }
    return ERR_OK;
}

static enum err check_placement(const struct job_placement *placement, struct fault *fault)
{
    enum err err;

    if ((unsigned)placement->role >= ROLE_COUNT_ ||
        (unsigned)placement->provenance >= PROVENANCE_COUNT_)
        return fault_set(fault, ERR_INVALID, "placement", "role or provenance is out of range");
    if ((err = check_list(&placement->regions, JOB_PLACES_MAX, "placement.regions", fault,
                          name_check)) != ERR_OK ||
        (err = check_list(&placement->sites, JOB_PLACES_MAX, "placement.sites", fault,
                          name_check)) != ERR_OK ||
        (err = check_list(&placement->avoid_sites, JOB_PLACES_MAX, "placement.avoid_sites", fault,
                          name_check)) != ERR_OK ||
        (err = check_list(&placement->jurisdictions, JOB_PLACES_MAX, "placement.jurisdictions",
                          fault, jurisdiction_check)) != ERR_OK)
        return err;
    for (uint32_t i = 0; i < placement->avoid_sites.count; i++)
        for (uint32_t j = 0; j < placement->sites.count; j++)
            if (slice_is_equal(placement->avoid_sites.items[i], placement->sites.items[j]))
                return at_index(fault, "placement.avoid_sites", i,
                                fault_set(fault, ERR_INVALID, NULL,
                                          "is also in placement.sites: ask for it or avoid it"));
    if (placement->round_trip_max.ms != 0) {
        if ((err = check_span(placement->round_trip_max, SPAN_MS(1), JOB_ROUND_TRIP_MAX,
                              "placement.round_trip_max", fault)) != ERR_OK)
            return err;
        if (placement->near.len == 0)
            return fault_set(fault, ERR_INVALID, "placement.near",
                             "say to which region the round trip is measured");
    }
    if (placement->near.len > 0)
        return text_line_check(placement->near, NAME_MAX, "placement.near", fault);
    return ERR_OK;
}

static enum err check_retries(const struct job_spec *spec, struct fault *fault)
{
    char field[FAULT_FIELD_MAX];
    for (unsigned i = FAILURE_OUT_OF_MEMORY; i < FAILURE_CLASS_COUNT_; i++) {
        const struct failure_rule *rule = failure_rule((enum failure_class)i);
        (void)snprintf(field, sizeof(field), "retry.%s", rule->name);
        enum err err = (spec->retry_named >> i & 1) == 0
                           ? ERR_OK
                           : check_range(spec->retry_max[i], 0, rule->budget_max, field, fault);
        if (err != ERR_OK)
            return err;
    }
    return check_range(spec->retries_max, 0, JOB_RETRIES_MAX, "retries", fault);
}

uint32_t job_spec_retries(const struct job_spec *spec, enum failure_class failure)
{
    if (failure == FAILURE_PROGRAM_ERROR)
        return spec->retries_max;
    if ((spec->retry_named >> failure & 1) != 0)
        return spec->retry_max[failure];
    return failure_rule(failure)->budget;
}

static enum err check_terms(const struct job_spec *spec, struct fault *fault)
{
    enum err err;

    if ((unsigned)spec->priority >= PRIORITY_COUNT_)
        return fault_set(fault, ERR_INVALID, "priority", "is no priority class");
    if (spec->workload.len > 0 &&
        (err = text_line_check(spec->workload, JOB_NAME_MAX, "workload", fault)) != ERR_OK)
        return err;
    if ((unsigned)spec->contact >= CONTACT_COUNT_)
        return fault_set(fault, ERR_INVALID, "contact.policy", "is no policy");
    if (spec->contact == CONTACT_STRICT && spec->lease.ms != 0)
        return fault_set(fault, ERR_INVALID, "contact.lease", "only policy lease has a lease");
    if (spec->lease.ms != 0 &&
        (err = check_span(spec->lease, SPAN_S(1), JOB_LEASE_MAX, "contact.lease", fault)) != ERR_OK)
        return err;
    if (spec->time_limit.ms != 0 && (err = check_span(spec->time_limit, SPAN_S(1), JOB_SPAN_MAX,
                                                      "time_limit", fault)) != ERR_OK)
        return err;
    if (spec->expected.ms != 0 &&
        (err = check_span(spec->expected, SPAN_MS(1), JOB_SPAN_MAX, "expected", fault)) != ERR_OK)
        return err;
    if (spec->deadline.us < 0)
        return fault_set(fault, ERR_INVALID, "deadline", "lies before 1970");
    if (spec->budget.micros < 0 || spec->budget.micros > JOB_BUDGET_MAX.micros)
        return fault_set(fault, spec->budget.micros < 0 ? ERR_INVALID : ERR_LIMIT, "budget",
                         "must be more than zero and at most 10^12");
    return check_retries(spec, fault);
}

/* Terms before the checkpoint: its grace is held against a time limit that makes sense. */
enum err job_spec_check(const struct job_spec *spec, struct fault *fault)
{
    enum err err;

    if ((err = check_resources(spec, fault)) != ERR_OK ||
        (err = check_variants(spec, fault)) != ERR_OK ||
        (err = check_files(spec, fault)) != ERR_OK ||
        (err = check_list(&spec->datasets, JOB_DATASETS_MAX, "datasets", fault, name_check)) !=
            ERR_OK ||
        (err = check_inputs(spec, fault)) != ERR_OK || (err = check_terms(spec, fault)) != ERR_OK ||
        (err = check_checkpoint(spec, fault)) != ERR_OK)
        return err;
    return check_placement(&spec->placement, fault);
}

enum err job_spec_check_uploaded(const struct job_spec *spec, struct fault *fault)
{
    struct id id;

    if (spec->workdir.len > 0 && id_parse(spec->workdir, "art", &id) != ERR_OK)
        return fault_set(fault, ERR_INVALID, "workdir",
                         "must be the id of an uploaded folder (art_...); lq submit uploads it");
    return ERR_OK;
}

struct span_ms job_spec_default_grace(const struct job_spec *spec)
{
    struct span_ms grace = JOB_GRACE_DEFAULT;

    return spec->time_limit.ms != 0 && spec->time_limit.ms < grace.ms ? spec->time_limit : grace;
}
