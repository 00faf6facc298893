#!/usr/bin/env python3
"""Latency and throughput of `diffidence serve` for 1, 8 and 64 clients at once, with the bundled model.

Starts the release binary on loopback, lets each client send one patch after the other, and prints a
table: new patches, that the model computes, and the same patches again, that are remembered. Needs
python3 and `cargo build --release`; run it as `python3 benches/serve.py`.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "diffidence"
CLIENTS = (1, 8, 64)
# Patches at each level, so that every client sends some.
PATCHES = 64
TASK = "`weigh` must not count items that were taken out of the basket, and must say what it skipped."


def hunk(start, name, seed):
    """Twelve lines, four of them changed."""
    return (
        f"@@ -{start},6 +{start},8 @@ def {name}(items, limit):\n"
        f"     total = 0\n"
        f"     for index, item in enumerate(items):\n"
        f"-        if index >= limit:\n"
        f"+        if index >= limit or item.removed:\n"
        f"+            logger.debug('skipped %s in {name} {seed}', item)\n"
        f"             continue\n"
        f"+        seen_{seed} = index\n"
        f"         total += item.weight\n"
        f"     return total\n"
    )


def patch(seed):
    """A change of three functions in a file, another for each seed."""
    hunks = "".join(hunk(10 + 40 * n, f"weigh_{n}", f"{seed}_{n}") for n in range(3))
    return f"--- a/shop/basket.py\n+++ b/shop/basket.py\n{hunks}"


class Client(threading.Thread):
    """Sends its patches one after the other on one connection."""

    def __init__(self, address, seeds, begin):
        super().__init__()
        self.address, self.seeds, self.begin = address, seeds, begin
        self.times, self.tokens, self.failure = [], 0, None

    def run(self):
        try:
            connection = http.client.HTTPConnection(self.address, timeout=600)
            connection.connect()
            self.begin.wait()
            for seed in self.seeds:
                body = json.dumps({"patch": patch(seed), "problem": TASK})
                begun = time.perf_counter()
                connection.request("POST", "/v1/score", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read())
                self.times.append(time.perf_counter() - begun)
                if response.status != 200 or "probability" not in answer:
                    raise RuntimeError(f"{response.status}: {answer}")
                self.tokens = answer["tokens"]
        except Exception as failure:
            self.failure = failure


def measure(address, clients, run):
    """Seconds of each request, patches in a second, and tokens of a patch."""
    begin = threading.Barrier(clients + 1)
    seeds = [f"{run}_{number}" for number in range(PATCHES)]
    crowd = [Client(address, seeds[n::clients], begin) for n in range(clients)]
    for client in crowd:
        client.start()
    begin.wait()
    begun = time.perf_counter()
    for client in crowd:
        client.join()
    seconds = time.perf_counter() - begun
    for client in crowd:
        if client.failure:
            sys.exit(f"a request failed: {client.failure!r}")
    return sorted(t for client in crowd for t in client.times), PATCHES / seconds, crowd[0].tokens


def show(times, rate):
    middle, high = statistics.median(times), times[int(len(times) * 0.95)]
    digits = 0 if middle > 0.1 else 1
    return f"{middle * 1000:.{digits}f} ms ({high * 1000:.{digits}f}) | {rate:.1f}/s"


def main():
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: run `cargo build --release` first")
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [BINARY, "serve", "--port", "0", "--timeout", "600"],
            env={**os.environ, "DIFFIDENCE_CACHE_DIR": folder, "DIFFIDENCE_DATA_DIR": folder},
            stdout=subprocess.PIPE, text=True,
        )
        try:
            model, address = server.stdout.readline().strip().split(" listens on http://")
            rows = []
            for clients in CLIENTS:
                new, rate, tokens = measure(address, clients, clients)
                again, again_rate, _ = measure(address, clients, clients)
                rows.append(f"| {clients} | {show(new, rate)} | {show(again, again_rate)} |")
            with open(f"/proc/{server.pid}/status") as status:
                peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        finally:
            server.terminate()
            server.wait()
    print(f"{model}, {PATCHES} patches of 12 changed lines in 3 hunks, {tokens} tokens with the task, "
          f"{os.cpu_count()} cores, median (p95); peak memory {int(peak) / 1024:.0f} MiB\n")
    print("| clients | a new patch | patches | remembered | patches |\n|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
