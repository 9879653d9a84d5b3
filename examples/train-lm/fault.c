#include "fault.h"

#include <stdarg.h>
#include <stdio.h>

bool lm_fail(struct lm_fault *fault, const char *format, ...)
{
    if (fault != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(fault->text, sizeof fault->text, format, args);
        va_end(args);
    }
    return false;
}
