/* Attempts that hold accelerators and do nothing: found from the usage that their site meters.
 *
 * Judged by processor time alone, since no engine tells yet what devices do; a program that keeps a
 * device busy also spends processor time to feed it. Kept in memory: after a restart of the server
 * the time counts anew. */
#include "base/assert.h"
#include "core/server_state.h"

enum {
    IDLE_PER_MILLE = 10, /* of one core a node: less is idle */
    IDLE_ALARM_MS = 30 * 60 * 1000,
};

static struct server_attempt *metered(const struct server_core *core,
                                      const struct server_site *site,
                                      const struct usage_record *record)
{
    const struct server_job *job = job_find(core, record->token.job);
    struct server_attempt *attempt = job == NULL ? NULL : job->attempt;
    if (attempt == NULL || attempt->site != site ||
        !attempt_token_is_equal(&attempt->row.token, &record->token))
        return NULL;
    return attempt;
}

static void idle_event(struct step *step, const struct server_attempt *attempt, const char *kind)
{
    char name[ATTEMPT_NAME_MAX], site[ID_TEXT_MAX];
    attempt_name_format(&attempt->row.token, name);
    id_format(attempt->row.site.id, ID_PREFIX_SITE, site);
    step_event(
        step, attempt->job->row.tenant, kind, step_printf(step, "%s", name),
        step_printf(step, "{\"site\":\"%s\",\"idle_ms\":%lld}", site, (long long)attempt->idle.ms));
}

bool attempt_is_idle(const struct server_attempt *attempt)
{
    return attempt->idle.ms >= IDLE_ALARM_MS;
}

void attempt_metered(struct step *step, const struct server_site *site,
                     const struct usage_record *record)
{
    struct server_attempt *attempt = metered(step->core, site, record);
    const struct usage_quantities *delta = &record->delta;
    /* A total of zero: its site does not measure it while it runs. */
    if (attempt == NULL || delta->accel_ms <= 0 || delta->wall_ms <= 0 || record->total.cpu_ms == 0)
        return;
    bool was_idle = attempt_is_idle(attempt);
    if (delta->cpu_ms * 1000 < delta->wall_ms * IDLE_PER_MILLE * attempt->row.nodes) {
        attempt->idle.ms += delta->wall_ms;
        if (!was_idle && attempt_is_idle(attempt))
            idle_event(step, attempt, "alarm.attempt_idle");
        return;
    }
    if (was_idle)
        idle_event(step, attempt, "attempt.busy");
    attempt->idle = SPAN_MS(0);
}
