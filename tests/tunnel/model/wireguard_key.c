/* What is a WireGuard key. */
#include "tunnel/model/wireguard_key.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <string.h>

#define GOOD "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2o="

static void test_keys(void)
{
    static const char *const wrong[] = {
        "",
        "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2o",
        "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2p=", /* the last digit carries four bits */
        "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2==",
        "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2o= ",
        " jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2o",
        "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2o=\n",
        "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyf-m2o=",
        "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRy=Vm2o=",
    };
    CU_ASSERT_TRUE(wireguard_key_is_valid(GOOD));
    CU_ASSERT_EQUAL(strlen(GOOD), WIREGUARD_KEY_CHARACTERS);
    CU_ASSERT_TRUE(wireguard_key_is_valid("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        CU_ASSERT_FALSE(wireguard_key_is_valid(wrong[i]));
}

TEST_MAIN("wireguard_key", {"32 bytes in base64, and nothing else", test_keys})
