#include "place/place_age.h"

#include "base/assert.h"

/* A century: later than every queue, and far from the end of the type. */
#define AGE_LATER_MS_MAX (INT64_C(100) * 366 * 86400 * 1000)

struct wall_us place_age(const struct job_spec *spec, struct wall_us created_at,
                         struct span_ms expected, uint32_t stretch)
{
    ASSERT(stretch <= PLACE_STRETCH_MAX);
    int64_t runs_ms = expected.ms > 0 ? expected.ms : spec->time_limit.ms;
    int64_t width = spec->variants[0].accelerators > 0 ? spec->variants[0].accelerators
                                                       : (spec->cpu_milli + 999) / 1000;
    width *= spec->num_nodes;
    if (width < 1)
        width = 1;
    int64_t later_ms = AGE_LATER_MS_MAX;
    if (stretch == 0 || runs_ms <= 0)
        later_ms = 0;
    else if (runs_ms < AGE_LATER_MS_MAX / width / stretch)
        later_ms = runs_ms * width * stretch;
    return (struct wall_us){created_at.us + later_ms * 1000};
}
