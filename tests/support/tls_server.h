/*
 * A TLS server that a test plays, in a thread: it misbehaves on request and counts what it is
 * sent. Serves one connection after the other.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_TLS_SERVER_H
#define SALLYPORT_TESTS_SUPPORT_TLS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tls_server_manner {
    TLS_SERVER_RECORD,    /* shakes hands, then only reads */
    TLS_SERVER_STALL,     /* takes the TCP connection, then nothing */
    TLS_SERVER_BANNER,    /* greets like some other service, without TLS */
    TLS_SERVER_MQTT,      /* a broker that accepts every login and subscription, and acknowledges */
    TLS_SERVER_MQTT_MUTE, /* the same, but never acknowledges a message */
    TLS_SERVER_MQTT_REFUSE, /* the same, but refuses every login */
    TLS_SERVER_MQTT_DENY,   /* the same, but refuses every subscription */
    TLS_SERVER_MQTT_DEAF,   /* the same, but answers no subscription */
    TLS_SERVER_WEBSOCKET,   /* TLS_SERVER_MQTT in WebSocket frames, at the path /mqtt */
};

struct tls_server_options {
    enum tls_server_manner manner;
    const char *certificate; /* name for pki_path(), without its ending; NULL: "good" */
    bool wants_client;       /* refuses clients without a certificate of ca.pem */
    int only_version;        /* TLS1_1_VERSION, ...; 0: what OpenSSL offers. Weak ciphers allowed */
    const unsigned char *stapled; /* the OCSP answer that it gives; NULL: none */
    size_t stapled_bytes;
    const char *alpn; /* the only protocol that it speaks; NULL: takes no notice */
};

struct tls_server; /* opaque */

struct tls_server *tls_server_start(const struct tls_server_options *options);
struct tls_server *tls_server_stop(struct tls_server *server);

uint16_t tls_server_port(const struct tls_server *server);
unsigned int tls_server_connections(const struct tls_server *server); /* TCP */
unsigned int tls_server_handshakes(const struct tls_server *server);  /* completed */
/* Bytes that came inside TLS, or outside it when it does not come to that. */
size_t tls_server_bytes(const struct tls_server *server);
unsigned int tls_server_logins(const struct tls_server *server);    /* MQTT logins tried */
unsigned int tls_server_publishes(const struct tls_server *server); /* MQTT messages received */

#endif
