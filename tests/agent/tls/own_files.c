/* What is seen of our own files without a connection; `check_credentials` tests the sentences. */
#include "agent/tls/own_files.h"

#include "agent/base/macros.h"
#include "agent/tls/tls_policy.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"

#include <stdio.h>

static void judged(enum own_files_verdict is, enum own_files_verdict wanted, struct strbuf *problem)
{
    CU_ASSERT_EQUAL(is, wanted);
    CU_ASSERT_EQUAL(problem->length > 0, wanted != OWN_FILES_GOOD);
    strbuf_reset(problem);
}

static void test_files(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    judged(own_files_ca(pki_path("ca.pem"), &problem), OWN_FILES_GOOD, &problem);
    judged(own_files_ca("/nonexistent", &problem), OWN_FILES_GOOD, &problem);
    judged(own_files_ca(pki_path("inter.pem"), &problem), OWN_FILES_USELESS, &problem);
    judged(own_files_certificate(pki_path("client.pem"), &problem), OWN_FILES_GOOD, &problem);
    judged(own_files_certificate("/nonexistent", &problem), OWN_FILES_GOOD, &problem);
    judged(own_files_certificate(pki_path("client-server.pem"), &problem), OWN_FILES_USELESS,
           &problem);
}

static void lists(const char *crl, const char *ca, enum own_files_verdict wanted)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    judged(own_files_lists(pki_path(crl), ca, &problem), wanted, &problem);
}

static void append(FILE *out, const char *name)
{
    char bytes[4096];
    FILE *in = fopen(pki_path(name), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    size_t length = fread(bytes, 1, sizeof(bytes), in);
    (void)fwrite(bytes, 1, length, out);
    (void)fclose(in);
}

static void test_lists(void)
{
    lists("ca-crl.pem", pki_path("ca.pem"), OWN_FILES_GOOD);
    lists("ca-crl.pem", TLS_CA_SYSTEM, OWN_FILES_GOOD);
    lists("ca-crl.pem", pki_path("other-ca.pem"), OWN_FILES_DOUBT);
    lists("ca-expired-crl.pem", TLS_CA_SYSTEM, OWN_FILES_USELESS);
    lists("ca-future-crl.pem", TLS_CA_SYSTEM, OWN_FILES_USELESS);
    lists("ca-ending-crl.pem", pki_path("ca.pem"), OWN_FILES_DOUBT);
    lists("forged-crl.pem", pki_path("ca.pem"), OWN_FILES_USELESS);
    lists("ca.pem", pki_path("ca.pem"), OWN_FILES_USELESS);
    FILE *both =
        fopen(pki_path("both.pem"), "w"); /* the old list beside the new one does no harm */
    append(both, "ca-expired-crl.pem");
    append(both, "ca-none-crl.pem");
    (void)fclose(both);
    lists("both.pem", pki_path("ca.pem"), OWN_FILES_GOOD);
}

TEST_MAIN("own_files", {"certificates and authorities", test_files},
          {"revocation lists", test_lists})
