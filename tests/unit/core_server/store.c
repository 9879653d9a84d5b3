/* The stand-in for the store: applies changes and fails the test where the real one would answer
 * ERR_STALE. */
#include <string.h>

#include "world.h"

void store_init(struct fake_store *store)
{
    memset(store, 0, sizeof(*store));
    store->epoch = 1;
    vector_init(&store->docs, sizeof(struct fake_doc), 100000);
    vector_init(&store->specs, sizeof(struct fake_spec), 100000);
    vector_init(&store->jobs, sizeof(struct job_row), 100000);
    vector_init(&store->attempts, sizeof(struct fake_attempt), 100000);
    vector_init(&store->marks, sizeof(struct fake_mark), 1000);
    vector_init(&store->usage, sizeof(struct usage_record), 10000);
    vector_init(&store->artifacts, sizeof(struct artifact_row), 10000);
    vector_init(&store->keys, sizeof(struct slice), 10000);
    vector_init(&store->reclaims, sizeof(struct fake_reclaim), 10000);
}

void store_deinit(struct fake_store *store)
{
    vector_deinit(&store->docs);
    vector_deinit(&store->specs);
    vector_deinit(&store->jobs);
    vector_deinit(&store->attempts);
    vector_deinit(&store->marks);
    vector_deinit(&store->usage);
    vector_deinit(&store->artifacts);
    vector_deinit(&store->keys);
    vector_deinit(&store->reclaims);
}

static void copy_vector(struct vector *to, const struct vector *from)
{
    vector_init(to, from->item_size, from->limit);
    for (size_t i = 0; i < from->len; i++)
        assert_int_equal(vector_push(to, vector_at(from, i)), ERR_OK);
}

void store_copy(struct fake_store *to, const struct fake_store *from)
{
    *to = *from;
    copy_vector(&to->docs, &from->docs);
    copy_vector(&to->specs, &from->specs);
    copy_vector(&to->jobs, &from->jobs);
    copy_vector(&to->attempts, &from->attempts);
    copy_vector(&to->marks, &from->marks);
    copy_vector(&to->usage, &from->usage);
    copy_vector(&to->artifacts, &from->artifacts);
    copy_vector(&to->keys, &from->keys);
    copy_vector(&to->reclaims, &from->reclaims);
}

struct job_row *store_job(struct world *world, struct job_id id)
{
    for (size_t i = 0; i < world->store.jobs.len; i++) {
        struct job_row *row = vector_at(&world->store.jobs, i);
        if (id_is_equal(row->id.id, id.id))
            return row;
    }
    return NULL;
}

static struct fake_attempt *find_attempt(struct world *world, struct job_id id, uint32_t number)
{
    for (size_t i = 0; i < world->store.attempts.len; i++) {
        struct fake_attempt *at = vector_at(&world->store.attempts, i);
        if (id_is_equal(at->row.token.job.id, id.id) && at->row.token.number == number)
            return at;
    }
    return NULL;
}

struct attempt_row *store_attempt(struct world *world, struct job_id id, uint32_t number)
{
    struct fake_attempt *at = find_attempt(world, id, number);
    return at == NULL ? NULL : &at->row;
}

static struct fake_mark *find_mark(struct world *world, struct site_id site,
                                   struct journal_id journal)
{
    for (size_t i = 0; i < world->store.marks.len; i++) {
        struct fake_mark *mark = vector_at(&world->store.marks, i);
        if (id_is_equal(mark->site.id, site.id) && id_is_equal(mark->journal.id, journal.id))
            return mark;
    }
    return NULL;
}

uint64_t store_mark(struct world *world, const struct fake_site *site)
{
    const struct fake_mark *mark = find_mark(world, site->id, site->journal);
    return mark == NULL ? 0 : mark->seq;
}

struct fake_doc *store_doc(struct world *world, enum doc_kind kind, struct slice id)
{
    for (size_t i = 0; i < world->store.docs.len; i++) {
        struct fake_doc *doc = vector_at(&world->store.docs, i);
        if (doc->kind == kind && slice_is_equal(doc->id, id))
            return doc;
    }
    return NULL;
}

static void push(struct vector *vector, const void *item)
{
    assert_int_equal(vector_push(vector, item), ERR_OK);
}

static void apply_job(struct world *world, const struct change_op *op)
{
    const struct job_row *row = &op->job.row;
    struct job_row *at = store_job(world, row->id);
    struct fault fault = {0};
    assert_int_equal(job_row_check(row, &fault), ERR_OK);
    if (op->kind == CHANGE_JOB_INSERT) {
        assert_null(at);
        assert_int_equal(row->version, 1);
        push(&world->store.jobs, row);
        return;
    }
    assert_non_null(at);
    assert_int_equal(at->version, row->version - 1);
    assert_int_equal(at->state, op->job.expect_state);
    assert_int_equal(at->attempt, op->job.expect_attempt);
    assert_true(at->state == row->state || job_can_move(at->state, row->state));
    assert_true(row->attempt >= at->attempt);
    *at = *row;
}

static void apply_attempt(struct world *world, const struct change_op *op)
{
    const struct attempt_row *row = &op->attempt.row;
    struct fake_attempt *at = find_attempt(world, row->token.job, row->token.number);
    struct fault fault = {0};
    assert_int_equal(attempt_row_check(row, &fault), ERR_OK);
    if (op->kind == CHANGE_ATTEMPT_INSERT) {
        struct fake_attempt fresh = {*row, arena_copy(&world->arena, op->attempt.places)};
        assert_null(at);
        push(&world->store.attempts, &fresh);
        return;
    }
    assert_non_null(at);
    assert_true(attempt_token_is_equal(&at->row.token, &row->token));
    assert_int_equal(at->row.version, row->version - 1);
    assert_int_equal(at->row.state, op->attempt.expect_state);
    assert_false(attempt_state_is_final(at->row.state));
    assert_true(at->row.state == row->state || attempt_can_move(at->row.state, row->state));
    at->row = *row;
}

static void apply_doc(struct world *world, const struct change_op *op)
{
    const struct doc *doc = &op->doc.doc;
    struct fake_doc *at = store_doc(world, doc->kind, doc->id);
    if (op->kind == CHANGE_DOC_DELETE) {
        assert_non_null(at);
        assert_int_equal(at->version, op->doc.expect_version);
        vector_remove_ordered(&world->store.docs,
                              (size_t)(at - (struct fake_doc *)world->store.docs.data));
        return;
    }
    assert_int_equal(at == NULL ? 0 : at->version, op->doc.expect_version);
    assert_int_equal(doc->version, op->doc.expect_version + 1);
    struct fake_doc fresh = {doc->kind, arena_copy(&world->arena, doc->id),
                             arena_copy(&world->arena, doc->body), doc->version};
    if (at != NULL)
        *at = fresh;
    else
        push(&world->store.docs, &fresh);
}

static void apply_usage(struct world *world, const struct usage_record *record)
{
    for (size_t i = 0; i < world->store.usage.len; i++) {
        const struct usage_record *at = vector_at(&world->store.usage, i);
        if (!id_is_equal(at->site.id, record->site.id) ||
            !id_is_equal(at->journal.id, record->journal.id) || at->seq != record->seq)
            continue;
        if (!usage_record_is_equal(at, record))
            world->store.conflicts++;
        return;
    }
    push(&world->store.usage, record);
}

static void apply_mark(struct world *world, const struct change_op *op)
{
    struct fake_mark *mark = find_mark(world, op->watermark.site, op->watermark.journal);
    struct fake_mark fresh = {op->watermark.site, op->watermark.journal, op->watermark.seq};
    assert_int_equal(mark == NULL ? 0 : mark->seq, op->watermark.expect);
    if (mark != NULL)
        *mark = fresh;
    else
        push(&world->store.marks, &fresh);
}

static void apply_audit(struct world *world, const struct audit_record *record)
{
    struct hash256 hash;
    assert_int_equal(record->seq, world->store.audit_seq + 1);
    assert_memory_equal(&record->previous, &world->store.audit_hash, sizeof(hash));
    audit_record_hash(record, &hash);
    assert_memory_equal(&record->hash, &hash, sizeof(hash));
    assert_true(record->actor.len > 0 && record->action.len > 0 && record->subject.len > 0);
    world->store.audit_seq = record->seq;
    world->store.audit_hash = hash;
}

static void apply_event(struct world *world, const struct event_record *event)
{
    assert_int_equal(event->seq, world->store.event_seq + 1);
    world->store.event_seq = event->seq;
    if (world->seen_count == EVENTS_MAX)
        return;
    assert_true(event->kind.len < sizeof(world->seen[0]));
    memcpy(world->seen[world->seen_count], event->kind.data, event->kind.len);
    world->seen[world->seen_count++][event->kind.len] = '\0';
}

static void apply_key(struct world *world, const struct change_op *op)
{
    for (size_t i = 0; i < world->store.keys.len; i++)
        assert_false(
            slice_is_equal(*(struct slice *)vector_at(&world->store.keys, i), op->idempotency.key));
    struct slice key = arena_copy(&world->arena, op->idempotency.key);
    push(&world->store.keys, &key);
}

static void apply_reclaim(struct world *world, const struct change_op *op)
{
    struct fake_reclaim fresh = {op->reclaim.site, op->reclaim.value};
    fresh.value.name = arena_copy(&world->arena, fresh.value.name);
    for (size_t i = 0; i < world->store.reclaims.len; i++) {
        struct fake_reclaim *old = vector_at(&world->store.reclaims, i);
        if (!id_is_equal(old->site.id, fresh.site.id) ||
            !slice_is_equal(old->value.name, fresh.value.name))
            continue;
        if (old->value.is_open)
            *old = fresh;
        return;
    }
    push(&world->store.reclaims, &fresh);
}

static void utilisation_add(struct fake_store *store, const struct change_op *op)
{
    assert_int_equal(op->utilisation.start.us % 60000000, 0);
    assert_true(op->utilisation.count > 0);
    for (uint32_t i = 0; i < op->utilisation.count; i++) {
        const struct util_cell *cell = &op->utilisation.cells[i];
        assert_true(cell->sums.observed_ms > 0 && cell->sums.observed_ms <= 60000);
        util_add(cell->node.len > 0 ? &store->nodes_used : &store->pools_used, &cell->sums);
    }
    store->uses++;
}

static void apply_op(struct world *world, const struct change_op *op)
{
    struct fake_store *store = &world->store;
    struct fake_spec spec;
    struct artifact_row artifact;
    switch (op->kind) {
    case CHANGE_EPOCH_EXPECT:
        assert_int_equal(op->epoch.epoch, store->epoch);
        return;
    case CHANGE_EPOCH_RAISE:
        assert_int_equal(op->epoch.epoch, store->epoch);
        store->epoch++;
        store->is_restored = false;
        return;
    case CHANGE_SPEC_INSERT:
        spec = (struct fake_spec){op->spec.id, arena_copy(&world->arena, op->spec.body)};
        push(&store->specs, &spec);
        return;
    case CHANGE_JOB_INSERT:
    case CHANGE_JOB_UPDATE:
        apply_job(world, op);
        return;
    case CHANGE_ATTEMPT_INSERT:
    case CHANGE_ATTEMPT_UPDATE:
        apply_attempt(world, op);
        return;
    case CHANGE_USAGE_INSERT:
        apply_usage(world, &op->usage);
        return;
    case CHANGE_WATERMARK_SET:
        apply_mark(world, op);
        return;
    case CHANGE_DOC_PUT:
    case CHANGE_DOC_DELETE:
        apply_doc(world, op);
        return;
    case CHANGE_ARTIFACT_INSERT:
        artifact = op->artifact;
        artifact.jurisdiction = arena_copy(&world->arena, artifact.jurisdiction);
        artifact.manifest = arena_copy(&world->arena, artifact.manifest);
        push(&store->artifacts, &artifact);
        return;
    case CHANGE_AUDIT_APPEND:
        apply_audit(world, &op->audit);
        return;
    case CHANGE_EVENT_APPEND:
        apply_event(world, &op->event);
        return;
    case CHANGE_UTILISATION_ADD:
        utilisation_add(store, op);
        return;
    case CHANGE_IDEMPOTENCY_INSERT:
        apply_key(world, op);
        return;
    case CHANGE_RECLAIM_PUT:
        apply_reclaim(world, op);
        return;
    case CHANGE_KIND_COUNT_:
        break;
    }
    fail();
}

/* Invariants of the whole after each change. */
static void check_jobs(struct world *world)
{
    for (size_t i = 0; i < world->store.jobs.len; i++) {
        const struct job_row *job = vector_at(&world->store.jobs, i);
        uint32_t live = 0;
        for (size_t a = 0; a < world->store.attempts.len; a++) {
            const struct fake_attempt *at = vector_at(&world->store.attempts, a);
            if (!id_is_equal(at->row.token.job.id, job->id.id))
                continue;
            assert_true(at->row.token.number <= job->attempt);
            if (!attempt_state_is_final(at->row.state)) {
                live++;
                assert_int_equal(at->row.token.number, job->attempt);
            }
        }
        assert_int_equal(live, job->state == JOB_ACTIVE);
    }
}

void store_apply(struct world *world, const struct change *change)
{
    world->ops = (uint32_t)change->count;
    if (change->count == 0)
        return;
    assert_int_equal(change->ops[0].kind, CHANGE_EPOCH_EXPECT);
    assert_true(change->count >= 2 && change->count <= CHANGE_OPS_MAX);
    for (size_t i = 0; i < change->count; i++)
        apply_op(world, &change->ops[i]);
    if (world->store.jobs.len < 200)
        check_jobs(world);
}
