/* Whom an enrolment makes the gateway trust. */
#include "agent/cli/init/init_trust.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "agent/cli/cli.h"
#include "agent/cli/init/init_installed.h"
#include "agent/cli/init/init_questions.h"
#include "agent/cli/init/init_seal.h"
#include "tunnel/config/signers.h"
#include "tunnel/model/address.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WIDE_BITS 16  /* a shorter source has more addresses than any hub gives away */
#define LARGE_BITS 24 /* the number of addresses is shown from here on */
#define SHA256_BYTES 32
#define NAME_BYTES 256

void init_trust_free(struct init_trust *trust)
{
    init_list_free(&trust->lines);
}

PRINTF_LIKE(2, 3) static void add(struct init_trust *trust, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    init_add(&trust->lines, line);
}

/* ---- what is trusted, a line each ---- */

/* The fingerprint of a public key, base64, as ssh-keygen -l prints it. */
static const char *key_fingerprint(const char *base64, char text[64])
{
    size_t length = strlen(base64);
    unsigned char hash[SHA256_BYTES], sum[48];
    CLEANUP(memory_free_pointer) unsigned char *bytes = memory_zeroed(length + 4, 1);
    int got = EVP_DecodeBlock(bytes, (const unsigned char *)base64, (int)length);
    for (size_t i = length; got > 0 && i > 0 && base64[i - 1] == '='; i--)
        got--;
    if (got <= 0 || EVP_Digest(bytes, (size_t)got, hash, NULL, EVP_sha256(), NULL) != 1)
        return "no valid key";
    (void)EVP_EncodeBlock(sum, hash, sizeof(hash));
    (void)snprintf(text, 64, "SHA256:%.43s", (const char *)sum); /* without its "=" */
    return text;
}

static void add_signers(const char *text, struct init_trust *trust)
{
    CLEANUP(signers_free) struct signers signers = {.length = 0};
    char fingerprint[64];
    signers_parse(text, strlen(text), &signers);
    for (size_t i = 0; i < signers.length; i++) {
        const struct signer *signer = &signers.list[i];
        add(trust, "signer     %s %s %s%s%s%s%s", signer->name, signer->type,
            key_fingerprint(signer->key, fingerprint), signer->after[0] ? " valid-after=" : "",
            signer->after, signer->before[0] ? " valid-before=" : ", without an end",
            signer->before);
    }
    if (signers.skipped)
        add(trust, "signer     %u line%s of allowed_signers count for nothing; line %u: %s",
            signers.skipped, signers.skipped == 1 ? "" : "s", signers.first_skipped, signers.why);
    if (signers.length == 0)
        add(trust, "signer     none: nobody can open a session from afar");
}

/* One of them less makes a key good again, so each is shown. */
static void add_revoked(const char *text, struct init_trust *trust)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        char type[64] = "", key[1024] = "", line[1200], fingerprint[64];
        (void)snprintf(line, sizeof(line), "%.*s", (int)length, text);
        if (line[0] != '#' && sscanf(line, "%63s %1023s", type, key) == 2)
            add(trust, "revoked    %s %s", type, key_fingerprint(key, fingerprint));
        text += length + (text[length] == '\n');
    }
}

static void free_bio(BIO **bio)
{
    (void)BIO_free(*bio);
}

static void add_authority(X509 *certificate, struct init_trust *trust)
{
    char subject[NAME_BYTES] = "?", text[3 * SHA256_BYTES + 1] = "";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    CLEANUP(free_bio) BIO *memory = BIO_new(BIO_s_mem());
    if (memory &&
        X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) > 0) {
        int got = BIO_read(memory, subject, sizeof(subject) - 1);
        subject[got > 0 ? got : 0] = '\0';
    }
    if (X509_digest(certificate, EVP_sha256(), hash, &length) != 1 || length != SHA256_BYTES)
        length = 0;
    for (unsigned i = 0; i < length; i++)
        (void)snprintf(text + (size_t)3 * i, 4, "%02X%s", hash[i], i + 1 < length ? ":" : "");
    add(trust, "authority  %s, SHA256 %s", subject, text);
}

static void add_authorities(const char *pem, struct init_trust *trust)
{
    CLEANUP(free_bio) BIO *memory = BIO_new_mem_buf(pem, -1);
    X509 *certificate;
    while (memory && (certificate = PEM_read_bio_X509(memory, NULL, NULL, NULL)) != NULL) {
        add_authority(certificate, trust);
        X509_free(certificate);
    }
}

static void add_sources(const struct text_list *sources, struct init_trust *trust)
{
    for (size_t i = 0; i < sources->length; i++) {
        struct ip_network network;
        bool is_known = ip_network_parse(sources->items[i], &network) == 0;
        bool is_wide = is_known && network.prefix < WIDE_BITS;
        trust->is_wide |= is_wide;
        if (!is_known || network.family != AF_INET || network.prefix >= LARGE_BITS)
            add(trust, "source     %s", sources->items[i]);
        else
            add(trust, "source     %s: %llu addresses%s", sources->items[i],
                1ULL << (32 - network.prefix),
                is_wide ? "; WIDE: no hub gives out so many, and other networks are in it" : "");
    }
}

static void add_tunnel(const struct init_answers *answers, struct init_trust *trust)
{
    const struct text_list *services = &answers->services;
    add(trust, "hub        WireGuard key %s", answers->hub.public_key);
    add(trust, "hub        at %s, inside the tunnel %s; this gateway is %s", answers->hub.endpoint,
        answers->hub.address, answers->tunnel.address);
    add_sources(&answers->tunnel.sources, trust);
    for (size_t i = 0; i < services->length; i++)
        add(trust, "service    %s", services->items[i]);
    if (services->length == 0) /* what init writes */
        add(trust, "service    " INIT_SERVICE_FORMAT, "ssh", "tcp", 22, "this gateway");
}

void init_trust_of(const struct init_answers *answers, struct init_trust *ret_trust)
{
    const struct init_signers *signers = &answers->signers;
    struct init_trust trust = {.is_wide = false};
    if (answers->enrolment_key)
        add(&trust, "signed by  %s", answers->enrolment_key);
    add_signers(signers->allowed_signers ? signers->allowed_signers : "", &trust);
    add_revoked(signers->revoked_keys ? signers->revoked_keys : "", &trust);
    if (answers->has_tunnel)
        add_tunnel(answers, &trust);
    for (size_t i = 0; i < answers->uplink.servers.length; i++)
        add(&trust, "broker     %s", answers->uplink.servers.items[i]);
    if (answers->ca_is_system)
        add(&trust, "authority  those of this system");
    else if (answers->uplink.ca_pem)
        add_authorities(answers->uplink.ca_pem, &trust);
    *ret_trust = trust;
}

/* ---- showing it ---- */

static bool holds(const struct text_list *list, const char *line)
{
    for (size_t i = 0; i < list->length; i++) {
        if (strcmp(list->items[i], line) == 0)
            return true;
    }
    return false;
}

/* The lines of ONE, with MARK before those that OTHER does not have. */
static size_t show_lines(const struct text_list *one, const struct text_list *other,
                         const char *mark, bool shows_same)
{
    size_t different = 0;
    for (size_t i = 0; i < one->length; i++) {
        CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
        bool is_same = !other || holds(other, one->items[i]);
        different += !is_same;
        if (is_same && !shows_same)
            continue;
        text_escape(&line, one->items[i], strlen(one->items[i]), TEXT_SHOWN);
        cli_print(stderr, "%s %s\n", is_same ? " " : mark, strbuf_text(&line));
    }
    return different;
}

static void show(const struct init_consent *consent, const struct init_place *place,
                 const struct init_answers *answers, const struct init_trust *trust)
{
    CLEANUP(init_answers_free) struct init_answers old = {.has_tunnel = false};
    CLEANUP(init_trust_free) struct init_trust before = {.is_wide = false};
    cli_print(stderr, "%s makes this gateway, %s/%s, trust:\n", consent->from,
              answers->gateway.site, answers->gateway.id);
    if (!answers->enrolment_key)
        cli_print(stderr, "  it is UNSIGNED: nothing proves that a hub has made it\n");
    if (!init_installed_read(place, &old)) {
        (void)show_lines(&trust->lines, NULL, " ", true);
        return;
    }
    init_trust_of(&old, &before);
    size_t added = show_lines(&trust->lines, &before.lines, "+", true);
    size_t removed = show_lines(&before.lines, &trust->lines, "-", false);
    cli_print(stderr, added + removed ? "+ is new, - is installed now and would go\n"
                                      : "nothing of this differs from what is installed\n");
    if (old.enrolment_key &&
        (!answers->enrolment_key || strcmp(old.enrolment_key, answers->enrolment_key) != 0))
        cli_print(stderr, "ANOTHER HUB? The last enrolment was signed by %s, this one %s\n",
                  old.enrolment_key, answers->enrolment_key ? "was not" : "is unsigned");
}

/* ---- confirming ---- */

/* Others could have changed it, or can read its secrets. */
static bool mode_is_fit(const char *path)
{
    struct stat about;
    if (stat(path, &about) < 0)
        return true; /* it was read; it is gone */
    if (about.st_mode & (S_IWGRP | S_IWOTH))
        return cli_fail(false, INIT,
                        "%s may be written by others (mode %04o): nothing was written. If nobody "
                        "has changed it: chmod 600, or copy it to a folder of root's",
                        path, about.st_mode & 07777U);
    if (about.st_mode & (S_IRGRP | S_IROTH))
        (void)cli_fail(
            0, INIT,
            "warning: %s holds secrets and is readable by others (mode %04o): chmod 600, "
            "and delete every copy once the gateway is set up",
            path, about.st_mode & 07777U);
    return true;
}

/* The signature, and that it is by the key that the person wants. */
static bool take_seal(const struct init_consent *consent, struct init_answers *answers)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const char *wanted = consent->fingerprint;
    struct init_seal seal;
    if (wanted && !init_seal_is_fingerprint(wanted))
        return cli_fail(
            false, INIT,
            "--fingerprint: \"%s\" is not a fingerprint, SHA256: and 43 characters; nothing "
            "was written; `sallyport-hub fingerprint` prints it",
            wanted);
    if (init_seal_check(consent->from, answers->enrolment_text, &seal, &problem) < 0)
        return cli_fail(false, INIT, "%s: %s; nothing was written", consent->from,
                        strbuf_text(&problem));
    if (wanted && !seal.is_signed)
        return cli_fail(false, INIT, "%s is not signed: there is no %s.sig; nothing was written",
                        consent->from, consent->from);
    if (wanted && strcmp(wanted, seal.fingerprint) != 0)
        return cli_fail(false, INIT, "%s was signed by %s, and not by %s; nothing was written",
                        consent->from, seal.fingerprint, wanted);
    if (seal.is_signed)
        init_set(&answers->enrolment_key, seal.fingerprint);
    if (wanted)
        cli_print(stderr, "%s is signed by %s and unchanged\n", consent->from, wanted);
    return true;
}

static bool is_agreed(const struct init_consent *consent, bool is_wide)
{
    if (consent->accepts_all || (consent->fingerprint && !is_wide))
        return true;
    if (consent->has_terminal) {
        cli_print(stderr, "Compare this with the people who run the hub, by phone.\n");
        return init_ask_yes("Trust all of it?");
    }
    return consent->has_signers && !is_wide;
}

static enum init_trust_verdict refuse(const struct init_consent *consent,
                                      const struct init_place *place, bool is_wide)
{
    CLEANUP(init_answers_free) struct init_answers old = {.has_tunnel = false};
    const char *what = is_wide && (consent->fingerprint || consent->has_signers)
                           ? "a source is wider than any hub needs"
                           : "nobody has confirmed whom it makes this gateway trust";
    if (place->root[0] && !consent->has_terminal && !init_installed_read(place, &old)) {
        (void)cli_fail(0, INIT,
                       "%s: the files are written without tunnel and signers, so that nobody can "
                       "open a session; run it again with --force and --fingerprint, --signers "
                       "or --accept-signers",
                       what);
        return INIT_LEFT_CLOSED;
    }
    (void)cli_fail(0, INIT,
                   "%s; nothing was written. Compare the list above with the people who run the "
                   "hub, by phone; then run this again on a terminal and type yes, or with "
                   "--fingerprint SHA256:... (which `sallyport-hub fingerprint` prints), --signers "
                   "FILE (the signers that you know), or --accept-signers (all of the above)",
                   what);
    return INIT_REFUSED;
}

enum init_trust_verdict init_trust_confirm(const struct init_consent *consent,
                                           const struct init_place *place,
                                           struct init_answers *answers)
{
    CLEANUP(init_trust_free) struct init_trust trust = {.is_wide = false};
    if (!mode_is_fit(consent->from) || !take_seal(consent, answers))
        return INIT_REFUSED;
    init_trust_of(answers, &trust);
    show(consent, place, answers, &trust);
    return is_agreed(consent, trust.is_wide) ? INIT_TRUSTED : refuse(consent, place, trust.is_wide);
}
