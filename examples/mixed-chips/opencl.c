/* OpenCL 1.2, on the first device of the machine. The loader is opened when asked for and its
 * calls are declared here, so that the program builds where no OpenCL is installed. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "nbody.h"

typedef struct cl_object *cl_handle; /* platform, device, context, queue, program, kernel, memory */

enum { CL_COPY_HOST_PTR = 1 << 5, CL_READ_WRITE = 1 << 0, CL_BLOCKING = 1, LOG_MAX = 4096 };
#define CL_DEVICE_TYPE_ALL 0xFFFFFFFFu
#define CL_PROGRAM_BUILD_LOG 0x1183u

static struct calls {
    int32_t (*platforms)(uint32_t, cl_handle *, uint32_t *);
    int32_t (*devices)(cl_handle, uint64_t, uint32_t, cl_handle *, uint32_t *);
    cl_handle (*context)(const intptr_t *, uint32_t, const cl_handle *, void *, void *, int32_t *);
    cl_handle (*queue)(cl_handle, cl_handle, uint64_t, int32_t *);
    cl_handle (*program)(cl_handle, uint32_t, const char **, const size_t *, int32_t *);
    int32_t (*build)(cl_handle, uint32_t, const cl_handle *, const char *, void *, void *);
    int32_t (*build_info)(cl_handle, cl_handle, uint32_t, size_t, void *, size_t *);
    cl_handle (*kernel)(cl_handle, const char *, int32_t *);
    cl_handle (*buffer)(cl_handle, uint64_t, size_t, void *, int32_t *);
    int32_t (*argument)(cl_handle, uint32_t, size_t, const void *);
    int32_t (*run)(cl_handle, cl_handle, uint32_t, const size_t *, const size_t *, const size_t *,
                   uint32_t, const cl_handle *, cl_handle *);
    int32_t (*read)(cl_handle, cl_handle, uint32_t, size_t, size_t, void *, uint32_t,
                    const cl_handle *, cl_handle *);
} cl;

static cl_handle queue, pull_kernel, move_kernel, state, pull;

/* The arrays stand one after the other, as in struct bodies. */
static const char SOURCE[] =
    "__kernel void pull(__global const float *s, __global float *a, uint n) {\n"
    "  uint i = get_global_id(0);\n"
    "  float ax = 0, ay = 0, az = 0, x = s[i], y = s[n + i], z = s[2 * n + i];\n"
    "  for (uint j = 0; j < n; j++) {\n"
    "    float dx = s[j] - x, dy = s[n + j] - y, dz = s[2 * n + j] - z;\n"
    "    float q = dx * dx + dy * dy + dz * dz + SOFTENING;\n"
    "    float w = s[6 * n + j] / (q * sqrt(q));\n"
    "    ax += dx * w; ay += dy * w; az += dz * w;\n"
    "  }\n"
    "  a[i] = ax; a[n + i] = ay; a[2 * n + i] = az;\n"
    "}\n"
    "__kernel void move(__global float *s, __global const float *a, uint n) {\n"
    "  uint i = get_global_id(0);\n"
    "  for (uint d = 0; d < 3; d++) {\n"
    "    s[(3 + d) * n + i] += a[d * n + i] * STEP_TIME;\n"
    "    s[d * n + i] += s[(3 + d) * n + i] * STEP_TIME;\n"
    "  }\n"
    "}\n";

static int failed(const char *what, int32_t status)
{
    if (status != 0)
        fprintf(stderr, "nbody: OpenCL: %s: error %d\n", what, (int)status);
    return status != 0;
}

static int load(void)
{
    static const struct {
        const char *name;
        size_t at;
    } NAMES[] = {
        {"clGetPlatformIDs", offsetof(struct calls, platforms)},
        {"clGetDeviceIDs", offsetof(struct calls, devices)},
        {"clCreateContext", offsetof(struct calls, context)},
        {"clCreateCommandQueue", offsetof(struct calls, queue)},
        {"clCreateProgramWithSource", offsetof(struct calls, program)},
        {"clBuildProgram", offsetof(struct calls, build)},
        {"clGetProgramBuildInfo", offsetof(struct calls, build_info)},
        {"clCreateKernel", offsetof(struct calls, kernel)},
        {"clCreateBuffer", offsetof(struct calls, buffer)},
        {"clSetKernelArg", offsetof(struct calls, argument)},
        {"clEnqueueNDRangeKernel", offsetof(struct calls, run)},
        {"clEnqueueReadBuffer", offsetof(struct calls, read)},
    };
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        void *call = library == NULL ? NULL : dlsym(library, NAMES[i].name);
        if (call == NULL) {
            fprintf(stderr, "nbody: no OpenCL here: %s\n", dlerror());
            return 1;
        }
        memcpy((char *)&cl + NAMES[i].at, &call, sizeof(call));
    }
    return 0;
}

static int build(cl_handle context, cl_handle device)
{
    const char *source = SOURCE;
    char options[64], log[LOG_MAX] = "";
    int32_t status;
    (void)snprintf(options, sizeof(options), "-DSOFTENING=%.9ff -DSTEP_TIME=%.9ff",
                   (double)SOFTENING, (double)STEP_TIME);
    cl_handle program = cl.program(context, 1, &source, NULL, &status);
    if (failed("program", status))
        return 1;
    if (cl.build(program, 1, &device, options, NULL, NULL) != 0) {
        (void)cl.build_info(program, device, CL_PROGRAM_BUILD_LOG, sizeof(log) - 1, log, NULL);
        fprintf(stderr, "nbody: OpenCL: the kernels do not build: %s\n", log);
        return 1;
    }
    pull_kernel = cl.kernel(program, "pull", &status);
    if (!failed("kernel", status))
        move_kernel = cl.kernel(program, "move", &status);
    return failed("kernel", status);
}

static int set_arguments(cl_handle kernel, uint32_t count)
{
    return failed("argument", cl.argument(kernel, 0, sizeof(state), &state)) ||
           failed("argument", cl.argument(kernel, 1, sizeof(pull), &pull)) ||
           failed("argument", cl.argument(kernel, 2, sizeof(count), &count));
}

static int opencl_open(const struct bodies *bodies)
{
    cl_handle platform, device, context;
    size_t bytes = bodies->count * sizeof(float);
    int32_t status = 0;
    if (load() || failed("platform", cl.platforms(1, &platform, NULL)) ||
        failed("device", cl.devices(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL)))
        return 1;
    context = cl.context(NULL, 1, &device, NULL, NULL, &status);
    if (failed("context", status) || build(context, device))
        return 1;
    queue = cl.queue(context, device, 0, &status);
    if (!failed("queue", status))
        state = cl.buffer(context, CL_READ_WRITE | CL_COPY_HOST_PTR, BODIES_ARRAYS * bytes,
                          bodies->x, &status);
    if (!failed("memory", status))
        pull = cl.buffer(context, CL_READ_WRITE, 3 * bytes, NULL, &status);
    return failed("memory", status) || set_arguments(pull_kernel, bodies->count) ||
           set_arguments(move_kernel, bodies->count);
}

static int opencl_advance(struct bodies *bodies, uint64_t steps)
{
    size_t count = bodies->count;
    for (uint64_t s = 0; s < steps; s++)
        if (failed("run", cl.run(queue, pull_kernel, 1, NULL, &count, NULL, 0, NULL, NULL)) ||
            failed("run", cl.run(queue, move_kernel, 1, NULL, &count, NULL, 0, NULL, NULL)))
            return 1;
    return failed("read", cl.read(queue, state, CL_BLOCKING, 0,
                                  BODIES_ARRAYS * count * sizeof(float), bodies->x, 0, NULL, NULL));
}

const struct engine ENGINE_OPENCL = {"opencl", opencl_open, opencl_advance};
