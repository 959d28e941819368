//! A look at a template before minijinja parses it.
//!
//! minijinja bounds the nesting of brackets and blocks, but not chains (`a.a.a`, `- - 1`, `x|d|d`, `elif`): each link is
//! one more level of its syntax tree, and a long enough chain overflows the stack. So the links are counted here.

/// Most signs and words in one tag: more than anyone writes, and few enough for the stack.
const MOST_LINKS: usize = 256;
/// Most `elif` in a template.
const MOST_BRANCHES: usize = 128;

/// The tag at some line has too many links, or the template too many branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooComplex {
    /// Line, from 1.
    pub(super) line: usize,
}

/// Checks every tag of a template.
pub(super) fn check(template: &str) -> Result<(), TooComplex> {
    let mut rest = template;
    let mut branches = 0;
    while let Some(at) = rest.find(['{']) {
        let (_, tag) = rest.split_at(at);
        let too_complex = || TooComplex {
            line: line_of(template, tag),
        };
        rest = tag.get(2..).unwrap_or_default();
        match tag.as_bytes() {
            [b'{', b'#', ..] => rest = rest.split_once("#}").map_or("", |(_, rest)| rest),
            [b'{', b'{', ..] => rest = body(rest, "}}").ok_or_else(too_complex)?.1,
            [b'{', b'%', ..] => {
                let (inner, after) = body(rest, "%}").ok_or_else(too_complex)?;
                rest = after;
                let inner = inner.trim_matches(['-', '+']).trim();
                if inner == "raw" {
                    rest = end_of_raw(rest);
                }
                branches += usize::from(inner.starts_with("elif"));
                if branches > MOST_BRANCHES {
                    return Err(too_complex());
                }
            }
            // A brace alone; the next one may begin a tag.
            _ => rest = tag.get(1..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// What is in a tag and what comes after it. `None`: too many links.
fn body<'a>(text: &'a str, end: &str) -> Option<(&'a str, &'a str)> {
    let mut links = 0;
    let mut in_word = false;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            Some(open) => {
                if c == '\\' {
                    chars.next();
                } else if c == open {
                    quote = None;
                }
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
        let (inner, after) = text.split_at(at);
        if let Some(after) = after.strip_prefix(end) {
            return Some((inner, after));
        }
        let is_word = c.is_alphanumeric() || c == '_';
        if (!is_word && !c.is_whitespace()) || (is_word && !in_word) {
            links += 1;
        }
        in_word = is_word;
        if links > MOST_LINKS {
            return None;
        }
    }
    Some((text, ""))
}

fn end_of_raw(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{%") {
        if after
            .trim_start_matches(['-', '+'])
            .trim_start()
            .starts_with("endraw")
        {
            return after;
        }
        rest = after;
    }
    ""
}

fn line_of(template: &str, tag: &str) -> usize {
    let before = template.len().saturating_sub(tag.len());
    let before = template.get(..before).unwrap_or_default();
    before.matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_chains_are_found_and_long_texts_are_not() {
        check(&format!("{{{{ '{}' }}}}", "a.b ".repeat(9999))).unwrap();
        check(&"{{ a.b | c }}".repeat(9999)).unwrap();
        check(&format!("{{# {} #}}", "a.b ".repeat(9999))).unwrap();
        check(&format!("{{% raw %}}{{{{{}{{%- endraw %}}", "a.b ".repeat(9999))).unwrap();
        check("{% if a %}{{{ 'x' }}}{ {% endif %} {{").unwrap();
        let long = format!("x\n{{{{ a{} }}}}", ".a".repeat(9999));
        assert_eq!(check(&long), Err(TooComplex { line: 2 }));
        assert!(
            check(&format!(
                "{{% raw %}}{{% endraw %}}{{{{ {} 1 }}}}",
                "-".repeat(9999)
            ))
            .is_err()
        );
        assert!(check(&"{% elif a %}".repeat(9999)).is_err());
    }
}
