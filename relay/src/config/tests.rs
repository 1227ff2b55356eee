use adit_shared::quic::tuning::Window;
use adit_shared::stall::Budget;
use clap::Parser as _;

use super::*;
use crate::args::{Args, Resolver};
use crate::store::directory::Scratch;

/// Loads `file` under these flags; the real environment has none of ours in tests.
fn load(flags: &str, file: &str) -> Result<Config, ConfigError> {
    let dir = Scratch::new();
    let path = dir.path().join("relay.toml");
    std::fs::write(&path, file).unwrap();
    let flags = format!("relay --config {} {flags}", path.display());
    Config::load(
        &Args::try_parse_from(flags.split_whitespace())
            .unwrap()
            .serve,
    )
}

fn error(flags: &str, file: &str) -> String {
    load(flags, file).unwrap_err().to_string()
}

#[test]
fn local_mode_stays_on_this_machine_and_asks_no_token() {
    let config = Config::load(&Serve::default()).unwrap();
    assert_eq!(
        (config.mode, config.domain.as_str()),
        (Mode::Local, "localhost")
    );
    for (address, expected) in [
        (config.http, "127.0.0.1:8080"),
        (config.https, "127.0.0.1:8443"),
        (config.quic, "127.0.0.1:8443"),
        (config.admin, "127.0.0.1:9090"),
    ] {
        assert_eq!(address.unwrap().to_string(), expected);
    }
    assert!(config.open);
    assert!(config.state_dir.ends_with("adit/relay"));
    assert_eq!(config.reserve, Duration::ZERO);
    assert_eq!(config.file, None);
}

#[test]
fn a_public_relay_has_a_shard_for_each_processor_unless_told() {
    let shards = |flags: &str, file: &str| load(flags, file).map(|config| config.shards);
    assert_eq!(shards("", "").unwrap(), 1);
    assert_eq!(shards("--shards 3", "shards = 5").unwrap(), 3);
    assert_eq!(shards("", "shards = 5").unwrap(), 5);
    let public = shards("--domain relay.example.com", "").unwrap();
    let processors = thread::available_parallelism().unwrap().get();
    let many = if cfg!(target_os = "linux") {
        processors
    } else {
        1
    };
    assert_eq!(usize::from(public), many.min(MAX_SHARDS.into()));
    for bad in ["shards = 0", "shards = 65"] {
        let error = error("", bad);
        assert!(error.starts_with("`shards` in "), "{error}");
        assert!(error.ends_with(" must be from 1 to 64"), "{error}");
    }
}

#[test]
fn public_mode_takes_the_usual_ports_and_asks_for_tokens() {
    let config = load("--domain relay.example.com", "").unwrap();
    assert_eq!(config.mode, Mode::Public);
    for (address, expected) in [
        (config.http, "[::]:80"),
        (config.https, "[::]:443"),
        (config.quic, "[::]:443"),
        (config.admin, "127.0.0.1:9090"),
    ] {
        assert_eq!(address.unwrap().to_string(), expected);
    }
    assert!(!config.open);
    assert_eq!(config.state_dir, Path::new("/var/lib/adit"));
    assert!(matches!(config.certificate, Certificate::Acme(_)));
    assert_eq!(config.reserve, Duration::from_secs(86_400));
}

#[test]
fn a_flag_wins_over_the_file_and_that_over_the_default() {
    let file = r#"
        domain = "file.example.com"
        http = "off"
        https = "127.0.0.1:1"
        hold = "3s"
        trusted-proxy = ["10.0.0.0/8", "192.0.2.1"]
        proxy-protocol = ["10.1.0.0/16"]
        notice = true
        reserve = "1h"
        log-format = "json"
        json = true
        [limits]
        held = 0
        held-bytes = "1MiB"
        head-bytes = "16KiB"
        hello-timeout = "2s"
    "#;
    let config = load("--https 127.0.0.1:2 --domain flag.example.com", file).unwrap();
    assert_eq!(config.domain.as_str(), "flag.example.com");
    assert_eq!(config.https.unwrap().port(), 2);
    assert_eq!(config.http, None);
    assert_eq!(config.hold, Duration::from_secs(3));
    assert_eq!(config.drain_grace, DRAIN_GRACE);
    assert_eq!(config.trusted_proxies.len(), 2);
    assert!(config.notice && !Config::load(&Serve::default()).unwrap().notice);
    assert!(!load("--notice=false", file).unwrap().notice);
    assert_eq!(config.proxy_protocol, ["10.1.0.0/16".parse().unwrap()]);
    assert_eq!(config.reserve, Duration::from_secs(3600));
    assert_eq!((config.log_format, config.json), (LogFormat::Json, true));
    let limits = Limits {
        held: 0,
        held_bytes: 1 << 20,
        head_bytes: 16 << 10,
        hello_timeout: Duration::from_secs(2),
        ..Limits::usual(Mode::Public)
    };
    assert_eq!(config.limits, limits);

    let flags = "--trusted-proxy ::1 --hold 0 --quic off --admin off";
    let config = load(flags, file).unwrap();
    assert_eq!(config.trusted_proxies, ["::1/128".parse().unwrap()]);
    assert_eq!(
        (config.hold, config.quic, config.admin),
        (Duration::ZERO, None, None)
    );
}

#[test]
fn paths_of_the_file_start_at_the_file() {
    let config = load(
        "",
        "state-dir = \"state\"\ncert = \"c.pem\"\nkey = \"/k.pem\"",
    )
    .unwrap();
    let base = config.file.as_deref().and_then(Path::parent).unwrap();
    assert_eq!(config.state_dir, base.join("state"));
    let cert = base.join("c.pem");
    let key = "/k.pem".into();
    assert_eq!(config.certificate, Certificate::Files { cert, key });
}

#[test]
fn a_mistake_in_the_file_is_shown_with_file_line_and_key() {
    for (file, key) in [
        ("\nholdd = \"1s\"", "holdd"),
        ("\nhold = \"10\"", "hold = \"10\""),
        ("\nhttp = \"here\"", "http = \"here\""),
        ("\nopen = \"yes\"", "open = \"yes\""),
        ("\nlimits.held = -1", "limits.held"),
        ("\nlimits.visitors = 0", "limits.visitors"),
        ("\nlimits.nonsense = 1", "nonsense"),
    ] {
        let error = error("", file);
        assert!(error.contains("relay.toml"), "{error}");
        assert!(error.contains("line 2") && error.contains(key), "{error}");
    }
    for file in [
        "limits.head-bytes = \"1MiB\"",
        "limits.head-fields = 999",
        "limits.window = \"64KiB\"",
        "limits.window = \"1GiB\"",
    ] {
        let error = error("", file);
        assert!(
            error.contains(file.split(" =").next().unwrap()) && error.contains("relay.toml"),
            "{error}"
        );
    }
}

#[test]
fn a_certificate_comes_with_its_key_from_one_place() {
    assert_eq!(error("--cert c.pem", ""), "--cert is given without --key");
    assert!(error("", "key = \"k\"").starts_with("`key` in /"));
    assert!(error("--cert c.pem", "cert = \"f\"\nkey = \"k\"").starts_with("--cert"));
}

#[test]
fn a_public_relay_orders_its_certificates_unless_told_otherwise() {
    let acme = |flags: &str, file: &str| match load(flags, file).unwrap().certificate {
        Certificate::Acme(acme) => Some(acme),
        Certificate::Files { .. } | Certificate::Development => None,
    };
    let public = "--domain relay.example.com";
    let usual = acme(public, "").unwrap();
    assert!(usual.directory.contains("//acme-v02.api.letsencrypt.org/"));
    assert_eq!((usual.dns, usual.binding, usual.email), (None, None, None));
    assert_eq!(acme("", ""), None);
    assert_eq!(acme(&format!("{public} --acme-directory off"), ""), None);
    assert_eq!(acme(&format!("{public} --cert c --key k"), ""), None);
    let staging = acme(public, "acme-directory = \"staging\"").unwrap();
    assert!(staging.directory.contains("//acme-staging-v02"));

    assert_eq!(usual.resolver, Resolver::System);
    let given = acme(public, "acme-resolver = \"192.0.2.53\"").unwrap();
    let server = "192.0.2.53:53".parse().unwrap();
    assert_eq!(given.resolver, Resolver::Server(server));
    let given = acme(
        &format!("{public} --acme-resolver off --acme-dns-rfc2136 f"),
        "",
    );
    let given = given.unwrap();
    assert_eq!(given.resolver, Resolver::Off);
    assert!(matches!(given.dns, Some(Dns::Rfc2136(_))));
    assert!(error("", "acme-resolver = \"dns.example\"").contains("`system` or `off`"));

    let file = "acme-eab-id = \"me\"\nacme-eab-key = \"key\"\nacme-dns-hook = \"hook\"\n\
                acme-dns-wait = \"5s\"";
    let given = acme(public, file).unwrap();
    let binding = given.binding.unwrap();
    assert_eq!(
        (binding.id.as_str(), binding.key.is_absolute()),
        ("me", true)
    );
    assert!(matches!(given.dns, Some(Dns::Hook(hook)) if hook.ends_with("hook")));
    assert_eq!(given.dns_wait, Duration::from_secs(5));
    // Without a way for visitors there is DNS.
    assert!(acme(&format!("{public} --https off"), file).is_some());

    for (flags, key) in [
        ("--acme-directory http://ca.example", "acme-directory"),
        ("--acme-eab-id me", "acme-eab-key"),
        ("--acme-eab-key f", "acme-eab-id"),
        (
            "--acme-dns-hook h --acme-dns-cloudflare f",
            "acme-dns-cloudflare",
        ),
        (
            "--acme-dns-cloudflare f --acme-dns-rfc2136 f",
            "acme-dns-rfc2136",
        ),
        ("--https off", "acme-directory off"),
    ] {
        let error = error(&format!("{public} {flags}"), "");
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn an_open_relay_that_strangers_can_reach_must_be_meant() {
    let public = "--domain relay.example.com";
    assert!(error(&format!("{public} --open"), "").contains("anybody on the internet"));
    assert!(error(public, "open = true").contains("anybody on the internet"));
    assert!(load(public, "open = \"i-understand\"").unwrap().open);
    let config = load(&format!("{public} --open=false"), "open = \"i-understand\"").unwrap();
    assert!(!config.open);

    assert!(error("--https 8443", "").contains("other machines"));
    assert!(error("--quic [::]:8443", "").contains("other machines"));
    assert!(load("--https 8443 --open=false", "").is_ok());
    assert!(
        load("--https 8443", "open = \"i-understand\"")
            .unwrap()
            .open
    );
    assert!(load("--http 8080 --https [::1]:8443", "").unwrap().open);
}

#[test]
fn two_listeners_cannot_share_an_address() {
    let error = error("--http 127.0.0.1:8443", "");
    assert!(
        error.starts_with("`http` and `https` are both 127.0.0.1:8443"),
        "{error}"
    );
    assert!(load("--http 127.0.0.1:0 --https 127.0.0.1:0", "").is_ok());
}

#[test]
fn the_domain_localhost_is_local_mode() {
    assert_eq!(load("--domain localhost", "").unwrap().mode, Mode::Local);
}

#[test]
fn commands_find_the_state_of_the_relay() {
    let find = |words: &str| {
        let args = Args::try_parse_from(words.split_whitespace()).unwrap();
        args.serve.place.find_state_dir().unwrap()
    };
    assert!(find("relay").ends_with("adit/relay"));
    assert_eq!(find("relay --domain a.com"), Path::new("/var/lib/adit"));
    assert_eq!(find("relay --domain a.com --state-dir /s"), Path::new("/s"));
}

#[test]
fn what_stalled_visitors_may_hold_can_be_set() {
    let limits = load("", "").unwrap().limits;
    assert_eq!(limits.window, Window::ByPath);
    let Budget { each, all } = limits.stalls();
    assert_eq!(each, 128 << 20);
    assert!((1..=1 << 30).contains(&all));
    let file = "[limits]\nstalled-per-agent = \"8MiB\"\nstalled = 0x4000\nwindow = \"2MiB\"";
    assert_eq!(load("", file).unwrap().limits.stalled, 0x4000);
    let limits = load("", &file.replace("0x4000", "\"16MiB\""))
        .unwrap()
        .limits;
    let set = Budget {
        each: 8 << 20,
        all: 16 << 20,
    };
    assert_eq!(
        (limits.window, limits.stalls()),
        (Window::Bytes(2 << 20), set)
    );
}

#[test]
fn a_limit_can_be_a_flag_which_wins_over_the_file() {
    let file = "limits.visitors = 7\nlimits.held = 8";
    let flags =
        "--limit visitors=9 --limit head-timeout=3s,request-bytes=1MiB --limit least-rate=99";
    let limits = load(flags, file).unwrap().limits;
    assert_eq!((limits.visitors, limits.held), (9, 8));
    assert_eq!(limits.head_timeout, Duration::from_secs(3));
    assert_eq!((limits.request_bytes, limits.least_rate), (1 << 20, 99));
    for (flag, named) in [
        ("visitors=0", "visitors"),
        ("visitors=many", "visitors"),
        ("nonsense=1", "nonsense"),
        ("head-timeout=3", "head-timeout"),
        ("head-bytes=1", "head-bytes"),
    ] {
        let error = error(&format!("--limit {flag}"), "");
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn one_address_is_bounded_where_there_are_many() {
    let per_address = |flags: &str| load(flags, "").unwrap().limits.per_address();
    assert_eq!(per_address(""), crate::addresses::Bounds::default());
    let public = per_address("--domain relay.example.com");
    assert!(public.connections > 0 && public.exchanges > 0 && public.handshakes > 0);
}

#[test]
fn the_help_names_every_limit() {
    use clap::CommandFactory as _;
    let help = Args::command().render_long_help().to_string();
    let help: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = include_str!("../../../docs/limits.md");
    for (name, _, _) in Limits::default().list() {
        let name = name.replace('_', "-");
        assert!(help.contains(&name), "{name} is not in --help");
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not in docs/limits.md"
        );
    }
}

#[test]
fn webhooks_are_verified_by_rules_with_secrets_from_files() {
    let dir = Scratch::new();
    let secrets = dir.path().join("secrets");
    std::fs::write(&secrets, "github correct-horse\n").unwrap();
    let table = |text: &str| {
        let file = secrets.display();
        let text = format!("[[webhook]]\nsecret-file = \"{file}\"\n{text}\n");
        load("", &text).map(|config| config.webhooks)
    };
    let told = table("host = \"shop\"\nverify = [\"github:/hooks/*\"]\nlimit = \"2MiB\"").unwrap();
    assert!(told[0].hosts.matches("shop") && !told[0].hosts.matches("app"));
    assert_eq!((told[0].limit, told[0].rules.len()), (2 << 20, 1));
    assert_eq!(told[0].rules[0].secrets[0].reveal(), "correct-horse");
    let told = table("verify = [\"github=tag\"]\ntolerance = \"1h\"").unwrap();
    assert!(told[0].hosts.matches("a.example.com") && told[0].hosts.matches("app"));
    assert_eq!(told[0].rules[0].tolerance, Some(Duration::from_secs(3600)));
    for (bad, why) in [
        ("verify = []", "names no provider"),
        ("verify = [\"gihub\"]", "gihub"),
        ("verify = [\"stripe\"]", "`verify` of a `webhook` in"),
        ("verify = [\"github\"]\nlimit = \"17MiB\"", "webhook.limit"),
        ("verify = [\"github\"]\nsecret = \"x\"", "unknown field"),
        ("host = \"shop\"", "missing field"),
    ] {
        let error = table(bad).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
    let error = error(
        "",
        "[[webhook]]\nverify = [\"github\"]\nsecret-file = \"/nowhere\"",
    );
    assert!(
        error.starts_with("`secret-file` of a `webhook` in"),
        "{error}"
    );
}
