/*
 * Asks ssh-keygen. Three questions: is it a signature over these bytes in our namespace
 * (check-novalidate); whose key is it (find-principals, over a list that we printed ourselves); and
 * the one that decides, may that key sign (verify, with the revoked keys). When the answer is no,
 * two more find out why, for the journal. One table has the questions, and each answer says which
 * comes next. Files, the text too, are handed over as memory files that the child inherits, so that
 * nothing is on any disk and nothing is left behind. One child at a time, confined; its end wakes
 * the loop.
 */
#include "tunnel/command/signature.h"

#include "agent/base/child.h"
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/os/confined_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES (512 * 1024)
#define MAX_OUTPUT_BYTES 4096
#define SAYS_NO 255 /* ssh-keygen's exit status */
#define FILE_NAME "/proc/self/fd/%d"
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

/* ---- One verification ---- */

enum question {
    QUESTION_CHECK,  /* a signature over these bytes, in our namespace? */
    QUESTION_FIND,   /* by a key whose line holds now? */
    QUESTION_EARLY,  /* by one whose line does not hold yet? */
    QUESTION_LATE,   /* by one whose line holds no more? */
    QUESTION_VERIFY, /* may that key sign? The one that decides. */
    QUESTION_REVOKED /* would it, if the revoked keys did not count? */
};

/* What ssh-keygen reads: memory files. */
enum signature_file { FILE_TEXT, FILE_ARMOUR, FILE_REVOKED, FILE_SIGNERS };
#define FILE_COUNT (FILE_SIGNERS + 1)

struct signature {
    char *allowed_signers, *revoked_keys, *program;
    sd_event *loop;
    signature_hook *ended;
    void *context;
    int files[FILE_COUNT]; /* -1: none */
    struct signers signers;
    const struct signer *signer; /* whose key it is, as far as is known */
    enum question question;      /* that the child answers */
    pid_t pid;                   /* 0: none */
    int watched, output;         /* of the child */
    sd_event_source *first, *exited, *late;
    sd_event_io_handler_t on_exit;
    struct signature_result result;
};

static void signature_conclude(struct signature *signature, enum signature_verdict verdict,
                               const char *detail)
{
    signature->result.verdict = verdict;
    text_put(signature->result.detail, sizeof(signature->result.detail), detail);
}

/* ssh-keygen could not be asked. */
static void conclude_failed(struct signature *signature, int problem)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    strbuf_addf(&detail, "%s: %s", signature->program, strerror(-problem));
    signature_conclude(signature, SIGNATURE_FAILED, strbuf_text(&detail));
}

/* Whether it has answered: it says no with 255, and everything else means that it did not get to
 * it. */
static bool has_answered(struct signature *signature, int status)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    if (status == 0 || status == SAYS_NO)
        return true;
    strbuf_addf(&detail, "%s ended with status %d", signature->program, status);
    signature_conclude(signature, SIGNATURE_FAILED, strbuf_text(&detail));
    return false;
}

/* ---- Its answers ---- */

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

/* Whether there is one, and who. */
static bool take_signer(struct signature *signature, int status, const struct strbuf *output)
{
    signature->signer = status == 0 ? last_line_signer(&signature->signers, output) : NULL;
    if (signature->signer)
        memcpy(signature->result.signer, signature->signer->name, sizeof(signature->result.signer));
    return signature->signer != NULL;
}

/*
 * A machine without a clock of its own starts in 1970, and whoever answers for its time may put it
 * back: then a key that has expired would be good again. What can be seen of that is not believed.
 */
static bool clock_is_behind(const struct signers *signers)
{
    return clock_wall_ms() / 1000 < signers->written_s - CLOCK_SLACK_S;
}

/* Each takes an answer. Returns whether there is one more question to ask. */
typedef bool answer_hook(struct signature *signature, int status, const struct strbuf *output);

static bool take_check(struct signature *signature, int status, const struct strbuf *output)
{
    if (status != 0) {
        signature_conclude(signature, SIGNATURE_BAD,
                           "not made over this text, or not for this namespace");
        return false;
    }
    take_fingerprint(output, &signature->result);
    signature->question = QUESTION_FIND;
    return true;
}

static bool take_find(struct signature *signature, int status, const struct strbuf *output)
{
    if (!take_signer(signature, status, output)) {
        signature->question = QUESTION_EARLY;
        return true;
    }
    if (signature->signer->before[0] && clock_is_behind(&signature->signers)) {
        signature_conclude(signature, SIGNATURE_EXPIRED,
                           "valid-before cannot be judged: the clock is before the day on which "
                           "allowed_signers was written");
        return false;
    }
    signature->question = QUESTION_VERIFY;
    return true;
}

static void conclude_limit(struct signature *signature, enum signature_verdict verdict,
                           const char *limit, const char *value)
{
    signature->result.verdict = verdict;
    (void)snprintf(signature->result.detail, sizeof(signature->result.detail),
                   "line %u of allowed_signers: %s %s", signature->signer->line, limit, value);
}

static bool take_early(struct signature *signature, int status, const struct strbuf *output)
{
    if (take_signer(signature, status, output)) {
        conclude_limit(signature, SIGNATURE_NOT_YET, "valid-after", signature->signer->after);
        return false;
    }
    signature->question = QUESTION_LATE;
    return true;
}

static bool take_late(struct signature *signature, int status, const struct strbuf *output)
{
    if (take_signer(signature, status, output))
        conclude_limit(signature, SIGNATURE_EXPIRED, "valid-before", signature->signer->before);
    else
        signature_conclude(signature, SIGNATURE_UNKNOWN,
                           signature->signers.skipped
                               ? "no line of allowed_signers that counts has this key"
                               : "no line of allowed_signers has this key");
    return false;
}

static bool take_verify(struct signature *signature, int status, const struct strbuf *output)
{
    (void)output;
    if (status == 0) {
        signature_conclude(signature, SIGNATURE_GOOD, "");
        return false;
    }
    signature->question = QUESTION_REVOKED;
    return true;
}

static bool take_revoked(struct signature *signature, int status, const struct strbuf *output)
{
    (void)output;
    signature_conclude(signature, status == 0 ? SIGNATURE_REVOKED : SIGNATURE_UNKNOWN,
                       status == 0 ? "the key is among the revoked ones"
                                   : "ssh-keygen does not accept it");
    return false;
}

/* ---- Its questions ---- */

static const struct question_row {
    const char *words; /* after -Y */
    bool reads_text, names_signer, lists_revoked;
    enum signers_limits limits; /* of the list that it gets */
    answer_hook *take;
} questions[] = {
    [QUESTION_CHECK] = {"check-novalidate", true, false, false, SIGNERS_ALL_LIMITS, take_check},
    [QUESTION_FIND] = {"find-principals", false, false, false, SIGNERS_ALL_LIMITS, take_find},
    [QUESTION_EARLY] = {"find-principals", false, false, false, SIGNERS_BEFORE, take_early},
    [QUESTION_LATE] = {"find-principals", false, false, false, SIGNERS_NO_LIMITS, take_late},
    [QUESTION_VERIFY] = {"verify", true, true, true, SIGNERS_ALL_LIMITS, take_verify},
    [QUESTION_REVOKED] = {"verify", true, true, false, SIGNERS_ALL_LIMITS, take_revoked},
};

static int signature_put_file(struct signature *signature, enum signature_file which,
                              const void *bytes, size_t length)
{
    descriptor_close(&signature->files[which]);
    int file = file_in_memory(bytes, length);
    if (file < 0)
        return file;
    signature->files[which] = file;
    return fcntl(file, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

static int signature_start_child(struct signature *signature, const char *const *arguments)
{
    const int inherited[] = {signature->files[FILE_ARMOUR], signature->files[FILE_REVOKED],
                             signature->files[FILE_SIGNERS], -1};
    const struct confined confined = {CONFINED_SSH_KEYGEN, inherited};
    int text = questions[signature->question].reads_text ? signature->files[FILE_TEXT] : -1;
    if (text >= 0 && lseek(text, 0, SEEK_SET) < 0)
        return -errno;
    int watched =
        confined_child_start(&confined, arguments, text, true, &signature->output, &signature->pid);
    if (watched < 0)
        return watched;
    signature->watched = watched;
    return sd_event_add_io(signature->loop, &signature->exited, watched, EPOLLIN,
                           signature->on_exit, signature);
}

/* Starts ssh-keygen for the present question. */
static int signature_ask(struct signature *signature)
{
    const struct question_row *row = &questions[signature->question];
    CLEANUP(strbuf_free) struct strbuf list = STRBUF_EMPTY;
    char armour[FILE_NAME_BYTES], allowed[FILE_NAME_BYTES], revoked[FILE_NAME_BYTES];
    char identity[FILE_NAME_BYTES] = "";
    signers_print(&signature->signers, row->limits, &list);
    int problem = signature_put_file(signature, FILE_SIGNERS, strbuf_text(&list), list.length);
    if (problem < 0)
        return problem;
    (void)snprintf(armour, sizeof(armour), FILE_NAME, signature->files[FILE_ARMOUR]);
    (void)snprintf(allowed, sizeof(allowed), FILE_NAME, signature->files[FILE_SIGNERS]);
    (void)snprintf(revoked, sizeof(revoked), FILE_NAME, signature->files[FILE_REVOKED]);
    const char *words[16] = {signature->program, "-Y", row->words, "-s", armour};
    size_t n = 5;
    if (row->reads_text) {
        words[n++] = "-n";
        words[n++] = SIGNERS_NAMESPACE;
    }
    if (row->names_signer || !row->reads_text) {
        words[n++] = "-f";
        words[n++] = allowed;
    }
    if (row->names_signer) {
        (void)snprintf(identity, sizeof(identity), "signer%zu",
                       (size_t)(signature->signer - signature->signers.list));
        words[n++] = "-I";
        words[n++] = identity;
    }
    if (row->lists_revoked) {
        words[n++] = "-r";
        words[n++] = revoked;
    }
    return signature_start_child(signature, words);
}

/* ---- Its end ---- */

/* Reads what is there. It is not much, for nobody reads while the child runs. */
static int drain(int output, struct strbuf *text)
{
    for (;;) {
        ssize_t got = read(output, strbuf_reserve(text, MAX_OUTPUT_BYTES), MAX_OUTPUT_BYTES);
        if (got <= 0)
            return got < 0 && errno != EAGAIN ? -errno : 0;
        text->length += (size_t)got;
        text->data[text->length] = '\0';
        if (text->length > MAX_OUTPUT_BYTES)
            return -E2BIG;
    }
}

static void close_child(struct signature *signature)
{
    signature->exited = sd_event_source_disable_unref(signature->exited);
    descriptor_close(&signature->watched);
    descriptor_close(&signature->output);
    signature->pid = 0;
}

/* Kills it; a process that was killed is gone at once. */
static void signature_kill_child(struct signature *signature)
{
    if (signature->pid > 0) {
        (void)kill(signature->pid, SIGKILL);
        (void)child_reap(signature->pid);
    }
    close_child(signature);
}

static void signature_end(struct signature *signature)
{
    signature_kill_child(signature);
    signature->late = sd_event_source_disable_unref(signature->late);
    signature->ended(signature->context, &signature->result); /* SIGNATURE may be gone now */
}

static int signature_on_exit(sd_event_source *source, int descriptor, uint32_t events,
                             void *context)
{
    struct signature *signature = context;
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    (void)source, (void)descriptor, (void)events;
    int status = child_reap(signature->pid);
    int problem = status < 0 ? status : drain(signature->output, &output);
    close_child(signature);
    if (problem >= 0) {
        if (!has_answered(signature, status) ||
            !questions[signature->question].take(signature, status, &output)) {
            signature_end(signature);
            return 0;
        }
        problem = signature_ask(signature);
    }
    if (problem < 0) {
        conclude_failed(signature, problem);
        signature_end(signature);
    }
    return 0;
}

static int signature_on_late(sd_event_source *source, uint64_t usec, void *context)
{
    struct signature *signature = context;
    (void)source, (void)usec;
    conclude_failed(signature, -ETIMEDOUT);
    signature_end(signature);
    return 0;
}

/* ---- Its beginning ---- */

/* 0, or a negative errno with PROBLEM when the files may not be believed. */
static int load_files(struct signature *signature, struct strbuf *revoked, struct strbuf *problem)
{
    const struct signature_settings settings = {.allowed_signers = signature->allowed_signers};
    int result = signature_load_signers(&settings, &signature->signers, problem);
    return result < 0 ? result : load_revoked(signature->revoked_keys, revoked, problem);
}

static int signature_on_first(sd_event_source *source, void *context)
{
    struct signature *signature = context;
    CLEANUP(strbuf_free) struct strbuf revoked = STRBUF_EMPTY, text = STRBUF_EMPTY;
    (void)source;
    if (load_files(signature, &revoked, &text) < 0) {
        signature_conclude(signature, SIGNATURE_UNKNOWN, strbuf_text(&text));
        signature_end(signature);
        return 0;
    }
    int problem =
        signature_put_file(signature, FILE_REVOKED, strbuf_text(&revoked), revoked.length);
    if (problem >= 0)
        problem = signature_ask(signature);
    if (problem < 0) {
        conclude_failed(signature, problem);
        signature_end(signature);
    }
    return 0;
}

static struct signature *signature_make(const struct signature_settings *settings)
{
    struct signature *signature = memory_zeroed(1, sizeof(*signature));
    signature->allowed_signers = memory_text(settings->allowed_signers);
    signature->revoked_keys = memory_text(settings->revoked_keys);
    signature->program = memory_text(settings->program);
    signature->watched = signature->output = -1;
    for (size_t i = 0; i < FILE_COUNT; i++)
        signature->files[i] = -1;
    signature->on_exit = signature_on_exit;
    return signature;
}

int signature_begin(const struct signature_settings *settings, const struct command_parts *parts,
                    sd_event *loop, signature_hook *ended, void *context,
                    struct signature **ret_signature)
{
    struct signature *signature = signature_make(settings);
    signature->loop = loop;
    signature->ended = ended;
    signature->context = context;
    int problem = signature_put_file(signature, FILE_TEXT, parts->text, parts->text_length);
    if (problem >= 0)
        problem = signature_put_file(signature, FILE_ARMOUR, parts->armour, parts->armour_length);
    if (problem >= 0)
        problem = sd_event_add_time_relative(loop, &signature->late, CLOCK_MONOTONIC,
                                             (uint64_t)settings->timeout_ms * 1000, 1000,
                                             signature_on_late, signature);
    if (problem >= 0)
        problem = sd_event_add_defer(loop, &signature->first, signature_on_first, signature);
    if (problem < 0) {
        signature_free(signature);
        return problem;
    }
    *ret_signature = signature;
    return 0;
}

struct signature *signature_free(struct signature *signature)
{
    if (!signature)
        return NULL;
    signature_kill_child(signature);
    sd_event_source_disable_unref(signature->first);
    sd_event_source_disable_unref(signature->late);
    for (size_t i = 0; i < FILE_COUNT; i++)
        descriptor_close(&signature->files[i]);
    signers_free(&signature->signers);
    free(signature->allowed_signers);
    free(signature->revoked_keys);
    free(signature->program);
    free(signature);
    return NULL;
}
