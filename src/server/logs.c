#include "server/logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "port/file.h"

enum { LOG_PATH_MAX = 4096 };

struct log_store {
    char *folder;
};

enum err log_store_open(const char *folder, struct log_store **out, struct fault *fault)
{
    enum err err = file_make_folders(folder, 0700, fault);
    if (err != ERR_OK)
        return err;
    struct log_store *logs = calloc(1, sizeof(*logs));
    if (logs == NULL || (logs->folder = strdup(folder)) == NULL) {
        free(logs);
        return ERR_NO_MEMORY;
    }
    *out = logs;
    return ERR_OK;
}

void log_store_close(struct log_store *logs)
{
    if (logs == NULL)
        return;
    free(logs->folder);
    free(logs);
}

static void log_path(const struct log_store *logs, const struct attempt_token *token, uint32_t rank,
                     bool with_folder, char out[LOG_PATH_MAX])
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(token, name);
    int n = with_folder ? snprintf(out, LOG_PATH_MAX, "%s/%s", logs->folder, name)
                        : snprintf(out, LOG_PATH_MAX, "%s/%s/%u", logs->folder, name, rank);
    ASSERT(n > 0 && n < LOG_PATH_MAX);
}

enum err log_append(struct log_store *logs, const struct attempt_token *token, uint32_t rank,
                    uint64_t offset, struct slice bytes, uint64_t *out_next)
{
    char path[LOG_PATH_MAX];
    struct fault fault = {0};
    int fd;
    uint64_t size = 0;
    log_path(logs, token, rank, true, path);
    enum err err = file_make_folders(path, 0700, &fault);
    if (err != ERR_OK)
        return err;
    log_path(logs, token, rank, false, path);
    err = file_open(path, FILE_OPEN_READ_WRITE, 0600, &fault, &fd);
    if (err != ERR_OK)
        return err;
    err = file_size(fd, &size);
    if (err == ERR_OK && offset <= size && offset + bytes.len > size) {
        struct slice fresh = {bytes.data + (size - offset), bytes.len - (size_t)(size - offset)};
        if (size + fresh.len > LOG_RANK_BYTES_MAX)
            err = ERR_LIMIT;
        else
            err = file_write_at(fd, size, fresh);
        if (err == ERR_OK)
            size += fresh.len;
    }
    file_close(fd);
    if (err == ERR_OK)
        *out_next = size;
    return err;
}

enum err log_read(struct log_store *logs, const struct attempt_token *token, uint32_t rank,
                  uint64_t offset, void *buffer, size_t len, size_t *out_len, uint64_t *out_size)
{
    char path[LOG_PATH_MAX];
    struct fault fault = {0};
    int fd;
    log_path(logs, token, rank, false, path);
    enum err err = file_open(path, FILE_OPEN_READ, 0, &fault, &fd);
    if (err != ERR_OK)
        return err;
    err = file_size(fd, out_size);
    if (err == ERR_OK && offset >= *out_size)
        *out_len = 0;
    else if (err == ERR_OK)
        err = file_read_at(fd, offset, buffer, len, out_len);
    file_close(fd);
    return err;
}
