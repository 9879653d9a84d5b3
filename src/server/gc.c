#include "server/gc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/vector.h"
#include "port/clock.h"
#include "port/file.h"
#include "port/worker.h"
#include "store/manifest.h"
#include "wire/doc.h"
#include "wire/spec.h"

enum {
    GC_ARENA_BYTES = 256 << 20,
    GC_LIST_ARENA_BYTES = 1 << 30,
    GC_ROWS_MAX = 1 << 24,
    GC_LOGS_MAX = 4 << 20,
    GC_PAGE = 500,
    GC_MANIFEST_PAGE = 8,
    GC_PATH_MAX = 4096,
};

struct gc {
    struct server *server;
    struct worker *worker;
    struct loop_timer timer;
    atomic_bool is_stopping;
    bool is_running;
    /* The run's own, on the worker. */
    struct store_db *db;
    struct vector named; /* struct id: what unfinished jobs and datasets name; sorted */
    struct vector kept;  /* struct id: checkpoints that stay; sorted */
};

static struct wall_us wall_now(void)
{
    struct clock clock = clock_system();
    return clock_wall(&clock);
}

static int id_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct id));
}

static bool id_in(const struct vector *sorted, struct id id)
{
    return sorted->len > 0 &&
           bsearch(&id, vector_at(sorted, 0), sorted->len, sizeof(id), id_order) != NULL;
}

/* ---- what is live */

static enum err on_spec(void *context, struct spec_id id, struct slice body)
{
    struct gc *gc = context;
    struct arena arena;
    struct job_spec spec;
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct id workdir;
    (void)id;
    arena_init(&arena, GC_ARENA_BYTES);
    enum err err = json_parse(body, &JSON_LIMITS_FILE, &document, &fault);
    if (err == ERR_OK)
        err = spec_decode(json_root(document), &arena, &spec, &fault);
    if (err == ERR_OK && spec.workdir.len > 0 &&
        id_parse(spec.workdir, ID_PREFIX_ARTIFACT, &workdir) == ERR_OK)
        err = vector_push(&gc->named, &workdir);
    for (uint32_t i = 0; err == ERR_OK && i < spec.input_count; i++)
        err = vector_push(&gc->named, &spec.inputs[i].artifact);
    json_document_destroy(document);
    arena_deinit(&arena);
    return atomic_load(&gc->is_stopping) ? ERR_CANCELLED : err;
}

static enum err on_doc(void *context, const struct doc *doc)
{
    struct gc *gc = context;
    struct arena arena;
    struct doc_value value;
    struct fault fault = {0};
    if (doc->kind != DOC_DATASET)
        return ERR_OK;
    arena_init(&arena, GC_ARENA_BYTES);
    enum err err = doc_parse(doc->kind, doc->body, &arena, &value, &fault);
    if (err == ERR_OK && !id_is_none(value.dataset.artifact))
        err = vector_push(&gc->named, &value.dataset.artifact);
    arena_deinit(&arena);
    return err;
}

struct checkpoint {
    struct job_id job;
    uint64_t step;
    struct id id;
};

static int checkpoint_order(const void *a, const void *b)
{
    const struct checkpoint *x = a, *y = b;
    int by_job = id_order(&x->job.id, &y->job.id);
    if (by_job != 0)
        return by_job;
    return x->step < y->step ? 1 : x->step > y->step ? -1 : id_order(&x->id, &y->id);
}

/* Every artifact of the tenant, a page at a time. */
static enum err artifacts_walk(struct gc *gc, struct tenant_id tenant, bool with_manifest,
                               enum err (*on_row)(void *context, const struct artifact_row *row,
                                                  struct arena *arena),
                               void *context)
{
    struct arena arena;
    struct store_query query = {.kind = STORE_ARTIFACT_LIST};
    struct store_answer answer = {.has_more = true};
    struct fault fault = {0};
    enum err err = ERR_OK;
    arena_init(&arena, GC_ARENA_BYTES);
    query.artifact_list.tenants.ids = &tenant;
    query.artifact_list.tenants.count = 1;
    query.artifact_list.with_manifest = with_manifest;
    query.artifact_list.limit = with_manifest ? GC_MANIFEST_PAGE : GC_PAGE;
    while (err == ERR_OK && answer.has_more) {
        err = store_db_query(gc->db, &query, &arena, &answer, &fault);
        for (size_t i = 0; err == ERR_OK && i < answer.count; i++)
            err = on_row(context, &answer.artifacts[i], &arena);
        if (err == ERR_OK && answer.has_more)
            query.artifact_list.after = answer.next.artifact;
        if (atomic_load(&gc->is_stopping))
            err = ERR_CANCELLED;
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    return err;
}

static enum err on_checkpoint(void *context, const struct artifact_row *row, struct arena *arena)
{
    const struct checkpoint checkpoint = {row->token.job, row->step, row->id};
    (void)arena;
    if (row->kind != ARTIFACT_CHECKPOINT || row->is_stale)
        return ERR_OK;
    return vector_push(context, &checkpoint);
}

/* The newest ones of each job, into gc->kept. */
static enum err checkpoints_choose(struct gc *gc, struct tenant_id tenant)
{
    struct vector all;
    size_t of_job = 0;
    vector_init(&all, sizeof(struct checkpoint), GC_ROWS_MAX);
    enum err err = artifacts_walk(gc, tenant, false, on_checkpoint, &all);
    if (err == ERR_OK)
        err = vector_sort(&all, checkpoint_order);
    for (size_t i = 0; err == ERR_OK && i < all.len; i++) {
        const struct checkpoint *at = vector_at(&all, i);
        const struct checkpoint *before = i == 0 ? NULL : vector_at(&all, i - 1);
        of_job = before != NULL && id_is_equal(before->job.id, at->job.id) ? of_job + 1 : 0;
        if (of_job < GC_CHECKPOINTS_KEPT)
            err = vector_push(&gc->kept, &at->id);
    }
    vector_deinit(&all);
    return err == ERR_OK ? vector_sort(&gc->kept, id_order) : err;
}

struct marking {
    struct gc *gc;
    struct chunk_marks *marks;
    struct wall_us now;
};

static bool is_live(const struct marking *marking, const struct artifact_row *row)
{
    switch (row->kind) {
    case ARTIFACT_OUTPUT:
        return true;
    case ARTIFACT_CHECKPOINT:
        return id_in(&marking->gc->kept, row->id);
    case ARTIFACT_WORKDIR:
        return marking->now.us - row->created_at.us < (int64_t)GC_WORKDIR_AGE_S * 1000000 ||
               id_in(&marking->gc->named, row->id);
    case ARTIFACT_KIND_COUNT_:
        break;
    }
    return true;
}

static enum err on_manifest(void *context, const struct artifact_row *row, struct arena *arena)
{
    const struct marking *marking = context;
    struct manifest manifest;
    struct fault fault = {0};
    if (!is_live(marking, row))
        return ERR_OK;
    enum err err = manifest_decode(row->manifest, arena, &manifest, &fault);
    return err == ERR_OK ? manifest_mark(&manifest, marking->marks) : err;
}

/* A tenant of which anything could not be read is left as it is. */
static void tenant_sweep(struct gc *gc, struct tenant_id tenant)
{
    struct chunks_swept swept = {0};
    struct marking marking = {.gc = gc, .now = wall_now()};
    vector_clear(&gc->kept);
    enum err err = chunk_marks_create(&marking.marks);
    if (err == ERR_OK)
        err = checkpoints_choose(gc, tenant);
    if (err == ERR_OK)
        err = artifacts_walk(gc, tenant, true, on_manifest, &marking);
    if (err == ERR_OK)
        err = chunks_sweep(gc->server->chunks, tenant, marking.marks, marking.now,
                           SPAN_S(GC_GRACE_S), &swept);
    if (err != ERR_OK && err != ERR_CANCELLED)
        fprintf(stderr, "lq server: content of a tenant could not be swept (%s)\n", err_name(err));
    else if (swept.count > 0)
        fprintf(stderr, "lq server: swept %llu chunks, %llu bytes; kept %llu chunks\n",
                (unsigned long long)swept.count, (unsigned long long)swept.bytes,
                (unsigned long long)swept.kept_count);
    chunk_marks_destroy(marking.marks);
}

static void content_sweep(struct gc *gc)
{
    struct arena arena;
    struct tenant_id *tenants = NULL;
    size_t count = 0;
    struct fault fault = {0};
    const struct store_load_sink sink = {.on_doc = on_doc, .on_spec = on_spec, .context = gc};
    char path[GC_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/lingqu.db", gc->server->options->state_folder);
    const struct store_config config = {.path = path, .mode = STORE_READ, .cache_bytes = 1 << 20};
    arena_init(&arena, GC_LIST_ARENA_BYTES);
    vector_init(&gc->named, sizeof(struct id), GC_ROWS_MAX);
    vector_init(&gc->kept, sizeof(struct id), GC_ROWS_MAX);
    enum err err = chunks_tenants(gc->server->chunks, &arena, &tenants, &count);
    if (err == ERR_OK && count > 0) {
        err = store_db_open(&config, &gc->db, &fault);
        if (err == ERR_OK)
            err = store_db_load(gc->db, &sink, &fault);
        if (err == ERR_OK)
            err = vector_sort(&gc->named, id_order);
        for (size_t i = 0; err == ERR_OK && i < count && !atomic_load(&gc->is_stopping); i++)
            tenant_sweep(gc, tenants[i]);
        store_db_close(gc->db);
        gc->db = NULL;
    }
    vector_deinit(&gc->kept);
    vector_deinit(&gc->named);
    arena_deinit(&arena);
}

/* ---- logs */

struct log_folder {
    char name[ATTEMPT_NAME_MAX];
    int64_t bytes;
    struct wall_us changed_at;
};

static int log_order(const void *a, const void *b)
{
    const struct log_folder *x = a, *y = b;
    if (x->changed_at.us != y->changed_at.us)
        return x->changed_at.us < y->changed_at.us ? -1 : 1;
    return strcmp(x->name, y->name);
}

static enum err log_measure(const char *folder, struct arena *arena, struct log_folder *out)
{
    struct file_entry *files;
    size_t count;
    struct fault fault = {0};
    char path[GC_PATH_MAX];
    enum err err = file_list(folder, JOB_NODES_MAX, arena, &fault, &files, &count);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        struct file_info info;
        int n = snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
        if (n <= 0 || (size_t)n >= sizeof(path) || file_stat(path, &info) != ERR_OK)
            continue;
        out->bytes += (int64_t)info.size_bytes;
        if (info.modified.us > out->changed_at.us)
            out->changed_at = info.modified;
    }
    return err;
}

static enum err logs_list(struct gc *gc, const char *folder, struct vector *out, int64_t *out_bytes)
{
    struct arena names, arena;
    struct file_entry *entries;
    size_t count = 0;
    struct fault fault = {0};
    char path[GC_PATH_MAX];
    arena_init(&names, GC_LIST_ARENA_BYTES);
    arena_init(&arena, GC_ARENA_BYTES);
    enum err err = file_list(folder, GC_LOGS_MAX, &names, &fault, &entries, &count);
    for (size_t i = 0; err == ERR_OK && i < count && !atomic_load(&gc->is_stopping); i++) {
        struct log_folder log = {0};
        struct attempt_token token;
        int n = snprintf(path, sizeof(path), "%s/%s", folder, entries[i].name);
        if (attempt_name_parse(slice_of(entries[i].name), &token) != ERR_OK || n <= 0 ||
            (size_t)n >= sizeof(path))
            continue; /* not ours */
        attempt_name_format(&token, log.name);
        arena_reset(&arena);
        if (log_measure(path, &arena, &log) != ERR_OK)
            continue;
        *out_bytes += log.bytes;
        err = vector_push(out, &log);
    }
    arena_deinit(&arena);
    arena_deinit(&names);
    return err;
}

static void logs_sweep(struct gc *gc)
{
    struct vector logs;
    struct fault fault = {0};
    char folder[GC_PATH_MAX], path[GC_PATH_MAX + ATTEMPT_NAME_MAX + 1];
    int64_t bytes = 0;
    int64_t oldest = wall_now().us - (int64_t)GC_LOG_AGE_S * 1000000;
    (void)snprintf(folder, sizeof(folder), "%s/logs", gc->server->options->state_folder);
    vector_init(&logs, sizeof(struct log_folder), GC_LOGS_MAX);
    enum err err = logs_list(gc, folder, &logs, &bytes);
    if (err == ERR_OK)
        err = vector_sort(&logs, log_order);
    for (size_t i = 0; err == ERR_OK && i < logs.len && !atomic_load(&gc->is_stopping); i++) {
        const struct log_folder *log = vector_at(&logs, i);
        if (log->changed_at.us >= oldest && bytes <= GC_LOG_BYTES_MAX)
            break;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, log->name);
        if (file_remove_tree(path, &fault) == ERR_OK)
            bytes -= log->bytes;
    }
    vector_deinit(&logs);
}

/* ---- when */

static void gc_run(void *context)
{
    struct gc *gc = context;
    content_sweep(gc);
    logs_sweep(gc);
}

static void gc_done(void *context)
{
    struct gc *gc = context;
    gc->is_running = false;
    if (!atomic_load(&gc->is_stopping))
        loop_timer_set(&gc->timer, SPAN_S(GC_EVERY_S));
}

static void gc_fire(void *context)
{
    struct gc *gc = context;
    if (!gc->is_running && worker_submit(gc->worker, gc_run, gc_done, gc) == ERR_OK)
        gc->is_running = true;
    else
        loop_timer_set(&gc->timer, SPAN_S(GC_EVERY_S));
}

enum err gc_create(struct server *server, struct gc **out)
{
    struct gc *gc = calloc(1, sizeof(*gc));
    if (gc == NULL)
        return ERR_NO_MEMORY;
    gc->server = server;
    loop_timer_init(&gc->timer, server->loop, gc_fire, gc);
    enum err err = worker_create(server->loop, "lq-gc", 1, &gc->worker);
    if (err != ERR_OK) {
        free(gc);
        return err;
    }
    loop_timer_set(&gc->timer, SPAN_S(server->options->gc_first_s > 0 ? server->options->gc_first_s
                                                                      : (int64_t)GC_FIRST_S));
    *out = gc;
    return ERR_OK;
}

void gc_destroy(struct gc *gc)
{
    if (gc == NULL)
        return;
    atomic_store(&gc->is_stopping, true);
    loop_timer_stop(&gc->timer);
    worker_destroy(gc->worker);
    loop_timer_stop(&gc->timer);
    free(gc);
}
