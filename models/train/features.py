"""The lexical branch's inputs: hashed token n-grams and change metrics, of a patch or of one hunk.

The contract with the Rust side; golden files test that both give the same numbers.
"""

import math
import re
from collections import Counter
from dataclasses import replace

BUCKETS = 1 << 18
TOKEN = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|[0-9]+|[^ \t\r\n\f\vA-Za-z_0-9]")
BLANK = " \t\r\n\f\v"

METRICS = [
    "files", "hunks", "added_lines", "removed_lines", "added_tokens", "removed_tokens", "context_tokens",
    "added_share", "blank_share", "mean_chars", "largest_hunk", "added_files", "deleted_files", "test_files",
    "test_share", "doc_files", "comment_share", "jaccard", "known_identifiers", "debug_markers", "todo_markers",
    "has_problem", "problem_tokens", "added_in_problem", "old_in_problem", "stem_in_problem", "try_tokens",
    "control_tokens", "control_delta", "line_delta",
]  # fmt: skip

TEST = ("test", "spec")
DOC = (".md", ".rst", ".txt", ".json", ".yml", ".yaml", ".toml", ".cfg", ".lock")
COMMENT = ("#", "//", "/*", "*")
DEBUG = ("print(", "println!", "console.log", "System.out", "dbg!", "fmt.Print", "printf(")
TODO = ("TODO", "FIXME", "XXX", "HACK")
TRY = {"try", "except", "catch", "finally"}
CONTROL = {"if", "for", "while", "return", "else", "match", "switch"}


def tokens(text):
    return TOKEN.findall(text)


def only(file, hunk):
    """The file reduced to one hunk: what the hunk heads see."""
    return replace(file, hunks=[hunk])


def fnv(term):
    """FNV-1a, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in term.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def bucket(term, memory={}):
    """xor-folded FNV-1a modulo the buckets; remembered, since terms repeat."""
    if (b := memory.get(term)) is None:
        h = fnv(term)
        b = ((h >> 32) ^ (h & 0xFFFFFFFF)) % BUCKETS
        if len(memory) < 5_000_000:
            memory[term] = b
    return b


def counts(files):
    """bucket -> number of terms: unigrams and within-line bigrams, prefixed with the kind of line."""
    out = Counter()
    for file in files:
        for hunk in file.hunks:
            for kind, text in hunk.lines:
                words = tokens(text)
                out.update(bucket(f"{kind}:{w}") for w in words)
                out.update(bucket(f"{kind}:{a} {b}") for a, b in zip(words, words[1:]))
    return out


def text_logit(bucket_counts, idf, weight, bias):
    """TF-IDF with logarithmic tf, L2-normalised, times the weights; f64."""
    dot = square = 0.0
    for b, n in bucket_counts.items():
        value = (1.0 + math.log(n)) * float(idf[b])
        dot += value * float(weight[b])
        square += value * value
    return (dot / math.sqrt(square) if square > 0 else 0.0) + float(bias)


def log(x):
    return math.log(1.0 + x)


def signed_log(x):
    return math.copysign(log(abs(x)), x) if x else 0.0


def share(part, whole):
    return part / whole if whole else 0.0


def identifiers(words):
    return {w for w in words if w[0].isascii() and (w[0].isalpha() or w[0] == "_")}


def stem(path):
    name = path.rsplit("/", 1)[-1]
    dot = name.rfind(".")
    return name[:dot] if dot > 0 else name


def metrics(files, problem):
    """The 30 change metrics, in the order of METRICS."""
    lines = {kind: [t for f in files for h in f.hunks for k, t in h.lines if k == kind] for kind in " +-"}
    added, removed, context = ([w for t in lines[kind] for w in tokens(t)] for kind in "+- ")
    n_added, n_removed = len(lines["+"]), len(lines["-"])
    paths = [f.path.lower() for f in files]
    test_files = sum(any(t in p for t in TEST) for p in paths)
    added_set, removed_set, old_set = set(added), set(removed), set(removed) | set(context)
    added_ids, old_ids = identifiers(added_set), identifiers(old_set)
    has_problem = bool((problem or "").strip(BLANK))
    problem_words = tokens(problem) if has_problem else []
    problem_set = set(problem_words)
    long_added = {w for w in added_ids if len(w) > 2}
    long_old = {w for w in old_ids if len(w) > 2}
    stems = {s for f in files if len(s := stem(f.path)) > 2}
    control = lambda words: sum(w in CONTROL for w in words)
    return [
        log(len(files)),
        log(sum(len(f.hunks) for f in files)),
        log(n_added),
        log(n_removed),
        log(len(added)),
        log(len(removed)),
        log(len(context)),
        share(n_added, n_added + n_removed),
        share(sum(not t.strip(BLANK) for t in lines["+"]), n_added),
        share(sum(len(t) for t in lines["+"]), n_added) / 100.0,
        log(max((sum(k == "+" for k, _ in h.lines) for f in files for h in f.hunks), default=0)),
        log(sum(f.status == "added" for f in files)),
        log(sum(f.status == "deleted" for f in files)),
        log(test_files),
        share(test_files, len(files)),
        log(sum(p.endswith(DOC) for p in paths)),
        share(sum(t.lstrip(BLANK).startswith(COMMENT) for t in lines["+"]), n_added),
        share(len(added_set & removed_set), len(added_set | removed_set)),
        share(len(added_ids & old_ids), len(added_ids)),
        log(sum(t.count(m) for t in lines["+"] for m in DEBUG)),
        log(sum(t.count(m) for t in lines["+"] for m in TODO)),
        float(has_problem),
        log(len(problem_words)),
        share(len(long_added & problem_set), len(long_added)),
        share(len(long_old & problem_set), len(long_old)),
        float(bool(stems & problem_set)),
        log(sum(w in TRY for w in added)),
        log(control(added)),
        signed_log(control(added) - control(removed)),
        signed_log(n_added - n_removed),
    ]
