/* Typed questions to the store and their answers: plain values, no behaviour of their own.
 *
 * Pages: `limit` rows at most (1..STORE_PAGE_MAX), starting after the cursor. A page says has_more
 * when there may be further rows; go on from the cursor of its last row, or from `next` where
 * given. Everything in an answer lives in the arena that was passed with the query. */
#ifndef LQ_STORE_QUERY_H
#define LQ_STORE_QUERY_H

#include "base/arena.h"
#include "model/change.h"

enum {
    STORE_PAGE_MAX = 1000,
    STORE_UTILISATION_MAX = 65536, /* rows in one answer */
    STORE_TENANTS_MAX = 4096,      /* tenants in one filter */
    STORE_SCAN_MAX =
        200000, /* rows looked at for one page; then it ends early with has_more and `next` */
};

/* all: whole network. Otherwise only these (a subtree, made by the caller); sorted or not, unique.
 */
struct store_tenants {
    bool is_all;
    const struct tenant_id *ids;
    size_t count;
};

enum store_query_kind {
    STORE_JOB_GET,
    STORE_JOB_LIST,  /* newest first */
    STORE_JOB_COUNT, /* by state */
    STORE_SPEC_GET,
    STORE_ATTEMPT_LIST, /* of a job, oldest first */
    STORE_ATTEMPT_AT,   /* by site and states; by job, number */
    STORE_USAGE_LIST,   /* of a job, of a journal, or all; ordered by (stream, seq) */
    STORE_USAGE_SUM,
    STORE_QUARANTINE_LIST,
    STORE_EVENT_LIST, /* oldest first, after a seq */
    STORE_AUDIT_LIST, /* oldest first, after a seq */
    STORE_DOC_GET,
    STORE_DOC_LIST, /* by id */
    STORE_ARTIFACT_GET,
    STORE_ARTIFACT_LIST, /* of a job: by kind, step; of a tenant or all: by id. Without manifests
                            unless asked */
    STORE_CHECKPOINT_NEWEST, /* of a job: highest step that is not stale */
    STORE_IDEMPOTENCY_GET,
    STORE_WATERMARK_LIST,
    STORE_RECLAIM_LIST,     /* newest first */
    STORE_UTILISATION_LIST, /* by site, pool, node, start */
    STORE_HISTORY_LIST,     /* jobs with spec and attempts, by id */
    STORE_QUERY_KIND_COUNT_
};

enum usage_group { USAGE_BY_TENANT, USAGE_BY_SITE, USAGE_BY_JOB, USAGE_BY_DAY, USAGE_GROUP_COUNT_ };

struct store_query {
    enum store_query_kind kind;
    union {
        struct {
            struct job_id id;
        } job_get;
        struct {
            struct store_tenants tenants;
            uint32_t states;      /* bit per enum job_state; 0: all */
            struct slice name;    /* part of the job's name, byte for byte; empty: all */
            struct job_id before; /* cursor: id of the last row seen; none: from the newest */
            uint32_t limit;
        } job_list;
        struct {
            struct store_tenants tenants;
        } job_count;
        struct {
            struct spec_id id;
        } spec_get;
        struct {
            struct job_id job;
        } attempt_list;
        struct {
            struct site_id site;     /* none: all sites */
            uint32_t states;         /* bit per enum attempt_state; 0: all */
            struct job_id after_job; /* cursor */
            uint32_t after_number;
            uint32_t limit;
        } attempt_at;
        struct {
            struct job_id job;   /* none: not by job */
            struct site_id site; /* with journal: one stream */
            struct journal_id journal;
            uint64_t after_stream, after_seq; /* cursor: of the last row seen; 0: from the first */
            uint32_t limit;
        } usage_list;
        struct {
            struct store_tenants tenants;
            struct site_id site;     /* none: all */
            struct job_id job;       /* none: all */
            struct wall_us from, to; /* measured_at in [from, to); to 0: no end */
            enum usage_group group;
            struct span_ms zone; /* USAGE_BY_DAY: added before cutting into days */
            struct id after;     /* cursor: the last group seen (not for days: move `from`) */
            uint32_t limit;      /* groups, at most STORE_PAGE_MAX; has_more: some were left off */
        } usage_sum;
        struct {
            uint64_t after;
            uint32_t limit;
        } quarantine_list;
        struct {
            struct store_tenants tenants;
            uint64_t after;
            uint32_t limit;
        } event_list;
        struct {
            struct slice tenant; /* empty: all */
            uint64_t after;
            uint32_t limit;
        } audit_list;
        struct {
            enum doc_kind kind;
            struct slice id;
        } doc_get;
        struct {
            enum doc_kind kind;
            bool has_parent;
            struct slice parent;
            struct slice after; /* id of the last row seen */
            uint32_t limit;
        } doc_list;
        struct {
            struct id id;
        } artifact_get;
        struct {
            struct job_id job; /* none: by tenants */
            struct store_tenants tenants;
            bool with_manifest;
            struct id after; /* by tenants: id of the last row seen; by job: not used, all come */
            uint32_t limit;
        } artifact_list;
        struct {
            struct job_id job;
        } checkpoint_newest;
        struct {
            struct slice scope, key;
            struct wall_us now;
        } idempotency_get;
        struct {
            struct site_id site; /* none: all sites */
            bool has_cursor;     /* the last row seen */
            struct site_id before_site;
            struct wall_us before_at;
            struct slice before_name;
            uint32_t limit;
        } reclaim_list;
        struct {
            struct site_id site; /* none: all */
            enum util_resolution resolution;
            struct wall_us from, to; /* rows that start in [from, to) */
            struct span_ms step;     /* summed in steps of this length from `from` on */
            uint32_t limit;          /* at most STORE_UTILISATION_MAX; has_more: some left off */
        } utilisation_list;
        struct {
            struct wall_us from, to; /* submitted before `to`, and not ended before `from` */
            struct job_id after;     /* cursor */
            uint32_t limit;
        } history_list;
    };
};

struct store_job {
    struct job_row row;
    struct slice name; /* of its spec */
};
struct store_attempt {
    struct attempt_row row;
    struct slice places;
};
struct store_usage {
    struct usage_record record;
    uint64_t stream; /* number of (site, journal) */
    struct tenant_id tenant;
};
struct store_quarantined {
    uint64_t number;
    struct usage_record record;
    struct wall_us at;
};
/* One group; the fields that do not name the group are zero. */
struct store_usage_sum {
    struct tenant_id tenant;
    struct site_id site;
    struct job_id job;
    struct wall_us day; /* its first instant, in the asked zone */
    uint64_t records;
    struct usage_quantities quantities; /* of deltas; saturates at the largest number */
};
struct store_history {
    struct job_row row;
    struct slice spec;                    /* empty: it is gone */
    const struct store_attempt *attempts; /* oldest first; without places */
    uint32_t attempt_count;
};
struct store_utilisation {
    struct site_id site;
    struct slice pool, node; /* node empty: the pool */
    struct wall_us start;    /* of the step */
    struct util_sums sums;
};
struct store_watermark {
    struct site_id site;
    struct journal_id journal;
    uint64_t seq;
};
struct store_reclaim {
    struct site_id site;
    struct reclaim value;
};
struct store_idempotency {
    struct hash256 request;
    uint32_t status;
    struct slice response;
    struct wall_us expires_at;
};

struct store_answer {
    enum store_query_kind kind;
    size_t count; /* rows in the array of the kind; 1 for the GET kinds */
    bool has_more;
    union {
        const struct store_job *jobs;
        struct {
            uint64_t by_state[JOB_STATE_COUNT_];
        } job_count;
        struct slice spec;
        const struct store_attempt *attempts;
        const struct store_usage *usage;
        const struct store_usage_sum *sums;
        const struct store_quarantined *quarantined;
        struct {
            const struct event_record *rows;
            uint64_t first_kept; /* oldest seq still kept; a watcher behind it lost some */
        } events;
        const struct audit_record *audit;
        const struct doc *docs;
        const struct artifact_row *artifacts; /* empty manifest unless asked for */
        struct store_idempotency idempotency;
        const struct store_watermark *watermarks;
        const struct store_reclaim *reclaims;
        const struct store_utilisation *utilisation;
        const struct store_history *history;
    };
    /* Where a page goes on when it ended early (STORE_SCAN_MAX) or is full. */
    union {
        struct job_id job;            /* JOB_LIST, HISTORY_LIST */
        uint64_t seq;                 /* EVENT_LIST, AUDIT_LIST, QUARANTINE_LIST */
        struct id artifact;           /* ARTIFACT_LIST */
        struct attempt_token attempt; /* ATTEMPT_AT */
    } next;
};

#endif
