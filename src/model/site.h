/* Regions, sites, their nodes and pools, and the links between them.
 *
 * Everything here is a value decoded into an arena (or a literal in a test) that owns every slice
 * and array. "Empty stays empty": a figure that no source gives has `has == false`; a figure made
 * up for a demonstration says so in its `is_example`.
 *
 * Invariants (region_check, site_check, link_check):
 *  1. names obey name_check and are unique within their kind (topology_check).
 *  2. a site without an ask for what a job needs is not offered to it: an empty ask is neither
 * ranked nor billed as zero (site_ask_per_hour says so by an empty result).
 *  3. asks are sorted by accelerator, unique; node names are unique within the site. */
#ifndef LQ_MODEL_SITE_H
#define LQ_MODEL_SITE_H

#include "base/arena.h"
#include "model/job.h"
#include "model/maybe.h"
#include "model/name.h"
#include "model/surplus.h"

enum {
    SITE_NODES_MAX = 4096,
    SITE_ASKS_MAX = 64,
    SITE_FORMER_JOURNALS_MAX = 16,
    SITE_CERTIFICATES_MAX = 16,
    SITE_QUARANTINES_MAX = 256,
    NODE_ACCELERATORS_MAX = 16, /* = RANK_DEVICES_MAX */
    NODE_CPU_MILLI_MAX = 4096000,
    LINK_RTT_US_MAX = 60000000,
};

/* Where a figure comes from: `source` in words (may be empty), and whether it is made up. */
struct origin {
    struct slice source;
    bool is_example;
};

struct region {
    struct region_id id;
    struct slice name;
    struct slice title; /* for people; may be empty */
    enum region_role role;
    bool has_position;
    int32_t lat_udeg, lon_udeg; /* millionths of a degree, WGS 84 */
    struct slice jurisdiction;
    struct maybe_money price_per_kwh;
    struct origin price_origin;
    struct maybe_u64 carbon_mg_per_kwh;
    struct origin carbon_origin;
    struct maybe_u64 pue_milli; /* 1000 and more */
    struct origin pue_origin;
};

enum site_tier { TIER_HUB, TIER_CENTRE, TIER_EDGE, TIER_COUNT_ };
enum engine_kind { ENGINE_HOST, ENGINE_SLURM, ENGINE_KUBERNETES, ENGINE_COUNT_ };

/*   ACTIVE ◄──► DRAINING ──► DRAINED ──► ACTIVE      any but LOST ──► LOST ──► any
 * DRAINING takes nothing new; DRAINED: nothing of ours runs there; LOST: no contact. */
enum site_state { SITE_ACTIVE, SITE_DRAINING, SITE_DRAINED, SITE_LOST, SITE_STATE_COUNT_ };

struct site_node {
    struct slice name;
    uint32_t cpu_milli;
    uint64_t mem_bytes;
    uint64_t scratch_bytes;   /* 0: whatever the disk has */
    struct slice accelerator; /* catalogue model; empty: none */
    enum runtime runtime;     /* of the accelerators; RUNTIME_CPU without any */
    uint32_t accelerator_count;
};

struct site_ask {
    struct slice accelerator; /* catalogue model */
    struct money per_hour;    /* one device, one hour */
};

struct site {
    struct site_id id;
    struct slice name;
    struct slice title;  /* may be empty */
    struct slice region; /* name */
    struct slice operator_name;
    enum site_tier tier;
    enum engine_kind engine;
    enum site_state state;
    struct slice jurisdiction;                   /* empty: the region's */
    struct maybe_money ask_per_accelerator_hour; /* any model that `asks` does not name */
    const struct site_ask *asks;
    uint32_t ask_count;
    struct maybe_money ask_per_cpu_hour; /* one core, one hour */
    bool ask_includes_energy;
    struct origin ask_origin;
    struct text_list images;         /* container images that begin so may run there; empty: none */
    struct text_list shared_folders; /* "TENANT_ID=/absolute/path": what its operator lets that
                                        tenant's jobs write in; empty: nothing */
    struct surplus surplus;          /* its owner's contract, as its agent last told it */
    const struct site_node *nodes;
    uint32_t node_count;
};
enum { SITE_IMAGES_MAX = 32, SITE_SHARES_MAX = 64, SITE_SHARE_TEXT_MAX = 1100 };

/* May that container image run at the site? */
bool site_allows_image(const struct site *site, struct slice image);
/* Is the folder, by exactly that path, shared with jobs of the tenant there? */
bool site_shares_folder(const struct site *site, struct tenant_id tenant, struct slice path);

/* Nodes of one site that are alike but for the name, in the site's order. */
struct pool {
    const struct site_node *shape; /* the first of them; belongs to the site */
    const uint32_t *nodes;         /* indices into site.nodes, ascending */
    uint32_t node_count;
};

enum link_source { LINK_MEASURED, LINK_ESTIMATE, LINK_EXAMPLE, LINK_SOURCE_COUNT_ };

/* Both ends are sites, or both are regions; a link of sites outranks that of their regions.
 * Symmetric. */
struct link {
    struct slice a, b; /* names, a < b by bytes once checked by link_order */
    uint64_t rtt_us;
    struct maybe_u64 bandwidth_mbps;
    enum link_source source;
    struct maybe_money egress_per_gb; /* 10^9 bytes, from either end */
};

/* A node, or the whole site, that takes nothing new until a probe or an operator lets it back. */
struct site_quarantine {
    struct slice node; /* name; empty: the whole site */
    enum failure_class failure;
    bool is_manual;
    uint32_t jobs, tenants, probes;
    struct wall_us since;
};

/* What the protocol must remember of a site across restarts of the server. */
struct site_memory {
    struct site_id site;
    struct journal_id journal; /* none: has not reported yet */
    uint64_t epoch_reported;   /* highest db_epoch that the site said it has seen */
    uint64_t usage_acked; /* watermark for `journal`, for reference; the store's is the truth */
    const struct journal_id *former_journals; /* newest first */
    uint32_t former_journal_count;
    struct text_list certificates; /* serial numbers (hex) that are good, newest first */
    struct wall_us contacted_at;   /* 0: never */
    const struct site_quarantine *quarantines;
    uint32_t quarantine_count;
};

const char *site_tier_name(enum site_tier tier);
const char *engine_name(enum engine_kind engine);
const char *site_state_name(enum site_state state);
const char *link_source_name(enum link_source source);
enum err site_tier_parse(struct slice text, enum site_tier *out) LQ_CHECKED;
enum err engine_parse(struct slice text, enum engine_kind *out) LQ_CHECKED;
enum err site_state_parse(struct slice text, enum site_state *out) LQ_CHECKED;
enum err link_source_parse(struct slice text, enum link_source *out) LQ_CHECKED;
bool site_state_can_move(enum site_state from, enum site_state to);

/* Rules that need no other noun. ERR_INVALID or ERR_LIMIT, and a fault. */
enum err region_check(const struct region *region, struct fault *fault) LQ_CHECKED;
enum err site_node_check(const struct site_node *node, struct fault *fault) LQ_CHECKED;
enum err site_check(const struct site *site, struct fault *fault) LQ_CHECKED;
enum err link_check(const struct link *link, struct fault *fault) LQ_CHECKED;
void link_order(struct link *link); /* puts a before b */

/* The price of one device-hour of `accelerator` at the site; empty: the site has none, do not offer
 * it. */
struct maybe_money site_ask_per_hour(const struct site *site, struct slice accelerator);
/* What `nodes` ranks of a job's shape cost an hour at the site: cores (always, when a cpu ask
 * stands) plus devices. Empty when an ask that is needed is missing (cores only: the cpu ask;
 * devices: the device's; the cpu ask may then be empty and counts nothing) or the amount does not
 * fit. */
struct maybe_money site_gang_ask_per_hour(const struct site *site, struct slice accelerator,
                                          uint32_t accelerators, uint32_t cpu_milli,
                                          uint32_t nodes);
/* Into `arena`; in the order of each pool's first node. ERR_NO_MEMORY. */
enum err site_pools(const struct site *site, struct arena *arena, const struct pool **out_pools,
                    uint32_t *out_count) LQ_CHECKED;
bool site_node_is_alike(const struct site_node *a,
                        const struct site_node *b); /* but for the name */

#endif
