/* Sites, their nodes and asks, to JSON and back. */
#include <stdio.h>
#include <stdlib.h>

#include "model/words.h"
#include "wire/doc_parts.h"
#include "wire/surplus.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const SITE_KEYS[] = {
    "id",
    "name",
    "title",
    "region",
    "operator",
    "tier",
    "engine",
    "state",
    "jurisdiction",
    "nodes",
    "ask_per_card_hour",
    "ask_per_cpu_hour",
    "ask_source",
    "ask_is_example",
    "ask_includes_energy",
    "images",
    "shared_folders",
    "surplus",
};
static const char *const NODE_KEYS[] = {"name",    "cpus",         "memory", "scratch",
                                        "runtime", "accelerators", "count"};

/* The catalogue's own spelling of a model, and its row; without a catalogue the text stays. */
static enum err resolve(const struct doc_terms *terms, struct json_value value, struct arena *arena,
                        struct slice *in_out_model, const struct accelerator **out_row,
                        struct fault *fault)
{
    const struct accelerator *row;
    struct fault unknown;

    *out_row = NULL;
    if (terms->catalogue == NULL || in_out_model->len == 0)
        return ERR_OK;
    if (catalogue_resolve(terms->catalogue, *in_out_model, NULL, &row, &unknown) != ERR_OK)
        return json_refuse(value, fault, ERR_INVALID, "%s", unknown.message);
    *out_row = row;
    return value_copy(arena, row->model, in_out_model, fault);
}

static void read_node_accelerators(struct value_reader *reader, const struct doc_terms *terms,
                                   struct site_node *node)
{
    struct json_value value = value_member(reader, "accelerators");
    const struct accelerator *row = NULL;
    unsigned runtime = RUNTIME_CPU;

    if (json_is_missing(value)) {
        if (!json_is_missing(value_member(reader, "runtime")))
            value_opt_choice(reader, "runtime", RUNTIME_WORDS, RUNTIME_COUNT_, &runtime);
        if (runtime != RUNTIME_CPU)
            value_refuse(reader, "accelerators", ERR_INVALID, "is required for that runtime");
        return;
    }
    value_fail(reader,
               value_accelerators(value, NODE_ACCELERATORS_MAX, reader->arena, &node->accelerator,
                                  &node->accelerator_count, reader->fault));
    if (reader->err == ERR_OK && node->accelerator.len == 0)
        reader->err = json_refuse(value, reader->fault, ERR_INVALID, "must name the model");
    if (reader->err == ERR_OK)
        reader->err = resolve(terms, value, reader->arena, &node->accelerator, &row, reader->fault);
    if (row != NULL)
        runtime = row->runtime;
    value_opt_choice(reader, "runtime", RUNTIME_WORDS, RUNTIME_COUNT_, &runtime);
    if (reader->err == ERR_OK && runtime == RUNTIME_CPU)
        value_refuse(reader, "runtime", ERR_INVALID, "say the accelerators' runtime, such as cuda");
    node->runtime = (enum runtime)runtime;
}

/* One entry may stand for `count` nodes, named name-1 and so on. */
static enum err read_node(struct json_value value, const struct doc_terms *terms,
                          struct arena *arena, struct site_node *out, uint32_t *out_count,
                          struct fault *fault)
{
    struct site_node node = {.accelerator = {"", 0}};
    struct value_reader reader;
    uint64_t milli = 0;
    uint32_t count = 0;

    value_begin(&reader, value, NODE_KEYS, COUNT(NODE_KEYS), arena, fault);
    value_need_string(&reader, "name", NAME_MAX, &node.name);
    value_opt_cpus(&reader, "cpus", NODE_CPU_MILLI_MAX, &milli);
    if (milli == 0)
        value_refuse(&reader, "cpus", ERR_INVALID, "is required");
    value_opt_size(&reader, "memory", &node.mem_bytes);
    if (node.mem_bytes == 0)
        value_refuse(&reader, "memory", ERR_INVALID, "is required");
    value_opt_size(&reader, "scratch", &node.scratch_bytes);
    read_node_accelerators(&reader, terms, &node);
    value_opt_u32(&reader, "count", 1, SITE_NODES_MAX, &count);
    node.cpu_milli = (uint32_t)milli;
    if (reader.err != ERR_OK)
        return reader.err;
    reader.err = value_locate(value, site_node_check(&node, fault), fault);
    *out = node;
    *out_count = count;
    return reader.err;
}

/* The copies of one entry. */
static enum err name_nodes(struct json_value value, const struct site_node *entry, uint32_t count,
                           struct arena *arena, struct site_node *out, struct fault *fault)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[NAME_MAX + 16];
        enum err err;
        snprintf(name, sizeof(name), "%.*s-%u", SLICE_ARG(entry->name), i + 1);
        out[i] = *entry;
        err = value_copy(arena, slice_of(name), &out[i].name, fault);
        if (err == ERR_OK && out[i].name.len > NAME_MAX)
            err = json_refuse(value, fault, ERR_LIMIT, "with its number the name is too long");
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static void read_nodes(struct value_reader *reader, const struct doc_terms *terms, struct site *out)
{
    struct json_value list;
    struct json_iterator it;
    struct site_node *entries, *nodes;
    uint32_t *counts, total = 0, at = 0;

    value_opt_array(reader, "nodes", SITE_NODES_MAX, &list);
    entries = value_room(reader, json_count(list), sizeof(*entries));
    counts = value_room(reader, json_count(list), sizeof(*counts));
    if (entries == NULL || counts == NULL)
        return;
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it)) {
        reader->err = read_node(it.value, terms, reader->arena, &entries[it.index],
                                &counts[it.index], reader->fault);
        total += counts[it.index] == 0 ? 1 : counts[it.index];
        if (reader->err == ERR_OK && total > SITE_NODES_MAX)
            reader->err =
                json_refuse(list, reader->fault, ERR_LIMIT, "at most %d nodes", SITE_NODES_MAX);
    }
    nodes = value_room(reader, total, sizeof(*nodes));
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it)) {
        if (counts[it.index] == 0) {
            nodes[at++] = entries[it.index];
            continue;
        }
        reader->err = name_nodes(it.value, &entries[it.index], counts[it.index], reader->arena,
                                 nodes + at, reader->fault);
        at += counts[it.index];
    }
    out->nodes = nodes;
    out->node_count = total;
}

static int compare_asks(const void *a, const void *b)
{
    const struct site_ask *left = a, *right = b;
    return slice_compare(left->accelerator, right->accelerator);
}

/* {"A100 80GB SXM": 12, "*": 5}: by model, "*" for any other. */
static void read_ask_table(struct value_reader *reader, const struct doc_terms *terms,
                           struct json_value table, struct site *out)
{
    struct json_iterator it = json_iterate(table);
    struct site_ask *asks;
    uint32_t count = 0;

    if (json_count(table) > SITE_ASKS_MAX) {
        value_refuse(reader, "ask_per_card_hour", ERR_LIMIT, "has too many models");
        return;
    }
    asks = value_room(reader, json_count(table), sizeof(*asks));
    while (reader->err == ERR_OK && json_next(&it)) {
        const struct accelerator *row;
        struct money amount = {0};
        reader->err = json_to_money(it.value, &amount, reader->fault);
        if (reader->err != ERR_OK)
            return;
        if (slice_is(it.key, "*")) {
            out->ask_per_accelerator_hour = MAYBE_MONEY(amount);
            continue;
        }
        asks[count].per_hour = amount;
        reader->err = value_copy(reader->arena, it.key, &asks[count].accelerator, reader->fault);
        if (reader->err == ERR_OK)
            reader->err = resolve(terms, it.value, reader->arena, &asks[count].accelerator, &row,
                                  reader->fault);
        count++;
    }
    if (reader->err == ERR_OK && count > 1)
        qsort(asks, count, sizeof(*asks), compare_asks);
    out->asks = count > 0 ? asks : NULL;
    out->ask_count = count;
}

static void read_asks(struct value_reader *reader, const struct doc_terms *terms, struct site *out)
{
    struct json_value value = value_member(reader, "ask_per_card_hour");

    if (json_type_of(value) == JSON_OBJECT)
        read_ask_table(reader, terms, value, out);
    else
        value_opt_maybe_money(reader, "ask_per_card_hour", &out->ask_per_accelerator_hour);
    value_opt_maybe_money(reader, "ask_per_cpu_hour", &out->ask_per_cpu_hour);
    value_opt_string(reader, "ask_source", SOURCE_MAX, &out->ask_origin.source);
    value_opt_bool(reader, "ask_is_example", &out->ask_origin.is_example);
    if (slice_has_prefix(out->ask_origin.source, SLICE_LITERAL("example")))
        out->ask_origin.is_example = true;
    value_opt_bool(reader, "ask_includes_energy", &out->ask_includes_energy);
}

static void read_surplus(struct value_reader *reader, struct surplus *out)
{
    struct json_value value = value_member(reader, "surplus");
    if (reader->err == ERR_OK && !json_is_missing(value))
        reader->err = surplus_decode(value, reader->arena, out, reader->fault);
}

enum err doc_read_site(struct json_value value, const struct doc_terms *terms, struct arena *arena,
                       struct site *out, struct fault *fault)
{
    struct site site = {.title = {"", 0}, .jurisdiction = {"", 0}, .ask_includes_energy = true};
    unsigned tier = TIER_CENTRE, engine = ENGINE_HOST, state = SITE_ACTIVE;
    struct value_reader reader;

    site.operator_name = terms->default_operator;
    value_begin(&reader, value, SITE_KEYS, COUNT(SITE_KEYS), arena, fault);
    value_opt_id(&reader, "id", ID_PREFIX_SITE, &site.id.id);
    value_need_string(&reader, "name", NAME_MAX, &site.name);
    value_opt_string(&reader, "title", TITLE_MAX, &site.title);
    value_need_string(&reader, "region", NAME_MAX, &site.region);
    if (site.operator_name.len == 0)
        value_need_string(&reader, "operator", NAME_MAX, &site.operator_name);
    else
        value_opt_string(&reader, "operator", NAME_MAX, &site.operator_name);
    value_opt_choice(&reader, "tier", SITE_TIER_WORDS, TIER_COUNT_, &tier);
    value_opt_choice(&reader, "engine", ENGINE_WORDS, ENGINE_COUNT_, &engine);
    value_opt_choice(&reader, "state", SITE_STATE_WORDS, SITE_STATE_COUNT_, &state);
    value_opt_string(&reader, "jurisdiction", NAME_MAX, &site.jurisdiction);
    read_asks(&reader, terms, &site);
    value_opt_list(&reader, "images", SITE_IMAGES_MAX, JOB_IMAGE_MAX, &site.images);
    value_opt_list(&reader, "shared_folders", SITE_SHARES_MAX, SITE_SHARE_TEXT_MAX,
                   &site.shared_folders);
    read_nodes(&reader, terms, &site);
    read_surplus(&reader, &site.surplus);
    site.tier = (enum site_tier)tier;
    site.engine = (enum engine_kind)engine;
    site.state = (enum site_state)state;
    if (reader.err == ERR_OK)
        *out = site;
    return reader.err;
}

enum err doc_decode_site(struct json_value value, struct arena *arena, struct site *out,
                         struct fault *fault)
{
    struct doc_terms terms = {0};
    struct site site;
    enum err err = doc_read_site(value, &terms, arena, &site, fault);

    if (err == ERR_OK)
        err = value_locate(value, site_check(&site, fault), fault);
    if (err == ERR_OK)
        *out = site;
    return err;
}

static void put_asks(const struct site *site, struct json_writer *writer)
{
    if (site->ask_count == 0) {
        value_put_money(writer, "ask_per_card_hour", site->ask_per_accelerator_hour);
    } else {
        json_key(writer, "ask_per_card_hour");
        json_begin_object(writer);
        value_put_money(writer, "*", site->ask_per_accelerator_hour);
        for (uint32_t i = 0; i < site->ask_count; i++) {
            json_key_slice(writer, site->asks[i].accelerator);
            json_money(writer, site->asks[i].per_hour);
        }
        json_end_object(writer);
    }
    value_put_money(writer, "ask_per_cpu_hour", site->ask_per_cpu_hour);
    value_put_text(writer, "ask_source", site->ask_origin.source);
    value_put_flag(writer, "ask_is_example", site->ask_origin.is_example);
    if (!site->ask_includes_energy)
        json_put_bool(writer, "ask_includes_energy", false);
}

static void put_surplus(const struct surplus *surplus, struct json_writer *writer)
{
    if (surplus_is_silent(surplus))
        return;
    json_key(writer, "surplus");
    surplus_encode(surplus, writer);
}

static void put_node(const struct site_node *node, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_string(writer, "name", node->name);
    value_put_cpus(writer, "cpus", node->cpu_milli);
    value_put_size(writer, "memory", node->mem_bytes);
    if (node->scratch_bytes != 0)
        value_put_size(writer, "scratch", node->scratch_bytes);
    value_put_accelerators(writer, node->accelerator, node->accelerator_count);
    if (node->runtime != RUNTIME_CPU)
        json_put_text(writer, "runtime", runtime_name(node->runtime));
    json_end_object(writer);
}

void doc_encode_site(const struct site *site, struct json_writer *writer)
{
    json_begin_object(writer);
    value_put_id(writer, "id", site->id.id, ID_PREFIX_SITE);
    json_put_string(writer, "name", site->name);
    value_put_text(writer, "title", site->title);
    json_put_string(writer, "region", site->region);
    json_put_string(writer, "operator", site->operator_name);
    json_put_text(writer, "tier", site_tier_name(site->tier));
    json_put_text(writer, "engine", engine_name(site->engine));
    json_put_text(writer, "state", site_state_name(site->state));
    value_put_text(writer, "jurisdiction", site->jurisdiction);
    put_asks(site, writer);
    value_put_list(writer, "images", &site->images);
    value_put_list(writer, "shared_folders", &site->shared_folders);
    put_surplus(&site->surplus, writer);
    json_key(writer, "nodes");
    json_begin_array(writer);
    for (uint32_t i = 0; i < site->node_count; i++)
        put_node(&site->nodes[i], writer);
    json_end_array(writer);
    json_end_object(writer);
}
