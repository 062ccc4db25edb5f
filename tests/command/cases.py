"""Pipelines for tests of the command, and ways to look at what became of them."""

import json
import os
import time

from lib import CommandTest

# Shapes of documents, as the interface has them.
RUN_KEYS = set(
    "id pipeline version digest status subject scope root parent depth number requested_stage "
    "from_stage boundary reason automatic actor created_at started_at ended_at external_ref "
    "params overrides labels children actions".split()
)
STAGE_KEYS = set(
    "name status attempt started_at ended_at reused_from stale progress error items".split()
)
ERROR_KEYS = set("class message detail retryable suggested_overrides".split())
ITEM_KEYS = set("total done failed missing committed".split())
PLAN_KEYS = set(
    "token parent requested_stage from_stage boundary run reuse items params edits missing depth "
    "max_depth waits_for refusals".split()
)

# Three stages in a line; the second fails while the parameter says so.
CHAIN = """
pipeline: chain
params:
  fail: {type: string, default: ""}
  size: {type: int, default: 8, min: 1, max: 64, power_of_two: true}
stages:
  - name: one
    shell: true
    run: 'echo one >> ran; echo "first=1" > $RATOON_OUTPUT'
    produces: [first]
  - name: two
    shell: true
    run: 'echo two >> ran; [ "$RATOON_PARAM_FAIL" != two ] || { echo "no luck" >&2; exit 3; }; echo "second=2" > $RATOON_OUTPUT'
    requires: [first]
    produces: [second]
  - name: three
    shell: true
    run: 'echo three >> ran; [ "$RATOON_PARAM_FAIL" != three ] || exit 4; echo "third=$RATOON_PARAM_SIZE" > $RATOON_OUTPUT'
"""

# Items a, b, c; the one that the parameter names fails.
ITEMS = """
pipeline: items
params:
  bad: {type: string, default: ""}
stages:
  - name: make
    shell: true
    run: 'echo "{\\"list\\": [\\"a\\", \\"b\\", \\"c\\"]}" > $RATOON_OUTPUT'
    produces: [list]
  - name: each
    foreach: list
    shell: true
    run: 'echo $RATOON_ITEM >> ran; echo "for $RATOON_ITEM"; [ "$RATOON_ITEM" != "$RATOON_PARAM_BAD" ] || { echo "bad $RATOON_ITEM" >&2; exit 1; }; echo "out=$RATOON_ITEM" > $RATOON_OUTPUT'
    produces: [out]
  - name: last
    shell: true
    run: 'true'
"""

# The stage `hold` says that it began, and ends when the file `go` is there.
HOLD = """
pipeline: hold
stages:
  - name: hold
    shell: true
    grace: 1s
    run: 'echo $$ > began; n=0; while [ ! -e go ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done; echo "held=1" > $RATOON_OUTPUT'
  - name: after
    shell: true
    run: 'echo after >> ran; [ ! -e fail ]'
"""


class PipelineTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.env["LC_ALL"] = "C.UTF-8"

    def pipeline(self, text, name="p.yaml"):
        return self.write(name, text)

    def ran(self):
        """What stages noted in the file `ran`, and forgets it."""
        try:
            with open(self.path("ran"), encoding="utf-8") as file:
                words = file.read().split()
            os.unlink(self.path("ran"))
            return words
        except FileNotFoundError:
            return []

    def touch(self, name):
        self.write(name, "")

    def remove(self, *names):
        for name in names:
            try:
                os.unlink(self.path(name))
            except FileNotFoundError:
                pass

    def until(self, condition, what, seconds=30):
        """Waits until the condition holds; its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        self.fail(f"not within {seconds} s: {what}")

    def until_file(self, name):
        self.until(lambda: os.path.exists(self.path(name)), f"the file {name}")

    def json(self, *arguments, code=0, **keywords):
        """Executes with --json, expects the exit code; the last document."""
        return self.run_ratoon("--json", *arguments, **keywords).expect_exit(code).json()

    def run_json(self, *arguments, code=0, **keywords):
        return self.json(*arguments, code=code, **keywords)["run"]

    def refused(self, status, *arguments, code=4, **keywords):
        """Expects a refusal with this code, on stderr and as JSON; its error object."""
        result = self.run_ratoon("--json", *arguments, **keywords).expect_exit(code)
        error = result.json()["error"]
        self.assertEqual(set(error), {"code", "message", "hint", "details"})
        if error["code"] != status:
            result.fail(f"expected {status}")
        result.expect_stderr(f"ratoon: {status}: ")
        return error

    def stages(self, run):
        return {stage["name"]: stage["status"] for stage in run["stages"]}

    def stage(self, run, name):
        return next(stage for stage in run["stages"] if stage["name"] == name)

    def state(self, run="@last", *arguments):
        return self.json("state", run, *arguments)["state"]

    def runs(self, *arguments):
        return [d["run"] for d in self.run_ratoon("--json", "list", *arguments).expect_exit(0).json_lines()]


__all__ = [name for name in dir() if name.isupper() or name == "PipelineTest"] + ["json"]
