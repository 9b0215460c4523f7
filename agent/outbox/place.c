/* One tier, where its file is, and how it is doing. */
#include "agent/outbox/place.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/outbox/quarantine.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

void place_init(struct place *place, const struct tier_kind *kind, const char *folder)
{
    *place = (struct place){.kind = kind};
    place->path = memory_printf("%s/%s", folder, kind->file_name);
}

void place_free(struct place *place)
{
    place->tier = tier_close(place->tier);
    free(place->path);
}

/* --- failures -------------------------------------------------------------------------------- */

int place_failed(struct place *place, int r, int64_t now_ms)
{
    assert(r < 0);
    if (place->error == 0)
        place->retry_wait_ms = RETRY_MIN_MS;
    else if (now_ms >= place->retry_at_ms)
        place->retry_wait_ms = min_i64(place->retry_wait_ms * 2, RETRY_MAX_MS);
    place->error = r;
    place->retry_at_ms = now_ms + place->retry_wait_ms;
    return r;
}

bool place_may_try(const struct place *place, int64_t now_ms)
{
    return place->error == 0 || now_ms >= place->retry_at_ms;
}

const char *place_problem(const struct place *place)
{
    switch (place->error) {
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
        return "input/output error";
    }
    return strerror(-place->error);
}

/* --- opening --------------------------------------------------------------------------------- */

void place_warn(struct strbuf *warning, const char *text)
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

static int set_aside(struct place *place, int64_t wall_ms, struct strbuf *warning)
{
    CLEANUP(memory_free_pointer) char *name = NULL;
    int r = quarantine_move(place->path, wall_ms, &name);
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
    return place->kind->open(place->path, &state, NULL, &place->tier);
}

static int open_tier(struct place *place, int64_t wall_ms, struct strbuf *warning,
                     struct tier_found *found)
{
    int r = place->kind->open(place->path, &found->state, &found->ledger, &place->tier);
    if (r == -EBADMSG) {
        found->damaged = true;
        r = set_aside(place, wall_ms, warning);
        if (r == 0)
            r = open_fresh(place);
    }
    if (r == 0)
        r = place->tier->class->range(place->tier, &found->first, &found->last);
    if (r < 0)
        place->tier = tier_close(place->tier);
    return r;
}

int place_open(struct place *place, const char *folder, int64_t wall_ms, struct strbuf *warning,
               struct tier_found *ret_found)
{
    *ret_found = (struct tier_found){.open = false};
    int r = folder_make(folder);
    if (r < 0) {
        warn_failure(warning, folder, r);
        return place_failed(place, r, 0);
    }
    r = open_tier(place, wall_ms, warning, ret_found);
    if (r < 0) {
        warn_failure(warning, place->path, r);
        return place_failed(place, r, 0);
    }
    ret_found->open = true;
    ret_found->known = !ret_found->damaged && ret_found->state.stream[0] != '\0';
    return 0;
}

static void forget(struct place *place)
{
    place->tier = tier_close(place->tier);
    seq_set_reset(&place->released);
    place->ledger_version = 0;
}

int place_renew(struct place *place)
{
    forget(place);
    quarantine_remove(place->path);
    return open_fresh(place);
}

int place_replace(struct place *place, int64_t wall_ms, struct strbuf *warning)
{
    forget(place);
    int r = set_aside(place, wall_ms, warning);
    return r < 0 ? r : open_fresh(place);
}

/* --- transactions ---------------------------------------------------------------------------- */

int place_change(const struct place *place, bool durable, place_fill *fill, void *context)
{
    struct tier *tier = place->tier;
    int r = tier->class->begin(tier, durable);
    if (r == 0)
        r = fill(context);
    if (r == 0)
        r = tier->class->commit(tier);
    if (r < 0)
        tier->class->rollback(tier);
    return r;
}

int place_remove_released(const struct place *place, uint64_t *count)
{
    const struct seq_set *set = &place->released;
    int r = 0;
    for (size_t i = 0; r == 0 && i < set->n; i++) {
        uint64_t n = 0;
        r = place->tier->class->remove(place->tier, set->run[i].first, set->run[i].last, &n);
        *count += n;
    }
    return r;
}
