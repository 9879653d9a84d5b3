/* Who may do what; the tenant tree; accounts' own rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "model/account.h"
#include "model/words.h"

/* The whole table, as it was agreed: a letter a permission in the order of the enum.
 * n network, t tenant, o operator, s self, . nothing. */
static const char *const TABLE[ROLE_KIND_COUNT_] = {
    [ROLE_ADMIN] = "nnnnnnnnnnnnnnnnnnnnnnnnnnn.",
    [ROLE_OPERATOR] = "n...ooooo..s.sso.......oo...",
    [ROLE_MEMBER] = "n........t.s.sstttttttttt...",
    [ROLE_VIEWER] = "n........t.s.sst..tt.t.tt...",
    [ROLE_AUDITOR] = "n.......nn.n.n.n..nn.n.nnnn.",
    [ROLE_AGENT] = "...................sss.....s",
};

static void test_rights_are_exactly_these(void **state)
{
    static const char LETTERS[REACH_COUNT_] = {'.', 's', 't', 'o', 'n'};
    (void)state;
    for (int role = 0; role < ROLE_KIND_COUNT_; role++) {
        char row[PERM_COUNT_ + 1] = "";
        for (int p = 0; p < PERM_COUNT_; p++)
            row[p] = LETTERS[role_reach((enum role)role, (enum permission)p)];
        if (strcmp(row, TABLE[role]) != 0)
            fail_msg("%s:\n%s is not\n%s", ROLE_WORDS[role], row, TABLE[role]);
    }
    assert_int_equal(role_reach(ROLE_KIND_COUNT_, PERM_JOB_READ), REACH_NONE);
    assert_int_equal(role_reach(ROLE_ADMIN, PERM_COUNT_), REACH_NONE);
}

static void test_auditor_changes_nothing_and_agent_only_syncs(void **state)
{
    (void)state;
    for (int p = 0; p < PERM_COUNT_; p++) {
        const char *word = PERMISSION_WORDS[p];
        bool reads = strstr(word, ".read") != NULL;
        if (!reads)
            assert_int_equal(role_reach(ROLE_AUDITOR, (enum permission)p), REACH_NONE);
        if (!reads && p != PERM_TOKEN_WRITE)
            assert_int_equal(role_reach(ROLE_VIEWER, (enum permission)p), REACH_NONE);
        for (int role = 0; role < ROLE_AGENT; role++)
            assert_int_equal(role_reach((enum role)role, PERM_AGENT_SYNC), REACH_NONE);
        assert_int_not_equal(role_reach(ROLE_AGENT, (enum permission)p), REACH_NETWORK);
    }
}

static struct tenant_id tenant_number(uint8_t number)
{
    struct tenant_id id = {{{0}}};
    id.id.bytes[0] = number;
    return id;
}

struct scene {
    struct arena arena;
    struct tenant tenants[4]; /* 1 is the root, 2 and 3 below it, 4 below 2 */
    struct tenant_tree tree;
};

static int scene_init(void **state)
{
    static struct scene scene;
    static const uint8_t PARENTS[] = {0, 1, 1, 2};
    static const char *const NAMES[] = {"root", "a", "b", "c"};
    memset(&scene, 0, sizeof(scene));
    arena_init(&scene.arena, 1 << 20);
    for (int i = 0; i < 4; i++)
        scene.tenants[i] = (struct tenant){.id = tenant_number((uint8_t)(i + 1)),
                                           .name = slice_of(NAMES[i]),
                                           .parent = tenant_number(PARENTS[i]),
                                           .weight = 1};
    *state = &scene;
    return tenant_tree_build(scene.tenants, 4, &scene.arena, &scene.tree, NULL) != ERR_OK;
}

static int scene_deinit(void **state)
{
    struct scene *scene = *state;
    arena_deinit(&scene->arena);
    return 0;
}

static void test_members_reach_their_tenant_and_below(void **state)
{
    struct scene *scene = *state;
    struct principal member = {.user = {{{7}}},
                               .tenant = tenant_number(2),
                               .roles = ROLE_BIT(ROLE_MEMBER),
                               .scopes = PERM_ALL};
    static const bool WITHIN[] = {false, true, false, true};
    for (uint8_t i = 0; i < 4; i++) {
        struct subject subject = {.tenant = tenant_number((uint8_t)(i + 1))};
        assert_int_equal(principal_may(&member, PERM_JOB_SUBMIT, &subject, &scene->tree),
                         WITHIN[i]);
        assert_int_equal(principal_may(&member, PERM_JOB_SUBMIT, &subject, NULL), i == 1);
    }
    struct subject network = {0};
    assert_true(principal_may(&member, PERM_NETWORK_READ, &network, &scene->tree));
    assert_false(principal_may(&member, PERM_JOB_READ, &network, &scene->tree));
    struct subject unknown = {.tenant = tenant_number(99)};
    assert_false(principal_may(&member, PERM_JOB_READ, &unknown, &scene->tree));
}

static void test_nothing_matches_by_being_empty_on_both_sides(void **state)
{
    struct scene *scene = *state;
    struct subject nothing = {0};
    struct principal nobody = {.roles = (ROLE_BIT(ROLE_KIND_COUNT_) - 1) & ~ROLE_BIT(ROLE_ADMIN) &
                                        ~ROLE_BIT(ROLE_AUDITOR),
                               .scopes = PERM_ALL};
    for (int p = 0; p < PERM_COUNT_; p++)
        assert_int_equal(principal_may(&nobody, (enum permission)p, &nothing, &scene->tree),
                         p == PERM_NETWORK_READ);
}

static void test_scopes_cut_rights_down_and_never_add(void **state)
{
    struct scene *scene = *state;
    struct subject network = {0};
    struct principal admin = {.roles = ROLE_BIT(ROLE_ADMIN), .scopes = PERM_BIT(PERM_JOB_READ)};
    assert_true(principal_may(&admin, PERM_JOB_READ, &network, &scene->tree));
    assert_false(principal_may(&admin, PERM_JOB_SUBMIT, &network, &scene->tree));
    assert_true(principal_may_ever(&admin, PERM_JOB_READ));
    assert_false(principal_may_ever(&admin, PERM_JOB_SUBMIT));
    struct principal viewer = {.roles = ROLE_BIT(ROLE_VIEWER), .scopes = UINT64_MAX};
    assert_false(principal_may_ever(&viewer, PERM_POLICY_WRITE));
    struct principal none = {.roles = 0, .scopes = PERM_ALL};
    for (int p = 0; p < PERM_COUNT_; p++)
        assert_false(principal_may_ever(&none, (enum permission)p));
}

static void test_operators_and_agents_reach_their_own_sites(void **state)
{
    struct scene *scene = *state;
    struct principal owner = {.user = {{{1}}},
                              .operator_name = SLICE_LITERAL("west"),
                              .roles = ROLE_BIT(ROLE_OPERATOR),
                              .scopes = PERM_ALL};
    struct subject own = {.operator_name = SLICE_LITERAL("west"), .site = {{{5}}}};
    struct subject other = {.operator_name = SLICE_LITERAL("east"), .site = {{{6}}}};
    assert_true(principal_may(&owner, PERM_SITE_DRAIN, &own, &scene->tree));
    assert_false(principal_may(&owner, PERM_SITE_DRAIN, &other, &scene->tree));
    struct principal agent = {.site = {{{5}}}, .roles = ROLE_BIT(ROLE_AGENT), .scopes = PERM_ALL};
    assert_true(principal_may(&agent, PERM_AGENT_SYNC, &own, &scene->tree));
    assert_false(principal_may(&agent, PERM_AGENT_SYNC, &other, &scene->tree));
    assert_false(principal_may(&agent, PERM_SITE_WRITE, &own, &scene->tree));
}

static void test_users_reach_their_own_tokens_only(void **state)
{
    struct scene *scene = *state;
    struct principal member = {.user = {{{7}}},
                               .tenant = tenant_number(1),
                               .roles = ROLE_BIT(ROLE_MEMBER),
                               .scopes = PERM_ALL};
    struct subject own = {.user = {{{7}}}, .tenant = tenant_number(1)};
    struct subject other = {.user = {{{8}}}, .tenant = tenant_number(1)};
    assert_true(principal_may(&member, PERM_TOKEN_WRITE, &own, &scene->tree));
    assert_false(principal_may(&member, PERM_TOKEN_WRITE, &other, &scene->tree));
}

static void test_tree_finds_parents_and_limits(void **state)
{
    struct scene *scene = *state;
    const struct tenant_tree *tree = &scene->tree;
    assert_ptr_equal(tenant_tree_find(tree, tenant_number(3)), &scene->tenants[2]);
    assert_null(tenant_tree_find(tree, tenant_number(9)));
    assert_null(tenant_tree_find(tree, tenant_number(0)));
    assert_ptr_equal(tenant_tree_parent(tree, &scene->tenants[3]), &scene->tenants[1]);
    assert_null(tenant_tree_parent(tree, &scene->tenants[0]));
    assert_int_equal(tree->depths[3], 2);
    assert_true(tenant_tree_is_within(tree, tenant_number(4), tenant_number(1)));
    assert_false(tenant_tree_is_within(tree, tenant_number(1), tenant_number(4)));
    assert_int_equal(tenant_tree_time_limit(tree, tenant_number(4), SPAN_S(5)).ms, 5000);
    scene->tenants[1].default_time_limit = SPAN_S(60);
    assert_int_equal(tenant_tree_time_limit(tree, tenant_number(4), SPAN_S(5)).ms, 60000);
    assert_int_equal(tenant_tree_time_limit(tree, tenant_number(3), SPAN_S(5)).ms, 5000);
}

static void test_cycles_strangers_and_twins_are_refused(void **state)
{
    struct scene *scene = *state;
    struct tenant_tree tree = {0};
    struct fault fault;
    scene->tenants[0].parent = tenant_number(4);
    assert_int_equal(tenant_tree_build(scene->tenants, 4, &scene->arena, &tree, &fault),
                     ERR_INVALID);
    assert_string_equal(fault.field, "parent");
    assert_non_null(strstr(fault.message, "cycle"));
    scene->tenants[0].parent = tenant_number(77);
    assert_int_equal(tenant_tree_build(scene->tenants, 4, &scene->arena, &tree, &fault),
                     ERR_INVALID);
    scene->tenants[0].parent = tenant_number(0);
    scene->tenants[2].name = SLICE_LITERAL("a");
    assert_int_equal(tenant_tree_build(scene->tenants, 4, &scene->arena, &tree, &fault),
                     ERR_INVALID);
    assert_string_equal(fault.field, "name");
    scene->tenants[2].name = SLICE_LITERAL("b");
    scene->tenants[2].id = tenant_number(4);
    assert_int_equal(tenant_tree_build(scene->tenants, 4, &scene->arena, &tree, &fault),
                     ERR_INVALID);
    assert_string_equal(fault.field, "id");
    assert_null(tree.tenants);
}

static void test_tree_is_bounded_in_depth(void **state)
{
    struct tenant chain[TENANT_DEPTH_MAX + 2];
    struct tenant_tree tree;
    struct arena arena;
    struct fault fault;
    (void)state;
    arena_init(&arena, 1 << 20);
    for (uint8_t i = 0; i < TENANT_DEPTH_MAX + 2; i++)
        chain[i] = (struct tenant){.id = tenant_number((uint8_t)(i + 1)),
                                   .name = SLICE_LITERAL("x"),
                                   .parent = tenant_number(i),
                                   .weight = 1};
    assert_int_equal(tenant_tree_build(chain, TENANT_DEPTH_MAX + 1, &arena, &tree, &fault), ERR_OK);
    assert_int_equal(tenant_tree_build(chain, TENANT_DEPTH_MAX + 2, &arena, &tree, &fault),
                     ERR_LIMIT);
    arena_deinit(&arena);
}

/* Against the plain way of climbing, on random forests. */
static void test_within_agrees_with_climbing(void **state)
{
    enum { COUNT = 60 };
    struct tenant tenants[COUNT];
    char names[COUNT][8];
    struct tenant_tree tree;
    struct random random;
    struct arena arena;
    (void)state;
    random_init(&random, 3);
    arena_init(&arena, 1 << 20);
    for (int round = 0; round < 50; round++) {
        arena_reset(&arena);
        for (int i = 0; i < COUNT; i++) {
            uint8_t parent = i == 0 ? 0 : (uint8_t)random_below(&random, (uint64_t)(i / 8 + 1));
            snprintf(names[i], sizeof(names[i]), "t%d", i);
            tenants[i] = (struct tenant){
                .id = tenant_number((uint8_t)(i + 1)), .name = slice_of(names[i]), .weight = 1};
            if (random_chance(&random, 900000))
                tenants[i].parent = tenant_number(parent);
        }
        assert_int_equal(tenant_tree_build(tenants, COUNT, &arena, &tree, NULL), ERR_OK);
        for (int a = 0; a < COUNT; a++) {
            for (int b = 0; b < COUNT; b++) {
                bool within = false;
                for (int at = a; at >= 0; at = tenants[at].parent.id.bytes[0] - 1)
                    within = within || at == b;
                assert_int_equal(tenant_tree_is_within(&tree, tenants[a].id, tenants[b].id),
                                 within);
            }
        }
    }
    arena_deinit(&arena);
}

static void test_accounts_own_rules(void **state)
{
    struct user user = {.name = SLICE_LITERAL("ada"), .roles = ROLE_BIT(ROLE_AGENT)};
    struct fault fault;
    (void)state;
    assert_int_equal(user_check(&user, &fault), ERR_INVALID);
    assert_string_equal(fault.field, "roles");
    user.roles = ROLE_BIT(ROLE_MEMBER);
    assert_int_equal(user_check(&user, &fault), ERR_INVALID);
    assert_string_equal(fault.field, "tenant");
    user.tenant = tenant_number(1);
    assert_int_equal(user_check(&user, &fault), ERR_OK);
    user.roles |= ROLE_BIT(ROLE_OPERATOR);
    assert_int_equal(user_check(&user, &fault), ERR_INVALID);
    user.name = SLICE_LITERAL("a/b");
    assert_int_equal(user_check(&user, &fault), ERR_INVALID);
    assert_string_equal(fault.field, "name");
    struct tenant tenant = {.name = SLICE_LITERAL("x"), .weight = 0};
    assert_int_equal(tenant_check(&tenant, &fault), ERR_INVALID);
    assert_string_equal(fault.field, "weight");
    struct policy policy;
    policy_default(&policy);
    assert_int_equal(policy_check(&policy, &fault), ERR_OK);
    policy.currency = SLICE_LITERAL("yuan");
    assert_int_equal(policy_check(&policy, &fault), ERR_INVALID);
}

static void test_tokens_end(void **state)
{
    struct api_token token = {.expires_at = {100}};
    struct join_token join = {.expires_at = {100}};
    (void)state;
    assert_true(api_token_is_good(&token, (struct wall_us){99}));
    assert_false(api_token_is_good(&token, (struct wall_us){100}));
    token.expires_at.us = 0;
    assert_true(api_token_is_good(&token, (struct wall_us){INT64_MAX}));
    token.revoked_at.us = 1;
    assert_false(api_token_is_good(&token, (struct wall_us){0}));
    assert_true(join_token_is_good(&join, (struct wall_us){99}));
    assert_false(join_token_is_good(&join, (struct wall_us){100}));
    join.used_at.us = 1;
    assert_false(join_token_is_good(&join, (struct wall_us){1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights_are_exactly_these),
        cmocka_unit_test(test_auditor_changes_nothing_and_agent_only_syncs),
        cmocka_unit_test_setup_teardown(test_members_reach_their_tenant_and_below, scene_init,
                                        scene_deinit),
        cmocka_unit_test_setup_teardown(test_nothing_matches_by_being_empty_on_both_sides,
                                        scene_init, scene_deinit),
        cmocka_unit_test_setup_teardown(test_scopes_cut_rights_down_and_never_add, scene_init,
                                        scene_deinit),
        cmocka_unit_test_setup_teardown(test_operators_and_agents_reach_their_own_sites, scene_init,
                                        scene_deinit),
        cmocka_unit_test_setup_teardown(test_users_reach_their_own_tokens_only, scene_init,
                                        scene_deinit),
        cmocka_unit_test_setup_teardown(test_tree_finds_parents_and_limits, scene_init,
                                        scene_deinit),
        cmocka_unit_test_setup_teardown(test_cycles_strangers_and_twins_are_refused, scene_init,
                                        scene_deinit),
        cmocka_unit_test(test_tree_is_bounded_in_depth),
        cmocka_unit_test(test_within_agrees_with_climbing),
        cmocka_unit_test(test_accounts_own_rules),
        cmocka_unit_test(test_tokens_end),
    };
    return cmocka_run_group_tests_name("model account", tests, NULL, NULL);
}
