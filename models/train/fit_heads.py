"""Fits the rows on top of the trunk's states, for patches and for hunks, and the text branch of hunks.

`python fit_heads.py` reads what `extract.py` left in DIFFIDENCE_WORK/features and writes heads.npz, with the patch row's
logits on the dev split. `python fit_heads.py ../default` fits nothing: it keeps what the bundle in that folder has, and
needs the states of agent-dev only.
"""

import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from safetensors.numpy import load_file

from common import CONFIG, READOUTS, path, save
from evaluate import auc, groups
from features import BUCKETS
from fit import Data, TextBranch, TrunkBranch, fit_branch, log, patch_goal, stack

USED = [READOUTS.index(n) for n in CONFIG["trunk"]["readouts"]]


# ---- data


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
        flat = lambda x, kind: np.ascontiguousarray(x[:, USED]).reshape(len(x), -1).astype(kind)
        ends = np.concatenate([[0], np.cumsum(z["terms"])])
        text = sp.csr_matrix((z["counts"].astype(np.float32), z["buckets"], ends), shape=(len(z["terms"]), BUCKETS))
        owner = np.repeat(np.arange(len(meta)), [m["hunks"] for m in meta])
        sums = sp.csr_matrix((np.ones(len(owner), np.float32), (owner, np.arange(len(owner)))), shape=(len(meta), len(owner)))
        label = [np.nan if m["label"] is None else float(m["label"]) for m in meta]
        patch.append(data(meta, flat(z["patch"], np.float32), np.ones(len(meta), bool), (sums @ text).tocsr(), label))
        rows = [dict(m, number=n) for m in meta if m["kept"] for n in range(m["hunks"])]
        label = [np.nan if m["hunk_labels"] is None else m["hunk_labels"][m["number"]] for m in rows]
        kept = np.array([m["kept"] for m in meta])[owner]
        hunk.append(data(rows, flat(z["hunk"], np.float16), z["read"], text[kept], label))
    log(f"{name}: {len(shards)} shards, {sum(map(len, patch))} patches, {sum(map(len, hunk))} hunks")
    return stack(patch), stack(hunk)


def data(meta, trunk, read, text, label):
    column = lambda key: np.array([str(m[key]) for m in meta])
    return Data(meta, trunk, read, text, np.zeros((len(meta), 0)), np.array(label, float), column("task"), column("repo"))


# ---- pairs of hunks, and how good a score of hunks is


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

# ---- fitting


def patch_head():
    train, _ = load("agent-train")
    log(f"{len(train)} patches, {train.y.mean():.3f} correct")
    branch = TrunkBranch()
    (w, b), _, _ = fit_branch(branch, train, (0.0, 0.5, 0.9), patch_goal)
    return branch.tensors("patch", w, b)


def hunk_heads():
    """Trunk and text, and the trunk's mean logit, which stands in for hunks that it does not read."""
    hunks, out = stack([load(name)[1] for name in ("planted-train", "fixes-train")]), {}
    for branch in (TrunkBranch(), TextBranch()):
        (w, b), held_out, _ = fit_branch(branch, hunks, (0.5, 0.9, 0.98), hunk_goal, hunk_pairs)
        out |= branch.tensors("hunk", w, b)
        if isinstance(branch, TrunkBranch):
            out["fusion.hunk_trunk_mean"] = np.array([held_out[hunks.read].mean()])
    return out


def kept(folder):
    tensors = load_file(folder / "heads.safetensors")
    return {k: v for k, v in tensors.items() if k.startswith(("head.", "lexical.hunk.")) or k == "fusion.hunk_trunk_mean"}


def main():
    tensors = kept(Path(sys.argv[1])) if len(sys.argv) > 1 else patch_head() | hunk_heads()
    dev, _ = load("agent-dev")
    logits = dev.trunk.astype(float) @ tensors["head.patch.weight"][0] + tensors["head.patch.bias"][0]
    log(f"dev: {patch_goal(dev, logits)[1]}")
    save("heads.npz", **tensors, dev=logits)


if __name__ == "__main__":
    main()
