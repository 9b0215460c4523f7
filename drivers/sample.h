/*
 * A sample is the value of one tag from one poll: the only value that crosses threads. Samples
 * travel in batches, one batch for each poll of a device: a header slot and then the samples, in
 * slots of 16 bytes without pointers, so that a batch is copied as one block. A text takes the
 * slots that follow its sample.
 *
 * A batch belongs to one thread. The reading functions accept only what the writing ones made.
 */
#ifndef SALLYPORT_DRIVERS_SAMPLE_H
#define SALLYPORT_DRIVERS_SAMPLE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How good a value is; anything but QUALITY_GOOD goes out under "errors". */
enum quality {
    QUALITY_GOOD,
    QUALITY_TIMEOUT,      /* the unit did not answer in time */
    QUALITY_DISCONNECTED, /* no connection, or the serial device is gone */
    QUALITY_EXCEPTION,    /* the unit refused; the sample's code says why */
    QUALITY_BAD_REPLY,    /* what came was not an answer to what was asked */
    QUALITY_NO_MATCH,     /* the text did not match the tag's pattern */
    QUALITY_OUT_OF_RANGE, /* the value does not fit the tag's type */
    QUALITY_NOT_A_NUMBER, /* NaN, an infinity, or text where a number belongs */
    QUALITY_TRIPPED,      /* not asked: the unit's circuit breaker is open */
};

enum sample_kind {
    SAMPLE_NONE, /* no value: quality is not good */
    SAMPLE_BOOL,
    SAMPLE_I64,
    SAMPLE_U64,
    SAMPLE_F64,  /* finite */
    SAMPLE_TEXT, /* `length` bytes in the following slots, UTF-8, no NUL */
};

enum batch_kind {
    BATCH_DATA,  /* one poll of a device */
    BATCH_EVENT, /* a line or unit changed its state; `event` says how; no samples */
};

/* What a line reports of itself. */
enum line_event {
    LINE_EVENT_NONE,
    LINE_EVENT_DOWN,           /* connection or serial device lost, or not to be had */
    LINE_EVENT_UP,             /* connected (again) */
    LINE_EVENT_UNIT_TRIPPED,   /* the unit's circuit breaker opened */
    LINE_EVENT_UNIT_RECOVERED, /* it answers again */
};

union slot {
    struct {
        int64_t timestamp_ms; /* wall clock at the last reply of the poll, UTC since 1970 */
        uint32_t n_slots;     /* that follow this one */
        uint16_t owner;       /* number of the device, or of the line: see line_set_numbers() */
        uint8_t kind;         /* enum batch_kind */
        uint8_t event;        /* enum line_event */
    } header;
    struct {
        union {
            bool truth;
            int64_t i64;
            uint64_t u64;
            double f64;
        } value;
        uint16_t tag;    /* index into the device's tags */
        uint8_t kind;    /* enum sample_kind */
        uint8_t quality; /* enum quality */
        uint8_t code;    /* QUALITY_EXCEPTION: the Modbus exception code */
        uint8_t length;  /* SAMPLE_TEXT: bytes */
        uint16_t unused;
    } sample;
    char text[16];
};
static_assert(sizeof(union slot) == 16, "a slot is copied as 16 bytes");

#define SAMPLE_TEXT_MAX 255 /* bytes */

/* A batch being written; its memory belongs to its maker and never grows. */
struct batch {
    union slot *slots; /* slots[0] is the header */
    size_t capacity;   /* slots */
    size_t used;       /* slots, with the header */
};

/*
 * How many slots a batch needs for N_TAGS samples whose texts sum up to TEXT_BYTES; count twice
 * the bytes of a text that may be Latin-1.
 */
size_t batch_slots(size_t n_tags, size_t text_bytes);

/* Starts again: only a header, kind BATCH_DATA. */
void batch_begin(struct batch *batch, uint16_t device);

/* Each adds one sample; running out of the slots that batch_slots() named is a bug (asserted). */
void batch_put_bool(struct batch *batch, uint16_t tag, bool value);
void batch_put_i64(struct batch *batch, uint16_t tag, int64_t value);
void batch_put_u64(struct batch *batch, uint16_t tag, uint64_t value);
/* A value that is not finite becomes QUALITY_NOT_A_NUMBER. */
void batch_put_f64(struct batch *batch, uint16_t tag, double value);
/* Invalid UTF-8 is read as Latin-1 and converted; control characters end the text. */
void batch_put_text(struct batch *batch, uint16_t tag, const char *text, size_t length);
/* No value: QUALITY is anything but good; CODE matters for QUALITY_EXCEPTION only. */
void batch_put_bad(struct batch *batch, uint16_t tag, enum quality quality, uint8_t code);

/* Completes the header. Nothing may be put afterwards. */
void batch_end(struct batch *batch, int64_t timestamp_ms);

/* How many slots this sample takes: 1, more for a text. Walks a batch: at += sample_slots(at). */
size_t sample_slots(const union slot *sample);

/* The bytes of a text sample, sample->sample.length of them, not terminated. */
static inline const char *sample_text(const union slot *sample)
{
    return sample[1].text;
}

/* The quality as the payload names it: "timeout", "exception-2"; BUFFER holds at least 24. */
const char *quality_name(enum quality quality, uint8_t code, char *buffer);

#endif
