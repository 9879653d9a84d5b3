/* One line on stderr for the operator: "lq agent: ..." with the time. The shell's, not a library's.
 */
#ifndef LQ_AGENT_TELL_H
#define LQ_AGENT_TELL_H

#include "base/err.h"

void tell(const char *format, ...) LQ_PRINTF(1, 2);

#endif
