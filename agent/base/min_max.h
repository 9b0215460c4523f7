/* The smaller and the larger of two numbers of one type. Pure; any thread. */
#ifndef SALLYPORT_AGENT_BASE_MIN_MAX_H
#define SALLYPORT_AGENT_BASE_MIN_MAX_H

#include <stddef.h>
#include <stdint.h>

#define MIN_MAX_OF(type, name)                                                                     \
    static inline type min_##name(type a, type b)                                                  \
    {                                                                                              \
        return a < b ? a : b;                                                                      \
    }                                                                                              \
    static inline type max_##name(type a, type b)                                                  \
    {                                                                                              \
        return a > b ? a : b;                                                                      \
    }

MIN_MAX_OF(int64_t, i64)
MIN_MAX_OF(uint64_t, u64)
MIN_MAX_OF(size_t, size)

#undef MIN_MAX_OF

#endif
