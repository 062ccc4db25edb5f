"""The tour of README.md: its commands are executed in order, in one folder, and print what stands
there, apart from ids, times, durations and tokens."""

import os
import re
import shlex
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import PipelineTest
from lib import SRC, main

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TOKEN = re.compile(r"\b[0-9a-f]{64}\b")
TIMESTAMP = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b")
DURATION = re.compile(r"(?<![\w.])(?:\d+(?:\.\d+)?(?:ms|µs|s|m|h|d) ?)+(?![\w-])")
# Items that end at the same moment share a commit.
COUNTS = re.compile(r"\b\d+ commits, \d+ events")


def blocks(text):
    """(command, what it prints) of each prompt in console blocks."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


class Normal:
    """Texts without what differs from one execution to the next. The same id is the same number
    throughout, so that it matters which one stands where."""

    def __init__(self):
        self.ids = {}

    def text(self, text):
        text = UUID.sub(lambda m: f"ID{self.ids.setdefault(m.group(), len(self.ids))}", text)
        text = TOKEN.sub("TOKEN", text)
        text = TIMESTAMP.sub("TIMESTAMP", text)
        text = DURATION.sub("TIME ", text)
        text = COUNTS.sub("N commits, N events", text)
        # Columns are as wide as what is in them.
        lines = [re.sub(r"(?<=\S) +", " ", line).rstrip() for line in text.splitlines()]
        return [line for line in lines if line != ""]


class Readme(PipelineTest):
    def printed(self, result):
        """What is left on a terminal: results, and how to go on; progress and remarks are not."""
        remarks = ("ratoon: ", "▶ ", "✔ ", "✘ ")
        told = [line for line in result.stderr.splitlines() if not line.startswith(remarks)]
        return result.stdout + "\n" + "\n".join(told)

    def test_E09_the_tour_prints_what_the_readme_says(self):
        with open(SRC + "/README.md", encoding="utf-8") as file:
            text = file.read()
        expected, found = Normal(), Normal()
        count = 0
        for command, printed in blocks(text):
            words = shlex.split(command)
            self.assertEqual(words[0], "ratoon", command)
            result = self.run_ratoon(*words[1:], env={"COLUMNS": "120"})
            self.assertEqual(
                found.text(self.printed(result)), expected.text(printed), f"$ {command}\n{result}"
            )
            count += 1
        self.assertGreaterEqual(count, 8)
        self.assertEqual(len(found.ids), 2)

    def test_the_pipeline_of_the_readme_is_one(self):
        with open(SRC + "/README.md", encoding="utf-8") as file:
            texts = re.findall(r"^```yaml\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)
        self.assertEqual(len(texts), 1)
        self.write("pipeline.yaml", texts[0])
        self.run_ratoon("check", "pipeline.yaml").expect_exit(0)


main()
