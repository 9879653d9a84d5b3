/* The tables and every statement. Keys are time-sorted ids, so that inserts go to the right edge;
 * an index is here only when a query of store/query.h or the start-up load needs it. */
#include "store/sqlite.h"
#include "store/sqlite_rows.h"

static const char SCHEMA_1[] =
    "CREATE TABLE meta("
    " one INTEGER PRIMARY KEY CHECK(one=1), db_epoch INTEGER NOT NULL,"
    " is_restored INTEGER NOT NULL, quarantined INTEGER NOT NULL, probe BLOB);"
    "INSERT INTO meta VALUES(1,1,0,0,NULL);"

    "CREATE TABLE spec(id BLOB PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"

    /* Live jobs are the front of job_by_state: it serves the load, the pages and the counts. */
    "CREATE TABLE job("
    " id BLOB PRIMARY KEY, spec BLOB, tenant BLOB, submitter BLOB, array_index INTEGER,"
    " created_epoch INTEGER, created_at INTEGER, state INTEGER, cancel INTEGER, attempt INTEGER,"
    " epoch INTEGER, program_failures INTEGER, infra_failures INTEGER, last_site BLOB,"
    " ended_at INTEGER, exit_code INTEGER, outcome INTEGER, version INTEGER) WITHOUT ROWID;"
    "CREATE INDEX job_by_state ON job(state, tenant, id);"

    "CREATE TABLE attempt("
    " job BLOB, number INTEGER, epoch INTEGER, site BLOB, journal BLOB, variant INTEGER,"
    " nodes INTEGER, contact INTEGER, lease_ms INTEGER, ask INTEGER, offered_at INTEGER,"
    " state INTEGER, revoke INTEGER, outcome INTEGER, exit_code INTEGER, started_at INTEGER,"
    " ended_at INTEGER, ran_ms INTEGER, version INTEGER, places TEXT,"
    " PRIMARY KEY(job, number)) WITHOUT ROWID;"
    "CREATE INDEX attempt_live ON attempt(job, number) WHERE state<3;"
    "CREATE INDEX attempt_by_site ON attempt(site, job, number);"

    /* A stream is a (site, journal): 4 bytes in each record instead of 32. */
    "CREATE TABLE usage_stream(number INTEGER PRIMARY KEY, site BLOB, journal BLOB,"
    " UNIQUE(site, journal));"
    "CREATE TABLE usage("
    " stream INTEGER, seq INTEGER, tenant BLOB, job BLOB, attempt INTEGER, epoch INTEGER,"
    " is_last INTEGER, runtime INTEGER, accelerator TEXT, measured_at INTEGER,"
    " wall INTEGER, cpu INTEGER, cpu_held INTEGER, accel INTEGER, mem INTEGER, gate_wait INTEGER,"
    " kill_wait INTEGER, all_wall INTEGER, all_cpu INTEGER, all_cpu_held INTEGER,"
    " all_accel INTEGER, all_mem INTEGER, all_gate_wait INTEGER, all_kill_wait INTEGER,"
    " PRIMARY KEY(stream, seq)) WITHOUT ROWID;"
    "CREATE INDEX usage_by_job ON usage(job);"
    "CREATE INDEX usage_by_tenant ON usage(tenant, measured_at);"
    "CREATE INDEX usage_by_time ON usage(measured_at);"
    "CREATE TABLE usage_quarantine("
    " number INTEGER PRIMARY KEY, stream INTEGER, seq INTEGER, at INTEGER, job BLOB,"
    " attempt INTEGER, epoch INTEGER, is_last INTEGER, runtime INTEGER, accelerator TEXT,"
    " measured_at INTEGER, wall INTEGER, cpu INTEGER, cpu_held INTEGER, accel INTEGER,"
    " mem INTEGER, gate_wait INTEGER, kill_wait INTEGER, all_wall INTEGER, all_cpu INTEGER,"
    " all_cpu_held INTEGER, all_accel INTEGER, all_mem INTEGER, all_gate_wait INTEGER,"
    " all_kill_wait INTEGER);"
    "CREATE INDEX usage_quarantine_by_key ON usage_quarantine(stream, seq);"
    "CREATE TABLE watermark(site BLOB, journal BLOB, seq INTEGER,"
    " PRIMARY KEY(site, journal)) WITHOUT ROWID;"

    "CREATE TABLE doc("
    " kind INTEGER, id TEXT, parent TEXT, version INTEGER, changed_at INTEGER, body TEXT,"
    " PRIMARY KEY(kind, id)) WITHOUT ROWID;"
    "CREATE INDEX doc_by_parent ON doc(kind, parent, id);"

    /* Manifests are long, so the row stays out of its own key. */
    "CREATE TABLE artifact("
    " id BLOB UNIQUE NOT NULL, kind INTEGER, tenant BLOB, job BLOB, attempt INTEGER,"
    " epoch INTEGER, step INTEGER, is_stale INTEGER, size INTEGER, jurisdiction TEXT,"
    " runtime INTEGER, world_size INTEGER, created_at INTEGER, manifest TEXT);"
    "CREATE INDEX artifact_by_job ON artifact(job, kind, step, id) WHERE job IS NOT NULL;"
    "CREATE INDEX artifact_by_tenant ON artifact(tenant, id);"

    "CREATE TABLE audit("
    " seq INTEGER PRIMARY KEY, at INTEGER, actor TEXT, tenant TEXT, action TEXT, subject TEXT,"
    " detail TEXT, previous BLOB, hash BLOB);"
    "CREATE TABLE event("
    " seq INTEGER PRIMARY KEY, at INTEGER, tenant BLOB, kind TEXT, subject TEXT, body TEXT);"
    "CREATE TABLE idempotency("
    " scope TEXT, key TEXT, request BLOB, status INTEGER, response TEXT, expires_at INTEGER,"
    " PRIMARY KEY(scope, key)) WITHOUT ROWID;"
    "CREATE INDEX idempotency_by_end ON idempotency(expires_at);";

static const char SCHEMA_2[] =
    "CREATE TABLE reclaim("
    " site BLOB, name TEXT, at INTEGER, wait_ms INTEGER, held_ms INTEGER, promise_ms INTEGER,"
    " attempts INTEGER, is_open INTEGER, PRIMARY KEY(site, name)) WITHOUT ROWID;"
    "CREATE INDEX reclaim_by_site ON reclaim(site, at, name);"
    "CREATE INDEX reclaim_by_time ON reclaim(at, site, name);";

/* One byte a class of failure, in the order of model/failure.h. */
static const char SCHEMA_3[] = "ALTER TABLE job ADD COLUMN failures BLOB;";

/* Node is '' for a whole pool. */
static const char SCHEMA_4[] =
    "CREATE TABLE utilisation("
    " site BLOB, resolution INTEGER, pool TEXT, node TEXT, start INTEGER, observed_ms INTEGER,"
    " core_us INTEGER, owner_core_us INTEGER, pool_core_us INTEGER, measured_core_us INTEGER,"
    " owner_busy_core_us INTEGER, pool_busy_core_us INTEGER, device_ms INTEGER,"
    " owner_device_ms INTEGER, pool_device_ms INTEGER,"
    " PRIMARY KEY(site, resolution, pool, node, start)) WITHOUT ROWID;"
    "CREATE INDEX utilisation_by_time ON utilisation(resolution, start);";

static const struct sql_migration MIGRATIONS[] = {
    {.version = 1, .name = "first", .text = SCHEMA_1},
    {.version = 2, .name = "reclaims", .text = SCHEMA_2},
    {.version = 3, .name = "failures by class", .text = SCHEMA_3},
    {.version = 4, .name = "utilisation", .text = SCHEMA_4},
};
_Static_assert(sizeof MIGRATIONS / sizeof MIGRATIONS[0] == STORE_SCHEMA_VERSION,
               "a migration for every version");

const struct sql_schema SQLITE_STORE_SCHEMA = {
    .application = SQLITE_STORE_APPLICATION,
    .what = "server database",
    .migrations = MIGRATIONS,
    .count = STORE_SCHEMA_VERSION,
};

#define JOB_ROW ROW_JOB_FIXED "," ROW_JOB_MUTABLE
#define ATTEMPT_ROW ROW_ATTEMPT_FIXED "," ROW_ATTEMPT_MUTABLE ",places"
#define USAGE_ROW "site,journal,seq,stream,tenant," ROW_USAGE
#define USAGE_FROM " FROM usage CROSS JOIN usage_stream ON usage_stream.number=usage.stream "
#define SUM_ROW                                                                                    \
    "usage.tenant,site,usage.job,measured_at,wall,cpu,cpu_held,accel,mem,gate_wait,kill_wait"
#define AUDIT_ROW "seq,at,actor,tenant,action,subject,detail,previous,hash"
#define UTILISATION_KEY "site,resolution,pool,node,start"
#define UTILISATION_ADD(column) column "=min(" column "+excluded." column ",9223372036854775807)"
#define UTILISATION_SUMS                                                                           \
    "sum(observed_ms),sum(core_us),sum(owner_core_us),sum(pool_core_us),sum(measured_core_us),"    \
    "sum(owner_busy_core_us),sum(pool_busy_core_us),sum(device_ms),sum(owner_device_ms),"          \
    "sum(pool_device_ms)"
/* In steps of ?4 from ?2 on; the index is asked by time, so that years of others' cost nothing. */
#define UTILISATION_SELECT                                                                         \
    "SELECT site,pool,node,?2+(start-?2)/?4*?4 AS step," UTILISATION_SUMS " FROM utilisation"
#define UTILISATION_GROUP " GROUP BY site,pool,node,step ORDER BY site,pool,node,step LIMIT ?5"
#define DOC_ROW "kind,id,parent,version,changed_at,body"

#define RECLAIM_ROW "site,name,at,wait_ms,held_ms,promise_ms,attempts,is_open"

#define JOB_SET                                                                                    \
    "cancel=?2,attempt=?3,epoch=?4,program_failures=?5,infra_failures=?6,last_site=?7,"            \
    "ended_at=?8,exit_code=?9,outcome=?10,version=?11,failures=?12"
#define JOB_WHERE " WHERE id=?13 AND version=?11-1 AND state=?14 AND attempt=?15"
#define ATTEMPT_SET                                                                                \
    "revoke=?2,outcome=?3,exit_code=?4,started_at=?5,ended_at=?6,ran_ms=?7,version=?8"
#define ATTEMPT_WHERE " WHERE job=?9 AND number=?10 AND epoch=?11 AND version=?8-1 AND state=?12"

/* MOVE also writes the state, which costs a change of the index; UPDATE leaves it as it is. */
const char *const SQLITE_STORE_TEXTS[SQLITE_STATEMENT_COUNT_] = {
    [SQL_META_READ] = "SELECT db_epoch,is_restored,quarantined FROM meta",
    [SQL_META_EPOCH] = "UPDATE meta SET db_epoch=?1,is_restored=0 WHERE db_epoch=?2",
    [SQL_META_QUARANTINED] = "UPDATE meta SET quarantined=?1",
    [SQL_META_AUDIT] = "SELECT seq,hash FROM audit ORDER BY seq DESC LIMIT 1",
    [SQL_META_EVENTS] = "SELECT (SELECT min(seq) FROM event),(SELECT max(seq) FROM event)",

    [SQL_SPEC_INSERT] = "INSERT INTO spec VALUES(?1,?2)",
    [SQL_JOB_INSERT] =
        "INSERT INTO job(" JOB_ROW
        ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)",
    [SQL_JOB_UPDATE] = "UPDATE job SET " JOB_SET JOB_WHERE " AND state=?1",
    [SQL_JOB_MOVE] = "UPDATE job SET state=?1," JOB_SET JOB_WHERE,
    [SQL_ATTEMPT_INSERT] =
        "INSERT INTO attempt(" ATTEMPT_ROW
        ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)",
    [SQL_ATTEMPT_UPDATE] = "UPDATE attempt SET " ATTEMPT_SET ATTEMPT_WHERE " AND state=?1",
    [SQL_ATTEMPT_MOVE] = "UPDATE attempt SET state=?1," ATTEMPT_SET ATTEMPT_WHERE,

    [SQL_STREAM_FIND] = "SELECT number FROM usage_stream WHERE site=?1 AND journal=?2",
    [SQL_STREAM_INSERT] = "INSERT INTO usage_stream(site,journal) VALUES(?1,?2) RETURNING number",
    [SQL_USAGE_INSERT] =
        "INSERT INTO usage(stream,seq," ROW_USAGE ",tenant) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,"
        "?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,(SELECT tenant FROM job WHERE id=?3))",
    [SQL_USAGE_GET] = "SELECT " ROW_USAGE " FROM usage WHERE stream=?1 AND seq=?2",
    [SQL_QUARANTINE_SAME] =
        "SELECT " ROW_USAGE " FROM usage_quarantine WHERE stream=?1 AND seq=?2 ORDER BY number",
    [SQL_QUARANTINE_INSERT] =
        "INSERT INTO usage_quarantine(stream,seq," ROW_USAGE ",at) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"
        "?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24)",
    [SQL_WATERMARK_INSERT] = "INSERT INTO watermark VALUES(?1,?2,?3)"
                             " ON CONFLICT DO UPDATE SET seq=?3 WHERE seq=0",
    [SQL_WATERMARK_UPDATE] = "UPDATE watermark SET seq=?3 WHERE site=?1 AND journal=?2 AND seq=?4",

    [SQL_DOC_INSERT] = "INSERT INTO doc(" DOC_ROW ") VALUES(?1,?2,?3,?4,?5,?6)",
    [SQL_DOC_UPDATE] = "UPDATE doc SET parent=?3,version=?4,changed_at=?5,body=?6"
                       " WHERE kind=?1 AND id=?2 AND version=?7",
    [SQL_DOC_DELETE] = "DELETE FROM doc WHERE kind=?1 AND id=?2 AND version=?3",
    [SQL_ARTIFACT_INSERT] = "INSERT INTO artifact(" ROW_ARTIFACT
                            ",manifest) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
    [SQL_AUDIT_INSERT] = "INSERT INTO audit(" AUDIT_ROW ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    [SQL_EVENT_INSERT] = "INSERT INTO event VALUES(?1,?2,?3,?4,?5,?6)",
    [SQL_EVENT_PRUNE] = "DELETE FROM event WHERE seq<?1",
    [SQL_IDEMPOTENCY_INSERT] =
        "INSERT INTO idempotency VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT DO UPDATE SET"
        " request=?3,status=?4,response=?5,expires_at=?6 WHERE expires_at<=?7",
    [SQL_IDEMPOTENCY_SWEEP] =
        "DELETE FROM idempotency WHERE (scope,key) IN (SELECT scope,key FROM idempotency"
        " WHERE expires_at<=?1 ORDER BY expires_at LIMIT ?2)",
    [SQL_UTILISATION_ADD] =
        "INSERT INTO utilisation VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)"
        " ON CONFLICT DO UPDATE SET " UTILISATION_ADD("observed_ms") "," UTILISATION_ADD("core_us") "," UTILISATION_ADD("owner_core_us") "," UTILISATION_ADD("pool_core_us") "," UTILISATION_ADD(
            "measured_core_us") "," UTILISATION_ADD("owner_busy_core_us") "," UTILISATION_ADD("pool"
                                                                                              "_bus"
                                                                                              "y_"
                                                                                              "core"
                                                                                              "_us") "," UTILISATION_ADD("device_ms") "," UTILISATION_ADD("owner_device_ms") "," UTILISATION_ADD("pool_device_ms"),
    [SQL_UTILISATION_PRUNE] =
        "DELETE FROM utilisation WHERE (" UTILISATION_KEY ") IN (SELECT " UTILISATION_KEY
        " FROM utilisation INDEXED BY utilisation_by_time WHERE resolution=?1 AND start<?2"
        " ORDER BY start LIMIT ?3)",
    [SQL_PROBE_WRITE] = "UPDATE meta SET probe=zeroblob(?1)",
    [SQL_PROBE_ERASE] = "UPDATE meta SET probe=NULL",

    [SQL_LOAD_DOCS] = "SELECT " DOC_ROW " FROM doc ORDER BY kind,id",
    [SQL_LOAD_SPECS] =
        "SELECT id,body FROM spec WHERE id IN (SELECT spec FROM job WHERE state IN (0,1))"
        " ORDER BY id",
    [SQL_LOAD_JOBS] =
        "SELECT " JOB_ROW " FROM job INDEXED BY job_by_state WHERE state IN (0,1) ORDER BY id",
    [SQL_LOAD_ATTEMPTS] = "SELECT " ATTEMPT_ROW
                          " FROM attempt INDEXED BY attempt_live WHERE state<3 ORDER BY job,number",
    [SQL_LOAD_WATERMARKS] = "SELECT site,journal,seq FROM watermark ORDER BY site,journal",

    [SQL_JOB_GET] = "SELECT " JOB_ROW " FROM job WHERE id=?1",
    [SQL_JOB_IDS] = "SELECT id FROM job WHERE id<?1 ORDER BY id DESC LIMIT ?2",
    [SQL_JOB_IDS_OF] =
        "SELECT id FROM job INDEXED BY job_by_state"
        " WHERE state=?1 AND tenant=?2 AND id<?3 AND id>?4 ORDER BY id DESC LIMIT ?5",
    [SQL_JOB_TENANT_NEXT] = "SELECT tenant FROM job INDEXED BY job_by_state"
                            " WHERE state=?1 AND tenant>?2 ORDER BY tenant LIMIT 1",
    [SQL_JOB_COUNT] = "SELECT state,count(*) FROM job INDEXED BY job_by_state GROUP BY state",
    [SQL_JOB_COUNT_OF] =
        "SELECT count(*) FROM job INDEXED BY job_by_state WHERE state=?1 AND tenant=?2",
    [SQL_SPEC_NAME] = "SELECT json_extract(body,'$.name') FROM spec WHERE id=?1",
    [SQL_SPEC_GET] = "SELECT body FROM spec WHERE id=?1",
    [SQL_ATTEMPTS_OF] = "SELECT " ATTEMPT_ROW " FROM attempt WHERE job=?1 ORDER BY number LIMIT ?2",
    [SQL_ATTEMPTS_LIVE] = "SELECT " ATTEMPT_ROW " FROM attempt INDEXED BY attempt_live"
                          " WHERE state<3 AND (job,number)>(?1,?2) ORDER BY job,number",
    [SQL_ATTEMPTS_AT] = "SELECT " ATTEMPT_ROW " FROM attempt INDEXED BY attempt_by_site"
                        " WHERE site=?3 AND (job,number)>(?1,?2) ORDER BY job,number",
    [SQL_ATTEMPTS_ALL] =
        "SELECT " ATTEMPT_ROW " FROM attempt WHERE (job,number)>(?1,?2) ORDER BY job,number",

    [SQL_USAGE_OF_JOB] = "SELECT " USAGE_ROW USAGE_FROM
                         "WHERE job=?1 AND (stream,seq)>(?2,?3) ORDER BY stream,seq LIMIT ?4",
    [SQL_USAGE_OF_STREAM] =
        "SELECT " USAGE_ROW USAGE_FROM "WHERE stream=?1 AND seq>?2 ORDER BY seq LIMIT ?3",
    [SQL_USAGE_ALL] =
        "SELECT " USAGE_ROW USAGE_FROM "WHERE (stream,seq)>(?1,?2) ORDER BY stream,seq LIMIT ?3",
    [SQL_SUM_JOB] =
        "SELECT " SUM_ROW USAGE_FROM "WHERE usage.job=?3 AND measured_at>=?1 AND measured_at<?2",
    [SQL_SUM_TENANT] =
        "SELECT " SUM_ROW USAGE_FROM "WHERE usage.tenant=?3 AND measured_at>=?1 AND measured_at<?2",
    [SQL_SUM_ALL] = "SELECT " SUM_ROW USAGE_FROM "WHERE measured_at>=?1 AND measured_at<?2",
    [SQL_QUARANTINE_LIST] =
        "SELECT site,journal,seq,usage_quarantine.number,at," ROW_USAGE
        " FROM usage_quarantine CROSS JOIN usage_stream ON usage_stream.number=stream"
        " WHERE usage_quarantine.number>?1 ORDER BY usage_quarantine.number LIMIT ?2",
    [SQL_EVENT_LIST] =
        "SELECT seq,at,tenant,kind,subject,body FROM event WHERE seq>?1 ORDER BY seq",
    [SQL_AUDIT_LIST] = "SELECT " AUDIT_ROW " FROM audit WHERE seq>?1 ORDER BY seq",
    [SQL_DOC_GET] = "SELECT " DOC_ROW " FROM doc WHERE kind=?1 AND id=?2",
    [SQL_DOC_LIST] = "SELECT " DOC_ROW " FROM doc WHERE kind=?1 AND id>?2 ORDER BY id LIMIT ?3",
    [SQL_DOC_LIST_OF] =
        "SELECT " DOC_ROW " FROM doc WHERE kind=?1 AND parent=?4 AND id>?2 ORDER BY id LIMIT ?3",
    [SQL_ARTIFACT_GET] = "SELECT " ROW_ARTIFACT ",manifest FROM artifact WHERE id=?1",
    [SQL_ARTIFACTS_OF_JOB] =
        "SELECT " ROW_ARTIFACT ",CASE WHEN ?2 THEN manifest ELSE '' END FROM artifact"
        " WHERE job=?1 ORDER BY kind,step,id",
    [SQL_ARTIFACTS_OF_TENANT] =
        "SELECT " ROW_ARTIFACT ",CASE WHEN ?2 THEN manifest ELSE '' END FROM artifact"
        " WHERE tenant=?1 AND id>?3 ORDER BY id",
    [SQL_ARTIFACTS_ALL] =
        "SELECT " ROW_ARTIFACT ",CASE WHEN ?1 THEN manifest ELSE '' END FROM artifact"
        " WHERE id>?2 ORDER BY id",
    [SQL_CHECKPOINT_NEWEST] = "SELECT " ROW_ARTIFACT ",manifest FROM artifact"
                              " WHERE job=?1 AND kind=?2 AND is_stale=0"
                              " ORDER BY step DESC,id DESC LIMIT 1",
    [SQL_HISTORY_JOBS] = "SELECT " JOB_ROW " FROM job WHERE id>?1 ORDER BY id",
    [SQL_UTILISATION_OF] = UTILISATION_SELECT
    " WHERE site=?6 AND resolution=?1 AND start>=?2 AND start<?3" UTILISATION_GROUP,
    [SQL_UTILISATION_ALL] =
        UTILISATION_SELECT " INDEXED BY utilisation_by_time"
                           " WHERE resolution=?1 AND start>=?2 AND start<?3" UTILISATION_GROUP,
    [SQL_IDEMPOTENCY_GET] = "SELECT request,status,response,expires_at FROM idempotency"
                            " WHERE scope=?1 AND key=?2 AND expires_at>?3",

    [SQL_RECLAIM_PUT] =
        "INSERT INTO reclaim(" RECLAIM_ROW ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"
        " ON CONFLICT DO UPDATE SET wait_ms=?4,held_ms=?5,promise_ms=?6,attempts=?7,is_open=?8"
        " WHERE is_open=1",
    [SQL_RECLAIMS_OF_SITE] = "SELECT " RECLAIM_ROW " FROM reclaim INDEXED BY reclaim_by_site"
                             " WHERE site=?1 AND (at,name)<(?2,?3)"
                             " ORDER BY at DESC,name DESC LIMIT ?4",
    [SQL_RECLAIMS_ALL] = "SELECT " RECLAIM_ROW " FROM reclaim INDEXED BY reclaim_by_time"
                         " WHERE (at,site,name)<(?2,?1,?3)"
                         " ORDER BY at DESC,site DESC,name DESC LIMIT ?4",
};
