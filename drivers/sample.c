/* Samples and batches: the one value type that crosses threads. */
#include "drivers/sample.h"

#include "agent/base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SLOT_BYTES sizeof(union slot)

static size_t text_slots(size_t length)
{
    return (length + SLOT_BYTES - 1) / SLOT_BYTES;
}

size_t batch_slots(size_t n_tags, size_t text_bytes)
{
    /* each text may leave its last slot partly empty */
    return 1 + 2 * n_tags + text_slots(text_bytes);
}

void batch_begin(struct batch *batch, uint16_t device)
{
    assert(batch->capacity > 0);
    memset(&batch->slots[0], 0, SLOT_BYTES);
    batch->slots[0].header.owner = device;
    batch->used = 1;
}

static union slot *sample_put(struct batch *batch, uint16_t tag, enum sample_kind kind)
{
    assert(batch->used > 0 && batch->used < batch->capacity);
    union slot *slot = &batch->slots[batch->used++];
    memset(slot, 0, SLOT_BYTES);
    slot->sample.tag = tag;
    slot->sample.kind = (uint8_t)kind;
    slot->sample.quality = QUALITY_GOOD;
    return slot;
}

void batch_put_bool(struct batch *batch, uint16_t tag, bool value)
{
    sample_put(batch, tag, SAMPLE_BOOL)->sample.value.truth = value;
}

void batch_put_i64(struct batch *batch, uint16_t tag, int64_t value)
{
    sample_put(batch, tag, SAMPLE_I64)->sample.value.i64 = value;
}

void batch_put_u64(struct batch *batch, uint16_t tag, uint64_t value)
{
    sample_put(batch, tag, SAMPLE_U64)->sample.value.u64 = value;
}

void batch_put_f64(struct batch *batch, uint16_t tag, double value)
{
    if (!isfinite(value)) {
        batch_put_bad(batch, tag, QUALITY_NOT_A_NUMBER, 0);
        return;
    }
    sample_put(batch, tag, SAMPLE_F64)->sample.value.f64 = value;
}

/* The size of the character at TEXT, 0 for a control character and for what is not UTF-8. */
static size_t character_size(const unsigned char *text, size_t length)
{
    return text[0] < 0x20 || text[0] == 0x7f ? 0 : utf8_size((const char *)text, length);
}

static bool sample_is_control(unsigned char byte)
{
    return byte < 0x20 || byte == 0x7f;
}

/* Bytes up to the first control character; *RET_UTF8 says whether they are well-formed UTF-8. */
static size_t printable_length(const unsigned char *text, size_t length, bool *ret_utf8)
{
    size_t end = 0;
    while (end < length && !sample_is_control(text[end]))
        end++;
    size_t at = 0;
    while (at < end) {
        size_t size = character_size(text + at, end - at);
        if (size == 0)
            break;
        at += size;
    }
    *ret_utf8 = at == end;
    return end;
}

/* Latin-1 to UTF-8, as far as SAMPLE_TEXT_MAX bytes reach. C1 controls become '?'. */
static size_t from_latin1(const unsigned char *text, size_t length, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < length && used + 2 <= SAMPLE_TEXT_MAX; i++) {
        if (text[i] < 0x80) {
            out[used++] = (char)text[i];
        } else if (text[i] < 0xa0) {
            out[used++] = '?';
        } else {
            out[used++] = (char)(0xc0 | (text[i] >> 6));
            out[used++] = (char)(0x80 | (text[i] & 0x3f));
        }
    }
    return used;
}

/* The longest prefix of well-formed UTF-8 that fits. */
static size_t cut_utf8(const unsigned char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t size = character_size(text + at, length - at);
        if (at + size > SAMPLE_TEXT_MAX)
            break;
        at += size;
    }
    return at;
}

void batch_put_text(struct batch *batch, uint16_t tag, const char *text, size_t length)
{
    char converted[SAMPLE_TEXT_MAX];
    const unsigned char *bytes = (const unsigned char *)text;
    bool utf8;
    length = printable_length(bytes, length, &utf8);
    if (utf8) {
        length = cut_utf8(bytes, length);
    } else {
        length = from_latin1(bytes, length, converted);
        text = converted;
    }
    union slot *slot = sample_put(batch, tag, SAMPLE_TEXT);
    size_t extra = text_slots(length);
    assert(batch->used + extra <= batch->capacity);
    slot->sample.length = (uint8_t)length;
    if (extra) {
        memset(&batch->slots[batch->used], 0, extra * SLOT_BYTES);
        memcpy(&batch->slots[batch->used], text, length);
    }
    batch->used += extra;
}

void batch_put_bad(struct batch *batch, uint16_t tag, enum quality quality, uint8_t code)
{
    assert(quality != QUALITY_GOOD);
    union slot *slot = sample_put(batch, tag, SAMPLE_NONE);
    slot->sample.quality = (uint8_t)quality;
    slot->sample.code = code;
}

void batch_end(struct batch *batch, int64_t timestamp_ms)
{
    batch->slots[0].header.timestamp_ms = timestamp_ms;
    batch->slots[0].header.n_slots = (uint32_t)(batch->used - 1);
}

size_t sample_slots(const union slot *sample)
{
    return 1 + (sample->sample.kind == SAMPLE_TEXT ? text_slots(sample->sample.length) : 0);
}

const char *quality_name(enum quality quality, uint8_t code, char *buffer)
{
    switch (quality) {
    case QUALITY_GOOD:
        return "good";
    case QUALITY_TIMEOUT:
        return "timeout";
    case QUALITY_DISCONNECTED:
        return "disconnected";
    case QUALITY_EXCEPTION:
        (void)snprintf(buffer, 24, "exception-%u", code);
        return buffer;
    case QUALITY_BAD_REPLY:
        return "bad-reply";
    case QUALITY_NO_MATCH:
        return "no-match";
    case QUALITY_OUT_OF_RANGE:
        return "out-of-range";
    case QUALITY_NOT_A_NUMBER:
        return "not-a-number";
    case QUALITY_TRIPPED:
        return "tripped";
    }
    return "unknown";
}
