/* Is a node of the cluster in order? A job of seconds on that very node, in the pool's partition
 * and under the pool's account, that starts an empty sandbox: what an attempt would need first. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "drive/slurm_private.h"
#include "port/file.h"
#include "port/worker.h"

enum { PROBES_MAX = 64, PROBE_ARGUMENTS_MAX = 24, PROBE_WORD_MAX = 640, PROBE_SAID_MAX = 4096 };
/* The job's own limit is a minute, Slurm's unit; the rest is the scheduler's turn. */
#define PROBE_LIMIT SPAN_S(150)

static const char SCRIPT[] =
    "#!/bin/sh\n"
    "exec \"$1\" --unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-net \\\n"
    "    --die-with-parent --cap-drop ALL --ro-bind / / --proc /proc --dev /dev -- /bin/true\n";

struct probing {
    struct slurm *slurm;
    uint64_t number;
    char node[SLURM_NAME_MAX + 1];
    uint32_t partition;
    bool is_good;
    char why[DRIVER_NOTE_MAX];
};

struct words {
    char text[PROBE_ARGUMENTS_MAX][PROBE_WORD_MAX];
    const char *items[PROBE_ARGUMENTS_MAX + 1];
    uint32_t count;
};

static void add(struct words *words, const char *flag, struct slice value)
{
    if (value.len == 0 || words->count == PROBE_ARGUMENTS_MAX)
        return;
    (void)snprintf(words->text[words->count], PROBE_WORD_MAX, "%s%.*s", flag, SLICE_ARG(value));
    words->items[words->count] = words->text[words->count];
    words->count++;
}

static void add_number(struct words *words, const char *flag, unsigned value)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%u", value);
    add(words, flag, slice_of(text));
}

static void make_words(const struct probing *probing, const char *script, struct words *words)
{
    static const char *const ALWAYS[] = {"--wait",
                                         "--no-requeue",
                                         ("--job-name=" SLURM_PROBE_NAME),
                                         "--export=NIL",
                                         "--time=1",
                                         "--ntasks=1",
                                         "--output=/dev/null",
                                         "--mem=64M",
                                         "--chdir=/"};
    const struct slurm *slurm = probing->slurm;
    const struct slurm_config *config = slurm->settings.config;
    for (size_t i = 0; i < sizeof(ALWAYS) / sizeof(ALWAYS[0]); i++)
        add(words, "", slice_of(ALWAYS[i]));
    add(words, "--nodelist=", slice_of(probing->node));
    add(words, "--partition=", config->partitions.items[probing->partition]);
    add(words, "--account=", config->account);
    add(words, "--qos=", config->qos);
    add(words, "--constraint=", config->constraint);
    if (slurm->account_count > 0 && slurm->accounts[0].uid != geteuid()) {
        add_number(words, "--uid=", slurm->accounts[0].uid);
        add_number(words, "--gid=", slurm->accounts[0].gid);
    }
    add(words, "", slice_of(script));
    add(words, "", slice_of(slurm->bwrap));
    words->items[words->count] = NULL;
}

/* What did not start is not left in the queue. */
static void cancel(const struct slurm *slurm)
{
    static const char *const ARGUMENTS[] = {"--name=" SLURM_PROBE_NAME, NULL};
    struct buffer said;
    int status = 0;
    buffer_init(&said, PROBE_SAID_MAX);
    (void)!slurm_command_run(&slurm->commands, SLURM_SCANCEL, ARGUMENTS, true, &said, &status);
    buffer_deinit(&said);
}

static enum err write_script(const struct slurm *slurm, char *out_path, size_t size)
{
    int fd = -1;
    int len = snprintf(out_path, size, "%.*s/probe.sh", SLICE_ARG(slurm->settings.config->work));
    if (len <= 0 || (size_t)len >= size)
        return ERR_LIMIT;
    enum err code = file_remove(out_path, NULL);
    if (code == ERR_OK || code == ERR_NOT_FOUND)
        code = file_open(out_path, FILE_OPEN_CREATE, 0644, NULL, &fd);
    if (code == ERR_OK)
        code = file_write_all(fd, slice_make(SCRIPT, sizeof(SCRIPT) - 1));
    file_close(fd);
    return code;
}

static void run_probe(void *context)
{
    struct probing *probing = context;
    char script[LAUNCH_PATH_MAX];
    struct buffer said;
    int status = 0;
    struct words *words = calloc(1, sizeof(*words));
    buffer_init(&said, PROBE_SAID_MAX);
    enum err code =
        words == NULL ? ERR_NO_MEMORY : write_script(probing->slurm, script, sizeof(script));
    if (code == ERR_OK) {
        make_words(probing, script, words);
        code = slurm_command_wait(&probing->slurm->commands, SLURM_SBATCH, words->items,
                                  PROBE_LIMIT, &said, &status);
    }
    probing->is_good = code == ERR_OK && status == 0;
    if (code == ERR_TIMEOUT)
        cancel(probing->slurm);
    if (!probing->is_good)
        (void)snprintf(probing->why, sizeof(probing->why),
                       "a small job on node %.80s: %s, status %d", probing->node,
                       code == ERR_OK ? "it failed" : err_name(code), status);
    buffer_deinit(&said);
    free(words);
}

static void on_probe(void *context)
{
    struct probing *probing = context;
    struct slurm *slurm = probing->slurm;
    if (slurm->events != NULL && slurm->events->on_probed != NULL)
        slurm->events->on_probed(slurm->context, probing->number, probing->is_good, probing->why);
    free(probing);
}

/* What cannot be tried is not answered: the asker has a limit of its own. */
void slurm_probe(struct driver *driver, uint16_t node, uint64_t number)
{
    struct slurm *slurm = (struct slurm *)driver;
    if (node >= slurm->settings.node_count || slurm->seen == NULL ||
        !slurm->seen->nodes[node].is_known)
        return;
    struct probing *probing = calloc(1, sizeof(*probing));
    if (probing == NULL)
        return;
    probing->slurm = slurm;
    probing->number = number;
    probing->partition = slurm->seen->nodes[node].partition;
    (void)snprintf(probing->node, sizeof(probing->node), "%.*s",
                   SLICE_ARG(slurm->settings.nodes[node].name));
    enum err code = slurm->prober != NULL
                        ? ERR_OK
                        : worker_create(slurm->loop, "lq-probe", PROBES_MAX, &slurm->prober);
    if (code == ERR_OK)
        code = worker_submit(slurm->prober, run_probe, on_probe, probing);
    if (code != ERR_OK)
        free(probing);
}

/* A job that sbatch waits for would hold the agent's end up. */
void slurm_probe_stop(struct slurm *slurm)
{
    if (slurm->prober == NULL)
        return;
    cancel(slurm);
    worker_destroy(slurm->prober);
    slurm->prober = NULL;
}
