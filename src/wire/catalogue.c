#include "wire/catalogue.h"

#include <string.h>

#include "base/money.h"
#include "model/name.h"
#include "wire/csv.h"

enum column {
    COLUMN_VENDOR,
    COLUMN_MODEL,
    COLUMN_FP16,
    COLUMN_MEMORY,
    COLUMN_BANDWIDTH,
    COLUMN_TDP,
    COLUMN_VISIBLE,
    COLUMN_MONITOR,
    COLUMN_SOURCE,
    COLUMN_CONFIDENCE,
    COLUMN_NOTES,
    COLUMN_COUNT_
};

static const char *const COLUMN_NAMES[COLUMN_COUNT_] = {
    [COLUMN_VENDOR] = "vendor",
    [COLUMN_MODEL] = "model",
    [COLUMN_FP16] = "fp16_bf16_tflops_dense",
    [COLUMN_MEMORY] = "memory_gb",
    [COLUMN_BANDWIDTH] = "mem_bw_gb_s",
    [COLUMN_TDP] = "tdp_w",
    [COLUMN_VISIBLE] = "visible_env_process",
    [COLUMN_MONITOR] = "monitor_tool",
    [COLUMN_SOURCE] = "source",
    [COLUMN_CONFIDENCE] = "confidence",
    [COLUMN_NOTES] = "notes",
};

struct table {
    struct csv_reader reader;
    int columns[COLUMN_COUNT_]; /* -1: not in the file */
    struct csv_field missing;
};

static const struct csv_field *cell(const struct table *table, enum column column)
{
    return table->columns[column] < 0 ? &table->missing
                                      : &table->reader.fields[table->columns[column]];
}

/* Empty stays empty: a cell without a number leaves `out` without one. `scale` units in one. */
static enum err read_number(const struct table *table, enum column column, uint64_t scale,
                            struct maybe_u64 *out, struct fault *fault)
{
    const struct csv_field *field = cell(table, column);
    struct slice text = slice_trim(field->value);
    struct money number;
    uint64_t micros;

    if (text.len == 0)
        return ERR_OK;
    if (money_parse(text, &number) != ERR_OK || number.micros <= 0 ||
        (uint64_t)number.micros > UINT64_C(1000000000000)) /* a million of any unit here */
        return csv_refuse(field, fault, ERR_INVALID,
                          "%s: must be a number between 0 and 1000000, or empty",
                          COLUMN_NAMES[column]);
    micros = (uint64_t)number.micros;
    /* In two steps, so that neither product can overflow. */
    *out = MAYBE_U64(micros / 1000000 * scale + micros % 1000000 * (scale / 1000) / 1000);
    return ERR_OK;
}

static enum err read_text(const struct table *table, enum column column, struct arena *arena,
                          struct slice *out, struct fault *fault)
{
    struct slice text = slice_trim(cell(table, column)->value), copy = {"", 0};

    if (text.len > SOURCE_MAX)
        return csv_refuse(cell(table, column), fault, ERR_LIMIT, "%s: at most %d bytes",
                          COLUMN_NAMES[column], SOURCE_MAX);
    if (text.len > 0 && !slice_is_utf8(text))
        return csv_refuse(cell(table, column), fault, ERR_INVALID, "%s: is not valid UTF-8",
                          COLUMN_NAMES[column]);
    if (text.len > 0)
        copy = arena_copy(arena, text);
    if (copy.data == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for the catalogue");
    *out = copy;
    return ERR_OK;
}

/* The first name of a variable in a cell that may say more ("A / B", "A (remark)", "(device
 * nodes)"). */
static struct slice first_variable(struct slice text)
{
    size_t len = 0;

    while (len < text.len &&
           ((text.data[len] >= 'A' && text.data[len] <= 'Z') ||
            (text.data[len] >= '0' && text.data[len] <= '9') || text.data[len] == '_'))
        len++;
    return len == 0 ? (struct slice){"", 0} : slice_make(text.data, len);
}

static enum err read_row(const struct table *table, struct arena *arena, struct accelerator *out,
                         struct fault *fault)
{
    const uint64_t gib = UINT64_C(1) << 30;
    enum err err;

    if ((err = read_text(table, COLUMN_VENDOR, arena, &out->vendor, fault)) != ERR_OK ||
        (err = read_text(table, COLUMN_MODEL, arena, &out->model, fault)) != ERR_OK ||
        (err = read_text(table, COLUMN_VISIBLE, arena, &out->visible_env, fault)) != ERR_OK ||
        (err = read_text(table, COLUMN_MONITOR, arena, &out->monitor_tool, fault)) != ERR_OK ||
        (err = read_text(table, COLUMN_CONFIDENCE, arena, &out->confidence, fault)) != ERR_OK ||
        (err = read_text(table, COLUMN_SOURCE, arena, &out->source, fault)) != ERR_OK ||
        (err = read_text(table, COLUMN_NOTES, arena, &out->notes, fault)) != ERR_OK)
        return err;
    out->visible_env = first_variable(out->visible_env);
    if (out->model.len == 0)
        return csv_refuse(cell(table, COLUMN_MODEL), fault, ERR_INVALID, "model: is required");
    if (catalogue_vendor(out->vendor, &out->runtime, &out->is_domestic) != ERR_OK)
        return csv_refuse(cell(table, COLUMN_VENDOR), fault, ERR_INVALID,
                          "vendor: '%.*s' is not known here, so neither is its runtime",
                          out->vendor.len > 64 ? 64 : (int)out->vendor.len, out->vendor.data);
    /* Vendors' "80 GB" of device memory is 80 GiB: 81,920 MiB by their own tools. */
    if ((err = read_number(table, COLUMN_FP16, 1000, &out->fp16_gflops, fault)) != ERR_OK ||
        (err = read_number(table, COLUMN_MEMORY, gib, &out->mem_bytes, fault)) != ERR_OK ||
        (err = read_number(table, COLUMN_BANDWIDTH, 1000000000, &out->mem_bytes_per_s, fault)) !=
            ERR_OK)
        return err;
    return read_number(table, COLUMN_TDP, 1000, &out->tdp_mw, fault);
}

static enum err read_header(struct table *table, struct fault *fault)
{
    bool has = false;
    enum err err = csv_next(&table->reader, &has, fault);

    if (err != ERR_OK)
        return err;
    if (!has)
        return fault_set(fault, ERR_INVALID, NULL,
                         "the file is empty; its first line names the "
                         "columns");
    for (int i = 0; i < COLUMN_COUNT_; i++)
        table->columns[i] = csv_column(&table->reader, COLUMN_NAMES[i]);
    if (table->columns[COLUMN_VENDOR] < 0 || table->columns[COLUMN_MODEL] < 0)
        return csv_refuse(&table->reader.fields[0], fault, ERR_INVALID,
                          "the columns vendor and model are required");
    return ERR_OK;
}

enum err catalogue_decode(struct slice csv, struct arena *arena, struct catalogue *out,
                          struct fault *fault)
{
    struct accelerator *rows = arena_array(arena, CATALOGUE_ROWS_MAX, sizeof(*rows));
    struct table *table = arena_alloc(arena, sizeof(*table));
    struct catalogue catalogue = {.rows = rows};
    uint32_t columns;
    enum err err;

    if (rows == NULL || table == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for the catalogue");
    csv_init(&table->reader, csv, arena);
    err = read_header(table, fault);
    columns = table->reader.field_count;
    while (err == ERR_OK) {
        bool has = false;
        err = csv_next(&table->reader, &has, fault);
        if (err != ERR_OK || !has)
            break;
        if (table->reader.field_count != columns)
            return csv_refuse(&table->reader.fields[0], fault, ERR_INVALID,
                              "the line has %u fields, the header %u", table->reader.field_count,
                              columns);
        if (catalogue.count == CATALOGUE_ROWS_MAX)
            return csv_refuse(&table->reader.fields[0], fault, ERR_LIMIT, "at most %d rows",
                              CATALOGUE_ROWS_MAX);
        err = read_row(table, arena, &rows[catalogue.count], fault);
        if (err == ERR_OK)
            catalogue.count++;
    }
    if (err == ERR_OK)
        err = catalogue_check(&catalogue, fault);
    if (err == ERR_OK)
        *out = catalogue;
    return err;
}
