"""The machine and the program that a result belongs to."""

import os
import platform
import subprocess
import time


def _command(*arguments):
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=20)
        return done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _cpu():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def _filesystem(path):
    best = ("", "unknown")
    with open("/proc/mounts", encoding="utf-8") as f:
        for line in f:
            _, mount, kind = line.split()[:3]
            if os.path.realpath(path).startswith(mount) and len(mount) >= len(best[0]):
                best = (mount, kind)
    return best[1]


def _memory_mib():
    with open("/proc/meminfo", encoding="utf-8") as f:
        return int(f.readline().split()[1]) // 1024


def describe(root, scratch):
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_mib": _memory_mib(),
        "filesystem": _filesystem(scratch),
        "kernel": platform.release(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "commit": _command("git", "-C", root, "rev-parse", "--short", "HEAD"),
        "changed_files": len(_command("git", "-C", root, "status", "--porcelain",
                                      "--untracked-files=no").splitlines()),
        "compiler": _command("cc", "--version").split("\n")[0],
    }
