/* Metering: gapless records of what attempts used, kept until the server has them for good. */
#include <string.h>

#include "base/assert.h"
#include "core/agent_private.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t scaled(int64_t per_ms, int64_t wall_ms, int64_t divisor)
{
    __int128 product = (__int128)per_ms * wall_ms / divisor;
    return product > INT64_MAX ? INT64_MAX : (int64_t)product;
}

/* Running totals by what the supervisors told so far; they never fall. */
static struct usage_quantities measure(const struct agent_attempt *attempt)
{
    const struct usage_quantities *before = &attempt->row.total;
    struct usage_quantities total = {.wall_ms = attempt->row.ran.ms};
    for (uint32_t i = 0; i < attempt->row.nodes; i++) {
        const struct agent_rank *rank = &attempt->ranks[i];
        total.wall_ms = larger(total.wall_ms, rank->ran.ms);
        total.cpu_ms += rank->cpu_ms;
        total.gate_wait_ms = larger(total.gate_wait_ms, rank->gate_wait.ms);
        total.kill_wait_ms = larger(total.kill_wait_ms, rank->kill_wait.ms);
    }
    total.wall_ms = larger(total.wall_ms, before->wall_ms);
    total.cpu_ms = larger(total.cpu_ms, before->cpu_ms);
    total.gate_wait_ms = larger(total.gate_wait_ms, before->gate_wait_ms);
    total.kill_wait_ms = larger(total.kill_wait_ms, before->kill_wait_ms);
    total.cpu_held_ms = scaled(attempt->per_ms.cpu_held_ms, total.wall_ms, 1000);
    total.accel_ms = scaled(attempt->per_ms.accel_ms, total.wall_ms, 1);
    total.mem_mib_ms = scaled(attempt->per_ms.mem_mib_ms, total.wall_ms, 1);
    return total;
}

static struct usage_quantities minus(const struct usage_quantities *a,
                                     const struct usage_quantities *b)
{
    return (struct usage_quantities){
        .wall_ms = a->wall_ms - b->wall_ms,
        .cpu_ms = a->cpu_ms - b->cpu_ms,
        .cpu_held_ms = a->cpu_held_ms - b->cpu_held_ms,
        .accel_ms = a->accel_ms - b->accel_ms,
        .mem_mib_ms = a->mem_mib_ms - b->mem_mib_ms,
        .gate_wait_ms = a->gate_wait_ms - b->gate_wait_ms,
        .kill_wait_ms = a->kill_wait_ms - b->kill_wait_ms,
    };
}

/* The window takes a record only when it follows on; what it misses is read from the journal. */
static void window_add(struct agent_core *core, const struct usage_record *record)
{
    uint64_t next = core->meta.usage_acked + 1;
    if (core->usage.len != 0)
        next = ((const struct usage_record *)vector_last(&core->usage))->seq + 1;
    if (record->seq != next || core->usage.len >= USAGE_WINDOW_MAX)
        return;
    enum err err = vector_push(&core->usage, record);
    ASSERT(err == ERR_OK);
}

void agent_usage_record(struct agent_core *core, struct agent_attempt *attempt, bool is_last)
{
    struct usage_quantities total = measure(attempt);
    struct usage_quantities delta = minus(&total, &attempt->row.total);
    attempt->usage_due = boot_add(core->now.boot, core->told.usage_every);
    if (!is_last && delta.wall_ms == 0)
        return;
    struct usage_record record = {
        .site = core->site,
        .journal = core->meta.id,
        .seq = ++core->meta.usage_seq,
        .token = attempt->row.token,
        .is_last = is_last,
        .runtime = attempt->runtime,
        .delta = delta,
        .total = total,
        .measured_at = core->now.wall,
    };
    memcpy(record.accelerator, attempt->accelerator, sizeof(record.accelerator));
    agent_op_add(core, JOURNAL_USAGE_APPEND)->usage = record;
    window_add(core, &record);
    core->is_meta_dirty = true;
    attempt->row.total = total;
    attempt->row.ran = SPAN_MS(total.wall_ms);
    agent_mark_dirty(core, attempt);
}

/* ---- acknowledging */

static void drop_marks_above(struct agent_core *core, uint64_t acked)
{
    while (core->mark_count != 0 && core->marks[core->mark_count - 1].seq > acked)
        core->mark_count--;
}

static void add_mark(struct agent_core *core)
{
    if (core->mark_count == RETAIN_MARKS_MAX) {
        /* Every second one goes: what they covered is kept a little longer. */
        for (uint32_t i = 0; i < RETAIN_MARKS_MAX / 2; i++)
            core->marks[i] = core->marks[2 * i + 1];
        core->mark_count = RETAIN_MARKS_MAX / 2;
    }
    core->marks[core->mark_count++] =
        (struct retain_mark){.seq = core->meta.usage_acked, .at = core->now.boot};
}

void agent_usage_acked(struct agent_core *core, uint64_t acked)
{
    uint64_t floor = core->usage_oldest != 0 ? core->usage_oldest - 1 : 0;
    if (acked > core->meta.usage_seq)
        acked = core->meta.usage_seq;
    if (acked < floor)
        acked = floor; /* pruned: cannot be given again */
    if (acked == core->meta.usage_acked)
        return;
    bool is_lower = acked < core->meta.usage_acked;
    core->meta.usage_acked = acked;
    core->is_meta_dirty = true;
    core->is_changed = true;
    if (is_lower) { /* a restored server: give it again from there */
        drop_marks_above(core, acked);
        vector_clear(&core->usage);
        core->has_news = true;
        return;
    }
    size_t gone = 0;
    while (gone < core->usage.len &&
           ((const struct usage_record *)vector_at(&core->usage, gone))->seq <= acked)
        gone++;
    size_t left = core->usage.len - gone;
    if (left != 0 && gone != 0)
        memmove(core->usage.data, vector_at(&core->usage, gone), left * core->usage.item_size);
    core->usage.len = left;
    add_mark(core);
}

/* Prunes what was acknowledged longer ago than the retention time. */
void agent_usage_tick(struct agent_core *core)
{
    if (core->told.retain.ms == 0)
        return; /* the server has not said how long */
    uint32_t old = 0;
    while (old < core->mark_count &&
           agent_is_due(core, boot_add(core->marks[old].at, core->told.retain)))
        old++;
    if (old == 0)
        return;
    uint64_t prune_to = core->marks[old - 1].seq;
    memmove(core->marks, core->marks + old, (core->mark_count - old) * sizeof(core->marks[0]));
    core->mark_count -= old;
    if (prune_to < core->usage_oldest || prune_to > core->meta.usage_acked)
        return;
    agent_op_add(core, JOURNAL_USAGE_PRUNE)->prune_to = prune_to;
    core->usage_oldest = prune_to + 1;
}

/* ---- sending */

void agent_on_usage(struct agent_core *core, uint64_t after, const struct usage_record *records,
                    uint32_t count)
{
    core->is_reading_usage = false;
    if (core->usage_oldest == 0)
        core->usage_oldest = count != 0 ? records[0].seq : core->meta.usage_seq + 1;
    if (after == core->meta.usage_acked && core->usage.len == 0)
        for (uint32_t i = 0; i < count; i++)
            window_add(core, &records[i]);
    core->has_news = core->has_news || core->usage.len != 0;
}

static void read_usage(struct agent_core *core, uint64_t after)
{
    if (core->is_reading_usage)
        return;
    core->is_reading_usage = true;
    agent_output_add(core, AGENT_READ_USAGE)->after = after;
}

void agent_usage_next(struct agent_core *core, const struct usage_record **out, uint32_t *out_count)
{
    bool is_known = core->usage.len != 0 && ((const struct usage_record *)core->usage.data)->seq ==
                                                core->meta.usage_acked + 1;
    if (!is_known) {
        *out = NULL;
        *out_count = 0;
        if (core->meta.usage_acked < core->meta.usage_seq)
            read_usage(core, core->meta.usage_acked);
        return;
    }
    *out = core->usage.data;
    *out_count = core->usage.len < USAGE_BATCH_MAX ? (uint32_t)core->usage.len : USAGE_BATCH_MAX;
}
