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
use std::ffi::OsStr;
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
/// [`ModelError::NotFound`] if there is no bundle where one of these points to,
/// [`ModelError::NotInstalled`] with the places looked at otherwise.
pub fn locate(explicit: Option<&Path>, chosen: Option<&Path>) -> Result<PathBuf, ModelError> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let program = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .ok();
    let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
    let variable = variable.as_deref();
    choose(explicit, variable, chosen, program.as_deref(), clone)
}

fn choose(
    explicit: Option<&Path>,
    variable: Option<&OsStr>,
    chosen: Option<&Path>,
    program: Option<&Path>,
    clone: &Path,
) -> Result<PathBuf, ModelError> {
    if let Some(stated) = explicit.or(variable.map(Path::new)).or(chosen) {
        return if is_bundle(stated) {
            Ok(stated.to_path_buf())
        } else {
            Err(ModelError::NotFound(stated.to_path_buf()))
        };
    }
    let places = places(program, clone);
    match places.iter().find(|place| is_bundle(place)) {
        Some(place) => Ok(place.clone()),
        None => Err(ModelError::NotInstalled(places)),
    }
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
        let find = || choose(None, None, None, Some(&program), &built);

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
        let clone = root.path();
        bundle(&clone.join(DEFAULT));
        let missing = root.path().join("missing");
        assert_eq!(
            choose(
                Some(&good),
                Some(missing.as_os_str()),
                Some(&missing),
                None,
                clone
            )
            .unwrap(),
            good
        );
        assert_eq!(
            choose(None, Some(good.as_os_str()), Some(&missing), None, clone).unwrap(),
            good
        );
        assert_eq!(choose(None, None, Some(&good), None, clone).unwrap(), good);
        for (explicit, variable, chosen) in [
            (Some(&*missing), None, None),
            (None, Some(missing.as_os_str()), None),
            (None, None, Some(&*missing)),
        ] {
            let error = choose(explicit, variable, chosen, None, clone).unwrap_err();
            assert!(matches!(error, ModelError::NotFound(dir) if dir == missing));
        }
    }
}
