"""Fits the direction branch: balanced hunks of fixes against their reverses.

`python fit_direction.py` keeps the numbers of training hunks (`reversal.numbers`) in
DIFFIDENCE_WORK/hunks-{directed,damaged}.npz and writes direction.npz: the weights, and for those hunks the direction by
weights that were fitted on other repositories, which the trees learn from.
"""

from array import array

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

import datasets
from common import path, save, some
from evaluate import sigmoid
from features import BUCKETS
from fit import FOLDS, folds, log
from fit_lines import halves
from reversal import numbers

L2, ROUNDS, FEWEST = 1e-5, 150, 4
OF_COMMITS = 0.4  # the weight of a hunk of a commit that says it fixes something, beside one of a fix
SOURCES = {"directed": (datasets.directed_hunks, 2), "damaged": (datasets.small_damaged_commits, 1)}


# ---- numbers on disk


def extract(patches, line_weight):
    """What the trees see of each hunk, its features less those of its reverse, label, patch, repository and source."""
    x, label, patch, repo, source = [], [], [], [], []
    index, value, ends = array("i"), array("f"), array("q", [0])
    for n, r in enumerate(patches):
        for (values, changed), y in zip(numbers(r["files"], None, line_weight(r["repo"])), r["hunk_labels"], strict=True):
            x.append(np.array(values, np.float32))
            index.extend(changed.keys())
            value.extend(changed.values())
            ends.append(len(index))
            label.append(y)
            patch.append(n)
            repo.append(r["repo"])
            source.append(r["source"])
    return dict(x=np.array(x), label=np.array(label, float), patch=np.array(patch), repo=np.array(repo), source=np.array(source),
                index=np.array(index, np.int32), value=np.array(value, np.float32), ends=np.array(ends))  # fmt: skip


class Hunks:
    """Training hunks; of the directed ones each is followed by its reverse."""

    def __init__(self, name):
        file = f"hunks-{name}.npz"
        if not (path("DIFFIDENCE_WORK") / file).exists():
            source, together = SOURCES[name]
            save(file, **extract(some(source(), together), halves()))
        z = np.load(path("DIFFIDENCE_WORK") / file)
        self.x, self.y, self.patch, self.repo, self.source = (z[k] for k in ("x", "label", "patch", "repo", "source"))
        self.change = sp.csr_matrix((z["value"], z["index"], z["ends"]), shape=(len(self.y), BUCKETS))
        log(f"hunks, {name}: {len(np.unique(self.patch))} patches, {len(self.y)} hunks, {self.y.mean():.3f} sound")


def weight_of(directed):
    """Of each pair of a hunk and its reverse."""
    return np.where(directed.source[0::2] == "fix", 1.0, OF_COMMITS)


# ---- fitting


def fit(x, weight):
    """Logistic regression without a constant: the change, not its reverse. So the reverse gets the opposite score."""
    columns = np.flatnonzero(np.bincount(x.indices, minlength=BUCKETS) >= FEWEST)
    x, weight = x[:, columns].tocsr(), weight / weight.sum()

    def loss(w):
        s = x @ w
        return weight @ np.logaddexp(0, -s) + L2 / 2 * (w @ w), x.T @ (-weight * sigmoid(-s)) + L2 * w

    out = np.zeros(BUCKETS)
    out[columns] = minimize(loss, np.zeros(len(columns)), jac=True, method="L-BFGS-B", options=dict(maxiter=ROUNDS)).x
    return out.astype(np.float16).astype(float)


def main():
    directed, damaged = Hunks("directed"), Hunks("damaged")
    fixed, weight = directed.change[0::2], weight_of(directed)
    fold = folds(np.append(directed.repo, damaged.repo))
    of_directed, of_damaged = fold[: len(directed.y)], fold[len(directed.y) :]
    held_out = {"directed": np.zeros(len(directed.y)), "damaged": np.zeros(len(damaged.y))}
    for k in range(FOLDS):
        rest = of_directed[0::2] != k
        w = fit(fixed[rest], weight[rest])
        for name, hunks, ix in (("directed", directed, of_directed == k), ("damaged", damaged, of_damaged == k)):
            held_out[name][ix] = hunks.change[ix] @ w
    of_fixes = held_out["directed"][0::2][weight == 1]
    right = (of_fixes > 0) + 0.5 * (of_fixes == 0)
    log(f"fixes before their reverses, out of fold: {right.mean():.3f} of {len(right)}")
    save("direction.npz", **{"direction.hunk.weight": fit(fixed, weight)}, **held_out)


if __name__ == "__main__":
    main()
