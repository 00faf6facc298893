//! `diffidence review`: what was said about hunks, listed, taken back, and exported.

use super::Status;
use super::text::printable;
use crate::review::{Entry, EntryId, Ignored, Mark, Place, Reviews, labelled};
use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Version of the JSON layout.
const VERSION: u32 = 1;

/// Changed lines of an ignored hunk that are shown to recognise it by.
const SHOWN_LINES: usize = 3;

#[derive(Debug, clap::Args)]
pub(super) struct ReviewArgs {
    #[command(subcommand)]
    command: ReviewCommand,
}

#[derive(Debug, Subcommand)]
enum ReviewCommand {
    /// List ignored hunks and marks of all repositories
    List {
        /// How to print them
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Show ignored hunks again
    Unignore(Which),
    /// Delete marks
    Unmark(Which),
    /// Write marks as labelled JSON lines, as `diffidence eval` reads them
    Export {
        /// Where to; `-` is standard output
        #[arg(value_name = "FILE", default_value = "-")]
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// First digits of an id that `diffidence review list` shows
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Serialize)]
struct Listing {
    version: u32,
    ignored: Vec<Entry<Ignored>>,
    marks: Vec<Entry<Mark>>,
}

pub(super) fn run(args: &ReviewArgs, out: &mut dyn Write) -> Result<Status> {
    let reviews = Reviews::in_folder(Reviews::default_folder());
    match &args.command {
        ReviewCommand::List { format } => {
            let listing = Listing {
                version: VERSION,
                ignored: reviews.ignored()?,
                marks: reviews.marks()?,
            };
            match format {
                Format::Text => list(&listing, out)?,
                Format::Json => {
                    serde_json::to_writer_pretty(&mut *out, &listing)?;
                    writeln!(out)?;
                }
            }
        }
        ReviewCommand::Unignore(which) => {
            let ids = chosen(which, reviews.ignored()?, "ignored hunk")?;
            for id in &ids {
                reviews.unignore(id)?;
            }
            writeln!(out, "{} no longer ignored", ids.len())?;
        }
        ReviewCommand::Unmark(which) => {
            let ids = chosen(which, reviews.marks()?, "mark")?;
            for id in &ids {
                reviews.unmark(id)?;
            }
            writeln!(out, "{} deleted", ids.len())?;
        }
        ReviewCommand::Export { file } if file == Path::new("-") => {
            export(&reviews.marks()?, out)?;
        }
        ReviewCommand::Export { file } => {
            let marks = reviews.marks()?;
            let cannot_write = || format!("cannot write {}", file.display());
            let mut to = BufWriter::new(File::create(file).with_context(cannot_write)?);
            export(&marks, &mut to)
                .and_then(|()| to.flush())
                .with_context(cannot_write)?;
            writeln!(out, "{} marks in {}", marks.len(), file.display())?;
        }
    }
    Ok(Status::Fine)
}

/// The entries that are meant, at least one unless all are.
fn chosen<T>(which: &Which, entries: Vec<Entry<T>>, what: &str) -> Result<Vec<EntryId>> {
    let mut ids: Vec<EntryId> = entries.into_iter().map(|entry| entry.id).collect();
    if let Some(digits) = &which.id {
        ids.retain(|id| id.starts_with(digits));
        match ids.len() {
            1 => {}
            0 => bail!("no {what} has the id {digits}: see `diffidence review list`"),
            n => bail!("{n} ids begin with {digits}: give more digits"),
        }
    }
    Ok(ids)
}

fn export(marks: &[Entry<Mark>], out: &mut dyn Write) -> std::io::Result<()> {
    marks
        .iter()
        .try_for_each(|mark| writeln!(out, "{}", labelled(mark)))
}

fn list(listing: &Listing, out: &mut dyn Write) -> std::io::Result<()> {
    if listing.ignored.is_empty() && listing.marks.is_empty() {
        return writeln!(out, "Nothing is ignored or marked.");
    }
    for entry in &listing.ignored {
        let Ignored { place, patch, time } = &entry.statement;
        heading(&entry.id, time, "ignored", place, out)?;
        let body = patch.lines().skip_while(|line| !line.starts_with("@@"));
        let changed = body.filter(|line| line.starts_with(['+', '-']));
        for line in changed.take(SHOWN_LINES) {
            writeln!(out, "    {}", printable(line))?;
        }
    }
    for entry in &listing.marks {
        let mark = &entry.statement;
        let what = format!("{} {}", mark.scope, mark.label);
        heading(&entry.id, &mark.time, &what, &mark.place, out)?;
        writeln!(out, "    {} by {}", mark.probability, mark.model)?;
    }
    Ok(())
}

fn heading(
    id: &EntryId,
    time: &str,
    what: &str,
    place: &Place,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let (path, root) = (printable(&place.path), printable(&place.root));
    writeln!(out, "{}  {time}  {what}  {path}  in {root}", id.short())
}
