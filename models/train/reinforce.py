"""Does calibration matter for reinforcement learning beyond ranking? A small experiment on real candidates.

`python reinforce.py` trains a policy that chooses among the agents' patches for a task (a softmax over a linear score of
their metrics) by REINFORCE on train tasks, with one of several rewards, and follows the true rate of correct picks on
dev tasks. Prints the table and draws DIFFIDENCE_WORK/reinforce.svg. Reads DIFFIDENCE_DATA; metrics are kept in
DIFFIDENCE_WORK.

The scores that reward are those of boosted trees over the same metrics, out of fold over repositories, with a Platt map
that is out of fold too: no score was fitted on the label that it stands for.
"""

import numpy as np

from common import path
from evaluate import auc, groups, per_task, sigmoid
from fit import folds, pairs, platt, task_weights
from rows import load
from trees import average, boost, total

SEEDS, STEPS, BATCH, RATE, EVERY = 10, 3000, 16, 0.02, 100


def out_of_fold(rows):
    """(logits, probabilities) of records by trees and maps that were fitted on other repositories."""
    fold, z, p = folds(rows.repo), np.zeros(len(rows.y)), np.zeros(len(rows.y))
    for k in range(5):
        a, b = rows.take(fold != k), fold == k
        pair = pairs(a.y, a.task, np.random.default_rng(1))
        z[b] = total(average([boost(a.x, a.y, task_weights(a.task), pair, 0.5, 250, s) for s in (0, 1)]), rows.x[b])
    for k in range(5):
        slope, constant = platt(z[fold != k], rows.y[fold != k])
        p[fold == k] = sigmoid(slope * z[fold == k] + constant)
    return z, p


def shuffled_below_the_best(p, task, rng):
    """Of each task the best-scored stays the best, the others change places; and tasks change their level: an equal
    pick, a lower AUC."""
    out = p.copy()
    for ix in groups(task):
        order = ix[np.argsort(-p[ix])]
        out[order[1:]] = p[rng.permutation(order[1:])]
        level = rng.normal(0, 1.5)
        out[ix] = sigmoid(np.log(out[ix] / (1 - out[ix])) + level)
    return out


def rewards(rows, p):
    """Name -> reward of each candidate."""
    q = np.log(p / (1 - p))
    rng = np.random.default_rng(5)
    return {
        "executed label": rows.y,
        "calibrated score": p,
        "same ranking, overconfident": sigmoid(4 * q + 4 * 1.2),
        "same ranking, flattened": 0.5 + 0.05 * (p - p.mean()),
        "same pick, lower AUC": shuffled_below_the_best(p, rows.task, rng),
        "hybrid, 1 + s if resolved, else s": np.where(rows.y == 1, 1 + p, p),
    }


def train(x, reward, tasks, seed, judge):
    """Rates of correct picks on the way. REINFORCE, one pick for each of BATCH tasks, a running mean as the baseline, Adam."""
    rng, w = np.random.default_rng(seed), np.zeros(x.shape[1])
    m, v, baseline, curve = np.zeros_like(w), np.zeros_like(w), reward.mean(), [judge(w)]
    for step in range(1, STEPS + 1):
        g = np.zeros_like(w)
        got = []
        for ix in (tasks[i] for i in rng.integers(len(tasks), size=BATCH)):
            s = x[ix] @ w
            probability = np.exp(s - s.max())
            probability /= probability.sum()
            pick = rng.choice(len(ix), p=probability)
            got.append(reward[ix[pick]])
            g += (got[-1] - baseline) * (x[ix[pick]] - probability @ x[ix])
        baseline += 0.05 * (np.mean(got) - baseline)
        g = g / BATCH - 1e-3 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w += RATE * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        if step % EVERY == 0:
            curve.append(judge(w))
    return curve


def mixed(rows):
    return [ix for ix in groups(rows.task) if 0 < rows.y[ix].sum() < len(ix)]


def svg(curves, random, oracle):
    """Lines over steps with a band of plus and minus one standard error."""
    colours = ["#0b7285", "#2b8a3e", "#e8590c", "#868e96", "#9c36b5", "#1864ab"]
    wide, high, left, top = 640, 360, 50, 20
    low, up = random - 0.08, max(c.mean(0).max() for c in curves.values()) + 0.05
    at = lambda i, y: (left + i / (STEPS / EVERY) * (wide - left - 20), top + (up - y) / (up - low) * (high - top - 40))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high + 20 * len(curves)}" font-family="sans-serif" font-size="12">']
    out.append(f'<rect width="100%" height="100%" fill="white"/>')
    for y in np.arange(np.ceil(low * 20) / 20, up, 0.05):
        _, py = at(0, y)
        out.append(f'<path d="M{left} {py:.1f}H{wide - 20}" stroke="#dee2e6"/><text x="{left - 6}" y="{py + 4:.1f}" text-anchor="end">{y:.2f}</text>')
    _, py = at(0, random)
    out.append(f'<path d="M{left} {py:.1f}H{wide - 20}" stroke="#495057" stroke-dasharray="4"/><text x="{wide - 24}" y="{py - 4:.1f}" text-anchor="end">a random pick</text>')
    for n, ((name, c), colour) in enumerate(zip(curves.items(), colours)):
        mean, error = c.mean(0), c.std(0) / len(c) ** 0.5
        point = lambda i, y: "{:.1f} {:.1f}".format(*at(i, y))
        line = "L".join(point(i, y) for i, y in enumerate(mean))
        band = "L".join([point(i, y) for i, y in enumerate(mean + error)] + [point(i, y) for i, y in reversed(list(enumerate(mean - error)))])
        out.append(f'<path d="M{band}Z" fill="{colour}" opacity="0.15"/><path d="M{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = high + 20 * n
        out.append(f'<path d="M{left} {y - 4}h24" stroke="{colour}" stroke-width="2"/><text x="{left + 30}" y="{y}">{name}</text>')
    out.append(f'<text x="{(wide + left) / 2}" y="{high - 18}" text-anchor="middle">steps, to {STEPS}</text></svg>')
    return "\n".join(out)


def main():
    rows, dev = load("agent/train"), load("agent/dev")
    _, p = out_of_fold(rows)
    mean, scale = rows.x.mean(0), np.maximum(rows.x.std(0), 1e-3)
    x, x_dev = np.clip((rows.x - mean) / scale, -4, 4), np.clip((dev.x - mean) / scale, -4, 4)
    tasks, held_out = mixed(rows), mixed(dev)

    def judge(w):
        """Mean chance that the policy picks a correct patch, over dev tasks with both labels."""
        rates = []
        for ix in held_out:
            s = x_dev[ix] @ w
            q = np.exp(s - s.max())
            rates.append((q / q.sum()) @ dev.y[ix])
        return np.mean(rates)

    random, oracle = np.mean([dev.y[ix].mean() for ix in held_out]), 1.0
    print(f"{len(tasks)} train tasks, {len(held_out)} dev tasks with both labels; a random pick is right in {random:.3f}; "
          f"{SEEDS} seeds, {STEPS} steps of {BATCH}")  # fmt: skip
    print("| reward | AUC, train | within-task AUC | RM@k | right picks, dev, step 500 | at the end | best on the way |\n|---|---|---|---|---|---|---|")
    curves = {}
    for name, reward in rewards(rows, p).items():
        c = curves[name] = np.array([train(x, reward, tasks, seed, judge) for seed in range(SEEDS)])
        task = per_task(rows.y, reward, groups(rows.task))
        spread = lambda v: f"{v.mean():.3f} ± {v.std(ddof=1) / len(v) ** 0.5:.3f}"
        print(f"| {name} | {auc(rows.y, reward):.3f} | {task[:, 0].mean():.3f} | {task[:, 1].mean():.3f} | "
              f"{spread(c[:, 500 // EVERY])} | {spread(c[:, -1])} | {spread(c.max(1))} |", flush=True)  # fmt: skip
    (path("DIFFIDENCE_WORK") / "reinforce.svg").write_text(svg(curves, random, oracle))


if __name__ == "__main__":
    main()
