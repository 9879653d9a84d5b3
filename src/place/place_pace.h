/* How fast kinds of places do a workload, and what a unit of work costs there. Private to
 * src/place; place_pace.c says the rules. */
#ifndef LQ_PLACE_PACE_H
#define LQ_PLACE_PACE_H

#include "place/place_state.h"

enum { PLACE_KINDS_MAX = 64 /* of a workload */ };
/* Bounds that keep products in their types. */
#define PLACE_GFLOPS_MAX (UINT64_C(1) << 40)
#define PLACE_RATE_MAX (UINT64_C(1) << 62)

/* What the catalogue says of a chip, by its name's index. */
struct place_chip {
    uint64_t gflops;
    bool is_known, is_domestic;
};

struct place_workload {
    uint32_t kind_count;
    struct place_kind {
        enum runtime runtime;
        uint32_t devices;
        uint16_t chip; /* index into the placer's names */
        bool may_explore;
        uint64_t rate; /* 0: not measured */
    } kinds[PLACE_KINDS_MAX];
};

/* All options of one job beside each other, while they are priced: begin, note each, set each. */
struct place_paces {
    const struct placer *placer;
    const struct place_workload *workload;
    bool is_on, has_least;
    uint64_t best_measured, best;        /* speeds; 0: none */
    uint64_t anchor_rate, anchor_gflops; /* a kind that was measured and is in the catalogue */
    struct money least;                  /* by the hour */
    struct money cheap_base;             /* of the cheapest a unit, and its speed */
    uint64_t cheap_speed;
};

void place_paces_begin(struct place_paces *paces, const struct placer *placer,
                       const struct place_job *job);
void place_paces_note(struct place_paces *paces, const struct place_option *option);
void place_pace_set(const struct place_paces *paces, struct place_option *option);
/* How long it is likely to take where it is. */
struct span_ms place_hold_expected(const struct placer *placer, const struct place_hold *hold);
bool place_is_foreign(const struct placer *placer, const struct place_stock *stock);

#endif
