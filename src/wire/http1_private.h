/* What the files of http1 share; private to src/wire. */
#ifndef LQ_WIRE_HTTP1_PRIVATE_H
#define LQ_WIRE_HTTP1_PRIVATE_H

#include "base/vector.h"
#include "wire/http1.h"

/* Why a message is refused; the message text is constant. */
struct http1_refusal {
    enum err err; /* ERR_OK: not refused */
    unsigned status;
    const char *message;
};

/* Reads a whole head, from the start line to the empty line, whose lines all end with CR LF and
 * hold no other control characters but tabs. `headers` (of struct http1_header) is filled;
 * *out_head points into both. */
struct http1_refusal http1_head_read(struct slice bytes, enum http1_side side,
                                     const struct http1_limits *limits, struct vector *headers,
                                     struct http1_head *out_head);

/* Any byte that no header value may hold: below 32 but for tabs, and 127. */
bool http1_has_control(struct slice bytes);

#endif
