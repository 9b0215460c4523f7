/* How a unit misbehaves: the table of the faults. */
#include "tests/plant/fault.h"

#include "agent/base/clock.h"
#include "tests/plant/words.h"

#include <errno.h>
#include <string.h>

struct fault_kind {
    const char *name, *help;
    size_t n_arguments;
    uint32_t defaults[2];
    void (*bend)(struct frame *frame, const uint32_t *arguments);
    void (*spoil)(struct answer *answer, const uint32_t *arguments, struct dice *dice);
};

uint32_t dice_roll(struct dice *dice)
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return (uint32_t)(dice->state >> 32);
}

/*
 * A reply that belongs elsewhere carries what is true there, so that whoever takes it takes wrong
 * values: registers move by what the place adds to them (see image.h), bits are inverted.
 */
static void move_content(struct frame *frame, uint32_t by)
{
    for (size_t i = 2; frame->pdu[0] <= 2 && i < frame->length; i++)
        frame->pdu[i] = (uint8_t)~frame->pdu[i];
    for (size_t i = 2; frame->pdu[0] > 2 && frame->pdu[0] <= 4 && i + 1 < frame->length; i += 2) {
        uint32_t value = (uint32_t)(frame->pdu[i] << 8 | frame->pdu[i + 1]) + by;
        frame->pdu[i] = (uint8_t)(value >> 8);
        frame->pdu[i + 1] = (uint8_t)value;
    }
}

static void bend_unit(struct frame *frame, const uint32_t *arguments)
{
    frame->unit = (uint8_t)(frame->unit + arguments[0]);
    move_content(frame, arguments[0] * IMAGE_STEP_UNIT);
}

/* 3 and 4 change places, as do 1 and 2, so that the rest of the reply fits. */
static void bend_function(struct frame *frame, const uint32_t *arguments)
{
    static const uint8_t others[] = {[1] = 2, [2] = 1, [3] = 4, [4] = 3};
    uint8_t function = frame->pdu[0];
    (void)arguments;
    move_content(frame, function == 3 ? -IMAGE_STEP_TABLE : IMAGE_STEP_TABLE);
    frame->pdu[0] = function < sizeof(others) && function > 0 ? others[function] : function ^ 1;
}

static void bend_transaction(struct frame *frame, const uint32_t *arguments)
{
    frame->transaction = (uint16_t)(frame->transaction + arguments[0]);
    move_content(frame, arguments[0] * IMAGE_STEP_ADDRESS);
}

static void bend_exception(struct frame *frame, const uint32_t *arguments)
{
    frame->length = serve_exception(frame->pdu[0], (uint8_t)arguments[0], frame->pdu);
}

/* A whole and well-framed reply that carries one register less than was asked for. */
static void bend_count(struct frame *frame, const uint32_t *arguments)
{
    (void)arguments;
    size_t step = frame->pdu[0] <= 2 ? 1 : 2;
    if (frame->pdu[0] > 4 || frame->length < 2 + 2 * step)
        return;
    frame->length -= step;
    frame->pdu[1] = (uint8_t)(frame->pdu[1] - step);
}

static void spoil_silence(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    (void)arguments, (void)dice;
    answer->delivery = DELIVER_NOTHING;
}

static void spoil_delay(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    (void)dice;
    answer->delay_ns = arguments[0] * CLOCK_NS_PER_MS;
}

static void spoil_late(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    (void)arguments, (void)dice;
    answer->delivery = DELIVER_WITH_NEXT;
}

static void spoil_reset(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    (void)arguments, (void)dice;
    answer->delivery = DELIVER_RESET;
}

static void spoil_close(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    (void)arguments, (void)dice;
    answer->delivery = DELIVER_CLOSE;
}

static void spoil_short(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    (void)dice;
    size_t kept = arguments[0] ? arguments[0] : answer->length / 2;
    if (kept < answer->length)
        answer->length = kept;
}

static void spoil_split(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    (void)dice;
    answer->split_at = arguments[0] < answer->length ? arguments[0] : answer->length / 2;
    answer->pause_ns = arguments[1] * CLOCK_NS_PER_MS;
}

static void spoil_checksum(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    (void)arguments, (void)dice;
    answer->bytes[answer->length - 1] ^= 0x55; /* on TCP: the last byte of the data */
}

static size_t noise_length(const struct answer *answer, uint32_t wanted)
{
    size_t room = ANSWER_MAX - answer->length;
    return wanted < room ? wanted : room;
}

static void fill(uint8_t *bytes, size_t length, struct dice *dice)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)dice_roll(dice);
}

static void spoil_before(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    size_t length = noise_length(answer, arguments[0]);
    memmove(answer->bytes + length, answer->bytes, answer->length);
    fill(answer->bytes, length, dice);
    answer->length += length;
}

static void spoil_after(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    size_t length = noise_length(answer, arguments[0]);
    fill(answer->bytes + answer->length, length, dice);
    answer->length += length;
}

static void spoil_instead(struct answer *answer, const uint32_t *arguments, struct dice *dice)
{
    answer->length = 0;
    spoil_after(answer, arguments, dice);
}

static const struct fault_kind kinds[] = {
    {"silence", "no reply", 0, {0}, NULL, spoil_silence},
    {"delay", "MS: the reply starts so much later", 1, {500}, NULL, spoil_delay},
    {"late", "each request gets the reply of the one before", 0, {0}, NULL, spoil_late},
    {"wrong-unit", "[BY]: the reply of another unit", 1, {1}, bend_unit, NULL},
    {"wrong-function", "the reply to another function", 0, {0}, bend_function, NULL},
    {"wrong-transaction", "[BY]: ... to another transaction (TCP)", 1, {1}, bend_transaction, NULL},
    {"wrong-count", "the reply carries one value less", 0, {0}, bend_count, NULL},
    {"wrong-checksum", "the last byte is damaged", 0, {0}, NULL, spoil_checksum},
    {"exception", "[CODE]", 1, {4}, bend_exception, NULL},
    {"short", "[BYTES]: the rest never comes; default half", 1, {0}, NULL, spoil_short},
    {"split", "[AT [MS]]: a pause inside the reply", 2, {3, 5}, NULL, spoil_split},
    {"noise-before", "[BYTES]", 1, {7}, NULL, spoil_before},
    {"noise-after", "[BYTES]", 1, {7}, NULL, spoil_after},
    {"noise-instead", "[BYTES]", 1, {20}, NULL, spoil_instead},
    {"reset", "the connection is reset (TCP)", 0, {0}, NULL, spoil_reset},
    {"close", "the connection is closed (TCP)", 0, {0}, NULL, spoil_close},
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct fault_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static int parse_option(char *const *words, size_t n_words, struct fault *fault)
{
    uint64_t value;
    if (n_words < 2)
        return -EINVAL;
    if (strcmp(words[0], "times") == 0 && word_number(words[1], 1, UINT32_MAX, &value) == 0)
        fault->times = (uint32_t)value;
    else if (strcmp(words[0], "percent") == 0 && word_number(words[1], 1, 100, &value) == 0)
        fault->percent = (uint32_t)value;
    else
        return -EINVAL;
    return 0;
}

int fault_parse(char *const *words, size_t n_words, struct fault *ret_fault, struct strbuf *problem)
{
    struct fault fault = {.kind = NULL, .times = 0, .percent = 100};
    if (n_words == 1 && strcmp(words[0], "none") == 0) {
        *ret_fault = fault;
        return 0;
    }
    fault.kind = n_words > 0 ? find_kind(words[0]) : NULL;
    if (!fault.kind) {
        strbuf_addf(problem, "no such fault: %s", n_words > 0 ? words[0] : "(nothing)");
        return -EINVAL;
    }
    memcpy(fault.arguments, fault.kind->defaults, sizeof(fault.arguments));
    size_t at = 1;
    uint64_t value;
    for (size_t i = 0; i < fault.kind->n_arguments && at < n_words; i++, at++) {
        if (word_number(words[at], 0, UINT32_MAX, &value) != 0)
            break;
        fault.arguments[i] = (uint32_t)value;
    }
    for (; at < n_words; at += 2) {
        if (parse_option(words + at, n_words - at, &fault) != 0) {
            strbuf_addf(problem, "fault %s: what is \"%s\"?", fault.kind->name, words[at]);
            return -EINVAL;
        }
    }
    *ret_fault = fault;
    return 0;
}

bool fault_hits(struct fault *fault, struct dice *dice)
{
    return fault->kind && (fault->percent >= 100 || dice_roll(dice) % 100 < fault->percent);
}

void fault_bend(const struct fault *fault, struct frame *frame)
{
    if (fault->kind->bend)
        fault->kind->bend(frame, fault->arguments);
}

void fault_spoil(const struct fault *fault, struct answer *answer, struct dice *dice)
{
    if (fault->kind->spoil)
        fault->kind->spoil(answer, fault->arguments, dice);
}

void fault_help(struct strbuf *out)
{
    for (size_t i = 0; i < N_KINDS; i++)
        strbuf_addf(out, "  %-18s %s\n", kinds[i].name, kinds[i].help);
}
