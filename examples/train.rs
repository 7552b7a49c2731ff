//! A training loop that logs to a W&B offline run.
//!
//! ```sh
//! cargo run --example train
//! wandb sync wandb/latest-run
//! ```

use serde::Serialize;
use wandb_offline::Writer;
use wandb_offline::writer::SummaryKind::{Last, Max, Min};

#[derive(Serialize)]
struct Hyperparameters {
    learning_rate: f64,
    batch_size: u32,
    epochs: u32,
    suite: &'static str,
    optimizer: Optimizer,
}

#[derive(Serialize)]
struct Optimizer {
    name: &'static str,
    betas: [f64; 2],
}

fn main() -> wandb_offline::Result<()> {
    let hyperparameters = Hyperparameters {
        learning_rate: 3e-4,
        batch_size: 64,
        epochs: 5,
        suite: "libero_10",
        optimizer: Optimizer { name: "adamw", betas: [0.9, 0.999] },
    };
    let run = Writer::options()
        .project("libero")
        .name("8gpu-50demos")
        .tags(["libero", "8gpu"])
        .notes("baseline with 50 demonstrations")
        .config(&hyperparameters)?
        .create()?;
    run.define_metric("train/loss").summary([Min, Last]).apply()?;
    run.define_metric("eval/*").step_metric("epoch").summary([Max, Last]).apply()?;

    let mut noise = Noise(7);
    let mut best = 0.0f64;
    for epoch in 0..hyperparameters.epochs {
        for _batch in 0..100 {
            let progress = run.step() as f64 / 505.0;
            let loss = (-3.0 * progress).exp() + 0.05 * noise.next();
            let rate = hyperparameters.learning_rate * (1.0 - progress);
            run.log([("train/loss", loss), ("train/lr", rate)])?;
        }
        let success = 1.0 - (-0.6 * f64::from(epoch + 1)).exp() + 0.02 * noise.next();
        best = best.max(success);
        run.log((("epoch", epoch), ("eval/success_rate", success)))?;
    }
    run.summary_set("best_success_rate", best)?;
    run.finish()?;
    println!("wrote {}", run.path().display());
    Ok(())
}

/// Numbers from -1 to 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 32) as f64 / f64::from(u32::MAX) * 2.0 - 1.0
    }
}
