/*
 * The enrolment file: everything that a gateway needs to know about the central site, as the hub
 * kit writes it. It may arrive on a USB stick or by mail, so nothing in it is trusted: tables with
 * bounds check every value, and a value reaches a file only as a quoted text or as PEM.
 */

#include "agent/cli/init/init_enrolment.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/cli/init/init_answers.h"
#include "config/load/broker_url.h"
#include "config/load/section.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/model/wireguard_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (256 * 1024)
#define PEM_MAX_BYTES 65536
#define LIST_MAX 16

#define MEMBER(owner, name) .key = #name, .offset = offsetof(struct owner, name)
#define TABLE(table_path, owner, table_rows, table_help)                                           \
    {                                                                                              \
        .path = (table_path), .help = (table_help), .rows = (table_rows),                          \
        .n_rows = ARRAY_LENGTH(table_rows), .size = sizeof(struct owner)                           \
    }

static const struct option gateway_rows[] = {
    {MEMBER(init_gateway, id), .type = OPTION_ID, .flags = OPTION_REQUIRED, .help = ""},
    {MEMBER(init_gateway, site), .type = OPTION_ID, .flags = OPTION_REQUIRED, .help = ""},
};
static const struct option_table gateway_table = TABLE("gateway", init_gateway, gateway_rows, "");

static const struct option uplink_rows[] = {
    {MEMBER(init_uplink, servers), .type = OPTION_TEXT_LIST, .flags = OPTION_REQUIRED, .min = 1,
     .max = LIST_MAX, .help = ""},
    {MEMBER(init_uplink, username), .type = OPTION_TEXT, .min = 1, .max = 256, .help = ""},
    {MEMBER(init_uplink, password), .type = OPTION_TEXT, .flags = OPTION_SECRET, .min = 1,
     .max = 1024, .help = ""},
    {MEMBER(init_uplink, client_id), .type = OPTION_TEXT, .min = 1, .max = 256, .help = ""},
    {MEMBER(init_uplink, prefix), .type = OPTION_TEXT, .min = 1, .max = 128, .help = ""},
    {MEMBER(init_uplink, ca_pem), .type = OPTION_BYTES, .flags = OPTION_REQUIRED, .min = 1,
     .max = PEM_MAX_BYTES, .help = ""},
    {MEMBER(init_uplink, certificate_pem), .type = OPTION_BYTES, .min = 1, .max = PEM_MAX_BYTES,
     .help = ""},
    {MEMBER(init_uplink, key_pem), .type = OPTION_BYTES, .flags = OPTION_SECRET, .min = 1,
     .max = PEM_MAX_BYTES, .help = ""},
};
static const struct option_table uplink_table = TABLE("uplink", init_uplink, uplink_rows, "");

static const struct option tunnel_rows[] = {
    {MEMBER(init_tunnel, address), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 7,
     .max = 18, .help = ""},
    {MEMBER(init_tunnel, private_key), .type = OPTION_TEXT, .flags = OPTION_SECRET, .min = 44,
     .max = 44, .help = ""},
    {MEMBER(init_tunnel, sources), .type = OPTION_TEXT_LIST, .flags = OPTION_REQUIRED, .min = 1,
     .max = NETD_MAX_SOURCES, .help = ""},
};
static const struct option_table tunnel_table = TABLE("tunnel", init_tunnel, tunnel_rows, "");

static const struct option hub_rows[] = {
    {MEMBER(init_hub, public_key), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 44,
     .max = 44, .help = ""},
    {MEMBER(init_hub, endpoint), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 3,
     .max = 260, .help = ""},
    {MEMBER(init_hub, address), .type = OPTION_TEXT, .flags = OPTION_REQUIRED, .min = 7, .max = 18,
     .help = ""},
    {MEMBER(init_hub, preshared_key), .type = OPTION_TEXT, .flags = OPTION_SECRET, .min = 44,
     .max = 44, .help = ""},
};
static const struct option_table hub_table = TABLE("tunnel.hub", init_hub, hub_rows, "");

static const struct option root_rows[] = {
    {MEMBER(init_signers, enrolment), .type = OPTION_INT, .flags = OPTION_REQUIRED, .min = 1,
     .max = 1, .help = ""},
    {MEMBER(init_signers, allowed_signers), .type = OPTION_BYTES, .min = 0, .max = PEM_MAX_BYTES,
     .help = ""},
    {MEMBER(init_signers, revoked_keys), .type = OPTION_BYTES, .min = 0, .max = PEM_MAX_BYTES,
     .help = ""},
};
static const struct option_table root_table = TABLE("", init_signers, root_rows, "");

/* ---- reading ---- */

static void check_key(const struct section *section, const char *key, const char *text)
{
    if (text && !wireguard_key_is_valid(text))
        section_report(section, FINDING_ERROR, key,
                       "is not a WireGuard key: 43 characters of base64 and a =");
}

static void enrolment_check_servers(const struct section *section, const struct text_list *servers)
{
    struct broker_url server;
    struct problem problem;
    for (size_t i = 0; i < servers->length; i++) {
        if (broker_url_parse(servers->items[i], &server, &problem) < 0)
            section_report(section, FINDING_ERROR, "servers", "\"%s\": %s", servers->items[i],
                           problem.text);
    }
}

static void read_uplink(const struct section *root, struct init_uplink *uplink)
{
    struct section section;
    section_child(root, "uplink", &section);
    struct part part = {.table = &uplink_table, .values = uplink};
    section_read(&section, &part, 1, NULL);
    enrolment_check_servers(&section, &uplink->servers);
    if (!uplink->certificate_pem != !uplink->key_pem)
        section_report(&section, FINDING_ERROR, uplink->key_pem ? "key_pem" : "certificate_pem",
                       "certificate_pem and key_pem belong together");
    if (!uplink->username != !uplink->password)
        section_report(&section, FINDING_ERROR, uplink->username ? "username" : "password",
                       "username and password belong together");
}

static void enrolment_read_tunnel(const struct section *root, struct init_answers *answers)
{
    static const char *const groups[] = {"hub", NULL};
    struct section section, hub;
    answers->has_tunnel = section_child(root, "tunnel", &section);
    if (!answers->has_tunnel)
        return;
    struct part part = {.table = &tunnel_table, .values = &answers->tunnel};
    section_read(&section, &part, 1, groups);
    check_key(&section, "private_key", answers->tunnel.private_key);
    section_child(&section, "hub", &hub);
    part = (struct part){.table = &hub_table, .values = &answers->hub};
    section_read(&hub, &part, 1, NULL);
    check_key(&hub, "public_key", answers->hub.public_key);
    check_key(&hub, "preshared_key", answers->hub.preshared_key);
}

static void enrolment_read_root(const struct section *root, struct init_answers *answers)
{
    static const char *const groups[] = {"gateway", "uplink", "tunnel", NULL};
    struct section section;
    struct part part = {.table = &root_table, .values = &answers->signers};
    section_read(root, &part, 1, groups);
    section_child(root, "gateway", &section);
    part = (struct part){.table = &gateway_table, .values = &answers->gateway};
    section_read(&section, &part, 1, NULL);
    read_uplink(root, &answers->uplink);
    enrolment_read_tunnel(root, answers);
}

int init_read_enrolment(const char *path, struct findings *findings, struct init_answers *answers)
{
    struct init_answers fresh = {.has_tunnel = false};
    struct source *source = NULL;
    struct section root;
    size_t errors = findings->errors;
    if (source_open(path, FILE_MAX_BYTES, findings, &source) < 0)
        return -EINVAL;
    source_root(source, findings, &root);
    enrolment_read_root(&root, &fresh);
    init_set(&fresh.enrolment_text, source_text(source));
    source_close(source);
    if (findings->errors > errors) {
        init_answers_free(&fresh);
        return -EINVAL;
    }
    *answers = fresh;
    return 0;
}
