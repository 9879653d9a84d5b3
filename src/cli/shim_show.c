/* scontrol, sinfo and sacctmgr, as far as clients call them. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/sbatch.h"
#include "cli/shim.h"

enum { OPTION_HELP = 256, LETTERS_MAX = 32, WIDTH_MAX = 512 };

#define SINFO_FORMAT "%9P %.5a %.10l %.6D %.6t %N"

/* ---- scontrol */

/* A pattern of a file's name with what is known here filled in. */
static struct slice file_of(struct cli *cli, const struct shim_job *job, struct slice pattern)
{
    const struct book_entry *entry = job->entry;
    struct buffer out;
    buffer_init(&out, SBATCH_WORD_BYTES_MAX * 4);
    if (pattern.len > 0 && pattern.data[0] != '/')
        buffer_printf(&out, "%.*s/", SLICE_ARG(entry->dir));
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.data[i];
        char letter = c == '%' && i + 1 < pattern.len ? pattern.data[i + 1] : '\0';
        int64_t task = book_task(entry, job->index);
        if (letter == 'j' || letter == 'J')
            buffer_append_u64(&out, job->number);
        else if (letter == 'A')
            buffer_append_u64(&out, entry->number);
        else if (letter == 'a' && task >= 0)
            buffer_append_i64(&out, task);
        else if (letter == 'x')
            buffer_append(&out, entry->name);
        else if (letter == 'u')
            buffer_append(&out, entry->user);
        else {
            buffer_append_char(&out, c);
            continue;
        }
        i++;
    }
    struct slice kept = arena_copy(&cli->arena, buffer_slice(&out));
    buffer_deinit(&out);
    return kept;
}

static void job_times(const struct shim_job *job, const char *line)
{
    char ran[32], limit[32], submit[32], start[32], end[32];
    int64_t seconds = job->started_us == 0 || job->ended_us < job->started_us
                          ? 0
                          : (job->ended_us - job->started_us) / 1000000;
    shim_span_format(seconds, false, ran);
    if (job->entry->limit_s == 0)
        (void)snprintf(limit, sizeof(limit), "UNLIMITED");
    else
        shim_span_format((int64_t)job->entry->limit_s, false, limit);
    shim_time_format(job->entry->submitted_us, "Unknown", submit);
    shim_time_format(job->started_us, "Unknown", start);
    shim_time_format(job->ended_us, "Unknown", end);
    printf("RunTime=%s TimeLimit=%s TimeMin=N/A%s", ran, limit, line);
    printf("SubmitTime=%s EligibleTime=%s%s", submit, submit, line);
    printf("StartTime=%s EndTime=%s Deadline=N/A%s", start, end, line);
}

static void job_show(struct cli *cli, const struct shim_job *job, bool is_one_line)
{
    const struct book_entry *entry = job->entry;
    const char *line = is_one_line ? " " : "\n   ";
    int64_t task = book_task(entry, job->index);
    printf("JobId=%llu ", (unsigned long long)job->number);
    if (task >= 0)
        printf("ArrayJobId=%llu ArrayTaskId=%lld ", (unsigned long long)entry->number,
               (long long)task);
    printf("JobName=%.*s%s", SLICE_ARG(cli_safe(cli, entry->name)), line);
    printf("UserId=%.*s GroupId=(null) MCS_label=N/A%s", SLICE_ARG(entry->user), line);
    printf("Priority=1 Nice=0 Account=%.*s QOS=normal%s", SLICE_ARG(entry->account), line);
    printf("JobState=%s Reason=%s Dependency=(null)%s", shim_state_name(job->state),
           job->state == SHIM_PENDING ? "Resources" : "None", line);
    printf("Requeue=1 Restarts=%llu BatchFlag=1 Reboot=0 ExitCode=%d:%d%s",
           (unsigned long long)job->restarts, job->exit_code, job->exit_signal, line);
    job_times(job, line);
    printf("Partition=%.*s AllocNode:Sid=(null)%s", SLICE_ARG(entry->partition), line);
    printf("ReqNodeList=(null) ExcNodeList=(null)%s", line);
    printf("NodeList=%.*s%s", SLICE_ARG(cli_safe(cli, job->site)), line);
    printf("NumNodes=%u NumCPUs=%u NumTasks=%u CPUs/Task=%u%s", entry->nodes, entry->cpus,
           entry->ntasks, entry->cpus_per_task, line);
    if (entry->mem_mib > 0)
        printf("MinMemoryNode=%lluM%s", (unsigned long long)entry->mem_mib, line);
    printf("Command=%.*s%s", SLICE_ARG(entry->command), line);
    printf("WorkDir=%.*s%s", SLICE_ARG(entry->dir), line);
    if (entry->comment.len > 0)
        printf("Comment=%.*s%s", SLICE_ARG(cli_safe(cli, entry->comment)), line);
    printf("StdErr=%.*s%s", SLICE_ARG(file_of(cli, job, entry->error)), line);
    printf("StdOut=%.*s\n%s", SLICE_ARG(file_of(cli, job, entry->output)), is_one_line ? "" : "\n");
}

static int jobs_show(struct cli *cli, const char *which, bool is_one_line)
{
    struct shim_filter filter = {.jobs = which, .is_ended_wanted = true, .is_strict = true};
    struct shim_jobs jobs;
    int code = shim_jobs_load(cli, &filter, &jobs);
    if (code == EXIT_NOT_FOUND)
        fprintf(stderr, "slurm_load_jobs error: " SHIM_NO_SUCH_JOB "\n");
    if (code != EXIT_DONE)
        return EXIT_FAILED;
    if (jobs.count == 0 && which == NULL)
        printf("No jobs in the system\n");
    for (size_t i = 0; i < jobs.count; i++)
        job_show(cli, &jobs.items[i], is_one_line);
    return EXIT_DONE;
}

/* "a[1-3,7],b" to a line each. */
static int hostnames_show(struct cli *cli, const char *list)
{
    struct slice rest = slice_of(list == NULL ? "" : list), one;
    if (memchr(rest.data, '[', rest.len) != NULL)
        return cli_fail(cli, EXIT_FAILED,
                        "ranges of hosts are not known here: sites' nodes have no such names");
    for (bool is_last = rest.len == 0; !is_last;) {
        is_last = !slice_cut(rest, ',', &one, &rest);
        printf("%.*s\n", SLICE_ARG(is_last ? rest : one));
    }
    return EXIT_DONE;
}

static bool is_word(const char *text, const char *word)
{
    return strcasecmp(text, word) == 0;
}

int shim_scontrol(struct cli *cli, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"details", no_argument, NULL, 'd'},  {"help", no_argument, NULL, OPTION_HELP},
        {"oneliner", no_argument, NULL, 'o'}, {"quiet", no_argument, NULL, 'Q'},
        {"version", no_argument, NULL, 'V'},  {NULL, 0, NULL, 0}};
    bool is_one_line = false;
    const char *words[3] = {NULL, NULL, NULL};
    int option, count = 0;
    while ((option = getopt_long(argc, argv, "adhoQvV", OPTIONS, NULL)) != -1) {
        if (option == 'V') {
            printf("slurm %s\n", SLURM_SPOKEN);
            return EXIT_DONE;
        }
        if (option == 'h' || option == OPTION_HELP) {
            printf("Usage: scontrol [-d] [-o] show job [JOB] | show hostnames LIST | version\n");
            return EXIT_DONE;
        }
        if (option == '?')
            return EXIT_FAILED;
        is_one_line = is_one_line || option == 'o';
    }
    for (int i = optind; i < argc && count < 3; i++)
        words[count++] = argv[i];
    if (count > 0 && is_word(words[0], "version")) {
        printf("slurm %s\n", SLURM_SPOKEN);
        return EXIT_DONE;
    }
    if (count < 2 || !is_word(words[0], "show"))
        return cli_fail(cli, EXIT_FAILED,
                        "only `show job` and `show hostnames` are known here: %s%s%s",
                        count > 0 ? words[0] : "", count > 1 ? " " : "", count > 1 ? words[1] : "");
    if (is_word(words[1], "job") || is_word(words[1], "jobs") || is_word(words[1], "jobid"))
        return jobs_show(cli, words[2], is_one_line);
    const char *equals = strchr(words[1], '=');
    if (equals != NULL && strncasecmp(words[1], "job", 3) == 0)
        return jobs_show(cli, equals + 1, is_one_line);
    if (is_word(words[1], "hostnames") || is_word(words[1], "hostname"))
        return hostnames_show(cli, words[2]);
    return cli_fail(cli, EXIT_FAILED, "invalid entity: %s for keyword: show; the pool has jobs",
                    words[1]);
}

/* ---- sinfo: a partition a site, and `any`, the default */

struct partition {
    struct slice name;
    uint64_t nodes, cpus, mem_mib, accelerators; /* of a node, but for `nodes` */
    bool is_any, is_up, is_mixed;
};

static uint64_t total_of(struct json_value site, const char *name, const char *member)
{
    uint64_t number = 0;
    struct json_value value = json_object_get(json_object_get(site, name), member);
    return json_to_u64(value, 0, UINT64_MAX, &number, NULL) == ERR_OK ? number : 0;
}

static struct partition partition_of(struct json_value site)
{
    uint64_t nodes = api_u64(site, "nodes"), divide = nodes > 0 ? nodes : 1;
    return (struct partition){
        .name = api_string(site, "name"),
        .nodes = nodes,
        .cpus = total_of(site, "cpu_milli", "total") / 1000 / divide,
        .mem_mib = (total_of(site, "mem_bytes", "total") >> 20) / divide,
        .accelerators = total_of(site, "accelerators", "total") / divide,
        .is_up = slice_is(api_string(site, "state"), "active") &&
                 slice_is(api_string(site, "contact"), "ok"),
        .is_mixed = total_of(site, "cpu_milli", "held") > 0,
    };
}

static void partition_add(struct partition *any, const struct partition *site)
{
    any->nodes += site->nodes;
    any->cpus = site->cpus > any->cpus ? site->cpus : any->cpus;
    any->mem_mib = site->mem_mib > any->mem_mib ? site->mem_mib : any->mem_mib;
    any->accelerators =
        site->accelerators > any->accelerators ? site->accelerators : any->accelerators;
    any->is_up = any->is_up || site->is_up;
    any->is_mixed = any->is_mixed || site->is_mixed;
}

static const char *state_of(const struct partition *partition, bool is_short)
{
    if (!partition->is_up)
        return "down";
    if (partition->is_mixed)
        return is_short ? "mix" : "mixed";
    return "idle";
}

/* What stands for a letter of the format: its head, or of a partition. False: not known. */
static bool sinfo_cell(char letter, const struct partition *partition, struct buffer *out)
{
    static const struct {
        char letter;
        const char *head;
    } HEADS[] = {{'P', "PARTITION"}, {'R', "PARTITION"},     {'a', "AVAIL"},
                 {'l', "TIMELIMIT"}, {'L', "DEFAULTTIME"},   {'D', "NODES"},
                 {'t', "STATE"},     {'T', "STATE"},         {'N', "NODELIST"},
                 {'G', "GRES"},      {'p', "PRIO_TIER"},     {'c', "CPUS"},
                 {'m', "MEMORY"},    {'f', "AVAIL_FEATURES"}};
    size_t count = sizeof(HEADS) / sizeof(HEADS[0]), i = 0;
    while (i < count && HEADS[i].letter != letter)
        i++;
    if (i == count)
        return false;
    if (partition == NULL) {
        buffer_append_text(out, HEADS[i].head);
        return true;
    }
    switch (letter) {
    case 'P':
    case 'R':
    case 'N':
        buffer_append(out, partition->name);
        if (letter == 'P' && partition->is_any)
            buffer_append_char(out, '*');
        break;
    case 'a':
        buffer_append_text(out, partition->is_up ? "up" : "down");
        break;
    case 'l':
        buffer_append_text(out, "infinite");
        break;
    case 'L':
        buffer_append_text(out, "n/a");
        break;
    case 'D':
        buffer_append_u64(out, partition->nodes);
        break;
    case 't':
    case 'T':
        buffer_append_text(out, state_of(partition, letter == 't'));
        break;
    case 'G':
        if (partition->accelerators > 0)
            buffer_printf(out, "gpu:%llu", (unsigned long long)partition->accelerators);
        else
            buffer_append_text(out, "(null)");
        break;
    case 'p':
        buffer_append_char(out, '1');
        break;
    case 'c':
        buffer_append_u64(out, partition->cpus);
        break;
    case 'm':
        buffer_append_u64(out, partition->mem_mib);
        break;
    default:
        buffer_append_text(out, "(null)");
        break;
    }
    return true;
}

static int sinfo_line(struct cli *cli, const char *format, const struct partition *partition)
{
    struct buffer line, cell;
    bool is_known = true;
    buffer_init(&line, CLI_ARENA_BYTES_MAX);
    buffer_init(&cell, CLI_ARENA_BYTES_MAX);
    for (const char *c = format; *c != '\0' && is_known; c++) {
        if (*c != '%') {
            buffer_append_char(&line, *c);
            continue;
        }
        bool is_right = false;
        int width = 0;
        for (c++; *c == '.' || *c == '#'; c++)
            is_right = is_right || *c == '.';
        for (; *c >= '0' && *c <= '9'; c++)
            width = width < WIDTH_MAX ? width * 10 + (*c - '0') : width;
        buffer_reset(&cell);
        is_known = *c != '\0' && sinfo_cell(*c, partition, &cell);
        struct slice text = buffer_slice(&cell);
        int len = width == 0 || (int)text.len < width ? (int)text.len : width;
        if (is_known)
            buffer_printf(&line, "%*.*s", is_right ? width : -width, len,
                          text.data == NULL ? "" : text.data);
        else
            (void)cli_fail(cli, EXIT_FAILED, "Invalid node format specification: %c",
                           *c == '\0' ? '%' : *c);
        if (*c == '\0')
            break;
    }
    if (is_known)
        printf("%.*s\n", SLICE_ARG(buffer_slice(&line)));
    buffer_deinit(&line);
    buffer_deinit(&cell);
    return is_known ? EXIT_DONE : EXIT_FAILED;
}

static int sinfo_print(struct cli *cli, const char *format, const char *only, bool has_no_header)
{
    struct partition any = {.name = SLICE_LITERAL("any"), .is_any = true};
    struct api_list sites;
    int code = api_list(cli, "/v1/sites", 0, &sites);
    for (size_t i = 0; code == EXIT_DONE && i < sites.count; i++) {
        struct partition site = partition_of(sites.items[i]);
        partition_add(&any, &site);
    }
    if (code == EXIT_DONE && !has_no_header)
        code = sinfo_line(cli, format, NULL);
    if (code == EXIT_DONE && (only == NULL || strcmp(only, "any") == 0))
        code = sinfo_line(cli, format, &any);
    for (size_t i = 0; code == EXIT_DONE && i < sites.count; i++) {
        struct partition site = partition_of(sites.items[i]);
        if (only == NULL || slice_is(site.name, only))
            code = sinfo_line(cli, format, &site);
    }
    return code == EXIT_DONE ? EXIT_DONE : EXIT_FAILED;
}

int shim_sinfo(struct cli *cli, int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"all", no_argument, NULL, 'a'},
                                            {"format", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, OPTION_HELP},
                                            {"noheader", no_argument, NULL, 'h'},
                                            {"partition", required_argument, NULL, 'p'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    const char *format = SINFO_FORMAT, *only = NULL;
    bool has_no_header = false;
    int option;
    while ((option = getopt_long(argc, argv, "aho:p:vV", OPTIONS, NULL)) != -1) {
        if (option == 'V') {
            printf("slurm %s\n", SLURM_SPOKEN);
            return EXIT_DONE;
        }
        if (option == OPTION_HELP) {
            printf("Usage: sinfo [-a] [-h] [-o format] [-p partition]\n");
            return EXIT_DONE;
        }
        if (option == '?') {
            fprintf(stderr, "Try \"sinfo --help\" for more information\n");
            return EXIT_FAILED;
        }
        has_no_header = has_no_header || option == 'h';
        format = option == 'o' ? optarg : format;
        only = option == 'p' ? optarg : only;
    }
    return sinfo_print(cli, format, only, has_no_header);
}

/* ---- sacctmgr: accounts are tenants */

/* `list user NAME format=account%20`: a line a tenant that the person may use. */
int shim_sacctmgr(struct cli *cli, int argc, char **argv)
{
    struct api_list tenants;
    bool has_no_header = false;
    int option, width = 20;
    while ((option = getopt(argc, argv, "+nPpsQiV")) != -1) {
        if (option == 'V') {
            printf("slurm %s\n", SLURM_SPOKEN);
            return EXIT_DONE;
        }
        if (option == '?')
            return EXIT_FAILED;
        has_no_header = has_no_header || option == 'n';
    }
    if (argc - optind < 2 || (!is_word(argv[optind], "list") && !is_word(argv[optind], "show")) ||
        (!is_word(argv[optind + 1], "user") && !is_word(argv[optind + 1], "users") &&
         !is_word(argv[optind + 1], "account") && !is_word(argv[optind + 1], "accounts")))
        return cli_fail(cli, EXIT_FAILED,
                        "only `list user` and `list account` are known here; accounts are tenants: "
                        "lq tenant --help");
    for (int i = optind + 2; i < argc; i++)
        if (strncasecmp(argv[i], "format=", 7) == 0 && strncasecmp(argv[i] + 7, "account", 7) != 0)
            return cli_fail(cli, EXIT_FAILED, "Unknown field '%s'; account is known here",
                            argv[i] + 7);
    int code = api_list(cli, "/v1/tenants", 0, &tenants);
    if (code != EXIT_DONE)
        return EXIT_FAILED;
    if (!has_no_header)
        printf("%*s \n-------------------- \n", width, "Account");
    for (size_t i = 0; i < tenants.count; i++)
        printf("%*.*s \n", width, SLICE_ARG(api_string(tenants.items[i], "name")));
    return EXIT_DONE;
}
