/* Scenarios: what they say, what they refuse, and reports that read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/report.h"
#include "sim/scenario.h"
#include "wire/topology.h"
#include "wire/yaml.h"

static const char NETWORK[] =
    "regions:\n  - {name: r, jurisdiction: CN, price_per_kwh: \"0.5\", carbon_g_per_kwh: \"500\"}\n"
    "operators:\n  - {name: o}\n"
    "sites:\n  - {name: s, region: r, operator: o, ask_per_cpu_hour: \"0.1\", nodes: [{name: n, "
    "count: 2, cpus: 4, memory: 8GiB}]}\n"
    "tenants:\n  - {name: t}\n";
static const char TRACE[] = "arrival_time,length,cpus\n0,1,4\n0,1,4\n0,1,4\n0.5,1,4\n";

struct desk {
    struct arena arena;
    struct fault fault;
    struct scenario scenario;
    struct topology topology;
    struct replay_result result;
    struct report report;
    uint64_t misfits;
};

static enum err decode(struct desk *desk, const char *text)
{
    struct json_document *document = NULL;
    memset(&desk->fault, 0, sizeof(desk->fault));
    enum err err = yaml_parse(slice_of(text), &YAML_LIMITS, &document, &desk->fault);
    if (err == ERR_OK)
        err = scenario_decode(json_root(document), &desk->arena, &desk->scenario, &desk->fault);
    json_document_destroy(document);
    return err;
}

static void begin(struct desk *desk)
{
    struct json_document *document = NULL;
    memset(desk, 0, sizeof(*desk));
    arena_init(&desk->arena, 1 << 26);
    assert_int_equal(yaml_parse(slice_of(NETWORK), &YAML_LIMITS, &document, &desk->fault), ERR_OK);
    enum err err =
        topology_decode(json_root(document), NULL, &desk->arena, &desk->topology, &desk->fault);
    if (err != ERR_OK)
        fail_msg("%s: %s", desk->fault.field, desk->fault.message);
    json_document_destroy(document);
}

static enum err run(struct desk *desk, const struct scenario_texts *texts)
{
    return scenario_run(&desk->scenario, &desk->topology, texts, NULL, NULL, &desk->arena,
                        &desk->result, &desk->misfits, &desk->fault);
}

static void a_scenario_runs_and_its_report_reads_back_the_same(void **state)
{
    struct desk desk;
    struct scenario_texts texts = {.trace = slice_of(TRACE)};
    struct json_document *document = NULL;
    struct buffer first, again, html;
    struct report read;
    (void)state;
    begin(&desk);
    assert_int_equal(decode(&desk, "topology: x\nworkload: {format: gaia, file: y}\n"
                                   "changes: [{at: 30m, what: fail, site: s}, {at: 1h, what: "
                                   "repair, site: s}]\n"),
                     ERR_OK);
    assert_int_equal(run(&desk, &texts), ERR_OK);
    assert_int_equal(desk.result.ended, 4);
    assert_int_equal(desk.result.kills, 2);
    assert_int_equal(
        report_make(slice_of("<a>"), &desk.topology, &desk.result, 0, &desk.arena, &desk.report),
        ERR_OK);
    buffer_init(&first, 1 << 20);
    buffer_init(&again, 1 << 20);
    buffer_init(&html, 1 << 20);
    report_json(&desk.report, &first);
    assert_int_equal(json_parse(buffer_slice(&first), &JSON_LIMITS_FILE, &document, &desk.fault),
                     ERR_OK);
    assert_int_equal(report_read(json_root(document), &desk.arena, &read, &desk.fault), ERR_OK);
    report_json(&read, &again);
    assert_true(slice_is_equal(buffer_slice(&first), buffer_slice(&again)));
    const struct report both[] = {desk.report, read};
    report_html(both, 2, &html);
    assert_non_null(strstr(buffer_text(&html), "&lt;a&gt;"));
    assert_null(strstr(buffer_text(&html), "http"));
    buffer_reset(&again);
    report_csv(&read, &again);
    assert_non_null(strstr(buffer_text(&again), "s,0,"));
    json_document_destroy(document);
    buffer_deinit(&first);
    buffer_deinit(&again);
    buffer_deinit(&html);
    arena_deinit(&desk.arena);
}

static void failures_by_seed_are_the_same_each_time(void **state)
{
    struct desk desk;
    struct scenario_texts texts = {.trace = slice_of(TRACE)};
    uint64_t kills[2];
    (void)state;
    begin(&desk);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(decode(&desk, "topology: x\nseed: 3\nend: 2d\nworkload: {format: gaia, "
                                       "file: y}\nfailures: {every: 40m, repair: 5m}\n"),
                         ERR_OK);
        assert_int_equal(run(&desk, &texts), ERR_OK);
        kills[i] = desk.result.kills;
    }
    assert_true(kills[0] > 0);
    assert_int_equal(kills[0], kills[1]);
    arena_deinit(&desk.arena);
}

static void hourly_tables_go_by_the_names_of_regions(void **state)
{
    struct desk desk;
    struct scenario_texts texts = {.trace = slice_of("arrival_time,length,cpus\n0,1,4\n"),
                                   .prices = slice_of("h,other,r\n00,1,2000\n")};
    (void)state;
    begin(&desk);
    assert_int_equal(decode(&desk, "topology: x\nworkload: {format: gaia, file: y}\n"), ERR_OK);
    assert_int_equal(run(&desk, &texts), ERR_OK);
    assert_true(desk.result.energy > 0.0799 && desk.result.energy < 0.0801); /* 40 Wh at 2.00 */
    texts.prices = slice_of("h,r\n00,\n");
    assert_int_equal(run(&desk, &texts), ERR_INVALID);
    assert_int_equal(desk.fault.line, 2);
    arena_deinit(&desk.arena);
}

static void bad_scenarios_are_refused_with_their_place(void **state)
{
    static const char *const BAD[] = {
        "workload: {format: gaia, file: y}\n",
        "topology: x\n",
        "topology: x\nworkload: {format: odd, file: y}\n",
        "topology: x\nworkload: {format: gaia, file: y, press: 0}\n",
        "topology: x\nworkload: {format: gaia, file: y, load: 0}\n",
        "topology: x\nworkload: {format: gaia, file: y, runtime: odd}\n",
        "topology: x\nworkload: {format: gaia, file: y}\nchanges: [{what: burn, site: s}]\n",
        "topology: x\nworkload: {format: gaia, file: y}\nfailures: {every: 1h}\n",
        "topology: x\nworkload: {format: gaia, file: y}\nstretch: 99999999\n",
        "topology: x\nworkload: {format: gaia, file: y}\nodd: 1\n",
    };
    struct desk desk;
    (void)state;
    begin(&desk);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_int_not_equal(decode(&desk, BAD[i]), ERR_OK);
        assert_true(desk.fault.line > 0);
    }
    struct scenario_texts texts = {.trace = slice_of(TRACE)};
    assert_int_equal(decode(&desk, "topology: x\nworkload: {format: gaia, file: y}\n"
                                   "changes: [{at: 1h, what: fail, site: nowhere}]\n"),
                     ERR_OK);
    assert_int_equal(run(&desk, &texts), ERR_INVALID);
    arena_deinit(&desk.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scenario_runs_and_its_report_reads_back_the_same),
        cmocka_unit_test(failures_by_seed_are_the_same_each_time),
        cmocka_unit_test(hourly_tables_go_by_the_names_of_regions),
        cmocka_unit_test(bad_scenarios_are_refused_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
