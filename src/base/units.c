#include "base/units.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/assert.h"

enum { DECIMALS_MAX = 9, MILLI_DECIMALS = 3 };

static const struct byte_unit {
    const char *name;
    uint64_t bytes;
} byte_units[] = {
    {"B", 1},
    {"kB", 1000ull},
    {"KB", 1000ull},
    {"k", 1000ull},
    {"K", 1000ull},
    {"MB", 1000000ull},
    {"M", 1000000ull},
    {"GB", 1000000000ull},
    {"G", 1000000000ull},
    {"TB", 1000000000000ull},
    {"T", 1000000000000ull},
    {"PB", 1000000000000000ull},
    {"P", 1000000000000000ull},
    {"KiB", 1ull << 10},
    {"Ki", 1ull << 10},
    {"MiB", 1ull << 20},
    {"Mi", 1ull << 20},
    {"GiB", 1ull << 30},
    {"Gi", 1ull << 30},
    {"TiB", 1ull << 40},
    {"Ti", 1ull << 40},
    {"PiB", 1ull << 50},
    {"Pi", 1ull << 50},
};

/* A decimal number as digits without the point, and how many of them stood behind it. */
struct decimal {
    uint64_t digits;
    unsigned decimals;
};

static enum err parse_decimal(struct slice text, struct decimal *out)
{
    struct decimal decimal = {0, 0};
    struct slice whole = text;
    struct slice fraction = {NULL, 0};
    bool has_point = slice_cut(text, '.', &whole, &fraction);
    if (has_point && (fraction.len == 0 || fraction.len > DECIMALS_MAX))
        return ERR_INVALID;
    enum err err = slice_parse_u64(whole, &decimal.digits);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < fraction.len; i++) {
        if (fraction.data[i] < '0' || fraction.data[i] > '9')
            return ERR_INVALID;
        uint64_t digit = (uint64_t)(fraction.data[i] - '0');
        if (__builtin_mul_overflow(decimal.digits, 10u, &decimal.digits) ||
            __builtin_add_overflow(decimal.digits, digit, &decimal.digits))
            return ERR_LIMIT;
    }
    decimal.decimals = (unsigned)fraction.len;
    *out = decimal;
    return ERR_OK;
}

/* digits * unit / 10^decimals, which must be whole. */
static enum err scale_exactly(struct decimal decimal, uint64_t unit, uint64_t *out)
{
    uint64_t power = 1;
    for (unsigned i = 0; i < decimal.decimals; i++)
        power *= 10;
    unsigned __int128 product = (unsigned __int128)decimal.digits * unit;
    if (product % power != 0)
        return ERR_INVALID;
    product /= power;
    if (product > INT64_MAX)
        return ERR_LIMIT;
    *out = (uint64_t)product;
    return ERR_OK;
}

/* Splits "16GiB" into number and unit. */
static struct slice split_number(struct slice *text)
{
    size_t len = 0;
    while (len < text->len &&
           ((text->data[len] >= '0' && text->data[len] <= '9') || text->data[len] == '.'))
        len++;
    struct slice number = {text->data, len};
    *text = (struct slice){text->data + len, text->len - len};
    return number;
}

enum err units_parse_bytes(struct slice text, uint64_t *out_bytes)
{
    if (slice_is(text, "0")) {
        *out_bytes = 0;
        return ERR_OK;
    }
    if (text.len == 0)
        return ERR_INVALID;
    struct slice unit = text;
    struct decimal number;
    enum err err = parse_decimal(split_number(&unit), &number);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < sizeof(byte_units) / sizeof(byte_units[0]); i++) {
        if (slice_is(unit, byte_units[i].name))
            return scale_exactly(number, byte_units[i].bytes, out_bytes);
    }
    return ERR_INVALID;
}

static const char *const binary_names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
enum { BINARY_COUNT = sizeof(binary_names) / sizeof(binary_names[0]) };

void units_format_bytes(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    unsigned power = 0;
    while (power + 1 < BINARY_COUNT && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        power++;
    }
    snprintf(out, UNITS_TEXT_MAX, "%llu%s", (unsigned long long)bytes, binary_names[power]);
}

void units_format_bytes_short(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    unsigned power = 0;
    uint64_t unit = 1;
    while (power + 1 < BINARY_COUNT && bytes / unit >= 1024) {
        unit *= 1024;
        power++;
    }
    uint64_t whole = bytes / unit;
    unsigned tenth = (unsigned)(bytes % unit * 10 / unit);
    if (power == 0 || whole >= 100)
        snprintf(out, UNITS_TEXT_MAX, "%llu%s", (unsigned long long)whole, binary_names[power]);
    else
        snprintf(out, UNITS_TEXT_MAX, "%llu.%u%s", (unsigned long long)whole, tenth,
                 binary_names[power]);
}

enum err units_parse_millicpus(struct slice text, uint64_t *out_millicpus)
{
    if (text.len == 0)
        return ERR_INVALID;
    struct slice unit = text;
    struct decimal number;
    enum err err = parse_decimal(split_number(&unit), &number);
    if (err != ERR_OK)
        return err;
    uint64_t value;
    if (unit.len == 0)
        err = scale_exactly(number, 1000, &value);
    else if (slice_is(unit, "m"))
        err = scale_exactly(number, 1, &value);
    else
        err = ERR_INVALID;
    if (err != ERR_OK)
        return err;
    if (value > UNITS_MILLICPUS_MAX)
        return ERR_LIMIT;
    *out_millicpus = value;
    return ERR_OK;
}

void units_format_millicpus(uint64_t millicpus, char out[UNITS_TEXT_MAX])
{
    int len = snprintf(out, UNITS_TEXT_MAX, "%llu.%03u", (unsigned long long)(millicpus / 1000),
                       (unsigned)(millicpus % 1000));
    ASSERT(len > MILLI_DECIMALS && len < UNITS_TEXT_MAX);
    while (out[len - 1] == '0')
        out[--len] = '\0';
    if (out[len - 1] == '.')
        out[--len] = '\0';
}
