/* Logs of attempts as the server keeps them: one file a rank, bounded, appended at an offset so
 * that a resent piece is written once. Files: <folder>/<attempt name>/<rank>. Thread: the loop's;
 * calls touch the disk briefly. */
#ifndef LQ_SERVER_LOGS_H
#define LQ_SERVER_LOGS_H

#include "model/attempt.h"
#include "port/loop.h"

struct log_store;

enum { LOG_RANK_BYTES_MAX = 64 << 20, LOG_APPEND_BYTES_MAX = 1 << 20 };

enum err log_store_open(const char *folder, struct log_store **out, struct fault *fault) LQ_CHECKED;
void log_store_close(struct log_store *logs);
/* `offset` is where `bytes` stand in the rank's whole output. *out_next: the offset wanted next;
 * bytes before it are known already. A gap (offset past what is there) takes nothing. ERR_LIMIT:
 * the rank's log is full. ERR_FULL, ERR_IO. */
enum err log_append(struct log_store *logs, const struct attempt_token *token, uint32_t rank,
                    uint64_t offset, struct slice bytes, uint64_t *out_next) LQ_CHECKED;
/* Up to `len` bytes from `offset`. ERR_NOT_FOUND: no log yet. *out_len 0: at its end. */
enum err log_read(struct log_store *logs, const struct attempt_token *token, uint32_t rank,
                  uint64_t offset, void *buffer, size_t len, size_t *out_len,
                  uint64_t *out_size) LQ_CHECKED;

#endif
