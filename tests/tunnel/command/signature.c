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
#include <signal.h>
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

struct ended {
    struct signature *signature; /* NULL: it has ended */
    struct signature_result result;
};

static void on_ended(void *context, const struct signature_result *result)
{
    struct ended *ended = context;
    ended->result = *result;
    ended->signature = signature_free(ended->signature);
}

static struct signature_result verify_with(const struct signature_settings *with, const char *text,
                                           const char *armour)
{
    const struct command_parts parts = {text, armour, strlen(text), strlen(armour)};
    struct ended ended = {0};
    sd_event *loop = NULL;
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&loop), 0);
    CU_ASSERT_EQUAL_FATAL(signature_begin(with, &parts, loop, on_ended, &ended, &ended.signature),
                          0);
    CU_ASSERT_PTR_NOT_NULL(ended.signature); /* nothing was waited for */
    while (ended.signature)
        CU_ASSERT_TRUE_FATAL(sd_event_run(loop, UINT64_MAX) >= 0);
    sd_event_unref(loop);
    return ended.result;
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
    if (geteuid() == 0) {
        CU_ASSERT_EQUAL(chown(test_path("allowed_signers"), 64999, 64999), 0);
        EXPECT(verify_by("anna", "sallyport"), SIGNATURE_UNKNOWN);
        CU_ASSERT_EQUAL(chown(test_path("allowed_signers"), 0, 0), 0);
    }
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
    (void)unlink(test_path("revoked_keys"));
    CU_ASSERT_EQUAL(mkfifo(test_path("allowed_signers"), 0600), 0);
    result = verify_by("anna", "sallyport");
    EXPECT(result, SIGNATURE_UNKNOWN);
    TEST_CONTAINS(result.detail, "allowed_signers: it, or");
    (void)unlink(test_path("allowed_signers"));
    CU_ASSERT_EQUAL(symlink("/dev/zero", test_path("allowed_signers")), 0);
    EXPECT(verify_by("anna", "sallyport"), SIGNATURE_UNKNOWN);
    (void)unlink(test_path("allowed_signers"));
}

/* ---- In place of ssh-keygen: this program, under another name ---- */

static int hang(const char *question)
{
    (void)question;
    while (pause() < 0) /* which may not be allowed to it */
        ;
    return 0;
}

static int print_for_ever(const char *question)
{
    (void)question;
    while (write(STDOUT_FILENO, (char[4096]){0}, 4096) > 0)
        ;
    return 0;
}

static int print_too_much(const char *question)
{
    (void)question;
    return write(STDOUT_FILENO, (char[5000]){0}, 5000) == 5000 ? 0 : 1;
}

static int die(const char *question)
{
    (void)question;
    __builtin_trap(); /* raise() is not allowed to it */
}

/* Knows the signature, and whose it is; but will not verify it. */
static int refuse(const char *question)
{
    if (strcmp(question, "find-principals") == 0)
        puts("signer0");
    return strcmp(question, "verify") == 0 ? 255 : 0;
}

/* There is no second line in the list. */
static int name_nobody(const char *question)
{
    if (strcmp(question, "find-principals") == 0)
        puts("signer1");
    return 0;
}

/* Says what it can see, where the fingerprint belongs. */
static int look(const char *question)
{
    unsigned files = 0, variables = 0;
    (void)question;
    for (int i = STDERR_FILENO + 1; i < 1024; i++)
        files += fcntl(i, F_GETFD) >= 0;
    while (environ[variables])
        variables++;
    printf("a key SHA256:files-%u-variables-%u\n", files, variables);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const char *question);
} fakes[] = {{"hang", hang},
             {"print-for-ever", print_for_ever},
             {"print-too-much", print_too_much},
             {"die", die},
             {"refuse", refuse},
             {"name-nobody", name_nobody},
             {"look", look}};

/* The path of the fake NAME, with which ssh-keygen's place is taken. */
static const char *fake(const char *name)
{
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    CU_ASSERT_TRUE_FATAL(length > 0);
    self[length] = '\0';
    (void)unlink(test_path(name));
    CU_ASSERT_EQUAL(symlink(self, test_path(name)), 0);
    return test_path(name);
}

static struct signature_result verify_by_fake(const char *name, int timeout_ms)
{
    struct signature_settings with = settings();
    with.program = fake(name);
    with.timeout_ms = timeout_ms;
    return verify_with(&with, HARDWARE_TEXT, HARDWARE_ARMOUR);
}

/* A program that is not there, hangs, floods, or says yes to one question only. */
static void test_program(void)
{
    static const struct {
        const char *name;
        int timeout_ms;
        enum signature_verdict verdict;
    } rows[] = {{"hang", 100, SIGNATURE_FAILED},
                {"print-for-ever", 200, SIGNATURE_FAILED},
                {"print-too-much", 60000, SIGNATURE_FAILED},
                {"die", 60000, SIGNATURE_FAILED},
                {"refuse", 60000, SIGNATURE_UNKNOWN},
                {"name-nobody", 60000, SIGNATURE_UNKNOWN}};
    (void)test_file("allowed_signers", "dora " OURS " " HARDWARE_KEY "\n");
    (void)unlink(test_path("revoked_keys"));
    struct signature_settings with = settings();
    with.program = "/nonexistent/ssh-keygen";
    struct signature_result result = verify_with(&with, HARDWARE_TEXT, HARDWARE_ARMOUR);
    EXPECT(result, SIGNATURE_FAILED);
    TEST_CONTAINS(result.detail, "/nonexistent/ssh-keygen");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        result = verify_by_fake(rows[i].name, rows[i].timeout_ms);
        EXPECT(result, rows[i].verdict);
    }
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

/* What the child gets: nothing of ours but three files and the text, and no environment. */
static void test_child(void)
{
    (void)test_file("allowed_signers", "dora " OURS " " HARDWARE_KEY "\n");
    unsigned before = count_descriptors();
    CLEANUP(descriptor_close) int other = dup(STDERR_FILENO); /* which it does not get */
    CU_ASSERT_TRUE(other > STDERR_FILENO);
    CU_ASSERT_EQUAL(setenv("SALLYPORT_SECRET", "hunter2", 1), 0);
    struct signature_result result = verify_by_fake("look", 60000);
    TEST_TEXT_EQUAL(result.key, "SHA256:files-3-variables-0");
    CU_ASSERT_EQUAL(count_descriptors(), before + 1);
}

static pid_t only_child(void)
{
    int child = 0;
    FILE *file = fopen("/proc/thread-self/children", "re");
    if (file && fscanf(file, "%d", &child) != 1)
        child = 0;
    if (file)
        (void)fclose(file);
    return child;
}

/* A verification that nobody wants any more leaves no process and no descriptor. */
static void test_given_up(void)
{
    const struct command_parts parts = {HARDWARE_TEXT, HARDWARE_ARMOUR, strlen(HARDWARE_TEXT),
                                        strlen(HARDWARE_ARMOUR)};
    struct signature_settings with = settings();
    struct ended ended = {0};
    sd_event *loop = NULL;
    (void)test_file("allowed_signers", "dora " OURS " " HARDWARE_KEY "\n");
    with.program = fake("hang");
    unsigned before = count_descriptors();
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&loop), 0);
    CU_ASSERT_EQUAL_FATAL(signature_begin(&with, &parts, loop, on_ended, &ended, &ended.signature),
                          0);
    CU_ASSERT_TRUE_FATAL(sd_event_run(loop, 20000000) > 0); /* it comes back while the child runs */
    pid_t child = only_child();
    CU_ASSERT_TRUE_FATAL(child > 0);
    CU_ASSERT_PTR_NULL(signature_free(ended.signature));
    sd_event_unref(loop);
    CU_ASSERT_EQUAL(kill(child, 0), -1);
    CU_ASSERT_EQUAL(only_child(), 0);
    CU_ASSERT_EQUAL(ended.result.verdict, 0);
    CU_ASSERT_EQUAL(count_descriptors(), before);
    CU_ASSERT_PTR_NULL(signature_free(NULL));
}

int main(int argc, char **argv)
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
        {"what is given up leaves nothing behind", test_given_up},
    };
    const char *name = strrchr(argv[0], '/');
    for (size_t i = 0; argc > 2 && name && i < ARRAY_LENGTH(fakes); i++) {
        if (strcmp(name + 1, fakes[i].name) == 0) {
            int code = fakes[i].run(argv[2]);
            (void)fflush(stdout);
            _exit(code); /* no look for leaks, which is not allowed to it */
        }
    }
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
