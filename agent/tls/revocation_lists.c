/* The certificate revocation lists of a file. */
#include "agent/tls/revocation_lists.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

static int unusable(const char *path, const char *why, struct strbuf *problem)
{
    strbuf_addf(problem, "the revocation list (crl) %s cannot be used: %s", path, why);
    return -EINVAL;
}

/* What to do about a file without a PEM list: DER begins with a SEQUENCE. */
static const char *why_none(const struct strbuf *content)
{
    if (content->length > 0 && (unsigned char)content->data[0] == 0x30)
        return "it is DER, not PEM; convert it: openssl crl -inform DER -in FILE -out FILE.pem";
    if (content->length == 0)
        return "it is empty; put the current list of the authority there";
    return "it holds no PEM revocation list (-----BEGIN X509 CRL-----)";
}

static int read_all(const char *path, const struct strbuf *content, STACK_OF(X509_CRL) * lists,
                    struct strbuf *problem)
{
    BIO *memory = BIO_new_mem_buf(strbuf_text(content), (int)content->length);
    X509_CRL *list;
    if (!memory)
        return unusable(path, "out of memory", problem);
    ERR_clear_error();
    while ((list = PEM_read_bio_X509_CRL(memory, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_CRL_push(lists, list) <= 0)
            abort(); /* as agent/base/memory.h does */
    }
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(memory);
    if (!at_end)
        return unusable(path, "one of its lists is damaged; get the file again", problem);
    if (sk_X509_CRL_num(lists) == 0)
        return unusable(path, why_none(content), problem);
    return 0;
}

int revocation_lists_read(const char *path, STACK_OF(X509_CRL) * *ret_lists, struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    int result = file_read(path, REVOCATION_FILE_MAX_BYTES, &content);
    if (result == -EFBIG)
        return unusable(path, "it is larger than 8 MiB", problem);
    if (result < 0)
        return unusable(path, result == -EINVAL ? "it is not a regular file" : strerror(-result),
                        problem);
    STACK_OF(X509_CRL) *lists = sk_X509_CRL_new_null();
    if (!lists)
        abort();
    result = read_all(path, &content, lists, problem);
    if (result < 0) {
        revocation_lists_free(lists);
        return result;
    }
    *ret_lists = lists;
    return 0;
}

STACK_OF(X509_CRL) * revocation_lists_share(STACK_OF(X509_CRL) * lists)
{
    if (!lists)
        return NULL;
    STACK_OF(X509_CRL) *shared = sk_X509_CRL_dup(lists);
    if (!shared)
        abort();
    for (int i = 0; i < sk_X509_CRL_num(shared); i++)
        (void)X509_CRL_up_ref(sk_X509_CRL_value(shared, i));
    return shared;
}

bool revocation_lists_have(const STACK_OF(X509_CRL) * lists, const X509_NAME *issuer)
{
    for (int i = 0; lists && i < sk_X509_CRL_num(lists); i++) {
        if (X509_NAME_cmp(X509_CRL_get_issuer(sk_X509_CRL_value(lists, i)), issuer) == 0)
            return true;
    }
    return false;
}

void revocation_lists_free(STACK_OF(X509_CRL) * lists)
{
    sk_X509_CRL_pop_free(lists, X509_CRL_free);
}
