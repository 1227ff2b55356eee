//! The inspector's page in a browser.

use adit_tests::program::{Program, ours, run};
use adit_tests::world::Scratch;

use crate::node;

#[tokio::test]
async fn the_page_works_in_chromium() {
    let state = Scratch::new();
    let mut agent = ours("agent");
    agent
        .args(["--echo", "--relay", "local", "--inspect", "127.0.0.1:0"])
        .arg("--state-dir")
        .arg(state.path())
        .env("XDG_STATE_HOME", state.path());
    let mut agent = Program::start(agent);
    agent
        .line("its URL", |line| line.starts_with("http").then_some(()))
        .await;
    let page = agent
        .error("the inspector", |line| {
            line.strip_prefix("inspector: ").map(str::to_owned)
        })
        .await;
    let mut client = node("inspector/page.mjs");
    client.arg(page);
    run(client).await;
}
