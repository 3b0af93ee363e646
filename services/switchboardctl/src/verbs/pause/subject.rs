//! What is meant by what was typed, and which service has it.

use futures::future::join_all;
use switchboard_proto::operator::v1::{GetStatusRequest, GetStatusResponse, PauseKind};

use super::of_all;
use crate::connect::{SERVICES, Session};
use crate::error::CliError;

/// The service with the channels and their deliveries.
const GATEWAY: &str = "channel-gateway";

/// Characters of an id that name a replica at least.
const BEGINNING: usize = 4;

/// Something, as it was typed.
pub(super) enum Named {
    Channel(String),
    Consumer(String),
    Deliveries(String),
    Replica(String),
}

/// Returns the service that has it, its kind and its id.
pub(super) async fn find(
    named: Named,
    session: &Session,
) -> Result<(&'static str, PauseKind, String), CliError> {
    match named {
        Named::Channel(channel) => {
            let id = session.channel_id(&channel).await?;
            Ok((GATEWAY, PauseKind::Channel, id.to_string()))
        }
        Named::Deliveries(account) => Ok((GATEWAY, PauseKind::Deliveries, account)),
        Named::Consumer(consumer) => {
            let told = of_all(session, false).await;
            let known: Vec<(&'static str, String)> = told
                .iter()
                .filter_map(|(service, told)| Some((*service, told.as_ref().ok()?)))
                .flat_map(|(service, told)| {
                    let consumers = told.consumers.iter();
                    consumers.map(move |consumer| (service, consumer.clone()))
                })
                .collect();
            let service = of_consumer(&known, &consumer)?;
            Ok((service, PauseKind::Consumer, consumer))
        }
        Named::Replica(replica) => {
            let asked = SERVICES.map(async |service| {
                let mut client = session.operator(service).await.ok()?;
                let told = client.get_status(GetStatusRequest {}).await.ok()?;
                Some((service, told.into_inner()))
            });
            let told: Vec<(&'static str, GetStatusResponse)> =
                join_all(asked).await.into_iter().flatten().collect();
            let (service, id) = of_replica(&told, &replica)?;
            Ok((service, PauseKind::Replica, id))
        }
    }
}

/// The service that has a consumer.
fn of_consumer(known: &[(&'static str, String)], consumer: &str) -> Result<&'static str, CliError> {
    let found = known.iter().find(|(_, name)| name == consumer);
    found.map(|(service, _)| *service).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(_, name)| name.as_str()).collect();
        CliError::usage(
            &format!("no service that answers has the consumer {consumer}"),
            &format!("one of: {}", names.join(", ")),
        )
    })
}

/// The replica that is meant, with its service: by its id, the beginning of that, or its host.
fn of_replica(
    told: &[(&'static str, GetStatusResponse)],
    named: &str,
) -> Result<(&'static str, String), CliError> {
    let all = told.iter().flat_map(|(service, told)| {
        let replicas = told.replicas.iter();
        replicas.map(move |replica| (*service, replica))
    });
    let begins = |id: &str| named.len() >= BEGINNING && id.starts_with(named);
    let meant: Vec<(&'static str, String)> = all
        .filter(|(_, replica)| begins(&replica.replica_id) || replica.host == named)
        .map(|(service, replica)| (service, replica.replica_id.clone()))
        .collect();
    match meant.as_slice() {
        [(service, id)] => Ok((service, id.clone())),
        [] => Err(CliError::usage(
            &format!("no replica is called {named}"),
            "`switchboardctl status -o json` tells replicas' ids and hosts",
        )),
        some => {
            let some: Vec<String> = some
                .iter()
                .map(|(service, id)| format!("{id} ({service})"))
                .collect();
            Err(CliError::usage(
                &format!("several replicas are called {named}"),
                &format!("name one by its id: {}", some.join(", ")),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use switchboard_proto::operator::v1::Replica;

    use super::*;

    #[test]
    fn o3_6_a_replica_is_named_by_id_beginning_or_host() {
        let of = |replicas: &[(&str, &str)]| GetStatusResponse {
            replicas: replicas
                .iter()
                .map(|(id, host)| Replica {
                    replica_id: (*id).into(),
                    host: (*host).into(),
                    ..Replica::default()
                })
                .collect(),
            ..GetStatusResponse::default()
        };
        let told = [
            (
                "conversation",
                of(&[("0199-aaaa-1", "pod-a"), ("0199-aabb-2", "pod-b")]),
            ),
            ("assignment", of(&[("0199-cccc-3", "pod-a")])),
        ];
        for (named, found) in [
            ("0199-aaaa-1", Some(("conversation", "0199-aaaa-1"))),
            ("0199-c", Some(("assignment", "0199-cccc-3"))),
            ("pod-b", Some(("conversation", "0199-aabb-2"))),
            // Two have it, or nobody.
            ("0199-aa", None),
            ("pod-a", None),
            ("019", None),
            ("pod-z", None),
        ] {
            let meant = of_replica(&told, named).ok();
            let meant = meant.as_ref().map(|(service, id)| (*service, id.as_str()));
            assert_eq!(meant, found, "{named}");
        }
        let several = of_replica(&told, "pod-a").unwrap_err().render();
        assert!(several.contains("0199-cccc-3 (assignment)"), "{several}");
    }

    #[test]
    fn o3_6_a_consumer_is_its_services() {
        let known = [
            ("conversation", "conversation-inbound".to_owned()),
            ("channel-gateway", "gateway-inbound".to_owned()),
        ];
        assert_eq!(
            of_consumer(&known, "gateway-inbound").ok(),
            Some("channel-gateway")
        );
        let unknown = of_consumer(&known, "inbound").unwrap_err().render();
        assert!(unknown.contains("conversation-inbound"), "{unknown}");
    }
}
