//! One card, with the names of what it stands in and belongs to.

use switchboard_proto::crm_cards::v1::{
    Card, GetCardRequest, GetContactRequest, GetPipelineRequest, ListSourcesRequest,
};
use uuid::Uuid;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, table, words};

/// Shows one card.
pub(super) async fn run(session: &Session, view: &mut View, card: Uuid) -> Result<(), CliError> {
    let mut client = session.crm_cards(&session.role().await?).await?;
    let request = GetCardRequest {
        card_id: card.to_string(),
    };
    let card = client.get_card(request).await?.into_inner().card;
    if let Some(card) = card.as_ref().filter(|_| view.is_table()) {
        let (pipeline, contact, source) = tokio::join!(
            pipeline(session, card),
            contact(session, card),
            source(session, card)
        );
        // Whose name cannot be read is shown by id: who sees a card does not see all that it belongs to.
        for (id, name) in [
            (&card.pipeline_id, pipeline),
            (&card.contact_id, contact),
            (&card.source_id, source),
        ] {
            if let Ok(Some(name)) = name {
                view.learn(id, name);
            }
        }
    }
    view.one(card)
}

async fn pipeline(session: &Session, card: &Card) -> Result<Option<String>, CliError> {
    let request = GetPipelineRequest {
        pipeline_id: card.pipeline_id.clone(),
    };
    let mut client = session.pipelines(&session.role().await?).await?;
    let found = client.get_pipeline(request).await?.into_inner().pipeline;
    Ok(found.map(|pipeline| pipeline.name))
}

async fn contact(session: &Session, card: &Card) -> Result<Option<String>, CliError> {
    if card.contact_id.is_empty() {
        return Ok(None);
    }
    let request = GetContactRequest {
        contact_id: card.contact_id.clone(),
    };
    let mut client = session.crm_cards(&session.role().await?).await?;
    let found = client.get_contact(request).await?.into_inner().contact;
    Ok(found.map(|contact| contact.name))
}

async fn source(session: &Session, card: &Card) -> Result<Option<String>, CliError> {
    if card.source_id.is_empty() {
        return Ok(None);
    }
    let mut client = session.crm_cards(&session.role().await?).await?;
    let mut page_token = String::new();
    loop {
        let request = ListSourcesRequest {
            page_size: 200,
            page_token,
        };
        let page = client.list_sources(request).await?.into_inner();
        let mut sources = page.sources.into_iter();
        if let Some(source) = sources.find(|source| source.source_id == card.source_id) {
            return Ok(Some(source.name));
        }
        if page.next_page_token.is_empty() {
            return Ok(None);
        }
        page_token = page.next_page_token;
    }
}

/// What a card is, where it stands, whose it is and where it comes from.
pub(super) fn about(card: &Card, view: &View) -> Vec<String> {
    let kind = words::word(card.kind().as_str_name(), "ENTITY_KIND_");
    let of = |what: &str, id: &str| {
        (!id.is_empty()).then(|| format!("  {what}: {}", table::harmless(&view.named(id))))
    };
    let lines = [
        Some(format!("  kind: {kind}")),
        of("pipeline", &card.pipeline_id),
        of("contact", &card.contact_id),
        of("source", &card.source_id),
    ];
    lines.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use switchboard_proto::common::v1::EntityKind;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_card_tells_what_it_is_and_belongs_to_by_name_where_one_is_known() {
        let cli = Cli::parse_from(["switchboardctl", "card", "list"]);
        let mut view = View::new(&cli.globals);
        view.learn("p", "Sales".to_owned());
        view.learn("c", "Anna \u{1b}[31m".to_owned());
        let card = Card {
            kind: EntityKind::Deal.into(),
            pipeline_id: "p".into(),
            contact_id: "c".into(),
            source_id: "0190a1b2-0000-7000-8000-000000000001".into(),
            ..Card::default()
        };
        let told = about(&card, &view);
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(told[0], "  kind: deal");
        assert_eq!(told[1], "  pipeline: Sales (p)");
        assert!(told[2].starts_with("  contact: Anna "), "{told:?}");
        assert!(!told[2].contains('\u{1b}'), "{told:?}");
        assert_eq!(told[3], "  source: 0190a1b2-0000-7000-8000-000000000001");
    }
}
