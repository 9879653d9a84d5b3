#include <string.h>

#include "base/map.h"
#include "base/vector.h"
#include "sim/pack.h"
#include "wire/csv.h"

/* A number the columns may hold at most: below every overflow. */
enum { PACK_CPU_MILLI_MAX = 1 << 30, PACK_MEMORY_MIB_MAX = 1 << 30 };

struct column {
    const char *name;
    bool is_optional;
};

struct table {
    struct csv_reader reader;
    int at[8];
};

static enum err table_open(struct table *table, const struct column *columns, size_t count,
                           struct slice csv, struct arena *arena, struct fault *fault)
{
    bool has = false;
    csv_init(&table->reader, csv, arena);
    enum err err = csv_next(&table->reader, &has, fault);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < count; i++) {
        table->at[i] = has ? csv_column(&table->reader, columns[i].name) : -1;
        if (table->at[i] >= 0 || columns[i].is_optional)
            continue;
        (void)fault_set(fault, ERR_INVALID, NULL, "the first line must name the column \"%s\"",
                        columns[i].name);
        if (fault != NULL)
            fault->line = fault->column = 1;
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* The next record; as many fields as its longest wanted column. */
static enum err table_next(struct table *table, size_t count, bool *out_has, struct fault *fault)
{
    enum err err = csv_next(&table->reader, out_has, fault);
    if (err != ERR_OK || !*out_has)
        return err;
    for (size_t i = 0; i < count; i++)
        if (table->at[i] >= (int)table->reader.field_count)
            return csv_refuse(&table->reader.fields[table->reader.field_count - 1], fault,
                              ERR_INVALID, "the line ends here; %d fields are wanted",
                              table->at[i] + 1);
    return ERR_OK;
}

static struct slice text_at(const struct table *table, size_t column)
{
    return table->at[column] < 0 ? (struct slice){0}
                                 : slice_trim(table->reader.fields[table->at[column]].value);
}

static enum err number_at(const struct table *table, size_t column, uint64_t most, uint64_t *out,
                          struct fault *fault)
{
    const struct csv_field *field = &table->reader.fields[table->at[column]];
    uint64_t number = 0;
    if (slice_parse_u64(slice_trim(field->value), &number) != ERR_OK)
        return csv_refuse(field, fault, ERR_INVALID, "a whole number is wanted, not \"%.*s\"",
                          SLICE_ARG(field->value));
    if (number > most)
        return csv_refuse(field, fault, ERR_LIMIT, "%llu is more than the most allowed, %llu",
                          (unsigned long long)number, (unsigned long long)most);
    *out = number;
    return ERR_OK;
}

static enum err name_at(const struct table *table, struct slice *out, struct fault *fault)
{
    *out = text_at(table, 0);
    return out->len > 0 ? ERR_OK
                        : csv_refuse(&table->reader.fields[table->at[0]], fault, ERR_INVALID,
                                     "the name is empty");
}

static uint32_t model_find(const struct pack_fleet *fleet, struct slice name)
{
    uint32_t i = 0;
    while (i < fleet->model_count && !slice_is_equal(fleet->models[i], name))
        i++;
    return i;
}

static enum err node_take(const struct table *table, struct strmap *names, struct pack_fleet *fleet,
                          struct pack_node *out, struct fault *fault)
{
    uint64_t cpu_milli = 0, memory_mib = 0, devices = 0;
    struct value_node *whole = &out->whole;
    enum err err = name_at(table, &out->name, fault);
    if (err == ERR_OK && strmap_add(names, out->name, names) == ERR_EXISTS)
        err = csv_refuse(&table->reader.fields[table->at[0]], fault, ERR_EXISTS,
                         "the name \"%.*s\" stands on an earlier line", SLICE_ARG(out->name));
    if (err == ERR_OK)
        err = number_at(table, 1, PACK_CPU_MILLI_MAX, &cpu_milli, fault);
    if (err == ERR_OK)
        err = number_at(table, 2, PACK_MEMORY_MIB_MAX, &memory_mib, fault);
    if (err == ERR_OK)
        err = number_at(table, 3, VALUE_DEVICES_MAX, &devices, fault);
    if (err != ERR_OK)
        return err;
    struct slice model = text_at(table, 4);
    whole->model = model_find(fleet, model);
    if (whole->model == VALUE_MODELS_MAX)
        return csv_refuse(&table->reader.fields[table->at[4]], fault, ERR_LIMIT,
                          "more than %d models", VALUE_MODELS_MAX);
    if (whole->model == fleet->model_count)
        fleet->models[fleet->model_count++] = model;
    whole->cpu_milli = (int64_t)cpu_milli;
    whole->memory_mib = (int64_t)memory_mib;
    whole->device_count = (uint32_t)devices;
    for (size_t i = 0; i < devices; i++)
        whole->free_milli[i] = VALUE_DEVICE_MILLI;
    fleet->device_count += (int64_t)devices;
    return ERR_OK;
}

/* Moves a vector's items into the arena. */
static enum err vector_settle(const struct vector *vector, struct arena *arena, void *out_items)
{
    void *items = arena_array(arena, vector->len > 0 ? vector->len : 1, vector->item_size);
    if (items == NULL)
        return ERR_NO_MEMORY;
    if (vector->len > 0)
        memcpy(items, vector->data, vector->len * vector->item_size);
    *(void **)out_items = items;
    return ERR_OK;
}

enum err pack_fleet_read(struct slice csv, struct arena *arena, struct pack_fleet *out,
                         struct fault *fault)
{
    static const struct column COLUMNS[] = {{"sn", false},
                                            {"cpu_milli", false},
                                            {"memory_mib", false},
                                            {"gpu", false},
                                            {"model", true}};
    enum { COUNT = sizeof(COLUMNS) / sizeof(COLUMNS[0]) };
    struct pack_fleet fleet = {0};
    struct table *table = arena_alloc(arena, sizeof(*table));
    struct vector nodes;
    struct strmap names;
    bool has = false;

    if (table == NULL)
        return ERR_NO_MEMORY;
    vector_init(&nodes, sizeof(struct pack_node), PACK_NODES_MAX);
    strmap_init(&names, PACK_NODES_MAX, 0);
    enum err err = table_open(table, COLUMNS, COUNT, csv, arena, fault);
    while (err == ERR_OK) {
        struct pack_node node = {0};
        err = table_next(table, COUNT, &has, fault);
        if (err != ERR_OK || !has)
            break;
        err = node_take(table, &names, &fleet, &node, fault);
        if (err == ERR_OK)
            err = vector_push(&nodes, &node);
    }
    if (err == ERR_OK && fleet.device_count == 0)
        err = fault_set(fault, ERR_INVALID, NULL, "no node with a GPU");
    if (err == ERR_OK)
        err = vector_settle(&nodes, arena, &fleet.nodes);
    if (err == ERR_OK) {
        fleet.node_count = nodes.len;
        *out = fleet;
    }
    strmap_deinit(&names);
    vector_deinit(&nodes);
    return err;
}

/* "G2|V100M32": the models' bits; empty: all. */
static uint64_t models_take(const struct pack_fleet *fleet, struct slice spec)
{
    uint64_t models = 0;
    if (spec.len == 0)
        return UINT64_MAX;
    for (struct slice rest = spec, name;; spec = rest) {
        bool has_more = slice_cut(spec, '|', &name, &rest);
        uint32_t model = model_find(fleet, has_more ? name : spec);
        if (model < fleet->model_count)
            models |= (uint64_t)1 << model;
        if (!has_more)
            return models;
    }
}

static enum err pod_take(const struct table *table, const struct pack_fleet *fleet,
                         struct pack_pod *out, struct fault *fault)
{
    uint64_t cpu_milli = 0, memory_mib = 0, devices = 0, milli = 0;
    enum err err = name_at(table, &out->name, fault);
    if (err == ERR_OK)
        err = number_at(table, 1, PACK_CPU_MILLI_MAX, &cpu_milli, fault);
    if (err == ERR_OK)
        err = number_at(table, 2, PACK_MEMORY_MIB_MAX, &memory_mib, fault);
    if (err == ERR_OK)
        err = number_at(table, 3, UINT16_MAX, &devices, fault);
    if (err == ERR_OK)
        err = number_at(table, 4, VALUE_DEVICE_MILLI, &milli, fault);
    if (err != ERR_OK)
        return err;
    if (devices == 0)
        milli = 0;
    if (devices == 1 && milli == 0)
        return csv_refuse(&table->reader.fields[table->at[4]], fault, ERR_INVALID,
                          "a pod with a GPU wants more than 0 milli of it");
    if (devices > 1 && milli != VALUE_DEVICE_MILLI)
        return csv_refuse(&table->reader.fields[table->at[4]], fault, ERR_INVALID,
                          "a pod with several GPUs has whole ones (%d milli), not %llu",
                          VALUE_DEVICE_MILLI, (unsigned long long)milli);
    out->shape = (struct value_shape){
        .cpu_milli = (int64_t)cpu_milli,
        .memory_mib = (int64_t)memory_mib,
        .device_count = (uint32_t)devices,
        .device_milli = (uint32_t)milli,
        .models = devices == 0 ? UINT64_MAX : models_take(fleet, text_at(table, 5))};
    return ERR_OK;
}

/* Gives the pod its shape's number, a new one where the shape is new. */
static enum err shape_number(struct strmap *numbers, struct vector *shapes, struct pack_pod *pod)
{
    struct slice key = slice_make(&pod->shape, sizeof(pod->shape));
    uintptr_t number = (uintptr_t)strmap_get(numbers, key);
    if (number == 0) {
        enum err err = vector_push(shapes, &pod->shape);
        number = shapes->len;
        if (err == ERR_OK)
            err = strmap_add(numbers, key, (void *)number);
        if (err != ERR_OK)
            return err;
    }
    pod->shape_id = (uint32_t)(number - 1);
    return ERR_OK;
}

enum err pack_list_read(struct slice csv, const struct pack_fleet *fleet, struct arena *arena,
                        struct pack_list *out, struct fault *fault)
{
    static const struct column COLUMNS[] = {{"name", false},       {"cpu_milli", false},
                                            {"memory_mib", false}, {"num_gpu", false},
                                            {"gpu_milli", false},  {"gpu_spec", true}};
    enum { COUNT = sizeof(COLUMNS) / sizeof(COLUMNS[0]) };
    struct pack_list list = {0};
    struct table *table = arena_alloc(arena, sizeof(*table));
    struct vector pods, shapes;
    struct strmap numbers;
    bool has = false;

    if (table == NULL)
        return ERR_NO_MEMORY;
    vector_init(&pods, sizeof(struct pack_pod), PACK_PODS_MAX);
    vector_init(&shapes, sizeof(struct value_shape), PACK_PODS_MAX);
    strmap_init(&numbers, PACK_PODS_MAX, 0);
    enum err err = table_open(table, COLUMNS, COUNT, csv, arena, fault);
    while (err == ERR_OK) {
        struct pack_pod pod = {0};
        err = table_next(table, COUNT, &has, fault);
        if (err != ERR_OK || !has)
            break;
        err = pod_take(table, fleet, &pod, fault);
        if (err == ERR_OK)
            err = shape_number(&numbers, &shapes, &pod);
        if (err == ERR_OK)
            err = vector_push(&pods, &pod);
    }
    if (err == ERR_OK && pods.len == 0)
        err = fault_set(fault, ERR_INVALID, NULL, "no pods");
    if (err == ERR_OK)
        err = vector_settle(&pods, arena, &list.pods);
    if (err == ERR_OK)
        err = vector_settle(&shapes, arena, &list.shapes);
    if (err == ERR_OK) {
        list.pod_count = pods.len;
        list.shape_count = shapes.len;
        *out = list;
    }
    strmap_deinit(&numbers);
    vector_deinit(&shapes);
    vector_deinit(&pods);
    return err;
}
