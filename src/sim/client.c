/* Who stands around the network: the sites as they are registered, and the people who submit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "sim/world.h"
#include "wire/doc.h"
#include "wire/spec.h"

enum {
    NODE_CPU_MILLI = 4000,
    SPEC_ARENA = 1 << 20,
    DOCS_ARENA = 4 << 20,
    DOC_OPS_MAX = 16,
    NAME_TEXT_MAX = 16,
    SUBMIT_RETRY_S = 6,
};

/* Shapes of requests. */
enum shape { SHAPE_GANG, SHAPE_GANG_LEASE, SHAPE_LEASE, SHAPE_ARRAY, SHAPE_SINGLE };

static const struct tenant_id TENANT = {
    {{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 1}}};
static const struct user_id USER = {{{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 2}}};
static const struct region_id REGION = {
    {{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 3}}};
static const struct site_id SITE = {{{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 16, 0}}};

#define CLIENT_HANDLE (UINT64_C(1) << 62)

/* ---- sites: the same in every world of so many */

static struct site_id site_id_of(uint32_t index)
{
    struct site_id id = SITE;
    id.id.bytes[sizeof(id.id.bytes) - 1] = (uint8_t)(index + 1);
    return id;
}

static void site_make(struct site_sim *site, uint32_t index)
{
    static const char *const NAMES[SITES_MAX] = {"alpha", "beta", "gamma", "delta", "epsilon"};
    static const char *const NODE_NAMES[NODES_MAX] = {"n0", "n1", "n2", "n3"};
    site->node_count = 3 + index % 2;
    for (uint32_t i = 0; i < site->node_count; i++)
        site->node_values[i] = (struct site_node){.name = slice_of(NODE_NAMES[i]),
                                                  .cpu_milli = NODE_CPU_MILLI,
                                                  .mem_bytes = UINT64_C(8) << 30};
    site->value = (struct site){
        .id = site_id_of(index),
        .name = slice_of(NAMES[index]),
        .region = SLICE_LITERAL("west"),
        .operator_name = SLICE_LITERAL("operator"),
        .tier = TIER_CENTRE,
        .engine = ENGINE_HOST,
        .state = SITE_ACTIVE,
        .ask_per_cpu_hour = MAYBE_MONEY(((struct money){100000 + 1000 * (int64_t)index})),
        .nodes = site->node_values,
        .node_count = site->node_count,
    };
}

/* ---- the database before the first start */

static enum err doc_op(struct arena *arena, const struct doc_value *value, struct change_op *op)
{
    struct buffer body;
    char *key = arena_alloc(arena, DOC_ID_MAX + 1);
    if (key == NULL)
        return ERR_NO_MEMORY;
    buffer_init(&body, DOC_BYTES_MAX);
    enum err err = doc_encode(value, &body);
    doc_key(value, key);
    *op = (struct change_op){.kind = CHANGE_DOC_PUT,
                             .doc = {.doc = {.kind = value->kind,
                                             .id = slice_of(key),
                                             .version = 1,
                                             .body = arena_copy(arena, buffer_slice(&body))}}};
    buffer_deinit(&body);
    return err;
}

static enum err write_docs(struct world *world, struct store_db *store, uint32_t sites)
{
    struct change_op ops[DOC_OPS_MAX] = {{.kind = CHANGE_EPOCH_EXPECT, .epoch = {.epoch = 1}}};
    struct arena arena;
    size_t count = 1;
    arena_init(&arena, DOCS_ARENA);
    struct doc_value region = {.kind = DOC_REGION,
                               .region = {.id = REGION,
                                          .name = SLICE_LITERAL("west"),
                                          .role = ROLE_TRAIN,
                                          .jurisdiction = SLICE_LITERAL("CN")}};
    struct doc_value tenant = {
        .kind = DOC_TENANT, .tenant = {.id = TENANT, .name = SLICE_LITERAL("tenant"), .weight = 1}};
    enum err err = doc_op(&arena, &region, &ops[count++]);
    if (err == ERR_OK)
        err = doc_op(&arena, &tenant, &ops[count++]);
    for (uint32_t i = 0; err == ERR_OK && i < sites; i++) {
        struct doc_value site = {.kind = DOC_SITE, .site = world->sites[i].value};
        err = doc_op(&arena, &site, &ops[count++]);
    }
    if (err == ERR_OK) {
        const struct change change = {.ops = ops, .count = count};
        const struct change *changes = &change;
        struct change_result result;
        err = store_db_apply(store, &changes, 1, (struct wall_us){0}, &result, NULL);
        err = err != ERR_OK ? err : result.err;
    }
    arena_deinit(&arena);
    return err;
}

static struct slice keep(struct slice bytes)
{
    char *copy = malloc(bytes.len + 1);
    ASSERT(copy != NULL && bytes.len != 0);
    memcpy(copy, bytes.data, bytes.len);
    return slice_make(copy, bytes.len);
}

/* Made once a thread for each number of sites: the schema costs more than a whole world's work. */
static enum err template_make(struct world *world, uint32_t sites)
{
    struct store_db *store = NULL;
    struct disk *disk = disks_at(world->disks, 0);
    const struct store_config config = {.path = "0/db",
                                        .vfs = disks_vfs_name(world->disks),
                                        .mode = STORE_WRITE,
                                        .is_exclusive = true};
    enum err err = store_db_open(&config, &store, NULL);
    if (err == ERR_OK)
        err = write_docs(world, store, sites);
    store_db_close(store);
    if (err == ERR_OK)
        world->templates[sites] = keep(disk_read_file(disk, "db"));
    return err;
}

static enum err journal_template_make(struct world *world)
{
    struct journal *journal = NULL;
    struct disk *disk = disks_at(world->disks, 0);
    const struct journal_config config = {
        .path = "0/journal", .vfs = disks_vfs_name(world->disks), .is_exclusive = true};
    enum err err = journal_open(&config, &journal, NULL);
    journal_close(journal);
    if (err == ERR_OK)
        world->journal_template = keep(disk_read_file(disk, "journal"));
    return err;
}

enum err site_values_make(struct world *world)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < world->site_count; i++)
        site_make(&world->sites[i], i);
    if (world->templates[world->site_count].data == NULL)
        err = template_make(world, world->site_count);
    if (err == ERR_OK && world->journal_template.data == NULL)
        err = journal_template_make(world);
    if (err != ERR_OK)
        return err;
    disks_reset(world->disks, hash_u64(world->seed, 4));
    err = disk_write_file(disks_at(world->disks, 0), "db", world->templates[world->site_count]);
    for (uint32_t i = 0; err == ERR_OK && i < world->site_count; i++)
        err = disk_write_file(world->sites[i].disk, "journal", world->journal_template);
    return err;
}

/* ---- requests */

static void request_add(struct world *world, enum shape shape, int64_t at)
{
    ASSERT(world->request_count < JOBS_MAX);
    world->requests[world->request_count] = (struct client_request){.shape = (uint32_t)shape};
    world_at(world, at, EV_SUBMIT, 0)->number = world->request_count++;
}

void client_plan(struct world *world)
{
    struct random *random = &world->random;
    for (int64_t i = pick_between(random, 2, 3); i > 0; i--)
        request_add(world, SHAPE_GANG, pick_between(random, SECOND, 4 * SECOND));
    request_add(world, SHAPE_GANG_LEASE, pick_between(random, SECOND, 20 * SECOND));
    for (int64_t i = pick_between(random, 3, 5); i > 0; i--)
        request_add(world, SHAPE_LEASE, pick_between(random, SECOND, 40 * SECOND));
    request_add(world, SHAPE_ARRAY, pick_between(random, SECOND, 40 * SECOND));
    for (int64_t i = pick_between(random, 5, 9); i > 0; i--)
        request_add(world, SHAPE_SINGLE, pick_between(random, SECOND, 60 * SECOND));
}

void client_submit_gang(struct world *world)
{
    if (world->request_count < JOBS_MAX / 2)
        request_add(world, SHAPE_GANG, world->now);
}

static void spec_make(struct world *world, uint64_t number, struct job_variant *variant,
                      char name[NAME_TEXT_MAX], struct job_spec *spec)
{
    /* The choices hang on the request alone, so that a repeat asks for the same. */
    struct random random;
    random_init(&random, hash_u64(number, world->seed));
    enum shape shape = (enum shape)world->requests[number].shape;
    bool is_gang = shape == SHAPE_GANG || shape == SHAPE_GANG_LEASE;
    bool is_lease = shape == SHAPE_LEASE || shape == SHAPE_GANG_LEASE;
    snprintf(name, NAME_TEXT_MAX, "job-%llu", (unsigned long long)number);
    *variant = (struct job_variant){.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")};
    spec_defaults(spec);
    spec->name = slice_of(name);
    spec->num_nodes = is_gang ? (uint32_t)pick_between(&random, 2, RANKS_MAX) : 1;
    spec->cpu_milli = is_gang ? 2500 : (uint32_t)pick_between(&random, 1, 4) * 500;
    spec->mem_bytes = UINT64_C(512) << 20;
    spec->variants = variant;
    spec->variant_count = 1;
    spec->array_count = shape == SHAPE_ARRAY ? 3 : 1;
    spec->contact = is_lease ? CONTACT_LEASE : CONTACT_STRICT;
    spec->lease = is_lease ? SPAN_S(pick_between(&random, 12, 20)) : SPAN_MS(0);
    spec->time_limit = SPAN_S(pick_chance(&random, 10) ? 20 : 600);
    spec->retries_max = 6;
    spec->checkpoint.grace = job_spec_default_grace(spec);
    if (pick_chance(&random, 40)) {
        spec->checkpoint.dir = SLICE_LITERAL("ckpt");
        spec->checkpoint.signal = 10;
        spec->checkpoint.grace = SPAN_S(3);
    }
    enum err err = job_spec_check(spec, NULL);
    ASSERT(err == ERR_OK);
}

void client_submit(struct world *world, uint64_t number)
{
    struct client_request *request = &world->requests[number];
    struct server_sim *server = &world->servers[world->primary];
    struct job_variant variant;
    struct job_spec spec;
    struct buffer body;
    char name[NAME_TEXT_MAX];
    if (request->is_done)
        return;
    world_after(world, SUBMIT_RETRY_S * SECOND, EV_SUBMIT, 0)->number = number;
    if (!server->process.is_up)
        return;
    spec_make(world, number, &variant, name, &spec);
    buffer_init(&body, DOC_BYTES_MAX);
    enum err err = spec_encode_bytes(&spec, &body);
    ASSERT(err == ERR_OK);
    const struct job_spec *specs = &spec;
    struct slice bytes = buffer_slice(&body);
    const struct server_principal principal = {
        .user = USER, .tenant = TENANT, .actor = SLICE_LITERAL("usr_client")};
    const struct server_event event = {
        .kind = SERVER_SUBMIT,
        .handle = CLIENT_HANDLE | number,
        .principal = &principal,
        .submit = {.specs = &specs, .bodies = &bytes, .count = 1, .tenant = TENANT}};
    server_step(world, server, &event);
    buffer_deinit(&body);
}

void client_answer(struct world *world, uint64_t handle, enum api_status status, struct slice body)
{
    uint64_t number = handle & ~CLIENT_HANDLE;
    world_trace(world, "API %d %.*s", (int)status, SLICE_ARG(body));
    if ((handle & CLIENT_HANDLE) == 0 || handle == UINT64_MAX || number >= world->request_count)
        return;
    if (status < API_BAD)
        world->requests[number].is_done = true;
    else if (status < API_BUSY)
        world_violate(world, "a job is refused: %d %.*s", (int)status, SLICE_ARG(body));
}

/* ---- checkpoints on their way to the front door */

void artifact_arrives(struct world *world, const struct sim_event *event)
{
    struct server_sim *server = &world->servers[world->primary];
    uint32_t job = job_index(world, event->token.job);
    if (event->rank != 0) { /* made now; it takes its time to arrive */
        struct sim_event *later =
            world_after(world, pick_between(&world->net_random, 50 * MS, 30 * SECOND), EV_ARTIFACT,
                        event->target);
        later->token = event->token;
        later->number = event->number;
        return;
    }
    const struct shadow_job *live = NULL;
    for (uint32_t i = 0; i < server->shadow.job_count; i++)
        if (id_is_equal(server->shadow.jobs[i].id.id, event->token.job.id) &&
            !job_state_is_final(server->shadow.jobs[i].state))
            live = &server->shadow.jobs[i];
    if (!server->process.is_up || job == JOBS_MAX || live == NULL)
        return;
    const struct server_principal principal = {.tenant = TENANT,
                                               .site = world->sites[event->target].value.id,
                                               .actor = SLICE_LITERAL("site")};
    const struct server_event artifact = {
        .kind = SERVER_ARTIFACT,
        .handle = UINT64_MAX,
        .principal = &principal,
        .artifact = {.id = id_make(world->now / MS, &world->random),
                     .kind = ARTIFACT_CHECKPOINT,
                     .tenant = TENANT,
                     .token = event->token,
                     .step = event->number,
                     .size_bytes = 1000,
                     .jurisdiction = SLICE_LITERAL("CN"),
                     .runtime = RUNTIME_CPU,
                     .world_size = 1,
                     .manifest = SLICE_LITERAL("{}")}};
    server_step(world, server, &artifact);
}
