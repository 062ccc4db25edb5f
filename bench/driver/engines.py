"""Durable steps, and going back to one: ratoon, Restate and DBOS, round by round. The engines run
in processes of their own, as they always do; ours is a library in the process that uses it."""

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

RUNS = (1, 16, 64)
GOBACK_STEPS, GOBACK_TO = 1000, 990
ANSWER_SECONDS_MAX = 300


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Script:
    """A script of bench/peers that is told what to do line by line."""

    def __init__(self, c, name, env):
        self.log = open(os.path.join(c.scratch, name + ".log"), "w", encoding="utf-8")
        self.process = subprocess.Popen(
            ["node", "--no-warnings", name + ".mjs"], cwd=c.peers_dir, env={**os.environ, **env},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self._read()

    def _read(self):
        watchdog = threading.Timer(ANSWER_SECONDS_MAX, self.process.kill)
        watchdog.start()
        try:
            return self._answer()
        finally:
            watchdog.cancel()

    def _answer(self):
        while True:
            line = self.process.stdout.readline()
            if not line:
                with open(self.log.name, encoding="utf-8") as f:
                    raise RuntimeError(f"it ended, or gave no answer for {ANSWER_SECONDS_MAX} s: "
                                       f"{f.read()[-600:]}")
            if line.startswith("{"):
                answer = json.loads(line)
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer

    def ask(self, *words):
        try:
            self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; reading says why
        return self._read()

    def close(self):
        stop(self.process)
        self.log.close()


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def version_of(c, package):
    path = os.path.join(c.peers_dir, "node_modules", package, "package.json")
    with open(path, encoding="utf-8") as f:
        return json.load(f)["version"]


class Restate:
    name = "restate"
    mode = "its own defaults: log and state in RocksDB, synced; one server on this machine"

    def __init__(self, c):
        ingress, admin, node, service = (free_port() for _ in range(4))
        address = "127.0.0.1"
        env = {
            "RESTATE_INGRESS__BIND_ADDRESS": f"{address}:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"{address}:{admin}",
            "RESTATE_BIND_ADDRESS": f"{address}:{node}",
            "RESTATE_BASE_DIR": os.path.join(c.scratch, "restate"),
            "RESTATE_CLUSTER_NAME": "bench",
            "RESTATE_LOG_FILTER": "warn",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
        }
        self.version = version_of(c, "@restatedev/restate-server")
        self.log = open(os.path.join(c.scratch, "restate-server.log"), "w", encoding="utf-8")
        self.server = subprocess.Popen(
            [os.path.join(c.peers_dir, "node_modules", ".bin", "restate-server")],
            env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            cwd=c.scratch)
        try:
            self._wait(f"http://{address}:{admin}/health")
            self.script = Script(c, "restate", {
                "BENCH_INGRESS": f"http://{address}:{ingress}",
                "BENCH_ADMIN": f"http://{address}:{admin}", "BENCH_SERVICE_PORT": str(service)})
        except Exception:
            stop(self.server)
            raise

    def _wait(self, url):
        for _ in range(600):
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                if self.server.poll() is not None:
                    with open(self.log.name, encoding="utf-8") as f:
                        raise RuntimeError(f"the server ended: {f.read()[-600:]}") from None
                time.sleep(0.1)
        raise RuntimeError("the server does not answer")

    def close(self):
        self.script.close()
        stop(self.server)
        self.log.close()


class Dbos:
    name = "dbos"
    mode = "PostgreSQL, synchronous_commit=on; 32 connections"

    def __init__(self, c):
        if c.pg is None:
            raise RuntimeError("there is no PostgreSQL")
        self.version = version_of(c, "@dbos-inc/dbos-sdk")
        self.script = Script(c, "dbos", {"BENCH_DATABASE_URL": c.pg_url})

    def close(self):
        self.script.close()


def start(c):
    engines = []
    for kind in (Restate, Dbos):
        if kind.name in c.absent:
            continue
        try:
            engines.append(kind(c))
        except Exception as error:  # whatever keeps it from starting, the rest goes on
            c.absent[kind.name] = f"it did not start: {error}"
            c.say(f"{kind.name} is absent: {error}")
    return engines


def ask(c, engines, engine, *words):
    """An engine's answer; one that fails is out for the rest of the run, and is said to be."""
    try:
        return engine.script.ask(*words)
    except Exception as error:  # the others go on
        engines.remove(engine)
        c.failures.append({"step": f"steps: {engine.name}", "message": str(error)})
        c.say(f"{engine.name} failed: {error}")
        engine.close()
        return None


def one_round(c, engines, repeat):
    for runs in RUNS:
        ours(c, repeat, f"steps-{runs}/")
        for e in list(engines):
            metrics = ask(c, engines, e, "steps", runs, c.size.js_seconds)
            if metrics:
                c.sample("steps", "steps", e.name, repeat, {"runs": runs}, metrics,
                         version=e.version, mode=e.mode)
    ours(c, repeat, "goback")
    for e in list(engines):
        metrics = ask(c, engines, e, "goback", GOBACK_STEPS, GOBACK_TO)
        if metrics:
            c.sample("steps", "goback", e.name, repeat,
                     {"steps": GOBACK_STEPS, "back_to": GOBACK_TO}, metrics, version=e.version,
                     mode=e.mode)


def ours(c, repeat, only):
    """One repeat of our program, as the given one."""
    before = len(c.samples)
    command = [c.program("steps"), "--scale", str(c.size.scale), "--repeat", "1", "--seconds",
               str(c.size.js_seconds), "--dir", c.scratch, "--only", only]
    c.lines(command)
    for s in c.samples[before:]:
        s["repeat"] = repeat


def measure(c):
    engines = start(c)
    try:
        for runs in RUNS:  # compilation of JavaScript, connections: a round that does not count
            for e in list(engines):
                ask(c, engines, e, "steps", runs, min(0.5, c.size.js_seconds))
        for repeat in range(c.size.repeat):
            one_round(c, engines, repeat)
    finally:
        for e in engines:
            e.close()
