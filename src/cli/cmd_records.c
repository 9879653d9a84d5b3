/* What is recorded: usage, the audit log, events. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "port/clock.h"
#include "port/loop.h"
#include "wire/row.h"
#include "wire/sse.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- usage */

static const struct flag USAGE_FLAGS[] = {
    {"by", 'b', FLAG_TEXT, "WHAT", "tenant, site, job or day; default tenant"},
    {"from", 0, FLAG_TEXT, "TIME", "measured from then on: a day, a time, or how long ago (24h)"},
    {"to", 0, FLAG_TEXT, "TIME", "measured before then"},
    {"tenant", 't', FLAG_TEXT, "NAME", "of this tenant and those below"},
    {"site", 0, FLAG_TEXT, "NAME", "at this site"},
    {"csv", 0, FLAG_BOOL, NULL, "comma-separated, exact: milliseconds, not hours"},
};

static const char *const QUANTITIES[] = {"wall_ms",    "cpu_held_ms",  "cpu_ms",      "accel_ms",
                                         "mem_mib_ms", "gate_wait_ms", "kill_wait_ms"};
enum { QUANTITY_COUNT = COUNT(QUANTITIES) };

static int64_t quantity(struct json_value item, const char *name)
{
    int64_t value = 0;
    return json_opt_i64(item, name, INT64_MIN, INT64_MAX, &value, NULL) == ERR_OK ? value : 0;
}

/* The group's name where it has one, else its id; a day without its time. */
static struct slice group_of(struct json_value item, const char *by)
{
    enum { DAY_LEN = 10 };
    struct slice name = api_string(item, "name");
    if (name.len > 0)
        return name;
    name = api_string(item, by);
    if (strcmp(by, "day") == 0 && name.len > DAY_LEN)
        name.len = DAY_LEN;
    return name;
}

static void usage_csv(struct cli *cli, struct json_value items, const char *by)
{
    struct json_iterator it = json_iterate(items);
    printf("%s,id,records", by);
    for (int i = 0; i < QUANTITY_COUNT; i++)
        printf(",%s", QUANTITIES[i]);
    printf("\n");
    while (json_next(&it)) {
        cli_csv(cli, group_of(it.value, by));
        putchar(',');
        cli_csv(cli, api_string(it.value, by));
        printf(",%llu", (unsigned long long)api_u64(it.value, "records"));
        for (int i = 0; i < QUANTITY_COUNT; i++)
            printf(",%lld", (long long)quantity(it.value, QUANTITIES[i]));
        printf("\n");
    }
}

static void usage_row(struct table *table, struct slice group, uint64_t records,
                      const int64_t *sums)
{
    enum { WALL, HELD, CPU, ACCEL, MEMORY };
    const double hour = 3600.0 * 1000.0, gib = 1024.0;
    char wall[TIME_TEXT_MAX];
    span_format(SPAN_MS(sums[WALL]), wall);
    table_cell(table, group);
    table_cell_printf(table, "%llu", (unsigned long long)records);
    table_cell_text(table, wall);
    table_cell_printf(table, "%.4f", (double)sums[HELD] / hour);
    table_cell_printf(table, "%.4f", (double)sums[CPU] / hour);
    table_cell_printf(table, "%.4f", (double)sums[ACCEL] / hour);
    table_cell_printf(table, "%.4f", (double)sums[MEMORY] / hour / gib);
}

static void usage_table(struct cli *cli, struct json_value items, const char *by)
{
    const char *heads[] = {"TENANT",         "RECORDS",     "RAN",      "CORE-HOURS",
                           "CPU-HOURS USED", "ACCEL-HOURS", "GIB-HOURS"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT};
    int64_t total[QUANTITY_COUNT] = {0};
    uint64_t records = 0;
    heads[0] = strcmp(by, "site") == 0  ? "SITE"
               : strcmp(by, "job") == 0 ? "JOB"
               : strcmp(by, "day") == 0 ? "DAY"
                                        : "TENANT";
    struct table *table = table_create(cli, heads, ALIGNS, COUNT(heads));
    struct json_iterator it = json_iterate(items);
    while (json_next(&it)) {
        int64_t sums[QUANTITY_COUNT];
        for (int i = 0; i < QUANTITY_COUNT; i++) {
            sums[i] = quantity(it.value, QUANTITIES[i]);
            total[i] += sums[i];
        }
        records += api_u64(it.value, "records");
        usage_row(table, group_of(it.value, by), api_u64(it.value, "records"), sums);
    }
    if (json_count(items) > 1)
        usage_row(table, SLICE_LITERAL("in all"), records, total);
    table_print(table);
}

static int usage(struct cli *cli)
{
    struct api_reply reply;
    const char *from, *to, *by = cli_text(cli, "by", "tenant");
    const char *tenant = cli_text(cli, "tenant", ""), *site = cli_text(cli, "site", "");
    int code = api_time_flag(cli, "from", &from);
    if (code == EXIT_DONE)
        code = api_time_flag(cli, "to", &to);
    if (code != EXIT_DONE)
        return code;
    code = api_call(cli, "GET",
                    api_target(cli, "/v1/usage?by=%s%s%s%s%s%s%s%s%s", api_escape(cli, by),
                               from != NULL ? "&from=" : "", from != NULL ? from : "",
                               to != NULL ? "&to=" : "", to != NULL ? to : "",
                               *tenant ? "&tenant=" : "", api_escape(cli, tenant),
                               *site ? "&site=" : "", api_escape(cli, site)),
                    (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print(&reply);
    struct json_value items = json_object_get(reply.root, "items");
    if (cli_has(cli, "csv"))
        usage_csv(cli, items, by);
    else
        usage_table(cli, items, by);
    if (api_bool(reply.root, "has_more"))
        cli_note(cli, "there are more; narrow the time or the tenant");
    return EXIT_DONE;
}

const struct command COMMAND_USAGE = {
    .name = "usage",
    .group = "Records",
    .summary = "metered work, summed by tenant, site, job or day",
    .usage = "[flags]",
    .details =
        "CORE-HOURS are cores held, CPU-HOURS USED what the programs burnt of them. --csv and "
        "--json give exact milliseconds.\n\n"
        "Examples:\n  lq usage\n  lq usage --by site --from 24h\n"
        "  lq usage --by job --tenant research --from 2026-11-01 --to 2026-12-01 --csv",
    .flags = USAGE_FLAGS,
    .flag_count = COUNT(USAGE_FLAGS),
    .run = usage};

/* ---- audit log */

static const struct flag AUDIT_FLAGS[] = {
    {"after", 0, FLAG_NUMBER, "SEQ", "from the record after this one on; default: the newest"},
    {"limit", 'n', FLAG_NUMBER, "N", "at most so many; default 50"},
    {"tenant", 't', FLAG_TEXT, "ID", "about this tenant only"},
    {"verify", 0, FLAG_BOOL, NULL, "recompute the hash chain of all records"},
};

/* Walks the whole log, a page in memory at a time. `on_item` false: enough. */
static int audit_walk(struct cli *cli, uint64_t after, const char *tenant,
                      bool (*on_item)(struct cli *cli, void *context, struct json_value item),
                      void *context)
{
    bool goes_on = true;
    while (goes_on) {
        struct api_reply reply;
        int code = api_call(cli, "GET",
                            api_target(cli, "/v1/audit?limit=%d&after=%llu%s%s", API_PAGE,
                                       (unsigned long long)after, *tenant ? "&tenant=" : "",
                                       api_escape(cli, tenant)),
                            (struct slice){0}, &reply);
        if (code != EXIT_DONE)
            return code;
        struct json_iterator it = json_iterate(json_object_get(reply.root, "items"));
        while (goes_on && json_next(&it))
            goes_on = on_item(cli, context, it.value);
        after = api_u64(reply.root, "next");
        goes_on = goes_on && after > 0;
    }
    return EXIT_DONE;
}

struct audit_check {
    uint64_t seq;
    struct hash256 previous;
    struct slice complaint;
};

static bool audit_check_one(struct cli *cli, void *context, struct json_value item)
{
    struct audit_check *check = context;
    struct audit_record record;
    struct hash256 hash;
    struct fault fault = {0};
    struct arena arena;
    arena_init(&arena, CLI_ARENA_BYTES_MAX);
    const char *why = NULL;
    if (row_decode_audit(item, &arena, &record, &fault) != ERR_OK) {
        why = "cannot be read";
    } else {
        audit_record_hash(&record, &hash);
        if (record.seq != check->seq + 1)
            why = "is where another one was: records are missing";
        else if (memcmp(&record.previous, &check->previous, sizeof(hash)) != 0)
            why = "does not follow on the one before";
        else if (memcmp(&hash, &record.hash, sizeof(hash)) != 0)
            why = "was changed: its hash does not fit its content";
    }
    if (why == NULL) {
        check->seq = record.seq;
        check->previous = record.hash;
    } else {
        check->complaint = slice_of(arena_printf(&cli->arena, "record %llu %s",
                                                 (unsigned long long)api_u64(item, "seq"), why));
    }
    arena_deinit(&arena);
    return why == NULL;
}

static int audit_verify(struct cli *cli)
{
    struct audit_check check = {0};
    struct buffer hex;
    int code = audit_walk(cli, 0, "", audit_check_one, &check);
    if (code != EXIT_DONE)
        return code;
    buffer_init(&hex, 2 * HASH_BYTES);
    buffer_append_hex(&hex, slice_make(check.previous.bytes, HASH_BYTES));
    if (cli->is_json)
        printf("{\"records\":%llu,\"last_hash\":\"%.*s\",\"is_intact\":%s}\n",
               (unsigned long long)check.seq, SLICE_ARG(buffer_slice(&hex)),
               check.complaint.len == 0 ? "true" : "false");
    else if (check.complaint.len == 0)
        printf("%llu records, the chain is whole; the last hash is %.*s\n",
               (unsigned long long)check.seq, SLICE_ARG(buffer_slice(&hex)));
    buffer_deinit(&hex);
    if (check.complaint.len > 0)
        return cli_fail(cli, EXIT_FAILED, "the audit log was tampered with: %.*s",
                        SLICE_ARG(check.complaint));
    return EXIT_DONE;
}

/* The last `limit` items, or the first ones after a given one. */
struct audit_tail {
    struct json_value *items;
    uint64_t limit, seen;
    bool is_first;
};

static bool audit_take(struct cli *cli, void *context, struct json_value item)
{
    struct audit_tail *tail = context;
    (void)cli;
    tail->items[tail->seen++ % tail->limit] = item;
    return !(tail->is_first && tail->seen == tail->limit);
}

static int audit_log(struct cli *cli)
{
    static const char *const HEADS[] = {"SEQ", "AT", "ACTOR", "ACTION", "SUBJECT", "DETAIL"};
    static const enum table_align ALIGNS[] = {TABLE_RIGHT, TABLE_LEFT, TABLE_LEFT,
                                              TABLE_LEFT,  TABLE_LEFT, TABLE_LEFT};
    struct audit_tail tail = {.limit = cli_number(cli, "limit", 50),
                              .is_first = cli_has(cli, "after")};
    if (cli_has(cli, "verify"))
        return audit_verify(cli);
    if (tail.limit == 0 || tail.limit > API_ITEMS_MAX)
        return cli_fail(cli, EXIT_USAGE, "--limit must be between 1 and %d", API_ITEMS_MAX);
    tail.items = arena_array(&cli->arena, tail.limit, sizeof(*tail.items));
    ASSERT(tail.items != NULL);
    int code = audit_walk(cli, cli_number(cli, "after", 0), cli_text(cli, "tenant", ""), audit_take,
                          &tail);
    if (code != EXIT_DONE)
        return code;
    uint64_t count = tail.seen < tail.limit ? tail.seen : tail.limit;
    struct api_list list = {.items = arena_array(&cli->arena, count + 1, sizeof(*list.items))};
    ASSERT(list.items != NULL);
    for (uint64_t i = 0; i < count; i++)
        list.items[list.count++] = tail.items[(tail.seen - count + i) % tail.limit];
    list.has_more = tail.is_first && tail.seen == tail.limit;
    if (cli->is_json)
        return api_print_list(cli, &list);
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < list.count; i++) {
        struct json_value item = list.items[i];
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(item, "seq"));
        table_cell(table, api_time(cli, item, "at"));
        table_cell(table, api_string(item, "actor"));
        table_cell(table, api_string(item, "action"));
        table_cell(table, api_string(item, "subject"));
        table_cell(table, json_source(json_object_get(item, "detail")));
    }
    table_print(table);
    return EXIT_DONE;
}

const struct command COMMAND_AUDIT_LOG = {
    .name = "audit-log",
    .group = "Records",
    .summary = "every change that anyone made, hash-chained",
    .usage = "[flags]",
    .details =
        "--verify reads all of it and recomputes every hash (docs/formats/audit.md); keep the "
        "last hash that it prints: a later\n"
        "log that is whole but does not contain it was cut off and written anew.\n\n"
        "Examples:\n  lq audit-log -n 20\n  lq audit-log --after 100 --json\n  lq audit-log "
        "--verify",
    .flags = AUDIT_FLAGS,
    .flag_count = COUNT(AUDIT_FLAGS),
    .run = audit_log};

/* ---- events */

static const struct flag EVENTS_FLAGS[] = {
    {"follow", 'f', FLAG_BOOL, NULL, "go on until interrupted"},
    {"after", 0, FLAG_NUMBER, "SEQ", "from the event after this one on"},
    {"tenant", 't', FLAG_TEXT, "NAME", "of this tenant and those below"},
};

enum { EVENT_BYTES_MAX = 4 << 20, EVENTS_IDLE_MS = 700, EVENTS_RETRY_MS = 1000 };

struct event_reader {
    struct cli *cli;
    struct sse_reader sse;
    struct loop_timer idle; /* without -f: what is there has come when nothing comes for a while */
    uint64_t last;
    bool is_following, is_closed;
};

static void event_print(struct cli *cli, struct json_value root)
{
    printf("%6llu  %.*s  %-20.*s %.*s", (unsigned long long)api_u64(root, "seq"),
           SLICE_ARG(api_time(cli, root, "at")), SLICE_ARG(cli_safe(cli, api_string(root, "kind"))),
           SLICE_ARG(cli_safe(cli, api_string(root, "subject"))));
    struct slice body = json_source(json_object_get(root, "body"));
    if (body.len > 2)
        printf("  %.*s", SLICE_ARG(cli_safe(cli, body)));
    printf("\n");
}

static bool on_event_bytes(struct cli *cli, void *context, struct slice bytes)
{
    struct event_reader *reader = context;
    if (!reader->is_following)
        loop_timer_set(&reader->idle, SPAN_MS(EVENTS_IDLE_MS));
    while (bytes.len > 0) {
        size_t used;
        bool has_event;
        struct sse_event event;
        struct json_document *document;
        if (sse_read(&reader->sse, bytes, &used, &has_event, &event) != ERR_OK)
            return false;
        bytes.data += used;
        bytes.len -= used;
        if (!has_event || json_parse(event.data, &JSON_LIMITS_REQUEST, &document, NULL) != ERR_OK)
            continue;
        reader->last = api_u64(json_root(document), "seq");
        if (cli->is_json)
            printf("%.*s\n", SLICE_ARG(event.data));
        else
            event_print(cli, json_root(document));
        json_document_destroy(document);
    }
    reader->is_closed = fflush(stdout) != 0;
    return !reader->is_closed;
}

static void on_idle(void *context)
{
    struct event_reader *reader = context;
    reader->is_closed = true;
    loop_stop(reader->cli->loop);
}

static int events(struct cli *cli)
{
    struct event_reader reader = {
        .cli = cli, .is_following = cli_has(cli, "follow"), .last = cli_number(cli, "after", 0)};
    const char *tenant = cli_text(cli, "tenant", "");
    int code = cli_loop(cli);
    if (code != EXIT_DONE)
        return code;
    loop_timer_init(&reader.idle, cli->loop, on_idle, &reader);
    do {
        sse_reader_init(&reader.sse, EVENT_BYTES_MAX);
        if (!reader.is_following)
            loop_timer_set(&reader.idle, SPAN_MS(EVENTS_IDLE_MS * 3));
        code =
            api_stream(cli,
                       api_target(cli, "/v1/events?after=%llu%s%s", (unsigned long long)reader.last,
                                  *tenant ? "&tenant=" : "", api_escape(cli, tenant)),
                       "text/event-stream", &reader.is_closed, on_event_bytes, &reader);
        sse_reader_deinit(&reader.sse);
        loop_timer_stop(&reader.idle);
        /* A server that restarts ends the stream; nothing is lost by asking again. */
        if (reader.is_following && !reader.is_closed &&
            (code == EXIT_DONE || code == EXIT_UNREACHABLE))
            cli_pause(cli, SPAN_MS(EVENTS_RETRY_MS));
    } while (reader.is_following && !reader.is_closed &&
             (code == EXIT_DONE || code == EXIT_UNREACHABLE));
    return code;
}

const struct command COMMAND_EVENTS = {
    .name = "events",
    .group = "Records",
    .summary = "what happens to jobs and sites, as it happens",
    .usage = "[-f] [flags]",
    .details = "With --json one event a line. After a lost connection -f goes on where it was.\n\n"
               "Examples:\n  lq events -f\n  lq events --after 1200 --json",
    .flags = EVENTS_FLAGS,
    .flag_count = COUNT(EVENTS_FLAGS),
    .run = events};
