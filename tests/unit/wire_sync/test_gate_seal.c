/* Sealed lines of the gate: what is proven, and what no longer is after a change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "wire/gate_seal.h"

static const struct gate_hello HELLO = {
    .token = {.epoch = 3, .job = {{{7}}}, .number = 2}, .rank = 5, .nonce = {{1, 2, 3}}};
static const struct gate_nonce NONCE = {{9, 8, 7}};

struct ends {
    struct gate_seal supervisor, agent;
};

static struct ends meet(const char *secret, const char *other_secret)
{
    struct ends ends;
    char hello[GATE_HELLO_MAX], welcome[GATE_HELLO_MAX];
    struct slice first = slice_make(hello, gate_hello_format(&HELLO, hello));
    struct slice second = slice_make(welcome, gate_welcome_format(&NONCE, welcome));
    assert_int_equal(
        gate_seal_begin(&ends.supervisor, GATE_SIDE_SUPERVISOR, slice_of(secret), first, second),
        ERR_OK);
    assert_int_equal(
        gate_seal_begin(&ends.agent, GATE_SIDE_AGENT, slice_of(other_secret), first, second),
        ERR_OK);
    return ends;
}

static struct buffer sealed(struct gate_seal *seal, const char *message)
{
    struct buffer line;
    buffer_init(&line, GATE_SEALED_LINE_MAX);
    assert_int_equal(gate_seal_put(seal, slice_of(message), &line), ERR_OK);
    assert_int_equal(line.data[line.len - 1], '\n');
    line.len--;
    return line;
}

static void a_hello_and_a_welcome_read_back_as_they_were_written(void **state)
{
    char text[GATE_HELLO_MAX];
    struct gate_hello hello;
    struct gate_nonce nonce;
    (void)state;
    size_t len = gate_hello_format(&HELLO, text);
    assert_int_equal(gate_hello_parse(slice_make(text, len - 1), &hello), ERR_OK);
    assert_true(attempt_token_is_equal(&hello.token, &HELLO.token));
    assert_int_equal(hello.rank, 5);
    assert_memory_equal(hello.nonce.bytes, HELLO.nonce.bytes, GATE_NONCE_LEN);
    assert_int_equal(gate_hello_parse(slice_make(text, len), &hello), ERR_INVALID);
    assert_int_equal(gate_hello_parse(slice_make(text, len - 2), &hello), ERR_INVALID);
    len = gate_welcome_format(&NONCE, text);
    assert_int_equal(gate_welcome_parse(slice_make(text, len - 1), &nonce), ERR_OK);
    assert_memory_equal(nonce.bytes, NONCE.bytes, GATE_NONCE_LEN);
    assert_int_equal(gate_hello_parse(slice_make(text, len - 1), &hello), ERR_INVALID);
}

static void lines_of_both_sides_are_taken_in_their_order(void **state)
{
    struct ends ends = meet("secret", "secret");
    struct slice message;
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct buffer up = sealed(&ends.supervisor, "{\"a b\"}\n"),
                      down = sealed(&ends.agent, "{}");
        assert_int_equal(gate_seal_take(&ends.agent, buffer_slice(&up), &message), ERR_OK);
        assert_true(slice_is(message, "{\"a b\"}"));
        assert_int_equal(gate_seal_take(&ends.supervisor, buffer_slice(&down), &message), ERR_OK);
        assert_true(slice_is(message, "{}"));
        buffer_deinit(&up);
        buffer_deinit(&down);
    }
}

static void a_line_that_is_changed_repeated_left_out_or_sent_back_is_refused(void **state)
{
    struct ends ends = meet("secret", "secret");
    struct slice message;
    (void)state;
    struct buffer first = sealed(&ends.supervisor, "{1}"), second = sealed(&ends.supervisor, "{2}");
    assert_int_equal(gate_seal_take(&ends.agent, buffer_slice(&second), &message), ERR_DENIED);
    assert_int_equal(gate_seal_take(&ends.supervisor, buffer_slice(&first), &message), ERR_DENIED);
    assert_int_equal(gate_seal_take(&ends.agent, buffer_slice(&first), &message), ERR_OK);
    assert_int_equal(gate_seal_take(&ends.agent, buffer_slice(&first), &message), ERR_DENIED);
    second.data[second.len - 2] ^= 1;
    assert_int_equal(gate_seal_take(&ends.agent, buffer_slice(&second), &message), ERR_DENIED);
    assert_int_equal(gate_seal_take(&ends.agent, SLICE_LITERAL("no proof"), &message), ERR_DENIED);
    assert_int_equal(gate_seal_take(&ends.agent, SLICE_LITERAL(""), &message), ERR_DENIED);
    buffer_deinit(&first);
    buffer_deinit(&second);
}

static void who_has_another_secret_proves_nothing(void **state)
{
    struct ends ends = meet("secret", "Secret");
    struct slice message;
    (void)state;
    struct buffer line = sealed(&ends.supervisor, "{}");
    assert_int_equal(gate_seal_take(&ends.agent, buffer_slice(&line), &message), ERR_DENIED);
    buffer_deinit(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_and_a_welcome_read_back_as_they_were_written),
        cmocka_unit_test(lines_of_both_sides_are_taken_in_their_order),
        cmocka_unit_test(a_line_that_is_changed_repeated_left_out_or_sent_back_is_refused),
        cmocka_unit_test(who_has_another_secret_proves_nothing),
    };
    return cmocka_run_group_tests_name("wire_gate_seal", tests, NULL, NULL);
}
