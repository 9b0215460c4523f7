/* What a confined helper that was taken over would try; runs in the helper. */
#ifndef SALLYPORT_TESTS_SUPPORT_CONFINED_ATTEMPTS_H
#define SALLYPORT_TESTS_SUPPORT_CONFINED_ATTEMPTS_H

#include "tunnel/os/confinement.h"

/* The abstract Unix socket that it tries to reach. */
#define CONFINED_ATTEMPTS_SOCKET "sallyport-confined-test"

/*
 * ARGUMENTS: "ssh-keygen" or "resolver", a folder like netd's, netd's process, a TCP port that
 * somebody listens at. Prints "allowed: ..." for what it could do, and how much it tried; a
 * shell that it could execute prints "allowed: a shell" in its place. Returns 0.
 */
int confined_attempts_run(char **arguments);

/* How many it tries as KIND. */
unsigned confined_attempts_count(enum confined_kind kind);

/* 0 when it may connect to port 53 of this machine, whether somebody listens there or not. */
int confined_attempts_ask_by_tcp(void);

#endif
