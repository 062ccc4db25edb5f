"""The log is read without the library: commits from the owner's socket (examples/log/commits.py),
decoded by classes that flatc makes from the schema, their chain checked with hashlib."""

import base64
import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import ITEMS, PipelineTest
from lib import SRC, main

READER = SRC + "/examples/log/commits.py"


def type_of(table):
    """"run.cancel_requested" from "RunCancelRequested"."""
    first, *others = re.findall("[A-Z][a-z]*", table)
    return first.lower() + "." + "_".join(others).lower()


class LogReadByPython(PipelineTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="classes.")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run(["flatc", "--python", "-o", folder, SRC + "/log/events.fbs"], check=True)
        sys.path.insert(0, folder)

    def setUp(self):
        super().setUp()
        # Two runs: one fails at an item, the other retries it.
        self.pipeline(ITEMS)
        self.parent = self.run_json("run", "p.yaml", "--param", "bad=b", code=1)["id"]
        self.child = self.run_json("retry", self.parent, "--param", "bad=")["id"]
        self.write("other.yaml", ITEMS.replace("pipeline: items", "pipeline: other"))
        self.other = self.run_json("run", "other.yaml")["id"]

    def table(self, name):
        """A generated class; their package is a namespace of the schema, ratoon.events."""
        return getattr(importlib.import_module(f"ratoon.events.{name}"), name)

    def lines(self, *arguments):
        """What the reader prints, while `watch` owns the store."""
        owner = self.start_ratoon("--store", ".ratoon", "watch")
        self.until_file(".ratoon/socket")
        done = subprocess.run(
            [READER, self.path(".ratoon"), *arguments],
            capture_output=True,
            encoding="ascii",
            timeout=60,
            check=False,
        )
        owner.terminate()
        owner.communicate()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [line.split(" ") for line in done.stdout.splitlines()]

    def commits(self, *arguments):
        """(lineage, number, position, bytes, Commit) of each line."""
        commit = self.table("Commit")
        for lineage, number, position, digest, text in self.lines(*arguments):
            data = base64.b64decode(text, validate=True)
            self.assertEqual(hashlib.sha256(data).hexdigest(), digest)
            self.assertTrue(commit.CommitBufferHasIdentifier(data, 0))
            self.assertEqual(data[4:8], b"RTN1")
            yield lineage, int(number), int(position), data, commit.GetRootAs(data)

    def body(self, event):
        """The name of an event's type and its table."""
        kinds = importlib.import_module("ratoon.events.Body").Body
        name = next(k for k, v in vars(kinds).items() if v == event.BodyType() and k != "NONE")
        table = self.table(name)()
        table.Init(event.Body().Bytes, event.Body().Pos)
        return name, table

    def test_Q01_each_commit_carries_the_digest_of_the_one_before(self):
        heads, positions, events = {}, [], {}
        for lineage, number, position, data, commit in self.commits():
            before, digest = heads.get(lineage, (0, None))
            self.assertEqual(number, before + 1)
            self.assertEqual((commit.Format(), commit.Number()), (1, number))
            self.assertEqual(str(uuid.UUID(bytes=bytes(commit.Lineage().Bytes()))), lineage)
            previous = commit.Previous()
            self.assertEqual(None if previous is None else bytes(previous.Bytes()), digest)
            self.assertEqual(commit.FirstEvent(), events.get(lineage, 0) + 1)
            events[lineage] = events.get(lineage, 0) + commit.EventsLength()
            self.assertTrue(commit.Writer().startswith(b"ratoon "), commit.Writer())
            heads[lineage] = (number, hashlib.sha256(data).digest())
            positions.append(position)
        self.assertEqual(set(heads), {self.parent, self.other})
        self.assertEqual(sorted(positions), list(range(1, len(positions) + 1)))
        for root, (number, digest) in heads.items():
            tree = self.json("tree", root)["lineage"]
            self.assertEqual((tree["commits"], tree["head_digest"]), (number, digest.hex()))
        verified = self.json("verify")["verified"]
        self.assertEqual(
            (verified["commits"], verified["events"]), (len(positions), sum(events.values()))
        )

    def test_Q01_the_events_are_those_that_log_tells(self):
        seen = []
        for _, number, _, _, commit in self.commits(self.parent):
            for i in range(commit.EventsLength()):
                event = commit.Events(i)
                name, table = self.body(event)
                run = str(uuid.UUID(bytes=bytes(event.Run().Bytes())))
                seen.append((number, commit.FirstEvent() + i, run, name))
                if name == "RunCreated" and run == self.child:
                    self.assertEqual(table.Depth(), 1)
                    self.assertEqual(str(uuid.UUID(bytes=bytes(table.Parent().Bytes()))), self.parent)
                    self.assertEqual(table.Overrides(0).Name(), b"bad")
                if name == "ItemEnded" and table.Failed():
                    self.assertEqual((table.Key(), table.Error()), (b"b", b"exit 1: bad b"))
                if name == "StageEnded" and table.OutputsLength() > 0:
                    value = table.Outputs(0)
                    inline = bytes(value.Data(k) for k in range(value.DataLength()))
                    self.assertEqual(hashlib.sha256(inline).digest(), bytes(value.Digest().Bytes()))
                    self.assertEqual(value.Size(), len(inline))
        told = self.run_ratoon("--json", "log", self.parent, "--lineage").expect_exit(0).json_lines()
        self.assertEqual(
            [(e["commit"], e["event"], e["run"], e["type"]) for e in told],
            [(c, n, r, type_of(name)) for c, n, r, name in seen],
        )

    def test_R01_the_definition_is_kept_by_its_digest(self):
        owner = self.start_ratoon("--store", ".ratoon", "watch")
        self.until_file(".ratoon/socket")
        digest = self.run_json("show", self.parent)["digest"]
        canonical = subprocess.run(
            [READER, self.path(".ratoon"), "--value", digest], stdout=subprocess.PIPE, check=True
        ).stdout
        owner.terminate()
        owner.communicate()
        self.assertEqual(hashlib.sha256(canonical).hexdigest(), digest)
        definition = json.loads(canonical)
        self.assertEqual(definition["stages"][1]["foreach"], "list")
        self.assertEqual(definition["stages"][1]["grace"], "10s")
        again = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.assertEqual(again.encode(), canonical)

    def test_Q01_a_changed_byte_breaks_the_chain(self):
        lines = self.lines(self.parent)
        data = [bytearray(base64.b64decode(line[4])) for line in lines]
        commit = self.table("Commit")

        def broken():
            return [
                i + 1
                for i in range(1, len(data))
                if bytes(commit.GetRootAs(data[i]).Previous().Bytes())
                != hashlib.sha256(data[i - 1]).digest()
            ]

        self.assertEqual(broken(), [])
        data[2][-1] ^= 1
        self.assertEqual(broken(), [4])


main()
