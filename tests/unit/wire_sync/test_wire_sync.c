/* The agent protocol and the gate: what is encoded reads back the same; what is wrong is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "wire/gate.h"
#include "wire/sync.h"

static const struct attempt_token TOKEN = {
    7, {{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}}, 3};
static const struct site_id SITE = {{{9, 9, 9}}};
static const struct journal_id JOURNAL = {{{8, 8, 8}}};

struct fixture {
    struct arena arena;
    struct buffer bytes;
    struct fault fault;
};

static int set_up(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    arena_init(&f->arena, 64 << 20);
    buffer_init(&f->bytes, SYNC_BYTES_MAX);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_deinit(&f->arena);
    buffer_deinit(&f->bytes);
    test_free(f);
    return 0;
}

static void assert_token(const struct attempt_token *token)
{
    assert_true(attempt_token_is_equal(token, &TOKEN));
}

static struct usage_record record_make(uint64_t seq)
{
    struct usage_record record = {.site = SITE,
                                  .journal = JOURNAL,
                                  .seq = seq,
                                  .token = TOKEN,
                                  .is_last = seq == 6,
                                  .runtime = RUNTIME_CANN,
                                  .accelerator = "Ascend 910B",
                                  .measured_at = {INT64_C(1795000000123456)}};
    record.delta = (struct usage_quantities){1, 2, 3, 4, 5, 6, 7};
    record.total = (struct usage_quantities){11, 12, 13, 14, 15, 16, 17};
    return record;
}

static void a_request_reads_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    const struct sync_attempt attempts[] = {
        {.token = TOKEN,
         .phase = PHASE_ENDED,
         .outcome = OUTCOME_OUT_OF_MEMORY,
         .exit_code = 137,
         .ran = {1234},
         .since_change = {99}},
        {.token = TOKEN,
         .phase = PHASE_TAKEN,
         .is_reclaiming = true,
         .progress = {700, 200, {2100}}},
    };
    const struct sync_node nodes[] = {{.node = 2,
                                       .is_up = true,
                                       .cpu_milli_free = 4000,
                                       .mem_bytes_free = UINT64_C(1) << 40,
                                       .devices_free_count = 2,
                                       .devices_free = {3, 15},
                                       .load = {.is_known = true,
                                                .has_busy = true,
                                                .owner_cpu_milli = 3000,
                                                .owner_devices = 1,
                                                .owner_busy_cpu_milli = 2500,
                                                .pool_busy_cpu_milli = 700}}};
    const struct usage_record usage[] = {record_make(5), record_make(6)};
    const struct sync_link links[] = {{SLICE_LITERAL("guian"), 21000, 900000, {5}}};
    const struct sync_request request = {.protocol = 1,
                                         .agent_version = SLICE_LITERAL("0.1.0"),
                                         .site = SITE,
                                         .journal = JOURNAL,
                                         .epoch_seen = UINT64_MAX,
                                         .request_seq = 77,
                                         .challenge = UINT64_MAX,
                                         .usage_acked = 4,
                                         .usage_oldest = 2,
                                         .is_inventory = true,
                                         .is_draining = true,
                                         .attempts = attempts,
                                         .attempt_count = 2,
                                         .nodes = nodes,
                                         .node_count = 1,
                                         .usage = usage,
                                         .usage_count = 2,
                                         .links = links,
                                         .link_count = 1};
    struct sync_request back;
    assert_int_equal(sync_request_encode(&request, &f->bytes), ERR_OK);
    assert_int_equal(sync_request_decode(buffer_slice(&f->bytes), &f->arena, &back, &f->fault),
                     ERR_OK);
    assert_true(back.epoch_seen == UINT64_MAX && back.challenge == UINT64_MAX);
    assert_true(back.request_seq == 77 && back.usage_acked == 4 && back.usage_oldest == 2);
    assert_true(back.is_inventory && back.is_draining);
    assert_true(slice_is(back.agent_version, "0.1.0"));
    assert_int_equal(back.attempt_count, 2);
    assert_token(&back.attempts[0].token);
    assert_int_equal(back.attempts[0].phase, PHASE_ENDED);
    assert_int_equal(back.attempts[0].outcome, OUTCOME_OUT_OF_MEMORY);
    assert_int_equal(back.attempts[0].exit_code, 137);
    assert_int_equal(back.attempts[0].ran.ms, 1234);
    assert_true(back.attempts[1].is_reclaiming);
    assert_int_equal(back.attempts[1].progress.value, 700);
    assert_int_equal(back.attempts[1].progress.units, 200);
    assert_int_equal(back.attempts[1].progress.over.ms, 2100);
    assert_int_equal(back.node_count, 1);
    assert_true(back.nodes[0].node == nodes[0].node && back.nodes[0].is_up == nodes[0].is_up);
    assert_true(back.nodes[0].cpu_milli_free == nodes[0].cpu_milli_free &&
                back.nodes[0].mem_bytes_free == nodes[0].mem_bytes_free);
    assert_int_equal(back.nodes[0].devices_free_count, nodes[0].devices_free_count);
    assert_memory_equal(back.nodes[0].devices_free, nodes[0].devices_free,
                        sizeof(nodes[0].devices_free));
    const struct node_load *load = &back.nodes[0].load;
    assert_true(load->is_known && load->has_busy);
    assert_true(load->owner_cpu_milli == 3000 && load->owner_devices == 1);
    assert_true(load->owner_busy_cpu_milli == 2500 && load->pool_busy_cpu_milli == 700);
    assert_int_equal(back.usage_count, 2);
    assert_true(usage_record_is_equal(&back.usage[0], &usage[0]));
    assert_true(usage_record_is_equal(&back.usage[1], &usage[1]));
    assert_true(slice_is(back.links[0].peer, "guian") && back.links[0].rtt_us == 21000);
}

static void news_read_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    const struct reclaim reclaims[] = {{.name = SLICE_LITERAL("slurm-4711-1764172800"),
                                        .at = {INT64_C(1764172800000000)},
                                        .wait = {9000},
                                        .held = {7000},
                                        .promise = {30000},
                                        .attempts = 2,
                                        .is_open = true}};
    const struct sync_request request = {.protocol = 1,
                                         .site = SITE,
                                         .journal = JOURNAL,
                                         .copied = &TOKEN,
                                         .copied_count = 1,
                                         .reclaims = reclaims,
                                         .reclaim_count = 1};
    struct sync_request back;
    assert_int_equal(sync_request_encode(&request, &f->bytes), ERR_OK);
    assert_int_equal(sync_request_decode(buffer_slice(&f->bytes), &f->arena, &back, &f->fault),
                     ERR_OK);
    assert_int_equal(back.copied_count, 1);
    assert_token(&back.copied[0]);
    assert_int_equal(back.reclaim_count, 1);
    assert_true(slice_is(back.reclaims[0].name, "slurm-4711-1764172800"));
    assert_int_equal(back.reclaims[0].at.us, reclaims[0].at.us);
    assert_int_equal(back.reclaims[0].wait.ms, 9000);
    assert_int_equal(back.reclaims[0].held.ms, 7000);
    assert_int_equal(back.reclaims[0].promise.ms, 30000);
    assert_int_equal(back.reclaims[0].attempts, 2);
    assert_true(back.reclaims[0].is_open);
}

static void what_probes_found_reads_back(void **state)
{
    struct fixture *f = *state;
    const struct sync_probed probed[] = {{UINT64_MAX, false, SLICE_LITERAL("no disk")},
                                         {4, true, {0}}};
    const struct sync_request request = {.protocol = 1,
                                         .site = SITE,
                                         .journal = JOURNAL,
                                         .request_seq = 7,
                                         .probed = probed,
                                         .probed_count = 2};
    struct sync_request back;
    assert_int_equal(sync_request_encode(&request, &f->bytes), ERR_OK);
    assert_int_equal(sync_request_decode(buffer_slice(&f->bytes), &f->arena, &back, &f->fault),
                     ERR_OK);
    assert_int_equal(back.probed_count, 2);
    assert_true(back.probed[0].number == UINT64_MAX && !back.probed[0].is_good);
    assert_true(slice_is(back.probed[0].why, "no disk") && back.probed[1].is_good);
}

static void a_reply_reads_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    const struct sync_command commands[] = {
        {.kind = SYNC_START,
         .token = TOKEN,
         .journal = JOURNAL,
         .order = SLICE_LITERAL("{\"a\":[1,\"x\"]}")},
        {.kind = SYNC_REVOKE, .token = TOKEN, .reason = REVOKE_DRAIN, .grace = {30000}}};
    const struct sync_renewal renewals[] = {{TOKEN, {900000}}};
    const struct sync_probe probes[] = {{7, 4095}};
    const struct attempt_token acked[] = {TOKEN};
    const struct sync_reply reply = {.protocol = 1,
                                     .db_epoch = 9,
                                     .request_seq = 78,
                                     .challenge = 5,
                                     .want_inventory = true,
                                     .usage_acked = 44,
                                     .commands = commands,
                                     .command_count = 2,
                                     .renewals = renewals,
                                     .renewal_count = 1,
                                     .acked = acked,
                                     .acked_count = 1,
                                     .probes = probes,
                                     .probe_count = 1,
                                     .settings = {{1}, {2}, {3}, {4}}};
    struct sync_reply back;
    assert_int_equal(sync_reply_encode(&reply, &f->bytes), ERR_OK);
    assert_int_equal(sync_reply_decode(buffer_slice(&f->bytes), &f->arena, &back, &f->fault),
                     ERR_OK);
    assert_true(back.db_epoch == 9 && back.request_seq == 78 && back.challenge == 5);
    assert_true(back.want_inventory && back.usage_acked == 44);
    assert_int_equal(back.command_count, 2);
    assert_true(slice_is(back.commands[0].order, "{\"a\":[1,\"x\"]}"));
    assert_true(id_is_equal(back.commands[0].journal.id, JOURNAL.id));
    assert_int_equal(back.commands[1].reason, REVOKE_DRAIN);
    assert_int_equal(back.commands[1].grace.ms, 30000);
    assert_true(id_is_none(back.commands[1].journal.id));
    assert_int_equal(back.renewals[0].lease.ms, 900000);
    assert_token(&back.acked[0]);
    assert_true(back.probe_count == 1 && back.probes[0].number == 7);
    assert_int_equal(back.probes[0].node, 4095);
    assert_memory_equal(&back.settings, &reply.settings, sizeof(back.settings));
}

static void an_order_reads_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    const struct rank_place places[] = {{.node = 1, .device_count = 1, .devices = {7}},
                                        {.node = 4}};
    const struct attempt_order order = {.token = TOKEN,
                                        .job_name = SLICE_LITERAL("train"),
                                        .tenant = {{{4}}},
                                        .spec = SLICE_LITERAL("{\"name\":\"train\"}"),
                                        .variant = 2,
                                        .array_index = 9,
                                        .places = places,
                                        .nodes = 2,
                                        .contact = {CONTACT_LEASE, {60000}},
                                        .restore = {{5}},
                                        .restore_step = UINT64_C(1) << 40,
                                        .secret = SLICE_LITERAL("s3cret")};
    struct attempt_order back;
    assert_int_equal(attempt_order_encode(&order, &f->bytes), ERR_OK);
    assert_int_equal(attempt_order_decode(buffer_slice(&f->bytes), &f->arena, &back, &f->fault),
                     ERR_OK);
    assert_token(&back.token);
    assert_true(slice_is(back.spec, "{\"name\":\"train\"}") && slice_is(back.secret, "s3cret"));
    assert_int_equal(back.nodes, 2);
    assert_memory_equal(back.places, places, sizeof(places));
    assert_int_equal(back.contact.policy, CONTACT_LEASE);
    assert_int_equal(back.contact.lease.ms, 60000);
    assert_true(back.restore_step == UINT64_C(1) << 40 && back.array_index == 9);
}

static void unknown_members_are_passed_over(void **state)
{
    struct fixture *f = *state;
    struct sync_reply back;
    struct slice text = SLICE_LITERAL(
        "{\"protocol\":1,\"db_epoch\":1,\"request_seq\":2,\"usage_acked\":0,\"commands\":[],"
        "\"from_the_future\":{\"x\":[1]}}");
    assert_int_equal(sync_reply_decode(text, &f->arena, &back, &f->fault), ERR_OK);
}

static void refuse_request(struct fixture *f, const char *text, enum err expected)
{
    struct sync_request back;
    assert_int_equal(sync_request_decode(slice_of(text), &f->arena, &back, &f->fault), expected);
}

static void wrong_requests_are_refused(void **state)
{
#define HEAD                                                                                       \
    "{\"protocol\":1,\"site\":\"site_00000000000000000000000004\","                                \
    "\"journal\":\"jrn_00000000000000000000000004\",\"epoch_seen\":1,\"request_seq\":1,"           \
    "\"usage_acked\":0,\"usage_oldest\":1"
    struct fixture *f = *state;
    refuse_request(f, HEAD "}", ERR_OK);
    refuse_request(f, "{}", ERR_INVALID);
    refuse_request(f, "[]", ERR_INVALID);
    refuse_request(f, HEAD ",\"usage_acked\":1}", ERR_INVALID); /* twice */
    refuse_request(f, HEAD ",\"attempts\":[{\"token\":\"lq-1-x-1\",\"phase\":\"taken\"}]}",
                   ERR_INVALID);
    refuse_request(f,
                   HEAD ",\"attempts\":[{\"token\":\"lq-1-00000000000000000000000004-1\","
                        "\"phase\":\"dreaming\"}]}",
                   ERR_INVALID);
    refuse_request(f, HEAD ",\"nodes\":[{\"node\":70000,\"cpu_milli\":1,\"mem_bytes\":1}]}",
                   ERR_INVALID);
    refuse_request(f, HEAD ",\"request_seq\":18446744073709551616}", ERR_INVALID);
#undef HEAD
}

static void a_gap_in_usage_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct usage_record usage[] = {record_make(5), record_make(7)};
    const struct sync_request request = {.protocol = 1,
                                         .site = SITE,
                                         .journal = JOURNAL,
                                         .usage_acked = 4,
                                         .usage = usage,
                                         .usage_count = 2};
    struct sync_request back;
    assert_int_equal(sync_request_encode(&request, &f->bytes), ERR_OK);
    assert_int_equal(sync_request_decode(buffer_slice(&f->bytes), &f->arena, &back, &f->fault),
                     ERR_INVALID);
    assert_string_equal(f->fault.field, "usage");
}

static void another_protocol_version_is_told_apart(void **state)
{
    struct fixture *f = *state;
    const struct sync_request request = {.protocol = 2, .site = SITE, .journal = JOURNAL};
    struct sync_request back;
    assert_int_equal(sync_request_encode(&request, &f->bytes), ERR_OK);
    assert_int_equal(sync_request_decode(buffer_slice(&f->bytes), &f->arena, &back, &f->fault),
                     ERR_UNSUPPORTED);
}

static void gate_messages_of_each_kind_read_back(void **state)
{
    struct fixture *f = *state;
    for (int kind = 0; kind < GATE_KIND_COUNT_; kind++) {
        const struct gate_message message = {.kind = (enum gate_kind)kind,
                                             .token = TOKEN,
                                             .rank = 511,
                                             .incarnation = UINT64_MAX,
                                             .seq = 3,
                                             .secret = SLICE_LITERAL("abc"),
                                             .lease = {-1},
                                             .has_lease = kind % 2 == 0,
                                             .reason = REVOKE_BUDGET,
                                             .grace = {5},
                                             .ran = {6},
                                             .gate_wait = {7},
                                             .kill_wait = {8},
                                             .cpu_ms = 9,
                                             .outcome = OUTCOME_LEASE_LOST,
                                             .exit_code = -1};
        struct gate_message back;
        buffer_reset(&f->bytes);
        assert_int_equal(gate_message_encode(&message, &f->bytes), ERR_OK);
        struct slice line = buffer_slice(&f->bytes);
        assert_int_equal(line.data[line.len - 1], '\n');
        line.len--;
        assert_int_equal(gate_message_decode(line, &f->arena, &back, &f->fault), ERR_OK);
        assert_int_equal(back.kind, kind);
        assert_token(&back.token);
        assert_true(back.rank == 511 && back.incarnation == UINT64_MAX && back.seq == 3);
        assert_int_equal(back.has_lease, message.has_lease);
        assert_int_equal(back.lease.ms, message.has_lease ? -1 : 0);
        assert_int_equal(back.outcome, OUTCOME_LEASE_LOST);
        assert_int_equal(back.exit_code, -1);
        assert_int_equal(back.kill_wait.ms, 8);
    }
}

static void a_gate_line_that_is_no_message_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = {
        "",
        "{}",
        "{\"kind\":\"ask\"}",
        "{\"kind\":\"beg\",\"token\":\"lq-1-00000000000000000000000004-1\",\"rank\":0,"
        "\"incarnation\":1,\"seq\":1}",
        "{\"kind\":\"ask\",\"token\":\"lq-1-00000000000000000000000004-1\",\"rank\":512,"
        "\"incarnation\":1,\"seq\":1}",
        "{\"kind\":\"ask\",\"token\":\"lq-1-00000000000000000000000004-1\",\"rank\":0,"
        "\"incarnation\":-1,\"seq\":1}"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct gate_message back;
        assert_int_not_equal(gate_message_decode(slice_of(lines[i]), &f->arena, &back, &f->fault),
                             ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_reads_back_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(news_read_back_as_they_were, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_probes_found_reads_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reply_reads_back_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_order_reads_back_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_members_are_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_requests_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gap_in_usage_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_protocol_version_is_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gate_messages_of_each_kind_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gate_line_that_is_no_message_is_refused, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
