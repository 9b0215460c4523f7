/* What every transport has to do. */
#include "tests/support/carried.h"

#include "agent/base/clock.h"
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static ssize_t receive(struct transport *transport, uint8_t *bytes, size_t room, int64_t wait_ms)
{
    return transport->calls->receive(transport, bytes, room,
                                     clock_mono_ns() + wait_ms * CLOCK_NS_PER_MS);
}

void carried_test(struct transport *transport, int peer, atomic_bool *stop)
{
    static const uint8_t sent[] = {1, 3, 0, 0xFF, '\r', '\n', 0x11, 0x13}; /* flow control is off */
    uint8_t got[32];
    CU_ASSERT_EQUAL(transport->calls->send(transport, sent, sizeof(sent)), 0);
    CU_ASSERT_EQUAL(read(peer, got, sizeof(got)), (ssize_t)sizeof(sent));
    CU_ASSERT_EQUAL(memcmp(got, sent, sizeof(sent)), 0);
    CU_ASSERT_EQUAL(write(peer, sent, sizeof(sent)), (ssize_t)sizeof(sent));
    CU_ASSERT_EQUAL(receive(transport, got, sizeof(got), 5000), (ssize_t)sizeof(sent));
    CU_ASSERT_EQUAL(memcmp(got, sent, sizeof(sent)), 0);
    int64_t begun_ns = clock_mono_ns();
    CU_ASSERT_EQUAL(receive(transport, got, sizeof(got), 30), 0);
    CU_ASSERT_TRUE(clock_mono_ns() - begun_ns >= 30 * CLOCK_NS_PER_MS);
    CU_ASSERT_EQUAL(receive(transport, got, sizeof(got), -1000), 0); /* a look, without a wait */
    atomic_store(stop, true);
    CU_ASSERT_EQUAL(receive(transport, got, sizeof(got), 60000), -ECANCELED);
    atomic_store(stop, false);
    if (transport->calls->drop_unsent)
        transport->calls->drop_unsent(transport);
}
