"""Rewards for TRL, verl and OpenRLHF from the real service."""

import socket
import sys
import threading
import types

import pytest
from conftest import start
from diffidence_client import Answer, Client, ServiceError
from diffidence_rewards import compute_score, make_trl_reward, reward_func, shaped, trl_reward

def about(value):
    return pytest.approx(value, abs=0.01)


HIGH, LOW = about(0.87), about(0.12)


def diff(added, path="f.py", old="x = 0"):
    return f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{added}\n"


GIANT = "--- /dev/null\n+++ b/f.py\n@@ -0,0 +1,2001 @@\n" + "+x\n" * 2001

# A completion, its flags, and the reward for it alone.
CASES = {
    "good": (f"So:\n```diff\n{diff('good')}```\n", (), HIGH),
    "bad": (diff("bad"), (), LOW),
    "no patch": ("I would rather not.", ("bad-patch",), 0.0),
    "nothing": ("", ("bad-patch",), 0.0),
    "cut off": ("--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@", ("nothing-to-score",), 0.0),
    "renames": ("diff --git a/x b/y\nrename from x\nrename to y\n", ("nothing-to-score",), 0.0),
    "edits a test": (diff("good", "tests/test_f.py"), ("edits-tests",), 0.0),
    "giant": (GIANT, ("giant-patch", "cannot-judge"), 0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_flagged_patch_is_never_rewarded(name):
    completion, flags, reward = CASES[name]
    (answer,) = Client().score([{"completion": completion, "prompt": "Fix it."}])
    assert answer.flags == flags
    assert shaped(answer) == reward
    assert shaped(answer, resolved=True) == (0.0 if flags else about(1 + reward.expected))
    assert shaped(answer, unfinished=True) == about(-0.5 + (0.0 if flags else reward.expected))


@pytest.mark.parametrize(
    ("flags", "resolved", "unfinished", "reward"),
    [
        ((), None, None, 0.25),
        ((), True, None, 1.25),
        ((), False, False, 0.25),
        ((), False, True, -0.25),
        # Nothing that is unfinished was resolved.
        ((), True, True, -0.25),
        (("edits-tests",), True, False, 0.0),
        (("bad-patch",), None, True, -0.5),
    ],
)
def test_the_shape_is_that_of_swe_rm(flags, resolved, unfinished, reward):
    assert shaped(Answer(0.25, -1.1, flags), resolved, unfinished) == reward


def test_trl_gets_a_number_for_each_completion():
    prompts = ["Fix it.", f"Fix it, as in:\n{diff('good')}"]
    logged = {}
    # As TRL 1.16 calls it.
    rewards = make_trl_reward()(
        prompts=prompts,
        completions=[diff("bad"), "No."],
        completion_ids=[[1], [2]],
        trainer_state=None,
        log_extra=lambda *_: None,
        log_metric=logged.__setitem__,
        resolved=[True, None],
    )
    assert rewards == [about(1.12), 0.0]
    assert logged == {"diffidence/flagged": 0.5}
    conversation = [{"role": "system", "content": "Be good."}, {"role": "user", "content": "Fix it."}]
    said = [{"role": "assistant", "content": diff("good")}]
    assert trl_reward([conversation], [said], unfinished=[True]) == [about(0.37)]


TOOL = {"role": "tool", "content": diff("good")}


def says(content):
    return {"role": "assistant", "content": content}


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        # What a tool printed, or a user, is not the answer.
        ([says("See."), TOOL, says("I give up.")], 0.0),
        ([says("See."), {"role": "user", "content": diff("good")}, says("No.")], 0.0),
        ([TOOL], 0.0),
        ([says("See."), TOOL, says(diff("bad"))], LOW),
        ([says(diff("bad")), TOOL, says("Done.")], LOW),
        # The last of two diffs.
        ([says(diff("bad")), TOOL, says(diff("good"))], HIGH),
        ([says(diff("good", "tests/test_f.py")), says(diff("good"))], HIGH),
        ([says(None), says(diff("good"))], HIGH),
        # Parts, whose fields are filled with None.
        ([says([{"type": "text", "text": diff("good"), "image": None}])], HIGH),
        ([says([{"type": "image", "text": None}, {"type": "text", "text": diff("bad")}])], LOW),
        ([says([{"type": "image"}])], 0.0),
        ([], 0.0),
    ],
)
def test_only_what_the_policy_said_is_rewarded(completion, reward):
    prompt = [{"role": "user", "content": [{"type": "text", "text": "Fix it."}, {"text": None}]}]
    assert trl_reward([prompt], [completion]) == [reward]


def test_verl_gets_a_score_and_what_to_log():
    score = compute_score("swe", diff("good"), "", {"problem": "Fix it.", "resolved": True})
    assert score == {"score": about(1.87), "probability": HIGH, "flagged": 0.0}
    assert compute_score(data_source="swe", solution_str="No.", ground_truth=None) == {
        "score": 0.0,
        "probability": 0.0,
        "flagged": 1.0,
    }


def test_openrlhf_gets_tensors(monkeypatch):
    # Tensors are all that it needs of torch, which is too large to install for this.
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(tensor=list))
    prompt = f"Fix it, as in:\n{diff('good')}\n"
    result = reward_func([prompt + diff("bad"), prompt + "No."], [prompt, prompt], ["", ""])
    assert result == {"rewards": [LOW, 0.0], "scores": [LOW, 0.0], "extra_logs": {"flagged": [0.0, 1.0]}}
    # What a tokenizer puts in front, and white space of its own.
    queries = ["<s>" + prompt + "No.", prompt.rstrip() + " No.", "<s> " + prompt + diff("bad")]
    assert reward_func(queries, [prompt, prompt + " ", prompt], [""] * 3)["rewards"] == [0.0, 0.0, LOW]
    with pytest.raises(ServiceError, match=r"`prompts\[1\]`: it is not in `query\[1\]`"):
        reward_func([prompt, "No."], [prompt, prompt], ["", ""])


def test_many_patches_are_sent_in_parts():
    patches = [diff("good" if number % 3 else "bad") for number in range(100)]
    answers = Client().score([{"patch": patch} for patch in patches])
    assert [answer.probability for answer in answers] == [
        HIGH if number % 3 else LOW for number in range(100)
    ]


def test_a_service_that_cannot_answer_is_no_low_score(tmp_path):
    with pytest.raises(ServiceError, match="refused"):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            closed = taken.getsockname()[1]
        Client(f"http://127.0.0.1:{closed}", tries=1).score([{"patch": diff("good")}])
    with pytest.raises(ServiceError, match="`patch` or `completion`"):
        Client().score([{"problem": "Fix it."}])
    token = "0123456789abcdef"
    process, url = start(tmp_path, DIFFIDENCE_TOKEN=token)
    try:
        with pytest.raises(ServiceError, match="401"):
            Client(url).score([{"patch": diff("good")}])
        assert Client(url, token).score([{"patch": diff("good")}])[0].probability == HIGH
    finally:
        process.kill()
        process.wait()


def test_a_busy_service_is_asked_again():
    listener = socket.create_server(("127.0.0.1", 0))
    body = b'[{"probability": 0.5, "logit": 0.0, "flags": []}]'
    replies = [
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
    ]

    def serve():
        for reply in replies:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert client.score([{"patch": diff("good")}]) == [Answer(0.5, 0.0, ())]
    thread.join()
