//! `POST /files/ENTITY/PROJECT/RUN/file_stream`: lines by file and number, and how the run goes.

use super::encoding::percent_decode;
use super::http::Response;
use super::json::wandb_json;
use super::service::{Call, Refused, World};
use super::state::{Run, State};
use serde_json::{Map, Value, json};

const FIELDS: [&str; 6] = ["files", "uploaded", "preempting", "complete", "exitcode", "dropped"];

/// Lines of one file.
struct Chunk<'a> {
    file: &'a str,
    offset: u64,
    lines: Vec<&'a str>,
}

pub(super) fn post(world: &mut World, call: &Call) -> Result<Response, Refused> {
    let request = &call.request;
    if request.body.len() > world.config.max_request_bytes {
        return Err(Refused::new(413, "request too large"));
    }
    let kind = request.header("Content-Type").unwrap_or_default();
    if !kind.starts_with("application/json") {
        world.state.violation(format_args!("the Content-Type of the file stream is {kind:?}"));
    }
    let gzip = request.header("Content-Encoding") == Some("gzip");
    if gzip && !world.config.features.get("FILESTREAM_GZIP").is_some_and(|on| *on) {
        world.state.violation("a zipped body, but the server does not have FILESTREAM_GZIP");
        return Err(Refused::new(400, "bad JSON"));
    }
    let body = call.json.as_ref().and_then(Value::as_object);
    let body = body.ok_or_else(|| Refused::new(400, "the body is not a JSON object"))?;
    for field in body.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
        world.state.violation(format_args!("the file stream has no field {field}"));
    }

    let key: Vec<String> = request.path.split('/').skip(2).take(3).map(percent_decode).collect();
    let key = key.join("/");
    if !world.state.runs.contains_key(&key) {
        return Err(Refused::new(404, format!("run {key} not found")));
    }
    // Everything is checked before anything is taken.
    let chunks = chunks(body, world.config.max_line_bytes)
        .inspect_err(|refused| world.state.violation(&refused.message))?;
    note_violations(&mut world.state, &key, &chunks, body);

    let run = world.state.runs.get_mut(&key).expect("it was there");
    run.counts.filestream_requests += 1;
    run.counts.gzip_requests += usize::from(gzip);
    run.counts.heartbeats += usize::from(body.is_empty());
    take(run, chunks, body);
    let mut answer = json!({ "exitcode": null, "limits": {} });
    if run.stopped {
        answer["stopped"] = true.into();
    }
    Ok(Response::json(200, &answer))
}

fn chunks(body: &Map<String, Value>, max: usize) -> Result<Vec<Chunk<'_>>, Refused> {
    let files = body.get("files").and_then(Value::as_object).into_iter().flatten();
    files.map(|(file, chunk)| chunk_of(file, chunk, max)).collect()
}

fn chunk_of<'a>(file: &'a str, chunk: &'a Value, max: usize) -> Result<Chunk<'a>, Refused> {
    let wrong = |what: &str| Refused::new(400, format!("{file}: {what}"));
    let offset = chunk["offset"].as_u64().ok_or_else(|| wrong("the offset is not a number"))?;
    let content = chunk["content"].as_array().ok_or_else(|| wrong("the content is not a list"))?;
    let mut lines = Vec::new();
    for line in content {
        let line = line.as_str().ok_or_else(|| wrong("a line is not a string"))?;
        if line.len() > max {
            return Err(wrong("a line is too long"));
        }
        let is_object = || wandb_json(line).is_ok_and(|value| value.is_object());
        if (file.ends_with(".jsonl") || file.ends_with(".json")) && !is_object() {
            return Err(wrong("a line is not a JSON object"));
        }
        lines.push(line);
    }
    Ok(Chunk { file, offset, lines })
}

fn note_violations(state: &mut State, key: &str, chunks: &[Chunk], body: &Map<String, Value>) {
    for Chunk { file, offset, lines } in chunks {
        let known = state.runs[key].line_count(file);
        if *offset > known && *file != Run::OUTPUT {
            state.violation(format_args!(
                "gap: {file} goes on at line {offset} after {known} lines"
            ));
            let run = state.runs.get_mut(key).expect("it was there");
            *run.counts.gaps.entry((*file).to_owned()).or_default() += 1;
        }
        if lines.iter().any(|line| line.contains('\n')) {
            state.violation(format_args!("a newline inside a line of {file}"));
        }
    }
    if body.get("complete") == Some(&Value::Bool(true)) && !body.contains_key("exitcode") {
        state.violation("complete without exitcode");
    }
}

fn take(run: &mut Run, chunks: Vec<Chunk>, body: &Map<String, Value>) {
    let is_true = |field: &str| body.get(field) == Some(&Value::Bool(true));
    let uploaded = body.get("uploaded").and_then(Value::as_array).into_iter().flatten();
    let uploaded: Vec<String> =
        uploaded.filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    if run.complete && !(chunks.is_empty() && uploaded.is_empty()) {
        run.counts.data_after_complete += 1;
    }
    for Chunk { file, offset, lines } in chunks {
        let stream = run.streams.entry(file.to_owned()).or_default();
        for (number, line) in (offset..).zip(lines) {
            let Some(old) = stream.insert(number, line.to_owned()) else { continue };
            let counted = match old == line {
                true => &mut run.counts.rewritten_same,
                false => &mut run.counts.rewritten_different,
            };
            *counted.entry(file.to_owned()).or_default() += 1;
        }
        if file == Run::SUMMARY {
            run.summary_text = stream.last_key_value().map(|(_, line)| line.clone());
        }
    }
    run.uploaded.extend(uploaded);
    run.preempting = is_true("preempting");
    if run.preempting {
        run.status = "preempting";
    }
    if is_true("complete") {
        run.counts.complete_requests += 1;
        run.complete = true;
        run.exit_code = body.get("exitcode").and_then(Value::as_i64);
        run.status = if run.exit_code == Some(0) { "finished" } else { "failed" };
    }
}
