#include "supervise/engine_devices.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "drive/device_files.h"

enum { NUMBERS_MAX = 64, TEXT_BYTES_MAX = 4096 };

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *first = a, *second = b;
    return (*first > *second) - (*first < *second);
}

enum err engine_devices_order(struct slice text, struct arena *arena, struct slice *out)
{
    uint64_t numbers[NUMBERS_MAX];
    size_t count = 0;
    struct slice rest = text, item;
    bool is_plain = text.len != 0;
    while (is_plain && rest.len != 0) {
        if (!slice_cut(rest, ',', &item, &rest)) {
            item = rest;
            rest = (struct slice){0};
        }
        is_plain =
            count < NUMBERS_MAX && slice_parse_u64(slice_trim(item), &numbers[count]) == ERR_OK;
        count++;
    }
    if (!is_plain) {
        *out = arena_copy(arena, text);
        return out->data == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    qsort(numbers, count, sizeof(numbers[0]), compare_numbers);
    struct buffer line;
    buffer_init(&line, TEXT_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        buffer_printf(&line, "%s%llu", i == 0 ? "" : ",", (unsigned long long)numbers[i]);
    *out = arena_copy(arena, buffer_slice(&line));
    buffer_deinit(&line);
    return out->data == NULL ? ERR_NO_MEMORY : ERR_OK;
}

/* The runtime's own variable where Slurm sets it (its numbers may count the job's devices only),
 * else the node's numbers. */
static const char *engines_word(const char *variable)
{
    static const char *const NAMES[] = {"SLURM_STEP_GPUS", "SLURM_JOB_GPUS"};
    const char *value = variable != NULL ? getenv(variable) : NULL;
    for (size_t i = 0; value == NULL && i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        value = getenv(NAMES[i]);
    return value;
}

enum err engine_devices_take(struct supervise_doc *doc, struct arena *arena, struct fault *fault)
{
    const char *variable = runtime_visible_env(doc->runtime);
    const char *word = engines_word(variable);
    struct slice value = {0};
    if (word == NULL)
        return fault_set(fault, ERR_NOT_FOUND, NULL,
                         "the engine gave this node no devices: its environment names none");
    enum err code = engine_devices_order(slice_of(word), arena, &value);
    if (code == ERR_OK)
        code = device_files_list(doc->runtime, arena, &doc->devices);
    if (code != ERR_OK || variable == NULL)
        return code;
    struct text_pair *envs = arena_array(arena, (size_t)doc->env_count + 1, sizeof(*envs));
    if (envs == NULL)
        return ERR_NO_MEMORY;
    uint32_t count = 0;
    for (uint32_t i = 0; i < doc->env_count; i++)
        if (!slice_is(doc->envs[i].key, variable))
            envs[count++] = doc->envs[i];
    envs[count++] = (struct text_pair){slice_of(variable), value};
    doc->envs = envs;
    doc->env_count = count;
    return ERR_OK;
}
