/* Jobs: submit, look, explain, cancel, retry. */
#include <string.h>

#include "base/assert.h"
#include "core/failure_story.h"
#include "model/words.h"
#include "server/api.h"
#include "server/inputs.h"
#include "server/requests.h"
#include "wire/row.h"
#include "wire/spec.h"

enum { SUBMIT_JOBS_MAX = 1000, SUBMIT_ARENA_BYTES = 256 << 20, ANSWER_BYTES_MAX = 32 << 20 };

/* ---- submit */

struct submission {
    struct arena arena;
    const struct job_spec **specs;
    struct slice *bodies;
    size_t count;
};

static bool submission_add(struct request *request, struct submission *submission,
                           struct json_value value, struct fault *fault)
{
    struct job_spec *spec = arena_alloc(&submission->arena, sizeof(*spec));
    struct buffer body;
    if (spec == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for this request; try again") ==
               ERR_OK;
    if (spec_decode_with_catalogue(value, &request->server->catalogue, &submission->arena, spec,
                                   fault) != ERR_OK ||
        job_spec_check_uploaded(spec, fault) != ERR_OK ||
        inputs_resolve(request->server->directory, request->actor.tenant, &submission->arena, spec,
                       fault) != ERR_OK)
        return false;
    buffer_init(&body, SUBMIT_BODY_MAX);
    enum err err = spec_encode_bytes(spec, &body);
    submission->specs[submission->count] = spec;
    submission->bodies[submission->count] = arena_copy(&submission->arena, buffer_slice(&body));
    submission->count++;
    buffer_deinit(&body);
    return err == ERR_OK || fault_set(fault, err, NULL, "the job is too large") == ERR_OK;
}

/* One spec, or {"jobs": [spec, ...]}. */
static bool submission_read(struct request *request, struct submission *submission,
                            struct json_value root, struct fault *fault)
{
    static const char *const KEYS[] = {"jobs"};
    struct json_value jobs = json_object_get(root, "jobs");
    size_t count = 1;
    if (!json_is_missing(jobs)) {
        if (json_object_check_keys(root, KEYS, 1, fault) != ERR_OK ||
            json_to_array(jobs, SUBMIT_JOBS_MAX, &jobs, fault) != ERR_OK)
            return false;
        count = json_count(jobs);
        if (count == 0)
            return json_refuse(jobs, fault, ERR_INVALID, "must have at least one job") == ERR_OK;
    }
    submission->specs = arena_array(&submission->arena, count, sizeof(*submission->specs));
    submission->bodies = arena_array(&submission->arena, count, sizeof(*submission->bodies));
    if (submission->specs == NULL || submission->bodies == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for this request; try again") ==
               ERR_OK;
    if (json_is_missing(jobs))
        return submission_add(request, submission, root, fault);
    struct json_iterator it = json_iterate(jobs);
    while (json_next(&it))
        if (!submission_add(request, submission, it.value, fault))
            return false;
    return true;
}

/* ---- the folders that the jobs name must be there before a job is accepted */

struct named {
    struct id *ids;
    size_t count, at;
    void (*go_on)(struct request *request);
};

static void named_add(struct named *named, struct id id)
{
    for (size_t i = 0; i < named->count; i++)
        if (id_is_equal(named->ids[i], id))
            return;
    named->ids[named->count++] = id;
}

/* A dataset's folder was looked up when the dataset was made. */
static void named_list(const struct submission *submission, struct named *named)
{
    for (size_t i = 0; i < submission->count; i++) {
        const struct job_spec *spec = submission->specs[i];
        struct id id;
        if (spec->workdir.len > 0 && id_parse(spec->workdir, ID_PREFIX_ARTIFACT, &id) == ERR_OK)
            named_add(named, id);
        for (uint32_t k = 0; k < spec->input_count; k++)
            if (spec->inputs[k].dataset.len == 0)
                named_add(named, spec->inputs[k].artifact);
    }
}

static void named_ask(struct request *request);

static void on_named(struct request *request, const struct store_answer *answer)
{
    struct named *named = request->extra;
    char text[ID_TEXT_MAX];
    if (answer != NULL && answer->count > 0 &&
        id_is_equal(answer->artifacts[0].tenant.id, request->actor.tenant.id)) {
        named->at++;
        named_ask(request);
        return;
    }
    id_format(named->ids[named->at], ID_PREFIX_ARTIFACT, text);
    request_problem(request, 422, "invalid",
                    "the job's tenant has no artifact %s; lq submit uploads folders", text);
}

static void named_ask(struct request *request)
{
    struct named *named = request->extra;
    struct store_query query = {.kind = STORE_ARTIFACT_GET};
    if (named->at == named->count) {
        named->go_on(request);
        return;
    }
    query.artifact_get.id = named->ids[named->at];
    request_query_maybe(request, &query, on_named);
}

/* What is read is read again afterwards: it does not outlive this call. */
static void named_check(struct request *request, const struct submission *submission,
                        void (*go_on)(struct request *request))
{
    struct named *named = requests_alloc(request, sizeof(*named));
    size_t most = 1;
    for (size_t i = 0; i < submission->count; i++)
        most += submission->specs[i]->input_count + 1;
    if (named != NULL)
        *named = (struct named){.ids = requests_alloc(request, most * sizeof(struct id)),
                                .go_on = go_on};
    if (named == NULL || named->ids == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    named_list(submission, named);
    request->extra = named;
    named_ask(request);
}

static bool names_folders(const struct submission *submission)
{
    for (size_t i = 0; i < submission->count; i++)
        if (submission->specs[i]->workdir.len > 0 || submission->specs[i]->input_count > 0)
            return true;
    return false;
}

/* Reads the submission and hands it to `use`: at once, or when its folders have been looked up. */
static void with_submission(struct request *request, const struct json_limits *limits,
                            void (*again)(struct request *request),
                            void (*use)(struct request *request, struct submission *submission))
{
    struct submission submission = {0};
    struct fault fault = {0};
    struct json_value root;
    if (!request_body(request, limits, &root))
        return;
    arena_init(&submission.arena, SUBMIT_ARENA_BYTES);
    if (!submission_read(request, &submission, root, &fault))
        request_fault(request, &fault);
    else if (request->extra == NULL && names_folders(&submission))
        named_check(request, &submission, again);
    else
        use(request, &submission);
    arena_deinit(&submission.arena);
}

static void submit(struct request *request, struct submission *submission)
{
    struct server_event event = {.kind = SERVER_SUBMIT};
    event.submit.specs = submission->specs;
    event.submit.bodies = submission->bodies;
    event.submit.count = submission->count;
    event.submit.tenant = request->actor.tenant;
    request->server->counters.submitted += submission->count;
    request_step(request, &event);
}

void api_jobs_submit(struct request *request)
{
    with_submission(request, &JSON_LIMITS_FILE, api_jobs_submit, submit);
}

static void dry_run(struct request *request, struct submission *submission)
{
    struct fault fault = {0};
    struct buffer out;
    struct server_core *core = core_host_core(request->server->host);
    if (core == NULL) {
        request_problem(request, 503, "busy", "the server is loading; try again in a second");
        return;
    }
    if (submission->count != 1) {
        request_problem(request, 422, "invalid", "a dry run takes one job");
        return;
    }
    buffer_init(&out, ANSWER_BYTES_MAX);
    if (server_core_dry_run(core, submission->specs[0], request->actor.tenant,
                            loop_now(request->server->loop), &out, &fault) != ERR_OK)
        request_fault(request, &fault);
    else
        request_json(request, 200, buffer_slice(&out));
    buffer_deinit(&out);
}

void api_jobs_dry_run(struct request *request)
{
    with_submission(request, &JSON_LIMITS_REQUEST, api_jobs_dry_run, dry_run);
}

/* ---- list */

static void on_list(struct request *request, const struct store_answer *answer)
{
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, ANSWER_BYTES_MAX);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "items");
    json_begin_array(&writer);
    for (size_t i = 0; i < answer->count; i++) {
        json_begin_object(&writer);
        json_put_string(&writer, "name", answer->jobs[i].name);
        row_put_job(&answer->jobs[i].row, &writer);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    if (answer->has_more)
        json_put_id(&writer, "next", answer->next.job.id, ID_PREFIX_JOB);
    else
        json_put_null(&writer, "next");
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(&out) != ERR_OK);
    request_buffer(request, 200, &out);
}

/* "pending,active" as bits. */
static bool states_parse(struct request *request, struct slice text, uint32_t *out_states)
{
    struct slice one;
    while (text.len > 0) {
        enum job_state state;
        if (!slice_cut(text, ',', &one, &text)) {
            one = text;
            text = (struct slice){0};
        }
        if (job_state_parse(one, &state) != ERR_OK) {
            request_problem(request, 400, "invalid",
                            "\"%.*s\" is no state: pending, active, succeeded, failed, cancelled",
                            SLICE_ARG(one));
            return false;
        }
        *out_states |= UINT32_C(1) << state;
    }
    return true;
}

void api_jobs_list(struct request *request)
{
    static const char *const KNOWN[] = {"state", "tenant", "name", "limit", "cursor"};
    struct store_query query = {.kind = STORE_JOB_LIST};
    uint64_t limit = PAGE_DEFAULT;
    struct slice cursor = request_query(request, "cursor");
    if (!request_query_known(request, KNOWN, 5) ||
        !request_query_u64(request, "limit", 1, STORE_PAGE_MAX, &limit) ||
        !states_parse(request, request_query(request, "state"), &query.job_list.states) ||
        !request_tenants(request, &query.job_list.tenants))
        return;
    if (cursor.len > 0 && id_parse(cursor, ID_PREFIX_JOB, &query.job_list.before.id) != ERR_OK) {
        request_problem(request, 400, "invalid", "the cursor is not one that this server gave");
        return;
    }
    query.job_list.name = request_query(request, "name");
    query.job_list.limit = (uint32_t)limit;
    request_query_store(request, &query, on_list);
}

/* ---- one job: the row, then its spec, attempts, usage, newest checkpoint */

struct job_view {
    struct buffer out;
    struct json_writer writer;
    struct slice spec; /* as the store has it; in the request's memory */
};

static void view_closed(struct request *request)
{
    struct job_view *view = request->extra;
    buffer_deinit(&view->out);
}

static void on_view_checkpoint(struct request *request, const struct store_answer *answer)
{
    struct job_view *view = request->extra;
    json_key(&view->writer, "checkpoint");
    if (answer == NULL || answer->count == 0)
        json_null(&view->writer);
    else
        row_encode_artifact(&answer->artifacts[0], &view->writer);
    json_end_object(&view->writer);
    if (json_writer_finish(&view->writer) != ERR_OK)
        request_problem(request, 500, "limit", "the answer is too long");
    else
        request_json_etag(request, 200, buffer_slice(&view->out), request->job.version);
}

static void on_view_usage(struct request *request, const struct store_answer *answer)
{
    struct job_view *view = request->extra;
    struct usage_quantities sum = {0};
    if (answer->count > 0)
        sum = answer->sums[0].quantities;
    json_key(&view->writer, "usage");
    json_begin_object(&view->writer);
    json_put_i64(&view->writer, "wall_ms", sum.wall_ms);
    json_put_i64(&view->writer, "cpu_ms", sum.cpu_ms);
    json_put_i64(&view->writer, "cpu_held_ms", sum.cpu_held_ms);
    json_put_i64(&view->writer, "accel_ms", sum.accel_ms);
    json_put_i64(&view->writer, "mem_mib_ms", sum.mem_mib_ms);
    json_put_i64(&view->writer, "gate_wait_ms", sum.gate_wait_ms);
    json_put_i64(&view->writer, "kill_wait_ms", sum.kill_wait_ms);
    json_end_object(&view->writer);
    struct store_query query = {.kind = STORE_CHECKPOINT_NEWEST};
    query.checkpoint_newest.job = request->job.id;
    request_query_maybe(request, &query, on_view_checkpoint);
}

/* What the newest attempt that has ended means, as the server's own core would say it. */
static void view_failure(struct request *request, const struct store_answer *answer)
{
    struct job_view *view = request->extra;
    struct arena arena;
    struct job_spec spec;
    struct failure_story story = {.row = &request->job, .spec = &spec, .last = FAILURE_NONE};
    arena_init(&arena, SPEC_ARENA_BYTES);
    for (size_t i = 0; i < answer->count; i++) {
        const struct attempt_row *row = &answer->attempts[i].row;
        if (!attempt_state_is_final(row->state))
            continue;
        const struct site *site = directory_site_by_id(request->server->directory, row->site);
        story.last = attempt_failure(row);
        story.site = site == NULL ? (struct slice){0} : site->name;
    }
    if (spec_parse(view->spec, &arena, &spec, NULL) != ERR_OK)
        story.last = FAILURE_NONE;
    json_key(&view->writer, "failure");
    failure_story_write(&view->writer, &story);
    arena_deinit(&arena);
}

static void on_view_attempts(struct request *request, const struct store_answer *answer)
{
    struct job_view *view = request->extra;
    json_key(&view->writer, "attempts");
    json_begin_array(&view->writer);
    for (size_t i = 0; i < answer->count; i++) {
        const struct site *site =
            directory_site_by_id(request->server->directory, answer->attempts[i].row.site);
        json_begin_object(&view->writer);
        row_put_attempt(&answer->attempts[i].row, &view->writer);
        if (site != NULL)
            json_put_string(&view->writer, "site_name", site->name);
        json_end_object(&view->writer);
    }
    json_end_array(&view->writer);
    view_failure(request, answer);
    struct store_query query = {.kind = STORE_USAGE_SUM};
    query.usage_sum.tenants.is_all = true; /* the job's ownership has been judged */
    query.usage_sum.job = request->job.id;
    query.usage_sum.group = USAGE_BY_JOB;
    query.usage_sum.limit = 1;
    request_query_store(request, &query, on_view_usage);
}

static void on_view_spec(struct request *request, const struct store_answer *answer)
{
    struct job_view *view = request->extra;
    json_begin_object(&view->writer);
    json_put_string(&view->writer, "name", request->job_name);
    row_put_job(&request->job, &view->writer);
    json_key(&view->writer, "spec");
    json_raw(&view->writer, answer->spec);
    view->spec = arena_copy(request_arena(request), answer->spec);
    struct store_query query = {.kind = STORE_ATTEMPT_LIST};
    query.attempt_list.job = request->job.id;
    request_query_store(request, &query, on_view_attempts);
}

void api_job_show(struct request *request)
{
    struct job_view *view = requests_alloc(request, sizeof(*view));
    if (view == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    buffer_init(&view->out, ANSWER_BYTES_MAX);
    json_writer_init(&view->writer, &view->out);
    request->extra = view;
    request->on_closed = view_closed;
    struct store_query query = {.kind = STORE_SPEC_GET};
    query.spec_get.id = request->job.spec;
    request_query_store(request, &query, on_view_spec);
}

void api_job_explain(struct request *request)
{
    struct buffer out;
    struct server_core *core = core_host_core(request->server->host);
    if (core == NULL) {
        request_problem(request, 503, "busy", "the server is loading; try again in a second");
        return;
    }
    buffer_init(&out, ANSWER_BYTES_MAX);
    enum err err =
        server_core_explain(core, request->job.id, loop_now(request->server->loop), &out);
    if (err == ERR_NOT_FOUND) {
        buffer_deinit(&out);
        request_problem(request, 409, "ended",
                        "the job is %s: there is nothing left to place; see its attempts",
                        job_state_name(request->job.state));
        return;
    }
    request_buffer(request, 200, &out);
}

/* ---- cancel, retry */

void api_job_cancel(struct request *request)
{
    struct server_event event = {.kind = SERVER_CANCEL};
    event.job.job = request->job.id;
    if (!request_if_match(request, &event.job.expect_version))
        return;
    if (job_state_is_final(request->job.state)) {
        request_problem(request, 409, "ended", "the job is %s already",
                        job_state_name(request->job.state));
        return;
    }
    request_step(request, &event);
}

struct retry {
    struct slice spec;
    struct attempt_row *attempts;
    size_t attempt_count;
};

static void on_retry_checkpoint(struct request *request, const struct store_answer *answer)
{
    struct retry *retry = request->extra;
    struct server_event event = {.kind = SERVER_RETRY};
    event.retry.row = request->job;
    event.retry.spec = retry->spec;
    event.retry.attempts = retry->attempts;
    event.retry.attempt_count = retry->attempt_count;
    event.retry.checkpoint = answer == NULL || answer->count == 0 ? NULL : &answer->artifacts[0];
    if (request_if_match(request, &event.retry.expect_version))
        request_step(request, &event);
}

static void on_retry_attempts(struct request *request, const struct store_answer *answer)
{
    struct retry *retry = request->extra;
    retry->attempts = requests_alloc(request, (answer->count + 1) * sizeof(*retry->attempts));
    if (retry->attempts == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    for (size_t i = 0; i < answer->count; i++)
        retry->attempts[i] = answer->attempts[i].row;
    retry->attempt_count = answer->count;
    struct store_query query = {.kind = STORE_CHECKPOINT_NEWEST};
    query.checkpoint_newest.job = request->job.id;
    request_query_maybe(request, &query, on_retry_checkpoint);
}

static void on_retry_spec(struct request *request, const struct store_answer *answer)
{
    struct retry *retry = requests_alloc(request, sizeof(*retry));
    char *body = requests_alloc(request, answer->spec.len + 1);
    if (retry == NULL || body == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    memcpy(body, answer->spec.data, answer->spec.len);
    retry->spec = (struct slice){body, answer->spec.len};
    request->extra = retry;
    struct store_query query = {.kind = STORE_ATTEMPT_LIST};
    query.attempt_list.job = request->job.id;
    request_query_store(request, &query, on_retry_attempts);
}

void api_job_retry(struct request *request)
{
    if (request->job.state != JOB_FAILED && request->job.state != JOB_CANCELLED) {
        request_problem(request, 409, "not_ended",
                        "only a failed or cancelled job can be retried; this one is %s",
                        job_state_name(request->job.state));
        return;
    }
    struct store_query query = {.kind = STORE_SPEC_GET};
    query.spec_get.id = request->job.spec;
    request_query_store(request, &query, on_retry_spec);
}
