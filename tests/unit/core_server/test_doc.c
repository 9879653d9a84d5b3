/* Documents: versions, references, names, and what they do to the network. */
#include <string.h>

#include "world.h"

static struct doc_value tenant_doc(struct tenant_id id, const char *name, struct tenant_id parent)
{
    struct doc_value value = {.kind = DOC_TENANT};
    value.tenant = (struct tenant){.id = id, .name = slice_of(name), .parent = parent, .weight = 1};
    return value;
}

static void a_document_changes_only_from_the_version_that_was_read(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    struct tenant_id id = {world_id(&w)};
    struct doc_value value = tenant_doc(id, "x", w.root);
    assert_int_equal(doc_put(&w, &value, 4), API_MISSING);
    assert_int_equal(doc_put(&w, &value, 0), API_CREATED);
    assert_int_equal(doc_put(&w, &value, 0), API_CONFLICT);
    value.tenant.weight = 3;
    assert_int_equal(doc_put(&w, &value, 2), API_PRECONDITION);
    assert_int_equal(doc_put(&w, &value, 1), API_OK);
    assert_int_equal(w.etag, 2);
    world_restart(&w, false);
    assert_int_equal(doc_put(&w, &value, 1), API_PRECONDITION);
    assert_int_equal(doc_put(&w, &value, 2), API_OK);
    assert_int_equal(server_core_tenant(w.core, id)->weight, 3);
    assert_true(world_saw(&w, "tenant.changed") >= 3);
    world_deinit(&w);
}

static void references_must_stand(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    const struct tenant_id nobody = {world_id(&w)};
    struct doc_value value = tenant_doc((struct tenant_id){world_id(&w)}, "x", nobody);
    assert_int_equal(doc_put(&w, &value, 0), API_UNPROCESSABLE);
    value = (struct doc_value){.kind = DOC_SITE};
    value.site = (struct site){.id.id = world_id(&w),
                               .name = SLICE_LITERAL("x"),
                               .region = SLICE_LITERAL("nowhere"),
                               .operator_name = SLICE_LITERAL("op")};
    assert_int_equal(doc_put(&w, &value, 0), API_UNPROCESSABLE);
    value.site.region = SLICE_LITERAL("west");
    value.site.name = SLICE_LITERAL("a");
    assert_int_equal(doc_put(&w, &value, 0), API_CONFLICT); /* the name is taken */
    value = (struct doc_value){.kind = DOC_USER};
    value.user = (struct user){.id.id = world_id(&w),
                               .name = SLICE_LITERAL("u"),
                               .tenant = nobody,
                               .roles = ROLE_BIT(ROLE_MEMBER)};
    assert_int_equal(doc_put(&w, &value, 0), API_UNPROCESSABLE);
    value = (struct doc_value){.kind = DOC_LINK};
    value.link = (struct link){.a = SLICE_LITERAL("a"), .b = SLICE_LITERAL("zz"), .rtt_us = 10};
    assert_int_equal(doc_put(&w, &value, 0), API_UNPROCESSABLE);
    value.link.b = SLICE_LITERAL("b");
    assert_int_equal(doc_put(&w, &value, 0), API_CREATED);
    world_deinit(&w);
}

static void tenants_form_no_cycle_and_are_not_too_deep(void **state)
{
    struct world w;
    struct tenant_id chain[TENANT_DEPTH_MAX];
    (void)state;
    world_init(&w);
    struct tenant_id parent = w.root;
    for (int i = 0; i < TENANT_DEPTH_MAX - 1; i++) {
        char name[3] = {'t', (char)('a' + i), 0};
        chain[i].id = world_id(&w);
        struct doc_value value = tenant_doc(chain[i], name, parent);
        assert_int_equal(doc_put(&w, &value, 0), API_CREATED);
        parent = chain[i];
    }
    struct doc_value value = tenant_doc((struct tenant_id){world_id(&w)}, "deep", parent);
    assert_int_equal(doc_put(&w, &value, 0), API_BUSY);
    value = tenant_doc(chain[0], "ta", chain[3]);
    assert_int_equal(doc_put(&w, &value, 1), API_UNPROCESSABLE);
    value = tenant_doc(w.team, "team", chain[2]); /* moved with its jobs */
    struct job_spec spec = job_of(1, 1000);
    (void)submit(&w, &spec);
    assert_int_equal(doc_put(&w, &value, 1), API_OK);
    world_restart(&w, false);
    (void)submit(&w, &spec);
    world_deinit(&w);
}

static void what_is_in_use_is_not_deleted(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    char text[ID_TEXT_MAX];
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    assert_int_equal(doc_delete(&w, DOC_REGION, "west"), API_CONFLICT);
    id_format(w.root.id, ID_PREFIX_TENANT, text);
    assert_int_equal(doc_delete(&w, DOC_TENANT, text), API_CONFLICT);
    id_format(w.team.id, ID_PREFIX_TENANT, text);
    assert_int_equal(doc_delete(&w, DOC_TENANT, text), API_CONFLICT);
    id_format(site->id.id, ID_PREFIX_SITE, text);
    assert_int_equal(doc_delete(&w, DOC_SITE, text), API_CONFLICT);
    site_says(site, &token, PHASE_ENDED, OUTCOME_SUCCEEDED);
    sync_now(&w, site);
    assert_int_equal(doc_delete(&w, DOC_SITE, text), API_OK);
    assert_null(store_doc(&w, DOC_SITE_STATE, slice_of(text)));
    assert_int_equal(doc_delete(&w, DOC_SITE, text), API_MISSING);
    sync_now(&w, site);
    assert_int_equal(w.status, API_FORBIDDEN);
    id_format(w.team.id, ID_PREFIX_TENANT, text);
    assert_int_equal(doc_delete(&w, DOC_TENANT, text), API_OK);
    world_restart(&w, false);
    world_deinit(&w);
}

static void a_tokens_hash_never_leaves(void **state)
{
    struct world w;
    char text[ID_TEXT_MAX];
    (void)state;
    world_init(&w);
    struct doc_value value = {.kind = DOC_USER};
    struct user_id user = {world_id(&w)};
    value.user = (struct user){
        .id = user, .name = SLICE_LITERAL("u"), .tenant = w.team, .roles = ROLE_BIT(ROLE_MEMBER)};
    assert_int_equal(doc_put(&w, &value, 0), API_CREATED);
    value = (struct doc_value){.kind = DOC_TOKEN};
    value.api_token = (struct api_token){.id.id = world_id(&w),
                                         .user = user,
                                         .hash = digest_of(SLICE_LITERAL("secret")),
                                         .scopes = PERM_ALL,
                                         .created_at = w.now.wall};
    char hash[DIGEST_TEXT_MAX];
    digest_format(value.api_token.hash, hash);
    assert_int_equal(doc_put(&w, &value, 0), API_CREATED);
    assert_null(strstr(w.body.data, hash));
    id_format(value.api_token.id.id, ID_PREFIX_TOKEN, text);
    assert_non_null(strstr(store_doc(&w, DOC_TOKEN, slice_of(text))->body.data, hash));
    world_deinit(&w);
}

static void only_certificates_of_a_sites_memory_can_be_put(void **state)
{
    struct world w;
    char text[ID_TEXT_MAX];
    const struct slice serial = SLICE_LITERAL("0aff");
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct doc_value value = {.kind = DOC_SITE_STATE};
    value.site_memory = (struct site_memory){
        .site = w.sites[0].id, .epoch_reported = 99, .certificates = {&serial, 1}};
    assert_int_equal(doc_put(&w, &value, 0), API_OK);
    id_format(w.sites[0].id.id, ID_PREFIX_SITE, text);
    const char *body = store_doc(&w, DOC_SITE_STATE, slice_of(text))->body.data;
    assert_non_null(strstr(body, "0aff"));
    assert_null(strstr(body, "99,"));
    world_restart(&w, false);
    sync_now(&w, &w.sites[0]); /* the journal was kept: nothing is asked */
    assert_false(w.sites[0].has_reply);
    world_deinit(&w);
}

static void a_policy_outranks_the_settings(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    const struct job_spec *asked = &spec;
    struct doc_value value = {.kind = DOC_POLICY};
    (void)state;
    world_init(&w);
    policy_default(&value.policy);
    value.policy.lease_floor = SPAN_S(5);
    value.policy.contact_limit = SPAN_S(3);
    assert_int_equal(doc_put(&w, &value, 0), API_CREATED);
    spec.contact = CONTACT_LEASE;
    spec.lease = SPAN_S(5);
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_CREATED);
    world_restart(&w, false);
    sites_join(&w);
    world_wait(&w, SPAN_S(4));
    assert_int_equal(server_core_counts(w.core).sites_lost, 3);
    world_deinit(&w);
}

static void a_sites_new_nodes_take_work(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 6000);
    const struct job_spec *asked = &spec;
    static const struct site_node NODES[3] = {
        {.name = {"n1", 2}, .cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30},
        {.name = {"n2", 2}, .cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30},
        {.name = {"n3", 2}, .cpu_milli = 8000, .mem_bytes = UINT64_C(8) << 30}};
    (void)state;
    world_init(&w);
    sites_join(&w);
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_UNPROCESSABLE); /* no node is ever that large */
    struct doc_value value = {.kind = DOC_SITE};
    value.site = (struct site){.id = w.sites[1].id,
                               .name = SLICE_LITERAL("b"),
                               .region = SLICE_LITERAL("west"),
                               .operator_name = SLICE_LITERAL("op"),
                               .ask_per_cpu_hour = MAYBE_MONEY(((struct money){1})),
                               .nodes = NODES,
                               .node_count = 3};
    assert_int_equal(doc_put(&w, &value, 1), API_OK);
    struct job_id job = submit(&w, &spec);
    world_place(&w);
    assert_true(id_is_equal(store_attempt(&w, job, 1)->site.id, w.sites[1].id.id));
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_changes_only_from_the_version_that_was_read),
        cmocka_unit_test(references_must_stand),
        cmocka_unit_test(tenants_form_no_cycle_and_are_not_too_deep),
        cmocka_unit_test(what_is_in_use_is_not_deleted),
        cmocka_unit_test(a_tokens_hash_never_leaves),
        cmocka_unit_test(only_certificates_of_a_sites_memory_can_be_put),
        cmocka_unit_test(a_policy_outranks_the_settings),
        cmocka_unit_test(a_sites_new_nodes_take_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
