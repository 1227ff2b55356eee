//! What the keys do: replay, open the inspector, pause, filter, stop.

use std::env;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Text;
use super::escape::escape;
use super::keys::Key;
use crate::capture::filter::Filter;
use crate::inspect::Inspector;
use crate::status::Request;

/// What has been chosen by keys.
#[derive(Debug)]
pub(super) struct Controls {
    inspector: Option<Arc<Inspector>>,
    /// Where its page is.
    page: Option<SocketAddr>,
    /// Which requests are shown.
    filter: Filter,
    /// The filter as it was typed.
    typed: String,
    /// The line that is being typed.
    line: Option<String>,
    /// Whether a browser is on its way.
    opening: Arc<AtomicBool>,
}

/// What is left to do for whoever has the keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Do {
    Nothing,
    /// What Ctrl-C does.
    Stop,
}

impl Controls {
    pub(super) fn new(inspector: Option<Arc<Inspector>>, page: Option<SocketAddr>) -> Self {
        Self {
            inspector,
            page,
            filter: Filter::default(),
            typed: String::new(),
            line: None,
            opening: Arc::default(),
        }
    }

    /// Whether a request is to be shown. What was not captured matches no filter.
    pub(super) fn wants(&self, request: &Request) -> bool {
        let filter = Some(&self.filter).filter(|filter| !filter.is_empty());
        let (Some(filter), Some(inspector)) = (filter, &self.inspector) else {
            return true;
        };
        let exchange = inspector.capture().newest(|exchange| {
            let id = exchange.fields.get("x-request-id").unwrap_or_default();
            id == request.id.as_bytes()
        });
        exchange.is_some_and(|exchange| filter.wants(&exchange))
    }

    /// The line that is being typed, as it is shown.
    pub(super) fn prompt(&self) -> Option<String> {
        let line = self.line.as_ref()?;
        let from = line.char_indices().rev().nth(SHOWN - 1);
        let end = from.map_or(&line[..], |(from, _)| &line[from..]);
        Some(format!("filter: {}", escape(end, SHOWN)))
    }

    /// The same before and after something else is written.
    pub(super) fn prompts(&self) -> [Option<String>; 2] {
        [self.prompt(), self.prompt()]
    }

    pub(super) fn press(&mut self, key: Key, to: &mut Text) -> Do {
        if let Some(line) = self.line.take() {
            self.line = self.edit(line, key, to);
            return Do::Nothing;
        }
        match key {
            Key::Char('r') => self.replay(to),
            Key::Char('o') => self.open(to),
            Key::Char('p') => self.pause(to),
            Key::Char('/') if self.inspector.is_some() => self.line = Some(self.typed.clone()),
            Key::Char('/') => to.err(NO_INSPECTOR),
            Key::Char('?' | 'h') => to.err(HELP),
            Key::Char('q') => return Do::Stop,
            Key::Escape if !self.filter.is_empty() => self.clear(to),
            Key::Char(_) | Key::Enter | Key::Escape | Key::Backspace | Key::Kill => {}
        }
        Do::Nothing
    }

    /// What is left of the line after `key`; none when it is done.
    fn edit(&mut self, mut line: String, key: Key, to: &mut Text) -> Option<String> {
        match key {
            Key::Char(char) if line.len() < MAX_LINE => line.push(char),
            Key::Char(_) => {}
            Key::Backspace => drop(line.pop()),
            Key::Kill => line.clear(),
            Key::Escape => {
                self.clear(to);
                return None;
            }
            Key::Enter => match line.parse::<Filter>() {
                Ok(filter) if filter.is_empty() => {
                    self.clear(to);
                    return None;
                }
                Ok(filter) => {
                    to.err(&format!(
                        "only requests that match {} are shown; Esc shows all",
                        escape(&line, MAX_LINE)
                    ));
                    if self.is_paused() {
                        to.err("what is not captured matches nothing: p resumes capture");
                    }
                    (self.filter, self.typed) = (filter, line);
                    return None;
                }
                Err(bad) => to.err(&format!(
                    "no filter: {}",
                    escape(&bad.to_string(), MAX_LINE)
                )),
            },
        }
        Some(line)
    }

    fn clear(&mut self, to: &mut Text) {
        self.filter = Filter::default();
        self.typed.clear();
        to.err("all requests are shown");
    }

    fn is_paused(&self) -> bool {
        let inspector = self.inspector.as_ref();
        inspector.is_some_and(|inspector| inspector.capture().is_paused())
    }

    fn replay(&self, to: &mut Text) {
        let Some(inspector) = &self.inspector else {
            return to.err(NO_INSPECTOR);
        };
        to.err(&match inspector.replay_last(&self.filter) {
            Ok(Some(exchange)) => {
                let (head, id) = (&exchange.head, exchange.id);
                let path = head.target.split('?').next().unwrap_or_default();
                let path = escape(path, MAX_LINE);
                format!("replaying {} {path} (request {id})", head.method)
            }
            Ok(None) => "there is no request to replay yet".to_owned(),
            Err(why) => format!("cannot replay the last request: {why}"),
        });
    }

    fn pause(&self, to: &mut Text) {
        let Some(inspector) = &self.inspector else {
            return to.err(NO_INSPECTOR);
        };
        let capture = inspector.capture();
        let is_paused = !capture.is_paused();
        capture.pause(is_paused);
        to.err(if is_paused {
            "capture paused: requests pass, and are not kept; p resumes"
        } else {
            "capture resumed"
        });
    }

    fn open(&self, to: &mut Text) {
        let Some(page) = self.page else {
            return to.err(NO_INSPECTOR);
        };
        let url = format!("http://{page}");
        if self.opening.swap(true, Ordering::Relaxed) {
            return to.err(&format!(
                "a browser is on its way; the inspector is at {url}"
            ));
        }
        let Some(mut browser) = browser(&url).and_then(|mut browser| browser.spawn().ok()) else {
            self.opening.store(false, Ordering::Relaxed);
            return to.err(&format!("no browser found; the inspector is at {url}"));
        };
        to.err(&format!("opening {url}"));
        let opening = self.opening.clone();
        tokio::task::spawn_blocking(move || {
            // The address was said, whatever becomes of it.
            drop(browser.wait());
            opening.store(false, Ordering::Relaxed);
        });
    }
}

/// What opens `url`, where there is a screen to see it on.
fn browser(url: &str) -> Option<Command> {
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    let name = if cfg!(target_os = "macos") {
        "open"
    } else if has_screen {
        "xdg-open"
    } else {
        return None;
    };
    let mut command = Command::new(name);
    command
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Some(command)
}

/// What the keys are, in one line.
pub(super) const HINT: &str = "r replay last, o open inspector, p pause, / filter, q stop, ? help";

const HELP: &str = "  r  replay the last request (of those that match the filter)
  o  open the inspector in a browser
  p  pause capture, and resume it
  /  show only requests that match: method:POST status:5xx path:/hooks* provider:stripe verified:no
     Enter sets the filter, Esc clears it
  q  stop, as Ctrl-C: what is in flight may finish; once more to quit at once
  ?  this";
const NO_INSPECTOR: &str = "this takes the inspector, which is off";
/// In bytes.
const MAX_LINE: usize = 512;
/// How many characters of the line are shown: its end.
const SHOWN: usize = 60;
