//! Who cannot be asked (D15).

use super::*;

#[tokio::test]
async fn d15_who_blocked_the_channel_and_whose_channel_is_off_are_not_asked() {
    let (world, _) = with_nps().await;
    let ann = world.as_agent("ann");
    let channel_id = world.channel.to_string();
    let time = Some(chassis::grpc::timestamp(at(60)));
    let blocked = |chat_key: &str| gateway::ClientBlocked {
        channel_id: channel_id.clone(),
        chat_key: chat_key.into(),
        time,
    };
    for key in ["7", "8", "9"] {
        world.hello(key).await;
        let subject = world.chat(key);
        let event = world.event(1, subject, &blocked(key));
        world.hear(&[event.clone(), event]).await;
    }
    // Who writes again, or is said to, has unblocked it.
    world
        .receive(&[world.message("8", "2", at(90), "hm")])
        .await;
    let unblocked = gateway::ClientUnblocked {
        channel_id: channel_id.clone(),
        chat_key: "9".into(),
        time: Some(chassis::grpc::timestamp(at(90))),
    };
    world
        .hear(&[world.event(2, world.chat("9"), &unblocked)])
        .await;
    for key in ["8", "9"] {
        let refused = world.close(&ann, key).await.unwrap_err();
        assert_eq!(reason(&refused), "NPS_NOT_SENT", "{key}");
    }
    let refused = world.nps("7").await.unwrap_err();
    assert_eq!(reason(&refused), "CHANNEL_CANNOT");
    world.close(&ann, "7").await.unwrap();
    // Now the channel is lost.
    let lost = gateway::ChannelDisconnected {
        channel_id: channel_id.clone(),
        reason: "TOKEN_REFUSED".into(),
    };
    world.hear(&[world.event(3, world.channel, &lost)]).await;
    world.close(&ann, "8").await.unwrap();
    let told = world.events_of::<pb::NpsSkipped>().await;
    let reasons: Vec<&str> = told.iter().map(|it| &*it.reason).collect();
    assert_eq!(reasons, ["client-blocked", "channel-off"]);
    assert_eq!(
        world.sentences("7", "nps.skipped").await,
        ["NPS was not sent: the client has blocked the channel"]
    );
    let enabled = gateway::ChannelEnabled {
        channel_id,
        ..Default::default()
    };
    world.hear(&[world.event(4, world.channel, &enabled)]).await;
    let refused = world.close(&ann, "9").await.unwrap_err();
    assert_eq!(reason(&refused), "NPS_NOT_SENT");
}

#[tokio::test]
async fn d15_a_question_that_did_not_reach_the_client_counts_as_not_asked() {
    let ((world, _), others) = (with_nps().await, Others::default());
    world.hello("7").await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    let queued = world.events_of::<pb::MessageQueued>().await;
    let command = queued[0].command.clone().unwrap();
    let part = |attempt: i32| {
        Some(gateway::DeliveryRef {
            channel_id: command.channel_id.clone(),
            chat_id: command.chat_id.clone(),
            message_id: command.message_id.clone(),
            out_seq: command.out_seq,
            attempt,
            part: 0,
            parts: 1,
        })
    };
    let failed = gateway::DeliveryFailed {
        delivery: part(1),
        reason: "CLIENT_BLOCKED_CHANNEL".into(),
        ..Default::default()
    };
    assert_eq!(world.totals().await, (1, 0, 0, 0));
    for id in [1, 2] {
        world
            .hear(&[world.event(id, world.chat("7"), &failed)])
            .await;
        assert_eq!(world.totals().await, (0, 0, 0, 1));
    }
    let told = world.events_of::<pb::NpsSkipped>().await;
    assert_eq!((told.len(), &*told[0].reason), (1, "not-delivered"));
    assert_eq!(
        world.sentences("7", "nps.skipped").await,
        ["NPS did not reach the client"]
    );
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    // A later attempt reached them after all.
    let sent = gateway::DeliverySent {
        delivery: part(2),
        provider_key: "900".into(),
        ..Default::default()
    };
    world.hear(&[world.event(3, world.chat("7"), &sent)]).await;
    assert_eq!(world.totals().await, (1, 0, 0, 0));
}

#[tokio::test]
async fn d15_a_channel_that_cannot_take_nps_lets_the_conversation_be_closed_and_that_is_noted() {
    let (world, _) = with_nps().await;
    world.hello("7").await;
    sqlx::query("update chat set channel_kind = 'instagram', last_client_message_at = now() - interval '25 hours'")
        .execute(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(reason(&world.nps("7").await.unwrap_err()), "CHANNEL_CANNOT");
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    let told = world.events_of::<pb::NpsSkipped>().await;
    assert_eq!((told.len(), &*told[0].reason), (1, "window-closed"));
    let kept: serde_json::Value = sqlx::query_scalar("select to_jsonb(n) from nps_answer n")
        .fetch_one(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(
        (&kept["skipped"], &kept["score"]),
        (&json!("window-closed"), &json!(null))
    );
}
