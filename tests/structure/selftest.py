#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""selftest.py: each structure test is shown a good tree, and then that tree with one thing wrong, which it has to name."""
import importlib.util
import os
import shutil
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
C = "/* SPDX-License-Identifier: LGPL-2.1-or-later */\n"
H = C + "#pragma once\n"
GOOD = {
    "src/LAYERS": "# comment\nbase\nlog base\ndaemon *\nonly zstd.h log\nonly sqlite3.h daemon/db.c\n",
    "src/base/err.h": H,
    "src/base/err.c": C + '#include "base/err.h"\n#include <stdio.h>\nint\nerr_one(void)\n{\n    return 1;\n}\n',
    "src/log/log.h": H + '#include "base/err.h"\n',
    "src/log/log.c": C + '#include "log/log.h"\n#include <zstd.h>\n',
    "src/daemon/db.c": C + '#include "log/log.h"\n#include <sqlite3.h>\n',
    "plugin/plugin.c": C + '#include "log/log.h"\n',
    "tools/run": "#!/bin/sh\n# SPDX-License-Identifier: LGPL-2.1-or-later\n",
    "docs/internals.md": "base/err, `log/log.c`, daemon/db, [plugin](../plugin/plugin.c): plugin/plugin.c\n",
}


def load(name):
    spec = importlib.util.spec_from_file_location(name + "_check", os.path.join(HERE, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Trees(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="vmr-structure.")
        self.addCleanup(shutil.rmtree, self.top)
        for path, text in GOOD.items():
            self.put(path, text)

    def put(self, path, text):
        full = os.path.join(self.top, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)

    def complains(self, name, expected, path=None, text=None):
        if path:
            self.put(path, text)
        said = "\n".join(load(name).check(self.top))
        self.assertIn(expected, said)

    def test_good(self):
        for name in ("layers", "size", "words", "docs"):
            self.assertIn(load(name).check(self.top), ([], None), name)

    def test_layer_upwards(self):
        self.complains("layers", "base may not include log/log.h", "src/base/err.c", C + '#include "log/log.h"\n')

    def test_layer_unknown_folder(self):
        self.complains("layers", "src/extra: this folder is not", "src/extra/a.c", C)

    def test_layer_unknown_in_table(self):
        self.complains("layers", "unknown layer nothing", "src/LAYERS", "base nothing\nlog base\ndaemon *\n")

    def test_layer_library(self):
        self.complains("layers", "<zstd.h> may be named only in log", "src/base/err.c", C + "#include <zstd.h>\n")

    def test_layer_library_of_one_file(self):
        self.complains("layers", "only in daemon/db.c", "src/daemon/other.c", C + "#include <sqlite3.h>\n")

    def test_layer_relative(self):
        self.complains("layers", "full path", "src/log/log.c", C + '#include "log.h"\n')

    def test_layer_source(self):
        self.complains("layers", "includes a .c file", "src/log/log.c", C + '#include "log/log.c"\n')

    def test_layer_plugin(self):
        self.complains("layers", "plugin may not include daemon/x.h", "plugin/plugin.c", C + '#include "daemon/x.h"\n')

    def test_layer_cycle(self):
        self.put("src/log/a.h", H + '#include "log/b.h"\n')
        self.complains("layers", "include cycle: log/a.h -> log/b.h -> log/a.h", "src/log/b.h", H + '#include "log/a.h"\n')

    def test_size_file(self):
        self.complains("size", "801 lines", "src/log/long.c", C + "int x;\n" * 800)

    def test_size_columns(self):
        self.complains("size", "141 columns", "src/log/wide.c", C + "/" * 141 + "\n")

    @unittest.skipUnless(shutil.which("ctags"), "universal-ctags is not installed")
    def test_size_function(self):
        self.complains("size", "f has 104 lines", "src/log/long.c", C + "int\nf(void)\n{\n" + "    g();\n" * 101 + "}\n")

    @unittest.skipUnless(shutil.which("ctags"), "universal-ctags is not installed")
    def test_size_middle(self):
        body = "".join(f"int\nf{n}(void)\n{{\n" + "    g();\n" * 30 + "}\n" for n in range(5))
        self.complains("size", "middle function has 33 lines", "src/log/many.c", C + body)

    def test_words_licence(self):
        self.complains("words", "src/log/x.c: does not begin", "src/log/x.c", "int x;\n")

    def test_words_licence_of_script(self):
        self.complains("words", "tools/x: does not begin", "tools/x", "#!/bin/sh\n")

    def test_words_guard(self):
        self.complains("words", "no '#pragma once'", "src/log/x.h", C)

    def test_words_open_end(self):
        self.complains("words", "docs/x.md:2: an open end", "docs/x.md", "a\nTO" + "DO: later\n")

    def test_words_dead_code(self):
        self.complains("words", "src/log/x.c:2: dead code", "src/log/x.c", C + "#if " + "0\n#endif\n")

    def test_words_jump(self):
        self.complains("words", "a jump", "src/log/x.c", C + "int\nf(void)\n{\n    go" + "to out;\n}\n")

    def test_words_desk(self):
        self.complains("words", "names a place", "README.md", "see .." + "/shared/design.md\n")

    def test_docs_map(self):
        self.complains("docs", "does not name src/log/new.c", "src/log/new.c", C)

    def test_docs_absent(self):
        os.unlink(os.path.join(self.top, "docs/internals.md"))
        self.complains("docs", "docs/internals.md is missing")

    def test_docs_link(self):
        self.complains("docs", "links to nowhere.md", "README.md", "[x](nowhere.md) [y](https://example.org/)\n")

    def lifecycle(self, test, known=False):
        """What is said of a tree with that test, whose page was made before when it is known."""
        module = load("lifecycle")
        module.OPERATIONS, module.DISTURBANCES = {"jump": "a jump"}, ["wind", "rain"]
        module.REASONS = {("jump", "rain"): "nobody jumps then"}
        self.put("tests/unit/repl/test_jump.c", C + test + 'int\nmain(void)\n{\n    g_test_add_func("/a/far", f);\n}\n')
        self.put("docs/lifecycle.md", module.page(module.rows(self.top)) if known else "")
        return "\n".join(module.check(self.top))

    def test_lifecycle(self):
        wind = 'static void\nf(void)\n{\n    COVERS("jump", "wind",\n           "further " "than thought");\n}\n'
        self.assertEqual(self.lifecycle(wind, True), "")
        self.assertIn("| wind | further than thought | unit `repl-jump`: far |", open(os.path.join(self.top, "docs/lifecycle.md")).read())
        self.assertIn("is not what the tests say", self.lifecycle(wind))
        self.assertIn("jump | wind: neither a test nor a reason", self.lifecycle("", False))
        self.assertIn("take the reason away", self.lifecycle(wind.replace("wind", "rain")))
        self.assertIn("no such cell: jump | snow", self.lifecycle(wind.replace("wind", "snow")))
        self.assertIn("COVERS in g, which is no test", self.lifecycle(wind.replace("f(", "g(")))

    def test_help(self):
        program = os.path.join(self.top, "program")
        for verb_text, expected in (("fine", ""), ("w" * 81, "program wide --help: 81 columns"), ("", "says nothing")):
            self.put("program", f'#!/bin/sh\ncase $1 in wide) echo "{verb_text}" ;; *) printf "usage\\n  wide   a verb\\n" ;; esac\n')
            os.chmod(program, 0o755)
            said = "\n".join(load("help").check(program))
            self.assertEqual(said, "") if not expected else self.assertIn(expected, said)
        self.assertIsNone(load("help").check(program + "-absent"))


if __name__ == "__main__":
    unittest.main()
