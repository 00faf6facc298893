"""Fits the line branch: planted defects against the other hunks of their patch, reversed fixes against the fixes.

`python fit_lines.py` keeps the line features in DIFFIDENCE_WORK/lines-{damaged,rest,fixes}.npz and writes lines.npz:
the weights, and `half.0` and `half.1`, each fitted without the repositories that are dealt to it. What is fitted on the
numbers of training hunks later takes those from the half that has not seen them.
"""

from array import array

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

import datasets
from common import path, save, some
from evaluate import sigmoid
from features import BUCKETS
from fit import folds, log
from lines import found

L2, PAIR_SHARE, ROUNDS, FEWEST = 3e-6, 0.5, 108, 4
# name: (records, how many of them belong together, weight)
SOURCES = {
    "damaged": (lambda: datasets.damaged_commits(0, 12000), 1, 1.0),
    "rest": (lambda: datasets.damaged_commits(12000, None), 1, 1.0),
    "fixes": (lambda: datasets.hunks_of_fixes("train", False, 6), 2, 0.2),
}


# ---- line features on disk


def extract(patches):
    """The buckets of each line, the hunk of each line, the patch and the label of each hunk, the repository of each patch."""
    index, ends, hunk = array("i"), array("q", [0]), array("i")
    label, patch, repo = [], [], []
    for r in patches:
        for rows, y in zip(found(r["files"]), r["hunk_labels"], strict=True):
            for _, buckets in rows:
                index.extend(buckets)
                ends.append(len(index))
                hunk.append(len(label))
            label.append(y)
            patch.append(len(repo))
        repo.append(r["repo"])
    return dict(index=np.array(index, np.int32), ends=np.array(ends), hunk=np.array(hunk), label=np.array(label, float),
                patch=np.array(patch), repo=np.array(repo))  # fmt: skip


def pairs_within(bad, patch):
    """(bad, good, weight) of the hunks of a patch; a patch weighs the root of the number of its pairs."""
    worse, better, weight = [], [], []
    order = np.argsort(patch, kind="stable")
    for ix in np.split(order, np.flatnonzero(np.diff(patch[order])) + 1):
        b, g = ix[bad[ix] == 1], ix[bad[ix] == 0]
        if len(b) and len(g):
            worse.append(np.repeat(b, len(g)))
            better.append(np.tile(g, len(b)))
            weight.append(np.full(len(b) * len(g), (len(b) * len(g)) ** -0.5))
    return np.concatenate(worse), np.concatenate(better), np.concatenate(weight)


class Part:
    """Hunks as lines: `x` has a row a line, of length one."""

    def __init__(self, name):
        file = f"lines-{name}.npz"
        if not (path("DIFFIDENCE_WORK") / file).exists():
            source, together, _ = SOURCES[name]
            save(file, **extract(some(source(), together)))
        z = np.load(path("DIFFIDENCE_WORK") / file)
        each = np.diff(z["ends"])
        self.x = sp.csr_matrix((np.repeat(np.maximum(each, 1) ** -0.5, each), z["index"], z["ends"]), shape=(len(each), BUCKETS))
        self.hunk, self.bad, self.repo = z["hunk"], 1 - z["label"], z["repo"][z["patch"]]
        if name == "fixes":  # each is followed by its reverse
            self.worse = np.flatnonzero(self.bad == 1)
            self.better, self.pair_weight = self.worse - 1, np.ones(len(self.worse))
        else:
            self.worse, self.better, self.pair_weight = pairs_within(self.bad, z["patch"])
        log(f"lines, {name}: {len(z['repo'])} patches, {len(self.bad)} hunks, {len(each)} lines, {self.x.nnz} features")


# ---- fitting


def log_sum_exp(z, hunk, n):
    """Of the lines of each hunk, and each line's share in it."""
    top = np.full(n, -1e9)
    np.maximum.at(top, hunk, z)
    e = np.exp(z - top[hunk])
    s = np.bincount(hunk, e, n)
    return top + np.log(s), e / s[hunk]


def fit(parts, masks):
    """Weights that make damage score high, and a constant: records and pairs, each kind of damage by its own weight.

    `parts`: (Part, weight); `masks`: which of its hunks to use.
    """
    columns = np.flatnonzero(sum(np.bincount(p.x.indices, minlength=BUCKETS) for p, _ in parts) >= FEWEST)
    xs = [p.x[:, columns].tocsr() for p, _ in parts]
    transposed = [x.T.tocsr() for x in xs]

    def loss(v):
        w, b = v[:-1], v[-1]
        f, g, gb = L2 / 2 * (w @ w), L2 * w, 0.0
        for (p, part_weight), x, xt, mask in zip(parts, xs, transposed, masks):
            n = len(p.bad)
            s, share = log_sum_exp(x @ w, p.hunk, n)
            each = mask / mask.sum()
            f += part_weight * (1 - PAIR_SHARE) * (each @ (np.logaddexp(0, s + b) - p.bad * (s + b)))
            gs = part_weight * (1 - PAIR_SHARE) * each * (sigmoid(s + b) - p.bad)
            gb += gs.sum()
            pair = p.pair_weight * mask[p.worse] * mask[p.better]
            pair /= pair.sum()
            m = s[p.worse] - s[p.better]
            f += part_weight * PAIR_SHARE * (pair @ np.logaddexp(0, -m))
            h = -part_weight * PAIR_SHARE * pair * sigmoid(-m)
            gs += np.bincount(p.worse, h, n) - np.bincount(p.better, h, n)
            g = g + xt @ (share * gs[p.hunk])
        return f, np.append(g, gb)

    start = np.append(np.zeros(len(columns)), -2)
    out = minimize(loss, start, jac=True, method="L-BFGS-B", options=dict(maxiter=ROUNDS, maxcor=8))
    weight = np.zeros(BUCKETS)
    weight[columns] = out.x[:-1]
    return weight


def main():
    parts = {name: Part(name) for name in SOURCES}
    weighed = [(part, SOURCES[name][2]) for name, part in parts.items()]
    repo = np.concatenate([parts["damaged"].repo, parts["rest"].repo])
    names, first = np.unique(repo, return_index=True)
    half_of = dict(zip(names, folds(repo)[first] % 2))
    out = {"lines.hunk.weight": fit(weighed, [np.ones(len(p.bad)) for p in parts.values()])}
    for k in (0, 1):
        unseen = lambda repo: np.array([half_of.get(r, 0) != k for r in repo], float)
        out[f"half.{k}"] = fit(weighed, [unseen(p.repo) for p in parts.values()])
    save("lines.npz", repo=names, half=np.array([half_of[n] for n in names]), **out)


def halves():
    """A function from a repository to the weights that were fitted without it."""
    z = np.load(path("DIFFIDENCE_WORK") / "lines.npz")
    half_of, weights = dict(zip(z["repo"], z["half"])), [z["half.0"], z["half.1"]]
    return lambda repo: weights[half_of.get(repo, 0)]


if __name__ == "__main__":
    main()
