/* What is told once: that an attempt's copies are complete, and what reclaims cost the owner. Each
 * piece of news goes into every request until one that had it was answered; the answer leaves the
 * server only when it has kept it. News are guesswork like all that is beside the journal: the
 * shell tells them again after a restart. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/agent_private.h"

struct agent_copied {
    struct attempt_token token;
    uint64_t seq; /* first request that had it; 0: none yet */
};

struct agent_reclaim {
    struct reclaim value; /* its name is owned */
    uint64_t seq;
};

void agent_news_init(struct agent_core *core)
{
    vector_init(&core->copied, sizeof(struct agent_copied), SYNC_COPIED_MAX);
    vector_init(&core->reclaims, sizeof(struct agent_reclaim), AGENT_RECLAIMS_MAX);
}

void agent_news_deinit(struct agent_core *core)
{
    for (size_t i = 0; i < core->reclaims.len; i++)
        free((void *)((struct agent_reclaim *)vector_at(&core->reclaims, i))->value.name.data);
    vector_deinit(&core->reclaims);
    vector_deinit(&core->copied);
}

void agent_on_copied(struct agent_core *core, const struct attempt_token *token)
{
    const struct agent_copied fresh = {.token = *token};
    if (core->copied.len == SYNC_COPIED_MAX)
        vector_remove_ordered(&core->copied, 0); /* its job waits out the server's own limit */
    enum err err = vector_push(&core->copied, &fresh);
    ASSERT(err == ERR_OK);
    core->is_changed = true;
}

static void forget_reclaim(struct agent_core *core, size_t index)
{
    struct agent_reclaim *old = vector_at(&core->reclaims, index);
    free((void *)old->value.name.data);
    vector_remove_ordered(&core->reclaims, index);
}

static void take_reclaim(struct agent_core *core, const struct reclaim *reclaim)
{
    struct agent_reclaim fresh = {.value = *reclaim};
    struct fault fault = {0};
    for (size_t i = 0; i < core->reclaims.len; i++) {
        struct agent_reclaim *old = vector_at(&core->reclaims, i);
        if (!slice_is_equal(old->value.name, reclaim->name))
            continue;
        fresh.value.name = old->value.name;
        *old = fresh;
        return;
    }
    if (core->reclaims.len == AGENT_RECLAIMS_MAX)
        forget_reclaim(core, 0);
    ASSERT(reclaim_check(reclaim, &fault) == ERR_OK);
    char *name = malloc(reclaim->name.len);
    ASSERT(name != NULL);
    memcpy(name, reclaim->name.data, reclaim->name.len);
    fresh.value.name = slice_make(name, reclaim->name.len);
    enum err err = vector_push(&core->reclaims, &fresh);
    ASSERT(err == ERR_OK);
}

void agent_on_reclaims(struct agent_core *core, const struct reclaim *reclaims, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        take_reclaim(core, &reclaims[i]);
    core->is_changed = core->is_changed || count != 0;
}

void agent_news_tell(struct agent_core *core, struct sync_request *request)
{
    struct arena *arena = &core->effects->arena;
    size_t reclaims =
        core->reclaims.len < SYNC_RECLAIMS_MAX ? core->reclaims.len : SYNC_RECLAIMS_MAX;
    struct attempt_token *tokens = arena_array(arena, core->copied.len + 1, sizeof(*tokens));
    struct reclaim *values = arena_array(arena, reclaims + 1, sizeof(*values));
    ASSERT(tokens != NULL && values != NULL);
    for (size_t i = 0; i < core->copied.len; i++) {
        struct agent_copied *copied = vector_at(&core->copied, i);
        copied->seq = copied->seq != 0 ? copied->seq : request->request_seq;
        tokens[i] = copied->token;
    }
    for (size_t i = 0; i < reclaims; i++) {
        struct agent_reclaim *reclaim = vector_at(&core->reclaims, i);
        reclaim->seq = reclaim->seq != 0 ? reclaim->seq : request->request_seq;
        values[i] = reclaim->value;
    }
    request->copied = tokens;
    request->copied_count = (uint32_t)core->copied.len;
    request->reclaims = values;
    request->reclaim_count = (uint32_t)reclaims;
}

void agent_news_answered(struct agent_core *core, uint64_t request_seq)
{
    for (size_t i = 0; i < core->copied.len;) {
        const struct agent_copied *copied = vector_at(&core->copied, i);
        if (copied->seq != 0 && copied->seq <= request_seq)
            vector_remove_ordered(&core->copied, i);
        else
            i++;
    }
    for (size_t i = 0; i < core->reclaims.len;) {
        const struct agent_reclaim *reclaim = vector_at(&core->reclaims, i);
        if (reclaim->seq != 0 && reclaim->seq <= request_seq)
            forget_reclaim(core, i);
        else
            i++;
    }
    core->has_news = core->has_news || core->reclaims.len != 0;
}
