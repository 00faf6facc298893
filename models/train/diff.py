"""Unified diff -> files, hunks, lines. The twin of the Rust parser: same input, same patch."""

import re
from copy import deepcopy
from dataclasses import dataclass, field

CONTEXT_LINES = 3
HUNK = re.compile(r"@@ -([0-9]+)(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")


@dataclass
class Hunk:
    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    lines: list  # of (kind, text): kind is ' ', '+' or '-'

    @property
    def changed(self):
        return any(kind != " " for kind, _ in self.lines)


@dataclass
class File:
    old: str
    new: str
    status: str = "modified"  # added, deleted, renamed, modified
    hunks: list = field(default_factory=list)

    @property
    def path(self):
        """The path a reader would name: the new one, the old one for a deleted file."""
        return self.old if self.status == "deleted" else self.new


def parse(text):
    """The files of a unified diff that have at least one hunk with a changed line."""
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    lines = [line[:-1] if line.endswith("\r") else line for line in lines]
    drafts, draft, i = [], None, 0
    while i < len(lines):
        line = lines[i]
        i += 1
        if line.startswith("diff --git "):
            draft = new_draft(drafts)
            draft["git"] = git_paths(line[len("diff --git ") :])
        elif line.startswith("--- ") and i < len(lines) and lines[i].startswith("+++ "):
            if draft is None or draft["old"] is not None or draft["hunks"]:
                draft = new_draft(drafts)
            draft["old"] = clean_path(line[4:], "a/")
            draft["new"] = clean_path(lines[i][4:], "b/")
            i += 1
        elif draft is None:
            continue
        elif line.startswith("new file mode"):
            draft["added"] = True
        elif line.startswith("deleted file mode"):
            draft["deleted"] = True
        elif line.startswith("rename from "):
            draft["rename_from"] = unquote(line[len("rename from ") :])
        elif line.startswith("rename to "):
            draft["rename_to"] = unquote(line[len("rename to ") :])
        elif match := HUNK.match(line):
            hunk, i = read_hunk(match, lines, i)
            if hunk.changed:
                draft["hunks"].append(trimmed(hunk))
    return [finish(d) for d in drafts if d["hunks"]]


def new_draft(drafts):
    drafts.append(
        dict(git=None, old=None, new=None, added=False, deleted=False, rename_from=None, rename_to=None, hunks=[])
    )
    return drafts[-1]


def finish(d):
    git_old, git_new = d["git"] or ("", "")
    old = d["rename_from"] or d["old"] or git_old
    new = d["rename_to"] or d["new"] or git_new
    if d["added"] or d["old"] == "/dev/null":
        status, old = "added", new
    elif d["deleted"] or d["new"] == "/dev/null":
        status, new = "deleted", old
    elif d["rename_from"] or old != new:
        status = "renamed"
    else:
        status = "modified"
    return File(old, new, status, d["hunks"])


def read_hunk(match, lines, i):
    """Reads a hunk's body by its counts; ends early at a line that cannot belong to it."""
    old_start, old_count, new_start, new_count = match.groups()
    old_left = int(old_count) if old_count is not None else 1
    new_left = int(new_count) if new_count is not None else 1
    body = []
    while i < len(lines) and (old_left > 0 or new_left > 0):
        line = lines[i]
        kind = line[:1] or " "
        if kind == "\\":
            i += 1
            continue
        if kind not in " +-":
            break
        body.append((kind, line[1:]))
        old_left -= kind != "+"
        new_left -= kind != "-"
        i += 1
    old_lines = sum(kind != "+" for kind, _ in body)
    new_lines = sum(kind != "-" for kind, _ in body)
    return Hunk(int(old_start), old_lines, int(new_start), new_lines, body), i


def trimmed(hunk):
    """At most three lines of context before the first and after the last change."""
    changed = [n for n, (kind, _) in enumerate(hunk.lines) if kind != " "]
    first = max(changed[0] - CONTEXT_LINES, 0)
    last = min(changed[-1] + CONTEXT_LINES + 1, len(hunk.lines))
    cut = len(hunk.lines) - (last - first)
    return Hunk(
        hunk.old_start + first,
        hunk.old_lines - cut,
        hunk.new_start + first,
        hunk.new_lines - cut,
        hunk.lines[first:last],
    )


def clean_path(raw, prefix):
    """`a/src/x.rs<TAB>date` -> `src/x.rs`; quoted paths are unquoted."""
    path = unquote(raw) if raw.startswith('"') else raw.split("\t", 1)[0]
    return path[len(prefix) :] if path.startswith(prefix) else path


def git_paths(rest):
    """Paths of a `diff --git` line; used only when there are no `---`/`+++` lines."""
    if rest.startswith('"'):
        old, end = unquote(rest), closing_quote(rest) + 1
        new = unquote(rest[end:].lstrip(" "))
    else:
        old, _, new = rest.partition(" b/")
    strip = lambda path, prefix: path[len(prefix) :] if path.startswith(prefix) else path
    return strip(old, "a/"), strip(new, "b/")


def closing_quote(text):
    i = 1
    while i < len(text) and text[i] != '"':
        i += 2 if text[i] == "\\" else 1
    return i


ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def unquote(text):
    """Git's C-style quoting: `"caf\\303\\251"` -> `café`. Text without quotes is returned as it is."""
    if not text.startswith('"'):
        return text
    out, i, end = bytearray(), 1, closing_quote(text)
    while i < end:
        if text[i] != "\\":
            out += text[i].encode()
            i += 1
        elif octal := re.match(r"[0-3][0-7]{2}", text[i + 1 : i + 4]):
            out.append(int(octal.group(), 8))
            i += 4
        else:
            out.append(ESCAPES.get(text[i + 1], ord("?")))
            i += 2
    return out.decode("utf-8", errors="replace")


def reverse(files):
    """The patch undone: what it added is removed."""
    files = deepcopy(files)
    for f in files:
        f.old, f.new = f.new, f.old
        f.status = {"added": "deleted", "deleted": "added"}.get(f.status, f.status)
        for h in f.hunks:
            h.old_start, h.old_lines, h.new_start, h.new_lines = h.new_start, h.new_lines, h.old_start, h.old_lines
            flip = {"+": "-", "-": "+", " ": " "}
            lines = [(flip[k], t) for k, t in h.lines]
            out, block = [], []  # removed lines come before added ones in a block of changes
            for kind, text in lines + [(" ", None)]:
                if kind == " ":
                    out += sorted(block, key=lambda line: line[0] == "+")
                    block = []
                    if text is not None:
                        out.append((kind, text))
                else:
                    block.append((kind, text))
            h.lines = out
    return files


def write(files):
    """The unified diff of files, as git writes it."""
    out = []
    for f in files:
        out.append(f"diff --git a/{f.old} b/{f.new}\n")
        out += {"added": ["new file mode 100644\n"], "deleted": ["deleted file mode 100644\n"]}.get(f.status, [])
        if f.status == "renamed":
            out.append(f"rename from {f.old}\nrename to {f.new}\n")
        old, new = ("/dev/null" if f.status == s else p for s, p in (("added", f"a/{f.old}"), ("deleted", f"b/{f.new}")))
        out.append(f"--- {old}\n+++ {new}\n")
        for h in f.hunks:
            out.append(f"@@ -{h.old_start},{h.old_lines} +{h.new_start},{h.new_lines} @@\n")
            out += [f"{kind}{text}\n" for kind, text in h.lines]
    return "".join(out)
