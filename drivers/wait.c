/* Waiting for a descriptor, bounded by a deadline and a stop flag. */
#include "drivers/wait.h"

#include "agent/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define SLICE_NS (100 * CLOCK_NS_PER_MS) /* how long a stop may go unnoticed */

int wait_for(int file, short events, int64_t deadline_ns, const atomic_bool *stop)
{
    for (;;) {
        if (atomic_load_explicit(stop, memory_order_relaxed))
            return -ECANCELED;
        int64_t left = deadline_ns - clock_mono_ns();
        if (left <= 0)
            return 0;
        bool last = left <= SLICE_NS;
        int64_t slice = last ? left : SLICE_NS;
        struct timespec timeout = {.tv_nsec = (long)slice}; /* less than a second */
        struct pollfd wait = {.fd = file, .events = events};
        int ready = ppoll(&wait, 1, &timeout, NULL);
        if (ready > 0)
            return wait.revents;
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready == 0 && last)
            return 0;
    }
}
