/* Checks of what the server makes durable, and of what is true at the end. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "sim/world.h"
#include "wire/spec.h"

enum { REPLY_ARENA_BYTES = 16 << 20 };

/* ---- looking up */

uint32_t job_index(struct world *world, struct job_id id)
{
    for (uint32_t i = 0; i < world->job_count; i++)
        if (id_is_equal(world->jobs[i].id.id, id.id))
            return i;
    return JOBS_MAX;
}

struct journal_log *journal_log_find(struct world *world, struct journal_id id, uint32_t *out_index)
{
    for (uint32_t i = 0; i < world->journal_count; i++) {
        if (!id_is_equal(world->journals[i].id.id, id.id))
            continue;
        if (out_index != NULL)
            *out_index = i;
        return &world->journals[i];
    }
    return NULL;
}

struct shadow_job *shadow_job_find(struct shadow *shadow, struct job_id id)
{
    for (uint32_t i = 0; i < shadow->job_count; i++)
        if (id_is_equal(shadow->jobs[i].id.id, id.id))
            return &shadow->jobs[i];
    return NULL;
}

static struct shadow_attempt *shadow_attempt(struct shadow *shadow,
                                             const struct attempt_token *token)
{
    struct shadow_job *job = shadow_job_find(shadow, token->job);
    for (uint32_t i = 0; job != NULL && i < job->attempt_count; i++)
        if (attempt_token_is_equal(&job->attempts[i].token, token))
            return &job->attempts[i];
    return NULL;
}

static const char *token_text(const struct attempt_token *token, char out[ATTEMPT_NAME_MAX])
{
    attempt_name_format(token, out);
    return out;
}

static bool has_executed(const struct world *world, const struct attempt_token *token)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *launch = &world->launches[i];
        if (!attempt_token_is_equal(&launch->token, token))
            continue;
        for (uint32_t rank = 0; rank < launch->rank_count; rank++)
            if (launch->ranks[rank].has_executed)
                return true;
    }
    return false;
}

static bool is_running(const struct world *world, const struct attempt_token *token)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *launch = &world->launches[i];
        if (!attempt_token_is_equal(&launch->token, token))
            continue;
        for (uint32_t rank = 0; rank < launch->rank_count; rank++)
            if (launch->ranks[rank].is_program_up)
                return true;
    }
    return false;
}

/* ---- what a server makes durable */

static void note_spec(struct world *world, const struct change_op *op)
{
    struct arena arena;
    struct job_spec spec;
    ASSERT(world->spec_count < JOBS_MAX);
    arena_init(&arena, SPEC_ARENA_BYTES);
    if (spec_parse(op->spec.body, &arena, &spec, NULL) == ERR_OK)
        world->specs[world->spec_count++] =
            (struct spec_seen){.id = op->spec.id,
                               .is_gang = spec.num_nodes > 1,
                               .is_lease = spec.contact == CONTACT_LEASE,
                               .is_array = spec.array_count > 1};
    arena_deinit(&arena);
}

static void note_job(struct world *world, const struct job_row *row)
{
    if (job_index(world, row->id) != JOBS_MAX)
        return;
    if (world->job_count == JOBS_MAX) {
        world_violate(world, "more than %d jobs", JOBS_MAX);
        return;
    }
    struct job_truth *truth = &world->jobs[world->job_count++];
    *truth = (struct job_truth){.id = row->id, .is_known = true};
    for (uint32_t i = 0; i < world->spec_count; i++) {
        const struct spec_seen *spec = &world->specs[i];
        if (!id_is_equal(spec->id.id, row->spec.id))
            continue;
        truth->is_gang = spec->is_gang;
        truth->is_lease = spec->is_lease;
        truth->is_array = spec->is_array;
    }
    bool is_long = truth->is_gang || truth->is_lease || pick_chance(&world->plan_random, 20);
    if (truth->is_lease)
        truth->length = pick_between(&world->plan_random, 30 * SECOND, 100 * SECOND);
    else
        truth->length = is_long ? pick_between(&world->plan_random, 15 * SECOND, 70 * SECOND)
                                : pick_between(&world->plan_random, SECOND / 2, 15 * SECOND);
}

static void job_insert(struct world *world, struct shadow *shadow, const struct change_op *op)
{
    const struct job_row *row = &op->job.row;
    if (shadow_job_find(shadow, row->id) != NULL || row->state != JOB_PENDING) {
        world_violate(world, "a job is inserted twice or not pending");
        return;
    }
    note_job(world, row);
    if (shadow->job_count == JOBS_MAX)
        return;
    struct shadow_job *job = &shadow->jobs[shadow->job_count++];
    *job = (struct shadow_job){
        .id = row->id, .is_used = true, .state = row->state, .version = row->version};
}

static void job_update(struct world *world, struct shadow *shadow, const struct change_op *op)
{
    const struct job_row *row = &op->job.row;
    struct shadow_job *job = shadow_job_find(shadow, row->id);
    struct fault fault = {0};
    if (job == NULL) {
        world_violate(world, "a job that does not exist is changed");
        return;
    }
    const struct job_truth *truth = &world->jobs[job_index(world, row->id)];
    if (row->state != job->state && !job_can_move(job->state, row->state))
        world_violate(world, "a job moves from %s to %s", job_state_name(job->state),
                      job_state_name(row->state));
    if (row->attempt < job->attempt || row->version != job->version + 1)
        world_violate(world, "a job's attempt or version falls back");
    if (job_row_check(row, &fault) != ERR_OK)
        world_violate(world, "a job's row is wrong: %s", fault.message);
    if (row->state == JOB_SUCCEEDED && job->state != JOB_SUCCEEDED && !truth->has_succeeded)
        world_violate(world, "a job counts as succeeded whose program did not");
    if (row->state == JOB_CANCELLED && !truth->was_cancelled)
        world_violate(world, "a job is cancelled that nobody cancelled");
    job->state = row->state;
    job->attempt = row->attempt;
    job->version = row->version;
}

static void attempt_insert(struct world *world, struct shadow *shadow, const struct change_op *op)
{
    const struct attempt_row *row = &op->attempt.row;
    struct shadow_job *job = shadow_job_find(shadow, row->token.job);
    char name[ATTEMPT_NAME_MAX];
    if (job == NULL || job->attempt_count == JOB_ATTEMPTS_MAX) {
        world_violate(world, "an attempt of no job, or one too many: %s",
                      token_text(&row->token, name));
        return;
    }
    for (uint32_t i = 0; i < job->attempt_count; i++)
        if (!attempt_state_is_final(job->attempts[i].state))
            world_violate(world, "%s begins while an earlier attempt is %s",
                          token_text(&row->token, name),
                          attempt_state_name(job->attempts[i].state));
    job->attempts[job->attempt_count++] = (struct shadow_attempt){.token = row->token,
                                                                  .site = row->site,
                                                                  .journal = row->journal,
                                                                  .state = row->state,
                                                                  .revoke = row->revoke,
                                                                  .policy = row->contact.policy,
                                                                  .version = row->version};
    world->result->attempts++;
}

/* An attempt that is final must be so in truth, now. */
static void check_final(struct world *world, const struct shadow_attempt *attempt)
{
    char name[ATTEMPT_NAME_MAX];
    if (is_running(world, &attempt->token))
        world_violate(world, "%s is %s and runs", token_text(&attempt->token, name),
                      attempt_state_name(attempt->state));
    if (attempt->state == ATTEMPT_NEVER && has_executed(world, &attempt->token))
        world_violate(world, "%s is never, but has executed", token_text(&attempt->token, name));
    if (attempt->state == ATTEMPT_EXPIRED && attempt->policy != CONTACT_LEASE)
        world_violate(world, "%s is expired without a lease", token_text(&attempt->token, name));
}

static void attempt_update(struct world *world, struct shadow *shadow, bool is_primary,
                           const struct change_op *op)
{
    const struct attempt_row *row = &op->attempt.row;
    struct shadow_attempt *attempt = shadow_attempt(shadow, &row->token);
    struct fault fault = {0};
    if (attempt == NULL) {
        world_violate(world, "an attempt that does not exist is changed");
        return;
    }
    if (row->state != attempt->state && !attempt_can_move(attempt->state, row->state))
        world_violate(world, "an attempt moves from %s to %s", attempt_state_name(attempt->state),
                      attempt_state_name(row->state));
    if (attempt_row_check(row, &fault) != ERR_OK)
        world_violate(world, "an attempt's row is wrong: %s", fault.message);
    bool was_final = attempt_state_is_final(attempt->state);
    attempt->state = row->state;
    attempt->revoke = row->revoke;
    attempt->version = row->version;
    if (is_primary && !was_final && attempt_state_is_final(row->state))
        check_final(world, attempt);
}

static struct shadow_stream *stream_of(struct world *world, struct shadow *shadow,
                                       struct journal_id journal, struct journal_log **log)
{
    uint32_t index = 0;
    *log = journal_log_find(world, journal, &index);
    return *log == NULL ? NULL : &shadow->streams[index];
}

static bool is_stored(const struct shadow_stream *stream, uint64_t seq)
{
    return (stream->stored[seq / 8] >> (seq % 8) & 1) != 0;
}

static void usage_insert(struct world *world, struct shadow *shadow,
                         const struct usage_record *record)
{
    struct journal_log *log;
    struct shadow_stream *stream = stream_of(world, shadow, record->journal, &log);
    if (stream == NULL || record->seq == 0 || record->seq >= USAGE_MAX ||
        record->seq > log->records.len) {
        world_violate(world, "a usage record that no journal holds: seq %llu",
                      (unsigned long long)record->seq);
        return;
    }
    if (!usage_record_is_equal(record, vector_at(&log->records, record->seq - 1))) {
        world_violate(world, "usage record %llu is not what its site wrote",
                      (unsigned long long)record->seq);
        return;
    }
    if (is_stored(stream, record->seq))
        return;
    stream->stored[record->seq / 8] |= (uint8_t)(1U << (record->seq % 8));
    stream->count++;
    while (stream->contiguous + 1 < USAGE_MAX && is_stored(stream, stream->contiguous + 1))
        stream->contiguous++;
}

static void watermark_set(struct world *world, struct shadow *shadow, const struct change_op *op)
{
    struct journal_log *log;
    struct shadow_stream *stream = stream_of(world, shadow, op->watermark.journal, &log);
    if (stream == NULL) {
        if (op->watermark.seq != 0)
            world_violate(world, "a watermark for a journal that is not known");
        return;
    }
    if (op->watermark.seq > stream->contiguous)
        world_violate(world, "the watermark %llu passes the last record without a gap, %llu",
                      (unsigned long long)op->watermark.seq,
                      (unsigned long long)stream->contiguous);
    stream->watermark = op->watermark.seq;
}

static void audit_append(struct world *world, struct shadow *shadow, const struct change_op *op)
{
    struct hash256 hash;
    const struct audit_record *record = &op->audit;
    audit_record_hash(record, &hash);
    if (record->seq != shadow->audit_seq + 1 ||
        memcmp(&record->previous, &shadow->audit_hash, sizeof(hash)) != 0 ||
        memcmp(&record->hash, &hash, sizeof(hash)) != 0)
        world_violate(world, "audit record %llu breaks the chain", (unsigned long long)record->seq);
    shadow->audit_seq = record->seq;
    shadow->audit_hash = record->hash;
}

static void artifact_insert(struct world *world, struct shadow *shadow, const struct change_op *op)
{
    const struct artifact_row *row = &op->artifact;
    const struct shadow_job *job = shadow_job_find(shadow, row->token.job);
    const struct shadow_attempt *attempt = shadow_attempt(shadow, &row->token);
    /* Copying goes on after the end, so an attempt that is over counts until a later one begins. */
    bool is_newest = job != NULL && attempt != NULL && attempt->token.number == job->attempt;
    if (!is_newest && !row->is_stale)
        world_violate(world, "an artifact counts as the job's although a later attempt has begun");
    uint32_t index = job_index(world, row->token.job);
    if (index < JOBS_MAX)
        world->jobs[index].checkpoints++;
}

static void utilisation_add(struct world *world, const struct change_op *op)
{
    for (uint32_t i = 0; i < op->utilisation.count; i++) {
        const struct util_sums *sums = &op->utilisation.cells[i].sums;
        if (sums->observed_ms == 0 || sums->owner_core_us > sums->core_us)
            world_violate(world, "use was recorded of no time, or more than there is");
    }
}

void shadow_apply(struct world *world, struct shadow *shadow, bool is_primary,
                  const struct change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        const struct change_op *op = &change->ops[i];
        switch (op->kind) {
        case CHANGE_EPOCH_EXPECT:
            if (op->epoch.epoch != shadow->epoch || i != 0)
                world_violate(world, "a change of another epoch was committed");
            break;
        case CHANGE_EPOCH_RAISE:
            shadow->epoch = op->epoch.epoch + 1;
            break;
        case CHANGE_SPEC_INSERT:
            note_spec(world, op);
            break;
        case CHANGE_JOB_INSERT:
            job_insert(world, shadow, op);
            break;
        case CHANGE_JOB_UPDATE:
            job_update(world, shadow, op);
            break;
        case CHANGE_ATTEMPT_INSERT:
            attempt_insert(world, shadow, op);
            break;
        case CHANGE_ATTEMPT_UPDATE:
            attempt_update(world, shadow, is_primary, op);
            break;
        case CHANGE_USAGE_INSERT:
            usage_insert(world, shadow, &op->usage);
            break;
        case CHANGE_WATERMARK_SET:
            watermark_set(world, shadow, op);
            break;
        case CHANGE_ARTIFACT_INSERT:
            artifact_insert(world, shadow, op);
            break;
        case CHANGE_AUDIT_APPEND:
            audit_append(world, shadow, op);
            break;
        case CHANGE_EVENT_APPEND:
            if (op->event.seq != shadow->event_seq + 1)
                world_violate(world, "an event's number does not follow on");
            shadow->event_seq = op->event.seq;
            break;
        case CHANGE_DOC_PUT:
            world_trace(world, "DOC %.*s version %llu: %.*s", SLICE_ARG(op->doc.doc.id),
                        (unsigned long long)op->doc.doc.version, SLICE_ARG(op->doc.doc.body));
            break;
        case CHANGE_RECLAIM_PUT:
            shadow_reclaim(world, shadow, op);
            break;
        case CHANGE_UTILISATION_ADD:
            utilisation_add(world, op);
            break;
        case CHANGE_DOC_DELETE:
        case CHANGE_IDEMPOTENCY_INSERT:
        case CHANGE_KIND_COUNT_:
            break;
        }
    }
}

void check_server_commit(struct world *world, struct server_sim *server,
                         const struct change *change)
{
    shadow_apply(world, &server->shadow, server->index == world->primary, change);
}

static void note_grant(struct world *world, const struct attempt_token *token)
{
    uint32_t index = job_index(world, token->job);
    if (index == JOBS_MAX)
        return;
    world->jobs[index].granted = *token;
    world->jobs[index].granted_at = world->now;
}

/* Leases that a reply grants: each renewal, and each START. */
static void note_grants(struct world *world, struct slice bytes)
{
    struct arena arena;
    struct sync_reply reply;
    if (memmem(bytes.data, bytes.len, "lease", strlen("lease")) == NULL)
        return;
    arena_init(&arena, REPLY_ARENA_BYTES);
    if (sync_reply_decode(bytes, &arena, &reply, NULL) == ERR_OK) {
        for (uint32_t i = 0; i < reply.renewal_count; i++)
            note_grant(world, &reply.renewals[i].token);
        for (uint32_t i = 0; i < reply.command_count; i++)
            if (reply.commands[i].kind == SYNC_START)
                note_grant(world, &reply.commands[i].token);
    }
    arena_deinit(&arena);
}

/* What is acknowledged must be durable before the reply leaves. */
void check_server_reply(struct world *world, struct server_sim *server, uint32_t site,
                        struct slice bytes)
{
    static const char KEY[] = "\"usage_acked\":";
    note_grants(world, bytes);
    const char *at = memmem(bytes.data, bytes.len, KEY, sizeof(KEY) - 1);
    uint32_t log = world->sites[site].journal_log;
    if (at == NULL || log == JOURNALS_MAX)
        return;
    uint64_t acked = strtoull(at + sizeof(KEY) - 1, NULL, 10);
    /* A site that lost its journal meanwhile gets an answer about the lost one. */
    for (uint32_t i = 0; i < world->journal_count; i++)
        if (id_is_equal(world->journals[i].site.id, world->sites[site].value.id.id) &&
            acked <= server->shadow.streams[i].contiguous)
            return;
    if (acked != 0)
        world_violate(world, "usage is acknowledged up to %llu before it is durable",
                      (unsigned long long)acked);
}

/* ---- after a start */

static uint64_t digest_of_values(uint64_t kind, const struct id *id, uint64_t a, uint64_t b,
                                 uint64_t c)
{
    uint64_t hash = hash_mix(kind, id != NULL ? id_hash(*id) : 0);
    return hash_u64(hash_mix(hash_mix(hash, a), hash_mix(b, c)), kind);
}

uint64_t digest_meta(uint64_t epoch, uint64_t audit_seq, uint64_t event_seq)
{
    return digest_of_values(1, NULL, epoch, audit_seq, event_seq);
}

uint64_t digest_job(const struct job_row *row)
{
    return digest_of_values(2, &row->id.id, row->state, row->attempt, row->version);
}

uint64_t digest_attempt(const struct attempt_row *row)
{
    return digest_of_values(3, &row->token.job.id,
                            (uint64_t)row->token.number << 32 | row->token.epoch, row->state,
                            row->version);
}

uint64_t digest_watermark(struct journal_id journal, uint64_t seq)
{
    return seq == 0 ? 0 : digest_of_values(4, &journal.id, seq, 0, 0);
}

static uint64_t shadow_digest(const struct world *world, const struct shadow *shadow)
{
    uint64_t digest = digest_meta(shadow->epoch, shadow->audit_seq, shadow->event_seq);
    for (uint32_t i = 0; i < shadow->job_count; i++) {
        const struct shadow_job *job = &shadow->jobs[i];
        if (!job_state_is_final(job->state)) {
            const struct job_row row = {.id = job->id,
                                        .state = job->state,
                                        .attempt = job->attempt,
                                        .version = job->version};
            digest += digest_job(&row);
        }
        for (uint32_t j = 0; j < job->attempt_count; j++) {
            const struct shadow_attempt *attempt = &job->attempts[j];
            const struct attempt_row row = {
                .token = attempt->token, .state = attempt->state, .version = attempt->version};
            if (!attempt_state_is_final(attempt->state))
                digest += digest_attempt(&row);
        }
    }
    for (uint32_t i = 0; i < world->journal_count; i++)
        digest += digest_watermark(world->journals[i].id, shadow->streams[i].watermark);
    return digest;
}

void check_server_loaded(struct world *world, struct server_sim *server, uint64_t digest)
{
    if (digest != shadow_digest(world, &server->shadow)) {
        if (server->maybe != NULL && digest == shadow_digest(world, server->maybe))
            server->shadow = *server->maybe;
        else
            world_violate(world, "server %u does not find what it had committed", server->index);
    }
    free(server->maybe);
    server->maybe = NULL;
}
