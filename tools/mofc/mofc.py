#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compiles the MOF files of schema/ (DSP0004, the part that they use) into one C file of constant tables.

usage: mofc.py OUTPUT.c FILE.mof...

Understood: #pragma namespace, classes with a superclass, qualifier lists, properties (with defaults), references, arrays, methods with
parameters.  Errors are FILE:LINE: text, exit status 1.
"""
import re
import sys

TYPES = {"boolean", "uint8", "sint8", "uint16", "sint16", "uint32", "sint32", "uint64", "sint64", "real32", "real64", "char16", "string", "datetime"}
TOKEN = re.compile(r'(?P<space>\s+|//[^\n]*|/\*.*?\*/)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>-?\d+)'
                   r'|(?P<pragma>\#pragma)|(?P<mark>[\[\]{}();:,=])', re.S)


class Wrong(Exception):
    pass


class Source:
    def __init__(self, name):
        self.name = name
        with open(name, encoding="utf-8") as f:
            text = f.read()
        self.tokens, at, line = [], 0, 1
        while at < len(text):
            m = TOKEN.match(text, at)
            if not m:
                raise Wrong(f"{name}:{line}: unexpected '{text[at]}'")
            if m.lastgroup != "space":
                self.tokens.append((m.lastgroup, m.group(), line))
            line += m.group().count("\n")
            at = m.end()
        self.tokens.append(("end", "end of file", line))
        self.at = 0

    def fail(self, text):
        raise Wrong(f"{self.name}:{self.tokens[self.at][2]}: {text}, found '{self.tokens[self.at][1]}'")

    def peek(self, value):
        return self.tokens[self.at][1].lower() == value.lower() and self.tokens[self.at][0] != "string"

    def take(self, value):
        if not self.peek(value):
            return False
        self.at += 1
        return True

    def need(self, value):
        if not self.take(value):
            self.fail(f"'{value}' was expected")

    def kind(self, kind, what):
        token = self.tokens[self.at]
        if token[0] != kind:
            self.fail(f"{what} was expected")
        self.at += 1
        return token[1]

    def name_token(self, what):
        return self.kind("word", what)

    def string(self):
        out = ""
        while self.tokens[self.at][0] == "string":
            out += re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m.group(1), m.group(1)), self.tokens[self.at][1][1:-1])
            self.at += 1
        return out


def literal(s):
    kind, text, _ = s.tokens[s.at]
    if kind == "string":
        return s.string()
    if kind == "number" or text.lower() in ("true", "false", "null"):
        s.at += 1
        return None if text.lower() == "null" else text.lower()
    s.fail("a value was expected")


def values(s):
    if not s.take("{"):
        return literal(s)
    out = []
    while not s.take("}"):
        out.append(literal(s))
        if not s.take(","):
            s.need("}")
            break
    return out


def qualifiers(s):
    out = {}
    if not s.take("["):
        return out
    while True:
        name = s.name_token("a qualifier").lower()
        out[name] = True
        if s.take("("):
            out[name] = literal(s)
            s.need(")")
        elif s.peek("{"):
            out[name] = values(s)
        if s.take("]"):
            return out
        s.need(",")


def typed(s, where):
    """type [REF] name [[]]: (type, ref class or None, name, array)"""
    kind = s.name_token("a type")
    ref = kind if s.take("ref") else None
    if not ref and kind.lower() not in TYPES:
        s.at -= 1
        s.fail(f"{where}: a type or 'Class REF' was expected")
    name = s.name_token("a name")
    array = False
    if s.take("["):
        if s.tokens[s.at][0] == "number":
            s.at += 1
        s.need("]")
        array = True
    return ("reference" if ref else kind.lower()), ref, name, array


def parameter(s, where):
    q = qualifiers(s)
    kind, ref, name, array = typed(s, where)
    out = bool(q.get("out"))
    return {"name": name, "type": kind, "ref": ref, "array": array, "in": bool(q.get("in", not out)), "out": out, "embedded": q.get("embeddedinstance")}


def member(s, cls):
    q = qualifiers(s)
    kind, ref, name, array = typed(s, cls["name"])
    if s.take("("):
        m = {"name": name, "parameters": []}
        while not s.take(")"):
            m["parameters"].append(parameter(s, f"{cls['name']}.{name}"))
            if not s.take(","):
                s.need(")")
                break
        cls["methods"].append(m)
    else:
        p = {"name": name, "type": kind, "ref": ref, "array": array, "key": bool(q.get("key")), "write": bool(q.get("write")), "value": None}
        if s.take("="):
            p["value"] = values(s)
        if any(x["name"].lower() == name.lower() for x in cls["properties"]):
            s.fail(f"property '{name}' of '{cls['name']}' is declared twice")
        cls["properties"].append(p)
    s.need(";")


def read(name, classes):
    s = Source(name)
    namespace = None
    while s.tokens[s.at][0] != "end":
        if s.take("#pragma"):
            s.need("namespace")
            s.need("(")
            namespace = s.string().lower()
            s.need(")")
            continue
        q = qualifiers(s)
        s.need("class")
        cls = {"name": s.name_token("the name of a class"), "super": None, "ns": namespace, "association": bool(q.get("association")),
               "abstract": bool(q.get("abstract")), "properties": [], "methods": []}
        if namespace is None:
            s.fail("#pragma namespace must come first")
        if cls["name"].lower() in classes:
            s.fail(f"class '{cls['name']}' is declared twice")
        if s.take(":"):
            cls["super"] = s.name_token("the superclass")
            if cls["super"].lower() not in classes:
                s.fail(f"class '{cls['name']}': superclass '{cls['super']}' is not declared before it")
        s.need("{")
        while not s.take("}"):
            member(s, cls)
        s.need(";")
        classes[cls["name"].lower()] = cls


def merged(cls, classes, what):
    out = {}
    if cls["super"]:
        out = merged(classes[cls["super"].lower()], classes, what)
    for item in cls[what]:
        out[item["name"].lower()] = item
    return out


def c_string(text):
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def c_bool(v):
    return "true" if v else "false"


def write(out, classes):
    out.write("/* Made by tools/mofc from schema/; do not edit. */\n#include \"cim/schema.h\"\n\n")
    rows = []
    for number, cls in enumerate(classes.values()):
        properties = sorted(merged(cls, classes, "properties").values(), key=lambda p: p["name"].lower())
        methods = list(merged(cls, classes, "methods").values())
        association = cls["association"]
        up = cls
        while up["super"] and not association:
            up = classes[up["super"].lower()]
            association = up["association"]
        if properties:
            out.write(f"static const struct cim_property p{number}[] = {{\n")
            for p in properties:
                value = p["value"] if isinstance(p["value"], str) and not p["array"] else None
                out.write(f"    {{{c_string(p['name'])}, CIM_{p['type'].upper()}, {c_bool(p['array'])}, {c_bool(p['key'])}, {c_bool(p['write'])}, "
                          f"{c_string(value)}, {c_string(p['ref'])}}},\n")
            out.write("};\n")
        for index, m in enumerate(methods):
            if m["parameters"]:
                out.write(f"static const struct cim_parameter m{number}_{index}[] = {{\n")
                for p in m["parameters"]:
                    out.write(f"    {{{c_string(p['name'])}, CIM_{p['type'].upper()}, {c_bool(p['array'])}, {c_bool(p['in'])}, {c_bool(p['out'])}, "
                              f"{c_string(p['ref'])}, {c_string(p['embedded'])}}},\n")
                out.write("};\n")
        if methods:
            out.write(f"static const struct cim_method m{number}[] = {{\n")
            for index, m in enumerate(methods):
                out.write(f"    {{{c_string(m['name'])}, {f'm{number}_{index}' if m['parameters'] else 'NULL'}, {len(m['parameters'])}}},\n")
            out.write("};\n")
        rows.append(f"    {{{c_string(cls['name'])}, {c_string(cls['super'])}, {c_string(cls['ns'])}, {c_bool(association)}, {c_bool(cls['abstract'])}, "
                    f"{f'p{number}' if properties else 'NULL'}, {len(properties)}, {f'm{number}' if methods else 'NULL'}, {len(methods)}}},\n")
    out.write("const struct cim_class cim_classes[] = {\n" + "".join(rows) + "};\n")
    out.write(f"const guint cim_class_count = {len(rows)};\n")


def main(argv):
    if len(argv) < 3:
        sys.exit(__doc__)
    classes = {}
    try:
        for name in argv[2:]:
            read(name, classes)
    except (Wrong, OSError) as why:
        sys.exit(str(why))
    with open(argv[1], "w", encoding="utf-8") as out:
        write(out, classes)


if __name__ == "__main__":
    main(sys.argv)
