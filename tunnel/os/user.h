/* Users of this machine by name. Reads the user database; main thread only. */
#ifndef SALLYPORT_TUNNEL_OS_USER_H
#define SALLYPORT_TUNNEL_OS_USER_H

#include <sys/types.h>

/* The id of the user NAME, which may be a number; 0, or -ENOENT when there is no such user. */
int user_find(const char *name, uid_t *ret_uid);

/*
 * The user NAME as one that rules may bind. 0, which is root, for none: NAME is unset (NULL) or no
 * user of this machine.
 */
uid_t user_find_agent(const char *name);

/* The same as user_find() of a group. */
int user_find_group(const char *name, gid_t *ret_gid);

#endif
