/* The queue: jobs in groups that are alike, groups by tenant and class; what may be tried again. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

static void ready_add(struct place_tenant *tenant, enum priority_class priority, int64_t change)
{
    for (struct place_tenant *at = tenant; at != NULL; at = at->parent) {
        ASSERT(change > 0 || at->ready[priority] >= (uint64_t)-change);
        at->ready[priority] = (uint32_t)((int64_t)at->ready[priority] + change);
    }
}

/* ---- what may be tried again */

static void growth_note(struct placer *placer, struct place_site *site)
{
    placer->grown[placer->grown_count++ % PLACE_GROWN_MAX] =
        (struct place_growth){placer->version, site};
}

static void cursors_reset(struct placer *placer)
{
    struct place_queue *queue = placer->touched;
    for (; queue != NULL; queue = queue->touched_next) {
        queue->cursor = queue->first;
        if (queue->blocked > 0)
            ready_add(queue->tenant, queue->priority, queue->blocked);
        queue->blocked = 0;
        queue->is_touched = false;
    }
    placer->touched = NULL;
}

void place_version_raise(struct placer *placer, struct place_site *site)
{
    bool was_cut_short = placer->tries >= PLACE_TRIES_MAX || placer->visits >= PLACE_VISITS_MAX;
    placer->version++;
    if (site == NULL)
        placer->all_version = placer->version;
    else
        growth_note(placer, site);
    /* What failed because of a reservation may fit without it. */
    for (uint32_t i = 0; i < placer->reservation_count; i++)
        growth_note(placer, placer->reservations[i].site);
    if (was_cut_short && placer->reservation_count > 0) {
        for (uint32_t i = 0; i < placer->reservation_count; i++)
            placer->heads[i] = placer->reservations[i].job;
        placer->head_count = placer->reservation_count;
        placer->head_at = 0;
    }
    if (!was_cut_short) {
        placer->head_count = 0;
        cursors_reset(placer);
    }
    placer->reservation_count = 0;
    placer->tries = placer->visits = 0;
}

void place_settings_raise(struct placer *placer)
{
    placer->settings++;
    placer->reservation_count = 0; /* before the raise notes their sites: one may be gone */
    place_version_raise(placer, NULL);
    placer->head_count = 0;
    cursors_reset(placer);
}

/* ---- shapes: what placement sees of a job, as bytes */

static void key_u64(struct buffer *key, uint64_t value)
{
    buffer_append_bytes(key, &value, sizeof(value));
}

static void key_text(struct buffer *key, struct slice text)
{
    key_u64(key, text.len);
    buffer_append(key, text);
}

static void key_list(struct buffer *key, const struct text_list *list)
{
    key_u64(key, list->count);
    for (uint32_t i = 0; i < list->count; i++)
        key_text(key, list->items[i]);
}

static void key_placement(struct buffer *key, const struct job_placement *placement)
{
    key_list(key, &placement->regions);
    key_list(key, &placement->sites);
    key_list(key, &placement->avoid_sites);
    key_list(key, &placement->jurisdictions);
    key_u64(key, (uint64_t)placement->role);
    key_u64(key, (uint64_t)placement->provenance);
    key_u64(key, (uint64_t)placement->round_trip_max.ms);
    key_text(key, placement->near);
}

static void key_inputs(struct buffer *key, const struct job_spec *spec)
{
    key_u64(key, spec->input_count);
    for (uint32_t i = 0; i < spec->input_count; i++) {
        key_text(key, spec->inputs[i].dataset); /* an explanation names it */
        key_text(key, spec->inputs[i].jurisdiction);
        key_u64(key, spec->inputs[i].size_bytes);
        key_list(key, &spec->inputs[i].homes);
    }
}

static void key_restore(struct buffer *key, const struct place_job *job)
{
    key_u64(key, (uint64_t)job->restore_runtime);
    key_u64(key, job->restore_world_size);
    key_text(key, job->restore_jurisdiction);
    buffer_append_bytes(key, &job->restore_site, sizeof(job->restore_site));
    key_u64(key, job->restore_bytes);
}

static void key_write(struct buffer *key, const struct place_job *job)
{
    const struct job_spec *spec = job->spec;
    buffer_reset(key);
    key_u64(key, spec->num_nodes);
    key_u64(key, spec->cpu_milli);
    key_u64(key, spec->mem_bytes);
    key_u64(key, (uint64_t)spec->time_limit.ms);
    key_u64(key, (uint64_t)spec->expected.ms);
    key_u64(key, (uint64_t)spec->budget.micros);
    if (spec->time_limit.ms <= 0) /* it is the tenant's, which may change */
        buffer_append_bytes(key, &job->tenant, sizeof(job->tenant));
    key_u64(key, spec->array_parallel_max);
    if (spec->array_parallel_max > 0) /* counted by the address of the spec */
        key_u64(key, (uintptr_t)spec);
    key_u64(key, spec->variant_count);
    for (uint32_t v = 0; v < spec->variant_count; v++) {
        key_u64(key, (uint64_t)spec->variants[v].runtime);
        key_u64(key, spec->variants[v].accelerators);
        key_text(key, spec->variants[v].accelerator);
        key_text(key, spec->variants[v].image);
    }
    key_placement(key, &spec->placement);
    key_inputs(key, spec);
    buffer_append_bytes(key, &job->avoid, sizeof(job->avoid));
    key_u64(key, job->has_restore);
    if (job->has_restore)
        key_restore(key, job);
}

static enum err shape_find(struct placer *placer, const struct place_job *job,
                           struct place_shape **out)
{
    key_write(&placer->key, job);
    enum err err = buffer_status(&placer->key);
    if (err != ERR_OK)
        return err;
    struct slice key = buffer_slice(&placer->key);
    struct place_shape *shape = strmap_get(&placer->shapes, key);
    if (shape == NULL) {
        shape = calloc(1, sizeof(*shape) + key.len);
        if (shape == NULL)
            return ERR_NO_MEMORY;
        shape->number = ++placer->shape_number;
        shape->key_len = (uint32_t)key.len;
        memcpy(shape->key, key.data, key.len);
        err = strmap_add(&placer->shapes, key, shape);
        if (err != ERR_OK) {
            free(shape);
            return err;
        }
    }
    *out = shape;
    return ERR_OK;
}

static void shape_drop(struct placer *placer, struct place_shape *shape)
{
    if (shape->groups > 0)
        return;
    (void)strmap_remove(&placer->shapes, (struct slice){shape->key, shape->key_len});
    free(shape);
}

/* ---- groups, in the order of their first jobs */

struct group_key {
    struct tenant_id tenant;
    uint8_t priority;
    uint8_t number[sizeof(uint64_t)];
};

static struct slice group_key(struct tenant_id tenant, enum priority_class priority,
                              const struct place_shape *shape, struct group_key *out)
{
    memset(out, 0, sizeof(*out));
    out->tenant = tenant;
    out->priority = (uint8_t)priority;
    memcpy(out->number, &shape->number, sizeof(out->number));
    return (struct slice){(const char *)out, sizeof(*out)};
}

bool place_queued_is_before(const struct place_queued *a, const struct place_queued *b)
{
    if (a->job.created_at.us != b->job.created_at.us)
        return a->job.created_at.us < b->job.created_at.us;
    return id_compare(a->job.id.id, b->job.id.id) < 0;
}

static struct place_queue *queue_of(const struct place_group *group)
{
    return &group->tenant->queues[group->priority];
}

static bool group_is_ready(const struct place_group *group)
{
    const struct place_group *cursor = queue_of(group)->cursor;
    return cursor != NULL &&
           (cursor == group || !place_queued_is_before(group->first, cursor->first));
}

static void queue_touch(struct placer *placer, struct place_queue *queue)
{
    if (queue->is_touched)
        return;
    queue->is_touched = true;
    queue->touched_next = placer->touched;
    placer->touched = queue;
}

/* Puts the group, which is in no list, after `previous` (NULL: first). */
static void group_link(struct place_group *group, struct place_group *previous)
{
    struct place_queue *queue = queue_of(group);
    group->previous = previous;
    group->next = previous == NULL ? queue->first : previous->next;
    if (group->previous != NULL)
        group->previous->next = group;
    else
        queue->first = group;
    if (group->next != NULL)
        group->next->previous = group;
    else
        queue->last = group;
}

static void group_unlink(struct place_group *group)
{
    struct place_queue *queue = queue_of(group);
    if (group->previous != NULL)
        group->previous->next = group->next;
    else
        queue->first = group->next;
    if (group->next != NULL)
        group->next->previous = group->previous;
    else
        queue->last = group->previous;
    group->previous = group->next = NULL;
}

/* One that lands among blocked ones takes the cursor back to itself; those after it are then tried
 * twice, which is safe. */
static void group_add(struct place_group *group)
{
    struct place_queue *queue = queue_of(group);
    struct place_group *previous = queue->last;
    while (previous != NULL && place_queued_is_before(group->first, previous->first))
        previous = previous->previous;
    group_link(group, previous);
    int64_t again = 1;
    if (queue->cursor == NULL || place_queued_is_before(group->first, queue->cursor->first)) {
        for (struct place_group *g = group->next; g != queue->cursor; g = g->next)
            again++;
        queue->cursor = group;
    }
    queue->blocked -= (uint32_t)(again - 1);
    ready_add(group->tenant, group->priority, again);
}

/* Takes it out of its list and the counts. */
static void group_remove(struct place_group *group, bool is_ready)
{
    struct place_queue *queue = queue_of(group);
    if (is_ready)
        ready_add(group->tenant, group->priority, -1);
    else
        queue->blocked--;
    if (queue->cursor == group)
        queue->cursor = group->next;
    group_unlink(group);
}

/* Its first job became a later one: it moves back in the list, and stays blocked if it was. */
static void group_sink(struct place_group *group, bool was_ready)
{
    struct place_queue *queue = queue_of(group);
    struct place_group *previous = group->next;
    if (previous == NULL || place_queued_is_before(group->first, previous->first))
        return;
    bool was_cursor = queue->cursor == group;
    if (was_cursor)
        queue->cursor = group->next;
    while (previous->next != NULL && !place_queued_is_before(group->first, previous->next->first))
        previous = previous->next;
    group_unlink(group);
    group_link(group, previous);
    bool is_ready = group_is_ready(group);
    if (is_ready == was_ready)
        return;
    ASSERT(is_ready);
    queue->blocked--;
    ready_add(group->tenant, group->priority, 1);
}

static void group_free(struct placer *placer, struct place_group *group)
{
    struct group_key key;
    struct place_shape *shape = group->shape;
    (void)strmap_remove(&placer->groups,
                        group_key(group->tenant->tenant.id, group->priority, shape, &key));
    shape->groups--;
    shape_drop(placer, shape);
    free(group);
}

static enum err group_make(struct placer *placer, struct place_queued *queued,
                           struct place_tenant *tenant, struct place_shape *shape)
{
    struct group_key key;
    enum priority_class priority = queued->job.spec->priority;
    struct place_group *group = calloc(1, sizeof(*group));
    if (group == NULL)
        return ERR_NO_MEMORY;
    enum err err =
        strmap_add(&placer->groups, group_key(tenant->tenant.id, priority, shape, &key), group);
    if (err != ERR_OK) {
        free(group);
        return err;
    }
    group->tenant = tenant;
    group->priority = priority;
    group->shape = shape;
    group->first = group->last = queued;
    group->job_count = 1;
    shape->groups++;
    queued->group = group;
    group_add(group);
    return ERR_OK;
}

/* Into a group that stands. One that gets an older first job is put into the list anew. */
static void group_join(struct place_group *group, struct place_queued *queued)
{
    struct place_queued *previous = group->last;
    while (previous != NULL && place_queued_is_before(queued, previous))
        previous = previous->previous;
    bool is_first = previous == NULL;
    if (is_first)
        group_remove(group, group_is_ready(group));
    queued->previous = previous;
    queued->next = is_first ? group->first : previous->next;
    if (is_first)
        group->first = queued;
    else
        previous->next = queued;
    if (queued->next != NULL)
        queued->next->previous = queued;
    else
        group->last = queued;
    group->job_count++;
    queued->group = group;
    if (is_first)
        group_add(group);
}

enum err place_queue_push(struct placer *placer, struct place_queued *queued)
{
    struct place_tenant *tenant = place_tenant_find(placer, queued->job.tenant);
    struct place_shape *shape;
    struct group_key key;
    ASSERT(tenant != NULL);
    enum err err = shape_find(placer, &queued->job, &shape);
    if (err != ERR_OK)
        return err;
    struct place_group *group = strmap_get(
        &placer->groups, group_key(tenant->tenant.id, queued->job.spec->priority, shape, &key));
    if (group != NULL) {
        group_join(group, queued);
    } else {
        err = group_make(placer, queued, tenant, shape);
        if (err != ERR_OK) {
            shape_drop(placer, shape);
            return err;
        }
    }
    for (struct place_tenant *at = tenant; at != NULL; at = at->parent)
        at->pending++;
    return ERR_OK;
}

void place_queue_remove(struct placer *placer, struct place_queued *queued)
{
    struct place_group *group = queued->group;
    bool was_ready = group_is_ready(group), was_first = group->first == queued;
    for (struct place_tenant *at = group->tenant; at != NULL; at = at->parent)
        at->pending--;
    if (--group->job_count == 0) {
        group_remove(group, was_ready);
        group_free(placer, group);
        return;
    }
    if (queued->previous != NULL)
        queued->previous->next = queued->next;
    else
        group->first = queued->next;
    if (queued->next != NULL)
        queued->next->previous = queued->previous;
    else
        group->last = queued->previous;
    if (was_first)
        group_sink(group, was_ready);
}

struct place_group *place_queue_next(struct placer *placer, struct now now)
{
    int64_t now_s = now.wall.us / 1000000;
    for (int c = PRIORITY_COUNT_ - 1; c >= 0; c--) {
        enum priority_class priority = (enum priority_class)c;
        struct place_tenant *at = place_share_poorest(&placer->roots, priority, now_s);
        while (at != NULL) {
            /* A tenant's own jobs come before its children's: it is the one that pays for both. */
            if (at->queues[priority].cursor != NULL)
                return at->queues[priority].cursor;
            at = place_share_poorest(&at->children, priority, now_s);
        }
    }
    return NULL;
}

void place_group_block(struct placer *placer, struct place_group *group)
{
    struct place_queue *queue = queue_of(group);
    ASSERT(queue->cursor == group);
    queue->cursor = group->next;
    queue->blocked++;
    queue_touch(placer, queue);
    ready_add(group->tenant, group->priority, -1);
}
