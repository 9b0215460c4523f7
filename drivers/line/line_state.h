/* How a line and a device on it are doing, as the breaker, the line and the status say it. */
#ifndef SALLYPORT_DRIVERS_LINE_LINE_STATE_H
#define SALLYPORT_DRIVERS_LINE_LINE_STATE_H

enum line_state {
    LINE_CONNECTING, /* not connected yet since the start */
    LINE_UP,
    LINE_DOWN, /* lost or refused; trying again with back-off */
};

enum device_state {
    UNIT_UNKNOWN, /* never asked */
    UNIT_OK,
    UNIT_FAILING, /* failed, but fewer times in a row than trip the breaker */
    UNIT_TRIPPED, /* not asked, but for probes */
};

#endif
