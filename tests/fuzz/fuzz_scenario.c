/* A scenario, and a report: refused with words, or a value within its limits. */
#include "fuzz.h"
#include "sim/report.h"
#include "sim/scenario.h"
#include "wire/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct scenario scenario;
    struct report report;
    struct arena arena;
    if (yaml_parse(slice_make(data, size), &YAML_LIMITS, &document, &fault) != ERR_OK)
        return 0;
    arena_init(&arena, (size_t)32 << 20);
    enum err err = scenario_decode(json_root(document), &arena, &scenario, &fault);
    ASSERT(err == ERR_OK || fault.message[0] != '\0' || err == ERR_NO_MEMORY);
    if (err == ERR_OK)
        ASSERT(scenario.press > 0 && scenario.topology.len > 0 && scenario.node_devices > 0);
    err = report_read(json_root(document), &arena, &report, &fault);
    if (err == ERR_OK)
        ASSERT(report.bucket_count <= REPLAY_BUCKETS_MAX);
    json_document_destroy(document);
    arena_deinit(&arena);
    return 0;
}
