"""Secrets (E08): a canary of unusual bytes goes through everything that a stage can say, and is
then looked for in every byte that was written anywhere."""

import json
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import *
from lib import main

# Quotes, backslashes, control characters, pattern and shell characters, two lines, several scripts.
CANARY = 'q"b\\t\ts/l%s\b\f$(x)`y`*[é]\nпароль 😀\x7fend'
# What no output may hold even where the whole canary was cut.
BEGINNING = CANARY[:12]

PIPELINE = """
pipeline: canary
params:
  key: {type: string, secret: true}
  do: {type: string, default: ""}
stages:
  - name: talk
    run: ["./talk.py"]
    allow_failure: true
  - name: items
    needs: []
    run: ["./items.py"]
    allow_failure: true
  - name: weak
    needs: []
    run: ["./weak.py"]
  - name: last
    run: ["./last.py"]
"""

PRELUDE = """#!/usr/bin/python3
import json, os, sys, time
key = os.environb[b"RATOON_PARAM_KEY"]
text = os.environ["RATOON_PARAM_KEY"]
do = os.environ["RATOON_PARAM_DO"]
def out(data, fd=1):
    while data:
        data = data[os.write(fd, data):]
def event(raw=None, ascii=True, **members):
    with open(os.environ["RATOON_EVENTS"], "ab") as file:
        line = json.dumps(members, ensure_ascii=ascii).encode("utf-8", "surrogateescape")
        file.write((raw if raw is not None else line) + b"\\n")
def output(data):
    with open(os.environ["RATOON_OUTPUT"], "wb") as file:
        file.write(data)
"""

TALK = """
for fd in (1, 2):
    out(b"whole " + key + b" end\\n", fd)
    for cut in range(1, len(key)):
        if cut % 5 == 1:
            out(b"<" + key[:cut], fd)
            time.sleep(0.005)
            out(key[cut:] + b">\\n", fd)
    # Around what pipes and buffers hold.
    for border in (4096, 8192, 16384, 65536, 131072):
        for shift in (1, len(key) // 2, len(key)):
            out(b"." * (border - shift) + key + b"\\n", fd)
    for ascii in (True, False):
        dumped = json.dumps(os.fsdecode(key), ensure_ascii=ascii)
        out(os.fsencode(dumped if ascii else dumped.replace("/", "\\\\/")) + b"\\n", fd)
    out(key + key + b"|" + key, fd)
try:
    event(progress={"done": 1, "total": 2, "message": "at " + text})
    event(progress={"done": 1, "total": 2, "message": "at " + text}, ascii=False)
    event(external_ref="job " + text)
except UnicodeError:
    pass
out(b"\\nsaid at the end: " + key, 2)
sys.exit(3)
"""

ITEMS_PY = """
event(item="good", status="done", output={"n": 1})
event(item="bad", status="failed", error="no: " + text)
event(item="bad too", status="failed", error="no: " + text, ascii=False)
"""

WEAK = """
event(degraded="because of " + text)
event(progress={"done": 2, "total": 2, "message": text})
output(b"n=%d\\n" % len(key))
"""

LAST = """
many = b" ".join([key] * 60)
actions = {
    "": lambda: None,
    "output line": lambda: output(b"k=v\\nl<<END\\n" + key + b"\\nEND\\n"),
    "output json": lambda: output(json.dumps({"k": {"deep": ["x" + text + "y"]}}).encode()),
    "output key": lambda: output(json.dumps({"a" + text: 1}).encode()),
    "output escapes": lambda: output(b'{"k":"' + b"".join(
        b"\\\\u%04x" % unit for unit in memoryview(text.encode("utf-16-le")).cast("H")) + b'"}'),
    "output event": lambda: event(output={"k": text}),
    "item output": lambda: event(item="i", status="done", output=[text]),
    "item key": lambda: event(item="i" + text, status="done"),
    "consumes": lambda: event(consumes="x" * 5000 + text),
    "unknown event": lambda: event(**{"x" * 70 + text: 1}),
    "broken output": lambda: output(b'{"k": ' + many + b"." * 2000 + many),
    "broken event": lambda: event(raw=b"{" + many + b"." * 500 + many),
    "line cut": lambda: event(raw=key),
}
actions[do]()
"""

ACTIONS = (
    "output line|output json|output key|output escapes|output event|item output|item key|consumes|"
    "unknown event|broken output|broken event|line cut"
).split("|")
# Where the stage put the secret into what would be state.
SAYS_SECRET = ACTIONS[:7]


class Secrets(PipelineTest):
    def setUp(self):
        super().setUp()
        for name, text in (("talk", TALK), ("items", ITEMS_PY), ("weak", WEAK), ("last", LAST)):
            self.write(name + ".py", PRELUDE + text, executable=True)
        self.pipeline(PIPELINE)
        self.printed = []

    def run_ratoon(self, *arguments, **keywords):
        result = super().run_ratoon(*arguments, **keywords)
        self.printed.append((arguments, result.stdout, result.stderr))
        return result

    def forms(self, secret):
        """The secret and how JSON writes it."""
        texts = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
        return {text.encode("utf-8", "surrogateescape") for text in texts}

    def expect_nowhere(self, *secrets):
        needles = set().union(*(self.forms(secret) for secret in secrets))
        seen = 0
        for folder, _, files in os.walk(self.dir):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    data = file.read()
                seen += len(data)
                for needle in needles:
                    if needle in data:
                        at = data.index(needle)
                        part = data[max(0, at - 80) : at + 200]
                        self.fail(f"{needle!r} in {folder}/{name} at {at}: {part!r}")
                    self.assertNotIn(needle, os.fsencode(name))
        self.assertGreater(seen, 10000)
        for arguments, stdout, stderr in self.printed:
            for needle in needles:
                for text in (stdout, stderr):
                    self.assertNotIn(needle, text.encode("utf-8", "surrogateescape"), arguments)

    def look_at_everything(self, *runs):
        for run in runs[1:-1]:
            for command in ("show", run), ("--json", "log", run), ("logs", run, "last"):
                self.run_ratoon(*command)
        for run in {runs[0], runs[-1]}:
            for command in (
                ("show", run),
                ("tree", run),
                ("log", run),
                ("log", run, "--lineage"),
                ("state", run),
                ("state", run, "--provenance"),
                ("verify", "--run", run),
                ("retry", run, "--dry-run"),
                *(("explain", run, s) for s in ("talk", "items", "weak", "last")),
                *(("logs", run, s) for s in ("talk", "items", "weak", "last")),
                ("diff", runs[0], run),
                *(
                    ("export", "--format", f, run)
                    for f in "jsonl openlineage trace dot mermaid csv html".split()
                ),
            ):
                self.run_ratoon(*command)
                self.run_ratoon("--json", *command)
        for command in (("list",), ("stats",), ("stale",), ("verify",)):
            self.run_ratoon(*command)
            self.run_ratoon("--json", *command)
        for format in ((), ("--json",)):
            watch = self.start_ratoon(*format, "watch", "--from", "1")
            lines = [watch.stdout.readline() for _ in range(10)]
            watch.kill()
            rest = self.finish(watch)
            self.printed.append((("watch",), "".join(lines) + rest.stdout, rest.stderr))

    def execute(self, *arguments, secret=CANARY, **keywords):
        result = self.run_ratoon(
            *arguments, env={"RATOON_SECRET_KEY": secret}, **keywords
        )
        return result

    def test_E08_a_canary_is_nowhere(self):
        runs = []
        self.execute("run", "p.yaml").expect_exit(0)
        run = self.json("show", "@last")["run"]
        runs.append(run["id"])
        self.assertEqual(run["status"], "degraded")
        self.assertEqual(self.stage(run, "weak")["status"], "degraded")
        self.assertEqual(self.stage(run, "talk")["error"]["message"].count("***"), 1)
        self.assertIn("***", self.stage(run, "talk")["progress"]["message"])
        self.assertIn("job ***", run["external_ref"])
        self.assertEqual(self.stage(run, "items")["items"]["failed"], 2)
        out = self.run_ratoon("logs", "@last", "talk").stdout
        self.assertIn("whole *** end\n", out)
        self.assertIn("<***>\n", out)
        self.assertIn('"***"\n', out)
        for action in ACTIONS:
            with self.subTest(action):
                result = self.execute("--json", "run", "p.yaml", "--param", "do=" + action)
                result.expect_exit(1)
                run = result.json()["run"]
                runs.append(run["id"])
                error = self.stage(run, "last")["error"]
                self.assertEqual(error["class"], "VALIDATION")
                if action in SAYS_SECRET:
                    self.assertIn("secret", error["message"])
                self.assertNotIn("last", {s["stage"] for s in self.values(run["id"])})
        retried = self.execute("--json", "retry", runs[-1]).expect_exit(1).json()["run"]
        runs.append(retried["id"])
        self.run_ratoon("annotate", runs[0], "seen").expect_exit(0)
        self.execute("run", "p.yaml", "--param", "key=" + CANARY).expect_exit(2)
        self.look_at_everything(*runs)
        self.run_ratoon("verify").expect_exit(0)
        self.printed[:] = [p for p in self.printed if "key=" + CANARY not in p[0]]
        self.expect_nowhere(CANARY, BEGINNING)

    def values(self, run):
        return self.json("state", run, "--provenance")["state"].values()

    def test_E08_bytes_that_are_no_text(self):
        secret = os.fsdecode(b"a\xff\xfe\xc3(\x80\xf0\x9f\x98z\xc3")
        result = self.execute("run", "p.yaml", secret=secret)
        if result.code == 0:
            self.look_at_everything(self.json("show", "@last")["run"]["id"])
        self.expect_nowhere(secret)

    def test_E08_the_same_secret_compares_equal(self):
        ids = []
        for secret in (CANARY, CANARY, CANARY + "!"):
            run = self.execute("--json", "run", "p.yaml", secret=secret).expect_exit(0).json()
            ids.append((run["run"]["id"], run["run"]["params"]["key"]))
        self.assertEqual(ids[0][1], ids[1][1])
        self.assertNotEqual(ids[0][1], ids[2][1])
        self.assertEqual(self.json("diff", ids[0][0], ids[1][0])["diff"]["params"], {})
        differs = self.json("diff", ids[0][0], ids[2][0])["diff"]["params"]
        self.assertEqual(differs, {"key": {"old": ids[0][1], "new": ids[2][1]}})
        # A retry with another secret records that it changed, and neither value.
        failed = self.execute("--json", "run", "p.yaml", "--param", "do=line cut").json()["run"]
        child = self.execute("--json", "retry", failed["id"], "--param", "do=", secret="another one")
        run = child.expect_exit(0).json()["run"]
        self.assertEqual(set(run["overrides"]), {"key", "do"})
        self.assertEqual(run["overrides"]["key"]["old"], ids[0][1])
        self.expect_nowhere(CANARY, "another one")
        # In another store the same secret has another digest.
        other = self.execute("--store", "other", "--json", "run", "p.yaml").json()["run"]
        self.assertNotEqual(other["params"]["key"], ids[0][1])


main()
