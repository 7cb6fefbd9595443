/* word.c - a table of words by first letter.
 * Thread: any.   Start at: word_of(). */
#include "sql/word.h"

#include <string.h>

struct entry {
    const char *text;
    uint8_t bytes;
    uint8_t word;
};

#define ENTRY(text, word)                                                                                    \
    {                                                                                                        \
        text, sizeof text - 1, word                                                                          \
    }

static const struct entry entries[] = {
    /* sorted by first letter */
    ENTRY("and", WORD_AND),
    ENTRY("as", WORD_AS),
    ENTRY("begin", WORD_BEGIN),
    ENTRY("between", WORD_BETWEEN),
    ENTRY("case", WORD_CASE),
    ENTRY("commit", WORD_COMMIT),
    ENTRY("create", WORD_CREATE),
    ENTRY("current_setting", WORD_CURRENT_SETTING),
    ENTRY("do", WORD_DO),
    ENTRY("else", WORD_ELSE),
    ENTRY("end", WORD_END),
    ENTRY("except", WORD_EXCEPT),
    ENTRY("function", WORD_FUNCTION),
    ENTRY("in", WORD_IN),
    ENTRY("intersect", WORD_INTERSECT),
    ENTRY("join", WORD_JOIN),
    ENTRY("or", WORD_OR),
    ENTRY("prepare", WORD_PREPARE),
    ENTRY("prepared", WORD_PREPARED),
    ENTRY("procedure", WORD_PROCEDURE),
    ENTRY("replace", WORD_REPLACE),
    ENTRY("rollback", WORD_ROLLBACK),
    ENTRY("select", WORD_SELECT),
    ENTRY("set_config", WORD_SET_CONFIG),
    ENTRY("table", WORD_TABLE),
    ENTRY("then", WORD_THEN),
    ENTRY("transaction", WORD_TRANSACTION),
    ENTRY("union", WORD_UNION),
    ENTRY("values", WORD_VALUES),
    ENTRY("when", WORD_WHEN),
    ENTRY("with", WORD_WITH),
};

/* Where the entries of a letter begin; those of the next letter end them. */
static const uint8_t first_of[27] = {
    0, 2, 4, 8, 9, 12, 13, 13, 13, 15, 16, 16, 16, 16, 16, 17, 20, 20, 22, 24, 27, 28, 29, 31, 31, 31, 31,
};

enum word word_of(const char *lower, uint32_t bytes)
{
    unsigned letter = (unsigned char)lower[0] - (unsigned)'a';

    if (bytes < 2 || letter > 25)
        return WORD_NONE;
    for (unsigned i = first_of[letter]; i < first_of[letter + 1]; i++)
        if (entries[i].bytes == bytes && memcmp(entries[i].text, lower, bytes) == 0)
            return entries[i].word;
    return WORD_NONE;
}

enum word word_quoted(const char *quoted, uint32_t bytes)
{
    enum word word = bytes > 2 && quoted[0] == '"' ? word_of(quoted + 1, bytes - 2) : WORD_NONE;

    return word == WORD_SET_CONFIG || word == WORD_CURRENT_SETTING ? word : WORD_NONE;
}
