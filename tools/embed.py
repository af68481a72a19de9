#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""embed.py OUTPUT.c PREFIX FILE...: each text file as a C string PREFIX_NAME_EXTENSION."""
import os
import sys

output, prefix, *files = sys.argv[1:]
with open(output, "w", encoding="ascii") as out:
    for path in files:
        name = prefix + "_" + os.path.basename(path).replace(".", "_")
        out.write(f"extern const char {name}[];\nconst char {name}[] =\n")
        with open(path, encoding="ascii") as text:
            for line in text:
                line = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
                out.write(f'    "{line}\\n"\n')
        out.write("    ;\n")
