"""The frozen trunk: the first blocks of SmolLM2-135M-Instruct, read from a GGUF file, in PyTorch.

`python trunk.py` checks it against transformers' own reading of the same file.
"""

import os
import sys

import gguf
import numpy as np
import torch
import torch.nn.functional as F

from render import ADDED, CONTEXT, REMOVED, TASK

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, EPS = 576, 9, 3, 64, 1e-5
PATCH_POOLS = ["task", "added", "removed", "context", "end"]
HUNK_POOLS = ["added", "removed", "context", "end", "patch_added"]
BLOCK = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"]


def unpermute(w, heads):
    """llama.cpp interleaves the rows of q and k for its rope; undo it for rotate-half."""
    out, inner = w.shape
    return w.reshape(heads, out // heads // 2, 2, inner).swapaxes(1, 2).reshape(out, inner)


def attention(q, k, v, chunk=128):
    """Causal attention; in chunks of queries, which on a CPU in bf16 beats PyTorch's own kernel by half."""
    if q.dtype == torch.float32:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    length, out = q.shape[2], []
    for a in range(0, length, chunk):
        b = min(a + chunk, length)
        future = torch.ones(b - a, b, dtype=torch.bool).triu(a + 1)
        score = (q[:, :, a:b] @ k[:, :, :b].transpose(-1, -2)).float() * HEAD_DIM**-0.5
        out.append(score.masked_fill_(future, float("-inf")).softmax(-1).to(v.dtype) @ v[:, :, :b])
    return torch.cat(out, dim=2)


class Trunk:
    """`dtype` is that of the matrix products; the residual stream is always f32."""

    def __init__(self, path, layers, dtype=torch.float32):
        reader = gguf.GGUFReader(path)
        field = lambda key: reader.get_field(key).contents()
        assert field("llama.embedding_length") == HIDDEN and field("llama.attention.head_count") == HEADS
        assert field("llama.attention.head_count_kv") == KV_HEADS
        assert abs(field("llama.attention.layer_norm_rms_epsilon") - EPS) < 1e-9
        self.theta, self.dtype = field("llama.rope.freq_base"), dtype
        raw = {t.name: t for t in reader.tensors}

        def tensor(name):
            t = raw[name + ".weight"]
            return np.array(gguf.quants.dequantize(t.data, t.tensor_type), dtype=np.float32)

        self.embedding = torch.from_numpy(tensor("token_embd"))
        self.blocks = []
        for n in range(layers):
            block = {}
            for part in BLOCK:
                w = tensor(f"blk.{n}.{part}")
                if part in ("attn_q", "attn_k"):
                    w = unpermute(w, HEADS if part == "attn_q" else KV_HEADS)
                w = torch.from_numpy(np.ascontiguousarray(w))
                block[part] = w if part.endswith("norm") else w.to(dtype)
            self.blocks.append(block)

    def rope(self, length):
        frequency = self.theta ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float32) / HEAD_DIM)
        angle = torch.outer(torch.arange(length, dtype=torch.float32), frequency)
        angle = torch.cat([angle, angle], dim=-1)
        return angle.cos(), angle.sin()

    @torch.inference_mode()
    def forward(self, ids, readouts):
        """ids [B, T], padded on the right (causal: padding is never seen) -> RMS-normalised readouts [R, B, T, 576]."""
        batch, length = ids.shape
        cos, sin = self.rope(length)

        def rotate(x):
            a, b = x.chunk(2, dim=-1)
            return x * cos + torch.cat([-b, a], dim=-1) * sin

        def linear(x, w):
            return F.linear(x.to(self.dtype), w)

        def split(x, heads):
            return x.view(batch, length, heads, HEAD_DIM).transpose(1, 2)

        h, out = self.embedding[ids], []
        for n, block in enumerate(self.blocks, 1):
            x = F.rms_norm(h, (HIDDEN,), block["attn_norm"], EPS).to(self.dtype)
            q = rotate(split(linear(x, block["attn_q"]).float(), HEADS)).to(self.dtype)
            k = rotate(split(linear(x, block["attn_k"]).float(), KV_HEADS)).to(self.dtype)
            v = split(linear(x, block["attn_v"]), KV_HEADS)
            k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=1) for t in (k, v))
            mixed = attention(q, k, v)
            h = h + linear(mixed.transpose(1, 2).reshape(batch, length, HIDDEN), block["attn_output"]).float()
            x = F.rms_norm(h, (HIDDEN,), block["ffn_norm"], EPS).to(self.dtype)
            x = F.silu(linear(x, block["ffn_gate"])) * linear(x, block["ffn_up"])
            h = h + linear(x, block["ffn_down"]).float()
            if n in readouts:
                out.append(F.rms_norm(h, (HIDDEN,), None, EPS))
        return torch.stack(out)


def pool(rendered, states):
    """states: per window an array [R, T, 576] -> (patch pools [R, 5, 576], hunk pools [N, R, 5, 576], read [N])."""
    readouts = states[0].shape[0]
    n_hunks = len(rendered.hunk_ends)

    def mean(pick):
        """Mean over the tokens of all windows that `pick(window index, window)` marks; zeros if none."""
        total, n = np.zeros((readouts, HIDDEN)), 0
        for w, (window, state) in enumerate(zip(rendered.windows, states)):
            mask = pick(w, window)
            if mask.any():
                total += state[:, mask].sum(axis=1, dtype=np.float64)
                n += int(mask.sum())
        return total / n if n else total

    roles = [np.array(w.roles) for w in rendered.windows]
    owner = [np.array(w.hunks) for w in rendered.windows]
    ends = [e for e in rendered.hunk_ends if e is not None]
    end_mask = [np.isin(np.arange(len(w.ids)), [i for v, i in ends if v == n]) for n, w in enumerate(rendered.windows)]
    added = mean(lambda w, _: roles[w] == ADDED)
    patch = np.stack(
        [
            mean(lambda w, _: (roles[w] == TASK) & (w == 0)),
            added,
            mean(lambda w, _: roles[w] == REMOVED),
            mean(lambda w, _: roles[w] == CONTEXT),
            mean(lambda w, _: end_mask[w]),
        ],
        axis=1,
    )
    hunks = np.zeros((n_hunks, readouts, 5, HIDDEN), dtype=np.float32)
    for n, end in enumerate(rendered.hunk_ends):
        if end is None:
            continue
        state, role, mine = states[end[0]], roles[end[0]], owner[end[0]] == n
        for p, kind in enumerate((ADDED, REMOVED, CONTEXT)):
            if (mask := mine & (role == kind)).any():
                hunks[n, :, p] = state[:, mask].mean(axis=1, dtype=np.float64)
        hunks[n, :, 3] = state[:, end[1]]
        hunks[n, :, 4] = added
    read = np.array([e is not None for e in rendered.hunk_ends], dtype=bool)
    return patch.astype(np.float32), hunks, read


def check(path, layers=8):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path), dtype=torch.float32)
    ids = torch.randint(17, 49152, (2, 300), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs = model.model(ids, output_hidden_states=True).hidden_states
    theirs = torch.stack([F.rms_norm(theirs[n], (HIDDEN,), None, EPS) for n in (4, layers)])
    ours = Trunk(path, layers).forward(ids, [4, layers])
    half = Trunk(path, layers, torch.bfloat16).forward(ids, [4, layers])
    print(f"largest difference to transformers: {(ours - theirs).abs().max():.2e} (states of RMS 1)")
    print(f"bf16 matrix products, RMS difference: {(half - ours).pow(2).mean().sqrt():.2e}")


if __name__ == "__main__":
    check(sys.argv[1] if len(sys.argv) > 1 else os.environ["DIFFIDENCE_GGUF"])
