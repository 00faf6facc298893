//! Marks as labelled records, in the form that `diffidence eval` and the training pipeline read.

use super::statement::{Label, Mark};
use super::store::Entry;
use serde_json::{Value, json};

/// One mark as a record. The work tree's folder is left out: the file is made to be passed on.
#[must_use]
pub fn labelled(mark: &Entry<Mark>) -> Value {
    let Entry {
        id,
        statement: mark,
    } = mark;
    let mut record = json!({
        "id": id,
        "patch": mark.patch,
        "label": u8::from(mark.label == Label::Correct),
        "source": "diffidence review",
        "scope": mark.scope,
        "path": mark.place.path,
        "probability": mark.probability,
        "logit": mark.logit,
        "model": mark.model,
        "calibration": mark.calibration,
        "time": mark.time,
    });
    if let (Some(task), Some(record)) = (&mark.task, record.as_object_mut()) {
        record.insert("problem".into(), task.as_str().into());
    }
    record
}
