//! Equality: what the streams tell is what is stored.

use anyhow::bail;
use futures::TryStreamExt as _;

use super::{Recovery, read};

/// Differences that are shown.
const SHOWN: usize = 20;

impl Recovery<'_> {
    /// Compares all since the moment. The service may run meanwhile: what it stores first and tells afterwards is there.
    pub(super) async fn check(&mut self) -> anyhow::Result<()> {
        self.reach_back().await?;
        let mut names = vec![self.streams.events()];
        if !self.replay.durables().inbound.is_empty() {
            names.extend((0..self.streams.shards()).map(|shard| self.streams.inbound(shard)));
        }
        let (mut compared, mut differences) = (0, 0);
        for name in names {
            let stream = self.nats.jetstream.get_stream(&name).await?;
            let first = read::locate(&stream, self.asked.from).await?;
            let mut pages = std::pin::pin!(read::pages(&stream, first));
            while let Some(mut page) = pages.try_next().await? {
                let events = name == self.streams.events();
                page.retain(|one| !events || one.envelope.service == self.name);
                compared += page.len();
                let found = self.replay.compare(&mut self.connection, &page).await?;
                for line in found.iter().take(SHOWN.saturating_sub(differences)) {
                    println!("  {line}");
                }
                differences += found.len();
            }
        }
        if differences > 0 {
            bail!(
                "{}: {differences} differences in {compared} compared",
                self.name
            );
        }
        println!("{}: equal; {compared} compared", self.name);
        Ok(())
    }
}
