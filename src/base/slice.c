#include "base/slice.h"

#include <string.h>

#include "base/assert.h"

enum { DISTANCE_LEN_MAX = 64 };

struct slice slice_of(const char *text)
{
    if (text == NULL)
        return (struct slice){NULL, 0};
    return (struct slice){text, strlen(text)};
}

struct slice slice_make(const void *data, size_t len)
{
    ASSERT(data != NULL || len == 0);
    return (struct slice){data, len};
}

/* memcmp wants real pointers even for no bytes. */
static int compare_bytes(const char *a, const char *b, size_t len)
{
    return len == 0 ? 0 : memcmp(a, b, len);
}

bool slice_is_equal(struct slice a, struct slice b)
{
    return a.len == b.len && compare_bytes(a.data, b.data, a.len) == 0;
}

bool slice_is(struct slice a, const char *text)
{
    return slice_is_equal(a, slice_of(text));
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = compare_bytes(a.data, b.data, common);
    if (order != 0)
        return order < 0 ? -1 : 1;
    return (a.len > b.len) - (a.len < b.len);
}

bool slice_has_prefix(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && compare_bytes(s.data, prefix.data, prefix.len) == 0;
}

bool slice_has_suffix(struct slice s, struct slice suffix)
{
    if (s.len < suffix.len)
        return false;
    if (suffix.len == 0)
        return true;
    return compare_bytes(s.data + (s.len - suffix.len), suffix.data, suffix.len) == 0;
}

bool slice_cut(struct slice s, char separator, struct slice *out_head, struct slice *out_tail)
{
    const char *at = s.len == 0 ? NULL : memchr(s.data, separator, s.len);
    if (at == NULL)
        return false;
    size_t head_len = (size_t)(at - s.data);
    *out_head = (struct slice){s.data, head_len};
    *out_tail = (struct slice){at + 1, s.len - head_len - 1};
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* Length of the well-formed multi-byte character at `p` (Unicode, table 3-7), 0 if it is none. */
static size_t utf8_character_len(const unsigned char *p, size_t left)
{
    unsigned char lead = p[0];
    size_t len = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || left < len)
        return 0;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (lead == 0xE0)
        low = 0xA0; /* shorter forms exist below */
    else if (lead == 0xED)
        high = 0x9F; /* surrogates above */
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F; /* past U+10FFFF */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return len;
}

size_t slice_utf8_len(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.data;
    if (s.len == 0)
        return 0;
    return p[0] < 0x80 ? 1 : utf8_character_len(p, s.len);
}

bool slice_is_utf8(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.data;
    size_t i = 0;
    while (i < s.len) {
        /* Eight ASCII bytes at a time: most texts are. */
        uint64_t word;
        while (s.len - i >= sizeof(word)) {
            memcpy(&word, p + i, sizeof(word));
            if ((word & 0x8080808080808080u) != 0)
                break;
            i += sizeof(word);
        }
        if (i >= s.len)
            break;
        size_t len = p[i] < 0x80 ? 1 : utf8_character_len(p + i, s.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

enum err slice_parse_u64(struct slice s, uint64_t *out_value)
{
    if (s.len == 0)
        return ERR_INVALID;
    uint64_t value = 0;
    bool is_over = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return ERR_INVALID;
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, digit, &value))
            is_over = true; /* go on: a letter further on makes it invalid instead */
    }
    if (is_over)
        return ERR_LIMIT;
    *out_value = value;
    return ERR_OK;
}

enum err slice_parse_i64(struct slice s, int64_t *out_value)
{
    bool is_negative = s.len > 0 && s.data[0] == '-';
    if (is_negative) {
        s.data++;
        s.len--;
    }
    uint64_t magnitude = 0;
    enum err err = slice_parse_u64(s, &magnitude);
    if (err != ERR_OK)
        return err;
    uint64_t bound = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
    if (magnitude > bound)
        return ERR_LIMIT;
    if (is_negative)
        *out_value = magnitude == bound ? INT64_MIN : -(int64_t)magnitude;
    else
        *out_value = (int64_t)magnitude;
    return ERR_OK;
}

unsigned slice_distance(struct slice a, struct slice b)
{
    if (a.len > DISTANCE_LEN_MAX || b.len > DISTANCE_LEN_MAX)
        return DISTANCE_LEN_MAX;
    /* Levenshtein, one row of the table at a time. */
    unsigned row[DISTANCE_LEN_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned change = diagonal + (a.data[i - 1] == b.data[j - 1] ? 0 : 1);
            unsigned remove = row[j] + 1;
            unsigned insert = row[j - 1] + 1;
            unsigned best = change < remove ? change : remove;
            diagonal = row[j];
            row[j] = best < insert ? best : insert;
        }
    }
    return row[b.len];
}
