/* The agent's life: state folder, identity, engine, journal, then the loop until a signal. */
#include "agent/agent.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/home.h"
#include "agent/shell.h"
#include "agent/tell.h"
#include "base/assert.h"
#include "drive/discover.h"
#include "port/entropy.h"
#include "wire/catalogue.h"
#include "wire/doc.h"

enum {
    AGENT_ARENA_BYTES = 64 << 20,
    CATALOGUE_BYTES_MAX = 4 << 20,
    STATE_PATH_MAX = 1024,
    ATTEMPTS_MAX_DEFAULT = 1024,
};

void agent_options_default(struct agent_options *out)
{
    *out = (struct agent_options){.ready_fd = -1,
                                  .cache_bytes_max = CACHE_BYTES_DEFAULT,
                                  .site = {.tier = TIER_CENTRE, .ask_includes_energy = true},
                                  .settings = {.sync_retry_min = SPAN_MS(200),
                                               .sync_retry_max = SPAN_S(10),
                                               .sync_timeout = SPAN_S(15),
                                               .engine_retry = SPAN_MS(500),
                                               .engine_poll = SPAN_S(5),
                                               .gate_limit = SPAN_S(60),
                                               .ask_fresh = SPAN_S(5),
                                               .kill_time = SPAN_S(2),
                                               .attempts_max = ATTEMPTS_MAX_DEFAULT}};
}

/* ---- what the core wants */

static void on_row(void *context, const struct journal_attempt *row)
{
    run_row(context, row);
}

static void on_durable(void *context, const struct journal_change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        const struct journal_op *op = &change->ops[i];
        if (op->kind == JOURNAL_ATTEMPT_INSERT || op->kind == JOURNAL_ATTEMPT_UPDATE)
            run_durable(context, &op->attempt);
    }
}

static void on_output(void *context, const struct agent_output *output)
{
    struct agent *agent = context;
    switch (output->kind) {
    case AGENT_SEND_SYNC:
        sync_client_send(&agent->sync, output->request_seq, output->bytes);
        break;
    case AGENT_SEND_GATE:
        if (agent->gate != NULL)
            gate_send(agent->gate, &output->gate);
        break;
    case AGENT_CALL_ENGINE:
        run_call(agent, output);
        break;
    case AGENT_ATTEMPT_ENDED:
        run_ended(agent, &output->token);
        break;
    case AGENT_STALE_SERVER:
        tell("a server with an older database answered; its words are not heeded");
        break;
    case AGENT_LIST_ENGINE:
        driver_list(agent->driver);
        break;
    case AGENT_PROBE:
        driver_probe(agent->driver, output->probe.node, output->probe.number);
        break;
    case AGENT_READ_USAGE:
        agent_host_read_usage(agent->host, output->after);
        break;
    }
}

static void on_reset(void *context, enum err why)
{
    struct agent *agent = context;
    agent->is_ready = false;
    sync_client_reset(&agent->sync);
    tell("the journal could not be written (%s); nothing new starts until it can be",
         err_name(why));
}

static void drain_look(struct agent *agent, bool is_first)
{
    char path[FILE_PATH_MAX];
    struct file_info info;
    (void)snprintf(path, sizeof(path), "%s/drain", agent->options->state_folder);
    bool is_draining = agent->options->is_draining || file_stat(path, &info) == ERR_OK;
    if (is_draining == agent->is_draining && !is_first)
        return;
    const struct agent_event event = {.kind = AGENT_DRAIN, .drain = {.flag = is_draining}};
    if ((is_draining || !is_first) && agent_host_step(agent->host, &event) != ERR_OK)
        return; /* told at the next look */
    if (is_draining != agent->is_draining)
        tell(is_draining ? "draining: nothing new is taken" : "work is taken again");
    agent->is_draining = is_draining;
}

static void on_capacity(void *context, const struct sync_node *nodes, uint32_t count)
{
    lend_capacity(context, nodes, count);
}

/* Nothing is given out here until the nodes were looked at again. */
static void close_capacity(struct agent *agent)
{
    if (agent->closed == NULL)
        return; /* no driver yet */
    on_capacity(agent, agent->closed, agent->identity.site.node_count);
}

static void on_ready(void *context)
{
    struct agent *agent = context;
    agent->is_ready = true;
    close_capacity(agent); /* what a cluster has free is known only when it has answered */
    loop_timer_set(&agent->capacity, SPAN_MS(0));
}

static void on_journal_lost(void *context, const struct fault *fault)
{
    (void)context;
    tell("the journal is damaged and lies aside: %s; what ran here is reported as not known",
         fault->message);
}

/* The site's owner wants its machines: what ends for it is not given out again meanwhile. */
static void on_owner(void *context, const struct driver_owner *owner)
{
    struct agent *agent = context;
    struct agent_event event = {
        .kind = AGENT_RECLAIMS,
        .reclaims = {.reclaims = owner->reclaims, .count = owner->reclaim_count}};
    enum err err = owner->reclaim_count > 0 ? agent_host_step(agent->host, &event) : ERR_OK;
    (void)err; /* without a core now: lost, unless the engine still remembers at the next start */
    for (uint32_t i = 0; i < owner->yield_count; i++) {
        event = (struct agent_event){.kind = AGENT_YIELD,
                                     .yield = {.token = owner->yields[i], .grace = owner->grace}};
        err = agent_host_step(agent->host, &event);
        (void)err; /* told again at the next look */
    }
}

/* ---- the gate */

static bool is_genuine(void *context, const struct gate_message *message)
{
    const struct run *run = run_find(context, &message->token);
    return run == NULL || !run->has_order ||
           digest_is_same_secret(run->order.secret, message->secret);
}

static struct slice secret_of(void *context, const struct attempt_token *token)
{
    const struct run *run = run_find(context, token);
    return run != NULL && run->has_order ? run->order.secret : (struct slice){0};
}

static void on_gate(void *context, const struct gate_message *message)
{
    struct agent *agent = context;
    const struct agent_event event = {.kind = AGENT_GATE, .gate = {.message = *message}};
    /* The owner takes back: before the server hears of the end it hears that nothing is free, or it
     * would give the same place out again. */
    bool is_reclaim = message->kind == GATE_EXIT && message->outcome == OUTCOME_PREEMPTED;
    if (is_reclaim)
        close_capacity(agent);
    enum err err = agent_host_step(agent->host, &event);
    (void)err; /* supervisors ask again */
    if (is_reclaim)
        driver_measure(agent->driver);
}

/* ---- the engine */

static void on_names(void *context, bool is_known, const struct attempt_token *tokens,
                     uint32_t count)
{
    struct agent *agent = context;
    const struct agent_event event = {
        .kind = AGENT_ENGINE_NAMES,
        .names = {.is_known = is_known, .tokens = tokens, .count = count}};
    if (agent_host_step(agent->host, &event) != ERR_OK && agent_host_core(agent->host) != NULL)
        driver_list(agent->driver); /* the core waits for it */
}

static void on_probed(void *context, uint64_t number, bool is_good, const char *why)
{
    struct agent *agent = context;
    const struct agent_event event = {
        .kind = AGENT_PROBED,
        .probed = {.number = number, .is_good = is_good, .why = slice_of(why)}};
    if (!is_good)
        tell("a node in quarantine is not in order yet: %s", why);
    enum err err = agent_host_step(agent->host, &event);
    (void)err; /* asked again */
}

static void capacity_run(void *context)
{
    struct agent *agent = context;
    drain_look(agent, false);
    (void)malloc_trim(0); /* what hashing and copying took for a moment */
    driver_measure(agent->driver);
    loop_timer_set(&agent->capacity, agent->options->capacity_every.ms > 0
                                         ? agent->options->capacity_every
                                     : lend_gives_way(agent) ? OWNER_EVERY_DEFAULT
                                                             : CAPACITY_EVERY_DEFAULT);
}

static void on_settings(void *context, const struct sync_settings *settings)
{
    struct agent *agent = context;
    if (settings->gate_limit.ms <= 0 || settings->gate_limit.ms == agent->gate_limit.ms)
        return;
    agent->gate_limit = settings->gate_limit;
    driver_set_gate_limit(agent->driver, settings->gate_limit);
}

/* What runs ends by its lease or by the new agent's word; nothing passes a closed gate. */
static void on_superseded(void *context)
{
    struct agent *agent = context;
    agent->is_superseded = true;
    loop_stop(agent->loop);
}

/* ---- starting */

static void on_signal(void *context, int signal_number)
{
    (void)signal_number;
    loop_stop(context);
}

static enum err folders_make(struct agent *agent, struct fault *fault)
{
    char path[FILE_PATH_MAX];
    const char *state = agent->options->state_folder;
    agent->work_folder = agent->options->slurm != NULL ? agent->options->slurm->work.data : state;
    if (strlen(state) > STATE_PATH_MAX || strlen(agent->work_folder) > STATE_PATH_MAX)
        return fault_set(fault, ERR_LIMIT, "state_folder", "is longer than %d bytes",
                         STATE_PATH_MAX);
    (void)snprintf(path, sizeof(path), "%s/attempts", agent->work_folder);
    /* Local accounts pass through the shared one, each to what is its own; none can list it. */
    enum err err = file_make_folders(path, agent->options->slurm != NULL ? 0711 : 0700, fault);
    (void)snprintf(path, sizeof(path), "%s/agent.lock", state);
    if (err == ERR_OK)
        err = file_lock_take(path, fault, &agent->lock);
    if (err == ERR_BUSY)
        err = fault_set(fault, ERR_BUSY, "state_folder", "another agent runs in %s", state);
    if (err == ERR_OK)
        err = home_claim(state, HOME_MACHINE_ID, agent->options->is_moved, fault);
    return err;
}

static enum err read_catalogue(struct agent *agent, struct catalogue *out, struct fault *fault)
{
    struct slice csv;
    *out = (struct catalogue){0};
    if (agent->options->catalogue_path == NULL)
        return ERR_OK;
    enum err err =
        file_read(agent->options->catalogue_path, CATALOGUE_BYTES_MAX, &agent->arena, fault, &csv);
    return err == ERR_OK ? catalogue_decode(csv, &agent->arena, out, fault) : err;
}

static enum err describe_cluster(struct agent *agent, struct site *out, struct fault *fault)
{
    struct catalogue catalogue;
    enum err err = read_catalogue(agent, &catalogue, fault);
    return err == ERR_OK ? slurm_site_nodes(agent->options->slurm, &catalogue, &agent->arena,
                                            &out->nodes, &out->node_count, fault)
                         : err;
}

/* What the site says of itself; without declared nodes it is this machine. */
static enum err describe_site(struct agent *agent, struct site *out, struct fault *fault)
{
    struct discovered *found;
    struct catalogue catalogue;
    char path[FILE_PATH_MAX];
    struct file_info info;
    *out = agent->options->site;
    out->engine = agent->options->slurm != NULL ? ENGINE_SLURM : ENGINE_HOST;
    out->state = SITE_ACTIVE;
    (void)snprintf(path, sizeof(path), "%s/site.json", agent->options->state_folder);
    if (out->node_count > 0 || file_stat(path, &info) == ERR_OK)
        return ERR_OK;
    if (agent->options->slurm != NULL)
        return describe_cluster(agent, out, fault);
    struct site_node *node = arena_alloc(&agent->arena, sizeof(*node));
    found = arena_alloc(&agent->arena, sizeof(*found));
    if (node == NULL || found == NULL)
        return ERR_NO_MEMORY;
    enum err err = read_catalogue(agent, &catalogue, fault);
    if (err == ERR_OK)
        err = discover_machine(agent->options->program, found, fault);
    if (err == ERR_OK)
        err = discover_node(found, &catalogue, SLICE_LITERAL("node-0"), &agent->arena, node);
    for (uint32_t i = 0; err == ERR_OK && i < found->note_count; i++)
        tell("found: %s", found->notes[i]);
    out->nodes = node;
    out->node_count = 1;
    return err;
}

static const struct driver_events DRIVER_EVENTS = {.on_answer = run_on_answer,
                                                   .on_capacity = on_capacity,
                                                   .on_owner = on_owner,
                                                   .on_probed = on_probed,
                                                   .on_names = on_names};

static enum err make_host_driver(struct agent *agent, const char *site_name, struct fault *fault)
{
    const struct agent_options *options = agent->options;
    const struct site *site = &agent->identity.site;
    char self[FILE_PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[len > 0 ? len : 0] = '\0';
    const char *const own[] = {self, "supervise", NULL};
    const struct host_settings settings = {
        .state_dir = options->state_folder,
        .site_name = site_name,
        .nodes = site->nodes,
        .node_count = site->node_count,
        .supervise_argv = options->supervise_argv != NULL ? options->supervise_argv : own,
        .ignores_foreign_load = options->ignores_foreign_load,
        .has_host_network = options->has_host_network,
        .read_only_paths = options->read_only_paths,
        .images = site->images,
        .notice = options->surplus.notice,
        .shared_folders = site->shared_folders,
        .gate_limit = options->settings.gate_limit,
    };
    return host_driver_create(agent->loop, &settings, &DRIVER_EVENTS, agent, fault, &agent->driver);
}

static enum err make_slurm_driver(struct agent *agent, const char *site_name, struct fault *fault)
{
    const struct site *site = &agent->identity.site;
    const struct slurm_settings settings = {.config = agent->options->slurm,
                                            .site_name = site_name,
                                            .nodes = site->nodes,
                                            .node_count = site->node_count,
                                            .gate_limit = agent->options->settings.gate_limit};
    return slurm_driver_create(agent->loop, &settings, &DRIVER_EVENTS, agent, fault,
                               &agent->driver);
}

static enum err make_closed(struct agent *agent)
{
    uint32_t count = agent->identity.site.node_count;
    struct sync_node *nodes = arena_array(&agent->arena, count, sizeof(*nodes));
    if (nodes == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        nodes[i].node = (uint16_t)i;
    agent->closed = nodes;
    return ERR_OK;
}

static enum err make_driver(struct agent *agent, struct fault *fault)
{
    const char *site_name = arena_text(&agent->arena, agent->identity.site.name);
    if (site_name == NULL)
        return ERR_NO_MEMORY;
    enum err err = agent->options->slurm != NULL ? make_slurm_driver(agent, site_name, fault)
                                                 : make_host_driver(agent, site_name, fault);
    if (err == ERR_OK && agent->options->slurm != NULL)
        err = make_closed(agent);
    if (err != ERR_OK)
        return err;
    const struct driver_traits *traits = driver_describe(agent->driver);
    for (uint32_t i = 0; i < traits->note_count; i++)
        tell("%s", traits->notes[i]);
    return ERR_OK;
}

static enum err make_host(struct agent *agent, struct fault *fault)
{
    static const struct agent_host_events EVENTS = {.on_row = on_row,
                                                    .on_output = on_output,
                                                    .on_durable = on_durable,
                                                    .on_reset = on_reset,
                                                    .on_ready = on_ready,
                                                    .on_journal_lost = on_journal_lost};
    char path[FILE_PATH_MAX];
    struct agent_settings settings = agent->options->settings;
    if (settings.version.len == 0)
        settings.version = SLICE_LITERAL("0.1.0");
    lend_settings(agent, &settings);
    enum err err = lend_describe(agent, &settings.surplus);
    if (err != ERR_OK)
        return fault_set(fault, err, "surplus", "the contract is too long");
    if (settings.attempts_max == 0 || settings.attempts_max > AGENT_LIVE_MAX)
        settings.attempts_max = ATTEMPTS_MAX_DEFAULT;
    (void)snprintf(path, sizeof(path), "%s/journal.db", agent->options->state_folder);
    return agent_host_create(agent->loop, path, &agent->identity.site, &settings, &EVENTS, agent,
                             fault, &agent->host);
}

static enum err make_gate(struct agent *agent, struct fault *fault)
{
    static const struct gate_events EVENTS = {
        .is_genuine = is_genuine, .on_message = on_gate, .secret_of = secret_of};
    char path[FILE_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/supervise.sock", agent->options->state_folder);
    enum err err = gate_open(agent->loop, path, &EVENTS, agent, fault, &agent->gate);
    if (err == ERR_OK && agent->options->slurm != NULL)
        err = gate_open_network(agent->gate, agent->options->slurm->gate.data, fault);
    return err;
}

static enum err make_workers(struct agent *agent, struct fault *fault)
{
    char path[FILE_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/cache", agent->options->state_folder);
    enum err err = cache_open(path, &agent->cache, fault);
    if (err == ERR_OK)
        err = worker_create(agent->loop, "lq-prepare", WORKER_JOBS_MAX, &agent->prepare_worker);
    if (err == ERR_OK)
        err = worker_create(agent->loop, "lq-copy", WORKER_JOBS_MAX, &agent->copy_worker);
    return err;
}

static enum err make_loop(struct agent *agent, struct fault *fault)
{
    static const struct http_client_limits LIMITS = {
        .connections_max = REMOTE_CONNECTIONS_MAX, .calls_max = REMOTE_CALLS_MAX, .idle_max = 8};
    enum err err = entropy_seed(&agent->random);
    if (err == ERR_OK)
        err = loop_create(&agent->loop);
    if (err == ERR_OK)
        err = loop_signal_watch(agent->loop, SIGTERM, on_signal, agent->loop);
    if (err == ERR_OK)
        err = loop_signal_watch(agent->loop, SIGINT, on_signal, agent->loop);
    if (err == ERR_OK)
        err = http_client_create(agent->loop, &LIMITS, &agent->remote.client);
    if (err != ERR_OK)
        return fault_set(fault, err, NULL, "the event loop cannot be made: %s", err_name(err));
    loop_timer_init(&agent->capacity, agent->loop, capacity_run, agent);
    loop_timer_init(&agent->log_tick, agent->loop, logs_tick, agent);
    agent->identity.loop = agent->loop;
    agent->identity.remote = &agent->remote;
    agent->identity.random = &agent->random;
    sync_client_init(&agent->sync, agent->loop, &agent->remote, &agent->identity, &agent->host);
    agent->sync.on_settings = on_settings;
    agent->sync.on_superseded = on_superseded;
    agent->sync.context = agent;
    return ERR_OK;
}

static void tell_ready(struct agent *agent)
{
    char id[ID_TEXT_MAX], line[ID_TEXT_MAX + 16];
    id_format(agent->identity.site.id.id, ID_PREFIX_SITE, id);
    tell("site %.*s (%s), %u node(s), server %s", SLICE_ARG(agent->identity.site.name), id,
         agent->identity.site.node_count, agent->remote.endpoint);
    if (agent->options->ready_fd < 0)
        return;
    int n = snprintf(line, sizeof(line), "ready %s\n", id);
    if (n <= 0 || write(agent->options->ready_fd, line, (size_t)n) != n)
        tell("nobody listens on the ready descriptor");
}

static enum err begin(struct agent *agent, struct fault *fault)
{
    struct site wanted;
    enum err err = folders_make(agent, fault);
    if (err == ERR_OK)
        err = make_loop(agent, fault);
    if (err == ERR_OK)
        err = describe_site(agent, &wanted, fault);
    if (err == ERR_OK)
        err = identity_begin(&agent->identity, agent->options, &wanted, fault);
    if (err == ERR_OK)
        err = make_workers(agent, fault);
    if (err == ERR_OK)
        err = make_driver(agent, fault);
    if (err == ERR_OK)
        err = make_host(agent, fault);
    if (err == ERR_OK)
        err = make_gate(agent, fault);
    if (err != ERR_OK)
        return err;
    runs_adopt_folders(agent);
    drain_look(agent, true);
    identity_keep_fresh(&agent->identity);
    sync_client_begin(&agent->sync);
    tell_ready(agent);
    return ERR_OK;
}

/* The reverse; every part may be missing. Attempts run on. */
static void end(struct agent *agent)
{
    agent->is_stopping = true;
    loop_timer_stop(&agent->capacity);
    loop_timer_stop(&agent->log_tick);
    gate_close(agent->gate);
    agent->gate = NULL;
    sync_client_end(&agent->sync);
    while (agent->first != NULL)
        run_destroy(agent->first);
    worker_destroy(agent->prepare_worker);
    worker_destroy(agent->copy_worker);
    agent_host_destroy(agent->host);
    driver_destroy(agent->driver);
    chunks_close(agent->cache);
    identity_end(&agent->identity);
    http_client_destroy(agent->remote.client);
    tls_context_release(agent->remote.tls);
    loop_destroy(agent->loop);
    file_lock_release(&agent->lock);
    strmap_deinit(&agent->runs);
    arena_deinit(&agent->arena);
}

enum err agent_run(const struct agent_options *options, struct fault *fault)
{
    char state[PATH_MAX_BYTES * 4];
    struct agent_options own = *options;
    if (options->state_folder == NULL)
        return fault_set(fault, ERR_INVALID, "state_folder", "is required");
    enum err err = file_make_folders(options->state_folder, 0700, fault);
    if (err != ERR_OK)
        return err;
    char *whole = realpath(options->state_folder, NULL); /* supervisors start elsewhere */
    if (whole == NULL || strlen(whole) >= sizeof(state)) {
        free(whole);
        return fault_set(fault, ERR_IO, "state_folder", "cannot be resolved");
    }
    (void)snprintf(state, sizeof(state), "%s", whole);
    free(whole);
    own.state_folder = state;
    struct agent *agent = calloc(1, sizeof(*agent));
    if (agent == NULL)
        return ERR_NO_MEMORY;
    agent->options = &own;
    agent->lock.fd = -1;
    arena_init(&agent->arena, AGENT_ARENA_BYTES);
    strmap_init(&agent->runs, RUNS_MAX, 0);
    err = begin(agent, fault);
    if (err == ERR_OK)
        err = loop_run(agent->loop);
    else if (err == ERR_CANCELLED)
        err = ERR_OK; /* a signal while it waited to join */
    if (agent->is_superseded)
        err = fault_set(fault, ERR_DENIED, "state_folder",
                        "the site goes on elsewhere, from a newer journal than that in %s: this "
                        "agent starts nothing more. What it started runs on until it is stopped",
                        state);
    end(agent);
    free(agent);
    return err;
}
