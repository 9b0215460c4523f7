/*
 * Why a connection to a broker failed: does by itself what Paho 1.3.12 does with the same address
 * and the same files, and keeps the reason at each step. Where the two could differ (choice of the
 * address, name in the handshake, comparison of the name), it does as Paho does.
 */
#include "agent/probe.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/strbuf.h"
#include "agent/server_url.h"
#include "agent/tls_policy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_NAMES_SHOWN 8 /* of a certificate */
/* TLS 1.3: the server's verdict on our certificate comes after the handshake. */
#define VERDICT_WAIT_MS 2000

/* One run. `text` is what stands behind "HOST:PORT: ". */
struct probe {
    const struct probe_target *target;
    struct server_url server;
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

static int left_ms(const struct probe *probe)
{
    int64_t left = (probe->deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* True when the socket is ready, false when the time is up. */
static bool wait_for(int descriptor, short events, int timeout_ms)
{
    struct pollfd wait = {.fd = descriptor, .events = events};
    int ready;
    do
        ready = poll(&wait, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready == 1;
}

/* Whom we open the TCP connection to. */
static const char *peer_host(const struct probe *probe)
{
    return probe->by_proxy ? probe->proxy.host : probe->server.host;
}

static uint16_t peer_port(const struct probe *probe)
{
    return probe->by_proxy ? probe->proxy.port : probe->server.port;
}

static const char *peer_kind(const struct probe *probe)
{
    return probe->by_proxy ? "proxy" : "server";
}

/* --- name and connection --------------------------------------------------------------------- */

/* Like Paho: the first IPv4 address, else the first of all; and no other one. */
static const struct addrinfo *choose_address(const struct addrinfo *list)
{
    for (const struct addrinfo *at = list; at; at = at->ai_next) {
        if (at->ai_family == AF_INET)
            return at;
    }
    return list;
}

static enum probe_result not_resolved(struct probe *probe, int code, int error)
{
    const char *reason = code == EAI_SYSTEM ? strerror(error) : gai_strerror(code);
    if (code == EAI_AGAIN) {
        strbuf_addf(&probe->text,
                    "the name of the %s cannot be looked up now (%s): check the network and the "
                    "DNS servers of this gateway",
                    peer_kind(probe), reason);
        return PROBE_NAME_NOT_FOUND;
    }
    strbuf_addf(&probe->text, "the name %s of the %s is not found (%s): check its spelling and DNS",
                peer_host(probe), peer_kind(probe), reason);
    return PROBE_NAME_NOT_FOUND;
}

static enum probe_result not_connected(struct probe *probe, const char *address, int error)
{
    switch (error) {
    case ECONNREFUSED:
        strbuf_addf(&probe->text,
                    "connection refused by %s: nothing listens on port %u there, or a firewall "
                    "rejects it",
                    address, peer_port(probe));
        return PROBE_REFUSED;
    case ETIMEDOUT:
        strbuf_addf(&probe->text,
                    "no answer from %s port %u: the %s is down, or a firewall drops the packets",
                    address, peer_port(probe), peer_kind(probe));
        return PROBE_TIMED_OUT;
    default:
        strbuf_addf(&probe->text, "%s port %u cannot be reached: %s", address, peer_port(probe),
                    strerror(error));
        return PROBE_UNREACHABLE;
    }
}

/* Returns 0 or an errno. */
static int open_connection(struct probe *probe, const struct addrinfo *address)
{
    probe->socket =
        socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (probe->socket < 0)
        return errno;
    if (connect(probe->socket, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    if (!wait_for(probe->socket, POLLOUT, left_ms(probe)))
        return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(probe->socket, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return errno;
    return error;
}

/*
 * The resolver has deadlines of its own (resolv.conf: by default 5 s for each server and try) and
 * cannot be stopped from here; all other steps end with the deadline of the probe.
 */
static enum probe_result reach_peer(struct probe *probe)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char port[8], text[INET6_ADDRSTRLEN] = "?";
    (void)snprintf(port, sizeof(port), "%u", peer_port(probe));
    int code = getaddrinfo(peer_host(probe), port, &hints, &list);
    if (code != 0)
        return not_resolved(probe, code, errno);
    const struct addrinfo *address = choose_address(list);
    (void)getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof(text), NULL, 0,
                      NI_NUMERICHOST);
    int error = open_connection(probe, address);
    freeaddrinfo(list);
    return error ? not_connected(probe, text, error) : PROBE_OK;
}

/* --- proxy ----------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX to bytes, then base64. */
static void add_login(const char *login, struct strbuf *request)
{
    unsigned char plain[PROXY_LOGIN_MAX_BYTES + 1];
    unsigned char encoded[4 * (sizeof(plain) / 3 + 1) + 1];
    int length = 0;
    for (const char *c = login; *c; c++) {
        if (*c == '%' && hex_value(c[1]) >= 0 && hex_value(c[2]) >= 0) {
            plain[length++] = (unsigned char)(hex_value(c[1]) * 16 + hex_value(c[2]));
            c += 2;
        } else {
            plain[length++] = (unsigned char)*c;
        }
    }
    (void)EVP_EncodeBlock(encoded, plain, length);
    strbuf_addf(request, "Proxy-authorization: Basic %s\r\n", (const char *)encoded);
    OPENSSL_cleanse(plain, sizeof(plain));
    OPENSSL_cleanse(encoded, sizeof(encoded));
}

static bool send_all(struct probe *probe, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(probe->socket, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent < 0 && !wait_for(probe->socket, POLLOUT, left_ms(probe)))
            return false;
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
    return true;
}

/* Reads until the empty line that ends the answer; byte by byte, so that nothing of TLS is lost. */
static bool read_answer(struct probe *probe, char *answer, size_t size)
{
    size_t length = 0;
    answer[0] = '\0';
    while (length + 1 < size) {
        ssize_t got = recv(probe->socket, answer + length, 1, 0);
        if (got == 0)
            return false;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (got < 0 && !wait_for(probe->socket, POLLIN, left_ms(probe)))
            return false;
        if (got < 0)
            continue;
        answer[++length] = '\0';
        if (length >= 4 && memcmp(answer + length - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

/* The first line, as far as it is printable and short. */
static void add_status_line(const char *answer, struct strbuf *text)
{
    for (size_t i = 0; i < 100 && answer[i] >= ' ' && answer[i] <= '~'; i++)
        strbuf_add_char(text, answer[i]);
}

static enum probe_result pass_proxy(struct probe *probe)
{
    struct strbuf request CLEANUP(strbuf_free) = STRBUF_EMPTY;
    const struct server_url *server = &probe->server;
    char answer[4096];
    strbuf_addf(&request, "CONNECT %s:%u HTTP/1.1\r\nHost: %s\r\n", server->host, server->port,
                server->host);
    if (probe->proxy.login[0])
        add_login(probe->proxy.login, &request);
    strbuf_add(&request, "\r\n");
    bool sent = send_all(probe, request.data, request.length);
    OPENSSL_cleanse(request.data, request.length);
    bool whole = sent && read_answer(probe, answer, sizeof(answer));
    if (!sent || (!whole && strncmp(answer, "HTTP/1.", 7) != 0)) {
        strbuf_addf(&probe->text, "the proxy %s:%u did not answer CONNECT%s", probe->proxy.host,
                    probe->proxy.port, left_ms(probe) == 0 ? " in time" : ": is it an HTTP proxy?");
        return PROBE_PROXY;
    }
    bool granted = strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200", 4) == 0;
    if (granted && whole)
        return PROBE_OK;
    strbuf_addf(&probe->text, "the proxy %s:%u refused the connection: ", probe->proxy.host,
                probe->proxy.port);
    add_status_line(answer, &probe->text);
    return PROBE_PROXY;
}

/* --- the server's certificate ---------------------------------------------------------------- */

static void add_name(const X509_NAME *name, struct strbuf *text)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    if (memory && X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) > 0) {
        long length = BIO_get_mem_data(memory, &bytes);
        strbuf_add_char(text, '"');
        strbuf_append(text, bytes, (size_t)(length > 200 ? 200 : length));
        strbuf_add_char(text, '"');
    } else {
        strbuf_add(text, "(no name)");
    }
    BIO_free(memory);
}

static void add_time(const struct tm *utc, struct strbuf *text)
{
    strbuf_addf(text, "%04d-%02d-%02d %02d:%02d UTC", utc->tm_year + 1900, utc->tm_mon + 1,
                utc->tm_mday, utc->tm_hour, utc->tm_min);
}

static void add_asn1_time(const ASN1_TIME *when, struct strbuf *text)
{
    struct tm utc;
    if (ASN1_TIME_to_tm(when, &utc) == 1)
        add_time(&utc, text);
    else
        strbuf_add(text, "(unreadable date)");
}

static void add_now(struct strbuf *text)
{
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        add_time(&utc, text);
}

static void add_which(const X509 *certificate, int depth, struct strbuf *text)
{
    strbuf_add(text, depth == 0 ? "the server's certificate " : "the CA certificate ");
    add_name(X509_get_subject_name(certificate), text);
}

static bool add_alternative(const GENERAL_NAME *name, bool first, struct strbuf *text)
{
    char address[INET6_ADDRSTRLEN] = "";
    if (name->type == GEN_DNS) {
        const unsigned char *bytes = ASN1_STRING_get0_data(name->d.dNSName);
        int length = ASN1_STRING_length(name->d.dNSName);
        strbuf_addf(text, "%s%.*s", first ? "" : ", ", length > 253 ? 253 : length, bytes);
        return true;
    }
    if (name->type != GEN_IPADD)
        return false;
    int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
    if (family == AF_INET6 && ASN1_STRING_length(name->d.iPAddress) != 16)
        return false;
    (void)inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), address, sizeof(address));
    strbuf_addf(text, "%s%s", first ? "" : ", ", address);
    return true;
}

static void add_names_of(const X509 *certificate, struct strbuf *text)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int shown = 0, total = names ? sk_GENERAL_NAME_num(names) : 0;
    for (int i = 0; i < total && shown < MAX_NAMES_SHOWN; i++)
        shown += add_alternative(sk_GENERAL_NAME_value(names, i), shown == 0, text);
    if (shown == 0)
        add_name(X509_get_subject_name(certificate), text);
    else if (shown == MAX_NAMES_SHOWN && total > shown)
        strbuf_add(text, ", ...");
    GENERAL_NAMES_free(names);
}

static bool name_matches(X509 *certificate, const char *host)
{
    return X509_check_host(certificate, host, 0, 0, NULL) == 1 ||
           X509_check_ip_asc(certificate, host, 0) == 1;
}

static enum probe_result wrong_name(struct probe *probe, const X509 *certificate)
{
    strbuf_addf(&probe->text, "the server's certificate is not for %s but for ",
                probe->server.host);
    add_names_of(certificate, &probe->text);
    strbuf_add(&probe->text, ": connect by a name that it has, or have it issued anew");
    return PROBE_WRONG_NAME;
}

static enum probe_result wrong_chain(struct probe *probe, const X509 *certificate, int depth,
                                     int error)
{
    struct strbuf *text = &probe->text;
    add_which(certificate, depth, text);
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        strbuf_add(text, " expired on ");
        add_asn1_time(X509_get0_notAfter(certificate), text);
        strbuf_add(text, "; the clock here says ");
        add_now(text);
        return PROBE_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        strbuf_add(text, " is valid only from ");
        add_asn1_time(X509_get0_notBefore(certificate), text);
        strbuf_add(text, "; the clock here says ");
        add_now(text);
        strbuf_add(text, ": set the clock of this gateway, or have the certificate issued anew");
        return PROBE_NOT_YET_VALID;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        strbuf_add(text, " was issued by ");
        add_name(X509_get_issuer_name(certificate), text);
        strbuf_addf(text, ", which is not trusted: its CA certificate is not in %s",
                    strcmp(probe->target->ca, TLS_CA_SYSTEM) == 0 ? "the system's store"
                                                                  : probe->target->ca);
        return PROBE_UNKNOWN_CA;
    default:
        strbuf_addf(text, " is not acceptable: %s", X509_verify_cert_error_string(error));
        return PROBE_CERTIFICATE;
    }
}

/* Ends the handshake at the first thing that is wrong, before anything of ours is sent. */
static int check_certificate(int good, X509_STORE_CTX *store)
{
    SSL *tls = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct probe *probe = SSL_get_app_data(tls);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    int depth = X509_STORE_CTX_get_error_depth(store);
    if (probe->found != PROBE_OK)
        return 0;
    if (!good && certificate)
        probe->found = wrong_chain(probe, certificate, depth, X509_STORE_CTX_get_error(store));
    else if (good && depth == 0 && !name_matches(certificate, probe->server.host))
        probe->found = wrong_name(probe, certificate);
    return good && probe->found == PROBE_OK;
}

/* Called when the server asks for a client certificate; what we have is loaded already. */
static int note_request(SSL *tls, void *context)
{
    struct probe *probe = context;
    (void)tls;
    probe->certificate_asked = true;
    return 1;
}

/* --- the handshake --------------------------------------------------------------------------- */

/* What the server thinks of our certificate, by the alert that it sent (RFC 8446, section 6.2). */
static const char *client_verdict(int alert)
{
    switch (alert) {
    case SSL3_AD_BAD_CERTIFICATE:
        return "it calls our certificate bad";
    case SSL3_AD_UNSUPPORTED_CERTIFICATE:
        return "it does not support the type of our certificate";
    case SSL3_AD_CERTIFICATE_REVOKED:
        return "our certificate is revoked";
    case SSL3_AD_CERTIFICATE_EXPIRED:
        return "our certificate has expired";
    case SSL3_AD_CERTIFICATE_UNKNOWN:
        return "it does not accept our certificate";
    case TLS1_AD_UNKNOWN_CA:
        return "it does not know the CA that issued our certificate";
    case TLS1_AD_ACCESS_DENIED:
        return "our certificate is not allowed in";
    case TLS1_AD_DECRYPT_ERROR:
        return "our signature did not convince it";
    case TLS13_AD_CERTIFICATE_REQUIRED:
        return "it wants a client certificate";
    default:
        return NULL;
    }
}

static void add_own_validity(struct probe *probe)
{
    const X509 *own = SSL_CTX_get0_certificate(probe->context);
    if (!own) {
        strbuf_add(&probe->text, "; none is configured: set certificate and key");
        return;
    }
    strbuf_add(&probe->text, "; ours is ");
    add_name(X509_get_subject_name(own), &probe->text);
    strbuf_add(&probe->text, ", valid until ");
    add_asn1_time(X509_get0_notAfter(own), &probe->text);
}

static enum probe_result client_refused(struct probe *probe, const char *why)
{
    strbuf_addf(&probe->text, "the server refuses the client certificate: %s", why);
    add_own_validity(probe);
    return PROBE_CLIENT_REFUSED;
}

static enum probe_result no_common_version(struct probe *probe)
{
    strbuf_add(&probe->text, "the server and this gateway have no TLS version and cipher in "
                             "common: TLS 1.2 or later is needed, with forward secrecy");
    return PROBE_TLS_VERSION;
}

static enum probe_result not_tls(struct probe *probe, const char *what)
{
    strbuf_addf(&probe->text, "%s: is port %u a TLS port?", what, probe->server.port);
    return PROBE_NOT_TLS;
}

static enum probe_result alert_meaning(struct probe *probe, int alert)
{
    if (client_verdict(alert))
        return client_refused(probe, client_verdict(alert));
    switch (alert) {
    case TLS1_AD_NO_APPLICATION_PROTOCOL:
        strbuf_addf(&probe->text, "the server does not speak the protocol \"%s\": check alpn",
                    probe->target->alpn ? probe->target->alpn : "");
        return PROBE_ALPN;
    case SSL3_AD_HANDSHAKE_FAILURE: /* TLS 1.2 has no alert of its own for a missing one */
        if (probe->certificate_asked && !SSL_CTX_get0_certificate(probe->context))
            return client_refused(probe, "it wants one");
        return no_common_version(probe);
    case TLS1_AD_PROTOCOL_VERSION:
    case TLS1_AD_INSUFFICIENT_SECURITY:
        return no_common_version(probe);
    case TLS1_AD_UNRECOGNIZED_NAME:
        strbuf_addf(&probe->text, "the server does not know the name %s", probe->server.host);
        return PROBE_WRONG_NAME;
    default:
        strbuf_addf(&probe->text, "the server ended the TLS handshake: alert %d, %s", alert,
                    SSL_alert_desc_string_long(alert));
        return PROBE_NOT_TLS;
    }
}

/* `error` is OpenSSL's oldest error of a failed handshake. */
static enum probe_result handshake_failure(struct probe *probe, unsigned long error)
{
    int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) {
        strbuf_addf(&probe->text, "the TLS handshake failed: %s",
                    error ? ERR_reason_error_string(error) : "unknown reason");
        return PROBE_NOT_TLS;
    }
    if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255)
        return alert_meaning(probe, reason - SSL_AD_REASON_OFFSET);
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_RECORD_LENGTH_MISMATCH:
        return not_tls(probe, "something answers, but not TLS");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_WRONG_CIPHER_RETURNED:
    case SSL_R_VERSION_TOO_LOW:
        return no_common_version(probe);
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return not_tls(probe, "the server closed the connection during the TLS handshake");
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
    case SSL_R_CA_MD_TOO_WEAK:
    case SSL_R_DH_KEY_TOO_SMALL:
        strbuf_addf(&probe->text, "the server's certificate or key is too weak: %s",
                    ERR_reason_error_string(error));
        return PROBE_CERTIFICATE;
    default:
        strbuf_addf(&probe->text, "the TLS handshake failed: %s", ERR_reason_error_string(error));
        return PROBE_NOT_TLS;
    }
}

static enum probe_result tls_failure(struct probe *probe, int result)
{
    if (probe->found != PROBE_OK)
        return probe->found;
    int kind = SSL_get_error(probe->tls, result);
    if (kind == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
        return not_tls(probe, "the connection was reset during the TLS handshake");
    return handshake_failure(probe, ERR_peek_error());
}

static enum probe_result shake_hands(struct probe *probe)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(probe->tls);
        if (result == 1)
            return PROBE_OK;
        int kind = SSL_get_error(probe->tls, result);
        if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)
            return tls_failure(probe, result);
        short events = kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        if (!wait_for(probe->socket, events, left_ms(probe))) {
            strbuf_addf(&probe->text,
                        "port %u takes the connection, but does not answer the TLS handshake",
                        probe->server.port);
            return PROBE_TIMED_OUT;
        }
    }
}

/* Waits for an alert after the handshake. Silence is consent; it is not our turn to speak. */
static enum probe_result hear_verdict(struct probe *probe)
{
    if (SSL_version(probe->tls) < TLS1_3_VERSION || !probe->certificate_asked)
        return PROBE_OK;
    int64_t until_ns = clock_mono_ns() + VERDICT_WAIT_MS * CLOCK_NS_PER_MS;
    if (until_ns < probe->deadline_ns)
        probe->deadline_ns = until_ns;
    for (;;) {
        char byte;
        ERR_clear_error();
        int result = SSL_read(probe->tls, &byte, 1);
        if (result > 0)
            return PROBE_OK;
        switch (SSL_get_error(probe->tls, result)) {
        case SSL_ERROR_WANT_READ: /* session tickets end here too */
            if (!wait_for(probe->socket, POLLIN, left_ms(probe)))
                return PROBE_OK;
            break;
        case SSL_ERROR_SSL:
            return tls_failure(probe, result);
        default: /* closed without a word: not a verdict on the certificate */
            return PROBE_OK;
        }
    }
}

static bool offer_protocol(struct probe *probe)
{
    const char *alpn = probe->target->alpn;
    size_t length = alpn ? strlen(alpn) : 0;
    unsigned char wire[256];
    if (!alpn)
        return true;
    if (length == 0 || length > 255)
        return false;
    wire[0] = (unsigned char)length; /* RFC 7301, section 3.1 */
    memcpy(wire + 1, alpn, length);
    return SSL_set_alpn_protos(probe->tls, wire, (unsigned int)length + 1) == 0;
}

static enum probe_result try_tls(struct probe *probe)
{
    probe->tls = SSL_new(probe->context);
    if (!probe->tls || SSL_set_fd(probe->tls, probe->socket) != 1 ||
        SSL_set_tlsext_host_name(probe->tls, probe->server.host) != 1 || !offer_protocol(probe)) {
        strbuf_add(&probe->text, "OpenSSL cannot be used with this alpn or host name");
        return PROBE_OWN_FILES;
    }
    SSL_set_app_data(probe->tls, probe);
    SSL_set_verify(probe->tls, SSL_VERIFY_PEER, check_certificate);
    SSL_set_cert_cb(probe->tls, note_request, probe);
    enum probe_result result = shake_hands(probe);
    if (result == PROBE_OK)
        result = hear_verdict(probe);
    if (result == PROBE_OK)
        strbuf_addf(&probe->text, "a verified %s session is possible", SSL_get_version(probe->tls));
    return result;
}

/* --- all together ---------------------------------------------------------------------------- */

static enum probe_result read_target(struct probe *probe)
{
    const struct probe_target *target = probe->target;
    const char *problem = NULL;
    if (server_url_parse(target->server, &probe->server, &problem) < 0) {
        strbuf_add(&probe->text, problem);
        return PROBE_OWN_FILES;
    }
    if (!target->proxy)
        return PROBE_OK;
    probe->by_proxy = true;
    if (proxy_url_parse(target->proxy, &probe->proxy, &problem) == 0)
        return PROBE_OK;
    strbuf_add(&probe->text, problem);
    return PROBE_OWN_FILES;
}

static enum probe_result load_files(struct probe *probe)
{
    const struct probe_target *target = probe->target;
    struct tls_files files = {.ca = target->ca,
                              .certificate = target->certificate,
                              .key = target->key,
                              .key_password = target->key_password};
    return tls_policy_context(&files, &probe->context, &probe->text) < 0 ? PROBE_OWN_FILES
                                                                         : PROBE_OK;
}

static enum probe_result run_steps(struct probe *probe)
{
    enum probe_result result = load_files(probe);
    if (result == PROBE_OK)
        result = reach_peer(probe);
    if (result == PROBE_OK && probe->by_proxy)
        result = pass_proxy(probe);
    return result == PROBE_OK ? try_tls(probe) : result;
}

static void clean_up(struct probe *probe)
{
    SSL_free(probe->tls); /* no close_notify: the server learns from the end of the connection */
    SSL_CTX_free(probe->context);
    descriptor_close(&probe->socket);
    ERR_clear_error();
    strbuf_free(&probe->text);
}

/* OpenSSL writes without MSG_NOSIGNAL, and not every caller ignores SIGPIPE. */
static void hold_back_sigpipe(sigset_t *ret_before)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, ret_before);
}

static void let_sigpipe(const sigset_t *before)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (!sigismember(before, SIGPIPE)) {
        const struct timespec at_once = {0};
        (void)sigtimedwait(&pipe, NULL, &at_once); /* the one that came, if any */
    }
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

enum probe_result probe_run(const struct probe_target *target, char *sentence, size_t size)
{
    sigset_t before;
    hold_back_sigpipe(&before);
    struct probe probe = {
        .target = target,
        .deadline_ns = clock_mono_ns() + target->timeout_ms * CLOCK_NS_PER_MS,
        .socket = -1,
        .found = PROBE_OK,
        .text = STRBUF_EMPTY,
    };
    enum probe_result result = read_target(&probe);
    if (result == PROBE_OK) {
        result = run_steps(&probe);
        (void)snprintf(sentence, size, "%s:%u: %s", probe.server.host, probe.server.port,
                       strbuf_text(&probe.text));
    } else {
        (void)snprintf(sentence, size, "%s: %s", target->server, strbuf_text(&probe.text));
    }
    clean_up(&probe);
    let_sigpipe(&before);
    return result;
}
