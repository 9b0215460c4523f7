/*
 * How a unit misbehaves. A fault works at up to two moments: it bends the reply before it is
 * framed (wrong unit, wrong function), or spoils the framed bytes and the way they are sent (short,
 * noise, late). One table row per fault; all framings and transports share them.
 */
#ifndef SALLYPORT_PLANT_FAULT_H
#define SALLYPORT_PLANT_FAULT_H

#include "agent/base/strbuf.h"
#include "tests/plant/serve.h"

/* One PDU with what its transport puts around it. */
struct frame {
    uint16_t transaction; /* TCP only */
    uint8_t unit;
    size_t length;
    uint8_t pdu[PDU_MAX];
};

enum delivery {
    DELIVER,
    DELIVER_NOTHING,
    DELIVER_WITH_NEXT, /* kept, and sent in place of the next reply */
    DELIVER_RESET,     /* TCP: the connection is reset instead */
    DELIVER_CLOSE,     /* TCP: it is closed in good order instead */
};

#define ANSWER_MAX 1024

/* The bytes that answer one request, and how they travel. */
struct answer {
    enum delivery delivery;
    int64_t delay_ns; /* before the first byte */
    size_t split_at;  /* a pause comes after this many bytes; 0: none */
    int64_t pause_ns;
    size_t length;
    uint8_t bytes[ANSWER_MAX];
};

/* A small generator of its own, so that a run can be repeated. */
struct dice {
    uint64_t state; /* not 0 */
};
uint32_t dice_roll(struct dice *dice);

struct fault_kind; /* opaque: a row of the table */

struct fault {
    const struct fault_kind *kind; /* NULL: none */
    uint32_t arguments[2];
    uint32_t times;   /* how many requests it still hits; 0: all */
    uint32_t percent; /* of the requests that it hits */
};

/*
 * Parses "KIND [NUMBER...] [times N] [percent P]". Returns 0, or -EINVAL with the reason appended
 * to PROBLEM.
 */
int fault_parse(char *const *words, size_t n_words, struct fault *ret_fault,
                struct strbuf *problem);

/* Whether the fault hits this request; counts down `times`. */
bool fault_hits(struct fault *fault, struct dice *dice);

void fault_bend(const struct fault *fault, struct frame *frame);
void fault_spoil(const struct fault *fault, struct answer *answer, struct dice *dice);

/* Appends one line per fault: its name, its arguments, what it does. */
void fault_help(struct strbuf *out);

#endif
