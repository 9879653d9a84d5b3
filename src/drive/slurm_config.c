/* The site's slurm.yaml, and the cluster's nodes as a site's (docs/formats/slurm.md). */
#include <string.h>

#include "drive/slurm_private.h"
#include "wire/surplus.h"
#include "wire/yaml.h"

enum { VALUE_MAX = 1024 };

/* What reaches a command line of Slurm's or a path in a batch job: one word, no surprises. */
static enum err get_word(struct json_value root, const char *name, bool is_path,
                         struct arena *arena, struct slice *out, struct fault *fault)
{
    struct slice text = {0};
    enum err code = json_opt_string(root, name, VALUE_MAX, &text, fault);
    for (size_t i = 0; code == ERR_OK && i < text.len; i++)
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == '%' || text.data[i] == 0x7f)
            code = json_refuse_member(root, name, fault, ERR_INVALID,
                                      "must be one word without blanks and percent signs");
    if (code == ERR_OK && text.len != 0 && (is_path ? text.data[0] != '/' : text.data[0] == '-'))
        code = json_refuse_member(root, name, fault, ERR_INVALID,
                                  is_path ? "must be an absolute path" : "must not begin with -");
    if (code != ERR_OK || text.len == 0)
        return code;
    *out = arena_copy(arena, text);
    return out->data == NULL ? ERR_NO_MEMORY : ERR_OK;
}

static enum err get_partitions(struct json_value root, struct arena *arena,
                               struct slurm_config *config, struct fault *fault)
{
    struct json_value list;
    enum err code = json_get_array(root, "partitions", SLURM_CONFIG_PARTITIONS_MAX, &list, fault);
    if (code != ERR_OK)
        return code;
    struct slice *items = arena_array(arena, json_count(list) + 1, sizeof(*items));
    if (items == NULL)
        return ERR_NO_MEMORY;
    struct json_iterator it = json_iterate(list);
    while (code == ERR_OK && json_next(&it)) {
        struct slice name;
        code = json_to_string(it.value, SLURM_NAME_MAX, &name, fault);
        if (code == ERR_OK &&
            (name.len == 0 || name.data[0] == '-' || memchr(name.data, ',', name.len) != NULL))
            code = json_refuse(it.value, fault, ERR_INVALID, "must be a partition's name");
        if (code == ERR_OK)
            items[it.index] = arena_copy(arena, name);
    }
    config->partitions = (struct text_list){items, (uint32_t)json_count(list)};
    if (code == ERR_OK && config->partitions.count == 0)
        code = json_refuse_member(root, "partitions", fault, ERR_INVALID,
                                  "must name at least one partition");
    return code;
}

static enum err get_pairs(struct json_value root, const char *name, uint32_t count_max,
                          struct arena *arena, const struct text_pair **out, uint32_t *out_count,
                          struct fault *fault)
{
    struct json_value object = {0};
    enum err code = json_opt_object(root, name, &object, fault);
    if (code != ERR_OK || json_is_missing(object))
        return code;
    if (json_count(object) > count_max)
        return json_refuse(object, fault, ERR_LIMIT, "must have at most %u members", count_max);
    struct text_pair *pairs = arena_array(arena, json_count(object) + 1, sizeof(*pairs));
    struct json_iterator it = json_iterate(object);
    while (pairs != NULL && json_next(&it)) {
        struct slice value;
        code = json_to_string(it.value, VALUE_MAX, &value, fault);
        if (code != ERR_OK)
            return code;
        pairs[it.index] = (struct text_pair){arena_copy(arena, it.key), arena_copy(arena, value)};
    }
    *out = pairs;
    *out_count = (uint32_t)json_count(object);
    return pairs == NULL ? ERR_NO_MEMORY : ERR_OK;
}

/* `reserve_nodes` is older than the contract, and stands for its part of that name. */
static enum err get_surplus(struct json_value root, struct arena *arena, struct surplus *out,
                            struct fault *fault)
{
    struct json_value object = {0};
    uint32_t reserve = 0;
    enum err code = json_opt_object(root, "surplus", &object, fault);
    if (code == ERR_OK && !json_is_missing(object))
        code = surplus_decode(object, arena, out, fault);
    if (code == ERR_OK)
        code = json_opt_u32(root, "reserve_nodes", 0, SITE_NODES_MAX, &reserve, fault);
    if (code == ERR_OK && reserve > 0 && out->reserve_nodes > 0)
        code = json_refuse_member(root, "reserve_nodes", fault, ERR_INVALID,
                                  "is said in surplus already");
    if (code == ERR_OK && reserve > 0)
        out->reserve_nodes = reserve;
    return code;
}

static enum err get_all(struct json_value root, struct arena *arena, struct slurm_config *out,
                        struct fault *fault)
{
    static const char *const KEYS[] = {
        "conf", "bin",        "work",   "supervise", "gate",          "partitions", "account",
        "qos",  "constraint", "run_as", "tenants",   "reserve_nodes", "gres",       "surplus"};
    const struct {
        const char *name;
        bool is_path, is_required;
        struct slice *value;
    } WORDS[] = {
        {"conf", true, false, &out->conf},      {"bin", true, false, &out->bin},
        {"work", true, true, &out->work},       {"supervise", true, true, &out->supervise},
        {"gate", false, true, &out->gate},      {"account", false, false, &out->account},
        {"qos", false, false, &out->qos},       {"constraint", false, false, &out->constraint},
        {"run_as", false, false, &out->run_as},
    };
    enum err code = json_object_check_keys(root, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), fault);
    for (size_t i = 0; code == ERR_OK && i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        code = get_word(root, WORDS[i].name, WORDS[i].is_path, arena, WORDS[i].value, fault);
        if (code == ERR_OK && WORDS[i].is_required && WORDS[i].value->len == 0)
            code = json_refuse_member(root, WORDS[i].name, fault, ERR_INVALID, "is required");
    }
    if (code == ERR_OK)
        code = get_surplus(root, arena, &out->surplus, fault);
    if (code == ERR_OK)
        code = get_partitions(root, arena, out, fault);
    if (code == ERR_OK)
        code = get_pairs(root, "tenants", SLURM_CONFIG_TENANTS_MAX, arena, &out->tenants,
                         &out->tenant_count, fault);
    if (code == ERR_OK)
        code = get_pairs(root, "gres", SLURM_CONFIG_GRES_MAX, arena, &out->gres, &out->gres_count,
                         fault);
    if (code == ERR_OK && out->tenant_count > 0 && out->run_as.len > 0)
        code = json_refuse_member(root, "run_as", fault, ERR_INVALID,
                                  "and tenants exclude each other: one account, or one a tenant");
    return code;
}

enum err slurm_config_decode(struct slice text, struct arena *arena, struct slurm_config *out,
                             struct fault *fault)
{
    struct json_document *document = NULL;
    struct slurm_config config = {0};
    enum err code = yaml_parse(text, &YAML_LIMITS, &document, fault);
    if (code != ERR_OK)
        return code;
    code = get_all(json_root(document), arena, &config, fault);
    json_document_destroy(document);
    if (code == ERR_OK)
        *out = config;
    return code;
}

/* ---- the cluster's nodes */

bool slurm_is_of_pool(const struct slurm_config *config, const struct slurm_node *node,
                      uint32_t *out_partition)
{
    for (uint32_t i = 0; i < config->partitions.count; i++)
        for (uint32_t p = 0; p < node->partition_count; p++)
            if (slice_is_equal(config->partitions.items[i], node->partitions[p])) {
                *out_partition = i;
                return true;
            }
    return false;
}

const struct text_pair *slurm_gres_of(const struct slurm_config *config, struct slice model)
{
    for (uint32_t i = 0; i < config->gres_count; i++)
        if (slice_is_equal(config->gres[i].value, model))
            return &config->gres[i];
    return NULL;
}

/* The first kind of GRES on the node that the site's file names. */
static void take_devices(const struct slurm_config *config, const struct catalogue *catalogue,
                         const struct slurm_node *node, struct site_node *out)
{
    for (uint32_t i = 0; i < config->gres_count; i++) {
        uint32_t count = slurm_gres_count(node->gres, node->gres_count, config->gres[i].key);
        const struct accelerator *row = NULL;
        if (count == 0)
            continue;
        if (catalogue != NULL)
            row = catalogue_find(catalogue, config->gres[i].value);
        out->accelerator = config->gres[i].value;
        out->accelerator_count = count < NODE_ACCELERATORS_MAX ? count : NODE_ACCELERATORS_MAX;
        out->runtime = row != NULL ? row->runtime : RUNTIME_CUDA;
        return;
    }
}

enum err slurm_site_nodes(const struct slurm_config *config, const struct catalogue *catalogue,
                          struct arena *arena, const struct site_node **out_nodes,
                          uint32_t *out_count, struct fault *fault)
{
    struct slurm_commands commands;
    const struct slurm_node *found = NULL;
    uint32_t count = 0, kept = 0, partition;
    enum err code = slurm_commands_find(config, &commands, fault);
    if (code == ERR_OK)
        code = slurm_read_nodes(&commands, arena, &found, &count, fault);
    if (code != ERR_OK)
        return code;
    struct site_node *nodes = arena_array(arena, (size_t)count + 1, sizeof(*nodes));
    if (nodes == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count && kept < SITE_NODES_MAX; i++) {
        if (!slurm_is_of_pool(config, &found[i], &partition))
            continue;
        struct site_node *node = &nodes[kept++];
        *node = (struct site_node){.name = found[i].name,
                                   .cpu_milli = found[i].cpus * 1000,
                                   .mem_bytes = found[i].mem_bytes,
                                   .runtime = RUNTIME_CPU};
        take_devices(config, catalogue, &found[i], node);
    }
    if (kept == 0)
        return fault_set(fault, ERR_NOT_FOUND, "partitions",
                         "the cluster has no node in the partitions that the site's file names");
    *out_nodes = nodes;
    *out_count = kept;
    return ERR_OK;
}
