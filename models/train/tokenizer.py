"""tokenizer.json from the vocabulary inside the GGUF file.

The control tokens (`<|im_start|>` and so on) are plain vocabulary here: text from a patch is never
read as a control token. Every numeric character is split off, as in the original SmolLM2 tokenizer and
llama.cpp's `smollm`; transformers' converter forgets that, which only shows for numbers that are not ASCII.
`python tokenizer.py` writes the file and compares it with transformers' reading.
"""

import gguf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from common import BUNDLE, path


def build(gguf_path):
    reader = gguf.GGUFReader(gguf_path)
    words = reader.get_field("tokenizer.ggml.tokens").contents()
    merges = [tuple(m.split(" ", 1)) for m in reader.get_field("tokenizer.ggml.merges").contents()]
    assert reader.get_field("tokenizer.ggml.pre").contents() == "smollm"
    tokenizer = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    return tokenizer


def main():
    BUNDLE.mkdir(parents=True, exist_ok=True)
    source = path("DIFFIDENCE_GGUF")
    ours = build(source)
    ours.save(str(BUNDLE / "tokenizer.json"), pretty=False)

    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    samples = [
        "+    return x[1:10] ** 2  # naïve 1234567890\n",
        "-\tif (a && b) { puts(\"héllo 🦀\"); }\n",
        "Task: Fix the   bug?! it's don't\n\n",
        "@@\n",
        "+\n",
        " \t \t}\n",
        "+日本語 e\u0301 \u00a0\ufeff\n",
        "File: src/a-b_c/d.e2e.ts\n",
    ]
    for text in samples:
        a, b = ours.encode(text, add_special_tokens=False).ids, theirs.encode(text, add_special_tokens=False)
        assert a == b, (text, a, b)
        assert ours.decode(a) == text, (text, ours.decode(a))
    print(f"tokenizer.json: {len(samples)} samples identical with transformers")


if __name__ == "__main__":
    main()
