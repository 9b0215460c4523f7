/* The first levels of all topics. Pure. Any thread. */
#ifndef SALLYPORT_CONFIG_LOAD_TOPIC_PREFIX_H
#define SALLYPORT_CONFIG_LOAD_TOPIC_PREFIX_H

#include "config/schema/value.h"

#define TOPIC_PREFIX_MAX_LEVELS 8
#define TOPIC_PREFIX_MAX_BYTES 128

/*
 * Accepts one to TOPIC_PREFIX_MAX_LEVELS levels of a topic with "/" between them, none of them
 * empty, without "+", "#" and control characters, and not beginning with "$" (MQTT 3.1.1, section
 * 4.7), of at most TOPIC_PREFIX_MAX_BYTES together. Returns 0, or -EINVAL with a sentence.
 */
int topic_prefix_check(const char *prefix, struct problem *ret_problem);

#endif
