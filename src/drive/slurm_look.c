/* What lives of a name, by Slurm's own word; end records of ours say how it went. */
#include <stdio.h>
#include <string.h>

#include "drive/slurm_private.h"
#include "port/file.h"

enum { CANCEL_IDS_MAX = 8, ID_DIGITS_MAX = 24 };

/* ---- one attempt */

struct finding {
    const struct slurm_job *last; /* of the wanted launch, else the newest */
    uint64_t living[CANCEL_IDS_MAX];
    uint32_t living_count, job_count, nodes;
};

static uint64_t launch_of(const struct slurm_job *job)
{
    uint64_t number = 0;
    return slice_parse_u64(job->comment, &number) == ERR_OK ? number : 0;
}

static void find(const struct slurm_view *view, const struct attempt_token *token,
                 uint64_t incarnation, struct finding *out)
{
    *out = (struct finding){.nodes = 1};
    for (uint32_t i = 0; i < view->jobs.our_count; i++) {
        const struct slurm_job *job = &view->jobs.ours[i];
        if (!attempt_token_is_equal(&job->token, token))
            continue;
        out->job_count++;
        if (job->state == SLURM_LIVES && out->living_count < CANCEL_IDS_MAX)
            out->living[out->living_count++] = job->id;
        if (job->node_count > out->nodes && job->node_count <= JOB_NODES_MAX)
            out->nodes = job->node_count;
        bool is_wanted = incarnation != 0 && launch_of(job) == incarnation;
        bool was_wanted =
            out->last != NULL && incarnation != 0 && launch_of(out->last) == incarnation;
        if (out->last == NULL || is_wanted || (!was_wanted && job->id > out->last->id))
            out->last = job;
    }
}

static bool read_end(struct slurm_call *call, const char *dir, uint32_t rank,
                     struct gate_message *out, struct slice *out_why)
{
    char path[LAUNCH_PATH_MAX + 64];
    struct slice json;
    (void)snprintf(path, sizeof(path), "%s/rank-%u/end.json", dir, rank);
    return file_read(path, SUPERVISE_BYTES_MAX, &call->arena, NULL, &json) == ERR_OK &&
           end_record_decode(json, &call->arena, out, out_why, NULL) == ERR_OK &&
           attempt_token_is_equal(&out->token, &call->answer.token) && out->rank == rank;
}

/* More ranks than Slurm remembers: the first rank's own file knows. */
static uint32_t ranks_of(struct slurm_call *call, const char *dir, uint32_t nodes)
{
    char path[LAUNCH_PATH_MAX + 64];
    struct slice json;
    struct supervise_doc doc;
    (void)snprintf(path, sizeof(path), "%s/rank-0/supervise.json", dir);
    if (file_read(path, SUPERVISE_BYTES_MAX, &call->arena, NULL, &json) == ERR_OK &&
        supervise_doc_decode(json, &call->arena, &doc, NULL) == ERR_OK && doc.nodes > nodes)
        return doc.nodes;
    return nodes;
}

static void say_end(struct slurm_call *call, const struct slurm_job *job)
{
    char begin[TIME_TEXT_MAX] = "-", end[TIME_TEXT_MAX] = "-";
    if (job->start_s > 0)
        wall_format((struct wall_us){job->start_s * 1000000}, begin);
    if (job->end_s > 0)
        wall_format((struct wall_us){job->end_s * 1000000}, end);
    (void)snprintf(call->why, sizeof(call->why),
                   "Slurm job %llu: %.*s, exit %d, signal %d, on %.100s, %s to %s",
                   (unsigned long long)job->id, (int)(job->said.len < 40 ? job->said.len : 40),
                   job->said.data == NULL ? "" : job->said.data, job->exit_status, job->exit_signal,
                   job->hosts.data == NULL ? "" : job->hosts.data, begin, end);
}

/* True: some rank left an end record. */
static bool take_ends(struct slurm_call *call, const char *dir)
{
    bool has_end = false;
    for (uint32_t rank = 0; rank < call->answer.rank_count; rank++) {
        struct gate_message message;
        struct slice why;
        if (!read_end(call, dir, rank, &message, &why))
            continue;
        has_end = true;
        if (call->answer.incarnation == 0 || message.incarnation == call->incarnation)
            call->answer.incarnation = message.incarnation;
        if (call->incarnation != 0 && message.incarnation != call->incarnation)
            continue;
        call->ranks[rank] = (struct drive_rank_end){.is_known = true,
                                                    .outcome = message.outcome,
                                                    .exit_code = message.exit_code,
                                                    .ran = message.ran,
                                                    .gate_wait = message.gate_wait,
                                                    .kill_wait = message.kill_wait,
                                                    .cpu_ms = message.cpu_ms,
                                                    .progress = message.progress};
    }
    return has_end;
}

/* Ranks that left without a word: Slurm's record of the job speaks for them. */
static void fill_from_job(struct slurm_call *call, const struct slurm_job *job)
{
    if (call->incarnation != 0 && launch_of(job) != call->incarnation)
        return;
    call->answer.incarnation = launch_of(job);
    for (uint32_t rank = 0; rank < call->answer.rank_count; rank++) {
        if (call->ranks[rank].is_known)
            continue;
        call->ranks[rank] = (struct drive_rank_end){
            .is_known = true,
            .outcome = slurm_outcome(job),
            .exit_code = job->exit_signal != 0 ? 128 + job->exit_signal : job->exit_status,
        };
    }
}

static void cancel(struct slurm_call *call, const struct finding *finding)
{
    char ids[CANCEL_IDS_MAX][ID_DIGITS_MAX];
    const char *arguments[CANCEL_IDS_MAX + 1] = {NULL};
    struct buffer said;
    int status = 0;
    for (uint32_t i = 0; i < finding->living_count; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "%llu", (unsigned long long)finding->living[i]);
        arguments[i] = ids[i];
    }
    buffer_init(&said, SLURM_OUTPUT_BYTES_MAX);
    call->is_cancelled = slurm_command_run(&call->slurm->commands, SLURM_SCANCEL, arguments, true,
                                           &said, &status) == ERR_OK &&
                         status == 0;
    buffer_deinit(&said);
}

/* ---- a lost node: Slurm's NODE_FAIL says that it does not hear of it, not that nothing runs there
 */

struct roll_call {
    const struct slurm_node *nodes;
    uint32_t count;
    bool is_away;
};

static void on_lost_host(void *context, struct slice host)
{
    struct roll_call *roll = context;
    bool is_here = false;
    for (uint32_t i = 0; i < roll->count; i++)
        if (slice_is_equal(roll->nodes[i].name, host))
            is_here = !roll->nodes[i].is_away;
    roll->is_away = roll->is_away || !is_here;
}

/* True: some node of the job is still away. A slurmd that comes back ends what Slurm gave up. */
static bool may_live_on(struct slurm_call *call, const struct slurm_job *job)
{
    struct roll_call roll = {0};
    struct fault fault = {0};
    if (job->state != SLURM_NODE_FAIL || job->restarts > 0)
        return false;
    for (uint32_t rank = 0; rank < call->answer.rank_count; rank++)
        roll.is_away = roll.is_away || !call->ranks[rank].is_known;
    if (!roll.is_away)
        return false; /* every rank left its end record */
    roll.is_away = false;
    if (slurm_read_nodes(&call->slurm->commands, &call->arena, &roll.nodes, &roll.count, &fault) !=
            ERR_OK ||
        slurm_hosts_each(job->hosts, on_lost_host, &roll) != ERR_OK)
        return true;
    return roll.is_away;
}

void slurm_look_answer(struct slurm_call *call, const struct slurm_view *view)
{
    char dir[LAUNCH_PATH_MAX];
    struct finding finding;
    arena_reset(&call->arena);
    call->answer.incarnation = 0;
    call->answer.rank_count = 0;
    call->answer.kind = DRIVE_UNSURE;
    call->ranks = arena_array(&call->arena, JOB_NODES_MAX, sizeof(*call->ranks));
    if (!view->is_known || call->ranks == NULL ||
        slurm_attempt_dir(call->slurm, &call->answer.token, dir) != ERR_OK) {
        (void)snprintf(call->why, sizeof(call->why), "%s", view->fault.message);
        return;
    }
    find(view, &call->answer.token, call->incarnation, &finding);
    call->answer.ranks = call->ranks;
    call->answer.rank_count = ranks_of(call, dir, finding.nodes);
    bool has_end = take_ends(call, dir);
    if (finding.living_count == 0 && finding.last != NULL && may_live_on(call, finding.last)) {
        call->answer.kind = DRIVE_PRESENT;
        (void)snprintf(call->why, sizeof(call->why), "its node is away, and may still run it");
        return;
    }
    if (finding.living_count > 0) {
        /* What Slurm would start again is over as an attempt: it goes. */
        bool is_requeued = finding.last->restarts > 0;
        if ((call->answer.call == DRIVE_KILL && !call->is_cancelled) || is_requeued)
            cancel(call, &finding);
        call->answer.kind = DRIVE_PRESENT;
        if (call->answer.incarnation == 0)
            call->answer.incarnation = launch_of(finding.last);
        return;
    }
    call->answer.kind = has_end || finding.job_count > 0 ? DRIVE_ENDED : DRIVE_ABSENT;
    if (finding.last == NULL)
        return;
    fill_from_job(call, finding.last);
    say_end(call, finding.last);
}

/* ---- the nodes */

struct commitment { /* what our own attempts hold on a node */
    uint64_t cpus, mem_bytes;
    uint32_t devices;
};

struct spread {
    const struct slurm_settings *settings;
    struct commitment *ours;
    struct commitment each; /* of one node of the job */
};

static int node_index(const struct slurm_settings *settings, struct slice name)
{
    for (uint32_t i = 0; i < settings->node_count; i++)
        if (slice_is_equal(settings->nodes[i].name, name))
            return (int)i;
    return -1;
}

static void on_host(void *context, struct slice host)
{
    struct spread *spread = context;
    int at = node_index(spread->settings, host);
    if (at < 0)
        return;
    spread->ours[at].cpus += spread->each.cpus;
    spread->ours[at].mem_bytes += spread->each.mem_bytes;
    spread->ours[at].devices += spread->each.devices;
}

/* Jobs of ours that hold nodes; foreign load is what is left when they are taken off. */
static void add_ours(const struct slurm *slurm, const struct slurm_view *view,
                     struct commitment *ours)
{
    for (uint32_t i = 0; i < view->jobs.our_count; i++) {
        const struct slurm_job *job = &view->jobs.ours[i];
        struct slurm_gres gres[SLURM_GRES_MAX];
        struct spread spread = {.settings = &slurm->settings, .ours = ours};
        /* What one that is leaving still holds is the owner's already, if it was for the owner. */
        if (!job->is_running || job->hosts.len == 0 || job->node_count == 0)
            continue;
        uint32_t kinds = slurm_gres_parse(job->gres_per_node, gres);
        spread.each.cpus = job->cpus / job->node_count;
        spread.each.mem_bytes = job->mem_bytes_per_node;
        for (uint32_t k = 0; k < kinds; k++)
            spread.each.devices += gres[k].count;
        (void)!slurm_hosts_each(job->hosts, on_host, &spread);
    }
}

static uint64_t less(uint64_t all, uint64_t used, uint64_t ours)
{
    uint64_t foreign = used > ours ? used - ours : 0;
    return all > foreign ? all - foreign : 0;
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

/* Slurm measures the load of a whole node; where both hold cores of it, each has its share. */
static void measure_load(const struct slurm_node *found, const struct commitment *ours,
                         const struct text_pair *gres, const struct site_node *node,
                         struct node_load *out)
{
    uint64_t pool = at_most(ours->cpus, found->cpus_used), owner = found->cpus_used - pool;
    uint64_t busy = at_most(found->load_milli, (uint64_t)found->cpus_used * 1000);
    uint64_t pool_busy = found->cpus_used > 0 ? busy * pool / found->cpus_used : 0;
    uint64_t devices = 0;
    if (gres != NULL)
        devices = slurm_gres_count(found->used, found->used_count, gres->key);
    devices = devices > ours->devices ? devices - ours->devices : 0;
    *out = (struct node_load){
        .is_known = !found->is_away,
        .has_busy = found->has_load,
        .owner_cpu_milli = (uint32_t)at_most(owner * 1000, node->cpu_milli),
        .owner_devices = (uint32_t)at_most(devices, node->accelerator_count),
        .owner_busy_cpu_milli = (uint32_t)at_most(busy - pool_busy, node->cpu_milli),
        .pool_busy_cpu_milli = (uint32_t)at_most(pool_busy, node->cpu_milli),
    };
}

static void measure_node(const struct slurm *slurm, const struct slurm_node *found,
                         const struct commitment *ours, const struct site_node *node,
                         struct sync_node *out)
{
    const struct text_pair *gres = slurm_gres_of(slurm->settings.config, node->accelerator);
    uint64_t cpus = less(found->cpus, found->cpus_used, ours->cpus) * 1000;
    uint64_t mem = less(found->mem_bytes, found->mem_bytes_used, ours->mem_bytes);
    uint64_t devices = 0;
    if (gres != NULL)
        devices = less(slurm_gres_count(found->gres, found->gres_count, gres->key),
                       slurm_gres_count(found->used, found->used_count, gres->key), ours->devices);
    measure_load(found, ours, gres, node, &out->load);
    out->is_up = slurm->base.traits.can_run && found->is_usable;
    out->cpu_milli_free = (uint32_t)(cpus < node->cpu_milli ? cpus : node->cpu_milli);
    out->mem_bytes_free = mem < node->mem_bytes ? mem : node->mem_bytes;
    if (devices > node->accelerator_count)
        devices = node->accelerator_count;
    out->devices_free_count = (uint8_t)devices;
    for (uint32_t d = 0; d < devices; d++) /* which ones is Slurm's to say */
        out->devices_free[d] = (uint8_t)d;
}

/* ---- what is surplus: not what the owner waits for, nor the reserve */

struct closing {
    const struct slurm_settings *settings;
    struct sync_node *nodes;
};

static void close_node(struct sync_node *node)
{
    node->is_up = false;
    node->cpu_milli_free = 0;
    node->mem_bytes_free = 0;
    node->devices_free_count = 0;
}

static void on_wanted(void *context, struct slice host)
{
    struct closing *closing = context;
    int at = node_index(closing->settings, host);
    if (at >= 0)
        close_node(&closing->nodes[at]);
}

/* From the end of the list, whole free nodes first: the pool fills from the front. */
static void close_some(const struct slurm_settings *settings, struct sync_node *nodes,
                       uint64_t left)
{
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = settings->node_count; i > 0 && left > 0; i--) {
            struct sync_node *node = &nodes[i - 1];
            bool is_whole = node->cpu_milli_free == settings->nodes[i - 1].cpu_milli;
            if (!node->is_up || (pass == 0 && !is_whole))
                continue;
            close_node(node);
            left--;
        }
}

static void keep_for_owner(const struct slurm_settings *settings, const struct slurm_view *view,
                           const struct slurm_reclaim_found *owner, struct sync_node *nodes)
{
    struct closing closing = {settings, nodes};
    uint64_t any = settings->config->surplus.reserve_nodes;
    for (uint32_t i = 0; i < view->jobs.demand_count; i++) {
        const struct slurm_demand *demand = &view->jobs.demands[i];
        if (owner->is_placed != NULL && owner->is_placed[i])
            continue; /* on promised nodes */
        if (demand->hosts.len == 0)
            any += demand->node_count;
        else if (slurm_hosts_each(demand->hosts, on_wanted, &closing) != ERR_OK)
            any += demand->node_count;
    }
    close_some(settings, nodes, any);
}

void slurm_look_measure(const struct slurm *slurm, const struct slurm_view *view,
                        const struct slurm_node *found, uint32_t count,
                        const struct slurm_reclaim_found *owner, struct sync_node *out,
                        struct slurm_seen *seen)
{
    static const struct commitment nothing;
    struct arena arena;
    const struct slurm_settings *settings = &slurm->settings;
    arena_init(&arena, SLURM_VIEW_ARENA_BYTES);
    struct commitment *ours = arena_array(&arena, settings->node_count, sizeof(*ours));
    if (ours != NULL)
        add_ours(slurm, view, ours);
    for (uint32_t i = 0; i < settings->node_count; i++)
        out[i] = (struct sync_node){.node = (uint16_t)i};
    for (uint32_t i = 0; i < count; i++) {
        int at = node_index(settings, found[i].name);
        uint32_t partition;
        if (at < 0 || !slurm_is_of_pool(settings->config, &found[i], &partition))
            continue;
        struct slurm_seen_node *node = &seen->nodes[at];
        node->is_known = true;
        node->partition = partition;
        (void)snprintf(node->address, sizeof(node->address), "%.*s", SLICE_ARG(found[i].address));
        measure_node(slurm, &found[i], ours != NULL ? &ours[at] : &nothing, &settings->nodes[at],
                     &out[at]);
        if (owner->is_promised != NULL && owner->is_promised[i])
            close_node(&out[at]);
    }
    keep_for_owner(settings, view, owner, out);
    arena_deinit(&arena);
}
