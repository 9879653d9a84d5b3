/* A submit's work off the loop: the order is checked and each rank's folder gets its scripts and
 * its supervise.json. Whatever fails here has started nothing. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "drive/host_private.h"
#include "port/entropy.h"
#include "port/file.h"
#include "wire/spec.h"

enum { ENV_TEXT_MAX = 64, ADDRESS_TEXT_MAX = 24 };

struct launch {
    struct host_call *call;
    struct host *host;
    struct attempt_order order;
    struct job_spec spec;
    const struct job_variant *variant;
    struct text_list devices;
    struct slice addresses; /* LQ_NODE_ADDRS */
    enum supervise_network network;
    struct fault fault;
};

static enum err refuse(struct launch *launch, enum outcome outcome, const char *why)
{
    launch->call->answer.kind = DRIVE_REJECTED;
    launch->call->answer.outcome = outcome;
    (void)snprintf(launch->call->why, sizeof(launch->call->why), "%s", why);
    return ERR_UNSUPPORTED;
}

/* ---- what is asked for, against what this host is */

static enum err read_order(struct launch *launch)
{
    struct host_call *call = launch->call;
    enum err code = attempt_order_decode(call->order, &call->arena, &launch->order, &launch->fault);
    if (code == ERR_OK && !attempt_token_is_equal(&launch->order.token, &call->answer.token))
        code = fault_set(&launch->fault, ERR_INVALID, "token", "is of another attempt");
    if (code == ERR_OK)
        code = spec_parse(launch->order.spec, &call->arena, &launch->spec, &launch->fault);
    if (code == ERR_OK && launch->order.variant >= launch->spec.variant_count)
        code = fault_set(&launch->fault, ERR_INVALID, "variant", "is not one of the job's");
    if (code == ERR_OK) {
        launch->variant = &launch->spec.variants[launch->order.variant];
        return ERR_OK;
    }
    char why[HOST_WHY_MAX];
    (void)snprintf(why, sizeof(why), "the order makes no sense here: %s %s", launch->fault.field,
                   launch->fault.message);
    return refuse(launch, OUTCOME_REFUSED, why);
}

static enum err check_places(struct launch *launch)
{
    const struct host *host = launch->host;
    for (uint32_t i = 0; i < launch->order.nodes; i++) {
        const struct rank_place *place = &launch->order.places[i];
        if (place->node >= host->settings.node_count)
            return refuse(launch, OUTCOME_REFUSED, "the site has no such node");
        const struct site_node *node = &host->settings.nodes[place->node];
        if (launch->spec.cpu_milli > node->cpu_milli || launch->spec.mem_bytes > node->mem_bytes)
            return refuse(launch, OUTCOME_REFUSED, "the job asks for more than its node has");
        for (uint32_t d = 0; d < place->device_count; d++)
            if (place->devices[d] >= node->accelerator_count)
                return refuse(launch, OUTCOME_REFUSED, "the node has no such device");
    }
    return ERR_OK;
}

static enum err check_host(struct launch *launch)
{
    if (!launch->host->base.traits.can_run)
        return refuse(launch, OUTCOME_BAD_ENVIRONMENT, launch->host->base.traits.notes[0]);
    if (launch->variant->image.len != 0 && !launch->host->base.traits.has_images)
        return refuse(launch, OUTCOME_REFUSED,
                      "the job names a container image, and this site runs none; leave `image` out "
                      "or place the job elsewhere");
    return check_places(launch);
}

/* ---- the gang's addresses */

static bool is_port_free(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool is_free = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    (void)close(fd);
    return is_free;
}

/* In a network of its own every port is free; on the host's, ports are looked for from a place that
 * the attempt's name gives, so that two attempts seldom meet. */
static enum err make_addresses(struct launch *launch)
{
    struct buffer text;
    char name[ATTEMPT_NAME_MAX];
    uint32_t nodes = launch->order.nodes;
    attempt_name_format(&launch->order.token, name);
    uint64_t at = hash_bytes(slice_of(name), 0) % HOST_PORTS;
    buffer_init(&text, (size_t)JOB_NODES_MAX * ADDRESS_TEXT_MAX);
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t tries = 0;
        while (launch->network == NETWORK_HOST && nodes > 1 && tries++ < HOST_PORTS &&
               !is_port_free((uint16_t)(HOST_PORT_FIRST + at % HOST_PORTS)))
            at++;
        buffer_printf(&text, "%s127.0.0.1:%u", i == 0 ? "" : ",",
                      (unsigned)(HOST_PORT_FIRST + at++ % HOST_PORTS));
    }
    launch->addresses = arena_copy(&launch->call->arena, buffer_slice(&text));
    buffer_deinit(&text);
    return launch->addresses.data != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* ---- the environment */

struct env_list {
    struct arena *arena;
    struct text_pair *pairs;
    uint32_t count, cap;
    bool is_failed;
};

static void env_put(struct env_list *list, const char *key, struct slice value)
{
    struct slice name = slice_of(key);
    for (uint32_t i = 0; i < list->count; i++)
        if (slice_is_equal(list->pairs[i].key, name)) {
            list->pairs[i].value = value;
            return;
        }
    if (list->count == list->cap || value.data == NULL)
        list->is_failed = true;
    else
        list->pairs[list->count++] = (struct text_pair){name, value};
}

static void env_number(struct env_list *list, const char *key, uint64_t value)
{
    const char *text = arena_printf(list->arena, "%llu", (unsigned long long)value);
    env_put(list, key, text == NULL ? (struct slice){0} : slice_of(text));
}

static void env_devices(struct launch *launch, struct env_list *list,
                        const struct rank_place *place)
{
    const char *name = runtime_visible_env(launch->variant->runtime);
    if (name == NULL)
        return;
    struct buffer text;
    buffer_init(&text, (size_t)RANK_DEVICES_MAX * ENV_TEXT_MAX);
    for (uint32_t i = 0; i < place->device_count; i++)
        buffer_printf(&text, "%s%u", i == 0 ? "" : ",", place->devices[i]);
    env_put(list, name, arena_copy(list->arena, buffer_slice(&text)));
    buffer_deinit(&text);
}

static void env_protocol(struct launch *launch, uint32_t rank, struct env_list *list)
{
    const struct attempt_order *order = &launch->order;
    const struct rank_place *place = &order->places[rank];
    char job[ID_TEXT_MAX], name[ATTEMPT_NAME_MAX];
    id_format(order->token.job.id, "job", job);
    attempt_name_format(&order->token, name);
    env_put(list, "LQ_JOB_ID", arena_copy(list->arena, slice_of(job)));
    env_put(list, "LQ_JOB_NAME", order->job_name.data != NULL ? order->job_name : slice_of(""));
    env_number(list, "LQ_ATTEMPT", order->token.number);
    env_put(list, "LQ_ATTEMPT_NAME", arena_copy(list->arena, slice_of(name)));
    env_number(list, "LQ_NODE_RANK", rank);
    env_number(list, "LQ_NUM_NODES", order->nodes);
    env_put(list, "LQ_NODE_ADDRS", launch->addresses);
    env_number(list, "LQ_ARRAY_INDEX", order->array_index);
    env_put(list, "LQ_SITE", slice_of(launch->host->settings.site_name));
    env_put(list, "LQ_NODE", launch->host->settings.nodes[place->node].name);
    env_number(list, "LQ_NUM_CPUS", (launch->spec.cpu_milli + 999) / 1000);
    env_put(list, "LQ_RUNTIME", slice_of(runtime_name(launch->variant->runtime)));
    env_put(list, "LQ_SCRATCH_DIR", SLICE_LITERAL("/tmp"));
    if (launch->spec.checkpoint.dir.len != 0) {
        const char *dir =
            arena_printf(list->arena, "/job/%.*s", SLICE_ARG(launch->spec.checkpoint.dir));
        env_put(list, "LQ_CHECKPOINT_DIR", dir == NULL ? (struct slice){0} : slice_of(dir));
    }
    env_devices(launch, list, place);
}

/* Ours are the floor, the job's own come over them, and what the protocol says stands on top. */
static enum err make_envs(struct launch *launch, uint32_t rank, struct supervise_doc *doc)
{
    struct env_list list = {.arena = &launch->call->arena, .cap = SUPERVISE_ENVS_MAX};
    list.pairs = arena_array(list.arena, list.cap, sizeof(*list.pairs));
    if (list.pairs == NULL)
        return ERR_NO_MEMORY;
    env_put(&list, "PATH",
            SLICE_LITERAL("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    env_put(&list, "HOME", SLICE_LITERAL("/job"));
    env_put(&list, "LANG", SLICE_LITERAL("C.UTF-8"));
    env_put(&list, "USER", SLICE_LITERAL("job"));
    env_put(&list, "TMPDIR", SLICE_LITERAL("/tmp"));
    env_number(&list, "OMP_NUM_THREADS", (launch->spec.cpu_milli + 999) / 1000);
    for (uint32_t i = 0; i < launch->variant->env_count; i++) {
        const struct text_pair *pair = &launch->variant->envs[i];
        if (slice_has_prefix(pair->key, SLICE_LITERAL("LQ_")))
            continue; /* ours to say */
        char *key = arena_text(list.arena, pair->key);
        if (key == NULL)
            return ERR_NO_MEMORY;
        env_put(&list, key, pair->value.data != NULL ? pair->value : slice_of(""));
    }
    env_protocol(launch, rank, &list);
    doc->envs = list.pairs;
    doc->env_count = list.count;
    return list.is_failed ? ERR_NO_MEMORY : ERR_OK;
}

/* ---- the files */

static struct span_ms or_default(struct span_ms value, struct span_ms fallback)
{
    return value.ms > 0 ? value : fallback;
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

static void fill_protocol(const struct launch *launch, uint32_t rank, struct supervise_doc *doc)
{
    const struct host_settings *settings = &launch->host->settings;
    const struct job_spec *spec = &launch->spec;
    *doc = (struct supervise_doc){
        .token = launch->order.token,
        .rank = rank,
        .nodes = launch->order.nodes,
        .incarnation = launch->call->incarnation,
        .contact = launch->order.contact,
        .ask_every = or_default(settings->ask_every, HOST_ASK_EVERY),
        .renew_every = or_default(settings->renew_every, HOST_RENEW_EVERY),
        .report_every = or_default(settings->report_every, HOST_REPORT_EVERY),
        .gate_limit = launch->call->gate_limit,
        .time_limit = spec->time_limit,
        .stop_grace = or_default(spec->checkpoint.grace, job_spec_default_grace(spec)),
        .kill_time = or_default(settings->kill_time, HOST_KILL_TIME),
        .report_limit = or_default(settings->report_limit, HOST_REPORT_LIMIT),
        .stop_signal = spec->checkpoint.signal,
    };
    /* Under a lease it asks often enough that one lost answer does not kill. The server renews at
     * quarters of it, counted from requests that were a quarter old: half is always left at the
     * agent. Grace and kill must fit into what remains of that between two questions, or a short
     * lease's program would be told to stop as soon as it runs. */
    if (doc->contact.policy == CONTACT_LEASE) {
        const int64_t lease_ms = doc->contact.lease.ms;
        doc->renew_every.ms = at_most(doc->renew_every.ms, lease_ms / 6 > 50 ? lease_ms / 6 : 50);
        doc->stop_grace.ms = at_most(doc->stop_grace.ms, lease_ms / 8);
        doc->kill_time.ms = at_most(doc->kill_time.ms, lease_ms / 8);
    }
}

static enum err fill_sandbox(const struct launch *launch, uint32_t rank, struct supervise_doc *doc)
{
    const struct host *host = launch->host;
    const struct host_settings *settings = &host->settings;
    char name[SUPERVISE_GROUP_NAME_MAX];
    const char *socket =
        arena_printf(&launch->call->arena, "%s/supervise.sock", settings->state_dir);
    if (socket == NULL)
        return ERR_NO_MEMORY;
    supervise_group_name(&launch->order.token, rank, name);
    doc->socket = slice_of(socket);
    doc->network = launch->network;
    if (host->is_root) {
        doc->uid = HOST_USER_FIRST + (uint32_t)(hash_bytes(slice_of(name), 0) % HOST_USERS);
        doc->gid = doc->uid;
    }
    doc->has_nested_userns = host->has_nested_userns;
    doc->bwrap = slice_of(host->bwrap);
    doc->node_group = host->node_groups[launch->order.places[rank].node];
    doc->limits = (struct cgroup_limits){
        .cpu_milli = launch->spec.cpu_milli,
        .mem_bytes = launch->spec.mem_bytes,
        .pids = launch->spec.pids_max != 0 ? launch->spec.pids_max : JOB_PIDS_DEFAULT,
    };
    doc->scratch_bytes =
        launch->spec.scratch_bytes != 0 ? launch->spec.scratch_bytes : JOB_SCRATCH_BYTES_DEFAULT;
    doc->disk_reserve_bytes =
        settings->disk_reserve_bytes != 0 ? settings->disk_reserve_bytes : HOST_DISK_RESERVE_BYTES;
    doc->log_bytes_max =
        settings->log_bytes_max != 0 ? settings->log_bytes_max : HOST_LOG_BYTES_MAX;
    doc->has_setup = launch->variant->setup.len != 0;
    doc->devices = launch->devices;
    doc->read_only = settings->read_only_paths;
    return ERR_OK;
}

/* Plain writes: a script is of no use without the process that the power failure took, too. One
 * that stands there as it should, from an earlier launch, is left alone. */
static enum err write_script(struct launch *launch, const char *folder, const char *name,
                             struct slice text)
{
    char path[HOST_PATH_MAX + 32];
    struct slice old;
    int fd = -1;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (file_read(path, text.len, &launch->call->arena, NULL, &old) == ERR_OK &&
        slice_is_equal(old, text))
        return ERR_OK;
    enum err code = file_remove(path, NULL);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return fault_set(&launch->fault, code, NULL, "an old script stands in the way");
    code = file_open(path, FILE_OPEN_CREATE, 0555, &launch->fault, &fd);
    if (code == ERR_OK)
        code = file_write_all(fd, text);
    file_close(fd);
    return code;
}

static enum err write_rank(struct launch *launch, uint32_t rank)
{
    char dir[HOST_PATH_MAX], path[HOST_PATH_MAX + 32];
    struct supervise_doc doc;
    struct buffer json;
    buffer_init(&json, SUPERVISE_BYTES_MAX);
    fill_protocol(launch, rank, &doc);
    enum err code = fill_sandbox(launch, rank, &doc);
    if (code == ERR_OK)
        code = make_envs(launch, rank, &doc);
    if (code == ERR_OK)
        code = supervise_doc_encode(&doc, &json);
    if (code == ERR_OK)
        code = host_rank_dir(launch->host, &launch->order.token, rank, dir);
    if (code == ERR_OK) {
        (void)snprintf(path, sizeof(path), "%s/script", dir);
        code = file_make_folders(path, 0755, &launch->fault);
    }
    if (code == ERR_OK && doc.has_setup)
        code = write_script(launch, path, "setup", launch->variant->setup);
    if (code == ERR_OK)
        code = write_script(launch, path, "run", launch->variant->run);
    if (code == ERR_OK) {
        (void)snprintf(path, sizeof(path), "%s/supervise.json", dir);
        code = file_write_atomic(path, buffer_slice(&json), 0600, &launch->fault);
    }
    buffer_deinit(&json);
    return code;
}

static enum err write_ranks(struct launch *launch)
{
    const struct host *host = launch->host;
    launch->network = host->settings.has_host_network ? NETWORK_HOST
                      : launch->order.nodes == 1      ? NETWORK_NONE
                      : host->has_gang_network        ? NETWORK_GANG
                                                      : NETWORK_HOST;
    enum err code = ERR_OK;
    if (launch->variant->accelerators != 0)
        code = host_device_files(launch->variant->runtime, &launch->call->arena, &launch->devices);
    if (code == ERR_OK)
        code = make_addresses(launch);
    for (uint32_t rank = 0; code == ERR_OK && rank < launch->order.nodes; rank++)
        code = write_rank(launch, rank);
    if (code == ERR_OK)
        return ERR_OK;
    char why[HOST_WHY_MAX];
    (void)snprintf(why, sizeof(why), "the attempt's files cannot be written: %s %s", err_name(code),
                   launch->fault.message);
    return refuse(launch, OUTCOME_BAD_ENVIRONMENT, why);
}

/* A name that lives, or has ended, is not started again. */
static bool is_there_already(struct host_call *call)
{
    host_look(call);
    if (call->answer.kind == DRIVE_PRESENT)
        call->answer.kind = DRIVE_ACCEPTED;
    else if (call->answer.kind == DRIVE_ENDED)
        call->answer.kind = DRIVE_UNSURE;
    else
        return false;
    (void)snprintf(call->why, sizeof(call->why), "an attempt of that name is there already");
    return true;
}

void host_launch_prepare(struct host_call *call)
{
    struct launch launch = {.call = call, .host = call->host};
    call->nodes = 0;
    if (is_there_already(call))
        return;
    /* The loop reads call and token meanwhile (is_starting): they are left alone. */
    call->answer.kind = DRIVE_ACCEPTED;
    while (call->incarnation == 0)
        if (entropy_fill(&call->incarnation, sizeof(call->incarnation)) != ERR_OK) {
            (void)!refuse(&launch, OUTCOME_BAD_ENVIRONMENT, "the machine gives no entropy");
            return;
        }
    call->answer.incarnation = call->incarnation;
    if (read_order(&launch) != ERR_OK || check_host(&launch) != ERR_OK ||
        write_ranks(&launch) != ERR_OK)
        return;
    call->secret = launch.order.secret;
    call->nodes = launch.order.nodes;
}
