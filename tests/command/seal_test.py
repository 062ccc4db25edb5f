"""Seals as the command makes and checks them: exit codes, documents, a store in use."""

import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import PipelineTest
from lib import RATOON, main

ONE = """
pipeline: one
stages:
  - {name: only, run: ["true"]}
"""


class Seal(PipelineTest):
    def setUp(self):
        super().setUp()
        self.pipeline(ONE)
        self.run_ratoon("keygen", "key").expect_exit(0)

    def runs_more(self, count=1):
        for _ in range(count):
            self.run_ratoon("run", "p.yaml").expect_exit(0)

    def seal(self, name, *options):
        options = options or ("--key", "key")
        return self.run_ratoon("--json", "seal", name, *options).expect_exit(0).json()["seal"]

    def verify(self, name, *options, code=0):
        result = self.run_ratoon("--json", "verify", "--seal", name, *options)
        return result.expect_exit(code).json()

    def tool(self, *arguments, check=True):
        return subprocess.run(
            arguments, cwd=self.dir, capture_output=True, encoding="utf-8", check=check
        )

    def test_Q02_what_was_sealed_is_there(self):
        self.runs_more(3)
        sealed = self.seal("s")
        self.assertEqual((sealed["file"], sealed["lineages"]), ("s", 3))
        self.runs_more()
        document = self.verify("s", "--key", "key.pub")
        self.assertEqual((document["problems"], document["notices"]), ([], []))
        self.assertEqual(document["seal"], {**sealed, "signer": "trusted"})
        self.run_ratoon("verify", "--seal", "s", "--key", "key.pub").expect_exit(0).expect_stdout(
            "over 3 lineages"
        )

    def test_Q02_without_a_key_it_is_said_that_the_signer_is_unknown(self):
        self.runs_more()
        sealed = self.seal("s")
        result = self.run_ratoon("--json", "verify", "--seal", "s").expect_exit(0)
        self.assertEqual(result.json()["seal"]["signer"], "unknown")
        result.expect_stderr(f"warning: the seal is signed by the key {sealed['key']}")

    def test_Q02_the_key_in_the_store_is_in_no_copy(self):
        self.runs_more()
        result = self.run_ratoon("seal", "s").expect_exit(0)
        result.expect_stderr("whoever can change the store can use it too")
        self.assertEqual(os.stat(self.path(".ratoon/seal.key")).st_mode & 0o7777, 0o600)
        self.verify("s", "--key", ".ratoon/seal.key.pub")
        self.run_ratoon("backup", "copy").expect_exit(0)
        self.run_ratoon("--store", "again", "restore", "copy").expect_exit(0)
        lines = self.run_ratoon("export").expect_exit(0).stdout
        self.assertNotIn("PRIVATE", lines)
        self.run_ratoon("--store", "other", "import", "-", stdin=lines).expect_exit(0)
        # But what the copies hold is what was sealed.
        for store in ("copy", "again", "other"):
            self.assertNotIn("seal.key", os.listdir(self.path(store)))
            self.run_ratoon("--store", store, "verify", "--seal", "s").expect_exit(0)

    def test_Q02_a_removed_lineage_is_found(self):
        self.runs_more()
        shutil.copytree(self.path(".ratoon"), self.path("old"))
        self.runs_more()
        self.seal("s")
        self.run_ratoon("--store", "old", "verify").expect_exit(0)
        result = self.run_ratoon("--json", "--store", "old", "verify", "--seal", "s")
        problems = result.expect_exit(6).json()["problems"]
        self.assertEqual([p["kind"] for p in problems], ["seal"])
        self.assertIn("the lineage is gone", problems[0]["message"])

    def test_Q02_a_cut_end_is_found(self):
        self.runs_more()
        shutil.copytree(self.path(".ratoon"), self.path("old"))
        self.run_ratoon("annotate", "@last", "one more").expect_exit(0)
        self.seal("s")
        self.run_ratoon("--store", "old", "verify").expect_exit(0)
        result = self.run_ratoon("--json", "--store", "old", "verify", "--seal", "s")
        problems = result.expect_exit(6).json()["problems"]
        self.assertEqual([(p["kind"], p["commit"]) for p in problems], [("seal", 5)])
        self.assertIn("its end was cut off", problems[0]["message"])

    def test_Q02_a_deleted_lineage_is_a_notice(self):
        self.runs_more(2)
        self.seal("s")
        self.run_ratoon("delete", "@last").expect_exit(0)
        document = self.verify("s", "--key", "key.pub")
        self.assertEqual([n["kind"] for n in document["notices"]], ["deleted"])
        self.run_ratoon("verify", "--seal", "s", "--key", "key.pub").expect_exit(0).expect_stdout(
            "deleted since it was sealed"
        )

    def test_Q02_a_forged_seal_is_exit_code_6(self):
        self.runs_more(2)
        self.seal("s")
        with open(self.path("s"), encoding="utf-8") as file:
            text = file.read()
        shutil.copy(self.path("s.sig"), self.path("forged.sig"))
        shorter = "".join(text.splitlines(keepends=True)[:-1])
        for forged in (text.replace("lineages 2", "lineages 1"), shorter, text + text):
            self.write("forged", forged)
            for options in ((), ("--key", "key.pub")):
                problems = self.verify("forged", *options, code=6)["problems"]
                self.assertEqual([p["kind"] for p in problems], ["seal"])
        self.run_ratoon("keygen", "stranger").expect_exit(0)
        self.seal("theirs", "--key", "stranger")
        problems = self.verify("theirs", "--key", "key.pub", code=6)["problems"]
        self.assertIn("the key that was given", problems[0]["message"])

    def test_Q02_bad_files_are_exit_code_2(self):
        self.runs_more()
        self.seal("s")
        for arguments in (
            ("keygen", "key"),
            ("seal", "s", "--key", "key"),
            ("seal", "t", "--key", "nothing"),
            ("seal", "t", "--key", "key.pub"),
            ("verify", "--seal", "nothing"),
            ("verify", "--seal", "p.yaml"),
            ("verify", "--seal", "s", "--key", "key"),
            ("verify", "--key", "key.pub"),
        ):
            self.run_ratoon(*arguments).expect_exit(2)
        self.assertFalse(os.path.exists(self.path("t")))
        self.run_ratoon("--store", "none", "seal", "t", "--key", "key").expect_exit(3)

    def test_Q02_a_store_in_use_is_sealed_and_checked_through_its_owner(self):
        self.runs_more(3)
        owned = self.seal("owned")
        watch = self.start_ratoon("watch")
        deadline = time.monotonic() + 60
        while not os.path.exists(self.path(".ratoon/socket")):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        attached = self.seal("attached")
        for field in ("root", "position", "lineages"):
            self.assertEqual(attached[field], owned[field])
        self.assertEqual(self.verify("owned", "--key", "key.pub")["problems"], [])
        self.run_ratoon("annotate", "@last", "more").expect_exit(0)
        self.assertEqual(self.verify("attached", "--key", "key.pub")["problems"], [])
        self.assertIsNone(watch.poll())  # it was the owner throughout

    def test_Q02_openssl_and_ratoon_agree(self):
        self.runs_more()
        self.seal("s")
        with open(self.path("s"), encoding="utf-8") as file:
            self.write("changed", file.read().replace(" 4 ", " 5 "))
        check = "openssl pkeyutl -verify -pubin -inkey key.pub -rawin -sigfile s.sig -in".split()
        self.tool(*check, "s")
        self.assertNotEqual(self.tool(*check, "changed", check=False).returncode, 0)
        # A key that openssl made is as good.
        self.tool("openssl", "genpkey", "-algorithm", "ed25519", "-out", "theirs")
        self.tool("openssl", "pkey", "-in", "theirs", "-pubout", "-out", "theirs.pub")
        self.seal("t", "--key", "theirs")
        self.verify("t", "--key", "theirs.pub")

    def test_Q01_a_commit_s_bytes_are_what_the_chain_is_made_of(self):
        self.runs_more()
        head = self.run_ratoon("--json", "tree", "@last").expect_exit(0).json()["lineage"]
        shell = f'"{RATOON}" log @last --raw {head["commits"]} | sha256sum'
        self.assertEqual(self.tool("sh", "-c", shell).stdout.split()[0], head["head_digest"])
        self.run_ratoon("log", "@last", "--raw", head["commits"] + 1).expect_exit(3)
        self.run_ratoon("log", "@last", "--raw", "0").expect_exit(2)


main()
