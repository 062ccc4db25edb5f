"""delete, prune, backup and restore on the command line (R20)."""

import os
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from lib import CommandTest, main

PIPELINE = """
pipeline: demo
stages:
  - {name: a, shell: true, run: "echo hello; head -c 4000 /dev/zero | tr '\\\\0' x > big; printf 'k=' > $RATOON_OUTPUT; cat big >> $RATOON_OUTPUT"}
  - {name: b, shell: true, run: "echo v=w > $RATOON_OUTPUT"}
"""


class Delete(CommandTest):
    def setUp(self):
        super().setUp()
        self.write("p.yaml", PIPELINE)

    def new_run(self):
        done = self.run_ratoon("--json", "run", "p.yaml").expect_exit(0)
        return done.json()["run"]["id"]

    def problems(self, *options):
        return self.run_ratoon("--json", *options, "verify").expect_exit(0).json()["problems"]

    def test_R20_delete_says_what_went_and_leaves_nothing(self):
        run = self.new_run()
        self.assertTrue(os.path.isdir(self.path(".ratoon", "output", run)))
        deleted = self.run_ratoon("--json", "delete", run).expect_exit(0).json()["deleted"]
        self.assertEqual(deleted["root"], run)
        self.assertEqual(deleted["runs"], 1)
        self.assertEqual(deleted["freed"]["values"], 2)
        self.assertGreaterEqual(deleted["freed"]["files"], 1)
        self.assertFalse(os.path.exists(self.path(".ratoon", "output", run)))
        self.assertFalse(os.path.exists(self.path(".ratoon", "work", run)))
        for command in ("show", "tree", "log", "delete"):
            self.run_ratoon(command, run).expect_exit(3)
        self.run_ratoon("list").expect_exit(0)
        self.assertEqual(self.problems(), [])

    def test_R20_branches_need_the_flag(self):
        run = self.new_run()
        self.run_ratoon("retry", run, "--from", "b", "--rerun").expect_exit(0)
        refused = self.run_ratoon("--json", "delete", run).expect_exit(4)
        self.assertEqual(refused.json()["error"]["code"], "HAS_BRANCHES")
        self.run_ratoon("delete", run, "--lineage").expect_exit(0).expect_stdout("2 runs")
        self.run_ratoon("show", run).expect_exit(3)
        self.assertEqual(self.problems(), [])

    def test_R20_active_runs_are_kept(self):
        run = self.new_run()
        self.run_ratoon("retry", run, "--from", "b", "--rerun", "--no-exec").expect_exit(0)
        refused = self.run_ratoon("--json", "delete", "--lineage", run).expect_exit(4)
        self.assertEqual(refused.json()["error"]["code"], "RUN_ACTIVE")

    def test_R20_prune_by_age_and_dry_run(self):
        run = self.new_run()
        self.run_ratoon("prune").expect_exit(2)
        self.run_ratoon("prune", "--older-than", "soon").expect_exit(2)
        kept = self.run_ratoon("--json", "prune", "--older-than", "90d").expect_exit(0).json()
        self.assertEqual(kept["pruned"]["lineages"], [])
        self.run_ratoon("annotate", run, "still here").expect_exit(0)
        would = self.run_ratoon("--json", "prune", "--older-than", "0s", "--dry-run")
        # Ages are in whole seconds of the clock: the run may be of this very second.
        lineages = would.expect_exit(0).json()["pruned"]["lineages"]
        self.assertIn([one["root"] for one in lineages], ([], [run]))
        self.run_ratoon("show", run).expect_exit(0)
        done = self.run_ratoon("--json", "prune", "--older-than", "2100-01-01").expect_exit(0)
        self.assertEqual([one["root"] for one in done.json()["pruned"]["lineages"]], [run])
        self.run_ratoon("show", run).expect_exit(3)
        self.assertEqual(self.problems(), [])

    def test_R20_backup_and_restore(self):
        run = self.new_run()
        self.run_ratoon("backup", "copy").expect_exit(0).expect_stdout("copy")
        self.run_ratoon("backup", "copy").expect_exit(2).expect_stderr("EXISTS")
        self.run_ratoon("delete", run).expect_exit(0)
        self.run_ratoon("restore", "copy").expect_exit(2).expect_stderr("EXISTS")
        restored = self.run_ratoon("--json", "--store", "other", "restore", "copy").expect_exit(0)
        self.assertEqual(restored.json()["restored"]["store"], "other")
        for store in ("copy", "other"):
            self.run_ratoon("--store", store, "show", run).expect_exit(0)
            self.run_ratoon("--store", store, "logs", run, "a").expect_exit(0).expect_stdout("hello")
            self.assertEqual(self.problems("--store", store), [])
        self.run_ratoon("--store", "third", "restore", "nothing").expect_exit(3)

    def test_R20_backup_of_a_store_that_another_process_owns(self):
        self.new_run()
        self.write("q.yaml", "pipeline: q\nstages:\n  - {name: s, run: [sleep, '20']}\n")
        self.start_ratoon("run", "q.yaml")
        for _ in range(200):
            active = self.run_ratoon("--json", "list", "--status", "running")
            if active.stdout:
                break
            time.sleep(0.05)
        self.run_ratoon("backup", "copy").expect_exit(0)
        runs = self.run_ratoon("--store", "copy", "--json", "list").expect_exit(0).json_lines()
        self.assertEqual([r["run"]["status"] for r in runs], ["suspended", "succeeded"])
        self.assertEqual(self.problems("--store", "copy"), [])


main()
