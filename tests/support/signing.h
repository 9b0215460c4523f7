/* Keys and signatures by the real ssh-keygen, for tests of signed commands; in test_folder(). */
#ifndef SALLYPORT_TESTS_SUPPORT_SIGNING_H
#define SALLYPORT_TESTS_SUPPORT_SIGNING_H

#include "agent/base/strbuf.h"

/* Makes the key NAME of TYPE ("ed25519", "rsa", "ecdsa") and NAME.pub. */
void signing_make_key(const char *name, const char *type);

/* "TYPE BASE64" of NAME.pub; the caller frees it. */
char *signing_public(const char *name);

/* Appends the armoured signature over TEXT, of LENGTH bytes, by the key NAME. */
void signing_sign(const char *name, const char *name_space, const char *text, size_t length,
                  struct strbuf *out);

/* Runs ssh-keygen with up to 12 words, NULL-terminated; aborts when it fails. */
void signing_run(const char *word, ...);

#endif
