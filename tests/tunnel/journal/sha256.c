/* SHA-256 against the examples of FIPS 180-4 and its lengths around the block. */
#include "tunnel/journal/sha256.h"

#include "agent/base/child.h"
#include "agent/base/descriptor.h"
#include "tests/support/test.h"

#include <string.h>

static const char *digest(const void *bytes, size_t length, size_t piece)
{
    static char hex[SHA256_HEX_BYTES];
    struct sha256 hash;
    sha256_init(&hash);
    for (size_t at = 0; at < length; at += piece)
        sha256_update(&hash, (const char *)bytes + at, piece < length - at ? piece : length - at);
    sha256_final(&hash, hex);
    return hex;
}

static void test_standard(void)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char million[1000];
    TEST_TEXT_EQUAL(digest("", 0, 1),
                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    TEST_TEXT_EQUAL(digest("abc", 3, 3),
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    TEST_TEXT_EQUAL(digest(two_blocks, 56, 56),
                    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', sizeof(million));
    struct sha256 hash;
    char hex[SHA256_HEX_BYTES];
    sha256_init(&hash);
    for (int i = 0; i < 1000; i++)
        sha256_update(&hash, million, sizeof(million));
    sha256_final(&hash, hex);
    TEST_TEXT_EQUAL(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Each length around the ends of a block, against sha256sum, in pieces of odd sizes. */
static void test_lengths(void)
{
    static const char *const arguments[] = {"/usr/bin/sha256sum", NULL};
    char bytes[200];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    for (size_t length = 50; length < 135; length++) {
        CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
        const struct child_job job = {.arguments = arguments,
                                      .input = bytes,
                                      .input_length = length,
                                      .output_max_bytes = 200,
                                      .timeout_ms = 20000};
        CU_ASSERT_EQUAL_FATAL(child_run(&job, &output), 0);
        CU_ASSERT_EQUAL(strncmp(strbuf_text(&output), digest(bytes, length, 7), 64), 0);
    }
}

TEST_MAIN("sha256", {"the examples of the standard", test_standard},
          {"every length around the ends of a block", test_lengths})
