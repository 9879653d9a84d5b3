#include "agent/picture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "port/file.h"

enum err picture_init(struct picture *picture, uint32_t ranks)
{
    *picture = (struct picture){.parts = calloc(ranks, sizeof(*picture->parts)), .ranks = ranks};
    return picture->parts == NULL ? ERR_NO_MEMORY : ERR_OK;
}

void picture_deinit(struct picture *picture)
{
    free(picture->parts);
    picture->parts = NULL;
}

static void part_path(const struct picture_wish *wish, uint32_t rank, char out[RUN_PATH_MAX])
{
    char part[RUN_PART_MAX];
    (void)snprintf(part, sizeof(part), RUN_PART, rank);
    int n = wish->ranks == 1 ? snprintf(out, RUN_PATH_MAX, "%s", wish->target)
                             : snprintf(out, RUN_PATH_MAX, "%s/%s", wish->target, part);
    ASSERT(n > 0 && n < RUN_PATH_MAX); /* the state folder's path was checked at the start */
}

static enum err take_rank(const struct picture_wish *wish, uint32_t rank, struct picture *picture,
                          enum snapshot_result *out_result, struct fault *fault)
{
    char work[RUN_PATH_MAX], target[RUN_PATH_MAX];
    int n = snprintf(work, sizeof(work), "%s/rank-%u/work", wish->folder, rank);
    ASSERT(n > 0 && (size_t)n < sizeof(work));
    part_path(wish, rank, target);
    const struct snapshot_wish one = {.work = work,
                                      .root = wish->root,
                                      .paths = wish->paths,
                                      .target = target,
                                      .is_final = wish->is_final,
                                      .leaves_young = wish->leaves_young,
                                      .known = wish->ranks == 1 ? wish->known : 0,
                                      .now = wish->now};
    return snapshot_take(&one, out_result, &picture->parts[rank], fault);
}

static void part_add(struct snapshot *sum, const struct snapshot *part, uint32_t rank)
{
    bool is_first = sum->files == 0;
    sum->fingerprint = hash_mix(sum->fingerprint, hash_u64(part->fingerprint, rank)) | 1;
    sum->step = is_first || part->step < sum->step ? part->step : sum->step;
    sum->files += part->files;
    sum->bytes += part->bytes;
    sum->has_young = sum->has_young || part->has_young;
}

static enum snapshot_result judge(const struct picture_wish *wish, const struct snapshot *sum,
                                  bool is_even)
{
    if (sum->files == 0)
        return SNAPSHOT_EMPTY;
    if (sum->fingerprint == wish->known)
        return SNAPSHOT_SAME;
    return wish->must_agree && !wish->is_final && !is_even ? SNAPSHOT_YOUNG : SNAPSHOT_TAKEN;
}

static enum err take_gang(const struct picture_wish *wish, struct picture *picture,
                          struct fault *fault)
{
    struct snapshot sum = {0};
    uint64_t step = 0;
    bool is_even = true;
    enum err err = file_remove_tree(wish->target, fault);
    for (uint32_t rank = 0; err == ERR_OK && rank < wish->ranks; rank++) {
        enum snapshot_result result = SNAPSHOT_EMPTY;
        err = take_rank(wish, rank, picture, &result, fault);
        if (err == ERR_OK && result == SNAPSHOT_YOUNG) {
            picture->result = SNAPSHOT_YOUNG;
            return ERR_OK;
        }
        const struct snapshot *part = &picture->parts[rank];
        uint64_t step_here = result == SNAPSHOT_TAKEN ? part->step : 0;
        is_even = is_even && (rank == 0 || step_here == step);
        step = step_here;
        if (result == SNAPSHOT_TAKEN)
            part_add(&sum, part, rank);
    }
    if (err != ERR_OK)
        return err;
    picture->sum = sum;
    picture->result = judge(wish, &sum, is_even);
    return ERR_OK;
}

enum err picture_take(const struct picture_wish *wish, struct picture *picture, struct fault *fault)
{
    ASSERT(wish->ranks == picture->ranks);
    if (wish->ranks > 1)
        return take_gang(wish, picture, fault);
    enum err err = take_rank(wish, 0, picture, &picture->result, fault);
    picture->sum = picture->parts[0];
    return err;
}

enum err picture_is_still(const struct picture_wish *wish, const struct picture *picture,
                          bool *out_is_still, struct fault *fault)
{
    enum err err = ERR_OK;
    bool is_still = true;
    for (uint32_t rank = 0; err == ERR_OK && is_still && rank < picture->ranks; rank++) {
        char path[RUN_PATH_MAX];
        part_path(wish, rank, path);
        if (picture->parts[rank].has_young)
            err = snapshot_is_still(path, &picture->parts[rank], &is_still, fault);
    }
    if (err == ERR_OK)
        *out_is_still = is_still;
    return err;
}
