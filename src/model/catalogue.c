#include "model/catalogue.h"

#include <stdio.h>
#include <string.h>

#include "model/name.h"

struct vendor {
    const char *name;
    enum runtime runtime;
    bool is_domestic;
};

/* Where a vendor's company is at home is a fact about the company, not about a single chip. */
static const struct vendor VENDORS[] = {
    {"NVIDIA", RUNTIME_CUDA, false},  {"AMD", RUNTIME_ROCM, false},
    {"Huawei", RUNTIME_CANN, true},   {"Cambricon", RUNTIME_BANG, true},
    {"Hygon", RUNTIME_DTK, true},     {"Moore Threads", RUNTIME_MUSA, true},
    {"Kunlunxin", RUNTIME_XPU, true}, {"MetaX", RUNTIME_MACA, true},
    {"PoCL", RUNTIME_OPENCL, false},
};

enum err catalogue_vendor(struct slice vendor, enum runtime *out_runtime, bool *out_is_domestic)
{
    for (size_t i = 0; i < sizeof(VENDORS) / sizeof(VENDORS[0]); i++) {
        if (!name_is_equal_caseless(slice_of(VENDORS[i].name), vendor))
            continue;
        *out_runtime = VENDORS[i].runtime;
        *out_is_domestic = VENDORS[i].is_domestic;
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

static const struct accelerator POCL = {.model = SLICE_LITERAL(CATALOGUE_POCL_MODEL),
                                        .vendor = SLICE_LITERAL("PoCL"),
                                        .runtime = RUNTIME_OPENCL,
                                        .visible_env = {"", 0},
                                        .monitor_tool = {"", 0},
                                        .confidence = {"", 0},
                                        .source = {"", 0},
                                        .notes = {"", 0}};

const struct accelerator *catalogue_find(const struct catalogue *catalogue, struct slice model)
{
    for (uint32_t i = 0; i < catalogue->count; i++)
        if (name_is_equal_caseless(catalogue->rows[i].model, model))
            return &catalogue->rows[i];
    return name_is_equal_caseless(POCL.model, model) ? &POCL : NULL;
}

/* Does `words` stand at a word's beginning in `model` and end at a word's end? "910B" is in "Ascend
 * 910B (B2/B3 class)", "A100" in "A100 80GB SXM", "H20" not in "H200 SXM". */
static bool has_words(struct slice model, struct slice words)
{
    for (size_t at = 0; at + words.len <= model.len; at++) {
        size_t end = at + words.len;
        if (at > 0 && model.data[at - 1] != ' ')
            continue;
        if (end < model.len && !strchr(" -_/", model.data[end]))
            continue;
        if (name_is_equal_caseless(slice_make(model.data + at, words.len), words))
            return true;
    }
    return false;
}

static enum err refuse_several(const struct catalogue *catalogue, struct slice text,
                               const char *field, struct fault *fault)
{
    char names[200] = "";
    size_t len = 0;

    for (uint32_t i = 0; i < catalogue->count; i++) {
        struct slice model = catalogue->rows[i].model;
        if (!has_words(model, text) || len + model.len + 3 > sizeof(names))
            continue;
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%.*s", len > 0 ? ", " : "",
                                SLICE_ARG(model));
    }
    return fault_set(fault, ERR_INVALID, field, "'%.*s' may mean several accelerators: %s",
                     SLICE_ARG(text), names);
}

static enum err refuse_unknown(const struct catalogue *catalogue, struct slice text,
                               const char *field, struct fault *fault)
{
    int cut = text.len > 64 ? 64 : (int)text.len;
    int nearest = -1;
    unsigned best = 64;

    /* The whole name, or its first word, whichever is nearer to what was written. */
    for (uint32_t i = 0; i < catalogue->count; i++) {
        struct slice model = catalogue->rows[i].model, word = model, rest;
        struct slice both[2];
        slice_cut(model, ' ', &word, &rest);
        both[0] = word;
        both[1] = model;
        int found = name_nearest(text, both, 2);
        if (found >= 0 && slice_distance(text, both[found]) < best) {
            best = slice_distance(text, both[found]);
            nearest = (int)i;
        }
    }
    if (nearest < 0)
        return fault_set(fault, ERR_NOT_FOUND, field, "the catalogue has no accelerator '%.*s'",
                         cut, text.data);
    return fault_set(fault, ERR_NOT_FOUND, field,
                     "the catalogue has no accelerator '%.*s'; did you mean '%.*s'?", cut,
                     text.data, SLICE_ARG(catalogue->rows[nearest].model));
}

enum err catalogue_resolve(const struct catalogue *catalogue, struct slice text, const char *field,
                           const struct accelerator **out_row, struct fault *fault)
{
    const struct accelerator *row = catalogue_find(catalogue, text);
    uint32_t fits = 0;

    if (row == NULL && text.len > 0) {
        for (uint32_t i = 0; i < catalogue->count; i++) {
            if (!has_words(catalogue->rows[i].model, text))
                continue;
            row = &catalogue->rows[i];
            fits++;
        }
    }
    if (fits > 1)
        return refuse_several(catalogue, text, field, fault);
    if (row == NULL)
        return refuse_unknown(catalogue, text, field, fault);
    *out_row = row;
    return ERR_OK;
}

static bool is_in_range(struct maybe_u64 figure, uint64_t max)
{
    return !figure.has || (figure.value > 0 && figure.value <= max);
}

enum err catalogue_check(const struct catalogue *catalogue, struct fault *fault)
{
    if (catalogue->count > CATALOGUE_ROWS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "at most %d rows", CATALOGUE_ROWS_MAX);
    for (uint32_t i = 0; i < catalogue->count; i++) {
        const struct accelerator *row = &catalogue->rows[i];
        enum err err = text_line_check(row->model, 47, "model", fault);
        if (err == ERR_OK)
            err = text_line_check(row->vendor, NAME_MAX, "vendor", fault);
        if (err != ERR_OK)
            return err;
        for (uint32_t j = 0; j < i; j++)
            if (name_is_equal_caseless(catalogue->rows[j].model, row->model))
                return fault_set(fault, ERR_INVALID, "model", "'%.*s' stands here twice",
                                 SLICE_ARG(row->model));
        if (row->runtime == RUNTIME_CPU || (unsigned)row->runtime >= RUNTIME_COUNT_)
            return fault_set(fault, ERR_INVALID, "runtime", "'%.*s' has none",
                             SLICE_ARG(row->model));
        if (!is_in_range(row->fp16_gflops, UINT64_C(1000000000)) ||
            !is_in_range(row->mem_bytes, UINT64_C(1) << 44) ||
            !is_in_range(row->mem_bytes_per_s, UINT64_C(1) << 60) ||
            !is_in_range(row->tdp_mw, UINT64_C(1000000000)))
            return fault_set(fault, ERR_INVALID, "model", "a figure of '%.*s' is out of range",
                             SLICE_ARG(row->model));
    }
    return ERR_OK;
}
