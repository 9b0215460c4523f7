/* How long the certificates in a file are still good. */
#include "agent/tls/certificate.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define FILE_MAX_BYTES (4u << 20) /* a whole system store fits */

/* Seconds since 1970 of an X.509 time; false when it is malformed. */
static bool to_seconds(const ASN1_TIME *time, int64_t *ret_seconds)
{
    struct tm utc;
    if (ASN1_TIME_to_tm(time, &utc) != 1)
        return false;
    *ret_seconds = (int64_t)timegm(&utc);
    return true;
}

int certificate_time_left(const char *path, int64_t now_s, int64_t *ret_seconds, char *subject,
                          size_t size)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    int problem = file_read(path, FILE_MAX_BYTES, &content);
    if (problem < 0)
        return problem;
    BIO *memory = BIO_new_mem_buf(strbuf_text(&content), (int)content.length);
    if (!memory)
        return -ENOMEM;
    X509 *certificate;
    bool found = false;
    int64_t first_s = INT64_MAX;
    while ((certificate = PEM_read_bio_X509(memory, NULL, NULL, NULL)) != NULL) {
        int64_t end_s;
        if (to_seconds(X509_get0_notAfter(certificate), &end_s) && end_s < first_s) {
            found = true;
            first_s = end_s;
            (void)X509_NAME_oneline(X509_get_subject_name(certificate), subject, (int)size);
        }
        X509_free(certificate);
    }
    ERR_clear_error(); /* the end of the file leaves one */
    BIO_free(memory);
    if (!found)
        return -ENODATA;
    *ret_seconds = first_s - now_s;
    return 0;
}
