//! Rows under each other.

use super::cell;
use super::rows::Row;
use std::collections::BTreeMap;
use wandb_offline::json::Value;

/// The columns so far, each as wide as its widest cell.
#[derive(Default)]
pub(super) struct Table {
    columns: BTreeMap<String, usize>,
    step_width: usize,
    has_heading: bool,
}

impl Table {
    /// The next rows get a heading.
    pub(super) const fn heading_due(&mut self) {
        self.has_heading = false;
    }

    /// Adds rows to a text, below a heading if there are new columns.
    pub(super) fn print(&mut self, rows: &[Row], text: &mut String) {
        let cells: Vec<_> = rows.iter().map(Cells::new).collect();
        self.step_width = self.step_width.max("step".len());
        for row in &cells {
            self.step_width = self.step_width.max(row.step.len());
            for (key, value) in &row.values {
                let width = self.columns.entry(key.to_string()).or_insert_with(|| {
                    self.has_heading = false;
                    cell(key).chars().count()
                });
                *width = (*width).max(value.chars().count());
            }
        }
        if !std::mem::replace(&mut self.has_heading, true) {
            let names = self.columns.keys().map(|key| (key.as_str(), cell(key)));
            let heading = Cells { step: "step".to_owned(), values: names.collect() };
            self.line(&heading, text);
        }
        cells.iter().for_each(|row| self.line(row, text));
    }

    fn line(&self, row: &Cells<'_>, text: &mut String) {
        let mut line = pad(&row.step, self.step_width);
        for (key, width) in &self.columns {
            let value = row.values.get(key.as_str()).map(String::as_str).unwrap_or_default();
            line += "  ";
            line += &pad(value, *width);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

struct Cells<'a> {
    step: String,
    values: BTreeMap<&'a str, String>,
}

impl<'a> Cells<'a> {
    fn new(row: &'a Row) -> Self {
        let step = row.step.map(|step| step.to_string()).unwrap_or_default();
        let values = row.values.iter().map(|(key, value)| (key.as_str(), short(value)));
        Self { step, values: values.collect() }
    }
}

/// Text to the right end of a column.
fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    " ".repeat(missing) + text
}

/// A value in few characters: numbers with six digits, the beginning of texts.
fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Float(number) if number.is_finite() => short_number(*number),
        other => other.to_string(),
    };
    let text = cell(&text);
    match text.char_indices().nth(LONGEST - 1) {
        Some((at, _)) if text.chars().count() > LONGEST => format!("{}…", &text[..at]),
        _ => text,
    }
}

fn short_number(number: f64) -> String {
    let exact = number.to_string();
    if exact.len() <= EXACT {
        return exact;
    }
    let magnitude = number.abs().log10().floor();
    if !(-4.0..7.0).contains(&magnitude) {
        let exact = format!("{number:e}");
        if exact.len() <= LONGEST_POWER {
            return exact;
        }
        let rounded = format!("{number:.5e}");
        let (digits, power) = rounded.split_once('e').unwrap_or((&rounded, "0"));
        return format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    let decimals = (5.0 - magnitude).max(0.0) as usize;
    let fixed = format!("{number:.decimals$}");
    match fixed.contains('.') {
        true => fixed.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => fixed,
    }
}

/// A number of so few characters is printed as it is.
const EXACT: usize = 8;

/// The length of `1.23457e-10`.
const LONGEST_POWER: usize = 11;

/// Longer cells are cut.
const LONGEST: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits_at_most() {
        for (number, want) in [
            (0.5, "0.5"),
            (1.0, "1"),
            (0.123456789, "0.123457"),
            (-12.3456789, "-12.3457"),
            (1234567.891, "1234568"),
            (0.000123456789, "0.000123457"),
            (0.0000123456789, "1.23457e-5"),
            (1e300, "1e300"),
            (3.000000000000001e-6, "3e-6"),
        ] {
            assert_eq!(short_number(number), want);
        }
        assert_eq!(short(&Value::Float(f64::NAN)), "NaN");
        assert_eq!(short(&"a\nb".into()), "a\\nb");
        assert_eq!(short(&"x".repeat(30).as_str().into()).chars().count(), LONGEST);
    }

    #[test]
    fn new_columns_make_a_new_heading() {
        let row = |step: i64, values: &[(&str, f64)]| Row {
            step: Some(step),
            values: values
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).into()))
                .collect(),
        };
        let (mut table, mut text) = (Table::default(), String::new());
        table.print(&[row(1, &[("loss", 0.25)]), row(2, &[("loss", 0.125)])], &mut text);
        table.print(&[row(10, &[("acc", 0.5), ("loss", 0.1)])], &mut text);
        let want = "step   loss\n   1   0.25\n   2  0.125\nstep  acc   loss\n  10  0.5    0.1\n";
        assert_eq!(text, want);
    }
}
