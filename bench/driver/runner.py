"""What the runner costs a stage: a chain of stages that do nothing (`true`), against GNU make with
the same chain; and the items of one stage with `jobs: 2`, against xargs -P 2 and make -j 2. Every
stage and item of ours is durable on disk before the next begins, and has its output captured and
its own process group; the others record nothing."""

import os
import shutil
import subprocess
import time

FULL = 1000


def _version(command):
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.split("\n")[0]


def _timed(command, cwd, **more):
    started = time.monotonic()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **more)
    took = time.monotonic() - started
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-600:]}")
    return took


def _files(folder, count):
    with open(os.path.join(folder, "chain.yaml"), "w", encoding="utf-8") as f:
        f.write("pipeline: chain\nstages:\n")
        for i in range(count):
            f.write(f'  - {{name: s{i:04}, run: ["true"]}}\n')
    with open(os.path.join(folder, "items.yaml"), "w", encoding="utf-8") as f:
        f.write("pipeline: items\nstages:\n"
                '  - {name: list, run: ["sh", "list.sh"], produces: [names]}\n'
                '  - {name: work, foreach: names, jobs: 2, run: ["true"]}\n')
    with open(os.path.join(folder, "list.sh"), "w", encoding="utf-8") as f:
        names = ",".join(f'"i{i:04}"' for i in range(count))
        f.write(f"cat > \"$RATOON_OUTPUT\" <<'END'\n{{\"names\": [{names}]}}\nEND\n")
    with open(os.path.join(folder, "chain.mk"), "w", encoding="utf-8") as f:
        f.write(f"all: s{count - 1:04}\ns0000:\n\t@true\n")
        for i in range(1, count):
            f.write(f"s{i:04}: s{i - 1:04}\n\t@true\n")
    with open(os.path.join(folder, "items.mk"), "w", encoding="utf-8") as f:
        names = " ".join(f"i{i:04}" for i in range(count))
        f.write(f"names := {names}\nall: $(names)\n$(names):\n\t@true\n")
    with open(os.path.join(folder, "items.txt"), "w", encoding="utf-8") as f:
        f.write("".join(f"i{i:04}\n" for i in range(count)))


def measure(c):
    count = max(20, int(FULL * min(1.0, c.size.scale * 2)))
    folder = os.path.join(c.scratch, "runner")
    os.mkdir(folder)
    _files(folder, count)
    ratoon = os.path.join(c.build, "ratoon")
    # `true` is looked up, forked and executed by all of them; make would take a shell for less.
    commands = [
        ("chain", "ratoon", [ratoon, "run", "chain.yaml"]),
        ("chain", "make", ["make", "-s", "-f", "chain.mk"]),
        ("items", "ratoon", [ratoon, "run", "items.yaml"]),
        ("items", "make", ["make", "-s", "-j", "2", "-f", "items.mk"]),
        ("items", "xargs", ["xargs", "-a", "items.txt", "-P", "2", "-n", "1", "true"]),
    ]
    versions = {name: _version(name) for name in ("make", "xargs")}
    for repeat in range(c.size.repeat):
        for part, side, command in commands:
            shutil.rmtree(os.path.join(folder, ".ratoon"), ignore_errors=True)
            seconds = _timed(command, folder)
            c.sample("runner", part, side, repeat, {"stages" if part == "chain" else "items": count},
                     {"us_per_stage": seconds / count * 1e6, "seconds": seconds},
                     version=versions.get(side, _version(ratoon)))
    shutil.rmtree(folder)
