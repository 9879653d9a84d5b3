/* The two clocks as one value that a test or a simulator can replace. clock_system() reads the
 * machine: CLOCK_BOOTTIME (goes on during suspend) and CLOCK_REALTIME. Plain memory;
 * thread-neutral. */
#ifndef LQ_PORT_CLOCK_H
#define LQ_PORT_CLOCK_H

#include "base/err.h"
#include "base/time.h"

struct clock {
    struct now (*read)(void *context);
    void *context;
};

enum { CLOCK_BOOT_ID_MAX = 40 }; /* 36 characters and a NUL */

struct clock clock_system(void);
struct now clock_now(const struct clock *clock);
struct boot_ns clock_boot(const struct clock *clock);
struct wall_us clock_wall(const struct clock *clock);

/* The kernel's name of this boot ("1b4e28ba-..."); boot_ns values are comparable only under one
 * name. ERR_IO when the kernel does not tell. */
enum err clock_boot_id(char out_text[CLOCK_BOOT_ID_MAX]) LQ_CHECKED;

#endif
