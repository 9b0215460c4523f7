/* Keys and signatures by the real ssh-keygen. */
#include "tests/support/signing.h"

#include "agent/base/child.h"
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/ssh-keygen"

static void run(const char *const *arguments, const char *input, size_t length,
                struct strbuf *output)
{
    const struct child_job job = {.arguments = arguments,
                                  .input = input,
                                  .input_length = length,
                                  .output_max_bytes = 65536,
                                  .timeout_ms = 60000};
    int status = child_run(&job, output);
    if (status != 0) {
        (void)fprintf(stderr, "ssh-keygen %s: %d %s\n", arguments[1], status, strbuf_text(output));
        abort();
    }
}

void signing_run(const char *word, ...)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    const char *arguments[16] = {PROGRAM, word};
    va_list words;
    va_start(words, word);
    for (size_t i = 2; i < ARRAY_LENGTH(arguments) - 1 && arguments[i - 1]; i++)
        arguments[i] = va_arg(words, const char *);
    va_end(words);
    run(arguments, NULL, 0, &output);
}

void signing_make_key(const char *name, const char *type)
{
    (void)unlink(test_path(name));
    signing_run("-q", "-t", type, "-N", "", "-C", "a comment", "-f", test_path(name), NULL);
}

char *signing_public(const char *name)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer) char *path = memory_printf("%s/%s.pub", test_folder(), name);
    if (file_read(path, 65536, &content) < 0)
        abort();
    const char *text = strbuf_text(&content);
    const char *key = strchr(text, ' ');
    return memory_text_n(text, (size_t)(key - text) + 1 + strcspn(key + 1, " \n"));
}

void signing_sign(const char *name, const char *name_space, const char *text, size_t length,
                  struct strbuf *out)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    const char *const arguments[] = {PROGRAM,    "-Y", "sign",          "-n",
                                     name_space, "-f", test_path(name), NULL};
    run(arguments, text, length, &output);
    const char *armour = strstr(strbuf_text(&output), "-----BEGIN"); /* behind its chatter */
    if (!armour)
        abort();
    strbuf_add(out, armour);
}
