/* Hourly tables of price and carbon. */
#include <string.h>

#include "sim/shift.h"
#include "wire/csv.h"

#define FIGURE_MAX INT64_C(1000000000000)

struct series_table {
    struct csv_reader reader;
    struct slice hour;
};

static enum err row_next(struct series_table *table, const char *name, bool *out_has,
                         struct fault *fault)
{
    enum err err = csv_next(&table->reader, out_has, fault);
    if (err != ERR_OK)
        fault_prefix(fault, name);
    else if (*out_has)
        table->hour = table->reader.fields[0].value;
    return err;
}

static enum err figure(const struct series_table *table, int column, int64_t unit, const char *name,
                       int64_t *out, struct fault *fault)
{
    if (column >= (int)table->reader.field_count)
        return csv_refuse(&table->reader.fields[0], fault, ERR_INVALID, "%s: the line is too short",
                          name);
    const struct csv_field *field = &table->reader.fields[column];
    enum err err = trace_decimal(slice_trim(field->value), unit, FIGURE_MAX, out);
    if (err == ERR_OK)
        return ERR_OK;
    return csv_refuse(field, fault, err, "%s: a number is wanted; an empty figure is not zero",
                      name);
}

struct columns {
    int price[SHIFT_ZONES_MAX], carbon[SHIFT_ZONES_MAX];
};

static enum err zones_find(const struct series_table *price, const struct series_table *carbon,
                           struct arena *arena, struct shift_data *out, struct columns *columns,
                           struct fault *fault)
{
    for (uint32_t c = 1; c < carbon->reader.field_count; c++)
        for (uint32_t p = 1; p < price->reader.field_count; p++) {
            if (!slice_is_equal(carbon->reader.fields[c].value, price->reader.fields[p].value) ||
                out->zone_count == SHIFT_ZONES_MAX)
                continue;
            struct shift_zone *zone = &out->zones[out->zone_count];
            zone->name = carbon->reader.fields[c].value;
            zone->price_micros = arena_array(arena, SHIFT_SERIES_MAX, sizeof(int64_t));
            zone->carbon_mg = arena_array(arena, SHIFT_SERIES_MAX, sizeof(int64_t));
            zone->cost_micros = arena_array(arena, SHIFT_SERIES_MAX, sizeof(int64_t));
            if (zone->price_micros == NULL || zone->carbon_mg == NULL || zone->cost_micros == NULL)
                return ERR_NO_MEMORY;
            columns->price[out->zone_count] = (int)p;
            columns->carbon[out->zone_count++] = (int)c;
        }
    if (out->zone_count == 0)
        return fault_set(fault, ERR_INVALID, NULL, "the tables have no zone in common");
    return ERR_OK;
}

enum err shift_data_read(struct slice price_csv, struct slice carbon_csv, struct arena *arena,
                         struct shift_data *out, struct fault *fault)
{
    struct series_table *price = arena_alloc(arena, sizeof(*price));
    struct series_table *carbon = arena_alloc(arena, sizeof(*carbon));
    struct columns columns;
    bool has = false, has_other = false;
    if (price == NULL || carbon == NULL)
        return ERR_NO_MEMORY;
    memset(out, 0, sizeof(*out));
    csv_init(&price->reader, price_csv, arena);
    csv_init(&carbon->reader, carbon_csv, arena);
    enum err err = row_next(price, "price", &has, fault);
    if (err == ERR_OK)
        err = row_next(carbon, "carbon", &has_other, fault);
    if (err == ERR_OK && (!has || !has_other))
        err = fault_set(fault, ERR_INVALID, NULL, "an hourly table is empty");
    if (err == ERR_OK)
        err = zones_find(price, carbon, arena, out, &columns, fault);
    while (err == ERR_OK) {
        err = row_next(price, "price", &has, fault);
        if (err == ERR_OK)
            err = row_next(carbon, "carbon", &has_other, fault);
        if (err != ERR_OK || !has || !has_other)
            break;
        if (out->hours == SHIFT_SERIES_MAX)
            return fault_set(fault, ERR_LIMIT, NULL, "more than a year of hours");
        if (!slice_is_equal(price->hour, carbon->hour))
            return csv_refuse(&price->reader.fields[0], fault, ERR_INVALID,
                              "the tables are not of the same hours");
        for (uint32_t z = 0; err == ERR_OK && z < out->zone_count; z++) {
            struct shift_zone *zone = &out->zones[z];
            /* 1 USD/MWh is 1,000 micros a kWh; 1 g is 1,000 mg. */
            err = figure(price, columns.price[z], 1000, "price", &zone->price_micros[out->hours],
                         fault);
            if (err == ERR_OK)
                err = figure(carbon, columns.carbon[z], 1000, "carbon",
                             &zone->carbon_mg[out->hours], fault);
        }
        out->hours++;
    }
    if (err == ERR_OK && (has != has_other || out->hours == 0))
        err = fault_set(fault, ERR_INVALID, NULL, "the tables are not of the same hours");
    return err;
}
