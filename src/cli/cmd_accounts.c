/* Who uses the network: tenants, users, API tokens. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "model/account.h"
#include "port/file.h"

static void text_flag(struct cli *cli, struct api_body *body, const char *flag, const char *member)
{
    if (cli_has(cli, flag))
        json_put_text(&body->writer, member, cli_text(cli, flag, ""));
}

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
    text_flag(cli, &body, "title", "title");
    number_flag(cli, &body, "weight", "weight");
    text_flag(cli, &body, "time-limit", "default_time_limit");
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
                text_flag(cli, &body, FLAGS[i], KEPT[i]);
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
    text_flag(cli, &body, "title", "title");
    if (tenant.len > 0)
        json_put_string(&body.writer, "tenant", tenant);
    text_flag(cli, &body, "operator", "operator");
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

static const char *words(struct cli *cli, struct json_value array, const char *none)
{
    struct buffer out;
    struct slice one;
    struct json_iterator it = json_iterate(array);
    buffer_init(&out, CLI_ARENA_BYTES_MAX / 1024);
    while (json_next(&it))
        if (json_to_string(it.value, NAME_MAX, &one, NULL) == ERR_OK)
            buffer_printf(&out, "%s%.*s", out.len > 0 ? "," : "", SLICE_ARG(one));
    const char *text = out.len > 0 ? arena_text(&cli->arena, buffer_slice(&out)) : none;
    buffer_deinit(&out);
    return text;
}

/* The name of the item of that id, or the id. */
static struct slice name_in(const struct api_list *list, struct slice id)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_is_equal(api_string(list->items[i], "id"), id))
            return api_string(list->items[i], "name");
    return id;
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
        table_cell(table, name_in(&tenants, api_string(user, "tenant")));
        table_cell_text(table, words(cli, json_object_get(user, "roles"), "-"));
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

/* ---- tokens */

static const struct flag TOKEN_CREATE_FLAGS[] = {
    {"user", 'u', FLAG_TEXT, "NAME", "for whom; default: yourself"},
    {"label", 0, FLAG_TEXT, "TEXT", "what it is for"},
    {"scope", 0, FLAG_LIST, "PERMISSION",
     "only this, as job.submit; repeat; default: all that the user may"},
    {"expires", 0, FLAG_TEXT, "TIME", "after so long, as 30d; default: never"},
    {"out", 'o', FLAG_TEXT, "FILE", "write it there, readable by you alone, instead of showing it"},
};

static int user_id(struct cli *cli, const char *name, struct slice *out_id)
{
    struct api_list users;
    *out_id = slice_of(name);
    if (slice_has_prefix(*out_id, SLICE_LITERAL("usr_")))
        return EXIT_DONE;
    int code = api_list(cli, "/v1/users", 0, &users);
    if (code != EXIT_DONE)
        return code;
    for (size_t i = 0; i < users.count; i++)
        if (slice_is(api_string(users.items[i], "name"), name)) {
            *out_id = api_string(users.items[i], "id");
            return EXIT_DONE;
        }
    return cli_fail(cli, EXIT_NOT_FOUND, "there is no user \"%s\" that you may see", name);
}

static int token_give(struct cli *cli, const struct api_reply *reply)
{
    struct fault fault = {0};
    const char *path = cli_text(cli, "out", NULL);
    struct slice token = api_string(reply->root, "token");
    if (path != NULL &&
        file_write_atomic(path, slice_of(arena_printf(&cli->arena, "%.*s\n", SLICE_ARG(token))),
                          0600, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    if (cli->is_json && path == NULL)
        return api_print(reply);
    if (path != NULL)
        printf("%.*s\n", SLICE_ARG(api_string(reply->root, "id")));
    else
        printf("%.*s\n", SLICE_ARG(token));
    if (path == NULL)
        cli_note(cli, "it is shown this once; revoke it with: lq token revoke %.*s",
                 SLICE_ARG(api_string(reply->root, "id")));
    return EXIT_DONE;
}

static int token_create(struct cli *cli)
{
    struct api_body body;
    struct api_reply reply;
    struct slice user = {0};
    const struct flag_value *scopes = cli_flag(cli, "scope");
    int code = cli_has(cli, "user") ? user_id(cli, cli_text(cli, "user", ""), &user) : EXIT_DONE;
    if (code != EXIT_DONE)
        return code;
    api_body_begin(&body);
    if (user.len > 0)
        json_put_string(&body.writer, "user", user);
    text_flag(cli, &body, "label", "label");
    text_flag(cli, &body, "expires", "expires_in");
    if (scopes->list_count > 0) {
        json_key(&body.writer, "scopes");
        json_begin_array(&body.writer);
        for (uint32_t i = 0; i < scopes->list_count; i++)
            json_text(&body.writer, scopes->list[i]);
        json_end_array(&body.writer);
    }
    code = api_body_end(cli, &body);
    if (code == EXIT_DONE)
        code = api_call(cli, "POST", "/v1/tokens", buffer_slice(&body.bytes), &reply);
    api_body_deinit(&body);
    return code == EXIT_DONE ? token_give(cli, &reply) : code;
}

static int token_list(struct cli *cli)
{
    static const char *const HEADS[] = {"TOKEN",   "USER",    "LABEL", "SCOPES",
                                        "CREATED", "EXPIRES", "STATE"};
    struct api_list tokens, users = {0};
    int code = api_list(cli, "/v1/tokens", 0, &tokens);
    if (code == EXIT_DONE && !cli->is_json)
        code = api_list(cli, "/v1/users", 0, &users);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &tokens);
    struct table *table = table_create(cli, HEADS, NULL, COUNT(HEADS));
    for (size_t i = 0; i < tokens.count; i++) {
        struct json_value token = tokens.items[i];
        struct slice expires = api_time(cli, token, "expires_at");
        table_cell(table, api_string(token, "id"));
        table_cell(table, name_in(&users, api_string(token, "user")));
        table_cell(table, api_string(token, "label"));
        table_cell_text(table, words(cli, json_object_get(token, "scopes"), "all"));
        table_cell(table, api_time(cli, token, "created_at"));
        table_cell(table, expires.len > 0 ? expires : SLICE_LITERAL("never"));
        table_cell_text(table, api_string(token, "revoked_at").len > 0 ? "revoked" : "good");
    }
    table_print(table);
    return EXIT_DONE;
}

static int token_revoke(struct cli *cli)
{
    int result = EXIT_DONE;
    for (uint32_t i = 0; i < cli->positional_count; i++) {
        struct api_reply reply;
        int code = api_call(cli, "DELETE",
                            api_target(cli, "/v1/tokens/%s", api_escape(cli, cli->positional[i])),
                            (struct slice){0}, &reply);
        if (code != EXIT_DONE)
            result = code;
        else if (!cli->is_json)
            printf("%s: revoked\n", cli->positional[i]);
    }
    return result;
}

const struct command COMMAND_TOKEN_LIST = {.name = "token list",
                                           .group = "People",
                                           .summary = "API tokens, never their secrets",
                                           .usage = "",
                                           .details = "Example:\n  lq token list",
                                           .run = token_list};
const struct command COMMAND_TOKEN_CREATE = {
    .name = "token create",
    .group = "People",
    .summary = "make an API token",
    .usage = "[flags]",
    .details = "Only its hash is kept: it is shown once.\n\n"
               "Examples:\n  lq token create --label laptop --expires 90d -o ~/lq.token\n"
               "  lq token create --user mei --scope job.submit --scope job.read",
    .flags = TOKEN_CREATE_FLAGS,
    .flag_count = COUNT(TOKEN_CREATE_FLAGS),
    .run = token_create};
const struct command COMMAND_TOKEN_REVOKE = {
    .name = "token revoke",
    .group = "People",
    .summary = "make tokens worthless, at once",
    .usage = "TOKEN...",
    .details = "Example:\n  lq token revoke tok_01j9z3k5m8q2r4t6v8x0y2z4a6",
    .positional_min = 1,
    .positional_max = 32,
    .run = token_revoke};

/* ---- whoami */

static int whoami(struct cli *cli)
{
    struct api_reply reply, tenant;
    int code = api_call(cli, "GET", "/v1/whoami", (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print(&reply);
    struct slice id = api_string(reply.root, "tenant"),
                 operator_name = api_string(reply.root, "operator");
    printf("server:   %s\n", cli->config.server);
    printf("user:     %.*s (%.*s)\n", SLICE_ARG(cli_safe(cli, api_string(reply.root, "name"))),
           SLICE_ARG(api_string(reply.root, "user")));
    if (id.len > 0 &&
        api_call(cli, "GET",
                 api_target(cli, "/v1/tenants/%s", api_escape(cli, arena_text(&cli->arena, id))),
                 (struct slice){0}, &tenant) == EXIT_DONE)
        printf("tenant:   %.*s (%.*s)\n", SLICE_ARG(cli_safe(cli, api_string(tenant.root, "name"))),
               SLICE_ARG(id));
    if (operator_name.len > 0)
        printf("operator: %.*s\n", SLICE_ARG(cli_safe(cli, operator_name)));
    printf("roles:    %s\n", words(cli, json_object_get(reply.root, "roles"), "none"));
    return EXIT_DONE;
}

const struct command COMMAND_WHOAMI = {.name = "whoami",
                                       .group = "People",
                                       .summary = "who the token is, and where",
                                       .usage = "",
                                       .details = "Example:\n  lq whoami",
                                       .run = whoami};
