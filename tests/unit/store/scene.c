#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port/file.h"

void scene_open(struct scene *scene)
{
    struct fault fault = {0};
    struct store_config config = {.path = scene->path, .mode = STORE_WRITE};
    enum err err = store_db_open(&config, &scene->db, &fault);
    if (err)
        fail_msg("open: %s: %s", err_name(err), fault.message);
}

void scene_close(struct scene *scene)
{
    store_db_close(scene->db);
    scene->db = NULL;
}

int scene_set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/lq-store-XXXXXX");
    if (!mkdtemp(scene->folder))
        return -1;
    snprintf(scene->path, sizeof scene->path, "%s/state.db", scene->folder);
    arena_init(&scene->arena, 64 << 20);
    scene_open(scene);
    *state = scene;
    return 0;
}

int scene_tear_down(void **state)
{
    struct scene *scene = *state;
    scene_close(scene);
    arena_deinit(&scene->arena);
    enum err err = file_remove_tree(scene->folder, NULL);
    free(scene);
    return err ? -1 : 0;
}

struct id scene_id(uint64_t number)
{
    struct id id = {{0x01}};
    for (int i = 0; i < 8; i++)
        id.bytes[8 + i] = (uint8_t)(number >> (56 - 8 * i));
    return id;
}

struct job_row scene_job(uint64_t number, uint64_t tenant, enum job_state state)
{
    return (struct job_row){
        .id = {scene_id(number)},
        .spec = {scene_id(1)},
        .tenant = {scene_id(tenant)},
        .user = {scene_id(900)},
        .state = state,
        .created_epoch = 1,
        .created_at = {1000 + (int64_t)number},
        .exit_code = -1,
        .version = 1,
    };
}

struct attempt_row scene_attempt(uint64_t job, uint32_t number, uint64_t site,
                                 enum attempt_state state)
{
    return (struct attempt_row){
        .token = {.epoch = 1, .job = {scene_id(job)}, .number = number},
        .site = {scene_id(site)},
        .journal = {scene_id(site + 5000)},
        .state = state,
        .exit_code = -1,
        .nodes = 2,
        .contact = {.policy = CONTACT_LEASE, .lease = SPAN_S(900)},
        .ask_per_hour = {1500000},
        .offered_at = {77},
        .version = 1,
    };
}

struct usage_record scene_usage(uint64_t site, uint64_t journal, uint64_t seq, uint64_t job,
                                int64_t wall_ms)
{
    struct usage_record record = {
        .site = {scene_id(site)},
        .journal = {scene_id(journal)},
        .seq = seq,
        .token = {.epoch = 1, .job = {scene_id(job)}, .number = 1},
        .runtime = RUNTIME_CUDA,
        .accelerator = "A100 80GB SXM",
        .delta = {.wall_ms = wall_ms, .accel_ms = 8 * wall_ms},
        .total = {.wall_ms = wall_ms, .accel_ms = 8 * wall_ms},
        .measured_at = {INT64_C(86400000000) * (int64_t)seq},
    };
    return record;
}

void scene_add(struct scene *scene, struct change_op op)
{
    assert_true(scene->count < SCENE_OPS_MAX);
    scene->ops[scene->count++] = op;
}

struct change_result scene_apply(struct scene *scene)
{
    struct change change = {scene->ops, scene->count};
    const struct change *list[1] = {&change};
    struct change_result result;
    struct fault fault = {0};
    enum err err = store_db_apply(scene->db, list, 1, (struct wall_us){1000000}, &result, &fault);
    if (err)
        fail_msg("apply: %s: %s", err_name(err), fault.message);
    scene->count = 0;
    return result;
}

void scene_apply_ok(struct scene *scene)
{
    struct change_result result = scene_apply(scene);
    if (result.err)
        fail_msg("change: %s at operation %u", err_name(result.err), result.op);
}

struct change_op op_epoch(uint64_t epoch)
{
    return (struct change_op){.kind = CHANGE_EPOCH_EXPECT, .epoch = {epoch}};
}

struct change_op op_job(struct job_row row)
{
    return (struct change_op){.kind = CHANGE_JOB_INSERT, .job = {.row = row}};
}

struct change_op op_job_update(struct job_row row, enum job_state expect_state,
                               uint32_t expect_attempt)
{
    return (struct change_op){.kind = CHANGE_JOB_UPDATE,
                              .job = {row, expect_state, expect_attempt}};
}

struct change_op op_attempt(struct attempt_row row)
{
    return (struct change_op){.kind = CHANGE_ATTEMPT_INSERT,
                              .attempt = {.row = row, .places = SLICE_LITERAL("[[0,[1]]]")}};
}

struct change_op op_attempt_update(struct attempt_row row, enum attempt_state expect)
{
    return (struct change_op){.kind = CHANGE_ATTEMPT_UPDATE,
                              .attempt = {.row = row, .expect_state = expect}};
}

struct change_op op_spec(uint64_t number, const char *body)
{
    return (struct change_op){.kind = CHANGE_SPEC_INSERT,
                              .spec = {.id = {scene_id(number)}, .body = slice_of(body)}};
}

struct change_op op_event(uint64_t seq, uint64_t tenant)
{
    struct change_op op = {.kind = CHANGE_EVENT_APPEND};
    op.event = (struct event_record){.seq = seq,
                                     .at = {5},
                                     .kind = SLICE_LITERAL("job.pending"),
                                     .subject = SLICE_LITERAL("job_x"),
                                     .body = SLICE_LITERAL("{}")};
    if (tenant)
        op.event.tenant.id = scene_id(tenant);
    return op;
}

struct change_op op_audit(uint64_t seq, uint8_t previous, uint8_t hash)
{
    struct change_op op = {.kind = CHANGE_AUDIT_APPEND};
    op.audit = (struct audit_record){.seq = seq,
                                     .at = {6},
                                     .actor = SLICE_LITERAL("user_a"),
                                     .tenant = SLICE_LITERAL("tnt_a"),
                                     .action = SLICE_LITERAL("job.submit"),
                                     .subject = SLICE_LITERAL("job_x"),
                                     .detail = SLICE_LITERAL("{}"),
                                     .previous = {{previous}},
                                     .hash = {{hash}}};
    return op;
}

struct change_op op_usage(struct usage_record record)
{
    return (struct change_op){.kind = CHANGE_USAGE_INSERT, .usage = record};
}

struct change_op op_doc(enum doc_kind kind, const char *id, const char *parent, uint64_t expect,
                        const char *body)
{
    struct change_op op = {.kind = CHANGE_DOC_PUT};
    op.doc.expect_version = expect;
    op.doc.doc = (struct doc){.kind = kind,
                              .id = slice_of(id),
                              .parent = slice_of(parent),
                              .version = expect + 1,
                              .changed_at = {9},
                              .body = slice_of(body)};
    return op;
}

enum err scene_ask(struct scene *scene, const struct store_query *query, struct store_answer *out)
{
    arena_reset(&scene->arena);
    return store_db_query(scene->db, query, &scene->arena, out, NULL);
}

struct store_answer scene_answer(struct scene *scene, const struct store_query *query)
{
    struct store_answer answer = {0};
    struct fault fault = {0};
    arena_reset(&scene->arena);
    enum err err = store_db_query(scene->db, query, &scene->arena, &answer, &fault);
    if (err)
        fail_msg("query: %s: %s", err_name(err), fault.message);
    return answer;
}
