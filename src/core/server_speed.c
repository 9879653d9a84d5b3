/* Speeds of kinds of places by workload: learned from what attempts report, told to the placer,
 * kept as documents. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

enum { NEWS_PERCENT = 2 /* a rate that differs less from the one told is no news */ };

void speeds_free(struct server_core *core)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&core->workloads, &cursor, NULL, &value))
        free(value);
    idmap_deinit(&core->workloads);
}

/* ---- the placer and the store are told */

static void kind_tell(struct server_core *core, const struct server_workload *workload,
                      struct server_kind *kind)
{
    kind->told = throughput_rate(&kind->value);
    const struct place_speed speed = {.runtime = kind->value.runtime,
                                      .devices = kind->value.devices,
                                      .accelerator = kind->value.accelerator,
                                      .rate = kind->told,
                                      .may_explore = kind->told == 0 && kind->trying == 0 &&
                                                     kind->value.fruitless < THROUGHPUT_TRIES_MAX};
    enum err err = placer_speed_put(core->placer, workload->value.workload, &speed);
    ASSERT(err != ERR_NO_MEMORY); /* past a limit nothing is learned */
}

static int kind_order(const void *a, const void *b)
{
    return throughput_kind_compare(a, b);
}

static void workload_save(struct step *step, const struct server_workload *workload)
{
    struct throughput_kind kinds[THROUGHPUT_KINDS_MAX];
    struct doc_value value = {.kind = DOC_THROUGHPUT, .throughput = workload->value};
    for (uint32_t i = 0; i < workload->kind_count; i++)
        kinds[i] = workload->kinds[i].value;
    qsort(kinds, workload->kind_count, sizeof(kinds[0]), kind_order);
    value.throughput.kinds = kinds;
    value.throughput.kind_count = workload->kind_count;
    doc_save(step, &value, step_id(step, workload->value.tenant.id, ID_PREFIX_TENANT));
}

/* ---- workloads that come and go */

static struct server_workload *
workload_add(struct server_core *core, const struct throughput *value, struct server_tenant *tenant)
{
    struct server_workload *made = calloc(1, sizeof(*made));
    if (made == NULL || idmap_add(&core->workloads, value->workload, made) != ERR_OK) {
        free(made);
        return NULL;
    }
    ASSERT(value->name.len <= WORKLOAD_NAME_MAX);
    if (value->name.len > 0)
        memcpy(made->name, value->name.data, value->name.len);
    made->value = *value;
    made->value.name = slice_make(made->name, value->name.len);
    made->value.kinds = NULL;
    made->value.kind_count = 0;
    tenant->workload_count++;
    return made;
}

static void workload_forget(struct step *step, struct server_workload *workload)
{
    struct server_core *core = step->core;
    struct server_tenant *tenant = tenant_find(core, workload->value.tenant);
    const struct doc_value value = {.kind = DOC_THROUGHPUT, .throughput = workload->value};
    char key[DOC_ID_MAX + 1];
    doc_key(&value, key);
    struct server_doc *doc = doc_find(core, DOC_THROUGHPUT, slice_of(key));
    if (doc != NULL) {
        struct change_op *op = step_op(step, CHANGE_DOC_DELETE);
        op->doc.expect_version = doc->version;
        op->doc.doc = (struct doc){.kind = DOC_THROUGHPUT,
                                   .id = arena_copy(&step->effects->arena, slice_of(key)),
                                   .version = doc->version};
        enum err err = doc_note(core, DOC_THROUGHPUT, slice_of(key), 0, NULL);
        ASSERT(err == ERR_OK);
    }
    if (tenant != NULL)
        tenant->workload_count--;
    placer_speed_forget(core->placer, workload->value.workload);
    (void)idmap_remove(&core->workloads, workload->value.workload);
    free(workload);
}

/* A tenant that is at its limit forgets the oldest that nothing runs of. */
static bool make_room(struct step *step, const struct server_tenant *tenant)
{
    size_t cursor = 0;
    void *value;
    if (tenant->workload_count < SERVER_WORKLOADS_MAX)
        return true;
    while (idmap_next(&step->core->workloads, &cursor, NULL, &value)) {
        struct server_workload *workload = value;
        if (workload->users > 0 || !id_is_equal(workload->value.tenant.id, tenant->id.id))
            continue;
        workload_forget(step, workload);
        return true;
    }
    return false;
}

static struct server_workload *workload_get(struct step *step, const struct server_job *job)
{
    const struct job_spec *spec = &job->spec->spec;
    struct server_workload *known = idmap_get(&step->core->workloads, job->workload);
    if (known != NULL || !make_room(step, job->tenant))
        return known;
    const struct throughput value = {.workload = job->workload,
                                     .tenant = job->tenant->id,
                                     .name = spec->workload,
                                     .nodes = spec->num_nodes,
                                     .cpu_milli = spec->cpu_milli};
    return workload_add(step->core, &value, job->tenant);
}

static struct server_kind *kind_get(struct server_workload *workload,
                                    const struct throughput_kind *wanted)
{
    for (uint32_t i = 0; i < workload->kind_count; i++)
        if (throughput_kind_compare(&workload->kinds[i].value, wanted) == 0)
            return &workload->kinds[i];
    if (workload->kind_count == THROUGHPUT_KINDS_MAX || wanted->accelerator.len > NAME_MAX)
        return NULL;
    struct server_kind *kind = &workload->kinds[workload->kind_count++];
    *kind = (struct server_kind){.value = *wanted};
    if (wanted->accelerator.len > 0)
        memcpy(kind->accelerator, wanted->accelerator.data, wanted->accelerator.len);
    kind->value.accelerator = slice_make(kind->accelerator, wanted->accelerator.len);
    return kind;
}

enum err speed_load(struct server_core *core, const struct throughput *value)
{
    struct server_tenant *tenant = tenant_find(core, value->tenant);
    if (tenant == NULL || idmap_get(&core->workloads, value->workload) != NULL)
        return ERR_OK; /* its tenant is gone: nobody asks for it */
    struct server_workload *workload = workload_add(core, value, tenant);
    if (workload == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < value->kind_count; i++) {
        struct server_kind *kind = kind_get(workload, &value->kinds[i]);
        ASSERT(kind != NULL);
        kind_tell(core, workload, kind);
    }
    return ERR_OK;
}

/* ---- attempts */

void speed_begin(struct step *step, struct server_attempt *attempt)
{
    const struct server_job *job = attempt->job;
    const struct job_variant *variant = &job->spec->spec.variants[attempt->row.variant];
    struct throughput_kind wanted = {.runtime = variant->runtime, .devices = variant->accelerators};
    if (id_is_none(job->workload) || attempt->place_count == 0 || attempt->kind != NULL)
        return;
    uint16_t node = attempt->places[0].node;
    if (variant->accelerators > 0 && node < attempt->site->value.node_count)
        wanted.accelerator = attempt->site->value.nodes[node].accelerator;
    struct server_workload *workload = workload_get(step, job);
    struct server_kind *kind = workload == NULL ? NULL : kind_get(workload, &wanted);
    if (kind == NULL)
        return;
    attempt->workload = workload;
    attempt->kind = kind;
    workload->users++;
    if (kind->trying++ == 0 && kind->told == 0)
        kind_tell(step->core, workload, kind); /* nobody else need try it now */
}

static bool is_news(const struct server_kind *kind)
{
    uint64_t rate = throughput_rate(&kind->value), told = kind->told;
    uint64_t gap = rate > told ? rate - told : told - rate;
    return gap > 0 && (told == 0 || gap > told / 100 * NEWS_PERCENT);
}

void speed_note(struct step *step, struct server_attempt *attempt,
                const struct attempt_progress *said)
{
    struct attempt_progress *counted = &attempt->progress;
    struct server_kind *kind = attempt->kind;
    if (kind == NULL || said->units <= counted->units || said->over.ms <= counted->over.ms)
        return;
    throughput_add(&kind->value, said->units - counted->units,
                   SPAN_MS(said->over.ms - counted->over.ms));
    *counted = *said;
    kind->value.fruitless = 0;
    if (!is_news(kind))
        return;
    kind_tell(step->core, attempt->workload, kind);
    workload_save(step, attempt->workload);
    step->core->must_place = true;
}

void speed_end(struct step *step, struct server_attempt *attempt)
{
    struct server_kind *kind = attempt->kind;
    struct server_workload *workload = attempt->workload;
    if (kind == NULL)
        return;
    enum outcome outcome = attempt->row.outcome;
    bool has_run = outcome == OUTCOME_SUCCEEDED || outcome == OUTCOME_PROGRAM_ERROR ||
                   outcome == OUTCOME_OUT_OF_MEMORY || outcome == OUTCOME_TIME_LIMIT;
    attempt->kind = NULL;
    workload->users--;
    kind->trying--;
    if (has_run && attempt->progress.units == 0 && kind->told == 0)
        kind->value.fruitless++;
    if (kind->told == 0)
        kind_tell(step->core, workload, kind);
}
