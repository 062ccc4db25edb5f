"""A PostgreSQL of our own: a fresh cluster in the run's folder, on a Unix socket only, with the
server's own settings but for the number of connections and 256 MB of buffers. It runs as an
unprivileged user where we are root, because the server refuses to be root's."""

import glob
import os
import pwd
import shutil
import subprocess


def binaries():
    """The folder of the newest server's programs, or None."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"),
                   key=lambda p: int(p.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    path = shutil.which("postgres")
    return os.path.dirname(os.path.realpath(path)) if path else None


class Server:
    """Runs while it is entered. why_not: None, or why there is none."""

    def __init__(self, folder):
        self.bin = binaries()
        self.folder = os.path.join(folder, "pg")
        self.process = None
        self.prefix = []
        self.why_not = None

    def _as_user(self, user):
        if os.geteuid() == 0:
            self.prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                           "--clear-groups"]

    def __enter__(self):
        try:
            self._start()
        except (OSError, KeyError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None)
            self.why_not = f"no server could be started: {error} {said.decode() if said else ''}"
            self.__exit__()
        return self

    def _start(self):
        if self.bin is None:
            raise FileNotFoundError("PostgreSQL is not installed (package postgresql-15)")
        os.mkdir(self.folder, 0o700)
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                user = pwd.getpwnam("nobody")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user(user)
        data = os.path.join(self.folder, "data")
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", check=True)
        subprocess.run(self.prefix + [f"{self.bin}/initdb", "-D", data, "-A", "trust", "-U",
                                      "bench", "-E", "UTF8", "--no-locale"], **quiet)
        subprocess.run(self.prefix + [
            f"{self.bin}/pg_ctl", "-D", data, "-w", "-t", "60", "-l", f"{self.folder}/log", "-o",
            f"-c listen_addresses='' -k {self.folder} -c max_connections=200 "
            "-c shared_buffers=256MB", "start"], **quiet)
        self.process = data
        subprocess.run(self.prefix + [f"{self.bin}/createdb", "-h", self.folder, "-U", "bench",
                                      "bench"], **quiet)

    @property
    def conninfo(self):
        return f"host={self.folder} user=bench dbname=bench"

    @property
    def url(self):
        host = self.folder.replace("/", "%2F")
        return f"postgresql://bench@{host}/bench"

    def __exit__(self, *error):
        if self.process:
            subprocess.run(self.prefix + [f"{self.bin}/pg_ctl", "-D", self.process, "-m",
                                          "immediate", "-w", "stop"], cwd="/", check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.process = None
        return False
