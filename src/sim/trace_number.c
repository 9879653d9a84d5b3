#include <string.h>

#include "base/time.h"
#include "sim/trace.h"

enum { DECIMALS_MAX = 9, MOMENT_LEN = 19 };

enum err trace_decimal(struct slice text, int64_t unit, int64_t max, int64_t *out)
{
    struct slice whole = text, part = {0};
    bool is_negative = text.len > 0 && text.data[0] == '-';
    uint64_t high = 0, low = 0, scale = 1;
    if (is_negative)
        whole = slice_make(text.data + 1, text.len - 1);
    struct slice digits = whole;
    if (slice_cut(digits, '.', &whole, &part) && part.len == 0)
        return ERR_INVALID;
    enum err err = slice_parse_u64(whole, &high);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < part.len; i++) {
        if (part.data[i] < '0' || part.data[i] > '9')
            return ERR_INVALID;
        if (i < DECIMALS_MAX) {
            low = low * 10 + (uint64_t)(part.data[i] - '0');
            scale *= 10;
        }
    }
    /* unit is at most an hour in ms, low below 10^9: 128 bits are ample. */
    __extension__ unsigned __int128 value =
        (__extension__(unsigned __int128) high) * (uint64_t)unit +
        (__extension__(unsigned __int128) low) * (uint64_t)unit / scale;
    if (value > (uint64_t)max)
        return ERR_LIMIT;
    *out = is_negative ? -(int64_t)value : (int64_t)value;
    return ERR_OK;
}

enum err trace_moment(struct slice text, int64_t *out_ms)
{
    char stamp[MOMENT_LEN + 2];
    struct wall_us at;
    if (text.len < MOMENT_LEN || text.data[4] != '-')
        return trace_decimal(text, 1000, TRACE_SPAN_MS_MAX, out_ms);
    enum err err;
    if (text.len == MOMENT_LEN) {
        memcpy(stamp, text.data, MOMENT_LEN);
        if (stamp[10] == ' ')
            stamp[10] = 'T';
        stamp[MOMENT_LEN] = 'Z';
        stamp[MOMENT_LEN + 1] = 0;
        err = wall_parse(slice_of(stamp), &at);
    } else {
        err = wall_parse(text, &at);
    }
    if (err == ERR_OK)
        *out_ms = at.us / 1000;
    return err;
}
