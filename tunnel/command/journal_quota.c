/* How many lines strangers may cause in the journal. */
#include "tunnel/command/journal_quota.h"

#include "tunnel/journal/journal.h"

void journal_quota_init(struct journal_quota *allowance, int64_t now_ms)
{
    *allowance = (struct journal_quota){.room = JOURNAL_QUOTA_BURST, .since_ms = now_ms};
}

static void make_room(struct journal_quota *allowance, int64_t now_ms)
{
    int64_t pauses = (now_ms - allowance->since_ms) / JOURNAL_QUOTA_PAUSE_MS;
    if (pauses <= 0)
        return;
    allowance->since_ms += pauses * JOURNAL_QUOTA_PAUSE_MS;
    allowance->room = pauses < JOURNAL_QUOTA_BURST - (int64_t)allowance->room
                          ? allowance->room + (unsigned)pauses
                          : JOURNAL_QUOTA_BURST;
}

bool journal_quota_take(struct journal_quota *allowance, int64_t now_ms, struct strbuf *detail)
{
    make_room(allowance, now_ms);
    if (allowance->room == 0) {
        allowance->left_out++;
        return false;
    }
    allowance->room--;
    if (allowance->left_out > 0)
        journal_add_i64(detail, "unrecorded", (int64_t)allowance->left_out);
    allowance->left_out = 0;
    return true;
}
