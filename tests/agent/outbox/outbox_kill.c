/*
 * SIGKILL at any moment: a child takes, commits, hands out and releases as fast as it can, and
 * tells what it did through a pipe; the parent kills it, starts the next one on the same folders,
 * and keeps the books of what a broker would have seen.
 */
#include "tests/support/outbox_fixture.h"

#include "agent/base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#define KILLS 40
#define MAX_SEQ 2000000

/* What the parent knows of a message. */
struct entry {
    uint32_t content;  /* fingerprint of what was committed or handed out; 0: not known yet */
    uint32_t message;  /* the same with the historical flag, of what was handed out; 0: never */
    bool acknowledged; /* the broker said so, perhaps just before the kill */
    bool in_gap;       /* reported as lost */
    bool seen;         /* by the present child */
};

/* What the child tells. */
struct report {
    enum { COMMITTED, HANDED_OUT, RELEASED, BACKLOG_DONE, GAP } what;
    uint32_t fingerprint;
    uint64_t seq, last; /* `last`: of a gap that begins with `seq` */
    bool historical;
};

static uint32_t fingerprint(const void *bytes, size_t length, uint32_t start)
{
    const unsigned char *at = bytes;
    uint32_t hash = 2166136261U ^ start;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * 16777619U;
    return hash ? hash : 1;
}

/* --- the child ------------------------------------------------------------------------------- */

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) % limit;
}

static void tell(int pipe_end, const struct report *report)
{
    if (write(pipe_end, report, sizeof(*report)) != (ssize_t)sizeof(*report))
        _exit(3);
}

static void take_some(struct box *box, int pipe_end)
{
    uint32_t prints[20], n = 1 + random_below(20);
    uint64_t first = 0;
    char body[1500];
    for (uint32_t i = 0; i < n; i++) {
        size_t length = 20 + random_below(sizeof(body) - 20);
        memset(body, (int)('a' + random_below(26)), length);
        (void)snprintf(body, 20, "%d.%u", (int)getpid(), random_below(1 << 23));
        prints[i] = fingerprint(body, length, 0);
        uint64_t seq = box_put(box, 1, body, length);
        if (seq == 0)
            _exit(4);
        first = i == 0 ? seq : first;
    }
    if (outbox_commit(box->outbox, box->now_ms) < 0)
        _exit(5);
    for (uint32_t i = 0; i < n; i++)
        tell(pipe_end,
             &(struct report){.what = COMMITTED, .fingerprint = prints[i], .seq = first + i});
}

static void hand_out(struct box *box, int pipe_end, const struct outbox_message *message)
{
    struct report report = {.what = HANDED_OUT,
                            .seq = message->seq,
                            .historical = message->historical,
                            .fingerprint = fingerprint(message->body, message->body_length, 0)};
    tell(pipe_end, &report);
    if (random_below(10) == 0)
        return; /* this one is never acknowledged */
    report.what = RELEASED;
    tell(pipe_end, &report); /* the broker has it: from now on it may be gone, or come again */
    outbox_release(box->outbox, message->seq);
}

/* Reports the gaps as the pipeline does, but tells of each at once: so it may be told twice. */
static void report_gaps(struct box *box, int pipe_end)
{
    struct outbox_gap gap;
    while (outbox_next_gap(box->outbox, &gap)) {
        tell(pipe_end, &(struct report){.what = GAP, .seq = gap.first, .last = gap.last});
        if (box_put_event(box, "gap") == 0)
            _exit(7);
        outbox_gap_reported(box->outbox);
    }
}

static void live_a_life(struct box *box, int pipe_end)
{
    struct outbox_message message;
    if (box_try_open(box) < 0)
        _exit(6);
    for (;;) {
        box_link(box, true);
        for (uint32_t rounds = 5 + random_below(100); rounds > 0; rounds--) {
            box->now_ms = clock_mono_ns() / CLOCK_NS_PER_MS;
            report_gaps(box, pipe_end);
            take_some(box, pipe_end);
            while (outbox_next_live(box->outbox, &message))
                hand_out(box, pipe_end, &message);
            for (int i = 0; i < 50 && outbox_next_backlog(box->outbox, &message); i++)
                hand_out(box, pipe_end, &message);
            (void)outbox_tick(box->outbox, box->now_ms);
        }
        while (outbox_next_backlog(box->outbox, &message))
            hand_out(box, pipe_end, &message);
        report_gaps(box, pipe_end);
        tell(pipe_end, &(struct report){.what = BACKLOG_DONE});
        box_link(box, false);
        for (uint32_t rounds = random_below(20); rounds > 0; rounds--) {
            box->now_ms = clock_mono_ns() / CLOCK_NS_PER_MS;
            take_some(box, pipe_end);
            (void)outbox_tick(box->outbox, box->now_ms);
        }
    }
}

/* --- the parent ------------------------------------------------------------------------------ */

struct books {
    struct entry *entries;
    uint64_t highest; /* that was told committed or handed out */
    uint64_t handed_out, gaps, repeated, lost;
    bool backlog_done; /* by the present child */
};

static void keep(struct books *books, const struct report *report)
{
    CU_ASSERT_FATAL(report->seq < MAX_SEQ);
    struct entry *entry = &books->entries[report->seq];
    switch (report->what) {
    case COMMITTED:
        CU_ASSERT_EQUAL(entry->content, 0); /* a committed number is never given again */
        entry->content = report->fingerprint;
        break;
    case HANDED_OUT: {
        uint32_t whole = report->fingerprint + (report->historical ? 1 : 0) * 7U;
        CU_ASSERT(entry->content == 0 || entry->content == report->fingerprint);
        CU_ASSERT(entry->message == 0 || entry->message == whole);
        books->repeated += entry->message != 0;
        entry->content = report->fingerprint;
        entry->message = whole;
        entry->seen = true;
        books->handed_out++;
        break;
    }
    case RELEASED:
        entry->acknowledged = true;
        return;
    case BACKLOG_DONE:
        books->backlog_done = true;
        return;
    case GAP:
        books->gaps++;
        CU_ASSERT_FATAL(report->seq <= report->last && report->last < MAX_SEQ);
        for (uint64_t seq = report->seq; seq <= report->last; seq++)
            books->entries[seq].in_gap = true;
        return;
    }
    if (report->seq > books->highest)
        books->highest = report->seq;
}

/* The child handed out its whole backlog: what was outstanding when it started must be in it. */
static void check_backlog(struct books *books, uint64_t highest_before)
{
    for (uint64_t seq = 1; seq <= highest_before; seq++) {
        const struct entry *entry = &books->entries[seq];
        books->lost += entry->content && !entry->acknowledged && !entry->seen && !entry->in_gap;
    }
}

static void read_reports(struct books *books, int pipe_end, int64_t until_ns, pid_t child)
{
    uint64_t highest_before = books->highest;
    bool checked = false, killed = false;
    struct report report;
    books->backlog_done = false;
    for (uint64_t seq = 1; seq <= highest_before; seq++)
        books->entries[seq].seen = false;
    for (;;) {
        struct pollfd wait = {.fd = pipe_end, .events = POLLIN};
        int64_t left_ms = (until_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        if (!killed && (left_ms <= 0 || poll(&wait, 1, (int)left_ms) == 0)) {
            CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
            killed = true;
        }
        if (read(pipe_end, &report, sizeof(report)) != (ssize_t)sizeof(report))
            break; /* after the kill: all that it told is read */
        keep(books, &report);
        if (books->backlog_done && !checked) {
            check_backlog(books, highest_before);
            checked = true;
        }
    }
}

static void run_and_kill(struct box *box, struct books *books, uint32_t number)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
    (void)fflush(stdout);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        close(ends[0]);
        random_state = 77 + number;
        live_a_life(box, ends[1]);
    }
    close(ends[1]);
    random_state = 5000 + number;
    /* Every fourth lives long enough for the whole backlog; the others die anywhere, the start
     * included. */
    int64_t life_ms = number % 4 == 3 ? 300 : 1 + (int64_t)random_below(60);
    read_reports(books, ends[0], clock_mono_ns() + life_ms * CLOCK_NS_PER_MS, child);
    close(ends[0]);
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFSIGNALED(status)); /* it did not give up by itself */
}

/* KILLS lives, then a last look at what is left. */
static void run_lives(struct box *box, struct books *books)
{
    struct outbox_message message;
    struct outbox_gap gap;
    box->settings.spill_after_ms = 20;
    box->settings.sync_ms = 10;
    for (uint32_t i = 0; i < KILLS; i++)
        run_and_kill(box, books, i);
    CU_ASSERT(books->handed_out > 1000);
    CU_ASSERT(books->repeated > 0);

    for (uint64_t seq = 1; seq <= books->highest; seq++)
        books->entries[seq].seen = false;
    box_open(box);
    CU_ASSERT(box_next_seq(box) > books->highest);
    box_link(box, true);
    while (outbox_next_gap(box->outbox, &gap)) {
        keep(books, &(struct report){.what = GAP, .seq = gap.first, .last = gap.last});
        outbox_gap_reported(box->outbox);
    }
    while (outbox_next_backlog(box->outbox, &message)) {
        struct report report = {.what = HANDED_OUT,
                                .seq = message.seq,
                                .historical = message.historical,
                                .fingerprint = fingerprint(message.body, message.body_length, 0)};
        keep(books, &report);
    }
    check_backlog(books, books->highest);
    CU_ASSERT_EQUAL(books->lost, 0);
    printf("(%" PRIu64 " messages, %" PRIu64 " repeated, %" PRIu64 " gaps) ", books->highest,
           books->repeated, books->gaps);
    box_done(box);
}

static void test_kill(void)
{
    struct box box;
    struct books books = {.entries = memory_zeroed(MAX_SEQ, sizeof(*books.entries))};
    box_init(&box);
    run_lives(&box, &books);
    CU_ASSERT_EQUAL(books.gaps, 0);
    free(books.entries);
}

/* The same with little room: what is dropped is on record, whenever the kill comes. */
static void test_kill_when_full(void)
{
    struct box box;
    struct books books = {.entries = memory_zeroed(MAX_SEQ, sizeof(*books.entries))};
    box_init(&box);
    box.settings.max_bytes = 40000;
    run_lives(&box, &books);
    CU_ASSERT(books.gaps > 0);
    free(books.entries);
}

TEST_MAIN("outbox_kill",
          {"killed again and again: nothing lost, no number with two contents", test_kill},
          {"the same when full: what is lost is on record", test_kill_when_full})
