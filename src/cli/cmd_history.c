/* lq history export: what has been recorded of the network, to be replayed. */
#include <string.h>

#include "base/assert.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/history.h"
#include "port/clock.h"
#include "port/file.h"
#include "sim/history.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DAY_US (INT64_C(86400) * 1000000)

enum { FILE_MODE = 0600, OWNER_POINTS = 1440, DAYS_DEFAULT = 30 };

static int line_end(struct cli *cli, struct buffer *out)
{
    buffer_append_char(out, '\n');
    return buffer_status(out) == ERR_OK
               ? EXIT_DONE
               : cli_fail(cli, EXIT_FAILED,
                          "the history is too long; narrow it with --from and --to");
}

static int line_copy(struct cli *cli, struct json_value value, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_copy(&writer, value);
    if (json_writer_finish(&writer) != ERR_OK)
        return cli_fail(cli, EXIT_FAILED,
                        "the history is too long; narrow it with --from and --to");
    return line_end(cli, out);
}

static int head_put(struct cli *cli, struct wall_us from, struct wall_us to, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_text(&writer, "kind", "history");
    json_put_u64(&writer, "version", HISTORY_VERSION);
    json_put_wall(&writer, "from", from);
    json_put_wall(&writer, "to", to);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK);
    return line_end(cli, out);
}

/* Pages to their end; unlike other lists' they may be empty on the way. */
static int pages_put(struct cli *cli, const char *target, struct buffer *out, uint64_t *out_count)
{
    const char *join = strchr(target, '?') == NULL ? "?" : "&";
    struct slice cursor = {0};
    do {
        struct api_reply reply;
        int code = api_call(
            cli, "GET",
            api_target(cli, "%s%slimit=%d%s%s", target, join, API_PAGE,
                       cursor.len > 0 ? "&cursor=" : "",
                       cursor.len > 0 ? api_escape(cli, arena_text(&cli->arena, cursor)) : ""),
            (struct slice){0}, &reply);
        if (code != EXIT_DONE)
            return code;
        struct json_iterator it = json_iterate(json_object_get(reply.root, "items"));
        while (code == EXIT_DONE && json_next(&it)) {
            code = line_copy(cli, it.value, out);
            ++*out_count;
        }
        if (code != EXIT_DONE)
            return code;
        cursor = api_string(reply.root, "next");
    } while (cursor.len > 0);
    return EXIT_DONE;
}

/* ---- owners: of what was recorded as use */

static int owner_put(struct cli *cli, struct json_value item, struct json_value step,
                     struct buffer *out)
{
    static const char *const SUMS[] = {"core_us", "owner_core_us", "device_ms", "owner_device_ms"};
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_text(&writer, "kind", "owner");
    json_put_string(&writer, "site", api_string(item, "site"));
    json_put_string(&writer, "pool", api_string(item, "pool"));
    json_put_string(&writer, "at", api_string(step, "at"));
    for (size_t i = 0; i < COUNT(SUMS); i++)
        json_put_u64(&writer, SUMS[i], api_u64(step, SUMS[i]));
    json_end_object(&writer);
    if (json_writer_finish(&writer) != ERR_OK)
        return cli_fail(cli, EXIT_FAILED,
                        "the history is too long; narrow it with --from and --to");
    return line_end(cli, out);
}

static int owners_put(struct cli *cli, const char *from, const char *to, struct buffer *out)
{
    struct api_reply reply;
    int code =
        api_call(cli, "GET",
                 api_target(cli, "/v1/utilisation?from=%s&to=%s&points=%d", from, to, OWNER_POINTS),
                 (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    struct json_iterator it = json_iterate(json_object_get(reply.root, "items"));
    while (code == EXIT_DONE && json_next(&it)) {
        struct json_iterator step = json_iterate(json_object_get(it.value, "series"));
        while (code == EXIT_DONE && json_next(&step))
            code = owner_put(cli, it.value, step.value, out);
    }
    if (code == EXIT_DONE && api_bool(reply.root, "has_more"))
        cli_note(cli, "the owners' load of some sites is left out; narrow the time");
    return code;
}

int history_fetch(struct cli *cli, struct wall_us from, struct wall_us to, struct buffer *out)
{
    char text[TIME_TEXT_MAX];
    uint64_t nouns = 0, jobs = 0;
    wall_format(from, text);
    const char *first = api_escape(cli, text);
    wall_format(to, text);
    const char *last = api_escape(cli, text);
    int code = head_put(cli, from, to, out);
    if (code == EXIT_DONE)
        code = pages_put(cli, "/v1/history/network", out, &nouns);
    if (code == EXIT_DONE)
        code = pages_put(cli, api_target(cli, "/v1/history/jobs?from=%s&to=%s", first, last), out,
                         &jobs);
    if (code == EXIT_DONE)
        code = owners_put(cli, first, last, out);
    if (code == EXIT_DONE)
        cli_note(cli, "%llu jobs", (unsigned long long)jobs);
    return code;
}

/* ---- the command */

static const struct flag FLAGS[] = {
    {"output", 'o', FLAG_TEXT, "FILE", "where it goes; default: standard output"},
    {"from", 0, FLAG_TEXT, "TIME", "what had not ended by then; default 30d"},
    {"to", 0, FLAG_TEXT, "TIME", "what was submitted before then; default now"},
};

static int export_command(struct cli *cli)
{
    struct buffer text;
    struct fault fault = {0};
    struct wall_us from, to;
    const struct clock clock = clock_system();
    const char *path = cli_text(cli, "output", NULL);
    int code = api_time_at(cli, "to", clock_wall(&clock), &to);
    if (code == EXIT_DONE)
        code = api_time_at(cli, "from", (struct wall_us){to.us - DAYS_DEFAULT * DAY_US}, &from);
    if (code != EXIT_DONE)
        return code;
    if (from.us >= to.us)
        return cli_fail(cli, EXIT_USAGE, "--from must be before --to");
    buffer_init(&text, HISTORY_BYTES_MAX);
    code = history_fetch(cli, from, to, &text);
    if (code == EXIT_DONE && (path == NULL || strcmp(path, "-") == 0)) {
        code = cli_write(buffer_slice(&text)) ? EXIT_DONE : EXIT_FAILED;
    } else if (code == EXIT_DONE) {
        if (file_write_atomic(path, buffer_slice(&text), FILE_MODE, &fault) != ERR_OK)
            code = cli_fail_fault(cli, EXIT_FAILED, path, &fault);
        else
            cli_note(cli, "written to %s; replay it: lq sim run %s", path, path);
    }
    buffer_deinit(&text);
    return code;
}

const struct command COMMAND_HISTORY_EXPORT = {
    .name = "history export",
    .group = "Records",
    .summary = "what has been recorded of the network, as a file to replay",
    .usage = "[flags]",
    .details =
        "Network, jobs with their attempts, and owners' load, a JSON object a line "
        "(docs/formats/history.md).\nWhat jobs run, with which content and under which names, is "
        "left out. For administrators and auditors.\n\n"
        "Examples:\n  lq history export -o november.jsonl --from 2026-11-01 --to 2026-12-01\n"
        "  lq sim run november.jsonl",
    .flags = FLAGS,
    .flag_count = COUNT(FLAGS),
    .run = export_command};
