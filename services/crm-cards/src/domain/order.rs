//! Orders of buyers: products as lines, and what they sum up to.

use rust_decimal::{Decimal, RoundingStrategy};

use super::decimal;
use super::money::{Currency, Money};

/// Lines of an order at most.
pub const LINES_MAX: usize = 200;
/// Characters of a product's name at most.
pub const PRODUCT_MAX: usize = 200;
/// Characters of a product's code at most.
pub const SKU_MAX: usize = 64;
/// Digits after the point of a quantity at most: grams of kilograms.
const QUANTITY_SCALE: u32 = 3;
/// A quantity is below this.
const QUANTITY_MAX: i128 = 1_000_000_000;

/// A product of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub product: String,
    /// Its code, or empty.
    pub sku: String,
    /// How much of it, above zero.
    pub quantity: Decimal,
    /// What one of it costs, in the currency of the order.
    pub price: Decimal,
}

/// A line as a request writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Name of the product.
    pub product: String,
    /// Its code, or empty.
    pub sku: String,
    /// Digits.
    pub quantity: String,
    /// Digits.
    pub price: String,
}

/// What is wrong with a line: the field of it, and what must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// `lines[3].price`, or `lines`.
    pub field: String,
    /// What must hold.
    pub description: String,
}

impl Line {
    /// Reads a line; `place` is where it stands, and names it in a refusal.
    fn read(place: usize, written: &Written, currency: Currency) -> Result<Self, Wrong> {
        let wrong = |field: &str, description: &str| Wrong {
            field: format!("lines[{place}].{field}"),
            description: description.to_owned(),
        };
        let read = decimal::read(&written.quantity).map(|quantity| quantity.normalize());
        let quantity = read
            .filter(|quantity| {
                quantity.is_sign_positive()
                    && !quantity.is_zero()
                    && quantity.scale() <= QUANTITY_SCALE
                    && *quantity < Decimal::from_i128_with_scale(QUANTITY_MAX, 0)
            })
            .ok_or_else(|| {
                wrong(
                    "quantity",
                    "must be above 0 and below 1000000000, with at most 3 digits after the point, as 2 or 0.250",
                )
            })?;
        let price = Money::read(currency.as_str(), &written.price)
            .map_err(|refused| wrong("price", &refused.description))?
            .ok_or_else(|| wrong("price", "is required"))?;
        Ok(Self {
            product: written.product.clone(),
            sku: written.sku.clone(),
            quantity,
            price: price.amount,
        })
    }

    /// Returns what the line costs, rounded to what its currency has: half goes up, as on receipts. None beyond what can be
    /// told exactly.
    pub fn total(&self, currency: Currency) -> Option<Decimal> {
        let exact = self.price.checked_mul(self.quantity)?;
        let strategy = RoundingStrategy::MidpointAwayFromZero;
        Some(exact.round_dp_with_strategy(currency.decimals(), strategy))
    }
}

/// Reads lines whose prices are in one currency.
pub fn lines(written: &[Written], currency: Currency) -> Result<Vec<Line>, Wrong> {
    let lines = written.iter().enumerate();
    lines
        .map(|(place, line)| Line::read(place, line, currency))
        .collect()
}

/// Returns what lines sum up to; each is rounded by itself, so that the lines shown add up to the total shown.
pub fn total(lines: &[Line], currency: Currency) -> Result<Money, Wrong> {
    let sum = lines.iter().try_fold(Decimal::ZERO, |sum, line| {
        sum.checked_add(line.total(currency)?)
    });
    let money = sum.and_then(|sum| Money::within(currency, sum));
    money.ok_or_else(|| Wrong {
        field: "lines".to_owned(),
        description: "must sum up to at most 15 digits before the point".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::read(code).unwrap()
    }

    fn line(quantity: &str, price: &str, code: &str) -> Result<Line, Wrong> {
        let written = Written {
            product: "Boots".to_owned(),
            sku: "B-42".to_owned(),
            quantity: quantity.to_owned(),
            price: price.to_owned(),
        };
        Line::read(2, &written, currency(code))
    }

    #[test]
    fn a_line_is_some_of_a_product_at_a_price() {
        for (quantity, price, code, expected) in [
            ("1", "1200.50", "UAH", Ok("1200.50")),
            ("3", "0.10", "UAH", Ok("0.30")),
            // Half goes up.
            ("0.5", "0.01", "UAH", Ok("0.01")),
            ("0.25", "0.01", "UAH", Ok("0.00")),
            ("1.005", "1", "UAH", Ok("1.01")),
            ("1.5", "15", "JPY", Ok("23")),
            ("0.125", "1.001", "KWD", Ok("0.125")),
            ("2", "0", "UAH", Ok("0.00")),
            (
                "999999999.999",
                "999999.99",
                "UAH",
                Ok("999999989999000.00"),
            ),
            ("0", "1", "UAH", Err("lines[2].quantity")),
            ("-1", "1", "UAH", Err("lines[2].quantity")),
            ("0.0001", "1", "UAH", Err("lines[2].quantity")),
            ("1.0000", "1", "UAH", Ok("1.00")),
            ("1000000000", "1", "UAH", Err("lines[2].quantity")),
            ("many", "1", "UAH", Err("lines[2].quantity")),
            ("", "1", "UAH", Err("lines[2].quantity")),
            ("1", "", "UAH", Err("lines[2].price")),
            ("1", "-1", "UAH", Err("lines[2].price")),
            ("1", "1.001", "UAH", Err("lines[2].price")),
            ("1", "1.5", "JPY", Err("lines[2].price")),
        ] {
            let read = line(quantity, price, code);
            let money = read
                .as_ref()
                .map(|line| {
                    total(std::slice::from_ref(line), currency(code))
                        .unwrap()
                        .amount()
                })
                .map_err(|wrong| wrong.field.as_str());
            assert_eq!(
                money.as_deref().map_err(|field| *field),
                expected,
                "{quantity} x {price} {code}"
            );
        }
    }

    #[test]
    fn lines_are_rounded_one_by_one_and_sum_up_exactly() {
        let lines = [
            line("0.5", "0.01", "UAH").unwrap(),
            line("0.5", "0.01", "UAH").unwrap(),
        ];
        assert_eq!(total(&lines, currency("UAH")).unwrap().amount(), "0.02");
        assert_eq!(total(&[], currency("UAH")).unwrap().amount(), "0.00");
    }

    #[test]
    fn a_total_of_too_many_digits_is_refused() {
        let most = line("1", "999999999999999.99", "UAH").unwrap();
        assert_eq!(
            total(std::slice::from_ref(&most), currency("UAH"))
                .unwrap()
                .amount(),
            "999999999999999.99"
        );
        for lines in [
            vec![most.clone(), line("1", "0.01", "UAH").unwrap()],
            vec![line("999999999", "999999999999999.99", "UAH").unwrap()],
            vec![line("999999999.999", "999999999999999.99", "UAH").unwrap(); LINES_MAX],
        ] {
            assert_eq!(total(&lines, currency("UAH")).unwrap_err().field, "lines");
        }
    }
}
