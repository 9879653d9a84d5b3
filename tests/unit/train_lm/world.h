/* A tiny training run for the tests: a text made here, a tiny model, a private folder. */
#ifndef TEST_TRAIN_LM_WORLD_H
#define TEST_TRAIN_LM_WORLD_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer.h"

enum { WORLD_TEXT_BYTES = 8000 };

struct world {
    char root[64];
    char text[96];
    char folder[96]; /* for checkpoints; not made yet */
    struct lm_corpus corpus;
    struct lm_recipe recipe;
};

static inline void world_write_text(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (int i = 0; i < WORLD_TEXT_BYTES; i++) {
        (void)fputc("the quick brown fox jumps over the lazy dog. "[i * 7 / 6 % 45], file);
    }
    assert_int_equal(fclose(file), 0);
}

static inline int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    (void)snprintf(w->root, sizeof w->root, "%s", "/tmp/test-train-lm-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    (void)snprintf(w->text, sizeof w->text, "%s/text", w->root);
    (void)snprintf(w->folder, sizeof w->folder, "%s/kept", w->root);
    world_write_text(w->text);
    w->recipe = (struct lm_recipe){
        .shape = {.layers = 2, .width = 24, .heads = 2, .context = 20},
        .batch = 4,
        .steps = 40,
        .seed = 9,
        .lr = 1e-2,
    };
    assert_true(lm_corpus_load(&w->corpus, w->text, w->recipe.shape.context, NULL));
    *state = w;
    return 0;
}

static inline void world_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    char path[512];

    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        (void)unlink(path);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(folder);
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;

    lm_corpus_deinit(&w->corpus);
    world_empty(w->folder);
    world_empty(w->root);
    free(w);
    return 0;
}

#endif
