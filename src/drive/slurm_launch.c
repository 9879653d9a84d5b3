/* A submit's work off the loop: the ranks' folders on the shared file system, then sbatch. What
 * fails before sbatch has started nothing; what sbatch says decides the rest. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "drive/device_files.h"
#include "drive/slurm_private.h"
#include "drive/tree.h"
#include "port/entropy.h"
#include "port/file.h"

#define TENANT_PREFIX "ten" /* as the API writes it (wire/doc.h) */
enum { ADDRESS_TEXT_MAX = SLURM_NAME_MAX + 8, WORD_MAX = 320, SBATCH_ARGUMENTS_MAX = 40 };

/* The same for every attempt. $1: the supervisor, $2: the attempt's folder, $3: the launch, $4: the
 * number of nodes. A job that Slurm starts again is another launch, and none of ours. */
static const char SCRIPT[] =
    "#!/bin/sh\n"
    "[ \"${SLURM_RESTART_COUNT:-0}\" = 0 ] || exit 75\n"
    "[ \"$4\" = 1 ] && exec \"$1\" --dir \"$2/on/$SLURMD_NODENAME\" --launch \"$3\"\n"
    "exec srun --quiet --nodes=\"$4\" --ntasks=\"$4\" --ntasks-per-node=1 --kill-on-bad-exit=0 \\\n"
    "    --wait=0 --mpi=none --export=ALL \\\n"
    "    /bin/sh -c 'exec \"$1\" --dir \"$2/on/$SLURMD_NODENAME\" --launch \"$3\"' \\\n"
    "    lq \"$1\" \"$2\" \"$3\"\n";

struct slurm_launch {
    struct launch base;
    struct slurm_call *call;
    const struct slurm *slurm;
    const struct slurm_account *account; /* NULL: the agent's own */
    const struct text_pair *gres;        /* NULL: no devices */
    uint32_t partition;
    char dir[LAUNCH_PATH_MAX];
};

enum err slurm_attempt_dir(const struct slurm *slurm, const struct attempt_token *token,
                           char out[LAUNCH_PATH_MAX])
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(token, name);
    int len = snprintf(out, LAUNCH_PATH_MAX, "%.*s/attempts/%s",
                       SLICE_ARG(slurm->settings.config->work), name);
    return len > 0 && len < LAUNCH_PATH_MAX ? ERR_OK : ERR_LIMIT;
}

/* ---- what is asked for, against what the site allows */

static enum err check_account(struct slurm_launch *launch)
{
    const struct slurm *slurm = launch->slurm;
    char tenant[ID_TEXT_MAX];
    id_format(launch->base.order.tenant.id, TENANT_PREFIX, tenant);
    if (slurm->account_count == 0)
        return ERR_OK;
    for (uint32_t i = 0; i < slurm->account_count; i++)
        if (slurm->accounts[i].tenant.len == 0 || slice_is(slurm->accounts[i].tenant, tenant)) {
            launch->account = &slurm->accounts[i];
            return ERR_OK;
        }
    return launch_refuse(&launch->base, OUTCOME_REFUSED,
                         "the site has no local account for the job's tenant");
}

static enum err check_nodes(struct slurm_launch *launch)
{
    const struct slurm_seen *seen = launch->call->seen;
    const struct attempt_order *order = &launch->base.order;
    for (uint32_t i = 0; i < order->nodes; i++) {
        const struct slurm_seen_node *node = &seen->nodes[order->places[i].node];
        if (!node->is_known)
            return launch_refuse(&launch->base, OUTCOME_REFUSED,
                                 "the cluster no longer has that node in the site's partitions");
        if (i == 0)
            launch->partition = node->partition;
        if (node->partition != launch->partition)
            return launch_refuse(&launch->base, OUTCOME_REFUSED,
                                 "a gang's nodes must be of one partition");
        for (uint32_t k = 0; k < i; k++)
            if (order->places[k].node == order->places[i].node)
                return launch_refuse(&launch->base, OUTCOME_REFUSED,
                                     "a Slurm site runs one rank of a gang on a node");
    }
    return ERR_OK;
}

static enum err check(struct slurm_launch *launch)
{
    const struct job_variant *variant = launch->base.variant;
    if (variant->image.len != 0)
        return launch_refuse(&launch->base, OUTCOME_REFUSED,
                             "the job names a container image, and this site runs none");
    enum err code = launch_check_places(&launch->base);
    if (code == ERR_OK && variant->accelerators != 0) {
        uint16_t node = launch->base.order.places[0].node;
        launch->gres =
            slurm_gres_of(launch->slurm->settings.config, launch->base.nodes[node].accelerator);
        if (launch->gres == NULL)
            return launch_refuse(&launch->base, OUTCOME_REFUSED,
                                 "the site's file names no GRES for that accelerator");
    }
    if (code == ERR_OK)
        code = check_account(launch);
    return code == ERR_OK ? check_nodes(launch) : code;
}

/* ---- files */

static enum err make_addresses(struct slurm_launch *launch)
{
    struct buffer text;
    char name[ATTEMPT_NAME_MAX];
    const struct attempt_order *order = &launch->base.order;
    attempt_name_format(&order->token, name);
    uint64_t at = hash_bytes(slice_of(name), 0) % SLURM_PORTS;
    buffer_init(&text, (size_t)JOB_NODES_MAX * ADDRESS_TEXT_MAX);
    for (uint32_t i = 0; i < order->nodes; i++)
        buffer_printf(&text, "%s%s:%u", i == 0 ? "" : ",",
                      order->nodes == 1 ? "127.0.0.1"
                                        : launch->call->seen->nodes[order->places[i].node].address,
                      (unsigned)(SLURM_PORT_FIRST + (at + i) % SLURM_PORTS));
    launch->base.addresses = arena_copy(launch->base.arena, buffer_slice(&text));
    buffer_deinit(&text);
    return launch->base.addresses.data != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static enum err fill_sandbox(const struct slurm_launch *launch, struct supervise_doc *doc)
{
    const struct job_spec *spec = &launch->base.spec;
    const char *socket = arena_printf(launch->base.arena, "tcp:%.*s",
                                      SLICE_ARG(launch->slurm->settings.config->gate));
    if (socket == NULL)
        return ERR_NO_MEMORY;
    doc->socket = slice_of(socket);
    doc->network = launch->base.order.nodes == 1 ? NETWORK_NONE : NETWORK_HOST;
    doc->bwrap = slice_of(launch->slurm->bwrap);
    doc->limits = (struct cgroup_limits){
        .cpu_milli = spec->cpu_milli,
        .mem_bytes = spec->mem_bytes,
        .pids = spec->pids_max != 0 ? spec->pids_max : JOB_PIDS_DEFAULT,
    };
    doc->scratch_bytes = job_spec_disk_bytes(spec);
    doc->disk_reserve_bytes = HOST_DISK_RESERVE_BYTES;
    doc->log_bytes_max = HOST_LOG_BYTES_MAX;
    doc->has_setup = launch->base.variant->setup.len != 0;
    doc->has_engine_devices = launch->base.variant->accelerators != 0;
    doc->runtime = launch->base.variant->runtime;
    /* Slurm kills this long after it asks: the last checkpoint has to be written by then. */
    if (doc->stop_grace.ms > launch->slurm->notice.ms)
        doc->stop_grace = launch->slurm->notice;
    return device_folders_add(doc->runtime, (struct text_list){0}, launch->base.arena,
                              &doc->read_only);
}

static enum err write_file(struct slurm_launch *launch, const char *path, struct slice text,
                           uint32_t mode)
{
    int fd = -1;
    enum err code = file_remove(path, NULL);
    if (code == ERR_OK || code == ERR_NOT_FOUND)
        code = file_open(path, FILE_OPEN_CREATE, mode, &launch->base.fault, &fd);
    if (code == ERR_OK)
        code = file_write_all(fd, text);
    file_close(fd);
    return code;
}

/* A node finds its rank by its own name, whatever order Slurm has. */
static enum err link_node(struct slurm_launch *launch, uint32_t rank)
{
    char path[2 * LAUNCH_PATH_MAX], target[32];
    uint16_t node = launch->base.order.places[rank].node;
    (void)snprintf(target, sizeof(target), "../rank-%u", rank);
    (void)snprintf(path, sizeof(path), "%s/on/%.*s", launch->dir,
                   SLICE_ARG(launch->base.nodes[node].name));
    enum err code = file_remove(path, NULL);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return code;
    return symlink(target, path) == 0 ? ERR_OK : ERR_IO;
}

static enum err write_rank(struct slurm_launch *launch, uint32_t rank)
{
    char dir[LAUNCH_PATH_MAX + 16], path[LAUNCH_PATH_MAX + 32];
    struct supervise_doc doc;
    launch_protocol(&launch->base, rank, &doc);
    enum err code = fill_sandbox(launch, &doc);
    if (code == ERR_OK)
        code = launch_envs(&launch->base, rank, &doc);
    if (code != ERR_OK)
        return code;
    (void)snprintf(dir, sizeof(dir), "%s/rank-%u", launch->dir, rank);
    (void)snprintf(path, sizeof(path), "%s/secret", dir);
    code = launch_write_rank(&launch->base, dir, &doc);
    if (code == ERR_OK)
        code = write_file(launch, path, launch->base.order.secret, 0600);
    return code == ERR_OK ? link_node(launch, rank) : code;
}

/* Everything below the attempt's folder to the account that the job runs as. */
static enum err give_away(const struct slurm_launch *launch)
{
    if (launch->account == NULL || launch->account->uid == geteuid())
        return ERR_OK;
    int folder = open(launch->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return ERR_IO;
    enum err code = tree_give(folder, launch->account->uid, launch->account->gid);
    (void)close(folder);
    return code;
}

static enum err write_files(struct slurm_launch *launch)
{
    char path[LAUNCH_PATH_MAX + 32];
    enum err code = slurm_attempt_dir(launch->slurm, &launch->base.order.token, launch->dir);
    (void)snprintf(path, sizeof(path), "%s/on", launch->dir);
    if (code == ERR_OK)
        code = file_make_folders(path, 0700, &launch->base.fault);
    if (code == ERR_OK)
        code = make_addresses(launch);
    for (uint32_t rank = 0; code == ERR_OK && rank < launch->base.order.nodes; rank++)
        code = write_rank(launch, rank);
    (void)snprintf(path, sizeof(path), "%s/batch.sh", launch->dir);
    if (code == ERR_OK)
        code = write_file(launch, path, slice_make(SCRIPT, sizeof(SCRIPT) - 1), 0500);
    if (code == ERR_OK)
        code = give_away(launch);
    if (code == ERR_OK)
        return ERR_OK;
    char why[LAUNCH_WHY_MAX];
    (void)snprintf(why, sizeof(why), "the attempt's files cannot be written: %s %s", err_name(code),
                   launch->base.fault.message);
    return launch_refuse(&launch->base, OUTCOME_BAD_ENVIRONMENT, why);
}

/* ---- sbatch */

struct argument_list {
    struct arena *arena;
    const char *items[SBATCH_ARGUMENTS_MAX + 1];
    uint32_t count;
    bool is_failed;
};

static void add(struct argument_list *list, const char *format, ...) LQ_PRINTF(2, 3);

static void add(struct argument_list *list, const char *format, ...)
{
    char word[16 * WORD_MAX];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(word, sizeof(word), format, values);
    va_end(values);
    char *copy = len < 0 || (size_t)len >= sizeof(word)
                     ? NULL
                     : arena_text(list->arena, slice_make(word, (size_t)len));
    if (copy == NULL || list->count == SBATCH_ARGUMENTS_MAX)
        list->is_failed = true;
    else
        list->items[list->count++] = copy;
}

static void add_word(struct argument_list *list, const char *flag, struct slice value)
{
    if (value.len != 0)
        add(list, "%s=%.*s", flag, SLICE_ARG(value));
}

static void add_nodes(const struct slurm_launch *launch, struct argument_list *list)
{
    struct buffer names;
    const struct attempt_order *order = &launch->base.order;
    buffer_init(&names, (size_t)JOB_NODES_MAX * (SLURM_NAME_MAX + 1));
    buffer_append_text(&names, "--nodelist=");
    for (uint32_t i = 0; i < order->nodes; i++)
        buffer_printf(&names, "%s%.*s", i == 0 ? "" : ",",
                      SLICE_ARG(launch->base.nodes[order->places[i].node].name));
    char *text = arena_text(list->arena, buffer_slice(&names));
    if (text == NULL || buffer_status(&names) != ERR_OK || list->count == SBATCH_ARGUMENTS_MAX)
        list->is_failed = true;
    else
        list->items[list->count++] = text;
    buffer_deinit(&names);
}

static uint64_t ceiling(uint64_t value, uint64_t unit)
{
    return value / unit + (value % unit != 0 ? 1 : 0);
}

static void add_limits(const struct slurm_launch *launch, struct argument_list *list)
{
    const struct job_spec *spec = &launch->base.spec;
    uint64_t cpus = ceiling(spec->cpu_milli, 1000), mem = ceiling(spec->mem_bytes, 1 << 20);
    add(list, "--nodes=%u", launch->base.order.nodes);
    add(list, "--ntasks-per-node=1");
    add(list, "--cpus-per-task=%llu", (unsigned long long)(cpus > 0 ? cpus : 1));
    if (mem > 0)
        add(list, "--mem=%lluM", (unsigned long long)mem);
    if (launch->gres != NULL)
        add(list, "--gres=%.*s:%u", SLICE_ARG(launch->gres->key),
            launch->base.variant->accelerators);
    if (spec->time_limit.ms != 0) { /* the backstop: supervisors are done before */
        uint64_t all = (uint64_t)(spec->time_limit.ms + launch->base.gate_limit.ms +
                                  launch->slurm->notice.ms + SLURM_CALL_LIMIT.ms);
        add(list, "--time=%llu", (unsigned long long)ceiling(all, 60000));
    }
}

static void add_site(const struct slurm_launch *launch, struct argument_list *list)
{
    const struct slurm_config *config = launch->slurm->settings.config;
    add_word(list, "--partition", config->partitions.items[launch->partition]);
    add_word(list, "--account", config->account);
    add_word(list, "--qos", config->qos);
    add_word(list, "--constraint", config->constraint);
    if (launch->account != NULL && launch->account->uid != geteuid()) {
        add(list, "--uid=%u", launch->account->uid);
        add(list, "--gid=%u", launch->account->gid);
    }
}

static bool make_arguments(const struct slurm_launch *launch, struct argument_list *list)
{
    char name[ATTEMPT_NAME_MAX];
    unsigned long long number = launch->base.incarnation;
    attempt_name_format(&launch->base.order.token, name);
    add(list, "--parsable");
    add(list, "--no-requeue");
    add(list, "--job-name=%s", name);
    add(list, "--comment=%llu", number);
    /* sbatch gets a plain environment (program.h) and hands on that. Any other word makes 22.05 ask
     * a login shell on the node first, for up to two seconds. */
    add(list, "--export=ALL");
    add(list, "--input=/dev/null");
    add(list, "--output=%s/batch.log", launch->dir);
    add(list, "--chdir=/");
    add_site(launch, list);
    add_limits(launch, list);
    add_nodes(launch, list);
    add(list, "%s/batch.sh", launch->dir);
    add(list, "%.*s", SLICE_ARG(launch->slurm->settings.config->supervise));
    add(list, "%s", launch->dir);
    add(list, "%llu", number);
    add(list, "%u", launch->base.order.nodes);
    return !list->is_failed;
}

/* sbatch says no and nothing was made: Slurm's own words for it (slurm_errno.c), stable over the
 * versions. Anything else may have arrived all the same. */
static bool is_certain_no(struct slice said)
{
    static const char *const WORDS[] = {
        "Invalid account",
        "Invalid partition",
        "Invalid qos",
        "Invalid generic resource",
        "Invalid feature specification",
        "Invalid node name",
        "Invalid user id",
        "Node count specification invalid",
        "Requested node configuration is not available",
        "Requested time limit is invalid",
        "Required partition not available",
        "Required node not available",
        "User's group not permitted",
        "Access/permission denied",
        "Job violates accounting/QOS policy",
        "Batch script is empty",
        "Memory required by task is not available",
    };
    const char *text = said.data == NULL ? "" : said.data;
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (strstr(text, WORDS[i]) != NULL)
            return true;
    return false;
}

/* The last line that sbatch printed, for people. */
static void keep_words(struct slurm_call *call, struct slice said)
{
    struct slice line = {0}, rest = said;
    while (rest.len != 0) {
        struct slice next = rest;
        if (!slice_cut(rest, '\n', &next, &rest))
            rest = (struct slice){0};
        if (next.len != 0)
            line = next;
    }
    int len = line.len < SLURM_SAID_MAX ? (int)line.len : SLURM_SAID_MAX;
    (void)snprintf(call->why, sizeof(call->why), "%.*s", len, line.data == NULL ? "" : line.data);
}

static void submit(struct slurm_launch *launch)
{
    struct slurm_call *call = launch->call;
    struct argument_list list = {.arena = launch->base.arena};
    struct buffer said;
    struct slice first, rest;
    uint64_t id = 0;
    int status = 0;
    call->answer.kind = DRIVE_UNSURE;
    if (!make_arguments(launch, &list)) {
        (void)snprintf(call->why, sizeof(call->why), "sbatch's arguments do not fit");
        return;
    }
    buffer_init(&said, SLURM_OUTPUT_BYTES_MAX);
    enum err code =
        slurm_command_run(&launch->slurm->commands, SLURM_SBATCH, list.items, true, &said, &status);
    (void)buffer_text(&said);
    struct slice text = buffer_slice(&said);
    if (!slice_cut(text, '\n', &first, &rest))
        first = text;
    (void)slice_cut(first, ';', &first, &rest); /* "id;cluster" */
    if (code == ERR_OK && status == 0 && slice_parse_u64(first, &id) == ERR_OK) {
        call->answer.kind = DRIVE_ACCEPTED;
        call->answer.incarnation = call->incarnation;
    } else if (code == ERR_OK && status != 0 && is_certain_no(text)) {
        call->answer.kind = DRIVE_REJECTED;
        call->answer.outcome = OUTCOME_REFUSED;
        keep_words(call, text);
    } else if (code == ERR_OK) {
        keep_words(call, text);
    } else {
        (void)snprintf(call->why, sizeof(call->why), "sbatch did not answer: %s", err_name(code));
    }
    buffer_deinit(&said);
}

void slurm_launch_run(struct slurm_call *call)
{
    const struct slurm_settings *settings = &call->slurm->settings;
    struct slurm_launch launch = {
        .call = call,
        .slurm = call->slurm,
        .base = {.arena = &call->arena,
                 .site_name = settings->site_name,
                 .nodes = settings->nodes,
                 .node_count = settings->node_count,
                 .spans = {.renew_every = SLURM_RENEW_EVERY, .report_limit = SLURM_REPORT_LIMIT},
                 .gate_limit = call->gate_limit,
                 .notice = settings->config->surplus.notice}};
    enum err code = ERR_OK;
    while (code == ERR_OK && call->incarnation == 0)
        if (entropy_fill(&call->incarnation, sizeof(call->incarnation)) != ERR_OK)
            code = launch_refuse(&launch.base, OUTCOME_BAD_ENVIRONMENT,
                                 "the machine gives no entropy");
    launch.base.incarnation = call->incarnation;
    if (code == ERR_OK)
        code = launch_read(&launch.base, &call->answer.token, call->order);
    if (code == ERR_OK)
        code = check(&launch);
    if (code == ERR_OK)
        code = write_files(&launch);
    if (code == ERR_OK) {
        submit(&launch);
        return;
    }
    call->answer.kind = DRIVE_REJECTED;
    call->answer.outcome = launch.base.outcome;
    (void)snprintf(call->why, sizeof(call->why), "%s", launch.base.why);
}
