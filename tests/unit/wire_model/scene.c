#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/catalogue.h"
#include "wire/yaml.h"

int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    if (scene == NULL)
        return 1;
    arena_init(&scene->arena, (size_t)64 << 20);
    arena_init(&scene->kept, (size_t)64 << 20);
    buffer_init(&scene->buffer, (size_t)16 << 20);
    *state = scene;
    return catalogue_decode(scene_file(scene, "data/domain/accelerators.csv"), &scene->kept,
                            &scene->catalogue, &scene->fault) != ERR_OK;
}

int scene_teardown(void **state)
{
    struct scene *scene = *state;
    json_document_destroy(scene->document);
    arena_deinit(&scene->arena);
    arena_deinit(&scene->kept);
    buffer_deinit(&scene->buffer);
    free(scene);
    return 0;
}

void scene_reset(struct scene *scene)
{
    json_document_destroy(scene->document);
    scene->document = NULL;
    arena_reset(&scene->arena);
    buffer_reset(&scene->buffer);
}

static void full_path(const char *path, char *out, size_t cap)
{
    int len = snprintf(out, cap, "%s/%s", LQ_SOURCE_ROOT, path);
    assert_true(len > 0 && (size_t)len < cap);
}

struct slice scene_file(struct scene *scene, const char *path)
{
    char full[1024];
    char *data = arena_alloc(&scene->kept, (size_t)1 << 20);
    size_t len;
    FILE *file;

    full_path(path, full, sizeof(full));
    file = fopen(full, "rb");
    if (file == NULL)
        fail_msg("%s is not there", full);
    len = fread(data, 1, (size_t)1 << 20, file);
    fclose(file);
    assert_true(len < (size_t)1 << 20);
    return slice_make(data, len);
}

static struct json_value keep(struct scene *scene, struct json_document *document, enum err err)
{
    if (err != ERR_OK)
        fail_msg("%u:%u %s: %s", scene->fault.line, scene->fault.column, scene->fault.field,
                 scene->fault.message);
    json_document_destroy(scene->document);
    scene->document = document;
    return json_root(document);
}

struct json_value scene_yaml(struct scene *scene, struct slice text)
{
    struct json_document *document = NULL;
    enum err err = yaml_parse(text, &JSON_LIMITS_FILE, &document, &scene->fault);
    return keep(scene, document, err);
}

struct json_value scene_json(struct scene *scene, struct slice text)
{
    struct json_document *document = NULL;
    enum err err = json_parse(text, &JSON_LIMITS_FILE, &document, &scene->fault);
    return keep(scene, document, err);
}

unsigned scene_each_example(struct scene *scene, const char *path,
                            void (*check)(struct scene *scene, struct slice yaml))
{
    struct slice rest = scene_file(scene, path), line, block = {NULL, 0};
    unsigned count = 0;

    while (slice_cut(rest, '\n', &line, &rest)) {
        if (slice_is(line, "```yaml")) {
            block = slice_make(rest.data, 0);
        } else if (slice_is(line, "```") && block.data != NULL) {
            block.len = (size_t)(line.data - block.data);
            scene_reset(scene);
            check(scene, block);
            block = (struct slice){NULL, 0};
            count++;
        }
    }
    return count;
}

void scene_compare(struct scene *scene, const char *path, struct slice text)
{
    char full[1024];
    struct slice golden;

    full_path(path, full, sizeof(full));
    if (getenv("LQ_GOLDEN_WRITE") != NULL) {
        FILE *file = fopen(full, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
        assert_int_equal(fputc('\n', file), '\n');
        assert_int_equal(fclose(file), 0);
        return;
    }
    golden = scene_file(scene, path);
    if (golden.len > 0 && golden.data[golden.len - 1] == '\n')
        golden.len--;
    if (!slice_is_equal(golden, text))
        fail_msg("%s: wanted\n%.*s\nbut got\n%.*s", path, SLICE_ARG(golden), SLICE_ARG(text));
}
