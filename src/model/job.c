#include "model/job.h"

#include "model/attempt.h"

bool text_list_has(const struct text_list *list, struct slice text)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (slice_is_equal(list->items[i], text))
            return true;
    return false;
}

bool job_state_is_final(enum job_state state)
{
    return state == JOB_SUCCEEDED || state == JOB_FAILED || state == JOB_CANCELLED;
}

#define TO(state) (1u << (state))

/* FAILED and CANCELLED go back to PENDING only by an explicit retry; SUCCEEDED never does. */
static const unsigned JOB_MOVES[JOB_STATE_COUNT_] = {
    [JOB_PENDING] = TO(JOB_ACTIVE) | TO(JOB_FAILED) | TO(JOB_CANCELLED),
    [JOB_ACTIVE] = TO(JOB_PENDING) | TO(JOB_SUCCEEDED) | TO(JOB_FAILED) | TO(JOB_CANCELLED),
    [JOB_SUCCEEDED] = 0,
    [JOB_FAILED] = TO(JOB_PENDING),
    [JOB_CANCELLED] = TO(JOB_PENDING),
};

bool job_can_move(enum job_state from, enum job_state to)
{
    if ((unsigned)from >= JOB_STATE_COUNT_ || (unsigned)to >= JOB_STATE_COUNT_)
        return false;
    return (JOB_MOVES[from] & TO(to)) != 0;
}

static enum err job_row_check_ids(const struct job_row *row, struct fault *fault)
{
    if (id_is_none(row->id.id))
        return fault_set(fault, ERR_CORRUPT, "id", "a job has an id");
    if (id_is_none(row->spec.id))
        return fault_set(fault, ERR_CORRUPT, "spec", "a job has a spec");
    if (id_is_none(row->tenant.id))
        return fault_set(fault, ERR_CORRUPT, "tenant", "a job has a tenant");
    if (row->array_index >= JOB_ARRAY_MAX)
        return fault_set(fault, ERR_CORRUPT, "array_index", "%u is past the largest array",
                         row->array_index);
    if (row->version == 0)
        return fault_set(fault, ERR_CORRUPT, "version", "versions count from 1");
    return ERR_OK;
}

enum err job_row_check(const struct job_row *row, struct fault *fault)
{
    enum err err = job_row_check_ids(row, fault);
    bool is_final;

    if (err != ERR_OK)
        return err;
    if ((unsigned)row->state >= JOB_STATE_COUNT_)
        return fault_set(fault, ERR_CORRUPT, "state", "%u is no state", (unsigned)row->state);
    if (row->outcome >= OUTCOME_COUNT_)
        return fault_set(fault, ERR_CORRUPT, "outcome", "%u is no outcome", row->outcome);
    is_final = job_state_is_final(row->state);
    if ((row->state == JOB_ACTIVE || row->state == JOB_SUCCEEDED) && row->attempt == 0)
        return fault_set(fault, ERR_CORRUPT, "attempt",
                         "invariant 1: an active or succeeded job has an attempt");
    if (row->state == JOB_SUCCEEDED && row->outcome != OUTCOME_SUCCEEDED)
        return fault_set(fault, ERR_CORRUPT, "outcome",
                         "invariant 1: a succeeded job's last attempt succeeded");
    if (row->attempt > 0 && row->epoch < row->created_epoch)
        return fault_set(fault, ERR_CORRUPT, "epoch",
                         "invariant 2: attempt %u is of an epoch before the job's", row->attempt);
    if (!is_final && row->ended_at.us != 0)
        return fault_set(fault, ERR_CORRUPT, "ended_at",
                         "invariant 3: only a final state has an end");
    if (is_final && row->cancel_requested)
        return fault_set(fault, ERR_CORRUPT, "cancel_requested",
                         "invariant 4: a job that ended cannot be asked to stop");
    return ERR_OK;
}
