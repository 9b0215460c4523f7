/*
 * A line of the plant: a TCP device with its listening socket, a UDP device, or a serial wire on a
 * pty. Each speaks one framing. Made by
 * control.c from a command, owned by struct plant. Everything runs in the one thread of the loop.
 */
#ifndef SALLYPORT_PLANT_LINE_H
#define SALLYPORT_PLANT_LINE_H

#include "tests/plant/framing.h"
#include "tests/plant/loop.h"
#include "tests/plant/unit.h"

struct line;

struct line_kind {
    const char *name;
    struct line *(*free)(struct line *line);
    /*
     * "line NAME WORDS...". 0, or a negative errno with the reason appended to OUT; -ENOSYS: this
     * kind has no such command.
     */
    int (*command)(struct line *line, char *const *words, size_t n_words, struct strbuf *out);
    /* Appends `,"key":number` for each of its counters. */
    void (*stats)(const struct line *line, struct strbuf *out);
    void (*forget)(struct line *line); /* clears them */
};

struct line {
    const struct line_kind *kind;
    char name[64];
    struct loop *loop;
    struct unit_world world;
    struct unit *units; /* by rising number */
    size_t n_units;
};

/* Fills the common part: units FIRST..LAST. */
void line_init(struct line *line, const struct line_kind *kind, const char *name, struct loop *loop,
               const struct unit_world *world, uint8_t first, uint8_t last);
void line_clear(struct line *line);

/* The unit with this number, or NULL. */
struct unit *line_unit(const struct line *line, uint8_t number);

/* Of a TCP or a UDP device. */
struct net_settings {
    const char *address; /* IPv4 */
    uint16_t port;
    const struct framing *framing;
};

struct rtu_settings {
    const struct framing *framing;
    const char *link; /* the path that the simulated serial device gets */
    unsigned baud;
    unsigned char_bits; /* with start, parity and stop bits: 10 for 8N1, 11 for 8E1 */
    unsigned chunk;     /* how many characters come at once, as from a UART's FIFO */
    bool strict;
};

/* All take WORLD but its `wrap`. 0 and the line, or a negative errno. */
int tcp_new(const char *name, const struct net_settings *settings, struct loop *loop,
            const struct unit_world *world, uint8_t first, uint8_t last, struct line **ret_line);
int udp_new(const char *name, const struct net_settings *settings, struct loop *loop,
            const struct unit_world *world, uint8_t first, uint8_t last, struct line **ret_line);
int rtu_new(const char *name, const struct rtu_settings *settings, struct loop *loop,
            const struct unit_world *world, uint8_t first, uint8_t last, struct line **ret_line);

#endif
