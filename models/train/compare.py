"""Compares what was fitted with a bundle: `python compare.py [FOLDER]`, by default the shipped one.

For each tensor that a stage has left in DIFFIDENCE_WORK it says whether it is the same, and how it correlates; for trees
how their sums correlate on patches or hunks of the dev split.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import card
import diff
import features
import fit_patches
import fusion
import reversal
import rows
from common import BUNDLE, path
from export import stored
from trees import total

MOST = 300


def judged(kind, shipped):
    """What the trees of a kind see: of the shipped lines and direction, for hunks."""
    if kind == "hunk":
        line_weight = shipped["lines.hunk.weight"].astype(float)
        for r, _ in zip(card.planted(), range(MOST)):
            for values, changed in reversal.numbers(diff.parse(r["patch"]), features.Problem(None), line_weight):
                yield [*values, reversal.direction(changed, shipped["direction.hunk.weight"])]
        return
    of = {"patch": "agent/dev", "bare": "commits/dev", "gate": "function/dev", "snippet": "function/dev"}[kind]
    data = rows.load(of)
    data = data.take(np.random.default_rng(0).permutation(len(data))[:MOST])
    yield from (fit_patches.hidden(data) if kind == "bare" else data).x


def correlation(a, b):
    a, b = a.ravel().astype(float), b.ravel().astype(float)
    return np.corrcoef(a, b)[0, 1] if len(a) > 3 and a.std() and b.std() else np.nan


def main():
    shipped = load_file((Path(sys.argv[1]) if len(sys.argv) > 1 else BUNDLE) / "heads.safetensors")
    work = path("DIFFIDENCE_WORK")
    if (work / "fusion.npz").exists():
        ours = dict(np.load(work / "fusion.npz"))
    else:
        ours = fusion.heads({stage: dict(np.load(work / f"{stage}.npz")) for stage in fusion.STAGES if (work / f"{stage}.npz").exists()})
    ours = stored(ours)
    for name, v in sorted(shipped.items()):
        if name not in ours or name.startswith("trees.") and not name.endswith("roots"):
            continue
        if name.startswith("trees."):
            kind = name.split(".")[1]
            a, b = (fusion.trees_of(t, kind) for t in (ours, shipped))
            if all(np.array_equal(a[part], b[part]) for part in a):
                print(f"{name.removesuffix('.roots')}: the same")
                continue
            x = np.array(list(judged(kind, shipped)))
            print(f"{name.removesuffix('.roots')}: {len(a['roots'])} and {len(b['roots'])} trees, {len(a['value'])} and {len(b['value'])} nodes; "
                  f"sums correlate {correlation(total(a, x), total(b, x)):.5f} on {len(x)}")  # fmt: skip
        elif np.array_equal(ours[name], v):
            print(f"{name}: the same")
        else:
            most = np.abs(ours[name].astype(float) - v).max() if ours[name].shape == v.shape else np.nan
            told = f"{ours[name].ravel()} and {v.ravel()}" if v.size < 10 else f"correlate {correlation(ours[name], v):.5f}"
            print(f"{name}: {ours[name].shape} and {v.shape}, differ by {most:.3g} at most, {told}")


if __name__ == "__main__":
    main()
