/* The reply to a sync request: everything that the site is to be told now, level-triggered. It is
 * made when there is news, or when the poll has been held long enough. */
#include "base/assert.h"
#include "base/hex.h"
#include "core/server_state.h"

enum { ORDER_BYTES_MAX = 2 << 20, POLL_SHARE_OF_LEASE = 4, POLL_SHARE_OF_SILENCE = 3 };

void told_note(struct server_told *told, struct boot_ns now)
{
    told->at = now;
    told->count++;
}

struct boot_ns told_again_at(const struct server_told *told)
{
    if (told->count <= 1)
        return BOOT_LONG_AGO;
    uint32_t doubled = told->count - 2;
    int64_t wait_ms = doubled > 8 ? SERVER_RESEND_MAX_MS : (int64_t)SERVER_RESEND_MIN_MS << doubled;
    return boot_add(told->at,
                    SPAN_MS(wait_ms < SERVER_RESEND_MAX_MS ? wait_ms : SERVER_RESEND_MAX_MS));
}

struct command {
    bool is_set;
    enum sync_command_kind kind;
    enum revoke_reason reason;
    struct journal_id journal;
};

/* What the site must be told of one attempt, from its row and the site's last report. */
static struct command attempt_command(const struct server_core *core,
                                      const struct server_site *site,
                                      const struct server_attempt *attempt)
{
    const struct attempt_row *row = &attempt->row;
    const struct command none = {0};
    const struct command superseded = {true, SYNC_REVOKE, REVOKE_SUPERSEDED, row->journal};
    /* Named as of no journal, so that the site ends it by what its engine says, not its journal. */
    const struct command forgotten = {true, SYNC_REVOKE, REVOKE_SUPERSEDED, {{{0}}}};
    if (!id_is_equal(row->journal.id, site->journal.id))
        return superseded;
    if (row->revoke != REVOKE_NONE)
        return (struct command){true, SYNC_REVOKE, row->revoke, row->journal};
    if (attempt->seen_in == site->sync_count || site->is_report_partial)
        return none;
    /* It had started, and the site does not speak of it: it has forgotten it. */
    if (row->started_at.us != 0)
        return site->epoch_seen >= core->db_epoch ? forgotten : none;
    /* An order of an older epoch is never given again: once the site has seen the new epoch and
     * does not speak of the attempt, it is to close it. */
    if (row->token.epoch < core->db_epoch)
        return site->epoch_seen >= core->db_epoch ? superseded : none;
    if (row->state == ATTEMPT_OFFERED)
        return (struct command){true, SYNC_START, REVOKE_NONE, row->journal};
    return none;
}

struct boot_ns site_answer_due(const struct server_core *core, const struct server_site *site,
                               struct boot_ns now)
{
    struct boot_ns due = site->poll.hold_until;
    const uint64_t *mark = site_watermark((struct server_site *)site, site->journal);
    if (!site->is_reconciled)
        due = boot_min(due, told_again_at(&site->want_told));
    if (site->poll.usage_acked != (mark == NULL ? 0 : *mark))
        due = boot_min(due, told_again_at(&site->usage_told));
    if (site->strays.len > 0)
        due = boot_min(due, told_again_at(&site->stray_told));
    due = boot_min(due, quarantine_tell_at(site));
    for (const struct server_attempt *at = site->first; at != NULL; at = at->next) {
        if (!boot_is_before(now, due))
            break;
        struct command command = attempt_command(core, site, at);
        if (!command.is_set)
            continue;
        bool is_new = at->told_revoke != (command.kind == SYNC_REVOKE);
        due = boot_min(due, is_new ? BOOT_LONG_AGO : told_again_at(&at->told));
    }
    return due;
}

struct span_ms site_poll_hold(const struct server_core *core, const struct server_site *site)
{
    int64_t hold_ms = core->settings.poll_hold.ms;
    if (core->settings.site_lost_after.ms / POLL_SHARE_OF_SILENCE < hold_ms)
        hold_ms = core->settings.site_lost_after.ms / POLL_SHARE_OF_SILENCE;
    for (const struct server_attempt *at = site->first; at != NULL; at = at->next)
        if (at->row.contact.policy == CONTACT_LEASE &&
            at->row.contact.lease.ms / POLL_SHARE_OF_LEASE < hold_ms)
            hold_ms = at->row.contact.lease.ms / POLL_SHARE_OF_LEASE;
    return SPAN_MS(hold_ms);
}

void site_dirty(struct step *step, struct server_site *site)
{
    if (!site->poll.is_held)
        return;
    site->poll.until = site_answer_due(step->core, site, step->now.boot);
    if (!boot_is_before(step->now.boot, site->poll.until))
        site_answer(step, site);
    else
        site_timer_arm(step->core, site);
}

/* ---- making it */

static struct slice order_make(struct step *step, const struct server_attempt *attempt)
{
    const struct server_job *job = attempt->job;
    struct server_core *core = step->core;
    struct job_spec spec = job->spec->spec;
    char secret[ATTEMPT_SECRET_MAX];
    struct buffer text, order;
    if (spec.time_limit.ms == 0)
        spec.time_limit = tenant_time_limit(core, job->tenant);
    server_core_attempt_secret(core, &attempt->row.token, secret);
    buffer_init(&text, ORDER_BYTES_MAX);
    buffer_init(&order, ORDER_BYTES_MAX);
    enum err err = spec_encode_bytes(&spec, &text);
    ASSERT(err == ERR_OK);
    struct attempt_order value = {.token = attempt->row.token,
                                  .job_name = spec.name,
                                  .tenant = job->row.tenant,
                                  .spec = buffer_slice(&text),
                                  .variant = attempt->row.variant,
                                  .array_index = job->row.array_index,
                                  .places = attempt->places,
                                  .nodes = attempt->place_count,
                                  .contact = attempt->row.contact,
                                  .secret = slice_of(secret)};
    if (job->checkpoint != NULL) {
        value.restore = job->checkpoint->id;
        value.restore_step = job->checkpoint->step;
    }
    err = attempt_order_encode(&value, &order);
    ASSERT(err == ERR_OK);
    struct slice bytes = arena_copy(&step->effects->arena, buffer_slice(&order));
    ASSERT(bytes.data != NULL);
    buffer_deinit(&order);
    buffer_deinit(&text);
    return bytes;
}

static struct span_ms revoke_grace(const struct server_attempt *attempt, enum revoke_reason reason)
{
    if (reason == REVOKE_DRAIN || reason == REVOKE_PREEMPTED || reason == REVOKE_BUDGET)
        return attempt->job->spec->spec.checkpoint.grace;
    return SPAN_MS(0);
}

struct answer {
    struct step *step;
    struct server_site *site;
    struct sync_command *commands;
    uint32_t command_count;
    size_t order_bytes;
    struct sync_renewal *renewals;
    uint32_t renewal_count;
};

static void answer_command(struct answer *answer, struct server_attempt *attempt,
                           struct command command)
{
    struct step *step = answer->step;
    if (answer->command_count == SYNC_COMMANDS_MAX || answer->order_bytes > SERVER_REPLY_ORDERS_MAX)
        return; /* told in the next reply: its time of telling stays as it was */
    struct sync_command *out = &answer->commands[answer->command_count++];
    *out = (struct sync_command){.kind = command.kind,
                                 .token = attempt->row.token,
                                 .journal = command.journal,
                                 .reason = command.reason};
    if (command.kind == SYNC_START) {
        out->order = order_make(step, attempt);
        answer->order_bytes += out->order.len;
        attempt_lease_grant(step->core, attempt, step->now);
    } else {
        out->grace = revoke_grace(attempt, command.reason);
    }
    if (attempt->told_revoke != (command.kind == SYNC_REVOKE))
        attempt->told.count = 0;
    attempt->told_revoke = command.kind == SYNC_REVOKE;
    told_note(&attempt->told, step->now.boot);
}

static void answer_attempts(struct answer *answer)
{
    struct server_site *site = answer->site;
    struct server_core *core = answer->step->core;
    for (struct server_attempt *at = site->first; at != NULL; at = at->next) {
        struct command command = attempt_command(core, site, at);
        if (command.is_set) {
            answer_command(answer, at, command);
        } else if (at->row.contact.policy == CONTACT_LEASE && at->seen_in == site->sync_count &&
                   at->row.state != ATTEMPT_UNKNOWN) {
            answer->renewals[answer->renewal_count++] =
                (struct sync_renewal){at->row.token, at->row.contact.lease};
            attempt_lease_grant(core, at, answer->step->now);
        }
    }
}

static void answer_strays(struct answer *answer)
{
    struct server_site *site = answer->site;
    for (size_t i = 0; i < site->strays.len && answer->command_count < SYNC_COMMANDS_MAX; i++) {
        const struct attempt_token *token = vector_at(&site->strays, i);
        answer->commands[answer->command_count++] =
            (struct sync_command){.kind = SYNC_REVOKE,
                                  .token = *token,
                                  .journal = site->journal,
                                  .reason = REVOKE_SUPERSEDED};
    }
    if (site->strays.len > 0)
        told_note(&site->stray_told, answer->step->now.boot);
    else
        site->stray_told.count = 0;
}

static void reply_send(struct step *step, uint64_t handle, struct sync_reply *reply,
                       struct server_site *site)
{
    struct server_core *core = step->core;
    if (site->challenge == 0)
        site->challenge = random_u64(&core->random) | 1;
    reply->protocol = SYNC_PROTOCOL_NEWEST;
    reply->db_epoch = core->db_epoch;
    reply->challenge = site->challenge;
    reply->settings = (struct sync_settings){.poll_hold = site_poll_hold(core, site),
                                             .usage_every = core->settings.usage_every,
                                             .retain = core->settings.retain,
                                             .gate_limit = core->settings.gate_limit};
    struct buffer bytes;
    buffer_init(&bytes, SYNC_BYTES_MAX);
    enum err err = sync_reply_encode(reply, &bytes);
    ASSERT(err == ERR_OK);
    struct server_output *output = step_output(step, OUTPUT_SYNC_REPLY, handle);
    output->status = API_OK;
    output->body = arena_copy(&step->effects->arena, buffer_slice(&bytes));
    ASSERT(output->body.data != NULL);
    buffer_deinit(&bytes);
}

void site_challenge(struct step *step, struct server_site *site, const struct sync_request *request)
{
    const uint64_t *mark = site_watermark(site, request->journal);
    struct sync_reply reply = {.request_seq = request->request_seq,
                               .want_inventory = true,
                               .usage_acked = mark == NULL ? 0 : *mark};
    reply_send(step, step->event->handle, &reply, site);
}

void site_answer(struct step *step, struct server_site *site)
{
    struct server_core *core = step->core;
    struct arena *arena = &step->effects->arena;
    struct answer answer = {.step = step, .site = site};
    struct sync_probe probes[SYNC_PROBES_MAX];
    ASSERT(site->poll.is_held);
    uint32_t command_room = site->attempt_count + (uint32_t)site->strays.len;
    if (command_room > SYNC_COMMANDS_MAX)
        command_room = SYNC_COMMANDS_MAX;
    answer.commands = arena_array(arena, command_room + 1, sizeof(*answer.commands));
    answer.renewals = arena_array(arena, site->attempt_count + 1, sizeof(*answer.renewals));
    ASSERT(answer.commands != NULL && answer.renewals != NULL);
    answer_strays(&answer); /* first: nothing may crowd them out */
    answer_attempts(&answer);

    const uint64_t *mark = site_watermark(site, site->journal);
    struct sync_reply reply = {.request_seq = site->poll.request_seq,
                               .want_inventory = !site->is_reconciled,
                               .usage_acked = mark == NULL ? 0 : *mark,
                               .commands = answer.commands,
                               .command_count = answer.command_count,
                               .renewals = answer.renewals,
                               .renewal_count = answer.renewal_count,
                               .acked = step->acked,
                               .acked_count = step->acked_count,
                               .probes = probes,
                               .probe_count = quarantine_probes(site, probes)};
    if (reply.probe_count > 0)
        told_note(&site->probe_told, step->now.boot);
    if (reply.want_inventory)
        told_note(&site->want_told, step->now.boot);
    else
        site->want_told.count = 0;
    if (reply.usage_acked != site->poll.usage_acked)
        told_note(&site->usage_told, step->now.boot);
    else
        site->usage_told.count = 0;
    reply_send(step, site->poll.handle, &reply, site);
    site->poll.is_held = false;
    step->acked_count = 0;
    site_timer_arm(core, site);
}
