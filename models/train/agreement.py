"""What the agreement of candidates is worth beside their scores: the weight that `diffidence rank` uses, and what else was tried.

`python agreement.py` takes the tasks of agents' patches with at least four candidates and both labels, scores the
candidates by trees that were fitted on other repositories, and prints for each way to pick how much of the way from a
random pick to a perfect one it gets: on the train tasks, with weights fitted on other repositories, and on the dev tasks.
"""

import numpy as np
from scipy.optimize import minimize

import diff
from common import records
from evaluate import groups, sigmoid
from features import tokens
from fit import folds, pairs, task_weights
from reinforce import out_of_fold
from rows import NOISY, load
from trees import average, boost, total

FEWEST = 4
WEIGHTS = (2, 4, 6, 8, 10, 12, 16)


def parts(files):
    """What candidates can share: sets by name."""
    lines = [(f.path, k, t) for f in files for h in f.hunks for k, t in h.lines]
    words = lambda kind: {(k, w) for _, k, t in lines if k in kind for w in tokens(t)}
    whole = lambda kind, among=lines: {(p, k, " ".join(t.split())) for p, k, t in among if k in kind and t.strip()}
    old = {f.path for f in files if f.status != "added"}
    return {
        "tokens": words("+-"), "added tokens": words("+"), "removed tokens": words("-"), "added lines": whole("+"),
        "removed lines": whole("-"), "place (context lines)": whole(" "), "files": {f.path for f in files},
        # Scripts to reproduce and new tests are each agent's own; they count only if there is nothing else.
        "lines of old files": whole("+-", [line for line in lines if line[0] in old]) or whole("+-"),
    }  # fmt: skip


SHARED = list(parts([]))


def overlaps(candidates):
    """For each kind of part the Jaccard overlap of each candidate with each."""
    out = np.zeros((len(SHARED), len(candidates), len(candidates)))
    for a, one in enumerate(candidates):
        for b, other in enumerate(candidates[:a]):
            for k, name in enumerate(SHARED):
                either = len(one[name] | other[name])
                out[k, a, b] = out[k, b, a] = len(one[name] & other[name]) / either if either else 0.0
    return out


def columns(score, shared):
    """Name -> a value for each candidate of a task."""
    others = ~np.eye(len(score), dtype=bool)
    mean = lambda s: (s * others).sum(1) / (len(score) - 1)
    out = {"score": score} | {f"mean overlap of {name}": mean(s) for name, s in zip(SHARED, shared)}
    out["agreement"] = mean(shared[0] + 2 * shared[SHARED.index("lines of old files")]) / 3
    out["highest overlap of tokens"] = (shared[0] * others).max(1)
    for least in (0.3, 0.5, 0.8):
        out[f"share of others with {least} of the tokens"] = mean(shared[0] > least)
    trust = np.exp(score) / np.exp(score).mean()
    out["mean overlap of tokens, others by their score"] = (shared[0] * others * trust).sum(1) / (len(score) - 1)
    return out


def contests(name, score, rows):
    """(columns, labels, repository) of each task that counts."""
    files = [f for r in records(name) if (f := diff.parse(r["patch"])) and r["source"] != NOISY]
    assert len(files) == len(rows.y)
    for ix in groups(rows.task):
        if len(ix) >= FEWEST and 0 < rows.y[ix].sum() < len(ix):
            yield columns(score[ix], overlaps([parts(files[i]) for i in ix])), rows.y[ix], rows.repo[ix[0]]


def share_of_way(tasks, value):
    """(share of the way from a random pick to a perfect one, its standard error by task); ties count in part."""
    got = np.array([y[v >= v.max() - 1e-9].mean() for (_, y, _), v in zip(tasks, value)])
    blind = np.array([y.mean() for _, y, _ in tasks])
    return (got - blind).mean() / (1 - blind).mean(), (got - blind).std() / np.sqrt(len(got)) / (1 - blind).mean()


def fit(tasks, names, l2=1e-2):
    """Weights of columns, by logistic regression on pairs of a correct and a wrong candidate, each task counting once."""
    gaps, weight = [], []
    for c, y, _ in tasks:
        x = np.stack([c[n] for n in names], 1)
        gap = (x[y == 1][:, None] - x[y == 0][None]).reshape(-1, len(names))
        gaps.append(gap)
        weight.append(np.full(len(gap), 1 / len(gap) / len(tasks)))
    gaps, weight = np.concatenate(gaps), np.concatenate(weight)
    scale = gaps.std(0) + 1e-9
    gaps = gaps / scale

    def loss(w):
        return weight @ np.logaddexp(0, -gaps @ w) + l2 / 2 * w @ w, gaps.T @ (-weight * sigmoid(-gaps @ w)) + l2 * w

    return minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B").x / scale


def picked(tasks, names):
    """1 for the first column, and for the second the weight that picks best."""
    way = lambda w: share_of_way(tasks, [c[names[0]] + w * c[names[1]] for c, _, _ in tasks])[0]
    return np.array([1.0, max(WEIGHTS, key=way)])


def main():
    train, dev = load("agent/train"), load("agent/dev")
    pair = pairs(train.y, train.task, np.random.default_rng(1))
    trees = average([boost(train.x, train.y, task_weights(train.task), pair, 0.5, 250, s) for s in (0, 1)])
    train = list(contests("agent/train", out_of_fold(train)[0], train))
    dev = list(contests("agent/dev", total(trees, dev.x), dev))
    fold = folds(np.array([repo for _, _, repo in train]))
    value = lambda tasks, names, w: [np.stack([c[n] for n in names], 1) @ w for c, _, _ in tasks]
    print(f"Tasks: {len(train)} train, {len(dev)} dev\n\n| pick by | train, held out | dev | weights |\n|---|---|---|---|")
    alone = list(train[0][0])
    together = [("score", "agreement"), ("score", alone[1]), ("score", alone[1], alone[8]), ("score", alone[1], alone[7])]
    together += [("score", *alone[2:4]), ("score", *alone[1:9]), tuple(alone)]
    ways = [((n,), fit) for n in alone] + [(names, fit) for names in together] + [(names, picked) for names in together[:2]]
    for names, learn in ways:
        held_out = [None] * len(train)
        for k in range(5):
            w = learn([t for t, f in zip(train, fold) if f != k], names)
            for i in np.flatnonzero(fold == k):
                held_out[i] = value([train[i]], names, w)[0]
        w = learn(train, names)
        cell = lambda tasks, v: "{:.3f} ± {:.3f}".format(*share_of_way(tasks, v))
        title = " + ".join(names) if len(names) < 4 else f"the first {len(names)}"
        title += ", the weight that picks best" * (learn is picked)
        shown = ", ".join(f"{v / w[0]:.1f}" for v in w[1:]) + " for the score's 1" if names in together[:3] else ""
        print(f"| {title} | {cell(train, held_out)} | {cell(dev, value(dev, names, w))} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
