/* What decisions depend on: regions, links, policy. */
#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Flags that stand for members of the same meaning: number or text as it was given. */
struct member_flag {
    const char *flag, *member;
};

/* The standing object with the flags' changes; members of `skip` are left out. */
static void members_write(struct cli *cli, struct api_body *body, struct json_value standing,
                          const struct member_flag *members, size_t count, const char *skip)
{
    struct json_iterator it = json_iterate(standing);
    while (json_next(&it)) {
        bool is_changed = skip != NULL && slice_is(it.key, skip);
        for (size_t i = 0; i < count && !is_changed; i++)
            is_changed = slice_is(it.key, members[i].member) && cli_has(cli, members[i].flag);
        if (!is_changed) {
            json_key_slice(&body->writer, it.key);
            json_copy(&body->writer, it.value);
        }
    }
    for (size_t i = 0; i < count; i++)
        if (cli_has(cli, members[i].flag)) {
            const struct flag_value *value = cli_flag(cli, members[i].flag);
            if (value->number > 0)
                json_put_u64(&body->writer, members[i].member, value->number);
            else
                json_put_text(&body->writer, members[i].member, value->text);
        }
}

/* ---- regions */

static const struct flag REGION_FLAGS[] = {
    {"jurisdiction", 'j', FLAG_TEXT, "CODE", "in law; required for a new one"},
    {"role", 0, FLAG_TEXT, "ROLE", "train, serve or any"},
    {"title", 0, FLAG_TEXT, "TEXT", "name for people"},
    {"lat", 0, FLAG_TEXT, "DEGREES", "latitude; with --lon"},
    {"lon", 0, FLAG_TEXT, "DEGREES", "longitude"},
    {"price", 0, FLAG_TEXT, "AMOUNT", "of a kWh"},
    {"price-source", 0, FLAG_TEXT, "TEXT", "where the price is from; \"example...\": made up"},
    {"carbon", 0, FLAG_TEXT, "GRAMS", "of CO2 a kWh"},
    {"carbon-source", 0, FLAG_TEXT, "TEXT", "where that is from"},
    {"pue", 0, FLAG_TEXT, "RATIO", "power usage effectiveness, as 1.15"},
    {"pue-source", 0, FLAG_TEXT, "TEXT", "where that is from"},
};
static const struct member_flag REGION_MEMBERS[] = {
    {"jurisdiction", "jurisdiction"},
    {"role", "role"},
    {"title", "title"},
    {"lat", "lat"},
    {"lon", "lon"},
    {"price", "price_per_kwh"},
    {"price-source", "price_source"},
    {"carbon", "carbon_g_per_kwh"},
    {"carbon-source", "carbon_source"},
    {"pue", "pue"},
    {"pue-source", "pue_source"},
};

static int regions_get(struct cli *cli, const char *name, struct json_value *out)
{
    struct api_list list;
    int code = api_list(cli, "/v1/regions", 0, &list);
    *out = (struct json_value){0};
    for (size_t i = 0; code == EXIT_DONE && i < list.count; i++)
        if (slice_is(api_string(list.items[i], "name"), name))
            *out = list.items[i];
    return code;
}

static int region_set(struct cli *cli)
{
    struct api_body body;
    struct api_reply reply;
    struct json_value standing;
    int code = regions_get(cli, cli->positional[0], &standing);
    if (code != EXIT_DONE)
        return code;
    api_body_begin(&body);
    json_put_text(&body.writer, "name", cli->positional[0]);
    members_write(cli, &body, standing, REGION_MEMBERS, COUNT(REGION_MEMBERS), "name");
    code = api_body_end(cli, &body);
    if (code == EXIT_DONE)
        code = api_put(cli, api_target(cli, "/v1/regions/%s", api_escape(cli, cli->positional[0])),
                       buffer_slice(&body.bytes), NULL, &reply);
    api_body_deinit(&body);
    if (code == EXIT_DONE && cli->is_json)
        return api_print(&reply);
    if (code == EXIT_DONE)
        printf("%s: set\n", cli->positional[0]);
    return code;
}

static const char *figure(struct cli *cli, struct json_value item, const char *name,
                          const char *is_example)
{
    enum { FIGURE_MAX = 64 };
    struct slice text = {0};
    struct json_value value = json_object_get(item, name);
    if (json_is_missing(value) || json_is_null(value) ||
        json_to_text(value, FIGURE_MAX, &cli->arena, &text, NULL) != ERR_OK)
        return "-";
    return arena_printf(&cli->arena, "%.*s%s", SLICE_ARG(text),
                        is_example != NULL && api_bool(item, is_example) ? " (example)" : "");
}

static int region_list(struct cli *cli)
{
    static const char *const HEADS[] = {"REGION",       "ROLE", "JURISDICTION", "PRICE/KWH",
                                        "CARBON G/KWH", "PUE",  "TITLE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_LEFT,  TABLE_LEFT, TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_LEFT};
    struct api_list list;
    int code = api_list(cli, "/v1/regions", 0, &list);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &list);
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < list.count; i++) {
        struct json_value item = list.items[i];
        struct slice role = api_string(item, "role");
        table_cell(table, api_string(item, "name"));
        table_cell(table, role.len > 0 ? role : SLICE_LITERAL("any"));
        table_cell(table, api_string(item, "jurisdiction"));
        table_cell_text(table, figure(cli, item, "price_per_kwh", "price_is_example"));
        table_cell_text(table, figure(cli, item, "carbon_g_per_kwh", "carbon_is_example"));
        table_cell_text(table, figure(cli, item, "pue", "pue_is_example"));
        table_cell(table, api_string(item, "title"));
    }
    table_print(table);
    return EXIT_DONE;
}

const struct command COMMAND_REGION_LIST = {.name = "region list",
                                            .group = "Network",
                                            .summary = "regions with tariff and carbon",
                                            .usage = "",
                                            .details = "Example:\n  lq region list",
                                            .run = region_list};
const struct command COMMAND_REGION_SET = {
    .name = "region set",
    .group = "Network",
    .summary = "make or change a region",
    .usage = "NAME [flags]",
    .details = "What is not named stays.\n\n"
               "Example:\n  lq region set ningxia --jurisdiction CN --role train --price 0.36 "
               "--price-source \"a published tariff\"",
    .flags = REGION_FLAGS,
    .flag_count = COUNT(REGION_FLAGS),
    .positional_min = 1,
    .positional_max = 1,
    .run = region_set};

/* ---- links */

static const struct flag LINK_FLAGS[] = {
    {"rtt-ms", 0, FLAG_TEXT, "MS", "round trip in milliseconds, as 21.9 (required)"},
    {"source", 0, FLAG_TEXT, "WORD", "measured, estimate or example; default estimate"},
    {"bandwidth-mbps", 0, FLAG_NUMBER, "N", "megabits a second"},
    {"egress-per-gb", 0, FLAG_TEXT, "AMOUNT", "what a GB over it costs"},
};
static const struct member_flag LINK_MEMBERS[] = {
    {"rtt-ms", "rtt_ms"}, {"bandwidth-mbps", "bandwidth_mbps"}, {"egress-per-gb", "egress_per_gb"}};

static int link_set(struct cli *cli)
{
    struct api_body body;
    struct api_reply reply;
    const char *a = cli->positional[0], *b = cli->positional[1];
    if (!cli_has(cli, "rtt-ms"))
        return cli_fail(cli, EXIT_USAGE, "say the round trip: --rtt-ms MS");
    api_body_begin(&body);
    json_put_text(&body.writer, "a", a);
    json_put_text(&body.writer, "b", b);
    json_put_text(&body.writer, "source", cli_text(cli, "source", "estimate"));
    members_write(cli, &body, (struct json_value){0}, LINK_MEMBERS, COUNT(LINK_MEMBERS), NULL);
    int code = api_body_end(cli, &body);
    if (code == EXIT_DONE)
        code =
            api_put(cli, api_target(cli, "/v1/links/%s/%s", api_escape(cli, a), api_escape(cli, b)),
                    buffer_slice(&body.bytes), NULL, &reply);
    api_body_deinit(&body);
    if (code == EXIT_DONE && cli->is_json)
        return api_print(&reply);
    if (code == EXIT_DONE)
        printf("%s - %s: set\n", a, b);
    return code;
}

static int link_list(struct cli *cli)
{
    static const char *const HEADS[] = {"A", "B", "RTT MS", "SOURCE", "MBIT/S", "EGRESS/GB"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_LEFT,  TABLE_RIGHT,
                                              TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT};
    struct api_list list;
    int code = api_list(cli, "/v1/links", 0, &list);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &list);
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < list.count; i++) {
        struct json_value item = list.items[i];
        table_cell(table, api_string(item, "a"));
        table_cell(table, api_string(item, "b"));
        table_cell_text(table, figure(cli, item, "rtt_ms", NULL));
        table_cell(table, api_string(item, "source"));
        table_cell_text(table, figure(cli, item, "bandwidth_mbps", NULL));
        table_cell_text(table, figure(cli, item, "egress_per_gb", NULL));
    }
    table_print(table);
    return EXIT_DONE;
}

const struct command COMMAND_LINK_LIST = {.name = "link list",
                                          .group = "Network",
                                          .summary = "links between sites and between regions",
                                          .usage = "",
                                          .details = "Example:\n  lq link list",
                                          .run = link_list};
const struct command COMMAND_LINK_SET = {
    .name = "link set",
    .group = "Network",
    .summary = "make or change a link of two sites or two regions",
    .usage = "A B --rtt-ms MS [flags]",
    .details =
        "It counts both ways.\n\nExample:\n  lq link set wuhu zhongwei --rtt-ms 21.9 --source "
        "measured",
    .flags = LINK_FLAGS,
    .flag_count = COUNT(LINK_FLAGS),
    .positional_min = 2,
    .positional_max = 2,
    .run = link_set};

/* ---- policy */

static const struct flag POLICY_FLAGS[] = {
    {"lease-floor", 0, FLAG_TEXT, "TIME", "shortest lease that a job may ask for"},
    {"start-limit", 0, FLAG_TEXT, "TIME", "an offered attempt not running by then is taken back"},
    {"kill-limit", 0, FLAG_TEXT, "TIME", "longest that a kill takes, grace not counted"},
    {"contact-limit", 0, FLAG_TEXT, "TIME", "silence after which a site counts as lost"},
    {"default-time-limit", 0, FLAG_TEXT, "TIME", "of jobs that name none"},
    {"usage-every", 0, FLAG_TEXT, "TIME", "how often running work is metered"},
    {"carbon-price-per-tonne", 0, FLAG_TEXT, "AMOUNT", "what a tonne of CO2 counts in placement"},
    {"egress-per-gb", 0, FLAG_TEXT, "AMOUNT", "where a link says nothing"},
    {"clock-rate-ppm", 0, FLAG_NUMBER, "N", "how far clocks may run off, in millionths"},
    {"events-kept-max", 0, FLAG_NUMBER, "N", "events kept for watchers"},
};
static const struct member_flag POLICY_MEMBERS[] = {
    {"lease-floor", "lease_floor"},
    {"start-limit", "start_limit"},
    {"kill-limit", "kill_limit"},
    {"contact-limit", "contact_limit"},
    {"default-time-limit", "default_time_limit"},
    {"usage-every", "usage_every"},
    {"carbon-price-per-tonne", "carbon_price_per_tonne"},
    {"egress-per-gb", "egress_per_gb"},
    {"clock-rate-ppm", "clock_rate_ppm"},
    {"events-kept-max", "events_kept_max"},
};

static int policy_print(struct cli *cli, const struct api_reply *reply)
{
    if (cli->is_json)
        return api_print(reply);
    struct json_iterator it = json_iterate(reply->root);
    while (json_next(&it)) {
        if (json_type_of(it.value) == JSON_OBJECT) {
            struct json_iterator inner = json_iterate(it.value);
            while (json_next(&inner))
                printf("%.*s.%-*.*s %s\n", SLICE_ARG(it.key), (int)(23 - it.key.len),
                       SLICE_ARG(inner.key),
                       figure(cli, it.value, arena_text(&cli->arena, inner.key), NULL));
        } else {
            printf("%-24.*s %s\n", SLICE_ARG(it.key),
                   figure(cli, reply->root, arena_text(&cli->arena, it.key), NULL));
        }
    }
    return EXIT_DONE;
}

static int policy_show(struct cli *cli)
{
    struct api_reply reply;
    int code = api_call(cli, "GET", "/v1/policy", (struct slice){0}, &reply);
    return code == EXIT_DONE ? policy_print(cli, &reply) : code;
}

static int policy_set(struct cli *cli)
{
    struct api_body body;
    struct api_reply reply;
    int code = api_call(cli, "GET", "/v1/policy", (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    api_body_begin(&body);
    members_write(cli, &body, reply.root, POLICY_MEMBERS, COUNT(POLICY_MEMBERS), NULL);
    code = api_body_end(cli, &body);
    if (code == EXIT_DONE)
        code = api_put(cli, "/v1/policy", buffer_slice(&body.bytes), reply.etag, &reply);
    api_body_deinit(&body);
    return code == EXIT_DONE ? policy_print(cli, &reply) : code;
}

const struct command COMMAND_POLICY_SHOW = {.name = "policy show",
                                            .group = "Network",
                                            .summary = "settings that decisions depend on",
                                            .usage = "",
                                            .details = "Example:\n  lq policy show",
                                            .run = policy_show};
const struct command COMMAND_POLICY_SET = {
    .name = "policy set",
    .group = "Network",
    .summary = "change them",
    .usage = "[flags]",
    .details = "What is not named stays.\n\n"
               "Example:\n  lq policy set --lease-floor 10m --contact-limit 45s",
    .flags = POLICY_FLAGS,
    .flag_count = COUNT(POLICY_FLAGS),
    .run = policy_set};
