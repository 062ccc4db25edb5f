"""The large store: it grows from size to size, and at each is killed and opened, closed and opened,
and asked. Every opening is a process of its own."""

import os
import shutil
import signal
import subprocess

EVENTS_PER_RUN = 10  # about; bench/scale_bench.c says of what


class Store:
    def __init__(self, c):
        self.c = c
        self.dir = os.path.join(c.scratch, "scale")
        os.mkdir(self.dir)
        self.runs = 0

    def _run(self, repeat, *words):
        before = len(self.c.samples)
        self.c.lines([self.c.program("scale"), words[0], self.dir, *map(str, words[1:])])
        for s in self.c.samples[before:]:
            s["repeat"] = repeat

    def grow(self, runs, events, repeat, kill):
        """Appends runs; then the process is killed, or closes the store."""
        with subprocess.Popen([self.c.program("scale"), "build", self.dir, str(runs), str(events)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as p:
            lines = [p.stdout.readline(), p.stdout.readline()]
            if kill:
                p.send_signal(signal.SIGKILL)
            p.stdin.close()
            code = p.wait()
            if code != (-signal.SIGKILL if kill else 0) or not lines[1].startswith("{"):
                raise RuntimeError(f"building ended with {code}: {p.stderr.read()[-800:]}")
        self.runs += runs
        for line in lines:
            sample = self.c.parse(line)
            sample["repeat"] = repeat
            self.c.add(sample)

    def open(self, events, how, repeat):
        self._run(repeat, "open", events, how)

    def query(self, events, repeat, count):
        self._run(repeat, "query", events, count)

    def bytes(self, suffixes=None):
        total = 0
        for folder, _, names in os.walk(os.path.join(self.dir, "store")):
            for name in names:
                if suffixes is None or name.endswith(suffixes):
                    total += os.stat(os.path.join(folder, name)).st_blocks * 512
        return total

    def forget_pages(self):
        """Takes the store's files out of the page cache."""
        os.sync()
        for folder, _, names in os.walk(os.path.join(self.dir, "store")):
            for name in names:
                fd = os.open(os.path.join(folder, name), os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)


def measure(c):
    store = Store(c)
    extra = max(100, int(20_000 * c.size.scale))  # runs that are appended before each kill
    count = max(20, int(5000 * c.size.scale))
    for events in c.size.scale_points:
        c.say(f"a store of {events} events …")
        store.grow(max(1, events // EVENTS_PER_RUN - store.runs), events, 0, kill=False)
        for repeat in range(c.size.repeat):
            store.grow(extra, events, repeat, kill=True)
            store.open(events, "killed", repeat)
            store.open(events, "clean", repeat)
            store.query(events, repeat, count)
        for repeat in range(c.size.repeat):
            store.forget_pages()
            store.open(events, "clean, page cache empty", repeat)
        per_event = store.bytes() / (store.runs * EVENTS_PER_RUN)
        tables = store.bytes((".sst", ".blob")) / (store.runs * EVENTS_PER_RUN)
        c.sample("scale", "size", "ratoon", 0, {"events": events},
                 {"bytes_per_event": per_event, "table_bytes_per_event": tables})
    shutil.rmtree(store.dir)
