/*
 * The certificate revocation lists (CRLs) of a file. Reading and freeing: any thread; a stack that
 * is not changed any more can be read by several.
 */
#ifndef SALLYPORT_AGENT_TLS_REVOCATION_LISTS_H
#define SALLYPORT_AGENT_TLS_REVOCATION_LISTS_H

#include "agent/base/strbuf.h"

#include <openssl/x509.h>
#include <stdbool.h>

#define REVOCATION_FILE_MAX_BYTES (8u << 20)

/*
 * Reads all lists of the PEM file at PATH; what else is in it is passed over. Returns 0 and at
 * least one list, owned; or -EINVAL and appends to PROBLEM why the file cannot be used and what to
 * do. It does not look at dates and signatures: that is done when a certificate is checked.
 */
int revocation_lists_read(const char *path, STACK_OF(X509_CRL) * *ret_lists,
                          struct strbuf *problem);

/* The same lists for another owner; NULL for NULL. */
STACK_OF(X509_CRL) * revocation_lists_share(STACK_OF(X509_CRL) * lists);

/* Whether there is one of ISSUER. */
bool revocation_lists_have(const STACK_OF(X509_CRL) * lists, const X509_NAME *issuer);

/* Accepts NULL. */
void revocation_lists_free(STACK_OF(X509_CRL) * lists);

#endif
