/* lq top: the network at a glance, refreshed. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/view.h"
#include "port/clock.h"
#include "port/loop.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct flag TOP_FLAGS[] = {
    {"once", '1', FLAG_BOOL, NULL, "show it once and end"},
    {"every", 0, FLAG_SPAN, "TIME", "between two looks; default 2s"},
    {"jobs", 'n', FLAG_NUMBER, "N", "so many jobs; default: what fits"},
};

enum {
    TOP_EVERY_MS = 2000,
    TOP_EVERY_MS_MIN = 200,
    TOP_JOBS_MAX = 200,
    TOP_OTHER_LINES = 9,
    TOP_SITES_ASKED_MAX = 40
};

struct top {
    bool is_over;
    struct cli *cli;
};

static void on_signal(void *context, int signal_number)
{
    struct top *top = context;
    (void)signal_number;
    top->is_over = true;
    loop_stop(top->cli->loop);
}

static void counts_print(struct cli *cli, struct json_value stats)
{
    char now[TIME_TEXT_MAX];
    struct clock clock = clock_system();
    wall_format(clock_wall(&clock), now);
    printf("lingqu at %s, %.19s UTC\n", cli->config.server, now);
    printf("jobs: %llu waiting, %llu active   attempts: %llu offered, %llu running, %llu unknown   "
           "sites: %llu, %llu lost%s\n\n",
           (unsigned long long)api_u64(stats, "jobs_pending"),
           (unsigned long long)api_u64(stats, "jobs_active"),
           (unsigned long long)api_u64(stats, "attempts_offered"),
           (unsigned long long)api_u64(stats, "attempts_running"),
           (unsigned long long)api_u64(stats, "attempts_unknown"),
           (unsigned long long)api_u64(stats, "sites"),
           (unsigned long long)api_u64(stats, "sites_lost"),
           api_bool(stats, "is_reconciling") ? "   RECONCILING AFTER A RESTORE" : "");
}

static void age_cell(struct table *table, struct json_value job)
{
    struct wall_us at;
    struct clock clock = clock_system();
    char text[TIME_TEXT_MAX];
    if (wall_parse(api_string(job, "created_at"), &at) != ERR_OK) {
        table_cell_text(table, "-");
        return;
    }
    int64_t ms = (clock_wall(&clock).us - at.us) / 1000;
    span_format(SPAN_MS(ms < 0 ? 0 : ms), text);
    table_cell_text(table, text);
}

/* Of the newest attempt; the list does not say it. */
static struct slice site_of_job(struct cli *cli, struct json_value job)
{
    struct api_reply reply;
    const char *id = arena_text(&cli->arena, api_string(job, "id"));
    if (api_u64(job, "attempt") == 0 ||
        api_call(cli, "GET", api_target(cli, "/v1/jobs/%s", api_escape(cli, id)), (struct slice){0},
                 &reply) != EXIT_DONE)
        return (struct slice){0};
    struct json_value attempts = json_object_get(reply.root, "attempts");
    size_t count = json_count(attempts);
    return count == 0 ? (struct slice){0}
                      : api_string(json_array_at(attempts, count - 1), "site_name");
}

static void jobs_print(struct cli *cli, const struct api_list *jobs)
{
    static const char *const HEADS[] = {"JOB", "NAME", "STATE", "SITE", "ATTEMPT", "AGE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_LEFT,  TABLE_LEFT,
                                              TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT};
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < jobs->count; i++) {
        struct json_value job = jobs->items[i];
        struct slice site = i < TOP_SITES_ASKED_MAX ? site_of_job(cli, job) : (struct slice){0};
        table_cell(table, api_string(job, "id"));
        table_cell(table, api_string(job, "name"));
        table_cell(table, api_string(job, "state"));
        table_cell(table, site.len > 0 ? site : SLICE_LITERAL("-"));
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(job, "attempt"));
        age_cell(table, job);
    }
    table_print(table);
}

static int look(struct cli *cli, uint64_t rows)
{
    struct api_reply stats;
    struct api_list sites, jobs, waiting = {0};
    int code = api_call(cli, "GET", "/v1/stats", (struct slice){0}, &stats);
    if (code == EXIT_DONE)
        code = api_list(cli, "/v1/sites", 0, &sites);
    if (rows == 0) /* what the terminal has left under the rest */
        rows = cli->rows > sites.count + TOP_OTHER_LINES ? cli->rows - sites.count - TOP_OTHER_LINES
                                                         : 1;
    if (code == EXIT_DONE)
        code = api_list(cli, "/v1/jobs?state=active", rows, &jobs);
    if (code == EXIT_DONE && jobs.count < rows)
        code = api_list(cli, "/v1/jobs?state=pending", rows - jobs.count, &waiting);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json) {
        printf("{\"stats\":%.*s,\"sites\":", SLICE_ARG(stats.body));
        code = api_print_list(cli, &sites);
        printf(",\"jobs\":");
        code = code == EXIT_DONE ? api_print_list(cli, &jobs) : code;
        printf("}\n");
        return code;
    }
    if (cli->is_terminal && !cli_has(cli, "once"))
        printf("\033[H\033[2J");
    counts_print(cli, stats.root);
    if (sites.count > 0)
        network_sites_print(cli, sites.items, sites.count);
    if (jobs.count + waiting.count > 0)
        printf("\n");
    if (jobs.count > 0)
        jobs_print(cli, &jobs);
    if (jobs.count > 0 && waiting.count > 0)
        printf("\n");
    if (waiting.count > 0)
        jobs_print(cli, &waiting);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int top(struct cli *cli)
{
    struct top top = {.cli = cli};
    const struct flag_value *every = cli_flag(cli, "every");
    struct span_ms span = every->is_set ? every->span : SPAN_MS(TOP_EVERY_MS);
    uint64_t rows = cli_number(cli, "jobs", 0);
    if (rows > TOP_JOBS_MAX)
        rows = TOP_JOBS_MAX;
    if (span.ms < TOP_EVERY_MS_MIN)
        span = SPAN_MS(TOP_EVERY_MS_MIN);
    int code = api_config_load(cli);
    if (code == EXIT_DONE)
        code = cli_loop(cli);
    if (code != EXIT_DONE)
        return code;
    if (loop_signal_watch(cli->loop, SIGINT, on_signal, &top) != ERR_OK ||
        loop_signal_watch(cli->loop, SIGTERM, on_signal, &top) != ERR_OK)
        return cli_fail(cli, EXIT_FAILED, "cannot watch for signals");
    if (cli_has(cli, "once") || cli->is_json || !cli->is_terminal)
        return look(cli, rows);
    while (!top.is_over) {
        /* A look's memory goes when it is over, but the configuration lives at the arena's start.
         */
        struct arena first = cli->arena;
        struct api_kept *first_kept = cli->kept;
        arena_init(&cli->arena, CLI_ARENA_BYTES_MAX);
        cli->kept = NULL;
        code = look(cli, rows);
        api_kept_destroy(cli);
        arena_deinit(&cli->arena);
        cli->arena = first;
        cli->kept = first_kept;
        cli_size(cli);
        if (code != EXIT_DONE && code != EXIT_UNREACHABLE)
            break;
        if (!top.is_over)
            cli_pause(cli, span);
    }
    return top.is_over ? EXIT_DONE : code;
}

const struct command COMMAND_TOP = {
    .name = "top",
    .group = "Records",
    .summary = "counts, sites and running jobs, refreshed",
    .usage = "[flags]",
    .details = "Ends with Ctrl-C. Where standard output is no terminal it shows once.\n\n"
               "Examples:\n  lq top\n  lq top --once --json",
    .flags = TOP_FLAGS,
    .flag_count = COUNT(TOP_FLAGS),
    .run = top};
