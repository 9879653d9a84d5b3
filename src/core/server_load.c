/* Loading: rows from the store into memory, then the start. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

enum { LOAD_ARENA_MAX = 16 << 20 };

enum err server_core_load_meta(struct server_core *core, uint64_t db_epoch, uint64_t audit_seq,
                               const struct hash256 *audit_hash, uint64_t event_seq)
{
    if (db_epoch == 0)
        return ERR_CORRUPT;
    core->db_epoch = db_epoch;
    core->audit_seq = audit_seq;
    core->audit_hash = *audit_hash;
    core->event_seq = event_seq;
    return ERR_OK;
}

static enum err load_site(struct server_core *core, const struct doc *doc,
                          const struct doc_value *value, struct fault *fault)
{
    struct server_site *site = site_add(core, value->site.id);
    if (site == NULL)
        return ERR_NO_MEMORY;
    enum err err = site_value_set(site, doc->body, fault);
    if (err != ERR_OK)
        return err;
    site->version = doc->version;
    return placer_site_put(core->placer, &site->value, false);
}

static enum err load_value(struct server_core *core, const struct doc *doc,
                           const struct doc_value *value, struct fault *fault)
{
    struct server_site *site;
    switch (doc->kind) {
    case DOC_REGION:
        return placer_region_put(core->placer, &value->region);
    case DOC_SITE:
        return load_site(core, doc, value, fault);
    case DOC_TENANT:
        return tenant_set(core, doc->body, fault);
    case DOC_LINK:
        return link_set(core, &value->link);
    case DOC_POLICY:
        policy_apply(core, &value->policy);
        return placer_policy_put(core->placer, &value->policy);
    case DOC_THROUGHPUT:
        return speed_load(core, &value->throughput);
    case DOC_SITE_STATE:
        site = site_find(core, value->site_memory.site);
        if (site == NULL)
            return fault_set(fault, ERR_CORRUPT, "site", "a site's state without the site");
        site->memory_version = doc->version;
        return site_memory_load(site, doc->body, fault);
    default:
        return ERR_OK;
    }
}

enum err server_core_load_doc(struct server_core *core, const struct doc *doc, struct fault *fault)
{
    struct arena arena;
    struct doc_value value;
    ASSERT(!core->is_started);
    if ((unsigned)doc->kind >= DOC_KIND_COUNT_ || doc->version == 0)
        return fault_set(fault, ERR_CORRUPT, "kind", "a document without kind or version");
    /* Tokens are many, and only their versions matter here. */
    if (doc->kind == DOC_TOKEN || doc->kind == DOC_JOIN_TOKEN)
        return doc_note(core, doc->kind, doc->id, doc->version, NULL);
    arena_init(&arena, LOAD_ARENA_MAX);
    enum err err = doc_parse(doc->kind, doc->body, &arena, &value, fault);
    if (err == ERR_OK)
        err = doc_note(core, doc->kind, doc->id, doc->version, noun_name_key(&arena, &value));
    if (err == ERR_OK)
        err = load_value(core, doc, &value, fault);
    arena_deinit(&arena);
    return err;
}

enum err server_core_load_spec(struct server_core *core, struct spec_id id, struct slice body,
                               struct fault *fault)
{
    struct arena arena;
    struct job_spec spec;
    arena_init(&arena, SPEC_ARENA_BYTES);
    enum err err = spec_parse(body, &arena, &spec, fault);
    struct server_spec *made = err == ERR_OK ? server_spec_make(id, &spec) : NULL;
    arena_deinit(&arena);
    if (err == ERR_OK)
        err = made == NULL ? ERR_NO_MEMORY : idmap_add(&core->specs, id.id, made);
    if (err != ERR_OK)
        free(made);
    return err;
}

enum err server_core_load_job(struct server_core *core, const struct job_row *row)
{
    struct fault fault;
    struct server_spec *spec = idmap_get(&core->specs, row->spec.id);
    struct server_tenant *tenant = tenant_find(core, row->tenant);
    if (job_row_check(row, &fault) != ERR_OK || job_state_is_final(row->state) || spec == NULL ||
        tenant == NULL || job_find(core, row->id) != NULL)
        return ERR_CORRUPT;
    return job_add(core, row, spec, tenant) == NULL ? ERR_NO_MEMORY : ERR_OK;
}

enum err server_core_load_attempt(struct server_core *core, const struct attempt_row *row,
                                  struct slice places)
{
    struct fault fault;
    struct rank_place ranks[JOB_NODES_MAX];
    uint32_t count = 0;
    struct server_job *job = job_find(core, row->token.job);
    struct server_site *site = site_find(core, row->site);
    if (attempt_row_check(row, &fault) != ERR_OK || attempt_state_is_final(row->state) ||
        job == NULL || site == NULL || job->attempt != NULL || job->row.state != JOB_ACTIVE ||
        job->row.attempt != row->token.number || job->row.epoch != row->token.epoch ||
        row->variant >= job->spec->spec.variant_count)
        return ERR_CORRUPT;
    if (places.len > 0) {
        enum err err = attempt_places_parse(places, ranks, &count, &fault);
        if (err != ERR_OK)
            return err;
    }
    return attempt_add(core, row, job, site, ranks, count) == NULL ? ERR_NO_MEMORY : ERR_OK;
}

enum err server_core_load_watermark(struct server_core *core, struct site_id site,
                                    struct journal_id journal, uint64_t seq)
{
    struct server_site *at = site_find(core, site);
    if (at == NULL)
        return ERR_OK; /* the site was deleted; its records stay */
    return site_watermark_add(at, journal, seq);
}

void server_core_load_ended(struct server_core *core, const struct attempt_row *row)
{
    struct server_job *job = job_find(core, row->token.job);
    if (job == NULL || !attempt_state_is_final(row->state))
        return;
    job_spend(job, row);
    job->failure = attempt_failure(row);
}

enum err server_core_load_checkpoint(struct server_core *core, const struct artifact_row *newest)
{
    struct server_job *job = job_find(core, newest->token.job);
    struct site_id site = {0};
    const struct now now = {0};
    if (job == NULL || newest->is_stale || newest->kind != ARTIFACT_CHECKPOINT)
        return ERR_OK;
    if (job->attempt != NULL && job->attempt->row.token.number == newest->token.number)
        site = job->attempt->row.site;
    return job_checkpoint_set(core, job, newest, site, now);
}

/* ---- the start */

/* Parents before children, level by level. */
static void start_tenants(struct server_core *core)
{
    size_t cursor = 0, placed = 0;
    void *value;
    while (idmap_next(&core->tenants, &cursor, NULL, &value)) {
        struct server_tenant *tenant = value;
        tenant->pending = 0;
        tenant->parent = tenant_find(core, tenant->value.parent);
        if (tenant->parent == NULL)
            tenant->value.parent = (struct tenant_id){0};
    }
    for (int level = 0; level <= TENANT_DEPTH_MAX && placed < idmap_count(&core->tenants);
         level++) {
        cursor = 0;
        while (idmap_next(&core->tenants, &cursor, NULL, &value)) {
            struct server_tenant *tenant = value;
            if (tenant->is_in_placer || (tenant->parent != NULL && !tenant->parent->is_in_placer))
                continue;
            enum err err = placer_tenant_put(core->placer, &tenant->value);
            ASSERT(err == ERR_OK);
            tenant->is_in_placer = true;
            placed++;
        }
    }
    ASSERT(placed == idmap_count(&core->tenants)); /* no cycle was ever accepted */
}

static void start_sites(struct step *step)
{
    struct server_core *core = step->core;
    size_t cursor = 0;
    void *value;
    while (idmap_next(&core->sites, &cursor, NULL, &value)) {
        struct server_site *site = value;
        site->last_contact = step->now.boot;
        site_reconciled_set(core, site, site->epoch_reported >= core->db_epoch);
        site->must_unknown = !site->is_reconciled && site->attempt_count > 0;
        quarantine_start(core, site, step->now);
        site_timer_arm(core, site);
    }
}

/* Capacity that live attempts hold; every lease may last a full L from now (rule
 * lease_restarts_with_leader). */
static void start_attempt(struct step *step, struct server_attempt *attempt)
{
    struct server_core *core = step->core;
    struct place_job place;
    attempt_timers_start(core, attempt, step->now, true);
    util_attempt(step, attempt);
    if (attempt->place_count != attempt->row.nodes)
        return;
    struct place_decision *decision = calloc(1, sizeof(*decision));
    ASSERT(decision != NULL);
    *decision = (struct place_decision){.job = attempt->row.token.job,
                                        .site = attempt->row.site,
                                        .variant = attempt->row.variant,
                                        .nodes = attempt->row.nodes,
                                        .ask_per_hour = attempt->row.ask_per_hour};
    memcpy(decision->places, attempt->places, attempt->place_count * sizeof(attempt->places[0]));
    job_place(attempt->job, &place);
    attempt->is_held =
        placer_hold(core->placer, &place, decision, attempt->row.offered_at) == ERR_OK;
    speed_begin(step, attempt);
    free(decision);
    if (attempt->is_held && attempt->row.revoke != REVOKE_NONE)
        placer_leave(core->placer, attempt->row.token.job);
}

static void start_jobs(struct step *step)
{
    struct server_core *core = step->core;
    size_t cursor = 0;
    void *value;
    while (idmap_next(&core->jobs, &cursor, NULL, &value)) {
        struct server_job *job = value;
        ASSERT((job->attempt != NULL) == (job->row.state == JOB_ACTIVE));
        if (job->spec->spec.contact == CONTACT_LEASE)
            job->gate_at =
                boot_add(step->now.boot, lease_wait(core, lease_of(core, &job->spec->spec)));
        for (struct server_tenant *at = job->tenant; at != NULL; at = at->parent)
            at->pending += job->row.state == JOB_PENDING;
        job_avoid(job, SPAN_MS(SERVER_AVOID_MS), step->now);
        if (job->attempt != NULL)
            start_attempt(step, job->attempt);
        else if (!job->is_queued && !job->is_gated)
            job_enqueue(core, job, step->now);
    }
}

void server_start(struct step *step)
{
    struct server_core *core = step->core;
    core->is_started = true;
    core->must_place = true;
    start_tenants(core);
    start_sites(step);
    if (step->event->start.is_restored && core->rules->restore_raises_epoch)
        epoch_raise(step, core->db_epoch + 1, "database.restored",
                    step_printf(step, "{\"from\":%llu,\"to\":%llu}",
                                (unsigned long long)core->db_epoch,
                                (unsigned long long)core->db_epoch + 1));
    start_jobs(step);
}
