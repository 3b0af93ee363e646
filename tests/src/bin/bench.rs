//! `scripts/bench`: drives the whole system and prints what it did and cost.

use clap::Parser;
use switchboard_tests::bench::{Options, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let json = options.json;
    let report = run(options).await?;
    if json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    Ok(())
}
