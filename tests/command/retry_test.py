"""retry and resume: branches, refusals, items, previews, edits, changed definitions."""

import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import CHAIN, HOLD, ITEMS, PLAN_KEYS, PipelineTest
from lib import main


class Retry(PipelineTest):
    def failed(self, stage="two"):
        self.pipeline(CHAIN)
        run = self.run_json("run", "p.yaml", "--param", f"fail={stage}", code=1)
        self.ran()
        return run["id"]

    def test_R01_R02_a_retry_is_a_new_run_that_reuses_what_does_not_depend_on_the_stage(self):
        parent = self.failed()
        run = self.run_json("retry", parent, "--param", "fail=", "--reason", "again")
        self.assertEqual(self.ran(), ["two", "three"])
        self.assertEqual((run["parent"], run["root"], run["depth"], run["number"]), (parent, parent, 1, 2))
        self.assertEqual((run["requested_stage"], run["from_stage"]), ("two", "two"))
        self.assertEqual((run["boundary"], run["reason"]), ("before:two", "again"))
        self.assertEqual(run["overrides"], {"fail": {"old": "two", "new": ""}})
        self.assertEqual(
            self.stages(run), {"one": "reused", "two": "succeeded", "three": "succeeded"}
        )
        self.assertEqual(self.stage(run, "one")["reused_from"], parent)
        self.assertEqual(self.run_json("show", parent)["children"], [run["id"]])
        self.assertEqual(self.run_json("show", parent)["status"], "failed")

    def test_R03_unknown_run_and_unknown_stage(self):
        parent = self.failed()
        self.refused("NOT_FOUND", "retry", "01234567-89ab-7def-8123-456789abcdef", code=3)
        error = self.refused("NO_SUCH_STAGE", "retry", parent, "--from", "nowhere")
        for stage in ("one", "two", "three"):
            self.assertIn(stage, error["message"] + error["hint"])

    def test_R04_an_active_parent_is_refused(self):
        self.pipeline(HOLD)
        process = self.start_ratoon("run", "p.yaml")
        self.until_file("began")
        self.refused("RUN_ACTIVE", "retry", "@last")
        self.touch("go")
        self.finish(process).expect_exit(0)

    def test_R05_a_stage_that_never_ran_names_the_first_that_can_be_used(self):
        parent = self.failed()
        error = self.refused("STAGE_NEVER_RAN", "retry", parent, "--from", "three")
        self.assertIn("two", error["message"] + error["hint"])

    def test_R06_going_back_to_a_stage_that_succeeded_is_a_rerun(self):
        parent = self.failed()
        self.refused("STAGE_SUCCEEDED", "retry", parent, "--from", "one")
        run = self.run_json("retry", parent, "--from", "one", "--rerun", "--param", "fail=")
        self.assertEqual(self.ran(), ["one", "two", "three"])
        self.refused("STAGE_SUCCEEDED", "retry", run["id"])

    def test_R07_depth_limit_refuses_with_the_chain(self):
        self.pipeline(CHAIN.replace("stages:", "policy: {max_depth: 1}\nstages:"))
        self.run_ratoon("run", "p.yaml", "--param", "fail=two").expect_exit(1)
        self.run_ratoon("retry", "@last").expect_exit(1)
        self.refused("DEPTH_LIMIT", "retry", "@last")

    def test_R09_a_repeated_retry_gives_the_same_run(self):
        parent = self.failed()
        first = self.run_json("retry", parent, "--key", "k", "--param", "fail=")
        self.ran()
        again = self.run_json("retry", parent, "--key", "k", "--param", "fail=")
        self.assertEqual(first["id"], again["id"])
        self.assertEqual(self.ran(), [])
        self.refused("KEY_REUSED", "retry", parent, "--key", "k", "--param", "fail=three")

    def test_R11_a_retry_from_a_validator_starts_from_what_it_validates(self):
        self.pipeline(
            "pipeline: v\nstages:\n"
            "  - {name: draft, shell: true, run: 'echo draft >> ran'}\n"
            "  - {name: review, validates: draft, shell: true, run: 'echo review >> ran; [ -e good ]'}\n"
        )
        self.run_ratoon("run", "p.yaml").expect_exit(1)
        self.ran()
        self.touch("good")
        run = self.run_json("retry", "@last", "--from", "review")
        self.assertEqual((run["requested_stage"], run["from_stage"]), ("review", "draft"))
        self.assertEqual(self.ran(), ["draft", "review"])

    def test_R11_E09_the_command_to_go_on_after_a_failed_validator_works(self):
        self.pipeline(
            "pipeline: v\nparams:\n  size: {type: int, default: 8, min: 1}\nstages:\n"
            "  - {name: gen, shell: true, run: 'echo gen >> ran'}\n"
            "  - {name: val, validates: gen, shell: true, adjust: {OOM: {size: {op: halve}}},\n"
            "     run: '[ $RATOON_PARAM_SIZE -lt 8 ] || { echo CUDA out of memory >&2; exit 1; }'}\n"
        )
        result = self.run_ratoon("run", "p.yaml").expect_exit(1)
        run = self.run_json("show", "@last")
        retry = run["actions"]["retry"]
        self.assertEqual((retry["requested_stage"], retry["from_stage"]), ("val", "gen"))
        self.assertEqual(list(retry["suggested_overrides"]), ["size"])
        command = f"ratoon retry {run['id']} --from val --param size=4"
        result.expect_stderr(f"go on with: {command}\n").expect_stderr("runs gen, val")
        self.ran()
        self.run_ratoon(*command.split()[1:]).expect_exit(0)
        self.assertEqual(self.ran(), ["gen"])
        # So does the automatic retry.
        self.run_ratoon("run", "p.yaml", "--auto-retry", 1).expect_exit(0)
        self.assertEqual(self.ran(), ["gen", "gen"])

    def test_R12_a_bad_override_is_refused(self):
        parent = self.failed()
        self.refused("PARAM_INVALID", "retry", parent, "--param", "size=3")

    def test_R24_an_edit_replaces_a_value_of_the_state(self):
        parent = self.failed()
        self.refused("USAGE", "retry", parent, "--edit", "first=nojson", code=2)
        run = self.run_json("retry", parent, "--param", "fail=", "--edit", 'first="other"')
        self.assertEqual(self.state(run["id"])["first"], "other")
        self.assertEqual(self.state(parent)["first"], "1")

    def test_R25_only_executes_the_stage_alone_and_suspends(self):
        parent = self.failed()
        run = self.run_json("retry", parent, "--only", "--param", "fail=", code=9)
        self.assertEqual(self.ran(), ["two"])
        self.assertEqual(run["status"], "suspended")
        result = self.run_ratoon("resume", run["id"]).expect_exit(0)
        result.expect_stderr("goes on: runs three\n")

    def test_R25_what_was_done_downstream_is_reused_and_shown_as_stale(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        self.ran()
        result = self.run_ratoon("--json", "retry", "@last", "--from", "one", "--rerun", "--only")
        run = result.json()["run"]
        self.assertEqual(self.ran(), ["one"])
        self.assertEqual(
            [(s["status"], s["stale"]) for s in run["stages"]],
            [("succeeded", False), ("reused", True), ("reused", True)],
        )

    def test_until_suspends_a_retry(self):
        parent = self.failed()
        run = self.run_json("retry", parent, "--until", "two", "--param", "fail=", code=9)
        self.assertEqual(self.ran(), ["two"])
        self.run_json("resume", run["id"])
        self.assertEqual(self.ran(), ["three"])

    def test_R08_no_exec_creates_a_queued_run_that_resume_starts(self):
        parent = self.failed()
        run = self.run_json("retry", parent, "--no-exec", "--param", "fail=")
        self.assertEqual((run["status"], self.ran()), ("queued", []))
        self.refused("BRANCH_ACTIVE", "retry", parent)
        done = self.run_json("resume", run["id"])
        self.assertEqual((done["id"], done["status"]), (run["id"], "succeeded"))
        self.assertEqual(self.ran(), ["two", "three"])


class Items(PipelineTest):
    def setUp(self):
        super().setUp()
        self.pipeline(ITEMS)
        self.parent = self.run_json("run", "p.yaml", "--param", "bad=b", code=1)["id"]
        self.ran()

    def test_R13_missing_and_failed_items_by_default(self):
        self.run_json("retry", self.parent, "--param", "bad=")
        self.assertEqual(self.ran(), ["b"])
        self.assertEqual(self.state("@last")["out"], {"a": "a", "b": "b", "c": "c"})

    def test_R13_failed_items(self):
        self.run_json("retry", self.parent, "--items", "failed", "--param", "bad=")
        self.assertEqual(self.ran(), ["b"])

    def test_R13_all_items(self):
        self.run_json("retry", self.parent, "--items", "all", "--param", "bad=")
        self.assertEqual(sorted(self.ran()), ["a", "b", "c"])

    def test_R13_listed_items(self):
        self.run_json("retry", self.parent, "--item", "a", "--item", "b", "--param", "bad=")
        self.assertEqual(sorted(self.ran()), ["a", "b"])
        self.refused("USAGE", "retry", self.parent, "--items", "all", "--item", "a", code=2)
        self.refused("USAGE", "retry", self.parent, "--items", "some", code=2)

    def test_R15_the_preview_counts_items(self):
        plan = self.json("retry", self.parent, "--dry-run")["plan"]
        items = plan["items"]["each"]
        self.assertEqual((items["keep"], items["run"], items["drop"]), (2, 1, 0))

    def test_R14_the_preview_counts_the_output_that_destructive_drops(self):
        self.pipeline(
            "pipeline: c\nstages:\n  - {name: a, run: ['true']}\n"
            "  - {name: b, commits: true, shell: true, run: 'echo k=1 > $RATOON_OUTPUT'}\n"
        )
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        preview = ("retry", "@last", "--from", "a", "--rerun", "--dry-run")
        self.assertEqual(self.json(*preview)["plan"]["items"], {})
        self.assertEqual(
            self.json(*preview, "--destructive")["plan"]["items"],
            {"b": {"keep": 0, "run": 0, "reset": 0, "drop": 1}},
        )

    def test_logs_of_items(self):
        self.run_json("retry", self.parent, "--param", "bad=")
        logs = self.run_ratoon("logs", "@last", "each", "--item", "b").expect_exit(0)
        self.assertEqual(logs.stdout, "for b\n")
        # An item that was kept: its output is that of the run that executed it.
        logs = self.run_ratoon("logs", "@last", "each", "--item", "a").expect_exit(0)
        self.assertEqual(logs.stdout, "for a\n")
        logs = self.run_ratoon("logs", self.parent, "each", "--item", "b").expect_exit(0)
        self.assertEqual(logs.stdout, "for b\nbad b\n")
        every = self.run_ratoon("logs", self.parent, "each").expect_exit(0)
        every.expect_stdout("==> b (failed) <==").expect_stdout("for c")
        self.refused("NOT_FOUND", "logs", "@last", "each", "--item", "zed", code=3)


class Preview(PipelineTest):
    def setUp(self):
        super().setUp()
        self.pipeline(CHAIN)
        self.parent = self.run_json("run", "p.yaml", "--param", "fail=two", code=1)["id"]
        self.ran()

    def test_R15_the_preview_tells_all_and_appends_nothing(self):
        before = self.run_ratoon("--json", "log", self.parent, "--lineage").stdout
        document = self.json("retry", self.parent, "--dry-run", "--param", "size=4")
        plan = document["plan"]
        self.assertLessEqual(PLAN_KEYS, set(plan))
        self.assertEqual((plan["run"], plan["reuse"]), (["two", "three"], ["one"]))
        self.assertEqual(plan["params"], {"size": {"old": 8, "new": 4}})
        self.assertEqual((plan["depth"], plan["max_depth"]), (1, 8))
        self.assertEqual((plan["parent"], plan["refusals"]), (self.parent, []))
        self.assertEqual(before, self.run_ratoon("--json", "log", self.parent, "--lineage").stdout)
        self.assertEqual(self.ran(), [])

    def test_R15_refusals_are_all_told_with_exit_4(self):
        result = self.run_ratoon(
            "--json", "retry", self.parent, "--from", "one", "--param", "size=3", "--dry-run"
        ).expect_exit(4)
        codes = {refusal["code"] for refusal in result.json()["plan"]["refusals"]}
        self.assertEqual(codes, {"STAGE_SUCCEEDED", "PARAM_INVALID"})
        self.run_ratoon("retry", self.parent, "--from", "one", "--dry-run").expect_exit(
            4
        ).expect_stdout("STAGE_SUCCEEDED")

    def test_R15_a_plan_token_holds_the_retry_to_the_preview(self):
        token = self.json("retry", self.parent, "--dry-run", "--param", "fail=")["plan"]["token"]
        self.refused("PLAN_STALE", "retry", self.parent, "--plan", token, "--param", "size=4")
        self.run_ratoon("annotate", self.parent, "looked at it").expect_exit(0)
        self.run_json("retry", self.parent, "--plan", token, "--param", "fail=")
        self.assertEqual(self.ran(), ["two", "three"])

    def test_R15_the_command_that_the_text_names_does_just_that(self):
        result = self.run_ratoon("retry", self.parent, "--dry-run", "--param", "fail=")
        line = result.expect_exit(0).stdout.splitlines()[-1].strip()
        self.assertTrue(line.startswith("ratoon retry "), line)
        self.run_ratoon(*line.split()[1:]).expect_exit(0)
        self.assertEqual(self.ran(), ["two", "three"])


class Changed(PipelineTest):
    def setUp(self):
        super().setUp()
        self.pipeline(CHAIN)
        self.parent = self.run_json("run", "p.yaml", "--param", "fail=two", code=1)["id"]
        self.ran()
        self.pipeline(CHAIN.replace("echo two >> ran", "echo new >> ran"))

    def test_R16_a_file_that_changed_is_only_a_warning(self):
        result = self.run_ratoon("retry", self.parent, "--param", "fail=").expect_exit(0)
        result.expect_stderr("has changed").expect_stderr("--accept-changes")
        self.assertEqual(self.ran(), ["two", "three"])

    def test_R16_another_definition_must_be_accepted(self):
        error = self.refused(
            "PIPELINE_CHANGED", "retry", self.parent, "--file", "p.yaml", "--param", "fail="
        )
        self.assertIn("two", error["message"])
        preview = self.run_ratoon("retry", self.parent, "--file", "p.yaml", "--dry-run")
        preview.expect_exit(4).expect_stdout("stages.two.run: ")
        self.assertNotIn("\\n", preview.stdout)
        run = self.run_json(
            "retry", self.parent, "--file", "p.yaml", "--accept-changes", "--param", "fail="
        )
        self.assertEqual(self.ran(), ["new", "three"])
        self.assertEqual(run["status"], "succeeded")

    def test_R16_a_definition_without_the_stage_is_refused_always(self):
        self.pipeline("pipeline: chain\nstages:\n  - {name: one, run: ['true']}\n")
        self.refused(
            "NO_SUCH_STAGE",
            *("retry", self.parent, "--from", "two", "--file", "p.yaml", "--accept-changes"),
        )


class Resume(PipelineTest):
    def test_E01_a_succeeded_run_is_left_alone_with_exit_0(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        self.ran()
        self.run_ratoon("resume", "@last").expect_exit(0).expect_stderr("succeeded")
        self.assertEqual(self.ran(), [])

    def test_E01_a_failed_run_is_refused_with_the_hint_to_retry(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml", "--param", "fail=two").expect_exit(1)
        error = self.refused("ILLEGAL_TRANSITION", "resume", "@last")
        self.assertIn("ratoon retry", error["hint"])

    def test_R16_resume_with_another_definition(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml", "--until", "one").expect_exit(9)
        self.ran()
        self.pipeline(CHAIN.replace("echo two >> ran", "echo new >> ran"))
        self.refused("PIPELINE_CHANGED", "resume", "@last", "--file", "p.yaml")
        self.run_ratoon("resume", "@last", "--file", "p.yaml", "--accept-changes").expect_exit(0)
        self.assertEqual(self.ran(), ["new", "three"])

    def test_E02_until_on_resume(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml", "--until", "one").expect_exit(9)
        self.run_ratoon("resume", "@last", "--until", "two").expect_exit(9)
        self.assertEqual(self.ran(), ["one", "two"])
        self.run_ratoon("resume", "@last").expect_exit(0)
        self.assertEqual(self.ran(), ["three"])


main()
