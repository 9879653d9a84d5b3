/* Usage records of sites: stored once, acknowledged up to the highest contiguous one, after the
 * commit. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

static void usage_insert(struct step *step, const struct server_site *site,
                         const struct usage_record *record)
{
    step_op(step, CHANGE_USAGE_INSERT)->usage = *record;
    step->effects->usage_site = site->id;
}

static void watermark_move(struct step *step, struct server_site *site, struct journal_id journal,
                           uint64_t from, uint64_t to)
{
    struct change_op *op = step_op(step, CHANGE_WATERMARK_SET);
    op->watermark.site = site->id;
    op->watermark.journal = journal;
    op->watermark.expect = from;
    op->watermark.seq = to;
}

static void mark_set(struct server_site *site, struct journal_id journal, uint64_t seq)
{
    uint64_t *mark = site_watermark(site, journal);
    if (mark != NULL) {
        *mark = seq;
        return;
    }
    enum err err = site_watermark_add(site, journal, seq);
    ASSERT(err == ERR_OK);
}

static void usage_alarm(struct step *step, struct server_site *site, const char *kind,
                        uint64_t first, uint64_t last)
{
    struct slice subject = step_id(step, site->id.id, ID_PREFIX_SITE);
    struct slice detail = step_printf(step, "{\"journal\":\"%.*s\",\"first\":%llu,\"last\":%llu}",
                                      SLICE_ARG(step_id(step, site->journal.id, ID_PREFIX_JOURNAL)),
                                      (unsigned long long)first, (unsigned long long)last);
    step_event(step, NO_TENANT, kind, subject, detail);
    step_audit(step, SYSTEM_ACTOR, (struct slice){0}, kind, subject, detail);
}

/* ---- only under the broken rule usage_ack_after_commit: acknowledged now, stored a step later */

static void late_flush(struct step *step, struct server_site *site)
{
    if (site->late_usage_count == 0)
        return;
    const struct usage_record *records = site->late_usage;
    uint64_t last = records[site->late_usage_count - 1].seq;
    for (uint32_t i = 0; i < site->late_usage_count; i++)
        usage_insert(step, site, &records[i]);
    watermark_move(step, site, records[0].journal, records[0].seq - 1, last);
    site->late_usage_count = 0;
}

static bool late_keep(struct step *step, struct server_site *site,
                      const struct sync_request *request, uint64_t seen)
{
    if (step->core->rules->usage_ack_after_commit || request->usage_count == 0 ||
        request->usage[0].seq != seen + 1)
        return false;
    if (site->late_usage == NULL)
        site->late_usage = calloc(USAGE_BATCH_MAX, sizeof(*site->late_usage));
    ASSERT(site->late_usage != NULL && request->usage_count <= USAGE_BATCH_MAX);
    memcpy(site->late_usage, request->usage, request->usage_count * sizeof(*request->usage));
    site->late_usage_count = request->usage_count;
    mark_set(site, request->journal, seen + request->usage_count);
    return true;
}

/* ---- taking them */

/* A record at or below the watermark: the store compares it with what it has. */
static void usage_repeat(struct step *step, struct server_site *site,
                         const struct usage_record *record)
{
    struct usage_record again = *record;
    if (!step->core->rules->usage_keeps_key)
        again.seq += UINT64_C(1) << 40; /* the planted fault: a key of its own each time */
    usage_insert(step, site, &again);
}

/* Returns the highest seq that may be acknowledged. */
static uint64_t usage_records(struct step *step, struct server_site *site,
                              const struct sync_request *request, uint64_t seen)
{
    for (uint32_t i = 0; i < request->usage_count; i++) {
        const struct usage_record *record = &request->usage[i];
        if (record->seq <= seen) {
            usage_repeat(step, site, record);
            continue;
        }
        if (record->seq > seen + 1) {
            if (!site->has_gap_told)
                usage_alarm(step, site, "usage.gap", seen + 1, record->seq - 1);
            site->has_gap_told = true;
            if (step->core->rules->usage_ack_is_contiguous)
                return seen; /* the reply says from where they are to be sent again */
        }
        usage_insert(step, site, record);
        attempt_metered(step, site, record);
        seen = record->seq;
    }
    if (request->usage_count > 0)
        site->has_gap_told = false;
    return seen;
}

void site_usage(struct step *step, struct server_site *site, const struct sync_request *request)
{
    late_flush(step, site);
    const uint64_t *mark = site_watermark(site, request->journal);
    uint64_t before = mark == NULL ? 0 : *mark, seen = before;
    /* The site no longer has what follows: lost for good. It is told once, for ever, and counting
     * goes on behind the hole. */
    if (request->usage_oldest > seen + 1) {
        usage_alarm(step, site, "usage.lost", seen + 1, request->usage_oldest - 1);
        seen = request->usage_oldest - 1;
    }
    if (seen == before && late_keep(step, site, request, seen))
        return;
    seen = usage_records(step, site, request, seen);
    if (seen == before)
        return;
    watermark_move(step, site, request->journal, before, seen);
    mark_set(site, request->journal, seen);
}

void server_usage_conflict(struct step *step)
{
    struct slice subject = step_id(step, step->event->conflict.site.id, ID_PREFIX_SITE);
    struct slice detail = step_printf(step, "{\"records\":%u}", step->event->conflict.count);
    step_event(step, NO_TENANT, "usage.conflict", subject, detail);
    step_audit(step, SYSTEM_ACTOR, (struct slice){0}, "usage.conflict", subject, detail);
}
