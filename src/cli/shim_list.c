/* squeue and sacct. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/sbatch.h"
#include "cli/shim.h"

#define SQUEUE_FORMAT "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
#define SQUEUE_FORMAT_LONG "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
#define SACCT_FORMAT "jobid,jobname,partition,account,alloccpus,state,exitcode"

enum { OPTION_ME = 256, OPTION_NO_HEADER, OPTION_HELP, OPTION_US = 1000000 };

static int bad_option(const char *name)
{
    fprintf(stderr, "Try \"%s --help\" for more information\n", name);
    return EXIT_FAILED;
}

/* ---- squeue */

struct squeue {
    struct shim_filter filter;
    const char *format;
    bool has_no_header;
};

static int squeue_options(struct cli *cli, int argc, char **argv, struct squeue *out)
{
    static const struct option OPTIONS[] = {{"account", required_argument, NULL, 'A'},
                                            {"all", no_argument, NULL, 'a'},
                                            {"array", no_argument, NULL, 'r'},
                                            {"format", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, OPTION_HELP},
                                            {"job", required_argument, NULL, 'j'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"long", no_argument, NULL, 'l'},
                                            {"me", no_argument, NULL, OPTION_ME},
                                            {"name", required_argument, NULL, 'n'},
                                            {"noheader", no_argument, NULL, 'h'},
                                            {"partition", required_argument, NULL, 'p'},
                                            {"sort", required_argument, NULL, 'S'},
                                            {"states", required_argument, NULL, 't'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"users", required_argument, NULL, 'u'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "A:arj:ln:ho:p:S:t:u:vV", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'A':
            out->filter.accounts = optarg;
            break;
        case 'j':
            out->filter.jobs = optarg;
            break;
        case 'l':
            out->format = SQUEUE_FORMAT_LONG;
            break;
        case 'n':
            out->filter.names = optarg;
            break;
        case 'h':
            out->has_no_header = true;
            break;
        case 'o':
            out->format = optarg;
            break;
        case 'p':
            out->filter.partitions = optarg;
            break;
        case 't':
            out->filter.states = optarg;
            break;
        case 'u':
            out->filter.users = optarg;
            break;
        case OPTION_ME:
            out->filter.users = shim_user(cli);
            break;
        case 'V':
            printf("slurm %s\n", SLURM_SPOKEN);
            return -1;
        case OPTION_HELP:
            printf("Usage: squeue [-A account] [-h] [-j jobs] [-l] [--me] [-n names] [-o format]\n"
                   "              [-p partitions] [-t states] [-u users]\n");
            return -1;
        case '?':
            return bad_option("squeue");
        default: /* -a, -r, -S, -v: it is so already */
            break;
        }
    }
    return EXIT_DONE;
}

int shim_squeue(struct cli *cli, int argc, char **argv)
{
    struct squeue squeue = {.format = SQUEUE_FORMAT};
    struct shim_jobs jobs;
    int code = squeue_options(cli, argc, argv, &squeue);
    if (code != EXIT_DONE)
        return code < 0 ? EXIT_DONE : code;
    /* As squeue does: one job that is not there is an error, of several those that are are told. */
    squeue.filter.is_strict = squeue.filter.jobs != NULL && strchr(squeue.filter.jobs, ',') == NULL;
    struct shim_columns *columns = shim_columns_squeue(cli, squeue.format);
    if (columns == NULL)
        return EXIT_FAILED;
    code = shim_jobs_load(cli, &squeue.filter, &jobs);
    if (code == EXIT_NOT_FOUND)
        fprintf(stderr, "slurm_load_jobs error: " SHIM_NO_SUCH_JOB "\n");
    if (code != EXIT_DONE)
        return EXIT_FAILED;
    if (!squeue.has_no_header)
        shim_heads_print(cli, columns, SHIM_PADDED);
    for (size_t i = 0; i < jobs.count; i++)
        shim_job_print(cli, columns, SHIM_PADDED, &jobs.items[i]);
    return EXIT_DONE;
}

/* ---- sacct */

struct sacct {
    struct shim_filter filter;
    const char *format;
    enum shim_style style;
    bool has_no_header;
    int64_t from_us, to_us;
};

/* "2026-11-26T14:00:00", "2026-11-26", local time. */
static bool when_parse(const char *text, int64_t *out_us)
{
    static const char *const FORMATS[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    if (strcmp(text, "now") == 0) {
        *out_us = (int64_t)time(NULL) * OPTION_US;
        return true;
    }
    for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
        struct tm parts = {.tm_isdst = -1};
        const char *end = strptime(text, FORMATS[i], &parts);
        if (end == NULL || *end != '\0')
            continue;
        *out_us = (int64_t)mktime(&parts) * OPTION_US;
        return true;
    }
    return false;
}

static int sacct_time(struct cli *cli, const char *text, int64_t *out_us)
{
    if (when_parse(text, out_us))
        return EXIT_DONE;
    return cli_fail(cli, EXIT_FAILED, "Invalid time specification: %s; YYYY-MM-DD[THH:MM[:SS]]",
                    text);
}

static int sacct_option(struct cli *cli, int option, struct sacct *out)
{
    switch (option) {
    case 'A':
        out->filter.accounts = optarg;
        break;
    case 'j':
        out->filter.jobs = optarg;
        break;
    case 'n':
        out->has_no_header = true;
        break;
    case 'o':
        out->format = optarg;
        break;
    case 'p':
        out->style = SHIM_PARSABLE_END;
        break;
    case 'P':
        out->style = SHIM_PARSABLE;
        break;
    case 'r':
        out->filter.partitions = optarg;
        break;
    case 's':
        out->filter.states = optarg;
        break;
    case 'u':
        out->filter.users = optarg;
        break;
    case OPTION_ME:
        out->filter.names = optarg;
        break;
    case 'S':
        return sacct_time(cli, optarg, &out->from_us);
    case 'E':
        return sacct_time(cli, optarg, &out->to_us);
    case 'b':
        out->format = "jobid,state,exitcode";
        break;
    case 'V':
        printf("slurm %s\n", SLURM_SPOKEN);
        return -1;
    case OPTION_HELP:
        printf(
            "Usage: sacct [-A accounts] [-b] [-E end] [-j jobs] [--name names] [-n] [-o format]\n"
            "             [-P | -p] [-r partitions] [-S start] [-s states] [-u users] [-X]\n");
        return -1;
    case '?':
        return bad_option("sacct");
    default: /* -a, -X, -D, -L, -v: it is so already */
        break;
    }
    return EXIT_DONE;
}

static int sacct_options(struct cli *cli, int argc, char **argv, struct sacct *out)
{
    static const struct option OPTIONS[] = {{"accounts", required_argument, NULL, 'A'},
                                            {"allocations", no_argument, NULL, 'X'},
                                            {"allusers", no_argument, NULL, 'a'},
                                            {"brief", no_argument, NULL, 'b'},
                                            {"duplicates", no_argument, NULL, 'D'},
                                            {"endtime", required_argument, NULL, 'E'},
                                            {"format", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, OPTION_HELP},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"name", required_argument, NULL, OPTION_ME},
                                            {"noheader", no_argument, NULL, 'n'},
                                            {"parsable", no_argument, NULL, 'p'},
                                            {"parsable2", no_argument, NULL, 'P'},
                                            {"partition", required_argument, NULL, 'r'},
                                            {"starttime", required_argument, NULL, 'S'},
                                            {"state", required_argument, NULL, 's'},
                                            {"uid", required_argument, NULL, 'u'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    int option, code = EXIT_DONE;
    while (code == EXIT_DONE &&
           (option = getopt_long(argc, argv, "A:abDE:hj:LnNo:pPr:S:s:u:vVX", OPTIONS, NULL)) != -1)
        code = sacct_option(cli, option == 'h' ? OPTION_HELP : option, out);
    return code;
}

int shim_sacct(struct cli *cli, int argc, char **argv)
{
    struct sacct sacct = {
        .format = SACCT_FORMAT, .filter.is_ended_wanted = true, .to_us = INT64_MAX};
    struct shim_jobs jobs;
    int code = sacct_options(cli, argc, argv, &sacct);
    if (code != EXIT_DONE)
        return code < 0 ? EXIT_DONE : code;
    struct shim_columns *columns = shim_columns_sacct(cli, sacct.format);
    if (columns == NULL)
        return EXIT_FAILED;
    code = shim_jobs_load(cli, &sacct.filter, &jobs);
    if (code != EXIT_DONE)
        return EXIT_FAILED;
    if (!sacct.has_no_header)
        shim_heads_print(cli, columns, sacct.style);
    for (size_t i = 0; i < jobs.count; i++) {
        const struct shim_job *job = &jobs.items[i];
        if (job->entry->submitted_us <= sacct.to_us &&
            (job->ended_us == 0 || job->ended_us >= sacct.from_us))
            shim_job_print(cli, columns, sacct.style, job);
    }
    return EXIT_DONE;
}
