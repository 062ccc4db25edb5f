"""Results as Markdown: the goals, then a table for each part."""

import json

from .goals import number

ORDER = ("rate", "us_per_stage", "seconds", "p50_us", "p99_us", "returns_ms", "end_ms", "rss_mib",
         "hwm_mib", "bytes_per_event", "table_bytes_per_event", "call_p50_us", "runs_per_second",
         "commit_bytes")
TITLES = {
    ("append", "report"): "Append: one event a commit (a progress report)",
    ("async", "report"): "Append, asynchronous: many requests in flight (one event a commit)",
    ("append", "step"): "Append: a durable step (ends a stage with an output, starts the next)",
    ("steps", "steps"): "Durable steps a second, runs at once",
    ("steps", "goback"): "Going back to a step of a finished run",
    ("replay", "rebuild"): "Rebuilding a run from the log, and reading it elsewhere",
    ("branch", "state"): "State at a boundary",
    ("branch", "retry"): "A retry made durable, beside one append and sync of 256 bytes",
    ("verify", "whole"): "Verification of a whole store: everything",
    ("verify", "pass"): "Verification: iteration, FlatBuffers, digests and folding by themselves",
    ("verify", "chain"): "Verification: all but the look-ups",
    ("verify", "lookup"): "Verification: the look-ups",
    ("feed", "read"): "Feed: reading from the beginning",
    ("feed", "tail"): "Feed: from the call that appends to a waiting reader",
    ("runner", "chain"): "Runner: a chain of stages that do nothing",
    ("runner", "items"): "Runner: items of one stage, two at a time",
    ("scale", "build"): "Large store: growing it (interval mode, one thread)",
    ("scale", "open"): "Large store: opening it",
    ("scale", "query"): "Large store: questions (another run each time)",
    ("scale", "memory"): "Large store: memory of the process",
    ("scale", "size"): "Large store: size on disk",
}


def _point(point):
    return ", ".join(f"{k.replace('_', ' ')} {number(v) if isinstance(v, int) else v}"
                     for k, v in point.items()) or "-"


def _spread(m):
    if m["min"] == m["max"]:
        return number(m["median"])
    return f"{number(m['min'])} / **{number(m['median'])}** / {number(m['max'])}"


def _table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" for _ in header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(x) for x in r) + " |" for r in rows]) + "\n"


def _goals(goals):
    rows = []
    for g in goals:
        if g["ratio"] is None:
            rows.append([g["name"], g["figure"], "-", g["goal"], _possible(g), "not measured"])
        else:
            ratio = f"{g['min']:.3g} / **{g['ratio']:.3g}** / {g['max']:.3g}"
            rows.append([g["name"], g["figure"], ratio, g["goal"], _possible(g),
                         "met" if g["met"] else "**not met**"])
    return _table(["goal", "measured (medians)", "ratio: min / median / max", "at least",
                   "possible here", ""], rows)


def _possible(goal):
    if goal.get("possible") is None:
        return ""
    return f"{goal['possible']:.3g} ({goal['possible_by']})"


def _part(title, figures):
    names = [n for n in ORDER if any(n in f["metrics"] for f in figures)]
    rows = [[_point(f["point"]), f["side"]] +
            [_spread(f["metrics"][n]) if n in f["metrics"] else "" for n in names] for f in figures]
    return f"## {title}\n" + _table(["", "who"] + [n.replace("_", " ") for n in names], rows)


HIGHER = ("rate",)
LOWER = ("us_per_stage", "returns_ms", "end_ms")


def faster_peers(figures):
    """Rows of whatever a peer does faster by the median, the largest factor first."""
    ours = {(f["bench"], f["part"], json.dumps(f["point"], sort_keys=True)): f
            for f in figures if f["side"] == "ratoon"}
    rows = []
    for f in figures:
        mine = ours.get((f["bench"], f["part"], json.dumps(f["point"], sort_keys=True)))
        if mine is None or f["side"] in ("ratoon", "fdatasync"):
            continue
        for name in HIGHER + LOWER:
            if name not in f["metrics"] or name not in mine["metrics"]:
                continue
            a, b = mine["metrics"][name]["median"], f["metrics"][name]["median"]
            factor = b / a if name in HIGHER else a / b
            if factor > 1:
                what = TITLES.get((f["bench"], f["part"]), f"{f['bench']} {f['part']}")
                rows.append((factor, [what, _point(f["point"]), f["side"],
                                      name.replace("_", " "), number(a), number(b),
                                      f"{factor:.2f}"]))
    return [row for _, row in sorted(rows, key=lambda r: -r[0])]


def _peers(figures):
    seen = {}
    for f in figures:
        if "version" in f:
            modes = seen.setdefault((f["side"], f["version"]), [])
            if f.get("mode") and f["mode"] not in modes:
                modes.append(f["mode"])
    return _table(["who", "version", "modes"],
                  [[side, version, "; ".join(modes)] for (side, version), modes in seen.items()])


def markdown(results):
    machine = results["machine"]
    out = ["# Benchmark results\n"]
    out.append(f"Size {results['size']}, {results['seconds']} s in all, "
               f"{machine['when']}, commit {machine['commit']}"
               f"{' with changes' if machine['changed_files'] else ''}. {machine['cores']} cores of "
               f"{machine['cpu']}, {machine['memory_mib']} MiB, {machine['filesystem']}, Linux "
               f"{machine['kernel']}, {machine['compiler']}; load at the start "
               f"{machine['load_at_start']}. Cells with three numbers are minimum, **median** and "
               "maximum of the repeats. A ratio is ours against the peer, repeat by repeat; higher "
               "is better (docs/performance.md).\n")
    out.extend(f"**{note}**\n" for note in results["notes"])
    met = sum(g["met"] for g in results["goals"])
    out.append(f"## Goals: {met} of {len(results['goals'])} met\n" + _goals(results["goals"]))
    if results["absent"]:
        out.append("## Absent\n" + _table(["who", "why"], [
            [a["side"], a["why"].replace("\n", " ")] for a in results["absent"]]))
    if results["failures"]:
        out.append("## Failed\n" + _table(["step", "message"], [
            [f["step"], f["message"].replace("\n", " ")[:500]] for f in results["failures"]]))
    rows = faster_peers(results["figures"])
    if rows:
        out.append("## Where a peer is faster\n" + _table(
            ["", "", "peer", "of", "ratoon", "peer", "times faster"], rows))
    out.append("## Who\n" + _peers(results["figures"]))
    parts = {}
    for f in results["figures"]:
        parts.setdefault((f["bench"], f["part"]), []).append(f)
    for key, figures in parts.items():
        figures.sort(key=lambda f: json.dumps(f["point"], sort_keys=True) if key[0] == "-" else 0)
        out.append(_part(TITLES.get(key, " ".join(key)), figures))
    return "\n".join(out)
