//! Uploads runs to the W&B server that the environment names, like `wandb-offline sync`.
//!
//! ```sh
//! cargo run --example train
//! WANDB_API_KEY=... cargo run --features sync --example upload wandb/latest-run
//! ```
//!
//! Ends with 0 if everything is stored, with 3 if only some of it is, and with 1 if nothing is.

use std::path::PathBuf;
use std::process::ExitCode;
use wandb_offline::sync::{Event, HttpTransport, Server, Stop, SyncOptions, sync};

fn main() -> ExitCode {
    match upload() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn upload() -> wandb_offline::Result<ExitCode> {
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        paths.push("wandb".into());
    }
    let server = Server::from_env()?;
    if server.is_in_the_open() {
        eprintln!("{} is not encrypted; the key can be read on the way", server.base);
    }
    let transport = HttpTransport::new(&server)?;
    // Another thread may stop the sync with this; what is stored by then stays known.
    let stop = Stop::new();
    let report = sync(&paths, &server, &transport, &SyncOptions::default(), &stop, &tell);

    for run in &report.runs {
        println!("{}: {:?}, {} rows", run.log.display(), run.status, run.receipt.rows);
        if let Some(url) = &run.url {
            println!("  {url}");
        }
        for problem in &run.problems {
            println!("  {problem}");
        }
    }
    for error in &report.errors {
        eprintln!("{error}");
    }
    Ok(match report.is_complete() {
        true => ExitCode::SUCCESS,
        false if report.has_stored() => ExitCode::from(3),
        false => ExitCode::FAILURE,
    })
}

/// What happens, as it happens, from several threads.
fn tell(event: Event<'_>) {
    match event {
        Event::Created { log, url } => eprintln!("{} goes to {url}", log.display()),
        Event::Waiting { host, why, time, .. } => {
            eprintln!("{host}: {why}; trying again in {:.1} s", time.as_secs_f64());
        }
        Event::Remark { text } => eprintln!("{text}"),
        _ => {}
    }
}
