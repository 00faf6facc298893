//! All candidates for one task, and how they rank, as every output tells it.
//!
//! Invariant: a candidate is ranked, the same as another one, or listed with the reason why it
//! cannot be judged; none is left out.

use super::{Candidate, Ranked, difference, rank};
use crate::calibration::{Logit, Probability};
use crate::change::Patch;
use crate::scoring::{Abstention, Opinion, Verdict};
use serde::Serialize;
use std::fmt;

/// The candidates for one task.
#[derive(Debug, Clone, Default)]
pub struct Lineup {
    /// Those that were judged.
    pub candidates: Vec<Candidate>,
    /// Those that the model has no ground to judge.
    pub abstained: Vec<Abstained>,
    /// Those that could not be read or scored.
    pub failed: Vec<Failed>,
    /// Name and version of the model that was asked.
    model: Option<String>,
}

/// A candidate that the model cannot judge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Abstained {
    /// Names it.
    pub id: String,
    /// Always none: it is not one half either.
    pub probability: Option<Probability>,
    /// Why.
    pub abstained: Abstention,
}

/// A candidate that could not be read or scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Names it.
    pub id: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// A candidate at its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// Index in [`Lineup::candidates`].
    #[serde(skip)]
    pub candidate: usize,
    /// Names it.
    pub id: String,
    /// How likely it is correct, by itself.
    pub probability: Probability,
    /// The model's own output.
    pub logit: Logit,
    /// As in [`Ranked::agreement`].
    pub agreement: Option<f64>,
    /// What the order follows from.
    pub value: f64,
    /// Why it is where it is.
    pub reason: String,
    /// The names of the candidates that are the same but for white space and headers.
    pub same: Vec<String>,
}

/// How the candidates for a task rank.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// Best first.
    pub candidates: Vec<Place>,
    /// What separates the first from the second, if there are two.
    pub first_against_second: Option<Vec<String>>,
    /// Those that come last, since the model cannot judge them.
    pub abstained: Vec<Abstained>,
    /// Those without a place.
    pub failed: Vec<Failed>,
    /// Name and version of the model that was asked; none if it was not.
    pub model: Option<String>,
}

impl Lineup {
    /// Takes a candidate in with what the model says of it. Returns whether it has a score.
    pub fn add(&mut self, name: String, patch: Patch, verdict: &Verdict) -> bool {
        self.model = Some(verdict.model.clone());
        match &verdict.patch {
            Opinion::Score(score) => {
                let score = *score;
                self.candidates.push(Candidate { name, patch, score });
                true
            }
            Opinion::Abstention(why) => {
                self.abstained.push(Abstained {
                    id: name,
                    probability: None,
                    abstained: why.clone(),
                });
                false
            }
        }
    }

    /// Ranks the candidates.
    #[must_use]
    pub fn ranking(&self) -> Ranking {
        let ranked = rank(&self.candidates);
        let first_against_second = match ranked.as_slice() {
            [first, second, ..] => Some(difference(first, second, &self.candidates)),
            _ => None,
        };
        Ranking {
            candidates: ranked.iter().map(|one| self.place(one)).collect(),
            first_against_second,
            abstained: self.abstained.clone(),
            failed: self.failed.clone(),
            model: self.model.clone(),
        }
    }

    fn place(&self, ranked: &Ranked) -> Place {
        let candidate = &self.candidates[ranked.candidate];
        let same = ranked.same.iter();
        Place {
            candidate: ranked.candidate,
            id: candidate.name.clone(),
            probability: ranked.probability,
            logit: candidate.score.logit,
            agreement: ranked.agreement,
            value: ranked.value,
            reason: reason(ranked),
            same: same
                .map(|&index| self.candidates[index].name.clone())
                .collect(),
        }
    }
}

fn reason(ranked: &Ranked) -> String {
    let score = format!("{} likely correct", ranked.probability);
    match ranked.agreement {
        None => score,
        Some(agreement) => format!(
            "{score} · {:.0}% agreement with the others",
            agreement * 100.0
        ),
    }
}

/// For people, a line for each candidate.
impl fmt::Display for Ranking {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.candidates.iter().enumerate() {
            writeln!(out, "{}. {}  {}", index + 1, place.id, place.reason)?;
            for same in &place.same {
                writeln!(out, "     the same: {same}")?;
            }
        }
        if let Some(said) = &self.first_against_second {
            writeln!(out, "first against second: {}", said.join("; "))?;
        }
        for Abstained { id, abstained, .. } in &self.abstained {
            writeln!(out, "last, as the model cannot judge it: {id}: {abstained}")?;
        }
        for Failed { id, reason } in &self.failed {
            writeln!(out, "not ranked: {id}: {reason}")?;
        }
        Ok(())
    }
}
