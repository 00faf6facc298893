"""The exported bundle, run in Python: what the Rust side must reproduce."""

import json
import math

import numpy as np
import torch
from safetensors.numpy import load_file

import diff
import features
import reversal
from common import BUNDLE, load_tokenizer
from render import render
from trees import total
from trunk import Trunk, pool


class Model:
    def __init__(self, folder=BUNDLE):
        self.bundle = json.loads((folder / "bundle.json").read_text())
        self.t = load_file(folder / "heads.safetensors")
        self.trunk = Trunk(folder / "trunk.gguf", self.bundle["trunk"]["layers"])
        self.encode = load_tokenizer()

    def render(self, files, problem):
        b = self.bundle
        return render(files, problem, self.encode, b["context"], b["task_tokens"], b["max_windows"])

    def head(self, kind, x):
        t, x = self.t, x.reshape(-1).astype(np.float64)
        if self.bundle["heads"][kind]["hidden"] == 0:
            return float(t[f"head.{kind}.weight"][0] @ x + t[f"head.{kind}.bias"][0])
        h = t[f"head.{kind}.0.weight"] @ x + t[f"head.{kind}.0.bias"]
        h = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in h])
        return float(t[f"head.{kind}.2.weight"][0] @ h + t[f"head.{kind}.2.bias"][0])

    def text(self, kind, counted):
        table = lambda part: self.t[f"lexical.{kind}.{part}"]
        return features.text_logit(counted, table("idf"), table("weight"), table("bias")[0])

    def linear(self, values):
        m = {part: self.t[f"metrics.patch.{part}"].astype(np.float64) for part in ("mean", "scale", "weight", "bias")}
        return float(((np.array(values) - m["mean"]) / m["scale"]) @ m["weight"] + m["bias"][0])

    def trees(self, kind, values):
        parts = {part: self.t[f"trees.{kind}.{part}"] for part in ("roots", "feature", "right", "value")}
        return float(total(parts, np.array([values], dtype=np.float64))[0])

    def score(self, patch, problem=None):
        files = diff.parse(patch)
        if not files:
            raise ValueError("nothing to score: the patch has no hunk with a changed line")
        r = self.render(files, problem)
        readouts = self.bundle["readouts"]
        described = features.Problem(problem)
        patch_pools, hunk_pools, read = None, None, [False] * len(r.hunk_ends)
        if described.text:
            states = [self.trunk.forward(torch.tensor([w.ids]), readouts)[:, 0].numpy() for w in r.windows]
            patch_pools, hunk_pools, read = pool(r, states)
        values = features.metrics(files, described)
        counted = features.counts(files)
        out = dict(rendered=r, metrics=values, hunks=[])
        if len(files) == 1 and len(files[0].hunks) == 1 and self.trees("gate", values) > 0:
            branches = dict(trees=self.trees("snippet", values))
            c = self.t["fusion.snippet"].astype(np.float64)
        elif described.text:
            branches = dict(
                trunk=self.head("patch", patch_pools), text=self.text("patch", counted),
                metrics=self.linear(values), trees=self.trees("patch", values),
            )  # fmt: skip
            c = self.t["fusion.patch"].astype(np.float64)
        else:
            branches = dict(text=self.text("bare", counted), trees=self.trees("bare", values))
            c = self.t["fusion.bare"].astype(np.float64)
        out |= dict(branches=branches, logit=float(c[:-1] @ list(branches.values()) + c[-1]))
        taught_by_tests = branches.keys() != {"text", "trees"}
        absent = float(self.t["fusion.hunk_trunk_mean"][0])
        reduced = [features.only(f, h) for f in files for h in f.hunks]
        each = reversal.numbers(files, described, self.t["lines.hunk.weight"].astype(np.float64))
        for n, (values, changed) in enumerate(each):
            trunk = self.head("hunk", hunk_pools[n]) if read[n] else None
            text = self.text("hunk", features.counts([reduced[n]]))
            direction = reversal.direction(changed, self.t["direction.hunk.weight"])
            trees = self.trees("hunk", [*values, direction])
            lines = values[len(features.METRICS) + len(features.SURROUNDINGS)]
            c = self.t["fusion.hunk_same_size" if features.keeps_size(values) else "fusion.hunk"].astype(np.float64)
            fused = float(c @ [absent if trunk is None else trunk, text, direction, trees, 1.0, out["logit"]])
            if len(each) == 1 and taught_by_tests:
                scale, constant = self.t["fusion.hunk_only"].astype(np.float64)
                fused = float(scale * out["logit"] + constant)
            out["hunks"].append(dict(trunk=trunk, text=text, lines=lines, direction=direction, trees=trees, logit=fused))
        return out
