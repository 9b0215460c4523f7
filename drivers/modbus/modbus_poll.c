/* One poll of one Modbus unit: plan, read, isolate what the unit refuses. */
#include "drivers/modbus/modbus_poll.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "drivers/modbus/modbus_options.h"
#include "drivers/modbus/read_plan.h"
#include "drivers/modbus/tag.h"

#include <stdlib.h>

#define EXTRA_REQUESTS 24 /* of one poll, to find guilty tags; halving 2000 bits takes 22 */
#define RETRIES 2         /* of one poll, of tags left out */
#define BAD_IN_ROW 2      /* after so many bad replies the unit is not asked further */
#define RETRY_FIRST_S 10
#define RETRY_MOST_S 300
#define PROBE_S 10 /* how often a unit that refuses everything is asked for something */

#define ILLEGAL_ADDRESS 2 /* exception codes (section 7) */
#define ILLEGAL_VALUE 3   /* of a read: too many at once, to some units */
#define GATEWAY_NO_PATH 10
#define GATEWAY_NO_ANSWER 11

/* What belongs to the item of the same index. */
struct point {
    struct tag_codec codec;
    bool wall;         /* must not be read together with the one before */
    uint8_t exception; /* why it is left out; 0: it is not */
    int64_t retry_s;   /* how long it is left out */
    int64_t retry_ns;  /* when it is tried again */
};

struct modbus_poll {
    uint8_t unit;
    struct read_plan_limits limits;
    size_t n_items, n_blocks;
    struct read_plan_item *items; /* sorted */
    struct point *points;
    struct read_plan_block *blocks; /* room for n_items */
    bool stale;                     /* points changed: plan again before the next read */
    int64_t probe_ns;               /* everything is refused: not asked before */
};

/* One call of modbus_poll_read(). */
struct modbus_poll_run {
    struct modbus_poll *poll;
    modbus_exchange exchange;
    void *line;
    int64_t now_ns;
    struct batch *batch;
    struct driver_error *error;
    unsigned extra, retries, bad_in_row;
    enum outcome outcome;
    bool ended; /* the unit is not asked further; the other tags get `quality` and `code` */
    enum quality quality;
    uint8_t code;
    bool all_out;                        /* every tag is left out */
    const struct read_plan_block *probe; /* one that is tried all the same, so that the unit is
                                            asked; NULL: none */
};

static void plan_again(struct modbus_poll *poll)
{
    for (size_t i = 0; i < poll->n_items; i++) {
        const struct point *points = poll->points;
        poll->items[i].apart =
            points[i].wall || points[i].exception || (i > 0 && points[i - 1].exception);
    }
    poll->n_blocks = read_plan_make(poll->items, poll->n_items, &poll->limits, poll->blocks);
    poll->stale = false;
}

struct modbus_poll *modbus_poll_new(const struct config_device *device, const uint16_t *tags,
                                    size_t n_tags)
{
    const struct modbus_device *options = device->options;
    struct modbus_poll *poll = memory_zeroed(1, sizeof(*poll));
    poll->unit = (uint8_t)options->unit;
    poll->limits = modbus_limits(options);
    poll->n_items = n_tags;
    poll->items = memory_zeroed(n_tags, sizeof(*poll->items));
    poll->points = memory_zeroed(n_tags, sizeof(*poll->points));
    poll->blocks = memory_zeroed(n_tags, sizeof(*poll->blocks));
    for (size_t i = 0; i < n_tags; i++)
        poll->items[i] = modbus_item(options, &device->tags[tags[i]], tags[i]);
    read_plan_sort(poll->items, n_tags);
    for (size_t i = 0; i < n_tags; i++) {
        const struct config_tag *tag = &device->tags[poll->items[i].tag];
        const struct modbus_tag *where = tag->options;
        poll->points[i].codec = tag_codec_make(tag, (enum tag_order)where->order, where->bit);
    }
    plan_again(poll);
    return poll;
}

struct modbus_poll *modbus_poll_free(struct modbus_poll *poll)
{
    if (!poll)
        return NULL;
    free(poll->items);
    free(poll->points);
    free(poll->blocks);
    free(poll);
    return NULL;
}

static struct modbus_request request_for(const struct modbus_poll *poll,
                                         const struct read_plan_block *block)
{
    return modbus_read_request(poll->unit, (enum modbus_table)block->table, block->address,
                               block->count);
}

bool modbus_poll_request(const struct modbus_poll *poll, size_t i,
                         struct modbus_request *ret_request)
{
    if (i >= poll->n_blocks)
        return false;
    *ret_request = request_for(poll, &poll->blocks[i]);
    return true;
}

static void put_bad(struct modbus_poll_run *run, size_t first, size_t n_items, enum quality quality,
                    uint8_t code)
{
    for (size_t i = first; i < first + n_items; i++)
        batch_put_bad(run->batch, run->poll->items[i].tag, quality, code);
}

static void put_values(struct modbus_poll_run *run, const struct read_plan_block *block,
                       const uint8_t *data)
{
    bool bits = modbus_table_is_bits(block->table);
    for (size_t i = block->first; i < block->first + block->n_items; i++) {
        const struct read_plan_item *item = &run->poll->items[i];
        size_t at = (size_t)(item->address - block->address);
        if (bits)
            batch_put_bool(run->batch, item->tag, data[at / 8] >> (at % 8) & 1);
        else
            tag_decode(&run->poll->points[i].codec, data + 2 * at, run->batch, item->tag);
    }
}

/* The exchange failed: notes how the poll ends, and whether it ends here. */
static enum quality modbus_poll_note_failure(struct modbus_poll_run *run, enum outcome outcome)
{
    run->outcome = outcome;
    run->ended = true;
    switch (outcome) {
    case OUTCOME_TIMEOUT:
        run->quality = QUALITY_TIMEOUT;
        break;
    case OUTCOME_BAD_REPLY:
        run->ended = ++run->bad_in_row >= BAD_IN_ROW;
        run->quality = QUALITY_BAD_REPLY;
        break;
    case OUTCOME_OK:
    case OUTCOME_DISCONNECTED:
    case OUTCOME_UNSUPPORTED:
        run->quality = QUALITY_DISCONNECTED;
        break;
    }
    return run->quality;
}

/* The unit refused this tag alone. */
static void leave_out(struct modbus_poll_run *run, struct point *point, uint8_t exception)
{
    int64_t next_s = point->exception ? 2 * point->retry_s : RETRY_FIRST_S;
    point->retry_s = min_i64(next_s, RETRY_MOST_S);
    point->retry_ns = run->now_ns + point->retry_s * CLOCK_NS_PER_S;
    point->exception = exception;
    run->poll->stale = true;
}

/* A tag that was left out is back; what made the others fail may be over too. */
static void modbus_poll_take_back(struct modbus_poll_run *run, struct point *point)
{
    point->exception = 0;
    for (size_t i = 0; i < run->poll->n_items; i++)
        run->poll->points[i].retry_ns = run->now_ns;
    run->poll->stale = true;
}

/* One request for BLOCK. Returns whether the unit answered; its tags have no samples yet. */
static bool modbus_poll_ask(struct modbus_poll_run *run, const struct read_plan_block *block,
                            struct pdu_reply *ret_reply)
{
    struct modbus_request request = request_for(run->poll, block);
    struct driver_error said = {""};
    enum outcome outcome = run->exchange(run->line, &request, ret_reply, &said);
    if (said.text[0] && (outcome != OUTCOME_OK || run->outcome == OUTCOME_OK))
        *run->error = said;
    if (outcome == OUTCOME_OK) {
        run->bad_in_row = 0;
        return true;
    }
    put_bad(run, block->first, block->n_items, modbus_poll_note_failure(run, outcome), 0);
    return false;
}

/* A gateway answered in place of a unit that is silent: the other requests would fare the same. */
static void note_gateway(struct modbus_poll_run *run, uint8_t exception)
{
    driver_explain(run->error, "the gateway gets no answer from unit %u (exception %u)",
                   run->poll->unit, exception);
    run->outcome = OUTCOME_TIMEOUT;
    run->ended = true;
    run->quality = QUALITY_EXCEPTION;
    run->code = exception;
}

/*
 * Reads a range of items with one request, or with several when the unit refuses one. Puts one
 * sample for each item. REFUSED is 0, or the exception that the range of which this is a half got.
 * Returns whether the items were read at the first attempt.
 */
static bool read_items(struct modbus_poll_run *run, size_t first, size_t n_items, uint8_t refused)
{
    if (run->ended) {
        put_bad(run, first, n_items, run->quality, run->code);
        return false;
    }
    if (refused && run->extra == 0) { /* the next poll goes on from what was found so far */
        put_bad(run, first, n_items, QUALITY_EXCEPTION, refused);
        return false;
    }
    run->extra -= refused ? 1 : 0;
    struct read_plan_block block = read_plan_cover(run->poll->items, first, n_items);
    struct point *point = &run->poll->points[first];
    struct pdu_reply reply = {.exception = 0};
    if (!modbus_poll_ask(run, &block, &reply))
        return false;
    if (!reply.exception) {
        put_values(run, &block, reply.data);
        if (point->exception)
            modbus_poll_take_back(run, point);
        return true;
    }
    bool about_address = reply.exception == ILLEGAL_ADDRESS || reply.exception == ILLEGAL_VALUE;
    if (about_address && n_items > 1) {
        size_t half = n_items / 2;
        bool left = read_items(run, first, half, reply.exception);
        bool right = read_items(run, first + half, n_items - half, reply.exception);
        if (left && right) { /* it is the gap between them, or the number read at once */
            point[half].wall = true;
            run->poll->stale = true;
        }
        return false;
    }
    if (reply.exception == GATEWAY_NO_PATH || reply.exception == GATEWAY_NO_ANSWER)
        note_gateway(run, reply.exception);
    else if (about_address || point->exception)
        leave_out(run, point, reply.exception);
    put_bad(run, first, n_items, QUALITY_EXCEPTION, reply.exception);
    return false;
}

static void read_block(struct modbus_poll_run *run, const struct read_plan_block *block)
{
    const struct point *point = &run->poll->points[block->first];
    if (point->exception && !run->ended && block != run->probe) {
        if (run->all_out || run->now_ns < point->retry_ns || run->retries == 0) {
            put_bad(run, block->first, block->n_items, QUALITY_EXCEPTION, point->exception);
            return;
        }
        run->retries--;
    }
    (void)read_items(run, block->first, block->n_items, 0);
}

/*
 * When every tag is left out, chooses the one that is tried: whose turn it is by the times at which
 * they would be tried one by one. None when the unit was asked lately, and answered.
 */
static void choose_probe(struct modbus_poll_run *run, bool must_ask)
{
    struct modbus_poll *poll = run->poll;
    const struct read_plan_block *next = NULL;
    run->all_out = true;
    for (size_t i = 0; i < poll->n_blocks; i++) {
        const struct read_plan_block *block = &poll->blocks[i];
        run->all_out &= poll->points[block->first].exception != 0;
        if (!next || poll->points[block->first].retry_ns < poll->points[next->first].retry_ns)
            next = block;
    }
    if (run->all_out && !must_ask && run->now_ns < poll->probe_ns)
        return;
    run->probe = run->all_out ? next : NULL;
    poll->probe_ns = run->now_ns + PROBE_S * CLOCK_NS_PER_S;
}

enum outcome modbus_poll_read(struct modbus_poll *poll, modbus_exchange exchange, void *line,
                              const struct modbus_poll_wish *wish, struct batch *batch,
                              struct driver_error *error)
{
    if (poll->stale)
        plan_again(poll);
    struct modbus_poll_run run = {.poll = poll,
                                  .exchange = exchange,
                                  .line = line,
                                  .now_ns = wish->now_ns,
                                  .batch = batch,
                                  .error = error,
                                  .extra = EXTRA_REQUESTS,
                                  .retries = RETRIES,
                                  .outcome = OUTCOME_OK};
    choose_probe(&run, wish->must_ask);
    for (size_t i = 0; i < poll->n_blocks; i++)
        read_block(&run, &poll->blocks[i]);
    return run.outcome;
}

enum outcome modbus_request_once(modbus_exchange exchange, void *line, struct modbus_call *call,
                                 struct driver_error *error)
{
    const struct modbus_request *request = &call->request;
    if (!modbus_request_is_valid(request)) {
        driver_explain(error, "ask for 1 to %u values that end at address 65535 or before",
                       modbus_request_most(request->function));
        return OUTCOME_UNSUPPORTED;
    }
    struct pdu_reply got = {.exception = 0};
    enum outcome outcome = exchange(line, request, &got, error);
    if (outcome != OUTCOME_OK)
        return outcome;
    call->reply.exception = got.exception;
    if (got.exception || modbus_request_is_write(request))
        return OUTCOME_OK;
    for (size_t i = 0; i < request->count; i++)
        call->reply.values[i] = pdu_value(request, got.data, i);
    return OUTCOME_OK;
}
