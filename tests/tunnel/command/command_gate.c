/*
 * The gate with a clock of the test's: each reason code, what the journal says about it, the
 * challenge, restarts, and thousands of hostile messages, with the real ssh-keygen; floods, the
 * queue and random interleavings with a verifier of the test's.
 */
#include "tunnel/command/command_gate.h"
#include "tunnel/command/challenges.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "tests/support/signing.h"
#include "tests/support/test.h"
#include "tunnel/model/event_text.h"
#include "tunnel/wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_TTL_S 28800
#define START_MS 5000000

static bool has_random_bits = true;

/* In place of the C library's. */
ssize_t getrandom(void *bytes, size_t length, unsigned flags)
{
    if (has_random_bits)
        return syscall(SYS_getrandom, bytes, length, flags);
    errno = EAGAIN;
    return -1;
}

/* One gateway; what passed its gate is counted and kept. */
struct world {
    struct netd_config config;
    struct journal *journal;
    struct command_gate *gate;
    int64_t now_ms;
    sd_event *loop;
    struct signature *signature; /* by the real ssh-keygen, under way */
    bool is_scripted;            /* the test says what is good, with verdict() */
    struct strbuf verifying;     /* the text that it is asked about; empty: none */
    unsigned verified, forgotten;
    int verify_result;
    uint64_t ticket, answered; /* the last one, the last answer's */
    struct command_gate_answer answer;
    unsigned acted, changed;
    struct command last;
    char signer[SIGNERS_NAME_BYTES];
    enum refusal session_says;
};

static enum refusal act(void *context, const struct command *command, const char *signer)
{
    struct world *world = context;
    world->acted++;
    world->last = *command;
    (void)snprintf(world->signer, sizeof(world->signer), "%s", signer);
    return world->session_says;
}

static void on_changed(void *context)
{
    ((struct world *)context)->changed++;
}

static void on_verified(void *context, const struct signature_result *result)
{
    struct world *world = context;
    const struct signature_result copy = *result;
    world->signature = signature_free(world->signature);
    command_gate_verified(world->gate, &copy, world->now_ms);
}

static int verify(void *context, const struct command_parts *parts)
{
    struct world *world = context;
    const struct signature_settings settings = {.allowed_signers = test_path("allowed_signers"),
                                                .revoked_keys = test_path("revoked_keys"),
                                                .program = SIGNATURE_PROGRAM,
                                                .timeout_ms = 60000};
    CU_ASSERT_TRUE(!world->signature && world->verifying.length == 0); /* one at a time */
    world->verified++;
    if (world->verify_result < 0)
        return world->verify_result;
    if (!world->is_scripted)
        return signature_begin(&settings, parts, world->loop, on_verified, world,
                               &world->signature);
    strbuf_append(&world->verifying, parts->text, parts->text_length);
    return 0;
}

static void forget(void *context)
{
    struct world *world = context;
    world->forgotten++;
    world->signature = signature_free(world->signature);
    strbuf_reset(&world->verifying);
}

static void on_answer(void *context, uint64_t ticket, const struct command_gate_answer *answer)
{
    struct world *world = context;
    world->answered = ticket;
    world->answer = *answer;
}

static void start(struct world *world)
{
    const struct command_gate_settings settings = {
        .config = &world->config,
        .used_path = test_path("used-commands"),
        .allowed_signers = test_path("allowed_signers"),
        .journal = world->journal,
        .verify = verify,
        .forget = forget,
        .act = act,
        .answer = on_answer,
        .changed = on_changed,
        .context = world,
    };
    world->gate = command_gate_new(&settings, world->now_ms);
}

static void add_service(struct world *world, const char *name)
{
    strcpy(world->config.tunnel.services[world->config.tunnel.n_services++].name, name);
}

static void begin(struct world *world)
{
    static char gateway[] = "plant-7/gw-0042";
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct journal_settings settings = {
        .folder = test_path("journal"), .file_bytes = 4000000, .files = 4};
    *world = (struct world){.now_ms = START_MS};
    world->config.tunnel =
        (struct tunnel_config){.is_configured = true, .gateway = gateway, .max_ttl_s = MAX_TTL_S};
    add_service(world, "ssh");
    add_service(world, "plc1");
    (void)unlink(test_path("used-commands"));
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&world->loop), 0);
    CU_ASSERT_EQUAL_FATAL(journal_open(&settings, 0, &problem, &world->journal), 0);
    start(world);
}

static void end(struct world *world)
{
    signature_free(world->signature);
    strbuf_free(&world->verifying);
    command_gate_free(world->gate);
    sd_event_unref(world->loop);
    journal_close(world->journal);
}

/* ---- Messages ---- */

/* A command that passes, unless it is changed: with the present challenge and an id of its own. */
static struct command make_command(const struct world *world)
{
    static unsigned number;
    struct command command = {.gateway = "plant-7/gw-0042",
                              .action = COMMAND_OPEN,
                              .services = {"ssh"},
                              .n_services = 1,
                              .ttl_s = 3600,
                              .reason = "drive fault on pump 3"};
    strcpy(command.challenge, command_gate_challenge(world->gate));
    (void)snprintf(command.id, sizeof(command.id), "id-%u", ++number);
    return command;
}

static void sign_text(const char *text, const char *key, struct strbuf *out)
{
    strbuf_add(out, text);
    signing_sign(key, "sallyport", text, strlen(text), out);
}

static void sign(const struct command *command, const char *key, struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    command_print(command, &text);
    sign_text(strbuf_text(&text), key, out);
}

enum how { PLAIN, RETAINED, CUT };

/* Until the gate has answered. Its time passes, but for that of ssh-keygen. */
static struct command_gate_answer await_answer(struct world *world, uint64_t ticket)
{
    while (world->answered != ticket) {
        if (!world->signature && command_gate_next_tick_ms(world->gate) > world->now_ms)
            world->now_ms = command_gate_next_tick_ms(world->gate);
        command_gate_tick(world->gate, world->now_ms);
        if (world->signature)
            CU_ASSERT_TRUE_FATAL(sd_event_run(world->loop, UINT64_MAX) >= 0);
    }
    return world->answer;
}

static struct command_gate_answer send_as(struct world *world, const char *bytes, size_t length,
                                          enum how how)
{
    char longest[WIRE_SIGNED_BYTES] = "";
    struct command_gate_answer answer;
    memcpy(longest, bytes, length);
    const struct command_message message = {.text = longest,
                                            .length = how == CUT ? sizeof(longest) : length,
                                            .is_retained = how == RETAINED,
                                            .is_cut = how == CUT};
    uint64_t ticket = ++world->ticket;
    return command_gate_command(world->gate, ticket, &message, world->now_ms, &answer)
               ? answer
               : await_answer(world, ticket);
}

static struct command_gate_answer send_message(struct world *world, const struct strbuf *message)
{
    return send_as(world, strbuf_text(message), message->length, PLAIN);
}

/* Signs and sends. */
static struct command_gate_answer send_command(struct world *world, const struct command *command,
                                               const char *key)
{
    CLEANUP(strbuf_free) struct strbuf message = STRBUF_EMPTY;
    sign(command, key, &message);
    return send_message(world, &message);
}

static void pass_minutes(struct world *world, int64_t minutes)
{
    world->now_ms += minutes * 60000;
    command_gate_tick(world->gate, world->now_ms);
}

#define EXPECT(answer, wanted)                                                                     \
    TEST_TEXT_EQUAL(refusal_names[(answer).refusal], refusal_names[wanted])

/* ---- The journal ---- */

static void find_value(const struct event *event, const char *key, struct strbuf *out)
{
    for (size_t i = 0; i < event->n_members; i++) {
        const struct event_member *member = &event->members[i];
        if (strcmp(event_member_name(event, member), key) != 0)
            continue;
        if (member->is_number)
            strbuf_add_i64(out, member->number);
        else
            strbuf_add(out, event_member_text(event, member));
        return;
    }
    strbuf_add(out, "(none)");
}

/* Appends the value of KEY in the last line that is an EVENT, which it must have. */
static void last_value(struct world *world, const char *name, const char *key, struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    struct event event, found = {.n_members = 0};
    uint64_t cursor = 0, seq;
    bool starts_file;
    while (journal_read(world->journal, cursor, &line, &cursor, &starts_file) == 1) {
        CU_ASSERT_EQUAL_FATAL(event_text_read(line.data, line.length, &seq, &event), 0);
        if (strcmp(event_name(&event), name) == 0)
            found = event;
        strbuf_reset(&line);
    }
    find_value(&found, key, out);
}

static void expect_journal(struct world *world, const char *event, const char *key,
                           const char *value)
{
    CLEANUP(strbuf_free) struct strbuf found = STRBUF_EMPTY;
    last_value(world, event, key, &found);
    TEST_TEXT_EQUAL(strbuf_text(&found), value);
}

/* ---- The cases ---- */

static void test_accepts(void)
{
    struct world world;
    begin(&world);
    for (unsigned i = 0; i < COMMAND_ACTION_COUNT; i++) {
        struct command command = make_command(&world);
        char before[COMMAND_CHALLENGE_BYTES];
        strcpy(before, command_gate_challenge(world.gate));
        command.action = (enum command_action)i;
        if (!command_has(command.action, COMMAND_SERVICE))
            command.n_services = 0;
        struct command_gate_answer answer = send_command(&world, &command, "anna");
        EXPECT(answer, REFUSAL_NONE);
        TEST_TEXT_EQUAL(answer.id, command.id);
        CU_ASSERT_EQUAL(world.last.action, command.action);
        CU_ASSERT_EQUAL(world.acted, i + 1);
        TEST_TEXT_EQUAL(world.last.id, command.id);
        TEST_TEXT_EQUAL(world.signer, "anna@plant-7");
        CU_ASSERT_NOT_EQUAL(strcmp(before, command_gate_challenge(world.gate)), 0);
    }
    end(&world);
}

/* What is done to a good command, or how it is sent, and what becomes of it. */
struct row {
    const char *name;
    enum refusal refusal;
    void (*change)(struct world *world, struct command *command);
    const char *key; /* who signs; NULL: anna */
    enum how how;
    void (*spoil)(struct strbuf *message); /* after it was signed */
    enum refusal session_says;
    const char *detail; /* a key of the journal's line, and its value */
    const char *value;
    const char *by; /* in that line; NULL: "anna@plant-7" */
    bool has_no_id; /* the answer, because the text is not well-formed */
    bool is_journalled_by_session;
};

static void other_gateway(struct world *world, struct command *command)
{
    (void)world;
    strcpy(command->gateway, "plant-7/gw-0043");
}

static void other_challenge(struct world *world, struct command *command)
{
    (void)world;
    command->challenge[63] = command->challenge[63] == '0' ? '1' : '0';
}

static void used_id(struct world *world, struct command *command)
{
    CU_ASSERT_EQUAL(send_command(world, command, "anna").refusal, REFUSAL_NONE);
    world->acted = 0;
    strcpy(command->challenge,
           command_gate_challenge(world->gate)); /* signed anew, with the same id */
}

static void used_altogether(struct world *world, struct command *command)
{
    CU_ASSERT_EQUAL(send_command(world, command, "anna").refusal, REFUSAL_NONE);
    world->acted = 0;
}

static void no_ttl(struct world *world, struct command *command)
{
    (void)world;
    command->ttl_s = 0;
}

static void long_ttl(struct world *world, struct command *command)
{
    (void)world;
    command->ttl_s = MAX_TTL_S + 1;
}

static void longer_ttl(struct world *world, struct command *command)
{
    long_ttl(world, command);
    command->action = COMMAND_EXTEND;
    command->n_services = 0;
}

static void strange_service(struct world *world, struct command *command)
{
    (void)world;
    command->n_services = 2;
    strcpy(command->services[1], "plc2");
}

static void doubled_service(struct world *world, struct command *command)
{
    (void)world;
    command->n_services = 2;
    strcpy(command->services[1], "ssh");
}

static void tab_in_reason(struct world *world, struct command *command)
{
    (void)world;
    strcpy(command->reason, "drive\tfault");
}

static void an_hour_later(struct world *world, struct command *command)
{
    (void)command;
    world->now_ms += 60 * 60000;
}

static void alter(struct strbuf *message)
{
    char *ttl = strstr(message->data, "ttl: 3600");
    ttl[5] = '9';
}

static void cut_off(struct strbuf *message)
{
    message->length -= 40;
    message->data[message->length] = '\0';
}

static void lengthen(struct strbuf *message)
{
    CLEANUP(strbuf_free) struct strbuf longer = STRBUF_EMPTY;
    for (int i = 0; i < 3900; i++)
        strbuf_add_char(&longer, 'x');
    strbuf_append(&longer, message->data, message->length);
    strbuf_reset(message);
    strbuf_append(message, longer.data, longer.length);
}

static void damage_armour(struct strbuf *message)
{
    char *inside = strstr(message->data, "U1NIU0lH"); /* SSHSIG */
    inside[0] = 'V';
}

static char stranger_print[80];

static void revoke_bert(struct world *world, struct command *command)
{
    CLEANUP(memory_free_pointer) char *key = signing_public("bert");
    (void)world, (void)command;
    (void)test_file("revoked_keys", key);
}

static const struct row rows[] = {
    {.name = "no text",
     .refusal = REFUSAL_MALFORMED,
     .spoil = cut_off,
     .by = "unknown",
     .has_no_id = true},
    {.name = "signed, but not well-formed",
     .refusal = REFUSAL_MALFORMED,
     .change = tab_in_reason,
     .by = "unknown",
     .has_no_id = true},
    {.name = "more than 8 KiB",
     .refusal = REFUSAL_TOO_LARGE,
     .how = CUT,
     .by = "unknown",
     .has_no_id = true},
    {.name = "more than 4 KiB of text",
     .refusal = REFUSAL_TOO_LARGE,
     .spoil = lengthen,
     .by = "unknown",
     .has_no_id = true},
    {.name = "retained", .refusal = REFUSAL_RETAINED, .how = RETAINED, .by = "unknown"},
    {.name = "for another gateway",
     .refusal = REFUSAL_WRONG_GATEWAY,
     .change = other_gateway,
     .detail = "gateway",
     .value = "plant-7/gw-0043",
     .by = "unknown"},
    {.name = "another challenge",
     .refusal = REFUSAL_BAD_CHALLENGE,
     .change = other_challenge,
     .by = "unknown"},
    {.name = "the challenge of an hour ago",
     .refusal = REFUSAL_BAD_CHALLENGE,
     .change = an_hour_later,
     .by = "unknown"},
    {.name = "the id of before", .refusal = REFUSAL_REPLAYED, .change = used_id, .by = "unknown"},
    {.name = "once more", .refusal = REFUSAL_REPLAYED, .change = used_altogether, .by = "unknown"},
    {.name = "altered",
     .refusal = REFUSAL_BAD_SIGNATURE,
     .spoil = alter,
     .detail = "signature",
     .value = "bad",
     .by = "unknown"},
    {.name = "a stranger",
     .refusal = REFUSAL_UNKNOWN_SIGNER,
     .key = "stranger",
     .detail = "signature",
     .value = "unknown",
     .by = "unknown"},
    {.name = "a stranger, whose key an auditor can look up",
     .refusal = REFUSAL_UNKNOWN_SIGNER,
     .key = "stranger",
     .detail = "key",
     .value = stranger_print,
     .by = "unknown"},
    {.name = "damaged inside the armour",
     .refusal = REFUSAL_BAD_SIGNATURE,
     .spoil = damage_armour,
     .detail = "signature",
     .value = "bad",
     .by = "unknown"},
    {.name = "revoked",
     .refusal = REFUSAL_UNKNOWN_SIGNER,
     .change = revoke_bert,
     .key = "bert",
     .detail = "signature",
     .value = "revoked",
     .by = "unknown"},
    {.name = "whose key was revoked",
     .refusal = REFUSAL_UNKNOWN_SIGNER,
     .change = revoke_bert,
     .key = "bert",
     .detail = "key_of",
     .value = "bert",
     .by = "unknown"},
    {.name = "expired",
     .refusal = REFUSAL_UNKNOWN_SIGNER,
     .key = "carl",
     .detail = "signature",
     .value = "expired",
     .by = "unknown"},
    {.name = "not yet valid",
     .refusal = REFUSAL_UNKNOWN_SIGNER,
     .key = "dora",
     .detail = "signature",
     .value = "not-yet-valid",
     .by = "unknown"},
    {.name = "an RSA key", .refusal = REFUSAL_UNKNOWN_SIGNER, .key = "rsa", .by = "unknown"},
    {.name = "an unknown service",
     .refusal = REFUSAL_UNKNOWN_SERVICE,
     .change = strange_service,
     .detail = "service",
     .value = "plc2"},
    {.name = "a service twice", .refusal = REFUSAL_UNKNOWN_SERVICE, .change = doubled_service},
    {.name = "no time",
     .refusal = REFUSAL_BAD_TTL,
     .change = no_ttl,
     .detail = "ttl_s",
     .value = "0"},
    {.name = "too much time",
     .refusal = REFUSAL_BAD_TTL,
     .change = long_ttl,
     .detail = "max_ttl_s",
     .value = "28800"},
    {.name = "too long an extension",
     .refusal = REFUSAL_BAD_TTL,
     .change = longer_ttl,
     .detail = "action",
     .value = "extend"},
    {.name = "nobody agreed",
     .refusal = REFUSAL_NOT_APPROVED,
     .session_says = REFUSAL_NOT_APPROVED,
     .is_journalled_by_session = true},
    {.name = "there is one",
     .refusal = REFUSAL_ALREADY_OPEN,
     .session_says = REFUSAL_ALREADY_OPEN,
     .is_journalled_by_session = true},
    {.name = "there is none",
     .refusal = REFUSAL_NOT_OPEN,
     .session_says = REFUSAL_NOT_OPEN,
     .is_journalled_by_session = true},
    {.name = "tampered",
     .refusal = REFUSAL_TAMPERED,
     .session_says = REFUSAL_TAMPERED,
     .is_journalled_by_session = true},
    {.name = "no hub",
     .refusal = REFUSAL_HUB_UNREACHABLE,
     .session_says = REFUSAL_HUB_UNREACHABLE,
     .is_journalled_by_session = true},
};

static void try_row(const struct row *row)
{
    struct world world;
    CLEANUP(strbuf_free) struct strbuf message = STRBUF_EMPTY;
    begin(&world);
    struct command command = make_command(&world);
    world.session_says = REFUSAL_NONE;
    if (row->change)
        row->change(&world, &command);
    world.session_says = row->session_says;
    sign(&command, row->key ? row->key : "anna", &message);
    if (row->spoil)
        row->spoil(&message);
    uint64_t lines = journal_lines(world.journal);
    char before[COMMAND_CHALLENGE_BYTES];
    strcpy(before, command_gate_challenge(world.gate));
    struct command_gate_answer answer = send_as(&world, message.data, message.length, row->how);
    EXPECT(answer, row->refusal);
    TEST_TEXT_EQUAL(answer.id, row->has_no_id ? "" : command.id);
    CU_ASSERT_EQUAL(world.acted, row->is_journalled_by_session ? 1 : 0);
    CU_ASSERT_NOT_EQUAL(strcmp(command_gate_challenge(world.gate), before), 0);
    CU_ASSERT_EQUAL(journal_lines(world.journal), lines + !row->is_journalled_by_session);
    if (!row->is_journalled_by_session) {
        expect_journal(&world, "tunnel_refused", "reason", refusal_names[row->refusal]);
        expect_journal(&world, "tunnel_refused", "by", row->by ? row->by : "anna@plant-7");
    }
    if (row->detail)
        expect_journal(&world, "tunnel_refused", row->detail, row->value);
    (void)unlink(test_path("revoked_keys"));
    end(&world);
}

static void test_reasons(void)
{
    bool seen[REFUSAL_COUNT] = {false};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        unsigned before = CU_get_number_of_failures();
        try_row(&rows[i]);
        seen[rows[i].refusal] = true;
        if (CU_get_number_of_failures() > before)
            printf("\nthat was: %s\n", rows[i].name);
    }
    for (int refusal = REFUSAL_MALFORMED; refusal <= REFUSAL_HUB_UNREACHABLE; refusal++)
        CU_ASSERT_TRUE(seen[refusal] || refusal == REFUSAL_RATE_LIMITED);
}

/* ---- With a verifier of the test's ---- */

/* A message with COMMAND's text, and anna's signature over something else: it claims her key. */
static void claim(const struct command *command, struct strbuf *out)
{
    static char armour[1024];
    CLEANUP(strbuf_free) struct strbuf signature = STRBUF_EMPTY;
    if (!armour[0]) {
        signing_sign("anna", "sallyport", "x", 1, &signature);
        (void)snprintf(armour, sizeof(armour), "%s", strbuf_text(&signature));
    }
    command_print(command, out);
    strbuf_add(out, armour);
}

/* Sends it without waiting for the answer. Returns whether the gate has answered. */
static bool pass_in(struct world *world, const struct command *command)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command_gate_answer answer;
    claim(command, &text);
    const struct command_message message = {.text = text.data, .length = text.length};
    bool is_answered =
        command_gate_command(world->gate, ++world->ticket, &message, world->now_ms, &answer);
    if (is_answered)
        on_answer(world, world->ticket, &answer);
    return is_answered;
}

static void verdict(struct world *world, enum signature_verdict verdict)
{
    struct signature_result result = {.verdict = verdict, .signer = "anna@plant-7"};
    strbuf_reset(&world->verifying);
    command_gate_verified(world->gate, &result, world->now_ms);
}

static void pass_ms(struct world *world, int64_t ms)
{
    world->now_ms += ms;
    command_gate_tick(world->gate, world->now_ms);
}

/* The command that the verifier is asked about has this ID. */
static bool is_verifying(const struct world *world, const char *id)
{
    CLEANUP(memory_free_pointer) char *line = memory_printf("\nid: %s\n", id);
    return strstr(strbuf_text(&world->verifying), line) != NULL;
}

static struct command make_close(const struct world *world)
{
    struct command command = make_command(world);
    command.action = COMMAND_CLOSE;
    command.n_services = 0;
    return command;
}

/* Every cheap kind of forgery, by the thousand; then the right close and open, at once. */
static void test_flood(void)
{
    struct world world;
    begin(&world);
    uint64_t lines = journal_lines(world.journal);
    struct command good = make_close(&world);
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, foreign = STRBUF_EMPTY;
    struct command wrong = make_command(&world);
    strcpy(wrong.gateway, "plant-7/gw-0043");
    sign(&wrong, "anna", &text);
    wrong = make_command(&world);
    sign(&wrong, "stranger", &foreign);
    CLEANUP(strbuf_free) struct strbuf elsewhere = STRBUF_EMPTY;
    command_print(&wrong, &elsewhere);
    signing_sign("anna", "sallypord", strbuf_text(&elsewhere), elsewhere.length, &elsewhere);
    EXPECT(send_message(&world, &elsewhere), REFUSAL_BAD_SIGNATURE); /* signed for something else */
    for (int i = 0; i < 3000; i++) {
        EXPECT(send_as(&world, "x", 1, PLAIN), REFUSAL_MALFORMED);
        EXPECT(send_as(&world, "x", 1, RETAINED), REFUSAL_RETAINED);
        EXPECT(send_as(&world, "x", 1, CUT), REFUSAL_TOO_LARGE);
        EXPECT(send_message(&world, &text), REFUSAL_WRONG_GATEWAY);
        EXPECT(send_message(&world, &foreign), REFUSAL_UNKNOWN_SIGNER);
        wrong = make_command(&world);
        wrong.challenge[0] = 'f' - (wrong.challenge[0] == 'f');
        CU_ASSERT_TRUE(pass_in(&world, &wrong));
        EXPECT(world.answer, REFUSAL_BAD_CHALLENGE);
    }
    CU_ASSERT_EQUAL(world.verified, 0); /* no process */
    CU_ASSERT_EQUAL(world.acted, 0);
    CU_ASSERT_EQUAL(journal_lines(world.journal), lines + 32);
    EXPECT(send_command(&world, &good, "anna"), REFUSAL_NONE);
    struct command opening = make_command(&world);
    EXPECT(send_command(&world, &opening, "anna"), REFUSAL_NONE);
    CU_ASSERT_EQUAL(world.acted, 2);
    end(&world);
}

/* Whoever may publish must not push the rest of the journal out, however long he goes on. */
static void test_long_siege(void)
{
    struct world world;
    begin(&world);
    uint64_t lines = journal_lines(world.journal);
    for (int minute = 0; minute < 24 * 60; minute++) {
        for (int i = 0; i < 10; i++)
            (void)send_as(&world, "x", 1, PLAIN);
        pass_minutes(&world, 1);
    }
    uint64_t written = journal_lines(world.journal) - lines;
    CU_ASSERT_TRUE(written > 100 && written < 400);
    struct command command = make_command(&world); /* his own are all on record */
    command.ttl_s = 0;
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_BAD_TTL);
    expect_journal(&world, "tunnel_refused", "id", command.id);
    end(&world);
}

static void refuse_one(struct world *world)
{
    EXPECT(send_as(world, "x", 1, PLAIN), REFUSAL_MALFORMED);
}

/* Signed, then somebody's forgery comes first. AFTER_MS later it is sent. */
static void test_grace_after(int64_t before_ms, int64_t after_ms, enum refusal wanted)
{
    struct world world;
    begin(&world);
    pass_ms(&world, before_ms);
    struct command command = make_command(&world);
    refuse_one(&world);
    CU_ASSERT_NOT_EQUAL(strcmp(command_gate_challenge(world.gate), command.challenge), 0);
    pass_ms(&world, after_ms);
    EXPECT(send_command(&world, &command, "anna"), wanted);
    CU_ASSERT_EQUAL(world.acted, wanted == REFUSAL_NONE);
    end(&world);
}

static void test_grace(void)
{
    const int64_t hour_ms = CHALLENGE_LIFE_MS;
    test_grace_after(0, 0, REFUSAL_NONE);
    test_grace_after(0, CHALLENGE_GRACE_MS - 1, REFUSAL_NONE);
    test_grace_after(0, CHALLENGE_GRACE_MS, REFUSAL_BAD_CHALLENGE);
    test_grace_after(hour_ms - 2, 1, REFUSAL_NONE);
    test_grace_after(hour_ms - 2, 2, REFUSAL_BAD_CHALLENGE); /* an hour is an hour */
    struct world world;
    begin(&world);
    struct command first = make_command(&world);
    for (int64_t ms = 0; ms < CHALLENGE_GRACE_MS; ms += 100) { /* a forgery each */
        refuse_one(&world);
        pass_ms(&world, ms + 100 < CHALLENGE_GRACE_MS ? 100 : 99);
    }
    EXPECT(send_command(&world, &first, "anna"), REFUSAL_NONE);
    end(&world);
}

static void test_renewals(void)
{
    struct world world;
    char before[COMMAND_CHALLENGE_BYTES];
    unsigned renewed = 0;
    begin(&world);
    for (int i = 0; i < 600; i++) { /* a minute */
        strcpy(before, command_gate_challenge(world.gate));
        refuse_one(&world);
        renewed += strcmp(before, command_gate_challenge(world.gate)) != 0;
        strcpy(before, command_gate_challenge(world.gate));
        pass_ms(&world, 100);
        renewed += strcmp(before, command_gate_challenge(world.gate)) != 0;
    }
    CU_ASSERT_TRUE(renewed == 6 || renewed == 7);
    pass_minutes(&world, 2);
    refuse_one(&world); /* at once */
    strcpy(before, command_gate_challenge(world.gate));
    refuse_one(&world); /* later, but not never */
    TEST_TEXT_EQUAL(command_gate_challenge(world.gate), before);
    CU_ASSERT_EQUAL(command_gate_next_tick_ms(world.gate), world.now_ms + CHALLENGE_RENEWAL_MS);
    pass_ms(&world, CHALLENGE_RENEWAL_MS);
    CU_ASSERT_NOT_EQUAL(strcmp(command_gate_challenge(world.gate), before), 0);
    end(&world);
}

/* COMMAND of anna, refused or not, is the last that may be done of what is signed by then. */
static void try_used_up(enum refusal refusal)
{
    struct world world;
    begin(&world);
    struct command oldest = make_command(&world);
    refuse_one(&world);
    struct command used = make_command(&world);
    pass_ms(&world, CHALLENGE_RENEWAL_MS);
    refuse_one(&world);
    struct command newest = make_command(&world);
    CU_ASSERT_NOT_EQUAL(strcmp(oldest.challenge, used.challenge), 0);
    CU_ASSERT_NOT_EQUAL(strcmp(newest.challenge, used.challenge), 0);
    used.ttl_s = refusal == REFUSAL_BAD_TTL ? 0 : 60;
    EXPECT(send_command(&world, &used, "anna"), refusal);
    EXPECT(send_command(&world, &oldest, "anna"), REFUSAL_BAD_CHALLENGE);
    EXPECT(send_command(&world, &newest, "anna"), REFUSAL_BAD_CHALLENGE);
    used.ttl_s = 60;
    EXPECT(send_command(&world, &used, "anna"),
           refusal == REFUSAL_NONE ? REFUSAL_REPLAYED : REFUSAL_BAD_CHALLENGE);
    CU_ASSERT_EQUAL(world.acted, refusal == REFUSAL_NONE);
    struct command next = make_command(&world);
    EXPECT(send_command(&world, &next, "anna"), REFUSAL_NONE);
    end(&world);
}

static void test_used_up(void)
{
    try_used_up(REFUSAL_NONE);
    try_used_up(REFUSAL_BAD_TTL);
}

static void test_queue(void)
{
    struct world world;
    struct command commands[5];
    begin(&world);
    world.is_scripted = true;
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        commands[i] = make_command(&world);
        CU_ASSERT_FALSE(pass_in(&world, &commands[i]));
    }
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        command_gate_tick(world.gate, world.now_ms);
        CU_ASSERT_TRUE(is_verifying(&world, commands[i].id)); /* first come, first served */
        pass_ms(&world, 20);
        CU_ASSERT_TRUE(is_verifying(&world, commands[i].id));
        verdict(&world, SIGNATURE_BAD);
        EXPECT(world.answer, REFUSAL_BAD_SIGNATURE);
        TEST_TEXT_EQUAL(world.answer.id, commands[i].id);
        CU_ASSERT_EQUAL(world.answered, i + 1);
        command_gate_tick(world.gate, world.now_ms);
        CU_ASSERT_EQUAL(world.verifying.length, 0); /* the budget of forgeries */
        pass_ms(&world, COMMAND_GATE_PAUSE_MS - 20);
    }
    CU_ASSERT_EQUAL(world.acted, 0);
    end(&world);
}

/* More than may wait: that is all that `rate-limited` is said for. */
static void test_full(void)
{
    struct world world;
    begin(&world);
    world.is_scripted = true;
    for (size_t i = 0; i <= COMMAND_GATE_WAITING; i++) { /* one of them runs */
        struct command command = make_command(&world);
        CU_ASSERT_FALSE(pass_in(&world, &command));
        command_gate_tick(world.gate, world.now_ms);
    }
    struct command good = make_command(&world);
    CU_ASSERT_TRUE(pass_in(&world, &good));
    EXPECT(world.answer, REFUSAL_RATE_LIMITED);
    TEST_TEXT_EQUAL(world.answer.id, good.id);
    refuse_one(&world); /* what needs no verification is answered as ever */
    verdict(&world, SIGNATURE_BAD);
    pass_ms(&world, COMMAND_GATE_PAUSE_MS);
    CU_ASSERT_FALSE(pass_in(&world, &good));
    end(&world);
}

/* Both are right and fresh when they come; the second is neither when its turn comes. */
static void test_two_at_once(void)
{
    struct world world;
    begin(&world);
    world.is_scripted = true;
    uint64_t lines = journal_lines(world.journal);
    struct command first = make_command(&world), second = make_command(&world), copy = first;
    CU_ASSERT_FALSE(pass_in(&world, &first));
    CU_ASSERT_FALSE(pass_in(&world, &second));
    CU_ASSERT_FALSE(pass_in(&world, &copy));
    command_gate_tick(world.gate, world.now_ms);
    verdict(&world, SIGNATURE_GOOD);
    EXPECT(world.answer, REFUSAL_NONE);
    char challenge[COMMAND_CHALLENGE_BYTES];
    strcpy(challenge, command_gate_challenge(world.gate));
    command_gate_tick(world.gate, world.now_ms); /* without a pause: it was good */
    verdict(&world, SIGNATURE_GOOD);
    EXPECT(world.answer, REFUSAL_REPLAYED); /* its challenge was used */
    command_gate_tick(world.gate, world.now_ms);
    verdict(&world, SIGNATURE_GOOD);
    EXPECT(world.answer, REFUSAL_REPLAYED);
    CU_ASSERT_EQUAL(world.acted, 1);
    TEST_TEXT_EQUAL(world.last.id, first.id);
    /* The copies of what the signer sent once cost others no more than any forgery. */
    struct command next = make_command(&world);
    strcpy(next.challenge, challenge);
    CU_ASSERT_FALSE(pass_in(&world, &next));
    command_gate_tick(world.gate, world.now_ms);
    verdict(&world, SIGNATURE_GOOD);
    EXPECT(world.answer, REFUSAL_NONE);
    CU_ASSERT_EQUAL(journal_lines(world.journal), lines + 2);
    end(&world);
}

static void test_forgotten(void)
{
    struct world world;
    begin(&world);
    world.is_scripted = true;
    struct command first = make_command(&world), second = make_command(&world),
                   third = make_command(&world);
    CU_ASSERT_FALSE(pass_in(&world, &first));
    CU_ASSERT_FALSE(pass_in(&world, &second));
    CU_ASSERT_FALSE(pass_in(&world, &third));
    command_gate_tick(world.gate, world.now_ms);
    CU_ASSERT_TRUE(is_verifying(&world, first.id));
    command_gate_forget(world.gate, 2); /* it waits */
    CU_ASSERT_EQUAL(world.forgotten, 0);
    command_gate_forget(world.gate, 1); /* it runs */
    CU_ASSERT_EQUAL(world.forgotten, 1);
    command_gate_forget(world.gate, 77);
    pass_ms(&world, COMMAND_GATE_PAUSE_MS);
    CU_ASSERT_TRUE(is_verifying(&world, third.id));
    verdict(&world, SIGNATURE_GOOD);
    CU_ASSERT_EQUAL(world.acted, 1);
    CU_ASSERT_EQUAL(world.answered, 3);
    TEST_TEXT_EQUAL(world.last.id, third.id);
    CU_ASSERT_EQUAL(world.verified, 2);
    end(&world);
}

/* It was refused, and stays so, though nobody knows whether it is good. */
static void test_not_verified(void)
{
    struct world world;
    begin(&world);
    world.is_scripted = true;
    struct command command = make_command(&world);
    world.verify_result = -EMFILE;
    CU_ASSERT_FALSE(pass_in(&world, &command));
    command_gate_tick(world.gate, world.now_ms);
    CU_ASSERT_EQUAL(world.answered, world.ticket);
    EXPECT(world.answer, REFUSAL_FAILED);
    expect_journal(&world, "tunnel_refused", "signature", "failed");
    world.verify_result = 0;
    CU_ASSERT_TRUE(pass_in(&world, &command));
    EXPECT(world.answer, REFUSAL_BAD_CHALLENGE);
    command = make_command(&world);
    CU_ASSERT_FALSE(pass_in(&world, &command));
    pass_ms(&world, COMMAND_GATE_PAUSE_MS);
    verdict(&world, SIGNATURE_FAILED);
    EXPECT(world.answer, REFUSAL_FAILED);
    CU_ASSERT_TRUE(pass_in(&world, &command));
    EXPECT(world.answer, REFUSAL_BAD_CHALLENGE);
    CU_ASSERT_EQUAL(world.acted, 0);
    end(&world);
}

/* ---- Random interleavings ---- */

#define CLIENTS 4
#define VERIFY_MAX_MS 30

/* Every challenge that was in force, and until when it may be used; the model of the rule. */
struct issued {
    char text[COMMAND_CHALLENGE_BYTES];
    int64_t made_ms, until_ms;
};

/* One client of netd: at most one command of its is with the gate. */
struct client {
    uint64_t ticket; /* 0: none */
    bool is_good;    /* signed by anna */
    bool is_sure;    /* and fresh, and nothing came between: it must act, before `by_ms` */
    int64_t by_ms;
    struct command command;
};

struct model {
    struct world world;
    struct issued issued[512];
    size_t n_issued;
    struct client clients[CLIENTS];
    struct command last_good; /* to be sent again */
    int64_t verdict_ms;       /* when the verifier answers */
    unsigned acted, must_act;
};

/* Like dice(), which comes below and is for the hostile messages. */
static unsigned roll(unsigned faces)
{
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % faces;
}

/* Notes a new challenge. BY_REFUSAL: the one before may still be used for a while. */
static void note_challenge(struct model *model, bool by_refusal)
{
    const char *now = command_gate_challenge(model->world.gate);
    struct issued *last = model->n_issued > 0 ? &model->issued[model->n_issued - 1] : NULL;
    int64_t now_ms = model->world.now_ms;
    if (last && strcmp(last->text, now) == 0)
        return;
    for (size_t i = 0; i < model->n_issued && !by_refusal; i++)
        model->issued[i].until_ms = now_ms;
    if (last && last->until_ms > now_ms + CHALLENGE_GRACE_MS)
        last->until_ms = now_ms + CHALLENGE_GRACE_MS;
    if (model->n_issued == ARRAY_LENGTH(model->issued)) {
        memmove(model->issued, model->issued + 256, 256 * sizeof(model->issued[0]));
        model->n_issued -= 256;
    }
    struct issued *next = &model->issued[model->n_issued++];
    *next = (struct issued){.made_ms = now_ms, .until_ms = now_ms + CHALLENGE_LIFE_MS};
    strcpy(next->text, now);
}

static bool model_may_be_used(const struct model *model, const char *challenge)
{
    for (size_t i = 0; i < model->n_issued; i++) {
        if (strcmp(model->issued[i].text, challenge) == 0)
            return model->world.now_ms < model->issued[i].until_ms;
    }
    return false;
}

/* Some good command acts: nothing else that is under way is sure of anything any more. */
static void forget_sure(struct model *model)
{
    for (size_t i = 0; i < CLIENTS; i++)
        model->clients[i].is_sure = false;
}

/* What the gate has answered to CLIENT. */
static void judge(struct model *model, struct client *client)
{
    struct world *world = &model->world;
    bool has_acted = world->acted > model->acted;
    CU_ASSERT_EQUAL(has_acted, world->answer.refusal == REFUSAL_NONE);
    if (has_acted) {
        CU_ASSERT_TRUE(client->is_good);
        TEST_TEXT_EQUAL(world->last.id, client->command.id);
        CU_ASSERT_TRUE(model_may_be_used(model, client->command.challenge));
        CU_ASSERT_EQUAL(world->acted, model->acted + 1);
        model->acted = world->acted;
        forget_sure(model);
    } else if (client->is_sure) {
        printf("\nrefused, though right and fresh: %s\n", refusal_names[world->answer.refusal]);
        CU_ASSERT_TRUE(false);
    }
    CU_ASSERT_NOT_EQUAL(world->answer.refusal, REFUSAL_RATE_LIMITED);
    client->ticket = 0;
    note_challenge(model, !has_acted);
}

static void tick_model(struct model *model)
{
    bool was_idle = model->world.verifying.length == 0;
    command_gate_tick(model->world.gate, model->world.now_ms);
    note_challenge(model, true);
    if (was_idle && model->world.verifying.length > 0)
        model->verdict_ms = model->world.now_ms + 1 + roll(VERIFY_MAX_MS);
}

/* Whoever waits for the verifier's answer; two copies of one command are equally good. */
static bool verification_is_good(const struct model *model)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (model->clients[i].ticket && is_verifying(&model->world, model->clients[i].command.id))
            return model->clients[i].is_good;
    }
    CU_ASSERT_TRUE(false);
    return false;
}

static struct client *client_of_answer(struct model *model)
{
    size_t i = 0;
    while (i < CLIENTS && model->clients[i].ticket != model->world.answered)
        i++;
    CU_ASSERT_TRUE_FATAL(i < CLIENTS);
    return &model->clients[i];
}

static void pass_model(struct model *model, int64_t ms)
{
    struct world *world = &model->world;
    for (int64_t until_ms = world->now_ms + ms; world->now_ms < until_ms;) {
        world->now_ms = ms > 1000 ? until_ms : world->now_ms + 1;
        tick_model(model);
        if (world->verifying.length == 0 || world->now_ms < model->verdict_ms)
            continue;
        verdict(world, verification_is_good(model) ? SIGNATURE_GOOD : SIGNATURE_BAD);
        judge(model, client_of_answer(model));
        tick_model(model);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        CU_ASSERT_TRUE(!model->clients[i].is_sure || world->now_ms <= model->clients[i].by_ms);
}

/* Each takes its time, and after each the budget may make it wait. */
#define BOUND_MS (CLIENTS * (VERIFY_MAX_MS + 1 + COMMAND_GATE_PAUSE_MS))

static void send_model(struct model *model, struct client *client, bool is_good)
{
    struct world *world = &model->world;
    unsigned kind = roll(10);
    client->command = make_command(world);
    client->is_good = is_good;
    if (roll(3) == 0) {
        client->command.action = COMMAND_CLOSE;
        client->command.n_services = 0;
    }
    if (kind == 0 && model->last_good.id[0]) { /* once more, as it was */
        client->command = model->last_good;
        client->is_good = true;
    }
    if (kind == 1) /* an older challenge */
        strcpy(client->command.challenge,
               model->issued[model->n_issued - 1 - roll(model->n_issued > 8 ? 8 : 1)].text);
    if (kind == 2)
        client->command.challenge[5] ^= 1;
    bool is_usable = kind > 2;
    if (is_good)
        model->last_good = client->command;
    CU_ASSERT_EQUAL(client->ticket, 0);
    bool is_answered = pass_in(world, &client->command);
    client->ticket = world->ticket;
    client->is_sure = is_good && is_usable;
    client->by_ms = world->now_ms + BOUND_MS;
    note_challenge(model, true);
    if (is_answered)
        judge(model, client);
    else
        model->must_act += client->is_sure;
}

static void act_at_random(struct model *model)
{
    struct client *client = &model->clients[roll(CLIENTS)];
    switch (roll(8)) {
    case 0:
        pass_model(model, 1 + roll(200));
        return;
    case 1:
        pass_model(model, 1 + roll(30));
        if (roll(40) > 0)
            return;
        pass_model(model, BOUND_MS); /* all is answered by then: a long time may pass */
        CU_ASSERT_EQUAL(model->world.verifying.length, 0);
        pass_model(model, 1001 + roll(4000000));
        return;
    case 2: /* it goes, in the middle */
        if (client->ticket && roll(8) == 0) {
            command_gate_forget(model->world.gate, client->ticket);
            client->ticket = 0;
            client->is_sure = false;
        }
        return;
    case 3:
        (void)send_as(&model->world, "x", 1, PLAIN);
        note_challenge(model, true);
        return;
    default:
        if (!client->ticket)
            send_model(model, client, roll(8) == 0);
        return;
    }
}

/*
 * No forgery ever acts; no command acts twice, or after its challenge; and a right and fresh one
 * acts within its bound, unless another one does first.
 */
static void test_interleavings(void)
{
    static struct model model;
    model = (struct model){.n_issued = 0};
    begin(&model.world);
    model.world.is_scripted = true;
    note_challenge(&model, true);
    for (int i = 0; i < 20000; i++) {
        act_at_random(&model);
        if (CU_get_number_of_failures() > 20)
            break;
    }
    CU_ASSERT_TRUE(model.acted > 200 && model.must_act > 200);
    printf("\n%u acted, %u verifications, %u were sure\n", model.acted, model.world.verified,
           model.must_act);
    end(&model.world);
}

static void test_hours(void)
{
    struct world world;
    begin(&world);
    char before[COMMAND_CHALLENGE_BYTES];
    strcpy(before, command_gate_challenge(world.gate));
    CU_ASSERT_EQUAL(command_gate_next_tick_ms(world.gate), world.now_ms + CHALLENGE_LIFE_MS);
    pass_minutes(&world, 59);
    TEST_TEXT_EQUAL(command_gate_challenge(world.gate), before);
    unsigned changed = world.changed;
    pass_minutes(&world, 1);
    CU_ASSERT_NOT_EQUAL(strcmp(command_gate_challenge(world.gate), before), 0);
    CU_ASSERT_TRUE(world.changed > changed); /* so that it is published */
    CU_ASSERT_EQUAL(command_gate_next_tick_ms(world.gate), world.now_ms + CHALLENGE_LIFE_MS);
    end(&world);
}

/* No two are alike, and each has 64 hex digits. */
static void test_challenges(void)
{
    struct world world;
    char before[COMMAND_CHALLENGE_BYTES];
    begin(&world);
    for (int i = 0; i < 100; i++) {
        strcpy(before, command_gate_challenge(world.gate));
        CU_ASSERT_EQUAL(strlen(before), 64);
        CU_ASSERT_EQUAL(strspn(before, "0123456789abcdef"), 64);
        pass_minutes(&world, 60);
        CU_ASSERT_NOT_EQUAL(strcmp(command_gate_challenge(world.gate), before), 0);
    }
    end(&world);
}

/* A kernel that has no random bits yet: there is no challenge, so nothing is opened. */
static void test_no_random_bits(void)
{
    struct world world;
    begin(&world);
    struct command command = make_command(&world); /* with the challenge that was in force */
    has_random_bits = false;
    pass_minutes(&world, 60);
    TEST_TEXT_EQUAL(command_gate_challenge(world.gate), "");
    CU_ASSERT_EQUAL(command_gate_next_tick_ms(world.gate), world.now_ms + CHALLENGE_RETRY_MS);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_BAD_CHALLENGE);
    CU_ASSERT_EQUAL(world.acted, 0);
    has_random_bits = true;
    world.now_ms += CHALLENGE_RETRY_MS;
    command_gate_tick(world.gate, world.now_ms);
    command = make_command(&world);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_NONE);
    end(&world);
}

static void test_restart(void)
{
    struct world world;
    CLEANUP(strbuf_free) struct strbuf message = STRBUF_EMPTY;
    begin(&world);
    struct command command = make_command(&world);
    sign(&command, "anna", &message);
    EXPECT(send_message(&world, &message), REFUSAL_NONE);
    command_gate_free(world.gate);
    start(&world);
    EXPECT(send_message(&world, &message), REFUSAL_REPLAYED);
    strcpy(command.challenge, command_gate_challenge(world.gate));
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_REPLAYED);
    command = make_command(&world);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_NONE);
    end(&world);
}

/* The list of used commands is damaged, or cannot be written: nothing is opened, but closed it is.
 */
static void test_used_list(void)
{
    struct world world;
    begin(&world);
    command_gate_free(world.gate);
    (void)test_file("used-commands", "sallyport-used-commands 1\nend 0\n");
    start(&world);
    struct command command = make_command(&world);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_FAILED);
    command = make_command(&world);
    command.action = COMMAND_EXTEND;
    command.n_services = 0;
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_FAILED);
    CU_ASSERT_EQUAL(world.acted, 0);
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    last_value(&world, "tunnel_refused", "detail", &detail);
    TEST_CONTAINS(strbuf_text(&detail), "move the file away");
    command = make_command(&world);
    command.action = COMMAND_CLOSE;
    command.n_services = 0;
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_NONE);
    command_gate_free(world.gate);
    (void)unlink(test_path("used-commands"));
    start(&world);
    CU_ASSERT_EQUAL(mkdir(test_path("used-commands.new"), 0700), 0); /* where it is written */
    command = make_command(&world);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_FAILED);
    CU_ASSERT_EQUAL(rmdir(test_path("used-commands.new")), 0);
    command = make_command(&world);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_NONE);
    CU_ASSERT_EQUAL(world.acted, 2);
    end(&world);
}

/* A line goes out of allowed_signers, or comes in: it counts for the very next command. */
static void test_signers(void)
{
    CLEANUP(strbuf_free) struct strbuf signers = STRBUF_EMPTY;
    struct world world;
    begin(&world);
    CU_ASSERT_EQUAL_FATAL(file_read(test_path("allowed_signers"), 100000, &signers), 0);
    (void)unlink(test_path("allowed_signers"));
    struct command command = make_command(&world);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_UNKNOWN_SIGNER);
    (void)test_file("allowed_signers", strbuf_text(&signers));
    command = make_command(&world);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_NONE);
    end(&world);
}

/* ---- Hostile messages ---- */

/* Each spoils MESSAGE, a good one for this moment or an old one. */
typedef void mutation(struct strbuf *message);

static size_t dice(size_t faces)
{
    static uint64_t state = 0x9e3779b97f4a7c15; /* the same messages in every run */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % faces);
}

static void flip_bit(struct strbuf *message)
{
    size_t at = dice(message->length);
    message->data[at] = (char)(message->data[at] ^ (1 << dice(8)));
}

static void flip_in_text(struct strbuf *message)
{
    size_t at = dice((size_t)(strstr(message->data, "-----BEGIN") - message->data));
    message->data[at] = (char)(message->data[at] ^ (1 << dice(7)));
}

static void truncate_it(struct strbuf *message)
{
    message->length = dice(message->length - 1);
    message->data[message->length] = '\0';
}

static void insert(struct strbuf *message, size_t at, const char *bytes, size_t length)
{
    (void)strbuf_reserve(message, length);
    memmove(message->data + at + length, message->data + at, message->length - at + 1);
    memcpy(message->data + at, bytes, length);
    message->length += length;
}

/* The beginning of some line. */
static size_t some_line(const struct strbuf *message)
{
    size_t at = dice(message->length - 1);
    while (at > 0 && message->data[at - 1] != '\n')
        at--;
    return at;
}

static void double_line(struct strbuf *message)
{
    size_t at = some_line(message), length = strcspn(message->data + at, "\n") + 1;
    char line[512];
    length = length < sizeof(line) ? length : sizeof(line);
    length = at + length > message->length ? message->length - at : length;
    memcpy(line, message->data + at, length);
    insert(message, at, line, length);
}

static void drop_line(struct strbuf *message)
{
    size_t at = some_line(message), length = strcspn(message->data + at, "\n") + 1;
    length = at + length > message->length ? message->length - at : length;
    memmove(message->data + at, message->data + at + length, message->length - at - length + 1);
    message->length -= length;
}

static void add_key(struct strbuf *message)
{
    static const char *const extra[] = {"service: plc1\n", "ttl: 28800\n", "action: open\n",
                                        "x: y\n",          "\n",           "# comment\n"};
    const char *line = extra[dice(ARRAY_LENGTH(extra))];
    insert(message, some_line(message), line, strlen(line));
}

static void use_crlf(struct strbuf *message)
{
    for (size_t at = 0; at < message->length; at++) {
        if (message->data[at] == '\n')
            insert(message, at++, "\r", 1);
    }
}

static void add_nul(struct strbuf *message)
{
    insert(message, dice(message->length), "", 1);
}

static void put_in_front(struct strbuf *message)
{
    insert(message, 0, &"\xef\xbb\xbf \n"[dice(5)], 1);
}

static void append_itself(struct strbuf *message)
{
    CLEANUP(strbuf_free) struct strbuf copy = STRBUF_EMPTY;
    strbuf_append(&copy, message->data, message->length);
    strbuf_append(message, copy.data, copy.length);
}

static void text_twice(struct strbuf *message)
{
    size_t text = (size_t)(strstr(message->data, "-----BEGIN") - message->data);
    CLEANUP(strbuf_free) struct strbuf copy = STRBUF_EMPTY;
    strbuf_append(&copy, message->data, text);
    insert(message, 0, copy.data, copy.length);
}

static void trail(struct strbuf *message)
{
    static const char *const tails[] = {"\n", " ", "x", "-----END SSH SIGNATURE-----\n"};
    strbuf_add(message, tails[dice(ARRAY_LENGTH(tails))]);
}

/* Still well-formed, and for this moment: the signature alone stands against it. */
static void change_meaning(struct strbuf *message)
{
    static const struct {
        const char *key, *fit;
    } lines[] = {{"\nid: ", "abcdefgh0123456789"},
                 {"\nttl: ", "123456789"},
                 {"\nreason: ", "abcdefgh 0123456789"},
                 {"\nid: ", "ABCDEFGH-"}};
    size_t which = dice(ARRAY_LENGTH(lines));
    char *at = strstr(message->data, lines[which].key) + strlen(lines[which].key);
    char before = *at;
    while (*at == before)
        *at = lines[which].fit[dice(strlen(lines[which].fit))];
}

/* Good words in a text that somebody else signed, or for something else; and old ones untouched. */
static void as_it_is(struct strbuf *message)
{
    (void)message;
}

static mutation *const mutations[] = {
    flip_bit,       flip_bit,       flip_in_text,   truncate_it,    double_line,
    drop_line,      add_key,        use_crlf,       add_nul,        put_in_front,
    append_itself,  text_twice,     trail,          flip_in_text,   change_meaning,
    change_meaning, change_meaning, change_meaning, change_meaning,
};

/* Signs COMMAND as an attacker could: with a key that does not count, or for something else. */
static void forge(const struct command *command, struct strbuf *out)
{
    static const char *const keys[] = {"stranger", "rsa",  "ecdsa", "carl",
                                       "dora",     "anna", "anna",  "certified-cert.pub"};
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command wrong = *command;
    size_t which = dice(ARRAY_LENGTH(keys));
    if (which == 6) /* her command to another gateway */
        strcpy(wrong.gateway, "plant-7/gw-0043");
    command_print(&wrong, &text);
    strbuf_add(out, strbuf_text(&text));
    signing_sign(keys[which], which == 5 ? "git" : "sallyport", text.data, text.length, out);
}

/* One hostile message: mostly spoilt from a good one, now and then forged for this moment. */
static void make_hostile(struct world *world, const struct strbuf *fresh, const struct strbuf *old,
                         struct strbuf *out)
{
    if (dice(12) == 0) {
        const struct command command = make_command(world);
        forge(&command, out);
        return;
    }
    const struct strbuf *base = dice(3) == 0 ? old : fresh;
    strbuf_append(out, base->data, base->length);
    mutation *change =
        base == old && dice(2) == 0 ? as_it_is : mutations[dice(ARRAY_LENGTH(mutations))];
    change(out);
    if (out->length > WIRE_SIGNED_BYTES)
        out->length = WIRE_SIGNED_BYTES;
    if (base == fresh && out->length == base->length &&
        memcmp(out->data, base->data, base->length) == 0)
        flip_bit(out); /* two lines that are alike changed places */
}

/* Messages that are signed for the very challenge that is in force, so that only what was spoilt
 * stands between them and a session. A last LF may go: that one opens, and is not hostile. */
static void test_hostile(void)
{
    const char *wish = getenv("SALLYPORT_HOSTILE");
    unsigned count = wish ? (unsigned)strtoul(wish, NULL, 10) : 150;
    CLEANUP(strbuf_free) struct strbuf old = STRBUF_EMPTY;
    unsigned refused[REFUSAL_NOT_PERMITTED + 1] = {0};
    struct world world;
    begin(&world);
    struct command command = make_command(&world);
    sign(&command, "anna", &old);
    EXPECT(send_message(&world, &old), REFUSAL_NONE);
    world.acted = 0;
    for (unsigned i = 0; i < count; i++) {
        CLEANUP(strbuf_free) struct strbuf fresh = STRBUF_EMPTY, message = STRBUF_EMPTY;
        command = make_command(&world);
        sign(&command, "anna", &fresh);
        make_hostile(&world, &fresh, &old, &message);
        struct command_gate_answer answer = send_message(&world, &message);
        refused[answer.refusal]++;
        if (answer.refusal == REFUSAL_NONE)
            printf("\nopened by: %s\n", strbuf_text(&message));
    }
    CU_ASSERT_EQUAL(world.acted, 0);
    CU_ASSERT_EQUAL(refused[REFUSAL_NONE] + refused[REFUSAL_RATE_LIMITED] + refused[REFUSAL_FAILED],
                    0);
    CU_ASSERT_TRUE(refused[REFUSAL_BAD_SIGNATURE] > count / 20 && world.verified > count / 20);
    CU_ASSERT_TRUE(refused[REFUSAL_UNKNOWN_SIGNER] > 0 && refused[REFUSAL_WRONG_GATEWAY] > 0);
    CU_ASSERT_TRUE(refused[REFUSAL_REPLAYED] > 0 && refused[REFUSAL_MALFORMED] > 0);
    pass_minutes(&world, 1);
    command = make_command(&world);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_NONE);
    CU_ASSERT_EQUAL(world.acted, 1);
    end(&world);
}

static void allow(struct strbuf *list, const char *name, const char *options, const char *key)
{
    CLEANUP(memory_free_pointer) char *public_key = signing_public(key);
    strbuf_addf(list, "%s namespaces=\"sallyport\"%s %s\n", name, options, public_key);
}

static void make_signers(void)
{
    static const char *const ed25519[] = {"anna",     "bert",      "carl",     "dora",
                                          "stranger", "authority", "certified"};
    CLEANUP(strbuf_free) struct strbuf list = STRBUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LENGTH(ed25519); i++)
        signing_make_key(ed25519[i], "ed25519");
    signing_make_key("rsa", "rsa");
    signing_make_key("ecdsa", "ecdsa");
    signing_run("-q", "-s", test_path("authority"), "-I", "anna", "-n", "anna",
                test_path("certified.pub"), NULL);
    allow(&list, "anna@plant-7", "", "anna");
    allow(&list, "bert", "", "bert");
    allow(&list, "carl", ",valid-before=\"20200101\"", "carl");
    allow(&list, "dora", ",valid-after=\"20900101\"", "dora");
    allow(&list, "rsa", "", "rsa");
    allow(&list, "ecdsa", "", "ecdsa");
    allow(&list, "authority", ",cert-authority", "authority");
    (void)test_file("allowed_signers", strbuf_text(&list));
}

/* What ssh-keygen -l says about the stranger's key. */
static void find_print(void)
{
    CLEANUP(memory_free_pointer)
    char *command = memory_printf("%s -l -f %s", SIGNATURE_PROGRAM, test_path("stranger.pub"));
    FILE *output = popen(command, "re");
    if (!output || fscanf(output, "%*d %79s", stranger_print) != 1)
        abort();
    (void)pclose(output);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a good command passes, once", test_accepts},
        {"each reason, for the operator and for the auditor", test_reasons},
        {"a flood of forgeries shuts nothing, and fills no disk", test_flood},
        {"nor does it push the journal out in a day", test_long_siege},
        {"a refusal does not void what was signed before it", test_grace},
        {"refusals renew the challenge no faster than that", test_renewals},
        {"a good command voids all that was signed before it", test_used_up},
        {"one is verified at a time, in turn", test_queue},
        {"only what cannot wait is turned away", test_full},
        {"two good commands for one challenge", test_two_at_once},
        {"whoever goes takes his command with him", test_forgotten},
        {"ssh-keygen that cannot be asked", test_not_verified},
        {"whatever the order, only good commands act, once, and soon", test_interleavings},
        {"the challenge changes every hour", test_hours},
        {"no two challenges are alike", test_challenges},
        {"without random bits there is none, and nothing is opened", test_no_random_bits},
        {"what was used stays used over a restart", test_restart},
        {"without a list of what was used nothing is opened", test_used_list},
        {"allowed_signers is read each time", test_signers},
        {"hostile messages open nothing, and then a good one does", test_hostile},
    };
    make_signers();
    find_print();
    return test_main("gate", cases, ARRAY_LENGTH(cases));
}
