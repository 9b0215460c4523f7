/* The nearest match by edit distance, for messages about unknown words. */
#include "config/schema/did_you_mean.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 64 /* longer words are not guessed at */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

static int same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/*
 * Insertions, deletions, replacements and swaps of neighbours that turn A into B ("optimal string
 * alignment"), with three rows of the usual matrix.
 */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            row[j] = least(above[j] + 1, row[j - 1] + 1, replaced);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1, row[j]);
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[b_length];
}

/* "baudrate" means "baud", "timeout" means "timeout_ms": one is the beginning of the other. */
static int is_beginning(const char *a, const char *b, size_t shorter)
{
    return shorter >= 3 && strncasecmp(a, b, shorter) == 0;
}

void did_you_mean_offer(struct did_you_mean *nearest, const char *candidate)
{
    size_t word_length = strlen(nearest->word), length = strlen(candidate);
    if (word_length == 0 || word_length > WORD_MAX || length == 0 || length > WORD_MAX)
        return;
    size_t shorter = word_length < length ? word_length : length;
    size_t distance = edit_distance(nearest->word, word_length, candidate, length);
    size_t tolerated = shorter < 3 ? 1 : 1 + shorter / 4;
    if (distance > 1 && is_beginning(nearest->word, candidate, shorter))
        distance = 2, tolerated = 2;
    if (distance >= word_length || distance > tolerated)
        return; /* nothing in common is no match */
    if (!nearest->best || distance < nearest->distance) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}
