"""A collection with checkpoints: killed in every stage and resumed, set-up stages, what was found
out at run time, changed configuration, a damaged store; examples/collect."""

import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import PipelineTest
from lib import SRC, main

EXAMPLE = SRC + "/examples/collect"
SETUP = ["pull_repo_exts", "preparation"]
STAGES = SETUP + ["extension_data", "code_examples", "settings", "publish"]
FOUND_OUT = ["cache_path", "kit_version", "work_folder", "repository"]


class Collect(PipelineTest):
    def setUp(self):
        super().setUp()
        self.example = self.path("collect")
        shutil.copytree(
            EXAMPLE, self.example, ignore=shutil.ignore_patterns("demo", "data", "work", ".ratoon")
        )
        for n in range(6):
            self.write(f"repository/ext{n}/examples/main.c", f"/* Shows part {n}. */\nint main(void)\n{{\n}}\n")
            self.write(f"repository/ext{n}/examples/app.conf", f"# of {n}\nlevel = {n}\nname=ext{n}\n")
        self.write("repository/plain/README", "no examples\n")
        self.counts = self.path("executions.log")
        self.env.update(
            RATOON_STORE=self.path("store"),
            COLLECT_COUNTS=self.counts,
            COLLECT_HOLD=self.path("hold"),
            XDG_CACHE_HOME=self.path("cache"),
        )
        os.mkdir(self.path("cache"))

    def arguments(self, *more):
        return (
            "run", self.example + "/pipeline.yaml", *more,
            "-p", "repository=" + self.path("repository"), "-p", "output=" + self.path("data"),
        )

    def executions(self):
        try:
            with open(self.counts, encoding="utf-8") as file:
                return [line.rstrip("\n").split("\t")[1] for line in file]
        except FileNotFoundError:
            return []

    def executed(self):
        """The stages executed since the last call, as they counted it themselves."""
        stages = self.executions()
        self.remove("executions.log")
        return stages

    def hold(self, *stages):
        for stage in stages:
            self.touch("hold." + stage)

    def release(self, *stages):
        self.remove(*("hold." + stage for stage in stages))

    def killed_in(self, stage, *arguments):
        """Executes the command and kills it with SIGKILL while it executes the stage."""
        self.hold(stage)
        process = self.start_ratoon(*arguments)
        self.until(lambda: self.executions()[-1:] == [stage], f"{stage} is executed")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.release(stage)

    def collection(self):
        with open(self.path("data/collection.md"), encoding="utf-8") as file:
            return file.read()

    def edit_pipeline(self, old, new):
        with open(self.example + "/pipeline.yaml", encoding="utf-8") as file:
            text = file.read()
        self.assertIn(old, text)
        self.write("collect/pipeline.yaml", text.replace(old, new))


class Killed(Collect):
    def test_E01_L08_S09_killed_in_every_stage_it_goes_on_where_it_was(self):
        run = None
        found_out = {}
        for stage in STAGES:
            self.killed_in(stage, *self.arguments())
            shown = self.run_json("show", "@last")
            run = run or shown["id"]
            self.assertEqual(shown["id"], run)
            self.assertEqual(shown["status"], "suspended")
            self.assertEqual(self.stage(shown, stage)["status"], "pending")
            self.assertTrue(shown["actions"]["resume"]["available"])
            done = [s["name"] for s in shown["stages"] if s["status"] == "succeeded"]
            self.assertEqual(done, STAGES[: STAGES.index(stage)])
            # What was found out is what it was, though another process would find out otherwise.
            state = self.state(run)
            for key, value in found_out.items():
                self.assertEqual(state[key], value)
            found_out = {key: state[key] for key in FOUND_OUT if key in state}
            self.env["XDG_CACHE_HOME"] = self.path("cache-" + stage)
        self.assertEqual(set(found_out), set(FOUND_OUT))
        last = self.run_json(*self.arguments())
        self.assertEqual((last["id"], last["status"], last["depth"]), (run, "succeeded", 0))
        # Each stage: once killed, once whole.
        self.assertEqual(self.executed(), [stage for stage in STAGES for _ in range(2)])
        self.assertIn("ext5: `level` = `5`", self.collection())
        for key in ("code_examples", "settings"):
            file = self.state(run)[key]["file"]
            self.assertTrue(file.startswith(found_out["work_folder"] + "/"), file)
        # The history tells of each interruption.
        log = self.run_ratoon("--json", "log", run).expect_exit(0).json_lines()
        suspended = [e for e in log if e["type"] == "run.suspended"]
        self.assertEqual(len(suspended), len(STAGES))
        started = [e["stage"] for e in log if e["type"] == "stage.started"]
        self.assertEqual(started, [stage for stage in STAGES for _ in range(2)])
        self.assertEqual(self.json("verify")["problems"], [])
        self.assertEqual(os.listdir(self.path("store/work")), [])
        self.assertEqual(os.listdir(self.path("store/executors")), [])

    def test_E02_resume_as_far_as_a_stage_and_then_to_the_end(self):
        self.killed_in("extension_data", *self.arguments())
        self.executed()
        result = self.run_ratoon(*self.arguments("--resume", "--until", "settings")).expect_exit(9)
        result.expect_stderr("is suspended: resuming it")
        self.assertEqual(self.executed(), ["extension_data", "code_examples", "settings"])
        self.assertFalse(os.path.exists(self.path("data/collection.md")))
        # Asked for once more: there is nothing left that far.
        self.run_ratoon(*self.arguments("--resume", "--until", "settings")).expect_exit(9)
        self.assertEqual(self.executed(), [])
        self.run_ratoon(*self.arguments()).expect_exit(0)
        self.assertEqual(self.executed(), ["publish"])

    def test_E01_an_active_run_is_left_alone(self):
        self.hold("code_examples")
        process = self.start_ratoon(*self.arguments())
        self.until(lambda: self.executions()[-1:] == ["code_examples"], "code_examples is executed")
        self.refused("RUN_ACTIVE", *self.arguments())
        self.refused("SCOPE_BUSY", *self.arguments("--force"))
        self.release("code_examples")
        self.finish(process).expect_exit(0)
        self.assertEqual(self.executed(), STAGES)


class Whole(Collect):
    def test_E01_without_a_checkpoint_all_is_executed_and_done_says_so(self):
        self.run_ratoon(*self.arguments("--resume")).expect_exit(0).expect_stderr("no run yet")
        self.assertEqual(self.executed(), STAGES)
        self.run_ratoon("resume", "@last").expect_exit(0).expect_stderr("succeeded")
        self.assertEqual(self.executed(), [])
        # A new collection is a new run, and that is said too.
        self.run_ratoon(*self.arguments()).expect_exit(0).expect_stderr("starting a new one")
        self.assertEqual(self.executed(), STAGES)

    def test_E02_force_starts_afresh_whatever_is_there_and_deletes_nothing(self):
        self.killed_in("settings", *self.arguments())
        self.executed()
        old = self.run_json("show", "@last")["id"]
        run = self.run_json(*self.arguments("--force", "-p", "max_extensions=2"))
        self.assertEqual(self.executed(), STAGES)
        self.assertEqual((run["depth"], run["parent"], run["params"]["max_extensions"]), (0, None, 2))
        self.assertEqual(self.state(run["id"])["extensions"].split(), ["ext0", "ext1"])
        self.assertNotIn("ext2", self.collection())
        self.assertEqual([r["id"] for r in self.runs()], [run["id"], old])
        self.run_ratoon("resume", old).expect_exit(0)
        self.assertEqual(self.executed(), ["settings", "publish"])
        self.assertIn("ext5", self.collection())

    def test_a_checkpoint_can_be_looked_at(self):
        self.run_ratoon(*self.arguments("--until", "extension_data")).expect_exit(9)
        result = self.run_ratoon("show", "@last").expect_exit(0)
        result.expect_stdout("ratoon resume").expect_stdout("code_examples")
        after = self.state("@last", "--at", "after:preparation")
        self.assertEqual(set(after), {"extensions", *FOUND_OUT})
        whole = self.json("state", "@last", "--provenance")["state"]
        self.assertEqual(whole["extension_data"]["stage"], "extension_data")
        self.assertEqual(whole["kit_version"]["stage"], "preparation")

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


class Setup(Collect):
    def test_E03_where_one_setup_stage_failed_all_are_executed_again(self):
        self.write("full", "no folder")
        self.env["XDG_CACHE_HOME"] = self.path("full")
        run = self.run_json(*self.arguments(), code=1)
        self.assertIn("no room for a cache", self.stage(run, "preparation")["error"]["message"])
        self.assertEqual(self.executed(), SETUP)
        self.run_ratoon(*self.arguments()).expect_exit(1)
        self.assertEqual(self.executed(), SETUP)
        self.env["XDG_CACHE_HOME"] = self.path("cache")
        again = self.run_json(*self.arguments())
        self.assertEqual((again["status"], again["depth"]), ("succeeded", 2))
        self.assertEqual(self.executed(), STAGES)

    def test_E03_once_done_they_are_never_executed_again(self):
        self.write("data", "no folder")
        self.run_ratoon(*self.arguments()).expect_exit(1)
        self.assertEqual(self.executed(), STAGES)
        # Whatever they would do now: the repository is gone.
        os.rename(self.path("repository"), self.path("away"))
        self.run_ratoon(*self.arguments()).expect_exit(1)
        self.assertEqual(self.executed(), ["publish"])
        self.remove("data")
        run = self.run_json(*self.arguments())
        self.assertEqual(self.executed(), ["publish"])
        self.assertEqual(
            [self.stages(run)[stage] for stage in SETUP], ["reused", "reused"]
        )
        found = self.state(run["id"])
        self.assertEqual(found["repository"], os.path.realpath(self.path("repository")))

    def test_E03_a_resume_executes_only_those_not_done(self):
        self.killed_in("preparation", *self.arguments())
        self.executed()
        self.run_ratoon(*self.arguments()).expect_exit(0)
        self.assertEqual(self.executed(), STAGES[1:])


class Changed(Collect):
    def test_R16_a_resume_keeps_the_definition_it_began_with_and_says_so(self):
        self.killed_in("settings", *self.arguments())
        self.executed()
        self.edit_pipeline('["./stages/publish.sh"]', '["./stages/publish.sh", "new"]')
        result = self.run_ratoon(*self.arguments()).expect_exit(0)
        result.expect_stderr("has changed").expect_stderr("--accept-changes")
        self.assertEqual(self.executed(), ["settings", "publish"])

    def test_R16_a_changed_definition_is_taken_where_asked_for(self):
        self.killed_in("settings", *self.arguments())
        self.executed()
        self.edit_pipeline('["./stages/publish.sh"]', '["./stages/publish.sh", "new"]')
        file = self.example + "/pipeline.yaml"
        error = self.refused("PIPELINE_CHANGED", "resume", "@last", "--file", file)
        self.assertIn("publish", error["message"])
        self.assertEqual(self.executed(), [])
        self.run_ratoon("resume", "@last", "--file", file, "--accept-changes").expect_exit(0)
        self.assertEqual(self.executed(), ["settings", "publish"])

    def test_E02_a_changed_definition_with_force_starts_afresh(self):
        self.killed_in("settings", *self.arguments())
        self.executed()
        self.edit_pipeline("min_example_lines: {type: int, default: 3", "min_example_lines: {type: int, default: 5")
        run = self.run_json(*self.arguments("--force"))
        self.assertEqual(self.executed(), STAGES)
        self.assertEqual(run["params"]["min_example_lines"], 5)
        self.assertNotIn("main.c", self.collection())

    def test_S10_a_file_that_a_done_stage_left_and_that_changed_is_refused(self):
        self.write("data", "no folder")
        run = self.run_json(*self.arguments(), code=1)
        self.executed()
        self.remove("data")
        with open(self.state(run["id"])["settings"]["file"], "a", encoding="utf-8") as file:
            file.write("ext9\tby\thand\n")
        error = self.refused("FILE_CHANGED", *self.arguments())
        self.assertIn("settings.tsv", error["message"])
        self.assertEqual(self.executed(), [])
        self.run_ratoon("retry", run["id"], "--accept-changes").expect_exit(0)
        self.assertEqual(self.executed(), ["publish"])
        self.assertIn("ext9: `by` = `hand`", self.collection())


class Damaged(Collect):
    def test_E04_a_damaged_store_is_reported_and_never_replaced(self):
        self.killed_in("settings", *self.arguments())
        self.executed()
        store = self.path("store")
        manifests = [n for n in os.listdir(store + "/db") if n.startswith("MANIFEST")]
        self.assertTrue(manifests)
        for name in manifests:
            with open(f"{store}/db/{name}", "r+b") as file:
                data = file.read()
                file.seek(0)
                file.write(bytes(byte ^ 0x55 for byte in data))
        contents = self.contents(store)
        for extra in ((), ("--resume",), ("--force",)):
            result = self.run_ratoon(*self.arguments(*extra)).expect_exit(6)
            result.expect_stderr("ratoon: ")
        self.run_ratoon("resume", "@last").expect_exit(6)
        self.run_ratoon("list").expect_exit(6)
        self.assertEqual(self.executed(), [])
        # What was there is there.
        kept = self.contents(store)
        self.assertEqual({n: kept.get(n) for n in contents}, contents)

    def contents(self, store):
        """What holds data, with its bytes; not what is written about opening it."""
        found = {}
        for folder, _, names in os.walk(store):
            for name in names:
                if not name.startswith(("LOG", "OPTIONS", "LOCK", "owner", "socket")):
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        found[os.path.relpath(path, store)] = file.read()
        return found

    def test_E04_a_store_whose_database_is_gone_is_damaged_not_new(self):
        self.run_ratoon(*self.arguments("--until", "preparation")).expect_exit(9)
        self.executed()
        shutil.rmtree(self.path("store/db"))
        self.run_ratoon(*self.arguments()).expect_exit(6)
        self.assertEqual(self.executed(), [])

    def test_E04_a_checkpoint_that_was_altered_is_found(self):
        self.run_ratoon(*self.arguments()).expect_exit(0)
        captured = self.path("store/output")
        files = [os.path.join(f, n) for f, _, names in os.walk(captured) for n in names]
        self.assertTrue(files)
        with open(files[0], "ab") as file:
            file.write(b"more")
        problems = self.run_ratoon("--json", "verify").expect_exit(6).json()["problems"]
        self.assertEqual(len(problems), 1)


main()
