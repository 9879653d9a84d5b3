#include "cli/shim.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/sbatch.h"
#include "port/file.h"

enum {
    SHIM_BODY_BYTES_MAX = 16 << 20,
    OPTION_ME = 256,
    OPTION_HELP,
    WAIT_STEP_MS = 200,
    WAIT_STEP_MS_MAX = 5000,
};

const char *shim_user(struct cli *cli)
{
    const struct passwd *user = getpwuid(geteuid());
    const char *name = user == NULL ? getenv("USER") : user->pw_name;
    return name == NULL ? "" : arena_text(&cli->arena, slice_of(name));
}

/* ---- sbatch */

/* --wait: until all of it has ended; the highest exit code. */
static int wait_all(struct cli *cli, const struct book_entry *entry)
{
    int result = EXIT_DONE;
    for (uint32_t i = 0; i < entry->count; i++) {
        char number[32];
        const struct shim_filter filter = {.jobs = number, .is_ended_wanted = true};
        int64_t step_ms = WAIT_STEP_MS;
        struct shim_jobs jobs;
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)(entry->number + i));
        for (;;) {
            int code = shim_jobs_load(cli, &filter, &jobs);
            if (code != EXIT_DONE || jobs.count == 0)
                return EXIT_FAILED;
            if (shim_state_is_final(jobs.items[jobs.count > i ? i : 0].state))
                break;
            cli_pause(cli, SPAN_MS(step_ms));
            step_ms = step_ms * 3 / 2 < WAIT_STEP_MS_MAX ? step_ms * 3 / 2 : WAIT_STEP_MS_MAX;
        }
        const struct shim_job *job = &jobs.items[jobs.count > i ? i : 0];
        int code = job->state == SHIM_COMPLETED ? EXIT_DONE
                   : job->exit_code != 0        ? job->exit_code
                                                : EXIT_FAILED;
        result = code > result ? code : result;
    }
    return result;
}

/* --test-only: as the pool would place it. */
static int test_only(struct cli *cli, struct slice body, const char *query,
                     const struct sbatch_submission *submission)
{
    struct api_reply reply;
    int code = api_call(cli, "POST", api_target(cli, "/v1/jobs:dry-run%s", query), body, &reply);
    if (code != EXIT_DONE)
        return EXIT_FAILED;
    struct slice site = api_string(reply.root, "chosen");
    printf("Job %llu would use %u processors in partition %.*s: %.*s\n",
           (unsigned long long)submission->entry.number, submission->entry.cpus,
           SLICE_ARG(site.len > 0 ? cli_safe(cli, site) : submission->entry.partition),
           SLICE_ARG(cli_safe(cli, api_string(reply.root, "sentence"))));
    return EXIT_DONE;
}

static int shim_sbatch(struct cli *cli, int argc, char **argv)
{
    const struct sbatch_call call = {.argv = (const char *const *)argv + 1,
                                     .argc = (size_t)argc - 1};
    struct sbatch_submission submission;
    struct api_reply reply;
    struct buffer body;
    buffer_init(&body, SHIM_BODY_BYTES_MAX);
    int code = sbatch_prepare(cli, &call, &body, &submission);
    const char *query =
        submission.tenant == NULL
            ? ""
            : arena_printf(&cli->arena, "?tenant=%s", api_escape(cli, submission.tenant));
    if (code == EXIT_DONE && submission.plan.is_test) {
        code = test_only(cli, buffer_slice(&body), query, &submission);
        buffer_deinit(&body);
        return code;
    }
    if (code == EXIT_DONE)
        code =
            api_post_once(cli, api_target(cli, "/v1/jobs%s", query), buffer_slice(&body), &reply);
    buffer_deinit(&body);
    if (code == EXIT_DONE)
        code = sbatch_booked(cli, &submission, &reply);
    if (code != EXIT_DONE)
        return code < 0 ? EXIT_DONE : code == SBATCH_EXIT_OPTION ? code : EXIT_FAILED;
    unsigned long long number = submission.entry.number;
    if (submission.plan.is_parsable)
        printf("%llu\n", number);
    else if (!submission.plan.is_quiet)
        printf("Submitted batch job %llu\n", number);
    (void)fflush(stdout);
    return submission.plan.is_waiting ? wait_all(cli, &submission.entry) : EXIT_DONE;
}

/* ---- scancel */

static int cancel_options(struct cli *cli, int argc, char **argv, struct shim_filter *filter)
{
    static const struct option OPTIONS[] = {{"account", required_argument, NULL, 'A'},
                                            {"batch", no_argument, NULL, 'b'},
                                            {"full", no_argument, NULL, 'f'},
                                            {"help", no_argument, NULL, OPTION_HELP},
                                            {"jobname", required_argument, NULL, 'n'},
                                            {"me", no_argument, NULL, OPTION_ME},
                                            {"name", required_argument, NULL, 'n'},
                                            {"partition", required_argument, NULL, 'p'},
                                            {"quiet", no_argument, NULL, 'Q'},
                                            {"signal", required_argument, NULL, 's'},
                                            {"state", required_argument, NULL, 't'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "A:bfn:p:Qs:t:u:vV", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'A':
            filter->accounts = optarg;
            break;
        case 'n':
            filter->names = optarg;
            break;
        case 'p':
            filter->partitions = optarg;
            break;
        case 's':
            if (strcmp(optarg, "KILL") != 0 && strcmp(optarg, "SIGKILL") != 0 &&
                strcmp(optarg, "9") != 0 && strcmp(optarg, "TERM") != 0 &&
                strcmp(optarg, "SIGTERM") != 0 && strcmp(optarg, "15") != 0)
                return cli_fail(
                    cli, EXIT_FAILED,
                    "--signal=%s is refused: the pool stops jobs, and sends them nothing "
                    "else",
                    optarg);
            break;
        case 't':
            filter->states = optarg;
            break;
        case 'u':
            filter->users = optarg;
            break;
        case OPTION_ME:
            filter->users = shim_user(cli);
            break;
        case 'V':
            printf("slurm %s\n", SLURM_SPOKEN);
            return -1;
        case OPTION_HELP:
            printf("Usage: scancel [-A account] [-n names] [-p partitions] [-t states] [-u users]\n"
                   "               [--me] [JOB[_TASK]...]\n");
            return -1;
        case '?':
            fprintf(stderr, "Try \"scancel --help\" for more information\n");
            return EXIT_FAILED;
        default: /* -b, -f, -Q, -v */
            break;
        }
    }
    return EXIT_DONE;
}

/* "12 13_4" as the filter's list; *out_has false: none were named. */
static int cancel_numbers(struct cli *cli, int argc, char **argv, struct shim_filter *filter)
{
    struct buffer list;
    uint64_t number;
    int64_t task;
    buffer_init(&list, SHIM_BODY_BYTES_MAX);
    for (int i = optind; i < argc; i++) {
        if (!shim_number_parse(slice_of(argv[i]), &number, &task)) {
            buffer_deinit(&list);
            return cli_fail(cli, EXIT_FAILED, "Invalid job id %s", argv[i]);
        }
        buffer_printf(&list, "%s%s", list.len > 0 ? "," : "", argv[i]);
    }
    filter->jobs = list.len == 0 ? NULL : arena_text(&cli->arena, buffer_slice(&list));
    buffer_deinit(&list);
    return EXIT_DONE;
}

static int shim_scancel(struct cli *cli, int argc, char **argv)
{
    struct shim_filter filter = {0};
    struct shim_jobs jobs;
    int code = cancel_options(cli, argc, argv, &filter);
    if (code == EXIT_DONE)
        code = cancel_numbers(cli, argc, argv, &filter);
    if (code != EXIT_DONE)
        return code < 0 ? EXIT_DONE : code;
    if (filter.jobs == NULL && filter.users == NULL && filter.names == NULL &&
        filter.partitions == NULL && filter.accounts == NULL && filter.states == NULL)
        return cli_fail(cli, EXIT_FAILED, "No job identification provided");
    if (shim_jobs_load(cli, &filter, &jobs) != EXIT_DONE)
        return EXIT_FAILED;
    for (size_t i = 0; i < jobs.count; i++) {
        const struct shim_job *job = &jobs.items[i];
        struct api_reply reply;
        if (shim_state_is_final(job->state))
            continue;
        int done = api_post_once(
            cli, api_target(cli, "/v1/jobs/%.*s:cancel", SLICE_ARG(job->entry->jobs[job->index])),
            (struct slice){0}, &reply);
        if (done != EXIT_DONE && done != EXIT_CONFLICT) /* it may have ended this moment */
            code = EXIT_FAILED;
    }
    return code;
}

/* ---- srun */

static int shim_srun(struct cli *cli, int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("slurm %s\n", SLURM_SPOKEN);
        return EXIT_DONE;
    }
    return cli_fail(cli, EXIT_FAILED,
                    "Unable to allocate resources: steps are started inside a job, where srun is "
                    "another one; submit it with sbatch --wrap");
}

/* ---- by name */

static const struct shim_command COMMANDS[] = {
    {"sbatch", shim_sbatch},     {"squeue", shim_squeue},     {"scancel", shim_scancel},
    {"sacct", shim_sacct},       {"sinfo", shim_sinfo},       {"srun", shim_srun},
    {"scontrol", shim_scontrol}, {"sacctmgr", shim_sacctmgr},
};
#define COMMAND_COUNT (sizeof(COMMANDS) / sizeof(COMMANDS[0]))

const struct shim_command *shim_find(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, COMMANDS[i].name) == 0)
            return &COMMANDS[i];
    return NULL;
}

int shim_main(struct cli *cli, const struct shim_command *command, int argc, char **argv)
{
    static const struct command SPOKEN = {.name = "slurm"};
    cli->command = &SPOKEN;
    cli->speaker = arena_printf(&cli->arena, "%s: error", command->name);
    cli->is_quiet = true;
    return command->run(cli, argc, argv);
}

/* ---- lq slurm-shim */

/* A link of that name to this program. What else stands there is left alone. */
static int link_make(struct cli *cli, const char *folder, const char *name)
{
    char path[FILE_PATH_MAX], target[FILE_PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof(path))
        return cli_fail(cli, EXIT_USAGE, "the folder's name is too long");
    if (symlink(cli->program, path) == 0)
        return EXIT_DONE;
    if (errno != EEXIST)
        return cli_fail(cli, EXIT_FAILED, "%s: %s", path, strerror(errno));
    ssize_t got = readlink(path, target, sizeof(target) - 1);
    if (got < 0)
        return cli_fail(cli, EXIT_CONFLICT,
                        "%s is there already and is no link of ours; choose another folder", path);
    target[got] = '\0';
    if (strcmp(target, cli->program) == 0)
        return EXIT_DONE;
    if (unlink(path) != 0 || symlink(cli->program, path) != 0)
        return cli_fail(cli, EXIT_FAILED, "%s: %s", path, strerror(errno));
    return EXIT_DONE;
}

static int slurm_shim(struct cli *cli)
{
    struct fault fault = {0};
    const char *folder = cli->positional[0];
    int code = EXIT_DONE;
    if (cli->program == NULL)
        return cli_fail(cli, EXIT_FAILED, "the path of this program is not known");
    if (file_make_folders(folder, 0755, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, folder, &fault);
    for (size_t i = 0; code == EXIT_DONE && i < COMMAND_COUNT; i++)
        code = link_make(cli, folder, COMMANDS[i].name);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json) {
        struct api_body body;
        api_body_begin(&body);
        json_put_text(&body.writer, "folder", folder);
        json_key(&body.writer, "commands");
        json_begin_array(&body.writer);
        for (size_t i = 0; i < COMMAND_COUNT; i++)
            json_text(&body.writer, COMMANDS[i].name);
        json_end_array(&body.writer);
        code = api_body_end(cli, &body);
        if (code == EXIT_DONE &&
            (!cli_write(buffer_slice(&body.bytes)) || !cli_write(SLICE_LITERAL("\n"))))
            code = EXIT_FAILED;
        api_body_deinit(&body);
        return code;
    }
    printf("%s: sbatch squeue scancel sacct sinfo srun scontrol sacctmgr\n", folder);
    cli_note(cli, "put it first in PATH: export PATH=%s:$PATH", folder);
    return EXIT_DONE;
}

const struct command COMMAND_SLURM_SHIM = {
    .name = "slurm-shim",
    .group = "Work",
    .summary = "commands that speak Slurm for the pool",
    .usage = "DIR",
    .details =
        "Writes links named sbatch, squeue, scancel, sacct, sinfo, srun, scontrol and "
        "sacctmgr into DIR. With DIR first in PATH,\n"
        "programs that submit to Slurm submit to the pool (docs/formats/sbatch.md). A link of "
        "that name to another program is\n"
        "replaced, anything else is left alone.\n\n"
        "Example:\n  lq slurm-shim ~/lq-slurm && PATH=~/lq-slurm:$PATH snakemake --slurm -j 8",
    .positional_min = 1,
    .positional_max = 1,
    .run = slurm_shim};
