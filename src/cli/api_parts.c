/* Small things around calls: targets, members, bodies. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/api.h"
#include "port/clock.h"

enum { BODY_BYTES_MAX = 64 << 20, WORD_MAX = 64, WORDS_BYTES_MAX = 65536 };

const char *api_target(struct cli *cli, const char *format, ...)
{
    char text[API_TARGET_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ASSERT(n >= 0 && (size_t)n < sizeof(text));
    return arena_text(&cli->arena, slice_of(text));
}

const char *api_escape(struct cli *cli, const char *text)
{
    struct buffer out;
    buffer_init(&out, API_TARGET_MAX / 4);
    for (const char *c = text; *c != 0; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("-._~", *c) != NULL;
        if (plain)
            buffer_append_char(&out, *c);
        else
            buffer_printf(&out, "%%%02X", (unsigned char)*c);
    }
    const char *copy =
        buffer_status(&out) == ERR_OK ? arena_text(&cli->arena, buffer_slice(&out)) : "%00";
    buffer_deinit(&out);
    return copy;
}

struct api_kept {
    struct json_document *document;
    struct api_kept *next;
};

int api_keep(struct cli *cli, struct json_document *document)
{
    struct api_kept *kept = arena_alloc(&cli->arena, sizeof(*kept));
    if (kept == NULL) {
        json_document_destroy(document);
        return cli_fail(cli, EXIT_FAILED, "out of memory");
    }
    *kept = (struct api_kept){document, cli->kept};
    cli->kept = kept;
    return EXIT_DONE;
}

void api_kept_destroy(struct cli *cli)
{
    for (struct api_kept *kept = cli->kept; kept != NULL; kept = kept->next)
        json_document_destroy(kept->document);
    cli->kept = NULL;
}

struct slice api_string(struct json_value object, const char *name)
{
    struct slice text = {0};
    struct json_value value = json_object_get(object, name);
    if (json_type_of(value) == JSON_STRING &&
        json_to_string(value, SIZE_MAX, &text, NULL) == ERR_OK)
        return text;
    return (struct slice){"", 0};
}

uint64_t api_u64(struct json_value object, const char *name)
{
    uint64_t number = 0;
    struct json_value value = json_object_get(object, name);
    if (json_type_of(value) != JSON_INTEGER ||
        json_to_u64(value, 0, UINT64_MAX, &number, NULL) != ERR_OK)
        return 0;
    return number;
}

bool api_bool(struct json_value object, const char *name)
{
    bool value = false;
    return json_opt_bool(object, name, &value, NULL) == ERR_OK && value;
}

struct slice api_time(struct cli *cli, struct json_value object, const char *name)
{
    enum { DAY = 10, SECOND = 19 };
    struct slice text = api_string(object, name);
    if (text.len < SECOND || text.data[DAY] != 'T')
        return text;
    char *copy = arena_text(&cli->arena, (struct slice){text.data, SECOND});
    copy[DAY] = ' ';
    return (struct slice){copy, SECOND};
}

/* ---- flags */

int api_time_at(struct cli *cli, const char *flag, struct wall_us fallback, struct wall_us *out)
{
    enum { DAY_LEN = 10 };
    const char *text = cli_text(cli, flag, NULL);
    struct span_ms ago;
    struct clock clock = clock_system();
    *out = fallback;
    if (text == NULL)
        return EXIT_DONE;
    if (strlen(text) == DAY_LEN)
        text = arena_printf(&cli->arena, "%sT00:00:00Z", text);
    if (span_parse(slice_of(text), &ago) == ERR_OK)
        out->us = clock_wall(&clock).us - ago.ms * 1000;
    else if (wall_parse(slice_of(text), out) != ERR_OK)
        return cli_fail(cli, EXIT_USAGE,
                        "--%s wants a time: 2026-11-22, 2026-11-22T08:00:00Z, or how long ago as "
                        "24h; not \"%s\"",
                        flag, text);
    return EXIT_DONE;
}

int api_time_flag(struct cli *cli, const char *flag, const char **out_text)
{
    char formatted[TIME_TEXT_MAX];
    struct wall_us at;
    *out_text = NULL;
    int code = api_time_at(cli, flag, (struct wall_us){0}, &at);
    if (code != EXIT_DONE || !cli_has(cli, flag))
        return code;
    wall_format(at, formatted);
    *out_text = api_escape(cli, formatted);
    return EXIT_DONE;
}

/* ---- bodies */

void api_body_begin(struct api_body *body)
{
    buffer_init(&body->bytes, BODY_BYTES_MAX);
    json_writer_init(&body->writer, &body->bytes);
    json_begin_object(&body->writer);
}

int api_body_end(struct cli *cli, struct api_body *body)
{
    json_end_object(&body->writer);
    return json_writer_finish(&body->writer) == ERR_OK
               ? EXIT_DONE
               : cli_fail(cli, EXIT_USAGE, "what was given is too long for one request");
}

void api_body_deinit(struct api_body *body)
{
    buffer_deinit(&body->bytes);
}

void api_body_text_flag(struct cli *cli, struct api_body *body, const char *flag,
                        const char *member)
{
    if (cli_has(cli, flag))
        json_put_text(&body->writer, member, cli_text(cli, flag, ""));
}

/* ---- lists */

const char *api_words(struct cli *cli, struct json_value array, const char *none)
{
    struct buffer out;
    struct slice one;
    struct json_iterator it = json_iterate(array);
    buffer_init(&out, WORDS_BYTES_MAX);
    while (json_next(&it))
        if (json_to_string(it.value, WORD_MAX, &one, NULL) == ERR_OK)
            buffer_printf(&out, "%s%.*s", out.len > 0 ? "," : "", SLICE_ARG(one));
    const char *text = out.len > 0 ? arena_text(&cli->arena, buffer_slice(&out)) : none;
    buffer_deinit(&out);
    return text;
}

struct slice api_name_in(const struct api_list *list, struct slice id)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_is_equal(api_string(list->items[i], "id"), id))
            return api_string(list->items[i], "name");
    return id;
}
