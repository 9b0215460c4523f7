/* What a first configuration is made of. Secrets are wiped. */
#include "agent/cli/init/init_answers.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <stdlib.h>
#include <string.h>

static void init_answers_free_text(char **text)
{
    if (*text)
        memory_wipe(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void init_set(char **text, const char *value)
{
    char *fresh = memory_text(value); /* VALUE may be a part of what goes */
    init_answers_free_text(text);
    *text = fresh;
}

void init_add(struct text_list *list, const char *value)
{
    list->items = memory_resize(list->items, list->length + 1, sizeof(*list->items));
    list->items[list->length++] = memory_text(value);
}

void init_list_free(struct text_list *list)
{
    for (size_t i = 0; i < list->length; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct text_list){NULL, 0};
}

void init_answers_free(struct init_answers *answers)
{
    char **texts[] = {
        &answers->gateway.id,
        &answers->gateway.site,
        &answers->uplink.username,
        &answers->uplink.password,
        &answers->uplink.prefix,
        &answers->uplink.client_id,
        &answers->uplink.ca_pem,
        &answers->uplink.certificate_pem,
        &answers->uplink.key_pem,
        &answers->tunnel.address,
        &answers->tunnel.private_key,
        &answers->hub.public_key,
        &answers->hub.endpoint,
        &answers->hub.address,
        &answers->hub.preshared_key,
        &answers->signers.allowed_signers,
        &answers->signers.revoked_keys,
        &answers->ssh_interface,
        &answers->ssh_from,
        &answers->enrolment_text,
        &answers->enrolment_key,
    };
    struct text_list *lists[] = {&answers->uplink.servers, &answers->tunnel.sources, &answers->wan,
                                 &answers->plant,          &answers->buses,          &answers->tags,
                                 &answers->services};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        init_answers_free_text(texts[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        init_list_free(lists[i]);
}
