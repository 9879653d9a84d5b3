#include "cli/network_private.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/reap.h"
#include "port/loop.h"
#include "wire/catalogue.h"
#include "wire/topology.h"
#include "wire/yaml.h"

enum {
    FILE_BYTES_MAX = 4 << 20,
    SERVER_READY_S = 30,
    AGENT_READY_S = 30,
    CONTACT_S = 60,
    CONTACT_POLL_MS = 100,
    AGENT_STOP_S = 5,
    SERVER_STOP_S = 10,
    RELAY_STOP_S = 2,
};

/* ---- the file */

static int topology_read(struct network *network)
{
    struct cli *cli = network->cli;
    struct catalogue catalogue = {0};
    struct json_document *document;
    struct fault fault = {0};
    struct slice csv;
    const char *path = network->options.catalogue_path;
    if (path != NULL) {
        enum err err = file_read(path, FILE_BYTES_MAX, &network->arena, &fault, &csv);
        if (err == ERR_OK)
            err = catalogue_decode(csv, &network->arena, &catalogue, &fault);
        if (err != ERR_OK)
            return cli_fail_fault(cli, EXIT_USAGE, path, &fault);
    }
    path = network->options.topology_path;
    enum err err =
        file_read(path, FILE_BYTES_MAX, &network->arena, &fault, &network->topology_text);
    if (err == ERR_OK)
        err = yaml_parse(network->topology_text, &YAML_LIMITS, &document, &fault);
    if (err == ERR_OK) {
        err = topology_decode(json_root(document), catalogue.count > 0 ? &catalogue : NULL,
                              &network->arena, &network->topology, &fault);
        json_document_destroy(document);
    }
    if (err != ERR_OK)
        return cli_fail_fault(cli, err == ERR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_USAGE, path,
                              &fault);
    if (network->topology.site_count == 0 || network->topology.site_count > NETWORK_SITES_MAX)
        return cli_fail(cli, EXIT_USAGE, "%s: between 1 and %d sites can run on one machine", path,
                        NETWORK_SITES_MAX);
    return EXIT_DONE;
}

static int sites_lay_out(struct network *network)
{
    const struct topology *topology = &network->topology;
    const char *wanted = network->options.server_site;
    network->beside = wanted != NULL ? topology_site(topology, slice_of(wanted)) : NULL;
    if (wanted != NULL && network->beside == NULL)
        return cli_fail(network->cli, EXIT_USAGE, "%s has no site \"%s\"",
                        network->options.topology_path, wanted);
    for (uint32_t i = 0; i < topology->site_count && network->beside == NULL; i++) {
        const struct region *region = topology_region(topology, topology->sites[i].region);
        if (region != NULL && region->role == ROLE_SERVE)
            network->beside = &topology->sites[i];
    }
    if (network->beside == NULL)
        network->beside = &topology->sites[0];
    for (uint32_t i = 0; i < topology->site_count; i++) {
        struct network_site *site = &network->sites[network->site_count++];
        site->value = &topology->sites[i];
        site->name = arena_text(&network->arena, site->value->name);
        site->folder = arena_printf(&network->arena, "%s/sites/%s", network->folder, site->name);
        const struct link *link = topology_link(topology, network->beside, site->value);
        if (network->options.has_delay && link != NULL && site->value != network->beside)
            site->rtt_us = (int64_t)link->rtt_us;
    }
    return EXIT_DONE;
}

/* ---- the folder */

static int folder_open(struct network *network)
{
    struct cli *cli = network->cli;
    struct fault fault = {0};
    struct slice standing;
    const char *folder = network->options.state_folder;
    if (folder == NULL) {
        const char *temporary = getenv("TMPDIR");
        char *made = arena_printf(&network->arena, "%s/lingqu-XXXXXX",
                                  temporary != NULL && temporary[0] == '/' ? temporary : "/tmp");
        if (mkdtemp(made) == NULL)
            return cli_fail(cli, EXIT_FAILED, "%s: no folder can be made there", made);
        network->owns_folder = true;
        folder = made;
    } else if (file_make_folders(folder, 0700, &fault) != ERR_OK) {
        return cli_fail_fault(cli, EXIT_FAILED, folder, &fault);
    }
    char *real = realpath(folder, NULL);
    if (real == NULL)
        return cli_fail(cli, EXIT_FAILED, "%s: no such folder", folder);
    network->folder = arena_text(&network->arena, slice_of(real));
    free(real);
    const char *lock = arena_printf(&network->arena, "%s/up.lock", network->folder);
    if (file_lock_take(lock, &fault, &network->lock) != ERR_OK)
        return cli_fail(cli, EXIT_CONFLICT, "%s: another lq up (or demo) runs in this folder",
                        folder);
    network->has_lock = true;
    const char *copy = arena_printf(&network->arena, "%s/topology.yaml", network->folder);
    enum err err = file_read(copy, FILE_BYTES_MAX, &network->arena, &fault, &standing);
    network->is_first = err == ERR_NOT_FOUND;
    if (err == ERR_OK && !slice_is_equal(standing, network->topology_text))
        return cli_fail(cli, EXIT_CONFLICT,
                        "%s holds the network of another file (%s); take another folder", folder,
                        copy);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return cli_fail_fault(cli, EXIT_FAILED, copy, &fault);
    if (file_make_folders(arena_printf(&network->arena, "%s/sites", network->folder), 0700,
                          &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, folder, &fault);
    return EXIT_DONE;
}

/* All documents are in: a later start finds them there. */
static int folder_finish(struct network *network)
{
    struct fault fault = {0};
    const char *copy = arena_printf(&network->arena, "%s/topology.yaml", network->folder);
    if (!network->is_first)
        return EXIT_DONE;
    if (file_write_atomic(copy, network->topology_text, 0600, &fault) != ERR_OK)
        return cli_fail_fault(network->cli, EXIT_FAILED, copy, &fault);
    return EXIT_DONE;
}

/* ---- the server */

static int server_run_on(struct network *network, const char *listen, bool is_quiet)
{
    const char *kill =
        arena_printf(&network->arena, "%lldms", (long long)network->topology.policy.kill_limit.ms);
    const char *argv[DAEMON_ARGS_MAX] = {
        network->cli->program,
        "server",
        "--state",
        arena_printf(&network->arena, "%s/server", network->folder),
        "--listen",
        listen,
        "--kill-time",
        kill,
        "--ready-fd",
        arena_printf(&network->arena, "%d", DAEMON_READY_FD),
    };
    size_t count = 10;
    if (network->options.catalogue_path != NULL) {
        argv[count++] = "--catalogue";
        argv[count++] = network->options.catalogue_path;
    }
    argv[count] = NULL;
    int code = daemon_start(&network->server, network->cli, "server",
                            arena_printf(&network->arena, "%s/server.log", network->folder), argv);
    if (code == EXIT_DONE)
        code = daemon_wait_ready(&network->server, SPAN_S(SERVER_READY_S), is_quiet);
    if (code != EXIT_DONE)
        daemon_kill(&network->server);
    return code;
}

/* On the port of the last time if it is still free, so that people's configuration stays good. */
static int server_start(struct network *network)
{
    struct fault fault = {0};
    struct slice last;
    const char *path = arena_printf(&network->arena, "%s/endpoint", network->folder);
    int code = EXIT_FAILED;
    if (file_read(path, FILE_BYTES_MAX, &network->arena, NULL, &last) == ERR_OK && last.len > 0)
        code = server_run_on(network, arena_text(&network->arena, slice_trim(last)), true);
    if (code != EXIT_DONE)
        code = server_run_on(network, "127.0.0.1:0", false);
    if (code == EXIT_DONE &&
        file_write_atomic(path, slice_of(network->server.ready), 0600, &fault) != ERR_OK)
        code = cli_fail_fault(network->cli, EXIT_FAILED, path, &fault);
    return code;
}

/* From here on this process talks to that server, and LQ_HOME=FOLDER/home does too. */
static int configure(struct network *network)
{
    struct cli *cli = network->cli;
    struct fault fault = {0};
    struct slice ca, token;
    const char *path = arena_printf(&network->arena, "%s/server/ca.pem", network->folder);
    enum err err = file_read(path, FILE_BYTES_MAX, &network->arena, &fault, &ca);
    if (err == ERR_OK) {
        path = arena_printf(&network->arena, "%s/server/admin.token", network->folder);
        err = file_read(path, FILE_BYTES_MAX, &network->arena, &fault, &token);
    }
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    while (token.len > 0 && (unsigned char)token.data[token.len - 1] <= ' ')
        token.len--;
    api_forget(cli);
    cli->config = (struct cli_config){.server = network->server.ready,
                                      .ca_pem = ca.data,
                                      .token = arena_text(&network->arena, token)};
    cli->has_config = true;
    return api_config_save(cli, arena_printf(&network->arena, "%s/home", network->folder),
                           &cli->config);
}

/* ---- sites */

static int relay_start(struct network *network, struct network_site *site)
{
    const char *argv[] = {network->cli->program,
                          "relay",
                          "127.0.0.1:0",
                          network->server.ready,
                          "--delay-ms",
                          arena_printf(&network->arena, "%.4f", (double)site->rtt_us / 2000.0),
                          "--ready-fd",
                          arena_printf(&network->arena, "%d", DAEMON_READY_FD),
                          NULL};
    int code = daemon_start(&site->relay, network->cli,
                            arena_printf(&network->arena, "relay of %s", site->name),
                            arena_printf(&network->arena, "%s.relay.log", site->folder), argv);
    if (code == EXIT_DONE)
        code = daemon_wait_ready(&site->relay, SPAN_S(AGENT_READY_S), false);
    return code;
}

static int agent_start(struct network *network, struct network_site *site)
{
    struct arena *arena = &network->arena;
    struct file_info info;
    const char *join = arena_printf(arena, "%s.join", site->folder),
               *description = arena_printf(arena, "%s.site.json", site->folder);
    bool has_joined = file_stat(arena_printf(arena, "%s/agent.pem", site->folder), &info) == ERR_OK;
    const char *argv[DAEMON_ARGS_MAX] = {
        network->cli->program,
        "agent",
        "--state",
        site->folder,
        "--server",
        site->rtt_us > 0 ? site->relay.ready : network->server.ready,
        "--site-file",
        description,
        "--ignore-foreign-load",
        "--ready-fd",
        arena_printf(arena, "%d", DAEMON_READY_FD),
    };
    size_t count = 11;
    int code = network_write_site(network, site, description);
    if (code == EXIT_DONE && !has_joined) {
        code = network_write_join_token(network, site, join);
        argv[count++] = "--join";
        argv[count++] = arena_printf(arena, "@%s", join);
    }
    if (network->options.catalogue_path != NULL) {
        argv[count++] = "--catalogue";
        argv[count++] = network->options.catalogue_path;
    }
    argv[count] = NULL;
    if (code == EXIT_DONE)
        code =
            daemon_start(&site->agent, network->cli, arena_printf(arena, "agent of %s", site->name),
                         arena_printf(arena, "%s.log", site->folder), argv);
    return code;
}

static int site_start(struct network *network, struct network_site *site)
{
    int code = site->rtt_us > 0 ? relay_start(network, site) : EXIT_DONE;
    return code == EXIT_DONE ? agent_start(network, site) : code;
}

static int site_ready(struct network_site *site)
{
    return daemon_wait_ready(&site->agent, SPAN_S(AGENT_READY_S), false);
}

static int contact_wait(struct network *network)
{
    struct cli *cli = network->cli;
    struct boot_ns until = boot_add(loop_now(cli->loop).boot, SPAN_S(CONTACT_S));
    size_t said = SIZE_MAX;
    for (;;) {
        struct api_list list;
        size_t in_contact = 0;
        int code = api_list(cli, "/v1/sites", 0, &list);
        if (code != EXIT_DONE)
            return code;
        for (size_t i = 0; i < list.count; i++)
            in_contact += slice_is(api_string(list.items[i], "contact"), "ok");
        if (in_contact != said)
            cli_note(cli, "%zu of %u sites in contact", in_contact, network->site_count);
        said = in_contact;
        if (in_contact >= network->site_count)
            return EXIT_DONE;
        if (!boot_is_before(loop_now(cli->loop).boot, until))
            return cli_fail(cli, EXIT_FAILED,
                            "not every site is in contact after %d s; see %s/sites/*.log",
                            CONTACT_S, network->folder);
        code = network_wait(network, SPAN_MS(CONTACT_POLL_MS));
        if (code != EXIT_DONE)
            return code;
    }
}

/* ---- start and stop */

static void on_signal(void *context, int signal_number)
{
    struct network *network = context;
    (void)signal_number;
    network->is_interrupted = true;
    if (network->is_waiting)
        loop_stop(network->cli->loop);
}

static int network_begin(struct network *network)
{
    struct cli *cli = network->cli;
    int code = topology_read(network);
    if (code == EXIT_DONE)
        code = folder_open(network);
    if (code == EXIT_DONE)
        code = sites_lay_out(network);
    if (code == EXIT_DONE)
        code = cli_loop(cli);
    if (code == EXIT_DONE && (loop_signal_watch(cli->loop, SIGINT, on_signal, network) != ERR_OK ||
                              loop_signal_watch(cli->loop, SIGTERM, on_signal, network) != ERR_OK))
        code = cli_fail(cli, EXIT_FAILED, "cannot watch for signals");
    if (code != EXIT_DONE)
        return code;
    cli_note(cli, "starting the server");
    code = server_start(network);
    if (code == EXIT_DONE)
        code = configure(network);
    if (code == EXIT_DONE && network->is_first)
        code = network_put_regions(network);
    if (code == EXIT_DONE && network->is_first)
        code = network_put_policy(network);
    if (code == EXIT_DONE && network->is_first)
        code = network_put_tenants(network);
    if (code == EXIT_DONE)
        cli_note(cli, "starting %u sites", network->site_count);
    for (uint32_t i = 0; i < network->site_count && code == EXIT_DONE; i++)
        code = site_start(network, &network->sites[i]);
    for (uint32_t i = 0; i < network->site_count && code == EXIT_DONE; i++)
        code = site_ready(&network->sites[i]);
    if (code == EXIT_DONE)
        code = contact_wait(network);
    if (code == EXIT_DONE && network->is_first)
        code = network_put_links(network);
    return code == EXIT_DONE ? folder_finish(network) : code;
}

int network_start(struct cli *cli, const struct network_options *options, struct network **out)
{
    struct network *network = calloc(1, sizeof(*network));
    if (network == NULL)
        return cli_fail(cli, EXIT_FAILED, "out of memory");
    network->cli = cli;
    network->options = *options;
    arena_init(&network->arena, CLI_ARENA_BYTES_MAX);
    int code = network_begin(network);
    if (code == EXIT_DONE)
        *out = network;
    else
        network_stop(network);
    return code;
}

static void site_stop(struct network *network, struct network_site *site)
{
    daemon_stop(&site->agent, SPAN_S(AGENT_STOP_S));
    reap_below(network->cli->program, site->folder);
    daemon_stop(&site->relay, SPAN_S(RELAY_STOP_S));
}

void network_stop(struct network *network)
{
    struct fault fault = {0};
    if (network == NULL)
        return;
    struct cli *cli = network->cli;
    if (network->site_count > 0 && network->server.process != NULL)
        cli_note(cli, "stopping");
    for (uint32_t i = 0; i < network->site_count; i++)
        site_stop(network, &network->sites[i]);
    daemon_stop(&network->server, SPAN_S(SERVER_STOP_S));
    if (network->has_lock)
        file_lock_release(&network->lock);
    if (network->owns_folder && !network->options.is_kept &&
        file_remove_tree(network->folder, &fault) != ERR_OK)
        (void)cli_fail_fault(cli, EXIT_FAILED, network->folder, &fault);
    arena_deinit(&network->arena);
    free(network);
}

const char *network_folder(const struct network *network)
{
    return network->folder;
}

/* ---- one site */

static struct network_site *site_named(struct network *network, const char *name)
{
    for (uint32_t i = 0; i < network->site_count; i++)
        if (strcmp(network->sites[i].name, name) == 0)
            return &network->sites[i];
    return NULL;
}

int network_kill_site(struct network *network, const char *name)
{
    struct network_site *site = site_named(network, name);
    if (site == NULL)
        return cli_fail(network->cli, EXIT_NOT_FOUND, "there is no site \"%s\"", name);
    daemon_kill(&site->agent);
    reap_below(network->cli->program, site->folder);
    daemon_kill(&site->relay);
    return EXIT_DONE;
}

int network_restart_site(struct network *network, const char *name)
{
    struct network_site *site = site_named(network, name);
    if (site == NULL)
        return cli_fail(network->cli, EXIT_NOT_FOUND, "there is no site \"%s\"", name);
    int code = network_kill_site(network, name);
    if (code == EXIT_DONE)
        code = site_start(network, site);
    return code == EXIT_DONE ? site_ready(site) : code;
}

/* ---- while it runs */

static int ended(struct network *network, struct daemon *daemon)
{
    if (!daemon->is_wanted || !daemon->has_exited)
        return EXIT_DONE;
    daemon->is_wanted = false;
    daemon_log_tell(daemon);
    return daemon->result.signal != 0
               ? cli_fail(network->cli, EXIT_FAILED, "%s was ended by signal %d; see %s",
                          daemon->name, daemon->result.signal, daemon->log_path)
               : cli_fail(network->cli, EXIT_FAILED, "%s ended with status %lld; see %s",
                          daemon->name, (long long)daemon->result.status, daemon->log_path);
}

static int watch(struct network *network, bool is_awaited)
{
    int code = EXIT_DONE;
    network->server.is_awaited = is_awaited;
    network->is_waiting = is_awaited;
    code = ended(network, &network->server);
    for (uint32_t i = 0; i < network->site_count; i++) {
        struct network_site *site = &network->sites[i];
        site->agent.is_awaited = site->relay.is_awaited = is_awaited;
        if (code == EXIT_DONE)
            code = ended(network, &site->agent);
        if (code == EXIT_DONE)
            code = ended(network, &site->relay);
    }
    return network->is_interrupted ? EXIT_INTERRUPTED : code;
}

int network_wait(struct network *network, struct span_ms span)
{
    struct boot_ns until = boot_add(loop_now(network->cli->loop).boot, span);
    int code = watch(network, true);
    while (code == EXIT_DONE) {
        struct span_ms left = boot_since(until, loop_now(network->cli->loop).boot);
        if (left.ms <= 0)
            break;
        cli_pause(network->cli, left);
        code = watch(network, true);
    }
    int last = watch(network, false);
    return code == EXIT_DONE ? last : code;
}

int network_serve(struct network *network)
{
    enum { TURN_S = 3600 };
    int code = EXIT_DONE;
    while (code == EXIT_DONE)
        code = network_wait(network, SPAN_S(TURN_S));
    return code;
}

static const char *example_mark(const struct site *site)
{
    return site->ask_origin.is_example ? " (example price)" : "";
}

void network_describe(struct network *network)
{
    const struct topology *topology = &network->topology;
    printf("\nThe network of %s runs on this machine; all of it is below\n  %s\n\n",
           network->options.topology_path, network->folder);
    for (uint32_t i = 0; i < network->site_count; i++) {
        const struct network_site *site = &network->sites[i];
        char ask[MONEY_TEXT_MAX] = "-";
        if (site->value->ask_per_cpu_hour.has)
            money_format(site->value->ask_per_cpu_hour.value, ask);
        printf("  %-16s %u nodes, %s %.*s a core and hour%s, ", site->name, site->value->node_count,
               ask, SLICE_ARG(topology->policy.currency), example_mark(site->value));
        if (site->value == network->beside)
            printf("beside the server\n");
        else if (site->rtt_us > 0)
            printf("%.1f ms round trip to the server, emulated\n", (double)site->rtt_us / 1000.0);
        else
            printf("no delay to the server\n");
    }
    printf(
        "\nEmulated: the sites are agents on this machine and their nodes shares of it%s. Between "
        "two sites that are\nboth away from the server the file's round trip is used for "
        "decisions; no bytes go that way.\n",
        network->options.has_delay ? "; each line to the server is a relay that holds every byte "
                                     "back by half the file's round trip"
                                   : "");
    printf("\nUse it from another terminal:\n\n  export LQ_HOME=%s/home\n  %s sites\n"
           "  %s submit JOB.yaml\n  %s top\n\n",
           network->folder, network->cli->program, network->cli->program, network->cli->program);
    (void)fflush(stdout);
}
