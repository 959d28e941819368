//! The lines and commands of a script (`ipxe: src/image/script.c`, `src/core/exec.c`).

use url::Url;

/// A script that runs.
#[derive(Debug)]
pub(super) struct Script {
    url: Url,
    lines: Vec<Box<str>>,
    /// The next line.
    next: usize,
    /// What is left of the current line, from a separator on.
    rest: Vec<Box<str>>,
}

/// What comes next in a script.
pub(super) enum Next {
    /// The words of a command, not yet expanded. Perhaps none, which is a success.
    Command(Vec<Box<str>>),
    /// The script is over, with this result.
    End(bool),
}

impl Script {
    pub(super) fn new(url: Url, text: &str) -> Self {
        let mut lines = Vec::new();
        let mut long = String::new();
        for line in text.lines() {
            // A backslash at the end makes one line of two.
            if let Some(start) = line.strip_suffix('\\') {
                long.push_str(start);
                continue;
            }
            long.push_str(line);
            lines.push(std::mem::take(&mut long).trim().into());
        }
        lines.push(long.trim().into());
        Self {
            url,
            lines,
            next: 0,
            rest: Vec::new(),
        }
    }

    /// Where relative URLs start from.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// For debug output: the script, and the number of its current line.
    pub(super) fn position(&self) -> (&str, usize) {
        (self.url.as_str(), self.next)
    }

    /// The next command, after one with the result `last`, or from the next line on.
    pub(super) fn next(&mut self, last: Option<bool>) -> Next {
        let mut last = last;
        loop {
            let words = match last {
                None => {
                    let Some(line) = self.lines.get(self.next) else {
                        return Next::End(true);
                    };
                    self.next += 1;
                    if line.starts_with(':') {
                        continue;
                    }
                    let words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
                    words.map(Box::from).collect()
                }
                Some(result) => {
                    let mut words = std::mem::take(&mut self.rest);
                    if words.is_empty() {
                        if !result {
                            return Next::End(false);
                        }
                        last = None;
                        continue;
                    }
                    let separator = words.remove(0);
                    let wanted = match &*separator {
                        "||" => !result,
                        "&&" => result,
                        _ => true,
                    };
                    if !wanted {
                        self.rest = after_separator(&words);
                        continue;
                    }
                    words
                }
            };
            self.rest = after_separator(&words);
            let mut command = words;
            command.truncate(command.len() - self.rest.len());
            return Next::Command(command);
        }
    }

    /// Goes on after a label. Returns whether there is one.
    pub(super) fn go_to(&mut self, label: &str) -> bool {
        let is = |line: &str| {
            line.strip_prefix(':')
                .and_then(|rest| rest.split_whitespace().next())
                == Some(label)
        };
        let found = self.lines.iter().position(|line| is(line));
        if let Some(found) = found {
            self.next = found + 1;
            self.rest.clear();
        }
        found.is_some()
    }
}

/// The words from the first separator on.
fn after_separator(words: &[Box<str>]) -> Vec<Box<str>> {
    let at = words.iter().position(|word| matches!(&**word, "||" | "&&" | ";"));
    at.and_then(|at| words.get(at..)).unwrap_or_default().to_vec()
}
