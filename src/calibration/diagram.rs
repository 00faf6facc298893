//! The reliability diagram: how often patches are correct, by the probability they were given.

use super::metrics::Tally;
use super::metrics::binned::{Bin, equal_width};
use crate::svg;
use std::fmt::{self, Write};

/// Bins of the points; the ECE of the caption should be over as many.
pub const POINT_BINS: usize = 10;
const HISTOGRAM_BINS: usize = 20;
/// Standard normal quantile of a two-sided 95% interval.
const Z: f64 = 1.959_963_984_540_054;

const LEFT: f64 = 70.0;
const TOP: f64 = 74.0;
/// Side of the square that the points lie in.
const SIDE: f64 = 440.0;
const HISTOGRAM_TOP: f64 = TOP + SIDE + 16.0;
const HISTOGRAM_HEIGHT: f64 = 76.0;
const WIDTH: f64 = LEFT + SIDE + 34.0;
const HEIGHT: f64 = HISTOGRAM_TOP + HISTOGRAM_HEIGHT + 54.0;

const STYLE: &str = "\
.diagonal{stroke:#59636e;stroke-width:1.5;stroke-dasharray:5 4}\
.range{stroke:#0969da;stroke-width:2}\
.line{stroke:#0969da;stroke-width:1.5;fill:none;opacity:.55}\
.point{fill:#0969da;stroke:#ffffff;stroke-width:1.5}\
.all{fill:#afb8c1}\
.correct{fill:#0969da}\
@media (prefers-color-scheme:dark){\
.diagonal{stroke:#9198a1}.range,.line{stroke:#58a6ff}.point{fill:#58a6ff;stroke:#0d1117}\
.all{fill:#4a525c}.correct{fill:#58a6ff}}";

/// Draws the diagram of probabilities. `title` and `caption` are one line each, at most about 60
/// and 75 characters.
#[must_use]
pub fn reliability_diagram(tally: &Tally, title: &str, caption: &str) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = draw(&mut svg, tally, title, caption);
    svg
}

fn draw(page: &mut String, tally: &Tally, title: &str, caption: &str) -> fmt::Result {
    svg::page(page, (WIDTH, HEIGHT), LEFT, STYLE, title, caption)?;
    axes(page)?;
    points(page, &equal_width(tally, POINT_BINS))?;
    histogram(page, &equal_width(tally, HISTOGRAM_BINS))?;
    page.write_str("</svg>\n")
}

fn axes(svg: &mut String) -> fmt::Result {
    for step in 0..=5 {
        let value = f64::from(step) / 5.0;
        let (x, y) = (across(value), up(value));
        writeln!(
            svg,
            r#"<path class="grid" d="M{x:.1} {TOP}v{SIDE}M{LEFT} {y:.1}h{SIDE}"/><text class="quiet" x="{:.1}" y="{:.1}" text-anchor="end">{value:.1}</text><text class="quiet" x="{x:.1}" y="{:.1}" text-anchor="middle">{value:.1}</text>"#,
            LEFT - 8.0,
            y + 4.5,
            HISTOGRAM_TOP + HISTOGRAM_HEIGHT + 18.0,
        )?;
    }
    let (middle, centre) = (LEFT + SIDE / 2.0, TOP + SIDE / 2.0);
    writeln!(
        svg,
        r#"<path class="diagonal" d="M{LEFT} {}L{} {TOP}"/>
<text x="{middle}" y="{}" text-anchor="middle">probability of being correct</text>
<text transform="translate(24 {centre}) rotate(-90)" text-anchor="middle">share that is correct</text>"#,
        TOP + SIDE,
        LEFT + SIDE,
        HISTOGRAM_TOP + HISTOGRAM_HEIGHT + 40.0,
    )
}

/// A point at the mean probability and the share of correct records of each bin, with the 95%
/// interval of the share.
fn points(svg: &mut String, bins: &[Bin]) -> fmt::Result {
    let filled: Vec<&Bin> = bins.iter().filter(|bin| bin.count > 0.0).collect();
    let place = |bin: &Bin| {
        (
            across(bin.probability_sum / bin.count),
            up(bin.positive / bin.count),
        )
    };
    let mut path = String::new();
    for bin in &filled {
        let (x, y) = place(bin);
        let command = if path.is_empty() { 'M' } else { 'L' };
        write!(path, "{command}{x:.1} {y:.1}")?;
    }
    writeln!(svg, r#"<path class="line" d="{path}"/>"#)?;
    for bin in filled {
        let (x, y) = place(bin);
        let (low, high) = wilson(bin.positive, bin.count);
        let tip = format!(
            "{:.0} of {:.0} correct ({:.1}%, 95% interval {:.1}% to {:.1}%), mean probability {:.1}%",
            bin.positive,
            bin.count,
            100.0 * bin.positive / bin.count,
            100.0 * low,
            100.0 * high,
            100.0 * bin.probability_sum / bin.count,
        );
        writeln!(
            svg,
            r#"<g><title>{tip}</title><path class="range" d="M{x:.1} {:.1}V{:.1}"/><circle class="point" cx="{x:.1}" cy="{y:.1}" r="5"/></g>"#,
            up(low),
            up(high),
        )?;
    }
    Ok(())
}

/// How many records have which probability, the correct ones in the foreground.
fn histogram(svg: &mut String, bins: &[Bin]) -> fmt::Result {
    let highest = bins.iter().map(|bin| bin.count).fold(1.0, f64::max);
    let width = SIDE / bins.len() as f64;
    let bottom = HISTOGRAM_TOP + HISTOGRAM_HEIGHT;
    for (index, bin) in bins.iter().enumerate() {
        for (class, count) in [("all", bin.count), ("correct", bin.positive)] {
            if count > 0.0 {
                let height = HISTOGRAM_HEIGHT * count / highest;
                writeln!(
                    svg,
                    r#"<rect class="{class}" x="{:.1}" y="{:.1}" width="{:.1}" height="{height:.1}"/>"#,
                    LEFT + index as f64 * width + 1.0,
                    bottom - height,
                    width - 2.0,
                )?;
            }
        }
    }
    for (class, word, offset) in [("all", "all", 128.0), ("correct", "correct", 76.0)] {
        let (x, y) = (LEFT + SIDE - offset, HISTOGRAM_TOP + 2.0);
        writeln!(
            svg,
            r#"<rect class="{class}" x="{x}" y="{y}" width="10" height="10"/><text class="quiet" x="{}" y="{}">{word}</text>"#,
            x + 15.0,
            y + 10.0,
        )?;
    }
    writeln!(
        svg,
        r#"<path class="grid" d="M{LEFT} {bottom}h{SIDE}"/><text class="quiet" x="{:.1}" y="{:.1}" text-anchor="end">{highest:.0}</text><text class="quiet" transform="translate(24 {:.1}) rotate(-90)" text-anchor="middle">records</text>"#,
        LEFT - 8.0,
        HISTOGRAM_TOP + 10.0,
        HISTOGRAM_TOP + HISTOGRAM_HEIGHT / 2.0,
    )
}

fn across(value: f64) -> f64 {
    LEFT + SIDE * value
}

fn up(value: f64) -> f64 {
    TOP + SIDE * (1.0 - value)
}

/// 95% interval of a share (Wilson 1927). `count` is positive.
fn wilson(positive: f64, count: f64) -> (f64, f64) {
    let share = positive / count;
    let scale = 1.0 + Z * Z / count;
    let centre = (share + Z * Z / (2.0 * count)) / scale;
    let half = Z / scale * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_the_published_interval() {
        // Newcombe (1998), table I: 81 of 263, and 0 of 20.
        let (low, high) = wilson(81.0, 263.0);
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5);
        let (low, high) = wilson(0.0, 20.0);
        assert!(low == 0.0 && (high - 0.1611).abs() < 5e-5);
    }

    #[test]
    fn one_point_for_each_filled_bin_and_no_markup_from_outside() {
        let tally = Tally::new(&[(0.05, false), (0.07, true), (0.95, true)]);
        let svg = reliability_diagram(&tally, "a <script>", "x & y\u{0}");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("a &lt;script&gt;") && svg.contains("x &amp; y "));
        assert!(svg.contains("1 of 2 correct"));
    }

    #[test]
    fn no_records_draw_empty_axes() {
        let svg = reliability_diagram(&Tally::new(&[]), "t", "c");
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("<circle"));
    }
}
