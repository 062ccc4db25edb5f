"""export and import: lineages from one store to another, and runs from elsewhere."""

import base64
import csv
import hashlib
import html.parser
import io
import json
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import CHAIN, PipelineTest
from lib import main


class Balanced(html.parser.HTMLParser):
    """Fails where a tag isn't closed, or something would be loaded or executed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "img", "iframe"), tag
        assert not any(name.startswith("on") or name == "src" for name, _ in attrs), attrs
        assert all(v.startswith("#") for name, v in attrs if name == "href"), attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


class Export(PipelineTest):
    def setUp(self):
        super().setUp()
        self.pipeline(CHAIN)
        self.root = self.run_json("run", "p.yaml", "--param", "fail=two", code=1)["id"]
        self.child = self.run_json("retry", self.root, "--param", "fail=")["id"]

    def export(self, *arguments):
        return self.run_ratoon("export", *arguments).expect_exit(0).stdout

    def import_into(self, store, text, *arguments):
        return self.run_ratoon("--store", store, "import", "-", *arguments, stdin=text)

    def test_R18_export_and_import_are_without_loss(self):
        text = self.export()
        done = self.import_into("other", text).expect_exit(0)
        done.expect_stderr("created the store").expect_stderr("imported 1 lineage, ")
        again = self.run_ratoon("--store", "other", "export").expect_exit(0).stdout
        self.assertEqual(again, text)
        self.assertEqual(self.export(self.child, self.root), text)
        # Captured output stayed behind, which is no damage.
        self.run_ratoon("--store", "other", "verify").expect_exit(0)
        for command in (["tree", self.root], ["log", self.child], ["state", self.child], ["stats"]):
            here = self.run_ratoon("--json", *command).expect_exit(0).stdout
            there = self.run_ratoon("--json", "--store", "other", *command).expect_exit(0).stdout
            self.assertEqual(here, there)

    def test_R18_each_line_has_the_bytes_of_a_commit_beside_its_events(self):
        previous, seen = None, []
        log = self.run_ratoon("--json", "log", self.root, "--lineage").json_lines()
        for line in map(json.loads, self.export().splitlines()):
            self.assertEqual(line["schema"], 1)
            if "value" in line:
                data = base64.b64decode(line["value"]["data"], validate=True)
                self.assertEqual(hashlib.sha256(data).hexdigest(), line["value"]["digest"])
                continue
            data = base64.b64decode(line["data"], validate=True)
            digest = hashlib.sha256(data).digest()
            self.assertEqual(digest.hex(), line["digest"])
            if previous:
                self.assertIn(previous, data)
            previous = digest
            seen += line["events"]
        for event in log:
            del event["schema"]
        self.assertEqual(seen, log)

    def test_R18_import_twice_changes_nothing(self):
        text = self.export()
        self.import_into("other", text).expect_exit(0)
        again = self.run_ratoon("--json", "--store", "other", "import", "-", stdin=text)
        document = again.expect_exit(0).json()["imported"]
        self.assertEqual((document["commits"], document["lineages"]), (0, 0))
        self.assertGreater(document["skipped"], 0)

    def test_R10_a_scope_is_given_back_by_what_is_imported_later(self):
        self.pipeline("pipeline: s\npolicy: {scope: doc}\nstages: [{name: one, run: ['true']}]\n")
        parent = self.run_json("run", "p.yaml")["id"]
        child = self.run_json("retry", parent, "--from", "one", "--rerun", "--no-exec")["id"]
        self.import_into("other", self.export(child)).expect_exit(0)
        self.run_ratoon("--store", "other", "run", "p.yaml").expect_exit(4)  # queued: it is held
        self.run_ratoon("resume", child).expect_exit(0)
        self.import_into("other", self.export(child)).expect_exit(0)
        self.run_ratoon("--store", "other", "verify").expect_exit(0)
        self.run_ratoon("--store", "other", "run", "p.yaml").expect_exit(0)

    def test_R18_an_imported_run_is_retried(self):
        self.import_into("other", self.export()).expect_exit(0)
        retried = self.run_ratoon(
            *("--json", "--store", "other", "retry", self.root, "--param", "fail=")
        ).expect_exit(0)
        run = retried.json()["run"]
        self.assertEqual((run["parent"], run["number"]), (self.root, 3))
        self.run_ratoon("--store", "other", "verify").expect_exit(0)

    def test_R18_damaged_input_is_refused_and_nothing_is_added(self):
        lines = self.export().splitlines(keepends=True)
        last = json.loads(lines[-1])
        data = bytearray(base64.b64decode(last["data"]))
        data[len(data) // 2] ^= 1
        last["data"] = base64.b64encode(data).decode()
        edited = "".join(lines[:-1]) + json.dumps(last)
        cut = "".join(lines)[:-30]
        swapped = "".join(lines[:-2] + [lines[-1], lines[-2]])
        for text, code in ((edited, 6), (cut, 2), (swapped, 6), ("".join(lines[1:]), 6)):
            result = self.import_into("other", text).expect_exit(code)
            result.expect_stderr("line ")
            self.assertEqual(self.run_ratoon("--store", "other", "list").stdout, "")

    def test_a_fork_is_refused(self):
        self.import_into("other", self.export()).expect_exit(0)
        self.run_ratoon("annotate", self.root, "here").expect_exit(0)
        self.run_ratoon("--store", "other", "annotate", self.root, "there").expect_exit(0)
        self.import_into("other", self.export()).expect_exit(4).expect_stderr("forks at commit")

    def test_import_creates_only_a_store_that_was_named(self):
        self.write("dump", self.export())
        result = self.run_ratoon("import", self.path("dump"), cwd="/")
        result.expect_exit(3).expect_stderr("NOT_FOUND")
        self.run_ratoon("--store", "new", "import", "missing").expect_exit(2)
        self.run_ratoon("import", "dump", env={"RATOON_STORE": self.path("new")}).expect_exit(0)

    def test_formats_for_looking_at(self):
        rows = list(csv.DictReader(io.StringIO(self.export("--format", "csv"), newline="")))
        self.assertEqual(
            [(r["run"], r["stage"], r["status"]) for r in rows],
            [
                (self.root, "one", "succeeded"),
                (self.root, "two", "failed"),
                (self.child, "two", "succeeded"),
                (self.child, "three", "succeeded"),
            ],
        )
        self.assertEqual(rows[1]["error_class"], "EXECUTION")
        trace = json.loads(self.export("--format", "trace"))["traceEvents"]
        self.assertEqual(len([e for e in trace if e["ph"] == "X"]), 4)
        page = Balanced()
        text = self.export("--format", "html")
        page.feed(text)
        self.assertEqual(page.open, [])
        self.assertIn("no luck", text)
        for name, start in (("dot", "digraph"), ("mermaid", "flowchart")):
            text = self.export(self.root, "--format", name)
            self.assertTrue(text.startswith(start))
            for run in (self.root, self.child):
                self.assertIn(run, text)
        self.refused("USAGE", "export", "--format", "yaml", code=2)
        self.refused("NOT_FOUND", "export", "zzzz", code=3)

    def test_openlineage_events_are_complete(self):
        events = [json.loads(line) for line in self.export("--format", "openlineage").splitlines()]
        for event in events:
            self.assertLessEqual(
                {"eventType", "eventTime", "producer", "schemaURL", "run", "job"}, set(event)
            )
            self.assertLessEqual({"namespace", "name"}, set(event["job"]))
            for facet in event["run"]["facets"].values():
                self.assertLessEqual({"_producer", "_schemaURL"}, set(facet))
        of = lambda run: [e["eventType"] for e in events if e["run"]["runId"] == run]
        self.assertEqual(of(self.root), ["START", "FAIL"])
        self.assertEqual(of(self.child), ["START", "COMPLETE"])
        child = next(e for e in events if e["run"]["runId"] == self.child)
        self.assertEqual(child["run"]["facets"]["parent"]["run"]["runId"], self.root)
        stages = [e for e in events if e["job"]["name"] == "chain.two"]
        self.assertEqual(
            [e["eventType"] for e in stages], ["START", "FAIL", "START", "COMPLETE"]
        )


PLAIN = """\
{"run":{"id":"job-1","pipeline":"chain","status":"failed","created_at":"2026-01-02T03:04:05Z"},"stages":[{"name":"one","status":"succeeded","outputs":{"first":"1"}},{"name":"two","status":"failed","error":"no luck"},{"name":"three","status":"pending"}]}
"""


class Plain(PipelineTest):
    def setUp(self):
        super().setUp()
        self.env["RATOON_STORE"] = self.path("store")

    def test_R18_a_run_from_elsewhere_is_retried_with_its_definition(self):
        self.pipeline(CHAIN)
        result = self.run_ratoon("--json", "import", "-", "--file", "p.yaml", stdin=PLAIN)
        run = result.expect_exit(0).json()["imported"]["run"]
        self.assertEqual(self.run_json("show", run)["external_ref"], "job-1")
        child = self.run_json("retry", run)
        self.assertEqual((child["status"], child["from_stage"]), ("succeeded", "two"))
        self.assertEqual(self.ran(), ["two", "three"])

    def test_R18_without_a_definition_a_retry_needs_one(self):
        result = self.run_ratoon("--json", "import", "-", stdin=PLAIN).expect_exit(0)
        run = result.json()["imported"]["run"]
        without = self.run_ratoon("retry", run).expect_exit(1)
        without.expect_stderr("imported without its definition")
        self.pipeline(CHAIN)
        self.refused("PIPELINE_CHANGED", "retry", run, "--file", "p.yaml")
        child = self.run_json("retry", run, "--file", "p.yaml", "--accept-changes")
        self.assertEqual(child["status"], "succeeded")

    def test_R18_what_is_missing_for_a_retry_is_said(self):
        self.pipeline(CHAIN)
        text = PLAIN.replace(',"outputs":{"first":"1"}', "")
        result = self.run_ratoon("--json", "import", "-", "--file", "p.yaml", stdin=text)
        run = result.expect_exit(0).json()["imported"]["run"]
        error = self.run_ratoon("retry", run).expect_exit(4)
        error.expect_stderr("MISSING_KEYS").expect_stderr("first").expect_stderr("one")


main()
