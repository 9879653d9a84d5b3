#include "drive/slurm_reclaim.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/vector.h"
#include "drive/slurm_demand.h"

enum { MS_PER_S = 1000, US_PER_S = 1000000 };

struct watched { /* a job of somebody else's */
    uint64_t id;
    int64_t eligible_s;
    uint64_t seen_in; /* look */
    struct span_ms held;
    uint32_t attempts;
    bool is_held_up;             /* at the last look */
    bool is_reclaim, is_alarmed; /* it was held up once; told as open */
    bool is_over;                /* told; kept so that it is not told again */
};

struct slurm_reclaims {
    struct vector watched; /* sorted by id */
    uint64_t looks;
    struct boot_ns last;
    int64_t newest_start_s; /* at the last look */
};

struct looking {
    struct slurm_reclaims *memory;
    const struct slurm_reclaim_look *look;
    struct arena *arena;
    struct slurm_reclaim_found *out;
    struct span_ms elapsed; /* since the last look; 0: this is the first */
    struct reclaim *reclaims;
    uint32_t room;
};

struct slurm_reclaims *slurm_reclaims_create(void)
{
    struct slurm_reclaims *memory = calloc(1, sizeof(*memory));
    if (memory != NULL)
        vector_init(&memory->watched, sizeof(struct watched), SLURM_WATCHED_MAX);
    return memory;
}

void slurm_reclaims_destroy(struct slurm_reclaims *memory)
{
    if (memory == NULL)
        return;
    vector_deinit(&memory->watched);
    free(memory);
}

/* ---- who is watched */

static size_t position_of(const struct slurm_reclaims *memory, uint64_t id)
{
    size_t low = 0, high = memory->watched.len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct watched *at = vector_at(&memory->watched, middle);
        if (at->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct watched *find(struct slurm_reclaims *memory, uint64_t id)
{
    size_t at = position_of(memory, id);
    struct watched *found = at < memory->watched.len ? vector_at(&memory->watched, at) : NULL;
    return found != NULL && found->id == id ? found : NULL;
}

/* NULL: too many, or no memory. */
static struct watched *add(struct slurm_reclaims *memory, uint64_t id, int64_t eligible_s)
{
    const struct watched fresh = {.id = id, .eligible_s = eligible_s};
    size_t at = position_of(memory, id);
    if (vector_insert(&memory->watched, at, &fresh) != ERR_OK)
        return NULL;
    return vector_at(&memory->watched, at);
}

/* ---- what is told */

static void tell(struct looking *looking, const struct watched *watched, struct span_ms wait,
                 bool is_open)
{
    char *name = arena_alloc(looking->arena, RECLAIM_NAME_MAX);
    if (name == NULL || looking->out->reclaim_count == looking->room)
        return;
    (void)snprintf(name, RECLAIM_NAME_MAX, "slurm-%llu-%lld", (unsigned long long)watched->id,
                   (long long)watched->eligible_s);
    looking->reclaims[looking->out->reclaim_count++] =
        (struct reclaim){.name = slice_of(name),
                         .at = {watched->eligible_s * US_PER_S},
                         .wait = wait,
                         .held = watched->held,
                         .promise = looking->look->promise,
                         .attempts = watched->attempts,
                         .is_open = is_open};
}

/* ---- those who wait */

static bool is_owners(const struct slurm_reclaim_look *look, const struct slurm_demand *demand)
{
    struct slice list = demand->partitions, one;
    if (look->is_by_agent || list.len == 0)
        return true;
    while (list.len > 0) {
        bool is_lent = false;
        if (!slice_cut(list, ',', &one, &list)) {
            one = list;
            list = (struct slice){0};
        }
        for (uint32_t i = 0; i < look->lent.count; i++)
            is_lent = is_lent || slice_is_equal(one, look->lent.items[i]);
        if (!is_lent)
            return true;
    }
    return false;
}

static void watch_demand(struct looking *looking, const struct slurm_demand *demand,
                         const struct demand_verdict *verdict)
{
    struct slurm_reclaims *memory = looking->memory;
    struct watched *watched = find(memory, demand->id);
    bool is_new = watched == NULL || watched->eligible_s != demand->eligible_s;
    if (watched == NULL)
        watched = add(memory, demand->id, demand->eligible_s);
    else if (is_new) /* requeued: another wait */
        *watched = (struct watched){.id = demand->id, .eligible_s = demand->eligible_s};
    if (watched == NULL)
        return;
    /* One that was not there at the last look came since: the whole time between may be its. */
    if (is_new ? verdict->is_held_up : watched->is_held_up)
        watched->held.ms += looking->elapsed.ms;
    watched->seen_in = memory->looks;
    watched->is_held_up = verdict->is_held_up;
    watched->is_reclaim = watched->is_reclaim || verdict->is_held_up;
    if (verdict->attempts > watched->attempts)
        watched->attempts = verdict->attempts;
    looking->out->is_held_up = looking->out->is_held_up || verdict->is_held_up;
    struct span_ms promise = looking->look->promise;
    looking->out->is_late =
        looking->out->is_late || (verdict->is_held_up && watched->held.ms > promise.ms / 2);
    if (watched->is_alarmed || promise.ms == 0 || watched->held.ms <= promise.ms)
        return;
    watched->is_alarmed = true;
    tell(looking, watched, watched->held, true);
}

static enum err watch_demands(struct looking *looking)
{
    const struct slurm_reclaim_look *look = looking->look;
    const struct slurm_jobs *jobs = look->jobs;
    struct slurm_reclaim_found *out = looking->out;
    struct demand_plan plan = {.jobs = jobs, .nodes = look->nodes, .node_count = look->node_count};
    bool *owners = arena_array(looking->arena, jobs->demand_count + 1, sizeof(*owners));
    bool *placed = arena_array(looking->arena, jobs->demand_count + 1, sizeof(*placed));
    bool *promised = arena_array(looking->arena, look->node_count + 1, sizeof(*promised));
    struct attempt_token *tokens =
        arena_array(looking->arena, jobs->our_count + 1, sizeof(*tokens));
    if (owners == NULL || placed == NULL || promised == NULL || tokens == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < jobs->demand_count; i++)
        owners[i] = is_owners(look, &jobs->demands[i]);
    enum err err = demand_plan_make(&plan, owners, looking->arena);
    if (err != ERR_OK)
        return err;
    for (uint32_t i = 0; i < jobs->demand_count; i++) {
        if (owners[i])
            watch_demand(looking, &jobs->demands[i], &plan.verdicts[i]);
        placed[i] = plan.verdicts[i].is_placed;
    }
    for (uint32_t i = 0; i < look->node_count; i++)
        promised[i] = plan.places[i].is_promised;
    for (uint32_t i = 0; i < jobs->our_count; i++)
        if (plan.is_in_way[i] && jobs->ours[i].is_running)
            tokens[out->in_way_count++] = jobs->ours[i].token;
    out->is_placed = placed;
    out->is_promised = promised;
    out->in_way = tokens;
    return ERR_OK;
}

/* ---- those who have begun */

struct overlap {
    const struct slurm_job *ours;
    bool is_shared;
    struct slice host;
};

static void is_same_host(void *context, struct slice host)
{
    struct overlap *overlap = context;
    overlap->is_shared = overlap->is_shared || slice_is_equal(overlap->host, host);
}

static void is_held_host(void *context, struct slice host)
{
    struct overlap *overlap = context;
    overlap->host = host;
    (void)!slurm_hosts_each(overlap->ours->hosts, is_same_host, overlap);
}

/* Was pool work taken off for it? Slurm keeps ended jobs for a while (MinJobAge). */
static uint32_t taken_off_for(const struct slurm_jobs *jobs, const struct slurm_start *start,
                              int64_t *out_from_s, int64_t *out_to_s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < jobs->our_count; i++) {
        const struct slurm_job *job = &jobs->ours[i];
        struct overlap overlap = {.ours = job};
        if (job->preempt_s < start->eligible_s || job->preempt_s == 0 ||
            job->end_s > start->start_s || job->end_s < start->eligible_s)
            continue;
        (void)!slurm_hosts_each(start->hosts, is_held_host, &overlap);
        if (!overlap.is_shared)
            continue;
        if (count == 0 || job->preempt_s < *out_from_s)
            *out_from_s = job->preempt_s;
        if (count == 0 || job->end_s > *out_to_s)
            *out_to_s = job->end_s;
        count++;
    }
    return count;
}

static struct span_ms wait_of(const struct slurm_start *start)
{
    int64_t seconds = start->eligible_s > 0 ? start->start_s - start->eligible_s : 0;
    return SPAN_MS(seconds > 0 ? seconds * MS_PER_S : 0);
}

/* Slurm's seconds are cut off: a wait of 3 may have been nearly 4. */
static void cut(struct span_ms *held, struct span_ms wait)
{
    if (held->ms > wait.ms + MS_PER_S - 1)
        held->ms = wait.ms + MS_PER_S - 1;
}

/* It came and began between two looks, or before the first one. */
static void watch_surprise(struct looking *looking, const struct slurm_start *start)
{
    int64_t from_s = 0, to_s = 0;
    uint32_t attempts = taken_off_for(looking->look->jobs, start, &from_s, &to_s);
    struct watched *watched =
        attempts == 0 ? NULL : add(looking->memory, start->id, start->eligible_s);
    if (watched == NULL)
        return;
    watched->attempts = attempts;
    watched->held =
        looking->elapsed.ms > 0 ? looking->elapsed : SPAN_MS((to_s - from_s + 1) * MS_PER_S);
    cut(&watched->held, wait_of(start));
    watched->is_over = true;
    watched->seen_in = looking->memory->looks;
    tell(looking, watched, wait_of(start), false);
}

static void watch_start(struct looking *looking, const struct slurm_start *start)
{
    struct slurm_reclaims *memory = looking->memory;
    struct watched *watched = find(memory, start->id);
    if (watched == NULL) {
        bool is_recent = looking->elapsed.ms == 0 || start->start_s + 1 >= memory->newest_start_s;
        if (is_recent)
            watch_surprise(looking, start);
        return;
    }
    watched->seen_in = memory->looks;
    if (watched->is_over)
        return;
    if (watched->is_held_up)
        watched->held.ms += looking->elapsed.ms;
    watched->is_over = true;
    watched->is_held_up = false;
    cut(&watched->held, wait_of(start));
    if (watched->is_reclaim)
        tell(looking, watched, wait_of(start), false);
}

/* Cancelled while it waited, or forgotten by Slurm. */
static void forget_gone(struct looking *looking)
{
    struct slurm_reclaims *memory = looking->memory;
    size_t kept = 0;
    for (size_t i = 0; i < memory->watched.len; i++) {
        const struct watched watched = *(struct watched *)vector_at(&memory->watched, i);
        if (watched.seen_in == memory->looks)
            *(struct watched *)vector_at(&memory->watched, kept++) = watched;
        else if (watched.is_alarmed && !watched.is_over)
            tell(looking, &watched, watched.held, false);
    }
    memory->watched.len = kept;
}

enum err slurm_reclaims_look(struct slurm_reclaims *memory, const struct slurm_reclaim_look *look,
                             struct arena *arena, struct slurm_reclaim_found *out)
{
    struct looking looking = {.memory = memory, .look = look, .arena = arena, .out = out};
    *out = (struct slurm_reclaim_found){0};
    looking.room =
        look->jobs->demand_count + look->jobs->start_count + (uint32_t)memory->watched.len;
    looking.reclaims = arena_array(arena, looking.room + 1, sizeof(*looking.reclaims));
    if (looking.reclaims == NULL)
        return ERR_NO_MEMORY;
    if (memory->looks > 0)
        looking.elapsed = boot_since(look->now, memory->last);
    memory->looks++;
    enum err err = watch_demands(&looking);
    if (err != ERR_OK) {
        memory->looks--;
        *out = (struct slurm_reclaim_found){0};
        return err;
    }
    for (uint32_t i = 0; i < look->jobs->start_count; i++)
        watch_start(&looking, &look->jobs->starts[i]);
    forget_gone(&looking);
    memory->last = look->now;
    for (uint32_t i = 0; i < look->jobs->start_count; i++)
        if (look->jobs->starts[i].start_s > memory->newest_start_s)
            memory->newest_start_s = look->jobs->starts[i].start_s;
    out->reclaims = looking.reclaims;
    return ERR_OK;
}
