#include <stdio.h>
#include <unistd.h>

#include "drive/slurm_private.h"

enum { ARGUMENTS_MAX = 48 };

static const char *const NAMES[SLURM_PROGRAM_COUNT_] = {
    [SLURM_SBATCH] = "sbatch", [SLURM_SQUEUE] = "squeue",     [SLURM_SCANCEL] = "scancel",
    [SLURM_SINFO] = "sinfo",   [SLURM_SCONTROL] = "scontrol",
};

enum err slurm_commands_find(const struct slurm_config *config, struct slurm_commands *out,
                             struct fault *fault)
{
    struct slurm_commands commands = {0};
    if (config->conf.len != 0)
        (void)snprintf(commands.conf, sizeof(commands.conf), "SLURM_CONF=%.*s",
                       SLICE_ARG(config->conf));
    for (int i = 0; i < SLURM_PROGRAM_COUNT_; i++) {
        enum err code = ERR_NOT_FOUND;
        if (config->bin.len == 0) {
            code = program_find(NAMES[i], commands.path[i]);
        } else {
            int len = snprintf(commands.path[i], PROGRAM_PATH_MAX, "%.*s/%s",
                               SLICE_ARG(config->bin), NAMES[i]);
            if (len > 0 && len < PROGRAM_PATH_MAX && access(commands.path[i], X_OK) == 0)
                code = ERR_OK;
        }
        if (code != ERR_OK)
            return fault_set(fault, ERR_NOT_FOUND, "bin",
                             "%s is not installed here: is this a "
                             "machine of the cluster?",
                             NAMES[i]);
    }
    *out = commands;
    return ERR_OK;
}

static enum err run_command(const struct slurm_commands *commands, enum slurm_program program,
                            const char *const *arguments, bool takes_errors, struct span_ms limit,
                            struct buffer *out, int *out_status)
{
    const char *argv[ARGUMENTS_MAX + 2] = {commands->path[program]};
    const char *const env[] = {commands->conf[0] != '\0' ? commands->conf : NULL, NULL};
    const struct program_run run = {
        .argv = argv, .env = env, .limit = limit, .takes_errors = takes_errors};
    for (int i = 0; arguments[i] != NULL; i++) {
        if (i == ARGUMENTS_MAX)
            return ERR_LIMIT;
        argv[i + 1] = arguments[i];
    }
    enum err code = program_run(&run, out, out_status);
    return code != ERR_OK ? code : buffer_status(out);
}

enum err slurm_command_run(const struct slurm_commands *commands, enum slurm_program program,
                           const char *const *arguments, bool takes_errors, struct buffer *out,
                           int *out_status)
{
    return run_command(commands, program, arguments, takes_errors, SLURM_CALL_LIMIT, out,
                       out_status);
}

enum err slurm_command_wait(const struct slurm_commands *commands, enum slurm_program program,
                            const char *const *arguments, struct span_ms limit, struct buffer *out,
                            int *out_status)
{
    return run_command(commands, program, arguments, true, limit, out, out_status);
}

/* A command's whole output, in the arena; its first words when it failed. */
static enum err read_all(const struct slurm_commands *commands, enum slurm_program program,
                         const char *const *arguments, struct arena *arena, struct slice *out,
                         struct fault *fault)
{
    struct buffer text;
    int status = 0;
    buffer_init(&text, SLURM_OUTPUT_BYTES_MAX);
    enum err code = slurm_command_run(commands, program, arguments, false, &text, &status);
    if (code == ERR_OK && status != 0)
        code = ERR_IO;
    if (code == ERR_OK) {
        *out = arena_copy(arena, buffer_slice(&text));
        code = out->data == NULL ? ERR_NO_MEMORY : ERR_OK;
    } else {
        (void)!fault_set(fault, code, NULL, "%s does not answer (%s, status %d): is slurmctld up?",
                         NAMES[program], err_name(code), status);
        code = ERR_IO;
    }
    buffer_deinit(&text);
    return code;
}

enum err slurm_read_nodes(const struct slurm_commands *commands, struct arena *arena,
                          const struct slurm_node **out_nodes, uint32_t *out_count,
                          struct fault *fault)
{
    static const char *const ARGUMENTS[] = {"--json", "--all", NULL};
    struct slice json;
    enum err code = read_all(commands, SLURM_SINFO, ARGUMENTS, arena, &json, fault);
    return code == ERR_OK ? slurm_nodes_decode(json, arena, out_nodes, out_count, fault) : code;
}

/* All states and all partitions: newer versions print running jobs alone without it, and an
 * administrator may move a job to a partition that we know nothing of. */
enum err slurm_read_jobs(const struct slurm_commands *commands, struct arena *arena,
                         struct slurm_jobs *out, struct fault *fault)
{
    static const char *const ARGUMENTS[] = {"--json", "--all", "--states=all", NULL};
    struct slice json;
    enum err code = read_all(commands, SLURM_SQUEUE, ARGUMENTS, arena, &json, fault);
    return code == ERR_OK ? slurm_jobs_decode(json, arena, out, fault) : code;
}

enum err slurm_digest_jobs(const struct slurm_commands *commands, struct digest *out,
                           struct fault *fault)
{
    static const char *const ARGUMENTS[] = {"--noheader", "--all", "--states=all",
                                            "--format=%A|%j|%k|%P|%Q|%T|%r|%S|%e|%l|%D|%C|%n|%N",
                                            NULL};
    struct arena arena;
    struct slice text;
    arena_init(&arena, SLURM_OUTPUT_BYTES_MAX);
    enum err code = read_all(commands, SLURM_SQUEUE, ARGUMENTS, &arena, &text, fault);
    if (code == ERR_OK)
        *out = digest_of(text);
    arena_deinit(&arena);
    return code;
}

enum err slurm_read_config(const struct slurm_commands *commands, struct arena *arena,
                           struct slice *out_text, struct fault *fault)
{
    static const char *const ARGUMENTS[] = {"show", "config", NULL};
    return read_all(commands, SLURM_SCONTROL, ARGUMENTS, arena, out_text, fault);
}

enum err slurm_read_partitions(const struct slurm_commands *commands, struct arena *arena,
                               struct slice *out_text, struct fault *fault)
{
    static const char *const ARGUMENTS[] = {"--oneliner", "show", "partition", NULL};
    return read_all(commands, SLURM_SCONTROL, ARGUMENTS, arena, out_text, fault);
}
