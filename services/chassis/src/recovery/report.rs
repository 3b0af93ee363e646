//! What happened since the moment, as a list: what was rebuilt, and what cannot be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use anyhow::Context as _;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use super::Asked;
use crate::actor::Actor;
use crate::consumer::Delivery;

/// One line of the list. It holds no content: that is found in EVENTS by the sequence.
#[derive(Serialize)]
struct Line<'l> {
    service: &'l str,
    time: String,
    account: &'l str,
    #[serde(rename = "type")]
    kind: &'l str,
    subject: &'l str,
    actor: String,
    rebuilt: bool,
    stream_sequence: u64,
}

#[derive(Default)]
struct Count {
    rebuilt: usize,
    known: usize,
    left: usize,
}

/// The list in the making.
pub(super) struct Report {
    service: &'static str,
    file: Option<BufWriter<File>>,
    kinds: BTreeMap<String, Count>,
    announced: usize,
}

impl Report {
    pub(super) fn new(service: &'static str, asked: &Asked) -> anyhow::Result<Self> {
        let file = match &asked.report {
            Some(path) => {
                let file =
                    File::create(path).with_context(|| format!("--report {}", path.display()))?;
                Some(BufWriter::new(file))
            }
            None => None,
        };
        Ok(Self {
            service,
            file,
            kinds: BTreeMap::new(),
            announced: 0,
        })
    }

    /// Notes an own event. Listed is what agents did, and all that is not rebuilt.
    pub(super) fn note(
        &mut self,
        event: &Delivery,
        is_new: bool,
        rebuilt: bool,
    ) -> anyhow::Result<()> {
        let envelope = &event.envelope;
        let count = self.kinds.entry(envelope.kind.clone()).or_default();
        match (rebuilt, is_new) {
            (false, _) => count.left += 1,
            (true, true) => count.rebuilt += 1,
            (true, false) => count.known += 1,
        }
        let by_agent = matches!(envelope.actor, Some(Actor::Agent(_)));
        let Some(file) = self.file.as_mut().filter(|_| by_agent || !rebuilt) else {
            return Ok(());
        };
        let line = Line {
            service: self.service,
            time: envelope.time.format(&Rfc3339).unwrap_or_default(),
            account: envelope.account.as_str(),
            kind: &envelope.kind,
            subject: &envelope.subject_id,
            actor: envelope
                .actor
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            rebuilt,
            stream_sequence: event.origin.sequence,
        };
        serde_json::to_writer(&mut *file, &line)?;
        file.write_all(b"\n")?;
        Ok(())
    }

    /// Notes what is told by the recovery itself.
    pub(super) fn announced(&mut self, events: usize) {
        self.announced += events;
    }

    /// Prints the sums.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        println!("{}: own events since then, by type", self.service);
        for (kind, count) in &self.kinds {
            let Count {
                rebuilt,
                known,
                left,
            } = count;
            println!("  {kind}: {rebuilt} rebuilt, {known} were there, {left} only listed");
        }
        if self.announced > 0 {
            println!(
                "  {} events tell what the recovery itself decided",
                self.announced
            );
        }
        println!("{}: recovered; it may be started", self.service);
        Ok(())
    }
}
