/* Regions, links, operators and what the protocol remembers of sites, to JSON and back. */
#include "model/words.h"
#include "wire/doc_parts.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const REGION_KEYS[] = {
    "id",
    "name",
    "title",
    "role",
    "lat",
    "lon",
    "jurisdiction",
    "price_per_kwh",
    "price_source",
    "price_is_example",
    "pue",
    "pue_source",
    "pue_is_example",
    "carbon_g_per_kwh",
    "carbon_source",
    "carbon_is_example",
};
static const char *const LINK_KEYS[] = {
    "a", "b", "rtt_ms", "bandwidth_mbps", "source", "egress_per_gb"};
static const char *const OPERATOR_KEYS[] = {"name", "title"};
static const char *const MEMORY_KEYS[] = {"site",         "journal",         "epoch_reported",
                                          "usage_acked",  "former_journals", "certificates",
                                          "contacted_at", "quarantine"};
static const char *const QUARANTINE_KEYS[] = {"node",    "failure", "by_operator", "jobs",
                                              "tenants", "probes",  "since"};

/* A figure whose source begins with the word "example" is one, whether or not the flag says so. */
static void read_origin(struct value_reader *reader, const char *source, const char *flag,
                        struct origin *out)
{
    value_opt_string(reader, source, SOURCE_MAX, &out->source);
    value_opt_bool(reader, flag, &out->is_example);
    if (slice_has_prefix(out->source, SLICE_LITERAL("example")))
        out->is_example = true;
}

static void put_origin(struct json_writer *writer, const char *source, const char *flag,
                       const struct origin *origin)
{
    value_put_text(writer, source, origin->source);
    value_put_flag(writer, flag, origin->is_example);
}

static void read_position(struct value_reader *reader, struct region *out)
{
    bool has_lat = false, has_lon = false;
    int64_t lat = 0, lon = 0;

    value_opt_decimal(reader, "lat", 6, &has_lat, &lat);
    value_opt_decimal(reader, "lon", 6, &has_lon, &lon);
    if (has_lat != has_lon)
        value_refuse(reader, has_lat ? "lon" : "lat", ERR_INVALID,
                     "a position has both lat and lon");
    if (lat < -90000000 || lat > 90000000)
        value_refuse(reader, "lat", ERR_INVALID, "must be between -90 and 90");
    if (lon < -180000000 || lon > 180000000)
        value_refuse(reader, "lon", ERR_INVALID, "must be between -180 and 180");
    out->has_position = has_lat && has_lon;
    out->lat_udeg = (int32_t)lat;
    out->lon_udeg = (int32_t)lon;
}

/* A decimal that may be empty and is never negative. */
static void read_figure(struct value_reader *reader, const char *name, unsigned decimals,
                        struct maybe_u64 *out)
{
    bool has = false;
    int64_t value = 0;

    value_opt_decimal(reader, name, decimals, &has, &value);
    if (value < 0)
        value_refuse(reader, name, ERR_INVALID, "must not be negative");
    if (has)
        *out = MAYBE_U64((uint64_t)value);
}

enum err doc_read_region(struct json_value value, struct arena *arena, struct region *out,
                         struct fault *fault)
{
    struct region region = {.title = {"", 0}};
    struct value_reader reader;
    unsigned role = ROLE_ANY;

    value_begin(&reader, value, REGION_KEYS, COUNT(REGION_KEYS), arena, fault);
    value_opt_id(&reader, "id", ID_PREFIX_REGION, &region.id.id);
    value_need_string(&reader, "name", NAME_MAX, &region.name);
    value_opt_string(&reader, "title", TITLE_MAX, &region.title);
    value_opt_choice(&reader, "role", REGION_ROLE_WORDS, ROLE_COUNT_, &role);
    value_need_string(&reader, "jurisdiction", NAME_MAX, &region.jurisdiction);
    read_position(&reader, &region);
    value_opt_maybe_money(&reader, "price_per_kwh", &region.price_per_kwh);
    read_origin(&reader, "price_source", "price_is_example", &region.price_origin);
    read_figure(&reader, "carbon_g_per_kwh", 3, &region.carbon_mg_per_kwh);
    read_origin(&reader, "carbon_source", "carbon_is_example", &region.carbon_origin);
    read_figure(&reader, "pue", 3, &region.pue_milli);
    read_origin(&reader, "pue_source", "pue_is_example", &region.pue_origin);
    region.role = (enum region_role)role;
    if (reader.err == ERR_OK)
        *out = region;
    return reader.err;
}

enum err doc_decode_region(struct json_value value, struct arena *arena, struct region *out,
                           struct fault *fault)
{
    struct region region;
    enum err err = doc_read_region(value, arena, &region, fault);

    if (err == ERR_OK)
        err = value_locate(value, region_check(&region, fault), fault);
    if (err == ERR_OK)
        *out = region;
    return err;
}

void doc_encode_region(const struct region *region, struct json_writer *writer)
{
    json_begin_object(writer);
    value_put_id(writer, "id", region->id.id, ID_PREFIX_REGION);
    json_put_string(writer, "name", region->name);
    value_put_text(writer, "title", region->title);
    if (region->role != ROLE_ANY)
        json_put_text(writer, "role", role_name(region->role));
    if (region->has_position) {
        value_put_decimal(writer, "lat", region->lat_udeg, 6);
        value_put_decimal(writer, "lon", region->lon_udeg, 6);
    }
    json_put_string(writer, "jurisdiction", region->jurisdiction);
    value_put_money(writer, "price_per_kwh", region->price_per_kwh);
    put_origin(writer, "price_source", "price_is_example", &region->price_origin);
    if (region->carbon_mg_per_kwh.has)
        value_put_decimal(writer, "carbon_g_per_kwh", (int64_t)region->carbon_mg_per_kwh.value, 3);
    put_origin(writer, "carbon_source", "carbon_is_example", &region->carbon_origin);
    if (region->pue_milli.has)
        value_put_decimal(writer, "pue", (int64_t)region->pue_milli.value, 3);
    put_origin(writer, "pue_source", "pue_is_example", &region->pue_origin);
    json_end_object(writer);
}

enum err doc_read_link(struct json_value value, struct arena *arena, struct link *out,
                       struct fault *fault)
{
    struct link link = {.source = LINK_ESTIMATE};
    struct maybe_u64 rtt_us = {0};
    struct value_reader reader;
    unsigned source = LINK_ESTIMATE;

    value_begin(&reader, value, LINK_KEYS, COUNT(LINK_KEYS), arena, fault);
    value_need_string(&reader, "a", NAME_MAX, &link.a);
    value_need_string(&reader, "b", NAME_MAX, &link.b);
    read_figure(&reader, "rtt_ms", 3, &rtt_us);
    if (!rtt_us.has)
        value_refuse(&reader, "rtt_ms", ERR_INVALID, "is required");
    value_opt_maybe_u64(&reader, "bandwidth_mbps", UINT64_C(1000000000), &link.bandwidth_mbps);
    value_need_choice(&reader, "source", LINK_SOURCE_WORDS, LINK_SOURCE_COUNT_, &source);
    value_opt_maybe_money(&reader, "egress_per_gb", &link.egress_per_gb);
    link.rtt_us = rtt_us.value;
    link.source = (enum link_source)source;
    link_order(&link);
    if (reader.err == ERR_OK)
        *out = link;
    return reader.err;
}

enum err doc_decode_link(struct json_value value, struct arena *arena, struct link *out,
                         struct fault *fault)
{
    struct link link;
    enum err err = doc_read_link(value, arena, &link, fault);

    if (err == ERR_OK)
        err = value_locate(value, link_check(&link, fault), fault);
    if (err == ERR_OK)
        *out = link;
    return err;
}

void doc_encode_link(const struct link *link, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_string(writer, "a", link->a);
    json_put_string(writer, "b", link->b);
    value_put_decimal(writer, "rtt_ms", (int64_t)link->rtt_us, 3);
    value_put_maybe_u64(writer, "bandwidth_mbps", link->bandwidth_mbps);
    json_put_text(writer, "source", link_source_name(link->source));
    value_put_money(writer, "egress_per_gb", link->egress_per_gb);
    json_end_object(writer);
}

enum err doc_read_operator(struct json_value value, struct arena *arena,
                           struct operator_account *out, struct fault *fault)
{
    struct operator_account account = {.title = {"", 0}};
    struct value_reader reader;

    value_begin(&reader, value, OPERATOR_KEYS, COUNT(OPERATOR_KEYS), arena, fault);
    value_need_string(&reader, "name", NAME_MAX, &account.name);
    value_opt_string(&reader, "title", TITLE_MAX, &account.title);
    if (reader.err == ERR_OK)
        *out = account;
    return reader.err;
}

enum err doc_decode_operator(struct json_value value, struct arena *arena,
                             struct operator_account *out, struct fault *fault)
{
    struct operator_account account;
    enum err err = doc_read_operator(value, arena, &account, fault);

    if (err == ERR_OK)
        err = value_locate(value, operator_check(&account, fault), fault);
    if (err == ERR_OK)
        *out = account;
    return err;
}

void doc_encode_operator(const struct operator_account *account, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_string(writer, "name", account->name);
    value_put_text(writer, "title", account->title);
    json_end_object(writer);
}

static void read_former_journals(struct value_reader *reader, struct site_memory *out)
{
    struct json_value list;
    struct json_iterator it;
    struct journal_id *journals;

    value_opt_array(reader, "former_journals", SITE_FORMER_JOURNALS_MAX, &list);
    journals = value_room(reader, json_count(list), sizeof(*journals));
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it)) {
        struct id *id = &journals[it.index].id;
        reader->err = json_to_id(it.value, ID_PREFIX_JOURNAL, id, reader->fault);
        if (reader->err == ERR_OK && id_is_none(*id)) /* it would be written as null */
            reader->err = fault_set(reader->fault, ERR_INVALID, "former_journals",
                                    "a former journal has a name");
    }
    out->former_journals = journals;
    out->former_journal_count = (uint32_t)json_count(list);
}

static void read_quarantines(struct value_reader *reader, struct site_memory *out)
{
    struct json_value list;
    value_opt_array(reader, "quarantine", SITE_QUARANTINES_MAX, &list);
    struct site_quarantine *room = value_room(reader, json_count(list), sizeof(*room));
    struct json_iterator it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it)) {
        struct site_quarantine *at = &room[it.index];
        struct value_reader inner;
        struct slice failure = {0};
        value_begin(&inner, it.value, QUARANTINE_KEYS, COUNT(QUARANTINE_KEYS), reader->arena,
                    reader->fault);
        value_opt_string(&inner, "node", NAME_MAX, &at->node);
        value_opt_string(&inner, "failure", NAME_MAX, &failure);
        value_opt_bool(&inner, "by_operator", &at->is_manual);
        value_opt_u32(&inner, "jobs", 0, UINT32_MAX, &at->jobs);
        value_opt_u32(&inner, "tenants", 0, UINT32_MAX, &at->tenants);
        value_opt_u32(&inner, "probes", 0, UINT32_MAX, &at->probes);
        value_opt_wall(&inner, "since", &at->since);
        if (failure_parse(failure, &at->failure) != ERR_OK)
            at->failure = FAILURE_NONE;
        value_fail(reader, inner.err);
    }
    out->quarantines = room;
    out->quarantine_count = (uint32_t)json_count(list);
}

static void put_quarantines(const struct site_memory *memory, struct json_writer *writer)
{
    if (memory->quarantine_count == 0)
        return;
    json_key(writer, "quarantine");
    json_begin_array(writer);
    for (uint32_t i = 0; i < memory->quarantine_count; i++) {
        const struct site_quarantine *at = &memory->quarantines[i];
        json_begin_object(writer);
        value_put_text(writer, "node", at->node);
        json_put_text(writer, "failure", failure_name(at->failure));
        value_put_flag(writer, "by_operator", at->is_manual);
        json_put_u64(writer, "jobs", at->jobs);
        json_put_u64(writer, "tenants", at->tenants);
        json_put_u64(writer, "probes", at->probes);
        value_put_wall(writer, "since", at->since);
        json_end_object(writer);
    }
    json_end_array(writer);
}

enum err doc_decode_site_memory(struct json_value value, struct arena *arena,
                                struct site_memory *out, struct fault *fault)
{
    struct site_memory memory = {0};
    struct value_reader reader;

    value_begin(&reader, value, MEMORY_KEYS, COUNT(MEMORY_KEYS), arena, fault);
    value_need_id(&reader, "site", ID_PREFIX_SITE, &memory.site.id);
    value_opt_id(&reader, "journal", ID_PREFIX_JOURNAL, &memory.journal.id);
    value_opt_u64(&reader, "epoch_reported", 0, UINT64_MAX, &memory.epoch_reported);
    value_opt_u64(&reader, "usage_acked", 0, UINT64_MAX, &memory.usage_acked);
    read_former_journals(&reader, &memory);
    value_opt_list(&reader, "certificates", SITE_CERTIFICATES_MAX, NAME_MAX, &memory.certificates);
    value_opt_wall(&reader, "contacted_at", &memory.contacted_at);
    read_quarantines(&reader, &memory);
    if (reader.err == ERR_OK)
        *out = memory;
    return reader.err;
}

void doc_encode_site_memory(const struct site_memory *memory, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_id(writer, "site", memory->site.id, ID_PREFIX_SITE);
    value_put_id(writer, "journal", memory->journal.id, ID_PREFIX_JOURNAL);
    json_put_u64(writer, "epoch_reported", memory->epoch_reported);
    if (memory->usage_acked != 0)
        json_put_u64(writer, "usage_acked", memory->usage_acked);
    if (memory->former_journal_count > 0) {
        json_key(writer, "former_journals");
        json_begin_array(writer);
        for (uint32_t i = 0; i < memory->former_journal_count; i++)
            json_id(writer, memory->former_journals[i].id, ID_PREFIX_JOURNAL);
        json_end_array(writer);
    }
    value_put_list(writer, "certificates", &memory->certificates);
    value_put_wall(writer, "contacted_at", memory->contacted_at);
    put_quarantines(memory, writer);
    json_end_object(writer);
}
