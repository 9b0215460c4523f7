/* Certificates for tests, made once per program by tests/support/pki. */
#ifndef SALLYPORT_TESTS_SUPPORT_PKI_H
#define SALLYPORT_TESTS_SUPPORT_PKI_H

/* The path of NAME ("ca.pem", "good.key") as listed in tests/support/pki; valid for the program. */
const char *pki_path(const char *name);

#endif
