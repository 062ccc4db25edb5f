"""Helpers for tests of the command in Python. Use:

    import os, sys
    sys.path.insert(0, os.environ["SRC"] + "/tests/command")
    from lib import CommandTest, main

    class Show(CommandTest):
        def test_unknown_run_is_not_found(self):
            result = self.run_ratoon("--json", "show", "nothing")
            result.expect_exit(3)
            self.assertEqual(result.json()["error"]["code"], "NOT_FOUND")

    main()

Every test method has a temporary folder of its own, self.dir, which is the command's working
folder and is removed afterwards.
"""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

SRC = os.environ["SRC"]
RATOON = os.environ["RATOON"]
TIMEOUT_S = 120


class Result:
    """What one execution answered."""

    def __init__(self, arguments, code, stdout, stderr):
        self.arguments = arguments
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    def __str__(self):
        return (
            f"command: {' '.join(self.arguments)}\nexit code: {self.code}\n"
            f"stdout:\n{self.stdout}\nstderr:\n{self.stderr}"
        )

    def fail(self, message):
        raise AssertionError(f"{message}\n{self}")

    def expect_exit(self, code):
        if self.code != code:
            self.fail(f"expected exit code {code}, got {self.code}")
        return self

    def expect_stdout(self, text):
        if text not in self.stdout:
            self.fail(f"expected on stdout: {text}")
        return self

    def expect_stderr(self, text):
        if text not in self.stderr:
            self.fail(f"expected on stderr: {text}")
        return self

    def json_lines(self):
        """Every line of stdout as a JSON object of schema 1."""
        documents = []
        for line in self.stdout.splitlines():
            try:
                document = json.loads(line)
            except ValueError as error:
                self.fail(f"not JSON: {line!r}: {error}")
            if not isinstance(document, dict) or document.get("schema") != 1:
                self.fail(f'no "schema":1 in {line!r}')
            documents.append(document)
        return documents

    def json(self):
        """The last line of stdout as a JSON object: the named one."""
        documents = self.json_lines()
        if not documents:
            self.fail("expected JSON on stdout, got nothing")
        return documents[-1]


class CommandTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="command.")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("RATOON")}
        self.processes = []
        self.addCleanup(self._end_processes)

    def _end_processes(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, executable=False):
        """Creates a file in the test's folder and returns its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        if executable:
            os.chmod(path, 0o755)
        return path

    def run_ratoon(self, *arguments, env=None, cwd=None, stdin="", timeout=TIMEOUT_S):
        """Executes the command and waits for it."""
        full = [RATOON, *map(str, arguments)]
        try:
            done = subprocess.run(
                full,
                cwd=cwd or self.dir,
                env={**self.env, **(env or {})},
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            raise AssertionError(
                f"not finished within {timeout} s: {' '.join(full)}\n"
                f"stdout:\n{expired.stdout}\nstderr:\n{expired.stderr}"
            ) from None
        return Result(full, done.returncode, done.stdout, done.stderr)

    def start_ratoon(self, *arguments, env=None, cwd=None):
        """Starts the command and does not wait; what is left of it is killed after the test."""
        process = subprocess.Popen(
            [RATOON, *map(str, arguments)],
            cwd=cwd or self.dir,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
        )
        self.processes.append(process)
        return process

    def finish(self, process, timeout=TIMEOUT_S):
        """Waits for a started command."""
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            raise AssertionError(
                f"not finished within {timeout} s: {' '.join(process.args)}\n"
                f"stdout:\n{stdout}\nstderr:\n{stderr}"
            ) from None
        return Result(process.args, process.returncode, stdout, stderr)


def main():
    unittest.main(verbosity=2)
