#include "store/sqlite_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum err page_keep(struct arena *arena, struct slice text, struct slice *out)
{
    if (text.len == 0) {
        *out = (struct slice){"", 0};
        return ERR_OK;
    }
    struct slice copy = arena_copy(arena, text);
    if (!copy.data)
        return ERR_LIMIT;
    *out = copy;
    return ERR_OK;
}

enum err page_check_limit(uint32_t limit, struct fault *fault)
{
    if (limit >= 1 && limit <= STORE_PAGE_MAX)
        return ERR_OK;
    return fault_set(fault, ERR_INVALID, "limit", "must be between 1 and %d", STORE_PAGE_MAX);
}

void page_bind_key(sqlite3_stmt *statement, int position, const struct id *id)
{
    sql_bind_bytes(statement, position, id->bytes, sizeof id->bytes);
}

static int compare_tenants(const void *a, const void *b)
{
    return id_compare(((const struct tenant_id *)a)->id, ((const struct tenant_id *)b)->id);
}

enum err page_tenants_make(const struct store_tenants *tenants, struct arena *arena,
                           struct page_tenants *out, struct fault *fault)
{
    *out = (struct page_tenants){.is_all = tenants->is_all};
    if (tenants->is_all || tenants->count == 0)
        return ERR_OK;
    if (tenants->count > STORE_TENANTS_MAX)
        return fault_set(fault, ERR_INVALID, "tenant", "at most %d tenants in one question",
                         STORE_TENANTS_MAX);
    out->ids = arena_array(arena, tenants->count, sizeof *out->ids);
    if (!out->ids)
        return ERR_LIMIT;
    memcpy(out->ids, tenants->ids, tenants->count * sizeof *out->ids);
    out->count = tenants->count;
    qsort(out->ids, out->count, sizeof *out->ids, compare_tenants);
    return ERR_OK;
}

bool page_tenants_has(const struct page_tenants *tenants, struct tenant_id id)
{
    if (tenants->is_all)
        return true;
    if (tenants->count == 0)
        return false;
    return bsearch(&id, tenants->ids, tenants->count, sizeof id, compare_tenants) != NULL;
}

enum err page_fill(struct page *page, sqlite3_stmt *statement, struct fault *fault)
{
    for (;;) {
        bool has = false, skip = false;
        enum err err = sql_next(&page->store->sql, statement, &has, fault);
        if (err || !has)
            return err;
        if (page->count == page->limit || page->scanned == STORE_SCAN_MAX) {
            page->has_more = true;
            break;
        }
        page->scanned++;
        err = page->take(page, statement, page->count, &skip, fault);
        if (err) {
            sqlite3_reset(statement);
            return err;
        }
        if (!skip)
            page->count++;
    }
    sqlite3_reset(statement);
    return ERR_OK;
}
