/* session.c - see session.h. */
#include "proxy/session.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "base/limits.h"

static char *copy_slice(struct slice slice)
{
    char *text = malloc(slice.bytes + 1);

    if (text == NULL)
        return NULL;
    if (slice.bytes > 0)
        memcpy(text, slice.at, slice.bytes);
    text[slice.bytes] = '\0';
    return text;
}

/* ---- prepared statements ---- */

static void prepared_free(struct prepared *prepared)
{
    free(prepared->name);
    free((char *)prepared->text.at);
    free(prepared->types);
    plan_give(prepared->plan);
    shape_done(&prepared->shape);
    free(prepared);
}

static void forget(struct session *session, struct prepared *prepared)
{
    HASH_DEL(session->prepared, prepared);
    prepared_free(prepared);
}

struct prepared *session_find(const struct session *session, struct slice name)
{
    struct prepared *prepared = NULL;

    if (session->prepared != NULL)
        HASH_FIND(hh, session->prepared, name.bytes == 0 ? "" : name.at, name.bytes, prepared);
    return prepared;
}

struct prepared *session_prepare(struct session *session, struct slice name, struct slice text,
                                 const uint32_t *types, size_t type_count, struct plan *plan,
                                 struct shape *shape)
{
    struct prepared *prepared, *old = session_find(session, name);

    if (old == NULL && HASH_COUNT(session->prepared) >= PREPARED_MAX)
        return NULL;
    prepared = calloc(1, sizeof *prepared);
    if (prepared == NULL)
        return NULL;
    prepared->name = copy_slice(name);
    prepared->text = (struct slice){ copy_slice(text), text.bytes };
    prepared->types = calloc(type_count + 1, sizeof *types);
    if (prepared->name == NULL || prepared->text.at == NULL || prepared->types == NULL) {
        shape_init(&prepared->shape);
        prepared_free(prepared);
        return NULL;
    }
    if (type_count > 0)
        memcpy(prepared->types, types, type_count * sizeof *types);
    prepared->type_count = type_count;
    prepared->plan = plan;
    prepared->shape = *shape;
    shape_init(shape);
    buf_done(&prepared->shape.text); /* the plan has been found; only the holes are needed from here on */
    prepared->serial = session->serials == NULL ? ++session->last_serial : ++*session->serials;
    if (old != NULL)
        forget(session, old);
    HASH_ADD_KEYPTR(hh, session->prepared, prepared->name, name.bytes, prepared);
    return prepared;
}

static uint64_t hash_value(const struct session *session, const char *name, uint64_t hash)
{
    const char *value = "";
    enum session_value found = session_value(session, name, &value);

    hash = (hash ^ (uint64_t)found) * 1099511628211u; /* FNV-1a */
    if (found == SESSION_UNKNOWN)
        return (hash ^ (uintptr_t)session) * 1099511628211u; /* like nobody else's */
    for (; *value != '\0'; value++)
        hash = (hash ^ (unsigned char)*value) * 1099511628211u;
    return hash;
}

const char *session_share(const struct session *session, struct prepared *prepared)
{
    uint64_t context = 14695981039346656037u;

    if (prepared->name[0] == '\0' || prepared->sql)
        return prepared->name;
    context = hash_value(session, "search_path", context);
    context = hash_value(session, "role", context);
    context = hash_value(session, "session_authorization", context);
    if (prepared->shared[0] != '\0' && prepared->shared_context == context)
        return prepared->shared;
    prepared->shared_context = context;
    if (share_name(prepared->text, prepared->types, prepared->type_count, context, prepared->shared))
        return prepared->shared;
    prepared->shared[0] = '\0';
    return prepared->name;
}

void session_forget(struct session *session, struct slice name)
{
    struct prepared *prepared = session_find(session, name);

    if (prepared != NULL)
        forget(session, prepared);
}

void session_forget_serial(struct session *session, uint64_t serial)
{
    struct prepared *prepared, *next;

    HASH_ITER(hh, session->prepared, prepared, next)
        if (prepared->serial == serial) {
            forget(session, prepared);
            return;
        }
}

bool session_prepare_failed(struct session *session, uint64_t serial)
{
    struct prepared *prepared, *next;

    HASH_ITER(hh, session->prepared, prepared, next)
        if (prepared->serial == serial) {
            bool older = prepared->doubt;

            prepared->doubt = false;
            if (!older)
                forget(session, prepared);
            return !older;
        }
    return false;
}

void session_forget_all(struct session *session)
{
    struct prepared *prepared, *next;

    HASH_ITER(hh, session->prepared, prepared, next)
        forget(session, prepared);
}

/* ---- settings ---- */

static void setting_free(struct session *session, struct setting *setting)
{
    session->setting_bytes -= strlen(setting->statement) + 1;
    free(setting->name);
    free(setting->statement);
    free(setting->value);
    free(setting);
}

/* Takes what it is given only if it says true. */
static bool note(struct session *session, bool local, bool reset, struct slice name, struct slice statement,
                 struct slice value)
{
    struct setting *setting;

    if (session->setting_bytes + statement.bytes > JOURNAL_BYTES_MAX) {
        session->overflow = session->forgot = true;
        return true;
    }
    setting = calloc(1, sizeof *setting);
    if (setting == NULL)
        return false;
    setting->step.local = local;
    setting->reset = reset;
    setting->name = name.at == NULL ? NULL : copy_slice(name);
    setting->statement = copy_slice(statement);
    setting->value = value.at == NULL ? NULL : copy_slice(value);
    if (setting->statement == NULL || (name.at != NULL && setting->name == NULL) ||
        (value.at != NULL && setting->value == NULL)) {
        free(setting->name);
        free(setting->statement);
        free(setting->value);
        free(setting);
        return false;
    }
    session->setting_bytes += strlen(setting->statement) + 1;
    journal_add(&session->journal, &setting->step, JOURNAL_SETTING);
    return true;
}

bool session_set(struct session *session, struct slice name, struct slice statement, struct slice value,
                 bool local)
{
    bool noted = note(session, local, false, name, statement, value);

    session->forgot = session->forgot || !noted;
    return noted;
}

bool session_reset(struct session *session, struct slice name, struct slice statement)
{
    bool noted = note(session, false, true, name, statement, (struct slice){ 0 });

    session->forgot = session->forgot || !noted;
    return noted;
}

static bool same_name(const struct setting *a, const struct setting *b)
{
    return a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0;
}

/* RESET ALL leaves these as they are (GUC_NO_RESET_ALL). */
static bool survives_reset(const struct setting *setting)
{
    return setting->name != NULL &&
           (strcmp(setting->name, "role") == 0 || strcmp(setting->name, "session_authorization") == 0);
}

/* Into the base: RESET ALL sweeps it, a SET replaces its name's, and one that may be of any name replaces
 * nothing. SET ROLE and the like keep their order. A RESET leaves nothing to say, unless something that may
 * be of its name stands before it. */
static void settle(struct session *session, struct setting *news)
{
    struct setting *setting, *next;
    bool hidden = false;

    DL_FOREACH_SAFE(session->base, setting, next) {
        if ((news->name == NULL && news->reset && !survives_reset(setting)) || same_name(setting, news)) {
            DL_DELETE(session->base, setting);
            setting_free(session, setting);
        } else {
            hidden = hidden || setting->name == NULL;
        }
    }
    session->version++;
    if (news->reset && !hidden)
        setting_free(session, news);
    else
        DL_APPEND(session->base, news);
}

bool session_wear(struct session *session, struct wear **wear)
{
    if (session->wear_version != session->version) {
        struct wear *fresh;

        if (!wear_new(session->base, &fresh))
            return false;
        wear_give(session->wear);
        session->wear = fresh;
        session->wear_version = session->version;
    }
    *wear = session->wear;
    return true;
}

/* ---- the journal's hooks ---- */

static void on_settle(void *who, struct journal_step *change)
{
    struct session *session = who;

    switch (change->owner) {
    case JOURNAL_SETTING:
        if (change->local)
            setting_free(session, (struct setting *)change);
        else
            settle(session, (struct setting *)change);
        break;
    case JOURNAL_CHANNEL:
        channels_settle(&session->channels, change);
        break;
    case JOURNAL_BELONGING:
        belongings_settle(&session->belongings, change);
        break;
    }
}

static void on_drop(void *who, struct journal_step *change)
{
    struct session *session = who;

    switch (change->owner) {
    case JOURNAL_SETTING:
        setting_free(session, (struct setting *)change);
        break;
    case JOURNAL_CHANNEL:
        channels_drop(&session->channels, change);
        break;
    case JOURNAL_BELONGING:
        belongings_drop(&session->belongings, change);
        break;
    }
}

static bool on_heard(void *who, struct journal_step *change)
{
    struct session *session = who;

    return change->owner == JOURNAL_BELONGING && belongings_heard(&session->belongings, change);
}

static const struct journal_hooks hooks = { on_settle, on_drop, on_heard };

void session_init(struct session *session)
{
    memset(session, 0, sizeof *session);
    journal_init(&session->journal, &hooks, session);
    channels_init(&session->channels, &session->journal);
    belongings_init(&session->belongings, &session->journal);
}

void session_done(struct session *session)
{
    session_forget_all(session);
    journal_done(&session->journal);
    while (session->base != NULL) {
        struct setting *setting = session->base;

        DL_DELETE(session->base, setting);
        setting_free(session, setting);
    }
    belongings_done(&session->belongings);
    channels_done(&session->channels);
    report_done(&session->reported);
    wear_give(session->wear);
    session_init(session);
}

void session_say(struct session *session, enum journal_kind kind, const char *name)
{
    if (!journal_say(&session->journal, kind, name))
        session->forgot = session->overflow = true;
}

/* Whoever asks for one of these may have another value. */
static void distrust(struct session *session)
{
    struct journal_step *step = NULL;

    while ((step = journal_next(&session->journal, step, JOURNAL_SETTING, true)) != NULL)
        if (!step->local)
            session->forgot = session->overflow = true;
}

void session_lost(struct session *session, bool unsure)
{
    if (unsure)
        distrust(session);
    journal_drop(&session->journal);
}

static bool may_be(const struct setting *setting, const char *name)
{
    return setting->name == NULL || strcasecmp(setting->name, name) == 0;
}

/* The last word about `name`, of those in force; NULL: none. */
static const struct setting *last_word(const struct session *session, const char *name)
{
    const struct setting *setting, *found = NULL;
    const struct journal_step *step = NULL;

    DL_FOREACH(session->base, setting)
        if (may_be(setting, name))
            found = setting;
    while ((step = journal_next(&session->journal, step, JOURNAL_SETTING, false)) != NULL)
        if (may_be((const struct setting *)step, name))
            found = (const struct setting *)step;
    return found;
}

enum session_value session_value(const struct session *session, const char *name, const char **value)
{
    const struct setting *setting;

    if (session->forgot)
        return SESSION_UNKNOWN;
    setting = last_word(session, name);
    if (setting == NULL || setting->reset)
        return SESSION_ABSENT;
    if (setting->name == NULL || setting->value == NULL)
        return SESSION_UNKNOWN;
    *value = setting->value;
    return SESSION_FOUND;
}

bool session_is_changing(const struct session *session, const char *name)
{
    const struct journal_step *step = NULL;

    while ((step = journal_next(&session->journal, step, JOURNAL_SETTING, false)) != NULL)
        if (name == NULL || may_be((const struct setting *)step, name))
            return true;
    return false;
}

/* ---- reported parameters ---- */

bool session_report(struct session *session, struct slice name, struct slice value)
{
    return report_note(&session->reported, name, value);
}

const char *session_reported(const struct session *session, const char *name)
{
    return report_get(&session->reported, name);
}
