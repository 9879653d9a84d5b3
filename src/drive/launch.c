#include "drive/launch.h"

#include <stdio.h>

#include "drive/stack.h"
#include "port/file.h"
#include "wire/spec.h"

enum err launch_refuse(struct launch *launch, enum outcome outcome, const char *why)
{
    launch->outcome = outcome;
    (void)snprintf(launch->why, sizeof(launch->why), "%s", why);
    return ERR_UNSUPPORTED;
}

/* ---- what is asked for, against what the site is */

enum err launch_read(struct launch *launch, const struct attempt_token *token, struct slice order)
{
    enum err code = attempt_order_decode(order, launch->arena, &launch->order, &launch->fault);
    if (code == ERR_OK && !attempt_token_is_equal(&launch->order.token, token))
        code = fault_set(&launch->fault, ERR_INVALID, "token", "is of another attempt");
    if (code == ERR_OK)
        code = spec_parse(launch->order.spec, launch->arena, &launch->spec, &launch->fault);
    if (code == ERR_OK && launch->order.variant >= launch->spec.variant_count)
        code = fault_set(&launch->fault, ERR_INVALID, "variant", "is not one of the job's");
    if (code == ERR_OK) {
        launch->variant = &launch->spec.variants[launch->order.variant];
        return ERR_OK;
    }
    char why[LAUNCH_WHY_MAX];
    (void)snprintf(why, sizeof(why), "the order makes no sense here: %s %s", launch->fault.field,
                   launch->fault.message);
    return launch_refuse(launch, OUTCOME_REFUSED, why);
}

enum err launch_check_places(struct launch *launch)
{
    for (uint32_t i = 0; i < launch->order.nodes; i++) {
        const struct rank_place *place = &launch->order.places[i];
        if (place->node >= launch->node_count)
            return launch_refuse(launch, OUTCOME_REFUSED, "the site has no such node");
        const struct site_node *node = &launch->nodes[place->node];
        if (launch->spec.cpu_milli > node->cpu_milli || launch->spec.mem_bytes > node->mem_bytes)
            return launch_refuse(launch, OUTCOME_REFUSED,
                                 "the job asks for more than its node has");
        for (uint32_t d = 0; d < place->device_count; d++)
            if (place->devices[d] >= node->accelerator_count)
                return launch_refuse(launch, OUTCOME_REFUSED, "the node has no such device");
    }
    return ERR_OK;
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

static uint64_t processors(const struct launch *launch)
{
    return ((uint64_t)launch->spec.cpu_milli + 999) / 1000;
}

static void env_number(struct env_list *list, const char *key, uint64_t value)
{
    const char *text = arena_printf(list->arena, "%llu", (unsigned long long)value);
    env_put(list, key, text == NULL ? (struct slice){0} : slice_of(text));
}

/* The stack's own wishes: the job's variables come over them. */
static void env_settings(struct launch *launch, struct env_list *list)
{
    const struct stack *stack = stack_of(launch->variant->runtime);
    for (size_t i = 0; i < STACK_SETTINGS_MAX && stack->settings[i].name != NULL; i++) {
        if (stack->settings[i].value != NULL)
            env_put(list, stack->settings[i].name, slice_of(stack->settings[i].value));
        else
            env_number(list, stack->settings[i].name, processors(launch));
    }
}

/* Which devices, in the stack's own words and in ours. What an engine chooses comes later. */
static void env_devices(struct launch *launch, struct env_list *list,
                        const struct rank_place *place)
{
    const struct stack *stack = stack_of(launch->variant->runtime);
    uint32_t numbers[RANK_DEVICES_MAX];
    struct slice text = {0};
    if (launch->variant->accelerators == 0)
        return;
    for (uint32_t i = 0; i < place->device_count; i++)
        numbers[i] = place->devices[i];
    if (stack_numbers(numbers, place->device_count, list->arena, &text) != ERR_OK)
        list->is_failed = true;
    for (size_t i = 0; i < STACK_VISIBLE_MAX && stack->visible[i] != NULL; i++)
        env_put(list, stack->visible[i], text);
    if (stack->order.name != NULL)
        env_put(list, stack->order.name, slice_of(stack->order.value));
    env_put(list, "LQ_DEVICES", text);
    env_put(list, "LQ_ACCELERATOR", launch->nodes[place->node].accelerator);
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
    env_put(list, "LQ_SITE", slice_of(launch->site_name));
    env_put(list, "LQ_NODE", launch->nodes[place->node].name);
    env_number(list, "LQ_NUM_CPUS", processors(launch));
    env_put(list, "LQ_RUNTIME", slice_of(runtime_name(launch->variant->runtime)));
    env_put(list, "LQ_SCRATCH_DIR", SLICE_LITERAL("/tmp"));
    env_put(list, "LQ_PROGRESS_FILE", SLICE_LITERAL("/tmp/" SUPERVISE_PROGRESS_NAME));
    if (launch->spec.checkpoint.dir.len != 0) {
        const char *dir =
            arena_printf(list->arena, "/job/%.*s", SLICE_ARG(launch->spec.checkpoint.dir));
        env_put(list, "LQ_CHECKPOINT_DIR", dir == NULL ? (struct slice){0} : slice_of(dir));
    }
    env_devices(launch, list, place);
}

/* Ours are the floor, the job's own come over them, and what the protocol says stands on top. */
enum err launch_envs(struct launch *launch, uint32_t rank, struct supervise_doc *doc)
{
    struct env_list list = {.arena = launch->arena, .cap = SUPERVISE_ENVS_MAX};
    list.pairs = arena_array(list.arena, list.cap, sizeof(*list.pairs));
    if (list.pairs == NULL)
        return ERR_NO_MEMORY;
    env_put(&list, "PATH",
            SLICE_LITERAL("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    env_put(&list, "HOME", SLICE_LITERAL("/job"));
    env_put(&list, "LANG", SLICE_LITERAL("C.UTF-8"));
    env_put(&list, "USER", SLICE_LITERAL("job"));
    env_put(&list, "TMPDIR", SLICE_LITERAL("/tmp"));
    env_number(&list, "OMP_NUM_THREADS", processors(launch));
    env_settings(launch, &list);
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

static struct span_ms or_default(struct span_ms value, struct span_ms fallback)
{
    return value.ms > 0 ? value : fallback;
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

void launch_protocol(const struct launch *launch, uint32_t rank, struct supervise_doc *doc)
{
    const struct launch_spans *spans = &launch->spans;
    const struct job_spec *spec = &launch->spec;
    *doc = (struct supervise_doc){
        .token = launch->order.token,
        .rank = rank,
        .nodes = launch->order.nodes,
        .incarnation = launch->incarnation,
        .contact = launch->order.contact,
        .ask_every = or_default(spans->ask_every, HOST_ASK_EVERY),
        .renew_every = or_default(spans->renew_every, HOST_RENEW_EVERY),
        .report_every = or_default(spans->report_every, HOST_REPORT_EVERY),
        .gate_limit = launch->gate_limit,
        .time_limit = spec->time_limit,
        .stop_grace = or_default(spec->checkpoint.grace, job_spec_default_grace(spec)),
        .kill_time = or_default(spans->kill_time, HOST_KILL_TIME),
        .report_limit = or_default(spans->report_limit, HOST_REPORT_LIMIT),
        .stop_signal = spec->checkpoint.signal != 0 ? spec->checkpoint.signal : launch->notice,
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

/* ---- the files */

/* Plain writes: a script is of no use without the process that the power failure took, too. One
 * that stands there as it should, from an earlier launch, is left alone. */
static enum err write_script(struct launch *launch, const char *folder, const char *name,
                             struct slice text)
{
    char path[LAUNCH_PATH_MAX + 32];
    struct slice old;
    int fd = -1;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (file_read(path, text.len, launch->arena, NULL, &old) == ERR_OK && slice_is_equal(old, text))
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

enum err launch_write_rank(struct launch *launch, const char *dir, const struct supervise_doc *doc)
{
    char path[LAUNCH_PATH_MAX + 32];
    struct buffer json;
    buffer_init(&json, SUPERVISE_BYTES_MAX);
    enum err code = supervise_doc_encode(doc, &json);
    if (code == ERR_OK) {
        (void)snprintf(path, sizeof(path), "%s/script", dir);
        code = file_make_folders(path, 0755, &launch->fault);
    }
    if (code == ERR_OK && doc->has_setup)
        code = write_script(launch, path, "setup", launch->variant->setup);
    if (code == ERR_OK)
        code = write_script(launch, path, "run", launch->variant->run);
    if (code == ERR_OK) {
        (void)snprintf(path, sizeof(path), "%s/supervise.json", dir);
        /* No supervisor outlives a power cut, and without one nobody reads it. */
        code = file_write_volatile(path, buffer_slice(&json), 0600, &launch->fault);
    }
    buffer_deinit(&json);
    return code;
}
