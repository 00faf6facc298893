"""Patches as rows: metrics and n-gram counts of every record, kept in DIFFIDENCE_WORK.

`python rows.py [NAME...]` extracts `agent/train` and the like; what is there already is kept.
"""

import json
import sys
from dataclasses import dataclass, fields

import numpy as np
import scipy.sparse as sp

import diff
import features
from common import path, records
from fit import task_weights

NAMES = [f"{kind}/{split}" for kind in ("agent", "commits", "function") for split in ("train", "dev")]
NOISY = "commits_jitdefects4j_buggy"  # labels that do not agree with the other commits'


@dataclass
class Rows:
    """Patches, described by their metrics; `text` holds term counts."""

    x: np.ndarray
    text: sp.csr_matrix
    y: np.ndarray
    task: np.ndarray
    repo: np.ndarray
    source: np.ndarray
    language: np.ndarray

    def __len__(self):
        return len(self.y)

    def take(self, ix):
        ix = np.flatnonzero(ix) if ix.dtype == bool else ix
        return Rows(*(getattr(self, f.name)[ix] for f in fields(self)))

    @property
    def metrics(self):
        return self.x

    def column(self, name):
        return self.x[:, features.METRICS.index(name)]

    @property
    def is_single(self):
        """Whether a patch has one file with one hunk: only such a one can be a snippet."""
        return (self.column("files") < np.log(2.5)) & (self.column("hunks") < np.log(2.5))


def extract(name):
    x, meta, index, count, ends = [], [], [], [], [0]
    for r in records(name):
        if files := diff.parse(r["patch"]):
            x.append(features.metrics(files, r.get("problem")))
            counts = features.counts(files)
            index += sorted(counts)
            count += [counts[at] for at in sorted(counts)]
            ends.append(len(index))
            meta.append({k: r.get(k) for k in ("label", "task", "repo", "source", "language")})
    arrays = dict(x=np.array(x, np.float32), index=np.array(index, np.int32), count=np.array(count, np.float32), ends=np.array(ends))
    return arrays | dict(meta=np.array(json.dumps(meta)))


def load(name):
    """All records of `agent/train` and the like, but for noisy ones."""
    kept = path("DIFFIDENCE_WORK") / f"rows-{name.replace('/', '-')}.npz"
    if not kept.exists():
        unfinished = kept.with_suffix(".tmp.npz")
        np.savez(unfinished, **extract(name))
        unfinished.rename(kept)
    z = np.load(kept)
    meta = json.loads(str(z["meta"]))
    column = lambda key: np.array([str(m[key]) for m in meta])
    text = sp.csr_matrix((z["count"], z["index"], z["ends"]), shape=(len(meta), features.BUCKETS))
    y = np.array([float(m["label"]) for m in meta])
    rows = Rows(z["x"].astype(float), text, y, *(column(key) for key in ("task", "repo", "source", "language")))
    return rows.take(rows.source != NOISY)


def join(a, b):
    both = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(Rows)]
    return Rows(*(sp.vstack(two).tocsr() if sp.issparse(two[0]) else np.concatenate(two) for two in both))


def weights(rows):
    """By task; by repository where every record is a task of its own."""
    w = task_weights(rows.task if len(np.unique(rows.task)) < len(rows.task) * 0.9 else rows.repo)
    return w / w.sum()


def main():
    for name in sys.argv[1:] or NAMES:
        rows = load(name)
        print(f"{name}: {len(rows)} patches, {rows.y.mean():.3f} correct", flush=True)


if __name__ == "__main__":
    main()
