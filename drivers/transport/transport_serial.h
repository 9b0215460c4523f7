/*
 * A serial port with units on one pair of wires. Source of its times: "MODBUS over Serial Line
 * V1.02", section 2.5.1.1. One owner.
 */
#ifndef SALLYPORT_DRIVERS_TRANSPORT_TRANSPORT_SERIAL_H
#define SALLYPORT_DRIVERS_TRANSPORT_TRANSPORT_SERIAL_H

#include "drivers/serial/serial_options.h"
#include "drivers/transport/transport.h"

/* TURNAROUND_MS: the pause after a request that was not answered. OPTIONS and *STOP must outlive
 * the transport. */
struct transport *transport_serial_new(const struct serial_options *options, int64_t turnaround_ms,
                                       const atomic_bool *stop);

#endif
