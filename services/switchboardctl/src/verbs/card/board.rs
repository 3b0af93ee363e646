//! A board as columns beside each other.

use switchboard_proto::crm_cards::v1::{BoardColumn, Card, GetBoardResponse, Money};

use crate::output::{Cell, Show, View, cell, say, words};

/// Characters of a card's title in a column.
const TITLE: usize = 28;

impl Show for GetBoardResponse {
    const NAME: &'static str = "switchboard.crm_cards.v1.GetBoardResponse";
    const HEADERS: &'static [&'static str] = &["ID", "PIPELINE"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let pipeline = self.pipeline.clone().unwrap_or_default();
        vec![cell(pipeline.pipeline_id), cell(pipeline.name)]
    }
}

/// An amount as people read it.
pub(in crate::verbs) fn money(money: &Money) -> String {
    let (whole, rest) = money.amount.split_once('.').unwrap_or((&money.amount, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    let point = if rest.is_empty() { "" } else { "." };
    format!("{grouped}{point}{rest}\u{a0}{}", money.currency)
}

/// The rows of a board: counts, sums, then cards.
fn rows(columns: &[BoardColumn]) -> Vec<Vec<Cell>> {
    let sums = |column: &BoardColumn| {
        let sums: Vec<String> = column.sums.iter().map(money).collect();
        sums.join(", ")
    };
    let mut rows = vec![
        columns
            .iter()
            .map(|column| counted(column.card_count))
            .collect(),
    ];
    if columns.iter().any(|column| !column.sums.is_empty()) {
        rows.push(columns.iter().map(|column| cell(sums(column))).collect());
    }
    let longest = columns.iter().map(|column| column.cards.len()).max();
    for place in 0..longest.unwrap_or(0) {
        let cards = columns.iter().map(|column| column.cards.get(place));
        rows.push(
            cards
                .map(|card| cell(card.map_or_else(|| " ".into(), title)))
                .collect(),
        );
    }
    if columns
        .iter()
        .any(|column| !column.next_page_token.is_empty())
    {
        let more = |column: &BoardColumn| {
            let shown = i64::try_from(column.cards.len()).unwrap_or(i64::MAX);
            match column.card_count - shown {
                left @ 1.. if !column.next_page_token.is_empty() => {
                    cell(format!("and {left} more"))
                }
                _ => cell(" "),
            }
        };
        rows.push(columns.iter().map(|column| more(column).dim()).collect());
    }
    rows
}

fn counted(cards: i64) -> Cell {
    let word = if cards == 1 { "card" } else { "cards" };
    cell(format!("{cards} {word}")).dim()
}

fn title(card: &Card) -> String {
    match &card.amount {
        Some(amount) => format!("{} · {}", words::short(&card.title, TITLE), money(amount)),
        None => words::short(&card.title, TITLE),
    }
}

/// Prints a board.
pub(super) fn print(view: &View, board: &GetBoardResponse) {
    let pipeline = board.pipeline.clone().unwrap_or_default();
    say!("{}  {}", pipeline.name, pipeline.pipeline_id);
    let names: Vec<String> = board
        .columns
        .iter()
        .map(|column| column.status.clone().unwrap_or_default().name)
        .map(|name| crate::output::table::harmless(&name))
        .collect();
    let headers: Vec<&str> = names.iter().map(String::as_str).collect();
    view.rows(&headers, &[], rows(&board.columns));
}

#[cfg(test)]
mod tests {
    use switchboard_proto::crm_cards::v1::Status;

    use super::*;
    use crate::output::table;

    fn amount(currency: &str, amount: &str) -> Money {
        Money {
            currency: currency.into(),
            amount: amount.into(),
        }
    }

    #[test]
    fn amounts_are_read_in_groups_of_three_digits() {
        for (given, expected) in [
            (amount("UAH", "0.50"), "0.50 UAH"),
            (amount("UAH", "1200.00"), "1 200.00 UAH"),
            (amount("JPY", "1234567"), "1 234 567 JPY"),
            (amount("EUR", "123456.00"), "123 456.00 EUR"),
        ] {
            assert_eq!(money(&given).replace('\u{a0}', " "), expected);
        }
    }

    #[test]
    fn a_board_is_columns_with_counts_sums_and_cards() {
        let card = |title: &str, amount: Option<Money>| Card {
            title: title.into(),
            amount,
            ..Card::default()
        };
        let column = |name: &str, count, sums, cards, next: &str| BoardColumn {
            status: Some(Status {
                name: name.into(),
                ..Status::default()
            }),
            card_count: count,
            sums,
            cards,
            next_page_token: next.into(),
        };
        let columns = [
            column(
                "New",
                3,
                vec![amount("UAH", "1200.00")],
                vec![
                    card("Shelf", None),
                    card("Table", Some(amount("UAH", "1200.00"))),
                ],
                "x",
            ),
            column("Won", 0, vec![], vec![], ""),
        ];
        let rows = rows(&columns);
        let text = table::render(&["New", "Won"], rows, false, None).replace('\u{a0}', " ");
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert!(
            lines[0].starts_with("New") && lines[0].ends_with("Won"),
            "{text}"
        );
        assert!(
            lines[1].starts_with("3 cards") && lines[1].ends_with("0 cards"),
            "{text}"
        );
        assert!(lines[2].starts_with("1 200.00 UAH"), "{text}");
        assert_eq!(
            (lines[3], lines[4]),
            ("Shelf", "Table · 1 200.00 UAH"),
            "{text}"
        );
        assert_eq!(lines[5], "and 1 more", "{text}");
    }
}
