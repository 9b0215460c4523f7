/*
 * What the files of `sallyport init` share. Answers come from an enrolment file, from options or
 * from a person; the files are made of them; the tests and the arming work on the files alone.
 * Everything here runs in one thread of the command line.
 */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_H

#include "agent/cli/cli.h"
#include "config/schema/config.h"
#include "config/schema/value.h"
#include "tunnel/config/netd_config.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define INIT "init" /* the subcommand, for messages */

/* ---- answers ---- */

struct init_gateway {
    char *id, *site;
};

struct init_uplink {
    struct text_list servers;
    char *username, *password, *client_id, *prefix; /* NULL when unset, as all texts here */
    char *ca_pem;                                   /* contents of files, not their names */
    char *certificate_pem, *key_pem;
};

struct init_tunnel {
    char *address, *private_key;
    struct text_list sources;
};

struct init_hub {
    char *public_key, *endpoint, *address, *preshared_key;
};

struct init_signers {
    int64_t enrolment; /* version of the format */
    char *allowed_signers, *revoked_keys;
};

struct init_answers {
    struct init_gateway gateway;
    struct init_uplink uplink;
    struct init_tunnel tunnel;
    struct init_hub hub;
    struct init_signers signers;
    bool has_tunnel;
    bool ca_is_system;              /* instead of ca_pem */
    bool wants_request;             /* make a key and a certificate request */
    struct text_list wan, plant;    /* interfaces */
    struct text_list buses, tags;   /* as init_spec.c reads them */
    char *ssh_interface, *ssh_from; /* the exception for SSH; NULL: none */
    unsigned ssh_port;
};

void init_answers_free(struct init_answers *answers); /* wipes secrets; fit for CLEANUP() */

void init_set(char **text, const char *value);            /* replaces, wiping what was there */
void init_add(struct text_list *list, const char *value); /* appends a copy */
void init_list_free(struct text_list *list);
bool init_is_wireguard_key(const char *text);

/*
 * Reads the enrolment file at PATH, of whoever wrote it. Everything wrong goes to FINDINGS. Returns
 * 0, or -EINVAL and ANSWERS untouched. ANSWERS must be empty before.
 */
int init_read_enrolment(const char *path, struct findings *findings, struct init_answers *answers);

/* ---- lines and tags in short ---- */

/* [NAME=]tcp:HOST[:PORT], [NAME=]rtu:DEVICE[,BAUD[,8E1]], [NAME=]sim: */
struct init_bus {
    char name[65];
    const char *driver; /* a literal */
    char place[257];    /* host or device; "" for sim */
    unsigned port;      /* 0: the driver's default, as for the others */
    unsigned baud;
    char frame[4]; /* "8E1", or "" */
};

/* DEVICE.TAG=BUS/UNIT/TABLE/ADDRESS[/TYPE[/ORDER]], or DEVICE.TAG=BUS for a line without units */
struct init_tag {
    char device[65], tag[65], bus[65];
    bool has_register;
    unsigned unit, address;
    char table[17], type[17], order[5]; /* type and order: "" unless given */
};

/*
 * COUNT: how many lines of this kind came before, for the name of one that has none. Return 0, or
 * -EINVAL with a sentence in PROBLEM. Pure.
 */
int init_parse_bus(const char *text, unsigned count, struct init_bus *ret_bus,
                   struct problem *ret_problem);
int init_parse_tag(const char *text, struct init_tag *ret_tag, struct problem *ret_problem);

/* ---- interfaces ---- */

/* One row of /proc/net/route. */
struct init_route {
    char interface[16];
    uint32_t destination, mask; /* host order; both 0: the default route */
    uint32_t metric;
};

/* Takes the rows of usable routes out of TEXT. Returns how many, at most MAX. Pure. */
size_t init_parse_routes(const char *text, struct init_route *routes, size_t max);

/* The interface of the default route with the least metric, or NULL. Pure. */
const char *init_guess_wan(const struct init_route *routes, size_t n_routes);

/* The interface that ADDRESS (host order) is reached through, by the longest mask, or NULL. */
const char *init_interface_to(const struct init_route *routes, size_t n_routes, uint32_t address);

/* Fills `wan` and `plant` where they are empty, from the routes of this machine and the lines. */
void init_guess_interfaces(struct init_answers *answers);

/* The interface that has the address LOCAL on it; false when there is none. */
bool init_interface_of(const char *local, char ret_name[16]);

/* ---- the files ---- */

/* Append the commented files. The answers are complete; findings come from loading the result. */
int init_print_agent_file(const struct init_answers *answers, struct strbuf *out,
                          struct problem *ret_problem);
void init_print_netd_file(const struct init_answers *answers, struct strbuf *out);

/* A new key pair for WireGuard (X25519), both in base64. Returns 0 or -EIO. */
int init_make_wireguard_key(struct strbuf *private_key, struct strbuf *public_key);

/* A new EC key on P-256 and a request for a certificate of NAME, both PEM. Returns 0 or -EIO. */
int init_make_request(const char *name, struct strbuf *key, struct strbuf *request);

struct init_place {
    const char *root;   /* "" or a folder in front of every path */
    const char *folder; /* where the files go: "/etc/sallyport" */
    bool force;         /* replace what is there, and keep a copy */
};

/*
 * Writes all files or none: into a folder beside, checks them there as `sallyport check` does, then
 * moves them into place. Says what it did. Returns CLI_DONE, or an exit code after saying why not.
 */
int init_write(const struct init_place *place, const struct init_answers *answers, FILE *out);

/* ---- tests ---- */

enum init_verdict { INIT_GOOD, INIT_NOTE, INIT_BAD };

/* What the tests found: printed as it comes, or collected for --json. */
struct init_report {
    json_t *steps; /* NULL: print */
    unsigned bad;
};

void init_say(struct init_report *report, enum init_verdict verdict, const char *step,
              const char *format, ...) PRINTF_LIKE(4, 5);

void init_test_broker(const struct config *config, struct init_report *report);
void init_test_plant(const struct config *config, struct init_report *report);

/* ---- questions ---- */

/* Asks on the terminal for what is missing. Returns CLI_DONE, or CLI_FAILED at the end of input. */
int init_ask(struct init_answers *answers);

/* One line from the terminal without its end, at most SIZE - 1 bytes; false at the end of input. */
bool init_read_line(char *line, size_t size);

/* ---- arming ---- */

/* The SSH session that this runs in. */
struct init_ssh {
    char source[64], local[64]; /* addresses: of who sits there, and of this machine */
    unsigned port;              /* of this machine */
};

/* Looks above sudo as well. Returns false, *RET_SSH untouched, when this is no SSH session. */
bool init_ssh_find(struct init_ssh *ret_ssh);

struct init_arming {
    const struct netd_config *netd;
    int seconds; /* until it is undone */
    bool yes;    /* confirmed in advance */
    bool has_terminal;
};

/*
 * Starts netd under the eyes of a guardian, and returns once somebody has confirmed it
 * (CLI_DONE), or it was undone.
 */
int init_arm(const struct init_arming *arming);

int init_confirm(bool keep);       /* `init --confirm` and `--undo`: tells the guardian */
int init_guard(int seconds);       /* `init --guard`: the guardian itself; see init_guard.c */
int init_guard_start(int seconds); /* starts it, out of reach of this session; 0 or errno */

/* Connects to the guardian. Returns a socket or a negative errno. */
int init_guard_connect(void);

bool init_is_guarded(void); /* whether an arming is under way */

/* Appends what became of the last arming since the start of the machine; nothing if there was none.
 */
void init_guard_last(struct strbuf *verdict);

#define INIT_KEEP 'k'
#define INIT_UNDO 'u'
#define INIT_UNDO_AFTER_S 60

/* Runs a program of this machine; its exit status, or a negative errno. OUTPUT may be NULL. */
int init_run(const char *const *arguments, struct strbuf *output);

#define INIT_SYSTEMCTL "/usr/bin/systemctl"
#define INIT_NFT "/usr/sbin/nft"
bool init_has_systemd(void);
bool init_is_armed(void); /* whether the table `inet sallyport` is loaded */

#endif
