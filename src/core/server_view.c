/* Looking in: explanations and the live view of sites, as JSON. Nothing is changed. */
#include <stdlib.h>

#include "base/assert.h"
#include "core/explain.h"
#include "core/failure_story.h"
#include "core/server_state.h"
#include "wire/surplus.h"

enum { VIEW_ARENA_MAX = 64 << 20 };

/* ---- explanations */

static struct span_ms rest_left(const struct server_job *job, struct now now)
{
    bool is_resting = job->row.state == JOB_PENDING && !job->is_gated && !job->is_queued;
    struct span_ms left = boot_since(job->retry_at, now.boot);
    return is_resting && left.ms > 0 ? left : SPAN_MS(0);
}

static void failure_write(const struct server_core *core, const struct server_job *job,
                          struct now now, struct json_writer *writer)
{
    bool has_site = failure_rule(job->failure)->avoid.ms > 0; /* else it is not kept */
    const struct server_site *site = has_site ? site_find(core, job->row.last_site) : NULL;
    const struct failure_story story = {.row = &job->row,
                                        .spec = &job->spec->spec,
                                        .last = job->failure,
                                        .site = site == NULL ? (struct slice){0} : site->value.name,
                                        .rest = rest_left(job, now)};
    json_key(writer, "failure");
    failure_story_write(writer, &story);
    if (job->attempt != NULL && attempt_is_idle(job->attempt))
        json_put_i64(writer, "idle_ms", job->attempt->idle.ms);
}

/* A job that the placer does not know of: gated, or resting after failures. */
static void explain_waiting(const struct server_core *core, const struct server_job *job,
                            struct now now, struct json_writer *writer)
{
    struct buffer words;
    buffer_init(&words, 512);
    if (job->is_gated) {
        buffer_printf(&words,
                      "waits until every site has said what it runs since the database was "
                      "restored; %u of %zu are missing",
                      core->unreconciled, idmap_count(&core->sites));
    } else if (job->row.state == JOB_PENDING) {
        char rest[TIME_TEXT_MAX];
        span_format(rest_left(job, now), rest);
        if (job->is_copying)
            buffer_printf(&words, "waits up to %s for its last checkpoint to be copied on", rest);
        else
            buffer_printf(&words, "rests %s after failure %u of the class %s", rest,
                          job->row.failures[job->failure], failure_name(job->failure));
    } else {
        buffer_append_text(&words, "runs under an attempt that was found at its site after the "
                                   "database was restored");
    }
    json_put_text(writer, "verdict", job->row.state == JOB_PENDING ? "later" : "held");
    json_put_string(writer, "sentence", buffer_slice(&words));
    json_put_null(writer, "chosen");
    json_put_null(writer, "runner_up");
    json_put_null(writer, "lost_by");
    json_key(writer, "sites");
    json_begin_array(writer);
    json_end_array(writer);
    json_key(writer, "choices");
    json_begin_array(writer);
    json_end_array(writer);
    json_put_null(writer, "eta_ms");
    json_put_u64(writer, "queue_position", 0);
    json_put_text(writer, "blocked_by", job->is_gated ? "site_state" : "none");
    buffer_deinit(&words);
}

static enum err explanation_out(const struct place_explanation *explanation, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    explanation_write(&writer, explanation);
    return json_writer_finish(&writer);
}

enum err server_core_explain(struct server_core *core, struct job_id id, struct now now,
                             struct buffer *out)
{
    struct arena arena;
    struct place_explanation explanation;
    struct json_writer writer;
    const struct server_job *job = job_find(core, id);
    if (job == NULL)
        return ERR_NOT_FOUND;
    arena_init(&arena, VIEW_ARENA_MAX);
    enum err err = placer_explain(core->placer, id, now, &arena, &explanation);
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    if (err == ERR_OK)
        explanation_members(&writer, &explanation);
    else if (err == ERR_NOT_FOUND)
        explain_waiting(core, job, now, &writer);
    failure_write(core, job, now, &writer);
    json_end_object(&writer);
    arena_deinit(&arena);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    return json_writer_finish(&writer);
}

enum err server_core_dry_run(struct server_core *core, const struct job_spec *spec,
                             struct tenant_id tenant, struct now now, struct buffer *out,
                             struct fault *fault)
{
    struct arena arena;
    struct place_explanation explanation;
    struct place_job job = {.spec = spec,
                            .tenant = tenant,
                            .created_at = now.wall,
                            .workload = workload_of(tenant, spec)};
    const struct server_tenant *owner = tenant_find(core, tenant);
    if (owner == NULL)
        return fault_set(fault, ERR_NOT_FOUND, "tenant", "there is no such tenant");
    struct site_id *barred = surplus_barred(core, owner, spec->priority, &job.barred_count);
    job.barred = barred;
    arena_init(&arena, VIEW_ARENA_MAX);
    enum err err = placer_dry_run(core->placer, &job, now, &arena, &explanation);
    if (err == ERR_OK)
        err = explanation_out(&explanation, out);
    arena_deinit(&arena);
    free(barred);
    if (err != ERR_OK && fault != NULL && fault->message[0] == '\0')
        (void)fault_set(fault, err, NULL, "the dry run failed: %s", err_name(err));
    return err;
}

/* ---- sites */

struct held {
    uint64_t cpu_milli, mem_bytes, devices;
};

static struct held site_held(const struct server_site *site)
{
    struct held held = {0};
    for (const struct server_attempt *at = site->first; at != NULL; at = at->next) {
        const struct job_spec *spec = &at->job->spec->spec;
        held.cpu_milli += (uint64_t)spec->cpu_milli * spec->num_nodes;
        held.mem_bytes += spec->mem_bytes * spec->num_nodes;
        held.devices += (uint64_t)spec->variants[at->row.variant].accelerators * spec->num_nodes;
    }
    return held;
}

static void put_capacity(struct json_writer *writer, const char *name, uint64_t total,
                         uint64_t seen, uint64_t held)
{
    json_key(writer, name);
    json_begin_object(writer);
    json_put_u64(writer, "total", total);
    json_put_u64(writer, "held", held);
    json_put_u64(writer, "free", seen > held ? seen - held : 0);
    json_end_object(writer);
}

static const char *contact_word(const struct server_site *site)
{
    if (id_is_none(site->journal.id))
        return "never";
    if (site->is_lost)
        return "lost";
    return site->has_contact ? "ok" : "waiting";
}

static uint64_t idle_count(const struct server_site *site)
{
    uint64_t count = 0;
    for (const struct server_attempt *at = site->first; at != NULL; at = at->next)
        count += attempt_is_idle(at);
    return count;
}

static void site_write(const struct server_site *site, struct now now, struct json_writer *writer)
{
    const struct site *value = &site->value;
    struct held held = site_held(site);
    json_begin_object(writer);
    json_put_id(writer, "id", site->id.id, ID_PREFIX_SITE);
    json_put_string(writer, "name", value->name);
    json_put_string(writer, "region", value->region);
    json_put_string(writer, "operator", value->operator_name);
    json_put_text(writer, "tier", site_tier_name(value->tier));
    json_put_text(writer, "engine", engine_name(value->engine));
    json_put_text(writer, "state", site_state_name(site->is_lost ? SITE_LOST : value->state));
    json_put_text(writer, "contact", contact_word(site));
    if (site->has_contact)
        json_put_i64(writer, "contact_age_ms", boot_since(now.boot, site->last_contact).ms);
    json_put_bool(writer, "is_open", site->is_open);
    json_put_bool(writer, "is_reconciled", site->is_reconciled);
    json_key(writer, "attempts");
    json_begin_object(writer);
    json_put_u64(writer, "offered", site->counts[ATTEMPT_OFFERED]);
    json_put_u64(writer, "running", site->counts[ATTEMPT_RUNNING]);
    json_put_u64(writer, "unknown", site->counts[ATTEMPT_UNKNOWN]);
    json_put_u64(writer, "idle", idle_count(site));
    json_end_object(writer);
    if (!surplus_is_silent(&value->surplus)) {
        json_key(writer, "surplus");
        surplus_encode(&value->surplus, writer);
    }
    json_put_u64(writer, "nodes", value->node_count);
    json_put_u64(writer, "nodes_up", site->nodes_up);
    put_capacity(writer, "cpu_milli", site->cpu_milli, site->cpu_milli_seen, held.cpu_milli);
    put_capacity(writer, "mem_bytes", site->mem_bytes, site->mem_bytes_seen, held.mem_bytes);
    quarantine_write(site, writer);
    put_capacity(writer, "accelerators", site->devices, site->devices_seen, held.devices);
    if (value->shared_folders.count > 0) {
        json_key(writer, "shared_folders");
        json_begin_array(writer);
        for (uint32_t i = 0; i < value->shared_folders.count; i++)
            json_string(writer, value->shared_folders.items[i]);
        json_end_array(writer);
    }
    json_end_object(writer);
}

static int compare_names(const void *a, const void *b)
{
    const struct server_site *const *x = a, *const *y = b;
    return slice_compare((*x)->value.name, (*y)->value.name);
}

static enum err sites_write(struct server_core *core, struct now now, struct json_writer *writer)
{
    struct vector sites;
    size_t cursor = 0;
    void *value;
    vector_init(&sites, sizeof(struct server_site *), SERVER_SITES_MAX);
    enum err err = ERR_OK;
    while (err == ERR_OK && idmap_next(&core->sites, &cursor, NULL, &value))
        err = vector_push(&sites, &value);
    if (err == ERR_OK)
        err = vector_sort(&sites, compare_names);
    json_begin_array(writer);
    for (size_t i = 0; err == ERR_OK && i < sites.len; i++)
        site_write(*(struct server_site **)vector_at(&sites, i), now, writer);
    json_end_array(writer);
    vector_deinit(&sites);
    return err;
}

enum err server_core_sites(struct server_core *core, struct site_id id, struct now now,
                           struct buffer *out)
{
    struct json_writer writer;
    const struct server_site *site = site_find(core, id);
    enum err err = ERR_OK;
    if (!id_is_none(id.id) && site == NULL)
        return ERR_NOT_FOUND;
    json_writer_init(&writer, out);
    if (site != NULL)
        site_write(site, now, &writer);
    else
        err = sites_write(core, now, &writer);
    enum err finish = json_writer_finish(&writer);
    return err != ERR_OK ? err : finish;
}
