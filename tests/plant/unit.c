/* One simulated unit. */
#include "tests/plant/unit.h"

#include "agent/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void unit_init(struct unit *unit, uint8_t number)
{
    *unit = (struct unit){.number = number, .image = image_new(number)};
}

void unit_clear(struct unit *unit)
{
    unit->image = image_free(unit->image);
    free(unit->held);
    unit->held = NULL;
}

static void end_fault_when_used_up(struct fault *fault)
{
    if (fault->times > 0 && --fault->times == 0)
        fault->kind = NULL;
}

/* The fault "late": what was held goes out in place of the present answer, which is held. */
static void swap_with_held(struct unit *unit, struct answer *answer)
{
    struct answer *held = unit->held;
    unit->held = memory_zeroed(1, sizeof(*unit->held));
    *unit->held = *answer;
    unit->held->delivery = DELIVER;
    answer->delivery = held ? DELIVER : DELIVER_NOTHING;
    if (held) {
        memcpy(answer->bytes, held->bytes, held->length);
        answer->length = held->length;
    }
    free(held);
}

/* After the fault "late" the last reply is still owed: it comes before the first honest one. */
static void prepend_held(struct unit *unit, struct answer *answer)
{
    size_t owed = unit->held->length;
    if (answer->delivery == DELIVER && owed + answer->length <= ANSWER_MAX) {
        memmove(answer->bytes + owed, answer->bytes, answer->length);
        memcpy(answer->bytes, unit->held->bytes, owed);
        answer->length += owed;
    }
    free(unit->held);
    unit->held = NULL;
}

static void put_on_record(const struct unit *unit, const struct unit_world *world, int64_t now_ns,
                          const struct asked *asked, unsigned flags)
{
    record_add(world->record, &(struct record_row){.at_ns = now_ns,
                                                   .line = (uint16_t)world->line,
                                                   .unit = unit->number,
                                                   .function = asked->function,
                                                   .address = asked->address,
                                                   .count = asked->count,
                                                   .flags = flags});
}

void unit_answer(struct unit *unit, const struct unit_world *world, const struct frame *request,
                 bool early, int64_t now_ns, struct answer *ret_answer)
{
    struct frame reply = {.transaction = request->transaction, .unit = request->unit};
    struct asked asked = {request->pdu[0], 0, 0};
    unsigned flags = early ? RECORD_EARLY : 0;
    *ret_answer = (struct answer){.delivery = DELIVER_NOTHING};
    unit->count.requests++;
    unit->count.early += early;
    if (early && unit->strict) {
        unit->count.unheard++;
        put_on_record(unit, world, now_ns, &asked, flags | RECORD_UNHEARD);
        return;
    }
    reply.length = serve(unit->image, unit->limit, wall_us(), request->pdu, request->length,
                         reply.pdu, &asked);
    unit->count.writes += asked.function > 4;
    bool hit = fault_hits(&unit->fault, world->dice);
    if (hit)
        fault_bend(&unit->fault, &reply);
    ret_answer->delivery = DELIVER;
    ret_answer->length = world->wrap(&reply, ret_answer->bytes);
    if (hit) {
        fault_spoil(&unit->fault, ret_answer, world->dice);
        unit->count.faulty++;
        end_fault_when_used_up(&unit->fault);
    } else {
        unit->count.replies++;
        unit->count.exceptions += reply.pdu[0] >> 7;
    }
    if (ret_answer->delivery == DELIVER_WITH_NEXT)
        swap_with_held(unit, ret_answer);
    else if (unit->held)
        prepend_held(unit, ret_answer);
    put_on_record(unit, world, now_ns, &asked, flags | (hit ? RECORD_FAULTY : 0));
}

void unit_obey(struct unit *unit, const struct frame *request)
{
    uint8_t reply[PDU_MAX];
    struct asked asked;
    (void)serve(unit->image, unit->limit, wall_us(), request->pdu, request->length, reply, &asked);
    unit->count.requests++;
    unit->count.writes += asked.function > 4;
}
