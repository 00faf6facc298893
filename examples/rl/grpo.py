#!/usr/bin/env python3
"""Trains a tiny random policy with TRL's GRPO on the rewards of `diffidence serve`, on a CPU.

It proves the wiring, not a claim about agents: the policy's vocabulary is a handful of whole
patches, so that a model of 20 thousand weights can choose among them, and its mean reward must rise.

    diffidence serve &
    pip install -r requirements.txt
    python grpo.py

Prints the mean reward and the share of flagged completions as the trainer logs them, then what the
policy chooses before and after.
"""

import os
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from diffidence_client import Client
from diffidence_rewards import make_trl_reward, shaped
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.trainer_callback import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

STEPS = int(os.environ.get("STEPS", "30"))
SEED = 1
TASK = "`total` adds the price of every item, but it must skip items that are sold out."


def patch(*added, path="shop/basket.py"):
    """A change of one line in a function that adds prices."""
    lines = "".join(f"+{line}\n" for line in added)
    return (
        f"--- a/{path}\n+++ b/{path}\n@@ -1,5 +1,{4 + len(added)} @@\n"
        " def total(items):\n     sum = 0\n     for item in items:\n"
        f"-        sum += item.price\n{lines}     return sum\n"
    )


# What the policy can say: patches of different worth, and ways to get a reward for nothing.
CHOICES = {
    "skips sold out": patch("        if not item.sold_out:", "            sum += item.price"),
    "skips the others": patch("        if item.sold_out:", "            sum += item.price"),
    "bad name": patch("        if not bad:", "            sum += bad"),
    "deletes the sum": patch("        pass"),
    "edits the tests": patch("        sum += 1", path="tests/test_basket.py"),
    "no patch": "I would skip the items that are sold out.",
}


def tokenizer():
    """One token for each choice, and one for the task."""
    words = ["<pad>", "<eos>", TASK, *CHOICES.values()]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<pad>"))
    core.pre_tokenizer = pre_tokenizers.Split("\0", "removed")
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def policy(vocabulary):
    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32,
            pad_token_id=0, eos_token_id=1, bos_token_id=None,
        )
    )


def chances(model, words):
    """How likely the policy is to begin with each choice."""
    ids = words(TASK, return_tensors="pt").input_ids.to(model.device)
    with torch.no_grad():
        logits = model(ids).logits[0, -1]
    return dict(zip(CHOICES, logits.softmax(-1)[3:].tolist(), strict=True))


class Show(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **_):
        if logs and "reward" in logs:
            flagged = logs.get("diffidence/flagged", float("nan"))
            print(f"step {state.global_step:3}  reward {logs['reward']:.3f}  flagged {flagged:.2f}")


def main():
    client = Client()
    worth = client.score([{"completion": text, "prompt": TASK} for text in CHOICES.values()])
    words = tokenizer()
    model = policy(len(words))
    before = chances(model, words)
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=model,
            processing_class=words,
            reward_funcs=make_trl_reward(client),
            train_dataset=Dataset.from_dict({"prompt": [TASK] * 64}),
            args=GRPOConfig(
                output_dir=folder, max_steps=STEPS, learning_rate=5e-3, logging_steps=5,
                per_device_train_batch_size=16, num_generations=16, max_completion_length=1,
                use_cpu=True, bf16=False, report_to="none", save_strategy="no", seed=SEED,
                disable_tqdm=True,
            ),
            callbacks=[Show()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    after = chances(model, words)
    print(f"\n{'choice':20} reward  before  after")
    for (name, _), answer in zip(CHOICES.items(), worth, strict=True):
        flags = " ".join(answer.flags)
        print(f"{name:20} {shaped(answer):6.2f}  {before[name]:6.2f} {after[name]:6.2f}  {flags}")

    def mean(chance):
        pairs = zip(chance.values(), worth, strict=True)
        return sum(p * shaped(answer) for p, answer in pairs) / sum(chance.values())

    print(f"mean reward {mean(before):.3f} before, {mean(after):.3f} after")
    if mean(after) <= mean(before):
        sys.exit("the policy did not learn")


if __name__ == "__main__":
    main()
