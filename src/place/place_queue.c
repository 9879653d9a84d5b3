/* The queue: groups by tenant and class, fair share over the tenant tree. */
#include <stdlib.h>

#include "base/assert.h"
#include "place/place_state.h"

struct place_tenant *place_tenant_find(struct placer *placer, struct tenant_id id)
{
    return idmap_get(&placer->tenants, id.id);
}

static void ready_add(struct place_tenant *tenant, enum priority_class priority, int32_t change)
{
    for (struct place_tenant *at = tenant; at != NULL; at = at->parent) {
        ASSERT(change > 0 || at->ready[priority] >= (uint32_t)-change);
        at->ready[priority] = (uint32_t)((int32_t)at->ready[priority] + change);
    }
}

/* Capacity or quota may have grown: every group may be tried again. */
void place_version_raise(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    placer->version++;
    placer->failed = 0;
    placer->reservation_count = 0;
    while (idmap_next(&placer->tenants, &cursor, NULL, &value)) {
        struct place_tenant *tenant = value;
        for (int c = 0; c < PRIORITY_COUNT_; c++) {
            struct place_queue *queue = &tenant->queues[c];
            int32_t again = 0;
            for (struct place_group *g = queue->first; g != queue->cursor; g = g->next)
                again++;
            queue->cursor = queue->first;
            if (again > 0)
                ready_add(tenant, (enum priority_class)c, again);
        }
    }
}

static bool is_same_group(const struct place_group *group, const struct place_job *job)
{
    const struct place_job *head = &group->first->job;
    return group->spec == job->spec && head->has_restore == job->has_restore &&
           head->restore_bytes == job->restore_bytes &&
           id_is_equal(head->avoid.id, job->avoid.id) &&
           id_is_equal(head->restore_site.id, job->restore_site.id);
}

static void group_append(struct place_group *group, bool to_front)
{
    struct place_queue *queue = &group->tenant->queues[group->priority];
    if (to_front) {
        group->order = --queue->order_first;
        group->next = queue->first;
        if (queue->first != NULL)
            queue->first->previous = group;
        else
            queue->last = group;
        queue->first = group;
        /* Groups behind the old cursor stay known as blocked; they are only tried twice, which is
         * safe. */
        int32_t again = 1;
        for (struct place_group *g = group->next; g != queue->cursor; g = g->next)
            again++;
        queue->cursor = group;
        ready_add(group->tenant, group->priority, again);
    } else {
        group->order = ++queue->order_last;
        group->previous = queue->last;
        if (queue->last != NULL)
            queue->last->next = group;
        else
            queue->first = group;
        queue->last = group;
        if (queue->cursor == NULL)
            queue->cursor = group;
        ready_add(group->tenant, group->priority, 1);
    }
}

static void group_free(struct place_group *group)
{
    struct place_queue *queue = &group->tenant->queues[group->priority];
    if (queue->cursor != NULL && group->order >= queue->cursor->order)
        ready_add(group->tenant, group->priority, -1);
    if (queue->cursor == group)
        queue->cursor = group->next;
    if (group->previous != NULL)
        group->previous->next = group->next;
    else
        queue->first = group->next;
    if (group->next != NULL)
        group->next->previous = group->previous;
    else
        queue->last = group->previous;
    free(group);
}

void place_queue_push(struct placer *placer, struct place_queued *queued, bool to_front)
{
    struct place_tenant *tenant = place_tenant_find(placer, queued->job.tenant);
    ASSERT(tenant != NULL);
    enum priority_class priority = queued->job.spec->priority;
    struct place_queue *queue = &tenant->queues[priority];
    struct place_group *group = to_front ? queue->first : queue->last;
    if (group == NULL || !is_same_group(group, &queued->job)) {
        group = calloc(1, sizeof(*group));
        ASSERT(group != NULL);
        group->tenant = tenant;
        group->priority = priority;
        group->spec = queued->job.spec;
        group_append(group, to_front);
    }
    queued->group = group;
    queued->previous = to_front ? NULL : group->last;
    queued->next = to_front ? group->first : NULL;
    if (queued->previous != NULL)
        queued->previous->next = queued;
    else
        group->first = queued;
    if (queued->next != NULL)
        queued->next->previous = queued;
    else
        group->last = queued;
    group->job_count++;
    for (struct place_tenant *at = tenant; at != NULL; at = at->parent)
        at->pending++;
}

void place_queue_remove(struct place_queued *queued)
{
    struct place_group *group = queued->group;
    if (queued->previous != NULL)
        queued->previous->next = queued->next;
    else
        group->first = queued->next;
    if (queued->next != NULL)
        queued->next->previous = queued->previous;
    else
        group->last = queued->previous;
    for (struct place_tenant *at = group->tenant; at != NULL; at = at->parent)
        at->pending--;
    if (--group->job_count == 0)
        group_free(group);
}

/* ---- fair share: decayed history plus what is held now, over weight; halves in a day */

enum { SHARE_STEP_S = 3600, SHARE_NUMERATOR = 63670, SHARE_DENOMINATOR = 65536 }; /* 2^(-1/24) */

static void share_decay(struct place_tenant *tenant, int64_t at_s)
{
    int64_t steps = (at_s - tenant->charged_at_s) / SHARE_STEP_S;
    if (steps <= 0)
        return;
    tenant->charged_at_s += steps * SHARE_STEP_S;
    if (steps > 24 * 40) {
        tenant->charged = 0;
        return;
    }
    while (steps-- > 0)
        tenant->charged =
            (uint64_t)((unsigned __int128)tenant->charged * SHARE_NUMERATOR / SHARE_DENOMINATOR);
}

void place_share_charge(struct place_tenant *tenant, uint64_t core_ms, struct wall_us at)
{
    for (; tenant != NULL; tenant = tenant->parent) {
        share_decay(tenant, at.us / 1000000);
        if (tenant->charged < UINT64_MAX / 4)
            tenant->charged += core_ms;
    }
}

void place_share_hold(struct place_tenant *tenant, const struct place_hold *hold, bool is_taken)
{
    uint64_t cpu = (uint64_t)hold->cpu_milli * hold->nodes;
    uint64_t devices = (uint64_t)hold->accelerators * hold->nodes;
    for (; tenant != NULL; tenant = tenant->parent) {
        tenant->cpu_milli_held =
            is_taken ? tenant->cpu_milli_held + cpu : tenant->cpu_milli_held - cpu;
        tenant->accelerators_held =
            is_taken ? tenant->accelerators_held + devices : tenant->accelerators_held - devices;
    }
}

static unsigned __int128 share_key(struct place_tenant *tenant, int64_t now_s)
{
    share_decay(tenant, now_s);
    uint64_t held_milli =
        tenant->cpu_milli_held + tenant->accelerators_held * PLACE_ACCELERATOR_CORES * 1000;
    return (unsigned __int128)tenant->charged +
           (unsigned __int128)held_milli * PLACE_SHARE_WINDOW_S;
}

/* Is a's use over its weight below b's? Equal: the older name order stands. */
static bool is_poorer(struct place_tenant *a, struct place_tenant *b, int64_t now_s)
{
    return share_key(a, now_s) * b->tenant.weight < share_key(b, now_s) * a->tenant.weight;
}

static struct place_tenant *poorest(const struct vector *tenants, enum priority_class priority,
                                    int64_t now_s)
{
    struct place_tenant *best = NULL;
    for (size_t i = 0; i < tenants->len; i++) {
        struct place_tenant *at = *(struct place_tenant **)vector_at(tenants, i);
        if (at->ready[priority] > 0 && (best == NULL || is_poorer(at, best, now_s)))
            best = at;
    }
    return best;
}

struct place_group *place_queue_next(struct placer *placer, struct now now)
{
    int64_t now_s = now.wall.us / 1000000;
    for (int c = PRIORITY_COUNT_ - 1; c >= 0; c--) {
        enum priority_class priority = (enum priority_class)c;
        struct place_tenant *at = poorest(&placer->roots, priority, now_s);
        while (at != NULL) {
            /* A tenant's own jobs come before its children's: it is the one that pays for both. */
            if (at->queues[priority].cursor != NULL)
                return at->queues[priority].cursor;
            at = poorest(&at->children, priority, now_s);
        }
    }
    return NULL;
}

void place_group_block(struct placer *placer, struct place_group *group, enum place_filter by)
{
    struct place_queue *queue = &group->tenant->queues[group->priority];
    ASSERT(queue->cursor == group);
    group->blocked_by = by;
    group->blocked_version = placer->version;
    queue->cursor = group->next;
    ready_add(group->tenant, group->priority, -1);
}
