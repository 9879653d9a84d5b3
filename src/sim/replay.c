/* The loop of events. */
#include "sim/replay.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/replay_state.h"

enum { HOUR_MS = 3600000, PROGRESS_EVENTS = 4096 };

/* What a heap entry is about, in its upper bits; the rest is the job. */
enum event_kind { EVENT_END, EVENT_HELD_BACK, EVENT_HOUR, EVENT_DUE };
#define EVENT_PAYLOAD(kind, number) ((uint64_t)(kind) << 32 | (number))

static enum err check(const struct replay_setup *setup, struct fault *fault)
{
    int64_t before = 0;
    if (setup->job_count > REPLAY_JOBS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "more than %d jobs", REPLAY_JOBS_MAX);
    if (setup->topology->site_count == 0 || setup->topology->tenant_count == 0)
        return fault_set(fault, ERR_INVALID, NULL, "a network needs a site and a tenant");
    for (size_t i = 0; i < setup->job_count; i++) {
        const struct replay_job *job = &setup->jobs[i];
        if (job->arrival_ms < before)
            return fault_set(fault, ERR_INVALID, NULL, "jobs must be in order of arrival");
        if (job->nodes == 0 || job->nodes > JOB_NODES_MAX || job->devices > JOB_ACCELERATORS_MAX ||
            job->duration_ms < 0)
            return fault_set(fault, ERR_INVALID, NULL, "job %zu has a size that no job may have",
                             i + 1);
        before = job->arrival_ms;
    }
    return ERR_OK;
}

static enum err event_push(struct replay *replay, int64_t at_ms, enum event_kind kind,
                           uint32_t number, struct heap_handle *out)
{
    return heap_push(&replay->events, at_ms, EVENT_PAYLOAD(kind, number), out);
}

static enum err job_start(struct replay *replay, const struct place_decision *decision,
                          int64_t now_ms)
{
    uint32_t index = replay_job_index(decision->job);
    struct replay_job *job = &replay->setup->jobs[index];
    struct replay_live *live = &replay->live[index];
    ASSERT(live->stage == STAGE_QUEUED);
    placer_confirm(replay->placer, decision->job, replay_now(replay, now_ms));
    job->site = replay_site_index(decision->site);
    job->variant = decision->variant;
    job->start_ms = now_ms;
    live->stage = STAGE_RUNNING;
    live->ask_per_hour = decision->ask_per_hour;
    live->first_node = UINT16_MAX;
    live->last_node = 0;
    for (uint32_t r = 0; r < decision->nodes; r++) {
        uint16_t node = decision->places[r].node;
        live->first_node = node < live->first_node ? node : live->first_node;
        live->last_node = node > live->last_node ? node : live->last_node;
    }
    const struct replay_setup *setup = replay->setup;
    int64_t lasts = setup->duration != NULL
                        ? setup->duration(setup->context, job, job->site, job->variant)
                        : job->duration_ms;
    replay->result.decisions++;
    return event_push(replay, now_ms + lasts, EVENT_END, index, &live->end);
}

static void job_leave(struct replay *replay, uint32_t index, int64_t now_ms)
{
    struct replay_job *job = &replay->setup->jobs[index];
    replay_tally_held(replay, job, now_ms, replay->live[index].ask_per_hour);
    placer_release(replay->placer, replay_job_id(index), replay_now(replay, now_ms).wall);
}

static void job_end(struct replay *replay, uint32_t index, int64_t now_ms)
{
    ASSERT(replay->live[index].stage == STAGE_RUNNING);
    job_leave(replay, index, now_ms);
    replay->live[index].stage = STAGE_DONE;
    replay->setup->jobs[index].end_ms = now_ms;
    replay->result.ended++;
    if (replay->setup->ended != NULL)
        replay->setup->ended(replay->setup->context, index, now_ms);
}

/* Those on nodes that are no longer there. */
static enum err site_kill(struct replay *replay, uint32_t site, int64_t now_ms)
{
    uint32_t there = replay_nodes_there(replay, site);
    for (uint32_t i = 0; i < replay->next_arrival; i++) {
        struct replay_live *live = &replay->live[i];
        struct replay_job *job = &replay->setup->jobs[i];
        if (live->stage != STAGE_RUNNING || job->site != site || live->last_node < there)
            continue;
        bool was_there = heap_remove(&replay->events, live->end);
        ASSERT(was_there);
        job_leave(replay, i, now_ms);
        job->kills++;
        replay->result.kills++;
        job->site = REPLAY_NONE;
        enum err err = replay_job_queue(replay, i);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err change_take(struct replay *replay, const struct replay_change *change,
                            int64_t now_ms)
{
    struct replay_place *place = &replay->places[change->site];
    switch (change->kind) {
    case REPLAY_FAIL:
        place->is_down = place->is_down || change->nodes == 0;
        place->failed += change->nodes;
        break;
    case REPLAY_REPAIR:
        place->is_down = place->is_down && change->nodes != 0;
        place->failed -= change->nodes < place->failed ? change->nodes : place->failed;
        break;
    case REPLAY_OWNER:
        place->taken = change->nodes;
        break;
    case REPLAY_GROW:
        place->grown = change->nodes;
        break;
    }
    replay_site_tell(replay, change->site);
    return site_kill(replay, change->site, now_ms);
}

/* It has come, or has been held back until now. */
static enum err job_offer(struct replay *replay, uint32_t index, int64_t now_ms)
{
    const struct replay_setup *setup = replay->setup;
    if (setup->release == NULL || setup->release(setup->context, index, now_ms))
        return replay_job_queue(replay, index);
    replay->live[index].stage = STAGE_HELD_BACK;
    return event_push(replay, (now_ms / HOUR_MS + 1) * HOUR_MS, EVENT_HELD_BACK, index, NULL);
}

/* None when nothing is to come but hours: what is queued then never starts. */
static enum err hour_next(struct replay *replay, int64_t now_ms)
{
    if (heap_count(&replay->events) == 0 && replay->next_change == replay->setup->change_count &&
        replay->next_arrival == replay->setup->job_count)
        return ERR_OK;
    return event_push(replay, now_ms + HOUR_MS, EVENT_HOUR, 0, NULL);
}

static enum err event_take(struct replay *replay, uint64_t payload, int64_t now_ms)
{
    uint32_t index = (uint32_t)payload;
    switch ((enum event_kind)(payload >> 32)) {
    case EVENT_END:
        job_end(replay, index, now_ms);
        return ERR_OK;
    case EVENT_HELD_BACK:
        return job_offer(replay, index, now_ms);
    case EVENT_HOUR:
        replay_prices_tell(replay, now_ms);
        return hour_next(replay, now_ms);
    case EVENT_DUE:
        replay->has_due = false;
        return ERR_OK;
    }
    return ERR_OK;
}

static int64_t next_time(const struct replay *replay)
{
    const struct replay_setup *setup = replay->setup;
    int64_t at = REPLAY_NEVER, key;
    if (heap_peek(&replay->events, &key, NULL))
        at = key;
    if (replay->next_arrival < setup->job_count &&
        setup->jobs[replay->next_arrival].arrival_ms < at)
        at = setup->jobs[replay->next_arrival].arrival_ms;
    if (replay->next_change < setup->change_count && setup->changes[replay->next_change].at_ms < at)
        at = setup->changes[replay->next_change].at_ms;
    return at;
}

/* Everything at this moment: what ends before what comes. */
static enum err moment_take(struct replay *replay, int64_t now_ms)
{
    const struct replay_setup *setup = replay->setup;
    enum err err = ERR_OK;
    int64_t key;
    uint64_t payload;
    while (err == ERR_OK && heap_peek(&replay->events, &key, &payload) && key <= now_ms) {
        (void)heap_pop(&replay->events, NULL, NULL);
        err = event_take(replay, payload, now_ms);
        replay->result.events++;
    }
    while (err == ERR_OK && replay->next_change < setup->change_count &&
           setup->changes[replay->next_change].at_ms <= now_ms) {
        err = change_take(replay, &setup->changes[replay->next_change++], now_ms);
        replay->result.events++;
    }
    while (err == ERR_OK && replay->next_arrival < setup->job_count &&
           setup->jobs[replay->next_arrival].arrival_ms <= now_ms) {
        err = job_offer(replay, (uint32_t)replay->next_arrival++, now_ms);
        replay->result.events++;
    }
    return err;
}

static enum err decide(struct replay *replay, int64_t now_ms, struct place_decision *decision)
{
    struct now now = replay_now(replay, now_ms);
    while (placer_propose(replay->placer, now, decision)) {
        enum err err = job_start(replay, decision, now_ms);
        if (err != ERR_OK)
            return err;
    }
    struct boot_ns due = placer_due(replay->placer, now);
    if (replay->has_due || due.ns == BOOT_NEVER.ns)
        return ERR_OK;
    replay->has_due = true;
    int64_t at_ms = (due.ns + 999999) / 1000000;
    return event_push(replay, at_ms > now_ms ? at_ms : now_ms + 1, EVENT_DUE, 0, NULL);
}

static bool is_over(const struct replay *replay, int64_t now_ms)
{
    const struct replay_setup *setup = replay->setup;
    if (now_ms == REPLAY_NEVER || (setup->end_ms > 0 && now_ms > setup->end_ms))
        return true;
    return replay->result.ended == setup->job_count;
}

static enum err loop(struct replay *replay)
{
    const struct replay_setup *setup = replay->setup;
    struct place_decision *decision = malloc(sizeof(*decision));
    enum err err = decision != NULL ? ERR_OK : ERR_NO_MEMORY;
    uint64_t told = 0;
    int64_t now_ms;
    while (err == ERR_OK && !is_over(replay, now_ms = next_time(replay))) {
        err = moment_take(replay, now_ms);
        if (err == ERR_OK)
            err = decide(replay, now_ms, decision);
        if (setup->progress != NULL && replay->result.events - told >= PROGRESS_EVENTS) {
            told = replay->result.events;
            setup->progress(setup->context, now_ms, replay->result.ended);
        }
    }
    free(decision);
    return err;
}

/* What still runs when the replay is cut counts up to there. */
static void cut(struct replay *replay)
{
    const struct replay_setup *setup = replay->setup;
    for (uint32_t i = 0; setup->end_ms > 0 && i < setup->job_count; i++)
        if (replay->live[i].stage == STAGE_RUNNING && setup->jobs[i].start_ms < setup->end_ms)
            replay_tally_held(replay, &setup->jobs[i], setup->end_ms, replay->live[i].ask_per_hour);
}

enum err replay_run(const struct replay_setup *setup, struct arena *arena,
                    struct replay_result *out, struct fault *fault)
{
    struct replay replay = {.setup = setup, .arena = arena};
    enum err err = check(setup, fault);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < setup->job_count; i++) {
        struct replay_job *job = &setup->jobs[i];
        job->site = REPLAY_NONE;
        job->variant = job->kills = 0;
        job->start_ms = job->end_ms = REPLAY_NEVER;
    }
    err = replay_world_make(&replay, fault);
    if (err == ERR_OK)
        err = replay_tally_begin(&replay);
    if (err == ERR_OK && setup->series != NULL)
        err = event_push(&replay, 0, EVENT_HOUR, 0, NULL);
    if (err == ERR_OK)
        err = loop(&replay);
    if (err == ERR_OK) {
        cut(&replay);
        err = replay_tally_end(&replay);
    }
    if (err == ERR_OK)
        *out = replay.result;
    replay_world_free(&replay);
    return err;
}
