//! Choosing among several candidate patches for one task.
//!
//! Invariants: all candidates are seen at once, because that several agents arrived at much the
//! same patch is a sign of its own; the result depends on the candidates and not on their order.
//! This room must not know where candidates come from or how they are shown.

mod agreement;
mod curve;
mod diagram;
mod likeness;
mod lineup;

pub use agreement::{Words, agreements};
pub use curve::{Contender, Curve, FEWEST_CANDIDATES, RmCurve, rm_curve};
pub use diagram::curve_diagram;
pub use lineup::{Abstained, Failed, Lineup, Place, Ranking};

use crate::calibration::Probability;
use crate::change::Patch;
use crate::scoring::Score;
use likeness::Normal;
use std::collections::{BTreeMap, BTreeSet};

/// What one unit of agreement (the mean overlap with the other candidates, 0 to 1) is worth in
/// units of log-odds of the score: the best of a few whole numbers on the 422 tasks of the training
/// repositories that have at least four candidates and both labels, with out-of-fold scores, and
/// on any four fifths of them. There it gets 31% of the way from a random pick to a perfect one, the
/// score alone 17% and agreement alone 25%; on the 90 such tasks of the dev repositories 30%, 27%
/// and 31%. `models/train/agreement.py` has what other kinds of overlap and other weights get.
const AGREEMENT_WEIGHT: f64 = 12.0;

/// A patch to choose or not.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Names it in outputs.
    pub name: String,
    /// Its files with hunks.
    pub patch: Patch,
    /// What the model says of it. What it cannot judge is no candidate.
    pub score: Score,
}

/// A candidate, or several that are the same, at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Index of the candidate: the first in the order of names of those that are the same.
    pub candidate: usize,
    /// Indexes of the others that are the same but for white space and headers.
    pub same: Vec<usize>,
    /// How likely it is correct, by itself.
    pub probability: Probability,
    /// The mean overlap with the other candidates, 0 to 1; none for an only candidate.
    pub agreement: Option<f64>,
    /// What the order follows from: log-odds of the score and weighted agreement.
    pub value: f64,
}

/// What candidates are ordered by.
fn value(probability: Probability, agreement: Option<f64>) -> f64 {
    probability.logit().get() + AGREEMENT_WEIGHT * agreement.unwrap_or(0.0)
}

/// Ranks candidates for one task, best first.
#[must_use]
pub fn rank(candidates: &[Candidate]) -> Vec<Ranked> {
    let patches: Vec<&Patch> = candidates
        .iter()
        .map(|candidate| &candidate.patch)
        .collect();
    let agreements = agreements(&patches);
    let mut groups: BTreeMap<Normal, Vec<usize>> = BTreeMap::new();
    for (index, patch) in patches.iter().enumerate() {
        groups.entry(Normal::of(patch)).or_default().push(index);
    }
    let mut ranked: Vec<Ranked> = groups
        .into_values()
        .filter_map(|mut group| {
            group.sort_by(|&a, &b| candidates[a].name.cmp(&candidates[b].name));
            let (&first, same) = group.split_first()?;
            let probability = candidates[first].score.probability;
            let agreement = agreements[first];
            Some(Ranked {
                candidate: first,
                same: same.to_vec(),
                probability,
                agreement,
                value: value(probability, agreement),
            })
        })
        .collect();
    ranked.sort_by(|a, b| {
        let by_name = || {
            candidates[a.candidate]
                .name
                .cmp(&candidates[b.candidate].name)
        };
        b.value.total_cmp(&a.value).then_with(by_name)
    });
    ranked
}

/// What separates one candidate from another, in sentences.
#[must_use]
pub fn difference(better: &Ranked, other: &Ranked, candidates: &[Candidate]) -> Vec<String> {
    let mut said = vec![format!(
        "score {} against {}",
        better.probability, other.probability
    )];
    if let (Some(a), Some(b)) = (better.agreement, other.agreement) {
        said.push(format!(
            "agreement with the other candidates {:.0}% against {:.0}%",
            a * 100.0,
            b * 100.0
        ));
    }
    let files = |ranked: &Ranked| -> BTreeSet<&str> {
        let patch = &candidates[ranked.candidate].patch;
        patch
            .files
            .iter()
            .map(crate::change::FileChange::path)
            .collect()
    };
    let (ours, theirs) = (files(better), files(other));
    for (whose, only) in [("first", &ours - &theirs), ("second", &theirs - &ours)] {
        if !only.is_empty() {
            let only: Vec<&str> = only.into_iter().collect();
            said.push(format!("only the {whose} changes {}", only.join(", ")));
        }
    }
    if ours == theirs {
        said.push("both change the same files".into());
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Logit;

    fn candidate(name: &str, probability: f64, added: &str) -> Candidate {
        let diff = format!("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-old\n+{added}\n");
        let probability = Probability::new(probability).unwrap();
        Candidate {
            name: name.into(),
            patch: Patch::from_unified(diff.as_bytes()).unwrap(),
            score: Score {
                probability,
                logit: Logit::new(0.0).unwrap(),
            },
        }
    }

    fn names(candidates: &[Candidate]) -> Vec<String> {
        let names = rank(candidates).into_iter().map(|ranked| {
            let name = &candidates[ranked.candidate].name;
            let same: Vec<&str> = ranked
                .same
                .iter()
                .map(|&i| candidates[i].name.as_str())
                .collect();
            format!("{name} {}", same.join(" ")).trim_end().to_owned()
        });
        names.collect()
    }

    #[test]
    fn score_decides_between_strangers_and_agreement_between_equals() {
        let lone = [
            candidate("a", 0.4, "alpha beta"),
            candidate("b", 0.6, "gamma delta"),
        ];
        assert_eq!(names(&lone), ["b", "a"]);
        let agreeing = [
            candidate("x", 0.5, "return value + 1"),
            candidate("y", 0.5, "raise Error"),
            candidate("z", 0.5, "return value + 2"),
        ];
        assert_eq!(names(&agreeing), ["x", "z", "y"]);
    }

    #[test]
    fn what_is_the_same_but_for_white_space_is_one() {
        let candidates = [
            candidate("c", 0.3, "x  =  1"),
            candidate("b", 0.2, "y = 2"),
            candidate("a", 0.3, "x = 1"),
        ];
        assert_eq!(names(&candidates), ["a c", "b"]);
    }

    #[test]
    fn the_order_of_candidates_does_not_matter() {
        let mut candidates = vec![
            candidate("a", 0.5, "one two"),
            candidate("b", 0.5, "three four"),
            candidate("c", 0.7, "one four"),
        ];
        let before = names(&candidates);
        candidates.reverse();
        assert_eq!(names(&candidates), before);
        assert_eq!(names(&[]), [""; 0]);
        assert_eq!(rank(&candidates[..1])[0].agreement, None);
    }

    #[test]
    fn what_separates_two_is_said() {
        let candidates = [candidate("a", 0.6, "one"), candidate("b", 0.4, "two")];
        let ranked = rank(&candidates);
        let said = difference(&ranked[0], &ranked[1], &candidates);
        assert_eq!(said[0], "score 60% against 40%");
        assert_eq!(said[2], "both change the same files");
    }
}
