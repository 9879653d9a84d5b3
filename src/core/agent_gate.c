/* The start gate at the agent, and talk with the supervisors of running attempts. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/digest.h"
#include "core/agent_private.h"

static struct gate_message *answer(struct agent_core *core, const struct gate_message *to,
                                   enum gate_kind kind)
{
    struct agent_output *output = agent_output_add(core, AGENT_SEND_GATE);
    output->token = to->token;
    output->rank = to->rank;
    output->gate = (struct gate_message){.kind = kind,
                                         .token = to->token,
                                         .rank = to->rank,
                                         .incarnation = to->incarnation,
                                         .seq = to->seq};
    return &output->gate;
}

/* ---- leases */

/* What is left of the lease; < 0: nothing, or not known since the agent started. */
static struct span_ms lease_left(const struct agent_core *core, const struct agent_attempt *attempt)
{
    if (!attempt->has_anchor)
        return SPAN_MS(-1);
    struct boot_ns end = boot_add(attempt->anchor, attempt->row.contact.lease);
    struct span_ms left = boot_since(end, core->now.boot);
    return left.ms > 0 ? left : SPAN_MS(-1);
}

static void fill_lease(const struct agent_core *core, const struct agent_attempt *attempt,
                       struct gate_message *message)
{
    if (attempt->row.contact.policy != CONTACT_LEASE)
        return;
    message->has_lease = true;
    message->lease = lease_left(core, attempt);
}

static bool may_go(const struct agent_core *core, const struct agent_attempt *attempt)
{
    return attempt->row.contact.policy != CONTACT_LEASE ||
           lease_left(core, attempt).ms > core->settings.kill_time.ms;
}

/* ---- asking */

static struct agent_launch *find_launch(struct agent_attempt *attempt, uint64_t incarnation)
{
    for (uint32_t i = 0; i < attempt->launch_count; i++)
        if (attempt->launches[i].incarnation == incarnation)
            return &attempt->launches[i];
    return NULL;
}

/* Remembers a launch; the oldest goes when there are too many. */
static struct agent_launch *add_launch(struct agent_attempt *attempt, uint64_t incarnation)
{
    if (attempt->launch_count == LAUNCHES_MAX) {
        free(attempt->launches[0].asks);
        for (uint32_t i = 1; i < LAUNCHES_MAX; i++)
            attempt->launches[i - 1] = attempt->launches[i];
        attempt->launch_count--;
    }
    struct agent_launch *launch = &attempt->launches[attempt->launch_count++];
    *launch = (struct agent_launch){.incarnation = incarnation};
    launch->asks = calloc(attempt->row.nodes, sizeof(*launch->asks));
    ASSERT(launch->asks != NULL);
    return launch;
}

static bool is_complete(const struct agent_core *core, const struct agent_attempt *attempt,
                        const struct agent_launch *launch)
{
    for (uint32_t rank = 0; rank < attempt->row.nodes; rank++) {
        const struct agent_ask *ask = &launch->asks[rank];
        if (!ask->is_asked)
            return false;
        if (core->settings.ask_fresh.ms != 0 &&
            agent_is_due(core, boot_add(ask->at, core->settings.ask_fresh)))
            return false; /* it may have given up meanwhile */
    }
    return !launch->is_out;
}

static void go(struct agent_core *core, const struct agent_attempt *attempt, uint32_t rank,
               uint64_t incarnation, uint64_t seq)
{
    const struct gate_message to = {
        .token = attempt->row.token, .rank = rank, .incarnation = incarnation, .seq = seq};
    fill_lease(core, attempt, answer(core, &to, GATE_GO));
}

/* All ranks of one incarnation are here: the gate is theirs, and they hear of it once the journal
 * has it. */
static void take(struct agent_core *core, struct agent_attempt *attempt,
                 const struct agent_launch *launch)
{
    attempt->row.claim = CLAIM_TAKEN;
    attempt->row.holder = launch->incarnation;
    attempt->row.phase = PHASE_TAKEN;
    attempt->row.changed_at = core->now.wall;
    attempt->since = core->now.boot;
    attempt->usage_due = boot_add(core->now.boot, core->told.usage_every);
    attempt->call_due = boot_add(core->now.boot, core->settings.engine_poll);
    attempt->may_exist = true;
    core->is_changed = true;
    if (core->rules->gate_is_durable_first)
        agent_mark_dirty(core, attempt);
    else
        attempt->is_late = true;
    for (uint32_t rank = 0; rank < attempt->row.nodes; rank++) {
        attempt->ranks[rank].is_heard = true;
        attempt->ranks[rank].heard_at = launch->asks[rank].at;
        go(core, attempt, rank, launch->incarnation, launch->asks[rank].seq);
    }
}

static void ask_free(struct agent_core *core, struct agent_attempt *attempt,
                     const struct gate_message *message)
{
    struct agent_launch *launch = find_launch(attempt, message->incarnation);
    if (launch == NULL)
        launch = add_launch(attempt, message->incarnation);
    struct agent_ask *ask = &launch->asks[message->rank];
    *ask = (struct agent_ask){.is_asked = true, .seq = message->seq, .at = core->now.boot};
    if (is_complete(core, attempt, launch) && may_go(core, attempt))
        take(core, attempt, launch);
    else
        answer(core, message, GATE_WAIT);
}

static void ask_taken(struct agent_core *core, struct agent_attempt *attempt,
                      const struct gate_message *message)
{
    if (message->incarnation != attempt->row.holder) {
        if (core->rules->gate_is_exclusive)
            answer(core, message, GATE_REFUSE);
        else
            go(core, attempt, message->rank, message->incarnation, message->seq);
        return;
    }
    struct agent_rank *rank = &attempt->ranks[message->rank];
    if (agent_attempt_is_rank_ended(attempt, message->rank) || rank->is_running) {
        /* It has executed once already; a supervisor that runs does not listen to this. */
        answer(core, message, GATE_REFUSE);
        return;
    }
    rank->is_heard = true;
    rank->heard_at = core->now.boot;
    if (attempt->kill_by.ns != BOOT_NEVER.ns)
        agent_gate_kill(core, attempt, message->rank);
    else if (may_go(core, attempt))
        go(core, attempt, message->rank, message->incarnation, message->seq);
    else
        answer(core, message, GATE_WAIT);
}

static void on_ask(struct agent_core *core, struct agent_attempt *attempt,
                   const struct gate_message *message)
{
    bool is_over = attempt->row.phase == PHASE_ENDED || attempt->row.claim == CLAIM_TOMBSTONE;
    if (is_over)
        answer(core, message, GATE_REFUSE);
    else if (attempt->row.claim == CLAIM_TAKEN)
        ask_taken(core, attempt, message);
    else
        ask_free(core, attempt, message);
}

/* ---- running */

static void hear(struct agent_core *core, struct agent_rank *rank,
                 const struct gate_message *message)
{
    rank->is_heard = true;
    rank->is_running = true;
    rank->heard_at = core->now.boot;
    if (message->ran.ms > rank->ran.ms)
        rank->ran = message->ran;
    if (message->gate_wait.ms > rank->gate_wait.ms)
        rank->gate_wait = message->gate_wait;
    if (message->kill_wait.ms > rank->kill_wait.ms)
        rank->kill_wait = message->kill_wait;
    if (message->cpu_ms > rank->cpu_ms)
        rank->cpu_ms = message->cpu_ms;
    attempt_progress_take(&rank->progress, &message->progress);
}

void agent_gate_kill(struct agent_core *core, struct agent_attempt *attempt, uint32_t rank)
{
    if (attempt->row.holder == 0)
        return; /* of a lost journal: answered when it asks */
    const struct gate_message to = {
        .token = attempt->row.token, .rank = rank, .incarnation = attempt->row.holder};
    struct gate_message *message = answer(core, &to, GATE_KILL);
    message->reason = attempt->row.revoke;
    struct span_ms grace = boot_since(attempt->kill_by, core->now.boot);
    message->grace = grace.ms > 0 ? grace : SPAN_MS(0);
}

static void kill_stray(struct agent_core *core, const struct gate_message *message)
{
    answer(core, message, GATE_KILL)->reason = REVOKE_SUPERSEDED;
}

static void on_renew(struct agent_core *core, struct agent_attempt *attempt,
                     const struct gate_message *message)
{
    if (attempt->row.phase == PHASE_TAKEN && attempt->row.holder == 0) {
        struct gate_message *kill = answer(core, message, GATE_KILL);
        struct span_ms grace = boot_since(attempt->kill_by, core->now.boot);
        kill->reason = attempt->row.revoke;
        kill->grace = grace.ms > 0 ? grace : SPAN_MS(0);
        return;
    }
    if (attempt->row.phase != PHASE_TAKEN || attempt->row.holder != message->incarnation) {
        kill_stray(core, message);
        return;
    }
    hear(core, &attempt->ranks[message->rank], message);
    if (attempt->kill_by.ns != BOOT_NEVER.ns)
        agent_gate_kill(core, attempt, message->rank);
    else
        fill_lease(core, attempt, answer(core, message, GATE_LEASE));
}

static void on_exit_message(struct agent_core *core, struct agent_attempt *attempt,
                            const struct gate_message *message)
{
    /* CLOSE leaves with this step's change, so the end is durable before the supervisor goes. */
    answer(core, message, GATE_CLOSE);
    if (attempt->row.claim == CLAIM_FREE) {
        struct agent_launch *launch = find_launch(attempt, message->incarnation);
        if (launch == NULL)
            launch = add_launch(attempt, message->incarnation);
        launch->is_out = true;
        return;
    }
    if (attempt->row.phase != PHASE_TAKEN || attempt->row.holder != message->incarnation ||
        agent_attempt_is_rank_ended(attempt, message->rank))
        return;
    hear(core, &attempt->ranks[message->rank], message);
    agent_rank_end(core, attempt, message->rank, message->outcome, message->exit_code);
}

/* A token that the journal does not hold: never started, forgotten, or of a lost journal. Nothing
 * may start; what runs is left to the server's word. */
static void on_unknown(struct agent_core *core, const struct gate_message *message)
{
    if (message->kind == GATE_ASK) {
        answer(core, message, GATE_REFUSE);
    } else if (message->kind == GATE_EXIT) {
        answer(core, message, GATE_CLOSE);
    } else if (message->kind == GATE_RENEW) {
        struct gate_message *lease = answer(core, message, GATE_LEASE);
        lease->has_lease = true;
        lease->lease = SPAN_MS(-1);
    }
}

void agent_on_gate(struct agent_core *core, const struct gate_message *message)
{
    struct agent_attempt *attempt = agent_attempt_find(core, &message->token);
    if (attempt == NULL) {
        on_unknown(core, message);
        return;
    }
    bool is_order_known = attempt->row.order.len != 0;
    if (is_order_known && (message->rank >= attempt->row.nodes ||
                           !digest_is_same_secret(attempt->secret, message->secret)))
        return; /* not one of ours */
    if (!is_order_known && message->kind == GATE_ASK) {
        answer(core, message, GATE_REFUSE);
        return;
    }
    if (message->kind == GATE_ASK)
        on_ask(core, attempt, message);
    else if (message->kind == GATE_RENEW)
        on_renew(core, attempt, message);
    else if (message->kind == GATE_EXIT)
        on_exit_message(core, attempt, message);
}
