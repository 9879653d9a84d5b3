#include "port/clock.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

static int64_t clock_ns(clockid_t which)
{
    struct timespec at;
    ASSERT(clock_gettime(which, &at) == 0);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static struct now clock_system_read(void *context)
{
    (void)context;
    return (struct now){.boot = {clock_ns(CLOCK_BOOTTIME)},
                        .wall = {clock_ns(CLOCK_REALTIME) / 1000}};
}

struct clock clock_system(void)
{
    return (struct clock){.read = clock_system_read, .context = NULL};
}

struct now clock_now(const struct clock *clock)
{
    return clock->read(clock->context);
}

struct boot_ns clock_boot(const struct clock *clock)
{
    return clock_now(clock).boot;
}

struct wall_us clock_wall(const struct clock *clock)
{
    return clock_now(clock).wall;
}

enum err clock_boot_id(char out_text[CLOCK_BOOT_ID_MAX])
{
    char text[CLOCK_BOOT_ID_MAX];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    ssize_t got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got < 36)
        return ERR_IO;
    memcpy(out_text, text, 36);
    out_text[36] = '\0';
    return ERR_OK;
}
