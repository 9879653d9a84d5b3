/* Audit records, events, artifacts and reclaims, as the API shows them. */
#include "base/hex.h"
#include "model/words.h"
#include "wire/doc.h"
#include "wire/row.h"
#include "wire/value.h"

enum {
    WORD_MAX = 256, /* actor, action, kind, subject */
    MANIFEST_MAX = 16777216,
};

static void put_hash(struct json_writer *writer, const char *name, const struct hash256 *hash)
{
    char text[2 * HASH_BYTES + 1];

    hex_encode(slice_make(hash->bytes, HASH_BYTES), text);
    json_put_text(writer, name, text);
}

static void read_hash(struct value_reader *reader, const char *name, struct hash256 *out)
{
    struct slice text = {"", 0};

    value_need_string(reader, name, 2 * HASH_BYTES, &text);
    if (reader->err == ERR_OK && hex_decode(text, out->bytes, HASH_BYTES) != ERR_OK)
        value_refuse(reader, name, ERR_INVALID, "must be 64 hexadecimal digits");
}

static void put_json(struct json_writer *writer, const char *name, struct slice json)
{
    if (json.len == 0)
        return;
    json_key(writer, name);
    json_raw(writer, json);
}

/* `at_us` is the exact time that the hash covers; `at` is for people. */
void row_put_audit(const struct audit_record *record, struct json_writer *writer)
{
    json_put_u64(writer, "seq", record->seq);
    json_put_wall(writer, "at", record->at);
    json_put_i64(writer, "at_us", record->at.us);
    json_put_string(writer, "actor", record->actor);
    value_put_text(writer, "tenant", record->tenant);
    json_put_string(writer, "action", record->action);
    value_put_text(writer, "subject", record->subject);
    put_json(writer, "detail", record->detail);
    put_hash(writer, "previous", &record->previous);
    put_hash(writer, "hash", &record->hash);
}

enum err row_decode_audit(struct json_value value, struct arena *arena, struct audit_record *out,
                          struct fault *fault)
{
    struct audit_record record = {.tenant = {"", 0}, .subject = {"", 0}, .detail = {"", 0}};
    struct value_reader reader;

    value_begin(&reader, value, NULL, 0, arena, fault);
    value_need_u64(&reader, "seq", UINT64_MAX, &record.seq);
    value_opt_i64(&reader, "at_us", INT64_MIN, INT64_MAX, &record.at.us);
    value_need_string(&reader, "actor", WORD_MAX, &record.actor);
    value_opt_string(&reader, "tenant", WORD_MAX, &record.tenant);
    value_need_string(&reader, "action", WORD_MAX, &record.action);
    value_opt_string(&reader, "subject", WORD_MAX, &record.subject);
    value_opt_json(&reader, "detail", DOC_BYTES_MAX, &record.detail);
    read_hash(&reader, "previous", &record.previous);
    read_hash(&reader, "hash", &record.hash);
    if (reader.err == ERR_OK)
        *out = record;
    return reader.err;
}

void row_put_event(const struct event_record *record, struct json_writer *writer)
{
    json_put_u64(writer, "seq", record->seq);
    json_put_wall(writer, "at", record->at);
    value_put_id(writer, "tenant", record->tenant.id, ID_PREFIX_TENANT);
    json_put_string(writer, "kind", record->kind);
    value_put_text(writer, "subject", record->subject);
    put_json(writer, "body", record->body);
}

enum err row_decode_event(struct json_value value, struct arena *arena, struct event_record *out,
                          struct fault *fault)
{
    struct event_record record = {.subject = {"", 0}, .body = {"", 0}};
    struct value_reader reader;

    value_begin(&reader, value, NULL, 0, arena, fault);
    value_need_u64(&reader, "seq", UINT64_MAX, &record.seq);
    value_opt_wall(&reader, "at", &record.at);
    value_opt_id(&reader, "tenant", ID_PREFIX_TENANT, &record.tenant.id);
    value_need_string(&reader, "kind", WORD_MAX, &record.kind);
    value_opt_string(&reader, "subject", WORD_MAX, &record.subject);
    value_opt_json(&reader, "body", DOC_BYTES_MAX, &record.body);
    if (reader.err == ERR_OK)
        *out = record;
    return reader.err;
}

void row_put_artifact(const struct artifact_row *row, struct json_writer *writer)
{
    json_put_id(writer, "id", row->id, ID_PREFIX_ARTIFACT);
    json_put_text(writer, "kind", artifact_kind_name(row->kind));
    json_put_id(writer, "tenant", row->tenant.id, ID_PREFIX_TENANT);
    if (!id_is_none(row->token.job.id)) {
        json_put_id(writer, "job", row->token.job.id, ID_PREFIX_JOB);
        json_put_u64(writer, "attempt", row->token.number);
        json_put_u64(writer, "epoch", row->token.epoch);
        json_put_u64(writer, "step", row->step);
        value_put_flag(writer, "is_stale", row->is_stale);
        json_put_text(writer, "runtime", runtime_name(row->runtime));
        json_put_u64(writer, "world_size", row->world_size);
    }
    json_put_u64(writer, "size_bytes", row->size_bytes);
    value_put_text(writer, "jurisdiction", row->jurisdiction);
    value_put_wall(writer, "created_at", row->created_at);
    put_json(writer, "manifest", row->manifest);
}

enum err row_decode_artifact(struct json_value value, struct arena *arena, struct artifact_row *out,
                             struct fault *fault)
{
    struct artifact_row row = {.jurisdiction = {"", 0}, .manifest = {"", 0}};
    unsigned kind = 0, runtime = RUNTIME_CPU;
    struct value_reader reader;

    value_begin(&reader, value, NULL, 0, arena, fault);
    value_need_id(&reader, "id", ID_PREFIX_ARTIFACT, &row.id);
    value_need_choice(&reader, "kind", ARTIFACT_KIND_WORDS, ARTIFACT_KIND_COUNT_, &kind);
    value_need_id(&reader, "tenant", ID_PREFIX_TENANT, &row.tenant.id);
    value_opt_id(&reader, "job", ID_PREFIX_JOB, &row.token.job.id);
    value_opt_u32(&reader, "attempt", 0, UINT32_MAX, &row.token.number);
    value_opt_u64(&reader, "epoch", 0, UINT64_MAX, &row.token.epoch);
    value_opt_u64(&reader, "step", 0, UINT64_MAX, &row.step);
    value_opt_bool(&reader, "is_stale", &row.is_stale);
    value_opt_choice(&reader, "runtime", RUNTIME_WORDS, RUNTIME_COUNT_, &runtime);
    value_opt_u32(&reader, "world_size", 0, JOB_NODES_MAX, &row.world_size);
    value_need_u64(&reader, "size_bytes", INT64_MAX, &row.size_bytes);
    value_opt_string(&reader, "jurisdiction", NAME_MAX, &row.jurisdiction);
    value_opt_wall(&reader, "created_at", &row.created_at);
    value_opt_json(&reader, "manifest", MANIFEST_MAX, &row.manifest);
    row.kind = (enum artifact_kind)kind;
    row.runtime = (enum runtime)runtime;
    if (reader.err == ERR_OK)
        *out = row;
    return reader.err;
}

void row_put_reclaim(const struct reclaim *reclaim, struct json_writer *writer)
{
    json_put_string(writer, "name", reclaim->name);
    json_put_wall(writer, "at", reclaim->at);
    json_put_i64(writer, "wait_ms", reclaim->wait.ms);
    json_put_i64(writer, "held_ms", reclaim->held.ms);
    json_put_i64(writer, "promise_ms", reclaim->promise.ms);
    json_put_u64(writer, "attempts", reclaim->attempts);
    json_put_bool(writer, "is_open", reclaim->is_open);
    json_put_bool(writer, "is_breach", reclaim_is_breach(reclaim));
}

void row_encode_audit(const struct audit_record *record, struct json_writer *writer)
{
    json_begin_object(writer);
    row_put_audit(record, writer);
    json_end_object(writer);
}

void row_encode_event(const struct event_record *record, struct json_writer *writer)
{
    json_begin_object(writer);
    row_put_event(record, writer);
    json_end_object(writer);
}

void row_encode_artifact(const struct artifact_row *row, struct json_writer *writer)
{
    json_begin_object(writer);
    row_put_artifact(row, writer);
    json_end_object(writer);
}
