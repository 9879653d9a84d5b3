/* Which work runs on which kind of chip, where jobs run at different speeds on different kinds and
 * may be stopped, moved and gone on with: a choice for the present moment, made anew whenever a job
 * comes or ends and now and then between.
 *
 * A job is told by how long it would still take on each kind alone; a gang is on devices of one
 * kind. Nothing is known of jobs to come. Two aims:
 * - MIX_LAST: the last job ends soon. The linear programme
 *
 *       least T:  y_jk >= 0 time of job j on kind k,  sum_k y_jk / need_jk = 1,
 *                 sum_k y_jk <= T,  sum_j width_j y_jk <= devices_k T
 *
 *   is solved by prices: for prices p of a device's time a job takes the one or two kinds that
 *   finish it within T for the least, prices rise where more is taken than there is. For any p
 *   with sum_k devices_k p_k = 1 what the jobs pay, if it is more than T, says that T is too
 *   short: so T only rises to what is proved, and is a bound. Jobs that need the most of T go
 *   first, each on the kind where it is to spend the longest.
 * - MIX_MEAN: jobs end soon on average. The most of jobs is finished a second: the greatest sum of
 *   1 / need over those that run. Where all kinds are alike that is the shortest work first.
 *   Prices again say on which kind a job is worth its devices.
 * Devices that are free then go to whoever can use them.
 *
 * Integers only: same jobs, same choice, on every host. Owns its memory; not thread-safe. */
#ifndef LQ_PLACE_MIX_H
#define LQ_PLACE_MIX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { MIX_KINDS_MAX = 8, MIX_JOBS_MAX = 1 << 16, MIX_WIDTH_MAX = 1 << 16 };
#define MIX_NEED_MS_MAX (INT64_C(1) << 40)
#define MIX_NONE UINT32_MAX

struct mix_job {
    uint32_t width;
    uint32_t kind;                  /* where it runs now; MIX_NONE: nowhere */
    int64_t need_ms[MIX_KINDS_MAX]; /* on that kind alone; 0: it cannot run there */
};

struct mix_pool {
    uint32_t kind_count;
    int64_t devices[MIX_KINDS_MAX]; /* at most 2^32 */
};

enum mix_aim { MIX_LAST, MIX_MEAN };

struct mix;

enum err mix_create(struct mix **out) LQ_CHECKED;
void mix_destroy(struct mix *mix); /* accepts NULL */

/* out_kinds[j]: the kind on which job j runs now, MIX_NONE: it waits. Never more of a kind than
 * there is. ERR_LIMIT: more than MIX_JOBS_MAX jobs; ERR_NO_MEMORY. */
enum err mix_choose(struct mix *mix, enum mix_aim aim, const struct mix_pool *pool,
                    const struct mix_job *jobs, size_t count, uint32_t *out_kinds) LQ_CHECKED;

/* No way of running these jobs, all there from the start, ends the last of them sooner. Those that
 * can run nowhere are left out. */
enum err mix_bound_last(struct mix *mix, const struct mix_pool *pool, const struct mix_job *jobs,
                        size_t count, int64_t *out_ms) LQ_CHECKED;

#endif
