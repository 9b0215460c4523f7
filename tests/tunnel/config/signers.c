/* Which lines of allowed_signers count, and how they reach ssh-keygen. */
#include "tunnel/config/signers.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAIHbpuOMPlWTdQq3bEFEvbzfdRgkfLEM7ydf1Fh4wEJuQ"
#define OURS "namespaces=\"sallyport\""

static void parse(const char *text, struct signers *signers)
{
    signers_parse(text, strlen(text), signers);
}

static void expect_printed(const char *text, enum signers_limits limits, const char *expected)
{
    CLEANUP(signers_free) struct signers signers = {0};
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    parse(text, &signers);
    signers_print(&signers, limits, &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), expected);
}

static void test_lines(void)
{
    static const struct {
        const char *line, *name;
    } good[] = {
        {"anna@plant-7 " OURS " ssh-ed25519 " KEY, "anna@plant-7"},
        {"anna@plant-7 " OURS " ssh-ed25519 " KEY " her laptop\r", "anna@plant-7"},
        {"  anna\t" OURS "\tssh-ed25519   " KEY, "anna"},
        {"anna,bert " OURS " ssh-ed25519 " KEY, "anna"},
        {"\"Anna K.\" " OURS " ssh-ed25519 " KEY, "Anna K."},
        {"anna NameSpaces=\"git,sallyport\" sk-ssh-ed25519@openssh.com " KEY, "anna"},
        {"* " OURS " ssh-ed25519 " KEY, "*"},
        {"anna valid-after=\"20260101\"," OURS ",valid-before=\"20270101120000Z\" ssh-ed25519 " KEY,
         "anna"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        CLEANUP(signers_free) struct signers signers = {0};
        parse(good[i].line, &signers);
        CU_ASSERT_EQUAL_FATAL(signers.length, 1);
        CU_ASSERT_EQUAL(signers.skipped, 0);
        TEST_TEXT_EQUAL(signers.list[0].name, good[i].name);
        TEST_TEXT_EQUAL(signers.list[0].key, KEY);
    }
}

static void test_lines_that_do_not_count(void)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"anna ssh-ed25519 " KEY, "namespaces"},
        {"anna namespaces=\"git\" ssh-ed25519 " KEY, "namespaces"},
        {"anna namespaces=\"*\" ssh-ed25519 " KEY, "namespaces"},
        {"anna namespaces=\"sally*\" ssh-ed25519 " KEY, "namespaces"},
        {"anna namespaces=\"!sallyport,sallyport\" ssh-ed25519 " KEY, "namespaces"},
        {"anna namespaces=\"Sallyport\" ssh-ed25519 " KEY, "namespaces"},
        {"anna valid-before=\"20270101\" ssh-ed25519 " KEY, "namespaces"},
        {"anna " OURS " ssh-rsa " KEY, "Ed25519"},
        {"anna " OURS " ecdsa-sha2-nistp256 " KEY, "Ed25519"},
        {"anna " OURS " sk-ecdsa-sha2-nistp256@openssh.com " KEY, "Ed25519"},
        {"anna " OURS " ssh-ed25519-cert-v01@openssh.com " KEY, "Ed25519"},
        {"anna cert-authority," OURS " ssh-ed25519 " KEY, "certificates"},
        {"anna " OURS ",no-touch-required ssh-ed25519 " KEY, "option"},
        {"anna " OURS "," OURS " ssh-ed25519 " KEY, "option"},
        {"anna " OURS ",valid-before=\"soon\" ssh-ed25519 " KEY, "option"},
        {"anna " OURS ",valid-before=\"2027\" ssh-ed25519 " KEY, "option"},
        {"anna " OURS ",valid-before ssh-ed25519 " KEY, "option"},
        {"anna " OURS ",valid-before=\"20270101\",valid-before=\"20990101\" ssh-ed25519 " KEY,
         "option"},
        {"anna " OURS ", ssh-ed25519 " KEY " x", NULL}, /* a comma at the end does no harm */
        {"anna " OURS " ssh-ed25519", "key"},
        {"anna " OURS " ssh-ed25519 AAAA;AAAAAAAAAAAAAAAA", "key"},
        {"!anna " OURS " ssh-ed25519 " KEY, "principal"},
        {"\"\" " OURS " ssh-ed25519 " KEY, "principal"},
        {"an\x01na " OURS " ssh-ed25519 " KEY, "principal"},
        {"anna", "namespaces"},
        {OURS " ssh-ed25519 " KEY, "namespaces"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        CLEANUP(signers_free) struct signers signers = {0};
        parse(bad[i].line, &signers);
        CU_ASSERT_EQUAL(signers.length, bad[i].why ? 0 : 1);
        CU_ASSERT_EQUAL(signers.skipped, bad[i].why ? 1 : 0);
        if (bad[i].why && !TEST_CONTAINS(signers.why ? signers.why : "nothing", bad[i].why))
            printf("\n%s\n", bad[i].line);
    }
}

static void test_print(void)
{
    static const char file[] = "# operators\n\nanna " OURS ",valid-after=\"20260101\","
                               "valid-before=\"20270101\" ssh-ed25519 " KEY "\n"
                               "bert git ssh-ed25519 " KEY "\n"
                               "carl " OURS " sk-ssh-ed25519@openssh.com " KEY;
    expect_printed(file, SIGNERS_ALL_LIMITS,
                   "signer0 " OURS ",valid-after=\"20260101\",valid-before=\"20270101\" "
                   "ssh-ed25519 " KEY "\nsigner1 " OURS " sk-ssh-ed25519@openssh.com " KEY "\n");
    expect_printed(file, SIGNERS_BEFORE,
                   "signer0 " OURS ",valid-before=\"20270101\" ssh-ed25519 " KEY "\nsigner1 " OURS
                   " sk-ssh-ed25519@openssh.com " KEY "\n");
    expect_printed(file, SIGNERS_NO_LIMITS,
                   "signer0 " OURS " ssh-ed25519 " KEY "\nsigner1 " OURS
                   " sk-ssh-ed25519@openssh.com " KEY "\n");
    CLEANUP(signers_free) struct signers signers = {0};
    parse(file, &signers);
    CU_ASSERT_EQUAL(signers.first_skipped, 4);
    CU_ASSERT_EQUAL(signers.list[1].line, 5);
}

static void test_find(void)
{
    static const char *const none[] = {"",
                                       "signer2\n",
                                       "signer\n",
                                       "signer0",
                                       "signer-1\n",
                                       "signer0\n\n",
                                       "signer0,x\n",
                                       "Signer0\n",
                                       "signer18446744073709551616\n"};
    CLEANUP(signers_free) struct signers signers = {0};
    parse("anna " OURS " ssh-ed25519 " KEY "\nbert " OURS " ssh-ed25519 " KEY "\n", &signers);
    CU_ASSERT_PTR_EQUAL(signers_find(&signers, "signer0\n"), &signers.list[0]);
    CU_ASSERT_PTR_EQUAL(signers_find(&signers, "signer1\n"), &signers.list[1]);
    for (size_t i = 0; i < ARRAY_LENGTH(none); i++)
        CU_ASSERT_PTR_NULL(signers_find(&signers, none[i]));
}

static void test_many(void)
{
    CLEANUP(signers_free) struct signers signers = {0};
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    for (int i = 0; i < SIGNERS_MAX + 3; i++)
        strbuf_addf(&text, "s%d " OURS " ssh-ed25519 " KEY "\n", i);
    signers_parse(text.data, text.length, &signers);
    CU_ASSERT_EQUAL(signers.length, SIGNERS_MAX);
    CU_ASSERT_EQUAL(signers.skipped, 3);
}

static void test_revoked(void)
{
    static const char krl[] = "SSHKRL\n\0\x01\x02";
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    const char *list = "# gone\nssh-ed25519 " KEY " anna\r\n\nsk-ssh-ed25519@openssh.com " KEY;
    CU_ASSERT_EQUAL(signers_print_revoked(list, strlen(list), &out), 0);
    TEST_TEXT_EQUAL(strbuf_text(&out), "ssh-ed25519 " KEY "\nsk-ssh-ed25519@openssh.com " KEY "\n");
    strbuf_reset(&out);
    CU_ASSERT_EQUAL(signers_print_revoked(krl, sizeof(krl), &out), 0);
    CU_ASSERT_EQUAL(out.length, sizeof(krl));
    CU_ASSERT_EQUAL(signers_print_revoked("", 0, &out), 0);
    /* A line of allowed_signers, copied as it is, would revoke nothing. */
    list = "ssh-ed25519 " KEY "\nanna " OURS " ssh-ed25519 " KEY "\n";
    CU_ASSERT_EQUAL(signers_print_revoked(list, strlen(list), &out), 2);
    list = "ssh-ed25519\n";
    CU_ASSERT_EQUAL(signers_print_revoked(list, strlen(list), &out), 1);
}

TEST_MAIN("signers", {"the lines that count", test_lines},
          {"lines that do not count, and why", test_lines_that_do_not_count},
          {"the list for ssh-keygen is made anew", test_print},
          {"what ssh-keygen answers means one line", test_find},
          {"there is an end to the list", test_many},
          {"a revoked key that is not understood is no small matter", test_revoked})
