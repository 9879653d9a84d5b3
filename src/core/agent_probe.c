#include <string.h>

#include "base/assert.h"
#include "core/agent_private.h"

static struct agent_probe *probe_find(const struct agent_core *core, uint64_t number)
{
    for (size_t i = 0; i < core->probes.len; i++) {
        struct agent_probe *probe = vector_at(&core->probes, i);
        if (probe->asked.number == number)
            return probe;
    }
    return NULL;
}

static bool is_asked(const struct sync_reply *reply, uint64_t number)
{
    for (uint32_t i = 0; i < reply->probe_count; i++)
        if (reply->probes[i].number == number)
            return true;
    return false;
}

/* A reply names all that are under way: what it does not name has been heard, or given up. */
void agent_probes_take(struct agent_core *core, const struct sync_reply *reply)
{
    for (size_t i = core->probes.len; i > 0; i--) {
        const struct agent_probe *probe = vector_at(&core->probes, i - 1);
        if (!is_asked(reply, probe->asked.number))
            vector_remove_ordered(&core->probes, i - 1);
    }
    for (uint32_t i = 0; i < reply->probe_count; i++) {
        const struct agent_probe made = {.asked = reply->probes[i]};
        if (made.asked.node >= core->node_count || probe_find(core, made.asked.number) != NULL)
            continue;
        if (vector_push(&core->probes, &made) != ERR_OK)
            return; /* asked again */
        agent_output_add(core, AGENT_PROBE)->probe = made.asked;
    }
}

void agent_on_probed(struct agent_core *core, const struct sync_probed *probed)
{
    struct agent_probe *probe = probe_find(core, probed->number);
    if (probe == NULL)
        return;
    size_t len = probed->why.len < sizeof(probe->why) ? probed->why.len : sizeof(probe->why) - 1;
    if (len > 0)
        memcpy(probe->why, probed->why.data, len);
    probe->why[len] = '\0';
    probe->is_done = true;
    probe->is_good = probed->is_good;
    core->is_changed = true;
}

void agent_probes_report(struct agent_core *core, struct sync_request *request)
{
    struct sync_probed *room =
        arena_array(&core->effects->arena, core->probes.len + 1, sizeof(*room));
    ASSERT(room != NULL);
    for (size_t i = 0; i < core->probes.len; i++) {
        const struct agent_probe *probe = vector_at(&core->probes, i);
        if (probe->is_done)
            room[request->probed_count++] = (struct sync_probed){.number = probe->asked.number,
                                                                 .is_good = probe->is_good,
                                                                 .why = slice_of(probe->why)};
    }
    request->probed = room;
}
