/* API tokens, and whose the present one is. */
#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "port/file.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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
    api_body_text_flag(cli, &body, "label", "label");
    api_body_text_flag(cli, &body, "expires", "expires_in");
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
        table_cell(table, api_name_in(&users, api_string(token, "user")));
        table_cell(table, api_string(token, "label"));
        table_cell_text(table, api_words(cli, json_object_get(token, "scopes"), "all"));
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
    printf("roles:    %s\n", api_words(cli, json_object_get(reply.root, "roles"), "none"));
    return EXIT_DONE;
}

const struct command COMMAND_WHOAMI = {.name = "whoami",
                                       .group = "People",
                                       .summary = "who the token is, and where",
                                       .usage = "",
                                       .details = "Example:\n  lq whoami",
                                       .run = whoami};
