/*
 * What an armoured SSH signature claims (OpenSSH's PROTOCOL.sshsig): by which key, for which
 * namespace. Nothing here proves anything: reading it costs microseconds and no process, so that
 * most forgeries can be refused before ssh-keygen is started, which alone decides. Strict: what
 * ssh-keygen would not write is not read. Pure; no allocation; any thread.
 */
#ifndef SALLYPORT_TUNNEL_COMMAND_ARMOUR_H
#define SALLYPORT_TUNNEL_COMMAND_ARMOUR_H

#include <stdbool.h>
#include <stddef.h>

#define ARMOUR_BYTES 6150          /* what 8 KiB of base64 hold */
#define ARMOUR_KEY_TEXT_BYTES 8204 /* the longest key in base64, with its NUL */
#define ARMOUR_PRINT_BYTES 64      /* "SHA256:...", with its NUL */
#define ARMOUR_ED25519 "ssh-ed25519"
#define ARMOUR_HARDWARE "sk-ssh-ed25519@openssh.com"

/* Some bytes of `bytes` below. */
struct armour_part {
    const unsigned char *at;
    size_t length;
};

struct armour {
    struct armour_part key; /* as in a public key file, decoded */
    struct armour_part name_space, hash, signature;
    unsigned char bytes[ARMOUR_BYTES];
};

/* Reads the armour of command_split(), LENGTH bytes. 0, or -EBADMSG: it is no such signature. */
int armour_read(const char *text, size_t length, struct armour *ret_armour);

/* Cuts a string, with its length before it, off REST. 0, or -EBADMSG: it is not whole. */
int armour_cut(struct armour_part *rest, struct armour_part *ret_part);

/* Decodes base64 TEXT, line ends aside. Returns the number of bytes; 0: it is none, or too long. */
size_t armour_decode(const char *text, size_t length, unsigned char bytes[ARMOUR_BYTES]);

/* Writes PART in base64, as in allowed_signers. */
void armour_print(struct armour_part part, char text[ARMOUR_KEY_TEXT_BYTES]);

/* Whether PART is exactly TEXT. */
bool armour_part_is(struct armour_part part, const char *text);

/* Writes the fingerprint of KEY, as ssh-keygen -l shows it. */
void armour_fingerprint(struct armour_part key, char text[ARMOUR_PRINT_BYTES]);

#endif
