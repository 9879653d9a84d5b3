/* Documents: the nouns of low rate, with versions. What each kind means is in server_noun.c. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

struct server_doc *doc_find(const struct server_core *core, enum doc_kind kind, struct slice id)
{
    return strmap_get(&core->docs[kind], id);
}

static void name_drop(struct server_core *core, enum doc_kind kind, struct server_doc *doc)
{
    if (doc->name_key == NULL)
        return;
    if (strmap_get(&core->names[kind], slice_of(doc->name_key)) == doc)
        (void)strmap_remove(&core->names[kind], slice_of(doc->name_key));
    free(doc->name_key);
    doc->name_key = NULL;
}

static enum err name_take(struct server_core *core, enum doc_kind kind, struct server_doc *doc,
                          const char *name_key)
{
    if (name_key == NULL)
        return ERR_OK;
    doc->name_key = strdup(name_key);
    if (doc->name_key == NULL)
        return ERR_NO_MEMORY;
    return strmap_put(&core->names[kind], slice_of(name_key), doc);
}

enum err doc_note(struct server_core *core, enum doc_kind kind, struct slice id, uint64_t version,
                  const char *name_key)
{
    struct server_doc *doc = doc_find(core, kind, id);
    if (version == 0) {
        if (doc == NULL)
            return ERR_OK;
        name_drop(core, kind, doc);
        (void)strmap_remove(&core->docs[kind], id);
        free(doc);
        return ERR_OK;
    }
    if (doc == NULL) {
        doc = calloc(1, sizeof(*doc));
        if (doc == NULL)
            return ERR_NO_MEMORY;
        enum err err = strmap_add(&core->docs[kind], id, doc);
        if (err != ERR_OK) {
            free(doc);
            return err;
        }
    }
    doc->version = version;
    name_drop(core, kind, doc);
    return name_take(core, kind, doc, name_key);
}

void doc_save(struct step *step, const struct doc_value *value, struct slice parent)
{
    struct arena *arena = &step->effects->arena;
    char key[DOC_ID_MAX + 1];
    struct buffer body;
    doc_key(value, key);
    const struct server_doc *doc = doc_find(step->core, value->kind, slice_of(key));
    uint64_t version = doc == NULL ? 0 : doc->version;
    buffer_init(&body, DOC_BYTES_MAX);
    enum err err = doc_encode(value, &body);
    ASSERT(err == ERR_OK);
    struct change_op *op = step_op(step, CHANGE_DOC_PUT);
    op->doc.expect_version = version;
    op->doc.doc = (struct doc){.kind = value->kind,
                               .id = arena_copy(arena, slice_of(key)),
                               .parent = parent,
                               .version = version + 1,
                               .changed_at = step->now.wall,
                               .body = arena_copy(arena, buffer_slice(&body))};
    buffer_deinit(&body);
    err = doc_note(step->core, value->kind, slice_of(key), version + 1, NULL);
    ASSERT(err == ERR_OK);
}

void docs_free(struct server_core *core)
{
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++) {
        size_t cursor = 0;
        void *value;
        while (strmap_next(&core->docs[kind], &cursor, NULL, &value)) {
            free(((struct server_doc *)value)->name_key);
            free(value);
        }
        strmap_deinit(&core->docs[kind]);
        strmap_deinit(&core->names[kind]);
    }
}

/* ---- asked for */

/* False: refused, and answered. */
static bool version_check(struct step *step, const struct server_doc *doc)
{
    uint64_t expect = step->event->doc.expect_version;
    if (step->event->doc.is_any_version)
        return true;
    if (doc == NULL && expect != 0) {
        step_problem(step, API_MISSING, "not_found", "no such %s",
                     doc_kind_name(step->event->doc.doc.kind));
        return false;
    }
    if (doc != NULL && expect == 0) {
        step_problem(step, API_CONFLICT, "exists", "this %s stands already",
                     doc_kind_name(step->event->doc.doc.kind));
        return false;
    }
    if (doc != NULL && expect != doc->version) {
        step_problem(step, API_PRECONDITION, "stale",
                     "the version is %llu now; read it again, then retry",
                     (unsigned long long)doc->version);
        return false;
    }
    return true;
}

static struct slice tenant_text(struct step *step, const struct doc_value *value,
                                struct tenant_id *out)
{
    struct tenant_id tenant = {0};
    if (value->kind == DOC_TENANT)
        tenant = value->tenant.id;
    else if (value->kind == DOC_USER)
        tenant = value->user.tenant;
    else if (value->kind == DOC_DATASET)
        tenant = value->dataset.tenant;
    *out = tenant;
    return id_is_none(tenant.id) ? (struct slice){0} : step_id(step, tenant.id, ID_PREFIX_TENANT);
}

static void doc_record(struct step *step, const struct doc_value *value, struct slice id,
                       uint64_t version, const char *verb)
{
    struct tenant_id tenant;
    const char *kind = doc_kind_name(value->kind);
    const char *action = step->event->doc.action;
    struct slice name =
        action != NULL ? step_printf(step, "%s", action) : step_printf(step, "%s.%s", kind, verb);
    struct slice event = step_printf(step, "%s.%s", kind, verb);
    struct slice detail =
        step_printf(step, "{\"kind\":\"%s\",\"version\":%llu}", kind, (unsigned long long)version);
    struct slice whose = tenant_text(step, value, &tenant);
    step_audit(step, (struct slice){0}, whose, name.data, id, detail);
    step_event(step, tenant, event.data, id, detail);
}

static struct slice doc_shown(struct step *step, const struct doc_value *value, struct slice body)
{
    struct slice reply = step->event->doc.reply;
    struct step_json json;
    if (reply.len > 0)
        return arena_copy(&step->effects->arena, reply);
    if (value->kind != DOC_TOKEN && value->kind != DOC_JOIN_TOKEN)
        return body;
    struct json_writer *writer = step_json_begin(&json);
    if (value->kind == DOC_TOKEN)
        doc_show_api_token(&value->api_token, writer);
    else
        doc_show_join_token(&value->join_token, writer);
    return step_json_end(step, &json);
}

/* The document as it will stand: parsed, owned by the step, with what only the server sets. */
static enum err doc_read(struct step *step, struct doc_value *value, struct fault *fault)
{
    const struct doc *doc = &step->event->doc.doc;
    char key[DOC_ID_MAX + 1];
    enum err err = doc_parse(doc->kind, doc->body, &step->effects->arena, value, fault);
    if (err != ERR_OK)
        return err;
    doc_key(value, key);
    if (!slice_is(doc->id, key))
        return fault_set(fault, ERR_INVALID, "id", "the document says %s", key);
    if (doc->kind == DOC_SITE) {
        const struct server_site *site = site_find(step->core, value->site.id);
        value->site.state = site == NULL ? SITE_ACTIVE : site->value.state;
        if (site != NULL) /* the site's own words */
            value->site.surplus = site->value.surplus;
    }
    return noun_check(step->core, value, fault);
}

static enum api_status status_of(enum err err)
{
    return err == ERR_EXISTS ? API_CONFLICT : err == ERR_LIMIT ? API_BUSY : API_UNPROCESSABLE;
}

/* Only the certificates are anybody else's to change. */
static void site_state_put(struct step *step)
{
    struct fault fault = {0};
    struct doc_value value;
    const struct doc *doc = &step->event->doc.doc;
    struct server_site *site = NULL;
    if (doc_parse(DOC_SITE_STATE, doc->body, &step->effects->arena, &value, &fault) != ERR_OK) {
        step_problem_fault(step, API_UNPROCESSABLE, &fault);
        return;
    }
    site = site_find(step->core, value.site_memory.site);
    if (site == NULL) {
        step_problem(step, API_MISSING, "not_found", "no such site");
        return;
    }
    struct arena arena;
    arena_init(&arena, DOC_BYTES_MAX);
    const struct text_list *list = &value.site_memory.certificates;
    struct slice *items = arena_array(&arena, list->count + 1, sizeof(*items));
    ASSERT(items != NULL);
    for (uint32_t i = 0; i < list->count; i++)
        items[i] = arena_copy(&arena, list->items[i]);
    arena_deinit(&site->certificates_arena);
    site->certificates_arena = arena;
    site->certificates = (struct text_list){items, list->count};
    site_memory_save(step, site);
    doc_record(step, &value, step_id(step, site->id.id, ID_PREFIX_SITE), site->memory_version,
               "certified");
    step_reply(step, API_OK, doc_shown(step, &value, SLICE_LITERAL("{}")), site->memory_version);
}

void server_doc_put(struct step *step)
{
    struct server_core *core = step->core;
    const struct doc *asked = &step->event->doc.doc;
    struct arena *arena = &step->effects->arena;
    struct doc_value value;
    struct fault fault = {0};
    struct buffer text;
    if (asked->kind == DOC_SITE_STATE) {
        site_state_put(step);
        return;
    }
    struct server_doc *doc = doc_find(core, asked->kind, asked->id);
    if (!version_check(step, doc))
        return;
    enum err err = doc_read(step, &value, &fault);
    const char *name_key = err == ERR_OK ? noun_name_key(arena, &value) : NULL;
    struct server_doc *other =
        name_key == NULL ? NULL : strmap_get(&core->names[asked->kind], slice_of(name_key));
    if (err == ERR_OK && other != NULL && other != doc)
        err = fault_set(&fault, ERR_EXISTS, "name", "another %s has this name already",
                        doc_kind_name(asked->kind));
    if (err != ERR_OK) {
        step_problem_fault(step, status_of(err), &fault);
        return;
    }
    buffer_init(&text, DOC_BYTES_MAX);
    err = doc_encode(&value, &text);
    struct slice body = arena_copy(arena, buffer_slice(&text)), id = arena_copy(arena, asked->id);
    buffer_deinit(&text);
    if (err != ERR_OK) {
        step_problem(step, API_UNPROCESSABLE, "limit", "the document is too large");
        return;
    }
    uint64_t before = doc == NULL ? 0 : doc->version;
    struct change_op *op = step_op(step, CHANGE_DOC_PUT);
    op->doc.expect_version = before;
    op->doc.doc = (struct doc){.kind = asked->kind,
                               .id = id,
                               .parent = arena_copy(arena, asked->parent),
                               .version = before + 1,
                               .changed_at = step->now.wall,
                               .body = body};
    err = doc_note(core, asked->kind, id, before + 1, name_key);
    if (err == ERR_OK)
        err = noun_put(step, &value, body, before + 1, &fault);
    ASSERT(err == ERR_OK); /* noun_check has looked at all that could be wrong */
    doc_record(step, &value, id, before + 1, "changed");
    step_reply(step, before == 0 ? API_CREATED : API_OK, doc_shown(step, &value, body), before + 1);
}

/* The agent of a site that goes learns it at once. */
static void poll_close(struct step *step, enum doc_kind kind, struct slice id)
{
    struct site_id key;
    if (kind != DOC_SITE || id_parse(id, ID_PREFIX_SITE, &key.id) != ERR_OK)
        return;
    const struct server_site *site = site_find(step->core, key);
    if (site != NULL && site->poll.is_held)
        step_output(step, OUTPUT_CLOSE_POLL, site->poll.handle)->status = API_CONFLICT;
}

void server_doc_delete(struct step *step)
{
    struct server_core *core = step->core;
    const struct doc *asked = &step->event->doc.doc;
    struct fault fault = {0};
    const struct doc_value value = {.kind = asked->kind};
    struct server_doc *doc = doc_find(core, asked->kind, asked->id);
    if (doc == NULL || asked->kind == DOC_SITE_STATE) {
        step_problem(step, API_MISSING, "not_found", "no such %s", doc_kind_name(asked->kind));
        return;
    }
    if (!version_check(step, doc))
        return;
    if (noun_delete_check(core, asked->kind, asked->id, &fault) != ERR_OK) {
        step_problem_fault(step, API_CONFLICT, &fault);
        return;
    }
    struct slice id = arena_copy(&step->effects->arena, asked->id);
    struct server_doc *state = asked->kind == DOC_SITE ? doc_find(core, DOC_SITE_STATE, id) : NULL;
    struct change_op *op = step_op(step, CHANGE_DOC_DELETE);
    op->doc.doc = (struct doc){.kind = asked->kind, .id = id, .version = doc->version};
    op->doc.expect_version = doc->version;
    if (state != NULL) {
        op = step_op(step, CHANGE_DOC_DELETE);
        op->doc.doc = (struct doc){.kind = DOC_SITE_STATE, .id = id, .version = state->version};
        op->doc.expect_version = state->version;
    }
    doc_record(step, &value, id, doc->version, "deleted");
    poll_close(step, asked->kind, id);
    noun_delete(core, asked->kind, id);
    enum err err = doc_note(core, asked->kind, id, 0, NULL);
    if (err == ERR_OK && state != NULL)
        err = doc_note(core, DOC_SITE_STATE, id, 0, NULL);
    ASSERT(err == ERR_OK);
    step_reply(step, API_OK, SLICE_LITERAL("{}"), 0);
}
