/* What people do meanwhile: sign, drain, cancel, retry. */
#include "sim/world.h"

enum { SITES_KEPT = 2, RETRY_ARENA_BYTES = 8 << 20 };

static struct server_sim *front_door(struct world *world)
{
    struct server_sim *server = &world->servers[world->primary];
    return server->process.is_up ? server : NULL;
}

/* ---- operators */

/* The word may get lost with a restored database, and counts for the epoch under which it was
 * given: operators look at what the server waits for, and sign again. */
void operator_signs(struct world *world)
{
    struct server_sim *server = &world->servers[world->primary];
    for (uint32_t i = 0; i < world->site_count; i++) {
        if (!world->sites[i].is_destroyed)
            continue;
        if (!server->process.is_up) {
            fault_plan_one(world, STEP_SIGN, world->now + SECOND);
            return;
        }
        const struct server_principal principal = {.actor = SLICE_LITERAL("usr_operator")};
        const struct server_event event = {
            .kind = SERVER_SITE_DESTROYED,
            .handle = UINT64_MAX,
            .principal = &principal,
            .site = {.site = world->sites[i].value.id, .reason = SLICE_LITERAL("burnt down")}};
        server_step(world, server, &event);
        if (world->is_healed)
            fault_plan_one(world, STEP_SIGN, world->now + 20 * SECOND);
    }
}

bool operator_destroys_site(struct world *world)
{
    struct site_sim *site = fault_pick_site(world);
    if (site == NULL || world->site_count <= SITES_KEPT)
        return false;
    site->is_destroyed = true;
    for (uint32_t node = 0; node < site->node_count; node++) {
        site->nodes[node].is_up = false;
        node_crash(world, site, node);
    }
    agent_die(world, site, false, true, -1);
    fault_plan_one(world, STEP_SIGN,
                   world->now + pick_between(&world->random, SECOND, 20 * SECOND));
    return true;
}

bool user_cancels(struct world *world)
{
    struct server_sim *server = &world->servers[world->primary];
    if (!server->process.is_up)
        return false;
    for (uint32_t i = 0; i < server->shadow.job_count; i++) {
        const struct shadow_job *job = &server->shadow.jobs[i];
        struct job_truth *truth = &world->jobs[job_index(world, job->id)];
        if (job_state_is_final(job->state) || truth->was_cancelled ||
            !pick_chance(&world->random, 20))
            continue;
        truth->was_cancelled = true;
        const struct server_principal principal = {.actor = SLICE_LITERAL("usr_somebody")};
        const struct server_event event = {.kind = SERVER_CANCEL,
                                           .handle = UINT64_MAX,
                                           .principal = &principal,
                                           .job = {.job = job->id}};
        server_step(world, server, &event);
        return true;
    }
    return false;
}

/* ---- draining: by the operator at the server, or on the site itself */

static void drain(struct world *world, struct site_sim *site, bool flag)
{
    struct server_sim *server = front_door(world);
    if (server == NULL) { /* asked again until it is heard */
        fault_end_later(world, FAULT_DRAIN, site->index, 0, SECOND);
        return;
    }
    const struct server_principal principal = {.actor = SLICE_LITERAL("usr_operator")};
    const struct server_event event = {
        .kind = SERVER_SITE_DRAIN,
        .handle = UINT64_MAX,
        .principal = &principal,
        .site = {.site = site->value.id, .flag = flag, .reason = SLICE_LITERAL("maintenance")}};
    server_step(world, server, &event);
}

static void drain_here(struct world *world, struct site_sim *site, bool flag)
{
    const struct agent_event event = {.kind = AGENT_DRAIN, .drain = {.flag = flag}};
    if (site->process.is_up)
        agent_step(world, site, &event);
}

bool operator_drains(struct world *world)
{
    struct site_sim *site = fault_pick_site(world);
    if (site == NULL || front_door(world) == NULL)
        return false;
    if (pick_chance(&world->random, 60))
        drain(world, site, true);
    else
        drain_here(world, site, true);
    fault_end_later(world, FAULT_DRAIN, site->index, 0,
                    pick_between(&world->random, 2 * SECOND, 20 * SECOND));
    return true;
}

void operator_resumes(struct world *world, struct site_sim *site)
{
    drain(world, site, false);
    drain_here(world, site, false);
}

/* ---- retrying what has failed or was cancelled */

static bool retry(struct world *world, struct server_sim *server, struct job_id id)
{
    struct arena arena;
    struct store_answer job, spec;
    bool is_found = false;
    arena_init(&arena, RETRY_ARENA_BYTES);
    const struct store_query get = {.kind = STORE_JOB_GET, .job_get = {.id = id}};
    if (store_db_query(server->store, &get, &arena, &job, NULL) == ERR_OK) {
        const struct store_query body = {.kind = STORE_SPEC_GET,
                                         .spec_get = {.id = job.jobs[0].row.spec}};
        is_found = store_db_query(server->store, &body, &arena, &spec, NULL) == ERR_OK;
    }
    if (is_found) {
        const struct server_principal principal = {.actor = SLICE_LITERAL("usr_somebody")};
        const struct server_event event = {.kind = SERVER_RETRY,
                                           .handle = UINT64_MAX,
                                           .principal = &principal,
                                           .retry = {.row = job.jobs[0].row, .spec = spec.spec}};
        server_step(world, server, &event);
    }
    arena_deinit(&arena);
    return is_found;
}

bool user_retries(struct world *world)
{
    struct server_sim *server = front_door(world);
    for (uint32_t i = 0; server != NULL && i < server->shadow.job_count; i++) {
        const struct shadow_job *job = &server->shadow.jobs[i];
        bool may_run_again = job->state == JOB_FAILED || job->state == JOB_CANCELLED;
        if (may_run_again && pick_chance(&world->random, 60))
            return retry(world, server, job->id);
    }
    return false;
}
