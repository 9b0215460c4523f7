/* Users of this machine by name. */
#include "tunnel/os/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIGITS 9

static bool parse_id(const char *text, unsigned *ret_id)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > MAX_DIGITS || text[digits])
        return false;
    *ret_id = (unsigned)strtoul(text, NULL, 10);
    return true;
}

int user_find(const char *name, uid_t *ret_uid)
{
    unsigned id;
    if (parse_id(name, &id)) {
        *ret_uid = id;
        return 0;
    }
    const struct passwd *user = getpwnam(name);
    if (!user)
        return -ENOENT;
    *ret_uid = user->pw_uid;
    return 0;
}

uid_t user_find_agent(const char *name)
{
    uid_t uid;
    return name && user_find(name, &uid) == 0 ? uid : 0;
}

int user_find_group(const char *name, gid_t *ret_gid)
{
    unsigned id;
    if (parse_id(name, &id)) {
        *ret_gid = id;
        return 0;
    }
    const struct group *group = getgrnam(name);
    if (!group)
        return -ENOENT;
    *ret_gid = group->gr_gid;
    return 0;
}
