//! What every drawing has in common: the page, its heading, and text as XML.
//!
//! A drawing is one self-contained SVG file: text stays text, no script, no font or image from
//! elsewhere, and colours follow the reader's light or dark setting.

use std::fmt::{self, Write};

/// Plain rules come first for viewers that know nothing of colour schemes.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2328}\
.title{font-size:16px;font-weight:600}\
.quiet{fill:#59636e}\
.paper{fill:#ffffff}\
.grid{stroke:#d1d9e0;stroke-width:1;fill:none}\
@media (prefers-color-scheme:dark){\
text{fill:#e6edf3}.quiet{fill:#9198a1}.paper{fill:#0d1117}.grid{stroke:#3d444d}}";

/// Starts a drawing: the page with a title and a caption, of one line each. `style` is for what
/// comes after; it ends with `</svg>`.
pub(crate) fn page(
    svg: &mut String,
    (width, height): (f64, f64),
    left: f64,
    style: &str,
    title: &str,
    caption: &str,
) -> fmt::Result {
    let (title, caption) = (escape(title), escape(caption));
    write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title caption"><style>{STYLE}{style}</style><rect class="paper" width="{width}" height="{height}"/>
<text id="title" class="title" x="{left}" y="30">{title}</text>
<text id="caption" class="quiet" x="{left}" y="52">{caption}</text>
"#
    )
}

/// Text as XML character data. Control characters, which XML does not allow, become spaces.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
