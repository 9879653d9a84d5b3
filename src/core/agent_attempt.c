/* One attempt at its site: accepted, revoked, ended, acknowledged, forgotten. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/agent_private.h"
#include "wire/spec.h"

enum { TOKEN_KEY_BYTES = 28, ORDER_ARENA_BYTES = 16 << 20, FIELD_BYTES = 8 };

static const struct span_ms RETAIN_MIN = {1000};

/* ---- finding */

static struct slice token_key(const struct attempt_token *token, char key[TOKEN_KEY_BYTES])
{
    memcpy(key, &token->epoch, FIELD_BYTES);
    memcpy(key + FIELD_BYTES, token->job.id.bytes, sizeof(token->job.id.bytes));
    memcpy(key + FIELD_BYTES + sizeof(token->job.id.bytes), &token->number, sizeof(token->number));
    return slice_make(key, TOKEN_KEY_BYTES);
}

struct agent_attempt *agent_attempt_find(const struct agent_core *core,
                                         const struct attempt_token *token)
{
    char key[TOKEN_KEY_BYTES];
    return strmap_get(&core->attempts, token_key(token, key));
}

bool agent_attempt_is_final(const struct agent_attempt *attempt)
{
    return attempt->row.phase == PHASE_ENDED || attempt->row.phase == PHASE_NEVER;
}

bool agent_attempt_is_rank_ended(const struct agent_attempt *attempt, uint32_t rank)
{
    return (attempt->row.rank_ended[rank / 64] >> (rank % 64) & 1) != 0;
}

/* ---- making and freeing */

void agent_attempt_free(struct agent_attempt *attempt)
{
    if (attempt == NULL)
        return;
    for (uint32_t i = 0; i < LAUNCHES_MAX; i++)
        free(attempt->launches[i].asks);
    free(attempt->ranks);
    free((void *)attempt->row.order.data);
    free(attempt->secret_copy);
    free((void *)attempt->places);
    free(attempt);
}

static void *copy_bytes(const void *data, size_t len)
{
    void *copy = malloc(len + 1);
    ASSERT(copy != NULL);
    memcpy(copy, data, len);
    ((char *)copy)[len] = '\0';
    return copy;
}

/* What of the order the core itself needs: places, secret, and the quantities that usage is counted
 * in. */
static enum err read_order(struct agent_attempt *attempt)
{
    struct arena arena;
    struct attempt_order order;
    struct job_spec spec;
    arena_init(&arena, ORDER_ARENA_BYTES);
    enum err err = attempt_order_decode(attempt->row.order, &arena, &order, NULL);
    if (err == ERR_OK)
        err = spec_parse(order.spec, &arena, &spec, NULL);
    if (err == ERR_OK &&
        (order.variant >= spec.variant_count || order.nodes != attempt->row.nodes ||
         !attempt_token_is_equal(&order.token, &attempt->row.token)))
        err = ERR_INVALID;
    if (err == ERR_OK) {
        const struct job_variant *variant = &spec.variants[order.variant];
        uint64_t devices = 0;
        for (uint32_t i = 0; i < order.nodes; i++)
            devices += order.places[i].device_count;
        attempt->places = copy_bytes(order.places, order.nodes * sizeof(*order.places));
        attempt->secret_copy =
            copy_bytes(order.secret.data != NULL ? order.secret.data : "", order.secret.len);
        attempt->secret = slice_make(attempt->secret_copy, order.secret.len);
        attempt->row.contact = order.contact;
        attempt->runtime = variant->runtime;
        attempt->cpu_milli = spec.cpu_milli;
        attempt->mem_bytes = spec.mem_bytes;
        attempt->per_ms = (struct usage_quantities){
            .cpu_held_ms = (int64_t)spec.cpu_milli * order.nodes,
            .accel_ms = (int64_t)devices,
            .mem_mib_ms = (int64_t)(spec.mem_bytes >> 20) * order.nodes,
        };
        size_t len = variant->accelerator.len;
        if (len >= sizeof(attempt->accelerator))
            len = sizeof(attempt->accelerator) - 1;
        if (len != 0)
            memcpy(attempt->accelerator, variant->accelerator.data, len);
    }
    arena_deinit(&arena);
    return err;
}

enum err agent_attempt_add(struct agent_core *core, const struct journal_attempt *row,
                           struct agent_attempt **out)
{
    char key[TOKEN_KEY_BYTES];
    if (row->nodes == 0 || row->nodes > JOB_NODES_MAX)
        return ERR_CORRUPT;
    struct agent_attempt *attempt = calloc(1, sizeof(*attempt));
    if (attempt == NULL)
        return ERR_NO_MEMORY;
    attempt->row = *row;
    attempt->row.order = (struct slice){0};
    attempt->kill_by = BOOT_NEVER;
    attempt->usage_due = BOOT_NEVER;
    attempt->since = core->now.boot;
    attempt->acked_at = core->now.boot;
    attempt->ranks = calloc(row->nodes, sizeof(*attempt->ranks));
    enum err err = attempt->ranks == NULL ? ERR_NO_MEMORY : ERR_OK;
    if (err == ERR_OK && row->order.len != 0) {
        attempt->row.order =
            slice_make(copy_bytes(row->order.data, row->order.len), row->order.len);
        err = read_order(attempt) == ERR_OK ? ERR_OK : ERR_CORRUPT;
    }
    if (err == ERR_OK)
        err = strmap_add(&core->attempts, token_key(&row->token, key), attempt);
    if (err != ERR_OK) {
        agent_attempt_free(attempt);
        return err;
    }
    bool is_past = agent_attempt_is_final(attempt) && row->is_acked;
    attempt->is_engine_done = is_past;
    err = vector_push(is_past ? &core->retained : &core->open, &attempt);
    ASSERT(err == ERR_OK);
    *out = attempt;
    return ERR_OK;
}

/* ---- phases */

static void set_phase(struct agent_core *core, struct agent_attempt *attempt,
                      enum journal_phase phase)
{
    attempt->row.phase = phase;
    attempt->row.changed_at = core->now.wall;
    attempt->since = core->now.boot;
    agent_mark_dirty(core, attempt);
    core->is_changed = true;
}

static void tell_shell(struct agent_core *core, const struct agent_attempt *attempt)
{
    if (attempt->row.order.len == 0)
        return;
    struct agent_output *output = agent_output_add(core, AGENT_ATTEMPT_ENDED);
    output->token = attempt->row.token;
    output->outcome = attempt->row.outcome;
}

void agent_attempt_never(struct agent_core *core, struct agent_attempt *attempt,
                         enum outcome outcome)
{
    ASSERT(attempt->row.claim == CLAIM_FREE);
    attempt->row.claim = CLAIM_TOMBSTONE;
    attempt->row.outcome = outcome;
    attempt->row.exit_code = -1;
    set_phase(core, attempt, PHASE_NEVER);
    attempt->is_engine_done = !attempt->may_exist;
    attempt->call_due = core->now.boot;
    tell_shell(core, attempt);
}

static void end_attempt(struct agent_core *core, struct agent_attempt *attempt)
{
    if (attempt->row.outcome == OUTCOME_NONE) {
        attempt->row.outcome = OUTCOME_SUCCEEDED;
        attempt->row.exit_code = 0;
    }
    if (attempt->row.holder != 0)
        agent_usage_record(core, attempt, true);
    attempt->usage_due = BOOT_NEVER;
    attempt->is_engine_done = true;
    set_phase(core, attempt, PHASE_ENDED);
    tell_shell(core, attempt);
}

static bool has_every_rank_ended(const struct agent_attempt *attempt)
{
    for (uint32_t rank = 0; rank < attempt->row.nodes; rank++)
        if (!agent_attempt_is_rank_ended(attempt, rank))
            return false;
    return true;
}

static void kill_ranks(struct agent_core *core, struct agent_attempt *attempt)
{
    for (uint32_t rank = 0; rank < attempt->row.nodes; rank++)
        if (!agent_attempt_is_rank_ended(attempt, rank))
            agent_gate_kill(core, attempt, rank);
}

void agent_rank_end(struct agent_core *core, struct agent_attempt *attempt, uint32_t rank,
                    enum outcome outcome, int32_t exit_code)
{
    ASSERT(attempt->row.phase == PHASE_TAKEN && rank < attempt->row.nodes);
    attempt->row.rank_ended[rank / 64] |= UINT64_C(1) << (rank % 64);
    if (outcome != OUTCOME_SUCCEEDED && attempt->row.outcome == OUTCOME_NONE) {
        attempt->row.outcome = outcome;
        attempt->row.exit_code = exit_code;
    }
    agent_mark_dirty(core, attempt);
    if (has_every_rank_ended(attempt) || !core->rules->end_needs_every_rank) {
        end_attempt(core, attempt);
    } else if (attempt->row.outcome != OUTCOME_NONE && attempt->kill_by.ns == BOOT_NEVER.ns) {
        /* The leash: a gang that lost a rank is of no use. */
        attempt->kill_by = core->now.boot;
        kill_ranks(core, attempt);
    }
}

static enum outcome outcome_of_revoke(enum revoke_reason reason)
{
    return reason == REVOKE_PREEMPTED || reason == REVOKE_DRAIN ? OUTCOME_PREEMPTED
                                                                : OUTCOME_REVOKED;
}

static void take_engine_numbers(struct agent_rank *rank, const struct engine_rank_end *end)
{
    if (end->ran.ms > rank->ran.ms)
        rank->ran = end->ran;
    if (end->gate_wait.ms > rank->gate_wait.ms)
        rank->gate_wait = end->gate_wait;
    if (end->kill_wait.ms > rank->kill_wait.ms)
        rank->kill_wait = end->kill_wait;
    if (end->cpu_ms > rank->cpu_ms)
        rank->cpu_ms = end->cpu_ms;
    attempt_progress_take(&rank->progress, &end->progress);
}

void agent_attempt_gone(struct agent_core *core, struct agent_attempt *attempt,
                        const struct engine_rank_end *ranks, uint32_t rank_count)
{
    if (attempt->row.holder == 0) { /* of a lost journal: what its ranks did cannot be told apart */
        attempt->row.outcome = OUTCOME_JOURNAL_LOST;
        attempt->row.exit_code = -1;
        end_attempt(core, attempt);
        return;
    }
    if (attempt->kill_by.ns == BOOT_NEVER.ns)
        attempt->kill_by = core->now.boot; /* nobody is left to be killed */
    for (uint32_t rank = 0; rank < attempt->row.nodes; rank++) {
        if (agent_attempt_is_final(attempt))
            return;
        if (agent_attempt_is_rank_ended(attempt, rank))
            continue;
        if (rank < rank_count && ranks[rank].is_known) {
            take_engine_numbers(&attempt->ranks[rank], &ranks[rank]);
            agent_rank_end(core, attempt, rank, ranks[rank].outcome, ranks[rank].exit_code);
        } else {
            enum outcome outcome = attempt->row.revoke != REVOKE_NONE
                                       ? outcome_of_revoke(attempt->row.revoke)
                                       : OUTCOME_NODE_LOST;
            agent_rank_end(core, attempt, rank, outcome, -1);
        }
    }
}

/* ---- START */

static bool is_device_taken(const struct agent_attempt *other, const struct rank_place *place)
{
    for (uint32_t rank = 0; rank < other->row.nodes; rank++) {
        const struct rank_place *theirs = &other->places[rank];
        for (uint32_t i = 0; theirs->node == place->node && i < theirs->device_count; i++)
            for (uint32_t j = 0; j < place->device_count; j++)
                if (theirs->devices[i] == place->devices[j])
                    return true;
    }
    return false;
}

/* What `attempt` holds on a node. */
static void count_held(const struct agent_attempt *attempt, uint16_t node, uint64_t *cpu_milli,
                       uint64_t *mem_bytes)
{
    for (uint32_t rank = 0; attempt->places != NULL && rank < attempt->row.nodes; rank++) {
        if (attempt->places[rank].node != node)
            continue;
        *cpu_milli += attempt->cpu_milli;
        *mem_bytes += attempt->mem_bytes;
    }
}

/* Does the site have the places, and are they free by our own books? */
static bool has_room(const struct agent_core *core, const struct agent_attempt *attempt)
{
    for (uint32_t rank = 0; rank < attempt->row.nodes; rank++) {
        const struct rank_place *place = &attempt->places[rank];
        if (place->node >= core->node_count)
            return false;
        uint64_t cpu_milli = 0, mem_bytes = 0;
        for (size_t i = 0; i < core->open.len; i++) {
            const struct agent_attempt *other = *(struct agent_attempt **)vector_at(&core->open, i);
            if (other != attempt && (agent_attempt_is_final(other) || other->places == NULL))
                continue;
            count_held(other, place->node, &cpu_milli, &mem_bytes);
            if (other != attempt && is_device_taken(other, place))
                return false;
        }
        const struct agent_node *node = &core->nodes[place->node];
        if (cpu_milli > node->cpu_milli || mem_bytes > node->mem_bytes)
            return false;
        for (uint32_t i = 0; i < place->device_count; i++)
            if (place->devices[i] >= node->devices)
                return false;
    }
    return true;
}

/* Refused for good: a tombstone without an order, so that the server hears NEVER. */
static void refuse(struct agent_core *core, const struct sync_command *command)
{
    struct journal_attempt row = {.token = command->token,
                                  .phase = PHASE_NEVER,
                                  .claim = CLAIM_TOMBSTONE,
                                  .nodes = 1,
                                  .exit_code = -1,
                                  .outcome = OUTCOME_REFUSED,
                                  .changed_at = core->now.wall};
    struct agent_attempt *attempt;
    if (agent_attempt_add(core, &row, &attempt) != ERR_OK)
        return; /* no room to remember it: the server repeats */
    attempt->is_new = true;
    attempt->is_engine_done = true;
    set_phase(core, attempt, PHASE_NEVER);
}

static bool is_fenced(const struct agent_core *core, const struct sync_command *command)
{
    if (core->rules->epoch_fences_commands && command->token.epoch < core->meta.epoch_seen)
        return true;
    /* Offered to a journal that is gone: it may have been started under that one. */
    return core->rules->journal_loss_is_unknown &&
           !id_is_equal(command->journal.id, core->meta.id.id);
}

/* Ranks that an order names; 0: not readable. */
static uint32_t count_ranks(struct slice order_bytes)
{
    struct arena arena;
    struct attempt_order order;
    arena_init(&arena, ORDER_ARENA_BYTES);
    uint32_t nodes =
        attempt_order_decode(order_bytes, &arena, &order, NULL) == ERR_OK ? order.nodes : 0;
    arena_deinit(&arena);
    return nodes;
}

static void forget_unwritten(struct agent_core *core, struct agent_attempt *attempt)
{
    char key[TOKEN_KEY_BYTES];
    strmap_remove(&core->attempts, token_key(&attempt->row.token, key));
    vector_pop(&core->open);
    agent_attempt_free(attempt);
}

void agent_attempt_start(struct agent_core *core, const struct sync_command *command,
                         struct boot_ns anchor)
{
    struct agent_attempt *attempt = agent_attempt_find(core, &command->token);
    if (attempt != NULL || is_fenced(core, command))
        return;
    struct journal_attempt row = {.token = command->token,
                                  .phase = PHASE_INTENT,
                                  .claim = CLAIM_FREE,
                                  .exit_code = -1,
                                  .order = command->order,
                                  .nodes = count_ranks(command->order),
                                  .changed_at = core->now.wall};
    if (core->is_draining || core->open.len >= core->settings.attempts_max || row.nodes == 0 ||
        agent_attempt_add(core, &row, &attempt) != ERR_OK) {
        refuse(core, command);
        return;
    }
    if (!has_room(core, attempt)) {
        forget_unwritten(core, attempt);
        refuse(core, command);
        return;
    }
    attempt->is_new = true;
    attempt->has_anchor = true;
    attempt->anchor = anchor;
    attempt->is_looked_up = true; /* nobody has asked the engine for it yet */
    attempt->call_due = core->now.boot;
    core->is_changed = true;
    if (core->rules->intent_before_submit)
        agent_mark_dirty(core, attempt);
    else
        attempt->is_late = true;
}

/* ---- REVOKE */

/* `is_foreign`: it may run, under a journal that is lost; so it is ended, never called off. */
static void end_unknown(struct agent_core *core, const struct sync_command *command,
                        bool is_foreign)
{
    struct journal_attempt row = {
        .token = command->token,
        .phase = is_foreign ? PHASE_TAKEN : PHASE_NEVER,
        .claim = is_foreign ? CLAIM_TAKEN : CLAIM_TOMBSTONE,
        .nodes = 1,
        .revoke = command->reason,
        .outcome = is_foreign ? OUTCOME_JOURNAL_LOST : outcome_of_revoke(command->reason),
        .exit_code = -1,
        .changed_at = core->now.wall,
    };
    struct agent_attempt *attempt;
    if (agent_attempt_add(core, &row, &attempt) != ERR_OK)
        return; /* repeated by the server */
    attempt->is_new = true;
    set_phase(core, attempt, row.phase);
    attempt->may_exist = is_foreign;
    attempt->is_engine_done = !is_foreign;
    attempt->kill_by = is_foreign ? boot_add(core->now.boot, command->grace) : BOOT_NEVER;
    attempt->call_due = core->now.boot;
}

static void revoke_unknown(struct agent_core *core, const struct sync_command *command)
{
    end_unknown(core, command,
                core->rules->journal_loss_is_unknown &&
                    !id_is_equal(command->journal.id, core->meta.id.id));
}

void agent_attempt_found(struct agent_core *core, const struct attempt_token *token)
{
    const struct sync_command command = {.token = *token, .reason = REVOKE_SUPERSEDED};
    if (agent_attempt_find(core, token) == NULL)
        end_unknown(core, &command, true);
}

static void reopen(struct agent_core *core, struct agent_attempt *attempt)
{
    if (!attempt->row.is_acked)
        return;
    attempt->row.is_acked = false;
    agent_mark_dirty(core, attempt);
    core->is_changed = true;
    for (size_t i = 0; i < core->retained.len; i++) {
        if (*(struct agent_attempt **)vector_at(&core->retained, i) != attempt)
            continue;
        vector_remove_ordered(&core->retained, i);
        enum err err = vector_push(&core->open, &attempt);
        ASSERT(err == ERR_OK);
        return;
    }
}

static void revoke_free(struct agent_core *core, struct agent_attempt *attempt)
{
    attempt->row.revoke =
        attempt->row.revoke == REVOKE_NONE ? REVOKE_SUPERSEDED : attempt->row.revoke;
    agent_attempt_never(core, attempt, outcome_of_revoke(attempt->row.revoke));
    if (!core->rules->tombstone_on_revoke)
        attempt->row.claim = CLAIM_FREE;
}

void agent_attempt_revoke(struct agent_core *core, const struct sync_command *command)
{
    struct agent_attempt *attempt = agent_attempt_find(core, &command->token);
    if (attempt == NULL) {
        revoke_unknown(core, command);
        return;
    }
    if (agent_attempt_is_final(attempt)) {
        reopen(core, attempt); /* the server does not know the end: tell it again */
        return;
    }
    if (attempt->row.revoke == REVOKE_NONE) {
        attempt->row.revoke = command->reason;
        agent_mark_dirty(core, attempt);
    }
    if (attempt->row.phase == PHASE_INTENT) {
        revoke_free(core, attempt);
        return;
    }
    struct boot_ns kill_by = boot_add(core->now.boot, command->grace);
    if (attempt->kill_by.ns == BOOT_NEVER.ns) {
        attempt->kill_by = kill_by;
        kill_ranks(core, attempt);
        core->is_changed = true;
    } else if (boot_is_before(kill_by, attempt->kill_by)) {
        attempt->kill_by = kill_by;
    }
}

void agent_attempt_yield(struct agent_core *core, const struct attempt_token *token,
                         struct span_ms grace)
{
    const struct sync_command command = {
        .token = *token, .reason = REVOKE_PREEMPTED, .grace = grace};
    const struct agent_attempt *attempt = agent_attempt_find(core, token);
    if (attempt != NULL && !agent_attempt_is_final(attempt))
        agent_attempt_revoke(core, &command);
}

void agent_nodes_clear(struct agent_core *core, const bool *nodes, uint32_t count,
                       struct span_ms grace)
{
    for (size_t i = 0; i < core->open.len; i++) {
        const struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, i);
        bool is_there = false;
        for (uint32_t rank = 0; attempt->places != NULL && rank < attempt->row.nodes; rank++)
            is_there = is_there ||
                       (attempt->places[rank].node < count && nodes[attempt->places[rank].node]);
        if (is_there)
            agent_attempt_yield(core, &attempt->row.token, grace);
    }
}

/* ---- after the end */

void agent_attempt_ack(struct agent_core *core, const struct attempt_token *token)
{
    struct agent_attempt *attempt = agent_attempt_find(core, token);
    if (attempt == NULL || !agent_attempt_is_final(attempt) || attempt->row.is_acked)
        return;
    attempt->row.is_acked = true;
    attempt->acked_at = core->now.boot;
    agent_mark_dirty(core, attempt);
}

static void forget_oldest(struct agent_core *core)
{
    char key[TOKEN_KEY_BYTES];
    struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->retained, 0);
    agent_op_add(core, JOURNAL_ATTEMPT_FORGET)->forget = attempt->row.token;
    strmap_remove(&core->attempts, token_key(&attempt->row.token, key));
    vector_remove_ordered(&core->retained, 0);
    agent_attempt_free(attempt);
}

/* Moves what is over to the retained ones, and forgets of those what is old enough. */
void agent_retained_trim(struct agent_core *core)
{
    for (size_t i = 0; i < core->open.len;) {
        struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, i);
        if (!attempt->row.is_acked || !attempt->is_engine_done || attempt->is_calling ||
            attempt->is_dirty) {
            i++;
            continue;
        }
        vector_remove_ordered(&core->open, i);
        enum err err = vector_push(&core->retained, &attempt);
        ASSERT(err == ERR_OK);
    }
    while (core->retained.len != 0) {
        const struct agent_attempt *oldest =
            *(struct agent_attempt **)vector_at(&core->retained, 0);
        bool is_old = core->told.retain.ms >= RETAIN_MIN.ms &&
                      agent_is_due(core, boot_add(oldest->acked_at, core->told.retain));
        if (oldest->is_dirty || (!is_old && core->retained.len <= AGENT_RETAINED_MAX))
            return;
        forget_oldest(core);
    }
}
