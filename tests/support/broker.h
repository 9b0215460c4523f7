/*
 * A real broker for a test: mosquitto with a TLS listener on 127.0.0.1, and a second listener
 * without TLS for the test itself to look behind the scenes. Files in test_folder().
 */
#ifndef SALLYPORT_TESTS_SUPPORT_BROKER_H
#define SALLYPORT_TESTS_SUPPORT_BROKER_H

#include "agent/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct broker {
    pid_t pid;           /* 0: not running */
    uint16_t port;       /* TLS */
    uint16_t plain_port; /* for the test; everybody may do everything there */
    char configuration[512];
};

struct broker_options {
    const char *certificate; /* name for pki_path(), without its ending; NULL: "good" */
    bool wants_client;       /* refuses clients without a certificate of ca.pem */
    const char *login;       /* "USER:PASSWORD" that the TLS listener asks for; NULL: none */
    const char *access;      /* lines of an ACL file of the TLS listener; NULL: all allowed */
};

/* Starts it and waits until it listens; aborts when that fails. */
void broker_start(struct broker *broker, const struct broker_options *options);

/* The same files and ports once more, after broker_kill(). */
void broker_restart(struct broker *broker);

/* SIGKILL, and waits for its end. Does nothing when it does not run. */
void broker_kill(struct broker *broker);

/* Holds it up (SIGSTOP), so that it takes no notice of anything, and lets it go on. */
void broker_pause(const struct broker *broker);
void broker_continue(const struct broker *broker);

/* Publishes at the broker, from outside. */
void broker_publish(const struct broker *broker, const char *topic, const char *payload,
                    bool retained);

/*
 * The first message of a topic that comes within TIMEOUT_MS: "RETAINED TOPIC PAYLOAD", where
 * RETAINED is 1 for one that the broker had stored. OUT is empty when none comes.
 */
void broker_listen(const struct broker *broker, const char *topic, int timeout_ms,
                   struct strbuf *out);

#endif
