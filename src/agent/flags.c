/* Nodes and asks as people write them on a command line. */
#include "agent/agent.h"
#include "base/units.h"
#include "model/words.h"

enum { NODE_PARTS_MAX = 8 };

static enum err part_refuse(struct slice part, struct fault *fault, const char *must)
{
    return fault_set(fault, ERR_INVALID, "node", "\"%.*s\" %s", SLICE_ARG(part), must);
}

/* "A100 80GB SXM*8" */
static enum err accelerators_parse(struct slice value, const struct catalogue *catalogue,
                                   struct arena *arena, struct site_node *node, struct fault *fault)
{
    struct slice model = value, rest = value, count = {0};
    const struct accelerator *row = NULL;
    uint64_t number = 1;
    while (slice_cut(rest, '*', &model, &count))
        rest = count; /* the last star: a model's name may have one */
    if (count.len > 0) {
        model = (struct slice){value.data, value.len - count.len - 1};
        if (slice_parse_u64(count, &number) != ERR_OK || number == 0 ||
            number > NODE_ACCELERATORS_MAX)
            return part_refuse(value, fault, "must end in *COUNT, 1 to 16");
    } else {
        model = value;
    }
    if (catalogue != NULL && catalogue_resolve(catalogue, model, "node", &row, NULL) == ERR_OK) {
        node->accelerator = arena_copy(arena, row->model);
        if (node->runtime == RUNTIME_CPU)
            node->runtime = row->runtime;
    } else {
        node->accelerator = arena_copy(arena, model);
    }
    node->accelerator_count = (uint32_t)number;
    return node->accelerator.data == NULL ? ERR_NO_MEMORY : ERR_OK;
}

static enum err part_parse(struct slice part, const struct catalogue *catalogue,
                           struct arena *arena, struct site_node *node, struct fault *fault)
{
    struct slice key, value;
    uint64_t number = 0;
    if (!slice_cut(part, '=', &key, &value))
        return part_refuse(part, fault, "must be KEY=VALUE");
    if (slice_is(key, "cpus")) {
        if (units_parse_millicpus(value, &number) != ERR_OK || number == 0 ||
            number > NODE_CPU_MILLI_MAX)
            return part_refuse(part, fault, "must be a number of cores, such as 4 or 0.5");
        node->cpu_milli = (uint32_t)number;
        return ERR_OK;
    }
    if (slice_is(key, "mem") || slice_is(key, "memory")) {
        if (units_parse_bytes(value, &node->mem_bytes) != ERR_OK || node->mem_bytes == 0)
            return part_refuse(part, fault, "must be a size, such as 16GiB");
        return ERR_OK;
    }
    if (slice_is(key, "scratch")) {
        if (units_parse_bytes(value, &node->scratch_bytes) != ERR_OK)
            return part_refuse(part, fault, "must be a size, such as 100GiB");
        return ERR_OK;
    }
    if (slice_is(key, "runtime")) {
        if (runtime_parse(value, &node->runtime) != ERR_OK)
            return part_refuse(part, fault, "must be a runtime, such as cuda, cann or cpu");
        return ERR_OK;
    }
    if (slice_is(key, "accelerators"))
        return accelerators_parse(value, catalogue, arena, node, fault);
    return part_refuse(part, fault, "is none of cpus=, mem=, scratch=, accelerators=, runtime=");
}

enum err agent_node_parse(struct slice text, const struct catalogue *catalogue, struct arena *arena,
                          struct site_node *out, struct fault *fault)
{
    struct site_node node = {.runtime = RUNTIME_CPU};
    struct slice name, rest, part;
    if (!slice_cut(text, ':', &name, &rest))
        return part_refuse(text, fault, "must be NAME:cpus=4,mem=8GiB[,accelerators=MODEL*COUNT]");
    node.name = arena_copy(arena, name);
    if (node.name.data == NULL)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; rest.len > 0; i++) {
        if (i == NODE_PARTS_MAX)
            return part_refuse(text, fault, "says too much");
        if (!slice_cut(rest, ',', &part, &rest)) {
            part = rest;
            rest = (struct slice){0};
        }
        enum err err = part_parse(slice_trim(part), catalogue, arena, &node, fault);
        if (err != ERR_OK)
            return err;
    }
    if (node.cpu_milli == 0 || node.mem_bytes == 0)
        return part_refuse(text, fault, "must say cpus= and mem=");
    if (node.accelerator_count > 0 && node.runtime == RUNTIME_CPU)
        return part_refuse(text, fault,
                           "names a model that the catalogue lacks: say runtime= as well");
    enum err err = site_node_check(&node, fault);
    if (err == ERR_OK)
        *out = node;
    return err;
}

enum err agent_ask_parse(struct slice text, const struct catalogue *catalogue, struct arena *arena,
                         struct site_ask *out, bool *out_is_cpu, struct fault *fault)
{
    struct slice model, amount;
    struct site_ask ask = {0};
    const struct accelerator *row = NULL;
    if (!slice_cut(text, '=', &model, &amount) || money_parse(amount, &ask.per_hour) != ERR_OK ||
        ask.per_hour.micros < 0)
        return fault_set(fault, ERR_INVALID, "ask",
                         "\"%.*s\" must be MODEL=AMOUNT or cpu=AMOUNT, for one hour",
                         SLICE_ARG(text));
    bool is_cpu = slice_is(model, "cpu");
    if (!is_cpu && catalogue != NULL) {
        enum err err = catalogue_resolve(catalogue, model, "ask", &row, fault);
        if (err != ERR_OK)
            return err;
        model = row->model;
    }
    ask.accelerator = arena_copy(arena, model);
    if (ask.accelerator.data == NULL)
        return ERR_NO_MEMORY;
    *out = ask;
    *out_is_cpu = is_cpu;
    return ERR_OK;
}
