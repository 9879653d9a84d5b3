/* What people ask of jobs: submit, cancel, retry. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

/* ---- submit: all or nothing */

struct submission {
    struct server_tenant *tenant;
    uint64_t total; /* jobs */
    bool is_plain;  /* one spec, no array: the answer shows the job */
};

/* What one spec must satisfy beyond its own rules. ERR_OK, or a fault and the status for it. */
static enum err spec_admit(struct step *step, const struct job_spec *spec, struct tenant_id tenant,
                           enum api_status *out_status, struct fault *fault)
{
    struct server_core *core = step->core;
    struct place_job job = {.spec = spec, .tenant = tenant, .created_at = step->now.wall};
    *out_status = API_UNPROCESSABLE;
    if (spec->contact == CONTACT_LEASE && spec->lease.ms != 0 &&
        spec->lease.ms < core->settings.lease_floor.ms) {
        char floor[TIME_TEXT_MAX];
        span_format(core->settings.lease_floor, floor);
        return fault_set(fault, ERR_INVALID, "lease", "must be at least %s here", floor);
    }
    return placer_check(core->placer, &job, fault);
}

static void problem_of_spec(struct step *step, enum api_status status, struct fault *fault,
                            size_t index, size_t count)
{
    char prefix[32];
    if (count > 1) {
        struct slice text = step_printf(step, "jobs[%zu]", index);
        memcpy(prefix, text.data, text.len < sizeof(prefix) ? text.len + 1 : sizeof(prefix));
        prefix[sizeof(prefix) - 1] = '\0';
        fault_prefix(fault, prefix);
    }
    step_problem_fault(step, status, fault);
}

/* False: over a quota, and answered. */
static bool quota_check(struct step *step, const struct submission *submission)
{
    for (const struct server_tenant *at = submission->tenant; at != NULL; at = at->parent) {
        struct maybe_u64 most = at->value.quota.jobs_pending_max;
        if (!most.has || at->pending + submission->total <= most.value)
            continue;
        step_problem(step, API_BUSY, "quota",
                     "tenant %.*s may have %llu pending jobs, has %llu, and %llu more were asked",
                     SLICE_ARG(at->value.name), (unsigned long long)most.value,
                     (unsigned long long)at->pending, (unsigned long long)submission->total);
        return false;
    }
    return true;
}

static bool submission_check(struct step *step, struct submission *out)
{
    struct server_core *core = step->core;
    size_t count = step->event->submit.count;
    const struct job_spec *const *specs = step->event->submit.specs;
    *out = (struct submission){.tenant = tenant_find(core, step->event->submit.tenant)};
    if (out->tenant == NULL) {
        step_problem(step, API_UNPROCESSABLE, "not_found", "there is no such tenant");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        out->total += specs[i]->array_count;
    out->is_plain = count == 1 && specs[0]->array_count == 1;
    if (out->total == 0 || out->total > SERVER_SUBMIT_MAX || count > SERVER_SUBMIT_SPECS_MAX) {
        step_problem(step, API_UNPROCESSABLE, "limit",
                     "one request brings 1 to %d jobs of at most %d specs", SERVER_SUBMIT_MAX,
                     SERVER_SUBMIT_SPECS_MAX);
        return false;
    }
    if (idmap_count(&core->jobs) + out->total > core->settings.jobs_live_max) {
        step_problem(step, API_BUSY, "limit", "the network holds %zu unfinished jobs, at most %u",
                     idmap_count(&core->jobs), core->settings.jobs_live_max);
        return false;
    }
    if (!quota_check(step, out))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct fault fault = {0};
        enum api_status status;
        if (spec_admit(step, specs[i], step->event->submit.tenant, &status, &fault) == ERR_OK)
            continue;
        problem_of_spec(step, status, &fault, i, count);
        return false;
    }
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    return id_compare(*(const struct id *)a, *(const struct id *)b);
}

/* Ids of one request in ascending order, so that lists show its jobs in the order they came. */
static struct id *ids_make(struct step *step, uint64_t total)
{
    struct id *ids = arena_array(&step->effects->arena, total, sizeof(*ids));
    ASSERT(ids != NULL);
    for (uint64_t i = 0; i < total; i++)
        ids[i] = id_make(step->now.wall.us / 1000, &step->core->random);
    qsort(ids, total, sizeof(*ids), compare_ids); /* no two are equal */
    return ids;
}

static struct server_job *job_submit(struct step *step, const struct submission *submission,
                                     struct server_spec *spec, struct id id, uint32_t array_index)
{
    struct server_core *core = step->core;
    const struct server_principal *principal = step->event->principal;
    struct job_row row = {.spec = spec->id,
                          .tenant = submission->tenant->id,
                          .state = JOB_PENDING,
                          .array_index = array_index,
                          .created_epoch = core->db_epoch,
                          .created_at = step->now.wall,
                          .exit_code = -1,
                          .version = 1};
    row.id.id = id;
    if (principal != NULL)
        row.user = principal->user;
    struct server_job *job = job_add(core, &row, spec, submission->tenant);
    ASSERT(job != NULL);
    struct change_op *op = step_op(step, CHANGE_JOB_INSERT);
    op->job.row = row;
    op->job.expect_state = JOB_PENDING;
    job_event(step, job);
    job_enqueue(core, job, step->now);
    return job;
}

static void spec_submit(struct step *step, const struct submission *submission, size_t index,
                        const struct id *ids)
{
    struct server_core *core = step->core;
    const struct job_spec *asked = step->event->submit.specs[index];
    struct spec_id id = {id_make(step->now.wall.us / 1000, &core->random)};
    struct server_spec *spec = server_spec_make(id, asked);
    enum err err = spec == NULL ? ERR_NO_MEMORY : idmap_add(&core->specs, id.id, spec);
    ASSERT(err == ERR_OK);
    struct change_op *op = step_op(step, CHANGE_SPEC_INSERT);
    op->spec.id = id;
    op->spec.body = arena_copy(&step->effects->arena, step->event->submit.bodies[index]);
    ASSERT(op->spec.body.data != NULL);
    for (uint32_t i = 0; i < asked->array_count; i++)
        (void)job_submit(step, submission, spec, ids[i], i);
}

/* One plain job: {"jobs":[{row}]}; else {"jobs":["job_...",...],"count":n}. */
static struct slice submit_body(struct step *step, const struct submission *submission,
                                const struct id *ids)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    json_begin_object(writer);
    json_key(writer, "jobs");
    json_begin_array(writer);
    if (submission->is_plain) {
        const struct server_job *job = job_find(step->core, (struct job_id){ids[0]});
        row_encode_job(&job->row, writer);
    }
    for (uint64_t i = 0; !submission->is_plain && i < submission->total; i++)
        json_id(writer, ids[i], ID_PREFIX_JOB);
    json_end_array(writer);
    if (!submission->is_plain)
        json_put_u64(writer, "count", submission->total);
    json_end_object(writer);
    return step_json_end(step, &json);
}

void server_submit(struct step *step)
{
    struct submission submission;
    size_t count = step->event->submit.count;
    uint64_t done = 0;
    if (!submission_check(step, &submission))
        return;
    step_reserve(step, submission.total * 2 + count + 4);
    struct id *ids = ids_make(step, submission.total);
    for (size_t i = 0; i < count; i++) {
        spec_submit(step, &submission, i, ids + done);
        done += step->event->submit.specs[i]->array_count;
    }
    step_audit(step, (struct slice){0}, step_id(step, submission.tenant->id.id, ID_PREFIX_TENANT),
               "job.submit", step_id(step, ids[0], ID_PREFIX_JOB),
               step_printf(step, "{\"jobs\":%llu}", (unsigned long long)submission.total));
    step_reply(step, API_CREATED, submit_body(step, &submission, ids), submission.is_plain ? 1 : 0);
}

/* ---- cancel and retry */

static void job_audit(struct step *step, const struct job_row *row, const char *action)
{
    step_audit(step, (struct slice){0}, step_id(step, row->tenant.id, ID_PREFIX_TENANT), action,
               step_id(step, row->id.id, ID_PREFIX_JOB), SLICE_LITERAL("{}"));
}

static void reply_job(struct step *step, enum api_status status, const struct job_row *row)
{
    struct step_json json;
    row_encode_job(row, step_json_begin(&json));
    step_reply(step, status, step_json_end(step, &json), row->version);
}

static bool version_check(struct step *step, uint64_t expect, uint64_t version)
{
    if (expect == 0 || expect == version)
        return true;
    step_problem(step, API_PRECONDITION, "stale",
                 "the job's version is %llu now; read it again, then retry",
                 (unsigned long long)version);
    return false;
}

static void cancel_pending(struct step *step, struct server_job *job)
{
    job_dequeue(step->core, job);
    job_move(step, job, JOB_CANCELLED);
    job_save(step, job, JOB_PENDING, job->row.attempt);
    job_event(step, job);
    reply_job(step, API_OK, &job->row);
    job_retire(step, job);
}

/* Its site ends the attempt; the job is CANCELLED when that is certain. */
static void cancel_active(struct step *step, struct server_job *job)
{
    if (!job->row.cancel_requested) {
        job->row.cancel_requested = true;
        job_save(step, job, JOB_ACTIVE, job->row.attempt);
        step_event(step, job->row.tenant, "job.cancelling",
                   step_id(step, job->row.id.id, ID_PREFIX_JOB), SLICE_LITERAL("{}"));
    }
    reply_job(step, API_ACCEPTED, &job->row);
    attempt_revoke(step, job->attempt, REVOKE_CANCELLED);
}

void server_cancel(struct step *step)
{
    struct server_job *job = job_find(step->core, step->event->job.job);
    if (job == NULL) {
        step_problem(step, API_MISSING, "not_found", "there is no unfinished job of that id");
        return;
    }
    if (!version_check(step, step->event->job.expect_version, job->row.version))
        return;
    job_audit(step, &job->row, "job.cancel");
    if (job->row.state == JOB_PENDING)
        cancel_pending(step, job);
    else
        cancel_active(step, job);
}

/* False: refused, and answered. */
static bool retry_check(struct step *step, const struct job_row *row)
{
    struct server_core *core = step->core;
    const struct server_recent *recent = idmap_get(&core->recent, row->id.id);
    if (!version_check(step, step->event->retry.expect_version, row->version))
        return false;
    if (job_find(core, row->id) != NULL || !job_can_move(row->state, JOB_PENDING) ||
        !job_state_is_final(row->state)) {
        step_problem(step, API_CONFLICT, "state", "only a failed or cancelled job can be retried");
        return false;
    }
    if (recent != NULL && recent->version != row->version) {
        step_problem(step, API_CONFLICT, "stale", "the job has just changed; ask again");
        return false;
    }
    if (idmap_count(&core->jobs) >= core->settings.jobs_live_max) {
        step_problem(step, API_BUSY, "limit", "the network holds %zu unfinished jobs, at most %u",
                     idmap_count(&core->jobs), core->settings.jobs_live_max);
        return false;
    }
    if (row->attempt >= SERVER_JOB_ATTEMPTS_MAX) {
        step_problem(step, API_CONFLICT, "limit", "a job has at most %d attempts",
                     SERVER_JOB_ATTEMPTS_MAX);
        return false;
    }
    return true;
}

static struct server_spec *retry_spec(struct step *step, const struct job_row *row,
                                      struct fault *fault)
{
    struct server_core *core = step->core;
    struct server_spec *spec = idmap_get(&core->specs, row->spec.id);
    if (spec == NULL &&
        server_core_load_spec(core, row->spec, step->event->retry.spec, fault) == ERR_OK)
        spec = idmap_get(&core->specs, row->spec.id);
    return spec;
}

void server_retry(struct step *step)
{
    struct server_core *core = step->core;
    struct job_row row = step->event->retry.row;
    const struct artifact_row *checkpoint = step->event->retry.checkpoint;
    struct fault fault = {0};
    struct submission submission = {.tenant = tenant_find(core, row.tenant), .total = 1};
    if (!retry_check(step, &row))
        return;
    if (submission.tenant == NULL) {
        step_problem(step, API_UNPROCESSABLE, "not_found", "the job's tenant is gone");
        return;
    }
    if (!quota_check(step, &submission))
        return;
    struct server_spec *spec = retry_spec(step, &row, &fault);
    if (spec == NULL) {
        step_problem_fault(step, API_UNPROCESSABLE, &fault);
        return;
    }
    enum job_state from = row.state;
    ASSERT(job_can_move(from, JOB_PENDING));
    row.state = JOB_PENDING;
    row.cancel_requested = false;
    row.program_failures = row.infra_failures = 0;
    memset(row.failures, 0, sizeof(row.failures));
    row.ended_at = (struct wall_us){0};
    struct server_job *job = job_add(core, &row, spec, submission.tenant);
    ASSERT(job != NULL);
    job->gate_at = boot_add(step->now.boot, lease_wait(core, lease_of(core, &spec->spec)));
    for (size_t i = 0; i < step->event->retry.attempt_count; i++)
        job_spend(job, &step->event->retry.attempts[i]);
    if (checkpoint != NULL && !checkpoint->is_stale) {
        enum err err = job_checkpoint_set(core, job, checkpoint, (struct site_id){0}, step->now);
        ASSERT(err == ERR_OK);
    }
    job_save(step, job, from, row.attempt);
    job_event(step, job);
    job_audit(step, &job->row, "job.retry");
    job_enqueue(core, job, step->now);
    reply_job(step, API_OK, &job->row);
}
