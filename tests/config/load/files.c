/* Secret files and the files that a configuration names. */
#include "config/load/files.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_drivers.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Reads a secret from a file with this content and mode. */
static int read_secret(const char *content, size_t length, mode_t mode, struct strbuf *secret)
{
    const char *path = test_path("secret");
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fwrite(content, 1, length, file);
    (void)fclose(file);
    CU_ASSERT_EQUAL_FATAL(chmod(path, mode), 0);
    return config_read_secret(path, secret, NULL);
}

static void test_secret(void)
{
    static const struct {
        const char *content, *secret;
    } cases[] = {{"pass word\n", "pass word"},
                 {"x", "x"},
                 {"x\r\n", "x"},
                 {" x\n\n", " x\n"},
                 {"\xef\xbb\xbfx\r\n", "x"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP(strbuf_free) struct strbuf secret = STRBUF_EMPTY;
        CU_ASSERT_EQUAL(read_secret(cases[i].content, strlen(cases[i].content), 0640, &secret), 0);
        TEST_TEXT_EQUAL(strbuf_text(&secret), cases[i].secret);
    }
}

static void test_secret_refused(void)
{
    CLEANUP(strbuf_free) struct strbuf secret = STRBUF_EMPTY;
    static char large[65542];
    memset(large, 'x', sizeof(large));
    large[65535] = '\n';
    CU_ASSERT_EQUAL(read_secret("", 0, 0600, &secret), -ENODATA);
    CU_ASSERT_EQUAL(read_secret("\n", 1, 0600, &secret), -ENODATA);
    CU_ASSERT_EQUAL(read_secret("a\0b", 3, 0600, &secret), -EILSEQ);
    CU_ASSERT_EQUAL(read_secret("\xff\xfe"
                                "a\0\n\0",
                                6, 0600, &secret),
                    -EBADMSG);
    CU_ASSERT_EQUAL(read_secret("\xfe\xff\0a", 4, 0600, &secret), -EBADMSG);
    CU_ASSERT_EQUAL(read_secret("\xef\xbb\xbf\n", 4, 0600, &secret), -ENODATA);
    CU_ASSERT_EQUAL(read_secret("a", 1, 0644, &secret), -EPERM);
    CU_ASSERT_EQUAL(read_secret("a", 1, 0602, &secret), -EPERM);
    CU_ASSERT_EQUAL(read_secret(large, 65537, 0600, &secret), -EFBIG);
    CU_ASSERT_EQUAL(config_read_secret(test_folder(), &secret, NULL), -EINVAL);
    CU_ASSERT_EQUAL(config_read_secret(test_path("absent"), &secret, NULL), -ENOENT);
    CU_ASSERT_EQUAL(secret.length, 0);
    CU_ASSERT_EQUAL(read_secret(large, 65536, 0600, &secret), 0);
    CU_ASSERT_EQUAL(secret.length, 65535);
}

static void test_oddities(void)
{
    CLEANUP(strbuf_free) struct strbuf secret = STRBUF_EMPTY;
    struct secret_oddities odd;
    const char *path = test_file("odd", "\xef\xbb\xbfone\ntwo\n");
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(config_read_secret(path, &secret, &odd), 0);
    TEST_TEXT_EQUAL(strbuf_text(&secret), "one\ntwo");
    CU_ASSERT_TRUE(odd.has_mark);
    CU_ASSERT_TRUE(odd.has_lines);
    path = test_file("odd", "one\n");
    CU_ASSERT_EQUAL(config_read_secret(path, &secret, &odd), 0);
    CU_ASSERT_FALSE(odd.has_mark);
    CU_ASSERT_FALSE(odd.has_lines);
}

static void test_check_files(void)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct config *config;
    test_file("c.conf", "gateway: { id = \"g\"; site = \"s\"; };\n"
                        "uplink: { servers = [ \"mqtts://b\" ];\n"
                        " ca = \"ca.pem\";\n"
                        " certificate = \"cert.pem\";\n key = \"key.pem\";\n"
                        " username = \"u\";\n password_file = \"pw\"; };\n");
    test_file("ca.pem", "");
    chmod(test_file("key.pem", "x"), 0644);
    mkdir(test_path("pw"), 0700);
    TEST_TEXT_EQUAL(config_text_load("c.conf", &config), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    config_check_files(config, &findings);
    findings_print(&findings, &out);
    TEST_CONTAINS(strbuf_text(&out), "c.conf:4: uplink.certificate: ");
    TEST_CONTAINS(strbuf_text(&out), "cert.pem cannot be read: No such file or directory\n");
    TEST_CONTAINS(strbuf_text(&out), "c.conf:5: uplink.key: every user of this machine can use ");
    TEST_CONTAINS(strbuf_text(&out), "key.pem; run: chmod 640 ");
    TEST_CONTAINS(strbuf_text(&out), "c.conf:7: uplink.password_file: ");
    TEST_CONTAINS(strbuf_text(&out), "pw is not a regular file\n");
    CU_ASSERT_EQUAL(findings.errors, 3);
    config_free(config);
}

TEST_MAIN("files", {"a secret comes without its line end", test_secret},
          {"what is no safe secret is refused", test_secret_refused},
          {"what is odd about a secret that can be used", test_oddities},
          {"files that are absent or open to all are named", test_check_files})
