/* lq policy try: what would be otherwise if another policy had stood. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/api.h"
#include "cli/history.h"
#include "cli/sim_output.h"
#include "port/clock.h"
#include "port/file.h"
#include "sim/history.h"
#include "sim/report.h"
#include "wire/doc.h"
#include "wire/doc_parts.h"
#include "wire/value.h"
#include "wire/yaml.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DAY_US (INT64_C(86400) * 1000000)

enum { POLICY_BYTES_MAX = 1 << 20, SHOWN_DEFAULT = 20 };

static const struct flag FLAGS[] = {
    {"from", 0, FLAG_TEXT, "TIME", "jobs that had not ended by then; default 24h"},
    {"to", 0, FLAG_TEXT, "TIME", "jobs that were submitted before then; default now"},
    {"history", 0, FLAG_TEXT, "FILE", "of lq history export, instead of asking the server"},
    {"limit", 'n', FLAG_NUMBER, "N", "list at most so many jobs that go otherwise; default 20"},
};

/* Twice the same history, with one policy and the other. */
struct trial {
    struct cli *cli;
    struct arena arena;
    struct history history;
    struct policy tried;
    struct replay_job *jobs[2];
    struct replay_result results[2];
    struct report reports[2];
};

/* ---- reading */

static int history_text(struct trial *trial, struct buffer *fetched, struct slice *out)
{
    struct cli *cli = trial->cli;
    struct fault fault = {0};
    struct wall_us from, to;
    const struct clock clock = clock_system();
    if (cli_has(cli, "history")) {
        const char *path = cli_text(cli, "history", NULL);
        return file_read(path, HISTORY_BYTES_MAX, &trial->arena, &fault, out) == ERR_OK
                   ? EXIT_DONE
                   : cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    }
    int code = api_time_at(cli, "to", clock_wall(&clock), &to);
    if (code == EXIT_DONE)
        code = api_time_at(cli, "from", (struct wall_us){to.us - DAY_US}, &from);
    if (code == EXIT_DONE && from.us >= to.us)
        code = cli_fail(cli, EXIT_USAGE, "--from must be before --to");
    if (code == EXIT_DONE)
        code = history_fetch(cli, from, to, fetched);
    *out = buffer_slice(fetched);
    return code;
}

/* The policy that stands, with what the file names in its place. */
static int policy_load(struct trial *trial, const char *path)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct slice text;
    enum err err = file_read(path, POLICY_BYTES_MAX, &trial->arena, &fault, &text);
    if (err == ERR_OK)
        err = yaml_parse(text, &YAML_LIMITS, &document, &fault);
    trial->tried = trial->history.topology.policy;
    if (err == ERR_OK)
        err = doc_read_policy(json_root(document), &trial->arena, &trial->tried, &fault);
    if (err == ERR_OK)
        err = value_locate(json_root(document), policy_check(&trial->tried, &fault), &fault);
    json_document_destroy(document);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(trial->cli, EXIT_USAGE, path, &fault);
}

/* ---- running */

struct progress {
    struct sim_progress *shown;
    size_t jobs;
    const char *what;
};

static void on_progress(void *context, int64_t now_ms, size_t ended)
{
    const struct progress *progress = context;
    (void)now_ms;
    sim_progress_tell(progress->shown, progress->what, (double)ended / (double)progress->jobs);
}

static int run_one(struct trial *trial, int which, struct sim_progress *shown)
{
    struct replay_setup setup;
    struct fault fault = {0};
    struct history history = trial->history;
    size_t count = history.job_count;
    struct progress progress = {shown, count, which == 0 ? "as it is" : "tried"};
    history.jobs = trial->jobs[which] =
        arena_array(&trial->arena, count + 1, sizeof(*history.jobs));
    if (history.jobs == NULL)
        return cli_fail(trial->cli, EXIT_FAILED, "out of memory");
    if (count > 0)
        memcpy(history.jobs, trial->history.jobs, count * sizeof(*history.jobs));
    if (which == 1)
        history.topology.policy = trial->tried;
    history_setup(&history, &setup);
    setup.context = &progress;
    setup.progress = on_progress;
    enum err err = replay_run(&setup, &trial->arena, &trial->results[which], &fault);
    if (err == ERR_OK)
        err = report_make(slice_of(progress.what), &history.topology, &trial->results[which], 0,
                          &trial->arena, &trial->reports[which]);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(trial->cli, EXIT_FAILED, "replay", &fault);
}

/* ---- comparing */

struct difference {
    uint32_t job;
    int64_t later_ms; /* than as it is; a job that does not start is later than all */
    bool is_moved;
};

struct comparison {
    struct difference *list; /* those that go otherwise, the greatest difference first */
    size_t count, moved, later, earlier;
    double recorded_wait_s; /* mean, of what really happened */
};

static int64_t start_of(const struct replay_job *job)
{
    return job->site == REPLAY_NONE ? REPLAY_NEVER / 2 : job->start_ms;
}

static int by_size(const void *a, const void *b)
{
    const struct difference *x = a, *y = b;
    int64_t far_x = x->later_ms < 0 ? -x->later_ms : x->later_ms;
    int64_t far_y = y->later_ms < 0 ? -y->later_ms : y->later_ms;
    if (far_x != far_y)
        return far_x > far_y ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

static bool compare(struct trial *trial, struct comparison *out)
{
    size_t count = trial->history.job_count, known = 0;
    double waited_ms = 0;
    *out = (struct comparison){0};
    out->list = arena_array(&trial->arena, count + 1, sizeof(*out->list));
    if (out->list == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct replay_job *before = &trial->jobs[0][i], *after = &trial->jobs[1][i];
        struct difference one = {.job = (uint32_t)i,
                                 .later_ms = start_of(after) - start_of(before),
                                 .is_moved = before->site != after->site};
        out->moved += one.is_moved;
        out->later += one.later_ms > 0;
        out->earlier += one.later_ms < 0;
        if (one.is_moved || one.later_ms != 0)
            out->list[out->count++] = one;
        if (trial->history.past[i].wait_ms >= 0) {
            waited_ms += (double)trial->history.past[i].wait_ms;
            known++;
        }
    }
    qsort(out->list, out->count, sizeof(*out->list), by_size);
    out->recorded_wait_s = known > 0 ? waited_ms / 1000 / (double)known : 0;
    return true;
}

/* ---- telling */

static struct slice site_name(const struct trial *trial, const struct replay_job *job)
{
    return job->site == REPLAY_NONE ? SLICE_LITERAL("-")
                                    : trial->history.topology.sites[job->site].name;
}

static void put_run(struct json_writer *writer, const char *name, const struct report *report)
{
    json_key(writer, name);
    json_begin_object(writer);
    json_put_f64(writer, "wait_mean_s", sim_round(report->wait_mean_s));
    json_put_f64(writer, "wait_p99_s", sim_round(report->wait_p99_s));
    json_put_f64(writer, "ask", sim_round(report->ask));
    json_put_f64(writer, "energy", sim_round(report->energy));
    json_put_f64(writer, "carbon_kg", sim_round(report->carbon_kg));
    json_put_f64(writer, "kwh", sim_round(report->kwh));
    json_put_f64(writer, "core_hours", sim_round(report->core_hours));
    json_put_f64(writer, "device_hours", sim_round(report->device_hours));
    json_put_f64(writer, "killed", sim_round(report->kills));
    json_put_f64(writer, "never_started", sim_round(report->never));
    json_end_object(writer);
}

static void put_wait(struct json_writer *writer, const char *name, const struct replay_job *job)
{
    if (job->site == REPLAY_NONE)
        json_put_null(writer, name);
    else
        json_put_i64(writer, name, job->start_ms - job->arrival_ms);
}

static int json_print(const struct trial *trial, const struct comparison *found, size_t shown)
{
    struct sim_json json;
    struct json_writer *writer = sim_json_begin(&json);
    json_begin_object(writer);
    json_put_wall(writer, "from", trial->history.from);
    json_put_wall(writer, "to", trial->history.to);
    json_put_string(writer, "currency", trial->history.topology.policy.currency);
    json_put_u64(writer, "jobs", trial->history.job_count);
    json_put_u64(writer, "never_ran", trial->history.never_ran);
    json_put_u64(writer, "moved", found->moved);
    json_put_u64(writer, "later", found->later);
    json_put_u64(writer, "earlier", found->earlier);
    json_put_f64(writer, "recorded_wait_mean_s", sim_round(found->recorded_wait_s));
    put_run(writer, "before", &trial->reports[0]);
    put_run(writer, "after", &trial->reports[1]);
    json_key(writer, "changes");
    json_begin_array(writer);
    for (size_t i = 0; i < found->count && i < shown; i++) {
        const struct difference *one = &found->list[i];
        const struct replay_job *before = &trial->jobs[0][one->job];
        const struct replay_job *after = &trial->jobs[1][one->job];
        json_begin_object(writer);
        json_put_id(writer, "job", trial->history.past[one->job].id, ID_PREFIX_JOB);
        json_put_string(writer, "site_recorded", trial->history.past[one->job].site);
        json_put_string(writer, "site_before", site_name(trial, before));
        json_put_string(writer, "site_after", site_name(trial, after));
        put_wait(writer, "wait_before_ms", before);
        put_wait(writer, "wait_after_ms", after);
        json_end_object(writer);
    }
    json_end_array(writer);
    json_put_bool(writer, "has_more", found->count > shown);
    json_end_object(writer);
    return sim_json_end(&json, trial->cli);
}

static void figure(struct table *table, const char *name, double before, double after)
{
    table_cell_text(table, name);
    table_cell_printf(table, "%.6g", before);
    table_cell_printf(table, "%.6g", after);
    table_cell_printf(table, "%+.6g", sim_round(after - before));
}

static void wait_cell(struct table *table, const struct replay_job *job)
{
    char text[TIME_TEXT_MAX];
    if (job->site == REPLAY_NONE) {
        table_cell_text(table, "never");
        return;
    }
    span_format(SPAN_MS(job->start_ms - job->arrival_ms), text);
    table_cell_text(table, text);
}

static void jobs_print(const struct trial *trial, const struct comparison *found, size_t shown)
{
    static const char *const HEADS[] = {"JOB", "RAN AT", "AS IT IS", "TRIED", "WAIT", "WAIT TRIED"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_LEFT,  TABLE_LEFT,
                                              TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT};
    struct table *table = table_create(trial->cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < found->count && i < shown; i++) {
        char id[ID_TEXT_MAX];
        uint32_t job = found->list[i].job;
        id_format(trial->history.past[job].id, ID_PREFIX_JOB, id);
        table_cell_text(table, id);
        table_cell(table, trial->history.past[job].site);
        table_cell(table, site_name(trial, &trial->jobs[0][job]));
        table_cell(table, site_name(trial, &trial->jobs[1][job]));
        wait_cell(table, &trial->jobs[0][job]);
        wait_cell(table, &trial->jobs[1][job]);
    }
    printf("\n");
    table_print(table);
    if (found->count > shown)
        printf("and %zu more\n", found->count - shown);
}

static int words_print(const struct trial *trial, const struct comparison *found, size_t shown)
{
    static const char *const HEADS[] = {"", "AS IT IS", "TRIED", "CHANGE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT};
    const struct report *before = &trial->reports[0], *after = &trial->reports[1];
    const char *money = arena_text(&trial->cli->arena, trial->history.topology.policy.currency);
    struct table *table = table_create(trial->cli, HEADS, ALIGNS, COUNT(HEADS));
    ASSERT(money != NULL);
    figure(table, "mean wait, s", before->wait_mean_s, after->wait_mean_s);
    figure(table, "p99 wait, s", before->wait_p99_s, after->wait_p99_s);
    figure(table, arena_printf(&trial->cli->arena, "paid for work, %s", money), before->ask,
           after->ask);
    figure(table, arena_printf(&trial->cli->arena, "energy, %s", money), before->energy,
           after->energy);
    figure(table, "carbon, kg", before->carbon_kg, after->carbon_kg);
    figure(table, "never started", before->never, after->never);
    figure(table, "killed", before->kills, after->kills);
    table_print(table);
    printf("\n%zu jobs: %zu at another site, %zu later, %zu earlier; recorded mean wait %.3g s\n",
           trial->history.job_count, found->moved, found->later, found->earlier,
           found->recorded_wait_s);
    if (found->count > 0)
        jobs_print(trial, found, shown);
    return EXIT_DONE;
}

/* ---- */

static int trial_run(struct trial *trial, struct slice text)
{
    struct cli *cli = trial->cli;
    struct fault fault = {0};
    struct sim_progress progress;
    struct comparison found;
    const char *path = cli_text(cli, "history", "the recorded history");
    if (history_read(text, &trial->arena, &trial->history, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    int code = policy_load(trial, cli->positional[0]);
    if (code == EXIT_DONE && trial->history.job_count == 0)
        code = cli_fail(cli, EXIT_NOT_FOUND, "no job ran in that time; widen it with --from");
    sim_progress_begin(&progress, cli);
    for (int which = 0; code == EXIT_DONE && which < 2; which++)
        code = run_one(trial, which, &progress);
    (void)sim_progress_seconds(&progress);
    if (code != EXIT_DONE)
        return code;
    if (!compare(trial, &found))
        return cli_fail(cli, EXIT_FAILED, "out of memory");
    size_t shown = (size_t)cli_number(cli, "limit", SHOWN_DEFAULT);
    return cli->is_json ? json_print(trial, &found, shown) : words_print(trial, &found, shown);
}

static int try_command(struct cli *cli)
{
    struct trial *trial = arena_alloc(&cli->arena, sizeof(*trial));
    struct buffer fetched;
    struct slice text = {0};
    if (trial == NULL)
        return cli_fail(cli, EXIT_FAILED, "out of memory");
    *trial = (struct trial){.cli = cli};
    arena_init(&trial->arena, SIM_ARENA_BYTES_MAX);
    buffer_init(&fetched, HISTORY_BYTES_MAX);
    int code = history_text(trial, &fetched, &text);
    if (code == EXIT_DONE)
        code = trial_run(trial, text);
    buffer_deinit(&fetched);
    arena_deinit(&trial->arena);
    return code;
}

const struct command COMMAND_POLICY_TRY = {
    .name = "policy try",
    .group = "Network",
    .summary = "what would be otherwise if this policy had stood, from the recorded history",
    .usage = "FILE [flags]",
    .details =
        "FILE names what would be otherwise (YAML or JSON, the members of `lq policy show "
        "--json`); "
        "the rest\nstays. The recorded jobs are placed twice by the engine that places live ones: "
        "by the policy that\nstands, and by this one. Run times are as recorded, wherever a job "
        "goes. Nothing is changed.\n\n"
        "Examples:\n  lq policy try cleaner.yaml --from 7d\n"
        "  lq policy try cleaner.yaml --history november.jsonl --json",
    .flags = FLAGS,
    .flag_count = COUNT(FLAGS),
    .positional_min = 1,
    .positional_max = 1,
    .run = try_command};
