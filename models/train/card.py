"""Every figure of the model card, measured on the shipped bundle through the program.

`python card.py` writes the sets below from the dev split, scores them with `diffidence score` and prints the
tables. It needs DIFFIDENCE_DATA, DIFFIDENCE_WORK and DIFFIDENCE, the program; an argument names the sets to do.
Scores are kept in DIFFIDENCE_WORK/card until the program or the bundle is newer than they are.
"""

import json
import subprocess
import sys
from zlib import crc32

import numpy as np

import datasets
import diff
from common import BUNDLE, path, records
from evaluate import auc, ece, groups, per_task, ranking, sigmoid
from features import DOC, tokens
from fit import folds

RESAMPLES = 400


# ---- sets: dictionaries with id, patch, problem, label or hunk_labels


def labelled(name):
    for r in records(name):
        if diff.parse(r["patch"]):
            yield {k: r.get(k) for k in ("id", "patch", "problem", "label", "task", "repo", "language", "policy")}


def undone():
    """Correct patches of agents, undone: a model that reads must like them less."""
    for r in labelled("agent/dev"):
        if r["label"] == 1:
            yield r | {"id": r["id"] + ":undone", "patch": diff.write(diff.reverse(diff.parse(r["patch"]))), "label": 0}


def planted():
    for r in datasets.planted("dev", 300):
        if r["source"] != "original":
            keep = {k: r[k] for k in ("id", "repo", "language", "hunk_labels", "source")}
            yield keep | {"problem": None, "patch": diff.write(r["files"])}


def even_fixes():
    """One-hunk fixes whose sides have equally many lines and tokens: (repository, file)."""
    for r in records("fixes/dev"):
        files = diff.parse(r["fix_patch"])
        if len(files) != 1 or len(files[0].hunks) != 1 or files[0].status != "modified" or files[0].path.lower().endswith(DOC):
            continue
        side = lambda kind: [t for k, t in files[0].hunks[0].lines if k == kind]
        if len(side("+")) == len(side("-")) and sum(len(tokens(t)) for t in side("+")) == sum(len(tokens(t)) for t in side("-")):
            yield r["repo"], files[0]


def fives():
    """Patches of five such fixes from different repositories where possible, one of them undone."""
    rng = np.random.default_rng(4)
    fixes = list(even_fixes())
    for n in range(300):
        drawn = [fixes[i] for i in rng.choice(len(fixes), 5, replace=False)]
        bad = int(rng.integers(5))
        files = []
        for i, (_, file) in enumerate(drawn):
            one = diff.reverse([file]) if i == bad else [file]
            files.append(diff.File(f"f{i}/{one[0].old}", f"f{i}/{one[0].new}", "modified", one[0].hunks))
        yield {"id": f"five:{n}", "patch": diff.write(files), "problem": None, "repo": drawn[bad][0], "hunk_labels": [int(i != bad) for i in range(5)]}


SETS = {
    "agent": lambda: labelled("agent/dev"),
    "undone": undone,
    "function": lambda: labelled("function/dev"),
    "commits": lambda: labelled("commits/dev"),
    "planted": planted,
    "fives": fives,
}


def scored(name, most):
    """(records, answers), the answers from the program. `most`: a sample of so many, drawn by a hash of the id."""
    folder = path("DIFFIDENCE_WORK") / "card"
    folder.mkdir(parents=True, exist_ok=True)
    asked, answered = folder / f"{name}.jsonl", folder / f"{name}.scores.jsonl"
    rs = sorted(SETS[name](), key=lambda r: crc32(r["id"].encode()))[:most]
    asked.write_text("".join(json.dumps({k: r[k] for k in ("id", "patch", "problem")}) + "\n" for r in rs))
    program = path("DIFFIDENCE")
    newest = max(p.stat().st_mtime for p in (program, BUNDLE / "heads.safetensors", BUNDLE / "calibration.json"))
    count = lambda: sum(1 for _ in open(answered)) if answered.exists() and answered.stat().st_mtime > newest else 0
    if count() != len(rs):
        with open(answered, "w") as out:
            subprocess.run([program, "score", "--model", BUNDLE, "--no-cache", "--prior", "0.5", asked], stdout=out, check=False)
    answers = {a["id"]: a for a in map(json.loads, open(answered))}
    both = [(r, answers.get(r["id"], {})) for r in rs]
    lost = [r["id"] for r, a in both if a.get("probability") is None]
    if lost:
        print(f"{name}: {len(lost)} of {len(rs)} not judged")
    both = [(r, a) for r, a in both if a.get("probability") is not None]
    return [r for r, _ in both], [a for _, a in both]


# ---- measures


def log_odds(p):
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))


def at_prior(p, prior):
    """Probabilities for a base rate of one half, moved to `prior`."""
    return sigmoid(log_odds(p) + log_odds(prior))


def interval(stat, g, seed=0):
    """95% bootstrap over groups of rows."""
    rng = np.random.default_rng(seed)
    draws = [stat(np.concatenate([g[i] for i in rng.integers(len(g), size=len(g))])) for _ in range(RESAMPLES)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return f"{stat(np.concatenate(g)):.3f} [{low:.3f}, {high:.3f}]"


def column(rs, key):
    return np.array([str(r[key]) for r in rs])


def patches(name, rs, answers, by_language=True):
    y = np.array([r["label"] for r in rs], float)
    s, p = (np.array([a[k] for a in answers], float) for k in ("logit", "probability"))
    tasks = np.array([r["task"] or r["id"] for r in rs])  # a commit is a task of its own
    known = at_prior(p, y.mean())
    r = ranking(y, s, tasks, RESAMPLES)
    cell = lambda k: f"{r[k][0]:.3f} [{r[k][1]:.3f}, {r[k][2]:.3f}]"
    print(f"\n## {name}: n = {len(y)}, correct {y.mean():.3f}, tasks {r['tasks']} ({r['mixed_tasks']} with both labels)\n")
    print("| measure | value |\n|---|---|")
    print(f"| pooled AUC | {cell('auc')} |")
    if r["mixed_tasks"]:
        base = r["pass_at_1"][0]
        print(f"| within-task AUC | {cell('within_task_auc')} |")
        print(f"| RM@k (a random pick {base:.3f}) | {cell('rm_at_k')} |")
        way = lambda ix: (lambda q: (q[:, 1].mean() - q[:, 2].mean()) / (1 - q[:, 2].mean()))(per_task(y[ix], s[ix], groups(tasks[ix])))
        print(f"| share of the way to a perfect pick | {way(np.arange(len(y))):.3f} |")
    draws = np.random.default_rng(0).random((200, len(known))) < known
    perfect = np.mean([ece(drawn.astype(float), known, 15) for drawn in draws])
    print(f"| ECE, 15 bins, prior known | {ece(y, known, 15):.3f} (of perfect probabilities {perfect:.3f}) |")
    print(f"| Brier skill | {1 - np.mean((known - y) ** 2) / (y.mean() * (1 - y.mean())):.3f} |")
    if by_language:
        print("\n| language | n | correct | AUC | ECE 15 |\n|---|---|---|---|---|")
        languages = column(rs, "language")
        for lang, n in sorted(zip(*np.unique(languages, return_counts=True)), key=lambda x: -x[1]):
            ix = languages == lang
            if n >= 100:
                print(f"| {lang} | {n} | {y[ix].mean():.3f} | {auc(y[ix], s[ix]):.3f} | {ece(y[ix], known[ix], 15):.3f} |")
    return y, known


def hunks(name, rs, answers):
    """Rows of (patch, label, logit)."""
    rows = [(n, y, h["logit"]) for n, (r, a) in enumerate(zip(rs, answers)) for y, h in zip(r["hunk_labels"], a["hunks"])]
    patch, y, s = (np.array(c, float) for c in zip(*rows))
    g = groups(patch.astype(int))
    within = lambda ix: per_task(y[ix], s[ix], groups(patch[ix].astype(int)))[:, 0].mean()
    lowest = np.array([(1 - y[ix])[s[ix] == s[ix].min()].mean() for ix in g])
    rng = np.random.default_rng(0)
    low, high = np.percentile([rng.choice(lowest, len(lowest)).mean() for _ in range(RESAMPLES)], [2.5, 97.5])
    print(f"\n## {name}: {len(rs)} patches, {len(y)} hunks\n\n| measure | value | chance |\n|---|---|---|")
    print(f"| pooled hunk AUC | {interval(lambda ix: auc(y[ix], s[ix]), g)} | 0.5 |")
    print(f"| within-patch AUC | {within(np.arange(len(y))):.3f} | 0.5 |")
    print(f"| lowest score on the bad hunk | {lowest.mean():.3f} [{low:.3f}, {high:.3f}] | {np.mean([1 / len(ix) for ix in g]):.3f} |")


def controls(rs, answers, undone_rs, undone_answers):
    """What a model could do without reading, and whether it falls when a patch is undone."""
    y = np.array([r["label"] for r in rs], float)
    files = [diff.parse(r["patch"]) for r in rs]
    count = lambda kind: np.array([sum(k == kind for f in fs for h in f.hunks for k, _ in h.lines) for fs in files], float)
    added, removed = count("+"), count("-")
    x = np.stack([np.log1p(added), np.log1p(removed), added / np.maximum(added + removed, 1)], axis=1)
    fold, out = folds(column(rs, "repo")), np.zeros(len(y))
    for k in range(5):  # counts, given every advantage: fitted on dev itself, across its repositories
        a, b = x[fold != k], y[fold != k]
        w = np.linalg.lstsq(np.c_[a, np.ones(len(a))], b, rcond=None)[0]
        out[fold == k] = np.c_[x[fold == k], np.ones((fold == k).sum())] @ w
    s = np.array([a["logit"] for a in answers])
    mixed = np.random.default_rng(0).permutation(y)
    before = {r["id"]: a["logit"] for r, a in zip(rs, answers)}
    fell = np.mean([a["logit"] < before[r["id"].removesuffix(":undone")] for r, a in zip(undone_rs, undone_answers) if r["id"].removesuffix(":undone") in before])
    print("\n## controls, agents' patches\n\n| control | value |\n|---|---|")
    print(f"| counts of lines only, AUC | {auc(y, out):.3f} |")
    print(f"| labels shuffled, AUC | {auc(mixed, s):.3f} |")
    print(f"| correct patch undone: score falls | {fell:.3f} of {len(undone_rs)} |")


def coverage(y, p):
    """Risk-coverage: share of wrong verdicts among the most certain records, verdict at one half."""
    order = np.argsort(-np.abs(p - 0.5), kind="stable")
    wrong = ((p > 0.5) != (y > 0.5))[order]
    print("\n| most certain | share of wrong verdicts |\n|---|---|")
    for share in (0.25, 0.5, 0.75, 1.0):
        print(f"| {share:.0%} | {wrong[: max(int(len(y) * share), 1)].mean():.3f} |")


def main():
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 10**9
    wanted = sys.argv[1].split(",") if len(sys.argv) > 1 else list(SETS)
    done, mix = {}, []
    for name in wanted:
        done[name] = rs, answers = scored(name, most)
        if name in ("planted", "fives"):
            hunks(name, rs, answers)
        elif name != "undone":
            y, known = patches(name, rs, answers)
            mix.append((y, known))
            if name == "agent":
                coverage(y, known)
    if {"agent", "undone"} <= set(done):
        controls(*done["agent"], *done["undone"])
    if len(mix) > 1:
        y, p = (np.concatenate(c) for c in zip(*mix))
        print(f"\nAll patches, each set at its own prior: n = {len(y)}, ECE 15 {ece(y, p, 15):.3f}")


if __name__ == "__main__":
    main()
