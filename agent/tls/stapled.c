/*
 * A stapled answer counts when it is signed by the issuer of the certificate or by a responder
 * that the issuer has named, is about this certificate, and is of now. Any other answer refuses
 * the server: who staples one wants it to be believed.
 */
#include "agent/tls/stapled.h"

#include "agent/tls/certificate_text.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

#define CLOCK_SLACK_S 300 /* between us and the responder */
#define MAX_AGE_S 604800  /* of an answer that does not say until when it counts: a week */
#define STATUS_REQUEST 5  /* the feature of RFC 7633 that means stapling */

static bool must_staple(const X509 *certificate)
{
    TLS_FEATURE *features = X509_get_ext_d2i(certificate, NID_tlsfeature, NULL, NULL);
    bool found = false;
    for (int i = 0; i < (features ? sk_ASN1_INTEGER_num(features) : 0); i++)
        found |= ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == STATUS_REQUEST;
    TLS_FEATURE_free(features);
    return found;
}

static enum probe_result invalid(const char *why, struct strbuf *text)
{
    strbuf_addf(text,
                "the server staples an OCSP answer that cannot be used (%s): whoever runs the "
                "broker must renew it, or switch stapling off",
                why);
    return PROBE_REVOCATION_LIST;
}

/* Whether ID, made with a digest of the responder's choice, means CERTIFICATE. */
static bool is_about(const OCSP_CERTID *id, const X509 *certificate, const X509 *issuer)
{
    ASN1_OBJECT *algorithm = NULL;
    if (OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, (OCSP_CERTID *)id) != 1)
        return false;
    const EVP_MD *digest = EVP_get_digestbyobj(algorithm);
    OCSP_CERTID *ours = digest ? OCSP_cert_to_id(digest, certificate, issuer) : NULL;
    bool same = ours && OCSP_id_cmp(ours, id) == 0;
    OCSP_CERTID_free(ours);
    return same;
}

static OCSP_SINGLERESP *find_single(OCSP_BASICRESP *basic, const X509 *certificate,
                                    const X509 *issuer)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        if (is_about(OCSP_SINGLERESP_get0_id(single), certificate, issuer))
            return single;
    }
    return NULL;
}

static enum probe_result judge_single(OCSP_SINGLERESP *single, struct strbuf *text)
{
    int reason = -1;
    ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *until = NULL;
    int status = OCSP_single_get0_status(single, &reason, &revoked, &from, &until);
    if (status == V_OCSP_CERTSTATUS_REVOKED) {
        strbuf_add(text, "the server's certificate was revoked");
        if (revoked) {
            strbuf_add(text, " on ");
            certificate_text_date(revoked, text);
        }
        strbuf_add(text, ", says the OCSP answer that it staples: whoever runs the broker must "
                         "install a new certificate");
        return PROBE_REVOKED;
    }
    if (OCSP_check_validity(from, until, CLOCK_SLACK_S, until ? -1 : MAX_AGE_S) != 1)
        return invalid("it is too old or of the future; check the clock here too", text);
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return invalid("the responder does not know the certificate", text);
    return PROBE_OK;
}

static enum probe_result judge_basic(SSL *tls, OCSP_BASICRESP *basic, struct strbuf *text)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(tls);
    X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(tls));
    int length = chain ? sk_X509_num(chain) : 0;
    if (!basic || length == 0)
        return invalid("it is not complete", text);
    const X509 *certificate = sk_X509_value(chain, 0);
    const X509 *issuer = sk_X509_value(chain, length > 1 ? 1 : 0);
    if (OCSP_basic_verify(basic, chain, store, 0) != 1)
        return invalid("its signature is not of the certificate's authority", text);
    OCSP_SINGLERESP *single = find_single(basic, certificate, issuer);
    return single ? judge_single(single, text) : invalid("it is about another certificate", text);
}

static enum probe_result judge_answer(SSL *tls, const unsigned char *bytes, long length,
                                      struct strbuf *text)
{
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &bytes, length);
    if (!response)
        return invalid("it is damaged", text);
    int status = OCSP_response_status(response);
    OCSP_BASICRESP *basic = NULL;
    enum probe_result result;
    if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        result = invalid(OCSP_response_status_str(status), text);
    } else {
        basic = OCSP_response_get1_basic(response);
        result = judge_basic(tls, basic, text);
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return result;
}

enum probe_result stapled_judge(SSL *tls, struct strbuf *text)
{
    const unsigned char *bytes = NULL;
    long length = SSL_get_tlsext_status_ocsp_resp(tls, &bytes);
    if (bytes && length > 0)
        return judge_answer(tls, bytes, length, text);
    const X509 *certificate = SSL_get0_peer_certificate(tls);
    if (certificate && !must_staple(certificate))
        return PROBE_OK;
    strbuf_add(text, "the server's certificate demands a stapled OCSP answer (must-staple), and "
                     "the server gives none: whoever runs the broker must switch stapling on");
    return PROBE_REVOCATION_LIST;
}
