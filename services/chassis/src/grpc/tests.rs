//! The server as services run it, asked over a real connection.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use serde_json::json;
use std::sync::Arc;
use switchboard_proto::operator::v1::operator_service_client::OperatorServiceClient;
use switchboard_proto::operator::v1::operator_service_server::{
    OperatorService, OperatorServiceServer,
};
use switchboard_proto::operator::v1::{
    DiagnoseRequest, DiagnoseResponse, EndPauseRequest, EndPauseResponse, GetDeadLetterRequest,
    GetDeadLetterResponse, GetPauseRequest, GetPauseResponse, GetReportRequest, GetReportResponse,
    GetStatusRequest, GetStatusResponse, ListDeadLettersRequest, ListDeadLettersResponse,
    ListPausesRequest, ListPausesResponse, ReplayDeadLettersRequest, ReplayDeadLettersResponse,
    SetPauseRequest, SetPauseResponse,
};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::auth::Caller;
use crate::config;
use crate::health::Readiness;
use crate::lifecycle::Lifecycle;
use crate::testing::Records;

struct Letters;

#[tonic::async_trait]
impl OperatorService for Letters {
    async fn get_status(
        &self,
        _: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
    async fn diagnose(
        &self,
        _: Request<DiagnoseRequest>,
    ) -> Result<Response<DiagnoseResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let caller = Caller::of(&request)?;
        assert_eq!(caller.actor().to_string(), "service:operator");
        Ok(Response::new(ListDeadLettersResponse::default()))
    }
    async fn get_dead_letter(
        &self,
        _: Request<GetDeadLetterRequest>,
    ) -> Result<Response<GetDeadLetterResponse>, Status> {
        Err(refusal(
            "test",
            Code::NotFound,
            "DEAD_LETTER_UNKNOWN",
            "there is none",
            &[],
        ))
    }
    async fn get_report(
        &self,
        _: Request<GetReportRequest>,
    ) -> Result<Response<GetReportResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
    async fn set_pause(
        &self,
        _: Request<SetPauseRequest>,
    ) -> Result<Response<SetPauseResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
    async fn end_pause(
        &self,
        _: Request<EndPauseRequest>,
    ) -> Result<Response<EndPauseResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
    async fn get_pause(
        &self,
        _: Request<GetPauseRequest>,
    ) -> Result<Response<GetPauseResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
    async fn list_pauses(
        &self,
        _: Request<ListPausesRequest>,
    ) -> Result<Response<ListPausesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
    async fn replay_dead_letters(
        &self,
        _: Request<ReplayDeadLettersRequest>,
    ) -> Result<Response<ReplayDeadLettersResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

#[tokio::test]
async fn a_server_gates_its_methods_tells_its_health_and_drains() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = SigningKey::from_bytes(&[7; 32]);
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let file = tempfile::NamedTempFile::new().unwrap();
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x }] });
    std::fs::write(file.path(), keys.to_string()).unwrap();
    let (lifecycle, ready) = (Lifecycle::new(), Readiness::new());
    let latch = ready.latch("test");
    let server = GrpcServer {
        name: "test",
        section: config::Grpc {
            listen: config::ANY_PORT,
            certificate_file: None,
            key_file: None,
            ca_file: None,
        },
        auth: config::Auth {
            jwks: file.path().display().to_string(),
            issuer: "issuer".into(),
            audience: "switchboard".into(),
            internal_token_file: "none".into(),
            // Its key is made of one byte.
            demo_secrets: true,
        },
        limits: config::Limits::default(),
        methods: switchboard_proto::METHODS,
        lifecycle: lifecycle.clone(),
        ready: ready.clone(),
        bound: Box::new(|_| {}),
        routes: tonic::service::Routes::builder(),
        names: Vec::new(),
    };
    let server = server.add(OperatorServiceServer::new(Letters));
    let address = server.serve(Arc::new(Records::default())).await.unwrap();
    let channel = crate::client::channel(&format!("http://{address}"), None).unwrap();

    let status = async || {
        let mut health = HealthClient::new(channel.clone());
        let checked = health
            .check(HealthCheckRequest {
                service: String::new(),
            })
            .await;
        checked.unwrap().into_inner().status().as_str_name()
    };
    assert_eq!(status().await, "NOT_SERVING");
    latch.release();
    let serving = async {
        while status().await != "SERVING" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), serving)
        .await
        .unwrap();

    let mut operator = OperatorServiceClient::new(channel.clone());
    let refused = operator
        .list_dead_letters(ListDeadLettersRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    let now = crate::clock::now().unix_timestamp();
    let claims = json!({
        "iss": "issuer", "aud": "switchboard", "exp": now + 60, "sub": "operator", "kind": "service", "scope": "ops",
    });
    let der = key.to_pkcs8_der().unwrap();
    let signer = jsonwebtoken::EncodingKey::from_ed_der(der.as_bytes());
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    let token = jsonwebtoken::encode(&header, &claims, &signer).unwrap();
    let with_token = |mut request: Request<()>| {
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        Ok(request)
    };
    let mut operator = OperatorServiceClient::with_interceptor(channel.clone(), with_token);
    operator
        .list_dead_letters(ListDeadLettersRequest::default())
        .await
        .unwrap();
    let refused = operator
        .get_dead_letter(GetDeadLetterRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);

    for (version, services) in [
        ("v1", services_by_v1(channel.clone()).await),
        ("v1alpha", services_by_v1alpha(channel.clone()).await),
    ] {
        let named = |name: &str| services.iter().any(|service| service == name);
        assert!(
            named("switchboard.operator.v1.OperatorService") && named("grpc.health.v1.Health"),
            "{version}: {services:?}"
        );
    }

    lifecycle.stop();
    drop((operator, channel));
    lifecycle.drained(Duration::from_secs(5)).await.unwrap();
    assert!(
        !lifecycle.abandon_token().is_cancelled(),
        "the server drained by itself"
    );
}

/// Asks in one version of reflection for the names of all services.
macro_rules! services_by {
    ($function:ident, $version:ident) => {
        async fn $function(channel: tonic::transport::Channel) -> Vec<String> {
            use tonic_reflection::pb::$version::ServerReflectionRequest;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let answers = ServerReflectionClient::new(channel)
                .server_reflection_info(futures::stream::iter([request]))
                .await;
            let answer = answers.unwrap().into_inner().message().await;
            match answer.unwrap().unwrap().message_response {
                Some(MessageResponse::ListServicesResponse(listed)) => {
                    listed.service.into_iter().map(|it| it.name).collect()
                }
                other => panic!("{other:?}"),
            }
        }
    };
}

services_by!(services_by_v1, v1);
services_by!(services_by_v1alpha, v1alpha);
