"""Which map from logits to probabilities is best: temperature, Platt, beta, isotonic, or Platt maps of languages.

`python calibrations.py` cross-fits each over the repositories of the dev split, on the shipped bundle's logits of agents'
patches, commits and hunks, and prints log-loss, Brier score and ECE. Needs what `card.py` needs. Commits have no task
description, so their logits need no trunk and are computed here; the ones that `card.py` has scored are compared.
"""

import json
import sys
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load_file
from scipy.optimize import isotonic_regression, minimize_scalar

import card
import datasets
import features
from calibrate import hunks_of_known_label
from common import BUNDLE, path
from evaluate import ece, groups, sigmoid
from fit import folds, logistic, platt
from trees import total

FEWEST = 200  # records of a language that has a map of its own
PULL = 200  # records that the pooled map counts as when a language's is drawn towards it
RESAMPLES, DEALS = 1000, 5
NO_PAIRS = (np.zeros(0, int), np.zeros(0, int), np.zeros(0))


@dataclass
class Logits:
    """The bundle's logits and what became of their records."""

    s: np.ndarray
    y: np.ndarray
    repo: np.ndarray
    language: np.ndarray
    weight: np.ndarray

    def take(self, ix):
        return Logits(self.s[ix], self.y[ix], self.repo[ix], self.language[ix], self.weight[ix])


# ---- maps: training logits -> a function from logits to probabilities ---------------------------------------------


def fit_temperature(train):
    """One slope; 0 stays 0, so it cannot learn the base rate."""
    loss = lambda log_slope: train.weight @ (np.logaddexp(0, np.exp(log_slope) * train.s) - train.y * np.exp(log_slope) * train.s)
    slope = np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)
    return lambda new: sigmoid(slope * new.s)


def fit_platt(train):
    a, b = platt(train.s, train.y, train.weight)
    return lambda new: sigmoid(a * new.s + b)


def fit_beta(train):
    """Slopes for the logarithms of the probability and of its complement (Kull et al. 2017); equal ones are Platt's."""
    x = lambda s: np.stack([-np.logaddexp(0, -s), np.logaddexp(0, s)], axis=1)
    w, b = logistic(x(train.s), train.y, train.weight, NO_PAIRS, 0.0, 1e-6, positive=2)
    return lambda new: sigmoid(x(new.s) @ w + b)


def fit_isotonic(train):
    """Steps; never quite 0 or 1, which one surprise would make infinitely wrong."""
    order = np.argsort(train.s, kind="stable")
    least = 1 / len(order)
    steps = np.clip(isotonic_regression(train.y[order], weights=train.weight[order]).x, least, 1 - least)
    return lambda new: np.interp(new.s, train.s[order], steps)


def of_languages(train, pull):
    """language -> (slope, intercept) drawn towards the pooled map, which also stands for languages with few records."""
    pooled = np.array(platt(train.s, train.y, train.weight))
    out = {None: pooled}
    for language, n in zip(*np.unique(train.language, return_counts=True)):
        own = train.take(train.language == language)
        if n >= FEWEST and 0 < own.y.mean() < 1:
            out[str(language)] = (n * np.array(platt(own.s, own.y, own.weight)) + pull * pooled) / (n + pull)
    return out


def fit_languages(train, pull=PULL):
    maps = of_languages(train, pull)

    def apply(new):
        a, b = np.array([maps.get(str(language), maps[None]) for language in new.language]).T
        return sigmoid(a * new.s + b)

    return apply


def fit_routed(train):
    return fit_languages(train, 0)


def fit_mixture(train):
    pooled, routed = fit_platt(train), fit_routed(train)
    return lambda new: (pooled(new) + routed(new)) / 2


MAPS = {
    "Platt": fit_platt,
    "temperature": fit_temperature,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
    "Platt by language, drawn to the pooled": fit_languages,
    "routed: Platt by language alone": fit_routed,
    "mixture: mean of pooled and routed": fit_mixture,
}


def cross_fitted(fit, data, fold):
    """Probabilities from maps that were fitted without the record's fold."""
    p = np.zeros(len(data.y))
    for k in np.unique(fold):
        p[fold == k] = fit(data.take(fold != k))(data.take(fold == k))
    return p


def deals(repo):
    """Other ways to make folds of repositories: each alone, and five at random."""
    names, number = np.unique(repo, return_inverse=True)
    yield number
    for seed in range(DEALS):
        yield np.random.default_rng(seed).permutation(len(names))[number] % 5


# ---- logits -----------------------------------------------------------------------------------------------------


def agents():
    rs, answers = card.scored("agent", 10**9)
    y = np.array([r["label"] for r in rs], float)
    return Logits(np.array([a["logit"] for a in answers]), y, card.column(rs, "repo"), card.column(rs, "language"), np.ones(len(y)))


def bare_logits(rs):
    """Of patches without a description: the expert for commits, or for the few that pass for snippets the one for these."""
    heads = load_file(BUNDLE / "heads.safetensors")
    trees = lambda kind, x: total({part: heads[f"trees.{kind}.{part}"] for part in ("roots", "feature", "right", "value")}, x)
    table = lambda part: heads[f"lexical.bare.{part}"]
    x = np.array([features.metrics(r["files"], None) for r in rs])
    text = [features.text_logit(features.counts(r["files"]), table("idf"), table("weight"), table("bias")[0]) for r in rs]
    single = np.array([len(r["files"]) == 1 and datasets.n_hunks(r["files"]) == 1 for r in rs])
    fuse = lambda kind, *logits: np.stack([*logits, np.ones(len(rs))], axis=1) @ heads[f"fusion.{kind}"].astype(float)
    return np.where(single & (trees("gate", x) > 0), fuse("snippet", trees("snippet", x)), fuse("bare", text, trees("bare", x)))


def commits():
    rs = list(datasets.patches("commits/dev"))
    kept = path("DIFFIDENCE_WORK") / "calibrations-commits.npy"
    if not kept.exists():
        np.save(kept, bare_logits(rs))
    s = np.load(kept)
    answers = path("DIFFIDENCE_WORK") / "card" / "commits.scores.jsonl"
    if answers.exists():
        said = {a["id"]: a["logit"] for a in map(json.loads, open(answers))}
        gap = [abs(said[r["id"]] - z) for r, z in zip(rs, s) if said.get(r["id"]) is not None]
        print(f"commits: of {len(gap)} that the program scored, the logits differ by at most {max(gap):.1e}", file=sys.stderr)
    return Logits(s, np.array([r["label"] for r in rs], float), card.column(rs, "repo"), card.column(rs, "language"), np.ones(len(rs)))


def hunks():
    s, y, repo, language, weight, _ = hunks_of_known_label(10**9)
    return Logits(s, y, repo, language, weight)


# ---- the table ---------------------------------------------------------------------------------------------------


def losses(y, p):
    """(log-loss, Brier score) of each record."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.stack([-np.where(y == 1, np.log(p), np.log(1 - p)), (p - y) ** 2])


def interval(stat, g, digits=3):
    """95%, bootstrap over groups of rows."""
    rng = np.random.default_rng(0)
    draws = [stat(np.concatenate([g[i] for i in rng.integers(len(g), size=len(g))])) for _ in range(RESAMPLES)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{stat(np.concatenate(g)):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def table(name, data):
    g = groups(data.repo)
    languages = ", ".join(f"{k} {n:,}" for k, n in sorted(zip(*np.unique(data.language, return_counts=True)), key=lambda x: -x[1]))
    print(f"\n{name}: n = {len(data.y):,}, correct {data.y.mean():.3f}, {len(g)} repositories; {languages}\n")
    print(f"| map | log-loss | less Platt's | the same, other folds | Brier | less Platt's | ECE |\n|{'---|' * 7}")
    mean = lambda rows, digits=3: interval(lambda ix: rows[ix].mean(), g, digits)
    first, others = None, [(fold, losses(data.y, cross_fitted(fit_platt, data, fold))[0].mean()) for fold in deals(data.repo)]
    for what, fit in MAPS.items():
        p = cross_fitted(fit, data, folds(data.repo))
        each = losses(data.y, p)
        gaps = [""] * 3
        if first is None:
            first = each
        else:
            again = [losses(data.y, cross_fitted(fit, data, fold))[0].mean() - platts for fold, platts in others]
            gaps = [mean(each[0] - first[0], 4), f"{min(again):.4f} to {max(again):.4f}", mean(each[1] - first[1], 4)]
        error = interval(lambda ix: ece(data.y[ix], p[ix], 15), g)
        print(f"| {what} | {mean(each[0])} | {gaps[0]} | {gaps[1]} | {mean(each[1])} | {gaps[2]} | {error} |", flush=True)


def main():
    sets = {"agents' patches": agents, "commits": commits, "hunks": hunks}
    for name in sets if len(sys.argv) < 2 else [n for n in sets if n in sys.argv[1].split(",")]:
        table(name, sets[name]())
    print(
        f"\nCross-fitted over repositories, in five folds; the other folds: each repository alone, and {DEALS} deals of five. "
        f"Intervals: 95%, bootstrap by repository, {RESAMPLES} resamples."
    )


if __name__ == "__main__":
    main()
