"""Plants one defect into one added line of a patch, by token rules that suit most languages.

The hunk that gets it is labelled 0, its siblings 1. The rules are those of mutation testing and of
BugLab (Allamanis et al. 2021): wrong operator, condition, constant, variable, argument order, or a
line lost or doubled.
"""

import re
from copy import deepcopy

from features import COMMENT, TEST

CODE = tuple(
    ".py .rs .java .kt .ts .tsx .js .jsx .mjs .go .c .h .cc .cpp .cxx .hpp .cs .php .rb .swift .scala .groovy".split()
)
LOOKS_LIKE_CODE = re.compile(r"[=({\[;]|\b(return|break|continue|if|else)\b.*[:;]?$")

SKIP_LINE = re.compile(r"\s*(import|from|use|using|package|#include|require|export \*|@)\b|^\s*[\[\](){};,]*\s*$")
WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
KEYWORDS = set(
    """and as assert async await bool break case catch char class const continue def default del do double elif else
    enum except export extends false final finally float fn for from func function go goto if impl import in int
    interface is lambda let long loop match mod module mut namespace new nil none not null or package pass private
    protected pub public raise ref return self short static string struct super switch this throw throws trait true
    try type typeof undefined unsafe unsigned use using val var void where while with yield None True False String
    Self Some Ok Err Vec u8 u16 u32 u64 i8 i16 i32 i64 usize isize str""".split()
)

SWAPS = {
    "boundary": [(" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > ")],
    "equality": [(" == ", " != "), (" != ", " == "), (" === ", " !== "), (" !== ", " === "), (" is not ", " is "), (" not in ", " in ")],
    "comparison": [(" < ", " > "), (" > ", " < "), (" <= ", " >= "), (" >= ", " <= ")],
    "logic": [(" && ", " || "), (" || ", " && "), (" and ", " or "), (" or ", " and ")],
    "arithmetic": [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (" += ", " -= "), (" -= ", " += "), ("++", "--"), (" % ", " / ")],
}  # fmt: skip
WORD_SWAPS = {}
for a, b in [("true", "false"), ("True", "False"), ("min", "max"), ("first", "last"), ("start", "end"), ("left", "right"),
             ("begin", "end"), ("push", "pop"), ("any", "all"), ("lower", "upper"), ("before", "after"), ("prev", "next"),
             ("width", "height"), ("row", "col"), ("x", "y"), ("src", "dst"), ("is_some", "is_none"), ("is_ok", "is_err"),
             ("startsWith", "endsWith"), ("startswith", "endswith"), ("starts_with", "ends_with"), ("key", "value")]:  # fmt: skip
    WORD_SWAPS.setdefault(a, b)
    WORD_SWAPS.setdefault(b, a)


def code_part(line):
    """The line up to a trailing comment: sites are looked for only there."""
    return re.split(r"\s(?://|#\s)", line, maxsplit=1)[0]


def outside_strings(code, at):
    return sum(code.count(q, 0, at) for q in "\"'`") % 2 == 0


def swapped_text(code, pairs):
    for old, new in pairs:
        at = code.find(old)
        while at >= 0:
            if outside_strings(code, at):
                yield code[:at] + new + code[at + len(old) :]
            at = code.find(old, at + 1)


def edits_of_line(line, nearby):
    """(rule, new line or None when the line is dropped) for every site in an added line."""
    code = code_part(line)
    tail = line[len(code) :]
    for rule, pairs in SWAPS.items():
        for new in swapped_text(code, pairs):
            yield rule, new + tail
    for m in WORD.finditer(code):
        word, (a, b) = m.group(), m.span()
        if not outside_strings(code, a):
            continue
        if word in WORD_SWAPS:
            yield "opposite", code[:a] + WORD_SWAPS[word] + code[b:] + tail
        called = code[b : b + 1] in ("(", "!", ":", "<", "=") or code[b : b + 2] == " =" or code[b : b + 4] == " := "
        if word not in KEYWORDS and not called and len(word) > 1 and a > 0:
            for other in nearby:
                if other != word and other[0].islower() == word[0].islower() and other.isupper() == word.isupper():
                    yield "variable", code[:a] + other + code[b:] + tail
    for m in re.finditer(r"(?<![\w.])\d{1,4}(?![\w.])", code):
        if outside_strings(code, m.start()):
            n = int(m.group())
            for value in {n + 1, max(n - 1, 0), 0, n * 10} - {n}:
                yield "constant", code[: m.start()] + str(value) + code[m.end() :] + tail
    for m in re.finditer(r"(?<![\w)\]])!(?=[A-Za-z_(])|\bnot (?=\w)", code):
        if outside_strings(code, m.start()) and " is not" not in code[max(0, m.start() - 3) : m.end()]:
            yield "negation", code[: m.start()] + code[m.end() :] + tail
    if m := re.search(r"\b(if|while|elif) ?(\()(?=[A-Za-z_])", code):
        yield "negation", code[: m.end()] + "!" + code[m.end() :] + tail
    elif m := re.search(r"\b(if|while|elif) (?!let |not )(?=[a-z_])", code):
        yield "negation", code[: m.end()] + ("not " if code.rstrip().endswith(":") else "!") + code[m.end() :] + tail
    for m in re.finditer(r" (&&|\|\||and|or) [\w.!()\[\]'\" =<>]+?(?=\)? ?[:{]$)", code):
        yield "dropped_condition", code[: m.start()] + code[m.end() :] + tail
    for m in re.finditer(r"\(([\w.&*\"']+), ([\w.&*\"']+)([,)])", code):
        if m.group(1) != m.group(2) and m.group(1) not in ("self", "&self", "this", "cls") and not re.search(r"\b(def|fn|func|function)\b", code):
            yield "arguments", code[: m.start()] + f"({m.group(2)}, {m.group(1)}{m.group(3)}" + code[m.end() :] + tail
    if re.search(r"\bawait ", code):
        yield "dropped_word", code.replace("await ", "", 1) + tail
    if code.rstrip().endswith("?;"):
        yield "dropped_word", code.rstrip()[:-2] + ";" + tail
    if m := re.match(r"(\s*)return (?=\w)", code):
        yield "dropped_word", m.group(1) + code[m.end() :] + tail
    if re.match(r"\s*(break|continue|return)\b.*;?$", code):
        yield "dropped_line", None
    if re.match(r"\s*[\w.:&*>\[\]\-]+( = |\(| \+= |\.).*[);\w\]]$", code) and not re.match(r"\s*(if|for|while|def|fn|class|else|elif|switch|match|func|function|public|private)\b", code):
        yield "dropped_line", None
        yield "doubled_line", line


def edits_of_hunk(hunk):
    """rule -> list of (line number, new line or None) in a hunk."""
    words = sorted({w for _, text in hunk.lines for w in WORD.findall(code_part(text)) if w not in KEYWORDS and len(w) > 1})
    n_added = sum(kind == "+" for kind, _ in hunk.lines)
    old = {text.strip() for kind, text in hunk.lines if kind == "-"}
    out = {}
    for n, (kind, text) in enumerate(hunk.lines):
        stripped = text.lstrip()
        if kind != "+" or SKIP_LINE.match(text) or not LOOKS_LIKE_CODE.search(text) or stripped.startswith(COMMENT + ('"', "'")) or len(text) > 300:
            continue
        for rule, new in edits_of_line(text, words):
            if rule == "dropped_line" and n_added < 2:
                continue
            if rule == "doubled_line" or new is None or (new != text and new.strip() not in old):
                out.setdefault(rule, []).append((n, new))
    return out


def plant(files, rng):
    """(files with a defect, hunk number, rule), or None where no rule applies. `files` is left alone."""
    places = []
    number = 0
    for f, file in enumerate(files):
        code = file.path.lower().endswith(CODE) and not any(t in file.path.lower() for t in TEST)
        for h, hunk in enumerate(file.hunks):
            if code and (edits := edits_of_hunk(hunk)):
                places.append((number, f, h, edits))
            number += 1
    if not places:
        return None
    number, f, h, edits = places[rng.integers(len(places))]
    rule = sorted(edits)[rng.integers(len(edits))]
    n, new = edits[rule][rng.integers(len(edits[rule]))]
    files = deepcopy(files)
    lines = files[f].hunks[h].lines
    if new is None:
        del lines[n]
        files[f].hunks[h].new_lines -= 1
    elif rule == "doubled_line":
        lines.insert(n, ("+", new))
        files[f].hunks[h].new_lines += 1
    else:
        lines[n] = ("+", new)
    return files, number, rule
