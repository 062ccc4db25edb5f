"""The tour of README.md is executed and prints what stands there, apart from ids, times, durations
and digests; its pipeline is valid."""

import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from lib import main
from tour import TourTest


class Readme(TourTest):
    def test_E09_the_tour(self):
        self.follow("README.md", 8)


main()
