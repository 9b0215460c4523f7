/* What the live tier and the disk tier are made of. */
#include "agent/outbox/place.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/outbox/quarantine.h"
#include "agent/outbox/sql.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 10000
#define READ_RETRY_MS 1000
#define READ_PATIENCE_MS 60000
#define READ_PAUSE_MS (2 * RETRY_MAX_MS) /* longer between two tries: nobody wanted to read */
/* A start waits so long for a file that cannot be read before it goes on without it. */
#define START_TRIES 50
#define START_TRIES_LIVE 150 /* which loses what is in it */
#define START_PAUSE_MS 200

static struct place *place_of(struct tier *tier)
{
    return (struct place *)tier;
}

static const struct place *const_place_of(const struct tier *tier)
{
    return (const struct place *)tier;
}

/* --- failures -------------------------------------------------------------------------------- */

int place_failed(struct place *place, int r, int64_t now_ms)
{
    struct tier *tier = &place->tier;
    assert(r < 0);
    if (tier->error == 0)
        place->retry_wait_ms = RETRY_MIN_MS;
    else if (now_ms >= tier->retry_at_ms)
        place->retry_wait_ms = min_i64(place->retry_wait_ms * 2, RETRY_MAX_MS);
    tier->error = r;
    tier->retry_at_ms = now_ms + place->retry_wait_ms;
    return r;
}

bool place_is_lost(struct place *place, enum place_use use, int r, int64_t now_ms)
{
    struct unread *unread = &place->unread[use];
    if (now_ms == 0)
        return r == -EBADMSG; /* the start, whose time is not known */
    if (r != -SQL_EREAD) {
        unread->since_ms = INT64_MAX;
        return r == -EBADMSG;
    }
    if (unread->since_ms > now_ms || now_ms - unread->last_ms > READ_PAUSE_MS)
        unread->since_ms = now_ms; /* it may have been readable in between */
    unread->last_ms = now_ms;
    return now_ms - unread->since_ms >= READ_PATIENCE_MS;
}

static const char *problem_of(int error)
{
    switch (error) {
    case 0:
        return NULL;
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return "disk full";
    case -EROFS:
        return "read-only";
    case -EACCES:
    case -EPERM:
        return "no permission";
    case -ESTALE:
        return "holds another stream, restart to take it over";
    case -EBUSY:
        return "held by another process";
    case -EIO:
    case -SQL_EREAD:
        return "input/output error";
    }
    return strerror(-error);
}

/* --- opening --------------------------------------------------------------------------------- */

static void place_warn(struct strbuf *warning, const char *text)
{
    if (warning->length)
        strbuf_add(warning, "; ");
    strbuf_add(warning, text);
}

static void warn_failure(struct strbuf *warning, const char *path, int r)
{
    CLEANUP(memory_free_pointer)
    char *text = r == -EBUSY ? memory_printf("%s is held by another process; is a second agent "
                                             "running with the same folders?",
                                             path)
                             : memory_printf("%s cannot be used: %s", path, strerror(-r));
    place_warn(warning, text);
}

static int set_aside(struct place *place, struct strbuf *warning)
{
    CLEANUP(memory_free_pointer) char *name = NULL;
    int r = quarantine_move(place->path, place->custody->wall_ms, &name);
    if (r < 0) {
        warn_failure(warning, place->path, r);
        return r;
    }
    CLEANUP(memory_free_pointer)
    char *text = memory_printf("%s was damaged and is kept as %s", place->path, name);
    place_warn(warning, text);
    return 0;
}

static int open_fresh(struct place *place)
{
    struct stored_state state = {.next_seq = 0};
    return store_open(place->kind->store, place->path, &state, NULL, NULL, &place->store);
}

static int try_open(struct place *place, struct tier_found *found)
{
    found->state = (struct stored_state){.next_seq = 0};
    loss_ledger_free(&found->ledger);
    run_list_reset(&found->on_disk);
    run_list_reset(&found->held);
    int r = store_open(place->kind->store, place->path, &found->state, &found->ledger,
                       &found->on_disk, &place->store);
    if (r == 0)
        r = store_held(place->store, &found->held);
    if (r < 0)
        place->store = store_close(place->store);
    return r;
}

/* What the system does not read now it may read in a moment: nothing in it is lost yet. */
static int open_patiently(struct place *place, struct tier_found *found)
{
    bool is_live = place->kind->store == STORE_LIVE;
    int tries = is_live ? START_TRIES_LIVE : START_TRIES;
    int r = try_open(place, found);
    for (int i = 0; r == -SQL_EREAD && i < tries; i++) {
        clock_sleep_until(clock_mono_ns() + START_PAUSE_MS * CLOCK_NS_PER_MS);
        r = try_open(place, found);
    }
    /* The live tier cannot be left out and come back: its numbers have to go on. */
    return r == -SQL_EREAD && is_live ? -EBADMSG : r;
}

static int open_store(struct place *place, struct strbuf *warning, struct tier_found *found)
{
    int r = open_patiently(place, found);
    if (r == -EBADMSG) {
        found->damaged = true;
        r = set_aside(place, warning);
        if (r == 0)
            r = open_fresh(place);
    }
    if (r == 0)
        r = store_range(place->store, &found->first, &found->last);
    if (r < 0)
        place->store = store_close(place->store);
    return r;
}

static int recover_place(struct tier *tier, const char *folder, struct strbuf *warning,
                         struct tier_found *ret_found)
{
    struct place *place = place_of(tier);
    int r = folder_make(folder);
    if (r < 0) {
        warn_failure(warning, folder, r);
        return place_failed(place, r, 0);
    }
    r = open_store(place, warning, ret_found);
    if (r < 0) {
        warn_failure(warning, place->path, r);
        return place_failed(place, r, 0);
    }
    run_list_copy(&tier->held, &ret_found->held);
    ret_found->open = true;
    ret_found->known = !ret_found->damaged && ret_found->state.stream[0] != '\0';
    return 0;
}

static void forget(struct place *place)
{
    place->store = store_close(place->store);
    seq_set_reset(&place->released);
    place->tier.ledger_version = 0;
    place->on_disk_version = UINT64_MAX;
}

int place_replace(struct place *place, int64_t now_ms)
{
    struct custody *custody = place->custody;
    CLEANUP(strbuf_free) struct strbuf warning = STRBUF_EMPTY;
    (void)snprintf(custody->damage, sizeof(custody->damage), "%s was damaged and is set aside",
                   place->path);
    forget(place);
    place->kind->write_off(custody);
    int r = set_aside(place, &warning);
    if (r == 0)
        r = open_fresh(place);
    return r < 0 ? place_failed(place, r, now_ms) : 0;
}

/* --- transactions ---------------------------------------------------------------------------- */

int place_change(const struct place *place, bool durable, place_fill *fill, void *context)
{
    int r = store_begin(place->store, durable);
    if (r == 0)
        r = fill(context);
    if (r == 0)
        r = store_commit(place->store);
    if (r < 0)
        store_rollback(place->store);
    return r;
}

int place_remove_released(const struct place *place, uint64_t *count)
{
    const struct seq_set *set = &place->released;
    int r = 0;
    for (size_t i = 0; r == 0 && i < set->n; i++) {
        uint64_t n = 0;
        r = store_remove(place->store, set->run[i].first, set->run[i].last, &n);
        *count += n;
    }
    return r;
}

int place_append_pending(const struct place *place, uint64_t *body_bytes)
{
    const struct custody *custody = place->custody;
    int r = 0;
    for (size_t i = 0; r == 0 && i < message_queue_count(custody->memory); i++) {
        struct stored_message message = message_queue_at(custody->memory, i);
        if (message.seq < custody->numbers.committed_below)
            continue;
        r = store_append(place->store, &message);
        *body_bytes += message.body_length;
    }
    return r;
}

void place_note_pending(struct place *place)
{
    const struct custody *custody = place->custody;
    for (size_t i = 0; i < message_queue_count(custody->memory); i++) {
        uint64_t seq = message_queue_seq(custody->memory, i, SEQ_LIMIT);
        if (seq >= custody->numbers.committed_below)
            run_list_add(&place->tier.held, seq, seq);
    }
}

static const struct run_list *on_disk_of(const struct place *place)
{
    return place->kind->tells_of_disk ? &place->custody->disk->held : NULL;
}

const struct loss_ledger *place_unsaved_ledger(const struct place *place)
{
    const struct loss_ledger *ledger = place->custody->ledger;
    const struct run_list *on_disk = on_disk_of(place);
    bool saved = place->tier.ledger_version == ledger->version &&
                 (!on_disk || place->on_disk_version == on_disk->version);
    return saved ? NULL : ledger;
}

int place_save(const struct place *place, const struct stored_state *state)
{
    return store_save(place->store, state, place_unsaved_ledger(place), on_disk_of(place));
}

void place_note_saved(struct place *place)
{
    const struct run_list *on_disk = on_disk_of(place);
    place->tier.ledger_version = place->custody->ledger->version;
    if (on_disk)
        place->on_disk_version = on_disk->version;
}

/* --- the interface --------------------------------------------------------------------------- */

static int commit_place(struct tier *tier, const struct tier_job *job, int64_t now_ms)
{
    struct place *place = place_of(tier);
    return place->kind->commit(place, job, now_ms);
}

static int read_place(struct tier *tier, uint64_t from, uint64_t below, store_visit *visit,
                      void *context)
{
    struct store *store = place_of(tier)->store;
    return store && from < below ? store_read(store, from, below, visit, context) : 0;
}

static void note_read_of_place(struct tier *tier, int r, int64_t now_ms)
{
    if (place_is_lost(place_of(tier), PLACE_READ, r, now_ms)) {
        (void)place_replace(place_of(tier), now_ms);
        r = 0;
    }
    tier->read_error = r;
    if (r < 0)
        tier->read_at_ms = now_ms + READ_RETRY_MS;
}

static bool release_in_place(struct tier *tier, uint64_t seq)
{
    return seq_set_add(&place_of(tier)->released, seq);
}

static void forget_released_in_place(struct tier *tier, bool all)
{
    struct seq_set *released = &place_of(tier)->released;
    if (all)
        seq_set_reset(released);
    else
        seq_set_remove_oldest(released);
}

static bool is_released_in_place(const struct tier *tier, uint64_t seq)
{
    return seq_set_contains(&const_place_of(tier)->released, seq);
}

static void fail_place(struct tier *tier, int r, int64_t now_ms)
{
    struct place *place = place_of(tier);
    if (r == -EBADMSG)
        (void)place_replace(place, now_ms);
    else
        (void)place_failed(place, r, now_ms);
}

static void renew_place(struct tier *tier, int64_t now_ms)
{
    struct place *place = place_of(tier);
    if (tier->error && now_ms < tier->retry_at_ms)
        return;
    forget(place);
    run_list_reset(&tier->held); /* all of it is in the other tier */
    place->kind->write_off(place->custody);
    quarantine_remove(place->path);
    int r = open_fresh(place);
    if (r == 0)
        r = place->kind->commit(place, NULL, now_ms);
    if (r < 0)
        (void)place_failed(place, r, now_ms);
}

static void get_place_figures(const struct tier *tier, struct tier_figures *ret_figures)
{
    const struct place *place = const_place_of(tier);
    *ret_figures =
        (struct tier_figures){.open = place->store != NULL,
                              .messages = place->store ? store_messages(place->store) : 0,
                              .released = seq_set_count(&place->released),
                              .path = place->path,
                              .problem = problem_of(tier->error),
                              .reading = problem_of(tier->read_error)};
}

static uint64_t bytes_of_place(const struct tier *tier)
{
    struct store *store = const_place_of(tier)->store;
    return store ? store_bytes(store) : 0;
}

static void shrink_place(struct tier *tier)
{
    struct store *store = place_of(tier)->store;
    if (store)
        store_shrink(store);
}

static void close_place(struct tier *tier)
{
    struct place *place = place_of(tier);
    (void)store_close(place->store);
    run_list_free(&tier->held);
    free(place->path);
    free(place);
}

static const struct tier_class place_class = {.recover = recover_place,
                                              .commit = commit_place,
                                              .read = read_place,
                                              .release = release_in_place,
                                              .forget_released = forget_released_in_place,
                                              .is_released = is_released_in_place,
                                              .fail = fail_place,
                                              .note_read = note_read_of_place,
                                              .renew = renew_place,
                                              .figures = get_place_figures,
                                              .bytes = bytes_of_place,
                                              .shrink = shrink_place,
                                              .close = close_place};

struct tier *place_new(const struct place_kind *kind, struct custody *custody, const char *folder)
{
    struct place *place = memory_zeroed(1, sizeof(*place));
    place->tier.class = &place_class;
    place->kind = kind;
    place->custody = custody;
    place->on_disk_version = UINT64_MAX;
    place->unread[PLACE_COMMIT].since_ms = place->unread[PLACE_READ].since_ms = INT64_MAX;
    place->path = memory_printf("%s/%s", folder, kind->file_name);
    return &place->tier;
}
