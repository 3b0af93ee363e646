//! What is stopped for a while: channels, consumers, deliveries of an account, replicas (O3.6).

mod subject;

use clap::{Args, Subcommand};
use futures::future::join_all;
use switchboard_proto::operator::v1::{
    EndPauseRequest, ListPausesRequest, ListPausesResponse, Pause, PauseKind, SetPauseRequest,
};
use time::Duration;

use super::agent::presence::duration;
use crate::connect::{SERVICES, Session};
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, note, words};
use subject::{Named, find};

/// For how long, and why.
#[derive(Args, Clone, Debug)]
pub(crate) struct Terms {
    /// For how long, as 30m or 2h, a day at most; then it ends by itself
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    lasting: Duration,
    /// Why, for whoever sees it
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Verbs that pause, and what is paused.
#[derive(Subcommand)]
pub(crate) enum PauseVerb {
    /// Send nothing over a channel, and do not read its mailbox: deliveries wait in their order; clients are heard as always
    Channel {
        /// Name or id; by its name only with a token of the account or a signing key
        channel: String,
        #[command(flatten)]
        terms: Terms,
    },
    /// Have a consumer take nothing: its stream keeps everything, and its lag grows
    Consumer {
        /// Its name, as `status -o json` tells it
        consumer: String,
        #[command(flatten)]
        terms: Terms,
    },
    /// Send nothing for an account: its deliveries wait in their order
    Deliveries {
        /// The account's slug
        tenant: String,
        #[command(flatten)]
        terms: Terms,
    },
    /// List what is paused, in all services
    List {
        /// Also what has ended, with who began and ended it, of the last 90 days
        #[arg(long)]
        ended: bool,
    },
}

/// What goes on.
#[derive(Subcommand)]
pub(crate) enum ResumeVerb {
    /// A channel
    Channel {
        /// Name or id
        channel: String,
    },
    /// A consumer
    Consumer {
        /// Its name
        consumer: String,
    },
    /// Deliveries of an account
    Deliveries {
        /// The account's slug
        tenant: String,
    },
    /// A replica that was drained
    Replica {
        /// Its id, the beginning of it, or its host
        replica: String,
    },
}

/// Which replica, for how long, and why.
#[derive(Args)]
#[command(
    after_help = "A drained replica is not ready, hands back what it has not begun and takes nothing new, until it is stopped\n\
                  or the time has come. `status -o json` tells replicas' ids."
)]
pub(crate) struct DrainArgs {
    /// Its id, the beginning of it, or its host
    replica: String,
    #[command(flatten)]
    terms: Terms,
    /// Though no other replica of its service is ready
    #[arg(long)]
    last: bool,
}

impl Show for Pause {
    const NAME: &'static str = "switchboard.operator.v1.Pause";
    const OPTIONAL: &'static [&'static str] = &["ACCOUNT", "SERVICE", "SINCE", "BY"];
    const SPARSE: &'static [&'static str] = &["NAME", "ACCOUNT", "ENDED BY"];
    const HEADERS: &'static [&'static str] = &[
        "SUBJECT", "KIND", "NAME", "ACCOUNT", "SERVICE", "SINCE", "UNTIL", "BY", "REASON",
        "ENDED BY",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.subject_id),
            cell(kind_word(self.kind())),
            cell(if self.name == self.subject_id {
                ""
            } else {
                &self.name
            }),
            cell(&self.account),
            cell(&self.service),
            cell(words::ago(self.begin_time.as_ref(), view.now)).dim(),
            cell(words::ago(self.end_time.as_ref(), view.now)),
            cell(&self.actor),
            cell(&self.reason),
            cell(&self.ended_by),
        ]
    }
}

/// What is paused, as it is typed.
pub(super) fn kind_word(kind: PauseKind) -> String {
    words::word(kind.as_str_name(), "PAUSE_KIND_")
}

/// Runs a verb.
pub(crate) async fn run(verb: PauseVerb, session: &Session, view: View) -> Result<(), CliError> {
    let (named, terms) = match verb {
        PauseVerb::Channel { channel, terms } => (Named::Channel(channel), terms),
        PauseVerb::Consumer { consumer, terms } => (Named::Consumer(consumer), terms),
        PauseVerb::Deliveries { tenant, terms } => (Named::Deliveries(tenant), terms),
        PauseVerb::List { ended } => return list(ended, session, &view).await,
    };
    set(named, terms, false, session, &view).await
}

/// Drains a replica.
pub(crate) async fn drain(args: DrainArgs, session: &Session, view: View) -> Result<(), CliError> {
    let named = Named::Replica(args.replica);
    set(named, args.terms, args.last, session, &view).await
}

/// Ends a pause.
pub(crate) async fn resume(
    verb: ResumeVerb,
    session: &Session,
    view: View,
) -> Result<(), CliError> {
    let named = match verb {
        ResumeVerb::Channel { channel } => Named::Channel(channel),
        ResumeVerb::Consumer { consumer } => Named::Consumer(consumer),
        ResumeVerb::Deliveries { tenant } => Named::Deliveries(tenant),
        ResumeVerb::Replica { replica } => Named::Replica(replica),
    };
    let (service, kind, subject_id) = find(named, session).await?;
    let mut client = session.operator(service).await?;
    let request = EndPauseRequest {
        kind: kind.into(),
        subject_id,
    };
    let Some(ended) = client.end_pause(request).await?.into_inner().pause else {
        note!("it was not paused");
        return Ok(());
    };
    view.one(Some(ended))
}

async fn set(
    named: Named,
    terms: Terms,
    last_replica: bool,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let (service, kind, subject_id) = find(named, session).await?;
    let mut client = session.operator(service).await?;
    let request = SetPauseRequest {
        kind: kind.into(),
        subject_id,
        lasting_seconds: i32::try_from(terms.lasting.whole_seconds()).unwrap_or(i32::MAX),
        reason: terms.reason,
        last_replica,
    };
    view.one(client.set_pause(request).await?.into_inner().pause)
}

async fn list(ended: bool, session: &Session, view: &View) -> Result<(), CliError> {
    let mut pauses = Vec::new();
    for (service, told) in of_all(session, ended).await {
        match told {
            Ok(told) => pauses.extend(told.pauses),
            Err(error @ CliError::Usage { .. }) => return Err(error),
            // What the others have is told all the same.
            Err(error) => note!("{service} does not tell: {error}"),
        }
    }
    pauses.sort_by_key(|pause| std::cmp::Reverse(words::time(pause.begin_time.as_ref())));
    view.list(&pauses, "")
}

/// What each service tells of its pauses.
async fn of_all(
    session: &Session,
    ended: bool,
) -> Vec<(&'static str, Result<ListPausesResponse, CliError>)> {
    let asked = SERVICES.map(async |service| {
        let ask = async {
            let mut client = session.operator(service).await?;
            let told = client.list_pauses(ListPausesRequest { ended }).await?;
            Ok::<_, CliError>(told.into_inner())
        };
        (service, ask.await)
    });
    join_all(asked).await
}
