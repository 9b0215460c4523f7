/*
 * The inside of the probe, shared by probe.c (the way to the server) and probe_tls.c (its
 * certificate and the handshake) only. Any thread; one run belongs to one.
 */
#ifndef SALLYPORT_AGENT_TLS_PROBE_RUN_H
#define SALLYPORT_AGENT_TLS_PROBE_RUN_H

#include "agent/base/strbuf.h"
#include "agent/tls/probe.h"
#include "agent/tls/proxy_url.h"
#include "config/load/broker_url.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* One run. `text` is what stands behind "HOST:PORT: ". */
struct probe {
    const struct probe_target *target;
    struct broker_url server;
    struct proxy_url proxy;
    bool by_proxy;
    int64_t deadline_ns;
    int socket;
    SSL_CTX *context;
    SSL *tls;
    bool certificate_asked;  /* the server wanted a client certificate */
    enum probe_result found; /* by the verification; PROBE_OK: nothing wrong */
    struct strbuf text;
};

/* Milliseconds until the deadline of the probe; 0 when it has passed. */
int probe_left_ms(const struct probe *probe);

/* True when the socket is ready, false when the time is up. */
bool probe_wait(const struct probe *probe, short events, int timeout_ms);

/* The handshake, over the open connection; says what it found in probe->text. */
enum probe_result probe_tls(struct probe *probe);

#endif
