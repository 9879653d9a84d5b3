/* Placing: what the engine proposes becomes an offer, a bounded number a step. */
#include "base/assert.h"
#include "core/server_state.h"

struct touched { /* sites with something new to tell, in the order of their first offer */
    struct server_site *sites[SERVER_PLACE_MAX];
    uint32_t count;
};

static void touch(struct touched *touched, struct server_site *site)
{
    for (uint32_t i = 0; i < touched->count; i++)
        if (touched->sites[i] == site)
            return;
    touched->sites[touched->count++] = site;
}

/* Work of lower classes makes room for the heads of the queue. */
static void preempt(struct step *step)
{
    struct server_core *core = step->core;
    struct job_id leaving[PLACE_LEAVING_MAX];
    for (int left = SERVER_PREEMPT_MAX; left > 0; left--) {
        uint32_t count = placer_preempt(core->placer, step->now, leaving);
        for (uint32_t i = 0; i < count; i++) {
            struct server_job *job = job_find(core, leaving[i]);
            ASSERT(job != NULL && job->attempt != NULL);
            attempt_revoke(step, job->attempt, REVOKE_PREEMPTED);
        }
        if (count == 0)
            return;
    }
    core->must_place = true;
}

void server_place(struct step *step)
{
    struct server_core *core = step->core;
    struct place_decision decision;
    struct touched touched = {.count = 0};
    for (int left = SERVER_PLACE_MAX; left > 0; left--) {
        if (!placer_propose(core->placer, step->now, &decision)) {
            core->must_place = false;
            core->place_due = placer_due(core->placer, step->now);
            preempt(step);
            break;
        }
        struct server_job *job = job_find(core, decision.job);
        struct server_site *site = site_find(core, decision.site);
        ASSERT(job != NULL && job->is_queued && site != NULL && site->is_open);
        attempt_offer(step, job, site, &decision);
        placer_confirm(core->placer, decision.job, step->now);
        site_open_update(core, site);
        touch(&touched, site);
    }
    for (uint32_t i = 0; i < touched.count; i++)
        site_dirty(step, touched.sites[i]);
}
