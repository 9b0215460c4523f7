/* What a probe is asked, and what it can find. Values only. */
#ifndef SALLYPORT_AGENT_TLS_PROBE_TARGET_H
#define SALLYPORT_AGENT_TLS_PROBE_TARGET_H

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
    PROBE_REVOKED,         /* server certificate, or one of its chain */
    PROBE_REVOCATION_LIST, /* our list, or the server's stapled answer, cannot be used */
    PROBE_CERTIFICATE,     /* any other reason against the server certificate */
    PROBE_CLIENT_REFUSED,  /* the server refuses our certificate, or requires one */
    PROBE_OWN_FILES,       /* our ca / certificate / key cannot be used */
    PROBE_ALPN,            /* the server knows no protocol that we offer */
};

struct probe_target {
    const char *server; /* mqtts://HOST[:PORT] or wss://HOST[:PORT]/PATH */
    const char *ca, *crl, *certificate, *key, *key_password, *alpn; /* NULL when unset */
    const char *proxy; /* with its password; NULL when unset */
    int timeout_ms;    /* for the whole probe */
};

#endif
