//! The kernel and its command line in a `grub.cfg` (GRUB manual, "Shell-like scripting", "linux", "menuentry").
//!
//! This is no shell: conditions are not evaluated, both branches of an `if` count, and functions are not called. That
//! is enough for Ironic's own configuration, which has one `menuentry` (`ironic: common/grub_conf.template`), and for
//! those of the usual installation media.

use std::collections::BTreeMap;

use metalsim_actors::node::bmc::Secret;

use super::boot_entry::{BootEntry, MOST_CONFIGURATION};

/// Most statements of a configuration.
const MOST_STATEMENTS: usize = 8192;

/// Most blocks in blocks.
const MOST_DEPTH: usize = 16;

/// Most entries of one menu.
const MOST_ENTRIES: usize = 512;

/// Longest value of a variable, and longest command line: what they grow to by expansion.
const MOST_BYTES: usize = 16 << 10;

/// Most variables.
const MOST_VARIABLES: usize = 128;

/// Why no kernel was found in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrubError {
    /// The entry that would be booted starts no Linux kernel, or there is no entry.
    #[error("the GRUB configuration starts no Linux kernel")]
    NoKernel,
    /// Not a configuration of GRUB, or one that goes beyond what is sensible.
    #[error("the GRUB configuration is too large or nested too deeply")]
    Limit,
}

/// A word: pieces of text and names of variables.
type Word = Vec<Piece>;

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Variable(String),
}

/// A part of a script.
#[derive(Debug)]
enum Token {
    Statement(Vec<Word>),
    Open,
    Close,
}

/// A menu, or what an entry runs.
#[derive(Debug, Default)]
struct Block {
    /// What to run: `set` and `linux` matter.
    commands: Vec<Vec<Word>>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    title: Vec<Word>,
    block: Block,
}

type Variables = BTreeMap<String, String>;

/// What the default entry of the configuration `text` boots.
///
/// # Errors
///
/// If it boots no Linux kernel, or is beyond the limits.
pub fn boot_entry(text: &str) -> Result<BootEntry, GrubError> {
    if text.len() > MOST_CONFIGURATION {
        return Err(GrubError::Limit);
    }
    let menu = blocks(tokens(text)?)?;
    let mut variables = Variables::new();
    let mut kernel = run(&menu, &mut variables)?;
    let mut at = &menu;
    let default = variables.get("default").cloned().unwrap_or_default();
    let mut wanted = default.split('>');
    // Ends: a menu holds fewer blocks than the one around it.
    while !at.entries.is_empty() {
        let entry = chosen(&at.entries, wanted.next().unwrap_or_default(), &variables)?;
        at = &entry.block;
        kernel = run(at, &mut variables)?.or(kernel);
    }
    kernel.ok_or(GrubError::NoKernel)
}

/// The entry with this number, title or `--id`; the first if there is none.
fn chosen<'a>(entries: &'a [Entry], wanted: &str, variables: &Variables) -> Result<&'a Entry, GrubError> {
    let number = wanted
        .parse::<usize>()
        .ok()
        .and_then(|number| entries.get(number));
    let mut found = number;
    for entry in entries {
        if found.is_some() {
            break;
        }
        let words = expand_all(&entry.title, variables)?;
        let is_id = words
            .windows(2)
            .any(|pair| matches!(pair, [option, id] if option == "--id" && id == wanted));
        let is_same = |word: &String| word == wanted || word.strip_prefix("--id=") == Some(wanted);
        if is_id || words.iter().skip(1).any(is_same) && !wanted.is_empty() {
            found = Some(entry);
        }
    }
    found.or(entries.first()).ok_or(GrubError::NoKernel)
}

/// Sets the variables that a block sets. Returns the last kernel that it loads.
fn run(block: &Block, variables: &mut Variables) -> Result<Option<BootEntry>, GrubError> {
    let mut kernel = None;
    for command in &block.commands {
        let words = expand_all(command, variables)?;
        // A command may follow a word of the shell.
        let words = match words.split_first() {
            Some((first, rest)) if matches!(&**first, "then" | "else" | "do" | "!") => rest,
            _ => &words[..],
        };
        match words {
            [set, assignment, ..] if set == "set" => {
                if let Some((name, value)) = assignment.split_once('=') {
                    if variables.len() == MOST_VARIABLES && !variables.contains_key(name) {
                        return Err(GrubError::Limit);
                    }
                    variables.insert(name.to_owned(), value.to_owned());
                }
            }
            [linux, image, arguments @ ..] if matches!(&**linux, "linux" | "linuxefi" | "linux16") => {
                kernel = Some(BootEntry {
                    kernel: image.as_str().into(),
                    command_line: Secret::new(&command_line(arguments)),
                });
            }
            _ => {}
        }
    }
    Ok(kernel)
}

/// The arguments as GRUB hands them to the kernel: those with blanks in quotes (`grub: grub-core/lib/cmdline.c`).
fn command_line(arguments: &[String]) -> String {
    let quoted = |argument: &String| {
        let mut text = String::with_capacity(argument.len());
        for c in argument.chars() {
            if matches!(c, '\\' | '\'' | '"') {
                text.push('\\');
            }
            text.push(c);
        }
        if argument.contains(' ') {
            format!("\"{text}\"")
        } else {
            text
        }
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn expand_all(words: &[Word], variables: &Variables) -> Result<Vec<String>, GrubError> {
    let mut left = MOST_BYTES;
    let mut expanded = Vec::with_capacity(words.len());
    for word in words {
        let mut text = String::new();
        for piece in word {
            let piece = match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Variable(name) => variables.get(name).map_or("", String::as_str),
            };
            left = left.checked_sub(piece.len()).ok_or(GrubError::Limit)?;
            text.push_str(piece);
        }
        expanded.push(text);
    }
    Ok(expanded)
}

/// A block that is not closed yet.
enum Pending {
    Entry(Vec<Word>, Block),
    /// Of a function, or of a bare group: never run.
    Ignored,
}

fn blocks(tokens: Vec<Token>) -> Result<Block, GrubError> {
    let mut menu = Block::default();
    let mut pending: Vec<Pending> = Vec::new();
    // The statement in front of a brace says what the block is.
    let mut head: Option<Vec<Word>> = None;
    for token in tokens {
        match token {
            Token::Statement(words) => {
                add(&mut menu, &mut pending, head.replace(words));
            }
            Token::Open => {
                if pending.len() == MOST_DEPTH {
                    return Err(GrubError::Limit);
                }
                pending.push(match head.take() {
                    Some(words) if is_entry(&words) => Pending::Entry(words, Block::default()),
                    _ => Pending::Ignored,
                });
            }
            Token::Close => {
                add(&mut menu, &mut pending, head.take());
                if let Some(Pending::Entry(title, block)) = pending.pop() {
                    let around = innermost(&mut menu, &mut pending);
                    let Some(around) = around else { continue };
                    if around.entries.len() == MOST_ENTRIES {
                        return Err(GrubError::Limit);
                    }
                    around.entries.push(Entry { title, block });
                }
            }
        }
    }
    add(&mut menu, &mut pending, head);
    Ok(menu)
}

/// The block that statements belong to; `None` if they are of no concern.
fn innermost<'a>(menu: &'a mut Block, pending: &'a mut [Pending]) -> Option<&'a mut Block> {
    match pending.last_mut() {
        None => Some(menu),
        Some(Pending::Entry(_, block)) => Some(block),
        Some(Pending::Ignored) => None,
    }
}

fn add(menu: &mut Block, pending: &mut [Pending], command: Option<Vec<Word>>) {
    if let (Some(block), Some(command)) = (innermost(menu, pending), command) {
        block.commands.push(command);
    }
}

fn is_entry(words: &[Word]) -> bool {
    match words.first().map(Vec::as_slice) {
        Some([Piece::Text(text)]) => text == "menuentry" || text == "submenu",
        _ => false,
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, GrubError> {
    let mut scanner = Scanner::default();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // A line goes on after a backslash, without a break even in words.
            '\\' => match chars.next() {
                Some('\r') => drop(chars.next_if_eq(&'\n')),
                Some('\n') | None => {}
                Some(other) => scanner.text(other),
            },
            '\'' => {
                scanner.quoted();
                chars
                    .by_ref()
                    .take_while(|c| *c != '\'')
                    .for_each(|c| scanner.text(c));
            }
            '"' => {
                scanner.quoted();
                while let Some(c) = chars.next_if(|c| *c != '"') {
                    match c {
                        '\\' => match chars.next() {
                            Some(c @ ('$' | '"' | '\\')) => scanner.text(c),
                            Some('\n') | None => {}
                            Some(c) => {
                                scanner.text('\\');
                                scanner.text(c);
                            }
                        },
                        '$' => scanner.variable(&mut chars),
                        c => scanner.text(c),
                    }
                }
                chars.next();
            }
            '$' => scanner.variable(&mut chars),
            '#' if scanner.between_words() => while chars.next_if(|c| *c != '\n').is_some() {},
            '\n' | ';' => scanner.end_statement(),
            c if c.is_whitespace() => scanner.end_word(),
            '{' if scanner.between_words() => scanner.brace(Token::Open),
            '}' if scanner.between_words() => scanner.brace(Token::Close),
            c => scanner.text(c),
        }
        if scanner.tokens.len() > MOST_STATEMENTS {
            return Err(GrubError::Limit);
        }
    }
    scanner.end_statement();
    Ok(scanner.tokens)
}

#[derive(Default)]
struct Scanner {
    tokens: Vec<Token>,
    statement: Vec<Word>,
    word: Option<Word>,
}

impl Scanner {
    fn between_words(&self) -> bool {
        self.word.is_none()
    }

    fn text(&mut self, c: char) {
        let word = self.word.get_or_insert_default();
        match word.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => word.push(Piece::Text(c.into())),
        }
    }

    /// A quote makes a word, even an empty one.
    fn quoted(&mut self) {
        self.word.get_or_insert_default();
    }

    /// What follows a dollar sign.
    fn variable(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
        let mut name = String::new();
        if chars.next_if_eq(&'{').is_some() {
            name.extend(chars.by_ref().take_while(|c| *c != '}'));
        } else {
            while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '?')) {
                name.push(c);
            }
        }
        if name.is_empty() {
            self.text('$');
        } else {
            self.word.get_or_insert_default().push(Piece::Variable(name));
        }
    }

    fn end_word(&mut self) {
        self.statement.extend(self.word.take());
    }

    fn end_statement(&mut self) {
        self.end_word();
        if !self.statement.is_empty() {
            let words = std::mem::take(&mut self.statement);
            self.tokens.push(Token::Statement(words));
        }
    }

    fn brace(&mut self, brace: Token) {
        self.end_statement();
        self.tokens.push(brace);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str) -> (String, String) {
        let entry = boot_entry(text).unwrap();
        (entry.kernel.into(), entry.command_line.expose().to_owned())
    }

    #[test]
    fn ironics_configuration() {
        let text = "set default=0\nset timeout=5\nset hidden_timeout_quiet=false\n\n\
                    menuentry \"boot_partition\" {\n\
                    linux /vmlinuz ir_pub_id=01d9 ipa-api-url=http://192.0.2.1:6385 ipa-agent-token=secret ipa-debug=1 \
                    boot_method=vmedia nofb sshkey=\"ssh-rsa AAAA x\" --\n\
                    initrd /initrd\n}\n";
        let line = "ir_pub_id=01d9 ipa-api-url=http://192.0.2.1:6385 ipa-agent-token=secret ipa-debug=1 \
                    boot_method=vmedia nofb \"sshkey=ssh-rsa AAAA x\" --";
        assert_eq!(entry(text), ("/vmlinuz".into(), line.into()));
        assert!(!format!("{:?}", boot_entry(text)).contains("secret"));
    }

    #[test]
    fn the_default_entry_in_each_way_of_naming_it() {
        let menu = "function load { linux /never x\n }\n\
                    menuentry 'First one' --class os --id first { linux /first a=1 }\n\
                    menuentry \"Second\" --id=second {\n  linuxefi /second b=2; initrdefi /i\n}\n\
                    submenu 'More' {\n menuentry 'Third' { linux16 /third c=3 }\n menuentry Fourth { linux /fourth } \n}\n";
        for (default, kernel) in [
            ("", "/first"),
            ("set default=1", "/second"),
            ("set default=\"1\"", "/second"),
            ("set default='First one'", "/first"),
            ("set default=second", "/second"),
            ("set default=first", "/first"),
            ("set default=2", "/third"),
            ("set default='2>1'", "/fourth"),
            ("set default=More>Fourth", "/fourth"),
            ("set default=${saved_entry}", "/first"),
            ("set default=99", "/first"),
            ("if [ x = y ]; then set default=1; fi", "/second"),
            ("a=1; set n=second; set default=$n", "/second"),
        ] {
            assert_eq!(entry(&format!("{default}\n{menu}")).0, kernel, "{default}");
        }
    }

    #[test]
    fn lines_that_go_on_comments_and_variables() {
        let text = "# comment { \nset args=\"one two\" # another\n\
                    linux /k \\\n  ${args} x=$missing-y \\$z a#b 'single $args' \"d\\\"q\" e\\\r\nf \n";
        assert_eq!(
            entry(text).1,
            "\"one two\" x=-y $z a#b \"single $args\" d\\\"q ef"
        );
    }

    #[test]
    fn without_a_kernel() {
        for text in [
            "",
            "set default=0",
            "menuentry x { chainloader /EFI/BOOT/x.efi }",
            "search --file --set=root /.disk/info\nsource $prefix/x86_64-efi/grub.cfg",
            "menuentry x {",
            "}}}}",
            "linux",
        ] {
            assert_eq!(boot_entry(text), Err(GrubError::NoKernel), "{text}");
        }
    }

    #[test]
    fn limits_are_kept() {
        let doubled: String = (0..40).map(|_| "set a=$a$a\n").collect();
        for text in [
            "x\n".repeat(MOST_STATEMENTS + 1),
            "menuentry x {\n".repeat(MOST_DEPTH + 1),
            "{\n".repeat(MOST_DEPTH + 1),
            "menuentry x {}\n".repeat(MOST_ENTRIES + 1),
            format!("set a=x\n{doubled}"),
            (0..=MOST_VARIABLES).map(|at| format!("set a{at}=\n")).collect(),
            "#".repeat(MOST_CONFIGURATION + 1),
        ] {
            assert_eq!(boot_entry(&text), Err(GrubError::Limit));
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(menuentry |set default=|linux |\\$\\{|[{}'\"\\\\\n#;$>a0= ]){0,60}") {
            let _ = boot_entry(&text);
        }
    }
}
