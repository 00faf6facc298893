//! Which model is used: a stated one, or the bundled one where it is found without configuration.
//!
//! Decision: the model lies beside the program instead of being embedded in it. Embedding would
//! add its 50 MB to the program and to the memory of every process, also of those that answer from
//! the cache and never load it, and a model could not be replaced without building anew.
//!
//! Invariant: an explicit path, the environment variable or the user's choice is final: if there is no
//! bundle there, that is an error and not a reason to use another model silently.

use super::bundle::MANIFEST;
use super::reward::ModelError;
use std::path::{Path, PathBuf};

/// Environment variable that names the folder of the model to use.
pub const VARIABLE: &str = "DIFFIDENCE_MODEL";

/// Folder of the bundled model, relative to the repository or the program.
const DEFAULT: &str = "models/default";

/// Folder of the bundled model below the prefix that the program's `bin` is in.
const SHARED: &str = "share/diffidence/models/default";

/// The folder of the model to use: `explicit`, else [`VARIABLE`], else what the user chose for
/// whenever neither says anything, else the first that exists of
/// `models/default` beside the program, `../share/diffidence/models/default`, `models/default` of
/// the clone whose `target` folder the program is in, and of the clone it was built from.
///
/// # Errors
/// [`ModelError::NotFound`] or [`ModelError::ChosenIsGone`] if there is no bundle where one of these
/// points to, [`ModelError::NotInstalled`] with the places looked at otherwise.
pub fn locate(explicit: Option<&Path>, chosen: Option<&Path>) -> Result<PathBuf, ModelError> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let variable = variable.as_deref().map(Path::new);
    choose(explicit.or(variable), chosen, bundled)
}

/// The folder of the bundled model, as [`locate`] finds it where nothing else is named.
///
/// # Errors
/// [`ModelError::NotInstalled`] with the places looked at.
pub fn bundled() -> Result<PathBuf, ModelError> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
    first(places(program.ok().as_deref(), clone))
}

fn choose(
    stated: Option<&Path>,
    chosen: Option<&Path>,
    bundled: impl FnOnce() -> Result<PathBuf, ModelError>,
) -> Result<PathBuf, ModelError> {
    match (stated, chosen) {
        (Some(stated), _) if is_bundle(stated) => Ok(stated.to_path_buf()),
        (Some(stated), _) => Err(ModelError::NotFound(stated.to_path_buf())),
        (None, Some(chosen)) if is_bundle(chosen) => Ok(chosen.to_path_buf()),
        (None, Some(chosen)) => Err(ModelError::ChosenIsGone(chosen.to_path_buf())),
        (None, None) => bundled(),
    }
}

fn first(places: Vec<PathBuf>) -> Result<PathBuf, ModelError> {
    let found = places.iter().find(|place| is_bundle(place)).cloned();
    found.ok_or(ModelError::NotInstalled(places))
}

fn places(program: Option<&Path>, clone: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(folder) = program.and_then(Path::parent) {
        places.push(folder.join(DEFAULT));
        if let Some(prefix) = folder.parent() {
            places.push(prefix.join(SHARED));
        }
        // A build in a clone: target/release, target/release/deps, target/TRIPLE/release.
        let target = folder.ancestors().find(|above| above.ends_with("target"));
        if let Some(root) = target.and_then(Path::parent) {
            places.push(root.join(DEFAULT));
        }
    }
    let built = clone.join(DEFAULT);
    if !places.contains(&built) {
        places.push(built);
    }
    places
}

fn is_bundle(dir: &Path) -> bool {
    dir.join(MANIFEST).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(dir: &Path) -> PathBuf {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join(MANIFEST), "{}").unwrap();
        dir.to_path_buf()
    }

    #[test]
    fn the_nearest_place_wins() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let program = root.join("clone/target/release/diffidence");
        let built = root.join("built");
        let find = || choose(None, None, || first(places(Some(&program), &built)));

        let Err(ModelError::NotInstalled(places)) = find() else {
            panic!("there is no bundle yet");
        };
        assert_eq!(
            places.first(),
            Some(&root.join("clone/target/release/models/default"))
        );
        assert_eq!(places.last(), Some(&built.join(DEFAULT)));

        // From the last place to the first: each new one wins over those before.
        for place in [
            "built/models/default",
            "clone/models/default",
            "clone/target/share/diffidence/models/default",
            "clone/target/release/models/default",
        ] {
            let dir = bundle(&root.join(place));
            assert_eq!(find().unwrap(), dir);
        }
    }

    #[test]
    fn a_stated_place_is_final() {
        let root = tempfile::tempdir().unwrap();
        let good = bundle(&root.path().join("good"));
        let missing = root.path().join("missing");
        let find = |stated: Option<&Path>, chosen: Option<&Path>| {
            choose(stated, chosen, || Ok("bundled".into()))
        };
        assert_eq!(find(Some(&good), Some(&missing)).unwrap(), good);
        assert_eq!(find(None, Some(&good)).unwrap(), good);
        let error = find(Some(&missing), Some(&good)).unwrap_err();
        assert!(matches!(error, ModelError::NotFound(dir) if dir == missing));
        let error = find(None, Some(&missing)).unwrap_err();
        assert!(matches!(error, ModelError::ChosenIsGone(dir) if dir == missing));
    }
}
