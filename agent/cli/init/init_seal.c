/* The signature of an enrolment file, verified by ssh-keygen. */
#include "agent/cli/init/init_seal.h"

#include "agent/base/child.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/ssh-keygen"
#define GOOD "Good \"" INIT_SEAL_NAMESPACE "\" signature with ED25519 key "
#define HASH "SHA256:"
#define HASH_CHARACTERS 43
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define OUTPUT_MAX 4096
#define TIMEOUT_MS 10000

bool init_seal_is_fingerprint(const char *text)
{
    return strncmp(text, HASH, strlen(HASH)) == 0 &&
           strspn(text + strlen(HASH), BASE64) == HASH_CHARACTERS &&
           text[strlen(HASH) + HASH_CHARACTERS] == '\0';
}

/* ssh-keygen says: Good "NAMESPACE" signature with ED25519 key SHA256:... */
static bool read_verdict(const char *said, struct init_seal *seal)
{
    if (strncmp(said, GOOD, strlen(GOOD)) != 0)
        return false;
    size_t length = strcspn(said + strlen(GOOD), "\n");
    if (length >= sizeof(seal->fingerprint))
        return false;
    memcpy(seal->fingerprint, said + strlen(GOOD), length);
    seal->fingerprint[length] = '\0';
    seal->is_signed = init_seal_is_fingerprint(seal->fingerprint);
    return seal->is_signed;
}

/* Whether the signature in FILE is over TEXT, LENGTH bytes, for our namespace, by an Ed25519 key.
 */
static int verify(const char *file, const char *text, struct init_seal *seal,
                  struct strbuf *problem)
{
    const char *const arguments[] = {
        PROGRAM, "-Y", "check-novalidate", "-n", INIT_SEAL_NAMESPACE, "-s", file, NULL};
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    const struct child_job job = {.arguments = arguments,
                                  .input = text,
                                  .input_length = strlen(text),
                                  .output_max_bytes = OUTPUT_MAX,
                                  .timeout_ms = TIMEOUT_MS};
    int result = child_run(&job, &said);
    if (result < 0) {
        strbuf_addf(problem, "%s cannot be verified: " PROGRAM ": %s", file, strerror(-result));
        return result;
    }
    if (result == 0 && read_verdict(strbuf_text(&said), seal))
        return 0;
    strbuf_addf(problem,
                "%s is no valid signature of it: it was altered after the hub had signed it, or "
                "belongs to another file",
                file);
    return -EBADMSG;
}

int init_seal_check(const char *path, const char *text, struct init_seal *ret_seal,
                    struct strbuf *problem)
{
    struct init_seal seal = {.is_signed = false};
    CLEANUP(memory_free_pointer) char *file = memory_printf("%s.sig", path);
    bool is_there = access(file, F_OK) == 0 || errno != ENOENT;
    int result = is_there ? verify(file, text, &seal, problem) : 0;
    if (result == 0)
        *ret_seal = seal;
    return result;
}
