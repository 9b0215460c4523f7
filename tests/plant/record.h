/*
 * What the plant saw, request by request, kept in memory until it is asked for: writing it to a
 * disk during a measurement would disturb what is measured.
 */
#ifndef SALLYPORT_PLANT_RECORD_H
#define SALLYPORT_PLANT_RECORD_H

#include <stddef.h>
#include <stdint.h>

enum record_flag {
    RECORD_EARLY = 1,   /* before 3.5 characters of silence */
    RECORD_UNHEARD = 2, /* and the unit was deaf to it */
    RECORD_FAULTY = 4,  /* a fault hit it */
};

struct record_row {
    int64_t at_ns; /* CLOCK_MONOTONIC; RTU: when its last bit had come, as on the wire */
    uint16_t line;
    uint8_t unit, function;
    uint16_t address, count;
    unsigned flags; /* enum record_flag */
};

struct record; /* opaque */

struct record *record_new(size_t max_rows);
struct record *record_free(struct record *record);

/* Beyond the maximum, rows are dropped and counted. */
void record_add(struct record *record, const struct record_row *row);
void record_forget(struct record *record);
uint64_t record_dropped(const struct record *record);

/*
 * Writes PATH as CSV: at_ns,line,unit,function,address,count,flags. NAMES: of the lines, by
 * number. Returns how many rows, or a negative errno.
 */
int64_t record_dump(const struct record *record, const char *path, const char *const *names);

#endif
