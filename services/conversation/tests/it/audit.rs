//! Changes of settings, of which this service has none.

use chassis::audit::Api;
use chassis::testing::{audited, service_caller};
use switchboard_proto::operator::v1::ListAuditEntriesRequest;
use tonic::Code;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn b11_who_may_change_settings_anywhere_is_told_that_there_are_none_here() {
    let world = World::new().await;
    let api = Api::new(
        "conversation",
        world.db.pool.clone(),
        conversation::NO_SETTINGS,
    );
    for (scope, expected) in [
        ("agents:admin", Ok(0)),
        ("channels:*", Ok(0)),
        ("crm:admin", Ok(0)),
        ("chats:*", Err(Code::PermissionDenied)),
        ("crm:read", Err(Code::PermissionDenied)),
    ] {
        let caller = service_caller(Some(&world.account), "x", &[scope], None);
        let listed = audited(&api, &caller, ListAuditEntriesRequest::default()).await;
        let listed = listed.map(|entries| entries.len());
        assert_eq!(
            listed.map_err(|refused| refused.code()),
            expected,
            "{scope}"
        );
    }
}
