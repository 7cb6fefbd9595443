/* hba.c - see hba.h. What PostgreSQL's file may say and a proxy cannot decide (groups, host names, samehost,
 * GSSAPI, ldap, …) is an error when the file is read, never a line that silently does not match. Start at:
 * read_rule(), then hba_match(). */
#include "proxy/hba.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/hba_text.h"

enum where { WHERE_LOCAL, WHERE_HOST, WHERE_HOSTSSL, WHERE_HOSTNOSSL };

struct rule {
    enum where where;
    struct hba_field databases, users;
    int family; /* AF_UNSPEC: all addresses */
    unsigned char address[16], mask[16];
    enum auth_type method;
    char *map;
    unsigned line;
};

struct hba {
    struct rule *rules;
    size_t count;
};

static void rule_done(struct rule *rule)
{
    hba_field_done(&rule->databases);
    hba_field_done(&rule->users);
    free(rule->map);
}

void hba_free(struct hba *hba)
{
    if (hba == NULL)
        return;
    for (size_t i = 0; i < hba->count; i++)
        rule_done(&hba->rules[i]);
    free(hba->rules);
    free(hba);
}

/* ---- reading a line ---- */

static bool read_where(const struct hba_text *line, struct rule *rule, struct error *err)
{
    static const struct {
        const char *name;
        enum where where;
    } names[] = { { "local", WHERE_LOCAL },
                  { "host", WHERE_HOST },
                  { "hostssl", WHERE_HOSTSSL },
                  { "hostnossl", WHERE_HOSTNOSSL },
                  { "hostnogssenc", WHERE_HOST } }; /* GSSAPI encryption is never used here */
    const struct hba_field *field = &line->fields[0];

    if (field->count == 1)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strcmp(field->tokens[0].text, names[i].name) == 0) {
                rule->where = names[i].where;
                return true;
            }
    hba_text_fail(line, err, "invalid connection type \"%s\"",
                  field->count == 0 ? "" : field->tokens[0].text);
    return error_hint(err, "local, host, hostssl, hostnossl and hostnogssenc are understood.");
}

/* Names that only the server can decide on. */
static bool read_names(const struct hba_text *line, const struct hba_field *from, bool databases,
                       struct hba_field *to, struct error *err)
{
    if (from->count == 0)
        return hba_text_fail(line, err, "an empty list of %s", databases ? "databases" : "users");
    for (size_t i = 0; i < from->count; i++) {
        const struct hba_token *token = &from->tokens[i];
        bool group = databases ? hba_token_is(token, "samerole") || hba_token_is(token, "samegroup")
                               : !token->quoted && token->text[0] == '+';

        if (group) {
            hba_text_fail(line, err, "\"%s\": memberships are known to the server only", token->text);
            return error_hint(err, "Name the users instead; a list may stand in a file: @names.txt.");
        }
        if (!token->quoted && token->text[0] == '/')
            return hba_text_fail(line, err, "\"%s\": regular expressions are not understood", token->text);
    }
    return hba_field_copy(from, to) || error_no_memory(err);
}

static void mask_of_bits(int bits, unsigned char mask[16])
{
    memset(mask, 0, 16);
    for (int i = 0; i < bits; i++)
        mask[i / 8] |= (unsigned char)(0x80 >> i % 8);
}

static bool parse_address(const char *text, int *family, unsigned char address[16])
{
    *family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    return inet_pton(*family, text, address) == 1;
}

static bool parse_bits(const char *text, int family, int *bits)
{
    char *end;
    long value = strtol(text, &end, 10);

    *bits = (int)value;
    return *text >= '0' && *text <= '9' && *end == '\0' && value >= 0 &&
           value <= (family == AF_INET ? 32 : 128);
}

static bool bad_address(const struct hba_text *line, const char *text, struct error *err)
{
    hba_text_fail(line, err, "invalid address \"%s\"", text);
    return error_hint(err,
                      "all, 10.0.0.0/8, 2001:db8::/32, or an address and a mask; host names, samehost and "
                      "samenet are not understood.");
}

/* "all", "address/bits", or "address" and "mask" in two fields; *at is the field that follows. */
static bool read_address(const struct hba_text *line, struct rule *rule, size_t *at, struct error *err)
{
    const struct hba_field *field = &line->fields[*at];
    const struct hba_token *token = field->tokens;
    char text[INET6_ADDRSTRLEN + 8];
    char *slash;
    int bits, mask_family;

    (*at)++;
    if (field->count != 1)
        return hba_text_fail(line, err, "expected one address");
    if (hba_token_is(token, "all")) {
        rule->family = AF_UNSPEC;
        return true;
    }
    if (strlen(token->text) >= sizeof text)
        return bad_address(line, token->text, err);
    strcpy(text, token->text);
    slash = strchr(text, '/');
    if (slash != NULL)
        *slash = '\0';
    if (!parse_address(text, &rule->family, rule->address))
        return bad_address(line, token->text, err);
    if (slash != NULL) {
        if (!parse_bits(slash + 1, rule->family, &bits))
            return bad_address(line, token->text, err);
        mask_of_bits(bits, rule->mask);
        return true;
    }
    if (*at >= line->field_count || line->fields[*at].count != 1 ||
        !parse_address(line->fields[*at].tokens[0].text, &mask_family, rule->mask) ||
        mask_family != rule->family) {
        hba_text_fail(line, err, "the address \"%s\" has no mask", token->text);
        return error_hint(err, "%s/%d is that address alone.", token->text,
                          rule->family == AF_INET ? 32 : 128);
    }
    (*at)++;
    return true;
}

static bool read_method(const struct hba_text *line, const struct hba_field *field, struct rule *rule,
                        struct error *err)
{
    static const struct {
        const char *name;
        enum auth_type method;
    } names[] = { { "trust", AUTH_TRUST },       { "reject", AUTH_REJECT },       { "md5", AUTH_MD5 },
                  { "password", AUTH_PASSWORD }, { "scram-sha-256", AUTH_SCRAM }, { "peer", AUTH_PEER },
                  { "cert", AUTH_CERT } };
    const char *name = field->count == 1 ? field->tokens[0].text : "";

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i].name) == 0) {
            rule->method = names[i].method;
            if (rule->method == AUTH_PEER && rule->where != WHERE_LOCAL)
                return hba_text_fail(line, err, "peer authentication is only supported on local sockets");
            if (rule->method == AUTH_CERT && rule->where != WHERE_HOSTSSL)
                return hba_text_fail(line, err,
                                     "cert authentication is only supported on hostssl connections");
            return true;
        }
    hba_text_fail(line, err, "invalid authentication method \"%s\"", name);
    return error_hint(err, "trust, reject, scram-sha-256, md5, password, peer and cert are understood.");
}

static bool read_option(const struct hba_text *line, const struct hba_field *field, struct rule *rule,
                        struct error *err)
{
    const char *text = field->count == 1 ? field->tokens[0].text : "";

    if (strncmp(text, "map=", 4) != 0 || text[4] == '\0') {
        hba_text_fail(line, err, "invalid option \"%s\"", text);
        return error_hint(err, "map=NAME is understood, with peer and cert.");
    }
    if (rule->method != AUTH_PEER && rule->method != AUTH_CERT)
        return hba_text_fail(line, err, "map= needs the method peer or cert");
    free(rule->map);
    rule->map = strdup(text + 4);
    return rule->map != NULL || error_no_memory(err);
}

static bool read_rule(const struct hba_text *line, struct rule *rule, struct error *err)
{
    size_t at = 3;

    rule->line = line->number;
    if (!read_where(line, rule, err))
        return false;
    if (line->field_count < (rule->where == WHERE_LOCAL ? 4 : 5))
        return hba_text_fail(line, err, "the line ends too early: expected %s",
                             rule->where == WHERE_LOCAL ? "type, database, user, method"
                                                        : "type, database, user, address, method");
    if (!read_names(line, &line->fields[1], true, &rule->databases, err) ||
        !read_names(line, &line->fields[2], false, &rule->users, err) ||
        (rule->where != WHERE_LOCAL && !read_address(line, rule, &at, err)))
        return false;
    if (at >= line->field_count)
        return hba_text_fail(line, err, "the line ends before the authentication method");
    if (!read_method(line, &line->fields[at], rule, err))
        return false;
    while (++at < line->field_count)
        if (!read_option(line, &line->fields[at], rule, err))
            return false;
    return true;
}

static bool on_line(void *who, const struct hba_text *line, struct error *err)
{
    struct hba *hba = who;
    struct rule *rules = realloc(hba->rules, (hba->count + 1) * sizeof *rules);

    if (rules == NULL)
        return error_no_memory(err);
    hba->rules = rules;
    memset(&rules[hba->count], 0, sizeof *rules);
    return read_rule(line, &rules[hba->count++], err);
}

bool hba_read(const char *path, struct hba **hba, struct error *err)
{
    *hba = calloc(1, sizeof **hba);
    if (*hba == NULL)
        return error_no_memory(err);
    if (hba_text_read(path, "hba_file", on_line, *hba, err))
        return true;
    hba_free(*hba);
    *hba = NULL;
    return false;
}

/* ---- matching ---- */

/* `all` does not mean replication, and replication has no database. */
static bool database_matches(const struct hba_field *databases, const struct hba_ask *ask)
{
    for (size_t i = 0; i < databases->count; i++) {
        const struct hba_token *token = &databases->tokens[i];

        if (ask->replication) {
            if (hba_token_is(token, "replication"))
                return true;
        } else if (hba_token_is(token, "all") ||
                   (hba_token_is(token, "sameuser") && strcmp(ask->user, ask->database) == 0) ||
                   (!hba_token_is(token, "sameuser") && !hba_token_is(token, "replication") &&
                    strcmp(token->text, ask->database) == 0)) {
            return true;
        }
    }
    return false;
}

static bool user_matches(const struct hba_field *users, const char *user)
{
    for (size_t i = 0; i < users->count; i++)
        if (hba_token_is(&users->tokens[i], "all") || strcmp(users->tokens[i].text, user) == 0)
            return true;
    return false;
}

static bool address_matches(const struct rule *rule, const struct sockaddr *address)
{
    const unsigned char *bytes;

    if (rule->family == AF_UNSPEC)
        return true;
    if (rule->family != address->sa_family)
        return false;
    bytes = rule->family == AF_INET
                ? (const unsigned char *)&((const struct sockaddr_in *)address)->sin_addr
                : (const unsigned char *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    for (int i = 0; i < (rule->family == AF_INET ? 4 : 16); i++)
        if ((bytes[i] & rule->mask[i]) != (rule->address[i] & rule->mask[i]))
            return false;
    return true;
}

static bool where_matches(const struct rule *rule, const struct hba_ask *ask)
{
    const bool local = ask->address->sa_family == AF_UNIX;

    switch (rule->where) {
    case WHERE_LOCAL:
        return local;
    case WHERE_HOST:
        return !local;
    case WHERE_HOSTSSL:
        return !local && ask->encrypted;
    case WHERE_HOSTNOSSL:
        return !local && !ask->encrypted;
    }
    return false;
}

bool hba_match(const struct hba *hba, const struct hba_ask *ask, struct hba_verdict *verdict)
{
    for (size_t i = 0; i < hba->count; i++) {
        const struct rule *rule = &hba->rules[i];

        if (!where_matches(rule, ask) ||
            (rule->where != WHERE_LOCAL && !address_matches(rule, ask->address)) ||
            !database_matches(&rule->databases, ask) || !user_matches(&rule->users, ask->user))
            continue;
        *verdict = (struct hba_verdict){ rule->method, rule->map, rule->line };
        return true;
    }
    return false;
}
