"""The steps of a run, in order: each measures one thing and may fail without ending the run."""

import os

from . import engines, runner, scale


def append(c):
    c.bench("append")


def requests_in_flight(c):
    c.bench("async")


def replay(c):
    c.bench("replay")


def branch(c):
    c.bench("branch")


def verify(c):
    c.bench("verify")


def feed(c):
    c.bench("feed")


def step(c):
    """Durable steps: ours, Restate's and DBOS', round by round."""
    engines.measure(c)


STEPS = {
    "append": append,
    "async": requests_in_flight,
    "steps": step,
    "replay": replay,
    "branch": branch,
    "verify": verify,
    "feed": feed,
    "runner": runner.measure,
    "scale": scale.measure,
}


def missing(c):
    """Programs that this step list needs and that were not built."""
    names = ("append", "async", "steps", "replay", "branch", "verify", "feed", "scale")
    return [n for n in names if not os.access(c.program(n), os.X_OK)]
