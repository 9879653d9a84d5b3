#include "supervise/engine_devices.h"

#include <stdlib.h>

#include "drive/device_files.h"
#include "drive/stack.h"

/* The stack's own variable where the engine or the site's task prolog sets it (its numbers may
 * count the job's devices only), else the node's numbers. */
static const char *engines_word(const struct stack *stack)
{
    static const char *const NAMES[] = {"SLURM_STEP_GPUS", "SLURM_JOB_GPUS"};
    const char *value = stack->visible[0] != NULL ? getenv(stack->visible[0]) : NULL;
    for (size_t i = 0; value == NULL && i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        value = getenv(NAMES[i]);
    return value;
}

static void put(struct supervise_doc *doc, struct text_pair *envs, const char *name,
                struct slice value)
{
    for (uint32_t i = 0; i < doc->env_count; i++)
        if (slice_is(envs[i].key, name)) {
            envs[i].value = value;
            return;
        }
    envs[doc->env_count++] = (struct text_pair){slice_of(name), value};
}

enum err engine_devices_take(struct supervise_doc *doc, struct arena *arena, struct fault *fault)
{
    const struct stack *stack = stack_of(doc->runtime);
    const char *word = engines_word(stack);
    struct slice value = {0};
    struct text_list devices;
    enum err code =
        word == NULL ? ERR_NOT_FOUND : stack_numbers_read(slice_of(word), arena, &value);
    if (code == ERR_NOT_FOUND)
        return fault_set(fault, code, NULL,
                         "the engine gave this node no devices: its environment names none");
    if (code == ERR_OK)
        code = device_files_list(doc->runtime, arena, &devices);
    struct text_pair *envs =
        arena_array(arena, (size_t)doc->env_count + STACK_VISIBLE_MAX + 1, sizeof(*envs));
    if (code != ERR_OK || envs == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < doc->env_count; i++)
        envs[i] = doc->envs[i];
    for (size_t i = 0; i < STACK_VISIBLE_MAX && stack->visible[i] != NULL; i++)
        put(doc, envs, stack->visible[i], value);
    put(doc, envs, "LQ_DEVICES", value);
    doc->envs = envs;
    doc->devices = devices;
    return ERR_OK;
}
