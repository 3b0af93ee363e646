//! Rotating the sealing key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channel_gateway::app::reseal::{Pass, pass};
use chassis::seal::Sealer;

use crate::health::{create, viber_bot};
use crate::world::{World, world};

fn keys(all: &[[u8; 32]]) -> Sealer {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines: Vec<String> = all.iter().map(|key| STANDARD.encode(key)).collect();
    std::fs::write(file.path(), lines.join("\n")).unwrap();
    Sealer::from_key_file(file.path(), true).unwrap()
}

async fn sealed(world: &World) -> Vec<(String, Vec<u8>)> {
    sqlx::query_as(
        "select 'channel:' || id || ':token', token_sealed from channel
         union all select 'channel:' || id || ':secret', secret_sealed from channel
         union all select 'attachment:' || id || ':reference', reference from attachment
         union all select 'client-photo:' || chat_id || ':reference', reference from client_photo where reference is not null
         order by 1",
    )
    .fetch_all(&world.app.pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_moves_to_the_new_key_once_and_the_former_may_go() {
    let mut world = world().await;
    create(&world, viber_bot()).await.unwrap();
    let file = uuid::Uuid::from_u128(7);
    let aad = format!("attachment:{file}:reference");
    let reference = world.app.sealer.seal(b"AgAC", aad.as_bytes()).unwrap();
    sqlx::query(
        "insert into attachment (id, account, source, channel_id, kind, state, file_name, media_type, size, object_key,
                                 reference, created_at)
         values ($1, $2, 'inbound', $3, 1, 'pending', '', '', 0, 'x', $4, now())",
    )
    .bind(file)
    .bind(world.account.as_str())
    .bind(world.channel)
    .bind(reference)
    .execute(&world.app.pool)
    .await
    .unwrap();
    let aad = format!("client-photo:{file}:reference");
    let reference = world.app.sealer.seal(b"https", aad.as_bytes()).unwrap();
    sqlx::query(
        "insert into client_photo (chat_id, channel_id, chat_key, account, user_id, reference, asked_at)
         values ($1, $2, '7', $3, '7', $4, now()), (gen_random_uuid(), $2, '8', $3, '8', null, now())",
    )
    .bind(file)
    .bind(world.channel)
    .bind(world.account.as_str())
    .bind(reference)
    .execute(&world.app.pool)
    .await
    .unwrap();
    let (former, both, new) = (
        keys(&[[7; 32]]),
        keys(&[[8; 32], [7; 32]]),
        keys(&[[8; 32]]),
    );
    let texts = |sealer: &Sealer, rows: &[(String, Vec<u8>)]| -> Vec<Vec<u8>> {
        rows.iter()
            .map(|(aad, text)| sealer.open(text, aad.as_bytes()).unwrap())
            .collect()
    };
    let before = texts(&former, &sealed(&world).await);
    assert_eq!(before.len(), 6);
    world.app.sealer = both;
    let done = |resealed| Pass {
        resealed,
        unreadable: 0,
    };
    assert_eq!(pass(&world.app).await.unwrap(), done(6));
    assert_eq!(pass(&world.app).await.unwrap(), done(0), "nothing is left");
    assert_eq!(texts(&new, &sealed(&world).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_key_opens_is_counted_and_left_alone() {
    let mut world = world().await;
    let before = sealed(&world).await;
    world.app.sealer = keys(&[[8; 32], [9; 32]]);
    let pass = pass(&world.app).await.unwrap();
    assert_eq!((pass.resealed, pass.unreadable), (0, 2));
    assert_eq!(sealed(&world).await, before);
}
