/*
 * The TLS part of the probe: what is wrong with the server's certificate, what the server says
 * about ours, or why the handshake failed.
 */
#include "agent/tls/probe_tls.h"

#include "agent/base/clock.h"
#include "agent/tls/tls_policy.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define MAX_NAMES_SHOWN 8 /* of a certificate */
/* TLS 1.3: the server's verdict on our certificate comes after the handshake. */
#define VERDICT_WAIT_MS 2000

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

static enum probe_result wrong_name(struct probe_attempt *probe, const X509 *certificate)
{
    strbuf_addf(&probe->text, "the server's certificate is not for %s but for ",
                probe->server.host);
    add_names_of(certificate, &probe->text);
    strbuf_add(&probe->text, ": connect by a name that it contains, or have it issued again");
    return PROBE_WRONG_NAME;
}

static enum probe_result wrong_chain(struct probe_attempt *probe, const X509 *certificate,
                                     int depth, int error)
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
        strbuf_add(text, ": set the clock of this gateway, or have the certificate issued again");
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
    struct probe_attempt *probe = SSL_get_app_data(tls);
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
    add_name(X509_get_subject_name(own), &probe->text);
    strbuf_add(&probe->text, ", valid until ");
    add_asn1_time(X509_get0_notAfter(own), &probe->text);
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
    if (probe->found != PROBE_OK)
        return probe->found;
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
