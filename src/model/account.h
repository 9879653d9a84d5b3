/* Who uses compute, who provides it, and who may do what. Deny by default: a right exists only
 * where the table in account.c grants it to a role, with a reach that says whose things it covers.
 *
 * Invariants
 *  1. tenants form a forest: no cycle, depth at most TENANT_DEPTH_MAX (tenant_tree_build refuses
 * others).
 *  2. secrets are kept as hashes only.
 *  3. a token never allows more than its user's roles: its scopes cut them down. */
#ifndef LQ_MODEL_ACCOUNT_H
#define LQ_MODEL_ACCOUNT_H

#include "base/arena.h"
#include "base/digest.h"
#include "model/job.h"
#include "model/maybe.h"
#include "model/name.h"

enum {
    TENANTS_MAX = 65536,
    TENANT_DEPTH_MAX = 16,
    TENANT_WEIGHT_MAX = 1000000,
    DATASET_HOMES_MAX = 256,
};

struct tenant_quota {              /* empty: no limit */
    struct maybe_u64 cpu_milli;    /* held at once, all sites */
    struct maybe_u64 accelerators; /* held at once */
    struct maybe_u64 jobs_pending_max;
    struct maybe_u64 storage_bytes;
};

struct tenant {
    struct tenant_id id;
    struct slice name;
    struct slice title;      /* may be empty */
    struct tenant_id parent; /* none: a root */
    uint32_t weight;         /* share among siblings, 1 to TENANT_WEIGHT_MAX */
    struct tenant_quota quota;
    struct span_ms default_time_limit; /* 0: the parent's, at a root the policy's */
};

struct operator_account {
    struct slice name;
    struct slice title; /* may be empty */
};

enum role {
    ROLE_ADMIN,    /* the network */
    ROLE_OPERATOR, /* the sites of the user's operator */
    ROLE_MEMBER,   /* submits work in the user's tenant and below */
    ROLE_VIEWER,   /* reads what a member may read */
    ROLE_AUDITOR,  /* reads everything, changes nothing */
    ROLE_AGENT,    /* a site's agent, known by its certificate */
    ROLE_KIND_COUNT_
};
#define ROLE_BIT(role) (UINT32_C(1) << (role))

enum permission {
    PERM_NETWORK_READ,  /* regions, sites, links, catalogue, policy */
    PERM_NETWORK_WRITE, /* regions, links, operators */
    PERM_POLICY_WRITE,
    PERM_EPOCH_RAISE,
    PERM_SITE_WRITE, /* register, change asks and nodes */
    PERM_SITE_DRAIN,
    PERM_SITE_DESTROY, /* sign that a site is gone for good */
    PERM_JOIN_TOKEN_WRITE,
    PERM_JOIN_TOKEN_READ,
    PERM_TENANT_READ,
    PERM_TENANT_WRITE,
    PERM_USER_READ,
    PERM_USER_WRITE,
    PERM_TOKEN_READ,  /* never the secret */
    PERM_TOKEN_WRITE, /* make and revoke */
    PERM_JOB_READ,    /* state, explanation, attempts */
    PERM_JOB_SUBMIT,
    PERM_JOB_CONTROL, /* cancel, retry */
    PERM_LOG_READ,
    PERM_ARTIFACT_READ,
    PERM_ARTIFACT_WRITE,
    PERM_DATASET_READ,
    PERM_DATASET_WRITE,
    PERM_USAGE_READ,
    PERM_EVENT_READ,
    PERM_AUDIT_READ,
    PERM_METRICS_READ,
    PERM_AGENT_SYNC,
    PERM_COUNT_
};
#define PERM_BIT(permission) (UINT64_C(1) << (permission))
#define PERM_ALL (PERM_BIT(PERM_COUNT_) - 1)

/* Whose things a grant covers. */
enum reach {
    REACH_NONE,
    REACH_SELF,     /* the user's own (tokens); an agent: its own site */
    REACH_TENANT,   /* the user's tenant and those below */
    REACH_OPERATOR, /* sites of the user's operator, and what ran there */
    REACH_NETWORK,  /* all */
    REACH_COUNT_
};

struct user {
    struct user_id id;
    struct slice name;
    struct slice title;         /* full name; may be empty */
    struct tenant_id tenant;    /* none: no tenant (operators' and network staff) */
    struct slice operator_name; /* needed by ROLE_OPERATOR, else empty */
    uint32_t roles;             /* ROLE_BITs; never ROLE_AGENT */
    bool is_disabled;
    struct wall_us created_at;
};

struct api_token {
    struct token_id id;
    struct user_id user;
    struct slice label; /* may be empty */
    struct digest hash; /* SHA-256 of the secret */
    uint64_t scopes;    /* PERM_BITs; PERM_ALL: all that the user may */
    struct wall_us created_at;
    struct wall_us expires_at; /* 0: never */
    struct wall_us revoked_at; /* 0: not revoked */
};

struct join_token {
    struct token_id id;
    struct digest hash;
    struct slice site; /* name that the joining site gets */
    struct slice operator_name;
    struct user_id made_by;
    struct wall_us created_at;
    struct wall_us expires_at; /* always set */
    struct wall_us used_at;    /* 0: not yet; single use */
};

struct dataset {
    struct dataset_id id;
    struct slice name;
    struct tenant_id tenant;
    uint64_t size_bytes;       /* with an artifact: the artifact's */
    struct id artifact;        /* the content, uploaded; none: only homes have it */
    struct text_list homes;    /* names of sites that hold a whole copy */
    struct slice jurisdiction; /* may only be read there; empty: anywhere */
};

/* Settings of the network that decisions depend on. policy_default gives working values. */
struct policy {
    struct slice currency;                             /* ISO 4217 */
    struct money time_value_per_hour[PRIORITY_COUNT_]; /* what an hour of a job's waiting is worth,
                                                          by class */
    struct maybe_money carbon_price_per_tonne;
    struct maybe_money egress_per_gb; /* where a link says nothing; empty: not counted */
    struct span_ms lease_floor;       /* shortest lease a job may ask for */
    struct span_ms start_limit;       /* an offered attempt not running by then is revoked */
    struct span_ms kill_limit;        /* longest from kill order to last exit, grace not counted */
    struct span_ms contact_limit;     /* silence after which a site counts as lost */
    struct span_ms default_time_limit;
    struct span_ms usage_every; /* how often a running attempt is metered */
    uint32_t clock_rate_ppm;    /* r of DESIGN: clocks may run off by this many millionths */
    uint64_t events_kept_max;
};

/* Names. */
const char *role_kind_name(enum role role);
const char *permission_name(enum permission permission); /* "job.submit" */
const char *reach_name(enum reach reach);
enum err role_kind_parse(struct slice text, enum role *out) LQ_CHECKED;
enum err permission_parse(struct slice text, enum permission *out) LQ_CHECKED;

/* The table. */
enum reach role_reach(enum role role, enum permission permission);

/* Who asks. `site` is set for agents only. */
struct principal {
    struct user_id user;
    struct tenant_id tenant;
    struct slice operator_name;
    struct site_id site;
    uint32_t roles;
    uint64_t scopes;
};
/* What is asked about: whatever of these it has; zeroed: a thing of the whole network. */
struct subject {
    struct user_id user;
    struct tenant_id tenant;
    struct slice operator_name;
    struct site_id site;
};

struct tenant_tree;
/* May the principal do this to that subject? A subject without a tenant is only within network
 * reach (or operator or self reach, if those match); `tree` may be NULL: then only the very same
 * tenant counts as within. */
bool principal_may(const struct principal *principal, enum permission permission,
                   const struct subject *subject, const struct tenant_tree *tree);
/* Does any role grant this at all (with any reach)? For a route's first check. */
bool principal_may_ever(const struct principal *principal, enum permission permission);

/* Tenants as a tree, by id. Built in an arena over the caller's array, which must outlive it. */
struct tenant_tree {
    const struct tenant *tenants;
    uint32_t count;
    const uint32_t *order;   /* indices, by id */
    const uint32_t *parents; /* index of the parent, UINT32_MAX: a root */
    const uint8_t *depths;   /* roots 0 */
};
/* ERR_INVALID: a cycle, an unknown parent, the same id or sibling name twice; ERR_LIMIT: too many
 * or too deep. */
enum err tenant_tree_build(const struct tenant *tenants, uint32_t count, struct arena *arena,
                           struct tenant_tree *out, struct fault *fault) LQ_CHECKED;
const struct tenant *tenant_tree_find(const struct tenant_tree *tree, struct tenant_id id);
const struct tenant *tenant_tree_parent(const struct tenant_tree *tree,
                                        const struct tenant *tenant);
/* Is `id` that tenant or below it? */
bool tenant_tree_is_within(const struct tenant_tree *tree, struct tenant_id id,
                           struct tenant_id above);
/* Own or inherited; `fallback` at a root that has none. */
struct span_ms tenant_tree_time_limit(const struct tenant_tree *tree, struct tenant_id id,
                                      struct span_ms fallback);

enum err tenant_check(const struct tenant *tenant, struct fault *fault) LQ_CHECKED;
enum err operator_check(const struct operator_account *account, struct fault *fault) LQ_CHECKED;
enum err user_check(const struct user *user, struct fault *fault) LQ_CHECKED;
enum err api_token_check(const struct api_token *token, struct fault *fault) LQ_CHECKED;
enum err join_token_check(const struct join_token *token, struct fault *fault) LQ_CHECKED;
enum err dataset_check(const struct dataset *dataset, struct fault *fault) LQ_CHECKED;
enum err policy_check(const struct policy *policy, struct fault *fault) LQ_CHECKED;
void policy_default(struct policy *out);

/* Not revoked, not past its time. */
bool api_token_is_good(const struct api_token *token, struct wall_us now);
bool join_token_is_good(const struct join_token *token, struct wall_us now);

#endif
