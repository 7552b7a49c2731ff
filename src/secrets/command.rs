//! Passwords on command lines whose options do not say that they are.
//!
//! ```text
//! sshpass -p PASSWORD ssh ...          sshpass(1)
//! mysql -u root -pPASSWORD db          and mysqldump, mariadb, ...: the value follows at once
//! ```

use std::ops::Range;

/// Where in the text behind the name of this program the password stands, if one is given there.
pub(super) fn password(program: &str, rest: &str) -> Option<Range<usize>> {
    let takes_word = program == "sshpass";
    if !takes_word && !MYSQL.contains(&program) {
        return None;
    }
    let line = rest.split(['\n', '|', ';', '&']).next().unwrap_or_default();
    let mut at = 0;
    for word in line.split(' ').take(WORDS) {
        let start = at;
        at += word.len() + 1;
        let Some(value) = word.strip_prefix("-p") else { continue };
        let from = match value.is_empty() {
            false => start + "-p".len(),
            true if takes_word => at,
            true => return None,
        };
        return unquoted(line, from);
    }
    None
}

/// The word that begins at `from`, without its quotes.
fn unquoted(line: &str, from: usize) -> Option<Range<usize>> {
    let value = line.get(from..)?;
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (from, value) = match quote {
        Some(_) => (from + 1, value.get(1..)?),
        None => (from, value),
    };
    let ends = |c: char| match quote {
        Some(quote) => c == quote,
        None => c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ')' | ',' | '\\'),
    };
    let length = value.find(ends).unwrap_or(value.len());
    Some(from..from + length)
}

const MYSQL: &[&str] =
    &["mysql", "mysqladmin", "mysqldump", "mysqlimport", "mysqlsh", "mariadb", "mariadb-dump"];

/// So many words behind the name of the program are looked at.
const WORDS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_what_the_program_takes_for_it() {
        for (program, rest, want) in [
            ("sshpass", " -p hunter2 ssh host", Some("hunter2")),
            ("sshpass", " -phunter2 ssh -p 22 host", Some("hunter2")),
            ("sshpass", " -e -p 'two words' ssh", Some("two words")),
            ("sshpass", " -f /run/pw ssh host", None),
            ("mysql", " -u root -phunter2 db", Some("hunter2")),
            ("mysqldump", " -p\"hun ter\" db", Some("hun ter")),
            ("mysql", " -u root -p db", None),
            ("mysql", " --port 3306; rm -pother", None),
            ("ssh", " -p 2222 host", None),
        ] {
            let got = password(program, rest).map(|range| &rest[range]);
            assert_eq!(got, want, "{program}{rest}");
        }
    }
}
