/* How fast the store takes jobs and gives them back. Prints one JSON object.
 *
 *   store_bench FOLDER [JOBS]      JOBS: ended jobs in the database for the load (default 1000000)
 *
 * insert: groups of 1,000-job changes (one spec, 1,000 JOB_INSERT, 1,000 EVENT_APPEND, one audit
 * record), one commit each, durable (synchronous FULL). single: one job and one event a change, 64
 * changes a group. load: the start-up stream with 100,000 live jobs among JOBS ended ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "port/clock.h"
#include "store/store.h"

enum { BATCH_JOBS = 1000, LIVE_JOBS = 100000, SINGLE_GROUP = 64, SINGLE_GROUPS = 1000 };

struct bench {
    struct store_db *db;
    struct change_op *ops; /* 2 * BATCH_JOBS + 8 */
    uint64_t job, event, audit, spec;
    struct hash256 audit_hash;
};

static const char SPEC[] =
    "{\"name\":\"train-lm\",\"num_nodes\":1,\"cpus\":\"1\",\"memory\":\"1GiB\",\"variants\":[{"
    "\"runtime\":\"cpu\",\"run\":\"exec ./train-lm --steps 1000 --checkpoint-every 50\",\"envs\":{"
    "\"SEED\":\"1\",\"OMP_NUM_THREADS\":\"1\"}}],\"checkpoint\":{\"dir\":\"ckpt\",\"grace\":"
    "\"30s\"},"
    "\"placement\":{\"jurisdictions\":[\"cn\"]},\"priority\":\"standard\",\"contact\":\"lease\"}";
static const char EVENT[] = "{\"state\":\"pending\",\"tenant\":\"tnt_01j9z3k5m8q2r4t6v8x0y2z4a6\"}";

static void check(enum err err, const char *what)
{
    if (err) {
        fprintf(stderr, "store_bench: %s: %s\n", what, err_name(err));
        exit(1);
    }
}

static double now_s(void)
{
    struct clock clock = clock_system();
    return (double)clock_boot(&clock).ns / 1e9;
}

static double cpu_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* Sorts by number, like ids by the time of their making; the tail is as random as real ones. */
static struct id make_id(uint64_t number)
{
    struct id id;
    uint64_t tail = number * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)((number + 1) >> (56 - 8 * i));
        id.bytes[8 + i] = (uint8_t)(tail >> (8 * i));
    }
    return id;
}

static struct change_op job_op(struct bench *bench, enum job_state state, char *subject)
{
    struct id id = make_id(bench->job++);
    id_format(id, "job", subject);
    struct change_op op = {.kind = CHANGE_JOB_INSERT};
    op.job.row = (struct job_row){
        .id = {id},
        .spec = {make_id(bench->spec)},
        .tenant = {make_id(bench->job / BATCH_JOBS % 50)},
        .user = {make_id(7)},
        .state = state,
        .created_epoch = 1,
        .created_at = {INT64_C(1790000000000000)},
        .exit_code = -1,
        .version = 1,
    };
    return op;
}

static struct change_op event_op(struct bench *bench, const char *subject)
{
    struct change_op op = {.kind = CHANGE_EVENT_APPEND};
    op.event = (struct event_record){
        .seq = ++bench->event,
        .at = {INT64_C(1790000000000000)},
        .tenant = {make_id(3)},
        .kind = SLICE_LITERAL("job.pending"),
        .subject = slice_of(subject),
        .body = SLICE_LITERAL(EVENT),
    };
    return op;
}

static struct change_op audit_op(struct bench *bench)
{
    struct change_op op = {.kind = CHANGE_AUDIT_APPEND};
    op.audit = (struct audit_record){
        .seq = ++bench->audit,
        .actor = SLICE_LITERAL("user_01j9z3k5m8q2r4t6v8x0y2z4a6"),
        .action = SLICE_LITERAL("job.submit"),
        .detail = SLICE_LITERAL("{\"count\":1000}"),
        .previous = bench->audit_hash,
    };
    op.audit.hash.bytes[0] = (uint8_t)bench->audit;
    bench->audit_hash = op.audit.hash;
    return op;
}

static void apply(struct bench *bench, const struct change *changes, size_t count)
{
    const struct change *list[SINGLE_GROUP];
    struct change_result results[SINGLE_GROUP];
    for (size_t i = 0; i < count; i++)
        list[i] = &changes[i];
    check(store_db_apply(bench->db, list, count, (struct wall_us){1}, results, NULL), "apply");
    for (size_t i = 0; i < count; i++)
        check(results[i].err, "change");
}

/* One change of 1,000 jobs. Returns its operations. */
static size_t insert_batch(struct bench *bench, enum job_state state, bool with_events)
{
    static char subjects[BATCH_JOBS][ID_TEXT_MAX];
    size_t count = 0;
    bench->spec++;
    bench->ops[count++] = (struct change_op){.kind = CHANGE_EPOCH_EXPECT, .epoch = {1}};
    bench->ops[count++] =
        (struct change_op){.kind = CHANGE_SPEC_INSERT,
                           .spec = {.id = {make_id(bench->spec)}, .body = SLICE_LITERAL(SPEC)}};
    for (size_t i = 0; i < BATCH_JOBS; i++) {
        bench->ops[count++] = job_op(bench, state, subjects[i]);
        if (with_events)
            bench->ops[count++] = event_op(bench, subjects[i]);
    }
    bench->ops[count++] = audit_op(bench);
    struct change change = {bench->ops, count};
    apply(bench, &change, 1);
    return count;
}

static void bench_insert(struct bench *bench)
{
    enum { BATCHES = 300 };
    size_t ops = 0;
    double begin = now_s(), cpu = cpu_s();
    for (int i = 0; i < BATCHES; i++)
        ops += insert_batch(bench, JOB_SUCCEEDED, true);
    double took = now_s() - begin, used = cpu_s() - cpu;
    printf("\"insert_ops_per_s\":%.0f,\"insert_jobs_per_s\":%.0f,\"insert_ops_per_cpu_s\":%.0f,",
           (double)ops / took, BATCHES * 1000.0 / took, (double)ops / used);
}

static void bench_single(struct bench *bench)
{
    static char subjects[SINGLE_GROUP][ID_TEXT_MAX];
    struct change changes[SINGLE_GROUP];
    double begin = now_s(), cpu = cpu_s(), longest = 0;
    for (int group = 0; group < SINGLE_GROUPS; group++) {
        for (size_t i = 0; i < SINGLE_GROUP; i++) {
            struct change_op *ops = bench->ops + i * 5;
            bench->spec++;
            ops[0] = (struct change_op){.kind = CHANGE_EPOCH_EXPECT, .epoch = {1}};
            ops[1] = (struct change_op){
                .kind = CHANGE_SPEC_INSERT,
                .spec = {.id = {make_id(bench->spec)}, .body = SLICE_LITERAL(SPEC)}};
            ops[2] = job_op(bench, JOB_SUCCEEDED, subjects[i]);
            ops[3] = event_op(bench, subjects[i]);
            ops[4] = audit_op(bench);
            changes[i] = (struct change){ops, 5};
        }
        double start = now_s();
        apply(bench, changes, SINGLE_GROUP);
        double group_took = now_s() - start;
        longest = group_took > longest ? group_took : longest;
    }
    double took = now_s() - begin, used = cpu_s() - cpu;
    double jobs = (double)SINGLE_GROUPS * SINGLE_GROUP;
    printf("\"single_jobs_per_s\":%.0f,\"single_jobs_per_cpu_s\":%.0f,\"group_ms\":%.2f,"
           "\"group_ms_max\":%.1f,",
           jobs / took, jobs / used, took * 1e3 / SINGLE_GROUPS, longest * 1e3);
}

static enum err count_job(void *context, const struct job_row *row)
{
    (void)row;
    ++*(uint64_t *)context;
    return ERR_OK;
}

static enum err see_spec(void *context, struct spec_id id, struct slice body)
{
    (void)context, (void)id, (void)body;
    return ERR_OK;
}

static enum err see_attempt(void *context, const struct attempt_row *row, struct slice places)
{
    (void)context, (void)row, (void)places;
    return ERR_OK;
}

static void bench_load(struct bench *bench, uint64_t ended)
{
    while (bench->job < ended)
        insert_batch(bench, JOB_SUCCEEDED, false);
    for (int i = 0; i < LIVE_JOBS / BATCH_JOBS; i++)
        insert_batch(bench, JOB_PENDING, false);
    uint64_t jobs = 0;
    struct store_load_sink sink = {
        .on_job = count_job, .on_spec = see_spec, .on_attempt = see_attempt, .context = &jobs};
    double begin = now_s();
    check(store_db_load(bench->db, &sink, NULL), "load");
    printf("\"load_ended\":%llu,\"load_live\":%llu,\"load_s\":%.3f,", (unsigned long long)ended,
           (unsigned long long)jobs, now_s() - begin);
}

static double time_query(struct bench *bench, const struct store_query *query)
{
    enum { TIMES = 20 };
    double begin = now_s();
    for (int i = 0; i < TIMES; i++) {
        struct arena arena;
        arena_init(&arena, 64 << 20);
        struct store_answer answer;
        check(store_db_query(bench->db, query, &arena, &answer, NULL), "query");
        arena_deinit(&arena);
    }
    return (now_s() - begin) * 1e3 / TIMES;
}

static void bench_queries(struct bench *bench)
{
    struct store_query page = {.kind = STORE_JOB_LIST};
    page.job_list.tenants.is_all = true;
    page.job_list.limit = 100;
    printf("\"page_all_ms\":%.3f,", time_query(bench, &page));
    page.job_list.states = 1u << JOB_PENDING;
    printf("\"page_pending_ms\":%.3f,", time_query(bench, &page));
    struct tenant_id tenant = {make_id(3)};
    page.job_list.tenants = (struct store_tenants){.ids = &tenant, .count = 1};
    page.job_list.states = 0;
    printf("\"page_tenant_ms\":%.3f,", time_query(bench, &page));
    struct store_query count = {.kind = STORE_JOB_COUNT};
    count.job_count.tenants.is_all = true;
    printf("\"count_ms\":%.3f", time_query(bench, &count));
}

static void open_db(struct bench *bench, const char *path)
{
    struct fault fault = {0};
    struct store_config config = {.path = path, .mode = STORE_WRITE};
    enum err err = store_db_open(&config, &bench->db, &fault);
    if (err)
        fprintf(stderr, "%s\n", fault.message);
    check(err, "open");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: store_bench FOLDER [JOBS]\n");
        return 2;
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/bench.db", argv[1]);
    struct bench bench = {.ops = calloc(2 * BATCH_JOBS + 8, sizeof(struct change_op))};
    ASSERT(bench.ops != NULL);
    open_db(&bench, path);
    printf("{");
    bench_insert(&bench);
    bench_single(&bench);
    bench_load(&bench, argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000);
    bench_queries(&bench);
    store_db_close(bench.db);
    double begin = now_s();
    open_db(&bench, path);
    printf(",\"open_s\":%.3f}\n", now_s() - begin);
    store_db_close(bench.db);
    free(bench.ops);
    return 0;
}
