#!/usr/bin/env python3
"""How fast the release binary answers an editor: while typing, after a restart, after a commit.

Each key is a `didChange` and a `codeLens` request; the time is that from writing both to the
answer, in a file of 3,000 lines with the bundled model scoring all the while. Then a file that
was scored before is opened in a new server, committed in a terminal, and at last the editor is
killed. Needs python3, git and `cargo build --release`; run it as `python3 benches/typing.py`. Ends
with 1 if the server publishes anything but the last version, loads the model without need, or is
not scoring while the keys come.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from editor import BINARY, Editor, git

LINES = 3_000
KEYS = 200
# Between two keys: a fast typist's 100 words a minute are 120 ms.
PAUSE = 0.02
RUNS = 7


def line(number, seed=""):
    return f"    total_{number} = weigh(items[{number}], limit={number % 13}){seed}\n"


def changed(seed, step):
    """The text with every so many lines changed."""
    return "".join(line(n, f"  # {seed}" if n % step == 0 else "") for n in range(LINES))


def echo(process, content):
    """Seconds until a program that only echoes has given the bytes back."""
    begin = time.perf_counter()
    process.stdin.write(content)
    process.stdin.flush()
    process.stdout.read(len(content))
    return time.perf_counter() - begin


def typing(folder, repo):
    """Seconds of each key and of an echo beside it, and how many keys came during scoring."""
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    editor = Editor(folder, settings={"minScore": 0.99})
    target = repo / "typed.py"
    editor.open(target, changed("typed", 100))
    for number in range(8):
        editor.open(repo / f"other{number}.py", changed(f"other {number}", 60))
    editor.until(lambda: "scoring" in editor.statuses, "scoring")
    seconds, echoes, busy = [], [], 0
    for key in range(KEYS):
        place = {"line": 1500, "character": key}
        begin = time.perf_counter()
        editor.change(target, [{"range": {"start": place, "end": place}, "text": "x"}])
        number = editor.ask("textDocument/codeLens", {"textDocument": {"uri": target.as_uri()}})
        arrived, _ = editor.answer(number)
        seconds.append(arrived - begin)
        busy += editor.statuses[-1] == "scoring"
        time.sleep(PAUSE)
        echoes.append(echo(cat, b"x" * 600))
        time.sleep(PAUSE)
    cat.kill()
    editor.until(lambda: editor.publications(target), "a publication")
    editor.quiet(2)
    versions = [params["version"] for _, params in editor.publications(target)]
    last = editor.versions[target]
    text = editor.request("diffidence/text", {"uri": target.as_uri()})
    editor.goodbye()
    if text["version"] != last or "x" * KEYS not in text["text"]:
        sys.exit(f"the server has version {text['version']}, typed up to {last}")
    if versions != [last]:
        sys.exit(f"published versions {versions}, typed up to {last}")
    if busy < KEYS * 0.95:
        sys.exit(f"the model was busy at {busy} of {KEYS} keys only")
    return seconds, echoes, busy


def scored(title):
    return title is not None and "likely correct" in title


def restarted(folder, repo):
    """Seconds from opening a file that is remembered, and from starting the server, to its lens."""
    target = repo / "typed.py"
    text = changed("remembered", 100)
    target.write_text(text)
    editor = Editor(folder)
    editor.open(target, text)
    editor.until_lens(target, scored)
    editor.goodbye()
    opened, started = [], []
    for _ in range(RUNS):
        start = time.perf_counter()
        editor = Editor(folder)
        begin = time.perf_counter()
        editor.open(target, text)
        editor.until_lens(target, scored)
        end = time.perf_counter()
        if "loading" in editor.statuses:
            sys.exit("the model was loaded for a score that is remembered")
        editor.goodbye()
        opened.append(end - begin)
        started.append(end - start)
    return opened, started


def committed(folder, repo):
    """Seconds from the end of `git commit` and of `git reset` to the lens that follows."""
    target = repo / "typed.py"
    text = target.read_text()
    editor = Editor(folder)
    editor.open(target, text)
    editor.until_lens(target, scored)
    cleared, back = [], []
    for _ in range(RUNS):
        for times, wanted, command in [
            (cleared, lambda title: title is None, ["commit", "-qam", "x"]),
            (back, scored, ["reset", "-q", "--soft", "HEAD~1"]),
        ]:
            git(repo, *command)
            begin = time.perf_counter()
            editor.until_lens(target, wanted)
            times.append(time.perf_counter() - begin)
    editor.goodbye()
    return cleared, back


def killed(folder):
    """Seconds from the death of the editor's process, whose pipes stay open, to the server's."""
    seconds = []
    for _ in range(RUNS):
        client = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        editor = Editor(folder, process=client.pid)
        os.kill(client.pid, signal.SIGKILL)
        client.wait()
        begin = time.perf_counter()
        editor.process.wait()
        seconds.append(time.perf_counter() - begin)
    return seconds


def show_keys(what, seconds, bar):
    p95 = statistics.quantiles(seconds, n=20)[-1]
    print(f"| {what}, p95 (slowest) | {p95 * 1000:.1f} ms ({max(seconds) * 1000:.1f}) | {bar} |")


def show(what, seconds, bar):
    middle, slowest = statistics.median(seconds), max(seconds)
    print(f"| {what} | {middle * 1000:.0f} ms ({slowest * 1000:.0f}) | {bar} |")


def main():
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: run `cargo build --release` first")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        repo = folder / "repo"
        repo.mkdir()
        git(repo, "init", "-q")
        for name in ["typed", *(f"other{number}" for number in range(8))]:
            (repo / f"{name}.py").write_text(changed("", LINES + 1))
        git(repo, "add", "-A")
        git(repo, "commit", "-qm", "base")
        keys, echoes, busy = typing(folder, repo)
        opened, started = restarted(folder, repo)
        cleared, back = committed(folder, repo)
        gone = killed(folder)
        print(f"{os.cpu_count()} cores; {KEYS} keys in a file of {LINES} lines, {busy} of them "
              f"while the model was scoring; the others median (slowest) of {RUNS}\n")
        print("| what | time | bar |\n|---|---|---|")
        show_keys("a key", keys, "5 ms")
        show_keys("as many bytes through `cat`, between the keys", echoes, "")
        show("remembered file opened after a restart, until its lens", opened, "50 ms")
        show("the same from the start of the server", started, "")
        show("`git commit` until the lens is gone", cleared, "1 s")
        show("`git reset` until the lens is back", back, "1 s")
        show("killed editor until the server is gone", gone, "5 s")


if __name__ == "__main__":
    main()
