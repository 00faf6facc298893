#!/usr/bin/env python3
"""Compares an imported GGUF verifier with llama.cpp: next tokens, margins and speed of reading.

    cargo build --release --bin diffidence --example probe_verifier
    pip install xllamacpp                     # llama.cpp, built for this kind of machine
    target/release/diffidence model import model.gguf --out /path/to/bundle
    python3 benches/verifier.py model.gguf /path/to/bundle [--threads N] [--speed 512,4096] [--profile]
    python3 benches/requantise.py model.gguf model-f32.gguf F32
    python3 benches/verifier.py model-f32.gguf /path/to/bundle --speed ''

For each of 20 prompts, made of files of this repository, both programs tokenize the same text, and
their most likely next token and the difference of the logits of YES and NO are compared. Then both
read prompts of the same tokens, in turn, and the best of the rounds counts for each: by the clock, and
by the processor time of all threads, which other work on the machine hardly changes. With `--profile`
the time of each kind of step is told, too, on one thread. llama.cpp rounds what it multiplies with blocks
to 8 bits; with the same numbers written out in f32 it does not, and what is left of the differences is
other than that.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

# Not the bench `typing` beside this one: libraries mean the module.
sys.path.pop(0)
import xllamacpp  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Of llama.cpp's tokens, ordered by likelihood, those that are asked for: YES and NO are among them.
TOKENS = 50_000


class Ours:
    """The example probe_verifier, running."""

    def __init__(self, bundle, threads, probe, *more):
        command = [probe, bundle, str(threads), *more]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Theirs:
    """llama.cpp in this process."""

    def __init__(self, model, threads, context):
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(model)
        parameters.n_ctx = context
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = threads
        parameters.cpuparams_batch.n_threads = threads
        self.server = xllamacpp.Server(parameters)

    def ask(self, prompt, tokens=1):
        question = {
            "prompt": prompt,
            "n_predict": 1,
            "temperature": 0,
            "samplers": [],
            "n_probs": tokens,
            "cache_prompt": False,
        }
        return self.server.handle_completions(question)


def prompts():
    files = sorted(path for path in (ROOT / "src").rglob("*.rs"))
    for number, path in enumerate(files[:: len(files) // 20][:20]):
        lines = path.read_text().splitlines()[: 6 + number]
        patch = "".join(f"+{line}\n" for line in lines)
        yield (
            "<|im_start|>system\nYou are an expert code reviewer. Answer with one word, YES or NO."
            f"<|im_end|>\n<|im_start|>user\nPatch:\n```diff\n--- /dev/null\n+++ b/{path.name}\n"
            f"@@\n{patch}```\n\nIs the patch correct? Answer YES or NO.<|im_end|>\n"
            "<|im_start|>assistant\n"
        )


def compare(ours, theirs, answers):
    same_top, worst, same_length, margins = 0, 0.0, 0, []
    for prompt in prompts():
        mine = ours.ask(prompt=prompt, all=True)
        other = theirs.ask(prompt, TOKENS)
        likely = other["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        chances = {entry["id"]: entry["logprob"] for entry in likely}
        margin = mine["logits"][0] - mine["logits"][1]
        expected = chances[answers[0]] - chances[answers[1]]
        same_top += likely[0]["id"] == mine["top"]
        same_length += other["timings"]["prompt_n"] == len(mine["ids"])
        worst = max(worst, abs(margin - expected))
        margins.append(abs(margin - expected))
        print(f"{len(mine['ids']):5} tokens  margin {margin:7.3f}  llama.cpp {expected:7.3f}", flush=True)
    margins.sort()
    print(
        f"of {len(margins)} prompts: same number of tokens {same_length}, same top token {same_top}, "
        f"margins differ by {margins[len(margins) // 2]:.3f} (median), {worst:.3f} at most"
    )


def processor(process=None):
    """Seconds of processor time that a process, or this one, has had."""
    if process is None:
        return time.process_time()
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def tokens(length):
    """Neither program remembers a prompt; which tokens it has hardly matters."""
    return [(7 * i * i + 3 * i + 1) % 20_000 + 100 for i in range(length)]


def speed(ours, theirs, lengths, rounds):
    for length in lengths:
        ids = tokens(length)
        clock, work = [[], []], [[], []]
        for _ in range(rounds):
            begun = processor(ours.process)
            answer = ours.ask(ids=ids)
            work[0].append(length / (processor(ours.process) - begun))
            clock[0].append(length / answer["seconds"])
            begun = processor()
            other = theirs.ask(ids)
            work[1].append(length / (processor() - begun))
            clock[1].append(other["timings"]["prompt_per_second"])
        for name, figures in [("second", clock), ("second of processor time", work)]:
            mine, other = (max(each) for each in figures)
            print(
                f"{length} tokens: {mine:.1f} a {name}, llama.cpp {other:.1f}: {mine / other:.2f}",
                flush=True,
            )
        resident, peak = answer["resident"] * 1024, answer["peak"] * 1024
        print(f"memory {resident / 1e6:.0f} MB, at its peak {peak / 1e6:.0f} MB", flush=True)


def profile(ours, lengths):
    for length in lengths:
        answer = ours.ask(ids=tokens(length))
        steps = answer["profile"]
        steps["the rest"] = answer["seconds"] - sum(steps.values())
        for name, seconds in sorted(steps.items(), key=lambda step: -step[1]):
            print(f"{length} tokens, {name}: {seconds / answer['seconds']:.1%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--speed", default="512,4096")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-comparison", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--probe", default=TARGET / "release/examples/probe_verifier")
    arguments = parser.parse_args()
    answers = json.loads((arguments.bundle / "bundle.json").read_text())["answers"]
    lengths = [int(length) for length in arguments.speed.split(",") if length]
    ours = Ours(arguments.bundle, arguments.threads, arguments.probe)
    theirs = Theirs(arguments.model, arguments.threads, max([4096, *lengths]) + 64)
    if not arguments.skip_comparison:
        compare(ours, theirs, [answers[side]["id"] for side in ("yes", "no")])
    speed(ours, theirs, lengths, arguments.rounds)
    if arguments.profile:
        profile(Ours(arguments.bundle, 1, arguments.probe, "profile"), lengths)


if __name__ == "__main__":
    main()
