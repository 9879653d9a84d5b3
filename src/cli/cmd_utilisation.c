/* How much of the sites was used: a chart, a table from the least used on, CSV. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cli/api.h"
#include "cli/chart.h"
#include "cli/commands.h"
#include "model/utilisation.h"
#include "model/words.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { CHART_BYTES_MAX = 1 << 16, PLAIN_COLUMNS = 80, POINTS_MAX = 1440, PERCENT_MAX = 100 };

static const struct flag FLAGS[] = {
    {"site", 0, FLAG_TEXT, "NAME", "of this site only"},
    {"pool", 0, FLAG_TEXT, "NAME", "of pools of this name only, as the table shows it"},
    {"from", 0, FLAG_TEXT, "TIME", "a day, a time, or how long ago; default 24h"},
    {"to", 0, FLAG_TEXT, "TIME", "until then; default now"},
    {"nodes", 0, FLAG_BOOL, NULL, "single nodes, of the last day"},
    {"by", 'b', FLAG_TEXT, "WHAT", "pool, site, operator or region; default pool"},
    {"points", 0, FLAG_NUMBER, "N", "steps in time; default: as wide as the chart"},
    {"threshold", 0, FLAG_NUMBER, "PCT", "name what is used less than this; default 30"},
    {"csv", 0, FLAG_BOOL, NULL, "a line for each pool and step, exact integrals"},
};

static double percent_of(struct json_value object, const char *name, double none)
{
    double value = none;
    return json_to_f64(json_object_get(object, name), -1, 1e9, &value, NULL) == ERR_OK ? value
                                                                                       : none;
}

/* ---- the chart: all pools of the selection that count in one unit */

struct total {
    double whole, owner, pool;
};

static void add_series(struct json_value item, int64_t from_us, int64_t step_us, bool is_devices,
                       struct total *totals, uint32_t count)
{
    struct json_iterator it = json_iterate(json_object_get(item, "series"));
    while (json_next(&it)) {
        struct wall_us at;
        if (wall_parse(api_string(it.value, "at"), &at) != ERR_OK)
            continue;
        int64_t index = (at.us - from_us) / step_us;
        if (index < 0 || index >= count)
            continue;
        struct total *total = &totals[index];
        total->whole += (double)api_u64(it.value, is_devices ? "device_ms" : "core_us");
        total->owner += (double)api_u64(it.value, is_devices ? "owner_device_ms" : "owner_core_us");
        total->pool += (double)api_u64(it.value, is_devices ? "pool_device_ms" : "pool_core_us");
    }
}

static bool is_of_devices(struct json_value item)
{
    return slice_is(api_string(item, "unit"), "devices");
}

static double share(double part, double whole)
{
    return part < whole ? 100 * part / whole : 100;
}

static void chart_print(struct cli *cli, struct json_value root, struct json_value items)
{
    struct wall_us from, to;
    struct buffer text;
    bool is_devices = false;
    int64_t step_us = (int64_t)api_u64(root, "step_ms") * 1000;
    if (wall_parse(api_string(root, "from"), &from) != ERR_OK ||
        wall_parse(api_string(root, "to"), &to) != ERR_OK || step_us <= 0)
        return;
    int64_t steps = (to.us - from.us + step_us - 1) / step_us;
    uint32_t count = steps < POINTS_MAX ? (uint32_t)steps : POINTS_MAX;
    struct total *totals = arena_array(&cli->arena, count + 1, sizeof(*totals));
    struct chart_point *points = arena_array(&cli->arena, count + 1, sizeof(*points));
    ASSERT(totals != NULL && points != NULL);
    struct json_iterator it = json_iterate(items);
    while (json_next(&it))
        is_devices = is_devices || is_of_devices(it.value);
    it = json_iterate(items);
    while (json_next(&it))
        if (is_of_devices(it.value) == is_devices)
            add_series(it.value, from.us, step_us, is_devices, totals, count);
    for (uint32_t i = 0; i < count; i++)
        if (totals[i].whole > 0)
            points[i] =
                (struct chart_point){true, share(totals[i].owner, totals[i].whole),
                                     share(totals[i].owner + totals[i].pool, totals[i].whole)};
    /* The time before anything was recorded is shown only where it was asked for. */
    uint32_t first = 0;
    while (!cli_has(cli, "from") && first + 1 < count && !points[first].is_known)
        first++;
    char begin[TIME_TEXT_MAX];
    wall_format((struct wall_us){from.us + first * step_us}, begin);
    bool is_plain = !cli->is_terminal;
    buffer_init(&text, CHART_BYTES_MAX);
    buffer_printf(&text, "%s held: %s by their owners, %s by the pool\n",
                  is_devices ? "accelerators" : "cores", is_plain ? "o" : "▒",
                  is_plain ? "#" : "█");
    chart_stacked(points + first, count - first, is_plain ? PLAIN_COLUMNS : cli->columns, is_plain,
                  &text);
    buffer_printf(&text, "       %s to %.*s\n\n", begin, SLICE_ARG(api_string(root, "to")));
    (void)cli_write(buffer_slice(&text));
    buffer_deinit(&text);
}

/* ---- the table */

static int by_use(const void *a, const void *b)
{
    double x = percent_of(*(const struct json_value *)a, "after_pct", PERCENT_MAX + 1);
    double y = percent_of(*(const struct json_value *)b, "after_pct", PERCENT_MAX + 1);
    if (x > y || x < y)
        return x > y ? 1 : -1;
    int order = slice_compare(api_string(*(const struct json_value *)a, "site"),
                              api_string(*(const struct json_value *)b, "site"));
    return order != 0 ? order
                      : slice_compare(api_string(*(const struct json_value *)a, "pool"),
                                      api_string(*(const struct json_value *)b, "pool"));
}

static void percent_cell(struct table *table, struct json_value item, const char *name)
{
    double value = percent_of(item, name, -1);
    if (value < 0)
        table_cell_text(table, "-");
    else
        table_cell_printf(table, "%.1f %%", value);
}

static void now_cell(struct table *table, struct json_value item)
{
    struct json_value now = json_object_get(item, "now");
    bool is_devices = is_of_devices(item);
    uint64_t whole = api_u64(now, is_devices ? "devices" : "cpu_milli");
    uint64_t held = api_u64(now, is_devices ? "owner_devices" : "owner_cpu_milli") +
                    api_u64(now, is_devices ? "pool_devices" : "pool_cpu_milli");
    if (whole == 0)
        table_cell_text(table, "-");
    else
        table_cell_printf(table, "%.1f %%", share((double)held, (double)whole));
}

/* What is known of why it is used so little. */
static void note_cell(struct cli *cli, struct table *table, const struct api_list *sites,
                      struct json_value item, double low)
{
    struct json_value site = {0};
    if (percent_of(item, "after_pct", PERCENT_MAX) >= low) {
        table_cell_text(table, "");
        return;
    }
    for (size_t i = 0; i < sites->count; i++)
        if (slice_is_equal(api_string(sites->items[i], "name"), api_string(item, "site")))
            site = sites->items[i];
    const char *why = "";
    if (json_type_of(site) != JSON_OBJECT)
        why = "; the site is gone";
    else if (!slice_is(api_string(site, "contact"), "ok"))
        why = "; the site is not in contact";
    else if (!slice_is(api_string(site, "state"), "active"))
        why = arena_printf(&cli->arena, "; the site is %.*s", SLICE_ARG(api_string(site, "state")));
    else if (!api_bool(site, "is_open"))
        why = "; it takes nothing now";
    table_cell_printf(table, "below %.0f %%%s", low, why != NULL ? why : "");
}

static void table_show(struct cli *cli, struct json_value *items, size_t count, bool is_nodes,
                       const struct api_list *sites)
{
    static const char *const HEADS[] = {"SITE",        "POOL",       "NODE", "BEFORE", "AFTER",
                                        "BUSY BEFORE", "BUSY AFTER", "SEEN", "NOW",    "NOTE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_LEFT,  TABLE_LEFT,  TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_LEFT};
    double low = (double)cli_number(cli, "threshold", UTIL_PERCENT_LOW);
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < count; i++) {
        table_cell(table, api_string(items[i], "site"));
        table_cell(table, api_string(items[i], "pool"));
        table_cell(table, is_nodes ? api_string(items[i], "node") : SLICE_LITERAL("all"));
        percent_cell(table, items[i], "before_pct");
        percent_cell(table, items[i], "after_pct");
        percent_cell(table, items[i], "busy_before_pct");
        percent_cell(table, items[i], "busy_after_pct");
        percent_cell(table, items[i], "observed_pct");
        now_cell(table, items[i]);
        note_cell(cli, table, sites, items[i], low);
    }
    table_print(table);
}

/* ---- by site, operator or region */

enum by { BY_POOL, BY_SITE, BY_OPERATOR, BY_REGION, BY_COUNT_ };
static const char *const BY_WORDS[BY_COUNT_] = {"pool", "site", "operator", "region"};

struct group {
    struct slice name;
    bool is_devices;
    struct util_sums sums;
};

static void sums_read(struct json_value object, struct util_sums *out)
{
    *out = (struct util_sums){
        .observed_ms = api_u64(object, "observed_ms"),
        .core_us = api_u64(object, "core_us"),
        .owner_core_us = api_u64(object, "owner_core_us"),
        .pool_core_us = api_u64(object, "pool_core_us"),
        .measured_core_us = api_u64(object, "measured_core_us"),
        .owner_busy_core_us = api_u64(object, "owner_busy_core_us"),
        .pool_busy_core_us = api_u64(object, "pool_busy_core_us"),
        .device_ms = api_u64(object, "device_ms"),
        .owner_device_ms = api_u64(object, "owner_device_ms"),
        .pool_device_ms = api_u64(object, "pool_device_ms"),
    };
}

static int by_group(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    double p = util_shares(&x->sums).after, q = util_shares(&y->sums).after;
    if (p > q || p < q)
        return p > q ? 1 : -1;
    int order = slice_compare(x->name, y->name);
    return order != 0 ? order : x->is_devices - y->is_devices;
}

static void share_cell(struct table *table, bool has, double value)
{
    if (has)
        table_cell_printf(table, "%.1f %%", value);
    else
        table_cell_text(table, "-");
}

static void groups_show(struct cli *cli, const struct json_value *items, size_t count, enum by by)
{
    const char *heads[] = {"", "COUNTED", "BEFORE", "AFTER", "BUSY BEFORE", "BUSY AFTER", "NOTE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_LEFT,  TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_LEFT};
    double low = (double)cli_number(cli, "threshold", UTIL_PERCENT_LOW);
    struct group *groups = arena_array(&cli->arena, count + 1, sizeof(*groups));
    size_t made = 0;
    ASSERT(groups != NULL);
    for (size_t i = 0; i < count; i++) {
        struct util_sums sums;
        struct slice name = api_string(items[i], BY_WORDS[by]);
        bool is_devices = is_of_devices(items[i]);
        size_t at = 0;
        while (at < made &&
               (groups[at].is_devices != is_devices || !slice_is_equal(groups[at].name, name)))
            at++;
        if (at == made)
            groups[made++] = (struct group){.name = name, .is_devices = is_devices};
        sums_read(json_object_get(items[i], "sums"), &sums);
        util_add(&groups[at].sums, &sums);
    }
    qsort(groups, made, sizeof(*groups), by_group);
    heads[0] = by == BY_SITE ? "SITE" : by == BY_OPERATOR ? "OPERATOR" : "REGION";
    struct table *table = table_create(cli, heads, ALIGNS, COUNT(heads));
    for (size_t i = 0; i < made; i++) {
        struct util_shares shares = util_shares(&groups[i].sums);
        table_cell(table, groups[i].name);
        table_cell_text(table, groups[i].is_devices ? "accelerators" : "cores");
        share_cell(table, shares.has_held, shares.before);
        share_cell(table, shares.has_held, shares.after);
        share_cell(table, shares.has_busy, shares.busy_before);
        share_cell(table, shares.has_busy, shares.busy_after);
        if (shares.has_held && shares.after < low)
            table_cell_printf(table, "below %.0f %%", low);
        else
            table_cell_text(table, "");
    }
    table_print(table);
}

/* ---- CSV */

static const char *const SUMS[] = {"observed_ms",       "core_us",          "owner_core_us",
                                   "pool_core_us",      "measured_core_us", "owner_busy_core_us",
                                   "pool_busy_core_us", "device_ms",        "owner_device_ms",
                                   "pool_device_ms"};

static void csv_print(struct cli *cli, struct json_value items)
{
    struct json_iterator it = json_iterate(items);
    printf("site,pool,node,at,before_pct,after_pct");
    for (size_t i = 0; i < COUNT(SUMS); i++)
        printf(",%s", SUMS[i]);
    printf("\n");
    while (json_next(&it)) {
        struct json_iterator step = json_iterate(json_object_get(it.value, "series"));
        while (json_next(&step)) {
            cli_csv(cli, api_string(it.value, "site"));
            putchar(',');
            cli_csv(cli, api_string(it.value, "pool"));
            putchar(',');
            cli_csv(cli, api_string(it.value, "node"));
            printf(",%.*s", SLICE_ARG(api_string(step.value, "at")));
            printf(",%.2f,%.2f", percent_of(step.value, "before_pct", 0),
                   percent_of(step.value, "after_pct", 0));
            for (size_t i = 0; i < COUNT(SUMS); i++)
                printf(",%llu", (unsigned long long)api_u64(step.value, SUMS[i]));
            printf("\n");
        }
    }
}

/* ---- */

static void total_print(struct json_value root, const char *member, const char *word)
{
    struct json_value total = json_object_get(root, member);
    if (json_type_of(total) == JSON_OBJECT)
        printf("%s: %.1f %% before, %.1f %% after\n", word, percent_of(total, "before_pct", 0),
               percent_of(total, "after_pct", 0));
}

static int words_print(struct cli *cli, struct json_value root, struct json_value list, enum by by)
{
    struct api_list sites = {0};
    size_t count = json_count(list);
    struct json_value *items = arena_array(&cli->arena, count + 1, sizeof(*items));
    ASSERT(items != NULL);
    struct json_iterator it = json_iterate(list);
    while (json_next(&it))
        items[it.index] = it.value;
    if (count == 0) {
        cli_note(cli, "nothing has been recorded of what you may see; a site's first figures come "
                      "within half a minute");
        return EXIT_DONE;
    }
    int code = api_list(cli, "/v1/sites", 0, &sites);
    if (code != EXIT_DONE)
        return code;
    qsort(items, count, sizeof(*items), by_use);
    if (!cli_has(cli, "nodes"))
        chart_print(cli, root, list);
    total_print(root, "cores", "cores");
    total_print(root, "devices", "accelerators");
    printf("\n");
    if (by == BY_POOL)
        table_show(cli, items, count, cli_has(cli, "nodes"), &sites);
    else
        groups_show(cli, items, count, by);
    return EXIT_DONE;
}

static int utilisation(struct cli *cli)
{
    struct api_reply reply;
    const char *from, *to, *site = cli_text(cli, "site", ""), *pool = cli_text(cli, "pool", "");
    uint64_t wide = cli->is_terminal && cli->columns > CHART_MARGIN + CHART_COLUMNS_MIN
                        ? cli->columns - CHART_MARGIN
                        : PLAIN_COLUMNS - CHART_MARGIN;
    uint64_t points =
        cli_number(cli, "points", wide < CHART_COLUMNS_MAX ? wide : CHART_COLUMNS_MAX);
    if (points == 0 || points > POINTS_MAX)
        return cli_fail(cli, EXIT_USAGE, "--points wants a number from 1 to %d", POINTS_MAX);
    unsigned by = BY_POOL;
    if (words_find(BY_WORDS, BY_COUNT_, slice_of(cli_text(cli, "by", "pool")), &by) != ERR_OK)
        return cli_fail(cli, EXIT_USAGE, "--by wants pool, site, operator or region");
    if (cli_number(cli, "threshold", 0) > PERCENT_MAX)
        return cli_fail(cli, EXIT_USAGE, "--threshold wants a percentage, 0 to 100");
    int code = api_time_flag(cli, "from", &from);
    if (code == EXIT_DONE)
        code = api_time_flag(cli, "to", &to);
    if (code == EXIT_DONE)
        code = api_call(
            cli, "GET",
            api_target(cli, "/v1/utilisation?points=%llu%s%s%s%s%s%s%s%s%s",
                       (unsigned long long)points, cli_has(cli, "nodes") ? "&nodes=1" : "",
                       from != NULL ? "&from=" : "", from != NULL ? from : "",
                       to != NULL ? "&to=" : "", to != NULL ? to : "", *site ? "&site=" : "",
                       api_escape(cli, site), *pool ? "&pool=" : "", api_escape(cli, pool)),
            (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    struct json_value items = json_object_get(reply.root, "items");
    if (cli->is_json)
        code = api_print(&reply);
    else if (cli_has(cli, "csv"))
        csv_print(cli, items);
    else
        code = words_print(cli, reply.root, items, (enum by)by);
    if (api_bool(reply.root, "has_more"))
        cli_note(cli, "there is more; narrow the time, or ask for one site");
    return code;
}

const struct command COMMAND_UTILISATION = {
    .name = "utilisation",
    .group = "Records",
    .summary = "how much of the sites was used, before and after pooling",
    .usage = "[flags]",
    .details =
        "BEFORE is what the owner held, as it would stand without the pool; AFTER what owner and "
        "pool held\ntogether; of accelerators where a pool has some, else of cores. BUSY is "
        "measured, - where no engine\nmeasures it (accelerators: held only). SEEN is how much of "
        "the time the site was heard; the rest\ncounts nowhere. The least used comes first.\n\n"
        "Rows of a minute are kept for a day, of a quarter of an hour for 30 days, of an hour for "
        "two years.\n\n"
        "Examples:\n  lq utilisation\n  lq utilisation --site zhongwei --from 30d\n"
        "  lq utilisation --by region --from 7d\n"
        "  lq utilisation --from 2026-11-01 --to 2026-12-01 --csv > november.csv",
    .flags = FLAGS,
    .flag_count = COUNT(FLAGS),
    .run = utilisation};
