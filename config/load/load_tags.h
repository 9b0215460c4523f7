/* The tags of a device, from the configuration file and from its tags_file. Part of the loader. */
#ifndef SALLYPORT_CONFIG_LOAD_LOAD_TAGS_H
#define SALLYPORT_CONFIG_LOAD_LOAD_TAGS_H

#include "config/load/loading.h"

/* The inline tags of device INDEX and those of its tags_file. Findings go to LOADING. */
void loading_read_tags(struct loading *loading, size_t index);

#endif
