//! Which deleted file became which added one.
//!
//! The rules are git's (`git diff -M`), so that a reviewer sees the same pairs: first identical
//! contents, then files that kept a unique base name and three quarters of their text, then the
//! most similar pairs down to half of the text. This module must not know where contents are from.

use std::collections::HashMap;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};

/// Full likeness.
const MAX_SCORE: u64 = 60_000;
/// Half of the text.
const MIN_SCORE: u64 = MAX_SCORE / 2;
/// Asked of files that kept their base name, which are compared first.
const MIN_BASENAME_SCORE: u64 = MIN_SCORE + (MAX_SCORE - MIN_SCORE) / 2;
/// With more pairs than this to compare, only identical contents are paired. A quarter of git's
/// limit, for it is also waited for in an editor.
const MAX_PAIRS: usize = 500 * 500;
/// Best sources remembered for each destination.
const CANDIDATES: usize = 4;

/// A file on one side.
pub(super) struct File<'a> {
    pub(super) path: &'a BStr,
    pub(super) id: ObjectId,
}

/// Which list a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Source,
    Destination,
}

/// The pieces a content consists of: bytes by hash of the piece.
pub(super) struct Fingerprint {
    size: u64,
    pieces: HashMap<u32, u64>,
}

impl Fingerprint {
    /// Cuts the content at line ends and after at most 64 bytes.
    pub(super) fn of(data: &[u8]) -> Self {
        let mut pieces = HashMap::new();
        let (mut length, mut low, mut high) = (0_u64, 0_u32, 0_u32);
        let text = !data[..data.len().min(8_000)].contains(&0);
        let mut rest = data.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            if text && byte == b'\r' && rest.peek() == Some(&b'\n') {
                continue;
            }
            let old_low = low;
            low = (low << 7) ^ (high >> 25);
            high = (high << 7) ^ (old_low >> 25);
            low = low.wrapping_add(u32::from(byte));
            length += 1;
            if length == 64 || byte == b'\n' || rest.peek().is_none() {
                let hash = low.wrapping_add(high.wrapping_mul(0x61)) % 107_927;
                *pieces.entry(hash).or_insert(0) += length;
                (length, low, high) = (0, 0, 0);
            }
        }
        Fingerprint {
            size: data.len() as u64,
            pieces,
        }
    }

    fn likeness(&self, other: &Fingerprint) -> u64 {
        let larger = self.size.max(other.size);
        let smaller = self.size.min(other.size);
        if larger == 0 || larger * (MAX_SCORE - MIN_SCORE) < (larger - smaller) * MAX_SCORE {
            return 0;
        }
        let kept: u64 = self
            .pieces
            .iter()
            .map(|(hash, &bytes)| bytes.min(other.pieces.get(hash).copied().unwrap_or(0)))
            .sum();
        kept * MAX_SCORE / larger
    }
}

/// For each destination the source it was renamed from. Asks for the contents (by side and
/// position) only of files that no identical file was found for, and only if there are few enough;
/// `None` for a content that must not be compared (too large, say).
pub(super) fn pair<E>(
    sources: &[File<'_>],
    destinations: &[File<'_>],
    mut print: impl FnMut(Side, usize) -> Result<Option<Fingerprint>, E>,
) -> Result<Vec<Option<usize>>, E> {
    let mut pairs = Pairs {
        of: vec![None; destinations.len()],
        used: vec![false; sources.len()],
        source_prints: Vec::new(),
        destination_prints: Vec::new(),
    };
    pairs.identical(sources, destinations);
    let sources_left = pairs.used.iter().filter(|used| !**used).count();
    let destinations_left = pairs.of.iter().filter(|source| source.is_none()).count();
    let work = sources_left.saturating_mul(destinations_left);
    if (1..=MAX_PAIRS).contains(&work) {
        for (index, used) in pairs.used.iter().enumerate() {
            pairs.source_prints.push(if *used {
                None
            } else {
                print(Side::Source, index)?
            });
        }
        for (index, source) in pairs.of.iter().enumerate() {
            let wanted = source.is_none();
            pairs.destination_prints.push(if wanted {
                print(Side::Destination, index)?
            } else {
                None
            });
        }
        pairs.same_name(sources, destinations);
        pairs.similar(sources, destinations);
    }
    Ok(pairs.of)
}

struct Pairs {
    of: Vec<Option<usize>>,
    used: Vec<bool>,
    source_prints: Vec<Option<Fingerprint>>,
    destination_prints: Vec<Option<Fingerprint>>,
}

impl Pairs {
    fn set(&mut self, destination: usize, source: usize) {
        self.of[destination] = Some(source);
        self.used[source] = true;
    }

    fn likeness(&self, source: usize, destination: usize) -> u64 {
        match (
            &self.source_prints[source],
            &self.destination_prints[destination],
        ) {
            (Some(source), Some(destination)) => source.likeness(destination),
            _ => 0,
        }
    }

    fn identical(&mut self, sources: &[File<'_>], destinations: &[File<'_>]) {
        let mut by_id: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for (index, source) in sources.iter().enumerate() {
            by_id.entry(source.id).or_default().push(index);
        }
        for (index, destination) in destinations.iter().enumerate() {
            let Some(same) = by_id.get(&destination.id) else {
                continue;
            };
            let mut free = same.iter().copied().filter(|&source| !self.used[source]);
            let first = free.clone().next();
            let best = free
                .find(|&source| basename(sources[source].path) == basename(destination.path))
                .or(first);
            if let Some(source) = best {
                self.set(index, source);
            }
        }
    }

    fn same_name(&mut self, sources: &[File<'_>], destinations: &[File<'_>]) {
        let by_source = unique_names(sources, |index| !self.used[index]);
        let by_destination = unique_names(destinations, |index| self.of[index].is_none());
        for (index, source) in sources.iter().enumerate() {
            let name = basename(source.path);
            let (Some(&Some(from)), Some(&Some(to))) =
                (by_source.get(name), by_destination.get(name))
            else {
                continue;
            };
            if from == index && self.likeness(from, to) >= MIN_BASENAME_SCORE {
                self.set(to, from);
            }
        }
    }

    fn similar(&mut self, sources: &[File<'_>], destinations: &[File<'_>]) {
        let mut all = Vec::new();
        for (to, destination) in destinations.iter().enumerate() {
            if self.of[to].is_some() {
                continue;
            }
            let mut best: Vec<(u64, bool, usize, usize)> = sources
                .iter()
                .enumerate()
                .filter(|&(from, _)| !self.used[from])
                .map(|(from, source)| {
                    let same_name = basename(source.path) == basename(destination.path);
                    (self.likeness(from, to), same_name, to, from)
                })
                .filter(|&(score, ..)| score >= MIN_SCORE)
                .collect();
            best.sort_by_key(|&(score, same_name, ..)| std::cmp::Reverse((score, same_name)));
            best.truncate(CANDIDATES);
            all.extend(best);
        }
        all.sort_by_key(|&(score, same_name, ..)| std::cmp::Reverse((score, same_name)));
        for (_, _, to, from) in all {
            if self.of[to].is_none() && !self.used[from] {
                self.set(to, from);
            }
        }
    }
}

/// Base names of the eligible files; `None` for a name that several of them have.
fn unique_names<'a>(
    files: &[File<'a>],
    eligible: impl Fn(usize) -> bool,
) -> HashMap<&'a [u8], Option<usize>> {
    let mut names = HashMap::new();
    for (index, file) in files
        .iter()
        .enumerate()
        .filter(|&(index, _)| eligible(index))
    {
        names
            .entry(basename(file.path))
            .and_modify(|entry| *entry = None)
            .or_insert(Some(index));
    }
    names
}

fn basename(path: &BStr) -> &[u8] {
    path.rsplit_str("/").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn pairs(sources: &[(&str, &str)], destinations: &[(&str, &str)]) -> Vec<Option<usize>> {
        let file = |&(path, text): &(&'static str, &str)| File {
            path: path.into(),
            id: gix::objs::compute_hash(
                gix::hash::Kind::Sha1,
                gix::objs::Kind::Blob,
                text.as_bytes(),
            )
            .expect("a hash"),
        };
        let sources_: Vec<_> = sources
            .iter()
            .map(|&(path, text)| (leak(path), text))
            .collect();
        let destinations_: Vec<_> = destinations
            .iter()
            .map(|&(path, text)| (leak(path), text))
            .collect();
        let print = |side, index: usize| {
            let files = if side == Side::Source {
                sources
            } else {
                destinations
            };
            Ok::<_, ()>(Some(Fingerprint::of(files[index].1.as_bytes())))
        };
        let sources: Vec<_> = sources_.iter().map(file).collect();
        let destinations: Vec<_> = destinations_.iter().map(file).collect();
        pair(&sources, &destinations, print).expect("prints")
    }

    fn leak(text: &str) -> &'static str {
        Box::leak(text.to_owned().into_boxed_str())
    }

    #[test]
    fn identical_first_and_by_name() {
        let sources = [("x/a", "1\n2\n"), ("x/b", "1\n2\n")];
        assert_eq!(pairs(&sources, &[("y/b", "1\n2\n")]), [Some(1)]);
        assert_eq!(
            pairs(&sources, &[("y/c", "1\n2\n"), ("y/d", "1\n2\n")]),
            [Some(0), Some(1)]
        );
    }

    #[test]
    fn half_of_the_text_must_stay() {
        let old = "one\ntwo\nsix\nten\n";
        assert_eq!(
            pairs(&[("a", old)], &[("b", "one\ntwo\nxxx\nyyy\n")]),
            [Some(0)]
        );
        assert_eq!(
            pairs(&[("a", old)], &[("b", "one\nzzz\nxxx\nyyy\n")]),
            [None]
        );
        assert_eq!(pairs(&[("a", "")], &[("b", "x\n")]), [None]);
    }
}
