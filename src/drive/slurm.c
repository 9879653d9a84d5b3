/* The Slurm driver's loop side: submits go to a few workers, all else waits for the next look at
 * the cluster, which answers everybody at once. */
#include "drive/slurm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/vector.h"
#include "drive/slurm_private.h"
#include "port/clock.h"
#include "port/worker.h"

enum { SETTINGS_ARENA_BYTES = 16 << 20, LIST_NAMES_MAX = 1 << 17 };

static struct slurm *slurm_of(struct driver *driver)
{
    return (struct slurm *)driver;
}

/* ---- calls */

static struct slurm_seen *seen_take(struct slurm_seen *seen)
{
    if (seen != NULL)
        seen->references++;
    return seen;
}

static void seen_release(struct slurm_seen *seen)
{
    if (seen != NULL && --seen->references == 0)
        free(seen);
}

static struct slurm_call *call_make(struct slurm *slurm, enum drive_call kind,
                                    const struct attempt_token *token)
{
    ASSERT(slurm->call_count < SLURM_CALLS_MAX); /* the agent has fewer attempts, one call each */
    struct slurm_call *call = calloc(1, sizeof(*call));
    ASSERT(call != NULL);
    call->slurm = slurm;
    call->answer = (struct drive_answer){.call = kind, .token = *token, .kind = DRIVE_UNSURE};
    arena_init(&call->arena, SLURM_ORDER_ARENA_BYTES);
    call->next = slurm->calls;
    slurm->calls = call;
    slurm->call_count++;
    return call;
}

static void call_free(struct slurm_call *call)
{
    struct slurm_call **at = &call->slurm->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    call->slurm->call_count--;
    seen_release(call->seen);
    arena_deinit(&call->arena);
    free((void *)call->order.data);
    free(call);
}

static void call_answer(struct slurm_call *call)
{
    struct slurm *slurm = call->slurm;
    call->answer.why = call->why;
    if (slurm->events != NULL)
        slurm->events->on_answer(slurm->context, &call->answer);
    call_free(call);
}

static void answer_later(void *context)
{
    call_answer(context);
}

/* Nothing was tried: the caller looks the name up and asks again. */
static void call_unsure(struct slurm_call *call, const char *why)
{
    (void)snprintf(call->why, sizeof(call->why), "%s", why);
    call->answer.kind = DRIVE_UNSURE;
    if (loop_post(call->slurm->loop, answer_later, call) != ERR_OK)
        call_free(call); /* the loop drowns; the caller has a time limit of its own */
}

/* ---- submits */

static void run_launch(void *context)
{
    slurm_launch_run(context);
}

static void on_launched(void *context)
{
    struct slurm_call *call = context;
    call->answer.ranks = NULL;
    call->answer.rank_count = 0;
    call_answer(call);
}

static bool is_submitting(const struct slurm *slurm, const struct attempt_token *token)
{
    for (const struct slurm_call *call = slurm->calls; call != NULL; call = call->next)
        if (call->answer.call == DRIVE_SUBMIT && attempt_token_is_equal(&call->answer.token, token))
            return true;
    return false;
}

static void slurm_submit(struct driver *driver, const struct attempt_token *token,
                         struct slice order, uint64_t incarnation)
{
    struct slurm *slurm = slurm_of(driver);
    char name[ATTEMPT_NAME_MAX];
    bool is_second = is_submitting(slurm, token);
    struct slurm_call *call = call_make(slurm, DRIVE_SUBMIT, token);
    char *copy = malloc(order.len + 1);
    ASSERT(copy != NULL);
    memcpy(copy, order.data, order.len);
    call->order = slice_make(copy, order.len);
    call->incarnation = incarnation;
    call->gate_limit = slurm->gate_limit;
    call->seen = seen_take(slurm->seen);
    attempt_name_format(token, name);
    uint64_t at = hash_bytes(slice_of(name), 0) % SLURM_SUBMITTERS;
    if (is_second)
        call_unsure(call, "that name is being started already");
    else if (call->seen == NULL)
        call_unsure(call, "the cluster has not answered yet");
    else if (worker_submit(slurm->submitters[at], run_launch, on_launched, call) != ERR_OK)
        call_unsure(call, "too many engine calls at once");
}

/* ---- looks */

struct look {
    struct slurm *slurm;
    struct arena arena;
    struct slurm_view *view; /* the driver's; one look at a time */
    struct boot_ns begun_at;
    bool is_measuring, is_measured;
    struct slurm_reclaim_found owner;
    uint32_t listings;
    struct slurm_seen *seen;
    struct sync_node nodes[SITE_NODES_MAX];
};

/* Without memory it is looked for the next time; the time between counts. */
static void look_for_owner(struct look *look, const struct slurm_node *found, uint32_t count)
{
    const struct slurm *slurm = look->slurm;
    struct clock clock = clock_system();
    const struct slurm_reclaim_look wish = {.jobs = &look->view->jobs,
                                            .nodes = found,
                                            .node_count = count,
                                            .lent = slurm->settings.config->partitions,
                                            .is_by_agent = slurm->is_reclaim_by_agent,
                                            .promise = slurm_promise(slurm),
                                            .now = clock_boot(&clock)};
    if (slurm_reclaims_look(slurm->reclaims, &wish, &look->arena, &look->owner) != ERR_OK)
        look->owner = (struct slurm_reclaim_found){0};
}

static void look_measure(struct look *look)
{
    const struct slurm_node *found = NULL;
    uint32_t count = 0;
    struct slurm *slurm = look->slurm;
    size_t bytes =
        sizeof(*look->seen) + (size_t)slurm->settings.node_count * sizeof(struct slurm_seen_node);
    if (!look->view->is_known || slurm_read_nodes(&slurm->commands, &look->arena, &found, &count,
                                                  &look->view->fault) != ERR_OK)
        return;
    look->seen = calloc(1, bytes);
    if (look->seen == NULL)
        return;
    look->seen->references = 1;
    look->seen->count = slurm->settings.node_count;
    look_for_owner(look, found, count);
    slurm_look_measure(slurm, look->view, found, count, &look->owner, look->nodes, look->seen);
    look->is_measured = true;
}

/* Reading all jobs is dear (a quarter of a millisecond each): not while their listing stays the
 * same. The listing is read first, so that what is kept is never older than it. */
static void look_jobs(struct look *look)
{
    struct slurm_view *view = look->view;
    const struct slurm_commands *commands = &look->slurm->commands;
    struct digest listing;
    struct boot_ns fresh_until = boot_add(view->read_at, SPAN_MS(SLURM_VIEW_AGE_MAX_MS));
    bool was_known = view->is_known;
    view->is_known = false;
    if (slurm_digest_jobs(commands, &listing, &view->fault) != ERR_OK)
        return;
    if (was_known && digest_is_equal(listing, view->listing) &&
        boot_is_before(look->begun_at, fresh_until)) {
        view->is_known = true;
        return;
    }
    arena_reset(&view->arena);
    view->listing = listing;
    view->read_at = look->begun_at;
    view->is_known = slurm_read_jobs(commands, &view->arena, &view->jobs, &view->fault) == ERR_OK;
}

/* On the worker. The calls SERVED are its own until on_looked; the list itself belongs to the loop,
 * which only puts new ones in front. */
static void run_look(void *context)
{
    struct look *look = context;
    look_jobs(look);
    if (look->is_measuring)
        look_measure(look);
}

static void look_schedule(struct slurm *slurm);

static void tell_names(struct look *look)
{
    struct slurm *slurm = look->slurm;
    struct vector tokens;
    bool is_known = look->view->is_known;
    vector_init(&tokens, sizeof(struct attempt_token), LIST_NAMES_MAX);
    for (uint32_t i = 0; is_known && i < look->view->jobs.our_count; i++)
        if (look->view->jobs.ours[i].state == SLURM_LIVES)
            is_known = vector_push(&tokens, &look->view->jobs.ours[i].token) == ERR_OK;
    for (uint32_t i = 0; i < look->listings && slurm->events != NULL; i++)
        slurm->events->on_names(slurm->context, is_known, tokens.data,
                                is_known ? (uint32_t)tokens.len : 0);
    vector_deinit(&tokens);
}

/* A cluster that does not answer takes nothing new; what it said of addresses stays true. */
static void tell_capacity(struct look *look)
{
    struct slurm *slurm = look->slurm;
    for (uint32_t i = 0; !look->is_measured && i < slurm->settings.node_count; i++)
        look->nodes[i] = (struct sync_node){.node = (uint16_t)i};
    if (look->is_measured) {
        seen_release(slurm->seen);
        slurm->seen = look->seen;
        look->seen = NULL;
    }
    if (slurm->events != NULL)
        slurm->events->on_capacity(slurm->context, look->nodes, slurm->settings.node_count);
}

static bool holds_nodes(const struct slurm_view *view)
{
    for (uint32_t i = 0; i < view->jobs.our_count; i++)
        if (view->jobs.ours[i].state == SLURM_LIVES)
            return true;
    return false;
}

/* Slurm gives up for a while when a first reclaim freed too little (KillWait + MessageTimeout):
 * before the promise is broken the agent helps. */
static bool must_yield(const struct slurm *slurm, const struct slurm_reclaim_found *found)
{
    return slurm->is_reclaim_by_agent ||
           (found->is_late && slurm->settings.config->surplus.reclaim == SURPLUS_BY_EITHER);
}

static void tell_owner(struct look *look)
{
    struct slurm *slurm = look->slurm;
    const struct slurm_reclaim_found *found = &look->owner;
    const struct driver_owner owner = {.reclaims = found->reclaims,
                                       .reclaim_count = found->reclaim_count,
                                       .yields = found->in_way,
                                       .yield_count =
                                           must_yield(slurm, found) ? found->in_way_count : 0,
                                       .grace = slurm_grace(slurm)};
    if (slurm->events != NULL && (owner.reclaim_count > 0 || owner.yield_count > 0))
        slurm->events->on_owner(slurm->context, &owner);
    if (found->is_held_up)
        loop_timer_set(&slurm->owner_look, SPAN_MS(SLURM_OWNER_GAP_MS));
    else if (slurm->is_reclaim_by_agent && holds_nodes(look->view))
        loop_timer_set(&slurm->owner_look, SPAN_MS(SLURM_GUARD_GAP_MS));
}

static bool is_over(const struct slurm_call *call)
{
    if (call->answer.call != DRIVE_KILL || call->answer.kind != DRIVE_PRESENT)
        return true;
    return !boot_is_before(loop_now(call->slurm->loop).boot, call->give_up_at);
}

struct serving {
    struct slurm_call **calls;
    size_t count;
    struct look *look;
};

static void look_free(struct look *look)
{
    seen_release(look->seen);
    arena_deinit(&look->arena);
    free(look);
}

static void run_serve(void *context)
{
    struct serving *serving = context;
    for (size_t i = 0; i < serving->count; i++)
        slurm_look_answer(serving->calls[i], serving->look->view);
}

static void on_served(void *context)
{
    struct serving *serving = context;
    struct slurm *slurm = serving->look->slurm;
    slurm->is_looking = false;
    for (size_t i = 0; i < serving->count; i++) {
        struct slurm_call *call = serving->calls[i];
        call->stage = STAGE_WAITING; /* a kill goes on until nothing is left */
        if (is_over(call))
            call_answer(call);
    }
    look_free(serving->look);
    free(serving->calls);
    free(serving);
    look_schedule(slurm);
}

/* Who waited when the look began is answered by it; later ones wait for the next. */
static void on_looked(void *context)
{
    struct look *look = context;
    struct slurm *slurm = look->slurm;
    slurm->fails = look->view->is_known ? 0 : slurm->fails + 1;
    if (look->is_measuring)
        tell_capacity(look);
    if (look->is_measured)
        tell_owner(look);
    if (look->listings > 0)
        tell_names(look);
    struct serving *serving = calloc(1, sizeof(*serving));
    struct slurm_call **calls = calloc((size_t)slurm->call_count + 1, sizeof(*calls));
    ASSERT(serving != NULL && calls != NULL);
    *serving = (struct serving){.calls = calls, .look = look};
    for (struct slurm_call *call = slurm->calls; call != NULL; call = call->next)
        if (call->stage == STAGE_SERVED)
            calls[serving->count++] = call;
    if (worker_submit(slurm->looker, run_serve, on_served, serving) != ERR_OK)
        on_served(serving); /* the driver is going: they are freed unanswered */
}

static void look_begin(void *context)
{
    struct slurm *slurm = context;
    struct look *look = slurm->is_looking ? NULL : calloc(1, sizeof(*look));
    if (look == NULL)
        return; /* the one under way schedules the next; without memory the next call does */
    look->slurm = slurm;
    look->view = &slurm->view;
    look->begun_at = loop_now(slurm->loop).boot;
    look->is_measuring = slurm->wants_measure;
    look->listings = slurm->listings;
    arena_init(&look->arena, SLURM_VIEW_ARENA_BYTES);
    if (worker_submit(slurm->looker, run_look, on_looked, look) != ERR_OK) {
        look_free(look);
        return;
    }
    slurm->is_looking = true;
    slurm->wants_measure = false;
    slurm->listings = 0;
    for (struct slurm_call *call = slurm->calls; call != NULL; call = call->next)
        if (call->stage == STAGE_WAITING)
            call->stage = STAGE_SERVED;
}

static void look_schedule(struct slurm *slurm)
{
    bool is_wanted = slurm->wants_measure || slurm->listings > 0;
    for (const struct slurm_call *call = slurm->calls; !is_wanted && call != NULL;
         call = call->next)
        is_wanted = call->stage == STAGE_WAITING;
    if (!is_wanted || slurm->is_looking || loop_timer_is_set(&slurm->next_look))
        return;
    uint32_t shift = slurm->fails < 5 ? slurm->fails : 5;
    int64_t gap = (int64_t)SLURM_LOOK_GAP_MS << shift;
    loop_timer_set(&slurm->next_look,
                   SPAN_MS(gap < SLURM_LOOK_GAP_MAX_MS ? gap : SLURM_LOOK_GAP_MAX_MS));
}

static void slurm_inspect(struct driver *driver, const struct attempt_token *token,
                          uint64_t incarnation)
{
    struct slurm_call *call = call_make(slurm_of(driver), DRIVE_INSPECT, token);
    call->incarnation = incarnation;
    call->stage = STAGE_WAITING;
    look_schedule(call->slurm);
}

static void slurm_kill(struct driver *driver, const struct attempt_token *token,
                       struct span_ms grace)
{
    struct slurm_call *call = call_make(slurm_of(driver), DRIVE_KILL, token);
    call->give_up_at =
        boot_add(boot_add(loop_now(call->slurm->loop).boot, grace), DRIVER_KILL_LIMIT);
    call->stage = STAGE_WAITING;
    look_schedule(call->slurm);
}

static void slurm_measure(struct driver *driver)
{
    slurm_of(driver)->wants_measure = true;
    look_schedule(slurm_of(driver));
}

static void owner_look_run(void *context)
{
    slurm_measure(context);
}

static void slurm_list(struct driver *driver)
{
    slurm_of(driver)->listings++;
    look_schedule(slurm_of(driver));
}

static void slurm_forget(struct driver *driver, const struct attempt_token *token)
{
    (void)driver; /* Slurm forgets by itself (MinJobAge) */
    (void)token;
}

static void slurm_set_gate_limit(struct driver *driver, struct span_ms gate_limit)
{
    if (gate_limit.ms > 0)
        slurm_of(driver)->gate_limit = gate_limit;
}

static enum err slurm_rank_dir(const struct driver *driver, const struct attempt_token *token,
                               uint32_t rank, char *out_path, size_t size)
{
    char dir[LAUNCH_PATH_MAX];
    enum err code = slurm_attempt_dir((const struct slurm *)driver, token, dir);
    if (code != ERR_OK)
        return code;
    int len = snprintf(out_path, size, "%s/rank-%u", dir, rank);
    return len > 0 && (size_t)len < size ? ERR_OK : ERR_LIMIT;
}

static void slurm_free(struct slurm *slurm)
{
    slurm->events = NULL;
    loop_timer_stop(&slurm->next_look);
    loop_timer_stop(&slurm->owner_look);
    for (int i = 0; i < SLURM_SUBMITTERS; i++)
        worker_destroy(slurm->submitters[i]);
    worker_destroy(slurm->looker);
    slurm_probe_stop(slurm);
    loop_timer_stop(&slurm->next_look);
    loop_timer_stop(&slurm->owner_look);
    slurm_reclaims_destroy(slurm->reclaims);
    while (slurm->calls != NULL)
        call_free(slurm->calls);
    seen_release(slurm->seen);
    arena_deinit(&slurm->view.arena);
    arena_deinit(&slurm->arena);
    free(slurm);
}

static void slurm_destroy(struct driver *driver)
{
    slurm_free(slurm_of(driver));
}

static const struct driver_ops SLURM_OPS = {
    .submit = slurm_submit,
    .inspect = slurm_inspect,
    .kill = slurm_kill,
    .measure = slurm_measure,
    .probe = slurm_probe,
    .list = slurm_list,
    .forget = slurm_forget,
    .set_gate_limit = slurm_set_gate_limit,
    .rank_dir = slurm_rank_dir,
    .destroy = slurm_destroy,
};

/* ---- making one */

static enum err make_workers(struct slurm *slurm)
{
    enum err code = worker_create(slurm->loop, "lq-slurm", SLURM_CALLS_MAX, &slurm->looker);
    for (int i = 0; code == ERR_OK && i < SLURM_SUBMITTERS; i++)
        code = worker_create(slurm->loop, "lq-sbatch", SLURM_CALLS_MAX, &slurm->submitters[i]);
    return code;
}

enum err slurm_driver_create(struct loop *loop, const struct slurm_settings *settings,
                             const struct driver_events *events, void *context, struct fault *fault,
                             struct driver **out_driver)
{
    if (settings->node_count == 0 || settings->node_count > SITE_NODES_MAX)
        return fault_set(fault, ERR_INVALID, NULL, "a site has 1 to %d nodes", SITE_NODES_MAX);
    struct slurm *slurm = calloc(1, sizeof(*slurm));
    if (slurm == NULL)
        return ERR_NO_MEMORY;
    slurm->base.ops = &SLURM_OPS;
    slurm->loop = loop;
    slurm->settings = *settings;
    slurm->gate_limit = settings->gate_limit.ms > 0 ? settings->gate_limit : HOST_GATE_LIMIT;
    arena_init(&slurm->arena, SETTINGS_ARENA_BYTES);
    arena_init(&slurm->view.arena, SLURM_VIEW_ARENA_BYTES);
    loop_timer_init(&slurm->next_look, loop, look_begin, slurm);
    loop_timer_init(&slurm->owner_look, loop, owner_look_run, slurm);
    enum err code = slurm_commands_find(settings->config, &slurm->commands, fault);
    if (code == ERR_OK)
        code = slurm_find_accounts(slurm, fault);
    if (code == ERR_OK)
        code = make_workers(slurm);
    if (code == ERR_OK && (slurm->reclaims = slurm_reclaims_create()) == NULL)
        code = ERR_NO_MEMORY;
    if (code != ERR_OK) {
        slurm_free(slurm);
        return code;
    }
    slurm_describe(slurm);
    slurm->events = events;
    slurm->context = context;
    *out_driver = &slurm->base;
    return ERR_OK;
}
