/* Attempts, usage records and the audit chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/hex.h"
#include "base/random.h"
#include "model/attempt.h"
#include "model/change.h"
#include "model/usage.h"

static void test_attempt_moves_are_exactly_these(void **state)
{
    static const char *const TABLE[ATTEMPT_STATE_COUNT_] = {
        /*                 O R U E N X D */
        [ATTEMPT_OFFERED] = ".xxxxxx",   [ATTEMPT_RUNNING] = "..xx.xx",
        [ATTEMPT_UNKNOWN] = "xx.xxxx",   [ATTEMPT_ENDED] = ".......",
        [ATTEMPT_NEVER] = ".......",     [ATTEMPT_EXPIRED] = ".......",
        [ATTEMPT_DESTROYED] = ".......",
    };
    (void)state;
    for (int from = 0; from < ATTEMPT_STATE_COUNT_; from++)
        for (int to = 0; to < ATTEMPT_STATE_COUNT_; to++)
            assert_int_equal(attempt_can_move((enum attempt_state)from, (enum attempt_state)to),
                             TABLE[from][to] == 'x');
    for (int from = 0; from < ATTEMPT_STATE_COUNT_; from++)
        assert_int_equal(attempt_state_is_final((enum attempt_state)from),
                         strchr(TABLE[from], 'x') == NULL);
}

static struct attempt_row good_row(void)
{
    return (struct attempt_row){
        .token = {.epoch = 3, .job = {{{1}}}, .number = 1},
        .site = {{{2}}},
        .journal = {{{3}}},
        .nodes = 1,
        .exit_code = -1,
        .version = 1,
    };
}

static void test_broken_attempt_rows_are_corrupt(void **state)
{
    struct attempt_row row = good_row();
    struct fault fault;
    (void)state;
    assert_int_equal(attempt_row_check(&row, NULL), ERR_OK);
#define CORRUPT(change, name)                                                                      \
    do {                                                                                           \
        row = good_row();                                                                          \
        change;                                                                                    \
        assert_int_equal(attempt_row_check(&row, &fault), ERR_CORRUPT);                            \
        assert_string_equal(fault.field, name);                                                    \
    } while (0)
    CORRUPT(row.token.number = 0, "token");
    CORRUPT((row.state = ATTEMPT_NEVER, row.started_at.us = 9), "state");
    CORRUPT((row.state = ATTEMPT_NEVER, row.ran.ms = 9), "state");
    CORRUPT(row.started_at.us = 9, "state");
    CORRUPT(row.state = ATTEMPT_EXPIRED, "state");
    CORRUPT(row.state = ATTEMPT_ENDED, "outcome");
    CORRUPT(row.outcome = OUTCOME_SUCCEEDED, "outcome");
    CORRUPT(row.ended_at.us = 9, "outcome");
    CORRUPT(row.contact.policy = CONTACT_LEASE, "contact");
    CORRUPT(row.nodes = 0, "nodes");
    CORRUPT(row.nodes = JOB_NODES_MAX + 1, "nodes");
    CORRUPT(row.ask_per_hour.micros = -1, "ask_per_hour");
    CORRUPT(row.ran.ms = -1, "ran");
    CORRUPT(row.version = 0, "version");
#undef CORRUPT
    row = good_row();
    row.contact = (struct contact_terms){CONTACT_LEASE, SPAN_S(10)};
    row.state = ATTEMPT_EXPIRED;
    row.started_at.us = 5;
    assert_int_equal(attempt_row_check(&row, &fault), ERR_OK);
}

static void test_attempt_names_read_back(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 7);
    for (int i = 0; i < 2000; i++) {
        struct attempt_token token = {.epoch = random_u64(&random) >> random_below(&random, 64),
                                      .number = (uint32_t)random_u64(&random)};
        struct attempt_token again;
        char name[ATTEMPT_NAME_MAX];
        random_fill(&random, token.job.id.bytes, sizeof(token.job.id.bytes));
        attempt_name_format(&token, name);
        assert_int_equal(attempt_name_parse(slice_of(name), &again), ERR_OK);
        assert_true(attempt_token_is_equal(&token, &again));
        assert_int_equal(attempt_token_compare(&token, &again), 0);
        for (const char *c = name; *c != '\0'; c++)
            assert_true((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-');
    }
}

static void test_other_spellings_of_a_name_are_refused(void **state)
{
    static const char *const NAMES[] = {
        "",
        "lq-",
        "lq-1-2-3",
        "lq-01-00000000000000000000000001-1",
        "lq-1-00000000000000000000000001-01",
        "lq-1-00000000000000000000000001-",
        "lq-1-00000000000000000000000001-+1",
        "lq-1-00000000000000000000000001-4294967296",
        "lq-1-0000000000000000000000000A-1",
        "lq-1-0000000000000000000000000l-1",
        "lq-1-000000000000000000000000001-1",
        "lq--1-00000000000000000000000001-1",
        "LQ-1-00000000000000000000000001-1",
        "lq-1-00000000000000000000000001-1 ",
    };
    struct attempt_token token = {.epoch = 77};
    (void)state;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        assert_int_equal(attempt_name_parse(slice_of(NAMES[i]), &token), ERR_INVALID);
        assert_int_equal(token.epoch, 77);
    }
    assert_int_equal(attempt_name_parse(slice_of("lq-1-00000000000000000000000001-1"), &token),
                     ERR_OK);
}

static void test_tokens_order_by_epoch_job_number(void **state)
{
    struct attempt_token a = {.epoch = 1, .job = {{{9}}}, .number = 9};
    struct attempt_token b = {.epoch = 2, .job = {{{1}}}, .number = 1};
    (void)state;
    assert_true(attempt_token_compare(&a, &b) < 0);
    b = a;
    b.job.id.bytes[15] = 1;
    assert_true(attempt_token_compare(&a, &b) < 0);
    assert_false(attempt_token_is_equal(&a, &b));
    b = a;
    b.number = 10;
    assert_true(attempt_token_compare(&a, &b) < 0 && attempt_token_compare(&b, &a) > 0);
}

static struct usage_record good_usage(void)
{
    return (struct usage_record){
        .site = {{{1}}},
        .journal = {{{2}}},
        .seq = 1,
        .token = {.epoch = 1, .job = {{{3}}}, .number = 1},
        .runtime = RUNTIME_CUDA,
        .accelerator = "A100 80GB SXM",
        .delta = {.wall_ms = 5, .accel_ms = 40},
        .total = {.wall_ms = 15, .accel_ms = 120},
    };
}

static void test_wrong_usage_is_refused(void **state)
{
    struct usage_record record = good_usage();
    struct fault fault;
    (void)state;
    assert_int_equal(usage_record_check(&record, NULL), ERR_OK);
#define REFUSES(change, name)                                                                      \
    do {                                                                                           \
        record = good_usage();                                                                     \
        change;                                                                                    \
        assert_int_not_equal(usage_record_check(&record, &fault), ERR_OK);                         \
        assert_string_equal(fault.field, name);                                                    \
    } while (0)
    REFUSES(record.delta.wall_ms = -1, "wall_ms");
    REFUSES(record.total.accel_ms = 39, "accel_ms");
    REFUSES(record.total.mem_mib_ms = INT64_MAX, "mem_mib_ms");
    REFUSES(record.delta.kill_wait_ms = 1, "kill_wait_ms");
    REFUSES(record.seq = 0, "seq");
    REFUSES(record.token.number = 0, "token");
    REFUSES(record.runtime = RUNTIME_COUNT_, "runtime");
    REFUSES(memset(record.accelerator, 'x', sizeof(record.accelerator)), "accelerator");
    REFUSES(record.accelerator[1] = '\n', "accelerator");
    REFUSES(record.site = (struct site_id){0}, "site");
#undef REFUSES
}

static void test_usage_records_differ_by_every_field(void **state)
{
    struct usage_record a = good_usage(), b = good_usage();
    (void)state;
    memset(b.accelerator + 14, 'z', 5); /* behind the NUL: no difference */
    assert_true(usage_record_is_equal(&a, &b));
#define DIFFERS(change)                                                                            \
    do {                                                                                           \
        b = good_usage();                                                                          \
        change;                                                                                    \
        assert_false(usage_record_is_equal(&a, &b));                                               \
    } while (0)
    DIFFERS(b.seq++);
    DIFFERS(b.is_last = true);
    DIFFERS(b.delta.gate_wait_ms = 1);
    DIFFERS(b.total.cpu_ms = 1);
    DIFFERS(b.measured_at.us = 1);
    DIFFERS(b.token.epoch = 9);
    DIFFERS(b.accelerator[0] = 'B');
    DIFFERS(b.journal.id.bytes[5] = 1);
#undef DIFFERS
}

static struct audit_record good_audit(void)
{
    return (struct audit_record){
        .seq = 1,
        .at = {1700000000000000},
        .actor = SLICE_LITERAL("usr_x"),
        .tenant = SLICE_LITERAL("ten_x"),
        .action = SLICE_LITERAL("job.submit"),
        .subject = SLICE_LITERAL("job_x"),
        .detail = SLICE_LITERAL("{\"a\":1}"),
    };
}

/* The bytes of the chain, put together here a second time: see docs/formats/audit.md. */
static void test_audit_hash_is_that_of_the_documented_bytes(void **state)
{
    struct audit_record record = good_audit();
    uint8_t bytes[512];
    size_t len = 16;
    const struct slice texts[] = {record.actor, record.tenant, record.action, record.subject,
                                  record.detail};
    struct hash256 hash;
    struct digest expected;
    (void)state;
    memcpy(bytes, "lingqu-audit-1\n", 16);
    for (int i = 0; i < 8; i++)
        bytes[len++] = (uint8_t)(record.seq >> (8 * i));
    for (int i = 0; i < 8; i++)
        bytes[len++] = (uint8_t)((uint64_t)record.at.us >> (8 * i));
    for (size_t t = 0; t < 5; t++) {
        for (int i = 0; i < 8; i++)
            bytes[len++] = (uint8_t)((uint64_t)texts[t].len >> (8 * i));
        memcpy(bytes + len, texts[t].data, texts[t].len);
        len += texts[t].len;
    }
    memset(bytes + len, 0, 32);
    len += 32;
    audit_record_hash(&record, &hash);
    expected = digest_of(slice_make(bytes, len));
    assert_memory_equal(hash.bytes, expected.bytes, HASH_BYTES);
}

static void test_audit_hash_covers_every_field(void **state)
{
    struct audit_record record = good_audit();
    struct hash256 first, other;
    (void)state;
    audit_record_hash(&record, &first);
    record.hash.bytes[0] = 1; /* the result itself is not part of it */
    audit_record_hash(&record, &other);
    assert_memory_equal(first.bytes, other.bytes, HASH_BYTES);
#define CHANGES(change)                                                                            \
    do {                                                                                           \
        record = good_audit();                                                                     \
        change;                                                                                    \
        audit_record_hash(&record, &other);                                                        \
        assert_memory_not_equal(first.bytes, other.bytes, HASH_BYTES);                             \
    } while (0)
    CHANGES(record.seq = 2);
    CHANGES(record.at.us++);
    CHANGES(record.actor = SLICE_LITERAL("usr_y"));
    CHANGES(record.tenant = SLICE_LITERAL(""));
    CHANGES(record.action = SLICE_LITERAL("job.cancel"));
    CHANGES(record.subject = SLICE_LITERAL("job_y"));
    CHANGES(record.detail = SLICE_LITERAL("{}"));
    CHANGES(record.previous.bytes[31] = 1);
    /* Bytes moved from one text to the next are another record. */
    CHANGES((record.actor = SLICE_LITERAL("usr_xten"), record.tenant = SLICE_LITERAL("_x")));
#undef CHANGES
}

/* Small and large records go two ways through the code; both give the same function of the bytes.
 */
static void test_audit_hash_does_not_depend_on_size(void **state)
{
    static char detail[8192];
    struct audit_record record = good_audit();
    (void)state;
    memset(detail, 'd', sizeof(detail));
    for (size_t len = 1850; len < 1950; len++) {
        uint8_t bytes[8192];
        struct hash256 hash;
        struct digest_stream stream = {0};
        struct digest expected;
        size_t at = 16 + 8 + 8;
        const struct slice texts[] = {record.actor, record.tenant, record.action, record.subject,
                                      slice_make(detail, len)};
        record.detail = texts[4];
        memcpy(bytes, "lingqu-audit-1\n", 16);
        for (int i = 0; i < 8; i++) {
            bytes[16 + i] = (uint8_t)(record.seq >> (8 * i));
            bytes[24 + i] = (uint8_t)((uint64_t)record.at.us >> (8 * i));
        }
        for (size_t t = 0; t < 5; t++) {
            for (int i = 0; i < 8; i++)
                bytes[at++] = (uint8_t)((uint64_t)texts[t].len >> (8 * i));
            memcpy(bytes + at, texts[t].data, texts[t].len);
            at += texts[t].len;
        }
        memset(bytes + at, 0, 32);
        at += 32;
        assert_int_equal(digest_stream_init(&stream), ERR_OK);
        digest_stream_update(&stream, slice_make(bytes, at));
        expected = digest_stream_finish(&stream);
        digest_stream_deinit(&stream);
        audit_record_hash(&record, &hash);
        assert_memory_equal(hash.bytes, expected.bytes, HASH_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempt_moves_are_exactly_these),
        cmocka_unit_test(test_broken_attempt_rows_are_corrupt),
        cmocka_unit_test(test_attempt_names_read_back),
        cmocka_unit_test(test_other_spellings_of_a_name_are_refused),
        cmocka_unit_test(test_tokens_order_by_epoch_job_number),
        cmocka_unit_test(test_wrong_usage_is_refused),
        cmocka_unit_test(test_usage_records_differ_by_every_field),
        cmocka_unit_test(test_audit_hash_is_that_of_the_documented_bytes),
        cmocka_unit_test(test_audit_hash_covers_every_field),
        cmocka_unit_test(test_audit_hash_does_not_depend_on_size),
    };
    return cmocka_run_group_tests_name("model attempt", tests, NULL, NULL);
}
