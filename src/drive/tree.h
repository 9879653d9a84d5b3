/* Walks of a folder that a program may have filled: links are never followed, depth and number are
 * bounded, nothing recurses. */
#ifndef LQ_DRIVE_TREE_H
#define LQ_DRIVE_TREE_H

#include <stdint.h>

#include "base/err.h"

enum { TREE_DEPTH_MAX = 128, TREE_ENTRIES_MAX = 4000000 };

/* Everything below and the folder itself to this user. ERR_LIMIT, ERR_DENIED, ERR_IO. */
enum err tree_give(int folder, uint32_t uid, uint32_t gid) LQ_CHECKED;
/* Removes what is below, as far as it goes. */
void tree_empty(int folder);

#endif
