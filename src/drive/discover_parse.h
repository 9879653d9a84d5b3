/* Readers of what vendors' tools print, each in the form named beside it. They take any bytes:
 * what does not look as expected is passed over. Each appends to `out` and returns how many devices
 * it found. Pure. */
#ifndef LQ_DRIVE_DISCOVER_PARSE_H
#define LQ_DRIVE_DISCOVER_PARSE_H

#include "drive/discover.h"

/* nvidia-smi --query-gpu=index,name,memory.total,memory.used,utilization.gpu
 * --format=csv,noheader,nounits */
uint32_t discover_parse_nvidia(struct slice text, struct discovered *out);
/* npu-smi info: two lines a chip; Phy-ID where it is printed, else chips are counted */
uint32_t discover_parse_npu(struct slice text, struct discovered *out);
/* rocm-smi and hy-smi --showproductname --showmeminfo vram --showuse --json */
uint32_t discover_parse_rocm(struct slice text, enum runtime runtime, struct discovered *out);
/* mthreads-gmi */
uint32_t discover_parse_mthreads(struct slice text, struct discovered *out);
/* cnmon info -m */
uint32_t discover_parse_cnmon(struct slice text, struct discovered *out);
/* xpu-smi -m (Kunlunxin's): 32 columns, the name in quotes */
uint32_t discover_parse_kunlun(struct slice text, struct discovered *out);
/* mx-smi */
uint32_t discover_parse_metax(struct slice text, struct discovered *out);
/* lq site devices --opencl; see drive/discover_opencl.h */
uint32_t discover_parse_opencl(struct slice text, struct discovered *out);

#endif
