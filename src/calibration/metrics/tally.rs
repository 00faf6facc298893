//! Records counted by score.
//!
//! Invariant: values are strictly ascending and finite; `0 <= positive <= total` at each of them.
//! Counts are `f64` because a bootstrap resample counts a record several times or not at all.

/// For each distinct score, how many records have it and how many of those are correct.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// The distinct scores, ascending.
    pub(super) values: Vec<f64>,
    /// Records at each score.
    pub(super) total: Vec<f64>,
    /// Correct records at each score.
    pub(super) positive: Vec<f64>,
}

/// Which value of a [`Tally`] each record belongs to, to count the same records again.
#[derive(Debug, Clone)]
pub(super) struct Places(Vec<u32>);

impl Tally {
    /// Counts records given as pairs of score and whether it is correct. Scores that are not finite
    /// are left out.
    #[must_use]
    pub fn new(records: &[(f64, bool)]) -> Self {
        let finite: Vec<_> = records
            .iter()
            .copied()
            .filter(|r| r.0.is_finite())
            .collect();
        Self::with_places(&finite).0
    }

    /// As [`Tally::new`], with the place of each record. All scores must be finite.
    pub(super) fn with_places(records: &[(f64, bool)]) -> (Self, Places) {
        let mut order: Vec<usize> = (0..records.len()).collect();
        order.sort_by(|&a, &b| records[a].0.total_cmp(&records[b].0));
        let mut tally = Self {
            values: Vec::new(),
            total: Vec::new(),
            positive: Vec::new(),
        };
        let mut places = vec![0; records.len()];
        for index in order {
            let (value, correct) = records[index];
            // `!=` and not the total order: -0.0 and 0.0 are one score.
            if tally.values.last().is_none_or(|&last| last != value) {
                tally.values.push(value);
                tally.total.push(0.0);
                tally.positive.push(0.0);
            }
            let place = tally.values.len() - 1;
            tally.total[place] += 1.0;
            tally.positive[place] += f64::from(u8::from(correct));
            places[index] = place as u32;
        }
        (tally, Places(places))
    }

    /// Counts the same records again, each as often as `weights` says.
    pub(super) fn refill(&mut self, places: &Places, correct: &[bool], weights: &[f64]) {
        self.total.fill(0.0);
        self.positive.fill(0.0);
        for index in 0..weights.len() {
            let place = places.0[index] as usize;
            self.total[place] += weights[index];
            if correct[index] {
                self.positive[place] += weights[index];
            }
        }
    }

    /// Number of records.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.total.iter().sum()
    }

    /// Share of correct records; `None` without records.
    #[must_use]
    pub fn base_rate(&self) -> Option<f64> {
        let count = self.count();
        (count > 0.0).then(|| self.positive.iter().sum::<f64>() / count)
    }
}
