//! What `Connection` names is for this hop, whether it is said in one field or in several.
//!
//! The values are the lines of the input.

use adit_shared::hop::{self, Options};

pub(crate) fn check(data: &[u8]) {
    let values: Vec<_> = data.split(|byte| *byte == b'\n').collect();
    let joined = values.join(&b", "[..]);
    let (apart, together) = (
        Options::of(values.iter().copied()),
        Options::of([&joined[..]]),
    );
    let named = joined.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    for name in named.chain([&b"host"[..], b"connection", b"x"]) {
        assert_eq!(apart.strip(name), together.strip(name));
        let upper = name.to_ascii_uppercase();
        assert_eq!(apart.strip(name), apart.strip(&upper));
        assert!(apart.strip(name) || !hop::is_hop_by_hop(name));
    }
}
