#include "drive/image.h"

#include <stdio.h>
#include <string.h>

#include "drive/program.h"
#include "model/job.h"

enum { OUTPUT_MAX = 16384, CALL_ARGS_MAX = 8 };

/* podman and its arguments; the first line of what it said is in `line`. */
static enum err podman(const char *const args[], struct span_ms limit, char *line, size_t size)
{
    char path[PROGRAM_PATH_MAX];
    const char *argv[CALL_ARGS_MAX + 2] = {path};
    struct buffer output;
    struct slice first, rest;
    int status = -1;
    line[0] = '\0';
    enum err err = program_find("podman", path);
    if (err != ERR_OK) {
        (void)snprintf(line, size, "podman is not installed");
        return err;
    }
    for (size_t i = 0; i < CALL_ARGS_MAX && args[i] != NULL; i++)
        argv[i + 1] = args[i];
    buffer_init(&output, OUTPUT_MAX);
    const struct program_run run = {.argv = argv, .limit = limit, .takes_errors = true};
    err = program_run(&run, &output, &status);
    first = buffer_slice(&output);
    (void)slice_cut(first, '\n', &first, &rest);
    (void)snprintf(line, size, "%.*s", SLICE_ARG(slice_trim(first)));
    buffer_deinit(&output);
    if (err != ERR_OK)
        return err;
    return status == 0 ? ERR_OK : ERR_IO;
}

enum err image_probe(char why[IMAGE_WHY_MAX])
{
    static const char *const ARGS[] = {"image", "list", "--quiet", NULL};
    char line[IMAGE_WHY_MAX / 2];
    if (podman(ARGS, IMAGE_CALL_LIMIT, line, sizeof(line)) == ERR_OK)
        return ERR_OK;
    (void)snprintf(why, IMAGE_WHY_MAX, "podman does not work here (%s)", line);
    return ERR_UNSUPPORTED;
}

static bool is_id(const char *text)
{
    size_t len = strlen(text);
    return len >= 12 && len < IMAGE_ID_MAX && strspn(text, "0123456789abcdef") == len;
}

static enum err find_id(const char *name, char id[IMAGE_ID_MAX])
{
    const char *const args[] = {"image", "inspect", "--format", "{{.Id}}", "--", name, NULL};
    char line[IMAGE_WHY_MAX];
    enum err err = podman(args, IMAGE_CALL_LIMIT, line, sizeof(line));
    if (err == ERR_OK && !is_id(line))
        err = ERR_IO;
    if (err == ERR_OK)
        memcpy(id, line, strlen(line) + 1);
    return err;
}

enum err image_open(struct slice name, struct image *out, char why[IMAGE_WHY_MAX])
{
    char text[JOB_IMAGE_MAX + 1], line[IMAGE_WHY_MAX / 2];
    struct image image;
    if (name.len == 0 || name.len >= sizeof(text)) {
        (void)snprintf(why, IMAGE_WHY_MAX, "the image has no name, or one that is too long");
        return ERR_INVALID;
    }
    (void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(name));
    const char *const pull[] = {"pull", "--quiet", "--", text, NULL};
    const char *const mount[] = {"image", "mount", image.id, NULL};
    if (find_id(text, image.id) != ERR_OK) {
        enum err err = podman(pull, IMAGE_PULL_LIMIT, line, sizeof(line));
        if (err == ERR_OK)
            err = find_id(text, image.id);
        if (err != ERR_OK) {
            (void)snprintf(why, IMAGE_WHY_MAX, "the image cannot be pulled (%s)", line);
            return err == ERR_IO ? ERR_NOT_FOUND : err;
        }
    }
    enum err err = podman(mount, IMAGE_CALL_LIMIT, image.root, sizeof(image.root));
    if (err == ERR_OK && image.root[0] != '/')
        err = ERR_IO;
    if (err != ERR_OK) {
        (void)snprintf(why, IMAGE_WHY_MAX, "the image cannot be mounted (%.120s)", image.root);
        return err;
    }
    *out = image;
    return ERR_OK;
}
