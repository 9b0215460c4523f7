/* What `sallyport check` finds in the files of `uplink`: each fault, with its key and its file. */
#include "agent/cli/check_credentials.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "config/load/files.h"
#include "config/load/load.h"
#include "drivers/line/line.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Loads a configuration whose uplink has KEYS, on the third line. */
static struct config *load(const char *keys, struct findings *findings)
{
    struct config *config = NULL;
    char *text CLEANUP(memory_free_pointer) =
        memory_printf("gateway: { id = \"g\"; site = \"s\"; };\n"
                      "uplink: { servers = [ \"mqtts://b\" ];\n%s };\n",
                      keys);
    CU_ASSERT_EQUAL_FATAL(
        config_load(test_file("c.conf", text), drivers_for_config(), findings, &config), 0);
    return config;
}

static const char *say(const char *keys)
{
    static char said[4096];
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct config *config = load(keys, &findings);
    config_check_files(config, &findings);
    check_credentials(config, &findings);
    findings_print(&findings, &out);
    (void)snprintf(said, sizeof(said), "%s", strbuf_text(&out));
    config_free(config);
    return said;
}

/* CA, and MORE with the paths of A and B in it. */
static const char *keys_of(const char *more, const char *a, const char *b)
{
    static char keys[2048];
    int used = snprintf(keys, sizeof(keys), "ca = \"%s\"; ", pki_path("ca.pem"));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(keys + used, sizeof(keys) - (size_t)used, more, a, b);
#pragma GCC diagnostic pop
    return keys;
}

static void found(const char *keys, const char *key, const char *file, const char *text)
{
    const char *said = say(keys);
    char begin[64];
    (void)snprintf(begin, sizeof(begin), "c.conf:3: uplink.%s: ", key);
    TEST_CONTAINS(said, begin);
    TEST_CONTAINS(said, file);
    TEST_CONTAINS(said, text);
    const char *line_end = strchr(said, '\n');
    CU_ASSERT_TRUE(line_end && line_end[1] == '\0'); /* said once */
    if (!line_end || line_end[1])
        (void)fprintf(stderr, "%s", said);
}

#define PAIR "certificate = \"%s\"; key = \"%s\";"

static void pair(const char *certificate, const char *key, const char *at, const char *file,
                 const char *text)
{
    found(keys_of(PAIR, pki_path(certificate), pki_path(key)), at, pki_path(file), text);
}

static void test_good(void)
{
    TEST_TEXT_EQUAL(say(keys_of(PAIR, pki_path("client.pem"), pki_path("client.key"))), "");
    TEST_TEXT_EQUAL(say("ca = \"system\";"), "");
    TEST_TEXT_EQUAL(say(keys_of("crl = \"%s\";%s", pki_path("ca-none-crl.pem"), "")), "");
}

static void test_pair(void)
{
    pair("client.pem", "good.key", "key", "good.key", "does not belong to the certificate");
    pair("client.pem", "client.pem", "key", "client.pem", "it holds a certificate only");
    pair("client.pem", "client-key.der", "key", "client-key.der", "is DER, not PEM");
    pair("client.pem", "client-locked.key", "key", "client-locked.key", "is encrypted: give its");
    pair("good.der", "good.key", "certificate", "good.der",
         "holds no PEM certificate; if it is DER, convert it");
    pair("client-expired.pem", "client-expired.key", "certificate", "client-expired.pem",
         "has expired");
    pair("client-future.pem", "client-future.key", "certificate", "client-future.pem",
         "is valid only from 2040-01-01 00:00 UTC");
    pair("client-server.pem", "client-server.key", "certificate", "client-server.pem",
         "is not for clients");
    pair("inter-first.pem", "inter-first.key", "certificate", "inter-first.pem",
         "must come first, and those of the CAs after it; here it is number 2");
}

static const char *secret(const char *name, const char *content, size_t length)
{
    static char path[600];
    (void)snprintf(path, sizeof(path), "%s", test_path(name));
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fwrite(content, 1, length, file);
    (void)fclose(file);
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
    return path;
}

static void locked(const char *content, const char *text)
{
    char more[700];
    const char *path = secret("key-password", content, strlen(content));
    (void)snprintf(more, sizeof(more), PAIR "key_password_file = \"%s\";", "%s", "%s", path);
    const char *keys = keys_of(more, pki_path("client.pem"), pki_path("client-locked.key"));
    if (text)
        found(keys, strstr(text, "does not open") ? "key" : "key_password_file",
              strstr(text, "does not open") ? pki_path("client-locked.key") : path, text);
    else
        TEST_TEXT_EQUAL(say(keys), "");
}

static void test_key_password(void)
{
    char large[1100] = "";
    memset(large, 'x', sizeof(large) - 1);
    locked("sesame", NULL);
    locked("sesame\r\n", NULL);
    locked("wrong\n", "does not open with the password");
    locked("\xef\xbb\xbfsesame\n", "begins with a byte order mark, which is left out");
    locked("\n", "it is empty");
    locked(large, "more than 1023 bytes");
}

static void password(const char *content, size_t length, const char *text)
{
    const char *path = secret("password", content, length);
    found(keys_of("username = \"u\"; password_file = \"%s\";%s", path, ""), "password_file", path,
          text);
}

static void test_password(void)
{
    static char large[65537];
    memset(large, 'x', sizeof(large));
    password("", 0, "it is empty");
    password("a\0b", 3, "it has a NUL byte");
    password("\xff\xfe"
             "a\0",
             4, "it is UTF-16");
    password(large, sizeof(large), "longer than 65535 bytes, the limit of MQTT");
    password(large, 1700, "warning: ");
    password(large, 1700, "a password of 1700 bytes");
    password("\xef\xbb\xbfx\n", 5, "begins with a byte order mark");
    password("one\ntwo\n", 8, "has several lines");
    const char *path = secret("password", "x", 1);
    TEST_TEXT_EQUAL(say(keys_of("username = \"u\"; password_file = \"%s\";%s", path, "")), "");
    CU_ASSERT_EQUAL(chmod(path, 0604), 0);
    found(keys_of("username = \"u\"; password_file = \"%s\";%s", path, ""), "password_file", path,
          "every user of this machine can use");
}

static void test_proxy_password(void)
{
    static char large[1100];
    static const char more[] = "proxy = \"http://me@p:80\"; proxy_password_file = \"%s\";%s";
    memset(large, 'x', sizeof(large));
    const char *path = secret("proxy", large, sizeof(large));
    found(keys_of(more, path, ""), "proxy_password_file", path, "too long for a proxy");
    path = secret("proxy", "\n", 1);
    found(keys_of(more, path, ""), "proxy_password_file", path, "it is empty");
    path = secret("proxy", "p@ss", 4);
    TEST_TEXT_EQUAL(say(keys_of(more, path, "")), "");
}

static void authority(const char *file, const char *text)
{
    char keys[700];
    (void)snprintf(keys, sizeof(keys), "ca = \"%s\";", file);
    found(keys, "ca", file, text);
}

static void test_authority(void)
{
    authority(pki_path("client.key"), "holds no PEM certificate");
    authority(pki_path("good.pem"), "\"CN=good server\" was issued by");
    authority(pki_path("inter.pem"), "put the certificate of that root authority there");
    char keys[700];
    (void)snprintf(keys, sizeof(keys), "ca = \"%s\";", pki_path("selfsigned.pem"));
    TEST_TEXT_EQUAL(say(keys), ""); /* a broker that has signed itself can be trusted so */
}

static void list(const char *name, const char *text)
{
    found(keys_of("crl = \"%s\";%s", pki_path(name), ""), "crl", pki_path(name), text);
}

static void test_lists(void)
{
    list("ca-expired-crl.pem", "expired on 2020-06-01 12:00 UTC: put the current list");
    list("ca-future-crl.pem", "is not valid yet");
    list("forged-crl.pem", "was not signed by the authority of that name");
    list("ca.pem", "it holds no PEM revocation list");
    list("absent.pem", "cannot be read: No such file");
    list("other-crl.pem", "warning: ");
    list("other-crl.pem", "is of no authority in `ca`");
}

/* Others than root cannot become another user; there the function says nothing. */
static void test_access(void)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    const char *path = secret("password", "x", 1);
    struct config *config =
        load(keys_of("username = \"u\"; password_file = \"%s\";%s", path, ""), &findings);
    check_agent_access(config, "no-such-user", &findings);
    CU_ASSERT_EQUAL(findings.length, 0);
    check_agent_access(config, "nobody", &findings);
    findings_print(&findings, &out);
    if (geteuid() == 0 && getpwnam("nobody")) {
        TEST_CONTAINS(strbuf_text(&out),
                      "uplink.password_file: warning: the agent runs as the user "
                      "nobody, who cannot read");
        TEST_CONTAINS(strbuf_text(&out), path);
    } else {
        CU_ASSERT_EQUAL(findings.length, 0);
    }
    config_free(config);
}

TEST_MAIN("check_credentials", {"what works is not mentioned", test_good},
          {"certificate and key: each fault of the pair", test_pair},
          {"the password of a key", test_key_password},
          {"the password of the login", test_password},
          {"the password of the proxy", test_proxy_password},
          {"an authority that verifies nothing", test_authority},
          {"revocation lists that cannot be used", test_lists},
          {"files that the user of the agent cannot read", test_access})
