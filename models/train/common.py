"""Configuration, paths and readers that every step shares."""

import hashlib
import io
import json
import os
import tomllib
from pathlib import Path

import zstandard

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent / "default"
GOLDEN = HERE.parent.parent / "tests" / "golden" / "patches.jsonl"
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


def load_tokenizer():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(BUNDLE / "tokenizer.json"))
    return lambda texts: [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
