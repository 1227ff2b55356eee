//! From command lines, variables and files to a configuration, or to an error that names its cause.

use std::ffi::OsString;
use std::fs;

use clap::Parser as _;

use super::resolve::{DRAIN_GRACE, ORIGIN_TIMEOUT};
use super::*;
use crate::cli::Args;

fn given(line: &str, environment: &[(&str, &str)]) -> Result<Given, BadConfig> {
    let line = std::iter::once("agent").chain(line.split_whitespace());
    let variable = |name: &str| {
        let found = environment.iter().find(|(key, _)| *key == name);
        found.map(|(_, text)| OsString::from(text))
    };
    Given::collect(Args::try_parse_from(line).unwrap().options, variable)
}

fn config(line: &str, environment: &[(&str, &str)]) -> Result<Config, BadConfig> {
    given(line, environment)?.config()
}

fn error(line: &str, environment: &[(&str, &str)]) -> (String, bool) {
    let error = config(line, environment).unwrap_err();
    (error.to_string(), error.is_usage())
}

/// A configuration file that goes away with the value.
struct Toml(PathBuf);

impl Toml {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-{name}-{}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn line(&self, more: &str) -> String {
        format!("--config {} {more}", self.0.display())
    }
}

impl Drop for Toml {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[test]
fn several_relays_have_pins_and_tokens_in_common_or_each_its_own() {
    let pin = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let line = "--echo --relay a.test --relay b.test:8443 --token t";
    let pins = format!("{},{}", pin("1"), pin("2"));
    let config = config(line, &[("ADIT_PIN", &pins), ("ADIT_RELAY", "c.test")]).unwrap();
    let split = config.split();
    let names: Vec<_> = split.iter().map(|one| one.relay.to_string()).collect();
    assert_eq!(names, ["a.test", "b.test:8443"]);
    let tokens = split
        .iter()
        .map(|one| one.token.as_ref().unwrap().reveal().to_owned());
    assert_eq!(tokens.collect::<Vec<_>>(), ["t", "t"]);
    for (one, digit) in split.iter().zip(["1", "2"]) {
        let Some(Trust::Pin(found)) = &one.trust else {
            panic!("a pin")
        };
        assert_eq!(found.to_string(), pin(digit));
    }
    assert!(split.iter().all(|one| one.others.is_empty()));
}

#[test]
fn several_relays_in_a_file_are_a_list() {
    let toml = Toml::new(
        "relays",
        "relay = ['a.test', 'local']\n[[tunnel]]\necho = true",
    );
    let config = config(&toml.line(""), &[]).unwrap();
    assert_eq!(config.others[0].relay, RelayAddress::Local);
}

#[test]
fn relays_that_do_not_go_together_are_named() {
    for (line, what) in [
        ("--echo --relay a.test --relay a.test:443", "there twice"),
        (
            "--echo --relay a.test --token t --token u",
            "2 of them for 1 relays",
        ),
        ("--echo --relay a.test --relay=", "a relay is HOST"),
    ] {
        let (text, is_usage) = error(line, &[]);
        assert!(text.contains(what) && is_usage, "{text}");
    }
}

#[test]
fn the_shortest_command_has_all_defaults() {
    let config = config("--port 3000 --relay relay.example.com", &[]).unwrap();
    assert_eq!(config.relay.to_string(), "relay.example.com");
    assert_eq!(config.inspect, Some(DEFAULT_INSPECT));
    assert_eq!(config.drain_grace, DRAIN_GRACE);
    assert!(config.trust.is_none() && config.token.is_none());
    assert!(config.state_dir.ends_with("adit/agent"));
    let [tunnel] = &config.tunnels[..] else {
        panic!("one tunnel: {:?}", config.tunnels)
    };
    assert_eq!(tunnel.label, "http://localhost:3000");
    assert_eq!(tunnel.origin, Origin::from_port("3000").unwrap());
    assert_eq!(tunnel.host_header, HostHeader::Keep);
    assert_eq!(tunnel.origin_timeout, ORIGIN_TIMEOUT);
}

#[test]
fn flags_win_over_environment_over_file() {
    let file = Toml::new(
        "wins",
        "relay = 'file'\ninspect = 'off'\ndrain-grace = '1s'\n",
    );
    let environment = [("ADIT_RELAY", "environment"), ("ADIT_DRAIN_GRACE", "2s")];
    let relay = |line: &str, environment: &[(&str, &str)]| {
        let config = config(&file.line(line), environment).unwrap();
        (config.relay.to_string(), config.drain_grace.as_secs())
    };
    assert_eq!(relay("--echo", &[]), ("file".into(), 1));
    assert_eq!(relay("--echo", &environment), ("environment".into(), 2));
    assert_eq!(
        relay("--echo --relay flag", &environment),
        ("flag".into(), 2)
    );
    let config = config(&file.line("--echo"), &[]).unwrap();
    assert_eq!(config.inspect, None);
}

#[test]
fn a_flag_wins_over_its_alternative_in_the_environment() {
    let environment = [
        ("ADIT_PORT", "3000"),
        ("ADIT_RELAY", "relay"),
        ("ADIT_TOKEN", "t"),
        ("ADIT_TOKEN_FILE", ""),
    ];
    let config = config("--echo", &environment).unwrap();
    assert_eq!(config.tunnels[0].origin, Origin::Echo);
    assert_eq!(config.token.unwrap().reveal(), "t");
}

#[test]
fn an_empty_or_false_variable_is_unset() {
    let environment = [("ADIT_PORT", ""), ("ADIT_QR", "0"), ("ADIT_JSON", "yes")];
    let config = config("--echo --relay local", &environment).unwrap();
    assert!(config.json && !config.qr);
    assert_eq!(config.relay, RelayAddress::Local);
}

#[test]
fn errors_name_the_option_as_it_was_given() {
    for (line, text) in [
        ("", "what to expose? Give --port N, --origin URL or --echo"),
        (
            "--echo",
            "which relay? Give --relay HOST, or --relay local to try it without a server",
        ),
        ("--echo --port 1", "--port and --echo exclude each other"),
        ("--port 0", "--port: a port is a number from 1 to 65535"),
        (
            "--origin localhost:3000",
            "--origin: an origin begins with http://, https://, h2c:// or unix:, as in http://localhost:3000",
        ),
        (
            "--port 1 --mirror",
            "--mirror: it needs --subdomain or --hostname: of what there are copies",
        ),
        (
            "--port 1 --subdomain a --mirror --inbox",
            "--mirror: a mirror has no inbox: that is for the agent which serves the name",
        ),
        (
            "--port 1 --webhook-sign-anew",
            "--webhook-sign-anew: it needs --verify: only what is known to be genuine is signed anew",
        ),
        (
            "--port 1 --origin-insecure",
            "--origin-insecure: only an https:// origin has a certificate",
        ),
        (
            "--echo --relay a --subdomain a.b",
            "--subdomain: a name is made of letters, digits and hyphens",
        ),
        (
            "--echo --origin-timeout 30",
            "--origin-timeout: this is no duration, such as 500ms, 30s or 2m",
        ),
        (
            "--echo --origin-timeout 0s",
            "--origin-timeout: nothing answers in no time",
        ),
        (
            "--echo --relay a --inspect 4040",
            "--inspect: this is neither `off` nor an address with a port, such as 127.0.0.1:4040",
        ),
        (
            "--echo --relay a --pin x",
            "--pin: a pin is written sha256: and 64 hex digits, as the relay prints it",
        ),
        (
            "--echo --relay a --pin x --relay-ca y",
            "--pin and --relay-ca exclude each other",
        ),
        (
            "--echo --relay a --log-format x",
            "--log-format: this is neither text nor json",
        ),
        (
            "--echo --relay a --transport quic",
            "--transport: this is none of auto, udp and tcp",
        ),
    ] {
        assert_eq!(error(line, &[]), (text.to_owned(), true), "{line}");
    }
    assert_eq!(
        error("", &[("ADIT_PORT", "x")]),
        (
            "ADIT_PORT: a port is a number from 1 to 65535".into(),
            false
        )
    );
    assert_eq!(
        error("", &[("ADIT_ECHO", "maybe")]),
        ("ADIT_ECHO: it is neither 1 nor 0".into(), false)
    );
    assert_eq!(
        error("--echo --relay a --relay-ca /nowhere", &[]).0,
        "--relay-ca"
    );
    assert_eq!(
        error("--echo --relay a --token-file /nowhere", &[]).0,
        "--token-file"
    );
    let (text, usage) = error("--config /nowhere", &[]);
    assert_eq!((text.as_str(), usage), ("cannot read /nowhere", false));
}

#[test]
fn a_token_is_in_no_error_and_no_debug() {
    let environment = [("ADIT_TOKEN", "can ary"), ("ADIT_RELAY", "a")];
    let given = given("--echo", &environment).unwrap();
    let error = format!("{given:?} {:?}", given.config().unwrap_err());
    assert!(
        error.contains("Environment(\"token\")") && !error.contains("ary"),
        "{error}"
    );
}

#[test]
fn a_file_describes_several_tunnels() {
    let file = Toml::new(
        "several",
        "relay = 'local'\n\
         [[tunnel]]\nport = 3000\nsubdomain = 'Shop'\norigin-timeout = '5s'\n\
         [[tunnel]]\nlabel = 'api'\norigin = 'https://localhost:1'\norigin-insecure = true\n\
         host-header = 'rewrite'\n",
    );
    let config = config(&file.line(""), &[]).unwrap();
    let [shop, api] = &config.tunnels[..] else {
        panic!("two tunnels: {:?}", config.tunnels)
    };
    assert_eq!((shop.id, shop.label.as_str()), (0, "http://localhost:3000"));
    assert_eq!(shop.name.as_ref().unwrap().as_str(), "shop");
    assert_eq!(shop.origin_timeout, Duration::from_secs(5));
    assert_eq!((api.id, api.label.as_str()), (1, "api"));
    assert_eq!(api.host_header, HostHeader::Rewrite);
    assert!(matches!(api.origin, Origin::Tcp { insecure: true, .. }));
}

#[test]
fn errors_in_a_file_name_file_and_key() {
    let check = |name: &str, text: &str, more: &str, expected: &str| {
        let file = Toml::new(name, text);
        let (error, usage) = error(&file.line(more), &[]);
        assert_eq!(
            error.replace(&file.0.display().to_string(), "FILE"),
            expected
        );
        usage
    };
    let tunnel = "relay = 'a'\n[[tunnel]]\nport = 3000\n";
    assert!(!check(
        "e1",
        "relay = 'a'",
        "",
        "FILE: a [[tunnel]] is missing"
    ));
    assert!(!check(
        "e2",
        "[[tunnel]]\necho = true",
        "",
        "FILE: relay is missing"
    ));
    assert!(!check(
        "e3",
        "relay = 'a'\n[[tunnel]]\necho = true\nhost-header = ''",
        "",
        "FILE: tunnel 1, host-header: this is neither `rewrite` nor a host name"
    ));
    assert!(!check(
        "e4",
        &format!("{tunnel}[[tunnel]]\nport = 3000\n"),
        "",
        "FILE: tunnel 2, label: two tunnels are called \"http://localhost:3000\"; \
         give each its own label"
    ));
    assert!(!check(
        "e5",
        &format!("{tunnel}origin = 'unix:/a'\n"),
        "",
        "FILE: tunnel 1, port and FILE: tunnel 1, origin exclude each other"
    ));
    assert!(check(
        "e6",
        tunnel,
        "--subdomain a",
        "--subdomain: the tunnels are in FILE, so describe them there"
    ));
    assert!(!check(
        "e7",
        "relay = 'a'\nrelais = 'b'",
        "",
        "FILE is not as it should be"
    ));
}

#[test]
fn webhooks_are_verified_with_secrets_from_outside_the_command_line() {
    use super::webhooks::{Challenges, Duplicates};
    use adit_shared::webhook::{Mode, Secret};

    let environment = [
        ("ADIT_WEBHOOK_SECRET_GITHUB", "new old"),
        ("ADIT_WEBHOOK_SECRET", "any"),
    ];
    let line = "--echo --relay a --verify github --verify slack=tag:/hooks/* \
        --webhook-duplicates drop --webhook-challenges always --webhook-limit 2MiB \
        --webhook-tolerance 1h --webhook-window 10m";
    let given = given(line, &environment).unwrap();
    let hooks = given.config().unwrap().tunnels.remove(0).webhooks;
    let rules: Vec<_> = hooks
        .rules
        .iter()
        .map(|rule| (rule.provider.name, rule.mode, rule.secrets.len()))
        .collect();
    assert_eq!(
        rules,
        [("github", Mode::Enforce, 2), ("slack", Mode::Tag, 1)]
    );
    assert_eq!(
        (hooks.duplicates, hooks.challenges, hooks.limit),
        (Duplicates::Drop, Challenges::Always, 2 << 20)
    );
    assert_eq!(hooks.rules[0].tolerance, Some(Duration::from_secs(3600)));
    assert_eq!(hooks.window, Duration::from_secs(600));
    assert!(!format!("{hooks:?}").contains("old"));

    for (line, text) in [
        (
            "--verify nobody",
            "--verify: \"nobody\" is no provider that is known; `agent webhook list` shows them",
        ),
        (
            "--verify stripe",
            "--verify: stripe needs its secret: set ADIT_WEBHOOK_SECRET_STRIPE or \
             ADIT_WEBHOOK_SECRET, or name a file of secrets",
        ),
        (
            "--webhook-duplicates drop",
            "--webhook-duplicates: `drop` needs --verify: anybody could otherwise have an event dropped",
        ),
        (
            "--webhook-limit 65MiB",
            "--webhook-limit: 64MiB is the most: so much is kept of all webhooks together",
        ),
        (
            "--webhook-challenges x",
            "--webhook-challenges: this is none of down, always and off",
        ),
    ] {
        let line = format!("--echo --relay a {line}");
        assert_eq!(error(&line, &[]), (text.to_owned(), true), "{line}");
    }

    let secrets = Toml::new("hooks", "stripe whsec_1\nany\n");
    let file = Toml::new(
        "verify",
        &format!(
            "relay = 'a'\nwebhook-secret-file = '{}'\n[[tunnel]]\necho = true\n\
             verify = ['stripe', 'zoom=tag:/zoom']\nwebhook-limit = '1KiB'\n",
            secrets.0.display()
        ),
    );
    let hooks = config(&file.line(""), &[])
        .unwrap()
        .tunnels
        .remove(0)
        .webhooks;
    let secrets = hooks.rules.iter().map(|rule| rule.secrets[0].reveal());
    assert_eq!(secrets.collect::<Vec<_>>(), ["whsec_1", "any"]);
    assert_eq!(hooks.limit, 1 << 10);
    let signing = |name: &str| hooks.signing.get(name).map(Secret::reveal);
    assert_eq!(
        (signing("stripe"), signing("zoom")),
        (Some("whsec_1"), Some("any"))
    );
    assert_eq!(signing("github"), None);
    let (text, usage) = error(
        "--echo --relay a --verify zoom --webhook-secret-file /nowhere",
        &[],
    );
    assert_eq!((text.as_str(), usage), ("--webhook-secret-file", false));
}

#[test]
fn a_window_is_what_the_way_needs_or_what_is_asked_for_within_bounds() {
    let line = "--echo --relay a";
    let file = Toml::new(
        "window",
        "relay = 'a'\nwindow = '8MiB'\n[[tunnel]]\necho = true",
    );
    let flag = format!("{line} --window 16MiB");
    for (line, environment, window) in [
        (line, None, Window::ByPath),
        (line, Some("512 KiB"), Window::Bytes(512 << 10)),
        (flag.as_str(), Some("512KiB"), Window::Bytes(16 << 20)),
        (file.line("").as_str(), None, Window::Bytes(8 << 20)),
    ] {
        let environment = environment.map(|text| ("ADIT_WINDOW", text));
        let config = config(line, environment.as_slice()).unwrap();
        assert_eq!(config.window, window, "{line}");
    }
    for (text, why) in [
        ("127KiB", "it must be 128KiB to 16MiB"),
        ("17MiB", "it must be 128KiB to 16MiB"),
        (
            "6M",
            "a size is a number of bytes, such as 65536, 64KiB or 1MiB",
        ),
    ] {
        let line = format!("{line} --window {text}");
        assert_eq!(error(&line, &[]), (format!("--window: {why}"), true));
    }
}
