"""Hunks of version 0.3.0: direction branch, trees over each hunk and its reverse, fusion, calibration, bundle.

`reversal_fit.py features fd pd s c ad at`, then `reversal_fit.py fit`. Reads what the earlier steps left in work/.
"""

import json
import pickle
import re
import sys
import time

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

import diff
import features
import linedata
import reversal
from common import BUNDLE, records, sha256
from datasets import balanced
from evaluate import auc, sigmoid
from features import DOC
from fit import fit_platt, folds
from hunkfit import within
from linefit import inpatch_pairs
from trees import average, boost, total

B = features.BUCKETS
# Where a hunk is and what kind of file it is in does not change with its direction, but its line number shifts: it would tell.
PLACE = ("files", "hunks", "added_files", "deleted_files", "test_files", "doc_files", "has_problem", "problem_tokens", "last_start", "folders", "depth")
N = 121 + 8 + 8
NEVER = [features.METRICS.index("last_start")] + [N + features.METRICS.index(p) for p in PLACE]
FIX = re.compile(r"\b(fix|bug|issue|crash|regress|wrong|incorrect|error|fail)", re.I)


# ---- features


def hunks_of_fixes():
    """Balanced hunks of bug fixes and of commits that say they fix something."""
    rng = np.random.default_rng(3)
    for source, key, most in (("fixes/train", "fix_patch", 6), ("commits/train", "patch", 3)):
        for r in records(source):
            if len(r[key]) > 60000:
                continue
            hunks = [(f, h) for f in diff.parse(r[key]) for h in f.hunks if f.status == "modified" and not f.path.lower().endswith(DOC) and len(h.lines) <= 50]
            count = lambda h, kind: sum(k == kind for k, _ in h.lines)
            near = [(f, h) for f, h in hunks if count(h, "+") and count(h, "-") and abs(count(h, "+") - count(h, "-")) <= 2]
            for j in rng.permutation(len(near))[:most]:
                f, h = near[j]
                if balanced(h) and (key == "fix_patch" or FIX.search(r.get("message") or "")):
                    one, m = [diff.File(f.old, f.new, f.status, [h])], dict(repo=r["repo"], fix=key == "fix_patch")
                    yield one, set(), dict(m)
                    yield diff.reverse(one), {0}, dict(m)


def planted_commits():
    kept = 0
    for files, bad, m in linedata.commits(12000):
        if 2 <= sum(len(f.hunks) for f in files) <= 10 and kept < 6000:
            kept += 1
            yield files, bad, m


def agents(name, every):
    """Hunks whose label follows from the patch's: all of a correct one, the only one of a wrong one."""
    n = -1
    for r in records(name):
        files = diff.parse(r["patch"])
        if not files:
            continue
        n += 1
        hunks = sum(len(f.hunks) for f in files)
        if hunks == 1 or every and r["label"] == 1:
            yield files, set() if r["label"] else {0}, dict(repo=r["repo"], n=n, problem=features.Problem(r.get("problem")))


def extract(name):
    whole = np.load("work/W.npy")
    halves = [np.load(f"work/Wcf{k}.npy") for k in (0, 1)]
    d, m = np.load("work/l-c.npz"), pickle.load(open("work/l-c.pkl", "rb"))
    repo = np.array([x["repo"] for x in m])[d["hp"]]
    fold = dict(zip(repo, folds(repo)))
    out_of_fold = lambda repo: halves[fold.get(repo, 0) % 2]
    source, weight = {
        "fd": (lambda: linedata.fixes(1, 7, "dev", True), lambda repo: whole),
        "pd": (lambda: linedata.dset("planted-dev"), lambda repo: whole),
        "ad": (lambda: agents("agent/dev", True), lambda repo: whole),
        "at": (lambda: agents("agent/train", False), lambda repo: whole),
        "s": (hunks_of_fixes, out_of_fold),
        "c": (planted_commits, out_of_fold),
    }[name]
    x, y, patch, number, meta, index, value, ptr = [], [], [], [], [], [], [], [0]
    start = time.time()
    for files, bad, m in source():
        for i, (values, changed) in enumerate(reversal.numbers(files, m.pop("problem", None), weight(m["repo"]))):
            x.append(values)
            y.append(int(i not in bad))
            patch.append(len(meta))
            number.append(i)
            index += changed.keys()
            value += changed.values()
            ptr.append(len(index))
        meta.append(m)
    np.savez(f"work/v3-{name}.npz", X=np.array(x, np.float32), y=np.array(y), hp=np.array(patch), hn=np.array(number),
             ind=np.array(index, np.int32), val=np.array(value, np.float32), ptr=np.array(ptr))  # fmt: skip
    pickle.dump(meta, open(f"work/v3-{name}.pkl", "wb"))
    print(name, len(meta), len(y), round(time.time() - start), "s", flush=True)


def load(name):
    d, m = dict(np.load(f"work/v3-{name}.npz")), pickle.load(open(f"work/v3-{name}.pkl", "rb"))
    d["change"] = sp.csr_matrix((d["val"], d["ind"], d["ptr"]), shape=(len(d["y"]), B))
    d["repo"] = np.array([x["repo"] for x in m])[d["hp"]]
    return d, m


# ---- fit


def fit_direction(x, weight, l2=1e-5):
    """Logistic regression without a constant: the change, not its reverse. So the reverse gets the opposite score."""
    columns = np.flatnonzero(np.bincount(x.indices, minlength=B) >= 4)
    x, weight = x[:, columns].tocsr(), weight / weight.sum()

    def loss(w):
        s = x @ w
        return weight @ np.logaddexp(0, -s) + l2 / 2 * (w @ w), x.T @ (-weight * sigmoid(-s)) + l2 * w

    found = minimize(loss, np.zeros(len(columns)), jac=True, method="L-BFGS-B", options=dict(maxiter=150))
    w = np.zeros(B)
    w[columns] = found.x
    return w.astype(np.float16).astype(float)


def matrix(d, direction):
    x = np.hstack([d["X"], direction[:, None]]).astype(np.float32)
    x[:, NEVER] = 0
    return x


def fit_trees(c, xc, xs, weight, share_of_fixes=1.0, seeds=(0, 1), rounds=200, share=0.8):
    """Planted defects within their patches; fixes over their reverses, which follow them, and over the reverses of others."""
    n, k = len(xc), len(xs) // 2
    x, y = np.vstack([xc, xs[0::2], xs[1::2]]), np.concatenate([c["y"], np.ones(k), np.zeros(k)])
    w = np.concatenate([np.ones(n), weight, weight])
    w[n:] *= share_of_fixes * n / w[n:].sum()
    worse, better, each = inpatch_pairs(1 - c["y"], c["hp"])
    each = each / each.sum()
    other = np.random.default_rng(1).permutation(k)
    better = np.concatenate([better, n + np.arange(k), n + np.arange(k)])
    worse = np.concatenate([worse, n + k + np.arange(k), n + k + other])
    fixes = np.concatenate([weight, np.sqrt(weight * weight[other])])
    each = np.concatenate([each, fixes * share_of_fixes / fixes.sum()])
    assert (y[better] > y[worse]).all()
    return average([boost(x, y, w / w.sum(), (better, worse, each / each.sum()), share, rounds, s) for s in seeds])


# ---- measures


def five(good, bad, n=4000):
    """Five fixes, one of them reversed: the mean within-patch AUC."""
    rng, out = np.random.default_rng(0), []
    for _ in range(n):
        i = rng.choice(len(good), 5, replace=False)
        out.append(np.mean(good[i[1:]] > bad[i[0]]) + 0.5 * np.mean(good[i[1:]] == bad[i[0]]))
    return np.mean(out)


def interval(stat, n, times=400):
    rng = np.random.default_rng(0)
    return np.percentile([stat(rng.choice(n, n)) for _ in range(times)], [2.5, 97.5]).round(3)


def main():
    S, sm = load("s")
    C, _ = load("c")
    weight = np.array([1.0 if m["fix"] else 0.4 for m in sm[0::2]])
    fixed = S["change"][0::2]
    fold = folds(np.append(S["repo"], C["repo"]))
    fs, fc = fold[: len(S["y"])], fold[len(S["y"]) :]
    ds, dc = np.zeros(len(S["y"])), np.zeros(len(C["y"]))
    for k in range(5):
        w = fit_direction(fixed[fs[0::2] != k], weight[fs[0::2] != k])
        ds[fs == k], dc[fc == k] = S["change"][fs == k] @ w, C["change"][fc == k] @ w
    W = fit_direction(fixed, weight)
    x_c, x_s = matrix(C, dc), matrix(S, ds)
    print('direction, out of fold', np.mean(ds[0::2][weight == 1] > 0), five(ds[0::2][weight == 1], ds[1::2][weight == 1]))
    H = fit_trees(C, x_c, x_s, weight)
    data = {n: load(n) for n in ("pd", "fd", "ad")}
    x = {n: matrix(d, d["change"] @ W) for n, (d, _) in data.items()}
    trees = {n: total(H, v) for n, v in x.items()}
    (P, pm), (F, _), (A, am) = data["pd"], data["fd"], data["ad"]

    from safetensors.numpy import load_file, save_file

    T = load_file(BUNDLE / "heads.safetensors")
    mean = float(T["fusion.hunk_trunk_mean"][0])
    pickled = lambda n: pickle.load(open(f"work/v0-{n}.pkl", "rb"))
    flat = lambda v: np.array([mean if s is None else s for o in v for s in o[1]], float)
    trunk = {"pd": flat(pickled("pd")), "fd": flat(pickled("fd"))}
    ad, owner = pickled("ad"), np.array([m["n"] for m in am])[A["hp"]]
    trunk["ad"] = np.array([mean if ad[p][1][h] is None else ad[p][1][h] for p, h in zip(owner, A["hn"])], float)
    patch = np.load("work/patch-dev.npz")["f"]
    # Patches of planted defects have no description: their logits come from the exported bundle's bare branches.
    bare = bare_logits(T)
    np.savez("work/v3-bare.npz", bare=bare)
    pickle.dump(H, open("work/H3.pkl", "wb"))
    planted = np.array([m["kind"].split(":")[0] for m in pm])[P["hp"]] == "planted"
    kinds = np.array([m["kind"] for m in pm])[P["hp"]]
    exact = F["X"][0::2, features.METRICS.index("added_tokens")] == F["X"][0::2, features.METRICS.index("removed_tokens")]

    def table(name, w):
        z = {n: w[0] * trunk[n] + w[1] * trees[n] for n in trees}
        z["pd"] = z["pd"] + w[2] * bare[P["hp"]]
        z["ad"] = z["ad"] + w[2] * patch[owner]
        y, s, hp = P["y"][planted], z["pd"][planted], P["hp"][planted]
        good, bad = z["fd"][0::2], z["fd"][1::2]
        print(name, f"planted {auc(y, s):.3f} within {within(y, s, hp)[0]:.3f} top1 {within(y, s, hp)[1]:.3f} | fix paired {np.mean(good > bad):.3f} "
              f"{interval(lambda i: np.mean(good[i] > bad[i]), len(good))} five {five(good, bad):.3f} exact {five(good[exact], bad[exact]):.3f} n {exact.sum()} "
              f"| agents {auc(A['y'], z['ad']):.3f}", flush=True)  # fmt: skip
        return z

    for name, w in (("trees", (0, 1, 0)), ("trees+patch", (0, 1, 0.4)), ("0.15 trunk", (0.15, 1, 0.4)), ("0.3 trunk", (0.3, 1, 0.4))):
        table(name, w)
    print("kinds planted", {k: int((kinds[planted] == k).sum()) for k in np.unique(kinds[planted])})
    # Trunk, text, lines, trees, a constant, the patch.
    w = np.array([0.15, 0.0, 0.0, 0.9, -0.4 * patch.mean(), 0.4])
    logit = {n: w[0] * trunk[n] + w[3] * trees[n] + w[4] for n in trees}
    f, fa = logit["pd"] + w[5] * bare[P["hp"]], logit["ad"] + w[5] * patch[owner]
    s, y = np.concatenate([fa, f[planted]]), np.concatenate([A["y"], P["y"][planted]]).astype(float)
    repo = np.concatenate([A["repo"], P["repo"][planted]])
    each = np.concatenate([np.full(len(fa), 1 / len(fa)), np.full(planted.sum(), 1 / planted.sum())])
    each /= each.mean()
    hunk_map, measured = fit_platt(s, y, repo, each)
    print(hunk_map, measured)
    old = json.loads((BUNDLE / "calibration.json").read_text())
    old["id"], old["hunk"] = "diffidence-small-0.3.0-dev", hunk_map
    old["notes"]["hunk"] = {"n_agent": len(fa), "n_planted": int(planted.sum()), "bins": bins(s, y, hunk_map), **measured}
    t = {k: v for k, v in T.items() if not k.startswith("trees.hunk.")}
    t |= {f"trees.hunk.{k}": v for k, v in H.items()}
    t |= {"fusion.hunk": w.astype(np.float32), "direction.hunk.weight": W.astype(np.float16)}
    save_file({k: np.ascontiguousarray(v) for k, v in t.items()}, BUNDLE / "heads.safetensors")
    (BUNDLE / "calibration.json").write_text(json.dumps(old, indent=2) + "\n")
    b = json.loads((BUNDLE / "bundle.json").read_text())
    b["version"], b["lexical"]["reversal"] = "0.3.0", 130
    for file in b["weights"]:
        file["sha256"] = sha256(BUNDLE / file["file"])
    b["calibration_sha256"] = sha256(BUNDLE / "calibration.json")
    (BUNDLE / "bundle.json").write_text(json.dumps(b, indent=2) + "\n")


def bare_logits(T):
    out, table = [], lambda part: T[f"lexical.bare.{part}"]
    trees = {part: T[f"trees.bare.{part}"] for part in ("roots", "feature", "right", "value")}
    c = T["fusion.bare"].astype(float)
    for files, _, _ in linedata.dset("planted-dev"):
        text = features.text_logit(features.counts(files), table("idf"), table("weight"), table("bias")[0])
        out.append(c @ [text, total(trees, np.array([features.metrics(files, None)]))[0], 1.0])
    return np.array(out)


def bins(s, y, m):
    """At prior 0.5: how many of the hunks with such a probability are right."""
    p = sigmoid(m["slope"] * s + m["intercept"] - np.log(m["reference_prior"] / (1 - m["reference_prior"])))
    w = np.where(y == 1, 0.5 / np.mean(y == 1), 0.5 / np.mean(y == 0))
    out = []
    for i in range(10):
        k = (p >= i / 10) & ((p < (i + 1) / 10) | (i == 9))
        right = round(float((w * y)[k].sum() / w[k].sum()), 4) if k.any() else 0.0
        out.append({"low": i / 10, "high": (i + 1) / 10, "n": int(k.sum()), "right": right})
    return out


if __name__ == "__main__":
    if sys.argv[1] == "features":
        for name in sys.argv[2:]:
            extract(name)
    else:
        main()
