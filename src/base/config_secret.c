/* config_secret.c - see config_secret.h.   Thread: any.   Start at: config_secret_replace(). */
#include "base/config_secret.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

enum place { PLACE_WHOLE, PLACE_URI, PLACE_KEYWORD };

void config_secret_free(char *text)
{
    if (text == NULL)
        return;
    explicit_bzero(text, strlen(text));
    free(text);
}

static void append_escaped(struct buf *out, const char *secret, enum place place)
{
    for (const char *at = secret; *at != '\0'; at++) {
        const unsigned char c = (unsigned char)*at;

        if (place == PLACE_URI && !isalnum(c))
            buf_append_format(out, "%%%02X", c);
        else if (place == PLACE_KEYWORD && (isspace(c) || c == '\'' || c == '\\'))
            buf_append_format(out, "\\%c", c);
        else
            buf_append(out, at, 1);
    }
}

/* Without the line end that editors add. */
static bool read_secret_file(const char *path, char secret[CONFIG_SECRET_BYTES_MAX], struct error *err)
{
    FILE *file = fopen(path, "re");
    size_t bytes;
    bool bad;

    if (file == NULL)
        return error_set(err, "58030", "cannot open \"%s\": %s", path, strerror(errno));
    setvbuf(file, NULL, _IONBF, 0); /* no second copy of the secret */
    bytes = fread(secret, 1, CONFIG_SECRET_BYTES_MAX, file);
    bad = ferror(file) != 0;
    fclose(file);
    if (bad)
        return error_set(err, "58030", "cannot read \"%s\"", path);
    if (bytes == CONFIG_SECRET_BYTES_MAX)
        return error_set(err, "22023", "\"%s\" is longer than %d bytes", path, CONFIG_SECRET_BYTES_MAX - 1);
    while (bytes > 0 && (secret[bytes - 1] == '\n' || secret[bytes - 1] == '\r'))
        bytes--;
    if (memchr(secret, '\0', bytes) != NULL)
        return error_set(err, "22023", "\"%s\" has a NUL byte", path);
    secret[bytes] = '\0';
    return true;
}

static bool read_secret_env(const char *name, char secret[CONFIG_SECRET_BYTES_MAX], struct error *err)
{
    const char *value = getenv(name);

    if (value == NULL)
        return error_set(err, "22023", "environment variable \"%s\" is not set", name);
    if (strlen(value) >= CONFIG_SECRET_BYTES_MAX)
        return error_set(err, "22023", "environment variable \"%s\" is longer than %d bytes", name,
                         CONFIG_SECRET_BYTES_MAX - 1);
    memcpy(secret, value, strlen(value) + 1);
    return true;
}

/* `reference` is what stands between ${ and }. */
static bool append_reference(struct buf *out, const char *reference, enum place place, struct error *err)
{
    char secret[CONFIG_SECRET_BYTES_MAX];
    bool good;

    if (strncmp(reference, "ENV:", 4) == 0)
        good = read_secret_env(reference + 4, secret, err);
    else if (strncmp(reference, "FILE:/", 6) == 0)
        good = read_secret_file(reference + 5, secret, err);
    else
        return error_set(err, "22023", "expected ${ENV:NAME} or ${FILE:/path}, found \"${%s}\"", reference);
    if (good && secret[0] == '\0')
        good = error_set(err, "22023", "${%s} is empty", reference);
    if (good)
        append_escaped(out, secret, place);
    explicit_bzero(secret, sizeof secret);
    return good;
}

static enum place place_of(const char *text)
{
    if (strncmp(text, "${", 2) == 0 && strchr(text, '}') == text + strlen(text) - 1)
        return PLACE_WHOLE;
    if (strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0)
        return PLACE_URI;
    return PLACE_KEYWORD;
}

static bool replace_all(const char *text, struct buf *out, struct error *err)
{
    const enum place place = place_of(text);
    char reference[CONFIG_LINE_BYTES_MAX];

    for (const char *at = text; *at != '\0';) {
        const char *open = strstr(at, "${");
        const char *close = open == NULL ? NULL : strchr(open, '}');

        if (open == NULL) {
            buf_append_text(out, at);
            return true;
        }
        if (close == NULL || (size_t)(close - open) >= sizeof reference)
            return error_set(err, "22023", "expected } after \"${\"");
        buf_append(out, at, (size_t)(open - at));
        snprintf(reference, sizeof reference, "%.*s", (int)(close - open - 2), open + 2);
        if (!append_reference(out, reference, place, err))
            return false;
        at = close + 1;
    }
    return true;
}

bool config_secret_replace(const char *text, char **replaced, struct error *err)
{
    struct buf out;
    bool good;

    *replaced = NULL;
    buf_init(&out);
    good = replace_all(text, &out, err);
    if (good) {
        *replaced = strdup(buf_text(&out));
        if (buf_failed(&out) || *replaced == NULL) {
            config_secret_free(*replaced);
            *replaced = NULL;
            good = error_no_memory(err);
        }
    }
    if (out.data != NULL)
        explicit_bzero(out.data, out.capacity);
    buf_done(&out);
    return good;
}
