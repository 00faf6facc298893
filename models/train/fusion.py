"""Joins the branches: the weights of a patch's experts and of a hunk's branches, and the probabilities of patches.

`python fusion.py` takes what the other fits left in DIFFIDENCE_WORK, writes fusion.npz and calibration.json there, and the
dev table's scores for `evaluate.py`. It shows what some weights of direction and trees are worth on the planted defects
and on the fives of bug fixes of `card.py` (without trunk and patch, which weigh little).
"""

import json

import numpy as np

import card
import diff
import features
import reversal
import rows
from common import CONFIG, path, save
from evaluate import auc
from fit import fit_platt, log
from snippet import to_scale
from trees import total

STAGES = ("heads", "described", "bare", "snippet", "lines", "direction", "hunks")
# Of patches with a description: the trunk, and what its fusion is multiplied by to make room for it.
TRUNK, REST = 0.5, 0.85
# Of hunks: trunk, text, direction, trees, a constant, the patch.
OTHERS = [0.15, 0.0, 0.2, 0.9, 0.788962, 0.3]
SAME_SIZE = [0.15, 0.0, 0.8, 0.6, 0.988962, 0.3]

NOTE = (
    "Platt maps fitted on agent/dev (repositories that no weight was trained on); hunks: agents' hunks of known label and planted"
    " defects, half the weight each; shares in bins are weighted alike, cross-fitted over repositories"
)


def fitted():
    """What each stage wrote."""
    return {stage: dict(np.load(path("DIFFIDENCE_WORK") / f"{stage}.npz")) for stage in STAGES}


def heads(stages):
    """The tensors of the bundle, but for the fusion's."""
    named = lambda name: name.count(".") == 2 or name == "fusion.hunk_trunk_mean"
    return {name: v for stage in stages.values() for name, v in stage.items() if named(name)}


# ---- patches


def of_patches(stages):
    """(weights, the patch map, its report); keeps the logits of the dev split for `evaluate.py`."""
    dev = rows.load("agent/dev")
    described, bare = stages["described"], stages["bare"]
    fusion = np.concatenate([[TRUNK], REST * described["fusion"]])
    slope, constant = bare["agents_map"]
    fusion_bare = slope * bare["fusion"] + [0, 0, constant]
    trunk, branches = stages["heads"]["dev"], described["dev"]
    fused = np.column_stack([trunk, branches]) @ fusion[:-1] + fusion[-1]
    fused = np.where(dev.column("has_problem") > 0, fused, bare["dev_agent"] @ fusion_bare[:-1] + fusion_bare[-1])
    scores = dict(zip(("text", "metrics", "trees"), branches.T)) | {"trunk": trunk, "fused": fused}
    data = {"label": dev.y.tolist(), "task": dev.task.tolist(), "scores": {k: v.tolist() for k, v in scores.items()}}
    (path("DIFFIDENCE_WORK") / "predictions.json").write_text(json.dumps({"agent/dev": data}))
    patch_map, report = fit_platt(fused, dev.y, dev.repo, np.ones(len(dev)))
    snippets = rows.load("function/dev")
    judge = total(trees_of(stages["snippet"], "snippet"), snippets.x)
    weights = {"fusion.patch": fusion, "fusion.bare": fusion_bare, "fusion.snippet": to_scale(judge, snippets.y, patch_map)}
    return weights, patch_map, {"n": len(dev), **report}


def trees_of(tensors, kind):
    return {part: tensors[f"trees.{kind}.{part}"] for part in ("roots", "feature", "right", "value")}


# ---- hunks


def judged(records, heads):
    """(labels, directions, trees, whether the hunk keeps its size) for each patch."""
    lines, direction = (heads[f"{n}.hunk.weight"].astype(float) for n in ("lines", "direction"))
    trees = trees_of(heads, "hunk")
    for r in records:
        numbers = reversal.numbers(diff.parse(r["patch"]), features.Problem(None), lines)
        d = np.array([reversal.direction(changed, direction) for _, changed in numbers])
        x = np.array([[*values, one] for (values, _), one in zip(numbers, d)])
        yield np.array(r["hunk_labels"]), d, total(trees, x), np.array([features.keeps_size(values) for values in x])


def worth(patches, others, same_size):
    """(within-patch AUC, share of patches whose bad hunk is the lowest)."""
    within, lowest = [], []
    for y, d, trees, same in patches:
        score = lambda w: w[2] * d + w[3] * trees + w[4]
        s = np.where(same, score(same_size), score(others))
        within.append(auc(y, s))
        lowest.append((1 - y)[s == s.min()].mean())
    return f"{np.mean(within):.3f}, {np.mean(lowest):.3f}"


def of_hunks(tensors):
    """Shows what other weights would be worth."""
    planted, fives = (list(judged(records(), tensors)) for records in (card.planted, card.fives))
    with_ = lambda w, direction, trees, more=0.0: [*w[:2], direction, trees, w[4] + more, w[5]]
    print("| direction, trees; of hunks that keep their size | planted: within, top-1 | fives: within, top-1 |\n|---|---|---|")
    for direction, trees, same in [
        (0.0, 0.9, None), (0.2, 0.9, None), (0.6, 0.9, None), (1.5, 0.9, None), (1.0, 0.0, None),
        (0.2, 0.9, (0.6, 0.9, 0.0)), (0.2, 0.9, (0.8, 0.6, 0.2)), (0.2, 0.9, (1.0, 0.5, 0.3)), (0.2, 0.9, (1.0, 0.0, 0.6)),
    ]:  # fmt: skip
        others = with_(OTHERS, direction, trees)
        same_size = with_(OTHERS, *same) if same else others
        told = f"{direction}, {trees}" + (f"; {same[0]}, {same[1]}" if same else "")
        print(f"| {told} | {worth(planted, others, same_size)} | {worth(fives, others, same_size)} |", flush=True)


def main():
    stages = fitted()
    weights, patch_map, report = of_patches(stages)
    log(patch_map, report)
    tensors = heads(stages)
    of_hunks(tensors)
    of_hunk = {"": OTHERS, "_same_size": SAME_SIZE, "_only": [1.0, 0.0]}  # the last until `calibrate.py` has both maps
    save("fusion.npz", **tensors, **weights, **{f"fusion.hunk{which}": np.array(w) for which, w in of_hunk.items()})
    calibration = {
        "schema": 1,
        "default_prior": CONFIG["calibration"]["default_prior"],
        "id": f"{CONFIG['name']}-{CONFIG['version']}-dev",
        "patch": patch_map,
        "hunk": {"slope": 1.0, "intercept": 0.0, "reference_prior": 0.5},  # until `calibrate.py` has fitted it
        "notes": {"data": NOTE, "patch": report},
    }
    (path("DIFFIDENCE_WORK") / "calibration.json").write_text(json.dumps(calibration, indent=2) + "\n")


if __name__ == "__main__":
    main()
