"""Runs the frozen trunk over the labelled records and caches what the heads are fitted on.

Start one process a core: that is faster than two threads. Each takes the next shard that nobody has
claimed; shards that exist are skipped, so it can be stopped and started again (remove `*.claim` first).
Matrix products are in bf16 here and in f32 when scoring: pooled states differ by less than 0.5%.
"""

import json
import time
from itertools import islice

import numpy as np
import torch

import features
from common import CONFIG, READOUTS, load_tokenizer, path, some
from datasets import DATASETS
from render import render
from trunk import Trunk, pool

SHARD = {"planted-train": 64}  # records in a shard; 256 for the others, which are shorter
BATCH_TOKENS = 6144
MAX_HUNKS = 16  # hunk pools are kept only for patches with at most so many
TRUNK = CONFIG["trunk"]


def forward(trunk, windows, readouts=READOUTS):
    """States [R, T, 576] of each window after the blocks `readouts`; windows of like length share a batch."""
    order = sorted(range(len(windows)), key=lambda n: len(windows[n]))
    states, at = [None] * len(windows), 0
    while at < len(order):
        batch = [order[at]]
        at += 1
        while at < len(order) and (len(batch) + 1) * len(windows[order[at]]) <= BATCH_TOKENS:
            batch.append(order[at])
            at += 1
        length = max(len(windows[n]) for n in batch)
        ids = torch.zeros(len(batch), length, dtype=torch.long)
        for row, n in enumerate(batch):
            ids[row, : len(windows[n])] = torch.tensor(windows[n])
        out = trunk.forward(ids, readouts).to(torch.float16).numpy()
        for row, n in enumerate(batch):
            states[n] = out[:, row, : len(windows[n])]
    return states


def shard(records, trunk, encode):
    rendered = [render(r["files"], r["problem"], encode, TRUNK["context"], TRUNK["task_tokens"], TRUNK["max_windows"]) for r in records]
    states = iter(forward(trunk, [w.ids for r in rendered for w in r.windows]))
    out = {key: [] for key in ("patch", "hunk", "read", "buckets", "counts", "terms")}
    meta = []
    for record, r in zip(records, rendered):
        patch, hunks, read = pool(r, [next(states).astype(np.float32) for _ in r.windows])
        kept = len(r.hunk_ends) <= MAX_HUNKS
        each = [features.only(f, h) for f in record["files"] for h in f.hunks]
        for file in each:
            c = features.counts([file])
            out["buckets"] += c.keys()
            out["counts"] += c.values()
            out["terms"].append(len(c))
        out["patch"].append(patch.astype(np.float16))
        if kept:
            out["hunk"].append(hunks.astype(np.float16))
            out["read"].append(read)
        keys = ("id", "task", "repo", "language", "policy", "source", "label", "hunk_labels", "target")
        meta.append({k: record.get(k) for k in keys} | {"hunks": len(each), "kept": kept, "tokens": r.tokens, "truncated": r.truncated})
    return meta, {
        "patch": np.stack(out["patch"]),
        "hunk": np.concatenate(out["hunk"]) if out["hunk"] else np.zeros((0, len(READOUTS), 5, 576), np.float16),
        "read": np.concatenate(out["read"]) if out["read"] else np.zeros(0, bool),
        "buckets": np.array(out["buckets"], np.int32),
        "counts": np.array(out["counts"], np.int32),
        "terms": np.array(out["terms"], np.int32),
    }


def claim(file):
    """Whether this process is the first to ask for it."""
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def main():
    torch.set_num_threads(1)
    folder = path("DIFFIDENCE_WORK") / "features"
    folder.mkdir(parents=True, exist_ok=True)
    trunk = Trunk(path("DIFFIDENCE_GGUF"), TRUNK["layers"], torch.bfloat16)
    encode = load_tokenizer()
    for name, dataset in DATASETS.items():
        records = some(dataset(), 16 if name.startswith("agent") else 2)  # whole tasks, pairs
        number = 0
        while batch := list(islice(records, SHARD.get(name, 256))):
            target = folder / f"{name}-{number:03}.npz"
            number += 1
            if target.exists() or not claim(target.with_suffix(".claim")):
                continue
            start = time.time()
            meta, arrays = shard(batch, trunk, encode)
            np.savez(target.with_suffix(".tmp.npz"), meta=np.array(json.dumps(meta)), **arrays)
            target.with_suffix(".tmp.npz").rename(target)
            n = sum(m["tokens"] for m in meta)
            print(f"{target.name} {len(meta)} records {n} tokens {n / (time.time() - start):.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main()
