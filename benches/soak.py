#!/usr/bin/env python3
"""Ten minutes of editing, committing and reverting 20 files, against the release binary.

Random edits, saves, commits, checkouts, resets, stashes, closings and openings come in bursts.
After each burst, when the server is quiet, every open document must show what a fresh
`diffidence check --no-cache` says of the same texts (the same low hunks at the same lines, the
same score), and the server must use no processor time from 2 s of quiet on. At the end its memory
must be within 10% of that after the first minute. Needs python3, git and `cargo build --release`;
run it as `python3 benches/soak.py [--minutes N] [--seed N]`. Ends with 1 if something does not hold.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from editor import BINARY, Editor, environment, git

FILES = 20
MIN_SCORE = 0.35
# Longer than the pause in typing after which a file is scored (`debounceMs`).
QUIET = 2.0
WORDS = ["if", "return", "total", "index", "None", "items", "not", "limit", "+ 1", "😀", "é", "=="]


def line_of(dice):
    return "    " + " ".join(dice.choice(WORDS) for _ in range(dice.randint(1, 8)))


class File:
    """One file: what the buffer holds, and whether it is open."""

    def __init__(self, path, newline):
        self.path = path
        self.newline = newline
        self.text = ""
        self.is_open = False

    def on_disk(self):
        return self.path.read_bytes().decode() if self.path.exists() else None

    def lines(self):
        return self.text.split(self.newline)


class Soak:
    def __init__(self, folder, seed):
        self.folder = folder
        self.dice = random.Random(seed)
        self.repo = folder / "repo"
        self.repo.mkdir()
        # A build meanwhile must not change what is tested.
        self.binary = Path(shutil.copy(BINARY, folder / "diffidence"))
        git(self.repo, "init", "-q", "-b", "main")
        git(self.repo, "config", "core.autocrlf", "false")
        self.files = []
        for number in range(FILES):
            file = File(self.repo / f"file{number:02}.py", "\r\n" if number % 5 == 0 else "\n")
            body = [f"def part_{number}_{n}(items):{file.newline}{line_of(self.dice)}"
                    for n in range(self.dice.randint(10, 40))]
            file.text = file.newline.join(body) + file.newline
            if number % 6:
                file.path.write_bytes(file.text.encode())
            self.files.append(file)
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-qm", "base")
        for file in self.files:
            file.path.write_bytes(file.text.encode())
        self.editor = Editor(folder, self.binary, {"minScore": MIN_SCORE})
        self.counts = {}
        self.commits = 1
        self.checked = self.scored = self.low = 0
        self.problems = []
        self.ticks = []
        for _ in self.files:
            self.open()

    # What happens

    def step(self):
        actions = [(self.edit, 60), (self.save, 12), (self.commit, 3), (self.checkout, 5),
                   (self.reset, 2), (self.stash, 1), (self.amend, 1), (self.close, 3),
                   (self.open, 15)]
        acts, weights = zip(*actions)
        act = self.dice.choices(acts, weights)[0]
        if act():
            self.counts[act.__name__] = self.counts.get(act.__name__, 0) + 1

    def any_file(self, is_open):
        fitting = [file for file in self.files if file.is_open == is_open]
        return self.dice.choice(fitting) if fitting else None

    def open(self):
        file = self.any_file(False)
        if file is None:
            return False
        file.text = file.on_disk() or ""
        file.is_open = True
        self.editor.open(file.path, file.text)
        return True

    def close(self):
        file = self.any_file(True)
        if file is None:
            return False
        file.is_open = False
        self.editor.close(file.path)
        return True

    def edit(self):
        """Replaces, adds or removes some lines, as a range in UTF-16 positions."""
        file = self.any_file(True)
        if file is None:
            return False
        lines = file.lines()
        first = self.dice.randrange(len(lines))
        last = min(len(lines) - 1, first + self.dice.choice([0, 0, 0, 1, 3]))
        count = self.dice.choice([0, 1, 1, 1, 2, 5]) if len(lines) < 150 else 0
        new = file.newline.join(line_of(self.dice) for _ in range(count))
        end = len(lines[last].encode("utf-16-le")) // 2
        self.editor.change(file.path, [{
            "range": {"start": {"line": first, "character": 0},
                      "end": {"line": last, "character": end}},
            "text": new,
        }])
        file.text = file.newline.join([*lines[:first], new, *lines[last + 1:]])
        return True

    def save(self):
        file = self.any_file(True)
        if file is None:
            return False
        file.path.write_bytes(file.text.encode())
        self.editor.save(file.path)
        return True

    def commit(self):
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-qm", "x", "--allow-empty")
        self.commits += 1
        return True

    def amend(self):
        git(self.repo, "commit", "-qa", "--amend", "-m", "y", "--allow-empty")
        return True

    def reset(self):
        if self.commits < 2:
            return False
        self.commits -= 1
        git(self.repo, "reset", "-q", self.dice.choice(["--soft", "--mixed"]), "HEAD~1")
        return True

    def stash(self):
        """There and back: every file of the work tree is written twice."""
        git(self.repo, "stash", "-q", "--include-untracked")
        if subprocess.run(["git", "-C", self.repo, "rev-parse", "-q", "--verify", "stash"],
                          stdout=subprocess.DEVNULL).returncode == 0:
            git(self.repo, "stash", "pop", "-q")
        return True

    def checkout(self):
        """Takes a file back to HEAD; an open editor reads it again."""
        file = self.dice.choice(self.files)
        known = subprocess.run(["git", "-C", self.repo, "cat-file", "-e", f"HEAD:{file.path.name}"],
                               stderr=subprocess.DEVNULL)
        if known.returncode != 0:
            return False
        git(self.repo, "checkout", "-q", "HEAD", "--", file.path.name)
        if file.is_open:
            file.text = file.on_disk()
            self.editor.change(file.path, [{"text": file.text}])
            self.editor.save(file.path)
        return True

    # What must hold

    def shown(self, file):
        """The score of the lens and the places of the diagnostics, 1-based first lines."""
        title = self.editor.lens(file.path)
        score = re.match(r"(\d+)%", title or "")
        published = self.editor.publications(file.path)
        diagnostics = published[-1][1]["diagnostics"] if published else []
        if diagnostics and published[-1][1]["version"] != self.editor.versions[file.path]:
            self.problem(f"{file.path.name}: diagnostics of version "
                         f"{published[-1][1]['version']} of {self.editor.versions[file.path]}")
        places = sorted(d["range"]["start"]["line"] + 1 for d in diagnostics)
        return (int(score[1]) if score else title), places

    def compare(self):
        """Puts the buffers on the disk without a word to the server, and asks a fresh process."""
        shown = {file.path.name: self.shown(file) for file in self.files if file.is_open}
        for file in self.files:
            if file.is_open:
                file.path.write_bytes(file.text.encode())
        check = subprocess.run(
            [self.binary, "check", "-C", self.repo, "--format", "json", "--no-cache",
             "--min-score", str(MIN_SCORE)],
            env=environment(self.folder), capture_output=True,
        )
        if check.returncode not in (0, 1):
            sys.exit(f"check ended with {check.returncode}: {check.stderr.decode()}")
        report = {file["path"]: file for file in json.loads(check.stdout)["files"]}
        for file in self.files:
            if not file.is_open:
                published = self.editor.publications(file.path)
                if published and published[-1][1]["diagnostics"]:
                    self.problem(f"{file.path.name} is closed and has diagnostics")
                continue
            name = file.path.name
            self.checked += 1
            score, places = shown[name]
            self.scored += isinstance(score, int)
            self.low += bool(places)
            expected = report.get(name)
            scored = expected and expected["outcome"] == "scored"
            expected_score = round(expected["probability"] * 100) if scored else None
            hunks = expected["hunks"] if scored else []
            certain = {h["first_line"] for h in hunks if h["probability"] < MIN_SCORE - 0.005}
            possible = {h["first_line"] for h in hunks if h["probability"] < MIN_SCORE + 0.005}
            same_score = score == expected_score or (
                isinstance(score, int) and scored and abs(score - expected_score) <= 1)
            if not same_score:
                self.problem(f"{name}: shows {score!r}, a fresh process says {expected_score!r}")
            if not certain <= set(places) <= possible or len(set(places)) != len(places):
                self.problem(f"{name}: diagnostics at {places}, a fresh process: {sorted(possible)}")
        with self.editor.news:
            self.editor.published = latest(self.editor.published)

    def problem(self, text):
        self.problems.append(text)
        print(f"PROBLEM: {text}", flush=True)

    def idle(self):
        """Ticks of processor time in the second after 2 s of quiet."""
        self.editor.quiet(QUIET)
        before = self.editor.cpu_ticks()
        time.sleep(1)
        ticks = self.editor.cpu_ticks() - before
        self.ticks.append(ticks)
        if ticks > 0:
            self.problem(f"{ticks} ticks in a second of quiet")

    def run(self, minutes):
        begin = time.perf_counter()
        first = None
        bursts = 0
        while time.perf_counter() - begin < minutes * 60:
            burst_end = time.perf_counter() + 10
            while time.perf_counter() < burst_end:
                self.step()
                time.sleep(self.dice.choice([0, 0.01, 0.05, 0.2, 1.0]))
            self.idle()
            self.compare()
            self.editor.quiet(QUIET)
            bursts += 1
            last = self.editor.resident_mib()
            if first is None and time.perf_counter() - begin >= 60:
                first = last
            print(f"{time.perf_counter() - begin:5.0f} s  {last:6.1f} MiB  "
                  f"{sum(file.is_open for file in self.files):2} open  "
                  f"{self.checked:4} compared  {self.scored:4} scored  {self.low:4} low  {len(self.problems)} problems", flush=True)
        first = first or last
        self.editor.goodbye()
        growth = last / first - 1
        if growth > 0.10:
            self.problem(f"memory grew by {growth:.1%}")
        done = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        print(f"\n{minutes:g} minutes, {bursts} quiescent points, {done}\n")
        print("| what | found | bar |\n|---|---|---|")
        print(f"| documents that show something else than a fresh `check` | "
              f"{len(self.problems)} problems in {self.checked} comparisons, {self.scored} with a score, "
              f"{self.low} with diagnostics | 0 |")
        print(f"| memory after a minute, at the end | {first:.0f} MiB, {last:.0f} MiB "
              f"({growth:+.1%}) | +10% |")
        print(f"| processor time in a second after 2 s of quiet, most of {len(self.ticks)} | "
              f"{max(self.ticks) * 10} ms | 0 |")


def latest(published):
    """The last publication of each document; the client has no use for the others."""
    return list({params["uri"]: (at, params) for at, params in published}.values())


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: run `cargo build --release` first")
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), arguments.seed)
        soak.run(arguments.minutes)
    sys.exit(1 if soak.problems else 0)


if __name__ == "__main__":
    main()
