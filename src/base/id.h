/* Persistent names: 128 bits, unguessable and sortable by time of making (the layout of UUID
 * version 7: 48 bits of Unix milliseconds, then 74 random bits). The text form is a type prefix, an
 * underscore and 26 characters of Crockford base 32, lower case: "job_01j9z3k5m8q2r4t6v8x0y2z4a6".
 * Every noun has a type of its own so that ids cannot be mixed up. Plain memory; all zero means
 * "none". */
#ifndef LQ_BASE_ID_H
#define LQ_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct random;

struct id {
    uint8_t bytes[16];
};

enum { ID_TEXT_MAX = 40 }; /* prefix, '_', 26 characters, NUL */

struct job_id {
    struct id id;
};
struct spec_id {
    struct id id;
};
struct site_id {
    struct id id;
};
struct region_id {
    struct id id;
};
struct pool_id {
    struct id id;
};
struct tenant_id {
    struct id id;
};
struct user_id {
    struct id id;
};
struct token_id {
    struct id id;
};
struct dataset_id {
    struct id id;
};
struct journal_id {
    struct id id;
};
struct request_id {
    struct id id;
};

/* `wall_ms` is Unix time; `random` is the caller's seeded or system-fed generator. */
struct id id_make(int64_t wall_ms, struct random *random);
bool id_is_none(struct id id);
bool id_is_equal(struct id a, struct id b);
int id_compare(struct id a, struct id b);
uint64_t id_hash(struct id id);
/* Writes "prefix_..." and a NUL into `out`, which holds ID_TEXT_MAX bytes. prefix: at most 12
 * characters. */
void id_format(struct id id, const char *prefix, char *out);
/* ERR_INVALID unless the text is exactly `prefix`, '_' and 26 base-32 characters. */
enum err id_parse(struct slice text, const char *prefix, struct id *out_id) LQ_CHECKED;

#endif
