"""What history keeps: which retries there were and how, and what stages found out at run time."""

import json
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import CHAIN, ITEMS, PipelineTest
from lib import main

# The first stage finds something out; the second needs it, and fails while a file is there.
FINDS = """
pipeline: finds
stages:
  - name: find
    shell: true
    run: 'echo find >> ran; echo "tool=/opt/tool-$$" > $RATOON_OUTPUT; echo "version=7" >> $RATOON_OUTPUT'
    produces: [tool, version]
  - name: use
    shell: true
    requires: [tool]
    run: 'echo use >> ran; cp $RATOON_STATE received; [ ! -e broken ]'
  - name: hold
    shell: true
    run: 'cp $RATOON_STATE received; : > began; n=0; while [ -e busy ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done'
"""


class History(PipelineTest):
    def created(self, run):
        """What the first events of the lineage's runs say, by run."""
        events = self.run_ratoon("--json", "log", run, "--lineage").expect_exit(0).json_lines()
        return {e["run"]: e["data"] for e in events if e["type"] == "run.created"}

    def test_R21_each_retry_and_how_is_in_the_history_of_lineage_and_subject(self):
        self.pipeline(ITEMS)
        root = self.run_json(
            "run", "p.yaml", "--subject", "thing", "--param", "bad=b", code=1
        )["id"]
        failed = self.run_json("retry", root, "--items", "failed", code=1)["id"]
        mended = self.run_json(
            "retry", failed, "--param", "bad=", "--reason", "b is well", "--item", "b"
        )["id"]
        again = self.run_json("retry", mended, "--from", "each", "--rerun", "--items", "all")["id"]
        created = self.created(again)
        told = [
            (
                created[run].get("parent"),
                created[run].get("requested_stage"),
                created[run].get("rerun", False),
                created[run].get("items"),
                created[run].get("overrides", {}),
                created[run].get("reason", ""),
            )
            for run in (root, failed, mended, again)
        ]
        self.assertEqual(
            told,
            [
                (None, None, False, None, {}, ""),
                (root, "each", False, "failed", {}, ""),
                (failed, "each", False, "listed", {"bad": {"old": "b", "new": ""}}, "b is well"),
                (mended, "each", True, "all", {}, ""),
            ],
        )
        runs = self.runs("--subject", "thing")
        self.assertEqual([run["id"] for run in runs], [again, mended, failed, root])
        self.assertEqual(
            [(run["requested_stage"], run["overrides"]) for run in runs],
            [
                ("each", {}),
                ("each", {"bad": {"old": "b", "new": ""}}),
                ("each", {}),
                (None, {}),
            ],
        )

    def test_R21_the_preview_leaves_no_trace(self):
        self.pipeline(CHAIN)
        root = self.run_json("run", "p.yaml", "--param", "fail=two", code=1)["id"]
        self.json("retry", root, "--dry-run")
        self.assertEqual(list(self.created(root)), [root])

    def test_S09_what_a_stage_found_out_is_back_after_a_retry(self):
        self.pipeline(FINDS)
        self.touch("broken")
        self.run_json("run", "p.yaml", code=1)
        found = self.state()
        self.assertRegex(found["tool"], "^/opt/tool-[0-9]+$")
        self.remove("broken", "received")
        self.ran()
        self.run_json("retry", "@last")
        self.assertEqual(self.ran(), ["use"])
        self.assertEqual(self.received(), {"tool": found["tool"], "version": "7"})

    def test_S09_what_a_stage_found_out_is_back_after_a_resume(self):
        self.pipeline(FINDS)
        self.touch("busy")
        process = self.start_ratoon("run", "p.yaml")
        self.until_file("began")
        process.kill()
        self.finish(process)
        found = self.state()
        self.remove("busy", "received")
        self.ran()
        self.run_json("resume", "@last")
        self.assertEqual(self.ran(), [])
        self.assertEqual(self.received(), {"tool": found["tool"], "version": "7"})

    def received(self):
        with open(self.path("received"), encoding="utf-8") as file:
            return json.load(file)


main()
