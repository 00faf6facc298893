#[path = "../tests/support/fake_model.rs"]
mod fake_model;
fn main() -> std::process::ExitCode {
    let model = fake_model::FakeModel::default();
    diffidence::server::run(diffidence::server::ServerOptions {
        judge: fake_model::FakeModel::judge(),
        cache: std::sync::Arc::new(diffidence::scoring::Cache::in_memory()),
        loader: model.loader(),
        config: diffidence::config::Config::default(),
    }).unwrap()
}
