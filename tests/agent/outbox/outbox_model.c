/*
 * The outbox against a simple model of what its header promises: random operations, ended by a
 * clean stop, a kill or a power cut, again and again on the same folders. The operations run in
 * forked children, so that a kill is a real end without a word; the model lives in shared memory.
 */
#include "tests/support/outbox_fixture.h"

#include <sys/mman.h>

#define SEEDS 12 /* more with OUTBOX_MODEL_SEEDS=N */
#define LIVES 10
#define OPERATIONS 250
#define MAX_MESSAGES 40000

struct message {
    uint64_t seq;
    uint32_t length;
    int64_t taken_ms;
    enum { UNCOMMITTED, IN_CUSTODY, ACKNOWLEDGED, GONE } state;
    enum { NO, YES, EITHER } historical; /* what it must be when it is handed out */
    bool handed_out;                     /* ever: then `historical` is for good */
    uint32_t session;                    /* the session it was last handed out in */
    bool in_gap;                         /* a gap record says that it is lost */
    bool in_doubt;                       /* one says that it may be */
};

struct model {
    struct message messages[MAX_MESSAGES]; /* ascending */
    size_t n;
    uint64_t next_seq, lane_start;
    uint64_t last_live, last_backlog; /* handed out in this session */
    uint32_t session;                 /* 0: link down; unique for each link-up */
    uint32_t sessions;
    int64_t now_ms, last_tick_ms;
    char stream[16];
    bool power_cut, was_cut; /* just before this start; ever */
    bool small;
    uint64_t operations, dropped;
};

static struct model *model;
static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) % limit;
}

static struct message *find(uint64_t seq)
{
    size_t low = 0, high = model->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (model->messages[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < model->n && model->messages[low].seq == seq ? &model->messages[low] : NULL;
}

static bool is_due(const struct message *message)
{
    return message->state == IN_CUSTODY && !message->in_gap && !message->in_doubt;
}

/* --- operations ------------------------------------------------------------------------------ */

static void add_to_model(uint64_t seq, size_t length)
{
    CU_ASSERT_EQUAL_FATAL(seq, model->next_seq);
    CU_ASSERT_FATAL(model->n < MAX_MESSAGES);
    model->messages[model->n++] = (struct message){.seq = seq,
                                                   .length = (uint32_t)length,
                                                   .taken_ms = model->now_ms,
                                                   .historical = model->session ? NO : YES};
    model->next_seq++;
}

static void do_take(struct box *box)
{
    char body[3000];
    size_t length = box_body(model->next_seq, 20 + random_below(2900), body);
    uint64_t seq = box_put(box, model->next_seq, body, length);
    add_to_model(seq, length);
}

static void do_commit(struct box *box)
{
    CU_ASSERT_EQUAL(outbox_commit(box->outbox, model->now_ms), 0);
    for (size_t i = model->n; i-- > 0 && model->messages[i].state == UNCOMMITTED;)
        model->messages[i].state = IN_CUSTODY;
}

static void do_tick(struct box *box)
{
    model->now_ms += (int64_t)random_below(200);
    (void)outbox_tick(box->outbox, model->now_ms);
    model->last_tick_ms = model->now_ms;
    do_commit(box); /* the tick has committed */
}

static void check_handed_out(const struct outbox_message *handed, uint64_t *last)
{
    struct message *message = find(handed->seq);
    CU_ASSERT_PTR_NOT_NULL_FATAL(message);
    CU_ASSERT_NOT_EQUAL(message->state, UNCOMMITTED);
    CU_ASSERT_NOT_EQUAL(message->state, GONE);
    CU_ASSERT_FALSE(message->in_gap);
    CU_ASSERT_NOT_EQUAL(message->session, model->session); /* once for each session */
    CU_ASSERT(handed->seq > *last);
    CU_ASSERT_EQUAL(handed->body_length, message->length);
    CU_ASSERT_TRUE(box_content_good(handed));
    if (message->historical == EITHER)
        message->historical = handed->historical ? YES : NO;
    CU_ASSERT_EQUAL(handed->historical, message->historical == YES);
    message->handed_out = true;
    message->in_doubt = false; /* it is there after all */
    message->session = model->session;
    *last = handed->seq;
}

/* An empty lane: all that belongs in it was handed out in this session. */
static void check_lane_empty(uint64_t from, uint64_t below)
{
    for (size_t i = 0; i < model->n; i++) {
        const struct message *message = &model->messages[i];
        if (message->seq >= from && message->seq < below && is_due(message) && !model->small)
            CU_ASSERT_EQUAL(message->session, model->session);
    }
}

static void do_live(struct box *box)
{
    struct outbox_message handed;
    for (uint32_t i = 1 + random_below(8); i > 0; i--) {
        if (!outbox_next_live(box->outbox, &handed)) {
            if (model->session)
                check_lane_empty(model->lane_start, model->next_seq);
            return;
        }
        CU_ASSERT(model->session && handed.seq >= model->lane_start);
        check_handed_out(&handed, &model->last_live);
    }
}

static void do_backlog(struct box *box)
{
    struct outbox_message handed;
    for (uint32_t i = 1 + random_below(40); i > 0; i--) {
        if (!outbox_next_backlog(box->outbox, &handed)) {
            if (model->session)
                check_lane_empty(0, model->lane_start);
            return;
        }
        CU_ASSERT(model->session && handed.seq < model->lane_start);
        check_handed_out(&handed, &model->last_backlog);
    }
}

static void do_release(struct box *box)
{
    uint32_t start = model->n ? random_below((uint32_t)model->n) : 0;
    uint32_t left = 1 + random_below(30);
    for (size_t i = start; i < model->n && left > 0; i++) {
        struct message *message = &model->messages[i];
        bool in_flight = message->session == model->session && message->state == IN_CUSTODY;
        if (!model->session || !in_flight || random_below(8) == 0)
            continue;
        message->state = ACKNOWLEDGED;
        outbox_release(box->outbox, message->seq);
        left--;
    }
}

static void model_link_down(void)
{
    for (size_t i = model->n; model->session && i-- > 0;) {
        struct message *message = &model->messages[i];
        if (message->seq < model->lane_start)
            break;
        if (!message->handed_out)
            message->historical = YES;
    }
    model->session = 0;
}

static void do_link(struct box *box)
{
    bool up = random_below(4) > 0;
    model_link_down();
    outbox_link(box->outbox, up, model->now_ms);
    if (up) {
        model->session = ++model->sessions;
        model->lane_start = model->next_seq;
        model->last_live = model->last_backlog = 0;
    }
    do_commit(box);
}

/* Reports the gaps as the pipeline does. */
static void do_gaps(struct box *box)
{
    struct outbox_gap gap;
    while (outbox_next_gap(box->outbox, &gap)) {
        CU_ASSERT(gap.first <= gap.last && gap.last < model->next_seq);
        bool full = strcmp(gap.reason, "full") == 0;
        CU_ASSERT(full ? model->small : model->was_cut);
        for (size_t i = 0; i < model->n; i++) {
            struct message *message = &model->messages[i];
            if (message->seq < gap.first || message->seq > gap.last)
                continue;
            bool again = message->in_gap; /* the report was lost in a power cut */
            CU_ASSERT(!full || again || message->state == IN_CUSTODY ||
                      message->state == ACKNOWLEDGED);
            model->dropped += full;
            message->in_gap |= full;
            message->in_doubt |= !full;
        }
        do_take(box);
        outbox_gap_reported(box->outbox);
    }
    do_commit(box);
}

static void run_operations(struct box *box)
{
    static void (*const operations[])(struct box * box) = {
        do_take, do_take, do_take,    do_take,    do_commit,  do_commit, do_tick,
        do_live, do_live, do_backlog, do_release, do_release, do_gaps,
    };
    for (int i = 0; i < OPERATIONS; i++) {
        uint32_t choice = random_below(100);
        if (choice < 3)
            do_link(box);
        else
            operations[choice % (sizeof(operations) / sizeof(operations[0]))](box);
        model->operations++;
    }
}

/* --- lives ----------------------------------------------------------------------------------- */

/* What must have reached the disk, by the clock; with a tick at least this often. */
static bool must_be_on_disk(const struct box *box, const struct message *message)
{
    int64_t age = model->last_tick_ms - message->taken_ms;
    return age > box->settings.spill_after_ms + box->settings.sync_ms;
}

/* The model's idea of what is left after a kill. */
static void model_killed(void)
{
    for (size_t i = 0; i < model->n && model->power_cut; i++) {
        if (!model->messages[i].handed_out)
            model->messages[i].historical = EITHER;
    }
    model->session = 0;
}

/* What was taken but not committed may be there (the outbox may commit earlier) or not. */
static void model_started(uint64_t next_seq)
{
    uint64_t committed_below = model->next_seq;
    for (size_t i = model->n; i-- > 0 && model->messages[i].state == UNCOMMITTED;)
        committed_below = model->messages[i].seq;
    CU_ASSERT_FATAL(next_seq >= committed_below);
    CU_ASSERT(next_seq <= model->next_seq || model->power_cut);
    CU_ASSERT(next_seq >= model->next_seq || !model->power_cut);
    while (model->n && model->messages[model->n - 1].seq >= next_seq)
        model->n--;
    for (size_t i = 0; i < model->n; i++) {
        struct message *message = &model->messages[i];
        if (message->state == UNCOMMITTED)
            message->state = IN_CUSTODY;
    }
    model->next_seq = next_seq;
}

/* After a start: what is in custody is there, or in a gap; and it is what it was. */
static void check_start(struct box *box)
{
    struct outbox_message handed;
    uint64_t last = 0;
    model->session = ++model->sessions;
    model->lane_start = model->next_seq;
    model->last_live = model->last_backlog = 0;
    outbox_link(box->outbox, true, model->now_ms);
    do_gaps(box);
    while (outbox_next_backlog(box->outbox, &handed)) {
        struct message *message = find(handed.seq);
        CU_ASSERT_PTR_NOT_NULL_FATAL(message);
        check_handed_out(&handed, &last);
    }
    model->last_backlog = last;
    do_gaps(box); /* also those of what was dropped just now */
    for (size_t i = 0; i < model->n; i++) {
        struct message *message = &model->messages[i];
        if (message->state != IN_CUSTODY || message->session == model->session ||
            message->seq >= model->lane_start)
            continue;
        /* Lost without a record: the one thing it must not be. */
        CU_ASSERT_TRUE(message->in_gap || message->in_doubt);
        if (model->power_cut && !model->small)
            CU_ASSERT_FALSE(must_be_on_disk(box, message));
        message->state = GONE;
    }
}

static void start(struct box *box)
{
    CU_ASSERT_EQUAL_FATAL(box_try_open(box), 0);
    TEST_TEXT_EQUAL(strbuf_text(&box->warning), "");
    uint64_t next = box_stats(box).next_seq;
    if (model->stream[0])
        TEST_TEXT_EQUAL(outbox_stream(box->outbox), model->stream);
    (void)snprintf(model->stream, sizeof(model->stream), "%s", outbox_stream(box->outbox));
    model_started(next);
    check_start(box);
    model->power_cut = false;
}

static void life(struct box *box)
{
    start(box);
    run_operations(box);
    if (random_below(3) == 0) {
        do_commit(box);
        model_link_down();
        box_close(box);
    } else {
        model_killed();
    }
}

static void run_seed(uint32_t seed)
{
    struct box box;
    box_init(&box);
    memset(model, 0, sizeof(*model));
    model->next_seq = 1;
    model->now_ms = 1000;
    model->small = seed % 4 == 3;
    box.settings.max_bytes = model->small ? 60000 : UINT64_C(64) << 20;
    box.settings.spill_after_ms = 500;
    box.settings.sync_ms = 200;
    random_state = seed * 7919 + 1;
    for (int i = 0; i < LIVES; i++) {
        random_state += 1000003;
        unsigned failures = CU_get_number_of_failures();
        box.now_ms = model->now_ms;
        box_in_killed_child(&box, life);
        if (CU_get_number_of_failures() > failures) {
            printf("(seed %u, life %d) ", seed, i);
            return;
        }
        if (random_below(4) == 0) {
            model->power_cut = model->was_cut = true;
            box_power_cut(&box);
            model_killed();
        }
    }
}

static void test_model(void)
{
    uint64_t operations = 0, dropped = 0;
    model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(model != MAP_FAILED);
    const char *more = getenv("OUTBOX_MODEL_SEEDS");
    uint32_t seeds = more ? (uint32_t)strtoul(more, NULL, 10) : SEEDS;
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        run_seed(seed);
        operations += model->operations;
        dropped += model->dropped;
    }
    CU_ASSERT(operations > (uint64_t)seeds * LIVES * OPERATIONS / 2);
    CU_ASSERT(dropped > 0);
    munmap(model, sizeof(*model));
}

TEST_MAIN("outbox_model", {"random operations, stops, kills and power cuts", test_model})
