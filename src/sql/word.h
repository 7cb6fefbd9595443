/* word.h - the few words that the tokenizer itself must know (private to sql). Pure. */
#ifndef PGSHUNT_SQL_WORD_H
#define PGSHUNT_SQL_WORD_H

#include <stdint.h>

enum word {
    WORD_NONE, /* any other */
    WORD_DOT,
    WORD_PAREN, /* the signs . and ( */
    WORD_AND,
    WORD_AS,
    WORD_BEGIN,
    WORD_BETWEEN,
    WORD_CASE,
    WORD_COMMIT,
    WORD_CREATE,
    WORD_CURRENT_SETTING,
    WORD_DO,
    WORD_ELSE,
    WORD_END,
    WORD_EXCEPT,
    WORD_FUNCTION,
    WORD_IN,
    WORD_INTERSECT,
    WORD_JOIN,
    WORD_OR,
    WORD_PREPARE,
    WORD_PREPARED,
    WORD_PROCEDURE,
    WORD_REPLACE,
    WORD_ROLLBACK,
    WORD_SELECT,
    WORD_SET_CONFIG,
    WORD_TABLE,
    WORD_THEN,
    WORD_TRANSACTION,
    WORD_UNION,
    WORD_VALUES,
    WORD_WHEN,
    WORD_WITH,
};

enum word word_of(const char *lower, uint32_t bytes);      /* a word in lower case */
enum word word_quoted(const char *quoted, uint32_t bytes); /* "set_config": a function's name may be quoted */

#endif
