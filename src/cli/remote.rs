//! Calls to the control API of a metalsim that runs.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use serde_json::Value;
use url::Url;

/// Longest time for a call.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which metalsim.
#[derive(Args, Clone)]
pub(super) struct RemoteArgs {
    /// Base URL of the control API
    #[arg(
        long,
        value_name = "URL",
        env = "METALSIM_URL",
        default_value = "http://127.0.0.1:3333"
    )]
    url: Url,
    /// Bearer token of the control API
    #[arg(long, value_name = "TOKEN", env = "METALSIM_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl std::fmt::Debug for RemoteArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteArgs")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

/// A client of the control API.
pub(super) struct Remote {
    base: Url,
    token: Option<String>,
    client: reqwest::Client,
}

/// What a call sends.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Parts of the path, which may hold any text.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self {
            method,
            path,
            query: &[],
            body: None,
        }
    }

    pub(super) fn body(self, body: &'a Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    pub(super) fn query(self, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { query, ..self }
    }
}

impl RemoteArgs {
    /// Runs `work` with a client.
    pub(super) fn run(&self, work: impl AsyncFnOnce(Remote) -> anyhow::Result<()>) -> anyhow::Result<()> {
        anyhow::ensure!(
            ["http", "https"].contains(&self.url.scheme()),
            "--url must begin with http:// or https://"
        );
        // One that is there already is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let remote = Remote {
            base: self.url.clone(),
            token: self.token.clone(),
            client: reqwest::Client::builder().timeout(PATIENCE).build()?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(work(remote))
    }
}

impl Remote {
    /// Makes a call. The answer is its status and its JSON; null if it has none.
    pub(super) async fn call(&self, call: Call<'_>) -> anyhow::Result<(u16, Value)> {
        let mut url = self.base.clone();
        // Web addresses have paths.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = self.client.request(call.method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("no answer from metalsim at {}", self.base))?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok((status.as_u16(), value));
        }
        match value.pointer("/error/message").and_then(Value::as_str) {
            Some(message) => anyhow::bail!("{message} ({status})"),
            None => anyhow::bail!("{} answers {status}: is it a metalsim?", self.base),
        }
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &Value) -> anyhow::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// Prints rows under their heads, each column as wide as it has to be.
pub(super) fn print_table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut widths = heads.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = std::io::stdout().lock();
    let mut line = |cells: [&str; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", padded.join("  ").trim_end())
    };
    line(heads)?;
    for row in rows {
        line(row.each_ref().map(String::as_str))?;
    }
    Ok(())
}

/// A member as a text; empty if it is not there.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
