//! Gradient-boosted trees: a sum of small decision trees over numbers that describe a change.
//!
//! Invariant: every tree was checked at load. Children come after their parent, so a walk ends, and
//! every index is within bounds; a walk that falls outside all the same counts as 0. Boosting as in
//! Friedman (2001), "Greedy function approximation"; trained with LightGBM (Ke et al. 2017).

/// Most nodes that are accepted.
const MAX_NODES: usize = 1 << 20;

/// A node of a tree.
#[derive(Debug, Clone, Copy)]
enum Node {
    /// Goes to the next node if the feature is at most the threshold, else to `right`.
    Split {
        feature: usize,
        threshold: f32,
        right: usize,
    },
    Leaf(f32),
}

/// The trees, one after the other, each in the order of a walk to the left.
#[derive(Debug, Clone, Default)]
pub(super) struct Trees {
    nodes: Vec<Node>,
    roots: Vec<usize>,
}

/// Trees as they are stored: a node has a feature and the distance to its right child, or, as a
/// leaf, the feature -1; `value` is its threshold or its value.
pub(super) struct Stored<'a> {
    pub(super) roots: &'a [i32],
    pub(super) feature: &'a [i32],
    pub(super) right: &'a [i32],
    pub(super) value: &'a [f32],
}

impl Trees {
    /// Checks stored trees over `features` numbers. Fails with a clause that says what is wrong.
    pub(super) fn new(stored: &Stored<'_>, features: usize) -> Result<Self, String> {
        let count = stored.feature.len();
        if count > MAX_NODES || stored.right.len() != count || stored.value.len() != count {
            return Err(format!(
                "must have equally many features, children and values, at most {MAX_NODES}"
            ));
        }
        let nodes = stored.feature.iter().zip(stored.right).zip(stored.value);
        let nodes = nodes
            .enumerate()
            .map(|(at, ((&feature, &right), &value))| {
                if feature == -1 {
                    return Ok(Node::Leaf(value));
                }
                let feature = usize::try_from(feature).ok().filter(|&f| f < features);
                let right = usize::try_from(right).ok().filter(|&right| right > 1);
                let right = right.and_then(|right| at.checked_add(right));
                match (feature, right.filter(|&right| right < count)) {
                    (Some(feature), Some(right)) => Ok(Node::Split {
                        feature,
                        threshold: value,
                        right,
                    }),
                    _ => Err(format!("has a node {at} that points outside")),
                }
            })
            .collect::<Result<Vec<_>, String>>()?;
        let roots = stored.roots.iter().map(|&root| {
            usize::try_from(root)
                .ok()
                .filter(|&root| root < count)
                .ok_or_else(|| "has a root that points outside".to_owned())
        });
        Ok(Self {
            roots: roots.collect::<Result<_, _>>()?,
            nodes,
        })
    }

    /// The sum over all trees. Features are compared in f32, as they were in training.
    #[must_use]
    pub(super) fn sum(&self, features: &[f64]) -> f64 {
        let values = self.roots.iter().map(|&root| self.walk(root, features));
        values.map(f64::from).sum()
    }

    fn walk(&self, root: usize, features: &[f64]) -> f32 {
        let mut at = root;
        loop {
            match self.nodes.get(at) {
                Some(Node::Leaf(value)) => return *value,
                Some(Node::Split {
                    feature,
                    threshold,
                    right,
                }) => {
                    let value = features.get(*feature).copied().unwrap_or(0.0);
                    #[expect(clippy::cast_possible_truncation, reason = "as in training")]
                    let left = value as f32 <= *threshold;
                    at = if left { at + 1 } else { *right };
                }
                None => return 0.0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees(roots: &[i32], nodes: &[(i32, i32, f32)]) -> Result<Trees, String> {
        let feature: Vec<i32> = nodes.iter().map(|node| node.0).collect();
        let right: Vec<i32> = nodes.iter().map(|node| node.1).collect();
        let value: Vec<f32> = nodes.iter().map(|node| node.2).collect();
        let stored = Stored {
            roots,
            feature: &feature,
            right: &right,
            value: &value,
        };
        Trees::new(&stored, 2)
    }

    #[test]
    fn walks_end_at_leaves_and_are_summed() {
        let nodes = [
            (1, 2, 0.5),
            (-1, 0, 1.0),
            (0, 2, -1.0),
            (-1, 0, 2.0),
            (-1, 0, 4.0),
            (-1, 0, 0.25),
        ];
        let trees = trees(&[0, 5], &nodes).unwrap();
        let check = |features: [f64; 2], expect: f64| {
            assert!(
                (trees.sum(&features) - expect).abs() < 1e-12,
                "{features:?}"
            );
        };
        check([0.0, 0.5], 1.25);
        check([-1.0, 0.6], 2.25);
        check([0.0, 0.6], 4.25);
        check([f64::NAN, 0.6], 4.25);
    }

    #[test]
    fn trees_that_point_outside_are_refused() {
        let leaf = (-1, 0, 1.0);
        let refused =
            |roots: &[i32], nodes: &[(i32, i32, f32)]| assert!(trees(roots, nodes).is_err());
        refused(&[1], &[leaf]);
        refused(&[-1], &[leaf]);
        refused(&[0], &[(2, 2, 0.0), leaf, leaf]);
        refused(&[0], &[(-2, 2, 0.0), leaf, leaf]);
        refused(&[0], &[(0, 3, 0.0), leaf, leaf]);
        refused(&[0], &[(0, 0, 0.0), leaf, leaf]);
        refused(&[0], &[(0, 1, 0.0), leaf, leaf]);
        refused(&[0], &[(0, i32::MAX, 0.0), leaf, leaf]);
        refused(&[0], &[(0, -1, 0.0), leaf, leaf]);
        // A left child that is not there: the walk ends with 0.
        assert!(trees(&[0], &[leaf, (0, 2, 0.0)]).is_err());
    }
}
