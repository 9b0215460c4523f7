/* Whether the files of `uplink` can do what they are for. */
#include "agent/tls/own_files.h"

#include "agent/base/macros.h"
#include "agent/tls/certificate_text.h"
#include "agent/tls/revocation_lists.h"
#include "agent/tls/tls_policy.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#define LIST_DAYS                                                                                  \
    3 /* a list that ends sooner is warned about; many authorities make one a week                 \
       */

/* The certificates of a PEM file; none when it cannot be read. */
static STACK_OF(X509) * read_certificates(const char *path)
{
    STACK_OF(X509) *certificates = sk_X509_new_null();
    BIO *file = BIO_new_file(path, "re");
    X509 *certificate;
    while (file && (certificate = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL)
        (void)sk_X509_push(certificates, certificate);
    BIO_free(file);
    ERR_clear_error();
    return certificates;
}

static void free_certificates(STACK_OF(X509) * certificates)
{
    sk_X509_pop_free(certificates, X509_free);
}

/* --- ca -------------------------------------------------------------------------------------- */

static bool is_anchor(X509 *certificate)
{
    return (X509_get_extension_flags(certificate) & EXFLAG_SS) != 0;
}

static bool has_anchor(const STACK_OF(X509) * certificates)
{
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        if (is_anchor(sk_X509_value(certificates, i)))
            return true;
    }
    return false;
}

enum own_files_verdict own_files_ca(const char *ca, struct strbuf *problem)
{
    STACK_OF(X509) *certificates = read_certificates(ca);
    enum own_files_verdict verdict = OWN_FILES_GOOD;
    if (sk_X509_num(certificates) > 0 && !has_anchor(certificates)) {
        const X509 *first = sk_X509_value(certificates, 0);
        strbuf_addf(problem,
                    "%s verifies nothing, because no authority in it has signed itself: ", ca);
        certificate_text_name(X509_get_subject_name(first), problem);
        strbuf_add(problem, " was issued by ");
        certificate_text_name(X509_get_issuer_name(first), problem);
        strbuf_add(problem, "; put the certificate of that root authority there");
        verdict = OWN_FILES_USELESS;
    }
    free_certificates(certificates);
    return verdict;
}

/* --- certificate ----------------------------------------------------------------------------- */

static enum own_files_verdict judge_own(const char *path, X509 *own, struct strbuf *problem)
{
    if (X509_cmp_current_time(X509_get0_notBefore(own)) > 0) {
        strbuf_addf(problem, "%s is valid only from ", path);
        certificate_text_date(X509_get0_notBefore(own), problem);
        strbuf_add(problem, "; the clock here says ");
        certificate_text_now(problem);
        strbuf_add(problem, ": set the clock, or have the certificate issued again");
        return OWN_FILES_USELESS;
    }
    if (X509_check_purpose(own, X509_PURPOSE_SSL_CLIENT, 0) == 1)
        return OWN_FILES_GOOD;
    strbuf_addf(problem,
                "%s is not for clients: a broker refuses it; have it issued again with "
                "extendedKeyUsage = clientAuth and keyUsage = digitalSignature",
                path);
    return OWN_FILES_USELESS;
}

enum own_files_verdict own_files_certificate(const char *certificate, struct strbuf *problem)
{
    STACK_OF(X509) *certificates = read_certificates(certificate);
    enum own_files_verdict verdict = OWN_FILES_GOOD;
    if (sk_X509_num(certificates) > 0)
        verdict = judge_own(certificate, sk_X509_value(certificates, 0), problem);
    free_certificates(certificates);
    return verdict;
}

/* --- crl ------------------------------------------------------------------------------------- */

/* Whether another list of the same issuer ends later. */
static bool is_superseded(const STACK_OF(X509_CRL) * lists, const X509_CRL *list)
{
    const ASN1_TIME *end = X509_CRL_get0_nextUpdate(list);
    for (int i = 0; end && i < sk_X509_CRL_num(lists); i++) {
        const X509_CRL *other = sk_X509_CRL_value(lists, i);
        const ASN1_TIME *other_end = X509_CRL_get0_nextUpdate(other);
        if (X509_NAME_cmp(X509_CRL_get_issuer(other), X509_CRL_get_issuer(list)) == 0 &&
            other_end && ASN1_TIME_compare(other_end, end) > 0)
            return true;
    }
    return false;
}

static void begin(const char *crl, const X509_CRL *list, struct strbuf *problem)
{
    strbuf_addf(problem, "%s: the list of ", crl);
    certificate_text_name(X509_CRL_get_issuer(list), problem);
}

static enum own_files_verdict judge_dates(const char *crl, const X509_CRL *list,
                                          struct strbuf *problem)
{
    const ASN1_TIME *end = X509_CRL_get0_nextUpdate(list);
    int days = 0, seconds = 0;
    if (X509_cmp_current_time(X509_CRL_get0_lastUpdate(list)) > 0) {
        begin(crl, list, problem);
        strbuf_add(problem, " is not valid yet: set the clock, or put the current list there");
        return OWN_FILES_USELESS;
    }
    if (!end || ASN1_TIME_diff(&days, &seconds, NULL, end) != 1)
        return OWN_FILES_GOOD;
    bool expired = days < 0 || seconds < 0;
    if (!expired && days >= LIST_DAYS)
        return OWN_FILES_GOOD;
    begin(crl, list, problem);
    strbuf_add(problem, expired ? " expired on " : " ends on ");
    certificate_text_date(end, problem);
    strbuf_add(problem, expired ? ": put the current list of that authority there"
                                : "; without a newer one the agent cannot connect then");
    return expired ? OWN_FILES_USELESS : OWN_FILES_DOUBT;
}

/* 1: signed by an authority of that name, 0: an authority of that name did not, -1: none is there.
 */
static int is_signed(const STACK_OF(X509) * authorities, X509_CRL *list)
{
    int found = -1;
    for (int i = 0; i < sk_X509_num(authorities); i++) {
        X509 *authority = sk_X509_value(authorities, i);
        if (X509_NAME_cmp(X509_get_subject_name(authority), X509_CRL_get_issuer(list)) != 0)
            continue;
        EVP_PKEY *key = X509_get0_pubkey(authority);
        if (key && X509_CRL_verify(list, key) == 1)
            return 1;
        found = 0;
    }
    ERR_clear_error();
    return found;
}

static enum own_files_verdict judge_list(const char *crl, const STACK_OF(X509_CRL) * lists,
                                         X509_CRL *list, const STACK_OF(X509) * authorities,
                                         struct strbuf *problem)
{
    if (is_signed(authorities, list) == 0) {
        begin(crl, list, problem);
        strbuf_add(problem, " was not signed by the authority of that name in `ca`: get it again");
        return OWN_FILES_USELESS;
    }
    return is_superseded(lists, list) ? OWN_FILES_GOOD : judge_dates(crl, list, problem);
}

/* Nothing in CA has made one of the lists: they may be of an authority below, or be foreign. */
static enum own_files_verdict judge_origin(const char *crl, const STACK_OF(X509_CRL) * lists,
                                           const STACK_OF(X509) * authorities,
                                           struct strbuf *problem)
{
    for (int i = 0; i < sk_X509_CRL_num(lists); i++) {
        if (is_signed(authorities, sk_X509_CRL_value(lists, i)) == 1)
            return OWN_FILES_GOOD;
    }
    begin(crl, sk_X509_CRL_value(lists, 0), problem);
    strbuf_add(problem,
               " is of no authority in `ca`: it helps only if that authority has issued the "
               "broker's certificate");
    return OWN_FILES_DOUBT;
}

enum own_files_verdict own_files_lists(const char *crl, const char *ca, struct strbuf *problem)
{
    STACK_OF(X509_CRL) *lists = NULL;
    if (revocation_lists_read(crl, &lists, problem) < 0)
        return OWN_FILES_USELESS;
    bool of_system = strcmp(ca, TLS_CA_SYSTEM) == 0;
    STACK_OF(X509) *authorities = of_system ? sk_X509_new_null() : read_certificates(ca);
    enum own_files_verdict verdict = OWN_FILES_GOOD;
    for (int i = 0; verdict == OWN_FILES_GOOD && i < sk_X509_CRL_num(lists); i++)
        verdict = judge_list(crl, lists, sk_X509_CRL_value(lists, i), authorities, problem);
    if (verdict == OWN_FILES_GOOD && sk_X509_num(authorities) > 0)
        verdict = judge_origin(crl, lists, authorities, problem);
    free_certificates(authorities);
    revocation_lists_free(lists);
    return verdict;
}
