//! Every RPC authorises: a walk over every method that the services offer by reflection, so that none is forgotten.

use std::collections::BTreeSet;

use http::uri::PathAndQuery;
use prost::Message;
use prost_types::FileDescriptorProto;
use serde_json::json;
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Bearer, Plan, World};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;

/// Asks a service by reflection for the paths of all its methods.
async fn methods(url: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut client =
        ServerReflectionClient::new(Endpoint::from_shared(url.to_owned())?.connect().await?);
    let mut ask = async |request: MessageRequest| -> anyhow::Result<MessageResponse> {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let mut answers = client
            .server_reflection_info(futures::stream::iter([request]))
            .await?
            .into_inner();
        let answer = answers
            .message()
            .await?
            .and_then(|answer| answer.message_response);
        answer.ok_or_else(|| anyhow::anyhow!("no answer by reflection"))
    };
    let MessageResponse::ListServicesResponse(services) =
        ask(MessageRequest::ListServices(String::new())).await?
    else {
        anyhow::bail!("reflection does not list services");
    };
    let mut paths = BTreeSet::new();
    for service in services
        .service
        .iter()
        .filter(|service| service.name.starts_with("switchboard."))
    {
        let MessageResponse::FileDescriptorResponse(files) =
            ask(MessageRequest::FileContainingSymbol(service.name.clone())).await?
        else {
            anyhow::bail!("reflection does not know {}", service.name);
        };
        for file in files.file_descriptor_proto {
            let file = FileDescriptorProto::decode(file.as_slice())?;
            let prefix = format!("{}.", file.package());
            for described in file
                .service
                .iter()
                .filter(|found| format!("{prefix}{}", found.name()) == service.name)
            {
                paths.extend(
                    described
                        .method
                        .iter()
                        .map(|method| format!("/{}/{}", service.name, method.name())),
                );
            }
        }
    }
    Ok(paths)
}

/// Calls a method with an empty message.
async fn call(
    url: &str,
    path: &str,
    bearer: Bearer,
    account: Option<&str>,
) -> anyhow::Result<Status> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    let mut grpc = tonic::client::Grpc::new(InterceptedService::new(channel, bearer));
    grpc.ready().await?;
    let mut request = Request::new(());
    if let Some(account) = account {
        request
            .metadata_mut()
            .insert("switchboard-account", account.parse()?);
    }
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answer = grpc
        .unary(request, PathAndQuery::try_from(path)?, codec)
        .await;
    Ok(answer.err().unwrap_or_else(|| Status::ok("")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_refuses_whoever_has_no_right_to_it() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world
        .account(Plan {
            agents: 1,
            ..Plan::default()
        })
        .await?;
    let tokens = world.system.tokens();
    let everything = "chats:* crm:* channels:* agents:* integrations:*";
    let agent = account.agents[0].id;
    let expired =
        json!({ "sub": "x", "account": account.slug, "kind": "service", "scope": everything });
    let foreign_key = tokens.forger();
    let wrong_audience = json!({ "aud": "elsewhere", "sub": "x", "account": account.slug, "kind": "service", "scope": everything });
    // Who calls, the metadata naming an account, and the code that every method must answer.
    let refused = [
        ("no token", Bearer::none(), None, Code::Unauthenticated),
        (
            "nonsense",
            Bearer::new("nonsense")?,
            None,
            Code::Unauthenticated,
        ),
        (
            "wrong signature",
            Bearer::new(&foreign_key.service(&account.slug, "x", everything))?,
            None,
            Code::Unauthenticated,
        ),
        (
            "expired",
            Bearer::new(&tokens.sign(&expired, -time::Duration::HOUR))?,
            None,
            Code::Unauthenticated,
        ),
        (
            "another audience",
            Bearer::new(&tokens.sign(&wrong_audience, time::Duration::HOUR))?,
            None,
            Code::Unauthenticated,
        ),
        (
            "missing scope",
            Bearer::new(&tokens.service(&account.slug, "x", "nothing:read"))?,
            None,
            Code::PermissionDenied,
        ),
        (
            "another account's token",
            Bearer::new(&tokens.service("other", "x", everything))?,
            Some(account.slug.as_str()),
            Code::PermissionDenied,
        ),
        (
            "another account's agent",
            Bearer::new(&tokens.agent("other", agent, everything))?,
            None,
            Code::PermissionDenied,
        ),
        (
            "an account's token with inner scopes",
            Bearer::new(&tokens.service(&account.slug, "x", "internal ops"))?,
            None,
            Code::PermissionDenied,
        ),
    ];
    let mut walked = BTreeSet::new();
    for kind in Kind::ALL {
        let url = world.system.grpc_url(kind)?;
        for path in methods(&url).await? {
            for (who, bearer, named, code) in &refused {
                let status = call(&url, &path, bearer.clone(), *named).await?;
                assert_eq!(
                    status.code(),
                    *code,
                    "{} {path} with {who}: {status:?}",
                    kind.name()
                );
                let info = status.get_details_error_info();
                assert!(
                    info.is_some_and(|info| !info.reason.is_empty()),
                    "{path} with {who}: no ErrorInfo"
                );
            }
            walked.insert(path);
        }
    }
    let known: BTreeSet<String> = switchboard_proto::METHODS
        .iter()
        .map(|method| method.path.to_owned())
        .collect();
    assert_eq!(
        walked, known,
        "each method of the contracts is offered by a service, and no other is"
    );
    Ok(())
}
