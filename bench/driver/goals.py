"""The figures to reach, each as one ratio: ours against the peer, higher is better.

  against a peer     rate of ratoon / rate of the peer, repeat by repeat
  against a limit    for rates measured / limit, for times and sizes limit / measured
  flat               cost at the smallest size / cost at the largest: 1 is perfectly flat, and "within
                     1.5" is 0.67

A goal is met when the median over the repeats reaches it. One that could not be measured has no
ratio and is not met.

Beside some goals stands what is possible here: the ratio that the least anybody must do reaches on
this machine with this RocksDB, measured in the same run by doing that and nothing else. It changes
nothing about what is met."""

import statistics

FLAT = round(1 / 1.5, 3)


class Possible:
    """What is to be had: ratios, one a repeat; by: what was measured for it."""

    def __init__(self, ratios, by):
        self.ratios, self.by = ratios, by

    def row(self):
        if not self.ratios:
            return {"possible": None, "possible_by": None}
        return {"possible": round(statistics.median(self.ratios), 3), "possible_by": self.by}


NOTHING = Possible([], None)


class Goal:
    def __init__(self, name, unit, goal, ratios, figure=None, why=None, possible=NOTHING):
        self.name, self.unit, self.goal = name, unit, goal
        self.ratios = ratios  # one a repeat
        self.figure = figure  # text: what was measured
        self.why = why  # why it could not be
        self.possible = possible

    def row(self):
        if not self.ratios:
            return {"name": self.name, "unit": self.unit, "ratio": None, "min": None, "max": None,
                    "goal": self.goal, **self.possible.row(), "met": False,
                    "figure": self.why or "not measured"}
        ratio = statistics.median(self.ratios)
        return {"name": self.name, "unit": self.unit, "ratio": round(ratio, 3),
                "min": round(min(self.ratios), 3), "max": round(max(self.ratios), 3),
                "goal": self.goal, **self.possible.row(), "met": ratio >= self.goal,
                "figure": self.figure}


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f} M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.0f} k"
    if abs(value) >= 1e3:
        return f"{value / 1e3:.2f} k"
    return f"{value:.3g}"


class Goals:
    def __init__(self, figures, absent, events_wanted, events_measured):
        self.f = figures
        self.absent = absent
        self.rows = []
        self.big = events_measured
        self.small = None if events_measured == events_wanted else events_measured

    # -- ways to make a ratio --

    def _paired(self, ours, theirs, metric):
        return [ours[i]["metrics"][metric] / theirs[i]["metrics"][metric]
                for i in ours if i in theirs and theirs[i]["metrics"][metric]]

    def against(self, name, goal, bench, part, peer, metric="rate", what="operations/s",
                possible=NOTHING, **point):
        ours = self.f.find(bench, part, "ratoon", **point)
        theirs = self.f.find(bench, part, peer, **point)
        figure = None
        if ours and theirs:
            mine = self.f.median(bench, part, "ratoon", metric, **point)
            other = self.f.median(bench, part, peer, metric, **point)
            figure = f"{number(mine)} against {number(other)} {what}"
        why = self.absent.get(peer)
        self.rows.append(Goal(name, f"{what}, ratoon / {peer}", goal,
                              self._paired(ours, theirs, metric) if ours and theirs else [],
                              figure, f"{peer} is absent: {why}" if why else None, possible))

    def at_least(self, name, limit, unit, values, possible=NOTHING):
        self.rows.append(Goal(name, f"{unit} / {number(limit)}", 1.0, [v / limit for v in values],
                              f"{number(statistics.median(values))} {unit}" if values else None,
                              possible=possible))

    def at_most(self, name, limit, unit, values, note=""):
        self.rows.append(Goal(name, f"{number(limit)} {unit} / {unit}", 1.0,
                              [limit / v for v in values if v],
                              f"{number(statistics.median(values))} {unit}{note}" if values
                              else None))

    def flat(self, name, unit, small, large, goal=FLAT):
        """small, large: values by repeat, of the smallest and the largest size."""
        ratios = [a / b for a, b in zip(small, large) if b]
        figure = None
        if ratios:
            figure = (f"{number(statistics.median(small))} and "
                      f"{number(statistics.median(large))} {unit}")
        self.rows.append(Goal(name, f"{unit}, smallest / largest", goal, ratios, figure))

    # -- what is possible --

    def floor(self, threads, durability, peer="rocksdb"):
        """What an append can't do without, against a peer at the same point, repeat by repeat: with
        one thread a digest and a put, and where no sync hides it the encoding too; with many callers
        that wait, their puts in one batch and telling each of them. `by` says what one thread reaches
        that nobody waits for, too."""
        point = dict(threads=threads, durability=durability, output_bytes=0)
        find = lambda who: self.f.find("append", "report", who, **point)
        ratios = lambda who: self._paired(find(who), find(peer), "rate")
        if threads == 1 and durability == "none":
            return Possible(ratios("rocksdb-made"),
                            "RocksDB, the same put of a commit that is encoded and digested for it")
        if threads == 1:
            return Possible(ratios("rocksdb-sha256"),
                            "RocksDB, the same put after a SHA-256 of its bytes")
        by = f"RocksDB, {threads} callers that wait share batches and syncs, nothing else done"
        alone = ratios("rocksdb-batch")
        if alone:
            by += f"; {statistics.median(alone):.3g} where one thread writes and nobody waits"
        return Possible(ratios("rocksdb-shared"), by)

    @staticmethod
    def of_limit(values, limit, by):
        return Possible([v / limit for v in values], by)

    # -- the goals --

    def append(self):
        report = dict(bench="append", part="report", output_bytes=0)
        self.against("append without sync, 1 thread, against RocksDB with one put", 0.85,
                     peer="rocksdb", possible=self.floor(1, "none"), threads=1, durability="none",
                     **report)
        for threads, goal in ((1, 0.95), (16, 1.8), (64, 1.4)):
            self.against(f"durable append, {threads} thread{'s'[:threads > 1]}, against RocksDB "
                         "with its group commit", goal, peer="rocksdb",
                         possible=self.floor(threads, "sync"), threads=threads, durability="sync",
                         **report)
        self.against("durable append, 64 threads, against SQLite FULL", 10, peer="sqlite",
                     possible=self.floor(64, "sync", "sqlite"), threads=64, durability="sync", **report)
        self.against("durable append, 16 threads, against PostgreSQL with 16 connections", 2,
                     peer="postgresql", possible=self.floor(16, "sync", "postgresql"), threads=16,
                     durability="sync", **report)
        flight = dict(metric="rate", threads=2, in_flight=256, durability="sync")
        self.at_least("durable append, asynchronous, 2 threads with 256 in flight each", 250e3,
                      "events/s", self.f.values("async", "report", "ratoon", **flight),
                      self.of_limit(self.f.values("async", "report", "rocksdb-batch", **flight),
                                    250e3, "RocksDB, batches of 256 by 2 threads, a sync each"))

    def steps(self):
        for peer in ("restate", "dbos"):
            for runs, goal in ((1, 5), (64, 12)):
                self.against(f"durable steps, {runs} run{'s at once'[:9 * (runs > 1)]}, against "
                             f"{peer.capitalize() if peer == 'restate' else 'DBOS on PostgreSQL'}",
                             goal, "steps", "steps", peer, what="steps/s", runs=runs)

    def replay(self):
        self.against("rebuild of a run of 10 k events, against raw iteration", 0.8, "replay",
                     "rebuild", "rocksdb", what="events/s", events=10000)
        self.at_least("rebuild of a run of 10 k events", 4e6, "events/s",
                      self.f.values("replay", "rebuild", "ratoon", "rate", events=10000),
                      self.of_limit(self.f.values("replay", "rebuild", "rocksdb", "rate",
                                                  events=10000), 4e6,
                                    "RocksDB iterating over the same files, one thread"))

    def state(self):
        points = self.f.points("branch", "state", "ratoon")
        sizes = sorted({p["events"] for p in points})
        worst = ([], [], "")
        for p in points:
            if not sizes or p["events"] != sizes[-1] or p["depth"] != 0:
                continue
            small = self.f.values("branch", "state", "ratoon", "p50_us", **{**p, "events": sizes[0]})
            large = self.f.values("branch", "state", "ratoon", "p50_us", **p)
            if not worst[0] or (small and statistics.median(small) / statistics.median(large) <
                                statistics.median(worst[0]) / statistics.median(worst[1])):
                worst = (small, large, p["boundary"])
        self.flat(f"state at a boundary, {number(sizes[0] if sizes else 100)} to "
                  f"{number(sizes[-1] if sizes else 1e6)} events before it (worst boundary: "
                  f"{worst[2]})", "µs", worst[0], worst[1])
        slowest, at = [], ""
        for p in points:
            values = self.f.values("branch", "state", "ratoon", "p99_us", **p)
            if not slowest or statistics.median(values) > statistics.median(slowest):
                slowest = values
                at = f" ({p['boundary']}, {number(p['events'])} events, depth {p['depth']})"
        self.at_most("state at any boundary, p99 warm (worst of all)", 100, "µs", slowest, at)

    def retry(self):
        sizes = sorted(p["events"] for p in self.f.points("branch", "retry", "ratoon"))
        values = [self.f.values("branch", "retry", "ratoon", "p50_us", events=n) for n in sizes]
        self.flat("a retry made durable, parents of 100 to 1 M events", "µs",
                  values[0] if values else [], values[-1] if values else [])
        ratios = []
        if sizes:
            ours = self.f.find("branch", "retry", "ratoon", events=sizes[-1])
            sync = self.f.find("branch", "retry", "fdatasync", events=sizes[-1])
            ratios = [2 / r for r in self._paired(ours, sync, "p50_us")]
        figure = f"{number(2 / statistics.median(ratios))} syncs" if ratios else None
        self.rows.append(Goal("a retry made durable, in syncs of 256 bytes (limit 2)",
                              "2 syncs / retry", 1.0, ratios, figure))

    def verify(self):
        self.at_least("verify, chain pass, one core", 1e6, "commits/s",
                      self.f.values("verify", "pass", "ratoon", "rate"),
                      self.of_limit(self.f.values("verify", "pass", "rocksdb-sha256", "rate"), 1e6,
                                    "RocksDB iterating over the same files, a SHA-256 of each "
                                    "commit"))
        self.against("verify, look-up pass, against raw gets", 0.8, "verify", "lookup", "rocksdb",
                     what="look-ups/s")

    def scale(self):
        values = lambda part, metric, **p: self.f.values("scale", part, "ratoon", metric, **p)
        sizes = sorted({p["events"] for p in self.f.points("scale", "open", "ratoon")})
        big = sizes[-1] if sizes else self.big
        text = f"{number(big)} events"
        self.at_most(f"open a store of {text} after a clean close", 0.5, "s",
                     values("open", "seconds", events=big, how="clean"))
        self.at_most(f"open a store of {text} after kill -9", 2, "s",
                     values("open", "seconds", events=big, how="killed"))
        memory = values("memory", "rss_mib", events=big, when="after queries")
        self.at_most(f"memory with {text}", 512, "MiB resident", memory)
        self.flat("memory as the store grows", "MiB resident",
                  values("memory", "rss_mib", events=sizes[0], when="after queries")
                  if sizes else [], memory)

    def all(self):
        for part in (self.append, self.steps, self.replay, self.state, self.retry, self.verify,
                     self.scale):
            part()
        out = [g.row() for g in self.rows]
        if self.small is not None:
            for g in out:
                if "memory" in g["name"] or "open" in g["name"]:
                    g["figure"] = f"{g['figure']} (a smaller store than the goal's)"
        return out
