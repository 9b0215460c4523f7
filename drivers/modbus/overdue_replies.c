/* Which units of a shared wire still owe a reply. Pure. */
#include "drivers/modbus/overdue_replies.h"

#include "agent/base/clock.h"
#include "agent/base/macros.h"
#include "agent/base/min_max.h"

#include <string.h>

#define WORST_MAX_NS (60 * CLOCK_NS_PER_S) /* no unit holds up its line for longer */

void overdue_replies_init(struct overdue_replies *late, const struct framing *framing,
                          int64_t timeout_ns)
{
    memset(late, 0, sizeof(*late));
    late->framing = framing;
    late->timeout_ns = timeout_ns;
}

static void replies_settle(struct overdue_replies *late, struct overdue_unit *unit)
{
    late->n_owing -= unit->owes ? 1 : 0;
    unit->owes = false;
}

void overdue_replies_owe(struct overdue_replies *late, const struct modbus_request *request,
                         int64_t sent_ns)
{
    struct overdue_unit *unit = &late->units[request->unit];
    late->n_owing += unit->owes ? 0 : 1;
    unit->owes = true;
    unit->request = *request;
    unit->value = modbus_request_is_write(request) ? request->values[0] : 0;
    unit->request.values = &unit->value;
    unit->sent_ns = sent_ns;
}

int64_t overdue_replies_until(const struct overdue_replies *late,
                              const struct modbus_request *request)
{
    const struct overdue_unit *unit = &late->units[request->unit];
    if (!unit->owes || unit->request.function != request->function)
        return 0;
    return unit->sent_ns + max_i64(unit->worst_ns + unit->worst_ns / 4, 2 * late->timeout_ns);
}

int64_t overdue_replies_worst(const struct overdue_replies *late,
                              const struct modbus_request *request)
{
    return late->units[request->unit].worst_ns;
}

void overdue_replies_forget(struct overdue_replies *late, const struct modbus_request *request)
{
    struct overdue_unit *unit = &late->units[request->unit];
    if (unit->owes && unit->request.function == request->function)
        replies_settle(late, unit);
}

static void notice_one(struct overdue_replies *late, struct overdue_unit *unit,
                       const uint8_t *bytes, size_t length, int64_t now_ns)
{
    struct pdu_reply ignored;
    size_t end;
    enum verdict verdict =
        framing_find(late->framing, &unit->request, 0, bytes, length, &end, &ignored);
    if (verdict != VERDICT_GOOD && verdict != VERDICT_EXCEPTION)
        return;
    unit->worst_ns = max_i64(unit->worst_ns, min_i64(now_ns - unit->sent_ns, WORST_MAX_NS));
    replies_settle(late, unit);
}

void overdue_replies_notice(struct overdue_replies *late, const uint8_t *bytes, size_t length,
                            int64_t now_ns)
{
    for (size_t i = 0; i < ARRAY_LENGTH(late->units) && late->n_owing > 0; i++) {
        if (late->units[i].owes)
            notice_one(late, &late->units[i], bytes, length, now_ns);
    }
}
