"""Stores that released versions made open, verify and hold what they held, for ever; a store that
this version doesn't know is refused and not touched (tests/golden)."""

import fcntl
import json
import os
import shutil
import socket
import struct
import sys
import tarfile
import threading

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
sys.path.insert(0, os.environ["SRC"] + "/tests/golden")
from cases import PipelineTest
from dump import Dump, common, missing
from lib import RATOON, SRC, main

STORES = os.path.join(SRC, "tests/golden/stores")
ONE = 'pipeline: one\nstages:\n  - {name: only, run: ["true"]}\n'


def released():
    """(format, name) of each golden store."""
    return sorted(
        (number, file.removesuffix(".tar.gz"))
        for number in os.listdir(STORES)
        for file in os.listdir(os.path.join(STORES, number))
        if file.endswith(".tar.gz")
    )


def tree(folder):
    """Everything that can be seen of a folder: names, modes, times, bytes."""
    found = {}
    for path, _, files in os.walk(folder):
        for name in [path] + [os.path.join(path, file) for file in files]:
            info = os.lstat(name)
            data = b""
            if os.path.isfile(name):
                with open(name, "rb") as file:
                    data = file.read()
            found[name] = (info.st_mode, info.st_mtime_ns, info.st_ino, data)
    return found


class Golden(PipelineTest):
    def unpack(self, number, name):
        with tarfile.open(os.path.join(STORES, number, name + ".tar.gz")) as tar:
            tar.extractall(self.dir)
        return self.path("store")

    def test_E04_stores_of_released_formats_hold_what_they_held(self):
        stores = released()
        self.assertGreaterEqual(len(stores), 8)
        for number, name in stores:
            with self.subTest(format=number, store=name):
                store = self.unpack(number, name)
                with open(os.path.join(STORES, number, name + ".json"), encoding="utf-8") as file:
                    expected = json.load(file)
                self.run_ratoon("--store", store, "verify").expect_exit(0)
                found = Dump(RATOON, store, self.env).whole()
                self.assertEqual(list(missing(expected, found)), [])
                self.assertGreater(len(found["export"]), 3)
                # And they are stores to go on with.
                self.write("p.yaml", ONE)
                self.run_ratoon("--store", store, "run", "p.yaml").expect_exit(0)
                self.run_ratoon("--store", store, "verify").expect_exit(0)
                shutil.rmtree(store)

    def test_Q02_a_seal_of_a_released_format_holds(self):
        for number in sorted(os.listdir(STORES)):
            store = self.unpack(number, "sealed")
            for name in ("seal", "seal.sig", "key.pub"):
                shutil.copy(os.path.join(store, "golden." + name), self.path(name))
            result = self.run_ratoon(
                "--json", "--store", store, "verify", "--seal", "seal", "--key", "key.pub"
            )
            self.assertEqual(result.expect_exit(0).json()["seal"]["lineages"], 2)
            shutil.rmtree(store)

    def test_E04_the_comparison_finds_what_is_missing(self):
        old = {"a": [1, {"b": 2}], "c": 3}
        self.assertEqual(list(missing(old, {"a": [1, {"b": 2, "new": 0}], "c": 3, "d": 4})), [])
        for new in ({"a": [1, {"b": 3}], "c": 3}, {"a": [1], "c": 3}, {"a": [1, {}], "c": 3}, {}):
            self.assertNotEqual(list(missing(old, new)), [])
        self.assertEqual(list(missing(common(old, {**old, "c": 4}), {**old, "c": 5})), [])

    def test_E04_a_store_of_an_unknown_format_is_refused_and_not_touched(self):
        self.write("p.yaml", ONE)
        for text, code, word in (
            ("ratoon store\nformat 2\n", 2, "format 2"),
            ("ratoon store\nformat 18446744073709551615\n", 2, "format 1844"),
            ("ratoon store\nformat 0\n", 6, "garbled"),
            ("ratoon store\nformat -1\n", 6, "garbled"),
            ("ratoon store\nformat +1\n", 6, "garbled"),
            ("ratoon store\nformat  1\n", 6, "garbled"),
            ("ratoon store\nformat 01\n", 6, "garbled"),
            ("ratoon store\nformat 99999999999999999999999\n", 6, "garbled"),
            ("ratoon store\nformat one\n", 6, "garbled"),
            ("ratoon store\nformat 1 \n", 6, "garbled"),
            ("ratoon store\nformat 1", 6, "garbled"),
            ("ratoon store\n", 6, "garbled"),
            ("another store\nformat 1\n", 6, "garbled"),
            ("", 6, "garbled"),
            ("\0" * 300, 6, "garbled"),
        ):
            with self.subTest(text=text):
                store = self.unpack("1", "killed")  # opening it would change it
                self.write("store/format", text)
                before = tree(store)
                for arguments in (
                    ("list",),
                    ("run", "p.yaml"),
                    ("verify",),
                    ("seal", "s"),
                    ("delete", "@last"),
                    ("backup", "copy"),
                    ("watch",),
                ):
                    result = self.run_ratoon("--store", store, *arguments).expect_exit(code)
                    result.expect_stderr(word)
                self.run_ratoon("--store", "new", "restore", store).expect_exit(code)
                self.assertEqual(tree(store), before)
                self.assertFalse(os.path.exists(self.path("new")))
                shutil.rmtree(store)

    def test_E04_an_owner_that_speaks_another_version_is_reported(self):
        """The owner is made up: it holds the owner's lock and knows version 9 of the protocol."""
        store = self.unpack("1", "plain")
        lock = os.open(os.path.join(store, "locks/owner"), os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.join(store, "socket"))
        server.listen()
        self.addCleanup(server.close)

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                hello = connection.recv(32)
                fields = b"\0" * (5 * 8 + 2 * 8)  # code, two ids, line, column
                for text in (b"\0", b"this owner speaks version 9\0", b"\0"):
                    fields += struct.pack("<Q", len(text)) + text + b"\0" * (-len(text) % 8)
                head = struct.pack("<IHH", 16 + len(fields), 1, 31)  # of HELLO: UNSUPPORTED
                connection.sendall(head + hello[8:16] + fields)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        before = tree(os.path.join(store, "db"))
        result = self.run_ratoon("--store", store, "--wait", "1", "list")
        result.expect_exit(2).expect_stderr("UNSUPPORTED").expect_stderr("speaks version 9")
        self.assertEqual(tree(os.path.join(store, "db")), before)


main()
