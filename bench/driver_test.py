#!/usr/bin/python3 -B
"""The driver: ratios and goals from samples, what is absent or fails, and a real run of one step."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from driver import goals, plots, report  # noqa: E402
from driver.figures import Figures, samples_of  # noqa: E402


def sample(bench, part, side, repeat, point, **metrics):
    return {"bench": bench, "part": part, "side": side, "repeat": repeat, "point": point,
            "metrics": metrics}


def appends(side, rates, threads=64):
    point = {"threads": threads, "durability": "sync", "output_bytes": 0}
    return [sample("append", "report", side, i, point, rate=r) for i, r in enumerate(rates)]


def goal(samples, name, absent=None):
    rows = goals.Goals(Figures(samples), absent or {}, 10, 10).all()
    found = [r for r in rows if name in r["name"]]
    assert len(found) == 1, [r["name"] for r in rows]
    return found[0]


class Goals(unittest.TestCase):
    def test_ratio_is_ours_against_the_peer_by_repeat(self):
        samples = appends("ratoon", [100, 300, 200]) + appends("sqlite", [10, 20, 40])
        g = goal(samples, "64 threads, against SQLite")
        self.assertEqual((g["min"], g["ratio"], g["max"]), (5.0, 10.0, 15.0))
        self.assertTrue(g["met"])

    def test_below_the_goal_is_not_met(self):
        samples = appends("ratoon", [99, 99, 99]) + appends("sqlite", [10, 10, 10])
        self.assertFalse(goal(samples, "64 threads, against SQLite")["met"])

    def test_absent_peer_is_named_and_not_met(self):
        g = goal(appends("ratoon", [100]), "SQLite", {"sqlite": "no header"})
        self.assertEqual((g["ratio"], g["met"]), (None, False))
        self.assertIn("no header", g["figure"])

    def test_limit_on_time_is_limit_over_measured(self):
        samples = [sample("scale", "open", "ratoon", i, {"events": 10, "how": "clean"}, seconds=s)
                   for i, s in enumerate((0.25, 1.0, 0.2))]
        g = goal(samples, "after a clean close")
        self.assertEqual((g["min"], g["ratio"], g["max"]), (0.5, 2.0, 2.5))

    def test_flat_is_smallest_over_largest(self):
        samples = [sample("branch", "retry", "ratoon", 0, {"events": n}, p50_us=t)
                   for n, t in ((100, 10.0), (10000, 50.0), (1000000, 20.0))]
        g = goal(samples, "a retry made durable, parents")
        self.assertEqual(g["ratio"], 0.5)
        self.assertFalse(g["met"])

    def test_worst_boundary_counts(self):
        def state(boundary, events, us):
            point = {"events": events, "depth": 0, "boundary": boundary}
            return sample("branch", "state", "ratoon", 0, point, p50_us=us, p99_us=us)
        samples = [state("start", 100, 10), state("start", 10 ** 6, 10),
                   state("event", 100, 10), state("event", 10 ** 6, 40)]
        g = goal(samples, "state at a boundary")
        self.assertEqual(g["ratio"], 0.25)
        self.assertIn("event", g["name"])

    def test_nothing_measured_gives_every_goal_unmet(self):
        rows = goals.Goals(Figures([]), {}, 10, 10).all()
        self.assertGreaterEqual(len(rows), 22)
        self.assertFalse(any(r["met"] for r in rows))
        for row in rows:
            self.assertLessEqual({"name", "unit", "ratio", "min", "max", "goal", "met"}, set(row))


class Rows(unittest.TestCase):
    def test_samples_come_back_from_the_rows_of_the_file(self):
        samples = appends("ratoon", [5.0, 6.0, 7.0]) + appends("sqlite", [1.0, 2.0])
        del samples[1]["metrics"]["rate"]
        samples[1]["metrics"]["p50_us"] = 3.0
        self.assertEqual(samples_of(Figures(samples).rows()), samples)


class Run(unittest.TestCase):
    def test_one_step_writes_results_and_names_what_is_missing(self):
        build = os.environ["BUILD"]
        with tempfile.TemporaryDirectory() as out:
            subprocess.run([os.path.join(HERE, "run"), "--smoke", "--only", "verify,runner",
                            "--no-install", "--build", build, "--out", out], check=True,
                           capture_output=True, text=True)
            with open(os.path.join(out, "latest.json"), encoding="utf-8") as f:
                results = json.load(f)
            self.assertEqual(results["failures"], [])
            sides = {(f["bench"], f["side"]) for f in results["figures"]}
            self.assertLessEqual({("verify", "ratoon"), ("verify", "rocksdb"), ("runner", "ratoon"),
                                  ("runner", "make"), ("runner", "xargs")}, sides)
            with open(os.path.join(out, "latest.md"), encoding="utf-8") as f:
                text = f.read()
            self.assertIn("not measured", text)
            self.assertIn("## Verification of a whole store: everything", text)

    def test_a_step_that_fails_keeps_what_it_measured(self):
        from driver.context import SIZES, Context
        with tempfile.TemporaryDirectory() as folder:
            c = Context(SIZES["smoke"], folder, folder, folder)
            line = json.dumps(appends("ratoon", [5])[0])
            with self.assertRaisesRegex(RuntimeError, "ended with 3: it broke"):
                c.lines(["sh", "-c", f"echo '{line}'; echo it broke >&2; exit 3"])
            self.assertEqual(len(c.samples), 1)


class Drawing(unittest.TestCase):
    def test_plots_and_tables_of_few_figures(self):
        figures = Figures(appends("ratoon", [5, 6], 1) + appends("sqlite", [1, 2], 1)).rows()
        results = {"figures": figures, "goals": [], "absent": [], "failures": [], "notes": [],
                   "size": "smoke", "seconds": 1,
                   "machine": dict.fromkeys(("when", "commit", "cpu", "cores", "memory_mib",
                                             "filesystem", "kernel", "compiler", "load_at_start",
                                             "changed_files"), 0)}
        with tempfile.TemporaryDirectory() as out:
            plots.write_all(results, out)
            self.assertIn("throughput-sync.svg", os.listdir(out))
            with open(os.path.join(out, "throughput-sync.svg"), encoding="utf-8") as f:
                self.assertIn(">ratoon</text>", f.read())
        self.assertIn("| ratoon |", report.markdown(results))


class FasterPeers(unittest.TestCase):
    def test_named_with_their_factor(self):
        figures = Figures(appends("ratoon", [10, 20, 30]) + appends("lmdb", [30, 40, 50]) +
                          appends("sqlite", [1, 2, 3])).rows()
        rows = report.faster_peers(figures)
        self.assertEqual([(r[2], r[-1]) for r in rows], [("lmdb", "2.00")])

    def test_lower_is_better_for_times(self):
        point = {"stages": 5}
        rows = report.faster_peers(Figures([
            sample("runner", "chain", "ratoon", 0, point, us_per_stage=30.0),
            sample("runner", "chain", "make", 0, point, us_per_stage=10.0)]).rows())
        self.assertEqual([(r[2], r[-1]) for r in rows], [("make", "3.00")])


if __name__ == "__main__":
    unittest.main()
