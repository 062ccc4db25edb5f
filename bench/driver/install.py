"""Installs what only the benchmarks need: Debian packages by apt-get, workflow engines by npm into
bench/.peers (ignored by git). What can't be had is noted; nothing here is fatal."""

import os
import shutil
import subprocess

from .context import ROOT

PACKAGES = {  # package -> the file that shows it is there
    "libsqlite3-dev": "/usr/include/sqlite3.h",
    "liblmdb-dev": "/usr/include/lmdb.h",
    "libpq-dev": "/usr/include/postgresql/libpq-fe.h",
    "postgresql-15": "/usr/lib/postgresql/15/bin/postgres",
}


def _run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, **more)


def packages(say):
    """Gives why some are missing, or None."""
    missing = [p for p, path in PACKAGES.items() if not os.path.exists(path)]
    if not missing or shutil.which("apt-get") is None:
        return f"not a Debian system; missing: {' '.join(missing)}" if missing else None
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    say(f"installing {' '.join(missing)}")
    environment = prefix + ["env", "DEBIAN_FRONTEND=noninteractive"]
    install = environment + ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "install",
                             "--no-install-recommends"] + missing
    try:
        done = _run(install)
        if done.returncode != 0:  # old package lists
            _run(environment + ["apt-get", "-q", "update"])
            done = _run(install)
    except OSError as error:
        return str(error)
    return done.stderr.strip()[-300:] if done.returncode != 0 else None


def engines(c):
    """Restate and DBOS. Gives why not, or None."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "node and npm are not installed"
    os.makedirs(c.peers_dir, exist_ok=True)
    ours = os.path.join(ROOT, "bench", "peers")
    for name in os.listdir(ours):
        shutil.copy(os.path.join(ours, name), c.peers_dir)
    done_mark = os.path.join(c.peers_dir, ".installed")
    with open(os.path.join(ours, "package.json"), encoding="utf-8") as f:
        wanted = f.read()
    if os.path.exists(done_mark):
        with open(done_mark, encoding="utf-8") as f:
            if f.read() == wanted:
                return None
    c.say("installing Restate and DBOS into bench/.peers")
    try:
        done = _run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock",
                     "--ignore-scripts"], cwd=c.peers_dir, timeout=300)
    except subprocess.TimeoutExpired:
        return "npm install did not end within 300 s"
    if done.returncode != 0:
        return done.stderr.strip()[-300:]
    with open(done_mark, "w", encoding="utf-8") as f:
        f.write(wanted)
    return None


def everything(c):
    why = engines(c)
    if why:
        c.absent["restate"] = c.absent["dbos"] = why
