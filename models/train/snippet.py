"""The expert for snippets: one function put right outside of its repository, as benchmarks of program repair have it.

`python snippet.py` fits the gate, which tells a snippet from a change to a repository by its metrics, and the trees
that judge one, measures both on the dev split beside one dense set of trees for everything, and writes snippet.npz to
DIFFIDENCE_WORK. `to_scale` puts the experts on one scale: whatever expert judged, the patch map of `calibration.json`
yields the log-odds at its reference prior.
"""

import numpy as np

from common import save
from evaluate import auc, ece, groups, per_task
from fit import folds, pairs, platt
from rows import load, weights
from trees import average, boost, sigmoid, total

NO_PAIRS = (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
EXPERT = dict(num_leaves=16, min_data_in_leaf=100, learning_rate=0.05)
GATE = dict(num_leaves=12, min_data_in_leaf=100, learning_rate=0.1, bagging_fraction=1.0)


def fit_gate(agents, commits, snippets):
    """Assumes that one in twenty single hunks is a snippet: a change to a repository must not be taken for one lightly."""
    single = [r.take(r.is_single) for r in (agents, commits, snippets)]
    x = np.vstack([r.x for r in single])
    y = np.concatenate([np.zeros(len(single[0].y)), np.zeros(len(single[1].y)), np.ones(len(single[2].y))])
    share = np.concatenate([np.full(len(r.y), s / len(r.y)) for r, s in zip(single, (1, 1, 0.1))])
    return boost(x, y, share, NO_PAIRS, 0.0, 120, 0, **GATE)


def fit_judge(snippets):
    return average([boost(snippets.x, snippets.y, weights(snippets), NO_PAIRS, 0.0, 300, seed, **EXPERT) for seed in (0, 1)])


def fit_dense(parts):
    """One set of trees for every kind of patch: what routing is compared with."""
    x, y = np.vstack([p.x for p in parts]), np.concatenate([p.y for p in parts])
    task = np.concatenate([np.char.add(f"{n}:", p.task) for n, p in enumerate(parts)])
    w = np.concatenate([weights(p) for p in parts])
    return boost(x, y, w, pairs(y, task, np.random.default_rng(1)), 0.4, 400, 0, **EXPERT)


def measure(name, rows, s):
    mixed = per_task(rows.y, s, groups(rows.task))
    more = f", within-task AUC {mixed[:, 0].mean():.3f}, RM@k {mixed[:, 1].mean():.3f} of {mixed[:, 2].mean():.3f}" if len(mixed) else ""
    print(f"{name}: n = {len(rows.y)}, pooled AUC {auc(rows.y, s):.3f}{more}", flush=True)


def to_scale(z, y, patch_map):
    """(slope, intercept) that take an expert's logit to one that the patch map reads right.

    The map speaks of its reference prior: what is true at the base rate of the labels `y` is moved there.
    """
    a, b = platt(z, y)
    log_odds = lambda p: np.log(p / (1 - p))
    shift = log_odds(patch_map["reference_prior"]) - log_odds(y.mean())
    return a / patch_map["slope"], (b + shift - patch_map["intercept"]) / patch_map["slope"]


def cross_fitted_ece(z, rows):
    p, fold = np.zeros(len(z)), folds(rows.task)
    for k in range(5):
        a, b = platt(z[fold != k], rows.y[fold != k])
        p[fold == k] = sigmoid(a * z[fold == k] + b)
    return ece(rows.y, p, 15)


def main():
    agents, commits, snippets = (load(f"{n}/train") for n in ("agent", "commits", "function"))
    dev = {n: load(f"{n}/dev") for n in ("agent", "commits", "function")}
    gate = fit_gate(agents, commits, snippets)
    for name, rows in dev.items():
        taken = rows.is_single & (total(gate, rows.x) > 0)
        print(f"the gate takes {taken.mean():.3f} of {name} for snippets")
    judge = fit_judge(snippets)
    save("snippet.npz", **{f"trees.{kind}.{part}": v for kind, t in (("gate", gate), ("snippet", judge)) for part, v in t.items()})
    z = total(judge, dev["function"].x)
    measure("snippets, their own trees", dev["function"], z)
    for source in np.unique(dev["function"].source):
        ix = dev["function"].source == source
        measure(f"  {source}", dev["function"].take(ix), z[ix])
    print(f"  ECE 15 at the known prior, cross-fitted: {cross_fitted_ece(z, dev['function']):.3f}")
    dense = fit_dense([agents, commits, snippets])
    for name, rows in dev.items():
        measure(f"{name}, one dense set of trees", rows, total(dense, rows.x))


if __name__ == "__main__":
    main()
