#include "wire/gate.h"

#include "base/buffer.h"
#include "wire/sync_parts.h"

enum { GATE_SECRET_MAX = 256, GATE_DEPTH_MAX = 4, GATE_VALUES_MAX = 128 };

static const char *const KIND_NAMES[GATE_KIND_COUNT_] = {
    [GATE_ASK] = "ask",     [GATE_RENEW] = "renew", [GATE_EXIT] = "exit",
    [GATE_GO] = "go",       [GATE_WAIT] = "wait",   [GATE_REFUSE] = "refuse",
    [GATE_LEASE] = "lease", [GATE_KILL] = "kill",   [GATE_CLOSE] = "close",
};

enum err gate_message_encode(const struct gate_message *message, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_text(&writer, "kind", KIND_NAMES[message->kind]);
    token_put(&writer, "token", &message->token);
    json_put_u64(&writer, "rank", message->rank);
    json_put_u64(&writer, "incarnation", message->incarnation);
    json_put_u64(&writer, "seq", message->seq);
    if (message->secret.len != 0)
        json_put_string(&writer, "secret", message->secret);
    if (message->has_lease)
        json_put_i64(&writer, "lease_ms", message->lease.ms);
    revoke_put(&writer, "reason", message->reason);
    span_put(&writer, "grace_ms", message->grace);
    span_put(&writer, "ran_ms", message->ran);
    span_put(&writer, "gate_wait_ms", message->gate_wait);
    span_put(&writer, "kill_wait_ms", message->kill_wait);
    if (message->cpu_ms != 0)
        json_put_i64(&writer, "cpu_ms", message->cpu_ms);
    progress_put(&writer, &message->progress);
    outcome_put(&writer, "outcome", message->outcome);
    if (message->exit_code != 0)
        json_put_i64(&writer, "exit_code", message->exit_code);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    buffer_append_char(out, '\n');
    return err != ERR_OK ? err : buffer_status(out);
}

static void decode_lease(struct fields *fields, struct gate_message *out)
{
    if (json_is_missing(json_object_get(fields->object, "lease_ms")))
        return;
    fields_opt_span(fields, "lease_ms", INT64_MIN, &out->lease);
    out->has_lease = true;
}

enum err gate_message_decode(struct slice line, struct arena *arena, struct gate_message *out,
                             struct fault *fault)
{
    static const struct json_limits limits = {GATE_LINE_MAX, GATE_DEPTH_MAX, GATE_VALUES_MAX};
    struct gate_message message = {0};
    struct json_document *document = NULL;
    struct fields fields;
    unsigned kind = 0;

    enum err err = json_parse(line, &limits, &document, fault);
    if (err != ERR_OK)
        return err;
    fields_begin(&fields, json_root(document), arena, fault);
    fields_choice(&fields, "kind", KIND_NAMES, GATE_KIND_COUNT_, &kind);
    fields_token(&fields, "token", &message.token);
    fields_u32(&fields, "rank", JOB_NODES_MAX - 1, &message.rank);
    fields_u64(&fields, "incarnation", &message.incarnation);
    fields_u64(&fields, "seq", &message.seq);
    fields_opt_string(&fields, "secret", GATE_SECRET_MAX, &message.secret);
    decode_lease(&fields, &message);
    fields_opt_revoke(&fields, "reason", &message.reason);
    fields_opt_span(&fields, "grace_ms", 0, &message.grace);
    fields_opt_span(&fields, "ran_ms", 0, &message.ran);
    fields_opt_span(&fields, "gate_wait_ms", 0, &message.gate_wait);
    fields_opt_span(&fields, "kill_wait_ms", 0, &message.kill_wait);
    fields_opt_i64(&fields, "cpu_ms", 0, &message.cpu_ms);
    fields_opt_progress(&fields, &message.progress);
    fields_opt_outcome(&fields, "outcome", &message.outcome);
    fields_opt_i32(&fields, "exit_code", &message.exit_code);
    json_document_destroy(document);
    if (fields.err != ERR_OK)
        return fields.err;
    message.kind = (enum gate_kind)kind;
    *out = message;
    return ERR_OK;
}
