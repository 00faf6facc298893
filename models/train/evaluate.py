"""Metrics with intervals, and the dev table.

`python evaluate.py` prints the tables of the model card from DIFFIDENCE_WORK/predictions.json.
"""

import json

import numpy as np
from scipy.stats import rankdata

from common import path


def auc(y, s):
    """Chance that a correct one scores above an incorrect one; ties count half. NaN without both."""
    y = np.asarray(y, bool)
    n, p = len(y), int(y.sum())
    if p in (0, n):
        return np.nan
    return (rankdata(s)[y].sum() - p * (p + 1) / 2) / (p * (n - p))


def groups(tasks):
    """Index arrays, one for each task."""
    _, inverse = np.unique(np.asarray(tasks, str), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse))[:-1])


def per_task(y, s, g):
    """(AUC, label of the best-scored, share of correct) for each task with both labels."""
    rows = []
    for ix in g:
        if 0 < y[ix].sum() < len(ix):
            best = s[ix] == s[ix].max()
            rows.append((auc(y[ix], s[ix]), y[ix][best].mean(), y[ix].mean()))
    return np.array(rows).reshape(-1, 3)


def ranking(y, s, tasks, resamples=1000, seed=0):
    """Pooled AUC, within-task AUC, RM@k and pass@1 with bootstrap 95% intervals by task."""
    y, s, g = np.asarray(y, float), np.asarray(s, float), groups(tasks)
    rows = per_task(y, s, g)
    point = [auc(y, s), *(rows.mean(axis=0) if len(rows) else [np.nan] * 3)]
    rng, draws = np.random.default_rng(seed), []
    each = [per_task(y, s, [ix]) for ix in g]
    for _ in range(resamples):
        pick = rng.integers(len(g), size=len(g))
        ix = np.concatenate([g[p] for p in pick])
        within = np.concatenate([each[p] for p in pick])
        draws.append([auc(y[ix], s[ix]), *(within.mean(axis=0) if len(within) else [np.nan] * 3)])
    low, high = np.nanpercentile(draws, [2.5, 97.5], axis=0)
    names = ("auc", "within_task_auc", "rm_at_k", "pass_at_1")
    out = {n: [round(float(v), 4) for v in row] for n, row in zip(names, zip(point, low, high))}
    return out | {"n": len(y), "positives": int(y.sum()), "tasks": len(g), "mixed_tasks": len(rows)}


def ece(y, p, bins=10, equal_mass=False):
    """Expected calibration error of P(correct)."""
    edges = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]) if equal_mass else np.linspace(0, 1, bins + 1)[1:-1]
    which = np.digitize(p, edges)
    return sum(abs(y[which == b].sum() - p[which == b].sum()) for b in range(bins)) / len(y)


def calibration(y, p):
    y, p = np.asarray(y, float), np.clip(np.asarray(p, float), 1e-9, 1 - 1e-9)
    rng = np.random.default_rng(0)
    floor = np.mean([ece((rng.random(len(p)) < p).astype(float), p) for _ in range(200)])
    base = y.mean() * (1 - y.mean())
    brier = np.mean((p - y) ** 2)
    values = {
        "ece_10": ece(y, p),
        "ece_15": ece(y, p, 15),
        "ece_10_equal_mass": ece(y, p, 10, True),
        "ece_10_if_perfect": floor,
        "brier": brier,
        "brier_skill": 1 - brier / base,
        "log_loss": -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)),
    }
    return {"n": len(y), "prior": round(float(y.mean()), 4)} | {k: round(float(v), 4) for k, v in values.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def table(title, rows, y, tasks, resamples=400):
    """One markdown line for each scorer."""
    print(f"\n{title}\n\n| scorer | pooled AUC | within-task AUC | RM@k |\n|---|---|---|---|")
    out = {}
    for name, s in rows.items():
        r = out[name] = ranking(y, s, tasks, resamples)
        cell = lambda k: f"{r[k][0]:.3f} [{r[k][1]:.3f}, {r[k][2]:.3f}]"
        print(f"| {name} | {cell('auc')} | {cell('within_task_auc')} | {cell('rm_at_k')} |")
    r = next(iter(out.values()))
    print(f"\nn = {r['n']}, correct {r['positives']}, tasks {r['tasks']} ({r['mixed_tasks']} with both labels), "
          f"pass@1 {r['pass_at_1'][0]:.3f}")  # fmt: skip
    return out


def main():
    data = json.loads((path("DIFFIDENCE_WORK") / "predictions.json").read_text())
    for name, d in data.items():
        table(name, {k: np.array(v) for k, v in d["scores"].items()}, np.array(d["label"]), d["task"])


if __name__ == "__main__":
    main()
