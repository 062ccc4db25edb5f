"""A document compiler restarted where its user wants: other settings without fetching again, drafts
that failed, were cancelled or are not liked, repairs downstream; examples/compile."""

import os
import shutil
import sys
from collections import Counter

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from cases import PipelineTest
from lib import SRC, main

EXAMPLE = SRC + "/examples/compile"
STAGES = "ingest_urls extract resolve match plan draft crossref commit schema".split()
BEFORE_PLAN = STAGES[:4]
# Of eight documents: how many name the holder.
HOLDERS = {"Ann Adams": 8, "Bob Brown": 6, "Cem Celik": 4, "Dora Dahl": 2}
# Their pages and those of the two licences that four documents have each. Characters of the drafts:
# 293, 261, 229, 197, 359, 396.
PAGES = {"ann-adams", "bob-brown", "cem-celik", "dora-dahl", "expat", "gpl-2"}
SHORT = {"cem-celik", "dora-dahl"}  # with fewer than 250


class Compile(PipelineTest):
    def setUp(self):
        super().setUp()
        self.example = self.path("compile")
        shutil.copytree(
            EXAMPLE, self.example, ignore=shutil.ignore_patterns("demo", "out", "work", ".ratoon")
        )
        os.mkdir(self.path("licences"))
        for n in range(8):
            names = [f"20{10 + n} {name}" for name, count in HOLDERS.items() if n < count]
            self.write(
                f"packages/pkg{n}/copyright",
                "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
                f"Upstream-Name: pkg{n}\n\nFiles: *\nCopyright: " + "\n           ".join(names) + "\n"
                f"License: {'Expat' if n % 2 else 'GPL-2+'}\n"
                f" Package number {n} comes without warranty of any kind.\n",
            )
        self.env.update(RATOON_STORE=self.path("store"), COMPILE_COUNTS=self.path("executions.log"))

    def arguments(self, *more):
        return (
            "run", self.example + "/pipeline.yaml", "-p", "max_documents=8",
            "-p", "licences=" + self.path("licences"), "-p", "packages=" + self.path("packages"),
            "-p", "output=" + self.path("out"), *more,
        )

    def executions(self):
        try:
            with open(self.path("executions.log"), encoding="utf-8") as file:
                return [line.rstrip("\n").split("\t") for line in file]
        except FileNotFoundError:
            return []

    def executed(self):
        """What was executed since the last call, as the stages' programs counted it: for each
        stage the items, without items "". A second execution of one stands there twice."""
        found = {}
        for _, stage, item in self.executions():
            found.setdefault(stage, []).append(item)
        self.remove("executions.log")
        return {stage: sorted(items) for stage, items in found.items()}

    def edit(self, name, old, new):
        path = os.path.join(self.example, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(old, text)
        # The file is written, not replaced: it keeps its mode.
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new, 1))

    def pages(self):
        """The pages in the output folder, with their text."""
        found = {}
        for name in os.listdir(self.path("out")):
            if name.endswith(".md") and name not in ("index.md", "documents.md"):
                with open(self.path("out", name), encoding="utf-8") as file:
                    found[name[:-3]] = file.read()
        return found

    def failed(self):
        """A run that failed in draft: four pages are long enough, two are not."""
        run = self.run_json(*self.arguments("-p", "min_draft_chars=250"), code=1)
        self.assertEqual(self.stage(run, "draft")["items"]["failed"], 2)
        self.executed()
        return run["id"]

    def succeeded(self):
        run = self.run_json(*self.arguments("-p", "min_draft_chars=100"))
        self.executed()
        return run["id"]

    def committed_in_part(self):
        """A run that failed in commit: two drafts are not committed."""
        self.edit(
            "stages/commit.sh", "output=",
            f'case $RATOON_ITEM in {"|".join(SHORT)}) [ -e work/room ] || fail 1 "no room" ;; esac\noutput=',
        )
        run = self.run_json(*self.arguments("-p", "min_draft_chars=100"), code=1)
        self.assertEqual(self.stage(run, "commit")["items"]["committed"], 4)
        self.executed()
        self.write("compile/work/room", "")
        return run["id"]

    def retry_as_previewed(self, parent, *arguments, code=0):
        """Asks what a retry would do, does it with the token of the answer, and expects it to be
        just that; the run, and what was executed."""
        before = self.run_ratoon("--json", "log", parent, "--lineage").stdout
        plan = self.json("retry", parent, *arguments, "--dry-run")["plan"]
        self.assertEqual(before, self.run_ratoon("--json", "log", parent, "--lineage").stdout)
        self.assertEqual(self.executed(), {})
        self.assertEqual(plan["refusals"], [])
        result = self.run_ratoon("--json", "retry", parent, *arguments, "--plan", plan["token"])
        run = result.expect_exit(code).json()["run"]
        executed = self.executed()
        self.assertEqual(run["parent"], parent)
        for key in ("requested_stage", "from_stage", "boundary", "depth"):
            self.assertEqual(run[key], plan[key], key)
        self.assertEqual(run["overrides"], plan["params"])
        # The range is shown before it begins.
        line = "runs " + ", ".join(plan["run"]) + "; reuses " + ", ".join(plan["reuse"])
        result.expect_stderr(line)
        reused = [name for name, status in self.stages(run).items() if status == "reused"]
        self.assertEqual(reused, plan["reuse"])
        self.assertLessEqual(set(executed), set(plan["run"]))
        for name, items in plan["items"].items():
            if items["run"] is not None and code == 0:
                self.assertEqual(len(executed.get(name, [])), items["run"], name)
            if items["keep"] is not None and code == 0:
                done = self.stage(run, name)["items"]["done"]
                self.assertEqual(done, items["keep"] + len(executed.get(name, [])), name)
        without_items = [name for name in plan["run"] if name not in ("extract", "draft", "commit")]
        if code == 0:
            for name in without_items:
                self.assertEqual(executed[name], [""])
        return run, executed, plan

    def expect_verified(self):
        self.assertEqual(self.json("verify")["problems"], [])


class Settings(Compile):
    def test_R06_R12_another_threshold_from_plan_without_reading_a_document_again(self):
        parent = self.failed()
        self.refused("STAGE_SUCCEEDED", "retry", parent, "--from", "plan")
        # Whatever ingest and extraction would do now: the documents are gone.
        shutil.rmtree(self.path("packages"))
        run, executed, plan = self.retry_as_previewed(
            parent, "--from", "plan", "--rerun", "-p", "entity_promotion_threshold=5",
            "--reason", "too many pages",
        )
        self.assertEqual(plan["run"], STAGES[4:])
        self.assertEqual(plan["reuse"], BEFORE_PLAN)
        promoted = ["ann-adams", "bob-brown"]
        self.assertEqual(
            executed,
            {"plan": [""], "draft": promoted, "crossref": [""], "commit": promoted, "schema": [""]},
        )
        self.assertEqual(set(self.pages()), set(promoted))
        self.assertEqual(run["overrides"], {"entity_promotion_threshold": {"old": 2, "new": 5}})
        # Both runs stand on the same.
        self.assertEqual(
            self.state(parent, "--at", "before:plan"), self.state(run["id"], "--at", "before:plan")
        )
        # The chosen step, how and why are in the history.
        log = self.run_ratoon("--json", "log", parent, "--lineage").expect_exit(0).json_lines()
        created = [e["data"] for e in log if e["type"] == "run.created"][1]
        self.assertEqual(
            (created["requested_stage"], created["rerun"], created["reason"], created["overrides"]),
            ("plan", True, "too many pages", run["overrides"]),
        )
        because = self.json("explain", run["id"], "plan")["explain"]["because"]
        self.assertIn(
            {"kind": "parameter", "name": "entity_promotion_threshold", "old": 2, "new": 5}, because
        )
        self.assertFalse(self.json("explain", run["id"], "extract")["explain"]["ran"])
        self.expect_verified()

    def test_R14_from_plan_after_a_commit_pages_that_were_committed_stay(self):
        parent = self.succeeded()
        pages = self.pages()
        run, executed, _ = self.retry_as_previewed(
            parent, "--from", "plan", "--rerun", "-p", "entity_promotion_threshold=5"
        )
        self.assertEqual(executed, {"plan": [""], "crossref": [""], "schema": [""]})
        self.assertEqual(self.pages(), pages)
        # And back: what was committed is known.
        run, executed, _ = self.retry_as_previewed(
            run["id"], "--from", "plan", "--rerun", "-p", "entity_promotion_threshold=2"
        )
        self.assertEqual(executed, {"plan": [""], "crossref": [""], "schema": [""]})
        self.assertEqual(self.pages(), pages)
        self.expect_verified()

    def test_R13_shorter_pages_will_do_only_failed_drafts_are_executed(self):
        parent = self.failed()
        _, executed, plan = self.retry_as_previewed(parent, "-p", "min_draft_chars=150")
        self.assertEqual(plan["from_stage"], "draft")
        self.assertEqual(plan["items"]["draft"], {"keep": 4, "run": 2, "reset": 0, "drop": 0})
        self.assertEqual(
            executed,
            {"draft": sorted(SHORT), "crossref": [""], "commit": sorted(PAGES), "schema": [""]},
        )
        self.assertEqual(set(self.pages()), PAGES)

    def test_R13_longer_pages_are_asked_for_all_drafts_are_executed(self):
        parent = self.failed()
        run, executed, plan = self.retry_as_previewed(
            parent, "--from", "draft", "--items", "all", "-p", "min_draft_chars=300", code=1
        )
        self.assertEqual(plan["items"]["draft"], {"keep": 0, "run": 6, "reset": 4, "drop": 0})
        self.assertEqual(executed, {"draft": sorted(PAGES)})
        self.assertEqual(self.stage(run, "draft")["items"]["failed"], 4)
        # Drafting less strictly and committing is another branch.
        _, executed, _ = self.retry_as_previewed(run["id"], "-p", "min_draft_chars=100")
        self.assertEqual(set(executed["draft"]), SHORT | {"ann-adams", "bob-brown"})
        self.assertEqual(set(executed["commit"]), PAGES)

    def test_K_documents_of_this_system(self):
        """Real documents, few of them: which pages there are depends on the system."""
        run = self.run_json(
            "run", self.example + "/pipeline.yaml", "-p", "max_documents=6",
            "-p", "min_draft_chars=1", "-p", "entity_promotion_threshold=4", "-p", "output=" + self.path("out"),
        )
        executed = self.executed()
        self.assertEqual(len(executed["extract"]), 6)
        pages = len(executed["draft"])
        self.assertGreater(pages, 0)
        run, executed, _ = self.retry_as_previewed(
            run["id"], "--from", "plan", "--rerun", "-p", "entity_promotion_threshold=3"
        )
        self.assertEqual(set(executed) & set(BEFORE_PLAN), set())
        self.assertGreater(len(self.state(run["id"])["pages"]), pages)
        self.assertEqual(len(executed["commit"]), len(self.state(run["id"])["pages"]) - pages)


class Drafts(Compile):
    def test_K_retry_failed_and_resume_go_on_working(self):
        parent = self.failed()
        run, executed, _ = self.retry_as_previewed(
            parent, "--items", "failed", "-p", "min_draft_chars=200", code=1
        )
        self.assertEqual(executed, {"draft": sorted(SHORT)})
        self.assertEqual(self.stage(run, "draft")["items"]["failed"], 1)
        result = self.run_ratoon(*self.arguments("--resume", "-p", "min_draft_chars=150"))
        result.expect_exit(0).expect_stderr("retrying")
        self.assertEqual(
            self.executed(),
            {"draft": ["dora-dahl"], "crossref": [""], "commit": sorted(PAGES), "schema": [""]},
        )
        self.assertEqual(self.run_json("show", "@last")["depth"], 2)

    def test_R05_E05_cancelled_during_draft_and_restarted_from_there(self):
        self.edit("stages/draft.sh", "flat ", 'while [ -e work/hold ] && [ "$RATOON_ITEM" = expat ]; do sleep 0.05; done\nflat ')
        self.write("compile/work/hold", "")
        process = self.start_ratoon("--json", *self.arguments("-p", "min_draft_chars=100"))

        def others_are_drafted():
            result = self.run_ratoon("--json", "show", "@last")
            items = self.stage(result.json()["run"], "draft")["items"] if result.code == 0 else None
            return items is not None and items["done"] == 5

        self.until(others_are_drafted, "all drafts but one are done")
        run = self.run_json("show", "@last")
        self.refused("RUN_ACTIVE", "retry", run["id"], "--from", "draft")
        self.run_json("cancel", run["id"], "--reason", "looks wrong")
        self.finish(process).expect_exit(8)
        self.executed()
        self.assertEqual(self.pages() if os.path.exists(self.path("out")) else {}, {})
        self.remove("compile/work/hold")
        self.refused("STAGE_NEVER_RAN", "retry", run["id"], "--from", "commit")
        _, executed, plan = self.retry_as_previewed(run["id"], "--from", "draft")
        self.assertEqual(plan["items"]["draft"], {"keep": 5, "run": 1, "reset": 0, "drop": 0})
        self.assertEqual(
            executed, {"draft": ["expat"], "crossref": [""], "commit": sorted(PAGES), "schema": [""]}
        )
        self.assertEqual(set(self.pages()), PAGES)
        self.expect_verified()

    def test_R14_all_drafts_forced_and_committed_pages_survive(self):
        parent = self.committed_in_part()
        pages = self.pages()
        self.assertEqual(set(pages), PAGES - SHORT)
        arguments = ("--from", "draft", "--rerun", "--items", "all", "-p", "min_draft_chars=120")
        # Only the explicit mode would touch committed ones, and says how many.
        destructive = self.json("retry", parent, *arguments, "--destructive", "--dry-run")["plan"]
        self.assertEqual(destructive["committed_dropped"], 4)
        told = self.run_ratoon("retry", parent, *arguments, "--destructive", "--dry-run")
        told.expect_exit(0).expect_stdout("drops       4 committed")
        run, executed, plan = self.retry_as_previewed(parent, *arguments)
        self.assertEqual(plan["items"]["draft"], {"keep": 4, "run": 2, "reset": 2, "drop": 0})
        self.assertEqual(plan["committed_dropped"], 0)
        self.assertEqual(
            executed,
            {"draft": sorted(SHORT), "crossref": [""], "commit": sorted(SHORT), "schema": [""]},
        )
        after = self.pages()
        self.assertEqual(set(after), PAGES)
        self.assertEqual({page: after[page] for page in pages}, pages)
        self.assertEqual(self.stage(run, "commit")["items"]["committed"], 6)

    def test_R14_destructive_executes_committed_pages_again(self):
        parent = self.succeeded()
        _, executed, plan = self.retry_as_previewed(
            parent, "--from", "draft", "--rerun", "--items", "all", "--destructive"
        )
        self.assertEqual(plan["committed_dropped"], 6)
        self.assertEqual(
            executed,
            {"draft": sorted(PAGES), "crossref": [""], "commit": sorted(PAGES), "schema": [""]},
        )

    def test_R13_one_draft_that_is_poor(self):
        parent = self.failed()
        _, executed, _ = self.retry_as_previewed(
            parent, "--item", "dora-dahl", "--item", "expat", "-p", "min_draft_chars=150", code=1
        )
        self.assertEqual(executed["draft"], ["dora-dahl", "expat"])


class Downstream(Compile):
    def test_R06_crossref_alone_is_repaired(self):
        parent = self.committed_in_part()
        self.edit("stages/crossref.awk", "See also", "Related")
        run, executed, plan = self.retry_as_previewed(parent, "--from", "crossref", "--rerun")
        self.assertEqual(plan["run"], ["crossref", "commit", "schema"])
        self.assertEqual(executed, {"crossref": [""], "commit": sorted(SHORT), "schema": [""]})
        pages = self.pages()
        self.assertEqual({p for p in pages if "## Related" in pages[p]}, SHORT)
        # Nothing of it in the parent.
        self.assertNotIn("## Related", str(self.state(parent)["linked"]))
        self.assertIn("## Related", str(self.state(run["id"])["linked"]))

    def test_R25_crossref_and_nothing_after_it(self):
        parent = self.succeeded()
        pages = self.pages()
        run = self.run_json("retry", parent, "--from", "crossref", "--rerun", "--only")
        self.assertEqual(self.executed(), {"crossref": [""]})
        self.assertEqual(self.pages(), pages)
        self.assertEqual({s["name"] for s in run["stages"] if s["stale"]}, {"commit", "schema"})

    def test_R13_commit_alone_is_repaired(self):
        parent = self.committed_in_part()
        _, executed, plan = self.retry_as_previewed(parent)
        self.assertEqual(plan["from_stage"], "commit")
        self.assertEqual(executed, {"commit": sorted(SHORT), "schema": [""]})
        self.assertEqual(set(self.pages()), PAGES)

    def test_schema_alone(self):
        parent = self.succeeded()
        os.unlink(self.path("out/index.md"))
        _, executed, _ = self.retry_as_previewed(parent, "--from", "schema", "--rerun")
        self.assertEqual(executed, {"schema": [""]})
        self.assertTrue(os.path.exists(self.path("out/index.md")))


class Safety(Compile):
    def test_R10_another_run_with_the_same_output_is_refused(self):
        failed = self.failed()
        self.edit("stages/plan.sh", "flat ", "while [ -e work/hold ]; do sleep 0.05; done\nflat ")
        self.write("compile/work/hold", "")
        process = self.start_ratoon("--json", *self.arguments("-p", "min_draft_chars=100"))
        self.until(lambda: any(e[1] == "plan" for e in self.executions()), "plan is executed")
        holder = self.run_json("show", "@last")["id"]
        self.executed()
        error = self.refused("SCOPE_BUSY", *self.arguments())
        self.assertIn(holder, error["message"])
        self.refused("SCOPE_BUSY", "retry", failed)
        plan = self.json("retry", failed, "--dry-run", code=4)["plan"]
        self.assertEqual([r["code"] for r in plan["refusals"]], ["SCOPE_BUSY"])
        self.assertEqual(self.executed(), {})
        self.remove("compile/work/hold")
        self.finish(process).expect_exit(0)
        self.executed()
        # A queued one holds it too.
        queued = self.run_json("retry", failed, "--no-exec", "-p", "min_draft_chars=150")["id"]
        self.assertIn(queued, self.refused("SCOPE_BUSY", *self.arguments())["message"])
        self.run_ratoon("resume", queued).expect_exit(0)
        self.assertEqual(self.executed()["draft"], sorted(SHORT))

    def test_R15_a_preview_that_is_no_longer_true_is_refused(self):
        parent = self.failed()
        preview = ("retry", parent, "-p", "min_draft_chars=150")
        token = self.json(*preview, "--dry-run")["plan"]["token"]
        self.refused("PLAN_STALE", *preview, "--items", "all", "--plan", token)
        self.run_ratoon(*preview, "--plan", token).expect_exit(0)
        self.executed()
        self.assertEqual(len(self.json("tree", parent)["lineage"]["runs"]), 2)

    def test_S10_a_text_that_changed_is_not_reused_unseen(self):
        parent = self.failed()
        text = os.path.join(self.example, "work/text/pkg0.txt")
        with open(text, "a", encoding="utf-8") as file:
            file.write("9\tmore\n")
        retry = ("retry", parent, "--from", "plan", "--rerun", "-p", "min_draft_chars=100")
        plan = self.json(*retry, "--dry-run", code=4)["plan"]
        self.assertEqual([r["code"] for r in plan["refusals"]], ["FILE_CHANGED"])
        self.assertIn("pkg0.txt", self.refused("FILE_CHANGED", *retry)["message"])
        self.assertEqual(self.executed(), {})
        self.run_ratoon(*retry, "--accept-changes").expect_exit(0)
        self.assertEqual(Counter(self.executed())["extract"], 0)


main()
