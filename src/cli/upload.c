#include "cli/upload.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/manifest.h"
#include "wire/json_writer.h"

enum { UPLOAD_BYTES_MAX = 128 << 20, UPLOAD_ASK_MAX = 4096 };

struct place {
    size_t entry;
    uint32_t chunk;
};

static const char *tenant_target(struct cli *cli, const char *target, const char *tenant)
{
    return tenant == NULL ? target
                          : api_target(cli, "%s?tenant=%s", target, api_escape(cli, tenant));
}

static int missing_ask(struct cli *cli, const char *tenant, const struct manifest *manifest,
                       size_t total, struct json_value *out_missing)
{
    struct buffer body;
    struct json_writer writer;
    struct api_reply reply;
    buffer_init(&body, UPLOAD_BYTES_MAX);
    json_writer_init(&writer, &body);
    json_begin_object(&writer);
    json_key(&writer, "hashes");
    json_begin_array(&writer);
    for (size_t e = 0; e < manifest->count; e++)
        for (uint32_t c = 0; c < manifest->entries[e].chunk_count; c++) {
            char text[DIGEST_TEXT_MAX];
            digest_format(manifest->entries[e].chunks[c].hash, text);
            json_text(&writer, text);
        }
    json_end_array(&writer);
    json_end_object(&writer);
    int code = json_writer_finish(&writer) == ERR_OK
                   ? api_call(cli, "POST", tenant_target(cli, "/v1/chunks:missing", tenant),
                              buffer_slice(&body), &reply)
                   : cli_fail(cli, EXIT_FAILED, "the folder has too many chunks (%zu)", total);
    if (code == EXIT_DONE)
        *out_missing = json_object_get(reply.root, "missing");
    buffer_deinit(&body);
    return code;
}

static bool is_listed(struct json_value list, const char *text)
{
    struct json_iterator it = json_iterate(list);
    struct slice one;
    while (json_next(&it))
        if (json_to_string(it.value, DIGEST_TEXT_MAX, &one, NULL) == ERR_OK && slice_is(one, text))
            return true;
    return false;
}

static int chunks_send(struct cli *cli, const char *tenant, const char *path,
                       const struct manifest *manifest, struct json_value missing)
{
    char *bytes = malloc(CHUNK_BYTES_MAX);
    struct fault fault = {0};
    size_t sent = 0, wanted = json_count(missing);
    int code = EXIT_DONE;
    ASSERT(bytes != NULL);
    for (size_t e = 0; e < manifest->count && code == EXIT_DONE && wanted > 0; e++)
        for (uint32_t c = 0; c < manifest->entries[e].chunk_count && code == EXIT_DONE; c++) {
            char text[DIGEST_TEXT_MAX];
            size_t len;
            struct api_reply reply;
            digest_format(manifest->entries[e].chunks[c].hash, text);
            if (!is_listed(missing, text))
                continue;
            if (manifest_chunk_read(path, manifest, e, c, bytes, &len, &fault) != ERR_OK)
                code = cli_fail_fault(cli, EXIT_FAILED, path, &fault);
            else
                code = api_call(cli, "PUT",
                                tenant_target(cli, api_target(cli, "/v1/chunks/%s", text), tenant),
                                (struct slice){bytes, len}, &reply);
            if (code == EXIT_DONE && ++sent % 16 == 0)
                cli_note(cli, "uploading %s: %zu of %zu pieces", path, sent, wanted);
        }
    free(bytes);
    return code;
}

int upload_folder(struct cli *cli, const char *tenant, const char *path, struct slice *out_id)
{
    struct manifest manifest;
    struct fault fault = {0};
    struct json_value missing = {0};
    struct buffer body;
    struct api_reply reply;
    if (manifest_scan(path, &cli->arena, NULL, &manifest, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, path, &fault);
    int code = manifest.chunk_count == 0
                   ? EXIT_DONE
                   : missing_ask(cli, tenant, &manifest, manifest.chunk_count, &missing);
    if (code == EXIT_DONE && manifest.chunk_count > 0)
        code = chunks_send(cli, tenant, path, &manifest, missing);
    if (code != EXIT_DONE)
        return code;
    buffer_init(&body, UPLOAD_BYTES_MAX);
    buffer_append_text(&body, "{\"kind\":\"workdir\",\"manifest\":");
    enum err err = manifest_encode(&manifest, &body);
    buffer_append_char(&body, '}');
    if (err != ERR_OK || buffer_status(&body) != ERR_OK)
        code = cli_fail(cli, EXIT_FAILED, "%s: too large for one upload", path);
    else
        code = api_post_once(cli, tenant_target(cli, "/v1/artifacts", tenant), buffer_slice(&body),
                             &reply);
    if (code == EXIT_DONE)
        *out_id = arena_copy(&cli->arena, api_string(reply.root, "id"));
    buffer_deinit(&body);
    return code;
}

/* Relative paths count from the job file's folder. */
static const char *beside(struct cli *cli, const char *job_path, struct slice path)
{
    const char *slash = strrchr(job_path, '/');
    if (path.len > 0 && path.data[0] == '/')
        return arena_text(&cli->arena, path);
    if (slash == NULL)
        return arena_text(&cli->arena, path);
    return arena_printf(&cli->arena, "%.*s/%.*s", (int)(slash - job_path), job_path,
                        SLICE_ARG(path));
}

static int uploaded(struct cli *cli, const char *tenant, const char *job_path, struct slice path,
                    struct json_writer *writer)
{
    struct slice id;
    int code = upload_folder(cli, tenant, beside(cli, job_path, path), &id);
    if (code == EXIT_DONE)
        json_string(writer, id);
    return code;
}

/* Folders here are told from names by how they begin. */
static int mounts_write(struct cli *cli, const char *tenant, const char *job_path,
                        struct json_value mounts, struct json_writer *writer)
{
    struct json_iterator it = json_iterate(mounts);
    int code = EXIT_DONE;
    json_begin_object(writer);
    while (code == EXIT_DONE && json_next(&it)) {
        struct slice text;
        json_key_slice(writer, it.key);
        if (json_type_of(it.value) == JSON_STRING &&
            json_to_string(it.value, API_TARGET_MAX, &text, NULL) == ERR_OK && text.len > 0 &&
            (text.data[0] == '.' || text.data[0] == '/'))
            code = uploaded(cli, tenant, job_path, text, writer);
        else
            json_copy(writer, it.value);
    }
    if (code == EXIT_DONE)
        json_end_object(writer);
    return code;
}

static int one_job(struct cli *cli, const char *tenant, const char *job_path, struct json_value job,
                   const char *name, struct json_writer *writer)
{
    struct json_iterator it = json_iterate(job);
    if (json_type_of(job) != JSON_OBJECT)
        return cli_fail(cli, EXIT_USAGE,
                        "%s: a job is a mapping of fields; see docs/formats/job.md", job_path);
    json_begin_object(writer);
    if (name != NULL)
        json_put_text(writer, "name", name);
    while (json_next(&it)) {
        struct slice text;
        bool is_workdir = slice_is(it.key, "workdir") && json_type_of(it.value) == JSON_STRING &&
                          json_to_string(it.value, 4096, &text, NULL) == ERR_OK &&
                          !slice_has_prefix(text, SLICE_LITERAL("art_"));
        if (name != NULL && slice_is(it.key, "name"))
            continue;
        json_key_slice(writer, it.key);
        int code = EXIT_DONE;
        if (is_workdir)
            code = uploaded(cli, tenant, job_path, text, writer);
        else if (slice_is(it.key, "file_mounts") && json_type_of(it.value) == JSON_OBJECT)
            code = mounts_write(cli, tenant, job_path, it.value, writer);
        else
            json_copy(writer, it.value);
        if (code != EXIT_DONE)
            return code;
    }
    json_end_object(writer);
    return EXIT_DONE;
}

int upload_job(struct cli *cli, const char *tenant, const char *job_path, struct json_value root,
               const char *name, struct buffer *out)
{
    struct json_writer writer;
    struct json_value jobs = json_object_get(root, "jobs");
    int code = EXIT_DONE;
    json_writer_init(&writer, out);
    if (json_type_of(jobs) != JSON_ARRAY) {
        code = one_job(cli, tenant, job_path, root, name, &writer);
    } else {
        json_begin_object(&writer);
        json_key(&writer, "jobs");
        json_begin_array(&writer);
        struct json_iterator it = json_iterate(jobs);
        while (code == EXIT_DONE && json_next(&it))
            code = one_job(cli, tenant, job_path, it.value, name, &writer);
        if (code == EXIT_DONE) {
            json_end_array(&writer);
            json_end_object(&writer);
        }
    }
    if (code == EXIT_DONE && json_writer_finish(&writer) != ERR_OK)
        code = cli_fail(cli, EXIT_USAGE, "%s: too long for one request", job_path);
    return code;
}
