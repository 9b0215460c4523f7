/* How long certificates are still good, judged with certificates made by the openssl program. */
#include "agent/tls/certificate.h"

#include "agent/base/child.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400

static void make(const char *name, const char *days, const char *subject)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    const char *const arguments[] = {"/usr/bin/openssl",
                                     "req",
                                     "-x509",
                                     "-newkey",
                                     "ec",
                                     "-pkeyopt",
                                     "ec_paramgen_curve:P-256",
                                     "-nodes",
                                     "-days",
                                     days,
                                     "-subj",
                                     subject,
                                     "-keyout",
                                     test_path("key"),
                                     "-out",
                                     test_path(name),
                                     NULL};
    const struct child_job job = {
        .arguments = arguments, .output_max_bytes = 65536, .timeout_ms = 30000};
    CU_ASSERT_EQUAL_FATAL(child_run(&job, &output), 0);
}

static void test_time_left(void)
{
    char subject[128];
    int64_t left_s, now_s = (int64_t)time(NULL);
    make("one.pem", "20", "/CN=gw-0042");
    CU_ASSERT_EQUAL(certificate_time_left(test_path("one.pem"), now_s, &left_s, subject, 128), 0);
    CU_ASSERT(left_s > 19 * DAY_S && left_s <= 20 * DAY_S + 60);
    TEST_CONTAINS(subject, "CN=gw-0042");
    CU_ASSERT_EQUAL(
        certificate_time_left(test_path("one.pem"), now_s + 21 * DAY_S, &left_s, subject, 128), 0);
    CU_ASSERT(left_s < 0);
}

static void append_file(FILE *out, const char *path)
{
    char line[256];
    FILE *part = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(part);
    while (fgets(line, sizeof(line), part))
        (void)fputs(line, out);
    (void)fclose(part);
}

static void test_chain(void)
{
    char subject[128];
    int64_t left_s;
    make("long.pem", "400", "/CN=leaf");
    make("short.pem", "5", "/CN=intermediate");
    FILE *chain = fopen(test_path("chain.pem"), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(chain);
    append_file(chain, test_path("long.pem"));
    append_file(chain, test_path("short.pem"));
    (void)fclose(chain);
    CU_ASSERT_EQUAL(
        certificate_time_left(test_path("chain.pem"), (int64_t)time(NULL), &left_s, subject, 128),
        0);
    CU_ASSERT(left_s < 6 * DAY_S);
    TEST_CONTAINS(subject, "CN=intermediate");
}

static void test_not_a_certificate(void)
{
    char subject[128] = "kept";
    int64_t left_s = 7;
    const char *path = test_file("garbage.pem", "-----BEGIN CERTIFICATE-----\nxx\n");
    CU_ASSERT_EQUAL(certificate_time_left(path, 0, &left_s, subject, 128), -ENODATA);
    CU_ASSERT_EQUAL(certificate_time_left(test_path("absent"), 0, &left_s, subject, 128), -ENOENT);
    CU_ASSERT_EQUAL(left_s, 7);
    TEST_TEXT_EQUAL(subject, "kept");
}

TEST_MAIN("certificate", {"the time left is told, also after the end", test_time_left},
          {"of a chain, the certificate that expires first counts", test_chain},
          {"a file without a certificate is told apart", test_not_a_certificate})
