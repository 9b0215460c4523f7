/*
 * Reads nft's listing of our table with a scanner that knows words, quoted texts and punctuation,
 * and the only two things whose meaning matters: counters and elements.
 */
#include "tunnel/firewall/nft_listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BYTES 128

struct nft_listing_scanner {
    const char *at;
    char word[WORD_BYTES]; /* the current word; "" at the end of the text */
};

/* Takes the next word; one that does not fit is handed on in pieces, which only changes the hash.
 */
static void advance(struct nft_listing_scanner *scanner)
{
    const char *at = scanner->at + strspn(scanner->at, " \t\n");
    size_t length;
    if (*at == '"') {
        const char *end = strchr(at + 1, '"');
        length = end ? (size_t)(end - at) + 1 : strlen(at);
    } else if (*at == ',' || *at == ';') {
        length = 1;
    } else {
        length = strcspn(at, " \t\n,;\"");
    }
    if (length >= WORD_BYTES)
        length = WORD_BYTES - 1;
    memcpy(scanner->word, at, length);
    scanner->word[length] = '\0';
    scanner->at = at + length;
}

static bool nft_listing_is_word(const struct nft_listing_scanner *scanner, const char *text)
{
    return strcmp(scanner->word, text) == 0;
}

static bool nft_listing_take(struct nft_listing_scanner *scanner, const char *text)
{
    if (!nft_listing_is_word(scanner, text))
        return false;
    advance(scanner);
    return true;
}

static bool nft_listing_take_number(struct nft_listing_scanner *scanner, uint64_t max,
                                    uint64_t *ret_value)
{
    size_t digits = strspn(scanner->word, "0123456789");
    if (digits == 0 || digits > 20 || scanner->word[digits])
        return false;
    errno = 0;
    uint64_t value = strtoull(scanner->word, NULL, 10);
    if (errno || value > max)
        return false;
    *ret_value = value;
    advance(scanner);
    return true;
}

/* "1d2h3m4s5ms", any part of it. */
static bool take_duration(struct nft_listing_scanner *scanner, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"ms", 1}, {"m", 60000}, {"s", 1000}};
    const char *at = scanner->word;
    int64_t total = 0;
    while (*at) {
        size_t digits = strspn(at, "0123456789"), i = 0;
        if (digits == 0 || digits > 9)
            return false;
        long value = strtol(at, NULL, 10);
        at += digits;
        while (i < ARRAY_LENGTH(units) && strncmp(at, units[i].unit, strlen(units[i].unit)) != 0)
            i++;
        if (i == ARRAY_LENGTH(units))
            return false;
        at += strlen(units[i].unit);
        total += value * units[i].ms;
    }
    if (at == scanner->word)
        return false;
    *ret_ms = total;
    advance(scanner);
    return true;
}

static bool take_network(struct nft_listing_scanner *scanner, int family,
                         struct ip_network *ret_network)
{
    struct ip_network network;
    if (ip_network_parse(scanner->word, &network) < 0 || network.family != family)
        return false;
    *ret_network = network;
    advance(scanner);
    return true;
}

static bool take_protocol(struct nft_listing_scanner *scanner, uint8_t *ret_protocol)
{
    if (nft_listing_take(scanner, "tcp") || nft_listing_take(scanner, "6"))
        *ret_protocol = IPPROTO_TCP;
    else if (nft_listing_take(scanner, "udp") || nft_listing_take(scanner, "17"))
        *ret_protocol = IPPROTO_UDP;
    else
        return false;
    return true;
}

static bool nft_listing_take_port(struct nft_listing_scanner *scanner, uint16_t *ret_port)
{
    uint64_t port;
    if (!nft_listing_take_number(scanner, 65535, &port))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool nft_listing_take_quoted(struct nft_listing_scanner *scanner, char *text, size_t size)
{
    size_t length = strlen(scanner->word);
    if (length < 3 || length - 2 >= size || scanner->word[0] != '"' ||
        scanner->word[length - 1] != '"')
        return false;
    memcpy(text, scanner->word + 1, length - 2);
    text[length - 2] = '\0';
    advance(scanner);
    return true;
}

/* ---- Elements ---- */

static bool take_in(struct nft_listing_scanner *scanner, struct firewall_lease *lease)
{
    char interface[IFNAMSIZ];
    return nft_listing_take_quoted(scanner, interface, sizeof(interface)) &&
           strcmp(interface, TUNNEL_INTERFACE) == 0 && nft_listing_take(scanner, ".") &&
           take_network(scanner, AF_INET, &lease->source) && nft_listing_take(scanner, ".") &&
           take_network(scanner, AF_INET, &lease->destination) && nft_listing_take(scanner, ".") &&
           take_protocol(scanner, &lease->protocol) && nft_listing_take(scanner, ".") &&
           nft_listing_take_port(scanner, &lease->port);
}

static bool take_through(struct nft_listing_scanner *scanner, struct firewall_lease *lease)
{
    return take_network(scanner, AF_INET, &lease->source) && nft_listing_take(scanner, ".") &&
           take_network(scanner, AF_INET, &lease->destination) && nft_listing_take(scanner, ".") &&
           take_protocol(scanner, &lease->protocol) && nft_listing_take(scanner, ".") &&
           nft_listing_take_port(scanner, &lease->port) && nft_listing_take(scanner, ".") &&
           nft_listing_take_quoted(scanner, lease->interface, sizeof(lease->interface));
}

/* An element without a timeout never ends: we write none, so it is not ours. */
static bool take_state(struct nft_listing_scanner *scanner, uint64_t *ret_bytes,
                       int64_t *ret_remaining_ms)
{
    uint64_t packets;
    int64_t timeout_ms;
    if (nft_listing_take(scanner, "counter") &&
        !(nft_listing_take(scanner, "packets") &&
          nft_listing_take_number(scanner, UINT64_MAX, &packets) &&
          nft_listing_take(scanner, "bytes") &&
          nft_listing_take_number(scanner, UINT64_MAX, ret_bytes)))
        return false;
    return nft_listing_take(scanner, "timeout") && take_duration(scanner, &timeout_ms) &&
           nft_listing_take(scanner, "expires") && take_duration(scanner, ret_remaining_ms);
}

static int read_lease(struct nft_listing_scanner *scanner, bool through,
                      struct nft_listing *listing)
{
    struct firewall_lease_state state = {0};
    if (listing->n_leases == ARRAY_LENGTH(listing->leases))
        return -E2BIG;
    if (!(through ? take_through(scanner, &state.lease) : take_in(scanner, &state.lease)) ||
        !take_state(scanner, &state.bytes, &state.remaining_ms))
        return -EBADMSG;
    listing->leases[listing->n_leases++] = state;
    return 0;
}

static int nft_listing_read_egress(struct nft_listing_scanner *scanner, int family, bool is_agents,
                                   struct nft_listing *listing)
{
    struct egress_lease lease = {.is_agents = is_agents};
    uint64_t bytes;
    if (listing->n_egress == ARRAY_LENGTH(listing->egress))
        return -E2BIG;
    if (!take_network(scanner, family, &lease.destination) || !nft_listing_take(scanner, ".") ||
        !take_protocol(scanner, &lease.protocol) || !nft_listing_take(scanner, ".") ||
        !nft_listing_take_port(scanner, &lease.port) ||
        !take_state(scanner, &bytes, &lease.remaining_ms))
        return -EBADMSG;
    listing->egress[listing->n_egress++] = lease;
    return 0;
}

static int read_element(struct nft_listing_scanner *scanner, const char *set,
                        struct nft_listing *listing)
{
    if (strcmp(set, NFT_TEXT_LEASE_IN) == 0)
        return read_lease(scanner, false, listing);
    if (strcmp(set, NFT_TEXT_LEASE_THROUGH) == 0)
        return read_lease(scanner, true, listing);
    bool is_agents = strcmp(set, NFT_AGENT_SET4) == 0 || strcmp(set, NFT_AGENT_SET6) == 0;
    bool is_v6 = strcmp(set, NFT_TEXT_EGRESS6) == 0 || strcmp(set, NFT_AGENT_SET6) == 0;
    return nft_listing_read_egress(scanner, is_v6 ? AF_INET6 : AF_INET, is_agents, listing);
}

static bool is_lease_set(const char *name)
{
    static const char *const names[] = {NFT_TEXT_LEASE_IN, NFT_TEXT_LEASE_THROUGH, NFT_TEXT_EGRESS4,
                                        NFT_TEXT_EGRESS6,  NFT_AGENT_SET4,         NFT_AGENT_SET6};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Behind "elements": "= { ELEMENT, ELEMENT }". */
static int read_elements(struct nft_listing_scanner *scanner, const char *set,
                         struct nft_listing *listing)
{
    if (!nft_listing_take(scanner, "=") || !nft_listing_take(scanner, "{"))
        return -EBADMSG;
    do {
        int problem = read_element(scanner, set, listing);
        if (problem < 0)
            return problem;
    } while (nft_listing_take(scanner, ","));
    return nft_listing_take(scanner, "}") ? 0 : -EBADMSG;
}

/* ---- The rest ---- */

static void hash_word(struct sha256 *hash, const char *word)
{
    sha256_update(hash, word, strlen(word));
    sha256_update(hash, " ", 1);
}

static uint64_t *counter_named(struct nft_listing *listing, const char *name)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        if (strcmp(nft_text_counter_names[i], name) == 0)
            return &listing->packets[i];
    }
    return NULL;
}

/* "packets N bytes N": noted when it belongs to a named counter, and left out of the hash. */
static bool skip_counts(struct nft_listing_scanner *scanner, uint64_t *packets)
{
    struct nft_listing_scanner ahead = *scanner;
    uint64_t n_packets, n_bytes;
    if (!nft_listing_take(&ahead, "packets") ||
        !nft_listing_take_number(&ahead, UINT64_MAX, &n_packets) ||
        !nft_listing_take(&ahead, "bytes") ||
        !nft_listing_take_number(&ahead, UINT64_MAX, &n_bytes))
        return false;
    if (packets)
        *packets = n_packets;
    *scanner = ahead;
    return true;
}

int nft_listing_read(const char *text, struct nft_listing *ret_listing)
{
    struct nft_listing_scanner scanner = {.at = text};
    struct nft_listing listing = {0};
    struct sha256 hash;
    char before[WORD_BYTES] = "", set[WORD_BYTES] = "";
    uint64_t *packets = NULL;
    sha256_init(&hash);
    advance(&scanner);
    while (scanner.word[0]) {
        if (strcmp(before, "set") == 0)
            (void)memcpy(set, scanner.word, sizeof(set));
        if (strcmp(before, "counter") == 0)
            packets = counter_named(&listing, scanner.word);
        if (skip_counts(&scanner, packets))
            continue;
        if (nft_listing_is_word(&scanner, "elements") && is_lease_set(set)) {
            advance(&scanner);
            int problem = read_elements(&scanner, set, &listing);
            if (problem < 0)
                return problem;
            continue;
        }
        hash_word(&hash, scanner.word);
        (void)memcpy(before, scanner.word, sizeof(before));
        advance(&scanner);
    }
    sha256_final(&hash, listing.hash);
    *ret_listing = listing;
    return 0;
}
