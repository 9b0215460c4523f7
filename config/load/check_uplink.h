/* Cross checks of the keys of a session to a broker; see check.c for everything else. */
#ifndef SALLYPORT_CONFIG_LOAD_CHECK_UPLINK_H
#define SALLYPORT_CONFIG_LOAD_CHECK_UPLINK_H

#include "config/load/section.h"
#include "config/schema/config.h"

/*
 * Judges what was read with config_uplink_table from SECTION into PART, whose values are a struct
 * config_uplink: addresses, pairs, limits. Findings go where those of the section go. For the
 * group `uplink` of sallyport.conf, and for any other file with the same keys.
 */
void config_check_uplink(const struct section *section, const struct part *part);

#endif
