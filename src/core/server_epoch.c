/* The database's epoch, and the gate that keeps jobs of an earlier one from being offered before
 * every site has said what it runs.
 *
 * A restored or lossy database may have forgotten attempts. Raising the epoch fences whatever its
 * predecessor still has on the way to sites. A job that stood before (created_epoch < db_epoch) may
 * have such a forgotten attempt, so it is offered again only when
 *   - every known site has sent a full inventory after it has seen the new epoch, or has been
 *     declared destroyed; or
 *   - its policy is `lease` and the full lease wait has passed since the epoch was raised or this
 *     process started (nobody renews a lease that the database does not know). */
#include "base/assert.h"
#include "core/server_state.h"

bool job_is_gated(const struct server_core *core, const struct server_job *job, struct now now)
{
    if (!core->rules->restore_waits_for_sites || core->unreconciled == 0)
        return false;
    if (job->row.created_epoch >= core->db_epoch)
        return false;
    return job->spec->spec.contact != CONTACT_LEASE || boot_is_before(now.boot, job->gate_at);
}

void gate_add(struct server_core *core, struct server_job *job)
{
    ASSERT(!job->is_gated && !job->is_queued && job->row.state == JOB_PENDING);
    job->is_gated = true;
    job->gated_previous = core->gated_last;
    job->gated_next = NULL;
    if (core->gated_last != NULL)
        core->gated_last->gated_next = job;
    else
        core->gated_first = job;
    core->gated_last = job;
}

void gate_remove(struct server_core *core, struct server_job *job)
{
    if (!job->is_gated)
        return;
    job->is_gated = false;
    if (job->gated_previous != NULL)
        job->gated_previous->gated_next = job->gated_next;
    else
        core->gated_first = job->gated_next;
    if (job->gated_next != NULL)
        job->gated_next->gated_previous = job->gated_previous;
    else
        core->gated_last = job->gated_previous;
    job->gated_previous = job->gated_next = NULL;
}

void gate_release(struct step *step)
{
    struct server_core *core = step->core;
    uint32_t left = SERVER_UNGATE_MAX;
    if (core->unreconciled > 0) {
        core->must_ungate = false;
        return;
    }
    while (core->gated_first != NULL && left-- > 0) {
        struct server_job *job = core->gated_first;
        gate_remove(core, job);
        job_enqueue(core, job, step->now);
    }
    core->must_ungate = core->gated_first != NULL;
}

/* Every PENDING job of an earlier epoch leaves the queue; its gate's lease wait begins now. */
static void gate_close(struct step *step)
{
    struct server_core *core = step->core;
    size_t cursor = 0;
    void *value;
    while (idmap_next(&core->jobs, &cursor, NULL, &value)) {
        struct server_job *job = value;
        if (job->spec->spec.contact == CONTACT_LEASE)
            job->gate_at =
                boot_add(step->now.boot, lease_wait(core, lease_of(core, &job->spec->spec)));
        if (job->row.state != JOB_PENDING)
            continue;
        job_dequeue(core, job);
        job_enqueue(core, job, step->now);
    }
}

void epoch_raise(struct step *step, uint64_t to, const char *action, struct slice detail)
{
    struct server_core *core = step->core;
    size_t cursor = 0;
    void *value;
    ASSERT(to > core->db_epoch && to - core->db_epoch <= SERVER_EPOCH_JUMP_MAX + 1);
    for (uint64_t epoch = core->db_epoch; epoch < to; epoch++)
        step_op(step, CHANGE_EPOCH_RAISE)->epoch.epoch = epoch;
    core->db_epoch = to;
    step_audit(step, SYSTEM_ACTOR, (struct slice){0}, action, SLICE_LITERAL("database"), detail);
    step_event(step, NO_TENANT, action, SLICE_LITERAL("database"), detail);
    while (idmap_next(&core->sites, &cursor, NULL, &value)) {
        struct server_site *site = value;
        site_reconciled_set(core, site, false);
        site->must_unknown = true;
        site->sync_count++; /* reports of before do not count */
        site->want_told.count = 0;
        site_timer_arm(core, site);
    }
    gate_close(step);
}
