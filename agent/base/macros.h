/* Small compiler helpers used everywhere. Depends on nothing. */
#ifndef SALLYPORT_AGENT_BASE_MACROS_H
#define SALLYPORT_AGENT_BASE_MACROS_H

#include <stddef.h>

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A function whose format string the compiler checks; positions count from 1. */
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

/* Runs FUNCTION(&variable) when the variable leaves its scope. */
#define CLEANUP(function) __attribute__((cleanup(function)))

/* Moves a pointer out of a variable that has a cleanup: the caller becomes the owner. */
#define TAKE_POINTER(pointer)                                                                      \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#endif
