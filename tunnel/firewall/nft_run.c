/* The nft program and the kernel's count of rule changes. */
#include "tunnel/firewall/nft_run.h"

#include "agent/base/memory.h"
#include "tunnel/os/netlink.h"
#include "tunnel/os/privileged_child.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

/* The first run after power-on loads kernel modules, which a slow machine takes seconds for; to
 * give up then would leave it open. */
#define NFT_TIMEOUT_MS 60000

/* Copies the first line, with anything unprintable as '?'. */
static void add_first_line(struct strbuf *out, const char *text)
{
    size_t length = strcspn(text, "\n");
    for (size_t i = 0; i < length && i < 200; i++)
        strbuf_add_char(out, text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
}

static int nft_run_run(const char *const *arguments, const char *input, struct strbuf *output,
                       struct strbuf *problem)
{
    int status = privileged_child_run_within(arguments, input, input ? strlen(input) : 0,
                                             NFT_TIMEOUT_MS, output);
    if (status == 0)
        return 0;
    if (status < 0) {
        strbuf_addf(problem, "%s could not be run: %s", PROGRAM_NFT, strerror(-status));
        return status;
    }
    strbuf_add(problem, "nft: ");
    add_first_line(problem, strbuf_text(output));
    return -EINVAL;
}

int nft_run_load(const char *text, struct strbuf *problem)
{
    static const char *const arguments[] = {PROGRAM_NFT, "-f", "-", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    return nft_run_run(arguments, text, &output, problem);
}

int nft_run_check(const char *text, struct strbuf *problem)
{
    static const char *const arguments[] = {PROGRAM_NFT, "-c", "-f", "-", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    return nft_run_run(arguments, text, &output, problem);
}

int nft_run_list_table(const char *name, struct strbuf *listing, struct strbuf *problem)
{
    const char *const arguments[] = {PROGRAM_NFT, "list", "table", "inet", name, NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY, complaint = STRBUF_EMPTY;
    int result = nft_run_run(arguments, NULL, &output, &complaint);
    if (result == -EINVAL && strstr(strbuf_text(&output), "No such file or directory"))
        return -ENOENT;
    if (result < 0) {
        strbuf_add(problem, strbuf_text(&complaint));
        return result;
    }
    strbuf_append(listing, output.data, output.length);
    return 0;
}

/* ---- Hooks at devices ---- */

void nft_run_pick_device_hooks(const char *listing, struct strbuf *hooks)
{
    char table[128] = "", chain[128] = "";
    CLEANUP(memory_free_pointer) char *copy = memory_text(listing);
    char *rest = copy;
    bool is_flowtable = false;
    for (char *line; (line = strsep(&rest, "\n"));) {
        size_t indent = strspn(line, "\t");
        char *text = line + indent;
        if (indent == 0)
            (void)snprintf(table, sizeof(table), "%.100s", text);
        if (indent == 1) {
            (void)snprintf(chain, sizeof(chain), "%.100s", text);
            is_flowtable = strncmp(text, "flowtable ", 10) == 0;
        }
        if (indent >= 2 &&
            (is_flowtable || strstr(text, " hook ingress ") || strstr(text, " hook egress ")))
            strbuf_addf(hooks, "%s %s %s\n", table, chain, text);
    }
}

int nft_run_list_device_hooks(struct strbuf *hooks, struct strbuf *problem)
{
    static const char *const arguments[] = {PROGRAM_NFT, "-f", "-", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    int result = nft_run_run(arguments, "list chains\nlist flowtables\n", &output, problem);
    if (result == 0 && output.length > 0)
        nft_run_pick_device_hooks(output.data, hooks);
    return result;
}

/* ---- Generations ---- */

static const uint8_t *attributes_of(const struct nlmsghdr *message, size_t *ret_length)
{
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
        return NULL;
    *ret_length = message->nlmsg_len - NLMSG_LENGTH(sizeof(struct nfgenmsg));
    return (const uint8_t *)message + NLMSG_LENGTH(sizeof(struct nfgenmsg));
}

static bool is_nftables(const struct nlmsghdr *message, unsigned *ret_type)
{
    *ret_type = NFNL_MSG_TYPE(message->nlmsg_type);
    return NFNL_SUBSYS_ID(message->nlmsg_type) == NFNL_SUBSYS_NFTABLES;
}

struct nft_run_generation {
    bool is_known;
    uint32_t value;
};

static void take_generation(const struct nlmsghdr *message, void *context)
{
    struct nft_run_generation *generation = context;
    unsigned type;
    size_t length;
    const uint8_t *attributes = attributes_of(message, &length);
    if (is_nftables(message, &type) && type == NFT_MSG_NEWGEN && attributes &&
        netlink_be32(attributes, length, NFTA_GEN_ID, &generation->value) == 0)
        generation->is_known = true;
}

int nft_run_generation(int socket, uint32_t *ret_generation)
{
    const struct nfgenmsg header = {.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0};
    struct netlink_request request;
    struct nft_run_generation generation = {0};
    netlink_begin(&request, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, &header, sizeof(header));
    int problem = netlink_ask(socket, &request, take_generation, &generation);
    if (problem < 0)
        return problem;
    if (!generation.is_known)
        return -EBADMSG;
    *ret_generation = generation.value;
    return 0;
}

/* NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, ...: the first attribute of every kind. */
static bool names_table(const struct nlmsghdr *message, const char *table)
{
    size_t length;
    const uint8_t *attributes = attributes_of(message, &length);
    const struct nlattr *name =
        attributes ? netlink_find(attributes, length, NFTA_TABLE_NAME) : NULL;
    return name && netlink_value_bytes(name) == strlen(table) + 1 &&
           memcmp(netlink_value(name), table, strlen(table) + 1) == 0;
}

static void read_program(const uint8_t *attributes, size_t length, struct nft_change *change)
{
    const struct nlattr *name = netlink_find(attributes, length, NFTA_GEN_PROC_NAME);
    size_t size = name ? netlink_value_bytes(name) : 0;
    const char *text = name ? netlink_value(name) : "";
    size_t i = 0;
    for (; i < size && text[i] && i < sizeof(change->program) - 1; i++)
        change->program[i] = text[i] <= ' ' || text[i] > '~' ? '?' : text[i];
    change->program[i] = '\0';
}

bool nft_change_read(const struct nlmsghdr *message, const char *table, struct nft_change *change)
{
    unsigned type;
    if (!is_nftables(message, &type))
        return false;
    if (type != NFT_MSG_NEWGEN) {
        change->is_on_table = change->is_on_table || names_table(message, table);
        return false;
    }
    size_t length;
    const uint8_t *attributes = attributes_of(message, &length);
    uint32_t pid = 0;
    if (!attributes || netlink_be32(attributes, length, NFTA_GEN_ID, &change->generation) < 0)
        return false;
    if (netlink_be32(attributes, length, NFTA_GEN_PROC_PID, &pid) == 0)
        change->pid = (int32_t)pid;
    read_program(attributes, length, change);
    return true;
}
