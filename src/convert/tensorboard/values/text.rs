//! Text and tables.

use super::super::line::LINE_LEN;
use super::super::rows::put_value;
use super::{Rendered, Stop, Target, put_list, put_lossy};
use crate::event::{ScalarValue, TensorView};
use crate::json::put_str;

/// Strings: one as it is, markdown and all; a row of them as a list; of rank 2 as a table, and of a
/// higher one as nested lists.
pub(super) fn render(tensor: &TensorView<'_>, to: &mut Target<'_>) -> Rendered {
    let strings: Vec<&[u8]> = tensor.strings().collect();
    let shape = tensor.shape().unwrap_or_else(|| vec![strings.len() as u64]);
    let room = shape.iter().copied().fold(1, u64::saturating_mul);
    match (shape.as_slice(), strings.as_slice()) {
        (_, []) if room == 0 => Err(Stop::Skip(super::Reason::Empty, "text")),
        _ if room != strings.len() as u64 => Err(Stop::malformed("text")),
        (_, [one]) => in_row_or_table(&strings, to, |text| put_lossy(text, one)),
        (&[_, columns], _) => {
            let columns = usize::try_from(columns).unwrap_or(usize::MAX);
            let names: Vec<String> = (0..columns).map(|column| column.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let rows = strings.chunks(columns.max(1));
            table(&names, rows, to, |text, row| {
                put_list(text, row, |text, cell| put_lossy(text, cell));
            })
        }
        _ => {
            // Many dimensions of size 1 would nest as deep.
            let flat = [room];
            let shape = if shape.len() <= MOST_DIMENSIONS { &shape[..] } else { &flat };
            in_row_or_table(&strings, to, |text| {
                nested(text, shape, &mut strings.iter(), &|text, one| put_lossy(text, one));
            })
        }
    }
}

/// Strings as `put` puts them, or, where a row would have no room for that beside its other values, as a
/// table of one column.
fn in_row_or_table(
    strings: &[&[u8]],
    to: &mut Target<'_>,
    put: impl FnOnce(&mut Vec<u8>),
) -> Rendered {
    // Escapes only make it longer.
    if strings.iter().map(|string| string.len()).sum::<usize>() <= MOST_IN_ROW {
        let mut text = Vec::new();
        put(&mut text);
        if text.len() <= MOST_IN_ROW {
            to.items.put("", |json| *json = text);
            return Ok(());
        }
    }
    to.notes.large_texts += 1;
    table(&["text"], strings.iter(), to, |text, one| {
        put_list(text, [one], |text, cell| put_lossy(text, cell));
    })
}

/// Recall and precision, threshold by threshold.
pub(super) fn pr_curve(tensor: &TensorView<'_>, to: &mut Target<'_>) -> Rendered {
    let malformed = Stop::malformed("PR curve");
    let (Some(shape), Ok(elements)) = (tensor.shape(), tensor.elements()) else {
        return Err(malformed);
    };
    let [rows, columns] = shape[..] else { return Err(malformed) };
    let given = elements.given_len() == elements.len();
    let (true, Ok(columns)) = (given, usize::try_from(columns)) else { return Err(malformed) };
    let before = usize::try_from(rows.saturating_sub(2)).unwrap_or(0).saturating_mul(columns);
    let numbers: Vec<ScalarValue> = elements.given().skip(before).collect();
    let (precision, recall) = match numbers.split_at_checked(columns) {
        Some((precision, recall)) if recall.len() == columns => (precision, recall),
        _ => return Err(malformed),
    };
    table(
        &["recall", "precision"],
        recall.iter().zip(precision),
        to,
        |text, (recall, precision)| {
            put_list(text, [recall, precision], |text, number| put_value(text, *number));
        },
    )
}

fn table<T>(
    columns: &[&str],
    rows: impl ExactSizeIterator<Item = T>,
    to: &mut Target<'_>,
    put: impl Fn(&mut Vec<u8>, T),
) -> Rendered {
    let count = rows.len() as u64;
    let mut text = b"{\"columns\":".to_vec();
    put_list(&mut text, columns, |text, name| put_str(text, name));
    text.extend_from_slice(b",\"data\":");
    put_list(&mut text, rows, put);
    text.push(b'}');
    let file = to.store("table", ".table.json", &text)?;
    to.items.file("table-file", &file);
    to.items.number("ncols", columns.len() as u64);
    to.items.number("nrows", count);
    Ok(())
}

/// Bytes of the longest text that stays in its row: half of what a row has room for.
const MOST_IN_ROW: usize = LINE_LEN / 2;

/// Deeper nesting than anybody logs.
pub(super) const MOST_DIMENSIONS: usize = 16;

/// The elements as lists in lists, by the shape.
pub(super) fn nested<T>(
    text: &mut Vec<u8>,
    shape: &[u64],
    elements: &mut impl Iterator<Item = T>,
    put: &impl Fn(&mut Vec<u8>, T),
) {
    match shape.split_first() {
        Some((&size, inner)) => put_list(text, 0..size, |text, _| {
            nested(text, inner, elements, put);
        }),
        None => {
            if let Some(element) = elements.next() {
                put(text, element);
            }
        }
    }
}

/// The panel that shows the table of a PR curve, as the official client puts it into the config.
pub(super) fn pr_panel(key: &str) -> String {
    let mut text = PANEL_HEAD.to_vec();
    put_str(&mut text, &format!("{key} Precision v. Recall"));
    text.extend_from_slice(PANEL_QUERY);
    put_str(&mut text, key);
    text.extend_from_slice(br#"}],"fields":[]}]}]}}}"#);
    String::from_utf8(text).unwrap_or_default()
}

const PANEL_HEAD: &[u8] = concat!(
    r#"{"panel_type":"Vega2","panel_config":{"panelDefId":"wandb/line/v0","#,
    r#""fieldSettings":{"x":"recall","y":"precision","stroke":null},"stringSettings":{"title":"#,
)
.as_bytes();
const PANEL_QUERY: &[u8] = concat!(
    r#"},"transform":{"name":"tableWithLeafColNames"},"userQuery":{"queryFields":[{"#,
    r#""name":"runSets","args":[{"name":"runSets","value":"${runSets}"}],"fields":["#,
    r#"{"name":"id","fields":[]},{"name":"name","fields":[]},"#,
    r#"{"name":"_defaultColorIndex","fields":[]},"#,
    r#"{"name":"summaryTable","args":[{"name":"tableKey","value":"#,
)
.as_bytes();
