/* Partitions, constraints and folders against what the network is. */
#include <string.h>

#include "cli/sbatch.h"
#include "model/name.h"
#include "model/site.h"

struct network {
    struct api_list sites, regions;
};

static bool is_named(const struct api_list *list, struct slice name)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_is_equal(api_string(list->items[i], "name"), name))
            return true;
    return false;
}

static int refuse(struct cli *cli, const char *option, struct slice word, const char *must)
{
    (void)cli_fail(cli, SBATCH_EXIT_OPTION, "Invalid --%s specification: \"%.*s\" %s", option,
                   SLICE_ARG(word), must);
    return SBATCH_EXIT_OPTION;
}

static void list_add(struct text_list *list, struct slice *room, struct slice word)
{
    if (list->count < JOB_PLACES_MAX)
        room[list->count++] = word;
    list->items = room;
}

/* "zhongwei,guian": sites or regions; `any` alone is no limit. */
static int partitions(struct cli *cli, const struct network *network, struct slice text,
                      struct sbatch_job *out)
{
    struct slice *sites = arena_array(&cli->arena, JOB_PLACES_MAX, sizeof(*sites)),
                 *regions = arena_array(&cli->arena, JOB_PLACES_MAX, sizeof(*regions)), one;
    if (text.len == 0 || slice_is(text, "any"))
        return EXIT_DONE;
    for (bool is_last = false; !is_last;) {
        is_last = !slice_cut(text, ',', &one, &text);
        if (is_last)
            one = text;
        if (is_named(&network->sites, one))
            list_add(&out->sites, sites, one);
        else if (is_named(&network->regions, one))
            list_add(&out->regions, regions, one);
        else
            return refuse(cli, "partition", one,
                          "is neither a site nor a region of the network (lq sites); `-p any` "
                          "runs it anywhere");
    }
    if (out->sites.count > 0 && out->regions.count > 0)
        return refuse(cli, "partition", out->sites.items[0],
                      "is a site and another one is a region: name only one kind");
    return EXIT_DONE;
}

/* "west&jurisdiction:CN", "west|east", "a100" */
static int constraint(struct cli *cli, const struct network *network,
                      const struct sbatch_plan *plan, struct sbatch_job *out)
{
    struct slice *regions = arena_array(&cli->arena, JOB_PLACES_MAX, sizeof(*regions)),
                 *codes = arena_array(&cli->arena, JOB_PLACES_MAX, sizeof(*codes)), one,
                 rest = plan->constraint, prefix, code;
    bool is_or = rest.len > 0 && memchr(rest.data, '|', rest.len) != NULL;
    uint32_t named = 0;
    if (rest.len == 0)
        return EXIT_DONE;
    for (bool is_last = false; !is_last;) {
        is_last = !slice_cut(rest, is_or ? '|' : '&', &one, &rest);
        if (is_last)
            one = rest;
        if (is_named(&network->regions, one)) {
            if (!is_or && named++ > 0)
                return refuse(cli, "constraint", one,
                              "is a second region: no node is in two; write | between them");
            if (out->regions.count > 0 && out->regions.items != regions)
                return refuse(cli, "constraint", one, "is a region, and --partition names one too");
            list_add(&out->regions, regions, one);
        } else if (slice_cut(one, ':', &prefix, &code) && slice_is(prefix, "jurisdiction") &&
                   jurisdiction_check(code, NULL, NULL) == ERR_OK) {
            list_add(&out->jurisdictions, codes, code);
        } else if (plan->gpus > 0 && !is_or && out->gpu_type.len == 0 &&
                   text_line_check(one, NAME_MAX, NULL, NULL) == ERR_OK) {
            out->gpu_type = one; /* the server's catalogue knows, or refuses it by name */
        } else {
            return refuse(
                cli, "constraint", one,
                "is no region, no jurisdiction:CODE, and no chip's model beside --gres or "
                "--gpus");
        }
    }
    return EXIT_DONE;
}

static bool is_inside(struct slice path, struct slice folder)
{
    return slice_has_prefix(path, folder) &&
           (path.len == folder.len || path.data[folder.len] == '/');
}

/* The innermost folder around `work_dir` that a site shares with the tenant. */
static struct slice shared_find(const struct network *network, struct slice tenant,
                                struct slice work_dir)
{
    struct slice best = {"", 0};
    for (size_t i = 0; i < network->sites.count; i++) {
        struct json_iterator it =
            json_iterate(json_object_get(network->sites.items[i], "shared_folders"));
        while (json_next(&it)) {
            struct slice text, owner, folder;
            if (json_to_string(it.value, SITE_SHARE_TEXT_MAX, &text, NULL) == ERR_OK &&
                slice_cut(text, '=', &owner, &folder) && slice_is_equal(owner, tenant) &&
                is_inside(work_dir, folder) && folder.len > best.len)
                best = folder;
        }
    }
    return best;
}

int sbatch_place(struct cli *cli, const struct sbatch_plan *plan, struct slice tenant,
                 struct slice work_dir, struct sbatch_job *out)
{
    struct network network;
    int code = api_list(cli, "/v1/sites", 0, &network.sites);
    if (code == EXIT_DONE)
        code = api_list(cli, "/v1/regions", 0, &network.regions);
    if (code == EXIT_DONE)
        code = partitions(cli, &network, plan->partition, out);
    out->gpu_type = plan->gpu_type;
    if (code == EXIT_DONE)
        code = constraint(cli, &network, plan, out);
    if (code == EXIT_DONE)
        out->shared = shared_find(&network, tenant, work_dir);
    return code;
}
