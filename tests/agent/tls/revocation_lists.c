/* The revocation lists of a file: each fault of the file is named. */
#include "agent/tls/revocation_lists.h"

#include "tests/support/pki.h"
#include "tests/support/test.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>

static void refused(const char *path, const char *why)
{
    struct strbuf problem CLEANUP(strbuf_free) = STRBUF_EMPTY;
    STACK_OF(X509_CRL) *lists = NULL;
    CU_ASSERT_EQUAL(revocation_lists_read(path, &lists, &problem), -EINVAL);
    TEST_CONTAINS(strbuf_text(&problem), path);
    TEST_CONTAINS(strbuf_text(&problem), why);
    CU_ASSERT_PTR_NULL(lists);
}

static void test_faults(void)
{
    refused("/nonexistent/crl.pem", "No such file");
    refused(test_folder(), "Is a directory");
    refused(test_file("empty", ""), "it is empty");
    refused(test_file("text", "hello\n"), "no PEM revocation list");
    refused(pki_path("ca.pem"), "no PEM revocation list");
    refused(test_file("der", "\x30\x03"), "it is DER, not PEM");
    refused(test_file("bad", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
            "one of its lists is damaged");
    const char *large = test_file("large", "");
    CU_ASSERT_EQUAL(truncate(large, REVOCATION_FILE_MAX_BYTES + 1), 0);
    refused(large, "it is larger than 8 MiB");
}

static void test_good(void)
{
    struct strbuf problem CLEANUP(strbuf_free) = STRBUF_EMPTY;
    STACK_OF(X509_CRL) *lists = NULL;
    CU_ASSERT_EQUAL_FATAL(revocation_lists_read(pki_path("ca-crl.pem"), &lists, &problem), 0);
    CU_ASSERT_EQUAL(sk_X509_CRL_num(lists), 1);
    const X509_NAME *issuer = X509_CRL_get_issuer(sk_X509_CRL_value(lists, 0));
    CU_ASSERT_TRUE(revocation_lists_have(lists, issuer));
    STACK_OF(X509_CRL) *other = NULL;
    CU_ASSERT_EQUAL_FATAL(revocation_lists_read(pki_path("other-crl.pem"), &other, &problem), 0);
    CU_ASSERT_FALSE(revocation_lists_have(other, issuer));
    CU_ASSERT_FALSE(revocation_lists_have(NULL, issuer));
    revocation_lists_free(other);
    STACK_OF(X509_CRL) *shared = revocation_lists_share(lists);
    revocation_lists_free(lists);
    CU_ASSERT_EQUAL(sk_X509_CRL_num(shared), 1);
    revocation_lists_free(shared);
    revocation_lists_free(NULL);
}

TEST_MAIN("revocation_lists", {"what cannot be used, and why", test_faults},
          {"one list, shared and freed", test_good})
