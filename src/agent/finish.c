/* What is handed on of an attempt: checkpoints while it runs, then, after its end, the last
 * checkpoint, the outputs and the rest of its output; then its folders go. Each step is taken again
 * after a restart; doing one twice costs time only. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/shell.h"
#include "agent/tell.h"

enum {
    LOOK_MS_MIN = 250,
    LOOK_MS_MAX = 2000,
    EVERY_MS_DEFAULT = 10000,
    YOUNG_MS = 250,
    BUSY_MS = 200,
    FAILED_MS = 2000,
};

static void tick(void *context);

static void tick_in(struct run *run, int64_t ms)
{
    if (run->timer.loop == NULL)
        loop_timer_init(&run->timer, run->agent->loop, tick, run);
    loop_timer_set(&run->timer, SPAN_MS(ms));
}

static int64_t every_ms(const struct run *run)
{
    int64_t every = run->spec.checkpoint.every.ms;
    return every > 0 ? every : EVERY_MS_DEFAULT;
}

static int64_t look_ms(const struct run *run)
{
    int64_t every = every_ms(run);
    return every < LOOK_MS_MIN ? LOOK_MS_MIN : every > LOOK_MS_MAX ? LOOK_MS_MAX : every;
}

/* ---- while it runs */

void finish_watch(struct run *run)
{
    if (run->has_order && run->spec.checkpoint.dir.len > 0 && run->stage == FINISH_NONE &&
        (run->timer.loop == NULL || !loop_timer_is_set(&run->timer)) && run->upload == NULL)
        tick_in(run, look_ms(run));
}

static void watch_tick(struct run *run)
{
    struct boot_ns now = loop_now(run->agent->loop).boot;
    int64_t since =
        run->checkpoint_at.ns == 0 ? every_ms(run) : boot_since(now, run->checkpoint_at).ms;
    if (run->upload != NULL)
        return; /* its end sets the timer */
    if (since < every_ms(run))
        tick_in(run, every_ms(run) - since < look_ms(run) ? every_ms(run) - since : look_ms(run));
    else if (upload_start(run, UPLOAD_CHECKPOINT) != ERR_OK)
        tick_in(run, BUSY_MS);
}

/* ---- after the end */

void finish_begin(struct run *run)
{
    struct agent *agent = run->agent;
    if (run->stage != FINISH_NONE)
        return;
    run->gone_at = loop_now(agent->loop).boot;
    bool has_results = run->has_order && run->phase == PHASE_ENDED;
    run->stage = has_results ? FINISH_CHECKPOINT : FINISH_WIPE;
    run->young_looks = 0;
    if (run->upload != NULL) { /* begun before the end: a last picture is wanted */
        upload_cancel(run->upload);
        run->upload = NULL;
    }
    tick_in(run, 0);
}

void finish_poke(struct run *run)
{
    if (run->stage != FINISH_NONE && run->upload == NULL && !run->is_stage_running)
        tick_in(run, 0);
}

/* Whether what the program left is worth keeping: a run that was taken away is tried again. */
static bool has_outputs(const struct run *run)
{
    return run->spec.outputs.count > 0 &&
           (run->outcome == OUTCOME_SUCCEEDED || run->outcome == OUTCOME_PROGRAM_ERROR ||
            run->outcome == OUTCOME_OUT_OF_MEMORY || run->outcome == OUTCOME_TIME_LIMIT);
}

struct removal { /* on the copying thread */
    struct agent *agent;
    struct attempt_token token;
    uint32_t ranks;
    bool is_whole;
    char folder[RUN_PATH_MAX];
};

static void removal_run(void *context)
{
    static const char *const PARTS[] = {"work", "scratch"};
    struct removal *removal = context;
    char path[RUN_PATH_MAX + 64];
    struct fault fault = {0};
    enum err err = ERR_OK;
    if (removal->is_whole)
        err = file_remove_tree(removal->folder, &fault);
    for (uint32_t rank = 0; !removal->is_whole && rank < removal->ranks; rank++)
        for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
            (void)snprintf(path, sizeof(path), "%s/rank-%u/%s", removal->folder, rank, PARTS[i]);
            enum err removed = file_remove_tree(path, &fault);
            err = err == ERR_OK ? removed : err;
        }
    if (err != ERR_OK)
        tell("%s cannot be removed: %s", removal->folder, fault.message);
}

static void removal_done(void *context)
{
    struct removal *removal = context;
    struct agent *agent = removal->agent;
    struct run *run = agent->is_stopping ? NULL : run_find(agent, &removal->token);
    bool is_whole = removal->is_whole;
    free(removal);
    if (run == NULL)
        return;
    run->is_stage_running = false;
    if (is_whole) {
        run->has_folder = false;
        run->stage = FINISH_NONE;
        run_forget_if_idle(run);
    } else {
        run->stage = FINISH_LOGS;
        tick_in(run, 0);
    }
}

static void remove_later(struct run *run, bool is_whole)
{
    struct removal *removal = calloc(1, sizeof(*removal));
    if (removal == NULL) {
        tick_in(run, FAILED_MS);
        return;
    }
    *removal = (struct removal){.agent = run->agent,
                                .token = run->token,
                                .ranks = run->has_order ? run->order.nodes : 0,
                                .is_whole = is_whole};
    run_path(run, -1, "", removal->folder);
    run->is_stage_running = true;
    if (worker_submit(run->agent->copy_worker, removal_run, removal_done, removal) != ERR_OK) {
        run->is_stage_running = false;
        free(removal);
        tick_in(run, BUSY_MS);
    }
}

/* The server holds the job back for this word. When it cannot be said now, the job waits out the
 * server's own limit. */
static void checkpoint_done(struct run *run)
{
    const struct agent_event event = {.kind = AGENT_COPIED, .copied = {.token = run->token}};
    enum err err = agent_host_step(run->agent->host, &event);
    (void)err;
    run->stage = FINISH_OUTPUTS;
}

static void upload_stage(struct run *run, enum upload_kind kind, bool is_wanted,
                         enum finish_stage next)
{
    if (!is_wanted && kind == UPLOAD_CHECKPOINT) {
        checkpoint_done(run);
        tick_in(run, 0);
    } else if (!is_wanted) {
        run->stage = next;
        tick_in(run, 0);
    } else if (upload_start(run, kind) != ERR_OK) {
        tick_in(run, BUSY_MS);
    }
}

static void finish_tick(struct run *run)
{
    struct boot_ns now = loop_now(run->agent->loop).boot;
    bool is_late = boot_since(now, run->gone_at).ms > FINISH_LIMIT.ms;
    if (run->upload != NULL || run->is_stage_running)
        return;
    switch (run->stage) {
    case FINISH_NONE:
        break;
    case FINISH_CHECKPOINT:
        upload_stage(run, UPLOAD_CHECKPOINT, run->spec.checkpoint.dir.len > 0 && !is_late,
                     FINISH_OUTPUTS);
        break;
    case FINISH_OUTPUTS:
        upload_stage(run, UPLOAD_OUTPUTS, has_outputs(run) && !is_late, FINISH_WIPE);
        break;
    case FINISH_WIPE:
        remove_later(run, false);
        break;
    case FINISH_LOGS:
        if (!logs_are_done(run) && !is_late)
            return; /* its end pokes */
        run->stage = FINISH_REMOVE;
        tick_in(run, 0);
        break;
    case FINISH_REMOVE:
        logs_cancel(run);
        driver_forget(run->agent->driver, &run->token);
        remove_later(run, true);
        break;
    }
}

static void tick(void *context)
{
    struct run *run = context;
    if (run->stage == FINISH_NONE)
        watch_tick(run);
    else
        finish_tick(run);
}

/* ---- uploads come back */

static void finish_next(struct run *run, enum upload_result result)
{
    if (result == UPLOAD_FAILED) {
        tick_in(run, FAILED_MS);
        return;
    }
    if (run->stage == FINISH_CHECKPOINT)
        checkpoint_done(run);
    else if (run->stage == FINISH_OUTPUTS)
        run->stage = FINISH_WIPE;
    tick_in(run, 0);
}

void finish_uploaded(struct run *run, enum upload_kind kind, enum upload_result result,
                     const struct snapshot *snapshot, const char *why)
{
    if (result == UPLOAD_FAILED || result == UPLOAD_REFUSED)
        tell("%s: its %s could not be handed on: %s", run->name,
             kind == UPLOAD_CHECKPOINT ? "checkpoint" : "outputs", why);
    if (kind == UPLOAD_CHECKPOINT && (result == UPLOAD_DONE || result == UPLOAD_REFUSED)) {
        run->checkpoint_known = snapshot->fingerprint;
        run->checkpoint_step = snapshot->step;
        run->checkpoint_at = loop_now(run->agent->loop).boot;
    }
    run->young_looks = result == UPLOAD_WAIT ? run->young_looks + 1 : 0;
    if (run->stage != FINISH_NONE)
        finish_next(run, result);
    else if (result == UPLOAD_WAIT)
        tick_in(run, YOUNG_MS);
    else
        tick_in(run, result == UPLOAD_FAILED ? FAILED_MS : look_ms(run));
}
