#include "wire/sync.h"

#include "base/buffer.h"
#include "wire/sync_parts.h"

enum { SYNC_DEPTH_MAX = 16, SYNC_VALUES_MAX = 400000, VERSION_MAX = 64, PEER_MAX = 64 };

static const char *const PHASE_NAMES[PHASE_COUNT_] = {
    [PHASE_INTENT] = "intent",
    [PHASE_TAKEN] = "taken",
    [PHASE_ENDED] = "ended",
    [PHASE_NEVER] = "never",
};

/* ---- usage: the seven quantities as an array, in the order of the struct */

static void quantities_put(struct json_writer *writer, const char *name,
                           const struct usage_quantities *q)
{
    const int64_t values[] = {q->wall_ms,    q->cpu_ms,       q->cpu_held_ms, q->accel_ms,
                              q->mem_mib_ms, q->gate_wait_ms, q->kill_wait_ms};
    json_key(writer, name);
    json_begin_array(writer);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        json_i64(writer, values[i]);
    json_end_array(writer);
}

static void quantities_get(struct fields *fields, const char *name, struct usage_quantities *q)
{
    int64_t *const slots[] = {&q->wall_ms,    &q->cpu_ms,       &q->cpu_held_ms, &q->accel_ms,
                              &q->mem_mib_ms, &q->gate_wait_ms, &q->kill_wait_ms};
    const size_t count = sizeof(slots) / sizeof(slots[0]);
    struct json_value array = {0};

    fields_opt_array(fields, name, count, &array);
    if (fields->err != ERR_OK)
        return;
    if (json_count(array) != count) {
        fields->err = json_refuse_member(fields->object, name, fields->fault, ERR_INVALID,
                                         "must have %zu numbers", count);
        return;
    }
    struct json_iterator it = json_iterate(array);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = json_to_i64(it.value, 0, INT64_MAX, slots[it.index], fields->fault);
}

static void usage_put(struct json_writer *writer, const struct usage_record *record)
{
    json_begin_object(writer);
    json_put_u64(writer, "seq", record->seq);
    token_put(writer, "token", &record->token);
    if (record->is_last)
        json_put_bool(writer, "last", true);
    json_put_text(writer, "runtime", runtime_name(record->runtime));
    if (record->accelerator[0] != '\0')
        json_put_text(writer, "accelerator", record->accelerator);
    quantities_put(writer, "delta", &record->delta);
    quantities_put(writer, "total", &record->total);
    json_put_i64(writer, "measured_us", record->measured_at.us);
    json_end_object(writer);
}

static enum err usage_get(struct json_value value, const struct sync_request *request,
                          struct arena *arena, struct usage_record *out, struct fault *fault)
{
    struct fields fields;
    struct slice runtime = {0};
    struct slice accelerator = {0};
    struct usage_record record = {.site = request->site, .journal = request->journal};

    fields_begin(&fields, value, arena, fault);
    fields_u64(&fields, "seq", &record.seq);
    fields_token(&fields, "token", &record.token);
    fields_opt_bool(&fields, "last", &record.is_last);
    fields_string(&fields, "runtime", VERSION_MAX, &runtime);
    fields_opt_string(&fields, "accelerator", sizeof(record.accelerator) - 1, &accelerator);
    quantities_get(&fields, "delta", &record.delta);
    quantities_get(&fields, "total", &record.total);
    fields_opt_i64(&fields, "measured_us", INT64_MIN, &record.measured_at.us);
    if (fields.err != ERR_OK)
        return fields.err;
    if (runtime_parse(runtime, &record.runtime) != ERR_OK)
        return json_refuse_member(value, "runtime", fault, ERR_INVALID, "is not a known runtime");
    for (size_t i = 0; i < accelerator.len; i++)
        record.accelerator[i] = accelerator.data[i];
    *out = record;
    return usage_record_check(&record, fault);
}

/* ---- reports of attempts */

static void attempt_put(struct json_writer *writer, const struct sync_attempt *attempt)
{
    json_begin_object(writer);
    token_put(writer, "token", &attempt->token);
    json_put_text(writer, "phase", PHASE_NAMES[attempt->phase]);
    outcome_put(writer, "outcome", attempt->outcome);
    if (attempt->exit_code != 0)
        json_put_i64(writer, "exit_code", attempt->exit_code);
    span_put(writer, "ran_ms", attempt->ran);
    span_put(writer, "age_ms", attempt->since_change);
    if (attempt->is_reclaiming)
        json_put_bool(writer, "reclaiming", true);
    progress_put(writer, &attempt->progress);
    json_end_object(writer);
}

static enum err attempt_get(struct json_value value, struct arena *arena, struct sync_attempt *out,
                            struct fault *fault)
{
    struct fields fields;
    struct sync_attempt attempt = {0};
    unsigned phase = 0;

    fields_begin(&fields, value, arena, fault);
    fields_token(&fields, "token", &attempt.token);
    fields_choice(&fields, "phase", PHASE_NAMES, PHASE_COUNT_, &phase);
    fields_opt_outcome(&fields, "outcome", &attempt.outcome);
    fields_opt_i32(&fields, "exit_code", &attempt.exit_code);
    fields_opt_span(&fields, "ran_ms", 0, &attempt.ran);
    fields_opt_span(&fields, "age_ms", 0, &attempt.since_change);
    fields_opt_bool(&fields, "reclaiming", &attempt.is_reclaiming);
    fields_opt_progress(&fields, &attempt.progress);
    if (fields.err != ERR_OK)
        return fields.err;
    attempt.phase = (enum journal_phase)phase;
    *out = attempt;
    return ERR_OK;
}

/* ---- free capacity */

static void load_put(struct json_writer *writer, const struct node_load *load)
{
    json_key(writer, "load");
    json_begin_object(writer);
    json_put_u64(writer, "owner_cpu_milli", load->owner_cpu_milli);
    if (load->owner_devices != 0)
        json_put_u64(writer, "owner_devices", load->owner_devices);
    if (load->has_busy) {
        json_put_bool(writer, "busy", true);
        json_put_u64(writer, "owner_busy_cpu_milli", load->owner_busy_cpu_milli);
        json_put_u64(writer, "pool_busy_cpu_milli", load->pool_busy_cpu_milli);
    }
    json_end_object(writer);
}

static void node_put(struct json_writer *writer, const struct sync_node *node)
{
    json_begin_object(writer);
    json_put_u64(writer, "node", node->node);
    json_put_bool(writer, "up", node->is_up);
    json_put_u64(writer, "cpu_milli", node->cpu_milli_free);
    json_put_u64(writer, "mem_bytes", node->mem_bytes_free);
    if (node->devices_free_count != 0) {
        json_key(writer, "devices");
        json_begin_array(writer);
        for (uint32_t i = 0; i < node->devices_free_count; i++)
            json_u64(writer, node->devices_free[i]);
        json_end_array(writer);
    }
    if (node->load.is_known)
        load_put(writer, &node->load);
    json_end_object(writer);
}

static enum err load_get(struct fields *outer, struct json_value value, struct node_load *out)
{
    struct fields fields;
    struct node_load load = {.is_known = true};
    fields_begin(&fields, value, outer->arena, outer->fault);
    fields_opt_u32(&fields, "owner_cpu_milli", UINT32_MAX, &load.owner_cpu_milli);
    fields_opt_u32(&fields, "owner_devices", UINT8_MAX, &load.owner_devices);
    fields_opt_bool(&fields, "busy", &load.has_busy);
    fields_opt_u32(&fields, "owner_busy_cpu_milli", UINT32_MAX, &load.owner_busy_cpu_milli);
    fields_opt_u32(&fields, "pool_busy_cpu_milli", UINT32_MAX, &load.pool_busy_cpu_milli);
    if (fields.err == ERR_OK)
        *out = load;
    return fields.err;
}

static enum err node_get(struct json_value value, struct arena *arena, struct sync_node *out,
                         struct fault *fault)
{
    struct fields fields;
    struct sync_node node = {0};
    struct json_value devices = {0};
    uint32_t index = 0;

    fields_begin(&fields, value, arena, fault);
    fields_u32(&fields, "node", UINT16_MAX, &index);
    fields_opt_bool(&fields, "up", &node.is_up);
    fields_u32(&fields, "cpu_milli", UINT32_MAX, &node.cpu_milli_free);
    fields_u64(&fields, "mem_bytes", &node.mem_bytes_free);
    fields_opt_array(&fields, "devices", RANK_DEVICES_MAX, &devices);
    struct json_iterator it = json_iterate(devices);
    while (fields.err == ERR_OK && json_next(&it)) {
        uint64_t device = 0;
        fields.err = json_to_u64(it.value, 0, UINT8_MAX, &device, fault);
        node.devices_free[node.devices_free_count++] = (uint8_t)device;
    }
    struct json_value load = json_object_get(value, "load");
    if (fields.err == ERR_OK && !json_is_missing(load))
        fields.err = load_get(&fields, load, &node.load);
    if (fields.err != ERR_OK)
        return fields.err;
    node.node = (uint16_t)index;
    *out = node;
    return ERR_OK;
}

static void link_put(struct json_writer *writer, const struct sync_link *link)
{
    json_begin_object(writer);
    json_put_string(writer, "peer", link->peer);
    json_put_i64(writer, "rtt_us", link->rtt_us);
    json_put_i64(writer, "bandwidth_kbps", link->bandwidth_kbps);
    span_put(writer, "age_ms", link->age);
    json_end_object(writer);
}

static enum err link_get(struct json_value value, struct arena *arena, struct sync_link *out,
                         struct fault *fault)
{
    struct fields fields;
    struct sync_link link = {0};

    fields_begin(&fields, value, arena, fault);
    fields_string(&fields, "peer", PEER_MAX, &link.peer);
    fields_opt_i64(&fields, "rtt_us", 0, &link.rtt_us);
    fields_opt_i64(&fields, "bandwidth_kbps", 0, &link.bandwidth_kbps);
    fields_opt_span(&fields, "age_ms", 0, &link.age);
    if (fields.err == ERR_OK)
        *out = link;
    return fields.err;
}

/* ---- reclaims */

static void reclaim_put(struct json_writer *writer, const struct reclaim *reclaim)
{
    json_begin_object(writer);
    json_put_string(writer, "name", reclaim->name);
    json_put_i64(writer, "at_us", reclaim->at.us);
    span_put(writer, "wait_ms", reclaim->wait);
    span_put(writer, "held_ms", reclaim->held);
    span_put(writer, "promise_ms", reclaim->promise);
    json_put_u64(writer, "attempts", reclaim->attempts);
    if (reclaim->is_open)
        json_put_bool(writer, "open", true);
    json_end_object(writer);
}

static enum err reclaim_get(struct json_value value, struct arena *arena, struct reclaim *out,
                            struct fault *fault)
{
    struct fields fields;
    struct reclaim reclaim = {0};

    fields_begin(&fields, value, arena, fault);
    fields_string(&fields, "name", RECLAIM_NAME_MAX, &reclaim.name);
    fields_opt_i64(&fields, "at_us", INT64_MIN, &reclaim.at.us);
    fields_opt_span(&fields, "wait_ms", 0, &reclaim.wait);
    fields_opt_span(&fields, "held_ms", 0, &reclaim.held);
    fields_opt_span(&fields, "promise_ms", 0, &reclaim.promise);
    fields_opt_u32(&fields, "attempts", UINT32_MAX, &reclaim.attempts);
    fields_opt_bool(&fields, "open", &reclaim.is_open);
    if (fields.err != ERR_OK)
        return fields.err;
    *out = reclaim;
    return reclaim_check(&reclaim, fault);
}

/* ---- probes */

static void probed_put(struct json_writer *writer, const struct sync_request *request)
{
    if (request->probed_count == 0)
        return;
    json_key(writer, "probed");
    json_begin_array(writer);
    for (uint32_t i = 0; i < request->probed_count; i++) {
        json_begin_object(writer);
        json_put_u64(writer, "number", request->probed[i].number);
        json_put_bool(writer, "good", request->probed[i].is_good);
        if (request->probed[i].why.len > 0)
            json_put_string(writer, "why", request->probed[i].why);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static enum err probed_get(struct json_value value, struct arena *arena, struct sync_probed *out,
                           struct fault *fault)
{
    struct fields fields;
    struct sync_probed probed = {0};
    fields_begin(&fields, value, arena, fault);
    fields_u64(&fields, "number", &probed.number);
    fields_opt_bool(&fields, "good", &probed.is_good);
    fields_opt_string(&fields, "why", SYNC_PROBE_WHY_MAX, &probed.why);
    if (fields.err == ERR_OK)
        *out = probed;
    return fields.err;
}

static void probed_list_get(struct fields *fields, struct sync_request *request)
{
    struct json_value probed = {0};
    fields_opt_array(fields, "probed", SYNC_PROBES_MAX, &probed);
    struct sync_probed *room = fields_room(fields, probed, sizeof(*room), &request->probed_count);
    struct json_iterator it = json_iterate(probed);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = probed_get(it.value, fields->arena, &room[it.index], fields->fault);
    request->probed = room;
}

/* ---- the whole */

/* What is told until a request with it was answered. */
static void news_put(struct json_writer *writer, const struct sync_request *request)
{
    if (request->copied_count != 0) {
        json_key(writer, "copied");
        json_begin_array(writer);
        for (uint32_t i = 0; i < request->copied_count; i++)
            token_write(writer, &request->copied[i]);
        json_end_array(writer);
    }
    if (request->reclaim_count != 0) {
        json_key(writer, "reclaims");
        json_begin_array(writer);
        for (uint32_t i = 0; i < request->reclaim_count; i++)
            reclaim_put(writer, &request->reclaims[i]);
        json_end_array(writer);
    }
}

static void lists_put(struct json_writer *writer, const struct sync_request *request)
{
    json_key(writer, "attempts");
    json_begin_array(writer);
    for (uint32_t i = 0; i < request->attempt_count; i++)
        attempt_put(writer, &request->attempts[i]);
    json_end_array(writer);
    if (request->node_count != 0) {
        json_key(writer, "nodes");
        json_begin_array(writer);
        for (uint32_t i = 0; i < request->node_count; i++)
            node_put(writer, &request->nodes[i]);
        json_end_array(writer);
    }
    if (request->usage_count != 0) {
        json_key(writer, "usage");
        json_begin_array(writer);
        for (uint32_t i = 0; i < request->usage_count; i++)
            usage_put(writer, &request->usage[i]);
        json_end_array(writer);
    }
    if (request->link_count != 0) {
        json_key(writer, "links");
        json_begin_array(writer);
        for (uint32_t i = 0; i < request->link_count; i++)
            link_put(writer, &request->links[i]);
        json_end_array(writer);
    }
    if (request->surplus.len != 0) {
        json_key(writer, "surplus");
        json_raw(writer, request->surplus);
    }
}

enum err sync_request_encode(const struct sync_request *request, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_u64(&writer, "protocol", request->protocol);
    json_put_string(&writer, "agent_version", request->agent_version);
    json_put_id(&writer, "site", request->site.id, "site");
    json_put_id(&writer, "journal", request->journal.id, "jrn");
    json_put_u64(&writer, "epoch_seen", request->epoch_seen);
    json_put_u64(&writer, "request_seq", request->request_seq);
    if (request->challenge != 0)
        json_put_u64(&writer, "challenge", request->challenge);
    json_put_u64(&writer, "usage_acked", request->usage_acked);
    json_put_u64(&writer, "usage_oldest", request->usage_oldest);
    if (request->is_inventory)
        json_put_bool(&writer, "inventory", true);
    if (request->is_draining)
        json_put_bool(&writer, "draining", true);
    lists_put(&writer, request);
    probed_put(&writer, request);
    news_put(&writer, request);
    json_end_object(&writer);
    return json_writer_finish(&writer);
}

static void lists_get(struct fields *fields, struct sync_request *request)
{
    struct json_value attempts = {0}, nodes = {0}, usage = {0}, links = {0};
    fields_opt_array(fields, "attempts", SYNC_ATTEMPTS_MAX, &attempts);
    fields_opt_array(fields, "nodes", SITE_NODES_MAX, &nodes);
    fields_opt_array(fields, "usage", USAGE_BATCH_MAX, &usage);
    fields_opt_array(fields, "links", SYNC_LINKS_MAX, &links);
    struct sync_attempt *attempt_room =
        fields_room(fields, attempts, sizeof(*attempt_room), &request->attempt_count);
    struct sync_node *node_room =
        fields_room(fields, nodes, sizeof(*node_room), &request->node_count);
    struct usage_record *usage_room =
        fields_room(fields, usage, sizeof(*usage_room), &request->usage_count);
    struct sync_link *link_room =
        fields_room(fields, links, sizeof(*link_room), &request->link_count);

    struct json_iterator it = json_iterate(attempts);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = attempt_get(it.value, fields->arena, &attempt_room[it.index], fields->fault);
    it = json_iterate(nodes);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = node_get(it.value, fields->arena, &node_room[it.index], fields->fault);
    it = json_iterate(usage);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err =
            usage_get(it.value, request, fields->arena, &usage_room[it.index], fields->fault);
    it = json_iterate(links);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = link_get(it.value, fields->arena, &link_room[it.index], fields->fault);
    request->attempts = attempt_room;
    request->nodes = node_room;
    request->usage = usage_room;
    request->links = link_room;
}

static void news_get(struct fields *fields, struct sync_request *request)
{
    struct json_value copied = {0}, reclaims = {0};
    fields_opt_array(fields, "copied", SYNC_COPIED_MAX, &copied);
    fields_opt_array(fields, "reclaims", SYNC_RECLAIMS_MAX, &reclaims);
    struct attempt_token *copied_room =
        fields_room(fields, copied, sizeof(*copied_room), &request->copied_count);
    fields_opt_json(fields, "surplus", SYNC_SURPLUS_BYTES_MAX, &request->surplus);
    struct reclaim *reclaim_room =
        fields_room(fields, reclaims, sizeof(*reclaim_room), &request->reclaim_count);
    struct json_iterator it = json_iterate(copied);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = token_from_json(it.value, &copied_room[it.index], fields->fault);
    it = json_iterate(reclaims);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = reclaim_get(it.value, fields->arena, &reclaim_room[it.index], fields->fault);
    request->copied = copied_room;
    request->reclaims = reclaim_room;
}

/* Records must start right after the agent's own watermark and leave no gap. */
static enum err usage_check_order(const struct sync_request *request, struct fault *fault)
{
    for (uint32_t i = 0; i < request->usage_count; i++)
        if (request->usage[i].seq != request->usage_acked + 1 + i)
            return fault_set(fault, ERR_INVALID, "usage",
                             "records must follow on from usage_acked without a gap");
    return ERR_OK;
}

enum err sync_request_decode(struct slice bytes, struct arena *arena, struct sync_request *out,
                             struct fault *fault)
{
    static const struct json_limits limits = {SYNC_BYTES_MAX, SYNC_DEPTH_MAX, SYNC_VALUES_MAX};
    struct sync_request request = {0};
    struct json_document *document = NULL;
    struct fields fields;

    enum err err = json_parse(bytes, &limits, &document, fault);
    if (err != ERR_OK)
        return err;
    fields_begin(&fields, json_root(document), arena, fault);
    fields_u32(&fields, "protocol", UINT32_MAX, &request.protocol);
    fields_opt_string(&fields, "agent_version", VERSION_MAX, &request.agent_version);
    fields_id(&fields, "site", "site", &request.site.id);
    fields_id(&fields, "journal", "jrn", &request.journal.id);
    fields_u64(&fields, "epoch_seen", &request.epoch_seen);
    fields_u64(&fields, "request_seq", &request.request_seq);
    fields_opt_u64(&fields, "challenge", &request.challenge);
    fields_u64(&fields, "usage_acked", &request.usage_acked);
    fields_u64(&fields, "usage_oldest", &request.usage_oldest);
    fields_opt_bool(&fields, "inventory", &request.is_inventory);
    fields_opt_bool(&fields, "draining", &request.is_draining);
    lists_get(&fields, &request);
    probed_list_get(&fields, &request);
    news_get(&fields, &request);
    json_document_destroy(document);
    if (fields.err != ERR_OK)
        return fields.err;
    if (request.protocol < SYNC_PROTOCOL_OLDEST || request.protocol > SYNC_PROTOCOL_NEWEST)
        return fault_set(fault, ERR_UNSUPPORTED, "protocol", "this server speaks %d to %d",
                         SYNC_PROTOCOL_OLDEST, SYNC_PROTOCOL_NEWEST);
    err = usage_check_order(&request, fault);
    if (err == ERR_OK)
        *out = request;
    return err;
}
