//! Texts with a run's own words in them.

use crate::error::{Error, Result};
use crate::run::RunInfo;

/// A text in which `{id}`, `{name}`, `{project}`, `{entity}`, `{group}`, `{job_type}`, `{sweep}`, `{host}`
/// and `{notes}` stand for what the run has; nothing where it has none. A brace is written `{{` or `}}`.
///
/// ```
/// use wandb_offline::rewrite::Template;
/// use wandb_offline::run;
///
/// let (state, _) = run::load("fixtures/wandb/0.31.0/minimal/run-minimal1.wandb", false)?;
/// let template = Template::new("name", "{project}/{id}{{1}}")?;
/// assert_eq!(template.fill(state.info()), "corpus/minimal1{1}");
/// assert!(Template::new("name", "{ID}").is_err());
/// # Ok::<(), wandb_offline::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Word(fn(&RunInfo) -> &str),
}

impl Template {
    /// Reads a template. `setting` is what errors call it.
    ///
    /// # Errors
    /// When it has a placeholder there is none of, or a brace without its other half.
    pub fn new(setting: &str, text: &str) -> Result<Self> {
        let fault = |reason: String| Error::setting(setting, reason);
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' | '}' if chars.next_if_eq(&c).is_some() => plain.push(c),
                '{' => {
                    let name: String =
                        std::iter::from_fn(|| chars.next_if(|c| !['{', '}'].contains(c))).collect();
                    if chars.next() != Some('}') {
                        return Err(fault(format!("{text:?} has a {{ without a }}; write {{{{")));
                    }
                    let Some((_, word)) = WORDS.iter().find(|(word, _)| *word == name) else {
                        let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
                        let words = words.join("} {");
                        return Err(fault(format!(
                            "no placeholder {{{name}}}; there are {{{words}}}"
                        )));
                    };
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Word(*word));
                }
                '}' => return Err(fault(format!("{text:?} has a }} without a {{; write }}}}"))),
                c => plain.push(c),
            }
        }
        pieces.push(Piece::Text(plain));
        Ok(Self { pieces })
    }

    /// The text for this run.
    pub fn fill(&self, run: &RunInfo) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Word(word) => word(run).to_owned(),
        };
        self.pieces.iter().map(text).collect()
    }
}

type Word = fn(&RunInfo) -> &str;

const WORDS: [(&str, Word); 9] = [
    ("id", RunInfo::run_id),
    ("name", RunInfo::name),
    ("project", RunInfo::project),
    ("entity", RunInfo::entity),
    ("group", RunInfo::group),
    ("job_type", RunInfo::job_type),
    ("sweep", RunInfo::sweep_id),
    ("host", RunInfo::host),
    ("notes", RunInfo::notes),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_template_says_what_would_be_one() {
        for (text, want) in [
            ("{seed}", "name: no placeholder {seed}; there are {id} {name} {project}"),
            ("a{id", "name: \"a{id\" has a { without a }; write {{"),
            ("a{i{d}}", "name: \"a{i{d}}\" has a { without a }; write {{"),
            ("a}", "name: \"a}\" has a } without a {; write }}"),
        ] {
            let error = Template::new("name", text).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
        let braces = Template::new("name", "{{{{x}}{id}").unwrap();
        assert_eq!(braces.fill(&RunInfo::default()), "{{x}");
    }
}
