//! Knot, a DNS server (Debian: `knot`), which takes signed updates of one zone.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::process::Command;

use crate::pebble::free_ports;
use crate::program::{Program, run};
use crate::world::Scratch;

/// A DNS server that runs. All names of its zone lead to 127.0.0.1.
#[derive(Debug)]
pub struct Knot {
    state: Scratch,
    zone: String,
    /// Where it is asked.
    pub address: SocketAddr,
    _program: Program,
}

impl Knot {
    /// Starts it for `zone`, with a key named `adit` of this algorithm and secret (base64).
    pub async fn start(zone: &str, algorithm: &str, secret: &str) -> Self {
        let state = Scratch::new();
        let [port] = free_ports();
        let dir = state.path().display();
        let config = format!(
            "server:\n  listen: 127.0.0.1@{port}\n  rundir: {dir}\n\
             database:\n  storage: {dir}\n\
             log:\n- target: stdout\n  any: info\n\
             key:\n- id: adit\n  algorithm: {algorithm}\n  secret: {secret}\n\
             acl:\n- id: adit\n  key: adit\n  action: update\n\
             zone:\n- domain: {zone}\n  storage: {dir}\n  file: zone\n  acl: adit\n"
        );
        let records = format!(
            "$ORIGIN {zone}.\n$TTL 60\n\
             @ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\n@ A 127.0.0.1\n* A 127.0.0.1\nns A 127.0.0.1\n"
        );
        std::fs::write(state.path().join("zone"), records).unwrap();
        std::fs::write(state.path().join("knot.conf"), config).unwrap();
        let mut command = Command::new(system("knotd"));
        command.arg("-c").arg(state.path().join("knot.conf"));
        let mut program = Program::start(command);
        let is_ready = |line: &str| line.contains("server started").then_some(());
        program.line("ready", is_ready).await;
        Self {
            state,
            zone: zone.to_owned(),
            address: (Ipv4Addr::LOCALHOST, port).into(),
            _program: program,
        }
    }

    /// All records of its zone, as it knows them.
    pub async fn records(&self) -> String {
        let mut command = Command::new(system("knotc"));
        command.arg("-c").arg(self.state.path().join("knot.conf"));
        command.args(["zone-read", &self.zone]);
        run(command).await
    }
}

/// Where Debian keeps servers, which is not among the paths of all users.
fn system(name: &str) -> PathBuf {
    let path = PathBuf::from("/usr/sbin").join(name);
    if path.exists() { path } else { name.into() }
}
