"""The exported bundle, run in Python: what the Rust side must reproduce."""

import json
import math

import numpy as np
import torch
from safetensors.numpy import load_file

import diff
import features
from common import BUNDLE, load_tokenizer
from render import render
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

    def lexical(self, kind, files, problem):
        """(text logit, metrics logit, metrics) of files, for the patch or one hunk."""
        t = self.t
        table = lambda part: t[f"lexical.{kind}.{part}"]
        text = features.text_logit(features.counts(files), table("idf"), table("weight"), table("bias")[0])
        values = features.metrics(files, problem)
        m = {part: t[f"metrics.{kind}.{part}"].astype(np.float64) for part in ("mean", "scale", "weight", "bias")}
        logit = float(((np.array(values) - m["mean"]) / m["scale"]) @ m["weight"] + m["bias"][0])
        return text, logit, values

    def score(self, patch, problem=None):
        files = diff.parse(patch)
        if not files:
            raise ValueError("nothing to score: the patch has no hunk with a changed line")
        r = self.render(files, problem)
        readouts = self.bundle["readouts"]
        states = [self.trunk.forward(torch.tensor([w.ids]), readouts)[:, 0].numpy() for w in r.windows]
        patch_pools, hunk_pools, read = pool(r, states)
        trunk = self.head("patch", patch_pools)
        text, metrics_logit, values = self.lexical("patch", files, problem)
        c = self.t["fusion.patch"].astype(np.float64)
        logit = float(c[0] * trunk + c[1] * text + c[2] * metrics_logit + c[3])
        out = dict(rendered=r, metrics=values, text=text, metrics_logit=metrics_logit, trunk=trunk, logit=logit, hunks=[])
        c, absent = self.t["fusion.hunk"].astype(np.float64), float(self.t["fusion.hunk_trunk_mean"][0])
        each = [features.only(f, h) for f in files for h in f.hunks]
        for n, file in enumerate(each):
            h_trunk = self.head("hunk", hunk_pools[n]) if read[n] else None
            h_text, h_metrics, _ = self.lexical("hunk", [file], problem)
            used = absent if h_trunk is None else h_trunk
            fused = float(c[0] * used + c[1] * h_text + c[2] * h_metrics + c[3] + c[4] * logit)
            out["hunks"].append(dict(trunk=h_trunk, text=h_text, metrics=h_metrics, logit=fused))
        return out
