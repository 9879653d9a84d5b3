#include "cli/sim_output.h"

#include <stdio.h>
#include <unistd.h>

#include "port/clock.h"
#include "port/file.h"
#include "sim/report.h"
#include "sim/trace.h"

enum { TELL_NS = 1000000000 };

static int64_t boot_now_ns(void)
{
    struct clock clock = clock_system();
    return clock_boot(&clock).ns;
}

void sim_progress_begin(struct sim_progress *progress, const struct cli *cli)
{
    int64_t now_ns = boot_now_ns();
    *progress = (struct sim_progress){.cli = cli, .began_ns = now_ns, .told_ns = now_ns};
}

/* On a terminal one line that is written over, else a line each. */
void sim_progress_tell(void *context, const char *what, double part)
{
    struct sim_progress *progress = context;
    int64_t now_ns = boot_now_ns();
    char left[TIME_TEXT_MAX];
    if (progress->cli->is_quiet || now_ns - progress->told_ns < TELL_NS)
        return;
    progress->told_ns = now_ns;
    double ran_ms = (double)(now_ns - progress->began_ns) / 1e6;
    span_format(SPAN_MS(part > 0 ? (int64_t)(ran_ms * (1 - part) / part) : 0), left);
    progress->is_shown = isatty(STDERR_FILENO);
    fprintf(stderr, progress->is_shown ? "\r%s: %3.0f %%, %s left    " : "%s: %3.0f %%, %s left\n",
            what, part * 100, left);
}

double sim_progress_seconds(struct sim_progress *progress)
{
    if (progress->is_shown)
        fputc('\n', stderr);
    progress->is_shown = false;
    return (double)(boot_now_ns() - progress->began_ns) / 1e9;
}

double sim_round(double value)
{
    return report_round(value);
}

double sim_ratio(double a, double b)
{
    return b > 0 ? sim_round(a / b) : 0;
}

int sim_data_read(struct cli *cli, const char *path, struct arena *arena, struct slice *out)
{
    struct fault fault = {0};
    const char *full = arena_printf(&cli->arena, "%s/%s", cli_text(cli, "root", "."), path);
    if (file_read(full, TRACE_BYTES_MAX, arena, &fault, out) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, full, &fault);
    return EXIT_DONE;
}

struct json_writer *sim_json_begin(struct sim_json *json)
{
    buffer_init(&json->text, SIM_JSON_BYTES_MAX);
    json_writer_init(&json->writer, &json->text);
    return &json->writer;
}

int sim_json_end(struct sim_json *json, const struct cli *cli)
{
    enum err err = json_writer_finish(&json->writer);
    buffer_append_char(&json->text, '\n');
    int code = err == ERR_OK ? EXIT_DONE : cli_fail(cli, EXIT_FAILED, "%s", err_name(err));
    if (code == EXIT_DONE && !cli_write(buffer_slice(&json->text)))
        code = EXIT_FAILED;
    buffer_deinit(&json->text);
    return code;
}
