/*
 * The built-in rules, and how a file of rules for the boot begins. Depends on nothing, so that the
 * program which a removed package leaves behind has the same. Any thread.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_NFT_BUILT_IN_H
#define SALLYPORT_TUNNEL_FIREWALL_NFT_BUILT_IN_H

#define FIREWALL_TABLE "sallyport"

/* The first line of a file of rules: this, and the SHA-256 of all that follows. */
#define NFT_BOOT_HEADER "# sallyport boot ruleset, sha256 "

/*
 * The built-in set: replies, what path MTU discovery needs and neighbour discovery in, nothing
 * else; what this machine sends begins with a SYN, or belongs to what it began, and is no ICMP
 * answer. Loads on 5.10.
 */
extern const char nft_text_built_in[];

#endif
