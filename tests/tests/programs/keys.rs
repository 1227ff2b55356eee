//! The agent at a terminal, where somebody presses keys.

use adit_tests::program::{ours, run};
use adit_tests::world::Scratch;

use crate::python;

#[tokio::test]
async fn keys_do_what_they_say_and_the_terminal_is_given_back() {
    let state = Scratch::new();
    let mut client = python("keys/press.py");
    client
        .arg(ours("agent").as_std().get_program())
        .arg("--state")
        .arg(state.path());
    run(client).await;
}
