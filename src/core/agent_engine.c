/* Calls to the site's engine: one at a time for an attempt; certain before it acts. */
#include "base/assert.h"
#include "core/agent_private.h"

static void call(struct agent_core *core, struct agent_attempt *attempt, enum engine_call kind)
{
    struct agent_output *output = agent_output_add(core, AGENT_CALL_ENGINE);
    output->token = attempt->row.token;
    output->call = kind;
    output->incarnation = attempt->row.holder;
    if (kind == ENGINE_SUBMIT) {
        output->order = arena_copy(&core->effects->arena, attempt->row.order);
        ASSERT(output->order.data != NULL);
        attempt->may_exist = true;
        attempt->is_looked_up = false;
    }
    attempt->is_calling = true;
    attempt->call = kind;
    attempt->called_at = core->now.boot;
}

/* Has a rank that should run been silent for too long? */
static bool is_silent(const struct agent_core *core, const struct agent_attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->row.nodes; i++) {
        const struct agent_rank *rank = &attempt->ranks[i];
        if (agent_attempt_is_rank_ended(attempt, i))
            continue;
        if (!rank->is_heard ||
            agent_is_due(core, boot_add(rank->heard_at, core->settings.engine_poll)))
            return true;
    }
    return false;
}

static void tick_intent(struct agent_core *core, struct agent_attempt *attempt)
{
    if (agent_is_due(core, boot_add(attempt->since, agent_gate_limit(core)))) {
        agent_attempt_never(core, attempt, OUTCOME_GATE_TIMEOUT);
        return;
    }
    bool is_sure = attempt->is_looked_up || !core->rules->lookup_before_resubmit;
    if (is_sure && !attempt->may_exist)
        call(core, attempt, ENGINE_SUBMIT);
    else if (!core->rules->lookup_before_resubmit && !attempt->is_looked_up)
        call(core, attempt, ENGINE_SUBMIT);
    else
        call(core, attempt, ENGINE_INSPECT);
}

static void tick_taken(struct agent_core *core, struct agent_attempt *attempt)
{
    /* Supervisors of a lost journal may not know the way to us: the engine kills at once. */
    struct span_ms wait = attempt->row.holder == 0 ? SPAN_MS(0) : core->settings.kill_time;
    bool must_kill = attempt->kill_by.ns != BOOT_NEVER.ns &&
                     agent_is_due(core, boot_add(attempt->kill_by, wait));
    if (must_kill && attempt->call != ENGINE_KILL)
        call(core, attempt, ENGINE_KILL); /* by turns: a kill is only over when nothing is found */
    else if (must_kill || is_silent(core, attempt))
        call(core, attempt, ENGINE_INSPECT);
    else
        attempt->call_due = boot_add(core->now.boot, core->settings.engine_poll);
}

void agent_engine_tick(struct agent_core *core, struct agent_attempt *attempt)
{
    if (attempt->is_calling || attempt->is_engine_done || !agent_is_due(core, attempt->call_due))
        return;
    if (attempt->row.phase == PHASE_INTENT)
        tick_intent(core, attempt);
    if (attempt->row.phase == PHASE_TAKEN)
        tick_taken(core, attempt);
    else if (attempt->row.phase == PHASE_NEVER && !attempt->is_engine_done && !attempt->is_calling)
        call(core, attempt, ENGINE_KILL);
}

/* ---- answers */

static void on_submitted(struct agent_core *core, struct agent_attempt *attempt,
                         const struct agent_event *event)
{
    if (attempt->is_late) {
        attempt->is_late = false;
        agent_mark_dirty(core, attempt);
    }
    if (event->engine.answer == ENGINE_ACCEPTED) {
        attempt->is_looked_up = true;
        attempt->call_due = boot_add(core->now.boot, core->settings.engine_poll);
    } else if (event->engine.answer == ENGINE_REJECTED && attempt->row.claim == CLAIM_FREE &&
               attempt->row.phase == PHASE_INTENT) {
        attempt->may_exist = false;
        enum outcome outcome = event->engine.outcome;
        agent_attempt_never(core, attempt, outcome == OUTCOME_NONE ? OUTCOME_REFUSED : outcome);
    }
}

/* Nothing of the name is there. Of a running attempt this is believed only when no supervisor
 * spoke since the question left. */
static void on_absent(struct agent_core *core, struct agent_attempt *attempt,
                      const struct agent_event *event)
{
    switch (attempt->row.phase) {
    case PHASE_INTENT:
        if (event->engine.answer == ENGINE_ENDED) {
            /* It came, and went without the gate. */
            attempt->may_exist = false;
            agent_attempt_never(core, attempt, OUTCOME_GATE_TIMEOUT);
        } else {
            attempt->may_exist = false;
            attempt->is_looked_up = true;
        }
        break;
    case PHASE_TAKEN:
        for (uint32_t i = 0; i < attempt->row.nodes; i++)
            if (!agent_attempt_is_rank_ended(attempt, i) && attempt->ranks[i].is_heard &&
                !boot_is_before(attempt->ranks[i].heard_at, attempt->called_at))
                return;
        bool is_holder =
            event->engine.incarnation == 0 || event->engine.incarnation == attempt->row.holder;
        agent_attempt_gone(
            core, attempt, event->engine.ranks,
            event->engine.answer == ENGINE_ENDED && is_holder ? event->engine.rank_count : 0);
        break;
    case PHASE_NEVER:
    case PHASE_ENDED:
    case PHASE_COUNT_:
        attempt->is_engine_done = true;
        break;
    }
}

static void on_present(struct agent_core *core, struct agent_attempt *attempt,
                       const struct agent_event *event)
{
    attempt->is_looked_up = true;
    attempt->may_exist = true;
    if (attempt->row.phase != PHASE_TAKEN || event->engine.incarnation != attempt->row.holder ||
        attempt->row.holder == 0)
        return;
    for (uint32_t i = 0; i < event->engine.rank_count && i < attempt->row.nodes; i++) {
        const struct engine_rank_end *end = &event->engine.ranks[i];
        if (agent_attempt_is_final(attempt))
            return;
        if (end->is_known && !agent_attempt_is_rank_ended(attempt, i))
            agent_rank_end(core, attempt, i, end->outcome, end->exit_code);
    }
}

void agent_on_engine(struct agent_core *core, const struct agent_event *event)
{
    struct agent_attempt *attempt = agent_attempt_find(core, &event->engine.token);
    if (attempt == NULL || !attempt->is_calling || attempt->call != event->engine.call)
        return; /* asked by an earlier core of this process */
    attempt->is_calling = false;
    attempt->call_due = boot_add(core->now.boot, core->settings.engine_retry);
    if (event->engine.call == ENGINE_SUBMIT) {
        on_submitted(core, attempt, event);
        return;
    }
    switch (event->engine.answer) {
    case ENGINE_ABSENT:
    case ENGINE_ENDED:
        on_absent(core, attempt, event);
        break;
    case ENGINE_PRESENT:
        on_present(core, attempt, event);
        if (attempt->row.phase == PHASE_INTENT)
            attempt->call_due = boot_add(core->now.boot, core->settings.engine_poll);
        break;
    case ENGINE_ACCEPTED:
    case ENGINE_UNSURE:
    case ENGINE_REJECTED:
        break; /* asked again after engine_retry */
    }
}
