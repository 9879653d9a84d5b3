/* Sizes and CPU counts as people write them. */
#ifndef LQ_BASE_UNITS_H
#define LQ_BASE_UNITS_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { UNITS_TEXT_MAX = 32 };

/* "16GiB", "512M", "1.5Ti", "4096B" to bytes. KiB/Ki/MiB/... are powers of 1024; kB/k/K/MB/M/...
 * are powers of 1000, as in Kubernetes. A bare number is bytes only when `0`; else ERR_INVALID: say
 * the unit. A fraction must come out at a whole byte. ERR_LIMIT past 2^63 - 1. */
enum err units_parse_bytes(struct slice text, uint64_t *out_bytes) LQ_CHECKED;
/* The largest binary unit that is exact: "16GiB", "1536MiB", "1000B", "0B". Reads back equal. */
void units_format_bytes(uint64_t bytes, char out[UNITS_TEXT_MAX]);
/* For people, about three digits: "15.9GiB". */
void units_format_bytes_short(uint64_t bytes, char out[UNITS_TEXT_MAX]);

/* "0.5", "2", "1500m" to thousandths of a CPU. ERR_INVALID for finer than 1/1000 or anything else;
 * ERR_LIMIT past UNITS_MILLICPUS_MAX. */
#define UNITS_MILLICPUS_MAX ((uint64_t)1000000000)
enum err units_parse_millicpus(struct slice text, uint64_t *out_millicpus) LQ_CHECKED;
void units_format_millicpus(uint64_t millicpus, char out[UNITS_TEXT_MAX]); /* "0.5", "2" */

#endif
