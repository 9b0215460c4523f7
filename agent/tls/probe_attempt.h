/*
 * One attempt of the probe: how far it has come, and its deadline. Shared by probe.c (the way to
 * the server) and probe_tls.c (its certificate and the handshake). Any thread; one attempt belongs
 * to one.
 */
#ifndef SALLYPORT_AGENT_TLS_PROBE_ATTEMPT_H
#define SALLYPORT_AGENT_TLS_PROBE_ATTEMPT_H

#include "agent/base/strbuf.h"
#include "agent/tls/probe_target.h"
#include "agent/tls/server_check.h"
#include "config/load/broker_url.h"
#include "config/load/proxy_url.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct probe_attempt {
    const struct probe_target *target;
    struct broker_url server;
    struct proxy_url proxy;
    bool by_proxy;
    int64_t deadline_ns;
    int socket;
    SSL_CTX *context;
    SSL *tls;
    bool certificate_asked; /* the server asked for a client certificate */
    struct server_check *check;
    struct server_finding found; /* about the server's certificate; its text is the one below */
    struct strbuf text;          /* what follows "HOST:PORT: " */
};

/* Milliseconds until the deadline; 0 when it has passed. */
int probe_attempt_left_ms(const struct probe_attempt *probe);

/* Waits for EVENTS of the socket until the deadline; false when the time is up. */
bool probe_attempt_wait(const struct probe_attempt *probe, short events);

#endif
