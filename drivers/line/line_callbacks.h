/* How a line reaches up. All are called by its worker thread, and must not block. */
#ifndef SALLYPORT_DRIVERS_LINE_LINE_CALLBACKS_H
#define SALLYPORT_DRIVERS_LINE_LINE_CALLBACKS_H

#include "drivers/driver.h"

struct line_callbacks {
    /* Takes a finished batch as a copy. Returns false when there is no room. */
    bool (*deliver)(void *context, const union slot *slots, size_t n_slots);
    void *context;
};

/* A request has ended; see line_request(). */
typedef void (*line_request_done)(void *context, enum outcome outcome,
                                  const struct driver_error *error);

#endif
