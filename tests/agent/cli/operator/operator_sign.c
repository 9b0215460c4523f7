/* Keys and signatures, with the real ssh-keygen. */
#include "agent/cli/operator/operator_sign.h"
#include "tests/support/test.h"

#include "agent/base/child.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char said[512]; /* the last message */

/* The frame is not linked. */
int cli_fail(int code, const char *name, const char *format, ...)
{
    va_list arguments;
    (void)name;
    va_start(arguments, format);
    (void)vsnprintf(said, sizeof(said), format, arguments);
    va_end(arguments);
    return code;
}

static void keygen(const char *type, const char *key)
{
    const char *const arguments[] = {
        "/usr/bin/ssh-keygen", "-q", "-t", type, "-N", "", "-f", key, NULL};
    const struct child_job job = {
        .arguments = arguments, .output_max_bytes = 65536, .timeout_ms = 60000};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    CU_ASSERT_EQUAL_FATAL(child_run(&job, &output), 0);
}

static int verify(const char *signers, const char *signature, const struct strbuf *text)
{
    const char *const arguments[] = {
        "/usr/bin/ssh-keygen", "-Y", "verify",  "-f", signers, "-I", "tech", "-n",
        "sallyport",           "-s", signature, NULL};
    const struct child_job job = {.arguments = arguments,
                                  .input = text->data,
                                  .input_length = text->length,
                                  .output_max_bytes = 65536,
                                  .timeout_ms = 60000};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    return child_run(&job, &output);
}

static size_t entries(const char *folder)
{
    size_t count = 0;
    DIR *directory = opendir(folder);
    while (directory && readdir(directory))
        count++;
    closedir(directory);
    return count - 2; /* . and .. */
}

static void test_sign(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, armour = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf public_key = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer) char *key = memory_text(test_path("key"));
    CLEANUP(memory_free_pointer) char *runtime = memory_text(test_path("runtime"));
    CU_ASSERT_EQUAL_FATAL(mkdir(runtime, 0700), 0);
    (void)setenv("XDG_RUNTIME_DIR", runtime, 1);
    keygen("ed25519", key);
    strbuf_add(&text, "sallyport-command: 1\n");
    CU_ASSERT_EQUAL_FATAL(operator_sign("test", key, &text, &armour), 0);
    CU_ASSERT_EQUAL(entries(runtime), 0);
    CU_ASSERT_EQUAL(operator_read_public_key(test_path("key.pub"), &public_key), 0);
    CLEANUP(memory_free_pointer)
    char *line = memory_printf("tech namespaces=\"sallyport\" %s\n", strbuf_text(&public_key));
    const char *signers = test_file("signers", line);
    const char *signature = test_file("signature", strbuf_text(&armour));
    CU_ASSERT_EQUAL(verify(signers, signature, &text), 0);
    strbuf_add(&text, "x");
    CU_ASSERT_NOT_EQUAL(verify(signers, signature, &text), 0);
}

static void test_no_signature(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, armour = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer) char *rsa = memory_text(test_path("rsa"));
    strbuf_add(&text, "sallyport-command: 1\n");
    CU_ASSERT_EQUAL(operator_sign("test", test_path("nothing"), &text, &armour), -1);
    TEST_CONTAINS(said, "cannot be read");
    keygen("rsa", rsa);
    CU_ASSERT_EQUAL(operator_sign("test", rsa, &text, &armour), -1);
    TEST_CONTAINS(said, "not an Ed25519 key");
    CU_ASSERT_EQUAL(operator_sign("test", test_file("broken", "no key\n"), &text, &armour), -1);
    TEST_CONTAINS(said, "not signed");
    CU_ASSERT_EQUAL(armour.length, 0);
    (void)setenv("PATH", test_folder(), 1);
    CU_ASSERT_EQUAL(operator_sign("test", test_path("broken"), &text, &armour), -1);
    CU_ASSERT_EQUAL(armour.length, 0);
}

#define BASE64 "AAAAC3NzaC1lZDI1NTE5AAAAINGk0s3bPzJzcv9cHiuTgM7ZnoPmKNoHqDO9dzZwtHfv"

static void test_public_keys(void)
{
    static const struct {
        const char *text;
        int result;
    } rows[] = {
        {"ssh-ed25519 " BASE64, 0},
        {"ssh-ed25519 " BASE64 " a comment\nmore\n", 0},
        {"sk-ssh-ed25519@openssh.com " BASE64 BASE64 "\n", 0},
        {"ssh-rsa " BASE64 "\n", -ENOTSUP},
        {"ssh-ed25519 AAAA\n", -EINVAL},
        {"ssh-ed25519 " BASE64 "\"\n", -EINVAL},
        {"ssh-ed25519\n", -EINVAL},
        {"", -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
        CU_ASSERT_EQUAL(operator_read_public_key(test_file("p.pub", rows[i].text), &line),
                        rows[i].result);
        CU_ASSERT_EQUAL(line.length > 0, rows[i].result == 0);
        CU_ASSERT_PTR_NULL(strpbrk(strbuf_text(&line), "\n\""));
    }
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(operator_read_public_key(test_path("none.pub"), &line), -ENOENT);
}

TEST_MAIN("operator_sign", {"what is signed verifies, nothing is left behind", test_sign},
          {"public keys", test_public_keys},
          {"what goes wrong gives no signature", test_no_signature})
