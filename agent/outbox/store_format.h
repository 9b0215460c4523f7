/*
 * The tables of a tier's database: made in an empty one, and brought up to date in one that the
 * version before has written. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_STORE_FORMAT_H
#define SALLYPORT_AGENT_OUTBOX_STORE_FORMAT_H

#include <sqlite3.h>

/*
 * Returns 0 when DATABASE has the present format, or has it now. -EBADMSG for one that is not ours
 * or newer than we are, else what SQLite said; nothing has changed then.
 */
int store_format_check(sqlite3 *database);

#endif
