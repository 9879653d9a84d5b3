/* Attempts: from the offer to the end, and the timers in between. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

static void count_state(struct server_core *core, struct server_attempt *attempt, int change)
{
    uint32_t *all = &core->attempt_counts[attempt->row.state];
    uint32_t *here = &attempt->site->counts[attempt->row.state];
    *all = (uint32_t)((int32_t)*all + change);
    *here = (uint32_t)((int32_t)*here + change);
}

struct server_attempt *attempt_add(struct server_core *core, const struct attempt_row *row,
                                   struct server_job *job, struct server_site *site,
                                   const struct rank_place *places, uint32_t place_count)
{
    struct server_attempt *attempt =
        calloc(1, sizeof(*attempt) + place_count * sizeof(attempt->places[0]));
    if (attempt == NULL)
        return NULL;
    ASSERT(job->attempt == NULL);
    attempt->row = *row;
    attempt->job = job;
    attempt->site = site;
    attempt->lease_until = attempt->start_until = attempt->budget_until = BOOT_NEVER;
    attempt->place_count = place_count;
    if (place_count > 0)
        memcpy(attempt->places, places, place_count * sizeof(places[0]));
    timer_init(&attempt->timer, TIMER_ATTEMPT, attempt);
    job->attempt = attempt;
    attempt->previous = site->last;
    if (site->last != NULL)
        site->last->next = attempt;
    else
        site->first = attempt;
    site->last = attempt;
    site->attempt_count++;
    count_state(core, attempt, 1);
    return attempt;
}

void attempt_free(struct server_core *core, struct server_attempt *attempt)
{
    struct server_site *site = attempt->site;
    timer_stop(core, &attempt->timer);
    count_state(core, attempt, -1);
    if (attempt->previous != NULL)
        attempt->previous->next = attempt->next;
    else
        site->first = attempt->next;
    if (attempt->next != NULL)
        attempt->next->previous = attempt->previous;
    else
        site->last = attempt->previous;
    site->attempt_count--;
    attempt->job->attempt = NULL;
    free(attempt);
}

/* ---- the row */

static struct slice attempt_subject(struct step *step, const struct server_attempt *attempt)
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(&attempt->row.token, name);
    return step_printf(step, "%s", name);
}

static void attempt_event(struct step *step, const struct server_attempt *attempt, const char *kind)
{
    char job[ID_TEXT_MAX], site[ID_TEXT_MAX];
    id_format(attempt->row.token.job.id, ID_PREFIX_JOB, job);
    id_format(attempt->row.site.id, ID_PREFIX_SITE, site);
    struct slice body = step_printf(
        step, "{\"job\":\"%s\",\"site\":\"%s\",\"outcome\":\"%s\",\"revoke\":\"%s\"}", job, site,
        outcome_name(attempt->row.outcome), revoke_name(attempt->row.revoke));
    step_event(step, attempt->job->row.tenant, kind, attempt_subject(step, attempt), body);
}

static void attempt_save(struct step *step, struct server_attempt *attempt,
                         enum attempt_state expect_state)
{
    struct fault fault = {0};
    attempt->row.version++;
    ASSERT(attempt_row_check(&attempt->row, &fault) == ERR_OK);
    struct change_op *op = step_op(step, CHANGE_ATTEMPT_UPDATE);
    op->attempt.row = attempt->row;
    op->attempt.expect_state = expect_state;
}

static void attempt_insert(struct step *step, const struct server_attempt *attempt)
{
    struct fault fault = {0};
    ASSERT(attempt_row_check(&attempt->row, &fault) == ERR_OK);
    struct change_op *op = step_op(step, CHANGE_ATTEMPT_INSERT);
    op->attempt.row = attempt->row;
    op->attempt.expect_state = attempt->row.state;
    op->attempt.places = attempt_places_encode(step, attempt->places, attempt->place_count);
}

static void row_move(struct step *step, struct server_attempt *attempt, enum attempt_state to)
{
    static const char *const KINDS[ATTEMPT_STATE_COUNT_] = {
        [ATTEMPT_OFFERED] = "attempt.offered",     [ATTEMPT_RUNNING] = "attempt.running",
        [ATTEMPT_UNKNOWN] = "attempt.unknown",     [ATTEMPT_ENDED] = "attempt.ended",
        [ATTEMPT_NEVER] = "attempt.never",         [ATTEMPT_EXPIRED] = "attempt.expired",
        [ATTEMPT_DESTROYED] = "attempt.destroyed",
    };
    enum attempt_state from = attempt->row.state;
    ASSERT(attempt_can_move(from, to));
    count_state(step->core, attempt, -1);
    attempt->row.state = to;
    count_state(step->core, attempt, 1);
    util_attempt(step, attempt);
    attempt_save(step, attempt, from);
    attempt_event(step, attempt, KINDS[to]);
}

void attempt_move(struct step *step, struct server_attempt *attempt, enum attempt_state to)
{
    struct server_core *core = step->core;
    ASSERT(!attempt_state_is_final(to));
    row_move(step, attempt, to);
    if (to == ATTEMPT_OFFERED)
        attempt->start_until = boot_add(step->now.boot, core->settings.start_limit);
    if (to == ATTEMPT_RUNNING)
        attempt_timers_start(core, attempt, step->now, false);
    attempt_timer_arm(core, attempt);
}

/* ---- timers */

void attempt_timer_arm(struct server_core *core, struct server_attempt *attempt)
{
    const struct attempt_row *row = &attempt->row;
    struct boot_ns due = BOOT_NEVER;
    bool may_expire = row->contact.policy == CONTACT_LEASE ||
                      (!core->rules->strict_never_expires && row->state == ATTEMPT_UNKNOWN);
    if (may_expire)
        due = attempt->lease_until;
    if (row->state == ATTEMPT_OFFERED && row->revoke == REVOKE_NONE)
        due = boot_min(due, attempt->start_until);
    if (row->state == ATTEMPT_RUNNING && row->revoke == REVOKE_NONE)
        due = boot_min(due, attempt->budget_until);
    timer_set(core, &attempt->timer, due);
}

void attempt_lease_grant(struct server_core *core, struct server_attempt *attempt, struct now now)
{
    if (attempt->row.contact.policy != CONTACT_LEASE)
        return;
    attempt->lease_until = boot_add(now.boot, lease_wait(core, attempt->row.contact.lease));
    attempt_timer_arm(core, attempt);
}

/* When the budget that is left is spent, at the attempt's price. */
static struct boot_ns budget_end(const struct server_attempt *attempt, struct now now)
{
    struct money budget = attempt->job->spec->spec.budget, left;
    int64_t ask = attempt->row.ask_per_hour.micros;
    if (budget.micros == 0 || ask == 0)
        return BOOT_NEVER;
    if (money_add(budget, (struct money){-attempt->job->spent.micros}, &left) != ERR_OK ||
        left.micros <= 0)
        return now.boot;
    struct money allowed = money_scale_saturated((struct money){3600 * 1000}, left.micros, ask);
    int64_t left_ms = allowed.micros - attempt->row.ran.ms;
    return boot_add(now.boot, SPAN_MS(left_ms > 0 ? left_ms : 0));
}

void attempt_timers_start(struct server_core *core, struct server_attempt *attempt, struct now now,
                          bool is_load)
{
    if (is_load && !core->rules->lease_restarts_with_leader)
        attempt->lease_until = now.boot;
    else
        attempt->lease_until = boot_add(now.boot, lease_wait(core, attempt->row.contact.lease));
    attempt->start_until = boot_add(now.boot, core->settings.start_limit);
    if (attempt->row.state == ATTEMPT_RUNNING)
        attempt->budget_until = budget_end(attempt, now);
    attempt_timer_arm(core, attempt);
}

static bool is_due(struct boot_ns at, struct now now)
{
    return !boot_is_before(now.boot, at);
}

void attempt_tick(struct step *step, struct server_attempt *attempt)
{
    struct server_core *core = step->core;
    const struct attempt_row *row = &attempt->row;
    if (row->contact.policy == CONTACT_LEASE && is_due(attempt->lease_until, step->now)) {
        attempt_finish(step, attempt, ATTEMPT_EXPIRED, OUTCOME_LEASE_LOST, -1, row->ran);
        return;
    }
    if (!core->rules->strict_never_expires && row->state == ATTEMPT_UNKNOWN &&
        is_due(attempt->lease_until, step->now)) {
        attempt_finish(step, attempt, ATTEMPT_ENDED, OUTCOME_NODE_LOST, -1, row->ran);
        return;
    }
    if (row->state == ATTEMPT_OFFERED && row->revoke == REVOKE_NONE &&
        is_due(attempt->start_until, step->now)) {
        attempt->start_until = boot_add(step->now.boot, core->settings.start_limit);
        /* A site out of reach is given the time again when it is back: it may be running already.
         */
        if (attempt->site->has_contact && !attempt->site->is_lost) {
            attempt_revoke(step, attempt, REVOKE_NOT_STARTED);
            return;
        }
    }
    if (row->state == ATTEMPT_RUNNING && row->revoke == REVOKE_NONE &&
        is_due(attempt->budget_until, step->now)) {
        attempt->budget_until = BOOT_NEVER;
        attempt_revoke(step, attempt, REVOKE_BUDGET);
        return;
    }
    attempt_timer_arm(core, attempt);
}

/* ---- endings */

/* The attempt is over and forgotten; what becomes of its job is the caller's. */
static void attempt_close(struct step *step, struct server_attempt *attempt, enum attempt_state to,
                          enum outcome outcome, int32_t exit_code, struct span_ms ran,
                          struct attempt_row *out_row)
{
    struct server_core *core = step->core;
    struct server_site *site = attempt->site;
    struct attempt_row *row = &attempt->row;
    row->outcome = outcome;
    row->exit_code = exit_code;
    row->ended_at = step->now.wall;
    row->ran = ran;
    if (ran.ms > 0 && row->started_at.us == 0)
        row->started_at = step->now.wall.us > ran.ms * 1000
                              ? (struct wall_us){step->now.wall.us - ran.ms * 1000}
                              : step->now.wall;
    row_move(step, attempt, to);
    quarantine_attempt_over(step, attempt);
    speed_end(step, attempt);
    if (attempt->is_held)
        placer_release(core->placer, row->token.job, step->now.wall);
    *out_row = *row;
    attempt_free(core, attempt);
    core->must_place = true;
    site_open_update(core, site);
    site_drained_check(step, site);
}

void attempt_finish(struct step *step, struct server_attempt *attempt, enum attempt_state to,
                    enum outcome outcome, int32_t exit_code, struct span_ms ran)
{
    struct server_job *job = attempt->job;
    struct attempt_row row;
    attempt_close(step, attempt, to, outcome, exit_code, ran, &row);
    job_after_attempt(step, job, &row);
}

void attempt_unknown(struct step *step, struct server_attempt *attempt)
{
    if (attempt->row.state == ATTEMPT_UNKNOWN)
        return;
    if (!step->core->rules->strict_never_expires)
        attempt->lease_until =
            boot_add(step->now.boot, lease_wait(step->core, step->core->settings.lease_floor));
    attempt_move(step, attempt, ATTEMPT_UNKNOWN);
    if (!step->core->rules->end_before_next)
        attempt_finish(step, attempt, ATTEMPT_ENDED, OUTCOME_NODE_LOST, -1, attempt->row.ran);
}

void attempt_revoke(struct step *step, struct server_attempt *attempt, enum revoke_reason reason)
{
    struct server_site *site = attempt->site;
    if (attempt->row.revoke != REVOKE_NONE)
        return;
    attempt->row.revoke = reason;
    if (attempt->is_held)
        placer_leave(step->core->placer, attempt->row.token.job);
    attempt_save(step, attempt, attempt->row.state);
    attempt_event(step, attempt, "attempt.revoked");
    attempt_timer_arm(step->core, attempt);
    if (!step->core->rules->end_before_next)
        attempt_finish(step, attempt, ATTEMPT_ENDED, OUTCOME_REVOKED, -1, attempt->row.ran);
    site_dirty(step, site);
}

/* ---- beginnings */

static struct attempt_row row_make(const struct server_core *core, const struct server_job *job,
                                   const struct server_site *site,
                                   const struct attempt_token *token, struct now now)
{
    const struct job_spec *spec = &job->spec->spec;
    struct attempt_row row = {.token = *token,
                              .site = site->id,
                              .journal = site->journal,
                              .state = ATTEMPT_OFFERED,
                              .exit_code = -1,
                              .nodes = spec->num_nodes,
                              .contact.policy = spec->contact,
                              .offered_at = now.wall,
                              .version = 1};
    if (spec->contact == CONTACT_LEASE)
        row.contact.lease = lease_of(core, spec);
    return row;
}

void attempt_offer(struct step *step, struct server_job *job, struct server_site *site,
                   const struct place_decision *decision)
{
    struct server_core *core = step->core;
    uint32_t newest = job->row.attempt;
    const struct attempt_token token = {core->db_epoch, job->row.id, newest + 1};
    struct attempt_row row = row_make(core, job, site, &token, step->now);
    row.variant = decision->variant;
    row.ask_per_hour = decision->ask_per_hour;
    ASSERT(decision->nodes == row.nodes && !id_is_none(site->journal.id));

    job->is_queued = false;
    job->row.attempt = token.number;
    job->row.epoch = token.epoch;
    job_move(step, job, JOB_ACTIVE);
    job_save(step, job, JOB_PENDING, newest);
    job_event(step, job);
    struct server_attempt *attempt =
        attempt_add(core, &row, job, site, decision->places, decision->nodes);
    ASSERT(attempt != NULL);
    attempt->is_held = true;
    attempt_insert(step, attempt);
    attempt_event(step, attempt, "attempt.offered");
    speed_begin(step, attempt);
    attempt_timers_start(core, attempt, step->now, false);
    job_timer_arm(core, job, step->now);
}

/* The database came back older than the truth. A token with a higher number than the job's newest
 * was given out by the lost part of its history, where the attempt before it had already ended: so
 * the highest number is the job's, and an attempt that stands here is over. */
struct server_attempt *attempt_adopt(struct step *step, struct server_job *job,
                                     struct server_site *site, const struct attempt_token *token)
{
    struct server_core *core = step->core;
    uint32_t newest = job->row.attempt;
    enum job_state state = job->row.state;
    ASSERT(token->number > newest && token->epoch < core->db_epoch);
    if (job->attempt != NULL) {
        struct attempt_row over;
        attempt_close(step, job->attempt, ATTEMPT_ENDED, OUTCOME_NODE_LOST, -1,
                      job->attempt->row.ran, &over);
    } else {
        job_dequeue(core, job);
        job_move(step, job, JOB_ACTIVE);
    }
    job->row.attempt = token->number;
    job->row.epoch = token->epoch;
    job_save(step, job, state, newest);
    struct attempt_row row = row_make(core, job, site, token, step->now);
    row.state = ATTEMPT_UNKNOWN;
    if (site->value.state == SITE_DRAINING || site->value.state == SITE_DRAINED)
        row.revoke = REVOKE_DRAIN;
    if (job->row.cancel_requested)
        row.revoke = REVOKE_CANCELLED;
    struct server_attempt *attempt = attempt_add(core, &row, job, site, NULL, 0);
    ASSERT(attempt != NULL);
    attempt_insert(step, attempt);
    attempt_event(step, attempt, "attempt.adopted");
    step_audit(step, SYSTEM_ACTOR, step_id(step, job->row.tenant.id, ID_PREFIX_TENANT),
               "attempt.adopt", attempt_subject(step, attempt), SLICE_LITERAL("{}"));
    attempt_timers_start(core, attempt, step->now, false);
    job_timer_arm(core, job, step->now);
    return attempt;
}

/* ---- places: [{"node":0,"devices":[0,1]},...], one a rank */

struct slice attempt_places_encode(struct step *step, const struct rank_place *places,
                                   uint32_t count)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    json_begin_array(writer);
    for (uint32_t i = 0; i < count; i++) {
        json_begin_object(writer);
        json_put_u64(writer, "node", places[i].node);
        json_key(writer, "devices");
        json_begin_array(writer);
        for (uint32_t d = 0; d < places[i].device_count; d++)
            json_u64(writer, places[i].devices[d]);
        json_end_array(writer);
        json_end_object(writer);
    }
    json_end_array(writer);
    return step_json_end(step, &json);
}

static enum err place_parse(struct json_value value, struct rank_place *out, struct fault *fault)
{
    uint64_t node = 0, device = 0;
    struct json_value devices;
    enum err err = json_get_u64(value, "node", 0, UINT16_MAX, &node, fault);
    if (err == ERR_OK)
        err = json_get_array(value, "devices", RANK_DEVICES_MAX, &devices, fault);
    if (err != ERR_OK)
        return err;
    *out = (struct rank_place){.node = (uint16_t)node};
    struct json_iterator it = json_iterate(devices);
    while (err == ERR_OK && json_next(&it)) {
        err = json_to_u64(it.value, 0, UINT8_MAX, &device, fault);
        out->devices[out->device_count++] = (uint8_t)device;
    }
    return err;
}

enum err attempt_places_parse(struct slice json, struct rank_place out[JOB_NODES_MAX],
                              uint32_t *out_count, struct fault *fault)
{
    struct json_document *document = NULL;
    enum err err = json_parse(json, &JSON_LIMITS_REQUEST, &document, fault);
    if (err != ERR_OK)
        return err;
    struct json_value root = json_root(document);
    size_t count = json_count(root);
    if (json_type_of(root) != JSON_ARRAY || count > JOB_NODES_MAX)
        err = fault_set(fault, ERR_CORRUPT, "places", "must be an array of at most %d places",
                        JOB_NODES_MAX);
    struct json_iterator it = json_iterate(root);
    while (err == ERR_OK && json_next(&it))
        err = place_parse(it.value, &out[it.index], fault);
    json_document_destroy(document);
    if (err == ERR_OK)
        *out_count = (uint32_t)count;
    return err;
}
