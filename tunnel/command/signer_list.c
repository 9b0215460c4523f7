/* The keys of allowed_signers. */
#include "tunnel/command/signer_list.h"

#include "agent/base/log.h"
#include "agent/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What tells one state of a file from another; all zero: it is not there. */
struct identity {
    dev_t device;
    ino_t node;
    off_t size;
    struct timespec written, changed; /* the second also by owner and mode */
};

struct signer_list {
    char *path, *folder;
    bool is_read;
    struct identity file_was, folder_was;
    struct signers signers;
    struct strbuf problem;
};

static struct identity identify(const char *path)
{
    struct stat about;
    struct identity identity;
    memset(&identity, 0, sizeof(identity)); /* padding is compared too */
    if (stat(path, &about) < 0)
        return identity;
    identity.device = about.st_dev;
    identity.node = about.st_ino;
    identity.size = about.st_size;
    identity.written = about.st_mtim;
    identity.changed = about.st_ctim;
    return identity;
}

struct signer_list *signer_list_new(const char *path)
{
    struct signer_list *list = memory_zeroed(1, sizeof(*list));
    const char *slash = strrchr(path, '/');
    list->path = memory_text(path);
    list->folder = slash ? memory_text_n(path, (size_t)(slash - path) + 1) : memory_text(".");
    return list;
}

struct signer_list *signer_list_free(struct signer_list *list)
{
    if (!list)
        return NULL;
    signers_free(&list->signers);
    strbuf_free(&list->problem);
    free(list->path);
    free(list->folder);
    free(list);
    return NULL;
}

static void signer_list_log(const struct signer_list *list)
{
    CLEANUP(strbuf_free) struct strbuf state = STRBUF_EMPTY;
    const struct signers *signers = &list->signers;
    strbuf_add(&state, strbuf_text(&list->problem));
    if (!list->problem.length)
        strbuf_addf(&state, "file=%s signers=%zu", list->path, signers->length);
    if (signers->skipped)
        strbuf_addf(&state, " lines_that_do_not_count=%u; line %u: %s", signers->skipped,
                    signers->first_skipped, signers->why);
    if (signers->length == 0)
        log_warning("gate", "%s; every signed command is refused", strbuf_text(&state));
    else
        log_info("gate", "%s", strbuf_text(&state));
}

bool signer_list_look(struct signer_list *list)
{
    const struct identity file = identify(list->path), folder = identify(list->folder);
    if (list->is_read && memcmp(&file, &list->file_was, sizeof(file)) == 0 &&
        memcmp(&folder, &list->folder_was, sizeof(folder)) == 0)
        return false;
    list->is_read = true;
    list->file_was = file;
    list->folder_was = folder;
    signers_free(&list->signers);
    strbuf_reset(&list->problem);
    const struct signature_settings settings = {.allowed_signers = list->path};
    (void)signature_load_signers(&settings, &list->signers, &list->problem);
    signer_list_log(list);
    return true;
}

const struct signers *signer_list_signers(const struct signer_list *list)
{
    return &list->signers;
}

const char *signer_list_problem(const struct signer_list *list)
{
    return strbuf_text(&list->problem);
}

bool signer_list_has(const struct signer_list *list, struct armour_part key)
{
    char text[ARMOUR_KEY_TEXT_BYTES];
    armour_print(key, text);
    for (size_t i = 0; i < list->signers.length; i++) {
        if (strcmp(list->signers.list[i].key, text) == 0)
            return true;
    }
    return false;
}
