"""Turns SQL files into C strings: embed.py out.c out.h file.sql ...  Run by the build."""
import os
import sys

out_c, out_h, *paths = sys.argv[1:]
with open(out_c, "w") as c, open(out_h, "w") as h:
    h.write("/* Made from sql/ by embed.py. */\n#ifndef PGSHUNT_SQL_EMBEDDED_H\n#define PGSHUNT_SQL_EMBEDDED_H\n\n")
    c.write('/* Made from sql/ by embed.py. */\n#include "sql_embedded.h"\n')
    for path in sorted(paths):
        name = "sql_" + os.path.splitext(os.path.basename(path))[0]
        h.write(f"extern const char {name}[];\n")
        c.write(f"\nconst char {name}[] =\n")
        for line in open(path, encoding="utf-8"):
            text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?")
            c.write(f'    "{text}\\n"\n')
        c.write('    "";\n')
    h.write("\n#endif\n")
