"""Plants defects into added lines of a patch, by token rules that suit most languages.

A hunk that gets one is labelled 0, its siblings 1. The rules are those of mutation testing and of
BugLab (Allamanis et al. 2021): wrong operator, condition, constant, variable, call, argument order, off by
one, or lines lost, doubled or out of order. The rule `HELD_OUT` is never trained on: it tests whether what was
learnt is more than this planter's habits.
"""

import re
from copy import deepcopy

from features import COMMENT, TEST

CODE = tuple(
    ".py .rs .java .kt .ts .tsx .js .jsx .mjs .go .c .h .cc .cpp .cxx .hpp .cs .php .rb .swift .scala .groovy".split()
)
LOOKS_LIKE_CODE = re.compile(r"[=({\[;]|\b(return|break|continue|if|else)\b.*[:;]?$")

DEFINES = re.compile(r"\b(def|fn|func|function|class|struct|interface)\b")
STRING = re.compile(r"\"[^\"\\\\]{1,40}\"|'[^'\\\\]{2,40}'")
STATEMENT = re.compile(r"\s*[\w.:&*>\[\]\-]+( = |\(| \+= |\.).*[);\w\]]$")
COMPOUND = re.compile(r"\s*(if|for|while|def|fn|class|else|elif|switch|match|func|function|public|private|return)\b")
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


def edits_of_line(line, nearby, called_nearby, strings):
    """(rule, new line) for every site in an added line."""
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
        alike = lambda other: other != word and other[0].islower() == word[0].islower() and other.isupper() == word.isupper()
        if word not in KEYWORDS and not called and len(word) > 1 and a > 0:
            for other in filter(alike, nearby):
                yield "variable", code[:a] + other + code[b:] + tail
        if word not in KEYWORDS and code[b : b + 1] == "(" and not DEFINES.search(code):
            for other in filter(alike, called_nearby):
                yield "call", code[:a] + other + code[b:] + tail
    for m in re.finditer(r"(?<![\w.])\d{1,4}(?![\w.])", code):
        if outside_strings(code, m.start()):
            n = int(m.group())
            for value in {n + 1, max(n - 1, 0), 0, n * 10} - {n}:
                yield "constant", code[: m.start()] + str(value) + code[m.end() :] + tail
    for m in re.finditer(r"[\[(](\w+)[\])]|(?:len|length|size|count)\b(?:\(\w*\))?(?! ?[-+])", code):
        if outside_strings(code, m.start()) and not DEFINES.search(code):
            at = m.end(1) if m.group(1) and not m.group(1).isdigit() else m.end() if not m.group(1) else None
            for sign in ("+", "-") if at else ():
                yield "off_by_one", code[:at] + f" {sign} 1" + code[at:] + tail
    for m in re.finditer(r" [-+] 1\b", code):
        if outside_strings(code, m.start()):
            yield "off_by_one", code[: m.start()] + code[m.end() :] + tail
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
        if m.group(1) != m.group(2) and m.group(1) not in ("self", "&self", "this", "cls") and not DEFINES.search(code):
            yield "arguments", code[: m.start()] + f"({m.group(2)}, {m.group(1)}{m.group(3)}" + code[m.end() :] + tail
    for m in STRING.finditer(code):
        for other in strings:
            if other != m.group():
                yield "string", code[: m.start()] + other + code[m.end() :] + tail
    if re.search(r"\bawait ", code):
        yield "dropped_word", code.replace("await ", "", 1) + tail
    if code.rstrip().endswith("?;"):
        yield "dropped_word", code.rstrip()[:-2] + ";" + tail
    if m := re.match(r"(\s*)return (?=\w)", code):
        yield "dropped_word", m.group(1) + code[m.end() :] + tail


def is_statement(line):
    code = code_part(line)
    return bool(STATEMENT.match(code)) and not COMPOUND.match(code)


def indentation(line):
    return line[: len(line) - len(line.lstrip())]


def edits_of_hunk(hunk):
    """rule -> list of (line number, lines taken out, lines put in) in a hunk."""
    codes = [code_part(text) for _, text in hunk.lines]
    words = sorted({w for code in codes for w in WORD.findall(code) if w not in KEYWORDS and len(w) > 1})
    calls = sorted({w for code in codes for w in re.findall(r"([A-Za-z_]\w*)\(", code) if w not in KEYWORDS and not DEFINES.search(code)})
    strings = sorted({w for code in codes for w in STRING.findall(code)})
    added = [kind == "+" for kind, _ in hunk.lines]
    old = {text.strip() for kind, text in hunk.lines if kind == "-"}
    out = {}
    put = lambda rule, n, taken, lines: out.setdefault(rule, []).append((n, taken, lines))
    usable = [
        kind == "+" and not SKIP_LINE.match(text) and bool(LOOKS_LIKE_CODE.search(text))
        and not text.lstrip().startswith(COMMENT + ('"', "'")) and len(text) <= 300
        for kind, text in hunk.lines
    ]  # fmt: skip
    for n, (_, text) in enumerate(hunk.lines):
        if not usable[n]:
            continue
        for rule, new in edits_of_line(text, words, calls, strings):
            if new != text and new.strip() not in old:
                put(rule, n, 1, [new])
        if sum(added) > 1 and (is_statement(text) or re.match(r"\s*(break|continue|return)\b.*;?$", code_part(text))):
            put("dropped_line", n, 1, [])
        if is_statement(text):
            put("doubled_line", n, 1, [text, text])
        if n + 1 < len(added) and usable[n + 1]:
            after = hunk.lines[n + 1][1]
            leaves = re.match(r"\s*(return|break|continue|raise|throw)\b", after)
            if sum(added) > 2 and re.match(r"\s*if\b.*[:)]$", text) and leaves and len(indentation(after)) > len(indentation(text)):
                put("dropped_guard", n, 2, [])
            if is_statement(text) and is_statement(after) and indentation(text) == indentation(after) and text != after:
                put("swapped_lines", n, 2, [after, text])
    return out


HELD_OUT = "swapped_lines"


def places(files):
    """(hunk's number, file, hunk, edits) wherever a rule applies."""
    number, out = 0, []
    for f, file in enumerate(files):
        code = file.path.lower().endswith(CODE) and not any(t in file.path.lower() for t in TEST)
        for h, hunk in enumerate(file.hunks):
            if code and (edits := edits_of_hunk(hunk)):
                out.append((number, f, h, edits))
            number += 1
    return out


def apply(files, place, rng, rules):
    """Plants by one of `rules` at a place; returns (rule, line number) or None where none of them applies."""
    _, f, h, edits = place
    names = sorted(set(edits) & set(rules) if rules else set(edits) - {HELD_OUT})
    if not names:
        return None
    rule = names[rng.integers(len(names))]
    n, taken, lines = edits[rule][rng.integers(len(edits[rule]))]
    hunk = files[f].hunks[h]
    hunk.lines[n : n + taken] = [("+", text) for text in lines]
    hunk.new_lines += len(lines) - taken
    return rule, n


def plant(files, rng, rules=None):
    """(files with a defect, hunk number, rule), or None where no rule applies. `files` is left alone.

    `rules`: only these; without them all but the one held out.
    """
    where = [p for p in places(files) if rules is None and set(p[3]) - {HELD_OUT} or rules and set(p[3]) & set(rules)]
    if not where:
        return None
    place = where[rng.integers(len(where))]
    files = deepcopy(files)
    rule, _ = apply(files, place, rng, rules)
    return files, place[0], rule


def plant_many(files, rng, share):
    """(files, {hunk number: line}): about `share` of the hunks that can have one get a defect. For training."""
    where, files, found = places(files), deepcopy(files), {}
    for place in where:
        if rng.random() < share and (made := apply(files, place, rng, None)):
            found[place[0]] = made[1]
    return files, found
