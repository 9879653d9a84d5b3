/* lq site check: what a cluster offers, and what it lacks to lend its surplus. */
#include <stdio.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "drive/slurm_check.h"
#include "port/file.h"

enum { SITE_FILE_MAX = 4 << 20 };

static int site_check_command(struct cli *cli)
{
    static const char *const WORDS[] = {
        [SLURM_GOOD] = "ok", [SLURM_ADVICE] = "note", [SLURM_MUST] = "change"};
    const char *path = cli->positional[0];
    struct slurm_findings *findings = arena_alloc(&cli->arena, sizeof(*findings));
    struct slurm_config config;
    struct fault fault = {0};
    struct slice text;
    bool is_good = true;
    if (findings == NULL)
        return cli_fail(cli, EXIT_FAILED, "no memory");
    enum err err = file_read(path, SITE_FILE_MAX, &cli->arena, &fault, &text);
    if (err == ERR_OK)
        err = slurm_config_decode(text, &cli->arena, &config, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, path, &fault);
    if (slurm_check(&config, findings, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    for (uint32_t i = 0; i < findings->count; i++) {
        (void)printf("%-7s %s\n", WORDS[findings->items[i].verdict], findings->items[i].text);
        is_good = is_good && findings->items[i].verdict != SLURM_MUST;
    }
    return is_good ? EXIT_DONE : EXIT_FAILED;
}

const struct command COMMAND_SITE_CHECK = {
    .name = "site check",
    .group = "Running a network",
    .summary = "what a Slurm cluster offers, and the changes that lending needs",
    .usage = "FILE",
    .details =
        "FILE is the site's (docs/formats/slurm.md). Reads the cluster's settings and changes "
        "nothing. Ends with 1 when slurm.conf must be changed first.\n\n"
        "Example:\n  lq site check slurm.yaml",
    .positional_min = 1,
    .positional_max = 1,
    .run = site_check_command};
