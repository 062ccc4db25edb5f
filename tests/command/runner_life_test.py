"""How stages live and end: time-outs, retries, cancellation, signals, dead executors (A04, A06,
E01, E05, E06, L08)."""

import json
import os
import signal
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from lib import CommandTest, main

# A child that forks twice into sessions of its own, ignores SIGTERM and holds the pipes.
STUBBORN = """#!/usr/bin/python3
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.setsid()
        while True:
            time.sleep(0.1)
time.sleep(0.2)
open(sys.argv[1], "w").close()
if len(sys.argv) > 2:
    sys.exit(0)
while True:
    time.sleep(0.1)
"""


class Runner(CommandTest):
    def setUp(self):
        super().setUp()
        self.mark = f"ratoon-test-{os.getpid()}-{id(self)}"
        self.env["TEST_MARK"] = self.mark

    def pipeline(self, text):
        return self.write("p.yaml", "pipeline: p\n" + text)

    def marked(self):
        """Processes of stages of this test: those with its mark that have the environment of a
        stage."""
        found = []
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    environ = file.read()
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read()
            except OSError:
                continue
            if self.mark.encode() in environ and b"RATOON_RUN=" in environ and command:
                found.append(int(pid))
        return found

    def supervisor(self):
        """The supervisor of the stage of this test that is running, or None: the process above
        the stage's first."""
        for pid in self.marked():
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{parent}/cmdline", "rb") as file:
                if b"\0__supervise\0" in file.read():
                    return parent
        return None

    def wait_until(self, condition, what, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {what}")

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_file(self, name):
        self.wait_until(lambda: os.path.exists(self.path(name)), f"file {name}")

    def show(self, run="@last"):
        return self.run_ratoon("--json", "show", run).expect_exit(0).json()["run"]

    def execute(self, *arguments, code=0, env=None):
        result = self.run_ratoon("--json", "run", *arguments, env=env)
        result.expect_exit(code)
        return result.json()["run"]

    def stage_of(self, run, name):
        return next(s for s in run["stages"] if s["name"] == name)

    def events(self, run, kind):
        log = self.run_ratoon("--json", "log", run["id"]).json_lines()
        return [e for e in log if e["type"] == kind]


class Schedule(Runner):
    def test_E01_jobs_bound_all_processes(self):
        # Each process counts those that run with it.
        self.write(
            "count.sh",
            """#!/bin/sh
            mkdir -p running; touch running/$$; ls running | wc -l >> counts
            sleep 0.15; rm running/$$
            """,
            True,
        )
        self.write("state.json", '{"l": ["a", "b", "c", "d", "e"]}')
        self.pipeline(
            "stages:\n"
            "  - {name: x, needs: [], run: ['./count.sh']}\n"
            "  - {name: y, needs: [], run: ['./count.sh']}\n"
            "  - {name: z, needs: [], foreach: l, jobs: 4, run: ['./count.sh']}\n"
        )
        self.execute("p.yaml", "--jobs", "2", "--state", "state.json")
        with open(self.path("counts")) as file:
            counts = [int(n) for n in file.read().split()]
        self.assertEqual(len(counts), 7)
        self.assertEqual(max(counts), 2)

    def test_E01_independent_stages_overlap(self):
        self.pipeline(
            "stages:\n"
            "  - {name: x, needs: [], run: 'touch x; while [ ! -e y ]; do sleep 0.01; done', shell: true, timeout: 10s}\n"
            "  - {name: y, needs: [], run: 'touch y; while [ ! -e x ]; do sleep 0.01; done', shell: true, timeout: 10s}\n"
        )
        self.execute("p.yaml", "--jobs", "2")

    def test_E01_after_a_failure_running_stages_finish_and_none_starts(self):
        self.pipeline(
            "stages:\n"
            "  - {name: bad, needs: [], run: ['false']}\n"
            "  - {name: slow, needs: [], run: ['sleep', '0.5']}\n"
            "  - {name: other, needs: [slow], run: ['true']}\n"
        )
        run = self.execute("p.yaml", "--jobs", "2", code=1)
        status = {s["name"]: s["status"] for s in run["stages"]}
        self.assertEqual(status, {"bad": "failed", "slow": "succeeded", "other": "pending"})

    def test_E01_a_forgiven_failure_degrades_and_dependents_run_or_are_skipped(self):
        self.pipeline(
            "stages:\n"
            "  - {name: bad, run: ['false'], allow_failure: true, produces: [k]}\n"
            "  - {name: free, needs: [bad], run: ['true']}\n"
            "  - {name: bound, needs: [bad], run: ['true'], requires: [k]}\n"
            "  - {name: each, needs: [bad], run: ['true'], foreach: k}\n"
        )
        run = self.execute("p.yaml")
        status = {s["name"]: s["status"] for s in run["stages"]}
        self.assertEqual(run["status"], "degraded")
        self.assertEqual(
            status, {"bad": "failed", "free": "succeeded", "bound": "skipped", "each": "skipped"}
        )

    def test_S04_a_stage_whose_keys_are_absent_fails_without_running(self):
        self.pipeline(
            "stages:\n  - {name: a, run: ['true']}\n"
            "  - {name: b, run: ['touch', 'ran'], requires: [k]}\n"
        )
        run = self.execute("p.yaml", code=1)
        self.assertEqual(self.stage_of(run, "b")["status"], "failed")
        self.assertEqual(self.stage_of(run, "b")["error"]["class"], "DEPENDENCY")
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_E02_until_executes_the_stage_and_its_ancestors(self):
        self.pipeline(
            "stages:\n  - {name: a, run: ['true']}\n  - {name: b, run: ['true']}\n"
            "  - {name: c, run: ['true']}\n  - {name: side, needs: [], run: ['true']}\n"
        )
        run = self.execute("p.yaml", "--until", "b", code=9)
        status = [s["status"] for s in run["stages"]]
        self.assertEqual(status, ["succeeded", "succeeded", "pending", "pending"])
        self.assertEqual(run["status"], "suspended")
        self.run_ratoon("resume", run["id"]).expect_exit(0)
        self.assertEqual(self.show()["status"], "succeeded")


    def test_E06_processes_of_a_supervisor_that_is_killed_end(self):
        self.write("stubborn.py", STUBBORN, True)
        self.pipeline("stages:\n  - {name: a, run: [./stubborn.py, there]}\n")
        process = self.start_ratoon("run", "p.yaml")
        self.wait_file("there")
        supervisor = self.wait_until(self.supervisor, "a supervisor")
        self.assertGreater(len(self.marked()), 1)
        os.kill(supervisor, signal.SIGKILL)
        self.finish(process).expect_exit(1)
        self.wait_until(lambda: not self.marked(), "no process")

    def test_L08_what_a_dead_executor_left_of_a_stage_goes_with_the_end_of_its_run(self):
        # As if it was killed between recording the end of `a` and removing its files.
        self.pipeline("stages:\n  - {name: a, run: ['true']}\n  - {name: b, run: ['true']}\n")
        run = self.execute("p.yaml", "--until", "a", code=9)["id"]
        work = self.write(f".ratoon/work/{run}/0.1/state.json", "{}")
        shell = self.write(f".ratoon/work/{run}/shell.0.1/state.json", "{}")  # somebody is at it
        lock = self.write(f".ratoon/locks/{run}.0", "")
        self.run_ratoon("resume", run).expect_exit(0)
        self.assertFalse(os.path.exists(os.path.dirname(work)))
        self.assertTrue(os.path.exists(shell))
        self.assertFalse(os.path.exists(lock))

    def test_E02_a_resumed_run_knows_what_was_forgiven(self):
        self.pipeline(
            "stages:\n  - {name: a, run: ['false'], allow_failure: true}\n"
            "  - {name: b, run: ['true']}\n"
        )
        run = self.execute("p.yaml", "--until", "a", code=9)
        run = self.run_ratoon("--json", "resume", run["id"]).expect_exit(0).json()["run"]
        self.assertEqual(run["status"], "degraded")

    def test_R25_only_executes_its_stage_and_a_resume_the_rest(self):
        self.write("s.sh", "#!/bin/sh\necho $RATOON_STAGE >> ran; [ -e go ] || [ $RATOON_STAGE != b ]\n", True)
        self.pipeline(
            "stages:\n  - {name: a, run: ['./s.sh']}\n  - {name: b, run: ['./s.sh']}\n"
            "  - {name: c, run: ['./s.sh']}\n"
        )
        self.execute("p.yaml", code=1)
        self.write("go", "")
        self.run_ratoon("retry", "@last", "--only").expect_exit(9)
        self.assertEqual(self.read("ran").split(), ["a", "b", "b"])
        self.run_ratoon("resume", "@last").expect_exit(0)
        self.assertEqual(self.read("ran").split(), ["a", "b", "b", "c"])


class Retries(Runner):
    def test_A04_attempts_and_their_delays_are_in_history(self):
        self.write("s.sh", "#!/bin/sh\n[ $RATOON_ATTEMPT = 3 ] || exit 75\n", True)
        self.pipeline(
            "stages:\n  - name: s\n    run: ['./s.sh']\n"
            "    retry: {attempts: 3, initial: 100ms, factor: 2, max: 60s, jitter: 0}\n"
        )
        started = time.monotonic()
        run = self.execute("p.yaml")
        self.assertGreaterEqual(time.monotonic() - started, 0.3)
        self.assertEqual(self.stage_of(run, "s")["attempt"], 3)
        self.assertEqual(len(self.events(run, "stage.returned")), 2)

    def test_A04_only_the_named_classes_are_retried(self):
        self.pipeline(
            "stages:\n  - name: s\n    run: ['false']\n"
            "    retry: {attempts: 3, initial: 10ms, factor: 1, max: 1s, jitter: 0}\n"
        )
        run = self.execute("p.yaml", code=1)
        self.assertEqual(self.stage_of(run, "s")["attempt"], 1)

    def test_A04_a_run_in_backoff_can_be_cancelled(self):
        self.pipeline(
            "stages:\n  - name: s\n    run: 'touch ran; exit 75'\n    shell: true\n"
            "    retry: {attempts: 3, initial: 1h, factor: 1, max: 2h, jitter: 0}\n"
        )
        process = self.start_ratoon("--json", "run", "p.yaml")
        self.wait_file("ran")
        self.wait_until(lambda: self.stage_of(self.show(), "s")["status"] == "pending", "back-off")
        self.run_ratoon("cancel", "@last").expect_exit(0)
        self.finish(process).expect_exit(8)

    def test_A04_a_retried_foreach_executes_only_what_failed(self):
        self.write(
            "s.sh",
            "#!/bin/sh\necho $RATOON_ITEM >> ran\n"
            "[ $RATOON_ITEM != b ] || [ $RATOON_ATTEMPT -gt 1 ] || exit 75\n",
            True,
        )
        self.write("state.json", '{"l": ["a", "b", "c"]}')
        self.pipeline(
            "stages:\n  - name: s\n    run: ['./s.sh']\n    foreach: l\n"
            "    retry: {attempts: 2, initial: 10ms, factor: 1, max: 1s, jitter: 0}\n"
        )
        self.execute("p.yaml", "--state", "state.json")
        with open(self.path("ran")) as file:
            self.assertEqual(file.read().split(), ["a", "b", "c", "b"])


class Timeouts(Runner):
    def test_A06_a_stage_is_ended_when_its_time_is_up(self):
        self.pipeline("stages:\n  - {name: s, run: ['sleep', '60'], timeout: 300ms, grace: 1s}\n")
        run = self.execute("p.yaml", code=1)
        error = self.stage_of(run, "s")["error"]
        self.assertEqual(error["class"], "TIMEOUT")
        self.assertTrue(error["message"].startswith("signal 15 (SIGTERM)"))

    def test_A06_who_ignores_sigterm_is_killed_with_all_descendants(self):
        self.write("stubborn", STUBBORN, True)
        self.pipeline(
            "stages:\n  - {name: s, run: ['./stubborn', 'ready'], timeout: 1s, grace: 300ms}\n"
        )
        run = self.execute("p.yaml", code=1)
        error = self.stage_of(run, "s")["error"]
        self.assertTrue(error["message"].startswith("signal 9 (SIGKILL)"), error)
        self.assertEqual(self.marked(), [])

    def test_A06_heartbeat(self):
        self.write(
            "s.sh",
            "#!/bin/sh\nfor i in 1 2 3 4 5 6; do echo '{\"progress\":{\"done\":1}}' >> $RATOON_EVENTS;"
            " sleep 0.2; done\ntouch spoke\nsleep 60\n",
            True,
        )
        self.pipeline("stages:\n  - {name: s, run: ['./s.sh'], heartbeat: 900ms}\n")
        run = self.execute("p.yaml", code=1)
        self.assertEqual(self.stage_of(run, "s")["error"]["class"], "TIMEOUT")
        self.assertTrue(os.path.exists(self.path("spoke")))

    def test_A06_timeout_of_the_run(self):
        self.pipeline(
            "policy: {timeout: 500ms}\n"
            "stages:\n  - {name: a, run: ['sleep', '60']}\n  - {name: b, run: ['touch', 'ran']}\n"
        )
        run = self.execute("p.yaml", code=1)
        self.assertEqual(self.stage_of(run, "a")["error"]["class"], "TIMEOUT")
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_A06_timeout_of_the_run_in_backoff(self):
        self.pipeline(
            "policy: {timeout: 500ms}\n"
            "stages:\n  - name: s\n    run: ['sh', '-c', 'exit 75']\n"
            "    retry: {attempts: 3, initial: 1h, factor: 1, max: 2h, jitter: 0}\n"
        )
        run = self.execute("p.yaml", code=1)
        self.assertEqual(run["status"], "failed")
        self.assertEqual(self.stage_of(run, "s")["error"]["class"], "TIMEOUT")


class Endings(Runner):
    def test_E05_cancel_from_another_process(self):
        self.write("s.sh", "#!/bin/sh\ntrap 'touch asked; exit 0' TERM\ntouch ready\n"
                   "while :; do sleep 0.05; done\n", True)
        self.pipeline("stages:\n  - {name: s, run: ['./s.sh']}\n  - {name: t, run: ['true']}\n")
        process = self.start_ratoon("--json", "run", "p.yaml")
        self.wait_file("ready")
        self.run_ratoon("cancel", "@last", "--reason", "enough").expect_exit(0)
        result = self.finish(process).expect_exit(8)
        run = result.json()["run"]
        self.assertEqual(run["status"], "cancelled")
        self.assertEqual([s["status"] for s in run["stages"]], ["cancelled", "cancelled"])
        self.assertTrue(os.path.exists(self.path("asked")))
        self.run_ratoon("cancel", "@last").expect_exit(4)

    def test_E05_a_signal_suspends_and_resume_goes_on(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.write("s.sh", "#!/bin/sh\ntouch ready\n[ -e go ] || sleep 60\n", True)
            self.pipeline("stages:\n  - {name: s, run: ['./s.sh']}\n  - {name: t, run: ['true']}\n")
            process = self.start_ratoon("--json", "run", "p.yaml")
            self.wait_file("ready")
            process.send_signal(number)
            result = self.finish(process).expect_exit(130)
            self.assertEqual(result.json()["run"]["status"], "suspended")
            self.assertEqual(self.marked(), [])
            self.write("go", "")
            run = self.run_ratoon("--json", "resume", "@last").expect_exit(0).json()["run"]
            self.assertEqual(self.stage_of(run, "s")["attempt"], 2)
            os.remove(self.path("ready"))
            os.remove(self.path("go"))

    def test_E05_a_second_signal_kills(self):
        self.write("stubborn", STUBBORN, True)
        self.pipeline("stages:\n  - {name: s, run: ['./stubborn', 'ready'], grace: 1h}\n")
        process = self.start_ratoon("--json", "run", "p.yaml")
        self.wait_file("ready")
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.finish(process, timeout=20).expect_exit(130)
        self.assertEqual(self.marked(), [])

    def test_E06_stages_end_with_a_killed_executor(self):
        self.write("stubborn", STUBBORN, True)
        self.pipeline("stages:\n  - {name: s, run: ['./stubborn', 'ready']}\n")
        process = self.start_ratoon("run", "p.yaml")
        self.wait_file("ready")
        self.assertGreaterEqual(len(self.marked()), 3)
        process.kill()
        process.wait()
        self.wait_until(lambda: self.marked() == [], "descendants of a dead executor end", 10)
        run = self.show()
        self.assertEqual(run["status"], "suspended")
        self.assertEqual(self.stage_of(run, "s")["status"], "pending")
        self.assertEqual(self.stage_of(run, "s")["attempt"], 1)

    def test_E06_items_end_with_a_killed_executor_and_done_ones_stay(self):
        self.write("state.json", '{"l": ["a", "b", "c", "d"]}')
        self.write(
            "s.sh",
            "#!/bin/sh\necho $RATOON_ITEM >> ran\n[ $RATOON_ITEM != c -o -e go ] || sleep 60\n",
            True,
        )
        self.pipeline("stages:\n  - {name: s, run: ['./s.sh'], foreach: l}\n")
        process = self.start_ratoon("run", "p.yaml", "--state", "state.json")
        self.wait_until(lambda: "c" in self.read("ran"), "item c")
        process.kill()
        process.wait()
        self.write("go", "")
        self.run_ratoon("resume", "@last").expect_exit(0)
        self.assertEqual(self.read("ran").split(), ["a", "b", "c", "c", "d"])
        self.assertEqual(os.listdir(self.path(".ratoon", "work")), [])

    def test_L08_no_attempt_starts_before_the_last_process_of_the_old_one_is_gone(self):
        # The supervisor is stopped, so that nothing can end what it guards.
        self.write(
            "s.sh",
            "#!/bin/sh\nif [ -e go ]; then kill -0 $(cat ready) 2>/dev/null; echo $? > seen; exit 0; fi\n"
            "echo $$ > ready\nexec sleep 60\n",
            True,
        )
        self.pipeline("stages:\n  - {name: s, run: ['./s.sh']}\n")
        process = self.start_ratoon("run", "p.yaml")
        self.wait_file("ready")
        supervisor = self.wait_until(self.supervisor, "a supervisor")
        os.kill(supervisor, signal.SIGSTOP)
        process.kill()
        process.wait()
        self.write("go", "")
        resumed = self.start_ratoon("--json", "resume", "@last")
        time.sleep(0.7)
        self.assertIsNone(resumed.poll())
        self.assertFalse(os.path.exists(self.path("seen")))
        os.kill(supervisor, signal.SIGCONT)
        self.finish(resumed).expect_exit(0)
        self.assertEqual(self.read("seen"), "1\n")

    def test_E06_a_killed_supervisor_fails_its_stage(self):
        self.pipeline("stages:\n  - {name: s, run: 'touch ready; sleep 60', shell: true}\n")
        process = self.start_ratoon("--json", "run", "p.yaml")
        self.wait_file("ready")
        os.kill(self.wait_until(self.supervisor, "a supervisor"), signal.SIGKILL)
        run = self.finish(process).expect_exit(1).json()["run"]
        message = self.stage_of(run, "s")["error"]["message"]
        self.assertTrue(message.startswith("signal 9 (SIGKILL)"), message)

    def test_E05_an_executor_outlives_the_owner_of_its_store(self):
        self.pipeline("stages:\n  - {name: s, run: 'touch ready$RATOON_PARAM_N; sleep $RATOON_PARAM_N',"
                      " shell: true}\n  - {name: t, run: ['true']}\n"
                      "params: {n: {type: int}}\n")
        owner = self.start_ratoon("run", "p.yaml", "--param", "n=60")
        self.wait_file("ready60")
        client = self.start_ratoon("--json", "run", "p.yaml", "--param", "n=2")
        self.wait_file("ready2")
        owner.kill()
        owner.wait()
        run = self.finish(client).expect_exit(0).json()["run"]
        self.assertEqual(run["status"], "succeeded")
        status = [r["run"]["status"] for r in self.run_ratoon("--json", "list").json_lines()]
        self.assertEqual(status, ["succeeded", "suspended"])

    def test_E06_what_a_stage_leaves_behind_is_ended(self):
        self.write("stubborn", STUBBORN, True)
        self.pipeline("stages:\n  - {name: s, run: ['./stubborn', 'ready', 'leave'], grace: 300ms}\n"
                      "  - {name: t, run: ['true']}\n")
        started = time.monotonic()
        self.execute("p.yaml")
        self.assertLess(time.monotonic() - started, 8)
        self.assertEqual(self.marked(), [])

    def test_E06_memory_stays_flat_under_a_flood(self):
        self.pipeline(
            "stages:\n  - {name: s, run: 'head -c 1G /dev/zero; head -c 1G /dev/zero >&2', shell: true}\n"
        )
        process = self.start_ratoon("--json", "run", "p.yaml")
        peak = 0
        while process.poll() is None:
            try:
                with open(f"/proc/{process.pid}/status") as file:
                    for line in file:
                        if line.startswith("VmRSS"):
                            peak = max(peak, int(line.split()[1]))
            except OSError:
                pass
            time.sleep(0.05)
        self.finish(process).expect_exit(0)
        self.assertLess(peak, 250_000)


class Items(Runner):
    def foreach(self, array, script, fields="", code=0, arguments=()):
        self.write("state.json", json.dumps({"l": array}))
        self.write("s.sh", "#!/bin/sh\n" + script, True)
        self.pipeline(f"stages:\n  - name: s\n    run: ['./s.sh']\n    foreach: l\n{fields}")
        return self.execute("p.yaml", "--state", "state.json", *arguments, code=code)

    def state(self, run):
        result = self.run_ratoon("--json", "state", run["id"]).expect_exit(0)
        return result.json()["state"]

    def test_R13_items_get_their_key_and_value(self):
        run = self.foreach(
            ["a", {"key": "b", "url": "http://x"}],
            "(printf 'k='; echo $RATOON_ITEM; printf 'v='; cat $RATOON_ITEM_VALUE) > $RATOON_OUTPUT",
            "    produces: [k, v]\n",
        )
        state = self.state(run)
        self.assertEqual(state["k"], {"a": "a", "b": "b"})
        self.assertEqual(json.loads(state["v"]["b"]), {"key": "b", "url": "http://x"})

    def test_R13_with_one_key_an_output_without_it_is_taken_whole(self):
        run = self.foreach(
            ["a", "b"],
            """if [ $RATOON_ITEM = a ]; then echo r=1; else echo other=2; fi > $RATOON_OUTPUT""",
            "    produces: [r]\n",
        )
        self.assertEqual(self.state(run)["r"], {"a": "1", "b": {"other": "2"}})

    def test_R13_an_empty_array_gives_empty_objects(self):
        run = self.foreach([], "exit 1", "    produces: [x, y]\n")
        state = self.state(run)
        self.assertEqual((state["x"], state["y"]), ({}, {}))
        self.assertEqual(self.stage_of(run, "s")["items"]["total"], 0)

    def test_R13_a_failed_item_does_not_stop_the_others(self):
        run = self.foreach(
            ["a", "b", "c", "d"], "echo $RATOON_ITEM >> ran; [ $RATOON_ITEM != b ] || exit 3", code=1
        )
        items = self.stage_of(run, "s")["items"]
        self.assertEqual((items["total"], items["done"], items["failed"]), (4, 3, 1))
        error = self.stage_of(run, "s")["error"]
        self.assertTrue(error["message"].startswith("1 of 4 items failed: b"), error)
        self.assertIn("exit 3", error["message"])
        self.run_ratoon("retry", "@last").expect_exit(1)
        with open(self.path("ran")) as file:
            self.assertEqual(file.read().split(), ["a", "b", "c", "d", "b"])

    def test_R13_kept_items_are_gathered_too(self):
        self.foreach(
            ["a", "b"],
            "[ -e go -o $RATOON_ITEM = a ] || exit 1; echo x=$RATOON_ATTEMPT > $RATOON_OUTPUT",
            "    produces: [x]\n", code=1,
        )
        self.write("go", "")
        run = self.run_ratoon("--json", "retry", "@last").expect_exit(0).json()["run"]
        self.assertEqual(self.state(run)["x"], {"a": "1", "b": "1"})

    def test_R13_what_is_no_list_of_items_is_refused(self):
        for array, part in (
            (["a", "a"], "'a' of an earlier one"),
            ([1], "neither a string nor an object"),
            ([{"k": 1}], "no 'key'"),
            ({"a": 1}, "expected a JSON array"),
            ([""], "empty key"),
            (["x" * 5000], "LIMIT_EXCEEDED"),
        ):
            run = self.foreach(array, "touch ran", code=1)
            error = self.stage_of(run, "s")["error"]
            self.assertEqual(error["class"], "VALIDATION")
            self.assertIn(part, error["message"])
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_R14_items_of_a_committing_stage_are_committed(self):
        run = self.foreach(["a", "b"], "true", "    commits: true\n")
        self.assertEqual(self.stage_of(run, "s")["items"]["committed"], 2)

    def test_S10_an_item_output_may_stand_for_a_file(self):
        run = self.foreach(
            ["a"],
            "echo $RATOON_ITEM > f.txt; echo '{\"f\":{\"file\":\"f.txt\"}}' > $RATOON_OUTPUT",
            "    produces: [f]\n",
        )
        self.assertEqual(self.state(run)["f"]["a"]["size"], 2)

    def test_E07_output_of_items_is_kept_apart(self):
        run = self.foreach(["a", "b"], "echo from $RATOON_ITEM")
        logs = self.run_ratoon("logs", run["id"], "s", "--item", "b").expect_exit(0)
        self.assertEqual(logs.stdout, "from b\n")


main()
