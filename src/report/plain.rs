//! Text that came from a file, made fit for a terminal: what would steer it is shown as an escape.

use std::borrow::Cow;
use std::fmt::Write;

/// Characters of a message. Both ends of what is longer stay: the first names the file, the last says what to do.
const MOST: usize = 2000;

/// Whether a character steers a terminal, or the direction in which text is shown, instead of being shown itself.
fn steers(c: char) -> bool {
    let directs = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    c.is_control() || directs
}

/// The same text with escapes for what steers a terminal; line breaks stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, '\n')
}

/// The same text in one line.
pub fn line(text: &str) -> Cow<'_, str> {
    // NUL is no character that stays.
    escaped(text, ' ')
}

fn escaped(text: &str, stays: char) -> Cow<'_, str> {
    if !text.chars().any(|c| steers(c) && c != stays) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c == stays || !steers(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c => _ = write!(shown, "\\u{{{:x}}}", u32::from(c)),
        }
    }
    Cow::Owned(shown)
}

/// A message: one line of bounded length.
pub fn message(text: &str) -> String {
    let text = line(text.trim_end());
    let count = text.chars().count();
    if count <= MOST {
        return text.into_owned();
    }
    let head: String = text.chars().take(MOST / 2).collect();
    let tail: String = text.chars().skip(count - MOST / 2).collect();
    format!("{head} … {tail}")
}

/// A cell of a table: one line of so many characters at most.
pub fn cell(text: &str, most: usize) -> Cow<'_, str> {
    let text = line(text);
    if text.chars().count() <= most {
        return text;
    }
    Cow::Owned(text.chars().take(most.saturating_sub(1)).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_an_escape() {
        let hostile = "\u{1b}[31mred\u{7}\u{9b}2J\u{202e}txt\r\nend\t.";
        assert_eq!(line(hostile), "\\u{1b}[31mred\\u{7}\\u{9b}2J\\u{202e}txt\\r\\nend\\t.");
        assert_eq!(visible("a\nb\u{1b}"), "a\nb\\u{1b}");
        assert!(matches!(line("größer – 5 × 3 “x”"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(message("damaged: no marker\n"), "damaged: no marker");
        let long = format!("x.csv: {}; do this", "é".repeat(1 << 20));
        let found = message(&long);
        assert!(found.starts_with("x.csv: ") && found.ends_with("; do this"), "{found}");
        assert_eq!(found.chars().count(), MOST + 3);
        assert_eq!((&*cell("abcdef", 4), &*cell("abcd", 4), &*cell("a\nb", 9)), ("abc…", "abcd", "a\\nb"));
    }
}
