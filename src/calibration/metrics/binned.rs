//! Expected calibration error over bins of the probability of being correct.
//!
//! All bins are over P(correct), the "positive class" form; none of these is the "top label" form
//! over max(p, 1 - p). In each bin the mean probability is compared with the share of correct
//! records, and the absolute differences are averaged with the number of records as weight
//! (Naeini et al. 2015; the same numbers as netcal's `ECE` on a one-dimensional input).
//!
//! The error of a perfectly calibrated model is not 0: see `floor`.

use super::tally::Tally;

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Records in the bin.
    pub count: f64,
    /// Correct records in the bin.
    pub positive: f64,
    /// Sum of the probabilities of the records in the bin.
    pub probability_sum: f64,
}

const EMPTY: Bin = Bin {
    count: 0.0,
    positive: 0.0,
    probability_sum: 0.0,
};

/// Bins of equal width: bin `i` holds probabilities from `i / bins` up to but not including
/// `(i + 1) / bins`; the last one includes 1.
#[must_use]
pub fn equal_width(tally: &Tally, bins: usize) -> Vec<Bin> {
    let edges: Vec<f64> = (1..bins).map(|i| i as f64 / bins as f64).collect();
    fill(tally, &edges)
}

/// Bins of about equally many records, cut at the quantiles (linear interpolation, as
/// `numpy.quantile`). Records with one probability are never torn apart, so ties can leave bins
/// empty.
#[must_use]
pub fn equal_mass(tally: &Tally, bins: usize) -> Vec<Bin> {
    fill(tally, &quantile_edges(tally, bins))
}

/// Expected calibration error over [`equal_width`] bins. `None` without records.
#[must_use]
pub fn ece_equal_width(tally: &Tally, bins: usize) -> Option<f64> {
    expected_error(&equal_width(tally, bins))
}

/// Expected calibration error over [`equal_mass`] bins. `None` without records.
#[must_use]
pub fn ece_equal_mass(tally: &Tally, bins: usize) -> Option<f64> {
    expected_error(&equal_mass(tally, bins))
}

fn expected_error(bins: &[Bin]) -> Option<f64> {
    let count: f64 = bins.iter().map(|bin| bin.count).sum();
    let sum: f64 = bins
        .iter()
        .map(|bin| (bin.probability_sum - bin.positive).abs())
        .sum();
    (count > 0.0).then(|| sum / count)
}

/// `edges` are the inner ones, ascending; a value equal to an edge belongs to the bin above it.
fn fill(tally: &Tally, edges: &[f64]) -> Vec<Bin> {
    let mut bins = vec![EMPTY; edges.len() + 1];
    let mut at = 0;
    for place in 0..tally.values.len() {
        let value = tally.values[place];
        while at < edges.len() && value >= edges[at] {
            at += 1;
        }
        let bin = &mut bins[at];
        bin.count += tally.total[place];
        bin.positive += tally.positive[place];
        bin.probability_sum += tally.total[place] * value;
    }
    bins
}

/// The inner quantiles `1/bins .. (bins-1)/bins` of the counted records. Counts are whole numbers.
fn quantile_edges(tally: &Tally, bins: usize) -> Vec<f64> {
    let records = tally.count() as usize;
    if records == 0 {
        return Vec::new();
    }
    let mut edges = Vec::with_capacity(bins.saturating_sub(1));
    // Records below `place`, which holds the record that the quantile starts from.
    let (mut place, mut passed) = (0, 0);
    for i in 1..bins {
        let (index, rest) = ((records - 1) * i / bins, (records - 1) * i % bins);
        while passed + tally.total[place] as usize <= index {
            passed += tally.total[place] as usize;
            place += 1;
        }
        let low = tally.values[place];
        let next = if passed + tally.total[place] as usize > index + 1 {
            low
        } else {
            // After a resample a score can have no record.
            (place + 1..tally.values.len())
                .find(|&next| tally.total[next] > 0.0)
                .map_or(low, |next| tally.values[next])
        };
        edges.push(low + (next - low) * (rest as f64 / bins as f64));
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(bins: &[Bin]) -> Vec<f64> {
        bins.iter().map(|bin| bin.count).collect()
    }

    #[test]
    fn edges_belong_to_the_bin_above_and_one_to_the_last() {
        let tally = Tally::new(&[0.0, 0.3, 0.5, 0.99, 1.0].map(|p| (p, true)));
        assert_eq!(
            counts(&equal_width(&tally, 10)),
            [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0]
        );
    }

    #[test]
    fn equal_mass_bins_are_balanced_and_never_tear_ties_apart() {
        let spread: Vec<_> = (0..30).map(|i| (f64::from(i) / 30.0, i % 2 == 0)).collect();
        assert_eq!(counts(&equal_mass(&Tally::new(&spread), 15)), [2.0; 15]);
        let tied = Tally::new(&[(0.3, true); 30]);
        let bins = equal_mass(&tied, 15);
        assert_eq!(bins.iter().filter(|bin| bin.count > 0.0).count(), 1);
        assert_eq!(bins.len(), 15);
    }

    #[test]
    fn a_constant_score_is_off_by_its_distance_from_the_base_rate() {
        let tally = Tally::new(&[(0.25, true), (0.25, false), (0.25, false), (0.25, true)]);
        assert_eq!(ece_equal_width(&tally, 10), Some(0.25));
        assert_eq!(ece_equal_mass(&tally, 15), Some(0.25));
        assert_eq!(ece_equal_width(&Tally::new(&[]), 10), None);
        assert_eq!(ece_equal_mass(&Tally::new(&[]), 10), None);
    }
}
