use super::*;

#[test]
fn history_is_cut_in_many_languages() {
    for (name, history) in [
        (
            "english",
            "On Mon, 5 May 2025 at 10:00, Bob <bob@x.example> wrote:\n> old",
        ),
        (
            "broken line",
            "On Mon, 5 May 2025 at 10:00, Bob\n<bob@x.example>\nwrote:\n\nold",
        ),
        (
            "ukrainian",
            "пн, 5 трав. 2025 р. о 10:00 Bob <bob@x.example> пише:\n\n> old",
        ),
        (
            "russian",
            "5 мая 2025 г., 10:00 пользователь Bob <bob@x.example> написал:\n> old",
        ),
        (
            "german",
            "Am 05.05.2025 um 10:00 schrieb Bob <bob@x.example>:\n> old",
        ),
        (
            "french",
            "Le lun. 5 mai 2025 à 10:00, Bob <bob@x.example> a écrit :\n> old",
        ),
        (
            "spanish",
            "El lun, 5 may 2025 a las 10:00, Bob (<bob@x.example>) escribió:\n> old",
        ),
        (
            "polish",
            "pon., 5 maj 2025 o 10:00 Bob <bob@x.example> napisał(a):\n> old",
        ),
        (
            "portuguese",
            "Em seg., 5 de mai. de 2025 às 10:00, Bob <bob@x.example> escreveu:\n> old",
        ),
        (
            "italian",
            "Il giorno lun 5 mag 2025 alle ore 10:00 Bob <bob@x.example> ha scritto:\n> old",
        ),
        (
            "dutch",
            "Op ma 5 mei 2025 om 10:00 schreef Bob <bob@x.example>:\n> old",
        ),
        (
            "swedish",
            "Den mån 5 maj 2025 kl 10:00 skrev Bob <bob@x.example>:\n> old",
        ),
        (
            "danish",
            "Den man. 5. maj 2025 kl. 10.00 skrev Bob <bob@x.example>:\n> old",
        ),
        (
            "finnish",
            "ma 5. toukok. 2025 klo 10.00 Bob (bob@x.example) kirjoitti:\n> old",
        ),
        (
            "czech",
            "po 5. 5. 2025 v 10:00 odesílatel Bob <bob@x.example> napsal:\n> old",
        ),
        (
            "chinese",
            "在 2025年5月5日，10:00，Bob <bob@x.example> 写道：\n> old",
        ),
        (
            "japanese",
            "2025年5月5日(月) 10:00 Bob <bob@x.example>:\n> old",
        ),
        (
            "outlook",
            "________________________________\nВід: Bob <bob@x.example>\nНадіслано: 5 травня 2025\nКому: Me\nТема: x\n\nold",
        ),
        ("original", "-----Original Message-----\nold"),
        ("quotes alone", "> old\n> older"),
        ("signature", "-- \nBob\nold"),
        ("telephone", "Надіслано з мого iPhone\n"),
    ] {
        let text = format!("Дякую!\n\n{history}\n");
        assert_eq!(trimmed(&text).as_deref(), Some("Дякую!"), "{name}");
    }
}

#[test]
fn what_people_write_is_kept() {
    for text in [
        "From: Kyiv\nTo: Lviv\nDate: 5 May 2025\nTwo seats, please.",
        "Please answer what I wrote 2 days ago:\n1. price\n2. time",
        "On Monday I wrote:\nnothing",
        "I need:\n> size 5\n> size 6\nThanks",
        "see\n\n---------- Forwarded message ---------\nFrom: a <a@x.example>\nDate: 5 May 2025\nSubject: b\nTo: c\n\nold\n-- \nBob",
        "```\n-- \n> code\n```",
    ] {
        assert_eq!(trimmed(text), None, "{text}");
    }
}

#[test]
fn answers_under_a_quotation_are_kept() {
    let text = "On 5 May 2025, at 10:00, Bob wrote:\n> question\n\nmy answer\n";
    assert_eq!(trimmed(text).as_deref(), Some("my answer"));
    let text = "On 8 May 2025 17:34, \"Bob\" <bob@x.example> wrote:\n\nnot marked as quoted";
    assert_eq!(trimmed(text).as_deref(), Some("not marked as quoted"));
}

// pitfall 25: no text costs more than its length
#[test]
fn long_texts_cost_no_more_than_their_length() {
    for text in [
        "On 2025 ".repeat(100_000),
        "On 1:00\n".repeat(100_000),
        "> \n\n".repeat(200_000),
        "\n".repeat(1_000_000),
    ] {
        assert!(trimmed(&text).is_none_or(|kept| kept.len() <= text.len()));
    }
}
