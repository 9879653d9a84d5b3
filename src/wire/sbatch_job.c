#include "wire/sbatch_job.h"

#include <string.h>

#include "model/words.h"
#include "wire/value.h"

enum { DELIMITER_MAX = 64, NUMBER_MAX = 24, ENVS_OWN_MAX = 64 };

struct envs {
    struct arena *arena;
    struct text_pair pairs[JOB_ENVS_MAX];
    uint32_t count;
    size_t bytes;
    bool is_full;
};

/* A later one takes the place of an earlier. */
static void env_put(struct envs *envs, struct slice key, struct slice value)
{
    for (uint32_t i = 0; i < envs->count; i++)
        if (slice_is_equal(envs->pairs[i].key, key)) {
            envs->bytes = envs->bytes - envs->pairs[i].value.len + value.len;
            envs->pairs[i].value = value;
            return;
        }
    if (envs->count == JOB_ENVS_MAX) {
        envs->is_full = true;
        return;
    }
    envs->pairs[envs->count++] = (struct text_pair){key, value};
    envs->bytes += key.len + value.len;
}

static void env_text(struct envs *envs, const char *key, struct slice value)
{
    if (value.len > 0)
        env_put(envs, slice_of(key), value);
}

static void env_number(struct envs *envs, const char *key, uint64_t value)
{
    const char *text = arena_printf(envs->arena, "%llu", (unsigned long long)value);
    if (text == NULL)
        envs->is_full = true;
    else
        env_put(envs, slice_of(key), slice_of(text));
}

/* ---- what of the submitter's environment goes along */

static bool is_env_name(struct slice name)
{
    if (name.len == 0 || name.len > JOB_ENV_NAME_MAX ||
        (name.data[0] >= '0' && name.data[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!(c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
              (c >= 'A' && c <= 'Z')))
            return false;
    }
    return true;
}

/* What means this machine or this session, and the credentials of this network's own client. */
static bool is_of_here(struct slice name)
{
    static const char *const NAMES[] = {"HOME",    "PWD",    "OLDPWD",   "SHLVL",    "SHELL",
                                        "TERM",    "TMPDIR", "TMP",      "TEMP",     "DISPLAY",
                                        "LOGNAME", "MAIL",   "USER",     "_",        "LS_COLORS",
                                        "COLUMNS", "LINES",  "HOSTNAME", "COLORTERM"};
    static const char *const PREFIXES[] = {"LQ_",   "SLURM", "SBATCH_", "XDG_",
                                           "DBUS_", "SSH_",  "SUDO_",   "BASH_FUNC"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (slice_is(name, NAMES[i]))
            return true;
    for (size_t i = 0; i < sizeof(PREFIXES) / sizeof(PREFIXES[0]); i++)
        if (slice_has_prefix(name, slice_of(PREFIXES[i])))
            return true;
    return false;
}

static void export_one(struct envs *envs, struct slice key, struct slice value)
{
    /* PATH is for the script; what stands before it needs the site's own. */
    env_put(envs, slice_is(key, "PATH") ? SLICE_LITERAL("SLURM_LQ_PATH") : key, value);
}

static const struct text_pair *env_find(const struct sbatch_job *job, struct slice name)
{
    for (uint32_t i = 0; i < job->environment_count; i++)
        if (slice_is_equal(job->environment[i].key, name))
            return &job->environment[i];
    return NULL;
}

static enum err export_environment(const struct sbatch_job *job, struct envs *envs,
                                   struct sbatch_job_notes *notes, struct fault *fault)
{
    const struct sbatch_plan *plan = job->plan;
    for (uint32_t i = 0; plan->export_mode == SBATCH_EXPORT_ALL && i < job->environment_count;
         i++) {
        const struct text_pair *pair = &job->environment[i];
        bool fits = is_env_name(pair->key) && slice_is_utf8(pair->value) && !is_of_here(pair->key);
        if (fits)
            export_one(envs, pair->key, pair->value);
        notes->exported += fits;
        notes->left_out += !fits;
    }
    for (uint32_t i = 0; i < plan->export_count; i++) {
        const struct text_pair *asked = &plan->exports[i];
        const struct text_pair *own = asked->value.data == NULL ? env_find(job, asked->key) : asked;
        if (own == NULL)
            continue; /* as Slurm does: what is not set is not exported */
        if (!is_env_name(asked->key) || slice_has_prefix(asked->key, SLICE_LITERAL("LQ_")) ||
            !slice_is_utf8(own->value))
            return fault_set(fault, ERR_INVALID, "--export",
                             "\"%.*s\" cannot be a variable of a job: letters, digits and _, not "
                             "beginning with LQ_, its value UTF-8",
                             SLICE_ARG(asked->key));
        export_one(envs, asked->key, own->value);
    }
    return ERR_OK;
}

/* ---- what Slurm would set */

static void slurm_array(const struct sbatch_job *job, struct envs *envs)
{
    const struct sbatch_plan *plan = job->plan;
    struct buffer text;
    if (!plan->has_array)
        return;
    env_number(envs, "SLURM_ARRAY_JOB_ID", job->number);
    env_number(envs, "SLURM_ARRAY_TASK_COUNT", plan->array_count);
    env_number(envs, "SLURM_ARRAY_TASK_MIN", plan->array_min);
    env_number(envs, "SLURM_ARRAY_TASK_MAX", plan->array_max);
    env_number(envs, "SLURM_ARRAY_TASK_STEP", plan->array_step);
    buffer_init(&text, (size_t)SBATCH_RANGES_MAX * NUMBER_MAX);
    for (uint32_t i = 0; i < plan->range_count; i++)
        buffer_printf(&text, "%s%u:%u:%u", i == 0 ? "" : " ", plan->ranges[i].first,
                      plan->ranges[i].step, plan->ranges[i].count);
    env_text(envs, "SLURM_LQ_ARRAY", arena_copy(envs->arena, buffer_slice(&text)));
    buffer_deinit(&text);
}

static void slurm_shape(const struct sbatch_plan *plan, struct envs *envs)
{
    const char *per_node =
        plan->nodes == 1 ? arena_printf(envs->arena, "%u", plan->tasks_per_node)
                         : arena_printf(envs->arena, "%u(x%u)", plan->tasks_per_node, plan->nodes);
    const char *cpus = plan->nodes == 1
                           ? arena_printf(envs->arena, "%u", plan->cpus)
                           : arena_printf(envs->arena, "%u(x%u)", plan->cpus, plan->nodes);
    env_number(envs, "SLURM_NNODES", plan->nodes);
    env_number(envs, "SLURM_JOB_NUM_NODES", plan->nodes);
    env_number(envs, "SLURM_NTASKS", plan->ntasks);
    env_number(envs, "SLURM_NPROCS", plan->ntasks);
    env_number(envs, "SLURM_LQ_TASKS", plan->tasks_per_node);
    env_text(envs, "SLURM_TASKS_PER_NODE", slice_of(per_node));
    if (plan->has_cpus_per_task)
        env_number(envs, "SLURM_CPUS_PER_TASK", plan->cpus_per_task);
    env_number(envs, "SLURM_CPUS_ON_NODE", plan->cpus);
    env_text(envs, "SLURM_JOB_CPUS_PER_NODE", slice_of(cpus));
    if (plan->mem_per_cpu_mib != 0)
        env_number(envs, "SLURM_MEM_PER_CPU", plan->mem_per_cpu_mib);
    else if (plan->mem_mib != 0)
        env_number(envs, "SLURM_MEM_PER_NODE", plan->mem_mib);
    if (plan->gpus != 0)
        env_number(envs, "SLURM_GPUS_ON_NODE", plan->gpus);
}

static void slurm_files(const struct sbatch_job *job, struct envs *envs)
{
    const struct sbatch_plan *plan = job->plan;
    if (job->shared.len > 0) {
        env_text(envs, "SLURM_LQ_DIR", job->work_dir);
        env_text(envs, "SLURM_LQ_OUTPUT",
                 plan->output.len > 0 ? plan->output
                 : plan->has_array    ? SLICE_LITERAL("slurm-%A_%a.out")
                                      : SLICE_LITERAL("slurm-%j.out"));
        env_text(envs, "SLURM_LQ_ERROR", plan->error);
        if (plan->is_appending)
            env_text(envs, "SLURM_LQ_APPEND", SLICE_LITERAL("1"));
    }
    env_text(envs, "SLURM_LQ_INPUT", plan->input);
}

static enum err slurm_environment(const struct sbatch_job *job, struct envs *envs,
                                  struct fault *fault)
{
    const struct sbatch_plan *plan = job->plan;
    env_number(envs, "SLURM_LQ_NUMBER", job->number);
    env_text(envs, "SLURM_JOB_NAME", job->name);
    env_text(envs, "SLURM_JOB_USER", job->user);
    env_number(envs, "SLURM_JOB_UID", job->uid);
    env_number(envs, "SLURM_JOB_GID", job->gid);
    env_text(envs, "SLURM_SUBMIT_DIR", job->submit_dir);
    env_text(envs, "SLURM_SUBMIT_HOST", job->submit_host);
    env_text(envs, "SLURM_CLUSTER_NAME", SLICE_LITERAL("lingqu"));
    env_text(envs, "SLURM_JOB_PARTITION", plan->partition);
    env_text(envs, "SLURM_JOB_ACCOUNT", plan->account);
    env_text(envs, "SLURM_JOB_QOS", slice_of(priority_name(plan->priority)));
    slurm_shape(plan, envs);
    slurm_array(job, envs);
    slurm_files(job, envs);
    if (job->arg_count > SBATCH_ARGS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "a script may have %d arguments, not %u",
                         SBATCH_ARGS_MAX, job->arg_count);
    env_number(envs, "SLURM_LQ_ARGC", job->arg_count);
    for (uint32_t i = 0; i < job->arg_count; i++) {
        const char *key = arena_printf(envs->arena, "SLURM_LQ_ARG_%u", i + 1);
        if (key == NULL)
            return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for the arguments");
        if (!slice_is_utf8(slice_of(job->args[i])))
            return fault_set(fault, ERR_INVALID, NULL, "argument %u of the script is not UTF-8",
                             i + 1);
        env_put(envs, slice_of(key), slice_of(job->args[i]));
    }
    return ERR_OK;
}

/* ---- the text that runs */

static bool has_line(struct slice text, const char *line)
{
    struct slice one;
    while (slice_cut(text, '\n', &one, &text))
        if (slice_is(one, line))
            return true;
    return slice_is(text, line);
}

/* The prologue, and the script in a here-document whose end is no line of it. */
static enum err run_write(const struct sbatch_job *job, struct arena *arena, struct slice *out)
{
    const char *end = "SLURM_SCRIPT_END";
    struct buffer text;
    for (unsigned n = 1; end != NULL && has_line(job->script, end); n++)
        end = arena_printf(arena, "SLURM_SCRIPT_END_%u", n);
    buffer_init(&text, JOB_SCRIPT_BYTES_MAX);
    buffer_append_bytes(&text, SBATCH_PROLOGUE, SBATCH_PROLOGUE_LEN);
    buffer_printf(&text, "cat >\"$lq_script\" <<'%s'\n", end == NULL ? "" : end);
    buffer_append(&text, job->script);
    if (!slice_has_suffix(job->script, SLICE_LITERAL("\n")))
        buffer_append_char(&text, '\n');
    buffer_printf(&text, "%s\nchmod 700 \"$lq_script\"\nexec \"$lq_script\" \"$@\"\n",
                  end == NULL ? "" : end);
    enum err err = end == NULL ? ERR_NO_MEMORY : buffer_status(&text);
    if (err == ERR_OK) {
        *out = arena_copy(arena, buffer_slice(&text));
        err = out->data == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    buffer_deinit(&text);
    return err;
}

/* ---- the job */

static void resources_write(const struct sbatch_job *job, struct json_writer *writer)
{
    const struct sbatch_plan *plan = job->plan;
    json_key(writer, "resources");
    json_begin_object(writer);
    json_put_u64(writer, "cpus", plan->cpus);
    if (plan->mem_mib != 0)
        value_put_size(writer, "memory", plan->mem_mib << 20);
    if (plan->scratch_mib != 0)
        value_put_size(writer, "scratch", plan->scratch_mib << 20);
    if (plan->gpus != 0 && job->gpu_type.len > 0) {
        value_put_accelerators(writer, job->gpu_type, plan->gpus);
    } else if (plan->gpus != 0) { /* in Slurm's language a gpu that says no more is one of these */
        json_put_u64(writer, "accelerators", plan->gpus);
        json_put_text(writer, "runtime", "cuda");
    }
    json_end_object(writer);
}

static void placement_write(const struct sbatch_job *job, struct json_writer *writer)
{
    if (job->sites.count == 0 && job->regions.count == 0 && job->jurisdictions.count == 0)
        return;
    json_key(writer, "placement");
    json_begin_object(writer);
    value_put_list(writer, "sites", &job->sites);
    value_put_list(writer, "regions", &job->regions);
    value_put_list(writer, "jurisdictions", &job->jurisdictions);
    json_end_object(writer);
}

/* A folder that nothing writes in: a signal is sent for a checkpoint's sake, and that has a folder.
 */
static void signal_write(const struct sbatch_plan *plan, struct json_writer *writer)
{
    struct span_ms grace = plan->signal_before;
    if (plan->signal == 0)
        return;
    if (plan->time_limit.ms != 0 && grace.ms > plan->time_limit.ms)
        grace = plan->time_limit;
    json_key(writer, "checkpoint");
    json_begin_object(writer);
    json_put_text(writer, "dir", ".sbatch-checkpoint");
    json_put_text(writer, "signal", signal_word(plan->signal));
    json_put_span(writer, "grace", grace);
    json_end_object(writer);
}

/* What else a lost node or site leads to by itself. */
static void retry_write(const struct sbatch_plan *plan, struct json_writer *writer)
{
    if (!plan->is_once)
        return;
    json_key(writer, "retry");
    json_begin_object(writer);
    json_put_u64(writer, "preempted", 0);
    json_put_u64(writer, "node_lost", 0);
    json_put_u64(writer, "site_lost", 0);
    json_end_object(writer);
}

static void job_write(const struct sbatch_job *job, const struct envs *envs, struct slice run,
                      struct json_writer *writer)
{
    const struct sbatch_plan *plan = job->plan;
    const struct text_list shared = {&job->shared, job->shared.len > 0};
    json_begin_object(writer);
    json_put_string(writer, "name", job->name);
    json_put_string(writer, "run", run);
    json_key(writer, "envs");
    json_begin_object(writer);
    for (uint32_t i = 0; i < envs->count; i++) {
        json_key_slice(writer, envs->pairs[i].key);
        json_string(writer, envs->pairs[i].value);
    }
    json_end_object(writer);
    resources_write(job, writer);
    if (plan->nodes > 1)
        json_put_u64(writer, "num_nodes", plan->nodes);
    if (plan->has_array) {
        json_key(writer, "array");
        json_begin_object(writer);
        json_put_u64(writer, "count", plan->array_count);
        if (plan->array_parallel != 0)
            json_put_u64(writer, "parallel", plan->array_parallel);
        json_end_object(writer);
    }
    placement_write(job, writer);
    if (plan->priority != PRIORITY_STANDARD)
        json_put_text(writer, "priority", priority_name(plan->priority));
    value_put_span(writer, "time_limit", plan->time_limit);
    signal_write(plan, writer);
    retry_write(plan, writer);
    value_put_list(writer, "shared_folders", &shared);
    if (job->shared.len == 0)
        value_put_text(writer, "workdir", job->work_dir);
    json_end_object(writer);
}

enum err sbatch_job_write(const struct sbatch_job *job, struct arena *arena,
                          struct json_writer *writer, struct sbatch_job_notes *out_notes,
                          struct fault *fault)
{
    struct sbatch_job_notes notes = {0};
    struct slice run;
    struct envs *envs = arena_alloc(arena, sizeof(*envs));
    if (envs == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for the variables");
    *envs = (struct envs){.arena = arena};
    enum err err = export_environment(job, envs, &notes, fault);
    if (err == ERR_OK)
        err = slurm_environment(job, envs, fault);
    if (err == ERR_OK && (envs->is_full || envs->bytes > JOB_ENV_BYTES_MAX))
        err = fault_set(fault, ERR_LIMIT, "--export",
                        "the variables of this shell are too many for a job (%d, %d bytes): name "
                        "those that it needs, --export=NAME,...",
                        JOB_ENVS_MAX, JOB_ENV_BYTES_MAX);
    if (err == ERR_OK) {
        err = run_write(job, arena, &run);
        if (err != ERR_OK)
            (void)fault_set(fault, err, NULL, "the script is too long for a job");
    }
    if (err != ERR_OK)
        return err;
    job_write(job, envs, run, writer);
    *out_notes = notes;
    return ERR_OK;
}
