//! Templates in user data (cloud-init: `cloudinit/handlers/jinja_template.py`, `cloudinit/templater.py`).

mod tags;

use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json, json};

use super::LARGEST;

/// What cloud-init writes where a variable is missing.
pub(super) const MISSING: &str = "CI_MISSING_JINJA_VAR/";
/// Steps of a template.
const FUEL: u64 = 1_000_000;
/// Deepest nesting of calls.
const RECURSION: usize = 32;

/// What a template may use: `ds.meta_data`, `v1`, and the members of `v1` by themselves.
#[derive(Clone, Debug)]
pub struct Variables(Json);

impl Variables {
    /// Of a machine with this `meta_data.json`.
    #[must_use]
    pub fn new(meta_data: &Map<String, Json>) -> Self {
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| meta_data.get(*name)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        let v1 = json!({
            "instance_id": text(&["uuid", "instance-id", "instance_id"]),
            "local_hostname": text(&["local-hostname", "local_hostname", "hostname", "name"]),
            "availability_zone": text(&["availability_zone"]),
            "cloud_name": "openstack",
            "platform": "openstack",
            "subplatform": "config-disk",
            "region": null,
        });
        let mut root = v1.as_object().cloned().unwrap_or_default();
        root.insert("v1".into(), v1);
        root.insert("ds".into(), json!({ "meta_data": aliased(meta_data) }));
        Self(Json::Object(root))
    }

    /// Renders a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn render(&self, template: &str) -> Result<String, String> {
        tags::check(template).map_err(|tags::TooComplex { line }| {
            format!("line {line} has a tag longer than any that is read")
        })?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        // Python's spelling, which is what cloud-init's templates print.
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::None => write!(out, "None").map_err(Error::from),
            ValueKind::Bool => {
                write!(out, "{}", if value.is_true() { "True" } else { "False" }).map_err(Error::from)
            }
            _ => minijinja::escape_formatter(out, state, value),
        });
        // As cloud-init's environment.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .keep_trailing_newline(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| describe(&error))?);
        let context = Value::from(Serde(&self.0));
        let template = with_missing_named(&environment, &context, template);
        let template = environment
            .template_from_str(&template)
            .map_err(|error| describe(&error))?;
        let mut rendered = Bounded(Vec::new());
        template
            .render_captured_to(context, &mut rendered)
            .map_err(|error| describe(&error))?;
        String::from_utf8(rendered.0).map_err(|error| error.to_string())
    }
}

/// The kind of error and its line; the detail may quote a secret.
fn describe(error: &minijinja::Error) -> String {
    match error.line() {
        Some(line) => format!("{} in line {line}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// Keys with a dash can also be reached with an underscore.
fn aliased(given: &Map<String, Json>) -> Json {
    let mut all = given.clone();
    for (key, value) in given {
        if key.contains('-') {
            all.entry(key.replace('-', "_")).or_insert_with(|| value.clone());
        }
    }
    Json::Object(all)
}

/// The template with each plain expression of a variable that does not exist replaced by cloud-init's words for it.
fn with_missing_named(environment: &Environment<'_>, context: &Value, template: &str) -> String {
    let mut named = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        named.push_str(before);
        let Some((inner, behind)) = after.split_once("}}") else {
            named.push_str("{{");
            rest = after;
            continue;
        };
        let path = inner.trim_matches('-').trim();
        let plain = !path.is_empty()
            && path
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
            && path.starts_with(|c: char| c.is_ascii_alphabetic());
        let missing = plain
            && environment
                .compile_expression(path)
                .and_then(|expression| expression.eval(context.clone()))
                .map_or(true, |value| value.is_undefined());
        if missing {
            named.push_str(MISSING);
            named.push_str(path.rsplit('.').next().unwrap_or(path));
        } else {
            named.push_str("{{");
            named.push_str(inner);
            named.push_str("}}");
        }
        rest = behind;
    }
    named.push_str(rest);
    named
}

/// The variable that was missing where this text was rendered.
pub(in crate::boot) fn missing_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(MISSING)?;
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    rest.get(..end)
}

/// Takes no more than user data may have.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let meta_data = json!({"name": "host-1", "uuid": "u-1", "local-hostname": "host-1.lan", "metal3-namespace": "ns"});
        Variables::new(meta_data.as_object().unwrap())
    }

    #[test]
    fn variables_are_found_under_all_their_names() {
        let template = "{{ ds.meta_data.name }} {{ds.meta_data.uuid}} {{ v1.local_hostname }} {{ local_hostname }} \
                        {{ ds.meta_data.metal3_namespace }} {{ ds['meta_data']['metal3-namespace'] }} {{ v1.instance_id }}\n";
        assert_eq!(
            variables().render(template).unwrap(),
            "host-1 u-1 host-1.lan host-1.lan ns ns u-1\n"
        );
    }

    #[test]
    fn what_is_missing_is_named_as_cloud_init_does() {
        let template =
            "a: {{ ds.meta_data.nope }}\nb: {{ nope }}{% if ds.meta_data.nope is defined %}x{% endif %}.\n";
        assert_eq!(
            variables().render(template).unwrap(),
            "a: CI_MISSING_JINJA_VAR/nope\nb: CI_MISSING_JINJA_VAR/nope.\n"
        );
    }

    #[test]
    fn hostile_templates_end() {
        for template in [
            "{% for i in range(100000000) %}x{% endfor %}",
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ 'x' * 1000 }}{% endfor %}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ ",
            &format!("{{{{ a{} }}}}", ".a".repeat(100_000)),
            &format!("{{{{ {} 1 }}}}", "- ".repeat(100_000)),
            &"{% if a %}".repeat(100_000),
            &format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(100_000)),
            "{% endfor %}",
        ] {
            assert!(variables().render(template).is_err(), "{template}");
        }
    }
}
