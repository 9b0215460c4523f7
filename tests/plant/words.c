/* The words of a command line of the plant, and their meaning. */
#include "tests/plant/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int words_split(char *text, char **ret_words)
{
    int n_words = 0;
    char *rest = text;
    text[strcspn(text, "#\n")] = '\0';
    for (char *word; (word = strsep(&rest, " \t\r")) != NULL;) {
        if (!word[0])
            continue;
        if (n_words == MAX_WORDS)
            return -E2BIG;
        ret_words[n_words++] = word;
    }
    return n_words;
}

int word_number(const char *word, uint64_t lowest, uint64_t highest, uint64_t *ret_value)
{
    char *end;
    if (!isdigit((unsigned char)word[0]))
        return -EINVAL;
    errno = 0;
    unsigned long long value = strtoull(word, &end, 0);
    if (errno != 0 || *end != '\0' || value < lowest || value > highest)
        return -EINVAL;
    *ret_value = value;
    return 0;
}

int word_range(const char *word, uint64_t lowest, uint64_t highest, uint64_t *ret_first,
               uint64_t *ret_last)
{
    char first[32];
    uint64_t from, to;
    const char *dash = strchr(word, '-');
    size_t length = dash ? (size_t)(dash - word) : strlen(word);
    if (length >= sizeof(first))
        return -EINVAL;
    memcpy(first, word, length);
    first[length] = '\0';
    if (word_number(first, lowest, highest, &from) != 0)
        return -EINVAL;
    to = from;
    if (dash && word_number(dash + 1, from, highest, &to) != 0)
        return -EINVAL;
    *ret_first = from;
    *ret_last = to;
    return 0;
}
