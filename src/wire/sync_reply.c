#include "base/buffer.h"
#include "wire/sync.h"
#include "wire/sync_parts.h"

enum {
    REPLY_DEPTH_MAX = 32,
    REPLY_VALUES_MAX = 2000000,
    RENEWALS_MAX = SYNC_ATTEMPTS_MAX,
    ACKED_MAX = SYNC_ATTEMPTS_MAX,
    ORDER_BYTES_MAX = 2 << 20,
};

static const char *const COMMAND_NAMES[] = {[SYNC_START] = "start", [SYNC_REVOKE] = "revoke"};

static void command_put(struct json_writer *writer, const struct sync_command *command)
{
    json_begin_object(writer);
    json_put_text(writer, "kind", COMMAND_NAMES[command->kind]);
    token_put(writer, "token", &command->token);
    if (!id_is_none(command->journal.id))
        json_put_id(writer, "journal", command->journal.id, "jrn");
    revoke_put(writer, "reason", command->reason);
    span_put(writer, "grace_ms", command->grace);
    if (command->order.len != 0) {
        json_key(writer, "order");
        json_raw(writer, command->order);
    }
    json_end_object(writer);
}

static enum err command_get(struct json_value value, struct arena *arena, struct sync_command *out,
                            struct fault *fault)
{
    struct fields fields;
    struct sync_command command = {0};
    unsigned kind = 0;

    fields_begin(&fields, value, arena, fault);
    fields_choice(&fields, "kind", COMMAND_NAMES, 2, &kind);
    fields_token(&fields, "token", &command.token);
    fields_opt_id(&fields, "journal", "jrn", &command.journal.id);
    fields_opt_revoke(&fields, "reason", &command.reason);
    fields_opt_span(&fields, "grace_ms", 0, &command.grace);
    fields_opt_json(&fields, "order", ORDER_BYTES_MAX, &command.order);
    if (fields.err != ERR_OK)
        return fields.err;
    command.kind = (enum sync_command_kind)kind;
    if (command.kind == SYNC_START && command.order.len == 0)
        return json_refuse_member(value, "order", fault, ERR_INVALID, "is required to start");
    *out = command;
    return ERR_OK;
}

static void lists_put(struct json_writer *writer, const struct sync_reply *reply)
{
    json_key(writer, "commands");
    json_begin_array(writer);
    for (uint32_t i = 0; i < reply->command_count; i++)
        command_put(writer, &reply->commands[i]);
    json_end_array(writer);
    if (reply->renewal_count != 0) {
        json_key(writer, "renewals");
        json_begin_array(writer);
        for (uint32_t i = 0; i < reply->renewal_count; i++) {
            json_begin_object(writer);
            token_put(writer, "token", &reply->renewals[i].token);
            json_put_i64(writer, "lease_ms", reply->renewals[i].lease.ms);
            json_end_object(writer);
        }
        json_end_array(writer);
    }
    if (reply->probe_count != 0) {
        json_key(writer, "probes");
        json_begin_array(writer);
        for (uint32_t i = 0; i < reply->probe_count; i++) {
            json_begin_object(writer);
            json_put_u64(writer, "number", reply->probes[i].number);
            json_put_u64(writer, "node", reply->probes[i].node);
            json_end_object(writer);
        }
        json_end_array(writer);
    }
    if (reply->acked_count != 0) {
        json_key(writer, "acked");
        json_begin_array(writer);
        for (uint32_t i = 0; i < reply->acked_count; i++)
            token_write(writer, &reply->acked[i]);
        json_end_array(writer);
    }
}

enum err sync_reply_encode(const struct sync_reply *reply, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_u64(&writer, "protocol", reply->protocol);
    json_put_u64(&writer, "db_epoch", reply->db_epoch);
    json_put_u64(&writer, "request_seq", reply->request_seq);
    if (reply->challenge != 0)
        json_put_u64(&writer, "challenge", reply->challenge);
    if (reply->want_inventory)
        json_put_bool(&writer, "want_inventory", true);
    json_put_u64(&writer, "usage_acked", reply->usage_acked);
    lists_put(&writer, reply);
    json_key(&writer, "settings");
    json_begin_object(&writer);
    span_put(&writer, "poll_hold_ms", reply->settings.poll_hold);
    span_put(&writer, "usage_every_ms", reply->settings.usage_every);
    span_put(&writer, "retain_ms", reply->settings.retain);
    span_put(&writer, "gate_limit_ms", reply->settings.gate_limit);
    json_end_object(&writer);
    json_end_object(&writer);
    return json_writer_finish(&writer);
}

static enum err renewal_get(struct json_value value, struct arena *arena, struct sync_renewal *out,
                            struct fault *fault)
{
    struct fields fields;
    struct sync_renewal renewal = {0};
    fields_begin(&fields, value, arena, fault);
    fields_token(&fields, "token", &renewal.token);
    fields_opt_span(&fields, "lease_ms", 0, &renewal.lease);
    if (fields.err == ERR_OK)
        *out = renewal;
    return fields.err;
}

static enum err probe_get(struct json_value value, struct arena *arena, struct sync_probe *out,
                          struct fault *fault)
{
    struct fields fields;
    struct sync_probe probe = {0};
    uint32_t node = 0;
    fields_begin(&fields, value, arena, fault);
    fields_u64(&fields, "number", &probe.number);
    fields_u32(&fields, "node", UINT16_MAX, &node);
    probe.node = (uint16_t)node;
    if (fields.err == ERR_OK)
        *out = probe;
    return fields.err;
}

static void probes_get(struct fields *fields, struct sync_reply *reply)
{
    struct json_value probes = {0};
    fields_opt_array(fields, "probes", SYNC_PROBES_MAX, &probes);
    struct sync_probe *room = fields_room(fields, probes, sizeof(*room), &reply->probe_count);
    struct json_iterator it = json_iterate(probes);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = probe_get(it.value, fields->arena, &room[it.index], fields->fault);
    reply->probes = room;
}

static void lists_get(struct fields *fields, struct sync_reply *reply)
{
    struct json_value commands = {0}, renewals = {0}, acked = {0};
    fields_opt_array(fields, "commands", SYNC_COMMANDS_MAX, &commands);
    fields_opt_array(fields, "renewals", RENEWALS_MAX, &renewals);
    fields_opt_array(fields, "acked", ACKED_MAX, &acked);
    struct sync_command *command_room =
        fields_room(fields, commands, sizeof(*command_room), &reply->command_count);
    struct sync_renewal *renewal_room =
        fields_room(fields, renewals, sizeof(*renewal_room), &reply->renewal_count);
    struct attempt_token *acked_room =
        fields_room(fields, acked, sizeof(*acked_room), &reply->acked_count);

    struct json_iterator it = json_iterate(commands);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = command_get(it.value, fields->arena, &command_room[it.index], fields->fault);
    it = json_iterate(renewals);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = renewal_get(it.value, fields->arena, &renewal_room[it.index], fields->fault);
    it = json_iterate(acked);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = token_from_json(it.value, &acked_room[it.index], fields->fault);
    reply->commands = command_room;
    reply->renewals = renewal_room;
    reply->acked = acked_room;
}

static void settings_get(struct fields *parent, struct sync_settings *out)
{
    struct json_value value = json_object_get(parent->object, "settings");
    struct fields fields;
    if (parent->err != ERR_OK || json_is_missing(value))
        return;
    fields_begin(&fields, value, parent->arena, parent->fault);
    fields_opt_span(&fields, "poll_hold_ms", 0, &out->poll_hold);
    fields_opt_span(&fields, "usage_every_ms", 0, &out->usage_every);
    fields_opt_span(&fields, "retain_ms", 0, &out->retain);
    fields_opt_span(&fields, "gate_limit_ms", 0, &out->gate_limit);
    parent->err = fields.err;
}

enum err sync_reply_decode(struct slice bytes, struct arena *arena, struct sync_reply *out,
                           struct fault *fault)
{
    static const struct json_limits limits = {SYNC_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_VALUES_MAX};
    struct sync_reply reply = {0};
    struct json_document *document = NULL;
    struct fields fields;

    enum err err = json_parse(bytes, &limits, &document, fault);
    if (err != ERR_OK)
        return err;
    fields_begin(&fields, json_root(document), arena, fault);
    fields_u32(&fields, "protocol", UINT32_MAX, &reply.protocol);
    fields_u64(&fields, "db_epoch", &reply.db_epoch);
    fields_u64(&fields, "request_seq", &reply.request_seq);
    fields_opt_u64(&fields, "challenge", &reply.challenge);
    fields_opt_bool(&fields, "want_inventory", &reply.want_inventory);
    fields_u64(&fields, "usage_acked", &reply.usage_acked);
    lists_get(&fields, &reply);
    probes_get(&fields, &reply);
    settings_get(&fields, &reply.settings);
    json_document_destroy(document);
    if (fields.err != ERR_OK)
        return fields.err;
    if (reply.protocol < SYNC_PROTOCOL_OLDEST || reply.protocol > SYNC_PROTOCOL_NEWEST)
        return fault_set(fault, ERR_UNSUPPORTED, "protocol", "this agent speaks %d to %d",
                         SYNC_PROTOCOL_OLDEST, SYNC_PROTOCOL_NEWEST);
    *out = reply;
    return ERR_OK;
}
