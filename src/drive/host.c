/* The host driver's loop side: calls go to a worker, answers come back; supervisors are started and
 * let go of. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/hash.h"
#include "drive/host_private.h"
#include "port/clock.h"
#include "port/process.h"
#include "port/worker.h"

enum { SETTINGS_ARENA_BYTES = 64 << 20, SUPERVISE_ARGS_MAX = 8 };

static struct host *host_of(struct driver *driver)
{
    return (struct host *)driver;
}

/* ---- calls */

static void on_kill_timer(void *context);

struct host_call *host_call_make(struct host *host, enum drive_call kind,
                                 const struct attempt_token *token)
{
    if (host->call_count == HOST_CALLS_MAX)
        return NULL;
    struct host_call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        return NULL;
    call->host = host;
    call->answer = (struct drive_answer){.call = kind, .token = *token, .kind = DRIVE_UNSURE};
    arena_init(&call->arena, HOST_ORDER_ARENA_BYTES);
    loop_timer_init(&call->timer, host->loop, on_kill_timer, call);
    call->next = host->calls;
    host->calls = call;
    host->call_count++;
    return call;
}

void host_call_free(struct host_call *call)
{
    struct host_call **at = &call->host->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    call->host->call_count--;
    loop_timer_stop(&call->timer);
    arena_deinit(&call->arena);
    free((void *)call->order.data);
    free(call);
}

static void call_answer(struct host_call *call)
{
    struct host *host = call->host;
    call->answer.why = call->why;
    if (host->events != NULL)
        host->events->on_answer(host->context, &call->answer);
    host_call_free(call);
}

static void answer_later(void *context)
{
    call_answer(context);
}

/* What cannot even be tried is answered, too, and not from inside the call. */
static void call_busy(struct host_call *call)
{
    (void)snprintf(call->why, sizeof(call->why), "too many engine calls at once");
    call->answer.kind = DRIVE_UNSURE;
    if (loop_post(call->host->loop, answer_later, call) != ERR_OK)
        host_call_free(call); /* the loop drowns; the caller asks again after its own time limit */
}

static void call_start(struct host_call *call, void (*run)(void *), void (*done)(void *))
{
    if (worker_submit(call->host->worker, run, done, call) != ERR_OK)
        call_busy(call);
}

/* ---- supervisors */

static void on_supervisor_exit(void *context, struct process_exit result)
{
    struct host_child *child = context;
    struct host_child **at = &child->host->children;
    (void)result; /* the end record and the gate say more */
    while (*at != child)
        at = &(*at)->next;
    *at = child->next;
    process_destroy(child->process);
    free(child);
}

static bool has_child(const struct host *host, const struct attempt_token *token)
{
    for (const struct host_child *child = host->children; child != NULL; child = child->next)
        if (attempt_token_is_equal(&child->token, token))
            return true;
    return false;
}

/* The secret in a pipe that is full and closed before the supervisor starts. */
static int secret_pipe(struct slice secret)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    bool is_whole = secret.len <= SUPERVISE_SECRET_MAX &&
                    write(fds[1], secret.data, secret.len) == (ssize_t)secret.len;
    (void)close(fds[1]);
    if (is_whole)
        return fds[0];
    (void)close(fds[0]);
    return -1;
}

static enum err start_supervisor(struct host_call *call, uint32_t rank, struct fault *fault)
{
    struct host *host = call->host;
    char dir[HOST_PATH_MAX];
    const char *argv[SUPERVISE_ARGS_MAX + 3];
    const char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    uint32_t count = 0;
    for (; count < host->argv_count; count++)
        argv[count] = host->settings.supervise_argv[count];
    argv[count++] = "--dir";
    argv[count++] = dir;
    argv[count] = NULL;
    enum err code = host_rank_dir(host, &call->answer.token, rank, dir);
    if (code != ERR_OK)
        return code;
    struct host_child *child = calloc(1, sizeof(*child));
    int secret = secret_pipe(call->secret);
    if (child == NULL || secret < 0) {
        free(child);
        if (secret >= 0)
            (void)close(secret);
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory or descriptor for a supervisor");
    }
    const struct process_fd fds[] = {{.ours = secret, .theirs = SUPERVISE_SECRET_FD}};
    const struct process_options options = {.argv = argv,
                                            .env = env,
                                            .cwd = "/",
                                            .fds = fds,
                                            .fd_count = 1,
                                            .group = PROCESS_GROUP_NEW_SESSION};
    child->host = host;
    child->token = call->answer.token;
    code = process_spawn(host->loop, &options, fault, on_supervisor_exit, child, &child->process);
    (void)close(secret);
    if (code != ERR_OK) {
        free(child);
        return code;
    }
    child->next = host->children;
    host->children = child;
    return ERR_OK;
}

static void run_image(void *context)
{
    struct host_call *call = context;
    if (image_open(call->image_name, &call->image, call->why) == ERR_OK)
        return;
    call->answer.kind = DRIVE_REJECTED;
    call->answer.outcome = OUTCOME_BAD_ENVIRONMENT;
}

static void on_image(void *context);

/* Pulling takes minutes: others' calls do not wait behind it. */
static void image_start(struct host_call *call)
{
    struct host *host = call->host;
    enum err err = ERR_OK;
    if (host->image_worker == NULL)
        err = worker_create(host->loop, "lq-image", HOST_CALLS_MAX, &host->image_worker);
    if (err == ERR_OK)
        err = worker_submit(host->image_worker, run_image, on_image, call);
    if (err != ERR_OK)
        call_busy(call);
}

static void on_prepared(void *context)
{
    struct host_call *call = context;
    struct fault fault = {0};
    if (call->answer.kind == DRIVE_ACCEPTED && call->wants_image) {
        image_start(call);
        return;
    }
    for (uint32_t rank = 0; call->answer.kind == DRIVE_ACCEPTED && rank < call->nodes; rank++) {
        enum err code = start_supervisor(call, rank, &fault);
        if (code == ERR_OK)
            continue;
        call->answer.kind = rank == 0 ? DRIVE_REJECTED : DRIVE_UNSURE;
        call->answer.outcome = rank == 0 ? OUTCOME_BAD_ENVIRONMENT : OUTCOME_NONE;
        (void)snprintf(call->why, sizeof(call->why), "a supervisor cannot be started: %s",
                       fault.message);
    }
    call->answer.ranks = NULL;
    call->answer.rank_count = 0;
    call_answer(call);
}

static void run_prepare(void *context)
{
    host_launch_prepare(context);
}

static void on_image(void *context)
{
    struct host_call *call = context;
    if (call->answer.kind == DRIVE_ACCEPTED)
        call_start(call, run_prepare, on_prepared);
    else
        call_answer(call);
}

/* A submit of that name is under way, or its supervisor on the way to its lock. */
static bool is_starting(const struct host *host, const struct attempt_token *token)
{
    for (const struct host_call *call = host->calls; call != NULL; call = call->next)
        if (call->answer.call == DRIVE_SUBMIT && attempt_token_is_equal(&call->answer.token, token))
            return true;
    return has_child(host, token);
}

static void host_submit(struct driver *driver, const struct attempt_token *token,
                        struct slice order, uint64_t incarnation)
{
    bool is_second = is_starting(host_of(driver), token);
    struct host_call *call = host_call_make(host_of(driver), DRIVE_SUBMIT, token);
    ASSERT(call != NULL); /* the agent has fewer attempts than HOST_CALLS_MAX, one call each */
    char *copy = malloc(order.len + 1);
    ASSERT(copy != NULL);
    memcpy(copy, order.data, order.len);
    call->order = slice_make(copy, order.len);
    call->incarnation = incarnation;
    call->gate_limit = call->host->gate_limit;
    if (!is_second) {
        call_start(call, run_prepare, on_prepared);
        return;
    }
    call->answer.kind = DRIVE_UNSURE; /* the first one's answer counts; look it up */
    (void)snprintf(call->why, sizeof(call->why), "that name is being started already");
    if (loop_post(call->host->loop, answer_later, call) != ERR_OK)
        host_call_free(call);
}

/* ---- looking */

/* Between its start and its lock only we know of a supervisor. */
static void count_children(struct host_call *call)
{
    if (call->answer.kind == DRIVE_ABSENT && has_child(call->host, &call->answer.token))
        call->answer.kind = DRIVE_PRESENT;
}

static void on_looked(void *context)
{
    struct host_call *call = context;
    count_children(call);
    call_answer(call);
}

static void run_look(void *context)
{
    host_look(context);
}

static void host_inspect(struct driver *driver, const struct attempt_token *token,
                         uint64_t incarnation)
{
    struct host_call *call = host_call_make(host_of(driver), DRIVE_INSPECT, token);
    ASSERT(call != NULL);
    call->incarnation = incarnation;
    call_start(call, run_look, on_looked);
}

/* ---- killing: polite, then the trees, then the supervisors, until nothing is left */

static bool all_ended(const struct host_call *call)
{
    for (uint32_t i = 0; i < call->answer.rank_count; i++)
        if (!call->ranks[i].is_known)
            return false;
    return call->answer.rank_count != 0;
}

static void run_kill_step(void *context)
{
    struct host_call *call = context;
    const struct clock clock = clock_system();
    host_look(call);
    if (call->answer.kind != DRIVE_PRESENT)
        return;
    struct boot_ns now = clock_boot(&clock);
    if (call->stage == KILL_POLITE && (all_ended(call) || !boot_is_before(now, call->polite_until)))
        call->stage = KILL_TREE;
    if (call->stage == KILL_TREE) {
        host_signal_ranks(call, HOST_SIGNAL_STOP); /* one that still asks at the gate gives up */
        host_kill_groups(call);
        if (call->end_until.ns == 0)
            call->end_until = boot_add(now, SPAN_MS(HOST_END_WAIT_MS));
        if (all_ended(call) || !boot_is_before(now, call->end_until))
            call->stage = KILL_HARD;
    }
    if (call->stage == KILL_HARD) {
        host_signal_ranks(call, HOST_SIGNAL_KILL);
        host_kill_groups(call);
    }
}

static void on_kill_step(void *context)
{
    struct host_call *call = context;
    const struct clock clock = clock_system();
    count_children(call);
    if (call->answer.kind != DRIVE_PRESENT || !boot_is_before(clock_boot(&clock), call->give_up_at))
        call_answer(call);
    else
        loop_timer_set(&call->timer, SPAN_MS(HOST_KILL_STEP_MS));
}

static void on_kill_timer(void *context)
{
    call_start(context, run_kill_step, on_kill_step);
}

static void run_kill_first(void *context)
{
    struct host_call *call = context;
    host_look(call);
    if (call->answer.kind == DRIVE_PRESENT && call->stage == KILL_POLITE)
        host_signal_ranks(call, HOST_SIGNAL_STOP);
    else if (call->answer.kind == DRIVE_PRESENT)
        run_kill_step(call);
}

static void host_kill(struct driver *driver, const struct attempt_token *token,
                      struct span_ms grace)
{
    struct host_call *call = host_call_make(host_of(driver), DRIVE_KILL, token);
    ASSERT(call != NULL);
    struct boot_ns now = loop_now(call->host->loop).boot;
    call->stage = grace.ms > 0 ? KILL_POLITE : KILL_TREE;
    call->polite_until = boot_add(now, grace);
    call->give_up_at = boot_add(call->polite_until, DRIVER_KILL_LIMIT);
    call_start(call, run_kill_first, on_kill_step);
}

/* ---- the rest */

static void on_forgotten(void *context)
{
    host_call_free(context);
}

static void run_forget(void *context)
{
    struct host_call *call = context;
    host_look(call);
    if (call->answer.kind != DRIVE_PRESENT)
        host_forget_groups(call);
}

static void host_forget(struct driver *driver, const struct attempt_token *token)
{
    struct host_call *call = host_call_make(host_of(driver), DRIVE_INSPECT, token);
    if (call != NULL && worker_submit(call->host->worker, run_forget, on_forgotten, call) != ERR_OK)
        host_call_free(call); /* an empty control group stays behind, no more */
}

static void host_set_gate_limit(struct driver *driver, struct span_ms gate_limit)
{
    if (gate_limit.ms > 0)
        host_of(driver)->gate_limit = gate_limit;
}

struct measurement {
    struct host *host;
    struct host_load load;
    struct sync_node nodes[SITE_NODES_MAX];
};

static void run_measure(void *context)
{
    struct measurement *measurement = context;
    host_load_measure(measurement->host, &measurement->load, measurement->nodes);
}

static void on_measured(void *context)
{
    struct measurement *measurement = context;
    struct host *host = measurement->host;
    host->load = measurement->load;
    host->is_measuring = false;
    if (host->events != NULL)
        host->events->on_capacity(host->context, measurement->nodes, host->settings.node_count);
    free(measurement);
}

static void host_measure(struct driver *driver)
{
    struct host *host = host_of(driver);
    if (host->is_measuring)
        return;
    struct measurement *measurement = calloc(1, sizeof(*measurement));
    if (measurement == NULL)
        return; /* told late is as good: the next call measures */
    measurement->host = host;
    measurement->load = host->load;
    host->is_measuring = true;
    if (worker_submit(host->worker, run_measure, on_measured, measurement) != ERR_OK) {
        host->is_measuring = false;
        free(measurement);
    }
}

static enum err host_rank_dir_op(const struct driver *driver, const struct attempt_token *token,
                                 uint32_t rank, char *out_path, size_t size)
{
    char path[HOST_PATH_MAX];
    enum err code = host_rank_dir((const struct host *)driver, token, rank, path);
    if (code == ERR_OK && strlen(path) >= size)
        code = ERR_LIMIT;
    if (code == ERR_OK)
        memcpy(out_path, path, strlen(path) + 1);
    return code;
}

static void host_destroy(struct driver *driver)
{
    struct host *host = host_of(driver);
    host->events = NULL;
    worker_destroy(host->image_worker);
    worker_destroy(host->worker);
    while (host->calls != NULL)
        host_call_free(host->calls);
    while (host->children != NULL) {
        struct host_child *child = host->children;
        host->children = child->next;
        process_destroy(child->process);
        free(child);
    }
    free(host->node_groups);
    free(host->node_cpu_ms);
    arena_deinit(&host->arena);
    free(host);
}

static const struct driver_ops HOST_OPS = {
    .submit = host_submit,
    .inspect = host_inspect,
    .kill = host_kill,
    .measure = host_measure,
    .probe = host_probe_node,
    .list = host_list,
    .forget = host_forget,
    .set_gate_limit = host_set_gate_limit,
    .rank_dir = host_rank_dir_op,
    .destroy = host_destroy,
};

/* ---- making one */

static enum err copy_nodes(struct host *host, const struct host_settings *settings)
{
    struct site_node *nodes = arena_array(&host->arena, settings->node_count, sizeof(*nodes));
    if (nodes == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < settings->node_count; i++) {
        nodes[i] = settings->nodes[i];
        nodes[i].name = arena_copy(&host->arena, settings->nodes[i].name);
        nodes[i].accelerator = arena_copy(&host->arena, settings->nodes[i].accelerator);
    }
    host->settings.nodes = nodes;
    return ERR_OK;
}

static bool copy_list(struct host *host, struct text_list *list)
{
    struct slice *items = arena_array(&host->arena, list->count + 1, sizeof(*items));
    for (uint32_t i = 0; items != NULL && i < list->count; i++)
        items[i] = arena_copy(&host->arena, list->items[i]);
    list->items = items;
    return items != NULL;
}

static enum err copy_settings(struct host *host, const struct host_settings *settings,
                              struct fault *fault)
{
    host->settings = *settings;
    while (settings->supervise_argv[host->argv_count] != NULL)
        host->argv_count++;
    if (settings->state_dir[0] != '/' || settings->node_count == 0 ||
        settings->node_count > SITE_NODES_MAX || host->argv_count == 0 ||
        host->argv_count > SUPERVISE_ARGS_MAX ||
        settings->read_only_paths.count > SUPERVISE_READ_ONLY_MAX ||
        settings->images.count > SITE_IMAGES_MAX ||
        settings->shared_folders.count > SITE_SHARES_MAX)
        return fault_set(fault, ERR_INVALID, NULL,
                         "a host driver needs an absolute state folder, 1 to %d nodes and the "
                         "supervisor's command",
                         SITE_NODES_MAX);
    const char **argv = arena_array(&host->arena, host->argv_count + 1, sizeof(*argv));
    if (argv == NULL || !copy_list(host, &host->settings.read_only_paths) ||
        !copy_list(host, &host->settings.images) ||
        !copy_list(host, &host->settings.shared_folders))
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < host->argv_count; i++)
        argv[i] = arena_text(&host->arena, slice_of(settings->supervise_argv[i]));
    host->settings.supervise_argv = argv;
    host->settings.state_dir = arena_text(&host->arena, slice_of(settings->state_dir));
    host->settings.site_name = arena_text(&host->arena, slice_of(settings->site_name));
    host->gate_limit = settings->gate_limit.ms > 0 ? settings->gate_limit : HOST_GATE_LIMIT;
    return copy_nodes(host, settings);
}

static void make_groups(struct host *host)
{
    char name[64], why[DRIVER_NOTE_MAX] = "";
    struct fault fault = {0};
    /* By the state folder, for several sites share a machine. */
    (void)snprintf(name, sizeof(name), "lq-%016llx",
                   (unsigned long long)hash_bytes(slice_of(host->settings.state_dir), 0));
    cgroup_probe(name, &host->site_group, why, sizeof(why));
    if (why[0] != '\0')
        driver_note(&host->base.traits, "%s", why);
    if (!host->settings.ignores_foreign_load && !cgroup_yield(&host->site_group))
        driver_note(&host->base.traits, "the owner's own load shares processors evenly with work");
    for (uint32_t i = 0; host->site_group.version != 0 && i < host->settings.node_count; i++) {
        const struct site_node *node = &host->settings.nodes[i];
        const struct cgroup_limits limits = {.cpu_milli = node->cpu_milli,
                                             .mem_bytes = node->mem_bytes};
        (void)snprintf(name, sizeof(name), "node-%u", i);
        if (cgroup_make(&host->site_group, name, &limits, &host->node_groups[i], &fault) != ERR_OK)
            driver_note(&host->base.traits, "node %u has no limits of its own: %.180s", i,
                        fault.message);
    }
}

enum err host_driver_create(struct loop *loop, const struct host_settings *settings,
                            const struct driver_events *events, void *context, struct fault *fault,
                            struct driver **out_driver)
{
    struct host *host = calloc(1, sizeof(*host));
    if (host == NULL)
        return ERR_NO_MEMORY;
    host->base.ops = &HOST_OPS;
    host->base.traits.engine = ENGINE_HOST;
    host->loop = loop;
    host->events = events;
    host->context = context;
    host->is_root = geteuid() == 0;
    arena_init(&host->arena, SETTINGS_ARENA_BYTES);
    enum err code = copy_settings(host, settings, fault);
    if (code == ERR_OK) {
        host->node_groups = calloc(settings->node_count, sizeof(*host->node_groups));
        host->node_cpu_ms = calloc(settings->node_count, sizeof(*host->node_cpu_ms));
        code = host->node_groups == NULL || host->node_cpu_ms == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    if (code == ERR_OK)
        code = worker_create(loop, "lq-drive", HOST_CALLS_MAX, &host->worker);
    if (code == ERR_OK) {
        host_probe(host);
        make_groups(host);
        const struct cgroup *group = &host->node_groups[0];
        host->base.traits.limits_cpu = cgroup_has(group, CGROUP_CPU);
        host->base.traits.limits_memory = cgroup_has(group, CGROUP_MEMORY);
        host->base.traits.limits_pids = cgroup_has(group, CGROUP_PIDS);
        if (!host->base.traits.limits_memory)
            driver_note(&host->base.traits,
                        "memory is limited per process only, and nothing tells of its lack");
        if (!host->base.traits.limits_cpu)
            driver_note(&host->base.traits, "processor time is not limited");
        if (!host->base.traits.limits_pids)
            driver_note(&host->base.traits, "processes are limited per user only");
        *out_driver = &host->base;
        return ERR_OK;
    }
    if (host->worker != NULL)
        worker_destroy(host->worker);
    free(host->node_groups);
    free(host->node_cpu_ms);
    arena_deinit(&host->arena);
    free(host);
    return code;
}
