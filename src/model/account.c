#include "model/account.h"

#include <stdio.h>

#include "base/units.h"

static enum err check_optional_line(struct slice text, const char *field, struct fault *fault)
{
    return text.len == 0 ? ERR_OK : text_line_check(text, TITLE_MAX, field, fault);
}

static enum err check_span(struct span_ms span, struct span_ms min, const char *field,
                           struct fault *fault)
{
    char low[TIME_TEXT_MAX];

    if (span.ms >= min.ms && span.ms <= JOB_SPAN_MAX.ms)
        return ERR_OK;
    span_format(min, low);
    return fault_set(fault, span.ms > JOB_SPAN_MAX.ms ? ERR_LIMIT : ERR_INVALID, field,
                     "must be at least %s and at most 366d", low);
}

enum err tenant_check(const struct tenant *tenant, struct fault *fault)
{
    const struct tenant_quota *quota = &tenant->quota;
    enum err err;

    if ((err = name_check(tenant->name, "name", fault)) != ERR_OK ||
        (err = check_optional_line(tenant->title, "title", fault)) != ERR_OK)
        return err;
    if (!id_is_none(tenant->id.id) && id_is_equal(tenant->id.id, tenant->parent.id))
        return fault_set(fault, ERR_INVALID, "parent", "a tenant is not its own parent");
    if (tenant->weight == 0 || tenant->weight > TENANT_WEIGHT_MAX)
        return fault_set(fault, ERR_INVALID, "weight", "must be between 1 and %d",
                         TENANT_WEIGHT_MAX);
    if ((quota->cpu_milli.has && quota->cpu_milli.value > UNITS_MILLICPUS_MAX) ||
        (quota->accelerators.has && quota->accelerators.value > UINT32_MAX) ||
        (quota->jobs_pending_max.has && quota->jobs_pending_max.value > UINT32_MAX) ||
        (quota->storage_bytes.has && quota->storage_bytes.value > INT64_MAX))
        return fault_set(fault, ERR_LIMIT, "quota", "is out of range; leave it out for no limit");
    if (tenant->default_time_limit.ms != 0)
        return check_span(tenant->default_time_limit, SPAN_S(1), "default_time_limit", fault);
    return ERR_OK;
}

enum err operator_check(const struct operator_account *account, struct fault *fault)
{
    enum err err = name_check(account->name, "name", fault);

    return err != ERR_OK ? err : check_optional_line(account->title, "title", fault);
}

enum err user_check(const struct user *user, struct fault *fault)
{
    const uint32_t for_users = (ROLE_BIT(ROLE_KIND_COUNT_) - 1) & ~ROLE_BIT(ROLE_AGENT);
    enum err err;

    if ((err = name_check(user->name, "name", fault)) != ERR_OK ||
        (err = check_optional_line(user->title, "title", fault)) != ERR_OK)
        return err;
    if ((user->roles & ~for_users) != 0)
        return fault_set(fault, ERR_INVALID, "roles",
                         "a user cannot have the role agent, which goes with a site's certificate");
    if (user->operator_name.len > 0 &&
        (err = name_check(user->operator_name, "operator", fault)) != ERR_OK)
        return err;
    if ((user->roles & ROLE_BIT(ROLE_OPERATOR)) != 0 && user->operator_name.len == 0)
        return fault_set(fault, ERR_INVALID, "operator", "the role operator needs one");
    if ((user->roles & (ROLE_BIT(ROLE_MEMBER) | ROLE_BIT(ROLE_VIEWER))) != 0 &&
        id_is_none(user->tenant.id))
        return fault_set(fault, ERR_INVALID, "tenant", "the roles member and viewer need one");
    return ERR_OK;
}

enum err api_token_check(const struct api_token *token, struct fault *fault)
{
    enum err err = check_optional_line(token->label, "label", fault);

    if (err != ERR_OK)
        return err;
    if (id_is_none(token->user.id))
        return fault_set(fault, ERR_INVALID, "user", "a token belongs to a user");
    if (token->scopes == 0 || (token->scopes & ~PERM_ALL) != 0)
        return fault_set(fault, ERR_INVALID, "scopes", "a token allows something");
    if (token->expires_at.us < 0 || token->revoked_at.us < 0)
        return fault_set(fault, ERR_INVALID, token->expires_at.us < 0 ? "expires_at" : "revoked_at",
                         "lies before 1970");
    return ERR_OK;
}

enum err join_token_check(const struct join_token *token, struct fault *fault)
{
    enum err err;

    if ((err = name_check(token->site, "site", fault)) != ERR_OK ||
        (err = name_check(token->operator_name, "operator", fault)) != ERR_OK)
        return err;
    if (token->expires_at.us <= 0)
        return fault_set(fault, ERR_INVALID, "expires_at", "a join token always expires");
    if (token->used_at.us < 0)
        return fault_set(fault, ERR_INVALID, "used_at", "lies before 1970");
    return ERR_OK;
}

enum err dataset_check(const struct dataset *dataset, struct fault *fault)
{
    enum err err = name_check(dataset->name, "name", fault);

    if (err != ERR_OK)
        return err;
    if (dataset->size_bytes > INT64_MAX)
        return fault_set(fault, ERR_LIMIT, "size", "is out of range");
    if (dataset->jurisdiction.len > 0 &&
        (err = jurisdiction_check(dataset->jurisdiction, "jurisdiction", fault)) != ERR_OK)
        return err;
    if (dataset->homes.count > DATASET_HOMES_MAX)
        return fault_set(fault, ERR_LIMIT, "homes", "at most %d", DATASET_HOMES_MAX);
    for (uint32_t i = 0; i < dataset->homes.count; i++) {
        char field[32];
        snprintf(field, sizeof(field), "homes[%u]", i);
        if ((err = name_check(dataset->homes.items[i], field, fault)) != ERR_OK)
            return err;
        for (uint32_t j = 0; j < i; j++)
            if (slice_is_equal(dataset->homes.items[j], dataset->homes.items[i]))
                return fault_set(fault, ERR_INVALID, field, "stands here twice");
    }
    return ERR_OK;
}

static enum err check_prices(const struct policy *policy, struct fault *fault)
{
    if (policy->currency.len != 3)
        return fault_set(fault, ERR_INVALID, "currency", "must be an ISO 4217 code such as CNY");
    for (size_t i = 0; i < 3; i++)
        if (policy->currency.data[i] < 'A' || policy->currency.data[i] > 'Z')
            return fault_set(fault, ERR_INVALID, "currency",
                             "must be an ISO 4217 code such as CNY");
    for (int i = 0; i < PRIORITY_COUNT_; i++)
        if (policy->time_value_per_hour[i].micros < 0)
            return fault_set(fault, ERR_INVALID, "time_value_per_hour", "must not be negative");
    if ((policy->carbon_price_per_tonne.has && policy->carbon_price_per_tonne.value.micros < 0) ||
        (policy->egress_per_gb.has && policy->egress_per_gb.value.micros < 0))
        return fault_set(fault, ERR_INVALID,
                         policy->egress_per_gb.has && policy->egress_per_gb.value.micros < 0
                             ? "egress_per_gb"
                             : "carbon_price_per_tonne",
                         "must not be negative");
    return ERR_OK;
}

enum err policy_check(const struct policy *policy, struct fault *fault)
{
    enum err err;

    if ((err = check_prices(policy, fault)) != ERR_OK ||
        (err = check_span(policy->lease_floor, SPAN_S(1), "lease_floor", fault)) != ERR_OK ||
        (err = check_span(policy->start_limit, SPAN_S(1), "start_limit", fault)) != ERR_OK ||
        (err = check_span(policy->kill_limit, SPAN_MS(100), "kill_limit", fault)) != ERR_OK ||
        (err = check_span(policy->contact_limit, SPAN_S(1), "contact_limit", fault)) != ERR_OK ||
        (err = check_span(policy->default_time_limit, SPAN_S(1), "default_time_limit", fault)) !=
            ERR_OK ||
        (err = check_span(policy->usage_every, SPAN_MS(100), "usage_every", fault)) != ERR_OK)
        return err;
    if (policy->clock_rate_ppm > 200000)
        return fault_set(fault, ERR_LIMIT, "clock_rate_ppm", "must be at most 200000 (20 %%)");
    if (policy->events_kept_max == 0 || policy->events_kept_max > UINT64_C(1000000000))
        return fault_set(fault, ERR_INVALID, "events_kept_max", "must be between 1 and 10^9");
    return ERR_OK;
}

void policy_default(struct policy *out)
{
    *out = (struct policy){
        .currency = SLICE_LITERAL("CNY"),
        .time_value_per_hour =
            {
                [PRIORITY_SURPLUS] = {500000},
                [PRIORITY_STANDARD] = {5000000},
                [PRIORITY_GUARANTEED] = {20000000},
            },
        .lease_floor = SPAN_S(15 * 60),
        .start_limit = SPAN_S(120),
        .kill_limit = SPAN_S(30),
        .contact_limit = SPAN_S(30),
        .default_time_limit = SPAN_S(24 * 3600),
        .usage_every = SPAN_S(60),
        .clock_rate_ppm = 100000,
        .events_kept_max = 1000000,
    };
}

bool api_token_is_good(const struct api_token *token, struct wall_us now)
{
    return token->revoked_at.us == 0 &&
           (token->expires_at.us == 0 || now.us < token->expires_at.us);
}

bool join_token_is_good(const struct join_token *token, struct wall_us now)
{
    return token->used_at.us == 0 && now.us < token->expires_at.us;
}
