"""A language client for the benches: the release binary over its standard input and output.

Owns the process, the reading thread and what came from the server. It knows nothing of what is
measured.
"""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "diffidence"
# A failing condition is given up after this long, on a busy machine too: the model gives way.
PATIENCE = 300


def git(repo, *args):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", repo, "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run([*command, *args], check=True, env=environment, stdout=subprocess.DEVNULL)


def environment(folder):
    """Cache and data of one run only."""
    return {
        **os.environ,
        "DIFFIDENCE_CACHE_DIR": str(folder / "cache"),
        "DIFFIDENCE_DATA_DIR": str(folder / "data"),
    }


class Editor:
    """One server and the documents that are open in it."""

    def __init__(self, folder, binary=BINARY, settings=None, process=None):
        self.process = subprocess.Popen(
            [binary, "lsp"], env=environment(folder),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        self.news = threading.Condition()
        self.answers = {}
        self.published = []
        self.statuses = []
        self.last_message = time.perf_counter()
        self.next_id = 0
        self.versions = {}
        self.writing = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        self.request("initialize", {
            "processId": process or os.getpid(), "rootUri": None,
            "initializationOptions": settings or {},
            "capabilities": {
                "general": {"positionEncodings": ["utf-16"]},
                "workspace": {"codeLens": {"refreshSupport": True}},
            },
        })
        self.notify("initialized", {})

    def _read(self):
        out = self.process.stdout
        while True:
            length = 0
            while (line := out.readline().strip()):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not length:
                return
            message = json.loads(out.read(length))
            arrived = time.perf_counter()
            with self.news:
                self.last_message = arrived
                method = message.get("method")
                if method is None:
                    self.answers[message["id"]] = (arrived, message)
                elif "id" in message:
                    self._write({"id": message["id"], "result": None})
                elif method == "textDocument/publishDiagnostics":
                    self.published.append((arrived, message["params"]))
                elif method == "diffidence/status":
                    self.statuses.append(message["params"]["state"])
                self.news.notify_all()

    def _write(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        with self.writing:
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self.process.stdin.flush()

    def notify(self, method, params):
        self._write({"method": method, "params": params})

    def ask(self, method, params):
        """Sends a request and returns its number."""
        self.next_id += 1
        message = {"id": self.next_id, "method": method}
        self._write(message if params is None else {**message, "params": params})
        return self.next_id

    def answer(self, number):
        """The time at which the answer came, and its result."""
        arrived, message = self.until(lambda: self.answers.pop(number, None), f"answer {number}")
        if "error" in message:
            raise SystemExit(f"request {number} failed: {message['error']}")
        return arrived, message["result"]

    def request(self, method, params):
        return self.answer(self.ask(method, params))[1]

    def until(self, condition, what):
        """Waits until `condition` gives something, and returns it."""
        deadline = time.perf_counter() + PATIENCE
        with self.news:
            while True:
                if (found := condition()):
                    return found
                left = deadline - time.perf_counter()
                if left <= 0:
                    raise SystemExit(f"never: {what}")
                self.news.wait(left)

    # Documents

    def open(self, path, text):
        self.versions[path] = self.versions.get(path, 0) + 1
        self.notify("textDocument/didOpen", {"textDocument": {
            "uri": path.as_uri(), "languageId": "any", "version": self.versions[path],
            "text": text,
        }})

    def change(self, path, changes):
        self.versions[path] += 1
        self.notify("textDocument/didChange", {
            "textDocument": {"uri": path.as_uri(), "version": self.versions[path]},
            "contentChanges": changes,
        })

    def save(self, path):
        self.notify("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}})

    def close(self, path):
        self.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})

    def lens(self, path):
        """The title of the document's lens, if it has one."""
        lenses = self.request("textDocument/codeLens", {"textDocument": {"uri": path.as_uri()}})
        return lenses[0]["command"]["title"] if lenses else None

    def until_lens(self, path, wanted):
        """Asks until the lens is as wanted; returns the title."""
        deadline = time.perf_counter() + PATIENCE
        while not wanted(title := self.lens(path)):
            if time.perf_counter() > deadline:
                raise SystemExit(f"the lens of {path.name} stays {title!r}")
            time.sleep(0.001)
        return title

    def publications(self, path):
        """What was published for a document: time and parameters, in order."""
        with self.news:
            return [(at, p) for at, p in self.published if p["uri"] == path.as_uri()]

    def quiet(self, seconds):
        """Waits until the server is idle and has said nothing for so long."""
        deadline = time.perf_counter() + PATIENCE
        while True:
            with self.news:
                idle = not self.statuses or self.statuses[-1] == "idle"
                silent = time.perf_counter() - self.last_message
            if idle and silent >= seconds:
                return
            if time.perf_counter() > deadline:
                raise SystemExit(f"never quiet: {self.statuses[-3:]}")
            time.sleep(max(0.01, seconds - silent))

    # The process

    def cpu_ticks(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def resident_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def goodbye(self):
        self.request("shutdown", None)
        self.notify("exit", None)
        if self.process.wait(PATIENCE) != 0:
            raise SystemExit(f"the server ended with {self.process.returncode}")
