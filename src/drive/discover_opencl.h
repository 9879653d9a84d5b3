/* OpenCL devices, asked through the machine's ICD loader (libOpenCL.so.1), which is opened when
 * asked for and is no dependency. A vendor's driver may crash, start threads or never come back:
 * `lq site devices --opencl` does this in a process of its own, and the agent reads what it
 * prints (discover_parse_opencl). */
#ifndef LQ_DRIVE_DISCOVER_OPENCL_H
#define LQ_DRIVE_DISCOVER_OPENCL_H

#include "base/buffer.h"

/* A line a device: number, cpu|gpu|accelerator|other, bytes of memory, platform, name; between them
 * tabs. Numbers count over all platforms in the loader's order. ERR_NOT_FOUND: no loader. */
enum err discover_opencl_print(struct buffer *out) LQ_CHECKED;

#endif
