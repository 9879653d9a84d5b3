/* What the tests of the nouns' decoders share: files, parsing, and golden texts. */
#ifndef LQ_TEST_WIRE_MODEL_SCENE_H
#define LQ_TEST_WIRE_MODEL_SCENE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/slice.h"
#include "model/catalogue.h"
#include "wire/json.h"

struct scene {
    struct arena arena;   /* reset by scene_reset */
    struct arena kept;    /* the catalogue and files */
    struct buffer buffer; /* for encoders */
    struct catalogue catalogue;
    struct json_document *document; /* the last one parsed */
    struct fault fault;
};

int scene_setup(void **state);
int scene_teardown(void **state);
void scene_reset(struct scene *scene);

/* A file of the source tree; the test fails where it is not there. Lives in `kept`. */
struct slice scene_file(struct scene *scene, const char *path);
/* The root of a text that must parse. */
struct json_value scene_yaml(struct scene *scene, struct slice text);
struct json_value scene_json(struct scene *scene, struct slice text);
/* Calls `check` with each ```yaml block of a Markdown file; returns how many there were. */
unsigned scene_each_example(struct scene *scene, const char *path,
                            void (*check)(struct scene *scene, struct slice yaml));
/* Compares with a golden file, byte for byte but for its last newline. With LQ_GOLDEN_WRITE in the
 * environment the file is written instead, for a person to look at the difference. */
void scene_compare(struct scene *scene, const char *path, struct slice text);

#endif
