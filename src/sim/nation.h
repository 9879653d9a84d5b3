/* The national experiment (`lq sim nation`): a day of training and inference on the ten clusters,
 * placed by the engine, against every site alone, a random site, and the cheapest site whatever its
 * queue. Regions have no roles here: what goes west and what stays east follows from cost and
 * latency alone.
 *
 * Places, round trips, carbon and the tariffs that have a source come from the topology. What no
 * source gives is an example, named below and in the docs: nodes, what sites ask, missing tariffs,
 * and the demand. */
#ifndef LQ_SIM_NATION_H
#define LQ_SIM_NATION_H

#include "sim/replay.h"

enum {
    NATION_SITE_NODES = 64, /* example: of each site */
    NATION_NODE_DEVICES = 8,
    NATION_SITES_MAX = 64,
    NATION_TRAINING_JOBS = 1800, /* example: of the day, at scale 100 % */
    NATION_REPLICAS = 2400
};

enum nation_way { NATION_ENGINE, NATION_ALONE, NATION_RANDOM, NATION_CHEAPEST, NATION_WAY_COUNT_ };
enum nation_kind { NATION_TRAINING, NATION_NEAR, NATION_FAR, NATION_KIND_COUNT_ };

struct nation_figures {
    double utilisation, wait_mean_s, wait_p99_s;
    double ask, energy, carbon_kg;
    double west_part[NATION_KIND_COUNT_]; /* of the device hours of that kind */
    double wait_kind_s[NATION_KIND_COUNT_];
    uint64_t jobs, never, events;
};
struct nation_result {
    struct nation_figures ways[NATION_WAY_COUNT_];
    uint64_t events;
};

/* `network`: the ten clusters; a site is western where its region's role is to train (the policy's
 * own list); that role is used for nothing else. `scale_percent`: of the demand. ERR_INVALID,
 * ERR_LIMIT. */
enum err nation_run(const struct topology *network, uint64_t seed, uint32_t scale_percent,
                    struct arena *arena, struct nation_result *out, struct fault *fault) LQ_CHECKED;

const char *nation_way_name(enum nation_way way);
const char *nation_kind_name(enum nation_kind kind);

#endif
