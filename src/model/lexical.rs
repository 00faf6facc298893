//! The lexical branch: hashed token n-grams of a patch, weighted by a linear model.
//!
//! Invariant: linear in the size of the patch. Feature hashing as in Weinberger et al. (2009),
//! "Feature hashing for large scale multitask learning"; FNV-1a 64 as published by Fowler, Noll
//! and Vo, folded by exclusive or.

use super::hash::Fnv;
use super::token::tokens;
use crate::change::Hunk;
use std::collections::HashMap;

/// How often each bucket of the hash table occurs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts(HashMap<u32, u32>);

/// A linear model over the hash table.
#[derive(Debug, Clone)]
pub(super) struct Lexical {
    pub(super) idf: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) bias: f64,
}

impl Counts {
    /// Counts the terms of one hunk in a table of `buckets` entries.
    #[must_use]
    pub(super) fn of(hunk: &Hunk, buckets: u32) -> Self {
        let mut counts = HashMap::new();
        let mut count = |hash: Fnv| *counts.entry(hash.bucket(buckets)).or_insert(0) += 1;
        for line in &hunk.lines {
            let start = Fnv::new().char(line.kind.marker()).char(':');
            let mut previous: Option<&str> = None;
            for token in tokens(&line.text) {
                count(start.text(token));
                if let Some(previous) = previous {
                    count(start.text(previous).char(' ').text(token));
                }
                previous = Some(token);
            }
        }
        Self(counts)
    }

    /// Adds the counts of another hunk.
    pub(super) fn add(&mut self, other: &Self) {
        for (&bucket, &count) in &other.0 {
            *self.0.entry(bucket).or_insert(0) += count;
        }
    }
}

impl Lexical {
    /// The branch's logit: damped counts times inverse document frequency, scaled to length 1.
    #[must_use]
    pub(super) fn logit(&self, counts: &Counts) -> f64 {
        // Sorted, because the order of a hash map differs from run to run and so would the last
        // bits of the sums.
        let mut counts: Vec<_> = counts.0.iter().collect();
        counts.sort_unstable();
        let (mut dot, mut square) = (0.0, 0.0);
        for (&bucket, &count) in counts {
            let at = bucket as usize;
            let (Some(&idf), Some(&weight)) = (self.idf.get(at), self.weight.get(at)) else {
                continue;
            };
            let value = (1.0 + f64::from(count).ln()) * f64::from(idf);
            dot += value * f64::from(weight);
            square += value * value;
        }
        let length = f64::sqrt(square);
        self.bias + if length > 0.0 { dot / length } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Line, LineKind, LineRange};

    fn hunk(lines: &[(LineKind, &str)]) -> Hunk {
        let range = LineRange { start: 1, lines: 1 };
        Hunk {
            old: range,
            new: range,
            lines: lines
                .iter()
                .map(|&(kind, text)| Line {
                    kind,
                    text: text.into(),
                })
                .collect(),
        }
    }

    #[test]
    fn bigrams_stay_within_a_line_and_a_kind() {
        let total = |lines: &[(LineKind, &str)]| {
            let counts = Counts::of(&hunk(lines), 1 << 18);
            (counts.0.len(), counts.0.values().sum::<u32>())
        };
        assert_eq!(total(&[(LineKind::Added, "a b a")]), (4, 5));
        let split = [(LineKind::Added, "a"), (LineKind::Added, "b")];
        assert_eq!(total(&split), (2, 2));
        let kinds = [(LineKind::Added, "a"), (LineKind::Removed, "a")];
        assert_eq!(total(&kinds), (2, 2));
    }

    #[test]
    fn a_patch_without_tokens_gets_the_bias() {
        let model = Lexical {
            idf: vec![1.0; 8],
            weight: vec![1.0; 8],
            bias: 0.25,
        };
        let logit = |text| model.logit(&Counts::of(&hunk(&[(LineKind::Added, text)]), 8));
        assert!((logit("") - 0.25).abs() < 1e-12);
        assert!((logit("x") - 1.25).abs() < 1e-12);
    }
}
