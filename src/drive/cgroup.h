/* Control groups, version 2 first, else version 1: limits, accounting and killing of whole trees.
 * A part (controller) that cannot be had has an empty folder; every call does what the parts that
 * are there allow and says so through its answer. Thread-neutral; blocking, but only on the
 * kernel's own file systems. */
#ifndef LQ_DRIVE_CGROUP_H
#define LQ_DRIVE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum cgroup_part {
    CGROUP_CPU,
    CGROUP_CPUACCT,
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_FREEZER,
    CGROUP_PART_COUNT_
};

enum { CGROUP_PATH_MAX = 512, CGROUP_PIDS_READ_MAX = 1 << 16 };

struct cgroup {
    int version;                                      /* 2, 1, or 0: none */
    char folder[CGROUP_PART_COUNT_][CGROUP_PATH_MAX]; /* absolute; "": not available */
};

struct cgroup_limits {
    uint32_t cpu_milli; /* 0: none */
    uint64_t mem_bytes; /* 0: none */
    uint32_t pids;      /* 0: none */
};

/* A group named `name` below our own, made by trying. version 0 when nothing can be made; `why`
 * (size bytes) then says what stood in the way. In version 2 this process may be moved into a leaf
 * of its own, since groups with processes cannot have limited children. */
void cgroup_probe(const char *name, struct cgroup *out, char *why, size_t size);
/* A group below `parent`, with limits; existing ones are taken. A limit that the kernel refuses
 * counts as an error. ERR_IO, ERR_DENIED, ERR_FULL, ERR_LIMIT (path too long). */
enum err cgroup_make(const struct cgroup *parent, const char *name,
                     const struct cgroup_limits *limits, struct cgroup *out,
                     struct fault *fault) LQ_CHECKED;
/* Folder names only; nothing is made. ERR_LIMIT. */
enum err cgroup_below(const struct cgroup *parent, const char *name, struct cgroup *out) LQ_CHECKED;
/* Processors go to others first: the least weight that there is. False: it cannot be set. */
bool cgroup_yield(const struct cgroup *group);
bool cgroup_has(const struct cgroup *group, enum cgroup_part part);
/* Moves the calling process in. Safe between fork and exec. */
enum err cgroup_join(const struct cgroup *group) LQ_CHECKED;
/* No process inside or below; true also when there is no such group. */
bool cgroup_is_empty(const struct cgroup *group);
/* SIGKILL to all inside, once: forks that race with it need another call. False: nothing was there
 * to kill (or no group to do it with). */
bool cgroup_kill(const struct cgroup *group);
/* The group that this process was put into, for its counters alone; nothing is made. version 0:
 * there is none. */
void cgroup_of_self(struct cgroup *out);
uint64_t cgroup_oom_kills(const struct cgroup *group); /* so far */
int64_t cgroup_cpu_ms(const struct cgroup *group);     /* so far; -1: not known */
int64_t cgroup_mem_bytes(const struct cgroup *group);  /* now; -1: not known */
/* Removes the group; harmless when it is gone or still in use. */
void cgroup_remove(const struct cgroup *group);

#endif
