use super::*;

fn read(words: &str) -> Result<Args, clap::Error> {
    Args::try_from(["relay"].into_iter().chain(words.split_whitespace()))
}

#[test]
fn the_command_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn open_may_be_said_and_unsaid() {
    assert_eq!(read("").unwrap().serve.open, None);
    assert_eq!(read("--open").unwrap().serve.open, Some(true));
    assert_eq!(read("--open=false").unwrap().serve.open, Some(false));
    assert!(read("--open maybe").is_err());
}

#[test]
fn flags_are_parsed_at_the_border() {
    let serve =
        read("--http off --https :8443 --hold 5s --trusted-proxy 10.0.0.0/8 --trusted-proxy ::1")
            .unwrap()
            .serve;
    assert_eq!(serve.http, Some(Listen::Off));
    assert_eq!(serve.https.unwrap().to_string(), "[::]:8443");
    assert_eq!(serve.trusted_proxy.len(), 2);
    let serve = read("--proxy-protocol 10.0.0.0/8,::1").unwrap().serve;
    assert_eq!(serve.proxy_protocol.len(), 2);
    for bad in [
        "--http 127.0.0.1",
        "--hold 10",
        "--trusted-proxy here",
        "--log-format xml",
        "--shards 0",
        "--shards 65",
        "--domain a..b",
        "--nonsense",
    ] {
        let error = read(bad).unwrap_err();
        assert!(error.use_stderr(), "{bad}");
    }
    assert!(!read("--help").unwrap_err().use_stderr());
}

#[test]
fn commands_have_flags_of_their_own() {
    let command = read("token create --name app-* --name *.a.com --label laptop --state-dir /s");
    let Some(Command::Token(Token::Create {
        place,
        names,
        label,
    })) = command.unwrap().command
    else {
        panic!("not a creation");
    };
    assert_eq!((names.len(), label.as_str()), (2, "laptop"));
    assert_eq!(place.state_dir, Some("/s".into()));
    assert!(read("token create --name a.*").is_err());
    assert!(read("doctor --https 127.0.0.1:0 --json").is_ok());

    let error = read("--state-dir /s token list").unwrap_err().to_string();
    assert!(error.contains("cannot be used with"), "{error}");
}

#[test]
fn an_empty_variable_counts_as_not_given() {
    let command = without_variables(Args::command(), &|name| name == "ADIT_DOMAIN");
    let has = |command: &clap::Command, name: &str| {
        command
            .get_arguments()
            .any(|arg| arg.get_env() == Some(OsStr::new(name)))
    };
    assert!(!has(&command, "ADIT_DOMAIN") && has(&command, "ADIT_HTTP"));
    let doctor = command.find_subcommand("doctor").unwrap();
    assert!(!has(doctor, "ADIT_DOMAIN") && has(doctor, "ADIT_HTTP"));
}

#[test]
fn every_flag_has_its_variable() {
    for arg in Args::command().get_arguments() {
        let Some(flag) = arg.get_long() else { continue };
        if matches!(flag, "help" | "version") {
            continue;
        }
        let variable = format!("ADIT_{}", flag.replace('-', "_").to_uppercase());
        assert_eq!(arg.get_env(), Some(OsStr::new(&variable)));
    }
}
