//! A template for prompts: three sections of fixed text, with slots for what comes from outside.
//!
//! Invariant: each slot stands where it can be filled, and once, so nothing is silently left empty;
//! what looks like a slot and is none is refused. The questions about a patch and its hunks hold
//! nothing of the task: what they share stands before them. This module must not know about tokens.

/// What begins the line that names a section.
pub(super) const SECTION: &str = "%% ";
/// Names of the sections, in their order.
const SECTIONS: [&str; 3] = ["shared", "patch", "hunk"];

/// What is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Slot {
    Task,
    Patch,
    Hunk,
}

/// A part of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) enum Part {
    Text(String),
    Slot(Slot),
}

/// A template that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) struct Sections {
    /// What all questions have before them.
    pub(in crate::model) shared: Vec<Part>,
    /// The question about the patch.
    pub(in crate::model) patch: Vec<Part>,
    /// The question about a hunk.
    pub(in crate::model) hunk: Vec<Part>,
}

impl Slot {
    const ALL: [Self; 3] = [Self::Task, Self::Patch, Self::Hunk];

    /// As templates write it.
    fn name(self) -> &'static str {
        match self {
            Self::Task => "{task}",
            Self::Patch => "{patch}",
            Self::Hunk => "{hunk}",
        }
    }

    /// The only section that it may stand in.
    fn section(self) -> &'static str {
        match self {
            Self::Task | Self::Patch => "shared",
            Self::Hunk => "hunk",
        }
    }
}

impl Sections {
    /// Reads a template. Fails with a sentence for its author.
    pub(in crate::model) fn parse(text: &str) -> Result<Self, String> {
        // Some editors put a mark before the text that says how it is encoded.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in text.lines() {
            match (line.strip_prefix(SECTION), sections.last_mut()) {
                (Some(name), _) => sections.push((name.trim(), Vec::new())),
                (None, Some((_, lines))) => lines.push(line),
                (None, None) => return Err(format!("text stands before `{SECTION}shared`")),
            }
        }
        let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
        if names != SECTIONS {
            return Err(format!(
                "the sections are {names:?}, but they must be {SECTIONS:?}, each after a line such as `{SECTION}shared`"
            ));
        }
        let parts: Vec<Vec<Part>> = sections
            .iter()
            .map(|(name, lines)| section(name, &lines.join("\n")))
            .collect::<Result<_, _>>()?;
        let [shared, patch, hunk] =
            <[_; 3]>::try_from(parts).map_err(|_| String::from("a template has three sections"))?;
        Ok(Self {
            shared,
            patch,
            hunk,
        })
    }

    /// Whether the model is told what the change is for.
    pub(in crate::model) fn tells_task(&self) -> bool {
        self.shared.contains(&Part::Slot(Slot::Task))
    }
}

/// The parts of a section.
fn section(name: &str, text: &str) -> Result<Vec<Part>, String> {
    let parts = parts(text).map_err(|word| {
        format!(
            "section `{name}` holds {word}, which is no slot: there are {{task}} and {{patch}} for `shared`, and {{hunk}} for `hunk`"
        )
    })?;
    if parts.is_empty() {
        return Err(format!("section `{name}` is empty"));
    }
    for slot in Slot::ALL {
        let (written, home) = (slot.name(), slot.section());
        let times = parts.iter().filter(|it| **it == Part::Slot(slot)).count();
        if times > 0 && home != name {
            return Err(format!(
                "section `{name}` holds {written}, which may stand in `{home}` only"
            ));
        }
        if times > 1 {
            return Err(format!("section `{name}` holds {written} more than once"));
        }
        if times == 0 && home == name && slot != Slot::Task {
            return Err(format!("section `{name}` must hold {written} once"));
        }
    }
    Ok(parts)
}

/// Splits a text at its slots. Fails with the first word in braces that is none.
fn parts(text: &str) -> Result<Vec<Part>, &str> {
    let mut parts = Vec::new();
    // From where on nothing was taken yet, and from where on to look for braces.
    let (mut taken, mut from) = (0, 0);
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        from = open + 1;
        let is_word = |c: char| c.is_ascii_alphabetic() || c == '_';
        let inner = &text[from..];
        let length = inner.find(|c| !is_word(c)).unwrap_or(inner.len());
        if length == 0 || !inner[length..].starts_with('}') {
            continue;
        }
        let end = from + length + 1;
        let word = &text[open..end];
        let slot = Slot::ALL.into_iter().find(|slot| slot.name() == word);
        let slot = slot.ok_or(word)?;
        if taken < open {
            parts.push(Part::Text(text[taken..open].into()));
        }
        parts.push(Part::Slot(slot));
        (taken, from) = (end, end);
    }
    if taken < text.len() {
        parts.push(Part::Text(text[taken..].into()));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str =
        "%% shared\nT: {task}\nP: {patch}\n%% patch\nRight?\n%% hunk\n{hunk} Right?\n";

    /// The sound template with one text in place of another is refused with all of `says`.
    #[track_caller]
    fn refused(from: &str, to: &str, says: &[&str]) {
        let error = Sections::parse(&SOUND.replace(from, to)).unwrap_err();
        for part in says {
            assert!(error.contains(part), "{to:?}: {error}");
        }
    }

    #[test]
    fn a_template_is_split_at_its_slots() {
        let text = |text: &str| Part::Text(text.into());
        let expected = Sections {
            shared: vec![
                text("T: "),
                Part::Slot(Slot::Task),
                text("\nP: "),
                Part::Slot(Slot::Patch),
            ],
            patch: vec![text("Right?")],
            hunk: vec![Part::Slot(Slot::Hunk), text(" Right?")],
        };
        let marked = format!("\u{feff}{SOUND}");
        for written in [SOUND, &SOUND.replace('\n', "\r\n"), &marked] {
            assert_eq!(
                Sections::parse(written),
                Ok(expected.clone()),
                "{written:?}"
            );
        }
        assert!(expected.tells_task());
        let without = Sections::parse(&SOUND.replace("{task}", "")).unwrap();
        assert!(!without.tells_task());
    }

    #[test]
    fn braces_that_are_no_slot_stay_text() {
        for braces in [
            "{}",
            "{ task }",
            "{x1}",
            "{\"a\": 1}",
            "{{",
            "}",
            "{é}",
            "{task",
            "{a b}",
        ] {
            let all = Sections::parse(&SOUND.replace("Right?", braces)).unwrap();
            assert_eq!(all.patch, [Part::Text(braces.into())]);
        }
        let nested = Sections::parse(&SOUND.replace("{patch}", "{{patch}}")).unwrap();
        assert!(nested.shared.contains(&Part::Slot(Slot::Patch)));
        assert_eq!(nested.shared.last(), Some(&Part::Text("}".into())));
    }

    #[test]
    fn what_cannot_be_filled_is_refused() {
        let once = "more than once";
        refused("{task}", "{task}{task}", &["`shared`", "{task}", once]);
        refused("{patch}", "{patch}{patch}", &["`shared`", "{patch}", once]);
        refused("{hunk}", "{hunk}{hunk}", &["`hunk`", "{hunk}", once]);
        refused("{patch}", "", &["`shared` must hold {patch}"]);
        refused("{hunk}", "", &["`hunk` must hold {hunk}"]);
        let only = "may stand in `shared` only";
        refused("Right?", "{task}", &["`patch`", "{task}", only]);
        refused("{hunk}", "{hunk}{task}", &["`hunk`", "{task}", only]);
        refused("Right?", "{patch}", &["`patch`", "{patch}", only]);
        let only = "may stand in `hunk` only";
        refused("T: ", "{hunk}", &["`shared`", "{hunk}", only]);
        for word in ["{problem}", "{diff}", "{Task}", "{_}"] {
            let all = ["is no slot", "{task}", "{patch}", "{hunk}", word];
            refused("T: ", word, &all);
            refused("Right?", &format!("{{ {word}"), &all);
        }
        refused("Right?\n", "", &["`patch` is empty"]);
        refused("%% patch", "%% change", &["\"change\"", "\"hunk\""]);
        refused("%% shared", "hello\n%% shared", &["before `%% shared`"]);
        refused(SOUND, "", &["the sections are []"]);
    }
}
