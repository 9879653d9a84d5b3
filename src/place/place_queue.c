/* The queue: jobs in groups that are alike, groups by tenant and class in the order of their first
 * jobs. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

bool place_queued_is_before(const struct place_queued *a, const struct place_queued *b)
{
    if (a->job.created_at.us != b->job.created_at.us)
        return a->job.created_at.us < b->job.created_at.us;
    return id_compare(a->job.id.id, b->job.id.id) < 0;
}

/* ---- groups in their tenant's order */

static struct place_order *order_of(const struct place_group *group)
{
    return &group->tenant->sides[group->priority].groups;
}

static struct place_mask marks_of(struct placer *placer, const struct place_group *group)
{
    struct place_mask marks = {{0}};
    placer->must_lend =
        placer->must_lend || (group->shape->fit > group->step && group->shape->fit < PLACE_STEPS);
    uint32_t mark = group->shape->mark;
    if (group->parked_in != NULL)
        mark = group->barren > 0 ? MARK_BARREN : MARK_PARKED;
    mask_set(&marks, mark, true);
    return marks;
}

/* Puts it where its first job belongs; an array that is full stays out. */
static void group_enter(struct placer *placer, struct place_group *group)
{
    if (group->array != NULL && group->array->held >= group->array->max)
        return;
    group->knot.key = group->first->job.created_at.us;
    group->knot.tie =
        (struct slice){(const char *)group->first->job.id.id.bytes, sizeof(struct id)};
    group->knot.owner = group;
    group->knot.own = marks_of(placer, group);
    order_insert(order_of(group), &group->knot);
    for (uint32_t i = 0; i < placer->reservation_count; i++)
        placer->must_reserve =
            placer->must_reserve || group->priority >= placer->reservations[i]->priority;
    placer->must_reserve =
        placer->must_reserve || placer->reservation_count < PLACE_RESERVATIONS_MAX;
    place_share_remark(placer, group->tenant, group->priority);
}

static void group_leave(struct placer *placer, struct place_group *group)
{
    if (!group->knot.is_in)
        return;
    order_remove(order_of(group), &group->knot);
    place_share_remark(placer, group->tenant, group->priority);
}

static void group_remark(struct placer *placer, struct place_group *group)
{
    struct place_mask marks = marks_of(placer, group);
    if (!group->knot.is_in || mask_is_equal(&group->knot.own, &marks))
        return;
    order_remark(&group->knot, &marks);
    place_share_remark(placer, group->tenant, group->priority);
}

void place_groups_remark(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    while (strmap_next(&placer->groups, &cursor, NULL, &value))
        group_remark(placer, value);
}

/* ---- parking */

static void barren_count(struct placer *placer, struct place_group *group, uint64_t barren)
{
    if (placer->barren_supply != placer->supply) {
        placer->barren_supply = placer->supply;
        placer->barren_now = 0;
    }
    placer->barren_groups -= group->barren > 0;
    placer->barren_now -= group->barren == placer->supply;
    group->barren = barren;
    placer->barren_groups += group->barren > 0;
    placer->barren_now += group->barren == placer->supply;
}

void place_group_barren(struct placer *placer, struct place_group *group, bool is_barren)
{
    barren_count(placer, group, is_barren ? placer->supply : 0);
    group_remark(placer, group);
}

bool place_has_fertile(const struct placer *placer)
{
    return placer->barren_groups > 0 &&
           (placer->barren_supply != placer->supply || placer->barren_now < placer->barren_groups);
}

/* The most that its first job can pay an hour, rounded up: what it pays is rounded in two parts.
 * The others of the group are alike. */
static struct money most_paid(const struct placer *placer, const struct place_group *group)
{
    const struct place_job *job = &group->first->job;
    int64_t runs_ms = place_expected(placer, job).ms;
    if (job->spec->budget.micros <= 0 || runs_ms <= 0)
        return (struct money){INT64_MAX};
    struct money budget = money_add_saturated(job->spec->budget, (struct money){1});
    struct money pay = money_scale_saturated(budget, 3600000, runs_ms);
    return money_add_saturated(pay, (struct money){1});
}

void place_group_park(struct placer *placer, struct place_group *group, bool of_quota)
{
    ASSERT(group->parked_in == NULL);
    struct place_group **list = of_quota ? &placer->quota_parked : &group->shape->parked;
    group->parked_in = list;
    group->parked_previous = NULL;
    group->parked_next = *list;
    if (*list != NULL)
        (*list)->parked_previous = group;
    *list = group;
    group->parked_mark = group->shape->mark;
    group->pay_max = most_paid(placer, group);
    place_parked_count(placer, group->parked_mark, group->pay_max, 1);
    group_remark(placer, group);
}

static void group_unpark(struct placer *placer, struct place_group *group)
{
    if (group->parked_in == NULL)
        return;
    place_parked_count(placer, group->parked_mark, (struct money){0}, -1);
    if (group->parked_previous != NULL)
        group->parked_previous->parked_next = group->parked_next;
    else
        *group->parked_in = group->parked_next;
    if (group->parked_next != NULL)
        group->parked_next->parked_previous = group->parked_previous;
    group->parked_in = NULL;
}

void place_groups_unpark(struct placer *placer, struct place_group **list)
{
    while (*list != NULL) {
        struct place_group *group = *list;
        group_unpark(placer, group);
        group_remark(placer, group);
    }
}

void place_option_unpark(struct placer *placer, const struct place_option *option)
{
    struct place_group *next;
    for (struct place_group *group = option->shape->parked; group != NULL; group = next) {
        const struct place_job *job = &group->first->job;
        next = group->parked_next;
        if (option_pays(option).micros > group->pay_max.micros ||
            id_is_equal(job->avoid.id, option->site->site.id.id) ||
            !place_is_affordable(placer, job, option))
            continue;
        group_unpark(placer, group);
        group_remark(placer, group);
    }
}

/* ---- arrays */

static void array_join(struct place_array *array, struct place_group *group)
{
    group->array = array;
    group->array_next = array->groups;
    array->groups = group;
}

static void array_drop(struct placer *placer, struct place_array *array, const void *spec)
{
    if (array->held > 0 || array->groups != NULL)
        return;
    (void)u64map_remove(&placer->arrays, (uintptr_t)spec);
    free(array);
}

static void array_part(struct placer *placer, struct place_group *group, const void *spec)
{
    struct place_array *array = group->array;
    if (array == NULL)
        return;
    struct place_group **at = &array->groups;
    while (*at != group)
        at = &(*at)->array_next;
    *at = group->array_next;
    array_drop(placer, array, spec);
}

static struct place_array *array_of(struct placer *placer, const struct job_spec *spec)
{
    struct place_array *array = u64map_get(&placer->arrays, (uintptr_t)spec);
    if (array != NULL)
        return array;
    array = calloc(1, sizeof(*array));
    if (array == NULL || u64map_add(&placer->arrays, (uintptr_t)spec, array) != ERR_OK) {
        free(array);
        return NULL;
    }
    array->max = spec->array_parallel_max;
    return array;
}

bool place_array_is_open(const struct placer *placer, const struct job_spec *spec)
{
    const struct place_array *array = u64map_get(&placer->arrays, (uintptr_t)spec);
    return array == NULL || array->held < array->max;
}

void place_array_count(struct placer *placer, const struct job_spec *spec, int change)
{
    if (spec->array_parallel_max == 0)
        return;
    struct place_array *array = array_of(placer, spec);
    ASSERT(array != NULL && (change > 0 || array->held > 0));
    bool was_open = array->held < array->max;
    array->held = change > 0 ? array->held + 1 : array->held - 1;
    bool is_open = array->held < array->max;
    for (struct place_group *group = array->groups; group != NULL && was_open != is_open;
         group = group->array_next) {
        if (is_open)
            group_enter(placer, group);
        else
            group_leave(placer, group);
    }
    array_drop(placer, array, spec);
}

/* ---- jobs in groups */

struct group_key {
    struct tenant_id tenant;
    uint64_t priority, step;
    const struct place_shape *shape;
    const struct job_spec *array; /* NULL: none */
    int64_t budget, runs_ms;      /* 0, 0: no budget */
    struct site_id avoid;
};

/* What keeps jobs of one shape apart. */
static struct group_key group_key(const struct placer *placer, const struct place_job *job,
                                  const struct place_shape *shape)
{
    struct group_key key;
    memset(&key, 0, sizeof(key));
    key.tenant = job->tenant;
    key.priority = (uint64_t)job->spec->priority;
    key.step = place_step(place_limit(placer, job));
    key.shape = shape;
    key.array = job->spec->array_parallel_max > 0 ? job->spec : NULL;
    key.budget = job->spec->budget.micros;
    key.runs_ms = key.budget > 0 ? place_expected(placer, job).ms : 0;
    key.avoid = job->avoid;
    return key;
}

static enum err group_make(struct placer *placer, const struct group_key *key,
                           struct place_queued *queued, struct place_shape *shape,
                           struct place_group **out)
{
    const struct job_spec *spec = queued->job.spec;
    struct slice bytes = {(const char *)key, sizeof(*key)};
    struct place_array *array = NULL;
    if (spec->array_parallel_max > 0 && (array = array_of(placer, spec)) == NULL)
        return ERR_NO_MEMORY;
    struct place_group *group = calloc(1, sizeof(*group) + bytes.len);
    enum err err = group == NULL ? ERR_NO_MEMORY : strmap_add(&placer->groups, bytes, group);
    if (err != ERR_OK) {
        free(group);
        if (array != NULL)
            array_drop(placer, array, spec);
        return err;
    }
    group->key_len = (uint32_t)bytes.len;
    memcpy(group->key, key, bytes.len);
    group->tenant = place_tenant_find(placer, queued->job.tenant);
    group->priority = spec->priority;
    group->shape = shape;
    group->step = (uint8_t)key->step;
    if (array != NULL)
        array_join(array, group);
    *out = group;
    return ERR_OK;
}

/* Into the list, in order; a new first job may move the group. */
static void group_join(struct placer *placer, struct place_group *group,
                       struct place_queued *queued)
{
    struct place_queued *previous = group->last;
    while (previous != NULL && place_queued_is_before(queued, previous))
        previous = previous->previous;
    bool is_first = previous == NULL;
    if (is_first)
        group_leave(placer, group);
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
        group_enter(placer, group);
}

static void pending_add(struct place_tenant *tenant, int64_t change)
{
    for (; tenant != NULL; tenant = tenant->parent)
        tenant->pending = (uint64_t)((int64_t)tenant->pending + change);
}

enum err place_queue_push(struct placer *placer, struct place_queued *queued)
{
    struct place_shape *shape;
    enum err err = shape_find(placer, &queued->job, &shape);
    if (err != ERR_OK)
        return err;
    struct group_key key = group_key(placer, &queued->job, shape);
    struct place_group *group =
        strmap_get(&placer->groups, (struct slice){(const char *)&key, sizeof(key)});
    if (group == NULL) {
        err = group_make(placer, &key, queued, shape, &group);
        if (err != ERR_OK)
            return err;
        shape_wait(placer, shape, group->step, 1);
    }
    group_join(placer, group, queued);
    pending_add(group->tenant, 1);
    return ERR_OK;
}

void place_queue_remove(struct placer *placer, struct place_queued *queued)
{
    struct place_group *group = queued->group;
    bool is_first = group->first == queued;
    pending_add(group->tenant, -1);
    if (is_first)
        group_leave(placer, group);
    if (queued->previous != NULL)
        queued->previous->next = queued->next;
    else
        group->first = queued->next;
    if (queued->next != NULL)
        queued->next->previous = queued->previous;
    else
        group->last = queued->previous;
    if (--group->job_count > 0) {
        if (is_first)
            group_enter(placer, group);
        return;
    }
    group_unpark(placer, group);
    barren_count(placer, group, 0);
    array_part(placer, group, queued->job.spec);
    (void)strmap_remove(&placer->groups, (struct slice){group->key, group->key_len});
    shape_wait(placer, group->shape, group->step, -1);
    free(group);
}

void place_queue_relimit(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&placer->queued, &cursor, NULL, &value)) {
        struct place_queued *queued = value;
        if (queued->job.spec->time_limit.ms > 0)
            continue;
        place_queue_remove(placer, queued);
        queued->previous = queued->next = NULL;
        enum err err = place_queue_push(placer, queued);
        ASSERT(err == ERR_OK);
    }
}

/* ---- walking */

void place_walk_begin(struct place_walk *walk, const struct placer *placer,
                      enum priority_class priority, const struct place_mask *marks)
{
    walk->priority = priority;
    walk->depth = 0;
    walk->at[0].query = query_of(marks);
    walk->at[0].knot = order_first(&placer->roots[priority], &walk->at[0].query);
    walk->tenant = NULL;
    walk->group_knot = NULL;
}

/* A tenant's own jobs come before its children's: it is the one that pays for both. */
struct place_group *place_walk_next(struct place_walk *walk)
{
    for (;;) {
        if (walk->tenant != NULL) {
            walk->group_knot =
                walk->group_knot == NULL
                    ? order_first(&walk->tenant->sides[walk->priority].groups, &walk->query)
                    : order_next(walk->group_knot, &walk->query);
            if (walk->group_knot != NULL)
                return walk->group_knot->owner;
            /* Down to its children. */
            ASSERT(walk->depth + 1 < sizeof(walk->at) / sizeof(walk->at[0]));
            walk->depth++;
            walk->at[walk->depth].query = walk->query;
            walk->at[walk->depth].knot =
                order_first(&walk->tenant->sides[walk->priority].children, &walk->query);
            walk->tenant = NULL;
        }
        while (walk->at[walk->depth].knot == NULL) {
            if (walk->depth == 0)
                return NULL;
            walk->depth--;
            walk->at[walk->depth].knot =
                order_next(walk->at[walk->depth].knot, &walk->at[walk->depth].query);
        }
        walk->tenant = walk->at[walk->depth].knot->owner;
        walk->query = walk->at[walk->depth].query;
        if (walk->tenant->has_allowed) {
            mask_meet(&walk->query.marks, &walk->tenant->allowed);
            walk->query = query_of(&walk->query.marks);
        }
        walk->group_knot = NULL;
    }
}
