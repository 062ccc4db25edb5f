"""show, list, tree, log, logs, state, explain, verify, annotate, shell, emit: what they print."""

import os
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import CHAIN, ITEMS, RUN_KEYS, PipelineTest
from lib import RATOON, main

EVENT_KEYS = {"schema", "lineage", "commit", "event", "run", "time", "type", "stage", "data"}


class Family(PipelineTest):
    """A failed run and a retry of it that succeeded."""

    def setUp(self):
        super().setUp()
        self.pipeline(CHAIN)
        self.root = self.run_json(
            *("run", "p.yaml", "--param", "fail=two", "--subject", "thing"), code=1
        )["id"]
        self.child = self.run_json("retry", self.root, "--param", "fail=", "--reason", "why not")["id"]
        self.ran()

    def test_show_in_text_says_what_can_be_done(self):
        shown = self.run_ratoon("show", self.root).expect_exit(0)
        for text in (self.root, "chain", "failed", "thing", "fail = two", "no luck", "exit 3"):
            shown.expect_stdout(text)
        shown.expect_stdout(f"ratoon retry {self.root} --from two")
        self.assertEqual(shown.stderr, "")

    def test_runs_are_named_by_prefix_last_and_subject(self):
        for name in (self.child, "@last", "@subject:thing", "@subject:thing:ok"):
            self.assertEqual(self.run_json("show", name)["id"], self.child)
        # Both were created within a moment: their first characters are the same.
        same = os.path.commonprefix([self.root, self.child])
        self.assertEqual(self.run_json("show", self.root[: len(same) + 1])["id"], self.root)
        self.refused("AMBIGUOUS", "show", same, code=2)
        self.refused("NOT_FOUND", "show", "@subject:nobody", code=3)
        self.refused("NOT_FOUND", "show", "zzzz", code=3)

    def test_numbers_are_printed_as_they_were_given(self):
        self.pipeline(
            "pipeline: p\n"
            "params: {rate: {type: number, default: 0.1}, fine: {type: number, default: 0.5}}\n"
            "stages:\n"
            "  - {name: a, run: [sh, -c, 'printf \"{\\\"k\\\": [0.3,1.5]}\" >$RATOON_OUTPUT']}\n"
        )
        run = self.run_json("run", "p.yaml", "--param", "rate=0.6")["id"]
        self.run_ratoon("show", run, "--json").expect_stdout('"rate":0.6}')
        self.run_ratoon("show", run).expect_stdout("rate = 0.6")
        self.run_ratoon("state", run, "--json").expect_stdout("[0.3,1.5]")
        # What needs all digits keeps them.
        exact = "0.12345678901234566"
        run = self.run_json("run", "p.yaml", "--param", "rate=" + exact)["id"]
        self.run_ratoon("show", run, "--json").expect_stdout(f'"rate":{exact}}}')
        self.run_ratoon("show", run).expect_stdout(f"rate = {exact}")

    def test_a_subject_without_a_name_names_no_run(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        self.refused("NOT_FOUND", "show", "@subject:", code=3)

    def test_L09_list_is_newest_first_and_filtered(self):
        runs = self.runs()
        self.assertEqual([run["id"] for run in runs], [self.child, self.root])
        self.assertLessEqual(RUN_KEYS, set(runs[0]))
        self.assertNotIn("stages", runs[0])
        ids = lambda *arguments: [run["id"] for run in self.runs(*arguments)]
        self.assertEqual(ids("--status", "failed"), [self.root])
        self.assertEqual(ids("--limit", "1"), [self.child])
        self.assertEqual(ids("--pipeline", "other"), [])
        self.assertEqual(ids("--pipeline", "chain", "--subject", "thing"), [self.child, self.root])
        self.assertEqual(ids("--in-flight"), [])
        self.assertEqual(ids("--since", "1h"), [self.child, self.root])
        self.assertEqual(ids("--since", "2999-01-01T00:00:00Z"), [])
        self.assertEqual(ids("--since", self.run_json("show", self.child)["created_at"]), [self.child])
        self.refused("USAGE", "list", "--status", "finished", code=2)
        for since in ("yesterday", "2026-02-29", "2026-04-31T00:00:00Z", "2026-01-01T00:00:00.Z",
                      "2026-01-01T00:00:00+24:00"):
            self.refused("USAGE", "list", "--since", since, code=2)
        text = self.run_ratoon("list").expect_exit(0)
        lines = text.stdout.splitlines()
        self.assertTrue(lines[1].startswith(self.child) and lines[2].startswith(self.root))

    def test_R19_the_tree_is_shown_whole_from_any_run_in_it(self):
        for run in (self.root, self.child):
            lineage = self.json("tree", run)["lineage"]
            self.assertEqual(set(lineage), {"root", "commits", "head_digest", "runs"})
            self.assertEqual([r["id"] for r in lineage["runs"]], [self.root, self.child])
            self.assertEqual(lineage["root"], self.root)
        text = self.run_ratoon("tree", self.root).expect_exit(0)
        text.expect_stdout("└─" + self.child).expect_stdout("why not").expect_stdout("two")

    def test_log_has_the_events_in_order(self):
        events = self.run_ratoon("--json", "log", self.child).expect_exit(0).json_lines()
        for event in events:
            self.assertEqual(set(event), EVENT_KEYS)
            self.assertEqual(event["run"], self.child)
        self.assertEqual(events[0]["type"], "run.created")
        self.assertEqual(events[-1]["type"], "run.ended")
        whole = self.run_ratoon("--json", "log", self.child, "--lineage").json_lines()
        self.assertEqual([e["event"] for e in whole], list(range(1, len(whole) + 1)))
        self.assertEqual({e["run"] for e in whole}, {self.root, self.child})
        self.run_ratoon("log", self.child).expect_exit(0).expect_stdout("stage.ended")

    def test_S02_state_at_boundaries(self):
        document = self.json("state", self.child)
        self.assertEqual(set(document), {"schema", "run", "boundary", "state"})
        self.assertEqual((document["run"], document["boundary"]), (self.child, "end"))
        self.assertEqual(document["state"], {"first": "1", "second": "2", "third": "8"})
        self.assertEqual(self.state(self.child, "--at", "start"), {})
        self.assertEqual(self.state(self.child, "--at", "before:two"), {"first": "1"})
        self.assertEqual(self.state(self.child, "--at", "after:two"), {"first": "1", "second": "2"})
        self.refused("NO_SUCH_STAGE", "state", self.child, "--at", "before:none")
        self.refused("USAGE", "state", self.child, "--at", "sometime", code=2)

    def test_state_provenance(self):
        state = self.state(self.child, "--provenance")
        first, third = state["first"], state["third"]
        self.assertEqual(set(first), {"value", "run", "stage", "attempt", "digest"})
        self.assertEqual((first["value"], first["run"], first["stage"]), ("1", self.root, "one"))
        self.assertEqual((third["run"], third["stage"], third["attempt"]), (self.child, "three", 1))
        self.assertRegex(first["digest"], "^[0-9a-f]{64}$")
        self.run_ratoon("state", self.child, "--provenance").expect_exit(0).expect_stdout(self.root)

    def test_state_of_one_key_is_the_value_alone(self):
        self.assertEqual(self.run_ratoon("state", self.child, "first").expect_exit(0).stdout, "1\n")
        self.assertEqual(self.json("state", self.child, "first")["state"], {"first": "1"})
        self.refused("NOT_FOUND", "state", self.child, "nokey", code=3)

    def test_R26_explain(self):
        ran = self.json("explain", self.child, "two")["explain"]
        self.assertEqual(set(ran), {"run", "stage", "status", "ran", "because", "parent"})
        self.assertTrue(ran["ran"])
        self.assertEqual(ran["parent"], {"run": self.root, "status": "failed"})
        kinds = "request parameter edit upstream pipeline not_done items first_run".split()
        for because in ran["because"]:
            self.assertEqual(set(because), {"kind", "name", "old", "new"})
            self.assertIn(because["kind"], kinds)
        self.assertIn("parameter", {because["kind"] for because in ran["because"]})
        self.assertFalse(self.json("explain", self.child, "one")["explain"]["ran"])
        self.refused("NO_SUCH_STAGE", "explain", self.child, "none")
        self.run_ratoon("explain", self.child, "two").expect_exit(0).expect_stdout("fail")

    def test_logs_of_a_reused_stage_are_those_of_the_run_that_executed_it(self):
        logs = self.run_ratoon("logs", self.root, "two").expect_exit(0)
        self.assertEqual(logs.stdout, "no luck\n")
        self.run_ratoon("logs", self.child, "one").expect_exit(0).expect_stderr(self.root)
        self.refused("NO_SUCH_STAGE", "logs", self.root, "none")
        self.refused("NOT_FOUND", "logs", self.root, "three", code=3)
        self.refused("NOT_FOUND", "logs", self.root, "two", "--attempt", "2", code=3)

    def test_annotate_is_in_the_log(self):
        run = self.run_json("annotate", self.root, "looks like\na bad day")
        self.assertEqual(run["id"], self.root)
        last = self.run_ratoon("--json", "log", self.root).json_lines()[-1]
        self.assertEqual((last["type"], last["data"]["text"]), ("run.annotated", "looks like\na bad day"))

    def test_Q05_diff(self):
        diff = self.json("diff", self.root, self.child)["diff"]
        self.assertEqual(diff["params"], {"fail": {"old": "two", "new": ""}})
        self.assertEqual(
            diff["state"], {"added": ["second", "third"], "removed": [], "changed": []}
        )
        self.assertIn("two", [stage["name"] for stage in diff["stages"]])
        text = self.run_ratoon("diff", self.root, self.child).expect_exit(0)
        text.expect_stdout("failed -> succeeded").expect_stdout("second")

    def test_Q01_verify(self):
        document = self.json("verify")
        self.assertEqual(set(document["verified"]), {"lineages", "commits", "events", "values"})
        self.assertEqual((document["verified"]["lineages"], document["problems"]), (1, []))
        self.run_ratoon("verify", "--run", self.child).expect_exit(0).expect_stdout("no problems")

    def test_wait_for_a_run_that_has_ended(self):
        self.run_ratoon("wait", self.root).expect_exit(1)
        self.run_ratoon("wait", self.child).expect_exit(0)

    def test_a_reader_that_leaves_is_no_error(self):
        for command in ("--json log", "log", "--json tree", "logs"):
            stage = " two" if command == "logs" else ""
            process = subprocess.run(
                f"'{RATOON}' {command} {self.root}{stage} | true",
                shell=True, cwd=self.dir, env=self.env, capture_output=True, text=True, check=False,
            )  # fmt: skip
            self.assertEqual(process.stderr, "")

    def test_output_that_can_not_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            process = subprocess.run(
                [RATOON, "list"], cwd=self.dir, env=self.env, stdout=full,
                stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        self.assertEqual(process.returncode, 7)
        self.assertIn("IO", process.stderr)

    def test_no_colour_in_a_pipe_unless_asked_for(self):
        self.assertNotIn("\x1b", self.run_ratoon("show", self.root).stdout)
        self.assertIn("\x1b[31m", self.run_ratoon("--color", "always", "show", self.root).stdout)
        self.assertNotIn("\x1b", self.run_ratoon("--color", "never", "list").stdout)


class Text(PipelineTest):
    def test_texts_from_outside_are_shown_with_control_bytes_escaped(self):
        self.pipeline(
            'pipeline: evil\nstages:\n  - name: a\n    shell: true\n'
            "    run: 'printf \"\\033[31mred\\n\" >&2; exit 1'\n"
        )
        result = self.run_ratoon("run", "p.yaml", "--subject", "s\x1b]0;title\x07", "--label", "a\x1b=b")
        run = self.run_ratoon("show", "@last")
        for text in (result.stdout, result.stderr, run.stdout, self.run_ratoon("list").stdout):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\x07", text)
        run.expect_stdout("\\x1b]0;title\\x07")
        self.run_ratoon("list").expect_stdout("s\\x1b]0;title\\x07")
        run.expect_stdout("\\x1b[31mred")
        self.assertEqual(self.run_json("show", "@last")["subject"], "s\x1b]0;title\x07")

    def test_state_value_of_a_string_is_passed_on_as_it_is(self):
        self.pipeline("pipeline: s\nstages:\n  - {name: a, run: ['true']}\n")
        self.write("s.json", '{"text": "two\\nlines\\u001b[0m", "deep": {"a": [1, {"b": 0.1}], "e": {}}}')
        self.run_ratoon("run", "p.yaml", "--state", "s.json").expect_exit(0)
        self.assertEqual(self.run_ratoon("state", "@last", "text").stdout, "two\nlines\x1b[0m\n")
        pretty = self.run_ratoon("state", "@last", "deep").stdout
        self.assertEqual(
            pretty, '{\n  "a": [\n    1,\n    {\n      "b": 0.1\n    }\n  ],\n  "e": {}\n}\n'
        )
        self.run_ratoon("state", "@last").expect_stdout("text = ")


class Within(PipelineTest):
    def test_emit_reports_from_within_a_stage(self):
        self.pipeline(
            "pipeline: e\nstages:\n  - name: a\n    shell: true\n    run: |\n"
            "      set -e\n"
            f"      r='{RATOON}'\n"
            '      $r emit progress 1 4 "a \\"quoted\\" message"\n'
            '      $r emit output key=text json:=\'{"a": [1]}\'\n'
            '      $r emit item x done --output \'{"o": 1}\'\n'
            '      $r emit degraded "not quite"\n'
            '      $r emit external-ref job-17\n'
            '      ! $r emit progress many 2>/dev/null\n'
        )
        run = self.run_json("run", "p.yaml")
        self.assertEqual((run["status"], run["external_ref"]), ("degraded", "job-17"))
        self.assertEqual(self.stage(run, "a")["progress"]["total"], 4)
        self.assertEqual(self.stage(run, "a")["items"]["done"], 1)
        self.refused("USAGE", "emit", "progress", "1", code=2)

    def test_shell_gives_what_the_stage_would_get_and_records_nothing(self):
        self.pipeline(CHAIN.replace("  - name: three", "  - name: three\n    cwd: sub"))
        os.mkdir(self.path("sub"))
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        before = self.run_ratoon("--json", "log", "@last").stdout
        script = 'pwd; echo $RATOON_STAGE $RATOON_PARAM_SIZE; cat "$RATOON_STATE"; exit 5'
        result = self.run_ratoon("shell", "@last", "three", "--", "sh", "-c", script).expect_exit(5)
        result.expect_stdout(self.path("sub")).expect_stdout("three 8").expect_stdout('"second"')
        self.assertEqual(before, self.run_ratoon("--json", "log", "@last").stdout)
        fed = self.run_ratoon("shell", "@last", "three", stdin="echo in $RATOON_STAGE\n",
                              env={"SHELL": "/bin/sh"})
        fed.expect_exit(0).expect_stdout("in three")

    def test_shell_with_an_item(self):
        self.pipeline(ITEMS)
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        script = 'echo $RATOON_ITEM; cat "$RATOON_ITEM_VALUE"'
        result = self.run_ratoon("shell", "@last", "each", "--item", "b", "--", "sh", "-c", script)
        result.expect_exit(0).expect_stdout('b\n"b"')
        self.refused("NOT_FOUND", "shell", "@last", "each", "--item", "zed", code=3)


main()
