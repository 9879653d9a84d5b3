/* What operators type, and the files that say who the site is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/identity.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static const struct accelerator ROWS[] = {
    {.model = {"A100 80GB SXM", 13}, .vendor = {"NVIDIA", 6}, .runtime = RUNTIME_CUDA},
    {.model = {"H20", 3}, .vendor = {"NVIDIA", 6}, .runtime = RUNTIME_CUDA},
};
static const struct catalogue CATALOGUE = {ROWS, 2};

static enum err node_of(const char *text, const struct catalogue *catalogue, struct site_node *out)
{
    struct fault fault = {0};
    enum err err = agent_node_parse(slice_of(text), catalogue, &arena, out, &fault);
    assert_true(err == ERR_OK || fault.message[0] != '\0');
    return err;
}

static void a_node_says_what_it_has(void **state)
{
    struct site_node node;
    (void)state;
    assert_int_equal(node_of("n-1:cpus=1.5,mem=2GiB,scratch=10GiB", NULL, &node), ERR_OK);
    assert_true(slice_is(node.name, "n-1"));
    assert_int_equal(node.cpu_milli, 1500);
    assert_int_equal(node.mem_bytes, (uint64_t)2 << 30);
    assert_int_equal(node.scratch_bytes, (uint64_t)10 << 30);
    assert_int_equal(node.accelerator_count, 0);
    assert_int_equal(node.runtime, RUNTIME_CPU);
}

static void a_model_gets_its_canonical_name_and_runtime_from_the_catalogue(void **state)
{
    struct site_node node;
    (void)state;
    assert_int_equal(node_of("n:cpus=64,mem=1TiB,accelerators=A100*8", &CATALOGUE, &node), ERR_OK);
    assert_true(slice_is(node.accelerator, "A100 80GB SXM"));
    assert_int_equal(node.accelerator_count, 8);
    assert_int_equal(node.runtime, RUNTIME_CUDA);
    assert_int_equal(node_of("n:cpus=4,mem=1GiB,accelerators=H20", &CATALOGUE, &node), ERR_OK);
    assert_int_equal(node.accelerator_count, 1);
    assert_int_equal(
        node_of("n:cpus=4,mem=1GiB,runtime=cann,accelerators=Own chip*2", &CATALOGUE, &node),
        ERR_OK);
    assert_int_equal(node.runtime, RUNTIME_CANN);
}

static void a_node_that_makes_no_sense_is_refused(void **state)
{
    static const char *const BAD[] = {"",
                                      "n",
                                      "n:",
                                      "n:cpus=1",
                                      "n:mem=1GiB",
                                      "n:cpus=0,mem=1GiB",
                                      "n:cpus=1,mem=1",
                                      "n:cpus=1,mem=1GiB,colour=red",
                                      "n:cpus=1,mem=1GiB,accelerators=H20*17",
                                      "n:cpus=1,mem=1GiB,accelerators=H20*0",
                                      "n:cpus=1,mem=1GiB,accelerators=Nobody's*2",
                                      "-n:cpus=1,mem=1GiB",
                                      "a b:cpus=1,mem=1GiB",
                                      "n:cpus=1,mem=1GiB,runtime=magic"};
    struct site_node node;
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_int_not_equal(node_of(BAD[i], &CATALOGUE, &node), ERR_OK);
}

static void an_ask_is_for_a_model_or_for_a_core(void **state)
{
    struct site_ask ask;
    struct fault fault = {0};
    bool is_cpu = false;
    (void)state;
    assert_int_equal(
        agent_ask_parse(SLICE_LITERAL("cpu=0.05"), &CATALOGUE, &arena, &ask, &is_cpu, &fault),
        ERR_OK);
    assert_true(is_cpu);
    assert_int_equal(ask.per_hour.micros, 50000);
    assert_int_equal(
        agent_ask_parse(SLICE_LITERAL("A100=12.5"), &CATALOGUE, &arena, &ask, &is_cpu, &fault),
        ERR_OK);
    assert_false(is_cpu);
    assert_true(slice_is(ask.accelerator, "A100 80GB SXM"));
    assert_int_not_equal(
        agent_ask_parse(SLICE_LITERAL("cpu=-1"), &CATALOGUE, &arena, &ask, &is_cpu, &fault),
        ERR_OK);
    assert_int_not_equal(
        agent_ask_parse(SLICE_LITERAL("Z9=1"), &CATALOGUE, &arena, &ask, &is_cpu, &fault), ERR_OK);
}

#define PIN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void a_join_token_is_a_secret_and_a_pin(void **state)
{
    static const char *const BAD[] = {"",           "lqj_abc",     "lqj_abc.",
                                      "lqj_abc.12", "lq_abc." PIN, "lqj_abc." PIN "0"};
    struct slice secret;
    struct fault fault = {0};
    uint8_t pin[TLS_PIN_BYTES];
    (void)state;
    assert_int_equal(join_token_parse(SLICE_LITERAL(" lqj_abc." PIN "  "), &secret, pin, &fault),
                     ERR_OK);
    assert_true(slice_is(secret, "lqj_abc"));
    assert_int_equal(pin[1], 0x11);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_int_equal(join_token_parse(slice_of(BAD[i]), &secret, pin, &fault), ERR_INVALID);
}

static void the_site_file_reads_back_as_it_was_written(void **state)
{
    struct site_node node = {.name = SLICE_LITERAL("n"), .cpu_milli = 1000, .mem_bytes = 1 << 30};
    struct site site = {.id = {{{7, 1}}},
                        .name = SLICE_LITERAL("s"),
                        .region = SLICE_LITERAL("west"),
                        .operator_name = SLICE_LITERAL("op"),
                        .tier = TIER_EDGE,
                        .ask_includes_energy = true,
                        .nodes = &node,
                        .node_count = 1};
    struct site back;
    struct slice server;
    struct fault fault = {0};
    struct buffer out;
    (void)state;
    buffer_init(&out, 65536);
    assert_int_equal(site_file_encode(SLICE_LITERAL("host:7700"), &site, &out), ERR_OK);
    assert_int_equal(site_file_decode(buffer_slice(&out), &arena, &server, &back, &fault), ERR_OK);
    assert_true(slice_is(server, "host:7700"));
    assert_true(id_is_equal(back.id.id, site.id.id));
    assert_int_equal(back.tier, TIER_EDGE);
    assert_int_equal(back.node_count, 1);
    buffer_reset(&out);
    site.id = (struct site_id){0};
    assert_int_equal(site_file_encode(SLICE_LITERAL("host:7700"), &site, &out), ERR_OK);
    assert_int_equal(site_file_decode(buffer_slice(&out), &arena, &server, &back, &fault),
                     ERR_INVALID);
    assert_int_equal(
        site_file_decode(SLICE_LITERAL("{\"server\":1}"), &arena, &server, &back, &fault),
        ERR_INVALID);
    buffer_deinit(&out);
}

static void answers_are_final_or_worth_another_try(void **state)
{
    static const struct {
        uint16_t status;
        enum remote_verdict verdict;
    } CASES[] = {{200, REMOTE_OK},    {201, REMOTE_OK},    {204, REMOTE_OK},
                 {400, REMOTE_NEVER}, {401, REMOTE_AGAIN}, {403, REMOTE_NEVER},
                 {404, REMOTE_NEVER}, {409, REMOTE_NEVER}, {413, REMOTE_NEVER},
                 {429, REMOTE_AGAIN}, {500, REMOTE_AGAIN}, {503, REMOTE_AGAIN}};
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct http1_head head = {.status = CASES[i].status};
        assert_int_equal(remote_judge(ERR_OK, &head), CASES[i].verdict);
    }
    assert_int_equal(remote_judge(ERR_CLOSED, NULL), REMOTE_AGAIN);
}

static void pauses_double_up_to_the_most_and_never_pass_it_by_more_than_a_quarter(void **state)
{
    int64_t last = 0;
    (void)state;
    for (uint32_t fails = 0; fails < 100; fails++) {
        struct span_ms low = remote_pause(SPAN_MS(200), SPAN_S(15), fails, 0);
        struct span_ms high = remote_pause(SPAN_MS(200), SPAN_S(15), fails, UINT64_MAX / 2);
        assert_true(low.ms >= 150 && low.ms >= last);
        assert_true(high.ms <= 15000 + 15000 / 4);
        last = low.ms;
    }
    assert_true(last >= 15000 - 15000 / 4);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_node_says_what_it_has),
        CASE(a_model_gets_its_canonical_name_and_runtime_from_the_catalogue),
        CASE(a_node_that_makes_no_sense_is_refused),
        CASE(an_ask_is_for_a_model_or_for_a_core),
        CASE(a_join_token_is_a_secret_and_a_pin),
        CASE(the_site_file_reads_back_as_it_was_written),
        CASE(answers_are_final_or_worth_another_try),
        CASE(pauses_double_up_to_the_most_and_never_pass_it_by_more_than_a_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
