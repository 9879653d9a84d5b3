/* ASSERT: programmers' mistakes, checked in release too. Prints file, line, expression; aborts. */
#ifndef LQ_BASE_ASSERT_H
#define LQ_BASE_ASSERT_H

_Noreturn void assert_failed(const char *file, int line, const char *expression);

#define ASSERT(expression)                                                                         \
    do {                                                                                           \
        if (__builtin_expect(!(expression), 0))                                                    \
            assert_failed(__FILE__, __LINE__, #expression);                                        \
    } while (0)

#endif
