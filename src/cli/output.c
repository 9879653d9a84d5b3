/* What people read: errors, progress, questions. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/cli.h"

int cli_fail(const struct cli *cli, int exit_code, const char *format, ...)
{
    va_list args;
    (void)fflush(stdout);
    fprintf(stderr, "%s: ", cli->speaker == NULL ? "lq" : cli->speaker);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return exit_code;
}

int cli_fail_fault(const struct cli *cli, int exit_code, const char *what,
                   const struct fault *fault)
{
    char where[FAULT_FIELD_MAX + 64] = "";
    if (fault->line > 0)
        (void)snprintf(where, sizeof(where), ":%u:%u", fault->line, fault->column);
    const char *message = fault->message[0] != 0 ? fault->message : err_name(fault->code);
    if (where[0] == 0 && fault->field[0] == 0 && strstr(message, what) != NULL)
        return cli_fail(cli, exit_code, "%s", message); /* it names the thing itself */
    if (fault->field[0] != 0)
        return cli_fail(cli, exit_code, "%s%s: %s: %s", what, where, fault->field, message);
    return cli_fail(cli, exit_code, "%s%s: %s", what, where, message);
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list args;
    if (cli->is_quiet)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

bool cli_confirm(const struct cli *cli, const char *question)
{
    char answer[16];
    if (cli->is_yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        (void)cli_fail(cli, EXIT_USAGE,
                       "%s: there is no terminal to ask; give -y to go on without asking",
                       question);
        return false;
    }
    fprintf(stderr, "%s [y/N] ", question);
    (void)fflush(stderr);
    if (fgets(answer, sizeof(answer), stdin) == NULL)
        return false;
    return answer[0] == 'y' || answer[0] == 'Y';
}

struct slice cli_safe_lines(struct cli *cli, struct slice text)
{
    struct slice safe = cli_safe(cli, text);
    char *copy = arena_text(&cli->arena, safe);
    ASSERT(copy != NULL);
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\n' || text.data[i] == '\t')
            copy[i] = text.data[i];
    return (struct slice){copy, text.len};
}

struct slice cli_safe(struct cli *cli, struct slice text)
{
    char *copy = arena_text(&cli->arena, text);
    ASSERT(copy != NULL);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)copy[i];
        /* C0, DEL, and C1 as UTF-8 encodes it (0xC2 0x80-0x9F) */
        bool is_c1 = c == 0xC2 && i + 1 < text.len && (unsigned char)copy[i + 1] < 0xA0;
        if (c < 0x20 || c == 0x7F)
            copy[i] = '?';
        else if (is_c1)
            copy[i] = copy[i + 1] = '?';
    }
    return (struct slice){copy, text.len};
}

void cli_csv(struct cli *cli, struct slice text)
{
    struct slice safe = cli_safe(cli, text);
    putchar('"');
    for (size_t i = 0; i < safe.len; i++) {
        if (safe.data[i] == '"')
            putchar('"');
        putchar(safe.data[i]);
    }
    putchar('"');
}

bool cli_write(struct slice bytes)
{
    (void)fflush(stdout);
    while (bytes.len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (errno != EPIPE)
                fprintf(stderr, "lq: cannot write the output: %s\n", strerror(errno));
            return false;
        }
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
    return true;
}

void cli_size(struct cli *cli)
{
    enum { COLUMNS_DEFAULT = 80, ROWS_DEFAULT = 24 };
    struct winsize size;
    bool has_size = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    cli->columns = has_size && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
    cli->rows = has_size && size.ws_row > 0 ? size.ws_row : ROWS_DEFAULT;
}
