//! The curve of [`RmCurve`] as a drawing.

use super::curve::{Curve, RmCurve};
use crate::svg;
use std::fmt::{self, Write};

const LEFT: f64 = 70.0;
const TOP: f64 = 74.0;
const ACROSS: f64 = 460.0;
const UP: f64 = 340.0;
const WIDTH: f64 = LEFT + ACROSS + 130.0;
const HEIGHT: f64 = TOP + UP + 60.0;
/// Between the intervals of one k, so that they do not lie on each other.
const APART: f64 = 7.0;

/// One class for each curve, in their order; colours of Okabe and Ito, told apart by dashes too.
const STYLE: &str = "\
.curve,.range{fill:none;stroke-width:2}.range{stroke-width:1.5;opacity:.6}\
.c0{stroke:#59636e;stroke-dasharray:2 4}\
.c1{stroke:#0072b2}\
.c2{stroke:#d55e00;stroke-dasharray:7 4}\
.c3{stroke:#009e73;stroke-width:3}\
.c4{stroke:#59636e;stroke-dasharray:9 3 2 3}\
.range{stroke-dasharray:none}\
@media (prefers-color-scheme:dark){.c0,.c4{stroke:#9198a1}.c1{stroke:#56b4e9}.c2{stroke:#e69f00}}";

/// Draws the curves with their 95% intervals. `title` is one line of at most about 60 characters.
#[must_use]
pub fn curve_diagram(curve: &RmCurve, title: &str) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = draw(&mut page, curve, title);
    page
}

fn draw(page: &mut String, curve: &RmCurve, title: &str) -> fmt::Result {
    let caption = format!(
        "{} tasks with both labels and at least {} candidates ({}), 95% intervals by task",
        curve.tasks, curve.fewest_candidates, curve.candidates
    );
    svg::page(page, (WIDTH, HEIGHT), LEFT, STYLE, title, &caption)?;
    let scale = Scale::of(curve);
    axes(page, curve, &scale)?;
    for (index, one) in curve.curves.iter().enumerate() {
        line(page, index, one, curve, &scale)?;
    }
    labels(page, curve, &scale)?;
    page.write_str("</svg>\n")
}

/// Which shares the height stands for: whole tenths around all values and intervals.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(curve: &RmCurve) -> Self {
        let estimates = curve.curves.iter().flat_map(|curve| &curve.at);
        let ends = estimates.flat_map(|estimate| {
            let (low, high) = estimate.interval.unzip();
            [estimate.value, low, high].into_iter().flatten()
        });
        let (low, high) = ends.fold((1.0, 0.0), |(low, high), end| {
            (f64::min(low, end), f64::max(high, end))
        });
        if low > high {
            return Self {
                low: 0.0,
                high: 1.0,
            };
        }
        let low = (low * 10.0 + 1e-9).floor() / 10.0;
        let high = (high * 10.0 - 1e-9).ceil() / 10.0;
        Self {
            low,
            high: high.max(low + 0.1),
        }
    }

    fn y(&self, share: f64) -> f64 {
        TOP + UP * (self.high - share) / (self.high - self.low)
    }
}

fn x(place: usize, curve: &RmCurve) -> f64 {
    let steps = curve.k.len().saturating_sub(1).max(1);
    LEFT + 20.0 + (ACROSS - 40.0) * place as f64 / steps as f64
}

fn axes(page: &mut String, curve: &RmCurve, scale: &Scale) -> fmt::Result {
    let steps = ((scale.high - scale.low) * 10.0).round() as u32;
    for step in 0..=steps {
        let share = scale.low + f64::from(step) / 10.0;
        let y = scale.y(share);
        writeln!(
            page,
            r#"<path class="grid" d="M{LEFT} {y:.1}h{ACROSS}"/><text class="quiet" x="{:.1}" y="{:.1}" text-anchor="end">{share:.1}</text>"#,
            LEFT - 8.0,
            y + 4.5,
        )?;
    }
    for (place, k) in curve.k.iter().enumerate() {
        writeln!(
            page,
            r#"<text class="quiet" x="{:.1}" y="{:.1}" text-anchor="middle">{k}</text>"#,
            x(place, curve),
            TOP + UP + 20.0,
        )?;
    }
    let (middle, centre) = (LEFT + ACROSS / 2.0, TOP + UP / 2.0);
    writeln!(
        page,
        r#"<text x="{middle}" y="{}" text-anchor="middle">candidates to choose from</text>
<text transform="translate(24 {centre}) rotate(-90)" text-anchor="middle">share of correct picks</text>"#,
        TOP + UP + 44.0,
    )
}

fn line(
    page: &mut String,
    index: usize,
    one: &Curve,
    curve: &RmCurve,
    scale: &Scale,
) -> fmt::Result {
    let mut path = String::new();
    for (place, estimate) in one.at.iter().enumerate() {
        let Some(value) = estimate.value else {
            continue;
        };
        let (x, y) = (x(place, curve), scale.y(value));
        let command = if path.is_empty() { 'M' } else { 'L' };
        write!(path, "{command}{x:.1} {y:.1}")?;
        if let Some((low, high)) = estimate.interval {
            writeln!(
                page,
                r#"<g><title>{} of {}: {value:.3} [{low:.3}, {high:.3}]</title><path class="range c{index}" d="M{:.1} {:.1}V{:.1}"/></g>"#,
                one.name,
                curve.k[place],
                x + (index as f64 - 2.0) * APART,
                scale.y(low),
                scale.y(high),
            )?;
        }
    }
    if path.is_empty() {
        return Ok(());
    }
    writeln!(page, r#"<path class="curve c{index}" d="{path}"/>"#)
}

/// The name of each curve beside its end, pushed apart where ends are close.
fn labels(page: &mut String, curve: &RmCurve, scale: &Scale) -> fmt::Result {
    let mut ends: Vec<(f64, usize, &str)> = curve
        .curves
        .iter()
        .enumerate()
        .filter_map(|(index, one)| Some((scale.y(one.at.last()?.value?), index, one.name)))
        .collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lowest = f64::NEG_INFINITY;
    for (y, index, name) in ends {
        let y = y.max(lowest + 17.0);
        lowest = y;
        let start = LEFT + ACROSS + 6.0;
        writeln!(
            page,
            r#"<path class="curve c{index}" d="M{start} {y:.1}h22"/><text x="{}" y="{:.1}">{name}</text>"#,
            start + 28.0,
            y + 4.5,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::rm_curve;
    use super::*;

    #[test]
    fn no_tasks_draw_empty_axes() {
        let page = curve_diagram(&rm_curve(&[], 10, 0), "a <b>");
        assert!(page.ends_with("</svg>\n") && page.contains("a &lt;b&gt;"));
        assert!(!page.contains("NaN") && !page.contains("class=\"curve"));
    }
}
