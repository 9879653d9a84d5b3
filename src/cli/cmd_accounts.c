/* Who uses the network: tenants and users. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "model/account.h"

static void number_flag(struct cli *cli, struct api_body *body, const char *flag,
                        const char *member)
{
    if (cli_has(cli, flag))
        json_put_u64(&body->writer, member, cli_number(cli, flag, 0));
}

static int own_tenant(struct cli *cli, struct slice *out_id)
{
    struct api_reply reply;
    int code = api_call(cli, "GET", "/v1/whoami", (struct slice){0}, &reply);
    if (code == EXIT_DONE)
        *out_id = api_string(reply.root, "tenant");
    return code;
}

/* A tenant's id by its name or id. */
static int tenant_id(struct cli *cli, const char *name, struct slice *out_id)
{
    struct api_reply reply;
    int code = api_call(cli, "GET", api_target(cli, "/v1/tenants/%s", api_escape(cli, name)),
                        (struct slice){0}, &reply);
    if (code == EXIT_DONE)
        *out_id = api_string(reply.root, "id");
    return code;
}

/* ---- tenants */

#define TENANT_FLAGS_COMMON                                                                        \
    {"title", 0, FLAG_TEXT, "TEXT", "name for people"},                                            \
        {"weight", 0, FLAG_NUMBER, "N", "share beside its siblings; default 1"},                   \
        {"cpus", 0, FLAG_TEXT, "N", "most cores at a time, of it and all below"},                  \
        {"accelerators", 0, FLAG_NUMBER, "N", "most accelerators at a time"},                      \
        {"jobs-pending", 0, FLAG_NUMBER, "N", "most jobs that wait"},                              \
        {"storage", 0, FLAG_TEXT, "SIZE", "most content kept, as 500GiB"},                         \
    {                                                                                              \
        "time-limit", 0, FLAG_TEXT, "TIME", "of jobs that name none"                               \
    }

static const struct flag TENANT_CREATE_FLAGS[] = {
    {"parent", 0, FLAG_TEXT, "TENANT", "below which; default: your own"}, TENANT_FLAGS_COMMON};
static const struct flag TENANT_SET_FLAGS[] = {
    {"no-limit", 0, FLAG_LIST, "NAME",
     "take a limit away: cpus, accelerators, jobs-pending, storage, time-limit; repeat"},
    TENANT_FLAGS_COMMON};

static const struct {
    const char *flag, *member;
} QUOTAS[] = {{"cpus", "cpus"},
              {"accelerators", "accelerators"},
              {"jobs-pending", "jobs_pending"},
              {"storage", "storage"}};
enum { QUOTA_COUNT = sizeof(QUOTAS) / sizeof(QUOTAS[0]) };

static bool is_unlimited(struct cli *cli, const char *flag)
{
    if (strcmp(cli->command->name, "tenant set") != 0)
        return false;
    const struct flag_value *list = cli_flag(cli, "no-limit");
    for (uint32_t i = 0; i < list->list_count; i++)
        if (strcmp(list->list[i], flag) == 0)
            return true;
    return false;
}

/* The standing quota with the flags' changes. */
static void quota_write(struct cli *cli, struct api_body *body, struct json_value standing)
{
    json_key(&body->writer, "quota");
    json_begin_object(&body->writer);
    for (int i = 0; i < QUOTA_COUNT; i++) {
        struct json_value value = json_object_get(standing, QUOTAS[i].member);
        const struct flag_value *flag = cli_flag(cli, QUOTAS[i].flag);
        if (is_unlimited(cli, QUOTAS[i].flag))
            continue;
        if (flag->is_set && flag->number > 0)
            json_put_u64(&body->writer, QUOTAS[i].member, flag->number);
        else if (flag->is_set)
            json_put_text(&body->writer, QUOTAS[i].member, flag->text);
        else if (!json_is_missing(value)) {
            json_key(&body->writer, QUOTAS[i].member);
            json_copy(&body->writer, value);
        }
    }
    json_end_object(&body->writer);
}

static const char *cell_of(struct cli *cli, struct json_value value)
{
    struct slice text;
    if (json_is_missing(value) || json_is_null(value) ||
        json_to_text(value, NAME_MAX, &cli->arena, &text, NULL) != ERR_OK)
        return "-";
    return arena_text(&cli->arena, text);
}

static void tenant_row(struct cli *cli, struct table *table, struct json_value tenant, int depth)
{
    struct json_value quota = json_object_get(tenant, "quota");
    table_cell_printf(table, "%*s%.*s", 2 * depth, "", SLICE_ARG(api_string(tenant, "name")));
    table_cell_printf(table, "%llu", (unsigned long long)api_u64(tenant, "weight"));
    for (int i = 0; i < QUOTA_COUNT; i++)
        table_cell_text(table, cell_of(cli, json_object_get(quota, QUOTAS[i].member)));
    table_cell_text(table, cell_of(cli, json_object_get(tenant, "default_time_limit")));
    table_cell(table, api_string(tenant, "title"));
}

/* A child is printed under its parent; one whose parent is not shown to us stands at the left. */
static void tenant_rows(struct cli *cli, struct table *table, const struct api_list *list)
{
    enum { DEPTH_MAX = 32 };
    size_t next[DEPTH_MAX] = {0};
    struct slice above[DEPTH_MAX] = {{0}};
    int depth = 0;
    while (depth >= 0) {
        size_t i = next[depth];
        for (; i < list->count; i++) {
            struct slice parent = api_string(list->items[i], "parent");
            bool is_shown = false;
            for (size_t k = 0; k < list->count && !is_shown; k++)
                is_shown = slice_is_equal(api_string(list->items[k], "id"), parent);
            if (depth == 0 ? !is_shown : slice_is_equal(parent, above[depth]))
                break;
        }
        if (i == list->count) {
            depth--;
            continue;
        }
        next[depth] = i + 1;
        tenant_row(cli, table, list->items[i], depth);
        if (depth + 1 < DEPTH_MAX) {
            depth++;
            above[depth] = api_string(list->items[i], "id");
            next[depth] = 0;
        }
    }
}

static struct table *tenant_table(struct cli *cli)
{
    static const char *const HEADS[] = {"TENANT",  "WEIGHT",  "CORES",      "ACCEL",
                                        "PENDING", "STORAGE", "TIME LIMIT", "TITLE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT, TABLE_LEFT};
    return table_create(cli, HEADS, ALIGNS, sizeof(HEADS) / sizeof(HEADS[0]));
}

static int tenant_list(struct cli *cli)
{
    struct api_list list;
    int code = api_list(cli, "/v1/tenants", 0, &list);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &list);
    struct table *table = tenant_table(cli);
    tenant_rows(cli, table, &list);
    table_print(table);
    return EXIT_DONE;
}

static int tenant_show_reply(struct cli *cli, const struct api_reply *reply)
{
    if (cli->is_json)
        return api_print(reply);
    struct table *table = tenant_table(cli);
    tenant_row(cli, table, reply->root, 0);
    table_print(table);
    return EXIT_DONE;
}

static int tenant_show(struct cli *cli)
{
    struct api_reply reply;
    int code =
        api_call(cli, "GET", api_target(cli, "/v1/tenants/%s", api_escape(cli, cli->positional[0])),
                 (struct slice){0}, &reply);
    return code == EXIT_DONE ? tenant_show_reply(cli, &reply) : code;
}

static int tenant_create(struct cli *cli)
{
    struct api_body body;
    struct api_reply reply;
    struct slice parent = {0};
    int code = cli_has(cli, "parent") ? tenant_id(cli, cli_text(cli, "parent", ""), &parent)
                                      : own_tenant(cli, &parent);
    if (code != EXIT_DONE)
        return code;
    api_body_begin(&body);
    json_put_text(&body.writer, "name", cli->positional[0]);
    if (parent.len > 0)
        json_put_string(&body.writer, "parent", parent);
    api_body_text_flag(cli, &body, "title", "title");
    number_flag(cli, &body, "weight", "weight");
    api_body_text_flag(cli, &body, "time-limit", "default_time_limit");
    quota_write(cli, &body, (struct json_value){0});
    code = api_body_end(cli, &body);
    if (code == EXIT_DONE)
        code = api_post_once(cli, "/v1/tenants", buffer_slice(&body.bytes), &reply);
    api_body_deinit(&body);
    return code == EXIT_DONE ? tenant_show_reply(cli, &reply) : code;
}

static int tenant_set(struct cli *cli)
{
    static const char *const KEPT[] = {"name", "title", "parent", "weight", "default_time_limit"};
    static const char *const FLAGS[] = {NULL, "title", NULL, "weight", "time-limit"};
    struct api_body body;
    struct api_reply reply;
    const char *target = api_target(cli, "/v1/tenants/%s", api_escape(cli, cli->positional[0]));
    int code = api_call(cli, "GET", target, (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    api_body_begin(&body);
    for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++) {
        struct json_value value = json_object_get(reply.root, KEPT[i]);
        if (FLAGS[i] != NULL && cli_has(cli, FLAGS[i])) {
            if (cli_flag(cli, FLAGS[i])->number > 0)
                number_flag(cli, &body, FLAGS[i], KEPT[i]);
            else
                api_body_text_flag(cli, &body, FLAGS[i], KEPT[i]);
        } else if (!json_is_missing(value) && !(FLAGS[i] != NULL && is_unlimited(cli, FLAGS[i]))) {
            json_key(&body.writer, KEPT[i]);
            json_copy(&body.writer, value);
        }
    }
    quota_write(cli, &body, json_object_get(reply.root, "quota"));
    code = api_body_end(cli, &body);
    if (code == EXIT_DONE)
        code = api_put(cli, target, buffer_slice(&body.bytes), reply.etag, &reply);
    api_body_deinit(&body);
    return code == EXIT_DONE ? tenant_show_reply(cli, &reply) : code;
}

static int tenant_delete(struct cli *cli)
{
    struct api_reply reply;
    if (!cli_confirm(cli, arena_printf(&cli->arena, "Delete the tenant %s?", cli->positional[0])))
        return EXIT_FAILED;
    return api_call(cli, "DELETE",
                    api_target(cli, "/v1/tenants/%s", api_escape(cli, cli->positional[0])),
                    (struct slice){0}, &reply);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct command COMMAND_TENANT_LIST = {.name = "tenant list",
                                            .group = "People",
                                            .summary = "tenants and their limits, as a tree",
                                            .usage = "",
                                            .details = "Example:\n  lq tenant list",
                                            .run = tenant_list};
const struct command COMMAND_TENANT_SHOW = {.name = "tenant show",
                                            .group = "People",
                                            .summary = "one tenant",
                                            .usage = "TENANT",
                                            .details = "Example:\n  lq tenant show research --json",
                                            .positional_min = 1,
                                            .positional_max = 1,
                                            .run = tenant_show};
const struct command COMMAND_TENANT_CREATE = {
    .name = "tenant create",
    .group = "People",
    .summary = "make a tenant",
    .usage = "NAME [flags]",
    .details = "Example:\n  lq tenant create research --parent demo --weight 2 --cpus 16",
    .flags = TENANT_CREATE_FLAGS,
    .flag_count = COUNT(TENANT_CREATE_FLAGS),
    .positional_min = 1,
    .positional_max = 1,
    .run = tenant_create};
const struct command COMMAND_TENANT_SET = {
    .name = "tenant set",
    .group = "People",
    .summary = "change a tenant's limits",
    .usage = "TENANT [flags]",
    .details = "What is not named stays. A tenant's limits are its parent's to set.\n\n"
               "Examples:\n  lq tenant set research --cpus 32\n"
               "  lq tenant set research --no-limit cpus --time-limit 2h",
    .flags = TENANT_SET_FLAGS,
    .flag_count = COUNT(TENANT_SET_FLAGS),
    .positional_min = 1,
    .positional_max = 1,
    .run = tenant_set};
const struct command COMMAND_TENANT_DELETE = {.name = "tenant delete",
                                              .group = "People",
                                              .summary = "remove a tenant without work",
                                              .usage = "TENANT",
                                              .details = "Example:\n  lq tenant delete research -y",
                                              .positional_min = 1,
                                              .positional_max = 1,
                                              .run = tenant_delete};

/* ---- users */

static const struct flag USER_CREATE_FLAGS[] = {
    {"tenant", 't', FLAG_TEXT, "NAME", "the user's tenant; default: your own"},
    {"no-tenant", 0, FLAG_BOOL, NULL, "of none (staff of an operator or of the network)"},
    {"role", 'r', FLAG_LIST, "ROLE",
     "member, viewer, operator, auditor or admin; repeat; default member"},
    {"operator", 'o', FLAG_TEXT, "NAME", "whose sites, for the role operator"},
    {"title", 0, FLAG_TEXT, "TEXT", "full name"},
};

static int user_create(struct cli *cli)
{
    struct api_body body;
    struct api_reply reply;
    struct slice tenant = {0};
    const struct flag_value *roles = cli_flag(cli, "role");
    int code = EXIT_DONE;
    if (cli_has(cli, "tenant"))
        code = tenant_id(cli, cli_text(cli, "tenant", ""), &tenant);
    else if (!cli_has(cli, "no-tenant"))
        code = own_tenant(cli, &tenant);
    if (code != EXIT_DONE)
        return code;
    api_body_begin(&body);
    json_put_text(&body.writer, "name", cli->positional[0]);
    api_body_text_flag(cli, &body, "title", "title");
    if (tenant.len > 0)
        json_put_string(&body.writer, "tenant", tenant);
    api_body_text_flag(cli, &body, "operator", "operator");
    json_key(&body.writer, "roles");
    json_begin_array(&body.writer);
    for (uint32_t i = 0; i < roles->list_count; i++)
        json_text(&body.writer, roles->list[i]);
    if (roles->list_count == 0)
        json_text(&body.writer, "member");
    json_end_array(&body.writer);
    code = api_body_end(cli, &body);
    if (code == EXIT_DONE)
        code = api_post_once(cli, "/v1/users", buffer_slice(&body.bytes), &reply);
    api_body_deinit(&body);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print(&reply);
    printf("%.*s\n", SLICE_ARG(api_string(reply.root, "id")));
    cli_note(cli, "a token for this user: lq token create --user %s", cli->positional[0]);
    return EXIT_DONE;
}

static int user_list(struct cli *cli)
{
    static const char *const HEADS[] = {"USER",     "TENANT", "ROLES", "OPERATOR",
                                        "DISABLED", "ID",     "TITLE"};
    struct api_list users, tenants = {0};
    int code = api_list(cli, "/v1/users", 0, &users);
    if (code == EXIT_DONE && !cli->is_json)
        code = api_list(cli, "/v1/tenants", 0, &tenants);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &users);
    struct table *table = table_create(cli, HEADS, NULL, COUNT(HEADS));
    for (size_t i = 0; i < users.count; i++) {
        struct json_value user = users.items[i];
        table_cell(table, api_string(user, "name"));
        table_cell(table, api_name_in(&tenants, api_string(user, "tenant")));
        table_cell_text(table, api_words(cli, json_object_get(user, "roles"), "-"));
        table_cell(table, api_string(user, "operator"));
        table_cell_text(table, api_bool(user, "disabled") ? "yes" : "no");
        table_cell(table, api_string(user, "id"));
        table_cell(table, api_string(user, "title"));
    }
    table_print(table);
    return EXIT_DONE;
}

const struct command COMMAND_USER_LIST = {.name = "user list",
                                          .group = "People",
                                          .summary = "users, their tenants and roles",
                                          .usage = "",
                                          .details = "Example:\n  lq user list",
                                          .run = user_list};
const struct command COMMAND_USER_CREATE = {
    .name = "user create",
    .group = "People",
    .summary = "make a user",
    .usage = "NAME [flags]",
    .details = "Examples:\n  lq user create mei --tenant research\n"
               "  lq user create ops --no-tenant --role operator --operator west-op",
    .flags = USER_CREATE_FLAGS,
    .flag_count = COUNT(USER_CREATE_FLAGS),
    .positional_min = 1,
    .positional_max = 1,
    .run = user_create};
