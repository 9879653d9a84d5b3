#include "base/hex.h"

#include <stdbool.h>

#include "base/assert.h"

void hex_encode(struct slice bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        out[2 * i] = digits[byte >> 4];
        out[2 * i + 1] = digits[byte & 15];
    }
    out[2 * bytes.len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err hex_decode(struct slice text, uint8_t *out, size_t len)
{
    if (text.len % 2 != 0 || text.len / 2 != len)
        return ERR_INVALID;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text.data[2 * i]);
        int low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return ERR_INVALID;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return ERR_OK;
}

size_t base64url_encoded_len(size_t len)
{
    size_t rest = len % 3;
    return len / 3 * 4 + (rest == 0 ? 0 : rest + 1);
}

void base64url_encode(struct slice bytes, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (unsigned char)bytes.data[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            *out++ = digits[bits >> held & 63];
        }
    }
    if (held > 0)
        *out++ = digits[bits << (6 - held) & 63];
    *out = '\0';
}

static int base64_value(char c, bool is_url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (is_url ? '-' : '+'))
        return 62;
    if (c == (is_url ? '_' : '/'))
        return 63;
    return -1;
}

/* `text` without padding. */
static enum err decode_base64(struct slice text, bool is_url, uint8_t *out, size_t cap,
                              size_t *out_len)
{
    if (text.len % 4 == 1)
        return ERR_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        if (base64_value(text.data[i], is_url) < 0)
            return ERR_INVALID;
    }
    size_t rest = text.len % 4;
    size_t len = text.len / 4 * 3 + (rest == 0 ? 0 : rest - 1);
    if (len > cap)
        return ERR_LIMIT;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        bits = bits << 6 | (uint32_t)base64_value(text.data[i], is_url);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[at++] = (uint8_t)(bits >> held);
        }
    }
    if ((bits & ((1u << held) - 1)) != 0)
        return ERR_INVALID; /* spare bits: a second text for the same bytes */
    ASSERT(at == len);
    *out_len = len;
    return ERR_OK;
}

enum err base64url_decode(struct slice text, uint8_t *out, size_t cap, size_t *out_len)
{
    return decode_base64(text, true, out, cap, out_len);
}

enum err base64_decode(struct slice text, uint8_t *out, size_t cap, size_t *out_len)
{
    if (text.len % 4 != 0)
        return ERR_INVALID;
    for (unsigned i = 0; i < 2 && text.len > 0 && text.data[text.len - 1] == '='; i++)
        text.len--;
    return decode_base64(text, false, out, cap, out_len);
}
