//! New visitors: a connection with TLS, one request, and the end of the connection, over and over.

use std::time::Duration;

use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::tls::{self, Trust};

use crate::suite::Bench;
use crate::suite::load::Load;
use crate::suite::systems::System;

pub(super) async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let mut protocols = vec![("TLS, HTTP/1.1", "--http1"), ("TLS, HTTP/2", "--http2")];
    if serves_http3(&bench.stage.adit).await? {
        protocols.push(("QUIC, HTTP/3", "--http3"));
    } else {
        bench.say("HTTP/3: not served yet, so not measured".into());
    }
    for _ in 0..bench.rounds {
        for &(case, protocol) in &protocols {
            for system in [&bench.stage.hop, &bench.stage.adit] {
                if protocol == "--http3" && system.name == "hop" {
                    continue;
                }
                let load = Load::closed("0", AT_ONCE, SLICE)
                    .with(&[protocol, "--new-connections"])
                    .over_tls();
                let loaded = load.run(&bench.place, system).await?;
                bench.notes.extend(loaded.trouble(case, system.name));
                let mut note = |measure, value| {
                    bench.figures.note(case, system.name, measure, value);
                };
                note("connections/s", loaded.rate());
                note("CPU us/connection", loaded.cpu_us());
                note("failed", loaded.failed() as f64);
            }
        }
    }
    Ok(())
}

/// Whether there is HTTP/3, as a browser would find out: by trying.
async fn serves_http3(adit: &System) -> anyhow::Result<bool> {
    let (Some(address), Some(ca)) = (adit.quic, &adit.ca) else {
        return Ok(false);
    };
    let trust = Trust::Roots(tls::read_certificates(ca)?);
    let tls = tls::client(&trust, &[b"h3"])?.into();
    let dial = Dialer::bind(address)?;
    let dialled = dial.dial(address, &adit.host, tls);
    let dialled = tokio::time::timeout(PROBE, dialled).await;
    Ok(matches!(dialled, Ok(Ok(_))))
}

const AT_ONCE: usize = 16;
const SLICE: Duration = Duration::from_millis(1000);
const PROBE: Duration = Duration::from_secs(1);
