/* Bounds by linear programmes, solved by CLP: for `lq sim hetero`.
 *
 *     bench/bound [--root FOLDER] [--slots N] [CASE ...]
 *
 * prints a JSON object a line. Built where CLP is installed (tools/setup --bench); not part of lq.
 *
 * Last end: the allocation programme of place/mix.h, all jobs there from the start (only for traces
 * where they are).
 * Mean completion: y_jkt, the time job j spends on kind k in slot t.
 *     least  sum C_j
 *     C_j >= sum y_jkt max(start_t, arrival_j) / need_jk + (least need of j) / 2
 *     C_j >= arrival_j + sum y_jkt
 *     sum_kt y_jkt / need_jk = 1;  sum_k y_jkt <= slot;  sum_j width_j y_jkt <= devices_k slot
 * The sum in the first line is the mean moment of the job's progress; it ends half of its fastest
 * need later or more, for it never goes faster. The start of a slot stands for all of it, so more
 * slots make the bound better. */
#include <coin/Clp_C_Interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "port/file.h"
#include "sim/hetero.h"

enum { SLOTS_DEFAULT = 120, SLOTS_MAX = 1000, FILE_BYTES_MAX = 16 << 20 };
#define ARENA_BYTES_MAX ((size_t)1 << 30)

/* Columns one after the other, each with its rows. */
struct programme {
    CoinBigIndex *starts;
    int *rows;
    double *values, *costs, *lows, *highs; /* of columns */
    double *row_lows, *row_highs;
    int column_count, row_count;
    int entry_count;
};

static void *room(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        fputs("bound: no memory\n", stderr);
        exit(1);
    }
    return memory;
}

static void programme_open(struct programme *lp, size_t columns, size_t rows, size_t entries)
{
    *lp = (struct programme){.starts = room(columns + 1, sizeof(*lp->starts)),
                             .rows = room(entries, sizeof(*lp->rows)),
                             .values = room(entries, sizeof(*lp->values)),
                             .costs = room(columns, sizeof(*lp->costs)),
                             .lows = room(columns, sizeof(*lp->lows)),
                             .highs = room(columns, sizeof(*lp->highs)),
                             .row_lows = room(rows, sizeof(*lp->row_lows)),
                             .row_highs = room(rows, sizeof(*lp->row_highs)),
                             .row_count = (int)rows};
}

static void programme_close(struct programme *lp)
{
    free(lp->starts);
    free(lp->rows);
    free(lp->values);
    free(lp->costs);
    free(lp->lows);
    free(lp->highs);
    free(lp->row_lows);
    free(lp->row_highs);
}

static void column_begin(struct programme *lp, double cost)
{
    lp->costs[lp->column_count] = cost;
    lp->highs[lp->column_count] = 1e30;
    lp->column_count++;
}

static void column_put(struct programme *lp, int row, double value)
{
    lp->rows[lp->entry_count] = row;
    lp->values[lp->entry_count++] = value;
    lp->starts[lp->column_count] = lp->entry_count;
}

static double programme_solve(struct programme *lp)
{
    Clp_Simplex *model = Clp_newModel();
    Clp_setLogLevel(model, 0);
    Clp_loadProblem(model, lp->column_count, lp->row_count, lp->starts, lp->rows, lp->values,
                    lp->lows, lp->highs, lp->costs, lp->row_lows, lp->row_highs);
    int status = Clp_initialSolve(model);
    double value = Clp_objectiveValue(model);
    if (Clp_status(model) != 0) {
        fprintf(stderr, "bound: CLP ends with status %d\n", status);
        exit(1);
    }
    Clp_deleteModel(model);
    return value;
}

static bool can_run(const struct hetero_case *test, const struct hetero_job *job, uint32_t kind)
{
    return job->work.need_ms[kind] > 0 && job->work.width <= test->pool.devices[kind];
}

static double need_s(const struct hetero_job *job, uint32_t kind)
{
    return (double)job->work.need_ms[kind] / 1e3;
}

static double need_least_s(const struct hetero_case *test, const struct hetero_job *job)
{
    double least = 1e30;
    for (uint32_t k = 0; k < test->pool.kind_count; k++)
        if (can_run(test, job, k) && need_s(job, k) < least)
            least = need_s(job, k);
    return least;
}

/* Columns: T, then y_jk. Rows: a job done, a job's time, a kind's devices. */
static double bound_last(const struct hetero_case *test, const struct hetero_list *list)
{
    uint32_t kinds = test->pool.kind_count;
    int jobs = (int)list->count;
    struct programme lp;
    programme_open(&lp, 1 + list->count * kinds, 2 * list->count + kinds,
                   list->count + kinds + list->count * kinds * 3);
    for (int i = 0; i < jobs; i++) {
        lp.row_lows[i] = lp.row_highs[i] = 1;
        lp.row_lows[jobs + i] = -1e30;
    }
    column_begin(&lp, 1);
    for (int i = 0; i < jobs; i++)
        column_put(&lp, jobs + i, -1);
    for (uint32_t k = 0; k < kinds; k++) {
        lp.row_lows[2 * jobs + (int)k] = -1e30;
        column_put(&lp, 2 * jobs + (int)k, -(double)test->pool.devices[k]);
    }
    for (int i = 0; i < jobs; i++)
        for (uint32_t k = 0; k < kinds; k++) {
            if (!can_run(test, &list->jobs[i], k))
                continue;
            column_begin(&lp, 0);
            column_put(&lp, i, 1 / need_s(&list->jobs[i], k));
            column_put(&lp, jobs + i, 1);
            column_put(&lp, 2 * jobs + (int)k, list->jobs[i].work.width);
        }
    double value = programme_solve(&lp);
    programme_close(&lp);
    return value;
}

/* Seconds at which slots begin and the last ends: even until `until`, then one long slot in which
 * everything could be done one after the other. */
static void slots_fill(const struct hetero_case *test, const struct hetero_list *list, double until,
                       int slots, double *out)
{
    double all = until;
    for (size_t i = 0; i < list->count; i++)
        all += need_least_s(test, &list->jobs[i]);
    for (int t = 0; t < slots; t++)
        out[t] = until * t / (slots - 1);
    out[slots] = all;
}

static double arrival_s(const struct hetero_list *list, size_t job)
{
    return (double)(list->jobs[job].arrives_ms - list->jobs[0].arrives_ms) / 1e3;
}

/* Rows of bound_mean(), in this order. */
struct rows {
    int done, moments, spans, in_slot, of_kind, count;
};

static struct rows rows_of(int jobs, int kinds, int slots)
{
    struct rows rows = {.moments = jobs, .spans = 2 * jobs, .in_slot = 3 * jobs};
    rows.of_kind = rows.in_slot + jobs * slots;
    rows.count = rows.of_kind + kinds * slots;
    return rows;
}

/* One job: the moment it ends, C_j, and its times. */
static void job_put(struct programme *lp, const struct hetero_case *test,
                    const struct hetero_list *list, int i, const double *at, int slots,
                    const struct rows *rows)
{
    const struct hetero_job *job = &list->jobs[i];
    double came = arrival_s(list, (size_t)i);
    lp->row_lows[rows->done + i] = lp->row_highs[rows->done + i] = 1;
    lp->row_lows[rows->moments + i] = need_least_s(test, job) / 2;
    lp->row_lows[rows->spans + i] = came;
    lp->row_highs[rows->moments + i] = lp->row_highs[rows->spans + i] = 1e30;
    column_begin(lp, 1);
    column_put(lp, rows->moments + i, 1);
    column_put(lp, rows->spans + i, 1);
    for (int t = 0; t < slots; t++) {
        double begin = at[t] > came ? at[t] : came;
        int row = rows->in_slot + i * slots + t;
        lp->row_lows[row] = -1e30;
        lp->row_highs[row] = at[t + 1] > begin ? at[t + 1] - begin : 0;
        for (uint32_t k = 0; k < test->pool.kind_count && at[t + 1] > begin; k++) {
            if (!can_run(test, job, k))
                continue;
            column_begin(lp, 0);
            column_put(lp, rows->done + i, 1 / need_s(job, k));
            column_put(lp, rows->moments + i, -begin / need_s(job, k));
            column_put(lp, rows->spans + i, -1);
            column_put(lp, row, 1);
            column_put(lp, rows->of_kind + t * (int)test->pool.kind_count + (int)k,
                       job->work.width);
        }
    }
}

static double bound_mean(const struct hetero_case *test, const struct hetero_list *list,
                         double until, int slots)
{
    int kinds = (int)test->pool.kind_count, jobs = (int)list->count;
    struct rows rows = rows_of(jobs, kinds, slots);
    double at[SLOTS_MAX + 1], came = 0;
    struct programme lp;
    size_t cells = list->count * (size_t)kinds * (size_t)slots;
    slots_fill(test, list, until, slots, at);
    programme_open(&lp, list->count + cells, (size_t)rows.count, 2 * list->count + 5 * cells);
    for (int t = 0; t < slots; t++)
        for (int k = 0; k < kinds; k++) {
            lp.row_lows[rows.of_kind + t * kinds + k] = -1e30;
            lp.row_highs[rows.of_kind + t * kinds + k] =
                (double)test->pool.devices[k] * (at[t + 1] - at[t]);
        }
    for (int i = 0; i < jobs; i++) {
        job_put(&lp, test, list, i, at, slots, &rows);
        came += arrival_s(list, (size_t)i);
    }
    double mean = (programme_solve(&lp) - came) / jobs;
    programme_close(&lp);
    return mean;
}

static struct slice read_file(struct arena *arena, const char *root, const char *path)
{
    struct fault fault = {0};
    struct slice text;
    const char *full = arena_printf(arena, "%s/%s", root, path);
    if (full == NULL || file_read(full, FILE_BYTES_MAX, arena, &fault, &text) != ERR_OK) {
        fprintf(stderr, "bound: %s: %s\n", path, fault.message);
        exit(1);
    }
    return text;
}

static void case_run(const struct hetero_case *test, const struct hetero_speeds *speeds,
                     const char *root, int slots, struct arena *arena)
{
    struct fault fault = {0};
    struct hetero_list list;
    struct hetero_result mean;
    if (hetero_trace_read(read_file(arena, root, test->trace), test->has_speeds ? speeds : NULL,
                          arena, &list, &fault) != ERR_OK ||
        hetero_run(&list, &test->pool, 360000, HETERO_MEAN, &mean, &fault) != ERR_OK) {
        fprintf(stderr, "bound: %s:%u: %s\n", test->trace, fault.line, fault.message);
        exit(1);
    }
    printf("{\"case\":\"%s\"", test->name);
    if (list.jobs[list.count - 1].arrives_ms == list.jobs[0].arrives_ms)
        printf(",\"makespan_bound_s\":%.1f", bound_last(test, &list));
    fflush(stdout);
    printf(",\"completion_bound_s\":%.1f,\"slots\":%d}\n",
           bound_mean(test, &list, mean.makespan_s, slots), slots);
    fflush(stdout);
}

static int usage(void)
{
    fputs("bench/bound [--root FOLDER] [--slots N] [CASE ...]; cases:", stderr);
    for (int i = 0; i < HETERO_CASE_COUNT; i++)
        fprintf(stderr, " %s", HETERO_CASES[i].name);
    fprintf(stderr, "; slots: 2 to %d\n", SLOTS_MAX);
    return 2;
}

static bool is_named(char **names, const char *name)
{
    bool is_found = false;
    for (; *names != NULL; names++)
        is_found = is_found || strcmp(*names, name) == 0;
    return is_found;
}

static bool are_cases(char **names)
{
    for (; *names != NULL; names++) {
        bool is_case = false;
        for (int i = 0; i < HETERO_CASE_COUNT; i++)
            is_case = is_case || strcmp(*names, HETERO_CASES[i].name) == 0;
        if (!is_case)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *root = ".";
    long slots = SLOTS_DEFAULT;
    int first = 1;
    struct hetero_speeds speeds;
    struct fault fault = {0};
    struct arena arena;
    for (; first + 1 < argc && argv[first][0] == '-'; first += 2) {
        if (strcmp(argv[first], "--root") == 0)
            root = argv[first + 1];
        else if (strcmp(argv[first], "--slots") == 0)
            slots = strtol(argv[first + 1], NULL, 10);
        else
            return usage();
    }
    if (slots < 2 || slots > SLOTS_MAX || !are_cases(argv + first))
        return usage();
    arena_init(&arena, ARENA_BYTES_MAX);
    if (hetero_speeds_read(read_file(&arena, root, HETERO_SPEEDS), &arena, &speeds, &fault) !=
        ERR_OK) {
        fprintf(stderr, "bound: %s:%u: %s\n", HETERO_SPEEDS, fault.line, fault.message);
        return 1;
    }
    for (int i = 0; i < HETERO_CASE_COUNT; i++)
        if (first == argc || is_named(argv + first, HETERO_CASES[i].name))
            case_run(&HETERO_CASES[i], &speeds, root, (int)slots, &arena);
    arena_deinit(&arena);
    return 0;
}
