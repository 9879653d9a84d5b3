/* lq reclaims: what owners waited for machines that pool work held. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cli/api.h"
#include "cli/commands.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { RECLAIMS_SHOWN_DEFAULT = 100 };

static const struct flag FLAGS[] = {
    {"site", 's', FLAG_TEXT, "NAME", "at this site"},
    {"breaches", 'b', FLAG_BOOL, NULL, "only those that took longer than was promised"},
    {"limit", 'n', FLAG_NUMBER, "N", "at most so many, the newest; default 100; 0: all"},
};

static int span_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static const char *span_cell(struct cli *cli, uint64_t ms)
{
    return arena_printf(&cli->arena, "%llu.%llu s", (unsigned long long)(ms / 1000),
                        (unsigned long long)(ms % 1000 / 100));
}

/* Keeps the breaches only. */
static void keep_breaches(struct api_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (api_bool(list->items[i], "is_breach"))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

/* The smallest value that at least `percent` of them do not pass. */
static uint64_t percentile(const uint64_t *sorted, size_t count, unsigned percent)
{
    size_t rank = (count * percent + 99) / 100;
    return sorted[rank == 0 ? 0 : rank - 1];
}

static void sum_up(struct cli *cli, const struct api_list *list)
{
    uint64_t *held = arena_array(&cli->arena, list->count + 1, sizeof(*held));
    size_t breaches = 0;
    ASSERT(held != NULL);
    if (list->count == 0)
        return;
    for (size_t i = 0; i < list->count; i++) {
        held[i] = api_u64(list->items[i], "held_ms");
        breaches += api_bool(list->items[i], "is_breach");
    }
    qsort(held, list->count, sizeof(*held), span_compare);
    printf("%zu reclaims, %zu over the promise; pool work held the owner's nodes %s (median), %s "
           "(99 %%), %s (most)\n",
           list->count, breaches, span_cell(cli, percentile(held, list->count, 50)),
           span_cell(cli, percentile(held, list->count, 99)),
           span_cell(cli, held[list->count - 1]));
}

static void print(struct cli *cli, const struct api_list *list)
{
    static const char *const HEADS[] = {"SITE", "OWNER'S WORK", "AT",       "WAITED",
                                        "HELD", "PROMISE",      "ATTEMPTS", ""};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_LEFT,  TABLE_LEFT,  TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT, TABLE_LEFT};
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < list->count; i++) {
        struct json_value item = list->items[i];
        uint64_t promise = api_u64(item, "promise_ms");
        table_cell(table, api_string(item, "site"));
        table_cell(table, api_string(item, "name"));
        table_cell(table, api_time(cli, item, "at"));
        table_cell_text(table, span_cell(cli, api_u64(item, "wait_ms")));
        table_cell_text(table, span_cell(cli, api_u64(item, "held_ms")));
        table_cell_text(table, promise > 0 ? span_cell(cli, promise) : "-");
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(item, "attempts"));
        table_cell_text(table, api_bool(item, "is_breach") ? "BREACH"
                               : api_bool(item, "is_open") ? "waits"
                                                           : "");
    }
    table_print(table);
}

static int reclaims(struct cli *cli)
{
    struct api_list list;
    const char *site = cli_text(cli, "site", "");
    int code = api_list(
        cli, api_target(cli, "/v1/reclaims%s%s", *site ? "?site=" : "", api_escape(cli, site)),
        cli_number(cli, "limit", RECLAIMS_SHOWN_DEFAULT), &list);
    if (code != EXIT_DONE)
        return code;
    if (cli_has(cli, "breaches"))
        keep_breaches(&list);
    if (cli->is_json)
        return api_print_list(cli, &list);
    print(cli, &list);
    sum_up(cli, &list);
    if (list.has_more)
        cli_note(cli, "there are more; name a site or raise --limit (0: all)");
    return EXIT_DONE;
}

const struct command COMMAND_RECLAIMS = {
    .name = "reclaims",
    .group = "Records",
    .summary = "what owners waited for machines that pool work held",
    .usage = "[flags]",
    .details =
        "WAITED is from the moment when the owner's work could have begun to its start. HELD is "
        "the "
        "part of it in which pool work held what it could use; that is what the promise bounds.\n\n"
        "Examples:\n  lq reclaims\n  lq reclaims --site campus --breaches --json",
    .flags = FLAGS,
    .flag_count = COUNT(FLAGS),
    .run = reclaims};
