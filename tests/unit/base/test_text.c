/* Slices, faults, hexadecimal, sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/hex.h"
#include "base/random.h"
#include "base/slice.h"
#include "base/units.h"

#define S(text) slice_of(text)

static void slices_compare_by_bytes_then_length(void **state)
{
    (void)state;
    assert_int_equal(slice_compare(S("a"), S("b")), -1);
    assert_int_equal(slice_compare(S("ab"), S("a")), 1);
    assert_int_equal(slice_compare(S(""), S(NULL)), 0);
    assert_int_equal(slice_compare(S("\xFF"), S("a")), 1);
    assert_true(slice_is_equal(S("x"), S("x")));
    assert_false(slice_is(S("x"), "xy"));
}

static void slices_are_cut_at_the_first_separator_only(void **state)
{
    (void)state;
    struct slice head = S("untouched");
    struct slice tail = S("untouched");
    assert_true(slice_cut(S("a=b=c"), '=', &head, &tail));
    assert_true(slice_is(head, "a") && slice_is(tail, "b=c"));
    assert_true(slice_cut(S("=x"), '=', &head, &tail));
    assert_true(slice_is(head, "") && slice_is(tail, "x"));
    assert_false(slice_cut(S("none"), '=', &head, &tail));
    assert_true(slice_is(tail, "x"));
}

static void prefixes_suffixes_and_blanks(void **state)
{
    (void)state;
    assert_true(slice_has_prefix(S("abc"), S("ab")));
    assert_true(slice_has_prefix(S("abc"), S("")));
    assert_false(slice_has_prefix(S("a"), S("ab")));
    assert_true(slice_has_suffix(S("abc"), S("bc")));
    assert_false(slice_has_suffix(S("c"), S("bc")));
    assert_true(slice_is(slice_trim(S(" \t a b\t ")), "a b"));
    assert_int_equal(slice_trim(S("  ")).len, 0);
}

static void utf8_is_checked_strictly(void **state)
{
    (void)state;
    const char *good[] = {"",
                          "plain ascii, longer than a word",
                          "é",
                          "灵渠",
                          "\xF0\x9F\x9A\xA2",
                          "\xF4\x8F\xBF\xBF",
                          "aaaaaaa\xC3\xA9"};
    const char *bad[] = {"\x80",
                         "\xC3",
                         "\xC0\x80",
                         "\xC1\xBF",
                         "\xE0\x80\x80",
                         "\xED\xA0\x80",
                         "\xF0\x80\x80\x80",
                         "\xF4\x90\x80\x80",
                         "\xF8\x88",
                         "aaaaaaaa\xE7\x81",
                         "aaaaaaa\xFF"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(slice_is_utf8(S(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(slice_is_utf8(S(bad[i])));
    assert_int_equal(slice_utf8_len(S("灵x")), 3);
    assert_int_equal(slice_utf8_len(S("")), 0);
}

static void numbers_that_do_not_fit_are_told_from_words(void **state)
{
    (void)state;
    uint64_t u = 7;
    int64_t i = 7;
    assert_int_equal(slice_parse_u64(S("18446744073709551615"), &u), ERR_OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(slice_parse_u64(S("18446744073709551616"), &u), ERR_LIMIT);
    assert_int_equal(slice_parse_u64(S("99999999999999999999x"), &u), ERR_INVALID);
    const char *words[] = {"", " 1", "1 ", "+1", "-1", "0x1", "1.0"};
    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
        assert_int_equal(slice_parse_u64(S(words[k]), &u), ERR_INVALID);
    assert_true(u == UINT64_MAX); /* untouched by failures */
    assert_int_equal(slice_parse_i64(S("-9223372036854775808"), &i), ERR_OK);
    assert_true(i == INT64_MIN);
    assert_int_equal(slice_parse_i64(S("9223372036854775807"), &i), ERR_OK);
    assert_true(i == INT64_MAX);
    assert_int_equal(slice_parse_i64(S("9223372036854775808"), &i), ERR_LIMIT);
    assert_int_equal(slice_parse_i64(S("-9223372036854775809"), &i), ERR_LIMIT);
    assert_int_equal(slice_parse_i64(S("-"), &i), ERR_INVALID);
    assert_int_equal(slice_parse_i64(S("--1"), &i), ERR_INVALID);
}

static void the_distance_counts_single_edits(void **state)
{
    (void)state;
    assert_int_equal(slice_distance(S("resorces"), S("resources")), 1);
    assert_int_equal(slice_distance(S("kitten"), S("sitting")), 3);
    assert_int_equal(slice_distance(S(""), S("abc")), 3);
    assert_int_equal(slice_distance(S("same"), S("same")), 0);
    char longer[66];
    memset(longer, 'a', sizeof(longer));
    assert_int_equal(slice_distance(slice_make(longer, 65), S("a")), 64);
}

static void faults_carry_path_and_message_and_return_the_code(void **state)
{
    (void)state;
    struct fault fault = {.line = 9};
    assert_int_equal(fault_set(&fault, ERR_INVALID, "cpus", "must be at most %d", 8), ERR_INVALID);
    assert_string_equal(fault.message, "must be at most 8");
    assert_int_equal(fault.line, 0);
    fault_prefix(&fault, "resources");
    assert_string_equal(fault.field, "resources.cpus");
    fault_set(&fault, ERR_LIMIT, "[2].run", "x");
    fault_prefix(&fault, "tasks");
    assert_string_equal(fault.field, "tasks[2].run");
    fault_set(&fault, ERR_LIMIT, NULL, "x");
    fault_prefix(&fault, "all");
    assert_string_equal(fault.field, "all");
    assert_int_equal(fault_set(NULL, ERR_BUSY, "a", "b"), ERR_BUSY);
    fault_prefix(NULL, "x");
}

static void long_faults_are_cut_between_characters(void **state)
{
    (void)state;
    struct fault fault;
    char text[FAULT_MESSAGE_MAX + 64];
    for (size_t shift = 0; shift < 4; shift++) {
        size_t len = shift;
        memset(text, 'a', shift);
        while (len + 4 < sizeof(text)) {
            memcpy(text + len, "灵", 3);
            len += 3;
        }
        text[len] = '\0';
        fault_set(&fault, ERR_INVALID, text, "%s", text);
        assert_true(slice_is_utf8(S(fault.message)));
        assert_true(slice_is_utf8(S(fault.field)));
        assert_true(strlen(fault.message) > FAULT_MESSAGE_MAX - 5);
        fault_prefix(&fault, text);
        assert_true(slice_is_utf8(S(fault.field)));
    }
}

static void every_error_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT_; i++) {
        assert_true(strlen(err_name((enum err)i)) > 0);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
    }
    assert_string_equal(err_name((enum err)999), "unknown");
}

static void bytes_survive_hex_and_base64url(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 11);
    for (size_t len = 0; len < 70; len++) {
        uint8_t bytes[70];
        uint8_t back[70];
        char text[160];
        size_t back_len = 999;
        random_fill(&random, bytes, len);
        hex_encode(slice_make(bytes, len), text);
        assert_int_equal(hex_decode(S(text), back, len), ERR_OK);
        assert_memory_equal(back, bytes, len);
        base64url_encode(slice_make(bytes, len), text);
        assert_int_equal(strlen(text), base64url_encoded_len(len));
        assert_int_equal(base64url_decode(S(text), back, sizeof(back), &back_len), ERR_OK);
        assert_int_equal(back_len, len);
        assert_memory_equal(back, bytes, len);
        if (len > 0)
            assert_int_equal(base64url_decode(S(text), back, len - 1, &back_len), ERR_LIMIT);
    }
}

static void odd_hex_and_base64_are_refused(void **state)
{
    (void)state;
    uint8_t out[16];
    size_t len;
    assert_int_equal(hex_decode(S("0"), out, 1), ERR_INVALID);
    assert_int_equal(hex_decode(S("0g"), out, 1), ERR_INVALID);
    assert_int_equal(hex_decode(S("0011"), out, 1), ERR_INVALID);
    const char *bad[] = {"A", "AB", "QQ==", "Q+", "Q Q", "AAAA="}; /* "AB": spare bits set */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(base64url_decode(S(bad[i]), out, sizeof(out), &len), ERR_INVALID);
    assert_int_equal(base64_decode(S("aGk="), out, sizeof(out), &len), ERR_OK);
    assert_true(len == 2 && memcmp(out, "hi", 2) == 0);
    assert_int_equal(base64_decode(S("aGk"), out, sizeof(out), &len), ERR_INVALID);
    assert_int_equal(base64_decode(S("a==="), out, sizeof(out), &len), ERR_INVALID);
    assert_int_equal(base64_decode(S("aG=="), out, sizeof(out), &len), ERR_INVALID);
    assert_int_equal(base64_decode(S(""), out, sizeof(out), &len), ERR_OK);
}

static void sizes_need_their_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"16GiB", 16ull << 30},
        {"512M", 512000000},
        {"1.5Ti", 3ull << 39},
        {"4096B", 4096},
        {"0", 0},
        {"0.5KiB", 512},
        {"1kB", 1000},
        {"1Ki", 1024},
        {"8191PiB", 8191ull << 50},
        {"0.000000001GB", 1},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t bytes = 1;
        assert_int_equal(units_parse_bytes(S(good[i].text), &bytes), ERR_OK);
        assert_true(bytes == good[i].bytes);
    }
    uint64_t bytes = 77;
    const char *bad[] = {"",      "16",   "GiB",  "1.GiB",          ".5GiB",   "1 GiB",
                         "-1GiB", "1gib", "0.3B", "1.0000000001GB", "1..5GiB", "1e3B"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(units_parse_bytes(S(bad[i]), &bytes), ERR_INVALID);
    assert_int_equal(units_parse_bytes(S("8192PiB"), &bytes), ERR_LIMIT);
    assert_int_equal(units_parse_bytes(S("99999999999999999999B"), &bytes), ERR_LIMIT);
    assert_true(bytes == 77);
}

static void written_sizes_read_back_the_same(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 5);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t bytes = random_u64(&random) >> (1 + random_below(&random, 63));
        bytes <<= random_below(&random, 2) * 10;
        bytes &= INT64_MAX;
        char text[UNITS_TEXT_MAX];
        uint64_t back;
        units_format_bytes(bytes, text);
        assert_int_equal(units_parse_bytes(S(text), &back), ERR_OK);
        assert_true(back == bytes);
        uint64_t millicpus = random_below(&random, UNITS_MILLICPUS_MAX + 1);
        units_format_millicpus(millicpus, text);
        assert_int_equal(units_parse_millicpus(S(text), &back), ERR_OK);
        assert_true(back == millicpus);
    }
    char text[UNITS_TEXT_MAX];
    units_format_bytes_short((16ull << 30) - 1, text);
    assert_string_equal(text, "15.9GiB");
    units_format_bytes_short(1023, text);
    assert_string_equal(text, "1023B");
}

static void cpu_counts_are_read_to_the_thousandth(void **state)
{
    (void)state;
    uint64_t m = 1;
    assert_int_equal(units_parse_millicpus(S("0.5"), &m), ERR_OK);
    assert_true(m == 500);
    assert_int_equal(units_parse_millicpus(S("1500m"), &m), ERR_OK);
    assert_true(m == 1500);
    assert_int_equal(units_parse_millicpus(S("2"), &m), ERR_OK);
    assert_true(m == 2000);
    const char *bad[] = {"", "0.0001", "1.5m", "x", "1 ", "-1", "m"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(units_parse_millicpus(S(bad[i]), &m), ERR_INVALID);
    assert_int_equal(units_parse_millicpus(S("1000001"), &m), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_by_bytes_then_length),
        cmocka_unit_test(slices_are_cut_at_the_first_separator_only),
        cmocka_unit_test(prefixes_suffixes_and_blanks),
        cmocka_unit_test(utf8_is_checked_strictly),
        cmocka_unit_test(numbers_that_do_not_fit_are_told_from_words),
        cmocka_unit_test(the_distance_counts_single_edits),
        cmocka_unit_test(faults_carry_path_and_message_and_return_the_code),
        cmocka_unit_test(long_faults_are_cut_between_characters),
        cmocka_unit_test(every_error_has_a_name_of_its_own),
        cmocka_unit_test(bytes_survive_hex_and_base64url),
        cmocka_unit_test(odd_hex_and_base64_are_refused),
        cmocka_unit_test(sizes_need_their_unit),
        cmocka_unit_test(written_sizes_read_back_the_same),
        cmocka_unit_test(cpu_counts_are_read_to_the_thousandth),
    };
    return cmocka_run_group_tests_name("base_text", tests, NULL, NULL);
}
