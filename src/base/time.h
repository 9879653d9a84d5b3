/* Times and durations, wrapped so that they cannot be mixed.
 * boot_ns: the boot-time clock of one machine (CLOCK_BOOTTIME); for durations and deadlines; never
 * sent over the wire; meaningless beside another boot's. wall_us: Unix time in microseconds; for
 * people and tariffs only; may jump. span_ms: a duration; the only kind of time that crosses the
 * wire in the protocol. */
#ifndef LQ_BASE_TIME_H
#define LQ_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct boot_ns {
    int64_t ns;
};
struct wall_us {
    int64_t us;
};
struct span_ms {
    int64_t ms;
};

/* The two clocks read together at the start of an event; what a pure step is given as "now". */
struct now {
    struct boot_ns boot;
    struct wall_us wall;
};

#define SPAN_MS(value) ((struct span_ms){(value)})
#define SPAN_S(value) ((struct span_ms){(int64_t)(value)*1000})

struct boot_ns boot_add(struct boot_ns at, struct span_ms span); /* saturates */
struct span_ms boot_since(struct boot_ns later,
                          struct boot_ns earlier); /* later - earlier, rounded down */
bool boot_is_before(struct boot_ns a, struct boot_ns b);
struct boot_ns boot_min(struct boot_ns a, struct boot_ns b);
extern const struct boot_ns BOOT_NEVER; /* later than every time */

enum { TIME_TEXT_MAX = 32 };
/* RFC 3339 in UTC with milliseconds, "2026-11-22T05:44:34.123Z"; years outside 0000-9999 are
 * clamped. */
void wall_format(struct wall_us at, char out[TIME_TEXT_MAX]);
enum err wall_parse(struct slice text, struct wall_us *out_at) LQ_CHECKED;
/* For people: "850ms", "42s", "3m10s", "2h05m", "3d04h". */
void span_format(struct span_ms span, char out[TIME_TEXT_MAX]);
/* "500ms", "30s", "10m", "2h", "1d", "1h30m"; a bare number is refused (say the unit). Never
 * negative. */
enum err span_parse(struct slice text, struct span_ms *out_span) LQ_CHECKED;

#endif
