/* What sites tell of reclaims, kept and, when a promise was broken, alarmed; and whose copies are
 * complete. Both come again until they were answered: the store keeps one record a name, and an
 * alarm is raised once. */
#include "base/assert.h"
#include "base/hash.h"
#include "core/server_state.h"

static struct server_reclaim *known_find(struct server_site *site, uint64_t hash)
{
    for (uint32_t i = 0; i < SERVER_RECLAIMS_KNOWN; i++)
        if (site->reclaims[i].hash == hash)
            return &site->reclaims[i];
    return NULL;
}

/* Of the names seen lately, so that what is told twice is told on once. */
static struct server_reclaim *known_make(struct server_site *site, uint64_t hash)
{
    struct server_reclaim *known = &site->reclaims[site->reclaim_next];
    site->reclaim_next = (site->reclaim_next + 1) % SERVER_RECLAIMS_KNOWN;
    *known = (struct server_reclaim){.hash = hash};
    return known;
}

static struct slice describe(struct step *step, const struct server_site *site,
                             const struct reclaim *reclaim)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    json_begin_object(writer);
    json_put_string(writer, "site", site->value.name);
    json_put_string(writer, "name", reclaim->name);
    json_put_i64(writer, "wait_ms", reclaim->wait.ms);
    json_put_i64(writer, "held_ms", reclaim->held.ms);
    json_put_i64(writer, "promise_ms", reclaim->promise.ms);
    json_put_u64(writer, "attempts", reclaim->attempts);
    json_end_object(writer);
    return step_json_end(step, &json);
}

static void tell_on(struct step *step, struct server_site *site, const struct reclaim *reclaim)
{
    struct server_core *core = step->core;
    uint64_t hash = hash_bytes(reclaim->name, 0) | 1;
    struct server_reclaim *known = known_find(site, hash);
    struct slice subject = step_id(step, site->id.id, ID_PREFIX_SITE);
    if (known == NULL)
        known = known_make(site, hash);
    if (!reclaim->is_open && !known->is_closed) {
        known->is_closed = true;
        core->reclaims++;
        step_event(step, NO_TENANT, "site.reclaimed", subject, describe(step, site, reclaim));
    }
    if (reclaim_is_breach(reclaim) && !known->is_breach) {
        struct slice detail = describe(step, site, reclaim);
        known->is_breach = true;
        core->reclaim_breaches++;
        step_event(step, NO_TENANT, "alarm.reclaim_breach", subject, detail);
        step_audit(step, SYSTEM_ACTOR, (struct slice){0}, "site.reclaim_breach", subject, detail);
    }
}

void site_reclaims(struct step *step, struct server_site *site, const struct sync_request *request)
{
    struct fault fault = {0};
    for (uint32_t i = 0; i < request->reclaim_count; i++) {
        struct reclaim reclaim = request->reclaims[i];
        if (reclaim_check(&reclaim, &fault) != ERR_OK)
            continue; /* the decoder has refused it already */
        reclaim.name = arena_copy(&step->effects->arena, reclaim.name);
        ASSERT(reclaim.name.data != NULL);
        struct change_op *op = step_op(step, CHANGE_RECLAIM_PUT);
        op->reclaim.site = site->id;
        op->reclaim.value = reclaim;
        tell_on(step, site, &reclaim);
    }
}

void site_copied(struct step *step, const struct sync_request *request)
{
    for (uint32_t i = 0; i < request->copied_count; i++) {
        const struct attempt_token *token = &request->copied[i];
        struct server_job *job = job_find(step->core, token->job);
        if (job != NULL && job->row.attempt == token->number && job->row.epoch == token->epoch)
            job_copied(step->core, job, step->now);
    }
}
