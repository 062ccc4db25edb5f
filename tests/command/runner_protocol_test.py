"""The stage protocol (E06, E07, E08), executed by the command."""

import json
import os
import stat
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/command")
from lib import CommandTest, main


class Runner(CommandTest):
    def pipeline(self, text):
        return self.write("p.yaml", "pipeline: p\n" + text)

    def stage(self, script, **fields):
        """A pipeline with one stage, `s`, that is this shell text."""
        self.write("s.sh", "#!/bin/sh\n" + script, executable=True)
        lines = "".join(f"    {k}: {v}\n" for k, v in fields.items())
        return self.pipeline("stages:\n  - name: s\n    run: ['./s.sh']\n" + lines)

    def execute(self, *arguments, code=0, env=None):
        result = self.run_ratoon("--json", "run", *arguments, env=env)
        result.expect_exit(code)
        return result.json()["run"]

    def state(self, run):
        result = self.run_ratoon("--json", "state", run["id"]).expect_exit(0)
        return result.json()["state"]

    def stage_of(self, run, name="s"):
        return next(s for s in run["stages"] if s["name"] == name)

    def logs(self, run, stage="s", *arguments):
        return self.run_ratoon("logs", run["id"], stage, *arguments).expect_exit(0)


class Output(Runner):
    def test_E07_json_output_keeps_its_digits(self):
        run = self.execute(
            self.stage("""echo '{"a": 0.10, "b": 123456789012345678901234567890, "c": ["x", 1]}' > "$RATOON_OUTPUT" """)
        )
        text = self.run_ratoon("--json", "state", run["id"]).stdout
        self.assertIn("0.10", text)
        self.assertIn("123456789012345678901234567890", text)

    def test_E07_lines_and_here_documents(self):
        run = self.execute(
            self.stage(
                r"""printf 'k=v=w\n\ntext<<END\none\ntwo "x"\nEND\nempty<<E\nE\n' > "$RATOON_OUTPUT" """
            )
        )
        self.assertEqual(self.state(run), {"k": "v=w", "text": 'one\ntwo "x"', "empty": ""})

    def test_E07_the_last_of_two_equal_keys_wins(self):
        run = self.execute(self.stage("printf 'k=1\\nk=2\\n' > $RATOON_OUTPUT"))
        self.assertEqual(self.state(run), {"k": "2"})

    def broken(self, script, part):
        run = self.execute(self.stage(script), code=1)
        error = self.stage_of(run)["error"]
        self.assertEqual(error["class"], "VALIDATION")
        self.assertIn(part, error["message"])
        return run, error

    def test_E07_broken_output_is_a_validation_failure_and_kept(self):
        run, error = self.broken("echo '{\"a\": 1,}' > $RATOON_OUTPUT", "line 1")
        self.assertIn('{"a": 1,}', error["detail"])
        self.assertIn('{"a": 1,}', self.logs(run).stdout)
        self.broken("echo hello > $RATOON_OUTPUT", "expected key=value, found 'hello'")
        self.broken("printf 'a<<END\\nx\\n' > $RATOON_OUTPUT", "a<<END")
        self.broken(
            "printf '\\001\\377x\\000\\200\\033\\n\\376\\n\\n' > $RATOON_OUTPUT", "line 1"
        )
        self.broken("printf 'a=\\377' > $RATOON_OUTPUT", "UTF-8")

    def test_S06_a_value_over_the_limit_fails_and_names_it(self):
        _, error = self.broken(
            "(printf 'big='; head -c 68000000 /dev/zero | tr '\\0' a; echo) > $RATOON_OUTPUT",
            "LIMIT_EXCEEDED",
        )
        self.assertIn("68000000", error["message"])
        self.assertIn(str(64 << 20), error["message"])

    def test_S10_a_file_gets_size_and_digest(self):
        run = self.execute(
            self.stage("""printf hello > out.txt; echo '{"f": {"file": "out.txt"}}' > $RATOON_OUTPUT""")
        )
        self.assertEqual(
            self.state(run)["f"],
            {
                "file": os.path.realpath(self.path("out.txt")),
                "size": 5,
                "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            },
        )
        self.broken("""echo '{"f": {"file": "nothing.txt"}}' > $RATOON_OUTPUT""", "nothing.txt")

    def test_S04_a_declared_key_that_is_missing_is_a_validation_failure(self):
        run = self.execute(self.stage("true", produces="[k, l]"), code=1)
        error = self.stage_of(run)["error"]
        self.assertEqual(error["class"], "VALIDATION")
        self.assertIn("k, l", error["message"])


class Events(Runner):
    def test_A07_progress_is_kept(self):
        run = self.execute(
            self.stage("""echo '{"progress":{"done":3,"total":10,"message":"m"}}' >> $RATOON_EVENTS""")
        )
        self.assertEqual(
            self.stage_of(run)["progress"], {"done": 3, "total": 10, "message": "m"}
        )

    def test_A07_progress_is_logged_at_most_once_a_second(self):
        run = self.execute(
            self.stage(
                """i=0; while [ $i -lt 1000 ]; do
                echo "{\\"progress\\":{\\"done\\":$i}}" >> $RATOON_EVENTS
                i=$((i+1)); done; sleep 0.3"""
            )
        )
        log = self.run_ratoon("--json", "log", run["id"]).json_lines()
        progress = [e for e in log if e["type"] == "stage.progress"]
        self.assertLessEqual(len(progress), 4)
        self.assertEqual(self.stage_of(run)["progress"]["done"], 999)

    def test_E07_degraded(self):
        run = self.execute(self.stage("""echo '{"degraded":"half"}' >> $RATOON_EVENTS"""))
        self.assertEqual(run["status"], "degraded")
        self.assertEqual(self.stage_of(run)["status"], "degraded")

    def test_E07_a_broken_event_line_fails_with_its_number(self):
        for line in ("nonsense", '{"unknown":1}', '{"progress":3}', "\\377\\376", '{"item":"a"}'):
            run = self.execute(
                self.stage(
                    f"""printf '{{"progress":{{"done":1}}}}\\n{line}\\n' >> $RATOON_EVENTS"""
                ),
                code=1,
            )
            error = self.stage_of(run)["error"]
            self.assertEqual(error["class"], "VALIDATION")
            self.assertIn("line 2", error["message"])

    def test_E07_a_line_without_newline_at_the_end_counts(self):
        run = self.execute(self.stage("""printf '{"degraded":"half"}' >> $RATOON_EVENTS"""))
        self.assertEqual(run["status"], "degraded")

    def test_S03_partial_output_is_kept_when_the_stage_fails(self):
        run = self.execute(
            self.stage("""echo '{"output":{"k":1}}' >> $RATOON_EVENTS; exit 1"""), code=1
        )
        log = self.run_ratoon("--json", "log", run["id"]).stdout
        self.assertIn('"k"', log)
        self.assertEqual(self.state(run), {})

    def test_R13_items_told_of_by_the_stage(self):
        run = self.execute(
            self.stage(
                """echo '{"item":"a","status":"done","output":{"n":1}}' >> $RATOON_EVENTS
                echo '{"item":"b","status":"failed","error":"no luck"}' >> $RATOON_EVENTS
                echo '{"item":"a","status":"committed"}' >> $RATOON_EVENTS"""
            ),
            code=1,
        )
        items = self.stage_of(run)["items"]
        self.assertEqual((items["done"], items["failed"], items["committed"]), (1, 1, 1))
        self.assertIn("no luck", self.stage_of(run)["error"]["message"])

    def test_L07_external_reference(self):
        run = self.execute(self.stage("""echo '{"external_ref":"job-17"}' >> $RATOON_EVENTS"""))
        self.assertEqual(run["external_ref"], "job-17")

    def test_R22_consumes(self):
        first = self.execute(self.stage("true"))
        second = self.execute(
            self.stage(f"""echo '{{"consumes":"{first["id"]}"}}' >> $RATOON_EVENTS""")
        )
        log = self.run_ratoon("--json", "log", second["id"]).stdout
        self.assertIn(first["id"], log)


class Environment(Runner):
    def test_E07_environment_is_as_documented(self):
        self.write("sub/keep", "")
        run = self.execute(
            self.pipeline(
                """params:
  batch_size: {type: int, default: 8}
stages:
  - name: s
    run: "env | sort; pwd"
    shell: true
    cwd: sub
    env: {LANG: C, HOME: /nowhere}
"""
            ),
            env={"RATOON_STRAY": "1", "KEEP": "2"},
        )
        out = self.logs(run).stdout.splitlines()
        env = dict(line.split("=", 1) for line in out if "=" in line)
        self.assertEqual(env["RATOON_RUN"], run["id"])
        self.assertEqual(env["RATOON_ROOT"], run["id"])
        self.assertEqual(env["RATOON_STAGE"], "s")
        self.assertEqual(env["RATOON_ATTEMPT"], "1")
        self.assertEqual(env["RATOON_DEPTH"], "0")
        self.assertEqual(env["RATOON_PARAM_BATCH_SIZE"], "8")
        self.assertTrue(os.path.isabs(env["RATOON_STORE"]))
        self.assertEqual((env["LANG"], env["HOME"], env["KEEP"]), ("C", "/nowhere", "2"))
        self.assertNotIn("RATOON_STRAY", env)
        self.assertNotIn("RATOON_ITEM", env)
        self.assertEqual(out[-1], os.path.realpath(self.path("sub")))
        allowed = {"RUN", "ROOT", "STAGE", "ATTEMPT", "DEPTH", "STORE", "STATE", "OUTPUT", "EVENTS",
                   "PARAM_BATCH_SIZE"}
        self.assertEqual({k[7:] for k in env if k.startswith("RATOON_")}, allowed)

    def test_E06_parameters_are_never_pasted_into_a_command(self):
        self.pipeline(
            """params:
  p: {type: string}
stages:
  - name: s
    run: ["printf", "%s", "$(touch pwned) ${RATOON_PARAM_P}"]
"""
        )
        run = self.execute("p.yaml", "--param", "p=$(touch pwned); touch pwned")
        self.assertEqual(self.logs(run).stdout, "$(touch pwned) ${RATOON_PARAM_P}")
        self.assertFalse(os.path.exists(self.path("pwned")))

    def test_E06_what_cannot_be_executed_is_named(self):
        self.write("plain", "#!/bin/sh\n")
        self.write("interp", "#!/no/such/thing\n", executable=True)
        for command, part in (
            ("no-such-command", "not found in PATH"),
            ("./missing", "missing': not found"),
            ("./plain", "permission denied"),
            ("./interp", "interpreter"),
        ):
            self.pipeline(f"stages:\n  - name: s\n    run: ['{command}']\n")
            run = self.execute("p.yaml", code=1)
            self.assertIn(part, self.stage_of(run)["error"]["message"])

    def test_E06_a_missing_working_folder_is_named(self):
        self.pipeline("stages:\n  - name: s\n    run: ['true']\n    cwd: nowhere\n")
        run = self.execute("p.yaml", code=1)
        self.assertIn("nowhere", self.stage_of(run)["error"]["message"])

    def test_E06_standard_streams_and_signals_are_ordinary(self):
        run = self.execute(
            self.stage(
                "cat; echo out > /dev/stdout; echo err > /dev/stderr;"
                "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls -l /proc/self/fd | grep -c pipe"
            )
        )
        out = self.logs(run).stdout
        self.assertIn("out", out)
        self.assertIn("SigBlk:\t0000000000000000", out)
        self.assertIn("SigIgn:\t0000000000000000", out)

    def test_E07_message_names_code_or_signal(self):
        run = self.execute(self.stage("echo oops >&2; exit 3"), code=1)
        error = self.stage_of(run)["error"]
        self.assertTrue(error["message"].startswith("exit 3"))
        self.assertIn("oops", error["detail"])
        self.assertEqual(error["class"], "EXECUTION")
        run = self.execute(self.stage("kill -9 $$"), code=1)
        self.assertTrue(self.stage_of(run)["error"]["message"].startswith("signal 9 (SIGKILL)"))
        run = self.execute(self.stage("exit 75"), code=1)
        self.assertEqual(self.stage_of(run)["error"]["class"], "TRANSIENT")

    def test_E07_detail_is_the_end_of_stderr_as_text(self):
        run = self.execute(
            self.stage("head -c 20000 /dev/zero | tr '\\0' a >&2; printf 'end\\377' >&2; exit 1"),
            code=1,
        )
        detail = self.stage_of(run)["error"]["detail"]
        self.assertTrue(detail.endswith("end\\xff"))
        self.assertLess(len(detail), 8300)


class Captures(Runner):
    def test_E07_captures_keep_first_and_last_half(self):
        run = self.execute(
            self.stage("echo first; head -c 209715200 /dev/zero | tr '\\0' '\\n'; echo last")
        )
        out = self.path(".ratoon", "output", run["id"], "s", "1.out")
        size = os.stat(out).st_size
        self.assertLessEqual(size, 64 << 20)
        self.assertGreater(size, (64 << 20) - 4096)
        with open(out, "rb") as file:
            data = file.read()
        self.assertTrue(data.startswith(b"first\n"))
        self.assertTrue(data.endswith(b"last\n"))
        mark = b"[ratoon: "
        at = data.index(mark)
        dropped = int(data[at + len(mark) :].split()[0])
        line_end = data.index(b"]\n", at) + 2
        self.assertEqual(dropped + size - (line_end - at + 1), 209715200 + 11)
        self.run_ratoon("verify").expect_exit(0)

    def test_E07_verify_checks_captured_output(self):
        run = self.execute(self.stage("echo hello"))
        with open(self.path(".ratoon", "output", run["id"], "s", "1.out"), "w") as file:
            file.write("hallo\n")
        self.run_ratoon("verify").expect_exit(6)


    def test_E07_verify_checks_what_items_wrote(self):
        self.write("s.json", '{"l": ["x", "y"]}')
        run = self.execute(self.stage("echo $RATOON_ITEM", foreach="l"), "--state", "s.json")
        self.run_ratoon("verify").expect_exit(0)
        folder = self.path(".ratoon", "output", run["id"], "s")
        names = sorted(os.listdir(folder))
        with open(os.path.join(folder, names[0]), "w") as file:
            file.write("z\n")
        self.run_ratoon("verify").expect_exit(6).expect_stdout(names[0])
        os.remove(os.path.join(folder, names[0]))
        self.run_ratoon("verify").expect_exit(6).expect_stdout(names[0])


class Secrets(Runner):
    def secret(self, script, code=0):
        self.write("s.sh", "#!/bin/sh\n" + script, executable=True)
        self.pipeline(
            "params:\n  api_key: {type: string, secret: true}\n"
            "stages:\n  - name: s\n    run: ['./s.sh']\n"
        )
        return self.execute("p.yaml", code=code, env={"RATOON_SECRET_API_KEY": "hunter-42"})

    def everything(self):
        for folder, _, files in os.walk(self.path(".ratoon")):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    yield name, file.read()

    def test_E08_secrets_are_masked_across_chunks(self):
        run = self.secret(
            """printf 'a %s b\\n' "$RATOON_PARAM_API_KEY"
            printf 'hunt'; sleep 0.2; printf 'er-42\\n'; printf 'hunter-4\\n'
            echo "$RATOON_PARAM_API_KEY" >&2
            echo '{"progress":{"done":1,"message":"with hunter-42"}}' >> $RATOON_EVENTS
            exit 3""",
            code=1,
        )
        out = self.logs(run).stdout
        self.assertIn("a *** b\n***\nhunter-4\n", out)
        self.assertEqual(self.stage_of(run)["error"]["message"], "exit 3: ***")
        for name, data in self.everything():
            self.assertNotIn(b"hunter-42", data, name)

    def test_E08_a_secret_in_an_output_fails_the_stage(self):
        for script in (
            'echo "k=$RATOON_PARAM_API_KEY" > $RATOON_OUTPUT',
            """echo '{"k": "hunter\\u002d42"}' > $RATOON_OUTPUT""",
            """echo '{"output":{"k":"hunter-42"}}' >> $RATOON_EVENTS""",
        ):
            run = self.secret(script, code=1)
            error = self.stage_of(run)["error"]
            self.assertEqual(error["class"], "VALIDATION")
            self.assertIn("secret", error["message"])
        for name, data in self.everything():
            self.assertNotIn(b"hunter-42", data, name)

    def test_E08_secrets_are_masked_as_ascii_json_too(self):
        self.stage(
            r"""printf '%s\n' '"gr\u00fc\u00df \ud83d\ude00"' '"gr\u00FC\u00DF \uD83D\uDE00"'"""
        )
        with open(self.path("p.yaml"), "a") as file:
            file.write("params:\n  pw: {type: string, secret: true}\n")
        run = self.execute("p.yaml", env={"RATOON_SECRET_PW": "grüß 😀"})
        out = self.logs(run).stdout.splitlines()
        self.assertEqual(out, ['"***"', '"***"'])

    def test_E08_a_missing_secret_is_refused_before_anything_starts(self):
        self.secret("touch ran")
        os.remove(self.path("ran"))
        result = self.run_ratoon("--json", "run", "p.yaml")
        self.assertIn(result.code, (2, 4))
        self.assertIn("RATOON_SECRET_API_KEY", result.stderr)
        self.assertFalse(os.path.exists(self.path("ran")))


class Unusual(Runner):
    def test_E07_a_stage_that_closes_its_streams_goes_on(self):
        run = self.execute(self.stage("exec >&- 2>&-; sleep 0.3; echo k=v > $RATOON_OUTPUT"))
        self.assertEqual(self.state(run), {"k": "v"})

    def test_E07_work_folders_are_removed(self):
        self.execute(self.stage("echo k=v > $RATOON_OUTPUT; mkdir -p $(dirname $RATOON_OUTPUT)/x"))
        self.assertEqual(os.listdir(self.path(".ratoon", "work")), [])

    def test_E07_files_are_for_the_owner_alone(self):
        run = self.execute(self.stage("stat -c %a $RATOON_STATE $(dirname $RATOON_STATE)"))
        self.assertEqual(self.logs(run).stdout.split(), ["600", "700"])
        out = self.path(".ratoon", "output", run["id"], "s", "1.out")
        self.assertEqual(stat.S_IMODE(os.stat(out).st_mode), 0o600)

    def test_E07_on_end_sees_run_and_status(self):
        self.write("end.sh", "#!/bin/sh\necho $RATOON_RUN $RATOON_STATUS > ended\nexit 1\n", True)
        self.pipeline("on_end: ['./end.sh']\nstages:\n  - name: s\n    run: ['true']\n")
        result = self.run_ratoon("--json", "run", "p.yaml").expect_exit(0)
        with open(self.path("ended")) as file:
            self.assertEqual(file.read().split(), [result.json()["run"]["id"], "succeeded"])
        result.expect_stderr("on_end")


main()
