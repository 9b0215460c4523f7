/*
 * The gate with a clock of the test's and the real ssh-keygen: each reason code, what the journal
 * says about it, the rate limit, restarts, and thousands of hostile messages.
 */
#include "tunnel/command/command_gate.h"

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

static void start(struct world *world)
{
    const struct command_gate_settings settings = {
        .config = &world->config,
        .used_path = test_path("used-commands"),
        .signature = {.allowed_signers = test_path("allowed_signers"),
                      .revoked_keys = test_path("revoked_keys"),
                      .program = SIGNATURE_PROGRAM,
                      .timeout_ms = 60000},
        .journal = world->journal,
        .act = act,
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
    CU_ASSERT_EQUAL_FATAL(journal_open(&settings, 0, &problem, &world->journal), 0);
    start(world);
}

static void end(struct world *world)
{
    command_gate_free(world->gate);
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
    command_gate_command(world->gate, &message, world->now_ms, &answer);
    return answer;
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
     .value = "plant-7/gw-0043"},
    {.name = "another challenge", .refusal = REFUSAL_BAD_CHALLENGE, .change = other_challenge},
    {.name = "the challenge of an hour ago",
     .refusal = REFUSAL_BAD_CHALLENGE,
     .change = an_hour_later},
    {.name = "the id of before", .refusal = REFUSAL_REPLAYED, .change = used_id},
    {.name = "once more", .refusal = REFUSAL_REPLAYED, .change = used_altogether},
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

static void test_rate_limit(void)
{
    struct world world;
    CLEANUP(strbuf_free) struct strbuf good = STRBUF_EMPTY;
    begin(&world);
    for (int i = 0; i < COMMAND_GATE_MAX_FAILURES; i++, world.now_ms += 1000)
        EXPECT(send_as(&world, "x", 1, PLAIN), REFUSAL_MALFORMED);
    uint64_t lines = journal_lines(world.journal);
    char challenge[COMMAND_CHALLENGE_BYTES];
    strcpy(challenge, command_gate_challenge(world.gate));
    struct command command = make_command(&world);
    sign(&command, "anna", &good);
    for (int i = 0; i < 1000; i++) {
        EXPECT(send_message(&world, &good), REFUSAL_RATE_LIMITED);
        EXPECT(send_as(&world, "x", 1, RETAINED), REFUSAL_RATE_LIMITED);
        EXPECT(send_as(&world, "x", 1, CUT), REFUSAL_RATE_LIMITED);
    }
    CU_ASSERT_EQUAL(world.acted, 0);
    TEST_TEXT_EQUAL(command_gate_challenge(world.gate), challenge); /* nothing was looked at */
    CU_ASSERT_EQUAL(journal_lines(world.journal), lines + 1);
    expect_journal(&world, "tunnel_refused", "reason", "rate-limited");
    CU_ASSERT_EQUAL(command_gate_next_tick_ms(world.gate),
                    world.now_ms - 1000 + COMMAND_GATE_WINDOW_MS);
    world.now_ms = command_gate_next_tick_ms(world.gate) - 1;
    EXPECT(send_message(&world, &good), REFUSAL_RATE_LIMITED);
    world.now_ms++;
    command_gate_tick(world.gate, world.now_ms);
    expect_journal(&world, "rate_limit_ended", "refused", "3001");
    EXPECT(send_message(&world, &good), REFUSAL_NONE);
    CU_ASSERT_EQUAL(world.acted, 1);
    end(&world);
}

/* Four within a minute, again and again, shut nothing; nor does what the session refuses. */
static void test_below_the_limit(void)
{
    struct world world;
    begin(&world);
    for (int i = 0; i < 20; i++, world.now_ms += COMMAND_GATE_WINDOW_MS / 4)
        EXPECT(send_as(&world, "x", 1, PLAIN), REFUSAL_MALFORMED);
    pass_minutes(&world, 1);
    world.session_says = REFUSAL_ALREADY_OPEN;
    for (int i = 0; i < 2 * COMMAND_GATE_MAX_FAILURES; i++) {
        struct command command = make_command(&world);
        EXPECT(send_command(&world, &command, "anna"), REFUSAL_ALREADY_OPEN);
    }
    end(&world);
}

/* Whoever may publish must not push the rest of the journal out, however long he goes on. */
static void test_long_siege(void)
{
    struct world world;
    begin(&world);
    uint64_t lines = journal_lines(world.journal);
    for (int minute = 0; minute < 24 * 60; minute++) {
        for (int i = 0; i < 2 * COMMAND_GATE_MAX_FAILURES; i++)
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

static void test_hours(void)
{
    struct world world;
    begin(&world);
    char before[COMMAND_CHALLENGE_BYTES];
    strcpy(before, command_gate_challenge(world.gate));
    CU_ASSERT_EQUAL(command_gate_next_tick_ms(world.gate),
                    world.now_ms + COMMAND_GATE_CHALLENGE_MS);
    pass_minutes(&world, 59);
    TEST_TEXT_EQUAL(command_gate_challenge(world.gate), before);
    unsigned changed = world.changed;
    pass_minutes(&world, 1);
    CU_ASSERT_NOT_EQUAL(strcmp(command_gate_challenge(world.gate), before), 0);
    CU_ASSERT_TRUE(world.changed > changed); /* so that it is published */
    CU_ASSERT_EQUAL(command_gate_next_tick_ms(world.gate),
                    world.now_ms + COMMAND_GATE_CHALLENGE_MS);
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
    CU_ASSERT_EQUAL(command_gate_next_tick_ms(world.gate), world.now_ms + COMMAND_GATE_RETRY_MS);
    EXPECT(send_command(&world, &command, "anna"), REFUSAL_BAD_CHALLENGE);
    CU_ASSERT_EQUAL(world.acted, 0);
    has_random_bits = true;
    world.now_ms += COMMAND_GATE_RETRY_MS;
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

/* Good words in a text that somebody else signed, or for something else; and old ones untouched. */
static void as_it_is(struct strbuf *message)
{
    (void)message;
}

static mutation *const mutations[] = {
    flip_bit, flip_bit, flip_in_text, truncate_it,   double_line, drop_line, add_key,
    use_crlf, add_nul,  put_in_front, append_itself, text_twice,  trail,     flip_in_text,
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
        if (i % (COMMAND_GATE_MAX_FAILURES - 1) == 0)
            pass_minutes(&world, 1); /* the limit must not hide what would have passed */
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
    CU_ASSERT_TRUE(refused[REFUSAL_BAD_SIGNATURE] > count / 10);
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

int main(void)
{
    static const struct test_case cases[] = {
        {"a good command passes, once", test_accepts},
        {"each reason, for the operator and for the auditor", test_reasons},
        {"five failures shut it for a minute, and fill no disk", test_rate_limit},
        {"nor do they push the journal out in a day", test_long_siege},
        {"fewer do not", test_below_the_limit},
        {"the challenge changes every hour", test_hours},
        {"no two challenges are alike", test_challenges},
        {"without random bits there is none, and nothing is opened", test_no_random_bits},
        {"what was used stays used over a restart", test_restart},
        {"without a list of what was used nothing is opened", test_used_list},
        {"allowed_signers is read each time", test_signers},
        {"hostile messages open nothing, and then a good one does", test_hostile},
    };
    make_signers();
    return test_main("gate", cases, ARRAY_LENGTH(cases));
}
