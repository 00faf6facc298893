#!/usr/bin/env python3
"""Time and memory of the release binary on a one-file change in a repository of 5,000 files.

Makes a repository in a temporary folder, changes 60 lines of one file in six hunks, and prints a
table: a cold `check` (model load and score), a warm rescoring in a running process, both without
and with a description of the task, which the trunk reads the patch with, and a cached `check`. Needs python3, git and `cargo build --release`; run it as `python3 benches/latency.py`.
Each figure is the median of several runs, with the slowest in brackets.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "diffidence"
FILES = 5_000
RUNS = 7
TASK = "Weights are wrong after a restart\n\n" + "The total counts items past the limit, and empty ones. " * 8


def git(repo, *args):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", repo, "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run([*command, *args], check=True, env=environment, stdout=subprocess.DEVNULL)


def function(name, step):
    return (
        f"def {name}(items, limit={step}):\n"
        f"    total = 0\n"
        f"    for index, item in enumerate(items):\n"
        f"        if index >= limit or item is None:\n"
        f"            continue\n"
        f"        total += item.weight * {step} + index\n"
        f"    logger.debug('{name} of %d items is %d', len(items), total)\n"
        f"    return total\n\n\n"
    )


def make_repository(repo):
    git(repo, "init", "-q")
    for number in range(FILES):
        folder = Path(repo, f"package{number % 50:02}", f"module{number % 7}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number:04}.py").write_text(function(f"weigh_{number}", number % 13 + 1))
    target = Path(repo, "changed.py")
    target.write_text("".join(function(f"part_{n}", n) for n in range(30)))
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "base")
    return target


def edit(target, seed):
    """Changes 60 lines, ten in each of six places: five removed and five added."""
    lines = target.read_text().splitlines(keepends=True)
    for place in range(6):
        at = place * 50 + 1
        for line in range(at, at + 5):
            lines[line] = lines[line].rstrip("\n") + f"  # revised {seed} {line}\n"
    target.write_text("".join(lines))


def check(repo, cache, *flags):
    """Seconds and peak MiB of one `check`."""
    environment = {**os.environ, "DIFFIDENCE_CACHE_DIR": str(cache)}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [BINARY, "check", "-C", repo, "--format", "json", *flags],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):
        sys.exit(f"check ended with {code}: {err.decode()}")
    report = json.loads(out)
    scored = [file for file in report["files"] if file["outcome"] == "scored"]
    if len(scored) != 1:
        sys.exit(f"expected one scored file, got {report['files']}")
    return seconds, usage.ru_maxrss / 1024, scored[0]


def warm(repo, target, task=None):
    """Seconds for each further patch in a process that has the model loaded."""
    process = subprocess.Popen(
        [BINARY, "score", "--no-cache", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    times = []
    for run in range(RUNS + 1):
        git(repo, "checkout", "-q", "--", ".")
        edit(target, f"warm{run}")
        patch = subprocess.run(["git", "-C", repo, "diff"], capture_output=True, check=True).stdout
        line = json.dumps({"id": run, "patch": patch.decode(), "problem": task}).encode() + b"\n"
        begin = time.perf_counter()
        process.stdin.write(line)
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        times.append(time.perf_counter() - begin)
        if "error" in answer:
            sys.exit(f"score failed: {answer['error']}")
    process.stdin.close()
    process.wait()
    return times[1:]


def show(what, seconds, bar):
    middle, slowest = statistics.median(seconds), max(seconds)
    print(f"| {what} | {middle * 1000:.0f} ms ({slowest * 1000:.0f}) | {bar} |")


def main():
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: run `cargo build --release` first")
    with tempfile.TemporaryDirectory() as folder:
        repo, cache, task = Path(folder, "repo"), Path(folder, "cache"), Path(folder, "task.md")
        repo.mkdir()
        task.write_text(TASK)
        target = make_repository(repo)
        edit(target, "cold")
        cold = [check(repo, cache, "--no-cache") for _ in range(RUNS)]
        with_task = [check(repo, cache, "--no-cache", "--task", task) for _ in range(RUNS)]
        check(repo, cache)
        cached = [check(repo, cache) for _ in range(RUNS)]
        if not all(scored["cached"] for _, _, scored in cached):
            sys.exit("a repeated check was not answered from the cache")
        clean_begin = time.perf_counter()
        subprocess.run(["git", "-C", repo, "status", "--porcelain"], stdout=subprocess.DEVNULL)
        git_status = time.perf_counter() - clean_begin
        scored = with_task[0][2]
        changed = sum(len(hunk["changed"]) for hunk in scored["hunks"])
        print(f"{FILES + 1} files, {changed} changed lines in {len(scored['hunks'])} hunks, "
              f"{scored['tokens']} tokens, {os.cpu_count()} cores, median (slowest) of {RUNS}; "
              f"`git status` takes {git_status * 1000:.0f} ms here\n")
        print("| what | time | bar |\n|---|---|---|")
        show("cold check: status, diff, model load, score", [s for s, _, _ in cold], "3 s")
        show("the same with a task", [s for s, _, _ in with_task], "3 s")
        show("warm rescoring of the file", warm(repo, target), "1 s")
        show("the same with a task", warm(repo, target, TASK), "1 s")
        show("cached check of the whole work tree", [s for s, _, _ in cached], "50 ms")
        print(f"| peak memory of the cold check, with a task | {max(m for _, m, _ in with_task):.0f} MiB | 600 MiB |")


if __name__ == "__main__":
    main()
