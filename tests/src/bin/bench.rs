//! `scripts/bench`: drives the whole system and prints what it did and cost.

use clap::Parser;
use switchboard_tests::bench::{Options, chats, crm, distribution, environment, import, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let json = options.json;
    if options.distribution {
        let size = distribution::Size {
            agents: options.agents,
            waiting: options.waiting,
        };
        let report = distribution::measure(size, options.statements).await?;
        if json {
            println!("{}", report.json());
        } else {
            println!("{report}");
        }
        return Ok(());
    }
    if options.import {
        let report = import::measure(options.contacts, options.statements).await?;
        if json {
            println!("{}", report.json());
        } else {
            println!("{report}");
        }
        return Ok(());
    }
    if options.chats {
        let size = chats::Size {
            chats: options.year,
            rate: options.rate.unwrap_or(50),
            seconds: options.seconds,
            arriving: options.arriving,
        };
        let report = chats::measure(size, environment(&options.set), options.statements).await?;
        if json {
            println!("{}", report.json());
        } else {
            println!("{report}");
        }
        return Ok(());
    }
    if options.crm {
        let size = crm::Size {
            rows: options.rows,
            rate: options.rate.unwrap_or(50),
            seconds: options.seconds,
            openings: options.openings,
            new_client_every: options.new_client_every,
            replicas: options.replicas,
        };
        let report = crm::measure(size, options.statements).await?;
        if json {
            println!("{}", report.json());
        } else {
            println!("{report}");
        }
        return Ok(());
    }
    let report = run(options).await?;
    if json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    Ok(())
}
