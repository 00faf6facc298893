//! Reports of diagnostics for clients that ask for them. The id of a report follows from what is in
//! it, so that the client need not be sent what it has.

use std::hash::{DefaultHasher, Hash, Hasher};
use tower_lsp::lsp_types::{
    Diagnostic, DocumentDiagnosticReport, FullDocumentDiagnosticReport,
    RelatedFullDocumentDiagnosticReport, RelatedUnchangedDocumentDiagnosticReport,
    UnchangedDocumentDiagnosticReport,
};

/// A report of these diagnostics.
pub(in crate::server) fn full(items: Vec<Diagnostic>) -> DocumentDiagnosticReport {
    RelatedFullDocumentDiagnosticReport {
        related_documents: None,
        full_document_diagnostic_report: FullDocumentDiagnosticReport {
            result_id: Some(id_of(&items)),
            items,
        },
    }
    .into()
}

/// The report that the client has still holds.
pub(in crate::server) fn unchanged(result_id: String) -> DocumentDiagnosticReport {
    RelatedUnchangedDocumentDiagnosticReport {
        related_documents: None,
        unchanged_document_diagnostic_report: UnchangedDocumentDiagnosticReport { result_id },
    }
    .into()
}

/// A report of these diagnostics for a client that has the report `previous`.
pub(in crate::server) fn since(
    previous: Option<String>,
    items: Vec<Diagnostic>,
) -> DocumentDiagnosticReport {
    match previous {
        Some(previous) if previous == id_of(&items) => unchanged(previous),
        _ => full(items),
    }
}

fn id_of(items: &[Diagnostic]) -> String {
    let mut hasher = DefaultHasher::new();
    for item in items {
        // A diagnostic is plain data, so this cannot fail.
        serde_json::to_string(item).ok().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
