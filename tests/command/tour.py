"""Examples in documents: files and console blocks, executed and compared.

A block after a line "`NAME`:" is a file. In blocks of the kind `console`, lines that begin with
"$ " are commands for sh, executed in order in one folder; what follows is what they print."""

import os
import re
import subprocess

from cases import PipelineTest
from lib import RATOON, SRC, TIMEOUT_S, Result

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
TIMESTAMP = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+Z)?\b|\((?:just now|.* ago)\)")
DURATION = re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?(?:ms|µs|s|m|h|d) ?)+(?![\w-])")
# Items that end at the same moment share a commit.
COUNTS = re.compile(r"\b\d+ commits, \d+ events")
PARTS = re.compile(r"(?:^`([\w./-]+)`:\n\n?)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What is not left on a terminal: progress and remarks.
REMARKS = ("ratoon: ", "Killed", "hint: ", "▶ ", "✔ ", "▲ ", "✘ ", "↻ ")


class Normal:
    """Texts without what differs from one execution to the next. The same id is the same number
    throughout, and so is the same digest: it matters which one stands where."""

    def __init__(self):
        self.seen = {}

    def number(self, kind):
        return lambda m: f"{kind}{self.seen.setdefault(m.group(), len(self.seen))}"

    def text(self, text):
        text = UUID.sub(self.number("ID"), text)
        text = DIGEST.sub(self.number("DIGEST"), text)
        text = TIMESTAMP.sub("TIMESTAMP", text)
        text = DURATION.sub("TIME ", text)
        text = COUNTS.sub("N commits, N events", text)
        # Columns are as wide as what is in them.
        lines = [re.sub(r"(?<=\S) +", " ", line).rstrip() for line in text.splitlines()]
        return [line for line in lines if line != ""]


def parts(path):
    """(name of a file or None, kind of block, text) of each block of a document."""
    with open(path, encoding="utf-8") as file:
        return [match.groups() for match in PARTS.finditer(file.read())]


def commands(text):
    """(command, what it prints) of each prompt in a console block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        count = 1
        while lines[count - 1].endswith("\\"):
            count += 1
        yield "\n".join(lines[:count]), "\n".join(lines[count:])


class TourTest(PipelineTest):
    def run_shell(self, command):
        env = {
            **self.env,
            "COLUMNS": "120",
            "PATH": f"{os.path.dirname(RATOON)}:{self.env['PATH']}",
            "SRC": SRC,
        }
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.dir,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
        return Result([command], done.returncode, done.stdout, done.stderr)

    def follow(self, document, least):
        """Executes a document's examples, at least so many commands."""
        expected, found = Normal(), Normal()
        count = 0
        for name, kind, text in parts(f"{SRC}/{document}"):
            if name is not None:
                self.write(name, text, executable=text.startswith("#!"))
            if kind == "yaml" and text.startswith("pipeline:"):
                self.write("a-pipeline-of-a-document.yaml", text)
                self.run_ratoon("check", "a-pipeline-of-a-document.yaml").expect_exit(0)
            if kind != "console":
                continue
            for command, printed in commands(text):
                result = self.run_shell(command)
                told = [l for l in result.stderr.splitlines() if not l.startswith(REMARKS)]
                self.assertEqual(
                    found.text(result.stdout + "\n" + "\n".join(told)),
                    expected.text(printed),
                    f"$ {command}\n{result}",
                )
                count += 1
        self.assertGreaterEqual(count, least)
