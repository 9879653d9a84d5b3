#include "drive/discover_opencl.h"

#include <dlfcn.h>
#include <string.h>

/* The handful of calls that are used and their constants, as Khronos' OpenCL 1.2 specification
 * gives them. */
enum {
    CL_DEVICE_TYPE = 0x1000,
    CL_DEVICE_GLOBAL_MEM_SIZE = 0x101F,
    CL_DEVICE_NAME = 0x102B,
    CL_PLATFORM_NAME = 0x0902,
    CL_TYPE_CPU = 1 << 1,
    CL_TYPE_GPU = 1 << 2,
    CL_TYPE_ACCELERATOR = 1 << 3,
    PLATFORMS_MAX = 16,
    DEVICES_MAX = 64,
    NAME_MAX_BYTES = 256,
};
#define CL_TYPE_ALL 0xFFFFFFFFu

struct cl_platform; /* opaque */
struct cl_device;

struct opencl {
    int32_t (*platforms)(uint32_t room, struct cl_platform **out, uint32_t *out_count);
    int32_t (*platform_info)(struct cl_platform *platform, uint32_t what, size_t size, void *out,
                             size_t *out_size);
    int32_t (*devices)(struct cl_platform *platform, uint64_t type, uint32_t room,
                       struct cl_device **out, uint32_t *out_count);
    int32_t (*device_info)(struct cl_device *device, uint32_t what, size_t size, void *out,
                           size_t *out_size);
};

/* Functions come as data pointers; POSIX says that they are the same size. */
static bool load(void *library, const char *name, void *out_function)
{
    void *symbol = dlsym(library, name);
    memcpy(out_function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static const char *type_name(uint64_t type)
{
    return (type & CL_TYPE_CPU) != 0           ? "cpu"
           : (type & CL_TYPE_GPU) != 0         ? "gpu"
           : (type & CL_TYPE_ACCELERATOR) != 0 ? "accelerator"
                                               : "other";
}

/* A driver's text in one field of one line. */
static void print_text(struct buffer *out, const char *text)
{
    for (size_t i = 0; i < NAME_MAX_BYTES && text[i] != '\0'; i++)
        buffer_append_char(out, (unsigned char)text[i] < 0x20 ? ' ' : text[i]);
}

static void print_device(const struct opencl *cl, const char *platform, struct cl_device *device,
                         uint32_t number, struct buffer *out)
{
    char name[NAME_MAX_BYTES + 1] = "";
    uint64_t type = 0, bytes = 0;
    if (cl->device_info(device, CL_DEVICE_TYPE, sizeof(type), &type, NULL) != 0 ||
        cl->device_info(device, CL_DEVICE_NAME, NAME_MAX_BYTES, name, NULL) != 0)
        return;
    (void)cl->device_info(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(bytes), &bytes, NULL);
    buffer_printf(out, "%u\t%s\t%llu\t", number, type_name(type), (unsigned long long)bytes);
    print_text(out, platform);
    buffer_append_char(out, '\t');
    print_text(out, name);
    buffer_append_char(out, '\n');
}

static void print_all(const struct opencl *cl, struct buffer *out)
{
    struct cl_platform *platforms[PLATFORMS_MAX];
    uint32_t platform_count = 0, number = 0;
    if (cl->platforms(PLATFORMS_MAX, platforms, &platform_count) != 0)
        return; /* a loader without a driver says so by an error */
    for (uint32_t p = 0; p < platform_count && p < PLATFORMS_MAX; p++) {
        struct cl_device *devices[DEVICES_MAX];
        char name[NAME_MAX_BYTES + 1] = "";
        uint32_t count = 0;
        if (cl->platform_info(platforms[p], CL_PLATFORM_NAME, NAME_MAX_BYTES, name, NULL) != 0 ||
            cl->devices(platforms[p], CL_TYPE_ALL, DEVICES_MAX, devices, &count) != 0)
            continue;
        for (uint32_t d = 0; d < count && d < DEVICES_MAX; d++)
            print_device(cl, name, devices[d], number++, out);
    }
}

enum err discover_opencl_print(struct buffer *out)
{
    struct opencl cl;
    /* Never closed: drivers leave threads and handlers behind that would run on. */
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return ERR_NOT_FOUND;
    if (!load(library, "clGetPlatformIDs", &cl.platforms) ||
        !load(library, "clGetPlatformInfo", &cl.platform_info) ||
        !load(library, "clGetDeviceIDs", &cl.devices) ||
        !load(library, "clGetDeviceInfo", &cl.device_info))
        return ERR_NOT_FOUND;
    print_all(&cl, out);
    return buffer_status(out);
}
