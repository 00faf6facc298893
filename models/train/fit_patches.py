"""Fits the experts for patches with a task description and for those without, and each one's fusion.

`python fit_patches.py [described] [bare]` writes described.npz and bare.npz to DIFFIDENCE_WORK: the tensors of the
branches, `fusion` (weights of their logits and a constant, fitted out of fold), and the branches' logits on the dev
split. The expert for patches without a description learns from commits, and with 15% of the weight from the agents'
patches with all that comes from the description hidden. The trunk joins in `fusion.py`.
"""

import sys

import numpy as np
import scipy.sparse as sp

import rows
from common import save
from evaluate import auc
from features import METRICS
from fit import MetricsBranch, TextBranch, folds, fuse, log, logistic, pairs, patch_goal, platt, task_weights
from trees import average, boost, total

OF_PROBLEM = [n for n, name in enumerate(METRICS) if "problem" in name or name.startswith("code_in_") or name == "long_in_patch"]
AGENTS = 0.15  # their weight where the description is hidden


class Linear:
    """A linear branch with its weights."""

    def __init__(self, branch, data, weight, pair, share, l2):
        self.branch = branch
        branch.prepare(data)
        x = branch.matrix(data)
        columns = np.unique(x.indices) if sp.issparse(x) else np.arange(x.shape[1])
        self.w = np.zeros(x.shape[1])
        self.w[columns], self.b = logistic(x[:, columns], data.y, weight, pair, share, l2)
        if sp.issparse(x):
            self.w = self.w.astype(np.float16).astype(float)  # as it is stored

    def __call__(self, data):
        return self.branch.matrix(data) @ self.w + self.b

    def tensors(self, kind):
        return self.branch.tensors(kind, self.w, self.b)


class Boosted:
    """The mean of several sets of trees, each with a share of pairs and a number of rounds of its own."""

    def __init__(self, data, weight, pair, several, **settings):
        each = enumerate(several)
        self.trees = average([boost(data.x, data.y, weight, pair, share, n, seed, **settings) for seed, (share, n) in each])

    def __call__(self, data):
        return total(self.trees, data.x)

    def tensors(self, kind):
        return {f"trees.{kind}.{part}": v for part, v in self.trees.items()}


def some_pairs(data):
    return pairs(data.y, data.task, np.random.default_rng(1))


def fit_described(data, weight):
    """Text, metrics and trees."""
    pair = some_pairs(data)
    return [
        Linear(TextBranch(), data, weight, pair, 0.9, 1e-4),
        Linear(MetricsBranch(), data, weight, pair, 0.5, 1e-2),
        Boosted(data, weight, pair, [(0.4, 250), (0.5, 250), (0.6, 250), (0.7, 200)]),
    ]


def fit_bare(data, weight):
    """Text and trees."""
    pair = some_pairs(data)
    settings = dict(num_leaves=16, min_data_in_leaf=150, learning_rate=0.05)
    return [Linear(TextBranch(), data, weight, pair, 0.05, 1e-4), Boosted(data, weight, pair, [(0.05, 350)] * 2, **settings)]


def logits(branches, data):
    return np.stack([branch(data) for branch in branches], axis=1)


def out_of_fold(fit, data, weight, most):
    """Logits of the branches by fits on other repositories, for the first `most` of five folds; NaN elsewhere."""
    fold, out = folds(data.repo), None
    for k in range(most):
        rest, held_out = fold != k, fold == k
        z = logits(fit(data.take(rest), weight[rest]), data.take(held_out))
        out = np.full((len(data), z.shape[1]), np.nan) if out is None else out
        out[held_out] = z
        log(f"  fold {k}")
    return out


def described():
    data = rows.load("agent/train")
    weight = task_weights(data.task)
    held_out = out_of_fold(fit_described, data, weight, 5)
    for name, z in zip(("text", "metrics", "trees"), held_out.T):
        log(f"{name}, out of fold: {patch_goal(data, z)[1]}")
    c, b = fuse(list(held_out.T), data.y, weight, some_pairs(data), 0.5)
    log(f"fusion {c} {b:.3f}, out of fold: {patch_goal(data, held_out @ c + b)[1]}")
    branches = fit_described(data, weight)
    tensors = {k: v for branch in branches for k, v in branch.tensors("patch").items()}
    save("described.npz", **tensors, fusion=np.append(c, b), dev=logits(branches, rows.load("agent/dev")))


def hidden(agents):
    """The agents' patches as if they had no task description."""
    agents = agents.take(np.arange(len(agents)))
    agents.x[:, OF_PROBLEM] = 0
    return agents


def bare():
    """Also writes `agents_map`, which takes the logit to that of agents' patches that have no description."""
    agents, commits = rows.load("agent/train"), rows.load("commits/train")
    undescribed = agents.column("has_problem") == 0
    commits.task = np.array([f"commit {n}" for n in range(len(commits))])
    data = rows.join(commits, hidden(agents))
    of_commits = np.arange(len(data)) < len(commits)
    part = lambda w, share: share * w / w.sum()
    agents_weight = task_weights(agents.task)
    weight = np.concatenate([part(task_weights(commits.repo), 1 - AGENTS), part(agents_weight, AGENTS)])
    held_out = out_of_fold(fit_bare, data, weight, 3)
    seen = np.flatnonzero(~np.isnan(held_out[:, 0]))
    some = data.take(seen)
    c, b = fuse(list(held_out[seen].T), some.y, weight[seen], some_pairs(some), 0.05)
    z = held_out @ c + b
    for name, s in zip(("text", "trees", f"fusion {c} {b:.3f}"), (*held_out.T, z)):
        ix = seen[of_commits[seen]]
        log(f"{name}, out of fold: commits {auc(data.y[ix], s[ix]):.4f}")
    ix = np.flatnonzero(~np.isnan(z[~of_commits]) & undescribed)
    slope, constant = platt(z[~of_commits][ix], agents.y[ix], agents_weight[ix])
    branches = fit_bare(data, weight)
    tensors = {k: v for branch in branches for k, v in branch.tensors("bare").items()}
    dev = {f"dev_{name}": logits(branches, hidden(rows.load(f"{name}/dev"))) for name in ("agent", "commits")}
    save("bare.npz", **tensors, **dev, fusion=np.append(c, b), agents_map=np.array([max(slope, 0.3), constant]))


def main():
    for name in sys.argv[1:] or ("described", "bare"):
        {"described": described, "bare": bare}[name]()


if __name__ == "__main__":
    main()
