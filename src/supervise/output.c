#include "supervise/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OUTPUT_CHUNK_BYTES = 65536,
    OUTPUT_CHUNKS_A_TURN = 16, /* the gate and the clock wait no longer than this */
    OUTPUT_CHUNKS_LEFT_MAX = 64,
    OUTPUT_PIPE_BYTES = 1 << 20,
};

enum err output_open(struct output *output, int folder, uint64_t bytes_max)
{
    int fds[2];
    struct stat info;
    *output = (struct output){.read_fd = -1, .write_fd = -1, .is_at_line_start = true};
    output->file =
        openat(folder, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (output->file < 0 || fstat(output->file, &info) != 0 || pipe2(fds, O_CLOEXEC) != 0)
        return ERR_IO;
    output->read_fd = fds[0];
    output->write_fd = fds[1];
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(fds[1], F_SETPIPE_SZ, OUTPUT_PIPE_BYTES); /* smaller is slower, not wrong */
    output->written_bytes = (uint64_t)info.st_size;
    output->bytes_max = bytes_max;
    return ERR_OK;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void output_close(struct output *output)
{
    close_fd(&output->read_fd);
    close_fd(&output->write_fd);
    close_fd(&output->file);
}

void output_child_started(struct output *output)
{
    close_fd(&output->write_fd);
}

/* A full disk loses output, never the program. */
static void put(struct output *output, const char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t done = write(output->file, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        output->written_bytes += (uint64_t)done;
        output->is_at_line_start = bytes[done - 1] == '\n';
        bytes += done;
        len -= (size_t)done;
    }
}

void output_note(struct output *output, const char *text)
{
    char line[512];
    if (output->file < 0)
        return;
    int len =
        snprintf(line, sizeof(line), "%s[lingqu] %s\n", output->is_at_line_start ? "" : "\n", text);
    if (len > 0)
        put(output, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
}

static void keep(struct output *output, const char *bytes, size_t len)
{
    if (output->is_cut)
        return;
    uint64_t room =
        output->written_bytes < output->bytes_max ? output->bytes_max - output->written_bytes : 0;
    if (len <= room) {
        put(output, bytes, len);
        return;
    }
    put(output, bytes, (size_t)room);
    output->is_cut = true;
    char note[128];
    (void)snprintf(note, sizeof(note), "output beyond %llu bytes is dropped",
                   (unsigned long long)output->bytes_max);
    output_note(output, note);
}

/* 1: moved some; 0: nothing there now; -1: end. */
static int pump_once(struct output *output)
{
    char bytes[OUTPUT_CHUNK_BYTES];
    if (output->read_fd < 0)
        return -1;
    ssize_t got = read(output->read_fd, bytes, sizeof(bytes));
    if (got > 0) {
        keep(output, bytes, (size_t)got);
        return 1;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    close_fd(&output->read_fd);
    return -1;
}

bool output_pump(struct output *output)
{
    int moved = 1;
    for (int i = 0; i < OUTPUT_CHUNKS_A_TURN && moved == 1; i++)
        moved = pump_once(output);
    return moved >= 0;
}

void output_drain(struct output *output)
{
    for (int i = 0; i < OUTPUT_CHUNKS_LEFT_MAX && pump_once(output) == 1; i++)
        ;
}
