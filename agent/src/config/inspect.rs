//! How much the inspector keeps of what goes through the tunnels.

use std::net::SocketAddr;
use std::path::PathBuf;

use adit_shared::quantity::Size;

use super::given::Given;
use super::{BadConfig, DEFAULT_INSPECT};

/// What the inspector keeps, and where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keep {
    /// How much.
    pub limits: Limits,
    /// The file that it is kept in across restarts.
    pub store: Option<PathBuf>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Exchanges.
    pub requests: usize,
    /// Bytes of all exchanges together.
    pub memory: usize,
    /// Bytes of each body.
    pub body: usize,
    /// Exchanges in each second, after the first [`requests`](Self::requests).
    pub rate: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 1000,
            memory: 64 << 20,
            // GitHub sends up to 25 MiB, but few others more than a tenth of this.
            body: 1 << 20,
            // More than anybody reads, and few enough to cost nothing under load.
            rate: 100,
        }
    }
}

impl Given {
    /// Where the inspector of an agent with the same options is.
    ///
    /// # Errors
    ///
    /// [`BadConfig`].
    pub fn inspector(&self) -> Result<SocketAddr, BadConfig> {
        Ok(self.inspect()?.unwrap_or(DEFAULT_INSPECT))
    }

    /// What the inspector keeps.
    pub(crate) fn keep(&self) -> Result<Keep, BadConfig> {
        let default = Limits::default();
        let number = |key| match self.first(&[key])? {
            None => Ok(None),
            Some(setting) => setting.parse_with(|text| match text.parse::<u32>() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err("this is no number above 0"),
            }),
        };
        let bytes = |key, default| match self.first(&[key])? {
            None => Ok(default),
            Some(setting) => setting.parse::<Size>().map(|size| size.0),
        };
        let requests = number("inspect-requests")?;
        let limits = Limits {
            requests: requests.map_or(default.requests, |number| number as usize),
            memory: bytes("inspect-memory", default.memory)?,
            body: bytes("inspect-body", default.body)?,
            rate: number("inspect-rate")?.unwrap_or(default.rate),
        };
        let store = match self.first(&["inspect-store"])? {
            None => None,
            Some(setting) if setting.text == "off" => None,
            Some(setting) if setting.text == "on" => Some(self.state_dir()?.join("inspect.db")),
            Some(setting) => Some(PathBuf::from(setting.text)),
        };
        Ok(Keep { limits, store })
    }
}
