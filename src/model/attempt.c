#include "model/attempt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define TO(state) (1u << (state))
#define FINALS (TO(ATTEMPT_ENDED) | TO(ATTEMPT_NEVER) | TO(ATTEMPT_EXPIRED) | TO(ATTEMPT_DESTROYED))

static const unsigned ATTEMPT_MOVES[ATTEMPT_STATE_COUNT_] = {
    [ATTEMPT_OFFERED] = TO(ATTEMPT_RUNNING) | TO(ATTEMPT_UNKNOWN) | FINALS,
    [ATTEMPT_RUNNING] = TO(ATTEMPT_UNKNOWN) | (FINALS & ~TO(ATTEMPT_NEVER)),
    [ATTEMPT_UNKNOWN] = TO(ATTEMPT_OFFERED) | TO(ATTEMPT_RUNNING) | FINALS,
    [ATTEMPT_ENDED] = 0,
    [ATTEMPT_NEVER] = 0,
    [ATTEMPT_EXPIRED] = 0,
    [ATTEMPT_DESTROYED] = 0,
};

bool attempt_state_is_final(enum attempt_state state)
{
    return (unsigned)state < ATTEMPT_STATE_COUNT_ && (FINALS & TO(state)) != 0;
}

bool attempt_can_move(enum attempt_state from, enum attempt_state to)
{
    if ((unsigned)from >= ATTEMPT_STATE_COUNT_ || (unsigned)to >= ATTEMPT_STATE_COUNT_)
        return false;
    return (ATTEMPT_MOVES[from] & TO(to)) != 0;
}

static const uint8_t OUTCOME_FAILURES[OUTCOME_COUNT_] = {
    [OUTCOME_NONE] = FAILURE_REFUSED, /* NEVER, without a word why */
    [OUTCOME_SUCCEEDED] = FAILURE_NONE,
    [OUTCOME_PROGRAM_ERROR] = FAILURE_PROGRAM_ERROR,
    [OUTCOME_OUT_OF_MEMORY] = FAILURE_OUT_OF_MEMORY,
    [OUTCOME_TIME_LIMIT] = FAILURE_TIME_LIMIT,
    [OUTCOME_REVOKED] = FAILURE_NONE, /* see the reason */
    [OUTCOME_PREEMPTED] = FAILURE_PREEMPTED,
    [OUTCOME_LEASE_LOST] = FAILURE_SITE_LOST,
    [OUTCOME_NODE_LOST] = FAILURE_NODE_LOST,
    [OUTCOME_GATE_TIMEOUT] = FAILURE_REFUSED,
    [OUTCOME_BAD_ENVIRONMENT] = FAILURE_BAD_ENVIRONMENT,
    [OUTCOME_JOURNAL_LOST] = FAILURE_SITE_LOST,
    [OUTCOME_REFUSED] = FAILURE_REFUSED,
};

/* What was told to go is nobody's fault; a failure that came before the order arrived is one. */
enum failure_class attempt_failure(const struct attempt_row *row)
{
    bool was_told = row->outcome == OUTCOME_REVOKED ||
                    (row->state == ATTEMPT_NEVER && row->outcome == OUTCOME_NONE);
    if (!attempt_state_is_final(row->state))
        return FAILURE_NONE;
    if (row->state == ATTEMPT_EXPIRED || row->state == ATTEMPT_DESTROYED)
        return FAILURE_SITE_LOST;
    if (row->revoke == REVOKE_NOT_STARTED && was_told)
        return FAILURE_NOT_STARTED;
    if (row->revoke == REVOKE_PREEMPTED && was_told)
        return FAILURE_PREEMPTED;
    if (row->revoke != REVOKE_NONE && was_told)
        return FAILURE_NONE;
    /* Cancelled at the engine by somebody with the right to: the owner took it back. */
    if (row->outcome == OUTCOME_REVOKED)
        return FAILURE_PREEMPTED;
    return (enum failure_class)OUTCOME_FAILURES[row->outcome];
}

enum err attempt_progress_parse(struct slice text, uint64_t *out)
{
    struct slice line = text, rest;
    uint64_t value;
    (void)slice_cut(text, '\n', &line, &rest);
    if (slice_parse_u64(line, &value) != ERR_OK || value > ATTEMPT_PROGRESS_MAX)
        return ERR_INVALID;
    *out = value;
    return ERR_OK;
}

void attempt_progress_take(struct attempt_progress *known, const struct attempt_progress *said)
{
    if (said->value > known->value || (known->over.ms == 0 && said->over.ms > 0))
        *known = *said;
}

bool attempt_token_is_equal(const struct attempt_token *a, const struct attempt_token *b)
{
    return a->epoch == b->epoch && a->number == b->number && id_is_equal(a->job.id, b->job.id);
}

int attempt_token_compare(const struct attempt_token *a, const struct attempt_token *b)
{
    int jobs;

    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    jobs = id_compare(a->job.id, b->job.id);
    if (jobs != 0)
        return jobs;
    return a->number < b->number ? -1 : a->number > b->number;
}

enum { JOB_CHARACTERS = 26 };

void attempt_name_format(const struct attempt_token *token, char out[ATTEMPT_NAME_MAX])
{
    char job[ID_TEXT_MAX];
    int len;

    id_format(token->job.id, "job", job);
    len = snprintf(out, ATTEMPT_NAME_MAX, "lq-%" PRIu64 "-%s-%" PRIu32, token->epoch,
                   job + sizeof("job"), token->number);
    ASSERT(len > 0 && len < ATTEMPT_NAME_MAX);
}

/* Only the one text that attempt_name_format writes: no sign, no leading zero. */
static bool parse_decimal(struct slice text, uint64_t *out)
{
    if (text.len == 0 || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return slice_parse_u64(text, out) == ERR_OK;
}

enum err attempt_name_parse(struct slice name, struct attempt_token *out)
{
    struct attempt_token token = {0};
    struct slice rest, epoch, job, number;
    char job_text[ID_TEXT_MAX] = "job_";
    uint64_t value;

    if (!slice_has_prefix(name, SLICE_LITERAL("lq-")))
        return ERR_INVALID;
    rest = slice_make(name.data + 3, name.len - 3);
    if (!slice_cut(rest, '-', &epoch, &rest) || !slice_cut(rest, '-', &job, &number))
        return ERR_INVALID;
    if (job.len != JOB_CHARACTERS || !parse_decimal(epoch, &token.epoch))
        return ERR_INVALID;
    if (!parse_decimal(number, &value) || value > UINT32_MAX)
        return ERR_INVALID;
    token.number = (uint32_t)value;
    memcpy(job_text + 4, job.data, job.len);
    if (id_parse(slice_make(job_text, 4 + job.len), "job", &token.job.id) != ERR_OK)
        return ERR_INVALID;
    /* One name a token: refuse other spellings of the same id (capitals). */
    char again[ATTEMPT_NAME_MAX];
    attempt_name_format(&token, again);
    if (!slice_is(name, again))
        return ERR_INVALID;
    *out = token;
    return ERR_OK;
}

static enum err check_fields(const struct attempt_row *row, struct fault *fault)
{
    if (id_is_none(row->token.job.id) || row->token.number == 0)
        return fault_set(fault, ERR_CORRUPT, "token",
                         "invariant 1: an attempt has a job and a number from 1");
    if ((unsigned)row->state >= ATTEMPT_STATE_COUNT_)
        return fault_set(fault, ERR_CORRUPT, "state", "%u is no state", (unsigned)row->state);
    if ((unsigned)row->revoke >= REVOKE_REASON_COUNT_)
        return fault_set(fault, ERR_CORRUPT, "revoke", "%u is no reason", (unsigned)row->revoke);
    if ((unsigned)row->outcome >= OUTCOME_COUNT_)
        return fault_set(fault, ERR_CORRUPT, "outcome", "%u is no outcome", (unsigned)row->outcome);
    if ((unsigned)row->contact.policy >= CONTACT_COUNT_)
        return fault_set(fault, ERR_CORRUPT, "contact", "%u is no policy",
                         (unsigned)row->contact.policy);
    if (row->contact.policy == CONTACT_LEASE && row->contact.lease.ms <= 0)
        return fault_set(fault, ERR_CORRUPT, "contact", "policy lease needs a lease");
    if (row->nodes == 0 || row->nodes > JOB_NODES_MAX)
        return fault_set(fault, ERR_CORRUPT, "nodes", "1 to %d ranks, not %u", JOB_NODES_MAX,
                         row->nodes);
    if (row->variant >= JOB_VARIANTS_MAX)
        return fault_set(fault, ERR_CORRUPT, "variant", "%u is past the largest", row->variant);
    if (row->ask_per_hour.micros < 0 || row->ran.ms < 0)
        return fault_set(fault, ERR_CORRUPT, row->ran.ms < 0 ? "ran" : "ask_per_hour",
                         "must not be negative");
    if (row->version == 0)
        return fault_set(fault, ERR_CORRUPT, "version", "versions count from 1");
    return ERR_OK;
}

enum err attempt_row_check(const struct attempt_row *row, struct fault *fault)
{
    enum err err = check_fields(row, fault);

    if (err != ERR_OK)
        return err;
    if (row->state == ATTEMPT_NEVER && (row->started_at.us != 0 || row->ran.ms != 0))
        return fault_set(fault, ERR_CORRUPT, "state",
                         "invariant 2: what has run cannot become NEVER");
    if (row->state == ATTEMPT_OFFERED && row->started_at.us != 0)
        return fault_set(fault, ERR_CORRUPT, "state",
                         "invariant 2: what has started is not merely offered");
    if (row->state == ATTEMPT_EXPIRED && row->contact.policy != CONTACT_LEASE)
        return fault_set(fault, ERR_CORRUPT, "state",
                         "invariant 3: only policy lease ever expires");
    if (row->state == ATTEMPT_ENDED && row->outcome == OUTCOME_NONE)
        return fault_set(fault, ERR_CORRUPT, "outcome", "an ended attempt has an outcome");
    if (!attempt_state_is_final(row->state) &&
        (row->outcome != OUTCOME_NONE || row->ended_at.us != 0))
        return fault_set(fault, ERR_CORRUPT, "outcome",
                         "invariant 4: only a final state has an outcome and an end");
    return ERR_OK;
}
