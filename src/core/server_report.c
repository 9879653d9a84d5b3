/* What a site reports of its attempts, line by line (docs/protocol.md). */
#include "base/assert.h"
#include "core/server_state.h"

#define RAN_MS_MAX (INT64_C(10) * 366 * 86400 * 1000)

enum { REPORT_OPS_MAX = CHANGE_OPS_MAX - 16384, ADOPT_NUMBER_MAX = 1 << 20 };

/* ---- evidence that the database is older than what it once promised */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Given out after the job's newest attempt. An older epoch's higher number is not: there the
 * numbers went on in a history that was lost, and the job's newest attempt knew nothing of it. */
static bool is_later(const struct server_job *job, const struct attempt_token *token)
{
    return token->number > job->row.attempt && token->epoch >= job->row.epoch &&
           token->epoch >= job->row.created_epoch;
}

/* A token that this database would have to know: given out by its lost history. */
static bool is_lost_token(const struct server_core *core, const struct server_site *site,
                          const struct attempt_token *token)
{
    const struct server_job *job = job_find(core, token->job);
    return job != NULL && is_later(job, token) &&
           (token->epoch == core->db_epoch || site->is_reconciled);
}

uint64_t site_reports_regressed(struct step *step, const struct server_site *site,
                                const struct sync_request *request)
{
    const struct server_core *core = step->core;
    uint64_t worst = 0;
    const uint64_t *mark = site_watermark((struct server_site *)site, request->journal);
    if (request->epoch_seen > core->db_epoch)
        worst = request->epoch_seen;
    if (request->usage_acked > larger(mark == NULL ? 0 : *mark, site->usage_claimed))
        worst = larger(worst, core->db_epoch);
    for (uint32_t i = 0; i < request->attempt_count; i++) {
        const struct attempt_token *token = &request->attempts[i].token;
        if (token->epoch > core->db_epoch)
            worst = larger(worst, token->epoch);
        else if (is_lost_token(core, site, token))
            worst = larger(worst, core->db_epoch);
    }
    return worst;
}

/* ---- lines */

struct report {
    struct step *step;
    struct server_site *site;
    const struct sync_request *request;
    const struct vector *known_strays; /* of the request before: already told of */
};

static void acknowledge(struct step *step, const struct attempt_token *token)
{
    ASSERT(step->acked_count < step->acked_cap);
    step->acked[step->acked_count++] = *token;
}

static void alarm_event(const struct report *report, const char *kind,
                        const struct attempt_token *token, const char *what)
{
    char name[ATTEMPT_NAME_MAX], site[ID_TEXT_MAX];
    attempt_name_format(token, name);
    id_format(report->site->id.id, ID_PREFIX_SITE, site);
    step_event(report->step, NO_TENANT, kind, step_printf(report->step, "%s", name),
               step_printf(report->step, "{\"site\":\"%s\",\"what\":\"%s\"}", site, what));
}

/* Something runs there under a token that is not current here: it is revoked for as long as the
 * site reports it. */
static void stray(const struct report *report, const struct attempt_token *token)
{
    enum err err = vector_push(&report->site->strays, token);
    ASSERT(err == ERR_OK);
    for (size_t i = 0; i < report->known_strays->len; i++)
        if (attempt_token_is_equal(vector_at(report->known_strays, i), token))
            return;
    alarm_event(report, "alarm.stray_attempt", token, "not current");
}

/* What a site says, within reason, and never less than before. */
static struct span_ms ran_of(const struct attempt_row *row, const struct sync_attempt *line)
{
    int64_t ran_ms = line->ran.ms < RAN_MS_MAX ? line->ran.ms : RAN_MS_MAX;
    return ran_ms > row->ran.ms ? SPAN_MS(ran_ms) : row->ran;
}

static struct wall_us started_from(struct now now, struct span_ms ran)
{
    int64_t us = now.wall.us - ran.ms * 1000;
    return (struct wall_us){us == 0 ? 1 : us};
}

static void report_intent(const struct report *report, struct server_attempt *attempt)
{
    if (attempt->row.state != ATTEMPT_UNKNOWN)
        return;
    if (attempt->row.started_at.us == 0)
        attempt_move(report->step, attempt, ATTEMPT_OFFERED);
    else
        alarm_event(report, "alarm.bad_report", &attempt->row.token, "intent after it had started");
}

static void report_taken(const struct report *report, struct server_attempt *attempt,
                         const struct sync_attempt *line)
{
    struct attempt_row *row = &attempt->row;
    row->ran = ran_of(row, line);
    speed_note(report->step, attempt, &line->progress);
    if (row->state == ATTEMPT_RUNNING)
        return;
    if (row->started_at.us == 0)
        row->started_at = started_from(report->step->now, row->ran);
    attempt_move(report->step, attempt, ATTEMPT_RUNNING);
}

static void report_ended(const struct report *report, struct server_attempt *attempt,
                         const struct sync_attempt *line)
{
    struct attempt_row *row = &attempt->row;
    enum outcome outcome = line->outcome == OUTCOME_NONE ? OUTCOME_NODE_LOST : line->outcome;
    struct span_ms ran = ran_of(row, line);
    acknowledge(report->step, &row->token);
    speed_note(report->step, attempt, &line->progress);
    attempt_finish(report->step, attempt, ATTEMPT_ENDED, outcome, line->exit_code, ran);
}

/* Only the journal that the attempt was offered to can say that it never started: a new one would
 * only mean that it does not remember. */
static void report_never(const struct report *report, struct server_attempt *attempt,
                         const struct sync_attempt *line)
{
    const struct attempt_row *row = &attempt->row;
    bool is_same = id_is_equal(row->journal.id, report->request->journal.id);
    bool has_started = row->state == ATTEMPT_RUNNING || row->started_at.us != 0;
    if (!report->step->core->rules->journal_loss_is_unknown && !is_same) {
        acknowledge(report->step, &row->token);
        attempt_finish(report->step, attempt, has_started ? ATTEMPT_ENDED : ATTEMPT_NEVER,
                       OUTCOME_NODE_LOST, -1, row->ran);
        return;
    }
    if (!is_same || has_started) {
        alarm_event(report, "alarm.bad_report", &row->token,
                    is_same ? "never after it had started" : "never from another journal");
        return;
    }
    acknowledge(report->step, &row->token);
    attempt_finish(report->step, attempt, ATTEMPT_NEVER, line->outcome, -1, SPAN_MS(0));
}

static void report_current(const struct report *report, struct server_attempt *attempt,
                           const struct sync_attempt *line)
{
    bool is_same = id_is_equal(attempt->row.journal.id, report->request->journal.id);
    switch (line->phase) {
    case PHASE_INTENT: /* from another journal: it is being ended there */
        if (is_same)
            report_intent(report, attempt);
        return;
    case PHASE_TAKEN:
        if (is_same)
            report_taken(report, attempt, line);
        return;
    case PHASE_ENDED:
        report_ended(report, attempt, line);
        return;
    case PHASE_NEVER:
        report_never(report, attempt, line);
        return;
    case PHASE_COUNT_:
        break;
    }
    ASSERT(!"known phase");
}

static bool is_adoptable(const struct report *report, const struct server_job *job,
                         const struct attempt_token *token)
{
    const struct server_core *core = report->step->core;
    return is_later(job, token) && token->number < ADOPT_NUMBER_MAX &&
           token->epoch < core->db_epoch && !report->site->is_reconciled;
}

static struct server_attempt *current_here(const struct report *report,
                                           const struct attempt_token *token)
{
    struct server_job *job = job_find(report->step->core, token->job);
    struct server_attempt *attempt = job == NULL ? NULL : job->attempt;
    if (attempt == NULL || attempt->site != report->site ||
        !attempt_token_is_equal(&attempt->row.token, token))
        return NULL;
    return attempt;
}

static void report_line(const struct report *report, const struct sync_attempt *line)
{
    struct step *step = report->step;
    struct server_job *job = job_find(step->core, line->token.job);
    struct server_attempt *attempt = current_here(report, &line->token);
    if (attempt == NULL && job != NULL && is_adoptable(report, job, &line->token)) {
        attempt = attempt_adopt(step, job, report->site, &line->token);
        attempt->seen_in = report->site->sync_count;
    }
    if (attempt != NULL) {
        report_current(report, attempt, line);
        return;
    }
    bool is_over = line->phase == PHASE_ENDED || line->phase == PHASE_NEVER;
    if (!is_over) {
        stray(report, &line->token);
        return;
    }
    if (!step->core->rules->stale_effects_are_refused && line->phase == PHASE_ENDED &&
        job != NULL && job->attempt != NULL)
        report_ended(report, job->attempt, line);
    else
        acknowledge(step, &line->token);
}

/* Attempts that the request does not speak of. */
static void report_absent(const struct report *report)
{
    struct server_site *site = report->site;
    const struct server_core *core = report->step->core;
    for (struct server_attempt *at = site->first, *next; at != NULL; at = next) {
        const struct attempt_row *row = &at->row;
        next = at->next;
        if (at->seen_in == site->sync_count)
            continue;
        bool is_same = id_is_equal(row->journal.id, site->journal.id);
        if (site->must_unknown && row->token.epoch < core->db_epoch)
            attempt_unknown(report->step, at);
        else if (row->state == ATTEMPT_UNKNOWN && row->token.epoch == core->db_epoch && is_same &&
                 row->started_at.us == 0 && row->revoke == REVOKE_NONE)
            attempt_move(report->step, at, ATTEMPT_OFFERED); /* START is told again */
    }
    site->must_unknown = false;
}

/* The inventory after the epoch was raised: complete, and nothing live in it that is not ours. */
static void report_inventory(const struct report *report, bool is_complete)
{
    struct server_site *site = report->site;
    struct server_core *core = report->step->core;
    if (site->is_reconciled || !report->request->is_inventory || !is_complete ||
        report->request->epoch_seen < core->db_epoch || site->strays.len > 0)
        return;
    site->epoch_reported = core->db_epoch;
    site_reconciled_set(core, site, true);
    site_memory_save(report->step, site);
    step_event(report->step, NO_TENANT, "site.reconciled",
               step_id(report->step, site->id.id, ID_PREFIX_SITE),
               step_printf(report->step, "{\"sites_missing\":%u}", core->unreconciled));
}

void site_reports(struct step *step, struct server_site *site, const struct sync_request *request)
{
    struct vector known = site->strays;
    const struct report report = {step, site, request, &known};
    uint32_t i = 0;
    vector_init(&site->strays, sizeof(struct attempt_token), SYNC_ATTEMPTS_MAX);
    step->acked_cap = request->attempt_count;
    step->acked =
        arena_array(&step->effects->arena, request->attempt_count + 1, sizeof(*step->acked));
    ASSERT(step->acked != NULL && request->attempt_count <= SYNC_ATTEMPTS_MAX);
    for (; i < request->attempt_count; i++) {
        struct server_attempt *attempt = current_here(&report, &request->attempts[i].token);
        if (attempt != NULL)
            attempt->seen_in = site->sync_count;
    }
    for (i = 0; i < request->attempt_count && step->op_count < REPORT_OPS_MAX; i++)
        report_line(&report, &request->attempts[i]);
    report_absent(&report);
    report_inventory(&report, i == request->attempt_count);
    vector_deinit(&known);
}
