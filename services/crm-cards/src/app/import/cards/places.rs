//! Where cards of rows stand and come from: pipelines, statuses and sources, by id or by name.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{Batch, Keyed};
use super::kept;
use crate::domain::entity::Card;
use crate::domain::ids::{PipelineId, SourceId};
use crate::domain::import::{CardRow, Problem};
use crate::domain::status::{Status, StatusKind};
use crate::error::Error;
use crate::store::{exports, imports, pipelines};

/// Things by their ids and names.
#[derive(Debug, Default)]
struct Named(Vec<(Uuid, String)>);

impl Named {
    /// Returns the one that a text names.
    fn find(&self, text: &str, what: &str) -> Result<Uuid, String> {
        let id = text.parse::<Uuid>().ok();
        if let Some((id, _)) = self.0.iter().find(|(known, _)| Some(*known) == id) {
            return Ok(*id);
        }
        let mut named = self.0.iter().filter(|(_, name)| name == text);
        match (named.next(), named.next()) {
            (Some((id, _)), None) => Ok(*id),
            (Some(_), Some(_)) => Err(format!("{text}: several have this name: say an id")),
            (None, _) => Err(format!("{text}: the account has no such {what}")),
        }
    }
}

/// Pipelines with their statuses, and sources, as far as rows name them. They stay until the transaction ends.
pub(super) struct Places {
    pipelines: Named,
    statuses: HashMap<PipelineId, Vec<Status>>,
    sources: Named,
    /// The pipeline of cards that name none.
    usual: Result<PipelineId, &'static str>,
}

impl Places {
    /// Holds what rows name, and where the cards stand that are there.
    pub async fn hold(
        connection: &mut PgConnection,
        batch: &Batch<'_>,
        rows: &[Keyed<CardRow>],
        found: &[Card],
    ) -> Result<Self, Error> {
        let account = batch.account();
        let texts = |text: fn(&CardRow) -> Option<&String>| -> Vec<String> {
            let texts: BTreeSet<&String> = rows.iter().filter_map(|row| text(&row.says)).collect();
            texts.into_iter().cloned().collect()
        };
        let ids = |texts: &[String]| -> Vec<Uuid> {
            texts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        let named = texts(|says| says.source.as_ref());
        let sources = imports::sources(connection, account, &ids(&named), &named).await?;
        let known = pipelines::known(connection, account, batch.plan.pipeline, None).await?;
        let usual = match (batch.plan.pipeline, known.only_pipeline) {
            (Some(_), _) if !known.pipeline_exists => Err("the account has no such pipeline"),
            (Some(pipeline), _) | (None, Some(pipeline)) => Ok(pipeline),
            (None, None) => Err("the account has not exactly one pipeline: choose one"),
        };
        let named = texts(|says| says.pipeline.as_ref());
        let named = imports::pipelines(connection, account, &ids(&named), &named).await?;
        let all: BTreeSet<PipelineId> = named
            .iter()
            .map(|(id, _)| (*id).into())
            .chain(usual.ok())
            .chain(found.iter().map(|card| card.pipeline))
            .collect();
        let all: Vec<Uuid> = all.into_iter().map(Into::into).collect();
        let statuses = exports::statuses(connection, account, &all).await?;
        let statuses: Vec<_> = statuses.into_iter().map(|one| one.id.into()).collect();
        let held = pipelines::hold_statuses(connection, account, &statuses).await?;
        let mut statuses: HashMap<PipelineId, Vec<Status>> = HashMap::new();
        for (pipeline, status) in held {
            statuses.entry(pipeline).or_default().push(status);
        }
        Ok(Self {
            pipelines: Named(named),
            statuses,
            sources: Named(sources),
            usual,
        })
    }

    /// Returns the source that a row names.
    pub fn source(&self, says: &CardRow, problems: &mut Vec<Problem>) -> Option<SourceId> {
        let text = says.source.as_ref()?;
        kept("source", self.sources.find(text, "source"), problems).map(Into::into)
    }

    fn pipeline(&self, text: &str, problems: &mut Vec<Problem>) -> Option<PipelineId> {
        kept("pipeline", self.pipelines.find(text, "pipeline"), problems).map(Into::into)
    }

    fn of(&self, pipeline: PipelineId) -> &[Status] {
        self.statuses.get(&pipeline).map_or(&[], Vec::as_slice)
    }

    fn status(
        &self,
        pipeline: PipelineId,
        text: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<Status> {
        let statuses = self.of(pipeline);
        let named = statuses
            .iter()
            .map(|status| (status.id.uuid(), status.name.clone()));
        let found = Named(named.collect()).find(text, "status in this pipeline");
        let id = kept("status", found, problems)?;
        statuses
            .iter()
            .find(|status| status.id.uuid() == id)
            .cloned()
    }

    /// Returns where a card begins: in the status that its row names, else where cards begin.
    pub fn new_card(
        &self,
        says: &CardRow,
        problems: &mut Vec<Problem>,
    ) -> Option<(PipelineId, Status)> {
        let pipeline = match &says.pipeline {
            Some(text) => self.pipeline(text, problems)?,
            None => kept("pipeline", self.usual.map_err(str::to_owned), problems)?,
        };
        let status = if let Some(text) = &says.status {
            self.status(pipeline, text, problems)?
        } else {
            let mut statuses = self.of(pipeline).iter();
            let new = statuses.find(|status| status.kind == StatusKind::New);
            let new = new.cloned().ok_or("the account has no such pipeline");
            kept("pipeline", new.map_err(str::to_owned), problems)?
        };
        Some((pipeline, status))
    }

    /// Returns where a card stands from now on: where it is, unless its row says something else.
    pub fn moved(
        &self,
        says: &CardRow,
        before: &Card,
        problems: &mut Vec<Problem>,
    ) -> Option<(PipelineId, Status)> {
        let pipeline = match &says.pipeline {
            Some(text) => self.pipeline(text, problems)?,
            None => before.pipeline,
        };
        let status = match &says.status {
            Some(text) => self.status(pipeline, text, problems)?,
            None if pipeline == before.pipeline => before.status.clone(),
            None => {
                problems.push(Problem::new(
                    "status",
                    "is required where the pipeline is another",
                ));
                return None;
            }
        };
        Some((pipeline, status))
    }
}
