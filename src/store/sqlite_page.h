/* What the queries share: copying rows out, filters of tenants, and cursors. */
#ifndef LQ_STORE_SQLITE_PAGE_H
#define LQ_STORE_SQLITE_PAGE_H

#include "store/sqlite.h"

/* Copies `text` into `arena`. ERR_LIMIT. */
enum err page_keep(struct arena *arena, struct slice text, struct slice *out) LQ_CHECKED;
/* ERR_INVALID unless 1 <= limit <= STORE_PAGE_MAX. */
enum err page_check_limit(uint32_t limit, struct fault *fault) LQ_CHECKED;
/* All sixteen bytes, also of "none", so that a cursor compares as the lowest key. */
void page_bind_key(sqlite3_stmt *statement, int position, const struct id *id);

/* A tenant filter made fit for asking: sorted, in `arena`. */
struct page_tenants {
    bool is_all;
    struct tenant_id *ids;
    size_t count;
};
enum err page_tenants_make(const struct store_tenants *tenants, struct arena *arena,
                           struct page_tenants *out, struct fault *fault) LQ_CHECKED;
bool page_tenants_has(const struct page_tenants *tenants, struct tenant_id id);

/* Steps through a statement, at most `limit` rows kept and STORE_SCAN_MAX looked at. `take` copies
 * a row to slot `index`, or sets *out_skip for one that the filter leaves out. */
struct page {
    struct sqlite_store *store;
    struct arena *arena;
    uint32_t limit;
    void *rows; /* room for `limit` */
    const void *filter;
    enum err (*take)(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                     struct fault *fault);
    size_t count;
    uint64_t scanned;
    uint64_t last;                     /* set by `take`: seq of the row looked at last */
    struct attempt_token last_attempt; /* likewise, of attempts */
    bool has_more;
};
enum err page_fill(struct page *page, sqlite3_stmt *statement, struct fault *fault) LQ_CHECKED;

#endif
