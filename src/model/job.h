/* A job: work that ends. One or more tasks placed together (a gang), with variants, one a runtime.
 *
 * `struct job_spec` is what the user asked for: immutable once accepted, decoded into an arena (or
 * into one shared block) that owns every slice below; elements of an array share one spec. `struct
 * job_row` is the mutable state of one job (one element of an array), as the store keeps it: plain
 * memory, fixed size.
 *
 * Invariants of a job_row (job_row_check):
 *  1. state PENDING: no live attempt; ACTIVE: exactly one attempt, `attempt`, is not final; others:
 * none is.
 *  2. `attempt` never falls; it is the highest attempt number ever used for the job.
 *  3. a final state never changes (a retry makes the job PENDING again only through job_can_move's
 * table).
 *  4. cancel_requested is only set on jobs that are not final. */
#ifndef LQ_MODEL_JOB_H
#define LQ_MODEL_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/money.h"
#include "base/slice.h"
#include "base/time.h"
#include "model/failure.h"

/* The software stack that a program is built for. Names in the API: lower case ("cpu", "cuda",
 * ...). */
enum runtime {
    RUNTIME_CPU,
    RUNTIME_CUDA,
    RUNTIME_CANN,
    RUNTIME_ROCM,
    RUNTIME_MUSA,
    RUNTIME_BANG, /* Cambricon */
    RUNTIME_DTK,  /* Hygon */
    RUNTIME_XPU,  /* Kunlunxin */
    RUNTIME_MACA, /* MetaX */
    RUNTIME_OPENCL,
    RUNTIME_COUNT_
};

enum priority_class {
    PRIORITY_SURPLUS, /* runs on what is left; first to yield */
    PRIORITY_STANDARD,
    PRIORITY_GUARANTEED,
    PRIORITY_COUNT_
};

/* What happens to a running attempt when contact is lost (docs/protocol.md, rule 4). */
enum contact_policy {
    CONTACT_STRICT, /* never killed for lost contact; the next attempt waits for the site's word */
    CONTACT_LEASE,  /* killed before its lease ends; the next attempt may start after it */
    CONTACT_COUNT_
};

/* Where the law or the buyer wants the chip to come from. */
enum provenance {
    PROVENANCE_ANY,
    PROVENANCE_DOMESTIC_FIRST,
    PROVENANCE_DOMESTIC_ONLY,
    PROVENANCE_COUNT_
};

enum region_role { ROLE_ANY, ROLE_TRAIN, ROLE_SERVE, ROLE_COUNT_ };

enum {
    JOB_NAME_MAX = 128,
    JOB_NODES_MAX = 512,   /* ranks of a gang */
    JOB_ARRAY_MAX = 10000, /* elements of one array */
    JOB_VARIANTS_MAX = 8,
    JOB_ENVS_MAX = 256,
    JOB_ENV_BYTES_MAX = 65536, /* all names and values of a variant together */
    JOB_SCRIPT_BYTES_MAX = 262144,
    JOB_TEXT_BYTES_MAX = 524288, /* scripts and environments of all variants together */
    JOB_MOUNTS_MAX = 32,
    JOB_DATASETS_MAX = 16,
    JOB_INPUTS_MAX = JOB_MOUNTS_MAX + JOB_DATASETS_MAX,
    JOB_INPUT_HOMES_MAX = 64, /* of a dataset; more are not looked at */
    JOB_PLACES_MAX = 64,      /* entries of one placement list */
    JOB_RETRIES_MAX = 100,
    JOB_CPU_MILLI_MAX = 4096000, /* per node */
    JOB_CPU_MILLI_DEFAULT = 1000,
    JOB_PIDS_MAX = 1048576,
    JOB_PIDS_DEFAULT = 4096,
    JOB_ACCELERATORS_MAX = 16, /* per node */
    JOB_IMAGE_MAX = 512,
    JOB_WORKDIR_MAX = 1024,
    JOB_SHARED_FOLDERS_MAX = 8,
    JOB_ENV_NAME_MAX = 256,
};

#define JOB_MEM_BYTES_MIN (UINT64_C(1) << 20)
#define JOB_MEM_BYTES_MAX (UINT64_C(1) << 46) /* 64 TiB, per node */
#define JOB_MEM_BYTES_DEFAULT (UINT64_C(1) << 30)
#define JOB_SCRATCH_BYTES_MAX (UINT64_C(1) << 50) /* 1 PiB, per node */
#define JOB_SCRATCH_BYTES_DEFAULT (UINT64_C(1) << 30)
#define JOB_SPAN_MAX SPAN_S(366 * 86400) /* time limits and guesses */
#define JOB_GRACE_MAX SPAN_S(3600)
#define JOB_GRACE_DEFAULT SPAN_S(30)
#define JOB_LEASE_MAX SPAN_S(7 * 86400)
#define JOB_ROUND_TRIP_MAX SPAN_S(60)
#define JOB_BUDGET_MAX ((struct money){INT64_C(1000000000000000000)}) /* 10^12 of the currency */

struct text_pair {
    struct slice key;
    struct slice value;
};
struct text_list {
    const struct slice *items;
    uint32_t count;
};
bool text_list_has(const struct text_list *list, struct slice text);

struct job_variant {
    enum runtime runtime;
    struct slice accelerator; /* catalogue model, e.g. "A100 80GB SXM"; empty: any of the runtime */
    uint32_t accelerators;    /* per node; 0 for runtime cpu */
    struct slice image;       /* container image; empty: the site's own root, read-only */
    struct slice setup; /* shell script run before `run`, once per attempt and node; may be empty */
    struct slice run;   /* shell script */
    const struct text_pair *envs; /* sorted by key, unique */
    uint32_t env_count;
};

struct job_checkpoint {
    struct slice dir;     /* path inside the sandbox, relative to the work folder; empty: none */
    int32_t signal;       /* asks the program to write one (SIGUSR1 = 10); 0: none */
    struct span_ms grace; /* from the signal to the kill: the write to site-local disk only */
    struct span_ms
        every; /* how often the newest one is copied on; 0: on change, at most each 10 s */
    bool same_world_size; /* may only be restored at the same num_nodes */
};

/* Where a dataset that is named without a path stands in the work folder. */
#define JOB_DATASETS_DIR "datasets"

struct job_placement {
    struct text_list regions; /* allow-lists by name; empty: any */
    struct text_list sites;
    struct text_list avoid_sites;
    struct text_list jurisdictions; /* where data, checkpoints and logs may be */
    enum region_role role;          /* ROLE_ANY: no demand */
    enum provenance provenance;
    struct span_ms round_trip_max; /* to `near`; 0: no demand */
    struct slice near;             /* region or city of the users */
};

/* Content that the job reads, as it stood when the job was submitted. */
struct job_input {
    struct slice path;         /* folder in the work folder */
    struct id artifact;        /* an uploaded folder */
    struct slice dataset;      /* name; empty: an artifact that the job itself named */
    uint64_t size_bytes;       /* 0: not known */
    struct slice jurisdiction; /* may only be read there; empty: anywhere */
    struct text_list homes;    /* names of sites that hold a whole copy */
};

struct job_spec {
    struct slice name;
    struct slice workload;  /* jobs that name the same one do the same work; may be empty */
    uint32_t num_nodes;     /* gang size, >= 1 */
    uint32_t cpu_milli;     /* per node */
    uint64_t mem_bytes;     /* per node */
    uint64_t scratch_bytes; /* per node; private folder, wiped afterwards */
    uint32_t pids_max;      /* processes per node */
    const struct job_variant *variants;
    uint32_t variant_count;         /* >= 1, at most one a runtime+accelerator */
    uint32_t array_count;           /* 1: no array */
    uint32_t array_parallel_max;    /* 0: no limit */
    struct slice workdir;           /* artifact id of an uploaded folder; empty: an empty folder */
    const struct text_pair *mounts; /* path in the sandbox -> artifact or dataset name */
    uint32_t mount_count;
    struct text_list datasets;      /* names; each is put at JOB_DATASETS_DIR/<name> */
    const struct job_input *inputs; /* mounts and datasets, resolved; the server's to set */
    uint32_t input_count;
    struct text_list outputs;        /* paths inside the work folder, kept when the job ends */
    struct text_list shared_folders; /* absolute paths that the site's operator shares with the
                                        tenant's jobs; at the same place inside, writable */
    struct job_checkpoint checkpoint;
    struct job_placement placement;
    enum priority_class priority;
    enum contact_policy contact;
    struct span_ms lease;      /* policy lease: L; 0: the server's floor */
    struct span_ms time_limit; /* of one attempt; 0: the tenant's default */
    struct span_ms expected;   /* the user's own guess of the run time; 0: not known */
    struct wall_us deadline;   /* 0: none */
    struct money budget;       /* whole job; 0: none */
    uint32_t retries_max;      /* attempts after the first that failed by the program's own error */
    /* What it says of other classes of failure: bit a class, and its budget. The rest is
     * failure_rule's. */
    uint32_t retry_named;
    uint8_t retry_max[FAILURE_CLASS_COUNT_];
};

enum job_state {
    JOB_PENDING, /* waits for a place (or for certainty about an earlier attempt) */
    JOB_ACTIVE,  /* one attempt is offered, running or unknown */
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_STATE_COUNT_
};

struct job_row {
    struct job_id id;
    struct spec_id spec;
    struct tenant_id tenant;
    struct user_id user;
    enum job_state state;
    bool cancel_requested;
    uint32_t array_index;
    uint32_t attempt;          /* number of the newest attempt; 0: none yet */
    uint64_t epoch;            /* db_epoch under which `attempt` was dispatched */
    uint64_t created_epoch;    /* db_epoch when the job was accepted */
    uint32_t program_failures; /* attempts that failed by the program's fault, all classes */
    uint32_t infra_failures;   /* attempts that failed by a site's fault, all classes */
    struct site_id
        last_site; /* of the newest attempt that failed by the site's fault; for avoidance */
    struct wall_us created_at;
    struct wall_us ended_at; /* 0 until final */
    int32_t exit_code;       /* of the last ended attempt; -1: none */
    uint32_t outcome;        /* enum outcome of the last ended attempt */
    /* Since it was submitted or retried by hand, by class; 255: that many or more. */
    uint8_t failures[FAILURE_CLASS_COUNT_];
    uint64_t version; /* ETag; +1 at every change */
};

const char *runtime_name(enum runtime runtime);
const char *priority_name(enum priority_class priority);
const char *contact_name(enum contact_policy policy);
const char *provenance_name(enum provenance provenance);
const char *role_name(enum region_role role);
const char *job_state_name(enum job_state state);
enum err runtime_parse(struct slice text, enum runtime *out) LQ_CHECKED;
enum err priority_parse(struct slice text, enum priority_class *out) LQ_CHECKED;
enum err contact_parse(struct slice text, enum contact_policy *out) LQ_CHECKED;
enum err provenance_parse(struct slice text, enum provenance *out) LQ_CHECKED;
enum err role_parse(struct slice text, enum region_role *out) LQ_CHECKED;
enum err job_state_parse(struct slice text, enum job_state *out) LQ_CHECKED;

/* Every rule that needs no knowledge of the network: names (printable, no control characters, no
 * leading dash), ranges, paths (relative, no "..", no NUL), environment names and sizes, variants,
 * grace <= time_limit, ... */
enum err job_spec_check(const struct job_spec *spec, struct fault *fault) LQ_CHECKED;

/* How many failures of that class are tried again; FAILURE_NO_BUDGET: any number. */
uint32_t job_spec_retries(const struct job_spec *spec, enum failure_class failure);
/* The grace of a job that names none: JOB_GRACE_DEFAULT, but not longer than its time limit. */
struct span_ms job_spec_default_grace(const struct job_spec *spec);

/* The further rule of a spec that a server accepts: `workdir` is an artifact's id (a client has
 * uploaded the folder and put the id in). ERR_INVALID. */
/* What a rank's folders may hold: its scratch, and the inputs that were put there; saturates. */
uint64_t job_spec_disk_bytes(const struct job_spec *spec);
enum err job_spec_check_uploaded(const struct job_spec *spec, struct fault *fault) LQ_CHECKED;

bool job_state_is_final(enum job_state state);
bool job_can_move(enum job_state from, enum job_state to);
/* ERR_CORRUPT and a fault naming the broken invariant. */
enum err job_row_check(const struct job_row *row, struct fault *fault) LQ_CHECKED;

#endif
