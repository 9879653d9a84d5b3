/* Sites, regions, links, policy, catalogue. */
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/docs.h"
#include "server/requests.h"
#include "wire/row.h"

enum { NETWORK_BYTES_MAX = 64 << 20, REASON_MAX = 512 };

/* ---- sites: the live view comes from the core */

static void sites_view(struct request *request, struct site_id site)
{
    struct buffer out;
    struct server_core *core = core_host_core(request->server->host);
    if (core == NULL) {
        request_problem(request, 503, "busy", "the server is loading; try again in a second");
        return;
    }
    buffer_init(&out, NETWORK_BYTES_MAX);
    bool is_list = id_is_none(site.id);
    if (is_list)
        buffer_append_text(&out, "{\"items\":");
    enum err err = server_core_sites(core, site, loop_now(request->server->loop), &out);
    if (is_list)
        buffer_append_text(&out, ",\"next\":null}");
    if (err == ERR_NOT_FOUND) {
        buffer_deinit(&out);
        request_problem(request, 404, "not_found", "there is no such site");
        return;
    }
    request_buffer(request, 200, &out);
}

void api_sites_list(struct request *request)
{
    static const char *const KNOWN[] = {"limit", "cursor"};
    if (request_query_known(request, KNOWN, 2))
        sites_view(request, (struct site_id){0});
}

static const struct site *named_site(struct request *request)
{
    const struct site *site = directory_site(request->server->directory, request->params[0]);
    if (site == NULL)
        request_problem(request, 404, "not_found", "there is no site \"%.*s\"",
                        SLICE_ARG(request->params[0]));
    return site;
}

void api_site_show(struct request *request)
{
    const struct site *site = named_site(request);
    if (site != NULL)
        sites_view(request, site->id);
}

/* Attempts are what an operator sees of the work at a site: ids, states and times; no names, no
 * spec, no output. */
static void on_attempts(struct request *request, const struct store_answer *answer)
{
    char next[ID_TEXT_MAX];
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, NETWORK_BYTES_MAX);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "items");
    json_begin_array(&writer);
    for (size_t i = 0; i < answer->count; i++)
        row_encode_attempt(&answer->attempts[i].row, &writer);
    json_end_array(&writer);
    json_key(&writer, "next");
    if (answer->has_more) {
        id_format(answer->next.attempt.job.id, ID_PREFIX_JOB, next);
        json_text(&writer,
                  arena_printf(request_arena(request), "%s.%u", next, answer->next.attempt.number));
    } else {
        json_null(&writer);
    }
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(&out) != ERR_OK);
    request_buffer(request, 200, &out);
}

/* "offered,running" as bits. */
static bool attempt_states(struct request *request, struct slice text, uint32_t *out_states)
{
    struct slice one;
    while (text.len > 0) {
        enum attempt_state state;
        if (!slice_cut(text, ',', &one, &text)) {
            one = text;
            text = (struct slice){0};
        }
        if (attempt_state_parse(one, &state) != ERR_OK) {
            request_problem(request, 400, "invalid",
                            "\"%.*s\" is no state of an attempt: offered, running, unknown, ended, "
                            "never, expired, destroyed",
                            SLICE_ARG(one));
            return false;
        }
        *out_states |= UINT32_C(1) << state;
    }
    return true;
}

void api_site_attempts(struct request *request)
{
    static const char *const KNOWN[] = {"state", "limit", "cursor"};
    struct store_query query = {.kind = STORE_ATTEMPT_AT};
    struct slice cursor = request_query(request, "cursor"), job, number;
    uint64_t limit = PAGE_DEFAULT, after = 0;
    const struct site *site = named_site(request);
    if (site == NULL || !request_query_known(request, KNOWN, 3) ||
        !request_query_u64(request, "limit", 1, STORE_PAGE_MAX, &limit) ||
        !attempt_states(request, request_query(request, "state"), &query.attempt_at.states))
        return;
    if (cursor.len > 0 && (!slice_cut(cursor, '.', &job, &number) ||
                           id_parse(job, ID_PREFIX_JOB, &query.attempt_at.after_job.id) != ERR_OK ||
                           slice_parse_u64(number, &after) != ERR_OK || after > UINT32_MAX)) {
        request_problem(request, 400, "invalid", "the cursor is not one that this server gave");
        return;
    }
    query.attempt_at.site = site->id;
    query.attempt_at.after_number = (uint32_t)after;
    query.attempt_at.limit = (uint32_t)limit;
    request_query_store(request, &query, on_attempts);
}

void api_site_put(struct request *request)
{
    struct doc_value value;
    const struct site *standing = directory_site(request->server->directory, request->params[0]);
    if (!docs_body(request, DOC_SITE, &value))
        return;
    if (standing == NULL && !slice_is_equal(value.site.name, request->params[0])) {
        request_problem(
            request, 422, "invalid",
            "the path says \"%.*s\" and the body \"%.*s\"; a new site is put under its name",
            SLICE_ARG(request->params[0]), SLICE_ARG(value.site.name));
        return;
    }
    /* Only who may write the whole network hands a site to another operator. */
    const struct subject network = {0};
    struct subject becomes = {.operator_name = value.site.operator_name};
    if (!request_may(request, PERM_SITE_WRITE, &network) &&
        !request_may(request, PERM_SITE_WRITE, &becomes)) {
        request_problem(request, 403, "denied",
                        "the site would belong to an operator that is not yours");
        return;
    }
    value.site.id =
        standing != NULL ? standing->id : (struct site_id){server_make_id(request->server)};
    docs_put(request, &value, standing == NULL, standing == NULL ? "site.create" : "site.update",
             (struct slice){0});
}

static struct slice site_key(struct request *request, const struct site *site)
{
    char *text = arena_alloc(request_arena(request), ID_TEXT_MAX);
    ASSERT(text != NULL);
    id_format(site->id.id, ID_PREFIX_SITE, text);
    return slice_of(text);
}

void api_site_delete(struct request *request)
{
    const struct site *site = named_site(request);
    if (site != NULL)
        docs_delete(request, DOC_SITE, site_key(request, site), "site.delete");
}

static void site_order(struct request *request, enum server_event_kind kind, bool flag,
                       bool needs_reason)
{
    static const char *const KEYS[] = {"reason", "node"};
    size_t key_count = kind == SERVER_SITE_QUARANTINE ? 2 : 1;
    struct server_event event = {.kind = kind};
    struct fault fault = {0};
    struct json_value root;
    const struct site *site = named_site(request);
    if (site == NULL)
        return;
    if (request->body.len > 0) {
        if (!request_body(request, &JSON_LIMITS_REQUEST, &root))
            return;
        enum err err = json_object_check_keys(root, KEYS, key_count, &fault);
        if (err == ERR_OK)
            err = json_opt_string(root, "reason", REASON_MAX, &event.site.reason, &fault);
        if (err == ERR_OK && key_count > 1)
            err = json_opt_string(root, "node", NAME_MAX, &event.site.node, &fault);
        if (err != ERR_OK) {
            request_fault(request, &fault);
            return;
        }
    }
    if (needs_reason && event.site.reason.len == 0) {
        request_problem(request, 422, "invalid",
                        "say why in \"reason\": it is signed into the audit log");
        return;
    }
    event.site.site = site->id;
    event.site.flag = flag;
    request_step(request, &event);
}

void api_site_drain(struct request *request)
{
    site_order(request, SERVER_SITE_DRAIN, true, false);
}

void api_site_resume(struct request *request)
{
    site_order(request, SERVER_SITE_DRAIN, false, false);
}

void api_site_quarantine(struct request *request)
{
    site_order(request, SERVER_SITE_QUARANTINE, true, false);
}

void api_site_release(struct request *request)
{
    site_order(request, SERVER_SITE_QUARANTINE, false, false);
}

void api_site_destroyed(struct request *request)
{
    site_order(request, SERVER_SITE_DESTROYED, true, true);
}

/* ---- regions, links, policy */

void api_regions_list(struct request *request)
{
    docs_list(request, DOC_REGION, NULL);
}

void api_region_put(struct request *request)
{
    struct doc_value value;
    if (!docs_body(request, DOC_REGION, &value))
        return;
    if (!slice_is_equal(value.region.name, request->params[0])) {
        request_problem(request, 422, "invalid", "the path says \"%.*s\" and the body \"%.*s\"",
                        SLICE_ARG(request->params[0]), SLICE_ARG(value.region.name));
        return;
    }
    if (id_is_none(value.region.id.id))
        value.region.id = (struct region_id){server_make_id(request->server)};
    docs_put(request, &value, false, "region.put", (struct slice){0});
}

void api_links_list(struct request *request)
{
    docs_list(request, DOC_LINK, NULL);
}

void api_link_put(struct request *request)
{
    struct doc_value value;
    if (!docs_body(request, DOC_LINK, &value))
        return;
    struct link named = {.a = request->params[0], .b = request->params[1]};
    link_order(&named);
    link_order(&value.link);
    if (!slice_is_equal(named.a, value.link.a) || !slice_is_equal(named.b, value.link.b)) {
        request_problem(request, 422, "invalid", "the path and the body name different ends");
        return;
    }
    docs_put(request, &value, false, "link.put", (struct slice){0});
}

static void on_policy(struct request *request, const struct store_answer *answer)
{
    struct doc_value value = {.kind = DOC_POLICY};
    struct buffer out;
    struct json_writer writer;
    struct fault fault = {0};
    uint64_t version = 0;
    policy_default(&value.policy);
    if (answer != NULL) {
        version = answer->docs[0].version;
        if (doc_parse(DOC_POLICY, answer->docs[0].body, request_arena(request), &value, &fault) !=
            ERR_OK) {
            request_fault(request, &fault);
            return;
        }
    }
    buffer_init(&out, DOC_BYTES_MAX);
    json_writer_init(&writer, &out);
    docs_write(&value, &writer);
    if (json_writer_finish(&writer) == ERR_OK)
        request_json_etag(request, 200, buffer_slice(&out), version);
    else
        request_problem(request, 500, "limit", "the answer is too long");
    buffer_deinit(&out);
}

void api_policy_show(struct request *request)
{
    struct store_query query = {.kind = STORE_DOC_GET};
    query.doc_get.kind = DOC_POLICY;
    query.doc_get.id = SLICE_LITERAL("policy");
    request_query_maybe(request, &query, on_policy);
}

void api_policy_put(struct request *request)
{
    struct doc_value value;
    if (docs_body(request, DOC_POLICY, &value))
        docs_put(request, &value, false, "policy.put", (struct slice){0});
}

static void put_amount(struct json_writer *writer, const char *name, struct maybe_u64 amount)
{
    if (amount.has)
        json_put_u64(writer, name, amount.value);
    else
        json_put_null(writer, name); /* no source gives it; it is not zero */
}

void api_catalogue_show(struct request *request)
{
    struct buffer out;
    struct json_writer writer;
    const struct catalogue *catalogue = &request->server->catalogue;
    buffer_init(&out, NETWORK_BYTES_MAX);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "items");
    json_begin_array(&writer);
    for (uint32_t i = 0; i < catalogue->count; i++) {
        const struct accelerator *row = &catalogue->rows[i];
        json_begin_object(&writer);
        json_put_string(&writer, "model", row->model);
        json_put_string(&writer, "vendor", row->vendor);
        json_put_text(&writer, "runtime", runtime_name(row->runtime));
        json_put_bool(&writer, "domestic", row->is_domestic);
        put_amount(&writer, "fp16_gflops", row->fp16_gflops);
        put_amount(&writer, "mem_bytes", row->mem_bytes);
        put_amount(&writer, "tdp_mw", row->tdp_mw);
        json_put_string(&writer, "confidence", row->confidence);
        json_put_string(&writer, "source", row->source);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    json_put_null(&writer, "next");
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(&out) != ERR_OK);
    request_buffer(request, 200, &out);
}
