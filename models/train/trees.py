"""Boosted trees: fitting with LightGBM and flattening to the arrays of the bundle."""

import lightgbm as lgb
import numpy as np

SETTINGS = dict(
    verbosity=-1, num_threads=1, deterministic=True, learning_rate=0.03, num_leaves=12, min_data_in_leaf=60, feature_fraction=0.3,
    bagging_fraction=0.6, bagging_freq=1, lambda_l2=20.0,
)  # fmt: skip


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def objective(weight, pair, share):
    """Cross-entropy of records and of pairs, as in `fit.logistic`, for LightGBM."""
    better, worse, pair_weight = pair
    n = len(weight)
    weight, pair_weight = weight / weight.sum() * n, pair_weight * n

    def gradients(s, data):
        p = sigmoid(s)
        g, h = (1 - share) * weight * (p - data.get_label()), (1 - share) * weight * p * (1 - p)
        if share:
            q = sigmoid(s[worse] - s[better])
            k, v = share * pair_weight * q, share * pair_weight * q * (1 - q)
            g += np.bincount(worse, k, n) - np.bincount(better, k, n)
            h += np.bincount(worse, v, n) + np.bincount(better, v, n)
        return g, np.maximum(h, 1e-6)

    return gradients


def boost(x, y, weight, pair, share, rounds, seed, **settings):
    """Trees for f32 features, as arrays."""
    settings = SETTINGS | settings | {"seed": seed, "objective": objective(weight, pair, share)}
    return flatten(lgb.train(settings, lgb.Dataset(np.float32(x), y), rounds))


def flatten(model):
    """Nodes in the order of a walk to the left: feature (-1 for a leaf), distance to the right child, threshold or value."""
    roots, feature, right, value = [], [], [], []

    def walk(node):
        at = len(feature)
        leaf = "leaf_value" in node
        feature.append(-1 if leaf else node["split_feature"])
        right.append(0)
        value.append(node["leaf_value"] if leaf else node["threshold"])
        if not leaf:
            assert node["decision_type"] == "<="
            walk(node["left_child"])
            right[at] = len(feature) - at
            walk(node["right_child"])

    for tree in model.dump_model()["tree_info"]:
        roots.append(len(feature))
        walk(tree["tree_structure"])
    return pack(roots, feature, right, value)


def pack(roots, feature, right, value):
    return {
        "roots": np.array(roots, np.int32), "feature": np.array(feature, np.int32), "right": np.array(right, np.int32),
        "value": np.array(value, np.float32),
    }  # fmt: skip


def average(several):
    """One set of trees whose sum is the mean of those of `several`."""
    roots, first = [], 0
    for t in several:
        roots.append(t["roots"] + first)
        first += len(t["feature"])
    join = lambda key: np.concatenate([t[key] for t in several])
    feature, value = join("feature"), join("value")
    value = np.where(feature < 0, value / len(several), value)
    return pack(np.concatenate(roots), feature, join("right"), value)


def total(trees, x):
    """The sum of all trees for each row; features are compared in f32."""
    x = np.float32(x)
    rows, out = np.arange(len(x)), np.zeros(len(x))
    for root in trees["roots"]:
        at = np.full(len(x), root)
        while (split := trees["feature"][at] >= 0).any():
            i, here = rows[split], at[split]
            left = x[i, trees["feature"][here]] <= trees["value"][here]
            at[split] = here + np.where(left, 1, trees["right"][here])
        out += trees["value"][at].astype(np.float64)
    return out
