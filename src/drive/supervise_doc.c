#include "drive/supervise_doc.h"

#include <stddef.h>
#include <stdio.h>

#include "wire/json_writer.h"

enum { DOC_DEPTH_MAX = 6, DOC_VALUES_MAX = 8192, RUNTIME_NAME_MAX = 32 };

static const char *const CONTACT_NAMES[CONTACT_COUNT_] = {
    [CONTACT_STRICT] = "strict", [CONTACT_LEASE] = "lease"};
static const char *const NETWORK_NAMES[NETWORK_COUNT_] = {
    [NETWORK_NONE] = "none", [NETWORK_GANG] = "gang", [NETWORK_HOST] = "host"};
static const char *const PART_NAMES[CGROUP_PART_COUNT_] = {"cpu", "cpuacct", "memory", "pids",
                                                           "freezer"};

void supervise_group_name(const struct attempt_token *token, uint32_t rank,
                          char out[SUPERVISE_GROUP_NAME_MAX])
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(token, name);
    (void)snprintf(out, SUPERVISE_GROUP_NAME_MAX, "%s.%u", name, rank);
}

/* ---- supervise.json */

/* The spans, by name, so that writing and reading cannot differ. */
struct span_field {
    const char *name;
    size_t offset;
};
#define SPAN_FIELD(member)                                                                         \
    {                                                                                              \
#member "_ms", offsetof(struct supervise_doc, member)                                      \
    }
static const struct span_field SPANS[] = {
    SPAN_FIELD(ask_every),  SPAN_FIELD(renew_every),  SPAN_FIELD(report_every),
    SPAN_FIELD(gate_limit), SPAN_FIELD(time_limit),   SPAN_FIELD(stop_grace),
    SPAN_FIELD(kill_time),  SPAN_FIELD(report_limit),
};
enum { SPANS_COUNT = sizeof(SPANS) / sizeof(SPANS[0]) };

static void put_list(struct json_writer *writer, const char *name, const struct text_list *list)
{
    json_key(writer, name);
    json_begin_array(writer);
    for (uint32_t i = 0; i < list->count; i++)
        json_string(writer, list->items[i]);
    json_end_array(writer);
}

static void put_group(struct json_writer *writer, const struct supervise_doc *doc)
{
    json_key(writer, "group");
    json_begin_object(writer);
    json_put_u64(writer, "version", (uint64_t)doc->node_group.version);
    for (int part = 0; part < CGROUP_PART_COUNT_; part++)
        if (cgroup_has(&doc->node_group, (enum cgroup_part)part))
            json_put_text(writer, PART_NAMES[part], doc->node_group.folder[part]);
    json_put_u64(writer, "cpu_milli", doc->limits.cpu_milli);
    json_put_u64(writer, "mem_bytes", doc->limits.mem_bytes);
    json_put_u64(writer, "pids_max", doc->limits.pids);
    json_end_object(writer);
}

enum err supervise_doc_encode(const struct supervise_doc *doc, struct buffer *out)
{
    struct json_writer writer;
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(&doc->token, name);
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_text(&writer, "token", name);
    json_put_u64(&writer, "rank", doc->rank);
    json_put_u64(&writer, "nodes", doc->nodes);
    json_put_u64(&writer, "incarnation", doc->incarnation);
    json_put_text(&writer, "contact", CONTACT_NAMES[doc->contact.policy]);
    json_put_i64(&writer, "lease_ms", doc->contact.lease.ms);
    for (size_t i = 0; i < SPANS_COUNT; i++)
        json_put_i64(&writer, SPANS[i].name,
                     ((const struct span_ms *)((const char *)doc + SPANS[i].offset))->ms);
    json_put_i64(&writer, "stop_signal", doc->stop_signal);
    json_put_string(&writer, "socket", doc->socket);
    json_put_text(&writer, "network", NETWORK_NAMES[doc->network]);
    json_put_u64(&writer, "uid", doc->uid);
    json_put_u64(&writer, "gid", doc->gid);
    json_put_bool(&writer, "has_nested_userns", doc->has_nested_userns);
    json_put_string(&writer, "bwrap", doc->bwrap);
    put_group(&writer, doc);
    json_put_u64(&writer, "scratch_bytes", doc->scratch_bytes);
    json_put_u64(&writer, "disk_reserve_bytes", doc->disk_reserve_bytes);
    json_put_u64(&writer, "log_bytes_max", doc->log_bytes_max);
    json_put_bool(&writer, "has_setup", doc->has_setup);
    json_put_text(&writer, "engine_devices",
                  doc->has_engine_devices ? runtime_name(doc->runtime) : "");
    put_list(&writer, "devices", &doc->devices);
    put_list(&writer, "read_only", &doc->read_only);
    put_list(&writer, "shared", &doc->shared);
    json_put_string(&writer, "root", doc->root.data != NULL ? doc->root : slice_of(""));
    json_key(&writer, "envs");
    json_begin_array(&writer);
    for (uint32_t i = 0; i < doc->env_count; i++) {
        json_string(&writer, doc->envs[i].key);
        json_string(&writer, doc->envs[i].value);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    return json_writer_finish(&writer);
}

/* A text that outlives the document. */
static enum err get_text(struct json_value object, const char *name, size_t len_max,
                         struct arena *arena, struct slice *out, struct fault *fault)
{
    struct slice text;
    enum err code = json_get_string(object, name, len_max, &text, fault);
    if (code != ERR_OK)
        return code;
    *out = arena_copy(arena, text);
    return out->data != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static enum err get_list(struct json_value object, const char *name, size_t count_max,
                         size_t len_max, struct arena *arena, struct text_list *out,
                         struct fault *fault)
{
    struct json_value array;
    enum err code = json_get_array(object, name, count_max, &array, fault);
    if (code != ERR_OK)
        return code;
    struct slice *items = arena_array(arena, json_count(array) + 1, sizeof(*items));
    if (items == NULL)
        return ERR_NO_MEMORY;
    struct json_iterator it = json_iterate(array);
    while (json_next(&it)) {
        struct slice text;
        code = json_to_string(it.value, len_max, &text, fault);
        if (code != ERR_OK)
            return code;
        items[it.index] = arena_copy(arena, text);
        if (items[it.index].data == NULL)
            return ERR_NO_MEMORY;
    }
    *out = (struct text_list){items, (uint32_t)json_count(array)};
    return ERR_OK;
}

static enum err get_envs(struct json_value root, struct arena *arena, struct supervise_doc *doc,
                         struct fault *fault)
{
    struct text_list texts = {0};
    enum err code = get_list(root, "envs", (size_t)SUPERVISE_ENVS_MAX * 2, JOB_ENV_BYTES_MAX, arena,
                             &texts, fault);
    if (code != ERR_OK)
        return code;
    if (texts.count % 2 != 0)
        return json_refuse_member(root, "envs", fault, ERR_INVALID,
                                  "must hold names and values by turns");
    struct text_pair *envs = arena_array(arena, texts.count / 2 + 1, sizeof(*envs));
    if (envs == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < texts.count / 2; i++)
        envs[i] = (struct text_pair){texts.items[(size_t)2 * i], texts.items[(size_t)2 * i + 1]};
    doc->envs = envs;
    doc->env_count = texts.count / 2;
    return ERR_OK;
}

static enum err get_group(struct json_value root, struct supervise_doc *doc, struct fault *fault)
{
    struct json_value group;
    uint32_t version = 0;
    enum err code = json_get_object(root, "group", &group, fault);
    if (code == ERR_OK)
        code = json_get_u32(group, "version", 0, 2, &version, fault);
    doc->node_group.version = (int)version;
    for (int part = 0; code == ERR_OK && part < CGROUP_PART_COUNT_; part++) {
        struct slice folder = {0};
        code = json_opt_string(group, PART_NAMES[part], CGROUP_PATH_MAX - 1, &folder, fault);
        if (code == ERR_OK)
            (void)snprintf(doc->node_group.folder[part], CGROUP_PATH_MAX, "%.*s",
                           SLICE_ARG(folder));
    }
    if (code == ERR_OK)
        code = json_get_u32(group, "cpu_milli", 0, UINT32_MAX, &doc->limits.cpu_milli, fault);
    if (code == ERR_OK)
        code = json_get_u64(group, "mem_bytes", 0, UINT64_MAX, &doc->limits.mem_bytes, fault);
    if (code == ERR_OK)
        code = json_get_u32(group, "pids_max", 0, UINT32_MAX, &doc->limits.pids, fault);
    return code;
}

static enum err get_protocol(struct json_value root, struct supervise_doc *doc, struct fault *fault)
{
    struct slice name;
    unsigned contact = 0;
    int64_t signal_number = 0;
    enum err code = json_get_string(root, "token", ATTEMPT_NAME_MAX, &name, fault);
    if (code == ERR_OK && attempt_name_parse(name, &doc->token) != ERR_OK)
        code = json_refuse_member(root, "token", fault, ERR_INVALID, "is no attempt's name");
    if (code == ERR_OK)
        code = json_get_u32(root, "rank", 0, JOB_NODES_MAX - 1, &doc->rank, fault);
    if (code == ERR_OK)
        code = json_get_u32(root, "nodes", 1, JOB_NODES_MAX, &doc->nodes, fault);
    if (code == ERR_OK)
        code = json_get_u64(root, "incarnation", 1, UINT64_MAX, &doc->incarnation, fault);
    if (code == ERR_OK)
        code = json_get_choice(root, "contact", CONTACT_NAMES, CONTACT_COUNT_, &contact, fault);
    doc->contact.policy = (enum contact_policy)contact;
    if (code == ERR_OK)
        code = json_get_i64(root, "lease_ms", 0, JOB_LEASE_MAX.ms, &doc->contact.lease.ms, fault);
    for (size_t i = 0; code == ERR_OK && i < SPANS_COUNT; i++)
        code = json_get_i64(root, SPANS[i].name, 0, JOB_SPAN_MAX.ms,
                            &((struct span_ms *)((char *)doc + SPANS[i].offset))->ms, fault);
    if (code == ERR_OK)
        code = json_get_i64(root, "stop_signal", 0, 64, &signal_number, fault);
    doc->stop_signal = (int32_t)signal_number;
    return code;
}

static enum err get_engine_devices(struct json_value root, struct supervise_doc *doc,
                                   struct fault *fault)
{
    struct slice name = {0};
    enum err code = json_opt_string(root, "engine_devices", RUNTIME_NAME_MAX, &name, fault);
    if (code != ERR_OK || name.len == 0)
        return code;
    doc->has_engine_devices = true;
    return runtime_parse(name, &doc->runtime) == ERR_OK
               ? ERR_OK
               : json_refuse_member(root, "engine_devices", fault, ERR_INVALID,
                                    "is no runtime's name");
}

/* Left out by an agent of before. */
static enum err get_root(struct json_value root, struct arena *arena, struct supervise_doc *doc,
                         struct fault *fault)
{
    if (json_is_missing(json_object_get(root, "root")))
        return ERR_OK;
    return get_text(root, "root", SUPERVISE_PATH_MAX, arena, &doc->root, fault);
}

static enum err get_sandbox(struct json_value root, struct arena *arena, struct supervise_doc *doc,
                            struct fault *fault)
{
    unsigned network = 0;
    enum err code =
        json_get_choice(root, "network", NETWORK_NAMES, NETWORK_COUNT_, &network, fault);
    doc->network = (enum supervise_network)network;
    if (code == ERR_OK)
        code = get_text(root, "socket", SUPERVISE_PATH_MAX, arena, &doc->socket, fault);
    if (code == ERR_OK)
        code = json_get_u32(root, "uid", 0, UINT32_MAX, &doc->uid, fault);
    if (code == ERR_OK)
        code = json_get_u32(root, "gid", 0, UINT32_MAX, &doc->gid, fault);
    if (code == ERR_OK)
        code = json_get_bool(root, "has_nested_userns", &doc->has_nested_userns, fault);
    if (code == ERR_OK)
        code = get_text(root, "bwrap", SUPERVISE_PATH_MAX, arena, &doc->bwrap, fault);
    if (code == ERR_OK)
        code = get_root(root, arena, doc, fault);
    if (code == ERR_OK)
        code = json_get_u64(root, "scratch_bytes", 1, UINT64_MAX, &doc->scratch_bytes, fault);
    if (code == ERR_OK)
        code = json_get_u64(root, "disk_reserve_bytes", 0, UINT64_MAX, &doc->disk_reserve_bytes,
                            fault);
    if (code == ERR_OK)
        code = json_get_u64(root, "log_bytes_max", 1, UINT64_MAX, &doc->log_bytes_max, fault);
    if (code == ERR_OK)
        code = json_get_bool(root, "has_setup", &doc->has_setup, fault);
    if (code == ERR_OK)
        code = get_engine_devices(root, doc, fault);
    if (code == ERR_OK)
        code = get_list(root, "devices", SUPERVISE_DEVICES_MAX, SUPERVISE_PATH_MAX, arena,
                        &doc->devices, fault);
    if (code == ERR_OK)
        code = get_list(root, "read_only", SUPERVISE_READ_ONLY_MAX, SUPERVISE_PATH_MAX, arena,
                        &doc->read_only, fault);
    if (code == ERR_OK && !json_is_missing(json_object_get(root, "shared"))) /* an older agent's */
        code = get_list(root, "shared", JOB_SHARED_FOLDERS_MAX, SUPERVISE_PATH_MAX, arena,
                        &doc->shared, fault);
    return code;
}

enum err supervise_doc_decode(struct slice json, struct arena *arena, struct supervise_doc *out,
                              struct fault *fault)
{
    static const struct json_limits limits = {SUPERVISE_BYTES_MAX, DOC_DEPTH_MAX, DOC_VALUES_MAX};
    struct supervise_doc doc = {0};
    struct json_document *document = NULL;
    enum err code = json_parse(json, &limits, &document, fault);
    if (code != ERR_OK)
        return code;
    struct json_value root = json_root(document);
    code = get_protocol(root, &doc, fault);
    if (code == ERR_OK)
        code = get_sandbox(root, arena, &doc, fault);
    if (code == ERR_OK)
        code = get_group(root, &doc, fault);
    if (code == ERR_OK)
        code = get_envs(root, arena, &doc, fault);
    json_document_destroy(document);
    if (code == ERR_OK && doc.rank >= doc.nodes)
        code = fault_set(fault, ERR_INVALID, "rank", "must be below nodes");
    if (code == ERR_OK)
        *out = doc;
    return code;
}

/* ---- the lock's text: "<pid> <incarnation>\n" */

void supervise_lock_format(const struct supervise_lock *lock, char out[SUPERVISE_LOCK_TEXT_MAX])
{
    (void)snprintf(out, SUPERVISE_LOCK_TEXT_MAX, "%lld %llu\n", (long long)lock->pid,
                   (unsigned long long)lock->incarnation);
}

enum err supervise_lock_parse(struct slice text, struct supervise_lock *out)
{
    struct supervise_lock lock;
    struct slice line, rest, pid, incarnation;
    if (!slice_cut(text, '\n', &line, &rest) || !slice_cut(line, ' ', &pid, &incarnation) ||
        slice_parse_i64(pid, &lock.pid) != ERR_OK || lock.pid <= 1 ||
        slice_parse_u64(incarnation, &lock.incarnation) != ERR_OK)
        return ERR_INVALID;
    *out = lock;
    return ERR_OK;
}

/* ---- end.json */

enum err end_record_encode(const struct gate_message *message, struct slice why, struct buffer *out)
{
    struct buffer line;
    struct gate_message open = *message;
    open.secret = (struct slice){0};
    buffer_init(&line, GATE_LINE_MAX);
    enum err code = gate_message_encode(&open, &line);
    if (code == ERR_OK) {
        struct json_writer writer;
        struct slice json = buffer_slice(&line);
        json.len--; /* the line's end */
        json_writer_init(&writer, out);
        json_begin_object(&writer);
        json_key(&writer, "exit");
        json_raw(&writer, json);
        json_put_string(&writer, "why", why);
        json_end_object(&writer);
        code = json_writer_finish(&writer);
        buffer_append_char(out, '\n');
        if (code == ERR_OK)
            code = buffer_status(out);
    }
    buffer_deinit(&line);
    return code;
}

enum err end_record_decode(struct slice json, struct arena *arena, struct gate_message *out,
                           struct slice *out_why, struct fault *fault)
{
    static const struct json_limits limits = {GATE_LINE_MAX + 4096, DOC_DEPTH_MAX, 256};
    struct json_document *document = NULL;
    struct json_value exit_value;
    struct gate_message message;
    struct slice why = {0};
    enum err code = json_parse(json, &limits, &document, fault);
    if (code != ERR_OK)
        return code;
    struct json_value root = json_root(document);
    code = json_get_object(root, "exit", &exit_value, fault);
    if (code == ERR_OK)
        code = gate_message_decode(json_source(exit_value), arena, &message, fault);
    if (code == ERR_OK && message.kind != GATE_EXIT)
        code = json_refuse_member(root, "exit", fault, ERR_INVALID, "must be an exit message");
    if (code == ERR_OK)
        code = get_text(root, "why", SUPERVISE_WHY_MAX * 4, arena, &why, fault);
    json_document_destroy(document);
    if (code != ERR_OK)
        return code;
    *out = message;
    *out_why = why;
    return ERR_OK;
}
