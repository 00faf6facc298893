//! Text that is too long for where it is shown.

/// At most `most` characters of `text`, and a sign if there are more.
pub(in crate::server) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
    }
}
