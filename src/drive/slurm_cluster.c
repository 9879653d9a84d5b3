/* What a cluster's settings and accounts mean for us, found once at the start. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "drive/slurm_check.h"
#include "drive/slurm_private.h"

enum { ACCOUNT_BYTES_MAX = 1 << 16 };

static enum err find_account(struct slurm_account *account, struct slice name, struct fault *fault)
{
    struct passwd entry, *found = NULL;
    char *bytes = malloc(ACCOUNT_BYTES_MAX);
    if (bytes == NULL)
        return ERR_NO_MEMORY;
    int failed = getpwnam_r(name.data, &entry, bytes, ACCOUNT_BYTES_MAX, &found);
    if (failed == 0 && found != NULL) {
        account->uid = found->pw_uid;
        account->gid = found->pw_gid;
    }
    free(bytes);
    if (found == NULL)
        return fault_set(fault, ERR_DENIED, "run_as", "there is no local account \"%.*s\"",
                         SLICE_ARG(name));
    if (account->uid == 0)
        return fault_set(fault, ERR_DENIED, "run_as", "work never runs as root");
    if (geteuid() != 0 && account->uid != geteuid())
        return fault_set(fault, ERR_DENIED, "run_as",
                         "only root may start work as \"%.*s\"; leave it out, and work runs as the "
                         "agent's own account",
                         SLICE_ARG(name));
    return ERR_OK;
}

enum err slurm_find_accounts(struct slurm *slurm, struct fault *fault)
{
    const struct slurm_config *config = slurm->settings.config;
    uint32_t count = config->tenant_count;
    enum err code = ERR_OK;
    if (config->run_as.len == 0 && count == 0)
        return geteuid() != 0 ? ERR_OK
                              : fault_set(fault, ERR_DENIED, "run_as",
                                          "is required where the agent is root: work never runs "
                                          "as root");
    slurm->accounts = arena_array(&slurm->arena, (size_t)count + 1, sizeof(*slurm->accounts));
    if (slurm->accounts == NULL)
        return ERR_NO_MEMORY;
    if (count == 0) {
        slurm->account_count = 1;
        return find_account(&slurm->accounts[0], config->run_as, fault);
    }
    for (uint32_t i = 0; code == ERR_OK && i < count; i++) {
        slurm->accounts[i].tenant = config->tenants[i].key;
        code = find_account(&slurm->accounts[i], config->tenants[i].value, fault);
    }
    slurm->account_count = count;
    return code;
}

static void note_fences(struct slurm *slurm, struct slice text)
{
    struct driver_traits *traits = &slurm->base.traits;
    struct slice task = slurm_config_value(text, "TaskPlugin");
    bool has_cgroup = false;
    while (task.len != 0) {
        struct slice one = task;
        if (!slice_cut(task, ',', &one, &task))
            task = (struct slice){0};
        has_cgroup = has_cgroup || slice_has_suffix(one, SLICE_LITERAL("cgroup"));
    }
    traits->limits_cpu = traits->limits_memory = has_cgroup;
    if (text.len != 0 && !has_cgroup)
        driver_note(traits, "task/cgroup is not set: memory is limited per process only, processor "
                            "time not at all");
}

/* Does Slurm itself take pool work off for the owner? When that cannot be read, it is not relied
 * on: that both do it harms nobody. */
static bool takes_off(struct slurm *slurm, struct slice settings)
{
    const struct slurm_config *config = slurm->settings.config;
    struct slice partitions = {0};
    struct fault fault = {0};
    if (settings.len == 0 ||
        slurm_read_partitions(&slurm->commands, &slurm->arena, &partitions, &fault) != ERR_OK)
        return false;
    return slurm_check_yields(config, settings, partitions);
}

static void note_reclaim(struct slurm *slurm, struct slice settings)
{
    const struct surplus *surplus = &slurm->settings.config->surplus;
    struct driver_traits *traits = &slurm->base.traits;
    slurm->is_reclaim_by_agent =
        surplus->reclaim == SURPLUS_BY_AGENT ||
        (surplus->reclaim == SURPLUS_BY_EITHER && !takes_off(slurm, settings));
    if (slurm->is_reclaim_by_agent)
        driver_note(traits,
                    "the cluster does not take work off by itself: this agent ends it when the "
                    "owner's jobs wait, %lld s after notice; while the agent is away nothing "
                    "yields",
                    (long long)(slurm_grace(slurm).ms / 1000));
    driver_note(traits, "promised to the owner: at most %lld s until pool work is gone",
                (long long)(slurm_promise(slurm).ms / 1000));
}

struct span_ms slurm_promise(const struct slurm *slurm)
{
    struct span_ms said = slurm->settings.config->surplus.promise;
    if (said.ms > 0)
        return said;
    return slurm->is_reclaim_by_agent ? SURPLUS_PROMISE_BY_AGENT : SURPLUS_PROMISE_BY_ENGINE;
}

struct span_ms slurm_grace(const struct slurm *slurm)
{
    struct span_ms said = slurm->settings.config->surplus.grace;
    return said.ms > 0 ? said : SURPLUS_GRACE_DEFAULT;
}

/* What the cluster's settings mean for us. One that does not answer is taken with the defaults. */
static void read_cluster(struct slurm *slurm)
{
    struct slice text = {0};
    struct fault fault = {0};
    struct span_ms kill_wait = SLURM_KILL_WAIT_DEFAULT;
    struct driver_traits *traits = &slurm->base.traits;
    if (slurm_read_config(&slurm->commands, &slurm->arena, &text, &fault) != ERR_OK)
        driver_note(traits, "the cluster does not answer yet: %.160s", fault.message);
    else if (slurm_span_parse(slurm_config_value(text, "KillWait"), &kill_wait) != ERR_OK)
        kill_wait = SLURM_KILL_WAIT_DEFAULT;
    slurm->notice.ms = kill_wait.ms - SLURM_LAST_WORDS.ms;
    if (slurm->notice.ms < SLURM_LAST_WORDS.ms)
        slurm->notice = SLURM_LAST_WORDS;
    driver_note(traits,
                "the cluster kills %lld s after it asks: work has %lld s to write its last "
                "checkpoint",
                (long long)(kill_wait.ms / 1000), (long long)(slurm->notice.ms / 1000));
    struct slice plugin = slurm_config_value(text, "ProctrackType");
    if (text.len != 0 && !slice_is(plugin, "proctrack/cgroup"))
        driver_note(traits,
                    "%.*s: Slurm's stop signal reaches the sandbox itself, so that work "
                    "ends without its last checkpoint; proctrack/cgroup gives it notice",
                    SLICE_ARG(plugin));
    note_fences(slurm, text);
    note_reclaim(slurm, text);
}

void slurm_describe(struct slurm *slurm)
{
    struct driver_traits *traits = &slurm->base.traits;
    traits->engine = ENGINE_SLURM;
    traits->can_run = true;
    if (program_find("bwrap", slurm->bwrap) != ERR_OK) {
        (void)snprintf(slurm->bwrap, sizeof(slurm->bwrap), "/usr/bin/bwrap");
        driver_note(traits, "bubblewrap is not installed here; the nodes need it at %s",
                    slurm->bwrap);
    }
    driver_note(traits, "nodes must allow unprivileged user namespaces: without them an attempt "
                        "ends as bad_environment there");
    driver_note(traits, "gangs share the nodes' network; processes are limited per user only; "
                        "container images are refused");
    read_cluster(slurm);
}
