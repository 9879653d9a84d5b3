/* The documents of a network, from its topology file to the server. */
#include "cli/network_private.h"

#include <string.h>

#include "base/assert.h"
#include "wire/doc.h"

/* The body of a document, as the API takes it. */
static int put(struct network *network, const char *target, const struct doc_value *value)
{
    struct buffer body;
    struct api_reply reply;
    buffer_init(&body, DOC_BYTES_MAX);
    int code = doc_encode(value, &body) == ERR_OK
                   ? api_put(network->cli, target, buffer_slice(&body), NULL, &reply)
                   : cli_fail(network->cli, EXIT_FAILED, "%s: too large", target);
    buffer_deinit(&body);
    return code;
}

static const char *escaped(struct network *network, struct slice name)
{
    return api_escape(network->cli, arena_text(&network->cli->arena, name));
}

int network_put_regions(struct network *network)
{
    int code = EXIT_DONE;
    for (uint32_t i = 0; i < network->topology.region_count && code == EXIT_DONE; i++) {
        const struct doc_value value = {.kind = DOC_REGION, .region = network->topology.regions[i]};
        code = put(network,
                   api_target(network->cli, "/v1/regions/%s", escaped(network, value.region.name)),
                   &value);
    }
    return code;
}

int network_put_links(struct network *network)
{
    int code = EXIT_DONE;
    for (uint32_t i = 0; i < network->topology.link_count && code == EXIT_DONE; i++) {
        const struct doc_value value = {.kind = DOC_LINK, .link = network->topology.links[i]};
        code = put(network,
                   api_target(network->cli, "/v1/links/%s/%s", escaped(network, value.link.a),
                              escaped(network, value.link.b)),
                   &value);
    }
    return code;
}

int network_put_policy(struct network *network)
{
    const struct doc_value value = {.kind = DOC_POLICY, .policy = network->topology.policy};
    return put(network, "/v1/policy", &value);
}

/* ---- tenants: parents first; the file's roots hang below the administrator's own tenant */

static int tenant_post(struct network *network, struct tenant tenant, struct slice parent,
                       struct slice *out_id)
{
    struct buffer body;
    struct api_reply reply;
    const struct doc_value value = {.kind = DOC_TENANT, .tenant = tenant};
    buffer_init(&body, DOC_BYTES_MAX);
    struct doc_value complete = value;
    int code = id_parse(parent, ID_PREFIX_TENANT, &complete.tenant.parent.id) == ERR_OK &&
                       doc_encode(&complete, &body) == ERR_OK
                   ? api_post_once(network->cli, "/v1/tenants", buffer_slice(&body), &reply)
                   : cli_fail(network->cli, EXIT_FAILED, "%.*s: no parent", SLICE_ARG(tenant.name));
    if (code == EXIT_DONE)
        *out_id = api_string(reply.root, "id");
    buffer_deinit(&body);
    return code;
}

static struct slice standing_id(const struct api_list *list, struct slice name)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_is_equal(api_string(list->items[i], "name"), name))
            return api_string(list->items[i], "id");
    return (struct slice){0};
}

int network_put_tenants(struct network *network)
{
    const struct topology *topology = &network->topology;
    struct api_list list;
    struct api_reply me;
    struct slice *ids = arena_array(&network->arena, topology->tenant_count + 1, sizeof(*ids));
    ASSERT(ids != NULL);
    int code = api_list(network->cli, "/v1/tenants", 0, &list);
    if (code == EXIT_DONE)
        code = api_call(network->cli, "GET", "/v1/whoami", (struct slice){0}, &me);
    bool has_changed = true;
    while (code == EXIT_DONE && has_changed) { /* a level of the tree each time */
        has_changed = false;
        for (uint32_t i = 0; i < topology->tenant_count && code == EXIT_DONE; i++) {
            const struct topology_tenant *item = &topology->tenants[i];
            struct slice parent = {0};
            if (ids[i].len > 0)
                continue;
            if (item->parent.len == 0)
                parent = api_string(me.root, "tenant");
            for (uint32_t k = 0; k < topology->tenant_count; k++)
                if (item->parent.len > 0 &&
                    slice_is_equal(topology->tenants[k].tenant.name, item->parent))
                    parent = ids[k];
            if (parent.len == 0)
                continue;
            ids[i] = standing_id(&list, item->tenant.name);
            if (ids[i].len == 0)
                code = tenant_post(network, item->tenant, parent, &ids[i]);
            has_changed = true;
        }
    }
    return code;
}

/* ---- sites */

int network_write_join_token(struct network *network, const struct network_site *site,
                             const char *path)
{
    struct api_body body;
    struct api_reply reply;
    struct fault fault = {0};
    api_body_begin(&body);
    json_put_text(&body.writer, "site", site->name);
    json_put_string(&body.writer, "operator", site->value->operator_name);
    int code = api_body_end(network->cli, &body);
    if (code == EXIT_DONE)
        code = api_post_once(network->cli, "/v1/join-tokens", buffer_slice(&body.bytes), &reply);
    api_body_deinit(&body);
    if (code == EXIT_DONE &&
        file_write_atomic(path, api_string(reply.root, "token"), 0600, &fault) != ERR_OK)
        code = cli_fail_fault(network->cli, EXIT_FAILED, path, &fault);
    return code;
}

int network_write_site(struct network *network, const struct network_site *site, const char *path)
{
    const struct doc_value value = {.kind = DOC_SITE, .site = *site->value};
    struct fault fault = {0};
    struct buffer body;
    buffer_init(&body, DOC_BYTES_MAX);
    enum err err = doc_encode(&value, &body);
    if (err == ERR_OK)
        err = file_write_atomic(path, buffer_slice(&body), 0600, &fault);
    else
        (void)fault_set(&fault, err, NULL, "the site's description is too large");
    buffer_deinit(&body);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(network->cli, EXIT_FAILED, path, &fault);
}
