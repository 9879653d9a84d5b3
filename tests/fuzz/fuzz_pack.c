/* Nodes or pods of the packing experiment (the first byte says which): refused with line and column
 * where a line is to blame, or what is read keeps the limits. */
#include "fuzz.h"
#include "sim/pack.h"

static const char NODES[] =
    "sn,cpu_milli,memory_mib,gpu,model\na,8000,8000,2,T4\nb,8000,8000,1,V100\n";

static void check_pods(const struct pack_list *list)
{
    for (size_t i = 0; i < list->pod_count; i++) {
        const struct value_shape *shape = &list->pods[i].shape;
        ASSERT(list->pods[i].shape_id < list->shape_count);
        ASSERT((shape->device_count == 0) == (shape->device_milli == 0));
        ASSERT(shape->device_milli <= VALUE_DEVICE_MILLI);
        ASSERT(shape->device_count <= 1 || shape->device_milli == VALUE_DEVICE_MILLI);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pack_fleet fleet;
    struct pack_list list;
    struct fault fault = {0};
    struct arena arena;
    if (size == 0)
        return 0;
    struct slice text = slice_make(data + 1, size - 1);
    arena_init(&arena, (size_t)32 << 20);
    if (data[0] % 2 == 0) {
        enum err err = pack_fleet_read(text, &arena, &fleet, &fault);
        ASSERT(err != ERR_OK || fleet.device_count > 0);
        ASSERT(err == ERR_OK || err == ERR_NO_MEMORY || fault.message[0] != '\0');
    } else {
        enum err err = pack_fleet_read(SLICE_LITERAL(NODES), &arena, &fleet, NULL);
        ASSERT(err == ERR_OK);
        err = pack_list_read(text, &fleet, &arena, &list, &fault);
        if (err == ERR_OK)
            check_pods(&list);
        ASSERT(err == ERR_OK || err == ERR_NO_MEMORY || fault.message[0] != '\0');
    }
    arena_deinit(&arena);
    return 0;
}
