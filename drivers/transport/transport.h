/*
 * What carries bytes to the units of a line and back: a TCP connection, UDP datagrams or a serial
 * port. A transport knows nothing of what the bytes mean. One owner, the thread of its line.
 */
#ifndef SALLYPORT_DRIVERS_TRANSPORT_TRANSPORT_H
#define SALLYPORT_DRIVERS_TRANSPORT_TRANSPORT_H

#include "drivers/driver.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct transport;

struct transport_functions {
    /* Opens what is closed. Returns 0, or a negative errno with ERROR filled. */
    int (*open)(struct transport *transport, struct driver_error *error);

    /*
     * Closes; may be called when closed. IN_ERROR: the peer is to forget this connection at once,
     * which frees the only one that many devices have.
     */
    void (*close)(struct transport *transport, bool in_error);

    /* Sends without waiting. Returns 0 when all of it was taken, or a negative errno. */
    int (*send)(struct transport *transport, const uint8_t *bytes, size_t length);

    /*
     * Takes what has come, at most ROOM bytes; when that is nothing, waits for it until
     * clock_mono_ns() reaches DEADLINE_NS. What came is taken even when the deadline has passed:
     * whoever calls in a loop has to end it by time. Returns how many bytes, 0 when none came in
     * time, or a negative errno: -ECANCELED when the line is asked to stop while it waits, else
     * the connection or the device is gone.
     */
    ssize_t (*receive)(struct transport *transport, uint8_t *bytes, size_t room,
                       int64_t deadline_ns);

    /* Drops what was sent but could not leave. NULL where nothing is ever held back. */
    void (*drop_unsent)(struct transport *transport);

    void (*free)(struct transport *transport); /* closes first */
};

/* The beginning of every instance. These members are constant for its life. */
struct transport {
    const struct transport_functions *calls;
    const atomic_bool *stop;
    bool is_port;      /* a serial port of this machine: it is gone when it breaks */
    bool is_datagrams; /* nothing to close: what was sent before cannot change what comes next */
    const char *lost, *advice; /* "the connection broke", "; is it plugged in?" */

    /* A serial port; 0 for the others. */
    int64_t char_ns;    /* one character on the wire, start, parity and stop bits included */
    int64_t silence_ns; /* before every request */
    int64_t pause_ns;   /* at least this long after a request that was not answered */
};

/* Accepts NULL, returns NULL. */
struct transport *transport_free(struct transport *transport);

/* Says in ERROR that PROBLEM, a positive errno of send() or receive(), has ended the connection. */
void transport_explain_loss(const struct transport *transport, int problem,
                            struct driver_error *error);

#endif
