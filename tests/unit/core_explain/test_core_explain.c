/* Explanations in words and JSON. The example in docs/placement.md, whose path is the argument, is
 * the one that is made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/explain.h"

static const char *document_path;

static struct id id_of(uint8_t kind, uint8_t number)
{
    return (struct id){{kind, 0, 0, 0, 0, 0, 0, number, 1}};
}

/* Two sites in CN of which one is busy, one abroad: the numbers are examples. */
static struct placer *network(struct tenant *tenant)
{
    static const char *const NAMES[] = {"guian", "singapore", "zhongwei"};
    struct placer *placer = placer_create();
    struct policy policy;
    struct site_node node = {
        .name = SLICE_LITERAL("n1"), .cpu_milli = 64000, .mem_bytes = UINT64_C(256) << 30};
    assert_non_null(placer);
    policy_default(&policy);
    policy.carbon_price_per_tonne = MAYBE_MONEY(((struct money){90000000}));
    assert_int_equal(placer_policy_put(placer, &policy), ERR_OK);
    *tenant = (struct tenant){.id = {id_of(1, 1)}, .name = SLICE_LITERAL("lab"), .weight = 1};
    assert_int_equal(placer_tenant_put(placer, tenant), ERR_OK);
    for (uint8_t i = 0; i < 3; i++) {
        struct region region = {.id = {id_of(2, i)},
                                .name = slice_of(NAMES[i]),
                                .role = ROLE_TRAIN,
                                .jurisdiction = slice_of(i == 1 ? "SG" : "CN"),
                                .price_per_kwh = MAYBE_MONEY(((struct money){350000})),
                                .carbon_mg_per_kwh = MAYBE_U64(500000),
                                .pue_milli = MAYBE_U64(1200)};
        struct site site = {.id = {id_of(3, i)},
                            .name = slice_of(NAMES[i]),
                            .region = slice_of(NAMES[i]),
                            .ask_per_cpu_hour = MAYBE_MONEY(((struct money){200000 - 50000 * i})),
                            .nodes = &node,
                            .node_count = 1};
        assert_int_equal(placer_region_put(placer, &region), ERR_OK);
        assert_int_equal(placer_site_put(placer, &site, true), ERR_OK);
    }
    return placer;
}

static void without_space(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++)
        if (*from != ' ' && *from != '\n')
            *to++ = *from;
    *to = '\0';
}

static char *document_read(void)
{
    enum { DOCUMENT_MAX = 262144 };
    char *text = calloc(1, DOCUMENT_MAX + 1);
    FILE *file = fopen(document_path, "r");
    assert_non_null(file);
    assert_non_null(text);
    size_t len = fread(text, 1, DOCUMENT_MAX, file);
    assert_in_range(len, 1, DOCUMENT_MAX - 1);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void the_documents_example_is_what_is_written(void **state)
{
    static const struct job_variant CPU = {.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")};
    struct slice cn = SLICE_LITERAL("CN");
    struct job_spec spec = {.name = SLICE_LITERAL("train"),
                            .num_nodes = 1,
                            .cpu_milli = 48000,
                            .mem_bytes = UINT64_C(64) << 30,
                            .variants = &CPU,
                            .variant_count = 1,
                            .array_count = 1,
                            .priority = PRIORITY_STANDARD,
                            .time_limit = SPAN_S(7200),
                            .expected = SPAN_S(3600),
                            .placement.jurisdictions = {&cn, 1}};
    struct now now = {{1000000000}, {INT64_C(1800000000) * 1000000}};
    struct tenant tenant;
    struct placer *placer = network(&tenant);
    struct place_decision d;
    struct place_explanation e;
    struct arena arena;
    struct buffer json;
    struct json_writer writer;
    struct place_job job = {.id = {id_of(4, 1)}, .spec = &spec, .tenant = tenant.id};
    (void)state;
    arena_init(&arena, 1 << 20);
    buffer_init(&json, 1 << 20);
    assert_int_equal(placer_job_put(placer, &job), ERR_OK);
    assert_true(placer_propose(placer, now, &d)); /* zhongwei is taken for an hour, likely */
    placer_confirm(placer, d.job, now);
    job.id.id = id_of(4, 2);
    assert_int_equal(placer_dry_run(placer, &job, now, &arena, &e), ERR_OK);
    json_writer_init(&writer, &json);
    explanation_write(&writer, &e);
    const char *text = buffer_text(&json);
    print_message("%s\n", text);
    char *document = document_read(), *wanted = strdup(text);
    assert_non_null(wanted);
    without_space(document);
    without_space(wanted);
    assert_non_null(strstr(document, wanted));
    free(document);
    free(wanted);
    buffer_deinit(&json);
    arena_deinit(&arena);
    placer_destroy(placer);
}

static void every_filter_has_a_sentence_and_a_place_in_the_document(void **state)
{
    char *document = document_read();
    (void)state;
    for (int f = 0; f < FILTER_COUNT_; f++) {
        struct place_site_line line = {.filter = (enum place_filter)f,
                                       .detail = SLICE_LITERAL("x"),
                                       .wanted = 2,
                                       .available = 1};
        struct buffer words, code;
        buffer_init(&words, 4096);
        buffer_init(&code, 4096);
        place_line_sentence(&line, &words);
        assert_true(buffer_slice(&words).len > 0);
        buffer_printf(&code, "`%s`", place_filter_name(line.filter));
        if (strstr(document, buffer_text(&code)) == NULL)
            fail_msg("%s is not in the document", buffer_text(&code));
        buffer_deinit(&words);
        buffer_deinit(&code);
    }
    free(document);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documents_example_is_what_is_written),
        cmocka_unit_test(every_filter_has_a_sentence_and_a_place_in_the_document),
    };
    if (argc != 2)
        return 2;
    document_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
