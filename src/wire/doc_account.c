/* Tenants, users, tokens and datasets, to JSON and back. */
#include "base/units.h"
#include "model/words.h"
#include "wire/doc_parts.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const TENANT_KEYS[] = {
    "id", "name", "title", "parent", "weight", "quota", "default_time_limit"};
static const char *const QUOTA_KEYS[] = {"cpus", "accelerators", "jobs_pending", "storage"};
static const char *const USER_KEYS[] = {"id",       "name",  "title",    "tenant",
                                        "operator", "roles", "disabled", "created_at"};
static const char *const API_TOKEN_KEYS[] = {"id",     "user",       "label",      "hash",
                                             "scopes", "created_at", "expires_at", "revoked_at"};
static const char *const JOIN_TOKEN_KEYS[] = {"id",      "hash",       "site",       "operator",
                                              "made_by", "created_at", "expires_at", "used_at"};
static const char *const DATASET_KEYS[] = {"id",       "name",  "tenant",      "size_bytes",
                                           "artifact", "homes", "jurisdiction"};

/* ---- tenants ---- */

static void read_quota(struct value_reader *outer, struct tenant_quota *out)
{
    struct json_value value = value_member(outer, "quota");
    struct value_reader reader;
    bool has_cpus = false;
    int64_t milli = 0;

    if (json_is_missing(value))
        return;
    value_begin(&reader, value, QUOTA_KEYS, COUNT(QUOTA_KEYS), outer->arena, outer->fault);
    value_opt_decimal(&reader, "cpus", 3, &has_cpus, &milli);
    if (milli < 0)
        value_refuse(&reader, "cpus", ERR_INVALID, "must not be negative");
    if (has_cpus)
        out->cpu_milli = MAYBE_U64((uint64_t)milli);
    value_opt_maybe_u64(&reader, "accelerators", UINT32_MAX, &out->accelerators);
    value_opt_maybe_u64(&reader, "jobs_pending", UINT32_MAX, &out->jobs_pending_max);
    if (!json_is_missing(value_member(&reader, "storage"))) {
        value_opt_size(&reader, "storage", &out->storage_bytes.value);
        out->storage_bytes.has = true;
    }
    value_fail(outer, reader.err);
}

enum err doc_read_tenant(struct json_value value, struct arena *arena, struct tenant *out,
                         struct slice *parent_name, struct fault *fault)
{
    struct tenant tenant = {.title = {"", 0}, .weight = 1};
    struct value_reader reader;

    value_begin(&reader, value, TENANT_KEYS, COUNT(TENANT_KEYS), arena, fault);
    value_opt_id(&reader, "id", ID_PREFIX_TENANT, &tenant.id.id);
    value_need_string(&reader, "name", NAME_MAX, &tenant.name);
    value_opt_string(&reader, "title", TITLE_MAX, &tenant.title);
    if (parent_name != NULL)
        value_opt_string(&reader, "parent", NAME_MAX, parent_name);
    else
        value_opt_id(&reader, "parent", ID_PREFIX_TENANT, &tenant.parent.id);
    value_opt_u32(&reader, "weight", 1, TENANT_WEIGHT_MAX, &tenant.weight);
    read_quota(&reader, &tenant.quota);
    value_opt_span(&reader, "default_time_limit", &tenant.default_time_limit);
    if (reader.err == ERR_OK)
        *out = tenant;
    return reader.err;
}

enum err doc_decode_tenant(struct json_value value, struct arena *arena, struct tenant *out,
                           struct fault *fault)
{
    struct tenant tenant;
    enum err err = doc_read_tenant(value, arena, &tenant, NULL, fault);

    if (err == ERR_OK)
        err = value_locate(value, tenant_check(&tenant, fault), fault);
    if (err == ERR_OK)
        *out = tenant;
    return err;
}

static void put_quota(const struct tenant_quota *quota, struct json_writer *writer)
{
    if (!quota->cpu_milli.has && !quota->accelerators.has && !quota->jobs_pending_max.has &&
        !quota->storage_bytes.has)
        return;
    json_key(writer, "quota");
    json_begin_object(writer);
    if (quota->cpu_milli.has)
        value_put_decimal(writer, "cpus", (int64_t)quota->cpu_milli.value, 3);
    value_put_maybe_u64(writer, "accelerators", quota->accelerators);
    value_put_maybe_u64(writer, "jobs_pending", quota->jobs_pending_max);
    if (quota->storage_bytes.has)
        value_put_size(writer, "storage", quota->storage_bytes.value);
    json_end_object(writer);
}

void doc_encode_tenant(const struct tenant *tenant, struct json_writer *writer)
{
    json_begin_object(writer);
    value_put_id(writer, "id", tenant->id.id, ID_PREFIX_TENANT);
    json_put_string(writer, "name", tenant->name);
    value_put_text(writer, "title", tenant->title);
    value_put_id(writer, "parent", tenant->parent.id, ID_PREFIX_TENANT);
    json_put_u64(writer, "weight", tenant->weight);
    put_quota(&tenant->quota, writer);
    value_put_span(writer, "default_time_limit", tenant->default_time_limit);
    json_end_object(writer);
}

/* ---- users ---- */

static void read_roles(struct value_reader *reader, uint32_t *out_roles)
{
    struct json_value list;
    struct json_iterator it;

    value_opt_array(reader, "roles", ROLE_KIND_COUNT_, &list);
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it)) {
        unsigned role = 0;
        reader->err = json_to_choice(it.value, ROLE_WORDS, ROLE_KIND_COUNT_, &role, reader->fault);
        *out_roles |= ROLE_BIT(role);
    }
}

enum err doc_decode_user(struct json_value value, struct arena *arena, struct user *out,
                         struct fault *fault)
{
    struct user user = {.title = {"", 0}, .operator_name = {"", 0}};
    struct value_reader reader;
    enum err err;

    value_begin(&reader, value, USER_KEYS, COUNT(USER_KEYS), arena, fault);
    value_opt_id(&reader, "id", ID_PREFIX_USER, &user.id.id);
    value_need_string(&reader, "name", NAME_MAX, &user.name);
    value_opt_string(&reader, "title", TITLE_MAX, &user.title);
    value_opt_id(&reader, "tenant", ID_PREFIX_TENANT, &user.tenant.id);
    value_opt_string(&reader, "operator", NAME_MAX, &user.operator_name);
    read_roles(&reader, &user.roles);
    value_opt_bool(&reader, "disabled", &user.is_disabled);
    value_opt_wall(&reader, "created_at", &user.created_at);
    err = reader.err;
    if (err == ERR_OK)
        err = value_locate(value, user_check(&user, fault), fault);
    if (err == ERR_OK)
        *out = user;
    return err;
}

void doc_encode_user(const struct user *user, struct json_writer *writer)
{
    json_begin_object(writer);
    value_put_id(writer, "id", user->id.id, ID_PREFIX_USER);
    json_put_string(writer, "name", user->name);
    value_put_text(writer, "title", user->title);
    value_put_id(writer, "tenant", user->tenant.id, ID_PREFIX_TENANT);
    value_put_text(writer, "operator", user->operator_name);
    json_key(writer, "roles");
    json_begin_array(writer);
    for (unsigned role = 0; role < ROLE_KIND_COUNT_; role++)
        if ((user->roles & ROLE_BIT(role)) != 0)
            json_text(writer, ROLE_WORDS[role]);
    json_end_array(writer);
    value_put_flag(writer, "disabled", user->is_disabled);
    value_put_wall(writer, "created_at", user->created_at);
    json_end_object(writer);
}

/* ---- tokens ---- */

static void read_hash(struct value_reader *reader, struct digest *out)
{
    struct slice text = {"", 0};

    value_need_string(reader, "hash", DIGEST_TEXT_MAX, &text);
    if (reader->err == ERR_OK && digest_parse(text, out) != ERR_OK)
        value_refuse(reader, "hash", ERR_INVALID, "must be 64 lower-case hexadecimal digits");
}

static void put_hash(struct json_writer *writer, struct digest hash)
{
    char text[DIGEST_TEXT_MAX];

    digest_format(hash, text);
    json_put_text(writer, "hash", text);
}

/* Left out: all that the user may. */
static void read_scopes(struct value_reader *reader, uint64_t *out_scopes)
{
    struct json_value list;
    struct json_iterator it;

    if (json_is_missing(value_member(reader, "scopes"))) {
        *out_scopes = PERM_ALL;
        return;
    }
    value_opt_array(reader, "scopes", PERM_COUNT_, &list);
    it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it)) {
        unsigned permission = 0;
        reader->err =
            json_to_choice(it.value, PERMISSION_WORDS, PERM_COUNT_, &permission, reader->fault);
        *out_scopes |= PERM_BIT(permission);
    }
}

static void put_scopes(struct json_writer *writer, uint64_t scopes)
{
    if (scopes == PERM_ALL)
        return;
    json_key(writer, "scopes");
    json_begin_array(writer);
    for (unsigned permission = 0; permission < PERM_COUNT_; permission++)
        if ((scopes & PERM_BIT(permission)) != 0)
            json_text(writer, PERMISSION_WORDS[permission]);
    json_end_array(writer);
}

enum err doc_decode_api_token(struct json_value value, struct arena *arena, struct api_token *out,
                              struct fault *fault)
{
    struct api_token token = {.label = {"", 0}};
    struct value_reader reader;
    enum err err;

    value_begin(&reader, value, API_TOKEN_KEYS, COUNT(API_TOKEN_KEYS), arena, fault);
    value_opt_id(&reader, "id", ID_PREFIX_TOKEN, &token.id.id);
    value_need_id(&reader, "user", ID_PREFIX_USER, &token.user.id);
    value_opt_string(&reader, "label", TITLE_MAX, &token.label);
    read_hash(&reader, &token.hash);
    read_scopes(&reader, &token.scopes);
    value_opt_wall(&reader, "created_at", &token.created_at);
    value_opt_wall(&reader, "expires_at", &token.expires_at);
    value_opt_wall(&reader, "revoked_at", &token.revoked_at);
    err = reader.err;
    if (err == ERR_OK)
        err = value_locate(value, api_token_check(&token, fault), fault);
    if (err == ERR_OK)
        *out = token;
    return err;
}

static void put_api_token(const struct api_token *token, struct json_writer *writer, bool with_hash)
{
    json_begin_object(writer);
    value_put_id(writer, "id", token->id.id, ID_PREFIX_TOKEN);
    json_put_id(writer, "user", token->user.id, ID_PREFIX_USER);
    value_put_text(writer, "label", token->label);
    if (with_hash)
        put_hash(writer, token->hash);
    put_scopes(writer, token->scopes);
    value_put_wall(writer, "created_at", token->created_at);
    value_put_wall(writer, "expires_at", token->expires_at);
    value_put_wall(writer, "revoked_at", token->revoked_at);
    json_end_object(writer);
}

void doc_encode_api_token(const struct api_token *token, struct json_writer *writer)
{
    put_api_token(token, writer, true);
}

void doc_show_api_token(const struct api_token *token, struct json_writer *writer)
{
    put_api_token(token, writer, false);
}

enum err doc_decode_join_token(struct json_value value, struct arena *arena, struct join_token *out,
                               struct fault *fault)
{
    struct join_token token = {0};
    struct value_reader reader;
    enum err err;

    value_begin(&reader, value, JOIN_TOKEN_KEYS, COUNT(JOIN_TOKEN_KEYS), arena, fault);
    value_opt_id(&reader, "id", ID_PREFIX_TOKEN, &token.id.id);
    read_hash(&reader, &token.hash);
    value_need_string(&reader, "site", NAME_MAX, &token.site);
    value_need_string(&reader, "operator", NAME_MAX, &token.operator_name);
    value_opt_id(&reader, "made_by", ID_PREFIX_USER, &token.made_by.id);
    value_opt_wall(&reader, "created_at", &token.created_at);
    value_opt_wall(&reader, "expires_at", &token.expires_at);
    value_opt_wall(&reader, "used_at", &token.used_at);
    err = reader.err;
    if (err == ERR_OK)
        err = value_locate(value, join_token_check(&token, fault), fault);
    if (err == ERR_OK)
        *out = token;
    return err;
}

static void put_join_token(const struct join_token *token, struct json_writer *writer,
                           bool with_hash)
{
    json_begin_object(writer);
    value_put_id(writer, "id", token->id.id, ID_PREFIX_TOKEN);
    if (with_hash)
        put_hash(writer, token->hash);
    json_put_string(writer, "site", token->site);
    json_put_string(writer, "operator", token->operator_name);
    value_put_id(writer, "made_by", token->made_by.id, ID_PREFIX_USER);
    value_put_wall(writer, "created_at", token->created_at);
    value_put_wall(writer, "expires_at", token->expires_at);
    value_put_wall(writer, "used_at", token->used_at);
    json_end_object(writer);
}

void doc_encode_join_token(const struct join_token *token, struct json_writer *writer)
{
    put_join_token(token, writer, true);
}

void doc_show_join_token(const struct join_token *token, struct json_writer *writer)
{
    put_join_token(token, writer, false);
}

/* ---- datasets ---- */

enum err doc_decode_dataset(struct json_value value, struct arena *arena, struct dataset *out,
                            struct fault *fault)
{
    struct dataset dataset = {.jurisdiction = {"", 0}};
    struct value_reader reader;
    enum err err;

    value_begin(&reader, value, DATASET_KEYS, COUNT(DATASET_KEYS), arena, fault);
    value_opt_id(&reader, "id", ID_PREFIX_DATASET, &dataset.id.id);
    value_need_string(&reader, "name", NAME_MAX, &dataset.name);
    value_opt_id(&reader, "tenant", ID_PREFIX_TENANT, &dataset.tenant.id);
    value_opt_id(&reader, "artifact", ID_PREFIX_ARTIFACT, &dataset.artifact);
    if (id_is_none(dataset.artifact)) /* else it is the artifact's, and the server's to say */
        value_need_u64(&reader, "size_bytes", INT64_MAX, &dataset.size_bytes);
    else
        value_opt_u64(&reader, "size_bytes", 0, INT64_MAX, &dataset.size_bytes);
    value_opt_list(&reader, "homes", DATASET_HOMES_MAX, NAME_MAX, &dataset.homes);
    value_opt_string(&reader, "jurisdiction", NAME_MAX, &dataset.jurisdiction);
    err = reader.err;
    if (err == ERR_OK)
        err = value_locate(value, dataset_check(&dataset, fault), fault);
    if (err == ERR_OK)
        *out = dataset;
    return err;
}

void doc_encode_dataset(const struct dataset *dataset, struct json_writer *writer)
{
    json_begin_object(writer);
    value_put_id(writer, "id", dataset->id.id, ID_PREFIX_DATASET);
    json_put_string(writer, "name", dataset->name);
    value_put_id(writer, "tenant", dataset->tenant.id, ID_PREFIX_TENANT);
    json_put_u64(writer, "size_bytes", dataset->size_bytes);
    value_put_id(writer, "artifact", dataset->artifact, ID_PREFIX_ARTIFACT);
    value_put_list(writer, "homes", &dataset->homes);
    value_put_text(writer, "jurisdiction", dataset->jurisdiction);
    json_end_object(writer);
}
