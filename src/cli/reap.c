#include "cli/reap.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/vector.h"

enum {
    PROCESSES_MAX = 1 << 20,
    ARGS_MAX = 4096,
    STAT_MAX = 512,
    ROUNDS_MAX = 100,
    ROUND_NS = 10 * 1000 * 1000
};

struct entry {
    pid_t pid, parent;
    bool is_ours;
};

static ssize_t read_small(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t len = read(fd, out, size - 1);
    close(fd);
    if (len >= 0)
        out[len] = 0;
    return len;
}

static bool is_supervisor(pid_t pid, const char *program, const char *folder)
{
    char path[64], text[ARGS_MAX];
    size_t folder_len = strlen(folder);
    (void)snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
    ssize_t len = readlink(path, text, sizeof(text) - 1);
    if (len < 0)
        return false;
    text[len] = 0;
    /* A program that was built anew since reads "... (deleted)". */
    if (strncmp(text, program, strlen(program)) != 0)
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
    len = read_small(path, text, sizeof(text));
    if (len <= 0)
        return false;
    size_t at = strlen(text) + 1;
    if (at >= (size_t)len || strcmp(text + at, "supervise") != 0)
        return false;
    for (; at < (size_t)len; at += strlen(text + at) + 1)
        if (strncmp(text + at, folder, folder_len) == 0 && text[at + folder_len] == '/')
            return true;
    return false;
}

static bool entry_read(pid_t pid, struct entry *out)
{
    char path[64], text[STAT_MAX];
    long parent;
    char state;
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    if (read_small(path, text, sizeof(text)) <= 0)
        return false;
    const char *end = strrchr(text, ')'); /* the name before it may hold anything */
    if (end == NULL || end[1] != ' ' || end[2] == 0 || end[3] != ' ')
        return false;
    state = end[2];
    parent = strtol(end + 4, NULL, 10);
    *out = (struct entry){.pid = pid, .parent = (pid_t)parent};
    return state != 'Z' && state != 'X';
}

static void look(struct vector *entries, const char *program, const char *folder)
{
    DIR *proc = opendir("/proc");
    struct dirent *item;
    if (proc == NULL)
        return;
    while ((item = readdir(proc)) != NULL) {
        struct entry entry;
        char *end;
        long pid = strtol(item->d_name, &end, 10);
        if (pid <= 0 || *end != 0 || !entry_read((pid_t)pid, &entry))
            continue;
        entry.is_ours = is_supervisor(entry.pid, program, folder);
        if (vector_push(entries, &entry) != ERR_OK)
            break;
    }
    closedir(proc);
}

static void spread(struct vector *entries)
{
    struct entry *all = entries->data;
    bool has_changed = true;
    while (has_changed) {
        has_changed = false;
        for (size_t i = 0; i < entries->len; i++)
            for (size_t k = 0; !all[i].is_ours && k < entries->len; k++)
                if (all[k].is_ours && all[k].pid == all[i].parent)
                    has_changed = all[i].is_ours = true;
    }
}

void reap_below(const char *program, const char *folder)
{
    const struct timespec pause = {.tv_nsec = ROUND_NS};
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct vector entries;
        bool is_done = true;
        vector_init(&entries, sizeof(struct entry), PROCESSES_MAX);
        look(&entries, program, folder);
        spread(&entries);
        for (size_t i = 0; i < entries.len; i++) {
            const struct entry *entry = vector_at(&entries, i);
            if (entry->is_ours) {
                is_done = false;
                (void)kill(entry->pid, SIGKILL);
            }
        }
        vector_deinit(&entries);
        if (is_done)
            return;
        (void)nanosleep(&pause, NULL);
    }
}
