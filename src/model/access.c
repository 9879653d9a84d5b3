/* The table of who may do what, and its reading. */
#include "model/account.h"

struct grant {
    enum permission permission;
    enum reach reach;
};

/* A table a role; what it does not name is denied. Kept as lists, so that a permission added later
 * is denied until somebody grants it. */
static const struct grant ADMIN[] = {
    {PERM_NETWORK_READ, REACH_NETWORK},    {PERM_NETWORK_WRITE, REACH_NETWORK},
    {PERM_POLICY_WRITE, REACH_NETWORK},    {PERM_EPOCH_RAISE, REACH_NETWORK},
    {PERM_SITE_WRITE, REACH_NETWORK},      {PERM_SITE_DRAIN, REACH_NETWORK},
    {PERM_SITE_DESTROY, REACH_NETWORK},    {PERM_JOIN_TOKEN_WRITE, REACH_NETWORK},
    {PERM_JOIN_TOKEN_READ, REACH_NETWORK}, {PERM_TENANT_READ, REACH_NETWORK},
    {PERM_TENANT_WRITE, REACH_NETWORK},    {PERM_USER_READ, REACH_NETWORK},
    {PERM_USER_WRITE, REACH_NETWORK},      {PERM_TOKEN_READ, REACH_NETWORK},
    {PERM_TOKEN_WRITE, REACH_NETWORK},     {PERM_JOB_READ, REACH_NETWORK},
    {PERM_JOB_SUBMIT, REACH_NETWORK},      {PERM_JOB_CONTROL, REACH_NETWORK},
    {PERM_LOG_READ, REACH_NETWORK},        {PERM_ARTIFACT_READ, REACH_NETWORK},
    {PERM_ARTIFACT_WRITE, REACH_NETWORK},  {PERM_DATASET_READ, REACH_NETWORK},
    {PERM_DATASET_WRITE, REACH_NETWORK},   {PERM_USAGE_READ, REACH_NETWORK},
    {PERM_EVENT_READ, REACH_NETWORK},      {PERM_AUDIT_READ, REACH_NETWORK},
    {PERM_METRICS_READ, REACH_NETWORK},
};

static const struct grant OPERATOR[] = {
    {PERM_NETWORK_READ, REACH_NETWORK},      {PERM_SITE_WRITE, REACH_OPERATOR},
    {PERM_SITE_DRAIN, REACH_OPERATOR},       {PERM_SITE_DESTROY, REACH_OPERATOR},
    {PERM_JOIN_TOKEN_WRITE, REACH_OPERATOR}, {PERM_JOIN_TOKEN_READ, REACH_OPERATOR},
    {PERM_JOB_READ, REACH_OPERATOR},         {PERM_USAGE_READ, REACH_OPERATOR},
    {PERM_EVENT_READ, REACH_OPERATOR},       {PERM_USER_READ, REACH_SELF},
    {PERM_TOKEN_READ, REACH_SELF},           {PERM_TOKEN_WRITE, REACH_SELF},
};

static const struct grant MEMBER[] = {
    {PERM_NETWORK_READ, REACH_NETWORK},  {PERM_TENANT_READ, REACH_TENANT},
    {PERM_USER_READ, REACH_SELF},        {PERM_TOKEN_READ, REACH_SELF},
    {PERM_TOKEN_WRITE, REACH_SELF},      {PERM_JOB_READ, REACH_TENANT},
    {PERM_JOB_SUBMIT, REACH_TENANT},     {PERM_JOB_CONTROL, REACH_TENANT},
    {PERM_LOG_READ, REACH_TENANT},       {PERM_ARTIFACT_READ, REACH_TENANT},
    {PERM_ARTIFACT_WRITE, REACH_TENANT}, {PERM_DATASET_READ, REACH_TENANT},
    {PERM_DATASET_WRITE, REACH_TENANT},  {PERM_USAGE_READ, REACH_TENANT},
    {PERM_EVENT_READ, REACH_TENANT},
};

static const struct grant VIEWER[] = {
    {PERM_NETWORK_READ, REACH_NETWORK}, {PERM_TENANT_READ, REACH_TENANT},
    {PERM_USER_READ, REACH_SELF},       {PERM_TOKEN_READ, REACH_SELF},
    {PERM_TOKEN_WRITE, REACH_SELF},     {PERM_JOB_READ, REACH_TENANT},
    {PERM_LOG_READ, REACH_TENANT},      {PERM_ARTIFACT_READ, REACH_TENANT},
    {PERM_DATASET_READ, REACH_TENANT},  {PERM_USAGE_READ, REACH_TENANT},
    {PERM_EVENT_READ, REACH_TENANT},
};

static const struct grant AUDITOR[] = {
    {PERM_NETWORK_READ, REACH_NETWORK}, {PERM_JOIN_TOKEN_READ, REACH_NETWORK},
    {PERM_TENANT_READ, REACH_NETWORK},  {PERM_USER_READ, REACH_NETWORK},
    {PERM_TOKEN_READ, REACH_NETWORK},   {PERM_JOB_READ, REACH_NETWORK},
    {PERM_LOG_READ, REACH_NETWORK},     {PERM_ARTIFACT_READ, REACH_NETWORK},
    {PERM_DATASET_READ, REACH_NETWORK}, {PERM_USAGE_READ, REACH_NETWORK},
    {PERM_EVENT_READ, REACH_NETWORK},   {PERM_AUDIT_READ, REACH_NETWORK},
    {PERM_METRICS_READ, REACH_NETWORK},
};

static const struct grant AGENT[] = {
    {PERM_AGENT_SYNC, REACH_SELF},
    {PERM_ARTIFACT_READ, REACH_SELF},
    {PERM_ARTIFACT_WRITE, REACH_SELF},
    {PERM_DATASET_READ, REACH_SELF},
};

#define TABLE(grants)                                                                              \
    {                                                                                              \
        grants, sizeof(grants) / sizeof((grants)[0])                                               \
    }
static const struct {
    const struct grant *grants;
    size_t count;
} TABLES[ROLE_KIND_COUNT_] = {
    [ROLE_ADMIN] = TABLE(ADMIN),   [ROLE_OPERATOR] = TABLE(OPERATOR), [ROLE_MEMBER] = TABLE(MEMBER),
    [ROLE_VIEWER] = TABLE(VIEWER), [ROLE_AUDITOR] = TABLE(AUDITOR),   [ROLE_AGENT] = TABLE(AGENT),
};

enum reach role_reach(enum role role, enum permission permission)
{
    if ((unsigned)role >= ROLE_KIND_COUNT_)
        return REACH_NONE;
    for (size_t i = 0; i < TABLES[role].count; i++)
        if (TABLES[role].grants[i].permission == permission)
            return TABLES[role].grants[i].reach;
    return REACH_NONE;
}

/* Nothing matches by being absent on both sides. */
static bool is_own(const struct principal *principal, const struct subject *subject, bool is_agent)
{
    if (is_agent)
        return !id_is_none(subject->site.id) && id_is_equal(subject->site.id, principal->site.id);
    return !id_is_none(subject->user.id) && id_is_equal(subject->user.id, principal->user.id);
}

static bool is_in_tenant(const struct principal *principal, const struct subject *subject,
                         const struct tenant_tree *tree)
{
    if (id_is_none(subject->tenant.id) || id_is_none(principal->tenant.id))
        return false;
    if (tree == NULL)
        return id_is_equal(subject->tenant.id, principal->tenant.id);
    return tenant_tree_is_within(tree, subject->tenant, principal->tenant);
}

static bool is_reached(enum reach reach, const struct principal *principal, enum role role,
                       const struct subject *subject, const struct tenant_tree *tree)
{
    switch (reach) {
    case REACH_SELF:
        return is_own(principal, subject, role == ROLE_AGENT);
    case REACH_TENANT:
        return is_in_tenant(principal, subject, tree);
    case REACH_OPERATOR:
        return subject->operator_name.len > 0 &&
               slice_is_equal(subject->operator_name, principal->operator_name);
    case REACH_NETWORK:
        return true;
    case REACH_NONE:
    case REACH_COUNT_:
        break;
    }
    return false;
}

static bool is_in_scope(const struct principal *principal, enum permission permission)
{
    return (unsigned)permission < PERM_COUNT_ && (principal->scopes & PERM_BIT(permission)) != 0;
}

bool principal_may(const struct principal *principal, enum permission permission,
                   const struct subject *subject, const struct tenant_tree *tree)
{
    if (!is_in_scope(principal, permission))
        return false;
    for (unsigned role = 0; role < ROLE_KIND_COUNT_; role++)
        if ((principal->roles & ROLE_BIT(role)) != 0 &&
            is_reached(role_reach((enum role)role, permission), principal, (enum role)role, subject,
                       tree))
            return true;
    return false;
}

bool principal_may_ever(const struct principal *principal, enum permission permission)
{
    if (!is_in_scope(principal, permission))
        return false;
    for (unsigned role = 0; role < ROLE_KIND_COUNT_; role++)
        if ((principal->roles & ROLE_BIT(role)) != 0 &&
            role_reach((enum role)role, permission) != REACH_NONE)
            return true;
    return false;
}
