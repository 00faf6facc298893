"""Rewards from `diffidence serve` for TRL, verl and OpenRLHF.

The shape is that of SWE-RM (arXiv 2512.21919), with s for the probability that the patch is correct:

    1 + s       the tests passed
    -0.5 + s    the agent ran out of turns or tokens
    s           otherwise, also where nothing was run

A patch that is flagged (none or unreadable, empty, edits tests, giant) gets nothing for its score,
and nothing for passing tests that it may have edited: 0, or -0.5 if it is unfinished. A service that
cannot answer raises `ServiceError`: it is never taken for a low score.
"""

from diffidence_client import Client

RESOLVED = 1.0
UNFINISHED = -0.5


def shaped(answer, resolved=None, unfinished=None):
    """The reward for one patch. `resolved` and `unfinished` may be unknown."""
    base = UNFINISHED if unfinished else 0.0
    if answer.flagged:
        return base
    if resolved and not unfinished:
        base = RESOLVED
    return base + answer.probability


def text_of(messages):
    """A completion as a text. Of messages, as TRL also has them, only what the policy said: a diff
    that a tool printed is not its answer."""
    if isinstance(messages, str):
        return messages
    # Parted as the turns of a chat are, so that the diffs of two turns are not read as one.
    return "\n<|im_end|>\n".join(_said_by("assistant", messages))


def task_of(prompt):
    """What a prompt asks for: of messages, the first of the user."""
    if isinstance(prompt, str):
        return prompt
    asked = _said_by("user", prompt) or [_content(message) for message in prompt]
    return asked[0] if asked else ""


def _said_by(role, messages):
    return [_content(message) for message in messages if message.get("role") == role]


def _content(message):
    content = message.get("content") or ""
    if isinstance(content, list):
        # Data sets fill the fields that a part has not with None.
        return "\n".join(part.get("text") or "" for part in content)
    return content


# -- TRL ---------------------------------------------------------------------------------------


def make_trl_reward(client=None):
    """A reward function for `reward_funcs`, with a client of its own."""
    client = client or Client()

    def diffidence(prompts, completions, log_metric=None, **columns):
        """Columns of the data that count, each optional: `problem`, `resolved`, `unfinished`."""
        count = len(completions)
        problem, resolved, unfinished = (
            columns.get(name) or [None] * count for name in ("problem", "resolved", "unfinished")
        )
        answers = client.score(
            [
                {
                    "completion": text_of(completion),
                    "prompt": task_of(prompt),
                    **({"problem": known} if known else {}),
                }
                for prompt, completion, known in zip(prompts, completions, problem, strict=True)
            ]
        )
        if log_metric:
            log_metric("diffidence/flagged", sum(answer.flagged for answer in answers) / count)
        return [shaped(*each) for each in zip(answers, resolved, unfinished, strict=True)]

    return diffidence


def trl_reward(prompts, completions, **columns):
    """`GRPOTrainer(reward_funcs=trl_reward, ...)`, with the service that the environment names."""
    return make_trl_reward()(prompts, completions, **columns)


# -- verl --------------------------------------------------------------------------------------


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    """`custom_reward_function.path=diffidence_rewards.py`, `.name=compute_score`.

    `extra_info` may say `problem`, `resolved` and `unfinished`.
    """
    extra = extra_info or {}
    item = {"completion": solution_str}
    if extra.get("problem"):
        item["problem"] = extra["problem"]
    (answer,) = Client().score([item])
    return {
        "score": shaped(answer, extra.get("resolved"), extra.get("unfinished")),
        "probability": answer.probability or 0.0,
        "flagged": float(answer.flagged),
    }


# -- OpenRLHF ----------------------------------------------------------------------------------


def reward_func(queries, prompts, labels, **_):
    """`--reward.remote_url diffidence_rewards.py`; `http://HOST:8127/get_reward` needs no file.

    A query is a prompt with its completion; the service knows where the one ends. `scores` stay
    within 0 and 1.
    """
    import torch

    rewards, flagged = Client().rewards(queries, prompts)
    rewards, flagged = torch.tensor(rewards), torch.tensor([float(it) for it in flagged])
    return {"rewards": rewards, "scores": rewards, "extra_logs": {"flagged": flagged}}
