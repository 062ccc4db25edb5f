"""Figures: all samples of one side at one point, as minimum, median and maximum of each metric."""

import json
import statistics

KEPT = ("version", "rocksdb", "mode")  # facts about a side

class Figures:
    def __init__(self, samples):
        self.by_key = {}
        for s in samples:
            key = (s["bench"], s["part"], s["side"], json.dumps(s["point"], sort_keys=True))
            self.by_key.setdefault(key, []).append(s)

    def find(self, bench, part, side, **point):
        """Samples by repeat, {repeat: sample}; empty where it was not measured."""
        for (b, p, s, at), samples in self.by_key.items():
            if (b, p, s) == (bench, part, side) and json.loads(at) == point:
                return {x["repeat"]: x for x in samples}
        return {}

    def points(self, bench, part, side):
        """All points of a side, as dictionaries, in the order they were measured."""
        return [json.loads(at) for (b, p, s, at) in self.by_key if (b, p, s) == (bench, part, side)]

    def sides(self, bench, part):
        return list(dict.fromkeys(s for (b, p, s, _) in self.by_key if (b, p) == (bench, part)))

    def values(self, bench, part, side, metric, **point):
        found = self.find(bench, part, side, **point)
        return [x["metrics"][metric] for x in found.values() if metric in x["metrics"]]

    def median(self, bench, part, side, metric, **point):
        values = self.values(bench, part, side, metric, **point)
        return statistics.median(values) if values else None

    def rows(self):
        """Everything, for the file of results."""
        out = []
        for (bench, part, side, at), samples in self.by_key.items():
            metrics = {}
            for name in dict.fromkeys(n for s in samples for n in s["metrics"]):
                values = [s["metrics"].get(name) for s in samples]
                metrics[name] = spread([v for v in values if v is not None])
                metrics[name]["values"] = [v if v is None else _short(v) for v in values]
            row = {"bench": bench, "part": part, "side": side, "point": json.loads(at),
                   "repeats": [s["repeat"] for s in samples], "metrics": metrics}
            for name in KEPT:
                if name in samples[0]:
                    row[name] = samples[0][name]
            out.append(row)
        return out


def samples_of(rows):
    """What rows() was made of, to five digits."""
    out = []
    for row in rows:
        for i, repeat in enumerate(row["repeats"]):
            metrics = {n: m["values"][i] for n, m in row["metrics"].items()
                       if m["values"][i] is not None}
            out.append({"bench": row["bench"], "part": row["part"], "side": row["side"],
                        "repeat": repeat, "point": row["point"], "metrics": metrics,
                        **{k: row[k] for k in KEPT if k in row}})
    return out


def spread(values):
    return {"min": _short(min(values)), "median": _short(statistics.median(values)),
            "max": _short(max(values))}


def _short(value):
    return float(f"{value:.5g}") if abs(value) < 1e5 else round(value)
