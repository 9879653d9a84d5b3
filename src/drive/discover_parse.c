#include "drive/discover_parse.h"

#include <string.h>

#include "wire/json.h"

enum { CELLS_MAX = 8, WORDS_MAX = 48, KUNLUN_COLUMNS = 30 };
#define MIB ((uint64_t)1 << 20)

/* ---- small pieces */

static struct discovered_device *add(struct discovered *out, enum runtime runtime, uint64_t index)
{
    if (out->device_count == DISCOVER_DEVICES_MAX || index >= DISCOVER_DEVICES_MAX)
        return NULL;
    struct discovered_device *device = &out->devices[out->device_count++];
    *device = (struct discovered_device){
        .index = (uint32_t)index, .runtime = runtime, .util_percent = -1, .is_healthy = true};
    return device;
}

static void set_name(struct discovered_device *device, struct slice name)
{
    name = slice_trim(name);
    if (name.len >= sizeof(device->name))
        name.len = sizeof(device->name) - 1;
    size_t len = 0;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] >= 0x20 && (unsigned char)name.data[i] < 0x7f)
            device->name[len++] = name.data[i];
    device->name[len] = '\0';
}

/* The number that a text begins with, after spaces. */
static bool number_at(struct slice text, uint64_t *out)
{
    size_t len = 0;
    text = slice_trim(text);
    while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9')
        len++;
    return len != 0 && slice_parse_u64(slice_make(text.data, len), out) == ERR_OK;
}

static uint64_t scaled(uint64_t value, uint64_t unit)
{
    return value > UINT64_MAX / unit ? 0 : value * unit;
}

static void set_memory(struct discovered_device *device, struct slice used, struct slice total,
                       uint64_t unit)
{
    uint64_t value;
    if (number_at(total, &value))
        device->mem_bytes = scaled(value, unit);
    if (number_at(used, &value))
        device->mem_used_bytes = scaled(value, unit);
}

static void set_util(struct discovered_device *device, struct slice text)
{
    uint64_t value;
    if (number_at(text, &value) && value <= 100)
        device->util_percent = (int32_t)value;
}

static bool next_line(struct slice *rest, struct slice *out_line)
{
    if (rest->len == 0)
        return false;
    if (!slice_cut(*rest, '\n', out_line, rest)) {
        *out_line = *rest;
        rest->len = 0;
    }
    if (out_line->len != 0 && out_line->data[out_line->len - 1] == '\r')
        out_line->len--;
    return true;
}

/* Cells between '|', without the empty ones before the first and after the last. */
static uint32_t split_cells(struct slice line, struct slice cells[CELLS_MAX])
{
    uint32_t count = 0;
    struct slice head;
    line = slice_trim(line);
    if (line.len != 0 && line.data[0] == '|')
        line = slice_make(line.data + 1, line.len - 1);
    while (count < CELLS_MAX && slice_cut(line, '|', &head, &line))
        cells[count++] = slice_trim(head);
    if (count < CELLS_MAX && slice_trim(line).len != 0)
        cells[count++] = slice_trim(line);
    return count;
}

/* Words between spaces; a text in quotes is one word. */
static uint32_t split_words(struct slice line, struct slice words[WORDS_MAX])
{
    uint32_t count = 0;
    size_t at = 0;
    while (count < WORDS_MAX) {
        while (at < line.len && (line.data[at] == ' ' || line.data[at] == '\t'))
            at++;
        if (at == line.len)
            break;
        char quote = line.data[at] == '"' || line.data[at] == '\'' ? line.data[at] : '\0';
        size_t from = quote != '\0' ? ++at : at;
        while (at < line.len && (quote != '\0' ? line.data[at] != quote
                                               : line.data[at] != ' ' && line.data[at] != '\t'))
            at++;
        words[count++] = slice_make(line.data + from, at - from);
        if (quote != '\0' && at < line.len)
            at++;
    }
    return count;
}

/* Splits "used / total" or "used(total)". */
static bool split_memory(struct slice text, char separator, struct slice *used, struct slice *total)
{
    return slice_cut(text, separator, used, total);
}

/* ---- NVIDIA */

uint32_t discover_parse_nvidia(struct slice text, struct discovered *out)
{
    struct slice line;
    uint32_t before = out->device_count;
    while (next_line(&text, &line)) {
        struct slice index, name, total, used, util;
        uint64_t number;
        if (!slice_cut(line, ',', &index, &line) || !slice_cut(line, ',', &name, &line) ||
            !slice_cut(line, ',', &total, &line) || !slice_cut(line, ',', &used, &util) ||
            !number_at(index, &number))
            continue;
        struct discovered_device *device = add(out, RUNTIME_CUDA, number);
        if (device == NULL)
            break;
        set_name(device, name);
        set_memory(device, used, total, MIB);
        set_util(device, util);
    }
    return out->device_count - before;
}

/* ---- Ascend */

static void npu_second_line(struct discovered_device *device, const struct slice *cells)
{
    struct slice words[WORDS_MAX], used, total;
    uint64_t number;
    /* "0  3": chip and physical id; "0": the chip alone */
    if (split_words(cells[0], words) >= 2 && number_at(words[1], &number) &&
        number < DISCOVER_DEVICES_MAX)
        device->index = (uint32_t)number;
    uint32_t count = split_words(cells[2], words);
    if (count != 0)
        set_util(device, words[0]);
    /* The last pair is the high-bandwidth memory; older chips have one pair only. */
    size_t slash = cells[2].len;
    while (slash != 0 && cells[2].data[slash - 1] != '/')
        slash--;
    if (slash == 0 || count < 2)
        return;
    total = slice_make(cells[2].data + slash, cells[2].len - slash);
    size_t end = slash - 1, from;
    while (end != 0 && cells[2].data[end - 1] == ' ')
        end--;
    from = end;
    while (from != 0 && cells[2].data[from - 1] >= '0' && cells[2].data[from - 1] <= '9')
        from--;
    used = slice_make(cells[2].data + from, end - from);
    set_memory(device, used, total, MIB);
}

uint32_t discover_parse_npu(struct slice text, struct discovered *out)
{
    struct slice line, cells[CELLS_MAX], words[WORDS_MAX];
    uint32_t before = out->device_count;
    struct discovered_device *open = NULL; /* its second line is due */
    while (next_line(&text, &line)) {
        uint64_t number;
        if (line.len == 0 || line.data[0] != '|') {
            open = NULL;
            continue;
        }
        uint32_t count = split_cells(line, cells);
        if (count != 3 || !number_at(cells[0], &number)) {
            open = NULL; /* heads, versions, processes */
        } else if (open != NULL) {
            npu_second_line(open, cells);
            open = NULL;
        } else if (split_words(cells[0], words) == 2 &&
                   slice_parse_u64(words[0], &number) == ERR_OK) {
            open = add(out, RUNTIME_CANN, out->device_count - before);
            if (open == NULL)
                break;
            set_name(open, words[1]);
            open->is_healthy = slice_is(cells[1], "OK");
        }
    }
    return out->device_count - before;
}

/* ---- AMD and Hygon */

static struct slice member(struct json_value card, const char *const names[], size_t count)
{
    struct slice text = {0};
    for (size_t i = 0; i < count; i++)
        if (json_to_string(json_object_get(card, names[i]), 256, &text, NULL) == ERR_OK)
            return text;
    return (struct slice){0};
}
#define MEMBER(card, ...)                                                                          \
    member(card, (const char *const[]){__VA_ARGS__},                                               \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void rocm_card(struct json_value card, struct slice key, enum runtime runtime,
                      struct discovered *out)
{
    uint64_t number;
    if (!slice_has_prefix(key, SLICE_LITERAL("card")) ||
        !number_at(slice_make(key.data + 4, key.len - 4), &number))
        return; /* "system": versions */
    struct discovered_device *device = add(out, runtime, number);
    if (device == NULL)
        return;
    set_name(device, MEMBER(card, "Card Series", "Card series", "Card Model", "Card model"));
    set_memory(device, MEMBER(card, "VRAM Total Used Memory (B)", "vram Total Used Memory (B)"),
               MEMBER(card, "VRAM Total Memory (B)", "vram Total Memory (B)"), 1);
    if (device->mem_bytes == 0) /* Hygon's */
        set_memory(device, (struct slice){0}, MEMBER(card, "Available memory size (MiB)"), MIB);
    set_util(device, MEMBER(card, "GPU use (%)", "DCU use (%)", "HCU use (%)"));
}

uint32_t discover_parse_rocm(struct slice text, enum runtime runtime, struct discovered *out)
{
    static const struct json_limits limits = {1 << 20, 6, 20000};
    struct json_document *document = NULL;
    uint32_t before = out->device_count;
    const char *brace = text.len == 0 ? NULL : memchr(text.data, '{', text.len);
    if (brace == NULL) /* warnings may stand before it */
        return 0;
    text = slice_make(brace, text.len - (size_t)(brace - text.data));
    if (json_parse(text, &limits, &document, NULL) != ERR_OK)
        return 0;
    struct json_iterator it = json_iterate(json_root(document));
    while (it.is_object && json_next(&it))
        rocm_card(it.value, it.key, runtime, out);
    json_document_destroy(document);
    return out->device_count - before;
}

/* ---- Moore Threads */

uint32_t discover_parse_mthreads(struct slice text, struct discovered *out)
{
    struct slice line, cells[CELLS_MAX];
    uint32_t before = out->device_count;
    while (next_line(&text, &line)) {
        struct slice index, name, util, memory, used, total;
        uint64_t number;
        if (line.len == 0 || line.data[0] < '0' || line.data[0] > '9' ||
            split_cells(line, cells) != 3 || !slice_cut(cells[0], ' ', &index, &name) ||
            !number_at(index, &number) || !slice_cut(cells[2], ' ', &util, &memory) ||
            !split_memory(memory, '(', &used, &total))
            continue;
        struct discovered_device *device = add(out, RUNTIME_MUSA, number);
        if (device == NULL)
            break;
        set_name(device, name);
        set_memory(device, used, total, MIB);
        set_util(device, util);
    }
    return out->device_count - before;
}

/* ---- Cambricon */

uint32_t discover_parse_cnmon(struct slice text, struct discovered *out)
{
    struct slice line;
    uint32_t before = out->device_count;
    struct discovered_device *device = NULL;
    bool is_physical = false;
    while (next_line(&text, &line)) {
        struct slice key = slice_trim(line), value = {0}, rest;
        uint64_t number;
        if (slice_has_prefix(key, SLICE_LITERAL("Card ")) &&
            number_at(slice_make(key.data + 5, key.len - 5), &number)) {
            device = add(out, RUNTIME_BANG, number);
            is_physical = false;
            continue;
        }
        if (slice_cut(key, ':', &rest, &value))
            key = slice_trim(rest);
        if (slice_is(key, "Physical Memory Usage"))
            is_physical = true;
        else if (slice_is(key, "Virtual Memory Usage") || slice_is(key, "Channel Memory Usage"))
            is_physical = false;
        if (device == NULL)
            continue;
        if (slice_is(key, "Product Name"))
            set_name(device, value);
        else if (is_physical && slice_is(key, "Total"))
            set_memory(device, (struct slice){0}, value, MIB);
        else if (is_physical && slice_is(key, "Used"))
            set_memory(device, value, (struct slice){0}, MIB);
    }
    return out->device_count - before;
}

/* ---- Kunlunxin */

uint32_t discover_parse_kunlun(struct slice text, struct discovered *out)
{
    enum { DEVICE = 1, USED = 17, TOTAL = 18, UTIL = 19, NAME = 21 };
    struct slice line, words[WORDS_MAX];
    uint32_t before = out->device_count;
    while (next_line(&text, &line)) {
        uint64_t number, total;
        if (split_words(line, words) < KUNLUN_COLUMNS ||
            slice_parse_u64(words[DEVICE], &number) != ERR_OK ||
            slice_parse_u64(words[TOTAL], &total) != ERR_OK)
            continue;
        struct discovered_device *device = add(out, RUNTIME_XPU, number);
        if (device == NULL)
            break;
        set_name(device, words[NAME]);
        set_memory(device, words[USED], words[TOTAL], MIB);
        set_util(device, words[UTIL]);
    }
    return out->device_count - before;
}

/* ---- MetaX */

uint32_t discover_parse_metax(struct slice text, struct discovered *out)
{
    struct slice line, cells[CELLS_MAX];
    uint32_t before = out->device_count;
    struct discovered_device *open = NULL;
    while (next_line(&text, &line)) {
        struct slice index, name, used, total;
        uint64_t number;
        uint32_t count = split_cells(line, cells);
        if (count < 2 || line.len == 0 || line.data[0] != '|') {
            open = NULL;
            continue;
        }
        if (open != NULL && split_memory(cells[1], '/', &used, &total)) {
            set_memory(open, used, total, MIB);
            open = NULL;
        } else if (slice_cut(cells[0], ' ', &index, &name) &&
                   slice_parse_u64(index, &number) == ERR_OK &&
                   slice_has_prefix(slice_trim(name), SLICE_LITERAL("MetaX"))) {
            open = add(out, RUNTIME_MACA, number);
            if (open == NULL)
                break;
            set_name(open, name);
            if (count > 2)
                set_util(open, cells[2]);
        }
    }
    return out->device_count - before;
}

/* ---- OpenCL */

/* PoCL names a processor after its make and instruction set, differently by version; as a chip to
 * be placed on and priced it is one. */
static struct slice opencl_model(struct slice type, struct slice platform, struct slice name)
{
    bool is_pocl = slice_is(platform, "Portable Computing Language") && slice_is(type, "cpu");
    return is_pocl ? SLICE_LITERAL(CATALOGUE_POCL_MODEL) : name;
}

uint32_t discover_parse_opencl(struct slice text, struct discovered *out)
{
    struct slice line;
    uint32_t before = out->device_count;
    while (next_line(&text, &line)) {
        struct slice index, type, memory, platform, name;
        uint64_t number;
        if (!slice_cut(line, '\t', &index, &line) || !slice_cut(line, '\t', &type, &line) ||
            !slice_cut(line, '\t', &memory, &line) || !slice_cut(line, '\t', &platform, &name) ||
            slice_parse_u64(index, &number) != ERR_OK)
            continue;
        struct discovered_device *device = add(out, RUNTIME_OPENCL, number);
        if (device == NULL)
            break;
        set_name(device, opencl_model(type, platform, name));
        set_memory(device, (struct slice){0}, memory, 1);
    }
    return out->device_count - before;
}
