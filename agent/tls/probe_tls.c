/*
 * The TLS part of the probe: what is wrong with the server's certificate, what the server says
 * about ours, or why the handshake failed.
 */
#include "agent/tls/probe_tls.h"

#include "agent/base/clock.h"
#include "agent/tls/certificate_text.h"

#include <openssl/err.h>
#include <poll.h>
#include <string.h>

/* TLS 1.3: the server's verdict on our certificate comes after the handshake. */
#define VERDICT_WAIT_MS 2000

/* Called when the server asks for a client certificate; what we have is loaded already. */
static int note_request(SSL *tls, void *context)
{
    struct probe_attempt *probe = context;
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
        return "it says that our certificate is bad";
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
        return "it denies access to our certificate";
    case TLS1_AD_DECRYPT_ERROR:
        return "it could not verify our signature";
    case TLS13_AD_CERTIFICATE_REQUIRED:
        return "it requires a client certificate";
    default:
        return NULL;
    }
}

static void add_own_validity(struct probe_attempt *probe)
{
    const X509 *own = SSL_CTX_get0_certificate(probe->context);
    if (!own) {
        strbuf_add(&probe->text, "; none is configured: set certificate and key");
        return;
    }
    strbuf_add(&probe->text, "; ours is ");
    certificate_text_name(X509_get_subject_name(own), &probe->text);
    strbuf_add(&probe->text, ", valid until ");
    certificate_text_date(X509_get0_notAfter(own), &probe->text);
}

static enum probe_result client_refused(struct probe_attempt *probe, const char *why)
{
    strbuf_addf(&probe->text, "the server refuses the client certificate: %s", why);
    add_own_validity(probe);
    return PROBE_CLIENT_REFUSED;
}

static enum probe_result no_common_version(struct probe_attempt *probe)
{
    strbuf_add(&probe->text, "the server and this gateway have no TLS version and cipher in "
                             "common: TLS 1.2 or later is needed, with forward secrecy");
    return PROBE_TLS_VERSION;
}

static enum probe_result not_tls(struct probe_attempt *probe, const char *what)
{
    strbuf_addf(&probe->text, "%s: is port %u a TLS port?", what, probe->server.port);
    return PROBE_NOT_TLS;
}

static enum probe_result alert_meaning(struct probe_attempt *probe, int alert)
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
            return client_refused(probe, "it requires one");
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
static enum probe_result handshake_failure(struct probe_attempt *probe, unsigned long error)
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

static enum probe_result tls_failure(struct probe_attempt *probe, int result)
{
    if (probe->found.result != PROBE_OK)
        return probe->found.result;
    int kind = SSL_get_error(probe->tls, result);
    if (kind == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
        return not_tls(probe, "the connection was reset during the TLS handshake");
    return handshake_failure(probe, ERR_peek_error());
}

static enum probe_result shake_hands(struct probe_attempt *probe)
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
        if (!probe_attempt_wait(probe, events)) {
            strbuf_addf(&probe->text,
                        "port %u takes the connection, but does not answer the TLS handshake",
                        probe->server.port);
            return PROBE_TIMED_OUT;
        }
    }
}

/* Waits for an alert after the handshake. No alert means that the server accepts us; MQTT would
 * send next, which the probe does not. */
static enum probe_result hear_verdict(struct probe_attempt *probe)
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
            if (!probe_attempt_wait(probe, POLLIN))
                return PROBE_OK;
            break;
        case SSL_ERROR_SSL:
            return tls_failure(probe, result);
        default: /* closed without an alert: says nothing about the certificate */
            return PROBE_OK;
        }
    }
}

static bool offer_protocol(struct probe_attempt *probe)
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

enum probe_result probe_tls(struct probe_attempt *probe)
{
    probe->tls = SSL_new(probe->context);
    if (!probe->tls || SSL_set_fd(probe->tls, probe->socket) != 1 ||
        SSL_set_tlsext_host_name(probe->tls, probe->server.host) != 1 || !offer_protocol(probe) ||
        !server_check_apply(probe->check, probe->tls, &probe->found)) {
        strbuf_add(&probe->text, "OpenSSL cannot be used with this alpn or host name");
        return PROBE_OWN_FILES;
    }
    SSL_set_app_data(probe->tls, probe);
    SSL_set_cert_cb(probe->tls, note_request, probe);
    enum probe_result result = shake_hands(probe);
    if (result == PROBE_OK)
        result = hear_verdict(probe);
    if (result == PROBE_OK)
        strbuf_addf(&probe->text, "a verified %s session is possible", SSL_get_version(probe->tls));
    return result;
}
