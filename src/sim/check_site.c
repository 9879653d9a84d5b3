/* Checks of what a site makes durable, asks its engine, and runs. */
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "sim/world.h"

enum { CLOCK_DRIFT_PER_MILLE = 200 };
#define LEASE_SLACK (50 * MS) /* between a step and its commit */

static const char *token_text(const struct attempt_token *token, char out[ATTEMPT_NAME_MAX])
{
    attempt_name_format(token, out);
    return out;
}

static struct journal_seen *seen_find(struct journal_shadow *shadow,
                                      const struct attempt_token *token)
{
    for (size_t i = 0; i < shadow->tokens.len; i++) {
        struct journal_seen *seen = vector_at(&shadow->tokens, i);
        if (attempt_token_is_equal(&seen->token, token))
            return seen;
    }
    return NULL;
}

static bool site_runs(const struct world *world, const struct site_sim *site,
                      const struct attempt_token *token, bool ever)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *launch = &world->launches[i];
        if (launch->site != site->index || !attempt_token_is_equal(&launch->token, token))
            continue;
        for (uint32_t rank = 0; rank < launch->rank_count; rank++)
            if (launch->ranks[rank].is_program_up || (ever && launch->ranks[rank].has_executed))
                return true;
    }
    return false;
}

/* ---- the journal */

static void take_meta(struct world *world, struct site_sim *site, struct journal_shadow *shadow,
                      const struct journal_meta *meta)
{
    if (shadow->has_meta && meta->epoch_seen < shadow->meta.epoch_seen)
        world_violate(world, "site %u forgets an epoch", site->index);
    if (meta->usage_acked > meta->usage_seq)
        world_violate(world, "site %u believes more usage acknowledged than it made", site->index);
    shadow->meta = *meta;
    if (shadow->has_meta)
        return;
    shadow->has_meta = true;
    struct journal_log *log = journal_log_find(world, meta->id, &site->journal_log);
    if (log != NULL)
        return;
    if (world->journal_count == JOURNALS_MAX) {
        world_violate(world, "more than %d journals", JOURNALS_MAX);
        return;
    }
    site->journal_log = world->journal_count;
    log = &world->journals[world->journal_count++];
    log->id = meta->id;
    log->site = meta->site;
    log->is_lost = false;
}

/* A phase that is final must be so in truth, now. */
static void check_phase(struct world *world, struct site_sim *site,
                        const struct journal_attempt *row)
{
    char name[ATTEMPT_NAME_MAX];
    if (row->phase == PHASE_ENDED) {
        if (site_runs(world, site, &row->token, false))
            world_violate(world, "%s has ended at its site and runs",
                          token_text(&row->token, name));
        for (uint32_t rank = 0; row->holder != 0 && rank < row->nodes; rank++)
            if ((row->rank_ended[rank / 64] >> (rank % 64) & 1) == 0)
                world_violate(world, "%s has ended without rank %u", token_text(&row->token, name),
                              rank);
    }
    if (row->phase == PHASE_NEVER && site_runs(world, site, &row->token, true))
        world_violate(world, "%s is never at its site, but has executed",
                      token_text(&row->token, name));
}

static void take_attempt(struct world *world, struct site_sim *site, struct journal_shadow *shadow,
                         const struct journal_attempt *row)
{
    static const bool CAN_MOVE[PHASE_COUNT_][PHASE_COUNT_] = {
        [PHASE_INTENT] = {[PHASE_INTENT] = true, [PHASE_TAKEN] = true, [PHASE_NEVER] = true},
        [PHASE_TAKEN] = {[PHASE_TAKEN] = true, [PHASE_ENDED] = true},
        [PHASE_ENDED] = {[PHASE_ENDED] = true},
        [PHASE_NEVER] = {[PHASE_NEVER] = true},
    };
    char name[ATTEMPT_NAME_MAX];
    struct journal_seen *seen = seen_find(shadow, &row->token);
    world_trace(world, "site %u journal: %s phase %d claim %d acked %d ended %llx", site->index,
                token_text(&row->token, name), (int)row->phase, (int)row->claim, (int)row->is_acked,
                (unsigned long long)row->rank_ended[0]);
    bool is_new = seen == NULL;
    if (is_new) {
        seen = vector_push_zeroed(&shadow->tokens);
        ASSERT(seen != NULL);
        seen->token = row->token;
        seen->phase = row->phase;
        seen->claim = row->claim;
        seen->holder = row->holder;
    }
    if (!CAN_MOVE[seen->phase][row->phase] ||
        (seen->claim != CLAIM_FREE && (row->claim != seen->claim || row->holder != seen->holder)))
        world_violate(world, "%s moves from phase %d, claim %d to phase %d, claim %d",
                      token_text(&row->token, name), (int)seen->phase, (int)seen->claim,
                      (int)row->phase, (int)row->claim);
    if ((seen->rank_ended & ~row->rank_ended[0]) != 0)
        world_violate(world, "%s forgets the end of a rank", token_text(&row->token, name));
    if (is_new && row->phase == PHASE_INTENT && row->token.epoch < shadow->meta.epoch_seen)
        world_violate(world, "%s is accepted under epoch %llu", token_text(&row->token, name),
                      (unsigned long long)shadow->meta.epoch_seen);
    if (is_new || seen->phase != row->phase)
        check_phase(world, site, row);
    seen->phase = row->phase;
    seen->claim = row->claim;
    seen->holder = row->holder;
    seen->is_acked = row->is_acked;
    seen->rank_ended = row->rank_ended[0];
    seen->nodes = row->nodes;
}

static void forget(struct journal_shadow *shadow, const struct attempt_token *token)
{
    for (size_t i = 0; i < shadow->tokens.len; i++) {
        const struct journal_seen *seen = vector_at(&shadow->tokens, i);
        if (!attempt_token_is_equal(&seen->token, token))
            continue;
        vector_remove_ordered(&shadow->tokens, i);
        return;
    }
}

/* Time since the first rank executed, by the fastest clock there is. */
static int64_t longest_run_ms(const struct world *world, const struct site_sim *site,
                              const struct attempt_token *token)
{
    int64_t since = world->now;
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *launch = &world->launches[i];
        if (launch->site != site->index || !attempt_token_is_equal(&launch->token, token))
            continue;
        for (uint32_t rank = 0; rank < launch->rank_count; rank++)
            if (launch->ranks[rank].has_executed && launch->ranks[rank].program_since < since)
                since = launch->ranks[rank].program_since;
    }
    int64_t passed_ms = (world->now - since) / MS;
    return passed_ms + passed_ms * world->drift_ppm / 1000000 + 2;
}

static void take_usage(struct world *world, struct site_sim *site,
                       const struct usage_record *record)
{
    struct fault fault = {0};
    if (site->journal_log == JOURNALS_MAX)
        return;
    if (record->total.wall_ms > longest_run_ms(world, site, &record->token))
        world_violate(world, "site %u meters more time than passed since the program began",
                      site->index);
    struct journal_log *log = &world->journals[site->journal_log];
    if (record->seq != log->records.len + 1 || record->seq >= USAGE_MAX)
        world_violate(world, "usage record %llu of site %u does not follow on",
                      (unsigned long long)record->seq, site->index);
    else if (usage_record_check(record, &fault) != ERR_OK)
        world_violate(world, "a usage record is wrong: %s", fault.message);
    else if (vector_push(&log->records, record) != ERR_OK)
        world_violate(world, "too many usage records");
}

/* The end and the last record are one change. */
static void check_last_record(struct world *world, const struct journal_change *change)
{
    char name[ATTEMPT_NAME_MAX];
    for (size_t i = 0; i < change->count; i++) {
        const struct journal_op *op = &change->ops[i];
        if (op->kind != JOURNAL_ATTEMPT_UPDATE || op->attempt.phase != PHASE_ENDED ||
            op->attempt.holder == 0 || op->attempt.is_acked)
            continue;
        bool has_last = false;
        for (size_t j = 0; j < change->count; j++)
            has_last =
                has_last ||
                (change->ops[j].kind == JOURNAL_USAGE_APPEND && change->ops[j].usage.is_last &&
                 attempt_token_is_equal(&change->ops[j].usage.token, &op->attempt.token));
        if (!has_last)
            world_violate(world, "%s ends without its last usage record",
                          token_text(&op->attempt.token, name));
    }
}

static bool ends_now(struct journal_shadow *shadow, const struct journal_op *op)
{
    if (op->kind != JOURNAL_ATTEMPT_UPDATE || op->attempt.phase != PHASE_ENDED)
        return false;
    const struct journal_seen *seen = seen_find(shadow, &op->attempt.token);
    return seen != NULL && seen->phase != PHASE_ENDED;
}

void journal_shadow_apply(struct world *world, struct site_sim *site, struct journal_shadow *shadow,
                          const struct journal_change *change)
{
    for (size_t i = 0; i < change->count; i++)
        if (ends_now(shadow, &change->ops[i])) {
            check_last_record(world, change);
            break;
        }
    for (size_t i = 0; i < change->count; i++) {
        const struct journal_op *op = &change->ops[i];
        switch (op->kind) {
        case JOURNAL_META_SET:
            world_trace(world, "site %u meta: epoch %llu, usage %llu, acknowledged %llu",
                        site->index, (unsigned long long)op->meta.epoch_seen,
                        (unsigned long long)op->meta.usage_seq,
                        (unsigned long long)op->meta.usage_acked);
            take_meta(world, site, shadow, &op->meta);
            break;
        case JOURNAL_ATTEMPT_INSERT:
        case JOURNAL_ATTEMPT_UPDATE:
            take_attempt(world, site, shadow, &op->attempt);
            break;
        case JOURNAL_ATTEMPT_FORGET:
            forget(shadow, &op->forget);
            break;
        case JOURNAL_USAGE_APPEND:
            take_usage(world, site, &op->usage);
            break;
        case JOURNAL_USAGE_PRUNE:
            if (op->prune_to > shadow->meta.usage_acked)
                world_violate(world, "site %u prunes usage that is not acknowledged", site->index);
            break;
        case JOURNAL_CHANGE_KIND_COUNT_:
            break;
        }
    }
}

void journal_shadow_copy(struct journal_shadow *to, const struct journal_shadow *from)
{
    to->has_meta = from->has_meta;
    to->meta = from->meta;
    vector_clear(&to->tokens);
    for (size_t i = 0; i < from->tokens.len; i++) {
        enum err err = vector_push(&to->tokens, vector_at(&from->tokens, i));
        ASSERT(err == ERR_OK);
    }
}

void check_journal_commit(struct world *world, struct site_sim *site,
                          const struct journal_change *change)
{
    journal_shadow_apply(world, site, &site->durable, change);
}

/* ---- after a start */

static uint64_t digest_seen(const struct journal_seen *seen)
{
    uint64_t hash =
        hash_mix(id_hash(seen->token.job.id), hash_mix(seen->token.epoch, seen->token.number));
    hash = hash_mix(hash, (uint64_t)seen->phase << 8 | (uint64_t)seen->claim << 4 | seen->is_acked);
    return hash_u64(hash_mix(hash, hash_mix(seen->holder, seen->rank_ended)), 5);
}

uint64_t digest_journal_meta(const struct journal_meta *meta)
{
    uint64_t hash = hash_mix(id_hash(meta->id.id), hash_mix(meta->epoch_seen, meta->usage_seq));
    return hash_u64(hash_mix(hash, meta->usage_acked), 6);
}

uint64_t digest_journal_attempt(const struct journal_attempt *attempt)
{
    const struct journal_seen seen = {.token = attempt->token,
                                      .phase = attempt->phase,
                                      .claim = attempt->claim,
                                      .holder = attempt->holder,
                                      .is_acked = attempt->is_acked,
                                      .rank_ended = attempt->rank_ended[0]};
    return digest_seen(&seen);
}

static uint64_t shadow_digest(const struct journal_shadow *shadow)
{
    uint64_t digest = shadow->has_meta ? digest_journal_meta(&shadow->meta) : 0;
    for (size_t i = 0; i < shadow->tokens.len; i++)
        digest += digest_seen(vector_at(&shadow->tokens, i));
    return digest;
}

void check_journal_loaded(struct world *world, struct site_sim *site, uint64_t digest,
                          uint64_t usage_seq)
{
    if (digest != shadow_digest(&site->durable)) {
        if (site->has_maybe && digest == shadow_digest(&site->maybe))
            journal_shadow_copy(&site->durable, &site->maybe);
        else
            world_violate(world, "site %u does not find what its journal had committed",
                          site->index);
    }
    site->has_maybe = false;
    /* Records of a group that did not become durable were never told to anybody. */
    if (site->journal_log < JOURNALS_MAX) {
        struct vector *records = &world->journals[site->journal_log].records;
        while (records->len > usage_seq)
            vector_pop(records);
    }
}

/* ---- leases */

void check_lease(struct world *world, const struct attempt_token *token, struct span_ms lease,
                 int64_t end)
{
    char name[ATTEMPT_NAME_MAX];
    uint32_t index = job_index(world, token->job);
    if (index == JOBS_MAX || !attempt_token_is_equal(&world->jobs[index].granted, token))
        return;
    /* The slowest clock that the protocol allows for makes L this long; the server waits longer. */
    int64_t longest = lease.ms * MS * 1000 / (1000 - CLOCK_DRIFT_PER_MILLE);
    if (end > world->jobs[index].granted_at + longest + LEASE_SLACK)
        world_violate(world, "%s holds a lease for longer than a server granted it",
                      token_text(token, name));
}

void check_gate_message(struct world *world, const struct site_sim *site,
                        const struct gate_message *message)
{
    if (!message->has_lease || message->lease.ms <= 0)
        return;
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *launch = &world->launches[i];
        if (launch->site != site->index || launch->incarnation != message->incarnation)
            continue;
        int64_t left = message->lease.ms * MS * 1000 / (1000 - CLOCK_DRIFT_PER_MILLE);
        check_lease(world, &message->token, launch->contact.lease, world->now + left);
        return;
    }
}

/* ---- the engine */

void check_engine_submit(struct world *world, struct site_sim *site,
                         const struct attempt_token *token)
{
    char name[ATTEMPT_NAME_MAX];
    struct journal_seen *seen = seen_find(&site->durable, token);
    if (seen == NULL) {
        world_violate(world, "the engine is asked to start %s, which the journal does not hold",
                      token_text(token, name));
        return;
    }
    if (seen->was_asked && !seen->is_looked_up)
        world_violate(world, "the engine is asked twice to start %s without a look in between",
                      token_text(token, name));
    seen->was_asked = true;
    seen->is_looked_up = false;
}

void check_engine_answer(struct world *world, struct site_sim *site, const struct sim_event *event)
{
    struct journal_seen *seen = seen_find(&site->durable, &event->token);
    (void)world;
    if (seen != NULL && (event->answer == ENGINE_ABSENT || event->answer == ENGINE_REJECTED))
        seen->is_looked_up = true;
}

/* ---- programs */

static void check_final_elsewhere(struct world *world, const struct attempt_token *token)
{
    char name[ATTEMPT_NAME_MAX];
    const struct shadow *shadow = &world->servers[world->primary].shadow;
    for (uint32_t i = 0; i < shadow->job_count; i++) {
        const struct shadow_job *job = &shadow->jobs[i];
        if (!id_is_equal(job->id.id, token->job.id))
            continue;
        for (uint32_t j = 0; j < job->attempt_count; j++)
            if (attempt_token_is_equal(&job->attempts[j].token, token) &&
                attempt_state_is_final(job->attempts[j].state))
                world_violate(world, "%s executes although it is %s", token_text(token, name),
                              attempt_state_name(job->attempts[j].state));
    }
}

void check_exec(struct world *world, struct launch *launch, uint32_t rank)
{
    char name[ATTEMPT_NAME_MAX], other[ATTEMPT_NAME_MAX];
    struct site_sim *site = &world->sites[launch->site];
    world_trace(world, "EXEC %s rank %u at site %u", token_text(&launch->token, name), rank,
                launch->site);
    if (launch->ranks[rank].has_executed)
        world_violate(world, "%s rank %u executes twice", token_text(&launch->token, name), rank);
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *twin = &world->launches[i];
        for (uint32_t j = 0; twin != launch && j < twin->rank_count; j++)
            if (attempt_token_is_equal(&twin->token, &launch->token) && twin->ranks[j].has_executed)
                world_violate(world, "%s executes in two launches",
                              token_text(&launch->token, name));
    }
    const struct journal_seen *seen = seen_find(&site->durable, &launch->token);
    if (seen != NULL ? seen->claim != CLAIM_TAKEN || seen->holder != launch->incarnation
                     : site->losses == 0)
        world_violate(world, "%s executes without a durable claim",
                      token_text(&launch->token, name));
    check_final_elsewhere(world, &launch->token);
    if (launch->job == JOBS_MAX)
        launch->job = job_index(world, launch->token.job);
    if (launch->job == JOBS_MAX)
        return;
    struct job_truth *truth = &world->jobs[launch->job];
    if (truth->running != 0 && !attempt_token_is_equal(&truth->token, &launch->token))
        world_violate(world, "DOUBLE RUN: %s begins while %s runs",
                      token_text(&launch->token, name), token_text(&truth->token, other));
    truth->running++;
    truth->token = launch->token;
    truth->incarnation = launch->incarnation;
}

void check_program_end(struct world *world, struct launch *launch, uint32_t rank)
{
    char name[ATTEMPT_NAME_MAX];
    world_trace(world, "GONE %s rank %u at site %u", token_text(&launch->token, name), rank,
                launch->site);
    if (launch->job == JOBS_MAX)
        return;
    struct job_truth *truth = &world->jobs[launch->job];
    ASSERT(truth->running > 0);
    truth->running--;
}
