/*
 * A line of a journal, whoever wrote it. What is read can be written; what was written is read as
 * the same, and writes the same line once more.
 */
#include "tunnel/model/event_text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct event *event)
{
    must(strlen(event_name(event)) > 0 && event->used <= EVENT_TEXT_BYTES);
    must((event->kind == EVENT_OTHER) == (event_kind_find(event_name(event)) == EVENT_OTHER));
    for (size_t i = 0; i < event->n_members; i++) {
        const struct event_member *member = &event->members[i];
        must(strlen(event_member_name(event, member)) > 0);
        must(member->is_number || event->texts + event->used > event_member_text(event, member));
    }
}

static void check_same(const struct event *event, const struct event *again)
{
    must(event->kind == again->kind && event->time_ms == again->time_ms);
    must(event->n_members == again->n_members);
    for (size_t i = 0; i < event->n_members; i++) {
        const struct event_member *member = &event->members[i], *same = &again->members[i];
        must(member->key == same->key && member->is_number == same->is_number &&
             member->number == same->number);
        must(strcmp(event_member_name(event, member), event_member_name(again, same)) == 0);
    }
}

static void try_line(const char *line, size_t length)
{
    static struct event event, again;
    CLEANUP(strbuf_free) struct strbuf first = STRBUF_EMPTY, second = STRBUF_EMPTY;
    uint64_t seq = 0, same = 0;
    if (event_text_read(line, length, &seq, &event) < 0)
        return;
    check(&event);
    event_text_write(&event, seq, &first);
    must(!strpbrk(first.data, "\n\r\x1b"));
    if (first.length > EVENT_TEXT_BYTES)
        return; /* quotes made it longer than a journal takes */
    must(event_text_read(first.data, first.length, &same, &again) == 0 && same == seq);
    check_same(&event, &again);
    event_text_write(&again, same, &second);
    must(strcmp(first.data, second.data) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* exact size: an overrun is seen */
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    try_line(copy, size);
    free(copy);
    return 0;
}
