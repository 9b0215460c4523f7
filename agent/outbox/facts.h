/*
 * What is kept beside the body of a message in custody, because a payload dialect needs it when
 * the message is sent. A value; no functions.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_FACTS_H
#define SALLYPORT_AGENT_OUTBOX_FACTS_H

#include <stdint.h>

/* The numbers are stored: append only. */
enum outbox_kind {
    OUTBOX_DATA = 0,  /* values of a device */
    OUTBOX_EVENT = 1, /* something happened */
    OUTBOX_KINDS
};

struct outbox_facts {
    enum outbox_kind kind;
    const char *owner;    /* the name of the device that it is about; "": of none */
    int64_t timestamp_ms; /* UTC: when it was read, or happened */
};

#endif
