/* Jobs: where a pending one waits, and how one goes on when its attempt has ended. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

struct server_job *job_find(const struct server_core *core, struct job_id id)
{
    return idmap_get(&core->jobs, id.id);
}

static void count_state(struct server_core *core, struct server_job *job, int change)
{
    if (job->row.state == JOB_PENDING) {
        core->jobs_pending = (uint32_t)((int32_t)core->jobs_pending + change);
        for (struct server_tenant *at = job->tenant; at != NULL; at = at->parent)
            at->pending = (uint64_t)((int64_t)at->pending + change);
    } else if (job->row.state == JOB_ACTIVE) {
        core->jobs_active = (uint32_t)((int32_t)core->jobs_active + change);
    }
}

struct server_job *job_add(struct server_core *core, const struct job_row *row,
                           struct server_spec *spec, struct server_tenant *tenant)
{
    struct server_job *job = calloc(1, sizeof(*job));
    if (job == NULL || idmap_add(&core->jobs, row->id.id, job) != ERR_OK) {
        free(job);
        return NULL;
    }
    job->row = *row;
    job->spec = spec;
    job->tenant = tenant;
    job->workload = workload_of(tenant->id, &spec->spec);
    job->retry_at = job->gate_at = BOOT_LONG_AGO;
    timer_init(&job->timer, TIMER_JOB, job);
    spec->users++;
    tenant->live++;
    count_state(core, job, 1);
    return job;
}

void job_free(struct server_core *core, struct server_job *job)
{
    timer_stop(core, &job->timer);
    server_spec_drop(core, job->spec);
    free(job->checkpoint);
    free(job->barred);
    free(job);
}

/* Only so that a retry with a row read before the job's last change is refused, and does not cost a
 * stale change and a reload. */
static void recent_note(struct server_core *core, const struct server_job *job)
{
    struct server_recent *recent = idmap_remove(&core->recent, job->row.id.id);
    if (recent == NULL && idmap_count(&core->recent) >= SERVER_RECENT_MAX) {
        size_t cursor = 0;
        struct id oldest;
        bool found = idmap_next(&core->recent, &cursor, &oldest, NULL);
        ASSERT(found);
        recent = idmap_remove(&core->recent, oldest);
    }
    if (recent == NULL)
        recent = malloc(sizeof(*recent));
    ASSERT(recent != NULL);
    *recent = (struct server_recent){job->row.id, job->row.version};
    enum err err = idmap_add(&core->recent, job->row.id.id, recent);
    ASSERT(err == ERR_OK);
}

void job_retire(struct step *step, struct server_job *job)
{
    struct server_core *core = step->core;
    ASSERT(job_state_is_final(job->row.state) && job->attempt == NULL);
    ASSERT(!job->is_queued && !job->is_gated);
    recent_note(core, job);
    job->tenant->live--;
    (void)idmap_remove(&core->jobs, job->row.id.id);
    job_free(core, job);
}

/* ---- the row */

void job_save(struct step *step, struct server_job *job, enum job_state expect_state,
              uint32_t expect_attempt)
{
    struct fault fault = {0};
    job->row.version++;
    ASSERT(job_row_check(&job->row, &fault) == ERR_OK);
    struct change_op *op = step_op(step, CHANGE_JOB_UPDATE);
    op->job.row = job->row;
    op->job.expect_state = expect_state;
    op->job.expect_attempt = expect_attempt;
}

void job_event(struct step *step, const struct server_job *job)
{
    static const char *const KINDS[JOB_STATE_COUNT_] = {
        [JOB_PENDING] = "job.pending",     [JOB_ACTIVE] = "job.active",
        [JOB_SUCCEEDED] = "job.succeeded", [JOB_FAILED] = "job.failed",
        [JOB_CANCELLED] = "job.cancelled",
    };
    struct slice body;
    if (job->row.attempt == 0)
        body = SLICE_LITERAL("{\"attempt\":0}");
    else
        body = step_printf(
            step, "{\"attempt\":%u,\"outcome\":\"%s\",\"failure\":\"%s\",\"exit_code\":%d}",
            job->row.attempt, outcome_name((enum outcome)job->row.outcome),
            failure_name(job->failure), job->row.exit_code);
    step_event(step, job->row.tenant, KINDS[job->row.state],
               step_id(step, job->row.id.id, ID_PREFIX_JOB), body);
}

/* Counts move with the state; the row is saved by the caller. */
void job_move(struct step *step, struct server_job *job, enum job_state to)
{
    ASSERT(job_can_move(job->row.state, to));
    count_state(step->core, job, -1);
    job->row.state = to;
    count_state(step->core, job, 1);
    if (job_state_is_final(to)) {
        job->row.cancel_requested = false;
        job->row.ended_at = step->now.wall;
    }
}

/* ---- waiting */

void job_place(const struct server_job *job, struct place_job *out)
{
    const struct server_checkpoint *checkpoint = job->checkpoint;
    *out = (struct place_job){.id = job->row.id,
                              .spec = &job->spec->spec,
                              .tenant = job->row.tenant,
                              .created_at = job->row.created_at,
                              .array_index = job->row.array_index,
                              .workload = job->workload,
                              .barred = job->barred,
                              .barred_count = job->barred_count};
    if (job->is_avoiding)
        out->avoid = job->row.last_site;
    if (checkpoint == NULL)
        return;
    out->has_restore = true;
    out->restore_runtime = checkpoint->runtime;
    out->restore_world_size =
        job->spec->spec.checkpoint.same_world_size ? checkpoint->world_size : 0;
    out->restore_jurisdiction = checkpoint->jurisdiction;
    out->restore_site = checkpoint->site;
    out->restore_bytes = checkpoint->size_bytes;
}

void job_timer_arm(struct server_core *core, struct server_job *job, struct now now)
{
    struct boot_ns due = BOOT_NEVER;
    int64_t deadline_us = job->spec->spec.deadline.us;
    if (job->row.state == JOB_PENDING) {
        if (deadline_us != 0 && !job->is_overdue)
            due = boot_add(now.boot, SPAN_MS((deadline_us - now.wall.us) / 1000 + 1));
        if (job->is_gated && job->spec->spec.contact == CONTACT_LEASE)
            due = boot_min(due, job->gate_at);
        if (!job->is_gated && !job->is_queued)
            due = boot_min(due, job->retry_at);
        if (job->is_queued && job->is_avoiding)
            due = boot_min(due, job->avoid_until);
    }
    timer_set(core, &job->timer, due);
}

void job_avoid(struct server_job *job, struct span_ms avoid, struct now now)
{
    job->is_avoiding = !id_is_none(job->row.last_site.id);
    job->avoid_until = boot_add(now.boot, avoid);
}

void job_enqueue(struct server_core *core, struct server_job *job, struct now now)
{
    ASSERT(job->row.state == JOB_PENDING && !job->is_queued && !job->is_gated);
    if (job_is_gated(core, job, now)) {
        gate_add(core, job);
    } else if (!boot_is_before(now.boot, job->retry_at)) {
        struct place_job place;
        free(job->barred);
        job->barred =
            surplus_barred(core, job->tenant, job->spec->spec.priority, &job->barred_count);
        job_place(job, &place);
        enum err err = placer_job_put(core->placer, &place);
        ASSERT(err == ERR_OK);
        job->is_queued = true;
        core->must_place = true;
    }
    job_timer_arm(core, job, now);
}

void job_dequeue(struct server_core *core, struct server_job *job)
{
    gate_remove(core, job);
    if (job->is_queued)
        placer_job_remove(core->placer, job->row.id);
    job->is_queued = false;
}

void job_tick(struct step *step, struct server_job *job)
{
    struct server_core *core = step->core;
    if (job->row.state != JOB_PENDING)
        return;
    int64_t deadline_us = job->spec->spec.deadline.us;
    if (deadline_us != 0 && !job->is_overdue && step->now.wall.us >= deadline_us) {
        job->is_overdue = true;
        step_event(step, job->row.tenant, "job.overdue",
                   step_id(step, job->row.id.id, ID_PREFIX_JOB), SLICE_LITERAL("{}"));
    }
    if (job->is_gated && !job_is_gated(core, job, step->now))
        gate_remove(core, job);
    /* Another site "could" take it, but has not: its measured load may never go away. */
    if (job->is_avoiding && !boot_is_before(step->now.boot, job->avoid_until)) {
        job->is_avoiding = false;
        if (job->is_queued)
            job_dequeue(core, job);
    }
    if (!job->is_gated && !job->is_queued)
        job_enqueue(core, job, step->now);
    else
        job_timer_arm(core, job, step->now);
}

/* ---- after an attempt */

/* Has the class, with this failure counted, used up what the job allows it? */
static bool is_spent(const struct server_job *job, enum failure_class failure)
{
    uint32_t budget = job_spec_retries(&job->spec->spec, failure);
    return failure != FAILURE_NONE && budget != FAILURE_NO_BUDGET &&
           job->row.failures[failure] > budget;
}

static enum job_state next_state(struct server_job *job, const struct attempt_row *row,
                                 enum failure_class failure)
{
    if (row->state == ATTEMPT_ENDED && row->outcome == OUTCOME_SUCCEEDED)
        return JOB_SUCCEEDED;
    if (job->row.cancel_requested)
        return JOB_CANCELLED;
    if (row->revoke == REVOKE_BUDGET || is_spent(job, failure) ||
        job->row.attempt >= SERVER_JOB_ATTEMPTS_MAX)
        return JOB_FAILED;
    return JOB_PENDING;
}

void job_spend(struct server_job *job, const struct attempt_row *row)
{
    job->spent = money_add_saturated(
        job->spent, money_scale_saturated(row->ask_per_hour, row->ran.ms, 3600 * 1000));
}

/* What was taken away in peace has just written a checkpoint, and its site copies it on after the
 * end. Going on from an older one would throw that work away. */
static bool is_copy_worth_a_wait(const struct server_job *job, const struct attempt_row *row)
{
    bool was_taken_away = row->outcome == OUTCOME_REVOKED || row->outcome == OUTCOME_PREEMPTED;
    return row->state == ATTEMPT_ENDED && was_taken_away && row->ran.ms > 0 &&
           job->spec->spec.checkpoint.dir.len > 0;
}

void job_after_attempt(struct step *step, struct server_job *job, const struct attempt_row *row)
{
    ASSERT(job->row.state == JOB_ACTIVE && job->attempt == NULL);
    ASSERT(job->row.attempt == row->token.number);
    enum failure_class failure = attempt_failure(row);
    const struct failure_rule *rule = failure_rule(failure);
    job_spend(job, row);
    if (row->state != ATTEMPT_NEVER) {
        job->row.outcome = row->outcome;
        job->row.exit_code = row->exit_code;
    }
    job->row.program_failures += rule->blame == FAILURE_OF_PROGRAM;
    job->row.infra_failures += rule->blame == FAILURE_OF_SITE;
    if (failure != FAILURE_NONE && job->row.failures[failure] < UINT8_MAX)
        job->row.failures[failure]++;
    job->failure = failure;
    job->is_avoiding = false;
    if (rule->avoid.ms > 0) {
        job->row.last_site = row->site;
        job_avoid(job, rule->avoid, step->now);
    }
    job_move(step, job, next_state(job, row, failure));
    job_save(step, job, JOB_ACTIVE, row->token.number);
    job_event(step, job);
    if (job->row.state != JOB_PENDING) {
        job_retire(step, job);
        return;
    }
    struct span_ms rest = failure_rest(failure, job->row.failures[failure]);
    job->retry_at = rest.ms > 0 ? boot_add(step->now.boot, rest) : BOOT_LONG_AGO;
    job->is_copying = is_copy_worth_a_wait(job, row);
    if (job->is_copying)
        job->retry_at = boot_add(step->now.boot, SPAN_MS(SERVER_COPY_WAIT_MS));
    job_enqueue(step->core, job, step->now);
}

/* ---- checkpoints */

/* Few and short; the placer keeps pointers to them. */
static enum err intern(struct server_core *core, struct slice text, struct slice *out)
{
    for (size_t i = 0; i < core->jurisdictions.len; i++) {
        char *const *known = vector_at(&core->jurisdictions, i);
        if (slice_is(text, *known)) {
            *out = slice_of(*known);
            return ERR_OK;
        }
    }
    char *copy = strndup(text.data == NULL ? "" : text.data, text.len);
    if (copy == NULL)
        return ERR_NO_MEMORY;
    enum err err = vector_push(&core->jurisdictions, &copy);
    if (err != ERR_OK)
        free(copy);
    else
        *out = slice_of(copy);
    return err;
}

void job_copied(struct server_core *core, struct server_job *job, struct now now)
{
    if (!job->is_copying)
        return;
    job->is_copying = false;
    job->retry_at = BOOT_LONG_AGO;
    if (job->row.state == JOB_PENDING && !job->is_gated && !job->is_queued)
        job_enqueue(core, job, now);
}

enum err job_checkpoint_set(struct server_core *core, struct server_job *job,
                            const struct artifact_row *row, struct site_id site, struct now now)
{
    struct slice jurisdiction;
    if (job->checkpoint != NULL && job->checkpoint->step > row->step)
        return ERR_OK;
    enum err err = intern(core, row->jurisdiction, &jurisdiction);
    if (err != ERR_OK)
        return err;
    if (job->checkpoint == NULL)
        job->checkpoint = malloc(sizeof(*job->checkpoint));
    if (job->checkpoint == NULL)
        return ERR_NO_MEMORY;
    *job->checkpoint = (struct server_checkpoint){.id = row->id,
                                                  .step = row->step,
                                                  .size_bytes = row->size_bytes,
                                                  .runtime = row->runtime,
                                                  .world_size = row->world_size,
                                                  .site = site,
                                                  .jurisdiction = jurisdiction};
    if (job->is_queued) {
        job_dequeue(core, job);
        job_enqueue(core, job, now);
    }
    job_copied(core, job, now);
    return ERR_OK;
}
