/* A TLS server that a test plays. */
#include "tests/support/tls_server.h"

#include "agent/base/memory.h"
#include "tests/support/net.h"
#include "tests/support/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls_server {
    struct tls_server_options options;
    SSL_CTX *context;
    int listener, stop;
    uint16_t port;
    pthread_t thread;
    atomic_uint connections, handshakes, logins, publishes;
    atomic_size_t bytes;
};

/* One connection; reads block until there is a byte, the peer is gone, or the test wants an end. */
struct visitor {
    struct tls_server *server;
    int socket;
    SSL *tls;
};

/* What we send is small: only reading ever has to wait. */
static bool more(struct visitor *visitor)
{
    return net_wait(visitor->socket, visitor->server->stop, 60000);
}

static bool shake_hands(struct visitor *visitor)
{
    for (;;) {
        int result = SSL_accept(visitor->tls);
        if (result == 1)
            return true;
        if (SSL_get_error(visitor->tls, result) != SSL_ERROR_WANT_READ || !more(visitor))
            return false;
    }
}

static int read_some(struct visitor *visitor, void *place, int size)
{
    for (;;) {
        int got = SSL_read(visitor->tls, place, size);
        if (got > 0) {
            atomic_fetch_add(&visitor->server->bytes, (size_t)got);
            return got;
        }
        if (SSL_get_error(visitor->tls, got) != SSL_ERROR_WANT_READ || !more(visitor))
            return -1;
    }
}

static bool read_exactly(struct visitor *visitor, void *place, size_t size)
{
    for (size_t at = 0; at < size;) {
        int got = read_some(visitor, (char *)place + at, (int)(size - at));
        if (got < 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static bool write_raw(struct visitor *visitor, const void *bytes, size_t length)
{
    return SSL_write(visitor->tls, bytes, (int)length) == (int)length;
}

/* --- WebSocket, RFC 6455: just enough ----------------------------------------------------------
 */

static bool upgrade(struct visitor *visitor)
{
    char request[4096] = "";
    size_t length = 0;
    while (length + 1 < sizeof(request) && !strstr(request, "\r\n\r\n")) {
        if (!read_exactly(visitor, request + length, 1))
            return false;
        request[++length] = '\0';
    }
    const char *key = strstr(request, "Sec-WebSocket-Key: ");
    if (strncmp(request, "GET /mqtt HTTP/1.1\r\n", 20) != 0 || !key) {
        static const char no[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        (void)write_raw(visitor, no, strlen(no));
        return false;
    }
    key += strlen("Sec-WebSocket-Key: ");
    char joined[256], answer[512];
    unsigned char digest[SHA_DIGEST_LENGTH], accept[64];
    (void)snprintf(joined, sizeof(joined), "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                   (int)strcspn(key, "\r"), key);
    (void)EVP_Digest(joined, strlen(joined), digest, NULL, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock(accept, digest, sizeof(digest));
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                   "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
                   accept);
    return write_raw(visitor, answer, strlen(answer));
}

/* One masked frame of up to 65535 bytes; returns its length, -1 at the end. */
static int read_frame(struct visitor *visitor, unsigned char *place, size_t size)
{
    unsigned char head[2], extended[2], mask[4];
    if (!read_exactly(visitor, head, 2) || (head[0] & 0x0f) == 8 || (head[1] & 0x7f) == 127)
        return -1;
    size_t length = head[1] & 0x7f;
    if (length == 126) {
        if (!read_exactly(visitor, extended, 2))
            return -1;
        length = (size_t)(extended[0] << 8 | extended[1]);
    }
    if (length > size || !read_exactly(visitor, mask, 4) || !read_exactly(visitor, place, length))
        return -1;
    for (size_t i = 0; i < length; i++)
        place[i] ^= mask[i % 4];
    return (int)length;
}

/* --- MQTT 3.1.1: just enough -------------------------------------------------------------------
 */

static bool answer(struct visitor *visitor, const unsigned char *packet, size_t length)
{
    unsigned char frame[2 + 16] = {0x82, (unsigned char)length};
    if (visitor->server->options.manner != TLS_SERVER_WEBSOCKET)
        return write_raw(visitor, packet, length);
    memcpy(frame + 2, packet, length);
    return write_raw(visitor, frame, length + 2);
}

/* BODY is the packet without its fixed header. */
static bool serve_packet(struct visitor *visitor, unsigned char type, const unsigned char *body,
                         size_t length)
{
    struct tls_server *server = visitor->server;
    unsigned char granted;
    switch (type & 0xf0) {
    case 0x10: /* CONNECT */
        atomic_fetch_add(&server->logins, 1);
        granted = server->options.manner == TLS_SERVER_MQTT_REFUSE ? 5 : 0;
        return answer(visitor, (const unsigned char[]){0x20, 2, 0, granted}, 4) && granted == 0;
    case 0x80: /* SUBSCRIBE */
        if (server->options.manner == TLS_SERVER_MQTT_DEAF)
            return true;
        granted = server->options.manner == TLS_SERVER_MQTT_DENY ? 0x80 : 1;
        return length >= 2 &&
               answer(visitor, (const unsigned char[]){0x90, 3, body[0], body[1], granted}, 5);
    case 0xc0: /* PINGREQ */
        return answer(visitor, (const unsigned char[]){0xd0, 0}, 2);
    case 0x30: { /* PUBLISH, always QoS 1 here */
        size_t topic = length >= 2 ? (size_t)(body[0] << 8 | body[1]) : 0;
        if (length < topic + 4)
            return false;
        atomic_fetch_add(&server->publishes, 1);
        if (server->options.manner == TLS_SERVER_MQTT_MUTE)
            return true;
        return answer(visitor, (const unsigned char[]){0x40, 2, body[topic + 2], body[topic + 3]},
                      4);
    }
    default: /* DISCONNECT */
        return false;
    }
}

static void serve_mqtt(struct visitor *visitor)
{
    static const size_t max = 65536;
    unsigned char *body = memory_zeroed(max, 1);
    for (bool on = true; on;) {
        unsigned char head, digit;
        size_t length = 0, shift = 0;
        on = read_exactly(visitor, &head, 1);
        do {
            on = on && read_exactly(visitor, &digit, 1);
            length |= on ? (size_t)(digit & 0x7f) << shift : 0;
            shift += 7;
        } while (on && (digit & 0x80) && shift < 28);
        on = on && length <= max && read_exactly(visitor, body, length) &&
             serve_packet(visitor, head, body, length);
    }
    free(body);
}

/* Each frame that Paho sends is one packet. */
static void serve_websocket(struct visitor *visitor)
{
    unsigned char *frame = memory_zeroed(65536, 1);
    bool on = upgrade(visitor);
    while (on) {
        int length = read_frame(visitor, frame, 65536);
        size_t body = 2;
        while (length > 2 && body < 5 && (frame[body - 1] & 0x80))
            body++;
        on = length >= 2 && serve_packet(visitor, frame[0], frame + body, (size_t)length - body);
    }
    free(frame);
}

/* --- manners -----------------------------------------------------------------------------------
 */

static void swallow_plain(struct visitor *visitor)
{
    char bytes[4096];
    for (;;) {
        ssize_t got = recv(visitor->socket, bytes, sizeof(bytes), 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return;
        if (got > 0)
            atomic_fetch_add(&visitor->server->bytes, (size_t)got);
        else if (!more(visitor))
            return;
    }
}

static void record(struct visitor *visitor)
{
    char bytes[4096];
    while (read_some(visitor, bytes, sizeof(bytes)) > 0)
        ;
}

static void serve_tls(struct visitor *visitor)
{
    struct tls_server *server = visitor->server;
    visitor->tls = SSL_new(server->context);
    SSL_set_fd(visitor->tls, visitor->socket);
    if (shake_hands(visitor)) {
        atomic_fetch_add(&server->handshakes, 1);
        if (server->options.manner == TLS_SERVER_RECORD)
            record(visitor);
        else if (server->options.manner == TLS_SERVER_WEBSOCKET)
            serve_websocket(visitor);
        else
            serve_mqtt(visitor);
    }
    SSL_free(visitor->tls);
    ERR_clear_error();
}

static void serve(struct visitor *visitor)
{
    static const char banner[] = "SSH-2.0-OpenSSH_9.2p1\r\n";
    switch (visitor->server->options.manner) {
    case TLS_SERVER_BANNER:
        (void)send(visitor->socket, banner, strlen(banner), MSG_NOSIGNAL);
        swallow_plain(visitor);
        break;
    case TLS_SERVER_STALL:
        swallow_plain(visitor);
        break;
    case TLS_SERVER_RECORD:
    case TLS_SERVER_MQTT:
    case TLS_SERVER_MQTT_MUTE:
    case TLS_SERVER_MQTT_REFUSE:
    case TLS_SERVER_MQTT_DENY:
    case TLS_SERVER_MQTT_DEAF:
    case TLS_SERVER_WEBSOCKET:
        serve_tls(visitor);
        break;
    }
}

static void *run(void *context)
{
    struct tls_server *server = context;
    sigset_t pipe; /* a client that leaves early is no reason to die */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while (net_wait(server->listener, server->stop, -1)) {
        struct visitor visitor = {.server = server, .socket = -1};
        visitor.socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (visitor.socket < 0)
            continue;
        atomic_fetch_add(&server->connections, 1);
        serve(&visitor);
        close(visitor.socket);
    }
    return NULL;
}

static int choose_protocol(SSL *tls, const unsigned char **ret_name, unsigned char *ret_length,
                           const unsigned char *offer, unsigned int offer_length, void *context)
{
    const struct tls_server *server = context;
    size_t length = strlen(server->options.alpn);
    (void)tls;
    for (unsigned int at = 0; at < offer_length && at + offer[at] < offer_length;
         at += 1U + offer[at]) {
        if (offer[at] == length && memcmp(offer + at + 1, server->options.alpn, length) == 0) {
            *ret_name = offer + at + 1;
            *ret_length = offer[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int staple(SSL *tls, void *context)
{
    const struct tls_server *server = context;
    size_t size = server->options.stapled_bytes;
    unsigned char *copy = OPENSSL_memdup(server->options.stapled, size);
    return copy && SSL_set_tlsext_status_ocsp_resp(tls, copy, (long)size) == 1
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make_context(struct tls_server *server)
{
    const struct tls_server_options *options = &server->options;
    const char *name = options->certificate ? options->certificate : "good";
    char certificate[64], key[64];
    (void)snprintf(certificate, sizeof(certificate), "%s.pem", name);
    (void)snprintf(key, sizeof(key), "%s.key", name);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    if (SSL_CTX_use_certificate_chain_file(context, pki_path(certificate)) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, pki_path(key), SSL_FILETYPE_PEM) != 1)
        abort();
    SSL_CTX_set_min_proto_version(context, options->only_version);
    SSL_CTX_set_max_proto_version(context, options->only_version);
    if (options->wants_client) {
        if (SSL_CTX_load_verify_file(context, pki_path("ca.pem")) != 1)
            abort();
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    if (options->stapled) {
        SSL_CTX_set_tlsext_status_cb(context, staple);
        SSL_CTX_set_tlsext_status_arg(context, server);
    }
    if (options->alpn)
        SSL_CTX_set_alpn_select_cb(context, choose_protocol, server);
    return context;
}

struct tls_server *tls_server_start(const struct tls_server_options *options)
{
    struct tls_server *server = memory_zeroed(1, sizeof(*server));
    server->options = *options;
    server->context = make_context(server);
    server->listener = net_listen(&server->port);
    server->stop = eventfd(0, EFD_CLOEXEC);
    if (server->stop < 0 || pthread_create(&server->thread, NULL, run, server) != 0)
        abort();
    return server;
}

struct tls_server *tls_server_stop(struct tls_server *server)
{
    if (!server)
        return NULL;
    (void)eventfd_write(server->stop, 1);
    pthread_join(server->thread, NULL);
    close(server->listener);
    close(server->stop);
    SSL_CTX_free(server->context);
    free(server);
    return NULL;
}

uint16_t tls_server_port(const struct tls_server *server)
{
    return server->port;
}

unsigned int tls_server_connections(const struct tls_server *server)
{
    return atomic_load(&server->connections);
}

unsigned int tls_server_handshakes(const struct tls_server *server)
{
    return atomic_load(&server->handshakes);
}

size_t tls_server_bytes(const struct tls_server *server)
{
    return atomic_load(&server->bytes);
}

unsigned int tls_server_logins(const struct tls_server *server)
{
    return atomic_load(&server->logins);
}

unsigned int tls_server_publishes(const struct tls_server *server)
{
    return atomic_load(&server->publishes);
}
