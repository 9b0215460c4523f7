/* What every transport has to do, tested against a peer that the test holds. */
#ifndef SALLYPORT_TESTS_SUPPORT_CARRIED_H
#define SALLYPORT_TESTS_SUPPORT_CARRIED_H

#include "drivers/transport/transport.h"

/*
 * TRANSPORT is open and leads to PEER, a descriptor: bytes go both ways, a receive without bytes
 * ends at its deadline, and early when *STOP is true.
 */
void carried_test(struct transport *transport, int peer, atomic_bool *stop);

#endif
