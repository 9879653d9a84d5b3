#include "agent/tell.h"

#include <stdarg.h>
#include <stdio.h>

#include "port/clock.h"

enum { TELL_LINE_MAX = 1024 };

void tell(const char *format, ...)
{
    char line[TELL_LINE_MAX], at[TIME_TEXT_MAX];
    struct clock clock = clock_system();
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n < 0)
        return;
    /* What others said may hold control characters: a line stays one line. */
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    wall_format(clock_wall(&clock), at);
    (void)fprintf(stderr, "%s lq agent: %s\n", at, line);
}
