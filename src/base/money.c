#include "base/money.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/assert.h"

static const uint64_t MICROS_PER_UNIT = 1000000;
enum { MONEY_DECIMALS = 6, MONEY_DECIMALS_SHOWN = 2 };

enum err money_add(struct money a, struct money b, struct money *out_sum)
{
    int64_t sum;
    if (__builtin_add_overflow(a.micros, b.micros, &sum))
        return ERR_LIMIT;
    out_sum->micros = sum;
    return ERR_OK;
}

struct money money_add_saturated(struct money a, struct money b)
{
    int64_t sum;
    if (__builtin_add_overflow(a.micros, b.micros, &sum))
        sum = b.micros < 0 ? INT64_MIN : INT64_MAX;
    return (struct money){sum};
}

/* Half-even: the nearest, and of two equally near ones the even. The product of two 64-bit numbers
 * always fits 128 bits. */
static __int128 scale_rounded(int64_t amount, int64_t numerator, int64_t denominator)
{
    ASSERT(denominator > 0);
    __int128 product = (__int128)amount * numerator;
    __int128 quotient = product / denominator;
    __int128 rest = product % denominator; /* of the product's sign */
    __int128 twice = (rest < 0 ? -rest : rest) * 2;
    if (twice > denominator || (twice == denominator && quotient % 2 != 0))
        quotient += product < 0 ? -1 : 1;
    return quotient;
}

enum err money_scale(struct money a, int64_t numerator, int64_t denominator, struct money *out)
{
    __int128 result = scale_rounded(a.micros, numerator, denominator);
    if (result > INT64_MAX || result < INT64_MIN)
        return ERR_LIMIT;
    out->micros = (int64_t)result;
    return ERR_OK;
}

struct money money_scale_saturated(struct money a, int64_t numerator, int64_t denominator)
{
    __int128 result = scale_rounded(a.micros, numerator, denominator);
    if (result > INT64_MAX)
        return (struct money){INT64_MAX};
    if (result < INT64_MIN)
        return (struct money){INT64_MIN};
    return (struct money){(int64_t)result};
}

/* The digits after the point as millionths. */
static enum err parse_decimals(struct slice text, uint64_t *out_micros)
{
    if (text.len == 0 || text.len > MONEY_DECIMALS)
        return ERR_INVALID;
    uint64_t value;
    if (slice_parse_u64(text, &value) != ERR_OK)
        return ERR_INVALID;
    for (size_t i = text.len; i < MONEY_DECIMALS; i++)
        value *= 10;
    *out_micros = value;
    return ERR_OK;
}

enum err money_parse(struct slice text, struct money *out)
{
    bool is_negative = text.len > 0 && text.data[0] == '-';
    struct slice whole = {text.data + (is_negative ? 1 : 0), text.len - (is_negative ? 1 : 0)};
    struct slice decimals;
    uint64_t micros = 0;
    if (slice_cut(whole, '.', &whole, &decimals) && parse_decimals(decimals, &micros) != ERR_OK)
        return ERR_INVALID;
    if (whole.len > 1 && whole.data[0] == '0')
        return ERR_INVALID; /* 007 is a misprint or octal, not an amount */
    uint64_t units;
    enum err err = slice_parse_u64(whole, &units);
    if (err != ERR_OK)
        return err;
    if (__builtin_mul_overflow(units, MICROS_PER_UNIT, &units) ||
        __builtin_add_overflow(units, micros, &micros))
        return ERR_LIMIT;
    if (micros > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
        return ERR_LIMIT;
    /* In two steps, because -INT64_MIN does not exist. */
    out->micros =
        is_negative ? -(int64_t)(micros / 2) - (int64_t)(micros - micros / 2) : (int64_t)micros;
    return ERR_OK;
}

void money_format(struct money amount, char out[MONEY_TEXT_MAX])
{
    bool is_negative = amount.micros < 0;
    uint64_t micros = is_negative ? 0 - (uint64_t)amount.micros : (uint64_t)amount.micros;
    int len = snprintf(out, MONEY_TEXT_MAX, "%s%llu.%06u", is_negative ? "-" : "",
                       (unsigned long long)(micros / MICROS_PER_UNIT),
                       (unsigned)(micros % MICROS_PER_UNIT));
    ASSERT(len > MONEY_DECIMALS && len < MONEY_TEXT_MAX);
    int shortest = len - (MONEY_DECIMALS - MONEY_DECIMALS_SHOWN);
    while (len > shortest && out[len - 1] == '0')
        out[--len] = '\0';
}
