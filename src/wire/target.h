/* The target of a request, taken apart: "/v1/jobs/job_01…?limit=20&state=running".
 *
 * Strict: the path is absolute, without empty segments (a single one at the end is told by
 * `has_trailing_slash`), "." and ".." (also when written %2e) or control characters; %2f, %5c and
 * %00 within a segment, broken escapes and bytes that decode to invalid UTF-8 are refused; so are
 * fragments and repeated query names. Segments, names and values come decoded; in the query '+' is
 * a blank. */
#ifndef LQ_WIRE_TARGET_H
#define LQ_WIRE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/err.h"
#include "base/slice.h"

enum { TARGET_SEGMENTS_MAX = 24, TARGET_PAIRS_MAX = 32 };

struct target_pair {
    struct slice name;
    struct slice value; /* empty for "name" and "name=" */
};

struct target {
    struct slice segments[TARGET_SEGMENTS_MAX];
    size_t segment_count; /* 0: "/" */
    bool has_trailing_slash;
    struct target_pair pairs[TARGET_PAIRS_MAX];
    size_t pair_count;
};

/* Decoded bytes live in `arena`. ERR_INVALID, ERR_LIMIT (too many segments or pairs),
 * ERR_NO_MEMORY. */
enum err target_parse(struct slice text, struct arena *arena, struct target *out_target,
                      struct fault *fault) LQ_CHECKED;
/* NULL: not given. */
const struct target_pair *target_find(const struct target *target, const char *name);

/* Appends `bytes` percent-encoded so that it is safe as one path segment or one query name or
 * value. */
void target_append_encoded(struct buffer *out, struct slice bytes);

/* An absolute URL of a server: "https://host:port/prefix". */
struct url {
    bool is_tls;
    struct slice host; /* name, IPv4, or IPv6 without brackets */
    uint16_t port;     /* 80 or 443 when not given */
    struct slice path; /* "/" or longer; with the query */
};

/* Slices point into `text`. Refuses other schemes, user names, fragments, odd characters. */
enum err url_parse(struct slice text, struct url *out_url, struct fault *fault) LQ_CHECKED;

#endif
