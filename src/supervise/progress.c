#include "supervise/progress.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 250, TEXT_BYTES_MAX = 64, CLOCKS_APART_MS = 1000 };

/* ERR_OK: the number, and when the file was written. Never waits, whatever stands there. */
static enum err read_file(int scratch, uint64_t *out_value, struct wall_us *out_written)
{
    char text[TEXT_BYTES_MAX];
    struct stat info;
    int fd = openat(scratch, SUPERVISE_PROGRESS_NAME,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return ERR_NOT_FOUND;
    ssize_t got = -1;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        got = read(fd, text, sizeof(text));
    (void)close(fd);
    if (got <= 0)
        return ERR_NOT_FOUND;
    out_written->us = (int64_t)info.st_mtim.tv_sec * 1000000 + info.st_mtim.tv_nsec / 1000;
    return attempt_progress_parse(slice_make(text, (size_t)got), out_value);
}

/* By the file's own times, which are exact; by ours where the wall clock was set meanwhile, or the
 * file's times are not what they seem. */
static struct span_ms time_between(const struct progress *progress)
{
    int64_t seen_ms = boot_since(progress->last_at, progress->first_at).ms;
    int64_t written_ms = (progress->last_written.us - progress->first_written.us) / 1000;
    int64_t gap_ms = written_ms > seen_ms ? written_ms - seen_ms : seen_ms - written_ms;
    return SPAN_MS(gap_ms <= CLOCKS_APART_MS && written_ms > 0 ? written_ms : seen_ms);
}

void progress_look(struct progress *progress, int scratch, struct boot_ns now, bool is_last)
{
    uint64_t value;
    struct wall_us written;
    if (!is_last && boot_is_before(now, progress->next_at))
        return;
    progress->next_at = boot_add(now, SPAN_MS(LOOK_EVERY_MS));
    if (read_file(scratch, &value, &written) != ERR_OK)
        return;
    if (!progress->has_first) {
        *progress = (struct progress){.has_first = true,
                                      .first_written = written,
                                      .last_written = written,
                                      .first_at = now,
                                      .last_at = now,
                                      .next_at = progress->next_at,
                                      .told = {.value = value}};
    } else if (value > progress->told.value) {
        progress->told.units += value - progress->told.value;
        progress->told.value = value;
        progress->last_written = written;
        progress->last_at = now;
        progress->told.over = time_between(progress);
    }
}
