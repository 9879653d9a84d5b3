#include "drive/device_files.h"

#include <stdio.h>
#include <string.h>

#include "drive/stack.h"
#include "drive/supervise_doc.h"
#include "port/file.h"

enum { DEV_ENTRIES_MAX = 65536 };

static enum err add_matching(const struct stack_files *files, struct arena *arena,
                             struct slice *items, uint32_t *count)
{
    struct file_entry *entries = NULL;
    size_t entry_count = 0;
    enum err code = file_list(files->folder, DEV_ENTRIES_MAX, arena, NULL, &entries, &entry_count);
    if (code != ERR_OK)
        return code == ERR_NO_MEMORY ? code : ERR_OK; /* no such folder: no such devices */
    for (size_t i = 0; i < entry_count && *count < SUPERVISE_DEVICES_MAX; i++) {
        if (entries[i].kind == FILE_FOLDER ||
            strncmp(entries[i].name, files->prefix, strlen(files->prefix)) != 0)
            continue;
        const char *path = arena_printf(arena, "%s/%s", files->folder, entries[i].name);
        if (path == NULL)
            return ERR_NO_MEMORY;
        items[(*count)++] = slice_of(path);
    }
    return ERR_OK;
}

enum err device_files_list(enum runtime runtime, struct arena *arena, struct text_list *out)
{
    uint32_t count = 0;
    const struct stack *stack = stack_of(runtime);
    struct slice *items = arena_array(arena, SUPERVISE_DEVICES_MAX, sizeof(*items));
    if (items == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < STACK_FILES_MAX && stack->files[i].folder != NULL; i++) {
        enum err code = add_matching(&stack->files[i], arena, items, &count);
        if (code != ERR_OK)
            return code;
    }
    *out = (struct text_list){items, count};
    return ERR_OK;
}

enum err device_folders_add(enum runtime runtime, struct text_list folders, struct arena *arena,
                            struct text_list *out)
{
    const struct stack *stack = stack_of(runtime);
    struct slice *items =
        arena_array(arena, (size_t)folders.count + STACK_FOLDERS_MAX, sizeof(*items));
    uint32_t count = folders.count;
    if (items == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < folders.count; i++)
        items[i] = folders.items[i];
    for (size_t i = 0; i < STACK_FOLDERS_MAX && stack->folders[i] != NULL; i++)
        if (count < SUPERVISE_READ_ONLY_MAX)
            items[count++] = slice_of(stack->folders[i]);
    *out = (struct text_list){items, count};
    return ERR_OK;
}
