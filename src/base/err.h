/* Error codes and the caller-owned description of a failure.
 *
 * Every function that can fail returns `enum err`; the compiler checks that it is looked at. A
 * function that meets bad input also fills a `struct fault` (may be NULL): what is wrong, where,
 * and how to mend it. Outputs (`out_...`) are untouched on failure. No ownership: a fault is plain
 * memory. Thread-neutral. */
#ifndef LQ_BASE_ERR_H
#define LQ_BASE_ERR_H

#include <stdint.h>

enum err {
    ERR_OK = 0,
    ERR_INVALID, /* the input breaks a rule; the fault says which */
    ERR_NOT_FOUND,
    ERR_EXISTS, /* a different thing of that name or key stands already */
    ERR_STALE,  /* the expected state no longer holds; read again, then retry */
    ERR_LIMIT,  /* a named limit would be passed */
    ERR_NO_MEMORY,
    ERR_IO,     /* the operating system refused; not known whether it took effect */
    ERR_FULL,   /* disk or quota full; nothing took effect */
    ERR_CLOSED, /* the other side, or this object, is closed */
    ERR_TIMEOUT,
    ERR_DENIED,      /* no permission */
    ERR_UNSUPPORTED, /* this build, host or peer cannot do it */
    ERR_CORRUPT,     /* stored bytes fail their check */
    ERR_BUSY,        /* try again later */
    ERR_CANCELLED,
    ERR_COUNT_
};

#define LQ_CHECKED __attribute__((warn_unused_result))
#define LQ_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))

/* The stable, lower-case name of an error ("not_found"); for programs and for logs. */
const char *err_name(enum err code);

enum { FAULT_FIELD_MAX = 128, FAULT_MESSAGE_MAX = 384 };

struct fault {
    enum err code;
    uint32_t line; /* 1-based position in the input text; 0: not known */
    uint32_t column;
    char field[FAULT_FIELD_MAX]; /* path of the field, e.g. "resources.cpus"; empty: the whole */
    char message[FAULT_MESSAGE_MAX]; /* a sentence without a final stop; says how to mend it */
};

/* Fill `fault` (may be NULL) and return `code`, so that `return fault_set(...)` reads well.
 * `field` may be NULL. Texts that do not fit are cut at a UTF-8 boundary. */
enum err fault_set(struct fault *fault, enum err code, const char *field, const char *format, ...)
    LQ_PRINTF(4, 5);

/* Put `prefix` and a dot before the field path that `fault` has already. */
void fault_prefix(struct fault *fault, const char *prefix);

#endif
