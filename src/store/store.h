/* The server's durable state: typed changes in, typed rows out, no SQL above this line.
 *
 * `struct store_db` is one open database with a backend behind it (SQLite; PostgreSQL fits behind
 * the same functions, see store/backend.h). This is the synchronous engine: one thread at a time.
 * The simulator calls it directly; live, store/writer.h gives one to a thread with group commit,
 * and store/reader.h runs queries on read-only ones.
 *
 * Invariants
 * 1. A change is applied whole or not at all, in the order of submission, durably (synchronous
 * FULL) before its result is told.
 * 2. One process at a time has a database open for writing: a lock file beside it (flock), and
 *    SQLite's own locks.
 * 3. Events and audit records follow on without a gap.
 * 4. A store_db that reported anything but ERR_OK or ERR_STALE for a change stays usable: nothing
 * of that group is applied, and what it loads is what is durable. */
#ifndef LQ_STORE_STORE_H
#define LQ_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/time.h"
#include "model/change.h"
#include "store/query.h"

struct store_db;

enum {
    STORE_SCHEMA_VERSION = 4,       /* the newest this build knows; a newer file is refused */
    STORE_GROUP_MAX = 4096,         /* changes in one call of store_db_apply */
    STORE_EVENTS_KEPT_MAX = 500000, /* default of events_kept_max */
    STORE_QUARANTINE_MAX =
        100000,                 /* quarantined usage records kept; further ones are only counted */
    STORE_PROBE_BYTES = 262144, /* what store_db_probe writes and removes again */
};

enum store_mode {
    STORE_WRITE, /* made when missing, migrated when older, locked */
    STORE_READ,  /* must exist with the present schema; any number of them beside the writer */
};

struct store_config {
    const char *path;
    const char
        *vfs; /* NULL: the system's; else the name of a registered SQLite VFS (no lock file then) */
    enum store_mode mode;
    /* SQLite's locking_mode=EXCLUSIVE: no shared memory, no readers beside. For the simulator and
     * tools. */
    bool is_exclusive;
    uint64_t cache_bytes;     /* 0: 32 MiB for writing, 8 MiB for reading */
    uint64_t events_kept_max; /* 0: STORE_EVENTS_KEPT_MAX; the oldest go first, a slice a group */
};

/* ERR_BUSY (another process has it open for writing), ERR_UNSUPPORTED (schema newer than this
 * build), ERR_INVALID (a database of another kind), ERR_CORRUPT (damaged), ERR_NOT_FOUND
 * (STORE_READ), ERR_FULL, ERR_IO, ERR_NO_MEMORY. The config is copied. */
enum err store_db_open(const struct store_config *config, struct store_db **out_db,
                       struct fault *fault) LQ_CHECKED;
void store_db_close(struct store_db *db); /* accepts NULL */

/* What became of one change. */
struct change_result {
    enum err err;             /* ERR_OK, ERR_STALE, or the failure of the whole group */
    uint32_t op;              /* ERR_STALE: index of the operation that did not hold */
    uint32_t usage_new;       /* usage records inserted */
    uint32_t usage_known;     /* same key and bytes: no-op */
    uint32_t usage_conflicts; /* same key, other bytes: quarantined; raise an alarm */
};

/* Applies `count` changes (1..STORE_GROUP_MAX) in order in one transaction. A stale one fails
 * alone; the others are applied as if it had not been there. An insert whose key exists is stale
 * too, and so is an event or audit record that does not follow on. `now` only decides which
 * idempotency keys have expired. ERR_OK: results say what became of each. Otherwise nothing was
 * applied and every result carries the error: ERR_FULL, ERR_IO, ERR_CORRUPT, ERR_NO_MEMORY,
 * ERR_BUSY. After ERR_IO of a commit a later crash may bring the group back whole (never a part of
 * it): load again before going on. */
enum err store_db_apply(struct store_db *db, const struct change *const *changes, size_t count,
                        struct wall_us now, struct change_result *results,
                        struct fault *fault) LQ_CHECKED;

/* Can it write again? Writes STORE_PROBE_BYTES in a durable transaction and removes them. ERR_FULL,
 * ERR_IO, ... */
enum err store_db_probe(struct store_db *db, struct fault *fault) LQ_CHECKED;

struct store_meta {
    uint64_t db_epoch;  /* 1 in a new database */
    bool is_restored;   /* put back from a backup: raise the epoch first (CHANGE_EPOCH_RAISE clears
                           it) */
    uint64_t audit_seq; /* last; 0: none */
    struct hash256 audit_hash; /* of the last audit record; zero when none */
    uint64_t event_seq;        /* last ever given out; 0: none */
    uint64_t event_first;      /* oldest still kept; 0: none */
    uint64_t quarantined;      /* usage records ever quarantined */
};
enum err store_db_meta(struct store_db *db, struct store_meta *out_meta) LQ_CHECKED;

/* The start-up stream: meta, then docs (by kind, id), specs of live jobs, live jobs (by id), live
 * attempts (not final; by job, number), watermarks. Slices live during the call only. A callback's
 * error ends the load and is returned. NULL callbacks are skipped. Live: PENDING or ACTIVE. */
struct store_load_sink {
    enum err (*on_meta)(void *context, const struct store_meta *meta);
    enum err (*on_doc)(void *context, const struct doc *doc);
    enum err (*on_spec)(void *context, struct spec_id id, struct slice body);
    enum err (*on_job)(void *context, const struct job_row *row);
    enum err (*on_attempt)(void *context, const struct attempt_row *row, struct slice places);
    enum err (*on_watermark)(void *context, struct site_id site, struct journal_id journal,
                             uint64_t seq);
    void *context;
};
enum err store_db_load(struct store_db *db, const struct store_load_sink *sink,
                       struct fault *fault) LQ_CHECKED;

/* Runs one typed query (store/query.h) and allocates what it finds in `arena`. `out` is set on
 * ERR_OK only. ERR_NOT_FOUND (the GET kinds), ERR_LIMIT (arena), ERR_IO, ERR_CORRUPT. */
enum err store_db_query(struct store_db *db, const struct store_query *query, struct arena *arena,
                        struct store_answer *out, struct fault *fault) LQ_CHECKED;

#endif
