/* survey.c - see survey.h. Start at: survey_look(). */
#include "migrate/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "migrate/catalogue_read.h"

enum { RETRY_MS_MIN = 250, RETRY_MS_MAX = 10000 };

struct sight {
    struct pg *pg;
    struct schema *schema; /* as last published; NULL: not known */
    int server_major;
    bool looked;
    uint64_t next_ms, retry_ms;
    char system_identifier[32], database_oid[16], server_version[64];
    struct error err;
};

struct survey {
    struct survey_setup setup;
    uint64_t generation; /* of the schemas */
    struct sight sights[STORES_MAX];
};

struct survey *survey_new(const struct survey_setup *setup)
{
    struct survey *survey = calloc(1, sizeof *survey);

    if (survey == NULL)
        return NULL;
    survey->setup = *setup;
    survey->generation = clock_us(); /* never one of an earlier survey's: loops keep plans by it */
    return survey;
}

void survey_free(struct survey *survey)
{
    if (survey == NULL)
        return;
    for (size_t i = 0; i < survey->setup.stores->count; i++) {
        pg_close(survey->sights[i].pg);
        schema_give(survey->sights[i].schema);
    }
    free(survey);
}

/* --- one look --- */

static bool read_identity(struct sight *sight, struct error *err)
{
    PGresult *result =
        pg_query(sight->pg,
                 "SELECT system_identifier, (SELECT oid FROM pg_catalog.pg_database WHERE datname ="
                 " pg_catalog.current_database()), pg_catalog.current_setting('server_version')"
                 " FROM pg_catalog.pg_control_system()",
                 0, NULL, err);

    if (result == NULL)
        return false;
    snprintf(sight->system_identifier, sizeof sight->system_identifier, "%s", PQgetvalue(result, 0, 0));
    snprintf(sight->database_oid, sizeof sight->database_oid, "%s", PQgetvalue(result, 0, 1));
    snprintf(sight->server_version, sizeof sight->server_version, "%s", PQgetvalue(result, 0, 2));
    PQclear(result);
    return true;
}

static bool connect(struct survey *survey, const struct store *store, struct sight *sight, struct error *err)
{
    char what[STORE_NAME_BYTES_MAX + 16];

    if (sight->pg != NULL && !pg_is_broken(sight->pg))
        return true;
    pg_close(sight->pg);
    sight->pg = NULL;
    snprintf(what, sizeof what, "store \"%s\"", store->name);
    if (!pg_open(store->conninfo, what, "pgshunt catalogue", &survey->setup.wake, survey->setup.look_ms_max,
                 &sight->pg, err))
        return false;
    pg_set_deadline(sight->pg, clock_ms() + survey->setup.look_ms_max);
    return read_identity(sight, err);
}

/* Published only if it says something new. */
static bool read_schema(struct survey *survey, const struct store *store, struct sight *sight,
                        struct error *err)
{
    const struct config *config = config_take(survey->setup.config); /* RELOAD comes in the middle, too */
    struct schema *schema = NULL;
    int major = 0;
    bool fine;

    pg_set_deadline(sight->pg, clock_ms() + survey->setup.look_ms_max);
    fine = catalogue_read(sight->pg, config, survey->generation + 1, &schema, &major, err);
    config_give(config);
    if (!fine)
        return false;
    if (sight->schema != NULL && sight->server_major == major && catalogue_same(sight->schema, schema)) {
        schema_give(schema);
        return true;
    }
    survey->generation++;
    if (schema->problem != NULL && (sight->schema == NULL || sight->schema->problem == NULL ||
                                    strcmp(sight->schema->problem, schema->problem) != 0))
        log_line(survey->setup.log, LOG_WARN, "control",
                 "store \"%s\": %s; what uses it is of unknown tenant", store->name, schema->problem);
    schema_give(sight->schema);
    sight->schema = schema_take(schema);
    sight->server_major = major;
    return publisher_schema(survey->setup.publisher, store->index, schema, major, err);
}

/* What was known of a store that is down stays published: its columns are most likely still the same, and a
 * statement for it fails by itself. */
static void failed(struct survey *survey, const struct store *store, struct sight *sight,
                   const struct error *err)
{
    if (!error_is_set(&sight->err) || strcmp(sight->err.message, err->message) != 0)
        log_error(survey->setup.log, LOG_WARN, "control", err, "looking at store \"%s\"", store->name);
    sight->err = *err;
    sight->retry_ms = sight->retry_ms == 0 ? RETRY_MS_MIN : sight->retry_ms * 2;
    if (sight->retry_ms > RETRY_MS_MAX)
        sight->retry_ms = RETRY_MS_MAX;
    sight->next_ms = clock_ms() + sight->retry_ms;
    pg_close(sight->pg);
    sight->pg = NULL;
}

static void look(struct survey *survey, const struct store *store, struct sight *sight)
{
    struct error err;

    error_clear(&err);
    sight->looked = true;
    if (!connect(survey, store, sight, &err) || !read_schema(survey, store, sight, &err)) {
        failed(survey, store, sight, &err);
        return;
    }
    if (error_is_set(&sight->err))
        log_line(survey->setup.log, LOG_INFO, "control", "store \"%s\" is back", store->name);
    error_clear(&sight->err);
    sight->retry_ms = 0;
    sight->next_ms = clock_ms() + (uint64_t)config_number(survey->setup.config, CONFIG_CATALOGUE_POLL_MS);
}

/* --- in turn --- */

static size_t most_overdue(const struct survey *survey)
{
    size_t found = 0;

    for (size_t i = 1; i < survey->setup.stores->count; i++) {
        if (survey->sights[i].next_ms < survey->sights[found].next_ms)
            found = i;
    }
    return found;
}

void survey_follow(struct survey *survey, const struct config *config)
{
    survey->setup.config = config;
    survey_hurry(survey); /* the next look goes by its catalogue_poll_ms */
}

uint64_t survey_next_ms(const struct survey *survey)
{
    return survey->sights[most_overdue(survey)].next_ms;
}

void survey_hurry(struct survey *survey)
{
    uint64_t now_ms = clock_ms();

    for (size_t i = 0; i < survey->setup.stores->count; i++) {
        if (survey->sights[i].pg != NULL && survey->sights[i].next_ms > now_ms)
            survey->sights[i].next_ms = now_ms;
    }
}

void survey_look(struct survey *survey)
{
    size_t index = most_overdue(survey);

    look(survey, &survey->setup.stores->at[index], &survey->sights[index]);
}

bool survey_looked_at_all(const struct survey *survey)
{
    for (size_t i = 0; i < survey->setup.stores->count; i++) {
        if (!survey->sights[i].looked)
            return false;
    }
    return true;
}

const struct schema *survey_schema(const struct survey *survey, unsigned store_index)
{
    return survey->sights[store_index].schema;
}

void survey_view(const struct survey *survey, unsigned store_index, struct survey_view *view)
{
    const struct sight *sight = &survey->sights[store_index];

    view->reachable = sight->pg != NULL && !pg_is_broken(sight->pg);
    view->system_identifier = sight->system_identifier;
    view->database_oid = sight->database_oid;
    view->server_version = sight->server_version;
    view->error = sight->err.message;
}
