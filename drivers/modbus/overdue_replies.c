/* Which units of a serial line still owe a reply. Pure. */
#include "drivers/modbus/overdue_replies.h"

#include "agent/base/clock.h"
#include "drivers/modbus/modbus_pdu.h"

#include <string.h>

#define WORST_MAX_NS (60 * CLOCK_NS_PER_S) /* no unit holds up its line for longer */

void overdue_replies_init(struct overdue_replies *late, int64_t timeout_ns)
{
    memset(late, 0, sizeof(*late));
    late->timeout_ns = timeout_ns;
}

static void settle(struct overdue_replies *late, struct overdue_replies_unit *unit)
{
    late->n_owing -= unit->owes ? 1 : 0;
    unit->owes = false;
}

void overdue_replies_owe(struct overdue_replies *late, const struct driver_request *request,
                         int64_t sent_ns)
{
    struct overdue_replies_unit *unit = &late->units[request->unit];
    late->n_owing += unit->owes ? 0 : 1;
    unit->owes = true;
    unit->request = *request;
    unit->sent_ns = sent_ns;
}

int64_t overdue_replies_until(const struct overdue_replies *late,
                              const struct driver_request *request)
{
    const struct overdue_replies_unit *unit = &late->units[request->unit];
    if (!unit->owes || unit->request.table != request->table)
        return 0;
    int64_t window = 2 * late->timeout_ns;
    int64_t seen = unit->worst_ns + unit->worst_ns / 4;
    return unit->sent_ns + (seen > window ? seen : window);
}

void overdue_replies_forget(struct overdue_replies *late, const struct driver_request *request)
{
    struct overdue_replies_unit *unit = &late->units[request->unit];
    if (unit->owes && unit->request.table == request->table)
        settle(late, unit);
}

void overdue_replies_notice(struct overdue_replies *late, const uint8_t *bytes, size_t length,
                            int64_t now_ns)
{
    for (size_t at = 0; at < length && late->n_owing > 0; at++) {
        struct overdue_replies_unit *unit = &late->units[bytes[at]];
        struct pdu_reply ignored;
        if (!unit->owes)
            continue;
        enum verdict verdict = rtu_check(&unit->request, bytes + at, length - at, &ignored);
        if (verdict != VERDICT_GOOD && verdict != VERDICT_EXCEPTION)
            continue;
        int64_t took = now_ns - unit->sent_ns;
        took = took < WORST_MAX_NS ? took : WORST_MAX_NS;
        unit->worst_ns = took > unit->worst_ns ? took : unit->worst_ns;
        settle(late, unit);
    }
}
