"""The whole pipeline, from records and base weights to the bundle and its golden file.

`python pipeline.py` runs every stage whose output is not in DIFFIDENCE_WORK yet; `python pipeline.py STAGE...` runs these,
whether it is there or not. `--share 0.02` goes through the long stages with a share of their records, for a trial: give
it a DIFFIDENCE_WORK of its own. The bundle is written to DIFFIDENCE_WORK/bundle, the golden file beside it.
"""

import argparse
import os
import subprocess
import sys
import time

from common import HERE, path

# name: (command, what it leaves in DIFFIDENCE_WORK)
STAGES = {
    "tokenizer": ("tokenizer.py", "bundle/tokenizer.json"),
    "rows": ("rows.py", "rows-function-dev.npz"),
    "trunk": ("extract.py", "features/done"),
    "heads": ("fit_heads.py", "heads.npz"),
    "described": ("fit_patches.py described", "described.npz"),
    "bare": ("fit_patches.py bare", "bare.npz"),
    "snippet": ("snippet.py", "snippet.npz"),
    "lines": ("fit_lines.py", "lines.npz"),
    "direction": ("fit_direction.py", "direction.npz"),
    "hunks": ("fit_hunks.py", "hunks.npz"),
    "fusion": ("fusion.py", "fusion.npz"),
    "export": ("export.py", "bundle/bundle.json"),
    "calibrate": ("calibrate.py", "bundle/calibrated"),
    "golden": ("golden.py", "golden.jsonl"),
}
MARKED = ("trunk", "calibrate")  # their output is a mark that they have ended


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("stage", nargs="*", help=", ".join(STAGES))
    arguments.add_argument("--share", default=os.environ.get("DIFFIDENCE_SHARE", "1"))
    given = arguments.parse_args()
    if unknown := set(given.stage) - set(STAGES):
        arguments.error(f"no such stage: {', '.join(unknown)}")
    work = path("DIFFIDENCE_WORK")
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {"DIFFIDENCE_SHARE": given.share, "DIFFIDENCE_BUNDLE": str(work / "bundle")}
    for name, (command, output) in STAGES.items():
        if name not in given.stage if given.stage else (work / output).exists():
            continue
        print(f"# {name}", flush=True)
        start = time.time()
        script, *rest = command.split()
        subprocess.run([sys.executable, HERE / script, *rest], env=environment, check=True)
        if name in MARKED:
            (work / output).touch()
        print(f"# {name}: {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
