//! Changes of settings, as they are listed.

use chassis::audit::Api;
use chassis::testing::{audited, service_caller};
use switchboard_proto::operator::v1::ListAuditEntriesRequest;
use tonic::Code;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn b11_who_may_change_settings_here_is_told_of_them() {
    let world = World::new().await;
    let api = Api::new(
        "conversation",
        world.db.pool.clone(),
        conversation::audit::SCOPES,
    );
    for (scope, expected) in [
        ("channels:*", Ok(0)),
        ("agents:admin", Err(Code::PermissionDenied)),
        ("crm:admin", Err(Code::PermissionDenied)),
        ("chats:*", Err(Code::PermissionDenied)),
    ] {
        let caller = service_caller(Some(&world.account), "x", &[scope], None);
        let listed = audited(&api, &caller, ListAuditEntriesRequest::default()).await;
        let count = listed
            .map(|entries| entries.len())
            .map_err(|status| status.code());
        assert_eq!(count, expected, "{scope}");
    }
}
