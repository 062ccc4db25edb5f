"""stats: what the runs of each pipeline came to."""

import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import CHAIN, ITEMS, PipelineTest
from lib import main

STAGE = set(
    "name executions success_rate errors retries retries_that_helped seconds_total seconds_saved".split()
)


class Stats(PipelineTest):
    def stats(self, *arguments):
        return self.json("stats", *arguments)["pipelines"]

    def family(self):
        self.pipeline(CHAIN)
        root = self.run_json("run", "p.yaml", "--param", "fail=two", code=1)["id"]
        self.run_json("retry", root, code=1)  # in vain
        self.run_json("retry", root, "--param", "fail=")
        return root

    def test_Q04_success_errors_retries_and_depth(self):
        self.family()
        (chain,) = self.stats()
        self.assertEqual(set(chain), {"pipeline", "runs", "by_status", "stages", "depth"})
        self.assertEqual((chain["pipeline"], chain["runs"]), ("chain", 3))
        self.assertEqual(chain["by_status"], {"failed": 2, "succeeded": 1})
        self.assertEqual(chain["depth"], {"0": 1, "1": 2})
        one, two, three = chain["stages"]
        for stage in chain["stages"]:
            self.assertEqual(set(stage), STAGE)
        self.assertEqual((one["name"], one["executions"], one["success_rate"]), ("one", 1, 1))
        self.assertEqual((two["executions"], two["errors"]), (3, {"EXECUTION": 2}))
        self.assertAlmostEqual(two["success_rate"], 1 / 3)
        self.assertEqual((two["retries"], two["retries_that_helped"]), (2, 1))
        self.assertEqual((three["executions"], three["retries"]), (1, 0))
        self.assertGreater(one["seconds_saved"], 0)
        self.assertGreater(two["seconds_total"], 0)
        self.assertEqual(two["seconds_saved"], 0)

    def test_Q04_a_later_call_adds_what_came_since(self):
        self.assertEqual(self.run_ratoon("stats").code, 3)
        root = self.family()
        self.stats()
        self.run_json("retry", root, "--from", "one", "--rerun", "--param", "fail=")
        self.run_json("run", "p.yaml", "--until", "one", code=9)  # suspended: it hasn't ended
        (chain,) = self.stats()
        self.assertEqual(chain["by_status"], {"failed": 2, "succeeded": 2, "suspended": 1})
        one = chain["stages"][0]
        # Going back to what had succeeded is a rerun: nothing was to be helped.
        self.assertEqual((one["executions"], one["retries"]), (3, 0))
        self.run_json("resume", "@last")
        (chain,) = self.stats()
        self.assertEqual(chain["by_status"], {"failed": 2, "succeeded": 3})

    def test_Q04_attempts_of_a_policy_are_retries(self):
        self.pipeline(
            """
pipeline: flaky
stages:
  - name: only
    shell: true
    run: 'echo only >> ran; [ $(wc -l < ran) -ge 3 ] || exit 75'
    retry: {attempts: 5, initial: 10ms, classes: [TRANSIENT]}
"""
        )
        self.run_json("run", "p.yaml")
        (stage,) = self.stats()[0]["stages"]
        self.assertEqual((stage["executions"], stage["errors"]), (3, {"TRANSIENT": 2}))
        self.assertEqual((stage["retries"], stage["retries_that_helped"]), (2, 1))

    def test_Q04_one_pipeline_and_text(self):
        self.family()
        self.pipeline(ITEMS)
        self.run_json("run", "p.yaml")
        self.assertEqual([p["pipeline"] for p in self.stats()], ["chain", "items"])
        self.assertEqual([p["pipeline"] for p in self.stats("--pipeline", "items")], ["items"])
        self.refused("NOT_FOUND", "stats", "--pipeline", "none", code=3)
        text = self.run_ratoon("stats", "--pipeline", "chain").expect_exit(0)
        text.expect_stdout("3 runs").expect_stdout("EXECUTION 2").expect_stdout("33%")
        # The stage that fails most comes first.
        lines = text.stdout.splitlines()
        self.assertTrue(lines[2].lstrip().startswith("two"))

    def test_Q04_deleted_runs_are_no_longer_counted(self):
        root = self.family()
        self.run_json("run", "p.yaml")
        self.stats()
        self.run_ratoon("delete", root, "--lineage").expect_exit(0)
        (chain,) = self.stats()
        self.assertEqual((chain["runs"], chain["by_status"]), (1, {"succeeded": 1}))


main()
