"""The weights of a hunk's branches, for hunks that keep their size and for others.

`python fusion.py` shows what some weights of direction and trees are worth on the planted defects and on the fives of
bug fixes of `card.py` (without trunk and patch, which weigh little), and writes the chosen ones into the bundle. Run
`calibrate.py` and `golden.py` afterwards.
"""

import numpy as np
from safetensors.numpy import load_file, save_file

import card
import diff
import features
import reversal
from calibrate import seal
from common import BUNDLE
from evaluate import auc
from trees import total

# Trunk, text, direction, trees, a constant, the patch.
OTHERS = [0.15, 0.0, 0.2, 0.9, 0.788962, 0.3]
SAME_SIZE = [0.15, 0.0, 0.8, 0.6, 0.988962, 0.3]


def judged(records, heads):
    """(labels, directions, trees, whether the hunk keeps its size) for each patch."""
    lines, direction = (heads[f"{n}.hunk.weight"].astype(float) for n in ("lines", "direction"))
    trees = {part: heads[f"trees.hunk.{part}"] for part in ("roots", "feature", "right", "value")}
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


def main():
    heads = load_file(BUNDLE / "heads.safetensors")
    planted, fives = (list(judged(records(), heads)) for records in (card.planted, card.fives))
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
    heads |= {"fusion.hunk": np.float32(OTHERS), "fusion.hunk_same_size": np.float32(SAME_SIZE)}
    save_file(heads, BUNDLE / "heads.safetensors")
    seal()


if __name__ == "__main__":
    main()
