"""What the steps of a benchmark run share: sizes, paths, samples, and running a program."""

import json
import os
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Size:
    """How much work a run does. Repeats are never fewer than five."""

    def __init__(self, name, scale, seconds, repeat, scale_points, js_seconds):
        self.name = name
        self.scale = scale  # --scale of the programs
        self.seconds = seconds  # --seconds: a timed run of one side ends after that
        self.repeat = repeat
        self.scale_points = scale_points  # events in the store, growing
        self.js_seconds = js_seconds  # of one measurement of an engine in another process


SIZES = {
    "full": Size("full", 1.0, 1.0, 5, [1_000_000, 3_000_000, 10_000_000], 2.0),
    "quick": Size("quick", 0.25, 0.4, 5, [100_000, 300_000, 1_000_000], 1.0),
    "smoke": Size("smoke", 0.005, 0.2, 1, [2_000, 4_000], 0.3),
}


class Context:
    def __init__(self, size, build, scratch_base, peers_dir):
        self.size = size
        self.build = build
        self.peers_dir = peers_dir
        self.scratch = tempfile.mkdtemp(prefix="ratoon-bench.", dir=scratch_base)
        os.chmod(self.scratch, 0o755)  # an unprivileged PostgreSQL has its folder in it
        self.samples = []
        self.absent = {}  # side -> why
        self.failures = []  # {"step", "message"}
        self.notes = []
        self.seconds = {}  # step -> how long it took
        self.pg = None  # connection string
        self.pg_url = None

    def program(self, name):
        return os.path.join(self.build, "bench", name + "_bench")

    def say(self, text):
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def add(self, sample):
        """Takes one sample, or the note that a side is absent."""
        if "absent" in sample:
            if sample["side"] not in self.absent:
                self.absent[sample["side"]] = sample["absent"]
            return
        self.samples.append(sample)

    def sample(self, bench, part, side, repeat, point, metrics, **more):
        self.add(dict(bench=bench, part=part, side=side, repeat=repeat, point=point,
                      metrics=metrics, **more))

    @staticmethod
    def parse(line):
        return json.loads(line)

    def lines(self, command, timeout=1800):
        """Runs a command and takes the samples it prints, as it prints them: those of a program that
        fails later count. What it says on stderr is kept for the message where it fails."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True,
                                       stdin=subprocess.DEVNULL)
            watchdog = threading.Timer(timeout, process.kill)
            watchdog.start()
            try:
                for line in process.stdout:
                    if line.startswith("{"):
                        self.add(json.loads(line))
                code = process.wait()
            finally:
                watchdog.cancel()
                if process.poll() is None:
                    process.kill()
                    process.wait()
                process.stdout.close()
            if code != 0:
                said.seek(0)
                raise RuntimeError(f"{os.path.basename(command[0])} ended with {code}: "
                                   f"{said.read().strip()[-2000:]}")

    def bench(self, name, *arguments, timeout=1800):
        """Runs one of our programs at this run's size."""
        command = [self.program(name), "--scale", str(self.size.scale), "--repeat",
                   str(self.size.repeat), "--seconds", str(self.size.seconds), "--dir",
                   self.scratch]
        if self.size.name == "smoke":
            command.append("--smoke")
        if self.pg:
            command += ["--pg", self.pg]
        self.lines(command + list(arguments), timeout=timeout)
