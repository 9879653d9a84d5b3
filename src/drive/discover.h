/* What this machine has, by the vendors' own means. Blocking: vendors' programs are started with a
 * time limit each; call it at start or on a worker. */
#ifndef LQ_DRIVE_DISCOVER_H
#define LQ_DRIVE_DISCOVER_H

#include "base/arena.h"
#include "model/catalogue.h"
#include "model/site.h"

enum { DISCOVER_DEVICES_MAX = 64, DISCOVER_NAME_MAX = 96, DISCOVER_NOTES_MAX = 16 };

struct discovered_device {
    uint32_t index; /* the vendor's number; what the runtime's variable counts */
    enum runtime runtime;
    char name[DISCOVER_NAME_MAX]; /* as the vendor says it */
    uint64_t mem_bytes;           /* 0: not told */
    uint64_t mem_used_bytes;
    int32_t util_percent; /* -1: not told */
    bool is_healthy;
};

struct discovered {
    uint32_t cpu_milli;
    uint64_t mem_bytes, mem_free_bytes;
    struct discovered_device devices[DISCOVER_DEVICES_MAX];
    uint32_t device_count;
    uint32_t note_count;
    char notes[DISCOVER_NOTES_MAX][256]; /* what was tried and did not answer as expected */
};

/* `program` is the path of `lq`, to be started for what is asked in a process of its own; NULL:
 * that is left out. ERR_IO: not even /proc answers. */
enum err discover_machine(const char *program, struct discovered *out,
                          struct fault *fault) LQ_CHECKED;
/* One site_node named `name` out of it: devices of the commonest model; `catalogue` (may be NULL)
 * gives the model its canonical name. Texts go to `arena`. ERR_NO_MEMORY. */
enum err discover_node(const struct discovered *found, const struct catalogue *catalogue,
                       struct slice name, struct arena *arena, struct site_node *out) LQ_CHECKED;

#endif
