/*
 * One simulated unit: its registers, its present fault, its counters. A line owns its units. It
 * hands each request that reaches the unit to unit_answer() and carries out the answer.
 */
#ifndef SALLYPORT_PLANT_UNIT_H
#define SALLYPORT_PLANT_UNIT_H

#include "tests/plant/fault.h"
#include "tests/plant/record.h"

struct unit {
    uint8_t number;
    bool strict;    /* RTU: deaf to a request that comes before 3.5 characters of silence */
    uint16_t limit; /* of values in one request; 0: as the standard says */
    struct image *image;
    struct fault fault;
    struct answer *held; /* by the fault "late" */
    struct {
        uint64_t requests;   /* that reached the unit, the early ones too */
        uint64_t replies;    /* sent as they should be */
        uint64_t exceptions; /* of these */
        uint64_t faulty;     /* requests that a fault hit */
        uint64_t early;      /* RTU: requests before 3.5 characters of silence */
        uint64_t unheard;    /* of these: a strict unit was deaf to them */
        uint64_t writes;
    } count;
};

/* Packs FRAME; returns the length (at most 513 bytes). */
typedef size_t wrap_function(const struct frame *frame, uint8_t *bytes);

struct unit_world {
    struct dice *dice;
    struct record *record;
    uint32_t line; /* the line's number in the record */
    wrap_function *wrap;
};

void unit_init(struct unit *unit, uint8_t number);
void unit_clear(struct unit *unit);

/*
 * Serves the request (its pdu has at least one byte) at NOW_NS, monotonic. EARLY: it came before
 * 3.5 characters of silence. Counts and records it and fills RET_ANSWER.
 */
void unit_answer(struct unit *unit, const struct unit_world *world, const struct frame *request,
                 bool early, int64_t now_ns, struct answer *ret_answer);

/* Executes a broadcast: no reply, no fault. */
void unit_obey(struct unit *unit, const struct frame *request);

#endif
