"""The syntheses and the migration of examples/synthesis. A node whose agent produced no text is
regenerated in place, and what it is part of is recombined, exactly once; a migration executes a stage
for each version and keeps its audit rows. What was executed is taken from the file in which stages
count their executions, not from the store."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import PipelineTest
from lib import RATOON, SRC, main

EXAMPLE = SRC + "/examples/synthesis"


class Scenario(PipelineTest):
    def setUp(self):
        super().setUp()
        self.env["SYNTHESIS_COUNTS"] = self.path("counts")
        # combine.sh asks for other runs' results.
        self.env["PATH"] = os.path.dirname(RATOON) + ":" + self.env["PATH"]
        self.seen = 0

    def executed(self, run=None):
        """Stages executed since the last call, sorted; of one run if it is given."""
        try:
            with open(self.path("counts"), encoding="utf-8") as file:
                lines = [line.split() for line in file]
        except FileNotFoundError:
            lines = []
        new, self.seen = lines[self.seen :], len(lines)
        return sorted(stage for id_, stage in new if stage != "on_end" and run in (None, id_))

    def log(self, run):
        return self.run_ratoon("--json", "log", run).expect_exit(0).json_lines()

    def stale(self):
        return [d["stale"] for d in self.run_ratoon("--json", "stale").expect_exit(0).json_lines()]

    def kill_at_the_end_of(self, *command):
        """Executes a command and kills it when its run has ended and nothing else was done yet."""
        go = self.path("go")
        process = self.start_ratoon(*command, env={"SYNTHESIS_HOLD": "on_end:" + go})
        self.until_file("go.waiting")
        process.kill()
        process.wait()
        self.remove("go.waiting")

    def assert_sound(self):
        self.assertEqual(self.json("verify")["problems"], [])


class Synthesis(Scenario):
    def member(self, name, *arguments, code=0):
        return self.run_json(
            *("run", EXAMPLE + "/member.yaml", "--state", f"{EXAMPLE}/nodes/{name}.json"),
            *("--subject", name, *arguments),
            code=code,
        )

    def combine(self, name, file=EXAMPLE + "/synthesis.yaml"):
        return self.run_json("run", file, "--state", f"{EXAMPLE}/nodes/{name}.json", "--subject", name)

    built = None  # a store with the graph, made once and copied for each test

    @classmethod
    def tearDownClass(cls):
        if cls.built:
            shutil.rmtree(cls.built[0])

    def graph(self, file=EXAMPLE + "/synthesis.yaml"):
        """Three members, of which the keeper has no text, and their synthesis."""
        if not Synthesis.built:
            self.member("tides")
            self.member("harbour")
            keeper = self.member("keeper", "--param", "agent=silent", code=1)
            kept = tempfile.mkdtemp(prefix="synthesis.")
            shutil.copytree(self.path(".ratoon"), kept + "/store")
            Synthesis.built = (kept, keeper)
        else:
            shutil.copytree(Synthesis.built[0] + "/store", self.path(".ratoon"))
        self.keeper = Synthesis.built[1]
        self.lighthouse = self.combine("lighthouse", file)
        self.executed()

    def regenerate(self, *arguments, **keywords):
        return self.run_json("retry", "@subject:keeper", "--param", "agent=steady", *arguments, **keywords)

    def synthesis(self, **filters):
        """Runs of the subject lighthouse, the oldest first."""
        return self.runs("--subject", "lighthouse", "--limit", 0)[::-1]

    def test_R23_no_text_is_invented_error_and_complete_input_are_kept(self):
        big = {"sources": [f"Sentence {i} of the keeper. It is “long”." for i in range(3000)], "more": {"a": [1, None]}}
        path = self.write("keeper.json", json.dumps(big))
        failed = self.run_json(
            "run", EXAMPLE + "/member.yaml", "--state", path, "--subject", "keeper", "--param", "agent=silent", code=1
        )
        os.unlink(path)
        error = self.stage(failed, "generate")["error"]
        self.assertEqual((error["class"], error["message"]), ("VALIDATION", "exit 4: the agent produced no text"))
        self.assertEqual(self.state(failed["id"], "--at", "start"), big)
        self.assertNotIn("text", self.state(failed["id"]))
        self.assertEqual([r["id"] for r in self.runs("--status", "failed")], [failed["id"]])
        self.executed()
        run = self.regenerate()
        self.assertEqual((run["subject"], run["parent"], run["status"]), ("keeper", failed["id"], "succeeded"))
        self.assertEqual(self.executed(), ["generate"])
        self.assertEqual(self.state(run["id"], "--at", "start"), big)
        # What the failed try left stays.
        self.assertEqual(self.stage(self.run_json("show", failed["id"]), "generate")["error"], error)

    def test_R22_a_regenerated_member_is_recombined_by_the_combining_stage_alone(self):
        self.graph()
        self.assertEqual(self.lighthouse["status"], "degraded")
        self.assertIn("[keeper] (no text)", self.state(self.lighthouse["id"])["text"])
        run = self.regenerate()
        self.assertEqual(run["subject"], "keeper")
        self.assertEqual(self.executed(), ["combine", "generate"])
        old, new = self.synthesis()
        self.assertEqual((new["parent"], new["from_stage"], new["status"]), (old["id"], "combine", "succeeded"))
        self.assertEqual((new["subject"], new["automatic"]), ("lighthouse", True))
        text = self.state(new["id"])["text"]
        self.assertIn(self.state(run["id"])["text"], text)
        self.assertNotIn("(no text)", text)
        self.assertEqual(self.stale(), [])
        # What made it is in its history, and the synthesis that had the gap is as it was.
        created = next(e for e in self.log(new["id"]) if e["type"] == "run.created")["data"]
        self.assertIn(run["id"], json.dumps(created))
        self.assertIn("(no text)", self.state(old["id"])["text"])
        why = self.json("explain", new["id"], "combine")["explain"]
        self.assertTrue(why["ran"])
        self.assert_sound()

    def test_R22_every_regeneration_is_followed_by_one_recombination(self):
        self.graph()
        for n in (1, 2, 3):
            self.run_json(
                *("retry", "@subject:keeper", "--from", "generate", "--rerun"),
                *("--param", "agent=steady", "--param", f"sentences={n}"),
            )
            self.assertEqual(self.executed(), ["combine", "generate"])
        self.assertEqual([run["depth"] for run in self.synthesis()], [0, 1, 2, 3])

    def test_R22_a_synthesis_of_syntheses_follows_too(self):
        self.graph()
        self.combine("coast")
        self.executed()
        self.regenerate()
        self.assertEqual(self.executed(), ["combine", "combine", "generate"])
        text = self.json("state", "@subject:coast:ok")["state"]["text"]
        self.assertIn("[keeper] At night", text)

    def test_R22_a_failed_regeneration_is_no_cause(self):
        self.graph()
        self.run_json("retry", "@subject:keeper", code=1)
        self.assertEqual((self.executed(), self.stale()), (["generate"], []))
        # Its retry is: any descendant of what was consumed.
        self.regenerate()
        self.assertEqual(self.executed(), ["combine", "generate"])

    def test_R22_without_cascade_auto_the_synthesis_is_only_listed_as_stale(self):
        with open(EXAMPLE + "/synthesis.yaml", encoding="utf-8") as file:
            text = file.read()
        text = text.replace("cascade: auto", "cascade: none").replace('"./stages', f'"{EXAMPLE}/stages')
        text = text.replace("    run:", f"    cwd: {EXAMPLE}\n    run:")
        self.graph(self.write("none.yaml", text))
        run = self.regenerate()
        self.assertEqual(self.executed(), ["generate"])
        (stale,) = self.stale()
        self.assertEqual(
            (stale["run"], stale["stage"], stale["cause"]), (self.lighthouse["id"], "combine", run["id"])
        )
        # By hand it is a rerun from the combining stage.
        self.run_json("retry", self.lighthouse["id"], "--from", "combine", "--rerun")
        self.assertEqual((self.executed(), self.stale()), (["combine"], []))

    def test_R22_R07_a_refused_recombination_is_shown_by_stale(self):
        with open(EXAMPLE + "/synthesis.yaml", encoding="utf-8") as file:
            text = file.read().replace("cascade: auto", "cascade: auto\n  max_depth: 1")
        text = text.replace('"./stages', f'"{EXAMPLE}/stages').replace("    run:", f"    cwd: {EXAMPLE}\n    run:")
        self.graph(self.write("shallow.yaml", text))
        self.regenerate()
        again = self.run_json("retry", "@subject:keeper", "--from", "generate", "--rerun", "--param", "sentences=1")
        self.assertEqual(self.executed(), ["combine", "generate", "generate"])
        (stale,) = self.stale()
        self.assertEqual((stale["cause"], stale["refusal"]["code"]), (again["id"], "DEPTH_LIMIT"))

    def test_R22_older_runs_and_failed_attempts_are_never_stale(self):
        self.graph()
        self.regenerate()
        # The old synthesis consumed what is outdated, but it isn't the newest.
        self.assertEqual((self.stale(), len(self.synthesis())), ([], 2))
        # One that failed after it had consumed: nothing of it counts.
        tides = self.run_json("show", "@subject:tides")["id"]
        path = self.write(
            "fails.yaml",
            "pipeline: fails\npolicy: {cascade: auto}\nstages:\n"
            f"  - {{name: use, shell: true, run: 'ratoon emit consumes {tides}; exit 1'}}\n",
        )
        failed = self.run_json("run", path, code=1)
        self.assertIn(tides, json.dumps([e["data"] for e in self.log(failed["id"])]))
        self.executed()
        self.run_json("retry", "@subject:tides", "--from", "generate", "--rerun")
        self.assertEqual(self.executed(), ["combine", "generate"])
        self.assertEqual(self.stale(), [])
        self.assertEqual(len(self.runs("--pipeline", "fails")), 1)

    def test_R22_killed_between_the_two_commits_the_next_command_recombines_exactly_once(self):
        self.graph()
        self.kill_at_the_end_of("retry", self.keeper["id"], "--param", "agent=steady")
        keeper = self.run_json("show", "@subject:keeper")
        self.assertEqual((keeper["status"], self.executed()), ("succeeded", ["generate"]))
        # What only reads does not execute anything.
        (stale,) = self.stale()
        self.assertEqual((stale["run"], stale["cause"]), (self.lighthouse["id"], keeper["id"]))
        self.assertEqual(len(self.synthesis()), 1)
        # The next one that executes something, whatever it is, makes it up; the one after it doesn't.
        self.member("tides")
        self.assertEqual(self.executed(), ["combine", "generate", "read"])
        self.member("tides")
        self.assertEqual(self.executed(), ["generate", "read"])
        old, new = self.synthesis()
        self.assertEqual((new["parent"], new["status"]), (old["id"], "succeeded"))
        self.assertNotIn("(no text)", self.state(new["id"])["text"])
        self.assertEqual(self.stale(), [])
        self.assert_sound()

    def test_R22_several_commands_after_the_kill_recombine_once(self):
        self.graph()
        self.kill_at_the_end_of("retry", self.keeper["id"], "--param", "agent=steady")
        self.executed()
        command = ("run", EXAMPLE + "/member.yaml", "--state", EXAMPLE + "/nodes/tides.json")
        for process in [self.start_ratoon(*command) for _ in range(3)]:
            self.finish(process).expect_exit(0)
        self.assertEqual(self.executed().count("combine"), 1)
        self.assertEqual(len(self.synthesis()), 2)

    def test_R22_a_member_that_is_regenerated_while_it_is_combined_is_not_lost(self):
        self.graph()
        env = {"SYNTHESIS_HOLD": "combine:" + self.path("go")}
        again = ("retry", self.lighthouse["id"], "--from", "combine", "--rerun")
        process = self.start_ratoon(*again, env=env)
        self.until_file("go.waiting")
        self.regenerate()
        self.touch("go")
        self.finish(process).expect_exit(0)
        text = self.json("state", "@subject:lighthouse:ok")["state"]["text"]
        self.assertNotIn("(no text)", text)
        self.assertEqual((self.executed(), self.stale()), (["combine", "generate"], []))
        self.assertEqual(len(self.synthesis()), 2)

    def killed_while_it_recombines(self):
        """The branch is there, its combining stage had begun."""
        self.graph()
        env = {"SYNTHESIS_HOLD": "combine:" + self.path("go")}
        process = self.start_ratoon("retry", self.keeper["id"], "--param", "agent=steady", env=env)
        self.until_file("go.waiting")
        process.kill()
        process.wait()
        self.executed()
        branch = self.run_json("show", "@subject:lighthouse")
        self.assertEqual((branch["status"], branch["automatic"]), ("suspended", True))
        return branch

    def test_R22_L08_killed_while_it_recombines_the_next_command_goes_on_with_it(self):
        branch = self.killed_while_it_recombines()
        (stale,) = self.stale()
        keeper = self.run_json("show", "@subject:keeper:ok")
        self.assertEqual((stale["run"], stale["stage"], stale["refusal"]), (branch["id"], "combine", None))
        self.assertEqual(stale["cause"], keeper["id"])
        self.member("harbour")
        self.assertEqual(self.executed(), ["combine", "generate", "read"])
        self.assertEqual(len(self.synthesis()), 2)
        self.assertEqual(self.run_json("show", branch["id"])["status"], "succeeded")
        self.assertNotIn("(no text)", self.state(branch["id"])["text"])
        self.assertEqual(self.stale(), [])
        self.member("harbour")
        self.assertEqual(self.executed(), ["generate", "read"])
        self.assert_sound()

    def test_R22_L08_killed_while_it_recombines_it_can_be_resumed_by_hand(self):
        branch = self.killed_while_it_recombines()
        self.run_json("resume", branch["id"])
        self.assertEqual((self.executed(), self.stale()), (["combine"], []))
        self.assertEqual(len(self.synthesis()), 2)

    def test_L10_R21_subjects_keep_their_identity_and_their_whole_history(self):
        self.graph()
        run = self.regenerate()
        for subject, number in (("keeper", 2), ("lighthouse", 2), ("tides", 1)):
            runs = self.runs("--subject", subject)
            self.assertEqual(len(runs), number)
            self.assertEqual({r["root"] for r in runs}, {runs[-1]["id"]})
        self.assertEqual(self.run_json("show", "@subject:keeper:ok")["id"], run["id"])
        self.assertEqual(self.runs("--subject", "keeper")[0]["overrides"], {"agent": {"old": "silent", "new": "steady"}})

    def test_A07_progress_of_combining_is_kept(self):
        self.graph()
        progress = self.stage(self.run_json("show", "@subject:lighthouse"), "combine")["progress"]
        self.assertEqual((progress["done"], progress["total"], progress["message"]), (3, 3, "tides"))

    def test_R22_the_walk_of_the_example_ends_well(self):
        for name in ("synthesis", "compile/lib"):
            shutil.copytree(
                f"{SRC}/examples/{name}", self.path("examples", name), ignore=shutil.ignore_patterns("demo", "work")
            )
        done = subprocess.run(
            [self.path("examples/synthesis/demo.sh")],
            env={**self.env, "RATOON": RATOON},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


# The real-time clock stands still for a process that has this loaded first.
FROZEN = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    if (clock == CLOCK_REALTIME) {
        *out = (struct timespec){.tv_sec = atoll(getenv("FROZEN_AT"))};
        return 0;
    }
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    }
    return real(clock, out);
}
"""


class Migration(Scenario):
    def setUp(self):
        super().setUp()
        self.graph = shutil.copy(EXAMPLE + "/graph.txt", self.path("graph.txt"))
        self.command = ("run", EXAMPLE + "/migration.yaml", "--subject", "berlin")
        self.command += ("--param", f"graph={self.graph}")

    def version(self):
        with open(self.graph, encoding="utf-8") as file:
            return int(file.readline())

    def test_R17_a_target_ahead_is_refused_before_anything_changes(self):
        with open(self.graph, encoding="utf-8") as file:
            before = file.read()
        error = self.refused("VERSION_AHEAD", *self.command, "--target", 4)
        self.assertIn("4", error["message"])
        self.assertIn("3", error["message"])
        with open(self.graph, encoding="utf-8") as file:
            self.assertEqual(file.read(), before)
        self.assertEqual(self.executed(), [])
        listed = self.run_ratoon("--json", "list")
        self.assertEqual(listed.stdout if listed.code == 0 else "", "")
        # A retry is held to it as well, and changes nothing either.
        failed = self.run_json(*self.command, "--param", "broken=to_2", code=1)
        events = self.log(failed["id"])
        self.executed()
        self.refused("VERSION_AHEAD", "retry", failed["id"], "--param", "broken=", "--target", 4)
        self.assertEqual((self.log(failed["id"]), self.executed(), self.version()), (events, [], 1))
        self.run_json("retry", failed["id"], "--param", "broken=", "--target", 3)
        self.assertEqual(self.version(), 3)

    def test_R02_a_failed_step_goes_on_where_it_stopped(self):
        failed = self.run_json(*self.command, "--param", "broken=to_2", code=1)
        self.assertEqual(self.executed(), ["archive", "measure", "to_1", "to_2", "to_2"])
        self.assertEqual((self.version(), self.state(failed["id"])["version"]), (1, 1))
        run = self.run_json("retry", failed["id"], "--param", "broken=")
        self.assertEqual(self.executed(), ["to_2", "to_3"])
        self.assertEqual((self.version(), self.state(run["id"])["version"]), (3, 3))
        self.assertEqual(self.state(run["id"])["archive"][0], "0")

    def test_E02_until_stops_at_a_version(self):
        run = self.run_json(*self.command, "--until", "to_1", code=9)
        self.assertEqual((run["status"], self.version()), ("suspended", 1))
        self.run_json("resume", run["id"])
        self.assertEqual(self.version(), 3)

    def test_L10_in_flight_is_only_what_is_active_most_recent_is_whatever_came_last(self):
        failed = self.run_json(*self.command, "--param", "broken=to_1", code=1)
        in_flight = ("--subject", "berlin", "--in-flight")
        self.assertEqual(self.runs(*in_flight), [])
        self.assertEqual(self.run_json("show", "@subject:berlin")["id"], failed["id"])
        self.run_ratoon("show", "@subject:berlin:ok").expect_exit(3)
        self.env["SYNTHESIS_HOLD"] = "to_2:" + self.path("go")
        process = self.start_ratoon("--json", "retry", failed["id"], "--param", "broken=")
        self.until_file("go.waiting")
        (running,) = self.runs(*in_flight)
        self.assertEqual((running["parent"], running["status"]), (failed["id"], "running"))
        self.assertEqual(self.runs("--subject", "munich", "--in-flight"), [])
        # A second migration of the same graph is refused as long as that.
        error = self.refused("SCOPE_BUSY", *self.command)
        self.assertIn(running["id"], error["message"])
        self.touch("go")
        done = self.finish(process).expect_exit(0).json()["run"]
        self.assertEqual(self.runs(*in_flight), [])
        self.assertEqual(self.run_json("show", "@subject:berlin:ok")["id"], done["id"])

    def test_L10_queued_is_in_flight_and_suspended_is_not(self):
        failed = self.run_json(*self.command, "--param", "broken=to_1", code=1)
        queued = self.run_json("retry", failed["id"], "--no-exec", "--param", "broken=")
        self.assertEqual([r["id"] for r in self.runs("--in-flight", "--subject", "berlin")], [queued["id"]])
        self.run_json("resume", queued["id"], "--until", "to_1", code=9)
        self.assertEqual(self.runs("--in-flight", "--subject", "berlin"), [])
        self.assertEqual(self.run_json("show", "@subject:berlin")["id"], queued["id"])

    def test_L07_the_external_reference_is_refreshed_at_each_dispatch_and_kept_otherwise(self):
        failed = self.run_json(*self.command, "--param", "broken=to_2", code=1)
        self.assertEqual(failed["external_ref"], "workflow-to_2-2")
        told = [e["data"] for e in self.log(failed["id"]) if "workflow-to_2" in json.dumps(e["data"])]
        self.assertIn("workflow-to_2-1", json.dumps(told))
        # Nothing is said of it from here on: it stays.
        self.run_json("annotate", failed["id"], "looked at")
        run = self.run_json("retry", failed["id"], "--param", "broken=")
        self.assertEqual(run["status"], "succeeded")
        self.assertEqual(self.run_json("show", failed["id"])["external_ref"], "workflow-to_2-2")

    def test_L06_L08_the_audit_row_of_a_failed_step_survives_a_kill_at_the_worst_moment(self):
        # The step has failed, another stage still executes, the run has not ended: killed as soon as
        # anybody can see the failure.
        process = self.start_ratoon(
            *self.command, "--param", "broken=to_1", env={"SYNTHESIS_HOLD": "measure:" + self.path("go")}
        )
        self.until_file("go.waiting")

        def to_1():
            return self.stage(self.run_json("show", "@subject:berlin"), "to_1")

        self.until(lambda: to_1()["status"] == "failed", "the failed step")
        seen = to_1()
        process.kill()
        process.wait()
        run = self.run_json("show", "@subject:berlin")
        self.assertEqual(run["status"], "failed")
        row = self.stage(run, "to_1")
        self.assertEqual((row["status"], row["error"], row["attempt"]), ("failed", seen["error"], 2))
        self.assertIn("the workflow of to_1 was lost", row["error"]["message"])
        self.assertEqual(run["external_ref"], "workflow-to_1-2")
        self.assertEqual(self.stages(run)["measure"], "pending")
        self.executed()
        done = self.run_json("retry", run["id"], "--param", "broken=")
        self.assertEqual((done["status"], self.version()), ("succeeded", 3))
        self.assertEqual(self.executed(), ["measure", "to_1", "to_2", "to_3"])
        self.assert_sound()

    def test_L06_a_failed_run_is_durable_before_what_follows_it(self):
        self.kill_at_the_end_of(*self.command, "--param", "broken=to_3")
        run = self.run_json("show", "@subject:berlin")
        self.assertEqual((run["status"], self.stages(run)["to_3"]), ("failed", "failed"))
        self.assertEqual(self.log(run["id"])[-1]["type"], "run.ended")
        self.assert_sound()

    def test_L08_killed_within_a_step_the_step_is_executed_again_and_no_version_is_skipped(self):
        process = self.start_ratoon(*self.command, env={"SYNTHESIS_HOLD": "to_2:" + self.path("go")})
        self.until_file("go.waiting")
        process.kill()
        process.wait()
        self.touch("go")
        run = self.run_json("show", "@subject:berlin")
        self.assertEqual((run["status"], self.stages(run)["to_2"]), ("suspended", "pending"))
        self.assertEqual((self.version(), self.state(run["id"])["version"]), (1, 1))
        self.executed()
        run = self.run_json("resume", run["id"])
        self.assertEqual(self.executed(), ["to_2", "to_3"])
        self.assertEqual((self.stage(run, "to_2")["attempt"], self.version()), (2, 3))

    def test_L01_a_status_that_is_none_is_a_usage_error(self):
        self.run_json(*self.command)
        self.refused("USAGE", "list", "--status", "suceeded", code=2)

    def test_L09_equal_timestamps_are_ordered_by_id(self):
        source = self.write("frozen.c", FROZEN)
        library = self.path("frozen.so")
        compiled = subprocess.run(
            [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, source, "-ldl"],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if compiled.returncode != 0:
            raise unittest.SkipTest("no library to stop the clock with: " + compiled.stderr)
        env = {
            "LD_PRELOAD": library,
            "FROZEN_AT": str(int(os.stat(self.graph).st_mtime)),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
        }
        text = "pipeline: step\nstages:\n  - {name: a, run: ['true']}\n"
        path = self.write("step.yaml", text)
        ids = []
        for _ in range(5):
            ids.append(self.run_json("run", path, "--subject", "berlin", env=env)["id"])
        runs = self.runs("--subject", "berlin")
        self.assertEqual(len({run["created_at"] for run in runs}), 1)
        self.assertEqual([run["id"] for run in runs], sorted(ids, reverse=True))
        self.assertEqual(self.run_json("show", "@subject:berlin")["id"], max(ids))
        self.assertEqual(self.run_json("show", "@last")["id"], max(ids))


main()
