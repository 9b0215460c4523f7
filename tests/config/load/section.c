/* Configuration files read by option tables: what their author is told. */
#include "config/load/section.h"

#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct pump {
    char *name, *file, *label, *line_end;
    bool running;
    int64_t speed, optional;
    double factor;
    int mode;
    struct text_list hosts;
};

static const char *const modes[] = {"off", "slow", "fast", NULL};
static const char *const words[] = {"system", NULL};
static const struct option pump_rows[] = {
    {.key = "name",
     .type = OPTION_NAME,
     .flags = OPTION_REQUIRED,
     .offset = offsetof(struct pump, name),
     .help = "The pump."},
    {.key = "file",
     .type = OPTION_PATH,
     .names = words,
     .offset = offsetof(struct pump, file),
     .help = "A file."},
    {.key = "label",
     .type = OPTION_TEXT,
     .max = 8,
     .flags = OPTION_SECRET,
     .offset = offsetof(struct pump, label),
     .help = "A text."},
    {.key = "line_end",
     .type = OPTION_BYTES,
     .max = 8,
     .fallback = "\"\\x0D\\n\"",
     .offset = offsetof(struct pump, line_end),
     .help = "Bytes."},
    {.key = "running",
     .type = OPTION_BOOL,
     .fallback = "true",
     .offset = offsetof(struct pump, running),
     .help = "A switch."},
    {.key = "speed",
     .type = OPTION_INT,
     .min = 1,
     .max = 1e12,
     .unit = "rpm",
     .fallback = "5",
     .offset = offsetof(struct pump, speed),
     .help = "A number."},
    {.key = "optional",
     .type = OPTION_INT,
     .min = 0,
     .max = 9,
     .fallback = "-1",
     .offset = offsetof(struct pump, optional),
     .help = "A number or nothing."},
    {.key = "factor",
     .type = OPTION_FLOAT,
     .min = -INFINITY,
     .max = INFINITY,
     .fallback = "1",
     .offset = offsetof(struct pump, factor),
     .help = "A factor."},
    {.key = "mode",
     .type = OPTION_ENUM,
     .names = modes,
     .fallback = "\"slow\"",
     .offset = offsetof(struct pump, mode),
     .help = "A choice."},
    {.key = "hosts",
     .type = OPTION_TEXT_LIST,
     .min = 1,
     .max = 3,
     .offset = offsetof(struct pump, hosts),
     .help = "Names."},
};
static const struct option_table pump_table = {.path = "pump",
                                               .help = "A pump.",
                                               .rows = pump_rows,
                                               .n_rows = ARRAY_LENGTH(pump_rows),
                                               .size = sizeof(struct pump)};

/* Reads the group `pump` of a file with this TEXT, and returns what the findings say. */
static const char *read_pump(const char *text, struct pump *pump)
{
    static char said[4096];
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct source *source;
    struct section root, section;
    const char *path = test_file("p.conf", text);
    memset(pump, 0, sizeof(*pump));
    if (source_open(path, 4096, &findings, &source) == 0) {
        struct part part = {.table = &pump_table, .values = pump};
        source_root(source, &findings, &root);
        section_expect(&root, (const char *const[]){"pump", NULL});
        section_child(&root, "pump", &section);
        section_read(&section, &part, 1, (const char *const[]){"valves", NULL});
        source_close(source);
    }
    findings_sort(&findings);
    findings_print(&findings, &out);
    said[0] = '\0';
    size_t folder = strlen(test_folder()) + 1;
    for (const char *line = strbuf_text(&out); *line; line = strchr(line, '\n') + 1) {
        CU_ASSERT_EQUAL_FATAL(strncmp(line, test_folder(), folder - 1), 0);
        strncat(said, line + folder, (size_t)(strchr(line, '\n') - line) + 1 - folder);
    }
    return said;
}

static const char *complaints(const char *text)
{
    struct pump pump;
    const char *said = read_pump(text, &pump);
    table_free(&pump_table, &pump);
    return said;
}

static void test_values(void)
{
    struct pump pump;
    TEST_TEXT_EQUAL(
        read_pump("pump: { name = \"p.1\"; file = \"x/y\"; label = \"\\u00b5 \xc2\xb5\";"
                  " running = false; speed = 3000000000; optional = 0; factor = 2;"
                  " mode = \"fast\"; hosts = [ \"a\", \"b\" ]; valves = 4; };",
                  &pump),
        "p.conf:1: pump.label: the text has 9 bytes; allowed is 0 to 8\n");
    TEST_TEXT_EQUAL(pump.name, "p.1");
    CU_ASSERT_EQUAL(strncmp(pump.file, test_folder(), strlen(test_folder())), 0);
    TEST_TEXT_EQUAL(pump.file + strlen(test_folder()), "/x/y");
    CU_ASSERT_FALSE(pump.running);
    CU_ASSERT_EQUAL(pump.speed, 3000000000); /* libconfig alone makes -1294967296 of it */
    CU_ASSERT_EQUAL(pump.optional, 0);
    CU_ASSERT_EQUAL(pump.factor, 2.0);
    CU_ASSERT_EQUAL(pump.mode, 2);
    CU_ASSERT_EQUAL(pump.hosts.length, 2);
    TEST_TEXT_EQUAL(pump.hosts.items[1], "b");
    table_free(&pump_table, &pump);
}

static void test_defaults(void)
{
    struct pump pump;
    TEST_TEXT_EQUAL(read_pump("pump: { name = \"p\"; file = \"system\"; };", &pump), "");
    TEST_TEXT_EQUAL(pump.file, "system");
    TEST_TEXT_EQUAL(pump.line_end, "\r\n");
    CU_ASSERT_TRUE(pump.running);
    CU_ASSERT_EQUAL(pump.speed, 5);
    CU_ASSERT_EQUAL(pump.mode, 1);
    CU_ASSERT_PTR_NULL(pump.label);
    CU_ASSERT_FALSE(value_is_set(option_find(&pump_table, "optional"), &pump));
    table_free(&pump_table, &pump);
}

static void test_presence(void)
{
    struct pump pump = {0};
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct part part = {.table = &pump_table, .values = &pump}, *found;
    const struct option *speed = parts_find(&part, 1, "speed", &found);
    CU_ASSERT_FALSE(part_is_complete(&part));
    part_store_text(&part, speed, "5", "", (struct where){"f", 1}, "k", &findings);
    CU_ASSERT_EQUAL(part.present, option_bit(&pump_table, "speed"));
    CU_ASSERT_EQUAL(part.refused, 0);
    part_store_text(&part, speed, "", "", (struct where){"f", 1}, "k", &findings);
    CU_ASSERT_EQUAL(part.refused, option_bit(&pump_table, "speed"));
    part_store_text(&part, parts_find(&part, 1, "name", &found), "p", "", (struct where){"f", 1},
                    "k", &findings);
    CU_ASSERT_TRUE(part_is_complete(&part));
    table_free(&pump_table, &pump);
}

static void test_mistakes(void)
{
    TEST_TEXT_EQUAL(
        complaints("pump: {\n name = \"a b\";\n spede = 1;\n speed = 0;\n factor = \"x\";\n"
                   " mode = \"fats\";\n hosts = \"a\";\n running = 1;\n file = \"\";\n"
                   " label = { };\n optional = 1.5;\n speed = 7;\n};\npumpp = 1;\n"),
        "p.conf:2: pump.name: \"a b\" does not fit: 1 to 64 of letters, digits, \"_\", \".\", "
        "\"-\"\n"
        "p.conf:3: pump.spede: unknown key \"spede\"; did you mean \"speed\"?\n"
        "p.conf:4: pump.speed: 0 is out of range; allowed is 1 to 1000000000000 rpm\n"
        "p.conf:5: pump.factor: expected a number, found a text\n"
        "p.conf:6: pump.mode: unknown value \"fats\"; did you mean \"fast\"? Allowed: \"off\", "
        "\"slow\", \"fast\"\n"
        "p.conf:7: pump.hosts: expected a list; write it as [ \"a\" ]\n"
        "p.conf:8: pump.running: expected true or false, found a number\n"
        "p.conf:9: pump.file: must not be empty\n"
        "p.conf:10: pump.label: expected a text in quotes, found a group { }\n"
        "p.conf:11: pump.optional: expected a whole number, found a number with a fraction\n"
        "p.conf:12: speed: given twice in the same group; first on line 4\n"
        "p.conf:14: pumpp: unknown key \"pumpp\"; did you mean \"pump\"?\n");
}

static void test_more_values(void)
{
    TEST_TEXT_EQUAL(complaints("pump: { name = \"p\";\n hosts = [ ];\n file = [ 1 ];\n"
                               " label = \"a\\nb\";\n line_end = \"a\\nb\";\n"
                               " factor = 1e999;\n speed = 99999999999999999999999; };\n"),
                    "p.conf:2: pump.hosts: the list has 0 elements; allowed is 1 to 3\n"
                    "p.conf:3: pump.file: expected a text in quotes, found an array [ ]\n"
                    "p.conf:4: pump.label: the text contains a control character or a line break\n"
                    "p.conf:6: pump.factor: the number is too large\n"
                    "p.conf:7: pump.speed: 1e+23 is out of range; allowed is 1 to 1000000000000 "
                    "rpm\n");
    TEST_TEXT_EQUAL(complaints("pump: { name = \"p\"; label = \"\xb0\x43\"; };"),
                    "p.conf:1: pump.label: the text is not UTF-8; save the file as UTF-8\n");
    TEST_TEXT_EQUAL(complaints("pump: { name = \"p\"; label = \"\xed\xa0\x80\"; };"),
                    "p.conf:1: pump.label: the text is not UTF-8; save the file as UTF-8\n");
    TEST_TEXT_EQUAL(complaints("pump: { name = \"p\"; hosts = ( \"a\" ); };"),
                    "p.conf:1: pump.hosts: expected a list of texts: [ \"...\", \"...\" ], found a "
                    "list ( )\n");
}

static void test_missing(void)
{
    TEST_TEXT_EQUAL(complaints("\n\npump: { };"),
                    "p.conf:3: pump.name: missing; it is required: The pump.\n");
    TEST_TEXT_EQUAL(complaints(""), "p.conf:1: pump.name: missing; it is required: The pump.\n");
    TEST_TEXT_EQUAL(complaints("pump: { name = \"p\"; };\npump: { };"),
                    "p.conf:2: pump: given twice in the same group; first on line 1\n");
    TEST_TEXT_EQUAL(complaints("\npump = ( );"),
                    "p.conf:2: pump: expected a group { ... }, found a list ( )\n");
}

static void test_syntax(void)
{
    TEST_CONTAINS(complaints("a = 1;\npump: { name \"p\"; };"),
                  "p.conf:2: expected \"=\" after the key, found a text");
    TEST_CONTAINS(complaints("a = 1;;"), "p.conf:1: expected a key, found \";\"");
    TEST_CONTAINS(complaints("a = ;"), "p.conf:1: expected a value, found \";\"");
    TEST_CONTAINS(complaints("a = ( 1 2 );"), "p.conf:1: expected \",\" or \")\"");
    TEST_CONTAINS(complaints("a = ( 1, );"), "p.conf:1: expected an element");
    TEST_CONTAINS(complaints("a = [ ( ) ];"), "p.conf:1: an array [ ] holds plain values only");
    TEST_CONTAINS(complaints("a = 5 \"x\";"), "p.conf:1: expected \";\" or a key");
    TEST_CONTAINS(complaints("a = --5;"), "p.conf:1: expected a number");
    TEST_CONTAINS(complaints("\n\na = \n"), "p.conf:4: the file ends in the middle of a value");
    TEST_CONTAINS(complaints("pump: {\n\n hosts = [ 1, \"a\" ]; };"),
                  "p.conf:3: all elements of an array [ ] must be of the same kind");
    TEST_TEXT_EQUAL(complaints("a = yes;\nb = eth0;\n"),
                    "p.conf:1: the word yes needs quotes; a switch is written as true or false\n"
                    "p.conf:2: the word eth0 needs quotes; a switch is written as true or false\n");
    TEST_TEXT_EQUAL(complaints("# x\npump: {\n name = \"p\";\n"),
                    "p.conf:2: the \"{\" that begins here is never closed\n");
    TEST_TEXT_EQUAL(complaints("a = (\n 1\n};"),
                    "p.conf:3: found \"}\", but the \"(\" of line 1 is still open\n");
    TEST_TEXT_EQUAL(complaints("a = 1; }"), "p.conf:1: \"}\" closes nothing\n");
    TEST_TEXT_EQUAL(complaints("a = 1;\nb = \"x;\nc = 2;\n"),
                    "p.conf:2: the text that begins here with a quote is never closed\n");
    TEST_TEXT_EQUAL(complaints("a = 1;\n/* b\n"),
                    "p.conf:2: the comment that begins here with /* is never closed\n");
    TEST_TEXT_EQUAL(complaints("a = 'x';"),
                    "p.conf:1: texts are written in double quotes: \"...\"\n");
    TEST_TEXT_EQUAL(complaints("\n@include \"/etc/passwd\"\n"),
                    "p.conf:2: @include is not supported; put files into conf.d/\n");
}

static void test_lines(void)
{
    TEST_TEXT_EQUAL(complaints("\xef\xbb\xbf/* one\n two */ pump: { // three = {\n"
                               "  name = \"p\\\"}\"\n \"q\"; # \"\n  /* \" */ x = 1; };\r\n"),
                    "p.conf:3: pump.name: \"p\"}q\" does not fit: 1 to 64 of letters, digits, "
                    "\"_\", \".\", \"-\"\n"
                    "p.conf:5: pump.x: unknown key \"x\"\n");
}

static void test_hostile(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    strbuf_add(&text, "a=");
    for (int i = 0; i < 4000; i++)
        strbuf_add_char(&text, '(');
    TEST_TEXT_EQUAL(complaints(strbuf_text(&text)),
                    "p.conf:1: brackets are nested too deeply; the limit is 16\n");
    strbuf_reset(&text);
    for (int i = 0; i < 400; i++)
        strbuf_addf(&text, "a%d=1\n", i);
    TEST_CONTAINS(complaints(strbuf_text(&text)),
                  "p.conf:257: too many keys in one group; the limit is 256\n");
    TEST_TEXT_EQUAL(complaints("a = 1;\nb = \x01\x02;"),
                    "p.conf:2: not a text file: byte 0x01 (binary, or not UTF-8?)\n");
    TEST_CONTAINS(complaints("a = 1;\v"), "p.conf:1: not a text file: byte 0x0b");
    TEST_TEXT_EQUAL(complaints("a = \"\\x00\";"), "p.conf:1: a text cannot contain \\x00\n");
}

/* What the findings say about opening PATH. */
static const char *opening(const char *path)
{
    static char said[512];
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct source *source;
    CU_ASSERT_EQUAL(source_open(path, 4096, &findings, &source), -EINVAL);
    findings_print(&findings, &out);
    (void)snprintf(said, sizeof(said), "%s", strbuf_text(&out));
    return said;
}

static void test_unreadable(void)
{
    TEST_CONTAINS(opening(test_path("absent")), "absent:0: cannot be read: No such file");
    TEST_CONTAINS(opening(test_folder()), ":0: cannot be read: Is a directory");
    CU_ASSERT_EQUAL_FATAL(mkfifo(test_path("pipe"), 0600), 0);
    TEST_CONTAINS(opening(test_path("pipe")), "pipe:0: cannot be read: not a regular file");
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    for (int i = 0; i < 500; i++)
        strbuf_add(&text, "# 8 bytes");
    TEST_CONTAINS(opening(test_file("huge", strbuf_text(&text))),
                  "huge:0: too large: the limit is 4 KiB");
    FILE *file = fopen(test_path("binary"), "w");
    (void)fwrite("x = 1;\n\0\0", 1, 9, file);
    (void)fclose(file);
    TEST_CONTAINS(opening(test_path("binary")), "binary:2: not a text file: byte 0x00");
}

static void test_print(void)
{
    struct pump pump, other;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    read_pump("pump: { name = \"p\"; label = \"abc\"; factor = 0.1; speed = 3000000000; hosts = "
              "[ \"a\\\"b\" ]; };",
              &pump);
    table_print(&pump_table, &pump, "  ", NULL, &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), "  name = \"p\";\n"
                                       "  label = \"(secret)\";\n"
                                       "  line_end = \"\\r\\n\";\n"
                                       "  running = true;\n"
                                       "  speed = 3000000000L;\n"
                                       "  factor = 0.1;\n"
                                       "  mode = \"slow\";\n"
                                       "  hosts = [ \"a\\\"b\" ];\n");
    strbuf_reset(&out);
    read_pump("pump: { name = \"p\"; label = \"xyz\"; optional = 3; factor = 0.1; };", &other);
    bool classes[RELOAD_CLASSES] = {false};
    CU_ASSERT_EQUAL(table_compare(&pump_table, &pump, &other, "pump", &out, classes), 4);
    CU_ASSERT_TRUE(classes[RELOAD_LIVE]);
    CU_ASSERT_FALSE(classes[RELOAD_RESTART]);
    TEST_TEXT_EQUAL(strbuf_text(&out), "pump.label: \"(secret)\" -> \"(secret)\"\n"
                                       "pump.speed: 3000000000L -> 5\n"
                                       "pump.optional: (unset) -> 3\n"
                                       "pump.hosts: [ \"a\\\"b\" ] -> (unset)\n");
    table_free(&pump_table, &pump);
    table_free(&pump_table, &other);
}

static void test_elements(void)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    struct source *source;
    struct section root, element;
    const char *path = test_file("l.conf", "list = ( { name = \"a\"; },\n { },\n 3 );\nno = 1;");
    CU_ASSERT_EQUAL_FATAL(source_open(path, 4096, &findings, &source), 0);
    source_root(source, &findings, &root);
    CU_ASSERT_EQUAL(section_list(&root, "list", 3), 3);
    CU_ASSERT_TRUE(section_element(&root, "list", 0, &element));
    TEST_TEXT_EQUAL(element.key, "list.a");
    CU_ASSERT_TRUE(section_element(&root, "list", 1, &element));
    TEST_TEXT_EQUAL(element.key, "list[1]");
    CU_ASSERT_EQUAL(element.where.line, 2);
    CU_ASSERT_EQUAL(findings.length, 0);
    CU_ASSERT_FALSE(section_element(&root, "list", 2, &element));
    CU_ASSERT_EQUAL(section_list(&root, "list", 2), 0);
    CU_ASSERT_EQUAL(section_list(&root, "no", 2), 0);
    CU_ASSERT_EQUAL(section_list(&root, "absent", 2), 0);
    findings_print(&findings, &out);
    TEST_CONTAINS(strbuf_text(&out), "l.conf:3: list[2]: expected a group { ... }, found a number");
    TEST_CONTAINS(strbuf_text(&out), "l.conf:1: list: 3 elements are too many; the limit is 2");
    TEST_CONTAINS(strbuf_text(&out), "l.conf:4: no: expected a list of groups");
    CU_ASSERT_EQUAL(findings.length, 3);
    source_close(source);
}

TEST_MAIN("section", {"values arrive as written", test_values},
          {"what is not given has its default, or is unset", test_defaults},
          {"given and refused are told apart from default", test_presence},
          {"every mistake is named with its line", test_mistakes},
          {"values that do not fit are named with their line", test_more_values},
          {"what is required and missing is named", test_missing},
          {"broken syntax says where and what", test_syntax},
          {"comments, texts and breaks do not shift the lines", test_lines},
          {"hostile files are refused early", test_hostile},
          {"what cannot be read says why", test_unreadable},
          {"printing redacts, comparing names the changes", test_print},
          {"elements of a list have a name and a line", test_elements})
