#include "drive/slurm_doc.h"

#include <stdio.h>
#include <strings.h>

#include "base/vector.h"
#include "wire/json.h"

enum {
    WORDS_MAX = 16,
    TEXT_MAX = 4096,
    JOBS_MAX = 1 << 17,
    MEBIBYTE_SHIFT = 20,
    LOAD_UNKNOWN = 100000000
};
static const struct json_limits LIMITS = {SLURM_OUTPUT_BYTES_MAX, 32, 32000000};

/* ---- values of both forms */

static bool is_word(struct slice text, const char *word)
{
    struct slice other = slice_of(word);
    return text.len == other.len &&
           (text.len == 0 || strncasecmp(text.data, other.data, text.len) == 0);
}

/* 5, or {"set": true, "infinite": false, "number": 5}; `otherwise` when it is neither. */
static int64_t number_of(struct json_value object, const char *name, int64_t otherwise)
{
    struct json_value value = json_object_get(object, name);
    int64_t number = 0;
    bool is_set = true;
    if (json_type_of(value) == JSON_OBJECT) {
        (void)!json_opt_bool(value, "set", &is_set, NULL);
        value = json_object_get(value, "number");
    }
    if (!is_set || json_to_i64(value, INT64_MIN, INT64_MAX, &number, NULL) != ERR_OK)
        return otherwise;
    return number;
}

static uint32_t count_of(struct json_value object, const char *name)
{
    int64_t number = number_of(object, name, 0);
    return number < 0 ? 0 : number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

/* Mebibytes in bytes. */
static uint64_t bytes_of(struct json_value object, const char *name)
{
    return (uint64_t)count_of(object, name) << MEBIBYTE_SHIFT;
}

static struct slice text_of(struct json_value object, const char *name, struct arena *arena)
{
    struct slice text = {0};
    if (json_to_string(json_object_get(object, name), TEXT_MAX, &text, NULL) != ERR_OK)
        return (struct slice){0};
    return arena_copy(arena, text);
}

/* A word, or a list of words. */
static uint32_t words_of(struct json_value object, const char *name, struct slice out[WORDS_MAX])
{
    struct json_value value = json_object_get(object, name);
    uint32_t count = 0;
    if (json_to_string(value, SLURM_NAME_MAX, &out[0], NULL) == ERR_OK)
        return 1;
    struct json_iterator it = json_iterate(value);
    while (json_type_of(value) == JSON_ARRAY && count < WORDS_MAX && json_next(&it))
        if (json_to_string(it.value, SLURM_NAME_MAX, &out[count], NULL) == ERR_OK)
            count++;
    return count;
}

/* ---- jobs */

enum slurm_state slurm_state_parse(struct slice word)
{
    static const struct {
        const char *word;
        enum slurm_state state;
    } ENDS[] = {
        {"COMPLETED", SLURM_COMPLETED},
        {"FAILED", SLURM_FAILED},
        {"BOOT_FAIL", SLURM_FAILED},
        {"CANCELLED", SLURM_CANCELLED},
        {"DEADLINE", SLURM_TIMEOUT},
        {"TIMEOUT", SLURM_TIMEOUT},
        {"NODE_FAIL", SLURM_NODE_FAIL},
        {"PREEMPTED", SLURM_PREEMPTED},
        {"OUT_OF_MEMORY", SLURM_OUT_OF_MEMORY},
    };
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++)
        if (is_word(word, ENDS[i].word))
            return ENDS[i].state;
    return SLURM_LIVES;
}

/* An end only when every word of it is one: CANCELLED with COMPLETING still has processes. */
static void read_state(struct json_value object, struct arena *arena, struct slurm_job *job)
{
    struct slice words[WORDS_MAX];
    uint32_t count = words_of(object, "job_state", words);
    job->state = SLURM_LIVES;
    for (uint32_t i = 0; i < count; i++) {
        enum slurm_state state = slurm_state_parse(words[i]);
        if (state == SLURM_LIVES || i == 0)
            job->state = state;
        job->is_running = job->is_running || is_word(words[i], "RUNNING");
        if (state == SLURM_LIVES || i == 0)
            job->said = arena_copy(arena, words[i]);
        if (state == SLURM_LIVES)
            return;
    }
}

/* A wait status, or {"return_code": ..., "signal": {"id": ...}}. */
static void read_exit(struct json_value object, struct slurm_job *job)
{
    struct json_value code = json_object_get(object, "exit_code");
    if (json_type_of(code) == JSON_OBJECT &&
        !json_is_missing(json_object_get(code, "return_code"))) {
        struct json_value signal = json_object_get(code, "signal");
        job->exit_status = (int32_t)number_of(code, "return_code", 0);
        job->exit_signal = (int32_t)number_of(signal, "id", number_of(signal, "signal_id", 0));
        return;
    }
    uint32_t status = count_of(object, "exit_code");
    job->exit_status = (int32_t)(status >> 8 & 0xff);
    job->exit_signal = (int32_t)(status & 0x7f);
}

static bool read_job(struct json_value object, struct arena *arena, struct slurm_job *out)
{
    struct slurm_job job = {0};
    struct slice name;
    if (json_to_string(json_object_get(object, "name"), ATTEMPT_NAME_MAX, &name, NULL) != ERR_OK ||
        attempt_name_parse(name, &job.token) != ERR_OK)
        return false;
    job.id = (uint64_t)number_of(object, "job_id", 0);
    read_state(object, arena, &job);
    read_exit(object, &job);
    job.reason = text_of(object, "state_reason", arena);
    job.comment = text_of(object, "comment", arena);
    job.hosts = text_of(object, "nodes", arena);
    job.gres_per_node = text_of(object, "tres_per_node", arena);
    job.node_count = count_of(object, "node_count");
    job.cpus = count_of(object, "cpus");
    job.restarts = count_of(object, "restart_cnt");
    job.mem_bytes_per_node = bytes_of(object, "memory_per_node");
    job.start_s = number_of(object, "start_time", 0);
    job.end_s = number_of(object, "end_time", 0);
    job.preempt_s = number_of(object, "preempt_time", 0);
    *out = job;
    return true;
}

/* Without --mem a job's memory may be stated a processor. */
static uint64_t mem_per_node(struct json_value object, uint32_t cpus, uint32_t nodes)
{
    uint64_t bytes = bytes_of(object, "memory_per_node");
    return bytes != 0 ? bytes : bytes_of(object, "memory_per_cpu") * cpus / (nodes > 0 ? nodes : 1);
}

static bool is_exclusive(struct json_value object)
{
    struct slice words[WORDS_MAX];
    uint32_t count = words_of(object, "shared", words);
    if (count > 0 && (is_word(words[0], "none") || is_word(words[0], "exclusive")))
        return true;
    count = words_of(object, "exclusive", words);
    return count > 0 && is_word(words[0], "true");
}

/* Waits for nodes and for nothing else: held jobs, jobs of later, and those that may never run take
 * nothing away. */
static bool is_waiting(struct json_value object)
{
    static const char *const REASONS[] = {"None", "Resources", "Priority", "Nodes_required_for_job",
                                          ""};
    struct slice words[WORDS_MAX], reason = {0};
    if (words_of(object, "job_state", words) == 0 || !is_word(words[0], "PENDING"))
        return false;
    (void)!json_opt_string(object, "state_reason", SLURM_NAME_MAX, &reason, NULL);
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
        if (is_word(reason, REASONS[i]))
            return true;
    return false;
}

static bool read_demand(struct json_value object, struct arena *arena, struct slurm_demand *out)
{
    struct slice name = {0};
    (void)!json_opt_string(object, "name", ATTEMPT_NAME_MAX, &name, NULL);
    if (!is_waiting(object) || slice_is(name, SLURM_PROBE_NAME))
        return false;
    uint32_t nodes = count_of(object, "node_count"), cpus = count_of(object, "cpus");
    nodes = nodes > 0 ? nodes : 1;
    *out = (struct slurm_demand){
        .id = (uint64_t)number_of(object, "job_id", 0),
        .priority = (uint64_t)number_of(object, "priority", 0),
        .partitions = text_of(object, "partition", arena),
        .hosts = text_of(object, "required_nodes", arena),
        .excluded = text_of(object, "excluded_nodes", arena),
        .node_count = nodes,
        .cpus = cpus > nodes ? cpus : nodes,
        .mem_bytes_per_node = mem_per_node(object, cpus, nodes),
        .gres_per_node = text_of(object, "tres_per_node", arena),
        .eligible_s = number_of(object, "eligible_time", 0),
        .is_exclusive = is_exclusive(object),
    };
    return true;
}

/* A waiting job has a start time, too: the one that is planned. */
static bool read_start(struct json_value object, struct arena *arena, struct slurm_start *out)
{
    struct slice words[WORDS_MAX];
    int64_t start_s = number_of(object, "start_time", 0);
    if (start_s <= 0 || words_of(object, "job_state", words) == 0 || is_word(words[0], "PENDING"))
        return false;
    *out = (struct slurm_start){.id = (uint64_t)number_of(object, "job_id", 0),
                                .hosts = text_of(object, "nodes", arena),
                                .eligible_s = number_of(object, "eligible_time", 0),
                                .start_s = start_s};
    return out->hosts.len > 0;
}

static enum err read_jobs(struct json_value list, struct arena *arena, struct slurm_jobs *out)
{
    size_t count = json_count(list);
    struct slurm_job *ours = arena_array(arena, count + 1, sizeof(*ours));
    struct slurm_demand *demands = arena_array(arena, count + 1, sizeof(*demands));
    struct slurm_start *starts = arena_array(arena, count + 1, sizeof(*starts));
    struct json_iterator it = json_iterate(list);
    if (ours == NULL || demands == NULL || starts == NULL)
        return ERR_NO_MEMORY;
    *out = (struct slurm_jobs){.ours = ours, .demands = demands, .starts = starts};
    while (json_next(&it)) {
        if (read_job(it.value, arena, &ours[out->our_count]))
            out->our_count++;
        else if (read_demand(it.value, arena, &demands[out->demand_count]))
            out->demand_count++;
        else if (read_start(it.value, arena, &starts[out->start_count]))
            out->start_count++;
    }
    return ERR_OK;
}

enum err slurm_jobs_decode(struct slice json, struct arena *arena, struct slurm_jobs *out,
                           struct fault *fault)
{
    struct json_document *document = NULL;
    struct json_value list;
    enum err code = json_parse(json, &LIMITS, &document, fault);
    if (code != ERR_OK)
        return code;
    struct slurm_jobs jobs;
    code = json_get_array(json_root(document), "jobs", JOBS_MAX, &list, fault);
    if (code == ERR_OK)
        code = read_jobs(list, arena, &jobs);
    json_document_destroy(document);
    if (code == ERR_OK)
        *out = jobs;
    return code;
}

enum outcome slurm_outcome(const struct slurm_job *job)
{
    if (job->restarts > 0)
        return OUTCOME_PREEMPTED; /* the cluster's keeper asked for it to run again: it did not */
    switch (job->state) {
    case SLURM_PREEMPTED:
        return OUTCOME_PREEMPTED;
    case SLURM_CANCELLED:
        return OUTCOME_REVOKED;
    case SLURM_TIMEOUT:
        return OUTCOME_TIME_LIMIT;
    case SLURM_OUT_OF_MEMORY:
        return OUTCOME_OUT_OF_MEMORY;
    case SLURM_LIVES:
    case SLURM_COMPLETED:
    case SLURM_FAILED:
    case SLURM_NODE_FAIL:
    case SLURM_STATE_COUNT_:
        break;
    }
    return OUTCOME_NODE_LOST; /* it left without a word */
}

/* ---- nodes */

/* "gpu:a100:4": the type is all before the last colon. Without a number it is one. */
static bool read_gres(struct slice item, struct slurm_gres *out)
{
    struct slice count = item, head, tail = item;
    uint64_t number = 1;
    size_t cut = 0;
    while (slice_cut(tail, ':', &head, &count)) {
        cut = (size_t)(count.data - item.data);
        tail = count;
    }
    if (cut == 0 || slice_parse_u64(count, &number) != ERR_OK) {
        out->type = item;
        out->count = 1;
    } else {
        out->type = slice_make(item.data, cut - 1);
        out->count = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    }
    return out->type.len != 0 && out->type.len <= SLURM_NAME_MAX;
}

/* The front of `text` up to a comma that is not inside brackets. */
static struct slice take_item(struct slice *text)
{
    size_t at = 0;
    int depth = 0;
    for (; at < text->len; at++) {
        char c = text->data[at];
        depth += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
        if (c == ',' && depth <= 0)
            break;
    }
    struct slice item = slice_make(text->data, at);
    size_t used = at < text->len ? at + 1 : at;
    *text = slice_make(text->data + used, text->len - used);
    return slice_trim(item);
}

uint32_t slurm_gres_parse(struct slice text, struct slurm_gres out[SLURM_GRES_MAX])
{
    uint32_t count = 0;
    while (text.len != 0 && count < SLURM_GRES_MAX) {
        struct slice item = take_item(&text), rest;
        (void)slice_cut(item, '(', &item, &rest);
        if (slice_has_prefix(item, SLICE_LITERAL("gres:")) ||
            slice_has_prefix(item, SLICE_LITERAL("gres/")))
            item = slice_make(item.data + 5, item.len - 5);
        if (item.len != 0 && read_gres(item, &out[count]))
            count++;
    }
    return count;
}

uint32_t slurm_gres_count(const struct slurm_gres *list, uint32_t count, struct slice type)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        if (slice_is_equal(list[i].type, type))
            sum += list[i].count;
    return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

static bool is_harmless(struct slice word)
{
    static const char *const WORDS[] = {"IDLE",  "MIXED",        "ALLOCATED", "COMPLETING",
                                        "CLOUD", "DYNAMIC_NORM", "POWERED_UP"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (is_word(word, WORDS[i]))
            return true;
    return false;
}

static bool is_absence(struct slice word)
{
    static const char *const WORDS[] = {"DOWN", "UNKNOWN", "ERROR", "NOT_RESPONDING", "NO_RESPOND"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (is_word(word, WORDS[i]))
            return true;
    return false;
}

static void read_node_state(struct json_value object, struct arena *arena, struct slurm_node *node)
{
    struct slice words[2 * WORDS_MAX];
    uint32_t count = words_of(object, "state", words);
    node->is_usable = count > 0;
    node->is_away = count == 0;
    count += words_of(object, "state_flags", words + count);
    for (uint32_t i = 0; i < count; i++) {
        bool is_good = is_harmless(words[i]);
        if (i == 0 || !is_good)
            node->said = arena_copy(arena, words[i]);
        node->is_usable = node->is_usable && is_good;
        node->is_away = node->is_away || is_absence(words[i]);
    }
}

static void read_node(struct json_value object, struct arena *arena, struct slurm_node *out)
{
    *out = (struct slurm_node){.name = text_of(object, "name", arena),
                               .address = text_of(object, "address", arena)};
    read_node_state(object, arena, out);
    out->cpus = count_of(object, "cpus");
    out->cpus_used = count_of(object, "alloc_cpus");
    int64_t load = number_of(object, "cpu_load", LOAD_UNKNOWN); /* hundredths */
    out->has_load = load >= 0 && load < LOAD_UNKNOWN;
    out->load_milli = out->has_load ? (uint32_t)load * 10 : 0;
    out->mem_bytes = bytes_of(object, "real_memory");
    out->mem_bytes_used = bytes_of(object, "alloc_memory");
    out->gres_count = slurm_gres_parse(text_of(object, "gres", arena), out->gres);
    out->used_count = slurm_gres_parse(text_of(object, "gres_used", arena), out->used);
    struct json_iterator it = json_iterate(json_object_get(object, "partitions"));
    while (out->partition_count < SLURM_PARTITIONS_MAX && json_next(&it)) {
        struct slice name;
        if (json_to_string(it.value, SLURM_NAME_MAX, &name, NULL) == ERR_OK)
            out->partitions[out->partition_count++] = arena_copy(arena, name);
    }
}

enum err slurm_nodes_decode(struct slice json, struct arena *arena,
                            const struct slurm_node **out_nodes, uint32_t *out_count,
                            struct fault *fault)
{
    struct json_document *document = NULL;
    struct json_value list;
    struct slurm_node *nodes = NULL;
    enum err code = json_parse(json, &LIMITS, &document, fault);
    if (code != ERR_OK)
        return code;
    code = json_get_array(json_root(document), "nodes", JOBS_MAX, &list, fault);
    uint32_t count = code == ERR_OK ? (uint32_t)json_count(list) : 0;
    if (code == ERR_OK) {
        nodes = arena_array(arena, (size_t)count + 1, sizeof(*nodes));
        code = nodes == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    struct json_iterator it = json_iterate(code == ERR_OK ? list : (struct json_value){0});
    while (code == ERR_OK && json_next(&it))
        read_node(it.value, arena, &nodes[it.index]);
    json_document_destroy(document);
    if (code != ERR_OK)
        return code;
    *out_nodes = nodes;
    *out_count = count;
    return ERR_OK;
}

/* ---- lists of hosts */

struct host_walk {
    void (*visit)(void *context, struct slice host);
    void *context;
    uint32_t count;
};

static enum err visit_host(struct host_walk *walk, struct slice host)
{
    if (host.len == 0 || host.len > SLURM_NAME_MAX)
        return ERR_INVALID;
    if (walk->count++ == SLURM_HOSTS_MAX)
        return ERR_LIMIT;
    walk->visit(walk->context, host);
    return ERR_OK;
}

/* "07-12" inside the brackets of "rack[07-12]-b". */
static enum err visit_range(struct host_walk *walk, struct slice head, struct slice range,
                            struct slice tail)
{
    struct slice low = range, high = range;
    uint64_t first, last;
    char name[SLURM_NAME_MAX + 1];
    (void)slice_cut(range, '-', &low, &high);
    if (slice_parse_u64(low, &first) != ERR_OK || slice_parse_u64(high, &last) != ERR_OK ||
        last < first)
        return ERR_INVALID;
    for (uint64_t number = first; number <= last; number++) {
        int len = snprintf(name, sizeof(name), "%.*s%0*llu%.*s", SLICE_ARG(head), (int)low.len,
                           (unsigned long long)number, SLICE_ARG(tail));
        if (len <= 0 || (size_t)len >= sizeof(name))
            return ERR_INVALID;
        enum err code = visit_host(walk, slice_make(name, (size_t)len));
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}

enum err slurm_hosts_each(struct slice list, void (*visit)(void *context, struct slice host),
                          void *context)
{
    struct host_walk walk = {visit, context, 0};
    enum err code = ERR_OK;
    while (code == ERR_OK && list.len != 0) {
        struct slice item = take_item(&list), head, inside, tail;
        if (item.len > SLURM_HOSTS_MAX)
            return ERR_LIMIT;
        if (!slice_cut(item, '[', &head, &inside)) {
            code = visit_host(&walk, item);
            continue;
        }
        /* A second bracket ("r[1-2]n[1-4]") is not expanded by us: Slurm itself prints none. */
        if (!slice_cut(inside, ']', &inside, &tail) || head.len + tail.len > SLURM_NAME_MAX)
            return ERR_INVALID;
        while (code == ERR_OK && inside.len != 0)
            code = visit_range(&walk, head, take_item(&inside), tail);
    }
    return code;
}

/* ---- scontrol show config */

struct slice slurm_config_value(struct slice text, const char *key)
{
    struct slice line, name, value;
    while (text.len != 0) {
        if (!slice_cut(text, '\n', &line, &text)) {
            line = text;
            text = (struct slice){0};
        }
        if (slice_cut(line, '=', &name, &value) && slice_is(slice_trim(name), key))
            return slice_trim(value);
    }
    return (struct slice){0};
}

enum err slurm_span_parse(struct slice text, struct span_ms *out)
{
    struct slice number = text, unit = {0};
    uint64_t value = 0;
    (void)slice_cut(text, ' ', &number, &unit);
    if (slice_parse_u64(number, &value) != ERR_OK || value > UINT32_MAX)
        return ERR_INVALID;
    unit = slice_trim(unit);
    if (unit.len != 0 && !is_word(unit, "sec") && !is_word(unit, "min"))
        return ERR_INVALID;
    *out = SPAN_S((int64_t)value * (is_word(unit, "min") ? 60 : 1));
    return ERR_OK;
}
