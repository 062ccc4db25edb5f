"""An extraction job on a device that runs out of memory: classes, suggestions, retries with
overrides, by hand and automatic, cancellation of a stuck job; examples/extraction."""

import fcntl
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import PipelineTest
from lib import SRC, main

EXAMPLE = SRC + "/examples/extraction"
STAGES = ["model", "sample", "extract", "report"]


class Extraction(PipelineTest):
    """Eight short documents and eight long ones: eight short ones fit into the device's memory
    together, of the long ones two do."""

    def setUp(self):
        super().setUp()
        self.example = self.path("extraction")
        shutil.copytree(EXAMPLE, self.example, ignore=shutil.ignore_patterns("demo", "work", ".ratoon"))
        for i in range(8):
            self.document(f"short{i}", 100 + i)
            self.document(f"long{i}", 4096)
        self.counts = self.path("executions.log")
        self.device = self.path("device")
        self.env.update(
            RATOON_STORE=self.path("store"),
            EXTRACTION_COUNTS=self.counts,
            EXTRACTION_DEVICE=self.device,
            CC=os.environ.get("CC", "cc"),
        )

    def document(self, name, n_words):
        # Words from letters alone, each document with its own.
        def word(n):
            letters = ""
            while n or len(letters) < 6:
                letters += "abcdefghijklmnop"[n % 16]
                n //= 16
            return letters

        seed = sum(map(ord, name))
        self.write(f"documents/{name}", " ".join(word(i * i * seed % 997) for i in range(n_words)) + "\n")

    def arguments(self, *more):
        return ("run", self.example + "/pipeline.yaml", "-p", "documents=" + self.path("documents"), *more)

    def executed(self):
        """What was executed since the last call, as the stages themselves counted it: stage and
        batch size."""
        try:
            with open(self.counts, encoding="utf-8") as file:
                lines = [line.rstrip("\n").split("\t") for line in file]
            os.unlink(self.counts)
        except FileNotFoundError:
            return []
        return [(stage, int(size)) for _, stage, size in lines]

    def all_of(self, size):
        return [(stage, size) for stage in STAGES]

    def expect_nothing_left(self):
        """No process, no work folder, no executor, no lock of any run; nothing in progress."""
        store = self.path("store")
        self.assertEqual(os.listdir(store + "/work"), [])
        self.assertEqual(os.listdir(store + "/executors"), [])
        self.assertEqual(sorted(os.listdir(self.example + "/work")), ["keyterms"])
        with open(self.device, "a", encoding="utf-8") as device:
            fcntl.flock(device, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.assertEqual(self.runs("--in-flight"), [])
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    environ = file.read()
            except OSError:
                continue
            mine = environ.split(b"\0")
            if b"RATOON_STORE=" + store.encode() in mine and any(e.startswith(b"RATOON_RUN=") for e in mine):
                raise AssertionError(f"process {pid} is left of a stage")
        self.assertEqual(self.json("verify")["problems"], [])

    def feed(self):
        """All commits there are, as `watch` tells them."""
        total = self.json("verify")["verified"]["commits"]
        process = self.start_ratoon("--json", "watch", "--from", 1)
        lines = [process.stdout.readline() for _ in range(total)]
        process.terminate()
        return [json.loads(line) for line in lines]


class ByHand(Extraction):
    def test_A01_A02_A07_out_of_memory_is_a_class_of_failure_with_a_suggestion(self):
        result = self.run_ratoon(*self.arguments()).expect_exit(1)
        self.assertEqual(self.executed(), self.all_of(8)[:3])
        # Read by a new process: nothing of this was kept by the one that executed it.
        run = self.run_json("show", "@last")
        stage = self.stage(run, "extract")
        self.assertEqual(stage["error"]["class"], "OOM")
        self.assertRegex(
            stage["error"]["message"],
            r"^exit 1: device out of memory\. Tried to allocate 128\.00 MiB for a batch of 8 ",
        )
        self.assertTrue(stage["error"]["retryable"])
        self.assertEqual(stage["error"]["suggested_overrides"], {"batch_size": 4})
        # The first batch, of short documents, was done.
        self.assertEqual(
            stage["progress"], {"done": 8, "total": 16, "message": "in batches of 8"}
        )
        retry = run["actions"]["retry"]
        self.assertTrue(retry["available"])
        self.assertEqual(
            (retry["from_stage"], retry["suggested_overrides"]), ("extract", {"batch_size": 4})
        )
        self.assertFalse(run["actions"]["cancel"]["available"])
        self.assertIn("failed", run["actions"]["cancel"]["why_not"])
        result.expect_stderr(f"ratoon retry {run['id']} --from extract --param batch_size=4")
        self.expect_nothing_left()

    def test_R01_R12_R21_retries_with_overrides_until_it_fits(self):
        first = self.run_json(*self.arguments("-p", "max_samples=16"), code=1)
        self.executed()
        second = self.run_json("retry", first["id"], "-p", "batch_size=4", "--reason", "half", code=1)
        self.assertEqual(self.executed(), [("extract", 4)])
        self.assertEqual(self.stage(second, "extract")["error"]["suggested_overrides"], {"batch_size": 2})
        third = self.run_json("retry", second["id"], "-p", "batch_size=2", "--reason", "half again")
        self.assertEqual(self.executed(), [("extract", 2), ("report", 2)])
        self.assertEqual(
            self.stages(third),
            {"model": "reused", "sample": "reused", "extract": "succeeded", "report": "succeeded"},
        )
        # Parameters that nobody changed are those of the original; the chain is in history.
        self.assertEqual(third["params"]["max_samples"], 16)
        runs = self.json("tree", third["id"])["lineage"]["runs"]
        self.assertEqual(
            [(r["depth"], r["number"], r["parent"], r["reason"], r["automatic"], r["overrides"]) for r in runs],
            [
                (0, 1, None, None, False, {}),
                (1, 2, first["id"], "half", False, {"batch_size": {"old": 8, "new": 4}}),
                (2, 3, second["id"], "half again", False, {"batch_size": {"old": 4, "new": 2}}),
            ],
        )
        created = [
            e["data"] for e in self.run_ratoon("--json", "log", "@last", "--lineage").json_lines()
            if e["type"] == "run.created"
        ]
        self.assertEqual([d.get("requested_stage") for d in created], [None, "extract", "extract"])
        # The originals are as they were.
        self.assertEqual(self.run_json("show", first["id"])["status"], "failed")
        self.assertEqual(self.run_json("show", first["id"])["children"], [second["id"]])
        self.expect_nothing_left()

    def test_R12_overrides_are_checked_before_anything_is_appended(self):
        run = self.run_json(*self.arguments(), code=1)
        self.executed()
        before = self.run_ratoon("--json", "log", run["id"], "--lineage").stdout
        for value in ("3", "0", "1024", "many"):
            self.refused("PARAM_INVALID", "retry", run["id"], "-p", f"batch_size={value}")
        self.refused("PARAM_INVALID", "retry", run["id"], "-p", "max_samples=0")
        self.assertEqual(before, self.run_ratoon("--json", "log", run["id"], "--lineage").stdout)
        self.assertEqual(self.executed(), [])

    def test_A02_other_ways_out_of_memory_change_the_result_in_nothing(self):
        self.run_ratoon(*self.arguments("-p", "batch_size=2")).expect_exit(0)
        expected = self.state()["features"]
        self.run_ratoon(*self.arguments()).expect_exit(1)
        self.executed()
        self.run_ratoon("retry", "@last", "-p", "memory_mb=256").expect_exit(0)
        self.assertEqual(self.executed(), [("extract", 8), ("report", 8)])
        self.assertEqual(self.state()["features"], expected)
        # Another maximum changes what `sample` lists, so it is gone back to.
        run = self.run_json("retry", "@last", "--from", "sample", "--rerun", "-p", "max_samples=8")
        self.assertEqual(self.executed(), [("sample", 8), ("extract", 8), ("report", 8)])
        self.assertEqual(len(self.state(run["id"])["features"].strip().split("\n")), 8)

    def test_A01_another_failure_is_of_another_class_and_suggests_nothing(self):
        run = self.run_json("run", self.example + "/pipeline.yaml", "-p", "documents=nowhere", code=1)
        error = self.stage(run, "sample")["error"]
        self.assertEqual((error["class"], error["suggested_overrides"]), ("EXECUTION", {}))
        self.run_json(*self.arguments("--until", "sample"), code=9)
        os.unlink(self.path("documents/long0"))
        run = self.run_json("resume", "@last", code=1)
        error = self.stage(run, "extract")["error"]
        self.assertEqual((error["class"], error["suggested_overrides"]), ("VALIDATION", {}))
        self.assertIn("long0", error["message"])

    def test_Q06_a_failure_is_an_event_of_its_own_on_the_feed(self):
        run = self.run_json(*self.arguments(), code=1)
        commits = self.feed()
        self.assertEqual([c["position"] for c in commits], list(range(1, len(commits) + 1)))
        events = [e for c in commits for e in c["events"]]
        failed = [e for e in events if e["type"] == "stage.ended" and e["data"]["status"] == "failed"]
        self.assertEqual([(e["run"], e["stage"]) for e in failed], [(run["id"], "extract")])
        error = failed[0]["data"]["error"]
        self.assertEqual(error["class"], "OOM")
        self.assertIn("Tried to allocate 128.00 MiB", error["message"])
        self.assertEqual(error["suggested_overrides"], {"batch_size": 4})
        self.assertTrue(error["retryable"])
        # What can be done about it comes with it.
        ended = [e for e in events if e["type"] == "run.ended"]
        for event in (failed[0], ended[0]):
            retry = event["data"]["actions"]["retry"]
            self.assertTrue(retry["available"])
            self.assertEqual(retry["suggested_overrides"], {"batch_size": 4})
            self.assertFalse(event["data"]["actions"]["cancel"]["available"])


class Automatic(Extraction):
    def chain(self):
        runs = self.json("tree", "@last")["lineage"]["runs"]
        return [(r["status"], r["params"]["batch_size"], r["automatic"], r["reason"]) for r in runs]

    def test_A05_off_by_default(self):
        self.run_ratoon(*self.arguments()).expect_exit(1)
        self.assertEqual(self.executed(), self.all_of(8)[:3])
        self.assertEqual(self.chain(), [("failed", 8, False, None)])

    def test_A05_on_by_request_each_recorded_with_its_reason(self):
        result = self.run_ratoon("--json", *self.arguments("--auto-retry", 3)).expect_exit(0)
        run = result.json()["run"]
        self.assertEqual((run["status"], run["depth"]), ("succeeded", 2))
        self.assertEqual(
            self.executed(), self.all_of(8)[:3] + [("extract", 4), ("extract", 2), ("report", 2)]
        )
        self.assertEqual(
            self.chain(),
            [
                ("failed", 8, False, None),
                ("failed", 4, True, "OOM: batch_size 8 -> 4"),
                ("succeeded", 2, True, "OOM: batch_size 4 -> 2"),
            ],
        )
        result.expect_stderr("automatic retry 1 of 3").expect_stderr("automatic retry 2 of 3")
        self.expect_nothing_left()

    def test_A05_on_by_the_pipeline_and_at_most_three(self):
        file = self.example + "/pipeline.yaml"
        with open(file, encoding="utf-8") as pipeline:
            text = pipeline.read()
        policy = "auto_retry: {enabled: false, attempts: 3}"
        self.assertIn(policy, text)
        # Three is the default.
        self.write("extraction/pipeline.yaml", text.replace(policy, "auto_retry: {enabled: true}"))
        run = self.run_json(*self.arguments("-p", "batch_size=64"), code=1)
        self.assertEqual((run["status"], run["depth"]), ("failed", 3))
        self.assertEqual([size for _, size, _, _ in self.chain()], [64, 32, 16, 8])
        self.assertEqual(self.executed(), self.all_of(64)[:3] + [("extract", n) for n in (32, 16, 8)])
        # By hand it goes on, and that again counts from the start: 4, then by itself 2.
        run = self.run_json("retry", run["id"], "-p", "batch_size=4")
        self.assertEqual((run["params"]["batch_size"], run["depth"]), (2, 5))
        self.assertEqual(self.executed(), [("extract", 4), ("extract", 2), ("report", 2)])
        self.expect_nothing_left()

    def test_R07_automatic_retries_obey_the_depth_limit(self):
        file = self.example + "/pipeline.yaml"
        with open(file, encoding="utf-8") as pipeline:
            text = pipeline.read()
        self.write("extraction/pipeline.yaml", text.replace("policy:\n", "policy:\n  max_depth: 1\n"))
        self.run_ratoon(*self.arguments("--auto-retry", 3)).expect_exit(1)
        self.assertEqual([size for _, size, _, _ in self.chain()], [8, 4])


class Stuck(Extraction):
    def test_E05_a_stuck_job_is_cancelled_from_another_process_and_retried(self):
        with open(self.device, "a", encoding="utf-8") as device:
            fcntl.flock(device, fcntl.LOCK_EX)
            process = self.start_ratoon("--json", *self.arguments("-p", "batch_size=2"))
            waiting = {"done": 0, "total": 16, "message": "waiting for the device"}

            def stuck():
                listed = self.run_ratoon("--json", "show", "@last")
                return listed.code == 0 and self.stage(listed.json()["run"], "extract")["progress"] == waiting

            self.until(stuck, "the job waits for the device")
            run = self.run_json("show", "@last")
            self.assertTrue(run["actions"]["cancel"]["available"])
            self.assertFalse(run["actions"]["retry"]["available"])
            self.refused("RUN_ACTIVE", "retry", run["id"])
            answer = self.run_json("cancel", run["id"], "--reason", "stuck")
            self.assertIn(answer["status"], ("cancelling", "cancelled"))
            ended = self.finish(process).expect_exit(8).json()["run"]
            self.assertEqual(ended["status"], "cancelled")
        self.assertEqual(self.executed(), self.all_of(2)[:3])
        self.assertEqual(self.stages(ended)["extract"], "cancelled")
        self.refused("ILLEGAL_TRANSITION", "cancel", run["id"])
        asked = [
            e["data"] for e in self.run_ratoon("--json", "log", run["id"]).json_lines()
            if e["type"] == "run.cancel_requested"
        ]
        self.assertEqual([d["reason"] for d in asked], ["stuck"])
        self.expect_nothing_left()
        again = self.run_json("retry", run["id"], "--reason", "the device is free")
        self.assertEqual((again["status"], again["from_stage"]), ("succeeded", "extract"))
        self.assertEqual(self.executed(), [("extract", 2), ("report", 2)])
        self.expect_nothing_left()


class Demo(Extraction):
    def test_the_walk_that_the_readme_names(self):
        done = subprocess.run(
            [self.example + "/demo.sh"],
            env={**self.env, "RATOON": os.environ["RATOON"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("stuck for too long", done.stdout)


main()
