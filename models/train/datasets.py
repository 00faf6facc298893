"""The labelled records that features are extracted from, as dictionaries:
id, task, repo, language, policy, source, label (of the patch, or None), files, problem,
hunk_labels (list or None).
"""

import re

import numpy as np

import diff
from common import CONFIG, records
from diff import reverse
from features import DOC, tokens
from plant import plant, plant_many


def record(r, files, **more):
    out = {key: r.get(key) for key in ("id", "task", "repo", "language", "policy", "source", "label")}
    return out | {"files": files, "problem": r.get("problem"), "hunk_labels": None} | more


def patches(name):
    """All records of a folder that have something to score."""
    for r in records(name):
        if files := diff.parse(r["patch"]):
            yield record(r, files)


def mixed_first(name, most):
    """Tasks with both labels whole and first; of the others, which teach only the base rate, `most` candidates."""
    tasks = {}
    for r in patches(name):
        tasks.setdefault(r["task"], []).append(r)
    mixed = lambda rs: len({r["label"] for r in rs}) == 2
    for rs in filter(mixed, tasks.values()):
        yield from rs
    for rs in tasks.values():
        if not mixed(rs):
            yield from rs[:most]


def n_hunks(files):
    return sum(len(f.hunks) for f in files)


def planted(split, n):
    """Correct patches of 3 to 10 hunks with one defect planted: its hunk 0, the others 1; and as they were: all 1."""
    rng = np.random.default_rng(CONFIG["seed"] + 1)
    commits = [r for r in records(f"commits/{split}") if r["label"] == 1 and r["source"] == "commits_mined"]
    by_repo = {}
    for i in rng.permutation(len(commits)):
        by_repo.setdefault(commits[i]["repo"], []).append(commits[i])
    agent, per_task = [], {}
    for r in records(f"agent/{split}"):
        per_task[r["task"]] = per_task.get(r["task"], 0) + (r["label"] == 1)
        if r["label"] == 1 and per_task[r["task"]] <= 3:
            agent.append(r)
    # Agents' patches first, then commits in turn over the repositories, so that no repository dominates.
    turns = [queue[k] for k in range(max(map(len, by_repo.values()))) for queue in by_repo.values() if k < len(queue)]
    taken = 0
    for r in [agent[i] for i in rng.permutation(len(agent))] + turns:
        files = diff.parse(r["patch"])
        hunks = n_hunks(files)
        if not 3 <= hunks <= 10 or len(r["patch"]) > 9000:
            continue
        if made := plant(files, rng):
            bad, number, rule = made
            common = dict(label=None, task=r["id"])
            labels = [int(h != number) for h in range(hunks)]
            yield record(r, bad, **common, id=r["id"] + ":planted", source=f"planted:{rule}", hunk_labels=labels, target=number)
            yield record(r, files, **common, id=r["id"] + ":original", source="original", hunk_labels=[1] * hunks, target=number)
            taken += 1
            if taken == n:
                return


def balanced(hunk):
    """Counts of lines and tokens tell a fix from its reverse: only hunks where both nearly agree."""
    count = lambda kind, f: sum(f(t) for k, t in hunk.lines if k == kind)
    a, r = count("+", lambda t: 1), count("-", lambda t: 1)
    at, rt = count("+", lambda t: len(tokens(t))), count("-", lambda t: len(tokens(t)))
    return a == r and abs(at - rt) <= max(1, 0.05 * max(at, rt))


def fixes(split, n):
    """Single hunks of bug fixes: as fixed 1, reversed 0; counts of lines and tokens matched."""
    rng = np.random.default_rng(CONFIG["seed"] + 2)
    rs = list(records(f"fixes/{split}"))
    taken, per_repo = 0, {}
    for i in rng.permutation(len(rs)):
        r = rs[i]
        files = diff.parse(r["fix_patch"])
        singles = [(f, h) for f in files for h in f.hunks if f.status == "modified" and not f.path.lower().endswith(DOC)]
        singles = [(f, h) for f, h in singles if balanced(h) and len(h.lines) <= 60]
        if not singles or len(singles) > 3 or per_repo.get(r["repo"], 0) >= 150:
            continue
        per_repo[r["repo"]] = per_repo.get(r["repo"], 0) + 1
        f, h = singles[rng.integers(len(singles))]
        fixed = [diff.File(f.old, f.new, f.status, [h])]
        for files, label, suffix in ((fixed, 1, "fixed"), (reverse(fixed), 0, "reversed")):
            yield record(r, files, id=f"{r['id']}:{suffix}", task=r["id"], policy="human", label=None, hunk_labels=[label], target=0)
        taken += 1
        if taken == n:
            return


def modified_hunks(patch, longest=50):
    """(file, hunk) of a patch, where code was changed and a hunk is not too long."""
    return [
        (f, h) for f in diff.parse(patch) for h in f.hunks
        if f.status == "modified" and not f.path.lower().endswith(DOC) and len(h.lines) <= longest
    ]  # fmt: skip


def nearly_equal(hunk):
    """Whether lines were put in and taken out, and about as many."""
    a, r = (sum(k == kind for k, _ in hunk.lines) for kind in "+-")
    return bool(a and r) and abs(a - r) <= 2


def both_ways(r, file, hunk, **more):
    """The hunk as a patch of its own: as it was committed 1, reversed 0."""
    one = [diff.File(file.old, file.new, file.status, [hunk])]
    for files, label in ((one, 1), (reverse(one), 0)):
        yield record(r, files, problem=None, label=None, hunk_labels=[label], **more)


def damaged_commits(first, last):
    """Commits, in turn over the repositories, with a defect planted in about every third hunk that can have one."""
    rng = np.random.default_rng(5)
    rs = [r for r in records("commits/train") if len(r["patch"]) < 9000]
    by_repo = {}
    for i in rng.permutation(len(rs)):
        by_repo.setdefault(rs[i]["repo"], []).append(rs[i])
    turns = [queue[k] for k in range(max(map(len, by_repo.values()))) for queue in by_repo.values() if k < len(queue)]
    for r in turns[first:last]:
        files = diff.parse(r["patch"])
        if files and n_hunks(files) <= 16:
            files, bad = plant_many(files, rng, 0.35)
            yield record(r, files, problem=None, label=None, hunk_labels=[int(n not in bad) for n in range(n_hunks(files))])


def small_damaged_commits(most=6000):
    """The first of them that have 2 to 10 hunks."""
    taken = 0
    for r in damaged_commits(0, 12000):
        if 2 <= len(r["hunk_labels"]) <= 10 and taken < most:
            taken += 1
            yield r


def hunks_of_fixes(split, only_balanced, seed):
    """Up to four hunks of a bug fix, balanced or of nearly equal lines; each both ways."""
    rng = np.random.default_rng(seed)
    rs, drawn = list(records(f"fixes/{split}")), []
    for i in rng.permutation(len(rs)):
        hunks = modified_hunks(rs[i]["fix_patch"])
        for j in rng.permutation(len(hunks))[:4]:
            if balanced(hunks[j][1]) or (not only_balanced and nearly_equal(hunks[j][1])):
                drawn.append((rs[i], *hunks[j]))
    for r, file, hunk in drawn:
        yield from both_ways(r, file, hunk)


FIX = re.compile(r"\b(fix|bug|issue|crash|regress|wrong|incorrect|error|fail)", re.I)


def directed_hunks():
    """Balanced hunks of bug fixes, and of commits that say they fix something; each both ways."""
    rng = np.random.default_rng(3)
    for name, key, most in (("fixes/train", "fix_patch", 6), ("commits/train", "patch", 3)):
        for r in records(name):
            if len(r[key]) > 60000:
                continue
            near = [(f, h) for f, h in modified_hunks(r[key]) if nearly_equal(h)]
            for j in rng.permutation(len(near))[:most]:
                file, hunk = near[j]
                if balanced(hunk) and (key == "fix_patch" or FIX.search(r.get("message") or "")):
                    yield from both_ways(r, file, hunk, source="fix" if key == "fix_patch" else "commit")


# What the trunk reads, in the order in which it is extracted.
DATASETS = {
    "agent-dev": lambda: patches("agent/dev"),
    "agent-train": lambda: mixed_first("agent/train", 3),
    "planted-train": lambda: planted("train", 1248),
    "fixes-train": lambda: fixes("train", 1200),
}
