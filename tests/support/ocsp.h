/* Answers of an OCSP responder, for tests. */
#ifndef SALLYPORT_TESTS_SUPPORT_OCSP_H
#define SALLYPORT_TESTS_SUPPORT_OCSP_H

#include <stdbool.h>
#include <stddef.h>

/* Names are those of tests/support/pki. */
struct ocsp_options {
    const char *about;  /* the certificate, of ca; NULL: "good" */
    const char *signer; /* NULL: "responder" */
    int status;         /* V_OCSP_CERTSTATUS_GOOD, ... */
    long from_s;        /* thisUpdate, seconds from now */
    long until_s;       /* nextUpdate; 0: none */
    int refusal;      /* OCSP_RESPONSE_STATUS_TRYLATER, ...: then it answers nothing; 0: it does */
    bool with_sha256; /* how the certificate is named; else SHA-1 */
};

/* The answer in DER. Returns its length; *RET_BYTES is freed with OPENSSL_free(). */
size_t ocsp_answer(const struct ocsp_options *options, unsigned char **ret_bytes);

#endif
