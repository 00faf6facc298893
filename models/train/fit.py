"""Fits everything that is trained on top of the frozen trunk: heads, lexical branch, metrics, fusion, calibration.

All branches are logistic regressions with an L2 penalty and one loss: cross-entropy on single
records (is it correct?) plus cross-entropy on differences of two candidates for the same task
(which one is correct?). Only the second teaches to pick the best of several candidates.
Strengths are chosen by cross-validation over repositories on the training split; the dev split is
used for calibration and for reporting.
"""

import json
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

from common import CONFIG, READOUTS, path
from evaluate import auc, calibration, groups, per_task, ranking, sigmoid
from features import BUCKETS

SEED, FOLDS = CONFIG["seed"], 5
USED = [READOUTS.index(n) for n in CONFIG["trunk"]["readouts"]]


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


def load(name):
    """(patches, hunks) of one data set; hunks only of patches whose hunk pools were kept."""
    shards = sorted((path("DIFFIDENCE_WORK") / "features").glob(f"{name}-[0-9]*.npz"))
    shards = [s for s in shards if ".tmp" not in s.name]
    if not shards:
        raise SystemExit(f"no features for {name}: run extract.py first")
    patch, hunk = [], []
    for shard in shards:
        z = np.load(shard)
        meta = json.loads(str(z["meta"]))
        flat = lambda x: np.ascontiguousarray(x[:, USED]).reshape(len(x), -1)
        indptr = np.concatenate([[0], np.cumsum(z["terms"])])
        text = sp.csr_matrix((z["counts"].astype(np.float32), z["buckets"], indptr), shape=(len(z["terms"]), BUCKETS))
        owner = np.repeat(np.arange(len(meta)), [m["hunks"] for m in meta])
        sums = sp.csr_matrix((np.ones(len(owner), np.float32), (owner, np.arange(len(owner)))), shape=(len(meta), len(owner)))
        column = lambda key, rows: np.array([str(m[key]) for m in rows])
        label = lambda m: np.nan if m["label"] is None else float(m["label"])
        patch.append(
            Data(meta, flat(z["patch"]).astype(np.float32), np.ones(len(meta), bool), (sums @ text).tocsr(),
                 z["metrics"].astype(np.float64), np.array([label(m) for m in meta]), column("task", meta), column("repo", meta))
        )  # fmt: skip
        kept = np.array([m["kept"] for m in meta])[owner]
        rows = [dict(meta[o], patch=o + sum(len(p) for p in patch[:-1]), number=n) for o, n in zip(owner, number_in(owner)) if meta[o]["kept"]]
        hunk_y = [m["hunk_labels"][m["number"]] if m["hunk_labels"] is not None else np.nan for m in rows]
        hunk.append(
            Data(rows, flat(z["hunk"]).astype(np.float16), z["read"], text[kept], z["hunk_metrics"][kept].astype(np.float64),
                 np.array(hunk_y, float), column("task", rows), column("repo", rows))
        )  # fmt: skip
    log(f"{name}: {len(shards)} shards, {sum(map(len, patch))} patches, {sum(map(len, hunk))} hunks")
    return stack(patch), stack(hunk)


def number_in(owner):
    """0, 1, 2, ... within each run of equal values."""
    starts = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]])) if len(owner) else []
    return np.arange(len(owner)) - np.repeat(starts, np.diff(np.append(starts, len(owner))))


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


# ---- patches -----------------------------------------------------------------------------------------------

SHARES = (0.0, 0.5, 0.9)


class PatchModel:
    """Trunk head, text and metrics, fused."""

    def fit(self, data):
        self.branches = [TrunkBranch(), TextBranch(), MetricsBranch()]
        self.weights, held_out, self.choices = [], [], {}
        for branch in self.branches:
            log(type(branch).__name__)
            w, out, choice = fit_branch(branch, data, SHARES, patch_goal)
            self.weights.append(w)
            held_out.append(out)
            self.choices[type(branch).__name__] = choice | {"held_out": patch_goal(data, out)[1]}
        weight, pair = task_weights(data.task), pairs(data.y, data.task, np.random.default_rng(SEED))
        self.c, self.bias = fuse(held_out, data.y, weight, pair, 0.5)
        self.held_out = np.stack(held_out, axis=1) @ self.c + self.bias
        log(f"fusion: trunk {self.c[0]:.3f} text {self.c[1]:.3f} metrics {self.c[2]:.3f} bias {self.bias:.3f}; "
            f"held out {patch_goal(data, self.held_out)[1]}")  # fmt: skip
        no_trunk, b = fuse(held_out[1:], data.y, weight, pair, 0.5)
        self.without_trunk = (no_trunk, b)
        return self

    def logits(self, data):
        each = np.stack([branch.matrix(data) @ w + b for branch, (w, b) in zip(self.branches, self.weights)], axis=1)
        return each, each @ self.c + self.bias

    def tensors(self):
        out = {"fusion.patch": np.append(self.c, self.bias)}
        for branch, (w, b) in zip(self.branches, self.weights):
            out |= branch.tensors("patch", w, b)
        return out


# ---- hunks -------------------------------------------------------------------------------------------------


def origin(m):
    """planted, original (the same patch before), fixes or agent."""
    return m["source"].split(":")[0] if m["source"].startswith(("planted", "original")) else "fixes" if m["hunk_labels"] else "agent"


def hunk_pairs(y, task, rng, meta):
    """Within a planted patch (sibling over target); the same hunk before over after planting; a fix over its reverse.

    Each kind has a third of the weight, each task the same weight within its kind.
    """
    better, worse, kind = [], [], []
    of = np.array([origin(m) for m in meta])
    target = np.array([m["number"] == m["target"] for m in meta])
    for ix in groups(task):
        bad = ix[y[ix] == 0]
        if len(bad) != 1:
            continue
        good = ix[y[ix] == 1]
        for label, mates in (
            ("sibling", good[of[good] == "planted"]),
            ("before", good[(of[good] == "original") & target[good]]),
            ("fix", good[of[good] == "fixes"]),
        ):
            better += list(mates)
            worse += [bad[0]] * len(mates)
            kind += [(label, len(mates))] * len(mates)
    weight = np.array([1 / n for _, n in kind])
    name = np.array([k for k, _ in kind])
    for k in np.unique(name):
        weight[name == k] /= weight[name == k].sum()
    return np.array(better, int), np.array(worse, int), weight / weight.sum()


def hunk_report(data, s):
    """AUC within planted patches, top-1, before/after and fix/reverse accuracy (ties count half)."""
    of = np.array([origin(m) for m in data.meta])
    planted = of == "planted"
    rows, top = [], []
    for ix in groups(data.task[planted]):
        ix = np.flatnonzero(planted)[ix]
        if 0 < data.y[ix].sum() < len(ix):
            rows.append(auc(data.y[ix], s[ix]))
            lowest = s[ix] == s[ix].min()
            top.append((1 - data.y[ix])[lowest].mean())
    out = {"planted_within_auc": np.mean(rows), "planted_top1": np.mean(top), "planted_auc": auc(data.y[planted], s[planted]), "planted_n": len(rows)}
    better, worse, _ = hunk_pairs(data.y, data.task, None, data.meta)
    right = (s[better] > s[worse]) + 0.5 * (s[better] == s[worse])
    out["before_over_after"] = right[of[better] == "original"].mean()
    out["fix_over_reverse"] = right[of[better] == "fixes"].mean()
    out["chance_top1"] = np.mean([1 / np.sum(planted & (data.task == t)) for t in np.unique(data.task[planted])])
    return {k: round(float(v), 4) for k, v in out.items()}


def hunk_goal(data, s):
    r = hunk_report(data, s)
    value = r["planted_within_auc"] + 0.5 * r["before_over_after"] + 0.5 * r["fix_over_reverse"]
    return value, " ".join(f"{k} {r[k]:.3f}" for k in ("planted_within_auc", "planted_top1", "before_over_after", "fix_over_reverse"))


HUNK_SHARES = (0.5, 0.9, 0.98)


class HunkModel:
    def fit(self, data, patch_logit, agent, agent_patch):
        """`agent`: hunks of agents' single-hunk patches, which have the patch's label; they weigh the patch logit."""
        self.branches = [TrunkBranch(), TextBranch(), MetricsBranch()]
        self.weights, held_out, self.choices = [], [], {}
        for branch in self.branches:
            log(type(branch).__name__)
            w, out, choice = fit_branch(branch, data, HUNK_SHARES, hunk_goal, hunk_pairs)
            self.weights.append(w)
            held_out.append(out)
            self.choices[type(branch).__name__] = choice | {"held_out": hunk_goal(data, out)[1]}
        self.trunk_mean = float(held_out[0][data.read].mean())
        held_out[0][~data.read] = self.trunk_mean
        # Pairs weigh the branches against each other; single records, half planted and half agents', the patch logit.
        rows = [np.column_stack([*held_out, patch_logit]), np.column_stack([self.each(agent), agent_patch])]
        planted = np.array([origin(m) == "planted" for m in data.meta])
        weight = np.concatenate([planted / planted.sum(), np.full(len(agent), 1 / len(agent))])
        pair = hunk_pairs(data.y, data.task, None, data.meta)
        y = np.concatenate([data.y, agent.y])
        c, self.bias = fuse(list(np.concatenate(rows).T), y, weight, pair, 0.5)
        self.c, self.c4 = c[:3], float(c[3])
        log(f"fusion: trunk {c[0]:.3f} text {c[1]:.3f} metrics {c[2]:.3f} patch {c[3]:.3f} bias {self.bias:.3f}; "
            f"held out {hunk_goal(data, rows[0] @ c)[1]}; agents' single hunks {auc(agent.y, rows[1] @ c):.3f}")  # fmt: skip
        return self

    def each(self, data):
        out = np.stack([branch.matrix(data) @ w + b for branch, (w, b) in zip(self.branches, self.weights)], axis=1)
        out[~data.read, 0] = self.trunk_mean
        return out

    def logits(self, data, patch_logit):
        each = self.each(data)
        return each, each @ self.c + self.bias + self.c4 * patch_logit

    def tensors(self):
        out = {"fusion.hunk": np.append(self.c, [self.bias, self.c4]), "fusion.hunk_trunk_mean": np.array([self.trunk_mean])}
        for branch, (w, b) in zip(self.branches, self.weights):
            out |= branch.tensors("hunk", w, b)
        return out


def known_hunks(hunks, patches):
    """Agents' hunks whose label follows from the patch's: all 1 if it is correct; 0 if it is a wrong one's only hunk."""
    label = patches.y[[m["patch"] for m in hunks.meta]]
    single = np.array([m["hunks"] == 1 for m in hunks.meta])
    out = hunks.take((label == 1) | single)
    out.y = label[(label == 1) | single]
    return out


def fit_platt(s, y, group, weight):
    slope, intercept = platt(s, y, weight)
    prior = float(np.average(y, weights=weight))
    report = {
        "before": calibration(y, sigmoid(s)),
        "after_cross_fitted": calibration(y, cross_fitted(s, y, group, weight)),
    }
    return {"slope": slope, "intercept": intercept, "reference_prior": round(prior, 6)}, report


def keep(scores, y, task):
    return {"label": y.tolist(), "task": task.tolist(), "scores": {k: v.tolist() for k, v in scores.items()}}


def main():
    np.seterr(all="raise", under="ignore")
    train, train_hunks = load("agent-train")
    dev, dev_hunks = load("agent-dev")
    log(f"train: {len(train)} patches, {train.y.mean():.3f} correct; dev: {len(dev)}, {dev.y.mean():.3f}")

    log("\n# patches")
    model = PatchModel().fit(train)
    both = BothBranch()
    (w, b), _, _ = fit_branch(both, train, (0.0,), patch_goal)
    each, fused = model.logits(dev)
    no_trunk, b2 = model.without_trunk
    scores = {
        "change metrics": each[:, 2],
        "hashed TF-IDF + metrics, one regression": both.matrix(dev) @ w + b,
        "text": each[:, 1],
        "text + metrics, fused": each[:, 1:] @ no_trunk + b2,
        "trunk": each[:, 0],
        "trunk + text + metrics (shipped)": fused,
    }
    predictions = {"agent/dev": keep(scores, dev.y, dev.task)}
    for language in ("python", "rust"):
        ix = np.array([m["language"] == language for m in dev.meta])
        predictions[f"agent/dev, {language}"] = keep({k: scores[k][ix] for k in scores}, dev.y[ix], dev.task[ix])
    for k, s in scores.items():
        r = ranking(dev.y, s, dev.task, resamples=200)
        log(f"dev {k:42} pooled {r['auc'][0]:.3f} within {r['within_task_auc'][0]:.3f} RM@k {r['rm_at_k'][0]:.3f}")
    patch_map, patch_calibration = fit_platt(fused, dev.y, dev.repo, np.ones(len(dev)))
    log(patch_map, patch_calibration)

    log("\n# hunks")
    planted, planted_patches = [], []
    for name in ("planted-train", "fixes-train"):
        p, h = load(name)
        planted.append(h)
        planted_patches.append(p)
    hunks = stack(planted)
    single = known_hunks(train_hunks, train)
    single = single.take(np.array([m["hunks"] == 1 for m in single.meta]))
    own_patch = np.concatenate([model.logits(p)[1][[m["patch"] for m in h.meta]] for p, h in zip(planted_patches, planted)])
    hunk_model = HunkModel().fit(hunks, own_patch, single, model.held_out[[m["patch"] for m in single.meta]])

    dev_planted_patches, dev_planted = load("planted-dev")
    _, dev_patch = model.logits(dev_planted_patches)
    fix_patches, fix_hunks = load("fixes-dev")
    _, fix_patch = model.logits(fix_patches)
    test = stack([dev_planted, fix_hunks])
    patch_logit = np.concatenate([dev_patch[[m["patch"] for m in dev_planted.meta]], fix_patch[[m["patch"] for m in fix_hunks.meta]]])
    each, fused_hunks = hunk_model.logits(test, patch_logit)
    hunk_rows = {"change metrics": each[:, 2], "text": each[:, 1], "trunk": each[:, 0], "fused (shipped)": fused_hunks}
    hunk_rows["added tokens (control)"] = -test.metrics[:, 4]
    hunk_reports = {k: hunk_report(test, s) for k, s in hunk_rows.items()}
    for k, r in hunk_reports.items():
        log(f"dev {k:24} {r}")

    in_planted = np.array([origin(m) == "planted" for m in test.meta])
    predictions["planted defects, dev: hunks, by patch"] = keep({k: v[in_planted] for k, v in hunk_rows.items()}, test.y[in_planted], test.task[in_planted])
    known = known_hunks(dev_hunks, dev)
    _, known_logit = hunk_model.logits(known, fused[[m["patch"] for m in known.meta]])
    s = np.concatenate([known_logit, fused_hunks[in_planted]])
    y = np.concatenate([known.y, test.y[in_planted]])
    repo = np.concatenate([known.repo, test.repo[in_planted]])
    weight = np.concatenate([np.full(len(known), 1 / len(known)), np.full(in_planted.sum(), 1 / in_planted.sum())])
    hunk_map, hunk_calibration = fit_platt(s, y, repo, weight / weight.mean())
    log(hunk_map, hunk_calibration)

    notes = {
        "data": "Platt maps fitted on agent/dev (repositories that no weight was trained on); hunks: agents' hunks of known label and planted defects, half the weight each",
        "patch": {"n": len(dev), **patch_calibration},
        "hunk": {"n_agent": len(known), "n_planted": int(in_planted.sum()), **hunk_calibration},
        "after_cross_fitted": "maps fitted on four fifths of the repositories, applied to the rest",
    }
    report = {
        "calibration": {"id": f"{CONFIG['name']}-{CONFIG['version']}-dev", "patch": patch_map, "hunk": hunk_map, "notes": notes},
        "choices": {"patch": model.choices, "hunk": hunk_model.choices},
        "hunks_dev": hunk_reports,
    }
    work = path("DIFFIDENCE_WORK")
    np.savez(work / "fit.npz", **model.tensors(), **hunk_model.tensors())
    (work / "fit.json").write_text(json.dumps(report, indent=2))
    (work / "predictions.json").write_text(json.dumps(predictions))


if __name__ == "__main__":
    main()
