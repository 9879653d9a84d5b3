#include "server/inputs.h"

#include <string.h>

#include "wire/doc.h"

/* A copy: the directory's own text goes when the dataset is changed. */
static enum err copy_texts(struct arena *arena, const struct dataset *dataset,
                           struct job_input *input)
{
    uint32_t count = dataset->homes.count < JOB_INPUT_HOMES_MAX ? dataset->homes.count
                                                                : (uint32_t)JOB_INPUT_HOMES_MAX;
    struct slice *homes = arena_array(arena, count + 1, sizeof(*homes));
    input->dataset = arena_copy(arena, dataset->name);
    input->jurisdiction = dataset->jurisdiction.len > 0 ? arena_copy(arena, dataset->jurisdiction)
                                                        : SLICE_LITERAL("");
    if (homes == NULL || input->dataset.data == NULL || input->jurisdiction.data == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        homes[i] = arena_copy(arena, dataset->homes.items[i]);
        if (homes[i].data == NULL)
            return ERR_NO_MEMORY;
    }
    input->homes = (struct text_list){homes, count};
    return ERR_OK;
}

static enum err take_dataset(const struct directory *directory, struct tenant_id tenant,
                             struct arena *arena, struct slice name, struct job_input *input,
                             struct fault *fault)
{
    const struct dataset *dataset = directory_dataset(directory, tenant, name);
    if (dataset == NULL)
        return fault_set(fault, ERR_INVALID, NULL,
                         "the job's tenant has no dataset \"%.*s\"; lq dataset list shows them",
                         SLICE_ARG(name));
    if (id_is_none(dataset->artifact))
        return fault_set(fault, ERR_INVALID, NULL,
                         "dataset %.*s has no content in the network; lq dataset put uploads it",
                         SLICE_ARG(name));
    input->artifact = dataset->artifact;
    input->size_bytes = dataset->size_bytes;
    if (copy_texts(arena, dataset, input) != ERR_OK)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for this request; try again");
    return ERR_OK;
}

enum err inputs_resolve(const struct directory *directory, struct tenant_id tenant,
                        struct arena *arena, struct job_spec *spec, struct fault *fault)
{
    uint32_t count = 0;
    if (spec->input_count != 0)
        return fault_set(fault, ERR_INVALID, "inputs",
                         "is the server's to set; name content in file_mounts and datasets");
    struct job_input *inputs =
        arena_array(arena, spec->mount_count + spec->datasets.count + 1, sizeof(*inputs));
    if (inputs == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for this request; try again");
    for (uint32_t i = 0; i < spec->mount_count; i++, count++) {
        const struct text_pair *mount = &spec->mounts[i];
        struct job_input *input = &inputs[count];
        *input = (struct job_input){
            .path = mount->key, .dataset = SLICE_LITERAL(""), .jurisdiction = SLICE_LITERAL("")};
        if (id_parse(mount->value, ID_PREFIX_ARTIFACT, &input->artifact) == ERR_OK)
            continue;
        enum err err = take_dataset(directory, tenant, arena, mount->value, input, fault);
        if (err != ERR_OK) {
            fault_prefix(fault, "file_mounts");
            return err;
        }
    }
    for (uint32_t i = 0; i < spec->datasets.count; i++, count++) {
        struct slice name = spec->datasets.items[i];
        const char *path = arena_printf(arena, JOB_DATASETS_DIR "/%.*s", SLICE_ARG(name));
        if (path == NULL)
            return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for this request; try again");
        inputs[count] = (struct job_input){.path = slice_of(path)};
        enum err err = take_dataset(directory, tenant, arena, name, &inputs[count], fault);
        if (err != ERR_OK) {
            fault_prefix(fault, "datasets");
            return err;
        }
    }
    spec->inputs = inputs;
    spec->input_count = count;
    return ERR_OK;
}
