/* Ids, times, money, random numbers, digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/money.h"
#include "base/random.h"
#include "base/time.h"

#define S(text) slice_of(text)

/* ---- ids ---- */

static void ids_survive_their_text_and_sort_by_time(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    char last[ID_TEXT_MAX] = "";
    for (int64_t ms = 0; ms < 5000; ms++) {
        struct id id = id_make(ms * 1234567, &random);
        struct id back;
        char text[ID_TEXT_MAX];
        id_format(id, "job", text);
        assert_int_equal(strlen(text), 30);
        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof(last));
        assert_int_equal(id_parse(S(text), "job", &back), ERR_OK);
        assert_true(id_is_equal(id, back));
        assert_int_equal(id_compare(id, back), 0);
        assert_true(id_hash(id) == id_hash(back));
        assert_int_equal(id.bytes[6] >> 4, 7);
        assert_int_equal(id.bytes[8] >> 6, 2);
        assert_false(id_is_none(id));
    }
}

static void an_id_of_known_bytes_has_its_known_text(void **state)
{
    (void)state;
    struct id id;
    char text[ID_TEXT_MAX];
    memset(id.bytes, 0xFF, sizeof(id.bytes));
    id_format(id, "site", text);
    assert_string_equal(text, "site_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    memset(id.bytes, 0, sizeof(id.bytes));
    id.bytes[15] = 33;
    id_format(id, "x", text);
    assert_string_equal(text, "x_00000000000000000000000011");
}

static void ids_of_another_kind_or_form_are_refused(void **state)
{
    (void)state;
    struct id id = {{9}};
    const char *bad[] = {"",
                         "job_",
                         "site_00000000000000000000000001",
                         "job_0000000000000000000000000",
                         "job_000000000000000000000000011",
                         "job_0000000000000000000000000I",
                         "job_0000000000000000000000000u",
                         "job_80000000000000000000000000",
                         "job-00000000000000000000000001",
                         "JOB_00000000000000000000000001",
                         "job_0000000000000000000000000A"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(id_parse(S(bad[i]), "job", &id), ERR_INVALID);
    assert_int_equal(id.bytes[0], 9);
}

/* ---- time ---- */

static void boot_times_saturate(void **state)
{
    (void)state;
    struct boot_ns at = {1000000};
    assert_true(boot_add(at, SPAN_MS(1)).ns == 2000000);
    assert_true(boot_add(at, SPAN_MS(INT64_MAX)).ns == INT64_MAX);
    assert_true(boot_add(at, SPAN_MS(INT64_MIN)).ns == INT64_MIN);
    assert_true(boot_add(BOOT_NEVER, SPAN_MS(-5)).ns == BOOT_NEVER.ns);
    assert_true(boot_since((struct boot_ns){1999999}, at).ms == 0);
    assert_true(boot_since(at, (struct boot_ns){1999999}).ms == -1); /* down, not to zero */
    assert_true(boot_since((struct boot_ns){INT64_MAX}, (struct boot_ns){INT64_MIN}).ms ==
                INT64_MAX / 1000000);
    assert_true(boot_is_before(at, BOOT_NEVER));
    assert_true(boot_min(BOOT_NEVER, at).ns == at.ns);
}

static void wall_times_agree_with_the_c_library(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 2);
    for (unsigned i = 0; i < 20000; i++) {
        int64_t ms = random_between(&random, -62167219200000, 253402300799999);
        time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0 ? 1 : 0));
        struct tm tm;
        char expected[64];
        char text[TIME_TEXT_MAX];
        gmtime_r(&seconds, &tm);
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 (int)(ms - (int64_t)seconds * 1000));
        wall_format((struct wall_us){ms * 1000}, text);
        assert_string_equal(text, expected);
        struct wall_us back;
        assert_int_equal(wall_parse(S(text), &back), ERR_OK);
        assert_true(back.us == ms * 1000);
    }
    char text[TIME_TEXT_MAX];
    wall_format((struct wall_us){INT64_MIN}, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
    wall_format((struct wall_us){INT64_MAX}, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void wall_texts_with_offsets_and_fractions_are_read(void **state)
{
    (void)state;
    struct wall_us a;
    struct wall_us b;
    assert_int_equal(wall_parse(S("2026-11-22T13:44:34+08:00"), &a), ERR_OK);
    assert_int_equal(wall_parse(S("2026-11-22T05:44:34Z"), &b), ERR_OK);
    assert_true(a.us == b.us);
    assert_int_equal(wall_parse(S("2026-11-22t05:44:34.123456789z"), &a), ERR_OK);
    assert_true(a.us == b.us + 123456);
    const char *bad[] = {"",
                         "2026-11-22",
                         "2026-11-22T05:44:34",
                         "2026-02-29T00:00:00Z",
                         "2026-13-01T00:00:00Z",
                         "2026-00-01T00:00:00Z",
                         "2026-01-32T00:00:00Z",
                         "2026-01-01T24:00:00Z",
                         "2026-01-01T00:00:60Z",
                         "2026-01-01T00:00:00.Z",
                         "2026-01-01T00:00:00+24:00",
                         "2026-01-01 00:00:00Z",
                         "2026-01-01T00:00:00Z ",
                         "26-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(wall_parse(S(bad[i]), &a), ERR_INVALID);
    assert_int_equal(wall_parse(S("2024-02-29T00:00:00Z"), &a), ERR_OK);
    assert_int_equal(wall_parse(S("1900-02-29T00:00:00Z"), &a), ERR_INVALID);
}

static void spans_are_written_for_people(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0ms"},        {850, "850ms"},     {42000, "42s"},
                 {190000, "3m10s"}, {7500000, "2h05m"}, {273600000, "3d04h"},
                 {-850, "-850ms"},  {59999, "59s"},     {60000, "1m00s"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TIME_TEXT_MAX];
        span_format(SPAN_MS(cases[i].ms), text);
        assert_string_equal(text, cases[i].text);
    }
    char text[TIME_TEXT_MAX];
    span_format(SPAN_MS(INT64_MIN), text);
    assert_string_equal(text, "-106751991167d07h");
}

static void spans_need_units_from_large_to_small(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"500ms", 500},   {"30s", 30000},     {"10m", 600000},           {"2h", 7200000},
                {"1d", 86400000}, {"1h30m", 5400000}, {"1d2h3m4s5ms", 93784005}, {"0s", 0},
                {"90m", 5400000}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct span_ms span = {-1};
        assert_int_equal(span_parse(S(good[i].text), &span), ERR_OK);
        assert_true(span.ms == good[i].ms);
    }
    struct span_ms span = {-1};
    const char *bad[] = {"", "5", "s", "-5s", "5 s", "5S", "30m1h", "1h1h", "1.5h", "5sec", "1h5"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(span_parse(S(bad[i]), &span), ERR_INVALID);
    assert_int_equal(span_parse(S("99999999999999999999s"), &span), ERR_LIMIT);
    assert_int_equal(span_parse(S("106751991168d"), &span), ERR_LIMIT);
    assert_true(span.ms == -1);
}

/* ---- money ---- */

static void money_survives_its_text(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 3);
    for (unsigned i = 0; i < 50000; i++) {
        struct money amount = {(int64_t)(random_u64(&random) >> random_below(&random, 64))};
        struct money back = {0};
        char text[MONEY_TEXT_MAX];
        if (random_chance(&random, 500000))
            amount.micros = -amount.micros;
        money_format(amount, text);
        assert_int_equal(money_parse(S(text), &back), ERR_OK);
        assert_true(back.micros == amount.micros);
    }
    char text[MONEY_TEXT_MAX];
    money_format((struct money){INT64_MIN}, text);
    assert_string_equal(text, "-9223372036854.775808");
    money_format((struct money){12500000}, text);
    assert_string_equal(text, "12.50");
    money_format((struct money){-1}, text);
    assert_string_equal(text, "-0.000001");
    money_format((struct money){0}, text);
    assert_string_equal(text, "0.00");
}

static void odd_amounts_are_refused(void **state)
{
    (void)state;
    struct money m = {5};
    const char *bad[] = {"",   "-",   ".",   "1.", ".5",  "+1",  "1.0000001",
                         "01", "1,5", "1e3", " 1", "--1", "1.-5"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(money_parse(S(bad[i]), &m), ERR_INVALID);
    assert_int_equal(money_parse(S("9223372036854.775808"), &m), ERR_LIMIT);
    assert_int_equal(money_parse(S("-9223372036854.775809"), &m), ERR_LIMIT);
    assert_int_equal(money_parse(S("99999999999999999999"), &m), ERR_LIMIT);
    assert_true(m.micros == 5);
    assert_int_equal(money_parse(S("-9223372036854.775808"), &m), ERR_OK);
    assert_true(m.micros == INT64_MIN);
}

static void scaling_rounds_half_to_even(void **state)
{
    (void)state;
    static const struct {
        int64_t amount;
        int64_t numerator;
        int64_t denominator;
        int64_t result;
    } cases[] = {{1, 1, 2, 0},
                 {3, 1, 2, 2},
                 {5, 1, 2, 2},
                 {-1, 1, 2, 0},
                 {-3, 1, 2, -2},
                 {-5, 1, 2, -2},
                 {2, 1, 3, 1},
                 {1, 1, 3, 0},
                 {-2, 1, 3, -1},
                 {7, -1, 2, -4},
                 {10, 3, 4, 8},
                 {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
                 {INT64_MIN, 1, 1, INT64_MIN}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct money out = {99};
        assert_int_equal(money_scale((struct money){cases[i].amount}, cases[i].numerator,
                                     cases[i].denominator, &out),
                         ERR_OK);
        assert_true(out.micros == cases[i].result);
    }
    struct money out = {99};
    assert_int_equal(money_scale((struct money){INT64_MAX}, 2, 1, &out), ERR_LIMIT);
    assert_int_equal(money_scale((struct money){INT64_MIN}, -1, 1, &out), ERR_LIMIT);
    assert_true(out.micros == 99);
    assert_true(money_scale_saturated((struct money){INT64_MAX}, -2, 1).micros == INT64_MIN);
    assert_true(money_scale_saturated((struct money){INT64_MIN}, -1, 1).micros == INT64_MAX);
}

static void sums_that_do_not_fit_are_refused_or_saturate(void **state)
{
    (void)state;
    struct money big = {INT64_MAX};
    struct money low = {INT64_MIN};
    struct money one = {1};
    struct money out = {3};
    assert_int_equal(money_add(big, one, &out), ERR_LIMIT);
    assert_true(out.micros == 3);
    assert_int_equal(money_add(big, low, &out), ERR_OK);
    assert_true(out.micros == -1);
    assert_true(money_add_saturated(big, one).micros == INT64_MAX);
    assert_true(money_add_saturated(low, (struct money){-1}).micros == INT64_MIN);
}

/* ---- random numbers and hashes ---- */

static void the_generator_gives_the_published_numbers(void **state)
{
    (void)state;
    /* xoshiro256** from the state {1, 2, 3, 4}: the reference implementation's first outputs. */
    struct random random = {{1, 2, 3, 4}};
    const uint64_t expected[] = {11520u, 0u, 1509978240u, 1215971899390074240u};
    for (size_t i = 0; i < 4; i++)
        assert_true(random_u64(&random) == expected[i]);
    /* splitmix64 from 0 fills the state. */
    random_init(&random, 0);
    assert_true(random.state[0] == 0xE220A8397B1DCDAFu);
    assert_true(random.state[1] == 0x6E789E6AA1B965F4u);
}

static void bounded_numbers_stay_in_their_bounds_and_spread(void **state)
{
    (void)state;
    struct random random;
    unsigned counts[7] = {0};
    random_init(&random, 6);
    for (unsigned i = 0; i < 70000; i++)
        counts[random_below(&random, 7)]++;
    for (unsigned i = 0; i < 7; i++)
        assert_in_range(counts[i], 9500, 10500);
    for (unsigned i = 0; i < 10000; i++) {
        int64_t value = random_between(&random, -3, 3);
        assert_true(value >= -3 && value <= 3);
    }
    assert_true(random_between(&random, 5, 5) == 5);
    (void)random_between(&random, INT64_MIN, INT64_MAX);
    assert_true(random_below(&random, 1) == 0);
    assert_false(random_chance(&random, 0));
    assert_true(random_chance(&random, 1000000));
}

static void hashes_differ_by_a_bit_of_input_in_half_their_bits(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 7);
    uint64_t flips = 0;
    unsigned trials = 0;
    for (size_t len = 1; len < 40; len++) {
        uint8_t bytes[40];
        random_fill(&random, bytes, len);
        uint64_t before = hash_bytes(slice_make(bytes, len), 1);
        assert_true(before != hash_bytes(slice_make(bytes, len), 2));
        assert_true(before != hash_bytes(slice_make(bytes, len - 1), 1));
        for (size_t bit = 0; bit < len * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            flips += (unsigned)__builtin_popcountll(before ^ hash_bytes(slice_make(bytes, len), 1));
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            trials++;
        }
    }
    assert_in_range(flips * 100 / trials, 3150, 3250);
}

static void checksums_have_the_published_values(void **state)
{
    (void)state;
    assert_int_equal(hash_crc32c(0, S("123456789")), 0xE3069283u);
    uint32_t half = hash_crc32c(0, S("12345"));
    assert_int_equal(hash_crc32c(half, S("6789")), 0xE3069283u);
    uint8_t zeros[32] = {0};
    assert_int_equal(hash_crc32c(0, slice_make(zeros, 32)), 0x8A9136AAu); /* RFC 3720 B.4 */
}

static void digests_have_the_published_values(void **state)
{
    (void)state;
    char text[DIGEST_TEXT_MAX];
    digest_format(digest_of(S("abc")), text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_format(digest_of(S("")), text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    /* RFC 4231, test case 2. */
    digest_format(digest_hmac(S("Jefe"), S("what do ya want for nothing?")), text);
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    digest_format(digest_hmac(S(""), S("")), text);
    assert_string_equal(text, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void streams_of_pieces_give_the_digest_of_the_whole(void **state)
{
    (void)state;
    struct digest_stream stream;
    assert_int_equal(digest_stream_init(&stream), ERR_OK);
    for (unsigned round = 0; round < 2; round++) {
        digest_stream_update(&stream, S("a"));
        digest_stream_update(&stream, S(""));
        digest_stream_update(&stream, S("bc"));
        assert_true(digest_is_equal(digest_stream_finish(&stream), digest_of(S("abc"))));
    }
    digest_stream_deinit(&stream);
    digest_stream_deinit(&stream);
    struct digest back;
    char text[DIGEST_TEXT_MAX];
    digest_format(digest_of(S("x")), text);
    assert_int_equal(digest_parse(S(text), &back), ERR_OK);
    assert_true(digest_is_equal(back, digest_of(S("x"))));
    assert_int_not_equal(digest_compare(back, digest_of(S("y"))), 0);
    text[0] = 'A';
    assert_int_equal(digest_parse(S(text), &back), ERR_INVALID);
    assert_true(digest_is_same_secret(S("s3cret"), S("s3cret")));
    assert_false(digest_is_same_secret(S("s3cret"), S("s3cres")));
    assert_false(digest_is_same_secret(S("s3cret"), S("s3cre")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_survive_their_text_and_sort_by_time),
        cmocka_unit_test(an_id_of_known_bytes_has_its_known_text),
        cmocka_unit_test(ids_of_another_kind_or_form_are_refused),
        cmocka_unit_test(boot_times_saturate),
        cmocka_unit_test(wall_times_agree_with_the_c_library),
        cmocka_unit_test(wall_texts_with_offsets_and_fractions_are_read),
        cmocka_unit_test(spans_are_written_for_people),
        cmocka_unit_test(spans_need_units_from_large_to_small),
        cmocka_unit_test(money_survives_its_text),
        cmocka_unit_test(odd_amounts_are_refused),
        cmocka_unit_test(scaling_rounds_half_to_even),
        cmocka_unit_test(sums_that_do_not_fit_are_refused_or_saturate),
        cmocka_unit_test(the_generator_gives_the_published_numbers),
        cmocka_unit_test(bounded_numbers_stay_in_their_bounds_and_spread),
        cmocka_unit_test(hashes_differ_by_a_bit_of_input_in_half_their_bits),
        cmocka_unit_test(checksums_have_the_published_values),
        cmocka_unit_test(digests_have_the_published_values),
        cmocka_unit_test(streams_of_pieces_give_the_digest_of_the_whole),
    };
    return cmocka_run_group_tests_name("base_values", tests, NULL, NULL);
}
