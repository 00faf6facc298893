//! The curve of [`RiskCoverage`] as a drawing.

use super::metrics::{Estimate, RiskCoverage};
use crate::svg;
use std::fmt::{self, Write};

const LEFT: f64 = 70.0;
const TOP: f64 = 74.0;
const ACROSS: f64 = 440.0;
const UP: f64 = 320.0;
const WIDTH: f64 = LEFT + ACROSS + 34.0;
const HEIGHT: f64 = TOP + UP + 60.0;

const STYLE: &str = "\
.band{fill:#0969da;opacity:.18}\
.curve{stroke:#0969da;stroke-width:2;fill:none}\
.chance{stroke:#59636e;stroke-width:1.5;stroke-dasharray:5 4}\
@media (prefers-color-scheme:dark){.band{fill:#58a6ff}.curve{stroke:#58a6ff}.chance{stroke:#9198a1}}";

/// Draws the curve with its 95% intervals, and where it would be if certainty said nothing. `title`
/// is one line of at most about 60 characters, `n` the number of records.
#[must_use]
pub fn risk_diagram(curve: &RiskCoverage, n: usize, title: &str) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = draw(&mut page, curve, n, title);
    page
}

fn draw(page: &mut String, curve: &RiskCoverage, n: usize, title: &str) -> fmt::Result {
    let area = |estimate: Estimate| match (estimate.value, estimate.interval) {
        (Some(value), Some((low, high))) => format!(", AURC {value:.3} [{low:.3}, {high:.3}]"),
        (Some(value), None) => format!(", AURC {value:.3}"),
        (None, _) => String::new(),
    };
    let best = curve
        .best_aurc
        .map_or(String::new(), |best| format!(", best possible {best:.3}"));
    let caption = format!("n = {n}{}{best}", area(curve.aurc));
    svg::page(page, (WIDTH, HEIGHT), LEFT, STYLE, title, &caption)?;
    let top = highest(curve);
    axes(page, top)?;
    let up = |risk: f64| TOP + UP * (1.0 - risk / top);
    band(page, curve, up)?;
    if let Some(chance) = curve.at.last().and_then(|at| at.risk.value) {
        let y = up(chance);
        writeln!(
            page,
            r#"<g><title>all of them: {chance:.3}</title><path class="chance" d="M{LEFT} {y:.1}h{ACROSS}"/></g>"#
        )?;
    }
    let mut path = String::new();
    for at in &curve.at {
        if let Some(risk) = at.risk.value {
            let command = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{command}{:.1} {:.1}", across(at.coverage), up(risk))?;
        }
    }
    if !path.is_empty() {
        writeln!(page, r#"<path class="curve" d="{path}"/>"#)?;
    }
    page.write_str("</svg>\n")
}

fn across(coverage: f64) -> f64 {
    LEFT + ACROSS * coverage
}

/// The upper end of the scale: the next tenth above everything that is drawn.
fn highest(curve: &RiskCoverage) -> f64 {
    let ends = curve.at.iter().flat_map(|at| {
        let high = at.risk.interval.map(|(_, high)| high);
        [at.risk.value, high].into_iter().flatten()
    });
    let high = ends.fold(0.0, f64::max);
    ((high * 10.0 - 1e-9).ceil() / 10.0).clamp(0.1, 1.0)
}

fn axes(page: &mut String, top: f64) -> fmt::Result {
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        let (x, y) = (across(share), TOP + UP * (1.0 - share));
        let risk = share * top;
        writeln!(
            page,
            r#"<path class="grid" d="M{x:.1} {TOP}v{UP}M{LEFT} {y:.1}h{ACROSS}"/><text class="quiet" x="{:.1}" y="{:.1}" text-anchor="end">{risk:.2}</text><text class="quiet" x="{x:.1}" y="{:.1}" text-anchor="middle">{share:.1}</text>"#,
            LEFT - 8.0,
            y + 4.5,
            TOP + UP + 20.0,
        )?;
    }
    let (middle, centre) = (LEFT + ACROSS / 2.0, TOP + UP / 2.0);
    writeln!(
        page,
        r#"<text x="{middle}" y="{}" text-anchor="middle">share of records judged, the most certain first</text>
<text transform="translate(20 {centre}) rotate(-90)" text-anchor="middle">share on the wrong side of one half</text>"#,
        TOP + UP + 44.0,
    )
}

fn band(page: &mut String, curve: &RiskCoverage, up: impl Fn(f64) -> f64) -> fmt::Result {
    let ends: Vec<(f64, f64, f64)> = curve
        .at
        .iter()
        .filter_map(|at| {
            let (low, high) = at.risk.interval?;
            Some((across(at.coverage), up(low), up(high)))
        })
        .collect();
    if ends.is_empty() {
        return Ok(());
    }
    let mut path = String::new();
    let lower = ends.iter().map(|&(x, low, _)| (x, low));
    let upper = ends.iter().rev().map(|&(x, _, high)| (x, high));
    for (x, y) in lower.chain(upper) {
        let command = if path.is_empty() { 'M' } else { 'L' };
        write!(path, "{command}{x:.1} {y:.1}")?;
    }
    writeln!(page, r#"<path class="band" d="{path}Z"/>"#)
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{EvaluationSettings, Observation, risk_coverage};
    use super::super::probability::Probability;
    use super::*;

    fn curve(records: usize) -> RiskCoverage {
        let observations: Vec<Observation> = (0..records)
            .map(|index| Observation {
                score: 0.0,
                correct: index % 3 > 0,
                task: None,
            })
            .collect();
        let p = |index: usize| Probability::new(index as f64 / records as f64).unwrap();
        let probabilities: Vec<Probability> = (0..records).map(p).collect();
        let settings = EvaluationSettings {
            resamples: 20,
            seed: 0,
        };
        risk_coverage(&observations, &probabilities, settings)
    }

    #[test]
    fn a_drawing_is_well_formed_with_and_without_records() {
        for (records, has_curve) in [(0, false), (3, true), (40, true)] {
            let page = risk_diagram(&curve(records), records, "a <b>");
            assert!(roxmltree::Document::parse(&page).is_ok(), "{page}");
            assert!(!page.contains("NaN") && page.contains("a &lt;b&gt;"));
            assert_eq!(page.contains("class=\"curve\""), has_curve);
            assert_eq!(page.contains("class=\"band\""), records == 40);
        }
    }
}
