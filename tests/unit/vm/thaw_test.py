#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""thaw_test.py PROGRAM: vmreplica-thaw against libvirt's test driver: what it is told, whose end it outlives, and what it says.  TAP."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

URI = "test:///default"
GUEST = "6695eb01-f6a4-8304-79aa-97f2502e193f"  # the driver's own guest
PROGRAM = os.path.realpath(sys.argv[1])
LONG = "3600"
count = failed = 0


def check(what, good, detail=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {what}" + (f" # {detail}" if not good else ""), flush=True)


def start(seconds):
    p = subprocess.Popen([PROGRAM, URI, GUEST, seconds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True)
    assert p.stdout.readline() == "ready\n"
    return p


def end(p):
    """Its last words and exit status; the standard input of a program that is told nothing stays open until then."""
    said = p.stdout.read().strip()
    return said, p.wait()


p = start(LONG)
p.stdin.write("t")
p.stdin.flush()
check("told of the thaw, it goes", end(p) == ("", 0))

p = start(LONG)
p.stdin.close()
said, status = end(p)
check("the daemon is gone: it thaws", said.startswith("thawed") and status == 0, said)

p = start("1")
said, status = end(p)
check("told nothing within the limit: it thaws", said.startswith("thawed") and status == 0, said)

p = start(LONG)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    p.send_signal(number)
p.stdin.close()
check("signals do not end it", end(p)[0].startswith("thawed"))

# ---- guests that are paused ----

NODE = """<node><domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>held</name><uuid>%s</uuid>
<memory>4096</memory><os><type>hvm</type></os><test:runstate>3</test:runstate></domain></node>"""


def held(old):
    """A folder that says the guest is paused by us, and the program that watches it."""
    folder = tempfile.mkdtemp()
    node, mark = os.path.join(folder, "node.xml"), os.path.join(folder, "held", GUEST.upper())
    with open(node, "w") as f:
        f.write(NODE % GUEST)
    os.mkdir(os.path.dirname(mark))
    open(mark, "w").close()
    if old:
        os.utime(mark, (1000, 1000))
    p = subprocess.Popen([PROGRAM, "test://" + node, "held", os.path.dirname(mark)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    return folder, mark, p


folder, mark, p = held(old=False)
p.stdin.close()
said = p.stderr.read()
check("the daemon is gone: paused guests go on", p.wait() == 0 and "goes on" in said and not os.path.exists(mark), said)
shutil.rmtree(folder)

folder, mark, p = held(old=True)
said = p.stderr.readline()
check("the daemon hangs: a guest that is paused for long goes on", "goes on" in said, said)
p.stdin.close()
check("and then it waits for the daemon's end", p.wait() == 0 and not os.path.exists(mark))
shutil.rmtree(folder)

# A shell of its own group holds the standard input; the whole group is killed.
read, write = os.pipe()
shell = subprocess.Popen(["sh", "-c", f"sleep {LONG} | '{PROGRAM}' {URI} {GUEST} {LONG} & wait"], stdin=subprocess.DEVNULL, stdout=write,
                         stderr=subprocess.DEVNULL, start_new_session=True)
os.close(write)
with os.fdopen(read) as words:
    assert words.readline() == "ready\n"
    os.killpg(shell.pid, signal.SIGKILL)
    check("it outlives the daemon's process group", words.readline().startswith("thawed"))
shell.wait()

for argv in ([], [URI, GUEST], [URI, "no-guest", "5"], [URI, GUEST, "0"]):
    done = subprocess.run([PROGRAM, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    check(f"usage {argv[1:]}", done.returncode == 2 and not done.stdout)
done = subprocess.run([PROGRAM, "no-uri", GUEST, "5"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
check("without libvirt it is not ready", done.returncode == 1 and not done.stdout)
print(f"1..{count}")
sys.exit(failed > 0)
