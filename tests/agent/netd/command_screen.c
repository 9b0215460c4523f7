/* Which lane a message waits in: signatures are those of the real ssh-keygen. */
#include "agent/netd/command_screen.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "tests/support/signing.h"
#include "tests/support/test.h"
#include "tunnel/command/armour.h"
#include "tunnel/journal/sha256.h"

#include <stdio.h>
#include <string.h>

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"
#define BEGIN "-----BEGIN SSH SIGNATURE-----\n"

#define NOW 1000000

static void add_key(struct wire_signers *signers, const char *name)
{
    CLEANUP(memory_free_pointer) char *public_key = signing_public(name);
    const char *key = strchr(public_key, ' ') + 1;
    unsigned char bytes[ARMOUR_BYTES];
    size_t length = armour_decode(key, strlen(key), bytes);
    CU_ASSERT_TRUE_FATAL(length > 0);
    sha256_bytes(bytes, length, signers->keys[signers->n_keys++]);
}

/* anna and bert may sign; ONE is in force. */
static struct command_screen *begin(void)
{
    struct wire_signers signers = {0};
    struct command_screen *screen = command_screen_new("s/g");
    add_key(&signers, "anna");
    add_key(&signers, "bert");
    command_screen_signers(screen, &signers);
    command_screen_challenge(screen, ONE, NOW);
    return screen;
}

/* A command of ACTION ("open", "close") and ID, which NAME signs for NAME_SPACE. */
static void write_command(struct strbuf *text, const char *name, const char *gateway,
                          const char *challenge, const char *id, const char *action,
                          const char *name_space)
{
    strbuf_reset(text);
    strbuf_addf(text, "sallyport-command: 1\ngateway: %s\nchallenge: %s\nid: %s\naction: %s\n",
                gateway, challenge, id, action);
    if (strcmp(action, "open") == 0)
        strbuf_add(text, "service: ssh\nttl: 60\nreason: a test\n");
    CLEANUP(strbuf_free) struct strbuf signature = STRBUF_EMPTY;
    signing_sign(name, name_space, text->data, text->length, &signature);
    strbuf_append(text, signature.data, signature.length);
}

static void right(struct strbuf *text, const char *name, const char *challenge, const char *action)
{
    write_command(text, name, "s/g", challenge, "id-1", action, "sallyport");
}

static struct command_label look_at(const struct command_screen *screen, const struct strbuf *text,
                                    int64_t now_ms)
{
    struct command_label label;
    memset(&label, 0xa5, sizeof(label));
    command_screen_look(screen, text->data, text->length, false, now_ms, &label);
    return label;
}

static enum command_lane lane(const struct command_screen *screen, const struct strbuf *text)
{
    return look_at(screen, text, NOW).lane;
}

static void test_right(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, other = STRBUF_EMPTY;
    struct command_screen *screen = begin();
    right(&text, "anna", ONE, "close");
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_FIRST);
    right(&text, "anna", ONE, "open");
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_SIGNED);
    right(&other, "bert", ONE, "open");
    struct command_label anna = look_at(screen, &text, NOW), bert = look_at(screen, &other, NOW);
    CU_ASSERT_EQUAL(bert.lane, COMMAND_LANE_SIGNED);
    CU_ASSERT_NOT_EQUAL(memcmp(anna.signer, bert.signer, sizeof(anna.signer)), 0);
    CU_ASSERT_EQUAL(memcmp(anna.digest, bert.digest, sizeof(anna.digest)), 0); /* the same text */
    CU_ASSERT_PTR_NULL(command_screen_free(screen));
    CU_ASSERT_PTR_NULL(command_screen_free(NULL));
}

/* Everything that could be wrong, one at a time; nobody is blamed for it. */
static void test_wrong(void)
{
    static const struct {
        const char *name, *gateway, *action, *name_space;
    } rows[] = {{"eve", "s/g", "open", "sallyport"},
                {"anna", "s/h", "open", "sallyport"},
                {"anna", "s/g", "open", "file"},
                {"anna", "s/g", "dance", "sallyport"},
                {"rsa", "s/g", "close", "sallyport"}};
    static const struct command_label nobody;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command_screen *screen = begin();
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        write_command(&text, rows[i].name, rows[i].gateway, ONE, "id-1", rows[i].action,
                      rows[i].name_space);
        struct command_label label = look_at(screen, &text, NOW);
        CU_ASSERT_EQUAL(label.lane, COMMAND_LANE_DOUBTFUL);
        CU_ASSERT_EQUAL(memcmp(label.signer, nobody.signer, sizeof(label.signer)), 0);
    }
    strbuf_reset(&text);
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_DOUBTFUL);
    strbuf_add(&text, "open the door\n");
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_DOUBTFUL);
    command_screen_free(screen);
}

static void test_retained(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command_screen *screen = begin();
    struct command_label label;
    right(&text, "anna", ONE, "close");
    command_screen_look(screen, text.data, text.length, true, NOW, &label);
    CU_ASSERT_EQUAL(label.lane, COMMAND_LANE_DOUBTFUL);
    command_screen_free(screen);
}

/* Shaped as it should be, and signed rightly, but longer than netd takes. */
static void test_length(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command_screen *screen = begin();
    right(&text, "anna", ONE, "close");
    char *filler = memory_zeroed(1, WIRE_SIGNED_BYTES + 1);
    memset(filler, '\n', WIRE_SIGNED_BYTES + 1);
    memcpy(filler, text.data, text.length);
    struct command_label label;
    command_screen_look(screen, filler, WIRE_SIGNED_BYTES + 1, false, NOW, &label);
    CU_ASSERT_EQUAL(label.lane, COMMAND_LANE_DOUBTFUL);
    memory_free_pointer(&filler);
    command_screen_free(screen);
}

/* The signature is one of the right key for the right purpose, but of something else. */
static void test_signature(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, other = STRBUF_EMPTY;
    struct command_screen *screen = begin();
    right(&text, "anna", ONE, "close");
    write_command(&other, "anna", "s/g", ONE, "id-2", "close", "sallyport");
    struct strbuf mixed CLEANUP(strbuf_free) = STRBUF_EMPTY;
    const char *armour = strstr(strbuf_text(&text), BEGIN);
    strbuf_append(&mixed, text.data, (size_t)(armour - strbuf_text(&text)));
    strbuf_add(&mixed, strstr(strbuf_text(&other), BEGIN));
    CU_ASSERT_EQUAL(lane(screen, &mixed), COMMAND_LANE_DOUBTFUL);
    struct command_label wrong = look_at(screen, &mixed, NOW), good = look_at(screen, &text, NOW);
    CU_ASSERT_NOT_EQUAL(memcmp(wrong.digest, good.digest, sizeof(good.digest)), 0);
    command_screen_free(screen);
}

static void test_challenges(void)
{
    CLEANUP(strbuf_free) struct strbuf one = STRBUF_EMPTY, two = STRBUF_EMPTY;
    struct command_screen *screen = begin();
    right(&one, "anna", ONE, "close");
    right(&two, "anna", TWO, "close");
    CU_ASSERT_EQUAL(lane(screen, &two), COMMAND_LANE_SHAPED); /* its signer will be told */
    command_screen_challenge(screen, TWO, NOW);
    CU_ASSERT_EQUAL(lane(screen, &two), COMMAND_LANE_FIRST);
    CU_ASSERT_EQUAL(lane(screen, &one), COMMAND_LANE_FIRST); /* netd may let it pass yet */
    int64_t end = NOW + COMMAND_SCREEN_GRACE_MS;
    CU_ASSERT_EQUAL(look_at(screen, &one, end - 1).lane, COMMAND_LANE_FIRST);
    CU_ASSERT_EQUAL(look_at(screen, &one, end).lane, COMMAND_LANE_SHAPED);
    CU_ASSERT_EQUAL(look_at(screen, &two, end + 3600000).lane, COMMAND_LANE_FIRST);
    command_screen_challenge(screen, "", end); /* netd has gone */
    CU_ASSERT_EQUAL(look_at(screen, &two, end + COMMAND_SCREEN_GRACE_MS).lane, COMMAND_LANE_SHAPED);
    command_screen_challenge(screen, TWO, end + 3600000); /* and is back, and has kept it */
    CU_ASSERT_EQUAL(look_at(screen, &two, end + 3600000).lane, COMMAND_LANE_FIRST);
    command_screen_free(screen);
}

/* However its signature is written down. */
static void test_judged(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command_screen *screen = begin();
    right(&text, "anna", ONE, "close");
    struct command_label label = look_at(screen, &text, NOW);
    command_screen_judged(screen, label.digest);
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_DOUBTFUL);
    text.length--; /* without its last LF */
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_DOUBTFUL);
    write_command(&text, "anna", "s/g", ONE, "id-2", "close", "sallyport");
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_FIRST);
    for (unsigned i = 0; i < 255; i++) { /* remembered as long as by netd */
        label.digest[0]++;
        command_screen_judged(screen, label.digest);
    }
    right(&text, "anna", ONE, "close");
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_DOUBTFUL);
    command_screen_free(screen);
}

/* Before netd has said who may sign, whoever signs a fresh command may be right. */
static void test_unknown(void)
{
    static const struct command_label nobody;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command_screen *screen = begin();
    struct wire_signers none = {0};
    command_screen_signers(screen, NULL);
    right(&text, "eve", ONE, "close");
    struct command_label label = look_at(screen, &text, NOW);
    CU_ASSERT_EQUAL(label.lane, COMMAND_LANE_SHAPED);
    CU_ASSERT_EQUAL(memcmp(label.signer, nobody.signer, sizeof(label.signer)), 0);
    right(&text, "eve", TWO, "close");
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_DOUBTFUL);
    command_screen_signers(screen, &none); /* it has: nobody */
    right(&text, "anna", ONE, "close");
    CU_ASSERT_EQUAL(lane(screen, &text), COMMAND_LANE_DOUBTFUL);
    command_screen_free(screen);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"what is right is first, or signed", test_right},
        {"what is wrong is doubtful", test_wrong},
        {"so is what the broker has kept", test_retained},
        {"and what is too long", test_length},
        {"a signature of something else", test_signature},
        {"challenges count as long as netd may let them", test_challenges},
        {"what netd has judged", test_judged},
        {"nobody knows who may sign", test_unknown},
    };
    signing_make_key("anna", "ed25519");
    signing_make_key("bert", "ed25519");
    signing_make_key("eve", "ed25519");
    signing_make_key("rsa", "rsa");
    return test_main("command_screen", cases, ARRAY_LENGTH(cases));
}
