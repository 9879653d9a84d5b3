/* What the store's tests share: a folder that goes away, ids by number, rows and changes with sound
 * values. */
#ifndef LQ_TEST_STORE_SCENE_H
#define LQ_TEST_STORE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/journal_change.h"
#include "store/store.h"

enum { SCENE_OPS_MAX = 4096 };

struct scene {
    char folder[64];
    char path[128]; /* of the database */
    struct store_db *db;
    struct arena arena; /* for answers */
    struct change_op ops[SCENE_OPS_MAX];
    size_t count;
};

int scene_set_up(void **state); /* with an open, empty database */
int scene_tear_down(void **state);
void scene_open(struct scene *scene);
void scene_close(struct scene *scene);

struct id scene_id(uint64_t number); /* sorts by number; 0 is not none */
struct job_row scene_job(uint64_t number, uint64_t tenant, enum job_state state);
struct attempt_row scene_attempt(uint64_t job, uint32_t number, uint64_t site,
                                 enum attempt_state state);
struct usage_record scene_usage(uint64_t site, uint64_t journal, uint64_t seq, uint64_t job,
                                int64_t wall_ms);

/* Collect operations, then apply them as one change; the collection is empty afterwards. */
void scene_add(struct scene *scene, struct change_op op);
struct change_result scene_apply(struct scene *scene);
void scene_apply_ok(struct scene *scene);

struct change_op op_epoch(uint64_t epoch);
struct change_op op_job(struct job_row row);
struct change_op op_job_update(struct job_row row, enum job_state expect_state,
                               uint32_t expect_attempt);
struct change_op op_attempt(struct attempt_row row);
struct change_op op_attempt_update(struct attempt_row row, enum attempt_state expect);
struct change_op op_spec(uint64_t number, const char *body);
struct change_op op_event(uint64_t seq, uint64_t tenant); /* tenant 0: none */
struct change_op op_audit(uint64_t seq, uint8_t previous, uint8_t hash);
struct change_op op_usage(struct usage_record record);
struct change_op op_doc(enum doc_kind kind, const char *id, const char *parent, uint64_t expect,
                        const char *body);

/* Asks; the answer lives until the next question. */
enum err scene_ask(struct scene *scene, const struct store_query *query, struct store_answer *out);
struct store_answer scene_answer(struct scene *scene, const struct store_query *query);

#endif
