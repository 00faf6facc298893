"""What the fitting of every branch shares: the loss, linear branches, cross-validation over repositories, Platt maps.

Linear branches are logistic regressions with an L2 penalty and one loss: cross-entropy on single
records (is it correct?) plus cross-entropy on differences of two candidates for the same task
(which one is correct?). Only the second teaches to pick the best of several candidates.
Strengths are chosen by cross-validation over repositories on the training split; the dev split is
used for calibration and for reporting.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from common import CONFIG
from evaluate import auc, calibration, groups, per_task, sigmoid
from features import BUCKETS

SEED, FOLDS = CONFIG["seed"], 5


def log(*what):
    print(*what, flush=True)


# ---- data ------------------------------------------------------------------------------------------------


@dataclass
class Data:
    """Rows are patches or hunks; `text` holds term counts."""

    meta: list
    trunk: np.ndarray  # [n, features] f32
    read: np.ndarray  # whether the trunk read it
    text: sp.csr_matrix
    metrics: np.ndarray
    y: np.ndarray
    task: np.ndarray
    repo: np.ndarray

    def __len__(self):
        return len(self.y)

    def take(self, ix):
        ix = np.asarray(ix)
        ix = np.flatnonzero(ix) if ix.dtype == bool else ix
        arrays = {k: getattr(self, k)[ix] for k in ("trunk", "read", "text", "metrics", "y", "task", "repo")}
        return Data(meta=[self.meta[i] for i in ix], **arrays)


def stack(parts):
    cat = lambda k: np.concatenate([getattr(p, k) for p in parts])
    return Data(
        sum((p.meta for p in parts), []), cat("trunk"), cat("read"), sp.vstack([p.text for p in parts]).tocsr(),
        cat("metrics"), cat("y"), cat("task"), cat("repo"),
    )  # fmt: skip


# ---- loss ------------------------------------------------------------------------------------------------


def task_weights(task):
    """A task with many candidates counts more, but only by the square root of their number."""
    w = np.zeros(len(task))
    for ix in groups(task):
        w[ix] = len(ix) ** -0.5
    return w / w.mean()


def pairs(y, task, rng, meta=None, most=64):
    """(better, worse, weight) within tasks; at most `most` drawn for a task, which weighs sqrt(min(good, bad))."""
    better, worse, weight = [], [], []
    for ix in groups(task):
        good, bad = ix[y[ix] == 1], ix[y[ix] == 0]
        if len(good) and len(bad):
            every = np.array(np.meshgrid(good, bad)).reshape(2, -1)
            if every.shape[1] > most:
                every = every[:, rng.choice(every.shape[1], most, replace=False)]
            better.append(every[0])
            worse.append(every[1])
            weight.append(np.full(every.shape[1], min(len(good), len(bad)) ** 0.5 / every.shape[1]))
    if not better:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    w = np.concatenate(weight)
    return np.concatenate(better), np.concatenate(worse), w / w.sum()


def logistic(x, y, weight, pair, share, l2, start=None, positive=0):
    """Minimises (1 - share) * CE(records) + share * CE(pairs) + l2/2 |w|^2; returns (w, b).

    `positive`: the first so many weights may not be negative.
    """
    better, worse, pair_weight = pair
    weight = weight / weight.sum()
    if len(better) == 0:
        share = 0.0
    d = x.shape[1]

    def loss(v):
        w, b = v[:d], v[d]
        s = x @ w
        z = s + b
        m = s[better] - s[worse] if share else np.zeros(0)
        f = (1 - share) * (weight @ (np.logaddexp(0, z) - y * z)) + l2 / 2 * (w @ w)
        g = (1 - share) * weight * (sigmoid(z) - y)
        gb = g.sum()
        if share:
            f += share * (pair_weight @ np.logaddexp(0, -m))
            h = -share * pair_weight * sigmoid(-m)
            g = g + np.bincount(better, h, len(y)) - np.bincount(worse, h, len(y))
        return f, np.append(x.T @ g + l2 * w, gb)

    v = np.zeros(d + 1) if start is None else start
    bounds = [(0, None)] * positive + [(None, None)] * (d + 1 - positive) if positive else None
    out = minimize(loss, v, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200, "ftol": 1e-9})
    return out.x[:d], out.x[d]


# ---- branches: each maps data to a matrix, and weights on that matrix back to bundle tensors ---------------


class TextBranch:
    strengths = [1e-5, 1e-4, 1e-3]

    def prepare(self, data):
        df = np.bincount(data.text.indices, minlength=BUCKETS)
        self.idf = (np.log((1 + len(data)) / (1 + df)) + 1).astype(np.float16).astype(np.float64)

    def matrix(self, data):
        x = data.text.astype(np.float64)
        x.data = (1 + np.log(x.data)) * self.idf[x.indices]
        norm = np.sqrt(np.asarray(x.multiply(x).sum(axis=1)).ravel())
        return (sp.diags_array(1 / np.maximum(norm, 1e-12)) @ x).tocsr()

    def tensors(self, kind, w, b):
        w = w.astype(np.float16)
        return {f"lexical.{kind}.idf": self.idf, f"lexical.{kind}.weight": w, f"lexical.{kind}.bias": np.array([b])}


class MetricsBranch:
    strengths = [1e-3, 1e-2, 1e-1]

    def prepare(self, data):
        self.mean, self.scale = data.metrics.mean(axis=0), np.maximum(data.metrics.std(axis=0), 1e-3)

    def matrix(self, data):
        return (data.metrics - self.mean) / self.scale

    def tensors(self, kind, w, b):
        t = {"mean": self.mean, "scale": self.scale, "weight": w, "bias": np.array([b])}
        return {f"metrics.{kind}.{k}": v for k, v in t.items()}


class BothBranch:
    """The baseline: hashed TF-IDF and metrics in one regression."""

    strengths = [1e-4, 1e-3]

    def __init__(self):
        self.text, self.metrics = TextBranch(), MetricsBranch()

    def prepare(self, data):
        self.text.prepare(data)
        self.metrics.prepare(data)

    def matrix(self, data):
        return sp.hstack([self.text.matrix(data), sp.csr_matrix(self.metrics.matrix(data) * 0.1)]).tocsr()


class TrunkBranch:
    """Standardised pools, then principal components (unscaled), then the regression; all folded into one row."""

    strengths = [1e-3, 1e-2, 1e-1, 1.0]

    def __init__(self, components=256):
        self.components = components

    def prepare(self, data):
        rng = np.random.default_rng(SEED)
        x = data.trunk[data.read]
        x = x[np.sort(rng.choice(len(x), min(len(x), 8000), replace=False))].astype(np.float32)
        self.mean, self.scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
        x = (x - self.mean) / self.scale
        q = rng.normal(size=(x.shape[1], self.components + 16)).astype(np.float32)
        for _ in range(4):  # subspace iteration
            q, _ = np.linalg.qr(x.T @ (x @ q))
        _, s, vt = np.linalg.svd(x @ q, full_matrices=False)
        self.axes = (q @ vt.T)[:, : self.components]
        self.unit = s[0] / len(x) ** 0.5  # one scale for all: keeps the strengths comparable
        log(f"  {self.components} components hold {(s[: self.components] ** 2).sum() / (x**2).sum():.2f} of the variance")

    def matrix(self, data):
        rows = [((data.trunk[a : a + 2048].astype(np.float32) - self.mean) / self.scale) @ self.axes for a in range(0, len(data), 2048)]
        return np.concatenate(rows).astype(np.float64) / self.unit

    def tensors(self, kind, w, b):
        row = (self.axes.astype(np.float64) @ (w / self.unit)) / self.scale
        return {f"head.{kind}.weight": row[None], f"head.{kind}.bias": np.array([b - row @ self.mean])}


def folds(repo):
    """Repositories dealt to folds of about equal size, the largest first."""
    names, n = np.unique(repo, return_counts=True)
    size, fold = np.zeros(FOLDS), {}
    for i in np.argsort(-n, kind="stable"):
        k = int(size.argmin())
        fold[names[i]] = k
        size[k] += n[i]
    return np.array([fold[r] for r in repo])


def within(y, s, task):
    rows = per_task(y, s, groups(task))
    return float(rows[:, 0].mean())


def fit_branch(branch, data, shares, goal, make_pairs=pairs):
    """Chooses (share, strength) by out-of-fold `goal`; returns weights on all data, out-of-fold logits, the choice."""
    branch.prepare(data)
    x = branch.matrix(data)
    usable = data.read if isinstance(branch, TrunkBranch) else np.ones(len(data), bool)
    width = x.shape[1]
    if sp.issparse(x):  # columns that never occur have no weight
        columns = np.unique(x.indices)
        x = x[:, columns]
    fold = folds(data.repo)
    fit_on = []
    for k in range(FOLDS + 1):  # the last one is all of it
        ix = np.flatnonzero(usable & (fold != k))
        part = data.take(ix) if len(ix) else None
        fit_on.append((ix, x[ix], task_weights(part.task), make_pairs(part.y, part.task, np.random.default_rng(SEED), part.meta)))
    best = None
    for share in shares:
        for l2 in branch.strengths:
            out = np.zeros(len(data))
            for k, (ix, xk, weight, pair) in enumerate(fit_on[:FOLDS]):
                w, b = logistic(xk, data.y[ix], weight, pair, share, l2)
                hold = fold == k
                out[hold] = x[hold] @ w + b
            value, detail = goal(data, out)
            log(f"  {type(branch).__name__:14} pairs {share:.2f} l2 {l2:g}: {detail}")
            if best is None or value > best[0]:
                best = (value, share, l2, out)
    _, share, l2, out = best
    ix, xk, weight, pair = fit_on[FOLDS]
    w, b = logistic(xk, data.y[ix], weight, pair, share, l2)
    if sp.issparse(x):
        full = np.zeros(width)
        full[columns] = w
        w = full
    log(f"  chosen: pairs {share} l2 {l2:g}")
    return (w, b), out, {"pair_share": share, "l2": l2}


def patch_goal(data, s):
    a, w = auc(data.y, s), within(data.y, s, data.task)
    return a + w, f"pooled {a:.4f} within-task {w:.4f}"


def fuse(logits, y, weight, pair, share):
    """Non-negative weights of the branches' logits."""
    x = np.stack(logits, axis=1)
    return logistic(x, y, weight, pair, share, 1e-4, positive=x.shape[1])


def platt(s, y, weight=None):
    """(slope, intercept)."""
    weight = np.ones(len(y)) if weight is None else weight
    w, b = logistic(s[:, None], y, weight, (np.zeros(0, int),) * 2 + (np.zeros(0),), 0.0, 1e-6)
    return float(w[0]), float(b)


def cross_fitted(s, y, group, weight=None):
    """Probabilities from Platt maps fitted without the record's repository."""
    p, fold = np.zeros(len(y)), folds(group)
    for k in range(FOLDS):
        t, h = fold != k, fold == k
        a, b = platt(s[t], y[t], None if weight is None else weight[t])
        p[h] = sigmoid(a * s[h] + b)
    return p


def fit_platt(s, y, group, weight):
    slope, intercept = platt(s, y, weight)
    prior = float(np.average(y, weights=weight))
    report = {
        "before": calibration(y, sigmoid(s)),
        "after_cross_fitted": calibration(y, cross_fitted(s, y, group, weight)),
    }
    return {"slope": slope, "intercept": intercept, "reference_prior": round(prior, 6)}, report
