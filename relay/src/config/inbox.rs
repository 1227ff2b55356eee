//! What may be kept for agents that are away.

use adit_shared::quantity::Size;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;

use serde::Deserialize;

use super::ConfigError;
use super::file::text;
use crate::queue::Limits;

/// The table `[inbox]` of the file, as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    enabled: Option<bool>,
    requests_per_tunnel: Option<NonZeroU64>,
    #[serde(deserialize_with = "text")]
    bytes_per_tunnel: Option<Size>,
    #[serde(deserialize_with = "text")]
    bytes: Option<Size>,
    requests_per_address: Option<NonZeroU64>,
    #[serde(deserialize_with = "text")]
    bytes_per_address: Option<Size>,
    #[serde(deserialize_with = "text")]
    body: Option<Size>,
    #[serde(deserialize_with = "text")]
    memory: Option<Size>,
    attempts: Option<NonZeroU32>,
}

/// The limits; none when nothing is kept.
pub(super) fn limits(
    typed: Option<bool>,
    file: &File,
    path: Option<&Path>,
) -> Result<Option<Limits>, ConfigError> {
    let default = Limits::default();
    let size = |typed: Option<Size>, default| typed.map_or(default, |size| size.0 as u64);
    let requests = file.requests_per_tunnel;
    let requests = requests.map_or(default.requests_per_tunnel, NonZeroU64::get);
    let bytes = size(file.bytes_per_tunnel, default.bytes_per_tunnel);
    // A quarter is left for others.
    let of_address = |all: u64| all.div_ceil(4) * 3;
    let limits = Limits {
        requests_per_tunnel: requests,
        bytes_per_tunnel: bytes,
        requests_per_address: file
            .requests_per_address
            .map_or_else(|| of_address(requests), NonZeroU64::get),
        bytes_per_address: size(file.bytes_per_address, of_address(bytes)),
        bytes: size(file.bytes, default.bytes),
        body: size(file.body, default.body),
        memory: file.memory.map_or(default.memory, |size| size.0),
        attempts: file.attempts.map_or(default.attempts, NonZeroU32::get),
    };
    // SQLite takes no larger piece, and each is in memory twice.
    let most = MOST_BODY.min(limits.memory / 2);
    if !(1..=most as u64).contains(&limits.body) {
        return Err(ConfigError::OutOfRange {
            key: "inbox.body",
            file: path.map(Path::to_owned),
            least: 1,
            most,
        });
    }
    let enabled = typed.or(file.enabled).unwrap_or(true);
    Ok(enabled.then_some(limits))
}

const MOST_BODY: usize = 256 << 20;
