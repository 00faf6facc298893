"""A client of `diffidence serve`, with the standard library alone.

    client = Client("http://127.0.0.1:8127")
    answer, = client.score([{"prompt": "Fix the sum.", "completion": "```diff\\n--- a/f.py\\n..."}])
    answer.probability, answer.flags
"""

import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

DEFAULT_URL = "http://127.0.0.1:8127"
# Patches in one request: well below the queue of the service, so that several clients fit in.
BATCH = 32
# What passes by itself: too many requests, and a service that is starting or busy.
PASSING = {429, 503}


class ServiceError(Exception):
    """The service cannot answer, and says why. Never to be read as a low score."""


@dataclass(frozen=True)
class Answer:
    """What is known of one patch."""

    # How likely the patch is correct; None if there is no patch that could be judged.
    probability: float | None
    # The same before calibration.
    logit: float | None
    # Why the patch must not be rewarded: `bad-patch`, `nothing-to-score`, `edits-tests`,
    # `giant-patch`, `cannot-judge`.
    flags: tuple[str, ...]

    @property
    def flagged(self):
        return bool(self.flags)


class Client:
    """Asks one service. Without arguments: what DIFFIDENCE_URL and DIFFIDENCE_TOKEN say."""

    def __init__(self, url=None, token=None, timeout=180.0, tries=6):
        self.url = (url or os.environ.get("DIFFIDENCE_URL") or DEFAULT_URL).rstrip("/")
        self.token = token or os.environ.get("DIFFIDENCE_TOKEN")
        self.timeout = timeout
        self.tries = tries

    def score(self, items):
        """One answer for each item, in order.

        An item has `patch`, a unified diff, or `completion`, a text with one in it, and, if it is
        known what the patch is for, `problem` or the `prompt` that was completed.
        """
        answers = []
        for start in range(0, len(items), BATCH):
            part = items[start : start + BATCH]
            answers += [self._answer(line) for line in self._post("/v1/score", part)]
        return answers

    def rewards(self, queries, prompts):
        """Rewards, 0 for flagged patches, and flags as 0 or 1; a query is a prompt with its
        completion."""
        rewards, flagged = [], []
        for start in range(0, len(queries), BATCH):
            end = start + BATCH
            part = {"query": queries[start:end], "prompts": prompts[start:end]}
            answer = self._post("/get_reward", part)
            rewards += answer["rewards"]
            flagged += answer["extra_logs"]["flagged"]
        return rewards, flagged

    @staticmethod
    def _answer(line):
        return Answer(line.get("probability"), line.get("logit"), tuple(line["flags"]))

    def _post(self, path, body):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        for attempt in range(self.tries):
            last = attempt + 1 == self.tries
            wait = min(2.0**attempt, 30.0)
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                if error.code not in PASSING or last:
                    raise ServiceError(f"{path}: {error.code}: {_sentence(error)}") from None
                wait = float(error.headers.get("Retry-After") or wait)
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if last:
                    raise ServiceError(f"{self.url}: {error}") from None
            time.sleep(wait)
        raise ServiceError(f"{self.url}: not tried")


def _sentence(error):
    text = error.read().decode(errors="replace")
    try:
        return json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return text[:200]
