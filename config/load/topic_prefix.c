/* The first levels of all topics. */
#include "config/load/topic_prefix.h"

#include <stdbool.h>
#include <string.h>

static bool has_empty_level(const char *prefix)
{
    size_t length = strlen(prefix);
    return length == 0 || prefix[0] == '/' || prefix[length - 1] == '/' || strstr(prefix, "//");
}

static size_t count_levels(const char *prefix)
{
    size_t levels = 1;
    for (const char *c = prefix; *c; c++)
        levels += *c == '/';
    return levels;
}

static bool has_forbidden(const char *prefix)
{
    for (const char *c = prefix; *c; c++) {
        if (*c == '+' || *c == '#' || (unsigned char)*c < ' ' || *c == 0x7f)
            return true;
    }
    return false;
}

int topic_prefix_check(const char *prefix, struct problem *ret_problem)
{
    if (strlen(prefix) > TOPIC_PREFIX_MAX_BYTES)
        return problem_say(ret_problem, "is longer than %d bytes", TOPIC_PREFIX_MAX_BYTES);
    if (prefix[0] == '$')
        return problem_say(ret_problem, "must not begin with \"$\": such topics are the broker's");
    if (has_forbidden(prefix))
        return problem_say(ret_problem, "must have no \"+\", \"#\" or control character");
    if (has_empty_level(prefix))
        return problem_say(ret_problem,
                           "has an empty level: write the levels with one \"/\" between "
                           "them and none at the ends, such as acme/europe");
    if (count_levels(prefix) > TOPIC_PREFIX_MAX_LEVELS)
        return problem_say(ret_problem, "has more than %d levels", TOPIC_PREFIX_MAX_LEVELS);
    return 0;
}
