"""The examples of docs/ are executed and print what stands there, apart from ids, times, durations
and digests; their pipelines are valid."""

import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from lib import main
from tour import TourTest


class Docs(TourTest):
    def test_E07_the_examples_of_pipelines(self):
        self.follow("docs/pipelines.md", 4)

    def test_Q01_the_examples_of_format(self):
        self.follow("docs/format.md", 2)

    def test_Q02_the_examples_of_auditing(self):
        self.follow("docs/auditing.md", 16)

    def test_E04_the_examples_of_operations(self):
        self.follow("docs/operations.md", 2)


main()
