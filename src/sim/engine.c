/* The sites' engines and what they run: launches of supervisors (the real machine) and of programs
 * that are nothing but a length, an exit code and a way to take a signal. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/world.h"
#include "wire/spec.h"

enum { ORDER_ARENA_BYTES = 16 << 20, KILL_TIME_MS = 1000 };

static struct now node_now(const struct world *world, const struct launch *launch, uint32_t rank)
{
    const struct site_sim *site = &world->sites[launch->site];
    return clock_sim_now(&site->nodes[launch->ranks[rank].node].clock, world->now);
}

static uint32_t launch_number(const struct world *world, const struct launch *launch)
{
    return (uint32_t)(launch - world->launches);
}

/* ---- ranks */

static void update_launch(struct launch *launch)
{
    for (uint32_t i = 0; i < launch->rank_count; i++)
        if (launch->ranks[i].is_alive)
            return;
    launch->state = LAUNCH_GONE;
}

static void arm_rank(struct world *world, struct launch *launch, uint32_t rank)
{
    struct rank_sim *sim = &launch->ranks[rank];
    struct boot_ns due = supervisor_due(&sim->machine);
    if (!sim->is_alive || due.ns == BOOT_NEVER.ns)
        return;
    const struct node_sim *node = &world->sites[launch->site].nodes[sim->node];
    int64_t at = clock_sim_true(&node->clock, due);
    at = at < world->now ? world->now : at;
    if (sim->timer_at >= 0 && sim->timer_at <= at)
        return;
    sim->timer_at = at;
    struct sim_event *event = world_at(world, at, EV_RANK_TIMER, launch_number(world, launch));
    event->rank = rank;
    event->number = ++sim->timer_number;
}

static void keep_record(struct world *world, struct launch *launch, uint32_t rank,
                        const struct gate_message *message)
{
    struct rank_sim *sim = &launch->ranks[rank];
    sim->has_record = true;
    if (message->outcome == OUTCOME_LEASE_LOST && launch->contact.policy == CONTACT_STRICT)
        world_violate(world, "a program under the strict policy was ended for lost contact");
    sim->end = (struct engine_rank_end){.is_known = true,
                                        .outcome = message->outcome,
                                        .exit_code = message->exit_code,
                                        .ran = message->ran,
                                        .gate_wait = message->gate_wait,
                                        .kill_wait = message->kill_wait,
                                        .cpu_ms = message->cpu_ms};
    for (uint32_t i = 0; i < launch->rank_count; i++)
        if (!launch->ranks[i].has_record || launch->ranks[i].end.outcome != OUTCOME_SUCCEEDED)
            return;
    if (launch->job < JOBS_MAX)
        world->jobs[launch->job].has_succeeded = true;
}

static void execute(struct world *world, struct launch *launch, uint32_t rank)
{
    struct rank_sim *sim = &launch->ranks[rank];
    check_exec(world, launch, rank);
    sim->has_executed = true;
    sim->is_program_up = true;
    sim->program_since = world->now;
    sim->generation++;
    int64_t length = 10 * SECOND;
    if (launch->job < JOBS_MAX)
        length = world->jobs[launch->job].length;
    length += pick_between(&world->plan_random, 0, SECOND);
    struct sim_event *end =
        world_after(world, length, EV_PROGRAM_ENDS, launch_number(world, launch));
    end->rank = rank;
    end->generation = sim->generation;
    if (rank == 0 && pick_chance(&world->plan_random, 60)) {
        int64_t delay = pick_between(&world->plan_random, SECOND, 40 * SECOND);
        struct sim_event *artifact = world_after(world, delay, EV_ARTIFACT, launch->site);
        artifact->token = launch->token;
        artifact->rank = launch->rank_count;
        artifact->number = 1;
    }
}

/* Some programs leave when they are asked to; the others wait for the kill. */
static void take_signal(struct world *world, struct launch *launch, uint32_t rank)
{
    if (!pick_chance(&world->plan_random, 50))
        return;
    struct sim_event *end = world_after(world, pick_between(&world->plan_random, MS, SECOND),
                                        EV_PROGRAM_DEAD, launch_number(world, launch));
    end->rank = rank;
    end->generation = launch->ranks[rank].generation;
}

/* The kill reaches every process within KILL_TIME_MS by the node's own clock, the fastest there
 * is. */
static void take_kill(struct world *world, struct launch *launch, uint32_t rank)
{
    int64_t within = KILL_TIME_MS * MS * 8 / 10;
    struct sim_event *end = world_after(world, pick_between(&world->plan_random, MS, within),
                                        EV_PROGRAM_DEAD, launch_number(world, launch));
    end->rank = rank;
    end->generation = launch->ranks[rank].generation;
}

static void step_rank(struct world *world, struct launch *launch, uint32_t rank,
                      const struct supervisor_event *event)
{
    struct rank_sim *sim = &launch->ranks[rank];
    struct supervisor_effects effects;
    supervisor_step(&sim->machine, event, node_now(world, launch, rank), &effects);
    for (uint32_t i = 0; i < effects.count; i++) {
        const struct supervisor_action *action = &effects.actions[i];
        switch (action->kind) {
        case SUPERVISE_SEND:
            net_send_gate_up(world, launch, rank, &action->message);
            break;
        case SUPERVISE_EXEC:
            execute(world, launch, rank);
            break;
        case SUPERVISE_SIGNAL:
            take_signal(world, launch, rank);
            break;
        case SUPERVISE_KILL_TREE:
            take_kill(world, launch, rank);
            break;
        case SUPERVISE_WRITE_END:
            keep_record(world, launch, rank, &action->message);
            break;
        case SUPERVISE_QUIT:
            sim->is_alive = false;
            update_launch(launch);
            break;
        }
    }
    if (sim->machine.state == SUPERVISOR_RUNNING && launch->contact.policy == CONTACT_LEASE)
        check_lease(world, &launch->token, launch->contact.lease,
                    clock_sim_true(&world->sites[launch->site].nodes[sim->node].clock,
                                   sim->machine.deadline));
    arm_rank(world, launch, rank);
}

void rank_timer(struct world *world, struct launch *launch, uint32_t rank)
{
    struct rank_sim *sim = &launch->ranks[rank];
    sim->timer_at = -1;
    if (!sim->is_alive)
        return;
    const struct supervisor_event event = {.kind = SUPERVISOR_TICK};
    step_rank(world, launch, rank, &event);
}

void rank_gate(struct world *world, struct launch *launch, uint32_t rank, struct slice bytes)
{
    struct arena arena;
    struct gate_message message;
    if (!launch->ranks[rank].is_alive)
        return;
    arena_init(&arena, GATE_LINE_MAX * 4);
    if (gate_message_decode(slice_make(bytes.data, bytes.len - 1), &arena, &message, NULL)) {
        world_violate(world, "an agent's gate message does not decode");
    } else {
        const struct supervisor_event event = {.kind = SUPERVISOR_MESSAGE, .message = &message};
        step_rank(world, launch, rank, &event);
    }
    arena_deinit(&arena);
}

static void program_gone(struct world *world, struct launch *launch, uint32_t rank)
{
    launch->ranks[rank].is_program_up = false;
    launch->ranks[rank].generation++;
    check_program_end(world, launch, rank);
}

void program_ends(struct world *world, struct launch *launch, uint32_t rank, bool is_killed)
{
    struct rank_sim *sim = &launch->ranks[rank];
    if (!sim->is_program_up)
        return;
    int64_t ran = world->now - sim->program_since;
    program_gone(world, launch, rank);
    if (!sim->is_alive)
        return;
    bool is_failure = !is_killed && pick_chance(&world->plan_random, 4);
    struct supervisor_event event = {.kind = SUPERVISOR_CHILD_GONE,
                                     .exit_code = is_killed    ? 137
                                                  : is_failure ? 1
                                                               : 0,
                                     .cpu_ms = ran / MS / 2};
    if (!is_killed && !is_failure && pick_chance(&world->plan_random, 2))
        event.outcome = OUTCOME_OUT_OF_MEMORY;
    step_rank(world, launch, rank, &event);
}

/* The supervisor dies without a word; its program dies with it. */
void rank_crash(struct world *world, struct launch *launch, uint32_t rank)
{
    struct rank_sim *sim = &launch->ranks[rank];
    if (launch->state != LAUNCH_ALIVE || !sim->is_alive)
        return;
    sim->is_alive = false;
    if (sim->is_program_up)
        program_gone(world, launch, rank);
    update_launch(launch);
}

void node_crash(struct world *world, struct site_sim *site, uint32_t node)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        struct launch *launch = &world->launches[i];
        for (uint32_t rank = 0; launch->site == site->index && rank < launch->rank_count; rank++)
            if (launch->ranks[rank].node == node)
                rank_crash(world, launch, rank);
    }
}

/* ---- launches */

void launch_start(struct world *world, struct launch *launch)
{
    struct site_sim *site = &world->sites[launch->site];
    if (launch->state != LAUNCH_WAITING)
        return;
    launch->state = LAUNCH_ALIVE;
    launch->is_visible = true;
    for (uint32_t rank = 0; rank < launch->rank_count; rank++) {
        struct rank_sim *sim = &launch->ranks[rank];
        const struct supervisor_settings settings = {
            .token = launch->token,
            .rank = rank,
            .incarnation = launch->incarnation,
            .contact = launch->contact,
            .ask_every = {500},
            .renew_every = {1500},
            .report_every = {700},
            .gate_limit = {8000},
            .time_limit = launch->time_limit,
            .stop_grace = {300},
            .kill_time = {KILL_TIME_MS},
            .report_limit = {20000},
        };
        sim->is_alive = site->nodes[sim->node].is_up && !site->is_destroyed;
        sim->timer_at = -1;
        supervisor_init(&sim->machine, world->rules, &settings, node_now(world, launch, rank));
    }
    for (uint32_t rank = 0; rank < launch->rank_count; rank++) {
        const struct supervisor_event event = {.kind = SUPERVISOR_BEGIN};
        if (launch->ranks[rank].is_alive)
            step_rank(world, launch, rank, &event);
    }
    update_launch(launch);
}

/* NULL: the pool is used up. */
static struct launch *launch_make(struct world *world, struct site_sim *site, struct slice bytes)
{
    struct arena arena;
    struct attempt_order order;
    struct job_spec spec;
    if (world->launch_count == LAUNCHES_MAX)
        return NULL;
    arena_init(&arena, ORDER_ARENA_BYTES);
    if (attempt_order_decode(bytes, &arena, &order, NULL) != ERR_OK ||
        spec_parse(order.spec, &arena, &spec, NULL) != ERR_OK || order.nodes > RANKS_MAX) {
        world_violate(world, "an order does not decode");
        arena_deinit(&arena);
        return NULL;
    }
    struct launch *launch = &world->launches[world->launch_count++];
    *launch = (struct launch){
        .state = LAUNCH_WAITING,
        .is_visible = true,
        .site = site->index,
        .job = job_index(world, order.token.job),
        .token = order.token,
        .incarnation = random_u64(&world->random) | 1,
        .rank_count = order.nodes,
        .contact = order.contact,
        .time_limit = spec.time_limit,
    };
    char *secret = malloc(order.secret.len + 1);
    ASSERT(secret != NULL);
    if (order.secret.len != 0)
        memcpy(secret, order.secret.data, order.secret.len);
    launch->secret = slice_make(secret, order.secret.len);
    for (uint32_t i = 0; i < order.nodes; i++)
        launch->ranks[i].node = order.places[i].node;
    arena_deinit(&arena);
    return launch;
}

static void launch_later(struct world *world, struct site_sim *site, struct slice order,
                         int64_t delay, bool is_visible)
{
    struct launch *launch = launch_make(world, site, order);
    if (launch == NULL)
        return;
    launch->is_visible = is_visible;
    world_after(world, delay, EV_LAUNCH_START, launch_number(world, launch));
}

/* ---- calls */

static struct launch *next_launch(struct world *world, const struct site_sim *site,
                                  const struct attempt_token *token, uint32_t *cursor)
{
    while (*cursor < world->launch_count) {
        struct launch *launch = &world->launches[(*cursor)++];
        if (launch->site == site->index && attempt_token_is_equal(&launch->token, token))
            return launch;
    }
    return NULL;
}

static void fill_ends(const struct launch *launch, struct sim_event *answer)
{
    struct engine_rank_end ends[RANKS_MAX];
    memset(ends, 0, sizeof(ends));
    for (uint32_t i = 0; i < launch->rank_count; i++) {
        const struct rank_sim *sim = &launch->ranks[i];
        if (sim->is_alive)
            continue;
        if (sim->has_record && !launch->is_record_lost)
            ends[i] = sim->end;
        else
            ends[i] = (struct engine_rank_end){
                .is_known = true, .outcome = OUTCOME_NODE_LOST, .exit_code = -1};
    }
    answer->incarnation = launch->incarnation;
    event_set_bytes(answer, slice_make(ends, launch->rank_count * sizeof(ends[0])));
}

/* What stands of a name now. */
static void look(struct world *world, const struct site_sim *site,
                 const struct attempt_token *token, uint64_t wanted, struct sim_event *answer)
{
    uint32_t cursor = 0;
    struct launch *launch, *alive = NULL, *ended = NULL;
    while ((launch = next_launch(world, site, token, &cursor)) != NULL) {
        if (launch->state == LAUNCH_ALIVE ||
            (launch->state == LAUNCH_WAITING && launch->is_visible))
            alive = alive == NULL || launch->incarnation == wanted ? launch : alive;
        else if (launch->state == LAUNCH_GONE && !launch->is_record_lost)
            ended = ended == NULL || launch->incarnation == wanted ? launch : ended;
    }
    if (alive != NULL) {
        answer->answer = ENGINE_PRESENT;
        if (alive->state == LAUNCH_ALIVE)
            fill_ends(alive, answer);
        else
            answer->incarnation = alive->incarnation;
    } else if (ended != NULL) {
        answer->answer = ENGINE_ENDED;
        fill_ends(ended, answer);
    } else {
        answer->answer = ENGINE_ABSENT;
    }
}

static void submit(struct world *world, struct site_sim *site, const struct sim_event *call,
                   struct sim_event *answer)
{
    struct random *random = &world->random;
    int64_t start = pick_between(random, 5 * MS, 300 * MS);
    answer->answer = ENGINE_ACCEPTED;
    if (site->engine_timeouts != 0 && pick_chance(random, 70)) {
        answer->answer = ENGINE_UNSURE;
        if (pick_chance(random, 25))
            return; /* nothing came of it */
        bool is_late = pick_chance(random, 50);
        launch_later(world, site, call->bytes,
                     is_late ? pick_between(random, 3 * SECOND, 40 * SECOND) : start, !is_late);
        return;
    }
    if (!world->is_healed && pick_chance(random, 2)) {
        answer->answer = ENGINE_REJECTED;
        answer->outcome = OUTCOME_BAD_ENVIRONMENT;
        return;
    }
    if (site->engine_lates != 0 && pick_chance(random, 60))
        start = pick_between(random, 3 * SECOND, 30 * SECOND);
    launch_later(world, site, call->bytes, start, true);
    if (site->engine_doubles != 0 && pick_chance(random, 80))
        launch_later(world, site, call->bytes, pick_between(random, 5 * MS, 4 * SECOND), true);
}

static void kill_launches(struct world *world, struct site_sim *site,
                          const struct attempt_token *token)
{
    uint32_t cursor = 0;
    struct launch *launch;
    while ((launch = next_launch(world, site, token, &cursor)) != NULL) {
        if (launch->state == LAUNCH_WAITING && launch->is_visible) {
            launch->state = LAUNCH_GONE;
            launch->is_record_lost = true; /* it never was */
        }
        for (uint32_t rank = 0; launch->state == LAUNCH_ALIVE && rank < launch->rank_count; rank++)
            rank_crash(world, launch, rank);
    }
}

void engine_call_later(struct world *world, struct site_sim *site,
                       const struct agent_output *output)
{
    struct sim_event *event =
        world_after(world, pick_between(&world->random, MS, 40 * MS), EV_ENGINE_CALL, site->index);
    event->token = output->token;
    event->call = output->call;
    event->number = site->process.generation; /* whom to answer; the call itself goes on */
    event->incarnation = output->incarnation;
    event_set_bytes(event, output->order);
}

void engine_call(struct world *world, struct site_sim *site, const struct sim_event *call)
{
    bool is_slow = site->engine_timeouts != 0 && pick_chance(&world->random, 50);
    int64_t delay = is_slow ? pick_between(&world->random, SECOND, 5 * SECOND)
                            : pick_between(&world->random, MS, 40 * MS);
    struct sim_event answer = {0};
    if (site->is_destroyed) {
        answer.answer = call->call == ENGINE_SUBMIT ? ENGINE_REJECTED : ENGINE_ABSENT;
    } else if (call->call == ENGINE_SUBMIT) {
        submit(world, site, call, &answer);
    } else if (site->engine_timeouts != 0 && pick_chance(&world->random, 40)) {
        answer.answer = ENGINE_UNSURE;
    } else {
        if (call->call == ENGINE_KILL && pick_chance(&world->random, 80))
            kill_launches(world, site, &call->token);
        look(world, site, &call->token, call->incarnation, &answer);
    }
    struct sim_event *event = world_after(world, delay, EV_AGENT_ENGINE, site->index);
    event->token = call->token;
    event->call = call->call;
    event->generation = call->number;
    event->answer = answer.answer;
    event->outcome = answer.outcome;
    event->incarnation = answer.incarnation;
    event->bytes = answer.bytes;
}

bool engine_list(struct world *world, const struct site_sim *site,
                 struct attempt_token tokens[LAUNCHES_MAX], uint32_t *out_count)
{
    *out_count = 0;
    if (site->engine_timeouts != 0 && pick_chance(&world->random, 50))
        return false;
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *launch = &world->launches[i];
        bool is_seen = launch->state == LAUNCH_ALIVE ||
                       (launch->state == LAUNCH_WAITING && launch->is_visible);
        if (launch->site == site->index && is_seen)
            tokens[(*out_count)++] = launch->token;
    }
    return true;
}

/* ---- faults */

void engine_forget(struct world *world, struct site_sim *site)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        struct launch *launch = &world->launches[i];
        if (launch->site != site->index)
            continue;
        if (launch->state == LAUNCH_WAITING && launch->is_visible) {
            launch->state = LAUNCH_GONE;
            launch->is_record_lost = true;
        } else if (launch->state == LAUNCH_GONE) {
            launch->is_record_lost = true;
        }
    }
}

struct launch *launch_of_running_gang(struct world *world)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        struct launch *launch = &world->launches[i];
        if (launch->state == LAUNCH_ALIVE && launch->rank_count > 1 &&
            launch->ranks[0].node != launch->ranks[1].node && launch->ranks[0].is_program_up &&
            launch->ranks[1].is_program_up)
            return launch;
    }
    return NULL;
}
