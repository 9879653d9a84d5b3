#include "base/time.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const int64_t NS_PER_MS = 1000000;
static const int64_t US_PER_DAY = 86400000000;
static const int64_t US_PER_S = 1000000;

const struct boot_ns BOOT_NEVER = {INT64_MAX};

struct boot_ns boot_add(struct boot_ns at, struct span_ms span)
{
    if (at.ns == BOOT_NEVER.ns)
        return at; /* never plus anything is never */
    __int128 ns = (__int128)span.ms * NS_PER_MS + at.ns;
    if (ns > INT64_MAX)
        return BOOT_NEVER;
    return (struct boot_ns){ns < INT64_MIN ? INT64_MIN : (int64_t)ns};
}

struct span_ms boot_since(struct boot_ns later, struct boot_ns earlier)
{
    int64_t ns;
    if (__builtin_sub_overflow(later.ns, earlier.ns, &ns))
        ns = earlier.ns < 0 ? INT64_MAX : INT64_MIN;
    int64_t ms = ns / NS_PER_MS;
    if (ns % NS_PER_MS < 0)
        ms--; /* rounded down, not towards zero */
    return (struct span_ms){ms};
}

bool boot_is_before(struct boot_ns a, struct boot_ns b)
{
    return a.ns < b.ns;
}

struct boot_ns boot_min(struct boot_ns a, struct boot_ns b)
{
    return a.ns < b.ns ? a : b;
}

/* ---- calendar: days since 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400
 * years that start on 1 March, so that the leap day comes last (Howard Hinnant, "chrono-compatible
 * low-level date algorithms") ---- */

struct date {
    int64_t year;
    unsigned month; /* 1..12 */
    unsigned day;   /* 1..31 */
};

static struct date date_of_days(int64_t days)
{
    days += 719468; /* 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * of_year + 2) / 153;
    struct date date;
    date.day = of_year - (153 * march_month + 2) / 5 + 1;
    date.month = march_month < 10 ? march_month + 3 : march_month - 9;
    date.year = (int64_t)year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
    return date;
}

static int64_t days_of_date(struct date date)
{
    int64_t year = date.year - (date.month <= 2 ? 1 : 0);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned march_month = date.month > 2 ? date.month - 3 : date.month + 9;
    unsigned of_year = (153 * march_month + 2) / 5 + date.day - 1;
    unsigned of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    return era * 146097 + (int64_t)of_era - 719468;
}

void wall_format(struct wall_us at, char out[TIME_TEXT_MAX])
{
    const int64_t first_us = days_of_date((struct date){0, 1, 1}) * US_PER_DAY;
    const int64_t past_us = days_of_date((struct date){10000, 1, 1}) * US_PER_DAY;
    int64_t us = at.us < first_us ? first_us : at.us;
    if (us >= past_us)
        us = past_us - 1;
    int64_t days = us / US_PER_DAY;
    int64_t rest = us % US_PER_DAY;
    if (rest < 0) {
        rest += US_PER_DAY;
        days--;
    }
    struct date date = date_of_days(days);
    unsigned ms = (unsigned)(rest / 1000);
    snprintf(out, TIME_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)date.year % 10000u, date.month % 100u, date.day % 100u, ms / 3600000 % 100u,
             ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
}

/* Takes exactly `count` digits off the front. */
static bool take_digits(struct slice *text, unsigned count, unsigned *out_value)
{
    unsigned value = 0;
    if (text->len < count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        char c = text->data[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (unsigned)(c - '0');
    }
    text->data += count;
    text->len -= count;
    *out_value = value;
    return true;
}

static bool take_any(struct slice *text, const char *choices, char *out_c)
{
    if (text->len == 0 || text->data[0] == '\0' || strchr(choices, text->data[0]) == NULL)
        return false;
    *out_c = text->data[0];
    text->data++;
    text->len--;
    return true;
}

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool take_date(struct slice *text, struct date *out_date)
{
    static const unsigned char month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year;
    unsigned month;
    unsigned day;
    char c;
    if (!take_digits(text, 4, &year) || !take_any(text, "-", &c) || !take_digits(text, 2, &month) ||
        !take_any(text, "-", &c) || !take_digits(text, 2, &day))
        return false;
    if (month < 1 || month > 12)
        return false;
    unsigned last = month_days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
    if (day < 1 || day > last)
        return false;
    *out_date = (struct date){year, month, day};
    return true;
}

/* "05:44:34" with up to nine decimals; finer than a microsecond is cut. */
static bool take_clock(struct slice *text, int64_t *out_us)
{
    unsigned hour;
    unsigned minute;
    unsigned second;
    char c;
    if (!take_digits(text, 2, &hour) || !take_any(text, ":", &c) ||
        !take_digits(text, 2, &minute) || !take_any(text, ":", &c) ||
        !take_digits(text, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    int64_t us = ((int64_t)hour * 3600 + minute * 60 + second) * US_PER_S;
    if (take_any(text, ".", &c)) {
        unsigned digit;
        int64_t unit = US_PER_S;
        unsigned count = 0;
        while (count < 9 && take_digits(text, 1, &digit)) {
            unit /= 10;
            us += digit * unit;
            count++;
        }
        if (count == 0)
            return false;
    }
    *out_us = us;
    return true;
}

/* "Z" or "+08:00". */
static bool take_offset(struct slice *text, int64_t *out_us)
{
    char sign;
    unsigned hour;
    unsigned minute;
    char c;
    if (take_any(text, "Zz", &c)) {
        *out_us = 0;
        return true;
    }
    if (!take_any(text, "+-", &sign) || !take_digits(text, 2, &hour) || !take_any(text, ":", &c) ||
        !take_digits(text, 2, &minute) || hour > 23 || minute > 59)
        return false;
    int64_t us = ((int64_t)hour * 3600 + minute * 60) * US_PER_S;
    *out_us = sign == '-' ? -us : us;
    return true;
}

enum err wall_parse(struct slice text, struct wall_us *out_at)
{
    struct date date;
    int64_t clock_us;
    int64_t offset_us;
    char c;
    if (!take_date(&text, &date) || !take_any(&text, "Tt", &c) || !take_clock(&text, &clock_us) ||
        !take_offset(&text, &offset_us) || text.len != 0)
        return ERR_INVALID;
    out_at->us = days_of_date(date) * US_PER_DAY + clock_us - offset_us;
    return ERR_OK;
}

/* ---- durations ---- */

void span_format(struct span_ms span, char out[TIME_TEXT_MAX])
{
    const char *sign = span.ms < 0 ? "-" : "";
    uint64_t ms = span.ms < 0 ? 0 - (uint64_t)span.ms : (uint64_t)span.ms;
    uint64_t s = ms / 1000;
    if (ms < 1000)
        snprintf(out, TIME_TEXT_MAX, "%s%ums", sign, (unsigned)ms);
    else if (s < 60)
        snprintf(out, TIME_TEXT_MAX, "%s%us", sign, (unsigned)s);
    else if (s < 3600)
        snprintf(out, TIME_TEXT_MAX, "%s%um%02us", sign, (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 86400)
        snprintf(out, TIME_TEXT_MAX, "%s%uh%02um", sign, (unsigned)(s / 3600),
                 (unsigned)(s / 60 % 60));
    else
        snprintf(out, TIME_TEXT_MAX, "%s%llud%02uh", sign, (unsigned long long)(s / 86400),
                 (unsigned)(s / 3600 % 24));
}

static const struct span_unit {
    const char *name;
    int64_t ms;
} span_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum { SPAN_UNIT_COUNT = sizeof(span_units) / sizeof(span_units[0]) };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes "30s" off the front; the unit must be smaller than all before, i.e. at or after `from`. */
static enum err take_span_part(struct slice *text, size_t from, size_t *out_unit, int64_t *out_ms)
{
    size_t digits = 0;
    while (digits < text->len && is_digit(text->data[digits]))
        digits++;
    size_t end = digits;
    while (end < text->len && !is_digit(text->data[end]))
        end++;
    struct slice unit = {text->data + digits, end - digits};
    int64_t value;
    enum err err = slice_parse_i64((struct slice){text->data, digits}, &value);
    if (err != ERR_OK)
        return err;
    for (size_t i = from; i < SPAN_UNIT_COUNT; i++) {
        if (!slice_is(unit, span_units[i].name))
            continue;
        if (__builtin_mul_overflow(value, span_units[i].ms, out_ms))
            return ERR_LIMIT;
        *out_unit = i;
        text->data += end;
        text->len -= end;
        return ERR_OK;
    }
    return ERR_INVALID;
}

enum err span_parse(struct slice text, struct span_ms *out_span)
{
    int64_t total = 0;
    size_t from = 0;
    if (text.len == 0)
        return ERR_INVALID;
    while (text.len > 0) {
        size_t unit;
        int64_t ms;
        enum err err = take_span_part(&text, from, &unit, &ms);
        if (err != ERR_OK)
            return err;
        if (__builtin_add_overflow(total, ms, &total))
            return ERR_LIMIT;
        from = unit + 1;
    }
    out_span->ms = total;
    return ERR_OK;
}
