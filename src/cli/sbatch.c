#include "cli/sbatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/shim.h"
#include "cli/upload.h"
#include "model/name.h"
#include "port/clock.h"
#include "port/file.h"

enum {
    HOST_NAME_MAX_BYTES = 256,
    ENVIRONMENT_MAX = 8192,
    JOB_BYTES_MAX = 16 << 20,
    DEPENDENCY_STEP_MS = 500,
    DEPENDENCY_STEP_MS_MAX = 15000,
};

extern char **environ;

/* What comes together on the way from arguments to a job; all in the cli's arena. */
struct making {
    struct cli *cli;
    const struct sbatch_call *call;
    struct sbatch sbatch;
    struct sbatch_plan plan;
    const char *path; /* of the script; NULL: standard input, or --wrap */
    size_t used;      /* arguments that are options */
    struct slice script;
    const char *cwd;
    struct sbatch_job job;
    struct text_pair *environment;
    uint32_t environment_count;
};

bool sbatch_is_script(struct slice text)
{
    return slice_has_prefix(text, SLICE_LITERAL("#!"));
}

static int fail(struct making *making, int code, const struct fault *fault)
{
    struct cli *cli = making->cli;
    const char *message = fault->message[0] != '\0' ? fault->message : err_name(fault->code);
    const char *help =
        strstr(message, "option") != NULL && fault->field[0] == '\0' ? "; see --help" : "";
    if (fault->line > 0)
        return cli_fail(cli, code, "%s: line %u: %s%s",
                        making->path == NULL ? "script" : making->path, fault->line, message, help);
    return cli_fail(cli, code, "%s%s", message, help);
}

/* ---- script, environment, arguments */

static int environment_read(struct making *making, struct fault *fault)
{
    struct arena *arena = &making->cli->arena;
    making->environment = arena_array(arena, ENVIRONMENT_MAX, sizeof(*making->environment));
    if (making->environment == NULL)
        return cli_fail(making->cli, EXIT_FAILED, "no memory for the environment");
    for (char **at = environ; *at != NULL && making->environment_count < ENVIRONMENT_MAX; at++) {
        struct text_pair pair;
        if (!slice_cut(slice_of(*at), '=', &pair.key, &pair.value))
            continue;
        making->environment[making->environment_count++] = pair;
        if (sbatch_read_environment(pair.key, pair.value, &making->sbatch, fault) != ERR_OK)
            return fail(making, SBATCH_EXIT_OPTION, fault);
    }
    return EXIT_DONE;
}

static int script_load(struct making *making, const struct sbatch *line)
{
    struct cli *cli = making->cli;
    const struct sbatch_value *wrap = &line->values[SBATCH_WRAP];
    bool has_file = making->used < making->call->argc;
    struct fault fault = {0};
    if (wrap->is_set && has_file)
        return cli_fail(cli, EXIT_FAILED, "Script arguments not permitted with --wrap option");
    if (wrap->is_set) {
        making->script =
            slice_of(arena_printf(&cli->arena,
                                  "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n"
                                  "%.*s\n",
                                  SLICE_ARG(wrap->text)));
    } else {
        making->path = has_file ? making->call->argv[making->used] : NULL;
        enum err err = file_read(making->path == NULL ? "/dev/stdin" : making->path,
                                 SBATCH_SCRIPT_BYTES_MAX + 1, &cli->arena, &fault, &making->script);
        if (err == ERR_LIMIT)
            return cli_fail(cli, EXIT_FAILED, "%s: a script has at most %d bytes",
                            making->path == NULL ? "standard input" : making->path,
                            SBATCH_SCRIPT_BYTES_MAX);
        if (err != ERR_OK)
            return cli_fail(
                cli, err == ERR_NOT_FOUND && cli->speaker == NULL ? EXIT_NOT_FOUND : EXIT_FAILED,
                "Unable to open file %s", making->path == NULL ? "-" : making->path);
    }
    if (sbatch_script_check(making->script, &fault) != ERR_OK)
        return fail(making, EXIT_FAILED, &fault);
    return EXIT_DONE;
}

/* The command line comes over the environment, that over the script. */
static int options_read(struct making *making)
{
    struct arena *arena = &making->cli->arena;
    const struct sbatch_call *call = making->call;
    struct sbatch *line = arena_alloc(arena, sizeof(*line));
    struct fault fault = {0};
    if (line == NULL)
        return cli_fail(making->cli, EXIT_FAILED, "no memory for the options");
    *line = (struct sbatch){0};
    if (sbatch_read_arguments(call->argv, call->argc, line, &making->used, &fault) != ERR_OK)
        return fail(making, SBATCH_EXIT_OPTION, &fault);
    if (line->values[SBATCH_HELP].is_set || line->values[SBATCH_USAGE].is_set ||
        line->values[SBATCH_VERSION].is_set) {
        making->sbatch = *line;
        return -1;
    }
    int code = script_load(making, line);
    if (code != EXIT_DONE)
        return code;
    if (sbatch_read_script(making->script, arena, &making->sbatch, &fault) != ERR_OK)
        return fail(making, SBATCH_EXIT_OPTION, &fault);
    code = environment_read(making, &fault);
    if (code != EXIT_DONE)
        return code;
    if (sbatch_read_arguments(call->argv, call->argc, &making->sbatch, &making->used, &fault) !=
            ERR_OK ||
        sbatch_plan(&making->sbatch, arena, &making->plan, &fault) != ERR_OK)
        return fail(making, SBATCH_EXIT_OPTION, &fault);
    return EXIT_DONE;
}

/* ---- who, where, what of it is told */

static void notes(struct making *making)
{
    size_t count;
    const struct sbatch_option *options = sbatch_options(&count);
    for (size_t i = 0; i < count; i++)
        if (making->sbatch.has_no_effect[i])
            cli_note(making->cli, "--%s has no effect: %s", options[i].name, options[i].about);
    if (making->plan.nodes > 1)
        cli_note(
            making->cli,
            "--nodes: the script runs on each of %u nodes; srun in it starts that node's tasks",
            making->plan.nodes);
}

static struct slice basename_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slice_of(slash == NULL ? path : slash + 1);
}

static int name_choose(struct making *making)
{
    struct sbatch_job *job = &making->job;
    job->name = making->call->name != NULL  ? slice_of(making->call->name)
                : making->plan.name.len > 0 ? making->plan.name
                : making->path != NULL      ? basename_of(making->path)
                : making->plan.wrap.len > 0 ? SLICE_LITERAL("wrap")
                                            : SLICE_LITERAL("sbatch");
    struct fault fault = {0};
    if (text_line_check(job->name, JOB_NAME_MAX, NULL, &fault) == ERR_OK)
        return EXIT_DONE;
    return cli_fail(making->cli, SBATCH_EXIT_OPTION,
                    "the script's file name cannot be a job's: %s; say --job-name", fault.message);
}

static int tenant_find(struct making *making, struct sbatch_submission *out, struct slice *out_id)
{
    struct cli *cli = making->cli;
    struct api_reply reply;
    out->tenant = making->call->tenant;
    if (out->tenant == NULL && making->plan.account.len > 0)
        out->tenant = arena_text(&cli->arena, making->plan.account);
    int code = api_call(cli, "GET", "/v1/whoami", (struct slice){0}, &reply);
    *out_id = code == EXIT_DONE ? api_string(reply.root, "tenant") : (struct slice){0};
    if (code != EXIT_DONE)
        return code;
    code = api_call(
        cli, "GET",
        api_target(
            cli, "/v1/tenants/%s",
            api_escape(cli, out->tenant != NULL ? out->tenant : arena_text(&cli->arena, *out_id))),
        (struct slice){0}, &reply);
    if (code == EXIT_NOT_FOUND && out->tenant != NULL)
        return cli_fail(cli, EXIT_FAILED,
                        "Invalid account: \"%s\" is no tenant of yours (an account is a tenant "
                        "here; lq tenant list)",
                        out->tenant);
    if (code == EXIT_DONE) {
        *out_id = arena_copy(&cli->arena, api_string(reply.root, "id"));
        out->entry.account = arena_copy(&cli->arena, api_string(reply.root, "name"));
    }
    return code;
}

static int submitter_find(struct making *making)
{
    struct cli *cli = making->cli;
    struct sbatch_job *job = &making->job;
    char *host = arena_alloc(&cli->arena, HOST_NAME_MAX_BYTES);
    char *real = NULL;
    char *cwd = getcwd(NULL, 0);
    making->cwd = cwd == NULL ? NULL : arena_text(&cli->arena, slice_of(cwd));
    free(cwd);
    if (making->cwd == NULL || host == NULL)
        return cli_fail(cli, EXIT_FAILED, "the current folder cannot be told");
    if (gethostname(host, HOST_NAME_MAX_BYTES) != 0)
        host[0] = '\0';
    host[HOST_NAME_MAX_BYTES - 1] = '\0';
    job->submit_dir = slice_of(making->cwd);
    job->submit_host = slice_of(host);
    job->user = slice_of(shim_user(cli));
    job->uid = geteuid();
    job->gid = getegid();
    if (making->plan.chdir.len > 0) {
        real = realpath(arena_text(&cli->arena, making->plan.chdir), NULL);
        if (real == NULL)
            return cli_fail(cli, EXIT_FAILED, "--chdir: there is no folder %.*s",
                            SLICE_ARG(making->plan.chdir));
        job->work_dir = slice_of(arena_text(&cli->arena, slice_of(real)));
        free(real);
    } else {
        job->work_dir = job->submit_dir;
    }
    return EXIT_DONE;
}

/* Where it starts, said when that is not where a Slurm job would. */
static void folder_choose(struct making *making)
{
    struct sbatch_job *job = &making->job;
    if (job->shared.len > 0)
        return;
    if (making->plan.chdir.len == 0) {
        job->work_dir = (struct slice){"", 0};
        cli_note(making->cli, "no site shares this folder: the job starts in an empty one; "
                              "--chdir=. takes a copy of this one along");
    }
    if (making->plan.output.len > 0 || making->plan.error.len > 0)
        cli_note(making->cli, "--output and --error: what it prints is in its log (lq logs)");
}

/* ---- dependencies: this client waits */

enum verdict { VERDICT_WAIT, VERDICT_MET, VERDICT_NEVER };

static enum verdict dependency_look(enum sbatch_after kind, struct json_value job)
{
    struct slice state = api_string(job, "state");
    if (kind == SBATCH_AFTER)
        return slice_is(state, "pending") ? VERDICT_WAIT : VERDICT_MET;
    if (slice_is(state, "pending") || slice_is(state, "active"))
        return VERDICT_WAIT;
    if (kind == SBATCH_AFTER_ANY || slice_is(state, "succeeded") == (kind == SBATCH_AFTER_OK))
        return VERDICT_MET;
    return VERDICT_NEVER;
}

/* A number of an array stands for all of it. */
static int dependency_ask(struct cli *cli, const struct book *book,
                          const struct sbatch_dependency *dependency, enum verdict *out)
{
    uint32_t index, last;
    const struct book_entry *entry = book_find(book, dependency->number, &index);
    if (entry == NULL)
        return cli_fail(cli, EXIT_FAILED,
                        "Batch job submission failed: Job dependency problem: there is no job %llu",
                        (unsigned long long)dependency->number);
    last = entry->is_array && index == 0 ? entry->count - 1 : index;
    *out = VERDICT_MET;
    for (uint32_t i = index; i <= last && *out == VERDICT_MET; i++) {
        struct api_reply reply;
        int code = api_call(cli, "GET", api_target(cli, "/v1/jobs/%.*s", SLICE_ARG(entry->jobs[i])),
                            (struct slice){0}, &reply);
        if (code != EXIT_DONE)
            return code;
        *out = dependency_look(dependency->kind, reply.root);
    }
    return EXIT_DONE;
}

static int dependencies_look(struct cli *cli, const struct book *book,
                             const struct sbatch_plan *plan, enum verdict *out)
{
    uint32_t met = 0, never = 0;
    for (uint32_t i = 0; i < plan->dependency_count; i++) {
        enum verdict verdict = VERDICT_WAIT;
        int code = dependency_ask(cli, book, &plan->dependencies[i], &verdict);
        if (code != EXIT_DONE)
            return code;
        met += verdict == VERDICT_MET;
        never += verdict == VERDICT_NEVER;
    }
    bool is_any = plan->is_any_dependency;
    if (met == plan->dependency_count || (is_any && met > 0))
        *out = VERDICT_MET;
    else
        *out = never == plan->dependency_count || (!is_any && never > 0) ? VERDICT_NEVER
                                                                         : VERDICT_WAIT;
    return EXIT_DONE;
}

static int dependencies_wait(struct making *making)
{
    struct cli *cli = making->cli;
    enum verdict verdict = VERDICT_MET;
    struct book book = {0};
    int64_t step_ms = DEPENDENCY_STEP_MS;
    int code = making->plan.dependency_count == 0 ? EXIT_DONE : book_load(cli, &book);
    if (code != EXIT_DONE || making->plan.dependency_count == 0)
        return code;
    code = dependencies_look(cli, &book, &making->plan, &verdict);
    if (code == EXIT_DONE && verdict == VERDICT_WAIT)
        cli_note(cli, "waiting for the dependency; the job is submitted when it is met");
    while (code == EXIT_DONE && verdict == VERDICT_WAIT) {
        cli_pause(cli, SPAN_MS(step_ms));
        step_ms =
            step_ms * 5 / 4 < DEPENDENCY_STEP_MS_MAX ? step_ms * 5 / 4 : DEPENDENCY_STEP_MS_MAX;
        code = dependencies_look(cli, &book, &making->plan, &verdict);
    }
    if (code == EXIT_DONE && verdict == VERDICT_NEVER)
        return cli_fail(cli, EXIT_FAILED,
                        "Batch job submission failed: Job dependency problem: it can never be met");
    return code;
}

/* ---- the job */

static struct slice tasks_text(struct cli *cli, const struct sbatch_plan *plan)
{
    struct buffer text;
    buffer_init(&text, JOB_BYTES_MAX);
    for (uint32_t i = 0; i < plan->range_count; i++)
        buffer_printf(&text, "%s%u:%u:%u", i == 0 ? "" : " ", plan->ranges[i].first,
                      plan->ranges[i].step, plan->ranges[i].count);
    struct slice kept = arena_copy(&cli->arena, buffer_slice(&text));
    buffer_deinit(&text);
    return kept;
}

/* For squeue and its like. */
static void entry_fill(struct making *making, struct sbatch_submission *out)
{
    const struct sbatch_plan *plan = &making->plan;
    struct clock clock = clock_system();
    struct book_entry *entry = &out->entry;
    entry->number = making->job.number;
    entry->is_array = plan->has_array;
    entry->tasks = tasks_text(making->cli, plan);
    entry->name = making->job.name;
    entry->partition = plan->partition.len > 0 ? plan->partition : SLICE_LITERAL("any");
    entry->user = making->job.user;
    entry->dir = making->job.shared.len > 0 ? making->job.work_dir : making->job.submit_dir;
    entry->output = plan->output.len > 0 ? plan->output
                    : plan->has_array    ? SLICE_LITERAL("slurm-%A_%a.out")
                                         : SLICE_LITERAL("slurm-%j.out");
    entry->error = plan->error.len > 0 ? plan->error : entry->output;
    entry->command = slice_of(making->path == NULL ? "(null)" : making->path);
    entry->comment = plan->comment;
    entry->cpus = plan->cpus * plan->nodes;
    entry->nodes = plan->nodes;
    entry->ntasks = plan->ntasks;
    entry->cpus_per_task = plan->cpus_per_task;
    entry->mem_mib = plan->mem_mib;
    entry->limit_s = (uint64_t)plan->time_limit.ms / 1000;
    entry->submitted_us = clock_wall(&clock).us;
}

/* The job as JSON, and then with its folder uploaded. */
static int job_make(struct making *making, const char *tenant, struct buffer *body)
{
    struct cli *cli = making->cli;
    struct sbatch_job_notes told = {0};
    struct json_writer writer;
    struct json_document *document;
    struct buffer json;
    struct fault fault = {0};
    buffer_init(&json, JOB_BYTES_MAX);
    json_writer_init(&writer, &json);
    enum err err = sbatch_job_write(&making->job, &cli->arena, &writer, &told, &fault);
    if (err == ERR_OK)
        err = json_writer_finish(&writer);
    if (err == ERR_OK)
        err = json_parse(buffer_slice(&json), &JSON_LIMITS_FILE, &document, &fault);
    buffer_deinit(&json);
    if (err != ERR_OK)
        return fail(making, SBATCH_EXIT_OPTION, &fault);
    if (told.exported > 0 && cli->speaker == NULL)
        cli_note(cli, "%u variables of this shell go with the job; --export=NONE sends none",
                 told.exported);
    int code = api_keep(cli, document);
    if (code != EXIT_DONE)
        return code;
    return upload_job(cli, tenant, making->path == NULL ? "sbatch" : making->path,
                      json_root(document), NULL, body);
}

int sbatch_prepare(struct cli *cli, const struct sbatch_call *call, struct buffer *body,
                   struct sbatch_submission *out)
{
    struct making *making = arena_alloc(&cli->arena, sizeof(*making));
    struct slice tenant = {0};
    if (making == NULL)
        return cli_fail(cli, EXIT_FAILED, "no memory for the job");
    *making = (struct making){.cli = cli, .call = call};
    *out = (struct sbatch_submission){0};
    int code = options_read(making);
    if (code == -1 && making->sbatch.values[SBATCH_VERSION].is_set)
        printf("slurm %s\n", SLURM_SPOKEN);
    else if (code == -1)
        sbatch_help(cli);
    if (code == EXIT_DONE)
        code = name_choose(making);
    if (code == EXIT_DONE)
        code = submitter_find(making);
    if (code == EXIT_DONE)
        code = tenant_find(making, out, &tenant);
    if (code == EXIT_DONE)
        code = sbatch_place(cli, &making->plan, tenant, making->job.work_dir, &making->job);
    if (code != EXIT_DONE)
        return code;
    notes(making);
    folder_choose(making);
    code = dependencies_wait(making);
    if (code == EXIT_DONE)
        code = book_reserve(cli, making->plan.has_array ? making->plan.array_count : 1,
                            &making->job.number);
    making->job.plan = &making->plan;
    making->job.script = making->script;
    if (making->path != NULL) {
        making->job.args = call->argv + making->used + 1;
        making->job.arg_count = (uint32_t)(call->argc - making->used - 1);
    }
    making->job.environment = making->environment;
    making->job.environment_count = making->environment_count;
    if (code == EXIT_DONE)
        code = job_make(making, out->tenant, body);
    if (code != EXIT_DONE)
        return code;
    entry_fill(making, out);
    out->plan = making->plan;
    return EXIT_DONE;
}

int sbatch_booked(struct cli *cli, struct sbatch_submission *submission,
                  const struct api_reply *reply)
{
    struct json_value jobs = json_object_get(reply->root, "jobs");
    struct json_iterator it = json_iterate(jobs);
    struct slice *ids = arena_array(&cli->arena, json_count(jobs) + 1, sizeof(*ids));
    if (ids == NULL)
        return cli_fail(cli, EXIT_FAILED, "no memory for the jobs");
    while (json_next(&it)) {
        struct slice id = {0};
        if (json_type_of(it.value) != JSON_STRING)
            id = api_string(it.value, "id");
        else if (json_to_string(it.value, ID_TEXT_MAX, &id, NULL) != ERR_OK)
            id = (struct slice){0};
        ids[it.index] = id;
    }
    submission->entry.jobs = ids;
    submission->entry.count = (uint32_t)json_count(jobs);
    return book_add(cli, &submission->entry);
}

void sbatch_help(struct cli *cli)
{
    static const char *const HEADS[] = {"OPTION", "HERE", "WHAT"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_LEFT, TABLE_LEFT};
    struct table *table = table_create(cli, HEADS, ALIGNS, 3);
    size_t count;
    const struct sbatch_option *options = sbatch_options(&count);
    printf("Usage: sbatch [OPTIONS...] [SCRIPT [ARGUMENTS...]]\n\n");
    for (size_t i = 0; i < count; i++) {
        if (options[i].letter != 0)
            table_cell_printf(table, "-%c, --%s", options[i].letter, options[i].name);
        else
            table_cell_printf(table, "    --%s", options[i].name);
        table_cell_text(table, sbatch_treatment_name(options[i].treatment));
        table_cell_text(table, options[i].about);
    }
    table_print(table);
}
