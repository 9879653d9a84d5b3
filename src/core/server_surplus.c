/* Contracts of sites' owners: taken from their agents, kept in the sites' documents, and put before
 * placement. */
#include <stdlib.h>

#include "base/assert.h"
#include "core/server_state.h"
#include "wire/surplus.h"

enum { SURPLUS_ARENA_BYTES = 1 << 20 };

/* ---- who is not lent to */

static int site_compare(const void *a, const void *b)
{
    return id_compare(((const struct site_id *)a)->id, ((const struct site_id *)b)->id);
}

static bool is_barred(const struct server_site *site, const struct server_tenant *tenant,
                      enum priority_class class)
{
    const struct surplus *surplus = &site->value.surplus;
    if (surplus->tenants_excluded.count == 0 && surplus->classes_excluded == 0)
        return false;
    for (const struct server_tenant *at = tenant; at != NULL; at = at->parent) {
        char id[ID_TEXT_MAX];
        id_format(at->id.id, ID_PREFIX_TENANT, id);
        if (surplus_excludes(surplus, at->value.name, slice_of(id), class))
            return true;
    }
    return false;
}

struct site_id *surplus_barred(const struct server_core *core, const struct server_tenant *tenant,
                               enum priority_class class, uint32_t *out_count)
{
    struct site_id *sites = NULL;
    size_t cursor = 0;
    void *value;
    *out_count = 0;
    while (idmap_next(&core->sites, &cursor, NULL, &value)) {
        const struct server_site *site = value;
        if (!is_barred(site, tenant, class))
            continue;
        if (sites == NULL)
            sites = calloc(idmap_count(&core->sites), sizeof(*sites));
        ASSERT(sites != NULL);
        sites[(*out_count)++] = site->id;
    }
    if (*out_count > 1)
        qsort(sites, *out_count, sizeof(*sites), site_compare);
    return sites;
}

/* Jobs that wait do so under the contracts as they were. */
static void queue_anew(struct step *step)
{
    struct server_core *core = step->core;
    size_t cursor = 0;
    void *value;
    while (idmap_next(&core->jobs, &cursor, NULL, &value)) {
        struct server_job *job = value;
        if (!job->is_queued)
            continue;
        job_dequeue(core, job);
        job_enqueue(core, job, step->now);
    }
}

/* ---- a contract is told */

static struct slice canonical(struct step *step, const struct surplus *surplus)
{
    struct step_json json;
    surplus_encode(surplus, step_json_begin(&json));
    return step_json_end(step, &json);
}

static bool has_exclusions(const struct surplus *surplus)
{
    return surplus->tenants_excluded.count != 0 || surplus->classes_excluded != 0;
}

static void take(struct step *step, struct server_site *site, const struct surplus *told)
{
    struct slice fresh = canonical(step, told);
    bool must_queue = has_exclusions(told) || has_exclusions(&site->value.surplus);
    if (slice_is_equal(fresh, canonical(step, &site->value.surplus)))
        return;
    struct site value = site->value;
    struct step_json json;
    struct fault fault = {0};
    value.surplus = *told;
    doc_encode_site(&value, step_json_begin(&json));
    enum err err = site_value_set(site, step_json_end(step, &json), &fault);
    if (err != ERR_OK)
        return; /* the document would be too large: the old contract stands */
    site_doc_save(step, site);
    step_audit(step, SYSTEM_ACTOR, (struct slice){0}, "site.surplus",
               step_id(step, site->id.id, ID_PREFIX_SITE), fresh);
    step_event(step, NO_TENANT, "site.surplus", step_id(step, site->id.id, ID_PREFIX_SITE), fresh);
    err = site_placer_put(step->core, site);
    ASSERT(err == ERR_OK);
    if (must_queue)
        queue_anew(step);
}

static void read_told(struct step *step, struct server_site *site, struct slice text)
{
    static const struct json_limits limits = {SYNC_SURPLUS_BYTES_MAX, 8, 8192};
    struct json_document *document = NULL;
    struct arena arena;
    struct surplus surplus;
    arena_init(&arena, SURPLUS_ARENA_BYTES);
    enum err err = json_parse(text, &limits, &document, NULL);
    if (err == ERR_OK)
        err = surplus_decode(json_root(document), &arena, &surplus, NULL);
    if (err == ERR_OK) /* else of a newer agent: what stands goes on */
        take(step, site, &surplus);
    json_document_destroy(document);
    arena_deinit(&arena);
}

void site_surplus(struct step *step, struct server_site *site, const struct sync_request *request)
{
    if (request->surplus.len != 0)
        read_told(step, site, request->surplus);
    const struct surplus *surplus = &site->value.surplus;
    int64_t least_ms = surplus->run_min.ms > 0 ? surplus->run_min.ms : 1;
    struct span_ms open =
        surplus_open_for(&surplus->windows, surplus->zone_minutes, step->now.wall);
    site->is_shut = open.ms < least_ms;
    placer_site_shut(step->core->placer, site->id, site->is_shut);
}
