/* lq site check: what a cluster offers, and what it lacks to lend its surplus. lq site devices:
 * what an agent finds on this machine. */
#include <stdio.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "drive/discover.h"
#include "drive/discover_opencl.h"
#include "drive/slurm_check.h"
#include "port/file.h"

enum { SITE_FILE_MAX = 4 << 20, OPENCL_BYTES_MAX = 1 << 20 };

static int site_check_command(struct cli *cli)
{
    static const char *const WORDS[] = {
        [SLURM_GOOD] = "ok", [SLURM_ADVICE] = "note", [SLURM_MUST] = "change"};
    const char *path = cli->positional[0];
    struct slurm_findings *findings = arena_alloc(&cli->arena, sizeof(*findings));
    struct slurm_config config;
    struct fault fault = {0};
    struct slice text;
    bool is_good = true;
    if (findings == NULL)
        return cli_fail(cli, EXIT_FAILED, "no memory");
    enum err err = file_read(path, SITE_FILE_MAX, &cli->arena, &fault, &text);
    if (err == ERR_OK)
        err = slurm_config_decode(text, &cli->arena, &config, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, path, &fault);
    if (slurm_check(&config, findings, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    for (uint32_t i = 0; i < findings->count; i++) {
        (void)printf("%-7s %s\n", WORDS[findings->items[i].verdict], findings->items[i].text);
        is_good = is_good && findings->items[i].verdict != SLURM_MUST;
    }
    return is_good ? EXIT_DONE : EXIT_FAILED;
}

const struct command COMMAND_SITE_CHECK = {
    .name = "site check",
    .group = "Running a network",
    .summary = "what a Slurm cluster offers, and the changes that lending needs",
    .usage = "FILE",
    .details =
        "FILE is the site's (docs/formats/slurm.md). Reads the cluster's settings and changes "
        "nothing. Ends with 1 when slurm.conf must be changed first.\n\n"
        "Example:\n  lq site check slurm.yaml",
    .positional_min = 1,
    .positional_max = 1,
    .run = site_check_command};

/* ---- devices */

/* For discover_machine, which reads it from a process of its own. */
static int print_opencl(const struct cli *cli)
{
    struct buffer text;
    buffer_init(&text, OPENCL_BYTES_MAX);
    enum err err = discover_opencl_print(&text);
    bool is_written = err != ERR_OK || cli_write(buffer_slice(&text));
    buffer_deinit(&text);
    if (err == ERR_NOT_FOUND)
        return EXIT_DONE; /* no loader: no devices */
    return err == ERR_OK && is_written ? EXIT_DONE : cli_fail(cli, EXIT_FAILED, "no memory");
}

static void devices_table(struct cli *cli, const struct discovered *found)
{
    static const char *const HEADS[] = {"NUMBER", "RUNTIME", "MEMORY", "MODEL"};
    static const enum table_align ALIGNS[] = {TABLE_RIGHT, TABLE_LEFT, TABLE_RIGHT, TABLE_LEFT};
    struct table *table = table_create(cli, HEADS, ALIGNS, sizeof(HEADS) / sizeof(HEADS[0]));
    for (uint32_t i = 0; i < found->device_count; i++) {
        const struct discovered_device *device = &found->devices[i];
        table_cell_printf(table, "%u", device->index);
        table_cell_text(table, runtime_name(device->runtime));
        table_cell_printf(table, "%llu MiB", (unsigned long long)(device->mem_bytes >> 20));
        table_cell_text(table, device->name);
    }
    table_print(table);
}

static int devices_json(const struct cli *cli, const struct discovered *found)
{
    struct buffer text;
    struct json_writer writer;
    buffer_init(&text, OPENCL_BYTES_MAX);
    json_writer_init(&writer, &text);
    json_begin_object(&writer);
    json_put_u64(&writer, "cpu_milli", found->cpu_milli);
    json_put_u64(&writer, "mem_bytes", found->mem_bytes);
    json_key(&writer, "devices");
    json_begin_array(&writer);
    for (uint32_t i = 0; i < found->device_count; i++) {
        json_begin_object(&writer);
        json_put_u64(&writer, "number", found->devices[i].index);
        json_put_text(&writer, "runtime", runtime_name(found->devices[i].runtime));
        json_put_text(&writer, "model", found->devices[i].name);
        json_put_u64(&writer, "mem_bytes", found->devices[i].mem_bytes);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    buffer_append_char(&text, '\n');
    bool is_written = err == ERR_OK && cli_write(buffer_slice(&text));
    buffer_deinit(&text);
    return is_written ? EXIT_DONE : cli_fail(cli, EXIT_FAILED, "the answer cannot be written");
}

static int site_devices_command(struct cli *cli)
{
    struct discovered *found = arena_alloc(&cli->arena, sizeof(*found));
    struct fault fault = {0};
    if (cli_has(cli, "opencl"))
        return print_opencl(cli);
    if (found == NULL)
        return cli_fail(cli, EXIT_FAILED, "no memory");
    if (discover_machine(cli->program, found, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, "this machine", &fault);
    for (uint32_t i = 0; i < found->note_count; i++)
        cli_note(cli, "%s", found->notes[i]);
    if (cli->is_json)
        return devices_json(cli, found);
    if (found->device_count == 0)
        cli_note(cli, "no accelerators; %u processors", found->cpu_milli / 1000);
    else
        devices_table(cli, found);
    return EXIT_DONE;
}

static const struct flag DEVICES_FLAGS[] = {
    {"opencl", 0, FLAG_BOOL, NULL,
     "the OpenCL devices alone, in lines for programs: what the agent itself asks"},
};

const struct command COMMAND_SITE_DEVICES = {
    .name = "site devices",
    .group = "Running a network",
    .summary = "the accelerators of this machine, as an agent here would find them",
    .usage = "[flags]",
    .details = "Asks the vendors' own tools, and where none knows of a device the machine's OpenCL "
               "drivers.\n\nExample:\n  lq site devices",
    .flags = DEVICES_FLAGS,
    .flag_count = sizeof(DEVICES_FLAGS) / sizeof(DEVICES_FLAGS[0]),
    .run = site_devices_command};
