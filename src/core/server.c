/* The server's core: its life, the way of an event, and timers. */
#include "core/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hex.h"
#include "core/server_state.h"

enum { PER_MILLE = 1000, TIMERS_MAX = 1 << 26, JOBS_MAX = 1 << 24, JURISDICTIONS_MAX = 65536 };

/* What the catalogue says of chips. */
static bool chips_put(struct placer *placer, const struct catalogue *catalogue)
{
    for (uint32_t i = 0; catalogue != NULL && i < catalogue->count; i++) {
        const struct accelerator *row = &catalogue->rows[i];
        const struct place_chip_facts facts = {
            row->model, row->fp16_gflops.has ? row->fp16_gflops.value : 0, row->is_domestic};
        if (placer_chip_put(placer, &facts) != ERR_OK)
            return false;
    }
    return true;
}

struct server_core *server_core_create(const struct protocol_rules *rules,
                                       const struct server_settings *settings, uint64_t random_seed)
{
    struct server_core *core = calloc(1, sizeof(*core));
    if (core == NULL)
        return NULL;
    ASSERT(settings->jobs_live_max <= JOBS_MAX && settings->clock_drift_per_mille < PER_MILLE);
    core->rules = rules;
    core->base = core->settings = *settings;
    random_init(&core->random, random_seed);
    core->db_epoch = 1;
    idmap_init(&core->jobs, JOBS_MAX, random_seed);
    idmap_init(&core->specs, JOBS_MAX, random_seed);
    idmap_init(&core->sites, SERVER_SITES_MAX, random_seed);
    idmap_init(&core->tenants, TENANTS_MAX, random_seed);
    idmap_init(&core->recent, SERVER_RECENT_MAX + 1, random_seed);
    strmap_init(&core->keys, SERVER_KEYS_MAX + 1, random_seed);
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++) {
        strmap_init(&core->docs[kind], SERVER_DOCS_MAX, random_seed);
        strmap_init(&core->names[kind], SERVER_DOCS_MAX, random_seed);
    }
    vector_init(&core->jurisdictions, sizeof(char *), JURISDICTIONS_MAX);
    strmap_init(&core->links, SERVER_DOCS_MAX, random_seed);
    idmap_init(&core->workloads, SERVER_DOCS_MAX, random_seed);
    core->place_due = BOOT_NEVER;
    heap_init(&core->timers, TIMERS_MAX);
    core->placer = placer_create();
    if (core->placer == NULL || !chips_put(core->placer, settings->catalogue)) {
        server_core_destroy(core);
        return NULL;
    }
    return core;
}

static void jobs_free(struct server_core *core)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&core->jobs, &cursor, NULL, &value)) {
        struct server_job *job = value;
        if (job->attempt != NULL)
            attempt_free(core, job->attempt);
        job_free(core, job);
    }
    idmap_deinit(&core->jobs);
    cursor = 0;
    while (idmap_next(&core->specs, &cursor, NULL, &value))
        free(value); /* loaded, but no job uses it */
    idmap_deinit(&core->specs);
    cursor = 0;
    while (idmap_next(&core->recent, &cursor, NULL, &value))
        free(value);
    idmap_deinit(&core->recent);
}

void server_core_destroy(struct server_core *core)
{
    size_t cursor = 0;
    void *value;
    if (core == NULL)
        return;
    placer_destroy(core->placer); /* before the specs that it points to */
    core->placer = NULL;
    jobs_free(core);
    while (idmap_next(&core->sites, &cursor, NULL, &value))
        site_free(core, value);
    idmap_deinit(&core->sites);
    cursor = 0;
    while (idmap_next(&core->tenants, &cursor, NULL, &value))
        tenant_free(value);
    idmap_deinit(&core->tenants);
    for (size_t i = 0; i < core->jurisdictions.len; i++)
        free(*(char **)vector_at(&core->jurisdictions, i));
    vector_deinit(&core->jurisdictions);
    links_free(core);
    speeds_free(core);
    docs_free(core);
    strmap_deinit(&core->keys);
    heap_deinit(&core->timers);
    free(core);
}

/* ---- leases */

/* A clock off by r on each side: the holder's L may last L(1+r)/(1-r) of our time; then its
 * supervisor's kill. */
struct span_ms lease_wait(const struct server_core *core, struct span_ms lease)
{
    int64_t drift = core->settings.clock_drift_per_mille;
    if (!core->rules->lease_waits_for_drift)
        return lease;
    int64_t slow = PER_MILLE - drift;
    return SPAN_MS((lease.ms * (PER_MILLE + drift) + slow - 1) / slow +
                   core->settings.kill_time.ms);
}

struct span_ms lease_of(const struct server_core *core, const struct job_spec *spec)
{
    return spec->lease.ms > core->settings.lease_floor.ms ? spec->lease
                                                          : core->settings.lease_floor;
}

/* ---- timers */

void timer_init(struct server_timer *timer, enum server_timer_kind kind, void *owner)
{
    *timer = (struct server_timer){.kind = kind, .due = BOOT_NEVER, .owner = owner};
}

void timer_set(struct server_core *core, struct server_timer *timer, struct boot_ns due)
{
    if (due.ns == BOOT_NEVER.ns) {
        timer_stop(core, timer);
        return;
    }
    if (timer->due.ns == due.ns)
        return;
    timer->due = due;
    if (heap_change(&core->timers, timer->handle, due.ns))
        return;
    enum err err = heap_push(&core->timers, due.ns, (uint64_t)(uintptr_t)timer, &timer->handle);
    ASSERT(err == ERR_OK);
}

void timer_stop(struct server_core *core, struct server_timer *timer)
{
    (void)heap_remove(&core->timers, timer->handle);
    timer->handle = (struct heap_handle){0};
    timer->due = BOOT_NEVER;
}

struct boot_ns server_core_due(const struct server_core *core)
{
    int64_t key;
    if (!heap_peek(&core->timers, &key, NULL))
        return core->place_due;
    return boot_min(core->place_due, (struct boot_ns){key});
}

static void tick(struct step *step)
{
    struct server_core *core = step->core;
    int64_t key;
    uint64_t payload;
    if (core->place_due.ns != BOOT_NEVER.ns && !boot_is_before(step->now.boot, core->place_due)) {
        core->must_place = true;
        core->place_due = BOOT_NEVER; /* placing says when next */
    }
    for (int left = SERVER_TICK_MAX; left > 0; left--) {
        if (!heap_peek(&core->timers, &key, &payload) || key > step->now.boot.ns)
            return;
        struct server_timer *timer = (struct server_timer *)(uintptr_t)payload;
        timer_stop(core, timer); /* its owner arms it again */
        switch (timer->kind) {
        case TIMER_SITE:
            site_tick(step, timer->owner);
            break;
        case TIMER_JOB:
            job_tick(step, timer->owner);
            break;
        case TIMER_ATTEMPT:
            attempt_tick(step, timer->owner);
            break;
        case TIMER_NONE:
            ASSERT(!"a timer has an owner");
        }
        if (step->op_count > CHANGE_OPS_MAX / 4)
            return; /* the rest in the next step */
    }
}

/* ---- the way of an event */

static void dispatch(struct step *step)
{
    switch (step->event->kind) {
    case SERVER_START:
        server_start(step);
        return;
    case SERVER_TICK:
        tick(step);
        return;
    case SERVER_PLACE:
        if (step->core->must_ungate)
            gate_release(step);
        server_place(step);
        return;
    case SERVER_SYNC:
        server_sync(step);
        return;
    case SERVER_SYNC_GONE:
        server_sync_gone(step);
        return;
    case SERVER_SUBMIT:
        server_submit(step);
        return;
    case SERVER_CANCEL:
        server_cancel(step);
        return;
    case SERVER_RETRY:
        server_retry(step);
        return;
    case SERVER_DOC_PUT:
        server_doc_put(step);
        return;
    case SERVER_DOC_DELETE:
        server_doc_delete(step);
        return;
    case SERVER_SITE_DRAIN:
        server_site_drain(step);
        return;
    case SERVER_SITE_QUARANTINE:
        server_site_quarantine(step);
        return;
    case SERVER_SITE_DESTROYED:
        server_site_destroyed(step);
        return;
    case SERVER_ARTIFACT:
        server_artifact(step);
        return;
    case SERVER_USAGE_CONFLICT:
        server_usage_conflict(step);
        return;
    case SERVER_EVENT_KIND_COUNT_:
        break;
    }
    ASSERT(!"known event");
}

static bool is_request(enum server_event_kind kind)
{
    return kind == SERVER_SUBMIT || kind == SERVER_CANCEL || kind == SERVER_RETRY ||
           kind == SERVER_DOC_PUT || kind == SERVER_DOC_DELETE || kind == SERVER_SITE_DRAIN ||
           kind == SERVER_SITE_QUARANTINE || kind == SERVER_SITE_DESTROYED ||
           kind == SERVER_ARTIFACT;
}

void server_core_step(struct server_core *core, const struct server_event *event, struct now now,
                      struct server_effects *effects)
{
    struct step step;
    ASSERT(core->is_started == (event->kind != SERVER_START));
    step_begin(&step, core, event, now, effects);
    if (!is_request(event->kind) || step_key_take(&step))
        dispatch(&step);
    step_end(&step);
}

/* ---- looking in */

struct server_counts server_core_counts(const struct server_core *core)
{
    return (struct server_counts){
        .jobs_pending = core->jobs_pending,
        .jobs_active = core->jobs_active,
        .attempts_offered = core->attempt_counts[ATTEMPT_OFFERED],
        .attempts_running = core->attempt_counts[ATTEMPT_RUNNING],
        .attempts_unknown = core->attempt_counts[ATTEMPT_UNKNOWN],
        .sites = (uint32_t)idmap_count(&core->sites),
        .sites_lost = core->sites_lost,
        .db_epoch = core->db_epoch,
        .reclaims = core->reclaims,
        .reclaim_breaches = core->reclaim_breaches,
        .is_reconciling = core->unreconciled > 0,
    };
}

const struct tenant *server_core_tenant(const struct server_core *core, struct tenant_id id)
{
    const struct server_tenant *tenant = tenant_find(core, id);
    return tenant == NULL ? NULL : &tenant->value;
}

const struct job_row *server_core_job(const struct server_core *core, struct job_id id)
{
    const struct server_job *job = job_find(core, id);
    return job == NULL ? NULL : &job->row;
}

bool server_core_token_is_current(const struct server_core *core, const struct attempt_token *token,
                                  struct site_id site)
{
    const struct server_job *job = job_find(core, token->job);
    return job != NULL && job->attempt != NULL &&
           attempt_token_is_equal(&job->attempt->row.token, token) &&
           id_is_equal(job->attempt->row.site.id, site.id);
}

void server_core_attempt_secret(const struct server_core *core, const struct attempt_token *token,
                                char out[ATTEMPT_SECRET_MAX])
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(token, name);
    struct digest digest = digest_hmac(
        slice_make(core->base.secret_key, sizeof(core->base.secret_key)), slice_of(name));
    base64url_encode(slice_make(digest.bytes, sizeof(digest.bytes)), out);
}
