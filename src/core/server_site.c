/* Sites: what is kept of them, contact, and the operator's words about them. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

enum { SITE_ARENA_MAX = 8 << 20, CERTIFICATES_ARENA_MAX = 1 << 16, WATERMARKS_MAX = 1 << 20 };

struct server_site *site_find(const struct server_core *core, struct site_id id)
{
    return idmap_get(&core->sites, id.id);
}

struct server_site *site_add(struct server_core *core, struct site_id id)
{
    struct server_site *site = calloc(1, sizeof(*site));
    if (site == NULL || idmap_add(&core->sites, id.id, site) != ERR_OK) {
        free(site);
        return NULL;
    }
    site->id = id;
    site->sync_count = 1;       /* attempts have been seen in 0: never */
    site->is_reconciled = true; /* until its memory or the epoch says otherwise */
    site->last_contact = BOOT_LONG_AGO;
    vector_init(&site->watermarks, sizeof(struct server_watermark), WATERMARKS_MAX);
    vector_init(&site->strays, sizeof(struct attempt_token), SYNC_ATTEMPTS_MAX);
    quarantine_init(site);
    timer_init(&site->timer, TIMER_SITE, site);
    return site;
}

void site_free(struct server_core *core, struct server_site *site)
{
    ASSERT(site->first == NULL);
    timer_stop(core, &site->timer);
    arena_deinit(&site->arena);
    arena_deinit(&site->certificates_arena);
    vector_deinit(&site->watermarks);
    vector_deinit(&site->strays);
    util_free(&site->util);
    quarantine_deinit(site);
    free(site->nodes_seen);
    free(site->late_usage);
    free(site);
}

/* ---- its document */

static void sum_nodes(struct server_site *site)
{
    site->cpu_milli = site->mem_bytes = site->devices = 0;
    for (uint32_t i = 0; i < site->value.node_count; i++) {
        site->cpu_milli += site->value.nodes[i].cpu_milli;
        site->mem_bytes += site->value.nodes[i].mem_bytes;
        site->devices += site->value.nodes[i].accelerator_count;
    }
}

/* A node that nobody has measured yet counts as idle. */
static void node_unmeasured(const struct site_node *node, uint16_t index, struct sync_node *out)
{
    *out = (struct sync_node){.node = index,
                              .is_up = true,
                              .cpu_milli_free = node->cpu_milli,
                              .mem_bytes_free = node->mem_bytes};
    while (out->devices_free_count < node->accelerator_count &&
           out->devices_free_count < RANK_DEVICES_MAX) {
        out->devices_free[out->devices_free_count] = out->devices_free_count;
        out->devices_free_count++;
    }
}

enum err site_value_set(struct server_site *site, struct slice body, struct fault *fault)
{
    struct arena arena;
    struct doc_value value;
    struct sync_node *seen = NULL;
    struct boot_ns *good_at = NULL;
    arena_init(&arena, SITE_ARENA_MAX);
    enum err err = doc_parse(DOC_SITE, body, &arena, &value, fault);
    if (err == ERR_OK && value.site.node_count > 0) {
        seen = calloc(value.site.node_count, sizeof(*seen));
        good_at = calloc(value.site.node_count, sizeof(*good_at));
        err = seen == NULL || good_at == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    if (err != ERR_OK) {
        free(seen);
        free(good_at);
        arena_deinit(&arena);
        return err;
    }
    for (uint32_t i = 0; i < value.site.node_count; i++)
        good_at[i] = i < site->value.node_count ? site->nodes_good_at[i] : BOOT_LONG_AGO;
    for (uint32_t i = 0; i < value.site.node_count; i++)
        if (i < site->value.node_count)
            seen[i] = site->nodes_seen[i];
        else
            node_unmeasured(&value.site.nodes[i], (uint16_t)i, &seen[i]);
    arena_deinit(&site->arena);
    free(site->nodes_seen);
    site->arena = arena;
    site->value = value.site;
    site->nodes_seen = seen;
    free(site->nodes_good_at);
    site->nodes_good_at = good_at;
    sum_nodes(site);
    return util_rebuild(site);
}

enum err site_placer_put(struct server_core *core, struct server_site *site)
{
    enum err err = placer_site_put(core->placer, &site->value, site->is_open);
    if (err == ERR_OK && site->has_contact)
        placer_site_observe(core->placer, site->id, site->nodes_seen, site->value.node_count);
    if (err == ERR_OK)
        quarantine_apply(core, site);
    core->must_place = true;
    return err;
}

void site_doc_save(struct step *step, struct server_site *site)
{
    struct doc_value value = {.kind = DOC_SITE, .site = site->value};
    struct buffer body;
    struct slice id = step_id(step, site->id.id, ID_PREFIX_SITE);
    buffer_init(&body, DOC_BYTES_MAX);
    enum err err = doc_encode(&value, &body);
    ASSERT(err == ERR_OK); /* it came from a document of that size */
    struct change_op *op = step_op(step, CHANGE_DOC_PUT);
    op->doc.expect_version = site->version;
    op->doc.doc = (struct doc){.kind = DOC_SITE,
                               .id = id,
                               .parent = arena_copy(&step->effects->arena, site->value.region),
                               .version = ++site->version,
                               .changed_at = step->now.wall,
                               .body = arena_copy(&step->effects->arena, buffer_slice(&body))};
    buffer_deinit(&body);
    struct server_doc *doc = doc_find(step->core, DOC_SITE, id);
    ASSERT(doc != NULL);
    doc->version = site->version;
}

/* ---- what is remembered across restarts */

enum err site_memory_load(struct server_site *site, struct slice body, struct fault *fault)
{
    struct arena arena;
    struct doc_value value;
    arena_init(&arena, CERTIFICATES_ARENA_MAX);
    enum err err = doc_parse(DOC_SITE_STATE, body, &arena, &value, fault);
    if (err != ERR_OK) {
        arena_deinit(&arena);
        return err;
    }
    const struct site_memory *memory = &value.site_memory;
    site->journal = memory->journal;
    site->epoch_reported = memory->epoch_reported;
    site->usage_claimed = memory->usage_acked;
    site->contacted_at = memory->contacted_at;
    site->former_count = memory->former_journal_count;
    if (site->former_count > SITE_FORMER_JOURNALS_MAX)
        site->former_count = SITE_FORMER_JOURNALS_MAX;
    for (uint32_t i = 0; i < site->former_count; i++)
        site->former[i] = memory->former_journals[i];
    err = quarantine_recall(site, memory);
    arena_deinit(&site->certificates_arena);
    site->certificates_arena = arena;
    site->certificates = memory->certificates;
    return err;
}

void site_memory_save(struct step *step, struct server_site *site)
{
    struct doc_value value = {.kind = DOC_SITE_STATE,
                              .site_memory = {.site = site->id,
                                              .journal = site->journal,
                                              .epoch_reported = site->epoch_reported,
                                              .usage_acked = site->usage_claimed,
                                              .former_journals = site->former,
                                              .former_journal_count = site->former_count,
                                              .certificates = site->certificates,
                                              .contacted_at = site->contacted_at}};
    quarantine_remember(step, site, &value.site_memory);
    struct buffer body;
    struct slice id = step_id(step, site->id.id, ID_PREFIX_SITE);
    buffer_init(&body, DOC_BYTES_MAX);
    enum err err = doc_encode(&value, &body);
    ASSERT(err == ERR_OK);
    struct change_op *op = step_op(step, CHANGE_DOC_PUT);
    op->doc.expect_version = site->memory_version;
    op->doc.doc = (struct doc){.kind = DOC_SITE_STATE,
                               .id = id,
                               .version = ++site->memory_version,
                               .changed_at = step->now.wall,
                               .body = arena_copy(&step->effects->arena, buffer_slice(&body))};
    buffer_deinit(&body);
    err = doc_note(step->core, DOC_SITE_STATE, id, site->memory_version, NULL);
    ASSERT(err == ERR_OK);
}

uint64_t *site_watermark(struct server_site *site, struct journal_id journal)
{
    for (size_t i = 0; i < site->watermarks.len; i++) {
        struct server_watermark *mark = vector_at(&site->watermarks, i);
        if (id_is_equal(mark->journal.id, journal.id))
            return &mark->seq;
    }
    return NULL;
}

enum err site_watermark_add(struct server_site *site, struct journal_id journal, uint64_t seq)
{
    const struct server_watermark mark = {journal, seq};
    return vector_push(&site->watermarks, &mark);
}

/* ---- contact */

void site_open_update(struct server_core *core, struct server_site *site)
{
    bool is_open = site->has_contact && !site->is_lost && !site->is_shut &&
                   !site->is_agent_draining &&
                   (site->is_reconciled || !core->rules->restore_waits_for_sites) &&
                   site->value.state == SITE_ACTIVE && !quarantine_is_whole(site) &&
                   !id_is_none(site->journal.id) && site->attempt_count < SERVER_SITE_ATTEMPTS_MAX;
    if (is_open == site->is_open)
        return;
    site->is_open = is_open;
    placer_site_open(core->placer, site->id, is_open);
    core->must_place = true;
}

void site_reconciled_set(struct server_core *core, struct server_site *site, bool is_reconciled)
{
    if (site->is_reconciled == is_reconciled)
        return;
    site->is_reconciled = is_reconciled;
    core->unreconciled = is_reconciled ? core->unreconciled - 1 : core->unreconciled + 1;
    if (core->unreconciled == 0 && core->gated_first != NULL)
        core->must_ungate = true;
    site_open_update(core, site);
}

static struct boot_ns lost_at(const struct server_core *core, const struct server_site *site)
{
    return boot_add(site->last_contact, core->settings.site_lost_after);
}

void site_timer_arm(struct server_core *core, struct server_site *site)
{
    bool may_lose = !site->is_lost && !id_is_none(site->journal.id); /* else it has never joined */
    struct boot_ns due = may_lose ? lost_at(core, site) : BOOT_NEVER;
    if (site->must_unknown)
        due = (struct boot_ns){0};
    if (site->poll.is_held)
        due = boot_min(due, site->poll.until);
    due = boot_min(due, quarantine_due(site));
    timer_set(core, &site->timer, due);
}

static void site_event(struct step *step, const struct server_site *site, const char *kind)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    json_begin_object(writer);
    json_put_string(writer, "site", site->value.name);
    json_put_u64(writer, "attempts", site->attempt_count);
    json_end_object(writer);
    step_event(step, NO_TENANT, kind, step_id(step, site->id.id, ID_PREFIX_SITE),
               step_json_end(step, &json));
}

void site_contact(struct step *step, struct server_site *site)
{
    site->last_contact = step->now.boot;
    site->has_contact = true;
    site->contacted_at = step->now.wall;
    if (site->is_lost) {
        site->is_lost = false;
        step->core->sites_lost--;
        site_event(step, site, "site.found");
    }
    site_timer_arm(step->core, site);
}

/* Every attempt that the site has not spoken of in its last request becomes UNKNOWN; after silence,
 * all of them. */
static void site_unknown(struct step *step, struct server_site *site, bool is_silent)
{
    for (struct server_attempt *at = site->first, *next; at != NULL; at = next) {
        next = at->next;
        if (is_silent || at->seen_in != site->sync_count)
            attempt_unknown(step, at);
    }
}

static void site_lose(struct step *step, struct server_site *site)
{
    util_flush(step, site);
    site->is_lost = true;
    step->core->sites_lost++;
    site_open_update(step->core, site);
    site_event(step, site, "site.lost");
    site_unknown(step, site, true);
}

void site_tick(struct step *step, struct server_site *site)
{
    struct server_core *core = step->core;
    bool was_raised = site->must_unknown;
    if (was_raised) {
        site->must_unknown = false;
        site_unknown(step, site, false);
    }
    if (!site->is_lost && !id_is_none(site->journal.id) &&
        !boot_is_before(step->now.boot, lost_at(core, site)))
        site_lose(step, site);
    quarantine_tick(step, site);
    if (site->poll.is_held && (was_raised || !boot_is_before(step->now.boot, site->poll.until)))
        site_dirty(step, site);
    site_timer_arm(core, site);
}

/* The site's journal is another one than we know: what the former one held is lost to it. Nothing
 * of an earlier journal is resumable; the agent ends it once its engine confirms that it is gone.
 */
void site_journal_set(struct step *step, struct server_site *site, struct journal_id journal)
{
    bool is_first = id_is_none(site->journal.id);
    if (!is_first) {
        uint32_t keep = site->former_count < SITE_FORMER_JOURNALS_MAX
                            ? site->former_count
                            : SITE_FORMER_JOURNALS_MAX - 1;
        memmove(&site->former[1], &site->former[0], keep * sizeof(site->former[0]));
        site->former[0] = site->journal;
        site->former_count = keep + 1;
        site->epoch_reported = 0;
        site_reconciled_set(step->core, site, false);
        site->want_told.count = 0;
    }
    site->journal = journal;
    site->usage_claimed = 0;
    site->has_gap_told = false;
    site_event(step, site, is_first ? "site.joined" : "site.journal_lost");
    step_audit(step, SYSTEM_ACTOR, (struct slice){0}, is_first ? "site.join" : "site.journal_lost",
               step_id(step, site->id.id, ID_PREFIX_SITE), SLICE_LITERAL("{}"));
    for (struct server_attempt *at = site->first, *next; at != NULL; at = next) {
        next = at->next;
        if (!id_is_equal(at->row.journal.id, journal.id))
            attempt_unknown(step, at);
    }
}

void site_observe(struct server_core *core, struct server_site *site, const struct sync_node *nodes,
                  uint32_t count)
{
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        if (nodes[i].node < site->value.node_count)
            site->nodes_seen[nodes[i].node] = nodes[i];
    site->cpu_milli_seen = site->mem_bytes_seen = site->devices_seen = 0;
    site->nodes_up = 0;
    for (uint32_t i = 0; i < site->value.node_count; i++) {
        const struct sync_node *node = &site->nodes_seen[i];
        if (!node->is_up)
            continue;
        site->nodes_up++;
        site->cpu_milli_seen += node->cpu_milli_free;
        site->mem_bytes_seen += node->mem_bytes_free;
        site->devices_seen += node->devices_free_count;
    }
    util_measured(site);
    placer_site_observe(core->placer, site->id, nodes, count);
    quarantine_apply(core, site);
    core->must_place = true;
}

/* ---- the operator's words */

static void state_set(struct step *step, struct server_site *site, enum site_state state)
{
    site->value.state = state;
    site_doc_save(step, site);
    site_open_update(step->core, site);
    enum err err = site_placer_put(step->core, site);
    ASSERT(err == ERR_OK);
}

void site_drained_check(struct step *step, struct server_site *site)
{
    if (site->value.state != SITE_DRAINING || site->attempt_count > 0)
        return;
    state_set(step, site, SITE_DRAINED);
    site_event(step, site, "site.drained");
}

static struct server_site *asked_site(struct step *step)
{
    struct server_site *site = site_find(step->core, step->event->site.site);
    if (site == NULL)
        step_problem(step, API_MISSING, "not_found", "no such site");
    return site;
}

static struct slice reason_detail(struct step *step)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    json_begin_object(writer);
    json_put_string(writer, "reason", step->event->site.reason);
    json_end_object(writer);
    return step_json_end(step, &json);
}

static void reply_site(struct step *step, const struct server_site *site)
{
    struct step_json json;
    struct json_writer *writer = step_json_begin(&json);
    doc_encode_site(&site->value, writer);
    step_reply(step, API_OK, step_json_end(step, &json), site->version);
}

void server_site_drain(struct step *step)
{
    struct server_site *site = asked_site(step);
    bool is_drain = step->event->site.flag;
    if (site == NULL)
        return;
    bool was_drain = site->value.state == SITE_DRAINING || site->value.state == SITE_DRAINED;
    if (is_drain != was_drain) {
        step_audit(step, (struct slice){0}, (struct slice){0},
                   is_drain ? "site.drain" : "site.resume",
                   step_id(step, site->id.id, ID_PREFIX_SITE), reason_detail(step));
        state_set(step, site, is_drain ? SITE_DRAINING : SITE_ACTIVE);
        site_event(step, site, is_drain ? "site.draining" : "site.resumed");
    }
    for (struct server_attempt *at = site->first, *next; is_drain && at != NULL; at = next) {
        next = at->next;
        attempt_revoke(step, at, REVOKE_DRAIN);
    }
    site_drained_check(step, site);
    reply_site(step, site);
}

/* The operator signs that nothing of the site runs any more. Should it come back all the same, its
 * attempts are not current and are revoked. */
void server_site_destroyed(struct step *step)
{
    struct server_site *site = asked_site(step);
    if (site == NULL)
        return;
    uint32_t count = site->attempt_count;
    step_audit(step, (struct slice){0}, (struct slice){0}, "site.destroyed",
               step_id(step, site->id.id, ID_PREFIX_SITE), reason_detail(step));
    site_event(step, site, "site.destroyed");
    site->has_contact = false;
    site_open_update(step->core, site);
    while (site->first != NULL)
        attempt_finish(step, site->first, ATTEMPT_DESTROYED, OUTCOME_NODE_LOST, -1,
                       site->first->row.ran);
    site->epoch_reported = step->core->db_epoch;
    site_memory_save(step, site);
    site_reconciled_set(step->core, site, true);
    step_reply(step, API_OK, step_printf(step, "{\"destroyed\":%u}", count), site->version);
}
