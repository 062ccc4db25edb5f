"""Wrong input: options, commands, stores and files that aren't there; help, check, init, manual."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import CHAIN, HOLD, PipelineTest
from lib import RATOON, SRC, main


class Usage(PipelineTest):
    def test_unknown_words_are_usage_errors_with_a_suggestion(self):
        for arguments, near in (
            (["shwo"], "show"),
            (["lst"], "list"),
            (["--jsno", "list"], "--json"),
            (["list", "--statsu", "x"], "--status"),
            (["retry", "x", "--destrutive"], "--destructive"),
        ):
            result = self.run_ratoon(*arguments).expect_exit(2)
            result.expect_stderr("ratoon: USAGE: ").expect_stderr(f"hint: did you mean {near}?")
            self.assertEqual(result.stdout, "")
        self.run_ratoon("frobnicate").expect_exit(2).expect_stderr("ratoon help")
        self.run_ratoon().expect_exit(2)

    def test_errors_as_json_are_on_stdout_as_well(self):
        for arguments in (["--json", "shwo"], ["shwo", "--json"], ["list", "--json", "--no"]):
            result = self.run_ratoon(*arguments).expect_exit(2)
            error = result.json()["error"]
            self.assertEqual(set(error), {"code", "message", "hint", "details"})
            self.assertEqual((error["code"], type(error["details"])), ("USAGE", dict))

    def test_arguments_are_counted_and_checked(self):
        for arguments in (
            ["show"],
            ["show", "a", "b"],
            ["run"],
            ["logs", "a"],
            ["list", "more"],
            ["list", "--limit", "x"],
            ["list", "--limit", "-1"],
            ["list", "--limit"],
            ["list", "--in-flight=1"],
            ["--color", "sometimes", "list"],
            ["--wait", "long", "list"],
            ["--store", "", "list"],
            ["run", "p.yaml", "--param", "x"],
            ["run", "p.yaml", "--param", "x=1", "--param", "x=2"],
            ["run", "p.yaml", "--jobs", "0"],
            ["run", "p.yaml", "--key", "a", "--key", "b"],
            ["run", "missing.yaml"],
            ["run", "."],
            ["wait", "@last", "--timeout", "soon"],
            ["watch", "--from", "0"],
            ["retry", "@last", "--partial", "some"],
            ["completion", "tcsh"],
        ):
            self.pipeline(CHAIN)
            self.refused("USAGE", *arguments, code=2)
        self.assertFalse(os.path.exists(self.path(".ratoon")))

    def test_global_options_stand_before_or_after_the_command(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml", "--store", "here", "--quiet").expect_exit(0)
        before = self.run_ratoon("--store", "here", "--json", "list").expect_exit(0).stdout
        self.assertEqual(before, self.run_ratoon("list", "--json", "--store=here").stdout)

    def test_quiet_leaves_only_data(self):
        self.pipeline(CHAIN)
        result = self.run_ratoon("run", "p.yaml", "--quiet").expect_exit(0)
        self.assertEqual(result.stderr, "")

    def test_E04_reading_never_creates_a_store(self):
        for arguments in (
            ["list"], ["show", "@last"], ["tree", "@last"], ["log", "@last"], ["verify"],
            ["watch"], ["state", "@last"], ["resume", "@last"], ["retry", "@last"],
            ["cancel", "@last"], ["wait", "@last"], ["annotate", "@last", "x"],
        ):  # fmt: skip
            error = self.refused("NOT_FOUND", *arguments, code=3)
            self.assertTrue(error["hint"])
            self.assertEqual(os.listdir(self.dir), [])

    def test_the_store_is_found(self):
        self.pipeline(CHAIN)
        os.makedirs(self.path("a", "b"))
        # An empty folder may be named; parents are made.
        os.mkdir(self.path("empty"))
        self.run_ratoon("--store", "empty", "run", "p.yaml").expect_exit(0)
        self.run_ratoon("--store", "deep/down/store", "run", "p.yaml").expect_exit(0)
        self.run_ratoon("list", env={"RATOON_STORE": self.path("empty")}).expect_exit(0)
        self.refused("NOT_FOUND", "list", code=3)
        # The nearest .ratoon upwards is used, by run as well.
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        self.run_ratoon("run", "../../p.yaml", cwd=self.path("a", "b")).expect_exit(0)
        self.assertFalse(os.path.exists(self.path("a", "b", ".ratoon")))
        self.assertEqual(len(self.runs()), 2)
        # Something else is in the way: it stays as it is.
        self.write("full/file", "mine")
        self.run_ratoon("--store", "full", "run", "p.yaml").expect_exit(6)
        self.assertEqual(os.listdir(self.path("full")), ["file"])

    def test_E04_an_empty_folder_is_no_store_yet(self):
        self.pipeline(CHAIN)
        os.mkdir(self.path("s"))
        self.refused("NOT_FOUND", "--store", "s", "list", code=3)
        self.assertEqual(os.listdir(self.path("s")), [])
        self.run_ratoon("--store", "s", "run", "p.yaml").expect_exit(0)
        self.run_ratoon("--store", "s", "list").expect_exit(0)

    def test_E04_a_damaged_store_is_never_replaced(self):
        self.pipeline(CHAIN)
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        for folder, _, names in os.walk(self.path(".ratoon")):
            for name in names:
                if name.endswith(".log"):
                    with open(os.path.join(folder, name), "r+b") as file:
                        size = file.seek(0, os.SEEK_END)
                        file.seek(size // 2)
                        file.write(b"\xff" * 16)
        self.run_ratoon("run", "p.yaml").expect_exit(6)
        result = self.run_ratoon("list")
        self.assertEqual(result.code, 6)
        result.expect_stderr("damaged")


class Loss(PipelineTest):
    def lose(self):
        self.pipeline(CHAIN)
        for _ in range(3):
            self.run_ratoon("run", "p.yaml").expect_exit(0)
        folder = self.path(".ratoon", "db")
        logs = [os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".log")]
        log = max(logs, key=os.path.getsize)
        os.truncate(log, os.path.getsize(log) * 2 // 3)

    def test_E04_a_loss_is_accepted_explicitly(self):
        self.lose()
        self.run_ratoon("run", "p.yaml").expect_exit(6)
        self.run_ratoon("verify").expect_exit(6).expect_stderr("--accept-loss")
        before = self.run_ratoon("--json", "list").expect_exit(6).json_lines()
        result = self.run_ratoon("--json", "verify", "--accept-loss").expect_exit(0)
        result.expect_stderr("commits are lost")
        self.assertEqual(result.json()["problems"], [])
        notes = [n for n in os.listdir(self.path(".ratoon")) if n.startswith("damage-accepted-")]
        self.assertEqual(len(notes), 1)
        with open(self.path(".ratoon", notes[0])) as file:
            self.assertIn("commits are lost", file.read())
        # What is there is there, and the store is written to again.
        after = {run["id"] for run in self.runs()}
        self.assertLessEqual({document["run"]["id"] for document in before}, after)
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        self.run_ratoon("verify").expect_exit(0)

    def test_E04_where_nothing_is_lost_there_is_nothing_to_accept(self):
        self.pipeline(CHAIN)
        self.run_ratoon("verify", "--accept-loss").expect_exit(3)
        self.run_ratoon("run", "p.yaml").expect_exit(0)
        self.refused("USAGE", "verify", "--accept-loss", code=2)
        self.run_ratoon("run", "p.yaml").expect_exit(0)

    def test_E04_a_store_in_use_is_left_alone(self):
        self.pipeline(HOLD)
        run = self.start_ratoon("run", "p.yaml")
        self.until_file("began")
        self.refused("STORE_BUSY", "verify", "--accept-loss", code=5)
        self.touch("go")
        self.finish(run).expect_exit(0)


class Help(PipelineTest):
    def test_help_names_every_command(self):
        overview = self.run_ratoon("help").expect_exit(0).stdout
        self.assertEqual(overview, self.run_ratoon("--help").expect_exit(0).stdout)
        for command in (
            "run resume retry cancel wait list show tree log logs state watch verify check init "
            "shell annotate explain help version"
        ).split():
            self.assertIn(f"\n  {command} ", overview)
            text = self.run_ratoon(command, "--help").expect_exit(0).stdout
            if command != "help":
                self.assertIn(f"usage: ratoon {command}", text)
                self.assertEqual(text, self.run_ratoon("help", command).expect_exit(0).stdout)
        self.assertNotIn("__", overview)
        self.run_ratoon("version").expect_exit(0).expect_stdout("ratoon 0.")
        self.run_ratoon("--version").expect_exit(0).expect_stdout("ratoon 0.")

    def test_the_manual_that_is_checked_in_is_current(self):
        made = self.run_ratoon("__man").expect_exit(0).stdout
        with open(os.path.join(SRC, "man", "ratoon.1.scd"), encoding="utf-8") as file:
            self.assertEqual(made, file.read(), "ratoon __man >man/ratoon.1.scd")
        if shutil.which("scdoc"):
            subprocess.run(["scdoc"], input=made, text=True, capture_output=True, check=True)

    def test_completions(self):
        script = self.run_ratoon("completion", "bash").expect_exit(0).stdout
        ask = (
            script + "complete_words() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _ratoon; "
            'echo "${COMPREPLY[@]}"; }\n'
            "complete_words ratoon re\ncomplete_words ratoon --store x retry --it\n"
        )
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "resume retry restore\n--items --item\n")
        for shell in ("zsh", "fish"):
            self.run_ratoon("completion", shell).expect_exit(0).expect_stdout("auto-retry")


class Files(PipelineTest):
    def test_check_describes_a_valid_file(self):
        self.pipeline(CHAIN)
        text = self.run_ratoon("check", "p.yaml").expect_exit(0)
        text.expect_stdout("chain").expect_stdout("size").expect_stdout("three")
        check = self.json("check", "p.yaml")["check"]
        self.assertEqual((check["pipeline"], check["version"]), ("chain", 1))
        self.assertEqual([s["name"] for s in check["stages"]], ["one", "two", "three"])
        self.assertEqual(check["stages"][1]["needs"], ["one"])
        self.assertFalse(os.path.exists(self.path(".ratoon")))

    def test_check_names_line_and_column(self):
        self.pipeline("pipeline: p\nstages:\n  - name: a\n    rnu: ['true']\n")
        error = self.refused("PIPELINE_INVALID", "check", "p.yaml", code=2)
        self.assertEqual(error["details"]["line"], 4)
        self.assertIn("p.yaml:4:", error["message"])
        self.refused("PIPELINE_INVALID", "run", "p.yaml", code=2)

    def test_init_writes_an_example_that_runs_and_overwrites_nothing(self):
        self.run_ratoon("init", "example").expect_exit(0)
        folder = self.path("example")
        self.refused("EXISTS", "init", "example", code=2)
        failed = self.run_ratoon("run", "pipeline.yaml", "--param", "unlucky=Bob", cwd=folder)
        failed.expect_exit(1)
        self.run_ratoon("retry", "@last", "--param", "unlucky=nobody", cwd=folder).expect_exit(0)
        report = self.run_ratoon("state", "@last", "report", cwd=folder).expect_exit(0)
        self.assertEqual(report.stdout, "3 greetings\n")


main()
