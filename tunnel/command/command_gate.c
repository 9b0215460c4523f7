/*
 * The gate. Each check is a function that returns a reason, and two tables have their order: what
 * comes before ssh-keygen is asked, and what comes after. A check that refuses adds what an auditor
 * should know to the journal's line; the answer has the reason code alone.
 */
#include "tunnel/command/command_gate.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/base/text.h"
#include "tunnel/command/challenges.h"
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
    struct signer_list *signers;
    struct used_commands *used;
    struct journal_quota strangers; /* lines about what need not be an operator's doing */
    struct challenges challenges;
    struct command_gate_attempt *waiting[COMMAND_GATE_WAITING], *running;
    size_t n_waiting;
    int64_t begun_ms;     /* the last verification */
    int64_t may_begin_ms; /* the next one */
};

/* What is known about one attempt. */
struct command_gate_attempt {
    uint64_t ticket;
    const struct command_message *message; /* while it is new */
    int64_t now_ms;                        /* of what is done with it */
    struct command_parts parts;
    char *copy;       /* that `parts` point into once it waits; NULL before */
    int split;        /* command_split()'s result */
    bool is_read;     /* `command` is set */
    bool is_verified; /* the signature is good, and `signature` set */
    bool is_fresh;    /* its challenge may be used: the signer asked for this, here and now */
    bool is_acted;    /* what is refused from here on, the session refuses and journals */
    struct signature_result signature;
    struct command command;
    struct event detail; /* what an auditor should know, for the line in the journal */
};

/* Nobody else can have sent that, and not before. */
static bool is_signers_doing(const struct command_gate_attempt *attempt)
{
    return attempt->is_verified && attempt->is_fresh;
}

/* ---- The journal ---- */

static void command_gate_write_line(struct command_gate *gate, const struct event *event)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    (void)journal_write(gate->settings.journal, event);
    event_text_write_members(event, &members);
    log_info("gate", "event=%s %s", event_name(event), strbuf_text(&members));
    gate->settings.changed(gate->settings.context);
}

/* Of what any publisher can cause, again and again, few lines are written, to the log as well. */
static void command_gate_journal_refusal(struct command_gate *gate,
                                         const struct command_gate_attempt *attempt,
                                         enum refusal refusal)
{
    struct event line;
    event_init(&line, EVENT_TUNNEL_REFUSED, clock_wall_ms());
    if (attempt->is_read && attempt->is_verified) {
        event_add_text(&line, MEMBER_ID, attempt->command.id);
        event_add_text(&line, MEMBER_ACTION, command_kinds[attempt->command.action].name);
    }
    event_add_text(&line, MEMBER_BY, attempt->is_verified ? attempt->signature.signer : "unknown");
    event_add_text(&line, MEMBER_REASON, refusal_names[refusal]);
    if (attempt->signature.key[0])
        event_add_text(&line, MEMBER_KEY, attempt->signature.key);
    event_add_members(&line, &attempt->detail);
    if (is_signers_doing(attempt) || journal_quota_take(&gate->strangers, attempt->now_ms, &line))
        command_gate_write_line(gate, &line);
}

/* ---- The challenge ---- */

/* 256 random bits, so that a command is fresh whatever the clock says. */
static void make_challenge(struct command_gate *gate, int64_t now_ms)
{
    unsigned char bytes[CHALLENGE_BITS / 8];
    char text[CHALLENGE_TEXT_BYTES] = "";
    ssize_t got = getrandom(bytes, sizeof(bytes), GRND_NONBLOCK); /* the loop must not wait */
    bool is_made = got == (ssize_t)sizeof(bytes);
    if (!is_made)
        log_error("gate", "no random bits for a challenge: %s; tried again in a second",
                  strerror(got < 0 ? errno : EIO));
    for (size_t i = 0; is_made && i < sizeof(bytes); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    challenges_begin(&gate->challenges, is_made ? text : NULL, now_ms);
    gate->settings.changed(gate->settings.context);
}

static void use_challenges_up(struct command_gate *gate, int64_t now_ms)
{
    challenges_use_up(&gate->challenges);
    make_challenge(gate, now_ms);
}

static void renew_if_stale(struct command_gate *gate, int64_t now_ms)
{
    if (!challenges_is_renewal_due(&gate->challenges, now_ms))
        return;
    challenges_retire(&gate->challenges, now_ms);
    make_challenge(gate, now_ms);
}

/* ---- The checks ---- */

typedef enum refusal check(struct command_gate *gate, struct command_gate_attempt *attempt);

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
    attempt->is_fresh =
        challenges_may_be_used(&gate->challenges, attempt->command.challenge, attempt->now_ms);
    return attempt->is_fresh ? REFUSAL_NONE : REFUSAL_BAD_CHALLENGE;
}

static void add_signature(struct command_gate_attempt *attempt, enum signature_verdict verdict,
                          const char *detail)
{
    event_add_text(&attempt->detail, MEMBER_SIGNATURE, signature_verdict_names[verdict]);
    if (attempt->signature.signer[0]) /* whose key it is, though it does not count */
        event_add_text(&attempt->detail, MEMBER_KEY_OF, attempt->signature.signer);
    event_add_text(&attempt->detail, MEMBER_DETAIL, detail);
}

/* What the signature claims to be; a claim that ssh-keygen would refuse needs no process. */
static enum refusal check_claim(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    static const char bad[] = "not made over this text, or not for this namespace";
    struct armour armour;
    if (armour_read(attempt->parts.armour, attempt->parts.armour_length, &armour) < 0 ||
        !armour_part_is(armour.name_space, SIGNERS_NAMESPACE)) {
        add_signature(attempt, SIGNATURE_BAD, bad);
        return REFUSAL_BAD_SIGNATURE;
    }
    if (signer_list_look(gate->signers))
        gate->settings.changed(gate->settings.context);
    if (signer_list_has(gate->signers, armour.key))
        return REFUSAL_NONE;
    const char *problem = signer_list_problem(gate->signers);
    armour_fingerprint(armour.key, attempt->signature.key);
    add_signature(attempt, SIGNATURE_UNKNOWN,
                  problem[0] ? problem
                  : signer_list_signers(gate->signers)->skipped
                      ? "no line of allowed_signers that counts has this key"
                      : "no line of allowed_signers has this key");
    return REFUSAL_UNKNOWN_SIGNER;
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

static enum refusal check_verdict(struct command_gate *gate, struct command_gate_attempt *attempt)
{
    (void)gate;
    const struct signature_result *result = &attempt->signature;
    enum refusal refusal = verdict_refusal(result->verdict);
    attempt->is_verified = result->verdict == SIGNATURE_GOOD;
    if (refusal != REFUSAL_NONE)
        add_signature(attempt, result->verdict, result->detail);
    return refusal;
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

static check *const checks_before[] = {
    check_size, check_retained,  check_parts, check_grammar, command_gate_check_gateway,
    check_used, check_challenge, check_claim,
};

/* Another command may have come between. */
static check *const checks_after[] = {
    check_verdict, check_used, check_challenge, check_ttl, check_services, use_up, command_gate_act,
};

static enum refusal run_checks(struct command_gate *gate, struct command_gate_attempt *attempt,
                               check *const *checks, size_t n_checks)
{
    enum refusal refusal = REFUSAL_NONE;
    for (size_t i = 0; refusal == REFUSAL_NONE && i < n_checks; i++)
        refusal = checks[i](gate, attempt);
    return refusal;
}

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

/* What becomes of the challenge, and of the record; the answer. */
static struct command_gate_answer conclude(struct command_gate *gate,
                                           const struct command_gate_attempt *attempt,
                                           enum refusal refusal)
{
    struct command_gate_answer answer = {.refusal = refusal};
    find_id(attempt, answer.id);
    if (refusal != REFUSAL_NONE && !attempt->is_acted)
        command_gate_journal_refusal(gate, attempt, refusal);
    /* What could not be verified may be good: that it was refused must stay true. */
    if (is_signers_doing(attempt) || refusal == REFUSAL_FAILED) {
        use_challenges_up(gate, attempt->now_ms);
        return answer;
    }
    challenges_refused(&gate->challenges);
    renew_if_stale(gate, attempt->now_ms);
    return answer;
}

static struct command_gate_attempt *command_gate_attempt_free(struct command_gate_attempt *attempt)
{
    if (attempt)
        free(attempt->copy);
    free(attempt);
    return NULL;
}

/* Lets it wait, with a copy of its text. */
static void command_gate_wait(struct command_gate *gate, const struct command_gate_attempt *attempt)
{
    struct command_gate_attempt *kept = memory_zeroed(1, sizeof(*kept));
    const struct command_parts *parts = &attempt->parts;
    *kept = *attempt;
    kept->message = NULL;
    kept->copy = memory_text_n(parts->text, parts->text_length + parts->armour_length);
    kept->parts.text = kept->copy;
    kept->parts.armour = kept->copy + parts->text_length;
    gate->waiting[gate->n_waiting++] = kept;
}

bool command_gate_command(struct command_gate *gate, uint64_t ticket,
                          const struct command_message *message, int64_t now_ms,
                          struct command_gate_answer *ret_answer)
{
    struct command_gate_attempt attempt = {.ticket = ticket, .message = message, .now_ms = now_ms};
    event_init(&attempt.detail, EVENT_TUNNEL_REFUSED, 0);
    command_gate_tick(gate, now_ms);
    attempt.split = command_split(message->text, message->length, &attempt.parts);
    enum refusal refusal = run_checks(gate, &attempt, checks_before, ARRAY_LENGTH(checks_before));
    if (refusal == REFUSAL_NONE && gate->n_waiting == COMMAND_GATE_WAITING)
        refusal = REFUSAL_RATE_LIMITED;
    if (refusal == REFUSAL_NONE) {
        command_gate_wait(gate, &attempt);
        return false;
    }
    *ret_answer = conclude(gate, &attempt, refusal);
    return true;
}

void command_gate_verified(struct command_gate *gate, const struct signature_result *result,
                           int64_t now_ms)
{
    struct command_gate_attempt *attempt = gate->running;
    gate->running = NULL;
    attempt->signature = *result;
    attempt->is_fresh = false; /* until that is seen again */
    attempt->now_ms = now_ms;
    enum refusal refusal = run_checks(gate, attempt, checks_after, ARRAY_LENGTH(checks_after));
    gate->may_begin_ms = attempt->is_verified ? now_ms : gate->begun_ms + COMMAND_GATE_PAUSE_MS;
    const struct command_gate_answer answer = conclude(gate, attempt, refusal);
    gate->settings.answer(gate->settings.context, attempt->ticket, &answer);
    command_gate_attempt_free(attempt);
}

static struct command_gate_attempt *take_waiting(struct command_gate *gate, size_t place)
{
    struct command_gate_attempt *attempt = gate->waiting[place];
    gate->n_waiting--;
    memmove(gate->waiting + place, gate->waiting + place + 1,
            (gate->n_waiting - place) * sizeof(gate->waiting[0]));
    return attempt;
}

void command_gate_forget(struct command_gate *gate, uint64_t ticket)
{
    if (gate->running && gate->running->ticket == ticket) {
        gate->settings.forget(gate->settings.context);
        gate->running = command_gate_attempt_free(gate->running);
        gate->may_begin_ms = gate->begun_ms + COMMAND_GATE_PAUSE_MS;
    }
    for (size_t i = gate->n_waiting; i-- > 0;) {
        if (gate->waiting[i]->ticket == ticket)
            command_gate_attempt_free(take_waiting(gate, i));
    }
}

/* ---- Time ---- */

static void begin_verification(struct command_gate *gate, int64_t now_ms)
{
    if (gate->running || gate->n_waiting == 0 || now_ms < gate->may_begin_ms)
        return;
    gate->running = take_waiting(gate, 0);
    gate->begun_ms = now_ms;
    int problem = gate->settings.verify(gate->settings.context, &gate->running->parts);
    if (problem >= 0)
        return;
    struct signature_result failed = {.verdict = SIGNATURE_FAILED};
    text_put(failed.detail, sizeof(failed.detail), strerror(-problem));
    command_gate_verified(gate, &failed, now_ms);
}

void command_gate_tick(struct command_gate *gate, int64_t now_ms)
{
    if (now_ms >= gate->challenges.now.until_ms)
        make_challenge(gate, now_ms);
    renew_if_stale(gate, now_ms);
    begin_verification(gate, now_ms);
}

int64_t command_gate_next_tick_ms(const struct command_gate *gate)
{
    int64_t next_ms = challenges_next_ms(&gate->challenges);
    if (gate->n_waiting > 0 && !gate->running)
        next_ms = min_i64(next_ms, gate->may_begin_ms);
    return next_ms;
}

const char *command_gate_challenge(const struct command_gate *gate)
{
    return gate->challenges.now.text;
}

const struct signers *command_gate_signers(struct command_gate *gate)
{
    (void)signer_list_look(gate->signers);
    return signer_list_signers(gate->signers);
}

/* ---- Life ---- */

struct command_gate *command_gate_new(const struct command_gate_settings *settings, int64_t now_ms)
{
    struct command_gate *gate = memory_zeroed(1, sizeof(*gate));
    gate->settings = *settings;
    gate->signers = signer_list_new(settings->allowed_signers);
    gate->used = used_commands_open(settings->used_path);
    gate->settings.used_path = gate->settings.allowed_signers = NULL;
    challenges_init(&gate->challenges, now_ms);
    if (used_commands_problem(gate->used))
        log_error("gate", "%s", used_commands_problem(gate->used));
    journal_quota_init(&gate->strangers, now_ms);
    (void)signer_list_look(gate->signers);
    make_challenge(gate, now_ms);
    return gate;
}

struct command_gate *command_gate_free(struct command_gate *gate)
{
    if (!gate)
        return NULL;
    command_gate_attempt_free(gate->running);
    while (gate->n_waiting > 0)
        command_gate_attempt_free(take_waiting(gate, 0));
    signer_list_free(gate->signers);
    used_commands_free(gate->used);
    free(gate);
    return NULL;
}
