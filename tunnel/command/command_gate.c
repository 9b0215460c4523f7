/*
 * The gate. Each check is a function that returns a reason, and one table has their order. A
 * check that refuses adds what an auditor should know to the journal's line; the answer has the
 * reason code alone.
 */
#include "tunnel/command/command_gate.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "tunnel/command/used_commands.h"
#include "tunnel/journal/journal_quota.h"
#include "tunnel/model/event_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CHALLENGE_BITS 256
_Static_assert(CHALLENGE_BITS / 4 + 1 == COMMAND_CHALLENGE_BYTES, "two hex digits for a byte");

struct command_gate {
    struct command_gate_settings settings;
    char *allowed_signers, *revoked_keys, *program; /* what settings.signature points at */
    char *signers_state;                            /* of the last look: what was logged */
    char challenge[COMMAND_CHALLENGE_BYTES]; /* "" when there is none: nothing matches it then */
    int64_t challenge_until_ms;              /* when it has to be renewed */
    struct used_commands *used;
    int64_t failures_ms[COMMAND_GATE_MAX_FAILURES]; /* of the last refusals, a ring */
    size_t n_failures;                              /* since the start */
    int64_t shut_until_ms;                          /* 0: not shut */
    uint64_t turned_away;                           /* while shut, and not yet in the journal */
    struct journal_quota strangers; /* lines about what need not be an operator's doing */
};

/* What is known about one attempt. */
struct command_gate_attempt {
    const struct command_message *message;
    int64_t now_ms;
    struct command_parts parts;
    int split;        /* command_split()'s result */
    bool is_verified; /* the signature is good, and `signer` set */
    bool is_read;     /* `command` is set */
    bool is_fresh;    /* its challenge is in force: the signer asked for this, here and now */
    bool is_acted;    /* what is refused from here on, the session refuses and journals */
    struct signature_result signature;
    struct command command;
    struct event detail; /* what an auditor should know, for the line in the journal */
};

/* ---- The journal ---- */

static void command_gate_log_event(const struct event *event, const char *note)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    event_text_write_members(event, &members);
    log_info("gate", "event=%s %s%s", event_name(event), strbuf_text(&members), note);
}

static void command_gate_write_line(struct command_gate *gate, const struct event *event)
{
    (void)journal_write(gate->settings.journal, event);
    command_gate_log_event(event, "");
    gate->settings.changed(gate->settings.context);
}

/* What any publisher can cause, again and again. Returns whether it was written. */
static bool write_strangers_line(struct command_gate *gate, struct event *event, int64_t now_ms)
{
    if (!journal_quota_take(&gate->strangers, now_ms, event)) {
        command_gate_log_event(event, " unrecorded");
        return false;
    }
    command_gate_write_line(gate, event);
    return true;
}

static void command_gate_journal_refusal(struct command_gate *gate,
                                         const struct command_gate_attempt *attempt,
                                         enum refusal refusal)
{
    struct event line;
    event_init(&line, EVENT_TUNNEL_REFUSED, clock_wall_ms());
    if (attempt->is_read) {
        event_add_text(&line, MEMBER_ID, attempt->command.id);
        event_add_text(&line, MEMBER_ACTION, command_kinds[attempt->command.action].name);
    }
    event_add_text(&line, MEMBER_BY, attempt->is_verified ? attempt->signature.signer : "unknown");
    event_add_text(&line, MEMBER_REASON, refusal_names[refusal]);
    if (attempt->signature.key[0])
        event_add_text(&line, MEMBER_KEY, attempt->signature.key);
    event_add_members(&line, &attempt->detail);
    if (attempt->is_fresh)
        command_gate_write_line(gate, &line);
    else
        (void)write_strangers_line(gate, &line, attempt->now_ms);
}

/* ---- The rate limit ---- */

static bool is_shut(const struct command_gate *gate, int64_t now_ms)
{
    return now_ms < gate->shut_until_ms;
}

static void command_gate_count_failure(struct command_gate *gate, int64_t now_ms)
{
    size_t place = gate->n_failures++ % COMMAND_GATE_MAX_FAILURES;
    gate->failures_ms[place] = now_ms;
    int64_t first_ms = gate->failures_ms[gate->n_failures % COMMAND_GATE_MAX_FAILURES];
    if (gate->n_failures >= COMMAND_GATE_MAX_FAILURES && now_ms - first_ms < COMMAND_GATE_WINDOW_MS)
        gate->shut_until_ms = now_ms + COMMAND_GATE_WINDOW_MS;
}

/* While it is shut: counts, and journals the first only. */
static void turn_away(struct command_gate *gate, int64_t now_ms)
{
    struct event line;
    if (gate->turned_away++ > 0)
        return;
    event_init(&line, EVENT_TUNNEL_REFUSED, clock_wall_ms());
    event_add_text(&line, MEMBER_BY, "unknown");
    event_add_text(&line, MEMBER_REASON, refusal_names[REFUSAL_RATE_LIMITED]);
    event_add_number(&line, MEMBER_FAILURES, COMMAND_GATE_MAX_FAILURES);
    event_add_text(&line, MEMBER_DETAIL, "more of them are counted, not journalled");
    (void)write_strangers_line(gate, &line, now_ms);
}

static void reopen(struct command_gate *gate, int64_t now_ms)
{
    struct event line;
    gate->shut_until_ms = 0;
    gate->n_failures = 0;
    if (gate->turned_away == 0)
        return;
    event_init(&line, EVENT_RATE_LIMIT_ENDED, clock_wall_ms());
    event_add_number(&line, MEMBER_REFUSED, (int64_t)gate->turned_away);
    if (write_strangers_line(gate, &line, now_ms))
        gate->turned_away = 0;
}

/* ---- The challenge ---- */

/* 256 random bits, so that a command is fresh whatever the clock says. */
static void renew(struct command_gate *gate, int64_t now_ms)
{
    unsigned char bytes[CHALLENGE_BITS / 8];
    ssize_t got = getrandom(bytes, sizeof(bytes), GRND_NONBLOCK); /* the loop must not wait */
    bool is_made = got == (ssize_t)sizeof(bytes);
    if (!is_made)
        log_error("gate", "no random bits for a challenge: %s; tried again in a second",
                  strerror(got < 0 ? errno : EIO));
    gate->challenge[0] = '\0';
    for (size_t i = 0; is_made && i < sizeof(bytes); i++)
        (void)snprintf(gate->challenge + 2 * i, 3, "%02x", bytes[i]);
    gate->challenge_until_ms =
        now_ms + (is_made ? COMMAND_GATE_CHALLENGE_MS : COMMAND_GATE_RETRY_MS);
    gate->settings.changed(gate->settings.context);
}

/* ---- Who may sign ---- */

/* Logs the state of the signers when it has changed. */
static void look_at_signers(struct command_gate *gate)
{
    CLEANUP(signers_free) struct signers signers = {0};
    CLEANUP(strbuf_free) struct strbuf state = STRBUF_EMPTY;
    if (signature_load_signers(&gate->settings.signature, &signers, &state) == 0)
        strbuf_addf(&state, "file=%s signers=%zu", gate->allowed_signers, signers.length);
    if (signers.skipped)
        strbuf_addf(&state, " lines_that_do_not_count=%u; line %u: %s", signers.skipped,
                    signers.first_skipped, signers.why);
    if (gate->signers_state && strcmp(gate->signers_state, strbuf_text(&state)) == 0)
        return;
    free(gate->signers_state);
    gate->signers_state = memory_text(strbuf_text(&state));
    if (signers.length == 0)
        log_warning("gate", "%s; every signed command is refused", gate->signers_state);
    else
        log_info("gate", "%s", gate->signers_state);
}

/* ---- The checks, in their order ---- */

typedef enum refusal check(struct command_gate *gate, struct command_gate_attempt *attempt);

static enum refusal check_rate(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    return is_shut(gate, attempt->now_ms) ? REFUSAL_RATE_LIMITED : REFUSAL_NONE;
}

static enum refusal check_size(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    (void)gate;
    return attempt->message->is_cut || attempt->split == -EFBIG ? REFUSAL_TOO_LARGE : REFUSAL_NONE;
}

static enum refusal check_retained(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    (void)gate;
    return attempt->message->is_retained ? REFUSAL_RETAINED : REFUSAL_NONE;
}

static enum refusal check_parts(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    (void)gate;
    if (attempt->split == 0)
        return REFUSAL_NONE;
    event_add_text(&attempt->detail, MEMBER_DETAIL, "there is no text followed by one signature");
    return REFUSAL_MALFORMED;
}

static enum refusal verdict_refusal(enum signature_verdict verdict)
{
    switch (verdict) {
    case SIGNATURE_GOOD:
        return REFUSAL_NONE;
    case SIGNATURE_BAD:
        return REFUSAL_BAD_SIGNATURE;
    case SIGNATURE_UNKNOWN:
    case SIGNATURE_REVOKED:
    case SIGNATURE_EXPIRED:
    case SIGNATURE_NOT_YET:
        return REFUSAL_UNKNOWN_SIGNER;
    case SIGNATURE_FAILED:
        return REFUSAL_FAILED;
    }
    return REFUSAL_FAILED;
}

static enum refusal check_signature(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    struct signature_result *result = &attempt->signature;
    look_at_signers(gate);
    signature_verify(&gate->settings.signature, &attempt->parts, result);
    enum refusal refusal = verdict_refusal(result->verdict);
    attempt->is_verified = result->verdict == SIGNATURE_GOOD;
    if (refusal == REFUSAL_NONE)
        return refusal;
    event_add_text(&attempt->detail, MEMBER_SIGNATURE, signature_verdict_names[result->verdict]);
    if (result->signer[0]) /* whose key it is, though it does not count */
        event_add_text(&attempt->detail, MEMBER_KEY_OF, result->signer);
    event_add_text(&attempt->detail, MEMBER_DETAIL, result->detail);
    return refusal;
}

static enum refusal check_grammar(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    (void)gate;
    if (command_parse(attempt->parts.text, attempt->parts.text_length, &attempt->command) < 0)
        return REFUSAL_MALFORMED;
    attempt->is_read = true;
    return REFUSAL_NONE;
}

static enum refusal command_gate_check_gateway(struct command_gate *gate,
                                               struct command_gate_attempt *attempt)
{
    if (strcmp(attempt->command.gateway, gate->settings.config->tunnel.gateway) == 0)
        return REFUSAL_NONE;
    event_add_text(&attempt->detail, MEMBER_GATEWAY, attempt->command.gateway);
    return REFUSAL_WRONG_GATEWAY;
}

/* Before the challenge: of a command that comes once more this says more. */
static enum refusal check_used(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    return used_commands_has(gate->used, attempt->command.id, attempt->command.challenge)
               ? REFUSAL_REPLAYED
               : REFUSAL_NONE;
}

static enum refusal check_challenge(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    attempt->is_fresh = gate->challenge[0] && attempt->now_ms < gate->challenge_until_ms &&
                        strcmp(gate->challenge, attempt->command.challenge) == 0;
    return attempt->is_fresh ? REFUSAL_NONE : REFUSAL_BAD_CHALLENGE;
}

static enum refusal check_ttl(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    int64_t ttl_s = attempt->command.ttl_s, max_ttl_s = gate->settings.config->tunnel.max_ttl_s;
    if (!command_has(attempt->command.action, COMMAND_TTL) || (ttl_s >= 1 && ttl_s <= max_ttl_s))
        return REFUSAL_NONE;
    event_add_number(&attempt->detail, MEMBER_TTL_S, ttl_s);
    event_add_number(&attempt->detail, MEMBER_MAX_TTL_S, max_ttl_s);
    return REFUSAL_BAD_TTL;
}

/* Each must be in netd.conf, and be named once. */
static enum refusal check_services(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    const struct command *command = &attempt->command;
    for (size_t i = 0; i < command->n_services; i++) {
        bool is_known = netd_config_service(gate->settings.config, command->services[i]) != NULL;
        for (size_t j = 0; j < i; j++)
            is_known = is_known && strcmp(command->services[j], command->services[i]) != 0;
        if (is_known)
            continue;
        event_add_text(&attempt->detail, MEMBER_SERVICE, command->services[i]);
        return REFUSAL_UNKNOWN_SERVICE;
    }
    return REFUSAL_NONE;
}

/* What closes is done even if it cannot be written down. */
static enum refusal use_up(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    const struct command *command = &attempt->command;
    int problem = used_commands_add(gate->used, command->id, command->challenge);
    if (problem == 0 || command_kinds[command->action].role == COMMAND_NARROWS)
        return REFUSAL_NONE;
    const char *why = used_commands_problem(gate->used);
    log_error("gate", "the list of used commands cannot be written: %s; nothing is opened",
              why ? why : strerror(-problem));
    event_add_text(&attempt->detail, MEMBER_DETAIL,
                   why ? why : "the list of used commands cannot be written");
    return REFUSAL_FAILED;
}

static enum refusal command_gate_act(struct command_gate *gate,
                                     struct command_gate_attempt *attempt)
{
    attempt->is_acted = true;
    return gate->settings.act(gate->settings.context, &attempt->command, attempt->signature.signer);
}

static check *const checks[] = {
    check_rate,
    check_size,
    check_retained,
    check_parts,
    check_signature,
    check_grammar,
    command_gate_check_gateway,
    check_used,
    check_challenge,
    check_ttl,
    check_services,
    use_up,
    command_gate_act,
};

/* ---- One attempt ---- */

/* For the answer only: it names the command that it is about. */
static void find_id(const struct command_gate_attempt *attempt, char ret_id[SESSION_NAME_BYTES])
{
    struct command command;
    if (attempt->is_read)
        memcpy(ret_id, attempt->command.id, SESSION_NAME_BYTES);
    else if (attempt->split == 0 &&
             command_parse(attempt->parts.text, attempt->parts.text_length, &command) == 0)
        memcpy(ret_id, command.id, SESSION_NAME_BYTES);
}

void command_gate_command(struct command_gate *gate, const struct command_message *message,
                          int64_t now_ms, struct command_gate_answer *ret_answer)
{
    struct command_gate_attempt attempt = {.message = message, .now_ms = now_ms};
    enum refusal refusal = REFUSAL_NONE;
    event_init(&attempt.detail, EVENT_TUNNEL_REFUSED, 0);
    command_gate_tick(gate, now_ms);
    attempt.split = command_split(message->text, message->length, &attempt.parts);
    for (size_t i = 0; refusal == REFUSAL_NONE && i < ARRAY_LENGTH(checks); i++)
        refusal = checks[i](gate, &attempt);
    *ret_answer = (struct command_gate_answer){.refusal = refusal};
    find_id(&attempt, ret_answer->id);
    if (is_shut(gate, now_ms)) {
        turn_away(gate, now_ms);
    } else {
        if (refusal != REFUSAL_NONE && !attempt.is_acted) {
            command_gate_journal_refusal(gate, &attempt, refusal);
            command_gate_count_failure(gate, now_ms);
        }
        renew(gate, now_ms);
    }
}

/* ---- Time ---- */

void command_gate_tick(struct command_gate *gate, int64_t now_ms)
{
    if (gate->shut_until_ms > 0 && now_ms >= gate->shut_until_ms)
        reopen(gate, now_ms);
    if (now_ms >= gate->challenge_until_ms)
        renew(gate, now_ms);
}

int64_t command_gate_next_tick_ms(const struct command_gate *gate)
{
    return gate->shut_until_ms > 0 ? min_i64(gate->shut_until_ms, gate->challenge_until_ms)
                                   : gate->challenge_until_ms;
}

const char *command_gate_challenge(const struct command_gate *gate)
{
    return gate->challenge;
}

/* ---- Life ---- */

struct command_gate *command_gate_new(const struct command_gate_settings *settings, int64_t now_ms)
{
    struct command_gate *gate = memory_zeroed(1, sizeof(*gate));
    gate->settings = *settings;
    gate->allowed_signers = memory_text(settings->signature.allowed_signers);
    gate->revoked_keys = memory_text(settings->signature.revoked_keys);
    gate->program = memory_text(settings->signature.program);
    gate->settings.signature = (struct signature_settings){
        .allowed_signers = gate->allowed_signers,
        .revoked_keys = gate->revoked_keys,
        .program = gate->program,
        .timeout_ms = settings->signature.timeout_ms,
    };
    gate->used = used_commands_open(settings->used_path);
    gate->settings.used_path = NULL;
    if (used_commands_problem(gate->used))
        log_error("gate", "%s", used_commands_problem(gate->used));
    journal_quota_init(&gate->strangers, now_ms);
    look_at_signers(gate);
    renew(gate, now_ms);
    return gate;
}

struct command_gate *command_gate_free(struct command_gate *gate)
{
    if (!gate)
        return NULL;
    used_commands_free(gate->used);
    free(gate->allowed_signers);
    free(gate->revoked_keys);
    free(gate->program);
    free(gate->signers_state);
    free(gate);
    return NULL;
}
