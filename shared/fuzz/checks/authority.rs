//! Whatever names the host of a request names one host, or none.
//!
//! The lines of the input are the target's authority, if the first byte says that there is one, and the values of
//! `Host`.

use adit_relay::forward::headers::Authority;
use adit_shared::name::Host;

pub(crate) fn check(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else {
        return;
    };
    let mut lines = rest.split(|byte| *byte == b'\n');
    let target = (how & 1 != 0).then(|| lines.next()).flatten();
    let Ok(target) = target.map(str::from_utf8).transpose() else {
        return;
    };
    let all: Vec<_> = lines.clone().collect();
    for is_http1 in [false, true] {
        let authority = Authority::of(is_http1, target, lines.clone());
        let Ok(host) = authority.and_then(|authority| authority.host()) else {
            continue;
        };
        assert!(all.len() <= 1 && (target.is_some() || all.len() == 1));
        let texts = all.iter().filter_map(|value| str::from_utf8(value).ok());
        for text in texts.chain(target) {
            assert_eq!(Host::from_authority(text).as_ref(), Ok(&host));
        }
    }
}
