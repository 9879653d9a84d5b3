/* When is a world at its end, and what must be true then. */
#include <string.h>

#include "base/buffer.h"
#include "sim/world.h"

enum { CHECK_ARENA_BYTES = 256 << 20, EXPLANATION_MAX = 1 << 16 };

bool check_is_settled(const struct world *world)
{
    const struct server_sim *server = &world->servers[world->primary];
    if (!server->process.is_up || server->process.count != 0)
        return false;
    for (uint32_t i = 0; i < server->shadow.job_count; i++)
        if (!job_state_is_final(server->shadow.jobs[i].state))
            return false;
    for (uint32_t i = 0; i < world->job_count; i++)
        if (world->jobs[i].running != 0)
            return false;
    for (uint32_t i = 0; i < world->journal_count; i++)
        if (!world->journals[i].is_lost &&
            server->shadow.streams[i].watermark != world->journals[i].records.len)
            return false;
    for (uint32_t i = 0; i < world->request_count; i++)
        if (!world->requests[i].is_done)
            return false;
    return owners_are_heard(world);
}

static void trace_explanation(struct world *world, const struct server_sim *server,
                              struct job_id job)
{
    struct buffer text;
    if (!world->is_traced || !server->process.is_up)
        return;
    buffer_init(&text, EXPLANATION_MAX);
    if (server_core_explain(server->core, job, clock_sim_now(&server->clock, world->now), &text) ==
        ERR_OK)
        world_trace(world, "EXPLAIN %.*s", SLICE_ARG(buffer_slice(&text)));
    buffer_deinit(&text);
}

void check_unsettled(struct world *world)
{
    const struct server_sim *server = &world->servers[world->primary];
    char name[ATTEMPT_NAME_MAX] = "no attempt";
    for (uint32_t i = 0; i < server->shadow.job_count; i++) {
        const struct shadow_job *job = &server->shadow.jobs[i];
        const struct shadow_attempt *last =
            job->attempt_count != 0 ? &job->attempts[job->attempt_count - 1] : NULL;
        if (job_state_is_final(job->state))
            continue;
        uint32_t site = 0;
        while (last != NULL && site + 1 < world->site_count &&
               !id_is_equal(world->sites[site].value.id.id, last->site.id))
            site++;
        if (last != NULL)
            attempt_name_format(&last->token, name);
        trace_explanation(world, server, job->id);
        world_violate(
            world, "not every job ended after healing: job %u is %s, %s is %s at site %u%s", i,
            job_state_name(job->state), name, last != NULL ? attempt_state_name(last->state) : "-",
            site, world->sites[site].is_destroyed ? " (destroyed)" : "");
    }
    for (uint32_t i = 0; i < world->journal_count; i++)
        if (!world->journals[i].is_lost &&
            server->shadow.streams[i].watermark != world->journals[i].records.len)
            world_violate(world, "usage of journal %u stays at %llu of %zu", i,
                          (unsigned long long)server->shadow.streams[i].watermark,
                          world->journals[i].records.len);
    if (!owners_are_heard(world))
        world_violate(world, "a reclaim never came to be kept");
    world_violate(world, "the world does not settle");
}

static void check_jobs(struct world *world, struct server_sim *server, struct arena *arena)
{
    struct store_answer answer;
    const struct store_query query = {.kind = STORE_JOB_LIST,
                                      .job_list = {.tenants = {.is_all = true}, .limit = 1000}};
    if (store_db_query(server->store, &query, arena, &answer, NULL) != ERR_OK) {
        world_violate(world, "the jobs cannot be read");
        return;
    }
    if (answer.count != server->shadow.job_count)
        world_violate(world, "%u jobs were accepted, %zu are there", server->shadow.job_count,
                      answer.count);
    for (size_t i = 0; i < answer.count; i++) {
        const struct shadow_job *job = shadow_job_find(&server->shadow, answer.jobs[i].row.id);
        if (job == NULL || job->state != answer.jobs[i].row.state)
            world_violate(world, "a job is not in the state that was committed");
    }
}

/* Every record of a journal that was not lost is there once; of a lost one, none that it did not
 * have. */
static void check_usage(struct world *world, struct server_sim *server, struct arena *arena)
{
    uint64_t counts[JOURNALS_MAX] = {0};
    struct store_query query = {.kind = STORE_USAGE_LIST, .usage_list = {.limit = 1000}};
    struct store_answer answer = {.has_more = true};
    while (answer.has_more) {
        if (store_db_query(server->store, &query, arena, &answer, NULL) != ERR_OK) {
            world_violate(world, "usage cannot be read");
            return;
        }
        for (size_t i = 0; i < answer.count; i++) {
            const struct usage_record *record = &answer.usage[i].record;
            uint32_t index;
            struct journal_log *log = journal_log_find(world, record->journal, &index);
            if (log == NULL || record->seq == 0 || record->seq > log->records.len ||
                !usage_record_is_equal(record, vector_at(&log->records, record->seq - 1)))
                world_violate(world, "the store has a usage record that its site does not");
            else
                counts[index]++;
            query.usage_list.after_stream = answer.usage[i].stream;
            query.usage_list.after_seq = record->seq;
        }
        if (answer.count == 0)
            break;
    }
    for (uint32_t i = 0; i < world->journal_count; i++) {
        const struct journal_log *log = &world->journals[i];
        if (counts[i] > log->records.len || (!log->is_lost && counts[i] != log->records.len))
            world_violate(world, "a site wrote %zu usage records, the store has %llu",
                          log->records.len, (unsigned long long)counts[i]);
    }
}

/* Each once, and as it was told. */
static void check_reclaims(struct world *world, struct server_sim *server, struct arena *arena)
{
    const struct store_query query = {.kind = STORE_RECLAIM_LIST,
                                      .reclaim_list = {.limit = STORE_PAGE_MAX}};
    struct store_answer answer;
    uint32_t kept = 0, told = 0;
    if (store_db_query(server->store, &query, arena, &answer, NULL) != ERR_OK) {
        world_violate(world, "the reclaims cannot be read");
        return;
    }
    for (uint32_t i = 0; i < world->site_count; i++) {
        told += world->sites[i].is_destroyed ? 0 : world->sites[i].reclaims;
        for (size_t j = 0; j < answer.count && !world->sites[i].is_destroyed; j++)
            kept += id_is_equal(answer.reclaims[j].site.id, world->sites[i].value.id.id);
    }
    if (kept != told)
        world_violate(world, "owners took %u places back, the store has %u", told, kept);
}

static void check_audit(struct world *world, struct server_sim *server, struct arena *arena)
{
    struct store_query query = {.kind = STORE_AUDIT_LIST, .audit_list = {.limit = 1000}};
    struct store_answer answer = {.has_more = true};
    struct hash256 previous = {{0}}, hash;
    uint64_t seq = 0;
    while (answer.has_more) {
        if (store_db_query(server->store, &query, arena, &answer, NULL) != ERR_OK) {
            world_violate(world, "the audit log cannot be read");
            return;
        }
        for (size_t i = 0; i < answer.count; i++) {
            const struct audit_record *record = &answer.audit[i];
            audit_record_hash(record, &hash);
            if (record->seq != ++seq || memcmp(&record->previous, &previous, sizeof(hash)) != 0 ||
                memcmp(&record->hash, &hash, sizeof(hash)) != 0)
                world_violate(world, "the audit chain breaks at %llu", (unsigned long long)seq);
            previous = record->hash;
        }
        query.audit_list.after = seq;
        if (answer.count == 0)
            break;
    }
    if (seq != server->shadow.audit_seq)
        world_violate(world, "the audit log ends at %llu", (unsigned long long)seq);
}

void check_end(struct world *world)
{
    struct server_sim *server = &world->servers[world->primary];
    struct arena arena;
    struct store_meta meta;
    arena_init(&arena, CHECK_ARENA_BYTES);
    check_jobs(world, server, &arena);
    check_usage(world, server, &arena);
    check_audit(world, server, &arena);
    check_reclaims(world, server, &arena);
    if (store_db_meta(server->store, &meta) != ERR_OK || meta.quarantined != 0)
        world_violate(world, "usage records are in quarantine");
    arena_deinit(&arena);
}
