//! What is typed about a pipeline's statuses, as the request that the service takes.

use switchboard_proto::crm_cards::v1::{
    CardsTo, NewStatus, Pipeline, Status, UpdatePipelineRequest, WantedStatus, WantedStatuses,
};

use crate::error::CliError;
use crate::output::words;

/// What of a pipeline is to be changed. Statuses are given by name, kind or id.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// New name.
    pub name: Option<String>,
    /// Statuses and their new names.
    pub rename: Vec<(String, String)>,
    /// Statuses that are added at the end.
    pub add: Vec<NewStatus>,
    /// Statuses that are taken away.
    pub remove: Vec<String>,
    /// Where cards of statuses go.
    pub to: Vec<(String, String)>,
    /// The first statuses, in their new order.
    pub order: Vec<String>,
}

/// Reads `A=B`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text
        .split_once('=')
        .filter(|(from, to)| !from.is_empty() && !to.is_empty());
    let (from, to) = parts.ok_or_else(|| String::from("two statuses or names, as Old=New"))?;
    Ok((from.to_owned(), to.to_owned()))
}

/// Finds a status by id, name or kind.
pub(crate) fn find<'s>(statuses: &'s [Status], named: &str) -> Result<&'s Status, CliError> {
    let same = |text: &str| text.to_lowercase() == named.to_lowercase();
    let by_kind =
        |status: &&Status| same(&words::word(status.kind().as_str_name(), "STATUS_KIND_"));
    let found = statuses
        .iter()
        .find(|status| status.status_id == named || same(&status.name))
        .or_else(|| statuses.iter().find(by_kind));
    found.ok_or_else(|| {
        let known: Vec<_> = statuses.iter().map(|status| status.name.as_str()).collect();
        CliError::usage(
            &format!("the pipeline has no status {named}"),
            &format!("one of: {}", known.join(", ")),
        )
    })
}

/// Where cards go: from a status of this pipeline to another of it, or to one that is given by its id.
pub(super) fn routes(
    pipeline: &Pipeline,
    to: &[(String, String)],
) -> Result<Vec<CardsTo>, CliError> {
    let routes = to.iter().map(|(from, to)| {
        let to_status_id = match uuid::Uuid::try_parse(to) {
            Ok(id) => id.to_string(),
            Err(_) => find(&pipeline.statuses, to)?.status_id.clone(),
        };
        Ok(CardsTo {
            from_status_id: find(&pipeline.statuses, from)?.status_id.clone(),
            to_status_id,
        })
    });
    routes.collect()
}

/// Words the request, about the pipeline as it was read: another change meanwhile is not undone by this one.
pub(super) fn request(
    pipeline: &Pipeline,
    change: &Change,
) -> Result<UpdatePipelineRequest, CliError> {
    let id = |named: &String| Ok(find(&pipeline.statuses, named)?.status_id.clone());
    let removed = change
        .remove
        .iter()
        .map(id)
        .collect::<Result<Vec<_>, CliError>>()?;
    let order = change
        .order
        .iter()
        .map(id)
        .collect::<Result<Vec<_>, CliError>>()?;
    let mut statuses: Vec<WantedStatus> = pipeline
        .statuses
        .iter()
        .filter(|status| !removed.contains(&status.status_id))
        .map(|status| WantedStatus {
            status_id: status.status_id.clone(),
            name: status.name.clone(),
            kind: status.kind,
        })
        .collect();
    for (named, name) in &change.rename {
        let id = id(named)?;
        for status in statuses.iter_mut().filter(|status| status.status_id == id) {
            status.name.clone_from(name);
        }
    }
    let place = |status: &WantedStatus| {
        let place = order.iter().position(|id| *id == status.status_id);
        place.unwrap_or(order.len())
    };
    statuses.sort_by_key(place);
    statuses.extend(change.add.iter().map(|new| WantedStatus {
        status_id: String::new(),
        name: new.name.clone(),
        kind: new.kind,
    }));
    let touched = !change.rename.is_empty()
        || !change.add.is_empty()
        || !removed.is_empty()
        || !order.is_empty();
    Ok(UpdatePipelineRequest {
        pipeline_id: pipeline.pipeline_id.clone(),
        name: change.name.clone(),
        statuses: touched.then_some(WantedStatuses { statuses }),
        cards_to: routes(pipeline, &change.to)?,
        expected_revision: Some(pipeline.revision),
    })
}

#[cfg(test)]
mod tests {
    use switchboard_proto::crm_cards::v1::StatusKind;

    use super::*;

    fn pipeline() -> Pipeline {
        let status = |id: &str, name: &str, kind: StatusKind| Status {
            status_id: id.into(),
            name: name.into(),
            kind: kind.into(),
        };
        Pipeline {
            pipeline_id: "p".into(),
            name: "Sales".into(),
            statuses: vec![
                status("1", "New", StatusKind::New),
                status("2", "Call", StatusKind::InProgress),
                status("3", "Won", StatusKind::Successful),
            ],
            revision: 7,
        }
    }

    #[test]
    fn statuses_are_changed_by_their_names() {
        let text = |text: &str| text.to_owned();
        let change = Change {
            rename: vec![(text("new"), text("Fresh"))],
            add: vec![NewStatus {
                name: "Lost".into(),
                kind: StatusKind::Rejected.into(),
            }],
            remove: vec![text("call")],
            to: vec![(text("Call"), text("successful"))],
            order: vec![text("Won")],
            ..Change::default()
        };
        let request = request(&pipeline(), &change).unwrap();
        assert_eq!(request.expected_revision, Some(7));
        let route = &request.cards_to[0];
        assert_eq!((&*route.from_status_id, &*route.to_status_id), ("2", "3"));
        let statuses = request.statuses.unwrap().statuses;
        let told: Vec<_> = statuses
            .iter()
            .map(|one| (&*one.status_id, &*one.name))
            .collect();
        assert_eq!(told, [("3", "Won"), ("1", "Fresh"), ("", "Lost")]);
    }

    #[test]
    fn a_name_alone_leaves_the_statuses_and_an_unknown_status_is_told() {
        let change = Change {
            name: Some("Orders".into()),
            ..Change::default()
        };
        assert_eq!(request(&pipeline(), &change).unwrap().statuses, None);
        let change = Change {
            remove: vec!["Later".into()],
            ..Change::default()
        };
        let told = request(&pipeline(), &change).unwrap_err().render();
        assert!(
            told.contains("no status Later") && told.contains("New, Call, Won"),
            "{told}"
        );
        for (text, fits) in [("A=B", true), ("A=", false), ("=B", false), ("AB", false)] {
            assert_eq!(pair(text).is_ok(), fits, "{text}");
        }
    }
}
