/* Texts from outside: what stays, what is escaped and how, in buffers and in fields of a fixed
 * size. */
#include "agent/base/text.h"

#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void expect(const char *text, enum text_form form, const char *escaped)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    strbuf_add(&out, "|");
    text_escape(&out, text, strlen(text), form);
    TEST_TEXT_EQUAL(strbuf_text(&out) + 1, escaped);
}

static const enum text_form all_forms[] = {TEXT_FIELD, TEXT_SHOWN, TEXT_LINES, TEXT_JSON,
                                           TEXT_DOCUMENT};

static void test_ordinary(void)
{
    static const char ordinary[] =
        "Gr\xc3\xb6\xc3\x9f"
        "e 5 \xe2\x82\xac ' <a&b> \xf0\x9f\x94\xa7 \xc2\xa0 ~ \xe2\x80\xa7 "
        "\xef\xbf\xbd \xf4\x8f\xbf\xbf";
    for (size_t i = 0; i < ARRAY_LENGTH(all_forms); i++)
        expect(ordinary, all_forms[i], ordinary);
}

/* What a terminal obeys: never a byte of it, whatever the text is for. */
static void test_controls(void)
{
    static const char text[] = "\x1b]0;x\x07\x7f\xc2\x9b\xc2\x80\r\t";
    expect(text, TEXT_FIELD, "\\x1b]0;x\\x07\\x7f\\u009b\\u0080\\x0d\\x09");
    expect(text, TEXT_SHOWN, "\\x1b]0;x\\x07\\x7f\\u009b\\u0080\\x0d\\x09");
    expect(text, TEXT_LINES, "\\x1b]0;x\\x07\\x7f\\u009b\\u0080\\x0d\\x09");
    expect(text, TEXT_JSON, "\\u001b]0;x\\u0007\\u007f\\u009b\\u0080\\u000d\\u0009");
    expect(text, TEXT_DOCUMENT, "\\u001b]0;x\\u0007\\u007f\\u009b\\u0080\\u000d\\u0009");
}

static void test_line_feeds_and_quotes(void)
{
    expect("a\n\"b\\", TEXT_FIELD, "a\\x0a\"b\\");
    expect("a\n\"b\\", TEXT_SHOWN, "a\\x0a\"b\\");
    expect("a\n\"b\\", TEXT_LINES, "a\n\"b\\");
    expect("a\n\"b\\", TEXT_JSON, "a\\u000a\\\"b\\\\");
    expect("a\n\"b\\", TEXT_DOCUMENT, "a\n\"b\\");
}

static void test_bad_bytes(void)
{
    expect("\xff\xc3(\xed\xa0\x80\x9b", TEXT_SHOWN, "\\xff\\xc3(\\xed\\xa0\\x80\\x9b");
    expect("\xff\xc3(", TEXT_JSON, "\xef\xbf\xbd\xef\xbf\xbd(");
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    text_escape(&out, "a\0\xe2\x82\xac", 4, TEXT_SHOWN); /* cut within the last character */
    TEST_TEXT_EQUAL(strbuf_text(&out), "a\\x00\\xe2\\x82");
}

/* A person must see what is there: nothing turns the direction, breaks the line or is invisible. */
static void test_hidden(void)
{
    static const struct {
        const char *text, *escaped;
        bool is_printable;
    } cases[] = {
        {"\xe2\x80\xaa", "\\u202a", false}, {"\xe2\x80\xae", "\\u202e", false},
        {"\xe2\x81\xa6", "\\u2066", false}, {"\xe2\x81\xa9", "\\u2069", false},
        {"\xe2\x80\xa8", "\\u2028", false}, {"\xe2\x80\xa9", "\\u2029", false},
        {"\xe2\x80\x8e", "\\u200e", true},  {"\xe2\x80\x8f", "\\u200f", true},
        {"\xd8\x9c", "\\u061c", true},      {"\xe2\x80\x8b", "\\u200b", true},
        {"\xe2\x80\x8d", "\\u200d", true},  {"\xe2\x81\xa0", "\\u2060", true},
        {"\xef\xbb\xbf", "\\ufeff", true},  {"\xc2\xad", "\\u00ad", true},
        {"\xef\xbf\xb9", "\\ufff9", true},  {"\xf3\xa0\x80\x81", "\\udb40\\udc01", true},
        {"\xe1\xa0\x8e", "\\u180e", true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        expect(cases[i].text, TEXT_SHOWN, cases[i].escaped);
        expect(cases[i].text, TEXT_LINES, cases[i].escaped);
        expect(cases[i].text, TEXT_JSON, cases[i].escaped);
        expect(cases[i].text, TEXT_DOCUMENT, cases[i].escaped);
        expect(cases[i].text, TEXT_FIELD, cases[i].is_printable ? cases[i].text : cases[i].escaped);
        CU_ASSERT_EQUAL(text_printable(cases[i].text) > 0, cases[i].is_printable);
    }
}

static void test_put(void)
{
    char field[8];
    memset(field, 'x', sizeof(field));
    text_put(field, sizeof(field), "a\nb");
    CU_ASSERT_EQUAL(memcmp(field, "a\\x0ab\0\0", 8), 0);
    text_put(field, sizeof(field), "123456\xc3\xb6");
    TEST_TEXT_EQUAL(field, "123456");
    text_put(field, sizeof(field), "12345\xc3\xb6");
    TEST_TEXT_EQUAL(field, "12345\xc3\xb6");
    text_put(field, sizeof(field), "1234\x1b"); /* half an escape would be a lie */
    TEST_TEXT_EQUAL(field, "1234");
    text_put(field, sizeof(field),
             "gr\xc3\xb6\xc3\x9f"
             "er");
    TEST_TEXT_EQUAL(field, "gr\xc3\xb6\xc3\x9f"
                           "e");
    text_put(field, sizeof(field), "");
    CU_ASSERT_EQUAL(memcmp(field, "\0\0\0\0\0\0\0", 8), 0);
    text_show(field, sizeof(field), "\xe2\x80\x8b");
    TEST_TEXT_EQUAL(field, "\\u200b");
    text_put(field, sizeof(field), "\xe2\x80\x8b");
    TEST_TEXT_EQUAL(field, "\xe2\x80\x8b");
}

/* One record is one line, and nothing in it is obeyed or hidden. */
static void test_log(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    char longer[4096];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    int screen = dup(STDERR_FILENO);
    int file = open(test_path("log"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(file, STDERR_FILENO);
    log_error("plant", "device=%s", "\x1b[2J\nfake: \xc2\x9b\xe2\x80\xae\xff");
    log_error("plant", "%s\n", longer);
    dup2(screen, STDERR_FILENO);
    close(screen);
    close(file);
    CU_ASSERT_EQUAL(file_read(test_path("log"), 1 << 16, &said), 0);
    TEST_CONTAINS(strbuf_text(&said), "plant: device=\\x1b[2J\\x0afake: \\u009b\\u202e\\xff\n");
    CU_ASSERT_EQUAL(said.data[said.length - 1], '\n');
    CU_ASSERT_PTR_EQUAL(strrchr(strchr(strbuf_text(&said), '\n') + 1, '\n'),
                        said.data + said.length - 1);
}

TEST_MAIN("text", {"an ordinary text stays as it is in every form", test_ordinary},
          {"control characters are escaped in every form", test_controls},
          {"line feeds and quotes, by form", test_line_feeds_and_quotes},
          {"bytes that are not UTF-8", test_bad_bytes},
          {"characters that hide or turn what follows", test_hidden},
          {"a text that is put into a field is cut between characters", test_put},
          {"the log escapes", test_log})
