/* One step's effects: operations of its change, events and audit records in their sequences, and
 * answers. Nothing here decides anything. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

enum { OPS_FIRST = 16, OUTPUTS_FIRST = 4, PROBLEM_TEXT_MAX = 1024 };

void server_effects_init(struct server_effects *effects)
{
    *effects = (struct server_effects){0};
    arena_init(&effects->arena, SERVER_EFFECTS_MAX);
}

void server_effects_deinit(struct server_effects *effects)
{
    arena_deinit(&effects->arena);
    *effects = (struct server_effects){0};
}

void step_begin(struct step *step, struct server_core *core, const struct server_event *event,
                struct now now, struct server_effects *effects)
{
    *step = (struct step){.core = core, .effects = effects, .event = event, .now = now};
}

void step_end(struct step *step)
{
    step->effects->change = (struct change){step->ops, step->op_count};
    step->effects->outputs = step->outputs;
    step->effects->output_count = step->output_count;
    step->effects->more_work = step->core->must_place || step->core->must_ungate;
    ASSERT(step->op_count <= CHANGE_OPS_MAX);
}

/* An array in the step's arena, grown by copying; memory runs out only past SERVER_EFFECTS_MAX. */
static void *grow(struct step *step, const void *items, size_t count, size_t *cap, size_t first,
                  size_t size)
{
    size_t wanted = *cap == 0 ? first : *cap * 2;
    void *room = arena_array(&step->effects->arena, wanted, size);
    ASSERT(room != NULL);
    if (count > 0)
        memcpy(room, items, count * size);
    *cap = wanted;
    return room;
}

void step_reserve(struct step *step, size_t count)
{
    while (step->op_cap < step->op_count + count + 1)
        if (step->op_cap == 0)
            step->ops = grow(step, NULL, 0, &step->op_cap, count + OPS_FIRST, sizeof(*step->ops));
        else
            step->ops =
                grow(step, step->ops, step->op_count, &step->op_cap, OPS_FIRST, sizeof(*step->ops));
}

struct change_op *step_op(struct step *step, enum change_kind kind)
{
    step_reserve(step, 1);
    if (step->op_count == 0) {
        step->ops[0] = (struct change_op){.kind = CHANGE_EPOCH_EXPECT};
        step->ops[0].epoch.epoch = step->core->db_epoch;
        step->op_count = 1;
    }
    step_reserve(step, 1);
    struct change_op *op = &step->ops[step->op_count++];
    op->kind = kind;
    return op;
}

void step_event(struct step *step, struct tenant_id tenant, const char *kind, struct slice subject,
                struct slice body)
{
    struct change_op *op = step_op(step, CHANGE_EVENT_APPEND);
    op->event = (struct event_record){.seq = ++step->core->event_seq,
                                      .at = step->now.wall,
                                      .tenant = tenant,
                                      .kind = slice_of(kind),
                                      .subject = subject,
                                      .body = body};
}

void step_audit(struct step *step, struct slice actor, struct slice tenant, const char *action,
                struct slice subject, struct slice detail)
{
    struct server_core *core = step->core;
    struct change_op *op = step_op(step, CHANGE_AUDIT_APPEND);
    if (actor.len == 0 && step->event != NULL && step->event->principal != NULL)
        actor = arena_copy(&step->effects->arena, step->event->principal->actor);
    if (actor.len == 0)
        actor = SYSTEM_ACTOR;
    op->audit = (struct audit_record){.seq = ++core->audit_seq,
                                      .at = step->now.wall,
                                      .actor = actor,
                                      .tenant = tenant,
                                      .action = slice_of(action),
                                      .subject = subject,
                                      .detail = detail,
                                      .previous = core->audit_hash};
    audit_record_hash(&op->audit, &op->audit.hash);
    core->audit_hash = op->audit.hash;
}

struct server_output *step_output(struct step *step, enum server_output_kind kind, uint64_t handle)
{
    if (step->output_count == step->output_cap)
        step->outputs = grow(step, step->outputs, step->output_count, &step->output_cap,
                             OUTPUTS_FIRST, sizeof(*step->outputs));
    struct server_output *output = &step->outputs[step->output_count++];
    *output = (struct server_output){.kind = kind, .handle = handle};
    return output;
}

struct slice step_printf(struct step *step, const char *format, ...)
{
    char stack[512];
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int len = vsnprintf(stack, sizeof(stack), format, arguments);
    va_end(arguments);
    ASSERT(len >= 0);
    char *text = arena_alloc(&step->effects->arena, (size_t)len + 1);
    ASSERT(text != NULL);
    if ((size_t)len < sizeof(stack))
        memcpy(text, stack, (size_t)len + 1);
    else
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return slice_make(text, (size_t)len);
}

struct slice step_id(struct step *step, struct id id, const char *prefix)
{
    char *text = arena_alloc(&step->effects->arena, ID_TEXT_MAX);
    ASSERT(text != NULL);
    id_format(id, prefix, text);
    return slice_of(text);
}

struct json_writer *step_json_begin(struct step_json *json)
{
    buffer_init(&json->buffer, SERVER_BODY_MAX);
    json_writer_init(&json->writer, &json->buffer);
    return &json->writer;
}

struct slice step_json_end(struct step *step, struct step_json *json)
{
    enum err err = json_writer_finish(&json->writer);
    ASSERT(err == ERR_OK);
    struct slice body = arena_copy(&step->effects->arena, buffer_slice(&json->buffer));
    ASSERT(body.data != NULL);
    buffer_deinit(&json->buffer);
    return body;
}

/* ---- answers */

static struct slice key_of(struct step *step)
{
    const struct server_idempotency *key = &step->event->idempotency;
    return step_printf(step, "%zu:%.*s:%.*s", key->scope.len, SLICE_ARG(key->scope),
                       SLICE_ARG(key->key));
}

bool step_key_take(struct step *step)
{
    struct server_core *core = step->core;
    if (!step->event->idempotency.is_set)
        return true;
    struct slice key = key_of(step);
    if (strmap_get(&core->keys, key) == NULL)
        return true;
    step_problem(step, API_CONFLICT, "idempotency_in_flight",
                 "a request with the same idempotency key has just been taken; ask again");
    return false;
}

/* The oldest keys give way: their changes have long been completed. */
static void key_remember(struct step *step)
{
    struct server_core *core = step->core;
    size_t cursor = 0;
    struct slice oldest;
    if (strmap_count(&core->keys) >= SERVER_KEYS_MAX &&
        strmap_next(&core->keys, &cursor, &oldest, NULL))
        (void)strmap_remove(&core->keys, oldest);
    enum err err = strmap_put(&core->keys, key_of(step), core);
    ASSERT(err == ERR_OK);
}

void step_reply(struct step *step, enum api_status status, struct slice body, uint64_t etag)
{
    const struct server_idempotency *key = &step->event->idempotency;
    if (key->is_set && status < API_BAD) {
        struct arena *arena = &step->effects->arena;
        struct change_op *op = step_op(step, CHANGE_IDEMPOTENCY_INSERT);
        op->idempotency.scope = arena_copy(arena, key->scope);
        op->idempotency.key = arena_copy(arena, key->key);
        op->idempotency.request = key->request;
        op->idempotency.status = status;
        op->idempotency.response = body;
        op->idempotency.expires_at = key->expires_at;
        key_remember(step);
    }
    if (step->event->handle == 0)
        return;
    struct server_output *output = step_output(step, OUTPUT_API_REPLY, step->event->handle);
    output->status = status;
    output->body = body;
    output->etag = etag;
}

static const char *status_title(enum api_status status)
{
    switch (status) {
    case API_OK:
    case API_CREATED:
    case API_ACCEPTED:
        return "OK";
    case API_BAD:
        return "Bad Request";
    case API_FORBIDDEN:
        return "Forbidden";
    case API_MISSING:
        return "Not Found";
    case API_CONFLICT:
        return "Conflict";
    case API_PRECONDITION:
        return "Precondition Failed";
    case API_UNPROCESSABLE:
        return "Unprocessable Content";
    case API_BUSY:
        return "Too Many Requests";
    case API_UNAVAILABLE:
        return "Service Unavailable";
    }
    return "Error";
}

static void problem(struct step *step, enum api_status status, const char *code, const char *detail,
                    const char *field)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    json_begin_object(writer);
    json_put_text(writer, "type", "about:blank");
    json_put_text(writer, "title", status_title(status));
    json_put_u64(writer, "status", status);
    json_put_text(writer, "code", code);
    json_put_text(writer, "detail", detail);
    if (field != NULL && field[0] != '\0')
        json_put_text(writer, "field", field);
    json_end_object(writer);
    step_reply(step, status, step_json_end(step, &json), 0);
}

void step_problem(struct step *step, enum api_status status, const char *code, const char *format,
                  ...)
{
    char detail[PROBLEM_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    problem(step, status, code, detail, NULL);
}

void step_problem_fault(struct step *step, enum api_status status, const struct fault *fault)
{
    problem(step, status, err_name(fault->code), fault->message, fault->field);
}
