/* Artifacts: effects that carry their attempt's token. What comes under a token that is not the
 * job's newest is kept, and refused. */
#include "base/assert.h"
#include "core/server_state.h"

/* Copies of checkpoints and outputs go on after the attempt has ended, so the newest token counts
 * even when its attempt is over, as long as no later one was given out. */
static bool token_is_newest(const struct server_core *core, const struct attempt_token *token,
                            const struct job_row *ended)
{
    const struct server_job *job = job_find(core, token->job);
    const struct job_row *row = job != NULL ? &job->row : ended;
    return row != NULL && id_is_equal(row->id.id, token->job.id) && row->attempt == token->number &&
           row->epoch == token->epoch;
}

static struct slice artifact_body(struct step *step, const struct artifact_row *row)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    json_begin_object(writer);
    json_put_id(writer, "id", row->id, ID_PREFIX_ARTIFACT);
    json_put_text(writer, "kind", artifact_kind_name(row->kind));
    json_put_u64(writer, "step", row->step);
    json_put_u64(writer, "size_bytes", row->size_bytes);
    json_end_object(writer);
    return step_json_end(step, &json);
}

static void artifact_event(struct step *step, const struct artifact_row *row)
{
    struct slice body = artifact_body(step, row);
    if (row->kind == ARTIFACT_WORKDIR)
        return; /* an upload for a job that is still to come */
    step_event(step, row->tenant,
               row->kind == ARTIFACT_CHECKPOINT ? "job.checkpoint" : "job.output",
               step_id(step, row->token.job.id, ID_PREFIX_JOB), body);
}

void server_artifact(struct step *step)
{
    struct server_core *core = step->core;
    struct artifact_row row = step->event->artifact;
    struct server_job *job = job_find(core, row.token.job);
    bool is_workdir = row.kind == ARTIFACT_WORKDIR;
    if (row.kind == ARTIFACT_CHECKPOINT)
        row.step = (uint64_t)row.token.number << 32 | (row.step & UINT32_MAX);
    row.is_stale = !is_workdir && core->rules->stale_effects_are_refused &&
                   !token_is_newest(core, &row.token, step->event->artifact_job);
    row.jurisdiction = arena_copy(&step->effects->arena, row.jurisdiction);
    row.manifest = arena_copy(&step->effects->arena, row.manifest);
    if (row.created_at.us == 0)
        row.created_at = step->now.wall;
    step_op(step, CHANGE_ARTIFACT_INSERT)->artifact = row;
    if (row.is_stale) {
        step_problem(step, API_CONFLICT, "stale_token",
                     "a later attempt of the job has been given out; this is kept, not used");
        return;
    }
    artifact_event(step, &row);
    if (row.kind == ARTIFACT_CHECKPOINT && job != NULL) {
        struct site_id site = {0};
        if (job->attempt != NULL)
            site = job->attempt->row.site;
        enum err err = job_checkpoint_set(core, job, &row, site, step->now);
        ASSERT(err == ERR_OK);
    }
    step_reply(step, API_CREATED, artifact_body(step, &row), 0);
}
