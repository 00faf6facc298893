"""The real service with a small model, on loopback: 12% for patches that add `bad`, 87% for others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "rl"))


def start(folder, *arguments, **environment):
    """A process, and the address that it listens on. The program and the bundle must be named."""
    process = subprocess.Popen(
        [os.environ["DIFFIDENCE"], "serve", "--port", "0", *arguments],
        env={
            **os.environ,
            "DIFFIDENCE_MODEL": os.environ["DIFFIDENCE_TINY_BUNDLE"],
            "DIFFIDENCE_CACHE_DIR": str(folder / "cache"),
            "DIFFIDENCE_DATA_DIR": str(folder / "data"),
            **environment,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert "listens on " in line, f"the service did not start: {line!r}"
    return process, line.split("listens on ")[1].strip()


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    process, url = start(tmp_path_factory.mktemp("serve"))
    yield url
    process.terminate()
    assert process.wait(10) == 0


@pytest.fixture(autouse=True)
def environment(url, monkeypatch):
    monkeypatch.setenv("DIFFIDENCE_URL", url)
    monkeypatch.delenv("DIFFIDENCE_TOKEN", raising=False)
