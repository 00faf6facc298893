"""The probabilities of hunks and of patches without a task description, fitted to what the program itself says.

`python calibrate.py [commits|hunks [MOST]]` scores sets of `card.py` with `diffidence score`, at most MOST patches of each,
and writes the hunk map and its reliability bins, and the scale of the expert for patches without a description, into
the bundle.
The map for patches is fitted by `fusion.py`. Run `golden.py` afterwards.
"""

import json
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

import card
from common import BUNDLE, sha256
from evaluate import calibration, sigmoid
from fit import cross_fitted, fit_platt
from snippet import to_scale


def hunks_of_known_label(most):
    """(logit, label, repository, language, weight, hunks of each kind): agents' hunks whose label follows from the patch's,
    but for those that are judged as their patch is, and hunks of patches with a planted defect; half the weight each."""
    parts = []
    for name in ("agent", "planted"):
        logit, label, repo, language = [], [], [], []
        for r, a in zip(*card.scored(name, most)):
            if name == "planted":
                labels = r["hunk_labels"]
            elif len(a["hunks"]) == 1 and (r["problem"] or "").strip():
                continue
            elif r["label"] == 1 or len(a["hunks"]) == 1:
                labels = [r["label"]] * len(a["hunks"])
            else:
                continue  # one of several hunks is wrong, and nobody knows which
            logit += [h["logit"] for h in a["hunks"]]
            label += labels
            repo += [r["repo"]] * len(labels)
            language += [r["language"]] * len(labels)
        parts.append((np.array(logit), np.array(label, float), np.array(repo), np.array(language), np.full(len(label), 1 / len(label))))
    logit, label, repo, language, weight = (np.concatenate(c) for c in zip(*parts))
    return logit, label, repo, language, weight / weight.mean(), [len(p[0]) for p in parts]


def bins(p, y, weight):
    """Ten ranges of scores and what became of their hunks, `right` in proportion to the weights."""
    out, which = [], np.minimum((p * 10).astype(int), 9)
    for k in range(10):
        ix = which == k
        if (n := int(ix.sum())) >= 20:
            out.append({"low": k / 10, "high": (k + 1) / 10, "n": n, "right": round(n * float(np.average(y[ix], weights=weight[ix])))})
    return out


def of_hunks(most, calibrated):
    s, y, repo, _, weight, counts = hunks_of_known_label(most)
    calibrated["hunk"], report = fit_platt(s, y, repo, weight)
    held_out = cross_fitted(s, y, repo, weight)
    calibrated["notes"]["hunk"] = {"n_agent": counts[0], "n_planted": counts[1], "bins": bins(held_out, y, weight), **report}
    print(calibrated["hunk"], calibrated["notes"]["hunk"])
    heads = load_file(BUNDLE / "heads.safetensors")
    heads["fusion.hunk_only"] = np.float32(same_probability(calibrated["patch"], calibrated["hunk"]))
    save_file(heads, BUNDLE / "heads.safetensors")


def same_probability(patch, hunk):
    """(scale, constant): what they make of a logit has the probability in the hunk map that the logit has in the patch map."""
    at_half = lambda m: m["intercept"] - np.log(m["reference_prior"] / (1 - m["reference_prior"]))
    return patch["slope"] / hunk["slope"], (at_half(patch) - at_half(hunk)) / hunk["slope"]


def of_commits(most, calibrated):
    rs, answers = card.scored("commits", most)
    z, y = np.array([a["logit"] for a in answers]), np.array([r["label"] for r in rs], float)
    slope, constant = to_scale(z, y, calibrated["patch"])
    heads = load_file(BUNDLE / "heads.safetensors")
    heads["fusion.bare"] = (heads["fusion.bare"] * slope + [0, 0, constant]).astype(np.float32)
    save_file(heads, BUNDLE / "heads.safetensors")
    p = cross_fitted(z, y, card.column(rs, "repo"))
    calibrated["notes"]["commits"] = {"n": len(z), "before": calibration(y, sigmoid(z)), "after_cross_fitted": calibration(y, p)}
    print(slope, constant, calibrated["notes"]["commits"])


def main():
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 10**9
    calibrated = json.loads((BUNDLE / "calibration.json").read_text())
    fits = {"commits": of_commits, "hunks": of_hunks}  # in this order: the logit of the patch counts in that of a hunk
    for name in sys.argv[1:2] or fits:
        fits[name](most, calibrated)
        (BUNDLE / "calibration.json").write_text(json.dumps(calibrated, indent=2) + "\n")
        seal()


def seal():
    """Writes the hashes of what was changed into `bundle.json`."""
    bundle = json.loads((BUNDLE / "bundle.json").read_text())
    for weights in bundle["weights"]:
        weights["sha256"] = sha256(BUNDLE / weights["file"])
    bundle["calibration_sha256"] = sha256(BUNDLE / "calibration.json")
    (BUNDLE / "bundle.json").write_text(json.dumps(bundle, indent=2) + "\n")


if __name__ == "__main__":
    main()
