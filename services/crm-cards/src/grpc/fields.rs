//! The gRPC API of custom fields.

use chassis::auth::Caller;
use chassis::clock;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::field_service_server::FieldService;
use tonic::{Request, Response, Status};

use super::{Answer, Handlers, PARSE, parse};
use crate::app;
use crate::app::fields::{Change, Wanted};
use crate::domain::fields::{OPTIONS_MAX, is_key};
use crate::wire;

#[tonic::async_trait]
impl FieldService for Handlers {
    async fn create_field(
        &self,
        request: Request<pb::CreateFieldRequest>,
    ) -> Answer<pb::CreateFieldResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("CreateField", &request.request_id, &request)?;
        if !is_key(&request.key) {
            let text = "must be 1 to 40 of a-z, 0-9 and _, a letter first";
            return Err(PARSE.refuse("key", text));
        }
        let wanted = Wanted {
            entity: wire::entity(request.entity)
                .ok_or_else(|| PARSE.refuse("entity", "is required"))?,
            name: PARSE.text("name", &request.name, 100)?.to_owned(),
            kind: wire::field_kind(request.r#type)
                .ok_or_else(|| PARSE.refuse("type", "is required"))?,
            options: options("options", &request.options)?,
            required: request.required,
            key: request.key,
        };
        let answer = app::fields::create(&self.app, &caller, &key, wanted, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn update_field(
        &self,
        request: Request<pb::UpdateFieldRequest>,
    ) -> Answer<pb::UpdateFieldResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("field_id", &request.field_id)?;
        let name = request.name.as_deref();
        let name = name.map(|name| PARSE.text("name", name, 100)).transpose()?;
        let wanted = request.options.as_ref();
        let change = Change {
            name: name.map(str::to_owned),
            options: wanted
                .map(|wanted| options("options.values", &wanted.values))
                .transpose()?,
            required: request.required,
            position: request.position,
            expected: request.expected_revision,
        };
        let field = app::fields::update(&self.app, &caller, id, change, clock::now()).await?;
        Ok(Response::new(pb::UpdateFieldResponse {
            field: Some(wire::field(&field)),
        }))
    }

    async fn delete_field(
        &self,
        request: Request<pb::DeleteFieldRequest>,
    ) -> Answer<pb::DeleteFieldResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("field_id", &request.get_ref().field_id)?;
        app::fields::delete(&self.app, &caller, id, clock::now()).await?;
        Ok(Response::new(pb::DeleteFieldResponse {}))
    }

    async fn list_fields(
        &self,
        request: Request<pb::ListFieldsRequest>,
    ) -> Answer<pb::ListFieldsResponse> {
        let caller = Caller::of(&request)?;
        let entity = wire::entity(request.get_ref().entity)
            .ok_or_else(|| PARSE.refuse("entity", "is required"))?;
        let fields = app::fields::list(&self.app, &caller, entity).await?;
        Ok(Response::new(pb::ListFieldsResponse {
            fields: fields.iter().map(wire::field).collect(),
        }))
    }
}

fn options(field: &str, options: &[String]) -> Result<Vec<String>, Status> {
    if options.len() > OPTIONS_MAX {
        return Err(PARSE.refuse(field, "must have at most 100 entries"));
    }
    let options = options.iter().enumerate().map(|(place, option)| {
        let option = PARSE.text(&format!("{field}[{place}]"), option, 100)?;
        Ok(option.to_owned())
    });
    options.collect()
}
