/* Certificates in sentences: names and dates, as people read them. Any thread. */
#ifndef SALLYPORT_AGENT_TLS_CERTIFICATE_TEXT_H
#define SALLYPORT_AGENT_TLS_CERTIFICATE_TEXT_H

#include "agent/base/strbuf.h"

#include <openssl/x509.h>

/* Append to TEXT. A name is in quotes and cut after 200 bytes; dates are UTC, to the minute. */
void certificate_text_name(const X509_NAME *name, struct strbuf *text);
void certificate_text_date(const ASN1_TIME *when, struct strbuf *text);
void certificate_text_now(struct strbuf *text);

/* Appends the host names and addresses of a certificate, its subject when it has none. */
void certificate_text_hosts(const X509 *certificate, struct strbuf *text);

#endif
