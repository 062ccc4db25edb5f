"""Several processes at one store: races, cancelling, crashes, queues, following."""

import json
import os
import signal
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import CHAIN, HOLD, PipelineTest
from lib import main


class Concurrency(PipelineTest):
    def hold(self):
        """Starts a run that holds until the file `go` is there."""
        self.pipeline(HOLD)
        process = self.start_ratoon("run", "p.yaml")
        self.until_file("began")
        return process

    def alive(self, pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"

    def held_pid(self):
        def read():
            try:
                with open(self.path("began"), encoding="utf-8") as file:
                    return int(file.read() or 0)
            except FileNotFoundError:
                return 0

        return self.until(read, "the process id of the stage")

    def test_R08_racing_retries_one_branch(self):
        self.pipeline(HOLD)
        self.touch("fail")
        self.touch("go")
        parent = self.run_json("run", "p.yaml", code=1)["id"]
        self.remove("go", "fail", "began")
        racers = [
            self.start_ratoon("--json", "retry", parent, "--from", "hold", "--rerun")
            for _ in range(8)
        ]
        losers = []

        def seven_lost():
            losers[:] = [p for p in racers if p.poll() is not None]
            return len(losers) == 7

        self.until(seven_lost, "seven refusals", 60)
        self.touch("go")
        winners = [p for p in racers if p not in losers]
        self.assertEqual(len(winners), 1)
        run = self.finish(winners[0]).expect_exit(0).json()["run"]
        for process in losers:
            result = self.finish(process).expect_exit(4)
            self.assertEqual(result.json()["error"]["code"], "BRANCH_ACTIVE")
        self.assertEqual(self.run_json("show", parent)["children"], [run["id"]])

    def test_R09_racing_requests_with_one_key_give_one_run(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml", "--until", "one").expect_exit(9)
        self.ran()
        racers = [self.start_ratoon("--json", "run", "p.yaml", "--key", "k") for _ in range(6)]
        ids = {self.finish(p).expect_exit(0).json()["run"]["id"] for p in racers}
        self.assertEqual(len(ids), 1)
        self.assertEqual(self.ran(), ["one", "two", "three"])

    def test_racing_first_runs_share_one_new_store(self):
        self.pipeline(CHAIN)
        racers = [self.start_ratoon("run", "p.yaml") for _ in range(5)]
        for process in racers:
            self.finish(process).expect_exit(0)
        self.assertEqual(len(self.runs()), 5)
        self.assertEqual(sorted(self.ran()), sorted(["one", "two", "three"] * 5))

    def test_L08_a_killed_executor_leaves_a_suspended_run_that_resumes(self):
        process = self.hold()
        stage = self.held_pid()
        process.kill()
        process.communicate()
        # E06: its stage ends with it, and with all its descendants.
        self.until(lambda: not self.alive(stage), "the end of the stage's process")
        run = self.run_json("show", "@last")
        self.assertEqual(run["status"], "suspended")
        self.assertEqual(self.stages(run), {"hold": "pending", "after": "pending"})
        self.touch("go")
        done = self.run_json("resume", "@last")
        self.assertEqual((done["id"], done["status"]), (run["id"], "succeeded"))
        self.assertEqual(self.stage(done, "hold")["attempt"], 2)

    def test_E05_ctrl_c_suspends_the_run_with_exit_130(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.remove("began", "go")
            process = self.hold()
            process.send_signal(number)
            result = self.finish(process).expect_exit(130)
            run = self.run_json("show", "@last")
            self.assertEqual(run["status"], "suspended")
            result.expect_stderr(f"go on with: ratoon resume {run['id']}")
        self.touch("go")
        self.run_ratoon("resume", "@last").expect_exit(0)

    def test_E05_cancel_from_another_process(self):
        process = self.hold()
        stage = self.held_pid()
        shown = self.run_json("cancel", "@last", "--reason", "changed my mind")
        self.assertEqual(shown["status"], "cancelled")
        self.finish(process).expect_exit(8)
        self.until(lambda: not self.alive(stage), "the end of the stage's process")
        self.assertTrue(self.run_json("show", "@last")["actions"]["retry"]["available"])

    def test_E05_cancel_of_a_suspended_run_needs_no_process(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml", "--until", "one").expect_exit(9)
        self.assertEqual(self.run_json("cancel", "@last")["status"], "cancelled")

    def test_L11_a_run_is_seen_by_others_while_it_executes(self):
        process = self.hold()
        run = self.run_json("show", "@last")
        self.assertEqual((run["status"], self.stages(run)["hold"]), ("running", "running"))
        self.assertEqual([r["id"] for r in self.runs("--in-flight")], [run["id"]])
        self.refused("RUN_ACTIVE", "resume", run["id"])
        self.touch("go")
        self.finish(process).expect_exit(0)
        self.assertEqual(self.runs("--in-flight"), [])

    def test_wait_exits_by_the_status(self):
        process = self.hold()
        self.refused("TIMED_OUT", "wait", "@last", "--timeout", "200ms", code=7)
        waiter = self.start_ratoon("--json", "wait", "@last")
        self.touch("fail")
        self.touch("go")
        self.finish(process).expect_exit(1)
        result = self.finish(waiter).expect_exit(1)
        self.assertEqual(result.json()["run"]["status"], "failed")
        self.run_ratoon("wait", "@last").expect_exit(1)

    def test_R08_a_queued_retry_waits_in_the_foreground(self):
        self.pipeline(HOLD)
        self.touch("fail")
        self.touch("go")
        parent = self.run_json("run", "p.yaml", code=1)["id"]
        self.remove("go", "fail", "began")
        active = self.start_ratoon("retry", parent, "--from", "hold", "--rerun")
        self.until_file("began")
        queued = self.start_ratoon("--json", "retry", parent, "--queue")
        waiting = self.until(lambda: self.runs("--status", "queued"), "a queued run")[0]
        self.touch("go")
        self.finish(active).expect_exit(0)
        run = self.finish(queued).expect_exit(0).json()["run"]
        self.assertEqual((run["id"], run["status"]), (waiting["id"], "succeeded"))

    def test_R08_a_queued_retry_whose_waiter_died_is_started_by_resume(self):
        self.pipeline(HOLD)
        self.touch("fail")
        self.touch("go")
        parent = self.run_json("run", "p.yaml", code=1)["id"]
        self.remove("go", "fail", "began")
        active = self.start_ratoon("retry", parent, "--from", "hold", "--rerun")
        self.until_file("began")
        queued = self.start_ratoon("retry", parent, "--queue")
        waiting = self.until(lambda: self.runs("--status", "queued"), "a queued run")[0]
        queued.kill()
        queued.communicate()
        self.touch("go")
        self.finish(active).expect_exit(0)
        self.assertEqual(self.run_json("show", waiting["id"])["status"], "queued")
        self.run_ratoon("resume", waiting["id"]).expect_exit(0)

    def test_R08_whoever_ends_the_active_run_executes_what_nobody_waits_for(self):
        self.pipeline(HOLD)
        self.touch("fail")
        self.touch("go")
        parent = self.run_json("run", "p.yaml", code=1)["id"]
        self.remove("go", "fail", "began")
        active = self.start_ratoon("--json", "retry", parent, "--from", "hold", "--rerun")
        self.until_file("began")
        queued = self.run_json("retry", parent, "--queue", "--no-exec")
        self.assertEqual(queued["status"], "queued")
        self.touch("go")
        run = self.finish(active).expect_exit(0).json()["run"]
        self.assertNotEqual(run["id"], queued["id"])
        self.assertEqual(self.run_json("show", queued["id"])["status"], "succeeded")

    def test_R10_a_held_scope_refuses_naming_the_holder(self):
        self.pipeline(HOLD.replace("stages:", "policy: {scope: only}\nstages:"))
        process = self.start_ratoon("run", "p.yaml")
        self.until_file("began")
        holder = self.run_json("show", "@last")["id"]
        error = self.refused("SCOPE_BUSY", "run", "p.yaml")
        self.assertIn(holder, error["message"] + error["hint"])
        self.assertIn("'only'", error["message"])
        self.assertEqual(error["details"].get("other"), holder)
        self.touch("go")
        self.finish(process).expect_exit(0)
        self.run_ratoon("run", "p.yaml").expect_exit(0)

    def test_Q06_watch_follows_from_a_position_on_without_a_gap(self):
        process = self.hold()
        watcher = self.start_ratoon("--json", "watch", "--from", "1")
        self.touch("go")
        self.finish(process).expect_exit(0)
        positions, kinds = [], []
        for line in watcher.stdout:
            document = json.loads(line)
            self.assertEqual(
                set(document), {"schema", "position", "lineage", "commit", "time", "events"}
            )
            positions.append(document["position"])
            kinds += [event["type"] for event in document["events"]]
            if "run.ended" in kinds:
                break
        self.assertEqual(positions, list(range(1, len(positions) + 1)))
        self.assertEqual(kinds[0], "run.created")
        watcher.send_signal(signal.SIGINT)
        self.finish(watcher).expect_exit(130)

    def test_Q06_A03_a_failure_says_what_can_be_done_now(self):
        self.pipeline(
            "pipeline: oom\nparams:\n  size: {type: int, default: 8, min: 1}\nstages:\n"
            "  - {name: a, shell: true, adjust: {OOM: {size: {op: halve}}},\n"
            "     run: 'echo CUDA out of memory >&2; exit 1'}\n"
        )
        self.run_ratoon("run", "p.yaml").expect_exit(1)
        watcher = self.start_ratoon("--json", "watch", "--from", "1")
        failures = {}
        for line in watcher.stdout:
            for event in json.loads(line)["events"]:
                if "actions" in event["data"]:
                    failures[event["type"]] = event["data"]
            if "run.ended" in failures:
                break
        error = failures["stage.ended"]["error"]
        self.assertEqual((error["class"], error["suggested_overrides"]), ("OOM", {"size": 4}))
        actions = failures["run.ended"]["actions"]
        self.assertTrue(actions["retry"]["available"])
        self.assertEqual(actions["retry"]["suggested_overrides"], {"size": 4})
        self.assertFalse(actions["cancel"]["available"])


main()
