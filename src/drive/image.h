/* Container images of a host site, by podman: its store, its registries, its credentials. An image
 * is pulled when it is missing, and its file system mounted read-only, to become the root of a
 * sandbox. Nothing of the image is run here, and of its settings nothing is taken.
 *
 * Blocking, for minutes when an image must be pulled: for a worker of its own. Root only: others
 * cannot mount. */
#ifndef LQ_DRIVE_IMAGE_H
#define LQ_DRIVE_IMAGE_H

#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"

#define IMAGE_PULL_LIMIT SPAN_S(600)
#define IMAGE_CALL_LIMIT SPAN_S(60)
enum { IMAGE_ROOT_MAX = 1024, IMAGE_ID_MAX = 72, IMAGE_WHY_MAX = 256 };

struct image {
    char root[IMAGE_ROOT_MAX]; /* folder of this machine */
    char id[IMAGE_ID_MAX]; /* digest of the image's configuration, hex: what the name stood for */
};

/* ERR_UNSUPPORTED and a sentence: podman is missing or does not work here. */
enum err image_probe(char why[IMAGE_WHY_MAX]) LQ_CHECKED;
/* The image is looked at by its id once that is known, so that a name that is moved meanwhile does
 * no harm. Mounted already: the same again. ERR_NOT_FOUND, ERR_TIMEOUT, ERR_IO with a sentence. */
enum err image_open(struct slice name, struct image *out, char why[IMAGE_WHY_MAX]) LQ_CHECKED;

#endif
