#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""mofc_test.py MOFC SCHEMA: what the MOF compiler makes of good MOF, and what it says about bad MOF (file, line, reason)."""
import os
import subprocess
import sys
import tempfile
import unittest

MOFC, SCHEMA = sys.argv[1:3]
HEAD = '#pragma namespace ("root/x")\n'

REFUSED = [  # (text behind the head, line, words of the reason)
    ("class A { uint16 B }", 2, "';' was expected"),
    ("class A {\n  uint16 B;\n", 4, "found 'end of file'"),
    ("class A {};\nclass a {};", 3, "declared twice"),
    ("class A : B {};", 2, "superclass 'B' is not declared"),
    ("class A : A {};", 2, "superclass 'A' is not declared"),
    ("class A {\n uint16 B;\n\n string b;\n};", 5, "declared twice"),
    ("class A { uint17 B; };", 2, "a type or 'Class REF'"),
    ("class A { Nope REF B; };", 2, "class 'Nope' is not declared"),
    ("class A { uint16 B = 65536; };", 2, "no uint16"),
    ("class A { sint8 B = -129; };", 2, "no sint8"),
    ('class A { uint16 B = "2"; };', 2, "no uint16"),
    ("class A { string B = 5; };", 2, "no string"),
    ("class A { string B = x; };", 2, "a value was expected"),
    ('class A { boolean B = "yes"; };', 2, "no boolean"),
    ('class A { datetime B = "noon"; };', 2, "no datetime"),
    ("class A { uint16 B = {1}; };", 2, "one value"),
    ("class A { uint16 B[] = 1; };", 2, "a list in braces"),
    ("class A { uint16 B[] = {1, 70000}; };", 2, "no uint16"),
    ("class A { uint16 B[] = {1, null}; };", 2, "cannot be compiled"),
    ("class A { string F(); };", 2, "must return uint32"),
    ("class A {\n uint32 F();\n uint32 f();\n};", 4, "method 'f' is declared twice"),
    ("class A { uint32 F(\n [in] string P,\n [out] string p);\n};", 4, "parameter 'p' is declared twice"),
    ("class A { uint32 F([in] Nope REF P); };", 2, "class 'Nope' is not declared"),
    ('class A { uint32 F([in, EmbeddedInstance("Nope")] string P); };', 2, "class 'Nope' is not declared"),
    ("class A { uint16 B; };\nclass C : A {\n string B;\n};", 4, "another type"),
    ("[key class A {};", 2, "',' was expected"),
    ('class A { [Description("no end)] string B; };', 2, "unexpected '\"'"),
    ("class A { /* no end\n string B; };", 2, "unexpected '/'"),
    ('class A { [ValueMap{"1"}, Values{"a", "b"}] uint16 B; };', 2, "not of the same length"),
    ('class A { [Values{"a\\nb"}] uint16 B; };', 2, "cannot be compiled"),
    ("instance of A {};", 2, "'class' was expected"),
    ("#pragma include (\"x\")", 2, "'namespace' was expected"),
    ("class A { string B; }; $", 2, "unexpected '$'"),
    ("class A {" + "".join(f" string P{n};" for n in range(257)) + "};", 2, "more than 256"),
]


def compile_mof(*texts):
    """(exit status, messages, C text or None)"""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for n, text in enumerate(texts):
            names.append(os.path.join(folder, f"{n}.mof"))
            with open(names[-1], "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        out = os.path.join(folder, "out.c")
        done = subprocess.run([sys.executable, MOFC, out, *names], capture_output=True, text=True, check=False)
        text = None
        if os.path.exists(out):
            with open(out, encoding="utf-8") as f:
                text = f.read()
        return done.returncode, done.stderr.replace(folder + "/", ""), text


class Mofc(unittest.TestCase):
    def test_refused(self):
        for text, line, reason in REFUSED:
            with self.subTest(text=text[:60]):
                status, said, out = compile_mof(HEAD + text)
                self.assertEqual(status, 1)
                self.assertTrue(said.startswith(f"0.mof:{line}: "), said)
                self.assertIn(reason, said)
                self.assertIsNone(out)

    def test_refused_whole(self):
        for text, reason in (("class A {};", "#pragma namespace must come first"), (HEAD, "no class is declared"),
                             (b"\xff\xfe", "cannot be read")):
            status, said, out = compile_mof(text)
            self.assertEqual((status, out), (1, None))
            self.assertTrue(said.startswith("0.mof:"), said)
            self.assertIn(reason, said)

    def test_tables(self):
        status, said, out = compile_mof(
            HEAD + '// comment\n[abstract] class Base { [key, Description("a " "b; \\"c\\"")] string Id; [ValueMap {"2", "11"}, Values'
            '{"OK", "In \\"use\\""}] uint16 N[] = {2, 11}; };\n',
            '#pragma namespace ("ROOT/Y")\n/* a\n b */ [Association] class Link : Base { [key] Base REF To; string Id = "x\\\\y";\n'
            '[write] boolean W = true; uint32 F([in, Required, EmbeddedInstance("Base")] string P,\n'
            '[in, out, Values {"no", "yes"}] uint8 Q[], [out] Base REF R); };')
        self.assertEqual((status, said), (0, ""))
        for line in ('{"Base", NULL, "root/x", false, true, p0, 2, NULL, 0}', '{"Link", "Base", "root/y", true, false, p1, 4, m1, 1}',
                     '{"Id", CIM_STRING, false, true, false, NULL, NULL, NULL}',
                     '{"N", CIM_UINT16, true, false, false, "2\\01211", NULL, "2=OK\\01211=In \\042use\\042"}',
                     '{"To", CIM_REFERENCE, false, true, false, NULL, "Base", NULL}',
                     '{"W", CIM_BOOLEAN, false, false, true, "true", NULL, NULL}',
                     '{"P", CIM_STRING, false, true, false, true, NULL, "Base", NULL}',
                     '{"Q", CIM_UINT8, true, true, true, false, NULL, NULL, "0=no\\0121=yes"}',
                     '{"R", CIM_REFERENCE, false, false, true, false, "Base", NULL, NULL}',
                     '{"Id", CIM_STRING, false, false, false, "x\\134y", NULL, NULL}'):
            self.assertIn(line, out)
        self.assertLess(out.index('{"N", CIM_UINT16', out.index("p1[]")), out.index('{"To", CIM_REFERENCE'))  # sorted by name

    def test_schema(self):
        """The schema itself, file by file in the order of its superclasses, declares each class once."""
        texts = []
        for name in ("cim", "virtualization", "replication", "devices", "win32", "interop", "cluster"):
            with open(os.path.join(SCHEMA, name + ".mof"), encoding="utf-8") as f:
                texts.append(f.read())
        status, said, out = compile_mof(*texts)
        self.assertEqual((status, said), (0, ""))
        self.assertIn('"Msvm_ReplicationService"', out)
        self.assertEqual(sorted(n for n in os.listdir(SCHEMA) if n.endswith(".mof")),
                         ["cim.mof", "cluster.mof", "devices.mof", "interop.mof", "replication.mof", "virtualization.mof", "win32.mof"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
