/*
 * A serial wire with Modbus RTU or ASCII units, after MODBUS over Serial Line V1.02, section 2.5.
 * The master's end is a pty behind a link of a chosen name. The wire is simulated in time: what the
 * master writes at once arrives character by character, a frame ends after 3.5 characters of
 * silence, a reply begins then, and its bytes are handed over when a UART with a FIFO of `chunk`
 * characters would, the last one when its stop bit has passed.
 *
 * The clock of the wire is the plan, not the moment at which this process got to run: a master is
 * never called early because the plant was late.
 */
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "tests/plant/line.h"
#include "tests/plant/words.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

struct rtu {
    struct line line;
    const struct framing *framing;
    char *link;
    struct watch master; /* fd -1 while unplugged */
    int slave;           /* kept open, so that the pty outlives a master that closes it */
    speed_t speed;
    int64_t char_ns, gap_ns; /* 3.5 characters */
    unsigned chunk;
    bool echo; /* the adapter returns what the master sends */

    /* the request that is on the wire */
    uint8_t heard[ADU_MAX + 1];
    size_t n_heard;       /* 0: none; ADU_MAX + 1: too long */
    int64_t heard_end_ns; /* of its last character so far */
    bool heard_early, heard_spoiled;
    struct timer frame_end;

    /* what is being said to the master */
    uint8_t said[4096];
    size_t n_said, n_delivered;
    int64_t said_begin_ns;
    bool said_is_noise;
    struct timer delivery;

    int64_t quiet_since_ns; /* end of the last request or reply; noise does not count */
    int64_t busy_until_ns;  /* a request with its reply: noise before this hits something */
    bool exchange_hit;      /* it has been counted */
    struct parcel *parcels;

    int64_t noise_every_ns; /* 0: none by itself */
    uint32_t noise_length;
    struct timer noise;
    struct {
        uint64_t frames, bad_frames, broadcasts, nobody, wrong_speed, early, collisions, overruns,
            noises, noise_hits;
    } count;
};

/* A reply, or the rest of one, that begins later. */
struct parcel {
    struct timer timer;
    struct rtu *rtu;
    struct parcel *next;
    struct answer answer;
};

static const struct {
    unsigned baud;
    speed_t speed;
} speeds[] = {
    {300, B300},       {1200, B1200},     {2400, B2400},     {4800, B4800},
    {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},
    {115200, B115200}, {230400, B230400}, {460800, B460800}, {921600, B921600},
};

static int64_t said_end(const struct rtu *rtu)
{
    return rtu->said_begin_ns + (int64_t)rtu->n_said * rtu->char_ns;
}

static void plan_delivery(struct rtu *rtu)
{
    size_t next = rtu->n_delivered + rtu->chunk;
    if (next > rtu->n_said)
        next = rtu->n_said;
    loop_set_timer(rtu->line.loop, &rtu->delivery,
                   rtu->said_begin_ns + (int64_t)next * rtu->char_ns);
}

static void delivery_due(struct timer *timer)
{
    struct rtu *rtu = (struct rtu *)((char *)timer - offsetof(struct rtu, delivery));
    size_t complete = (size_t)((clock_mono_ns() - rtu->said_begin_ns) / rtu->char_ns);
    if (complete > rtu->n_said)
        complete = rtu->n_said;
    size_t length = complete - rtu->n_delivered;
    if (rtu->master.fd >= 0 &&
        write(rtu->master.fd, rtu->said + rtu->n_delivered, length) != (ssize_t)length)
        rtu->count.overruns++; /* the master does not read: as a UART, we drop */
    rtu->n_delivered = complete;
    if (rtu->n_delivered < rtu->n_said)
        plan_delivery(rtu);
    else
        rtu->n_said = rtu->n_delivered = 0;
}

/* Says BYTES from AT_NS on, or as soon as what is being said has ended. Returns when it ends. */
static int64_t say(struct rtu *rtu, const uint8_t *bytes, size_t length, int64_t at_ns)
{
    bool busy = rtu->n_said > 0;
    if (length == 0 || rtu->n_said + length > sizeof(rtu->said))
        return at_ns;
    if (!busy) {
        rtu->said_begin_ns = at_ns;
        rtu->said_is_noise = false;
    }
    memcpy(rtu->said + rtu->n_said, bytes, length);
    rtu->n_said += length;
    plan_delivery(rtu);
    return said_end(rtu);
}

/* A unit talks. When somebody else does, both become one unreadable frame. */
static int64_t reply(struct rtu *rtu, const uint8_t *bytes, size_t length, int64_t at_ns)
{
    if (rtu->n_heard > 0) {
        rtu->heard_spoiled = true;
        rtu->count.collisions++;
    }
    rtu->quiet_since_ns = say(rtu, bytes, length, at_ns);
    return rtu->quiet_since_ns;
}

static void post_parcel(struct rtu *rtu, const struct answer *answer, int64_t at_ns);

static void send_answer(struct rtu *rtu, const struct answer *answer, int64_t at_ns)
{
    size_t first = answer->split_at ? answer->split_at : answer->length;
    int64_t end_ns = reply(rtu, answer->bytes, first, at_ns);
    rtu->busy_until_ns = end_ns;
    if (first == answer->length)
        return;
    struct answer rest = {.delivery = DELIVER, .length = answer->length - first};
    memcpy(rest.bytes, answer->bytes + first, rest.length);
    post_parcel(rtu, &rest, end_ns + answer->pause_ns);
}

static void remove_parcel(struct parcel *parcel)
{
    struct parcel **at = &parcel->rtu->parcels;
    while (*at != parcel)
        at = &(*at)->next;
    *at = parcel->next;
    loop_clear_timer(parcel->rtu->line.loop, &parcel->timer);
    free(parcel);
}

static void parcel_due(struct timer *timer)
{
    struct parcel *parcel = (struct parcel *)timer;
    struct rtu *rtu = parcel->rtu;
    struct answer answer = parcel->answer;
    int64_t due_ns = timer->at_ns;
    remove_parcel(parcel);
    send_answer(rtu, &answer, due_ns);
}

static void post_parcel(struct rtu *rtu, const struct answer *answer, int64_t at_ns)
{
    struct parcel *parcel = memory_zeroed(1, sizeof(*parcel));
    parcel->timer.fire = parcel_due;
    parcel->rtu = rtu;
    parcel->answer = *answer;
    parcel->next = rtu->parcels;
    rtu->parcels = parcel;
    loop_set_timer(rtu->line.loop, &parcel->timer, at_ns);
}

static void serve_frame(struct rtu *rtu, const struct frame *request, bool early)
{
    struct answer answer;
    int64_t reply_ns = rtu->heard_end_ns + rtu->gap_ns;
    struct unit *unit = line_unit(&rtu->line, request->unit);
    if (!unit) {
        rtu->count.nobody++;
        return;
    }
    unit_answer(unit, &rtu->line.world, request, early, rtu->heard_end_ns, &answer);
    if (answer.delivery != DELIVER || answer.length == 0)
        return;
    if (answer.delay_ns > 0)
        post_parcel(rtu, &answer, reply_ns + answer.delay_ns);
    else
        send_answer(rtu, &answer, reply_ns);
}

static void frame_ended(struct timer *timer)
{
    struct rtu *rtu = (struct rtu *)((char *)timer - offsetof(struct rtu, frame_end));
    size_t length = rtu->n_heard, end = 0;
    struct frame request;
    bool early = rtu->heard_early;
    rtu->n_heard = 0;
    rtu->quiet_since_ns = rtu->heard_end_ns;
    rtu->count.frames++;
    if (rtu->heard_spoiled || rtu->framing->unwrap(rtu->heard, length, &request, &end) <= 0 ||
        end != length) {
        rtu->count.bad_frames++;
        return;
    }
    if (request.unit != 0) {
        serve_frame(rtu, &request, early);
        return;
    }
    rtu->count.broadcasts++;
    for (size_t i = 0; i < rtu->line.n_units; i++)
        unit_obey(&rtu->line.units[i], &request);
}

static bool speed_is_right(struct rtu *rtu)
{
    struct termios settings;
    return tcgetattr(rtu->slave, &settings) == 0 && cfgetospeed(&settings) == rtu->speed;
}

static void begin_frame(struct rtu *rtu, int64_t now_ns)
{
    int64_t earliest_ns = rtu->quiet_since_ns + rtu->gap_ns;
    rtu->heard_early = now_ns < earliest_ns;
    rtu->heard_spoiled = rtu->n_said > 0 && now_ns < said_end(rtu);
    rtu->exchange_hit = rtu->heard_spoiled && rtu->said_is_noise;
    rtu->count.noise_hits += rtu->exchange_hit;
    rtu->count.collisions += rtu->heard_spoiled && !rtu->said_is_noise;
    rtu->count.early += rtu->heard_early;
    rtu->heard_end_ns = rtu->heard_early ? earliest_ns : now_ns;
}

static void hear(struct rtu *rtu, const uint8_t *bytes, size_t length, int64_t now_ns)
{
    if (rtu->n_heard > 0 && now_ns > rtu->heard_end_ns + rtu->gap_ns) {
        loop_clear_timer(rtu->line.loop, &rtu->frame_end);
        frame_ended(&rtu->frame_end); /* its timer was about to fire */
    }
    if (rtu->n_heard == 0)
        begin_frame(rtu, now_ns);
    else if (now_ns > rtu->heard_end_ns)
        rtu->heard_end_ns = now_ns; /* a pause inside the frame */
    if (rtu->echo)
        (void)say(rtu, bytes, length, rtu->heard_end_ns);
    size_t room = sizeof(rtu->heard) - rtu->n_heard;
    size_t kept = length < room ? length : room;
    memcpy(rtu->heard + rtu->n_heard, bytes, kept);
    rtu->n_heard += kept;
    rtu->heard_end_ns += (int64_t)length * rtu->char_ns;
    rtu->busy_until_ns = rtu->heard_end_ns + rtu->gap_ns;
    loop_set_timer(rtu->line.loop, &rtu->frame_end, rtu->heard_end_ns + rtu->gap_ns);
}

static void master_ready(struct watch *watch, uint32_t events)
{
    struct rtu *rtu = (struct rtu *)((char *)watch - offsetof(struct rtu, master));
    uint8_t bytes[1024];
    (void)events;
    ssize_t n = read(watch->fd, bytes, sizeof(bytes));
    int64_t now_ns = clock_mono_ns();
    if (n <= 0)
        return;
    if (speed_is_right(rtu))
        hear(rtu, bytes, (size_t)n, now_ns);
    else
        rtu->count.wrong_speed++;
}

static void make_noise(struct rtu *rtu, uint32_t length)
{
    uint8_t bytes[256];
    int64_t now_ns = clock_mono_ns();
    if (length > sizeof(bytes))
        length = sizeof(bytes);
    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)dice_roll(rtu->line.world.dice);
    rtu->count.noises++;
    bool hit = now_ns < rtu->busy_until_ns || rtu->n_heard > 0 || rtu->n_said > rtu->n_delivered;
    if (hit && !rtu->exchange_hit) {
        rtu->exchange_hit = true;
        rtu->count.noise_hits++;
    }
    if (rtu->n_heard > 0)
        rtu->heard_spoiled = true;        /* the units hear it too */
    if (rtu->n_said > rtu->n_delivered) { /* a reply: it is damaged, not delayed */
        for (uint32_t i = 0; i < length && rtu->n_delivered + i < rtu->n_said; i++)
            rtu->said[rtu->n_delivered + i] ^= bytes[i] | 1;
    } else {
        (void)say(rtu, bytes, length, now_ns);
        rtu->said_is_noise = true;
    }
}

static void noise_due(struct timer *timer)
{
    struct rtu *rtu = (struct rtu *)((char *)timer - offsetof(struct rtu, noise));
    int64_t every_us = rtu->noise_every_ns / 1000;
    int64_t wait_us = every_us / 2 + dice_roll(rtu->line.world.dice) % (every_us + 1);
    make_noise(rtu, rtu->noise_length);
    loop_set_timer(rtu->line.loop, timer, timer->at_ns + wait_us * 1000);
}

static int plug(struct rtu *rtu)
{
    char name[128];
    struct termios raw;
    int master, slave;
    if (rtu->master.fd >= 0)
        return 0;
    if (openpty(&master, &slave, name, NULL, NULL) != 0)
        return -errno;
    (void)fcntl(master, F_SETFD, FD_CLOEXEC);
    (void)fcntl(slave, F_SETFD, FD_CLOEXEC);
    (void)fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
    if (tcgetattr(slave, &raw) == 0) {
        cfmakeraw(&raw);
        (void)tcsetattr(slave, TCSANOW, &raw);
    }
    (void)unlink(rtu->link);
    if (chmod(name, 0660) != 0 || symlink(name, rtu->link) != 0) {
        int error = -errno;
        close(master);
        close(slave);
        return error;
    }
    rtu->slave = slave;
    rtu->master = (struct watch){.fd = master, .ready = master_ready};
    loop_add(rtu->line.loop, &rtu->master, EPOLLIN);
    return 0;
}

static void unplug(struct rtu *rtu)
{
    if (rtu->master.fd < 0)
        return;
    while (rtu->parcels)
        remove_parcel(rtu->parcels);
    loop_clear_timer(rtu->line.loop, &rtu->frame_end);
    loop_clear_timer(rtu->line.loop, &rtu->delivery);
    rtu->n_heard = rtu->n_said = rtu->n_delivered = 0;
    loop_remove(rtu->line.loop, &rtu->master);
    (void)unlink(rtu->link);
    close(rtu->master.fd);
    close(rtu->slave);
    rtu->master.fd = rtu->slave = -1;
}

static int do_noise(struct rtu *rtu, char *const *words, size_t n_words)
{
    uint64_t length, every_ms = 0;
    if (n_words < 2 || word_number(words[1], 0, 256, &length) != 0 ||
        (n_words == 4 && word_number(words[3], 1, 3600000, &every_ms) != 0))
        return -EINVAL;
    loop_clear_timer(rtu->line.loop, &rtu->noise);
    rtu->noise_length = (uint32_t)length;
    rtu->noise_every_ns = (int64_t)every_ms * CLOCK_NS_PER_MS;
    if (length > 0 && every_ms > 0)
        loop_set_timer(rtu->line.loop, &rtu->noise, clock_mono_ns());
    else if (length > 0)
        make_noise(rtu, rtu->noise_length);
    return 0;
}

/* "plug", "unplug", "echo on|off", "noise BYTES [every MS]"; "noise 0" ends it. */
static int rtu_command(struct line *line, char *const *words, size_t n_words, struct strbuf *out)
{
    struct rtu *rtu = (struct rtu *)line;
    (void)out;
    if (n_words == 1 && strcmp(words[0], "plug") == 0)
        return plug(rtu);
    if (n_words == 1 && strcmp(words[0], "unplug") == 0) {
        unplug(rtu);
        return 0;
    }
    if (n_words == 2 && strcmp(words[0], "echo") == 0) {
        rtu->echo = strcmp(words[1], "on") == 0;
        return 0;
    }
    if (n_words >= 1 && strcmp(words[0], "noise") == 0)
        return do_noise(rtu, words, n_words);
    return -ENOSYS;
}

static void rtu_stats(const struct line *line, struct strbuf *out)
{
    const struct rtu *rtu = (const struct rtu *)line;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"plugged", rtu->master.fd >= 0},      {"char_ns", (uint64_t)rtu->char_ns},
        {"gap_ns", (uint64_t)rtu->gap_ns},     {"frames", rtu->count.frames},
        {"bad_frames", rtu->count.bad_frames}, {"broadcasts", rtu->count.broadcasts},
        {"nobody", rtu->count.nobody},         {"wrong_speed", rtu->count.wrong_speed},
        {"early", rtu->count.early},           {"collisions", rtu->count.collisions},
        {"overruns", rtu->count.overruns},     {"noises", rtu->count.noises},
        {"noise_hits", rtu->count.noise_hits},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        strbuf_addf(out, ",\"%s\":%ju", rows[i].name, (uintmax_t)rows[i].value);
}

static void rtu_forget(struct line *line)
{
    memset(&((struct rtu *)line)->count, 0, sizeof(((struct rtu *)line)->count));
}

static struct line *rtu_free(struct line *line)
{
    struct rtu *rtu = (struct rtu *)line;
    unplug(rtu);
    loop_clear_timer(line->loop, &rtu->noise);
    line_clear(line);
    free(rtu->link);
    free(rtu);
    return NULL;
}

static const struct line_kind rtu_kind = {"rtu", rtu_free, rtu_command, rtu_stats, rtu_forget};

static int set_rate(struct rtu *rtu, unsigned baud, unsigned char_bits)
{
    for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
        if (speeds[i].baud != baud)
            continue;
        rtu->speed = speeds[i].speed;
        rtu->char_ns = CLOCK_NS_PER_S * char_bits / baud;
        rtu->gap_ns = baud > 19200 ? 1750 * CLOCK_NS_PER_US : rtu->char_ns * 7 / 2;
        return 0;
    }
    return -EINVAL;
}

int rtu_new(const char *name, const struct rtu_settings *settings, struct loop *loop,
            const struct unit_world *world, uint8_t first, uint8_t last, struct line **ret_line)
{
    struct rtu *rtu = memory_zeroed(1, sizeof(*rtu));
    line_init(&rtu->line, &rtu_kind, name, loop, world, first, last);
    rtu->framing = settings->framing;
    rtu->line.world.wrap = settings->framing->wrap;
    rtu->link = memory_text(settings->link);
    rtu->master.fd = rtu->slave = -1;
    rtu->chunk = settings->chunk;
    rtu->frame_end.fire = frame_ended;
    rtu->delivery.fire = delivery_due;
    rtu->noise.fire = noise_due;
    for (size_t i = 0; i < rtu->line.n_units; i++)
        rtu->line.units[i].strict = settings->strict;
    int error = set_rate(rtu, settings->baud, settings->char_bits);
    if (!error)
        error = plug(rtu);
    if (error) {
        rtu_free(&rtu->line);
        return error;
    }
    *ret_line = &rtu->line;
    return 0;
}
