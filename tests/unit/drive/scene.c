#include "scene.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "drive/cgroup.h"
#include "drive/supervise_doc.h"
#include "port/entropy.h"
#include "port/file.h"

static const char SECRET[] = "c2VjcmV0LW9mLXRoZS1hdHRlbXB0";

static void on_guard(void *context)
{
    struct scene *scene = context;
    char text[SCENE_TEXT_MAX];
    print_message("log: %s\n", scene_read(scene, 0, "log", text));
    fail_msg("the test took too long");
}

/* ---- the gate */

static void say(struct scene_client *client, const struct gate_message *to, enum gate_kind kind)
{
    struct scene *scene = client->scene;
    struct buffer line;
    struct gate_message message = {.kind = kind,
                                   .token = to->token,
                                   .rank = to->rank,
                                   .incarnation = to->incarnation,
                                   .seq = to->seq};
    if (kind == GATE_KILL) {
        message.reason = scene->order_kill.reason;
        message.grace = scene->order_kill.grace;
    }
    if ((kind == GATE_GO || kind == GATE_LEASE) && scene->lease.ms != 0) {
        message.has_lease = true;
        message.lease = kind == GATE_GO || scene->renews ? scene->lease : SPAN_MS(-1);
    }
    buffer_init(&line, GATE_LINE_MAX);
    assert_int_equal(gate_message_encode(&message, &line), ERR_OK);
    (void)!stream_write(client->stream, buffer_slice(&line));
    buffer_deinit(&line);
}

static void on_ask(struct scene *scene, struct scene_client *client,
                   const struct gate_message *message)
{
    uint32_t rank = message->rank;
    if (scene->is_refusing || (scene->taken_by != 0 && scene->taken_by != message->incarnation)) {
        scene->refused++;
        say(client, message, GATE_REFUSE);
        return;
    }
    if (!scene->has_asked[rank]) {
        scene->has_asked[rank] = true;
        scene->asked_at[rank] = loop_now(scene->loop).boot;
        scene->asked++;
    }
    if (scene->asked < scene->ranks) {
        say(client, message, GATE_WAIT);
        return;
    }
    scene->taken_by = message->incarnation;
    scene->go_at = loop_now(scene->loop).boot;
    say(client, message, GATE_GO);
}

static void on_line(struct scene_client *client, struct slice line)
{
    struct scene *scene = client->scene;
    struct gate_message message;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(gate_message_decode(line, &arena, &message, NULL), ERR_OK);
    assert_true(slice_is(message.secret, SECRET));
    assert_true(message.rank < SCENE_RANKS_MAX);
    if (scene->is_silent) {
        arena_deinit(&arena);
        return;
    }
    if (message.kind == GATE_ASK)
        on_ask(scene, client, &message);
    else if (message.kind == GATE_RENEW && scene->order_kill.kind == GATE_KILL)
        say(client, &message, GATE_KILL);
    else if (message.kind == GATE_RENEW)
        say(client, &message, GATE_LEASE);
    else if (message.kind == GATE_EXIT) {
        if (scene->exits[message.rank].kind != GATE_EXIT) {
            scene->exited++;
            scene->exit_at[message.rank] = loop_now(scene->loop).boot;
        }
        message.secret = (struct slice){0};
        scene->exits[message.rank] = message;
        if (scene->is_closing)
            say(client, &message, GATE_CLOSE);
        if (scene->exited >= scene->ranks)
            loop_stop(scene->loop);
    }
    arena_deinit(&arena);
}

static void on_bytes(void *context, struct slice bytes)
{
    struct scene_client *client = context;
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != '\n') {
            assert_true(client->len < sizeof(client->line));
            client->line[client->len++] = bytes.data[i];
            continue;
        }
        on_line(client, slice_make(client->line, client->len));
        client->len = 0;
    }
}

static void on_end(void *context, enum err why)
{
    struct scene_client *client = context;
    (void)why;
    stream_close(client->stream);
    client->stream = NULL;
}

static const struct stream_events STREAM_EVENTS = {.on_bytes = on_bytes, .on_end = on_end};

static void on_accept(void *context, struct stream *stream)
{
    struct scene *scene = context;
    for (int i = 0; i < SCENE_CLIENTS_MAX; i++) {
        struct scene_client *client = &scene->clients[i];
        if (client->stream != NULL)
            continue;
        *client = (struct scene_client){.scene = scene, .stream = stream};
        stream_listen(stream, &STREAM_EVENTS, client);
        assert_int_equal(stream_read_start(stream), ERR_OK);
        return;
    }
    fail_msg("too many supervisors");
}

void scene_gate_open(struct scene *scene)
{
    char endpoint[ENDPOINT_TEXT_MAX];
    (void)snprintf(endpoint, sizeof(endpoint), "unix:%s/supervise.sock", scene->dir);
    assert_int_equal(
        listener_open(scene->loop, endpoint, NULL, NULL, on_accept, scene, &scene->listener),
        ERR_OK);
}

void scene_gate_close(struct scene *scene)
{
    listener_close(scene->listener);
    scene->listener = NULL;
    for (int i = 0; i < SCENE_CLIENTS_MAX; i++) {
        stream_close(scene->clients[i].stream);
        scene->clients[i].stream = NULL;
    }
}

/* ---- the driver */

static void on_answer(void *context, const struct drive_answer *answer)
{
    struct scene *scene = context;
    scene->has_answer = true;
    scene->answer_count++;
    scene->answer = *answer;
    (void)snprintf(scene->why, sizeof(scene->why), "%s", answer->why);
    for (uint32_t i = 0; i < answer->rank_count && i < SCENE_RANKS_MAX; i++)
        scene->ends[i] = answer->ranks[i];
    scene->answer.ranks = scene->ends;
    loop_stop(scene->loop);
}

static void on_capacity(void *context, const struct sync_node *nodes, uint32_t count)
{
    struct scene *scene = context;
    assert_int_equal(count, SCENE_NODES);
    memcpy(scene->capacity, nodes, sizeof(scene->capacity));
    scene->has_capacity = true;
    loop_stop(scene->loop);
}

static void on_names(void *context, bool is_known, const struct attempt_token *tokens,
                     uint32_t count)
{
    struct scene *scene = context;
    assert_true(is_known);
    scene->has_names = true;
    scene->name_count = count;
    if (count != 0)
        scene->name = tokens[0];
    loop_stop(scene->loop);
}

static const struct driver_events DRIVER_EVENTS = {
    .on_answer = on_answer, .on_names = on_names, .on_capacity = on_capacity};

static const char *supervise_path;

void scene_restart_driver(struct scene *scene)
{
    const char *const argv[] = {supervise_path, NULL};
    const struct host_settings settings = {
        .state_dir = scene->dir,
        .site_name = "test-site",
        .nodes = scene->nodes,
        .node_count = SCENE_NODES,
        .supervise_argv = argv,
        .ask_every = SPAN_MS(100),
        .renew_every = SPAN_MS(100),
        .report_every = SPAN_MS(100),
        .kill_time = SPAN_MS(200),
        .gate_limit = SPAN_S(10),
        .log_bytes_max = 20000,
        .ignores_foreign_load = true, /* else work yields to whatever else this machine does */
    };
    struct fault fault = {0};
    driver_destroy(scene->driver);
    scene->driver = NULL;
    enum err code =
        host_driver_create(scene->loop, &settings, &DRIVER_EVENTS, scene, &fault, &scene->driver);
    assert_string_equal(fault.message, "");
    assert_int_equal(code, ERR_OK);
}

static void on_tick(void *context)
{
    struct scene *scene = context;
    loop_stop(scene->loop);
}

struct scene *scene_make(const char *supervise)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    char path[300];
    assert_non_null(scene);
    supervise_path = supervise;
    (void)snprintf(scene->dir, sizeof(scene->dir), "/tmp/lq-drive-XXXXXX");
    assert_non_null(mkdtemp(scene->dir));
    (void)snprintf(path, sizeof(path), "%s/attempts", scene->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(loop_create(&scene->loop), ERR_OK);
    loop_timer_init(&scene->guard, scene->loop, on_guard, scene);
    loop_timer_init(&scene->tick, scene->loop, on_tick, scene);
    for (int i = 0; i < SCENE_NODES; i++)
        scene->nodes[i] =
            (struct site_node){.name = i == 0 ? SLICE_LITERAL("n0") : SLICE_LITERAL("n1"),
                               .cpu_milli = 2000,
                               .mem_bytes = UINT64_C(1) << 30,
                               .accelerator = SLICE_LITERAL(""),
                               .runtime = RUNTIME_CPU};
    assert_int_equal(entropy_fill(&scene->token.job, sizeof(scene->token.job)), ERR_OK);
    scene->token.epoch = 3;
    scene->token.number = 1;
    scene->is_closing = true;
    scene->renews = true;
    scene->ranks = 1;
    loop_timer_set(&scene->guard, SPAN_S(10));
    scene_gate_open(scene);
    scene_restart_driver(scene);
    return scene;
}

/* The driver leaves its empty groups for its next start; here there is none. */
static void remove_groups(const char *state_dir)
{
    struct cgroup site, node;
    char name[64], why[256] = "";
    (void)snprintf(name, sizeof(name), "lq-%016llx",
                   (unsigned long long)hash_bytes(slice_of(state_dir), 0));
    cgroup_probe(name, &site, why, sizeof(why));
    for (int i = 0; i < SCENE_NODES; i++) {
        (void)snprintf(name, sizeof(name), "node-%d", i);
        if (cgroup_below(&site, name, &node) == ERR_OK)
            cgroup_remove(&node);
    }
    cgroup_remove(&site);
}

void scene_free(struct scene *scene)
{
    (void)scene_kill(scene, SPAN_MS(0));
    driver_forget(scene->driver, &scene->token);
    scene_turn(scene);
    driver_destroy(scene->driver);
    scene_gate_close(scene);
    loop_timer_stop(&scene->guard);
    loop_timer_stop(&scene->tick);
    loop_destroy(scene->loop);
    remove_groups(scene->dir);
    (void)!file_remove_tree(scene->dir, NULL);
    free(scene);
}

void scene_turn(struct scene *scene)
{
    loop_timer_set(&scene->tick, SPAN_MS(20));
    assert_int_equal(loop_run(scene->loop), ERR_OK);
    loop_timer_stop(&scene->tick);
}

static void put_json_text(struct buffer *out, const char *text)
{
    buffer_append_char(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buffer_append_char(out, '\\');
        if (*text == '\n')
            buffer_append_text(out, "\\n");
        else
            buffer_append_char(out, *text);
    }
    buffer_append_char(out, '"');
}

void scene_submit_start(struct scene *scene, const struct scene_job *job)
{
    struct buffer spec, order_bytes;
    struct rank_place places[SCENE_RANKS_MAX] = {{.node = 0}, {.node = 1}, {.node = 0}, {0}};
    buffer_init(&spec, 1 << 20);
    buffer_init(&order_bytes, 1 << 20);
    scene->ranks = job->nodes == 0 ? 1 : job->nodes;
    buffer_printf(&spec,
                  "{\"name\":\"t\",\"num_nodes\":%u,\"resources\":{\"cpus\":1,\"memory\":\"%s\","
                  "\"scratch\":\"%s\",\"pids\":64},\"run\":",
                  scene->ranks, job->memory == NULL ? "128MiB" : job->memory,
                  job->scratch == NULL ? "64MiB" : job->scratch);
    put_json_text(&spec, job->run);
    buffer_printf(&spec, "%s}", job->extra == NULL ? "" : job->extra);
    struct attempt_order order = {
        .token = scene->token,
        .job_name = SLICE_LITERAL("t"),
        .tenant = {scene->token.job.id},
        .spec = buffer_slice(&spec),
        .places = places,
        .nodes = scene->ranks,
        .contact = job->contact,
        .array_index = 7,
        .secret = SLICE_LITERAL("c2VjcmV0LW9mLXRoZS1hdHRlbXB0"),
    };
    assert_int_equal(attempt_order_encode(&order, &order_bytes), ERR_OK);
    scene->has_answer = false;
    scene->submitted_at = loop_now(scene->loop).boot;
    driver_submit(scene->driver, &scene->token, buffer_slice(&order_bytes), 0);
    buffer_deinit(&order_bytes);
    buffer_deinit(&spec);
}

enum drive_answer_kind scene_wait_answer(struct scene *scene)
{
    while (!scene->has_answer)
        assert_int_equal(loop_run(scene->loop), ERR_OK);
    return scene->answer.kind;
}

enum drive_answer_kind scene_submit(struct scene *scene, const struct scene_job *job)
{
    scene_submit_start(scene, job);
    return scene_wait_answer(scene);
}

enum drive_answer_kind scene_inspect(struct scene *scene)
{
    scene->has_answer = false;
    memset(scene->ends, 0, sizeof(scene->ends));
    driver_inspect(scene->driver, &scene->token, 0);
    return scene_wait_answer(scene);
}

enum drive_answer_kind scene_kill(struct scene *scene, struct span_ms grace)
{
    scene->has_answer = false;
    memset(scene->ends, 0, sizeof(scene->ends));
    driver_kill(scene->driver, &scene->token, grace);
    return scene_wait_answer(scene);
}

void scene_wait_exit(struct scene *scene)
{
    while (scene->exited < scene->ranks)
        assert_int_equal(loop_run(scene->loop), ERR_OK);
}

static void rank_path(struct scene *scene, uint32_t rank, const char *name, char *out, size_t size)
{
    char dir[1024];
    assert_int_equal(driver_rank_dir(scene->driver, &scene->token, rank, dir, sizeof(dir)), ERR_OK);
    (void)snprintf(out, size, "%s/%s", dir, name);
}

void scene_wait_file(struct scene *scene, const char *name)
{
    char path[1200];
    rank_path(scene, 0, name, path, sizeof(path));
    while (access(path, F_OK) != 0)
        scene_turn(scene);
}

void scene_run(struct scene *scene, const struct scene_job *job)
{
    enum drive_answer_kind kind = scene_submit(scene, job);
    assert_string_equal(scene->why, "");
    assert_int_equal(kind, DRIVE_ACCEPTED);
    scene_wait_exit(scene);
    if (scene->exits[0].outcome == OUTCOME_BAD_ENVIRONMENT) {
        char text[SCENE_TEXT_MAX];
        print_message("log: %s\n", scene_read(scene, 0, "log", text));
        print_message("end: %s\n", scene_read(scene, 0, "end.json", text));
    }
}

const char *scene_read(struct scene *scene, uint32_t rank, const char *name,
                       char out[SCENE_TEXT_MAX])
{
    char path[1200];
    out[0] = '\0';
    rank_path(scene, rank, name, path, sizeof(path));
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return out;
    size_t got = fread(out, 1, SCENE_TEXT_MAX - 1, file);
    out[got] = '\0';
    (void)fclose(file);
    return out;
}

bool scene_has_line(struct scene *scene, const char *text)
{
    char log[SCENE_TEXT_MAX];
    bool has = strstr(scene_read(scene, 0, "log", log), text) != NULL;
    if (!has)
        print_message("missing \"%s\" in: %s\n", text, log);
    return has;
}

bool scene_has_process(const char *argument)
{
    DIR *proc = opendir("/proc");
    bool has = false;
    assert_non_null(proc);
    for (struct dirent *entry = readdir(proc); entry != NULL && !has; entry = readdir(proc)) {
        char path[300], line[64] = "";
        (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            continue;
        size_t got = fread(line, 1, sizeof(line) - 1, file);
        (void)fclose(file);
        has = got > 6 && strcmp(line, "sleep") == 0 && strcmp(line + 6, argument) == 0;
    }
    (void)closedir(proc);
    return has;
}

int64_t scene_supervisor_pid(struct scene *scene, uint32_t rank)
{
    char text[SCENE_TEXT_MAX];
    struct supervise_lock lock = {0};
    (void)scene_read(scene, rank, "lock", text);
    assert_int_equal(supervise_lock_parse(slice_of(text), &lock), ERR_OK);
    return lock.pid;
}
