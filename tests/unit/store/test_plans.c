/* Every kept statement finds its rows by a key or an index, in the order it is asked for. */
#include "scene.h"

#include <stdio.h>
#include <string.h>

#include "store/sqlite.h"

/* These read a whole table, or a whole index, on purpose. */
static bool reads_all(enum sqlite_statement which)
{
    switch (which) {
    case SQL_META_READ:
    case SQL_META_EPOCH:
    case SQL_META_QUARANTINED:
    case SQL_PROBE_WRITE:
    case SQL_PROBE_ERASE:
    case SQL_META_AUDIT:
    case SQL_META_EVENTS:
    case SQL_LOAD_DOCS:
    case SQL_LOAD_ATTEMPTS: /* the partial index of the live ones */
    case SQL_LOAD_WATERMARKS:
    case SQL_JOB_COUNT: /* the index alone */
        return true;
    default:
        return false;
    }
}

/* Sorted after the fact: only what is short or asked for once. */
static bool may_sort(enum sqlite_statement which)
{
    return which == SQL_LOAD_JOBS || which == SQL_LOAD_SPECS || which == SQL_JOB_COUNT ||
           which == SQL_UTILISATION_OF || which == SQL_UTILISATION_ALL; /* summed in steps */
}

static void every_statement_uses_a_key(void **state)
{
    struct scene *scene = *state;
    struct sql sql;
    struct sql_config config = {.path = scene->path, .is_read_only = true};
    assert_int_equal(sql_open(&sql, &config, NULL), ERR_OK);
    for (int i = 0; i < SQLITE_STATEMENT_COUNT_; i++) {
        assert_non_null(SQLITE_STORE_TEXTS[i]);
        char text[4096];
        sqlite3_stmt *statement = NULL;
        snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", SQLITE_STORE_TEXTS[i]);
        if (sqlite3_prepare_v2(sql.handle, text, -1, &statement, NULL) != SQLITE_OK)
            fail_msg("%s: %s", text, sqlite3_errmsg(sql.handle));
        while (sqlite3_step(statement) == SQLITE_ROW) {
            const char *plan = (const char *)sqlite3_column_text(statement, 3);
            if (strncmp(plan, "SCAN", 4) == 0 && !strstr(plan, "CONSTANT") &&
                !reads_all((enum sqlite_statement)i))
                fail_msg("%s: %s", SQLITE_STORE_TEXTS[i], plan);
            if (strstr(plan, "TEMP B-TREE") && !may_sort((enum sqlite_statement)i))
                fail_msg("%s: %s", SQLITE_STORE_TEXTS[i], plan);
        }
        sqlite3_finalize(statement);
    }
    sql_close(&sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_statement_uses_a_key, scene_set_up, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
