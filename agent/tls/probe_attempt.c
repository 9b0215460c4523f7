/* One attempt of the probe: its deadline. */
#include "agent/tls/probe_attempt.h"

#include "agent/base/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

int probe_attempt_left_ms(const struct probe_attempt *probe)
{
    int64_t left = (probe->deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

bool probe_attempt_wait(const struct probe_attempt *probe, short events)
{
    struct pollfd wait = {.fd = probe->socket, .events = events};
    int ready;
    do
        ready = poll(&wait, 1, probe_attempt_left_ms(probe));
    while (ready < 0 && errno == EINTR);
    return ready == 1;
}
