/* Faults: when they come, what they do, and when they end. All are over at FAULTS_END. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/world.h"

enum {
    FAULTS_PLANNED_MIN = 26,
    FAULTS_PLANNED_MAX = 44,
    DB_PATH_MAX = 32,
    SQL_TEXT_MAX = 128,
};

#define FAULTS_BEGIN (2 * SECOND)
#define FAULTS_END (85 * SECOND)
#define HEAL_AT (90 * SECOND)
#define GANG_WAIT (40 * SECOND)

static const struct {
    const char *name;
    uint32_t weight;
} KINDS[FAULT_KIND_COUNT_] = {
    [FAULT_AGENT_KILL] = {"agent_kill", 6},
    [FAULT_AGENT_POWER] = {"agent_power", 2},
    [FAULT_AGENT_MID_COMMIT] = {"agent_mid_commit", 3},
    [FAULT_SERVER_KILL] = {"server_kill", 4},
    [FAULT_SERVER_POWER] = {"server_power", 2},
    [FAULT_SERVER_MID_COMMIT] = {"server_mid_commit", 3},
    [FAULT_CUT_SITE] = {"cut_site", 5},
    [FAULT_CUT_NODE] = {"cut_node", 3},
    [FAULT_CUT_GANG] = {"cut_gang", 1},
    [FAULT_DISK_FULL] = {"disk_full", 1},
    [FAULT_DISK_ERRORS] = {"disk_errors", 1},
    [FAULT_JOURNAL_LOSS] = {"journal_loss", 1},
    [FAULT_RESTORE] = {"restore", 0},
    [FAULT_ENGINE_TIMEOUTS] = {"engine_timeouts", 3},
    [FAULT_ENGINE_DOUBLE] = {"engine_double", 3},
    [FAULT_ENGINE_LATE] = {"engine_late", 3},
    [FAULT_ENGINE_FORGETS] = {"engine_forgets", 1},
    [FAULT_NODE_CRASH] = {"node_crash", 2},
    [FAULT_SUPERVISOR_KILL] = {"supervisor_kill", 2},
    [FAULT_WALL_JUMP] = {"wall_jump", 2},
    [FAULT_SLOW_NET] = {"slow_net", 3},
    [FAULT_LOSSY_NET] = {"lossy_net", 3},
    [FAULT_SITE_DESTROYED] = {"site_destroyed", 0},
    [FAULT_CANCEL] = {"cancel", 2},
    [FAULT_DRAIN] = {"drain", 2},
    [FAULT_RETRY] = {"retry", 2},
    [FAULT_STALE_REPLY] = {"stale_reply", 8},
};

const char *fault_kind_name(enum fault_kind kind)
{
    return KINDS[kind].name;
}

/* ---- the plan */

void fault_plan_one(struct world *world, uint64_t number, int64_t at)
{
    world_at(world, at, EV_FAULT, 0)->number = number;
}

static enum fault_kind pick_kind(struct world *world)
{
    uint32_t sum = 0;
    for (int i = 0; i < FAULT_KIND_COUNT_; i++)
        sum += KINDS[i].weight;
    int64_t at = pick_between(&world->random, 0, sum - 1);
    int kind = 0;
    while (at >= KINDS[kind].weight)
        at -= KINDS[kind++].weight;
    return (enum fault_kind)kind;
}

void faults_plan(struct world *world)
{
    struct random *random = &world->random;
    int64_t count = pick_between(random, FAULTS_PLANNED_MIN, FAULTS_PLANNED_MAX);
    fault_plan_one(world, FAULT_CUT_GANG, pick_between(random, 3 * SECOND, 20 * SECOND));
    for (int64_t i = 0; i < count; i++) {
        enum fault_kind kind = pick_kind(world);
        fault_plan_one(world, kind, pick_between(random, FAULTS_BEGIN, FAULTS_END));
    }
    if (pick_chance(random, world->is_mild ? 75 : 35)) {
        int64_t restore_at = pick_between(random, 12 * SECOND, 80 * SECOND);
        fault_plan_one(world, STEP_BACKUP,
                       pick_between(random, restore_at / 5, restore_at - 50 * MS));
        fault_plan_one(world, FAULT_RESTORE, restore_at);
    }
    if (pick_chance(random, 50)) { /* something to retry, and a retry */
        fault_plan_one(world, FAULT_CANCEL, pick_between(random, 10 * SECOND, 50 * SECOND));
        fault_plan_one(world, FAULT_RETRY, pick_between(random, 55 * SECOND, FAULTS_END));
    }
    if (pick_chance(random, 12))
        fault_plan_one(world, FAULT_SITE_DESTROYED, pick_between(random, 10 * SECOND, 70 * SECOND));
    world_at(world, HEAL_AT, EV_HEAL, 0);
    owners_plan(world);
}

void fault_end_later(struct world *world, enum fault_kind kind, uint32_t target, uint32_t rank,
                     int64_t length)
{
    int64_t end = world->now + length;
    bool is_late = world->now >= FAULTS_END; /* the partial cut that healing waits for */
    struct sim_event *event =
        world_at(world, is_late || end < FAULTS_END ? end : FAULTS_END, EV_FAULT_ENDS, target);
    event->number = (uint64_t)kind;
    event->rank = rank;
}

struct site_sim *fault_pick_site(struct world *world)
{
    uint32_t index = (uint32_t)pick_between(&world->random, 0, world->site_count - 1);
    return world->sites[index].is_destroyed ? NULL : &world->sites[index];
}

static int64_t pick_down(struct world *world)
{
    return pick_between(&world->random, SECOND / 5,
                        pick_chance(&world->random, 30) ? 40 * SECOND : 5 * SECOND);
}

/* ---- processes */

static bool agent_fault(struct world *world, enum fault_kind kind)
{
    struct site_sim *site = fault_pick_site(world);
    struct random *random = &world->random;
    if (site == NULL || !site->process.is_up)
        return false;
    if (kind == FAULT_AGENT_MID_COMMIT) {
        site->disk->off_after = (uint32_t)pick_between(random, 1, 10);
    } else if (kind == FAULT_AGENT_KILL && pick_chance(random, 50)) {
        site->must_die_after_go = true;
    } else if (kind == FAULT_AGENT_KILL && pick_chance(random, 50)) {
        site->outputs_left = (uint32_t)pick_between(random, 1, 4);
    } else {
        bool is_loss = kind == FAULT_JOURNAL_LOSS;
        agent_die(world, site, kind == FAULT_AGENT_POWER, is_loss, pick_down(world));
    }
    return true;
}

static bool server_fault(struct world *world, enum fault_kind kind)
{
    struct server_sim *server = &world->servers[world->primary];
    struct random *random = &world->random;
    if (!server->process.is_up)
        return false;
    if (kind == FAULT_SERVER_MID_COMMIT)
        server->disk->off_after = (uint32_t)pick_between(random, 1, 12);
    else if (kind == FAULT_SERVER_KILL && pick_chance(random, 50))
        server->outputs_left = (uint32_t)pick_between(random, 1, 3);
    else
        server_die(world, server, kind == FAULT_SERVER_POWER,
                   pick_between(random, SECOND / 5, 8 * SECOND));
    return true;
}

/* ---- links */

static bool cut_site(struct world *world)
{
    struct site_sim *site = fault_pick_site(world);
    if (site == NULL)
        return false;
    uint32_t ways = (uint32_t)pick_between(&world->random, 1, 3); /* bits: up, down */
    site->cuts_up += ways & 1;
    site->cuts_down += ways >> 1;
    fault_end_later(world, FAULT_CUT_SITE, site->index, ways,
                    pick_between(&world->random, 2 * SECOND, 60 * SECOND));
    return true;
}

static bool stale_reply(struct world *world)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *launch = &world->launches[i];
        struct site_sim *site = &world->sites[launch->site];
        if (launch->state != LAUNCH_ALIVE || launch->contact.policy != CONTACT_LEASE ||
            site->is_destroyed || site->reply_delay != 0)
            continue;
        site->reply_delay =
            pick_between(&world->random, 3 * SECOND,
                         pick_chance(&world->random, 60) ? 11 * SECOND : 24 * SECOND);
        site->cuts_up++;
        fault_end_later(world, FAULT_CUT_SITE, site->index, 1,
                        pick_between(&world->random, 20 * SECOND, 60 * SECOND));
        return true;
    }
    return false;
}

static void cut_node(struct world *world, struct site_sim *site, uint32_t node)
{
    site->nodes[node].cuts++;
    fault_end_later(world, FAULT_CUT_NODE, site->index, node,
                    pick_between(&world->random, SECOND, 40 * SECOND));
}

static bool cut_gang(struct world *world)
{
    struct launch *launch = launch_of_running_gang(world);
    if (launch == NULL) { /* none runs: wait for one, and see that there will be one */
        if (world->result->partial_cuts == 0 || world->now < FAULTS_END - SECOND)
            fault_plan_one(world, FAULT_CUT_GANG, world->now + SECOND / 4);
        if (world->result->partial_cuts == 0 && world->now > world->gang_asked_at + GANG_WAIT) {
            world->gang_asked_at = world->now;
            client_submit_gang(world);
        }
        return false;
    }
    uint32_t rank = (uint32_t)pick_between(&world->random, 0, launch->rank_count - 1);
    cut_node(world, &world->sites[launch->site], launch->ranks[rank].node);
    world->result->partial_cuts++;
    return true;
}

/* ---- machines */

static bool disk_fault(struct world *world, enum fault_kind kind)
{
    uint32_t machine = (uint32_t)pick_between(&world->random, 0, world->site_count);
    uint32_t index = machine == world->site_count ? world->primary : SERVERS_MAX + machine;
    struct disk *disk = disks_at(world->disks, index);
    if (kind == FAULT_DISK_FULL)
        disk->is_full = true;
    else
        disk->fail_ppm = (uint32_t)pick_between(&world->random, 5000, 100000);
    fault_end_later(world, kind, index, 0, pick_between(&world->random, SECOND, 12 * SECOND));
    return true;
}

static bool wall_jump(struct world *world)
{
    int64_t jump = pick_between(&world->random, -3650, 3650) * 86400 * 1000000;
    struct site_sim *site = fault_pick_site(world);
    if (site == NULL || pick_chance(&world->random, 40))
        world->servers[world->primary].clock.wall_base_us += jump;
    else
        site->clock.wall_base_us += jump;
    return true;
}

static bool crash_node(struct world *world)
{
    struct site_sim *site = fault_pick_site(world);
    if (site == NULL)
        return false;
    uint32_t node = (uint32_t)pick_between(&world->random, 0, site->node_count - 1);
    if (!site->nodes[node].is_up)
        return false;
    site->nodes[node].is_up = false;
    node_crash(world, site, node);
    agent_capacity(world, site);
    fault_end_later(world, FAULT_NODE_CRASH, site->index, node,
                    pick_between(&world->random, SECOND, 20 * SECOND));
    return true;
}

static bool kill_supervisor(struct world *world)
{
    uint32_t first = (uint32_t)pick_between(&world->random, 0, LAUNCHES_MAX);
    for (uint32_t i = 0; i < world->launch_count; i++) {
        struct launch *launch = &world->launches[(first + i) % world->launch_count];
        if (launch->state != LAUNCH_ALIVE)
            continue;
        rank_crash(world, launch,
                   (uint32_t)pick_between(&world->random, 0, launch->rank_count - 1));
        return true;
    }
    return false;
}

static bool engine_fault(struct world *world, enum fault_kind kind)
{
    struct site_sim *site = fault_pick_site(world);
    if (site == NULL)
        return false;
    if (kind == FAULT_ENGINE_FORGETS) {
        engine_forget(world, site);
        return true;
    }
    site->engine_timeouts += kind == FAULT_ENGINE_TIMEOUTS;
    site->engine_doubles += kind == FAULT_ENGINE_DOUBLE;
    site->engine_lates += kind == FAULT_ENGINE_LATE;
    fault_end_later(world, kind, site->index, 0,
                    pick_between(&world->random, 8 * SECOND, 40 * SECOND));
    return true;
}

/* ---- backup and restore */

static struct slice copy_file(const struct disk *disk, const char *name)
{
    struct slice bytes = disk_read_file(disk, name);
    char *copy = malloc(bytes.len + 1);
    ASSERT(copy != NULL);
    if (bytes.len != 0)
        memcpy(copy, bytes.data, bytes.len);
    return slice_make(copy, bytes.len);
}

void backup_take(struct world *world)
{
    struct server_sim *server = &world->servers[world->primary];
    if (!server->process.is_up || world->backup.is_there)
        return;
    world->backup.is_there = true;
    world->backup.main = copy_file(server->disk, "db");
    world->backup.log = copy_file(server->disk, "db-wal");
    world->backup.shadow = server->shadow;
}

/* What store_restore does to the copy: marked as restored, under the higher of both epochs. */
static bool mark_restored(struct world *world, uint32_t index, uint64_t epoch)
{
    char path[DB_PATH_MAX], text[SQL_TEXT_MAX];
    sqlite3 *handle = NULL;
    snprintf(path, sizeof(path), "%u/db", index);
    int code = sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                               disks_vfs_name(world->disks));
    if (code == SQLITE_OK)
        code = sqlite3_exec(handle, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    snprintf(text, sizeof(text), "UPDATE meta SET is_restored=1, db_epoch=%llu",
             (unsigned long long)epoch);
    if (code == SQLITE_OK)
        code = sqlite3_exec(handle, text, NULL, NULL, NULL);
    sqlite3_close(handle);
    return code == SQLITE_OK;
}

static bool restore(struct world *world)
{
    struct server_sim *old = &world->servers[world->primary];
    struct server_sim *new = &world->servers[1 - world->primary];
    if (!world->backup.is_there || world->primary != 0)
        return false;
    uint64_t epoch = world->backup.shadow.epoch > old->shadow.epoch ? world->backup.shadow.epoch
                                                                    : old->shadow.epoch;
    enum err err = disk_write_file(new->disk, "db", world->backup.main);
    if (err == ERR_OK && world->backup.log.len != 0)
        err = disk_write_file(new->disk, "db-wal", world->backup.log);
    if (err != ERR_OK || !mark_restored(world, new->index, epoch)) {
        world_violate(world, "the backup cannot be restored");
        return false;
    }
    new->shadow = world->backup.shadow;
    new->shadow.epoch = epoch;
    world->primary = new->index;
    if (world->is_mild && old->process.is_up && pick_chance(&world->random, 85)) {
        old->is_zombie = true; /* nobody has told it yet */
        /* Work ends meanwhile: both will want to start it again. */
        for (int64_t i = pick_between(&world->random, 1, 4); i > 0; i--)
            fault_plan_one(world, FAULT_SUPERVISOR_KILL,
                           world->now + pick_between(&world->random, 0, SECOND));
        fault_end_later(world, FAULT_RESTORE, old->index, 0,
                        pick_between(&world->random, SECOND, 4 * SECOND));
        world_after(world, 10 * MS, EV_SERVER_BOOT, new->index);
    } else {
        server_die(world, old, false, 0);
        old->is_retired = true;
        world_after(world, pick_between(&world->random, 10 * MS, 3 * SECOND), EV_SERVER_BOOT,
                    new->index);
    }
    return true;
}

/* ---- the way of a fault */

static bool apply(struct world *world, enum fault_kind kind)
{
    switch (kind) {
    case FAULT_AGENT_KILL:
    case FAULT_AGENT_POWER:
    case FAULT_AGENT_MID_COMMIT:
    case FAULT_JOURNAL_LOSS:
        return agent_fault(world, kind);
    case FAULT_SERVER_KILL:
    case FAULT_SERVER_POWER:
    case FAULT_SERVER_MID_COMMIT:
        return server_fault(world, kind);
    case FAULT_CUT_SITE:
        return cut_site(world);
    case FAULT_CUT_NODE: {
        struct site_sim *site = fault_pick_site(world);
        if (site != NULL)
            cut_node(world, site, (uint32_t)pick_between(&world->random, 0, site->node_count - 1));
        return site != NULL;
    }
    case FAULT_CUT_GANG:
        return cut_gang(world);
    case FAULT_DISK_FULL:
    case FAULT_DISK_ERRORS:
        return disk_fault(world, kind);
    case FAULT_RESTORE:
        return restore(world);
    case FAULT_ENGINE_TIMEOUTS:
    case FAULT_ENGINE_DOUBLE:
    case FAULT_ENGINE_LATE:
    case FAULT_ENGINE_FORGETS:
        return engine_fault(world, kind);
    case FAULT_NODE_CRASH:
        return crash_node(world);
    case FAULT_SUPERVISOR_KILL:
        return world->launch_count != 0 && kill_supervisor(world);
    case FAULT_WALL_JUMP:
        return wall_jump(world);
    case FAULT_SLOW_NET:
        world->slow_net++;
        fault_end_later(world, kind, 0, 0, pick_between(&world->random, 3 * SECOND, 30 * SECOND));
        return true;
    case FAULT_LOSSY_NET:
        world->lossy_net++;
        fault_end_later(world, kind, 0, 0, pick_between(&world->random, 3 * SECOND, 30 * SECOND));
        return true;
    case FAULT_SITE_DESTROYED:
        return operator_destroys_site(world);
    case FAULT_CANCEL:
        return user_cancels(world);
    case FAULT_RETRY:
        return user_retries(world);
    case FAULT_DRAIN:
        return operator_drains(world);
    case FAULT_STALE_REPLY:
        return stale_reply(world);
    case FAULT_KIND_COUNT_:
        break;
    }
    return false;
}

void fault_happens(struct world *world, enum fault_kind kind)
{
    if ((int)kind == STEP_BACKUP) {
        backup_take(world);
        return;
    }
    if ((int)kind == STEP_SIGN) {
        operator_signs(world);
        return;
    }
    bool has_happened = apply(world, kind);
    world_trace(world, "FAULT %s%s", fault_kind_name(kind), has_happened ? "" : " (no target)");
    if (has_happened) {
        world->result->faults++;
        world->fault_kinds |= UINT32_C(1) << kind;
    } else if (kind != FAULT_CUT_GANG && kind != FAULT_RESTORE && world->now < FAULTS_END) {
        /* Another one in its place, a little later. */
        fault_plan_one(world, pick_kind(world), world->now + SECOND / 2);
    }
}

void fault_ends(struct world *world, const struct sim_event *event)
{
    struct site_sim *site = &world->sites[event->target % SITES_MAX];
    switch ((enum fault_kind)event->number) {
    case FAULT_CUT_SITE:
        site->cuts_up -= event->rank & 1;
        site->cuts_down -= event->rank >> 1;
        break;
    case FAULT_CUT_NODE:
        site->nodes[event->rank].cuts--;
        break;
    case FAULT_DISK_FULL:
        disks_at(world->disks, event->target)->is_full = false;
        break;
    case FAULT_DISK_ERRORS:
        disks_at(world->disks, event->target)->fail_ppm = 0;
        break;
    case FAULT_ENGINE_TIMEOUTS:
        site->engine_timeouts--;
        break;
    case FAULT_ENGINE_DOUBLE:
        site->engine_doubles--;
        break;
    case FAULT_ENGINE_LATE:
        site->engine_lates--;
        break;
    case FAULT_NODE_CRASH:
        site->nodes[event->rank].is_up = !site->is_destroyed;
        agent_capacity(world, site);
        break;
    case FAULT_DRAIN:
        operator_resumes(world, site);
        break;
    case FAULT_SLOW_NET:
        world->slow_net--;
        break;
    case FAULT_LOSSY_NET:
        world->lossy_net--;
        break;
    case FAULT_RESTORE: {
        struct server_sim *old = &world->servers[event->target];
        old->is_zombie = false;
        server_die(world, old, false, 0);
        old->is_retired = true;
        break;
    }
    default:
        break;
    }
}

void world_heal(struct world *world)
{
    if (world->result->partial_cuts < SIM_MIN_PARTIAL_CUTS) { /* not before it has happened */
        world_at(world, world->now + SECOND, EV_HEAL, 0);
        return;
    }
    world->is_healed = true;
    world->healed_at = world->now;
    for (uint32_t i = 0; i < SERVERS_MAX; i++) {
        struct server_sim *server = &world->servers[i];
        server->outputs_left = 0;
        server->disk->off_after = server->disk->fail_ppm = 0;
        server->disk->is_full = false;
    }
    for (uint32_t i = 0; i < world->site_count; i++) {
        struct site_sim *site = &world->sites[i];
        site->outputs_left = 0;
        site->must_die_after_go = false;
        site->disk->off_after = site->disk->fail_ppm = 0;
        site->disk->is_full = false;
        owner_tells(world, site); /* a restored database may have forgotten it */
    }
    operator_signs(world); /* a restored database may have forgotten it */
}
