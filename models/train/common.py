"""Configuration, paths and readers that every step shares."""

import hashlib
import io
import json
import os
import tomllib
from pathlib import Path

import numpy as np
import zstandard

HERE = Path(__file__).resolve().parent
BUNDLE = Path(os.environ.get("DIFFIDENCE_BUNDLE", HERE.parent / "default"))
GOLDEN = BUNDLE.parent / "golden.jsonl" if "DIFFIDENCE_BUNDLE" in os.environ else HERE.parent.parent / "tests" / "golden" / "patches.jsonl"
CONFIG = tomllib.loads((HERE / "config.toml").read_text())
READOUTS = [4, 6, 8]  # blocks whose states are cached: more than the bundle needs, to choose from


def path(variable):
    """A folder or file outside the repository, named by an environment variable."""
    if variable not in os.environ:
        raise SystemExit(f"set {variable}; see models/train/README.md")
    return Path(os.environ[variable])


def sha256(file):
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def clean(value):
    """Lone surrogates cannot be UTF-8: replaced, as the Rust side does with invalid bytes."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if isinstance(value, str) else value


def records(name):
    """Records of `agent/train` and the like."""
    with open(path("DIFFIDENCE_DATA") / f"{name}.jsonl.zst", "rb") as f:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(f), encoding="utf-8", newline="\n"):
            yield {key: clean(value) for key, value in json.loads(line).items()}


def some(stream, together=1):
    """DIFFIDENCE_SHARE of the records, for a trial of the long stages: all if it is not set. `together` follow each other."""
    every = round(1 / float(os.environ.get("DIFFIDENCE_SHARE", 1)))
    return (r for n, r in enumerate(stream) if n // together % every == 0)


def save(file, **arrays):
    """An .npz in DIFFIDENCE_WORK, which is there only when it is whole."""
    target = path("DIFFIDENCE_WORK") / file
    np.savez(target.with_suffix(".tmp.npz"), **arrays)
    target.with_suffix(".tmp.npz").rename(target)


def load_tokenizer():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(BUNDLE / "tokenizer.json"))
    return lambda texts: [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
