/* A site's request: who it is, whether the database still is what it was, then what it says. */
#include "base/assert.h"
#include "core/server_state.h"

#define SYNC_NUMBER_MAX (UINT64_C(1) << 60)

static bool is_former(const struct server_site *site, struct journal_id journal)
{
    for (uint32_t i = 0; i < site->former_count; i++)
        if (id_is_equal(site->former[i].id, journal.id))
            return true;
    return false;
}

/* Numbers that go into the store; it keeps 63 bits. */
static bool numbers_are_sane(const struct sync_request *request)
{
    if (request->usage_acked > SYNC_NUMBER_MAX || request->usage_oldest > SYNC_NUMBER_MAX)
        return false;
    for (uint32_t i = 0; i < request->usage_count; i++)
        if (request->usage[i].seq > SYNC_NUMBER_MAX ||
            request->usage[i].token.epoch > SYNC_NUMBER_MAX)
            return false;
    return true;
}

/* False: refused, and answered. */
static bool request_check(struct step *step, const struct server_site *site,
                          const struct sync_request *request)
{
    const struct server_principal *principal = step->event->principal;
    if (request->protocol < SYNC_PROTOCOL_OLDEST || request->protocol > SYNC_PROTOCOL_NEWEST) {
        step_problem(step, API_BAD, "unsupported_protocol",
                     "this server speaks protocol versions %d to %d, not %u", SYNC_PROTOCOL_OLDEST,
                     SYNC_PROTOCOL_NEWEST, request->protocol);
        return false;
    }
    if (site == NULL) {
        step_problem(step, API_FORBIDDEN, "unknown_site", "this network does not know the site");
        return false;
    }
    if (principal != NULL && !id_is_equal(principal->site.id, request->site.id)) {
        step_problem(step, API_FORBIDDEN, "denied", "the certificate is of another site");
        return false;
    }
    if (id_is_none(request->journal.id) || request->attempt_count > SYNC_ATTEMPTS_MAX) {
        step_problem(step, API_UNPROCESSABLE, "invalid", "a journal, and at most %d attempts",
                     SYNC_ATTEMPTS_MAX);
        return false;
    }
    if (!numbers_are_sane(request)) {
        step_problem(step, API_UNPROCESSABLE, "invalid", "a number is past %llu",
                     (unsigned long long)SYNC_NUMBER_MAX);
        return false;
    }
    /* A late double of an old request, or a second agent on a copy of the old journal. */
    if (is_former(site, request->journal)) {
        step_problem(step, API_CONFLICT, "journal_superseded",
                     "the site has reported a newer journal since");
        return false;
    }
    return true;
}

/* The site knows more than the database: it was put back from an older copy, and nobody said so. */
static void regression(struct step *step, struct server_site *site,
                       const struct sync_request *request, uint64_t worst)
{
    const uint64_t *mark = site_watermark(site, request->journal);
    uint64_t known = mark == NULL ? 0 : *mark;
    struct slice detail = step_printf(
        step, "{\"site\":\"%.*s\",\"epoch_seen\":%llu,\"usage_acked\":%llu,\"usage_known\":%llu}",
        SLICE_ARG(step_id(step, site->id.id, ID_PREFIX_SITE)),
        (unsigned long long)request->epoch_seen, (unsigned long long)request->usage_acked,
        (unsigned long long)known);
    epoch_raise(step, worst + 1, "database.regressed", detail);
    if (request->usage_acked > known && id_is_equal(site->journal.id, request->journal.id)) {
        site->usage_claimed = request->usage_acked;
        site_memory_save(step, site);
    }
}

static void poll_take(struct step *step, struct server_site *site,
                      const struct sync_request *request)
{
    struct server_core *core = step->core;
    if (site->poll.is_held && site->poll.handle != step->event->handle)
        step_output(step, OUTPUT_CLOSE_POLL, site->poll.handle)->status = API_CONFLICT;
    struct boot_ns until = boot_add(step->now.boot, site_poll_hold(core, site));
    site->poll = (struct server_poll){.is_held = true,
                                      .handle = step->event->handle,
                                      .request_seq = request->request_seq,
                                      .usage_acked = request->usage_acked,
                                      .hold_until = until,
                                      .until = until};
}

void server_sync(struct step *step)
{
    struct server_core *core = step->core;
    const struct sync_request *request = step->event->sync;
    struct server_site *site = site_find(core, request->site);
    if (!request_check(step, site, request))
        return;
    /* A site lost its journal, or this is a late double from under one that it has lost since: only
     * a request made after our own answer tells which journal is the newest. */
    bool is_journal_new =
        !id_is_none(site->journal.id) && !id_is_equal(site->journal.id, request->journal.id);
    bool is_proven =
        !is_journal_new || (site->challenge != 0 && request->challenge == site->challenge);
    /* An epoch that it has seen stands whenever it was said; and a site that has seen a later one
     * than ours does not listen to us, not even to a challenge. */
    uint64_t worst = request->epoch_seen > core->db_epoch ? request->epoch_seen : 0;
    if (is_proven)
        worst = site_reports_regressed(step, site, request);
    if (worst > core->db_epoch && worst - core->db_epoch > SERVER_EPOCH_JUMP_MAX) {
        step_problem(step, API_UNPROCESSABLE, "epoch_out_of_range",
                     "epoch %llu is too far beyond this server's %llu", (unsigned long long)worst,
                     (unsigned long long)core->db_epoch);
        return;
    }
    if (!is_proven) {
        if (worst != 0 && core->rules->restore_raises_epoch && core->rules->epoch_fences_commands)
            regression(step, site, request, worst);
        site_challenge(step, site, request);
        return;
    }
    if (!id_is_equal(site->journal.id, request->journal.id)) {
        site_journal_set(step, site, request->journal);
        site_memory_save(step, site);
    }
    if (worst != 0 && core->rules->restore_raises_epoch && core->rules->epoch_fences_commands)
        regression(step, site, request, worst);
    site->sync_count++;
    site->epoch_seen = request->epoch_seen;
    site->is_agent_draining = request->is_draining;
    site->is_report_partial = request->attempt_count == SYNC_ATTEMPTS_MAX;
    util_advance(step, site);
    site_contact(step, site);
    site_reports(step, site, request);
    site_copied(step, request);
    site_reclaims(step, site, request);
    site_usage(step, site, request);
    site_observe(core, site, request->nodes, request->node_count);
    site_links(step, site, request);
    site_surplus(step, site, request);
    quarantine_probed(step, site, request);
    site_open_update(core, site);
    poll_take(step, site, request);
    if (step->acked_count > 0)
        site_answer(step, site);
    else
        site_dirty(step, site);
}

void server_sync_gone(struct step *step)
{
    struct server_core *core = step->core;
    size_t cursor = 0;
    void *value;
    /* Rare, and a scan keeps no second index that could differ. */
    while (idmap_next(&core->sites, &cursor, NULL, &value)) {
        struct server_site *site = value;
        if (!site->poll.is_held || site->poll.handle != step->event->handle)
            continue;
        site->poll.is_held = false;
        site_timer_arm(core, site);
        return;
    }
}
