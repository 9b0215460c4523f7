/* The first levels of all topics. */
#include "config/load/topic_prefix.h"

#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

static void accepted(const char *prefix)
{
    struct problem problem;
    CU_ASSERT_EQUAL(topic_prefix_check(prefix, &problem), 0);
}

static void refused(const char *prefix, const char *why)
{
    struct problem problem;
    CU_ASSERT_EQUAL(topic_prefix_check(prefix, &problem), -EINVAL);
    TEST_CONTAINS(problem.text, why);
}

static void test_prefix(void)
{
    char large[TOPIC_PREFIX_MAX_BYTES + 2];
    memset(large, 'x', sizeof(large));
    large[TOPIC_PREFIX_MAX_BYTES] = '\0';
    accepted("sallyport");
    accepted("acme/north/sallyport");
    accepted("a/b/c/d/e/f/g/h");
    accepted("a/$b c");
    accepted(large);
    large[TOPIC_PREFIX_MAX_BYTES] = 'x';
    large[TOPIC_PREFIX_MAX_BYTES + 1] = '\0';
    refused(large, "longer than 128 bytes");
    refused("a/b/c/d/e/f/g/h/i", "more than 8 levels");
    refused("", "empty level");
    refused("/a", "empty level");
    refused("a/", "empty level");
    refused("a//b", "empty level");
    refused("$SYS/a", "must not begin with \"$\"");
    refused("a/+/b", "must have no \"+\"");
    refused("a#", "must have no \"+\"");
    refused("a\nb", "control character");
    refused("a\x7f", "control character");
}

TEST_MAIN("topic_prefix", {"several levels; what is none is refused", test_prefix})
