/*
 * Gaps are true, and told once: random histories with files that cannot be read or written for a
 * while, pages that come back changed, a full store, a damaged disk tier, a broker that goes away,
 * kills and stops. What the broker has acknowledged is in no gap, what it never gets is in exactly
 * one (in another only if that report is itself told as lost), whatever happens in between. The
 * agent's side runs in forked children; what the broker knows lives in shared memory.
 */
#undef _FORTIFY_SOURCE /* its inline pread64() would be the one that is defined below */
#include "tests/support/outbox_fixture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define SEEDS 10 /* more with OUTBOX_TRUTH_SEEDS=N */
#define REPORT_IS_LOST                                                                             \
    111 /* a report that was sent, not acknowledged, and dropped for want of room */
#define LIVES 8
#define OPERATIONS 300
#define MAX_SEQ 60000

/* --- files that fail ------------------------------------------------------------------------- */

enum tier_of_file { NO_TIER, LIVE_TIER, DISK_TIER };

static struct {
    enum tier_of_file tier; /* which one fails; NO_TIER: none */
    int read_error, write_error;
    uint32_t permille;
    bool changes; /* what is read */
} fault;

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) % limit;
}

static bool strikes(int file)
{
    char link[64], path[512];
    if (fault.tier == NO_TIER || random_below(1000) >= fault.permille)
        return false;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    path[length > 0 ? length : 0] = '\0';
    return strstr(path, fault.tier == LIVE_TIER ? "/live.db" : "/outbox.db") != NULL;
}

__attribute__((visibility("default"))) ssize_t pread64(int file, void *bytes, size_t n, off64_t at)
{
    bool struck = strikes(file);
    if (struck && fault.read_error) {
        errno = fault.read_error;
        return -1;
    }
    ssize_t got = preadv64(file, &(struct iovec){bytes, n}, 1, at);
    if (struck && fault.changes && got > 100)
        ((char *)bytes)[random_below((uint32_t)got)] ^= 0x10;
    return got;
}

__attribute__((visibility("default"))) ssize_t pwrite64(int file, const void *bytes, size_t n,
                                                        off64_t at)
{
    if (fault.write_error && strikes(file)) {
        errno = fault.write_error;
        return -1;
    }
    return pwritev64(file, &(struct iovec){(void *)(uintptr_t)bytes, n}, 1, at);
}

/* --- what the broker and the judge know ------------------------------------------------------ */

struct known {
    bool in_custody;   /* a commit succeeded */
    bool acknowledged; /* the broker has it */
    bool in_doubt;     /* sent, and the link broke before the acknowledgement */
    uint64_t told_by;  /* the message that says that it is lost; 0: none */
};

static struct books {
    struct known numbers[MAX_SEQ];
    uint64_t next_seq, told;
    uint32_t seed;
    int life;
    int64_t now_ms;
    bool up;
    uint64_t flying[64];
    size_t n_flying;
} * books;

/* Whether the number has not been told, or only by a report that is told as lost itself. */
static bool is_untold(const struct known *number)
{
    return number->told_by == 0 || books->numbers[number->told_by].told_by != 0;
}

static void hear_gap(uint64_t by, uint64_t first, uint64_t last)
{
    CU_ASSERT_FATAL(first <= last && last < by && last < MAX_SEQ);
    for (uint64_t seq = first; seq <= last; seq++) {
        struct known *number = &books->numbers[seq];
        CU_ASSERT_FALSE(number->acknowledged); /* it arrived */
        CU_ASSERT(is_untold(number) || number->told_by == by);
        books->told += number->told_by == 0;
        number->told_by = by;
    }
}

static void hear(const struct outbox_message *message)
{
    unsigned long long first, last;
    const struct known *number = &books->numbers[message->seq];
    CU_ASSERT_FATAL(message->seq < MAX_SEQ);
    CU_ASSERT_EQUAL(number->told_by, 0); /* it is lost, and there it is */
    bool is_event = strcmp(message->topic, "event") == 0;
    CU_ASSERT_TRUE(is_event || box_content_good(message));
    if (is_event && sscanf(message->body, "gap %llu %llu.", &first, &last) == 2)
        hear_gap(message->seq, first, last);
}

/* --- operations ------------------------------------------------------------------------------ */

static void truth_commit(struct box *box)
{
    if (outbox_commit(box->outbox, books->now_ms) < 0)
        return;
    uint64_t next = books->next_seq;
    for (uint64_t seq = next; seq-- > 1 && !books->numbers[seq].in_custody && next - seq < 3000;)
        books->numbers[seq].in_custody = true;
}

static void truth_take(struct box *box)
{
    static char body[2000];
    box->now_ms = books->now_ms;
    size_t length = box_body(books->next_seq, 20 + random_below(1500), body);
    uint64_t seq = box_put(box, books->next_seq, body, length);
    CU_ASSERT(seq == 0 || seq == books->next_seq); /* refused: it is in a gap */
    books->next_seq++;
}

static void truth_report_gaps(struct box *box)
{
    struct outbox_gap gap;
    while (outbox_next_gap(box->outbox, &gap)) {
        char body[64];
        (void)snprintf(body, sizeof(body), "gap %" PRIu64 " %" PRIu64 ".", gap.first, gap.last);
        box->now_ms = books->now_ms;
        uint64_t seq = box_put_event(box, body);
        books->next_seq++;
        if (seq == 0)
            return;
        outbox_gap_reported(box->outbox);
    }
}

/* As the gateway does: gaps, commit, then what is handed out. */
static void truth_hand_out(struct box *box)
{
    struct outbox_message message;
    truth_report_gaps(box);
    truth_commit(box);
    for (uint32_t n = random_below(30); n > 0 && books->n_flying < 64; n--) {
        if (!outbox_next_live(box->outbox, &message) && !outbox_next_backlog(box->outbox, &message))
            return;
        CU_ASSERT_TRUE(books->up);
        hear(&message);
        books->flying[books->n_flying++] = message.seq;
    }
}

static void truth_release(struct box *box)
{
    for (uint32_t n = random_below(40); n > 0 && books->n_flying > 0; n--) {
        size_t at = random_below(4) ? 0 : random_below((uint32_t)books->n_flying);
        uint64_t seq = books->flying[at];
        books->n_flying--;
        memmove(&books->flying[at], &books->flying[at + 1],
                (books->n_flying - at) * sizeof(books->flying[0]));
        CU_ASSERT_EQUAL(books->numbers[seq].told_by, 0); /* it was told as lost, and arrives */
        books->numbers[seq].acknowledged = true;
        outbox_release(box->outbox, seq);
    }
}

/* The link is down, or the process gone: nobody knows of these whether they arrived. */
static void lose_flight(void)
{
    for (size_t i = 0; i < books->n_flying; i++)
        books->numbers[books->flying[i]].in_doubt = true;
    books->n_flying = 0;
    books->up = false;
}

static void truth_link(struct box *box, bool up)
{
    lose_flight();
    outbox_link(box->outbox, up, books->now_ms);
    books->up = up;
}

static void truth_tick(struct box *box)
{
    books->now_ms += (int64_t)random_below(300);
    (void)outbox_tick(box->outbox, books->now_ms);
}

static void begin_fault(bool changes_allowed)
{
    static const int errors[] = {EIO, ENOSPC, EROFS};
    fault.permille = random_below(2) ? 1000 : 30;
    fault.read_error = fault.write_error = 0;
    fault.changes = false;
    fault.tier = random_below(3) ? DISK_TIER : LIVE_TIER;
    switch (random_below(3)) {
    case 0:
        fault.read_error = EIO;
        break;
    case 1:
        fault.write_error = errors[random_below(3)];
        break;
    case 2:
        fault.changes = changes_allowed;
        fault.permille = 3;
        break;
    }
}

static void end_fault(void)
{
    fault.tier = NO_TIER;
}

static void truth_operations(struct box *box)
{
    static void (*const operations[])(struct box * box) = {
        truth_take, truth_take,    truth_take,    truth_take,     truth_commit,
        truth_tick, truth_release, truth_release, truth_hand_out,
    };
    for (int i = 0; i < OPERATIONS; i++) {
        uint32_t choice = random_below(1000);
        if (choice < 15)
            truth_link(box, random_below(3) > 0);
        else if (choice < 30)
            begin_fault(true);
        else if (choice < 60)
            end_fault();
        else
            operations[choice % (sizeof(operations) / sizeof(operations[0]))](box);
    }
}

/* --- lives ----------------------------------------------------------------------------------- */

/* A start may take back what was taken and not committed. */
static void truth_start(struct box *box)
{
    uint64_t committed_below = books->next_seq;
    while (committed_below > 1 && !books->numbers[committed_below - 1].in_custody)
        committed_below--;
    CU_ASSERT_EQUAL_FATAL(box_try_open(box), 0);
    uint64_t next = box_next_seq(box);
    CU_ASSERT_FATAL(next >= committed_below);
    books->next_seq = next;
}

/* A child that failed ends the test: this says which history it was. */
static void truth_say(void)
{
    if (CU_get_number_of_failures() > 0)
        printf("\n    (seed %u, life %d) ", books->seed, books->life);
}

static void life(struct box *box)
{
    truth_start(box);
    truth_operations(box);
    if (random_below(2))
        end_fault();
    if (random_below(3) == 0) {
        end_fault();
        truth_commit(box);
        box_close(box);
    } else { /* the acknowledgements of the last pass are known to the store */
        end_fault();
        books->now_ms += 20000;
        truth_tick(box);
        truth_commit(box);
    }
    lose_flight();
    truth_say();
}

/* All faults over: everything goes out. */
static void last_life(struct box *box)
{
    truth_start(box);
    truth_link(box, true);
    for (int i = 0; i < 3000 && (i < 50 || box_stats(box).messages > 0); i++) {
        truth_hand_out(box);
        truth_release(box);
        truth_tick(box);
    }
    CU_ASSERT_EQUAL(box_stats(box).messages, 0);
    for (uint64_t seq = 1; seq < books->next_seq; seq++) {
        const struct known *number = &books->numbers[seq];
        CU_ASSERT(number->acknowledged != (number->told_by != 0));
    }
    truth_say();
}

static void damage_disk(const struct box *box)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/outbox.db%s", box->state_dir,
                   random_below(2) ? "-wal" : "");
    int file = open(path, O_WRONLY);
    if (file < 0)
        return;
    for (int i = 0; i < 40; i++)
        CU_ASSERT_EQUAL(pwrite(file, "damage!", 7, (off_t)random_below(1 << 16)), 7);
    close(file);
}

static void run_seed(uint32_t seed)
{
    struct box box;
    box_init(&box);
    memset(books, 0, sizeof(*books));
    books->next_seq = 1;
    books->now_ms = 1000;
    box.settings.max_bytes = seed % 3 == 0 ? 100000 : UINT64_C(64) << 20;
    box.settings.spill_after_ms = 500;
    box.settings.sync_ms = 200;
    for (int i = 0; i <= LIVES; i++) {
        books->seed = seed;
        books->life = i;
        random_state = seed * 7919 + (uint32_t)i * 1000003 + 1;
        box.now_ms = books->now_ms;
        end_fault();
        box_in_killed_child(&box, i < LIVES ? life : last_life);
        if (i < LIVES && seed % 2 == 0 && i % 3 == 2)
            damage_disk(&box);
    }
}

static void test_truth(void)
{
    uint64_t told = 0;
    books = mmap(NULL, sizeof(*books), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(books != MAP_FAILED);
    const char *more = getenv("OUTBOX_TRUTH_SEEDS");
    uint32_t seeds = more ? (uint32_t)strtoul(more, NULL, 10) : SEEDS;
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        run_seed(seed);
        told += books->told;
    }
    run_seed(REPORT_IS_LOST);
    CU_ASSERT(told > 0);
    printf("(%" PRIu64 " told) ", told);
    munmap(books, sizeof(*books));
}

TEST_MAIN("outbox_truth", {"what arrived is in no gap, what is lost in exactly one", test_truth})
