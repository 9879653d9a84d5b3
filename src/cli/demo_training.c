/* The training job: where it went, how its loss goes, and how it moved. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/demo.h"
#include "cli/upload.h"
#include "port/file.h"
#include "wire/yaml.h"

enum { FILE_BYTES_MAX = 64 << 20, TRAINING_BODY_MAX = 1 << 20 };

static int copy(struct demo *demo, const char *from, const char *to, uint32_t mode)
{
    struct fault fault = {0};
    struct slice bytes;
    enum err err = file_read(from, FILE_BYTES_MAX, &demo->cli->arena, &fault, &bytes);
    if (err == ERR_OK)
        err = file_write_atomic(to, bytes, mode, &fault);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(demo->cli, EXIT_FAILED, from, &fault);
}

/* The job's folder as it is submitted: the program, its text, and the job file of
 * examples/train-lm. */
static int folder_make(struct demo *demo, const char **out_job)
{
    struct cli *cli = demo->cli;
    struct fault fault = {0};
    char build[FILE_PATH_MAX];
    const char *folder = arena_printf(&cli->arena, "%s/train-lm", network_folder(demo->network));
    const char *data = arena_printf(&cli->arena, "%s/data", folder);
    (void)snprintf(build, sizeof(build), "%s", cli->program);
    for (int up = 0; up < 3; up++) { /* BUILD/src/cli/lq */
        char *slash = strrchr(build, '/');
        ASSERT(slash != NULL);
        *slash = 0;
    }
    if (file_make_folders(data, 0755, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, data, &fault);
    int code = copy(demo, arena_printf(&cli->arena, "%s/examples/train-lm/train-lm", build),
                    arena_printf(&cli->arena, "%s/train-lm", folder), 0755);
    if (code == EXIT_DONE)
        code =
            copy(demo,
                 arena_printf(&cli->arena, "%s/examples/train-lm/data/shakespeare.txt", demo->root),
                 arena_printf(&cli->arena, "%s/shakespeare.txt", data), 0644);
    *out_job = arena_printf(&cli->arena, "%s/job.yaml", folder);
    if (code == EXIT_DONE)
        code = copy(demo, arena_printf(&cli->arena, "%s/examples/train-lm/job.yaml", demo->root),
                    *out_job, 0644);
    return code;
}

int demo_training_submit(struct demo *demo)
{
    struct cli *cli = demo->cli;
    struct fault fault = {0};
    struct slice text;
    struct json_document *document;
    struct buffer body;
    struct api_reply reply;
    const char *path = NULL;
    int code = folder_make(demo, &path);
    if (code != EXIT_DONE)
        return code;
    enum err err = file_read(path, FILE_BYTES_MAX, &cli->arena, &fault, &text);
    if (err == ERR_OK)
        err = yaml_parse(text, &YAML_LIMITS, &document, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    buffer_init(&body, TRAINING_BODY_MAX);
    code = upload_job(cli, "research", path, json_root(document), NULL, &body);
    if (code == EXIT_DONE)
        code =
            api_call(cli, "POST", "/v1/jobs:dry-run?tenant=research", buffer_slice(&body), &reply);
    if (code == EXIT_DONE) {
        demo_say(demo, "the training job was considered at:");
        explanation_print(cli, reply.root);
        code = api_post_once(cli, "/v1/jobs?tenant=research", buffer_slice(&body), &reply);
    }
    if (code == EXIT_DONE) {
        struct json_value first = json_array_at(json_object_get(reply.root, "jobs"), 0);
        demo->training.id = arena_text(&cli->arena, api_string(first, "id"));
        demo->summary.submitted++;
    }
    buffer_deinit(&body);
    json_document_destroy(document);
    return code;
}

/* "step 120 loss 2.3456 ..." and "resumed from step 1000 ..."; others are passed over. */
static void line_take(struct demo_training *training, char *line, uint64_t *io_resumed)
{
    char *at = line, *end;
    if (strncmp(at, "resumed from step ", 18) == 0) {
        *io_resumed = strtoull(at + 18, &end, 10);
        training->step_after = 0;
        return;
    }
    if (strncmp(at, "step ", 5) != 0)
        return;
    uint64_t step = strtoull(at + 5, &end, 10);
    at = strstr(end, " loss ");
    if (at == NULL)
        return;
    double loss = strtod(at + 6, &end);
    if (end == at + 6)
        return;
    training->step = step;
    training->loss_last = training->loss = loss;
    if (*io_resumed > 0 && training->is_killed && training->step_after == 0) {
        training->step_resumed = *io_resumed;
        training->step_after = step;
        training->loss_after = loss;
    }
}

static void log_take(struct demo_training *training, struct slice text)
{
    uint64_t resumed = 0;
    while (text.len > 0) {
        char line[256];
        struct slice one;
        if (!slice_cut(text, '\n', &one, &text))
            return; /* not whole yet */
        if (one.len >= sizeof(line))
            continue;
        memcpy(line, one.data, one.len);
        line[one.len] = 0;
        line_take(training, line, &resumed);
    }
}

static void attempts_take(struct demo *demo, struct json_value attempts)
{
    struct demo_training *training = &demo->training;
    struct json_iterator it = json_iterate(attempts);
    while (json_next(&it)) {
        struct slice site = api_string(it.value, "site_name"),
                     state = api_string(it.value, "state");
        uint64_t number = api_u64(it.value, "attempt");
        if (number == 1 && training->first_site[0] == 0 && slice_is(state, "running"))
            (void)snprintf(training->first_site, sizeof(training->first_site), "%.*s",
                           SLICE_ARG(site));
        if (training->is_killed && number > 1 && slice_is(state, "running") &&
            !training->is_moved) {
            training->is_moved = true;
            demo->moved_ms = demo_now_ms(demo);
            (void)snprintf(training->second_site, sizeof(training->second_site), "%.*s",
                           SLICE_ARG(site));
            demo_say(demo, "the training goes on at %s (attempt %llu)", training->second_site,
                     (unsigned long long)number);
        }
    }
}

int demo_training_look(struct demo *demo)
{
    struct demo_training *training = &demo->training;
    struct api_reply reply;
    int code = api_call(demo->cli, "GET", api_target(demo->cli, "/v1/jobs/%s", training->id),
                        (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    struct slice state = api_string(reply.root, "state");
    (void)snprintf(training->state, sizeof(training->state), "%.*s", SLICE_ARG(state));
    training->is_ended = !slice_is(state, "pending") && !slice_is(state, "active");
    attempts_take(demo, json_object_get(reply.root, "attempts"));
    code = api_call(demo->cli, "GET", api_target(demo->cli, "/v1/jobs/%s/logs", training->id),
                    (struct slice){0}, &reply);
    if (code == EXIT_DONE)
        log_take(training, reply.body);
    return code;
}
