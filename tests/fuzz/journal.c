/*
 * A journal as a power cut, a full disk or a stranger left it: it opens, is read to its end in
 * bounded steps, takes another line, and that line follows in the chain.
 */
#include "tunnel/journal/journal.h"
#include "tunnel/journal/journal_chain.h"

#include "tests/support/fuzz_folder.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads all lines; returns how many. The last one is left in LINE. */
static unsigned read_all(struct journal *journal, struct strbuf *line)
{
    unsigned lines = 0;
    for (uint64_t cursor = 0, next; lines < 100000; cursor = next, lines++) {
        CLEANUP(strbuf_free) struct strbuf read = STRBUF_EMPTY;
        bool starts_file;
        if (journal_read(journal, cursor, &read, &next, &starts_file) <= 0)
            break;
        assert(read.length <= JOURNAL_LINE_BYTES);
        assert(next > cursor);
        strbuf_reset(line);
        strbuf_append(line, read.data, read.length);
    }
    assert(lines < 100000);
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct journal_settings settings = {
        .folder = fuzz_folder(), .file_bytes = 65536, .files = 3};
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY, last = STRBUF_EMPTY;
    struct journal *journal = NULL;
    struct event event;
    fuzz_folder_clear();
    (void)fuzz_file("journal-00000001.log", data, size);
    if (journal_open(&settings, 1796062914000, &problem, &journal) < 0)
        return 0; /* refused, with a reason */
    unsigned before = read_all(journal, &last);
    event_init(&event, EVENT_NETD_STARTED, 1796062915000);
    event_add_text(&event, MEMBER_VERSION, "1");
    assert(journal_write(journal, &event) == 0);
    assert(read_all(journal, &last) == before + 1);
    journal_close(journal);
    assert(journal_open(&settings, 1796062916000, &problem, &journal) == 0); /* and is sound now */
    assert(read_all(journal, &last) >= before + 1);
    journal_close(journal);
    return 0;
}
