"""What each part of the data recipe is worth: one table, measured on the dev split of agents' patches.

`python ablate.py [GROUP,...]` fits the branches of the shipped expert anew for each row, apart from the trunk: TF-IDF
text, a row over the metrics and boosted trees over the metrics (250 of them), summed with the weights of the bundle. A
row changes one thing. Groups: base, size, ratio, policies, sources, branches, loss, linear_loss (one regression on text
and metrics), trunk (a linear head on it); and hunks, which has a table of its own, as it is measured on hunks.

Reads DIFFIDENCE_DATA, and DIFFIDENCE_GGUF for the trunk; keeps features in DIFFIDENCE_WORK/ablate.
"""

import contextlib
import json
import sys
from dataclasses import replace
from itertools import islice

import numpy as np
import scipy.sparse as sp
import torch
from safetensors.numpy import load_file
from scipy.optimize import minimize
from torch.nn.functional import logsigmoid, softplus

import card
import datasets
import diff
import extract
import features
from common import BUNDLE, load_tokenizer, path, records
from diff import reverse
from evaluate import auc, ece, groups, per_task, sigmoid
from fit import BothBranch, Data, MetricsBranch, TextBranch, TrunkBranch, cross_fitted, fit_branch, logistic, pairs, patch_goal, stack
from fit_hunks import PLACE
from plant import plant_many
from render import render
from rows import NOISY, weights
from trees import boost, total
from trunk import Trunk, pool

SEEDS = (0, 1, 2)
ROUNDS = 250
SIZES = (500, 1000, 2000, 4000)
RATIOS = ((1, 2), (1, 1), (2, 1))
OF_RATIO = 2700  # records: as many as two correct ones for a wrong one allow
SOME = 8  # policies that are "several"
OF_SOURCE = 9000  # records of each further source: about as many as there are of agents
FOCUS = 2.0  # exponent of the focal loss
BINS, WIDTH = 15, 0.05  # of the soft-binned penalty: how many, and how far a probability spreads

BLOCKS = [2, 4, 6, 8, 12]
READ = {"agent/train": 1500, "agent/dev": 800}  # patches that the trunk reads: a sample of whole tasks
CONTEXT, CHUNK = 512, 50

PLANTED = 3000  # patches of commits with defects planted in them


# ---- data ------------------------------------------------------------------------------------------------


def kept(name, make):
    """The arrays that `make` yields, from the disk where they are there."""
    file = path("DIFFIDENCE_WORK") / "ablate" / f"{name.replace('/', '-')}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **make())
    return np.load(file)


def undoings(n):
    """Bug fixes, correct, and their reverses, wrong: two candidates for one task."""
    for r in islice(records("fixes/train"), n // 2):
        if files := diff.parse(r["fix_patch"]):
            for files, label in ((files, 1), (reverse(files), 0)):
                yield datasets.record(r | {"label": label, "task": r["id"]}, files, problem=None)


def source(name):
    """Records of agents; of other sources a sample of whole tasks."""
    if name == "fixes/train":
        return list(undoings(OF_SOURCE))
    rows = [r for r in datasets.patches(name) if r["source"] != NOISY]
    if name.startswith("agent"):
        return rows
    return [rows[i] for i in whole_tasks([r["task"] or r["id"] for r in rows], OF_SOURCE, 0)]


def load(name):
    """Metrics and term counts of a source."""

    def make():
        rows = source(name)
        counted = [features.counts(r["files"]) for r in rows]
        keys = ("id", "task", "repo", "language", "policy", "label")
        return {
            "metrics": np.array([features.metrics(r["files"], r["problem"]) for r in rows], np.float32),
            "buckets": np.array([b for c in counted for b in c], np.int32),
            "counts": np.array([n for c in counted for n in c.values()], np.float32),
            "ends": np.cumsum([0, *map(len, counted)]),
            "meta": json.dumps([{k: r[k] for k in keys} for r in rows]),
        }

    z = kept(name, make)
    meta = json.loads(str(z["meta"]))
    n = len(meta)
    text = sp.csr_matrix((z["counts"], z["buckets"], z["ends"]), shape=(n, features.BUCKETS))
    y = np.array([float(m["label"]) for m in meta])
    task = np.array([f"{name}:{m['task'] or m['id']}" for m in meta])  # a commit is a task of its own
    repo = np.array([str(m["repo"]) for m in meta])
    return Data(meta, np.zeros((n, 0)), np.ones(n, bool), text, z["metrics"].astype(float), y, task, repo)


def whole_tasks(task, most, seed):
    """Indices of whole tasks in a random order, until there are `most` records."""
    g = groups(task)
    return np.concatenate([g[i] for i in np.random.default_rng(seed).permutation(len(g))])[:most]


def of_ratio(y, correct, wrong, n, seed):
    """Indices of `n` records, `correct` for every `wrong`."""
    rng, good = np.random.default_rng(seed), round(n * correct / (correct + wrong))
    draw = lambda label, k: rng.choice(np.flatnonzero(y == label), k, replace=False)
    return np.concatenate([draw(1, good), draw(0, n - good)])


def examples(parts, seed):
    """(data, weights of records, pairs) of several sources, which weigh the same."""
    pair, start = [], 0
    for p in parts:
        better, worse, weight = pairs(p.y, p.task, np.random.default_rng(seed))
        pair.append((better + start, worse + start, weight))
        start += len(p)
    better, worse, weight = (np.concatenate(c) for c in zip(*pair))
    return stack(parts), np.concatenate([weights(p) for p in parts]), (better, worse, weight / max(weight.sum(), 1e-9))


# ---- learners: (data, weights, pairs), dev, seed -> logits of dev ---------------------------------------------


def text_logits(train, weight, pair, dev, share):
    branch = TextBranch()
    branch.prepare(train)
    x = branch.matrix(train)
    columns = np.unique(x.indices)
    w, b = logistic(x[:, columns], train.y, weight, pair, share, 1e-4)
    return branch.matrix(dev)[:, columns] @ w + b


def metrics_logits(train, weight, pair, dev, share):
    branch = MetricsBranch()
    branch.prepare(train)
    w, b = logistic(branch.matrix(train), train.y, weight, pair, share, 1e-2)
    return branch.matrix(dev) @ w + b


def trees_logits(train, weight, pair, dev, share, seed):
    return total(boost(train.metrics, train.y, weight, pair, share, ROUNDS, seed), dev.metrics)


def expert(parts, dev, seed, text=True, metrics=True, shares=(0.9, 0.5, 0.5)):
    """The shipped expert without its trunk. `shares`: of pairs in the loss of text, metrics and trees."""
    train = examples(parts, seed)
    c = load_file(BUNDLE / "heads.safetensors")["fusion.patch"][1:4].astype(float)
    s = np.zeros(len(dev))
    if text:
        s += c[0] * text_logits(*train, dev, shares[0])
    if metrics:
        s += c[1] * metrics_logits(*train, dev, shares[1]) + c[2] * trees_logits(*train, dev, shares[2], seed)
    return s


# ---- losses: of logits, as tensors -------------------------------------------------------------------------------


def cross_entropy(z, y, weight, pair):
    return weight @ (softplus(z) - y * z)


def pairwise(z, y, weight, pair):
    better, worse, of_pair = pair
    return of_pair @ softplus(z[worse] - z[better])


def focal(z, y, weight, pair):
    right = (2 * y - 1) * z
    return weight @ (torch.sigmoid(-right) ** FOCUS * -logsigmoid(right))


def brier(z, y, weight, pair):
    return weight @ (torch.sigmoid(z) - y) ** 2


def soft_bins(z, y, weight, pair):
    """Squared gaps between what is said and what is so, over bins that probabilities fall into by degrees."""
    p = torch.sigmoid(z)
    centres = (torch.arange(BINS) + 0.5) / BINS
    share = weight[:, None] * torch.softmax(-((p[:, None] - centres) ** 2) / (2 * WIDTH**2), dim=1)
    return (((p - y) @ share) ** 2 / (share.sum(0) + 1e-9)).sum()


def descend(loss, x, y, weight, pair, l2):
    """(w, b) that minimise loss + l2/2 |w|^2."""
    tensor = lambda v: torch.from_numpy(np.asarray(v))
    fixed = tensor(y), tensor(weight / weight.sum()), tuple(map(tensor, pair))

    def value(v):
        z = torch.tensor(x @ v[:-1] + v[-1], requires_grad=True)
        f = loss(z, *fixed)
        f.backward()
        g = z.grad.numpy()
        return f.item() + l2 / 2 * v[:-1] @ v[:-1], np.append(x.T @ g + l2 * v[:-1], g.sum())

    v = minimize(value, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-9}).x
    return v[:-1], v[-1]


def linear(parts, dev, seed, loss):
    """One regression on text and metrics: the losses differ in nothing else."""
    train, weight, pair = examples(parts, seed)
    branch = BothBranch()
    branch.prepare(train)
    x = branch.matrix(train)
    columns = np.unique(x.indices)
    w, b = descend(loss, x[:, columns], train.y, weight, pair, 1e-4)
    return branch.matrix(dev)[:, columns] @ w + b


def both(z, *of):
    return (cross_entropy(z, *of) + pairwise(z, *of)) / 2


LOSSES = {
    "cross-entropy": cross_entropy,
    "pairs within a task": pairwise,
    "both, half each": both,
    f"focal, exponent {FOCUS:g}": focal,
    "both + Brier": lambda *a: both(*a) + brier(*a),
    f"both + soft gaps in {BINS} bins": lambda *a: both(*a) + soft_bins(*a),
}


# ---- the trunk ------------------------------------------------------------------------------------------------


def with_pools(data, name):
    """A sample of the records, with what the frozen trunk says of their first window after each of BLOCKS."""
    ix = whole_tasks([m["task"] for m in data.meta], READ[name], 0)
    rows = trunk = encode = None
    pools = []
    for n, at in enumerate(range(0, len(ix), CHUNK)):

        def make():
            nonlocal rows, trunk, encode
            if not trunk:
                rows, trunk, encode = source(name), Trunk(path("DIFFIDENCE_GGUF"), BLOCKS[-1], torch.bfloat16), load_tokenizer()
            rendered = [render(rows[i]["files"], rows[i]["problem"], encode, CONTEXT, 128, 1) for i in ix[at : at + CHUNK]]
            states = extract.forward(trunk, [w.ids for r in rendered for w in r.windows], BLOCKS)
            return {"x": np.float16([pool(r, [s.astype(np.float32)])[0] for r, s in zip(rendered, states)])}

        pools.append(kept(f"trunk/{name}-{n:02}", make)["x"])
    return replace(data.take(ix), trunk=np.concatenate(pools))


def after_block(data, n):
    return replace(data, trunk=data.trunk[:, n].reshape(len(data), -1).astype(np.float32))


def trunk_logits(train, dev):
    """A linear head whose strength is chosen by cross-validation over repositories."""
    branch = TrunkBranch()
    with contextlib.redirect_stdout(sys.stderr):
        (w, b), _, _ = fit_branch(branch, train, (0.5,), patch_goal)
    return branch.matrix(dev) @ w + b


# ---- rows: (group, what, dev, [(training records, logits) of each seed]) ------------------------------------------


def fitted(parts, dev, seed, learner=expert, **how):
    return sum(map(len, parts)), learner(parts, dev, seed, **how)


def base(train, dev):
    yield "all", [fitted([train], dev, seed) for seed in SEEDS]


def size(train, dev):
    for n in SIZES:
        yield f"{n:,}", [fitted([train.take(whole_tasks(train.task, n, seed))], dev, seed) for seed in SEEDS]


def ratio(train, dev):
    drawn = lambda ix, seed: fitted([train.take(ix)], dev, seed)
    yield "as it comes", [drawn(np.random.default_rng(seed).choice(len(train), OF_RATIO, replace=False), seed) for seed in SEEDS]
    for good, bad in RATIOS:
        yield f"{good}:{bad}", [drawn(of_ratio(train.y, good, bad, OF_RATIO, seed), seed) for seed in SEEDS]


def policies(train, dev):
    policy = np.array([str(m["policy"]) for m in train.meta])
    names, n = np.unique(policy, return_counts=True)
    order = names[np.argsort(-n, kind="stable")]
    sets = {"the biggest": order[:1], f"the {SOME} biggest": order[:SOME], f"all {len(order)}": order}
    among = {what: np.flatnonzero(np.isin(policy, list(names))) for what, names in sets.items()}
    for most in sorted(len(ix) for ix in among.values())[:-1]:
        for what, ix in among.items():
            if len(ix) >= most:
                draw = lambda seed: ix[whole_tasks(train.task[ix], most, seed)]
                yield what, [fitted([train.take(draw(seed))], dev, seed) for seed in SEEDS]


def sources(train, dev):
    more = {"single functions": "function/train", "commits": "commits/train", "fixes and their reverses": "fixes/train"}
    for what, name in more.items():
        yield f"agents' + {what}", [fitted([train, load(name)], dev, seed) for seed in SEEDS]
    yield "all four", [fitted([train, *map(load, more.values())], dev, seed) for seed in SEEDS]


def branches(train, dev):
    yield "metrics off", [fitted([train], dev, seed, metrics=False) for seed in SEEDS]
    yield "text off", [fitted([train], dev, seed, text=False) for seed in SEEDS]


def loss(train, dev):
    yield "cross-entropy alone", [fitted([train], dev, seed, shares=(0.0,) * 3) for seed in SEEDS]
    yield "pairs within a task alone", [fitted([train], dev, seed, shares=(1.0,) * 3) for seed in SEEDS]


def linear_loss(train, dev):
    for what, loss in LOSSES.items():
        yield what, [fitted([train], dev, seed, linear, loss=loss) for seed in SEEDS]


def trunk(train, dev):
    train = with_pools(train, "agent/train")
    draws = [whole_tasks(train.task, len(train) * 4 // 5, seed) for seed in SEEDS]
    yield "none: the expert", [fitted([train.take(ix)], dev, seed) for ix, seed in zip(draws, SEEDS)]
    for n, block in enumerate(BLOCKS):
        there = after_block(dev, n)
        yield f"after block {block}", [(len(ix), trunk_logits(after_block(train.take(ix), n), there)) for ix in draws]


GROUPS = {g.__name__: g for g in (base, size, ratio, policies, sources, branches, loss, linear_loss, trunk)}
OWN_FIRST = {"ratio", "linear_loss", "trunk"}  # groups whose rows are compared with their own first


# ---- the table ------------------------------------------------------------------------------------------------


def measured(dev, s):
    rows = per_task(dev.y, s, groups(dev.task))
    mapped = cross_fitted(s, dev.y, dev.repo)
    return [auc(dev.y, s), rows[:, 0].mean(), rows[:, 1].mean(), ece(dev.y, mapped, 15), ece(dev.y, sigmoid(s), 15)]


def cells(values):
    """Mean and standard deviation over seeds."""
    return [f"{m:.3f} ± {d:.3f}" for m, d in zip(np.mean(values, axis=0), np.std(values, axis=0, ddof=1))]


def against(dev, several, reference):
    """Pooled and within-task AUC less those of the reference, each the mean over its seeds: 95% bootstrap by task."""
    g = groups(dev.task)
    pooled = lambda runs, ix: np.mean([auc(dev.y[ix], s[ix]) for s in runs])
    within = lambda runs: np.mean([per_task(dev.y, s, g)[:, 0] for s in runs], axis=0)
    gap = within(several) - within(reference)
    return [
        card.interval(lambda ix: pooled(several, ix) - pooled(reference, ix), g),
        card.interval(lambda ix: gap[ix].mean(), np.arange(len(gap))[:, None]),
    ]


def show(group, dev, rows, reference):
    """Prints the rows and returns what they are compared with: `reference`, by default the first of them."""
    for what, runs in rows:
        n, logits = runs[0][0], [s for _, s in runs]
        if reference is None:
            reference = logits
        gaps = ["", ""] if reference is logits else against(dev, logits, reference)
        values = cells([measured(dev, s) for s in logits])
        print(f"| {group.replace('_', ' ')}: {what} | {n:,} | {' | '.join(values + gaps)} |", flush=True)
    return reference


# ---- hunks ------------------------------------------------------------------------------------------------


def hunk_numbers(files):
    """For each hunk: metrics, surroundings, metrics less those of its reverse. The line branch and the direction, which
    the shipped trees also see, were taught by planted defects and by fixes themselves."""
    described = lambda files: np.array([features.metrics([features.only(f, h)], None) for f in files for h in f.hunks])
    there, back = described(files), described(reverse(files))
    at = [features.METRICS.index(p) for p in PLACE]
    out = np.hstack([there, features.surroundings(files), there - back])
    out[:, [features.METRICS.index("last_start"), *(out.shape[1] - there.shape[1] + i for i in at)]] = 0
    return out


def planted_commits():
    """(files, labels of hunks, task) of commits, dealt over repositories in turn, a third of whose hunks get a defect."""
    rng, of_repo = np.random.default_rng(5), {}
    rows = [r for r in records("commits/train") if len(r["patch"]) < 9000]
    for i in rng.permutation(len(rows)):
        of_repo.setdefault(rows[i]["repo"], []).append(rows[i])
    for r in [queue[k] for k in range(max(map(len, of_repo.values()))) for queue in of_repo.values() if k < len(queue)]:
        files = diff.parse(r["patch"])
        if 2 <= datasets.n_hunks(files) <= 10:
            files, bad = plant_many(files, rng, 0.35)
            yield files, [int(n not in bad) for n in range(datasets.n_hunks(files))], r["id"]


def undone_hunks():
    """Hunks of bug fixes that nearly keep their size, and their reverses."""
    for r in records("fixes/train"):
        for f in diff.parse(r["fix_patch"]):
            for n, h in enumerate(f.hunks):
                if f.status == "modified" and not f.path.lower().endswith(features.DOC) and len(h.lines) <= 50 and datasets.balanced(h):
                    one = [features.only(f, h)]
                    yield one, [1], f"{r['id']}:{f.path}:{n}"
                    yield reverse(one), [0], f"{r['id']}:{f.path}:{n}"


def of_card(rows):
    for r in rows:
        yield diff.parse(r["patch"]), r["hunk_labels"], r["id"]


def of_agents():
    """The hunks of patches that have one only: those of correct patches of several would be told by their number."""
    for r in datasets.patches("agent/dev"):
        if datasets.n_hunks(r["files"]) == 1:
            yield r["files"], [r["label"]], r["task"]


HUNKS = {
    "planted-train": lambda: islice(planted_commits(), PLANTED),
    "fixes-train": undone_hunks,
    "planted-dev": lambda: of_card(card.planted()),
    "fives": lambda: of_card(card.fives()),
    "agents": of_agents,
}


def load_hunks(name):
    """(numbers, labels, tasks)"""

    def make():
        rows = [(hunk_numbers(files), labels, [task] * len(labels)) for files, labels, task in HUNKS[name]()]
        x, y, task = map(np.concatenate, zip(*rows))
        return {"x": x.astype(np.float32), "y": y.astype(float), "task": task}

    z = kept(f"hunks/{name}", make)
    return z["x"], z["y"], z["task"]


def hunk_trees(names, seed):
    """Trees over hunks of several sources, which weigh the same, as those of the bundle; `examples` without text."""
    pair, weight, start, parts = [], [], 0, [load_hunks(n) for n in names]
    for _, y, task in parts:
        better, worse, each = pairs(y, task, np.random.default_rng(seed))
        pair.append((better + start, worse + start, each / len(parts)))
        weight.append(np.full(len(y), 1 / len(y)))
        start += len(y)
    x, y, _ = map(np.concatenate, zip(*parts))
    return len(y), boost(x, y, np.concatenate(weight), tuple(map(np.concatenate, zip(*pair))), 0.8, 200, seed)


def of_hunks(score, name):
    """Pooled AUC; and within a patch, or among the candidates for a task: AUC, how often the lowest is a bad one."""
    x, y, task = load_hunks(name)
    s = score(x)
    rows = per_task(1 - y, -s, groups(task))
    return [auc(y, s), rows[:, 0].mean(), rows[:, 1].mean()]


def chance(name):
    """How often the lowest is a bad one when all have the same score."""
    _, y, task = load_hunks(name)
    return per_task(1 - y, np.zeros(len(y)), groups(task))[:, 1].mean()


def worth(score):
    return of_hunks(score, "planted-dev") + of_hunks(score, "fives")[1:] + of_hunks(score, "agents")[:2]


def hunk_table():
    lowest = [f"lowest on the bad hunk (chance {chance(name):.3f})" for name in ("planted-dev", "fives")]
    print(
        f"\n| trees of hunks taught by | n | planted: pooled AUC | within-patch AUC | {lowest[0]} "
        f"| fives: within-patch AUC | {lowest[1]} | agents': pooled AUC | within-task AUC |\n|{'---|' * 9}"
    )
    for what, names in {
        "planted defects, and fixes with their reverses": ("planted-train", "fixes-train"),
        "no planted defects": ("fixes-train",),
        "planted defects alone": ("planted-train",),
    }.items():
        taught = [hunk_trees(names, seed) for seed in SEEDS]
        values = [worth(lambda x: total(trees, x)) for _, trees in taught]
        print(f"| {what} | {taught[0][0]:,} | {' | '.join(cells(values))} |", flush=True)
    size = worth(lambda x: -x[:, features.METRICS.index("added_tokens")])
    print(f"| none: fewer added tokens (control) | | {' | '.join(f'{v:.3f}' for v in size)} |")
    sets = ", ".join(f"{name} {len(load_hunks(name)[1]):,}" for name in ("planted-dev", "fives", "agents"))
    print(f"\nHunks: {sets}; mean ± standard deviation over seeds {SEEDS}.")


def main():
    torch.set_num_threads(1)
    wanted = sys.argv[1].split(",") if len(sys.argv) > 1 else [*GROUPS, "hunks"]
    if wanted != ["hunks"]:
        patch_table([g for g in GROUPS if g in wanted])
    if "hunks" in wanted:
        hunk_table()


def patch_table(wanted):
    train, dev = load("agent/train"), load("agent/dev")
    print(
        "| recipe | n | pooled AUC | within-task AUC | RM@k | ECE | ECE before the map "
        f"| pooled AUC, less the first's | within-task AUC, less the first's |\n|{'---|' * 9}"
    )
    reference = None
    for group in wanted:
        on = with_pools(dev, "agent/dev") if group == "trunk" else dev
        first = None if group in OWN_FIRST else reference
        shown = show(group, on, GROUPS[group](train, on), first)
        reference = shown if group == "base" else reference
    print(
        f"\nDev: n = {len(dev):,}, correct {dev.y.mean():.3f}; for the trunk a sample. Mean ± standard deviation over seeds {SEEDS}, "
        "which draw records, pairs and what trees see. ECE: 15 bins of equal width, Platt map cross-fitted over repositories. "
        "The last columns: 95%, bootstrap by task; the first row is that of the table, for "
        f"{', '.join(sorted(OWN_FIRST)).replace('_', ' ')} of the group."
    )


if __name__ == "__main__":
    main()
