/* guide.c - see guide.h.   Start at: guide_print(). */
#include "ctl/guide.h"

#include <string.h>

#include "ctl/verb.h"

static const struct {
    const char *word, *help;
} options[] = {
    { "-f FILE", "the admin socket's place is taken from pgshunt's configuration FILE" },
    { "-h FOLDER", "admin_socket_dir; else PGSHUNT_ADMIN_DIR, else /tmp" },
    { "-p PORT", "admin_port; else PGSHUNT_ADMIN_PORT, else 6433" },
    { "--json", "rows as JSON: one array of objects (also behind the command)" },
    { "-q", "no notices on standard error" },
};

static const char *const exits[] = {
    "0  done",
    "1  pgshunt answered with an error, which stands on standard error",
    "2  the command line is wrong",
    "3  nobody answers at the admin socket, or the connection was lost",
    "4  wait: the state was not reached in time",
    "5  a check found something in the way; watch: a migration failed or was rolled back",
};

static void print_help(FILE *to)
{
    fputs("pgshuntctl " PGSHUNT_VERSION ": pgshunt's console for a shell\n\n"
          "  pgshuntctl [OPTIONS] COMMAND …\n\n",
          to);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        fprintf(to, "  %-12s %s\n", options[i].word, options[i].help);
    fputs("\nCommands; a migration's ID may be shortened as long as it is one only:\n\n", to);
    for (size_t i = 0; verb_at(i) != NULL; i++) {
        struct buf usage;

        buf_init(&usage);
        verb_usage(verb_at(i), &usage);
        fprintf(to, "  %s\n      %s\n", buf_text(&usage), verb_at(i)->help);
        buf_done(&usage);
    }
    fputs("\nExit codes:\n\n", to);
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
        fprintf(to, "  %s\n", exits[i]);
}

/* --- the manual page --- */

/* man-pages(7): "-" is a hyphen, "\-" what is typed. */
static void print_roff(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-' || *text == '\\')
            fputc('\\', to);
        if (strncmp(text, "…", 3) == 0) {
            fputs("...", to);
            text += 2;
        } else {
            fputc(*text, to);
        }
    }
}

static void print_entry(FILE *to, const char *word, const char *help)
{
    fputs(".TP\n.B \"", to);
    print_roff(to, word);
    fputs("\"\n", to);
    print_roff(to, help);
    fputs("\n", to);
}

static void print_manual(FILE *to)
{
    fputs(".TH PGSHUNTCTL 1 \"\" \"pgshunt " PGSHUNT_VERSION
          "\"\n.SH NAME\npgshuntctl \\- pgshunt's console for a shell\n"
          ".SH SYNOPSIS\n.B pgshuntctl\n[OPTIONS] COMMAND ...\n.SH DESCRIPTION\n"
          "Every command of pgshunt's admin console, in a form that shells like, over its Unix socket. "
          "Whoever may use the\n"
          "socket may use this: pgshunt's own user, root, and admin_users.\n.SH OPTIONS\n",
          to);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        print_entry(to, options[i].word, options[i].help);
    fputs(".SH COMMANDS\n", to);
    for (size_t i = 0; verb_at(i) != NULL; i++) {
        struct buf usage;

        buf_init(&usage);
        verb_usage(verb_at(i), &usage);
        print_entry(to, buf_text(&usage), verb_at(i)->help);
        buf_done(&usage);
    }
    fputs(".SH EXIT STATUS\n", to);
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        const char word[] = { exits[i][0], '\0' };

        print_entry(to, word, exits[i] + 3);
    }
    fputs(".SH SEE ALSO\n.BR psql (1)\n", to);
}

/* --- completion --- */

static void print_completion(FILE *to)
{
    fputs("# bash completion of pgshuntctl; made by pgshuntctl --completion\n"
          "_pgshuntctl() {\n"
          "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= i\n"
          "  local verbs='",
          to);
    for (size_t i = 0; verb_at(i) != NULL; i++)
        fprintf(to, "%s%s", i == 0 ? "" : " ", verb_at(i)->name);
    fputs(
        "'\n"
        "  case $before in\n"
        "    -h) COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
        "    -f|--output|--log) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
        "    --to|--from) COMPREPLY=($(compgen -W \"$(pgshuntctl --json -q stores 2>/dev/null |"
        " sed -n 's/.*\"name\": \"\\([^\"]*\\)\".*/\\1/p')\" -- \"$word\")); return ;;\n"
        "    --level) COMPREPLY=($(compgen -W 'count hash full' -- \"$word\")); return ;;\n"
        "    --for) COMPREPLY=($(compgen -W 'bulk_copy dual_write cutover_paused migrated failed rolled_back "
        "paused'"
        " -- \"$word\")); return ;;\n"
        "  esac\n"
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    case \" $verbs \" in *\" ${COMP_WORDS[i]} \"*) verb=${COMP_WORDS[i]}; break ;; esac\n"
        "  done\n"
        "  case $verb in\n"
        "    '') COMPREPLY=($(compgen -W \"$verbs -f -h -p -q --json --help --version\" -- \"$word\")) ;;\n",
        to);
    for (size_t i = 0; verb_at(i) != NULL; i++) {
        fprintf(to, "    %s) COMPREPLY=($(compgen -W \"--json", verb_at(i)->name);
        for (const struct verb_part *part = verb_at(i)->parts; part->kind != PART_END; part++) {
            if (part->flag != NULL)
                fprintf(to, " %s", part->flag);
            else if (part->kind == PART_QUOTED && strcmp(part->name, "ID") == 0)
                fputs(" $(pgshuntctl --json -q list --all 2>/dev/null | sed -n 's/.*\"id\": "
                      "\"\\([^\"]*\\)\".*/\\1/p')",
                      to);
        }
        fputs("\" -- \"$word\")) ;;\n", to);
    }
    fputs("  esac\n"
          "}\n"
          "complete -F _pgshuntctl pgshuntctl\n",
          to);
}

bool guide_print(const char *word, FILE *to)
{
    if (strcmp(word, "--help") == 0)
        print_help(to);
    else if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        fputs("pgshuntctl " PGSHUNT_VERSION "\n", to);
    else if (strcmp(word, "--manual") == 0)
        print_manual(to);
    else if (strcmp(word, "--completion") == 0)
        print_completion(to);
    else
        return false;
    return true;
}
