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


def appends(side, rates, threads=64, durability="sync"):
    point = {"threads": threads, "durability": durability, "output_bytes": 0}
    return [sample("append", "report", side, i, point, rate=r) for i, r in enumerate(rates)]


def in_flight(rates, threads, requests, side="rocksdb-batch"):
    point = {"threads": threads, "in_flight": requests, "durability": "sync"}
    return [sample("async", "report", side, i, point, rate=r) for i, r in enumerate(rates)]


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
            self.assertLessEqual({"name", "unit", "ratio", "min", "max", "goal", "possible",
                                  "possible_by", "met"}, set(row))
            self.assertEqual((row["possible"], row["possible_by"]), (None, None))


class PossibleHere(unittest.TestCase):
    def possible(self, samples, name):
        g = goal(samples, name)
        self.assertTrue(g["possible_by"])
        return g["possible"]

    def test_a_put_after_a_digest_or_of_what_is_made_for_it_by_repeat(self):
        for durability, peer, name in (
                ("none", "rocksdb-made", "append without sync, 1 thread"),
                ("sync", "rocksdb-sha256", "durable append, 1 thread, against RocksDB")):
            samples = (appends("rocksdb", [10, 20, 40], 1, durability) +
                       appends(peer, [5, 20, 28], 1, durability))
            self.assertEqual(self.possible(samples, name), 0.7)

    def test_callers_that_wait_and_share_by_repeat(self):
        samples = (appends("rocksdb", [10, 20, 40], 16) + appends("rocksdb-shared", [30, 20, 80], 16) +
                   appends("rocksdb", [50, 50, 50], 64) + appends("sqlite", [2, 2, 2], 64) +
                   appends("rocksdb-shared", [100, 110, 120], 64) +
                   appends("postgresql", [5, 5, 5], 16))
        self.assertEqual(self.possible(samples, "16 threads, against RocksDB"), 2.0)
        self.assertEqual(self.possible(samples, "64 threads, against RocksDB"), 2.2)
        self.assertEqual(self.possible(samples, "64 threads, against SQLite"), 55.0)
        self.assertEqual(self.possible(samples, "16 threads, against PostgreSQL"), 6.0)

    def test_one_thread_that_nobody_waits_for_is_told_beside_it(self):
        samples = (appends("rocksdb", [10, 10], 16) + appends("rocksdb-shared", [14, 14], 16) +
                   appends("rocksdb-batch", [24, 24], 16))
        g = goal(samples, "16 threads, against RocksDB")
        self.assertEqual(g["possible"], 1.4)
        self.assertIn("; 2.4 where one thread writes", g["possible_by"])

    def test_batches_of_two_threads_against_the_limit(self):
        samples = in_flight([100e3, 125e3, 200e3], 2, 256)
        self.assertEqual(self.possible(samples, "asynchronous"), 0.5)

    def test_reading_alone_against_the_limits(self):
        samples = [sample("replay", "rebuild", "rocksdb", i, {"events": 10000}, rate=r)
                   for i, r in enumerate((2e6, 3e6, 5e6))]
        samples += [sample("verify", "pass", "rocksdb-sha256", i, {}, rate=r)
                    for i, r in enumerate((4e5, 6e5, 9e5))]
        rows = {g["name"]: g for g in goals.Goals(Figures(samples), {}, 10, 10).all()}
        self.assertEqual(rows["rebuild of a run of 10 k events"]["possible"], 0.75)
        self.assertEqual(rows["rebuild of a run of 10 k events, against raw iteration"]["possible"],
                         None)
        self.assertEqual(self.possible(samples, "verify, chain"), 0.6)

    def test_nothing_to_compare_with_gives_none(self):
        g = goal(appends("rocksdb-shared", [30]), "64 threads, against SQLite")
        self.assertEqual((g["possible"], g["possible_by"]), (None, None))

    def test_does_not_change_what_is_met(self):
        low = appends("rocksdb-shared", [10])
        samples = appends("ratoon", [140]) + appends("rocksdb", [100])
        self.assertTrue(goal(samples + low, "64 threads, against RocksDB")["met"])
        samples = appends("ratoon", [139]) + appends("rocksdb", [100])
        self.assertFalse(goal(samples + low, "64 threads, against RocksDB")["met"])

    def test_stands_in_the_table(self):
        rows = goals.Goals(Figures(in_flight([1e5], 2, 256) + in_flight([5e4], 2, 256, "ratoon")), {},
                           10, 10).all()
        text = report._goals(rows)
        self.assertIn("| possible here |", text)
        self.assertIn("| 1.0 | 0.4 (RocksDB, batches of 256 by 2 threads, a sync each) | "
                      "**not met** |", text)


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
            self.assertLessEqual({("verify", "ratoon"), ("verify", "rocksdb"),
                                  ("verify", "rocksdb-sha256"), ("runner", "ratoon"),
                                  ("runner", "make"), ("runner", "xargs")}, sides)
            possible = [g["possible"] for g in results["goals"] if "chain pass" in g["name"]]
            self.assertGreater(possible[0], 0)
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
