#include "base/buffer.h"
#include "wire/sync.h"
#include "wire/sync_parts.h"

enum {
    ORDER_DEPTH_MAX = 24,
    ORDER_VALUES_MAX = 200000,
    ORDER_JSON_MAX = 2 << 20,
    ORDER_SPEC_MAX = 1 << 20,
    ORDER_SECRET_MAX = 256,
};

static const char *const CONTACT_NAMES[CONTACT_COUNT_] = {
    [CONTACT_STRICT] = "strict", [CONTACT_LEASE] = "lease"};

static void place_put(struct json_writer *writer, const struct rank_place *place)
{
    json_begin_object(writer);
    json_put_u64(writer, "node", place->node);
    if (place->device_count != 0) {
        json_key(writer, "devices");
        json_begin_array(writer);
        for (uint32_t i = 0; i < place->device_count; i++)
            json_u64(writer, place->devices[i]);
        json_end_array(writer);
    }
    json_end_object(writer);
}

enum err attempt_order_encode(const struct attempt_order *order, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    token_put(&writer, "token", &order->token);
    json_put_string(&writer, "job_name", order->job_name);
    json_put_id(&writer, "tenant", order->tenant.id, "ten");
    json_key(&writer, "spec");
    json_raw(&writer, order->spec);
    json_put_u64(&writer, "variant", order->variant);
    json_put_u64(&writer, "array_index", order->array_index);
    json_key(&writer, "places");
    json_begin_array(&writer);
    for (uint32_t i = 0; i < order->nodes; i++)
        place_put(&writer, &order->places[i]);
    json_end_array(&writer);
    json_put_text(&writer, "contact", CONTACT_NAMES[order->contact.policy]);
    span_put(&writer, "lease_ms", order->contact.lease);
    if (!id_is_none(order->restore))
        json_put_id(&writer, "restore", order->restore, "art");
    if (order->restore_step != 0)
        json_put_u64(&writer, "restore_step", order->restore_step);
    if (order->secret.len != 0)
        json_put_string(&writer, "secret", order->secret);
    json_end_object(&writer);
    return json_writer_finish(&writer);
}

static enum err place_get(struct json_value value, struct arena *arena, struct rank_place *out,
                          struct fault *fault)
{
    struct fields fields;
    struct rank_place place = {0};
    struct json_value devices = {0};
    uint32_t node = 0;

    fields_begin(&fields, value, arena, fault);
    fields_u32(&fields, "node", UINT16_MAX, &node);
    fields_opt_array(&fields, "devices", RANK_DEVICES_MAX, &devices);
    struct json_iterator it = json_iterate(devices);
    while (fields.err == ERR_OK && json_next(&it)) {
        uint64_t device = 0;
        fields.err = json_to_u64(it.value, 0, UINT8_MAX, &device, fault);
        place.devices[place.device_count++] = (uint8_t)device;
    }
    if (fields.err != ERR_OK)
        return fields.err;
    place.node = (uint16_t)node;
    *out = place;
    return ERR_OK;
}

static void places_get(struct fields *fields, struct attempt_order *out)
{
    struct json_value places = {0};
    fields_opt_array(fields, "places", JOB_NODES_MAX, &places);
    struct rank_place *room = fields_room(fields, places, sizeof(*room), &out->nodes);
    if (fields->err == ERR_OK && out->nodes == 0) {
        fields->err = json_refuse_member(fields->object, "places", fields->fault, ERR_INVALID,
                                         "must name at least one place");
        return;
    }
    struct json_iterator it = json_iterate(places);
    while (fields->err == ERR_OK && json_next(&it))
        fields->err = place_get(it.value, fields->arena, &room[it.index], fields->fault);
    out->places = room;
}

enum err attempt_order_decode(struct slice bytes, struct arena *arena, struct attempt_order *out,
                              struct fault *fault)
{
    static const struct json_limits limits = {ORDER_JSON_MAX, ORDER_DEPTH_MAX, ORDER_VALUES_MAX};
    struct attempt_order order = {0};
    struct json_document *document = NULL;
    struct fields fields;
    unsigned contact = 0;

    enum err err = json_parse(bytes, &limits, &document, fault);
    if (err != ERR_OK)
        return err;
    fields_begin(&fields, json_root(document), arena, fault);
    fields_token(&fields, "token", &order.token);
    fields_opt_string(&fields, "job_name", JOB_NAME_MAX, &order.job_name);
    fields_id(&fields, "tenant", "ten", &order.tenant.id);
    fields_opt_json(&fields, "spec", ORDER_SPEC_MAX, &order.spec);
    fields_opt_u32(&fields, "variant", JOB_VARIANTS_MAX - 1, &order.variant);
    fields_opt_u32(&fields, "array_index", UINT32_MAX, &order.array_index);
    places_get(&fields, &order);
    fields_choice(&fields, "contact", CONTACT_NAMES, CONTACT_COUNT_, &contact);
    fields_opt_span(&fields, "lease_ms", 0, &order.contact.lease);
    fields_opt_id(&fields, "restore", "art", &order.restore);
    fields_opt_u64(&fields, "restore_step", &order.restore_step);
    fields_opt_string(&fields, "secret", ORDER_SECRET_MAX, &order.secret);
    if (fields.err == ERR_OK && order.spec.len == 0)
        fields.err = json_refuse_member(fields.object, "spec", fault, ERR_INVALID, "is required");
    json_document_destroy(document);
    if (fields.err != ERR_OK)
        return fields.err;
    order.contact.policy = (enum contact_policy)contact;
    *out = order;
    return ERR_OK;
}
