"""Renderer `patch@1`: a patch and its task description -> text segments -> windows of token ids.

The contract with the Rust side; golden files test that both give the same ids.
"""

import re
from dataclasses import dataclass, field

TASK_CHARS = 1000
LINE_CHARS = 400
TASK, HEADER, CONTEXT, ADDED, REMOVED = range(5)
ROLE = {" ": CONTEXT, "+": ADDED, "-": REMOVED}
SPACE = re.compile(r"[ \t\r\n\f\v]+")


def task_segment(problem):
    text = SPACE.sub(" ", problem or "").strip(" ")[:TASK_CHARS]
    return f"Task: {text}\n\n" if text else ""


def header_segment(file):
    if file.status == "added":
        return f"New file: {file.new}\n"
    if file.status == "deleted":
        return f"Deleted file: {file.old}\n"
    if file.status == "renamed":
        return f"Renamed file: {file.old} -> {file.new}\n"
    return f"File: {file.new}\n"


def hunk_segments(hunk):
    """The marker, then one segment a line."""
    return [("@@\n", HEADER)] + [(f"{kind}{text[:LINE_CHARS]}\n", ROLE[kind]) for kind, text in hunk.lines]


def rendered(files, problem):
    """All segments in order, uncut: for golden files and for people."""
    parts = [task_segment(problem)]
    for file in files:
        parts.append(header_segment(file))
        for hunk in file.hunks:
            parts += [text for text, _ in hunk_segments(hunk)]
    return "".join(parts)


@dataclass
class Window:
    ids: list
    roles: list
    hunks: list  # index of the hunk (counted over the patch) a token belongs to, -1 for task and headers
    line_ends: set = field(default_factory=set)  # last tokens of the lines of hunks, where a line was not cut
    filled: bool = False  # holds more than the task


@dataclass
class Rendered:
    windows: list
    hunk_ends: list  # (window, index) of each hunk of the patch, None when it was not read
    truncated: bool = False
    tokens: int = field(init=False)

    def __post_init__(self):
        self.tokens = sum(len(w.ids) for w in self.windows)


def render(files, problem, encode, context=768, task_tokens=128, max_windows=2):
    """`encode`: list of texts -> list of id lists, no special tokens."""
    texts, shape = [task_segment(problem)], []
    for file in files:
        texts.append(header_segment(file))
        for hunk in file.hunks:
            segments = hunk_segments(hunk)
            texts += [text for text, _ in segments]
            shape.append([role for _, role in segments])
    encoded = iter(encode(texts))
    roles_of = iter(shape)

    task = next(encoded)[:task_tokens]
    windows, ends, truncated, number = [], [], False, 0

    def start():
        windows.append(Window(list(task), [TASK] * len(task), [-1] * len(task)))

    def left():
        return context - len(windows[-1].ids)

    def put(ids, roles, hunk):
        w = windows[-1]
        w.ids += ids
        w.roles += roles
        w.hunks += [hunk] * len(ids)
        w.filled = True

    def put_header(header):
        put(header, [HEADER] * len(header), -1)

    start()
    for file in files:
        header = next(encoded)[: context // 4]
        units = []
        for _ in file.hunks:
            ids, roles, line_ends = [], [], []
            for role in next(roles_of):
                piece = next(encoded)
                ids += piece
                roles += [role] * len(piece)
                line_ends.append(len(ids) - 1)
            units.append((ids, roles, line_ends))
        whole = len(header) + sum(len(ids) for ids, _, _ in units)
        if whole > left() and whole <= context - len(task):
            start()
        one_by_one = whole > left()
        if not one_by_one:
            put_header(header)
        has_header = not one_by_one
        for ids, roles, line_ends in units:
            if one_by_one:
                need = len(ids) + (0 if has_header else len(header))
                if need > left() and windows[-1].filled:
                    start()
                    has_header = False
                if not has_header:
                    put_header(header)
                    has_header = True
                if len(ids) > left():
                    ids, roles, truncated = ids[: left()], roles[: left()], True
            start_of_hunk = len(windows[-1].ids)
            put(ids, roles, number)
            windows[-1].line_ends.update(start_of_hunk + end for end in line_ends[1:] if end < len(ids))
            ends.append((len(windows) - 1, len(windows[-1].ids) - 1))
            number += 1
    if len(windows) > max_windows:
        truncated = True
        windows = windows[:max_windows]
        ends = [end if end[0] < max_windows else None for end in ends]
    return Rendered(windows, ends, truncated)
