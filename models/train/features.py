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

GROUPS = [
    ("failing", {"raise", "throw", "throws", "panic", "assert", "abort", "unwrap", "expect", "bail"}),
    ("null", {"None", "null", "nil", "undefined", "NULL", "nullptr", "Some", "Option", "Optional"}),
    ("imports", {"import", "use", "require", "include", "using", "from"}),
    ("definitions", {"def", "fn", "func", "function", "class", "struct", "impl", "trait", "interface", "enum"}),
    ("logic", {"and", "or", "not", "&", "|", "!"}),
    ("checks", {"isinstance", "hasattr", "getattr", "instanceof", "typeof", "is_some", "is_none", "is_empty", "len", "contains", "get", "in"}),
    ("selves", {"self", "this", "Self", "super"}),
    ("returns", {"return", "yield"}),
    ("ifs", {"if", "elif", "else", "match", "switch", "case"}),
    ("loops", {"for", "while", "loop", "break", "continue"}),
    ("booleans", {"True", "False", "true", "false"}),
    ("waits", {"await", "async", "lock", "spawn", "Mutex", "thread"}),
    ("copies", {"clone", "copy", "deepcopy", "to_string", "to_owned", "into", "as"}),
    ("calls", {"("}),
    ("indices", {"["}),
    ("assignments", {"="}),
    ("orders", {"<", ">"}),
    ("arithmetic", {"+", "-", "*", "/", "%"}),
    ("quotes", {'"', "'", "`"}),
    ("dots", {"."}),
    ("colons", {":"}),
    ("passes", {"pass", "...", "unimplemented", "todo", "NotImplementedError"}),
]  # fmt: skip

METRICS = [
    "files", "hunks", "added_lines", "removed_lines", "added_tokens", "removed_tokens", "context_tokens",
    "added_share", "blank_share", "mean_chars", "largest_hunk", "added_files", "deleted_files", "test_files",
    "test_share", "doc_files", "comment_share", "jaccard", "known_identifiers", "debug_markers", "todo_markers",
    "has_problem", "problem_tokens", "added_in_problem", "old_in_problem", "stem_in_problem", "try_tokens",
    "control_tokens", "control_delta", "line_delta",
    "folders", "depth", "test_lines", "doc_lines", "new_file_lines", "new_root_files", "scratch_files", "last_start",
    "max_chars", "indentation", "long_lines", "repeated_lines", "kept_lines", "echoed_lines", "bracket_delta", "odd_quotes",
    "placeholders", "removed_comments",
    *(f"{name}_added" for name, _ in GROUPS), *(f"{name}_delta" for name, _ in GROUPS),
    "numbers_added", "numbers_delta", "token_delta",
    "runs", "insertions", "deletions", "edits", "edit_kept", "edit_changed", "edit_smallest", "edit_small_share",
    "new_names", "new_name_share", "new_in_problem", "new_parts_in_problem", "new_parts_known", "lost_share", "lost_names",
    "problem_code", "code_in_added", "code_in_old", "code_in_new", "long_in_patch", "path_in_problem", "stems_in_problem",
    "paths_in_problem", "problem_lines", "problem_fences", "problem_faults",
]  # fmt: skip

SURROUNDINGS = [
    "hunks_of_patch", "files_of_patch", "share_of_patch", "words_elsewhere", "strange_share", "strange_words", "odd_share", "odd_pairs",
]  # fmt: skip

TEST = ("test", "spec")
DOC = (".md", ".rst", ".txt", ".json", ".yml", ".yaml", ".toml", ".cfg", ".lock")
COMMENT = ("#", "//", "/*", "*")
DEBUG = ("print(", "println!", "console.log", "System.out", "dbg!", "fmt.Print", "printf(")
TODO = ("TODO", "FIXME", "XXX", "HACK")
TRY = {"try", "except", "catch", "finally"}
CONTROL = {"if", "for", "while", "return", "else", "match", "switch"}
SCRATCH = ("repro", "debug", "demo", "example", "tmp", "temp", "verify", "check_", "fix_")
PLACEHOLDER = ("for now", "simplified", "placeholder", "not implemented", "unimplemented", "workaround", "in a real", "dummy", "assume")
FAULTS = {"Error", "error", "Exception", "exception", "Traceback", "panicked", "panic", "fails", "crash", "bug"}


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


def subwords(word):
    """Lower-cased parts of an identifier: `_` separates, and a capital after a small letter or digit starts one."""
    parts, part, before = [], "", ""
    for c in word:
        if c == "_" or ("A" <= c <= "Z" and ("a" <= before <= "z" or "0" <= before <= "9")):
            parts.append(part)
            part = ""
        if c != "_":
            part += c.lower()
        before = c
    parts.append(part)
    return {p for p in parts if len(p) > 2}


def all_subwords(words):
    return set().union(*map(subwords, words))


def is_code(word):
    """Whether a word of a description looks like a name in code: an inner underscore or capital."""
    inner = word[1:]
    return len(word) > 2 and ("_" in inner or any("A" <= b <= "Z" and "a" <= a <= "z" for a, b in zip(word, inner)))


class Problem:
    """The words of a task description, split once for all hunks of a patch. A blank one counts as none."""

    def __init__(self, text):
        self.text = (text or "").strip(BLANK)
        words = tokens(self.text)
        self.count, self.words = len(words), set(words)
        names = identifiers(self.words)
        self.subwords = all_subwords(names)
        self.code = {w for w in names if is_code(w)}
        self.long = {w for w in names if len(w) > 7}
        self.faults = sum(w in FAULTS for w in words)


class Side:
    """Lines of one kind."""

    def __init__(self, lines):
        self.lines, self.words = lines, [w for t in lines for w in tokens(t)]
        self.set = set(self.words)
        self.ids = identifiers(self.set)
        self.groups = [sum(w in group for w in self.words) for _, group in GROUPS]
        self.numbers = sum("0" <= w[0] <= "9" for w in self.words)

    def bracket(self, pair):
        return sum(w == pair[0] for w in self.words) - sum(w == pair[1] for w in self.words)


def blocks(hunk):
    """(removed lines, added lines) of each run of changed lines."""
    out, run = [], ([], [])
    for kind, text in hunk.lines + [(" ", "")]:
        if kind != " ":
            run[kind == "+"].append(text)
        elif run[0] or run[1]:
            out.append(run)
            run = ([], [])
    return out


def edit(old, new):
    """(tokens that stay at both ends, tokens of the longer one) of a removed line and the added one in its place."""
    a, b = tokens(old), tokens(new)
    most, start, end = min(len(a), len(b)), 0, 0
    while start < most and a[start] == b[start]:
        start += 1
    while end < most - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return start + end, max(len(a), len(b))


def indent(text):
    width = 0
    for c in text:
        if c not in " \t":
            break
        width += 4 if c == "\t" else 1
    return width


def metrics(files, problem):
    """The change metrics, in the order of METRICS. `problem`: text, None or a Problem."""
    problem = problem if isinstance(problem, Problem) else Problem(problem)
    hunks = [h for f in files for h in f.hunks]
    added, removed, context = (Side([t for h in hunks for k, t in h.lines if k == kind]) for kind in "+- ")
    n_added, n_removed = len(added.lines), len(removed.lines)
    paths = [f.path.lower() for f in files]
    is_test = [any(t in p for t in TEST) for p in paths]
    is_doc = [p.endswith(DOC) for p in paths]
    test_files = sum(is_test)
    old_set = removed.set | context.set
    old_ids = removed.ids | context.ids
    has_problem = bool(problem.text)
    long = lambda words: {w for w in words if len(w) > 2}
    long_added, long_old = long(added.ids), long(old_ids)
    new_ids = long_added - old_set
    stems = {s for f in files if len(s := stem(f.path)) > 2}
    control = lambda side: sum(w in CONTROL for w in side.words)
    plus = [sum(k == "+" for h in f.hunks for k, _ in h.lines) for f in files]
    plus_where = lambda flags: sum(n for n, flag in zip(plus, flags) if flag)
    is_new = [f.status == "added" for f in files]
    stripped = [t.strip(BLANK) for t in added.lines]
    old_lines = {t.strip(BLANK) for t in removed.lines}
    near_lines = {t.strip(BLANK) for t in context.lines}
    seen, repeated = set(), 0
    for t in stripped:
        repeated += len(t) > 8 and t in seen
        seen.add(t)
    runs = [run for h in hunks for run in blocks(h)]
    edits = [edit(old, new) for run in runs for old, new in zip(*run)]
    changed = [whole - kept for kept, whole in edits]
    new_subwords, path_subwords = all_subwords(new_ids), all_subwords(identifiers({w for f in files for w in tokens(f.path)}))
    low = [t.lower() for t in added.lines]
    return [
        log(len(files)),
        log(len(hunks)),
        log(n_added),
        log(n_removed),
        log(len(added.words)),
        log(len(removed.words)),
        log(len(context.words)),
        share(n_added, n_added + n_removed),
        share(sum(not t for t in stripped), n_added),
        share(sum(len(t) for t in added.lines), n_added) / 100.0,
        log(max((sum(k == "+" for k, _ in h.lines) for h in hunks), default=0)),
        log(sum(is_new)),
        log(sum(f.status == "deleted" for f in files)),
        log(test_files),
        share(test_files, len(files)),
        log(sum(is_doc)),
        share(sum(t.startswith(COMMENT) for t in stripped), n_added),
        share(len(added.set & removed.set), len(added.set | removed.set)),
        share(len(added.ids & old_ids), len(added.ids)),
        log(sum(t.count(m) for t in added.lines for m in DEBUG)),
        log(sum(t.count(m) for t in added.lines for m in TODO)),
        float(has_problem),
        log(problem.count),
        share(len(long_added & problem.words), len(long_added)),
        share(len(long_old & problem.words), len(long_old)),
        float(bool(stems & problem.words)),
        log(sum(w in TRY for w in added.words)),
        log(control(added)),
        signed_log(control(added) - control(removed)),
        signed_log(n_added - n_removed),
        # where
        log(len({f.path.rpartition("/")[0] for f in files})),
        log(max((f.path.count("/") for f in files), default=0)),
        share(plus_where(is_test), n_added),
        share(plus_where(is_doc), n_added),
        share(plus_where(is_new), n_added),
        log(sum(new and "/" not in f.path for f, new in zip(files, is_new))),
        log(sum(new and any(s in p.rpartition("/")[2] for s in SCRATCH) for p, new in zip(paths, is_new))),
        log(max((h.old_start for h in hunks), default=0)),
        # lines
        max((len(t) for t in added.lines), default=0) / 100.0,
        share(sum(indent(t) for t in added.lines), n_added) / 10.0,
        log(sum(len(t) > 120 for t in added.lines)),
        share(repeated, n_added),
        share(sum(len(t) > 3 and t in old_lines for t in stripped), n_added),
        share(sum(len(t) > 8 and t in near_lines for t in stripped), n_added),
        log(sum(abs(added.bracket(p) - removed.bracket(p)) for p in ("()", "[]", "{}"))),
        log(sum(t.count('"') % 2 for t in added.lines)),
        log(sum(t.count(p) for t in low for p in PLACEHOLDER)),
        log(sum(t.lstrip(BLANK).startswith(COMMENT) for t in removed.lines)),
        # tokens
        *(log(n) for n in added.groups),
        *(signed_log(a - r) for a, r in zip(added.groups, removed.groups)),
        log(added.numbers),
        signed_log(added.numbers - removed.numbers),
        signed_log(len(added.words) - len(removed.words)),
        # edits
        log(len(runs)),
        log(sum(not run[0] for run in runs)),
        log(sum(not run[1] for run in runs)),
        log(len(edits)),
        share(sum(kept for kept, _ in edits), sum(whole for _, whole in edits)),
        log(sum(changed)),
        log(min(changed, default=0)),
        share(sum(n <= 2 for n in changed), len(changed)),
        # names
        log(len(new_ids)),
        share(len(new_ids), len(long_added)),
        share(len(new_ids & problem.words), len(new_ids)),
        share(len(new_subwords & problem.subwords), len(new_subwords)),
        share(len(new_subwords & all_subwords(old_ids)), len(new_subwords)),
        share(len(long_old - added.set), len(long_old)),
        log(len(long(removed.ids) - added.set)),
        # task description
        log(len(problem.code)),
        share(len(problem.code & added.ids), len(problem.code)),
        share(len(problem.code & old_ids), len(problem.code)),
        log(len(problem.code & new_ids)),
        share(len(problem.long & (added.ids | old_ids)), len(problem.long)),
        share(len(path_subwords & problem.subwords), len(path_subwords)),
        share(sum(stem(f.path) in problem.words for f in files), len(files)),
        share(sum(f.path in problem.text for f in files), len(files)),
        log(problem.text.count("\n")),
        log(problem.text.count("```")),
        log(problem.faults),
    ]


def keeps_size(values):
    """Of the metrics of a hunk: whether it puts as many lines in as it takes out, and as many tokens."""
    added_lines, removed_lines, added_tokens, removed_tokens = values[2:6]
    return added_lines == removed_lines and added_tokens == removed_tokens


def surroundings(files):
    """For each hunk of a patch, how it relates to the others, in the order of SURROUNDINGS."""
    hunks = [h for f in files for h in f.hunks]
    own = [Counter(terms(h)) for h in hunks]
    whole = Counter()
    for counts in own:
        whole.update(counts.keys())
    n_added = [sum(k == "+" for k, _ in h.lines) for h in hunks]
    out = []
    for hunk, counts, n in zip(hunks, own, n_added):
        added = {t for k, text in hunk.lines if k == "+" for t in line_terms(text)}
        old = {t for k, text in hunk.lines if k != "+" for t in line_terms(text)}
        words = {t for t in added if " " not in t and len(t) > 2 and identifiers({t})}
        pairs = {t for t in added if " " in t}
        elsewhere = lambda t: whole[t] > 1
        strange = [t for t in words if t not in old and not elsewhere(t)]
        odd = [t for t in pairs if t not in old and not elsewhere(t)]
        out.append(
            [
                log(len(hunks)),
                log(len(files)),
                share(n, sum(n_added)),
                share(sum(map(elsewhere, words)), len(words)),
                share(len(strange), len(words)),
                log(len(strange)),
                share(len(odd), len(pairs)),
                log(len(odd)),
            ]
        )
    return out


def line_terms(text):
    """Tokens and pairs of neighbours, a space between."""
    words = tokens(text)
    return words + [f"{a} {b}" for a, b in zip(words, words[1:])]


def terms(hunk):
    return [t for _, text in hunk.lines for t in line_terms(text)]
