/* The gate over a network that others share: both ends prove that they know the attempt's secret,
 * and every line carries a proof, so that nobody in between can speak, change, repeat, drop from
 * the middle or reorder. Nothing is hidden: messages hold no secrets but the one that is left out.
 *
 *     supervisor: lq-gate-1 <attempt name> <rank> <nonce>          the hello
 *     agent:      lq-gate-1 <nonce>                                the welcome
 *     both:       <proof> <message of wire/gate.h, without secret>
 *
 * A connection's key is HMAC-SHA256(secret, hello line, welcome line), each with its line end; a
 * proof is HMAC-SHA256(key, side, number of the line on this side, message). Nonces are 16 bytes
 * from the machine's entropy, so no key is used twice. Pure. */
#ifndef LQ_WIRE_GATE_SEAL_H
#define LQ_WIRE_GATE_SEAL_H

#include "base/buffer.h"
#include "base/digest.h"
#include "wire/gate.h"

enum {
    GATE_NONCE_LEN = 16,
    GATE_HELLO_MAX = 192,                /* of a hello or a welcome, with its line end */
    GATE_PROOF_LEN = 2 * DIGEST_LEN + 1, /* with its blank */
    GATE_SEALED_LINE_MAX = GATE_LINE_MAX + GATE_PROOF_LEN,
};

struct gate_nonce {
    uint8_t bytes[GATE_NONCE_LEN];
};
struct gate_hello {
    struct attempt_token token;
    uint32_t rank;
    struct gate_nonce nonce;
};

/* With the line end. `out` holds GATE_HELLO_MAX bytes; the length. */
size_t gate_hello_format(const struct gate_hello *hello, char out[GATE_HELLO_MAX]);
size_t gate_welcome_format(const struct gate_nonce *nonce, char out[GATE_HELLO_MAX]);
/* Without the line end; exactly that form. ERR_INVALID. */
enum err gate_hello_parse(struct slice line, struct gate_hello *out) LQ_CHECKED;
enum err gate_welcome_parse(struct slice line, struct gate_nonce *out) LQ_CHECKED;

enum gate_side { GATE_SIDE_SUPERVISOR, GATE_SIDE_AGENT };
struct gate_seal {
    enum gate_side side; /* ours */
    struct digest key;
    uint64_t sent, taken; /* lines so far */
};

/* `hello` and `welcome` with their line ends, as they crossed the wire. ERR_NO_MEMORY. */
enum err gate_seal_begin(struct gate_seal *seal, enum gate_side side, struct slice secret,
                         struct slice hello, struct slice welcome) LQ_CHECKED;
/* Appends proof and line; `line` with or without its end, the result with one. ERR_LIMIT,
 * ERR_NO_MEMORY. */
enum err gate_seal_put(struct gate_seal *seal, struct slice line, struct buffer *out) LQ_CHECKED;
/* The message of a line (without its end) that the other side sealed; points into `line`.
 * ERR_DENIED: no proof, or a wrong one; the connection is of no more use. ERR_NO_MEMORY. */
enum err gate_seal_take(struct gate_seal *seal, struct slice line, struct slice *out) LQ_CHECKED;

#endif
