#include "sim/rtt_table.h"

#include "sim/trace.h"
#include "wire/csv.h"

#define RTT_US_MAX INT64_C(60000000)

static int find(const struct rtt_table *table, struct slice name)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (slice_is_equal(table->names[i], name))
            return (int)i;
    return -1;
}

int rtt_table_find(const struct rtt_table *table, const char *name)
{
    return find(table, slice_of(name));
}

static enum err row_read(const struct csv_reader *reader, struct rtt_table *table,
                         struct fault *fault)
{
    int row = find(table, slice_trim(reader->fields[0].value));
    if (row < 0)
        return ERR_OK; /* measured from there only */
    if (reader->field_count != table->count + 1)
        return csv_refuse(&reader->fields[0], fault, ERR_INVALID, "%u fields are wanted",
                          table->count + 1);
    for (uint32_t i = 0; i < table->count; i++) {
        struct slice text = slice_trim(reader->fields[i + 1].value);
        int64_t us = 0;
        if (text.len > 0 && (trace_decimal(text, 1000, RTT_US_MAX, &us) != ERR_OK || us < 0))
            return csv_refuse(&reader->fields[i + 1], fault, ERR_INVALID,
                              "milliseconds are wanted");
        table->us[row][i] = (uint32_t)us;
    }
    return ERR_OK;
}

enum err rtt_table_read(struct slice csv, struct arena *arena, struct rtt_table *out,
                        struct fault *fault)
{
    struct csv_reader *reader = arena_alloc(arena, sizeof(*reader));
    bool has = false;
    if (reader == NULL)
        return ERR_NO_MEMORY;
    csv_init(reader, csv, arena);
    enum err err = csv_next(reader, &has, fault);
    if (err != ERR_OK)
        return err;
    if (!has || reader->field_count < 2 || reader->field_count > RTT_TABLE_MAX)
        return fault_set(fault, ERR_INVALID, NULL, "a table of up to %d names is wanted",
                         RTT_TABLE_MAX - 1);
    out->count = reader->field_count - 1;
    for (uint32_t i = 0; i < out->count; i++)
        out->names[i] = slice_trim(reader->fields[i + 1].value);
    for (;;) {
        err = csv_next(reader, &has, fault);
        if (err != ERR_OK || !has)
            return err;
        err = row_read(reader, out, fault);
        if (err != ERR_OK)
            return err;
    }
}
