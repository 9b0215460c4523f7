/*
 * What one tag of a register device means: where it is (address notations) and what its
 * registers say (type, order of bytes, bit, scaling). Pure: no I/O, no allocation; any thread.
 * A codec of our own because the library's helpers differ between its versions.
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_TAG_H
#define SALLYPORT_DRIVERS_MODBUS_TAG_H

#include "config/schema/config.h"
#include "drivers/sample.h"

/* How an address is written. */
enum tag_addressing {
    ADDRESSING_ZERO,    /* as on the wire, 0..65535 */
    ADDRESSING_ONE,     /* counts from 1, 1..65536 */
    ADDRESSING_MODICON, /* 40001 or 400001: the first digit names the table, the rest counts from 1
                         */
};
extern const char *const tag_addressing_names[]; /* NULL-terminated, same order */

/* The table as configured; TAG_TABLE_AUTO + 1 onwards are in the order of enum modbus_table. */
enum tag_table {
    TAG_TABLE_AUTO,
    TAG_TABLE_COIL,
    TAG_TABLE_DISCRETE,
    TAG_TABLE_INPUT,
    TAG_TABLE_HOLDING
};
extern const char *const tag_table_names[]; /* NULL-terminated, same order */

/*
 * The order of the bytes ABCD of a value on the wire. Bit 0: the words are reversed; bit 1: the
 * bytes of each word are swapped. In one register only the bytes can be swapped; in a text too,
 * its words are never reversed.
 */
enum tag_order { ORDER_ABCD, ORDER_CDAB, ORDER_BADC, ORDER_DCBA };
extern const char *const tag_order_names[]; /* NULL-terminated, same order */

/* Why tag_locate() refused. */
enum tag_place_problem {
    TAG_PLACE_FINE,
    TAG_PLACE_BELOW,         /* zero where counting begins at one, or negative */
    TAG_PLACE_BEYOND,        /* after the last address */
    TAG_PLACE_NOT_MODICON,   /* no table has numbers like this */
    TAG_PLACE_CONTRADICTION, /* the digit names another table than `table` does */
};

/*
 * Finds the table and the zero-based address. TABLE is TAG_TABLE_AUTO or what was configured;
 * automatic means the digit of a Modicon number, else holding registers. Modicon numbers are 1
 * to 9999 (coils), 10001 to 19999 or 100001 to 165536 (discrete inputs), and the same with 3
 * (input registers) and 4 (holding registers). Outputs are set for TAG_PLACE_FINE only.
 */
enum tag_place_problem tag_locate(enum tag_addressing addressing, enum tag_table table,
                                  int64_t address, uint8_t *ret_table, uint16_t *ret_address);

/* How to read the value of one tag. */
struct tag_codec {
    uint8_t type;   /* enum value_type */
    uint8_t order;  /* enum tag_order */
    int8_t bit;     /* 0..15: this bit of one register; -1: all of it */
    bool exact;     /* no scaling and no rounding: the value goes out as it is */
    uint16_t bytes; /* of values on the wire; text: the configured length, padding excluded */
    double scale, offset;
    double rounding; /* 10 to the power of the decimals; 0: not rounded */
};

/* Registers that a value of TYPE takes; TEXT_BYTES counts for strings only. At least 1. */
unsigned tag_registers(enum value_type type, int64_t text_bytes);

/* The codec of a checked tag that lies in registers. BIT is -1 or 0..15. */
struct tag_codec tag_codec_make(const struct config_tag *tag, enum tag_order order, int64_t bit);

/*
 * Puts the value of tag number TAG into BATCH: one sample. WIRE holds the tag's registers as they
 * came, high byte first. value = raw * scale + offset, rounded; a value without scaling keeps all
 * its digits. A result that is not finite becomes QUALITY_NOT_A_NUMBER. A text ends before the
 * blanks that pad it.
 */
void tag_decode(const struct tag_codec *codec, const uint8_t *wire, struct batch *batch,
                uint16_t tag);

#endif
