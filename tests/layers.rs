//! The import table of the crate: a module uses only what stands above it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every module of the crate root, lowest first. What stands in one line is a layer; within a layer the
/// order counts too, except that the verbs never use each other.
const LAYERS: &[(&str, &[&str])] = &[
    ("bytes", &["checksum", "cursor"]),
    ("codecs", &["wire", "framing", "proto"]),
    ("policy", &["limits", "error"]),
    ("views", &["json", "record", "event", "secrets"]),
    ("files", &["io", "log", "tfevents"]),
    ("runs", &["run", "writer"]),
    ("rewriting", &["rewrite"]),
    ("verbs", &["convert", "edit", "export", "merge", "recover", "scrub", "split", "verify"]),
    ("network", &["sync"]),
];

#[test]
fn imports_point_down() {
    let order: Vec<&str> = LAYERS.iter().flat_map(|(_, modules)| *modules).copied().collect();
    let rank = |module: &str| order.iter().position(|m| *m == module);
    let verbs = LAYERS.iter().find(|(layer, _)| *layer == "verbs").expect("there are verbs").1;
    let mut wrong = Vec::new();
    for (module, file) in sources() {
        let own = rank(&module).unwrap_or_else(|| panic!("module {module} is in no layer"));
        for used in crate_paths(&std::fs::read_to_string(&file).expect("source is readable")) {
            let Some(other) = rank(&used) else { continue };
            let between_verbs = verbs.contains(&module.as_str()) && verbs.contains(&used.as_str());
            if other > own || (other != own && between_verbs) {
                wrong.push(format!("{}: {module} uses {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up:\n{}", wrong.join("\n"));
}

#[test]
fn only_files_and_above_touch_the_file_system() {
    let pure = LAYERS.iter().take_while(|(layer, _)| *layer != "files");
    let pure: BTreeSet<&str> = pure.flat_map(|(_, modules)| *modules).copied().collect();
    for (module, file) in sources() {
        let text = std::fs::read_to_string(&file).expect("source is readable");
        let does_io = ["std::fs", "fs::File", "std::net", "std::env", "std::thread"];
        if pure.contains(module.as_str())
            && let Some(what) = does_io.iter().find(|what| text.contains(**what))
        {
            panic!("{} does I/O: {what}", file.display());
        }
    }
}

/// Every source file of the library with the root module it belongs to; the root itself is not one.
fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(&root) {
        let path = entry.expect("src is readable").into_path();
        let inside = path.strip_prefix(&root).expect("below src");
        let first = inside.components().next().map(|c| c.as_os_str().to_string_lossy());
        let module = first.map(|name| name.trim_end_matches(".rs").to_owned()).unwrap_or_default();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if is_source && module != "lib" && module != "bin" {
            found.push((module, path));
        }
    }
    assert!(found.len() > 10, "the walk must find the sources");
    found
}

/// The root modules that `text` names: `crate::a`, and each `b` of `use crate::{b, c::d}`.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code = code.collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        if let Some(group) = after.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 && (c.is_alphanumeric() || c == '_') {
                    name.push(c);
                } else if depth == 0 && c != ' ' && c != '\n' {
                    used.insert(std::mem::take(&mut name));
                }
            }
            used.insert(name);
        } else {
            used.insert(after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    used
}

#[test]
fn the_table_reads_grouped_imports() {
    let used = crate_paths(
        "use crate::{error::{Error, Result}, wire};\ncrate::json::put(x); // crate::run",
    );
    assert!(["error", "json", "wire"].iter().all(|module| used.contains(*module)), "{used:?}");
    assert!(!used.contains("run"), "comments are not code");
}
