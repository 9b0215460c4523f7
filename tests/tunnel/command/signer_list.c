/* The keys of allowed_signers, read when they have changed. */
#include "tunnel/command/signer_list.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "tests/support/signing.h"
#include "tests/support/test.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether KEY's own signature claims a key that the list has. */
static bool lists(const struct signer_list *list, const char *key)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct armour armour;
    signing_sign(key, "sallyport", "x", 1, &text);
    CU_ASSERT_EQUAL_FATAL(armour_read(text.data, text.length, &armour), 0);
    return signer_list_has(list, armour.key);
}

static void allow(const char *options, const char *key)
{
    CLEANUP(memory_free_pointer) char *public_key = signing_public(key);
    CLEANUP(memory_free_pointer) char *line = memory_printf("%s %s %s\n", key, options, public_key);
    (void)test_file("allowed_signers", line);
}

static void test_keys(void)
{
    allow("namespaces=\"sallyport\"", "anna");
    struct signer_list *list = signer_list_new(test_path("allowed_signers"));
    CU_ASSERT_FALSE(lists(list, "anna")); /* nobody has looked */
    CU_ASSERT_TRUE(signer_list_look(list));
    CU_ASSERT_TRUE(lists(list, "anna"));
    CU_ASSERT_FALSE(lists(list, "bert"));
    CU_ASSERT_FALSE(lists(list, "rsa"));
    TEST_TEXT_EQUAL(signer_list_problem(list), "");
    CU_ASSERT_FALSE(signer_list_look(list));
    CU_ASSERT_PTR_NULL(signer_list_free(list));
    CU_ASSERT_PTR_NULL(signer_list_free(NULL));
}

/* Whatever becomes of the file counts at the next look, and what has not changed is not read. */
static void test_changes(void)
{
    allow("namespaces=\"sallyport\"", "anna");
    struct signer_list *list = signer_list_new(test_path("allowed_signers"));
    CU_ASSERT_TRUE(signer_list_look(list));
    allow("namespaces=\"sallyport\"", "bert");
    CU_ASSERT_TRUE(signer_list_look(list));
    CU_ASSERT_TRUE(!lists(list, "anna") && lists(list, "bert"));
    CU_ASSERT_EQUAL(chmod(test_path("allowed_signers"), 0666), 0);
    CU_ASSERT_TRUE(signer_list_look(list));
    CU_ASSERT_FALSE(lists(list, "bert"));
    TEST_CONTAINS(signer_list_problem(list), "others than root");
    CU_ASSERT_EQUAL(chmod(test_path("allowed_signers"), 0644), 0);
    CU_ASSERT_TRUE(signer_list_look(list) && lists(list, "bert"));
    CU_ASSERT_EQUAL(chmod(test_folder(), 0777), 0);
    CU_ASSERT_TRUE(signer_list_look(list) && !lists(list, "bert"));
    CU_ASSERT_EQUAL(chmod(test_folder(), 0700), 0);
    CU_ASSERT_TRUE(signer_list_look(list) && lists(list, "bert"));
    (void)unlink(test_path("allowed_signers"));
    CU_ASSERT_TRUE(signer_list_look(list) && !lists(list, "bert"));
    CU_ASSERT_FALSE(signer_list_look(list));
    allow("namespaces=\"git\"", "anna");
    CU_ASSERT_TRUE(signer_list_look(list) && !lists(list, "anna"));
    CU_ASSERT_EQUAL(signer_list_signers(list)->skipped, 1);
    signer_list_free(list);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"whose key counts", test_keys},
        {"the file changes", test_changes},
    };
    signing_make_key("anna", "ed25519");
    signing_make_key("bert", "ed25519");
    signing_make_key("rsa", "rsa");
    return test_main("signer_list", cases, ARRAY_LENGTH(cases));
}
