/*
 * Why a connection to a broker failed. Paho says "TCP/TLS connect failure" for nearly everything,
 * so after a failure this tries by itself, step by step: resolve, connect, proxy, TLS handshake
 * with the same files, and says what it found in one sentence that tells what to do. It sends no
 * password and no MQTT packet, and never talks on over an unverified connection. Blocking: the
 * uplink runs it in a thread of its own; `sallyport init` may call it directly.
 */
#ifndef SALLYPORT_AGENT_TLS_PROBE_H
#define SALLYPORT_AGENT_TLS_PROBE_H

#include <stddef.h>
#include <stdint.h>

enum probe_result {
    PROBE_OK, /* a verified TLS session is possible */
    PROBE_NAME_NOT_FOUND,
    PROBE_REFUSED,
    PROBE_UNREACHABLE, /* no route */
    PROBE_TIMED_OUT,
    PROBE_PROXY,         /* the proxy refused or is not one */
    PROBE_NOT_TLS,       /* something answers, but not TLS */
    PROBE_TLS_VERSION,   /* nothing in common from TLS 1.2 up */
    PROBE_EXPIRED,       /* server certificate, or one of its chain */
    PROBE_NOT_YET_VALID, /* or our clock is wrong: the sentence says both */
    PROBE_WRONG_NAME,
    PROBE_UNKNOWN_CA,
    PROBE_CERTIFICATE,    /* any other reason against the server certificate */
    PROBE_CLIENT_REFUSED, /* the server refuses our certificate, or wants one */
    PROBE_OWN_FILES,      /* our ca / certificate / key cannot be used */
    PROBE_ALPN,           /* the server knows no protocol that we offer */
};

struct probe_target {
    const char *server; /* mqtts://HOST[:PORT] or wss://HOST[:PORT]/PATH */
    const char *ca, *certificate, *key, *key_password, *alpn, *proxy; /* NULL when unset */
    int timeout_ms;                                                   /* for the whole probe */
};

/* SENTENCE gets at most SIZE bytes, NUL-terminated: "broker.example.com:8883: ...". Any thread. */
enum probe_result probe_run(const struct probe_target *target, char *sentence, size_t size);

#endif
