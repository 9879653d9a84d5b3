/* `lq demo`: three sites of the real topology on this machine; a language model trains in the west,
 * its site is killed half-way, it goes on at the other one from its checkpoint; beside it the
 * Philly trace runs across all three. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/commands.h"
#include "cli/demo.h"
#include "port/clock.h"
#include "port/file.h"

static const struct flag DEMO_FLAGS[] = {
    {"keep", 0, FLAG_BOOL, NULL, "leave the network up and say how to use it"},
    {"report", 0, FLAG_TEXT, "F", "write the summary as JSON to this file (./run --json F)"},
    {"state", 0, FLAG_TEXT, "FOLDER",
     "keep everything here; default: a new folder below the system's temporary one"},
    {"root", 0, FLAG_TEXT, "FOLDER", "the project's folder; default: the current one"},
    {"topology", 0, FLAG_TEXT, "FILE", "default: data/topology/demo.yaml"},
};

int64_t demo_now_ms(const struct demo *demo)
{
    struct clock clock = clock_system();
    return clock_boot(&clock).ns / 1000000 - demo->started_ms;
}

void demo_say(const struct demo *demo, const char *format, ...)
{
    va_list args;
    printf("[%5.1f s] ", (double)demo_now_ms(demo) / 1000.0);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    (void)fflush(stdout);
}

/* Half of the steps are done and a checkpoint is in the store: the moment to lose the site. */
static int kill_if_due(struct demo *demo)
{
    struct demo_training *training = &demo->training;
    if (training->is_killed || training->step * 2 < training->steps || training->first_site[0] == 0)
        return EXIT_DONE;
    training->is_killed = true;
    training->step_before = training->step;
    training->loss_before = training->loss;
    demo->killed_ms = demo_now_ms(demo);
    demo_say(demo,
             "step %llu of %llu, loss %.4f: now %s is lost: kill -9 of its agent, supervisors and "
             "programs",
             (unsigned long long)training->step, (unsigned long long)training->steps,
             training->loss, training->first_site);
    return network_kill_site(demo->network, training->first_site);
}

static int restart_if_due(struct demo *demo)
{
    if (!demo->training.is_moved || demo->is_restarted ||
        demo_now_ms(demo) - demo->moved_ms < DEMO_RESTART_AFTER_MS)
        return EXIT_DONE;
    demo->is_restarted = true;
    demo_say(demo, "%s is started again: it tells what became of its attempts, and takes work",
             demo->training.first_site);
    return network_restart_site(demo->network, demo->training.first_site);
}

/* How many jobs have not ended. */
static int open_jobs(struct demo *demo, uint64_t *out_open)
{
    struct api_reply reply;
    int code = api_call(demo->cli, "GET", "/v1/stats", (struct slice){0}, &reply);
    if (code == EXIT_DONE)
        *out_open = api_u64(reply.root, "jobs_pending") + api_u64(reply.root, "jobs_active");
    return code;
}

static int demo_loop(struct demo *demo)
{
    int64_t said_ms = 0;
    for (;;) {
        uint64_t open = 0;
        int64_t now_ms = demo_now_ms(demo);
        int code = demo_trace_submit(demo, now_ms);
        if (code == EXIT_DONE)
            code = demo_training_look(demo);
        if (code == EXIT_DONE)
            code = kill_if_due(demo);
        if (code == EXIT_DONE)
            code = restart_if_due(demo);
        if (code == EXIT_DONE)
            code = open_jobs(demo, &open);
        if (code != EXIT_DONE)
            return code;
        if (now_ms - said_ms >= 5000) {
            said_ms = now_ms;
            demo_say(demo, "training: step %llu, loss %.4f; jobs: %llu submitted, %llu not ended",
                     (unsigned long long)demo->training.step, demo->training.loss_last,
                     (unsigned long long)demo->summary.submitted, (unsigned long long)open);
        }
        bool is_all_submitted = demo->summary.submitted == demo->trace_count + 1;
        if (is_all_submitted && open == 0 && demo->training.is_ended)
            return demo_training_look(demo); /* the last lines of its log */
        if (now_ms > DEMO_LIMIT_MS) {
            demo_say(demo, "the time is up");
            return EXIT_DONE;
        }
        int alive = network_wait(demo->network, SPAN_MS(DEMO_POLL_MS));
        if (alive != EXIT_DONE)
            return alive;
    }
}

static int demo_play(struct demo *demo)
{
    int code = demo_training_submit(demo);
    if (code == EXIT_DONE) {
        demo_say(demo,
                 "submitted as %s; now the first %zu jobs of the Philly trace, arrivals squeezed "
                 "into %d s, gangs included",
                 demo->training.id, demo->trace_count, DEMO_ARRIVALS_MS / 1000);
        code = demo_loop(demo);
    }
    if (code == EXIT_DONE)
        code = demo_report_collect(demo);
    if (code == EXIT_DONE) {
        demo_report_print(demo);
        if (cli_has(demo->cli, "report"))
            code = demo_report_write(demo, cli_text(demo->cli, "report", NULL));
    }
    const struct demo_summary *s = &demo->summary;
    if (code == EXIT_DONE && (s->failed > 0 || s->open > 0 || s->lost > 0 || s->double_runs > 0 ||
                              !demo->training.is_moved))
        code = cli_fail(demo->cli, EXIT_FAILED,
                        "the demonstration did not go as it should; the figures above say where");
    return code;
}

static int demo_run(struct cli *cli)
{
    struct demo *demo = arena_alloc(&cli->arena, sizeof(*demo));
    struct network_options options = {.topology_path = "data/topology/demo.yaml",
                                      .has_delay = true};
    ASSERT(demo != NULL);
    demo->cli = cli;
    demo->root = cli_text(cli, "root", ".");
    demo->training.steps = 900;           /* as examples/train-lm/job.yaml says */
    demo->started_ms = demo_now_ms(demo); /* from zero */
    options.topology_path = cli_text(
        cli, "topology", arena_printf(&cli->arena, "%s/data/topology/demo.yaml", demo->root));
    options.catalogue_path =
        arena_printf(&cli->arena, "%s/data/domain/accelerators.csv", demo->root);
    options.state_folder = cli_text(cli, "state", NULL);
    int code = demo_trace_read(
        demo, arena_printf(&cli->arena, "%s/data/philly/philly-300.csv", demo->root));
    if (code == EXIT_DONE)
        code = network_start(cli, &options, &demo->network);
    if (code != EXIT_DONE)
        return code;
    demo_say(demo, "the network is up");
    code = demo_play(demo);
    if (code != EXIT_INTERRUPTED && cli_has(cli, "keep")) {
        network_describe(demo->network);
        int kept = network_serve(demo->network);
        code = code == EXIT_DONE ? kept : code;
    }
    (void)fflush(stdout);
    network_stop(demo->network);
    return code;
}

const struct command COMMAND_DEMO = {
    .name = "demo",
    .group = "Running a network",
    .summary = "what ./run shows: work that survives the loss of a site",
    .usage = "[--keep] [--report F]",
    .details = "Starts the network of data/topology/demo.yaml on this machine, trains a small "
               "language model in the west, kills its site\n"
               "half-way, and replays the first jobs of the Philly trace beside it. Ends by itself "
               "in at most four minutes.\n\nExample:\n  lq demo --report summary.json",
    .flags = DEMO_FLAGS,
    .flag_count = sizeof(DEMO_FLAGS) / sizeof(DEMO_FLAGS[0]),
    .run = demo_run};
