/* A submit's work off the loop: the order is checked and each rank's folder gets its scripts and
 * its supervise.json. Whatever fails here has started nothing. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "drive/device_files.h"
#include "drive/host_private.h"
#include "drive/launch.h"
#include "port/entropy.h"

enum { ADDRESS_TEXT_MAX = 24 };

struct host_launch {
    struct launch base;
    struct host_call *call;
    struct host *host;
    struct text_list devices;
    enum supervise_network network;
    uint32_t shared_uid, shared_gid; /* whose the job's shared folders are */
};

/* The program works in a shared folder as the folder's owner: what it writes is theirs, and it may
 * do there what they may. Never as root. */
static enum err check_shared(struct host_launch *launch)
{
    const struct site allowed = {.shared_folders = launch->host->settings.shared_folders};
    const struct text_list *shared = &launch->base.spec.shared_folders;
    char path[HOST_PATH_MAX];
    for (uint32_t i = 0; i < shared->count; i++) {
        struct stat info;
        struct slice folder = shared->items[i];
        if (!site_shares_folder(&allowed, launch->base.order.tenant, folder))
            return launch_refuse(&launch->base, OUTCOME_REFUSED,
                                 "the operator does not share the job's folder with its tenant");
        (void)snprintf(path, sizeof(path), "%.*s", SLICE_ARG(folder));
        if (lstat(path, &info) != 0 || !S_ISDIR(info.st_mode))
            return launch_refuse(&launch->base, OUTCOME_BAD_ENVIRONMENT,
                                 "the shared folder is not there, or is no folder");
        if (launch->host->is_root && info.st_uid == 0)
            return launch_refuse(&launch->base, OUTCOME_BAD_ENVIRONMENT,
                                 "the shared folder belongs to root, and nothing runs as root; "
                                 "give it to the account that work in it runs as");
        if (i > 0 && launch->shared_uid != info.st_uid)
            return launch_refuse(&launch->base, OUTCOME_REFUSED,
                                 "the job's shared folders belong to different accounts");
        launch->shared_uid = info.st_uid;
        launch->shared_gid = info.st_gid;
    }
    return ERR_OK;
}

static enum err check_host(struct host_launch *launch)
{
    if (!launch->host->base.traits.can_run)
        return launch_refuse(&launch->base, OUTCOME_BAD_ENVIRONMENT,
                             launch->host->base.traits.notes[0]);
    if (launch->base.variant->image.len != 0 && !launch->host->base.traits.has_images)
        return launch_refuse(
            &launch->base, OUTCOME_REFUSED,
            "the job names a container image, and this site runs none; leave `image` out "
            "or place the job elsewhere");
    if (launch->base.variant->image.len != 0) {
        const struct site allowed = {.images = launch->host->settings.images};
        if (!site_allows_image(&allowed, launch->base.variant->image))
            return launch_refuse(&launch->base, OUTCOME_REFUSED,
                                 "the operator does not allow the job's container image here");
    }
    enum err code = check_shared(launch);
    return code == ERR_OK ? launch_check_places(&launch->base) : code;
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
static enum err make_addresses(struct host_launch *launch)
{
    struct buffer text;
    char name[ATTEMPT_NAME_MAX];
    uint32_t nodes = launch->base.order.nodes;
    attempt_name_format(&launch->base.order.token, name);
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
    launch->base.addresses = arena_copy(&launch->call->arena, buffer_slice(&text));
    buffer_deinit(&text);
    return launch->base.addresses.data != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* ---- the files */

static enum err fill_sandbox(const struct host_launch *launch, uint32_t rank,
                             struct supervise_doc *doc)
{
    const struct host *host = launch->host;
    const struct host_settings *settings = &host->settings;
    char name[SUPERVISE_GROUP_NAME_MAX];
    const char *socket =
        arena_printf(&launch->call->arena, "%s/supervise.sock", settings->state_dir);
    if (socket == NULL)
        return ERR_NO_MEMORY;
    supervise_group_name(&launch->base.order.token, rank, name);
    doc->socket = slice_of(socket);
    doc->network = launch->network;
    if (host->is_root) {
        doc->uid = HOST_USER_FIRST + (uint32_t)(hash_bytes(slice_of(name), 0) % HOST_USERS);
        doc->gid = doc->uid;
    }
    doc->has_nested_userns = host->has_nested_userns;
    doc->bwrap = slice_of(host->bwrap);
    doc->node_group = host->node_groups[launch->base.order.places[rank].node];
    doc->limits = (struct cgroup_limits){
        .cpu_milli = launch->base.spec.cpu_milli,
        .mem_bytes = launch->base.spec.mem_bytes,
        .pids = launch->base.spec.pids_max != 0 ? launch->base.spec.pids_max : JOB_PIDS_DEFAULT,
    };
    doc->scratch_bytes = job_spec_disk_bytes(&launch->base.spec);
    doc->disk_reserve_bytes =
        settings->disk_reserve_bytes != 0 ? settings->disk_reserve_bytes : HOST_DISK_RESERVE_BYTES;
    doc->log_bytes_max =
        settings->log_bytes_max != 0 ? settings->log_bytes_max : HOST_LOG_BYTES_MAX;
    if (launch->call->image.root[0] != '\0')
        doc->root = slice_of(launch->call->image.root);
    doc->has_setup = launch->base.variant->setup.len != 0;
    doc->devices = launch->devices;
    doc->shared = launch->base.spec.shared_folders;
    if (host->is_root && doc->shared.count > 0) {
        doc->uid = launch->shared_uid;
        doc->gid = launch->shared_gid;
    }
    return device_folders_add(launch->base.variant->runtime, settings->read_only_paths,
                              &launch->call->arena, &doc->read_only);
}

static enum err write_rank(struct host_launch *launch, uint32_t rank)
{
    char dir[HOST_PATH_MAX];
    struct supervise_doc doc;
    launch_protocol(&launch->base, rank, &doc);
    enum err code = fill_sandbox(launch, rank, &doc);
    if (code == ERR_OK)
        code = launch_envs(&launch->base, rank, &doc);
    if (code == ERR_OK)
        code = host_rank_dir(launch->host, &launch->base.order.token, rank, dir);
    return code == ERR_OK ? launch_write_rank(&launch->base, dir, &doc) : code;
}

static enum err write_ranks(struct host_launch *launch)
{
    const struct host *host = launch->host;
    launch->network = host->settings.has_host_network ? NETWORK_HOST
                      : launch->base.order.nodes == 1 ? NETWORK_NONE
                      : host->has_gang_network        ? NETWORK_GANG
                                                      : NETWORK_HOST;
    enum err code = ERR_OK;
    if (launch->base.variant->accelerators != 0)
        code = device_files_list(launch->base.variant->runtime, &launch->call->arena,
                                 &launch->devices);
    if (code == ERR_OK)
        code = make_addresses(launch);
    for (uint32_t rank = 0; code == ERR_OK && rank < launch->base.order.nodes; rank++)
        code = write_rank(launch, rank);
    if (code == ERR_OK)
        return ERR_OK;
    char why[HOST_WHY_MAX];
    (void)snprintf(why, sizeof(why), "the attempt's files cannot be written: %s %s", err_name(code),
                   launch->base.fault.message);
    return launch_refuse(&launch->base, OUTCOME_BAD_ENVIRONMENT, why);
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

static enum err prepare(struct host_launch *launch)
{
    struct host_call *call = launch->call;
    while (call->incarnation == 0)
        if (entropy_fill(&call->incarnation, sizeof(call->incarnation)) != ERR_OK)
            return launch_refuse(&launch->base, OUTCOME_BAD_ENVIRONMENT,
                                 "the machine gives no entropy");
    launch->base.incarnation = call->incarnation;
    enum err code = launch_read(&launch->base, &call->answer.token, call->order);
    if (code == ERR_OK)
        code = check_host(launch);
    if (code != ERR_OK)
        return code;
    launch->call->wants_image =
        launch->base.variant->image.len != 0 && launch->call->image.root[0] == '\0';
    launch->call->image_name = launch->base.variant->image; /* in the call's arena */
    return launch->call->wants_image ? ERR_OK : write_ranks(launch);
}

void host_launch_prepare(struct host_call *call)
{
    const struct host_settings *settings = &call->host->settings;
    call->nodes = 0;
    if (is_there_already(call))
        return;
    struct host_launch launch = {
        .call = call,
        .host = call->host,
        .base = {.arena = &call->arena,
                 .site_name = settings->site_name,
                 .nodes = settings->nodes,
                 .node_count = settings->node_count,
                 .spans = {settings->ask_every, settings->renew_every, settings->report_every,
                           settings->report_limit, settings->kill_time},
                 .gate_limit = call->gate_limit,
                 .notice = settings->notice}};
    /* The loop reads call and token meanwhile (is_starting): they are left alone. */
    if (prepare(&launch) != ERR_OK) {
        call->answer.kind = DRIVE_REJECTED;
        call->answer.outcome = launch.base.outcome;
        (void)snprintf(call->why, sizeof(call->why), "%s", launch.base.why);
        return;
    }
    call->answer.kind = DRIVE_ACCEPTED;
    call->answer.incarnation = call->incarnation;
    call->secret = launch.base.order.secret;
    call->nodes = call->wants_image ? 0 : launch.base.order.nodes;
}
