/*
 * What a first configuration is made of. Answers come from an enrolment file, from options or from
 * a person. One owner; main thread only.
 */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_ANSWERS_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_ANSWERS_H

#include "config/schema/value.h"

#include <stdbool.h>
#include <stdint.h>

#define INIT "init" /* the subcommand, for messages */

/* The file that keeps the fingerprint of the key which signed the last enrolment. */
#define INIT_KEY_FILE "enrolment-key"

/* A service for a person: name, protocol, port, where it is. */
#define INIT_SERVICE_FORMAT "%s, %s port %u of %s"

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
    char *enrolment_text;      /* the enrolment file as it was read; NULL: there is none */
    char *enrolment_key;       /* the fingerprint of the key that signed it; NULL: unsigned */
    struct text_list services; /* INIT_SERVICE_FORMAT; empty: the one that init writes */
    bool has_tunnel;
    bool ca_is_system;              /* instead of ca_pem */
    bool wants_request;             /* make a key and a certificate request */
    struct text_list wan, plant;    /* interfaces */
    struct text_list buses, tags;   /* as init_notation.c reads them */
    char *ssh_interface, *ssh_from; /* the exception for SSH; NULL: none */
    unsigned ssh_port;
};

void init_answers_free(struct init_answers *answers); /* wipes secrets; fit for CLEANUP() */

void init_set(char **text, const char *value);            /* replaces, wiping what was there */
void init_add(struct text_list *list, const char *value); /* appends a copy */
void init_list_free(struct text_list *list);

#endif
