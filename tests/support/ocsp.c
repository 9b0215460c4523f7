/* Answers of an OCSP responder, for tests. */
#include "tests/support/ocsp.h"

#include "tests/support/pki.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

static BIO *open_file(const char *name, const char *ending)
{
    char file[64];
    (void)snprintf(file, sizeof(file), "%s.%s", name, ending);
    BIO *bio = BIO_new_file(pki_path(file), "r");
    if (!bio)
        abort();
    return bio;
}

static X509 *read_certificate(const char *name)
{
    BIO *file = open_file(name, "pem");
    X509 *certificate = PEM_read_bio_X509(file, NULL, NULL, NULL);
    BIO_free(file);
    return certificate;
}

static EVP_PKEY *read_key(const char *name)
{
    BIO *file = open_file(name, "key");
    EVP_PKEY *key = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL);
    BIO_free(file);
    return key;
}

size_t ocsp_answer(const struct ocsp_options *options, unsigned char **ret_bytes)
{
    const char *signer = options->signer ? options->signer : "responder";
    X509 *about = read_certificate(options->about ? options->about : "good");
    X509 *authority = read_certificate("ca"), *responder = read_certificate(signer);
    EVP_PKEY *key = read_key(signer);
    ASN1_TIME *from = X509_gmtime_adj(NULL, options->from_s);
    ASN1_TIME *until = options->until_s ? X509_gmtime_adj(NULL, options->until_s) : NULL;
    ASN1_TIME *revoked = X509_gmtime_adj(NULL, -1000);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(options->with_sha256 ? EVP_sha256() : NULL, about, authority);
    bool is_revoked = options->status == V_OCSP_CERTSTATUS_REVOKED;
    if (!OCSP_basic_add1_status(basic, id, options->status, 0, is_revoked ? revoked : NULL, from,
                                until) ||
        !OCSP_basic_sign(basic, responder, key, EVP_sha256(), NULL, 0))
        abort();
    OCSP_RESPONSE *response = options->refusal
                                  ? OCSP_response_create(options->refusal, NULL)
                                  : OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    *ret_bytes = NULL;
    int length = i2d_OCSP_RESPONSE(response, ret_bytes);
    OCSP_RESPONSE_free(response);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    ASN1_TIME_free(revoked);
    ASN1_TIME_free(until);
    ASN1_TIME_free(from);
    EVP_PKEY_free(key);
    X509_free(responder);
    X509_free(authority);
    X509_free(about);
    return (size_t)length;
}
