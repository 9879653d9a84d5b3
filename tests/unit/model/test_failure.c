/* The table of failure classes, and what of an attempt's row makes which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/attempt.h"

static const char *document_path;

static void budgets_are_within_their_most_and_programs_are_no_evidence(void **state)
{
    (void)state;
    for (unsigned i = FAILURE_NONE + 1; i < FAILURE_CLASS_COUNT_; i++) {
        const struct failure_rule *rule = failure_rule((enum failure_class)i);
        enum failure_class again = FAILURE_NONE;
        assert_true(rule->budget == FAILURE_NO_BUDGET || rule->budget <= rule->budget_max);
        assert_true(rule->budget_max <= FAILURE_RETRY_MAX);
        assert_true(rule->blame != FAILURE_OF_PROGRAM ||
                    (!rule->is_evidence && rule->avoid.ms == 0));
        assert_true(rule->blame != FAILURE_OF_SITE || rule->avoid.ms > 0);
        assert_int_equal(failure_parse(slice_of(rule->name), &again), ERR_OK);
        assert_int_equal(again, i);
    }
    enum failure_class none;
    assert_int_equal(failure_parse(SLICE_LITERAL("none"), &none), ERR_INVALID);
}

static void the_first_is_tried_again_at_once_and_then_the_rest_doubles(void **state)
{
    (void)state;
    assert_int_equal(failure_rest(FAILURE_NODE_LOST, 1).ms, 0);
    assert_int_equal(failure_rest(FAILURE_NODE_LOST, 2).ms, 1000);
    assert_int_equal(failure_rest(FAILURE_NODE_LOST, 3).ms, 2000);
    assert_int_equal(failure_rest(FAILURE_NODE_LOST, 7).ms, 30000);
    assert_int_equal(failure_rest(FAILURE_NODE_LOST, 255).ms, 30000);
    assert_int_equal(failure_rest(FAILURE_PREEMPTED, 200).ms, 0);
}

static struct attempt_row ended(enum attempt_state state, enum outcome outcome,
                                enum revoke_reason revoke)
{
    return (struct attempt_row){.state = state, .outcome = outcome, .revoke = revoke};
}

static void every_end_has_its_class(void **state)
{
    static const struct {
        enum attempt_state state;
        enum outcome outcome;
        enum revoke_reason revoke;
        enum failure_class failure;
    } CASES[] = {
        {ATTEMPT_RUNNING, OUTCOME_NONE, REVOKE_NONE, FAILURE_NONE},
        {ATTEMPT_ENDED, OUTCOME_SUCCEEDED, REVOKE_NONE, FAILURE_NONE},
        {ATTEMPT_ENDED, OUTCOME_SUCCEEDED, REVOKE_DRAIN, FAILURE_NONE},
        {ATTEMPT_ENDED, OUTCOME_PROGRAM_ERROR, REVOKE_NONE, FAILURE_PROGRAM_ERROR},
        {ATTEMPT_ENDED, OUTCOME_PROGRAM_ERROR, REVOKE_DRAIN, FAILURE_PROGRAM_ERROR},
        {ATTEMPT_ENDED, OUTCOME_OUT_OF_MEMORY, REVOKE_NONE, FAILURE_OUT_OF_MEMORY},
        {ATTEMPT_ENDED, OUTCOME_TIME_LIMIT, REVOKE_NONE, FAILURE_TIME_LIMIT},
        {ATTEMPT_ENDED, OUTCOME_PREEMPTED, REVOKE_NONE, FAILURE_PREEMPTED},
        {ATTEMPT_ENDED, OUTCOME_REVOKED, REVOKE_NONE, FAILURE_PREEMPTED},
        {ATTEMPT_ENDED, OUTCOME_REVOKED, REVOKE_PREEMPTED, FAILURE_PREEMPTED},
        {ATTEMPT_ENDED, OUTCOME_REVOKED, REVOKE_DRAIN, FAILURE_NONE},
        {ATTEMPT_ENDED, OUTCOME_REVOKED, REVOKE_CANCELLED, FAILURE_NONE},
        {ATTEMPT_ENDED, OUTCOME_NODE_LOST, REVOKE_NONE, FAILURE_NODE_LOST},
        {ATTEMPT_ENDED, OUTCOME_LEASE_LOST, REVOKE_NONE, FAILURE_SITE_LOST},
        {ATTEMPT_ENDED, OUTCOME_JOURNAL_LOST, REVOKE_NONE, FAILURE_SITE_LOST},
        {ATTEMPT_EXPIRED, OUTCOME_LEASE_LOST, REVOKE_NONE, FAILURE_SITE_LOST},
        {ATTEMPT_DESTROYED, OUTCOME_NODE_LOST, REVOKE_NONE, FAILURE_SITE_LOST},
        {ATTEMPT_ENDED, OUTCOME_BAD_ENVIRONMENT, REVOKE_NONE, FAILURE_BAD_ENVIRONMENT},
        {ATTEMPT_NEVER, OUTCOME_BAD_ENVIRONMENT, REVOKE_NONE, FAILURE_BAD_ENVIRONMENT},
        {ATTEMPT_NEVER, OUTCOME_REFUSED, REVOKE_NONE, FAILURE_REFUSED},
        {ATTEMPT_NEVER, OUTCOME_GATE_TIMEOUT, REVOKE_NONE, FAILURE_REFUSED},
        {ATTEMPT_NEVER, OUTCOME_NONE, REVOKE_NONE, FAILURE_REFUSED},
        {ATTEMPT_NEVER, OUTCOME_NONE, REVOKE_CANCELLED, FAILURE_NONE},
        {ATTEMPT_NEVER, OUTCOME_REVOKED, REVOKE_NOT_STARTED, FAILURE_NOT_STARTED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct attempt_row row = ended(CASES[i].state, CASES[i].outcome, CASES[i].revoke);
        if (attempt_failure(&row) != CASES[i].failure)
            fail_msg("case %zu: %s, not %s", i, failure_name(attempt_failure(&row)),
                     failure_name(CASES[i].failure));
    }
}

static void a_job_may_lower_and_raise_what_it_names(void **state)
{
    struct job_spec spec = {.retries_max = 3};
    (void)state;
    assert_int_equal(job_spec_retries(&spec, FAILURE_PROGRAM_ERROR), 3);
    assert_int_equal(job_spec_retries(&spec, FAILURE_NODE_LOST), 20);
    assert_true(job_spec_retries(&spec, FAILURE_PREEMPTED) == FAILURE_NO_BUDGET);
    spec.retry_named = UINT32_C(1) << FAILURE_PREEMPTED | UINT32_C(1) << FAILURE_NODE_LOST;
    spec.retry_max[FAILURE_PREEMPTED] = 2;
    assert_int_equal(job_spec_retries(&spec, FAILURE_PREEMPTED), 2);
    assert_int_equal(job_spec_retries(&spec, FAILURE_NODE_LOST), 0);
}

static void span_text(struct span_ms span, char out[TIME_TEXT_MAX])
{
    if (span.ms == 0)
        (void)snprintf(out, TIME_TEXT_MAX, "-");
    else
        span_format(span, out);
}

/* The table of docs/operations.md. */
static void the_document_has_the_same_table(void **state)
{
    static char text[1 << 20];
    FILE *file = fopen(document_path, "rb");
    (void)state;
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    for (unsigned i = FAILURE_NONE + 1; i < FAILURE_CLASS_COUNT_; i++) {
        const struct failure_rule *rule = failure_rule((enum failure_class)i);
        char rest[TIME_TEXT_MAX], most[TIME_TEXT_MAX], avoid[TIME_TEXT_MAX], row[256], budget[16];
        span_text(rule->rest, rest);
        span_text(rule->rest_max, most);
        span_text(rule->avoid, avoid);
        (void)snprintf(budget, sizeof(budget), "%u", rule->budget);
        (void)snprintf(row, sizeof(row), "| `%s` | %s | %s | %u | %s%s%s | %s |", rule->name,
                       failure_blame_name(rule->blame),
                       rule->budget == FAILURE_NO_BUDGET ? "always" : budget, rule->budget_max,
                       rest, rule->rest.ms > 0 ? ", " : "", rule->rest.ms > 0 ? most : "", avoid);
        if (strstr(text, row) == NULL)
            fail_msg("%s lacks: %s", document_path, row);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budgets_are_within_their_most_and_programs_are_no_evidence),
        cmocka_unit_test(the_first_is_tried_again_at_once_and_then_the_rest_doubles),
        cmocka_unit_test(every_end_has_its_class),
        cmocka_unit_test(a_job_may_lower_and_raise_what_it_names),
        cmocka_unit_test(the_document_has_the_same_table),
    };
    if (argc != 2)
        return 2;
    document_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
