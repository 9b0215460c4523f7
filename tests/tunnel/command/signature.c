/* What ssh-keygen is asked, and what becomes of its answers: with the real one. */
#include "tunnel/command/signature.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "tests/support/signing.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT "sallyport-command: 1\nwhat it says does not matter here\n"
#define OURS "namespaces=\"sallyport\""

/* By a hardware key, made once with openssl after PROTOCOL.u2f and PROTOCOL.sshsig of OpenSSH. */
#define HARDWARE_KEY                                                                               \
    "sk-ssh-ed25519@openssh.com "                                                                  \
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIHAlZhGV2ulgrBxR53/c3MjgeDPHRFuHSyRKyLhbI9xLAAAA" \
    "BHNzaDo="
#define HARDWARE_TEXT "a text\n"
#define HARDWARE_ARMOUR                                                                            \
    "-----BEGIN SSH SIGNATURE-----\n"                                                              \
    "U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAgcCVmEZ\n"                     \
    "Xa6WCsHFHnf9zcyOB4M8dEW4dLJErIuFsj3EsAAAAEc3NoOgAAAAlzYWxseXBvcnQAAAAA\n"                     \
    "AAAABnNoYTUxMgAAAGcAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAABAB+GBKW\n"                     \
    "BSqAazkrGnV87elN0tsPp5ING+A9HVdllShLIqAZzqxY9Tw/NqsO9xlJfTDKQGd1t3sfKS\n"                     \
    "HOsYTOyKBAEAAAAH\n"                                                                           \
    "-----END SSH SIGNATURE-----\n"

static struct signature_settings settings(void)
{
    return (struct signature_settings){.allowed_signers = test_path("allowed_signers"),
                                       .revoked_keys = test_path("revoked_keys"),
                                       .program = SIGNATURE_PROGRAM,
                                       .timeout_ms = 60000};
}

/* Lets KEY sign as NAME, with OPTIONS, and nobody else. */
static void allow(const char *name, const char *options, const char *key)
{
    CLEANUP(memory_free_pointer) char *public_key = signing_public(key);
    CLEANUP(memory_free_pointer)
    char *line = memory_printf("%s %s %s\n", name, options, public_key);
    (void)test_file("allowed_signers", line);
    (void)unlink(test_path("revoked_keys"));
}

static struct signature_result verify_with(const struct signature_settings *with, const char *text,
                                           const char *armour)
{
    const struct command_parts parts = {text, armour, strlen(text), strlen(armour)};
    struct signature_result result;
    signature_verify(with, &parts, &result);
    return result;
}

static struct signature_result verify(const char *text, const char *armour)
{
    const struct signature_settings with = settings();
    return verify_with(&with, text, armour);
}

/* The verdict about TEXT signed by KEY; FIRST is freed by the caller's cleanup. */
static struct signature_result verify_by(const char *key, const char *name_space)
{
    CLEANUP(strbuf_free) struct strbuf armour = STRBUF_EMPTY;
    signing_sign(key, name_space, TEXT, strlen(TEXT), &armour);
    return verify(TEXT, strbuf_text(&armour));
}

#define EXPECT(result, wanted)                                                                     \
    TEST_TEXT_EQUAL(signature_verdict_names[(result).verdict], signature_verdict_names[wanted])

static void test_good(void)
{
    allow("anna@plant-7", OURS, "anna");
    struct signature_result result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_GOOD);
    TEST_TEXT_EQUAL(result.signer, "anna@plant-7");
    CU_ASSERT_EQUAL(strncmp(result.key, "SHA256:", 7), 0);
    CU_ASSERT_EQUAL(strlen(result.key), 50);
    TEST_TEXT_EQUAL(result.detail, "");
}

static void test_hardware(void)
{
    (void)test_file("allowed_signers", "dora " OURS " " HARDWARE_KEY "\n");
    (void)unlink(test_path("revoked_keys"));
    struct signature_result result = verify(HARDWARE_TEXT, HARDWARE_ARMOUR);
    EXPECT(result, SIGNATURE_GOOD);
    TEST_TEXT_EQUAL(result.signer, "dora");
    result = verify("b text\n", HARDWARE_ARMOUR);
    EXPECT(result, SIGNATURE_BAD);
}

static void test_bad(void)
{
    CLEANUP(strbuf_free) struct strbuf armour = STRBUF_EMPTY;
    allow("anna", OURS, "anna");
    signing_sign("anna", "sallyport", TEXT, strlen(TEXT), &armour);
    EXPECT(verify(TEXT " ", armour.data), SIGNATURE_BAD);
    EXPECT(verify(TEXT, "-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n"),
           SIGNATURE_BAD);
    EXPECT(verify_by("anna", "git"), SIGNATURE_BAD);
    armour.data[120] = armour.data[120] == 'A' ? 'B' : 'A';
    struct signature_result result = verify(TEXT, armour.data);
    CU_ASSERT_TRUE(result.verdict == SIGNATURE_BAD || result.verdict == SIGNATURE_UNKNOWN);
}

static void test_unknown(void)
{
    static const char *const options[] = {"namespaces=\"git\"", "",
                                          "cert-authority,namespaces=\"sallyport\""};
    allow("anna", OURS, "anna");
    struct signature_result result = verify_by("bert", "sallyport");
    EXPECT(result, SIGNATURE_UNKNOWN);
    TEST_TEXT_EQUAL(result.signer, "");
    CU_ASSERT_EQUAL(strncmp(result.key, "SHA256:", 7), 0); /* an auditor can ask whose it is */
    for (size_t i = 0; i < ARRAY_LENGTH(options); i++) {
        allow("anna", options[i], "anna");
        EXPECT(verify_by("anna", "sallyport"), SIGNATURE_UNKNOWN);
    }
}

/* Listed for the namespace, and good; but of a kind that is not accepted. */
static void test_kinds(void)
{
    static const char *const kinds[] = {"rsa", "ecdsa"};
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        allow("anna", OURS, kinds[i]);
        EXPECT(verify_by(kinds[i], "sallyport"), SIGNATURE_UNKNOWN);
    }
    allow("anna", "cert-authority," OURS, "authority");
    EXPECT(verify_by("certified-cert.pub", "sallyport"), SIGNATURE_UNKNOWN);
    allow("anna", OURS, "certified"); /* the key itself is, its certificate is not */
    EXPECT(verify_by("certified", "sallyport"), SIGNATURE_GOOD);
    EXPECT(verify_by("certified-cert.pub", "sallyport"), SIGNATURE_UNKNOWN);
}

static void test_dates(void)
{
    allow("anna", OURS ",valid-before=\"20200101\"", "anna");
    struct signature_result result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_EXPIRED);
    TEST_TEXT_EQUAL(result.signer, "anna");
    TEST_CONTAINS(result.detail, "20200101");
    allow("anna", OURS ",valid-after=\"20900101Z\"", "anna");
    result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_NOT_YET);
    TEST_CONTAINS(result.detail, "20900101Z");
    allow("anna", OURS ",valid-after=\"20200101\",valid-before=\"20900101\"", "anna");
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_GOOD);
}

/* A clock before the day when the list was written is wrong: who has lost a laptop with a key that
 * has expired must not fear a gateway that starts in 1970. */
static void test_clock_behind(void)
{
    const int64_t day_s = 86400, now_s = clock_wall_ms() / 1000;
    allow("anna", OURS ",valid-before=\"20900101\"", "anna");
    const struct timespec soon[2] = {{.tv_sec = now_s + day_s / 2}, {.tv_sec = now_s + day_s / 2}};
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, test_path("allowed_signers"), soon, 0), 0);
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_GOOD); /* clocks differ a little */
    const struct timespec late[2] = {{.tv_sec = now_s + 2 * day_s}, {.tv_sec = now_s + 2 * day_s}};
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, test_path("allowed_signers"), late, 0), 0);
    struct signature_result result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_EXPIRED);
    TEST_TEXT_EQUAL(result.signer, "anna");
    TEST_CONTAINS(result.detail, "clock");
    allow("anna", OURS, "anna");
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, test_path("allowed_signers"), late, 0), 0);
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_GOOD); /* for ever: no clock is asked */
}

static void test_revoked(void)
{
    CLEANUP(memory_free_pointer) char *anna = signing_public("anna");
    CLEANUP(memory_free_pointer) char *bert = signing_public("bert");
    CLEANUP(memory_free_pointer) char *line = memory_printf("anna %s %s\n", OURS, anna);
    allow("anna", OURS, "anna");
    (void)test_file("revoked_keys", bert);
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_GOOD);
    (void)test_file("revoked_keys", anna);
    struct signature_result result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_REVOKED);
    TEST_TEXT_EQUAL(result.signer, "anna");
    (void)unlink(test_path("revoked_keys"));
    signing_run("-k", "-q", "-f", test_path("revoked_keys"), test_path("anna.pub"), NULL);
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_REVOKED);
    (void)test_file("revoked_keys", line); /* a list that would revoke nothing */
    result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_UNKNOWN);
    TEST_CONTAINS(result.detail, "revoked_keys:1");
    (void)test_file("revoked_keys", "SSHKRL\n"); /* no KRL, and no list */
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_UNKNOWN);
}

/* Files that others may write say nothing. */
static void test_owners(void)
{
    CLEANUP(memory_free_pointer) char *anna = signing_public("anna");
    allow("anna", OURS, "anna");
    CU_ASSERT_EQUAL(chmod(test_path("allowed_signers"), 0664), 0);
    struct signature_result result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_UNKNOWN);
    TEST_CONTAINS(result.detail, "others than root");
    CU_ASSERT_EQUAL(chmod(test_path("allowed_signers"), 0644), 0);
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_GOOD);
    CU_ASSERT_EQUAL(chmod(test_folder(), 0777), 0);
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_UNKNOWN);
    CU_ASSERT_EQUAL(chmod(test_folder(), 0700), 0);
    (void)test_file("revoked_keys", anna);
    CU_ASSERT_EQUAL(chmod(test_path("revoked_keys"), 0666), 0);
    result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_UNKNOWN);
    TEST_CONTAINS(result.detail, "revoked_keys");
    (void)unlink(test_path("allowed_signers"));
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_UNKNOWN);
    CU_ASSERT_EQUAL(symlink("/dev/zero", test_path("allowed_signers")), 0);
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_UNKNOWN);
    (void)unlink(test_path("allowed_signers"));
}

static struct signature_result verify_by_script(const char *script, int timeout_ms)
{
    struct signature_settings with = settings();
    with.program = test_file("keygen", script);
    with.timeout_ms = timeout_ms;
    CU_ASSERT_EQUAL(chmod(with.program, 0755), 0);
    return verify_with(&with, HARDWARE_TEXT, HARDWARE_ARMOUR);
}

/* A program that is not there, hangs, floods, or says yes to one question only. */
static void test_program(void)
{
    (void)test_file("allowed_signers", "dora " OURS " " HARDWARE_KEY "\n");
    (void)unlink(test_path("revoked_keys"));
    struct signature_settings with = settings();
    with.program = "/nonexistent/ssh-keygen";
    struct signature_result result = verify_with(&with, HARDWARE_TEXT, HARDWARE_ARMOUR);
    EXPECT(result, SIGNATURE_FAILED);
    TEST_CONTAINS(result.detail, "/nonexistent/ssh-keygen");
    result = verify_by_script("#!/bin/sh\nexec /usr/bin/sleep 100\n", 100);
    EXPECT(result, SIGNATURE_FAILED);
    result = verify_by_script("#!/bin/sh\nexec /usr/bin/cat /dev/zero\n", 60000);
    EXPECT(result, SIGNATURE_FAILED);
    result = verify_by_script("#!/bin/sh\nkill -9 $$\n", 60000);
    EXPECT(result, SIGNATURE_BAD);
    result = verify_by_script("#!/bin/sh\n[ $2 = verify ] || exec /usr/bin/ssh-keygen \"$@\"\n"
                              "exit 255\n",
                              60000);
    EXPECT(result, SIGNATURE_UNKNOWN);
    result =
        verify_by_script("#!/bin/sh\n[ $2 = find-principals ] || exit 0\necho signer1\n", 60000);
    EXPECT(result, SIGNATURE_UNKNOWN); /* there is no second line */
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    (void)closedir(folder);
    return count;
}

/* What the child gets: nothing of ours but the files that it needs, and no environment. */
static void test_child(void)
{
    CLEANUP(strbuf_free) struct strbuf seen = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer)
    char *script = memory_printf("#!/bin/sh\n{ /usr/bin/readlink /proc/self/fd/* | "
                                 "/usr/bin/grep -v -e pipe: -e socket: -e /proc/; "
                                 "/usr/bin/tr '\\0' '\\n' </proc/self/environ; } >%s\n",
                                 test_path("seen"));
    (void)test_file("allowed_signers", "dora " OURS " " HARDWARE_KEY "\n");
    unsigned before = count_descriptors();
    CU_ASSERT_EQUAL(setenv("SALLYPORT_SECRET", "hunter2", 1), 0);
    (void)verify_by_script(script, 60000);
    CU_ASSERT_EQUAL(count_descriptors(), before);
    CU_ASSERT_EQUAL_FATAL(file_read(test_path("seen"), 10000, &seen), 0);
    TEST_CONTAINS(strbuf_text(&seen), "memfd:sallyport");
    CU_ASSERT_PTR_NULL(strstr(strbuf_text(&seen), "hunter2"));
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a good signature, and whose it is", test_good},
        {"by a hardware key as well", test_hardware},
        {"not over this text, or for something else", test_bad},
        {"by somebody who may not", test_unknown},
        {"RSA, ECDSA and certificates are not accepted", test_kinds},
        {"keys that were, or will be, good", test_dates},
        {"a clock that is evidently behind makes no key good", test_clock_behind},
        {"a revoked key, by list and by KRL", test_revoked},
        {"files that others may write are not believed", test_owners},
        {"ssh-keygen missing, hanging, flooding, inconsistent", test_program},
        {"the child sees what it needs", test_child},
    };
    signing_make_key("anna", "ed25519");
    signing_make_key("bert", "ed25519");
    signing_make_key("authority", "ed25519");
    signing_make_key("certified", "ed25519");
    signing_make_key("rsa", "rsa");
    signing_make_key("ecdsa", "ecdsa");
    signing_run("-q", "-s", test_path("authority"), "-I", "anna", "-n", "anna",
                test_path("certified.pub"), NULL);
    return test_main("signature", cases, ARRAY_LENGTH(cases));
}
