#!/usr/bin/env python3
"""Compares a model that the server of llama.cpp serves with the same file imported, and tries failures.

    cargo build --release --bin diffidence
    pip install xllamacpp                     # llama.cpp with its server, built for this kind of machine
    python3 benches/remote.py model.gguf [--data patches.jsonl] [--patches N] [--concurrency 1,4]

Starts the server on a free port of 127.0.0.1, adds it as a remote model, imports the same file with the
same prompt and room, and has `diffidence score` judge the same patches with both: the first N of a file of
JSON lines that are not too long, or five small ones from here. Prints how far their logits are apart and
the time of a patch, by the clock and of the processor for client and server together, for each number of
questions at once against a fresh server. llama.cpp rounds what it multiplies with blocks to 8 bits, and
Diffidence does not, so that quantised models differ a little.

Then what must fail is made to fail: an address where nothing listens, a wrong key and none, a patch that is
longer than the server takes, a path that it does not have, and a server that is stopped between two patches.
Each must end with an error that says so, and no score. Ends with status 1 if one does not, or if any patch
has no score.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Not the bench `typing` beside this one: libraries mean the module.
sys.path.pop(0)

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Bytes that a prompt may have for each token that the model has room for.
BYTES_PER_TOKEN = 3
# Other ways to start one import this file anew, which would take another folder off the path.
PROCESSES = multiprocessing.get_context("fork")
KEY = "a-key-for-this-test"
# Scored before the clock starts, since a model is loaded for the first patch.
FIRST = {"id": "first", "patch": "--- a/a.c\n+++ b/a.c\n@@ -1,1 +1,1 @@\n-int a;\n+int b;\n"}


def serve(model, folder, slots, context, threads, key, answer):
    """The server, in a process of its own: tells its address, and runs until it is killed."""
    with open(Path(folder) / "server.log", "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_parallel = slots
    parameters.n_ctx = context * slots
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.api_keys = [key] if key else []
    server = xllamacpp.Server(parameters)
    answer.send(server.listening_address)
    while True:
        time.sleep(3600)


class Engine:
    """The server of llama.cpp, while it is wanted."""

    def __init__(self, options, folder, slots=1, context=None, key=None):
        context = context or options.context
        here, there = PROCESSES.Pipe()
        arguments = (options.model, folder, slots, context, options.threads, key, there)
        self.process = PROCESSES.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        there.close()
        try:
            self.url = here.recv()
        except EOFError:
            log = (Path(folder) / "server.log").read_text(errors="replace")
            sys.exit(f"the server of llama.cpp did not start:\n{log[-2000:]}")
        if not self.url.startswith("http://127.0.0.1:"):
            self.stop()
            sys.exit(f"the server listens on {self.url}, and not on this machine only")

    def stop(self):
        self.process.kill()
        self.process.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Program:
    """Diffidence, with folders of its own."""

    def __init__(self, binary, folder):
        self.binary, self.data = binary, Path(folder) / "data"
        stated = {"DIFFIDENCE_DATA_DIR": str(self.data), "DIFFIDENCE_CACHE_DIR": str(Path(folder) / "cache")}
        self.environment = {**os.environ, **stated}

    def run(self, *arguments, **environment):
        command = [self.binary, *map(str, arguments)]
        environment = {**self.environment, **environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def must(self, *arguments, **environment):
        done = self.run(*arguments, **environment)
        if done.returncode != 0:
            sys.exit(f"`diffidence {' '.join(map(str, arguments))}` failed: {done.stderr}")

    def folder(self, name):
        return self.data / "models" / name

    def scorer(self, name, threads, **environment):
        command = [self.binary, "score", "--no-cache", "--threads", str(threads), "--model", self.folder(name)]
        environment = {**self.environment, **environment}
        return Scorer(subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        ))


class Scorer:
    """`diffidence score`, running."""

    def __init__(self, process):
        self.process = process

    def ask(self, record):
        """The answer; what is on standard error if the program has ended."""
        line = ""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(record) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": {"message": self.process.stderr.read()}}

    def close(self):
        """The exit code."""
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        return self.process.wait()


def small():
    """Five patches with two hunks each."""
    tasks = ["Count items that were removed, too.", None, "Log what is skipped.", "Rename `total`.", ""]
    for number, task in enumerate(tasks):
        hunks = "".join(
            f"@@ -{start},4 +{start},5 @@ def weigh_{start}(items):\n     total = {number}\n"
            f"     for item in items:\n-        total += item.weight\n"
            f"+        if item.removed != {number}:\n+            total += item.weight\n     return total\n"
            for start in (10, 50)
        )
        patch = f"--- a/shop/basket{number}.py\n+++ b/shop/basket{number}.py\n{hunks}"
        yield {"id": f"small-{number}", "patch": patch, "problem": task}


def prompt_bytes(options):
    return options.context * BYTES_PER_TOKEN


def records(options):
    """The patches, none so long that a part of it or of its task would be left out."""
    if options.data is None:
        return list(small())
    chosen, long = [], 0
    with open(options.data, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            record = {field: record.get(field) for field in ("id", "patch", "problem")}
            size = len(record["patch"].encode()) + len((record["problem"] or "").encode())
            if size > prompt_bytes(options) // 5:
                long += 1
            else:
                chosen.append(record)
            if len(chosen) == options.patches:
                break
    if not chosen:
        sys.exit(f"{options.data} holds no patch that is short enough for --context {options.context}")
    print(f"{len(chosen)} patches of {options.data}, {long} longer ones passed over")
    return chosen


def processor(process):
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def judge(name, scorer, patches, engine=None):
    """Scores all patches, tells how long they took, and returns the answers."""
    scorer.ask(FIRST)
    working = [it.process for it in (scorer, engine) if it]
    before = sum(map(processor, working))
    answers, seconds = [], []
    for record in patches:
        begun = time.perf_counter()
        answers.append(scorer.ask(record))
        seconds.append(time.perf_counter() - begun)
    work = sum(map(processor, working)) - before if scorer.process.poll() is None else float("nan")
    code = scorer.close()
    failures = [str(answer) for answer in answers if "error" in answer]
    if failures or code != 0:
        shown = "\n".join(failures[:5])
        sys.exit(f"{len(failures)} of {len(patches)} patches have no score, status {code}\n{shown}")
    print(
        f"{name}: {statistics.median(seconds):.2f} s a patch (median), {statistics.mean(seconds):.2f} s (mean), "
        f"{work / len(patches):.2f} s of processor time",
        flush=True,
    )
    return answers


def add(program, url, name, *more, **environment):
    fixed = ["model", "add-remote", f"{url}/v1", "--served", "any", "--name", name]
    return program.run(*fixed, *more, **environment)


def show(differences):
    high = differences[int(len(differences) * 0.95)]
    return f"{statistics.median(differences):.3f} (median), {high:.3f} (95 of 100), {differences[-1]:.3f} at most"


def show_differences(remote, local):
    """Of what both have read in full."""
    pairs = [pair for pair in zip(remote, local, strict=True) if not any(it["truncated"] for it in pair)]
    patches = [abs(one["logit"] - other["logit"]) for one, other in pairs]
    hunks = [
        abs(one["logit"] - other["logit"])
        for pair in pairs
        for one, other in zip(*(it["hunks"] for it in pair), strict=True)
    ]
    sides = sum((one["logit"] > 0) == (other["logit"] > 0) for one, other in pairs)
    print(f"  {len(remote)} patches scored, {len(pairs)} of them read in full by both")
    print(f"  logits of {len(patches)} patches differ by {show(sorted(patches))}; same side of 0: {sides}")
    print(f"  logits of {len(hunks)} hunks differ by {show(sorted(hunks))}", flush=True)


def compare(program, options, patches, folder):
    """Scores the patches with both models, never both at once."""
    program.must("model", "import", options.model, "--name", "local", "--context", options.context)
    local = judge("imported", program.scorer("local", options.threads), patches)
    for concurrency in options.concurrency:
        name = f"remote-{concurrency}"
        limits = ["--concurrency", concurrency, "--prompt-bytes", prompt_bytes(options), "--timeout", 900]
        with Engine(options, folder, slots=concurrency) as engine:
            added = add(program, engine.url, name, *limits)
            if added.returncode != 0:
                sys.exit(f"the model cannot be added: {added.stderr}")
            scorer = program.scorer(name, options.threads)
            remote = judge(f"remote, {concurrency} at once", scorer, patches, engine)
        show_differences(remote, local)


class Failures:
    """What must fail, and whether it did."""

    def __init__(self, program, options, folder):
        self.program, self.options, self.folder = program, options, folder
        self.wrong = 0

    def expect(self, what, code, said, *parts):
        """That a command failed and said all of `parts`, and no key."""
        fine = code not in (0, None) and all(part in said for part in parts) and KEY not in said
        self.wrong += not fine
        print(f"  {'as it must' if fine else 'WRONG'}: {what}: status {code}, {said.strip()}", flush=True)

    def cannot_add(self, what, url, parts, *more, **environment):
        done = add(self.program, url, "refused", "--attempts", 2, *more, **environment)
        self.expect(what, done.returncode, done.stdout + done.stderr, *parts)
        if self.program.folder("refused").exists():
            self.wrong += 1
            print("  WRONG: a model that cannot be asked was added all the same")

    def cannot_score(self, what, name, parts, record, between=None, **environment):
        """`between` is called once another patch has got its score."""
        scorer = self.program.scorer(name, self.options.threads, **environment)
        if between:
            if "logit" not in scorer.ask(FIRST):
                self.wrong += 1
                print(f"  WRONG: {what}: nothing was scored before that")
            between()
        answer = scorer.ask(record)
        said = answer.get("error", {}).get("message", f"no error, but {answer}")
        self.expect(what, scorer.close(), said, *parts)

    def add(self, engine, name, *more, **environment):
        done = add(self.program, engine.url, name, "--attempts", 2, *more, **environment)
        if done.returncode != 0:
            sys.exit(f"the model cannot be added: {done.stderr}")

    def addresses(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.cannot_add("nothing listens", f"http://127.0.0.1:{port}", [f":{port}/v1/", "refused"])
        with Engine(self.options, self.folder) as engine:
            self.cannot_add("no such path", f"{engine.url}/none", ["/none/v1/", "404"])

    def keys(self):
        named = ["--key-env", "BENCH_KEY"]
        with Engine(self.options, self.folder, key=KEY) as engine:
            self.cannot_add("no key", engine.url, ["401", "key"])
            self.cannot_add("a wrong key", engine.url, ["401", "key"], *named, BENCH_KEY=KEY + "x")
            self.add(engine, "keyed", *named, BENCH_KEY=KEY)
            self.cannot_score("a key that is wrong later", "keyed", ["401", "key"], FIRST, BENCH_KEY="x")
            self.cannot_score("a key that is not told", "keyed", ["BENCH_KEY", "key"], FIRST)

    def length(self):
        lines = "".join(f"+int number_{n} = {n};\n" for n in range(1000))
        patch = f"--- a/a.c\n+++ b/a.c\n@@ -1,1 +1,1001 @@\n int a;\n{lines}"
        with Engine(self.options, self.folder, context=1024) as engine:
            self.add(engine, "short")
            parts = ["400", "exceeds the available context size"]
            self.cannot_score("a patch that is too long", "short", parts, {"id": "long", "patch": patch})

    def stop(self):
        with Engine(self.options, self.folder) as engine:
            self.add(engine, "stopped")
            parts = [engine.url, "(2 tries)"]
            other = {**next(small()), "id": "other"}
            self.cannot_score("a server that stops", "stopped", parts, other, between=engine.stop)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--data", type=Path, help="JSON lines with `id`, `patch` and `problem`")
    parser.add_argument("--patches", type=int, default=20, help="of the data")
    parser.add_argument("--concurrency", default="1,4", help="questions at once, each number in turn")
    parser.add_argument("--context", type=int, default=8192, help="tokens of the longest prompt")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of either program")
    parser.add_argument("--program", type=Path, default=TARGET / "release" / "diffidence")
    options = parser.parse_args()
    options.concurrency = [int(number) for number in options.concurrency.split(",")]
    if not options.program.exists():
        sys.exit(f"{options.program} is not there: run `cargo build --release --bin diffidence` first")
    return options


def main():
    options = arguments()
    patches = records(options)
    with tempfile.TemporaryDirectory() as folder:
        program = Program(options.program, folder)
        compare(program, options, patches, folder)
        print("what must fail:")
        failures = Failures(program, options, folder)
        failures.addresses()
        failures.keys()
        failures.length()
        failures.stop()
    if failures.wrong:
        sys.exit(f"{failures.wrong} failures were not told as they must be")


if __name__ == "__main__":
    main()
