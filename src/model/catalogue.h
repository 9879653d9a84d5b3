/* The catalogue of accelerator models. Rows come from data/domain/accelerators.csv
 * (wire/catalogue.h reads it). A figure that the source lacks stays empty and is neither guessed
 * nor zero. Immutable once built; the arena it was built in owns it. */
#ifndef LQ_MODEL_CATALOGUE_H
#define LQ_MODEL_CATALOGUE_H

#include "model/job.h"
#include "model/maybe.h"

enum { CATALOGUE_ROWS_MAX = 1024 };

struct accelerator {
    struct slice model; /* unique without regard to case */
    struct slice vendor;
    enum runtime runtime;         /* from the vendor */
    bool is_domestic;             /* the vendor is a Chinese one */
    struct maybe_u64 fp16_gflops; /* dense FP16/BF16 */
    struct maybe_u64 mem_bytes;
    struct maybe_u64 mem_bytes_per_s;
    struct maybe_u64 tdp_mw; /* thermal design power, milliwatt */
    struct slice
        visible_env; /* environment variable that limits a process to devices; empty: not known */
    struct slice monitor_tool; /* vendor's program; may be empty */
    struct slice confidence;   /* "high", "medium-low", ... */
    struct slice source;
    struct slice notes;
};

/* A processor as PoCL's OpenCL device, by one name whatever its make: known to every catalogue,
 * with no figures. */
#define CATALOGUE_POCL_MODEL "PoCL CPU"

struct catalogue {
    const struct accelerator *rows;
    uint32_t count;
};

/* Runtime and origin of a vendor as the catalogue writes it ("NVIDIA", "Moore Threads").
 * ERR_NOT_FOUND. */
enum err catalogue_vendor(struct slice vendor, enum runtime *out_runtime,
                          bool *out_is_domestic) LQ_CHECKED;

/* The row of exactly this model (case-blind); NULL: none. */
const struct accelerator *catalogue_find(const struct catalogue *catalogue, struct slice model);
/* As people write it: exact, else the one model that has the name as whole words ("A100" for
 * "A100 80GB SXM", but "H20" never for "H200 SXM"). ERR_NOT_FOUND with the nearest name,
 * ERR_INVALID when several fit (the fault names them). */
enum err catalogue_resolve(const struct catalogue *catalogue, struct slice text, const char *field,
                           const struct accelerator **out_row, struct fault *fault) LQ_CHECKED;
/* Unique models, sane figures. */
enum err catalogue_check(const struct catalogue *catalogue, struct fault *fault) LQ_CHECKED;

#endif
