/* Loading sallyport.conf and conf.d. Any thread, one configuration at a time. */
#ifndef SALLYPORT_CONFIG_LOAD_LOAD_H
#define SALLYPORT_CONFIG_LOAD_LOAD_H

#include "config/schema/config.h"

/*
 * Reads PATH and, beside it, conf.d/ *.conf in name order (their `buses` and `devices` are
 * appended; they may contain nothing else). DRIVERS is NULL-terminated. All problems go to
 * FINDINGS. Returns 0 and the owned result when there was no error, else -EINVAL.
 */
int config_load(const char *path, const struct config_driver *const *drivers,
                struct findings *findings, struct config **ret_config);

#endif
