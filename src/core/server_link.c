/* Links between sites and regions: from documents, and as sites measure them. */
#include <stdlib.h>

#include "base/assert.h"
#include "core/server_state.h"

enum {
    LINK_ARENA_MAX = 4096,
    LINK_CHANGE_PERCENT = 20, /* a measured round trip that differs less is not news */
    LINK_CHANGE_US = 200,
};

static void link_free(struct server_link *link)
{
    arena_deinit(&link->arena);
    free(link);
}

void links_free(struct server_core *core)
{
    size_t cursor = 0;
    void *value;
    while (strmap_next(&core->links, &cursor, NULL, &value))
        link_free(value);
    strmap_deinit(&core->links);
}

static void link_key(const struct link *link, char out[DOC_ID_MAX + 1])
{
    const struct doc_value value = {.kind = DOC_LINK, .link = *link};
    doc_key(&value, out);
}

enum err link_set(struct server_core *core, const struct link *link)
{
    char key[DOC_ID_MAX + 1];
    struct server_link *fresh = calloc(1, sizeof(*fresh));
    if (fresh == NULL)
        return ERR_NO_MEMORY;
    link_key(link, key);
    arena_init(&fresh->arena, LINK_ARENA_MAX);
    fresh->value = *link;
    fresh->value.a = arena_copy(&fresh->arena, link->a);
    fresh->value.b = arena_copy(&fresh->arena, link->b);
    struct server_link *old = strmap_get(&core->links, slice_of(key));
    enum err err = strmap_put(&core->links, slice_of(key), fresh);
    if (err == ERR_OK)
        err = placer_link_put(core->placer, &fresh->value);
    if (err != ERR_OK) {
        link_free(fresh);
        return err;
    }
    if (old != NULL)
        link_free(old);
    core->must_place = true;
    return ERR_OK;
}

static bool is_news(const struct link *known, uint64_t rtt_us)
{
    uint64_t gap = known->rtt_us > rtt_us ? known->rtt_us - rtt_us : rtt_us - known->rtt_us;
    return gap > LINK_CHANGE_US && gap * 100 > known->rtt_us * LINK_CHANGE_PERCENT;
}

static void link_save(struct step *step, const struct link *link)
{
    const struct doc_value value = {.kind = DOC_LINK, .link = *link};
    doc_save(step, &value, (struct slice){0});
}

/* A figure that a source or an operator gave keeps its egress price; a measured time replaces an
 * estimated one. Examples stay: a demonstration emulates delays that its processes do not have. */
static void link_measured(struct step *step, struct server_site *site, const struct sync_link *seen)
{
    struct server_core *core = step->core;
    struct link link = {.a = site->value.name, .b = seen->peer, .source = LINK_MEASURED};
    char key[DOC_ID_MAX + 1];
    if (seen->rtt_us <= 0 || seen->rtt_us > LINK_RTT_US_MAX ||
        slice_is_equal(site->value.name, seen->peer) ||
        strmap_get(&core->names[DOC_SITE], seen->peer) == NULL)
        return;
    link_order(&link);
    link_key(&link, key);
    const struct server_link *known = strmap_get(&core->links, slice_of(key));
    if (known != NULL &&
        (known->value.source == LINK_EXAMPLE ||
         (known->value.source == LINK_MEASURED && !is_news(&known->value, (uint64_t)seen->rtt_us))))
        return;
    link.rtt_us = (uint64_t)seen->rtt_us;
    if (known != NULL)
        link.egress_per_gb = known->value.egress_per_gb;
    if (seen->bandwidth_kbps >= 1000)
        link.bandwidth_mbps = MAYBE_U64((uint64_t)seen->bandwidth_kbps / 1000);
    else if (known != NULL)
        link.bandwidth_mbps = known->value.bandwidth_mbps;
    struct fault fault;
    if (link_check(&link, &fault) != ERR_OK)
        return; /* a measurement out of range says nothing */
    link_save(step, &link);
    enum err err = link_set(core, &link);
    ASSERT(err == ERR_OK);
}

void site_links(struct step *step, struct server_site *site, const struct sync_request *request)
{
    for (uint32_t i = 0; i < request->link_count; i++)
        link_measured(step, site, &request->links[i]);
}
