/* Where a job stands in its tenant's queue. The engine keeps jobs in order of (created_at, id);
 * this gives the moment to hand in as created_at.
 *
 * A job stands as if it had come later by `stretch` times the work it is expected to hold
 * (expected time x devices, or cores where it has none). So short and narrow jobs pass long and
 * wide ones, which is what makes the mean wait small (shortest work first), but only for a bounded
 * time: nobody is overtaken by a job that came later than stretch x its own work. A stretch of 0 is
 * plain age. Pure; the live server and the simulators call the same function. */
#ifndef LQ_PLACE_PLACE_AGE_H
#define LQ_PLACE_PLACE_AGE_H

#include "model/job.h"

enum { PLACE_STRETCH_MAX = 1000000 };

/* `expected` 0 (nothing is known): the job's time limit; 0 as well: plain age. Saturates. */
struct wall_us place_age(const struct job_spec *spec, struct wall_us created_at,
                         struct span_ms expected, uint32_t stretch);

#endif
