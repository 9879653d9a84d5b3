/* The recorded history of the network, in the lines of docs/formats/history.md: the nouns as they
 * stand, and the jobs with their attempts. What a job ran and with which content is left out; it
 * decides nothing. */
#include "base/assert.h"
#include "server/api.h"
#include "server/requests.h"
#include "wire/row.h"
#include "wire/spec.h"

enum { HISTORY_BYTES_MAX = 64 << 20, HISTORY_JOBS_MAX = 100 };

struct view {
    struct buffer out;
    struct json_writer writer;
    unsigned kind; /* into NOUNS */
    struct wall_us from, to;
};

static struct view *view_make(struct request *request)
{
    struct view *view = requests_alloc(request, sizeof(*view));
    if (view == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return NULL;
    }
    *view = (struct view){.to = {INT64_MAX}};
    request->extra = view;
    return view;
}

static void page_begin(struct view *view)
{
    buffer_init(&view->out, HISTORY_BYTES_MAX);
    json_writer_init(&view->writer, &view->out);
    json_begin_object(&view->writer);
    json_key(&view->writer, "items");
    json_begin_array(&view->writer);
}

static void page_end(struct request *request, const char *next)
{
    struct view *view = request->extra;
    json_end_array(&view->writer);
    json_key(&view->writer, "next");
    if (next != NULL)
        json_text(&view->writer, next);
    else
        json_null(&view->writer);
    json_end_object(&view->writer);
    enum err err = json_writer_finish(&view->writer);
    ASSERT(err == ERR_OK || buffer_status(&view->out) != ERR_OK);
    request_buffer(request, 200, &view->out);
}

/* ---- the nouns */

static const struct noun {
    const char *name;
    enum doc_kind kind;
} NOUNS[] = {{"policy", DOC_POLICY},
             {"region", DOC_REGION},
             {"site", DOC_SITE},
             {"link", DOC_LINK},
             {"tenant", DOC_TENANT}};
enum { NOUN_COUNT = sizeof(NOUNS) / sizeof(NOUNS[0]) };

static void on_docs(struct request *request, const struct store_answer *answer)
{
    struct view *view = request->extra;
    const struct noun *noun = &NOUNS[view->kind];
    const char *next = NULL;
    page_begin(view);
    for (size_t i = 0; i < answer->count; i++) {
        json_begin_object(&view->writer);
        json_put_text(&view->writer, "kind", noun->name);
        json_key(&view->writer, "value");
        json_raw(&view->writer, answer->docs[i].body);
        json_end_object(&view->writer);
    }
    if (answer->has_more && answer->count > 0)
        next = arena_printf(request_arena(request), "%s.%.*s", noun->name,
                            SLICE_ARG(answer->docs[answer->count - 1].id));
    else if (view->kind + 1 < NOUN_COUNT)
        next = arena_printf(request_arena(request), "%s.", NOUNS[view->kind + 1].name);
    page_end(request, next);
}

void api_history_network(struct request *request)
{
    static const char *const KNOWN[] = {"limit", "cursor"};
    struct store_query query = {.kind = STORE_DOC_LIST};
    struct slice cursor = request_query(request, "cursor"), name;
    uint64_t limit = PAGE_DEFAULT;
    struct view *view = view_make(request);
    if (view == NULL || !request_query_known(request, KNOWN, 2) ||
        !request_query_u64(request, "limit", 1, STORE_PAGE_MAX, &limit))
        return;
    if (cursor.len > 0) {
        view->kind = NOUN_COUNT;
        if (slice_cut(cursor, '.', &name, &query.doc_list.after))
            for (unsigned i = 0; i < NOUN_COUNT; i++)
                view->kind = slice_is(name, NOUNS[i].name) ? i : view->kind;
        if (view->kind == NOUN_COUNT) {
            request_problem(request, 400, "invalid", "the cursor is not one that this server gave");
            return;
        }
    }
    query.doc_list.kind = NOUNS[view->kind].kind;
    query.doc_list.limit = (uint32_t)limit;
    request_query_store(request, &query, on_docs);
}

/* ---- jobs */

/* What placement goes by; not what runs, on what, and under which name. */
static void put_spec(struct request *request, struct slice body)
{
    struct view *view = request->extra;
    struct job_spec spec;
    struct job_variant variants[JOB_VARIANTS_MAX];
    struct arena arena;
    arena_init(&arena, SPEC_ARENA_BYTES);
    json_key(&view->writer, "spec");
    if (spec_parse(body, &arena, &spec, NULL) != ERR_OK || spec.variant_count > JOB_VARIANTS_MAX) {
        json_null(&view->writer);
        arena_deinit(&arena);
        return;
    }
    struct job_spec shown;
    spec_defaults(&shown);
    shown.name = SLICE_LITERAL("job");
    shown.num_nodes = spec.num_nodes;
    shown.cpu_milli = spec.cpu_milli;
    shown.mem_bytes = spec.mem_bytes;
    shown.scratch_bytes = spec.scratch_bytes;
    shown.variants = variants;
    shown.variant_count = spec.variant_count;
    shown.placement = spec.placement;
    shown.priority = spec.priority;
    shown.time_limit = spec.time_limit;
    shown.expected = spec.expected;
    shown.deadline = spec.deadline;
    shown.budget = spec.budget;
    shown.checkpoint.grace = job_spec_default_grace(&shown);
    for (uint32_t v = 0; v < spec.variant_count; v++)
        variants[v] = (struct job_variant){.runtime = spec.variants[v].runtime,
                                           .accelerator = spec.variants[v].accelerator,
                                           .accelerators = spec.variants[v].accelerators,
                                           .image = spec.variants[v].image,
                                           .setup = SLICE_LITERAL(""),
                                           .run = SLICE_LITERAL("true")};
    spec_encode(&shown, &view->writer);
    arena_deinit(&arena);
}

static void put_job(struct request *request, const struct store_history *past)
{
    struct view *view = request->extra;
    struct json_writer *writer = &view->writer;
    const struct job_row *row = &past->row;
    json_begin_object(writer);
    json_put_text(writer, "kind", "job");
    json_put_id(writer, "id", row->id.id, ID_PREFIX_JOB);
    json_put_id(writer, "tenant", row->tenant.id, ID_PREFIX_TENANT);
    json_put_text(writer, "state", job_state_name(row->state));
    json_put_u64(writer, "index", row->array_index);
    json_put_wall(writer, "submitted_at", row->created_at);
    if (row->ended_at.us != 0)
        json_put_wall(writer, "ended_at", row->ended_at);
    put_spec(request, past->spec);
    json_key(writer, "attempts");
    json_begin_array(writer);
    for (uint32_t i = 0; i < past->attempt_count; i++)
        row_encode_attempt(&past->attempts[i].row, writer);
    json_end_array(writer);
    json_end_object(writer);
}

static void on_jobs(struct request *request, const struct store_answer *answer)
{
    char next[ID_TEXT_MAX];
    struct view *view = request->extra;
    page_begin(view);
    for (size_t i = 0; i < answer->count; i++)
        put_job(request, &answer->history[i]);
    if (answer->has_more)
        id_format(answer->next.job.id, ID_PREFIX_JOB, next);
    page_end(request, answer->has_more ? next : NULL);
}

void api_history_jobs(struct request *request)
{
    static const char *const KNOWN[] = {"from", "to", "limit", "cursor"};
    struct store_query query = {.kind = STORE_HISTORY_LIST};
    struct slice cursor = request_query(request, "cursor");
    uint64_t limit = HISTORY_JOBS_MAX;
    struct view *view = view_make(request);
    if (view == NULL || !request_query_known(request, KNOWN, 4) ||
        !request_query_time(request, "from", &view->from) ||
        !request_query_time(request, "to", &view->to) ||
        !request_query_u64(request, "limit", 1, STORE_PAGE_MAX, &limit))
        return;
    if (cursor.len > 0 && id_parse(cursor, ID_PREFIX_JOB, &query.history_list.after.id) != ERR_OK) {
        request_problem(request, 400, "invalid", "the cursor is not one that this server gave");
        return;
    }
    query.history_list.from = view->from;
    query.history_list.to = view->to;
    query.history_list.limit = (uint32_t)(limit < HISTORY_JOBS_MAX ? limit : HISTORY_JOBS_MAX);
    request_query_store(request, &query, on_jobs);
}
