#include "model/words.h"

#include "base/assert.h"

const char *const RUNTIME_WORDS[RUNTIME_COUNT_] = {
    [RUNTIME_CPU] = "cpu",       [RUNTIME_CUDA] = "cuda", [RUNTIME_CANN] = "cann",
    [RUNTIME_ROCM] = "rocm",     [RUNTIME_MUSA] = "musa", [RUNTIME_BANG] = "bang",
    [RUNTIME_DTK] = "dtk",       [RUNTIME_XPU] = "xpu",   [RUNTIME_MACA] = "maca",
    [RUNTIME_OPENCL] = "opencl",
};

const char *const PRIORITY_WORDS[PRIORITY_COUNT_] = {
    [PRIORITY_SURPLUS] = "surplus",
    [PRIORITY_STANDARD] = "standard",
    [PRIORITY_GUARANTEED] = "guaranteed",
};

const char *const CONTACT_WORDS[CONTACT_COUNT_] = {
    [CONTACT_STRICT] = "strict",
    [CONTACT_LEASE] = "lease",
};

const char *const PROVENANCE_WORDS[PROVENANCE_COUNT_] = {
    [PROVENANCE_ANY] = "any",
    [PROVENANCE_DOMESTIC_FIRST] = "domestic_first",
    [PROVENANCE_DOMESTIC_ONLY] = "domestic_only",
};

const char *const REGION_ROLE_WORDS[ROLE_COUNT_] = {
    [ROLE_ANY] = "any",
    [ROLE_TRAIN] = "train",
    [ROLE_SERVE] = "serve",
};

const char *const JOB_STATE_WORDS[JOB_STATE_COUNT_] = {
    [JOB_PENDING] = "pending", [JOB_ACTIVE] = "active",       [JOB_SUCCEEDED] = "succeeded",
    [JOB_FAILED] = "failed",   [JOB_CANCELLED] = "cancelled",
};

const char *const ATTEMPT_STATE_WORDS[ATTEMPT_STATE_COUNT_] = {
    [ATTEMPT_OFFERED] = "offered",     [ATTEMPT_RUNNING] = "running", [ATTEMPT_UNKNOWN] = "unknown",
    [ATTEMPT_ENDED] = "ended",         [ATTEMPT_NEVER] = "never",     [ATTEMPT_EXPIRED] = "expired",
    [ATTEMPT_DESTROYED] = "destroyed",
};

const char *const OUTCOME_WORDS[OUTCOME_COUNT_] = {
    [OUTCOME_NONE] = "none",
    [OUTCOME_SUCCEEDED] = "succeeded",
    [OUTCOME_PROGRAM_ERROR] = "program_error",
    [OUTCOME_OUT_OF_MEMORY] = "out_of_memory",
    [OUTCOME_TIME_LIMIT] = "time_limit",
    [OUTCOME_REVOKED] = "revoked",
    [OUTCOME_PREEMPTED] = "preempted",
    [OUTCOME_LEASE_LOST] = "lease_lost",
    [OUTCOME_NODE_LOST] = "node_lost",
    [OUTCOME_GATE_TIMEOUT] = "gate_timeout",
    [OUTCOME_BAD_ENVIRONMENT] = "bad_environment",
    [OUTCOME_JOURNAL_LOST] = "journal_lost",
    [OUTCOME_REFUSED] = "refused",
};

const char *const REVOKE_WORDS[REVOKE_REASON_COUNT_] = {
    [REVOKE_NONE] = "none",
    [REVOKE_CANCELLED] = "cancelled",
    [REVOKE_NOT_STARTED] = "not_started",
    [REVOKE_PREEMPTED] = "preempted",
    [REVOKE_DRAIN] = "drain",
    [REVOKE_SUPERSEDED] = "superseded",
    [REVOKE_BUDGET] = "budget",
};

const char *const CLAIM_WORDS[CLAIM_COUNT_] = {
    [CLAIM_FREE] = "free",
    [CLAIM_TAKEN] = "taken",
    [CLAIM_TOMBSTONE] = "tombstone",
};

const char *const PHASE_WORDS[PHASE_COUNT_] = {
    [PHASE_INTENT] = "intent",
    [PHASE_TAKEN] = "taken",
    [PHASE_ENDED] = "ended",
    [PHASE_NEVER] = "never",
};

const char *const DOC_KIND_WORDS[DOC_KIND_COUNT_] = {
    [DOC_REGION] = "region",         [DOC_SITE] = "site",
    [DOC_TENANT] = "tenant",         [DOC_USER] = "user",
    [DOC_TOKEN] = "token",           [DOC_JOIN_TOKEN] = "join_token",
    [DOC_DATASET] = "dataset",       [DOC_LINK] = "link",
    [DOC_POLICY] = "policy",         [DOC_OPERATOR] = "operator",
    [DOC_SITE_STATE] = "site_state", [DOC_THROUGHPUT] = "throughput",
};

const char *const ARTIFACT_KIND_WORDS[ARTIFACT_KIND_COUNT_] = {
    [ARTIFACT_WORKDIR] = "workdir",
    [ARTIFACT_CHECKPOINT] = "checkpoint",
    [ARTIFACT_OUTPUT] = "output",
};

const char *const SITE_TIER_WORDS[TIER_COUNT_] = {
    [TIER_HUB] = "hub",
    [TIER_CENTRE] = "centre",
    [TIER_EDGE] = "edge",
};

const char *const ENGINE_WORDS[ENGINE_COUNT_] = {
    [ENGINE_HOST] = "host",
    [ENGINE_SLURM] = "slurm",
    [ENGINE_KUBERNETES] = "kubernetes",
};

const char *const SITE_STATE_WORDS[SITE_STATE_COUNT_] = {
    [SITE_ACTIVE] = "active",
    [SITE_DRAINING] = "draining",
    [SITE_DRAINED] = "drained",
    [SITE_LOST] = "lost",
};

const char *const LINK_SOURCE_WORDS[LINK_SOURCE_COUNT_] = {
    [LINK_MEASURED] = "measured",
    [LINK_ESTIMATE] = "estimate",
    [LINK_EXAMPLE] = "example",
};

const char *const ROLE_WORDS[ROLE_KIND_COUNT_] = {
    [ROLE_ADMIN] = "admin",   [ROLE_OPERATOR] = "operator", [ROLE_MEMBER] = "member",
    [ROLE_VIEWER] = "viewer", [ROLE_AUDITOR] = "auditor",   [ROLE_AGENT] = "agent",
};

const char *const PERMISSION_WORDS[PERM_COUNT_] = {
    [PERM_NETWORK_READ] = "network.read",
    [PERM_NETWORK_WRITE] = "network.write",
    [PERM_POLICY_WRITE] = "policy.write",
    [PERM_EPOCH_RAISE] = "epoch.raise",
    [PERM_SITE_WRITE] = "site.write",
    [PERM_SITE_DRAIN] = "site.drain",
    [PERM_SITE_DESTROY] = "site.destroy",
    [PERM_JOIN_TOKEN_WRITE] = "join_token.write",
    [PERM_JOIN_TOKEN_READ] = "join_token.read",
    [PERM_TENANT_READ] = "tenant.read",
    [PERM_TENANT_WRITE] = "tenant.write",
    [PERM_USER_READ] = "user.read",
    [PERM_USER_WRITE] = "user.write",
    [PERM_TOKEN_READ] = "token.read",
    [PERM_TOKEN_WRITE] = "token.write",
    [PERM_JOB_READ] = "job.read",
    [PERM_JOB_SUBMIT] = "job.submit",
    [PERM_JOB_CONTROL] = "job.control",
    [PERM_LOG_READ] = "log.read",
    [PERM_ARTIFACT_READ] = "artifact.read",
    [PERM_ARTIFACT_WRITE] = "artifact.write",
    [PERM_DATASET_READ] = "dataset.read",
    [PERM_DATASET_WRITE] = "dataset.write",
    [PERM_USAGE_READ] = "usage.read",
    [PERM_EVENT_READ] = "event.read",
    [PERM_AUDIT_READ] = "audit.read",
    [PERM_METRICS_READ] = "metrics.read",
    [PERM_AGENT_SYNC] = "agent.sync",
};

const char *const REACH_WORDS[REACH_COUNT_] = {
    [REACH_NONE] = "none",         [REACH_SELF] = "self",       [REACH_TENANT] = "tenant",
    [REACH_OPERATOR] = "operator", [REACH_NETWORK] = "network",
};

/* Numbers are those of Linux on x86-64 and aarch64, which agree on these five. */
const struct signal_word SIGNAL_WORDS[SIGNAL_WORDS_COUNT] = {
    {"HUP", 1}, {"INT", 2}, {"USR1", 10}, {"USR2", 12}, {"TERM", 15},
};

const char *signal_word(int32_t number)
{
    for (size_t i = 0; i < SIGNAL_WORDS_COUNT; i++)
        if (SIGNAL_WORDS[i].number == number)
            return SIGNAL_WORDS[i].word;
    return NULL;
}

enum err signal_parse(struct slice text, int32_t *out_number)
{
    if (slice_has_prefix(text, SLICE_LITERAL("SIG")))
        text = slice_make(text.data + 3, text.len - 3);
    for (size_t i = 0; i < SIGNAL_WORDS_COUNT; i++) {
        if (slice_is(text, SIGNAL_WORDS[i].word)) {
            *out_number = SIGNAL_WORDS[i].number;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

enum err words_find(const char *const words[], size_t count, struct slice text, unsigned *out)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_is(text, words[i])) {
            *out = (unsigned)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

/* A value outside its enum is a programmer's mistake: whatever comes from outside went through a
 * parser. */
#define WORDS_FUNCTIONS(type, prefix, words, count)                                                \
    const char *prefix##_name(enum type value)                                                     \
    {                                                                                              \
        ASSERT((unsigned)value < (count));                                                         \
        return (words)[value];                                                                     \
    }                                                                                              \
    enum err prefix##_parse(struct slice text, enum type *out)                                     \
    {                                                                                              \
        unsigned found;                                                                            \
        enum err err = words_find((words), (count), text, &found);                                 \
        if (err == ERR_OK)                                                                         \
            *out = (enum type)found;                                                               \
        return err;                                                                                \
    }

WORDS_FUNCTIONS(runtime, runtime, RUNTIME_WORDS, RUNTIME_COUNT_)
WORDS_FUNCTIONS(priority_class, priority, PRIORITY_WORDS, PRIORITY_COUNT_)
WORDS_FUNCTIONS(contact_policy, contact, CONTACT_WORDS, CONTACT_COUNT_)
WORDS_FUNCTIONS(provenance, provenance, PROVENANCE_WORDS, PROVENANCE_COUNT_)
WORDS_FUNCTIONS(region_role, role, REGION_ROLE_WORDS, ROLE_COUNT_)
WORDS_FUNCTIONS(job_state, job_state, JOB_STATE_WORDS, JOB_STATE_COUNT_)
WORDS_FUNCTIONS(attempt_state, attempt_state, ATTEMPT_STATE_WORDS, ATTEMPT_STATE_COUNT_)
WORDS_FUNCTIONS(outcome, outcome, OUTCOME_WORDS, OUTCOME_COUNT_)
WORDS_FUNCTIONS(revoke_reason, revoke, REVOKE_WORDS, REVOKE_REASON_COUNT_)
WORDS_FUNCTIONS(site_tier, site_tier, SITE_TIER_WORDS, TIER_COUNT_)
WORDS_FUNCTIONS(engine_kind, engine, ENGINE_WORDS, ENGINE_COUNT_)
WORDS_FUNCTIONS(site_state, site_state, SITE_STATE_WORDS, SITE_STATE_COUNT_)
WORDS_FUNCTIONS(link_source, link_source, LINK_SOURCE_WORDS, LINK_SOURCE_COUNT_)
WORDS_FUNCTIONS(role, role_kind, ROLE_WORDS, ROLE_KIND_COUNT_)
WORDS_FUNCTIONS(permission, permission, PERMISSION_WORDS, PERM_COUNT_)

const char *reach_name(enum reach reach)
{
    ASSERT((unsigned)reach < REACH_COUNT_);
    return REACH_WORDS[reach];
}

const char *doc_kind_name(enum doc_kind kind)
{
    ASSERT((unsigned)kind < DOC_KIND_COUNT_);
    return DOC_KIND_WORDS[kind];
}

const char *artifact_kind_name(enum artifact_kind kind)
{
    ASSERT((unsigned)kind < ARTIFACT_KIND_COUNT_);
    return ARTIFACT_KIND_WORDS[kind];
}
