//! Files of records, in and out.

mod contacts;
mod files;
mod records;
mod rights;
mod unread;

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::transfer_service_client::TransferServiceClient;
use switchboard_proto::crm_cards::v1::transfer_service_server::TransferServiceServer;
use switchboard_proto::crm_cards::v1::*;
use tonic::{Request, Status, Streaming};

use crate::world::{Tenant, World, reason};

/// By then what is waited for has to have come.
pub const SOON: Duration = Duration::from_secs(20);

/// What came of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub progress: ImportProgress,
    /// As `line column: reason`, by line.
    pub refused: Vec<String>,
    pub rows: Vec<RefusedRow>,
    pub columns: Vec<String>,
    pub answers: usize,
}

impl Outcome {
    /// Created, updated, unchanged, refused.
    pub fn counts(&self) -> [i64; 4] {
        let told = &self.progress;
        [told.created, told.updated, told.unchanged, told.refused]
    }
}

pub fn plan(kind: RecordKind) -> ImportPlan {
    ImportPlan {
        kind: kind.into(),
        import_id: "first".into(),
        ..ImportPlan::default()
    }
}

/// The parts of a file, in pieces of a size that fits nothing.
pub fn parts(plan: ImportPlan, file: &[u8]) -> Vec<ImportRecordsRequest> {
    let first = ImportRecordsRequest {
        plan: Some(plan),
        chunk: Bytes::new(),
    };
    let pieces = file.chunks(10_007).map(|piece| ImportRecordsRequest {
        plan: None,
        chunk: Bytes::copy_from_slice(piece),
    });
    std::iter::once(first).chain(pieces).collect()
}

impl World {
    /// Opens an import over the wire's own code, without a wire.
    pub async fn open_import(
        &self,
        tenant: &Tenant,
        parts: impl Stream<Item = ImportRecordsRequest> + Send + 'static,
    ) -> Result<Streaming<ImportRecordsResponse>, Status> {
        let caller = tenant.caller.clone();
        let server = TransferServiceServer::with_interceptor(
            self.api.clone(),
            move |mut request: Request<()>| {
                request.extensions_mut().insert(caller.clone());
                Ok(request)
            },
        );
        let answer = TransferServiceClient::new(server)
            .import_records(parts)
            .await?;
        Ok(answer.into_inner())
    }

    pub async fn import(
        &self,
        tenant: &Tenant,
        plan: ImportPlan,
        file: impl AsRef<[u8]>,
    ) -> Result<Outcome, Status> {
        let parts = stream::iter(parts(plan, file.as_ref()));
        let mut answers = self.open_import(tenant, parts).await?;
        let mut outcome = Outcome {
            progress: ImportProgress::default(),
            refused: Vec::new(),
            rows: Vec::new(),
            columns: Vec::new(),
            answers: 0,
        };
        let mut done = false;
        while let Some(answer) = answers.message().await? {
            assert!(!done, "nothing comes behind the last answer");
            outcome.answers += 1;
            outcome.progress = answer.progress.unwrap();
            outcome.columns.extend(answer.columns);
            for row in answer.refused {
                let told = row
                    .problems
                    .iter()
                    .map(|one| format!("{} {}: {}", row.line, one.column, one.reason));
                outcome.refused.extend(told);
                outcome.rows.push(row);
            }
            done = answer.done;
        }
        assert!(done, "the last answer says so");
        let told = &outcome.progress;
        let sum = told.created + told.updated + told.unchanged + told.refused;
        assert_eq!(told.rows, sum, "each row is counted once");
        Ok(outcome)
    }

    /// Waits until `count` files are admitted at once.
    pub async fn free_again(&self, tenant: &Tenant, count: usize) {
        let first = parts(plan(RecordKind::Company), b"").remove(0);
        let all = async {
            loop {
                let (mut held, mut refused) = (Vec::new(), None);
                while held.len() < count && refused.is_none() {
                    let (sender, sent) = futures::channel::mpsc::unbounded();
                    sender.unbounded_send(first.clone()).unwrap();
                    match self.open_import(tenant, sent).await {
                        Ok(answers) => held.push((sender, answers)),
                        Err(error) => refused = Some(error),
                    }
                }
                let Some(refused) = refused else { return };
                assert_eq!(reason(&refused), "TOO_MANY_TRANSFERS");
                drop(held);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let all = tokio::time::timeout(SOON, all).await;
        assert!(all.is_ok(), "files are admitted again");
    }

    /// All contacts that the caller sees.
    pub async fn contacts_of_all(&self, tenant: &Tenant) -> Vec<Contact> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListContactsRequest {
                page_size: 200,
                page_token,
                ..ListContactsRequest::default()
            };
            let page = self.api.list_contacts(tenant.ask(request)).await.unwrap();
            let page = page.into_inner();
            all.extend(page.contacts);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    pub async fn export(&self, tenant: &Tenant, kind: RecordKind) -> Result<String, Status> {
        let request = ExportRecordsRequest {
            kind: kind.into(),
            ..ExportRecordsRequest::default()
        };
        self.export_as(tenant, request).await
    }

    pub async fn export_as(
        &self,
        tenant: &Tenant,
        request: ExportRecordsRequest,
    ) -> Result<String, Status> {
        let caller = tenant.caller.clone();
        let server = TransferServiceServer::with_interceptor(
            self.api.clone(),
            move |mut request: Request<()>| {
                request.extensions_mut().insert(caller.clone());
                Ok(request)
            },
        );
        let mut client = TransferServiceClient::new(server);
        let mut parts = client.export_records(request).await?.into_inner();
        let (mut file, mut done) = (Vec::new(), false);
        while let Some(part) = parts.message().await? {
            assert!(!done, "nothing comes behind the last part");
            file.extend_from_slice(&part.chunk);
            done = part.done;
        }
        assert!(done, "the last part says so");
        Ok(String::from_utf8(file).unwrap())
    }
}
