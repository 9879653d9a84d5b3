#include "core/supervisor.h"

#include "base/assert.h"

enum { EXIT_CODE_NONE = -1, SENT_RING = 16 };

static bool is_leased(const struct supervisor *s)
{
    return s->settings.contact.policy == CONTACT_LEASE;
}

static struct boot_ns boot_less(struct boot_ns at, struct span_ms span)
{
    return boot_add(at, SPAN_MS(-span.ms));
}

static struct supervisor_action *add_action(struct supervisor_effects *effects,
                                            enum supervisor_action_kind kind)
{
    ASSERT(effects->count < SUPERVISOR_ACTIONS_MAX);
    struct supervisor_action *action = &effects->actions[effects->count++];
    *action = (struct supervisor_action){.kind = kind};
    return action;
}

/* ---- messages to the agent */

static void fill_message(struct supervisor *s, enum gate_kind kind, struct now now,
                         struct gate_message *out)
{
    *out = (struct gate_message){
        .kind = kind,
        .token = s->settings.token,
        .rank = s->settings.rank,
        .incarnation = s->settings.incarnation,
        .seq = s->send_seq,
    };
    if (kind == GATE_ASK)
        return;
    bool is_gone = kind == GATE_EXIT;
    struct boot_ns end = is_gone ? s->program_gone_at : now.boot;
    bool was_taken = s->gate_taken_at.ns != BOOT_NEVER.ns;
    if (was_taken) {
        out->ran = boot_since(end, s->gate_taken_at);
        out->gate_wait = boot_since(s->gate_taken_at, s->born_at);
    } else {
        out->gate_wait = boot_since(end, s->born_at);
    }
    out->cpu_ms = s->cpu_ms;
    out->progress = s->progress;
    if (is_gone) {
        out->outcome = s->outcome;
        out->exit_code = s->exit_code;
        if (was_taken && s->kill_ordered_at.ns != BOOT_NEVER.ns)
            out->kill_wait = boot_since(end, s->kill_ordered_at);
    }
}

static void send(struct supervisor *s, enum gate_kind kind, struct now now,
                 struct supervisor_effects *effects)
{
    s->send_seq++;
    s->sent[s->send_seq % SENT_RING].seq = s->send_seq;
    s->sent[s->send_seq % SENT_RING].at = now.boot;
    fill_message(s, kind, now, &add_action(effects, SUPERVISE_SEND)->message);
    struct span_ms every = kind == GATE_ASK     ? s->settings.ask_every
                           : kind == GATE_RENEW ? s->settings.renew_every
                                                : s->settings.report_every;
    s->next_send_at = boot_add(now.boot, every);
}

/* When did request `seq` leave? False: too long ago to know. */
static bool find_sent(const struct supervisor *s, uint64_t seq, struct boot_ns *out)
{
    if (seq == 0 || s->sent[seq % SENT_RING].seq != seq)
        return false;
    *out = s->sent[seq % SENT_RING].at;
    return true;
}

/* ---- the end of the rank */

static void finish(struct supervisor *s, struct supervisor_effects *effects)
{
    s->state = SUPERVISOR_DONE;
    add_action(effects, SUPERVISE_QUIT);
}

/* All processes of the rank are gone (or there never were any). */
static void report(struct supervisor *s, enum outcome outcome, int32_t exit_code, struct now now,
                   struct supervisor_effects *effects)
{
    s->state = SUPERVISOR_REPORTING;
    s->program_gone_at = now.boot;
    s->outcome = outcome;
    s->exit_code = exit_code;
    fill_message(s, GATE_EXIT, now, &add_action(effects, SUPERVISE_WRITE_END)->message);
    send(s, GATE_EXIT, now, effects);
}

static void kill_tree(struct supervisor *s, struct now now, struct supervisor_effects *effects)
{
    s->state = SUPERVISOR_KILLING;
    /* The kill is repeated: a fork that raced with it must not get away. */
    s->kill_at = boot_add(now.boot, s->settings.kill_time);
    add_action(effects, SUPERVISE_KILL_TREE);
}

/* Ends the program: the stop signal, then after `grace` the kill. A second order can only make it
 * come sooner; the first order's outcome stands. */
static void order_stop(struct supervisor *s, enum outcome outcome, struct span_ms grace,
                       struct now now, struct supervisor_effects *effects)
{
    struct boot_ns kill_at = boot_add(now.boot, grace);
    if (is_leased(s))
        kill_at = boot_min(kill_at, boot_less(s->deadline, s->settings.kill_time));
    if (s->state == SUPERVISOR_RUNNING) {
        s->state = SUPERVISOR_STOPPING;
        s->outcome = outcome;
        s->kill_ordered_at = now.boot;
        s->kill_at = kill_at;
        if (boot_is_before(now.boot, kill_at))
            add_action(effects, SUPERVISE_SIGNAL)->signal =
                s->settings.stop_signal != 0 ? s->settings.stop_signal : 15;
    } else if (s->state == SUPERVISOR_STOPPING) {
        s->kill_at = boot_min(s->kill_at, kill_at);
    }
    if (s->state == SUPERVISOR_STOPPING && !boot_is_before(now.boot, s->kill_at))
        kill_tree(s, now, effects);
}

/* ---- the lease */

/* The deadline that an answer to request `seq` gives; false: it gives none. */
static bool lease_deadline(const struct supervisor *s, const struct gate_message *message,
                           struct now now, struct boot_ns *out)
{
    struct boot_ns sent_at;
    if (!message->has_lease || message->lease.ms <= 0 || !find_sent(s, message->seq, &sent_at))
        return false;
    /* Anchored at our own send time: the agent knew what it promised only after that. */
    *out = boot_add(s->rules->lease_anchored_at_send ? sent_at : now.boot, message->lease);
    return true;
}

/* When the stop signal is due so that grace and kill both fit in before the deadline. */
static struct boot_ns lease_stop_at(const struct supervisor *s)
{
    return boot_less(boot_less(s->deadline, s->settings.kill_time), s->settings.stop_grace);
}

/* ---- events */

static void take_gate(struct supervisor *s, const struct gate_message *message, struct now now,
                      struct supervisor_effects *effects)
{
    if (is_leased(s)) {
        struct boot_ns deadline;
        if (!lease_deadline(s, message, now, &deadline))
            return; /* asked again at the next tick */
        if (!boot_is_before(boot_add(now.boot, s->settings.kill_time), deadline))
            return; /* it would have to be killed at once */
        s->deadline = deadline;
    }
    s->state = SUPERVISOR_RUNNING;
    s->gate_taken_at = now.boot;
    if (s->settings.time_limit.ms != 0)
        s->limit_at = boot_add(now.boot, s->settings.time_limit);
    add_action(effects, SUPERVISE_EXEC);
    send(s, GATE_RENEW, now, effects);
}

static enum outcome outcome_of_kill(enum revoke_reason reason)
{
    return reason == REVOKE_PREEMPTED || reason == REVOKE_DRAIN ? OUTCOME_PREEMPTED
                                                                : OUTCOME_REVOKED;
}

static void on_asking_message(struct supervisor *s, const struct gate_message *message,
                              struct now now, struct supervisor_effects *effects)
{
    switch (message->kind) {
    case GATE_GO:
        take_gate(s, message, now, effects);
        break;
    case GATE_REFUSE:
        finish(s, effects);
        break;
    case GATE_KILL: /* the gate is ours, but GO never reached us */
        s->kill_reason = message->reason;
        report(s, outcome_of_kill(message->reason), EXIT_CODE_NONE, now, effects);
        break;
    default:
        break;
    }
}

static void on_message(struct supervisor *s, const struct gate_message *message, struct now now,
                       struct supervisor_effects *effects)
{
    if (!attempt_token_is_equal(&message->token, &s->settings.token) ||
        message->rank != s->settings.rank || message->incarnation != s->settings.incarnation)
        return;
    switch (s->state) {
    case SUPERVISOR_ASKING:
        on_asking_message(s, message, now, effects);
        break;
    case SUPERVISOR_RUNNING:
    case SUPERVISOR_STOPPING:
        if (message->kind == GATE_LEASE && is_leased(s)) {
            struct boot_ns deadline;
            if (lease_deadline(s, message, now, &deadline) && boot_is_before(s->deadline, deadline))
                s->deadline = deadline;
        } else if (message->kind == GATE_KILL) {
            s->kill_reason = message->reason;
            order_stop(s, outcome_of_kill(message->reason), message->grace, now, effects);
        }
        break;
    case SUPERVISOR_REPORTING:
        if (message->kind == GATE_CLOSE)
            finish(s, effects);
        break;
    case SUPERVISOR_KILLING:
    case SUPERVISOR_DONE:
        break;
    }
}

static void on_running_tick(struct supervisor *s, struct now now,
                            struct supervisor_effects *effects)
{
    if (is_leased(s) && !boot_is_before(now.boot, lease_stop_at(s)))
        order_stop(s, OUTCOME_LEASE_LOST, s->settings.stop_grace, now, effects);
    else if (!boot_is_before(now.boot, s->limit_at))
        order_stop(s, OUTCOME_TIME_LIMIT, s->settings.stop_grace, now, effects);
    if (s->state != SUPERVISOR_KILLING && !boot_is_before(now.boot, s->next_send_at))
        send(s, GATE_RENEW, now, effects);
}

static void on_tick(struct supervisor *s, struct now now, struct supervisor_effects *effects)
{
    switch (s->state) {
    case SUPERVISOR_ASKING:
        if (!boot_is_before(now.boot, boot_add(s->born_at, s->settings.gate_limit)))
            report(s, OUTCOME_GATE_TIMEOUT, EXIT_CODE_NONE, now, effects);
        else if (!boot_is_before(now.boot, s->next_send_at))
            send(s, GATE_ASK, now, effects);
        break;
    case SUPERVISOR_RUNNING:
        on_running_tick(s, now, effects);
        break;
    case SUPERVISOR_STOPPING:
        if (!boot_is_before(now.boot, s->kill_at))
            kill_tree(s, now, effects);
        else if (!boot_is_before(now.boot, s->next_send_at))
            send(s, GATE_RENEW, now, effects);
        break;
    case SUPERVISOR_KILLING:
        if (!boot_is_before(now.boot, s->kill_at))
            kill_tree(s, now, effects);
        break;
    case SUPERVISOR_REPORTING:
        if (!boot_is_before(now.boot, boot_add(s->program_gone_at, s->settings.report_limit)))
            finish(s, effects);
        else if (!boot_is_before(now.boot, s->next_send_at))
            send(s, GATE_EXIT, now, effects);
        break;
    case SUPERVISOR_DONE:
        break;
    }
}

static void on_child_gone(struct supervisor *s, const struct supervisor_event *event,
                          struct now now, struct supervisor_effects *effects)
{
    if (s->state != SUPERVISOR_RUNNING && s->state != SUPERVISOR_STOPPING &&
        s->state != SUPERVISOR_KILLING)
        return;
    enum outcome outcome = event->outcome;
    if (s->state != SUPERVISOR_RUNNING)
        outcome = s->outcome; /* of the order that stopped it, whatever code it left with */
    else if (outcome == OUTCOME_NONE)
        outcome = event->exit_code == 0 ? OUTCOME_SUCCEEDED : OUTCOME_PROGRAM_ERROR;
    s->cpu_ms = event->cpu_ms > s->cpu_ms ? event->cpu_ms : s->cpu_ms;
    report(s, outcome, event->exit_code, now, effects);
}

static void on_stop(struct supervisor *s, struct now now, struct supervisor_effects *effects)
{
    if (s->state == SUPERVISOR_ASKING)
        report(s, OUTCOME_PREEMPTED, EXIT_CODE_NONE, now, effects);
    else
        order_stop(s, OUTCOME_PREEMPTED, s->settings.stop_grace, now, effects);
}

void supervisor_init(struct supervisor *supervisor, const struct protocol_rules *rules,
                     const struct supervisor_settings *settings, struct now now)
{
    *supervisor = (struct supervisor){
        .rules = rules,
        .settings = *settings,
        .state = SUPERVISOR_ASKING,
        .born_at = now.boot,
        .gate_taken_at = BOOT_NEVER,
        .program_gone_at = BOOT_NEVER,
        .kill_ordered_at = BOOT_NEVER,
        .next_send_at = now.boot,
        .deadline = BOOT_NEVER,
        .kill_at = BOOT_NEVER,
        .limit_at = BOOT_NEVER,
        .exit_code = EXIT_CODE_NONE,
    };
}

void supervisor_step(struct supervisor *supervisor, const struct supervisor_event *event,
                     struct now now, struct supervisor_effects *effects)
{
    effects->count = 0;
    if (event->cpu_ms > supervisor->cpu_ms)
        supervisor->cpu_ms = event->cpu_ms;
    attempt_progress_take(&supervisor->progress, &event->progress);
    switch (event->kind) {
    case SUPERVISOR_BEGIN:
    case SUPERVISOR_TICK:
        on_tick(supervisor, now, effects);
        break;
    case SUPERVISOR_MESSAGE:
        on_message(supervisor, event->message, now, effects);
        break;
    case SUPERVISOR_CHILD_GONE:
        on_child_gone(supervisor, event, now, effects);
        break;
    case SUPERVISOR_EXEC_FAILED:
        if (supervisor->state == SUPERVISOR_RUNNING || supervisor->state == SUPERVISOR_STOPPING ||
            supervisor->state == SUPERVISOR_KILLING)
            report(supervisor, OUTCOME_BAD_ENVIRONMENT, EXIT_CODE_NONE, now, effects);
        break;
    case SUPERVISOR_STOP:
        on_stop(supervisor, now, effects);
        break;
    }
}

struct boot_ns supervisor_due(const struct supervisor *s)
{
    switch (s->state) {
    case SUPERVISOR_ASKING:
        return boot_min(s->next_send_at, boot_add(s->born_at, s->settings.gate_limit));
    case SUPERVISOR_RUNNING: {
        struct boot_ns due = boot_min(s->next_send_at, s->limit_at);
        return is_leased(s) ? boot_min(due, lease_stop_at(s)) : due;
    }
    case SUPERVISOR_STOPPING:
        return boot_min(s->next_send_at, s->kill_at);
    case SUPERVISOR_KILLING:
        return s->kill_at;
    case SUPERVISOR_REPORTING:
        return boot_min(s->next_send_at, boot_add(s->program_gone_at, s->settings.report_limit));
    case SUPERVISOR_DONE:
        return BOOT_NEVER;
    }
    return BOOT_NEVER;
}
