//! The page around the parts of a report: one file that asks nobody for anything.

use std::fmt::Write;

const PAGE: &str = include_str!("../../../assets/report/page.html");
const STYLE: &str = include_str!("../../../assets/report/style.css");

/// The page of a title and a body that is HTML.
pub fn page(title: &str, body: &str) -> String {
    PAGE.replace("{title}", &escaped(title)).replace("{style}", STYLE.trim_end()).replace("{body}", body)
}

/// Text as HTML: nothing in it is a tag or an entity.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // They mean something to terminals, and nothing to readers.
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A part of the page under a heading; `about` says what is to be seen.
pub fn section(heading: &str, about: &str, content: &str) -> String {
    let about = if about.is_empty() { String::new() } else { format!("<p>{}</p>\n", escaped(about)) };
    format!("<h2>{}</h2>\n{about}{content}\n", escaped(heading))
}

/// A table of texts; without a header where that is empty.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        cells.fold(String::new(), |mut row, cell| {
            let _ = write!(row, "<{tag}>{}</{tag}>", escaped(cell));
            row
        })
    };
    let mut text = String::from("<div class=\"wide\"><table>\n");
    if !header.is_empty() {
        let _ = writeln!(text, "<tr>{}</tr>", cells("th", &mut header.iter().copied()));
    }
    for row in rows {
        let _ = writeln!(text, "<tr>{}</tr>", cells("td", &mut row.iter().map(String::as_str)));
    }
    text + "</table></div>"
}

/// A picture that lies in the page itself.
pub fn picture(png: &[u8], what: &str) -> String {
    format!("<img alt=\"{}\" src=\"data:image/png;base64,{}\">", escaped(what), base64(png))
}

/// RFC 4648, section 4.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, at| word << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = char::from(LETTERS[(word >> (18 - 6 * at)) as usize & 63]);
            text.push(if at <= three.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_the_letters_of_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn text_is_never_markup() {
        assert_eq!(escaped("<b a=\"x\">&\u{1b}[2J"), "&lt;b a=&quot;x&quot;&gt;&amp;\u{fffd}[2J");
        let page = page("<script>", &table(&["a"], &[vec!["<img src=x>".into()]]));
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    }
}
