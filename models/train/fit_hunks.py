"""Fits the trees of hunks: planted defects within their patches, and fixes over reverses, their own and others'.

`python fit_hunks.py` writes hunks.npz to DIFFIDENCE_WORK.
"""

import numpy as np

from common import path, save
from features import METRICS, SURROUNDINGS
from fit import log
from fit_direction import Hunks, weight_of
from fit_lines import pairs_within
from lines import LINE_NUMBERS
from trees import average, boost

ROUNDS, PAIR_SHARE, SEEDS = 200, 0.8, (0, 1)
# Where a hunk is and what kind of file it is in does not change with its direction, but its line number shifts: it would tell.
PLACE = ("files", "hunks", "added_files", "deleted_files", "test_files", "doc_files", "has_problem", "problem_tokens", "last_start", "folders", "depth")
REVERSAL = len(METRICS) + len(SURROUNDINGS) + len(LINE_NUMBERS)  # where the numbers less those of the reverse begin
NEVER = [METRICS.index("last_start")] + [REVERSAL + METRICS.index(name) for name in PLACE]


def matrix(hunks, direction):
    """What the trees see, less what they must not."""
    x = np.hstack([hunks.x, direction[:, None]]).astype(np.float32)
    x[:, NEVER] = 0
    return x


def fit(damaged, x_damaged, x_directed, weight):
    n, k = len(x_damaged), len(x_directed) // 2
    x = np.vstack([x_damaged, x_directed[0::2], x_directed[1::2]])
    y = np.concatenate([damaged.y, np.ones(k), np.zeros(k)])
    w = np.concatenate([np.ones(n), weight, weight])
    w[n:] *= n / w[n:].sum()
    worse, better, each = pairs_within(1 - damaged.y, damaged.patch)
    other = np.random.default_rng(1).permutation(k)
    fixes = np.concatenate([weight, np.sqrt(weight * weight[other])])
    better = np.concatenate([better, n + np.arange(k), n + np.arange(k)])
    worse = np.concatenate([worse, n + k + np.arange(k), n + k + other])
    each = np.concatenate([each / each.sum(), fixes / fixes.sum()])
    pair = (better, worse, each / each.sum())
    return average([boost(x, y, w / w.sum(), pair, PAIR_SHARE, ROUNDS, seed) for seed in SEEDS])


def main():
    directed, damaged = Hunks("directed"), Hunks("damaged")
    direction = np.load(path("DIFFIDENCE_WORK") / "direction.npz")
    trees = fit(damaged, matrix(damaged, direction["damaged"]), matrix(directed, direction["directed"]), weight_of(directed))
    log(f"{len(trees['roots'])} trees, {len(trees['feature'])} nodes")
    save("hunks.npz", **{f"trees.hunk.{part}": v for part, v in trees.items()})


if __name__ == "__main__":
    main()
