#!/usr/bin/env python3
"""Time and memory of a mixture of experts, beside a dense model with the same active parameters.

    cargo build --release --bin diffidence --example probe_verifier
    pip install numpy gguf
    python3 benches/mixture.py [--layers 2] [--tokens 512] [--threads N]

Writes two GGUF files of random Q4_K blocks with the dimensions of Qwen3-30B-A3B's layers into a
temporary folder: one with its 128 experts of which each token takes 8, one dense with a layer as wide
as the 8 together. Imports both as a user would and reads prompts, in turn; the best round counts, by
the clock and by processor time, which other work on the machine hardly changes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Not the bench `typing` beside this one: libraries mean the module.
sys.path.pop(0)
import numpy as np  # noqa: E402
from gguf import GGMLQuantizationType, GGUFWriter, TokenType

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HIDDEN, HEADS, KV_HEADS, WIDTH = 2048, 32, 4, 128
EXPERTS, ACTIVE, INNER = 128, 8, 768
# The model's own.
LAYERS = 48
BLOCK, BLOCK_BYTES = 256, 144


def q4_k(random, *shape):
    """Blocks of random bytes whose scales make the numbers small."""
    data = random.integers(0, 256, (*shape[:-1], shape[-1] // BLOCK, BLOCK_BYTES), dtype=np.uint8)
    scales = np.array([0.02 / 170, 0.02 * 7.5 / 170], dtype=np.float16)
    data[..., :4] = scales.view(np.uint8)
    return data.reshape(*shape[:-1], -1)


def words():
    """The bytes as GPT-2 writes them, two answers, and what leads from those to these."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [chr(256 + number) for number in range(256 - len(plain))]
    letters = [chr(byte) for byte in plain] + others
    return letters + ["YE", "YES", "NO"], ["Y E", "YE S", "N O"]


def write(path, layers, experts):
    random = np.random.default_rng(1)
    architecture = "qwen3moe" if experts else "qwen3"
    writer = GGUFWriter(path, architecture)
    vocabulary, merges = words()
    writer.add_block_count(layers)
    writer.add_context_length(32_768)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(ACTIVE * INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(WIDTH)
    writer.add_value_length(WIDTH)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    if experts:
        writer.add_expert_count(EXPERTS)
        writer.add_expert_used_count(ACTIVE)
        writer.add_expert_feed_forward_length(INNER)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([TokenType.NORMAL] * len(vocabulary))
    writer.add_token_merges(merges)

    def matrix(name, *shape):
        writer.add_tensor(f"{name}.weight", q4_k(random, *shape), raw_dtype=GGMLQuantizationType.Q4_K)

    def norm(name, length):
        writer.add_tensor(f"{name}.weight", np.ones(length, dtype=np.float32))

    matrix("token_embd", len(vocabulary), HIDDEN)
    norm("output_norm", HIDDEN)
    for layer in range(layers):
        block = f"blk.{layer}."
        norm(block + "attn_norm", HIDDEN)
        norm(block + "ffn_norm", HIDDEN)
        norm(block + "attn_q_norm", WIDTH)
        norm(block + "attn_k_norm", WIDTH)
        matrix(block + "attn_q", HEADS * WIDTH, HIDDEN)
        matrix(block + "attn_k", KV_HEADS * WIDTH, HIDDEN)
        matrix(block + "attn_v", KV_HEADS * WIDTH, HIDDEN)
        matrix(block + "attn_output", HIDDEN, HEADS * WIDTH)
        if experts:
            router = random.normal(0, 0.02, (EXPERTS, HIDDEN)).astype(np.float32)
            writer.add_tensor(block + "ffn_gate_inp.weight", router)
            matrix(block + "ffn_gate_exps", EXPERTS, INNER, HIDDEN)
            matrix(block + "ffn_up_exps", EXPERTS, INNER, HIDDEN)
            matrix(block + "ffn_down_exps", EXPERTS, HIDDEN, INNER)
        else:
            matrix(block + "ffn_gate", ACTIVE * INNER, HIDDEN)
            matrix(block + "ffn_up", ACTIVE * INNER, HIDDEN)
            matrix(block + "ffn_down", HIDDEN, ACTIVE * INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def processor(process):
    """Seconds of processor time that a process has had, on all its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def ask(process, ids):
    process.stdin.write(json.dumps({"ids": ids}) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", default=TARGET / "release/diffidence")
    parser.add_argument("--probe", default=TARGET / "release/examples/probe_verifier")
    arguments = parser.parse_args()
    ids = [(7 * i * i + 3 * i + 1) % 250 for i in range(arguments.tokens)]
    with tempfile.TemporaryDirectory() as home:
        running, sizes = {}, {}
        for name, experts in [("mixture", True), ("dense", False)]:
            path, bundle = Path(home, f"{name}.gguf"), Path(home, name)
            write(path, arguments.layers, experts)
            sizes[name] = path.stat().st_size
            command = [arguments.binary, "model", "import", path, "--out", bundle]
            command += ["--yes", "YES", "--no", "NO"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            command = [arguments.probe, bundle, str(arguments.threads)]
            pipe = subprocess.PIPE
            running[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        clock, work = (dict.fromkeys(running, float("inf")) for _ in range(2))
        peak = {}
        for _ in range(arguments.rounds):
            for name, process in running.items():
                begun = processor(process)
                answer = ask(process, ids)
                clock[name] = min(clock[name], answer["seconds"])
                work[name] = min(work[name], processor(process) - begun)
                peak[name] = answer["peak"] * 1024
        for name, process in running.items():
            process.stdin.close()
            process.wait()
            print(
                f"{name}: file {sizes[name] / 1e6:.0f} MB, peak memory {peak[name] / 1e6:.0f} MB, "
                f"{peak[name] / sizes[name]:.2f} of it"
            )
        for name, best in [("by the clock", clock), ("processor time", work)]:
            each = {kind: 1e6 * best[kind] / arguments.tokens / arguments.layers for kind in best}
            print(
                f"{name}, us per token and layer: mixture {each['mixture']:.0f}, dense "
                f"{each['dense']:.0f}, {each['mixture'] / each['dense']:.2f} times as long; "
                f"all {LAYERS} layers: {1e6 / each['mixture'] / LAYERS:.1f} tokens/s"
            )


if __name__ == "__main__":
    main()
