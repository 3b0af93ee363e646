//! What visitors of links say of who is one person, where contacts become one and part again (F196, B08).

use super::*;

async fn click(world: &World, opening: &Opening, visitor: u128) {
    world.handle(&[clicked(opening, visitor)]).await.unwrap();
}

/// The pairs that are suspected by a visitor, as `one two visitor`, by the names of the contacts.
async fn suspected(world: &World, tenant: &Tenant) -> Vec<String> {
    let found = duplicates(world, tenant).await;
    let pairs = found.iter().map(|pair| {
        let (first, second) = (pair.first.clone().unwrap(), pair.second.clone().unwrap());
        let mut names = [first.name, second.name];
        names.sort();
        let reasons = reasons(pair).into_iter();
        let reasons: Vec<_> = reasons
            .map(|(kind, value)| format!("{kind} {}", value.trim_start_matches(['0', '-'])))
            .collect();
        format!("{}: {}", names.join(", "), reasons.join(", "))
    });
    let mut pairs: Vec<String> = pairs.collect();
    pairs.sort();
    pairs
}

/// A contact that goes into another one leaves it who was suspected with it, and takes them back.
#[tokio::test]
async fn f196_b08_who_is_suspected_by_a_visitor_is_so_of_whom_the_contact_went_into_and_again_of_itself()
 {
    let (world, tenant) = (world().await, tenant());
    let (one_chat, one) = opened(&world, &tenant, "1", 1).await;
    let (two_chat, two) = opened(&world, &tenant, "2", 2).await;
    let (three_chat, _) = opened(&world, &tenant, "3", 3).await;
    click(&world, &one_chat, 7).await;
    click(&world, &three_chat, 7).await;
    // Of both that are merged: it stays with the one that stays.
    click(&world, &one_chat, 8).await;
    click(&world, &two_chat, 8).await;
    let before = [
        "Client 1, Client 2: KIND_VISITOR 8",
        "Client 1, Client 3: KIND_VISITOR 7",
    ];
    assert_eq!(suspected(&world, &tenant).await, before);
    let told = async || {
        let names = world.names(&tenant.account).await.into_iter();
        names.filter(|name| name == "duplicate.suspected").count()
    };
    let told_before = told().await;

    world.merge(&tenant, &one, &two).await.unwrap();
    let joined = ["Client 2, Client 3: KIND_VISITOR 7"];
    assert_eq!(suspected(&world, &tenant).await, joined);
    assert_eq!(told().await, told_before + 1);

    unmerge(&world, &tenant, &one.contact_id).await.unwrap();
    // The pair that was parted is dismissed; the other is what it was.
    let parted = ["Client 1, Client 3: KIND_VISITOR 7"];
    assert_eq!(suspected(&world, &tenant).await, parted);
    // What each had of visitors, it has again: a newcomer is suspected of being one with just those.
    let (four_chat, _) = opened(&world, &tenant, "4", 4).await;
    click(&world, &four_chat, 7).await;
    let found = [
        "Client 1, Client 3: KIND_VISITOR 7",
        "Client 1, Client 4: KIND_VISITOR 7",
        "Client 3, Client 4: KIND_VISITOR 7",
    ];
    assert_eq!(suspected(&world, &tenant).await, found);
    let (five_chat, _) = opened(&world, &tenant, "5", 5).await;
    click(&world, &five_chat, 8).await;
    let found = suspected(&world, &tenant).await.into_iter();
    let of_five: Vec<_> = found.filter(|pair| pair.contains("Client 5")).collect();
    let expected = [
        "Client 1, Client 5: KIND_VISITOR 8",
        "Client 2, Client 5: KIND_VISITOR 8",
    ];
    assert_eq!(of_five, expected);
}
