/* The route table and the API's description say the same; no route is without permission and
 * ownership. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/words.h"
#include "server/openapi.h"
#include "server/request.h"

static const char *const OWNERSHIPS[] = {
    [OWN_OPEN] = "open",       [OWN_NETWORK] = "network",
    [OWN_LIST] = "list",       [OWN_TENANT] = "tenant",
    [OWN_JOB] = "job",         [OWN_ARTIFACT] = "artifact",
    [OWN_SITE] = "site",       [OWN_TENANT_ID] = "tenant_id",
    [OWN_USER] = "user",       [OWN_TOKEN] = "token",
    [OWN_SELF] = "self",       [OWN_AGENT] = "agent",
    [OWN_ATTEMPT] = "attempt",
};

static struct json_document *document;

static int set_up(void **state)
{
    struct fault fault = {0};
    (void)state;
    enum err err = json_parse((struct slice){OPENAPI_JSON, OPENAPI_JSON_LEN}, &JSON_LIMITS_FILE,
                              &document, &fault);
    if (err != ERR_OK)
        print_error("%s (line %u)\n", fault.message, fault.line);
    return err == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_document_destroy(document);
    return 0;
}

/* "GET" -> "get"; "{path*}" -> "{path}". */
static void names(const struct route *route, char *out_method, char *out_path, size_t size)
{
    size_t at = 0;
    for (const char *c = route->method; *c != 0; c++)
        *out_method++ = (char)(*c | 0x20);
    *out_method = 0;
    for (const char *c = route->pattern; *c != 0; c++)
        if (*c != '*') {
            assert_true(at + 1 < size);
            out_path[at++] = *c;
        }
    out_path[at] = 0;
}

static struct json_value operation_of(const struct route *route)
{
    char method[8], path[128];
    names(route, method, path, sizeof(path));
    struct json_value paths = json_object_get(json_root(document), "paths");
    return json_object_get(json_object_get(paths, path), method);
}

static void assert_text(const struct route *route, struct json_value value, const char *name,
                        const char *expected)
{
    struct slice text;
    struct fault fault = {0};
    if (json_get_string(value, name, 256, &text, &fault) != ERR_OK || !slice_is(text, expected))
        fail_msg("%s %s: %s is not %s", route->method, route->pattern, name, expected);
}

static void every_route_stands_in_the_description_with_its_permission_and_ownership(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const struct route *route = &ROUTES[i];
        struct json_value operation = operation_of(route);
        if (json_is_missing(operation))
            fail_msg("%s %s is not in docs/api/openapi.json", route->method, route->pattern);
        assert_text(route, operation, "x-permission",
                    route->permission == PERM_COUNT_ ? "none" : permission_name(route->permission));
        assert_text(route, operation, "x-ownership", OWNERSHIPS[route->ownership]);
        assert_text(route, operation, "summary", route->summary);
        bool has_body = !json_is_missing(json_object_get(operation, "requestBody"));
        if (has_body != (route->body_max > 0))
            fail_msg("%s %s: the table and the description differ about a body", route->method,
                     route->pattern);
    }
}

static void every_operation_of_the_description_is_a_route(void **state)
{
    struct json_iterator paths = json_iterate(json_object_get(json_root(document), "paths"));
    size_t count = 0;
    (void)state;
    while (json_next(&paths)) {
        struct json_iterator operations = json_iterate(paths.value);
        while (json_next(&operations)) {
            bool is_found = false;
            for (size_t i = 0; i < ROUTE_COUNT && !is_found; i++) {
                char method[8], path[128];
                names(&ROUTES[i], method, path, sizeof(path));
                is_found = slice_is(paths.key, path) && slice_is(operations.key, method);
            }
            if (!is_found)
                fail_msg("%.*s %.*s is described, and no route", SLICE_ARG(operations.key),
                         SLICE_ARG(paths.key));
            count++;
        }
    }
    assert_int_equal(count, ROUTE_COUNT);
}

static void the_table_names_permission_and_ownership_everywhere(void **state)
{
    struct fault fault = {0};
    (void)state;
    assert_int_equal(routes_check(&fault), ERR_OK);
}

static void nothing_open_changes_anything_but_join(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        if (ROUTES[i].ownership == OWN_OPEN && strcmp(ROUTES[i].method, "GET") != 0)
            assert_string_equal(ROUTES[i].pattern, "/v1/agent/join");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_stands_in_the_description_with_its_permission_and_ownership),
        cmocka_unit_test(every_operation_of_the_description_is_a_route),
        cmocka_unit_test(the_table_names_permission_and_ownership_everywhere),
        cmocka_unit_test(nothing_open_changes_anything_but_join),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
