/* Quarantine: nodes and sites that keep failing what succeeds elsewhere take nothing new, until a
 * probe by their agent or an operator's word lets them back.
 *
 * Evidence is an attempt that ended in a class which the table of failures calls evidence. It
 * suffices when enough distinct jobs of at least two top-level tenants failed there within the
 * window, nothing has succeeded there since the first of them, and something succeeded elsewhere
 * meanwhile: one tenant's bad program can close nothing. Evidence is kept in memory alone;
 * quarantines outlive the process, in DOC_SITE_STATE. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

enum {
    EVIDENCE_MAX = 256, /* a site; the oldest goes */
    EVIDENCE_WINDOW_MS = 3600 * 1000,
    NODE_JOBS_MIN = 3,
    SITE_JOBS_MIN = 6,
    TENANTS_MIN = 2,
    PROBE_FIRST_MS = 5 * 60 * 1000, /* until the first probe; twice as long each time it fails */
    PROBE_REST_MAX_MS = 3600 * 1000,
    PROBE_LIMIT_MS = 5 * 60 * 1000, /* no answer by then: it failed */
    PROBE_TELL_MS = 30 * 1000,
};

#define NODE_NONE UINT32_MAX

struct evidence {
    struct job_id job;
    struct tenant_id tenant; /* below the root */
    uint32_t node;           /* NODE_NONE: a gang's, which of them is not known */
    enum failure_class failure;
    struct boot_ns at;
};

void quarantine_init(struct server_site *site)
{
    vector_init(&site->quarantines, sizeof(struct server_quarantine), SITE_QUARANTINES_MAX);
    vector_init(&site->evidence, sizeof(struct evidence), EVIDENCE_MAX);
    site->good_at = BOOT_LONG_AGO;
}

void quarantine_deinit(struct server_site *site)
{
    vector_deinit(&site->quarantines);
    vector_deinit(&site->evidence);
    free(site->nodes_good_at);
}

/* ---- which stand */

static struct server_quarantine *quarantine_at(const struct server_site *site, size_t index)
{
    return vector_at(&site->quarantines, index);
}

static struct server_quarantine *quarantine_find(const struct server_site *site, struct slice node)
{
    for (size_t i = 0; i < site->quarantines.len; i++)
        if (slice_is(node, quarantine_at(site, i)->node))
            return quarantine_at(site, i);
    return NULL;
}

bool quarantine_is_whole(const struct server_site *site)
{
    return quarantine_find(site, (struct slice){0}) != NULL;
}

static uint32_t node_index(const struct server_site *site, struct slice node)
{
    for (uint32_t i = 0; i < site->value.node_count; i++)
        if (slice_is_equal(site->value.nodes[i].name, node))
            return i;
    return NODE_NONE;
}

/* What the placer sees of the nodes: those in quarantine are not there. */
void quarantine_apply(struct server_core *core, const struct server_site *site)
{
    uint32_t count = 0;
    for (size_t i = 0; i < site->quarantines.len; i++) {
        uint32_t node = node_index(site, slice_of(quarantine_at(site, i)->node));
        if (node == NODE_NONE)
            continue;
        const struct sync_node away = {.node = (uint16_t)node};
        placer_site_observe(core->placer, site->id, &away, 1);
        count++;
    }
    placer_site_quarantine(core->placer, site->id, quarantine_is_whole(site), count);
}

/* ---- beginning and ending */

static struct span_ms probe_rest(const struct server_quarantine *quarantine)
{
    int64_t rest_ms = PROBE_FIRST_MS;
    for (uint32_t i = 0; i < quarantine->probes && rest_ms < PROBE_REST_MAX_MS; i++)
        rest_ms *= 2;
    return SPAN_MS(rest_ms < PROBE_REST_MAX_MS ? rest_ms : PROBE_REST_MAX_MS);
}

static void probe_schedule(struct server_quarantine *quarantine, struct now now)
{
    quarantine->probe = 0;
    quarantine->probe_at =
        quarantine->is_manual ? BOOT_NEVER : boot_add(now.boot, probe_rest(quarantine));
}

static struct slice quarantine_body(struct step *step, const struct server_site *site,
                                    const struct server_quarantine *quarantine, struct slice why)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    json_begin_object(writer);
    json_put_string(writer, "site", site->value.name);
    if (quarantine->node[0] != '\0')
        json_put_text(writer, "node", quarantine->node);
    json_put_text(writer, "failure", failure_name(quarantine->failure));
    json_put_u64(writer, "jobs", quarantine->jobs);
    json_put_u64(writer, "tenants", quarantine->tenants);
    json_put_u64(writer, "probes", quarantine->probes);
    json_put_string(writer, "reason", why);
    json_end_object(writer);
    return step_json_end(step, &json);
}

static void quarantine_record(struct step *step, const struct server_site *site,
                              const struct server_quarantine *quarantine, struct slice actor,
                              const char *action, const char *event, struct slice why)
{
    struct slice subject = step_id(step, site->id.id, ID_PREFIX_SITE);
    struct slice body = quarantine_body(step, site, quarantine, why);
    step_audit(step, actor, (struct slice){0}, action, subject, body);
    step_event(step, NO_TENANT, event, subject, body);
}

/* After any change: durable, and known to the placer. */
static void quarantine_changed(struct step *step, struct server_site *site)
{
    site_memory_save(step, site);
    enum err err = site_placer_put(step->core, site);
    ASSERT(err == ERR_OK);
    site_open_update(step->core, site);
    site_timer_arm(step->core, site);
}

/* NULL: there are too many. */
static struct server_quarantine *quarantine_add(struct server_site *site, struct slice node)
{
    struct server_quarantine *made =
        node.len < sizeof(made->node) ? vector_push_zeroed(&site->quarantines) : NULL;
    if (made != NULL && node.len > 0)
        memcpy(made->node, node.data, node.len);
    return made;
}

static void quarantine_end(struct step *step, struct server_site *site,
                           struct server_quarantine *quarantine, struct slice actor,
                           struct slice why)
{
    uint32_t node = node_index(site, slice_of(quarantine->node));
    quarantine_record(step, site, quarantine, actor, "site.release", "site.released", why);
    for (size_t i = site->evidence.len; i > 0; i--) { /* what led to it is settled */
        const struct evidence *at = vector_at(&site->evidence, i - 1);
        if (quarantine->node[0] == '\0' || at->node == node)
            vector_remove_ordered(&site->evidence, i - 1);
    }
    for (size_t i = 0; i < site->quarantines.len; i++)
        if (quarantine_at(site, i) == quarantine) {
            vector_remove_ordered(&site->quarantines, i);
            break;
        }
    quarantine_changed(step, site);
}

/* ---- evidence */

static struct tenant_id top_tenant(const struct server_tenant *tenant)
{
    while (tenant->parent != NULL && tenant->parent->parent != NULL)
        tenant = tenant->parent;
    return tenant->id;
}

struct tally {
    uint32_t jobs, tenants, nodes;
    struct boot_ns first;
};

static bool is_counted(const struct evidence *at, uint32_t node, struct boot_ns since)
{
    return boot_is_before(since, at->at) && (node == NODE_NONE || at->node == node);
}

/* Distinct jobs, tenants and nodes of what counts against `node`; NODE_NONE: against the site. */
static struct tally tally_of(const struct server_site *site, uint32_t node, struct boot_ns since)
{
    struct tally tally = {.first = BOOT_NEVER};
    for (size_t i = 0; i < site->evidence.len; i++) {
        const struct evidence *at = vector_at(&site->evidence, i);
        bool is_job_new = true, is_tenant_new = true, is_node_new = true;
        if (!is_counted(at, node, since))
            continue;
        for (size_t k = 0; k < i; k++) {
            const struct evidence *other = vector_at(&site->evidence, k);
            if (!is_counted(other, node, since))
                continue;
            is_job_new = is_job_new && !id_is_equal(other->job.id, at->job.id);
            is_tenant_new = is_tenant_new && !id_is_equal(other->tenant.id, at->tenant.id);
            is_node_new = is_node_new && other->node != at->node;
        }
        tally.jobs += is_job_new;
        tally.tenants += is_tenant_new;
        tally.nodes += is_node_new;
        tally.first = boot_min(tally.first, at->at);
    }
    return tally;
}

/* Has anything succeeded since then, on another node (of any site)? */
static bool is_good_elsewhere(const struct server_core *core, const struct server_site *site,
                              uint32_t node, struct boot_ns since)
{
    size_t cursor = 0;
    void *value;
    for (uint32_t i = 0; node != NODE_NONE && i < site->value.node_count; i++)
        if (i != node && boot_is_before(since, site->nodes_good_at[i]))
            return true;
    while (idmap_next(&core->sites, &cursor, NULL, &value)) {
        const struct server_site *other = value;
        if (other != site && boot_is_before(since, other->good_at))
            return true;
    }
    return false;
}

static void judge(struct step *step, struct server_site *site, uint32_t node,
                  enum failure_class failure)
{
    bool is_site = node == NODE_NONE;
    struct boot_ns since = boot_add(step->now.boot, SPAN_MS(-EVIDENCE_WINDOW_MS));
    struct slice name = is_site ? (struct slice){0} : site->value.nodes[node].name;
    struct tally tally = tally_of(site, node, since);
    struct boot_ns good_at = is_site ? site->good_at : site->nodes_good_at[node];
    if (tally.jobs < (is_site ? SITE_JOBS_MIN : NODE_JOBS_MIN) || tally.tenants < TENANTS_MIN ||
        (is_site && tally.nodes < 2 && site->value.node_count > 1) ||
        !boot_is_before(good_at, tally.first) ||
        !is_good_elsewhere(step->core, site, node, since) || quarantine_find(site, name) != NULL)
        return;
    struct server_quarantine *made = quarantine_add(site, name);
    if (made == NULL)
        return;
    made->failure = failure;
    made->jobs = tally.jobs;
    made->tenants = tally.tenants;
    made->since = step->now.wall;
    probe_schedule(made, step->now);
    quarantine_record(step, site, made, SYSTEM_ACTOR, "site.quarantine", "alarm.quarantine",
                      SLICE_LITERAL("jobs failed there that nothing failed elsewhere"));
    quarantine_changed(step, site);
}

void quarantine_attempt_over(struct step *step, const struct server_attempt *attempt)
{
    struct server_site *site = attempt->site;
    enum failure_class failure = attempt_failure(&attempt->row);
    bool is_one = attempt->place_count == 1 && attempt->places[0].node < site->value.node_count;
    uint32_t node = is_one ? attempt->places[0].node : NODE_NONE;
    if (attempt->row.state == ATTEMPT_ENDED && attempt->row.outcome == OUTCOME_SUCCEEDED) {
        site->good_at = step->now.boot;
        for (uint32_t i = 0; i < attempt->place_count; i++)
            if (attempt->places[i].node < site->value.node_count)
                site->nodes_good_at[attempt->places[i].node] = step->now.boot;
        return;
    }
    if (!failure_rule(failure)->is_evidence)
        return;
    const struct evidence evidence = {.job = attempt->row.token.job,
                                      .tenant = top_tenant(attempt->job->tenant),
                                      .node = node,
                                      .failure = failure,
                                      .at = step->now.boot};
    if (site->evidence.len == EVIDENCE_MAX)
        vector_remove_ordered(&site->evidence, 0);
    enum err err = vector_push(&site->evidence, &evidence);
    if (err != ERR_OK)
        return; /* without memory it is not counted */
    if (node != NODE_NONE)
        judge(step, site, node, failure);
    judge(step, site, NODE_NONE, failure);
}

/* ---- probes */

struct boot_ns quarantine_due(const struct server_site *site)
{
    struct boot_ns due = BOOT_NEVER;
    for (size_t i = 0; i < site->quarantines.len; i++)
        due = boot_min(due, quarantine_at(site, i)->probe_at);
    return due;
}

void quarantine_tick(struct step *step, struct server_site *site)
{
    bool is_asking = false, has_failed = false;
    for (size_t i = 0; i < site->quarantines.len; i++) {
        struct server_quarantine *at = quarantine_at(site, i);
        if (boot_is_before(step->now.boot, at->probe_at))
            continue;
        if (!site->has_contact || site->is_lost) { /* it cannot be asked, and has not failed */
            probe_schedule(at, step->now);
            continue;
        }
        if (at->probe != 0) {
            at->probes++;
            probe_schedule(at, step->now);
            has_failed = true;
            continue;
        }
        at->probe = ++site->probe_last;
        at->probe_at = boot_add(step->now.boot, SPAN_MS(PROBE_LIMIT_MS));
        is_asking = true;
    }
    if (has_failed)
        site_memory_save(step, site);
    if (is_asking) {
        site->probe_told.count = 0;
        site_dirty(step, site);
    }
}

/* A node of a site that is in quarantine as a whole: the first that is there. */
static uint16_t probe_node(const struct server_site *site, const struct server_quarantine *at)
{
    uint32_t node = node_index(site, slice_of(at->node));
    for (uint32_t i = 0; node == NODE_NONE && i < site->value.node_count; i++)
        if (site->nodes_seen[i].is_up && quarantine_find(site, site->value.nodes[i].name) == NULL)
            node = i;
    return node == NODE_NONE ? 0 : (uint16_t)node;
}

uint32_t quarantine_probes(const struct server_site *site, struct sync_probe out[SYNC_PROBES_MAX])
{
    uint32_t count = 0;
    for (size_t i = 0; i < site->quarantines.len && count < SYNC_PROBES_MAX; i++) {
        const struct server_quarantine *at = quarantine_at(site, i);
        if (at->probe != 0)
            out[count++] = (struct sync_probe){at->probe, probe_node(site, at)};
    }
    return count;
}

struct boot_ns quarantine_tell_at(const struct server_site *site)
{
    for (size_t i = 0; i < site->quarantines.len; i++)
        if (quarantine_at(site, i)->probe != 0)
            return site->probe_told.count == 0
                       ? BOOT_LONG_AGO
                       : boot_add(site->probe_told.at, SPAN_MS(PROBE_TELL_MS));
    return BOOT_NEVER;
}

void quarantine_probed(struct step *step, struct server_site *site,
                       const struct sync_request *request)
{
    for (uint32_t p = 0; p < request->probed_count; p++) {
        const struct sync_probed *probed = &request->probed[p];
        for (size_t i = 0; i < site->quarantines.len; i++) {
            struct server_quarantine *at = quarantine_at(site, i);
            if (at->probe == 0 || at->probe != probed->number)
                continue;
            if (probed->is_good) {
                quarantine_end(step, site, at, SYSTEM_ACTOR,
                               SLICE_LITERAL("a probe found it in order"));
            } else {
                at->probes++;
                probe_schedule(at, step->now);
                quarantine_record(step, site, at, SYSTEM_ACTOR, "site.probe_failed",
                                  "site.probe_failed", probed->why);
                site_memory_save(step, site);
                site_timer_arm(step->core, site);
            }
            break;
        }
    }
}

/* ---- what is kept */

void quarantine_remember(struct step *step, const struct server_site *site,
                         struct site_memory *memory)
{
    struct site_quarantine *list =
        arena_array(&step->effects->arena, site->quarantines.len + 1, sizeof(*list));
    ASSERT(list != NULL);
    for (size_t i = 0; i < site->quarantines.len; i++) {
        const struct server_quarantine *at = quarantine_at(site, i);
        list[i] = (struct site_quarantine){.node = slice_of(at->node),
                                           .failure = at->failure,
                                           .is_manual = at->is_manual,
                                           .jobs = at->jobs,
                                           .tenants = at->tenants,
                                           .probes = at->probes,
                                           .since = at->since};
    }
    memory->quarantines = list;
    memory->quarantine_count = (uint32_t)site->quarantines.len;
}

enum err quarantine_recall(struct server_site *site, const struct site_memory *memory)
{
    vector_clear(&site->quarantines);
    for (uint32_t i = 0; i < memory->quarantine_count; i++) {
        const struct site_quarantine *from = &memory->quarantines[i];
        struct server_quarantine *made = quarantine_add(site, from->node);
        if (made == NULL)
            return ERR_NO_MEMORY;
        made->failure = from->failure;
        made->is_manual = from->is_manual;
        made->jobs = from->jobs;
        made->tenants = from->tenants;
        made->probes = from->probes;
        made->since = from->since;
        made->probe_at = BOOT_NEVER; /* until the start */
    }
    return ERR_OK;
}

void quarantine_start(struct server_core *core, struct server_site *site, struct now now)
{
    for (size_t i = 0; i < site->quarantines.len; i++)
        probe_schedule(quarantine_at(site, i), now);
    if (site->quarantines.len == 0)
        return;
    enum err err = site_placer_put(core, site);
    ASSERT(err == ERR_OK);
}

/* ---- the operator's words */

void server_site_quarantine(struct step *step)
{
    const struct server_event *event = step->event;
    struct server_site *site = site_find(step->core, event->site.site);
    struct slice node = event->site.node, none = {0};
    if (site == NULL) {
        step_problem(step, API_MISSING, "not_found", "no such site");
        return;
    }
    struct server_quarantine *at = quarantine_find(site, node);
    if (node.len > 0 && node_index(site, node) == NODE_NONE && at == NULL) {
        step_problem(step, API_UNPROCESSABLE, "invalid", "the site has no node \"%.*s\"",
                     SLICE_ARG(node));
        return;
    }
    if (event->site.flag && at == NULL) {
        at = quarantine_add(site, node);
        if (at == NULL) {
            step_problem(step, API_BUSY, "limit", "at most %d nodes of a site are in quarantine",
                         SITE_QUARANTINES_MAX);
            return;
        }
        at->is_manual = true;
        at->since = step->now.wall;
        probe_schedule(at, step->now);
        quarantine_record(step, site, at, none, "site.quarantine", "site.quarantined",
                          event->site.reason);
        quarantine_changed(step, site);
    } else if (!event->site.flag && at != NULL) {
        quarantine_end(step, site, at, none, event->site.reason);
    }
    step_reply(step, API_OK, step_printf(step, "{\"quarantined\":%zu}", site->quarantines.len),
               site->version);
}

void quarantine_write(const struct server_site *site, struct json_writer *writer)
{
    json_key(writer, "quarantine");
    json_begin_array(writer);
    for (size_t i = 0; i < site->quarantines.len; i++) {
        const struct server_quarantine *at = quarantine_at(site, i);
        char since[TIME_TEXT_MAX];
        wall_format(at->since, since);
        json_begin_object(writer);
        if (at->node[0] == '\0')
            json_put_null(writer, "node");
        else
            json_put_text(writer, "node", at->node);
        json_put_text(writer, "since", since);
        json_put_bool(writer, "by_operator", at->is_manual);
        json_put_text(writer, "failure", failure_name(at->failure));
        json_put_u64(writer, "jobs", at->jobs);
        json_put_u64(writer, "tenants", at->tenants);
        json_put_u64(writer, "probes_failed", at->probes);
        json_put_bool(writer, "is_probing", at->probe != 0);
        json_end_object(writer);
    }
    json_end_array(writer);
}
