/* What a step collects: rows to write once each, in an order that the journal can check, and
 * outputs. */
#include "base/assert.h"
#include "core/agent_private.h"

enum { EFFECTS_BYTES_MAX = 64 << 20 };

void agent_effects_init(struct agent_effects *effects)
{
    *effects = (struct agent_effects){0};
    arena_init(&effects->arena, EFFECTS_BYTES_MAX);
}

void agent_effects_deinit(struct agent_effects *effects)
{
    arena_deinit(&effects->arena);
    *effects = (struct agent_effects){0};
}

void agent_step_begin(struct agent_core *core, struct now now, struct agent_effects *effects)
{
    core->now = now;
    core->effects = effects;
    core->is_changed = false;
    vector_clear(&core->ops);
    vector_clear(&core->outputs);
    vector_clear(&core->dirty);
}

struct agent_output *agent_output_add(struct agent_core *core, enum agent_output_kind kind)
{
    struct agent_output *output = vector_push_zeroed(&core->outputs);
    ASSERT(output != NULL);
    output->kind = kind;
    return output;
}

struct journal_op *agent_op_add(struct agent_core *core, enum journal_change_kind kind)
{
    struct journal_op *op = vector_push_zeroed(&core->ops);
    ASSERT(op != NULL);
    op->kind = kind;
    return op;
}

void agent_mark_dirty(struct agent_core *core, struct agent_attempt *attempt)
{
    if (attempt->is_dirty)
        return;
    attempt->is_dirty = true;
    enum err err = vector_push(&core->dirty, &attempt);
    ASSERT(err == ERR_OK);
}

static void write_attempt(struct agent_core *core, struct agent_attempt *attempt,
                          struct journal_op *op)
{
    op->kind = attempt->is_new ? JOURNAL_ATTEMPT_INSERT : JOURNAL_ATTEMPT_UPDATE;
    op->attempt = attempt->row;
    op->attempt.order = (struct slice){0};
    if (attempt->is_new && attempt->row.order.len != 0) {
        op->attempt.order = arena_copy(&core->effects->arena, attempt->row.order);
        ASSERT(op->attempt.order.data != NULL);
    }
    attempt->is_new = false;
    attempt->is_dirty = false;
}

/* Usage comes before the meta row that counts it; prunes come after the meta row that allows them.
 */
static size_t copy_ops(struct agent_core *core, bool want_usage, struct journal_op *out)
{
    size_t count = 0;
    for (size_t i = 0; i < core->ops.len; i++) {
        const struct journal_op *op = vector_at(&core->ops, i);
        if ((op->kind == JOURNAL_USAGE_APPEND) == want_usage)
            out[count++] = *op;
    }
    return count;
}

void agent_step_end(struct agent_core *core)
{
    struct agent_effects *effects = core->effects;
    size_t room = core->dirty.len + core->ops.len + 1;
    struct journal_op *ops = arena_array(&effects->arena, room, sizeof(*ops));
    ASSERT(ops != NULL);
    size_t count = 0;
    for (size_t i = 0; i < core->dirty.len; i++)
        write_attempt(core, *(struct agent_attempt **)vector_at(&core->dirty, i), &ops[count++]);
    count += copy_ops(core, true, ops + count);
    if (core->is_meta_dirty)
        ops[count++] = (struct journal_op){.kind = JOURNAL_META_SET, .meta = core->meta};
    core->is_meta_dirty = false;
    count += copy_ops(core, false, ops + count);
    effects->change = (struct journal_change){.ops = ops, .count = count};

    if (core->outputs.len != 0) {
        size_t bytes = core->outputs.len * sizeof(struct agent_output);
        struct slice copy = arena_copy(&effects->arena, slice_make(core->outputs.data, bytes));
        ASSERT(copy.data != NULL);
        effects->outputs = (const struct agent_output *)(const void *)copy.data;
        effects->output_count = core->outputs.len;
    }
    core->effects = NULL;
}
