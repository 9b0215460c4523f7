/*
 * Report on change: which tags of a poll have to be sent. A tag goes out when it was never sent,
 * when its quality changed, when its value left the deadband around the value sent last, or when
 * its heartbeat is due. Devices with `report = "always"` send everything. Pure but for its
 * memory of what was sent; main loop only.
 */
#ifndef SALLYPORT_AGENT_FLOW_CHANGE_FILTER_H
#define SALLYPORT_AGENT_FLOW_CHANGE_FILTER_H

#include "config/schema/config.h"
#include "drivers/sample.h"

struct change_filter; /* opaque */

/* CONFIG must outlive the result. */
struct change_filter *change_filter_new(const struct config *config);
struct change_filter *
change_filter_free(struct change_filter *filter); /* accepts NULL, returns NULL */

/* As value_table_carry(): what OLD has sent of OLD_DEVICE counts as sent for DEVICE. */
void change_filter_carry(struct change_filter *filter, size_t device,
                         const struct change_filter *old, size_t old_device);

/*
 * Judges a batch of the device with the index DEVICE (SLOTS[0] is the header) at NOW_MS, monotonic
 * milliseconds. Returns a flag for each tag of the device, or NULL for "all of them"; valid until
 * the next call. *RET_ANY says whether anything is to be sent. What is picked counts as sent.
 */
const bool *change_filter_pick(struct change_filter *filter, size_t device, const union slot *slots,
                               size_t n_slots, int64_t now_ms, bool *ret_any);

#endif
