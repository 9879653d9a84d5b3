#include "drive/discover_nvml.h"

#include <dlfcn.h>
#include <string.h>

/* The handful of calls that are used, as NVIDIA's public documentation gives them. */
struct nvml_memory {
    unsigned long long total, free, used;
};
struct nvml_utilization {
    unsigned int gpu, memory;
};
struct nvml_device; /* opaque */

struct nvml {
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned int *out);
    int (*handle)(unsigned int index, struct nvml_device **out);
    int (*name)(struct nvml_device *device, char *out, unsigned int size);
    int (*memory)(struct nvml_device *device, struct nvml_memory *out);
    int (*utilization)(struct nvml_device *device, struct nvml_utilization *out);
};

/* Functions come as data pointers; POSIX says that they are the same size. */
static bool load(void *library, const char *name, void *out_function)
{
    void *symbol = dlsym(library, name);
    memcpy(out_function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

static bool nvml_load(void *library, struct nvml *nvml)
{
    return load(library, "nvmlInit_v2", &nvml->init) &&
           load(library, "nvmlShutdown", &nvml->shutdown) &&
           load(library, "nvmlDeviceGetCount_v2", &nvml->count) &&
           load(library, "nvmlDeviceGetHandleByIndex_v2", &nvml->handle) &&
           load(library, "nvmlDeviceGetName", &nvml->name) &&
           load(library, "nvmlDeviceGetMemoryInfo", &nvml->memory) &&
           load(library, "nvmlDeviceGetUtilizationRates", &nvml->utilization);
}

static void ask_device(const struct nvml *nvml, unsigned int index, struct discovered *out)
{
    struct nvml_device *handle;
    struct nvml_memory memory = {0};
    struct nvml_utilization use = {0};
    struct discovered_device device = {
        .index = index, .runtime = RUNTIME_CUDA, .util_percent = -1, .is_healthy = true};
    if (out->device_count == DISCOVER_DEVICES_MAX || nvml->handle(index, &handle) != 0)
        return;
    if (nvml->name(handle, device.name, sizeof(device.name)) != 0)
        device.name[0] = '\0';
    device.name[sizeof(device.name) - 1] = '\0';
    if (nvml->memory(handle, &memory) == 0) {
        device.mem_bytes = memory.total;
        device.mem_used_bytes = memory.used;
    }
    if (nvml->utilization(handle, &use) == 0 && use.gpu <= 100)
        device.util_percent = (int32_t)use.gpu;
    out->devices[out->device_count++] = device;
}

uint32_t discover_nvml(struct discovered *out)
{
    struct nvml nvml;
    unsigned int count = 0;
    uint32_t before = out->device_count;
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return 0;
    if (nvml_load(library, &nvml) && nvml.init() == 0) {
        if (nvml.count(&count) == 0)
            for (unsigned int i = 0; i < count && i < DISCOVER_DEVICES_MAX; i++)
                ask_device(&nvml, i, out);
        (void)nvml.shutdown();
    }
    (void)dlclose(library);
    return out->device_count - before;
}
