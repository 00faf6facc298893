//! A report as aligned text. What cannot be computed is a dash.

use super::report::{Group, Report, View};
use crate::calibration::metrics::{Calibrated, Estimate, Evaluation, Floor, Selection};
use crate::ranking::{Curve, RmCurve};
use std::io::{self, Write};

/// Names longer than this are cut in the tables; JSON has them whole.
const LONGEST_NAME: usize = 32;
/// Groups shown of each kind; JSON has them all.
const MOST_GROUPS: usize = 40;

pub(super) fn write(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let model = report.model.as_deref().unwrap_or("scores made elsewhere");
    let (data, records) = (report.data.display(), report.records);
    writeln!(out, "{model} on {data}")?;
    let overall = &report.overall;
    let share = percent(overall.positives, overall.n);
    write!(
        out,
        "{} records, {} correct ({share})",
        overall.n, overall.positives
    )?;
    if let Some(measures) = &overall.measures {
        let both = measures.tasks_with_both_labels;
        write!(out, ", {} tasks, {both} with both labels", measures.tasks)?;
    }
    writeln!(out)?;
    if records.unlabelled > 0 {
        writeln!(out, "left out: {} without a label", records.unlabelled)?;
    }
    if records.abstained > 0 {
        let reasons = report.abstentions.iter();
        let reasons: Vec<String> = reasons
            .map(|reason| format!("{} {}", reason.code, reason.n))
            .collect();
        writeln!(
            out,
            "left out: {} that the model cannot judge ({}); coverage {:.1}%",
            records.abstained,
            reasons.join(", "),
            100.0 * records.coverage
        )?;
    }
    if records.failed > 0 {
        writeln!(out, "left out: {} that could not be judged", records.failed)?;
        for failure in &report.failures {
            let id = failure
                .id
                .as_ref()
                .map_or(String::new(), |id| format!(" ({id})"));
            writeln!(out, "  line {}{id}: {}", failure.line, failure.message)?;
        }
        if records.failed > report.failures.len() {
            writeln!(out, "  … {} more", records.failed - report.failures.len())?;
        }
    }
    if let Some(measures) = &overall.measures {
        ranking(out, measures)?;
        if let Some(curve) = &report.rm_curve {
            rm_curve(out, curve)?;
        }
        calibration(out, report, measures)?;
        risk_coverage(out, report)?;
    } else {
        writeln!(out, "\ntoo few records to measure anything")?;
    }
    let view = report.primary_view;
    for (title, groups) in [
        ("language", &report.by_language),
        ("source", &report.by_source),
        ("policy", &report.by_policy),
    ] {
        // One group of all records would only repeat the above.
        if groups.len() > 1 {
            self::groups(out, title, groups, view)?;
        }
    }
    writeln!(
        out,
        "\n[ ] 95% bootstrap interval, {} resamples of whole tasks; calibration errors over P(correct).",
        report.resamples
    )?;
    writeln!(
        out,
        "\"if calibrated\": what a perfectly calibrated model would show at this n (mean, 95% below).\n\
         Groups of fewer than 20 records are not measured. All measures of all groups: --format json."
    )
}

fn ranking(out: &mut dyn Write, measures: &Evaluation) -> io::Result<()> {
    let mut table = Table::new(&["ranking", "all tasks", "tasks with both labels"]);
    let ranking = &measures.ranking;
    for (name, all, both) in [
        ("AUC, pooled", Some(ranking.auc), None),
        ("AUC within task", None, Some(ranking.within_task_auc)),
        ("average precision", Some(ranking.average_precision), None),
    ] {
        let cell = |estimate: Option<Estimate>| estimate.map_or(String::new(), show);
        table.row([name.to_owned(), cell(all), cell(both)]);
    }
    let (all, both) = (&measures.selection, &measures.selection_both_labels);
    let mut pick = |name: String, get: &dyn Fn(&Selection<Estimate>) -> Estimate| {
        table.row([name, show(get(all)), show(get(both))]);
    };
    pick("pass@1".to_owned(), &|s| s.pass_at_1);
    for (slot, at) in all.at.iter().enumerate() {
        pick(format!("RM@{}", at.k), &|s| s.at[slot].rm);
    }
    pick("RM, all candidates".to_owned(), &|s| s.rm);
    pick("oracle".to_owned(), &|s| s.oracle);
    pick("share of pass@1 to oracle".to_owned(), &|s| s.share_of_gap);
    table.write(out)
}

fn rm_curve(out: &mut dyn Write, curve: &RmCurve) -> io::Result<()> {
    if curve.tasks == 0 {
        return writeln!(
            out,
            "\nno picks to compare: no task has {} candidates and both labels",
            curve.fewest_candidates
        );
    }
    let heading = format!(
        "picks, {} tasks, {}+ candidates",
        curve.tasks, curve.fewest_candidates
    );
    let names = curve.curves.iter().map(|one| one.name);
    let mut table = Table::new(&[&[heading.as_str()][..], &names.collect::<Vec<_>>()].concat());
    let mut row = |name: String, get: &dyn Fn(&Curve) -> Estimate| {
        let cells = curve.curves.iter().map(|one| show(get(one)));
        table.row([name].into_iter().chain(cells));
    };
    for (place, k) in curve.k.iter().enumerate() {
        row(format!("best of {k}"), &|one| one.at[place]);
    }
    row("best of all".to_owned(), &|one| one.all);
    row("share of random to oracle".to_owned(), &|one| {
        one.share_of_gap
    });
    table.write(out)
}

fn calibration(out: &mut dyn Write, report: &Report, measures: &Evaluation) -> io::Result<()> {
    for (view, calibrated) in report.views.iter().zip(&measures.calibration) {
        let label = view.label();
        let mut table = Table::new(&[&label, "value", "if calibrated"]);
        let mean = calibrated.mean_probability.map_or("-".to_owned(), number);
        table.row(["mean probability".to_owned(), mean, String::new()]);
        let (errors, floor) = (&calibrated.errors, &calibrated.floor);
        for (name, error, floor) in [
            ("ECE, 10 equal-width bins", errors.ece_10, floor.ece_10),
            ("ECE, 15 equal-width bins", errors.ece_15, floor.ece_15),
            (
                "ECE, 15 equal-mass bins",
                errors.ece_mass_15,
                floor.ece_mass_15,
            ),
            ("SmoothECE", errors.smooth_ece, floor.smooth_ece),
        ] {
            table.row([name.to_owned(), show(error), show_floor(floor)]);
        }
        let scoring = &calibrated.scoring;
        for (name, estimate) in [
            ("Brier", scoring.brier),
            ("Brier skill", scoring.brier_skill),
            ("log-loss", scoring.log_loss),
        ] {
            table.row([name.to_owned(), show(estimate), String::new()]);
        }
        table.write(out)?;
    }
    Ok(())
}

fn risk_coverage(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let curve = &report.risk_coverage;
    let label = report.views.get(report.primary_view).map(View::label);
    let heading = format!("most certain, {}", label.unwrap_or_default());
    let mut table = Table::new(&[&heading, "on the wrong side of one half", "from one half"]);
    for at in curve.at.iter().skip(1).step_by(2) {
        let distance = at.distance.map_or("-".to_owned(), number);
        let share = format!("{:.0}% of records", 100.0 * at.coverage);
        table.row([share, show(at.risk), distance]);
    }
    table.row(["AURC".to_owned(), show(curve.aurc), String::new()]);
    let best = curve.best_aurc.map_or("-".to_owned(), number);
    table.row(["AURC, best possible".to_owned(), best, String::new()]);
    table.write(out)
}

fn groups(out: &mut dyn Write, title: &str, groups: &[Group], view: usize) -> io::Result<()> {
    let mut table = Table::new(&[
        title,
        "n",
        "correct",
        "AUC",
        "in task",
        "pass@1",
        "RM",
        "oracle",
        "ECE 10",
        "if cal.",
        "SmoothECE",
        "Brier",
        "skill",
        "log-loss",
    ]);
    for group in groups.iter().take(MOST_GROUPS) {
        let measures = group.measures.as_ref();
        let plain = |get: &dyn Fn(&Evaluation) -> Estimate| {
            let value = measures.and_then(|m| get(m).value);
            value.map_or("-".to_owned(), number)
        };
        let ranged = |get: &dyn Fn(&Evaluation) -> Estimate| {
            measures.map_or("-".to_owned(), |m| show(get(m)))
        };
        let at = |m: &Evaluation| -> Option<Calibrated> { m.calibration.get(view).cloned() };
        let calibrated = measures.and_then(at);
        let of = |get: &dyn Fn(&Calibrated) -> Estimate| calibrated.as_ref().map(get);
        let value = |estimate: Option<Estimate>| {
            estimate
                .and_then(|e| e.value)
                .map_or("-".to_owned(), number)
        };
        let floor = calibrated.as_ref().and_then(|c| c.floor.ece_10);
        table.row([
            shorten(group.name.as_deref().unwrap_or("(not stated)")),
            group.n.to_string(),
            percent(group.positives, group.n),
            ranged(&|m| m.ranking.auc),
            ranged(&|m| m.ranking.within_task_auc),
            plain(&|m| m.selection.pass_at_1),
            plain(&|m| m.selection.rm),
            plain(&|m| m.selection.oracle),
            of(&|c| c.errors.ece_10).map_or("-".to_owned(), show),
            floor.map_or("-".to_owned(), |f| number(f.mean)),
            value(of(&|c| c.errors.smooth_ece)),
            value(of(&|c| c.scoring.brier)),
            value(of(&|c| c.scoring.brier_skill)),
            value(of(&|c| c.scoring.log_loss)),
        ]);
    }
    table.write(out)?;
    let rest = groups.get(MOST_GROUPS..).unwrap_or_default();
    if !rest.is_empty() {
        let records: usize = rest.iter().map(|group| group.n).sum();
        writeln!(out, "… {} smaller ones, {records} records", rest.len())?;
    }
    Ok(())
}

fn number(value: f64) -> String {
    format!("{value:.3}")
}

fn show(estimate: Estimate) -> String {
    match (estimate.value, estimate.interval) {
        (None, _) => "-".to_owned(),
        (Some(value), None) => number(value),
        (Some(value), Some((low, high))) => format!("{value:.3} [{low:.3}, {high:.3}]"),
    }
}

fn show_floor(floor: Option<Floor>) -> String {
    floor.map_or("-".to_owned(), |f| format!("{:.3}, {:.3}", f.mean, f.p95))
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1}%", 100.0 * part as f64 / whole.max(1) as f64)
}

fn shorten(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    name.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
}

/// Columns as wide as their widest cell, the first one aligned left and numbers under each other.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(heading: &[&str]) -> Self {
        let heading = heading.iter().map(|&cell| cell.to_owned()).collect();
        Self {
            rows: vec![heading],
        }
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        writeln!(out)?;
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let padded: Vec<String> = cells.map(|(cell, w)| format!("{cell:w$}")).collect();
            writeln!(out, "{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }
}
