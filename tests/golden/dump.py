"""What a store holds, as documents; and whether it still holds what it held."""

import json
import subprocess


class Dump:
    def __init__(self, ratoon, store, env):
        self.command = [ratoon, "--store", store, "--json"]
        self.env = env

    def lines(self, *arguments):
        done = subprocess.run(
            [*self.command, *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def whole(self):
        """Runs, newest first, each with its state; every commit with its bytes; what stands in the
        lines of an export besides."""
        runs = self.lines("list")
        return {
            "runs": [line["run"] for line in runs],
            "states": {
                line["run"]["id"]: self.lines("state", line["run"]["id"], "--provenance")[-1]
                for line in runs
            },
            "export": self.lines("export"),
        }


OPEN = "(not the same each time)"


def common(one, other):
    """What two dumps of the same store have in common; OPEN stands where they differ, as after a
    crash that each opening makes up for anew."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: common(one[key], other[key]) for key in one if key in other}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [common(a, b) for a, b in zip(one, other)]
    return one if one == other else OPEN


def missing(expected, found, where="the dump"):
    """What stands in `expected` and not in `found`: texts. Members that came later are fine."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key not in found:
                yield f"{where}: no {key}"
            else:
                yield from missing(value, found[key], f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{where}: {len(found)} instead of {len(expected)}"
        for i, (old, new) in enumerate(zip(expected, found)):
            yield from missing(old, new, f"{where}[{i}]")
    elif expected not in (found, OPEN):
        yield f"{where}: {found!r} instead of {expected!r}"
