//! Ranking over all records: area under the ROC curve and average precision.
//!
//! Pooled AUC is high as soon as scores tell easy tasks from hard ones; whether they tell right
//! from wrong patches of one task is what `selection` measures.

use super::tally::Tally;

/// The chance that a correct record scores above an incorrect one, ties counting half
/// (Mann-Whitney U over the number of pairs). `None` unless both labels occur.
#[must_use]
pub fn auc(tally: &Tally) -> Option<f64> {
    let (mut below, mut wins, mut positives) = (0.0, 0.0, 0.0);
    for place in 0..tally.values.len() {
        let positive = tally.positive[place];
        let negative = tally.total[place] - positive;
        wins += positive * (below + 0.5 * negative);
        below += negative;
        positives += positive;
    }
    (positives > 0.0 && below > 0.0).then(|| wins / (positives * below))
}

/// Precision averaged over the recall gained at each distinct score, from the top down, as
/// scikit-learn's `average_precision_score`. `None` without a correct record.
#[must_use]
pub fn average_precision(tally: &Tally) -> Option<f64> {
    let (mut seen, mut found, mut sum) = (0.0, 0.0, 0.0);
    for place in (0..tally.values.len()).rev() {
        let positive = tally.positive[place];
        seen += tally.total[place];
        found += positive;
        if positive > 0.0 {
            sum += positive * found / seen;
        }
    }
    (found > 0.0).then(|| sum / found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half() {
        let check = |records: &[(f64, bool)], expect: Option<f64>| {
            assert_eq!(auc(&Tally::new(records)), expect, "{records:?}");
        };
        check(&[(0.1, false), (0.9, true)], Some(1.0));
        check(&[(0.1, true), (0.9, false)], Some(0.0));
        check(&[(0.5, true), (0.5, false)], Some(0.5));
        check(&[(0.0, true), (-0.0, false)], Some(0.5));
        check(&[(0.5, true), (0.5, true)], None);
        check(&[], None);
    }

    #[test]
    fn average_precision_of_a_perfect_ranking_is_one() {
        let records = [(0.1, false), (0.8, true), (0.9, true)];
        assert_eq!(average_precision(&Tally::new(&records)), Some(1.0));
    }
}
