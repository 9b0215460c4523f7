/*
 * The program that a removed package leaves behind, with its file of rules in every state: whatever
 * it is, the machine is shut afterwards. Runs the real program with the real nft.
 */
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/nft_fixture.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/firewall/firewall_boot.h"
#include "tunnel/firewall/nft_built_in.h"
#include "tunnel/firewall/nft_run.h"
#include "tunnel/journal/sha256.h"
#include "tunnel/os/privileged_child.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHUT "hook input priority filter - 5; policy drop;"
#define OWN "wan_0" /* what the rules of the file have, and the built-in ones do not */

static bool table_contains(const char *text)
{
    CLEANUP(strbuf_free) struct strbuf listing = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    return nft_run_list_table(FIREWALL_TABLE, &listing, &problem) == 0 &&
           strstr(strbuf_text(&listing), text);
}

/* On a machine without rules: its exit status, and what it says. */
static int boot(const char *path, struct strbuf *said)
{
    const char *const arguments[] = {PROGRAM, path, NULL};
    CU_ASSERT_EQUAL(test_nft("flush ruleset\n"), 0);
    return privileged_child_run(arguments, NULL, 0, said);
}

static int check(const char *path)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    const char *const arguments[] = {PROGRAM, "--check", path, NULL};
    return privileged_child_run(arguments, NULL, 0, &said);
}

/* The built-in rules are loaded, and it says what is wrong. */
static void expect_built_in(const char *path, const char *problem)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(boot(path, &said), 0);
    TEST_CONTAINS(strbuf_text(&said), problem);
    TEST_CONTAINS(strbuf_text(&said), "the built-in rules stay loaded");
    CU_ASSERT_TRUE(table_contains(SHUT));
    CU_ASSERT_FALSE(table_contains(OWN));
}

static const char *write_rules(const void *bytes, size_t length)
{
    const char *path = test_path("rules.nft");
    CU_ASSERT_EQUAL(file_replace(path, bytes, length, 0644), 0);
    return path;
}

static struct strbuf make_rules(void)
{
    struct strbuf text = STRBUF_EMPTY;
    struct netd_config *config = nft_fixture_load("minimal");
    firewall_boot_text(config, &text);
    netd_config_free(config);
    return text;
}

static void test_whole(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf rules = make_rules();
    const char *path = write_rules(rules.data, rules.length);
    CU_ASSERT_EQUAL(boot(path, &said), 0);
    TEST_TEXT_EQUAL(strbuf_text(&said), "");
    CU_ASSERT_TRUE(table_contains(SHUT) && table_contains(OWN));
    CU_ASSERT_EQUAL(test_nft("flush ruleset\n"), 0);
    CU_ASSERT_EQUAL(check(path), 0);
    CU_ASSERT_FALSE(table_contains(SHUT)); /* a check loads nothing */
}

static void test_damaged(void)
{
    CLEANUP(strbuf_free) struct strbuf rules = make_rules();
    const size_t cuts[] = {
        0, 1, 40, strlen(NFT_BOOT_HEADER) + SHA256_HEX_BYTES, rules.length / 2, rules.length - 1};
    for (size_t i = 0; i < ARRAY_LENGTH(cuts); i++) {
        expect_built_in(write_rules(rules.data, cuts[i]), "damaged");
        CU_ASSERT_EQUAL(check(test_path("rules.nft")), 1);
    }
    rules.data[rules.length / 2] ^= 1;
    expect_built_in(write_rules(rules.data, rules.length), "damaged");
    expect_built_in(test_file("rules.nft", "table inet sallyport\n"), "damaged");
    rules.data[rules.length / 2] = '\0';
    expect_built_in(write_rules(rules.data, rules.length), "damaged");
}

/* Whole, and not rules. */
static void test_refused(void)
{
    static const char nonsense[] = "table inet sallyport\ndelete table inet sallyport\nnonsense\n";
    CLEANUP(strbuf_free) struct strbuf file = STRBUF_EMPTY;
    char hex[SHA256_HEX_BYTES];
    sha256_text(nonsense, strlen(nonsense), hex);
    strbuf_addf(&file, NFT_BOOT_HEADER "%s\n%s", hex, nonsense);
    expect_built_in(write_rules(file.data, file.length), "syntax error");
}

static void test_not_roots(void)
{
    CLEANUP(strbuf_free) struct strbuf rules = make_rules();
    char *const path = strdup(write_rules(rules.data, rules.length));
    CU_ASSERT_EQUAL(chmod(path, 0666), 0);
    expect_built_in(path, "others than root may write it");
    expect_built_in(test_path("not_roots.nft"), "others than root may write it");
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    CU_ASSERT_EQUAL(symlink(path, test_path("link.nft")), 0);
    expect_built_in(test_path("link.nft"), "link.nft");
    CU_ASSERT_EQUAL(unlink(test_path("link.nft")), 0);
    free(path);
}

static void test_no_file(void)
{
    expect_built_in(test_path("none.nft"), "No such file");
    expect_built_in(test_folder(), "it is not a file");
    expect_built_in("/dev/zero", "it is not a file");
    CU_ASSERT_EQUAL(mkfifo(test_path("fifo.nft"), 0600), 0);
    expect_built_in(test_path("fifo.nft"), "it is not a file");
    CU_ASSERT_EQUAL(unlink(test_path("fifo.nft")), 0);
    CU_ASSERT_EQUAL(truncate(test_file("rules.nft", ""), 2 << 20), 0);
    expect_built_in(test_path("rules.nft"), "it is too long");
}

int main(void)
{
    static const struct test_case cases[] = {
        {"whole rules of root's are loaded", test_whole},
        {"of cut or altered rules the built-in ones are left", test_damaged},
        {"of rules that nft refuses as well", test_refused},
        {"and of rules that others may write", test_not_roots},
        {"and of no rules at all", test_no_file},
    };
    if (geteuid() == 0) { /* before the right to do that is gone */
        const char *path = test_file("not_roots.nft", "");
        if (chown(path, 64999, 64999) < 0)
            return 1;
    }
    test_private_network();
    return test_main("lockdown", cases, ARRAY_LENGTH(cases));
}
