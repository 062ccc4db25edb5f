"""The agents of examples/agents: every corner case of retrying in a graph of agents, and what must
hold of reconstruction, validation, integrity, snapshots, the interface and of costs. What was
executed is taken from the file in which the agents count their calls, not from the store."""

import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import PipelineTest
from lib import RATOON, SRC, main

EXAMPLE = SRC + "/examples/agents"
PIPELINE = EXAMPLE + "/pipeline.yaml"
AGENTS = (
    "input_enhancer router game_planner lore_writer plan_validator blueprint_generator "
    "blueprint_validator"
).split()
FRONT, BACK = AGENTS[:5], AGENTS[5:]
# What the two agents at the end write: 16 words, each one token, for each of five levels.
SECTION, LEVELS = 16, 5


class Agents(PipelineTest):
    def setUp(self):
        super().setUp()
        self.env["AGENTS_COUNTS"] = self.path("calls")
        with open(EXAMPLE + "/request.json", encoding="utf-8") as file:
            self.request = json.load(file)

    def parameters(self, params):
        return [word for k, v in params.items() for word in ("--param", f"{k}={v}")]

    def start(self, *arguments, code=0, state=EXAMPLE + "/request.json", **params):
        given = ["--state", state] if state else []
        return self.run_json("run", PIPELINE, *given, *arguments, *self.parameters(params), code=code)

    def retry(self, run, *arguments, code=0, **params):
        return self.run_json("retry", run["id"], *arguments, *self.parameters(params), code=code)

    def refused_retry(self, status, run, *arguments, code=4):
        """A refused retry executes and records nothing."""
        before = self.log(run)
        error = self.refused(status, "retry", run["id"], *arguments, code=code)
        self.assertEqual(self.log(run), before)
        return error

    def counted(self, what, run=None):
        """{agent: number} as the agents counted it, of one run or of all."""
        found = {}
        with open(self.path("calls"), encoding="utf-8") as file:
            for line in file:
                id_, agent, kind, number = line.rstrip("\n").split("\t")
                if kind == what and run in (None, id_):
                    found[agent] = found.get(agent, 0) + int(number)
        return found

    def calls(self, run):
        """Names of the agents that a run called, in the order of the file; each once."""
        found = self.counted("call", run["id"])
        self.assertEqual(set(found.values()) - {1}, set())
        return [agent for agent in AGENTS if agent in found]

    def log(self, run, *arguments):
        result = self.run_ratoon("--json", "log", run["id"], *arguments).expect_exit(0)
        return result.json_lines()

    def created(self, run):
        """The data of the run's first event."""
        return next(e for e in self.log(run, "--lineage") if e["run"] == run["id"])["data"]

    def tree(self, run):
        return self.json("tree", run["id"])["lineage"]["runs"]

    def assert_sound(self):
        self.assertEqual(self.json("verify")["problems"], [])


class CornerCases(Agents):
    def test_S01_R06_case_1_a_retry_from_the_first_stage_has_the_whole_initial_state(self):
        text = "A puzzle game about " + " ".join(f"number{i}" for i in range(500))
        request = {**self.request, "request": text + " é “ \\ \" \n\t", "deep": [[{"a": [None, 1.5]}]] * 300}
        path = self.write("request.json", json.dumps(request))
        failed = self.start(state=path, code=1, outage="input_enhancer")
        os.unlink(path)
        run = self.retry(failed, outage="")
        self.assertEqual((run["from_stage"], run["boundary"]), ("input_enhancer", "before:input_enhancer"))
        self.assertEqual(self.state(run["id"], "--at", "start"), request)
        self.assertEqual(self.state(failed["id"]), request)
        self.assertEqual(self.calls(run), AGENTS)
        self.assertEqual(self.state(run["id"])["enhanced"]["text"], request["request"].replace("\t", " "))

    def test_R05_case_2_a_stage_whose_dependency_failed_is_refused_clearly(self):
        failed = self.start(code=1, outage="game_planner")
        for stage in ("plan_validator", "blueprint_generator"):
            error = self.refused_retry("STAGE_NEVER_RAN", failed, "--from", stage)
            self.assertIn(stage, error["message"])
            self.assertIn("game_planner", error["message"] + error["hint"])
        # Nor may one that ran in an earlier run, and in this one waits for what failed.
        whole = self.start()
        broken = self.retry(whole, "--from", "game_planner", "--rerun", code=1, outage="game_planner")
        self.refused_retry("STAGE_NEVER_RAN", broken, "--from", "blueprint_generator")

    def test_R11_case_3_retry_from_validator_retries_generator(self):
        failed = self.start(code=1, min_words=20)
        self.assertEqual(self.stage(failed, "blueprint_validator")["error"]["class"], "VALIDATION")
        run = self.retry(failed, "--from", "blueprint_validator", detail=3)
        self.assertEqual(
            (run["requested_stage"], run["from_stage"]), ("blueprint_validator", "blueprint_generator")
        )
        self.assertEqual(self.calls(run), BACK)
        self.assertEqual(run["status"], "succeeded")
        created = self.created(run)
        self.assertEqual(created["requested_stage"], "blueprint_validator")

    def test_R11_a_validator_in_the_middle_retries_its_generator_and_not_the_other_branch(self):
        failed = self.start(code=1, tired="game_planner")
        self.assertEqual(self.stages(failed)["plan_validator"], "failed")
        self.assertIn("4 levels, 5 were asked for", self.stage(failed, "plan_validator")["error"]["message"])
        run = self.retry(failed, "--from", "plan_validator", tired="")
        self.assertEqual(run["from_stage"], "game_planner")
        self.assertEqual(self.calls(run), ["game_planner", "plan_validator", *BACK])
        self.assertEqual(self.stages(run)["lore_writer"], "reused")
        self.assertEqual(len(self.state(run["id"])["plan"]["levels"]), LEVELS)

    def test_R04_L11_case_4_while_the_original_runs_a_retry_is_refused_and_it_can_be_seen(self):
        self.env["AGENTS_HOLD"] = "router:" + self.path("go")
        process = self.start_ratoon("--json", "run", PIPELINE, "--state", EXAMPLE + "/request.json")
        self.until_file("go.waiting")
        running = self.run_json("show", "@last")
        self.assertEqual((running["status"], self.stages(running)["router"]), ("running", "running"))
        retry = running["actions"]["retry"]
        self.assertFalse(retry["available"])
        self.assertIn("running", retry["why_not"])
        error = self.refused("RUN_ACTIVE", "retry", running["id"], "--from", "input_enhancer", "--rerun")
        self.assertIn("running", error["message"])
        self.touch("go")
        done = self.finish(process).expect_exit(0).json()["run"]
        self.assertEqual((done["id"], done["children"]), (running["id"], []))
        self.assertEqual(self.calls(done), AGENTS)

    def test_S03_case_5_the_output_of_a_degraded_stage_counts_for_those_after_it(self):
        degraded = self.start(tired="lore_writer")
        self.assertEqual(degraded["status"], "degraded")
        lore = self.state(degraded["id"])["lore"]
        self.assertEqual(self.state(degraded["id"])["blueprint"]["lore"], lore["text"])
        # It counts where a retry starts below it, too.
        below = self.retry(degraded, "--from", "blueprint_generator", "--rerun", detail=3)
        self.assertEqual((self.calls(below), below["status"]), (BACK, "degraded"))
        self.assertEqual(self.state(below["id"])["blueprint"]["lore"], lore["text"])
        # It can be retried without being asked for as a rerun.
        run = self.retry(degraded, "--from", "lore_writer", tired="")
        self.assertEqual((run["status"], self.calls(run)), ("succeeded", ["lore_writer", *BACK]))
        self.assertGreater(len(self.state(run["id"])["lore"]["text"]), len(lore["text"]))

    def test_S03_case_5_the_work_of_a_degraded_stage_is_available_to_its_retry(self):
        degraded = self.start(tired="blueprint_generator", min_words=5)
        before = self.state(degraded["id"])["blueprint"]
        without = self.state(degraded["id"], "--at", "before:blueprint_generator")
        self.assertNotIn("blueprint", without)
        run = self.retry(degraded, "--partial", "include", tired="")
        self.assertEqual((run["from_stage"], run["status"]), ("blueprint_generator", "succeeded"))
        self.assertEqual(self.state(run["id"], "--at", "start")["blueprint"], before)
        edits = self.created(run)["edits"]
        self.assertEqual([(e["key"], e["partial"]) for e in edits], [("blueprint", True)])
        self.assertNotEqual(self.state(run["id"])["blueprint"], before)

    def test_S04_case_6_a_run_without_stored_configuration_is_refused_clearly_or_mended(self):
        failed = self.start(code=1, state=None)
        error = self.stage(failed, "input_enhancer")["error"]
        self.assertEqual(error["class"], "DEPENDENCY")
        self.assertIn("request", error["message"])
        self.assertFalse(os.path.exists(self.path("calls")))
        refusal = self.refused_retry("MISSING_KEYS", failed)
        self.assertIn("request", refusal["message"])
        run = self.retry(failed, "--edit", "request=" + json.dumps(self.request["request"]))
        self.assertEqual((run["status"], self.calls(run)), ("succeeded", AGENTS))

    def test_S02_S04_case_6_without_configuration_the_state_is_rebuilt_from_the_stages_if_complete(self):
        text = (
            "pipeline: p\nstages:\n"
            "  - {name: a, shell: true, run: 'echo a >> ran; echo brief=tides > $RATOON_OUTPUT', produces: [brief]}\n"
            "  - {name: b, shell: true, run: 'echo b >> ran; [ -e good ]', requires: [brief]}\n"
        )
        failed = self.run_json("run", self.write("p.yaml", text), code=1)
        self.assertEqual(self.state(failed["id"], "--at", "start"), {})
        # What b would get isn't complete under a definition that asks for more.
        more = self.write("more.yaml", text.replace("requires: [brief]", "requires: [brief, audience]"))
        refusal = self.refused_retry("MISSING_KEYS", failed, "--file", more, "--accept-changes")
        self.assertIn("audience", refusal["message"])
        self.assertNotIn("brief", refusal["message"])
        self.touch("good")
        run = self.run_json("retry", failed["id"])
        self.assertEqual((self.ran(), self.state(run["id"])), (["a", "b", "b"], {"brief": "tides"}))

    def imported(self, **changed):
        """Imports a run of the agents from elsewhere, of which generating the blueprint failed and no
        initial state is known."""
        outputs = {
            "enhanced": {"text": "t", "keywords": ["tides", "keeper"], "levels": 2, "players": 1},
            "route": {"genre": "puzzle", "mode": "alone", "verbs": ["turn"]},
            "plan": {"title": "T", "levels": [{"key": "level-1", "theme": "tides", "verb": "turn", "difficulty": 1}]},
            "lore": {"text": "Once."},
            **changed,
        }
        made = dict(zip(FRONT, ("enhanced", "route", "plan", "lore")))
        stages = [
            {"name": a, "status": "succeeded", "outputs": {made[a]: outputs[made[a]]} if outputs.get(made.get(a)) else {}}
            for a in FRONT
        ]
        stages.append({"name": "blueprint_generator", "status": "failed", "error": "no answer"})
        run = {"id": "job-17", "pipeline": "agents", "subject": "old", "status": "failed"}
        path = self.write("runs.jsonl", json.dumps({"run": run, "stages": stages}) + "\n")
        self.run_ratoon("--store", ".ratoon", "import", path, "--file", PIPELINE).expect_exit(0)
        return self.run_json("show", "@subject:old")

    def test_R18_case_6_a_run_from_elsewhere_without_configuration_is_rebuilt_from_its_stages(self):
        failed = self.imported()
        self.assertEqual(failed["status"], "failed")
        self.assertEqual(self.state(failed["id"], "--at", "start"), {})
        run = self.retry(failed)
        self.assertEqual((run["from_stage"], run["status"]), ("blueprint_generator", "succeeded"))
        self.assertEqual(self.calls(run), BACK)
        self.assertEqual(self.state(run["id"])["blueprint"]["title"], "T")
        self.assert_sound()

    def test_R18_case_6_a_run_from_elsewhere_that_is_incomplete_is_refused_with_what_is_missing(self):
        failed = self.imported(plan=None)
        refusal = self.refused_retry("MISSING_KEYS", failed)
        self.assertIn("plan", refusal["message"])
        self.assertIn("game_planner", refusal["message"])

    def test_R05_case_7_a_stage_that_never_ran_names_the_first_that_can_be_retried(self):
        failed = self.start(code=1, outage="input_enhancer")
        for stage in AGENTS[1:]:
            error = self.refused_retry("STAGE_NEVER_RAN", failed, "--from", stage)
            self.assertIn("input_enhancer", error["message"] + error["hint"])

    def test_R06_case_8_a_succeeded_stage_is_refused_unless_asked_for_as_a_rerun(self):
        whole = self.start()
        for stage in AGENTS:
            # A validator stands for what it validates, which needs no rerun (R11).
            if not stage.endswith("_validator"):
                error = self.refused_retry("STAGE_SUCCEEDED", whole, "--from", stage)
                self.assertIn("rerun", error["message"] + error["hint"])
        self.refused_retry("STAGE_SUCCEEDED", whole)
        run = self.retry(whole, "--from", "game_planner", "--rerun")
        self.assertEqual(self.calls(run), ["game_planner", "plan_validator", *BACK])
        self.assertEqual(self.state(run["id"]), self.state(whole["id"]))

    def test_R08_case_9_of_many_retries_at_once_one_is_made(self):
        failed = self.start(code=1, outage="blueprint_generator")
        self.env["AGENTS_HOLD"] = "blueprint_generator:" + self.path("go")
        command = ("--json", "retry", failed["id"], "--param", "outage=")
        processes = [self.start_ratoon(*command) for _ in range(6)]
        # The one that is made waits for the others to be refused.
        self.until(lambda: sum(p.poll() is not None for p in processes) == 5, "five refusals")
        winner = self.run_json("show", failed["id"])["children"]
        self.assertEqual(len(winner), 1)
        self.touch("go")
        results = [self.finish(p) for p in processes]
        codes = sorted(r.code for r in results)
        self.assertEqual(codes, [0, 4, 4, 4, 4, 4])
        for result in results:
            if result.code == 4:
                error = result.json()["error"]
                self.assertEqual(error["code"], "BRANCH_ACTIVE")
                self.assertIn(winner[0], error["message"])
        self.assertEqual(len(self.tree(failed)), 2)
        self.assertEqual(self.counted("call", winner[0]), {agent: 1 for agent in BACK})

    def test_R08_case_9_those_that_queue_are_executed_one_after_the_other(self):
        failed = self.start(code=1, outage="blueprint_generator")
        self.env["AGENTS_HOLD"] = "blueprint_generator:" + self.path("go")
        first = self.start_ratoon("--json", "retry", failed["id"], "--param", "outage=")
        self.until_file("go.waiting")
        queued = [
            self.start_ratoon("--json", "retry", failed["id"], "--queue", "--param", "outage=", "--param", f"detail={n}")
            for n in (3, 4)
        ]
        self.until(lambda: len(self.runs("--status", "queued")) == 2, "two queued runs")
        self.assertEqual(len(self.runs("--status", "running")), 1)
        self.touch("go")
        runs = [self.finish(p).expect_exit(0).json()["run"] for p in (first, *queued)]
        runs.sort(key=lambda run: run["number"])
        self.assertEqual([run["number"] for run in runs], [2, 3, 4])
        for earlier, later in zip(runs, runs[1:]):
            self.assertGreaterEqual(later["started_at"], earlier["ended_at"])
        self.assertEqual([self.calls(run) for run in runs], [BACK] * 3)

    def test_R07_case_10_retries_of_retries_end_at_the_depth_limit_with_the_chain(self):
        chain = [self.start(code=1, outage="router")]
        for depth in (1, 2, 3):
            chain.append(self.retry(chain[-1], code=1))
            self.assertEqual(chain[-1]["depth"], depth)
        error = self.refused_retry("DEPTH_LIMIT", chain[-1])
        for run in chain:
            self.assertIn(run["id"], error["message"])
        retry = self.run_json("show", chain[-1]["id"])["actions"]["retry"]
        self.assertFalse(retry["available"])
        # A branch of a run less deep is still possible.
        self.assertEqual(self.retry(chain[1], outage="")["status"], "succeeded")


class Flow(Agents):
    def test_R01_a_retry_is_a_new_run_with_parent_and_stage_and_executes_from_there(self):
        failed = self.start(code=1, outage="blueprint_generator")
        run = self.retry(failed, "--reason", "back again", outage="")
        self.assertNotEqual(run["id"], failed["id"])
        self.assertEqual((run["parent"], run["root"]), (failed["id"], failed["id"]))
        self.assertEqual((run["from_stage"], run["reason"]), ("blueprint_generator", "back again"))
        self.assertEqual(run["overrides"], {"outage": {"old": "blueprint_generator", "new": ""}})
        created = self.created(run)
        self.assertEqual((created["parent"], created["from_stage"]), (failed["id"], "blueprint_generator"))
        self.assertEqual(self.calls(run), BACK)

    def test_R02_finished_branches_are_reused_wherever_the_failure_was(self):
        beside = {"game_planner": ["lore_writer"], "lore_writer": ["game_planner", "plan_validator"]}
        for stage in ("router", "game_planner", "blueprint_generator"):
            failed = self.start(code=1, outage=stage)
            done = [name for name, status in self.stages(failed).items() if status == "succeeded"]
            run = self.retry(failed, outage="")
            self.assertEqual(sorted(self.calls(run)), sorted(set(AGENTS) - set(done)))
            self.assertEqual([n for n, s in self.stages(run).items() if s == "reused"], done)
        whole = self.start()
        for stage, reused in beside.items():
            run = self.retry(whole, "--from", stage, "--rerun")
            for name in reused:
                self.assertEqual(self.stages(run)[name], "reused")
                self.assertNotIn(name, self.calls(run))

    def test_L05_a_forgiven_branch_is_retried_alone_with_what_depends_on_it(self):
        degraded = self.start(outage="lore_writer")
        self.assertEqual((degraded["status"], self.stages(degraded)["lore_writer"]), ("degraded", "failed"))
        self.assertIsNone(self.state(degraded["id"])["blueprint"]["lore"])
        run = self.retry(degraded, outage="")
        self.assertEqual((run["from_stage"], run["status"]), ("lore_writer", "succeeded"))
        self.assertEqual(self.calls(run), ["lore_writer", *BACK])
        self.assertIsNotNone(self.state(run["id"])["blueprint"]["lore"])

    def test_S03_partial_output_of_a_failed_agent_is_kept_and_included_on_request(self):
        failed = self.start(code=1, token_budget=2 * SECTION + 1)
        self.assertNotIn("sections", self.state(failed["id"]))
        ended = [e for e in self.log(failed) if e["type"] == "stage.ended"][-1]
        self.assertEqual(list(ended["data"]["partial"]["sections"]["value"]), ["level-1", "level-2"])
        run = self.retry(failed, "--partial", "include", token_budget=3 * SECTION)
        self.assertEqual(run["status"], "succeeded")
        self.assertEqual(list(self.state(run["id"], "--at", "start")["sections"]), ["level-1", "level-2"])
        self.assertEqual(self.counted("tokens", run["id"]), {"blueprint_generator": 3 * SECTION})
        # An edit goes before the partial output; without either, nothing is kept.
        edited = self.retry(failed, "--partial", "include", "--edit", "sections={}", token_budget=400)
        self.assertEqual(self.counted("tokens", edited["id"]), {"blueprint_generator": LEVELS * SECTION})
        plain = self.retry(failed, token_budget=400)
        self.assertEqual(self.counted("tokens", plain["id"]), {"blueprint_generator": LEVELS * SECTION})

    def test_R07_S03_nested_retries_up_to_the_limit_pay_every_level_once(self):
        run = self.start(code=1, token_budget=SECTION)
        for _ in range(2):
            run = self.retry(run, "--partial", "include", code=1)
        run = self.retry(run, "--partial", "include", token_budget=2 * SECTION)
        self.assertEqual((run["depth"], run["status"]), (3, "succeeded"))
        self.assertEqual(self.counted("tokens"), {"blueprint_generator": LEVELS * SECTION})
        self.assertEqual(
            self.counted("call"),
            {**{agent: 1 for agent in AGENTS}, "blueprint_generator": 4},
        )

    def test_A02_A05_the_suggested_budget_is_doubled_automatically_when_asked_to(self):
        failed = self.start(code=1, token_budget=30)
        suggested = self.stage(failed, "blueprint_generator")["error"]["suggested_overrides"]
        self.assertEqual(suggested, {"token_budget": 60})
        run = self.start("--auto-retry", 2, token_budget=30)
        self.assertEqual((run["depth"], run["automatic"], run["params"]["token_budget"]), (2, True, 120))
        self.assertEqual(self.calls(run), BACK)

    def test_A07_the_last_progress_is_what_is_told_when_an_agent_ends(self):
        run = self.start_ratoon("run", PIPELINE, "--state", EXAMPLE + "/request.json")
        self.finish(run).expect_exit(0).expect_stderr("(5 of 5)")
        progress = self.stage(self.run_json("show", "@last"), "blueprint_generator")["progress"]
        self.assertEqual(progress, {"done": 5, "total": 5, "message": "level-5"})

    def test_R24_one_bad_output_is_mended_by_hand_without_calling_who_made_it(self):
        whole = self.start()
        plan = self.state(whole["id"])["plan"]
        plan["title"] = "Mended"
        run = self.retry(
            whole, "--from", "blueprint_generator", "--rerun", "--edit", "plan=" + json.dumps(plan), "--reason", "title"
        )
        self.assertEqual(self.calls(run), BACK)
        self.assertEqual(self.state(run["id"])["blueprint"]["title"], "Mended")
        self.assertEqual(self.state(whole["id"])["plan"]["title"], "The puzzle of tides")
        edit = self.created(run)["edits"][0]
        self.assertEqual((edit["key"], edit["partial"]), ("plan", False))

    def test_R25_only_executes_one_agent_and_shows_those_after_it_as_stale(self):
        whole = self.start()
        run = self.retry(whole, "--from", "game_planner", "--rerun", "--only")
        self.assertEqual(self.calls(run), ["game_planner"])
        stale = [s["name"] for s in run["stages"] if s["stale"]]
        self.assertEqual(stale, ["plan_validator", *BACK])


class Reconstruction(Agents):
    def test_S02_S07_the_state_before_any_stage_is_that_of_the_original(self):
        whole = self.start()
        seen = {agent: self.state(whole["id"], "--at", f"before:{agent}") for agent in AGENTS}
        self.assertEqual(seen["input_enhancer"], self.request)
        self.assertEqual(set(seen["router"]) - set(self.request), {"enhanced"})
        self.assertEqual(
            set(seen["blueprint_generator"]) - set(self.request), {"enhanced", "route", "plan", "lore"}
        )
        for stage in ("router", "game_planner", "lore_writer", "blueprint_generator"):
            run = self.retry(whole, "--from", stage, "--rerun", "--no-exec")
            self.assertEqual(self.state(run["id"], "--at", f"before:{stage}"), seen[stage])
            self.run_json("cancel", run["id"])
        self.assert_sound()

    def test_S02_values_know_who_made_them_through_nested_retries(self):
        first = self.start(code=1, outage="game_planner")
        second = self.retry(first, code=1, outage="blueprint_generator")
        third = self.retry(second, outage="")
        made = self.json("state", third["id"], "--provenance")["state"]
        self.assertEqual(made["enhanced"]["run"], first["id"])
        self.assertEqual((made["plan"]["run"], made["plan"]["stage"]), (second["id"], "game_planner"))
        self.assertEqual(made["blueprint"]["run"], third["id"])
        self.assertEqual(made["conversation"]["value"], self.request["conversation"])

    def test_S04_every_missing_key_is_named_with_who_declares_it(self):
        path = self.write(
            "p.yaml",
            "pipeline: p\nstages:\n  - {name: a, shell: true, run: 'echo a >> ran; exit 1', requires: [brief, budget]}\n"
            "  - {name: b, run: ['true'], requires: [audience], produces: [text]}\n"
            "  - {name: c, run: ['true'], requires: [text]}\n",
        )
        failed = self.run_json("run", path, code=1)
        error = self.stage(failed, "a")["error"]
        for key in ("brief", "budget"):
            self.assertIn(key, error["message"])
        refusal = self.refused_retry("MISSING_KEYS", failed)
        for key in ("brief", "budget"):
            self.assertIn(key, refusal["message"])
        plan = self.json("retry", failed["id"], "--dry-run", code=4)["plan"]
        self.assertLessEqual({"brief", "budget"}, {m["key"] for m in plan["missing"]})
        self.assertEqual(self.ran(), [])

    def test_S04_an_agent_that_leaves_out_its_key_has_failed_and_says_which(self):
        failed = self.start(code=1, mute="game_planner")
        error = self.stage(failed, "game_planner")["error"]
        self.assertEqual(error["class"], "VALIDATION")
        self.assertIn("plan", error["message"])
        self.assertEqual(self.stages(failed)["blueprint_generator"], "pending")
        run = self.retry(failed, mute="")
        self.assertEqual((run["from_stage"], run["status"]), ("game_planner", "succeeded"))

    def test_S08_R02_in_a_long_chain_only_the_end_is_executed_and_all_keys_are_there(self):
        stages = "".join(
            f"  - {{name: s{i}, shell: true, produces: [k{i}],\n"
            f"     run: 'echo s{i} >> ran; [ {i} != 55 ] || [ -e good ] || exit 1; echo k{i}:{i} | tr : = > $RATOON_OUTPUT'}}\n"
            for i in range(1, 58)
        )
        failed = self.run_json("run", self.write("p.yaml", "pipeline: long\nstages:\n" + stages), code=1)
        self.assertEqual(len(self.ran()), 55)
        self.touch("good")
        run = self.run_json("retry", failed["id"])
        self.assertEqual(self.ran(), ["s55", "s56", "s57"])
        self.assertEqual(self.state(run["id"]), {f"k{i}": str(i) for i in range(1, 58)})
        self.assertEqual(
            self.state(run["id"], "--at", "before:s30"), {f"k{i}": str(i) for i in range(1, 30)}
        )


class Validation(Agents):
    def test_R06_A03_a_retry_is_offered_for_failed_and_degraded_runs_and_not_for_succeeded(self):
        failed = self.start(code=1, outage="router")
        retry = failed["actions"]["retry"]
        self.assertEqual((retry["available"], retry["from_stage"]), (True, "router"))
        degraded = self.start(tired="lore_writer")
        retry = degraded["actions"]["retry"]
        self.assertEqual((retry["available"], retry["from_stage"]), (True, "lore_writer"))
        retry = self.start()["actions"]["retry"]
        self.assertFalse(retry["available"])
        self.assertIn("succeeded", retry["why_not"])

    def test_R03_unknown_run_and_unknown_stage_are_refused_with_the_list_of_stages(self):
        failed = self.start(code=1, outage="router")
        error = self.refused_retry("NO_SUCH_STAGE", failed, "--from", "storyteller")
        for agent in AGENTS:
            self.assertIn(agent, error["message"] + error["hint"])
        self.refused("NOT_FOUND", "retry", "01234567-89ab-7def-8123-456789abcdef", code=3)

    def test_R12_a_bad_parameter_is_refused_before_anything_is_recorded(self):
        failed = self.start(code=1, outage="router")
        for value in ("0", "many", "1000000"):
            error = self.refused_retry("PARAM_INVALID", failed, "--param", f"token_budget={value}")
            self.assertIn("token_budget", error["message"])

    def test_R15_what_is_confirmed_is_what_is_done(self):
        failed = self.start(code=1, min_words=20)
        before = self.log(failed)
        request = ("retry", failed["id"], "--from", "blueprint_validator", "--param", "detail=3")
        plan = self.json(*request, "--dry-run")["plan"]
        self.assertEqual((plan["run"], plan["reuse"]), (BACK, FRONT))
        self.assertEqual((plan["requested_stage"], plan["from_stage"]), ("blueprint_validator", "blueprint_generator"))
        self.assertEqual((plan["depth"], plan["max_depth"]), (1, 3))
        self.assertEqual(self.log(failed), before)
        other = (*request[:-1], "detail=4", "--plan", plan["token"])
        self.refused("PLAN_STALE", *other)
        run = self.run_json(*request, "--plan", plan["token"])
        self.assertEqual(self.calls(run), plan["run"])

    def test_Q04_statistics_name_where_agents_fail_and_which_retries_helped(self):
        failed = self.start(code=1, outage="router")
        self.retry(failed, code=1)
        self.retry(failed, outage="")
        self.start(code=1, min_words=20)
        (stats,) = self.json("stats")["pipelines"]
        self.assertEqual((stats["runs"], stats["by_status"]["failed"], stats["by_status"]["succeeded"]), (4, 3, 1))
        self.assertEqual({k: v for k, v in stats["depth"].items() if v}, {"0": 2, "1": 2})
        stages = {stage["name"]: stage for stage in stats["stages"]}
        router = stages["router"]
        self.assertEqual((router["executions"], router["success_rate"], router["errors"]), (4, 0.5, {"TRANSIENT": 2}))
        self.assertEqual((router["retries"], router["retries_that_helped"]), (2, 1))
        self.assertEqual(stages["blueprint_validator"]["errors"], {"VALIDATION": 1})
        self.assertGreater(stages["input_enhancer"]["seconds_saved"], 0)

    def test_R09_a_double_click_is_one_retry(self):
        failed = self.start(code=1, outage="blueprint_generator")
        command = ("--json", "retry", failed["id"], "--param", "outage=", "--key", "click")
        results = [self.finish(p).expect_exit(0) for p in [self.start_ratoon(*command) for _ in range(3)]]
        self.assertEqual(len({r.json()["run"]["id"] for r in results}), 1)
        self.assertEqual(len(self.tree(failed)), 2)
        self.assertEqual(self.counted("call")["blueprint_generator"], 2)

    def test_E07_S06_a_flood_of_error_text_stays_readable(self):
        path = self.write(
            "p.yaml",
            "pipeline: p\nstages:\n  - {name: a, shell: true, run: 'yes \"all went wrong\" | head -n 20000 >&2;"
            ' printf "\\033[31m%9000s\\n" end >&2; exit 1\'}\n',
        )
        result = self.run_ratoon("run", path).expect_exit(1)
        self.assertNotIn("\033", result.stdout + result.stderr)
        error = self.stage(self.run_json("show", "@last"), "a")["error"]
        self.assertTrue(error["message"].startswith("exit 1"))
        self.assertLess(len(error["message"]), 4096)
        self.assertLessEqual(len(error["detail"].encode()), 8192 + 64)
        logs = self.run_ratoon("logs", "@last", "a").expect_exit(0).stdout
        self.assertEqual(logs.count("all went wrong"), 20000)


class Integrity(Agents):
    def test_R19_R27_L12_the_family_is_whole_from_every_run_and_numbered(self):
        root = self.start(code=1, outage="router")
        one = self.retry(root, code=1, outage="game_planner")
        two = self.retry(one, outage="")
        other = self.retry(root, outage="")
        ids = [run["id"] for run in (root, one, two, other)]
        for run in ids:
            lineage = self.json("tree", run)["lineage"]
            self.assertEqual([r["id"] for r in lineage["runs"]], ids)
            self.assertEqual([r["number"] for r in lineage["runs"]], [1, 2, 3, 4])
            self.assertEqual([r["depth"] for r in lineage["runs"]], [0, 1, 2, 1])
        runs = {r["id"]: r for r in self.tree(root)}
        for id_, run in runs.items():
            self.assertEqual(sorted(run["children"]), sorted(r for r in ids if runs[r]["parent"] == id_))
        # The parent is as it was; its history only says that it was branched.
        self.assertEqual(runs[root["id"]]["status"], "failed")
        types = [e["type"] for e in self.log(root)]
        self.assertEqual(types[types.index("run.ended") + 1 :], ["run.branched"] * 2)
        self.assert_sound()

    def test_R20_a_run_with_branches_is_not_deleted_without_saying_so(self):
        failed = self.start(code=1, outage="router")
        run = self.retry(failed, outage="")
        for id_ in (failed["id"], run["id"]):
            self.refused("HAS_BRANCHES", "delete", id_)
        self.run_ratoon("delete", failed["id"], "--lineage").expect_exit(0)
        for id_ in (failed["id"], run["id"]):
            self.refused("NOT_FOUND", "show", id_, code=3)
        self.assert_sound()

    def test_L08_R01_a_killed_retry_leaves_no_orphan_and_goes_on(self):
        failed = self.start(code=1, outage="blueprint_generator")
        self.env["AGENTS_HOLD"] = "blueprint_validator:" + self.path("go")
        process = self.start_ratoon("retry", failed["id"], "--param", "outage=")
        self.until_file("go.waiting")
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.touch("go")
        (child,) = self.run_json("show", failed["id"])["children"]
        run = self.run_json("show", child)
        self.assertEqual((run["parent"], run["status"]), (failed["id"], "suspended"))
        self.assertEqual(self.stages(run)["blueprint_generator"], "succeeded")
        done = self.run_json("resume", child)
        self.assertEqual(done["status"], "succeeded")
        # The generator was paid once, the validator called again.
        self.assertEqual(self.counted("call", child), {"blueprint_generator": 1, "blueprint_validator": 2})
        self.assert_sound()

    def test_R01_wherever_a_retry_is_killed_parent_and_child_agree(self):
        failed = self.start(code=1, outage="blueprint_generator")
        for delay in (0.001, 0.01, 0.02, 0.04, 0.08):
            process = self.start_ratoon("retry", failed["id"], "--param", "outage=")
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
            runs = {run["id"]: run for run in self.tree(failed)}
            children = [id_ for id_, run in runs.items() if run["parent"]]
            self.assertEqual(sorted(runs[failed["id"]]["children"]), sorted(children))
            self.assertEqual(sorted(r["number"] for r in runs.values()), list(range(1, len(runs) + 1)))
            self.assertEqual({runs[c]["status"] for c in children} - {"suspended", "succeeded"}, set())
        self.assertEqual(self.retry(failed, outage="")["status"], "succeeded")
        self.assert_sound()

    def test_R21_R26_history_says_what_was_chosen_and_why_each_agent_was_called(self):
        failed = self.start("--subject", "game-7", code=1, min_words=20)
        run = self.retry(failed, "--from", "blueprint_validator", "--reason", "too thin", detail=3)
        self.assertEqual(run["subject"], "game-7")
        created = self.created(run)
        self.assertEqual((created["requested_stage"], created["reason"]), ("blueprint_validator", "too thin"))
        why = self.json("explain", run["id"], "game_planner")["explain"]
        self.assertEqual((why["ran"], why["status"]), (False, "reused"))
        why = self.json("explain", run["id"], "blueprint_generator")["explain"]
        self.assertTrue(why["ran"])
        kinds = {b["kind"] for b in why["because"]}
        self.assertLessEqual({"request", "parameter"}, kinds)
        self.assertEqual(why["parent"], {"run": failed["id"], "status": "succeeded"})


class Snapshots(Agents):
    def test_S01_S05_large_state_comes_back_byte_for_byte_after_a_retry(self):
        request = dict(self.request)
        request["reference"] = [{"n": i, "text": f"“{i}” é\n" * 40, "nested": {"a": [i, [i]]}} for i in range(800)]
        path = self.write("request.json", json.dumps(request))
        failed = self.start(state=path, code=1, outage="blueprint_generator")
        stored = self.json("verify")["verified"]["values"]
        run = self.retry(failed, outage="")
        for id_ in (failed["id"], run["id"]):
            self.assertEqual(self.state(id_, "--at", "start"), request)
        # The branch stores nothing of it again: if anything, its own blueprint.
        self.assertLessEqual(self.json("verify")["verified"]["values"] - stored, 1)
        self.assert_sound()

    def test_S01_input_and_output_of_every_agent_are_kept(self):
        whole = self.start()
        outputs = {}
        for event in self.log(whole):
            if event["type"] == "stage.ended":
                outputs[event["stage"]] = sorted(event["data"]["outputs"])
        self.assertEqual(
            outputs,
            {
                "input_enhancer": ["enhanced"],
                "router": ["route"],
                "game_planner": ["plan"],
                "lore_writer": ["lore"],
                "plan_validator": [],
                "blueprint_generator": ["blueprint"],
                "blueprint_validator": [],
            },
        )
        after = self.state(whole["id"], "--at", "after:game_planner")
        self.assertEqual(after["plan"], self.state(whole["id"])["plan"])


class EndToEnd(Agents):
    def test_R02_a_repaired_run_ends_as_an_untroubled_one_and_nothing_is_paid_twice(self):
        untroubled = self.start()
        cost = self.counted("tokens", untroubled["id"])
        run = self.start(code=1, outage="router")
        lineage = [run]
        for outage in ("game_planner", "blueprint_generator", ""):
            run = self.retry(run, code=1 if outage else 0, outage=outage)
            lineage.append(run)
        self.assertEqual(self.state(run["id"]), self.state(untroubled["id"]))
        calls, tokens = {}, {}
        for each in lineage:
            for agent, n in self.counted("call", each["id"]).items():
                calls[agent] = calls.get(agent, 0) + n
            for agent, n in self.counted("tokens", each["id"]).items():
                tokens[agent] = tokens.get(agent, 0) + n
        # An agent that couldn't be reached was called once more, every other one once.
        self.assertEqual(
            calls,
            {a: 2 if a in ("router", "game_planner", "blueprint_generator") else 1 for a in AGENTS},
        )
        self.assertEqual(tokens, cost)

    def test_R02_the_walk_of_the_example_ends_well(self):
        # The example writes beside itself: it is copied first, with what it takes from its neighbour.
        for name in ("agents", "compile/lib"):
            shutil.copytree(
                f"{SRC}/examples/{name}", self.path("examples", name), ignore=shutil.ignore_patterns("demo", "work")
            )
        done = subprocess.run(
            [self.path("examples/agents/demo.sh")],
            env={**self.env, "RATOON": RATOON},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


main()
