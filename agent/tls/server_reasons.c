/* Why a server's certificate was refused. */
#include "agent/tls/server_reasons.h"

#include "agent/tls/certificate_text.h"
#include "agent/tls/tls_policy.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

static void add_which(const X509 *certificate, int depth, struct strbuf *text)
{
    strbuf_add(text, depth == 0 ? "the server's certificate " : "the CA certificate ");
    certificate_text_name(X509_get_subject_name(certificate), text);
}

/* --- the name -------------------------------------------------------------------------------- */

static bool is_address(const char *host)
{
    struct in_addr address;
    return inet_pton(AF_INET, host, &address) == 1;
}

enum probe_result server_reason_name(const struct server_rules *rules, X509 *certificate,
                                     struct strbuf *text)
{
    const char *host = rules->host;
    bool address = is_address(host);
    if (X509_check_host(certificate, host, 0, X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT, NULL) == 1) {
        strbuf_addf(
            text,
            "the server's certificate names %s only %s, which does not count: have it "
            "issued again with subjectAltName = %s:%s",
            host, address ? "in its common name (CN) or as a DNS name" : "in its common name (CN)",
            address ? "IP" : "DNS", host);
        return PROBE_WRONG_NAME;
    }
    strbuf_addf(text, "the server's certificate is not for %s but for ", host);
    certificate_text_hosts(certificate, text);
    strbuf_add(text, ": connect by a name that it contains, or have it issued again");
    return PROBE_WRONG_NAME;
}

/* --- revocation ------------------------------------------------------------------------------ */

static void add_list(const struct server_rules *rules, const X509 *certificate, struct strbuf *text)
{
    strbuf_add(text, "the revocation list of ");
    certificate_text_name(X509_get_issuer_name(certificate), text);
    strbuf_addf(text, " in %s", rules->crl);
}

/* The date of CERTIFICATE in one of the lists; NULL when it is in none. OpenSSL gives the list away
 * before its caller sees the error. */
static const ASN1_TIME *revocation_date(const struct server_rules *rules, X509 *certificate)
{
    for (int i = 0; rules->lists && i < sk_X509_CRL_num(rules->lists); i++) {
        X509_CRL *list = sk_X509_CRL_value(rules->lists, i);
        X509_REVOKED *entry = NULL;
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_issuer_name(certificate)) == 0 &&
            X509_CRL_get0_by_cert(list, &entry, certificate) > 0)
            return X509_REVOKED_get0_revocationDate(entry);
    }
    return NULL;
}

/* When the last of the lists of the issuer of CERTIFICATE ends; NULL when none says. */
static const ASN1_TIME *last_end(const struct server_rules *rules, const X509 *certificate)
{
    const ASN1_TIME *last = NULL;
    for (int i = 0; rules->lists && i < sk_X509_CRL_num(rules->lists); i++) {
        const X509_CRL *list = sk_X509_CRL_value(rules->lists, i);
        const ASN1_TIME *end = X509_CRL_get0_nextUpdate(list);
        if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_issuer_name(certificate)) == 0 &&
            end && (!last || ASN1_TIME_compare(end, last) > 0))
            last = end;
    }
    return last;
}

static enum probe_result revoked(const struct server_rules *rules, X509_STORE_CTX *store,
                                 X509 *certificate, struct strbuf *text)
{
    const ASN1_TIME *date = revocation_date(rules, certificate);
    add_which(certificate, X509_STORE_CTX_get_error_depth(store), text);
    strbuf_add(text, " was revoked");
    if (date) {
        strbuf_add(text, " on ");
        certificate_text_date(date, text);
    }
    strbuf_add(text, ", says ");
    add_list(rules, certificate, text);
    strbuf_add(text, ": whoever runs the broker must install a new certificate");
    return PROBE_REVOKED;
}

/* False when ERROR is not about a list. */
static bool list_problem(const struct server_rules *rules, X509_STORE_CTX *store, int error,
                         struct strbuf *text)
{
    const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    const ASN1_TIME *end = last_end(rules, certificate);
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        strbuf_addf(text, "%s holds no revocation list that covers ", rules->crl);
        add_which(certificate, X509_STORE_CTX_get_error_depth(store), text);
        strbuf_add(text, ": append the list of its issuer ");
        certificate_text_name(X509_get_issuer_name(certificate), text);
        return true;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        add_list(rules, certificate, text);
        strbuf_add(text, " expired");
        if (end) {
            strbuf_add(text, " on ");
            certificate_text_date(end, text);
        }
        strbuf_add(text, "; the clock here says ");
        certificate_text_now(text);
        strbuf_add(text, ": put the current list of that authority there");
        return true;
    case X509_V_ERR_CRL_NOT_YET_VALID:
        add_list(rules, certificate, text);
        strbuf_add(text, " is not valid yet; the clock here says ");
        certificate_text_now(text);
        strbuf_add(text, ": set the clock of this gateway, or put the current list there");
        return true;
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
        add_list(rules, certificate, text);
        strbuf_addf(text, " cannot be used (%s): get it again from that authority",
                    X509_verify_cert_error_string(error));
        return true;
    default:
        return false;
    }
}

/* --- the chain ------------------------------------------------------------------------------- */

static enum probe_result untrusted(const struct server_rules *rules, const X509 *certificate,
                                   struct strbuf *text)
{
    strbuf_add(text, " was issued by ");
    certificate_text_name(X509_get_issuer_name(certificate), text);
    strbuf_addf(text, ", which is not trusted: its CA certificate is not in %s",
                strcmp(rules->ca, TLS_CA_SYSTEM) == 0 ? "the system's store" : rules->ca);
    return PROBE_UNKNOWN_CA;
}

static enum probe_result out_of_date(const X509 *certificate, int error, struct strbuf *text)
{
    bool expired = error == X509_V_ERR_CERT_HAS_EXPIRED;
    strbuf_add(text, expired ? " expired on " : " is valid only from ");
    certificate_text_date(
        expired ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate), text);
    strbuf_add(text, "; the clock here says ");
    certificate_text_now(text);
    if (expired)
        return PROBE_EXPIRED;
    strbuf_add(text, ": set the clock of this gateway, or have the certificate issued again");
    return PROBE_NOT_YET_VALID;
}

static enum probe_result wrong_chain(const struct server_rules *rules, const X509 *certificate,
                                     int error, struct strbuf *text)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return out_of_date(certificate, error, text);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return untrusted(rules, certificate, text);
    default:
        strbuf_addf(text, " is not acceptable: %s", X509_verify_cert_error_string(error));
        return PROBE_CERTIFICATE;
    }
}

enum probe_result server_reason_chain(const struct server_rules *rules, X509_STORE_CTX *store,
                                      struct strbuf *text)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    int error = X509_STORE_CTX_get_error(store);
    if (!certificate) {
        strbuf_addf(text, "the server's certificate cannot be verified: %s",
                    X509_verify_cert_error_string(error));
        return PROBE_CERTIFICATE;
    }
    if (error == X509_V_ERR_CERT_REVOKED)
        return revoked(rules, store, certificate, text);
    if (rules->crl && list_problem(rules, store, error, text))
        return PROBE_REVOCATION_LIST;
    add_which(certificate, X509_STORE_CTX_get_error_depth(store), text);
    return wrong_chain(rules, certificate, error, text);
}
