#include "wire/surplus.h"

#include <stdio.h>

#include "model/words.h"
#include "wire/spec.h"
#include "wire/value.h"
#include "wire/yaml.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { DAYS = 7, TEXT_MAX = 128, CLOCK_LEN = 5 };

static const char *const KEYS[] = {"reserve_nodes",
                                   "reclaim",
                                   "promise",
                                   "grace",
                                   "notice",
                                   "run_min",
                                   "zone",
                                   "windows",
                                   "floor_per_cpu_hour",
                                   "floor_per_card_hour",
                                   "exclude_tenants",
                                   "exclude_classes",
                                   "pools"};
static const char *const POOL_KEYS[] = {"nodes", "reserve_nodes", "windows"};
static const char *const RECLAIM_WORDS[SURPLUS_RECLAIM_COUNT_] = {
    [SURPLUS_BY_EITHER] = "either", [SURPLUS_BY_ENGINE] = "engine", [SURPLUS_BY_AGENT] = "agent"};
static const char *const DAY_WORDS[DAYS] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

/* ---- reading texts */

static enum err read_day(struct slice text, unsigned *out)
{
    for (unsigned i = 0; i < DAYS; i++)
        if (slice_is(text, DAY_WORDS[i])) {
            *out = i;
            return ERR_OK;
        }
    return ERR_INVALID;
}

/* "mon-fri,sun"; a range may pass the week's end. */
static enum err read_days(struct slice text, uint8_t *out)
{
    struct slice one, low, high;
    *out = 0;
    while (text.len > 0) {
        unsigned first, last;
        if (!slice_cut(text, ',', &one, &text)) {
            one = text;
            text = (struct slice){0};
        }
        bool is_range = slice_cut(one, '-', &low, &high);
        if (read_day(is_range ? low : one, &first) != ERR_OK ||
            read_day(is_range ? high : one, &last) != ERR_OK)
            return ERR_INVALID;
        for (unsigned day = first;; day = (day + 1) % DAYS) {
            *out |= (uint8_t)(1U << day);
            if (day == last)
                break;
        }
    }
    return *out != 0 ? ERR_OK : ERR_INVALID;
}

/* "19:00"; 24:00 is midnight at the day's end. */
static enum err read_clock(struct slice text, uint16_t *out_minute)
{
    uint64_t hour, minute;
    if (text.len != CLOCK_LEN || text.data[2] != ':' ||
        slice_parse_u64(slice_make(text.data, 2), &hour) != ERR_OK ||
        slice_parse_u64(slice_make(text.data + 3, 2), &minute) != ERR_OK || minute > 59 ||
        hour * 60 + minute > SURPLUS_DAY_MINUTES)
        return ERR_INVALID;
    *out_minute = (uint16_t)(hour * 60 + minute);
    return ERR_OK;
}

/* "mon-fri 19:00-07:00", or without days. */
static enum err read_window(struct slice text, struct surplus_window *out)
{
    struct slice days, hours = text, from, to;
    struct surplus_window window = {.days = SURPLUS_DAYS_ALL};
    if (slice_cut(text, ' ', &days, &hours) && read_days(days, &window.days) != ERR_OK)
        return ERR_INVALID;
    if (!slice_cut(hours, '-', &from, &to) || read_clock(from, &window.from_minute) != ERR_OK ||
        read_clock(to, &window.to_minute) != ERR_OK || window.from_minute == SURPLUS_DAY_MINUTES)
        return ERR_INVALID;
    *out = window;
    return ERR_OK;
}

/* "+08:00" */
static enum err read_zone(struct slice text, int32_t *out_minutes)
{
    uint16_t minutes;
    if (text.len != CLOCK_LEN + 1 || (text.data[0] != '+' && text.data[0] != '-') ||
        read_clock(slice_make(text.data + 1, CLOCK_LEN), &minutes) != ERR_OK ||
        minutes > SURPLUS_ZONE_MINUTES_MAX)
        return ERR_INVALID;
    *out_minutes = text.data[0] == '-' ? -(int32_t)minutes : (int32_t)minutes;
    return ERR_OK;
}

/* ---- members */

static void get_windows(struct value_reader *reader, struct surplus_windows *out)
{
    struct text_list list = {0};
    value_opt_list(reader, "windows", SURPLUS_WINDOWS_MAX, TEXT_MAX, &list);
    struct surplus_window *items = value_room(reader, list.count, sizeof(*items));
    for (uint32_t i = 0; reader->err == ERR_OK && i < list.count; i++)
        if (read_window(list.items[i], &items[i]) != ERR_OK)
            value_refuse(reader, "windows", ERR_INVALID,
                         "must be like \"mon-fri 19:00-07:00\" or \"22:00-06:00\"");
    *out = (struct surplus_windows){items, list.count};
}

static void get_zone(struct value_reader *reader, int32_t *out)
{
    struct slice text = {0};
    value_opt_string(reader, "zone", TEXT_MAX, &text);
    if (reader->err == ERR_OK && text.len > 0 && read_zone(text, out) != ERR_OK)
        value_refuse(reader, "zone", ERR_INVALID, "must be like \"+08:00\", at most 14 hours");
}

static void get_notice(struct value_reader *reader, int *out)
{
    struct slice text = {0};
    int32_t number = 0;
    value_opt_string(reader, "notice", TEXT_MAX, &text);
    if (reader->err == ERR_OK && text.len > 0 && signal_parse(text, &number) != ERR_OK)
        value_refuse(reader, "notice", ERR_INVALID, "must be HUP, INT, USR1, USR2 or TERM");
    *out = number;
}

static void get_classes(struct value_reader *reader, uint32_t *out)
{
    struct text_list list = {0};
    unsigned class;
    value_opt_list(reader, "exclude_classes", PRIORITY_COUNT_, TEXT_MAX, &list);
    for (uint32_t i = 0; reader->err == ERR_OK && i < list.count; i++) {
        if (words_find(PRIORITY_WORDS, PRIORITY_COUNT_, list.items[i], &class) == ERR_OK)
            *out |= UINT32_C(1) << class;
        else
            value_refuse(reader, "exclude_classes", ERR_INVALID,
                         "must be of surplus, standard, guaranteed");
    }
}

static enum err get_pool(struct json_value value, struct arena *arena, struct surplus_pool *out,
                         struct fault *fault)
{
    struct value_reader reader;
    value_begin(&reader, value, POOL_KEYS, COUNT(POOL_KEYS), arena, fault);
    value_opt_list(&reader, "nodes", SURPLUS_NAMES_MAX, NAME_MAX, &out->nodes);
    if (reader.err == ERR_OK && out->nodes.count == 0)
        value_refuse(&reader, "nodes", ERR_INVALID, "must name nodes");
    value_opt_u32(&reader, "reserve_nodes", 0, UINT16_MAX, &out->reserve_nodes);
    get_windows(&reader, &out->windows);
    return reader.err;
}

static void get_pools(struct value_reader *reader, struct surplus *out)
{
    struct json_value list;
    value_opt_array(reader, "pools", SURPLUS_POOLS_MAX, &list);
    struct surplus_pool *pools = value_room(reader, json_count(list), sizeof(*pools));
    struct json_iterator it = json_iterate(list);
    while (reader->err == ERR_OK && json_next(&it))
        reader->err = get_pool(it.value, reader->arena, &pools[it.index], reader->fault);
    out->pools = pools;
    out->pool_count = (uint32_t)json_count(list);
}

enum err surplus_decode(struct json_value value, struct arena *arena, struct surplus *out,
                        struct fault *fault)
{
    struct value_reader reader;
    struct surplus surplus = {0};
    unsigned reclaim = SURPLUS_BY_EITHER;
    value_begin(&reader, value, KEYS, COUNT(KEYS), arena, fault);
    value_opt_u32(&reader, "reserve_nodes", 0, UINT16_MAX, &surplus.reserve_nodes);
    value_opt_choice(&reader, "reclaim", RECLAIM_WORDS, SURPLUS_RECLAIM_COUNT_, &reclaim);
    value_opt_span(&reader, "promise", &surplus.promise);
    value_opt_span(&reader, "grace", &surplus.grace);
    get_notice(&reader, &surplus.notice);
    value_opt_span(&reader, "run_min", &surplus.run_min);
    get_zone(&reader, &surplus.zone_minutes);
    get_windows(&reader, &surplus.windows);
    value_opt_maybe_money(&reader, "floor_per_cpu_hour", &surplus.floor_cpu);
    value_opt_maybe_money(&reader, "floor_per_card_hour", &surplus.floor_accelerator);
    value_opt_list(&reader, "exclude_tenants", SURPLUS_NAMES_MAX, NAME_MAX,
                   &surplus.tenants_excluded);
    get_classes(&reader, &surplus.classes_excluded);
    get_pools(&reader, &surplus);
    surplus.reclaim = (enum surplus_reclaim)reclaim;
    if (reader.err == ERR_OK && surplus.promise.ms > 0 && surplus.grace.ms >= surplus.promise.ms)
        value_refuse(&reader, "grace", ERR_INVALID, "must be shorter than the promise");
    if (reader.err == ERR_OK)
        *out = surplus;
    return reader.err;
}

enum err surplus_parse(struct slice text, struct arena *arena, struct surplus *out,
                       struct fault *fault)
{
    struct json_document *document = NULL;
    enum err err = yaml_parse(text, &YAML_LIMITS, &document, fault);
    if (err != ERR_OK)
        return err;
    err = surplus_decode(json_root(document), arena, out, fault);
    json_document_destroy(document);
    return err;
}

/* ---- writing */

static void put_windows(struct json_writer *writer, const struct surplus_windows *windows)
{
    if (windows->count == 0)
        return;
    json_key(writer, "windows");
    json_begin_array(writer);
    for (uint32_t i = 0; i < windows->count; i++) {
        const struct surplus_window *window = &windows->items[i];
        char text[TEXT_MAX];
        int len = 0;
        for (unsigned day = 0; day < DAYS && window->days != SURPLUS_DAYS_ALL; day++)
            if ((window->days >> day & 1) != 0)
                len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%s", len > 0 ? "," : "",
                                DAY_WORDS[day]);
        (void)snprintf(text + len, sizeof(text) - (size_t)len, "%s%02d:%02d-%02d:%02d",
                       len > 0 ? " " : "", window->from_minute / 60, window->from_minute % 60,
                       window->to_minute / 60, window->to_minute % 60);
        json_text(writer, text);
    }
    json_end_array(writer);
}

static void put_zone(struct json_writer *writer, int32_t zone_minutes)
{
    char text[TEXT_MAX];
    int32_t size = zone_minutes < 0 ? -zone_minutes : zone_minutes;
    if (zone_minutes == 0)
        return;
    (void)snprintf(text, sizeof(text), "%c%02d:%02d", zone_minutes < 0 ? '-' : '+', size / 60,
                   size % 60);
    json_put_text(writer, "zone", text);
}

static void put_classes(struct json_writer *writer, uint32_t classes)
{
    if (classes == 0)
        return;
    json_key(writer, "exclude_classes");
    json_begin_array(writer);
    for (unsigned class = 0; class < PRIORITY_COUNT_; class ++)
        if ((classes >> class & 1) != 0)
            json_text(writer, PRIORITY_WORDS[class]);
    json_end_array(writer);
}

static void put_pools(struct json_writer *writer, const struct surplus *surplus)
{
    if (surplus->pool_count == 0)
        return;
    json_key(writer, "pools");
    json_begin_array(writer);
    for (uint32_t i = 0; i < surplus->pool_count; i++) {
        const struct surplus_pool *pool = &surplus->pools[i];
        json_begin_object(writer);
        value_put_list(writer, "nodes", &pool->nodes);
        if (pool->reserve_nodes > 0)
            json_put_u64(writer, "reserve_nodes", pool->reserve_nodes);
        put_windows(writer, &pool->windows);
        json_end_object(writer);
    }
    json_end_array(writer);
}

void surplus_encode(const struct surplus *surplus, struct json_writer *writer)
{
    json_begin_object(writer);
    if (surplus->reserve_nodes > 0)
        json_put_u64(writer, "reserve_nodes", surplus->reserve_nodes);
    if (surplus->reclaim != SURPLUS_BY_EITHER)
        json_put_text(writer, "reclaim", RECLAIM_WORDS[surplus->reclaim]);
    value_put_span(writer, "promise", surplus->promise);
    value_put_span(writer, "grace", surplus->grace);
    if (surplus->notice != 0)
        json_put_text(writer, "notice", signal_word(surplus->notice));
    value_put_span(writer, "run_min", surplus->run_min);
    put_zone(writer, surplus->zone_minutes);
    put_windows(writer, &surplus->windows);
    value_put_money(writer, "floor_per_cpu_hour", surplus->floor_cpu);
    value_put_money(writer, "floor_per_card_hour", surplus->floor_accelerator);
    value_put_list(writer, "exclude_tenants", &surplus->tenants_excluded);
    put_classes(writer, surplus->classes_excluded);
    put_pools(writer, surplus);
    json_end_object(writer);
}
