/* Everything about a configuration that takes more than one key to judge. Part of the loader. */
#ifndef SALLYPORT_CONFIG_LOAD_CHECK_H
#define SALLYPORT_CONFIG_LOAD_CHECK_H

#include "config/load/loading.h"

/* Checks what was read; findings go to LOADING. May change the order of a device's tags. */
void loading_check(struct loading *loading);

#endif
