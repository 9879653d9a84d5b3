/* The short texts of base: ids, spans, money, times, sizes, CPUs, hexadecimal, base64. What parses
 * is written in its one form and reads back the same. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/hex.h"
#include "base/id.h"
#include "base/money.h"
#include "base/time.h"
#include "base/units.h"
#include "fuzz.h"

static void check_id(struct slice text)
{
    struct id id;
    char out[ID_TEXT_MAX];
    if (id_parse(text, "job", &id) != ERR_OK)
        return;
    id_format(id, "job", out);
    ASSERT(slice_is(text, out)); /* one text only for one id */
}

static void check_money(struct slice text)
{
    struct money amount;
    struct money again;
    char out[MONEY_TEXT_MAX];
    if (money_parse(text, &amount) != ERR_OK)
        return;
    money_format(amount, out);
    ASSERT(money_parse(slice_of(out), &again) == ERR_OK && again.micros == amount.micros);
}

static void check_times(struct slice text)
{
    struct span_ms span;
    struct wall_us at;
    struct wall_us again;
    char out[TIME_TEXT_MAX];
    if (span_parse(text, &span) == ERR_OK) {
        ASSERT(span.ms >= 0);
        span_format(span, out);
        ASSERT(strlen(out) < TIME_TEXT_MAX);
    }
    if (wall_parse(text, &at) == ERR_OK) {
        wall_format(at, out);
        ASSERT(wall_parse(slice_of(out), &again) == ERR_OK);
        /* Years are clamped at both ends of the calendar; in between only microseconds go. */
        ASSERT(again.us <= at.us ? at.us - again.us < 86400000000 + 1000
                                 : again.us - at.us <= 86400000000);
    }
}

static void check_units(struct slice text)
{
    uint64_t value;
    uint64_t again;
    char out[UNITS_TEXT_MAX];
    if (units_parse_bytes(text, &value) == ERR_OK) {
        units_format_bytes(value, out);
        ASSERT(units_parse_bytes(slice_of(out), &again) == ERR_OK && again == value);
        units_format_bytes_short(value, out);
    }
    if (units_parse_millicpus(text, &value) == ERR_OK) {
        units_format_millicpus(value, out);
        ASSERT(units_parse_millicpus(slice_of(out), &again) == ERR_OK && again == value);
    }
}

static void check_encodings(struct slice text)
{
    uint8_t bytes[64];
    char out[160];
    size_t len;
    struct digest digest;
    if (base64url_decode(text, bytes, sizeof(bytes), &len) == ERR_OK) {
        base64url_encode(slice_make(bytes, len), out);
        ASSERT(slice_is(text, out));
    }
    (void)!base64_decode(text, bytes, sizeof(bytes), &len);
    if (digest_parse(text, &digest) == ERR_OK) {
        digest_format(digest, out);
        ASSERT(slice_is(text, out));
    }
}

static void check_slices(struct slice text)
{
    struct slice head;
    struct slice tail;
    uint64_t u;
    int64_t i;
    (void)!slice_parse_u64(text, &u);
    (void)!slice_parse_i64(text, &i);
    if (slice_cut(text, ',', &head, &tail))
        ASSERT(head.len + 1 + tail.len == text.len &&
               slice_distance(head, tail) == slice_distance(tail, head));
    bool is_good = true;
    for (size_t at = 0; at < text.len && is_good;) {
        size_t len = slice_utf8_len(slice_make(text.data + at, text.len - at));
        is_good = len > 0;
        at += len;
    }
    ASSERT(is_good == slice_is_utf8(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of its own length, so that a look past the end is seen. */
    char *copy = malloc(size + (size == 0));
    ASSERT(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    struct slice text = slice_make(copy, size);
    check_id(text);
    check_money(text);
    check_times(text);
    check_units(text);
    check_encodings(text);
    check_slices(text);
    free(copy);
    return 0;
}
