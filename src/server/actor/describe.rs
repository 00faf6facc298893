//! Descriptions of what the changes of a repository are for.

use super::*;

impl Actor {
    pub(super) fn set_task(&mut self, params: &SetTask, reply: Reply<Result<TaskSet, String>>) {
        let given = self.tick();
        let task = params.description();
        let place = match params.place.path() {
            Ok(place) => place,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let Some(path) = place else {
            let root = self.only_repository();
            let answer = root.map(|root| self.take_task(root, given, task));
            return drop(reply.send(answer));
        };
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let root = repository_places(&path)
                .map(|places| places.root)
                .map_err(|error| error.to_string());
            drop(events.send(Event::TaskPlaced {
                given,
                task,
                root,
                reply,
            }));
        });
    }

    /// The repository that is meant when none is named.
    pub(super) fn only_repository(&self) -> Result<PathBuf, String> {
        let roots: BTreeSet<&PathBuf> = self
            .documents
            .values()
            .filter_map(|document| document.repository.as_ref())
            .collect();
        match Vec::from_iter(roots).as_slice() {
            [root] => Ok((*root).clone()),
            [] => Err("no file of a repository is open: name a `textDocument` or a `root`".into()),
            _ => Err(
                "files of several repositories are open: name a `textDocument` or a `root`".into(),
            ),
        }
    }

    pub(super) fn take_task(
        &mut self,
        root: PathBuf,
        given: Generation,
        task: Option<Arc<str>>,
    ) -> TaskSet {
        if self.tasks.set(&root, given, task) {
            self.look_at_repository(&root);
        }
        let task = self.tasks.of(&root).map(|task| task.to_string());
        TaskSet { root, task }
    }
}
