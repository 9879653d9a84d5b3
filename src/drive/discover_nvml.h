/* NVIDIA's management library, opened at run time: machines without it lose nothing. */
#ifndef LQ_DRIVE_DISCOVER_NVML_H
#define LQ_DRIVE_DISCOVER_NVML_H

#include "drive/discover.h"

/* Appends; how many were found, 0 also when there is no library or driver. */
uint32_t discover_nvml(struct discovered *out);

#endif
