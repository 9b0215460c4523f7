/* The chain that holds the lines of the journal together. */
#include "tunnel/journal/journal_chain.h"

#include "tunnel/model/event_text.h"

#include <string.h>

#define HASH_MARK " hash="
#define MARK_LENGTH (sizeof(HASH_MARK) - 1)
#define HASH_LENGTH (MARK_LENGTH + SHA256_HEX_BYTES - 1)

void journal_chain_init(struct journal_chain *chain)
{
    *chain = (struct journal_chain){.seq = 0};
}

static void hash_line(const char *previous, const char *line, size_t length,
                      char ret_hex[SHA256_HEX_BYTES])
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, previous, strlen(previous));
    sha256_update(&hash, "\n", 1);
    sha256_update(&hash, line, length);
    sha256_final(&hash, ret_hex);
}

void journal_chain_seal(const struct journal_chain *chain, struct strbuf *line,
                        char ret_hex[SHA256_HEX_BYTES])
{
    hash_line(chain->hash, line->data, line->length, ret_hex);
    strbuf_addf(line, HASH_MARK "%s", ret_hex);
}

void journal_chain_advance(struct journal_chain *chain, const char hex[SHA256_HEX_BYTES])
{
    memcpy(chain->hash, hex, sizeof(chain->hash));
    chain->seq++;
    chain->lines++;
}

/* The hash that EVENT, if it is a `chain` line, says the file before ended with; else NULL. */
static const char *begins_file(const struct event *event)
{
    const char *previous = event_text(event, MEMBER_PREVIOUS);
    bool is_chain = event->kind == EVENT_CHAIN && strlen(previous) == SHA256_HEX_BYTES - 1;
    return is_chain ? previous : NULL;
}

/* The hash is looked at even if the line cannot be read: a changed one is to be called that. */
const char *journal_chain_check(struct journal_chain *chain, const char *line, size_t length)
{
    char actual[SHA256_HEX_BYTES];
    struct event event;
    uint64_t seq;
    bool is_read = event_text_read(line, length, &seq, &event) == 0;
    if (length < HASH_LENGTH || memcmp(line + length - HASH_LENGTH, HASH_MARK, MARK_LENGTH) != 0)
        return is_read ? "carries no hash" : "is not a line of this journal";
    const char *previous = is_read ? begins_file(&event) : NULL;
    if (previous && chain->hash[0] && strcmp(previous, chain->hash) != 0)
        return "does not continue the file before it";
    if (!previous && !chain->hash[0])
        return "is not the first line of a file";
    if (is_read && chain->lines > 0 && seq != chain->seq + 1)
        return "has the wrong number: lines are missing";
    hash_line(previous ? previous : chain->hash, line, length - HASH_LENGTH, actual);
    if (memcmp(actual, line + length - (SHA256_HEX_BYTES - 1), SHA256_HEX_BYTES - 1) != 0)
        return "was changed, or the line before it was";
    if (!is_read)
        return "is not a line of this journal";
    journal_chain_advance(chain, actual);
    chain->seq = seq;
    return NULL;
}
