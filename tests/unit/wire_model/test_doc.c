/* Documents: golden forms, reading back, what is refused, and that secrets are not shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "model/words.h"
#include "scene.h"
#include "wire/doc.h"

static struct id number(uint8_t value)
{
    struct id id = {{0}};
    id.bytes[15] = value;
    return id;
}

/* One full example of each kind. */
static const struct site_ask ASKS[] = {{SLICE_LITERAL("A100 80GB SXM"), {12500000}},
                                       {SLICE_LITERAL("MI300X"), {9000001}}};
static const struct site_node NODES[] = {
    {.name = SLICE_LITERAL("gpu-1"),
     .cpu_milli = 96000,
     .mem_bytes = UINT64_C(1) << 40,
     .scratch_bytes = UINT64_C(2) << 40,
     .accelerator = SLICE_LITERAL("A100 80GB SXM"),
     .runtime = RUNTIME_CUDA,
     .accelerator_count = 8},
    {.name = SLICE_LITERAL("login"), .cpu_milli = 500, .mem_bytes = UINT64_C(512) << 20},
};
static const struct slice TEXTS[] = {SLICE_LITERAL("zhongwei"), SLICE_LITERAL("guian")};
static const struct journal_id FORMER[] = {{{{1}}}, {{{2}}}};

static const struct throughput_kind KINDS[] = {
    {.runtime = RUNTIME_CPU, .units = 7, .over = {900}, .fruitless = 1},
    {.runtime = RUNTIME_CANN,
     .devices = 8,
     .accelerator = SLICE_LITERAL("Ascend 910C"),
     .units = 1000000,
     .over = {2000000}},
};

static bool network_example(enum doc_kind kind, struct doc_value *out)
{
    switch (kind) {
    case DOC_REGION:
        out->region = (struct region){
            .id = {number(1)},
            .name = SLICE_LITERAL("ningxia"),
            .title = SLICE_LITERAL("Ningxia 宁夏"),
            .role = ROLE_TRAIN,
            .has_position = true,
            .lat_udeg = 37511290,
            .lon_udeg = -5000,
            .jurisdiction = SLICE_LITERAL("CN"),
            .price_per_kwh = MAYBE_MONEY(((struct money){360000})),
            .price_origin = {SLICE_LITERAL("a tariff"), false},
            .carbon_mg_per_kwh = MAYBE_U64(642300),
            .carbon_origin = {SLICE_LITERAL("a table"), false},
            .pue_milli = MAYBE_U64(1150),
            .pue_origin = {SLICE_LITERAL("a guess"), true},
        };
        return true;
    case DOC_SITE:
        out->site = (struct site){
            .id = {number(2)},
            .name = SLICE_LITERAL("zhongwei"),
            .title = SLICE_LITERAL("Zhongwei"),
            .region = SLICE_LITERAL("ningxia"),
            .operator_name = SLICE_LITERAL("op"),
            .tier = TIER_HUB,
            .engine = ENGINE_SLURM,
            .state = SITE_DRAINING,
            .jurisdiction = SLICE_LITERAL("CN"),
            .ask_per_accelerator_hour = MAYBE_MONEY(((struct money){4000000})),
            .asks = ASKS,
            .ask_count = 2,
            .ask_per_cpu_hour = MAYBE_MONEY(((struct money){40000})),
            .ask_includes_energy = false,
            .ask_origin = {SLICE_LITERAL("a letter"), true},
            .images = {TEXTS, 2},
            .nodes = NODES,
            .node_count = 2,
        };
        return true;
    case DOC_LINK:
        out->link = (struct link){
            .a = SLICE_LITERAL("guian"),
            .b = SLICE_LITERAL("wuhu"),
            .rtt_us = 38400,
            .bandwidth_mbps = MAYBE_U64(10000),
            .source = LINK_MEASURED,
            .egress_per_gb = MAYBE_MONEY(((struct money){50000})),
        };
        return true;
    case DOC_OPERATOR:
        out->account = (struct operator_account){SLICE_LITERAL("op"), SLICE_LITERAL("Op Ltd")};
        return true;
    case DOC_THROUGHPUT:
        out->throughput = (struct throughput){
            .workload = number(11),
            .tenant = {number(3)},
            .name = SLICE_LITERAL("n-body"),
            .nodes = 2,
            .cpu_milli = 1500,
            .kinds = KINDS,
            .kind_count = 2,
        };
        return true;
    case DOC_SITE_STATE:
        out->site_memory = (struct site_memory){
            .site = {number(2)},
            .journal = {number(9)},
            .epoch_reported = UINT64_MAX,
            .usage_acked = 17,
            .former_journals = FORMER,
            .former_journal_count = 2,
            .certificates = {TEXTS, 2},
            .contacted_at = {1700000000000000},
        };
        return true;
    default:
        return false;
    }
}

static bool account_example(enum doc_kind kind, struct doc_value *out)
{
    switch (kind) {
    case DOC_TENANT:
        out->tenant = (struct tenant){
            .id = {number(3)},
            .name = SLICE_LITERAL("lab"),
            .title = SLICE_LITERAL("The lab"),
            .parent = {number(4)},
            .weight = 3,
            .quota = {MAYBE_U64(100500), MAYBE_U64(0), MAYBE_U64(1000), MAYBE_U64(1000)},
            .default_time_limit = SPAN_S(5400),
        };
        return true;
    case DOC_USER:
        out->user = (struct user){
            .id = {number(5)},
            .name = SLICE_LITERAL("ada@lab"),
            .title = SLICE_LITERAL("Ada"),
            .tenant = {number(3)},
            .operator_name = SLICE_LITERAL("op"),
            .roles = ROLE_BIT(ROLE_MEMBER) | ROLE_BIT(ROLE_OPERATOR),
            .is_disabled = true,
            .created_at = {1700000000123000},
        };
        return true;
    case DOC_TOKEN:
        out->api_token = (struct api_token){
            .id = {number(6)},
            .user = {number(5)},
            .label = SLICE_LITERAL("laptop"),
            .hash = digest_of(slice_of("secret")),
            .scopes = PERM_BIT(PERM_JOB_READ) | PERM_BIT(PERM_JOB_SUBMIT),
            .created_at = {1700000000000000},
            .expires_at = {1800000000000000},
            .revoked_at = {1750000000000000},
        };
        return true;
    case DOC_JOIN_TOKEN:
        out->join_token = (struct join_token){
            .id = {number(7)},
            .hash = digest_of(slice_of("join")),
            .site = SLICE_LITERAL("wuhu"),
            .operator_name = SLICE_LITERAL("op"),
            .made_by = {number(5)},
            .created_at = {1700000000000000},
            .expires_at = {1700003600000000},
            .used_at = {1700000001000000},
        };
        return true;
    case DOC_DATASET:
        out->dataset = (struct dataset){
            .id = {number(8)},
            .name = SLICE_LITERAL("wikitext"),
            .tenant = {number(3)},
            .size_bytes = 9007199254740993,
            .artifact = number(9),
            .homes = {TEXTS, 2},
            .jurisdiction = SLICE_LITERAL("CN"),
        };
        return true;
    case DOC_POLICY:
        policy_default(&out->policy);
        out->policy.carbon_price_per_tonne = MAYBE_MONEY(((struct money){90000000}));
        out->policy.egress_per_gb = MAYBE_MONEY(((struct money){1}));
        return true;
    default:
        return false;
    }
}

static void example(enum doc_kind kind, struct doc_value *out)
{
    *out = (struct doc_value){.kind = kind};
    assert_true(network_example(kind, out) || account_example(kind, out));
}

static void test_each_kind_has_its_golden_form_and_reads_back(void **state)
{
    struct scene *scene = *state;
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++) {
        struct doc_value value, again;
        struct buffer bytes;
        char path[64];
        scene_reset(scene);
        example((enum doc_kind)kind, &value);
        assert_int_equal(doc_encode(&value, &scene->buffer), ERR_OK);
        snprintf(path, sizeof(path), "tests/golden/doc/%s.json", DOC_KIND_WORDS[kind]);
        scene_compare(scene, path, buffer_slice(&scene->buffer));
        if (doc_parse((enum doc_kind)kind, buffer_slice(&scene->buffer), &scene->arena, &again,
                      &scene->fault) != ERR_OK)
            fail_msg("%s: %s: %s", path, scene->fault.field, scene->fault.message);
        buffer_init(&bytes, 1 << 20);
        assert_int_equal(doc_encode(&again, &bytes), ERR_OK);
        assert_true(slice_is_equal(buffer_slice(&bytes), buffer_slice(&scene->buffer)));
        buffer_deinit(&bytes);
    }
}

/* Bytes alone would not show a field that neither side knows. */
static void test_fields_read_back(void **state)
{
    struct scene *scene = *state;
    struct doc_value value, out;
#define AGAIN(kind)                                                                                \
    do {                                                                                           \
        scene_reset(scene);                                                                        \
        example((kind), &value);                                                                   \
        assert_int_equal(doc_encode(&value, &scene->buffer), ERR_OK);                              \
        assert_int_equal(                                                                          \
            doc_parse((kind), buffer_slice(&scene->buffer), &scene->arena, &out, NULL), ERR_OK);   \
    } while (0)
    AGAIN(DOC_REGION);
    assert_int_equal(out.region.lon_udeg, -5000);
    assert_int_equal(out.region.pue_milli.value, 1150);
    assert_true(out.region.pue_origin.is_example);
    assert_false(out.region.price_origin.is_example);
    assert_int_equal(out.region.carbon_mg_per_kwh.value, 642300);
    AGAIN(DOC_SITE);
    assert_int_equal(out.site.ask_count, 2);
    assert_int_equal(out.site.asks[1].per_hour.micros, 9000001);
    assert_int_equal(out.site.ask_per_accelerator_hour.value.micros, 4000000);
    assert_int_equal(out.site.state, SITE_DRAINING);
    assert_false(out.site.ask_includes_energy);
    assert_int_equal(out.site.nodes[1].cpu_milli, 500);
    assert_true(site_node_is_alike(&out.site.nodes[0], &NODES[0]));
    AGAIN(DOC_TENANT);
    assert_true(out.tenant.quota.accelerators.has && out.tenant.quota.accelerators.value == 0);
    assert_int_equal(out.tenant.quota.cpu_milli.value, 100500);
    assert_int_equal(out.tenant.quota.storage_bytes.value, 1000);
    assert_int_equal(out.tenant.default_time_limit.ms, 5400000);
    AGAIN(DOC_USER);
    assert_int_equal(out.user.roles, value.user.roles);
    assert_true(out.user.is_disabled);
    assert_int_equal(out.user.created_at.us, 1700000000123000);
    AGAIN(DOC_TOKEN);
    assert_int_equal(out.api_token.scopes, value.api_token.scopes);
    assert_true(digest_is_equal(out.api_token.hash, value.api_token.hash));
    AGAIN(DOC_DATASET);
    assert_int_equal(out.dataset.size_bytes, 9007199254740993);
    assert_int_equal(out.dataset.homes.count, 2);
    AGAIN(DOC_LINK);
    assert_int_equal(out.link.rtt_us, 38400);
    AGAIN(DOC_THROUGHPUT);
    assert_int_equal(out.throughput.kind_count, 2);
    assert_int_equal(throughput_rate(&out.throughput.kinds[1]), 500000000);
    AGAIN(DOC_SITE_STATE);
    assert_true(out.site_memory.epoch_reported == UINT64_MAX);
    assert_int_equal(out.site_memory.former_journal_count, 2);
    assert_true(id_is_equal(out.site_memory.former_journals[1].id, FORMER[1].id));
#undef AGAIN
}

static void test_what_is_empty_stays_empty(void **state)
{
    struct scene *scene = *state;
    struct doc_value out;
    assert_int_equal(doc_parse(DOC_REGION, slice_of("{\"name\":\"r\",\"jurisdiction\":\"CN\"}"),
                               &scene->arena, &out, &scene->fault),
                     ERR_OK);
    assert_false(out.region.price_per_kwh.has || out.region.carbon_mg_per_kwh.has ||
                 out.region.pue_milli.has || out.region.has_position);
    assert_int_equal(doc_encode(&out, &scene->buffer), ERR_OK);
    assert_string_equal(buffer_text(&scene->buffer), "{\"name\":\"r\",\"jurisdiction\":\"CN\"}");
    assert_int_equal(doc_parse(DOC_SITE,
                               slice_of("{\"name\":\"s\",\"region\":\"r\",\"operator\":\"o\","
                                        "\"ask_per_cpu_hour\":null}"),
                               &scene->arena, &out, &scene->fault),
                     ERR_OK);
    assert_false(out.site.ask_per_cpu_hour.has || out.site.ask_per_accelerator_hour.has);
    assert_true(out.site.ask_includes_energy);
}

static void test_secrets_are_not_shown(void **state)
{
    struct scene *scene = *state;
    struct json_writer writer;
    struct doc_value value;
    example(DOC_TOKEN, &value);
    json_writer_init(&writer, &scene->buffer);
    doc_show_api_token(&value.api_token, &writer);
    assert_int_equal(json_writer_finish(&writer), ERR_OK);
    assert_null(strstr(buffer_text(&scene->buffer), "hash"));
    assert_non_null(strstr(buffer_text(&scene->buffer), "job.submit"));
    buffer_reset(&scene->buffer);
    example(DOC_JOIN_TOKEN, &value);
    json_writer_init(&writer, &scene->buffer);
    doc_show_join_token(&value.join_token, &writer);
    assert_int_equal(json_writer_finish(&writer), ERR_OK);
    assert_null(strstr(buffer_text(&scene->buffer), "hash"));
}

static void test_keys_name_each_document(void **state)
{
    static const char *const KEYS[DOC_KIND_COUNT_] = {
        [DOC_REGION] = "ningxia",
        [DOC_SITE] = "site_00000000000000000000000002",
        [DOC_TENANT] = "ten_00000000000000000000000003",
        [DOC_USER] = "usr_00000000000000000000000005",
        [DOC_TOKEN] = "tok_00000000000000000000000006",
        [DOC_JOIN_TOKEN] = "tok_00000000000000000000000007",
        [DOC_DATASET] = "dat_00000000000000000000000008",
        [DOC_LINK] = "guian|wuhu",
        [DOC_POLICY] = "policy",
        [DOC_OPERATOR] = "op",
        [DOC_SITE_STATE] = "site_00000000000000000000000002",
        [DOC_THROUGHPUT] = "wkl_0000000000000000000000000b",
    };
    (void)state;
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++) {
        struct doc_value value;
        char key[DOC_ID_MAX + 1];
        example((enum doc_kind)kind, &value);
        doc_key(&value, key);
        assert_string_equal(key, KEYS[kind]);
    }
}

struct refusal {
    enum doc_kind kind;
    const char *json;
    const char *field;
    const char *words;
};

static const struct refusal REFUSALS[] = {
    {DOC_REGION, "{\"name\":\"r\"}", "jurisdiction", "required"},
    {DOC_REGION, "{\"name\":\"r\",\"jurisdiction\":\"CN\",\"lat\":1}", "lon", "both"},
    {DOC_REGION, "{\"name\":\"r\",\"jurisdiction\":\"CN\",\"lat\":91,\"lon\":0}", "lat", "90"},
    {DOC_REGION, "{\"name\":\"r\",\"jurisdiction\":\"CN\",\"lat\":1.1234567,\"lon\":0}", "lat",
     "6 decimals"},
    {DOC_REGION, "{\"name\":\"r\",\"jurisdiction\":\"CN\",\"pue\":0.5}", "pue", "between 1"},
    {DOC_REGION, "{\"name\":\"r\",\"jurisdiction\":\"CN\",\"price_per_kwh\":-1}", "price_per_kwh",
     "negative"},
    {DOC_REGION, "{\"name\":\"r\",\"jurisdiction\":\"CN\",\"carbon_g_per_kwh\":-1}",
     "carbon_g_per_kwh", "negative"},
    {DOC_REGION, "{\"name\":\"a b\",\"jurisdiction\":\"CN\"}", "name", "letters"},
    {DOC_REGION, "{\"name\":\"r\",\"jurisdiction\":\"CN\",\"prise\":1}", "prise", "unknown"},
    {DOC_SITE, "{\"name\":\"s\",\"region\":\"r\"}", "operator", "required"},
    {DOC_SITE, "{\"name\":\"s\",\"region\":\"r\",\"operator\":\"o\",\"engine\":\"slrum\"}",
     "engine", "slurm"},
    {DOC_SITE,
     "{\"name\":\"s\",\"region\":\"r\",\"operator\":\"o\",\"nodes\":[{\"name\":\"n\",\"cpus\":1}]}",
     "nodes[0].memory", "required"},
    {DOC_SITE,
     "{\"name\":\"s\",\"region\":\"r\",\"operator\":\"o\",\"nodes\":[{\"name\":\"n\",\"cpus\":1,"
     "\"memory\":\"1GiB\",\"accelerators\":\"A100:8\"}]}",
     "nodes[0].runtime", "runtime"},
    {DOC_SITE,
     "{\"name\":\"s\",\"region\":\"r\",\"operator\":\"o\",\"nodes\":[{\"name\":\"n\",\"cpus\":1,"
     "\"memory\":\"1GiB\"},{\"name\":\"n\",\"cpus\":1,\"memory\":\"1GiB\"}]}",
     "nodes[1].name", "already"},
    {DOC_SITE,
     "{\"name\":\"s\",\"region\":\"r\",\"operator\":\"o\",\"nodes\":[{\"name\":\"n\",\"cpus\":1,"
     "\"memory\":\"1GiB\",\"count\":4096},{\"name\":\"m\",\"cpus\":1,\"memory\":\"1GiB\"}]}",
     "nodes", "4096"},
    {DOC_TENANT, "{\"name\":\"t\",\"weight\":0}", "weight", "1"},
    {DOC_TENANT, "{\"name\":\"t\",\"quota\":{\"cpus\":-1}}", "quota.cpus", "negative"},
    {DOC_TENANT, "{\"name\":\"t\",\"quota\":{\"gpus\":1}}", "quota.gpus", ""},
    {DOC_TENANT, "{\"name\":\"t\",\"parent\":\"usr_00000000000000000000000001\"}", "parent",
     "ten_"},
    {DOC_USER, "{\"name\":\"u\",\"roles\":[\"admn\"]}", "roles[0]", "admin"},
    {DOC_USER, "{\"name\":\"u\",\"roles\":[\"agent\"]}", "roles", "certificate"},
    {DOC_USER, "{\"name\":\"u\",\"roles\":[\"member\"]}", "tenant", "need one"},
    {DOC_TOKEN, "{\"user\":\"usr_00000000000000000000000001\",\"hash\":\"00\"}", "hash", "64"},
    {DOC_TOKEN,
     "{\"user\":\"usr_00000000000000000000000001\",\"hash\":"
     "\"0000000000000000000000000000000000000000000000000000000000000000\",\"scopes\":[]}",
     "scopes", "something"},
    {DOC_JOIN_TOKEN,
     "{\"site\":\"s\",\"operator\":\"o\",\"hash\":"
     "\"0000000000000000000000000000000000000000000000000000000000000000\"}",
     "expires_at", "always"},
    {DOC_DATASET, "{\"name\":\"d\"}", "size_bytes", "required"},
    {DOC_DATASET, "{\"name\":\"d\",\"size_bytes\":1,\"homes\":[\"a\",\"a\"]}", "homes[1]", "twice"},
    {DOC_LINK, "{\"a\":\"x\",\"b\":\"x\",\"rtt_ms\":1,\"source\":\"measured\"}", "b", "two ends"},
    {DOC_LINK, "{\"a\":\"x\",\"b\":\"y\",\"source\":\"measured\"}", "rtt_ms", "required"},
    {DOC_LINK, "{\"a\":\"x\",\"b\":\"y\",\"rtt_ms\":0.0001,\"source\":\"measured\"}", "rtt_ms",
     "3 decimals"},
    {DOC_LINK, "{\"a\":\"x\",\"b\":\"y\",\"rtt_ms\":1}", "source", "required"},
    {DOC_POLICY, "{\"currency\":\"yua\"}", "currency", "ISO 4217"},
    {DOC_POLICY, "{\"lease_floor\":\"1ms\"}", "lease_floor", "at least"},
    {DOC_POLICY, "{\"time_value_per_hour\":{\"gold\":1}}", "time_value_per_hour.gold", ""},
    {DOC_OPERATOR, "{\"name\":\"\"}", "name", "name"},
    {DOC_SITE_STATE, "{\"journal\":\"jrn_00000000000000000000000001\"}", "site", "required"},
    {DOC_SITE_STATE, "{\"site\":\"site_00000000000000000000000001\",\"epoch_reported\":-1}",
     "epoch_reported", ""},
    {DOC_SITE_STATE, "7", "", "object"},
    {DOC_THROUGHPUT, "{\"workload\":\"wkl_00000000000000000000000001\"}", "tenant", "required"},
    {DOC_THROUGHPUT,
     "{\"workload\":\"wkl_00000000000000000000000001\","
     "\"tenant\":\"ten_00000000000000000000000001\",\"nodes\":1,\"cpu_milli\":1,"
     "\"kinds\":[{\"runtime\":\"cpu\"},{\"runtime\":\"cpu\"}]}",
     "kinds", "unique"},
};

static void test_wrong_documents_are_refused(void **state)
{
    struct scene *scene = *state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++) {
        const struct refusal *refusal = &REFUSALS[i];
        struct doc_value out = {.kind = DOC_KIND_COUNT_};
        enum err err =
            doc_parse(refusal->kind, slice_of(refusal->json), &scene->arena, &out, &scene->fault);
        if (err == ERR_OK || strcmp(scene->fault.field, refusal->field) != 0 ||
            strstr(scene->fault.message, refusal->words) == NULL || scene->fault.line != 1) {
            print_message("%s\n  gave %s %u:%u [%s] %s\n", refusal->json, err_name(err),
                          scene->fault.line, scene->fault.column, scene->fault.field,
                          scene->fault.message);
            wrong++;
        }
        assert_int_equal(out.kind, DOC_KIND_COUNT_);
    }
    assert_int_equal(wrong, 0);
}

/* A document of the largest site fits. */
static void test_the_largest_site_fits_a_document(void **state)
{
    static struct site_node nodes[SITE_NODES_MAX];
    static char names[SITE_NODES_MAX][NAME_MAX + 1];
    struct scene *scene = *state;
    struct doc_value value, again;
    example(DOC_SITE, &value);
    for (int i = 0; i < SITE_NODES_MAX; i++) {
        nodes[i] = NODES[0];
        snprintf(names[i], sizeof(names[i]), "compute-rack-%02d-node-%04d", i / 64, i);
        nodes[i].name = slice_of(names[i]);
    }
    value.site.nodes = nodes;
    value.site.node_count = SITE_NODES_MAX;
    assert_int_equal(doc_encode(&value, &scene->buffer), ERR_OK);
    assert_int_equal(
        doc_parse(DOC_SITE, buffer_slice(&scene->buffer), &scene->arena, &again, &scene->fault),
        ERR_OK);
    assert_int_equal(again.site.node_count, SITE_NODES_MAX);
}

/* Random bytes of good documents changed: refused with words, or a value that encodes stably. */
static void test_damaged_documents_never_pass_half_read(void **state)
{
    struct scene *scene = *state;
    struct random random;
    random_init(&random, 99);
    for (int round = 0; round < 4000; round++) {
        enum doc_kind kind = (enum doc_kind)random_below(&random, DOC_KIND_COUNT_);
        struct doc_value value, again;
        struct buffer bytes;
        scene_reset(scene);
        example(kind, &value);
        assert_int_equal(doc_encode(&value, &scene->buffer), ERR_OK);
        for (uint64_t n = 1 + random_below(&random, 2); n > 0; n--)
            scene->buffer.data[random_below(&random, scene->buffer.len)] =
                "{}[]:,\"\\-019a.eE+ \x01"[random_below(&random, 18)];
        memset(&scene->fault, 0, sizeof(scene->fault));
        if (doc_parse(kind, buffer_slice(&scene->buffer), &scene->arena, &value, &scene->fault) !=
            ERR_OK) {
            assert_true(scene->fault.message[0] != '\0');
            continue;
        }
        buffer_init(&bytes, 1 << 20);
        assert_int_equal(doc_encode(&value, &bytes), ERR_OK);
        if (doc_parse(kind, buffer_slice(&bytes), &scene->arena, &again, &scene->fault) != ERR_OK)
            fail_msg("%.*s\n%s %s", (int)bytes.len, bytes.data, scene->fault.field,
                     scene->fault.message);
        buffer_reset(&scene->buffer);
        assert_int_equal(doc_encode(&again, &scene->buffer), ERR_OK);
        assert_true(slice_is_equal(buffer_slice(&bytes), buffer_slice(&scene->buffer)));
        buffer_deinit(&bytes);
    }
}

int main(void)
{
#define SCENE_TEST(function) cmocka_unit_test_setup_teardown(function, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_each_kind_has_its_golden_form_and_reads_back),
        SCENE_TEST(test_fields_read_back),
        SCENE_TEST(test_what_is_empty_stays_empty),
        SCENE_TEST(test_secrets_are_not_shown),
        SCENE_TEST(test_keys_name_each_document),
        SCENE_TEST(test_wrong_documents_are_refused),
        SCENE_TEST(test_the_largest_site_fits_a_document),
        SCENE_TEST(test_damaged_documents_never_pass_half_read),
    };
    return cmocka_run_group_tests_name("wire doc", tests, NULL, NULL);
}
