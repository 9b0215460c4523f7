/*
 * Asks ssh-keygen. Three questions: is it a signature over these bytes in our namespace
 * (check-novalidate); whose key is it (find-principals, over a list that we printed ourselves); and
 * the one that decides, may that key sign (verify, with the revoked keys). When the answer is no,
 * two more find out why, for the journal. Files are handed over as memory files that the child
 * inherits, so that nothing is on any disk and nothing is left behind.
 */
#include "tunnel/command/signature.h"

#include "agent/base/child.h"
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (512 * 1024)
#define MAX_OUTPUT_BYTES 4096
#define FILE_NAME_BYTES 32
#define CLOCK_SLACK_S (24 * 60 * 60) /* so far clocks of different machines may be apart */

const char *const signature_verdict_names[] = {
    [SIGNATURE_GOOD] = "good",       [SIGNATURE_BAD] = "bad",
    [SIGNATURE_UNKNOWN] = "unknown", [SIGNATURE_REVOKED] = "revoked",
    [SIGNATURE_EXPIRED] = "expired", [SIGNATURE_NOT_YET] = "not-yet-valid",
    [SIGNATURE_FAILED] = "failed",
};

/* ---- Files that only root may write ---- */

static bool is_trusted(const struct stat *about)
{
    return (about->st_uid == 0 || about->st_uid == geteuid()) && (about->st_mode & 022) == 0;
}

static bool folder_is_trusted(const char *path)
{
    struct stat about;
    const char *slash = strrchr(path, '/');
    CLEANUP(memory_free_pointer)
    char *folder = slash ? memory_text_n(path, (size_t)(slash - path) + 1) : memory_text(".");
    return stat(folder, &about) == 0 && is_trusted(&about);
}

/* Looks at the owner of what it then reads: one descriptor for both. */
static int read_open(int file, struct strbuf *content, int64_t *ret_written_s)
{
    struct stat about;
    if (fstat(file, &about) < 0)
        return -errno;
    if (!S_ISREG(about.st_mode) || !is_trusted(&about))
        return -EPERM;
    for (;;) {
        ssize_t got = read(file, strbuf_reserve(content, 4096), 4096);
        if (got < 0)
            return -errno;
        if (got == 0) {
            *ret_written_s = about.st_mtime;
            return 0;
        }
        content->length += (size_t)got;
        content->data[content->length] = '\0';
        if (content->length > MAX_FILE_BYTES)
            return -EFBIG;
    }
}

static int read_trusted(const char *path, struct strbuf *content, int64_t *ret_written_s,
                        struct strbuf *problem)
{
    CLEANUP(descriptor_close) int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int result = file < 0                  ? -errno
                 : folder_is_trusted(path) ? read_open(file, content, ret_written_s)
                                           : -EPERM;
    if (result == -EPERM)
        strbuf_addf(problem, "%s: it, or its folder, can be written by others than root", path);
    else if (result < 0)
        strbuf_addf(problem, "%s: %s", path, strerror(-result));
    return result;
}

int signature_load_signers(const struct signature_settings *settings, struct signers *ret_signers,
                           struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    int64_t written_s = 0;
    int result = read_trusted(settings->allowed_signers, &content, &written_s, problem);
    if (result < 0)
        return result;
    signers_parse(strbuf_text(&content), content.length, ret_signers);
    ret_signers->written_s = written_s;
    return 0;
}

/* No file means that no key is revoked; anything else that is wrong is for the caller to refuse. */
static int load_revoked(const char *path, struct strbuf *revoked, struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    int64_t written_s = 0;
    int result = read_trusted(path, &content, &written_s, &text);
    if (result == -ENOENT)
        return 0;
    if (result < 0) {
        strbuf_add(problem, strbuf_text(&text));
        return result;
    }
    unsigned bad = signers_print_revoked(strbuf_text(&content), content.length, revoked);
    if (bad)
        strbuf_addf(problem, "%s:%u: this line is not a public key", path, bad);
    return bad ? -EINVAL : 0;
}

/* ---- ssh-keygen ---- */

/* One verification: what its questions share. */
struct inquiry {
    const struct signature_settings *settings;
    const struct command_parts *parts;
    int armour; /* memory files, inherited by the children */
    int revoked;
    int64_t deadline_ns;
};

static void signature_file_name(int file, char ret_name[FILE_NAME_BYTES])
{
    (void)snprintf(ret_name, FILE_NAME_BYTES, "/proc/self/fd/%d", file);
}

/* Its exit status, 0 for yes, or a negative errno. The text goes to its standard input. */
static int signature_ask(const struct inquiry *inquiry, const char *const *arguments,
                         bool reads_text, struct strbuf *output)
{
    int64_t left_ms = (inquiry->deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
    if (left_ms <= 0)
        return -ETIMEDOUT;
    const struct child_job job = {
        .arguments = arguments,
        .input = inquiry->parts->text,
        .input_length = reads_text ? inquiry->parts->text_length : 0,
        .output_max_bytes = MAX_OUTPUT_BYTES,
        .timeout_ms = (int)left_ms,
    };
    return child_run(&job, output);
}

static int ask_check(const struct inquiry *inquiry, struct strbuf *output)
{
    char armour[FILE_NAME_BYTES];
    signature_file_name(inquiry->armour, armour);
    const char *const arguments[] = {inquiry->settings->program,
                                     "-Y",
                                     "check-novalidate",
                                     "-n",
                                     SIGNERS_NAMESPACE,
                                     "-s",
                                     armour,
                                     NULL};
    return signature_ask(inquiry, arguments, true, output);
}

/* What ssh-keygen complains about goes the same way as its answer; the answer is the last line. */
static const struct signer *last_line_signer(const struct signers *signers,
                                             const struct strbuf *output)
{
    const char *text = strbuf_text(output), *at = text + output->length;
    if (at > text)
        at--;
    while (at > text && at[-1] != '\n')
        at--;
    return signers_find(signers, at);
}

/* 0 and the signer, NULL for none, among those whose LIMITS hold now; or a negative errno. */
static int ask_find(const struct inquiry *inquiry, const struct signers *signers,
                    enum signers_limits limits, const struct signer **ret_signer)
{
    CLEANUP(strbuf_free) struct strbuf list = STRBUF_EMPTY, output = STRBUF_EMPTY;
    char armour[FILE_NAME_BYTES], allowed[FILE_NAME_BYTES];
    signers_print(signers, limits, &list);
    CLEANUP(descriptor_close) int file = file_in_memory(strbuf_text(&list), list.length);
    if (file < 0)
        return file;
    signature_file_name(inquiry->armour, armour);
    signature_file_name(file, allowed);
    const char *const arguments[] = {
        inquiry->settings->program, "-Y", "find-principals", "-s", armour, "-f", allowed, NULL};
    int status = signature_ask(inquiry, arguments, false, &output);
    if (status < 0)
        return status;
    *ret_signer = status == 0 ? last_line_signer(signers, &output) : NULL;
    return 0;
}

/* The question that decides. IS_STRICT: the revoked keys count. */
static int ask_verify(const struct inquiry *inquiry, const struct signers *signers,
                      const struct signer *signer, bool is_strict)
{
    CLEANUP(strbuf_free) struct strbuf list = STRBUF_EMPTY, output = STRBUF_EMPTY;
    char armour[FILE_NAME_BYTES], allowed[FILE_NAME_BYTES], revoked[FILE_NAME_BYTES];
    char identity[FILE_NAME_BYTES];
    signers_print(signers, SIGNERS_ALL_LIMITS, &list);
    CLEANUP(descriptor_close) int file = file_in_memory(strbuf_text(&list), list.length);
    if (file < 0)
        return file;
    signature_file_name(inquiry->armour, armour);
    signature_file_name(file, allowed);
    signature_file_name(inquiry->revoked, revoked);
    (void)snprintf(identity, sizeof(identity), "signer%zu", (size_t)(signer - signers->list));
    const char *const arguments[] = {inquiry->settings->program,
                                     "-Y",
                                     "verify",
                                     "-n",
                                     SIGNERS_NAMESPACE,
                                     "-I",
                                     identity,
                                     "-s",
                                     armour,
                                     "-f",
                                     allowed,
                                     is_strict ? "-r" : NULL,
                                     revoked,
                                     NULL};
    return signature_ask(inquiry, arguments, true, &output);
}

/* ---- The verdict ---- */

static void signature_conclude(struct signature_result *result, enum signature_verdict verdict,
                               const char *detail)
{
    result->verdict = verdict;
    text_put(result->detail, sizeof(result->detail), detail);
}

/* ssh-keygen says `... key SHA256:...` about a good signature. */
static void take_fingerprint(const struct strbuf *output, struct signature_result *result)
{
    static const char mark[] = " key SHA256:";
    const char *at = strstr(strbuf_text(output), mark);
    if (!at)
        return;
    at += strlen(" key ");
    size_t length = strcspn(at, " \n");
    if (length < sizeof(result->key))
        memcpy(result->key, at, length);
}

static void take_signer(const struct signer *signer, struct signature_result *result)
{
    memcpy(result->signer, signer->name, sizeof(result->signer));
}

/* A good signature by a key that may not sign now: because of a date, or at all? */
static int explain_unknown(const struct inquiry *inquiry, const struct signers *signers,
                           struct signature_result *result)
{
    static const struct {
        enum signers_limits limits; /* under which the key is found */
        enum signature_verdict verdict;
    } rounds[] = {{SIGNERS_BEFORE, SIGNATURE_NOT_YET}, {SIGNERS_NO_LIMITS, SIGNATURE_EXPIRED}};
    for (size_t i = 0; i < ARRAY_LENGTH(rounds); i++) {
        const struct signer *signer = NULL;
        int problem = ask_find(inquiry, signers, rounds[i].limits, &signer);
        if (problem < 0)
            return problem;
        if (!signer)
            continue;
        bool is_early = rounds[i].verdict == SIGNATURE_NOT_YET;
        take_signer(signer, result);
        signature_conclude(result, rounds[i].verdict, "");
        (void)snprintf(result->detail, sizeof(result->detail), "line %u of allowed_signers: %s %s",
                       signer->line, is_early ? "valid-after" : "valid-before",
                       is_early ? signer->after : signer->before);
        return 0;
    }
    signature_conclude(result, SIGNATURE_UNKNOWN,
                       signers->skipped ? "no line of allowed_signers that counts has this key"
                                        : "no line of allowed_signers has this key");
    return 0;
}

/*
 * A machine without a clock of its own starts in 1970, and whoever answers for its time may put it
 * back: then a key that has expired would be good again. What can be seen of that is not believed.
 */
static bool clock_is_behind(const struct signers *signers)
{
    return clock_wall_ms() / 1000 < signers->written_s - CLOCK_SLACK_S;
}

static int decide(const struct inquiry *inquiry, const struct signers *signers,
                  struct signature_result *result)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    const struct signer *signer = NULL;
    int status = ask_check(inquiry, &output);
    if (status > 0)
        signature_conclude(result, SIGNATURE_BAD,
                           "not made over this text, or not for this namespace");
    if (status != 0)
        return status < 0 ? status : 0;
    take_fingerprint(&output, result);
    status = ask_find(inquiry, signers, SIGNERS_ALL_LIMITS, &signer);
    if (status < 0)
        return status;
    if (!signer)
        return explain_unknown(inquiry, signers, result);
    take_signer(signer, result);
    if (signer->before[0] && clock_is_behind(signers)) {
        signature_conclude(result, SIGNATURE_EXPIRED,
                           "valid-before cannot be judged: the clock is before the day on which "
                           "allowed_signers was written");
        return 0;
    }
    status = ask_verify(inquiry, signers, signer, true);
    if (status == 0)
        signature_conclude(result, SIGNATURE_GOOD, "");
    if (status <= 0)
        return status;
    status = ask_verify(inquiry, signers, signer, false);
    signature_conclude(result, status == 0 ? SIGNATURE_REVOKED : SIGNATURE_UNKNOWN,
                       status == 0 ? "the key is among the revoked ones"
                                   : "ssh-keygen does not accept it");
    return status < 0 ? status : 0;
}

/* Returns a negative errno when ssh-keygen could not be asked. */
static int inquire(const struct signature_settings *settings, const struct command_parts *parts,
                   const struct signers *signers, const struct strbuf *revoked,
                   struct signature_result *result)
{
    struct inquiry inquiry = {
        .settings = settings,
        .parts = parts,
        .deadline_ns = clock_mono_ns() + settings->timeout_ms * CLOCK_NS_PER_MS,
    };
    CLEANUP(descriptor_close) int armour = file_in_memory(parts->armour, parts->armour_length);
    if (armour < 0)
        return armour;
    CLEANUP(descriptor_close) int list = file_in_memory(strbuf_text(revoked), revoked->length);
    if (list < 0)
        return list;
    inquiry.armour = armour;
    inquiry.revoked = list;
    return decide(&inquiry, signers, result);
}

void signature_verify(const struct signature_settings *settings, const struct command_parts *parts,
                      struct signature_result *ret_result)
{
    CLEANUP(signers_free) struct signers signers = {0};
    CLEANUP(strbuf_free) struct strbuf revoked = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    struct signature_result result = {.verdict = SIGNATURE_FAILED};
    if (signature_load_signers(settings, &signers, &problem) < 0 ||
        load_revoked(settings->revoked_keys, &revoked, &problem) < 0) {
        signature_conclude(&result, SIGNATURE_UNKNOWN, strbuf_text(&problem));
    } else {
        int failed = inquire(settings, parts, &signers, &revoked, &result);
        if (failed < 0) {
            strbuf_addf(&problem, "%s: %s", settings->program, strerror(-failed));
            signature_conclude(&result, SIGNATURE_FAILED, strbuf_text(&problem));
        }
    }
    *ret_result = result;
}
