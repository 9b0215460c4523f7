/* The chain of the journal's lines: what follows, and what does not. */
#include "tunnel/journal/journal_chain.h"

#include "tests/support/test.h"
#include "tunnel/model/event_text.h"

#include <string.h>

#define WALL INT64_C(1795343987123)
#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"

/* Makes line SEQ the next one of CHAIN; the first is the beginning of a file. */
static void make_line(struct journal_chain *chain, uint64_t seq, struct strbuf *line)
{
    char hash[SHA256_HEX_BYTES];
    struct event event;
    if (chain->lines == 0) {
        strcpy(chain->hash, ZEROES);
        event_init(&event, EVENT_CHAIN, WALL);
        event_add_text(&event, MEMBER_PREVIOUS, chain->hash);
    } else {
        event_init(&event, EVENT_TUNNEL_CLOSED, WALL);
        event_add_number(&event, MEMBER_BYTES, (int64_t)seq);
    }
    strbuf_reset(line);
    event_text_write(&event, seq, line);
    journal_chain_seal(chain, line, hash);
    journal_chain_advance(chain, hash);
}

static const char *check(struct journal_chain *chain, const struct strbuf *line)
{
    return journal_chain_check(chain, line->data, line->length);
}

static void test_follows(void)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    struct journal_chain written, read;
    journal_chain_init(&written);
    journal_chain_init(&read);
    for (uint64_t seq = 7; seq < 20; seq++) { /* older files were dropped */
        make_line(&written, seq, &line);
        CU_ASSERT_PTR_NULL(check(&read, &line));
    }
    CU_ASSERT_EQUAL(read.lines, 13);
    CU_ASSERT_EQUAL(read.seq, 19);
    TEST_TEXT_EQUAL(read.hash, written.hash);
}

/* A line whose hash is right and whose number is not: somebody wrote a chain of his own. */
static void test_wrong_number(void)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    struct journal_chain written, read;
    journal_chain_init(&written);
    journal_chain_init(&read);
    make_line(&written, 1, &line);
    CU_ASSERT_PTR_NULL(check(&read, &line));
    make_line(&written, 2, &line);
    CU_ASSERT_PTR_NULL(check(&read, &line));
    make_line(&written, 4, &line);
    TEST_CONTAINS(check(&read, &line), "lines are missing");
}

static void test_not_first(void)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    struct journal_chain written, read;
    journal_chain_init(&written);
    journal_chain_init(&read);
    make_line(&written, 1, &line);
    make_line(&written, 2, &line);
    TEST_CONTAINS(check(&read, &line), "is not the first line of a file");
}

/* Each byte of a line counts, those of its hash as well. */
static void test_each_byte(void)
{
    CLEANUP(strbuf_free) struct strbuf first = STRBUF_EMPTY, line = STRBUF_EMPTY;
    struct journal_chain written;
    journal_chain_init(&written);
    make_line(&written, 1, &first);
    make_line(&written, 2, &line);
    for (size_t i = 0; i < line.length; i++) {
        struct journal_chain read;
        journal_chain_init(&read);
        CU_ASSERT_PTR_NULL_FATAL(check(&read, &first));
        line.data[i] ^= 1;
        CU_ASSERT_PTR_NOT_NULL(check(&read, &line));
        CU_ASSERT_EQUAL(read.lines, 1);
        line.data[i] ^= 1;
        CU_ASSERT_PTR_NULL(check(&read, &line));
    }
}

/* Also when the change left nothing that can be read. */
static void test_unreadable(void)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    struct journal_chain written, read;
    journal_chain_init(&written);
    journal_chain_init(&read);
    make_line(&written, 1, &line);
    CU_ASSERT_PTR_NULL(check(&read, &line));
    make_line(&written, 2, &line);
    line.data[4] = 'T'; /* in its time */
    TEST_CONTAINS(check(&read, &line), "was changed");
}

/* A file that begins with another hash than the one before ended with. */
static void test_other_file(void)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    struct journal_chain written, other, read;
    journal_chain_init(&written);
    journal_chain_init(&other);
    journal_chain_init(&read);
    make_line(&written, 1, &line);
    CU_ASSERT_PTR_NULL(check(&read, &line));
    make_line(&other, 2, &line);
    TEST_CONTAINS(check(&read, &line), "does not continue");
}

static void test_garbage(void)
{
    static const char *const lines[] = {"",
                                        "x",
                                        "1 2026-11-22T10:39:47.123Z tunnel_closed",
                                        " hash=" ZEROES,
                                        "1 T chain hash=" ZEROES,
                                        "1 2026-11-22T10:39:47.123Z e hash=" ZEROES};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct journal_chain read;
        journal_chain_init(&read);
        CU_ASSERT_PTR_NOT_NULL(journal_chain_check(&read, lines[i], strlen(lines[i])));
    }
}

TEST_MAIN("journal_chain", {"lines that follow each other pass", test_follows},
          {"a chain with a number left out is found", test_wrong_number},
          {"a file begins with its own line", test_not_first},
          {"a change of any byte is found", test_each_byte},
          {"so is one that leaves no line at all", test_unreadable},
          {"a file of another journal is found", test_other_file},
          {"what is no line is refused", test_garbage})
