/*
 * Why a connection to a broker failed. Paho says "TCP/TLS connect failure" for nearly everything,
 * so after a failure the probe makes a connection of its own, step by step: name, TCP, proxy, TLS
 * handshake with the same files. It reports what it found in one sentence that says what to do. It
 * sends no password and no MQTT packet, and sends nothing more once verification has failed.
 * Blocking: the uplink runs it in a thread of its own; `sallyport init` may call it directly.
 */
#ifndef SALLYPORT_AGENT_TLS_PROBE_H
#define SALLYPORT_AGENT_TLS_PROBE_H

#include "agent/tls/probe_target.h"

#include <stddef.h>

/* SENTENCE gets at most SIZE bytes, NUL-terminated: "broker.example.com:8883: ...". Any thread. */
enum probe_result probe_run(const struct probe_target *target, char *sentence, size_t size);

#endif
