#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""daemon_test.py BUILD: the JSON API of a real daemon before libvirt's test driver, on all its doors; and every object of every class is
compared with the schema that the OpenAPI document promises."""
import base64
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "wsman"))
try:
    import jsonschema
except ImportError:
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)
    jsonschema = None

from daemon import HOST, PASSWORD, READER, USER, Daemon, check, done, skip  # noqa: E402

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../..")
BASE = "/api/v1"
V2 = BASE + "/root/virtualization/v2/"


class Local(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def basic(user):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()} if user else {}


def call(connection, method, target, user=None, body=None):
    """(status, object, headers)"""
    headers = basic(user)
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body)
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else None, answer.headers


def doors(d):
    trust = ssl.create_default_context(cafile=os.path.join(d.dir, "ca/ca.pem"))
    plain = http.client.HTTPConnection("127.0.0.1", d.port, timeout=60)
    tls = http.client.HTTPSConnection("127.0.0.1", d.tls_port, timeout=60, context=trust)
    local = Local(os.path.join(d.dir, "run/vmreplicad.sock"))
    return {"http": (plain, USER), "https": (tls, USER), "Unix socket": (local, None)}


def all_items(connection, target):
    """Every page."""
    found = []
    while target:
        status, page, _ = call(connection, "GET", target)
        if status != 200:
            return status, page
        found += page["items"]
        target = page["next"]
    return 200, found


def check_class(connection, document, path):
    """Complaints about the objects of one class."""
    status, items = all_items(connection, BASE + path + "?limit=7")
    if status != 200:
        return [f"{path}: {status} {items}"], 0
    wrong = []
    for item in items:
        schema = {"$ref": f"#/components/schemas/{item['@class']}", "components": document["components"]}
        wrong += [f"{item['@id']}: {e.json_path}: {e.message[:200]}" for e in jsonschema.Draft202012Validator(schema).iter_errors(item)]
    if items and items[0]["@id"]:
        status, one, _ = call(connection, "GET", items[0]["@id"])
        if status != 200 or one["@id"] != items[0]["@id"]:
            wrong.append(f"{items[0]['@id']}: is not found at its URL: {status} {one}")
    return wrong, len(items)


def check_objects(connection):
    status, document, _ = call(connection, "GET", BASE + "/openapi.json")
    check("the document comes", status == 200 and document["openapi"] == "3.1.0")
    wrong, classes, objects = [], 0, 0
    for path, item in document["paths"].items():
        if item.get("get", {}).get("operationId", "").startswith("list_"):
            complaints, count = check_class(connection, document, path)
            wrong += complaints
            classes, objects = classes + 1, objects + count
    print(f"# {objects} objects of {classes} classes")
    check("every object of every class is as the document says", objects > 10 and not wrong, "\n".join(wrong[:20]))


def check_doors(d):
    for name, (connection, user) in doors(d).items():
        status, root, headers = call(connection, "GET", BASE, user)
        check(f"{name}: the root", status == 200 and root["host"] == HOST and headers["Cache-Control"] == "no-store", (status, root))
        status, systems, _ = call(connection, "GET", V2 + "Msvm_ComputerSystem?where=ElementName='test'&select=Name,EnabledState", user)
        check(f"{name}: libvirt's test guest runs", status == 200 and [s["EnabledState"] for s in systems["items"]] == [2], systems)
        connection.close()
    plain = doors(d)["http"][0]
    status, problem, headers = call(plain, "GET", BASE)
    check("nobody without credentials", status == 401 and "WWW-Authenticate" in headers and problem["code"] == "not-authenticated", problem)
    status, problem, _ = call(plain, "POST", V2 + "Msvm_ReplicationService/@/InitiateFailover", READER, {})
    check("a reader may not", status == 403 and problem["ReturnValue"] == 32769, problem)


def check_methods(connection):
    """The guest of the test driver is suspended and resumed, and a refusal is one."""
    guest = call(connection, "GET", V2 + "Msvm_ComputerSystem?where=ElementName='test'")[1]["items"][0]["@id"]
    service = call(connection, "GET", V2 + "Msvm_ReplicationService/@")[1]["@id"]
    status, answer, headers = call(connection, "POST", guest + "/RequestStateChange", body={"RequestedState": 9})
    check("a method is carried out", status in (200, 202) and answer["ReturnValue"] in (0, 4096), (status, answer))
    if status == 202:
        job = call(connection, "GET", headers["Location"])
        check("its job is where Location says", job[0] == 200 and job[1]["@class"] == "Msvm_ConcreteJob", job)
    status, answer, _ = call(connection, "POST", guest + "/RequestStateChange", body={"RequestedState": 2})
    check("and undone", status in (200, 202), (status, answer))
    status, answer, _ = call(connection, "POST", service + "/InitiateFailover", body={"ComputerSystem": guest})
    check("a failover of a guest that is no replica is refused", status == 409 and answer["ReturnValue"] == 32775 and answer["reason"],
          (status, answer))


def check_page(d):
    """The commands of docs/rest.md work as they stand there."""
    with open(os.path.join(TOP, "docs/rest.md"), encoding="utf-8") as f:
        blocks = re.findall(r"^```sh\n(.*?)^```", f.read(), re.M | re.S)
    script = "".join(blocks).replace("/run/vmreplica/vmreplicad.sock", os.path.join(d.dir, "run/vmreplicad.sock"))
    done = subprocess.run(["bash", "-euo", "pipefail"], input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120)
    check("the commands of docs/rest.md", done.returncode == 0 and len(blocks) >= 4, done.stdout)


def next_event(stream, name):
    """The data of the next event of that name; None: the stream ended."""
    wanted = False
    for line in iter(stream.readline, b""):
        wanted = line.decode().strip() == "event: " + name or (wanted and line != b"\n")
        if wanted and line.startswith(b"data: "):
            return json.loads(line[len("data: "):])
    return None


def check_events(d):
    """A change is seen by who listens; a stream ends with the daemon, which does not wait for it."""
    connection, calls = doors(d)["Unix socket"][0], doors(d)["Unix socket"][0]
    connection.request("GET", BASE + "/events?class=Msvm_ComputerSystem&where=TargetInstance.ElementName='test'", headers={
        "Last-Event-ID": "old-1"})
    stream = connection.getresponse()
    check("events begin", stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream", stream.status)
    check("with what was missed", next_event(stream, "missed") == {
        "after": "old-1", "restarted": True, "detail": "Events since then were not kept. Read the list again."})
    found = call(calls, "GET", V2 + "Msvm_ComputerSystem?where=ElementName='test'")[1]["items"][0]
    guest, other = found["@id"], 2 if found["EnabledState"] == 9 else 9
    call(calls, "POST", guest + "/RequestStateChange", body={"RequestedState": other})
    event = next_event(stream, "modified")
    while event and event["instance"]["EnabledState"] == event["previous"]["EnabledState"]:
        event = next_event(stream, "modified")
    now = event["instance"] if event else {}
    check("a guest that is suspended or resumed is an event", now.get("EnabledState") == other and now["@id"] == guest, event)
    return connection


def main(build):
    if not jsonschema:
        skip("python3-jsonschema is not installed")
    with Daemon(build) as d:
        check_doors(d)
        local = doors(d)["Unix socket"][0]
        check_objects(local)
        check_methods(local)
        check_page(d)
        stream = check_events(d)
    stream.close()
    done()


if __name__ == "__main__":
    main(sys.argv[1])
