//! Packs a patch into token windows of the trunk's capacity: whole files first, then whole hunks,
//! and a hunk that fits nowhere is cut.
//!
//! Invariants: no window is longer than the capacity; every hunk is either placed or counted as
//! truncated; the work is bounded by the capacity and the number of windows, not by the patch,
//! because text is rendered and tokenised only until the last window is full.
//! This file must not know about tensors.

use super::render;
use super::reward::ModelError;
use crate::calibration::Probability;
use crate::change::{FileChange, Hunk, LineKind, Patch};
use std::ops::Range;

/// How much the trunk reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tokens in one window.
    pub context: usize,
    /// Tokens of the task description at the start of each window.
    pub task_tokens: usize,
    /// Windows in all.
    pub max_windows: usize,
}

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The task description.
    Task,
    /// A file header or a hunk marker.
    Header,
    /// A line in the base and the new text.
    Context,
    /// A line in the new text only.
    Added,
    /// A line in the base only.
    Removed,
}

/// Tokens that the trunk reads in one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The role of each token.
    pub roles: Vec<Role>,
}

/// Where a hunk was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index of the window.
    pub window: usize,
    /// Its tokens in that window, from the marker on; never empty.
    pub tokens: Range<usize>,
}

/// A patch as the trunk reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows {
    /// The windows in reading order.
    pub windows: Vec<Window>,
    /// For each hunk of the patch, in order, where it is; `None` if no window has it.
    pub places: Vec<Option<Place>>,
    /// Whether a hunk was cut or left out.
    pub truncated: bool,
    /// Added and removed lines that are in a window whole.
    pub(super) changed_lines: usize,
}

impl Place {
    /// Index of the hunk's last token.
    #[must_use]
    pub fn end(&self) -> usize {
        self.tokens.end.saturating_sub(1)
    }
}

impl Windows {
    /// Tokens in all windows.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(|window| window.ids.len()).sum()
    }

    /// Share of the added and removed lines of `patch` that are in a window whole.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn read(&self, patch: &Patch) -> Probability {
        let changed = |hunk: &Hunk| hunk.lines.len() - hunk.count(LineKind::Context);
        let all: usize = patch.hunks().map(|(_, hunk)| changed(hunk)).sum();
        let share = self.changed_lines as f64 / all.max(1) as f64;
        Probability::new(share.min(1.0)).unwrap_or(Probability::HALF)
    }

    /// Lays out `patch`. `encode` turns one rendered piece into tokens.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn pack(
        patch: &Patch,
        description: Option<&str>,
        limits: Limits,
        encode: &mut dyn FnMut(&str) -> Result<Vec<u32>, ModelError>,
    ) -> Result<Self, ModelError> {
        let mut task = Window::default();
        if let Some(text) = description.and_then(render::task) {
            let mut ids = encode(&text)?;
            ids.truncate(limits.task_tokens);
            task.push(&ids, Role::Task);
        }
        let mut packer = Packer {
            limits,
            empty: task,
            out: Self::default(),
            full: limits.max_windows == 0,
        };
        for file in &patch.files {
            packer.file(file, encode)?;
        }
        Ok(packer.out)
    }
}

impl Window {
    fn push(&mut self, ids: &[u32], role: Role) {
        self.ids.extend_from_slice(ids);
        self.roles.resize(self.ids.len(), role);
    }

    fn extend(&mut self, unit: &Window, tokens: usize) {
        let tokens = tokens.min(unit.ids.len());
        self.ids.extend_from_slice(&unit.ids[..tokens]);
        self.roles.extend_from_slice(&unit.roles[..tokens]);
    }
}

/// A hunk as tokens.
#[derive(Default)]
struct Unit {
    window: Window,
    /// Where each added or removed line ends.
    ends: Vec<usize>,
}

type Encode<'a> = dyn FnMut(&str) -> Result<Vec<u32>, ModelError> + 'a;

struct Packer {
    limits: Limits,
    /// A window with nothing but the task.
    empty: Window,
    out: Windows,
    /// No further window may be started and something did not fit in the last one.
    full: bool,
}

impl Packer {
    fn file(&mut self, file: &FileChange, encode: &mut Encode<'_>) -> Result<(), ModelError> {
        if file.hunks.is_empty() {
            return Ok(());
        }
        let header = if self.full {
            Window::default()
        } else {
            self.header(file, encode)?
        };
        // Whatever happens below, each hunk of the file has an entry.
        let first = self.out.places.len();
        self.out.places.resize(first + file.hunks.len(), None);

        let budget = self.limits.context - self.empty.ids.len();
        let mut units = Vec::new();
        let mut tokens = header.ids.len();
        while units.len() < file.hunks.len() && tokens <= budget && !self.full {
            let unit = unit(&file.hunks[units.len()], budget, encode)?;
            tokens += unit.window.ids.len();
            units.push(unit);
        }
        let whole = units.len() == file.hunks.len() && tokens <= budget;
        if whole && tokens > self.left() {
            self.start_window();
        }
        let mut has_header = false;
        for (index, hunk) in file.hunks.iter().enumerate() {
            let unit = match units.get_mut(index) {
                Some(unit) => std::mem::take(unit),
                None if self.full => Unit::default(),
                None => unit(hunk, budget, encode)?,
            };
            self.hunk(first + index, &header, &mut has_header, &unit);
        }
        Ok(())
    }

    fn header(&mut self, file: &FileChange, encode: &mut Encode<'_>) -> Result<Window, ModelError> {
        let mut ids = encode(&render::file_header(file))?;
        ids.truncate(self.limits.context / 4);
        let mut header = Window::default();
        header.push(&ids, Role::Header);
        Ok(header)
    }

    fn hunk(&mut self, index: usize, header: &Window, has_header: &mut bool, unit: &Unit) {
        let Unit { window: unit, ends } = unit;
        let needed =
            |has_header: bool| unit.ids.len() + if has_header { 0 } else { header.ids.len() };
        if !self.full && needed(*has_header) > self.left() && self.start_window() {
            *has_header = false;
        }
        if self.full {
            self.out.truncated = true;
            return;
        }
        let left = self.left();
        let number = self.out.windows.len().saturating_sub(1);
        let Some(window) = self.out.windows.last_mut() else {
            return;
        };
        let room = left - if *has_header { 0 } else { header.ids.len() };
        if !*has_header {
            window.extend(header, header.ids.len());
            *has_header = true;
        }
        let start = window.ids.len();
        window.extend(unit, room);
        self.out.truncated |= unit.ids.len() > room;
        self.out.changed_lines += ends.iter().filter(|end| **end <= room).count();
        self.out.places[index] = Some(Place {
            window: number,
            tokens: start..window.ids.len(),
        });
    }

    /// Tokens that the current window can still take.
    fn left(&self) -> usize {
        self.out
            .windows
            .last()
            .map_or(0, |window| self.limits.context - window.ids.len())
    }

    /// Starts a window unless the current one has nothing but the task. Returns whether it did;
    /// when no further window is allowed nothing more is read.
    fn start_window(&mut self) -> bool {
        if self
            .out
            .windows
            .last()
            .is_some_and(|window| window.ids.len() == self.empty.ids.len())
        {
            return false;
        }
        if self.out.windows.len() >= self.limits.max_windows {
            self.full = true;
            return false;
        }
        self.out.windows.push(self.empty.clone());
        true
    }
}

/// The tokens of a hunk, or, for a longer one, somewhat more than `enough` of them.
fn unit(hunk: &Hunk, enough: usize, encode: &mut Encode<'_>) -> Result<Unit, ModelError> {
    let mut unit = Unit::default();
    unit.window
        .push(&encode(render::HUNK_MARKER)?, Role::Header);
    for line in &hunk.lines {
        if unit.window.ids.len() > enough {
            break;
        }
        let role = match line.kind {
            LineKind::Context => Role::Context,
            LineKind::Added => Role::Added,
            LineKind::Removed => Role::Removed,
        };
        unit.window.push(&encode(&render::line(line))?, role);
        if line.kind != LineKind::Context {
            unit.ends.push(unit.window.ids.len());
        }
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{FileStatus, Line, LineRange};
    use proptest::prelude::*;

    /// One token a character.
    fn pack(patch: &Patch, task: Option<&str>, limits: Limits) -> Windows {
        Windows::pack(patch, task, limits, &mut |text| {
            Ok(text.chars().map(u32::from).collect())
        })
        .unwrap()
    }

    /// A modified file; each hunk is a string of added lines.
    fn file(path: &str, hunks: &[&str]) -> FileChange {
        let range = LineRange { start: 1, lines: 1 };
        let hunk = |text: &&str| Hunk {
            old: range,
            new: range,
            lines: text
                .split('\n')
                .map(|line| Line {
                    kind: LineKind::Added,
                    text: line.into(),
                })
                .collect(),
        };
        FileChange {
            old_path: Some(path.into()),
            new_path: Some(path.into()),
            status: FileStatus::Modified,
            hunks: hunks.iter().map(hunk).collect(),
        }
    }

    fn limits(context: usize, max_windows: usize) -> Limits {
        Limits {
            context,
            task_tokens: 12,
            max_windows,
        }
    }

    #[test]
    fn whole_files_first_then_whole_hunks_then_what_fits() {
        let check = |files: &[FileChange], limits: Limits, expect: &[&str], truncated: bool| {
            let patch = Patch {
                files: files.to_vec(),
            };
            let got = pack(&patch, Some("fix it"), limits);
            let texts: Vec<String> = got
                .windows
                .iter()
                .map(|window| {
                    let chars = window.ids.iter().filter_map(|&id| char::from_u32(id));
                    chars.collect::<String>().replace('\n', "|")
                })
                .collect();
            assert_eq!(texts, expect);
            assert_eq!(got.truncated, truncated);
        };
        // "Task: fix it" is 12 tokens, "File: a\n" 8, "@@\n" 3 and "+x\n" 3.
        let (a, b) = (file("a", &["x"]), file("b", &["y", "z"]));
        let both = [a.clone(), b.clone()];
        check(
            &both,
            limits(64, 2),
            &["Task: fix itFile: a|@@|+x|File: b|@@|+y|@@|+z|"],
            false,
        );
        check(
            &both,
            limits(45, 2),
            &[
                "Task: fix itFile: a|@@|+x|",
                "Task: fix itFile: b|@@|+y|@@|+z|",
            ],
            false,
        );
        check(&both, limits(45, 1), &["Task: fix itFile: a|@@|+x|"], true);
        // `b` fits no window as a whole: its hunks fill up the window that is there.
        let b = file("b", &["y", "0123456789", "zzz"]);
        check(
            &[a.clone(), b],
            limits(40, 3),
            &[
                "Task: fix itFile: a|@@|+x|File: b|@@|+y|",
                "Task: fix itFile: b|@@|+0123456789|",
                "Task: fix itFile: b|@@|+zzz|",
            ],
            false,
        );
        // A hunk that fits nowhere is cut; a small window is not left behind for it.
        let long = file("b", &["01234567890123456789"]);
        check(
            &[long],
            limits(36, 2),
            &["Task: fix itFile: b|@@|+012345678901"],
            true,
        );
        // A long header is cut to a quarter of the window.
        check(
            &[file("abcdefgh", &["x"])],
            limits(36, 2),
            &["Task: fix itFile: abc@@|+x|"],
            false,
        );
        // Files without hunks are not named.
        check(
            &[file("c", &[]), a],
            limits(36, 1),
            &["Task: fix itFile: a|@@|+x|"],
            false,
        );
    }

    #[test]
    fn work_does_not_grow_with_the_patch() {
        let hunks = vec!["some text\nand more"; 1_000];
        let patch = Patch {
            files: vec![file("a", &hunks); 100],
        };
        let mut encoded = 0;
        let windows = Windows::pack(&patch, None, limits(64, 2), &mut |text| {
            encoded += 1;
            Ok(vec![0; text.len()])
        });
        assert_eq!(windows.unwrap().places.len(), 100_000);
        assert!(encoded < 50, "{encoded} pieces were tokenised");
    }

    fn any_patch() -> impl Strategy<Value = Patch> {
        let lines = prop::collection::vec("[a-z]{0,30}", 1..12);
        let hunks = prop::collection::vec(lines, 0..5);
        let files = prop::collection::vec(("[a-z/]{1,40}", hunks), 0..6);
        files.prop_map(|files| Patch {
            files: files
                .iter()
                .map(|(path, hunks)| {
                    let hunks: Vec<String> = hunks.iter().map(|lines| lines.join("\n")).collect();
                    file(path, &hunks.iter().map(String::as_str).collect::<Vec<_>>())
                })
                .collect(),
        })
    }

    proptest! {
        #[test]
        fn windows_hold_and_every_hunk_is_accounted_for(
            patch in any_patch(),
            task in prop::option::of("[a-z ]{0,40}"),
            context in 48_usize..400,
            max_windows in 1_usize..4,
        ) {
            let limits = limits(context, max_windows);
            let got = pack(&patch, task.as_deref(), limits);
            prop_assert!(got.windows.len() <= max_windows);
            prop_assert_eq!(got.places.len(), patch.hunk_count());
            for window in &got.windows {
                prop_assert!(window.ids.len() <= context);
                prop_assert_eq!(window.ids.len(), window.roles.len());
                // Neither a header nor a marker ends a window.
                prop_assert!(matches!(window.roles.last(), Some(Role::Added)));
            }
            let mut next = (0, 0);
            for (place, (_, hunk)) in got.places.iter().zip(patch.hunks()) {
                let Some(place) = place else {
                    prop_assert!(got.truncated);
                    continue;
                };
                prop_assert!((place.window, place.tokens.start) >= next);
                next = (place.window, place.tokens.end);
                let full: usize = 3 + hunk.lines.iter().map(|l| l.text.len() + 2).sum::<usize>();
                prop_assert!(place.tokens.len() == full || got.truncated);
                prop_assert!(place.tokens.end <= got.windows[place.window].ids.len());
            }
        }
    }
}
