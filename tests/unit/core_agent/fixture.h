/* A core with the simplest of journals, driven event by event. */
#ifndef LQ_TEST_CORE_AGENT_FIXTURE_H
#define LQ_TEST_CORE_AGENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "core/agent.h"
#include "wire/spec.h"

enum { ROWS_MAX = 16, SECRET_LEN = 6 };

/* A journal of the simplest kind, so that a core can be loaded again. */
struct journal_copy {
    bool has_meta;
    struct journal_meta meta;
    struct journal_attempt rows[ROWS_MAX];
    struct buffer orders[ROWS_MAX];
    uint32_t row_count;
    struct usage_record usage[ROWS_MAX];
    uint32_t usage_count;
};

struct fixture {
    struct agent_core *core;
    struct agent_effects effects;
    struct journal_copy journal;
    struct arena arena;
    struct buffer bytes, order;
    int64_t ms;
    uint64_t request_seq;
    struct sync_request request; /* the last one sent */
    bool has_request;
};

struct attempt_token token_of(uint64_t epoch, uint32_t number);
struct now now_of(const struct fixture *f);
void step(struct fixture *f, const struct agent_event *event);
void tick(struct fixture *f, int64_t ms);
const struct agent_output *find(const struct fixture *f, enum agent_output_kind kind,
                                uint32_t skip);
const struct agent_output *find_call(const struct fixture *f, enum engine_call call);
const struct gate_message *find_gate(const struct fixture *f, enum gate_kind kind, uint32_t rank);
void restart(struct fixture *f);
void answer(struct fixture *f, const struct sync_reply *reply);
struct sync_reply reply_make(const struct fixture *f);
struct sync_command start_make(struct fixture *f, struct attempt_token token, uint32_t nodes,
                               enum contact_policy policy);
void command(struct fixture *f, const struct sync_command *value);
void start(struct fixture *f, uint32_t nodes, enum contact_policy policy);
void revoke(struct fixture *f, struct journal_id journal, int64_t grace_ms);
void engine(struct fixture *f, enum engine_call call, enum engine_answer said);
void gate(struct fixture *f, enum gate_kind kind, uint32_t rank, uint64_t incarnation,
          enum outcome outcome);
void run_gang(struct fixture *f, enum contact_policy policy);
int set_up(void **state);
int tear_down(void **state);
void core_make(struct fixture *f, uint64_t seed);

#endif
