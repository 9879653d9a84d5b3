/* What each runtime's software stack needs on a node: the variables that say which devices a
 * program may use, further settings, device files and folders. One table (stack.c), used wherever
 * a program is given its devices: by the host driver, and by `lq supervise` where the engine
 * (Slurm) chose them. Constant. */
#ifndef LQ_DRIVE_STACK_H
#define LQ_DRIVE_STACK_H

#include "base/arena.h"
#include "model/job.h"

enum {
    STACK_VISIBLE_MAX = 2,
    STACK_SETTINGS_MAX = 4,
    STACK_FILES_MAX = 4,
    STACK_FOLDERS_MAX = 2,
    STACK_NUMBERS_MAX = 64,
    STACK_TEXT_MAX = 4096,
};

struct stack_setting {
    const char *name;
    const char *value; /* NULL: the number of processors that the rank has */
};

struct stack {
    enum runtime runtime;
    /* Get the list of device numbers. The first is the one that an engine's own word counts. All
     * NULL: the stack has no such variable. */
    const char *visible[STACK_VISIBLE_MAX];
    struct stack_setting settings[STACK_SETTINGS_MAX]; /* the job's own come over them */
    struct stack_setting order; /* stands on top, as the list does: what the numbers count by */
    struct stack_files {
        const char *folder, *prefix;
    } files[STACK_FILES_MAX];               /* device files; all of a vendor's, see stack.c */
    const char *folders[STACK_FOLDERS_MAX]; /* of the host, read-only, beside /usr */
};

const struct stack *stack_of(enum runtime runtime);
/* "0,3": ascending, each once, commas and no spaces, as the pickiest stack (Ascend's) wants it.
 * ERR_NO_MEMORY. */
enum err stack_numbers(const uint32_t *numbers, uint32_t count, struct arena *arena,
                       struct slice *out) LQ_CHECKED;
/* An engine's own list the same way; one that is not of plain numbers (unique ids) is kept as it
 * is. ERR_NOT_FOUND: it names no device. ERR_NO_MEMORY. */
enum err stack_numbers_read(struct slice text, struct arena *arena, struct slice *out) LQ_CHECKED;

#endif
