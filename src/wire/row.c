/* Jobs, attempts and usage, as the API shows them. */
#include "wire/row.h"

#include <string.h>

#include "model/words.h"
#include "wire/doc.h"
#include "wire/value.h"

/* ---- tokens, shared by several rows ---- */

static void put_token(const struct attempt_token *token, struct json_writer *writer)
{
    json_put_id(writer, "job", token->job.id, ID_PREFIX_JOB);
    json_put_u64(writer, "attempt", token->number);
    json_put_u64(writer, "epoch", token->epoch);
}

static void read_token(struct value_reader *reader, struct attempt_token *out)
{
    value_need_id(reader, "job", ID_PREFIX_JOB, &out->job.id);
    value_opt_u32(reader, "attempt", 0, UINT32_MAX, &out->number);
    value_opt_u64(reader, "epoch", 0, UINT64_MAX, &out->epoch);
}

static void read_i32(struct value_reader *reader, const char *name, int32_t *out)
{
    int64_t value = *out;

    value_opt_i64(reader, name, INT32_MIN, INT32_MAX, &value);
    *out = (int32_t)value;
}

/* ---- jobs ---- */

static void put_failures(const uint8_t counts[FAILURE_CLASS_COUNT_], struct json_writer *writer)
{
    json_key(writer, "failures");
    json_begin_object(writer);
    for (unsigned i = FAILURE_NONE + 1; i < FAILURE_CLASS_COUNT_; i++)
        if (counts[i] > 0)
            json_put_u64(writer, failure_name((enum failure_class)i), counts[i]);
    json_end_object(writer);
}

/* Classes that a newer server knows are passed over. */
static void read_failures(struct value_reader *reader, uint8_t out[FAILURE_CLASS_COUNT_])
{
    struct json_value value = value_member(reader, "failures");
    struct value_reader inner;
    if (json_is_missing(value))
        return;
    value_begin(&inner, value, NULL, 0, NULL, reader->fault);
    for (unsigned i = FAILURE_NONE + 1; i < FAILURE_CLASS_COUNT_; i++) {
        uint32_t count = 0;
        value_opt_u32(&inner, failure_name((enum failure_class)i), 0, UINT8_MAX, &count);
        out[i] = (uint8_t)count;
    }
    value_fail(reader, inner.err);
}

void row_put_job(const struct job_row *row, struct json_writer *writer)
{
    json_put_id(writer, "id", row->id.id, ID_PREFIX_JOB);
    json_put_id(writer, "spec_id", row->spec.id, ID_PREFIX_SPEC);
    json_put_id(writer, "tenant", row->tenant.id, ID_PREFIX_TENANT);
    value_put_id(writer, "user", row->user.id, ID_PREFIX_USER);
    json_put_text(writer, "state", job_state_name(row->state));
    value_put_flag(writer, "cancel_requested", row->cancel_requested);
    json_put_u64(writer, "array_index", row->array_index);
    json_put_u64(writer, "attempt", row->attempt);
    json_put_u64(writer, "epoch", row->epoch);
    json_put_u64(writer, "created_epoch", row->created_epoch);
    json_put_u64(writer, "program_failures", row->program_failures);
    json_put_u64(writer, "infra_failures", row->infra_failures);
    put_failures(row->failures, writer);
    value_put_id(writer, "last_site", row->last_site.id, ID_PREFIX_SITE);
    value_put_wall(writer, "created_at", row->created_at);
    value_put_wall(writer, "ended_at", row->ended_at);
    if (row->exit_code != -1)
        json_put_i64(writer, "exit_code", row->exit_code);
    if (row->outcome != OUTCOME_NONE)
        json_put_text(writer, "outcome", outcome_name((enum outcome)row->outcome));
    json_put_u64(writer, "version", row->version);
}

enum err row_decode_job(struct json_value value, struct job_row *out, struct fault *fault)
{
    struct job_row row = {.exit_code = -1};
    unsigned state = JOB_PENDING, outcome = OUTCOME_NONE;
    struct value_reader reader;

    value_begin(&reader, value, NULL, 0, NULL, fault);
    value_need_id(&reader, "id", ID_PREFIX_JOB, &row.id.id);
    value_need_id(&reader, "spec_id", ID_PREFIX_SPEC, &row.spec.id);
    value_need_id(&reader, "tenant", ID_PREFIX_TENANT, &row.tenant.id);
    value_opt_id(&reader, "user", ID_PREFIX_USER, &row.user.id);
    value_need_choice(&reader, "state", JOB_STATE_WORDS, JOB_STATE_COUNT_, &state);
    value_opt_bool(&reader, "cancel_requested", &row.cancel_requested);
    value_opt_u32(&reader, "array_index", 0, JOB_ARRAY_MAX - 1, &row.array_index);
    value_opt_u32(&reader, "attempt", 0, UINT32_MAX, &row.attempt);
    value_opt_u64(&reader, "epoch", 0, UINT64_MAX, &row.epoch);
    value_opt_u64(&reader, "created_epoch", 0, UINT64_MAX, &row.created_epoch);
    value_opt_u32(&reader, "program_failures", 0, UINT32_MAX, &row.program_failures);
    value_opt_u32(&reader, "infra_failures", 0, UINT32_MAX, &row.infra_failures);
    read_failures(&reader, row.failures);
    value_opt_id(&reader, "last_site", ID_PREFIX_SITE, &row.last_site.id);
    value_opt_wall(&reader, "created_at", &row.created_at);
    value_opt_wall(&reader, "ended_at", &row.ended_at);
    read_i32(&reader, "exit_code", &row.exit_code);
    value_opt_choice(&reader, "outcome", OUTCOME_WORDS, OUTCOME_COUNT_, &outcome);
    value_opt_u64(&reader, "version", 0, UINT64_MAX, &row.version);
    row.state = (enum job_state)state;
    row.outcome = outcome;
    if (reader.err == ERR_OK)
        reader.err = job_row_check(&row, fault);
    if (reader.err == ERR_OK)
        *out = row;
    return reader.err;
}

/* ---- attempts ---- */

void row_put_attempt(const struct attempt_row *row, struct json_writer *writer)
{
    put_token(&row->token, writer);
    json_put_id(writer, "site", row->site.id, ID_PREFIX_SITE);
    value_put_id(writer, "journal", row->journal.id, ID_PREFIX_JOURNAL);
    json_put_text(writer, "state", attempt_state_name(row->state));
    if (row->revoke != REVOKE_NONE)
        json_put_text(writer, "revoke", revoke_name(row->revoke));
    if (row->outcome != OUTCOME_NONE)
        json_put_text(writer, "outcome", outcome_name(row->outcome));
    if (attempt_failure(row) != FAILURE_NONE)
        json_put_text(writer, "failure", failure_name(attempt_failure(row)));
    if (row->exit_code != -1)
        json_put_i64(writer, "exit_code", row->exit_code);
    json_put_u64(writer, "variant", row->variant);
    json_put_u64(writer, "nodes", row->nodes);
    json_put_text(writer, "contact", contact_name(row->contact.policy));
    value_put_span(writer, "lease", row->contact.lease);
    json_put_money(writer, "ask_per_hour", row->ask_per_hour);
    value_put_wall(writer, "offered_at", row->offered_at);
    value_put_wall(writer, "started_at", row->started_at);
    value_put_wall(writer, "ended_at", row->ended_at);
    json_put_i64(writer, "ran_ms", row->ran.ms);
    json_put_u64(writer, "version", row->version);
}

enum err row_decode_attempt(struct json_value value, struct attempt_row *out, struct fault *fault)
{
    struct attempt_row row = {.exit_code = -1};
    unsigned state = 0, outcome = 0, revoke = 0, contact = 0;
    struct maybe_money ask = {0};
    struct value_reader reader;

    value_begin(&reader, value, NULL, 0, NULL, fault);
    read_token(&reader, &row.token);
    value_need_id(&reader, "site", ID_PREFIX_SITE, &row.site.id);
    value_opt_id(&reader, "journal", ID_PREFIX_JOURNAL, &row.journal.id);
    value_need_choice(&reader, "state", ATTEMPT_STATE_WORDS, ATTEMPT_STATE_COUNT_, &state);
    value_opt_choice(&reader, "revoke", REVOKE_WORDS, REVOKE_REASON_COUNT_, &revoke);
    value_opt_choice(&reader, "outcome", OUTCOME_WORDS, OUTCOME_COUNT_, &outcome);
    read_i32(&reader, "exit_code", &row.exit_code);
    value_opt_u32(&reader, "variant", 0, JOB_VARIANTS_MAX - 1, &row.variant);
    value_opt_u32(&reader, "nodes", 1, JOB_NODES_MAX, &row.nodes);
    value_opt_choice(&reader, "contact", CONTACT_WORDS, CONTACT_COUNT_, &contact);
    value_opt_span(&reader, "lease", &row.contact.lease);
    value_opt_maybe_money(&reader, "ask_per_hour", &ask);
    value_opt_wall(&reader, "offered_at", &row.offered_at);
    value_opt_wall(&reader, "started_at", &row.started_at);
    value_opt_wall(&reader, "ended_at", &row.ended_at);
    value_opt_i64(&reader, "ran_ms", 0, INT64_MAX, &row.ran.ms);
    value_opt_u64(&reader, "version", 0, UINT64_MAX, &row.version);
    row.state = (enum attempt_state)state;
    row.revoke = (enum revoke_reason)revoke;
    row.outcome = (enum outcome)outcome;
    row.contact.policy = (enum contact_policy)contact;
    row.ask_per_hour = ask.value;
    if (reader.err == ERR_OK)
        reader.err = attempt_row_check(&row, fault);
    if (reader.err == ERR_OK)
        *out = row;
    return reader.err;
}

/* ---- usage ---- */

static void put_quantities(const char *name, const struct usage_quantities *quantities,
                           struct json_writer *writer)
{
    json_key(writer, name);
    json_begin_object(writer);
    json_put_i64(writer, "wall_ms", quantities->wall_ms);
    json_put_i64(writer, "cpu_ms", quantities->cpu_ms);
    json_put_i64(writer, "cpu_held_ms", quantities->cpu_held_ms);
    json_put_i64(writer, "accel_ms", quantities->accel_ms);
    json_put_i64(writer, "mem_mib_ms", quantities->mem_mib_ms);
    json_put_i64(writer, "gate_wait_ms", quantities->gate_wait_ms);
    json_put_i64(writer, "kill_wait_ms", quantities->kill_wait_ms);
    json_end_object(writer);
}

static void read_quantities(struct value_reader *outer, const char *name,
                            struct usage_quantities *out)
{
    struct json_value value = value_member(outer, name);
    struct value_reader reader;

    if (json_is_missing(value)) {
        value_refuse(outer, name, ERR_INVALID, "is required");
        return;
    }
    value_begin(&reader, value, NULL, 0, NULL, outer->fault);
    value_opt_i64(&reader, "wall_ms", 0, INT64_MAX, &out->wall_ms);
    value_opt_i64(&reader, "cpu_ms", 0, INT64_MAX, &out->cpu_ms);
    value_opt_i64(&reader, "cpu_held_ms", 0, INT64_MAX, &out->cpu_held_ms);
    value_opt_i64(&reader, "accel_ms", 0, INT64_MAX, &out->accel_ms);
    value_opt_i64(&reader, "mem_mib_ms", 0, INT64_MAX, &out->mem_mib_ms);
    value_opt_i64(&reader, "gate_wait_ms", 0, INT64_MAX, &out->gate_wait_ms);
    value_opt_i64(&reader, "kill_wait_ms", 0, INT64_MAX, &out->kill_wait_ms);
    value_fail(outer, reader.err);
}

void row_put_usage(const struct usage_record *record, struct json_writer *writer)
{
    json_put_id(writer, "site", record->site.id, ID_PREFIX_SITE);
    json_put_id(writer, "journal", record->journal.id, ID_PREFIX_JOURNAL);
    json_put_u64(writer, "seq", record->seq);
    put_token(&record->token, writer);
    value_put_flag(writer, "is_last", record->is_last);
    json_put_text(writer, "runtime", runtime_name(record->runtime));
    value_put_text(writer, "accelerator", slice_of(record->accelerator));
    put_quantities("delta", &record->delta, writer);
    put_quantities("total", &record->total, writer);
    value_put_wall(writer, "measured_at", record->measured_at);
}

enum err row_decode_usage(struct json_value value, struct usage_record *out, struct fault *fault)
{
    struct usage_record record = {0};
    struct slice accelerator = {"", 0};
    unsigned runtime = RUNTIME_CPU;
    struct value_reader reader;

    value_begin(&reader, value, NULL, 0, NULL, fault);
    value_need_id(&reader, "site", ID_PREFIX_SITE, &record.site.id);
    value_need_id(&reader, "journal", ID_PREFIX_JOURNAL, &record.journal.id);
    value_need_u64(&reader, "seq", UINT64_MAX, &record.seq);
    read_token(&reader, &record.token);
    value_opt_bool(&reader, "is_last", &record.is_last);
    value_need_choice(&reader, "runtime", RUNTIME_WORDS, RUNTIME_COUNT_, &runtime);
    if (reader.err == ERR_OK)
        reader.err = json_opt_string(value, "accelerator", sizeof(record.accelerator) - 1,
                                     &accelerator, fault);
    read_quantities(&reader, "delta", &record.delta);
    read_quantities(&reader, "total", &record.total);
    value_opt_wall(&reader, "measured_at", &record.measured_at);
    record.runtime = (enum runtime)runtime;
    if (accelerator.len > 0)
        memcpy(record.accelerator, accelerator.data, accelerator.len);
    if (reader.err == ERR_OK)
        reader.err = value_locate(value, usage_record_check(&record, fault), fault);
    if (reader.err == ERR_OK)
        *out = record;
    return reader.err;
}

/* ---- whole objects ---- */

void row_encode_job(const struct job_row *row, struct json_writer *writer)
{
    json_begin_object(writer);
    row_put_job(row, writer);
    json_end_object(writer);
}

void row_encode_attempt(const struct attempt_row *row, struct json_writer *writer)
{
    json_begin_object(writer);
    row_put_attempt(row, writer);
    json_end_object(writer);
}

void row_encode_usage(const struct usage_record *record, struct json_writer *writer)
{
    json_begin_object(writer);
    row_put_usage(record, writer);
    json_end_object(writer);
}
