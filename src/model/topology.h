/* A whole network as a file describes it: what `lq up` makes and what the simulator and placement
 * benchmarks start from. A value in an arena. Ids are none until someone gives them. */
#ifndef LQ_MODEL_TOPOLOGY_H
#define LQ_MODEL_TOPOLOGY_H

#include "model/account.h"
#include "model/site.h"

enum {
    TOPOLOGY_REGIONS_MAX = 1024,
    TOPOLOGY_SITES_MAX = 4096,
    TOPOLOGY_LINKS_MAX = 262144,
    TOPOLOGY_TENANTS_MAX = 4096,
    TOPOLOGY_OPERATORS_MAX = 4096,
};

struct topology_tenant {
    struct tenant tenant; /* id and parent: none */
    struct slice parent;  /* name; empty: a root */
};

struct topology {
    const struct region *regions;
    uint32_t region_count;
    const struct site *sites;
    uint32_t site_count;
    const struct link *links; /* link_order'ed, in the file's order */
    uint32_t link_count;
    const struct topology_tenant *tenants;
    uint32_t tenant_count;
    const struct operator_account *operators; /* those named, and those only mentioned by a site */
    uint32_t operator_count;
    struct policy policy; /* defaults, changed by `currency` and `settings` */
};

/* Every noun's own check and the references between them: unknown region, site or parent (with the
 * nearest name), names used twice, the same link twice, cycles of tenants. `scratch` is for the
 * work. */
enum err topology_check(const struct topology *topology, struct arena *scratch,
                        struct fault *fault) LQ_CHECKED;
const struct region *topology_region(const struct topology *topology,
                                     struct slice name); /* NULL: none */
const struct site *topology_site(const struct topology *topology, struct slice name);
/* The link of two sites, else of their regions; NULL: nothing known (also for one and the same
 * site). */
const struct link *topology_link(const struct topology *topology, const struct site *a,
                                 const struct site *b);

#endif
