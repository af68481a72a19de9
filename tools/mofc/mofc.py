#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compiles the MOF files of schema/ (DSP0004, the part that they use) into one C file of constant tables.

usage: mofc.py OUTPUT.c FILE.mof...

Understood: #pragma namespace, classes with a superclass, qualifier lists, properties (with defaults), references, arrays, methods with
parameters.  What is not understood, or does not fit together (unknown classes, defaults of another type, overrides that change a type),
is refused: FILE:LINE: text, exit status 1, no output.
"""
import re
import sys

PROPERTIES_MAX = 256  # struct cim_instance has a bit for each
INTEGER = re.compile(r"([us])int(8|16|32|64)$")
DATETIME = re.compile(r"\d{14}\.\d{6}[-+:]\d{3}$")
TYPES = {"boolean", "uint8", "sint8", "uint16", "sint16", "uint32", "sint32", "uint64", "sint64", "real32", "real64", "char16", "string",
         "datetime"}
TOKEN = re.compile(r'(?P<space>\s+|//[^\n]*|/\*.*?\*/)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>-?\d+)'
                   r'|(?P<pragma>\#pragma)|(?P<mark>[\[\]{}();:,=])', re.S)


class Wrong(Exception):
    pass


class Text(str):
    """A literal in quotes."""


class Source:
    def __init__(self, name):
        self.name = name
        try:
            with open(name, encoding="utf-8") as f:
                text = f.read()
        except (OSError, UnicodeDecodeError) as why:
            raise Wrong(f"{name}:1: cannot be read: {why}") from why
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

    def where(self):
        return f"{self.name}:{self.tokens[self.at][2]}"

    def fail(self, text):
        raise Wrong(f"{self.where()}: {text}, found '{self.tokens[self.at][1]}'")

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
        return Text(out)


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


def fits(kind, value):
    """Is the literal a value of the type?"""
    integer = INTEGER.match(kind)
    if value is None:
        return True
    if isinstance(value, Text) != (kind in ("string", "char16", "datetime")):
        return False
    if integer:
        bits, signed = int(integer.group(2)), integer.group(1) == "s"
        low, high = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
        return re.fullmatch(r"-?\d+", value) is not None and low <= int(value) <= high
    if kind == "boolean":
        return value in ("true", "false")
    if kind == "datetime":
        return DATETIME.match(value) is not None
    return kind in ("string", "char16") or (kind.startswith("real") and re.fullmatch(r"-?\d+", value) is not None)


def default(s, p):
    """= value behind a property"""
    where = s.where()
    value = values(s)
    if p["array"] != isinstance(value, list) and value is not None:
        raise Wrong(f"{where}: the default of '{p['name']}' must be {'a list in braces' if p['array'] else 'one value'}")
    for one in value if isinstance(value, list) else [value]:
        if not fits(p["type"], one):
            raise Wrong(f"{where}: the default of '{p['name']}' is no {p['type']}")
        if p["array"] and (one is None or "\n" in one):
            raise Wrong(f"{where}: an element of the default of '{p['name']}' cannot be compiled")
    return value


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
    at = s.where()
    kind, ref, name, array = typed(s, where)
    out = bool(q.get("out"))
    return {"name": name, "type": kind, "ref": ref, "array": array, "in": bool(q.get("in", not out)), "out": out, "at": at,
            "required": bool(q.get("required")), "embedded": q.get("embeddedinstance"), "words": q}


def add(items, item, what):
    if any(x["name"].lower() == item["name"].lower() for x in items):
        raise Wrong(f"{item['at']}: {what} '{item['name']}' is declared twice")
    items.append(item)


def member(s, cls):
    q = qualifiers(s)
    at = s.where()
    kind, ref, name, array = typed(s, cls["name"])
    if s.take("("):
        m = {"name": name, "at": at, "type": kind, "parameters": [], "words": q}
        if kind != "uint32" or array:
            raise Wrong(f"{at}: method '{cls['name']}.{name}' must return uint32")
        while not s.take(")"):
            add(m["parameters"], parameter(s, f"{cls['name']}.{name}"), "parameter")
            if not s.take(","):
                s.need(")")
                break
        add(cls["methods"], m, "method")
    else:
        p = {"name": name, "at": at, "type": kind, "ref": ref, "array": array, "key": bool(q.get("key")), "write": bool(q.get("write")),
             "value": None, "words": q}
        if s.take("="):
            p["value"] = default(s, p)
        add(cls["properties"], p, f"in class '{cls['name']}' property")
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
        at = s.where()
        s.need("class")
        cls = {"at": at, "name": s.name_token("the name of a class"), "super": None, "ns": namespace, "abstract": bool(q.get("abstract")),
               "association": bool(q.get("association")), "properties": [], "methods": [], "words": q}
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
    """Own and inherited members by lower-case name; an override keeps type, array and key."""
    out = merged(classes[cls["super"].lower()], classes, what) if cls["super"] else {}
    for item in cls[what]:
        old = out.get(item["name"].lower())
        if old and what == "properties" and (old["type"], old["array"]) != (item["type"], item["array"]):
            raise Wrong(f"{item['at']}: '{item['name']}' overrides a property of another type ({old['at']})")
        out[item["name"].lower()] = item
    return out


def check(classes):
    """What can only be seen when all classes are known."""
    for cls in classes.values():
        properties = merged(cls, classes, "properties").values()
        if len(properties) > PROPERTIES_MAX:
            raise Wrong(f"{cls['at']}: class '{cls['name']}' has more than {PROPERTIES_MAX} properties")
        named = [(p["at"], p["ref"]) for p in properties]
        named += [(p["at"], name) for m in cls["methods"] for p in m["parameters"] for name in (p["ref"], p["embedded"])]
        for at, name in named:
            if name is not None and str(name).lower() not in classes:
                raise Wrong(f"{at}: class '{name}' is not declared")


def c_string(text):
    if text is None:
        return "NULL"
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '\\"?' else f"\\{b:03o}" for b in text.encode())
    return '"' + "".join(plain) + '"'


def c_bool(v):
    return "true" if v else "false"


def c_default(value):
    return c_string("\n".join(value) if isinstance(value, list) else value)


def value_map(item):
    """What the values mean, as "value=meaning" with line breaks between; ValueMap names the values, else they count from 0."""
    meanings = item["words"].get("values")
    if not isinstance(meanings, list):
        return None
    numbers = item["words"].get("valuemap", [str(n) for n in range(len(meanings))])
    if len(numbers) != len(meanings):
        raise Wrong(f"{item['at']}: ValueMap and Values of '{item['name']}' are not of the same length")
    if any("\n" in text for text in [*numbers, *meanings]):
        raise Wrong(f"{item['at']}: a value of '{item['name']}' cannot be compiled")
    return "\n".join(f"{n}={m}" for n, m in zip(numbers, meanings))


def table(name, c_type, rows):
    """(text of the table, how to refer to it, number of rows)"""
    if not rows:
        return "", "NULL", 0
    text = "".join(f"    {{{', '.join(row)}}},\n" for row in rows)
    return f"static const struct {c_type} {name}[] = {{\n{text}}};\n", name, len(rows)


def property_row(p):
    return (c_string(p["name"]), "CIM_" + p["type"].upper(), c_bool(p["array"]), c_bool(p["key"]), c_bool(p["write"]),
            c_default(p["value"]), c_string(p["ref"]), c_string(value_map(p)))


def parameter_row(p):
    return (c_string(p["name"]), "CIM_" + p["type"].upper(), c_bool(p["array"]), c_bool(p["in"]), c_bool(p["out"]),
            c_bool(p["required"]), c_string(p["ref"]), c_string(p["embedded"]), c_string(value_map(p)))


def is_association(cls, classes):
    return cls["association"] or bool(cls["super"] and is_association(classes[cls["super"].lower()], classes))


def generate(classes):
    out, rows = '/* Made by tools/mofc from schema/; do not edit. */\n#include "cim/schema.h"\n\n', []
    for number, cls in enumerate(classes.values()):
        properties = sorted(merged(cls, classes, "properties").values(), key=lambda p: p["name"].lower())
        text, p_name, p_count = table(f"p{number}", "cim_property", [property_row(p) for p in properties])
        out += text
        methods = []
        for index, m in enumerate(merged(cls, classes, "methods").values()):
            text, name, count = table(f"m{number}_{index}", "cim_parameter", [parameter_row(p) for p in m["parameters"]])
            out += text
            methods.append((c_string(m["name"]), name, str(count)))
        text, m_name, m_count = table(f"m{number}", "cim_method", methods)
        out += text
        rows.append((c_string(cls["name"]), c_string(cls["super"]), c_string(cls["ns"]), c_bool(is_association(cls, classes)),
                     c_bool(cls["abstract"]), p_name, str(p_count), m_name, str(m_count)))
    out += "const struct cim_class cim_classes[] = {\n" + "".join(f"    {{{', '.join(row)}}},\n" for row in rows) + "};\n"
    return out + f"const guint cim_class_count = {len(rows)};\n"


def main(argv):
    if len(argv) < 3:
        sys.exit(__doc__)
    classes = {}
    try:
        for name in argv[2:]:
            read(name, classes)
        if not classes:
            raise Wrong(f"{argv[2]}:1: no class is declared")
        check(classes)
        text = generate(classes)
        with open(argv[1], "w", encoding="utf-8") as out:
            out.write(text)
    except (Wrong, OSError) as why:
        sys.exit(str(why))


if __name__ == "__main__":
    main(sys.argv)
