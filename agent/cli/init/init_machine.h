/* Programs and services of this machine, as the arming needs them. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_MACHINE_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_MACHINE_H

#include "agent/base/strbuf.h"

#include <stdbool.h>

/* Runs a program of this machine; its exit status, or a negative errno. OUTPUT may be NULL. */
int init_run(const char *const *arguments, struct strbuf *output);

#define INIT_SYSTEMCTL "/usr/bin/systemctl"
#define INIT_NFT "/usr/sbin/nft"
bool init_has_systemd(void);
bool init_is_armed(void); /* whether the table `inet sallyport` is loaded */

#endif
