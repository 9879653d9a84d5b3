/* Properties of the placement engine over long random runs: the same from events as from a
 * snapshot, the same as slow and simple code, never past a limit. A failing run prints its seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "core/explain.h"
#include "place_world.h"

enum { SEEDS = 60, STEPS = 250 };

static void seed_print(uint64_t seed)
{
    print_message("seed %llu\n", (unsigned long long)seed);
}

static void propose_all(struct world *w)
{
    struct place_decision d;
    while (placer_propose(w->placer, w->now, &d)) {
        if (random_chance(&w->random, 100000)) {
            placer_abort(w->placer, d.job);
            continue;
        }
        placer_confirm(w->placer, d.job, w->now);
        world_held(w, &d);
    }
}

static uint32_t tenant_any(struct world *w)
{
    return (uint32_t)random_below(&w->random, WORLD_TENANTS);
}

static void event_random(struct world *w)
{
    struct world_job *job;
    uint32_t site = (uint32_t)random_below(&w->random, WORLD_SITES - 1);
    w->now.wall.us += (int64_t)random_below(&w->random, 60000000);
    w->now.boot.ns += 30000000;
    switch (random_below(&w->random, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        if (random_chance(&w->random, 900000) || w->job_count < 20) {
            uint32_t spec = (uint32_t)random_below(&w->random, WORLD_SPECS);
            (void)world_submit(w, spec, tenant_any(w));
            return;
        }
        return;
    case 6:
        if ((job = world_pick(w, WORLD_JOB_QUEUED)) != NULL)
            world_remove(w, job);
        return;
    case 7:
        world_observe(w, site);
        return;
    case 8:
        w->is_open[site] = !w->is_open[site] || random_chance(&w->random, 700000);
        placer_site_open(w->placer, w->sites[site].id, w->is_open[site]);
        return;
    case 9: {
        struct tenant *tenant = &w->tenants[tenant_any(w)];
        tenant->quota.cpu_milli = (struct maybe_u64){random_chance(&w->random, 300000),
                                                     4000 + random_below(&w->random, 40000)};
        assert_int_equal(placer_tenant_put(w->placer, tenant), ERR_OK);
        return;
    }
    case 10:
        w->sites[site].ask_per_cpu_hour.value.micros =
            (int64_t)(50000 + random_below(&w->random, 100000));
        assert_int_equal(placer_site_put(w->placer, &w->sites[site], w->is_open[site]), ERR_OK);
        placer_site_observe(w->placer, w->sites[site].id, w->seen[site], w->sites[site].node_count);
        return;
    case 11: /* law and prices change under jobs that wait */
        w->regions[site].jurisdiction = slice_of(random_chance(&w->random, 300000) ? "HK" : "CN");
        w->regions[site].price_per_kwh.value.micros = (int64_t)random_below(&w->random, 900000);
        assert_int_equal(placer_region_put(w->placer, &w->regions[site]), ERR_OK);
        return;
    case 12:
    case 13:
    case 14:
        if ((job = world_pick(w, WORLD_JOB_HELD)) != NULL)
            world_release(w, job);
        return;
    default:
        if (w->has_workloads && random_chance(&w->random, 300000))
            world_speed(w);
        propose_all(w);
        return;
    }
}

/* ---- from events as from a snapshot */

static void explanation_bytes(struct world *w, struct placer *placer, struct job_id job,
                              struct buffer *out)
{
    struct arena arena;
    struct place_explanation e;
    struct json_writer writer;
    arena_init(&arena, 1 << 20);
    buffer_reset(out);
    assert_int_equal(placer_explain(placer, job, w->now, &arena, &e), ERR_OK);
    json_writer_init(&writer, out);
    explanation_write(&writer, &e);
    arena_deinit(&arena);
}

static void assert_same_explanations(struct world *w, struct placer *other)
{
    struct buffer a, b;
    buffer_init(&a, 1 << 20);
    buffer_init(&b, 1 << 20);
    for (uint32_t i = 0; i < w->job_count; i++) {
        if (w->jobs[i].state != WORLD_JOB_QUEUED && w->jobs[i].state != WORLD_JOB_HELD)
            continue;
        explanation_bytes(w, w->placer, w->jobs[i].job.id, &a);
        explanation_bytes(w, other, w->jobs[i].job.id, &b);
        assert_string_equal(buffer_text(&a), buffer_text(&b));
    }
    buffer_deinit(&a);
    buffer_deinit(&b);
}

static void assert_same_decisions(struct world *w, struct placer *other)
{
    struct place_decision a, b;
    world_nudge(w, w->placer);
    world_nudge(w, other);
    for (;;) {
        bool more = placer_propose(w->placer, w->now, &a);
        assert_int_equal(placer_propose(other, w->now, &b), more);
        if (!more)
            break;
        assert_true(id_is_equal(a.job.id, b.job.id));
        assert_true(id_is_equal(a.site.id, b.site.id));
        assert_int_equal(a.variant, b.variant);
        assert_int_equal(a.ask_per_hour.micros, b.ask_per_hour.micros);
        for (uint32_t r = 0; r < a.nodes; r++) {
            assert_int_equal(a.places[r].node, b.places[r].node);
            assert_int_equal(a.places[r].device_count, b.places[r].device_count);
            assert_memory_equal(a.places[r].devices, b.places[r].devices, a.places[r].device_count);
        }
        placer_confirm(w->placer, a.job, w->now);
        placer_confirm(other, b.job, w->now);
        world_held(w, &a);
    }
    assert_same_explanations(w, other);
}

static void a_placer_built_from_a_snapshot_decides_and_explains_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = world_make(seed);
        seed_print(seed);
        w->has_workloads = seed % 3 == 0;
        for (int step = 1; step <= STEPS; step++) {
            event_random(w);
            if (step % 25 != 0)
                continue;
            struct placer *other = world_rebuild(w);
            assert_same_decisions(w, other);
            placer_destroy(other);
        }
        world_free(w);
    }
}

/* ---- never past a limit */

struct use {
    uint64_t cpu_milli, mem_bytes;
    uint32_t devices;
};

static void use_count(const struct world *w, struct use use[WORLD_SITES][WORLD_NODES])
{
    memset(use, 0, sizeof(struct use) * WORLD_SITES * WORLD_NODES);
    for (uint32_t i = 0; i < w->job_count; i++) {
        const struct world_job *job = &w->jobs[i];
        int site = job->state == WORLD_JOB_HELD ? world_site_of(w, job->decision->site) : -1;
        for (uint32_t r = 0; site >= 0 && r < job->decision->nodes; r++) {
            const struct rank_place *place = &job->decision->places[r];
            struct use *at = &use[site][place->node];
            at->cpu_milli += job->job.spec->cpu_milli;
            at->mem_bytes += job->job.spec->mem_bytes;
            for (uint8_t d = 0; d < place->device_count; d++) {
                assert_false(at->devices >> place->devices[d] & 1); /* nobody's before */
                at->devices |= UINT32_C(1) << place->devices[d];
            }
        }
    }
}

static bool seen_device(const struct sync_node *seen, uint8_t device)
{
    for (uint8_t i = 0; i < seen->devices_free_count; i++)
        if (seen->devices_free[i] == device)
            return true;
    return false;
}

/* What a new decision may rely on: the books and what the site measures. */
static void assert_decision_is_sound(struct world *w, const struct place_decision *d)
{
    static struct use use[WORLD_SITES][WORLD_NODES];
    int s = world_site_of(w, d->site);
    const struct world_job *job = world_job_of(w, d->job);
    const struct job_variant *variant = &job->job.spec->variants[d->variant];
    use_count(w, use); /* with the decision in it */
    assert_true(w->is_open[s]);
    assert_int_equal(d->nodes, job->job.spec->num_nodes); /* all of a gang or none */
    for (uint32_t r = 0; r < d->nodes; r++) {
        const struct rank_place *place = &d->places[r];
        const struct site_node *node = &w->nodes[s][place->node];
        const struct sync_node *seen = &w->seen[s][place->node];
        assert_true(place->node < w->sites[s].node_count && seen->is_up);
        for (uint32_t q = 0; q < r; q++)
            assert_int_not_equal(place->node, d->places[q].node);
        assert_true(use[s][place->node].cpu_milli <= node->cpu_milli);
        assert_true(use[s][place->node].cpu_milli <= seen->cpu_milli_free);
        assert_true(use[s][place->node].mem_bytes <= node->mem_bytes);
        assert_true(use[s][place->node].mem_bytes <= seen->mem_bytes_free);
        assert_int_equal(place->device_count, variant->accelerators);
        for (uint8_t i = 0; i < place->device_count; i++) {
            assert_true(place->devices[i] < node->accelerator_count);
            assert_true(seen_device(seen, place->devices[i]));
        }
    }
}

static uint64_t held_by(const struct world *w, uint32_t tenant, bool of_chips)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < w->job_count; i++) {
        const struct world_job *job = &w->jobs[i];
        struct tenant_id at = job->job.tenant;
        bool is_below = false;
        for (int up = 0; up < 4 && !id_is_none(at.id); up++) {
            is_below = is_below || id_is_equal(at.id, w->tenants[tenant].id.id);
            for (uint32_t t = 0; t < WORLD_TENANTS; t++)
                if (id_is_equal(w->tenants[t].id.id, at.id)) {
                    at = w->tenants[t].parent;
                    break;
                }
        }
        if (job->state == WORLD_JOB_HELD && is_below)
            sum += (uint64_t)job->decision->nodes *
                   (of_chips ? job->job.spec->variants[job->decision->variant].accelerators
                             : job->job.spec->cpu_milli);
    }
    return sum;
}

static void assert_quotas(const struct world *w, struct tenant_id of)
{
    for (uint32_t t = 0; t < WORLD_TENANTS; t++) {
        const struct tenant_quota *quota = &w->tenants[t].quota;
        bool is_on_path = t == 0 || id_is_equal(w->tenants[t].id.id, of.id) ||
                          (t == 1 && (id_is_equal(w->tenants[4].id.id, of.id) ||
                                      id_is_equal(w->tenants[5].id.id, of.id)));
        if (is_on_path && quota->cpu_milli.has)
            assert_true(held_by(w, t, false) <= quota->cpu_milli.value);
        if (is_on_path && quota->accelerators.has)
            assert_true(held_by(w, t, true) <= quota->accelerators.value);
    }
}

static void assert_array_limits(const struct world *w)
{
    uint32_t held[WORLD_SPECS] = {0};
    for (uint32_t i = 0; i < w->job_count; i++)
        if (w->jobs[i].state == WORLD_JOB_HELD)
            held[w->jobs[i].job.spec - w->specs]++;
    for (uint32_t s = 0; s < WORLD_SPECS; s++)
        if (w->specs[s].array_parallel_max > 0)
            assert_true(held[s] <= w->specs[s].array_parallel_max);
}

/* ---- the filters once more, in plain words */

static bool has(const struct text_list *list, struct slice name)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (slice_is_equal(list->items[i], name))
            return true;
    return false;
}

static bool is_near(const struct world *w, const struct job_placement *want, int s)
{
    if (want->round_trip_max.ms == 0 || slice_is_equal(want->near, w->sites[s].name))
        return true;
    for (uint32_t i = 0; i < w->link_count; i++) {
        const struct link *link = &w->links[i];
        bool joins =
            (slice_is_equal(link->a, want->near) && slice_is_equal(link->b, w->sites[s].name)) ||
            (slice_is_equal(link->b, want->near) && slice_is_equal(link->a, w->sites[s].name));
        if (joins)
            return link->rtt_us <= (uint64_t)want->round_trip_max.ms * 1000;
    }
    return false;
}

static bool is_allowed(const struct world *w, const struct place_job *job, int s, uint32_t v)
{
    const struct job_placement *want = &job->spec->placement;
    const struct job_variant *variant = &job->spec->variants[v];
    const struct region *region = &w->regions[s]; /* each site has its own, of its name */
    bool is_foreign = variant->runtime == RUNTIME_CUDA || variant->runtime == RUNTIME_ROCM;
    if (want->jurisdictions.count > 0 && !has(&want->jurisdictions, region->jurisdiction))
        return false;
    if ((want->sites.count > 0 && !has(&want->sites, w->sites[s].name)) ||
        (want->regions.count > 0 && !has(&want->regions, w->sites[s].name)) ||
        has(&want->avoid_sites, w->sites[s].name))
        return false;
    if (want->role != ROLE_ANY && region->role != ROLE_ANY && want->role != region->role)
        return false;
    if (w->sites[s].tier == TIER_EDGE && want->role != ROLE_SERVE)
        return false;
    if (want->provenance == PROVENANCE_DOMESTIC_ONLY && is_foreign)
        return false;
    if (job->has_restore &&
        (job->restore_runtime != variant->runtime ||
         (job->restore_world_size != 0 && job->restore_world_size != job->spec->num_nodes) ||
         (job->restore_jurisdiction.len > 0 &&
          !slice_is_equal(job->restore_jurisdiction, region->jurisdiction))))
        return false;
    return is_near(w, want, s);
}

static void no_decision_is_past_a_limit_or_a_filter(void **state)
{
    uint32_t decisions = 0;
    (void)state;
    for (uint64_t seed = 1000; seed < 1000 + SEEDS; seed++) {
        struct world *w = world_make(seed);
        struct place_decision d;
        seed_print(seed);
        for (int step = 0; step < STEPS; step++) {
            event_random(w);
            while (placer_propose(w->placer, w->now, &d)) {
                struct world_job *job = world_job_of(w, d.job);
                placer_confirm(w->placer, d.job, w->now);
                world_held(w, &d);
                decisions++;
                assert_decision_is_sound(w, &d);
                assert_quotas(w, job->job.tenant);
                assert_array_limits(w);
                assert_true(is_allowed(w, &job->job, world_site_of(w, d.site), d.variant));
            }
        }
        world_free(w);
    }
    assert_true(decisions > 1000); /* or nothing was tested */
}

/* ---- a slow placer to compare with: one job, no reservations */

struct naive {
    bool fits;
    bool is_second; /* a foreign chip, for one who asked for domestic ones first */
    int64_t total;
    int site;
};

static uint32_t free_devices(const struct site_node *node, const struct sync_node *seen,
                             const struct use *use)
{
    uint32_t count = 0;
    for (uint8_t d = 0; d < node->accelerator_count; d++)
        count += seen_device(seen, d) && !(use->devices >> d & 1);
    return count;
}

/* Devices that would be left over on the nodes with the fewest; -1: does not fit. `out_model`: of
 * the first node taken. */
static int64_t naive_fit(const struct world *w, const struct use *use, const struct job_spec *spec,
                         const struct job_variant *variant, int s, struct slice *out_model)
{
    bool is_taken[WORLD_NODES] = {false};
    int64_t spare = 0;
    for (uint32_t r = 0; r < spec->num_nodes; r++) {
        int best = -1;
        uint64_t best_left = UINT64_MAX;
        for (uint32_t n = 0; n < w->sites[s].node_count; n++) {
            const struct site_node *node = &w->nodes[s][n];
            const struct sync_node *seen = &w->seen[s][n];
            uint64_t cpu =
                node->cpu_milli < seen->cpu_milli_free ? node->cpu_milli : seen->cpu_milli_free;
            uint64_t mem =
                node->mem_bytes < seen->mem_bytes_free ? node->mem_bytes : seen->mem_bytes_free;
            uint32_t devices = free_devices(node, seen, &use[n]);
            bool suits = variant->accelerators == 0 ||
                         (node->runtime == variant->runtime &&
                          (variant->accelerator.len == 0 ||
                           slice_is_equal(variant->accelerator, node->accelerator)));
            if (is_taken[n] || !seen->is_up || !suits || devices < variant->accelerators ||
                cpu < use[n].cpu_milli + spec->cpu_milli ||
                mem < use[n].mem_bytes + spec->mem_bytes)
                continue;
            uint64_t left = ((uint64_t)(devices - variant->accelerators) << 40) +
                            (cpu - use[n].cpu_milli - spec->cpu_milli);
            if (left < best_left) {
                best = (int)n;
                best_left = left;
            }
        }
        if (best < 0)
            return -1;
        if (r == 0)
            *out_model = w->nodes[s][best].accelerator;
        is_taken[best] = true;
        spare += (int64_t)(best_left >> 40);
    }
    return spare;
}

static struct span_ms naive_expected(const struct world *w, const struct place_job *job)
{
    struct span_ms limit = job->spec->time_limit;
    struct tenant_id at = job->tenant;
    while (limit.ms == 0 && !id_is_none(at.id))
        for (uint32_t t = 0; t < WORLD_TENANTS; t++)
            if (id_is_equal(w->tenants[t].id.id, at.id)) {
                limit = w->tenants[t].default_time_limit;
                at = w->tenants[t].parent;
                break;
            }
    if (limit.ms == 0)
        limit = w->policy.default_time_limit;
    return job->spec->expected.ms > 0 && job->spec->expected.ms < limit.ms ? job->spec->expected
                                                                           : limit;
}

/* False: no price, or over the budget. */
static bool naive_score(const struct world *w, const struct place_job *job, uint32_t v, int s,
                        struct slice model, int64_t spare, int64_t *out_total)
{
    const struct job_spec *spec = job->spec;
    const struct job_variant *variant = &spec->variants[v];
    const struct region *region = &w->regions[s];
    struct maybe_money ask = site_gang_ask_per_hour(&w->sites[s], model, variant->accelerators,
                                                    spec->cpu_milli, spec->num_nodes);
    if (!ask.has)
        return false;
    int64_t ms = naive_expected(w, job).ms;
    int64_t pay = money_scale_saturated(ask.value, ms, 3600000).micros, policy = 0;
    int64_t watts = (int64_t)spec->num_nodes *
                    (spec->cpu_milli * 10 / 1000 + (int64_t)variant->accelerators * 400);
    if (region->pue_milli.has)
        watts = watts * (int64_t)region->pue_milli.value / 1000;
    int64_t risk_base = pay;
    if (!w->sites[s].ask_includes_energy && region->price_per_kwh.has)
        pay += money_scale_saturated(
                   money_scale_saturated(region->price_per_kwh.value, watts, 1000), ms, 3600000)
                   .micros;
    if (region->carbon_mg_per_kwh.has && w->policy.carbon_price_per_tonne.has)
        policy +=
            money_scale_saturated(
                money_scale_saturated(
                    money_scale_saturated(w->policy.carbon_price_per_tonne.value,
                                          (int64_t)region->carbon_mg_per_kwh.value, 1000000000),
                    watts, 1000),
                ms, 3600000)
                .micros;
    if (job->has_restore && job->restore_bytes > 0 &&
        !id_is_equal(job->restore_site.id, w->sites[s].id.id)) {
        const struct link *found = NULL;
        struct slice from = w->sites[world_site_of(w, job->restore_site)].name;
        for (uint32_t i = 0; i < w->link_count; i++)
            if ((slice_is_equal(w->links[i].a, from) &&
                 slice_is_equal(w->links[i].b, w->sites[s].name)) ||
                (slice_is_equal(w->links[i].b, from) &&
                 slice_is_equal(w->links[i].a, w->sites[s].name)))
                found = &w->links[i];
        uint64_t mbps =
            found != NULL && found->bandwidth_mbps.has ? found->bandwidth_mbps.value : 1000;
        struct maybe_money egress = found != NULL && found->egress_per_gb.has
                                        ? found->egress_per_gb
                                        : w->policy.egress_per_gb;
        policy += money_scale_saturated(w->policy.time_value_per_hour[spec->priority],
                                        (int64_t)(job->restore_bytes / (mbps * 125)), 3600000)
                      .micros;
        if (egress.has)
            pay +=
                money_scale_saturated(egress.value, (int64_t)(job->restore_bytes / 1000), 1000000)
                    .micros;
    }
    if (variant->accelerators > 0)
        policy += money_scale_saturated((struct money){risk_base}, spare * 5,
                                        (int64_t)variant->accelerators * spec->num_nodes * 100)
                      .micros;
    if (region->role == ROLE_SERVE && spec->placement.role != ROLE_SERVE)
        policy +=
            money_scale_saturated(money_scale_saturated(ask.value, 10, 100), ms, 3600000).micros;
    if (id_is_equal(job->avoid.id, w->sites[s].id.id))
        policy += money_scale_saturated((struct money){risk_base}, 50, 100).micros;
    *out_total = pay + policy;
    return spec->budget.micros == 0 || pay <= spec->budget.micros;
}

/* Every site and variant; `other`: is there a site besides the avoided one, now or later? */
static struct naive naive_place(struct world *w, const struct place_job *job,
                                const struct place_explanation *said)
{
    static struct use use[WORLD_SITES][WORLD_NODES];
    struct naive best = {.fits = false};
    bool has_other = false;
    use_count(w, use);
    for (uint32_t i = 0; i < said->line_count; i++)
        has_other =
            has_other ||
            ((said->lines[i].filter == FILTER_NONE || said->lines[i].filter == FILTER_BUSY) &&
             !id_is_equal(said->lines[i].site.id, job->avoid.id));
    for (int s = 0; s < WORLD_SITES; s++)
        for (uint32_t v = 0; w->is_open[s] && v < job->spec->variant_count; v++) {
            const struct job_variant *variant = &job->spec->variants[v];
            struct slice model = variant->accelerator, node_model = {0};
            int64_t total, spare = naive_fit(w, use[s], job->spec, variant, s, &node_model);
            if (spare < 0 || !is_allowed(w, job, s, v) ||
                (has_other && id_is_equal(job->avoid.id, w->sites[s].id.id)))
                continue;
            if (variant->accelerators > 0)
                model = node_model;
            if (!naive_score(w, job, v, s, model, spare, &total))
                continue;
            bool is_second = job->spec->placement.provenance == PROVENANCE_DOMESTIC_FIRST &&
                             variant->runtime == RUNTIME_CUDA;
            if (!best.fits || (best.is_second && !is_second) ||
                (best.is_second == is_second && total < best.total))
                best = (struct naive){true, is_second, total, s};
        }
    return best;
}

static void a_lone_job_goes_where_a_slow_placer_would_put_it(void **state)
{
    uint32_t placed = 0, refused = 0;
    (void)state;
    for (uint64_t seed = 2000; seed < 2000 + 10 * SEEDS; seed++) {
        struct world *w = world_make(seed);
        struct arena arena;
        arena_init(&arena, 8 << 20);
        seed_print(seed);
        for (uint32_t t = 0; t < WORLD_TENANTS; t++) { /* quota has its own test */
            w->tenants[t].quota = (struct tenant_quota){{false, 0}};
            assert_int_equal(placer_tenant_put(w->placer, &w->tenants[t]), ERR_OK);
        }
        for (uint32_t i = 0; i < 40; i++) {
            struct place_explanation said;
            struct place_decision d;
            uint32_t spec = (uint32_t)random_below(&w->random, WORLD_SPECS);
            w->specs[spec].array_parallel_max = 0;
            struct world_job *job = world_submit(w, spec, tenant_any(w));
            assert_int_equal(placer_explain(w->placer, job->job.id, w->now, &arena, &said), ERR_OK);
            struct naive want = naive_place(w, &job->job, &said);
            bool found = placer_propose(w->placer, w->now, &d);
            assert_int_equal(found, want.fits);
            if (!found) {
                refused++;
                world_remove(w, job); /* and with it its reservation */
                continue;
            }
            placed++;
            assert_int_equal(world_site_of(w, d.site), want.site);
            assert_int_equal(said.lines[said.chosen].score.total.micros, want.total);
            placer_confirm(w->placer, d.job, w->now);
            world_held(w, &d);
        }
        arena_deinit(&arena);
        world_free(w);
    }
    assert_true(placed > 2000 && refused > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_placer_built_from_a_snapshot_decides_and_explains_the_same),
        cmocka_unit_test(no_decision_is_past_a_limit_or_a_filter),
        cmocka_unit_test(a_lone_job_goes_where_a_slow_placer_would_put_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
