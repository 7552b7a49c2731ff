//! The table of limits says what the constants say.

use std::fs;
use std::path::Path;
use wandb_offline::Limits;

#[test]
fn the_table_has_the_numbers_of_the_constants() {
    let mut rows = 0;
    let table = source("limits.rs");
    for line in table.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1) {
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        let [what, most, _beyond, _option, place] = cells[..] else { panic!("{line}") };
        let constant = match place {
            "[`Limits::record_len`]" => Limits::DEFAULT.record_len,
            "[`Limits::json_depth`]" => Limits::DEFAULT.json_depth as u64,
            "[`Limits::gaps_kept`]" => Limits::DEFAULT.gaps_kept as u64,
            _ => constant(place),
        };
        assert_eq!(number(most), constant, "{what}");
        rows += 1;
    }
    assert!(rows >= 29, "{rows} rows");
}

/// The constant that `` `file` `NAME` `` means.
fn constant(place: &str) -> u64 {
    let (file, name) = place.trim_matches('`').split_once("` `").expect("a file and a name");
    let text = source(file);
    let start = format!("const {name}: ");
    let found = text.lines().find_map(|line| line.split_once(&start));
    let (_, rest) = found.unwrap_or_else(|| panic!("{file} has no {name}"));
    let value = rest.split_once("= ").and_then(|(_, value)| value.strip_suffix(';'));
    let value = value.unwrap_or_else(|| panic!("{rest} in {file}")).replace('_', "");
    match value.split_once(" << ") {
        Some((number, by)) => number.parse::<u64>().unwrap() << by.parse::<u32>().unwrap(),
        None => value.parse().unwrap_or_else(|_| panic!("{value} in {file}")),
    }
}

fn number(text: &str) -> u64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let unit = ["", "KiB", "MiB", "GiB"].iter().position(|known| *known == unit).expect("a unit");
    number.parse::<u64>().unwrap() << (10 * unit)
}

fn source(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap()
}
