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
    """A prompt or completion as a text: TRL also has them as lists of messages."""
    if isinstance(messages, str):
        return messages
    return "\n".join(_content(message) for message in messages)


def task_of(prompt):
    """What a prompt asks for: of messages, the first of the user."""
    if isinstance(prompt, str):
        return prompt
    asked = [_content(message) for message in prompt if message["role"] == "user"]
    return asked[0] if asked else text_of(prompt)


def _content(message):
    content = message.get("content") or ""
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
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

    A query is a prompt with its completion. `scores` stay within 0 and 1.
    """
    import torch

    answers = Client().score(
        [
            {"completion": query.removeprefix(prompt), "prompt": prompt}
            for query, prompt in zip(queries, prompts, strict=True)
        ]
    )
    rewards = torch.tensor([shaped(answer) for answer in answers])
    flagged = torch.tensor([float(answer.flagged) for answer in answers])
    return {"rewards": rewards, "scores": rewards, "extra_logs": {"flagged": flagged}}
