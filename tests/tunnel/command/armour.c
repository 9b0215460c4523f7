/* What an armoured signature claims: by ssh-keygen itself, and by somebody who plays with it. */
#include "tunnel/command/armour.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "tests/support/signing.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define END "-----END SSH SIGNATURE-----\n"

static bool part_is(struct armour_part part, const char *text)
{
    return part.length == strlen(text) && memcmp(part.at, text, part.length) == 0;
}

static void test_claims(void)
{
    static const struct {
        const char *key, *name_space;
    } rows[] = {{"anna", "sallyport"}, {"anna", "git"}, {"rsa", "sallyport"}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
        CLEANUP(memory_free_pointer) char *public_key = signing_public(rows[i].key);
        char key[ARMOUR_KEY_TEXT_BYTES];
        struct armour armour;
        signing_sign(rows[i].key, rows[i].name_space, "x", 1, &text);
        CU_ASSERT_EQUAL_FATAL(armour_read(text.data, text.length, &armour), 0);
        CU_ASSERT_TRUE(part_is(armour.name_space, rows[i].name_space));
        CU_ASSERT_TRUE(part_is(armour.hash, "sha512"));
        armour_print(armour.key, key);
        TEST_TEXT_EQUAL(key, strchr(public_key, ' ') + 1);
        CU_ASSERT_EQUAL(armour_read(text.data, text.length - 1, &armour), 0); /* the last LF */
    }
}

static void test_fingerprint(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer)
    char *command = memory_printf("/usr/bin/ssh-keygen -l -f %s", test_path("anna.pub"));
    char print[ARMOUR_PRINT_BYTES], wanted[80] = "";
    struct armour armour;
    FILE *output = popen(command, "re");
    CU_ASSERT_TRUE_FATAL(output && fscanf(output, "%*d %79s", wanted) == 1);
    (void)pclose(output);
    signing_sign("anna", "sallyport", "x", 1, &text);
    CU_ASSERT_EQUAL_FATAL(armour_read(text.data, text.length, &armour), 0);
    armour_fingerprint(armour.key, print);
    TEST_TEXT_EQUAL(print, wanted);
}

static void test_base64(void)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) { /* RFC 4648 */
        char text[ARMOUR_KEY_TEXT_BYTES];
        const struct armour_part part = {(const unsigned char *)rows[i].bytes,
                                         strlen(rows[i].bytes)};
        armour_print(part, text);
        TEST_TEXT_EQUAL(text, rows[i].text);
    }
}

/* None of these is a signature; the first part of each is what one begins with. */
static void test_refused(void)
{
    static const char *const rows[] = {
        "",
        "\n",
        BEGIN,
        BEGIN END,
        BEGIN "\n" END,
        BEGIN "U1NIU0lH\n" END,                                     /* nothing after SSHSIG */
        BEGIN "U1NIU0lHAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAA\n" END,     /* version 2 */
        BEGIN "U1NIU0lHAAAAAQ==\n" END,                             /* no key */
        BEGIN "U1NIU0lHAAAAAf////8=\n" END,                         /* a key of 4 GiB */
        BEGIN "U1NIU0lHAAAAAQAAAAFBAAA=\n" END,                     /* half a length */
        BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAA=\n" END,         /* four strings */
        BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAB\n" END,     /* the last one is cut */
        BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAUEAAAAAAAAAAA==\n" END, /* something reserved */
        BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAQQ==\n" END, /* something after it */
        BEGIN "U1NIU0lH AAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAA\n" END,
        BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" END,
        BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAA\nA===\n" END,
        BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAA*\n" END,
        BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAACQW3=\n" END, /* bits that nobody writes */
    };
    static struct armour armour;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        CLEANUP(memory_free_pointer) char *copy = memory_text_n(rows[i], strlen(rows[i]));
        if (armour_read(copy, strlen(rows[i]), &armour) == 0)
            printf("\nread: %s\n", rows[i]);
        CU_ASSERT_EQUAL(armour_read(copy, strlen(rows[i]), &armour), -EBADMSG);
    }
    static const char least[] = BEGIN "U1NIU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAA\n" END;
    CU_ASSERT_EQUAL(armour_read(least, strlen(least), &armour), 0);
    static const char other_lines[] = BEGIN "U1NI\nU0lHAAAAAQAAAAAAAAAAAAAAAAAAAAAAAA\nAA\n" END;
    CU_ASSERT_EQUAL(armour_read(other_lines, strlen(other_lines), &armour), 0);
}

/* Whatever is done to one, what is read stays within it. */
static void test_damaged(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    static struct armour armour;
    unsigned state = 1, read = 0;
    signing_sign("anna", "sallyport", "x", 1, &text);
    for (int i = 0; i < 20000; i++) {
        state = state * 1103515245u + 12345u;
        size_t length = i % 2 ? text.length : (state >> 8) % text.length;
        CLEANUP(memory_free_pointer) char *copy = memory_zeroed(1, length + 1);
        memcpy(copy, text.data, length);
        for (unsigned n = 0; length > 0 && n < 1 + (state >> 20) % 4; n++) {
            state = state * 1103515245u + 12345u;
            copy[(state >> 8) % length] = (char)(state >> 24);
        }
        if (armour_read(copy, length, &armour) < 0)
            continue;
        read++;
        CU_ASSERT_TRUE(armour.signature.at + armour.signature.length <=
                       armour.bytes + sizeof(armour.bytes));
    }
    CU_ASSERT_TRUE(read < 20000);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"who and what for", test_claims},
        {"the fingerprint", test_fingerprint},
        {"base64", test_base64},
        {"what is no signature", test_refused},
        {"damaged ones read nothing beyond", test_damaged},
    };
    signing_make_key("anna", "ed25519");
    signing_make_key("rsa", "rsa");
    return test_main("armour", cases, ARRAY_LENGTH(cases));
}
