"""run: new runs, parameters, state, secrets, keys, --resume."""

import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import CHAIN, ERROR_KEYS, HOLD, ITEM_KEYS, ITEMS, RUN_KEYS, STAGE_KEYS, PipelineTest
from lib import RATOON, main

TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"


class Run(PipelineTest):
    def test_E01_run_executes_the_stages_and_succeeds(self):
        self.pipeline(CHAIN)
        result = self.run_ratoon("run", "p.yaml").expect_exit(0)
        self.assertEqual(self.ran(), ["one", "two", "three"])
        result.expect_stdout("succeeded")
        result.expect_stderr("three: succeeded")
        self.assertTrue(os.path.isdir(self.path(".ratoon")))

    def test_what_it_tells_meanwhile_comes_by_whole_lines(self):
        """Each write is a message of its own here: what others write can't come in between."""
        self.pipeline(CHAIN)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            command = [RATOON, "run", "p.yaml", "--param", "fail=two"]
            done = subprocess.run(
                command,
                cwd=self.dir,
                env=self.env,
                stdout=subprocess.DEVNULL,
                stderr=theirs,
                check=False,
                timeout=120,
            )
            theirs.close()
            written = list(iter(lambda: ours.recv(65536), b""))
        self.assertEqual(done.returncode, 1)
        self.assertTrue(any(b"two: failed" in message for message in written), written)
        for message in written:
            self.assertTrue(message.endswith(b"\n"), written)

    def test_run_document_has_the_shape_of_the_interface(self):
        self.pipeline(CHAIN)
        result = self.run_ratoon("--json", "run", "p.yaml", "--label", "a=b", "--subject", "s")
        document = result.expect_exit(0).json()
        self.assertEqual(set(document), {"schema", "run"})
        run = document["run"]
        self.assertLessEqual(RUN_KEYS | {"stages"}, set(run))
        self.assertEqual(
            (run["pipeline"], run["version"], run["status"]), ("chain", 1, "succeeded")
        )
        self.assertEqual((run["root"], run["parent"], run["depth"]), (run["id"], None, 0))
        self.assertEqual((run["number"], run["automatic"], run["children"]), (1, False, []))
        self.assertEqual((run["labels"], run["subject"]), ({"a": "b"}, "s"))
        self.assertEqual(run["params"], {"fail": "", "size": 8})
        for key in ("created_at", "started_at", "ended_at"):
            self.assertRegex(run[key], TIME)
        for stage in run["stages"]:
            self.assertLessEqual(STAGE_KEYS, set(stage))
        self.assertEqual(set(run["actions"]), {"retry", "cancel", "resume"})
        self.assertLessEqual(
            {"available", "why_not", "from_stage", "suggested_overrides"},
            set(run["actions"]["retry"]),
        )
        self.assertFalse(run["actions"]["cancel"]["available"])
        self.assertTrue(run["actions"]["cancel"]["why_not"])

    def test_E09_a_failed_run_ends_with_the_exact_command_to_go_on(self):
        self.pipeline(CHAIN)
        result = self.run_ratoon("run", "p.yaml", "--param", "fail=two").expect_exit(1)
        run = self.run_json("show", "@last")
        self.assertEqual(run["status"], "failed")
        self.assertEqual(
            self.stages(run), {"one": "succeeded", "two": "failed", "three": "pending"}
        )
        error = self.stage(run, "two")["error"]
        self.assertLessEqual(ERROR_KEYS, set(error))
        self.assertEqual(error["class"], "EXECUTION")
        self.assertIn("exit 3", error["message"])
        self.assertIn("no luck", error["detail"])
        command = f"ratoon retry {run['id']} --from two"
        result.expect_stderr(f"go on with: {command}\n")
        result.expect_stderr("runs two, three; reuses one")
        # The command that is named works.
        self.ran()
        again = self.run_ratoon(*command.split()[1:], "--param", "fail=").expect_exit(0)
        again.expect_stderr("reuses one")
        self.assertEqual(self.ran(), ["two", "three"])

    def test_E09_the_command_to_go_on_names_the_store_that_was_given(self):
        self.pipeline(CHAIN)
        result = self.run_ratoon("--store", "my store", "run", "p.yaml", "--param", "fail=two")
        result.expect_exit(1).expect_stderr("go on with: ratoon --store 'my store' retry ")

    def test_L05_a_forgiven_failure_leaves_the_run_degraded_with_exit_0_and_a_warning(self):
        self.pipeline(
            "pipeline: d\nstages:\n  - {name: a, run: ['false'], allow_failure: true}\n"
            "  - {name: b, run: ['true']}\n"
        )
        result = self.run_ratoon("run", "p.yaml").expect_exit(0)
        result.expect_stderr("warning: ")
        self.assertEqual(self.run_json("show", "@last")["status"], "degraded")

    def test_E09_what_goes_on_does_not_name_a_forgiven_failure(self):
        self.pipeline(
            "pipeline: d\nstages:\n  - {name: a, run: ['false'], allow_failure: true}\n"
            "  - {name: b, run: ['true']}\n"
        )
        self.run_ratoon("run", "p.yaml", "--until", "a").expect_exit(9)
        self.run_ratoon("resume", "@last").expect_exit(0).expect_stderr("goes on: runs b\n")

    def test_R12_parameters_are_checked_before_anything_is_appended(self):
        self.pipeline(CHAIN)
        for value in ("7", "128", "x", ""):
            self.refused("PARAM_INVALID", "run", "p.yaml", "--param", f"size={value}")
        self.refused("PARAM_INVALID", "run", "p.yaml", "--param", "unknown=1")
        self.assertEqual(self.runs(), [])
        self.assertEqual(self.ran(), [])

    def test_S01_initial_state_is_kept_whole(self):
        self.pipeline("pipeline: s\nstages:\n  - {name: a, run: ['true']}\n")
        long = "x" * 5000
        text = '{"long": "%s", "number": 12345678901234567890.5, "tree": {"b": [1, 2]}}' % long
        self.write("state.json", text)
        self.run_ratoon("run", "p.yaml", "--state", "state.json").expect_exit(0)
        state = self.state("@last", "--at", "start")
        self.assertEqual(state["long"], long)
        self.assertEqual(state["tree"], {"b": [1, 2]})
        shown = self.run_ratoon("state", "@last", "number").expect_exit(0)
        self.assertEqual(shown.stdout, "12345678901234567890.5\n")

    def test_state_file_that_is_no_object_is_a_usage_error(self):
        self.pipeline(CHAIN)
        self.write("array.json", "[1]")
        self.write("broken.json", '{"a": ')
        for name in ("array.json", "broken.json", "missing.json"):
            self.refused("USAGE", "run", "p.yaml", "--state", name, code=2)
        self.assertFalse(os.path.exists(self.path(".ratoon")))

    def test_R09_a_repeated_key_executes_nothing_again(self):
        self.pipeline(CHAIN)
        first = self.run_json("run", "p.yaml", "--key", "k")
        self.ran()
        again = self.run_json("run", "p.yaml", "--key", "k")
        self.assertEqual(first["id"], again["id"])
        self.assertEqual(self.ran(), [])
        self.refused("KEY_REUSED", "run", "p.yaml", "--key", "k", "--param", "size=4")
        failed = self.run_json("run", "p.yaml", "--key", "f", "--param", "fail=two", code=1)
        self.assertEqual(
            self.run_json("run", "p.yaml", "--key", "f", "--param", "fail=two", code=1)["id"],
            failed["id"],
        )

    def test_R17_a_target_above_the_version_is_refused_before_the_first_event(self):
        self.pipeline(CHAIN.replace("pipeline: chain", "pipeline: chain\nversion: 3"))
        self.refused("VERSION_AHEAD", "run", "p.yaml", "--target", "4")
        self.assertEqual(self.runs(), [])
        self.run_ratoon("run", "p.yaml", "--target", "3").expect_exit(0)

    def test_E02_until_executes_that_far_and_suspends_with_exit_9(self):
        self.pipeline(CHAIN)
        result = self.run_ratoon("run", "p.yaml", "--until", "two").expect_exit(9)
        self.assertEqual(self.ran(), ["one", "two"])
        run = self.run_json("show", "@last")
        self.assertEqual(run["status"], "suspended")
        self.assertTrue(run["actions"]["resume"]["available"])
        result.expect_stderr(f"go on with: ratoon resume {run['id']}")
        self.run_ratoon("resume", "@last").expect_exit(0)
        self.assertEqual(self.ran(), ["three"])
        # Where nothing is left the outcome is the normal one.
        self.run_ratoon("run", "p.yaml", "--until", "three").expect_exit(0)
        self.refused("NO_SUCH_STAGE", "run", "p.yaml", "--until", "nowhere")

    def test_E08_a_secret_comes_from_the_environment_and_is_written_nowhere(self):
        self.pipeline(
            "pipeline: s\nparams:\n  api_key: {type: string, secret: true}\nstages:\n"
            "  - name: a\n    shell: true\n"
            '    run: \'echo "the key is $RATOON_PARAM_API_KEY"; echo "n=${#RATOON_PARAM_API_KEY}" > $RATOON_OUTPUT\'\n'
        )
        secret = "swordfish-4711"
        error = self.refused("USAGE", "run", "p.yaml", code=2)
        self.assertIn("RATOON_SECRET_API_KEY", error["message"])
        self.assertFalse(os.path.exists(self.path(".ratoon")))
        env = {"RATOON_SECRET_API_KEY": secret}
        self.refused("USAGE", "run", "p.yaml", "--param", "api_key=x", code=2, env=env)
        result = self.run_ratoon("--json", "run", "p.yaml", env=env).expect_exit(0)
        self.assertNotIn(secret, result.stdout + result.stderr)
        self.assertEqual(self.state("@last")["n"], str(len(secret)))
        logs = self.run_ratoon("logs", "@last", "a").expect_exit(0)
        self.assertNotIn(secret, logs.stdout)
        self.assertIn("the key is ", logs.stdout)
        found = subprocess.run(
            ["grep", "-rl", secret, self.path(".ratoon")], capture_output=True, check=False
        )
        self.assertEqual(found.stdout, b"")

    def test_R13_a_failed_item_does_not_stop_the_others(self):
        self.pipeline(ITEMS)
        run = self.run_json("run", "p.yaml", "--param", "bad=b", code=1)
        self.assertEqual(sorted(self.ran()), ["a", "b", "c"])
        items = self.stage(run, "each")["items"]
        self.assertEqual(set(items), ITEM_KEYS)
        self.assertEqual((items["total"], items["done"], items["failed"]), (3, 2, 1))

    def test_A05_automatic_retries_with_suggested_parameters(self):
        self.pipeline(
            "pipeline: a\nparams:\n"
            "  size: {type: int, default: 8, min: 1, max: 512, power_of_two: true}\n"
            "stages:\n  - name: fit\n    shell: true\n"
            "    run: 'echo $RATOON_PARAM_SIZE >> ran; [ $RATOON_PARAM_SIZE -le 2 ] || { echo \"CUDA out of memory\" >&2; exit 1; }'\n"
            "    adjust: {OOM: {size: {op: halve, min: 1}}}\n"
        )
        # Off by default; the suggestion is shown and is in the command to go on.
        result = self.run_ratoon("run", "p.yaml").expect_exit(1)
        result.expect_stderr("--param size=4")
        self.assertEqual(self.ran(), ["8"])
        result = self.run_ratoon("--json", "run", "p.yaml", "--auto-retry", "3").expect_exit(0)
        self.assertEqual(self.ran(), ["8", "4", "2"])
        run = result.json()["run"]
        self.assertEqual((run["depth"], run["automatic"], run["status"]), (2, True, "succeeded"))
        self.assertEqual(run["overrides"], {"size": {"old": 4, "new": 2}})
        self.assertIn("OOM", run["reason"])
        result.expect_stderr("OOM: size 8 -> 4")
        # As many as asked for, and no more; the exit code is that of the last one.
        run = self.run_json("run", "p.yaml", "--auto-retry", "1", code=1)
        self.assertEqual(self.ran(), ["8", "4"])
        self.assertEqual((run["depth"], run["status"]), (1, "failed"))

    def test_R22_a_cascade_is_executed_after_its_cause(self):
        self.pipeline(
            "pipeline: up\nparams: {n: {type: int, default: 1}}\nstages:\n"
            "  - {name: make, shell: true, run: 'echo \"made=$RATOON_PARAM_N\" > $RATOON_OUTPUT'}\n"
        )
        consumer = (
            "pipeline: down\npolicy: {cascade: auto}\nstages:\n"
            "  - {name: before, shell: true, run: 'echo before >> ran'}\n"
            "  - {name: use, shell: true, run: 'echo use >> ran; [ ! -e broken ]; s=$?; "
            'echo "{\\"consumes\\": \\"$(cat up)\\"}" > $RATOON_EVENTS; exit $s\'}\n'
        )
        self.pipeline(consumer, "down.yaml")
        up = self.run_json("run", "p.yaml")["id"]
        self.write("up", up)
        down = self.run_json("run", "down.yaml")
        self.assertEqual(self.run_ratoon("--json", "stale").expect_exit(0).stdout, "")
        self.ran()
        # run, resume and retry print, and exit by, the run itself.
        retry = self.run_json("retry", up, "--from", "make", "--rerun", "--param", "n=2")
        self.assertEqual(retry["pipeline"], "up")
        self.assertEqual(self.ran(), ["use"])
        cascaded = self.runs("--pipeline", "down")[0]
        self.assertEqual((cascaded["parent"], cascaded["automatic"]), (down["id"], True))
        # A cascade that fails is a warning.
        self.touch("broken")
        result = self.run_ratoon("retry", up, "--from", "make", "--rerun", "--param", "n=3")
        result.expect_exit(0).expect_stderr("warning: the cascaded run")

    def test_E05_cancelled_run_exits_8(self):
        self.pipeline(HOLD)
        process = self.start_ratoon("run", "p.yaml")
        self.until_file("began")
        run = self.run_json("cancel", "@last", "--reason", "enough")
        self.assertEqual(run["status"], "cancelled")
        self.finish(process).expect_exit(8)
        self.refused("ILLEGAL_TRANSITION", "cancel", "@last")


class RunResume(PipelineTest):
    def commits(self, run):
        """What each commit of a run says of stages, in order: "ended one, started two"."""
        found = {}
        for e in self.run_ratoon("--json", "log", run).expect_exit(0).json_lines():
            if e["type"] in ("stage.started", "stage.ended"):
                kind = e["type"].split(".")[1]
                found.setdefault(e["commit"], []).append(f"{kind} {e['stage']}")
        return [", ".join(events) for _, events in sorted(found.items())]

    def test_E01_a_stage_ends_and_the_next_start_in_one_durable_commit(self):
        # What a stage finds in the log while it is executed is there already: L08.
        look = f"{RATOON} --json log $RATOON_RUN > seen.$RATOON_STAGE"
        until = f"until {RATOON} --json log $RATOON_RUN | grep -q ended.*two; do sleep 0.05; done"
        self.pipeline(
            "pipeline: p\nstages:\n"
            f"  - {{name: one, shell: true, run: '{look}'}}\n"
            f"  - {{name: two, shell: true, run: '{look}', needs: [one]}}\n"
            f"  - {{name: three, shell: true, run: '{look}; {until}', needs: [one]}}\n"
            f"  - {{name: four, shell: true, run: '{look}', needs: [two, three]}}\n"
        )
        run = self.run_json("run", "p.yaml", "--jobs", "2")["id"]
        self.assertEqual(
            self.commits(run),
            [
                "started one",
                "ended one, started two, started three",
                "ended two",
                "ended three, started four",
                "ended four",
            ],
        )
        for stage in ("one", "two", "three", "four"):
            with open(self.path(f"seen.{stage}"), encoding="utf-8") as file:
                seen = [json.loads(line) for line in file]
            self.assertIn(("stage.started", stage), [(e["type"], e["stage"]) for e in seen])
            self.assertNotIn(("stage.ended", stage), [(e["type"], e["stage"]) for e in seen])

    def test_E01_only_as_many_start_with_an_end_as_jobs_allow(self):
        self.pipeline(
            "pipeline: p\nstages:\n"
            '  - {name: one, run: ["true"]}\n'
            '  - {name: two, run: ["true"], needs: [one]}\n'
            '  - {name: three, run: ["true"], needs: [one]}\n'
        )
        run = self.run_json("run", "p.yaml", "--jobs", "1")["id"]
        self.assertEqual(
            self.commits(run),
            ["started one", "ended one, started two", "ended two, started three", "ended three"],
        )

    def test_S04_an_end_is_kept_where_the_next_stage_is_refused(self):
        self.pipeline(
            "pipeline: p\nstages:\n"
            "  - {name: one, shell: true, run: 'echo a=1 > $RATOON_OUTPUT'}\n"
            '  - {name: two, run: ["true"], requires: [absent]}\n'
        )
        run = self.run_json("run", "p.yaml", code=1)["id"]
        self.assertEqual(self.commits(run), ["started one", "ended one", "ended two"])
        shown = self.run_json("show", run)
        self.assertEqual([s["status"] for s in shown["stages"]], ["succeeded", "failed"])

    def test_E01_resume_starts_a_new_run_where_there_is_none_or_it_is_done(self):
        self.pipeline(CHAIN)
        first = self.run_ratoon("run", "p.yaml", "--resume").expect_exit(0)
        first.expect_stderr("no run yet")
        self.run_ratoon("run", "p.yaml", "--resume").expect_exit(0).expect_stderr("succeeded")
        self.assertEqual(len(self.runs()), 2)

    def test_E01_resume_resumes_a_suspended_run(self):
        self.pipeline(CHAIN)
        first = self.run_json("run", "p.yaml", "--until", "one", code=9)
        self.ran()
        result = self.run_ratoon("--json", "run", "p.yaml", "--resume").expect_exit(0)
        self.assertEqual(result.json()["run"]["id"], first["id"])
        result.expect_stderr("resuming")
        self.assertEqual(self.ran(), ["two", "three"])

    def test_E01_resume_retries_a_failed_run_with_parameters_as_overrides(self):
        self.pipeline(CHAIN)
        first = self.run_json("run", "p.yaml", "--param", "fail=two", code=1)
        self.ran()
        result = self.run_ratoon("--json", "run", "p.yaml", "--resume", "--param", "fail=")
        run = result.expect_exit(0).json()["run"]
        self.assertEqual((run["parent"], run["from_stage"]), (first["id"], "two"))
        self.assertEqual(run["overrides"]["fail"], {"old": "two", "new": ""})
        result.expect_stderr("retrying")
        self.assertEqual(self.ran(), ["two", "three"])

    def test_E01_resume_is_refused_while_the_newest_run_is_active(self):
        self.pipeline(HOLD)
        process = self.start_ratoon("run", "p.yaml")
        self.until_file("began")
        self.refused("RUN_ACTIVE", "run", "p.yaml", "--resume")
        self.touch("go")
        self.finish(process).expect_exit(0)

    def test_E02_force_starts_a_new_root_run_whatever_is_there(self):
        self.pipeline(CHAIN.replace("stages:", "policy: {resume_on_failure: true}\nstages:"))
        first = self.run_json("run", "p.yaml", "--param", "fail=two", code=1)
        forced = self.run_json("run", "p.yaml", "--force", "--param", "fail=three", code=1)
        self.assertEqual((forced["parent"], forced["root"]), (None, forced["id"]))
        # resume_on_failure makes --resume the default.
        again = self.run_json("run", "p.yaml", "--param", "fail=")
        self.assertEqual((again["parent"], again["from_stage"]), (forced["id"], "three"))
        self.assertEqual(len(self.runs()), 3)
        self.assertNotEqual(first["id"], forced["id"])

    def test_E03_a_failed_setup_stage_makes_all_of_them_run_again_and_only_then(self):
        self.pipeline(
            "pipeline: s\nstages:\n"
            "  - {name: s1, setup: true, shell: true, run: 'echo s1 >> ran'}\n"
            "  - {name: s2, setup: true, shell: true, run: 'echo s2 >> ran; [ -e fixed ]'}\n"
            "  - {name: work, shell: true, run: 'echo work >> ran; [ -e done ]'}\n"
        )
        self.run_ratoon("run", "p.yaml").expect_exit(1)
        self.assertEqual(self.ran(), ["s1", "s2"])
        self.touch("fixed")
        self.run_ratoon("run", "p.yaml", "--resume").expect_exit(1)
        self.assertEqual(self.ran(), ["s1", "s2", "work"])
        self.touch("done")
        self.run_ratoon("run", "p.yaml", "--resume").expect_exit(0)
        self.assertEqual(self.ran(), ["work"])


main()
