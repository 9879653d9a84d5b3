/* Quarantine: who gets in, who cannot be put in, and how it ends. */
#include <string.h>

#include "world.h"

/* A second tenant below the root. */
static struct tenant_id other_team(struct world *w)
{
    struct doc_value value = {.kind = DOC_TENANT};
    value.tenant.id.id = world_id(w);
    value.tenant.name = SLICE_LITERAL("others");
    value.tenant.parent = w->root;
    value.tenant.weight = 1;
    assert_true(doc_put(w, &value, 0) < API_BAD);
    return value.tenant.id;
}

/* A job of that tenant at site a, its only place; it ends so. */
static void fails_at_a(struct world *w, struct tenant_id tenant, enum outcome outcome)
{
    static const struct slice A = SLICE_LITERAL("a");
    struct job_spec spec = job_of(1, 1000);
    struct job_id job;
    struct attempt_token token;
    struct tenant_id team = w->team;
    spec.placement.sites = (struct text_list){&A, 1};
    w->team = tenant;
    struct fake_site *site = run(w, &spec, &job, &token);
    w->team = team;
    assert_ptr_equal(site, &w->sites[0]);
    site_says(site, &token, PHASE_ENDED, outcome);
    sync_now(w, site);
    site_forgets(site);
    if (server_core_job(w->core, job) != NULL)
        assert_int_equal(cancel(w, job), API_OK);
    sites_speak(w);
}

static void succeeds_at(struct world *w, const char *name)
{
    struct slice at = slice_of(name);
    struct job_spec spec = job_of(1, 1000);
    struct job_id job;
    struct attempt_token token;
    spec.placement.sites = (struct text_list){&at, 1};
    struct fake_site *site = run(w, &spec, &job, &token);
    site_says(site, &token, PHASE_ENDED, OUTCOME_SUCCEEDED);
    sync_now(w, site);
    site_forgets(site);
    sites_speak(w);
}

static bool is_open(struct world *w)
{
    struct buffer text;
    buffer_init(&text, 1 << 16);
    assert_int_equal(server_core_sites(w->core, w->sites[0].id, w->now, &text), ERR_OK);
    bool is = strstr(buffer_text(&text), "\"quarantine\":[]") != NULL;
    buffer_deinit(&text);
    return is;
}

/* Is site a no place for a gang that wants both of its nodes? */
static bool is_filtered(struct world *w)
{
    struct job_spec spec = job_of(2, 1000);
    struct slice at = SLICE_LITERAL("a");
    struct buffer text;
    struct fault fault = {0};
    spec.placement.sites = (struct text_list){&at, 1};
    buffer_init(&text, 1 << 20);
    assert_int_equal(server_core_dry_run(w->core, &spec, w->team, w->now, &text, &fault), ERR_OK);
    bool is =
        strstr(buffer_text(&text), "\"filter\":\"quarantine\",\"reason\":\"1 of its nodes") != NULL;
    buffer_deinit(&text);
    return is;
}

static void fill(struct world *w, struct tenant_id one, struct tenant_id two, enum outcome outcome)
{
    for (int i = 0; i < 2; i++) {
        fails_at_a(w, one, outcome);
        fails_at_a(w, two, outcome);
        world_wait(w, SPAN_S(1));
        sites_speak(w);
    }
}

static void a_node_that_fails_two_tenants_jobs_is_closed_probed_and_let_back(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct tenant_id others = other_team(&w);
    succeeds_at(&w, "b"); /* before any failure: says nothing */
    fails_at_a(&w, w.team, OUTCOME_NODE_LOST);
    world_wait(&w, SPAN_S(1));
    sites_speak(&w);
    succeeds_at(&w, "b");
    fill(&w, w.team, others, OUTCOME_NODE_LOST);
    assert_false(is_open(&w));
    assert_int_equal(world_saw(&w, "alarm.quarantine"), 1);
    assert_true(is_filtered(&w));
    world_restart(&w, false); /* it outlives the process */
    for (int i = 0; i < SITES; i++)
        sync_now(&w, &w.sites[i]);
    assert_false(is_open(&w));
    for (int i = 0; i < 31; i++) {
        sites_speak(&w);
        world_wait(&w, SPAN_S(10));
    }
    sync_now(&w, &w.sites[0]);
    assert_int_equal(w.sites[0].reply.probe_count, 1);
    w.sites[0].probed = (struct sync_probed){.number = w.sites[0].reply.probes[0].number,
                                             .why = SLICE_LITERAL("no sandbox")};
    w.sites[0].has_probed = true;
    sync_now(&w, &w.sites[0]);
    assert_false(is_open(&w));
    assert_int_equal(world_saw(&w, "site.probe_failed"), 1);
    w.sites[0].has_probed = false;
    for (int i = 0; i < 61; i++) { /* the next one comes later */
        sites_speak(&w);
        world_wait(&w, SPAN_S(10));
    }
    sync_now(&w, &w.sites[0]);
    assert_int_equal(w.sites[0].reply.probe_count, 1);
    w.sites[0].probed =
        (struct sync_probed){.number = w.sites[0].reply.probes[0].number, .is_good = true};
    w.sites[0].has_probed = true;
    sync_now(&w, &w.sites[0]);
    assert_true(is_open(&w));
    assert_int_equal(world_saw(&w, "site.released"), 1);
    world_deinit(&w);
}

static void one_tenants_jobs_close_nothing(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    fails_at_a(&w, w.team, OUTCOME_BAD_ENVIRONMENT);
    world_wait(&w, SPAN_S(1));
    sites_speak(&w);
    succeeds_at(&w, "b");
    for (int i = 0; i < 4; i++)
        fill(&w, w.team, w.team, OUTCOME_BAD_ENVIRONMENT);
    assert_true(is_open(&w));
    world_deinit(&w);
}

static void programs_errors_close_nothing(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct tenant_id others = other_team(&w);
    fails_at_a(&w, w.team, OUTCOME_PROGRAM_ERROR);
    world_wait(&w, SPAN_S(1));
    sites_speak(&w);
    succeeds_at(&w, "b");
    for (int i = 0; i < 4; i++)
        fill(&w, w.team, others, i % 2 == 0 ? OUTCOME_PROGRAM_ERROR : OUTCOME_OUT_OF_MEMORY);
    assert_true(is_open(&w));
    world_deinit(&w);
}

static void what_fails_everywhere_closes_nothing(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct tenant_id others = other_team(&w);
    for (int i = 0; i < 4; i++)
        fill(&w, w.team, others, OUTCOME_BAD_ENVIRONMENT);
    assert_true(is_open(&w));
    world_deinit(&w);
}

static void a_node_where_something_succeeds_is_not_closed(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct tenant_id others = other_team(&w);
    for (int i = 0; i < 4; i++) {
        fails_at_a(&w, i % 2 == 0 ? w.team : others, OUTCOME_NODE_LOST);
        world_wait(&w, SPAN_S(1));
        sites_speak(&w);
        succeeds_at(&w, "b");
        succeeds_at(&w, "a");
    }
    assert_true(is_open(&w));
    world_deinit(&w);
}

static void the_operator_closes_and_opens_and_no_probe_does(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct server_event event = {.kind = SERVER_SITE_QUARANTINE};
    (void)state;
    world_init(&w);
    sites_join(&w);
    event.handle = ++w.next_handle;
    event.site.site = w.sites[0].id;
    event.site.flag = true;
    event.site.node = SLICE_LITERAL("nowhere");
    world_step(&w, &event);
    assert_int_equal(w.status, API_UNPROCESSABLE);
    event.handle = ++w.next_handle;
    event.site.node = (struct slice){0};
    world_step(&w, &event);
    assert_int_equal(w.status, API_OK);
    assert_false(is_open(&w));
    struct job_id job = submit(&w, &spec);
    world_place(&w);
    assert_false(id_is_equal(store_attempt(&w, job, 1)->site.id, w.sites[0].id.id));
    struct buffer text;
    struct fault fault = {0};
    buffer_init(&text, 1 << 20);
    assert_int_equal(server_core_dry_run(w.core, &spec, w.team, w.now, &text, &fault), ERR_OK);
    assert_non_null(strstr(buffer_text(&text), "\"filter\":\"quarantine\""));
    buffer_deinit(&text);
    for (int i = 0; i < 40; i++) {
        sites_speak(&w);
        world_wait(&w, SPAN_S(10));
    }
    sync_now(&w, &w.sites[0]);
    assert_false(w.sites[0].has_reply && w.sites[0].reply.probe_count > 0);
    event.handle = ++w.next_handle;
    event.site.flag = false;
    world_step(&w, &event);
    assert_int_equal(w.status, API_OK);
    assert_true(is_open(&w));
    job = submit(&w, &spec);
    world_place(&w);
    assert_true(id_is_equal(store_attempt(&w, job, 1)->site.id, w.sites[0].id.id));
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_fails_two_tenants_jobs_is_closed_probed_and_let_back),
        cmocka_unit_test(one_tenants_jobs_close_nothing),
        cmocka_unit_test(programs_errors_close_nothing),
        cmocka_unit_test(what_fails_everywhere_closes_nothing),
        cmocka_unit_test(a_node_where_something_succeeds_is_not_closed),
        cmocka_unit_test(the_operator_closes_and_opens_and_no_probe_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
