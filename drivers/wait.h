/*
 * Waiting for a descriptor as a driver may: until a deadline, and giving up early when its line is
 * asked to stop. Any thread.
 */
#ifndef SALLYPORT_DRIVERS_WAIT_H
#define SALLYPORT_DRIVERS_WAIT_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * Waits until one of EVENTS (POLLIN, POLLOUT) or an error is pending on FILE. Returns the pending
 * events (more than 0, POLLERR and POLLHUP included), 0 when clock_mono_ns() reached DEADLINE_NS,
 * or a negative errno: -ECANCELED when *STOP became true, noticed within 100 ms. The deadline comes
 * first: once it has passed, FILE is not looked at, so that a peer that never stops sending ends no
 * deadline. Whoever wants what has come by then takes it without waiting, before the call.
 */
int wait_for(int file, short events, int64_t deadline_ns, const atomic_bool *stop);

#endif
