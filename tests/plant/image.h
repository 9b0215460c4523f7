/*
 * The registers of one simulated unit. Where nothing else was said, a value follows from its
 * place, so that an observer can compute what any address of any unit must hold and a value that
 * came from another unit, table or address shows:
 *
 *   register = (address * 257 + unit * 4099 + table * 17) mod 65536
 *   bit      = bit 3 of that
 *
 * with table 0 coils, 1 discrete inputs, 2 input registers, 3 holding registers. On top lie what
 * was written, ranges that do not exist, and registers that carry the time or the poll's number.
 */
#ifndef SALLYPORT_PLANT_IMAGE_H
#define SALLYPORT_PLANT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_STEP_ADDRESS 257U
#define IMAGE_STEP_UNIT 4099U
#define IMAGE_STEP_TABLE 17U

enum table { TABLE_COIL, TABLE_DISCRETE, TABLE_INPUT, TABLE_HOLDING };
#define N_TABLES 4

/* The table called NAME ("coil", "discrete", "input", "holding"), or -1. */
int image_table(const char *name);

enum special_kind {
    SPECIAL_TIME,  /* 4 registers: CLOCK_REALTIME at the read, microseconds, high word first */
    SPECIAL_POLLS, /* 2 registers: how many reads have covered the first one, high word first */
};

struct image; /* opaque; one owner */

struct image *image_new(uint8_t unit);
struct image *image_free(struct image *image); /* accepts NULL, returns NULL */

/* 0, or -ENOSPC when the unit has eight of them already. */
int image_add_special(struct image *image, enum special_kind kind, enum table table,
                      uint16_t address);

/* Requests that touch FIRST..LAST are answered with exception 2. 0, or -ENOSPC. */
int image_add_hole(struct image *image, enum table table, uint16_t first, uint16_t last);

bool image_has_hole(const struct image *image, enum table table, uint16_t first, uint16_t count);

/* One poll: COUNT values from FIRST on; the caller has checked that they exist. */
void image_read(struct image *image, enum table table, uint16_t first, uint16_t count,
                int64_t wall_us, uint16_t *ret_values);

/* Looks without counting as a poll; time and poll registers show what lies under them. */
uint16_t image_peek(const struct image *image, enum table table, uint16_t address);

void image_write(struct image *image, enum table table, uint16_t address, uint16_t value);

#endif
