/* What this machine's kernel and tools allow, found by doing it once. */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "drive/host_private.h"
#include "drive/program.h"
#include "port/worker.h"

#define PROBE_LIMIT SPAN_S(10)
enum { PROBE_OUTPUT_MAX = 4096, PROBE_NOTE_MAX = 120 };

/* A sandbox like the real one around nothing. */
static bool try_sandbox(const struct host *host, bool forbids_userns, struct buffer *output)
{
    const char *argv[24];
    int count = 0, status = -1;
    argv[count++] = host->bwrap;
    argv[count++] = "--unshare-user";
    if (forbids_userns)
        argv[count++] = "--disable-userns";
    static const char *const rest[] = {
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-net",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--",
        "/bin/true",
    };
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
        argv[count++] = rest[i];
    argv[count] = NULL;
    const struct program_run run = {.argv = argv,
                                    .uid = host->is_root ? HOST_USER_FIRST : 0,
                                    .gid = host->is_root ? HOST_USER_FIRST : 0,
                                    .limit = PROBE_LIMIT,
                                    .takes_errors = true};
    buffer_reset(output);
    return program_run(&run, output, &status) == ERR_OK && status == 0;
}

static void probe_sandbox(struct host *host)
{
    struct driver_traits *traits = &host->base.traits;
    char path[PROGRAM_PATH_MAX];
    struct buffer output;
    if (program_find("bwrap", path) != ERR_OK) {
        driver_note(traits, "no attempt can run: bubblewrap (bwrap) is not installed");
        return;
    }
    (void)snprintf(host->bwrap, sizeof(host->bwrap), "%s", path);
    buffer_init(&output, PROBE_OUTPUT_MAX);
    traits->can_run = try_sandbox(host, true, &output);
    if (!traits->can_run) {
        host->has_nested_userns = true;
        traits->can_run = try_sandbox(host, false, &output);
        if (traits->can_run)
            driver_note(traits, "programs may make user namespaces of their own: this bubblewrap "
                                "cannot forbid it");
    }
    if (!traits->can_run) {
        struct slice line = buffer_slice(&output), rest;
        (void)slice_cut(line, '\n', &line, &rest);
        if (line.len > PROBE_NOTE_MAX)
            line.len = PROBE_NOTE_MAX;
        driver_note(traits,
                    "no attempt can run: the sandbox does not start (%.*s); unprivileged "
                    "user namespaces must be allowed",
                    SLICE_ARG(line));
    }
    /* No program is given: a kernel with filters finds nothing where it should be. */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == 0 || errno != EFAULT) {
        traits->can_run = false;
        driver_note(traits, "no attempt can run: this kernel has no system-call filters (seccomp)");
    }
    buffer_deinit(&output);
}

/* Whether a supervisor may make a network for a gang. */
static void probe_network(struct host *host)
{
    char path[PROGRAM_PATH_MAX];
    struct buffer output;
    int status = -1;
    buffer_init(&output, PROBE_OUTPUT_MAX);
    if (host->is_root && program_find("unshare", path) == ERR_OK) {
        const char *argv[] = {path, "--net", "--mount", "/bin/true", NULL};
        const struct program_run run = {.argv = argv, .limit = PROBE_LIMIT};
        host->has_gang_network = program_run(&run, &output, &status) == ERR_OK && status == 0;
    }
    buffer_deinit(&output);
    host->base.traits.isolates_network = host->has_gang_network && !host->settings.has_host_network;
    if (host->settings.has_host_network)
        driver_note(&host->base.traits, "programs share the host's network, as the operator chose");
    else if (!host->has_gang_network)
        driver_note(&host->base.traits, "gangs share the host's network: only root can give them "
                                        "one of their own");
}

static void probe_images(struct host *host)
{
    struct driver_traits *traits = &host->base.traits;
    char why[IMAGE_WHY_MAX] = "the operator named none";
    if (host->settings.images.count > 0 && !host->is_root)
        (void)snprintf(why, sizeof(why), "only root can mount them");
    else if (host->settings.images.count > 0)
        traits->has_images = image_probe(why) == ERR_OK;
    if (!traits->has_images)
        driver_note(traits, "container images are not run here: %.180s", why);
}

void host_probe(struct host *host)
{
    probe_sandbox(host);
    probe_network(host);
    probe_images(host);
}

static bool probe_again(const struct host *host, char *why, size_t size)
{
    struct statvfs disk;
    struct buffer output;
    uint64_t reserve = host->settings.disk_reserve_bytes;
    buffer_init(&output, PROBE_OUTPUT_MAX);
    bool is_good = host->bwrap[0] != '\0' && try_sandbox(host, !host->has_nested_userns, &output);
    if (!is_good) {
        struct slice line = buffer_slice(&output), rest;
        (void)slice_cut(line, '\n', &line, &rest);
        (void)snprintf(why, size, "the sandbox does not start: %.*s",
                       (int)(line.len < PROBE_NOTE_MAX ? line.len : PROBE_NOTE_MAX), line.data);
    } else if (statvfs(host->settings.state_dir, &disk) != 0 ||
               (uint64_t)disk.f_bavail * disk.f_frsize < reserve) {
        (void)snprintf(why, size, "the disk below %.120s is full", host->settings.state_dir);
        is_good = false;
    }
    buffer_deinit(&output);
    return is_good;
}

/* ---- is a node in order? Those of a host share the machine */

struct host_probing {
    struct host *host;
    uint64_t number;
    bool is_good;
    char why[DRIVER_NOTE_MAX];
};

static void run_probe(void *context)
{
    struct host_probing *probing = context;
    probing->is_good = probe_again(probing->host, probing->why, sizeof(probing->why));
}

static void on_probe(void *context)
{
    struct host_probing *probing = context;
    struct host *host = probing->host;
    if (host->events != NULL && host->events->on_probed != NULL)
        host->events->on_probed(host->context, probing->number, probing->is_good, probing->why);
    free(probing);
}

void host_probe_node(struct driver *driver, uint16_t node, uint64_t number)
{
    struct host *host = (struct host *)driver;
    struct host_probing *probing = calloc(1, sizeof(*probing));
    (void)node;
    if (probing == NULL)
        return; /* no answer counts as none */
    probing->host = host;
    probing->number = number;
    if (worker_submit(host->worker, run_probe, on_probe, probing) != ERR_OK)
        free(probing);
}
