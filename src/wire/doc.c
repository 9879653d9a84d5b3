/* The policy, and documents of any kind. */
#include "wire/doc.h"

#include <stdio.h>

#include "base/assert.h"
#include "model/words.h"
#include "wire/doc_parts.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const POLICY_KEYS[] = {
    "currency",           "time_value_per_hour", "carbon_price_per_tonne",
    "egress_per_gb",      "lease_floor",         "start_limit",
    "kill_limit",         "contact_limit",       "usage_every",
    "default_time_limit", "clock_rate_ppm",      "events_kept_max",
};

static void read_time_values(struct value_reader *outer, struct policy *policy)
{
    struct json_value value = value_member(outer, "time_value_per_hour");
    struct value_reader reader;

    if (json_is_missing(value))
        return;
    value_begin(&reader, value, PRIORITY_WORDS, PRIORITY_COUNT_, outer->arena, outer->fault);
    for (int i = 0; i < PRIORITY_COUNT_; i++) {
        struct maybe_money amount = {0};
        value_opt_maybe_money(&reader, PRIORITY_WORDS[i], &amount);
        if (amount.has)
            policy->time_value_per_hour[i] = amount.value;
    }
    value_fail(outer, reader.err);
}

enum err doc_read_policy(struct json_value value, struct arena *arena, struct policy *in_out,
                         struct fault *fault)
{
    struct policy policy = *in_out;
    struct value_reader reader;

    value_begin(&reader, value, POLICY_KEYS, COUNT(POLICY_KEYS), arena, fault);
    value_opt_string(&reader, "currency", 3, &policy.currency);
    read_time_values(&reader, &policy);
    value_opt_maybe_money(&reader, "carbon_price_per_tonne", &policy.carbon_price_per_tonne);
    value_opt_maybe_money(&reader, "egress_per_gb", &policy.egress_per_gb);
    value_opt_span(&reader, "lease_floor", &policy.lease_floor);
    value_opt_span(&reader, "start_limit", &policy.start_limit);
    value_opt_span(&reader, "kill_limit", &policy.kill_limit);
    value_opt_span(&reader, "contact_limit", &policy.contact_limit);
    value_opt_span(&reader, "default_time_limit", &policy.default_time_limit);
    value_opt_span(&reader, "usage_every", &policy.usage_every);
    value_opt_u32(&reader, "clock_rate_ppm", 0, 200000, &policy.clock_rate_ppm);
    value_opt_u64(&reader, "events_kept_max", 1, UINT64_C(1000000000), &policy.events_kept_max);
    if (reader.err == ERR_OK)
        *in_out = policy;
    return reader.err;
}

enum err doc_decode_policy(struct json_value value, struct arena *arena, struct policy *out,
                           struct fault *fault)
{
    struct policy policy;
    enum err err;

    policy_default(&policy);
    err = doc_read_policy(value, arena, &policy, fault);
    if (err == ERR_OK)
        err = value_locate(value, policy_check(&policy, fault), fault);
    if (err == ERR_OK)
        *out = policy;
    return err;
}

void doc_encode_policy(const struct policy *policy, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_string(writer, "currency", policy->currency);
    json_key(writer, "time_value_per_hour");
    json_begin_object(writer);
    for (int i = 0; i < PRIORITY_COUNT_; i++)
        json_put_money(writer, PRIORITY_WORDS[i], policy->time_value_per_hour[i]);
    json_end_object(writer);
    value_put_money(writer, "carbon_price_per_tonne", policy->carbon_price_per_tonne);
    value_put_money(writer, "egress_per_gb", policy->egress_per_gb);
    json_put_span(writer, "lease_floor", policy->lease_floor);
    json_put_span(writer, "start_limit", policy->start_limit);
    json_put_span(writer, "kill_limit", policy->kill_limit);
    json_put_span(writer, "contact_limit", policy->contact_limit);
    json_put_span(writer, "default_time_limit", policy->default_time_limit);
    json_put_span(writer, "usage_every", policy->usage_every);
    json_put_u64(writer, "clock_rate_ppm", policy->clock_rate_ppm);
    json_put_u64(writer, "events_kept_max", policy->events_kept_max);
    json_end_object(writer);
}

static enum err decode_kind(struct json_value value, struct arena *arena, struct doc_value *out,
                            struct fault *fault)
{
    switch (out->kind) {
    case DOC_REGION:
        return doc_decode_region(value, arena, &out->region, fault);
    case DOC_SITE:
        return doc_decode_site(value, arena, &out->site, fault);
    case DOC_TENANT:
        return doc_decode_tenant(value, arena, &out->tenant, fault);
    case DOC_USER:
        return doc_decode_user(value, arena, &out->user, fault);
    case DOC_TOKEN:
        return doc_decode_api_token(value, arena, &out->api_token, fault);
    case DOC_JOIN_TOKEN:
        return doc_decode_join_token(value, arena, &out->join_token, fault);
    case DOC_DATASET:
        return doc_decode_dataset(value, arena, &out->dataset, fault);
    case DOC_LINK:
        return doc_decode_link(value, arena, &out->link, fault);
    case DOC_POLICY:
        return doc_decode_policy(value, arena, &out->policy, fault);
    case DOC_OPERATOR:
        return doc_decode_operator(value, arena, &out->account, fault);
    case DOC_SITE_STATE:
        return doc_decode_site_memory(value, arena, &out->site_memory, fault);
    case DOC_THROUGHPUT:
        return doc_decode_throughput(value, arena, &out->throughput, fault);
    case DOC_KIND_COUNT_:
        break;
    }
    return fault_set(fault, ERR_INVALID, NULL, "there is no such kind of document");
}

enum err doc_parse(enum doc_kind kind, struct slice body, struct arena *arena,
                   struct doc_value *out, struct fault *fault)
{
    struct doc_value value = {.kind = kind};
    struct json_document *document = NULL;
    enum err err = json_parse(body, &JSON_LIMITS_REQUEST, &document, fault);

    if (err == ERR_OK)
        err = decode_kind(json_root(document), arena, &value, fault);
    json_document_destroy(document);
    if (err == ERR_OK)
        *out = value;
    return err;
}

static void encode_kind(const struct doc_value *value, struct json_writer *writer)
{
    switch (value->kind) {
    case DOC_REGION:
        doc_encode_region(&value->region, writer);
        return;
    case DOC_SITE:
        doc_encode_site(&value->site, writer);
        return;
    case DOC_TENANT:
        doc_encode_tenant(&value->tenant, writer);
        return;
    case DOC_USER:
        doc_encode_user(&value->user, writer);
        return;
    case DOC_TOKEN:
        doc_encode_api_token(&value->api_token, writer);
        return;
    case DOC_JOIN_TOKEN:
        doc_encode_join_token(&value->join_token, writer);
        return;
    case DOC_DATASET:
        doc_encode_dataset(&value->dataset, writer);
        return;
    case DOC_LINK:
        doc_encode_link(&value->link, writer);
        return;
    case DOC_POLICY:
        doc_encode_policy(&value->policy, writer);
        return;
    case DOC_OPERATOR:
        doc_encode_operator(&value->account, writer);
        return;
    case DOC_SITE_STATE:
        doc_encode_site_memory(&value->site_memory, writer);
        return;
    case DOC_THROUGHPUT:
        doc_encode_throughput(&value->throughput, writer);
        return;
    case DOC_KIND_COUNT_:
        break;
    }
    ASSERT(!"a document has a kind");
}

enum err doc_encode(const struct doc_value *value, struct buffer *out)
{
    size_t before = out->len;
    struct json_writer writer;
    enum err err;

    json_writer_init(&writer, out);
    encode_kind(value, &writer);
    err = json_writer_finish(&writer);
    if (err == ERR_OK && out->len - before > DOC_BYTES_MAX) {
        buffer_truncate(out, before);
        err = ERR_LIMIT;
    }
    return err;
}

static void put_id_key(struct id id, const char *prefix, char out[DOC_ID_MAX + 1])
{
    char text[ID_TEXT_MAX];

    id_format(id, prefix, text);
    snprintf(out, DOC_ID_MAX + 1, "%s", text);
}

static void put_name_key(struct slice name, char out[DOC_ID_MAX + 1])
{
    ASSERT(name.len <= NAME_MAX);
    snprintf(out, DOC_ID_MAX + 1, "%.*s", SLICE_ARG(name));
}

void doc_key(const struct doc_value *value, char out[DOC_ID_MAX + 1])
{
    switch (value->kind) {
    case DOC_REGION:
        put_name_key(value->region.name, out);
        return;
    case DOC_OPERATOR:
        put_name_key(value->account.name, out);
        return;
    case DOC_SITE:
        put_id_key(value->site.id.id, ID_PREFIX_SITE, out);
        return;
    case DOC_SITE_STATE:
        put_id_key(value->site_memory.site.id, ID_PREFIX_SITE, out);
        return;
    case DOC_TENANT:
        put_id_key(value->tenant.id.id, ID_PREFIX_TENANT, out);
        return;
    case DOC_USER:
        put_id_key(value->user.id.id, ID_PREFIX_USER, out);
        return;
    case DOC_TOKEN:
        put_id_key(value->api_token.id.id, ID_PREFIX_TOKEN, out);
        return;
    case DOC_JOIN_TOKEN:
        put_id_key(value->join_token.id.id, ID_PREFIX_TOKEN, out);
        return;
    case DOC_DATASET:
        put_id_key(value->dataset.id.id, ID_PREFIX_DATASET, out);
        return;
    case DOC_LINK:
        snprintf(out, DOC_ID_MAX + 1, "%.*s|%.*s", SLICE_ARG(value->link.a),
                 SLICE_ARG(value->link.b));
        return;
    case DOC_POLICY:
        snprintf(out, DOC_ID_MAX + 1, "policy");
        return;
    case DOC_THROUGHPUT:
        put_id_key(value->throughput.workload, ID_PREFIX_WORKLOAD, out);
        return;
    case DOC_KIND_COUNT_:
        break;
    }
    ASSERT(!"a document has a kind");
}
