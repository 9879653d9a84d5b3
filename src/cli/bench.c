#include "cli/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "port/clock.h"
#include "port/loop.h"

enum { READY_S = 120, STOP_S = 20, SMALL_FILE_MAX = 65536 };

int bench_open(struct bench *bench, struct cli *cli)
{
    const char *temporary = getenv("TMPDIR");
    char *folder = arena_printf(&cli->arena, "%s/lingqu-bench-XXXXXX",
                                temporary != NULL && temporary[0] == '/' ? temporary : "/tmp");
    *bench = (struct bench){.cli = cli};
    if (mkdtemp(folder) == NULL)
        return cli_fail(cli, EXIT_FAILED, "%s: no folder can be made there", folder);
    bench->folder = folder;
    return cli_loop(cli);
}

void bench_close(struct bench *bench)
{
    struct fault fault = {0};
    if (bench->has_agent)
        daemon_stop(&bench->agent, SPAN_S(STOP_S));
    bench_server_stop(bench);
    if (bench->folder != NULL && file_remove_tree(bench->folder, &fault) != ERR_OK)
        (void)cli_fail_fault(bench->cli, EXIT_FAILED, bench->folder, &fault);
}

static const char *path_of(struct bench *bench, const char *name)
{
    return arena_printf(&bench->cli->arena, "%s/%s", bench->folder, name);
}

static int file_text(struct bench *bench, const char *path, const char **out)
{
    struct fault fault = {0};
    struct slice text;
    if (file_read(path, SMALL_FILE_MAX, &bench->cli->arena, &fault, &text) != ERR_OK)
        return cli_fail_fault(bench->cli, EXIT_FAILED, path, &fault);
    while (text.len > 0 && (unsigned char)text.data[text.len - 1] <= ' ')
        text.len--;
    *out = arena_text(&bench->cli->arena, text);
    return EXIT_DONE;
}

int bench_server_start(struct bench *bench)
{
    struct cli *cli = bench->cli;
    struct cli_config config = {0};
    const char *argv[] = {
        cli->program, "server",      "--state",    path_of(bench, "server"),
        "--listen",   "127.0.0.1:0", "--ready-fd", arena_printf(&cli->arena, "%d", DAEMON_READY_FD),
        NULL};
    int code = daemon_start(&bench->server, cli, "server", path_of(bench, "server.log"), argv);
    if (code == EXIT_DONE)
        code = daemon_wait_ready(&bench->server, SPAN_S(READY_S), false);
    if (code == EXIT_DONE)
        code = file_text(bench, path_of(bench, "server/ca.pem"), &config.ca_pem);
    if (code == EXIT_DONE)
        code = file_text(bench, path_of(bench, "server/admin.token"), &config.token);
    if (code != EXIT_DONE)
        return code;
    config.server = bench->server.ready;
    api_forget(cli);
    cli->config = config;
    cli->has_config = true;
    return EXIT_DONE;
}

void bench_server_stop(struct bench *bench)
{
    daemon_stop(&bench->server, SPAN_S(STOP_S));
}

int bench_wait_ok(struct bench *bench, const char *target, struct span_ms within)
{
    enum { POLL_MS = 5 };
    struct loop *loop = bench->cli->loop;
    struct boot_ns until = boot_add(loop_now(loop).boot, within);
    for (;;) {
        int status = api_probe(bench->cli, target);
        if (status == 200)
            return EXIT_DONE;
        if (!boot_is_before(loop_now(loop).boot, until) || bench->server.has_exited)
            return cli_fail(bench->cli, EXIT_FAILED, "%s does not answer", target);
        cli_pause(bench->cli, SPAN_MS(POLL_MS));
    }
}

static int site_joined(struct bench *bench, const char *join)
{
    struct cli *cli = bench->cli;
    static const char REGION[] = "{\"name\":\"here\",\"jurisdiction\":\"CN\"}";
    struct api_reply reply;
    struct fault fault = {0};
    int code = api_put(cli, "/v1/regions/here", slice_of(REGION), NULL, &reply);
    if (code == EXIT_DONE)
        code = api_post_once(cli, "/v1/join-tokens",
                             SLICE_LITERAL("{\"site\":\"here\",\"operator\":\"bench\"}"), &reply);
    if (code == EXIT_DONE &&
        file_write_atomic(join, api_string(reply.root, "token"), 0600, &fault) != ERR_OK)
        code = cli_fail_fault(cli, EXIT_FAILED, join, &fault);
    return code;
}

int bench_agent_start(struct bench *bench, uint32_t nodes, const char *read_only)
{
    enum { NODES_MAX = 8, CONTACT_S = 30, POLL_MS = 50 };
    struct cli *cli = bench->cli;
    const char *join = path_of(bench, "join");
    const char *argv[DAEMON_ARGS_MAX] = {
        cli->program,
        "agent",
        "--state",
        path_of(bench, "here"),
        "--server",
        bench->server.ready,
        "--join",
        arena_printf(&cli->arena, "@%s", join),
        "--site",
        "here",
        "--region",
        "here",
        "--operator",
        "bench",
        "--cpu-ask",
        "0.01",
        "--ignore-foreign-load",
        "--read-only",
        read_only,
        "--ready-fd",
        arena_printf(&cli->arena, "%d", DAEMON_READY_FD),
    };
    size_t count = 21;
    ASSERT(nodes <= NODES_MAX && count + 2 * nodes < DAEMON_ARGS_MAX + NODES_MAX);
    for (uint32_t i = 0; i < nodes && count + 2 < DAEMON_ARGS_MAX; i++) {
        argv[count++] = "--node";
        argv[count++] = arena_printf(&cli->arena, "n%u:cpus=4,mem=2GiB", i);
    }
    argv[count] = NULL;
    int code = site_joined(bench, join);
    if (code == EXIT_DONE)
        code = daemon_start(&bench->agent, cli, "agent", path_of(bench, "here.log"), argv);
    bench->has_agent = code == EXIT_DONE;
    if (code == EXIT_DONE)
        code = daemon_wait_ready(&bench->agent, SPAN_S(READY_S), false);
    for (int i = 0; code == EXIT_DONE && i < CONTACT_S * 1000 / POLL_MS; i++) {
        struct api_reply reply;
        code = api_call(cli, "GET", "/v1/sites/here", (struct slice){0}, &reply);
        if (code == EXIT_DONE && slice_is(api_string(reply.root, "contact"), "ok"))
            return EXIT_DONE;
        cli_pause(cli, SPAN_MS(POLL_MS));
    }
    return code == EXIT_DONE ? cli_fail(cli, EXIT_FAILED, "the site is not in contact") : code;
}

uint64_t bench_rss_kib(int64_t pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    (void)snprintf(path, sizeof(path), "/proc/%lld/status", (long long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "VmRSS: %llu", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t count, unsigned per_mille)
{
    qsort(values, count, sizeof(*values), compare);
    if (count == 0)
        return 0;
    size_t at = (count * per_mille + 999) / 1000;
    return values[at == 0 ? 0 : at - 1]; /* nearest rank */
}
