//! Amounts of money, exact.

use std::fmt;

use rust_decimal::Decimal;

use super::decimal;

/// Digits before the point at most.
const WHOLE_DIGITS: i128 = 1_000_000_000_000_000;

/// A currency by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code that stands somewhere already: three capital letters.
    pub fn read(code: &str) -> Option<Self> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        code.iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(code))
    }

    /// Returns the code.
    pub fn as_str(&self) -> &str {
        // Three letters of ASCII, always.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Reads the code of a currency that there is (ISO 4217).
    pub fn known(code: &str) -> Option<Self> {
        iso_currency::Currency::from_code(code).and_then(|_| Self::read(code))
    }

    /// Returns how many decimals it has; two where that is not settled.
    pub fn decimals(&self) -> u32 {
        let currency = iso_currency::Currency::from_code(self.as_str());
        let decimals = currency.and_then(iso_currency::Currency::exponent);
        decimals.map_or(2, u32::from)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// The currency.
    pub currency: Currency,
    /// How much of it.
    pub amount: Decimal,
}

/// What is wrong with an amount of money: the field of the message, and what must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// `currency` or `amount`.
    pub field: &'static str,
    /// What must hold.
    pub description: String,
}

impl Money {
    /// Reads what a request says. Two empty parts are no amount.
    pub fn read(currency: &str, amount: &str) -> Result<Option<Self>, Wrong> {
        if currency.is_empty() && amount.is_empty() {
            return Ok(None);
        }
        let wrong = |field, description: &str| Wrong {
            field,
            description: description.to_owned(),
        };
        let currency = Currency::known(currency)
            .ok_or_else(|| wrong("currency", "must be a code of ISO 4217, as UAH"))?;
        let amount = decimal::read(amount)
            .ok_or_else(|| wrong("amount", "must be digits with a point, as 1200.50"))?;
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(wrong("amount", "must not be negative"));
        }
        let amount = amount.normalize();
        if Self::within(currency, amount).is_none() {
            return Err(wrong(
                "amount",
                "must have at most 15 digits before the point",
            ));
        }
        if amount.scale() > currency.decimals() {
            let most = currency.decimals();
            let text =
                format!("must have at most {most} digits after the point, as {currency} has");
            return Err(wrong("amount", &text));
        }
        Ok(Some(Self { currency, amount }))
    }

    /// Makes an amount that was counted; none for one of more than 15 digits before the point.
    pub fn within(currency: Currency, amount: Decimal) -> Option<Self> {
        let most = Decimal::from_i128_with_scale(WHOLE_DIGITS, 0);
        (amount < most).then_some(Self { currency, amount })
    }

    /// Writes the amount with the decimals that its currency has.
    pub fn amount(&self) -> String {
        let mut amount = self.amount;
        amount.rescale(self.currency.decimals());
        amount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_the_digits_of_its_currency() {
        for (currency, amount, expected) in [
            ("UAH", "1200.5", Ok(Some("1200.50"))),
            ("UAH", "0", Ok(Some("0.00"))),
            ("UAH", "1200.500", Ok(Some("1200.50"))),
            ("UAH", "0.001", Err("amount")),
            ("UAH", "999999999999999.99", Ok(Some("999999999999999.99"))),
            ("UAH", "1000000000000000", Err("amount")),
            ("UAH", "-1", Err("amount")),
            ("UAH", "", Err("amount")),
            ("UAH", "many", Err("amount")),
            ("JPY", "15", Ok(Some("15"))),
            ("JPY", "15.0", Ok(Some("15"))),
            ("JPY", "15.1", Err("amount")),
            ("KWD", "1.234", Ok(Some("1.234"))),
            ("KWD", "1.2345", Err("amount")),
            ("CLF", "1.2345", Ok(Some("1.2345"))),
            ("uah", "1", Err("currency")),
            ("", "1", Err("currency")),
            ("UAHA", "1", Err("currency")),
            ("ZZZ", "1", Err("currency")),
            ("", "", Ok(None)),
        ] {
            let read = Money::read(currency, amount);
            let got = read
                .as_ref()
                .map(|money| money.map(|money| money.amount()))
                .map_err(|wrong| wrong.field);
            let expected = expected.map(|amount| amount.map(str::to_owned));
            assert_eq!(got, expected, "{amount} {currency}");
        }
    }
}
