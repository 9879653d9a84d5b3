/* What a running replay keeps. Private to sim/replay*.c. */
#ifndef LQ_SIM_REPLAY_STATE_H
#define LQ_SIM_REPLAY_STATE_H

#include "base/heap.h"
#include "base/map.h"
#include "base/vector.h"
#include "place/place.h"
#include "sim/replay.h"

enum replay_stage { STAGE_COMING, STAGE_HELD_BACK, STAGE_QUEUED, STAGE_RUNNING, STAGE_DONE };

struct replay_live {
    struct heap_handle end;
    struct money ask_per_hour;
    uint8_t stage;                  /* enum replay_stage */
    uint16_t first_node, last_node; /* of where it runs: the least and greatest index */
};

struct replay_place {
    uint32_t grown, failed, taken;
    bool is_down;
};

/* What the engine is told of a job; one for all that are alike. */
struct replay_spec {
    struct job_spec spec;
    struct job_variant variants[REPLAY_VARIANTS_MAX];
};

struct replay {
    const struct replay_setup *setup;
    struct placer *placer;
    struct arena *arena; /* the results' */
    struct heap events;  /* key: ms */
    struct replay_live *live;
    struct replay_place *places;
    struct sync_node *seen; /* scratch, SITE_NODES_MAX */
    struct strmap specs_by_key;
    struct vector specs; /* struct replay_spec * */
    size_t next_arrival, next_change;
    bool has_due;
    struct replay_result result;
    const struct region **region_of; /* by site; NULL: none */
};

/* ---- replay_world.c */
enum err replay_world_make(struct replay *replay, struct fault *fault) LQ_CHECKED;
void replay_world_free(struct replay *replay);
struct now replay_now(const struct replay *replay, int64_t now_ms);
uint32_t replay_site_index(struct site_id id);
uint32_t replay_job_index(struct job_id id);
struct job_id replay_job_id(uint32_t index);
uint32_t replay_nodes_there(const struct replay *replay, uint32_t site);
/* Tells the engine what is there and whether it is open. */
void replay_site_tell(struct replay *replay, uint32_t site);
void replay_prices_tell(struct replay *replay, int64_t now_ms);
/* Into the engine's queue. */
enum err replay_job_queue(struct replay *replay, uint32_t job) LQ_CHECKED;

/* ---- replay_tally.c */
enum err replay_tally_begin(struct replay *replay) LQ_CHECKED;
/* It held its place from start_ms to end_ms. */
void replay_tally_held(struct replay *replay, const struct replay_job *job, int64_t end_ms,
                       struct money ask_per_hour);
enum err replay_tally_end(struct replay *replay) LQ_CHECKED;

#endif
