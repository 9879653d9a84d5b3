#include "sim/history.h"

#include <string.h>

#include "base/map.h"
#include "base/vector.h"
#include "wire/doc.h"
#include "wire/row.h"
#include "wire/spec.h"
#include "wire/value.h"

enum { HOUR_MS = 3600000, ATTEMPTS_MAX = 1000, LINE_DEPTH = 32, LINE_VALUES_MAX = 1 << 20 };
static const struct json_limits LINE_LIMITS = {HISTORY_LINE_MAX, LINE_DEPTH, LINE_VALUES_MAX};

struct owner_line {
    struct slice site;
    struct wall_us at;
    double share;  /* of the pool, held by the owner */
    double weight; /* of the pool in its site */
};

struct job_line {
    struct replay_job job;
    struct history_job past;
    struct tenant_id tenant;
    struct site_id site;
    struct wall_us at;
};

struct reading {
    struct arena *arena;
    struct fault *fault;
    struct history *out;
    struct vector regions, sites, links, tenants, jobs, owners;
    bool has_head, has_policy;
};

static const char HEAD[] = "{\"kind\":\"history\"";

bool history_is(struct slice text)
{
    return slice_has_prefix(text, SLICE_LITERAL(HEAD));
}

/* ---- single lines */

static enum err read_head(struct reading *reading, struct json_value line)
{
    static const char *const KEYS[] = {"kind", "version", "from", "to"};
    struct value_reader reader;
    struct slice kind;
    uint64_t version = 0;
    value_begin(&reader, line, KEYS, 4, reading->arena, reading->fault);
    value_opt_string(&reader, "kind", JOB_NAME_MAX, &kind);
    value_opt_u64(&reader, "version", 1, HISTORY_VERSION, &version);
    value_opt_wall(&reader, "from", &reading->out->from);
    value_opt_wall(&reader, "to", &reading->out->to);
    if (reader.err == ERR_OK && (version == 0 || reading->has_head))
        value_refuse(&reader, "version", ERR_INVALID, "is wanted, once, in the first line");
    if (reader.err == ERR_OK && reading->out->to.us < reading->out->from.us)
        value_refuse(&reader, "to", ERR_INVALID, "is before from");
    reading->has_head = true;
    return reader.err;
}

static enum err keep(struct vector *list, const void *value, struct fault *fault)
{
    enum err err = vector_push(list, value);
    return err == ERR_LIMIT ? fault_set(fault, err, NULL, "too many of this kind") : err;
}

static enum err read_noun(struct reading *reading, struct slice kind, struct json_value value)
{
    union {
        struct region region;
        struct site site;
        struct link link;
        struct topology_tenant tenant;
    } noun = {0};
    struct arena *arena = reading->arena;
    struct fault *fault = reading->fault;
    enum err err;
    if (slice_is(kind, "policy")) {
        reading->has_policy = true;
        return doc_decode_policy(value, arena, &reading->out->topology.policy, fault);
    }
    if (slice_is(kind, "region")) {
        err = doc_decode_region(value, arena, &noun.region, fault);
        return err == ERR_OK ? keep(&reading->regions, &noun.region, fault) : err;
    }
    if (slice_is(kind, "site")) {
        err = doc_decode_site(value, arena, &noun.site, fault);
        noun.site.state = SITE_ACTIVE; /* what it was through the window is not recorded */
        return err == ERR_OK ? keep(&reading->sites, &noun.site, fault) : err;
    }
    if (slice_is(kind, "link")) {
        err = doc_decode_link(value, arena, &noun.link, fault);
        link_order(&noun.link);
        return err == ERR_OK ? keep(&reading->links, &noun.link, fault) : err;
    }
    if (slice_is(kind, "tenant")) {
        err = doc_decode_tenant(value, arena, &noun.tenant.tenant, fault);
        return err == ERR_OK ? keep(&reading->tenants, &noun.tenant, fault) : err;
    }
    return fault_set(fault, ERR_INVALID, "kind", "\"%.*s\" is no kind of line that is known",
                     SLICE_ARG(kind));
}

static enum err read_owner(struct reading *reading, struct json_value line)
{
    static const char *const KEYS[] = {"kind",    "site",          "pool",      "at",
                                       "core_us", "owner_core_us", "device_ms", "owner_device_ms"};
    struct value_reader reader;
    struct owner_line owner = {0};
    struct slice text;
    uint64_t cores = 0, owner_cores = 0, devices = 0, owner_devices = 0;
    value_begin(&reader, line, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), reading->arena,
                reading->fault);
    value_opt_string(&reader, "kind", JOB_NAME_MAX, &text);
    value_opt_string(&reader, "pool", DOC_ID_MAX, &text);
    value_need_string(&reader, "site", DOC_ID_MAX, &owner.site);
    value_opt_wall(&reader, "at", &owner.at);
    value_opt_u64(&reader, "core_us", 0, INT64_MAX, &cores);
    value_opt_u64(&reader, "owner_core_us", 0, INT64_MAX, &owner_cores);
    value_opt_u64(&reader, "device_ms", 0, INT64_MAX, &devices);
    value_opt_u64(&reader, "owner_device_ms", 0, INT64_MAX, &owner_devices);
    if (reader.err != ERR_OK || cores == 0)
        return reader.err;
    owner.weight = (double)cores;
    owner.share =
        devices > 0 ? (double)owner_devices / (double)devices : (double)owner_cores / (double)cores;
    return keep(&reading->owners, &owner, reading->fault);
}

/* ---- jobs */

/* A running attempt counts as far as the history goes. */
static int64_t attempt_ran(const struct reading *reading, const struct attempt_row *row)
{
    if (row->ended_at.us == 0 && row->started_at.us != 0 &&
        reading->out->to.us > row->started_at.us)
        return (reading->out->to.us - row->started_at.us) / 1000;
    return row->ran.ms;
}

static enum err read_attempts(const struct reading *reading, struct json_value list,
                              struct job_line *out)
{
    struct json_iterator it = json_iterate(list);
    while (json_next(&it)) {
        struct attempt_row row;
        enum err err = row_decode_attempt(it.value, &row, reading->fault);
        if (err != ERR_OK)
            return err;
        int64_t ran = attempt_ran(reading, &row);
        if (ran < 0 || ran > JOB_SPAN_MAX.ms || out->job.duration_ms > JOB_SPAN_MAX.ms)
            return fault_set(reading->fault, ERR_LIMIT, "ran_ms", "is longer than any job may run");
        out->job.duration_ms += ran;
        out->job.variant = row.variant;
        out->site = row.site;
        if (row.started_at.us != 0 && out->past.wait_ms < 0)
            out->past.wait_ms = (row.started_at.us - out->at.us) / 1000;
    }
    return ERR_OK;
}

static enum err read_spec(const struct reading *reading, struct json_value value,
                          struct replay_job *job)
{
    struct job_spec *spec = arena_alloc(reading->arena, sizeof(*spec));
    if (spec == NULL)
        return ERR_NO_MEMORY;
    enum err err = spec_decode(value, reading->arena, spec, reading->fault);
    if (err != ERR_OK)
        return err;
    spec->array_count = 1; /* each of an array stands in a line of its own */
    uint32_t variant = job->variant < spec->variant_count ? job->variant : 0;
    job->variant = 0;
    job->spec = spec;
    job->nodes = spec->num_nodes;
    job->devices = spec->variants[variant].accelerators;
    job->cpu_milli = spec->cpu_milli;
    job->mem_bytes = spec->mem_bytes;
    job->expected_ms = spec->expected.ms;
    job->limit_ms = spec->time_limit.ms;
    job->priority = spec->priority;
    return ERR_OK;
}

static enum err read_job(struct reading *reading, struct json_value line)
{
    static const char *const KEYS[] = {"kind",         "id",       "tenant", "state",   "index",
                                       "submitted_at", "ended_at", "spec",   "attempts"};
    struct value_reader reader;
    struct job_line job = {.job.home = REPLAY_NONE, .past.wait_ms = -1};
    struct slice text;
    struct json_value attempts;
    struct wall_us ended;
    uint64_t index;
    value_begin(&reader, line, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), reading->arena,
                reading->fault);
    value_opt_string(&reader, "kind", JOB_NAME_MAX, &text);
    value_opt_string(&reader, "state", JOB_NAME_MAX, &text);
    value_opt_u64(&reader, "index", 0, UINT32_MAX, &index);
    value_opt_id(&reader, "id", ID_PREFIX_JOB, &job.past.id);
    value_opt_id(&reader, "tenant", ID_PREFIX_TENANT, &job.tenant.id);
    value_opt_wall(&reader, "submitted_at", &job.at);
    value_opt_wall(&reader, "ended_at", &ended);
    value_opt_array(&reader, "attempts", ATTEMPTS_MAX, &attempts);
    if (reader.err == ERR_OK && job.at.us <= 0)
        value_refuse(&reader, "submitted_at", ERR_INVALID, "is wanted");
    enum err err = reader.err;
    if (err == ERR_OK)
        err = read_attempts(reading, attempts, &job);
    struct json_value spec = json_object_get(line, "spec");
    if (err == ERR_OK && (job.job.duration_ms == 0 || json_is_null(spec))) {
        reading->out->never_ran++;
        return ERR_OK;
    }
    if (err == ERR_OK)
        err = read_spec(reading, spec, &job.job);
    return err == ERR_OK ? keep(&reading->jobs, &job, reading->fault) : err;
}

static enum err read_line(struct reading *reading, struct slice text)
{
    struct json_document *document = NULL;
    struct slice kind = {0};
    enum err err = json_parse(text, &LINE_LIMITS, &document, reading->fault);
    if (err != ERR_OK)
        return err;
    struct json_value line = json_root(document);
    err = json_get_string(line, "kind", JOB_NAME_MAX, &kind, reading->fault);
    if (err == ERR_OK && !reading->has_head && !slice_is(kind, "history"))
        err = fault_set(reading->fault, ERR_INVALID, "kind", "the first line must be the head");
    if (err == ERR_OK) {
        if (slice_is(kind, "history"))
            err = read_head(reading, line);
        else if (slice_is(kind, "job"))
            err = read_job(reading, line);
        else if (slice_is(kind, "owner"))
            err = read_owner(reading, line);
        else
            err = read_noun(reading, kind, json_object_get(line, "value"));
    }
    json_document_destroy(document);
    return err;
}

/* ---- the whole */

static enum err regions_make(struct reading *reading, struct topology *topology)
{
    size_t count = reading->regions.len;
    struct region *regions = arena_array(reading->arena, count + 1, sizeof(*regions));
    if (regions == NULL)
        return ERR_NO_MEMORY;
    if (count > 0)
        memcpy(regions, reading->regions.data, count * sizeof(*regions));
    topology->regions = regions;
    topology->region_count = (uint32_t)count;
    return ERR_OK;
}

static enum err sites_make(struct reading *reading, struct topology *topology)
{
    size_t count = reading->sites.len;
    struct site *sites = arena_array(reading->arena, count + 1, sizeof(*sites));
    if (sites == NULL)
        return ERR_NO_MEMORY;
    if (count > 0)
        memcpy(sites, reading->sites.data, count * sizeof(*sites));
    topology->sites = sites;
    topology->site_count = (uint32_t)count;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (slice_is_equal(sites[i].name, sites[k].name))
                return fault_set(reading->fault, ERR_EXISTS, "site", "\"%.*s\" stands here twice",
                                 SLICE_ARG(sites[i].name));
    return ERR_OK;
}

/* Links of what is gone are left out. */
static enum err links_make(struct reading *reading, struct topology *topology)
{
    struct link *links = arena_array(reading->arena, reading->links.len + 1, sizeof(*links));
    if (links == NULL)
        return ERR_NO_MEMORY;
    topology->links = links;
    for (size_t i = 0; i < reading->links.len; i++) {
        const struct link *link = vector_at(&reading->links, i);
        bool has_sites = topology_site(topology, link->a) && topology_site(topology, link->b);
        bool has_regions = topology_region(topology, link->a) && topology_region(topology, link->b);
        if (has_sites || has_regions)
            links[topology->link_count++] = *link;
    }
    return ERR_OK;
}

static const struct topology_tenant *tenant_of(const struct topology *topology, struct tenant_id id)
{
    for (uint32_t i = 0; i < topology->tenant_count && !id_is_none(id.id); i++)
        if (id_is_equal(topology->tenants[i].tenant.id.id, id.id))
            return &topology->tenants[i];
    return NULL;
}

/* Parents first. Two tenants of different parents may have one name, so each gets another. */
static enum err tenants_make(struct reading *reading, struct topology *topology)
{
    size_t count = reading->tenants.len;
    bool *is_placed = arena_array(reading->arena, count + 1, sizeof(*is_placed));
    struct topology_tenant *made = arena_array(reading->arena, count + 1, sizeof(*made));
    if (is_placed == NULL || made == NULL)
        return ERR_NO_MEMORY;
    topology->tenants = made;
    for (uint32_t before = UINT32_MAX; before != topology->tenant_count;) {
        before = topology->tenant_count;
        for (size_t i = 0; i < count; i++) {
            const struct topology_tenant *tenant = vector_at(&reading->tenants, i);
            const struct topology_tenant *parent = tenant_of(topology, tenant->tenant.parent);
            if (is_placed[i] || (parent == NULL && !id_is_none(tenant->tenant.parent.id)))
                continue;
            struct topology_tenant *to = &made[topology->tenant_count];
            *to = *tenant;
            const char *name = arena_printf(reading->arena, "t%u", topology->tenant_count);
            if (name == NULL)
                return ERR_NO_MEMORY;
            to->tenant.name = slice_of(name);
            to->parent = parent != NULL ? parent->tenant.name : (struct slice){"", 0};
            is_placed[i] = true;
            topology->tenant_count++;
        }
    }
    return topology->tenant_count == count ? ERR_OK
                                           : fault_set(reading->fault, ERR_INVALID, "tenant",
                                                       "a parent is missing, or tenants "
                                                       "are each other's parents");
}

/* As it is called, not as the replay calls it. */
static struct slice tenant_name(const struct reading *reading, const struct topology_tenant *tenant)
{
    for (size_t i = 0; i < reading->tenants.len; i++) {
        const struct topology_tenant *read = vector_at(&reading->tenants, i);
        if (id_is_equal(read->tenant.id.id, tenant->tenant.id.id))
            return read->tenant.name;
    }
    return (struct slice){"", 0};
}

static int by_arrival(const void *a, const void *b)
{
    const struct job_line *x = a, *y = b;
    if (x->at.us != y->at.us)
        return x->at.us < y->at.us ? -1 : 1;
    return id_compare(x->past.id, y->past.id);
}

static int by_site_and_time(const void *a, const void *b)
{
    const struct owner_line *x = a, *y = b;
    int order = slice_compare(x->site, y->site);
    return order != 0 ? order : (x->at.us > y->at.us) - (x->at.us < y->at.us);
}

static int by_time(const void *a, const void *b)
{
    const struct replay_change *x = a, *y = b;
    return (x->at_ms > y->at_ms) - (x->at_ms < y->at_ms);
}

static void start_find(struct reading *reading)
{
    int64_t first = reading->out->from.us;
    for (size_t i = 0; i < reading->jobs.len; i++) {
        const struct job_line *job = vector_at(&reading->jobs, i);
        first = first == 0 || job->at.us < first ? job->at.us : first;
    }
    for (size_t i = 0; i < reading->owners.len; i++) {
        const struct owner_line *owner = vector_at(&reading->owners, i);
        first = owner->at.us < first ? owner->at.us : first;
    }
    first = first < 0 ? 0 : first;
    reading->out->start.us = first - first % (HOUR_MS * INT64_C(1000));
}

static enum err jobs_make(struct reading *reading)
{
    struct history *out = reading->out;
    enum err err = vector_sort(&reading->jobs, by_arrival);
    if (err != ERR_OK)
        return err;
    out->job_count = reading->jobs.len;
    out->jobs = arena_array(reading->arena, out->job_count + 1, sizeof(*out->jobs));
    out->past = arena_array(reading->arena, out->job_count + 1, sizeof(*out->past));
    if (out->jobs == NULL || out->past == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < out->job_count; i++) {
        const struct job_line *line = vector_at(&reading->jobs, i);
        const struct topology_tenant *tenant = tenant_of(&out->topology, line->tenant);
        out->jobs[i] = line->job;
        out->jobs[i].arrival_ms = (line->at.us - out->start.us) / 1000;
        out->jobs[i].tenant = tenant == NULL ? 0 : (uint32_t)(tenant - out->topology.tenants);
        out->past[i] = line->past;
        out->past[i].site = (struct slice){"", 0};
        out->past[i].tenant = tenant == NULL ? (struct slice){"", 0} : tenant_name(reading, tenant);
        for (uint32_t s = 0; s < out->topology.site_count; s++)
            if (id_is_equal(out->topology.sites[s].id.id, line->site.id))
                out->past[i].site = out->topology.sites[s].name;
    }
    return ERR_OK;
}

/* The owner's share of a site, over its pools, as whole nodes; a change where they become others.
 */
static enum err owners_make(struct reading *reading)
{
    struct history *out = reading->out;
    struct vector *lines = &reading->owners;
    enum err err = vector_sort(lines, by_site_and_time);
    if (err != ERR_OK)
        return err;
    out->changes = arena_array(reading->arena, lines->len + 1, sizeof(*out->changes));
    if (out->changes == NULL)
        return ERR_NO_MEMORY;
    const struct site *site = NULL;
    uint32_t held = 0;
    for (size_t i = 0, next; i < lines->len; i = next) {
        const struct owner_line *first = vector_at(lines, i);
        double share = 0, weight = 0;
        for (next = i; next < lines->len; next++) {
            const struct owner_line *line = vector_at(lines, next);
            if (by_site_and_time(first, line) != 0)
                break;
            share += line->share * line->weight;
            weight += line->weight;
        }
        const struct site *here = topology_site(&out->topology, first->site);
        held = here == site ? held : 0;
        site = here;
        if (here == NULL)
            continue;
        share = share < weight ? share / weight : 1;
        uint32_t nodes = (uint32_t)(share * here->node_count + 0.5);
        if (nodes == held)
            continue;
        held = nodes;
        out->changes[out->change_count++] =
            (struct replay_change){.at_ms = (first->at.us - out->start.us) / 1000,
                                   .kind = REPLAY_OWNER,
                                   .site = (uint32_t)(here - out->topology.sites),
                                   .nodes = nodes};
    }
    struct vector sorted;
    vector_init(&sorted, sizeof(struct replay_change), HISTORY_OWNERS_MAX);
    for (size_t i = 0; err == ERR_OK && i < out->change_count; i++)
        err = vector_push(&sorted, &out->changes[i]);
    if (err == ERR_OK)
        err = vector_sort(&sorted, by_time);
    if (err == ERR_OK && sorted.len > 0)
        memcpy(out->changes, sorted.data, sorted.len * sizeof(*out->changes));
    vector_deinit(&sorted);
    return err;
}

static enum err lines_read(struct reading *reading, struct slice text)
{
    for (uint32_t number = 1; text.len > 0; number++) {
        struct slice line, rest;
        if (!slice_cut(text, '\n', &line, &rest)) {
            line = text;
            rest = (struct slice){0};
        }
        text = rest;
        if (slice_trim(line).len == 0)
            continue;
        enum err err = read_line(reading, line);
        if (err != ERR_OK) {
            if (reading->fault != NULL) /* each line is a document of its own */
                reading->fault->line = number;
            return err;
        }
    }
    return ERR_OK;
}

static enum err whole_make(struct reading *reading)
{
    struct topology *topology = &reading->out->topology;
    if (!reading->has_head)
        return fault_set(reading->fault, ERR_INVALID, NULL, "this is no recorded history");
    enum err err = regions_make(reading, topology);
    if (err == ERR_OK)
        err = sites_make(reading, topology);
    if (err == ERR_OK)
        err = links_make(reading, topology);
    if (err == ERR_OK)
        err = tenants_make(reading, topology);
    start_find(reading);
    if (err == ERR_OK)
        err = jobs_make(reading);
    return err == ERR_OK ? owners_make(reading) : err;
}

enum err history_read(struct slice text, struct arena *arena, struct history *out,
                      struct fault *fault)
{
    struct history made = {0};
    struct reading reading = {.arena = arena, .fault = fault, .out = &made};
    policy_default(&made.topology.policy);
    vector_init(&reading.regions, sizeof(struct region), TOPOLOGY_REGIONS_MAX);
    vector_init(&reading.sites, sizeof(struct site), REPLAY_SITES_MAX);
    vector_init(&reading.links, sizeof(struct link), TOPOLOGY_LINKS_MAX);
    vector_init(&reading.tenants, sizeof(struct topology_tenant), TOPOLOGY_TENANTS_MAX);
    vector_init(&reading.jobs, sizeof(struct job_line), REPLAY_JOBS_MAX);
    vector_init(&reading.owners, sizeof(struct owner_line), HISTORY_OWNERS_MAX);
    enum err err = lines_read(&reading, text);
    if (err == ERR_OK)
        err = whole_make(&reading);
    vector_deinit(&reading.regions);
    vector_deinit(&reading.sites);
    vector_deinit(&reading.links);
    vector_deinit(&reading.tenants);
    vector_deinit(&reading.jobs);
    vector_deinit(&reading.owners);
    if (err == ERR_OK)
        *out = made;
    return err;
}

void history_setup(const struct history *history, struct replay_setup *out)
{
    *out = (struct replay_setup){.topology = &history->topology,
                                 .start = history->start,
                                 .jobs = history->jobs,
                                 .job_count = history->job_count,
                                 .changes = history->changes,
                                 .change_count = history->change_count};
}
