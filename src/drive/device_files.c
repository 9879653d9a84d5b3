/* Device files by runtime. All of a vendor's files are given, not one a device: the runtime's own
 * variable counts the machine's devices, and would count differently with some of them hidden. */
#include "drive/device_files.h"

#include <stdio.h>
#include <string.h>

#include "drive/supervise_doc.h"
#include "port/file.h"

enum { DEV_ENTRIES_MAX = 65536 };

struct device_prefix {
    enum runtime runtime;
    const char *folder;
    const char *prefix;
};

static const struct device_prefix PREFIXES[] = {
    {RUNTIME_CUDA, "/dev", "nvidia"},      {RUNTIME_CANN, "/dev", "davinci"},
    {RUNTIME_CANN, "/dev", "devmm_svm"},   {RUNTIME_CANN, "/dev", "hisi_hdc"},
    {RUNTIME_ROCM, "/dev", "kfd"},         {RUNTIME_ROCM, "/dev/dri", "renderD"},
    {RUNTIME_DTK, "/dev", "kfd"},          {RUNTIME_DTK, "/dev", "mkfd"},
    {RUNTIME_DTK, "/dev/dri", "renderD"},  {RUNTIME_MUSA, "/dev", "mtgpu"},
    {RUNTIME_MUSA, "/dev/dri", "renderD"}, {RUNTIME_BANG, "/dev", "cambricon"},
    {RUNTIME_XPU, "/dev", "xpu"},          {RUNTIME_MACA, "/dev", "mxcd"},
    {RUNTIME_MACA, "/dev/dri", "renderD"},
};

static enum err add_matching(const struct device_prefix *prefix, struct arena *arena,
                             struct slice *items, uint32_t *count)
{
    struct file_entry *entries = NULL;
    size_t entry_count = 0;
    enum err code = file_list(prefix->folder, DEV_ENTRIES_MAX, arena, NULL, &entries, &entry_count);
    if (code != ERR_OK)
        return code == ERR_NO_MEMORY ? code : ERR_OK; /* no such folder: no such devices */
    for (size_t i = 0; i < entry_count && *count < SUPERVISE_DEVICES_MAX; i++) {
        if (entries[i].kind == FILE_FOLDER ||
            strncmp(entries[i].name, prefix->prefix, strlen(prefix->prefix)) != 0)
            continue;
        const char *path = arena_printf(arena, "%s/%s", prefix->folder, entries[i].name);
        if (path == NULL)
            return ERR_NO_MEMORY;
        items[(*count)++] = slice_of(path);
    }
    return ERR_OK;
}

enum err device_files_list(enum runtime runtime, struct arena *arena, struct text_list *out)
{
    uint32_t count = 0;
    struct slice *items = arena_array(arena, SUPERVISE_DEVICES_MAX, sizeof(*items));
    if (items == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < sizeof(PREFIXES) / sizeof(PREFIXES[0]); i++)
        if (PREFIXES[i].runtime == runtime) {
            enum err code = add_matching(&PREFIXES[i], arena, items, &count);
            if (code != ERR_OK)
                return code;
        }
    *out = (struct text_list){items, count};
    return ERR_OK;
}
