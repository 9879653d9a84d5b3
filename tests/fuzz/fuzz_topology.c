/* A topology file, a catalogue, and plain CSV: refused with words, or a value that keeps its
 * promises. */
#include "fuzz.h"
#include "wire/catalogue.h"
#include "wire/csv.h"
#include "wire/topology.h"
#include "wire/yaml.h"

static void try_topology(struct slice text, struct arena *arena)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct topology topology;
    enum err err;

    if (yaml_parse(text, &YAML_LIMITS, &document, &fault) != ERR_OK)
        return;
    err = topology_decode(json_root(document), NULL, arena, &topology, &fault);
    json_document_destroy(document);
    if (err != ERR_OK) {
        ASSERT(fault.code == err && fault.message[0] != '\0');
        ASSERT(err == ERR_NO_MEMORY || fault.line > 0);
        return;
    }
    for (uint32_t i = 0; i < topology.site_count; i++) {
        const struct pool *pools;
        uint32_t count, nodes = 0;
        ASSERT(topology_region(&topology, topology.sites[i].region) != NULL);
        if (site_pools(&topology.sites[i], arena, &pools, &count) != ERR_OK)
            continue;
        for (uint32_t p = 0; p < count; p++)
            nodes += pools[p].node_count;
        ASSERT(nodes == topology.sites[i].node_count);
    }
    for (uint32_t i = 0; i < topology.link_count; i++)
        ASSERT(slice_compare(topology.links[i].a, topology.links[i].b) < 0);
}

/* Fields lie in the input or the arena, records in their order, positions never go back. */
static void try_csv(struct slice text, struct arena *arena)
{
    struct csv_reader *reader = arena_alloc(arena, sizeof(*reader));
    struct fault fault = {0};
    uint32_t line = 0;
    bool has = true;

    ASSERT(reader != NULL);
    csv_init(reader, text, arena);
    while (has) {
        enum err err = csv_next(reader, &has, &fault);
        if (err != ERR_OK) {
            ASSERT(fault.code == err && fault.message[0] != '\0');
            ASSERT(err == ERR_NO_MEMORY || fault.line > 0);
            return;
        }
        if (!has)
            break;
        ASSERT(reader->field_count > 0 && reader->field_count <= CSV_FIELDS_MAX);
        ASSERT(reader->fields[0].line > line);
        line = reader->fields[reader->field_count - 1].line;
    }
}

static void try_catalogue(struct slice text, struct arena *arena)
{
    struct fault fault = {0};
    struct catalogue catalogue;
    enum err err = catalogue_decode(text, arena, &catalogue, &fault);

    if (err != ERR_OK) {
        ASSERT(fault.code == err && fault.message[0] != '\0');
        return;
    }
    for (uint32_t i = 0; i < catalogue.count; i++)
        ASSERT(catalogue_find(&catalogue, catalogue.rows[i].model) == &catalogue.rows[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(size > 0 ? data + 1 : data, size > 0 ? size - 1 : 0);
    struct arena arena;

    arena_init(&arena, (size_t)32 << 20);
    switch (size > 0 ? data[0] % 3 : 0) {
    case 0: /* '0' */
        try_topology(text, &arena);
        break;
    case 1:
        try_csv(text, &arena);
        break;
    default:
        try_catalogue(text, &arena);
        break;
    }
    arena_deinit(&arena);
    return 0;
}
