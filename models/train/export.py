"""Writes the bundle: trunk.gguf, heads.safetensors, calibration.json, bundle.json.

`python export.py` takes them from DIFFIDENCE_WORK, as `fusion.py` left them, and writes to DIFFIDENCE_BUNDLE.
"""

import json
import shutil

import gguf
import numpy as np
from safetensors.numpy import save_file

from common import BUNDLE, CONFIG, path, sha256
from trunk import BLOCK, HIDDEN

LANGUAGES = [
    "c", "cpp", "csharp", "go", "java", "javascript", "kotlin", "php", "python", "ruby", "rust", "swift", "typescript",
]  # fmt: skip
TRUNK = CONFIG["trunk"]


def write_trunk(source, target, layers):
    """Embedding and first blocks, block for block as they are in the source file."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(str(target), "llama")
    field = lambda key: reader.get_field(key).contents()
    writer.add_name(f"SmolLM2-135M-Instruct, first {layers} of {field('llama.block_count')} blocks")
    writer.add_license("apache-2.0")
    writer.add_block_count(layers)
    writer.add_context_length(field("llama.context_length"))
    writer.add_embedding_length(field("llama.embedding_length"))
    writer.add_feed_forward_length(field("llama.feed_forward_length"))
    writer.add_head_count(field("llama.attention.head_count"))
    writer.add_head_count_kv(field("llama.attention.head_count_kv"))
    writer.add_rope_freq_base(field("llama.rope.freq_base"))
    writer.add_rope_dimension_count(field("llama.rope.dimension_count"))
    writer.add_layer_norm_rms_eps(field("llama.attention.layer_norm_rms_epsilon"))
    writer.add_vocab_size(field("llama.vocab_size"))
    raw = {t.name: t for t in reader.tensors}
    names = ["token_embd.weight"] + [f"blk.{n}.{part}.weight" for n in range(layers) for part in BLOCK]
    for name in names:
        writer.add_tensor(name, raw[name].data, raw_dtype=raw[name].tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    copied = {t.name: t for t in gguf.GGUFReader(target).tensors}
    assert list(copied) == names
    assert all(np.array_equal(copied[n].data, raw[n].data) for n in names), "not a bit-exact copy"


def feature_length(kind):
    return len(TRUNK["readouts"]) * len(CONFIG["heads"][f"{kind}_pools"]) * HIDDEN


def stored(tensors):
    """As they are on disk: f16 for the large lexical tables, f32 for the rest."""
    half = lambda name: (name.startswith("lexical.") and not name.endswith("bias")) or name.startswith(("lines.", "direction."))
    whole = lambda name: name.startswith("trees.") and not name.endswith("value")
    kind = lambda name: np.float16 if half(name) else np.int32 if whole(name) else np.float32
    return {n: np.ascontiguousarray(v, kind(n)) for n, v in tensors.items()}


def main():
    work = path("DIFFIDENCE_WORK")
    tensors = dict(np.load(work / "fusion.npz"))
    for kind in ("patch", "hunk"):
        width = tensors[f"head.{kind}.weight"].shape[1]
        assert width == feature_length(kind), (kind, width)
    BUNDLE.mkdir(parents=True, exist_ok=True)
    source = path("DIFFIDENCE_GGUF")
    write_trunk(source, BUNDLE / "trunk.gguf", TRUNK["layers"])
    save_file(stored(tensors), BUNDLE / "heads.safetensors")
    shutil.copyfile(work / "calibration.json", BUNDLE / "calibration.json")

    reader = gguf.GGUFReader(source)
    field = lambda key: reader.get_field(key).contents()
    digest = lambda name: {"file": name, "sha256": sha256(BUNDLE / name)}
    bundle = {
        "schema": 1,
        "name": CONFIG["name"],
        "version": CONFIG["version"],
        "license": "Apache-2.0",
        "kind": "trunk-heads",
        "architecture": "llama",
        "weights": [digest("trunk.gguf"), digest("heads.safetensors")],
        "tokenizer": digest("tokenizer.json"),
        "renderer": "patch@1",
        "context": TRUNK["context"],
        "calibration": "calibration.json",
        "calibration_sha256": sha256(BUNDLE / "calibration.json"),
        "languages": LANGUAGES,
        "trunk": {
            "layers": TRUNK["layers"],
            "hidden": HIDDEN,
            "heads": field("llama.attention.head_count"),
            "kv_heads": field("llama.attention.head_count_kv"),
            "intermediate": field("llama.feed_forward_length"),
            "vocab": field("llama.vocab_size"),
            "rope_theta": field("llama.rope.freq_base"),
            "rms_norm_eps": 1e-5,
        },
        "task_tokens": TRUNK["task_tokens"],
        "max_windows": TRUNK["max_windows"],
        "readouts": TRUNK["readouts"],
        "heads": {k: {"pools": CONFIG["heads"][f"{k}_pools"], "hidden": 0} for k in ("patch", "hunk")},
        "lexical": CONFIG["lexical"],
    }
    (BUNDLE / "bundle.json").write_text(json.dumps(bundle, indent=2) + "\n")
    for file in sorted(BUNDLE.iterdir()):
        print(f"{file.stat().st_size:>10} {file.name}")


if __name__ == "__main__":
    main()
