/* What the certificate of one server is compared with. A value that borrows. */
#ifndef SALLYPORT_AGENT_TLS_SERVER_RULES_H
#define SALLYPORT_AGENT_TLS_SERVER_RULES_H

#include <openssl/x509.h>

struct server_rules {
    const char *host;           /* a name or an IPv4 address, as configured */
    const char *ca;             /* for sentences: a path, or TLS_CA_SYSTEM */
    const char *crl;            /* for sentences; NULL when unset */
    STACK_OF(X509_CRL) * lists; /* of that file; NULL when unset */
};

#endif
