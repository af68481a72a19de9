#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the OpenAPI 3.1 document of the JSON API (docs/rest.md) from the MOF files of schema/.

usage: openapi.py VERSION OUTPUT.json OUTPUT.c FILE.mof...
"""
import json
import sys

import mofc

BASE = "/api/v1"
PIECE = 1000
RANGES = {f"{sign}int{bits}": (0 if sign == "u" else -2 ** (bits - 1), 2 ** (bits if sign == "u" else bits - 1) - 1)
          for sign in "us" for bits in (8, 16, 32, 64)}


def ref(kind, name):
    return {"$ref": f"#/components/{kind}/{name}"}


def described(schema, words):
    """Adds description, and what the numbers of a value map mean."""
    text, numbers, names = words.get("description"), words.get("valuemap"), words.get("values")
    if text:
        schema["description"] = str(text)
    if numbers and names and len(numbers) == len(names):
        schema["x-values"] = dict(zip(map(str, numbers), map(str, names)))
        meaning = "; ".join(f"{n} {name}" for n, name in schema["x-values"].items())
        schema["description"] = f"{schema.get('description', 'Values')}: {meaning}"
    return schema


def scalar(kind, reading):
    """A JSON schema of a CIM type without null; reading: what the server reads, which is more than what it writes."""
    if kind in ("uint64", "sint64"):
        return ref("schemas", "Integer64" if kind == "sint64" else "Unsigned64")
    if kind in RANGES:
        low, high = RANGES[kind]
        return {"type": "integer", "minimum": low, "maximum": high}
    if kind == "datetime":
        return ref("schemas", "Datetime")
    if kind == "reference":
        return ref("schemas", "ReferenceInput" if reading else "Reference")
    return {"boolean": {"type": "boolean"}, "real32": {"type": "number"}, "real64": {"type": "number"}}.get(kind, {"type": "string"})


def or_null(schema):
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def schema_of(item, reading=False, null=True):
    """Of a property or parameter."""
    embedded = item.get("embedded")
    one = scalar(item["type"], reading) if not embedded else ref("schemas", embedded)
    whole = {"type": "array", "items": or_null(one)} if item["array"] else one
    return described(or_null(whole) if null else dict(whole), item["words"])


def default_of(p):
    value = p["value"]
    if value is None or p["type"] in ("datetime", "reference"):
        return None

    def one(text):
        return json.loads(text) if p["type"] == "boolean" or p["type"] in RANGES else str(text)
    return [one(v) for v in value] if p["array"] else one(value)


def property_schema(p):
    s = schema_of(p, null=not p["key"])
    default = default_of(p)
    if default is not None:
        s["default"] = default
    if not p["write"] and not p["key"]:
        s["readOnly"] = True
    return s


def class_schema(cls, classes):
    parent = classes[cls["super"].lower()]["name"] if cls["super"] else "Object"
    s = {"allOf": [ref("schemas", parent)], "type": "object", "properties": {p["name"]: property_schema(p) for p in cls["properties"]}}
    return described(s, cls["words"])


def problem_responses():
    return {"default": ref("responses", "Problem")}


def operation(name, tag, summary, answer, parameters=(), media="application/json"):
    return {"operationId": name, "tags": [tag], "summary": summary, "parameters": [ref("parameters", p) for p in parameters],
            "responses": {"200": {"description": "Done", "content": {media: {"schema": answer}}}, **problem_responses()}}


def page_of(items):
    return {"allOf": [ref("schemas", "Page")], "type": "object", "properties": {"items": {"type": "array", "items": items}}}


def method_body(m):
    inputs = [p for p in m["parameters"] if p["in"]]
    s = {"type": "object", "properties": {p["name"]: schema_of(p, reading=True, null=not p["required"]) for p in inputs},
         "additionalProperties": False}
    required = [p["name"] for p in inputs if p["required"]]
    if required:
        s["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": s}}}


def method_operation(cls, m):
    words = {k: m["words"][k] for k in ("valuemap", "values") if k in m["words"]}
    result = described({"type": "integer", "minimum": 0, "maximum": 2 ** 32 - 1}, words)
    answer = {"type": "object", "required": ["ReturnValue"],
              "properties": {"ReturnValue": result, "reason": {"type": ["string", "null"]},
                             **{p["name"]: schema_of(p) for p in m["parameters"] if p["out"]}}}
    content = {"application/json": {"schema": answer}}
    location = {"Location": {"description": "The job", "schema": {"type": "string", "format": "uri-reference"}}}
    op = {"operationId": f"{cls['name']}_{m['name']}", "tags": [cls["name"]], "summary": m["name"], "requestBody": method_body(m),
          "responses": {"200": {"description": "Done (ReturnValue 0)", "content": content},
                        "202": {"description": "A job was started (ReturnValue 4096)", "headers": location, "content": content},
                        **problem_responses()}}
    return described(op, {"description": m["words"].get("description")})


def key_parameter(cls, classes):
    keys = [p["name"] for p in mofc.merged(cls, classes, "properties").values() if p["key"]]
    short = [k for k in keys if k.lower() not in ("creationclassname", "systemcreationclassname")]
    text = f"The value of {short[0]}, or " if len(short) == 1 else ""
    named = ";".join(f"{k}=value" for k in short) or "Name=value"
    return {"name": "key", "in": "path", "required": True, "schema": {"type": "string"},
            "description": f"{text}{named} (percent-encoded; some of the keys are enough when they fit one instance); @: the only one."}


def class_paths(cls, classes):
    name, at = cls["name"], f"/{cls['ns']}/{cls['name']}"
    item, key = ref("schemas", name), key_parameter(cls, classes)
    one, page = ["select"], ["select", "limit", "cursor"]
    paths = {
        at: {"get": operation(f"list_{name}", name, f"Instances of {name}", page_of(item), ["where"] + page)},
        at + "/{key}": {"parameters": [key], "get": operation(f"get_{name}", name, f"One {name}", item, one)},
        at + "/{key}/associators": {"parameters": [key], "get": operation(
            f"associators_{name}", name, "Objects associated with it", page_of(ref("schemas", "Object")),
            ["assocClass", "resultClass", "role", "resultRole"] + page)},
        at + "/{key}/references": {"parameters": [key], "get": operation(
            f"references_{name}", name, "Associations that refer to it", page_of(ref("schemas", "Object")),
            ["resultClass", "role"] + page)},
    }
    for m in mofc.merged(cls, classes, "methods").values():
        paths[f"{at}/{{key}}/{m['name']}"] = {"parameters": [key], "post": method_operation(cls, m)}
    return paths


def common_paths(namespaces):
    anything = {"type": "object"}
    paths = {
        "/": {"get": operation("root", "API", "What there is", anything)},
        "/classes": {"get": operation("classes", "API", "All classes", anything)},
        "/openapi.json": {"get": operation("openapi", "API", "This document", anything, media="application/vnd.oai.openapi+json")},
        "/events": {"get": operation("events", "API", "What comes, changes and goes, as server-sent events", {"type": "string"},
                                     ["eventClass", "eventWhere", "kind", "within", "lastEventId"], "text/event-stream")},
    }
    paths["/events"]["get"]["description"] = (
        "Events are named created, modified, deleted (data: kind, sequence, time, instance, previous), lost (data: count; the reader was "
        "slow) and missed (first, when Last-Event-ID came: events are not kept, read the list again).")
    for ns in namespaces:
        op = operation("schema_" + ns.replace("/", "_"), "API", f"A class of {ns}", anything)
        name = {"name": "class", "in": "path", "required": True, "schema": {"type": "string"}}
        paths[f"/classes/{ns}/{{class}}"] = {"parameters": [name], "get": op}
    return paths


def query(name, text, schema=None, required=False, place="query"):
    return {"name": name, "in": place, "description": text, "required": required, "schema": schema or {"type": "string"}}


def parameters():
    number = {"type": "integer", "minimum": 1}
    return {
        "where": query("where", "A condition in WQL, e.g. EnabledState = 2 AND ElementName LIKE 'web%'"),
        "select": query("select", "Names of properties with commas between; without it all"),
        "limit": query("limit", "Objects on a page", {**number, "maximum": 1000, "default": 200}),
        "cursor": query("cursor", "From 'next' of the page before"),
        "assocClass": query("assocClass", "Class of the association"), "resultClass": query("resultClass", "Class of the results"),
        "role": query("role", "Property of the association that refers to this object"),
        "resultRole": query("resultRole", "Property of the association that refers to the result"),
        "eventClass": query("class", "Whose events", required=True),
        "eventWhere": query("where", "A condition in WQL on TargetInstance and PreviousInstance, e.g. TargetInstance.EnabledState = 2"),
        "kind": query("kind", "Only these; without it all", {"type": "string", "enum": ["created", "modified", "deleted"]}),
        "within": query("within", "Seconds between two looks at least", {**number, "maximum": 3600, "default": 1}),
        "lastEventId": query("Last-Event-ID", "Sent by clients that come again; the answer begins with the event 'missed'", place="header"),
    }


def common_schemas():
    text = {"type": "string"}
    digits = {"type": "string", "pattern": "^-?[0-9]{1,20}$"}
    return {
        "Object": {"type": "object", "properties": {
            "@id": {"type": ["string", "null"], "format": "uri-reference", "description": "The object's URL; null: it has none"},
            "@class": {"type": "string"}}},
        "Page": {"type": "object", "required": ["items", "total", "next"], "properties": {
            "items": {"type": "array"}, "total": {"type": "integer", "minimum": 0},
            "next": {"type": ["string", "null"], "format": "uri-reference", "description": "The next page; null: this is the last"}}},
        "Problem": {"type": "object", "description": "RFC 9457", "required": ["type", "title", "status", "detail", "code"], "properties": {
            "type": {**text, "format": "uri"}, "title": text, "status": {"type": "integer"},
            "detail": {**text, "description": "What is wrong, as a sentence that names the object"},
            "cause": {**text, "description": "What usually is behind it"},
            "nextStep": {**text, "description": "What to do now"}, "code": {**text, "description": "A stable word"},
            "ReturnValue": {"type": "integer", "description": "Of a method that refused"}, "reason": text}},
        "Unsigned64": {"description": "A string of digits beyond 2^53", "oneOf": [{"type": "integer", "minimum": 0}, digits]},
        "Integer64": {"description": "A string of digits beyond 2^53", "oneOf": [{"type": "integer"}, digits]},
        "Datetime": {"description": "A time in UTC (ISO 8601, e.g. 2026-11-23T20:00:00Z) or an interval (PT15M). Read with any zone, "
                                    "and in the form of DMTF, too.", "type": "string"},
        "Reference": {"description": "The URL of an object", "type": "string", "format": "uri-reference"},
        "ReferenceInput": {"description": "The URL of an object, its path as text, or an object with @class and keys", "anyOf": [
            ref("schemas", "Reference"), ref("schemas", "Object")]},
    }


def document(version, classes):
    problem = {"description": "Refused, or failed", "content": {"application/problem+json": {"schema": ref("schemas", "Problem")}}}
    schemas = common_schemas()
    paths = common_paths(sorted({c["ns"] for c in classes.values()}))
    for cls in classes.values():
        schemas[cls["name"]] = class_schema(cls, classes)
        paths.update(class_paths(cls, classes))
    return {
        "openapi": "3.1.0",
        "info": {"title": "vmreplica", "version": version, "license": {"name": "LGPL-2.1-or-later", "identifier": "LGPL-2.1-or-later"},
                 "description": "Replication of virtual machines: the objects and methods of root/virtualization/v2 as JSON."},
        "servers": [{"url": BASE}],
        "security": [{"basic": []}],
        "tags": [{"name": "API"}] + [{"name": c["name"]} for c in classes.values()],
        "paths": paths,
        "components": {"schemas": schemas, "parameters": parameters(), "responses": {"Problem": problem},
                       "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}}},
    }


def c_file(text):
    pieces = (text[i:i + PIECE] for i in range(0, len(text), PIECE))
    lines = "".join(f"    {mofc.c_string(piece)}\n" for piece in pieces)
    return ('/* Made by tools/mofc/openapi.py from schema/; do not edit. */\n#include "web/openapi.h"\n\n'
            f"const char web_openapi[] =\n{lines};\nconst size_t web_openapi_len = sizeof web_openapi - 1;\n")


def main(argv):
    if len(argv) < 5:
        sys.exit(__doc__)
    classes = {}
    try:
        for name in argv[4:]:
            mofc.read(name, classes)
        mofc.check(classes)
        text = json.dumps(document(argv[1], classes), separators=(",", ":"))
        for path, content in ((argv[2], text), (argv[3], c_file(text))):
            with open(path, "w", encoding="utf-8") as out:
                out.write(content)
    except (mofc.Wrong, OSError) as why:
        sys.exit(str(why))


if __name__ == "__main__":
    main(sys.argv)
