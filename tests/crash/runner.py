#!/usr/bin/python3 -B
"""Kills `ratoon run` and its supervisors, at named points and at random times, and goes on with
`resume`: nothing whose success was recorded is executed again, no process is left, no two of a
stage at a time, and the outputs are right.

    runner.py --kills N --seed N --folder DIR      a part of tests/crash/run; needs BUILD

Prints a line "runner POINT KILLED" for each point ("random" among them) and "runner-done KILLS".
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from harness import Limit

PIPELINE = """pipeline: p
stages:
  - {name: first, run: [./stage.sh], produces: [list]}
  - {name: each, foreach: list, jobs: 2, run: [./stage.sh], produces: [each]}
  - {name: side, needs: [first], run: [./stage.sh], produces: [side]}
  - {name: last, needs: [each, side], commits: true, run: [./stage.sh], produces: [last]}
"""

# Each execution leaves a line, holds a lock while it lives, and has a child in a session of its own
# that holds the lock too.
STAGE = """#!/bin/sh
name=$RATOON_STAGE${RATOON_ITEM:+.$RATOON_ITEM}
exec 9>"lock.$name"
/usr/bin/flock -n 9 || echo "$name" >> overlap
echo "$name" >> starts
setsid sleep 0.05 &
sleep 0.0$1
case $RATOON_STAGE in
first) echo '{"list": ["a", "b", "c"]}' > "$RATOON_OUTPUT";;
each) echo "each=done $RATOON_ITEM" > "$RATOON_OUTPUT";;
side) echo 'side=1' > "$RATOON_OUTPUT";;
last) tr -d ' \\n' < "$RATOON_STATE" > state; echo 'last=2' > "$RATOON_OUTPUT";;
esac
wait
echo "output of $name"
"""

EXPECTED = {
    "list": ["a", "b", "c"],
    "each": {"a": "done a", "b": "done b", "c": "done c"},
    "side": "1",
    "last": "2",
}
WAIT_S = 60
RESUMES_MAX = 3


class Wrong(Exception):
    pass


class Round:
    def __init__(self, build, folder, chance):
        self.build, self.folder, self.chance = build, folder, chance
        self.mark = f"crash-runner-{os.getpid()}-{chance.getrandbits(48):x}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("RATOON")}
        self.env["CRASH_MARK"] = self.mark
        self.env["CRASH_COUNTS"] = self.path("counts")
        self.kills = 0
        self.stopped = False  # at its point
        os.mkdir(folder)
        with open(self.path("p.yaml"), "w") as file:
            file.write(PIPELINE)
        with open(self.path("stage.sh"), "w") as file:
            file.write(STAGE.replace("$1", str(chance.randint(1, 5))))
        os.chmod(self.path("stage.sh"), 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def lines(self, name):
        try:
            with open(self.path(name)) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    # ---- processes

    def processes(self):
        """Those of this round, without zombies: {pid: command line}."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    environ = file.read()
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read()
            except OSError:
                continue
            if self.mark.encode() in environ and command:
                found[int(pid)] = command.replace(b"\0", b" ").decode()
        return found

    def wait_none(self):
        limit = Limit(WAIT_S)
        while left := self.processes():
            if limit.over():
                raise Wrong(f"processes are left: {left}")
            time.sleep(0.01)

    def supervisors(self):
        return [p for p, command in self.processes().items() if "__supervise" in command]

    def start(self, arguments, stop=None):
        """The command, in a session of its own; stop: where it dies."""
        program = os.path.join(self.build, "ratoon")
        env = dict(self.env)
        if stop:
            program = os.path.join(self.build, "tests", "crash", "ratoon_crash")
            env["CRASH_STOP"] = stop
            if os.path.exists(self.path("counts")):
                os.unlink(self.path("counts"))
        return subprocess.Popen(
            [program, "--store", "store", *arguments],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, *arguments, codes=(0,)):
        process = self.start(arguments)
        out, err = Limit(2 * WAIT_S).communicate(process)
        if process.returncode not in codes:
            raise Wrong(f"ratoon {' '.join(arguments)}: {process.returncode}: {err}")
        return out

    # ---- one killing

    def kill_executing(self, arguments, stop):
        """Executes until somebody of it is killed. True: the executor was, or ended by itself
        because of it."""
        process = self.start(arguments, stop)
        if stop is None:
            time.sleep(self.chance.uniform(0, 0.4))
            victims = self.supervisors() if self.chance.random() < 0.3 else []
            victim = self.chance.choice(victims) if victims else process.pid
            if process.poll() is None:
                try:
                    os.kill(victim, signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    pass
        try:
            Limit(WAIT_S).communicate(process)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Wrong(f"`ratoon {' '.join(arguments)}` hangs with {self.processes()}") from None
        if stop is not None and self.reached(stop):
            self.kills += 1
            self.stopped = True
        self.wait_none()
        return process.returncode

    def reached(self, stop):
        name, times = stop.split()
        names = subprocess.run(
            [os.path.join(self.build, "tests", "crash", "ratoon_crash"), "--runner-points"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.split()
        try:
            with open(self.path("counts"), "rb") as file:
                counts = file.read()
        except FileNotFoundError:
            return False
        at = len(counts) // 8 - len(names) + names.index(name)
        return int.from_bytes(counts[8 * at : 8 * at + 8], sys.byteorder) >= int(times)

    # ---- what must hold

    def succeeded(self):
        """Names of executions whose success is recorded, as they stand in `starts`."""
        done = set()
        for line in self.ask("--json", "log", "--lineage", "@last").splitlines():
            event = json.loads(line)
            data = event["data"]
            if event["type"] == "stage.ended" and data["status"] == "succeeded":
                done.add(event["stage"])
            if event["type"] == "item.ended" and data["status"] == "done":
                done.add(f"{event['stage']}.{data['item']}")
        return done

    def run_of(self):
        out = self.ask("--json", "show", "@last", codes=(0, 3))
        return json.loads(out.splitlines()[-1]).get("run")

    def go_on(self, stop):
        """Executes what is left, and may be killed at it."""
        run = self.run_of()
        done, starts = (self.succeeded() if run else set()), self.lines("starts")
        status = run["status"] if run else None
        if status in ("suspended", "queued"):
            arguments = ["resume", run["id"]]
        elif status == "failed":
            arguments = ["retry", run["id"]]
        elif status == "succeeded":
            return True
        elif status is None:
            arguments = ["run", "p.yaml"]
        else:
            raise Wrong(f"the run is {status}")
        if stop is False:
            self.ask(*arguments)
        else:
            self.kill_executing(arguments, stop)
        again = [name for name in self.lines("starts")[len(starts) :] if name in done]
        if again:
            raise Wrong(f"executed again, though its success was recorded: {again}")
        return False

    def check_end(self):
        run = self.run_of()
        if run["status"] != "succeeded":
            raise Wrong(f"at the end the run is {run['status']}")
        if overlap := self.lines("overlap"):
            raise Wrong(f"two at a time: {overlap}")
        out = self.ask("--json", "state", "@last")
        state = json.loads(out.splitlines()[-1])
        found = state["state"]
        if found != EXPECTED:
            raise Wrong(f"outputs: {found}")
        self.ask("verify")
        for name, allowed in (("work", 0), ("locks", 1), ("executors", 0)):
            left = []
            for path, _, files in os.walk(self.path(f"store/{name}")):
                left += [os.path.join(path, file) for file in files]
            if len(left) > allowed:
                raise Wrong(f"left in the store: {left}")
        self.wait_none()

    def play(self, stop):
        self.kill_executing(["run", "p.yaml"], stop)
        for _ in range(self.chance.randrange(RESUMES_MAX)):
            self.go_on(None)
        for _ in range(4):
            if self.go_on(False):
                break
        self.check_end()


def points(build):
    program = os.path.join(build, "tests", "crash", "ratoon_crash")
    out = subprocess.run(
        [program, "--runner-points"], stdout=subprocess.PIPE, text=True, check=True
    )
    return out.stdout.split()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", required=True)
    options = parser.parse_args()
    build = os.path.abspath(os.environ["BUILD"])
    names = points(build)
    killed = dict.fromkeys([*names, "random"], 0)
    kills = rounds = 0
    while kills < options.kills or (0 in killed.values() and rounds < 8 * len(names)):
        rounds += 1
        chance = random.Random(f"{options.seed} {rounds}")
        # Each point in turn; in between, at any time.
        name = names[rounds // 2 % len(names)] if rounds % 2 else None
        stop = f"{name} {chance.randint(1, 4)}" if name else None
        if name and killed[name] == 0 and rounds > 2 * len(names):
            stop = f"{name} 1"
        if name and name.startswith("run.finish"):
            stop = f"{name} 1"
        folder = os.path.join(options.folder, f"round-{rounds}")
        play = Round(build, folder, chance)
        try:
            play.play(stop)
        except Wrong as wrong:
            print(f"FAILED in round {rounds} of seed {options.seed} of the runner's: {wrong}")
            print(f"  stopped at: {stop or 'some time'}\n  kept: {folder}")
            return 1
        killed["random"] += play.kills
        if play.stopped:
            killed[name] += 1
            killed["random"] -= 1
        kills += play.kills
        shutil.rmtree(folder)
    for name, count in killed.items():
        print(f"runner {name} {count}")
    print(f"runner-done {kills} {rounds}")
    return 0


sys.exit(main())
