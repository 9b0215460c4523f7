/* How drivers word what is wrong with a tag. Main thread, while a configuration is checked. */
#ifndef SALLYPORT_DRIVERS_REFUSE_H
#define SALLYPORT_DRIVERS_REFUSE_H

#include "config/config.h"

/* Adds an error about KEY of TAG of DEVICE. FORMAT: what is wrong and what to do, one line. */
void refuse_tag(struct findings *findings, const struct config_device *device,
                const struct config_tag *tag, const char *key, const char *format, ...)
    PRINTF_LIKE(5, 6);

/* Refuses a scale or an offset for a type that is no number. */
void refuse_scaled_words(struct findings *findings, const struct config_device *device,
                         const struct config_tag *tag);

#endif
