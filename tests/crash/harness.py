"""What the scripts of the harnesses share: the build folder, and programs that run side by side."""

import os
import subprocess
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_folder():
    """BUILD, or build/release, built here."""
    folder = os.environ.get("BUILD")
    if folder is None:
        folder = os.path.join(SOURCE, "build", "release")
        for command in (
            ["cmake", "--preset", "release"],
            ["cmake", "--build", "--preset", "release", "-j", str(os.cpu_count())],
        ):
            subprocess.run(command, cwd=SOURCE, check=True, stdout=subprocess.DEVNULL)
    return os.path.abspath(folder)


class Limit:
    """A limit of time that leaves out what nobody could look at, because all was stopped: a step
    counts for a second at most (as tests/support/limit.h)."""

    STEP_S = 1

    def __init__(self, seconds):
        self.left = seconds
        self.seen = time.monotonic()

    def over(self):
        now = time.monotonic()
        self.left -= min(now - self.seen, self.STEP_S)
        self.seen = now
        return self.left <= 0

    def communicate(self, process):
        """What the process says until its end; TimeoutExpired where it has none."""
        while True:
            try:
                return process.communicate(timeout=self.STEP_S / 2)
            except subprocess.TimeoutExpired:
                if self.over():
                    raise


def run_shares(program, work, shares, arguments):
    """Runs the program once for each share, in a folder of its own below `work`; the first that
    fails ends the others. Gives the lines that they say, and whether all went well."""
    outputs, processes = [], []
    for share in range(shares):
        folder = os.path.join(work, f"share-{share}")
        os.mkdir(folder)
        command = [program, "--folder", folder, "--share", f"{share}/{shares}", *arguments]
        outputs.append(tempfile.TemporaryFile("w+"))
        processes.append(subprocess.Popen(command, stdout=outputs[-1], text=True))
    while None in [process.poll() for process in processes]:
        if any(process.returncode for process in processes):
            for process in processes:
                process.terminate()
        time.sleep(0.1)
    lines = []
    for output in outputs:
        output.seek(0)
        lines += output.read().splitlines()
        output.close()
    return lines, all(process.returncode == 0 for process in processes)
