/* What names, titles and paths may look like. Each check returns ERR_INVALID (or ERR_LIMIT for
 * length) and a fault on `field` that says what is wrong; none keeps its arguments. */
#ifndef LQ_MODEL_NAME_H
#define LQ_MODEL_NAME_H

#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

enum {
    NAME_MAX = 63,
    TITLE_MAX = 128,
    SOURCE_MAX = 1024, /* where a figure comes from */
    PATH_MAX_BYTES = 1024,
    NAME_CANDIDATES_MAX = 4096, /* names that name_nearest looks at */
};

/* Names of regions, sites, operators, tenants, users, nodes, datasets: what stands in URLs, flags
 * and tables. 1 to NAME_MAX of a-z A-Z 0-9 . _ - @ + ; the first is a letter or digit. */
enum err name_check(struct slice name, const char *field, struct fault *fault) LQ_CHECKED;
/* Text for people on one line: valid UTF-8, 1 to `len_max` bytes, no control characters, no leading
 * dash, no space at either end. */
enum err text_line_check(struct slice text, size_t len_max, const char *field,
                         struct fault *fault) LQ_CHECKED;
/* A path inside a folder: relative, not empty, no NUL, control character, "." or ".." or empty
 * part, no backslash; at most PATH_MAX_BYTES. */
enum err path_check(struct slice path, const char *field, struct fault *fault) LQ_CHECKED;
/* An absolute path, plain as above, that is none of the folders that make up a system ("/etc/x",
 * "/usr") nor one that every sandbox has for itself ("/tmp", "/job"). */
enum err shared_folder_check(struct slice path, const char *field, struct fault *fault) LQ_CHECKED;
/* Country or area code of a jurisdiction: 1 to 32 of A-Z a-z 0-9 and '-', e.g. "CN", "EU". */
enum err jurisdiction_check(struct slice code, const char *field, struct fault *fault) LQ_CHECKED;
/* The candidate that is fewest edits away (case-blind), at most a third of the name's length (at
 * least 1, but never all of it); -1: none is near. First wins a tie. */
int name_nearest(struct slice name, const struct slice *candidates, size_t count);
/* ASCII case is ignored. */
bool name_is_equal_caseless(struct slice a, struct slice b);

#endif
