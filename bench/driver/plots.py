"""The plots that belong to the results. One that has no figures is not drawn, and an old one of its
name is removed, so that no plot shows another run than the table."""

import os

from .svg import chart

PEERS = {"ratoon": "ratoon", "rocksdb": "RocksDB, 1 put", "rocksdb-3puts": "RocksDB, 3 puts",
         "rocksdb-sha256": "RocksDB, 1 put and SHA-256",
         "rocksdb-made": "RocksDB, encode and digest",
         "sqlite": "SQLite", "lmdb": "LMDB", "postgresql": "PostgreSQL"}


class Table:
    def __init__(self, figures):
        self.figures = figures

    def points(self, bench, part, side, metric, x, **where):
        """(x, median, min, max) of the figures whose point holds `where`."""
        out = []
        for f in self.figures:
            if (f["bench"], f["part"], f["side"]) != (bench, part, side) or metric not in f["metrics"]:
                continue
            p = f["point"]
            if x in p and all(p.get(k) == v for k, v in where.items()):
                m = f["metrics"][metric]
                out.append((p[x], m["median"], m["min"], m["max"]))
        return sorted(out)

    def figure(self, bench, part, side, **point):
        for f in self.figures:
            if (f["bench"], f["part"], f["side"], f["point"]) == (bench, part, side, point):
                return f["metrics"]
        return None


def throughput(t, durability):
    ours = t.points("append", "report", "ratoon", "rate", "threads", durability=durability)
    series = []
    for side, name in PEERS.items():
        points = t.points("append", "report", side, "rate", "threads", durability=durability)
        if points and (len(points) > 1 or len(ours) == 1):  # no floor that only one thread has
            series.append((name, points, False))
    if not series:
        return None
    what = {"sync": "durable (synced before it is acknowledged)", "none": "without sync"}[durability]
    return chart(f"Appends a second, {what}", "client threads", "commits a second", series,
                 y_log=True)


def latency(t, threads):
    names = (("p50_us", 1), ("p90_us", 2), ("p99_us", 3), ("p999_us", 4), ("max_us", 5))
    series = []
    for side, name in PEERS.items():
        m = t.figure("append", "report", side, threads=threads, durability="sync", output_bytes=0)
        points = [(x, m[n]["median"], m[n]["min"], m[n]["max"]) for n, x in names if n in (m or {})]
        if points:
            series.append((name, points, False))
    if not series:
        return None
    return chart(f"Latency of one durable append, {threads} client threads", "percentile",
                 "microseconds", series, x_log=False, y_log=True, x_ticks=[1, 2, 3, 4, 5],
                 x_names={1: "50", 2: "90", 3: "99", 4: "99.9", 5: "max"})


def history(t):
    series = []
    for boundary in ("start", "before:s0002", "before:s0004", "end", "event",
                     "near"):
        points = t.points("branch", "state", "ratoon", "p50_us", "events", depth=0,
                          boundary=boundary)
        if points:
            name = {"event": "state, event number",
                    "near": "state, events near one"}.get(boundary, "state, " + boundary)
            series.append((name, points, False))
    for side, name in (("ratoon", "retry, durable"), ("fdatasync", "one fdatasync")):
        points = t.points("branch", "retry", side, "p50_us", "events")
        if points:
            series.append((name, points, side == "fdatasync"))
    if not series:
        return None
    return chart("Cost against the length of the history", "events before the boundary",
                 "microseconds, median", series, y_log=True)


def depth(t):
    series = []
    sizes = sorted({f["point"]["events"] for f in t.figures
                    if (f["bench"], f["part"]) == ("branch", "state")})
    for events in sizes:
        for metric, name in (("p50_us", "median"), ("p99_us", "p99")):
            points = t.points("branch", "state", "ratoon", metric, "depth", events=events,
                              boundary="before:s0004")
            if points:
                series.append((f"{name}, {events:,} events", points, metric == "p99_us"))
    if not series:
        return None
    return chart("State before the last stage, against depth of the branch", "depth",
                 "microseconds", series, x_log=False, y_log=True)


def size_memory(t):
    series = []
    for when in ("after appending", "after queries"):
        points = t.points("scale", "memory", "ratoon", "rss_mib", "events", when=when)
        if points:
            series.append((when, points, False))
    if not series:
        return None
    return chart("Memory of the process against the size of the store", "events in the store",
                 "MiB resident", series, limit=(512, "goal"))


def size_open(t):
    series = []
    for how, name in (("clean", "clean close"), ("killed", "kill -9"),
                      ("clean, page cache empty", "clean, cold disk")):
        points = t.points("scale", "open", "ratoon", "seconds", "events", how=how)
        if points:
            series.append((name, points, False))
    if not series:
        return None
    return chart("Time to open against the size of the store", "events in the store", "seconds",
                 series)


def size_query(t):
    series = []
    whats = list(dict.fromkeys(f["point"]["what"] for f in t.figures
                               if (f["bench"], f["part"]) == ("scale", "query")))
    for what in whats:
        points = t.points("scale", "query", "ratoon", "p50_us", "events", what=what)
        series.append((what, points, False))
    if not series:
        return None
    return chart("Questions against the size of the store", "events in the store",
                 "microseconds, median", series, y_log=True)


def steps(t):
    series = []
    for side, name in (("ratoon", "ratoon"), ("restate", "Restate"), ("dbos", "DBOS on PostgreSQL")):
        points = t.points("steps", "steps", side, "rate", "runs")
        if points:
            series.append((name, points, False))
    if not series:
        return None
    return chart("Durable steps a second", "runs at once", "steps a second", series, y_log=True)


PLOTS = {
    "throughput-sync": lambda t: throughput(t, "sync"),
    "throughput-none": lambda t: throughput(t, "none"),
    "latency-16": lambda t: latency(t, 16),
    "latency-1": lambda t: latency(t, 1),
    "history": history,
    "depth": depth,
    "steps": steps,
    "size-memory": size_memory,
    "size-open": size_open,
    "size-query": size_query,
}


def write_all(results, folder):
    table = Table(results["figures"])
    for name, make in PLOTS.items():
        path = os.path.join(folder, name + ".svg")
        drawing = make(table)
        if drawing is not None:
            with open(path, "w", encoding="utf-8") as f:
                f.write(drawing)
        elif os.path.exists(path):
            os.remove(path)
