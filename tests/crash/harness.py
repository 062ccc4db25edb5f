"""What the scripts of the harnesses share: the build folder, and programs that run side by side."""

import os
import subprocess
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_folder():
    """BUILD, or build/release, built here."""
    folder = os.environ.get("BUILD")
    if folder is None:
        folder = os.path.join(SOURCE, "build", "release")
        for command in (
            ["cmake", "--preset", "release"],
            ["cmake", "--build", "--preset", "release", "-j", str(os.cpu_count())],
        ):
            subprocess.run(command, cwd=SOURCE, check=True, stdout=subprocess.DEVNULL)
    return os.path.abspath(folder)


def run_shares(program, work, shares, arguments):
    """Runs the program once for each share, in a folder of its own below `work`; the first that
    fails ends the others. Gives the lines that they say, and whether all went well."""
    outputs, processes = [], []
    for share in range(shares):
        folder = os.path.join(work, f"share-{share}")
        os.mkdir(folder)
        command = [program, "--folder", folder, "--share", f"{share}/{shares}", *arguments]
        outputs.append(tempfile.TemporaryFile("w+"))
        processes.append(subprocess.Popen(command, stdout=outputs[-1], text=True))
    while None in [process.poll() for process in processes]:
        if any(process.returncode for process in processes):
            for process in processes:
                process.terminate()
        time.sleep(0.1)
    lines = []
    for output in outputs:
        output.seek(0)
        lines += output.read().splitlines()
        output.close()
    return lines, all(process.returncode == 0 for process in processes)
