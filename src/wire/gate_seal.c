#include "wire/gate_seal.h"

#include <stdio.h>
#include <string.h>

#include "base/hex.h"

enum { NONCE_TEXT = 2 * GATE_NONCE_LEN + 1, RANK_DIGITS_MAX = 10 };
static const char MARK[] = "lq-gate-1";

size_t gate_hello_format(const struct gate_hello *hello, char out[GATE_HELLO_MAX])
{
    char name[ATTEMPT_NAME_MAX], nonce[NONCE_TEXT];
    attempt_name_format(&hello->token, name);
    hex_encode(slice_make(hello->nonce.bytes, GATE_NONCE_LEN), nonce);
    int len = snprintf(out, GATE_HELLO_MAX, "%s %s %u %s\n", MARK, name, hello->rank, nonce);
    return len > 0 ? (size_t)len : 0; /* the parts' limits add up to less than the buffer */
}

size_t gate_welcome_format(const struct gate_nonce *nonce, char out[GATE_HELLO_MAX])
{
    char text[NONCE_TEXT];
    hex_encode(slice_make(nonce->bytes, GATE_NONCE_LEN), text);
    int len = snprintf(out, GATE_HELLO_MAX, "%s %s\n", MARK, text);
    return len > 0 ? (size_t)len : 0;
}

static enum err take_mark(struct slice line, struct slice *out_rest)
{
    struct slice mark;
    if (!slice_cut(line, ' ', &mark, out_rest) || !slice_is(mark, MARK))
        return ERR_INVALID;
    return ERR_OK;
}

enum err gate_hello_parse(struct slice line, struct gate_hello *out)
{
    struct gate_hello hello;
    struct slice rest, name, rank, nonce;
    char again[GATE_HELLO_MAX];
    uint64_t number = 0;
    if (line.len >= GATE_HELLO_MAX || take_mark(line, &rest) != ERR_OK ||
        !slice_cut(rest, ' ', &name, &rest) || !slice_cut(rest, ' ', &rank, &nonce) ||
        attempt_name_parse(name, &hello.token) != ERR_OK || rank.len > RANK_DIGITS_MAX ||
        slice_parse_u64(rank, &number) != ERR_OK || number >= JOB_NODES_MAX ||
        hex_decode(nonce, hello.nonce.bytes, GATE_NONCE_LEN) != ERR_OK)
        return ERR_INVALID;
    hello.rank = (uint32_t)number;
    /* One text for one hello: both ends make the key of the text. */
    size_t len = gate_hello_format(&hello, again);
    if (len != line.len + 1 || memcmp(again, line.data, line.len) != 0)
        return ERR_INVALID;
    *out = hello;
    return ERR_OK;
}

enum err gate_welcome_parse(struct slice line, struct gate_nonce *out)
{
    struct slice rest;
    struct gate_nonce nonce;
    if (take_mark(line, &rest) != ERR_OK || hex_decode(rest, nonce.bytes, GATE_NONCE_LEN) != ERR_OK)
        return ERR_INVALID;
    *out = nonce;
    return ERR_OK;
}

enum err gate_seal_begin(struct gate_seal *seal, enum gate_side side, struct slice secret,
                         struct slice hello, struct slice welcome)
{
    struct buffer text;
    buffer_init(&text, (size_t)2 * GATE_HELLO_MAX);
    buffer_append(&text, hello);
    buffer_append(&text, welcome);
    enum err code = buffer_status(&text);
    if (code == ERR_OK)
        *seal = (struct gate_seal){.side = side, .key = digest_hmac(secret, buffer_slice(&text))};
    buffer_deinit(&text);
    return code;
}

static enum err proof_make(const struct gate_seal *seal, enum gate_side side, uint64_t number,
                           struct slice message, char out[DIGEST_TEXT_MAX])
{
    struct buffer text;
    buffer_init(&text, GATE_SEALED_LINE_MAX);
    buffer_printf(&text, "%c %llu ", side == GATE_SIDE_AGENT ? 'A' : 'S',
                  (unsigned long long)number);
    buffer_append(&text, message);
    enum err code = buffer_status(&text);
    if (code == ERR_OK)
        digest_format(digest_hmac(slice_make(seal->key.bytes, DIGEST_LEN), buffer_slice(&text)),
                      out);
    buffer_deinit(&text);
    return code;
}

enum err gate_seal_put(struct gate_seal *seal, struct slice line, struct buffer *out)
{
    char proof[DIGEST_TEXT_MAX];
    if (line.len > 0 && line.data[line.len - 1] == '\n')
        line.len--;
    enum err code = proof_make(seal, seal->side, seal->sent, line, proof);
    if (code != ERR_OK)
        return code;
    seal->sent++;
    buffer_append_text(out, proof);
    buffer_append_char(out, ' ');
    buffer_append(out, line);
    buffer_append_char(out, '\n');
    return buffer_status(out);
}

enum err gate_seal_take(struct gate_seal *seal, struct slice line, struct slice *out)
{
    char wanted[DIGEST_TEXT_MAX];
    struct slice proof, message;
    enum gate_side other = seal->side == GATE_SIDE_AGENT ? GATE_SIDE_SUPERVISOR : GATE_SIDE_AGENT;
    if (line.len > GATE_SEALED_LINE_MAX || !slice_cut(line, ' ', &proof, &message) ||
        proof.len != GATE_PROOF_LEN - 1 || message.len > GATE_LINE_MAX)
        return ERR_DENIED;
    enum err code = proof_make(seal, other, seal->taken, message, wanted);
    if (code != ERR_OK)
        return code == ERR_LIMIT ? ERR_DENIED : code;
    if (!digest_is_same_secret(proof, slice_of(wanted)))
        return ERR_DENIED;
    seal->taken++;
    *out = message;
    return ERR_OK;
}
