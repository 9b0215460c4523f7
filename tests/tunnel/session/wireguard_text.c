/* What wg prints. */
#include "tunnel/session/wireguard_text.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <errno.h>

#define ONE "w2h8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nE="
#define TWO "b8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nEXA="

static void test_handshake(void)
{
    static const struct {
        const char *output;
        int64_t result;
    } cases[] = {
        {"", 0},
        {ONE "\t0\n", 0},
        {ONE "\t1796062914\n", 1796062914},
        {TWO "\t7\n" ONE "\t8\n", 8},
        {ONE "\t8", 8},
        {TWO "\t7\n", 0},
        {"x" ONE "\t8\n", 0},
        {ONE "8\n", 0},
        {ONE "\t\n", -EBADMSG},
        {ONE "\t-8\n", -EBADMSG},
        {ONE "\t8 \n", -EBADMSG},
        {ONE "\t1234567890123456789\n", -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        CU_ASSERT_EQUAL(wireguard_text_handshake_s(cases[i].output, ONE), cases[i].result);
}

static void test_key(void)
{
    static const struct {
        const char *output;
        bool is_key;
    } cases[] = {{ONE "\n", true},    {ONE, false},
                 {ONE "\n\n", false}, {"\n", false},
                 {"", false},         {"!2h8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nE=\n", false}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CLEANUP(strbuf_free) struct strbuf key = STRBUF_EMPTY;
        strbuf_add(&key, cases[i].output);
        CU_ASSERT_EQUAL(wireguard_text_is_key(&key), cases[i].is_key);
        if (cases[i].is_key)
            CU_ASSERT_STRING_EQUAL(key.data, ONE);
    }
}

TEST_MAIN("wireguard_text", {"the last handshake", test_handshake}, {"keys", test_key})
