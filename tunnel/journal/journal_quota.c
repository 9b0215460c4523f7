/* How many lines strangers may cause in the journal. */
#include "tunnel/journal/journal_quota.h"

void journal_quota_init(struct journal_quota *quota, int64_t now_ms)
{
    *quota = (struct journal_quota){.room = JOURNAL_QUOTA_BURST, .since_ms = now_ms};
}

static void quota_make_room(struct journal_quota *quota, int64_t now_ms)
{
    int64_t pauses = (now_ms - quota->since_ms) / JOURNAL_QUOTA_PAUSE_MS;
    if (pauses <= 0)
        return;
    quota->since_ms += pauses * JOURNAL_QUOTA_PAUSE_MS;
    quota->room = pauses < JOURNAL_QUOTA_BURST - (int64_t)quota->room
                      ? quota->room + (unsigned)pauses
                      : JOURNAL_QUOTA_BURST;
}

bool journal_quota_take(struct journal_quota *quota, int64_t now_ms, struct event *event)
{
    quota_make_room(quota, now_ms);
    if (quota->room == 0) {
        quota->left_out++;
        return false;
    }
    quota->room--;
    if (quota->left_out > 0)
        event_add_number(event, MEMBER_UNRECORDED, (int64_t)quota->left_out);
    quota->left_out = 0;
    return true;
}
