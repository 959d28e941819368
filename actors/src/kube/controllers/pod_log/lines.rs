//! What a simulated container writes: some lines when it starts, one now and then, one when it ends. Each line and its time follow from the
//! container alone, so any stretch of a log can be told without the rest of it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use crate::seed::Seed;

/// How a program writes its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    /// Kubernetes' own components: klog.
    Klog,
    /// etcd: JSON of zap.
    Json,
    /// A web server's access log.
    Access,
    /// Time, level, message.
    Plain,
}

/// Milliseconds between two of the first lines.
const OPENING_STEP: i64 = 37;
/// Least and most seconds between two later lines.
const PERIOD: (u64, u64) = (20, 90);

/// One run of a container, from its start to its end.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Run {
    /// Differs from container to container and from run to run.
    pub(super) seed: Seed,
    /// Name of the container.
    pub(super) name: String,
    /// Its image.
    pub(super) image: String,
    /// When it was started.
    pub(super) started: DateTime<Utc>,
    /// When it ended and with which code.
    pub(super) ended: Option<(DateTime<Utc>, i32)>,
}

/// A line and its time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) time: DateTime<Utc>,
    pub(super) text: String,
}

fn plus(time: DateTime<Utc>, millis: i64) -> DateTime<Utc> {
    TimeDelta::try_milliseconds(millis)
        .and_then(|delta| time.checked_add_signed(delta))
        .unwrap_or(time)
}

impl Run {
    /// The program in the image: `nginx` of `docker.io/library/nginx:1.27`.
    fn program(&self) -> &str {
        let last = self.image.rsplit('/').next().unwrap_or("");
        let name = last.split(['@', ':']).next().unwrap_or("");
        if name.is_empty() { &self.name } else { name }
    }

    fn style(&self) -> Style {
        match self.program() {
            "etcd" => Style::Json,
            "nginx" | "httpd" | "caddy" | "traefik" => Style::Access,
            program if program.starts_with("kube-") => Style::Klog,
            _ if self.image.starts_with("registry.k8s.io/") => Style::Klog,
            _ => Style::Plain,
        }
    }

    fn opening(&self) -> Vec<String> {
        let program = self.program();
        let tag = self.image.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        vec![
            format!("{program} {tag} starting, container {}", self.name),
            "configuration loaded".to_owned(),
            "ready".to_owned(),
        ]
    }

    /// Milliseconds between two later lines.
    fn period(&self) -> i64 {
        let (least, most) = PERIOD;
        let seconds = least + self.seed.child("period").value() % (most - least);
        i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
    }

    /// Time of the line with this number, as if the container ran for ever.
    fn time_of(&self, number: u64) -> DateTime<Utc> {
        let openings = self.opening().len() as u64;
        let index = i64::try_from(number).unwrap_or(i64::MAX);
        let Some(later) = number.checked_sub(openings) else {
            return plus(self.started, OPENING_STEP.saturating_mul(index.saturating_add(1)));
        };
        let jitter = (self.seed.child("jitter").indexed(number).value() % 1000) as i64;
        let step = i64::try_from(later).unwrap_or(i64::MAX).saturating_add(1);
        plus(
            self.started,
            self.period().saturating_mul(step).saturating_add(jitter),
        )
    }

    /// Number of lines that were written up to and at `time`, but for the one that tells of the end.
    fn before(&self, time: DateTime<Utc>) -> u64 {
        let openings = self.opening().len() as u64;
        let end = self.ended.map_or(time, |(end, _)| end.min(time));
        let elapsed = end.signed_duration_since(self.started).num_milliseconds();
        let steps = elapsed.checked_div(self.period()).unwrap_or(0).max(0);
        // The number of the last line that may have been written, then back over those that were not.
        let mut count = openings.saturating_add(steps.unsigned_abs());
        while count > 0 && self.time_of(count - 1) > end {
            count -= 1;
        }
        count
    }

    /// Whether it has ended by then.
    pub(super) fn has_ended(&self, time: DateTime<Utc>) -> bool {
        self.ended.is_some_and(|(end, _)| end <= time)
    }

    /// Number of lines that were told up to `time` while nobody knew of an end.
    pub(super) fn count_running(&self, time: DateTime<Utc>) -> u64 {
        self.before(time)
    }

    /// Number of lines up to `time`.
    pub(super) fn count(&self, time: DateTime<Utc>) -> u64 {
        self.before(time) + u64::from(self.has_ended(time))
    }

    /// When the first line after `time` is due; `None` when the container has ended by then.
    pub(super) fn next(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.has_ended(time) {
            return None;
        }
        let next = self.time_of(self.before(time));
        Some(self.ended.map_or(next, |(end, _)| end.min(next)))
    }

    /// The line with this number, one of the [`Self::count`] up to `time`.
    pub(super) fn line(&self, number: u64, time: DateTime<Utc>) -> Line {
        if let Some((end, code)) = self.ended.filter(|_| number >= self.before(time)) {
            let text = if code == 0 {
                self.dress(end, 'I', "done, exiting")
            } else {
                self.dress(end, 'E', &format!("exiting with code {code}"))
            };
            return Line { time: end, text };
        }
        let time = self.time_of(number);
        let opening = usize::try_from(number)
            .ok()
            .and_then(|number| self.opening().into_iter().nth(number));
        let text = match opening {
            Some(text) => self.dress(time, 'I', &text),
            None => self.later(number, time),
        };
        Line { time, text }
    }

    /// A line in the middle of the log.
    fn later(&self, number: u64, time: DateTime<Utc>) -> String {
        let seed = self.seed.child("text").indexed(number);
        let amount = seed.child("amount").value() % 90 + 3;
        if self.style() == Style::Access {
            let day = time.format("%d/%b/%Y:%H:%M:%S +0000");
            return format!(
                "10.244.0.1 - - [{day}] \"GET /healthz HTTP/1.1\" 200 {amount} \"-\" \"kube-probe/1.34\""
            );
        }
        let message = match seed.value() % 3 {
            0 => format!("synced in {amount}ms"),
            1 => format!("handled {amount} requests in the last minute"),
            _ => format!("nothing to do, {amount} items unchanged"),
        };
        self.dress(time, 'I', &message)
    }

    /// A message as the program writes it.
    fn dress(&self, time: DateTime<Utc>, level: char, message: &str) -> String {
        let program = self.program();
        let bad = level == 'E';
        match self.style() {
            Style::Klog => {
                let line = Seed::root(0).child(message).value() % 700 + 20;
                let stamp = time.format("%m%d %H:%M:%S%.6f");
                format!(
                    "{level}{stamp}       1 {}.go:{line}] {message}",
                    program.replace('-', "_")
                )
            }
            Style::Json => json!({
                "level": if bad { "error" } else { "info" },
                "ts": time.to_rfc3339_opts(SecondsFormat::Micros, true),
                "caller": "embed/main.go:42",
                "msg": message,
            })
            .to_string(),
            Style::Access => {
                let level = if bad { "emerg" } else { "notice" };
                format!("{} [{level}] 1#1: {message}", time.format("%Y/%m/%d %H:%M:%S"))
            }
            Style::Plain => {
                let level = if bad { "ERROR" } else { "INFO" };
                format!(
                    "{} {level} {message}",
                    time.to_rfc3339_opts(SecondsFormat::Millis, true)
                )
            }
        }
    }
}
