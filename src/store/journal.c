/* The agent's journal on SQLite: opening, what a damaged file leads to, and groups of changes. */
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/journal_sql.h"

enum { JOURNAL_CACHE_BYTES = 4 * 1024 * 1024 };

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    sql_close(&journal->sql);
    file_lock_release(&journal->lock);
    free(journal);
}

/* Out of the way, never over an earlier one, with its log: someone may want to look at it. */
static enum err move_aside(struct journal *journal, struct fault *fault)
{
    char to[JOURNAL_PATH_MAX + 32];
    struct file_info info;
    int number = 1;
    for (;; number++) {
        snprintf(to, sizeof to, "%s.corrupt-%d", journal->path, number);
        enum err err = file_stat(to, &info);
        if (err == ERR_NOT_FOUND)
            break;
        if (err)
            return err;
        if (number == JOURNAL_ASIDE_MAX)
            return fault_set(fault, ERR_LIMIT, NULL,
                             "%s is damaged, and %d damaged ones lie beside it already; move them "
                             "away",
                             journal->path, number);
    }
    static const char *const parts[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char from[JOURNAL_PATH_MAX + 32], target[JOURNAL_PATH_MAX + 64];
        snprintf(from, sizeof from, "%s%s", journal->path, parts[i]);
        snprintf(target, sizeof target, "%s%s", to, parts[i]);
        enum err err = file_rename(from, target, fault);
        if (err && err != ERR_NOT_FOUND)
            return err;
    }
    return fault_set(fault, ERR_CORRUPT, NULL, "%s was damaged and is now %s", journal->path, to);
}

static enum err take_lock(struct journal *journal, struct fault *fault)
{
    char path[JOURNAL_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s.lock", journal->path);
    enum err err = file_lock_take(path, fault, &journal->lock);
    if (err == ERR_BUSY)
        fault_set(fault, ERR_BUSY, NULL,
                  "%s is open in another process; one agent a journal: stop that one, or give "
                  "this site a folder of its own",
                  journal->path);
    return err;
}

/* A journal is small: look at all of it rather than find out later. */
static enum err check_whole(struct journal *journal, struct fault *fault)
{
    int64_t pages = 0, page_bytes = 0;
    enum err err = sql_exec_i64(&journal->sql, "PRAGMA page_count", &pages, fault);
    if (!err)
        err = sql_exec_i64(&journal->sql, "PRAGMA page_size", &page_bytes, fault);
    if (err || (uint64_t)pages * (uint64_t)page_bytes > JOURNAL_CHECK_BYTES)
        return err;
    sqlite3_stmt *statement = NULL;
    int code =
        sqlite3_prepare_v2(journal->sql.handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    bool is_sound = code == SQLITE_ROW && slice_is(sql_text(statement, 0), "ok");
    if (code != SQLITE_ROW)
        err = sql_error(&journal->sql, code, fault);
    else if (!is_sound)
        err = fault_set(fault, ERR_CORRUPT, NULL, "%s is damaged", journal->path);
    sqlite3_finalize(statement);
    return err;
}

static enum err open_parts(struct journal *journal, const struct journal_config *config,
                           struct fault *fault)
{
    if (!config->vfs) {
        enum err err = take_lock(journal, fault);
        if (err)
            return err;
    }
    struct sql_config sql = {
        .path = journal->path,
        .vfs = config->vfs,
        .is_exclusive = config->is_exclusive,
        .cache_bytes = config->cache_bytes ? config->cache_bytes : JOURNAL_CACHE_BYTES,
        .schema = &JOURNAL_SCHEMA,
        .texts = JOURNAL_TEXTS,
        .text_count = JOURNAL_STATEMENT_COUNT_,
    };
    enum err err = sql_open(&journal->sql, &sql, fault);
    if (!err)
        err = check_whole(journal, fault);
    if (!err)
        err = journal_tails_read(journal, fault);
    if (err != ERR_CORRUPT)
        return err;
    sql_close(&journal->sql);
    return config->vfs ? err : move_aside(journal, fault);
}

enum err journal_open(const struct journal_config *config, struct journal **out_journal,
                      struct fault *fault)
{
    ASSERT(config->path && config->path[0]);
    if (strlen(config->path) >= JOURNAL_PATH_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "the journal's path is too long");
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return ERR_NO_MEMORY;
    journal->lock.fd = -1;
    memcpy(journal->path, config->path, strlen(config->path) + 1);
    enum err err = open_parts(journal, config, fault);
    if (err) {
        journal_close(journal);
        return err;
    }
    *out_journal = journal;
    return ERR_OK;
}

/* ---- groups: the same two tries as in sqlite_apply.c ---- */

static enum err apply_change(struct journal *journal, const struct journal_change *change,
                             struct change_result *result, struct fault *fault)
{
    *result = (struct change_result){.err = ERR_OK};
    for (size_t i = 0; i < change->count; i++) {
        enum err err = journal_op_apply(journal, &change->ops[i], fault);
        if (err) {
            result->err = err;
            result->op = (uint32_t)i;
            return err;
        }
    }
    return ERR_OK;
}

static enum err apply_saved(struct journal *journal, const struct journal_change *change,
                            struct change_result *result, struct fault *fault)
{
    struct journal_tails before = journal->tails;
    enum err err = sql_exec(&journal->sql, "SAVEPOINT change", fault);
    if (err)
        return err;
    err = apply_change(journal, change, result, fault);
    if (err == ERR_STALE) {
        journal->tails = before;
        err = sql_exec(&journal->sql, "ROLLBACK TO change", fault);
    }
    return err ? err : sql_exec(&journal->sql, "RELEASE change", fault);
}

static enum err try_group(struct journal *journal, const struct journal_change *const *changes,
                          size_t count, bool with_savepoints, struct change_result *results,
                          struct fault *fault)
{
    struct journal_tails before = journal->tails;
    enum err err = sql_begin(&journal->sql, true, fault);
    for (size_t i = 0; !err && i < count; i++)
        err = with_savepoints ? apply_saved(journal, changes[i], &results[i], fault)
                              : apply_change(journal, changes[i], &results[i], fault);
    if (!err)
        err = sql_commit(&journal->sql, fault);
    if (err) {
        sql_rollback(&journal->sql);
        journal->tails = before;
    }
    return err;
}

enum err journal_apply(struct journal *journal, const struct journal_change *const *changes,
                       size_t count, struct change_result *results, struct fault *fault)
{
    ASSERT(count > 0 && count <= JOURNAL_GROUP_MAX);
    enum err err = try_group(journal, changes, count, false, results, fault);
    if (err == ERR_STALE && count == 1)
        return ERR_OK; /* rolled back, and its result says so */
    if (err == ERR_STALE)
        err = try_group(journal, changes, count, true, results, fault);
    for (size_t i = 0; err && i < count; i++)
        results[i] = (struct change_result){.err = err};
    return err;
}

enum err journal_probe(struct journal *journal, struct fault *fault)
{
    static const enum journal_statement parts[] = {JOURNAL_SQL_PROBE_WRITE,
                                                   JOURNAL_SQL_PROBE_ERASE};
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *statement = sql_use(&journal->sql, parts[i]);
        if (!statement)
            return sql_error_last(&journal->sql, fault);
        if (i == 0)
            sql_bind_u64(statement, 1, STORE_PROBE_BYTES);
        enum err err = sql_run(&journal->sql, statement, NULL, fault);
        if (err) {
            sql_rollback(&journal->sql);
            return err;
        }
    }
    return ERR_OK;
}
