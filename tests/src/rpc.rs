//! Calls of any method by its path, with requests and answers as JSON: what walks over all methods is written once, and
//! a method that is added later is met by it too.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::services::Kind;
use crate::world::{Bearer, World};

/// Passes messages on as bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Calls the services of a world.
pub struct Rpc {
    pool: DescriptorPool,
    channels: BTreeMap<Kind, Channel>,
}

/// What comes back over a call that stays open, one message after another.
pub struct Answers {
    stream: Streaming<Bytes>,
    output: MessageDescriptor,
}

impl Answers {
    /// The next message; none where the service ended the call well.
    pub async fn next(&mut self) -> Result<Option<Value>, Status> {
        let Some(bytes) = self.stream.message().await? else {
            return Ok(None);
        };
        let read = |error: &dyn std::fmt::Display| Status::data_loss(format!("an answer: {error}"));
        let message = DynamicMessage::decode(self.output.clone(), bytes).map_err(|e| read(&e))?;
        let options = SerializeOptions::new().use_proto_field_name(true);
        let json = message.serialize_with_options(serde_json::value::Serializer, &options);
        json.map(Some).map_err(|e| read(&e))
    }
}

impl Rpc {
    /// Calls the services of this world, wherever they are while it lasts.
    pub fn of(world: &World) -> anyhow::Result<Self> {
        let mut channels = BTreeMap::new();
        for kind in Kind::ALL {
            let endpoint = Endpoint::from_shared(world.system.grpc_url(kind)?)?;
            channels.insert(kind, endpoint.connect_lazy());
        }
        Ok(Self {
            pool: DescriptorPool::decode(switchboard_proto::DESCRIPTOR_SET)?,
            channels,
        })
    }

    /// Calls one service alone, at an address.
    pub fn alone(kind: Kind, url: &str) -> anyhow::Result<Self> {
        let pool = DescriptorPool::decode(switchboard_proto::DESCRIPTOR_SET)?;
        let channels = BTreeMap::new();
        Self { pool, channels }.at(kind, url)
    }

    /// The same, with one service at another address: a replica of it.
    pub fn at(mut self, kind: Kind, url: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned())?;
        self.channels.insert(kind, endpoint.connect_lazy());
        Ok(self)
    }

    /// The service that offers a method, by its package. What every service offers is asked of the first.
    pub fn kind(path: &str) -> Kind {
        let package = path.trim_start_matches("/switchboard.");
        let of = |kind: &Kind| package.starts_with(&kind.name().replace('-', "_"));
        Kind::ALL.into_iter().find(of).unwrap_or(Kind::ALL[0])
    }

    /// Calls a method, named as `assignment.v1.RoleService/GetRole`, and returns its one answer, or the first of many.
    pub async fn call(&self, method: &str, bearer: &Bearer, ask: &Value) -> Result<Value, Status> {
        let mut answers = self.open(method, bearer, ask).await?;
        answers
            .next()
            .await?
            .ok_or_else(|| Status::data_loss("no answer"))
    }

    /// Calls a method whose answers come one after another.
    pub async fn open(
        &self,
        method: &str,
        bearer: &Bearer,
        ask: &Value,
    ) -> Result<Answers, Status> {
        let (path, request, output) = self
            .prepare(method, ask)
            .map_err(|error| Status::unknown(format!("{method} is asked wrongly: {error:#}")))?;
        let channel = self.channels.get(&Self::kind(path.path()));
        let channel = channel.ok_or_else(|| Status::unavailable("a service not spoken to"))?;
        let bearer = bearer.clone();
        let mut grpc = tonic::client::Grpc::new(InterceptedService::new(channel.clone(), bearer));
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = grpc
            .server_streaming(Request::new(request), path, Raw)
            .await?;
        Ok(Answers {
            stream: answer.into_inner(),
            output,
        })
    }

    fn prepare(
        &self,
        method: &str,
        ask: &Value,
    ) -> anyhow::Result<(PathAndQuery, Bytes, MessageDescriptor)> {
        let (service, name) = method.split_once('/').context("service/method")?;
        let service = self
            .pool
            .get_service_by_name(&format!("switchboard.{service}"))
            .ok_or_else(|| anyhow!("there is no such service"))?;
        let described = service
            .methods()
            .find(|described| described.name() == name)
            .context("there is no such method")?;
        let request = DynamicMessage::deserialize(described.input(), ask.clone())?;
        let path = format!("/switchboard.{method}");
        let bytes = Bytes::from(request.encode_to_vec());
        Ok((PathAndQuery::try_from(path)?, bytes, described.output()))
    }
}
