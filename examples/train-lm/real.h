/* The number type of the model.
 *
 * Training runs in float. The gradient check compiles the very same sources with LM_DOUBLE, so that
 * finite differences are exact enough to tell a wrong formula from rounding. */
#ifndef LM_REAL_H
#define LM_REAL_H

#ifdef LM_DOUBLE
typedef double lm_real;
#else
typedef float lm_real;
#endif

#endif
