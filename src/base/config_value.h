/* config_value.h - what config.c asks of config_value.c besides base/config.h. Any thread. */
#ifndef PGSHUNT_BASE_CONFIG_VALUE_H
#define PGSHUNT_BASE_CONFIG_VALUE_H

#include "base/config.h"

/* config_check(), and the number of a number; 0 or 1 of a flag; else 0. */
bool config_parse_value(enum config_key key, const char *value, int64_t *number, struct error *err);
/* `value` is one of "a|b|c". */
bool config_is_choice(const char *choices, const char *value);

#endif
