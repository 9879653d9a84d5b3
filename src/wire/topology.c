#include "wire/topology.h"

#include "base/map.h"
#include "wire/doc_parts.h"

static const char *const TOPOLOGY_KEYS[] = {"currency",  "settings", "regions",
                                            "operators", "sites",    "links",
                                            "tenants",   "name",     "description"};

static void read_regions(struct value_reader *reader, struct topology *out)
{
    struct json_value list;
    struct json_iterator it;
    struct region *regions;

    value_opt_array(reader, "regions", TOPOLOGY_REGIONS_MAX, &list);
    regions = value_room(reader, json_count(list), sizeof(*regions));
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it))
        reader->err = doc_read_region(it.value, reader->arena, &regions[it.index], reader->fault);
    out->regions = regions;
    out->region_count = (uint32_t)json_count(list);
}

static void read_sites(struct value_reader *reader, const struct doc_terms *terms,
                       struct topology *out)
{
    struct json_value list;
    struct json_iterator it;
    struct site *sites;

    value_opt_array(reader, "sites", TOPOLOGY_SITES_MAX, &list);
    sites = value_room(reader, json_count(list), sizeof(*sites));
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it))
        reader->err =
            doc_read_site(it.value, terms, reader->arena, &sites[it.index], reader->fault);
    out->sites = sites;
    out->site_count = (uint32_t)json_count(list);
}

static void read_links(struct value_reader *reader, struct topology *out)
{
    struct json_value list;
    struct json_iterator it;
    struct link *links;

    value_opt_array(reader, "links", TOPOLOGY_LINKS_MAX, &list);
    links = value_room(reader, json_count(list), sizeof(*links));
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it))
        reader->err = doc_read_link(it.value, reader->arena, &links[it.index], reader->fault);
    out->links = links;
    out->link_count = (uint32_t)json_count(list);
}

static void read_tenants(struct value_reader *reader, struct topology *out)
{
    struct json_value list;
    struct json_iterator it;
    struct topology_tenant *tenants;

    value_opt_array(reader, "tenants", TOPOLOGY_TENANTS_MAX, &list);
    tenants = value_room(reader, json_count(list), sizeof(*tenants));
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it)) {
        struct topology_tenant *tenant = &tenants[it.index];
        tenant->parent = (struct slice){"", 0};
        reader->err = doc_read_tenant(it.value, reader->arena, &tenant->tenant, &tenant->parent,
                                      reader->fault);
    }
    out->tenants = tenants;
    out->tenant_count = (uint32_t)json_count(list);
}

static void read_operators(struct value_reader *reader, struct operator_account **out,
                           uint32_t *out_count)
{
    struct json_value list;
    struct json_iterator it;
    struct operator_account *accounts;

    value_opt_array(reader, "operators", TOPOLOGY_OPERATORS_MAX, &list);
    accounts = value_room(reader, json_count(list), sizeof(*accounts));
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it))
        reader->err =
            doc_read_operator(it.value, reader->arena, &accounts[it.index], reader->fault);
    *out = accounts;
    *out_count = (uint32_t)json_count(list);
}

/* Operators that only a site mentions are added, in the order of the sites. Where the file lists
 * operators, that list is complete: a site's other name is then a mistake, which topology_check
 * tells. */
static void add_operators(struct value_reader *reader, struct topology *out)
{
    struct operator_account *accounts;
    struct strmap seen;

    if (reader->err != ERR_OK || out->operator_count > 0)
        return;
    accounts = value_room(reader, out->site_count, sizeof(*accounts));
    strmap_init(&seen, TOPOLOGY_OPERATORS_MAX, 0);
    for (uint32_t i = 0; accounts != NULL && reader->err == ERR_OK && i < out->site_count; i++) {
        struct slice name = out->sites[i].operator_name;
        enum err err = strmap_add(&seen, name, &accounts[i]);
        if (err == ERR_OK)
            accounts[out->operator_count++] =
                (struct operator_account){.name = name, .title = {"", 0}};
        else if (err != ERR_EXISTS)
            reader->err = fault_set(reader->fault, err, "operators", "too many, or no memory");
    }
    strmap_deinit(&seen);
    out->operators = accounts;
}

static void read_settings(struct value_reader *reader, struct topology *out)
{
    struct json_value settings = value_member(reader, "settings");

    policy_default(&out->policy);
    if (!json_is_missing(settings))
        value_fail(reader, doc_read_policy(settings, reader->arena, &out->policy, reader->fault));
    value_opt_string(reader, "currency", 3, &out->policy.currency);
}

enum err topology_decode(struct json_value value, const struct catalogue *catalogue,
                         struct arena *arena, struct topology *out, struct fault *fault)
{
    struct doc_terms terms = {.catalogue = catalogue, .default_operator = {"", 0}};
    struct operator_account *operators = NULL;
    struct topology topology = {0};
    struct value_reader reader;
    struct slice text;
    enum err err;

    value_begin(&reader, value, TOPOLOGY_KEYS, sizeof(TOPOLOGY_KEYS) / sizeof(TOPOLOGY_KEYS[0]),
                arena, fault);
    value_opt_string(&reader, "name", TITLE_MAX, &text);
    value_opt_string(&reader, "description", SOURCE_MAX, &text);
    read_settings(&reader, &topology);
    read_regions(&reader, &topology);
    read_operators(&reader, &operators, &topology.operator_count);
    topology.operators = operators;
    read_sites(&reader, &terms, &topology);
    read_links(&reader, &topology);
    read_tenants(&reader, &topology);
    add_operators(&reader, &topology);
    if (reader.err != ERR_OK)
        return reader.err;
    err = value_locate(value, topology_check(&topology, arena, fault), fault);
    if (err == ERR_OK)
        *out = topology;
    return err;
}
